#![allow(clippy::unwrap_used)]

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    process::Command,
};

use tempfile::TempDir;

use super::*;

/// A folder with these files in it.
fn folder(files: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let file = dir.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "kind: A\n").unwrap();
    }
    dir
}

/// What is found, as seen from the folder.
fn found(dir: &TempDir) -> (Vec<String>, Vec<String>, Vec<String>) {
    let Found { files, errors, notes } = find(dir.path());
    let short = |path: &str| path.strip_prefix(&format!("{}/", dir.path().display())).unwrap().to_owned();
    let said = |all: Vec<SourceError>| -> Vec<String> {
        all.iter().map(|one| format!("{} {}", short(&one.file), one.message)).collect()
    };
    (files.iter().map(|file| short(file.to_str().unwrap())).collect(), said(errors), said(notes))
}

#[test]
fn manifests_are_found_in_the_order_of_their_names_and_nothing_else() {
    let dir = folder(&["b.yaml", "a.yml", "c/d.json", "c/e.txt", ".hidden.yaml"]);
    assert_eq!(found(&dir).0, [".hidden.yaml", "a.yml", "b.yaml", "c/d.json"]);
}

#[test]
fn what_would_keep_a_reader_waiting_is_passed_over_with_a_note() {
    let dir = folder(&["a.yaml"]);
    let made = Command::new("mkfifo").arg(dir.path().join("pipe.yaml")).status().unwrap();
    assert!(made.success());
    let _socket = UnixListener::bind(dir.path().join("socket.json")).unwrap();
    symlink("/dev/zero", dir.path().join("zero.yml")).unwrap();
    let (files, errors, notes) = found(&dir);
    assert_eq!((files, errors), (vec!["a.yaml".to_owned()], vec![]));
    assert_eq!(
        notes,
        [
            "pipe.yaml is a pipe, and is skipped",
            "socket.json is a socket, and is skipped",
            "zero.yml is a device, and is skipped",
        ]
    );
    let named = find(&dir.path().join("pipe.yaml"));
    assert_eq!((named.files.len(), named.errors[0].message.as_str()), (0, "is a pipe, and no file"));
}

#[test]
fn a_link_that_leads_back_is_followed_once() {
    let dir = folder(&["a/b/one.yaml"]);
    symlink(dir.path(), dir.path().join("a/b/back")).unwrap();
    let (files, errors, notes) = found(&dir);
    assert_eq!((files, errors), (vec!["a/b/one.yaml".to_owned()], vec![]));
    assert_eq!(notes, ["a/b/back leads to a folder that is read already, and is skipped"]);
}

#[test]
fn a_mounted_config_map_is_read_once() {
    let dir = folder(&["..2026_01_01_00_00_00.123/one.yaml", "..2026_01_01_00_00_00.123/two.yaml"]);
    symlink("..2026_01_01_00_00_00.123", dir.path().join("..data")).unwrap();
    for name in ["one.yaml", "two.yaml"] {
        symlink(format!("..data/{name}"), dir.path().join(name)).unwrap();
    }
    assert_eq!(found(&dir), (vec!["one.yaml".to_owned(), "two.yaml".to_owned()], vec![], vec![]));
}

#[test]
fn what_cannot_be_read_is_an_error_beside_what_can() {
    let dir = folder(&["good.yaml"]);
    symlink("nowhere", dir.path().join("broken.yaml")).unwrap();
    symlink("circle.yaml", dir.path().join("circle.yaml")).unwrap();
    let (files, errors, _) = found(&dir);
    assert_eq!(files, ["good.yaml"]);
    assert_eq!(errors[0], "broken.yaml is a link to nothing");
    assert!(errors[1].starts_with("circle.yaml cannot be read: "), "{errors:?}");
}

#[test]
fn folders_that_are_too_deep_are_told() {
    let deep = "d/".repeat(MOST_DEPTH + 1) + "one.yaml";
    let dir = folder(&["top.yaml", &deep]);
    let (files, errors, _) = found(&dir);
    assert_eq!((files, errors.len()), (vec!["top.yaml".to_owned()], 1));
    assert!(errors[0].ends_with("is more than 64 folders deep and is not read"), "{errors:?}");
}
