//! Everything that is written by the program and committed: compared on every run, written by `make gen`.

use std::{fs, path::Path};

use whatsapp_operator::{api, engine, meta};

/// Each generated file with its text, relative to the root.
fn files() -> Vec<(String, String)> {
    let mut files = vec![
        ("docs/reference.md".to_owned(), api::reference()),
        ("docs/conditions.md".to_owned(), engine::reference::conditions()),
        ("docs/errors.md".to_owned(), meta::reference::errors()),
    ];
    for (name, yaml) in api::crds().expect("the types make CRDs") {
        files.push((format!("crds/{name}"), yaml.clone()));
        files.push((format!("charts/whatsapp-operator/files/crds/{name}"), yaml));
    }
    files
}

#[test]
fn committed_files_are_what_the_program_makes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let update = std::env::var_os("UPDATE_GENERATED").is_some();
    let mut stale = Vec::new();
    for (name, text) in files() {
        let path = root.join(&name);
        if update {
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder can be made");
            fs::write(&path, text).expect("a file can be written");
        } else if fs::read_to_string(&path).unwrap_or_default() != text {
            stale.push(name);
        }
    }
    assert!(stale.is_empty(), "stale: {}; run make gen and commit the result", stale.join(", "));
}
