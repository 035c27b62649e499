//! Lines are put into a document and taken out of it here, so that all others are read as before.

use std::{borrow::Cow, ops::Range};

use super::{At, directives, is_empty, services, without_trailing_blanks};
use crate::config::syntax::{Content, Document, Line, Place, byte_order_mark};

/// Puts these lines in the place of others.
///
/// Adds to that what must be added for the other lines to be read as before: a line ending at the end of the file,
/// or an empty line behind the new ones. A service that now begins in the file's last line gets an empty line too,
/// because ldirectord takes it for a duplicate otherwise.
pub(super) fn splice(document: &mut Document<'_>, range: Range<usize>, new: Vec<Vec<u8>>) {
    let ending = ending_near(document, range.start);
    let at_end = range.end == document.lines.len();
    let moves = new.len() != range.len();
    let behind = range.start + new.len();
    if moves && range.start == document.lines.len() && !new.is_empty() {
        end_last_line(document, &ending);
    }
    // How they are read is seen to below, where the line before is known.
    let new: Vec<Line<'static>> =
        new.iter().map(|text| Line::parse(text, false).into_owned()).collect();
    document.lines.splice(range.clone(), new);
    if !read_on(document, range.start, behind) {
        document.lines.insert(behind, empty_line(&ending));
        let as_before = read_on(document, range.start, behind + 1);
        debug_assert!(as_before, "an empty line ends a service");
    }
    let opens = document.lines.last().is_some_and(|line| line.place == Place::Opening);
    if at_end && moves && opens {
        end_last_line(document, &ending);
        document.lines.push(empty_line(&ending));
    }
}

/// Takes the line of a directive out, and with the file's first line the empty line that [`insert`] puts behind it.
pub(super) fn take_out(document: &mut Document<'_>, index: usize) {
    let separated = index == 0 && document.lines.get(1).is_some_and(is_empty);
    splice(document, index..index + 1 + usize::from(separated), Vec::new());
}

/// Reads lines again from the first changed one on; whether those from `behind` on are read as before.
///
/// Where they are not, the document is half read, and to be read again with an empty line between.
fn read_on(document: &mut Document<'_>, from: usize, behind: usize) -> bool {
    let before = from.checked_sub(1).and_then(|index| document.lines.get(index));
    let mut in_block = before.is_some_and(|line| line.place != Place::Global);
    let unmarked = document.mark.is_empty();
    for (index, line) in document.lines.iter_mut().enumerate().skip(from) {
        let text = bytes(line);
        if index == 0 && unmarked && byte_order_mark(&text) > 0 {
            return false;
        }
        let read = Line::parse(&text, in_block);
        let same = read == *line;
        if index >= behind && !same && !matches!(read.content, Content::Comment(_)) {
            return false;
        }
        in_block = read.place != Place::Global;
        if !same {
            *line = read.into_owned();
        } else if index >= behind {
            return true;
        }
    }
    true
}

/// Adds a line for a directive of which there is none here yet, or one more, in the style of its neighbours.
pub(super) fn insert(document: &mut Document<'_>, at: At, name: &str, value: &[u8]) {
    let Target { line, blank_behind, like } = match at {
        At::Global => global_target(document, name),
        At::Service(nth) => service_target(document, nth, name),
    };
    let like = like.and_then(|index| document.lines.get(index));
    let indent = match (at, like) {
        (At::Global, _) => b"".as_slice(),
        (_, Some(like)) if like.place == Place::Block => &like.indent,
        _ => b"\t",
    };
    let ending = ending_near(document, line);
    let mut new = vec![written(indent, name, &equals_like(like), value, &ending)];
    if blank_behind {
        new.push(ending);
    }
    splice(document, line..line, new);
}

/// Where a line is to stand, and which one it is to look like.
struct Target {
    line: usize,
    blank_behind: bool,
    like: Option<usize>,
}

fn service_target(document: &Document<'_>, nth: usize, name: &str) -> Target {
    let own = services(document).into_iter().nth(nth).map(|service| service.lines);
    let own = own.unwrap_or(document.lines.len()..document.lines.len());
    let entries = directives(document, At::Service(nth));
    let same = entries.iter().rfind(|entry| entry.name == name.as_bytes());
    let speaks = |index: &usize| {
        let line = document.lines.get(*index);
        line.is_some_and(|line| !matches!(line.content, Content::Blank | Content::Comment(_)))
    };
    let after = same.map(|entry| entry.line).or_else(|| own.clone().rfind(speaks));
    let line = after.map_or(own.end, |index| index + 1);
    let is_alike = |line: &Line<'_>| {
        line.place == Place::Block && matches!(line.content, Content::Directive { .. })
    };
    let like = (own.start..line)
        .rfind(|index| document.lines.get(*index).is_some_and(is_alike))
        .or_else(|| document.lines.iter().position(is_alike))
        .or(Some(own.start));
    Target { line, blank_behind: false, like }
}

fn global_target(document: &Document<'_>, name: &str) -> Target {
    let entries = directives(document, At::Global);
    let opening = document.lines.iter().position(|line| line.place == Place::Opening);
    let first_service = opening.unwrap_or(document.lines.len());
    let same = entries.iter().rfind(|entry| entry.name == name.as_bytes());
    let before = entries.iter().rfind(|entry| entry.line < first_service);
    if let Some(entry) = same.or(before) {
        return Target { line: entry.line + 1, blank_behind: false, like: Some(entry.line) };
    }
    let comment = |line: &&Line<'_>| matches!(line.content, Content::Comment(_));
    let leading = document.lines.iter().take_while(comment).count();
    // A comment directly above a service speaks of that service.
    let line = if opening == Some(leading) { 0 } else { leading };
    let blank_behind = line == 0 && !document.lines.is_empty();
    let like = entries.first().map(|entry| entry.line).or(opening);
    Target { line, blank_behind, like }
}

/// Gives a line another value.
pub(super) fn replace_value(document: &mut Document<'_>, index: usize, value: &[u8]) {
    let Some(line) = document.lines.get(index) else { return };
    let text = match &line.content {
        Content::Directive { key, equals, value: present, tail } => {
            let end = without_trailing_blanks(present).len();
            let trail = match present.get(end..).unwrap_or_default() {
                b"" if end == 0 && !tail.is_empty() => b" ",
                trail => trail,
            };
            [&line.indent, key, equals, value, trail, tail, &line.ending].concat()
        }
        Content::Unreadable(text) => {
            let name = text.trim_ascii_end();
            [&line.indent, name, b"=", value, &line.ending].concat()
        }
        Content::Blank | Content::Comment(_) => return,
    };
    splice(document, index..index + 1, vec![text]);
}

/// A line.
pub(super) fn written(
    indent: &[u8],
    name: &str,
    equals: &[u8],
    value: &[u8],
    ending: &[u8],
) -> Vec<u8> {
    [indent, name.as_bytes(), equals, value, ending].concat()
}

/// How a line that looks like this one writes its `=`. What only lines its names up is one blank.
pub(super) fn equals_like(line: Option<&Line<'_>>) -> Vec<u8> {
    let Some(Content::Directive { equals, .. }) = line.map(|line| &line.content) else {
        return b"=".to_vec();
    };
    let at = equals.iter().position(|byte| *byte == b'=').unwrap_or_default();
    let side = |blanks: Option<&[u8]>| match blanks.unwrap_or_default() {
        few if few.len() < 2 => few.to_vec(),
        _ => b" ".to_vec(),
    };
    [side(equals.get(..at)), b"=".to_vec(), side(equals.get(at + 1..))].concat()
}

/// The line ending that holds around here.
pub(super) fn ending_near(document: &Document<'_>, index: usize) -> Vec<u8> {
    let (before, behind) = document.lines.split_at(index.min(document.lines.len()));
    let mut near = before.iter().rev().chain(behind).map(|line| line.ending.as_ref());
    near.find(|ending| !ending.is_empty()).unwrap_or(b"\n").to_vec()
}

/// Gives the last line an ending if it has none.
///
/// Only four blanks in a service would be read otherwise for it, and nothing is ever put behind those.
fn end_last_line(document: &mut Document<'_>, ending: &[u8]) {
    if let Some(line) = document.lines.last_mut()
        && line.ending.is_empty()
    {
        // A carriage return that is part of the line must not become part of its ending.
        let ending = if bytes(line).ends_with(b"\r") { b"\r\n" } else { ending };
        line.ending = Cow::Owned(ending.to_vec());
    }
}

fn empty_line(ending: &[u8]) -> Line<'static> {
    Line::parse(ending, false).into_owned()
}

fn bytes(line: &Line<'_>) -> Vec<u8> {
    line.parts().collect::<Vec<_>>().concat()
}
