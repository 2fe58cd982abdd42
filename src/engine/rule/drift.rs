//! Drift between desired and observed: what differs, and what happens with it.

pub use crate::engine::value::drift::{
    CALLBACK, Drift, NAME, PICTURE, PROFILE, SUBSCRIPTION, TIME_ZONE, USERNAME,
};

use std::sync::Arc;

use jiff::Timestamp;
use unicode_normalization::UnicodeNormalization;

use crate::engine::{
    rule::{
        naming::{NameState, Standing, standing},
        picture, timezone,
        upkeep::{Upkeep, upkeep},
        username::{Lacks, lacks},
    },
    value::{
        desired::{Connection, Desired, DesiredProfile, DriftPolicy, Management},
        display_name::is_same,
        id::{AccountId, Fact, Field, PlatformType},
        memory::Memory,
        observed::{Number, Observed, Profile},
        picture::{PictureFact, Shown},
        step::Step,
    },
};

/// Everything managed that differs, with what will happen to it, as if it were seen for the first time. What could not be
/// read does not differ.
pub fn diff(desired: &Desired, observed: &Observed, memory: &Memory, now: Timestamp) -> Vec<Drift> {
    let mut list = Vec::new();
    let number = own_number(desired, observed, memory);
    if desired.management == Management::ObserveOnly {
        list.extend(onboarding(desired, observed, number));
    }
    if let Some(number) = number {
        list.extend(name(desired, number, memory));
        list.extend(subscription(desired, observed, number, memory));
        list.extend(webhook(desired, number, memory));
        list.extend(profile(desired, observed, number, memory));
        list.extend(picture(desired, observed, memory));
        list.extend(username(desired, observed, number, memory));
    }
    list.extend(time_zone(desired, observed));
    let seen =
        |Difference { field, desired, live, action }| Drift { field, desired, live, since: now, action };
    list.into_iter().map(seen).collect()
}

/// What differs, without a time.
struct Difference {
    field: String,
    desired: String,
    live: String,
    action: String,
}

/// Of several entries of a number the one to act on: the one already known, else one that is registered, else the first by id.
pub fn entry<'a>(memory: &Memory, numbers: impl Iterator<Item = &'a Arc<Number>>) -> Option<&'a Arc<Number>> {
    let live = numbers.filter(|number| !number.has_left());
    let is_known = |number: &Number| Some(&number.id) == memory.number.as_ref();
    live.min_by_key(|number| (!is_known(number), !number.is_registered(), number.id.clone()))
}

fn own_number<'a>(desired: &Desired, observed: &'a Observed, memory: &Memory) -> Option<&'a Number> {
    let account = desired.account.as_ref().or_else(|| account_id(observed));
    let own = |a: &AccountId| account.is_none_or(|own| own == a);
    let numbers = observed.search.iter().filter(|s| own(&s.account)).flat_map(|s| &s.numbers);
    entry(memory, numbers).map(AsRef::as_ref)
}

/// What a channel that only observes would do before anything else.
fn onboarding(desired: &Desired, observed: &Observed, number: Option<&Number>) -> Option<Difference> {
    let would = |field: &str, want: &str, have: &str, act: &str| Difference {
        field: field.into(),
        desired: want.into(),
        live: have.into(),
        action: format!("would be {act}; managementPolicy is ObserveOnly"),
    };
    match number {
        None if observed.search.is_empty() => None,
        None => Some(would("phoneNumber", desired.number.as_str(), "not in the account", "added")),
        Some(number) if number.platform.value() == Some(&PlatformType::NotApplicable) => Some(would(
            "registration",
            PlatformType::CloudApi.as_str(),
            PlatformType::NotApplicable.as_str(),
            "registered",
        )),
        Some(_) => None,
    }
}

fn account_id(observed: &Observed) -> Option<&AccountId> {
    observed.account.known().and_then(|a| a.id.as_ref())
}

const IN_APP: &str = "the number lives in the WhatsApp Business app";

const REPORTS: &str = "driftPolicy is Report";
const CONTENDED: &str = "somebody else changes it again and again";

/// What happens with a difference in something that the operator writes, unless that is left alone, and why.
fn action(
    desired: &Desired,
    number: &Number,
    memory: &Memory,
    field: &str,
    only_shown: Option<&str>,
) -> String {
    if desired.management == Management::ObserveOnly {
        return "would be written; managementPolicy is ObserveOnly".into();
    }
    match only_shown.or_else(|| left_alone(desired, memory, field)) {
        Some(why) => format!("only shown: {why}"),
        None if number.is_registered() => "is written".into(),
        None => "waits until the number is registered".into(),
    }
}

/// Why a difference that somebody else made is left as it is.
fn left_alone(desired: &Desired, memory: &Memory, field: &str) -> Option<&'static str> {
    match upkeep(desired, memory, field) {
        Upkeep::Asked | Upkeep::Repair => None,
        Upkeep::Found if field == NAME => {
            Some("the number was found live under this name, and a person decides")
        }
        Upkeep::Found => Some("the number was found so, and driftPolicy is Report"),
        Upkeep::Report => Some(REPORTS),
        Upkeep::Contended { .. } => Some(CONTENDED),
    }
}

fn name(desired: &Desired, number: &Number, memory: &Memory) -> Option<Difference> {
    let (live, name) = (number.verified_name.value()?, &desired.display_name);
    if is_same(live, name) {
        return None;
    }
    let is_observed = desired.management == Management::ObserveOnly;
    let action = match standing(number, name, memory) {
        Standing::Waiting(NameState::InReview) => "is submitted; Meta decides".into(),
        Standing::Waiting(NameState::Declined) => "Meta declined it".into(),
        Standing::Waiting(NameState::Usable) if number.is_registered() && is_managed(desired) => {
            "is approved; becomes live by itself, or when the number is registered once more".into()
        }
        Standing::Waiting(state) if state != NameState::Expired => "is submitted; Meta decides".into(),
        _ if is_observed => "would be submitted; managementPolicy is ObserveOnly".into(),
        _ if !number.is_registered() => "is submitted before the registration".into(),
        _ if desired.connection == Connection::Coexistence => format!("only shown: {IN_APP}"),
        _ => match left_alone(desired, memory, NAME) {
            Some(why) => format!("only shown: {why}"),
            None => "is submitted; the number goes on serving under the live name".into(),
        },
    };
    Some(Difference { field: NAME.into(), desired: name.clone(), live: live.clone(), action })
}

/// Whether the number may be registered by the operator at all.
fn is_managed(desired: &Desired) -> bool {
    desired.management == Management::Full && desired.connection == Connection::CloudApi
}

/// Without the app's subscription to the account no webhook gets anything.
fn subscription(
    desired: &Desired,
    observed: &Observed,
    number: &Number,
    memory: &Memory,
) -> Option<Difference> {
    let is_missing = desired.webhook.is_some() && observed.subscribed == Fact::Known(false);
    is_missing.then(|| Difference {
        field: SUBSCRIPTION.into(),
        desired: "subscribed".into(),
        live: "not subscribed".into(),
        action: action(desired, number, memory, SUBSCRIPTION, none_written(desired, number)),
    })
}

/// An override belongs to our app, whoever else has the number. Where the spec contradicts the number, nothing is written.
fn none_written(desired: &Desired, number: &Number) -> Option<&'static str> {
    match (desired.connection, number.is_on_biz_app.value()) {
        (Connection::CloudApi, Some(true)) => Some(IN_APP),
        (Connection::Coexistence, Some(false)) => {
            Some("the number does not live in the WhatsApp Business app")
        }
        _ => None,
    }
}

fn webhook(desired: &Desired, number: &Number, memory: &Memory) -> Option<Difference> {
    let webhook = desired.webhook.as_ref()?;
    if matches!(number.webhook, Field::Refused) {
        return None;
    }
    let live = number.webhook.value().and_then(|w| w.number.clone()).unwrap_or_default();
    (!same_url(&live, &webhook.callback_url)).then(|| Difference {
        field: CALLBACK.into(),
        desired: webhook.callback_url.clone(),
        live,
        action: action(desired, number, memory, CALLBACK, none_written(desired, number)),
    })
}

fn profile(desired: &Desired, observed: &Observed, number: &Number, memory: &Memory) -> Vec<Difference> {
    let Some(live) = observed.profile_of(number) else { return Vec::new() };
    let is_in_app =
        desired.connection == Connection::Coexistence || number.is_on_biz_app.value() == Some(&true);
    let differing = differences(&desired.profile, live);
    let told = differing.into_iter().map(|(field, want, live)| {
        let field = format!("{PROFILE}{field}");
        let action = action(desired, number, memory, &field, is_in_app.then_some(IN_APP));
        Difference { field, desired: want, live, action }
    });
    told.collect()
}

/// By the sums of their bytes: Meta shows no picture that could be compared.
fn picture(desired: &Desired, observed: &Observed, memory: &Memory) -> Option<Difference> {
    let facts = &observed.process.picture;
    let fact = &picture::read(desired, facts).filter(|_| picture::is_kept(desired, memory))?.fact;
    let PictureFact::Usable { sum } = fact else { return None };
    // What the number was found with counts as that of the source.
    if picture::is_open(memory) && !matches!(facts.shown, Some((_, Shown::NoPicture))) {
        return None;
    }
    let taken = memory.marks.picture.as_ref().map(|(sum, _)| sum);
    let is_left = taken == Some(sum) && picture::is_left(desired, memory, facts);
    let action = match (is_left, desired.drift) {
        (true, DriftPolicy::Report) => format!("only shown: {REPORTS}"),
        (true, DriftPolicy::Enforce) => format!("only shown: {CONTENDED}"),
        (false, _) => "is uploaded".into(),
    };
    let live = taken.filter(|_| !picture::is_lost(memory, facts));
    (!picture::is_settled(memory, facts, fact)).then(|| Difference {
        field: PICTURE.into(),
        desired: format!("sha256:{sum}"),
        live: live.map(|sum| format!("sha256:{sum}")).unwrap_or_default(),
        action,
    })
}

fn username(desired: &Desired, observed: &Observed, number: &Number, memory: &Memory) -> Option<Difference> {
    let (wanted, live) = (&desired.username.as_ref()?.name, observed.username.known()?);
    if live.is(wanted) {
        return None;
    }
    let is_in_app =
        desired.connection == Connection::Coexistence || number.is_on_biz_app.value() == Some(&true);
    let only_shown = match lacks(desired, memory, live.name.as_deref()) {
        _ if is_in_app => Some(IN_APP),
        Lacks::Found => Some("the number was found with this one, and a person decides"),
        Lacks::Lost => Some("the number had it, and a person decides whether it is claimed again"),
        Lacks::Upkeep(_) => None,
    };
    Some(Difference {
        field: USERNAME.into(),
        desired: wanted.clone(),
        live: live.name.clone().unwrap_or_default(),
        action: action(desired, number, memory, USERNAME, only_shown),
    })
}

fn time_zone(desired: &Desired, observed: &Observed) -> Option<Difference> {
    let want = desired.time_zone.as_deref()?;
    let Fact::Known(account) = &observed.account else { return None };
    let id = account.timezone_id.as_deref()?;
    if timezone::matches(id, want) != Some(false) {
        return None;
    }
    Some(Difference {
        field: TIME_ZONE.into(),
        desired: want.to_owned(),
        live: timezone::name(id).unwrap_or(id).to_owned(),
        action: "only shown: an account's time zone is changed by a person".into(),
    })
}

/// The managed profile fields that differ, by name.
///
/// ```
/// use whatsapp_operator::engine::{desired::DesiredProfile, drift, observed::Profile};
/// let desired = DesiredProfile { about: Some("Open 9-17".into()), ..DesiredProfile::default() };
/// assert_eq!(drift::profile_fields(&desired, &Profile::default()), ["about"]);
/// ```
pub fn profile_fields(desired: &DesiredProfile, live: &Profile) -> Vec<&'static str> {
    differences(desired, live).into_iter().map(|(field, ..)| field).collect()
}

/// Just the managed fields that differ: what a write would hold.
///
/// ```
/// use whatsapp_operator::engine::{desired::DesiredProfile, drift, observed::Profile};
/// let desired = DesiredProfile {
///     about: Some("Open 9-17".into()),
///     websites: Some(vec!["https://ACME.example".into()]),
///     ..DesiredProfile::default()
/// };
/// let live = Profile { websites: vec!["https://acme.example/".into()], ..Profile::default() };
/// let write = drift::profile_to_write(&desired, &live);
/// assert_eq!(write.about.as_deref(), Some("Open 9-17"));
/// assert_eq!(write.websites, None);
/// ```
pub fn profile_to_write(desired: &DesiredProfile, live: &Profile) -> DesiredProfile {
    let differing = profile_fields(desired, live);
    let keep = |field: &str, value: &Option<String>| value.clone().filter(|_| differing.contains(&field));
    DesiredProfile {
        about: keep("about", &desired.about),
        address: keep("address", &desired.address),
        description: keep("description", &desired.description),
        email: keep("email", &desired.email),
        websites: desired.websites.clone().filter(|_| differing.contains(&"websites")),
        vertical: keep("vertical", &desired.vertical),
    }
}

/// The managed fields that a step writes.
pub(in crate::engine) fn written(step: &Step) -> Vec<String> {
    match step {
        Step::SubmitName { .. } => vec![NAME.into()],
        Step::ClaimUsername { .. } => vec![USERNAME.into()],
        Step::SubscribeApp { .. } => vec![SUBSCRIPTION.into()],
        Step::RouteWebhook { .. } => vec![CALLBACK.into()],
        Step::WriteProfile { fields, .. } => {
            managed(fields).into_iter().map(|field| format!("{PROFILE}{field}")).collect()
        }
        Step::AddNumber { .. }
        | Step::RequestCode { .. }
        | Step::VerifyCode { .. }
        | Step::CreatePin { .. }
        | Step::SetPin { .. }
        | Step::Register { .. }
        // It has a ledger of its own.
        | Step::WritePicture { .. }
        | Step::StartSync { .. }
        // What is taken back is managed no more.
        | Step::UnrouteWebhook { .. }
        | Step::SetStorage { .. }
        | Step::Deregister { .. }
        | Step::RequestOfficial { .. } => Vec::new(),
    }
}

/// The fields that the spec manages, by name.
pub(in crate::engine) fn managed(desired: &DesiredProfile) -> Vec<&'static str> {
    let is_set = [
        ("about", desired.about.is_some()),
        ("address", desired.address.is_some()),
        ("description", desired.description.is_some()),
        ("email", desired.email.is_some()),
        ("websites", desired.websites.is_some()),
        ("vertical", desired.vertical.is_some()),
    ];
    is_set.into_iter().filter(|(_, is_set)| *is_set).map(|(field, _)| field).collect()
}

/// The fields of a write that may be written, by their paths.
pub(in crate::engine) fn only(fields: &DesiredProfile, may: impl Fn(&str) -> bool) -> DesiredProfile {
    let may = |field: &str| may(&format!("{PROFILE}{field}"));
    let text = |field: &str, value: &Option<String>| value.clone().filter(|_| may(field));
    DesiredProfile {
        about: text("about", &fields.about),
        address: text("address", &fields.address),
        description: text("description", &fields.description),
        email: text("email", &fields.email),
        websites: fields.websites.clone().filter(|_| may("websites")),
        vertical: text("vertical", &fields.vertical),
    }
}

pub(in crate::engine) fn differences(
    desired: &DesiredProfile,
    live: &Profile,
) -> Vec<(&'static str, String, String)> {
    let texts = [
        ("about", &desired.about, &live.about),
        ("address", &desired.address, &live.address),
        ("description", &desired.description, &live.description),
        ("email", &desired.email, &live.email),
    ];
    let mut list: Vec<_> = texts
        .into_iter()
        .filter_map(|(field, want, have)| {
            let want = want.as_ref()?;
            let have = have.clone().unwrap_or_default();
            (!is_same_text(want, &have)).then(|| (field, want.clone(), have))
        })
        .collect();
    if let Some(want) = &desired.websites
        && !same_websites(want, &live.websites)
    {
        list.push(("websites", want.join(", "), live.websites.join(", ")));
    }
    if let Some(want) = &desired.vertical
        && vertical(want) != vertical(live.vertical.as_deref().unwrap_or_default())
    {
        list.push(("vertical", want.clone(), live.vertical.clone().unwrap_or_default()));
    }
    list
}

/// Whether two texts of a profile read the same: one letter may be written in two ways, and so may the end of a line.
fn is_same_text(a: &str, b: &str) -> bool {
    let plain = |text: &str| text.trim().replace("\r\n", "\n").nfc().collect::<String>();
    a == b || plain(a) == plain(b)
}

/// An unset vertical reads `UNDEFINED`, or is not there at all (Meta, page "Business profiles").
fn vertical(word: &str) -> String {
    let word = word.to_ascii_uppercase();
    if word == "UNDEFINED" { String::new() } else { word }
}

fn same_websites(want: &[String], have: &[String]) -> bool {
    want.len() == have.len() && want.iter().zip(have).all(|(a, b)| without_slash(a) == without_slash(b))
}

/// A website comes back with a slash at its end, as was recorded.
fn without_slash(url: &str) -> String {
    let mut url = normal(url);
    if url.ends_with('/') {
        url.pop();
    }
    url
}

/// Whether two addresses of a webhook are one: scheme and host have no case, and an empty path is the root. Another path
/// is another address, also where only the slash at its end differs.
///
/// ```
/// use whatsapp_operator::engine::drift::same_url;
/// assert!(same_url("https://Acme.example", "https://acme.example/"));
/// assert!(!same_url("https://acme.example/a", "https://acme.example/A"));
/// assert!(!same_url("https://acme.example/a", "https://acme.example/a/"));
/// ```
pub fn same_url(a: &str, b: &str) -> bool {
    a == b || normal(a) == normal(b)
}

fn normal(url: &str) -> String {
    let url = url.trim();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let root = if path.starts_with('/') { "" } else { "/" };
    format!("{}://{}{root}{path}", scheme.to_ascii_lowercase(), host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::engine::fixture::{Case, fresh, now, webhook as desired_webhook};

    fn fields(case: &Case) -> Vec<String> {
        diff(&case.desired, &case.observed, &case.memory, now()).into_iter().map(|d| d.field).collect()
    }

    #[test]
    fn another_entry_of_the_number_that_is_listed_first_is_not_compared() {
        let mut case = Case::ready();
        case.desired.display_name = "Acme Matriz".into();
        let own = fields(&case);
        assert_eq!(own, ["displayName"]);
        let twin = Number { id: "1".into(), verified_name: Field::Is("Acme Matriz".into()), ..fresh() };
        case.observed.search[0].numbers.insert(0, Arc::new(twin));
        assert_eq!(fields(&case), own);
        case.memory.number = None;
        assert_eq!(fields(&case), own, "the registered one");
    }

    #[rstest]
    #[case("https://acme.example", "https://acme.example/", true, true)]
    #[case("https://ACME.example/Shop", "https://acme.example/Shop", true, true)]
    #[case("https://ACME.example/Shop", "https://acme.example/Shop/", true, false)]
    #[case("HTTPS://acme.example", "https://acme.example", true, true)]
    #[case("https://acme.example/Shop", "https://acme.example/shop", false, false)]
    #[case("https://acme.example", "http://acme.example", false, false)]
    #[case("https://acme.example?q=1", "https://acme.example/?q=1", true, true)]
    #[case("https://acme.example?q=/", "https://acme.example?q=", true, false)]
    #[case("https://acme.example", "", false, false)]
    fn a_slash_at_the_end_is_nothing_of_a_website_and_another_path_of_a_webhook(
        #[case] a: &str,
        #[case] b: &str,
        #[case] of_websites: bool,
        #[case] of_webhooks: bool,
    ) {
        for (a, b) in [(a, b), (b, a)] {
            assert_eq!(same_websites(&[a.into()], &[b.into()]), of_websites, "{a} {b}");
            assert_eq!(same_url(a, b), of_webhooks, "{a} {b}");
        }
    }

    #[test]
    fn nothing_differs_on_a_ready_channel() {
        let mut case = Case::ready();
        case.desired.webhook = Some(desired_webhook());
        case.desired.time_zone = Some("America/Sao_Paulo".into());
        assert_eq!(fields(&case), [""; 0]);
    }

    #[test]
    fn only_managed_fields_differ() {
        let mut case = Case::ready();
        case.observed.profile = Fact::Known(Profile {
            about: Some("Old".into()),
            email: Some("old@acme.example".into()),
            vertical: Some("UNDEFINED".into()),
            ..Profile::default()
        });
        case.desired.profile.about = Some("New".into());
        case.desired.profile.vertical = Some(String::new());
        case.desired.profile.websites = Some(vec!["https://acme.example".into()]);
        assert_eq!(fields(&case), ["profile.about", "profile.websites"]);
    }

    #[test]
    fn what_is_only_observed_says_what_would_be_written() {
        let mut case = Case::ready();
        case.desired.management = Management::ObserveOnly;
        case.desired.webhook = Some(desired_webhook());
        case.number().webhook = Field::Is(Box::default());
        let list = diff(&case.desired, &case.observed, &case.memory, now());
        assert_eq!(list[0].field, "webhook.callbackUrl");
        assert!(list[0].action.starts_with("would be written"));
    }

    #[test]
    fn of_a_number_that_lives_in_the_app_only_the_webhook_is_written_and_only_where_the_spec_says_so() {
        let mut case = Case::ready();
        case.desired.webhook = Some(desired_webhook());
        case.number().webhook = Field::Absent;
        case.number().is_on_biz_app = Field::Is(true);
        case.desired.profile.about = Some("New".into());
        case.observed.profile = Fact::Known(Profile::default());
        let actions = |case: &Case| -> Vec<String> {
            diff(&case.desired, &case.observed, &case.memory, now()).into_iter().map(|d| d.action).collect()
        };
        assert!(actions(&case).iter().all(|action| action.starts_with("only shown")));
        case.desired.connection = Connection::Coexistence;
        assert_eq!(actions(&case)[0], "is written", "the webhook is of our app");
        assert!(actions(&case)[1].starts_with("only shown"));
    }

    #[test]
    fn a_name_is_submitted_before_the_registration_and_only_shown_after_it() {
        let mut case = Case::with(fresh());
        case.desired.display_name = "Acme Brasil".into();
        assert_eq!(
            diff(&case.desired, &case.observed, &case.memory, now())[0].action,
            "is submitted before the registration"
        );
        case.number().new_display_name = Field::Is("Acme Brasil".into());
        assert_eq!(
            diff(&case.desired, &case.observed, &case.memory, now())[0].action,
            "is submitted; Meta decides"
        );
    }

    #[test]
    fn another_encoding_of_the_name_is_no_difference() {
        let mut case = Case::ready();
        case.desired.display_name = "Cafe\u{301}  Acme".into();
        case.number().verified_name = Field::Is("Caf\u{e9} Acme".into());
        assert_eq!(fields(&case), [""; 0]);
    }

    #[test]
    fn another_encoding_of_a_text_of_the_profile_is_no_difference() {
        let mut case = Case::ready();
        let encoded = |about: &str, description: &str| (Some(about.to_owned()), Some(description.to_owned()));
        (case.desired.profile.about, case.desired.profile.description) = encoded("Cafe\u{301}", "One\nTwo\n");
        let (about, description) = encoded("Caf\u{e9}", "One\r\nTwo");
        case.observed.profile = Fact::Known(Profile { about, description, ..Profile::default() });
        assert_eq!(fields(&case), [""; 0]);
        case.desired.profile.description = Some("One\n\nTwo".into());
        assert_eq!(fields(&case), ["profile.description"]);
    }

    #[test]
    fn what_could_not_be_read_does_not_differ() {
        let mut case = Case::ready();
        case.desired.webhook = Some(desired_webhook());
        case.desired.profile.about = Some("New".into());
        case.desired.time_zone = Some("Europe/Berlin".into());
        case.number().webhook = Field::Refused;
        case.number().verified_name = Field::Absent;
        case.account().timezone_id = Some("500".into());
        assert_eq!(fields(&case), [""; 0]);
    }

    #[test]
    fn a_time_zone_is_compared_and_never_written() {
        let mut case = Case::ready();
        case.desired.time_zone = Some("Europe/Berlin".into());
        let list = diff(&case.desired, &case.observed, &case.memory, now());
        assert_eq!((list[0].live.as_str(), list[0].desired.as_str()), ("America/Sao_Paulo", "Europe/Berlin"));
        assert!(list[0].action.starts_with("only shown"));
    }
}
