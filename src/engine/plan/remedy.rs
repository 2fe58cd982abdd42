//! Blocks that several rules of the plan share, each with its remedy.

use jiff::Timestamp;

use crate::engine::{
    plan::pass::Pass,
    rule::say,
    value::{
        action::Action,
        block::Block,
        failure::{Failure, Refusal, Said},
        id::AccountId,
        phone::E164,
        reason::Reason,
        time::later,
    },
};

/// Work that is due, on a channel that only observes.
pub(super) fn observe_only(pass: &Pass, fact: &str) -> Block {
    Block::new(
        Reason::ObserveOnly,
        format!(
            "{fact}, and managementPolicy ObserveOnly writes nothing; set it to Full to have {} brought up",
            pass.desired.name
        ),
    )
}

/// A number that stays in the app and was not connected there.
pub(super) fn not_onboarded(fact: &str) -> Block {
    Block::new(
        Reason::CoexistenceNotOnboarded,
        format!(
            "{fact}, and a number that stays in the WhatsApp Business app can only be connected there; do it in the app through the partner's sign-up, or set connection to CloudApi"
        ),
    )
}

/// A number that was connected from the app and is not any more.
pub(super) fn ended(number: &E164) -> Block {
    Block::new(
        Reason::CoexistenceEnded,
        format!(
            "{number} was connected to the platform, and is not any more; no read tells why: the app may not have been opened on the phone for about 14 days, or the number was disconnected in it, moved to the consumer app, or registered on another phone; open the app on the phone; after a change of the phone Meta connects it again by itself, which is noticed; else connect it in the app through the partner's sign-up, or set connection to CloudApi"
        ),
    )
}

/// A word of Meta's that this version does not know: nothing is written on its strength.
pub(super) fn not_known(field: &str, word: &str, of: &str) -> Block {
    Block::new(
        Reason::StatusNotKnown,
        format!(
            "{field} of {of} reads {word}, which this version does not know; nothing is written until it reads a known value; a newer version may know it"
        ),
    )
}

/// "Cannot create certificate" has several causes, and only a sentence tells which. Nobody is told to give an account up
/// unless Meta says that there is one, and then that is not the only way.
pub(super) fn certificate(pass: &Pass, refusal: &Refusal) -> Block {
    let block = if refusal.says(Said::NumberInUse) {
        Block::new(Reason::NumberOnPhone, in_use(pass, refusal))
    } else {
        Block::new(
            Reason::CertificateRefused,
            format!(
                "Meta could not make the certificate of {} ({}), which has one of these causes: the number is in use in a WhatsApp app, or registered in another account or with another provider; the display name is not ready, or cannot be used; two-step verification was switched on elsewhere; find out which, {}",
                pass.desired.number,
                say::words(refusal),
                pass.then_retry()
            ),
        )
    };
    block.refused(Some(refusal)).or_else("nothing is tried again by itself; the number stays where it is")
}

fn in_use(pass: &Pass, refusal: &Refusal) -> String {
    format!(
        "{} is registered to another account of WhatsApp ({}); if it is to stay in the WhatsApp Business app, set connection to Coexistence and connect it there; if another WhatsApp Business Account or provider has it, have it deregistered there; if an app has it and neither its account nor its chats are needed any more, delete the account in that app under Settings > Account, and wait five minutes; {}",
        pass.desired.number,
        say::words(refusal),
        pass.then_retry()
    )
}

/// A number of the Business app, which no call registers.
pub(super) fn business_app(pass: &Pass, refusal: &Refusal) -> Block {
    Block::new(
        Reason::ConnectionContradictsNumber,
        format!(
            "Meta says that {} is a number of the WhatsApp Business app ({}), and such a number is registered by no call; set connection to Coexistence, and connect it in the app through the partner's sign-up; once it has left the app, run {}",
            pass.desired.number,
            say::words(refusal),
            pass.command("retry")
        ),
    )
    .refused(Some(refusal))
}

/// The accounts in reach are still being listed.
pub(super) fn reach_unread() -> Block {
    Block::new(
        Reason::PortfolioNotReadYet,
        "the accounts in reach are not all read yet; this goes on by itself when they are",
    )
}

/// A Secret that could not be read now.
pub(super) fn unreadable(place: &str, why: &str) -> Block {
    Block::new(
        Reason::ObservationIncomplete,
        format!("{place} could not be read from the cluster now ({why}); it is read again by itself"),
    )
    .asks(Action::CheckCluster)
}

/// What was tried before this object could not be read now. It may be near a limit of Meta's.
pub(super) fn unreadable_attempts(pass: &Pass, why: &str) -> Block {
    let namespace = &pass.desired.portfolio.namespace;
    let place =
        format!("the ConfigMap in namespace {namespace} with earlier attempts of {}", pass.desired.number);
    unreadable(&place, why).until(later(pass.now, pass.limits.not_sent_pause))
}

/// An account, or its list, that could not be read.
pub(super) fn unreadable_account(id: &AccountId, what: &str, failure: &Failure) -> Block {
    let kind = failure.refusal().and_then(Refusal::node_type).filter(|kind| !is_of_account(kind));
    kind.map_or_else(|| say::unreadable(what, failure), |kind| not_an_account(id, kind))
}

/// How Meta calls an account, and an entry of its list.
fn is_of_account(kind: &str) -> bool {
    matches!(kind, "WhatsAppBusinessAccount" | "WhatsAppBusinessPhoneNumber")
}

/// The id belongs to something else.
pub(super) fn not_an_account(id: &AccountId, kind: &str) -> Block {
    Block::new(
        Reason::NotAnAccount,
        format!(
            "spec.accountId {id} is not the id of a WhatsApp Business Account: Meta calls the object {kind}; delete the channel and create it anew with the account's id (nothing was done at Meta)"
        ),
    )
}

/// Somebody else has the last word on a field.
pub(super) fn contended(pass: &Pass, field: &str, value: &str, since: Timestamp) -> Block {
    Block::new(
        Reason::ContendedBy,
        format!(
            "{field} was written {} times, and somebody else changed it each time; since {} it is left at {value:?}; find out who else writes it, then change the spec to that, or run {} to write it once more",
            pass.limits.repairs,
            say::time(since),
            pass.command("retry")
        ),
    )
}
