//! Lines without their secrets, for everything that is shown or kept for showing.

use std::borrow::Cow;

use super::{
    directives::distance,
    syntax::{Content, Document},
};

/// Directives whose values are nobody's business.
const HIDDEN: [&[u8]; 2] = [b"passwd", b"secret"];

/// A line with a star for every letter of a secret.
pub(super) fn masked(line: &[u8]) -> Cow<'_, [u8]> {
    let document = Document::parse(line);
    let Some((start, parsed)) = document.positioned().next() else { return Cow::Borrowed(line) };
    let secret = match &parsed.content {
        Content::Directive { key, equals, .. } if HIDDEN.iter().any(|name| is_like(key, name)) => {
            start + parsed.indent.len() + key.len() + equals.len()
        }
        Content::Unreadable(text) if HIDDEN.iter().any(|name| contains(text, name)) => {
            start + parsed.indent.len() + text.len().min(6)
        }
        _ => return Cow::Borrowed(line),
    };
    let mut masked = line.to_vec();
    for byte in masked.get_mut(secret..).unwrap_or_default() {
        if !byte.is_ascii_whitespace() && *byte != b'"' {
            *byte = b'*';
        }
    }
    Cow::Owned(masked)
}

/// Whether a key is this name or a misspelling of it.
fn is_like(key: &[u8], name: &[u8]) -> bool {
    let key = key.to_ascii_lowercase();
    distance(&key, name) <= 3 || contains(&key, b"pass") || contains(&key, b"secret")
}

fn contains(text: &[u8], name: &[u8]) -> bool {
    text.to_ascii_lowercase().windows(name.len()).any(|part| part == name)
}
