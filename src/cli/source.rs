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
use document::{told, unreadable};
use folder::Found;
pub use yaml::Source;
use yaml::parse_into;

/// Most bytes of one file; the API server takes no larger object either.
const MOST_BYTES: u64 = 3 * 1024 * 1024;
/// Most of all files together. A value takes some hundred bytes of memory, and a text is there twice.
const MOST: Size = Size { bytes: 256 * 1024 * 1024, values: 3_000_000, documents: 200_000 };
/// So many files are read at a time, and so many bytes of them: what is read is parsed before all are counted.
const AT_A_TIME: usize = 1_000;
const BYTES_AT_A_TIME: u64 = 6 * 1024 * 1024;

/// How much there is of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    bytes: usize,
    /// Aliases resolved.
    values: usize,
    documents: usize,
}

impl Size {
    /// Both together, or which of them is more than this.
    fn plus(self, more: Self, most: Self) -> Result<Self, String> {
        let sum = Self {
            bytes: self.bytes.saturating_add(more.bytes),
            values: self.values.saturating_add(more.values),
            documents: self.documents.saturating_add(more.documents),
        };
        match () {
            () if sum.bytes > most.bytes => Err(format!("{} MiB", most.bytes / 1_048_576)),
            () if sum.values > most.values => Err(format!("{} values, aliases resolved", most.values)),
            () if sum.documents > most.documents => Err(format!("{} documents", most.documents)),
            () => Ok(sum),
        }
    }
}

/// What one file holds.
#[derive(Debug, Default)]
struct Part {
    file: String,
    bytes: usize,
    values: usize,
    source: Source,
}

impl Part {
    fn of(file: &str) -> Self {
        Self { file: file.to_owned(), ..Self::default() }
    }

    fn size(&self) -> Size {
        Size { bytes: self.bytes, values: self.values, documents: self.source.documents.len() }
    }

    /// Parses what was read, up to so many values.
    fn parse(&mut self, text: &str, most: usize) {
        self.values = parse_into(&mut self.source, &self.file, text, most);
    }
}

/// Files that are read for one purpose, within bounds.
struct Reading {
    most: Size,
    read: Size,
    source: Source,
}

impl Reading {
    const fn within(most: Size) -> Self {
        let source = Source { documents: Vec::new(), errors: Vec::new(), notes: Vec::new() };
        Self { most, read: Size { bytes: 0, values: 0, documents: 0 }, source }
    }

    /// How many values one more file may have.
    const fn values(&self) -> usize {
        self.most.values.saturating_sub(self.read.values)
    }

    /// Adds a file. Gives back whether there is room for it; nothing after it is read where there is none.
    fn add(&mut self, part: Part) -> bool {
        match self.read.plus(part.size(), self.most) {
            Ok(sum) => {
                self.read = sum;
                self.source.add(part.source);
                true
            }
            Err(most) => {
                self.source.errors.push(told(
                    &part.file,
                    format!("is not read, nor is what comes after it: all files have more than {most}"),
                    "name fewer files or folders at a time, or split the file",
                ));
                false
            }
        }
    }

    /// Reads a path. Gives back whether there is room for more.
    fn path(&mut self, path: &Path) -> bool {
        if is_stdin(path) {
            let part = read_stdin(self.values());
            return self.add(part);
        }
        let Found { files, errors, notes } = folder::find(path);
        self.source.errors.extend(errors);
        self.source.notes.extend(notes);
        let mut rest = &files[..];
        while !rest.is_empty() {
            let (files, others) = rest.split_at(at_a_time(rest));
            rest = others;
            let values = self.values();
            let parts = parallel::each(files, |file| read_file(file, values));
            if !parts.into_iter().all(|part| self.add(part)) {
                return false;
            }
        }
        true
    }
}

/// Reads files, folders (every `.yaml`, `.yml` and `.json` below them) and `-`, standard input.
///
/// A file that cannot be read is an error beside the documents of the others.
pub fn read(paths: &[PathBuf]) -> Source {
    let mut reading = Reading::within(MOST);
    let _ = paths.iter().all(|path| reading.path(path));
    reading.source
}

/// Reads the documents of a text.
pub fn parse(file: &str, text: &str) -> Source {
    let mut reading = Reading::within(MOST);
    let mut part = Part::of(file);
    part.parse(text, reading.values());
    reading.add(part);
    reading.source
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

fn read_stdin(values: usize) -> Part {
    let mut part = Part::of("<stdin>");
    let mut bytes = Vec::new();
    match std::io::stdin().lock().take(MOST_BYTES + 1).read_to_end(&mut bytes) {
        Ok(_) => take(&mut part, &bytes, values),
        Err(error) => part.source.errors.push(unreadable(&part.file, &error)),
    }
    part
}

fn read_file(file: &Path, values: usize) -> Part {
    let mut part = Part::of(&file.display().to_string());
    let mut bytes = Vec::new();
    match folder::open(file).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes)) {
        Ok(_) => take(&mut part, &bytes, values),
        Err(error) => part.source.errors.push(unreadable(&part.file, &error)),
    }
    part
}

/// What was read of a file, of which no more values than these are parsed.
fn take(part: &mut Part, bytes: &[u8], values: usize) {
    part.bytes = bytes.len();
    if bytes.len() as u64 > MOST_BYTES {
        let remedy = "split it into several files";
        return part.source.errors.push(told(&part.file, "is larger than 3 MiB".into(), remedy));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => part.parse(text, values),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.split(|b| *b == b'\n').count();
            let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
            part.source.errors.push(SourceError {
                file: part.file.clone(),
                at: Position { line, column },
                message: "is not UTF-8 text".into(),
                remedy: "save the file as UTF-8".into(),
            });
        }
    }
}
