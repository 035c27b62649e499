//! What the kernel's answers mean: which request of a batch failed, when the answer to a question is whole.
//!
//! In go datagrams, out comes what became of each request, or entries. There is no socket here, so that every order of
//! answers can be tried: lost ones, late ones, a dump that was interrupted.

use netlink_packet_core::DecodeError;

use crate::error::Error;
use crate::message::{self, Batch, Content, Message};

/// How often a question is asked before giving up on a table that never holds still.
const TRIES: u32 = 5;

/// What became of one request of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its answer was lost.
    Unknown,
    /// It was done.
    Done,
    /// The kernel refused it with this errno.
    Refused(i32),
    /// It did not reach the kernel, with this errno.
    Unsent(i32),
    /// It cannot be said in a message, for this reason.
    Unsayable(&'static str),
}

/// A batch whose answers are awaited.
#[derive(Debug)]
pub(crate) struct Pending {
    first: u32,
    last: Option<usize>,
    outcomes: Vec<Outcome>,
    lossy: bool,
}

impl Pending {
    /// A batch of `count` requests that are numbered from `first`.
    pub(crate) fn new(first: u32, count: usize, batch: Batch) -> Self {
        let outcomes = vec![Outcome::Unknown; count];
        let mut pending = Self { first, last: batch.last, outcomes, lossy: false };
        for (index, reason) in batch.left_out {
            pending.set(index, Outcome::Unsayable(reason));
        }
        pending
    }

    /// Whether anything was sent at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Whether answers were lost, so that there may be no last one to wait for.
    pub(crate) fn is_lossy(&self) -> bool {
        self.lossy
    }

    /// Notes that answers were lost.
    pub(crate) fn lose(&mut self) {
        self.lossy = true;
    }

    /// Notes what a datagram says; true if that was the last answer and none is missing.
    pub(crate) fn note(&mut self, datagram: &[u8]) -> bool {
        for answer in message::read::<Message>(datagram) {
            let Ok(answer) = answer else {
                self.lossy = true;
                break;
            };
            // Late answers to a batch that was given up have smaller numbers, which wrap to ones beyond the end.
            let Ok(index) = usize::try_from(answer.sequence.wrapping_sub(self.first)) else {
                continue;
            };
            match answer.content {
                Content::Refused(errno) => self.set(index, Outcome::Refused(errno)),
                Content::Acknowledged => self.set(index, Outcome::Done),
                Content::Overrun => self.lossy = true,
                Content::Message(_) | Content::Done | Content::Noop => continue,
            }
            if Some(index) == self.last && !self.lossy {
                // Whatever failed before it has been reported before it.
                self.replace_unknown(Outcome::Done);
                return true;
            }
        }
        false
    }

    /// What became of every request.
    pub(crate) fn finish(self) -> Vec<Outcome> {
        self.outcomes
    }

    /// What became of every request when the send failed.
    pub(crate) fn unsent(mut self, errno: i32) -> Vec<Outcome> {
        self.replace_unknown(Outcome::Unsent(errno));
        self.outcomes
    }

    fn set(&mut self, index: usize, outcome: Outcome) {
        if let Some(place) = self.outcomes.get_mut(index) {
            *place = outcome;
        }
    }

    fn replace_unknown(&mut self, outcome: Outcome) {
        for place in self.outcomes.iter_mut().filter(|place| **place == Outcome::Unknown) {
            *place = outcome;
        }
    }
}

/// A question whose answers are awaited.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    /// What is asked, as it fits after "cannot".
    pub(crate) what: &'a str,
    /// The number of the question.
    pub(crate) sequence: u32,
    /// Whether the answer has many parts and an end, or is a single message.
    pub(crate) is_dump: bool,
}

impl Question<'_> {
    /// Takes the entries of a datagram; true if the answer is whole.
    pub(crate) fn take<T>(
        &self,
        datagram: &[u8],
        read: &impl Fn(Message) -> Result<T, DecodeError>,
        entries: &mut Vec<T>,
    ) -> Result<bool, Error> {
        for answer in message::read::<Message>(datagram) {
            let answer = answer.map_err(|fault| Error::malformed(self.what, &fault))?;
            if answer.sequence != self.sequence {
                continue;
            }
            if answer.interrupted {
                return Err(Error::Lost { request: self.what.to_owned() });
            }
            match answer.content {
                Content::Message(message) => {
                    let entry =
                        read(message).map_err(|fault| Error::malformed(self.what, &fault))?;
                    entries.push(entry);
                    if !self.is_dump {
                        return Ok(true);
                    }
                }
                Content::Done => return Ok(true),
                Content::Refused(errno) => return Err(Error::of_read(self.what, errno)),
                Content::Overrun => return Err(Error::Lost { request: self.what.to_owned() }),
                Content::Acknowledged | Content::Noop => {}
            }
        }
        Ok(false)
    }
}

/// Asks until the answer is whole, but not for ever. Any other failure ends it at once.
pub(crate) fn until_whole<T>(mut ask: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 1..TRIES {
        match ask() {
            Err(Error::Lost { .. }) => {}
            result => return result,
        }
    }
    ask()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use netlink_packet_core::{
        NLM_F_DUMP_INTR, NLM_F_MULTIPART, NLMSG_DONE, NLMSG_ERROR, NLMSG_OVERRUN,
    };
    use nix::libc;

    use super::*;
    use crate::dest::{Dest, Forwarding};
    use crate::message::Request;
    use crate::service::{Protocol, Service, ServiceId};

    fn datagram(kind: u16, flags: u16, sequence: u32, code: i32) -> Vec<u8> {
        let mut bytes = 20_u32.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend(0_u32.to_ne_bytes());
        bytes.extend(code.to_ne_bytes());
        bytes
    }

    fn answer(sequence: u32, errno: i32) -> Vec<u8> {
        datagram(NLMSG_ERROR, 0, sequence, -errno)
    }

    fn id() -> ServiceId {
        ServiceId::Address {
            protocol: Protocol::Tcp,
            address: SocketAddr::from(([192, 0, 2, 1], 80)),
        }
    }

    fn pending(first: u32, count: usize) -> Pending {
        let left_out = vec![(1, "a reason")];
        Pending::new(first, count, Batch { last: Some(count - 1), left_out })
    }

    #[test]
    fn the_last_answer_settles_the_batch() {
        let mut batch = pending(u32::MAX, 5);
        // Numbers wrap around; answers to other batches change nothing.
        assert!(!batch.note(&answer(1, libc::EEXIST)));
        assert!(!batch.note(&answer(u32::MAX - 1, libc::EPERM)));
        assert!(!batch.note(&answer(4, libc::EPERM)));
        assert!(batch.note(&answer(3, 0)));
        let unsayable = Outcome::Unsayable("a reason");
        let expected = [
            Outcome::Done,
            unsayable,
            Outcome::Refused(libc::EEXIST),
            Outcome::Done,
            Outcome::Done,
        ];
        assert_eq!(batch.finish(), expected);

        let mut batch = pending(1, 3);
        assert!(batch.note(&answer(3, libc::ESRCH)));
        assert_eq!(batch.finish(), [Outcome::Done, unsayable, Outcome::Refused(libc::ESRCH)]);
        assert_eq!(
            pending(1, 2).unsent(libc::EMSGSIZE),
            [Outcome::Unsent(libc::EMSGSIZE), unsayable]
        );
    }

    #[test]
    fn after_a_loss_nothing_is_taken_for_done() {
        let ways: [fn(&mut Pending); 3] = [
            Pending::lose,
            |batch| assert!(!batch.note(&datagram(NLMSG_OVERRUN, 0, 7, 0))),
            |batch| assert!(!batch.note(&[1, 2, 3])),
        ];
        for lose in ways {
            let mut batch = pending(7, 4);
            assert!(!batch.is_lossy());
            lose(&mut batch);
            assert!(batch.is_lossy());
            assert!(!batch.note(&answer(9, libc::EEXIST)));
            assert!(!batch.note(&answer(10, 0)));
            let known = [Outcome::Refused(libc::EEXIST), Outcome::Done];
            assert_eq!(batch.finish()[2..], known);
        }
        assert_eq!(pending(7, 3).finish()[0], Outcome::Unknown);
    }

    #[test]
    fn a_dump_is_whole_when_it_says_so() {
        let question = Question { what: "read", sequence: 7, is_dump: true };
        let read = |message: Message| Ok(message.command);
        let mut entries = Vec::new();
        let mut part = Vec::new();
        let dest = Dest::new(SocketAddr::from(([198, 51, 100, 1], 80)), Forwarding::Route, 1);
        let requests = [Request::NewDest(id(), dest)];
        for sequence in [7, 6, 7] {
            message::write_batch(&requests, 28, sequence, &mut part);
        }
        assert!(!question.take(&part, &read, &mut entries).unwrap());
        assert!(!question.take(&answer(6, libc::EPERM), &read, &mut entries).unwrap());
        assert!(
            question
                .take(&datagram(NLMSG_DONE, NLM_F_MULTIPART, 7, 0), &read, &mut entries)
                .unwrap()
        );
        assert_eq!(entries, [5, 5]);
        // What is asked for alone ends with itself.
        let single = Question { is_dump: false, ..question };
        assert!(single.take(&part, &read, &mut entries).unwrap());
    }

    #[test]
    fn a_dump_with_a_hole_is_lost() {
        let question = Question { what: "read", sequence: 7, is_dump: true };
        let take = |bytes: &[u8]| {
            question.take(bytes, &|message| Ok(message.command), &mut Vec::new()).unwrap_err()
        };
        assert!(take(&datagram(NLMSG_DONE, NLM_F_DUMP_INTR, 7, 0)).is_lost());
        assert!(take(&datagram(NLMSG_OVERRUN, 0, 7, 0)).is_lost());
        assert_eq!(take(&answer(7, libc::EPERM)).errno(), Some(libc::EPERM));
        assert_eq!(take(&datagram(NLMSG_DONE, 0, 7, -libc::ENOMEM)).errno(), Some(libc::ENOMEM));
        assert!(matches!(take(&[0; 15]), Error::Malformed { .. }));
        let mut request = Vec::new();
        message::write_batch(&[Request::NewService(Service::new(id(), "rr"))], 28, 7, &mut request);
        let fault = question.take(&request, &|_| Err::<(), _>("odd".into()), &mut Vec::new());
        assert_eq!(
            fault.unwrap_err().to_string(),
            "cannot read: the kernel's answer is malformed: odd"
        );
    }

    #[test]
    fn a_lost_answer_is_asked_for_again_a_few_times() {
        let lost = || Error::Lost { request: "read".to_owned() };
        let mut results = vec![Ok(3), Err(lost()), Err(lost())];
        assert_eq!(until_whole(|| results.pop().unwrap()), Ok(3));
        assert!(results.is_empty());
        let mut tries = 0;
        let never = until_whole(|| {
            tries += 1;
            Err::<(), _>(lost())
        });
        assert_eq!((never, tries), (Err(lost()), TRIES));
        let mut tries = 0;
        let refused = until_whole(|| {
            tries += 1;
            Err::<(), _>(Error::of_read("read", libc::EPERM))
        });
        assert_eq!((refused.unwrap_err().errno(), tries), (Some(libc::EPERM), 1));
    }
}
