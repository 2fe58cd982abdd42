use serde_json::json;

use super::*;

fn one(text: &str) -> Document {
    let source = parse("t.yaml", text);
    assert_eq!(source.errors, []);
    source.documents.into_iter().next().expect("one document")
}

#[test]
fn quotes_and_blocks_make_strings() {
    let document = one("a: \"+5511912345678\"\nb: 'no'\nc: !!str 12\nd: |\n  7\n");
    assert_eq!(document.root.json(), json!({"a": "+5511912345678", "b": "no", "c": "12", "d": "7\n"}));
}

#[test]
fn every_value_knows_its_line_and_column() {
    let document = one("# a comment\nspec:\n  access:\n  - namespaces: [a, 7]\n");
    assert_eq!(document.position("spec.access[0].namespaces[1]"), Position { line: 4, column: 21 });
    assert_eq!(document.position("spec.access[0].missing"), document.position("spec.access[0]"));
}

#[test]
fn documents_without_content_are_skipped() {
    let source = parse("t.yaml", "---\n# nothing\n---\nkind: A\n---\nkind: B\n");
    assert_eq!(source.documents.iter().map(Document::kind).collect::<Vec<_>>(), ["A", "B"]);
}

#[test]
fn aliases_and_merges_are_resolved() {
    let document = one("base: &b {x: 1, y2: 2}\nother: {<<: *b, x: 3}\n");
    assert_eq!(document.root.json()["other"], json!({"x": 3, "y2": 2}));
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for n in 1..9 {
        let list = vec![format!("*a{}", n - 1); 10].join(",");
        text.push_str(&format!("a{n}: &a{n} [{list}]\n"));
    }
    let source = parse("t.yaml", &text);
    assert!(source.errors[0].message.contains("values"), "{:?}", source.errors);
}

#[test]
fn aliases_of_long_texts_or_in_many_documents_are_refused_before_they_are_resolved() {
    let long = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(1_000_000), vec!["*a"; 4_000].join(","));
    let list = vec!["x"; 900].join(",");
    let many = format!("a: &a [{list}]\nb: [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n---\n").repeat(1_000);
    for text in [long, many] {
        let source = parse("t.yaml", &text);
        assert_eq!(source.errors.len(), 1);
        assert!(source.errors[0].message.contains("aliases that stand for more than"), "{:?}", source.errors);
        assert!(source.documents.len() < 20, "{}", source.documents.len());
    }
    let usual = "a: &a [x]\nb: *a\nc: {<<: {d: *a}, d: 1}\n---\n".repeat(1_000);
    assert_eq!(parse("t.yaml", &usual).errors, []);
}

#[test]
fn broken_yaml_is_an_error_with_a_place() {
    for (text, line) in [("a: [1, 2\nb: 3\n", 2), ("a: 1\na: 2\n", 2), ("a: \"x\n", 1), ("a:\n\t- b\n", 2)] {
        let source = parse("t.yaml", text);
        assert_eq!(source.errors.len(), 1, "{text}");
        assert!(source.errors[0].at.line >= line, "{text}: {}", source.errors[0]);
    }
}

#[test]
fn a_list_is_as_many_documents() {
    let source = parse("t.yaml", "apiVersion: v1\nkind: List\nitems:\n- kind: A\n- kind: B\n");
    assert_eq!(source.documents.iter().map(Document::kind).collect::<Vec<_>>(), ["A", "B"]);
}

#[test]
fn lists_in_lists_and_lists_of_one_kind_are_flattened() {
    let inner =
        "{apiVersion: v1, kind: List, items: [{kind: A}, {apiVersion: v1, kind: List, items: [{kind: B}]}]}";
    let of_one = "{apiVersion: a.example/v1, kind: ThingList, items: [{metadata: {name: x}}, {kind: C}]}";
    let source = parse("t.yaml", &format!("{inner}\n---\n{of_one}\n"));
    assert_eq!(source.errors, []);
    let found: Vec<_> = source.documents.iter().map(|d| (d.api_version(), d.kind())).collect();
    assert_eq!(found, [("", "A"), ("", "B"), ("a.example/v1", "Thing"), ("a.example/v1", "C")]);
}

#[test]
fn what_kubectl_does_not_read_is_an_error() {
    for (text, line, words) in [
        ("kind: A\n--- {kind: B}\n", 2, "line of its own"),
        ("--- kind: A\n", 1, "line of its own"),
        ("kind: A\nb: .inf\n", 2, "in quotes"),
        ("kind: A\nb: [-.Inf]\n", 2, "in quotes"),
        ("kind: .NaN\n", 1, "in quotes"),
    ] {
        let source = parse("t.yaml", text);
        let told = source.errors.iter().any(|e| e.at.line == line && e.remedy.contains(words));
        assert!(told, "{text}: {:?}", source.errors);
    }
    for text in ["kind: A\n--- # a comment\nkind: B\n", "kind: \".inf\"\n", "kind: A\n---  \r\nkind: B\n"] {
        assert_eq!(parse("t.yaml", text).errors, [], "{text}");
    }
}

#[test]
fn a_secret_is_readable_and_its_error_silent() {
    let document = one("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {token: hunter2}\n");
    let secret: k8s_openapi::api::core::v1::Secret = document.parse().expect("a Secret");
    assert_eq!(secret.string_data.expect("data")["token"], "hunter2");
    let document = one("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: hunter2\n");
    let error = document.parse::<k8s_openapi::api::core::v1::Secret>().expect_err("no map");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn files_are_read_in_the_order_of_their_names_and_what_is_too_large_or_gone_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    for n in 0..300 {
        std::fs::write(dir.path().join(format!("{n:03}.yaml")), format!("kind: A{n}\n")).expect("a file");
    }
    std::fs::write(dir.path().join("large.yaml"), vec![b'#'; 4 * 1024 * 1024]).expect("a file");
    let source = read(&[dir.path().to_owned()]);
    let kinds: Vec<_> = source.documents.iter().map(|document| document.kind().to_owned()).collect();
    assert_eq!(kinds, (0..300).map(|n| format!("A{n}")).collect::<Vec<_>>());
    let told: Vec<_> = source.errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(told, ["is larger than 3 MiB"]);

    let gone = read_file(&dir.path().join("gone.yaml"), 1);
    assert_eq!((gone.bytes, gone.source.errors.len()), (0, 1));
    assert!(gone.source.errors[0].message.starts_with("cannot be read: "), "{gone:?}");
}

/// What is read of six files, which have 6 values each, in 2 documents and 22 bytes.
fn read_of_six(most: Size) -> (usize, Vec<String>) {
    let dir = tempfile::tempdir().expect("a folder");
    for n in 0..6 {
        std::fs::write(dir.path().join(format!("{n}.yaml")), "a: 1\n---\nb: \"1234\"\n\n").expect("a file");
    }
    let mut reading = Reading::within(most);
    // All of them, and two by their names.
    let paths = [dir.path().to_owned(), dir.path().join("0.yaml"), dir.path().join("1.yaml")];
    let _ = paths.iter().all(|path| reading.path(path));
    let short = |error: &SourceError| error.to_string().rsplit('/').next().unwrap_or_default().to_owned();
    (reading.source.documents.len(), reading.source.errors.iter().map(short).collect())
}

#[test]
fn all_files_together_have_a_limit_of_bytes_of_values_and_of_documents() {
    let all = Size { bytes: 8 * 22, values: 8 * 6, documents: 8 * 2 };
    assert_eq!(read_of_six(all), (16, vec![]));
    for (less, what) in [
        (Size { bytes: 7 * 22 - 1, ..all }, "0 MiB"),
        (Size { values: 7 * 6 - 1, ..all }, "41 values, aliases resolved"),
        (Size { documents: 7 * 2 - 1, ..all }, "13 documents"),
    ] {
        let told = format!(
            "0.yaml:1:1: is not read, nor is what comes after it: all files have more than {what}; name fewer files \
             or folders at a time, or split the file"
        );
        assert_eq!(
            read_of_six(less),
            (12, vec![told]),
            "the seventh has no room, and the eighth is not tried"
        );
    }
    let (documents, told) = read_of_six(Size { values: 5, ..all });
    assert_eq!((documents, told.len()), (0, 1), "a file that is too much by itself is told once");
}

#[test]
fn a_text_of_many_documents_is_read_up_to_the_limit_of_values() {
    let mut source = Source::default();
    // Of 4 values each.
    let text = "a: [x]\n---\n".repeat(1_000);
    assert_eq!(parse_into(&mut source, "t.yaml", &text, 100), 101);
    assert_eq!((source.documents.len(), source.errors.len()), (25, 0));
    assert_eq!(parse_into(&mut source, "t.yaml", &text, 4_000), 4_000);
}

#[test]
fn of_one_mistake_in_thousands_of_places_some_are_told() {
    assert_eq!(parse("t.yaml", &"--- a\n".repeat(10_000)).errors.len(), 10);
}

proptest::proptest! {
    #[test]
    fn no_text_brings_it_down(text in "[-a:\\[\\]{}&*!|>'\"%@#~ \n\t0-9é.?]{0,80}") {
        let source = parse("t.yaml", &text);
        for document in &source.documents {
            let _ = (document.root.json(), document.position("a[0].b"));
        }
    }
}

#[test]
fn debug_shows_no_value() {
    let document = one("kind: Secret\nstringData: {token: hunter2}\n");
    assert!(!format!("{document:?} {:?}", document.root).contains("hunter2"));
}

#[test]
fn of_a_text_no_more_is_read_than_it_may_have_and_nothing_without_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("token"), "x".repeat(2_048)).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    assert_eq!(text(&at("token"), 2_048).unwrap().len(), 2_048);
    for (path, says) in [
        (at("token"), "larger than 1 KiB"),
        (at("pipe"), "it is a pipe, and no file"),
        (at(""), "it is a folder, and no file"),
        (at("absent"), "No such file"),
        ("/dev/zero".into(), "it is a device, and no file"),
    ] {
        let told = text(&path, 1_024).unwrap_err().to_string();
        assert!(told.contains(says), "{}: {told}", path.display());
    }
    // As in <(pass show token).
    let open = std::fs::File::open(at("token")).unwrap();
    let handed = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&open));
    assert_eq!(text(handed.as_ref(), 2_048).unwrap().len(), 2_048);
}

#[test]
fn many_large_files_are_not_read_all_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let of_size = |size: u64, count: usize| -> Vec<PathBuf> {
        let made = (0..count).map(|n| {
            let path = folder.path().join(format!("{size}-{n}.yaml"));
            std::fs::File::create(&path).and_then(|file| file.set_len(size)).expect("a file");
            path
        });
        made.collect()
    };
    assert_eq!(at_a_time(&of_size(MOST_BYTES, 20)), 2);
    assert_eq!(
        at_a_time(&of_size(10 * BYTES_AT_A_TIME, 20)),
        2,
        "of each no more is read than a file may have"
    );
    assert_eq!(at_a_time(&of_size(100, AT_A_TIME + 1)), AT_A_TIME);
    assert_eq!(at_a_time(&of_size(7, 3)), 3);
    assert_eq!(at_a_time(&[folder.path().join("gone.yaml")]), 1);
}
