//! A forecast as people and programs read it: lines in the order of time, what each costs, and how it ends.

use std::{collections::BTreeSet, ops::AddAssign};

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::{
    check::many,
    render::{Text, Tone, Words, paint},
};

/// What cannot be had back, and what counts against Meta's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Costs {
    /// Codes that Meta sends to the phone.
    pub codes: usize,
    /// Attempts to register.
    pub registrations: usize,
    /// Display names that Meta is given to review.
    pub reviews: usize,
    /// Calls of the Graph API.
    pub calls: u64,
}

impl AddAssign for Costs {
    fn add_assign(&mut self, other: Self) {
        self.codes += other.codes;
        self.registrations += other.registrations;
        self.reviews += other.reviews;
        self.calls += other.calls;
    }
}

impl Costs {
    fn text(self) -> String {
        let calls = usize::try_from(self.calls).unwrap_or(usize::MAX);
        let all = [
            (self.codes, "code"),
            (self.registrations, "registration"),
            (self.reviews, "review"),
            (calls, "call"),
        ];
        let told = all.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| many(count, what));
        told.collect::<Vec<_>>().join(", ")
    }
}

/// What a line tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Kind {
    /// The operator takes a step.
    Step,
    /// A wait begins.
    Wait,
    /// Somebody acts, as hoped.
    Act,
}

/// Something that happens.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Seconds from now.
    after_seconds: i64,
    /// What this line tells of.
    kind: Kind,
    /// The step, the reason of the wait, or the act.
    what: &'static str,
    /// Who acts.
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<&'static str>,
    /// A text for people.
    says: String,
    /// Spent since the line before.
    costs: Costs,
}

/// How a forecast ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Ending {
    /// The channel is Ready, and nothing waits.
    Ready,
    /// It was so from the beginning.
    NothingToDo,
    /// Nobody can be hoped to do what is waited for.
    Waits,
    /// It went on for too long.
    Unfinished,
    /// There is none.
    None,
}

/// The forecast of one channel.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Course {
    /// What happens, in the order of time.
    lines: Vec<Line>,
    /// How the forecast ends.
    pub ending: Ending,
    /// When it ends, in seconds from now.
    after_seconds: i64,
    /// A text for people.
    says: String,
    /// What it costs.
    pub costs: Costs,
    /// What was assumed.
    assumed: BTreeSet<String>,
    #[serde(skip)]
    start: Timestamp,
    #[serde(skip)]
    spent: Costs,
}

impl Course {
    /// One that begins now.
    pub fn new(start: Timestamp) -> Self {
        Self {
            lines: Vec::new(),
            ending: Ending::Unfinished,
            after_seconds: 0,
            says: String::new(),
            costs: Costs::default(),
            assumed: BTreeSet::new(),
            start,
            spent: Costs::default(),
        }
    }

    /// One that is not made, and why.
    pub fn none(why: impl Into<String>) -> Self {
        let mut course = Self::new(Timestamp::UNIX_EPOCH);
        course.end(Timestamp::UNIX_EPOCH, Ending::None, why);
        course
    }

    /// Something is taken for given.
    pub fn assume(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !what.is_empty() {
            self.assumed.insert(what);
        }
    }

    /// Something was spent; the next line tells it.
    pub fn spend(&mut self, costs: Costs) {
        self.costs += costs;
        self.spent += costs;
    }

    /// Something happens.
    pub fn line(
        &mut self,
        now: Timestamp,
        kind: Kind,
        what: &'static str,
        who: Option<&'static str>,
        says: impl Into<String>,
    ) {
        let costs = std::mem::take(&mut self.spent);
        let after_seconds = now.duration_since(self.start).as_secs();
        self.lines.push(Line { after_seconds, kind, what, who, says: says.into(), costs });
    }

    /// It ends.
    pub fn end(&mut self, now: Timestamp, ending: Ending, says: impl Into<String>) {
        self.ending = ending;
        self.after_seconds = now.duration_since(self.start).as_secs();
        self.says = says.into();
    }

    /// Whether nothing was told yet.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// For people.
    pub fn text(&self) -> Text {
        let mut text = Text::new();
        match self.ending {
            Ending::None => {
                text.line(format!("no forecast: {}", self.says));
                return text;
            }
            Ending::NothingToDo => {
                text.line(format!("forecast: {}", self.says));
                return text;
            }
            Ending::Ready | Ending::Waits | Ending::Unfinished => {}
        }
        text.line(paint(Tone::Strong, "forecast, if everybody acts as hoped; a guess and no promise:"));
        let mut rows: Vec<[Words; 2]> = self.lines.iter().map(row).collect();
        let tone = if self.ending == Ending::Ready { Tone::Good } else { Tone::Attention };
        rows.push([when(self.after_seconds).into(), paint(tone, &self.says)]);
        text.table(&rows);
        let costs = self.costs.text();
        text.indent(2, format!("comes to: {}", if costs.is_empty() { "nothing" } else { &costs }));
        for assumed in &self.assumed {
            text.indent(2, paint(Tone::Faint, format!("assumed: {assumed}")));
        }
        text
    }
}

/// What several forecasts come to.
pub fn total(costs: Costs) -> String {
    let costs = costs.text();
    format!("the forecasts come to: {}", if costs.is_empty() { "nothing" } else { &costs })
}

fn row(line: &Line) -> [Words; 2] {
    let (what, who) = (line.what, line.who.unwrap_or_default());
    let says = &line.says;
    let told = match line.kind {
        Kind::Step => paint(Tone::Good, "+") + " " + paint(Tone::Strong, what) + ": " + says,
        Kind::Wait => {
            let on = line.who.map(|who| format!(" on {who}")).unwrap_or_default();
            paint(Tone::Attention, "waits") + on + " " + paint(Tone::Strong, what) + ": " + says
        }
        Kind::Act => format!("{who} {says} ({what})").into(),
    };
    let costs = line.costs.text();
    let costs = if costs.is_empty() { costs.into() } else { paint(Tone::Faint, format!("  [{costs}]")) };
    [when(line.after_seconds).into(), told + costs]
}

/// A time from now, in its two largest units.
fn when(seconds: i64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let Some(first) = units.iter().position(|(unit, _)| seconds >= *unit) else { return "now".to_owned() };
    let mut rest = seconds;
    let mut told = Vec::new();
    for (unit, name) in units.iter().skip(first).take(2) {
        if rest / unit > 0 {
            told.push(format!("{} {name}", rest / unit));
        }
        rest %= unit;
    }
    format!("+{}", told.join(" "))
}

/// How long a forecast looks ahead, in words.
pub fn days(time: SignedDuration) -> String {
    many(usize::try_from(time.as_hours() / 24).unwrap_or_default(), "day")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_their_two_largest_units() {
        for (seconds, told) in [
            (0, "now"),
            (1, "+1 s"),
            (60, "+1 min"),
            (61, "+1 min 1 s"),
            (3_900, "+1 h 5 min"),
            (3_605, "+1 h"),
            (90_000, "+1 d 1 h"),
            (86_460, "+1 d"),
        ] {
            assert_eq!(when(seconds), told);
        }
    }

    #[test]
    fn what_is_spent_is_told_once_and_counts_to_the_whole() {
        let mut course = Course::new(Timestamp::UNIX_EPOCH);
        course.spend(Costs { codes: 1, calls: 2, ..Costs::default() });
        course.spend(Costs { calls: 1, ..Costs::default() });
        for _ in 0..2 {
            course.line(Timestamp::UNIX_EPOCH, Kind::Step, "Step", None, "why");
        }
        course.end(Timestamp::UNIX_EPOCH, Ending::Ready, "Ready");
        let told = course.text().plain();
        assert_eq!(told.matches("[1 code, 3 calls]").count(), 1, "{told}");
        assert!(told.contains("comes to: 1 code, 3 calls"), "{told}");
    }
}
