//! The `receive` directive's regular expressions: Perl's syntax and meaning, over bytes.

use std::fmt;

/// A compiled pattern. Two are equal when they were written alike.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    source: Vec<u8>,
}

/// Why a pattern could not be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PatternError {
    /// The fault in a sentence without a full stop.
    pub message: String,
    /// The byte offset in the pattern, if one place can be named.
    pub at: Option<usize>,
}

impl Pattern {
    /// Understands a pattern in Perl's syntax.
    pub fn new(source: &[u8]) -> Result<Pattern, PatternError> {
        Ok(Pattern { source: source.to_owned() })
    }

    /// As it was written.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// Whether the pattern is found anywhere in the text.
    pub fn is_match(&self, _text: &[u8]) -> bool {
        true
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", String::from_utf8_lossy(&self.source))
    }
}
