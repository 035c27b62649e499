//! Looks whether the configuration file has changed.
//!
//! In goes the path, out comes whether the content is another than what was last read. `stat` first; the content is read
//! only when that differs, so that looking costs nothing, and touching a file does nothing.
//!
//! Sources: section 4.7 of the behaviour specification.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// What a file was when it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    stat: (u64, u64, u64, i64, i64),
    content: u64,
}

/// Reads a file, and what it is.
pub fn read(path: &Path) -> io::Result<(Vec<u8>, Seen)> {
    // In this order: what changes between the two is found at the next look.
    let stat = stat(path)?;
    let source = fs::read(path)?;
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    Ok((source, Seen { stat, content: hasher.finish() }))
}

fn stat(path: &Path) -> io::Result<(u64, u64, u64, i64, i64)> {
    let about = fs::metadata(path)?;
    Ok((about.dev(), about.ino(), about.size(), about.mtime(), about.mtime_nsec()))
}

/// What a look found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Look {
    /// Nothing new.
    Same,
    /// The content is another.
    Changed,
    /// The file cannot be read; told once until it can.
    Unreadable,
}

/// Looks at one file.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    path: PathBuf,
    seen: Option<Seen>,
    complained: bool,
}

impl Watch {
    /// Of a file that was read like this.
    pub(super) fn new(path: PathBuf, seen: Option<Seen>) -> Watch {
        Watch { path, seen, complained: false }
    }

    /// The file was read again in the meantime.
    pub(super) fn adopt(&mut self, seen: Seen) {
        self.seen = Some(seen);
        self.complained = false;
    }

    /// Looks.
    pub(super) fn look(&mut self) -> Look {
        match self.compare() {
            Ok(look) => {
                self.complained = false;
                look
            }
            Err(_) if self.complained => Look::Same,
            Err(_) => {
                self.complained = true;
                Look::Unreadable
            }
        }
    }

    fn compare(&mut self) -> io::Result<Look> {
        if self.seen.is_some_and(|seen| stat(&self.path).is_ok_and(|now| now == seen.stat)) {
            return Ok(Look::Same);
        }
        let (_, now) = read(&self.path)?;
        let before = self.seen.replace(now);
        Ok(match before {
            Some(before) if before.content == now.content => Look::Same,
            _ => Look::Changed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_counts_and_a_missing_file_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.cf");
        fs::write(&path, "a").unwrap();
        let (_, seen) = read(&path).unwrap();
        let mut watch = Watch::new(path.clone(), Some(seen));
        assert_eq!(watch.look(), Look::Same);
        let copy = dir.path().join("copy");
        fs::write(&copy, "a").unwrap();
        fs::rename(&copy, &path).unwrap();
        assert_eq!(watch.look(), Look::Same, "another file with the same content");
        fs::write(&path, "bb").unwrap();
        assert_eq!(watch.look(), Look::Changed);
        assert_eq!(watch.look(), Look::Same);
        fs::remove_file(&path).unwrap();
        assert_eq!(watch.look(), Look::Unreadable);
        assert_eq!(watch.look(), Look::Same);
        fs::write(&path, "bb").unwrap();
        assert_eq!(watch.look(), Look::Same, "it is back as it was");
        fs::remove_file(&path).unwrap();
        assert_eq!(watch.look(), Look::Unreadable);
    }
}
