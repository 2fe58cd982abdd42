//! Somebody else who manages a number at Meta, such as a person in WhatsApp Manager or another tool.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::clock::after_secs;
use super::part::Profile;

/// What somebody else wants of a number. He changes it at once, and again whenever it was changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Rival {
    /// The live display name.
    pub name: Option<String>,
    /// What stands in the profile; fields that are not named are not his.
    pub profile: Option<Profile>,
    /// The webhook of the number.
    pub callback: Option<String>,
    /// Whether the number is registered with the Cloud API, which any of its partners may begin and end.
    pub registered: Option<bool>,
    /// He notices a change after this time.
    pub after_secs: u64,
    /// How often he changes something; for ever, if not said.
    pub times: Option<u32>,
    /// When he next does.
    pub due: Option<Timestamp>,
}

/// What of a number somebody else may change.
#[derive(Clone, PartialEq)]
pub(super) struct Shared {
    pub(super) name: String,
    pub(super) callback: Option<String>,
    pub(super) profile: Profile,
    pub(super) is_registered: bool,
}

impl Rival {
    /// What he does by now. None: he has done all that he will.
    pub(super) fn act(mut self, stands: &mut Shared, now: Timestamp) -> Option<Self> {
        let wanted = Shared {
            name: self.name.clone().unwrap_or_else(|| stands.name.clone()),
            callback: self.callback.clone().or_else(|| stands.callback.clone()),
            profile: self.over(&stands.profile),
            is_registered: self.registered.unwrap_or(stands.is_registered),
        };
        if wanted == *stands {
            self.due = None;
            return Some(self);
        }
        let due = *self.due.get_or_insert_with(|| after_secs(now, self.after_secs));
        if due <= now {
            *stands = wanted;
            self.due = None;
            self.times = self.times.map(|times| times.saturating_sub(1));
        }
        (self.times != Some(0)).then_some(self)
    }

    /// A profile with what he wants of it.
    fn over(&self, profile: &Profile) -> Profile {
        let Some(wanted) = &self.profile else { return profile.clone() };
        let text =
            |wanted: &Option<String>, stands: &Option<String>| wanted.clone().or_else(|| stands.clone());
        Profile {
            about: text(&wanted.about, &profile.about),
            address: text(&wanted.address, &profile.address),
            description: text(&wanted.description, &profile.description),
            email: text(&wanted.email, &profile.email),
            websites: if wanted.websites.is_empty() { &profile.websites } else { &wanted.websites }.clone(),
            vertical: text(&wanted.vertical, &profile.vertical),
            pictures: profile.pictures,
        }
    }
}
