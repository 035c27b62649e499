//! A [`Document`] is changed here without a change to any byte that was not meant.
//!
//! A document, a place in it and bytes in; the same document with the lines concerned changed, or an [`EditError`]
//! and the document as it was. For programs and forms that own a part of a file which people own too.
//!
//! Held to, for every document and every edit (`tests/roundtrip.rs`, `fuzz/`):
//! - Lines that an edit does not speak of keep their bytes and their order, and are read as before.
//!   Where that takes an empty line more, as between a virtual service and what must not fall to it, there is one.
//! - What was set is what is read back; and `Document::parse` of the new bytes is the document.
//!
//! Whether a value is *right* is not asked here: `config::load` knows. Values are bytes as they stand in the file,
//! quotes and all.

mod write;
mod services;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use services::{Beside, add_service, remove_service, set_address};

use super::{
    directives::{Directive, Scope},
    syntax::{Content, Document, Line, Place},
};

/// Where directives stand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum At {
    /// Outside of every virtual service.
    Global,
    /// In the virtual service with this position in the file, counted from 0.
    Service(usize),
}

/// A virtual service of a document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service<'d> {
    /// `virtual` or `virtual6`.
    pub name: &'d [u8],
    /// What stands behind its `=`, without blanks and comment.
    pub address: &'d [u8],
    /// Its lines in [`Document::lines`], from the one that begins it to the last that belongs to it.
    pub lines: Range<usize>,
}

/// A directive of a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'d> {
    /// The name.
    pub name: &'d [u8],
    /// The value, without the blanks and the comment behind it.
    ///
    /// In a virtual service a `#` inside of quotes ends it too, as it does to ldirectord, which then refuses the file;
    /// `config::load` reads on behind it, with a warning.
    pub value: &'d [u8],
    /// The index of its line in [`Document::lines`].
    pub line: usize,
}

/// Why an edit cannot be made. The document is as it was.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EditError {
    /// The file has fewer virtual services.
    #[error("there is no virtual service number {}", .0 + 1)]
    NoService(usize),
    /// The table of directives does not have it.
    #[error("there is no directive `{0}`")]
    Unknown(String),
    /// It can stand elsewhere only.
    #[error("`{0}` cannot stand in a virtual service")]
    NotInService(&'static str),
    /// It can stand elsewhere only.
    #[error("`{0}` must stand in a virtual service")]
    InServiceOnly(&'static str),
    /// It is the first line of a service, and comes and goes with it.
    #[error("`{0}` begins a virtual service: add or remove one, or change its address")]
    Opening(&'static str),
    /// A service cannot begin with it.
    #[error("a virtual service begins with `virtual` or `virtual6`, not with `{0}`")]
    NotOpening(&'static str),
    /// Each of its lines counts, so that to set *the* value says nothing.
    #[error("there can be several `{0}` lines: add, replace or remove one of them")]
    Repeats(&'static str),
    /// Only its last line counts, so that to add one would undo the others.
    #[error("only one `{0}` line counts: set it")]
    Single(&'static str),
    /// There are fewer lines of this name.
    #[error("there is no `{name}` number {} here", .nth + 1)]
    NoSuch {
        /// The directive.
        name: &'static str,
        /// Which of them was asked for, counted from 0.
        nth: usize,
    },
    /// A line with this value would not be read back as meant.
    #[error("this value of `{name}` cannot be written: {fault}")]
    Value {
        /// The directive.
        name: &'static str,
        /// What is in the way.
        fault: ValueFault,
    },
}

/// What a line of the file cannot say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
pub enum ValueFault {
    /// Nothing.
    #[error("it is empty; take the line out instead")]
    Empty,
    /// It would be several lines.
    #[error("there is a line break in it")]
    LineBreak,
    /// They would be lost.
    #[error("it begins or ends with blanks")]
    Blanks,
    /// In a virtual service a `#` begins a comment, inside of quotes too.
    #[error("a `#` begins a comment in a virtual service")]
    Comment,
    /// In a virtual service a tab in a text is read as four blanks.
    #[error("a tab in a virtual service is read as four blanks")]
    Tab,
}

/// The virtual services, in the order of the file.
pub fn services<'d>(document: &'d Document<'_>) -> Vec<Service<'d>> {
    let mut found: Vec<Service<'d>> = Vec::new();
    for (index, line) in document.lines.iter().enumerate() {
        match (line.place, entry(index, line)) {
            (Place::Opening, Some(Entry { name, value, .. })) => {
                found.push(Service { name, address: value, lines: index..index + 1 });
            }
            (Place::Block, _) => {
                if let Some(service) = found.last_mut() {
                    service.lines.end = index + 1;
                }
            }
            _ => {}
        }
    }
    for service in &mut found {
        service.lines.end -= comments_for_the_next(document, &service.lines);
    }
    found
}

/// The position of the first virtual service that begins with this name (`virtual`, `virtual6`) and address.
pub fn find_service(document: &Document<'_>, name: &str, address: &[u8]) -> Option<usize> {
    services(document)
        .iter()
        .position(|service| service.name == name.as_bytes() && service.address == address)
}

/// The directives of a place, in the order of the file; none where there is no such service.
///
/// A service's own `virtual` line is not among them, and neither is an indented line that belongs to no service.
pub fn directives<'d>(document: &'d Document<'_>, at: At) -> Vec<Entry<'d>> {
    let range = match at {
        At::Global => 0..document.lines.len(),
        At::Service(nth) => match services(document).into_iter().nth(nth) {
            Some(service) => service.lines.start + 1..service.lines.end,
            None => return Vec::new(),
        },
    };
    let wanted = |line: &Line<'_>| match at {
        At::Global => is_global(line),
        At::Service(_) => true,
    };
    let lines = document.lines.iter().enumerate().skip(range.start).take(range.len());
    lines.filter(|(_, line)| wanted(line)).filter_map(|(index, line)| entry(index, line)).collect()
}

/// The lines of one directive in a place, in the order of the file.
///
/// For `real`, `real6` and whatever else [`Directive::repeats`] each of them counts.
pub fn all<'d>(document: &'d Document<'_>, at: At, name: &str) -> Vec<Entry<'d>> {
    let mut found = directives(document, at);
    found.retain(|entry| entry.name == name.as_bytes());
    found
}

/// The value that counts: that of the last line of this name in a place.
pub fn get<'d>(document: &'d Document<'_>, at: At, name: &str) -> Option<&'d [u8]> {
    all(document, at, name).last().map(|entry| entry.value)
}

/// The real servers of a virtual service, `real` and `real6`, in the order of the file.
pub fn real_servers<'d>(document: &'d Document<'_>, service: usize) -> Vec<Entry<'d>> {
    let mut found = directives(document, At::Service(service));
    found.retain(|entry| matches!(entry.name, b"real" | b"real6"));
    found
}

/// Which of the lines of this name in a place has this value, counted from 0; the first if several have.
pub fn find(document: &Document<'_>, at: At, name: &str, value: &[u8]) -> Option<usize> {
    all(document, at, name).iter().position(|entry| entry.value == value)
}

/// Gives a directive a value.
///
/// Where it is there its value is replaced, in the last line if there are several, because that one counts;
/// else a line is added, behind the last directive of the service or behind the last global one before the first
/// service, in the style of the lines there.
pub fn set(document: &mut Document<'_>, at: At, name: &str, value: &[u8]) -> Result<(), EditError> {
    let directive = known(document, at, name)?;
    if directive.repeats {
        return Err(EditError::Repeats(directive.name));
    }
    match all(document, at, name).len() {
        0 => {
            check(directive, at, value)?;
            write::insert(document, at, directive.name, value);
            Ok(())
        }
        several => replace(document, at, name, several - 1, value),
    }
}

/// Takes all lines of a directive out of a place; how many there were.
pub fn unset(document: &mut Document<'_>, at: At, name: &str) -> Result<usize, EditError> {
    known(document, at, name)?;
    let lines: Vec<usize> = all(document, at, name).iter().map(|entry| entry.line).collect();
    for line in lines.iter().rev() {
        write::take_out(document, *line);
    }
    Ok(lines.len())
}

/// Adds one of the directives of which each line counts, behind the others of its name.
pub fn add(document: &mut Document<'_>, at: At, name: &str, value: &[u8]) -> Result<(), EditError> {
    let directive = known(document, at, name)?;
    if !directive.repeats {
        return Err(EditError::Single(directive.name));
    }
    check(directive, at, value)?;
    write::insert(document, at, directive.name, value);
    Ok(())
}

/// Gives the line of this name with this position, counted from 0, another value.
pub fn replace(
    document: &mut Document<'_>,
    at: At,
    name: &str,
    nth: usize,
    value: &[u8],
) -> Result<(), EditError> {
    let directive = known(document, at, name)?;
    let present = nth_line(document, at, directive, nth)?;
    let (line, same) = (present.line, present.value == value);
    if !same {
        check(directive, at, value)?;
        write::replace_value(document, line, value);
    }
    Ok(())
}

/// Takes the line of this name with this position, counted from 0, out.
pub fn remove(
    document: &mut Document<'_>,
    at: At,
    name: &str,
    nth: usize,
) -> Result<(), EditError> {
    let directive = known(document, at, name)?;
    let line = nth_line(document, at, directive, nth)?.line;
    write::take_out(document, line);
    Ok(())
}

fn nth_line<'d>(
    document: &'d Document<'_>,
    at: At,
    directive: &'static Directive,
    nth: usize,
) -> Result<Entry<'d>, EditError> {
    let name = directive.name;
    all(document, at, name).into_iter().nth(nth).ok_or(EditError::NoSuch { name, nth })
}

/// The directive of a line, if it has one.
fn entry<'d>(index: usize, line: &'d Line<'_>) -> Option<Entry<'d>> {
    match &line.content {
        Content::Directive { key, value, .. } => {
            Some(Entry { name: key, value: without_trailing_blanks(value), line: index })
        }
        // Without a value it means yes, to ldirectord and to us.
        Content::Unreadable(text) if is_global(line) && text.trim_ascii_end() == SUPERVISED => {
            Some(Entry { name: SUPERVISED, value: b"yes", line: index })
        }
        _ => None,
    }
}

const SUPERVISED: &[u8] = b"supervised";

/// Whether a line can hold a global directive: an indented one that belongs to no service holds nothing.
fn is_global(line: &Line<'_>) -> bool {
    line.place == Place::Global && line.indent.is_empty()
}

fn is_blank(line: &Line<'_>) -> bool {
    line.content == Content::Blank
}

/// A blank line without blanks in it, as edits add and take them; of others somebody may have a use.
fn is_empty(line: &Line<'_>) -> bool {
    is_blank(line) && line.indent.is_empty()
}

/// A comment that is not indented, and so may speak of what follows.
fn is_outer_comment(line: &Line<'_>) -> bool {
    matches!(line.content, Content::Comment(_)) && line.indent.is_empty()
}

/// How many lines at the end of a service are comments on what follows it.
///
/// A comment never ends a service, so those directly above the next one are read as part of it.
fn comments_for_the_next(document: &Document<'_>, lines: &Range<usize>) -> usize {
    match document.lines.get(lines.end).map(|next| &next.content) {
        None | Some(Content::Blank) => 0,
        Some(_) => {
            let own = document.lines.get(lines.clone()).unwrap_or_default();
            own.iter().rev().take_while(|line| is_outer_comment(line)).count()
        }
    }
}

fn without_trailing_blanks(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |at| at + 1);
    value.get(..end).unwrap_or(value)
}

/// The row of a directive that may stand in this place, which must be there.
fn known(document: &Document<'_>, at: At, name: &str) -> Result<&'static Directive, EditError> {
    match at {
        At::Service(nth) if nth >= services(document).len() => Err(EditError::NoService(nth)),
        _ => row(at, name),
    }
}

/// The row of a directive that may stand in a place like this.
fn row(at: At, name: &str) -> Result<&'static Directive, EditError> {
    let in_block = matches!(at, At::Service(_));
    let directive =
        Directive::find(name.as_bytes()).ok_or_else(|| EditError::Unknown(name.to_owned()))?;
    match directive.scope {
        Scope::Opening => Err(EditError::Opening(directive.name)),
        _ if directive.fits(in_block) => Ok(directive),
        _ if in_block => Err(EditError::NotInService(directive.name)),
        _ => Err(EditError::InServiceOnly(directive.name)),
    }
}

/// Whether a line with this value would be read back as meant.
fn check(directive: &'static Directive, at: At, value: &[u8]) -> Result<(), EditError> {
    use super::directives::ValueKind::{Quoted, Rest, Text};
    // A `virtual` line has its comments cut, though it is no line of the block.
    let cut = matches!(at, At::Service(_)) || directive.scope == Scope::Opening;
    let has = |byte: u8| value.contains(&byte);
    let is_text = matches!(directive.value, Quoted | Rest | Text) || has(b'"');
    let fault = match () {
        () if value.is_empty() => ValueFault::Empty,
        () if has(b'\n') || has(b'\r') => ValueFault::LineBreak,
        () if value.trim_ascii().len() < value.len() => ValueFault::Blanks,
        () if cut && has(b'#') => ValueFault::Comment,
        () if cut && is_text && has(b'\t') => ValueFault::Tab,
        () => return Ok(()),
    };
    Err(EditError::Value { name: directive.name, fault })
}
