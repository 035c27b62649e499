//! The lines of a file in, a [`Config`] and everything that is wrong with it out.
//!
//! Goes through the lines in order, gives every directive to its row of the table, and hands a virtual
//! service to `resolve` where it ends. Stops at no fault: what is wrong is as if it were not there.

use std::borrow::Cow;

use super::{
    Diagnostic, World,
    directives::Directive,
    draft::{Draft, Globals},
    resolve::{Config, Resolver},
    set,
    syntax::{Content, Line, Place, byte_order_mark, lines},
    value::{Value, shown, unknown_command, without_tabs},
};
use crate::config::diagnostic::Findings;

/// Checks a file, line by line.
pub(super) fn validate(source: &[u8], world: &World<'_>) -> (Config, Findings) {
    let mut draft = Draft {
        globals: Globals::default(),
        block: None,
        findings: Findings::default(),
        host_name: world.host_name,
        patterns: std::collections::HashMap::new(),
    };
    let mark = byte_order_mark(source);
    if mark > 0 {
        draft.findings.push(
            Diagnostic::warning("W0107", 0..mark, "the file begins with a byte order mark")
                .refused()
                .hint("save it without; ldirectord does not know the first line then"),
        );
    }
    let mut resolver = Resolver::new(world);
    let mut reader = Reader { draft, ended: None, line_number: 0, told: false };
    for (start, line) in lines(source) {
        reader.line_number += 1;
        if reader.draft.findings.are_too_many() {
            break;
        }
        if ends_service(&line)
            && let Some(block) = reader.draft.block.take()
        {
            resolver.service(block, &mut reader.draft.findings);
        }
        reader.line(start, &line);
        if line.place == Place::Opening {
            resolver.opened_at(reader.line_number);
            if start + line.len() == source.len() {
                reader.draft.findings.push(
                    Diagnostic::warning("W0106", start..start + line.len(), "nothing follows this line")
                        .refused()
                        .hint("ldirectord then takes the service for a duplicate; put an empty line behind it"),
                );
            }
        }
    }
    let Draft { globals, block, mut findings, .. } = reader.draft;
    if let Some(block) = block {
        resolver.service(block, &mut findings);
    }
    (resolver.finish(globals, &mut findings), findings)
}

/// Whether a virtual service is over at the latest at this line.
///
/// An indented line that belongs to none is an error, and is then read as if it belonged to the service above,
/// so that one empty line too many gives one error and not one a line.
fn ends_service(line: &Line<'_>) -> bool {
    match line.place {
        Place::Opening => true,
        Place::Block => false,
        Place::Global => {
            line.indent.is_empty()
                && matches!(line.content, Content::Directive { .. } | Content::Unreadable(_))
        }
    }
}

/// Why the last virtual service ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// At an empty line with this number.
    Blank(usize),
    /// At a line that is indented too little.
    Outdent,
}

/// Reads lines.
struct Reader<'w> {
    draft: Draft<'w>,
    ended: Option<Ended>,
    line_number: usize,
    /// Whether it has been said of this run of indented lines that they belong to no virtual service.
    told: bool,
}

impl Reader<'_> {
    fn line(&mut self, start: usize, line: &Line<'_>) {
        let text_start = start + line.indent.len();
        let end = start + line.len() - line.ending.len();
        let stray = line.place == Place::Global && !line.indent.is_empty();
        let in_block = line.place == Place::Block || (stray && self.draft.block.is_some());
        match &line.content {
            Content::Comment(_) => return,
            Content::Blank => {
                self.blank(line, start..end);
                return;
            }
            Content::Unreadable(text) => {
                self.unreadable(text, line, text_start..end);
            }
            Content::Directive { key, equals, value, tail } => {
                let key_place = text_start..text_start + key.len();
                let known = Directive::find(key);
                if stray && known.is_some() {
                    self.stray(&shown(key), line, key_place.clone());
                }
                match known {
                    Some(directive) if directive.fits(in_block) && (in_block || !stray) => {
                        let text = match in_block {
                            true => without_tabs(value),
                            false => Cow::Borrowed(value.as_ref()),
                        };
                        let value = Value {
                            directive,
                            text,
                            written: value,
                            tail,
                            start: key_place.end + equals.len(),
                            key: key_place,
                            in_block,
                            carriage_return: line.ending.len() == 2,
                            line,
                        };
                        (directive.set)(&mut self.draft, &value);
                    }
                    Some(_) if stray => {}
                    known => {
                        let fault = misplaced(known, key, in_block);
                        let fault = fault.says(unknown_command(line, line.place == Place::Block));
                        self.draft.findings.push(Diagnostic { span: key_place, ..fault });
                    }
                }
            }
        }
        match line.place {
            Place::Opening | Place::Block => {
                self.ended = None;
                self.told = false;
            }
            Place::Global if self.ended.is_none() => self.ended = Some(Ended::Outdent),
            Place::Global => {}
        }
    }

    fn blank(&mut self, line: &Line<'_>, span: std::ops::Range<usize>) {
        if line.place == Place::Block {
            self.draft.findings.push(
                Diagnostic::warning("W0108", span, "a line of blanks inside of a virtual service")
                    .refused(),
            );
            return;
        }
        self.told = false;
        if self.ended.is_none() || self.draft.block.is_some() {
            self.ended = Some(Ended::Blank(self.line_number));
        }
    }

    /// A line that is indented and belongs to no virtual service.
    fn stray(&mut self, name: &str, line: &Line<'_>, span: std::ops::Range<usize>) {
        let width: usize = without_tabs(&line.indent).len();
        if width >= 4 && self.told {
            return;
        }
        self.told = true;
        let known = Directive::find(name.as_bytes());
        let for_all = known.is_some_and(|directive| directive.fits(false));
        let fault = Diagnostic::error(
            "E0104",
            span,
            format!("`{name}` is indented, and belongs to no virtual service"),
        );
        let fault = match (self.draft.block.is_some(), self.ended) {
            (true, _) if width < 4 => fault.hint("a line of a virtual service begins with a tab or at least four blanks"),
            (true, Some(Ended::Blank(number))) => fault.hint(format!(
                "line {number} is empty, which ends the virtual service; take it out, or make it a comment"
            )),
            (true, _) => fault.hint("the line above that has fewer than four blanks ended the virtual service"),
            (false, _) if for_all => fault.hint("put it in the first column"),
            (false, _) => fault.hint("a virtual service begins with a `virtual` line in the first column"),
        };
        self.draft.findings.push(fault.says(unknown_command(line, false)));
    }

    /// A line without a directive.
    fn unreadable(&mut self, text: &[u8], line: &Line<'_>, span: std::ops::Range<usize>) {
        let in_block = line.place == Place::Block || self.draft.block.is_some();
        let trimmed = text.trim_ascii_end();
        let span = span.start..span.start + trimmed.len();
        if trimmed == b"supervised" && !in_block && line.indent.is_empty() {
            self.draft.globals.supervised = true;
            self.draft.findings.push(
                Diagnostic::warning(
                    "W0202",
                    span,
                    "`supervised` stands without a value, which means yes",
                )
                .says("please update your config not to use a bare supervised directive")
                .hint("write supervised=yes"),
            );
            return;
        }
        let first = trimmed.split(|byte| !byte.is_ascii_alphanumeric()).next().unwrap_or_default();
        let fault = match Directive::find(first) {
            Some(directive) => Diagnostic::error("E0103", span, format!("`{}` has no `=`", directive.name))
                .hint(format!("for example: {}={}", directive.name, directive.example)),
            None if trimmed.first() == Some(&b'[') => {
                Diagnostic::error("E0103", span, "this file has no sections")
                    .hint("a virtual service begins with virtual=ADDRESS:PORT; to say more about it write a comment")
            }
            None => Diagnostic::error("E0103", span, "this line is neither a directive nor a comment")
                .hint("a directive reads NAME=VALUE; a comment begins with #"),
        };
        self.draft.findings.push(fault.says(unknown_command(line, line.place == Place::Block)));
    }
}

/// A directive that is not known, or not here.
fn misplaced(known: Option<&Directive>, key: &[u8], in_block: bool) -> Diagnostic {
    let name = shown(key);
    match known {
        None => {
            let fault = Diagnostic::error("E0101", 0..0, format!("there is no directive `{name}`"));
            let suggestion =
                set::suggestion(key, in_block).or_else(|| set::suggestion(key, !in_block));
            match suggestion {
                Some(suggestion) => fault.hint(suggestion),
                None => fault,
            }
        }
        Some(_) if in_block => Diagnostic::error(
            "E0102",
            0..0,
            format!("`{name}` cannot be said of one virtual service"),
        )
        .hint("put it in the first column, outside of every virtual service"),
        Some(_) => {
            Diagnostic::error("E0104", 0..0, format!("`{name}` must stand in a virtual service"))
                .hint("indent it by a tab or four blanks, below the `virtual` line it belongs to")
        }
    }
}
