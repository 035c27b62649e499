//! Looks whether a configuration has changed: its file, or one that it includes.
//!
//! In goes what was last read, out comes whether the content is another. `stat` first; the content is read only when
//! that differs, so that looking costs nothing, and touching a file does nothing.
//!
//! Sources: section 4.7 of the behaviour specification.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::files;

/// What tells of a file that it was changed: device, number, size, time of change in seconds and nanoseconds.
pub(super) type Stat = (u64, u64, u64, i64, i64);

/// What a file was when it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Content {
    pub(super) stat: Stat,
    pub(super) hash: u64,
}

/// What a configuration was when it was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// Its files, the one that includes the others first; `None` of one that could not be read.
    pub(super) files: Vec<(PathBuf, Option<Content>)>,
    /// The patterns it includes files by, and what they named.
    pub(super) patterns: Vec<(PathBuf, Vec<PathBuf>)>,
}

impl Seen {
    /// Whether one of its files was changed after this file was written; also a file that has an old date, because it
    /// was copied with that.
    pub fn was_changed_after(&self, written: &Path) -> bool {
        let Ok(written) = fs::metadata(written) else { return false };
        let written = (written.mtime(), written.mtime_nsec());
        self.files.iter().any(|(path, _)| {
            fs::metadata(path).is_ok_and(|about| (about.ctime(), about.ctime_nsec()) > written)
        })
    }
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

/// Looks at one configuration.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    seen: Seen,
    complained: bool,
}

impl Watch {
    /// Of a configuration that was read like this.
    pub(super) fn new(seen: Seen) -> Watch {
        Watch { seen, complained: false }
    }

    /// Looks.
    pub(super) fn look(&mut self) -> Look {
        let Seen { files, patterns } = &mut self.seen;
        let mut changed = false;
        for (index, (path, content)) in files.iter_mut().enumerate() {
            match (compare(path, content), index) {
                (Ok(other), _) => {
                    if index == 0 {
                        self.complained = false;
                    }
                    changed |= other;
                }
                // Without the file that includes the others there is nothing to compare.
                (Err(_), 0) if self.complained => return Look::Same,
                (Err(_), 0) => {
                    self.complained = true;
                    return Look::Unreadable;
                }
                (Err(_), _) => changed |= content.take().is_some(),
            }
        }
        for (pattern, found) in patterns {
            let now = files::find(pattern).unwrap_or_default();
            changed |= *found != now;
            *found = now;
        }
        if changed { Look::Changed } else { Look::Same }
    }
}

/// Whether the content of a file is another now; keeps what it is.
fn compare(path: &Path, content: &mut Option<Content>) -> io::Result<bool> {
    let about = fs::metadata(path)?;
    if content.is_some_and(|content| content.stat == files::stat(&about)) {
        return Ok(false);
    }
    let (_, now) = files::read(path)?;
    let before = content.replace(now);
    Ok(before.is_none_or(|before| before.hash != now.hash))
}

#[cfg(test)]
mod tests {
    use super::{super::files::SystemFiles, *};
    use crate::config::Files as _;

    #[test]
    fn content_counts_and_a_missing_file_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.cf");
        fs::write(&path, "a").unwrap();
        let files = SystemFiles::default();
        files.main(&path).unwrap();
        let mut watch = Watch::new(files.seen());
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

    #[test]
    fn included_files_count_and_so_do_new_ones() {
        let dir = tempfile::tempdir().unwrap();
        let (path, one, two) =
            (dir.path().join("web.cf"), dir.path().join("1.in"), dir.path().join("2.in"));
        fs::write(&path, "a").unwrap();
        fs::write(&one, "b").unwrap();
        let files = SystemFiles::default();
        files.main(&path).unwrap();
        files.find(&dir.path().join("*.in")).unwrap();
        files.read(&one).unwrap();
        files.read(&two).unwrap_err();
        let mut watch = Watch::new(files.seen());
        assert_eq!(watch.look(), Look::Same);
        fs::write(&one, "bb").unwrap();
        assert_eq!(watch.look(), Look::Changed);
        assert_eq!(watch.look(), Look::Same);
        fs::remove_file(&one).unwrap();
        assert_eq!(watch.look(), Look::Changed);
        assert_eq!(watch.look(), Look::Same, "told once");
        fs::write(&two, "c").unwrap();
        assert_eq!(watch.look(), Look::Changed, "by its name and by the pattern");
        assert_eq!(watch.look(), Look::Same);
        fs::write(dir.path().join("3.in"), "").unwrap();
        assert_eq!(watch.look(), Look::Changed, "a name that the pattern did not find before");
    }
}
