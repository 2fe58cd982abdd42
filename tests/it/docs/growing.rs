//! The figures of the page on growing: those that were measured are those of the README, and the others follow from the limits.

use std::fmt::Write as _;

use whatsapp_operator::engine::limits::Limits;

use super::read;

const PAGE: &str = "docs/growing.md";
const FLEETS: [u32; 3] = [1_000, 10_000, 100_000];
/// Of each account on the page.
const NUMBERS: u32 = 100;
/// Calls of an app for one account in an hour: before its first registered number, and after (Meta, platform rate limits).
const ALLOWED: [u32; 2] = [200, 5_000];
/// New customers of an app in seven days: before, and after business verification and app review (Meta, Embedded Signup).
const CUSTOMERS: [u32; 2] = [10, 200];
/// An add, a code, its verification and the registration.
const CALLS_OF_A_NUMBER: u32 = 4;

/// As `10,000` is written.
fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share in percent, without zeros at its end.
fn percent(part: u32, whole: u32) -> String {
    let text = format!("{:.2}", f64::from(part) * 100.0 / f64::from(whole));
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// How often one after another goes, of which the first goes at once.
fn waits(all: u32, at_once: u32) -> u32 {
    all.div_ceil(at_once) - 1
}

fn in_an_hour(each: std::time::Duration) -> u32 {
    u32::try_from(3_600 / each.as_secs()).expect("few")
}

/// The tables that follow from the limits, as they have to be.
fn tables(limits: &Limits) -> [String; 3] {
    let lists = in_an_hour(limits.fresh_list);
    let profiles = (NUMBERS * in_an_hour(limits.fresh_profile)).min(limits.profiles_per_hour);
    let mut rest = "| Numbers | Accounts | Lists of an account in an hour | Of 200 | Of 5,000 | With profiles | Of 5,000 | \
        Lists of all accounts |\n|---:|---:|---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    let mut new = "| New numbers | In accounts of 100 | In one account |\n|---:|---:|---:|\n".to_owned();
    let mut customers =
        "| New customers | At 10 in seven days | At 200 in seven days |\n|---:|---:|---:|\n".to_owned();
    let each_hour = limits.budget_rest / CALLS_OF_A_NUMBER;
    for fleet in FLEETS {
        let accounts = fleet / NUMBERS;
        let _ = writeln!(
            rest,
            "| {} | {} | {lists} | {} | {} | {} | {} | {} |",
            grouped(fleet),
            grouped(accounts),
            percent(lists, ALLOWED[0]),
            percent(lists, ALLOWED[1]),
            lists + profiles,
            percent(lists + profiles, ALLOWED[1]),
            grouped(lists * accounts),
        );
        let hours = [NUMBERS, fleet].map(|numbers| grouped(waits(numbers, each_hour)));
        let _ = writeln!(new, "| {} | {} h | {} h |", grouped(fleet), hours[0], hours[1]);
        let days = CUSTOMERS.map(|most| grouped(7 * waits(fleet, most)));
        let _ = writeln!(customers, "| {} | {} days | {} days |", grouped(fleet), days[0], days[1]);
    }
    [rest, new, customers]
}

#[test]
fn what_a_fleet_takes_follows_from_the_limits() {
    let page = read(PAGE);
    let missing: Vec<String> =
        tables(&Limits::default()).into_iter().filter(|table| !page.contains(table)).collect();
    assert!(missing.is_empty(), "{PAGE} has to have:\n{}", missing.join("\n"));
    for limit in ALLOWED.iter().chain(&CUSTOMERS) {
        let table = page.split_once("| Limit | Value | Source |").expect("a table").1;
        let rows: Vec<&str> = table.lines().skip(1).take_while(|line| !line.is_empty()).collect();
        assert!(rows.concat().contains(&grouped(*limit)), "{limit}");
    }
}

/// The cells of the row of a table that begins like this.
fn row(page: &str, begin: &str) -> Vec<String> {
    let line = page.lines().find(|line| line.starts_with(&format!("| {begin}")));
    let line = line.unwrap_or_else(|| panic!("no row begins with {begin}"));
    line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// The numbers of a cell, with how many digits each has behind its point. A word counts as what it says.
fn numbers(cell: &str) -> Vec<(f64, usize)> {
    let words = cell.replace("no write", "0").replace("one write", "1").replace(", ", " ");
    let words = words.replace(',', "");
    let parsed = words.split_whitespace().filter_map(|word| {
        let behind = word.split_once('.').map_or(0, |(_, behind)| behind.len());
        Some((word.parse().ok()?, behind))
    });
    parsed.collect()
}

/// Whether a figure of the page is one of the README, as exact as it is written.
fn is_among(figure: (f64, usize), measured: &[(f64, usize)]) -> bool {
    let (figure, behind) = figure;
    let half = 0.5 * 10_f64.powi(-i32::try_from(behind).expect("few")) + 1e-9;
    measured.iter().any(|(measured, _)| (measured - figure).abs() <= half)
}

#[test]
fn what_was_measured_of_a_fleet_is_what_the_readme_says() {
    let (page, readme) = (read(PAGE), read("README.md"));
    let costs = readme.split_once("## What it costs").expect("a section").1;
    let measured = |begins: &[&str]| -> Vec<(f64, usize)> {
        begins.iter().flat_map(|begin| numbers(&row(costs, begin)[1])).collect()
    };
    for (channels, memory, after) in [
        (
            "1,000",
            &["1,000 channels at rest: RSS"][..],
            &["restart with 1,000 ready channels: Graph calls", "restart with 1,000 ready channels: writes"]
                [..],
        ),
        ("10,000", &["the same after a restart"], &["restart with 10,000 ready channels"]),
        (
            "100,000",
            &["100,000 channels at rest, after a restart: RSS"],
            &["100,000 ready channels, from a restart"],
        ),
    ] {
        let cells = row(&page, &format!("{channels} | "));
        for (cell, begins) in [(&cells[1], memory), (&cells[3], after)] {
            let (said, measured) = (numbers(cell), measured(begins));
            assert!(!said.is_empty(), "{channels}: {cell} has no figure");
            for figure in said {
                assert!(
                    is_among(figure, &measured),
                    "{channels}: {figure:?} of {cell:?} is none of {measured:?}"
                );
            }
        }
    }
    let of_each = numbers(&row(&page, "1,000 | ")[2])[0];
    assert!(is_among(of_each, &measured(&["1,000 channels at rest: Graph calls"])), "{of_each:?}");
    // The table that follows from the limits is not far from it.
    let lists = f64::from(in_an_hour(Limits::default().fresh_list)) / f64::from(NUMBERS);
    assert!((lists - of_each.0).abs() <= 0.005, "{lists} and {of_each:?}");
}
