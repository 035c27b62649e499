//! The two messages of the health service, in the wire format of Protocol Buffers.
//!
//! Both have one field: the name of a service in the question, a number in the answer. Fields that a later version may
//! add are passed over.

/// The tag of the field `service`: the first one, with its length before it.
const SERVICE: u8 = 0x0a;

/// The number of the field `status`.
const STATUS: u64 = 1;

/// The question about a service, as it is sent: not compressed, with its length before it.
pub(super) fn framed(service: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    // A field that is empty is left out.
    if !service.is_empty() {
        message.push(SERVICE);
        message.extend(varint(service.len()));
        message.extend(service);
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], &message].concat()
}

/// Seven bits in a byte, the lowest first, and the eighth bit says that more follow.
fn varint(number: usize) -> Vec<u8> {
    let (mut rest, mut bytes) = (number, Vec::new());
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or_default();
        rest >>= 7;
        bytes.push(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            return bytes;
        }
    }
}

/// The status in an answer, 0 if it has none; nothing if it is no message.
pub(super) fn health(message: &[u8]) -> Option<u64> {
    let (mut rest, mut status) = (message, 0);
    while !rest.is_empty() {
        let tag;
        (tag, rest) = number(rest)?;
        let skipped = match tag & 7 {
            0 => {
                let value;
                (value, rest) = number(rest)?;
                if tag >> 3 == STATUS {
                    status = value;
                }
                0
            }
            1 => 8,
            2 => {
                let length;
                (length, rest) = number(rest)?;
                usize::try_from(length).ok()?
            }
            5 => 4,
            _ => return None,
        };
        rest = rest.get(skipped..)?;
    }
    Some(status)
}

/// A number of up to ten bytes, and what follows it.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut sum = 0_u64;
    for (place, byte) in bytes.iter().enumerate().take(10) {
        let shift = u32::try_from(place).ok()?.checked_mul(7)?;
        sum |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((sum, bytes.get(place.checked_add(1)?..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_question_is_framed() {
        assert_eq!(framed(b""), [0, 0, 0, 0, 0]);
        assert_eq!(framed(b"shop"), b"\0\0\0\0\x06\x0a\x04shop");
        let long = framed(&[b'x'; 300]);
        assert_eq!(long[..8], [0, 0, 0, 1, 0x2f, 0x0a, 0xac, 0x02]);
        assert_eq!(long.len(), 308);
    }

    #[test]
    fn the_status_is_found_among_what_is_unknown() {
        assert_eq!(health(b""), Some(0));
        assert_eq!(health(b"\x08\x01"), Some(1));
        assert_eq!(health(b"\x08\x02\x08\x01"), Some(1), "the last counts");
        assert_eq!(health(b"\x12\x02\x08\x02\x08\x81\x01"), Some(129));
        assert_eq!(
            health(b"\x11\x08\x02\x08\x02\x08\x02\x08\x02\x25\x08\x02\x08\x02\x08\x01"),
            Some(1)
        );
        // Field 16, whose tag takes two bytes.
        assert_eq!(health(b"\x80\x01\x02\x08\x01"), Some(1));
        for wrong in [
            &b"\x08"[..],
            b"\x08\x81",
            b"\x0a\x05x",
            b"\x0b",
            b"\x11\0",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            assert_eq!(health(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            health(&bytes);
        }

        #[test]
        fn numbers_are_read_as_they_are_written(written in any::<u32>()) {
            let bytes = varint(usize::try_from(written).unwrap());
            prop_assert_eq!(number(&bytes), Some((u64::from(written), &[][..])));
        }
    }
}
