//! Manifests from files, folders and standard input, with the position of every value.
//!
//! A plain scalar is resolved exactly as kubectl and the API server resolve it (`no` is a boolean, `+551…`
//! is a number), so that what is checked here is what would be sent. Positions are kept for findings.

mod document;
mod folder;
mod scalar;
mod yaml;

#[cfg(test)]
mod tests;

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::parallel;
pub use document::{Content, Document, Entry, Node, Position, SourceError};
use document::{START, told, unreadable};
use folder::Found;
use yaml::parse_into;
pub use yaml::{Source, parse};

/// Most bytes of one file; the API server takes no larger object either.
const MOST_BYTES: u64 = 3 * 1024 * 1024;
/// Most bytes of all files together.
const MOST_IN_ALL: usize = 256 * 1024 * 1024;
/// So many files are read at a time, and so many bytes of them: what is read is parsed before all are counted.
const AT_A_TIME: usize = 1_000;
const BYTES_AT_A_TIME: u64 = 16 * 1024 * 1024;

/// Reads files, folders (every `.yaml`, `.yml` and `.json` below them) and `-`, standard input.
///
/// A file that cannot be read is an error beside the documents of the others.
pub fn read(paths: &[PathBuf]) -> Source {
    let mut source = Source::default();
    let mut left = MOST_IN_ALL;
    for path in paths {
        if is_stdin(path) {
            source.add(read_stdin());
            continue;
        }
        let Found { files, errors, notes } = folder::find(path);
        source.errors.extend(errors);
        source.notes.extend(notes);
        let mut rest = &files[..];
        while !rest.is_empty() {
            let (files, others) = rest.split_at(at_a_time(rest));
            rest = others;
            for (file, (bytes, read)) in files.iter().zip(parallel::each(files, |file| read_file(file))) {
                match left.checked_sub(bytes) {
                    Some(rest) => left = rest,
                    None => {
                        source.errors.push(told(
                            &file.display().to_string(),
                            format!("is not read: all files have more than {} MiB", MOST_IN_ALL / 1_048_576),
                            "name fewer files or folders at a time",
                        ));
                        return source;
                    }
                }
                source.add(read);
            }
        }
    }
    source
}

/// How many of these files are read together: one at least.
fn at_a_time(files: &[PathBuf]) -> usize {
    let mut bytes = 0;
    let fits = |file: &&PathBuf| {
        bytes += std::fs::metadata(file).map_or(0, |meta| meta.len()).min(MOST_BYTES);
        bytes <= BYTES_AT_A_TIME
    };
    files.iter().take(AT_A_TIME).take_while(fits).count().max(1)
}

/// A text file that is no manifest, of so many bytes at most.
///
/// # Errors
///
/// When it is larger, or no file, or cannot be read.
pub fn text(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    folder::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::other(format!("it is larger than {} KiB", most / 1_024)));
    }
    Ok(text)
}

/// Standard input, or what a shell hands over as a file that is open already.
fn is_stdin(path: &Path) -> bool {
    path == Path::new("-") || path == Path::new("/dev/stdin")
}

fn read_stdin() -> Source {
    let mut source = Source::default();
    let mut bytes = Vec::new();
    match std::io::stdin().lock().take(MOST_BYTES + 1).read_to_end(&mut bytes) {
        Ok(_) => take(&mut source, "<stdin>", &bytes),
        Err(error) => source.errors.push(unreadable("<stdin>", &error)),
    }
    source
}

/// What a file holds, and how many bytes it has.
fn read_file(file: &Path) -> (usize, Source) {
    let (mut source, mut bytes) = (Source::default(), Vec::new());
    let name = file.display().to_string();
    match std::fs::File::open(file).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes)) {
        Ok(_) => take(&mut source, &name, &bytes),
        Err(error) => source.errors.push(unreadable(&name, &error)),
    }
    (bytes.len(), source)
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
