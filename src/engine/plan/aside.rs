//! Settings that do not depend on the registration steps: subscription, webhook, profile. They are repeatable, and each
//! has pauses of its own.

use std::time::Duration;

use jiff::Timestamp;

use crate::engine::{
    drift,
    plan::{
        pass::{Gate, Pass, Seen, Stop, Writable},
        remedy,
    },
    rule::{
        say,
        upkeep::{self, Upkeep, upkeep},
    },
    value::{
        action::Action,
        block::Block,
        condition_type::ConditionType,
        desired::Webhook,
        failure::Refusal,
        id::{Fact, Field},
        memory::{ConsentAnswer, ConsentKind, Memory, Pace},
        observed::{Number, Profile},
        reason::Reason,
        secret::{SecretFact, SecretVersion},
        step::{Cause, Planned, Shows, Step, StepKind},
        time::{later, pause},
    },
};

/// The next settings step, and the blocks of the other settings.
#[derive(Default)]
pub(super) struct Aside {
    pub step: Option<Planned>,
    pub blocks: Vec<(ConditionType, Block)>,
}

/// What may be written to a registered number, setting by setting.
pub(super) struct MayWrite {
    pub webhook: Writable,
    pub profile: Writable,
    pub name: Writable,
    pub others: Writable,
}

impl Aside {
    pub(super) fn take(&mut self, condition: ConditionType, result: Gate) {
        match result {
            Err(Stop::Step(planned)) => {
                self.step.get_or_insert(*planned);
            }
            Err(Stop::Block(block)) => self.blocks.push((condition, *block)),
            Ok(()) => {}
        }
    }
}

/// Remembers what the spec asks for of a number that was found by this pass: where differences are only told, it is not
/// written before somebody edits it.
pub(super) fn note_found(pass: &Pass, memory: &mut Memory) {
    if memory.marks.adopted_since() != Some(pass.now) {
        return;
    }
    for field in [drift::CALLBACK, drift::SUBSCRIPTION, drift::USERNAME] {
        upkeep::note_found(pass.desired, memory, field);
    }
    for field in drift::managed(&pass.desired.profile) {
        upkeep::note_found(pass.desired, memory, &format!("{}{field}", drift::PROFILE));
    }
}

/// The subscription and the route.
pub(super) fn routed(
    pass: &Pass,
    memory: &mut Memory,
    number: &Number,
    seen: &Seen,
    writable: &Writable,
) -> Gate {
    note_live(memory, number, seen);
    let Some(webhook) = &pass.desired.webhook else { return Ok(()) };
    let is_subscribed = match &pass.observed.subscribed {
        Fact::Known(is_subscribed) => *is_subscribed,
        Fact::NotAsked => return Err(Stop::look_again("the app's subscription has not been read yet")),
        Fact::Unknown(failure) => {
            return Err(Stop::block(say::unreadable("the account's subscribed apps", failure)));
        }
    };
    let is_routed = is_routed(number, webhook);
    if is_subscribed {
        memory.ledger.repeatable.remove(&StepKind::SubscribeApp);
        upkeep::note_shared_same(pass.desired, memory, drift::SUBSCRIPTION, &pass.observed.resubscribed);
    } else {
        let seen = ("not subscribed", Duration::ZERO, &*pass.observed.resubscribed);
        upkeep::note_shared_other(pass.desired, memory, drift::SUBSCRIPTION, seen, pass.limits, pass.now);
    }
    match is_routed {
        Some(true) => {
            note_routed(pass, memory, number);
            upkeep::note_same(pass.desired, memory, drift::CALLBACK);
        }
        Some(false) => {
            let live = number.webhook.value().and_then(|shown| shown.number.as_deref());
            note_other(pass, memory, drift::CALLBACK, (live.unwrap_or_default(), Duration::ZERO));
        }
        None => upkeep::note_edit(pass.desired, memory, drift::CALLBACK),
    }
    if is_subscribed && is_routed == Some(true) {
        return Ok(());
    }
    may_write(writable, Reason::WebhookDiffers, "the webhook")?;
    if !is_subscribed {
        let step = Step::SubscribeApp { account: seen.account.clone() };
        let differs = (Reason::WebhookDiffers, "the app's subscription");
        return Err(kept_up(pass, memory, seen.begun, step, differs, "subscribe the app to the account"));
    }
    let has_no_callback = has_no_callback(number);
    if has_no_callback && pass.retry.is_none() && !may_be_taken(pass, memory) {
        return Err(Stop::block(no_callback(pass, memory)));
    }
    let secret = verify_token(pass, webhook)?;
    if is_routed.is_none() && was_written_blindly(pass, memory, &secret) {
        return Err(Stop::block(not_readable()));
    }
    let step = Step::RouteWebhook {
        account: seen.account.clone(),
        number: number.id.clone(),
        url: webhook.callback_url.clone(),
        secret,
    };
    if has_no_callback {
        return Err(without_callback(pass, memory, seen.begun, step));
    }
    // Nobody is known to have changed what cannot be read.
    let why = "route this number's messages to the desired URL";
    if is_routed.is_none() && upkeep(pass.desired, memory, drift::CALLBACK) == Upkeep::Report {
        return Err(paced(pass, memory, seen.begun, step, why));
    }
    let differs = (Reason::WebhookDiffers, "the webhook");
    Err(kept_up(pass, memory, seen.begun, step, differs, why))
}

/// An address that the spec does not name any more stays this object's, where an operator wrote it that remembered none.
pub(super) fn note_edited(pass: &Pass, memory: &mut Memory, number: &Number) {
    let live = number.webhook.value().and_then(|shown| shown.number.as_deref());
    let Some(url) = live.filter(|url| upkeep::was_routed(memory, url)) else { return };
    if !upkeep::is_in_sync(pass.desired, memory, drift::CALLBACK) {
        memory.marks.keep_route(url);
    }
}

/// Forgets the addresses that this object gave the number and that are seen to be gone.
fn note_live(memory: &mut Memory, number: &Number, seen: &Seen) {
    let live = match &number.webhook {
        Field::Refused => return,
        Field::Absent => None,
        Field::Is(shown) => shown.number.as_deref(),
    };
    let until = memory.ledger.repeatable.get(&StepKind::RouteWebhook).and_then(|pace| pace.settle_until);
    let may_show = until.is_some_and(|until| seen.begun.is_none_or(|begun| begun < until));
    if !may_show {
        memory.marks.routed.retain(|url| live.is_some_and(|live| drift::same_url(live, url)));
    }
}

/// Once per `retry`: that Meta shows no callback URL of the app may be a limit of what it shows.
fn without_callback(pass: &Pass, memory: &Memory, begun: Option<Timestamp>, step: Step) -> Stop {
    let before = pace(pass, memory, &step);
    let waits = before.and_then(|pace| waits(pass, pace, begun, step.kind()));
    match (waits.filter(is_under_way), &pass.retry) {
        (Some(block), _) => Stop::block(block),
        (None, Some(retry)) => {
            let why = "route this number's messages to the desired URL, though Meta shows no callback URL of the app";
            pass.step(step, why.into(), Cause::Retry(retry.value.clone()))
        }
        (None, None) if before.is_some_and(|pace| pace.accepted > 0) => Stop::block(not_readable()),
        (None, None) => Stop::block(no_callback(pass, memory)),
    }
}

/// Whether Meta may have taken the webhook of this generation, and has not shown it since.
fn may_be_taken(pass: &Pass, memory: &Memory) -> bool {
    memory.ledger.repeatable.get(&StepKind::RouteWebhook).is_some_and(|pace| {
        pace.generation == pass.desired.generation && (pace.accepted > 0 || pace.settle_until.is_some())
    })
}

fn no_callback(pass: &Pass, memory: &Memory) -> Block {
    let before = memory.ledger.repeatable.get(&StepKind::RouteWebhook);
    let before = before.filter(|pace| pace.generation == pass.desired.generation);
    let last = before.and_then(|pace| pace.refusal.as_ref()).filter(|refusal| !refusal.is_pause());
    let words = last.map_or(String::new(), |refusal| {
        let did = if refusal.may_have_happened() { "could not take" } else { "refused" };
        format!(", and {did} it when it was tried ({})", say::words(refusal))
    });
    Block::new(
        Reason::AppNotSubscribedToMessages,
        format!(
            "Meta shows no callback URL of the app's own, without which it refuses the webhook of a number{words}; in the App Dashboard, under WhatsApp, Configuration, give the app a verified callback URL and the field messages; it is looked at again by itself; if it has both, {} tries it once all the same",
            pass.command("retry")
        ),
    )
    .refused(last)
}

fn not_readable() -> Block {
    Block::new(
        Reason::WebhookNotReadable,
        "the webhook was written; Meta does not show this app where it points, so it is written once per change of the spec",
    )
}

/// Meta shows the callback URL of the app wherever it shows any, and refuses every override where there is none (recorded
/// in August 2026).
fn has_no_callback(number: &Number) -> bool {
    match &number.webhook {
        Field::Refused => false,
        Field::Absent => true,
        // An override that is there was taken, so the app had an address then.
        Field::Is(shown) => shown.application.is_none() && shown.account.is_none() && shown.number.is_none(),
    }
}

/// `None` where Meta does not let this app read it.
fn is_routed(number: &Number, webhook: &Webhook) -> Option<bool> {
    match &number.webhook {
        Field::Refused => None,
        Field::Absent => Some(false),
        Field::Is(configuration) => Some(
            configuration.number.as_deref().is_some_and(|url| drift::same_url(url, &webhook.callback_url)),
        ),
    }
}

/// The effect shows: nothing is paced any more. That it was written in this generation is kept, for the day on
/// which Meta does not show it any longer. The pace of an earlier generation goes, and with it the only word of an operator
/// that remembered no addresses.
fn note_routed(pass: &Pass, memory: &mut Memory, number: &Number) {
    let live = number.webhook.value().and_then(|shown| shown.number.as_deref());
    let ours = live.filter(|url| upkeep::was_routed(memory, url)).map(str::to_owned);
    let paces = &mut memory.ledger.repeatable;
    let Some(pace) = paces.remove(&StepKind::RouteWebhook) else { return };
    if pace.generation == pass.desired.generation {
        let was_taken = pace.accepted > 0 || pace.refusal.as_ref().is_none_or(Refusal::may_have_happened);
        let (generation, secret) = (pace.generation, pace.secret);
        let last = pace.last.filter(|_| was_taken);
        paces.insert(StepKind::RouteWebhook, Pace { generation, secret, last, ..Pace::default() });
    } else if let Some(url) = ours {
        memory.marks.keep_route(&url);
    }
}

fn was_written_blindly(pass: &Pass, memory: &Memory, secret: &SecretVersion) -> bool {
    memory.ledger.repeatable.get(&StepKind::RouteWebhook).is_some_and(|pace| {
        let is_same = pace.generation == pass.desired.generation && pace.secret.as_ref() == Some(secret);
        let was_seen = pace.last.is_some() && pace.failed == 0 && pace.settle_until.is_none();
        is_same && (pace.accepted > 0 || was_seen) && pass.retry.is_none()
    })
}

fn verify_token(pass: &Pass, webhook: &Webhook) -> Result<SecretVersion, Stop> {
    let key = &webhook.verify_token;
    let needs = |reason, message: String| {
        let block = Block::new(reason, message);
        Stop::block(match reason {
            // Of this Secret; the reason is made for those of the portfolio.
            Reason::SecretMissing | Reason::SecretKeyMissing => block.asks(Action::ProvideVerifyToken),
            _ => block,
        })
    };
    match &pass.observed.verify_token {
        SecretFact::Present { version, well_formed: true, .. } => Ok(version.clone()),
        SecretFact::Present { .. } => Err(needs(
            Reason::SecretKeyMissing,
            format!(
                "the text under key {} of Secret {} is longer than 4 KiB; write a shorter verify token there",
                key.key, key.name
            ),
        )),
        SecretFact::Missing => Err(needs(
            Reason::SecretMissing,
            format!(
                "Secret {} does not exist; create it with the verify token under key {}",
                key.name, key.key
            ),
        )),
        SecretFact::KeyMissing { .. } => Err(needs(
            Reason::SecretKeyMissing,
            format!("Secret {} has no key {}; write the verify token there", key.name, key.key),
        )),
        SecretFact::Forbidden(why) => Err(needs(
            Reason::SecretForbidden,
            say::forbidden(&format!("Secret {}", key.name), Some(&pass.desired.namespace), why),
        )),
        SecretFact::Unlabelled => Err(needs(
            Reason::VerifyTokenUnlabelled,
            format!(
                "Secret {} may not be sent to the webhook; give it the label whatsapp-operator.dev/use=verify-token",
                key.name
            ),
        )),
        // The webhook is known to differ: that it cannot be mended now is no reason to take the channel for Ready.
        SecretFact::Unreadable(why) => Err(Stop::look_again(format!(
            "Secret {} could not be read from the cluster now ({why}); it is read again by itself",
            key.name
        ))),
        SecretFact::NotAsked => Err(Stop::look_again(format!("Secret {} has not been read yet", key.name))),
    }
}

pub(super) fn profile(
    pass: &Pass,
    memory: &mut Memory,
    number: &Number,
    seen: &Seen,
    writable: &Writable,
) -> Gate {
    if !pass.desired.profile.is_managed() {
        return Ok(());
    }
    // None says nothing: profiles are read in turns.
    let Some(current) = pass.observed.profile_of(number) else { return Ok(()) };
    let age = if number.profile.value().is_some() { Duration::ZERO } else { pass.limits.fresh_profile };
    note_profile(pass, memory, current, age);
    let fields = drift::profile_to_write(&pass.desired.profile, current);
    if !fields.is_managed() {
        memory.ledger.repeatable.remove(&StepKind::WriteProfile);
        return Ok(());
    }
    may_write(writable, Reason::ProfileDiffers, "the profile")?;
    let begun = match &pass.observed.profile {
        Fact::Known(_) => Some(pass.observed.begun),
        _ => seen.begun,
    };
    let write =
        |fields| Step::WriteProfile { account: seen.account.clone(), number: number.id.clone(), fields };
    // What is left as it is holds no other field up.
    let is_due = |field: &str| matches!(upkeep(pass.desired, memory, field), Upkeep::Asked | Upkeep::Repair);
    let due = drift::only(&fields, |field| pass.retry.is_some() || is_due(field));
    let step = write(if due.is_managed() { due } else { fields });
    let differs = (Reason::ProfileDiffers, "the profile");
    Err(kept_up(pass, memory, begun, step, differs, "write the profile fields that differ"))
}

/// Remembers of each managed field whether Meta has it as desired.
fn note_profile(pass: &Pass, memory: &mut Memory, live: &Profile, age: Duration) {
    let differing = drift::differences(&pass.desired.profile, live);
    for field in drift::managed(&pass.desired.profile) {
        let path = format!("{}{field}", drift::PROFILE);
        match differing.iter().find(|(name, ..)| *name == field) {
            Some((_, _, live)) => note_other(pass, memory, &path, (live, age)),
            None => upkeep::note_same(pass.desired, memory, &path),
        }
    }
}

fn note_other(pass: &Pass, memory: &mut Memory, field: &str, seen: (&str, Duration)) {
    upkeep::note_other(pass.desired, memory, field, seen, pass.limits, pass.now);
}

/// The step, unless somebody else changed what it writes and that is only told, or he has the last word. A person may have it
/// written once.
fn kept_up(
    pass: &Pass,
    memory: &Memory,
    begun: Option<Timestamp>,
    step: Step,
    (reason, what): (Reason, &str),
    why: &str,
) -> Stop {
    let left = drift::written(&step).into_iter().find_map(|field| {
        match upkeep(pass.desired, memory, &field) {
            Upkeep::Asked | Upkeep::Repair => None,
            Upkeep::Found => Some(Block::new(
                reason,
                format!(
                    "{what} is not written: the number was found in the account, {field} was not edited since, and driftPolicy is Report; to have it written once run {}",
                    pass.command("retry")
                ),
            )),
            Upkeep::Report => Some(Block::new(
                reason,
                format!(
                    "{what} differs and is not written: somebody else changed {field}, and driftPolicy is Report; to have it written once run {}",
                    pass.command("retry")
                ),
            )),
            Upkeep::Contended { value, since } => Some(remedy::contended(pass, &field, &value, since)),
        }
    });
    let Some(block) = left else { return paced(pass, memory, begun, step, why) };
    // What was sent when a person asked may still show.
    let sent = pace(pass, memory, &step).and_then(|pace| waits(pass, pace, begun, step.kind()));
    let sent = sent.filter(|sent| matches!(sent.reason, Reason::EffectNotVisibleYet | Reason::Throttled));
    match (sent, &pass.retry) {
        (Some(sent), _) => Stop::block(sent),
        (None, Some(retry)) => pass.step(step, why.into(), Cause::Retry(retry.value.clone())),
        (None, None) => Stop::block(block),
    }
}

pub(super) fn may_write(writable: &Writable, reason: Reason, what: &str) -> Result<(), Stop> {
    match writable {
        Writable::Yes => Ok(()),
        Writable::No(why) => {
            Err(Stop::block(Block::new(reason, format!("{what} differs and is not written: {why}"))))
        }
        Writable::Incomplete(why) => Err(Stop::block(Block::new(
            Reason::ObservationIncomplete,
            format!("{what} differs and is not written: {why}"),
        ))),
    }
}

/// The step, unless its pace says later. At once on a new generation, a new Secret version or `retry`.
fn paced(pass: &Pass, memory: &Memory, begun: Option<Timestamp>, step: Step, why: &str) -> Stop {
    let Some(block) = pace(pass, memory, &step).and_then(|pace| waits(pass, pace, begun, step.kind())) else {
        return pass.step(step, why.into(), Cause::Automatic);
    };
    let may_retry = !is_under_way(&block);
    match pass.retry.as_ref().filter(|_| may_retry) {
        Some(retry) => pass.step(step, why.into(), Cause::Retry(retry.value.clone())),
        None => Stop::block(block),
    }
}

/// The pace that a step goes on with; none on a new generation or with another Secret version.
fn pace<'a>(pass: &Pass, memory: &'a Memory, step: &Step) -> Option<&'a Pace> {
    let before = memory.ledger.repeatable.get(&step.kind());
    before.filter(|pace| pace.generation == pass.desired.generation && pace.secret.as_ref() == secret(step))
}

/// What a repeatable step was planned with, where another version makes it another step.
fn secret(step: &Step) -> Option<&SecretVersion> {
    match step {
        Step::RouteWebhook { secret, .. } => Some(secret),
        _ => None,
    }
}

/// The step that is taken begins a pace of its own where it does not go on with the last, or was asked for. Only that
/// one: what is merely planned has used nothing up.
pub(super) fn begin(pass: &Pass, memory: &mut Memory, planned: &Planned) {
    let step = &planned.step;
    if step.kind().shows() != Shows::InSettings {
        return;
    }
    if pace(pass, memory, step).is_none() || matches!(planned.cause, Cause::Retry(_)) {
        let (generation, secret) = (pass.desired.generation, secret(step).cloned());
        let fresh = Pace { generation, secret, ..Pace::default() };
        memory.ledger.repeatable.insert(step.kind(), fresh);
    }
}

fn waits(pass: &Pass, pace: &Pace, begun: Option<Timestamp>, kind: StepKind) -> Option<Block> {
    if let Some(until) = pace.held_until {
        return (pass.now < until).then(|| say::not_sent(kind, until));
    }
    let paused =
        pace.last.map(|last| later(last, pause(&pass.limits.repeatable_pauses, pace.failed as usize)));
    if let Some(until) = pace.settle_until.filter(|until| begun.is_none_or(|begun| begun < *until)) {
        return Some(match &pace.refusal {
            // It may show all the same; what Meta said is known now.
            Some(refusal) => refused(pass, kind, refusal, paused.map_or(until, |paused| paused.max(until))),
            None => not_visible(kind, until),
        });
    }
    if pace.accepted >= pass.limits.repeatable_without_effect {
        return Some(not_taken(pass, kind, pace.accepted));
    }
    let until = paused?;
    (pass.now < until).then(|| match &pace.refusal {
        Some(refusal) => refused(pass, kind, refusal, until),
        None => not_visible(kind, until),
    })
}

/// What another try now would only repeat.
fn is_under_way(block: &Block) -> bool {
    matches!(block.reason, Reason::EffectNotVisibleYet | Reason::Throttled | Reason::NotSentYet)
}

fn not_visible(kind: StepKind, until: Timestamp) -> Block {
    Block::new(
        Reason::EffectNotVisibleYet,
        format!(
            "{} was sent and does not show yet; it is looked at again, and sent again no sooner than {}",
            kind.as_str(),
            say::time(until)
        ),
    )
    .until(until)
}

fn not_taken(pass: &Pass, kind: StepKind, times: u32) -> Block {
    Block::new(
        Reason::NotTakenByMeta,
        format!(
            "Meta accepted {} {times} times and still shows another value; something else may write it too, or Meta does not take this value; change the spec, or run {}",
            kind.as_str(),
            pass.command("retry")
        ),
    )
}

fn refused(pass: &Pass, kind: StepKind, refusal: &Refusal, until: Timestamp) -> Block {
    if let Some(block) = say::not_for_its_value(kind.as_str(), refusal, &pass.then_retry()) {
        return block.until(until);
    }
    let words = say::words(refusal);
    let again = format!("tried again at {}, or at once with {}", say::time(until), pass.command("retry"));
    let (reason, message) = match (refusal.code, kind) {
        _ if refusal.is_pause() => {
            return say::throttled(refusal.until.unwrap_or(until)).refused(Some(refusal));
        }
        _ if refusal.may_have_happened() => {
            (Reason::MetaUnavailable, format!("Meta could not take {} ({words}); {again}", kind.as_str()))
        }
        (2200 | 2201, _) => (
            Reason::WebhookHandshakeFailed,
            format!(
                "the callback URL did not answer Meta's handshake ({words}); make it answer with the challenge for this verify token; {again}"
            ),
        ),
        (100, StepKind::RouteWebhook) if refusal.subcode.is_none() => (
            Reason::AppNotSubscribedToMessages,
            format!(
                "Meta refused the webhook of this number ({words}); in the App Dashboard, under WhatsApp, Configuration, the app needs a verified callback URL and the field messages; check the URL here too; {again}"
            ),
        ),
        (_, StepKind::WriteProfile) => (
            Reason::ProfileRefused,
            format!("Meta refused the profile ({words}); correct spec.profile; {again}"),
        ),
        _ => (Reason::WebhookRefused, format!("Meta refused {} ({words}); {again}", kind.as_str())),
    };
    Block::new(reason, message).refused(Some(refusal)).until(until)
}

/// The answer to a consent that a repeatable step used up.
pub(super) fn used(planned: &Planned, now: Timestamp) -> Option<(ConsentKind, ConsentAnswer)> {
    let Cause::Retry(value) = &planned.cause else { return None };
    let kind = planned.step.kind();
    let used_for = Some(kind.into());
    let answer = ConsentAnswer { value: value.clone(), at: now, used_for, refused: None, again: None };
    kind.is_repeatable().then_some((ConsentKind::Retry, answer))
}
