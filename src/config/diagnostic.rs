//! [`Diagnostic`]: one thing that is wrong or doubtful in a file, as data.
//!
//! Nothing is drawn here, that is `render`'s; nothing is decided here but when to stop collecting.

use std::ops::Range;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used.
    Warning,
}

/// What ldirectord does at the same place; tools and people know its words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ldirectord {
    /// It finds the same fault, and prints this after `at line N: `.
    Says(String),
    /// It refuses the file, though no harm is in it.
    Refuses,
    /// It says nothing.
    Silent,
}

/// One thing that is wrong or doubtful.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The kind of fault, `E0201`; each has a paragraph in [`super::codes::CODES`].
    pub code: &'static str,
    /// Where, in bytes of the source.
    pub span: Range<usize>,
    /// What, in a sentence without a full stop.
    pub message: String,
    /// What to do about it, a sentence each.
    pub hints: Vec<String>,
    /// What ldirectord does at the same place.
    pub ldirectord: Ldirectord,
}

impl Diagnostic {
    /// An error.
    pub(super) fn error(
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            code,
            span,
            message: message.into(),
            hints: Vec::new(),
            ldirectord: Ldirectord::Silent,
        }
    }

    /// A warning.
    pub(super) fn warning(
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, span, message) }
    }

    /// The same, with something to do about it.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hints.push(hint.into());
        self
    }

    /// The same; ldirectord prints this.
    #[must_use]
    pub(super) fn says(mut self, text: impl Into<String>) -> Diagnostic {
        self.ldirectord = Ldirectord::Says(text.into());
        self
    }

    /// The same; ldirectord refuses the file.
    #[must_use]
    pub(super) fn refused(mut self) -> Diagnostic {
        self.ldirectord = Ldirectord::Refuses;
        self
    }

    /// The line it begins on, counted from 1.
    pub fn line(&self, source: &[u8]) -> usize {
        let before = source.get(..self.span.start).unwrap_or(source);
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }
}

/// How many diagnostics are kept. A binary file would otherwise give millions that nobody reads.
const MOST: usize = 1000;

/// The diagnostics found so far.
#[derive(Default)]
pub(super) struct Findings {
    list: Vec<Diagnostic>,
    left_out: usize,
    error_left_out: bool,
}

impl Findings {
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        if self.list.len() < MOST {
            self.list.push(diagnostic);
        } else {
            self.left_out += 1;
            self.error_left_out |= diagnostic.severity == Severity::Error;
        }
    }

    /// Whether there are so many that looking for more serves nobody.
    pub(super) fn are_too_many(&self) -> bool {
        self.error_left_out
    }

    /// All of them, in the order of the file.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|diagnostic| diagnostic.span.start);
        if let Some(last) = self.list.last()
            && self.left_out > 0
        {
            let span = last.span.clone();
            let message = format!("more than {MOST} faults; the rest are not shown");
            self.list.push(match self.error_left_out {
                true => Diagnostic::error("E0001", span, message),
                false => Diagnostic::warning("W0001", span, message),
            });
        }
        self.list
    }
}
