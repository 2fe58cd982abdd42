//! A number at Meta → the channel that changes nothing about it, with what a person has to know beside it.

use serde_json::{Value, json};

use crate::api::{
    lower::{GROUP, USE_LABEL, USE_VERIFY_TOKEN},
    v1alpha1::{Connection, ManagementPolicy, PortfolioRef, Profile, Vertical, WhatsAppChannelSpec},
};
use crate::cli::{
    finding::{Report, Severity},
    lint, source,
};
use crate::engine::{
    display_name::{is_same, written},
    id::{CodeStatus, NameStatus, NumberStatus, OfficialStatus, PlatformType, Quality},
    observed::{self, Number},
    username::problem,
};

use super::{
    sort::{Kept, Left},
    yaml,
};

/// What every name of a channel begins with. The digits behind it make it unique, and no new display name changes it.
const PREFIX: &str = "wa-";

/// A channel to be printed.
#[derive(Clone, Debug)]
pub struct Draft {
    pub name: String,
    pub kept: Kept,
    spec: WhatsAppChannelSpec,
    /// Why the number is only observed, and what managing it would do.
    pub only_observed: Option<String>,
    /// Why the profile that Meta shows is not in the manifest.
    without_profile: Option<String>,
}

/// Where channels go.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    pub portfolio: &'a str,
    /// As it was asked for; none: wherever they are applied.
    pub namespace: Option<&'a str>,
}

impl Place<'_> {
    /// How kubectl is told of the namespace.
    pub fn flag(&self) -> String {
        self.namespace.map(|namespace| format!(" --namespace {namespace}")).unwrap_or_default()
    }

    /// An object of ours with this spec.
    pub fn object(&self, kind: &str, name: &str, spec: &Value) -> Value {
        let mut metadata = json!({ "name": name });
        if let Some(namespace) = self.namespace {
            metadata["namespace"] = json!(namespace);
        }
        json!({ "apiVersion": format!("{GROUP}/v1alpha1"), "kind": kind, "metadata": metadata, "spec": spec })
    }
}

impl Draft {
    /// The channel of a number.
    ///
    /// # Errors
    ///
    /// Says why there can be none.
    pub fn new(kept: Kept, place: &Place) -> Result<Self, Left> {
        let number = &kept.entry.number;
        let Some(live) = number.verified_name.value().filter(|name| !name.trim().is_empty()) else {
            let why = "Meta does not show its display name, which a channel has to say";
            return Err(Left::new(&kept.entry, why));
        };
        let is_in_app = is_in_app(number);
        let spec = WhatsAppChannelSpec {
            portfolio_ref: PortfolioRef { name: place.portfolio.to_owned(), namespace: None },
            account_id: Some(kept.entry.account.to_string()),
            phone_number: kept.phone.to_string(),
            display_name: written(live),
            connection: is_in_app.then_some(Connection::Coexistence),
            coexistence: None,
            verification: None,
            registration: None,
            // The profile of a number in the app is written there.
            profile: number.profile.value().filter(|_| !is_in_app).and_then(|profile| shown(profile)),
            time_zone: None,
            webhook: None,
            username: username(number)
                .filter(|name| problem(name).is_none() && !is_in_app)
                .map(str::to_owned),
            official_business_account: None,
            ready_when: None,
            management_policy: None,
            drift_policy: None,
            deletion_policy: None,
            deletion_timeout_seconds: None,
            acknowledge: Vec::new(),
            interval: None,
            suspend: None,
        };
        let mut draft = Self {
            name: format!("{PREFIX}{}", kept.canonical.digits()),
            only_observed: unsettled(number),
            kept,
            spec,
            without_profile: None,
        };
        draft.fit(place)?;
        Ok(draft)
    }

    /// Leaves out what the API server would refuse.
    fn fit(&mut self, place: &Place) -> Result<(), Left> {
        let Some(why) = self.refused(place) else { return Ok(()) };
        if self.spec.profile.take().is_some() {
            self.without_profile = Some(why);
            return self.fit(place);
        }
        Err(Left::new(&self.kept.entry, format!("a channel with what Meta shows is not valid: {why}")))
    }

    fn refused(&self, place: &Place) -> Option<String> {
        let text = self.yaml(place).join("\n");
        let Report { findings, .. } = lint::source(&source::parse("import", &text));
        findings.into_iter().find(|found| found.severity == Severity::Error).map(|found| found.message)
    }

    /// Meta does not show the profile, which would be in the manifest otherwise: that of a number in the app is written there.
    fn hides_profile(&self) -> bool {
        let number = &self.kept.entry.number;
        number.profile.value().is_none() && !is_in_app(number)
    }

    /// Whether something of a number that is in use is missing here, because Meta did not show it.
    pub fn has_gap(&self) -> bool {
        let number = &self.kept.entry.number;
        self.hides_profile() && (number.profile.is_refused() || number.is_registered())
    }

    /// The manifest.
    pub fn yaml(&self, place: &Place) -> Vec<String> {
        let mut spec = self.spec.clone();
        spec.management_policy = self.only_observed.is_some().then_some(ManagementPolicy::ObserveOnly);
        // A spec is nothing but maps and texts.
        let spec = serde_json::to_value(spec).unwrap_or_default();
        yaml::lines(&place.object("WhatsAppChannel", &self.name, &spec))
    }

    /// What a person has to know, line by line.
    pub fn comments(&self, place: &Place) -> Vec<String> {
        let number = &self.kept.entry.number;
        let mut lines = vec![facts(number)];
        if let Some(why) = &self.only_observed {
            lines.push(format!("Only observed: {why}."));
        }
        if let Some(why) = &self.without_profile {
            lines.push(format!("The profile stays as it is and is not managed: {why}"));
        } else if self.hides_profile() {
            lines.push(
                "The profile is not shown in the list of numbers, so it stays as it is and is not managed."
                    .to_owned(),
            );
        }
        if let (Some(name), None) = (username(number), &self.spec.username) {
            let why = problem(name).map_or_else(String::new, |why| format!(": it {why}"));
            lines.push(format!("Its username {name:?} stays as it is and is not managed{why}"));
        }
        if let Some(url) = number.webhook.value().and_then(|webhook| webhook.number.as_deref()) {
            lines.push(format!("Its own webhook stays as it is and is not managed: {url}"));
            lines.push(
                "  To manage it, write this URL to spec.webhook.callbackUrl and name this Secret in spec.webhook.verifyTokenSecretRef, key verifyToken:"
                    .to_owned(),
            );
            let secret = format!("{}-webhook", self.name);
            lines.push(format!("  {}", create(&secret, "verifyToken", "verify-token", place)));
            lines.push(format!(
                "  kubectl label secret {secret} {USE_LABEL}={USE_VERIFY_TOKEN}{}",
                place.flag()
            ));
        }
        if let Some(url) = number.webhook.value().and_then(|webhook| webhook.account.as_deref()) {
            lines.push(format!("The webhook of its account stays as it is and is not managed: {url}"));
        }
        lines.extend(request(number));
        lines.push(UNSEEN.to_owned());
        let is_in_app = is_in_app(number);
        let has_pin = number.is_pin_enabled.value().copied().unwrap_or(number.is_registered());
        if has_pin && !is_in_app {
            lines.push("To register it once more, its PIN is needed, which Meta does not show:".to_owned());
            lines.push(format!("  {}", create(&format!("{}-pin", self.name), "pin", "pin", place)));
        }
        lines
    }
}

/// What no list of numbers tells, and a question for each number would be too much for.
const UNSEEN: &str = "Not read, so left as they are and not managed: its profile picture, and the region that stores its messages, if it has one.";

fn is_in_app(number: &Number) -> bool {
    number.is_on_biz_app.value() == Some(&true)
}

/// What became of a request for an official business account.
fn request(number: &Number) -> Option<String> {
    let request = number.official.value()?;
    let state = match &request.status {
        OfficialStatus::NotStarted | OfficialStatus::Approved => return None,
        OfficialStatus::Pending | OfficialStatus::UnderReview => "is open",
        OfficialStatus::Rejected => "was rejected",
        OfficialStatus::Expired | OfficialStatus::Cancelled => "has ended",
        OfficialStatus::Other(_) => "is in a state that is not known here",
    };
    let why = request.message.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    Some(format!(
        "Its request for an official business account {state} ({}), and is not managed{why}",
        request.status.as_str()
    ))
}

/// The command that makes a Secret of a file.
pub fn create(secret: &str, key: &str, file: &str, place: &Place) -> String {
    format!("kubectl create secret generic {secret} --from-file={key}=./{file}{}", place.flag())
}

/// What Meta shows, in its words.
fn facts(number: &Number) -> String {
    let name = number.verified_name.value().map_or("", String::as_str);
    let word =
        |what: &str, word: Option<&str>| word.map(|word| format!(", {what}{word}")).unwrap_or_default();
    format!(
        "{} {name:?}{}{}{}{}{}",
        number.display_phone_number,
        word("", number.platform.value().map(PlatformType::as_str)),
        word("", number.status.value().map(NumberStatus::as_str)),
        word("name ", number.name_status.value().map(NameStatus::as_str)),
        word("quality ", number.quality.as_ref().map(Quality::as_str)),
        if number.is_official == Some(true) { ", official business account" } else { "" },
    )
}

/// The username that Meta shows in a list, which is one that people can see.
fn username(number: &Number) -> Option<&str> {
    number.username.value().map(String::as_str).filter(|name| !name.is_empty())
}

/// Why a channel that may write would, at once or later.
fn unsettled(number: &Number) -> Option<String> {
    const ONCE: &str = "Remove managementPolicy to have";
    if number.status.value() == Some(&NumberStatus::Banned) {
        return Some(format!(
            "WhatsApp banned it: appeal in WhatsApp Manager. {ONCE} it managed once it is back"
        ));
    }
    match number.platform.value() {
        Some(PlatformType::CloudApi) => open_change(number),
        Some(PlatformType::NotApplicable) => Some(match number.code.value() {
            Some(CodeStatus::Verified) => format!(
                "it is verified and not registered. {ONCE} it registered, which takes it from any app on a phone that uses it"
            ),
            _ => format!(
                "it is neither verified nor registered. {ONCE} it verified with a code that you ask for, and registered, which takes it from any app on a phone that uses it"
            ),
        }),
        Some(PlatformType::OnPremise) => Some(format!(
            "it is in use on an On-Premises installation. {ONCE} it managed once it is registered with Cloud API"
        )),
        _ => Some(format!(
            "Meta does not show that it is registered with Cloud API. {ONCE} it managed: it is then verified and registered where Meta shows that it is not"
        )),
    }
}

/// A new name that is not live: it is not known yet which name the number will have.
fn open_change(number: &Number) -> Option<String> {
    let live = number.verified_name.value()?;
    let new = number.new_display_name.value().filter(|new| !is_same(new, live))?;
    match number.new_name_status.value() {
        Some(NameStatus::Declined | NameStatus::Expired | NameStatus::None | NameStatus::NonExists) => None,
        state => Some(format!(
            "a change of its name to {new:?} is open ({}). Set displayName to the name that the number is to have, then remove managementPolicy to have it managed",
            state.map_or("state not shown", NameStatus::as_str)
        )),
    }
}

/// The fields that Meta shows.
fn shown(profile: &observed::Profile) -> Option<Profile> {
    let text = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let vertical = |word: &String| serde_json::from_value::<Vertical>(json!(word)).ok();
    let shown = Profile {
        about: text(&profile.about),
        address: text(&profile.address),
        description: text(&profile.description),
        email: text(&profile.email),
        websites: (!profile.websites.is_empty()).then(|| profile.websites.clone()),
        vertical: profile.vertical.as_ref().and_then(vertical),
        picture_ref: None,
    };
    (shown != Profile::default()).then_some(shown)
}
