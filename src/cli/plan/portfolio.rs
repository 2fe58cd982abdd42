//! Portfolios as a plan judges them: the operator's own reads and rules, with credentials from wherever they come.

use std::sync::Arc;

use crate::engine::{
    assess::portfolio::{PortfolioAssessment, PortfolioGiven, PortfolioObserved, assess_portfolio},
    condition::ConditionSet,
    desired::DesiredPortfolio,
    id::{AppId, Fact},
    limits::Limits,
    look::Urgency,
    observed::PortfolioState,
    portfolio::{PortfolioView, granted},
};
use crate::{
    cli::exit::Problem,
    meta::{
        client::{GraphClient, Meta},
        port::{Clock, Graph, GraphSource},
    },
    run::observe::{PortfolioFacts, fact, portfolio_facts, prove},
};

use super::{
    secret::{Offer, Origin},
    unread::{self, Unread},
};

/// A portfolio as it was judged, with a way to reach Meta through it if there is one.
pub struct Known {
    pub assessment: PortfolioAssessment,
    pub observed: PortfolioObserved,
    pub graph: Option<GraphClient>,
    pub unread: Vec<Unread>,
}

/// How a channel's portfolio was found.
pub enum Found<'a> {
    Known(&'a Known),
    /// It may be there, and whoever plans may not read it.
    NotReadable,
    NotThere,
}

impl Found<'_> {
    /// A way to reach Meta, if its credentials work.
    pub fn graph(&self) -> Option<&GraphClient> {
        match self {
            Self::Known(known) => known.graph.as_ref(),
            Self::NotReadable | Self::NotThere => None,
        }
    }

    /// How it looks from a namespace.
    pub fn state(&self, namespace: &str) -> PortfolioState {
        match self {
            Self::Known(known) => {
                let view = &known.assessment.view;
                match granted(&view.namespace, &view.access, namespace) {
                    Some(_) => PortfolioState::View(Arc::new(view.clone())),
                    None => PortfolioState::NotUsable,
                }
            }
            Self::NotReadable => PortfolioState::NotYet,
            Self::NotThere => PortfolioState::NotUsable,
        }
    }
}

/// Where portfolios are judged: a Meta, and what opens it.
pub struct Portfolios<C> {
    pub meta: Meta,
    pub origin: Origin,
    pub limits: Limits,
    pub clock: C,
}

impl<C: Clock> Portfolios<C> {
    /// Reads and judges one.
    ///
    /// # Errors
    ///
    /// When there are no credentials to open it with.
    pub async fn judge(&self, desired: &DesiredPortfolio) -> Result<Known, Problem> {
        let offer = self.origin.offer(desired).await?;
        let first = self.graph(desired, &offer, desired.app.clone());
        let token = match &first {
            Some(graph) => fact(graph.debug_token().await),
            None => Fact::NotAsked,
        };
        let proof = match &first {
            Some(graph) => prove(graph, &token, self.clock.now()).await,
            None => Fact::NotAsked,
        };
        let observed = PortfolioObserved {
            access_token: offer.access_token.clone(),
            app_secret: offer.app_secret.clone(),
            unread: None,
            in_use: None,
            offered: first.as_ref().map(|_| offer.version.clone()),
            token: token.clone(),
            token_in_use: Fact::NotAsked,
            proof,
            business: Fact::NotAsked,
            owned: Fact::NotAsked,
            client: Fact::NotAsked,
            seen: Vec::new(),
            app_webhook: Fact::NotAsked,
            throttled_until: None,
            app_blocked: first.as_ref().and_then(Graph::app_blocked),
        };
        let judge = |observed: &PortfolioObserved, view: Option<&PortfolioView>| {
            assess_portfolio(&PortfolioGiven {
                desired,
                observed,
                before: &ConditionSet::default(),
                waiting_before: &[],
                view_before: view,
                limits: &self.limits,
                now: self.clock.now(),
            })
        };
        let name = format!("{}/{}", desired.namespace, desired.name);
        let known = |observed: &PortfolioObserved, assessment: PortfolioAssessment, graph| {
            let unread = unread::portfolio(&name, observed, &assessment);
            Known { assessment, observed: observed.clone(), graph, unread }
        };
        let assessment = judge(&observed, None);
        if !assessment.accept_offered {
            return Ok(known(&observed, assessment, None));
        }
        let app = desired.app.clone().or_else(|| token.known().and_then(|token| token.app.clone()));
        let Some(graph) = self.graph(desired, &offer, app) else {
            return Ok(known(&observed, assessment, None));
        };
        let now = self.clock.now();
        let PortfolioFacts { business, owned, client, seen } =
            portfolio_facts(&graph, now, Urgency::Person).await;
        let app_webhook = match desired.app_secret {
            Some(_) => fact(graph.app_subscription().await),
            None => Fact::NotAsked,
        };
        let in_use = Some(offer.version.clone());
        let app_blocked = graph.app_blocked();
        let observed =
            PortfolioObserved { in_use, business, owned, client, seen, app_webhook, app_blocked, ..observed };
        let assessment = judge(&observed, Some(&assessment.view));
        Ok(known(&observed, assessment, Some(graph)))
    }

    fn graph(&self, desired: &DesiredPortfolio, offer: &Offer, app: Option<AppId>) -> Option<GraphClient> {
        Some(self.meta.graph(offer.credential(desired, app)?))
    }
}
