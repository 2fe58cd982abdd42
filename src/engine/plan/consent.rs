//! Consents: one value is one act, or one refusal with its reason.

use jiff::Timestamp;

use crate::engine::{
    plan::{aside, pass::Pass},
    rule::consent::{Pending, asked, is_late, open},
    value::{
        block::Block,
        condition_type::ConditionType,
        desired::Management,
        id::Fact,
        memory::{ConsentAnswer, ConsentKind, Memory},
        observed::ListState,
        reason::{Reason, ReasonKind},
        secret::SecretFact,
        step::{Cause, Planned},
        time::later,
    },
};

/// Answers what this pass can answer and keeps the rest for a bounded time.
pub(super) fn answer(
    pass: &Pass,
    memory: &mut Memory,
    step: Option<&Planned>,
    block: Option<&Block>,
    aside: &[(ConditionType, Block)],
    has_looked: bool,
) -> Vec<(ConsentKind, ConsentAnswer)> {
    let mut answers = Vec::new();
    if has_looked && let Some(value) = reconcile(pass, memory) {
        let answer = ConsentAnswer { value, at: pass.now, used_for: None, refused: None };
        answers.push((ConsentKind::Reconcile, answer));
    }
    if pass.desired.management == Management::Full {
        answers.extend(step.and_then(|planned| aside::used(planned, pass.now)));
        for kind in [ConsentKind::SendCode, ConsentKind::Retry] {
            let pending = open(pass.desired, kind, memory, pass.now);
            let Some(pending) = pending.filter(|pending| !is_used(step, kind, &pending.value)) else {
                continue;
            };
            // A retry may be meant for the settings; a code never is.
            let beside = aside.first().map(|(_, block)| block).filter(|_| kind == ConsentKind::Retry);
            let block = block.or(beside);
            let what = Asked { kind, pending: &pending, has_beside: !aside.is_empty() };
            let why = if_refused(pass, memory, &what, step, block, has_looked);
            let (at, is_refused) = if why.is_some() { (pass.now, true) } else { (pending.since, false) };
            let answer = ConsentAnswer { value: pending.value.clone(), at, used_for: None, refused: why };
            if is_refused {
                answers.push((kind, answer));
            } else {
                memory.consents.insert(kind, answer);
            }
        }
    }
    memory.consents.extend(answers.iter().cloned());
    answers
}

fn reconcile(pass: &Pass, memory: &Memory) -> Option<String> {
    asked(pass.desired, ConsentKind::Reconcile, memory).cloned()
}

fn is_used(step: Option<&Planned>, kind: ConsentKind, value: &str) -> bool {
    match step.map(|planned| &planned.cause) {
        Some(Cause::SendCode(used)) => kind == ConsentKind::SendCode && used == value,
        Some(Cause::Retry(used)) => kind == ConsentKind::Retry && used == value,
        Some(Cause::Automatic | Cause::Secret) | None => false,
    }
}

/// A consent that no step used up in this pass.
struct Asked<'a> {
    kind: ConsentKind,
    pending: &'a Pending,
    /// A setting waits for a retry too.
    has_beside: bool,
}

/// Why it is refused now; `None` keeps it.
fn if_refused(
    pass: &Pass,
    memory: &Memory,
    asked: &Asked,
    step: Option<&Planned>,
    block: Option<&Block>,
    has_looked: bool,
) -> Option<String> {
    let Asked { kind, pending, has_beside } = *asked;
    // A code is for later, and so is a retry of settings. A retry of the registration steps is for what waits for a
    // person now. If it were kept until the current step is refused, it would cause a second attempt at once.
    let is_stepping = step.is_some() && (kind == ConsentKind::SendCode || has_beside);
    let is_busy = is_stepping
        || memory.in_flight.is_some()
        || !has_looked
        || block.is_some_and(|block| is_passing(pass, block));
    let kept_until = later(pending.since, pass.limits.consent_kept);
    // We know the date at which our own budget has room. After that time the person may have left the phone.
    let is_out_of_reach = block
        .and_then(|block| block.until)
        .is_some_and(|until| until > kept_until && pass.observed.held.values().any(|held| *held == until));
    let is_late = is_late(pending, pass.limits, pass.now) || is_out_of_reach;
    match (is_busy, is_late, block) {
        (true, false, _) => None,
        (_, _, Some(block)) => Some(format!("not done: {}", block.message)),
        (_, true, None) => {
            Some("not done: other steps, or a look, took longer than a consent is kept; ask again".into())
        }
        (false, _, None) => Some(nothing_waits(kind).into()),
    }
}

fn nothing_waits(kind: ConsentKind) -> &'static str {
    match kind {
        ConsentKind::SendCode => "no code is needed: the number is proven or registered",
        ConsentKind::Retry | ConsentKind::Reconcile => "nothing waits for a retry",
    }
}

/// A throttle, a step in flight (also of another object, for which a claim pauses), or a look that did not read what an
/// answer needs.
fn is_passing(pass: &Pass, block: &Block) -> bool {
    match block.reason {
        Reason::Throttled | Reason::ClaimPause => true,
        Reason::MetaUnavailable | Reason::ObservationIncomplete => look_failed(pass),
        reason => reason.kind() == ReasonKind::Progress,
    }
}

fn look_failed(pass: &Pass) -> bool {
    let observed = pass.observed;
    let secrets = [&observed.code_secret, &observed.pin_secret, &observed.verify_token];
    observed.attempts_unread.is_some()
        || matches!(observed.account, Fact::Unknown(_))
        || observed.search.iter().any(|searched| matches!(searched.list, ListState::Failed(_)))
        || secrets.iter().any(|secret| matches!(secret, SecretFact::Unreadable(_)))
}

/// Until when the longest kept consent is kept.
pub(super) fn kept_until(pass: &Pass, memory: &Memory) -> Option<Timestamp> {
    // A channel that only observes uses no consent, so it keeps none.
    if pass.desired.management != Management::Full {
        return None;
    }
    let open = [ConsentKind::SendCode, ConsentKind::Retry]
        .into_iter()
        .filter_map(|kind| open(pass.desired, kind, memory, pass.now));
    open.map(|pending| later(pending.since, pass.limits.consent_kept)).min()
}
