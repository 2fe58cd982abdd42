//! Is it asked for what the WhatsApp Business app holds?
//!
//! Meta takes each kind once in an onboarding and then sends it to the webhook, so it is asked for once that is where it should
//! be, and a lost reply counts as asked. What holds it up is told and holds nothing else up.

use crate::engine::{
    plan::{
        aside::Aside,
        pass::{Gate, Pass, Seen, Stop, Writable},
        undecided,
    },
    rule::{
        say,
        sync::{State, Window, names},
    },
    value::{
        block::Block,
        condition_type::ConditionType,
        desired::{AppData, Connection},
        failure::Refusal,
        id::Fact,
        memory::{Memory, Registration},
        observed::Number,
        reason::Reason,
        step::{Cause, Step, StepKind},
        time::later,
    },
};

const KIND: StepKind = StepKind::StartSync;

/// Remembers that the number was connected between two looks of this process. What was connected when it was first looked at may
/// have been asked for what it holds by an object before, of which nothing is known after a cluster is lost.
pub(super) fn note_onboarded(pass: &Pass, memory: &mut Memory) {
    let is_managed = !pass.desired.syncs.is_empty() && pass.desired.connection == Connection::Coexistence;
    if is_managed && memory.marks.registration == Registration::NotSeen {
        let before = pass.observed.process.looked_before;
        memory.marks.has_seen_onboarding =
            before.is_some_and(|before| pass.now < later(before, pass.limits.sync_window));
    }
}

/// The next kind that is asked for, or why none is.
pub(super) fn asked(
    pass: &Pass,
    memory: &Memory,
    number: &Number,
    seen: &Seen,
    writable: &Writable,
    aside: &Aside,
) -> Gate {
    let wanted = &pass.desired.syncs;
    if wanted.is_empty() || pass.desired.connection != Connection::Coexistence {
        return Ok(());
    }
    match writable {
        Writable::Yes => {}
        Writable::No(_) => return Ok(()),
        Writable::Incomplete(why) => {
            let said = format!("it is not asked for {}: {why}", names(wanted));
            return Err(Stop::block(Block::new(Reason::ObservationIncomplete, said)));
        }
    }
    let Some(window) = Window::of(memory, number, pass.limits) else { return Ok(()) };
    let state = |sync: &AppData| window.state(memory, *sync);
    let open = |sync: &&AppData| !matches!(state(sync), State::Asked(_) | State::Unanswered(_));
    let open: Vec<AppData> = wanted.iter().filter(open).copied().collect();
    let late = open.iter().find_map(|sync| match state(sync) {
        State::Late(refusal) => Some(refusal),
        _ => None,
    });
    if !open.is_empty() && (late.is_some() || pass.now >= window.until) {
        return Err(over(&open, &window, late));
    }
    let cause = |sync: &AppData| match (state(sync), &pass.retry) {
        (State::NotAsked, _) if window.is_proven => Some(Cause::Automatic),
        (State::NotAsked | State::Refused(_), Some(retry)) => Some(Cause::Retry(retry.value.clone())),
        _ => None,
    };
    if let Some((sync, cause)) = open.iter().find_map(|sync| Some((*sync, cause(sync)?))) {
        let is_known = may_be_received(pass, &open, &window, aside)?;
        undecided::may_send(pass, KIND, memory)?;
        let (account, id, onboarded) = (seen.account.clone(), number.id.clone(), window.since);
        let step = Step::StartSync { account, number: id, sync, onboarded };
        let blindly = if is_known {
            ""
        } else {
            "; Meta does not show which apps are subscribed, so perhaps nobody gets them"
        };
        return Err(pass.step(
            step,
            format!("ask for {}{blindly}; {}", names(&[sync]), window.text()),
            cause,
        ));
    }
    open.iter().try_for_each(|sync| match state(sync) {
        State::Refused(refusal) => Err(refused(pass, *sync, &window, refusal)),
        State::NotAsked => Err(unproven(pass, &open, &window)),
        _ => Ok(()),
    })
}

/// Each may be asked for once, and an object before may have done so.
fn unproven(pass: &Pass, open: &[AppData], window: &Window) -> Stop {
    let said = format!(
        "{} are not asked for by itself: each may be asked for once, within 24 hours of the onboarding; Meta does not tell when that was, and the number was connected when this channel first saw it, at {}; if it is less than 24 hours ago and nobody asked, run {}",
        names(open),
        say::time(window.since),
        pass.command("retry")
    );
    Stop::block(Block::new(Reason::SyncOnboardingUnknown, said).until(window.until))
}

/// What Meta sends comes once, and only to those who get the account's messages then. Gives back whether it is known that
/// somebody does.
fn may_be_received(pass: &Pass, open: &[AppData], window: &Window, aside: &Aside) -> Gate<bool> {
    let waits = |what: &str| {
        let said = format!("{} are asked for once {what}; {}", names(open), window.text());
        Err(Stop::block(Block::new(Reason::SyncAwaitsWebhook, said).until(window.until)))
    };
    if pass.desired.webhook.is_some() {
        // One that Meta does not show to the token was written, and no person can do more about it.
        let keeps = |block: &Block| block.reason != Reason::WebhookNotReadable;
        let is_elsewhere =
            aside.blocks.iter().any(|(on, block)| *on == ConditionType::WebhookRouted && keeps(block));
        return match is_elsewhere {
            true => waits("the webhook is as desired, since Meta sends them there and only once"),
            false => Ok(true),
        };
    }
    match (pass.observed.is_received(), &pass.observed.subscribed) {
        (Some(true), _) => Ok(true),
        (Some(false), _) => waits(
            "an app is subscribed to the account, since Meta sends them to subscribed apps and only once; set spec.webhook, or have the app subscribed that is to get them",
        ),
        // Where Meta does not show them they may be there all the same, and later is too late.
        (None, Fact::Unknown(failure)) if failure.is_answer() => Ok(false),
        (None, Fact::Unknown(failure)) => {
            let block = say::unreadable("the account's subscribed apps", failure);
            let message = format!("{}; {}", block.message, window.text());
            Err(Stop::block(Block { message, ..block }.until(window.until)))
        }
        (None, Fact::NotAsked | Fact::Known(_)) => {
            Err(Stop::look_again("the subscribed apps of the account have not been read yet"))
        }
    }
}

fn over(open: &[AppData], window: &Window, late: Option<&Refusal>) -> Stop {
    let why = match late {
        Some(refusal) => format!("Meta says that it is too late ({})", say::words(refusal)),
        None => format!("it is too late: {}", window.text()),
    };
    let said = format!(
        "{} are not asked for, since {why}; the number works without; to have them, disconnect the number in the app and connect it again through the partner's sign-up; else remove them from spec.coexistence",
        names(open)
    );
    Stop::block(Block::new(Reason::SyncTooLate, said).refused(late))
}

fn refused(pass: &Pass, sync: AppData, window: &Window, refusal: &Refusal) -> Stop {
    let block = say::not_for_its_value(KIND.as_str(), refusal, &pass.then_retry()).unwrap_or_else(|| {
        Block::new(
            Reason::SyncRefused,
            format!(
                "Meta refused to send {} ({}); the number works without; remove the cause, {}; {}",
                names(&[sync]),
                say::words(refusal),
                pass.then_retry(),
                window.text()
            ),
        )
        .refused(Some(refusal))
    });
    Stop::block(block.until(window.until))
}
