//! A path → the files to read: itself, or the manifests below it. Nothing that could keep a reader waiting.

use std::{
    collections::HashSet,
    fs::{File, FileType, Metadata},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use libc::O_NONBLOCK;

use super::document::{SourceError, told, unreadable};

/// Folders in folders that are looked into.
const MOST_DEPTH: usize = 64;
/// Most files below one path.
const MOST_FILES: usize = 100_000;
/// What all entries below one path may have in memory, with their paths: some 500,000 of usual ones.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// What an entry has beside its path.
const ENTRY: usize = 64;
/// So much is told of one kind.
const MOST_TOLD: usize = 1_000;

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
    if is_handed_over(path) && !seen.is_dir() {
        return File::open(path);
    }
    refuse(&seen)?;
    // It may have become a pipe meanwhile, which would keep whoever opens it waiting.
    let file = File::options().read(true).custom_flags(O_NONBLOCK).open(path)?;
    refuse(&file.metadata()?)?;
    Ok(file)
}

fn refuse(seen: &Metadata) -> io::Result<()> {
    let what = if seen.is_dir() { "a folder" } else { what(seen.file_type()) };
    if seen.is_file() { Ok(()) } else { Err(io::Error::other(format!("it is {what}, and no file"))) }
}

/// Whether a path names something that this process has open already, and nothing beside it.
fn is_handed_over(path: &Path) -> bool {
    let is_number = |path: &Path| {
        let name = path.as_os_str().as_encoded_bytes();
        !name.is_empty() && name.iter().all(u8::is_ascii_digit)
    };
    let mut folders = ["/dev/fd", "/proc/self/fd"].iter();
    path == Path::new("/dev/stdin") || folders.any(|open| path.strip_prefix(open).is_ok_and(is_number))
}

/// Tells one thing more of a kind, up to so many.
fn tell(all: &mut Vec<SourceError>, one: SourceError) {
    match all.len() {
        0..MOST_TOLD => all.push(one),
        MOST_TOLD => all.push(told(
            &one.file,
            format!(
                "is not the last: there are more than {MOST_TOLD} of this kind, and the rest is not told"
            ),
            "correct these first, or name fewer folders at a time",
        )),
        _ => {}
    }
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
    /// What its entries have in memory, and whether there was no room for one.
    bytes: usize,
    is_full: bool,
}

impl Walk {
    fn folder(&mut self, path: &Path, seen: &Metadata, depth: usize) {
        let name = path.display().to_string();
        let found = &mut self.found;
        if depth > MOST_DEPTH {
            let why = format!("is more than {MOST_DEPTH} folders deep and is not read");
            return tell(&mut found.errors, told(&name, why, "name the folder itself"));
        }
        if !self.known.insert((seen.dev(), seen.ino())) {
            let why = "leads to a folder that is read already, and is skipped".into();
            return tell(&mut found.notes, told(&name, why, "nothing has to be done"));
        }
        let mut entries = match self.entries(path) {
            Ok(entries) => entries,
            Err(error) => return tell(&mut self.found.errors, unreadable(&name, &error)),
        };
        entries.sort();
        for entry in entries.iter().filter(|entry| !is_behind_a_mount(entry)) {
            self.entry(entry, depth);
        }
    }

    /// The entries of a folder, as far as there is room for them.
    fn entries(&mut self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?.path();
            let bytes = self.bytes.saturating_add(ENTRY + entry.as_os_str().len());
            if bytes > MOST_BYTES {
                self.full(path);
                break;
            }
            self.bytes = bytes;
            entries.push(entry);
        }
        Ok(entries)
    }

    /// There is no room for more. Once is enough.
    fn full(&mut self, path: &Path) {
        if !self.is_full {
            self.is_full = true;
            self.found.errors.push(told(
                &path.display().to_string(),
                "holds more than is looked at below one path, and the rest is not read".into(),
                "name fewer folders at a time",
            ));
        }
    }

    fn entry(&mut self, path: &Path, depth: usize) {
        let is_wanted = path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        let name = || path.display().to_string();
        let found = &mut self.found;
        match std::fs::metadata(path) {
            Ok(seen) if seen.is_dir() => self.folder(path, &seen, depth + 1),
            _ if !is_wanted => {}
            Ok(seen) if !seen.is_file() => {
                let why = format!("is {}, and is skipped", what(seen.file_type()));
                let remedy = "move it elsewhere, or write a file in its place";
                tell(&mut found.notes, told(&name(), why, remedy));
            }
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
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
                let remedy = "remove it, or put back what it leads to";
                tell(&mut found.errors, told(&name(), "is a link to nothing".into(), remedy));
            }
            Err(error) => tell(&mut found.errors, unreadable(&name(), &error)),
        }
    }
}

/// Where Kubernetes keeps the files of a mounted ConfigMap or Secret. Links beside it lead to each of them.
fn is_behind_a_mount(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".."))
}

#[cfg(test)]
mod tests;
