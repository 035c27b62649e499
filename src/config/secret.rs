//! Lines without their secrets, for everything that is shown or kept for showing.

use std::borrow::Cow;

use super::{
    credentials::KEYS,
    directives::distance,
    syntax::{Content, Document},
};

/// Directives whose values are nobody's business.
pub(super) const HIDDEN: [&str; 6] =
    ["passwd", "secret", "requestheader", "requestbody", "send", "webhook"];

/// A line with a star for every letter of a secret.
pub(super) fn masked(line: &[u8]) -> Cow<'_, [u8]> {
    let document = Document::parse(line);
    let Some((start, parsed)) = document.positioned().next() else { return Cow::Borrowed(line) };
    let secret = match &parsed.content {
        Content::Directive { key, equals, .. }
            if HIDDEN.iter().any(|name| is_like(key, name.as_bytes())) =>
        {
            start + parsed.indent.len() + key.len() + equals.len()
        }
        Content::Unreadable(text) if HIDDEN.iter().any(|name| contains(text, name.as_bytes())) => {
            start + parsed.indent.len() + text.len().min(6)
        }
        _ => return Cow::Borrowed(line),
    };
    let mut masked = line.to_vec();
    star(masked.get_mut(secret..).unwrap_or_default());
    Cow::Owned(masked)
}

/// A line of a credentials file with a star for every letter that may be one of a secret.
pub(super) fn masked_credential(line: &[u8]) -> Vec<u8> {
    let key = line.split(|byte| *byte == b'=').next().unwrap_or_default();
    let is_known = KEYS.iter().any(|name| name.as_bytes() == key.trim_ascii());
    let shown = match line.trim_ascii_start().first() {
        Some(b'[') => line.len(),
        _ if is_known => key.len() + 1,
        _ => 0,
    };
    let mut masked = line.to_vec();
    star(masked.get_mut(shown..).unwrap_or_default());
    masked
}

/// Puts a star for every letter.
fn star(text: &mut [u8]) {
    for byte in text {
        if !byte.is_ascii_whitespace() && *byte != b'"' {
            *byte = b'*';
        }
    }
}

/// Whether a key is this name or a misspelling of it.
fn is_like(key: &[u8], name: &[u8]) -> bool {
    let key = key.to_ascii_lowercase();
    // Of a short name most words differ in a few letters.
    distance(&key, name) <= (name.len() / 2).min(3)
        || contains(&key, b"pass")
        || contains(&key, b"secret")
}

fn contains(text: &[u8], name: &[u8]) -> bool {
    text.to_ascii_lowercase().windows(name.len()).any(|part| part == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_stars() {
        for (line, wanted) in [
            ("passwd = a b", "passwd = * *"),
            ("[web=1]", "[web=1]"),
            ("hunter2", "*******"),
            ("pass=hunter2", "************"),
            ("login=\"x\"=y", "login=\"*\"**"),
        ] {
            let masked = masked_credential(line.as_bytes());
            assert_eq!(String::from_utf8(masked).unwrap(), wanted);
        }
    }
}
