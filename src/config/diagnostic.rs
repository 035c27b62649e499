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
    /// The file means what it says, and people come to regret it.
    Advice,
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
    /// Where, as [`super::Sources::line`] counts.
    pub span: Range<usize>,
    /// What, in a sentence without a full stop.
    pub message: String,
    /// What to do about it, a sentence each.
    pub hints: Vec<String>,
    /// Another place that has to do with it, and what it is: `the first description`.
    pub elsewhere: Option<Box<(Range<usize>, &'static str)>>,
    /// What ldirectord does at the same place.
    pub ldirectord: Ldirectord,
}

impl Diagnostic {
    /// Whether it is of interest only to who also wants ldirectord to read the file.
    pub fn is_of_portability_alone(&self) -> bool {
        self.code == "A0105"
    }

    /// The same; an error if ldirectord refuses the file for it.
    #[must_use]
    pub fn strictly(mut self) -> Diagnostic {
        if self.ldirectord == Ldirectord::Refuses {
            self.severity = Severity::Error;
        }
        self
    }

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
            elsewhere: None,
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

    /// Advice.
    pub(super) fn advice(
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic { severity: Severity::Advice, ..Diagnostic::error(code, span, message) }
    }

    /// The same, with something to do about it.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hints.push(hint.into());
        self
    }

    /// The same, with another place that has to do with it.
    #[must_use]
    pub(super) fn elsewhere(mut self, span: Range<usize>, what: &'static str) -> Diagnostic {
        self.elsewhere = Some(Box::new((span, what)));
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
}

/// How many diagnostics of one severity are kept. A binary file would otherwise give millions that nobody reads.
const MOST: usize = 1000;

/// The diagnostics found so far.
#[derive(Default)]
pub(super) struct Findings {
    list: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
    advice: usize,
}

impl Findings {
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        let count = match diagnostic.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
            Severity::Advice => &mut self.advice,
        };
        *count += 1;
        if *count <= MOST {
            self.list.push(diagnostic);
        }
    }

    /// Whether the configuration cannot be used.
    pub(super) fn has_error(&self) -> bool {
        self.errors > 0
    }

    /// Whether there are so many that looking for more serves nobody.
    pub(super) fn are_too_many(&self) -> bool {
        self.errors > MOST
    }

    /// All of them, in the order of the file.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|diagnostic| diagnostic.span.start);
        if let Some(span) = self.list.last().map(|last| last.span.clone()) {
            let message = format!("more than {MOST} faults; the rest are not shown");
            if self.errors > MOST {
                self.list.push(Diagnostic::error("E0001", span, message));
            } else if self.warnings > MOST {
                self.list.push(Diagnostic::warning("W0001", span, message));
            } else if self.advice > MOST {
                let message = format!("more than {MOST} pieces of advice; the rest are not shown");
                self.list.push(Diagnostic::advice("A0001", span, message));
            }
        }
        self.list
    }
}
