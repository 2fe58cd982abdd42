//! Draws a dashboard as it would stand in Grafana: the same panels at the same places, with what its queries find.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::prometheus::Prometheus;

/// Size of a cell of the grid, and what is left free in a panel.
const WIDE: f64 = 50.0;
const HIGH: f64 = 30.0;
const MARGIN: f64 = 10.0;
/// How far back lines go, in seconds.
pub const BACK: u32 = 120;
/// What names on the left of lines take, and the title above them.
const LEFT: f64 = 52.0;
const TOP: f64 = 32.0;
/// A line of text, and a letter as wide as most are.
const LINE: f64 = 14.0;
const LETTER: f64 = 6.2;
/// Lines that have a name below.
const NAMED: usize = 8;
const COLOURS: [&str; 8] =
    ["#3274d9", "#e0752d", "#299c46", "#a352cc", "#c4162a", "#8f6c00", "#0a8a8a", "#6e6e6e"];
const GREY: &str = "#888";

/// Between two panels.
const GAP: f64 = 6.0;

pub fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().map_or(&[], Vec::as_slice)
}

/// Where a panel begins, how wide and how high its place is.
fn place(panel: &Value) -> (f64, f64, f64, f64) {
    let of = |key: &str| panel["gridPos"][key].as_f64().unwrap_or_default();
    (of("x") * WIDE, of("y") * HIGH, of("w") * WIDE, of("h") * HIGH)
}

/// How the picture of a dashboard begins.
pub fn head(dashboard: &Value) -> String {
    let bottom = panels(dashboard).iter().map(place).map(|(_, y, _, height)| y + height).fold(0.0, f64::max);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1200 {bottom}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"1200\" height=\"{bottom}\" fill=\"#f4f5f5\"/>\n"
    )
}

/// How a panel begins, whatever is in it.
pub fn frame(panel: &Value) -> String {
    let (x, y, width, height) = place(panel);
    let (width, height) = (width - GAP, height - GAP);
    let mut svg = format!(
        "<g transform=\"translate({x} {y})\"><rect width=\"{width}\" height=\"{height}\" fill=\"#fff\" stroke=\"#ddd\"/>\n"
    );
    text(&mut svg, MARGIN, 17.0, "font-weight=\"bold\"", panel["title"].as_str().unwrap_or_default());
    svg
}

/// Draws what a dashboard shows now. `fill` puts values in the place of variables.
pub async fn draw(dashboard: &Value, prometheus: &Prometheus, fill: impl Fn(&str) -> String) -> String {
    let mut svg = head(dashboard);
    for panel in panels(dashboard) {
        svg.push_str(&frame(panel));
        let (_, _, width, height) = place(panel);
        let mut shown = Vec::new();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = fill(target["expr"].as_str().unwrap_or_default());
            let legend = target["legendFormat"].as_str().unwrap_or_default();
            let found = match panel["type"].as_str() {
                Some("timeseries") => prometheus.range(&query, BACK).await,
                _ => prometheus.query(&query).await,
            };
            shown
                .extend(found.unwrap_or_default().into_iter().map(|series| (named(legend, &series), series)));
        }
        let panel = Panel { json: panel, width: width - GAP, height: height - GAP };
        match panel.json["type"].as_str() {
            Some("timeseries") => panel.lines(&mut svg, &shown),
            Some("table") => panel.rows(&mut svg, &shown),
            _ => panel.numbers(&mut svg, &shown),
        }
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn text(svg: &mut String, x: f64, y: f64, style: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(svg, "<text x=\"{x:.0}\" y=\"{y:.0}\" {style}>{text}</text>");
}

/// As much of a text as there is room for.
fn fitting(text: &str, room: f64) -> String {
    let fits =
        |text: &str| f64::from(u32::try_from(text.chars().count()).unwrap_or(u32::MAX)) * LETTER <= room;
    let mut kept = text.to_owned();
    while !fits(&kept) {
        kept.pop();
    }
    if kept == text { kept } else { format!("{}…", kept.trim_end()) }
}

/// The legend of a series.
fn named(legend: &str, series: &Value) -> String {
    let labels = series["metric"].as_object().into_iter().flatten();
    labels.fold(legend.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{{{name}}}}}"), value.as_str().unwrap_or_default())
    })
}

fn number(value: &Value) -> Option<f64> {
    value[1].as_str()?.parse().ok().filter(|number: &f64| number.is_finite())
}

fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn points(series: &Value) -> Vec<(f64, f64)> {
    let values = series["values"].as_array().into_iter().flatten();
    values.filter_map(|pair| Some((pair[0].as_f64()?, number(pair)?))).collect()
}

/// The largest unit of time that a value has at least one of, with its length in seconds.
fn unit_of_time(seconds: f64) -> (f64, &'static str) {
    let units = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s")];
    units.into_iter().find(|(size, _)| seconds >= *size).unwrap_or((0.001, "ms"))
}

/// One of 1, 2 and 5 times a power of ten that is no less.
fn round_up(most: f64) -> f64 {
    let power = 10_f64.powf(most.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|step| *step >= most * 0.999)
        .unwrap_or(most)
}

struct Panel<'a> {
    json: &'a Value,
    width: f64,
    height: f64,
}

impl Panel<'_> {
    /// A value in the unit of the panel.
    fn told(&self, value: f64) -> String {
        let defaults = &self.json["fieldConfig"]["defaults"];
        let mapped = &defaults["mappings"][0]["options"][short(value)]["text"];
        if let Some(word) = mapped.as_str() {
            return word.to_owned();
        }
        match defaults["unit"].as_str().unwrap_or_default() {
            "s" if value > 0.0 => {
                let (size, unit) = unit_of_time(value);
                format!("{} {unit}", short((value / size * 10.0).round() / 10.0))
            }
            "s" => "0 s".to_owned(),
            "percentunit" => format!("{} %", short(value * 100.0)),
            "reqps" | "ops" | "wps" => format!("{}/s", short(value)),
            _ => short(value),
        }
    }

    fn is_of_time(&self) -> bool {
        self.json["fieldConfig"]["defaults"]["unit"] == "s"
    }

    fn nothing(&self, svg: &mut String) {
        let middle = format!("text-anchor=\"middle\" fill=\"{GREY}\"");
        text(svg, self.width / 2.0, self.height / 2.0, &middle, "no data");
    }

    fn numbers(&self, svg: &mut String, shown: &[(String, Value)]) {
        if shown.is_empty() {
            self.nothing(svg);
        }
        for (at, (name, series)) in shown.iter().enumerate() {
            let value =
                number(&series["value"]).map_or_else(|| "no data".to_owned(), |value| self.told(value));
            let y = 62.0 + 30.0 * f64::from(u32::try_from(at).unwrap_or_default());
            text(svg, MARGIN, y, "font-size=\"26\" fill=\"#299c46\"", &value);
            text(svg, self.width - MARGIN, y, &format!("text-anchor=\"end\" fill=\"{GREY}\""), name);
        }
    }

    /// A column for each label, as the panel leaves them.
    fn rows(&self, svg: &mut String, shown: &[(String, Value)]) {
        let hidden = &self.json["transformations"][0]["options"]["excludeByName"];
        let labels = |series: &Value| series["metric"].as_object().cloned().unwrap_or_default();
        let columns: BTreeSet<String> =
            shown.iter().flat_map(|(_, series)| labels(series).into_iter()).map(|(name, _)| name).collect();
        let columns: Vec<String> = columns.into_iter().filter(|name| hidden[name] != true).collect();
        if columns.is_empty() {
            self.nothing(svg);
        }
        let wide = (self.width - 2.0 * MARGIN) / f64::from(u32::try_from(columns.len().max(1)).unwrap_or(1));
        let mut x = MARGIN;
        for name in &columns {
            text(svg, x, TOP + 8.0, &format!("fill=\"{GREY}\""), &fitting(name, wide - MARGIN));
            let mut y = TOP + 8.0;
            for (_, series) in shown {
                y += 20.0;
                if y < self.height {
                    let value =
                        labels(series).get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                    text(svg, x, y, "", &fitting(&value, wide - MARGIN));
                }
            }
            x += wide;
        }
        let _ = writeln!(
            svg,
            "<path d=\"M{MARGIN} {y}H{}\" stroke=\"#ddd\"/>",
            self.width - MARGIN,
            y = TOP + 14.0
        );
    }

    fn lines(&self, svg: &mut String, shown: &[(String, Value)]) {
        let all: Vec<(f64, f64)> = shown.iter().flat_map(|(_, series)| points(series)).collect();
        if all.is_empty() {
            return self.nothing(svg);
        }
        let most = all.iter().map(|(_, y)| *y).fold(0.0, f64::max);
        let unit = if self.is_of_time() { unit_of_time(most).0 } else { 1.0 };
        let most = if most > 0.0 { round_up(most / unit) * unit } else { 1.0 };
        let now = all.iter().map(|(x, _)| *x).fold(f64::MIN, f64::max);
        let names = f64::from(u32::try_from(shown.len().min(NAMED).div_ceil(2)).unwrap_or_default());
        let base = self.height - 10.0 - LINE * (names + 1.0);
        let (left, right) = (LEFT, self.width - MARGIN);
        for (share, value) in [(0.0, 0.0), (0.5, most / 2.0), (1.0, most)] {
            let y = base - share * (base - TOP);
            let _ = writeln!(svg, "<path d=\"M{left} {y:.0}H{right}\" stroke=\"#eee\"/>");
            let style = format!("text-anchor=\"end\" fill=\"{GREY}\"");
            text(svg, left - 5.0, y + 4.0, &style, &self.told(value));
        }
        text(svg, left, base + LINE, &format!("fill=\"{GREY}\""), &format!("{BACK} s ago"));
        text(svg, right, base + LINE, &format!("text-anchor=\"end\" fill=\"{GREY}\""), "now");
        for (at, (name, series)) in shown.iter().enumerate() {
            let colour = COLOURS[at % COLOURS.len()];
            let back = f64::from(BACK);
            let place = |(x, y): (f64, f64)| {
                let x = left + ((x - now + back) / back).clamp(0.0, 1.0) * (right - left);
                format!("{x:.0},{:.0}", base - y.max(0.0) / most * (base - TOP))
            };
            let line: Vec<String> = points(series).into_iter().map(place).collect();
            // One that lies on another one has gaps, so that both are seen.
            let gaps = if at == 0 { String::new() } else { format!(" stroke-dasharray=\"6 {}\"", 6 * at) };
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{gaps}/>",
                line.join(" ")
            );
            if let Some((x, y)) = line.last().and_then(|last| last.split_once(',')) {
                let _ = writeln!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"2.5\" fill=\"{colour}\"/>");
            }
            let half = (self.width - 2.0 * MARGIN) / 2.0;
            let row = f64::from(u32::try_from(at / 2).unwrap_or_default());
            let (x, y) = (if at % 2 == 0 { MARGIN } else { MARGIN + half }, base + LINE * (row + 2.0));
            if at < NAMED {
                let more = shown.len() - NAMED.min(shown.len());
                let name = if at + 1 == NAMED && more > 0 {
                    format!("{name}, and {more} more")
                } else {
                    name.clone()
                };
                text(svg, x, y, &format!("fill=\"{colour}\""), &fitting(&name, half - MARGIN));
            }
        }
    }
}
