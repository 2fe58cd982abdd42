//! Files that are written by tests, committed and reviewed: compared on every run, written anew with
//! `UPDATE_GENERATED=1`.

use std::{env, fmt::Write, fs, path::Path};

/// No line of theirs is longer, in characters.
pub const WIDTH: usize = 160;
/// A line that goes on is indented like this; no other is as deep.
const GOES_ON: &str = "            ";

/// Whether this run writes them anew.
pub fn is_update() -> bool {
    env::var_os("UPDATE_GENERATED").is_some()
}

/// Where a file, relative to the root, differs from what it should hold. An update writes it and finds no difference.
pub fn difference(file: &str, text: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if is_update() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder can be made");
        fs::write(&path, text).expect("a file can be written");
        return None;
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    if kept == text {
        return None;
    }
    let at = kept.lines().zip(text.lines()).position(|(a, b)| a != b);
    let at = at.unwrap_or(kept.lines().count().min(text.lines().count()));
    let line = |text: &str| text.lines().nth(at).unwrap_or("(the end)").to_owned();
    Some(format!("{file}:{}\n  kept: {}\n  now:  {}", at + 1, line(&kept), line(text)))
}

/// # Panics
///
/// When the file differs and this run is no update.
pub fn check(file: &str, text: &str) {
    if let Some(difference) = difference(file, text) {
        panic!("{difference}\nwritten anew by make golden; then read what changed");
    }
}

/// The text with its long lines broken between words.
pub fn wrapped(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        wrap(&mut out, line);
    }
    out
}

/// The lines as they were before they were [`wrapped`].
pub fn unwrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix(GOES_ON), lines.last_mut()) {
            (Some(rest), Some(last)) => *last = format!("{last} {rest}"),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

/// A line, broken between words where it is too long.
fn wrap(out: &mut String, line: &str) {
    let mut rest = line;
    let mut indent = "";
    loop {
        let room = WIDTH - indent.len();
        let end = if rest.chars().count() <= room { None } else { last_gap(rest, room) };
        let _ = writeln!(out, "{indent}{}", &rest[..end.unwrap_or(rest.len())]);
        let Some(end) = end else { return };
        rest = &rest[end + 1..];
        indent = GOES_ON;
    }
}

/// The last single space at which a text can be broken so that no more than `room` characters come before it.
pub fn last_gap(text: &str, room: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let is_gap = |at: usize| {
        bytes[at] == b' '
            && at > 0
            && bytes[..at].iter().any(|byte| *byte != b' ')
            && bytes[at - 1] != b' '
            && bytes.get(at + 1).is_some_and(|next| *next != b' ')
    };
    let gaps = text.char_indices().take(room + 1).map(|(at, _)| at);
    gaps.filter(|at| is_gap(*at)).last()
}

#[test]
fn long_lines_are_broken_between_words_and_found_whole_again() {
    let word = "word ".repeat(40);
    let text = format!("short\n  {word}end\n      two  spaces {word}  stay\n{}\n", "x".repeat(170));
    let wrapped = wrapped(&text);
    assert!(wrapped.lines().all(|line| line.chars().count() <= 170), "{wrapped}");
    assert_eq!(wrapped.lines().filter(|line| line.starts_with(GOES_ON)).count(), 2, "{wrapped}");
    assert_eq!(unwrapped(&wrapped).join("\n") + "\n", text);
}

#[test]
fn no_line_is_too_long_to_review() {
    fn collect(folder: &Path, long: &mut Vec<String>) {
        for path in fs::read_dir(folder).expect("a folder").filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                collect(&path, long);
            } else if path.extension().is_some_and(|end| end == "snap") || path.ends_with("meta.json") {
                let text = fs::read_to_string(&path).expect("text");
                let lines = text.lines().enumerate().filter(|(_, line)| line.chars().count() > WIDTH);
                long.extend(lines.map(|(n, _)| format!("{}:{}", path.display(), n + 1)));
            }
        }
    }
    let mut long = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it"), &mut long);
    assert!(long.is_empty(), "longer than {WIDTH} characters:\n{}", long.join("\n"));
}
