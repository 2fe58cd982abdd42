use std::{
    collections::{BTreeMap, BTreeSet},
    sync::mpsc,
    thread,
};

use crate::telemetry::{
    fleet::{ChannelNow, PortfolioNow, UsageNow, Waiting},
    table::{ALL, Kind},
};

use super::*;

/// One of everything.
fn fleet(detail: Detail) -> Fleet {
    let channel = ChannelNow {
        namespace: "shop".into(),
        channel: "support".into(),
        portfolio_namespace: "shop".into(),
        portfolio: "acme".into(),
        stage: "Verifying",
        quality: "RED",
        reason: "CodeNeeded",
        phone_number: detail.phone_numbers.then(|| "5511912345678".into()),
        is_ready: false,
        waits: vec![("PhoneHolder", "AskForCode", 1_700_000_000.0)],
        attempts: vec![("RequestCode", 5)],
        drifted: 1,
    };
    let portfolio = PortfolioNow {
        namespace: "shop".into(),
        portfolio: "acme".into(),
        messaging_limit: "TIER_2K".into(),
        verification: "verified".into(),
        reason: Some("TokenInvalid"),
        token_expiry: Some(1_800_000_000.0),
        data_access_expiry: Some(1_800_000_000.0),
        budget: vec![("list", 3, 197)],
        waits: vec![("PortfolioAdmin", "ReplaceToken", "NewTokenRejected", 1_700_000_000.0)],
        usage: vec![UsageNow { of: "app", used: Some((0.92, 1_700_000_000.0)), reads: 60.0, all: 0.0 }],
        held_back: 60.0,
    };
    Fleet {
        stages: vec![("Verifying", 1)],
        qualities: vec![("RED", 1)],
        waiting: vec![Waiting {
            actor: "PhoneHolder",
            action: "AskForCode",
            reason: "CodeNeeded",
            channels: 1,
            oldest: 3.0,
        }],
        channels: if detail.channels { vec![channel] } else { Vec::new() },
        left_out: 2,
        portfolios: vec![portfolio],
        portfolios_left_out: 1,
        depths: vec![("channels", "person", 4)],
        oldest_look: 7.0,
    }
}

fn everything(detail: Detail) -> Arc<Metrics> {
    let calls = || Calls {
        endings: vec![("numbers", "answered", 2)],
        refusals: vec![("register", "133010".into(), 1)],
        durations: vec![Durations {
            edge: "numbers",
            sum: 0.75,
            buckets: vec![(0.5, 1), (f64::INFINITY, 1)],
        }],
    };
    let metrics = Arc::new(Metrics::new(detail).with_calls(calls).with_lost_lines(Counter::default()));
    metrics.ask(fleet);
    metrics.pass("channel", "done");
    drop(metrics.reconcile("channels"));
    metrics.status_writes("channel", 1);
    metrics.step("Register", "accepted");
    metrics.delay("channels", "person", Duration::from_secs(1));
    metrics.watch("channels", "shop", Duration::from_secs(1), false);
    metrics.became_ready(90.0);
    metrics.event_lost();
    metrics.leads(true);
    metrics
}

#[test]
fn what_is_served_is_what_the_table_says_in_both_formats() {
    let metrics = everything(Detail::default());
    let open = metrics.encode();
    let text = classic(&open);
    let promised: BTreeMap<String, (&str, BTreeSet<&str>)> = ALL
        .iter()
        .map(|row| (row.full_name(), (row.kind.as_str(), row.labels.iter().copied().collect())))
        .collect();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let mut served: BTreeMap<String, (&str, BTreeSet<&str>)> =
        types.map(|(name, kind)| (name.to_owned(), (kind, BTreeSet::new()))).collect();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = line.split_once('{').map_or_else(
            || (line.split(' ').next().unwrap_or_default(), ""),
            |(name, rest)| (name, rest.rsplit_once('}').map_or("", |(labels, _)| labels)),
        );
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let name = base.filter(|base| served.contains_key(*base)).unwrap_or(name);
        let names = labels.split("\",").filter_map(|label| label.split_once('=')).map(|(name, _)| name);
        let (_, known) = served.get_mut(name).unwrap_or_else(|| panic!("{name} has no type"));
        known.extend(names.filter(|name| *name != "le"));
    }
    assert_eq!(served, promised);
    let helps = text.lines().filter(|line| line.starts_with("# HELP ")).count();
    assert_eq!(helps, ALL.len(), "each says what it means");
    for row in ALL {
        assert!(text.contains(&format!("# HELP {} {}\n", row.full_name(), row.sentence())), "{}", row.name);
    }
    assert!(open.ends_with("# EOF\n") && !text.contains("# EOF"));
    let samples = |text: &str| {
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(samples(&open), samples(&text), "the values are the same");
    assert!(!text.contains("{}"), "{text}");
}

#[test]
fn a_number_stands_in_no_label_unless_that_was_asked_for() {
    let number = "5511912345678";
    assert!(!everything(Detail::default()).encode().contains(number));
    let asked = Detail { phone_numbers: true, ..Detail::default() };
    assert!(everything(asked).encode().contains(&format!(r#"phone_number="{number}""#)));
    let off = everything(Detail { channels: false, ..asked }).encode();
    assert!(!off.contains(number) && !off.contains("channel_ready{"), "{off}");
}

#[test]
fn who_stands_by_tells_nothing_of_the_fleet() {
    let metrics = everything(Detail::default());
    let tells = |of: &str| metrics.encode().contains(of);
    assert!(tells("whatsapp_operator_channels{") && tells(r#"portfolio="acme""#));
    metrics.ask_nobody();
    assert!(!tells("whatsapp_operator_channels{") && !tells(r#"portfolio="acme""#));
    assert!(tells("whatsapp_operator_leader 1"));
}

#[test]
fn whoever_ends_to_work_does_not_wait_for_a_scrape() {
    let metrics = Arc::new(Metrics::default());
    let ((asked, is_asked), (go, may)) = (mpsc::channel(), mpsc::channel::<()>());
    let (asked, may) = (Mutex::new(asked), Mutex::new(may));
    metrics.ask(move |_| {
        asked.lock().expect("sound").send(()).expect("it is waited for");
        let is_told = may.lock().expect("sound").recv_timeout(Duration::from_secs(5)).is_ok();
        Fleet { left_out: usize::from(is_told), ..Fleet::default() }
    });
    let own = metrics.clone();
    let scrape = thread::spawn(move || own.encode());
    is_asked.recv().expect("it asks");
    metrics.ask_nobody();
    go.send(()).expect("it waits");
    assert!(scrape.join().expect("a text").contains("channels_left_out 1"));
}

#[test]
fn calls_are_told_by_edge_code_and_duration() {
    let text = everything(Detail::default()).encode();
    for line in [
        r#"whatsapp_operator_graph_calls_total{edge="numbers",outcome="answered"} 2"#,
        r#"whatsapp_operator_graph_refusals_total{edge="register",code="133010"} 1"#,
        r#"whatsapp_operator_graph_call_duration_seconds_sum{edge="numbers"} 0.75"#,
        r#"whatsapp_operator_graph_call_duration_seconds_count{edge="numbers"} 2"#,
        r#"whatsapp_operator_graph_call_duration_seconds_bucket{le="0.5",edge="numbers"} 1"#,
        r#"whatsapp_operator_graph_call_duration_seconds_bucket{le="+Inf",edge="numbers"} 2"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn the_reference_has_every_metric() {
    let text = table::reference();
    for row in ALL {
        assert!(text.contains(&format!("| `{}` | {} |", row.full_name(), row.kind.as_str())), "{}", row.name);
        assert!(!row.help.ends_with('.'), "{}: the full stop is added", row.name);
        assert_eq!(row.kind == Kind::Histogram, row.name.ends_with("_seconds") && row.kind != Kind::Gauge);
    }
}
