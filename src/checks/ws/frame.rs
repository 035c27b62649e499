//! Frames of WebSocket: RFC 6455 section 5.2.

use crate::{
    checks::{failure, link::Link, random},
    model::{Failure, Reason},
};

/// In the first byte: the last frame of a message; three bits for extensions; the kind.
const LAST: u8 = 0x80;
const RESERVED: u8 = 0x70;
const KIND: u8 = 0x0f;

/// In the second byte: that the payload is masked; its length, or where that stands.
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;

/// The longest payload of a frame that is about the connection, and the longest that the second byte can say.
const SHORT: u8 = 125;

/// The length stands in two bytes behind; in eight.
const IN_TWO: u8 = 126;
const IN_EIGHT: u8 = 127;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

const KINDS: [(Kind, u8); 6] = [
    (Kind::Continuation, 0),
    (Kind::Text, 1),
    (Kind::Binary, 2),
    (Kind::Close, 8),
    (Kind::Ping, 9),
    (Kind::Pong, 10),
];

impl Kind {
    fn number(self) -> u8 {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or(0, |(_, number)| *number)
    }

    /// Whether it is about the connection and no part of a message.
    fn is_control(self) -> bool {
        self.number() >= 8
    }
}

/// The beginning of a frame.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    /// Whether a message ends with it.
    pub(super) is_last: bool,
    /// How long its payload is said to be, in bytes.
    pub(super) length: usize,
    /// How long the beginning itself is.
    pub(super) header: usize,
}

impl Frame {
    /// Reads the beginning of a frame. Its payload comes next.
    pub(super) async fn read(link: &mut Link<'_>) -> Result<Frame, Failure> {
        link.at_least(2).await?;
        let (first, second) = match link.buffered() {
            [first, second, ..] => (*first, *second),
            _ => return Err(link.closed()),
        };
        let behind = match second & LENGTH {
            IN_TWO => 2,
            IN_EIGHT => 8,
            _ => 0,
        };
        let header = 2_usize.saturating_add(behind);
        let known = KINDS.iter().find(|(_, number)| *number == first & KIND);
        let is_short = second & LENGTH <= SHORT;
        let fault = match known {
            None => "of a kind that does not exist",
            _ if first & RESERVED != 0 => "of an extension that nobody asked for",
            // Only clients do that.
            _ if second & MASKED != 0 => "with a mask",
            Some((kind, _)) if kind.is_control() && (first & LAST == 0 || !is_short) => {
                "about the connection that is in parts or too long"
            }
            Some((kind, _)) => {
                link.at_least(header).await?;
                let bytes = link.buffered().get(2..header).unwrap_or_default();
                let length = match behind {
                    0 => u64::from(second & LENGTH),
                    _ => bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
                };
                link.consume(header);
                // What no memory holds is longer than what is looked at.
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                return Ok(Frame { kind: *kind, is_last: first & LAST != 0, length, header });
            }
        };
        Err(failure(Reason::Protocol, format!("{} sent a frame {fault}", link.peer())))
    }
}

/// A whole frame of ours, masked as those of clients must be (section 5.3). The payload of control frames is short.
pub(super) fn masked(kind: Kind, payload: &[u8]) -> Result<Vec<u8>, Failure> {
    let mask = random::bytes::<4>()?;
    let mut frame = vec![LAST | kind.number()];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..=SHORT), _) => frame.push(MASKED | length),
        (_, Ok(length)) => {
            frame.push(MASKED | IN_TWO);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            let length = u64::try_from(payload.len()).unwrap_or(u64::MAX);
            frame.push(MASKED | IN_EIGHT);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    Ok(frame)
}
