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

#[test]
fn what_became_a_pipe_since_it_was_looked_at_keeps_nobody_waiting() {
    let dir = folder(&["a.yaml"]);
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // A link turns from a file to a pipe and back, as fast as it can be renamed.
    let (link, done) = (dir.path().join("link.yaml"), std::sync::atomic::AtomicBool::new(false));
    symlink(dir.path().join("a.yaml"), &link).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let next = dir.path().join("next");
            let mut targets = ["pipe", "a.yaml"].iter().cycle();
            while !done.load(std::sync::atomic::Ordering::Acquire) {
                symlink(dir.path().join(targets.next().unwrap()), &next).unwrap();
                fs::rename(&next, &link).unwrap();
            }
        });
        let is_file = || open(&link).is_ok_and(|file| file.metadata().is_ok_and(|seen| seen.is_file()));
        let files = (0..20_000).filter(|_| is_file()).count();
        done.store(true, std::sync::atomic::Ordering::Release);
        assert!(files > 0);
    });
}

#[test]
fn only_what_is_open_already_is_handed_over_and_nothing_beside_it() {
    for (path, expected) in [
        ("/dev/fd/3", true),
        ("/proc/self/fd/63", true),
        ("/dev/stdin", true),
        ("/dev/fd/../../../dev/tty", false),
        ("/dev/fd", false),
        ("/dev/fd/3/..", false),
        ("/proc/self/fd/../../1/environ", false),
        ("/dev/stdin/../zero", false),
    ] {
        assert_eq!(is_handed_over(Path::new(path)), expected, "{path}");
    }
    let error = open(Path::new("/dev/fd/../../../dev/zero")).unwrap_err();
    assert_eq!(error.to_string(), "it is a device, and no file");
    let named = find(Path::new("/dev/fd/../../../dev/zero"));
    assert_eq!((named.files.len(), named.errors.len()), (0, 1));
}

#[test]
fn of_a_kind_a_thousand_are_told_and_that_there_are_more() {
    let dir = folder(&["good.yaml"]);
    for n in 0..1_100 {
        symlink("nowhere", dir.path().join(format!("broken-{n:04}.yaml"))).unwrap();
        symlink("/dev/null", dir.path().join(format!("device-{n:04}.yaml"))).unwrap();
    }
    let (files, errors, notes) = found(&dir);
    assert_eq!((files.len(), errors.len(), notes.len()), (1, 1_001, 1_001));
    for last in [errors.last(), notes.last()] {
        assert!(last.unwrap().ends_with("more than 1000 of this kind, and the rest is not told"), "{last:?}");
    }
}

#[test]
fn what_all_entries_have_in_memory_is_bounded_whether_they_are_wanted_or_not() {
    let dir = folder(&["a/one.txt", "b/two.yaml", "c/three.yaml"]);
    let entry = ENTRY + dir.path().join("a").as_os_str().len();
    let mut walk = Walk { bytes: MOST_BYTES - 4 * entry, ..Walk::default() };
    walk.folder(dir.path(), &fs::metadata(dir.path()).unwrap(), 0);
    assert_eq!((walk.found.files.len(), walk.found.errors.len()), (0, 1), "and it is told once");
    assert!(walk.found.errors[0].message.contains("more than is looked at"), "{:?}", walk.found.errors);
    let mut walk = Walk { bytes: MOST_BYTES - 8 * entry, ..Walk::default() };
    walk.folder(dir.path(), &fs::metadata(dir.path()).unwrap(), 0);
    assert_eq!((walk.found.files.len(), walk.found.errors.len()), (2, 0));
}
