//! Preflight: all prerequisites at once, so that a person can correct them together.

use crate::engine::{
    assess::scene::Scene,
    name,
    rule::{
        account::{Fitness, fitness},
        line,
        name::Severity,
        timezone,
    },
    value::{
        desired::{Desired, Management},
        failure::Failure,
        id::{AccountId, Fact, Field},
        limits::Limits,
        memory::Memory,
        observed::{Account, ListState, Observed, PortfolioState, Searched},
        phone,
        portfolio::{PortfolioView, REQUIRED_SCOPES, Reach, SCOPE_BUSINESS},
        status::{Check, Verdict},
    },
};

/// Judges every prerequisite. One about which this look says nothing stays as it was before.
pub(super) fn check(scene: &Scene<'_>) -> Vec<Check> {
    let Scene { desired, observed, memory, limits, before, .. } = *scene;
    let view = scene.view();
    let own = memory.account.as_ref().or(desired.account.as_ref());
    let checks = [
        Some(number_shape(desired)),
        Some(number_line(desired, memory)),
        portfolio(observed, desired),
        view.and_then(token_scopes),
        view.and_then(admin_rights),
        account(observed),
        view.and_then(facebook_page),
        Some(display_name(desired, limits)),
        payment(observed),
        number_free(desired, observed, own),
        time_zone(desired, observed),
        code_secret(desired, observed),
        subscription(desired, observed),
    ];
    ITEMS
        .iter()
        .zip(checks)
        .filter_map(|(item, check)| {
            let is_kept = match *item {
                // What the cluster has is known in every look.
                CODE_SECRET => false,
                SUBSCRIPTION => observed.is_received().is_none(),
                _ => true,
            };
            check.or_else(|| before.preflight.iter().find(|c| is_kept && c.item == *item).cloned())
        })
        .collect()
}

/// The items, in the order of the list.
pub const ITEMS: [&str; 13] = [
    "NumberShape",
    "NumberLine",
    "Portfolio",
    "TokenScopes",
    "AdminRights",
    "Account",
    "FacebookPage",
    "DisplayName",
    "Payment",
    "NumberFree",
    "TimeZone",
    CODE_SECRET,
    SUBSCRIPTION,
];

const CODE_SECRET: &str = "CodeSecret";
const SUBSCRIPTION: &str = "Subscription";

fn new(item: &'static str, verdict: Verdict, message: impl Into<String>) -> Check {
    Check { item, verdict, message: message.into() }
}

/// A code that two channels find costs one of them an attempt.
fn code_secret(desired: &Desired, observed: &Observed) -> Option<Check> {
    let shared = observed.process.code_shared.as_ref()?;
    let key = &desired.verification.code_secret;
    let message = format!(
        "channel {} takes its code from key {} of Secret {} too; while both wait for one, neither is sent: give each a Secret of its own",
        shared.name, key.key, key.name
    );
    Some(new(CODE_SECRET, Verdict::Warn, message))
}

/// Told only where nothing would be received, and nothing is about to be done about it.
fn subscription(desired: &Desired, observed: &Observed) -> Option<Check> {
    let will_be = desired.webhook.is_some() && desired.management == Management::Full;
    let message = "no app is subscribed to the account: nothing will be received; set spec.webhook, or have the app subscribed that is to receive the messages";
    (observed.is_received() == Some(false) && !will_be).then(|| new(SUBSCRIPTION, Verdict::Warn, message))
}

fn number_shape(desired: &Desired) -> Check {
    let (code, national) = phone::split(&desired.number);
    new("NumberShape", Verdict::Pass, format!("country code {code}, national number {national}"))
}

/// How a line takes a code matters until it took one. The numbering plans fill some megabytes, so a fleet that is
/// registered never loads them.
fn number_line(desired: &Desired, memory: &Memory) -> Check {
    if !memory.is_unfinished() {
        return new("NumberLine", Verdict::Pass, "registered, so no code has to reach it");
    }
    let advice = line::advice(&desired.number);
    let verdict = if advice.warning.is_some() { Verdict::Warn } else { Verdict::Pass };
    new("NumberLine", verdict, advice.reason(desired.verification.method))
}

fn portfolio(observed: &Observed, desired: &Desired) -> Option<Check> {
    match &observed.portfolio {
        PortfolioState::NotYet => None,
        PortfolioState::NotUsable => Some(new(
            "Portfolio",
            Verdict::Fail,
            format!(
                "no portfolio {} in {} may be used from here",
                desired.portfolio.name, desired.portfolio.namespace
            ),
        )),
        PortfolioState::View(view) => Some(match &view.hold {
            Some(hold) => new("Portfolio", Verdict::Fail, hold.message.clone()),
            None => new("Portfolio", Verdict::Pass, format!("business {}", view.business)),
        }),
    }
}

fn token_scopes(view: &PortfolioView) -> Option<Check> {
    let token = view.token.known()?;
    let hard = token.lacks(&REQUIRED_SCOPES);
    if !hard.is_empty() {
        // Whether it matters is the credential's condition: a read decides that.
        let text = format!("Meta does not list {} among the token's scopes", hard.join(" and "));
        return Some(new("TokenScopes", Verdict::Warn, text));
    }
    if !token.lacks(&[SCOPE_BUSINESS]).is_empty() {
        return Some(new(
            "TokenScopes",
            Verdict::Warn,
            format!(
                "the token lacks {SCOPE_BUSINESS}: name and verification of the portfolio cannot be read"
            ),
        ));
    }
    Some(new("TokenScopes", Verdict::Pass, "the token has every scope"))
}

fn admin_rights(view: &PortfolioView) -> Option<Check> {
    match &view.reach {
        Reach::Unread | Reach::Owned(_) => None,
        Reach::Unknown => Some(new(
            "AdminRights",
            Verdict::NotCheckable,
            "the token may not list accounts (it is no admin's); name accountId",
        )),
        Reach::Accounts(list) if list.iter().any(|a| a.owned.is_none()) => Some(new(
            "AdminRights",
            Verdict::Warn,
            "the token may not list accounts (it is no admin's); they were learnt from its targets",
        )),
        Reach::Accounts(_) => {
            Some(new("AdminRights", Verdict::Pass, "the token lists the portfolio's accounts"))
        }
    }
}

fn account(observed: &Observed) -> Option<Check> {
    match &observed.account {
        Fact::NotAsked => None,
        Fact::Unknown(Failure::Refused(r)) if r.is_answer() => Some(new(
            "Account",
            Verdict::Fail,
            format!("Meta does not show the account to this token (code {})", r.code),
        )),
        Fact::Unknown(_) => None,
        Fact::Known(account) => Some(known_account(account)),
    }
}

fn known_account(account: &Account) -> Check {
    let id = account.id.as_ref().map_or("", AccountId::as_str);
    match fitness(id, account) {
        Fitness::Fit => new("Account", Verdict::Pass, format!("account {id} is active")),
        Fitness::Unfit(_, message) => new("Account", Verdict::Fail, message),
        Fitness::NotKnown { field, word } => new(
            "Account",
            Verdict::NotCheckable,
            format!("Meta shows {field} {word} of account {id}, which this version does not know"),
        ),
        Fitness::Untold => {
            new("Account", Verdict::NotCheckable, format!("Meta does not show the state of account {id}"))
        }
    }
}

fn facebook_page(view: &PortfolioView) -> Option<Check> {
    Some(match &view.facts {
        Fact::NotAsked => return None,
        Fact::Unknown(Failure::Refused(r)) if r.is_answer() => {
            new("FacebookPage", Verdict::NotCheckable, "the token may not read the portfolio")
        }
        Fact::Unknown(_) => return None,
        Fact::Known(facts) => match &facts.primary_page {
            Some(page) => new("FacebookPage", Verdict::Pass, format!("primary page {page}")),
            None => new(
                "FacebookPage",
                Verdict::Warn,
                "the portfolio shows no primary page; reviewers look for the name on pages of the business",
            ),
        },
    })
}

fn display_name(desired: &Desired, limits: &Limits) -> Check {
    let findings = name::lint(&desired.display_name, limits);
    let message = findings.iter().map(|f| f.message.as_str()).collect::<Vec<_>>().join("; ");
    match findings.first().map(|f| f.severity) {
        None => new("DisplayName", Verdict::Pass, "no rule is broken that can be checked here"),
        Some(Severity::Warning) => new("DisplayName", Verdict::Warn, message),
        Some(Severity::Error) => new("DisplayName", Verdict::Fail, message),
    }
}

fn payment(observed: &Observed) -> Option<Check> {
    let account = observed.account.known()?;
    Some(match &account.funding {
        Field::Refused => {
            new("Payment", Verdict::NotCheckable, "Meta does not show the payment method to this app")
        }
        _ if account.has_payment_method() => {
            new("Payment", Verdict::Pass, "the account has a payment method")
        }
        _ => new(
            "Payment",
            Verdict::Warn,
            "no payment method is shown; onboarding works without one, messages that cost do not",
        ),
    })
}

fn number_free(desired: &Desired, observed: &Observed, own: Option<&AccountId>) -> Option<Check> {
    if observed.search.is_empty() {
        return None;
    }
    let is_own = |s: &&Searched| own.is_none_or(|own| *own == s.account);
    if observed.search.iter().any(|s| is_own(&s) && s.numbers.iter().any(|n| !n.has_left())) {
        return Some(new("NumberFree", Verdict::Pass, "the number is in the account already"));
    }
    if observed.search.iter().any(|s| !is_own(&s) && s.numbers.iter().any(|n| !n.has_left())) {
        return Some(new("NumberFree", Verdict::Fail, "the number is in another account"));
    }
    if observed.search.iter().any(|s| matches!(s.list, ListState::Failed(_)) || s.unread().next().is_some()) {
        return None;
    }
    let hidden = observed.search.iter().filter(|s| matches!(s.list, ListState::NotCheckable(_))).count();
    let number = &desired.number;
    Some(if hidden > 0 {
        new(
            "NumberFree",
            Verdict::Warn,
            format!("{number} is in no account that can be read; {hidden} cannot be read"),
        )
    } else {
        new(
            "NumberFree",
            Verdict::NotCheckable,
            format!(
                "{number} is in no account in reach; whether an app on a phone uses it shows only when it is added"
            ),
        )
    })
}

fn time_zone(desired: &Desired, observed: &Observed) -> Option<Check> {
    let want = desired.time_zone.as_deref()?;
    let account = observed.account.known()?;
    let Some(id) = account.timezone_id.as_deref() else {
        return Some(new("TimeZone", Verdict::NotCheckable, "Meta does not show the account's time zone"));
    };
    Some(match (timezone::matches(id, want), timezone::name(id)) {
        (Some(true), _) => new("TimeZone", Verdict::Pass, format!("the account's time zone is {want}")),
        (Some(false), live) => new(
            "TimeZone",
            Verdict::Warn,
            format!(
                "the account's time zone is {}, not {want}; a person changes it in WhatsApp Manager",
                live.unwrap_or(id)
            ),
        ),
        (None, _) => new(
            "TimeZone",
            Verdict::NotCheckable,
            format!("the account's time zone is number {id}, which is not known here"),
        ),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use rstest::rstest;

    use super::*;
    use crate::engine::{
        fixture::{ACCOUNT, Case, OTHER_ACCOUNT, complete, number, reachable, refusal, retry_failure},
        value::{
            id::{Fact, ReviewStatus},
            observed::OtherApp,
            phone::E164,
            portfolio::{BusinessFacts, Hold, Reach, Reachable},
            reason::Reason,
        },
    };

    fn verdict(case: &Case, item: &str) -> Option<Verdict> {
        let checks = check(&Scene::new(&case.given(), &case.memory));
        checks.into_iter().find(|c| c.item == item).map(|c| c.verdict)
    }

    #[test]
    fn a_ready_channel_passes_what_can_be_checked() {
        let mut case = Case::ready();
        case.desired.time_zone = Some("America/Sao_Paulo".into());
        for item in ITEMS.into_iter().filter(|item| ![CODE_SECRET, SUBSCRIPTION].contains(item)) {
            assert_eq!(verdict(&case, item), Some(Verdict::Pass), "{item}");
        }
        assert_eq!(verdict(&case, CODE_SECRET), None);
        assert_eq!(verdict(&case, SUBSCRIPTION), None);
    }

    #[test]
    fn nothing_will_be_received_is_said_where_that_is_so_and_nothing_is_done_about_it() {
        let mut case = Case::ready();
        case.observed.subscribed = Fact::Known(false);
        assert_eq!(verdict(&case, SUBSCRIPTION), Some(Verdict::Warn));
        case.before.preflight = check(&Scene::new(&case.given(), &case.memory));
        case.observed.subscribed = Fact::NotAsked;
        assert_eq!(verdict(&case, SUBSCRIPTION), Some(Verdict::Warn), "not known now, so as it was");
        case.observed.subscribed = Fact::Known(false);
        let crm = OtherApp { id: "200000000000002".into(), name: Some("Acme CRM".into()) };
        let of_meta = OtherApp { name: Some("WA DevX Webhook Events 1P App".into()), ..crm.clone() };
        case.observed.other_apps = [of_meta].into();
        assert_eq!(
            verdict(&case, SUBSCRIPTION),
            Some(Verdict::Warn),
            "Meta's own app receives nothing for us"
        );
        case.observed.other_apps = [crm].into();
        assert_eq!(verdict(&case, SUBSCRIPTION), None, "another app receives");
        case.observed.other_apps = Arc::default();
        case.desired.webhook = Some(crate::engine::fixture::webhook());
        assert_eq!(verdict(&case, SUBSCRIPTION), None, "the operator is about to subscribe");
        case.desired.management = Management::ObserveOnly;
        assert_eq!(verdict(&case, SUBSCRIPTION), Some(Verdict::Warn));
    }

    #[test]
    fn a_code_secret_of_two_channels_warns_until_it_is_of_one() {
        use crate::engine::value::observed::CodeShared;
        let mut case = Case::ready();
        case.observed.process.code_shared = Some(CodeShared { name: "sales".into(), is_awaited: false });
        assert_eq!(verdict(&case, CODE_SECRET), Some(Verdict::Warn));
        case.before.preflight = check(&Scene::new(&case.given(), &case.memory));
        case.observed.process.code_shared = None;
        assert_eq!(verdict(&case, CODE_SECRET), None);
    }

    #[test]
    fn a_line_that_takes_no_text_warns() {
        let mut case = Case::ready();
        case.desired.number = E164::parse("+493012345678").unwrap();
        assert_eq!(verdict(&case, "NumberLine"), Some(Verdict::Warn));
        // Once it is registered no code has to reach it, until it falls back.
        case.memory.marks.note_registered(case.now, false);
        assert_eq!(verdict(&case, "NumberLine"), Some(Verdict::Pass));
        case.memory.marks.note_not_registered(case.now);
        assert_eq!(verdict(&case, "NumberLine"), Some(Verdict::Warn));
    }

    #[rstest]
    #[case("+5511912345678", "mobile: verification.method Auto sends the code by SMS")]
    #[case("+553187654321", "mobile: verification.method Auto sends the code by SMS")]
    #[case("+541123456789", "without its 9 this looks like a fixed line")]
    fn the_line_says_why_the_code_comes_by_a_call_or_by_sms(#[case] text: &str, #[case] why: &str) {
        let mut case = Case::absent();
        case.desired.number = E164::parse(text).unwrap();
        let checks = check(&Scene::new(&case.given(), &case.memory));
        let line = checks.into_iter().find(|c| c.item == "NumberLine").unwrap();
        assert!(line.message.starts_with(why), "{}", line.message);
    }

    #[rstest]
    #[case("Acme 🎉", Verdict::Fail)]
    #[case("ACME SHOP", Verdict::Warn)]
    fn the_name_is_linted(#[case] name: &str, #[case] expected: Verdict) {
        let mut case = Case::ready();
        case.desired.display_name = name.into();
        assert_eq!(verdict(&case, "DisplayName"), Some(expected));
    }

    #[test]
    fn a_scope_that_is_not_listed_is_a_warning() {
        let mut case = Case::ready();
        let mut token = crate::engine::fixture::token();
        token.scopes.retain(|s| s != SCOPE_BUSINESS);
        case.view().token = Fact::Known(token.clone());
        assert_eq!(verdict(&case, "TokenScopes"), Some(Verdict::Warn));
        token.scopes.clear();
        case.view().token = Fact::Known(token);
        assert_eq!(verdict(&case, "TokenScopes"), Some(Verdict::Warn));
    }

    #[test]
    fn admin_rights_show_in_the_list_of_accounts() {
        let mut case = Case::ready();
        case.view().reach = Reach::Unknown;
        assert_eq!(verdict(&case, "AdminRights"), Some(Verdict::NotCheckable));
        case.view().reach = Reach::Accounts(vec![Reachable { owned: None, ..reachable(ACCOUNT) }]);
        assert_eq!(verdict(&case, "AdminRights"), Some(Verdict::Warn));
    }

    #[test]
    fn a_portfolio_that_holds_channels_fails() {
        let mut case = Case::ready();
        case.view().hold = Some(Hold { reason: Reason::TokenInvalid, message: "dead".into(), failure: None });
        assert_eq!(verdict(&case, "Portfolio"), Some(Verdict::Fail));
    }

    #[test]
    fn a_page_that_is_not_shown_warns_and_one_that_cannot_be_read_is_not_checkable() {
        let mut case = Case::ready();
        case.view().facts = Fact::Known(BusinessFacts::default());
        assert_eq!(verdict(&case, "FacebookPage"), Some(Verdict::Warn));
        case.view().facts = Fact::Unknown(Failure::Refused(refusal(200, None, "T1")));
        assert_eq!(verdict(&case, "FacebookPage"), Some(Verdict::NotCheckable));
    }

    #[test]
    fn a_number_is_free_ours_elsewhere_or_not_known() {
        assert_eq!(verdict(&Case::ready(), "NumberFree"), Some(Verdict::Pass));
        let mut case = Case::absent();
        assert_eq!(verdict(&case, "NumberFree"), Some(Verdict::NotCheckable));
        let other = Searched { account: OTHER_ACCOUNT.into(), ..complete(Some(number())) };
        case.observed.search.push(other);
        assert_eq!(verdict(&case, "NumberFree"), Some(Verdict::Fail));
        case.observed.search[1].numbers.clear();
        case.observed.search[1].list = ListState::NotCheckable(Failure::Refused(refusal(200, None, "T1")));
        assert_eq!(verdict(&case, "NumberFree"), Some(Verdict::Warn));
        case.observed.search[1].list = ListState::Failed(retry_failure());
        assert_eq!(verdict(&case, "NumberFree"), None);
    }

    #[test]
    fn an_entry_that_left_another_account_is_no_hit() {
        let mut case = Case::absent();
        let mut gone = number();
        gone.status = Field::Is("MIGRATED".into());
        case.observed.search.push(Searched { account: OTHER_ACCOUNT.into(), ..complete(Some(gone)) });
        assert_eq!(verdict(&case, "NumberFree"), Some(Verdict::NotCheckable));
    }

    #[test]
    fn a_missing_payment_method_warns() {
        let mut case = Case::ready();
        case.account().funding = Field::Is("0".into());
        assert_eq!(verdict(&case, "Payment"), Some(Verdict::Warn));
        case.account().funding = Field::Refused;
        assert_eq!(verdict(&case, "Payment"), Some(Verdict::NotCheckable));
    }

    #[test]
    fn an_account_that_is_not_active_fails() {
        let mut case = Case::ready();
        case.account().review = Field::Is(ReviewStatus::Pending);
        assert_eq!(verdict(&case, "Account"), Some(Verdict::Fail));
        case.observed.account = Fact::Unknown(Failure::Refused(refusal(200, None, "T1")));
        assert_eq!(verdict(&case, "Account"), Some(Verdict::Fail));
    }

    #[test]
    fn a_refused_credential_says_nothing_about_account_and_page() {
        let mut case = Case::ready();
        for code in [0, 102, 104, 190] {
            let refused = || Failure::Refused(refusal(code, None, "T1"));
            case.observed.account = Fact::Unknown(refused());
            assert_eq!(verdict(&case, "Account"), None, "{code}");
            case.view().facts = Fact::Unknown(refused());
            assert_eq!(verdict(&case, "FacebookPage"), None, "{code}");
        }
    }

    #[test]
    fn a_time_zone_that_is_not_in_the_table_is_not_checkable() {
        let mut case = Case::ready();
        case.desired.time_zone = Some("Europe/Berlin".into());
        assert_eq!(verdict(&case, "TimeZone"), Some(Verdict::Warn));
        case.account().timezone_id = Some("500".into());
        assert_eq!(verdict(&case, "TimeZone"), Some(Verdict::NotCheckable));
    }
}
