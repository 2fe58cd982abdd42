//! Somebody else who manages a number at Meta, such as a person in WhatsApp Manager or another tool.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::clock::after_secs;
use super::part::{Override, Profile, Username};

/// The apps that are subscribed to an account, by app id.
pub(super) type Apps = BTreeMap<String, Override>;

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
    /// The username of the number. No effect is recorded when he claims it.
    pub username: Option<String>,
    /// He takes the picture of the number away.
    pub without_picture: bool,
    /// The app that he unsubscribes from the number's account.
    pub unsubscribes: Option<String>,
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
    pub(super) username: Option<Username>,
    /// The apps subscribed to the account.
    pub(super) subscribed: Apps,
}

impl Rival {
    /// What he does by now. None: he has done all that he will.
    pub(super) fn act(mut self, stands: &mut Shared, now: Timestamp) -> Option<Self> {
        let wanted = Shared {
            name: self.name.clone().unwrap_or_else(|| stands.name.clone()),
            callback: self.callback.clone().or_else(|| stands.callback.clone()),
            profile: self.over(&stands.profile),
            is_registered: self.registered.unwrap_or(stands.is_registered),
            username: self.username_over(stands.username.as_ref()),
            subscribed: self.left_of(&stands.subscribed),
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

    fn username_over(&self, stands: Option<&Username>) -> Option<Username> {
        let wanted = self.username.as_deref().map(Username::approved);
        let is_his = stands.map(|stands| &stands.name) == wanted.as_ref().map(|wanted| &wanted.name);
        wanted.filter(|_| !is_his).or_else(|| stands.cloned())
    }

    fn left_of(&self, subscribed: &Apps) -> Apps {
        let stays = |app: &String| self.unsubscribes.as_ref() != Some(app);
        subscribed.iter().filter(|(app, _)| stays(app)).map(|(app, of)| (app.clone(), of.clone())).collect()
    }

    /// A profile with what he wants of it.
    fn over(&self, profile: &Profile) -> Profile {
        let nothing = Profile::default();
        let wanted = self.profile.as_ref().unwrap_or(&nothing);
        let text =
            |wanted: &Option<String>, stands: &Option<String>| wanted.clone().or_else(|| stands.clone());
        Profile {
            about: text(&wanted.about, &profile.about),
            address: text(&wanted.address, &profile.address),
            description: text(&wanted.description, &profile.description),
            email: text(&wanted.email, &profile.email),
            websites: if wanted.websites.is_empty() { &profile.websites } else { &wanted.websites }.clone(),
            vertical: text(&wanted.vertical, &profile.vertical),
            pictures: if self.without_picture { 0 } else { profile.pictures },
        }
    }
}
