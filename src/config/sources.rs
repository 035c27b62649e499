//! [`Sources`]: the files of a configuration, and which of them a place is in.
//!
//! A place is a number of bytes, counted through all files in the order in which they were begun; that is why a
//! span needs no name of a file. One number lies between two files, so that the end of one is not the start of the next.

use std::{borrow::Cow, cell::OnceCell, ops::Range, path::PathBuf};

use zeroize::Zeroizing;

use super::{
    render::short,
    secret::{masked, masked_credential},
};

/// A file as it was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    /// Where it was found.
    pub path: PathBuf,
    /// What stands in it; zeroed afterwards, as there may be secrets among it.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Its permission bits, as `chmod` has them: `0o600`.
    pub mode: u32,
    /// What tells it from every other file, whatever they are called: device and number.
    pub identity: (u64, u64),
}

impl File {
    /// A file that nobody but its owner may read.
    pub fn new(path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) -> File {
        File {
            path: path.into(),
            bytes: Zeroizing::new(bytes.into()),
            mode: 0o600,
            identity: (0, 0),
        }
    }
}

/// The files that a configuration was read from; the first is the one that was named.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Source>);

/// A file and its place among the others.
#[derive(Clone, Debug)]
struct Source {
    file: File,
    /// The place of its first byte.
    start: usize,
    kind: FileKind,
    /// Where its lines begin, once somebody has asked.
    lines: OnceCell<Vec<usize>>,
}

/// What a file holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FileKind {
    /// Directives.
    Configuration,
    /// Secrets.
    Credentials,
}

/// A line of a file, and where in it something is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line<'a> {
    /// The file.
    pub file: &'a File,
    /// The number of the line, from 1.
    pub number: usize,
    /// The line without its ending, with a star for every letter of a secret.
    pub text: Cow<'a, [u8]>,
    /// What is meant, in bytes of the line; ends with the line at the latest.
    pub part: Range<usize>,
}

impl Line<'_> {
    /// The line for a program to show: without control characters, cut at 400 characters.
    pub fn shown(&self) -> String {
        short(&String::from_utf8_lossy(&self.text))
    }

    /// What is meant, in characters of that, counted from 1. Bytes that are no text count as the character that
    /// stands for them.
    pub fn columns(&self) -> Range<usize> {
        let characters = |range: Range<usize>| {
            String::from_utf8_lossy(self.text.get(range).unwrap_or_default()).chars().count()
        };
        let start = 1 + characters(0..self.part.start);
        start..start + characters(self.part.clone())
    }
}

impl Sources {
    /// Takes a file in whose first byte has this place.
    pub(super) fn add(&mut self, file: File, kind: FileKind, start: usize) {
        let at = self.0.partition_point(|source| source.start < start);
        self.0.insert(at, Source { file, start, kind, lines: OnceCell::new() });
    }

    /// The files, the one that was named first.
    pub fn iter(&self) -> impl Iterator<Item = (FileKind, &File)> {
        self.0.iter().map(|source| (source.kind, &source.file))
    }

    /// The line that a place is on; `None` only where there is no file at all.
    pub fn line(&self, place: &Range<usize>) -> Option<Line<'_>> {
        let after = self.0.partition_point(|source| source.start <= place.start);
        let source = self.0.get(after.saturating_sub(1))?;
        let bytes = &source.file.bytes;
        let starts = source.lines.get_or_init(|| {
            let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
            [0].into_iter().chain(ends.map(|(at, _)| at + 1)).collect()
        });
        let at = place.start.saturating_sub(source.start);
        let number = starts.partition_point(|start| *start <= at).max(1);
        let start = starts.get(number - 1).copied().unwrap_or_default();
        let end = starts.get(number).map_or(bytes.len(), |next| next - 1);
        let text = bytes.get(start..end).unwrap_or_default();
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let within = |place: usize| place.saturating_sub(source.start + start).min(text.len());
        let part = within(place.start)..within(place.end);
        let text = match source.kind {
            FileKind::Configuration => masked(text),
            FileKind::Credentials => Cow::Owned(masked_credential(text)),
        };
        Some(Line { file: &source.file, number, text, part })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_knows_its_file_and_line() {
        let mut sources = Sources::default();
        // The outer file is done when the inner one is.
        sources.add(File::new("b.cf", "x=1\r\ny=2"), FileKind::Configuration, 11);
        sources.add(File::new("a.cf", "include=b\n"), FileKind::Configuration, 0);
        let told = |place: Range<usize>| {
            let line = sources.line(&place).unwrap();
            let path = line.file.path.to_str().unwrap();
            (path, line.number, String::from_utf8(line.text.into_owned()).unwrap(), line.part)
        };
        assert_eq!(told(0..7), ("a.cf", 1, "include=b".to_owned(), 0..7));
        assert_eq!(told(10..10), ("a.cf", 2, "".to_owned(), 0..0));
        assert_eq!(told(11..12), ("b.cf", 1, "x=1".to_owned(), 0..1));
        assert_eq!(told(13..16), ("b.cf", 1, "x=1".to_owned(), 2..3));
        assert_eq!(told(16..99), ("b.cf", 2, "y=2".to_owned(), 0..3));
        assert_eq!(Sources::default().line(&(0..0)), None);
    }

    #[test]
    fn columns_count_characters_and_secrets_are_stars() {
        let line = |text: &str, part: Range<usize>| {
            let mut sources = Sources::default();
            sources.add(File::new("a.cf", text), FileKind::Configuration, 0);
            let line = sources.line(&part).unwrap();
            (line.columns(), line.shown())
        };
        assert_eq!(line("a=b", 2..3), (3..4, "a=b".to_owned()));
        assert_eq!(line("größe=5", 8..9), (7..8, "größe=5".to_owned()));
        assert_eq!(line("a=\u{1b}[m", 3..3).1, "a=\u{fffd}[m");
        assert_eq!(line(" passwd=\"x y\"", 1..7), (2..8, " passwd=\"* *\"".to_owned()));
        assert_eq!(line(&"x".repeat(1000), 998..1000), (999..1001, "x".repeat(400)));
    }
}
