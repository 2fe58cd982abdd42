//! The credential of a portfolio: what its Secrets offer, what Meta says about it, and when it is taken up.
//!
//! A new version is checked before it is used, and the old one is used until then. Nothing here reads or writes
//! the portfolio itself.

use std::sync::Arc;

use jiff::Timestamp;
use tracing::info;

use crate::engine::{
    assess::portfolio::{PortfolioAssessment, PortfolioGiven, PortfolioObserved, assess_portfolio},
    condition::ConditionSet,
    desired::{DesiredPortfolio, SecretKey},
    id::{AppId, Fact},
    portfolio::TokenFacts,
    secret::{SecretFact, SecretVersion},
    status::WaitingFor,
};
use crate::{
    meta::port::{Clock, Credential, Graph, GraphSource},
    run::{
        observe::{PortfolioFacts, fact, prove},
        pass::Shell,
        secret::{Secrets, credential_fact},
    },
};

use super::{
    reading::{Means, Reading, Ring, Wanted},
    state::{InUse, Key, State, Tried, is_open},
};

/// Both Secrets of a credential, as they stand.
pub struct Offer {
    access_token: SecretFact,
    app_secret: SecretFact,
    /// Version and values, when both are there.
    credential: Option<(String, Key)>,
}

impl Offer {
    /// Reads them.
    pub async fn read<S: Secrets>(secrets: &S, desired: &DesiredPortfolio) -> Self {
        let (token_fact, token) = credential_fact(secrets.read(&desired.access_token).await);
        let (app_fact, app_secret) = match &desired.app_secret {
            Some(key) => credential_fact(secrets.read(key).await),
            None => (SecretFact::NotAsked, None),
        };
        let complete = token.filter(|_| desired.app_secret.is_none() || app_secret.is_some());
        let credential = complete.map(|(version, token)| {
            let app = desired.app_secret.as_ref().zip(app_secret.as_ref());
            let secrets = [(&desired.access_token, &version)]
                .into_iter()
                .chain(app.map(|(key, (version, _))| (key, version)));
            let version = version_of(secrets, desired.app.as_ref());
            let app_secret = app_secret.map(|(_, secret)| secret);
            (version, Key { token, app_secret, app: desired.app.clone() })
        });
        Self { access_token: token_fact, app_secret: app_fact, credential }
    }

    /// A Secret that was written again with the same bytes holds the same credential, so it goes by the version that is
    /// known already: nothing is checked, and no channel is woken.
    #[must_use]
    pub fn recognised<G>(mut self, state: &State<G>) -> Self {
        let in_use = state.in_use.as_ref().map(|in_use| (&in_use.version, &in_use.key));
        let tried = state.tried.as_ref().map(|tried| (&tried.version, &tried.key));
        if let Some((version, key)) = &mut self.credential
            && let Some((known, _)) = [in_use, tried].into_iter().flatten().find(|(_, known)| known.is(key))
        {
            version.clone_from(known);
        }
        self
    }

    /// What both Secrets are like, by their versions.
    pub fn facts(&self) -> [SecretFact; 2] {
        [self.access_token.clone(), self.app_secret.clone()]
    }

    /// Why one of them could not be read.
    pub fn unread(&self) -> Option<&str> {
        [&self.access_token, &self.app_secret].into_iter().find_map(|fact| match fact {
            SecretFact::Unreadable(why) => Some(why.as_str()),
            _ => None,
        })
    }

    /// The version, when both are there.
    fn version(&self) -> Option<&str> {
        self.credential.as_ref().map(|(version, ..)| version.as_str())
    }
}

/// What Meta said about tokens in one look.
#[derive(Clone)]
struct Said {
    /// About the one that the Secrets hold.
    offered: Fact<TokenFacts>,
    /// What a read with it came to, where that leaves a doubt.
    proof: Fact<()>,
    /// About the one in use, where that is another.
    in_use: Fact<TokenFacts>,
}

/// What the status shows of earlier looks.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    pub conditions: &'a ConditionSet,
    pub waiting: &'a [WaitingFor],
}

/// One examination of what a portfolio is offered and of what it uses.
pub struct Examination<'a, S, C> {
    pub source: &'a S,
    pub shell: &'a Shell<C>,
    pub desired: &'a DesiredPortfolio,
    pub offer: &'a Offer,
    /// Has the portfolio looked at, when more is known.
    pub ring: &'a Ring,
}

impl<S: GraphSource, C: Clock> Examination<'_, S, C> {
    /// Asks Meta what has to be asked, and judges. An offered credential that is taken up is in use when this ends.
    pub async fn judge(&self, state: &mut State<S::Graph>, shown: Shown<'_>) -> PortfolioAssessment {
        let now = self.now();
        state.note_read(self.offer.unread(), now);
        let fresh = self.shell.limits.fresh_portfolio;
        // No channel calls meanwhile, so this is who finds out when it is over.
        state.is_doubted |= state.app_blocked().is_some();
        let may_ask = state.may_ask(now);
        let is_doubted = state.is_doubted && may_ask;
        let offered = self.offer.version();
        let is_in_use =
            offered.is_some() && offered == state.in_use.as_ref().map(|in_use| in_use.version.as_str());
        let token_in_use = match &state.in_use {
            Some(in_use) if state.is_check_due(fresh, now) => fact(in_use.graph.debug_token().await),
            _ => Fact::NotAsked,
        };
        let is_dead = state.view.as_ref().is_some_and(|view| view.credential_version.is_none());
        let (offered_token, proof) = match &state.in_use {
            // One that was found dead is proven anew, since its lists are read no more.
            Some(in_use) if is_in_use && is_dead => {
                (Fact::NotAsked, prove(&in_use.graph, &token_in_use, now).await)
            }
            Some(_) if is_in_use => (Fact::NotAsked, Fact::NotAsked),
            _ => self.try_offer(state).await,
        };
        if token_in_use != Fact::NotAsked {
            state.note_check(&token_in_use, now);
        }
        let said = if is_in_use {
            state.tried = None;
            Said { offered: token_in_use, proof, in_use: Fact::NotAsked }
        } else {
            Said { offered: offered_token, proof, in_use: token_in_use }
        };
        // Where there was nothing to ask, the Secrets are the answer.
        if may_ask && !is_open(&said.offered) && !is_open(&said.in_use) {
            state.is_doubted = false;
        }
        let first = self.assess(state, said.clone(), PortfolioFacts::default(), shown);
        if first.accept_offered && !is_in_use {
            self.take_up(state, &said.offered);
        }
        if first.view.credential_version.is_none() {
            return first;
        }
        let Some(in_use) = &state.in_use else { return first };
        let (clock, tasks) = (Arc::clone(&self.shell.clock), self.shell.tasks.clone());
        let means = Means { clock, tasks, ring: Arc::clone(self.ring) };
        let lists_now = state.is_nudged && may_ask;
        let wanted = Wanted { now, fresh, business_now: is_doubted, lists_now };
        let facts = state.reading.go_on(&in_use.graph, &means, wanted).await;
        if is_doubted {
            state.asked_at = state.asked_at.max(Some(now));
        }
        state.is_nudged &= !lists_now;
        let Some(facts) = facts else { return first };
        state.view = Some(first.view.clone());
        self.assess(state, said, facts, Shown { conditions: &first.conditions, waiting: &first.waiting_for })
    }

    fn assess(
        &self,
        state: &State<S::Graph>,
        said: Said,
        facts: PortfolioFacts,
        shown: Shown<'_>,
    ) -> PortfolioAssessment {
        let observed = PortfolioObserved {
            access_token: self.offer.access_token.clone(),
            app_secret: self.offer.app_secret.clone(),
            unread: state.unread.clone(),
            in_use: state.in_use.as_ref().map(|in_use| in_use.version.clone()),
            offered: self.offer.version().map(str::to_owned),
            token: said.offered,
            token_in_use: said.in_use,
            proof: said.proof,
            business: facts.business,
            owned: facts.owned,
            client: facts.client,
            seen: facts.seen,
            app_webhook: Fact::NotAsked,
            throttled_until: state.in_use.as_ref().and_then(|in_use| in_use.graph.throttled_until(None)),
            app_blocked: state.app_blocked(),
        };
        let Shown { conditions, waiting } = shown;
        assess_portfolio(&PortfolioGiven {
            desired: self.desired,
            observed: &observed,
            before: conditions,
            waiting_before: waiting,
            view_before: state.view.as_ref(),
            limits: &self.shell.limits,
            now: self.now(),
        })
    }

    /// Asks Meta about a version that is not in use, unless it was asked about that version before.
    async fn try_offer(&self, state: &mut State<S::Graph>) -> (Fact<TokenFacts>, Fact<()>) {
        let nothing = (Fact::NotAsked, Fact::NotAsked);
        let Some(version) = self.offer.version() else { return nothing };
        let now = self.now();
        if let Some(said) = state.said_of(version, self.shell.limits.fresh_portfolio, now) {
            return said;
        }
        let Some(graph) = self.graph(self.desired.app.clone()) else { return nothing };
        let Some((_, key)) = self.offer.credential.clone() else { return nothing };
        let token = fact(graph.debug_token().await);
        let proof = prove(&graph, &token, now).await;
        state.asked_at = Some(now);
        if state.in_use.is_none() {
            // There is nothing else that a doubt could be about.
            state.note_check(&token, now);
        }
        let (said, at) = ((token.clone(), proof.clone()), now);
        state.tried = Some(Tried { version: version.to_owned(), key, graph, token, proof, at });
        said
    }

    /// From now on channels are served with the offered credential.
    fn take_up(&self, state: &mut State<S::Graph>, token: &Fact<TokenFacts>) {
        let Some(tried) = state.tried.take() else { return };
        info!("new credential in use");
        let learnt = token.known().and_then(|token| token.app.clone()).filter(|_| self.desired.app.is_none());
        let graph = match learnt {
            Some(app) => self.graph(Some(app)).unwrap_or(tried.graph),
            None => tried.graph,
        };
        state.in_use = Some(InUse { version: tried.version, key: tried.key, graph });
        state.note_answer(tried.at);
        state.reading = Reading::default();
    }

    fn graph(&self, app: Option<AppId>) -> Option<S::Graph> {
        let (version, Key { token, app_secret, .. }) = self.offer.credential.clone()?;
        Some(self.source.graph(Credential {
            business: self.desired.business.clone(),
            version,
            token,
            app_secret,
            app,
        }))
    }

    fn now(&self) -> Timestamp {
        self.shell.clock.now()
    }
}

/// Tells credentials apart: another key of the same Secret holds another one.
fn version_of<'a>(
    secrets: impl Iterator<Item = (&'a SecretKey, &'a SecretVersion)>,
    app: Option<&AppId>,
) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for (key, version) in secrets {
        parts.extend([version.uid.as_str(), version.resource_version.as_str(), key.key.as_str()]);
    }
    parts.extend(app.map(AppId::as_str));
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_key_of_a_secret_is_another_credential() {
        let version = SecretVersion { uid: "u".into(), resource_version: "7".into() };
        let key = |key: &str| SecretKey { name: "acme-meta".into(), key: key.into() };
        let of = |token: &str, app: Option<&str>| {
            let keys = [Some(key(token)), app.map(key)];
            version_of(keys.iter().flatten().map(|key| (key, &version)), None)
        };
        let all = [of("token", None), of("other", None), of("token", Some("app")), of("token", Some("old"))];
        let told_apart: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(told_apart.len(), all.len(), "{all:?}");
        assert_eq!(of("token", None), of("token", None));
    }
}
