//! What people find and trust a number by: its username, and a request for an official business account.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::call::Call;
use super::clock::later;
use super::envelope::Refusal;
use super::part::{Official, Username};
use super::record::What;
use super::state::{State, Target};
use super::switch::HeldUsername;

/// After a request, the next is refused for so many days.
const OFFICIAL_DAYS: i64 = 30;

impl State {
    /// Answers a write to one of these edges; none where it is another.
    pub(super) fn badge(&mut self, call: &Call, target: &Target) -> Option<Result<Value, Refusal>> {
        let Target::Number(id) = target else { return None };
        let edge = call.path.get(1).map(String::as_str).filter(|_| call.method == "POST")?;
        let answer = match edge {
            "username" => Self::claim_username,
            "official_business_account" => Self::request_official,
            _ => return None,
        };
        Some(self.check_number(call, id).and_then(|()| answer(self, call, id)))
    }

    /// Gives a number a username. One that another number of the portfolio has is moved only by a transfer.
    fn claim_username(&mut self, call: &Call, id: &str) -> Result<Value, Refusal> {
        let name = call.required("username")?.to_ascii_lowercase();
        let transfer = match call.text("transfer_action").as_deref() {
            None | Some("none") => false,
            Some("force_transfer") => true,
            Some(_) => return Err(Refusal::invalid("transfer_action is none or force_transfer")),
        };
        let Some(number) = self.world.numbers.get(id) else { return Err(self.unsupported(call)) };
        if !is_username(&name) {
            return Err(Refusal::invalid("username breaks a rule for usernames"));
        }
        if !number.is_registered() {
            return Err(Refusal::new(133_010, "Phone number not registered"));
        }
        match self.options.switches.held_usernames.get(&name) {
            Some(HeldUsername::Taken) => return Err(Refusal::new(147_001, "Username is not available")),
            Some(HeldUsername::Limit) => {
                return Err(Refusal::new(147_002, "A higher messaging limit is needed"));
            }
            Some(HeldUsername::Page) => return Err(Refusal::new(147_003, "Link the Facebook Page first")),
            Some(HeldUsername::Instagram) => {
                return Err(Refusal::new(147_004, "Link the Instagram account first"));
            }
            None => {}
        }
        let owner = |account: &str| self.world.accounts.get(account).map(|account| &account.owner);
        let has_it = self.world.numbers.values().find(|other| {
            other.id != id && other.username.as_ref().is_some_and(|username| username.name == name)
        });
        let from = match has_it {
            Some(other) if owner(&other.account) != owner(&number.account) => {
                return Err(Refusal::new(147_001, "Username is not available"));
            }
            Some(_) if !transfer => {
                return Err(Refusal::new(147_005, "Username is in use by another number of the business"));
            }
            other => other.map(|other| other.id.clone()),
        };
        if let Some(from) = from {
            self.change_number(&from, |number| number.username = None);
        }
        let status = if self.options.switches.usernames_reserved { "reserved" } else { "approved" };
        let digits = self.digits(id);
        let username = Username { name: name.clone(), status: status.to_owned() };
        self.change_number(id, |number| number.username = Some(username));
        self.effect(What::UsernameClaimed { digits, username: name });
        Ok(json!({"status": status}))
    }

    /// Takes a request for an official business account, which somebody at Meta decides on.
    fn request_official(&mut self, call: &Call, id: &str) -> Result<Value, Refusal> {
        for field in ["business_website_url", "primary_country_of_operation", "primary_language"] {
            call.required(field)?;
        }
        let links = call.nested("supporting_links");
        if links.as_ref().is_some_and(|links| links.as_array().is_none_or(|links| links.len() > 5)) {
            return Err(Refusal::invalid("supporting_links has at most 5 addresses"));
        }
        let now = self.now();
        let Some(number) = self.world.numbers.get(id) else { return Err(self.unsupported(call)) };
        if number.is_coexisting() {
            return Err(Refusal::invalid("not available for SMB businesses"));
        }
        let until =
            number.official.requested.map(|at| later(at, SignedDuration::from_hours(24 * OFFICIAL_DAYS)));
        let is_open = matches!(number.official.status.as_str(), "PENDING" | "UNDER_REVIEW" | "APPROVED");
        if is_open || number.is_official_business_account || until.is_some_and(|until| now < until) {
            return Err(Refusal::invalid("an official business account was requested already"));
        }
        let official = Official { status: "PENDING".to_owned(), message: None, requested: Some(now) };
        let digits = self.digits(id);
        self.change_number(id, |number| number.official = official);
        self.effect(What::OfficialRequested { digits });
        Ok(json!({"success": true}))
    }
}

/// Meta's rules for the form (page "Business usernames").
fn is_username(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_');
    (3..=35).contains(&name.len())
        && name.chars().all(allowed)
        && name.chars().any(|c| c.is_ascii_lowercase())
        && !(name.starts_with('.') || name.ends_with('.') || name.contains(".."))
        && !name.starts_with("www")
        && name.rsplit_once('.').is_none_or(|(_, suffix)| suffix != "com")
}
