//! The apps that tokens told: an app is learnt from its token, and remembered by credential.

use std::{collections::HashMap, sync::Mutex};

use jiff::Timestamp;

use super::{
    bounded::{lock, make_room},
    port::Credential,
};
use crate::engine::id::{AppId, BusinessId};

/// Credentials whose app is remembered per portfolio: in use and offered, by a few objects.
const APPS_PER_BUSINESS: usize = 16;

/// What tokens told about their app, by portfolio and version of the credential.
#[derive(Default)]
pub(super) struct Apps(pub(super) Mutex<HashMap<BusinessId, Told>>);

/// The apps of one portfolio's tokens, by version of the credential, and when one was last told.
pub(super) struct Told {
    at: Timestamp,
    known: Vec<(String, AppId)>,
}

impl Apps {
    /// The app that the token told, if it was asked yet.
    pub(super) fn of(&self, credential: &Credential) -> Option<AppId> {
        let apps = lock(&self.0);
        let known = &apps.get(&credential.business)?.known;
        known.iter().find(|(version, _)| *version == credential.version).map(|(_, app)| app.clone())
    }

    /// The token told its app.
    pub(super) fn learn(&self, credential: &Credential, app: &AppId, now: Timestamp) {
        let mut apps = lock(&self.0);
        make_room(&mut apps, &credential.business, |told| told.at);
        let told =
            apps.entry(credential.business.clone()).or_insert_with(|| Told { at: now, known: Vec::new() });
        told.at = now;
        let known = &mut told.known;
        known.retain(|(version, _)| *version != credential.version);
        known.push((credential.version.clone(), app.clone()));
        let surplus = known.len().saturating_sub(APPS_PER_BUSINESS);
        known.drain(..surplus);
    }
}
