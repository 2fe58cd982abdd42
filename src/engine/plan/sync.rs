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
        memory::Memory,
        observed::Number,
        reason::Reason,
        step::{Cause, Step, StepKind},
    },
};

const KIND: StepKind = StepKind::StartSync;

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
        (State::NotAsked, _) => Some(Cause::Automatic),
        (State::Refused(_), Some(retry)) => Some(Cause::Retry(retry.value.clone())),
        _ => None,
    };
    if let Some((sync, cause)) = open.iter().find_map(|sync| Some((*sync, cause(sync)?))) {
        goes_where_it_should(&open, &window, aside)?;
        undecided::may_send(pass, KIND, memory)?;
        let (account, id, onboarded) = (seen.account.clone(), number.id.clone(), window.since);
        let step = Step::StartSync { account, number: id, sync, onboarded };
        return Err(pass.step(step, format!("ask for {}; {}", names(&[sync]), window.text()), cause));
    }
    open.iter().try_for_each(|sync| match state(sync) {
        State::Refused(refusal) => Err(refused(pass, *sync, &window, refusal)),
        _ => Ok(()),
    })
}

/// What Meta sends comes once, and only to where the webhook goes then.
fn goes_where_it_should(open: &[AppData], window: &Window, aside: &Aside) -> Gate {
    // One that Meta does not show to the token was written, and no person can do more about it.
    let keeps = |block: &Block| block.reason != Reason::WebhookNotReadable;
    let is_elsewhere =
        aside.blocks.iter().any(|(on, block)| *on == ConditionType::WebhookRouted && keeps(block));
    if !is_elsewhere {
        return Ok(());
    }
    let said = format!(
        "{} are asked for once the webhook is as desired, since Meta sends them there and only once; {}",
        names(open),
        window.text()
    );
    Err(Stop::block(Block::new(Reason::SyncAwaitsWebhook, said).until(window.until)))
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
