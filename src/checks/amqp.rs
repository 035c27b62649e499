//! `service=amqp`: AMQP 0-9-1, sections 2.2.4, 4.2.2 and 4.2.3.
//!
//! | we say | we expect |
//! |---|---|
//! | `AMQP` 0 0 9 1, the protocol header | the method Connection.Start of version 0-9, whole |
//!
//! A broker that does not speak this version answers with the header of one that it speaks, which is told.
//! We close the connection then: before a login there is no other way to part. RabbitMQ warns of it in its log.

use super::{Protocol, failure, link::Link, shown};
use crate::model::{Carrier, Failure, Pass, ProtocolInfo, Reason, Verdict};

/// What both sides begin with who speak 0-9-1.
const HEADER: &[u8; 8] = b"AMQP\0\0\x09\x01";

/// The type and the channel of a frame that has a method of the connection.
const METHOD_FRAME: &[u8; 3] = &[1, 0, 0];

/// The numbers of Connection.Start, and the version that it speaks of.
const START: &[u8; 6] = &[0, 10, 0, 10, 0, 9];

/// The byte behind each frame.
const FRAME_END: u8 = 0xce;

/// How many bytes of a frame stand before its payload.
const FRAME_HEADER: usize = 7;

/// The longest payload, in bytes; eight times what the standard allows before a longer one is agreed on.
const PAYLOAD: usize = 32 * 1024;

pub(super) const PROTOCOLS: &[Protocol] = &[Protocol {
    info: ProtocolInfo {
        name: "amqp",
        default_port: Some(5672),
        carrier: Carrier::Tcp,
        directives: &[],
        doc: "The real server works when it offers to begin a connection of AMQP 0-9-1, as RabbitMQ does. Nobody logs in, \
              of which RabbitMQ warns in its log.",
    },
    talk: |_, link| Box::pin(talk(link)),
}];

async fn talk(link: &mut Link<'_>) -> Verdict {
    link.send(HEADER).await?;
    link.at_least(METHOD_FRAME.len()).await?;
    if link.buffered().starts_with(b"AMQ") {
        return Err(refused(link).await?);
    }
    if !link.buffered().starts_with(METHOD_FRAME) {
        return Err(no_start(link, link.buffered()));
    }
    link.at_least(FRAME_HEADER).await?;
    let length = match u32_at(link.buffered(), METHOD_FRAME.len()) {
        Some(length) if length <= PAYLOAD => length,
        _ => {
            let detail = format!("{} sent a frame of more than {PAYLOAD} bytes", link.peer());
            return Err(failure(Reason::Protocol, detail));
        }
    };
    let end = FRAME_HEADER.saturating_add(length);
    link.at_least(end.saturating_add(1)).await?;
    let payload = link.buffered().get(FRAME_HEADER..end).unwrap_or_default();
    match mechanisms(payload) {
        Some(mechanisms) if link.buffered().get(end) == Some(&FRAME_END) => {
            Ok(Pass { detail: shown(mechanisms) })
        }
        _ => Err(no_start(link, payload)),
    }
}

/// That a broker speaks another version: it says which.
async fn refused(link: &mut Link<'_>) -> Result<Failure, Failure> {
    link.at_least(HEADER.len()).await?;
    let peer = link.peer();
    Ok(match link.buffered() {
        [b'A', b'M', b'Q', b'P', numbers @ ..] => {
            let numbers: Vec<_> = numbers.iter().take(4).map(u8::to_string).collect();
            let numbers = numbers.join("-");
            let detail = format!("{peer} refused AMQP 0-9-1 and offers the header AMQP {numbers}");
            failure(Reason::Protocol, detail)
        }
        said => no_start(link, said),
    })
}

/// That a server does not begin a connection, and says this.
fn no_start(link: &Link<'_>, said: &[u8]) -> Failure {
    let detail =
        format!("{} sent no Connection.Start of AMQP 0-9, but: {}", link.peer(), shown(said));
    failure(Reason::Protocol, detail)
}

/// The ways to log in that a Connection.Start names, if this is one, whole and with nothing behind it.
fn mechanisms(payload: &[u8]) -> Option<&[u8]> {
    let rest = payload.strip_prefix(START)?;
    let (_properties, rest) = long_string(rest)?;
    let (mechanisms, rest) = long_string(rest)?;
    let (_locales, rest) = long_string(rest)?;
    rest.is_empty().then_some(mechanisms)
}

/// A text or table with its length before it, and what is behind.
fn long_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    bytes.get(4..)?.split_at_checked(u32_at(bytes, 0)?)
}

/// The number in the four bytes that begin here.
fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let number = bytes.get(at..)?.first_chunk::<4>()?;
    usize::try_from(u32::from_be_bytes(*number)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::checks::script::{Outcome, Turn, converse, spec, unconfigured};

    /// The start of RabbitMQ, with fewer properties.
    const PAYLOAD_OF_START: &[u8] =
        b"\0\x0a\0\x0a\0\x09\0\0\0\x0d\x07productS\0\0\0\0\0\0\0\x0ePLAIN AMQPLAIN\0\0\0\x05en_US";

    fn frame(payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [METHOD_FRAME, &length[..], payload, &[FRAME_END]].concat()
    }

    async fn answered(answer: &[u8]) -> Outcome {
        let turns = vec![Turn::HearSome, Turn::Say(answer.to_vec())];
        converse(&spec(unconfigured("amqp")), vec![turns]).await
    }

    async fn check(answer: &[u8], expected: &str) {
        assert_eq!(answered(answer).await.words(), expected, "{answer:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_begins_a_connection_works() {
        let outcome = answered(&frame(PAYLOAD_OF_START)).await;
        assert_eq!(outcome.words(), "PLAIN AMQPLAIN");
        assert!(outcome.verdict.is_ok());
        assert_eq!(outcome.bytes[0], b"AMQP\0\0\x09\x01");
    }

    #[tokio::test(start_paused = true)]
    async fn a_broker_of_another_version_says_so() {
        let refused = "protocol: 192.0.2.1:8080 refused AMQP 0-9-1 and offers the header AMQP";
        check(b"AMQP\0\x01\0\0", &format!("{refused} 0-1-0-0")).await;
        check(b"AMQP\x03\x01\0\0and more", &format!("{refused} 3-1-0-0")).await;
        let no_start = "protocol: 192.0.2.1:8080 sent no Connection.Start of AMQP 0-9, but:";
        check(b"AMQX\0\0\0\0", &format!("{no_start} AMQX\\0\\0\\0\\0")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_start_is_told() {
        let no_start = "protocol: 192.0.2.1:8080 sent no Connection.Start of AMQP 0-9, but:";
        check(b"HTTP/1.1 400 Bad", &format!("{no_start} HTTP/1.1 400 Bad")).await;
        check(b"\x01\0\x01", &format!("{no_start} \\u{{1}}\\0\\u{{1}}")).await;
        // Connection.Close, and a frame that does not end.
        check(&frame(b"\0\x0a\0\x32bye"), &format!("{no_start} \\0\\n\\02bye")).await;
        check(&frame(b""), &format!("{no_start} ")).await;
        let mut endless = frame(PAYLOAD_OF_START);
        *endless.last_mut().unwrap() = 0;
        assert!(answered(&endless).await.words().starts_with(no_start));
        for end in 0..PAYLOAD_OF_START.len() {
            let outcome = answered(&frame(&PAYLOAD_OF_START[..end])).await;
            assert!(outcome.words().starts_with(no_start), "{end}");
        }
        let longer = answered(&frame(&[PAYLOAD_OF_START, b"x"].concat())).await;
        assert!(longer.words().starts_with(no_start));
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_has_an_end() {
        let expected = "protocol: 192.0.2.1:8080 sent a frame of more than 32768 bytes";
        check(b"\x01\0\0\0\0\x80\x01", expected).await;
        check(b"\x01\0\0\xff\xff\xff\xff", expected).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_broker_must_not_close_before_it_has_answered() {
        let whole = frame(PAYLOAD_OF_START);
        for end in 0..whole.len() {
            let expected =
                if end == 0 { "without an answer" } else { "in the middle of its answer" };
            let expected = format!("reset: 192.0.2.1:8080 closed the connection {expected}");
            check(&whole[..end], &expected).await;
        }
        let expected = "reset: 192.0.2.1:8080 closed the connection in the middle of its answer";
        check(b"AMQP\0", expected).await;
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(starts in any::<bool>(), bytes in vec(any::<u8>(), 0..300)) {
            let payload = [if starts { &START[..] } else { b"" }, &bytes].concat();
            if let Some(found) = mechanisms(&payload) {
                prop_assert!(found.len() + START.len() + 12 <= payload.len());
            }
        }

        #[test]
        fn what_is_written_is_read(texts in vec(vec(any::<u8>(), 0..100), 3)) {
            let mut payload = START.to_vec();
            for text in &texts {
                payload.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
                payload.extend(text);
            }
            prop_assert_eq!(mechanisms(&payload), Some(texts[1].as_slice()));
        }
    }
}
