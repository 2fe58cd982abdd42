//! The tables of `ARCHITECTURE.md`, and what a graph has against them.

use super::graph::Graph;

/// What a module may use of the others.
#[derive(Debug, PartialEq, Eq)]
pub enum Allowed {
    /// These, and what lies under them.
    Only(Vec<String>),
    AllBut(Vec<String>),
}

/// A row of the table of modules.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    pub module: String,
    pub allowed: Allowed,
}

/// The rows of the table whose head opens with this word.
fn rows<'a>(text: &'a str, head: &str) -> Vec<Vec<&'a str>> {
    let start = format!("| {head} |");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .skip_while(|line| !line.starts_with(&start))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(!rows.is_empty(), "no table opens with {head:?}");
    rows
}

/// The words in code style.
fn words(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Who may use whom.
pub fn modules(text: &str) -> Vec<Row> {
    let row = |cells: Vec<&str>| {
        let [module, _, uses] = &cells[..] else { panic!("three cells: {cells:?}") };
        let named = words(uses);
        let allowed = match (uses.starts_with("all but "), *uses == "nothing", named.is_empty()) {
            (true, false, false) => Allowed::AllBut(named),
            (false, true, true) | (false, false, false) => Allowed::Only(named),
            _ => panic!("{uses:?}: say nothing, or all but some, or which"),
        };
        Row { module: words(module).concat(), allowed }
    };
    rows(text, "Module").into_iter().map(row).collect()
}

/// The layers of the engine, the lowest first; those of one row have the same height.
pub fn layers(text: &str) -> Vec<Vec<String>> {
    let mut layers: Vec<_> = rows(text, "Layer of the engine").iter().map(|cells| words(cells[0])).collect();
    layers.reverse();
    layers
}

/// Uses between modules that the table does not allow.
pub fn outside(graph: &Graph, table: &[Row]) -> Vec<String> {
    let mut found = Vec::new();
    let outer = |path: &str| path.split("::").next().unwrap_or_default().to_owned();
    for row in table {
        if row.module != "main" && graph.file_of(&row.module).is_none() {
            found.push(format!("the table has `{}`, and no file is that module", row.module));
        }
        let (Allowed::Only(named) | Allowed::AllBut(named)) = &row.allowed;
        for path in named.iter().filter(|path| graph.file_of(path).is_none()) {
            found.push(format!("the table lets `{}` use `{path}`, and no file is that module", row.module));
        }
    }
    for (file, module) in &graph.files {
        if !module.is_empty() && !table.iter().any(|row| row.module == outer(module)) {
            found.push(format!("{file} is in no row of the table: give `{}` one", outer(module)));
        }
    }
    for tie in &graph.uses {
        let from = outer(&graph.files[&tie.from]);
        let Some(row) = table.iter().find(|row| row.module == from) else { continue };
        let is_under = |path: &String| {
            // By its name, and by its file: a module may be shown under a shorter name than its own.
            let named = |asked: &str| asked == path || asked.starts_with(&format!("{path}::"));
            let own = graph.file_of(path).and_then(|file| graph.files.get(file));
            named(&tie.asked)
                || own.is_some_and(|own| tie.asked == *own || tie.asked.starts_with(&format!("{own}::")))
        };
        let is_allowed = outer(&tie.asked) == from
            || match &row.allowed {
                Allowed::Only(named) => named.iter().any(is_under),
                Allowed::AllBut(named) => !named.iter().any(is_under),
            };
        if !is_allowed {
            found.push(format!(
                "{} uses `{}` of `{}` ({}), which the table does not allow `{from}`: move what uses it to a module \
                 that may, or `{}` to one that `{from}` may use",
                tie.from, tie.name, tie.asked, tie.to, tie.name
            ));
        }
    }
    found
}

/// Uses inside of the engine that go up, and files in no layer.
pub fn upward(graph: &Graph, layers: &[Vec<String>]) -> Vec<String> {
    const ENGINE: &str = "src/engine/";
    const FACADE: &str = "src/engine/mod.rs";
    let height = |file: &str| {
        let inner = file.strip_prefix(ENGINE)?;
        let name = inner.split('/').next()?.trim_end_matches(".rs");
        layers.iter().position(|row| row.iter().any(|layer| layer == name))
    };
    let name = |height: usize| layers[height].join(" and ");
    let is_inside = |file: &str| file.starts_with(ENGINE) && file != FACADE;
    let mut found = Vec::new();
    for file in graph.files.keys().filter(|file| is_inside(file) && height(file).is_none()) {
        let all: Vec<String> = (0..layers.len()).map(name).collect();
        found.push(format!("{file} is in no layer of the engine: move it to one of {}", all.join(", ")));
    }
    for tie in graph.uses.iter().filter(|tie| is_inside(&tie.from) && tie.to.starts_with(ENGINE)) {
        if tie.to == FACADE && !tie.is_module {
            found.push(format!(
                "{} uses `{}` of {FACADE}, which is above all layers: move `{}` to the layer of what uses it, or lower",
                tie.from, tie.name, tie.name
            ));
        } else if let (Some(from), Some(to)) = (height(&tie.from), height(&tie.to))
            && from < to
        {
            let (from, to) = (name(from), name(to));
            found.push(format!(
                "{} uses `{}` of {}, and {from} is below {to}: move `{}` to {from} or lower, or what uses it to {to} \
                 or higher",
                tie.from, tie.name, tie.to, tie.name
            ));
        }
    }
    found
}
