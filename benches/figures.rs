//! Figures of a benchmark: told as they come, then as a table and as JSON.

use std::process::ExitCode;

use serde_json::{Value, json};

/// One figure: what, how much, in what, and the goal it is held against.
pub type Figures = Vec<Value>;

pub fn figure(figures: &mut Figures, scenario: &str, what: &str, value: f64, unit: &str, goal: Option<f64>) {
    eprintln!("  {scenario}: {what} {value:.3} {unit}");
    figures.push(json!({"scenario": scenario, "what": what, "value": value, "unit": unit, "goal": goal,
        "met": goal.map(|goal| value <= goal)}));
}

/// The table, then the same as JSON. Fails where a goal was missed.
pub fn print(figures: &Figures) -> ExitCode {
    print_table(figures);
    println!("{}", serde_json::to_string_pretty(figures).expect("figures are JSON"));
    let missed = figures.iter().filter(|figure| figure["met"] == false).count();
    if missed == 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!("{missed} of {} figures missed their goals", figures.len());
    ExitCode::FAILURE
}

fn print_table(figures: &Figures) {
    println!("| Scenario | What | Measured | Goal | |");
    println!("|---|---|---:|---:|---|");
    for f in figures {
        let goal = f["goal"].as_f64().map_or(String::new(), |goal| format!("≤ {goal}"));
        let met = f["met"].as_bool().map_or("", |met| if met { "met" } else { "missed" });
        let value = f["value"].as_f64().unwrap_or_default();
        let unit = f["unit"].as_str().unwrap_or_default();
        println!(
            "| {} | {} | {value:.2} {unit} | {goal} | {met} |",
            f["scenario"].as_str().unwrap_or_default(),
            f["what"].as_str().unwrap_or_default()
        );
    }
}
