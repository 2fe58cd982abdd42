//! The types of conditions, one row each, in the order of their depth.
//!
//! The row says where a condition stands, when it holds up `Ready`, and what True means. Lists, readiness and the
//! documentation come from it. A condition without a row does not compile.

use crate::engine::value::{
    desired::ReadyWhen,
    word::{Vocabulary, words},
};

/// Where a condition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It has to hold before the number is usable.
    Way,
    /// It only tells.
    Aside,
    /// It follows from the others.
    Summary,
    /// Only a portfolio has it.
    Portfolio,
}

/// When a condition that is not True holds up `Ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    Always,
    UntilRegistered,
    WhenManaged,
    /// From this level of `readyWhen` on.
    From(ReadyWhen),
    /// Where it is False, and `readyWhen` is Operational.
    WhenOperational,
    /// Always, but `Ready` of a portfolio.
    OfPortfolio,
    Never,
}

impl Blocks {
    /// For the documentation.
    pub fn text(self) -> String {
        match self {
            Self::Always => "always".into(),
            Self::UntilRegistered => "until Registered".into(),
            Self::WhenManaged => "always when managed".into(),
            Self::From(level) => {
                let levels = ReadyWhen::ALL.iter().filter(|l| **l >= level).map(|l| l.as_str());
                format!("readyWhen {}", levels.collect::<Vec<_>>().join(" and "))
            }
            Self::WhenOperational => "readyWhen Operational, where it is False".into(),
            Self::OfPortfolio => "always, of a portfolio".into(),
            Self::Never => "never".into(),
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
struct Row {
    part: Part,
    blocks: Blocks,
    meaning: &'static str,
}

macro_rules! conditions {
    ($($kind:ident: $part:ident, $blocks:ident $(($level:ident))?, $meaning:literal;)+) => {
        words! {
            /// The types of conditions, in the order of their depth: `Ready` copies the first that blocks it.
            ///
            /// ```
            /// use whatsapp_operator::engine::condition_type::{ConditionType, Part};
            /// let verified = ConditionType::NumberVerified;
            /// assert_eq!((verified.part(), verified.blocks().text()), (Part::Way, "until Registered".to_owned()));
            /// assert!(verified.may_block() && !ConditionType::ProfileSynced.may_block());
            /// assert_eq!(ConditionType::BusinessVerified.meaning(), "Meta has verified the business.");
            /// ```
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub enum ConditionType { $($kind),+ }
        }

        impl ConditionType {
            const fn row(self) -> Row {
                match self {
                    $(Self::$kind => Row {
                        part: Part::$part,
                        blocks: Blocks::$blocks $((ReadyWhen::$level))?,
                        meaning: $meaning,
                    },)+
                }
            }
        }
    };
}

conditions! {
    // Condition: where it stands, when it holds up Ready, what True means.
    PortfolioReady: Way, Always,
        "The portfolio resolves, may be used from this namespace, and its credentials work.";
    AccountUsable: Way, Always,
        "The account is in reach, reviewed and active.";
    NumberAdded: Way, Always,
        "The number is in the account, and its id is known.";
    NumberVerified: Way, UntilRegistered,
        "Ownership is proven by a code, or needs no proof since the number is registered.";
    DisplayNameApproved: Way, From(NameApproved),
        "The desired name is live, and approved or available without review.";
    Registered: Way, Always,
        "The number is registered with Cloud API.";
    Healthy: Way, Always,
        "The number can send. Limits show as reason Limited.";
    WebhookRouted: Way, WhenManaged,
        "Our app is subscribed, and the number's webhook is the desired one. There only when spec.webhook is set.";
    ProfileSynced: Way, Never,
        "Every managed profile field matches. There only when spec.profile is set.";
    RegistrationSynced: Way, Never,
        "Meta has what the number is registered with: the PIN of the Secret. There only once that was changed.";
    AppSynced: Way, Never,
        "What spec.coexistence names was asked for of the WhatsApp Business app. There only when that is set.";
    UsernameClaimed: Way, Never,
        "The username is the number's, visible or reserved. There only when spec.username is set.";
    OfficialAccount: Way, Never,
        "The number is an official business account. There only when spec.officialBusinessAccount is set.";
    BusinessVerified: Aside, From(FullyVerified),
        "Meta has verified the business.";
    PaymentReady: Aside, WhenOperational,
        "The account has a payment method.";
    Ready: Summary, Never,
        "Usable in the sense of readyWhen.";
    Reconciling: Summary, Never,
        "The operator still has something to do. There only when True.";
    Stalled: Summary, Never,
        "Nothing but an edit or a person at Meta helps. There only when True.";
    CredentialsValid: Portfolio, OfPortfolio,
        "The credentials in use work.";
    IdentityConfirmed: Portfolio, OfPortfolio,
        "The portfolio is the expected one.";
    AppWebhookSet: Portfolio, Never,
        "The app's own webhook is the desired one. There only when spec.appWebhook is set.";
}

const OF_CHANNEL: &[Part] = &[Part::Way, Part::Aside, Part::Summary];
const ON_THE_WAY: &[Part] = &[Part::Way];
const JUDGED: &[Part] = &[Part::Way, Part::Aside, Part::Portfolio];

impl ConditionType {
    /// The types of a channel, in order.
    pub const CHANNEL: [Self; count(OF_CHANNEL)] = pick(OF_CHANNEL);

    /// What has to hold before the number is usable, in order; the rest of the types only tell.
    pub const WAY: [Self; count(ON_THE_WAY)] = pick(ON_THE_WAY);

    /// Those that do not follow from others, in order.
    pub const JUDGED: [Self; count(JUDGED)] = pick(JUDGED);

    /// Where it stands.
    pub const fn part(self) -> Part {
        self.row().part
    }

    /// When it holds up `Ready`.
    pub fn blocks(self) -> Blocks {
        self.row().blocks
    }

    /// Whether `Ready`, of a channel or of a portfolio, may ever copy it.
    pub fn may_block(self) -> bool {
        self.blocks() != Blocks::Never
    }

    /// What True means, for the documentation.
    pub fn meaning(self) -> &'static str {
        self.row().meaning
    }

    const fn is_of(self, parts: &[Part]) -> bool {
        let mut at = 0;
        while at < parts.len() {
            if parts[at] as u8 == self.part() as u8 {
                return true;
            }
            at += 1;
        }
        false
    }
}

/// How many conditions stand in these parts.
const fn count(parts: &[Part]) -> usize {
    let (mut at, mut count) = (0, 0);
    while at < ConditionType::ALL.len() {
        if ConditionType::ALL[at].is_of(parts) {
            count += 1;
        }
        at += 1;
    }
    count
}

/// The conditions that stand in these parts, in order.
const fn pick<const N: usize>(parts: &[Part]) -> [ConditionType; N] {
    let mut list = [ConditionType::ALL[0]; N];
    let (mut at, mut count) = (0, 0);
    while at < ConditionType::ALL.len() {
        if ConditionType::ALL[at].is_of(parts) {
            list[count] = ConditionType::ALL[at];
            count += 1;
        }
        at += 1;
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_is_described_in_sentences() {
        for kind in ConditionType::ALL {
            assert!(kind.meaning().ends_with('.'), "{kind:?}");
        }
    }

    #[test]
    fn a_condition_of_a_channel_holds_up_a_channel_and_one_of_a_portfolio_a_portfolio() {
        for kind in ConditionType::ALL {
            let blocks = kind.blocks();
            match kind.part() {
                Part::Way | Part::Aside => assert_ne!(blocks, Blocks::OfPortfolio, "{kind:?}"),
                Part::Summary => assert_eq!(blocks, Blocks::Never, "{kind:?}"),
                Part::Portfolio => assert!(matches!(blocks, Blocks::OfPortfolio | Blocks::Never), "{kind:?}"),
            }
        }
    }
}
