//! One request as data, and how it failed. Knows nothing of HTTP, budgets or credentials.

use secrecy::SecretString;
use serde_json::Value;

use super::{budget::Claim, edge::Edge, wire};
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
    /// A value in the body that must not come back in a text.
    pub(super) secret: Option<&'a SecretString>,
    pub(super) claim: Claim,
}

impl<'a> Call<'a> {
    pub(super) fn read(edge: Edge, account: Option<&'a AccountId>, node: &'a str, claim: Claim) -> Self {
        Self { edge, account, node, query: Vec::new(), body: None, secret: None, claim }
    }

    pub(super) fn write(edge: Edge, account: &'a AccountId, node: &'a str, body: Option<Value>) -> Self {
        let account = Some(account);
        Self { edge, account, node, query: Vec::new(), body, secret: None, claim: Claim::Write }
    }
}

/// A failure, with what only reads look at.
pub(super) struct Trouble {
    pub(super) failure: Box<Failure>,
    /// The field that Meta does not have.
    pub(super) field: Option<String>,
    /// Lost on the way, or a fault of the server: a read may be sent once more.
    pub(super) may_repeat: bool,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self { failure: Box::new(failure), field: None, may_repeat: false }
    }
}

impl Trouble {
    pub(super) fn no_answer(text: impl Into<String>) -> Self {
        Failure::NoAnswer(text.into()).into()
    }

    pub(super) fn into_failure(self) -> Failure {
        *self.failure
    }

    pub(super) fn repeatable(self) -> Self {
        Self { may_repeat: true, ..self }
    }

    /// Whether the refusal may be about this field, though it does not say so. An expansion may need a permission of
    /// its own, be an unknown edge, or be more data than Meta will give at once. The payment method is refused to
    /// every app whose business is no partner of Meta's, with code 10 and without the field's name.
    pub(super) fn may_blame(&self, field: &str) -> bool {
        self.failure.refusal().is_some_and(|refusal| match refusal.code {
            // A block of the app is about no field.
            _ if refusal.says(Said::AppBlocked) => false,
            code if field == wire::FUNDING => code == 10,
            100 => refusal.subcode != Some(33) && !refusal.is_about_credentials(),
            1 | 3 | 10 | 200..=299 => true,
            _ => false,
        })
    }
}
