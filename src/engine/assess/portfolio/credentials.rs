//! The credentials of a portfolio: whether those in use work, and whether those offered are taken up.

use jiff::Timestamp;

use crate::engine::{
    assess::{
        portfolio::scene::{PortfolioGiven, Verdict, failure, keep_known},
        scene::Judged,
    },
    rule::say,
    value::time::later,
    value::{
        condition::Truth,
        condition_type::ConditionType,
        desired::SecretKey,
        failure::{Failure, Refusal},
        id::{Fact, TokenType},
        portfolio::{REQUIRED_SCOPES, SCOPE_BUSINESS, TokenFacts},
        reason::Reason,
        secret::{SecretFact, Unread},
    },
};

/// What was found out about one set of credentials.
#[derive(Clone, Debug, PartialEq)]
enum Trial {
    /// Nothing was found out.
    Unknown,
    Works {
        expires: Option<Timestamp>,
    },
    /// Meta tells nothing about the token, and takes it.
    Uninspected,
    Fails {
        reason: Reason,
        message: String,
        refusal: Option<Refusal>,
    },
}

/// What reads prove about a credential whose scopes are in doubt.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Proof<'a> {
    /// Nothing was read, or nothing was answered.
    None,
    /// Meta shows something that needs the scope.
    Shown,
    /// Meta refuses it for want of a permission.
    Denied(&'a Refusal),
}

impl<'a> Proof<'a> {
    fn one<T>(read: &'a Fact<T>) -> Self {
        match read {
            Fact::Known(_) => Self::Shown,
            Fact::Unknown(failure) => {
                let denied = failure.refusal().filter(|refusal| refusal.is_permission());
                denied.map_or(Self::None, Self::Denied)
            }
            Fact::NotAsked => Self::None,
        }
    }

    /// One that is shown is enough; a refusal counts when nothing else could have been shown.
    fn of<const N: usize>(reads: [Self; N]) -> Self {
        let open = reads.iter().find(|read| **read == Self::None);
        let shown = reads.iter().find(|read| **read == Self::Shown);
        shown.or(open).or(reads.first()).copied().unwrap_or(Self::None)
    }
}

/// Whether what Meta says about a token leaves a doubt that a read has to end: a scope is not listed, or Meta refuses to
/// tell anything about the token.
///
/// ```
/// use whatsapp_operator::engine::assess::portfolio::needs_proof;
/// use whatsapp_operator::engine::{id::Fact, portfolio::TokenFacts};
/// // Nothing was said, so there is nothing to doubt.
/// assert!(!needs_proof(&Fact::<TokenFacts>::NotAsked));
/// ```
pub fn needs_proof(token: &Fact<TokenFacts>) -> bool {
    match token {
        Fact::Known(facts) => facts.is_valid && !facts.lacks(&REQUIRED_SCOPES).is_empty(),
        Fact::Unknown(failure) => is_uninspected(failure),
        Fact::NotAsked => false,
    }
}

/// Whether Meta refuses to tell anything about the token, which says nothing about whether it works.
fn is_uninspected(failure: &Failure) -> bool {
    failure.refusal().is_some_and(Refusal::refuses_inspection)
}

/// The judgement of the credentials.
pub(super) struct Credentials<'a> {
    pub verdict: Verdict,
    /// The version in use from now on.
    pub version: Option<String>,
    /// Whether the offered version is taken up.
    pub accept: bool,
    /// What `debug_token` said about the version that the verdict is about.
    pub token: &'a Fact<TokenFacts>,
}

impl<'a> PortfolioGiven<'a> {
    /// A new version is checked before it is used, and the old one is used until then. Answers to another version
    /// say nothing about the one in use.
    pub(super) fn credentials(&self) -> Credentials<'a> {
        let mut credentials = self.judged();
        if credentials.verdict.judged == Judged::Keep {
            credentials.verdict.judged = self.kept();
        }
        credentials
    }

    /// What stands stays, and a Secret that cannot be read for long is told beside it, or no longer.
    fn kept(&self) -> Judged {
        let Some(told) = self.before.get(ConditionType::CredentialsValid) else { return Judged::Keep };
        let stands = told.message.split_once(UNREAD).map_or(&*told.message, |(stands, _)| stands);
        let is_told = stands.len() < told.message.len();
        let message = match self.observed.unread.as_ref().filter(|unread| unread.is_lasting(self.now)) {
            // Told already, perhaps by an earlier process, which saw it begin.
            _ if is_told && self.observed.unread.is_some() => return Judged::Keep,
            Some(Unread { since, why }) => format!("{stands}{UNREAD}{} ({why})", say::time(*since)),
            None => stands.to_owned(),
        };
        match told.status {
            _ if message == told.message => Judged::Keep,
            Truth::True => Judged::True(told.reason, message),
            Truth::False => Judged::False(told.reason, message),
            Truth::Unknown => Judged::Unknown(told.reason, message),
        }
    }

    fn judged(&self) -> Credentials<'a> {
        let observed = self.observed;
        match self.trial() {
            Trial::Works { expires } => Credentials {
                verdict: self.works(expires),
                version: observed.offered.clone(),
                accept: true,
                token: &observed.token,
            },
            Trial::Uninspected => Credentials {
                verdict: Verdict::plain(Judged::True(Reason::TokenAccepted, UNINSPECTED.into())),
                version: observed.offered.clone(),
                accept: true,
                token: &observed.token,
            },
            trial if self.is_rotating() => self.rotation(trial),
            Trial::Unknown => Credentials {
                verdict: Verdict::plain(self.not_tried()),
                version: observed.in_use.clone().filter(|_| !self.is_dead()),
                accept: false,
                token: &observed.token,
            },
            Trial::Fails { reason, message, refusal } => Credentials {
                verdict: Verdict { judged: Judged::False(reason, message), refusal },
                version: None,
                accept: false,
                token: &observed.token,
            },
        }
    }

    /// Whether another version than the one in use is offered.
    fn is_rotating(&self) -> bool {
        self.observed.in_use.is_some() && self.observed.offered != self.observed.in_use
    }

    /// The offered version is not used. The version in use stays in use as long as it works. If neither works, a
    /// person has to correct the offered one.
    fn rotation(&self, offered: Trial) -> Credentials<'a> {
        let observed = self.observed;
        let serving = self.serving();
        let is_dead = match serving {
            Trial::Works { .. } | Trial::Uninspected => false,
            Trial::Fails { .. } => true,
            Trial::Unknown => self.is_dead(),
        };
        let (judged, refusal) = match (offered, serving) {
            (Trial::Fails { message, refusal, .. }, _) if !is_dead => {
                let text = format!(
                    "the new credentials do not work: {message}; the old ones are still used, until the operator restarts"
                );
                (Judged::True(Reason::NewTokenRejected, text), refusal)
            }
            (Trial::Fails { reason, message, refusal }, _)
            | (_, Trial::Fails { reason, message, refusal }) => (Judged::False(reason, message), refusal),
            _ if !is_dead && self.before.is(ConditionType::CredentialsValid, Truth::False) => {
                (accepted(), None)
            }
            _ => (Judged::Keep, None),
        };
        Credentials {
            verdict: Verdict { judged, refusal },
            version: observed.in_use.clone().filter(|_| !is_dead),
            accept: false,
            token: if is_dead { &observed.token } else { &observed.token_in_use },
        }
    }

    /// What was found out about the version in use while another is offered.
    fn serving(&self) -> Trial {
        match &self.observed.token_in_use {
            Fact::Known(token) => self.try_token(token, false, self.lists_prove(Some(token))),
            Fact::Unknown(failure) => self.try_failure(failure),
            Fact::NotAsked => self.try_reads(),
        }
    }

    /// Nothing new is known. Only a rejected version that was removed is no longer reported.
    fn not_tried(&self) -> Judged {
        let told = self.before.get(ConditionType::CredentialsValid);
        let is_outdated =
            told.is_some_and(|c| c.reason == Reason::NewTokenRejected || c.status == Truth::False);
        if self.observed.in_use.is_some() && is_outdated && !self.is_dead() {
            return accepted();
        }
        Judged::Keep
    }

    /// Whether this process found that the credentials in use do not work any more. What status shows may be
    /// older than what this process found, when it could not be written.
    fn is_dead(&self) -> bool {
        self.view_before.is_some_and(|view| view.credential_version.is_none())
            && self.before.is(ConditionType::CredentialsValid, Truth::False)
    }

    fn works(&self, expires: Option<Timestamp>) -> Verdict {
        let judged = match expires {
            Some(at) if at < later(self.now, self.limits.token_warning) => Judged::True(
                Reason::TokenExpiresSoon,
                format!("the token works until {at}; put a new one into the Secret"),
            ),
            _ => accepted(),
        };
        Verdict::plain(judged)
    }

    fn trial(&self) -> Trial {
        if let Some(trial) = self.secrets() {
            return trial;
        }
        match &self.observed.token {
            Fact::Known(token) => self.try_token(token, self.is_new(), self.read_proves()),
            Fact::Unknown(failure) if is_uninspected(failure) && self.is_offered() => {
                match self.read_proves() {
                    Proof::None => self.try_reads_of(&self.observed.proof),
                    // One that works is not given up for one of which nothing but a refusal is known.
                    Proof::Denied(refusal) if self.is_rotating() => fails(
                        Reason::ScopesMissing,
                        format!(
                            "Meta does not let the token be inspected, and refuses to show it an account; {NEW_TOKEN}"
                        ),
                        Some(refusal.clone()),
                    ),
                    Proof::Shown | Proof::Denied(_) => Trial::Uninspected,
                }
            }
            Fact::Unknown(failure) => self.try_failure(failure),
            // Reads are made with the version in use.
            Fact::NotAsked if self.is_rotating() => Trial::Unknown,
            Fact::NotAsked => self.try_reads(),
        }
    }

    /// What the Secrets themselves already tell.
    fn secrets(&self) -> Option<Trial> {
        let token =
            secret_trial(&self.observed.access_token, &self.desired.access_token, Reason::TokenInvalid);
        token.or_else(|| {
            let wanted = self.desired.app_secret.as_ref()?;
            secret_trial(&self.observed.app_secret, wanted, Reason::AppSecretWrong)
        })
    }

    /// Whether the credential is to be taken up, and not in use in this process.
    fn is_offered(&self) -> bool {
        self.observed.offered != self.observed.in_use
    }

    /// Whether the token is one that was not in use yet. After a restart the one that worked before counts as in use.
    fn is_new(&self) -> bool {
        let told = self.before.get(ConditionType::CredentialsValid);
        let worked = told.is_some_and(|c| c.status == Truth::True && c.reason != Reason::NewTokenRejected);
        self.is_rotating() || (self.observed.in_use.is_none() && !worked)
    }

    /// What a read with the offered credential proves.
    fn read_proves(&self) -> Proof<'a> {
        match (&self.observed.proof, self.is_rotating()) {
            (Fact::NotAsked, false) => self.lists_prove(self.observed.token.known()),
            (proof, _) => Proof::of([Proof::one(proof)]),
        }
    }

    /// What the lists of accounts prove about the credential in use. They need a scope of their own as well, so that
    /// without it their refusal proves nothing.
    fn lists_prove(&self, token: Option<&TokenFacts>) -> Proof<'a> {
        let proof = Proof::of([Proof::one(&self.observed.owned), Proof::one(&self.observed.client)]);
        let may_list = token.is_some_and(|token| token.lacks(&[SCOPE_BUSINESS]).is_empty());
        if matches!(proof, Proof::Denied(_)) && !may_list { Proof::None } else { proof }
    }

    /// `is_new`: kind and remaining life are judged when a token is offered. One in use works until it ends.
    fn try_token(&self, token: &TokenFacts, is_new: bool, proof: Proof<'_>) -> Trial {
        if let Some(expired) = token.expires_at.filter(|at| *at <= self.now) {
            return fails(
                Reason::TokenExpired,
                format!("the token expired at {expired}; {NEW_TOKEN}"),
                token.error.clone(),
            );
        }
        if !token.is_valid {
            return invalid(token.error.clone());
        }
        if let Some(trial) = self.try_kind(token).filter(|_| is_new) {
            return trial;
        }
        if let (Some(wanted), Some(app)) = (&self.desired.app, &token.app)
            && wanted != app
        {
            return fails(
                Reason::AppSecretWrong,
                format!(
                    "the token belongs to app {app}, and spec.credentials.appId says {wanted}; correct appId, or take a token of that app"
                ),
                None,
            );
        }
        // A scope that is not listed is a suspicion, and a read decides.
        let missing = token.lacks(&REQUIRED_SCOPES);
        match proof {
            _ if missing.is_empty() => Trial::Works { expires: token.end() },
            Proof::Shown => Trial::Works { expires: token.end() },
            // It worked before, and without the scope for lists their refusal proves nothing.
            Proof::Denied(_) if !is_new && !token.lacks(&[SCOPE_BUSINESS]).is_empty() => {
                Trial::Works { expires: token.end() }
            }
            Proof::Denied(refusal) => {
                let text = format!(
                    "the token lacks {}, and Meta refuses to show it an account; generate one with these scopes and put it into the Secret",
                    missing.join(" and ")
                );
                fails(Reason::ScopesMissing, text, Some(refusal.clone()))
            }
            Proof::None => Trial::Unknown,
        }
    }

    /// A system user's token is the normal one; a person's that soon expires would work today and fail tomorrow.
    fn try_kind(&self, token: &TokenFacts) -> Option<Trial> {
        let text = match token.kind {
            TokenType::SystemUser | TokenType::Other(_) => return None,
            TokenType::User => {
                let soon = token.end().is_some_and(|at| at < later(self.now, self.limits.token_warning));
                if !soon {
                    return None;
                }
                "it is a person's token and expires within days"
            }
            TokenType::Page => "it is a page's token",
            TokenType::App => "it is an app's token",
        };
        Some(fails(
            Reason::TokenTypeNotUsable,
            format!("{text}; generate one for a system user of the portfolio"),
            None,
        ))
    }

    fn try_failure(&self, failure: &Failure) -> Trial {
        match failure.refusal() {
            Some(refusal) => self.about_credentials(refusal).unwrap_or(Trial::Unknown),
            None => Trial::Unknown,
        }
    }

    /// Without `debug_token`, a read with the credential in use may still say that it is dead.
    fn try_reads(&self) -> Trial {
        let failures =
            [failure(&self.observed.business), failure(&self.observed.owned), failure(&self.observed.client)];
        let refusals = failures.into_iter().flatten().filter_map(Failure::refusal);
        refusals.into_iter().find_map(|refusal| self.about_credentials(refusal)).unwrap_or(Trial::Unknown)
    }

    fn try_reads_of(&self, proof: &Fact<()>) -> Trial {
        failure(proof).map_or(Trial::Unknown, |failure| self.try_failure(failure))
    }

    /// The codes that speak of the credentials; a permission error on one object does not.
    fn about_credentials(&self, refusal: &Refusal) -> Option<Trial> {
        if !refusal.is_about_credentials() {
            return None;
        }
        let signed = self.desired.app_secret.is_some();
        let text = match refusal.code {
            104 if signed => {
                format!("Meta does not accept the signature made with the app secret; {APP_SECRET}")
            }
            100 if signed => format!("the app secret is not the one of the token's app; {APP_SECRET}"),
            100 => "the token's app demands that calls are signed; put its app secret, from the app's basic settings, into a Secret and name it in spec.credentials.appSecretRef".into(),
            _ => return Some(invalid(Some(refusal.clone()))),
        };
        Some(fails(Reason::AppSecretWrong, text, Some(refusal.clone())))
    }

    pub(super) fn token(&self, credentials: &Credentials<'_>) -> Fact<TokenFacts> {
        keep_known(credentials.token, self.view_before.map(|v| &v.token))
    }
}

fn fails(reason: Reason, message: String, refusal: Option<Refusal>) -> Trial {
    Trial::Fails { reason, message, refusal }
}

fn accepted() -> Judged {
    Judged::True(Reason::TokenAccepted, "Meta accepts the token".into())
}

/// What a Secret tells by itself; `malformed` is what a text is called that cannot be what it should be.
fn secret_trial(secret: &SecretFact, at: &SecretKey, malformed: Reason) -> Option<Trial> {
    let SecretKey { name, key } = at;
    match secret {
        SecretFact::Missing => Some(fails(
            Reason::SecretMissing,
            format!("there is no Secret {name}; create it, with the key {key}"),
            None,
        )),
        SecretFact::KeyMissing { .. } => Some(fails(
            Reason::SecretKeyMissing,
            format!("Secret {name} has no text under the key {key}; put it there"),
            None,
        )),
        SecretFact::Forbidden(why) => {
            let text = say::forbidden(&format!("Secret {name}"), None, why);
            Some(fails(Reason::SecretForbidden, text, None))
        }
        SecretFact::Unreadable(_) => Some(Trial::Unknown),
        SecretFact::Present { well_formed: false, .. } => {
            let text = format!(
                "the text under the key {key} of Secret {name} is longer than 4 KiB, or holds characters that Meta never uses there, such as spaces, line breaks in the middle or curly quotes; copy it from Meta again, and write it without anything around it"
            );
            Some(fails(malformed, text, None))
        }
        SecretFact::NotAsked | SecretFact::Unlabelled | SecretFact::Present { .. } => None,
    }
}

/// Between what is known of the credentials, and since when they cannot be read any more.
const UNREAD: &str = "; the Secret with the credentials cannot be read since ";
/// Said of a token that Meta takes and tells nothing about.
const UNINSPECTED: &str = "Meta accepts the token, and does not let it be inspected; give appId and appSecretRef, so that its scopes and its end are known";
/// What helps against a token that does not work.
const NEW_TOKEN: &str = "generate one for the system user and put it into the Secret";
/// What helps against a wrong signature.
const APP_SECRET: &str = "copy it from the app's basic settings into the Secret, or leave appSecretRef out if the app does not demand it";

fn invalid(error: Option<Refusal>) -> Trial {
    let (reason, text) = match error.as_ref().and_then(|e| e.subcode) {
        Some(463) => (Reason::TokenExpired, "the token has expired"),
        Some(458) => (Reason::TokenInvalid, "the app is no longer allowed to act for the token's user"),
        Some(459 | 464) => (Reason::TokenInvalid, "the token's user has to log in to Meta first"),
        Some(460) => (Reason::TokenInvalid, "the password of the token's user was changed"),
        _ => (Reason::TokenInvalid, "Meta does not accept the token"),
    };
    fails(reason, format!("{text}; {NEW_TOKEN}"), error)
}
