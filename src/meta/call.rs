//! One request as data, and how it failed. Knows nothing of HTTP, budgets or credentials.

use bytes::Bytes;
use secrecy::SecretString;
use serde_json::Value;

use super::{budget::Claim, edge::Edge, envelope::Nonexisting, wire::Suspect};
use crate::engine::{
    failure::{Failure, Said},
    id::AccountId,
};

/// One request, as data. Not `Debug`: a body may hold a PIN or a code.
pub(super) struct Call<'a> {
    pub(super) edge: Edge,
    pub(super) account: Option<&'a AccountId>,
    /// The id in the address, where the edge has a place for one.
    pub(super) node: &'a str,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
    /// The bytes of a file, and how many of it came before.
    pub(super) bytes: Option<(usize, &'a Bytes)>,
    /// A value in the body that must not come back in a text.
    pub(super) secret: Option<&'a SecretString>,
    pub(super) claim: Claim,
}

impl<'a> Call<'a> {
    pub(super) fn read(edge: Edge, account: Option<&'a AccountId>, node: &'a str, claim: Claim) -> Self {
        Self { edge, account, node, query: Vec::new(), body: None, bytes: None, secret: None, claim }
    }

    pub(super) fn write(edge: Edge, account: &'a AccountId, node: &'a str, body: Option<Value>) -> Self {
        let account = Some(account);
        Self { edge, account, node, query: Vec::new(), body, bytes: None, secret: None, claim: Claim::Write }
    }

    /// Whether it writes, or is read only for a write.
    pub(super) fn is_of_write(&self) -> bool {
        self.edge.is_write() || self.edge.is_of_upload() || self.claim == Claim::Write
    }
}

/// A failure, with what only reads look at.
pub(super) struct Trouble {
    pub(super) failure: Box<Failure>,
    /// The field that Meta does not have.
    pub(super) nonexisting: Option<Nonexisting>,
    /// Lost on the way, or a fault of the server: a read may be sent once more.
    pub(super) may_repeat: bool,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self { failure: Box::new(failure), nonexisting: None, may_repeat: false }
    }
}

impl Trouble {
    pub(super) fn no_answer(text: impl Into<String>) -> Self {
        Failure::NoAnswer(text.into()).into()
    }

    pub(super) fn into_failure(self) -> Failure {
        *self.failure
    }

    /// Meta's code, if it refused.
    pub(super) fn code(&self) -> Option<i64> {
        self.failure.refusal().map(|refusal| refusal.code)
    }

    pub(super) fn repeatable(self) -> Self {
        Self { may_repeat: true, ..self }
    }

    /// Whether the refusal may be about one of the fields, though it names none: a permission that one field needs, or a
    /// field that this node does not have.
    pub(super) fn may_be_about_a_field(&self) -> bool {
        self.failure.refusal().is_some_and(|refusal| match refusal.code {
            // A block of the app is about no field.
            _ if refusal.says(Said::AppBlocked) => false,
            100 => refusal.subcode != Some(33) && !refusal.is_about_credentials(),
            3 | 10 | 200..=299 => true,
            _ => false,
        })
    }

    /// Whether this field may be the cause. An expansion may also be more data than Meta will give at once, which is
    /// code 1.
    pub(super) fn may_blame(&self, suspect: &Suspect) -> bool {
        let Some(code) = self.code().filter(|_| self.nonexisting.is_none()) else { return false };
        suspect.code.map_or_else(|| code == 1 || self.may_be_about_a_field(), |known| known == code)
    }
}
