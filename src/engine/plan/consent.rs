//! Consents: one value is one act, or one refusal with its reason.

use jiff::Timestamp;

use crate::engine::{
    plan::{aside, pass::Pass},
    rule::{
        consent::{Pending, asked, is_late, open, standing},
        say,
    },
    value::{
        block::Block,
        condition_type::ConditionType,
        consent::{CONSENT_LENGTH, is_too_long},
        desired::{DesiredConsents, Management},
        id::Fact,
        memory::{ConsentAnswer, ConsentKind, Memory},
        observed::ListState,
        reason::{Reason, ReasonKind},
        secret::SecretFact,
        step::{Cause, Planned},
        time::later,
    },
};

/// Those of which each value is one act.
const USED_UP: [ConsentKind; 3] = [ConsentKind::SendCode, ConsentKind::Retry, ConsentKind::Official];

/// Why one is refused that nobody set on this object.
const CAME: &str = "not done: it came with the object when that was created, so nobody may be there who wants it now; set it again, to a new value";

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
    let is_full = pass.desired.management == Management::Full;
    for kind in [ConsentKind::SendCode, ConsentKind::Retry, ConsentKind::Official, ConsentKind::Reconcile] {
        if let Some(answer) = refused_at_sight(pass, memory, kind)
            && (is_full || kind == ConsentKind::Reconcile)
        {
            answers.push((kind, answer));
        }
    }
    if has_looked && let Some(value) = asked(&pass.desired.consents, ConsentKind::Reconcile, memory) {
        let (value, at) = (value.clone(), pass.now);
        let answer = ConsentAnswer { value, at, used_for: None, refused: None, again: None };
        answers.push((ConsentKind::Reconcile, answer));
    }
    if !is_full {
        answers.extend(note_met(&pass.desired.consents, memory, pass.now));
    }
    if is_full {
        answers.extend(step.and_then(|planned| aside::used(planned, pass.now)));
        for kind in USED_UP {
            let pending = open(&pass.desired.consents, kind, memory, pass.now);
            let Some(pending) = pending.filter(|pending| !is_used(step, kind, &pending.value)) else {
                continue;
            };
            // A retry may be meant for the settings; a code never is.
            let mut aside_blocks = aside.iter();
            let beside = match kind {
                ConsentKind::Retry => aside_blocks.next(),
                ConsentKind::Official => aside_blocks.find(|(on, _)| *on == ConditionType::OfficialAccount),
                ConsentKind::SendCode | ConsentKind::Reconcile => None,
            };
            let beside = beside.map(|(_, block)| block);
            let block = block.or(beside);
            let what = Asked { kind, pending: &pending, has_beside: !aside.is_empty() };
            match if_refused(pass, memory, &what, step, block, has_looked) {
                Some(why) => answers.push((kind, ConsentAnswer::refused(&pending.value, pass.now, why))),
                None => keep(memory, kind, pending),
            }
        }
    }
    for (kind, answer) in &answers {
        memory.note_answer(*kind, answer.clone());
    }
    answers
}

/// Of a pass that may use none: when each open value was first met. Once a value may be used again, that counts. One that
/// came with the object is refused already now: later nobody can tell.
pub fn note_met(
    consents: &DesiredConsents,
    memory: &mut Memory,
    now: Timestamp,
) -> Vec<(ConsentKind, ConsentAnswer)> {
    let mut answers = Vec::new();
    for kind in USED_UP {
        let pending = open(consents, kind, memory, now).filter(|pending| pending.is_new);
        match pending {
            Some(pending) if pending.came => {
                let answer = ConsentAnswer::refused(&pending.value, now, CAME.into());
                memory.note_answer(kind, answer.clone());
                answers.push((kind, answer));
            }
            Some(pending) => keep(memory, kind, pending),
            None => {}
        }
    }
    answers
}

/// Of a pass that looks at nothing: a look that was asked for is refused where another channel manages the number, since
/// none comes. Under suspension it is kept for the pass that resumes.
pub(super) fn answer_idle(
    pass: &Pass,
    memory: &mut Memory,
    block: &Block,
) -> Vec<(ConsentKind, ConsentAnswer)> {
    let kind = ConsentKind::Reconcile;
    let value = asked(&pass.desired.consents, kind, memory).filter(|_| block.reason == Reason::NumberClaimed);
    let Some(value) = value else { return Vec::new() };
    let answer = ConsentAnswer::refused(value, pass.now, format!("not done: {}", block.message));
    memory.note_answer(kind, answer.clone());
    vec![(kind, answer)]
}

fn keep(memory: &mut Memory, kind: ConsentKind, pending: Pending) {
    let Pending { value, since: at, .. } = pending;
    memory.note_answer(kind, ConsentAnswer { value, at, used_for: None, refused: None, again: None });
}

/// The answer to what can be no consent: a value that had its answer before, or is too long to be told from others.
fn refused_at_sight(pass: &Pass, memory: &Memory, kind: ConsentKind) -> Option<ConsentAnswer> {
    let value = standing(&pass.desired.consents, kind).filter(|_| memory.unknown.is_none())?;
    if let Some(before) = memory.came_again(kind, value) {
        let was = if before.used_for.is_some() { "answered" } else { "there before," };
        let why = format!(
            "not done: this value was {was} on {}, and each value counts once; set one that was never there",
            say::time(before.at)
        );
        return Some(ConsentAnswer { refused: Some(why), again: Some(pass.now), ..before });
    }
    (is_too_long(value) && memory.answered(kind, value).is_none()).then(|| {
        let why = format!(
            "not done: the value has {} characters, and a consent has at most {CONSENT_LENGTH}; set a shorter one that was never there",
            value.chars().count()
        );
        ConsentAnswer::refused(value, pass.now, why)
    })
}

fn is_used(step: Option<&Planned>, kind: ConsentKind, value: &str) -> bool {
    match step.map(|planned| &planned.cause) {
        Some(Cause::SendCode(used)) => kind == ConsentKind::SendCode && used == value,
        Some(Cause::Retry(used)) => kind == ConsentKind::Retry && used == value,
        Some(Cause::Official(used)) => kind == ConsentKind::Official && used == value,
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
    if pending.is_new && is_late(pending, pass.limits, pass.now) {
        return Some(set_long_ago(pending, pass));
    }
    if pending.came {
        return Some(CAME.into());
    }
    // A code is for later, and so is a retry of settings. A retry of the registration steps is for what waits for a
    // person now. If it were kept until the current step is refused, it would cause a second attempt at once.
    let is_stepping = step.is_some() && (kind != ConsentKind::Retry || has_beside);
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
        (_, true, None) => Some(format!(
            "not done: it could not be done within the {} minutes that a consent is good for; set it again, to a new value",
            pass.limits.consent_kept.as_secs() / 60
        )),
        (false, _, None) => Some(nothing_waits(kind).into()),
    }
}

/// It is for now: whoever set it may not be there any more, and what it was meant for may be over.
fn set_long_ago(pending: &Pending, pass: &Pass) -> String {
    let passed = pass.now.duration_since(pending.since).as_mins();
    let passed = match passed {
        0..120 => format!("{passed} minutes"),
        120..2880 => format!("{} hours", passed / 60),
        _ => format!("{} days", passed / 1440),
    };
    format!(
        "not done: it was set at {}, and came to be looked at {passed} later; it is good for {} minutes, so set it again, to a new value; \
         if it was set just now, the operator's clock is wrong",
        pending.since.strftime("%Y-%m-%d %H:%M:%S UTC"),
        pass.limits.consent_kept.as_secs() / 60
    )
}

fn nothing_waits(kind: ConsentKind) -> &'static str {
    match kind {
        ConsentKind::SendCode => "no code is needed: the number is proven or registered",
        ConsentKind::Official => {
            "nothing is to be requested: the number is an official business account, or spec.officialBusinessAccount is not set"
        }
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
    let open = USED_UP.into_iter().filter_map(|kind| open(&pass.desired.consents, kind, memory, pass.now));
    open.map(|pending| later(pending.since, pass.limits.consent_kept)).min()
}
