//! Sets of bytes: what a character class matches, worked out here so that the engines' own ideas of classes,
//! of case and of escapes in them never come in.

use std::fmt;

/// A set of bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ByteSet([u64; 4]);

impl ByteSet {
    pub(super) const EMPTY: ByteSet = ByteSet([0; 4]);

    /// The bytes for which this is true.
    pub(super) fn of(is_in: impl Fn(u8) -> bool) -> ByteSet {
        let mut set = ByteSet::EMPTY;
        for byte in (0..=255).filter(|byte| is_in(*byte)) {
            if let Some(word) = set.0.get_mut(usize::from(byte >> 6)) {
                *word |= 1 << (byte & 63);
            }
        }
        set
    }

    pub(super) fn contains(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte >> 6)).is_some_and(|word| word >> (byte & 63) & 1 == 1)
    }

    #[must_use]
    pub(super) fn or(self, other: ByteSet) -> ByteSet {
        ByteSet::of(|byte| self.contains(byte) || other.contains(byte))
    }

    #[must_use]
    pub(super) fn not(self) -> ByteSet {
        ByteSet::of(|byte| !self.contains(byte))
    }

    /// With both cases of each letter.
    #[must_use]
    pub(super) fn any_case(self) -> ByteSet {
        ByteSet::of(|byte| {
            self.contains(byte.to_ascii_lowercase()) || self.contains(byte.to_ascii_uppercase())
        })
    }

    /// The set that an escape such as `\d` stands for, by its letter. Perl's `\h` and `\v` know Latin-1.
    pub(super) fn of_escape(letter: u8) -> Option<ByteSet> {
        let set = match letter.to_ascii_lowercase() {
            b'd' => ByteSet::of(|byte| byte.is_ascii_digit()),
            b'w' => ByteSet::of(is_word),
            b's' => ByteSet::of(is_space),
            b'h' => ByteSet::of(|byte| matches!(byte, b'\t' | b' ' | 0xa0)),
            b'v' => ByteSet::of(|byte| matches!(byte, b'\n'..=b'\r' | 0x85)),
            _ => return None,
        };
        Some(if letter.is_ascii_uppercase() { set.not() } else { set })
    }

    /// The set of `[:name:]`.
    pub(super) fn of_posix(name: &[u8]) -> Option<ByteSet> {
        Some(match name {
            b"alpha" => ByteSet::of(|byte| byte.is_ascii_alphabetic()),
            b"digit" => ByteSet::of(|byte| byte.is_ascii_digit()),
            b"alnum" => ByteSet::of(|byte| byte.is_ascii_alphanumeric()),
            b"upper" => ByteSet::of(|byte| byte.is_ascii_uppercase()),
            b"lower" => ByteSet::of(|byte| byte.is_ascii_lowercase()),
            b"punct" => ByteSet::of(|byte| byte.is_ascii_punctuation()),
            b"space" => ByteSet::of(is_space),
            b"blank" => ByteSet::of(|byte| matches!(byte, b'\t' | b' ')),
            b"cntrl" => ByteSet::of(|byte| byte.is_ascii_control()),
            b"graph" => ByteSet::of(|byte| byte.is_ascii_graphic()),
            b"print" => ByteSet::of(|byte| byte.is_ascii_graphic() || byte == b' '),
            b"xdigit" => ByteSet::of(|byte| byte.is_ascii_hexdigit()),
            b"word" => ByteSet::of(is_word),
            b"ascii" => ByteSet::of(|byte| byte.is_ascii()),
            _ => return None,
        })
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

/// As a class that both engines read alike: escaped bytes and ranges of them.
impl fmt::Display for ByteSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = (0_u8..=255).filter(|byte| self.contains(*byte)).peekable();
        if bytes.peek().is_none() {
            return f.write_str(r"[^\x00-\xff]");
        }
        f.write_str("[")?;
        while let Some(first) = bytes.next() {
            let mut last = first;
            while let Some(next) = bytes.next_if(|next| last.checked_add(1) == Some(*next)) {
                last = next;
            }
            match first == last {
                true => write!(f, r"\x{first:02x}")?,
                false => write!(f, r"\x{first:02x}-\x{last:02x}")?,
            }
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_written_as_ranges() {
        assert_eq!(
            ByteSet::of_escape(b'w').unwrap().to_string(),
            r"[\x30-\x39\x41-\x5a\x5f\x61-\x7a]"
        );
        assert_eq!(ByteSet::EMPTY.not().to_string(), r"[\x00-\xff]");
        assert_eq!(ByteSet::EMPTY.to_string(), r"[^\x00-\xff]");
        assert_eq!(ByteSet::of(|byte| byte == b'a').any_case().to_string(), r"[\x41\x61]");
    }
}
