//! BER as LDAP uses it (RFC 4511, section 5.1; X.690): one byte of tag, a definite length, the value.
//!
//! [`Reader`] takes values out of bytes that came from outside; what makes no sense is `None`, and nothing is copied.

use zeroize::Zeroizing;

/// The tags of the universal types that LDAP uses.
pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const SEQUENCE: u8 = 0x30;

/// Writes a value with its tag.
pub(super) fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    // In one piece, so that no copy of a password is left behind.
    let mut bytes = Vec::with_capacity(value.len().saturating_add(10));
    bytes.push(tag);
    match u8::try_from(value.len()) {
        Ok(length @ ..0x80) => bytes.push(length),
        _ => {
            let length = value.len().to_be_bytes();
            let length = length.iter().skip_while(|byte| **byte == 0);
            bytes.push(u8::try_from(length.clone().count()).unwrap_or(u8::MAX) | 0x80);
            bytes.extend(length);
        }
    }
    bytes.extend(value);
    bytes
}

/// Writes values one after another into one.
pub(super) fn constructed(tag: u8, values: &[Vec<u8>]) -> Vec<u8> {
    tagged(tag, &Zeroizing::new(values.concat()))
}

/// The head of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    pub(super) tag: u8,
    /// How long the head itself is, in bytes.
    pub(super) length: usize,
    /// How long the value is, in bytes.
    pub(super) value: usize,
}

/// What the beginning of a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Begin {
    Head(Head),
    /// More bytes are needed to tell.
    Short,
    /// No value begins so.
    Wrong,
}

/// Reads the head of a value.
pub(super) fn begin(bytes: &[u8]) -> Begin {
    let [tag, first, rest @ ..] = bytes else { return Begin::Short };
    // Tags of several bytes are nowhere in LDAP.
    if tag & 0x1f == 0x1f {
        return Begin::Wrong;
    }
    let (count, value) = match first & 0x7f {
        _ if *first < 0x80 => (0, usize::from(*first)),
        // Four bytes are more than anybody needs; none is the indefinite form, which LDAP forbids.
        count @ 1..=4 => {
            let count = usize::from(count);
            let Some(length) = rest.get(..count) else { return Begin::Short };
            (count, length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
        }
        _ => return Begin::Wrong,
    };
    Begin::Head(Head { tag: *tag, length: count.saturating_add(2), value })
}

/// Values one after another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// The next value, whatever it is.
    pub(super) fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let Begin::Head(head) = begin(self.0) else { return None };
        let (value, rest) = self.0.get(head.length..)?.split_at_checked(head.value)?;
        self.0 = rest;
        Some((head.tag, value))
    }

    /// The next value, if it has this tag.
    pub(super) fn one(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.any().filter(|(found, _)| *found == tag).map(|(_, value)| value)
    }

    /// The next value, if it has this tag and is a number that is not below 0.
    pub(super) fn number(&mut self, tag: u8) -> Option<u32> {
        let value = self.one(tag)?;
        let is_positive = value.first().is_some_and(|byte| *byte < 0x80);
        let is_short = value.len() <= 5;
        let number = value.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        (is_positive && is_short).then(|| u32::try_from(number).ok())?
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn lengths_are_as_short_as_can_be() {
        assert_eq!(tagged(OCTET_STRING, b""), [4, 0]);
        assert_eq!(tagged(OCTET_STRING, b"abc"), *b"\x04\x03abc");
        assert_eq!(tagged(OCTET_STRING, &[b'x'; 127])[..3], *b"\x04\x7fx");
        assert_eq!(tagged(OCTET_STRING, &[b'x'; 128])[..4], *b"\x04\x81\x80x");
        assert_eq!(tagged(OCTET_STRING, &[b'x'; 256])[..5], *b"\x04\x82\x01\x00x");
        assert_eq!(tagged(OCTET_STRING, &[b'x'; 70_000])[..6], *b"\x04\x83\x01\x11\x70x");
        let parts = [tagged(INTEGER, &[3]), tagged(BOOLEAN, &[0])];
        assert_eq!(constructed(SEQUENCE, &parts), *b"\x30\x06\x02\x01\x03\x01\x01\x00");
    }

    #[test]
    fn heads_are_read_or_refused() {
        let head = |tag, length, value| Begin::Head(Head { tag, length, value });
        for (bytes, expected) in [
            (&b""[..], Begin::Short),
            (b"\x30", Begin::Short),
            (b"\x30\x05", head(0x30, 2, 5)),
            (b"\x30\x81", Begin::Short),
            (b"\x30\x81\x05", head(0x30, 3, 5)),
            (b"\x30\x84\0\0\x01", Begin::Short),
            (b"\x30\x84\0\0\x01\x02", head(0x30, 6, 258)),
            (b"\x30\x84\xff\xff\xff\xff", head(0x30, 6, 0xffff_ffff)),
            (b"\x30\x80", Begin::Wrong),
            (b"\x30\x85\0\0\0\0\0", Begin::Wrong),
            (b"\x1f\x01\x01", Begin::Wrong),
        ] {
            assert_eq!(begin(bytes), expected, "for {bytes:?}");
        }
    }

    #[test]
    fn numbers_are_not_below_nothing() {
        let number = |bytes| Reader(bytes).number(INTEGER);
        assert_eq!(number(b"\x02\x01\x07"), Some(7));
        assert_eq!(number(b"\x02\x05\0\xff\xff\xff\xff"), Some(u32::MAX));
        assert_eq!(number(b"\x02\x05\x01\0\0\0\0"), None);
        assert_eq!(number(b"\x02\x01\xff"), None);
        assert_eq!(number(b"\x02\x00"), None);
        assert_eq!(number(b"\x0a\x01\x07"), None);
        assert_eq!(number(b"\x02\x02\x07"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(tag in 0..0x1f_u8, length in 0..70_000_usize) {
            let value = vec![7; length];
            let bytes = [tagged(tag, &value), b"rest".to_vec()].concat();
            let mut reader = Reader(&bytes);
            prop_assert_eq!(reader.any(), Some((tag, value.as_slice())));
            prop_assert_eq!(reader.0, b"rest");
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in vec(any::<u8>(), 0..300)) {
            let mut reader = Reader(&bytes);
            let mut sum = 0;
            while let Some((_, value)) = reader.any() {
                sum += value.len() + 2;
            }
            prop_assert!(sum <= bytes.len());
            let _any = Reader(&bytes).number(INTEGER);
        }
    }
}
