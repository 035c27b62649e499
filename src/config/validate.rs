//! A [`Document`] in, a [`Config`] and everything that is wrong with it out.
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
    syntax::{Content, Document, Line, Place},
    value::{Value, shown, unknown_command, without_tabs},
};
use crate::config::diagnostic::Findings;

/// Checks a document, line by line.
pub(super) fn validate(document: &Document<'_>, world: &World<'_>) -> (Config, Findings) {
    let mut draft = Draft {
        globals: Globals::default(),
        block: None,
        findings: Findings::default(),
        host_name: world.host_name,
        patterns: std::collections::HashMap::new(),
    };
    if !document.mark.is_empty() {
        draft.findings.push(
            Diagnostic::warning(
                "W0107",
                0..document.mark.len(),
                "the file begins with a byte order mark",
            )
            .refused()
            .hint("save it without; ldirectord does not know the first line then"),
        );
    }
    let mut resolver = Resolver::new(world);
    let mut reader = Reader { draft, ended: None, line_number: 0 };
    let n_lines = document.lines.len();
    for (start, line) in document.positioned() {
        reader.line_number += 1;
        if reader.draft.findings.are_too_many() {
            break;
        }
        if line.place != Place::Block
            && let Some(block) = reader.draft.block.take()
        {
            resolver.service(block, &mut reader.draft.findings);
        }
        reader.line(start, line);
        if line.place == Place::Opening {
            resolver.opened_at(reader.line_number);
            if reader.line_number == n_lines {
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
}

impl Reader<'_> {
    fn line(&mut self, start: usize, line: &Line<'_>) {
        let text_start = start + line.indent.len();
        let end = start + line.len() - line.ending.len();
        let whole: Vec<&[u8]> = line.parts().collect();
        let raw = || {
            whole
                .concat()
                .strip_suffix(line.ending.as_ref())
                .map(<[u8]>::to_vec)
                .unwrap_or_default()
        };
        let in_block = line.place == Place::Block;
        match &line.content {
            Content::Comment(_) => return,
            Content::Blank => {
                if in_block {
                    self.draft.findings.push(
                        Diagnostic::warning(
                            "W0108",
                            start..end,
                            "a line of blanks inside of a virtual service",
                        )
                        .refused(),
                    );
                } else if matches!(self.ended, None | Some(Ended::Outdent)) {
                    self.ended = Some(Ended::Blank(self.line_number));
                }
                return;
            }
            Content::Unreadable(text) => {
                self.unreadable(text, line, text_start..end, &raw());
            }
            Content::Directive { key, equals, value, tail } => {
                let key_place = text_start..text_start + key.len();
                match Directive::find(key) {
                    Some(directive)
                        if directive.fits(in_block) && (in_block || line.indent.is_empty()) =>
                    {
                        let raw = raw();
                        let value = Value {
                            directive,
                            text: if in_block {
                                without_tabs(value)
                            } else {
                                Cow::Borrowed(value.as_ref())
                            },
                            written: value,
                            tail,
                            start: key_place.end + equals.len(),
                            key: key_place,
                            in_block,
                            carriage_return: line.ending.len() == 2,
                            line: &raw,
                        };
                        (directive.set)(&mut self.draft, &value);
                    }
                    known => {
                        let fault = self
                            .misplaced(known, key, line)
                            .says(unknown_command(&raw(), in_block));
                        self.draft.findings.push(Diagnostic { span: key_place, ..fault });
                    }
                }
            }
        }
        match line.place {
            Place::Opening | Place::Block => self.ended = None,
            Place::Global if self.ended.is_none() => self.ended = Some(Ended::Outdent),
            Place::Global => {}
        }
    }

    /// A line without a directive.
    fn unreadable(
        &mut self,
        text: &[u8],
        line: &Line<'_>,
        span: std::ops::Range<usize>,
        raw: &[u8],
    ) {
        let in_block = line.place == Place::Block;
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
        self.draft.findings.push(fault.says(unknown_command(raw, in_block)));
    }

    /// A directive that is not known, or not here.
    fn misplaced(&self, known: Option<&Directive>, key: &[u8], line: &Line<'_>) -> Diagnostic {
        let in_block = line.place == Place::Block;
        let name = shown(key);
        let Some(directive) = known else {
            let fault = Diagnostic::error("E0101", 0..0, format!("there is no directive `{name}`"));
            let elsewhere =
                set::suggestion(key, in_block).or_else(|| set::suggestion(key, !in_block));
            return match elsewhere {
                Some(suggestion) => fault.hint(suggestion),
                None => fault,
            };
        };
        if in_block {
            return Diagnostic::error(
                "E0102",
                0..0,
                format!("`{name}` cannot be said of one virtual service"),
            )
            .hint("put it in the first column, before the first virtual service");
        }
        let fault = match directive.fits(false) {
            true => Diagnostic::error(
                "E0104",
                0..0,
                format!("`{name}` is indented, and belongs to no virtual service"),
            ),
            false => Diagnostic::error(
                "E0104",
                0..0,
                format!("`{name}` must stand in a virtual service"),
            ),
        };
        match (self.ended, line.indent.is_empty()) {
            (Some(Ended::Blank(number)), false) => fault
                .hint(format!("the empty line {number} ended the virtual service; make it a comment or take it out")),
            (_, true) => fault.hint("indent it by a tab or four blanks, below the `virtual` line it belongs to"),
            (_, false) if directive.fits(false) => fault.hint("put it in the first column"),
            (_, false) => fault.hint("indent it by a tab or four blanks, below the `virtual` line it belongs to"),
        }
    }
}
