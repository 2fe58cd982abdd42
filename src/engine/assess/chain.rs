//! The chain: what has to hold for a number to send and receive, one link after the other, and the first that does not.
//!
//! It is another view of an assessment. Whether a link holds is what its condition says, and who acts is what the table of
//! reasons says. Only what was read is taken from the observation. What was not read in this pass is not checked, whatever
//! the status remembers of it.

use jiff::Timestamp;

use crate::engine::{
    assess::{
        Given,
        portfolio::{PortfolioAssessment, PortfolioObserved},
        scene::{Place, Scene},
        waiting,
    },
    rule::{drift::same_url, say, waiting::of_reason},
    value::{
        block::Block,
        condition::{Condition, ConditionSet, Truth},
        condition_type::ConditionType,
        desired::DesiredPortfolio,
        failure::Failure,
        id::{AppId, Fact, Field, NameStatus},
        memory::Memory,
        observed::{ListState, Number, OtherApp},
        portfolio::{REQUIRED_SCOPES, Reach, SCOPE_BUSINESS, TokenFacts},
        reason::{Reason, ReasonKind},
        secret::SecretFact,
        status::{Assessment, WaitingFor},
        word::words,
    },
};

words! {
    /// The links, in their order.
    ///
    /// ```
    /// use whatsapp_operator::engine::assess::chain::{LinkKind, Mark};
    /// assert_eq!((LinkKind::Subscription.as_str(), Mark::NotChecked.as_str()), ("Subscription", "NotChecked"));
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum LinkKind {
        Token,
        Scopes,
        App,
        Portfolio,
        Account,
        Subscription,
        Number,
        Name,
        Code,
        Registration,
        Webhook,
        Payment,
        Health,
    }
}

words! {
    /// How a link stands.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Mark {
        Ok,
        /// It works and has a flaw, or it does not hold yet and no person has to act.
        Warn,
        /// A person has to act.
        Broken,
        /// Nothing is said about it.
        NotChecked,
    }
}

/// One link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub kind: LinkKind,
    pub mark: Mark,
    /// What was read, or why nothing was.
    pub read: String,
    /// A read of it came to nothing, so another try may say more.
    pub failed: bool,
}

/// What is to be done first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// `None`: what holds it up is none of the links.
    pub link: Option<LinkKind>,
    pub reason: Reason,
    pub message: String,
    /// Who has to act, and where; `None` where the operator does.
    pub wait: Option<WaitingFor>,
}

/// All links of a channel, or the first four of a portfolio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    pub links: Vec<Link>,
    pub next: Option<Next>,
}

impl Chain {
    /// Nothing could be looked at, for a reason of the manifest's own.
    pub fn not_understood(message: &str, now: Timestamp) -> Self {
        let reason = Reason::SpecInvalid;
        let wait = of_reason(reason, None, now);
        Self { links: Vec::new(), next: Some(Next { link: None, reason, message: message.to_owned(), wait }) }
    }

    /// Whether a person has to act. Somebody wants a suspended channel to be left alone.
    pub fn is_broken(&self) -> bool {
        let is_person = |next: &Next| {
            matches!(next.reason.kind(), ReasonKind::Person | ReasonKind::Stalled)
                && next.reason != Reason::Suspended
        };
        self.links.iter().any(|link| link.mark == Mark::Broken)
            || self.next.as_ref().is_some_and(|next| next.link.is_none() && is_person(next))
    }

    /// Whether something should have been read and was not.
    pub fn is_unread(&self) -> bool {
        self.links.iter().any(|link| link.failed)
    }
}

/// What is above a channel.
#[derive(Clone, Copy)]
pub enum Above<'a> {
    Portfolio(OfPortfolio<'a>),
    /// It could not be read, for this reason.
    Unread(&'a str),
    /// There is none that may be used from here.
    None,
}

/// A portfolio as it was judged.
#[derive(Clone, Copy)]
pub struct OfPortfolio<'a> {
    pub desired: &'a DesiredPortfolio,
    pub observed: &'a PortfolioObserved,
    pub assessment: &'a PortfolioAssessment,
}

/// The links of a portfolio.
pub fn of_portfolio(of: OfPortfolio<'_>) -> Chain {
    let none = ConditionSet::default();
    let states = Owners { channel: &none, above: Some(of), is_subscribed: None, is_received: None };
    let links = of.links(&states, None);
    let next = first(&links).and_then(|kind| {
        let reason = of.assessment.conditions.iter().find(|c| states.is_of(c, kind))?;
        let wait = of.assessment.waiting_for.iter().find(|wait| asks(reason.reason, wait)).cloned();
        Some(Next { link: Some(kind), reason: reason.reason, message: reason.message.clone(), wait })
    });
    // What holds it up and is no link: no account is in reach.
    let next = next.or_else(|| of.held());
    Chain { links, next }
}

/// The links of a channel: those of its portfolio, and its own.
pub fn of_channel(given: &Given<'_>, memory: &Memory, assessment: &Assessment, above: Above<'_>) -> Chain {
    let scene = Scene::new(given, memory);
    let set = &assessment.conditions;
    let subscribed = scene.observed.subscribed.known().copied();
    let portfolio = match above {
        Above::Portfolio(of) => Some(of),
        Above::Unread(_) | Above::None => None,
    };
    let is_received = scene.observed.is_received();
    let owners = Owners { channel: set, above: portfolio, is_subscribed: subscribed, is_received };
    let mut links = match above {
        Above::Portfolio(of) => of.links(&owners, Some(set)),
        Above::Unread(why) => unknown_portfolio(why, &owners, true),
        Above::None => unknown_portfolio("there is no portfolio to ask", &owners, false),
    };
    for (kind, condition) in OWN {
        let condition = set.get(*condition);
        let read = match condition.and_then(|condition| closed_secret(&scene, *kind, condition.reason)) {
            Some(why) => Reading::Failed(why),
            None => reading(&scene, *kind),
        };
        let link = match (&read, suspended(&scene)) {
            (Reading::None, Some(block)) => new(*kind, Mark::NotChecked, not_looked_at(&block.message)),
            _ => link(*kind, condition, read, &owners, set, &links),
        };
        links.push(link);
    }
    let next = next(&scene, &links, &owners, set);
    Chain { links, next }
}

/// The links below the portfolio, with the condition of each.
const OWN: &[(LinkKind, ConditionType)] = &[
    (LinkKind::Account, ConditionType::AccountUsable),
    (LinkKind::Subscription, ConditionType::WebhookRouted),
    (LinkKind::Number, ConditionType::NumberAdded),
    (LinkKind::Name, ConditionType::DisplayNameApproved),
    (LinkKind::Code, ConditionType::NumberVerified),
    (LinkKind::Registration, ConditionType::Registered),
    (LinkKind::Webhook, ConditionType::WebhookRouted),
    (LinkKind::Payment, ConditionType::PaymentReady),
    (LinkKind::Health, ConditionType::Healthy),
];

/// Which link a reason is about.
struct Owners<'a> {
    channel: &'a ConditionSet,
    above: Option<OfPortfolio<'a>>,
    is_subscribed: Option<bool>,
    /// Whether any app is.
    is_received: Option<bool>,
}

impl Owners<'_> {
    /// The first condition of the reason's row that does not hold for this reason; the others repeat it.
    fn of(&self, reason: Reason) -> Option<LinkKind> {
        let carries = |set: &ConditionSet, kind: ConditionType| {
            set.get(kind).is_some_and(|c| c.status != Truth::True && c.reason == reason)
        };
        let kinds = reason.row().conditions;
        if let Some(above) = self.above
            && let Some(kind) = kinds.iter().find(|kind| carries(&above.assessment.conditions, **kind))
        {
            return self.link_of(*kind, reason);
        }
        let kind = kinds.iter().find(|kind| carries(self.channel, **kind))?;
        self.link_of(*kind, reason)
    }

    fn link_of(&self, kind: ConditionType, reason: Reason) -> Option<LinkKind> {
        let has_token =
            self.above.is_some_and(|above| matches!(above.observed.access_token, SecretFact::Present { .. }));
        Some(match kind {
            _ if matches!(reason, Reason::AppBlocked) => LinkKind::App,
            ConditionType::CredentialsValid => match reason {
                Reason::ScopesMissing => LinkKind::Scopes,
                Reason::AppSecretWrong => LinkKind::App,
                // Of the two Secrets it is the one that was not found.
                Reason::SecretMissing | Reason::SecretKeyMissing | Reason::SecretForbidden if has_token => {
                    LinkKind::App
                }
                _ => LinkKind::Token,
            },
            ConditionType::IdentityConfirmed | ConditionType::PortfolioReady => LinkKind::Portfolio,
            ConditionType::WebhookRouted if self.is_subscribed == Some(false) => LinkKind::Subscription,
            ConditionType::WebhookRouted => LinkKind::Webhook,
            other => OWN.iter().find(|(_, condition)| *condition == other).map(|(link, _)| *link)?,
        })
    }

    /// Whether a condition does not hold, for a reason of this link.
    fn is_of(&self, condition: &Condition, link: LinkKind) -> bool {
        condition.status == Truth::False && self.of(condition.reason) == Some(link)
    }
}

/// What a look gave of one link.
enum Reading {
    /// Meta's words.
    Read(String),
    /// Not asked for, or Meta does not show it: nothing is wrong with that.
    Hidden(String),
    /// A read that came to nothing.
    Failed(String),
    /// Not looked at.
    None,
}

impl Reading {
    fn of(failure: &Failure) -> Self {
        match failure.is_answer() {
            true => Self::Hidden(failure.told()),
            false => Self::Failed(format!("not read: {}", failure.told())),
        }
    }
}

fn new(kind: LinkKind, mark: Mark, read: impl Into<String>) -> Link {
    Link { kind, mark, read: read.into(), failed: false }
}

fn failed(kind: LinkKind, read: impl Into<String>) -> Link {
    Link { failed: true, ..new(kind, Mark::NotChecked, read) }
}

/// A link of the channel's own.
fn link(
    kind: LinkKind,
    condition: Option<&Condition>,
    reading: Reading,
    owners: &Owners<'_>,
    set: &ConditionSet,
    links: &[Link],
) -> Link {
    let text = match &reading {
        Reading::Failed(why) => return failed(kind, why.clone()),
        // What there is to read is in the words of the condition.
        Reading::Read(text) if text.is_empty() => condition.map(|c| c.message.clone()).unwrap_or_default(),
        Reading::Read(text) | Reading::Hidden(text) => text.clone(),
        Reading::None => String::new(),
    };
    let is_read = matches!(reading, Reading::Read(_));
    let Some(condition) = condition else {
        let mark = match (kind, is_read, owners.is_received) {
            (LinkKind::Subscription, true, Some(true)) => Mark::Ok,
            (LinkKind::Subscription, true, Some(false)) => Mark::Warn,
            _ => Mark::NotChecked,
        };
        return new(kind, mark, text);
    };
    let is_why = set.get(ConditionType::Ready).is_some_and(|ready| ready.reason == condition.reason);
    if kind == LinkKind::Subscription && owners.is_subscribed == Some(true) {
        return new(kind, Mark::Ok, text);
    }
    match condition.status {
        Truth::True if is_read => {
            let is_limited = matches!(
                condition.reason,
                Reason::Limited
                    | Reason::NumberFlagged
                    | Reason::NumberRestricted
                    | Reason::NumberRateLimited
            );
            let mark = if is_limited { Mark::Warn } else { Mark::Ok };
            let is_odd = condition.reason == Reason::NotNeededWhenRegistered;
            new(kind, mark, if is_odd { joined(&text, &condition.message) } else { text })
        }
        Truth::False if owners.of(condition.reason) == Some(kind) && (is_read || is_why) => {
            let is_late = matches!(condition.reason.kind(), ReasonKind::Progress | ReasonKind::Time);
            let is_aside = kind == LinkKind::Name && set.is(ConditionType::Ready, Truth::True);
            let mark = if is_late || is_aside { Mark::Warn } else { Mark::Broken };
            new(kind, mark, if text.is_empty() { NOT_LOOKED_AT.to_owned() } else { text })
        }
        Truth::False if owners.of(condition.reason).is_some_and(|owner| owner != kind) => {
            let owner = owners.of(condition.reason).map_or("", LinkKind::as_str).to_lowercase();
            new(kind, Mark::NotChecked, joined(&text, &format!("it depends on the {owner}")))
        }
        _ if is_read && condition.reason == Reason::NotObservedYet => {
            let read = if text == condition.message { "" } else { &text };
            new(kind, Mark::NotChecked, joined(read, "not judged, as not all could be read"))
        }
        _ if is_read => new(kind, Mark::NotChecked, joined(&text, &condition.message)),
        _ if !text.is_empty() => new(kind, Mark::NotChecked, text),
        _ => new(kind, Mark::NotChecked, not_reached(links, set)),
    }
}

/// Of a link that no read can tell about now.
const NOT_LOOKED_AT: &str = "not looked at";

fn joined(read: &str, more: &str) -> String {
    if read.is_empty() || read == more { more.to_owned() } else { format!("{read}; {more}") }
}

/// Why nothing was looked at: what is before it, or what holds the channel as a whole.
fn not_reached(links: &[Link], set: &ConditionSet) -> String {
    let before = first(links).or_else(|| links.iter().find(|link| link.failed).map(|link| link.kind));
    match (before, set.get(ConditionType::Ready)) {
        (Some(kind), _) => format!("it depends on the {}", kind.as_str().to_lowercase()),
        (None, Some(ready)) if ready.status != Truth::True => not_looked_at(&ready.message),
        (None, _) => NOT_LOOKED_AT.to_owned(),
    }
}

fn not_looked_at(why: &str) -> String {
    format!("{NOT_LOOKED_AT}: {why}")
}

/// Why nothing of the channel is looked at, where the spec says so.
fn suspended<'a>(scene: &Scene<'a>) -> Option<&'a Block> {
    scene.plan.block.as_ref().filter(|block| block.reason == Reason::Suspended)
}

/// The first link that a person has to mend. One before it that does not hold yet, or has a flaw, needs no person, so it
/// does not come first.
fn first(links: &[Link]) -> Option<LinkKind> {
    links.iter().find(|link| link.mark == Mark::Broken).map(|link| link.kind)
}

fn next(scene: &Scene<'_>, links: &[Link], owners: &Owners<'_>, set: &ConditionSet) -> Option<Next> {
    let late = || {
        let warned = links.iter().filter(|link| link.mark == Mark::Warn);
        warned.map(|link| link.kind).find(|kind| set.iter().any(|c| owners.is_of(c, *kind)))
    };
    let link = first(links).or_else(late);
    if let (None, Some(block)) = (link, suspended(scene)) {
        let (reason, message) = (block.reason, block.message.clone());
        return Some(Next { link, reason, message, wait: waiting::on(scene, reason) });
    }
    let condition = match link {
        Some(kind) => {
            let above = owners.above.iter().flat_map(|above| above.assessment.conditions.iter());
            let condition = above.chain(set.iter()).find(|condition| owners.is_of(condition, kind));
            match (condition, suspended(scene)) {
                (Some(condition), _) => condition,
                // Nothing of the channel repeats what holds the portfolio.
                (None, Some(_)) => return owners.above.and_then(|above| above.held()),
                (None, None) => return None,
            }
        }
        // What was not read may be what holds it up.
        None if links.iter().any(|link| link.failed) => return None,
        None => {
            let ready = set.get(ConditionType::Ready)?;
            let is_told = ready.status == Truth::False && ready.reason.kind() != ReasonKind::Settled;
            Some(ready).filter(|_| is_told)?
        }
    };
    let message = match &scene.plan.step {
        Some(planned) if planned.step.kind().reason() == condition.reason => planned.why.clone(),
        _ => condition.message.clone(),
    };
    let wait = waiting::on(scene, condition.reason);
    Some(Next { link, reason: condition.reason, message, wait })
}

fn asks(reason: Reason, wait: &WaitingFor) -> bool {
    let row = reason.row();
    row.actions().any(|action| action.as_str() == wait.action)
}

/// The four links of a portfolio about which nothing is known.
fn unknown_portfolio(why: &str, owners: &Owners<'_>, is_unread: bool) -> Vec<Link> {
    let ready = owners.channel.get(ConditionType::PortfolioReady);
    PORTFOLIO
        .iter()
        .map(|kind| match (kind, ready) {
            (LinkKind::Portfolio, Some(ready)) if owners.is_of(ready, *kind) => {
                new(*kind, Mark::Broken, "it is not there, or may not be used from here")
            }
            _ if is_unread => failed(*kind, why),
            _ => new(*kind, Mark::NotChecked, why),
        })
        .collect()
}

const PORTFOLIO: [LinkKind; 4] = [LinkKind::Token, LinkKind::Scopes, LinkKind::App, LinkKind::Portfolio];

impl OfPortfolio<'_> {
    /// What holds the portfolio as a whole, where it is told.
    fn held(&self) -> Option<Next> {
        let is_told =
            |reason: Reason| !matches!(reason, Reason::PortfolioNotReadYet | Reason::SecretForbidden);
        let hold = self.assessment.view.hold.as_ref().filter(|hold| is_told(hold.reason))?;
        let link = (hold.reason == Reason::AppBlocked).then_some(LinkKind::App);
        let wait = self.assessment.waiting_for.iter().find(|wait| asks(hold.reason, wait)).cloned();
        Some(Next { link, reason: hold.reason, message: hold.message.clone(), wait })
    }

    /// `channel`: the conditions of a channel below it.
    fn links(&self, owners: &Owners<'_>, channel: Option<&ConditionSet>) -> Vec<Link> {
        let above = self.assessment.conditions.iter();
        let wrong = above.chain(channel.into_iter().flat_map(ConditionSet::iter));
        let wrong: Vec<&Condition> = wrong.filter(|c| c.status == Truth::False).collect();
        let wrong = |kind: LinkKind| wrong.iter().find(|c| owners.is_of(c, kind)).copied();
        let mut links: Vec<Link> = Vec::new();
        for kind in PORTFOLIO {
            let link = match kind {
                LinkKind::Token => self.token(),
                LinkKind::Scopes => self.scopes(),
                LinkKind::App => self.app(),
                _ => self.portfolio(),
            };
            let before = links.iter().find(|link| link.mark == Mark::Broken || link.failed);
            let link = match (wrong(kind), before) {
                // Whoever asks lacks a right of their own; that says nothing about the operator's.
                (Some(c), _) if c.reason == Reason::SecretForbidden => link,
                (Some(_), _) => new(kind, Mark::Broken, link.read),
                (None, Some(before)) if link.mark == Mark::NotChecked && !link.failed => {
                    let before = before.kind.as_str().to_lowercase();
                    new(kind, Mark::NotChecked, format!("it depends on the {before}"))
                }
                (None, _) => link,
            };
            links.push(link);
        }
        links
    }

    fn token(&self) -> Link {
        let kind = LinkKind::Token;
        if let Some(link) = unread_secret(kind, &self.observed.access_token, &self.desired.access_token.name)
        {
            return link;
        }
        let credentials = self.assessment.conditions.get(ConditionType::CredentialsValid);
        match &self.observed.token {
            Fact::Known(token) => {
                let warned = credentials
                    .filter(|c| matches!(c.reason, Reason::TokenExpiresSoon | Reason::NewTokenRejected));
                match (token.is_valid, warned) {
                    (true, Some(warned)) => new(kind, Mark::Warn, joined(&told(token), &warned.message)),
                    (true, None) => new(kind, Mark::Ok, told(token)),
                    (false, _) => {
                        let why = token.error.clone().map(|error| Failure::Refused(error).told());
                        let why = why.unwrap_or_else(|| "Meta says that the token is not valid".to_owned());
                        new(kind, Mark::NotChecked, why)
                    }
                }
            }
            Fact::Unknown(failure) => {
                let works = credentials.filter(|c| c.status == Truth::True);
                match works {
                    Some(works) => new(kind, Mark::Ok, works.message.clone()),
                    None if failure.is_decision() => new(kind, Mark::NotChecked, failure.told()),
                    None => failed(kind, format!("not read: {}", failure.told())),
                }
            }
            Fact::NotAsked => new(kind, Mark::NotChecked, "not asked for"),
        }
    }

    fn scopes(&self) -> Link {
        let kind = LinkKind::Scopes;
        let Some(token) = self.observed.token.known().filter(|token| token.is_valid) else {
            return new(kind, Mark::NotChecked, "Meta does not list the token's scopes");
        };
        let mut missing = token.lacks(&REQUIRED_SCOPES);
        missing.extend(token.lacks(&[SCOPE_BUSINESS]));
        if missing.is_empty() {
            return new(kind, Mark::Ok, "every scope that is needed is listed");
        }
        new(kind, Mark::Warn, format!("not listed: {}", missing.join(", ")))
    }

    fn app(&self) -> Link {
        let kind = LinkKind::App;
        let token = self.observed.token.known();
        let app = self.desired.app.as_ref().or_else(|| token.and_then(|token| token.app.as_ref()));
        let named = app.map_or_else(|| "Meta does not name the app".to_owned(), |app| format!("app {app}"));
        if let Some(refusal) = &self.observed.app_blocked {
            let said = Failure::Refused(refusal.clone()).told();
            return new(kind, Mark::Broken, format!("{named}; {said}"));
        }
        let Some(secret) = &self.desired.app_secret else {
            let mark = if token.is_some_and(|token| token.is_valid) { Mark::Ok } else { Mark::NotChecked };
            return new(kind, mark, format!("{named}; calls are not signed, as no app secret is named"));
        };
        if let Some(link) = unread_secret(kind, &self.observed.app_secret, &secret.name) {
            return link;
        }
        match self.assessment.accept_offered {
            true => {
                let signs = format!("{named}; Meta takes the calls that its secret signs");
                match self.app_webhook() {
                    Some((mark, webhook)) => new(kind, mark, joined(&signs, &webhook)),
                    None => new(kind, Mark::Ok, signs),
                }
            }
            false => new(kind, Mark::NotChecked, named),
        }
    }

    /// What the app itself has subscribed to. Without `messages` at an address of its own it receives none, and no number
    /// can be given another.
    fn app_webhook(&self) -> Option<(Mark, String)> {
        let live = self.observed.app_webhook.known()?;
        let Some((live, url)) = live.as_ref().and_then(|live| Some((live, live.callback_url.as_ref()?)))
        else {
            return Some((Mark::Warn, "it has no webhook of its own".to_owned()));
        };
        let wanted = self.desired.app_webhook.as_ref();
        let mut flaws: Vec<String> = Vec::new();
        if live.is_active == Some(false) {
            flaws.push("it is not active".to_owned());
        }
        if let Some(webhook) = wanted.filter(|webhook| !same_url(url, &webhook.callback_url)) {
            flaws.push(format!("it is not {}", webhook.callback_url));
        }
        let needed =
            wanted.map_or_else(|| vec!["messages"], |w| w.fields.iter().map(String::as_str).collect());
        let missing: Vec<&str> = needed.into_iter().filter(|field| !live.fields.contains(*field)).collect();
        if !missing.is_empty() {
            flaws.push(format!("it is not told of {}", missing.join(", ")));
        }
        match flaws.is_empty() {
            true => Some((Mark::Ok, format!("its webhook is {url}"))),
            false => Some((Mark::Warn, format!("its webhook is {url}, and {}", flaws.join(", ")))),
        }
    }

    fn portfolio(&self) -> Link {
        let kind = LinkKind::Portfolio;
        let id = &self.desired.business;
        let reach = match &self.assessment.view.reach {
            Reach::Unread => String::new(),
            Reach::Unknown => "; the token may not list its accounts".to_owned(),
            Reach::Owned(list) | Reach::Accounts(list) => format!("; accounts in reach: {}", list.len()),
        };
        match &self.observed.business {
            Fact::Known(facts) => {
                let name = facts.name.as_deref().unwrap_or("Meta does not show its name");
                let word = facts.verification.as_ref().map(|word| format!(", {word}")).unwrap_or_default();
                new(kind, Mark::Ok, format!("{id} {name}{word}{reach}"))
            }
            Fact::Unknown(failure) if failure.is_answer() => {
                new(kind, Mark::NotChecked, format!("{id}: {}{reach}", failure.told()))
            }
            Fact::Unknown(failure) => failed(kind, format!("{id}: not read: {}", failure.told())),
            Fact::NotAsked => new(kind, Mark::NotChecked, format!("{id}: not asked for")),
        }
    }
}

fn unread_secret(kind: LinkKind, secret: &SecretFact, name: &str) -> Option<Link> {
    match secret {
        SecretFact::Forbidden(why) => {
            let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
            Some(failed(kind, format!("you may not get Secret {name}{why}; what needs it was left out")))
        }
        SecretFact::Unreadable(why) => Some(failed(kind, format!("Secret {name} was not read: {why}"))),
        SecretFact::Missing => Some(new(kind, Mark::NotChecked, format!("there is no Secret {name}"))),
        SecretFact::KeyMissing { .. } => {
            Some(new(kind, Mark::NotChecked, format!("Secret {name} has no text under the key")))
        }
        SecretFact::NotAsked | SecretFact::Unlabelled | SecretFact::Present { .. } => None,
    }
}

fn told(token: &TokenFacts) -> String {
    let of = token.app.as_ref().map(AppId::as_str).map(|app| format!(" of app {app}")).unwrap_or_default();
    let end = match token.end() {
        Some(end) => format!("works until {}", say::time(end)),
        None => "does not expire".to_owned(),
    };
    format!("{} token{of}, {end}", token.kind.as_str())
}

/// A Secret beside the channel that whoever asks may not read, where the judgement rests on it.
fn closed_secret(scene: &Scene<'_>, kind: LinkKind, reason: Reason) -> Option<String> {
    let Scene { desired, observed, .. } = *scene;
    let (secret, name) = match (kind, reason) {
        (LinkKind::Registration, Reason::PinNeeded) => {
            (&observed.pin_secret, &desired.registration.pin_secret.name)
        }
        (LinkKind::Code, Reason::SecretForbidden | Reason::CodeAwaited) => {
            (&observed.code_secret, &desired.verification.code_secret.name)
        }
        (LinkKind::Subscription | LinkKind::Webhook, Reason::SecretForbidden) => {
            (&observed.verify_token, &desired.webhook.as_ref()?.verify_token.name)
        }
        _ => return None,
    };
    unread_secret(kind, secret, name).filter(|link| link.failed).map(|link| link.read)
}

/// What was read of a link of the channel's own.
fn reading(scene: &Scene<'_>, kind: LinkKind) -> Reading {
    let of_number = |read: fn(&Scene<'_>, &Number) -> Reading| match scene.place {
        Place::Here(number) | Place::Left(number) => read(scene, number),
        Place::Absent | Place::Unknown => unseen(scene),
    };
    match kind {
        LinkKind::Account => account(scene),
        LinkKind::Subscription => subscription(scene),
        LinkKind::Number => match scene.place {
            Place::Here(number) | Place::Left(number) => in_account(scene, number),
            Place::Absent => Reading::Read(absent(scene)),
            Place::Unknown => unseen(scene),
        },
        LinkKind::Name => of_number(name),
        LinkKind::Code => of_number(|_, number| word(&number.code, "code status")),
        LinkKind::Registration => of_number(|_, number| word(&number.platform, "platform")),
        LinkKind::Webhook => match &scene.desired.webhook {
            None => match of_number(webhook) {
                Reading::Read(text) => {
                    Reading::Hidden(format!("not managed, as spec.webhook is not set; {text}"))
                }
                _ => Reading::Hidden("spec.webhook is not set, so it is not managed".to_owned()),
            },
            Some(_) => of_number(webhook),
        },
        LinkKind::Payment => match &scene.observed.account {
            Fact::Known(_) => Reading::Read(String::new()),
            Fact::Unknown(failure) => Reading::of(failure),
            Fact::NotAsked => Reading::None,
        },
        LinkKind::Health => of_number(health),
        LinkKind::Token | LinkKind::Scopes | LinkKind::App | LinkKind::Portfolio => Reading::None,
    }
}

fn account(scene: &Scene<'_>) -> Reading {
    match &scene.observed.account {
        Fact::Known(account) => {
            let id = account.id.as_ref().or(scene.account.as_ref());
            let id = id.map(ToString::to_string).unwrap_or_default();
            let name = account.name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
            let words = [
                account.status.value().map(|word| format!("status {word}")),
                account.review.value().map(|word| format!("review {word}")),
            ];
            let words: Vec<String> = words.into_iter().flatten().collect();
            let words = if words.is_empty() { "Meta shows no status".to_owned() } else { words.join(", ") };
            Reading::Read(format!("{id}{name}: {words}"))
        }
        // An answer about the account is what was read of it.
        Fact::Unknown(failure) if failure.is_answer() => Reading::Read(failure.told()),
        Fact::Unknown(failure) => Reading::of(failure),
        Fact::NotAsked => Reading::None,
    }
}

fn subscription(scene: &Scene<'_>) -> Reading {
    match &scene.observed.subscribed {
        Fact::Known(ours) => {
            let ours = if *ours { "the app is subscribed" } else { "the app is not subscribed" };
            let others = others(&scene.observed.foreign_apps().collect::<Vec<_>>());
            let nothing = match scene.observed.is_received() {
                Some(false) => "; no other app is, so nothing will be received",
                _ => "",
            };
            Reading::Read(format!("{ours} to the account{others}{nothing}"))
        }
        Fact::Unknown(failure) => Reading::of(failure),
        Fact::NotAsked => Reading::None,
    }
}

/// Who else gets every message: the first few. Through Meta's own app messages reach nobody.
fn others(apps: &[&OtherApp]) -> String {
    const MOST: usize = 5;
    let named: Vec<String> = apps.iter().take(MOST).map(|app| app.told()).collect();
    match apps.len().checked_sub(MOST).filter(|more| *more > 0) {
        Some(more) => format!("; others that are: {} and {more} more", named.join(", ")),
        None if apps.is_empty() => String::new(),
        None => format!("; others that are: {}", named.join(", ")),
    }
}

/// Why the number was not seen: a list that was not read.
fn unseen(scene: &Scene<'_>) -> Reading {
    let failure = scene.observed.search.iter().find_map(|searched| match &searched.list {
        ListState::Failed(failure) => Some((&searched.account, failure)),
        ListState::Complete { .. } | ListState::NotCheckable(_) => None,
    });
    match (failure, scene.place) {
        (Some((account, failure)), Place::Unknown) => {
            Reading::Failed(format!("the numbers of account {account} were not read: {}", failure.told()))
        }
        _ => Reading::None,
    }
}

fn in_account(scene: &Scene<'_>, number: &Number) -> Reading {
    let account = scene.account.as_ref().map(|account| format!(" in account {account}")).unwrap_or_default();
    let status = number.status.value().map(|word| format!(", status {word}")).unwrap_or_default();
    Reading::Read(format!("{} is {}{account}{status}", number.display_phone_number, number.id))
}

fn absent(scene: &Scene<'_>) -> String {
    let elsewhere = scene.observed.search.iter().find(|searched| {
        Some(&searched.account) != scene.account.as_ref() && searched.numbers.iter().any(|n| !n.has_left())
    });
    match (elsewhere, &scene.account) {
        (Some(searched), _) => format!("{} is in account {}", scene.desired.number, searched.account),
        (None, Some(account)) => format!("{} is not in account {account}", scene.desired.number),
        (None, None) => format!("{} is in no account", scene.desired.number),
    }
}

fn name(_: &Scene<'_>, number: &Number) -> Reading {
    let named = |name: &Field<String>, status: Option<&str>| {
        let name = name.value().filter(|name| !name.is_empty())?;
        Some(format!("{name} ({})", status.unwrap_or("no status")))
    };
    let live = named(&number.verified_name, number.name_status.value().map(NameStatus::as_str));
    let new = named(&number.new_display_name, number.new_name_status.value().map(NameStatus::as_str));
    match (live, new) {
        (Some(live), Some(new)) => Reading::Read(format!("{live}; new: {new}")),
        (Some(one), None) | (None, Some(one)) => Reading::Read(one),
        (None, None) => Reading::Hidden("Meta shows no display name".to_owned()),
    }
}

fn word<T: std::fmt::Display>(field: &Field<T>, what: &str) -> Reading {
    match field {
        Field::Is(word) => Reading::Read(format!("{what} {word}")),
        Field::Absent | Field::Refused => Reading::Hidden(format!("Meta does not tell the {what}")),
    }
}

fn webhook(_: &Scene<'_>, number: &Number) -> Reading {
    match &number.webhook {
        Field::Refused => Reading::Hidden("Meta does not show this app where the webhook goes".to_owned()),
        Field::Absent => Reading::Read("the number has no webhook of its own".to_owned()),
        Field::Is(webhook) => {
            Reading::Read(match (&webhook.number, &webhook.account, &webhook.application) {
                (Some(url), Some(account), _) => {
                    format!("the number's webhook is {url}; it goes before that of the account, {account}")
                }
                (Some(url), None, _) => format!("the number's webhook is {url}"),
                (None, Some(url), _) => format!("the account's webhook is {url}"),
                (None, None, Some(url)) => format!("the app's webhook is {url}"),
                (None, None, None) => "the number has no webhook of its own".to_owned(),
            })
        }
    }
}

fn health(scene: &Scene<'_>, number: &Number) -> Reading {
    let status = number.status.value().map(|word| format!("status {word}"));
    let sends = number.health.value().map(|health| format!("can_send_message {}", health.can_send.as_str()));
    let words: Vec<String> = status.into_iter().chain(sends).collect();
    match words.is_empty() {
        true if scene.is_registered() => {
            Reading::Read("Meta shows nothing that keeps it from sending".to_owned())
        }
        true => Reading::None,
        false => Reading::Read(words.join(", ")),
    }
}

#[cfg(test)]
mod tests;
