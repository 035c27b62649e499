//! The `receive` directive's regular expressions: Perl's syntax and meaning, over bytes.
//!
//! In goes a pattern as the configuration has it, out comes a matcher, or a fault with its place.
//! Perl's dialect is translated to a small common one, and that is given to one of two engines: `regex`, whose time
//! is linear in the text, for most; `fancy-regex`, which backtracks, for look-around, back-references and the like.
//! Backtracking is bounded: a match that takes too long counts as none. It is only tried where a relaxed form of the
//! pattern, without all that, is found by the linear engine; so most texts that do not match cost no backtracking.
//!
//! The text is bytes: no character set is assumed, classes and case are ASCII's, as in ldirectord, which does not
//! decode what servers say.
//!
//! Not supported, and refused with a fault: recursion, code in patterns, Unicode properties, backtracking verbs.

mod class;
mod translate;
mod found;

pub use found::Found;

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// How often `fancy-regex` may turn back in one place of the text.
const BACKTRACK_LIMIT: usize = 250_000;

/// How many bytes of text may be looked at again and again, from one place after another, before we give up; each
/// time it may be all the text that is left. A text of 8 KiB can be tried in every place; the worst takes half a second.
const EFFORT: usize = 32 * 1024 * 1024;

/// A compiled pattern. Two are equal when they were written alike. Cheap to clone.
#[derive(Clone)]
pub struct Pattern {
    inner: Arc<Inner>,
}

struct Inner {
    source: Vec<u8>,
    engine: Engine,
}

enum Engine {
    Linear(regex::bytes::Regex),
    Backtracking { exact: Box<fancy_regex::Regex>, relaxed: Option<regex::bytes::Regex> },
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
        let translation = translate::translate(source)?;
        let linear = |text: &str| regex::bytes::RegexBuilder::new(text).unicode(false).build();
        let text = &translation.text;
        let engine = match translation.relaxed {
            None => Engine::Linear(linear(text).map_err(|error| refused(&error))?),
            Some(relaxed) => {
                let built = fancy_regex::RegexBuilder::new(text)
                    .unicode_mode(false)
                    .bytes_mode(fancy_regex::BytesMode::Ascii)
                    .backtrack_limit(BACKTRACK_LIMIT)
                    .build();
                let exact = Box::new(built.map_err(|error| refused(&error))?);
                Engine::Backtracking { exact, relaxed: linear(&relaxed).ok() }
            }
        };
        Ok(Pattern { inner: Arc::new(Inner { source: source.to_owned(), engine }) })
    }

    /// As it was written.
    pub fn source(&self) -> &[u8] {
        &self.inner.source
    }

    /// Whether the pattern is found anywhere in the text.
    pub fn is_match(&self, text: &[u8]) -> bool {
        match &self.inner.engine {
            Engine::Linear(regex) => regex.is_match(text),
            Engine::Backtracking { exact, relaxed } => {
                search(exact, relaxed.as_ref(), text, EFFORT).is_some()
            }
        }
    }

    /// Where the first part of the text ends in which the pattern is found.
    pub fn find_end(&self, text: &[u8]) -> Option<usize> {
        match &self.inner.engine {
            Engine::Linear(regex) => regex.find(text).map(|found| found.end()),
            Engine::Backtracking { exact, relaxed } => {
                search(exact, relaxed.as_ref(), text, EFFORT)
            }
        }
    }
}

/// Tries the pattern where its relaxed form is found, until the effort is spent; where the part ends that it matches.
fn search(
    exact: &fancy_regex::Regex,
    relaxed: Option<&regex::bytes::Regex>,
    text: &[u8],
    mut effort: usize,
) -> Option<usize> {
    let mut at = 0;
    loop {
        // Without a relaxed form, which may be too large, every place is tried.
        let start = match relaxed {
            Some(relaxed) => relaxed.find_at(text, at).map(|found| found.start()),
            None => Some(at),
        };
        let left = text.len().saturating_sub(start?);
        effort = effort.checked_sub(left)?;
        let input = fancy_regex::RegexInput::new(text).from_pos(start?).anchored(true);
        match exact.find_input(input) {
            Ok(Some(found)) => return Some(found.end()),
            Ok(None) if left > 0 => at = start?.saturating_add(1),
            Ok(None) | Err(_) => return None,
        }
    }
}

/// A pattern that we understand and an engine does not take: it is too large, or looks behind without bound.
fn refused(error: &dyn fmt::Display) -> PatternError {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
    PatternError { message: format!("the pattern cannot be used: {last}"), at: None }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.inner.source == other.inner.source
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.source.hash(state);
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", String::from_utf8_lossy(&self.inner.source))
    }
}

#[cfg(test)]
mod tests;
