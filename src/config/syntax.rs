//! [`Document`]: a configuration file as lines, with every byte kept.
//!
//! Bytes in, lines out, and `Document::parse(bytes).to_bytes() == bytes` for all bytes. Never fails:
//! a line that is nothing known is [`Content::Unreadable`], and to say so is not this file's business.
//!
//! Which lines belong to a virtual service is decided here, because a `#` means something else there:
//! in a block it cuts the rest of the line, in a global line it does not.
//! The rules are those of ldirectord 4.12. A line belongs to the block when it starts with at least four
//! blanks (a tab counts as four) that something follows; a line of a comment alone never ends a block.
//!
//! Differs from ldirectord: a line of five or more blanks is blank, and does not end the block.

use std::borrow::Cow;

/// A configuration file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Document<'a> {
    /// A UTF-8 byte order mark before the first line, or nothing.
    pub mark: Cow<'a, [u8]>,
    /// The lines.
    pub lines: Vec<Line<'a>>,
}

/// A line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line<'a> {
    /// Where it stands.
    pub place: Place,
    /// Blanks and tabs before anything else; before a comment, or of a blank line, other blanks too.
    pub indent: Cow<'a, [u8]>,
    /// What it says.
    pub content: Content<'a>,
    /// `\n`, `\r\n`, or nothing at the end of the file.
    pub ending: Cow<'a, [u8]>,
}

/// Where a line stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// Outside of every virtual service.
    Global,
    /// It begins a virtual service (`virtual=`, `virtual6=`).
    Opening,
    /// It belongs to the virtual service that was begun last.
    Block,
}

/// What a line says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content<'a> {
    /// Nothing.
    Blank,
    /// From the `#` on.
    Comment(Cow<'a, [u8]>),
    /// A directive; its value may still be anything.
    Directive {
        /// The name.
        key: Cow<'a, [u8]>,
        /// The `=` with the blanks around it.
        equals: Cow<'a, [u8]>,
        /// The value, with the blanks behind it.
        value: Cow<'a, [u8]>,
        /// From the first `#` on; always empty in a global line, where `#` is part of the value.
        tail: Cow<'a, [u8]>,
    },
    /// Something else.
    Unreadable(Cow<'a, [u8]>),
}

impl<'a> Document<'a> {
    /// Cuts bytes into lines.
    pub fn parse(source: &'a [u8]) -> Document<'a> {
        let mark = source.get(..byte_order_mark(source)).unwrap_or_default();
        let lines = lines(source).map(|(_, line)| line).collect();
        Document { mark: Cow::Borrowed(mark), lines }
    }

    /// The file again, byte for byte.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.mark.to_vec();
        for part in self.lines.iter().flat_map(Line::parts) {
            bytes.extend_from_slice(part);
        }
        bytes
    }

    /// The lines, each with the place of its first byte in the file.
    pub fn positioned(&self) -> impl Iterator<Item = (usize, &Line<'a>)> {
        let mut at = self.mark.len();
        self.lines.iter().map(move |line| {
            let start = at;
            at += line.len();
            (start, line)
        })
    }
}

/// How many bytes the byte order mark takes that the file begins with; 0 without one.
pub(super) fn byte_order_mark(source: &[u8]) -> usize {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    if source.starts_with(MARK) { MARK.len() } else { 0 }
}

/// The lines of a [`Document`], one at a time, each with the place of its first byte in the file.
///
/// For readers that keep nothing: a document takes many times the size of a file that is all line ends.
pub(super) fn lines(source: &[u8]) -> impl Iterator<Item = (usize, Line<'_>)> {
    let mut in_block = false;
    let mut at = byte_order_mark(source);
    let rest = source.get(at..).unwrap_or_default();
    rest.split_inclusive(|byte| *byte == b'\n').map(move |text| {
        let line = Line::parse(text, in_block);
        in_block = match line.place {
            Place::Global => false,
            Place::Opening | Place::Block => true,
        };
        let start = at;
        at += text.len();
        (start, line)
    })
}

// === impl Line ===

impl<'a> Line<'a> {
    /// Reads a line, with its ending; `in_block` says whether the line before belongs to a virtual service.
    pub(super) fn parse(text: &'a [u8], in_block: bool) -> Line<'a> {
        let ending = match text {
            [.., b'\r', b'\n'] => 2,
            [.., b'\n'] => 1,
            _ => 0,
        };
        let (text, ending) = text.split_at(text.len() - ending);
        let (indent, rest) = text.split_at(blanks(text));
        let width: usize = indent.iter().map(|byte| if *byte == b'\t' { 4 } else { 1 }).sum();
        // A form feed and its like are blanks before a comment and on an empty line only.
        let before = text.iter().take_while(|byte| is_blank(**byte)).count();
        let (indent, text) = match text.get(before) {
            Some(b'#') => text.split_at(before),
            None if !in_block || width < 4 => text.split_at(before),
            _ => (indent, rest),
        };
        let (place, content) = match (text.first(), in_block) {
            (Some(b'#'), _) => (in_place(in_block), Content::Comment(Cow::Borrowed(text))),
            // What is left of a blank line is judged with the carriage return that belongs to its ending.
            (None, true) if width > 4 || (width == 4 && ending.len() == 2) => {
                (Place::Block, Content::Blank)
            }
            (None, _) => (Place::Global, Content::Blank),
            (Some(_), true) if width >= 4 => (Place::Block, Content::parse(text, true)),
            // Wrong in any case; most likely it was meant for a virtual service, and is cut like one of those.
            (Some(_), _) if !indent.is_empty() => (Place::Global, Content::parse(text, true)),
            (Some(_), _) => match Content::parse(text, false) {
                content if content.opens_block() => (Place::Opening, Content::parse(text, true)),
                content => (Place::Global, content),
            },
        };
        Line { place, indent: Cow::Borrowed(indent), content, ending: Cow::Borrowed(ending) }
    }

    /// The same line, in memory of its own.
    pub(super) fn into_owned(self) -> Line<'static> {
        let owned = |part: Cow<'_, [u8]>| Cow::Owned(part.into_owned());
        Line {
            place: self.place,
            indent: owned(self.indent),
            content: match self.content {
                Content::Blank => Content::Blank,
                Content::Comment(text) => Content::Comment(owned(text)),
                Content::Directive { key, equals, value, tail } => Content::Directive {
                    key: owned(key),
                    equals: owned(equals),
                    value: owned(value),
                    tail: owned(tail),
                },
                Content::Unreadable(text) => Content::Unreadable(owned(text)),
            },
            ending: owned(self.ending),
        }
    }

    /// Its pieces in order.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let content: [&[u8]; 4] = match &self.content {
            Content::Blank => [&[], &[], &[], &[]],
            Content::Comment(text) | Content::Unreadable(text) => [text, &[], &[], &[]],
            Content::Directive { key, equals, value, tail } => [key, equals, value, tail],
        };
        [self.indent.as_ref()].into_iter().chain(content).chain([self.ending.as_ref()])
    }

    /// How many bytes it has, ending and all.
    #[expect(clippy::len_without_is_empty, reason = "a line is never of interest for being empty")]
    pub fn len(&self) -> usize {
        self.parts().map(<[u8]>::len).sum()
    }
}

fn in_place(in_block: bool) -> Place {
    if in_block { Place::Block } else { Place::Global }
}

/// Whether Perl's `\s` matches it.
pub(super) fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// How many blanks and tabs the text begins with.
fn blanks(text: &[u8]) -> usize {
    text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

// === impl Content ===

impl<'a> Content<'a> {
    /// Reads what follows the indentation; `cut` says whether a `#` ends the value.
    fn parse(text: &'a [u8], cut: bool) -> Content<'a> {
        let end_of_key = text.iter().position(|byte| *byte == b'=' || byte.is_ascii_whitespace());
        let (key, rest) = text.split_at(end_of_key.unwrap_or(text.len()));
        let before = blanks(rest);
        if key.is_empty() || rest.get(before) != Some(&b'=') {
            return Content::Unreadable(Cow::Borrowed(text));
        }
        let after = blanks(rest.get(before + 1..).unwrap_or_default());
        let (equals, rest) = rest.split_at(before + 1 + after);
        let end = if cut { rest.iter().position(|byte| *byte == b'#') } else { None };
        let (value, tail) = rest.split_at(end.unwrap_or(rest.len()));
        Content::Directive {
            key: Cow::Borrowed(key),
            equals: Cow::Borrowed(equals),
            value: Cow::Borrowed(value),
            tail: Cow::Borrowed(tail),
        }
    }

    fn opens_block(&self) -> bool {
        matches!(self, Content::Directive { key, .. } if matches!(key.as_ref(), b"virtual" | b"virtual6"))
    }
}
