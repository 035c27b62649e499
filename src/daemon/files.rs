//! Reads the files of a configuration, and remembers them so that [`super::watch`] can tell when one has changed.
//!
//! Whatever a name leads to, reading it ends: only regular files are read, and none beyond [`LARGEST`].

use std::{
    cell::RefCell,
    fs::{self, OpenOptions},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{self, Read},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use zeroize::Zeroizing;

use super::{
    privileges::help,
    watch::{Content, Seen, Stat},
};
use crate::config::{File, FileError, Files};

/// The largest file that is read, in bytes: some 600,000 real servers.
const LARGEST: u64 = 32 << 20;

/// The most names that one pattern gives: one more than a configuration may have files.
const MOST_NAMES: usize = 4097;

/// Reads a file, and what it is.
pub(super) fn read(path: &Path) -> io::Result<(File, Content)> {
    // A FIFO without a writer would otherwise be waited for.
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
    let mut file = options.open(path).map_err(|error| match help(path, &error, "640") {
        Some(help) => io::Error::new(error.kind(), format!("{error}; {help}")),
        None => error,
    })?;
    // What changes behind this is found at the next look.
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what(&about)));
    }
    let room = usize::try_from(about.size().min(LARGEST)).unwrap_or_default();
    let bytes = bounded(file.by_ref(), room)?;
    let content = Content { stat: stat(&about), hash: hash(&bytes) };
    let file = File {
        path: path.to_owned(),
        bytes,
        mode: mode(&about),
        identity: (about.dev(), about.ino()),
    };
    Ok((file, content))
}

/// Reads standard input to its end.
pub(super) fn standard_input(name: &str) -> io::Result<File> {
    Ok(File { bytes: bounded(io::stdin().lock(), 0)?, ..File::new(name, "") })
}

/// Reads all there is; without a copy left behind where no more comes than there is room for.
fn bounded(file: impl Read, room: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(room.saturating_add(1)));
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LARGEST) {
        let message =
            format!("it has more than {} MiB, and is probably no configuration", LARGEST >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Who may use a file, but for a group that root chose for a file of its own and lets read it: the daemon's.
fn mode(about: &fs::Metadata) -> u32 {
    let mode = about.mode() & 0o7777;
    if about.uid() == 0 && about.gid() != 0 { mode & !0o040 } else { mode }
}

fn what(about: &fs::Metadata) -> &'static str {
    if about.is_dir() { "it is a directory" } else { "it is no regular file" }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// What tells of a file that it was changed, without reading it.
pub(super) fn stat(about: &fs::Metadata) -> Stat {
    (about.dev(), about.ino(), about.size(), about.mtime(), about.mtime_nsec())
}

/// The files that a pattern names, in the order of their names.
pub(super) fn find(pattern: &Path) -> Result<Vec<PathBuf>, FileError> {
    let fault = |message: String| FileError { message };
    let text = pattern.to_str().ok_or_else(|| fault("the name is not UTF-8 text".to_owned()))?;
    if text.contains("**") {
        // To this library that is every folder below, which may be the whole disk.
        return Err(fault("`**` is not possible".to_owned()));
    }
    let options = glob::MatchOptions {
        require_literal_separator: true,
        require_literal_leading_dot: true,
        ..glob::MatchOptions::default()
    };
    let found = glob::glob_with(text, options).map_err(|error| fault(error.to_string()))?;
    found
        .take(MOST_NAMES)
        .map(|path| path.map_err(|error| fault(error.error().to_string())))
        .collect()
}

/// The files of this machine.
#[derive(Debug, Default)]
pub(super) struct SystemFiles {
    seen: RefCell<Seen>,
}

impl SystemFiles {
    /// Reads the file that the others are included by.
    pub(super) fn main(&self, path: &Path) -> io::Result<File> {
        let (file, content) = read(path)?;
        self.seen.borrow_mut().files.push((path.to_owned(), Some(content)));
        Ok(file)
    }

    /// What was read.
    pub(super) fn seen(self) -> Seen {
        self.seen.into_inner()
    }
}

impl Files for SystemFiles {
    fn find(&self, pattern: &Path) -> Result<Vec<PathBuf>, FileError> {
        let found = find(pattern)?;
        self.seen.borrow_mut().patterns.push((pattern.to_owned(), found.clone()));
        Ok(found)
    }

    fn read(&self, path: &Path) -> Result<File, FileError> {
        let (file, content) = match read(path) {
            Ok((file, content)) => (Ok(file), Some(content)),
            Err(error) => (Err(FileError { message: error.to_string() }), None),
        };
        self.seen.borrow_mut().files.push((path.to_owned(), content));
        file
    }
}

#[cfg(test)]
mod tests {
    use nix::{sys::stat::Mode, unistd::mkfifo};

    use super::*;

    #[test]
    fn only_regular_files_of_sensible_size_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let told = |path: &Path| {
            read(path).map(|(file, _)| file.bytes.to_vec()).map_err(|e| e.to_string())
        };
        let fifo = dir.path().join("fifo");
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        assert_eq!(told(&fifo), Err("it is no regular file".to_owned()));
        assert_eq!(told(dir.path()), Err("it is a directory".to_owned()));
        assert_eq!(told(Path::new("/dev/zero")), Err("it is no regular file".to_owned()));
        let large = dir.path().join("large");
        fs::File::create(&large).unwrap().set_len(100 << 20).unwrap();
        assert!(told(&large).unwrap_err().contains("more than 32 MiB"));
        fs::write(&large, "a=b").unwrap();
        assert_eq!(told(&large), Ok(b"a=b".to_vec()));
    }

    #[test]
    fn a_pattern_names_files_in_the_order_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["20-b.cf", "10-a.cf", ".hidden.cf", "30-c.cf~"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let found = find(&dir.path().join("*.cf")).unwrap();
        assert_eq!(found, [dir.path().join("10-a.cf"), dir.path().join("20-b.cf")]);
        assert_eq!(find(&dir.path().join("none/*.cf")), Ok(Vec::new()));
        assert!(find(&dir.path().join("[")).is_err());
        assert!(find(&dir.path().join("**/*.cf")).is_err());
    }
}
