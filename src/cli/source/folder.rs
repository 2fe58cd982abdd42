//! A path → the files to read: itself, or the manifests below it. Nothing that could keep a reader waiting.

use std::{
    collections::HashSet,
    fs::{File, FileType, Metadata},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use super::document::{SourceError, told, unreadable};

/// Folders in folders that are looked into.
const MOST_DEPTH: usize = 64;
/// Most files below one path.
const MOST_FILES: usize = 100_000;

/// What is below a path.
#[derive(Default)]
pub struct Found {
    /// In the order of their names.
    pub files: Vec<PathBuf>,
    pub errors: Vec<SourceError>,
    /// What was passed over.
    pub notes: Vec<SourceError>,
}

/// Looks below a path.
pub fn find(path: &Path) -> Found {
    let mut walk = Walk::default();
    match std::fs::metadata(path) {
        Ok(seen) if seen.is_dir() => {
            walk.folder(path, &seen, 0);
            let found = &mut walk.found;
            if found.files.is_empty() && found.errors.is_empty() {
                found.errors.push(told(
                    &path.display().to_string(),
                    "holds no manifest".into(),
                    "name a folder with .yaml, .yml or .json files, or a file",
                ));
            }
        }
        // What a shell hands over, as in <(helm template ...).
        Ok(seen) if seen.is_file() || is_handed_over(path) => walk.found.files.push(path.to_owned()),
        Ok(seen) => walk.found.errors.push(told(
            &path.display().to_string(),
            format!("is {}, and no file", what(seen.file_type())),
            "name a file or a folder, or - and pipe it in",
        )),
        Err(error) => walk.found.errors.push(unreadable(&path.display().to_string(), &error)),
    }
    walk.found
}

/// Opens a path to read it to its end: a file, or what a shell hands over. Anything else may have no end, or keep its reader
/// waiting.
///
/// # Errors
///
/// When it is something else, or cannot be opened.
pub fn open(path: &Path) -> io::Result<File> {
    let seen = std::fs::metadata(path)?;
    if seen.is_dir() || !(seen.is_file() || is_handed_over(path)) {
        let what = if seen.is_dir() { "a folder" } else { what(seen.file_type()) };
        return Err(io::Error::other(format!("it is {what}, and no file")));
    }
    File::open(path)
}

/// Whether a path names something that this process has open already.
fn is_handed_over(path: &Path) -> bool {
    ["/dev/fd", "/dev/stdin", "/proc/self/fd"].iter().any(|open| path.starts_with(open))
}

fn what(kind: FileType) -> &'static str {
    match () {
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    }
}

#[derive(Default)]
struct Walk {
    found: Found,
    /// Folders that were looked into, by device and number: links may lead back to them.
    known: HashSet<(u64, u64)>,
}

impl Walk {
    fn folder(&mut self, path: &Path, seen: &Metadata, depth: usize) {
        let name = path.display().to_string();
        if depth > MOST_DEPTH {
            self.found.errors.push(told(
                &name,
                format!("is more than {MOST_DEPTH} folders deep and is not read"),
                "name the folder itself",
            ));
            return;
        }
        if !self.known.insert((seen.dev(), seen.ino())) {
            self.found.notes.push(told(
                &name,
                "leads to a folder that is read already, and is skipped".into(),
                "nothing has to be done",
            ));
            return;
        }
        let entries = std::fs::read_dir(path).and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()
        });
        let mut entries: Vec<PathBuf> = match entries {
            Ok(entries) => entries,
            Err(error) => return self.found.errors.push(unreadable(&name, &error)),
        };
        entries.sort();
        for entry in entries.iter().filter(|entry| !is_behind_a_mount(entry)) {
            self.entry(entry, depth);
        }
    }

    fn entry(&mut self, path: &Path, depth: usize) {
        let is_wanted = path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        let name = || path.display().to_string();
        let found = &mut self.found;
        match std::fs::metadata(path) {
            Ok(seen) if seen.is_dir() => self.folder(path, &seen, depth + 1),
            _ if !is_wanted => {}
            Ok(seen) if !seen.is_file() => found.notes.push(told(
                &name(),
                format!("is {}, and is skipped", what(seen.file_type())),
                "move it elsewhere, or write a file in its place",
            )),
            Ok(_) if found.files.len() < MOST_FILES => found.files.push(path.to_owned()),
            Ok(_) if found.files.len() == MOST_FILES => {
                // Once is enough.
                found.files.push(path.to_owned());
                found.errors.push(told(
                    &name(),
                    format!(
                        "is not the last: there are more than {MOST_FILES} files, and the rest is not read"
                    ),
                    "name fewer folders at a time",
                ));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => found.errors.push(
                told(&name(), "is a link to nothing".into(), "remove it, or put back what it leads to"),
            ),
            Err(error) => found.errors.push(unreadable(&name(), &error)),
        }
    }
}

/// Where Kubernetes keeps the files of a mounted ConfigMap or Secret. Links beside it lead to each of them.
fn is_behind_a_mount(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".."))
}

#[cfg(test)]
mod tests;
