//! Everything that is written by the program and committed: compared on every run, written by `make gen`.

use whatsapp_operator::engine;
use whatsapp_operator::{api, meta};

use crate::kept;

/// Each generated file with its text, relative to the root.
fn files() -> Vec<(String, String)> {
    let mut files = vec![
        ("docs/reference.md".to_owned(), api::reference()),
        ("docs/conditions.md".to_owned(), engine::reference::conditions()),
        ("docs/errors.md".to_owned(), meta::reference::errors()),
    ];
    for (name, yaml) in api::crds().expect("the types make CRDs") {
        files.push((format!("crds/{name}"), yaml.clone()));
        files.push((format!("deploy/kustomize/crds/{name}"), yaml.clone()));
        files.push((format!("charts/whatsapp-operator/files/crds/{name}"), yaml));
    }
    files
}

#[test]
fn committed_files_are_what_the_program_makes() {
    let stale: Vec<String> = files().iter().filter_map(|(name, text)| kept::difference(name, text)).collect();
    assert!(stale.is_empty(), "stale, run make gen and commit the result:\n{}", stale.join("\n"));
}
