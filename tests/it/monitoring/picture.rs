//! Draws a dashboard as it would stand in Grafana: the same panels at the same places, with what its queries find.

use std::fmt::Write as _;

use serde_json::Value;

use super::prometheus::Prometheus;

/// Size of a cell of the grid, and what is left free in a panel.
const WIDE: f64 = 50.0;
const HIGH: f64 = 30.0;
const MARGIN: f64 = 10.0;
/// How far back lines go, in seconds.
pub const BACK: u32 = 60;
const COLOURS: [&str; 6] = ["#3274d9", "#e0752d", "#299c46", "#a352cc", "#c4162a", "#6e6e6e"];

/// Draws what a dashboard shows now. `fill` puts values in the place of variables.
pub async fn draw(dashboard: &Value, prometheus: &Prometheus, fill: impl Fn(&str) -> String) -> String {
    let panels = dashboard["panels"].as_array().cloned().unwrap_or_default();
    let place = |panel: &Value, key: &str| panel["gridPos"][key].as_f64().unwrap_or_default();
    let bottom = panels.iter().map(|p| place(p, "y") + place(p, "h")).fold(0.0, f64::max) * HIGH;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1200 {bottom}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"1200\" height=\"{bottom}\" fill=\"#f4f5f5\"/>\n"
    );
    for panel in &panels {
        let (x, y) = (place(panel, "x") * WIDE, place(panel, "y") * HIGH);
        let (width, height) = (place(panel, "w") * WIDE - 6.0, place(panel, "h") * HIGH - 6.0);
        let title = escaped(panel["title"].as_str().unwrap_or_default());
        let _ = writeln!(
            svg,
            "<g transform=\"translate({x} {y})\"><rect width=\"{width}\" height=\"{height}\" fill=\"#fff\" stroke=\"#ddd\"/>\
             <text x=\"{MARGIN}\" y=\"17\" font-weight=\"bold\">{title}</text>"
        );
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
        match panel["type"].as_str() {
            Some("timeseries") => lines(&mut svg, &shown, width, height),
            Some("table") => rows(&mut svg, &shown),
            _ => numbers(&mut svg, &shown),
        }
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
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
    if number.fract() == 0.0 { format!("{number}") } else { format!("{number:.2}") }
}

fn numbers(svg: &mut String, shown: &[(String, Value)]) {
    for (at, (name, series)) in shown.iter().enumerate() {
        let value = number(&series["value"]).map_or_else(|| "no data".to_owned(), short);
        let y = 60 + 30 * at;
        let _ = writeln!(
            svg,
            "<text x=\"{MARGIN}\" y=\"{y}\" font-size=\"26\" fill=\"#299c46\">{value}<tspan font-size=\"11\"> {}</tspan></text>",
            escaped(name)
        );
    }
}

fn rows(svg: &mut String, shown: &[(String, Value)]) {
    for (at, (_, series)) in shown.iter().enumerate().take(8) {
        let labels = series["metric"].as_object().into_iter().flatten();
        let hidden = ["__name__", "instance", "job"];
        let cells = labels.filter(|(name, value)| !hidden.contains(&name.as_str()) && *value != "");
        let text: Vec<String> =
            cells.map(|(name, value)| format!("{name}: {}", value.as_str().unwrap_or_default())).collect();
        let _ = writeln!(
            svg,
            "<text x=\"{MARGIN}\" y=\"{}\">{}</text>",
            40 + 18 * at,
            escaped(&text.join("   "))
        );
    }
}

fn lines(svg: &mut String, shown: &[(String, Value)], width: f64, height: f64) {
    let points = |series: &Value| -> Vec<(f64, f64)> {
        let values = series["values"].as_array().into_iter().flatten();
        values.filter_map(|pair| Some((pair[0].as_f64()?, number(pair)?))).collect()
    };
    let all: Vec<(f64, f64)> = shown.iter().flat_map(|(_, series)| points(series)).collect();
    let (from, to) = all.iter().fold((f64::MAX, f64::MIN), |(from, to), (x, _)| (from.min(*x), to.max(*x)));
    let most = all.iter().map(|(_, y)| *y).fold(f64::MIN_POSITIVE, f64::max);
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"17\" text-anchor=\"end\" fill=\"#888\">up to {}</text>",
        width - MARGIN,
        short(most)
    );
    let legend = 14.0 * 4.0;
    let (room, base) = (height - 30.0 - legend, height - legend);
    for (at, (name, series)) in shown.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let place = |(x, y): (f64, f64)| {
            let x = MARGIN + (x - from) / (to - from).max(1.0) * (width - 2.0 * MARGIN);
            format!("{x:.0},{:.0}", base - y.max(0.0) / most * room)
        };
        let line: Vec<String> = points(series).into_iter().map(place).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            line.join(" ")
        );
        if at < 8 {
            let (x, y) = (
                MARGIN + f64::from(u8::from(at >= 4)) * width / 2.0,
                base + 13.0 * f64::from(u32::try_from(at % 4 + 1).unwrap_or(1)),
            );
            let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">{}</text>", escaped(name));
        }
    }
}
