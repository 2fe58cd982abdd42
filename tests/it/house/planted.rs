//! The rules on small trees that break them.

use std::collections::BTreeMap;

use super::{
    graph::Graph,
    layer::{self, Allowed, Row},
};

const TABLES: &str = "
| Module | Holds | May use of ours |
|---|---|---|
| `engine` | decisions | nothing |
| `meta` | the Graph API | `engine` |
| `run` | passes | `engine`, `meta::port` |
| `cli` | commands | all but `run` |

| Layer of the engine | Holds |
|---|---|
| `assess` | meaning |
| `look`, `plan` | what is next |
| `value` | words |
";

/// A tree of these files; `lib.rs` declares what lies beside it.
fn tree(files: &[(&str, &str)]) -> Graph {
    let mut sources: BTreeMap<String, String> =
        files.iter().map(|(path, text)| (format!("src/{path}"), (*text).to_owned())).collect();
    sources.entry("src/lib.rs".into()).or_insert_with(|| {
        let mut names: Vec<&str> =
            files.iter().map(|(path, _)| path.split(['/', '.']).next().unwrap()).collect();
        names.dedup();
        names.iter().map(|name| format!("pub mod {name};\n")).collect()
    });
    Graph::of(&sources)
}

/// Every tie between files, as `from -> to: name`.
fn ties(files: &[(&str, &str)]) -> Vec<String> {
    let graph = tree(files);
    let short = |file: &str| file.trim_start_matches("src/").to_owned();
    let shown = graph.uses.iter().filter(|tie| !tie.is_module);
    shown.map(|tie| format!("{} -> {}: {}", short(&tie.from), short(&tie.to), tie.name)).collect()
}

/// What ties `a.rs` to `b.rs` or what lies under it, when this is all of `a.rs`.
fn ties_of(a: &str) -> Vec<String> {
    let b = "pub mod inner;\npub mod deep { pub fn down() {} }\npub use inner::{Shown, shown as told};\n\
             pub struct Thing;\npub fn act() {}\npub trait Able {}\nmacro_rules! made { () => { pub struct Made; } }\n\
             made!();";
    let inner = "pub struct Shown;\npub fn shown() {}\npub enum Kind { One }";
    ties(&[("a.rs", a), ("b.rs", b), ("b/inner.rs", inner)])
}

#[test]
fn every_way_to_name_something_is_seen() {
    let seen = [
        ("use crate::b::Thing;", "b.rs: Thing"),
        ("use super::b::Thing;", "b.rs: Thing"),
        ("use crate::{b::{self, Thing}};", "b.rs: Thing"),
        ("use crate::b::Thing as Other;", "b.rs: Thing"),
        ("use crate::b::Able as _;", "b.rs: Able"),
        ("use crate::b as c;\nfn f() { c::act() }", "b.rs: act"),
        ("use super::b;\nfn f(_: b::Thing) {}", "b.rs: Thing"),
        ("use super::*;\nfn f(_: b::Thing) {}", "b.rs: Thing"),
        ("use crate::b::*;\nfn f(_: Thing) {}", "b.rs: Thing"),
        ("use crate::b::*;\nfn f() { [1].map(act) }", "b.rs: act"),
        ("fn f() { crate::b::act() }", "b.rs: act"),
        ("fn f() { super::b::deep::down() }", "b.rs: down"),
        ("fn f() { use crate::b; b::act() }", "b.rs: act"),
        ("mod within { fn f() { super::super::b::act() } }", "b.rs: act"),
        ("fn f() { println!(\"{}\", crate::b::act()) }", "b.rs: act"),
        ("use crate::b;\nfn f() { vec![1, { b::act(); 2 }]; }", "b.rs: act"),
        ("#[serde(with = \"crate::b::act\")]\nstruct A;", "b.rs: act"),
        ("#[arg(value_parser = crate::b::act)]\nstruct A;", "b.rs: act"),
        ("impl crate::b::Able for A {}\nstruct A;", "b.rs: Able"),
        ("struct A(Vec<Option<crate::b::Thing>>);", "b.rs: Thing"),
        ("use crate::b::Made;", "b.rs: Made"),
        // Shown again by another than it is in.
        ("use crate::b::Shown;", "b/inner.rs: Shown"),
        ("use crate::b::told;", "b/inner.rs: shown"),
        ("use crate::b::*;\nfn f() { told() }", "b/inner.rs: shown"),
        ("use crate::b::inner::Kind::*;", "b/inner.rs: Kind"),
        ("fn f() { crate::b::inner::Kind::One; }", "b/inner.rs: Kind"),
        ("pub use crate::b::Shown;", "b/inner.rs: Shown"),
    ];
    for (a, to) in seen {
        assert_eq!(ties_of(a), [format!("a.rs -> {to}")], "{a}");
    }
}

#[test]
fn what_is_named_and_not_used_ties_nothing() {
    let unseen = [
        "",
        "//! Like [`crate::b::act`].",
        "use crate::b;",
        "#[cfg(test)]\nuse crate::b::Thing;",
        "#[cfg(test)]\nmod tests { use crate::b::Thing; }",
        "#[cfg(test)]\nfn f() { crate::b::act() }",
        "struct A;\nimpl A { #[cfg(test)] fn f() { crate::b::act() } }",
        "const A: &str = \"crate::b::act\";",
        // A variable, a field and a method that are called as something there.
        "use crate::b::*;\nfn f(act: u8) -> u8 { act }",
        "use crate::b::*;\nfn f(x: X) { x.act; x.act(); format!(\"{}\", x.act()); }",
        "use std::b::Thing;",
    ];
    for a in unseen {
        assert!(ties_of(a).is_empty(), "{a}: {:?}", ties_of(a));
    }
}

#[test]
fn a_parent_may_declare_and_show_its_children() {
    let child = "use super::Word;\npub fn act(_: Word) {}";
    let tied = |parent: &str| tree(&[("a/mod.rs", parent), ("a/child.rs", child)]).circles();
    assert!(tied("mod child;\npub use child::act;\npub struct Word;").is_empty());
    assert!(tied("pub mod child;\npub(crate) use self::child::*;\npub struct Word;").is_empty());
    let used = [
        "mod child;\npub struct Word;\nfn f() { child::act(Word) }",
        "mod child;\nuse child::act;\npub struct Word;",
        "mod child;\npub use child::act;\npub struct Word;\nfn f() { act(Word) }",
        "pub mod child;\npub use child::*;\npub struct Word;\nfn f() { act(Word) }",
    ];
    for parent in used {
        assert_eq!(
            tied(parent),
            [
                "2 files use each other in a circle: src/a/child.rs uses `Word` of src/a/mod.rs; src/a/mod.rs uses `act` \
              of src/a/child.rs. Move `Word` to src/a/child.rs, or to a file that both may use."
            ],
            "{parent}"
        );
    }
}

#[test]
fn a_circle_is_told_with_the_names_that_tie_it() {
    let files = [
        ("a.rs", "use crate::b::{One, Two as Three};\npub struct Back;"),
        ("b.rs", "pub struct One;\npub struct Two;\nfn f() { super::c::go(1) }"),
        ("c.rs", "use crate::a::*;\npub fn go(_: u8) -> (Back, crate::d::Fine) { todo() }"),
        ("d.rs", "pub struct Fine;"),
    ];
    assert_eq!(
        tree(&files).circles(),
        [
            "3 files use each other in a circle: src/a.rs uses `One`, `Two` of src/b.rs; src/b.rs uses `go` of src/c.rs; \
          src/c.rs uses `Back` of src/a.rs. Move `go` to src/b.rs, or to a file that both may use."
        ]
    );
    assert!(tree(&files[1..]).circles().is_empty(), "without one of its files it is no circle");
}

#[test]
fn a_circle_through_what_another_file_shows_is_found() {
    let circles = tree(&[
        ("a/mod.rs", "mod one;\nmod two;\npub use one::First;\npub use two::second;"),
        ("a/one.rs", "pub struct First;\nfn f() { super::second() }"),
        ("a/two.rs", "use super::First;\npub fn second() {}"),
    ])
    .circles();
    assert_eq!(
        circles,
        [
            "2 files use each other in a circle: src/a/one.rs uses `second` of src/a/two.rs; src/a/two.rs uses `First` of \
          src/a/one.rs. Move `second` to src/a/one.rs, or to a file that both may use."
        ]
    );
}

#[test]
fn a_circle_through_a_method_apart_from_its_type_is_found() {
    let circles = tree(&[
        ("a.rs", "pub struct Word;\nfn f(word: &Word) { word.reads_well() }"),
        ("b.rs", "use crate::a::Word;\nimpl Word { pub fn reads_well(&self) {} }"),
    ])
    .circles();
    assert_eq!(circles.len(), 1, "{circles:?}");
    assert!(circles[0].contains("src/a.rs uses `reads_well` of src/b.rs"), "{circles:?}");
}

#[test]
fn every_circle_is_told() {
    let circles = tree(&[
        ("a.rs", "use crate::b::B;\nuse crate::c::C;\npub struct A;"),
        ("b.rs", "use crate::a::A;\npub struct B;"),
        ("c.rs", "use crate::a::A;\npub struct C;"),
        ("d.rs", "pub fn d() { crate::e::e() }"),
        ("e.rs", "pub fn e() { crate::d::d() }"),
    ])
    .circles();
    assert_eq!(circles.len(), 3, "{circles:#?}");
}

fn engine(files: &[(&str, &str)]) -> Vec<String> {
    let facade =
        "pub mod assess;\npub mod look;\npub mod plan;\npub mod value;\npub use plan::plan;\npub struct Own;";
    let mut all = vec![
        ("engine/mod.rs", facade),
        ("engine/assess.rs", "pub fn assess() {}"),
        ("engine/look.rs", "pub fn look() {}"),
        ("engine/plan/mod.rs", "mod step;\npub use step::plan;"),
        ("engine/plan/step.rs", "pub fn plan() {}"),
        ("engine/value.rs", "pub struct Word;"),
    ];
    for (path, text) in files {
        all.retain(|(known, _)| known != path);
        all.push((path, text));
    }
    all.sort_unstable();
    layer::upward(&tree(&all), &layer::layers(TABLES))
}

#[test]
fn a_layer_may_use_itself_and_those_below() {
    assert!(engine(&[]).is_empty());
    let down = [
        ("engine/assess.rs", "use super::{look::look, plan, value::Word};\nfn f() { plan(); }"),
        ("engine/look.rs", "use crate::engine::{self, value};\npub fn look() { engine::value::Word; }"),
        ("engine/plan/step.rs", "use crate::engine::{value::Word, look};\npub fn plan() { look::look() }"),
        (
            "engine/mod.rs",
            "pub mod assess;\npub mod look;\npub mod plan;\npub mod value;\nfn f() { assess::assess() }",
        ),
    ];
    for file in down {
        assert_eq!(engine(&[file]), Vec::<String>::new(), "{file:?}");
    }
}

#[test]
fn a_use_upwards_is_found_however_it_is_written() {
    let up = [
        "use crate::engine::plan::plan;",
        "use crate::engine::plan;\nfn f() { plan() }",
        "use super::{look::{self as l}, plan};\nfn f() { plan() }",
        "use super::plan as other;\nfn f() { other() }",
        "use super::plan::*;\nfn f() { plan() }",
        "use super::*;\nfn f() { plan() }",
        "fn f() { super::plan() }",
        "fn f() { println!(\"{:?}\", crate::engine::plan::plan()) }",
    ];
    for value in up {
        let found = engine(&[("engine/value.rs", value)]);
        let told = "src/engine/value.rs uses `plan` of src/engine/plan/step.rs, and value is below look and plan: move \
                    `plan` to value or lower, or what uses it to look and plan or higher";
        assert!(found.iter().any(|found| found == told), "{value}: {found:#?}");
    }
    assert!(
        engine(&[("engine/value.rs", "#[cfg(test)]\nmod tests { use super::super::plan::plan; }")])
            .is_empty()
    );
}

#[test]
fn nothing_of_the_engine_uses_its_facade_and_every_file_has_a_layer() {
    assert_eq!(
        engine(&[("engine/value.rs", "use super::Own;")]),
        [
            "src/engine/value.rs uses `Own` of src/engine/mod.rs, which is above all layers: move `Own` to the layer of what \
          uses it, or lower"
        ]
    );
    let facade = "pub mod assess;\npub mod look;\npub mod plan;\npub mod value;\nmod stray;\n#[cfg(test)]\nmod fixture;";
    assert_eq!(
        engine(&[
            ("engine/mod.rs", facade),
            ("engine/stray.rs", ""),
            ("engine/fixture.rs", "use super::plan::plan;")
        ]),
        ["src/engine/stray.rs is in no layer of the engine: move it to one of value, look and plan, assess"]
    );
}

fn outside(files: &[(&str, &str)]) -> Vec<String> {
    let mut all = vec![
        ("cli.rs", ""),
        ("engine.rs", "pub struct Word;"),
        ("meta/client.rs", "pub struct Client;\npub struct Refusal;"),
        ("meta/mod.rs", "pub mod client;\npub mod port;"),
        ("meta/port.rs", "pub use super::client::Refusal;\npub trait Graph {}"),
        ("run.rs", "pub fn run() {}"),
    ];
    for (path, text) in files {
        all.retain(|(known, _)| known != path);
        all.push((path, text));
    }
    all.sort_unstable();
    layer::outside(&tree(&all), &layer::modules(TABLES))
}

#[test]
fn modules_use_what_the_table_allows_and_no_more() {
    assert!(outside(&[]).is_empty());
    let fine = [
        ("run.rs", "use crate::{engine::Word, meta::port::{Graph, Refusal}};\npub fn run() {}"),
        ("cli.rs", "use crate::meta::client::Client;\nfn f() { crate::engine::Word; }"),
        ("meta/client.rs", "use super::super::engine as e;\npub type Client = e::Word;\npub struct Refusal;"),
    ];
    for file in fine {
        assert_eq!(outside(&[file]), Vec::<String>::new(), "{file:?}");
    }
    let found = outside(&[("run.rs", "pub fn run() { super::meta::client::Client; }")]);
    assert_eq!(
        found,
        [
            "src/run.rs uses `Client` of `meta::client` (src/meta/client.rs), which the table does not allow `run`: move \
          what uses it to a module that may, or `Client` to one that `run` may use"
        ]
    );
    let wrong = [
        ("engine.rs", "use crate::meta::port::Graph;"),
        ("engine.rs", "use super::run;\npub struct Word;"),
        ("meta/client.rs", "pub struct Client;\npub struct Refusal;\nfn f() { super::super::cli::x() }"),
        ("cli.rs", "use crate::run::run;"),
        ("cli.rs", "use crate as all;\nfn f() { all::run::run() }"),
    ];
    for file in wrong {
        assert_eq!(outside(&[file]).len(), 1, "{file:?}: {:?}", outside(&[file]));
    }
}

#[test]
fn the_table_names_what_is_there_and_all_that_is_there() {
    assert_eq!(outside(&[("more.rs", "")]), ["src/more.rs is in no row of the table: give `more` one"]);
    assert_eq!(
        outside(&[("meta/mod.rs", "pub mod client;"), ("meta/port.rs", "")]),
        ["the table lets `run` use `meta::port`, and no file is that module"]
    );
    // A module that is shown under a shorter name than its own is the same module.
    let moved = [
        ("meta/mod.rs", "pub mod client;\nmod inner;\npub use inner::port;"),
        ("meta/inner/mod.rs", "pub mod port;"),
        ("meta/inner/port.rs", "pub trait Graph {}"),
        ("meta/port.rs", ""),
        ("run.rs", "use crate::meta::port::Graph;\npub fn run() {}"),
    ];
    assert!(outside(&moved).is_empty(), "{:?}", outside(&moved));
}

#[test]
fn the_tables_are_read_as_they_are_printed() {
    let modules = layer::modules(TABLES);
    assert_eq!(modules[0], row_of("engine", Allowed::Only(vec![])));
    assert_eq!(modules[2], row_of("run", Allowed::Only(vec!["engine".into(), "meta::port".into()])));
    assert_eq!(modules[3], row_of("cli", Allowed::AllBut(vec!["run".into()])));
    assert_eq!(layer::layers(TABLES), [vec!["value"], vec!["look", "plan"], vec!["assess"]]);
}

#[test]
fn the_binary_is_a_crate_of_its_own() {
    let main = "mod wire;\nuse whatsapp_operator::engine::Word;\nfn main() { wire::start() }";
    let graph = tree(&[
        ("lib.rs", "pub mod engine;"),
        ("engine.rs", "pub struct Word;"),
        ("main.rs", main),
        ("wire.rs", "pub fn start() {}"),
    ]);
    let table =
        [row_of("engine", Allowed::Only(vec![])), row_of("main", Allowed::AllBut(vec!["engine".into()]))];
    let found = layer::outside(&graph, &table);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("src/main.rs uses `Word` of `engine`"), "{found:?}");
}

fn row_of(module: &str, allowed: Allowed) -> Row {
    Row { module: module.into(), allowed }
}

#[test]
fn a_source_that_no_module_declares_is_found_and_those_for_tests_are_told_apart() {
    let lib = "mod a;\n#[cfg(test)]\nmod fixture;";
    let graph = tree(&[
        ("lib.rs", lib),
        ("a.rs", "#[cfg(test)]\n#[path = \"a_tests.rs\"]\nmod tests;"),
        ("a_tests.rs", ""),
        ("fixture.rs", ""),
        ("lost.rs", ""),
    ]);
    assert!(graph.apart.iter().eq(["src/lost.rs"]));
    assert!(graph.tests.iter().eq(["src/a_tests.rs", "src/fixture.rs"]));
    assert!(graph.files.keys().eq(["src/a.rs", "src/lib.rs"]));
}
