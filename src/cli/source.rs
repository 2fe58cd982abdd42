//! Manifests from files, folders and standard input, with the position of every value.
//!
//! A plain scalar is resolved exactly as kubectl and the API server resolve it (`no` is a boolean, `+551…`
//! is a number), so that what is checked here is what would be sent. Positions are kept for findings.

mod document;
mod scalar;
mod yaml;

#[cfg(test)]
mod tests;

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use document::START;
pub use document::{Content, Document, Entry, Node, Position, SourceError};
use yaml::parse_into;
pub use yaml::{Source, parse};

/// Most bytes of one file; the API server takes no larger object either.
const MOST_BYTES: u64 = 3 * 1024 * 1024;
/// Folders in folders that are looked into.
const MOST_DEPTH: usize = 64;

/// Reads files, folders (every `.yaml`, `.yml` and `.json` below them) and `-`, standard input.
///
/// A file that cannot be read is an error beside the documents of the others.
pub fn read(paths: &[PathBuf]) -> Source {
    let mut source = Source::default();
    for path in paths {
        if path == Path::new("-") {
            let mut bytes = Vec::new();
            match std::io::stdin().lock().take(MOST_BYTES + 1).read_to_end(&mut bytes) {
                Ok(_) => take(&mut source, "<stdin>", &bytes),
                Err(error) => source.errors.push(unreadable("<stdin>", &error)),
            }
            continue;
        }
        let mut files = Vec::new();
        if let Err(error) = collect(path, true, 0, &mut files) {
            source.errors.push(unreadable(&path.display().to_string(), &error));
        }
        if files.is_empty() && path.is_dir() {
            source.errors.push(SourceError {
                file: path.display().to_string(),
                at: START,
                message: "holds no manifest".into(),
                remedy: "name a folder with .yaml, .yml or .json files, or a file".into(),
            });
        }
        for file in files {
            let name = file.display().to_string();
            let bytes = std::fs::File::open(&file).and_then(|f| {
                let mut bytes = Vec::new();
                f.take(MOST_BYTES + 1).read_to_end(&mut bytes).map(|_| bytes)
            });
            match bytes {
                Ok(bytes) => take(&mut source, &name, &bytes),
                Err(error) => source.errors.push(unreadable(&name, &error)),
            }
        }
    }
    source
}

fn unreadable(file: &str, error: &std::io::Error) -> SourceError {
    SourceError {
        file: file.to_owned(),
        at: START,
        message: format!("cannot be read: {error}"),
        remedy: "check the path and its permissions".into(),
    }
}

/// Files below a path, in the order of their names.
fn collect(path: &Path, named: bool, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !std::fs::metadata(path)?.is_dir() {
        let wanted = path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        if named || wanted {
            files.push(path.to_owned());
        }
        return Ok(());
    }
    if depth > MOST_DEPTH {
        return Ok(());
    }
    let mut entries = std::fs::read_dir(path)?.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    entries.sort();
    for entry in entries {
        collect(&entry, false, depth + 1, files)?;
    }
    Ok(())
}

fn take(source: &mut Source, file: &str, bytes: &[u8]) {
    if bytes.len() as u64 > MOST_BYTES {
        source.errors.push(SourceError {
            file: file.to_owned(),
            at: START,
            message: "is larger than 3 MiB".into(),
            remedy: "split it into several files".into(),
        });
        return;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => parse_into(source, file, text),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.split(|b| *b == b'\n').count();
            let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
            source.errors.push(SourceError {
                file: file.to_owned(),
                at: Position { line, column },
                message: "is not UTF-8 text".into(),
                remedy: "save the file as UTF-8".into(),
            });
        }
    }
}
