//! What there is to tell of a fleet at a scrape, from what is kept anyway.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::engine::{
    action::Action, desired::PortfolioRef, limits::Limits, portfolio::TokenFacts, reason::Reason,
    step::StepKind, time::earlier,
};
use crate::{
    controller::{
        claim::{Claimant, Claims},
        concern::{Concern, Rating, Wait},
        view::{Found, Portfolios},
        watch::Key,
    },
    meta::port::{Graph, Spent, ToldUsage},
    telemetry::fleet::{
        ChannelNow, Detail, Fleet, MOST_CHANNELS, MOST_PORTFOLIOS, PortfolioNow, UsageNow, Waiting,
    },
};

/// All channels and portfolios as they stand; lines and looks are for others to tell.
pub fn survey<G: Graph>(
    claims: &Claims,
    portfolios: &Portfolios<G>,
    limits: &Limits,
    detail: Detail,
    now: Timestamp,
) -> Fleet {
    let mut fleet = of_channels(claims, limits, detail, now);
    let shown = of_portfolios(portfolios);
    for of in &shown.0 {
        portfolios.one(of, |found| fleet.portfolios.push(portfolio(of, &found, now)));
    }
    fleet.portfolios_left_out = shown.1;
    fleet
}

/// Those with series of their own, in the order of their names, and how many are left out. What holds up its channels comes
/// first, then what waits for somebody, then what Meta holds back, and then whose token ends soonest.
fn of_portfolios<G: Clone>(portfolios: &Portfolios<G>) -> (Vec<PortfolioRef>, usize) {
    let mut all = Vec::new();
    portfolios.each(|of, Found { view, waits, .. }| {
        let ends = view.token.known().and_then(TokenFacts::end);
        let calm = (view.hold.is_none(), waits.is_empty(), view.throttled_until.is_none());
        all.push((calm, ends.unwrap_or(Timestamp::MAX), of.clone()));
    });
    let left_out = all.len().saturating_sub(MOST_PORTFOLIOS);
    if left_out > 0 {
        all.sort_unstable();
        all.truncate(MOST_PORTFOLIOS);
    }
    let mut shown: Vec<_> = all.into_iter().map(|(.., of)| of).collect();
    shown.sort_unstable();
    (shown, left_out)
}

fn of_channels(claims: &Claims, limits: &Limits, detail: Detail, now: Timestamp) -> Fleet {
    let (mut stages, mut qualities) = (BTreeMap::new(), BTreeMap::new());
    let mut waiting: BTreeMap<(Action, &'static str), (usize, Timestamp)> = BTreeMap::new();
    let mut concerns = Vec::new();
    claims.each(|key, channel| {
        *stages.entry(channel.stage.as_str()).or_insert(0) += 1;
        if channel.rating != Rating::Absent {
            *qualities.entry(channel.rating.as_str()).or_insert(0) += 1;
        }
        let Some(concern) = &channel.concern else { return };
        for wait in &concern.waits {
            let reason = wait.reason.map_or("", Reason::as_str);
            let (count, oldest) = waiting.entry((wait.action, reason)).or_insert((0, wait.since));
            (*count, *oldest) = (*count + 1, wait.since.min(*oldest));
        }
        if concern.is_of_person() {
            // What is worst waits for nobody by name; whatever else does not comes last.
            let since = concern.since().unwrap_or(Timestamp::MAX);
            concerns.push((!concern.is_worst(), since, key.clone()));
        }
    });
    let needing = concerns.len();
    let kept = if detail.channels { MOST_CHANNELS } else { 0 };
    concerns.sort_unstable();
    concerns.truncate(kept);
    let mut channels = Vec::with_capacity(concerns.len());
    for (.., key) in &concerns {
        claims.one(key, |claimant| {
            if let Some(concern) = &claimant.concern {
                channels.push(channel(key, claimant, concern, limits, detail, now));
            }
        });
    }
    let waiting = waiting.into_iter().map(|((action, reason), (channels, oldest))| Waiting {
        actor: action.actor().as_str(),
        action: action.as_str(),
        reason,
        channels,
        oldest: now.duration_since(oldest).as_secs_f64().max(0.0),
    });
    Fleet {
        stages: stages.into_iter().collect(),
        qualities: qualities.into_iter().collect(),
        waiting: waiting.collect(),
        left_out: needing.saturating_sub(channels.len()),
        channels,
        ..Fleet::default()
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

fn channel(
    key: &Key,
    claimant: &Claimant,
    concern: &Concern,
    limits: &Limits,
    detail: Detail,
    now: Timestamp,
) -> ChannelNow {
    let within = |all: &[Timestamp], window| all.iter().filter(|at| **at > earlier(now, window)).count();
    let codes = limits
        .codes_by_consent
        .saturating_sub(within(&concern.codes, limits.codes_window))
        .min(limits.codes_total.saturating_sub(within(&concern.codes, limits.codes_total_window)));
    let registrations =
        limits.registrations_total.saturating_sub(within(&concern.registrations, limits.registration_window));
    let waits = concern
        .waits
        .iter()
        .map(|wait| (wait.action.actor().as_str(), wait.action.as_str(), seconds(wait.since)));
    ChannelNow {
        namespace: key.namespace.as_ref().into(),
        channel: key.name.as_ref().into(),
        portfolio_namespace: claimant.portfolio.namespace.as_ref().into(),
        portfolio: claimant.portfolio.name.as_ref().into(),
        stage: claimant.stage.as_str(),
        quality: claimant.rating.as_str(),
        reason: concern.reason.map_or("", Reason::as_str),
        phone_number: detail.phone_numbers.then(|| claimant.digits.digits().into()),
        is_ready: concern.is_ready,
        waits: waits.collect(),
        attempts: vec![(StepKind::RequestCode.as_str(), codes), (StepKind::Register.as_str(), registrations)],
        drifted: concern.drifted,
    }
}

fn portfolio<G: Graph>(of: &PortfolioRef, found: &Found<'_, G>, now: Timestamp) -> PortfolioNow {
    let Found { view, graph, waits } = *found;
    let waits = waits.iter().map(|Wait { action, since, reason }| {
        (action.actor().as_str(), action.as_str(), reason.map_or("", Reason::as_str), seconds(*since))
    });
    let budget = graph.map(Graph::spent).unwrap_or_default();
    let (token, facts) = (view.token.known(), view.facts.known());
    let told = graph.map(Graph::told).unwrap_or_default();
    let left =
        |until: Option<Timestamp>| until.map_or(0.0, |at| at.duration_since(now).as_secs_f64().max(0.0));
    let usage = |told: ToldUsage| UsageNow {
        of: told.of,
        used: told.used.map(|(percent, at)| (f64::from(percent) / 100.0, seconds(at))),
        reads: left(told.reads_wait),
        all: left(told.all_wait),
    };
    PortfolioNow {
        namespace: of.namespace.as_ref().into(),
        portfolio: of.name.as_ref().into(),
        messaging_limit: facts
            .and_then(|f| f.messaging_limit.as_ref())
            .map_or("", |l| known(l.as_str(), l.is_known()))
            .into(),
        verification: facts
            .and_then(|f| f.verification.as_ref())
            .map_or("", |v| known(v.as_str(), v.is_known()))
            .into(),
        reason: view.hold.as_ref().map(|hold| hold.reason.as_str()),
        token_expiry: token.and_then(|token| token.expires_at).map(seconds),
        data_access_expiry: token.and_then(|token| token.data_access_expires_at).map(seconds),
        waits: waits.collect(),
        budget: budget.into_iter().map(|Spent { lane, used, left }| (lane, used, left)).collect(),
        usage: told.into_iter().map(usage).collect(),
        held_back: left(view.throttled_until),
    }
}

/// A new word of Meta's stands in no label.
fn known(word: &str, is_known: bool) -> &str {
    if is_known { word } else { "other" }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        api::v1alpha1::WhatsAppChannel,
        controller::{channel::claimant, claim::Pauses},
    };
    use serde_json::{Value, json};

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + 60 * minute).expect("a time")
    }

    fn claims(channels: impl IntoIterator<Item = (String, Value)>) -> Claims {
        with_spec(channels, &json!({}))
    }

    /// With more in the spec of each.
    fn with_spec(channels: impl IntoIterator<Item = (String, Value)>, more: &Value) -> Claims {
        let pause = Duration::ZERO;
        let claims = Claims::new(Pauses { gone: pause, displaced: pause, kept: pause });
        for (name, status) in channels {
            let mut spec = json!({"portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme"});
            for (field, value) in more.as_object().into_iter().flatten() {
                spec[field] = value.clone();
            }
            let channel: WhatsAppChannel = serde_json::from_value(json!({
                "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
                "metadata": {"name": name, "namespace": "shop", "uid": name}, "status": status, "spec": spec,
            }))
            .expect("a channel");
            let key = Key {
                namespace: "shop".into(),
                name: channel.metadata.name.as_deref().unwrap_or_default().into(),
            };
            claims.apply(&key, claimant(&channel), at(0));
        }
        claims
    }

    fn waiting(minute: i64) -> Value {
        json!({
            "stage": "Verifying", "facts": {"quality": "UNKNOWN"},
            "conditions": [{"type": "Ready", "status": "False", "reason": "CodeNeeded", "message": "", "lastTransitionTime": at(0).to_string()}],
            "waitingFor": [{"actor": "PhoneHolder", "action": "AskForCode", "since": at(minute).to_string()}],
        })
    }

    fn shown(claims: &Claims, detail: Detail) -> Fleet {
        of_channels(claims, &Limits::default(), detail, at(100))
    }

    #[test]
    fn a_channel_takes_no_place_for_what_its_spec_leaves_as_it_is() {
        let drift = json!({"field": "displayName", "desired": "a", "live": "b", "since": at(0).to_string(), "action": "told"});
        let contended = json!({
            "type": "ProfileSynced", "status": "False", "reason": "ContendedBy",
            "lastTransitionTime": at(0).to_string(), "message": "",
        });
        let status = json!({
            "stage": "Ready", "drift": [drift], "conditions": [contended],
            "waitingFor": [{"actor": "ClusterUser", "action": "Resume", "since": at(0).to_string()}],
        });
        for (more, takes) in [
            (json!({}), true),
            (json!({"driftPolicy": "Enforce", "managementPolicy": "Full", "suspend": false}), true),
            (json!({"driftPolicy": "Report"}), false),
            (json!({"managementPolicy": "ObserveOnly"}), false),
            (json!({"suspend": true}), false),
        ] {
            let fleet = shown(
                &with_spec([("a".to_owned(), status.clone())], &more),
                Detail { channels: true, phone_numbers: false },
            );
            assert_eq!((fleet.channels.len(), fleet.left_out), (usize::from(takes), 0), "{more}");
            assert_eq!(fleet.waiting.len(), 1, "the wait is told all the same");
        }
    }

    #[test]
    fn who_is_waited_for_is_counted_with_the_longest_wait() {
        let ready = json!({"stage": "Ready", "facts": {"quality": "GREEN"}});
        let fleet = shown(
            &claims([("a".into(), waiting(90)), ("b".into(), waiting(40)), ("c".into(), ready)]),
            Detail::default(),
        );
        let [one] = &fleet.waiting[..] else { panic!("one act is waited for: {:?}", fleet.waiting) };
        assert_eq!((one.actor, one.action, one.reason), ("PhoneHolder", "AskForCode", "CodeNeeded"));
        assert_eq!((one.channels, one.oldest), (2, 3_600.0));
        assert_eq!(fleet.stages, [("Ready", 1), ("Verifying", 2)]);
        assert_eq!(fleet.qualities, [("GREEN", 1), ("UNKNOWN", 1 + 1)]);
        let names: Vec<&str> = fleet.channels.iter().map(|one| &*one.channel).collect();
        assert_eq!(names, ["b", "a"], "the longest wait first, and nobody who needs no person");
    }

    #[test]
    fn series_of_single_channels_are_bounded_and_those_left_out_are_counted() {
        let many = MOST_CHANNELS + 3;
        let crowd =
            claims((0..many).map(|n| (format!("c-{n:04}"), waiting(i64::try_from(n).expect("small")))));
        let fleet = shown(&crowd, Detail::default());
        assert_eq!((fleet.channels.len(), fleet.left_out), (MOST_CHANNELS, 3));
        assert_eq!(fleet.channels[0].channel, "c-0000", "those that wait longest have them");
        let off = shown(&crowd, Detail { channels: false, phone_numbers: true });
        assert_eq!((off.channels.len(), off.left_out), (0, many));
        assert_eq!(off.waiting[0].channels, many, "all of them are counted together nevertheless");
    }

    #[test]
    fn what_is_red_or_stalled_has_series_before_all_that_wait() {
        let red = json!({"stage": "Ready", "facts": {"quality": "RED"}});
        let stalled = json!({"stage": "Stalled"});
        let crowd = (0..MOST_CHANNELS).map(|n| (format!("c-{n:04}"), waiting(0)));
        let worst = [("red".to_owned(), red), ("stalled".to_owned(), stalled)];
        let fleet = shown(&claims(crowd.chain(worst)), Detail::default());
        let names: Vec<&str> = fleet.channels.iter().map(|one| &*one.channel).collect();
        assert_eq!(names[..3], ["red", "stalled", "c-0000"]);
        assert_eq!(fleet.left_out, 2);
    }

    #[test]
    fn series_of_portfolios_are_bounded_and_those_that_need_somebody_have_them() {
        use crate::engine::{
            id::{Fact, TokenType},
            portfolio::PortfolioView,
        };
        let portfolios = Portfolios::<()>::default();
        let of = |name: &str| PortfolioRef { namespace: "shop".into(), name: name.into() };
        let held = |name: &str| PortfolioView::spec_invalid("shop", name, "", "it is too large");
        let calm = |name: &str| PortfolioView { hold: None, ..held(name) };
        let publish = |name: &str, view: PortfolioView| {
            portfolios.declare(&of(name), "1", Vec::new().into());
            portfolios.publish(&of(name), "1", view, None);
        };
        for n in 0..MOST_PORTFOLIOS {
            publish(&format!("p-{n:04}"), calm("calm"));
        }
        let all = of_portfolios(&portfolios);
        assert_eq!((all.0.len(), all.1), (MOST_PORTFOLIOS, 0));
        publish("z-held", held("z-held"));
        publish("z-waits", calm("z-waits"));
        let wait = Wait { action: Action::ReplaceToken, since: at(0), reason: None };
        portfolios.waits_for(&of("z-waits"), "1", [wait].into());
        publish("z-paused", PortfolioView { throttled_until: Some(at(1)), ..calm("z-paused") });
        let token = TokenFacts {
            is_valid: true,
            kind: TokenType::SystemUser,
            expires_at: Some(at(9)),
            data_access_expires_at: None,
            app: None,
            scopes: Vec::new(),
            targets: None,
            error: None,
        };
        publish("z-ends", PortfolioView { token: Fact::Known(token), ..calm("z-ends") });
        publish("zz", calm("zz"));
        let (shown, left_out) = of_portfolios(&portfolios);
        assert_eq!((shown.len(), left_out), (MOST_PORTFOLIOS, 5));
        let names: Vec<&str> = shown.iter().map(|of| &*of.name).collect();
        assert_eq!(names[..2], ["p-0000", "p-0001"]);
        assert_eq!(names[MOST_PORTFOLIOS - 4..], ["z-ends", "z-held", "z-paused", "z-waits"]);
    }

    #[test]
    fn what_is_left_of_attempts_grows_again_when_they_leave_the_window() {
        let entry = |minute: i64| json!({"id": "x", "at": at(minute).to_string(), "outcome": "Accepted", "cause": "SendCode"});
        let mut status = waiting(0);
        status["memory"] =
            json!({"ledger": {"codes": [entry(-3 * 60), entry(-60)], "registrations": [entry(0)]}});
        let claims = claims([("a".into(), status)]);
        let left = |minute: i64| {
            let fleet = of_channels(&claims, &Limits::default(), Detail::default(), at(minute));
            fleet.channels[0].attempts.clone()
        };
        assert_eq!(left(0), [("RequestCode", 2), ("Register", 8)]);
        assert_eq!(left(22 * 60), [("RequestCode", 3), ("Register", 8)]);
        assert_eq!(left(4 * 24 * 60), [("RequestCode", 4), ("Register", 9)]);
    }
}
