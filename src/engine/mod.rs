//! The functional core: look → observe → plan → act → assess.
//!
//! No I/O, no async, no clock, no Kubernetes, no HTTP. Values go in and values come out.
//!
//! A file uses its own layer and those below it, and no two files use each other:
//!
//! | Layer | Holds |
//! | --- | --- |
//! | `value` | what goes in, what comes out and what is remembered |
//! | `rule` | answers to one question each, which several layers above ask |
//! | [`look`], [`plan`] | what to read; the one step to take, or why there is none |
//! | [`record`] | the step written down in memory, before and after the call |
//! | `assess` | what a pass means: conditions, waits, facts |
//! | [`reference`](mod@reference) | the documentation made from the tables |
//!
//! Users of the engine see the modules of `value` and `rule` side by side.
//!
//! One pass, from a manifest to its status:
//!
//! ```
//! use std::{collections::BTreeMap, sync::Arc};
//!
//! use whatsapp_operator::api::{lower, v1alpha1::WhatsAppChannel};
//! use whatsapp_operator::engine::assess::{Given, assess};
//! use whatsapp_operator::engine::{drift::diff, limits::Limits, look::{Follows, look}, memory::Memory};
//! use whatsapp_operator::engine::{plan::plan, record::{fold, intend}, step::StepKind};
//! # use whatsapp_operator::engine::id::{AccountId, AccountStatus, Fact, Field, ReviewStatus};
//! # use whatsapp_operator::engine::observed::{
//! #     Account, Claim, ListState, Observed, PortfolioState, ProcessFacts, Searched,
//! # };
//! # use whatsapp_operator::engine::outcome::{Accepted, Outcome};
//! # use whatsapp_operator::engine::portfolio::{PortfolioView, Reach, Reachable};
//! # use whatsapp_operator::engine::{secret::SecretFact, status::{Before, Stage}};
//! # let manifest = serde_json::json!({
//! #     "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
//! #     "metadata": {"name": "support-br", "namespace": "shop", "uid": "u1", "generation": 1},
//! #     "spec": {"portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme Suporte"},
//! # });
//! # let account = AccountId::from("300000000000001");
//! # let reachable = Reachable { id: account.clone(), name: None, owned: Some(true) };
//! # let view = PortfolioView {
//! #     credential_version: Some("1".into()),
//! #     hold: None,
//! #     reach: Reach::Accounts(vec![reachable]),
//! #     ..PortfolioView::spec_invalid("shop", "acme", "500000000000001", "")
//! # };
//! # let (claim, portfolio) = (Claim::Ours { act_from: None }, PortfolioState::View(Arc::new(view)));
//! # let before = Before::default();
//! let now = "2026-03-01T12:00:00Z".parse()?;
//! let channel: WhatsAppChannel = serde_json::from_value(manifest)?;
//! let desired = lower::channel(&channel).expect("a valid spec");
//! let (memory, limits) = (Memory::default(), Limits::default());
//!
//! // What has to be read? The one account that the portfolio reaches.
//! let process = ProcessFacts::new(now);
//! let follows = Follows { before: &before, after_write: None, may_add: true, process: &process, picture: None };
//! let asked = look(&desired, &memory, &claim, &portfolio, follows, &limits, now);
//! assert_eq!(asked.accounts[0].account.as_str(), "300000000000001");
//!
//! // Whoever has the I/O reads it: the account is usable, and no account has the number.
//! # let observed = Observed {
//! #     claim,
//! #     portfolio,
//! #     account: Fact::Known(Arc::new(Account {
//! #         id: Some(account.clone()),
//! #         status: Field::Is(AccountStatus::Active),
//! #         review: Field::Is(ReviewStatus::Approved),
//! #         ..Account::default()
//! #     })),
//! #     search: vec![Searched {
//! #         account,
//! #         list: ListState::Complete { begun: now },
//! #         numbers: Vec::new(),
//! #         without_digits: Vec::new(),
//! #     }],
//! #     subscribed: Fact::NotAsked,
//! #     resubscribed: [].into(),
//! #     other_apps: Arc::default(),
//! #     profile: Fact::NotAsked,
//! #     username: Fact::NotAsked,
//! #     official: Fact::NotAsked,
//! #     code_secret: SecretFact::Missing,
//! #     pin_secret: SecretFact::Missing,
//! #     verify_token: SecretFact::NotAsked,
//! #     held: BTreeMap::new(),
//! #     attempts_unread: None,
//! #     begun: now,
//! #     process: ProcessFacts::new(now),
//! # };
//! assert!(diff(&desired, &observed, &memory, now).is_empty());
//!
//! // What comes next? At most one step.
//! let decided = plan(&desired, &observed, &memory, &limits, now);
//! assert_eq!(decided.step.as_ref().map(|planned| planned.step.kind()), Some(StepKind::AddNumber));
//!
//! // The attempt is recorded before the call and after its answer.
//! let (memory, intent) = intend(&decided, 1, "id-1", &limits, now).expect("an add needs an intent");
//! let result = Ok(Accepted { number: Some("100000000000001".into()), ..Accepted::default() });
//! let outcome = Outcome { intent: Some(intent.id), step: StepKind::AddNumber, at: now, result };
//! let mut memory = fold(&memory, &outcome, &decided, &limits);
//! assert!(memory.ledger.last(StepKind::AddNumber).is_some());
//!
//! // What does status say?
//! let (outcome, plan) = (Some(&outcome), &decided);
//! let given = Given { desired: &desired, observed: &observed, plan, outcome, before: &before, limits: &limits, now };
//! assert_eq!(assess(&given, &mut memory).stage, Stage::Adding);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod assess;
#[cfg(test)]
pub(crate) mod fixture;
pub mod look;
pub mod plan;
pub mod record;
pub mod reference;
mod rule;
mod value;

pub use rule::{drift, line, name, timezone, username};
pub use value::{
    action, block, condition, condition_type, consent, desired, display_name, failure, farewell, id, limits,
    memory, observed, outcome, page, phone, picture, portfolio, reason, secret, spelling, status, step, time,
    wait, word,
};
