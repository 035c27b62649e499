//! `service=mqtt`: MQTT 3.1.1 (OASIS), sections 3.1, 3.2 and 3.14, which brokers of MQTT 5 speak, too.
//!
//! | we say | we expect |
//! |---|---|
//! | CONNECT with a clean session and a client identifier of ours; `login` and `passwd`, if there are any | CONNACK with code 0 |
//! | DISCONNECT | |
//!
//! The identifier is new for each check, since a broker drops a client when another comes with the same one.
//! The protocol knows no password without a name, so `passwd` alone is not sent.

use zeroize::Zeroizing;

use super::{
    Protocol, Question, failure,
    link::Link,
    random,
    text::{self, shown},
};
use crate::model::{Carrier, Failure, Negotiate, Pass, ProtocolInfo, Reason, Verdict};

/// The first byte of the packets that we send and expect: their kind and its flags.
const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const DISCONNECT: u8 = 0xe0;

/// Flags of CONNECT.
const CLEAN_SESSION: u8 = 0x02;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

/// The number of version 3.1.1.
const LEVEL: u8 = 4;

/// How much of what is no CONNACK is shown, in bytes.
const SHOWN: usize = 12;

/// After how many seconds of silence a broker may drop us.
const KEEP_ALIVE: u16 = 60;

pub(super) const PROTOCOLS: &[Protocol] = &[Protocol {
    info: ProtocolInfo {
        name: "mqtt",
        default_port: Some(1883),
        carrier: Carrier::Tcp,
        directives: &["login", "passwd"],
        doc: "The real server works when it accepts a client of MQTT 3.1.1, with `login` and `passwd` if there is a login. \
              Nothing is published or subscribed to.",
    },
    talk: |question, link| Box::pin(talk(question, link)),
}];

async fn talk(question: &Question<'_>, link: &mut Link<'_>) -> Verdict {
    let negotiate = question.negotiate;
    let number = u64::from_be_bytes(random::bytes()?) >> 16;
    let Some(connect) = connect(negotiate, &format!("ldirectord{number:012x}")) else {
        let detail = "`login` or `passwd` is longer than the 65535 bytes that MQTT can carry";
        return Err(failure(Reason::Internal, detail));
    };
    link.send(&connect).await?;
    link.at_least(2).await?;
    if !link.buffered().starts_with(&[CONNACK, 2]) {
        // Of an echo no more than what stands before the login.
        let start = link.buffered().get(..SHOWN).unwrap_or(link.buffered());
        let said = shown(start, &negotiate.passwd);
        let detail = format!("{} answered CONNECT with no CONNACK, but: {said}", link.peer());
        return Err(failure(Reason::Protocol, detail));
    }
    link.at_least(4).await?;
    let code = link.buffered().get(3).copied().unwrap_or_default();
    judge(link, negotiate, code)?;
    // Whether the broker hears it is its own affair.
    let _unheard = link.send(&[DISCONNECT, 0]).await;
    Ok(Pass::default())
}

/// The packet that begins a session; nothing if what is in it is too long.
fn connect(negotiate: &Negotiate, client: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (login, passwd) = (negotiate.login.as_str(), negotiate.passwd.0.as_str());
    let (mut flags, mut strings) = (CLEAN_SESSION, vec![client]);
    if !login.is_empty() {
        flags |= USER_NAME;
        strings.push(login);
        if !passwd.is_empty() {
            flags |= PASSWORD;
            strings.push(passwd);
        }
    }
    let keep_alive = KEEP_ALIVE.to_be_bytes();
    let about = [LEVEL, flags];
    let name = length("MQTT")?;
    let lengths: Vec<_> = strings.iter().map(|text| length(text)).collect::<Option<_>>()?;
    let mut parts = vec![&name[..], b"MQTT", &about, &keep_alive];
    for (text, length) in strings.into_iter().zip(&lengths) {
        parts.extend([&length[..], text.as_bytes()]);
    }
    let remaining = remaining_length(parts.iter().map(|part| part.len()).sum())?;
    parts.splice(0..0, [&[CONNECT][..], &remaining]);
    // In one piece, so that no copy is left behind.
    Some(parts.concat().into())
}

/// What stands before a text.
fn length(text: &str) -> Option<[u8; 2]> {
    Some(u16::try_from(text.len()).ok()?.to_be_bytes())
}

/// How long the rest of a packet is: seven bits in a byte, the lowest first, and the eighth bit says that more follow.
fn remaining_length(length: usize) -> Option<Vec<u8>> {
    let mut rest = u32::try_from(length).ok()?;
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(rest % 128).ok()?;
        rest /= 128;
        bytes.push(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            return Some(bytes);
        }
    }
}

/// What the code of a CONNACK means.
fn judge(link: &Link<'_>, negotiate: &Negotiate, code: u8) -> Result<(), Failure> {
    let words = match code {
        0 => return Ok(()),
        1 => "it does not speak MQTT 3.1.1".to_owned(),
        2 => "it does not take our client identifier".to_owned(),
        3 => "the service is not available".to_owned(),
        4 => "the login or the password is wrong".to_owned(),
        5 => "not authorized".to_owned(),
        code => format!("code {code}"),
    };
    if !matches!(code, 4 | 5) {
        let detail = format!("{} refused the connection: {words}", link.peer());
        return Err(failure(Reason::Protocol, detail));
    }
    Err(match negotiate.login.as_str() {
        "" => {
            let detail = format!("{} takes nobody without a login: {words}", link.peer());
            failure(Reason::Denied, detail)
        }
        login => text::denied(link, login, &words),
    })
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        checks::script::{Outcome, Turn, converse, spec, unconfigured},
        model::Secret,
    };

    fn user(login: &str, passwd: &str) -> Negotiate {
        let (login, passwd) = (login.to_owned(), Secret(passwd.to_owned()));
        Negotiate { login, passwd, ..unconfigured("mqtt") }
    }

    async fn answered(login: &str, answer: &[u8], then: Vec<Turn>) -> Outcome {
        let turns = [vec![Turn::HearSome, Turn::Say(answer.to_vec())], then].concat();
        converse(&spec(user(login, "hunter2")), vec![turns]).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_accepts_us_works_and_hears_us_go() {
        let outcome = answered("", b"\x20\x02\x00\x00", vec![Turn::HearSome]).await;
        assert_eq!((outcome.words().as_str(), outcome.took), ("", Duration::ZERO));
        let heard = &outcome.bytes[0];
        assert_eq!(heard[..12], *b"\x10\x22\x00\x04MQTT\x04\x02\x00\x3c");
        assert_eq!(heard[12..24], *b"\x00\x16ldirectord");
        assert!(heard[24..36].iter().all(u8::is_ascii_hexdigit), "{heard:?}");
        assert_eq!(heard[36..], [0xe0, 0]);
        // A session that should not be there is no fault of the service.
        assert_eq!(answered("", b"\x20\x02\x01\x00", vec![]).await.words(), "");
    }

    #[tokio::test(start_paused = true)]
    async fn each_check_is_another_client() {
        let first = answered("", b"\x20\x02\x00\x00", vec![]).await;
        let second = answered("", b"\x20\x02\x00\x00", vec![]).await;
        assert_ne!(first.bytes[0][..36], second.bytes[0][..36]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_broker_refuses_is_told() {
        let peer = "192.0.2.1:8080";
        for (login, code, expected) in [
            (
                "",
                1,
                format!("protocol: {peer} refused the connection: it does not speak MQTT 3.1.1"),
            ),
            (
                "",
                2,
                format!(
                    "protocol: {peer} refused the connection: it does not take our client identifier"
                ),
            ),
            (
                "",
                3,
                format!("protocol: {peer} refused the connection: the service is not available"),
            ),
            (
                "ann",
                4,
                format!(
                    "denied: {peer} refused the login of ann: the login or the password is wrong"
                ),
            ),
            ("ann", 5, format!("denied: {peer} refused the login of ann: not authorized")),
            ("", 5, format!("denied: {peer} takes nobody without a login: not authorized")),
            ("", 0x84, format!("protocol: {peer} refused the connection: code 132")),
        ] {
            let outcome = answered(login, &[0x20, 2, 0, code], vec![]).await;
            assert_eq!(outcome.words(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_answer_is_told() {
        let no_connack = "protocol: 192.0.2.1:8080 answered CONNECT with no CONNACK, but:";
        let reset = "reset: 192.0.2.1:8080 closed the connection";
        for (answer, expected) in [
            (&b"HTTP/1.1 400 Bad"[..], format!("{no_connack} HTTP/1.1 400")),
            (b"\x20\x03\x00\x00\x00", format!("{no_connack} \\u{{3}}\\u{{0}}\\u{{0}}\\u{{0}}")),
            (b"\x20\xff\xff\xff\x7f", format!("{no_connack} \u{fffd}\u{fffd}\u{fffd}\\u{{7f}}")),
            (b"", format!("{reset} without an answer")),
            (b"\x20", format!("{reset} in the middle of its answer")),
            (b"\x20\x02\x00", format!("{reset} in the middle of its answer")),
        ] {
            assert_eq!(answered("", answer, vec![]).await.words(), expected, "{answer:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_echo_is_shown_without_the_password() {
        let echo = Turn::Answer(Arc::new(<[u8]>::to_vec));
        let turns = vec![Turn::HearSome, echo];
        let outcome = converse(&spec(user("ann", "hunter2")), vec![turns]).await;
        assert!(outcome.heard[0].contains("hunter2"));
        let expected = "protocol: 192.0.2.1:8080 answered CONNECT with no CONNACK, but: ";
        assert!(outcome.words().starts_with(expected), "{}", outcome.words());
        assert!(!outcome.words().contains("hunter2"), "{}", outcome.words());
    }

    #[test]
    fn login_and_password_stand_behind_the_client() {
        let packet = |login, passwd| connect(&user(login, passwd), "me").unwrap();
        assert_eq!(*packet("", "x"), *b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02me");
        assert_eq!(
            *packet("ann", ""),
            *b"\x10\x13\x00\x04MQTT\x04\x82\x00\x3c\x00\x02me\x00\x03ann"
        );
        assert_eq!(
            *packet("ann", "ß"),
            *b"\x10\x17\x00\x04MQTT\x04\xc2\x00\x3c\x00\x02me\x00\x03ann\x00\x02\xc3\x9f"
        );
        assert_eq!(connect(&user(&"x".repeat(65_536), ""), "me"), None);
        assert_eq!(connect(&user("ann", &"x".repeat(65_536)), "me"), None);
        assert_eq!(packet(&"x".repeat(65_535), "")[..4], [0x10, 0x8f, 0x80, 0x04]);
    }

    /// The examples of the standard, section 2.2.3.
    #[test]
    fn lengths_are_as_the_standard_has_them() {
        for (length, expected) in [
            (0, &[0][..]),
            (127, &[0x7f]),
            (128, &[0x80, 0x01]),
            (16_383, &[0xff, 0x7f]),
            (16_384, &[0x80, 0x80, 0x01]),
            (2_097_151, &[0xff, 0xff, 0x7f]),
        ] {
            assert_eq!(remaining_length(length).unwrap(), expected);
        }
    }

    proptest! {
        #[test]
        fn no_login_is_too_odd(login in any::<String>(), passwd in any::<String>()) {
            let packet = connect(&user(&login, &passwd), "me").unwrap();
            prop_assert_eq!(packet[0], CONNECT);
            let strings = login.len() + if login.is_empty() { 0 } else { passwd.len() };
            prop_assert!(packet.len() >= strings + 16 && packet.len() <= strings + 24);
        }

        #[test]
        fn no_answer_is_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..300), acknowledged in any::<bool>()) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            let answer = [if acknowledged { &b"\x20\x02"[..] } else { b"" }, &bytes].concat();
            let outcome = runtime.block_on(answered("", &answer, vec![]));
            let accepts = matches!(answer.as_slice(), [CONNACK, 2, _, 0, ..]);
            prop_assert_eq!(outcome.verdict.is_ok(), accepts);
        }
    }
}
