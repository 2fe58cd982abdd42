//! The page of one channel: everything about it, the deepest cause on top.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::v1alpha1::{
    Check, Drift, Entry, Facts, InFlight, Refusal, SubscribedApps, WaitingFor, WhatsAppChannel,
    WhatsAppChannelStatus, WhatsAppPortfolio,
};
use crate::engine::{
    condition::Truth,
    condition_type::ConditionType,
    drift::NAME,
    limits::Limits,
    memory::EntryOutcome,
    observed::OtherApp,
    status::Verdict,
    step::StepKind,
    word::{Vocabulary, Word},
};

use super::{
    channel::{Seen, seen},
    explain,
    render::{Printed, Text, Tone, Words, age, paint, when},
};

/// What there is to say about a channel.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its number, as in the spec.
    pub number: String,
    /// The display name, as in the spec.
    pub display_name: String,
    /// `None`: the operator has not seen it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// The status speaks of an older version of the spec.
    pub outdated: bool,
    /// The condition `Ready`; absent where no operator has seen the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<Line>,
    /// Who has to act, as in status.
    pub waiting_for: Vec<WaitingFor>,
    /// Every condition, in the order of their depth.
    pub conditions: Vec<Line>,
    /// Every prerequisite, as in status.
    pub preflight: Vec<Check>,
    /// Everything managed that differs, as in status.
    pub drift: Vec<Drift>,
    /// The account, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// Meta's id of the number, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number_id: Option<String>,
    /// What Meta last said, as in status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
    /// The apps that are subscribed to its account, as the portfolio's status has them. Absent where that is not known, or
    /// may not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apps: Option<SubscribedApps>,
    /// What was tried, by kind.
    pub attempts: BTreeMap<&'static str, Attempts>,
    /// The step that is under way, as in status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<InFlight>,
    /// When the object was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    created: Option<Timestamp>,
}

/// A condition, with the remedy of its reason.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Its reason, in one word; `explain` tells more.
    pub reason: String,
    /// A text for people.
    pub message: String,
    /// Since when it has that status.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub since: Option<Timestamp>,
    /// What to do, with the commands for this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Who moves next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<&'static str>,
}

impl Line {
    /// As an object of that name shows it.
    pub fn new(kind: ConditionType, seen: &Seen<'_>, name: &str, namespace: &str) -> Self {
        let remedy = seen.row.map(|row| row.remedy).filter(|remedy| !remedy.is_empty() && !seen.is_true());
        Self {
            kind: kind.as_str(),
            status: seen.status.to_owned(),
            reason: seen.reason.to_owned(),
            message: seen.message.to_owned(),
            since: seen.since,
            remedy: remedy.map(|remedy| about(remedy, name, namespace)),
            next: seen.row.filter(|_| !seen.is_true()).map(|row| explain::who_moves(row.kind)),
        }
    }

    /// What its status means.
    pub fn tone(&self) -> Tone {
        match self.status.as_str() {
            status if status == Truth::True.as_str() && self.kind == ConditionType::Stalled.as_str() => {
                Tone::Bad
            }
            status if status == Truth::True.as_str() => Tone::Good,
            status if status == Truth::Unknown.as_str() => Tone::Attention,
            _ => Tone::Bad,
        }
    }
}

/// Attempts of one kind.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempts {
    /// Those that count, within the time that counts.
    pub count: usize,
    /// That time.
    pub within: String,
    /// How many the operator allows in it, all together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// When it was last tried.
    #[schemars(with = "String")]
    pub last: Timestamp,
    /// What that came to.
    #[schemars(with = "String")]
    pub outcome: Word<EntryOutcome>,
    /// What Meta said, where it refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}

impl Printed for Report {
    const KIND: &'static str = "ChannelStatus";
}

impl Report {
    /// The name that people see, with the wanted one where that is another.
    fn live_name(&self) -> String {
        let live = self.facts.as_ref().and_then(|facts| facts.verified_name.as_ref());
        let differs = self.drift.iter().any(|one| one.field == NAME);
        match live.filter(|_| differs) {
            Some(live) => format!("{live} (wanted: {})", self.display_name),
            None => self.display_name.clone(),
        }
    }
}

impl Report {
    /// With what the portfolio knows of the channel's account.
    #[must_use]
    pub fn beside(self, portfolio: Option<&WhatsAppPortfolio>) -> Self {
        let accounts = portfolio.and_then(WhatsAppPortfolio::seen).map(|status| &status.accounts);
        let own = accounts.into_iter().flatten().find(|one| Some(&one.id) == self.account_id.as_ref());
        Self { apps: own.and_then(|account| account.apps.clone()), ..self }
    }
}

/// Who gets the messages of an account beside our app. Meta's own app is nobody.
pub fn others(apps: &SubscribedApps) -> Option<String> {
    let named = apps.others.iter().filter(|app| app.name.as_deref() != Some(OtherApp::OF_META));
    let named = named.map(|app| match &app.name {
        Some(name) => format!("{name} ({})", app.id),
        None => app.id.clone(),
    });
    let more = apps.more_others.map(|more| format!("{more} more"));
    let told: Vec<String> = named.chain(more).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// Gathers what there is to say.
pub fn report(object: &WhatsAppChannel, namespace: &str, now: Timestamp) -> Report {
    let nothing = WhatsAppChannelStatus::default();
    let status = object.seen().unwrap_or(&nothing);
    let name = object.metadata.name.clone().unwrap_or_default();
    let line = |kind| seen(&status.conditions, kind).map(|seen| Line::new(kind, &seen, &name, namespace));
    Report {
        name: name.clone(),
        namespace: namespace.to_owned(),
        number: object.spec.phone_number.clone(),
        display_name: object.spec.display_name.clone(),
        stage: status.stage.clone(),
        outdated: object.seen().is_some() && status.observed_generation != object.metadata.generation,
        ready: line(ConditionType::Ready),
        waiting_for: status.waiting_for.clone(),
        conditions: ConditionType::CHANNEL.into_iter().filter_map(line).collect(),
        preflight: status.preflight.clone(),
        drift: status.drift.clone(),
        account_id: status.account_id.clone(),
        phone_number_id: status.phone_number_id.clone(),
        facts: status.facts.clone(),
        apps: None,
        attempts: attempts(status, now),
        in_flight: status.in_flight().cloned(),
        created: object.metadata.creation_timestamp.as_ref().map(|time| time.0),
    }
}

/// The name of a list of attempts, the time in which they count, and how many the operator allows in it.
fn counted(step: StepKind, limits: &Limits) -> Option<(&'static str, Duration, Option<usize>)> {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    Some(match step {
        StepKind::AddNumber => ("adds", DAY, None),
        StepKind::RequestCode => ("codes", limits.codes_window, Some(limits.codes_by_consent)),
        StepKind::VerifyCode => ("verifications", DAY, None),
        StepKind::SubmitName => ("names", limits.names_window, Some(limits.names)),
        StepKind::Register => ("registrations", limits.registration_window, Some(limits.registrations_total)),
        StepKind::Deregister => {
            ("deregistrations", limits.registration_window, Some(limits.deregistrations_total))
        }
        StepKind::SetPin => ("pins", DAY, None),
        StepKind::WritePicture => ("pictures", limits.pictures_window, Some(limits.pictures)),
        StepKind::StartSync => ("syncs", limits.sync_window, None),
        StepKind::ClaimUsername => ("usernames", limits.names_window, None),
        StepKind::RequestOfficial => ("officials", limits.official_pause, None),
        StepKind::CreatePin
        | StepKind::SubscribeApp
        | StepKind::RouteWebhook
        | StepKind::WriteProfile
        | StepKind::UnrouteWebhook
        | StepKind::SetStorage => return None,
    })
}

fn attempts(status: &WhatsAppChannelStatus, now: Timestamp) -> BTreeMap<&'static str, Attempts> {
    let limits = Limits::default();
    let Some(ledger) = status.ledger() else { return BTreeMap::new() };
    let told = StepKind::ALL.iter().filter_map(|step| {
        let (kind, window, limit) = counted(*step, &limits)?;
        let entries = ledger.of(*step);
        let last = entries.last()?;
        let counts = |entry: &&Entry| {
            entry.outcome != EntryOutcome::NotSent && now.duration_since(entry.at).unsigned_abs() <= window
        };
        let attempts = Attempts {
            count: entries.iter().filter(counts).count(),
            within: hours(window),
            limit,
            last: last.at,
            outcome: last.outcome.clone(),
            refusal: last.refusal.clone(),
        };
        Some((kind, attempts))
    });
    told.collect()
}

fn hours(window: Duration) -> String {
    match window.as_secs() / 3600 {
        hours if hours > 72 => format!("{} days", hours / 24),
        hours => format!("{hours} h"),
    }
}

/// The page.
pub fn text(report: &Report, now: Timestamp) -> Text {
    let mut text = Text::new();
    let created = report
        .created
        .map(|at| Words::from("  ") + paint(Tone::Faint, format!("age {}", age(at, now))))
        .unwrap_or_default();
    let object = paint(Tone::Strong, format!("{}/{}", report.namespace, report.name));
    text.line(object + "  " + &report.number + "  " + &report.live_name() + created);
    let stage = report.stage.as_ref().map(|stage| format!(", stage {stage}")).unwrap_or_default();
    let refusal = report.facts.as_ref().and_then(|facts| facts.last_refusal.as_ref());
    cause(report.ready.as_ref(), &stage, refusal, &mut text, now);
    outdated(report.outdated, &mut text);
    waits(&report.waiting_for, &mut text, now);
    conditions(&report.conditions, &mut text, now);
    facts(report, &mut text);
    checks(&report.preflight, &mut text);
    drift(&report.drift, &mut text, Some(now));
    tried(report, &mut text, now);
    text
}

/// Conditions, each with its reason and its age.
pub fn conditions(list: &[Line], text: &mut Text, now: Timestamp) {
    if !list.is_empty() {
        let rows: Vec<[Words; 4]> = list
            .iter()
            .map(|line| {
                [
                    paint(line.tone(), &line.status),
                    line.kind.into(),
                    (&line.reason).into(),
                    line.since.map(|since| paint(Tone::Faint, age(since, now))).unwrap_or_default(),
                ]
            })
            .collect();
        text.section("Conditions").table(&rows);
    }
}

/// Whether it is ready, since when, why not, and what to do.
pub fn cause(ready: Option<&Line>, stage: &str, refusal: Option<&Refusal>, text: &mut Text, now: Timestamp) {
    let Some(ready) = ready else {
        text.indent(2, paint(Tone::Attention, "the operator has not seen it yet"));
        text.indent(2, "next: check that it runs and watches this namespace: kubectl get pods -A -l app.kubernetes.io/name=whatsapp-operator");
        return;
    };
    let since = ready.since.map(|since| format!(" for {}", age(since, now))).unwrap_or_default();
    let word = match ready.status.as_str() {
        status if status == Truth::True.as_str() => "Ready",
        status if status == Truth::Unknown.as_str() => "Not known to be ready",
        _ => "Not ready",
    };
    text.indent(
        2,
        paint(ready.tone(), word) + format!("{since}{stage}: ") + paint(Tone::Strong, &ready.reason),
    );
    text.indent(2, &ready.message);
    if let Some(remedy) = &ready.remedy {
        text.indent(2, format!("What to do: {remedy}"));
    }
    if let Some(refusal) = refusal.filter(|_| ready.remedy.is_some()) {
        text.indent(2, paint(Tone::Faint, meta(refusal)));
    }
}

/// Whether the status speaks of the spec as it is.
pub fn outdated(is_it: bool, text: &mut Text) {
    if is_it {
        let told = "this speaks of an older version of the spec; the operator is at the new one";
        text.indent(2, paint(Tone::Attention, told));
    }
}

/// A remedy, with the object that its commands are for.
pub fn about(remedy: &str, name: &str, namespace: &str) -> String {
    remedy.replace("NAME", &format!("{name} -n {namespace}"))
}

/// Meta's words with its code, subcode and trace id.
fn meta(refusal: &Refusal) -> String {
    let subcode = refusal.subcode.map(|subcode| format!("/{subcode}")).unwrap_or_default();
    let title = refusal.title.as_ref().map(|title| format!("{title}: ")).unwrap_or_default();
    let trace = refusal.trace_id.as_ref().map(|trace| format!(", trace {trace}")).unwrap_or_default();
    format!("Meta said: {title}{} ({}{subcode}{trace})", refusal.message, refusal.code)
}

/// Who has to act, since when, until when, and what happens otherwise.
pub fn waits(list: &[WaitingFor], text: &mut Text, now: Timestamp) {
    if list.is_empty() {
        return;
    }
    text.section("Waiting for");
    for wait in list {
        text.indent(
            2,
            Words::from(&wait.actor)
                + ": "
                + paint(Tone::Strong, &wait.action)
                + " "
                + paint(Tone::Faint, format!("since {}", when(wait.since, now))),
        );
        more(wait, text, now);
    }
}

/// Until when, on which page, and what happens otherwise.
pub fn more(wait: &WaitingFor, text: &mut Text, now: Timestamp) {
    if let Some(by) = wait.expected_by {
        text.indent(4, format!("by {}", when(by, now)));
    }
    if let Some(url) = &wait.url {
        text.indent(4, url);
    }
    if let Some(ignored) = &wait.if_ignored {
        text.indent(4, format!("if nobody does: {ignored}"));
    }
    if let Some(done) = &wait.if_done {
        text.indent(4, format!("if it is done: {done}"));
    }
}

fn facts(report: &Report, text: &mut Text) {
    let nothing = Facts::default();
    let facts = report.facts.as_ref().unwrap_or(&nothing);
    let with = |value: &Option<String>, note: &Option<String>| match (value, note) {
        (Some(value), Some(note)) => Some(format!("{value} ({note})")),
        (value, note) => value.clone().or_else(|| note.clone()),
    };
    let webhook = facts.webhook.as_ref().and_then(|webhook| {
        let level = |url: &Option<String>, level: &str| url.as_ref().map(|url| format!("{url} ({level})"));
        level(&webhook.number, "of the number")
            .or_else(|| level(&webhook.account, "of the account"))
            .or_else(|| level(&webhook.application, "of the app"))
    });
    let rows: Vec<[Words; 2]> = [
        ("account", report.account_id.clone()),
        ("number id", report.phone_number_id.clone()),
        ("name", with(&facts.verified_name, &facts.name_status)),
        (
            "new name",
            facts
                .new_display_name
                .as_ref()
                .and_then(|_| with(&facts.new_display_name, &facts.new_name_status)),
        ),
        ("code", facts.code_status.clone()),
        ("status", facts.status.clone()),
        ("platform", facts.platform.clone()),
        ("quality", facts.quality.clone()),
        ("throughput", facts.throughput.clone()),
        ("messaging limit", facts.messaging_limit.clone()),
        ("can send", can_send(facts)),
        ("webhook", webhook),
        ("other apps", report.apps.as_ref().map_or_else(|| facts.other_apps.clone(), others)),
        ("official account", facts.official.map(|is| if is { "yes" } else { "no" }.to_owned())),
        ("official account request", with(&facts.official_status, &facts.official_message)),
        ("username", with(&facts.username, &facts.username_status)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some([paint(Tone::Faint, name), value?.into()]))
    .collect();
    if !rows.is_empty() {
        text.section("What Meta says").table(&rows);
    }
}

/// Whether the number can send, with what keeps it from that.
fn can_send(facts: &Facts) -> Option<String> {
    let of = facts.health_entities.iter().map(|one| {
        let codes: Vec<String> = one.codes.iter().map(ToString::to_string).collect();
        let codes = if codes.is_empty() { String::new() } else { format!(" ({})", codes.join(", ")) };
        format!("{} {}{codes}", one.entity, one.can_send)
    });
    let of: Vec<String> = of.collect();
    let health = facts.health.clone()?;
    Some(if of.is_empty() { health } else { format!("{health}: {}", of.join(", ")) })
}

/// Prerequisites, each with its verdict.
pub fn checks(list: &[Check], text: &mut Text) {
    if list.is_empty() {
        return;
    }
    let rows: Vec<[Words; 3]> = list
        .iter()
        .map(|check| {
            let verdict = paint(verdict_tone(&check.verdict), &check.verdict);
            [verdict, (&check.item).into(), (&check.message).into()]
        })
        .collect();
    text.section("Prerequisites").table(&rows);
}

fn verdict_tone(verdict: &str) -> Tone {
    match verdict {
        verdict if verdict == Verdict::Pass.as_str() => Tone::Good,
        verdict if verdict == Verdict::Fail.as_str() => Tone::Bad,
        verdict if verdict == Verdict::Warn.as_str() => Tone::Attention,
        _ => Tone::Faint,
    }
}

/// What differs, and what happens with it.
pub fn drift(list: &[Drift], text: &mut Text, now: Option<Timestamp>) {
    if list.is_empty() {
        return;
    }
    text.section("Differences");
    for one in list {
        let since = now.map(|now| format!(", since {}", when(one.since, now))).unwrap_or_default();
        let told = format!("{}{since}", one.action);
        text.indent(2, paint(Tone::Strong, &one.field) + "  " + paint(Tone::Faint, told));
        text.indent(4, paint(Tone::Bad, "-") + " " + &one.live);
        text.indent(4, paint(Tone::Good, "+") + " " + &one.desired);
    }
}

fn tried(report: &Report, text: &mut Text, now: Timestamp) {
    if let Some(step) = &report.in_flight {
        text.section("On its way");
        text.indent(
            2,
            Words::from(format!("{}: {} ", step.step, step.reason))
                + paint(Tone::Faint, when(step.started_at, now)),
        );
    }
    if report.attempts.is_empty() {
        return;
    }
    let rows: Vec<[Words; 3]> = report
        .attempts
        .iter()
        .map(|(kind, attempts)| {
            let limit = attempts.limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
            [
                (*kind).into(),
                format!("{}{limit} in {}", attempts.count, attempts.within).into(),
                format!("last {} {}", attempts.outcome, when(attempts.last, now)).into(),
            ]
        })
        .collect();
    text.section("Attempts").table(&rows);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn channel(status: serde_json::Value) -> WhatsAppChannel {
        serde_json::from_value(json!({
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
            "metadata": {"name": "support", "namespace": "shop"},
            "spec": {"portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme"},
            "status": status,
        }))
        .expect("a channel")
    }

    #[test]
    fn every_list_of_attempts_is_told() {
        let at: Timestamp = "2026-03-01T12:00:00Z".parse().expect("a time");
        let entry = json!({"id": "1", "at": at, "cause": "Automatic", "outcome": "Accepted"});
        let schema = serde_json::to_value(schemars::schema_for!(crate::api::v1alpha1::Ledger)).expect("JSON");
        let lists = schema["properties"].as_object().expect("fields");
        let lists: Vec<&str> =
            lists.keys().map(String::as_str).filter(|list| *list != "repeatable").collect();
        let ledger: serde_json::Value =
            lists.iter().map(|list| ((*list).to_owned(), json!([entry]))).collect();
        let told = report(&channel(json!({"memory": {"ledger": ledger}})), "shop", at).attempts;
        let mut told: Vec<&str> = told.into_keys().collect();
        let mut lists = lists;
        told.sort_unstable();
        lists.sort_unstable();
        assert_eq!(told, lists);
    }

    #[test]
    fn who_else_gets_the_messages_of_the_account_is_told_where_the_portfolio_knows_it() {
        let object = channel(json!({"accountId": "300"}));
        let app = |id: &str, name: &str| json!({"id": id, "name": name});
        let of = |account: &str, others: serde_json::Value| {
            let portfolio: WhatsAppPortfolio = serde_json::from_value(json!({
                "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppPortfolio",
                "metadata": {"name": "acme"},
                "spec": {"businessId": "1", "credentials": {"accessTokenSecretRef": {"name": "t", "key": "t"}}},
                "status": {"accounts": [{"id": account, "apps": {"ours": true, "others": others}}]},
            }))
            .expect("a portfolio");
            let now = Timestamp::UNIX_EPOCH;
            let page = text(&report(&object, "shop", now).beside(Some(&portfolio)), now).plain();
            page.lines()
                .find_map(|line| line.trim().strip_prefix("other apps"))
                .map(|line| line.trim().to_owned())
        };
        let crm = json!([app("21", "Acme CRM"), app("9", OtherApp::OF_META), {"id": "22"}]);
        assert_eq!(of("300", crm.clone()).as_deref(), Some("Acme CRM (21), 22"));
        assert_eq!(of("300", json!([app("9", OtherApp::OF_META)])), None);
        assert_eq!(of("301", crm), None, "of another account");
        let object = channel(json!({"accountId": "300", "facts": {"otherApps": "Acme CRM (21)"}}));
        let now = Timestamp::UNIX_EPOCH;
        let page = text(&report(&object, "shop", now), now).plain();
        assert!(
            page.contains("Acme CRM (21)"),
            "by the channel itself, where no portfolio may be read: {page}"
        );
    }

    #[test]
    fn a_remedy_for_a_program_names_the_channel() {
        let at = "2026-03-01T12:00:00Z";
        let condition = |kind: &str| json!({"type": kind, "status": "False", "reason": "CodeNeeded", "message": "told", "lastTransitionTime": at});
        let object: WhatsAppChannel = serde_json::from_value(json!({
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
            "metadata": {"name": "support", "namespace": "shop"},
            "spec": {"portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme"},
            "status": {"conditions": [condition("Ready"), condition("NumberVerified")]},
        }))
        .expect("a channel");
        let report =
            serde_json::to_value(report(&object, "shop", at.parse().expect("a time"))).expect("JSON");
        let remedy = "With the phone at hand: kubectl whatsapp send-code support -n shop.";
        assert_eq!(report["ready"]["remedy"], remedy);
        assert_eq!(report["conditions"][0]["remedy"], remedy);
        assert!(!report.to_string().contains("NAME"), "{report}");
    }
}
