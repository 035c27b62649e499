//! Packets: a length (24 bits, the least byte first), a number that counts them, and so many bytes.

use std::net::SocketAddr;

use super::{super::link::Link, failure, sql};
use crate::model::{Failure, Reason};

/// The longest packet that is read, in bytes. Rows are not read, only passed over.
const LONGEST: usize = 16 * 1024;

/// How much of what a server says may be told, in bytes; four for each character.
const TOLD: usize = 1024;

/// The bytes before a packet.
const HEAD: usize = 4;

/// Faults by which a server refuses a login: a password, a database, a host, an account.
const DENIED: &[u16] =
    &[1044, 1045, 1129, 1130, 1142, 1227, 1251, 1698, 1820, 1862, 3118, 3159, 4151];

/// A conversation in packets.
pub(super) struct Packets<'l, 'k> {
    link: &'l mut Link<'k>,
    peer: SocketAddr,
    /// The number of the next packet.
    number: u8,
}

impl<'l, 'k> Packets<'l, 'k> {
    pub(super) fn new(link: &'l mut Link<'k>, peer: SocketAddr) -> Packets<'l, 'k> {
        Packets { link, peer, number: 0 }
    }

    /// That the server does something wrong.
    pub(super) fn fault(&self, reason: Reason, text: &str) -> Failure {
        failure(reason, format!("{} {text}", self.peer))
    }

    /// The start of what the server said, with stars for each secret.
    pub(super) fn starred(&self, said: &[u8]) -> Vec<u8> {
        self.link.starred(said.get(..TOLD).unwrap_or(said))
    }

    /// That something came in place of this.
    pub(super) fn odd(&self, expected: &str) -> Failure {
        self.fault(Reason::Protocol, &format!("sent something else than {expected}"))
    }

    /// Has at least so many bytes in the buffer.
    async fn gather(&mut self, count: usize) -> Result<(), Failure> {
        while self.link.buffered().len() < count {
            if !self.link.fill().await? {
                return Err(match self.link.buffered() {
                    [] => self.link.closed(),
                    _ => {
                        self.fault(Reason::Reset, "closed the connection in the middle of a packet")
                    }
                });
            }
        }
        Ok(())
    }

    /// The length of the next packet, which stays.
    async fn length(&mut self) -> Result<usize, Failure> {
        self.gather(HEAD).await?;
        let [low, middle, high, number, ..] = *self.link.buffered() else {
            return Err(self.link.closed());
        };
        self.number = number.wrapping_add(1);
        let length = u32::from_le_bytes([low, middle, high, 0]);
        Ok(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// The next packet. One that reports a fault is a failure.
    pub(super) async fn read(&mut self) -> Result<Vec<u8>, Failure> {
        let length = self.length().await?;
        if length > LONGEST {
            let text = format!("sent a packet of {length} bytes, too long for this place");
            return Err(self.fault(Reason::Protocol, &text));
        }
        let end = length.saturating_add(HEAD);
        self.gather(end).await?;
        let packet = self.link.buffered().get(HEAD..end).unwrap_or_default().to_vec();
        self.link.consume(end);
        match packet.as_slice() {
            [0xff, low, high, text @ ..] => {
                Err(self.reported(u16::from_le_bytes([*low, *high]), text))
            }
            [0xff, ..] => Err(self.odd("a fault in full")),
            _ => Ok(packet),
        }
    }

    fn reported(&self, code: u16, text: &[u8]) -> Failure {
        let reason = if DENIED.contains(&code) { Reason::Denied } else { Reason::Protocol };
        // The state that SQL has for it follows a `#`; before the login there is none.
        let text = match text {
            [b'#', _, _, _, _, _, text @ ..] => text,
            text => text,
        };
        let text = sql::words(&self.starred(text));
        self.fault(reason, &format!("says: {text} ({code})"))
    }

    /// Whether a row comes next, and not the end of them; it is left where it is. A fault is a failure.
    pub(super) async fn next_is_row(&mut self) -> Result<bool, Failure> {
        let length = self.length().await?;
        self.gather(HEAD.saturating_add(length.min(1))).await?;
        match self.link.buffered().get(HEAD) {
            Some(0xff) => self.read().await.and(Err(self.odd("a row"))),
            // A row that begins so is longer: it is the length of sixteen million bytes.
            Some(0xfe) if length < END => Ok(false),
            _ if length == 0 => Err(self.odd("a row")),
            _ => Ok(true),
        }
    }

    /// Passes over the next packet.
    pub(super) async fn skip(&mut self) -> Result<(), Failure> {
        let mut left = self.length().await?.saturating_add(HEAD);
        loop {
            let there = self.link.buffered().len().min(left);
            self.link.consume(there);
            left = left.saturating_sub(there);
            if left == 0 {
                return Ok(());
            }
            self.gather(1).await?;
        }
    }

    /// Reads until the server closes.
    pub(super) async fn until_closed(&mut self) -> Result<(), Failure> {
        while self.link.fill().await? {
            self.link.consume(usize::MAX);
        }
        Ok(())
    }

    /// Sends a packet that answers the last.
    pub(super) async fn write(&mut self, payload: &[u8]) -> Result<(), Failure> {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let [low, middle, high, 0] = length.to_le_bytes() else {
            return Err(failure(Reason::Protocol, "the request is too long"));
        };
        let packet = [&[low, middle, high, self.number][..], payload].concat();
        self.link.send(&packet).await
    }

    /// Sends a command, with which the packets are counted anew.
    pub(super) async fn command(&mut self, command: u8, text: &[u8]) -> Result<(), Failure> {
        self.number = 0;
        self.write(&[&[command][..], text].concat()).await
    }
}

/// What packets that end a list are shorter than.
const END: usize = 9;

/// Whether a packet ends a list.
pub(super) fn is_end(packet: &[u8]) -> bool {
    packet.first() == Some(&0xfe) && packet.len() < END
}

/// The number that a packet is: one byte, or two, three or eight after one that says so.
pub(super) fn number(packet: &[u8]) -> Option<u64> {
    match *packet {
        [small @ 0..=0xfa] => Some(u64::from(small)),
        [0xfc, low, high] => Some(u64::from(u16::from_le_bytes([low, high]))),
        _ => None,
    }
}
