//! Looks whether a configuration has changed: its file, or one that it includes.
//!
//! In goes what was last read, out comes whether the content is another. `stat` first; the content is read only when
//! that differs, so that looking costs nothing, and touching a file does nothing.
//!
//! Differs from ldirectord: a change counts when two looks a second apart see the same, so that a file that is being
//! written is neither followed nor called broken; one without any content is not followed.
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
    /// Something has changed since the last look, and may not be whole yet: look again soon.
    Unsettled,
    /// The content is another, and was the same at two looks.
    Changed,
    /// The file cannot be read, or is empty; told once until it is otherwise.
    Lost(Loss),
}

/// Why there is nothing to follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Loss {
    /// It cannot be read.
    Unreadable,
    /// It has no content, as at the beginning of being written, or on a full disk.
    Empty,
}

/// Looks at one configuration.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    /// As it was when it was last followed, or refused.
    known: Seen,
    /// As it was at the last look.
    last: Seen,
    /// What was wrong at the last look, and what of that was told.
    loss: Option<Loss>,
    told: Option<Loss>,
}

impl Watch {
    /// Of a configuration that was read like this.
    pub(super) fn new(seen: Seen) -> Watch {
        Watch { known: seen.clone(), last: seen, loss: None, told: None }
    }

    /// Looks.
    pub(super) fn look(&mut self) -> Look {
        let before = self.last.clone();
        let loss = self.see();
        let is_settled =
            std::mem::replace(&mut self.loss, loss) == loss && same(&before, &self.last);
        match loss {
            _ if !is_settled => Look::Unsettled,
            // Without the file that includes the others there is nothing to compare.
            Some(loss) if self.told == Some(loss) => Look::Same,
            Some(loss) => {
                self.told = Some(loss);
                Look::Lost(loss)
            }
            None => {
                self.told = None;
                if same(&self.known, &self.last) {
                    return Look::Same;
                }
                self.known = self.last.clone();
                Look::Changed
            }
        }
    }

    /// Whether this is what the last look saw, as far as that knows these files.
    pub(super) fn has_seen(&self, seen: &Seen) -> bool {
        seen.files.iter().all(|(path, content)| {
            let known = self.last.files.iter().find(|(known, _)| known == path);
            known.is_none_or(|(_, known)| hash(*known) == hash(*content))
        })
    }

    /// What the last look found was not followed after all: the next that is settled finds it again.
    pub(super) fn forget(&mut self) {
        self.known = Seen::default();
    }

    /// Sees how all files are now, and what is wrong with the first.
    fn see(&mut self) -> Option<Loss> {
        let is_empty = |content: Option<Content>| {
            content.is_some_and(|Content { stat: (_, _, size, ..), .. }| size == 0)
        };
        let was_empty = self.known.files.first().is_some_and(|(_, content)| is_empty(*content));
        let Seen { files, patterns } = &mut self.last;
        let mut loss = None;
        for (index, (path, content)) in files.iter_mut().enumerate() {
            let now = look_at(path, *content).ok();
            if index == 0 {
                loss = match now {
                    None => Some(Loss::Unreadable),
                    now if is_empty(now) && !was_empty => Some(Loss::Empty),
                    Some(_) => None,
                };
                if loss.is_some() {
                    break;
                }
            }
            *content = now;
        }
        for (pattern, found) in patterns {
            *found = files::find(pattern).unwrap_or_default();
        }
        loss
    }
}

/// Whether two looks saw the same, whatever was touched or put in the place of something that is equal.
fn same(one: &Seen, other: &Seen) -> bool {
    one.patterns == other.patterns
        && one.files.len() == other.files.len()
        && (one.files.iter().zip(&other.files))
            .all(|((_, one), (_, other))| hash(*one) == hash(*other))
}

fn hash(content: Option<Content>) -> Option<u64> {
    content.map(|content| content.hash)
}

/// How a file is now; read only if it is not as it was.
fn look_at(path: &Path, known: Option<Content>) -> io::Result<Content> {
    let about = fs::metadata(path)?;
    match known {
        Some(known) if known.stat == files::stat(&about) => Ok(known),
        _ => Ok(files::read(path)?.1),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::files::SystemFiles, *};
    use crate::config::Files as _;

    /// Looks until nothing is unsettled.
    fn settled(watch: &mut Watch) -> Look {
        match watch.look() {
            Look::Unsettled => watch.look(),
            look => panic!("{look:?} at the first look"),
        }
    }

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
        assert_eq!(settled(&mut watch), Look::Changed);
        assert_eq!(watch.look(), Look::Same);
        fs::remove_file(&path).unwrap();
        assert_eq!(settled(&mut watch), Look::Lost(Loss::Unreadable));
        assert_eq!(watch.look(), Look::Same);
        fs::write(&path, "bb").unwrap();
        assert_eq!(settled(&mut watch), Look::Same, "it is back as it was");
        fs::remove_file(&path).unwrap();
        assert_eq!(settled(&mut watch), Look::Lost(Loss::Unreadable));
        fs::write(&path, "ccc").unwrap();
        assert_eq!(settled(&mut watch), Look::Changed);
    }

    #[test]
    fn a_file_that_is_being_written_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.cf");
        fs::write(&path, "one\n").unwrap();
        let files = SystemFiles::default();
        files.main(&path).unwrap();
        let mut watch = Watch::new(files.seen());
        for part in ["", "two\n", "two\nthree\n"] {
            fs::write(&path, part).unwrap();
            assert_eq!(watch.look(), Look::Unsettled, "{part:?}");
        }
        assert_eq!(watch.look(), Look::Changed);
        assert_eq!(watch.look(), Look::Same);
        let (_, content) = files::read(&path).unwrap();
        let seen = Seen { files: vec![(path.clone(), Some(content))], patterns: Vec::new() };
        assert!(watch.has_seen(&seen));
        // An editor that writes a new file first.
        fs::rename(&path, dir.path().join("web.cf~")).unwrap();
        assert_eq!(watch.look(), Look::Unsettled);
        fs::write(&path, "four\n").unwrap();
        assert_eq!(watch.look(), Look::Unsettled);
        assert!(!watch.has_seen(&seen));
        assert_eq!(watch.look(), Look::Changed);
        watch.forget();
        assert_eq!(watch.look(), Look::Changed, "it was gone when it was read");
        // A disk that is full.
        fs::write(&path, "").unwrap();
        assert_eq!(settled(&mut watch), Look::Lost(Loss::Empty));
        assert_eq!(watch.look(), Look::Same);
        let (_, content) = files::read(&path).unwrap();
        let seen = Seen { files: vec![(path.clone(), Some(content))], patterns: Vec::new() };
        assert_eq!(Watch::new(seen).look(), Look::Same, "somebody wanted it so");
        fs::write(&path, "five\n").unwrap();
        assert_eq!(watch.look(), Look::Unsettled);
        fs::write(&path, "four\n").unwrap();
        assert_eq!(watch.look(), Look::Unsettled);
        assert_eq!(watch.look(), Look::Same, "it is as it was before");
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
        assert_eq!(settled(&mut watch), Look::Changed);
        assert_eq!(watch.look(), Look::Same);
        fs::remove_file(&one).unwrap();
        assert_eq!(settled(&mut watch), Look::Changed);
        assert_eq!(watch.look(), Look::Same, "told once");
        fs::write(&two, "c").unwrap();
        assert_eq!(settled(&mut watch), Look::Changed, "by its name and by the pattern");
        assert_eq!(watch.look(), Look::Same);
        fs::write(dir.path().join("3.in"), "").unwrap();
        assert_eq!(
            settled(&mut watch),
            Look::Changed,
            "a name that the pattern did not find before"
        );
    }
}
