//! `service=radius`: RFC 2865, and RFC 3579 for the Message-Authenticator.
//!
//! | we say | we expect |
//! |---|---|
//! | Access-Request: Message-Authenticator, User-Name (`login`), User-Password (`passwd`), NAS-IP-Address or NAS-IPv6-Address (ours) | Access-Accept with an authenticator that `secret` makes |
//! | the same again each second, until it is answered | |
//!
//! Message-Authenticator is sent, and as the first attribute, because servers that are hardened against BlastRADIUS
//! (CVE-2024-3596) answer nobody without. In an answer it may be missing; if it is there it must be right.
//! What is not signed with our secret is no answer (RFC 2865, section 4): we wait for a better one, and say so.
//!
//! Differs from ldirectord: IPv6 works; there the daemon dies of it.
//! Differs from ldirectord: Message-Authenticator is sent and verified.

use std::net::IpAddr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};

use super::{
    Protocol, Question, failure,
    link::{Link, Sending},
    random, shown,
};
use crate::model::{Carrier, Failure, Pass, ProtocolInfo, Reason, Verdict};

/// Codes of packets (RFC 2865, section 3).
const ACCESS_REQUEST: u8 = 1;
const ACCESS_ACCEPT: u8 = 2;
const ACCESS_REJECT: u8 = 3;
const ACCESS_CHALLENGE: u8 = 11;

/// Types of attributes (RFC 2865, section 5; RFC 3162, section 2.1; RFC 3579, section 3.2).
const USER_NAME: u8 = 1;
const USER_PASSWORD: u8 = 2;
const NAS_IP_ADDRESS: u8 = 4;
const REPLY_MESSAGE: u8 = 18;
const MESSAGE_AUTHENTICATOR: u8 = 80;
const NAS_IPV6_ADDRESS: u8 = 95;

/// How long code, identifier, length and authenticator are, in bytes.
const HEADER: usize = 20;

/// The longest packet, in bytes.
const PACKET: usize = 4096;

/// The longest login and password, in bytes.
const LOGIN: usize = 253;
const PASSWORD: usize = 128;

/// 16 bytes: an authenticator, a block of a password.
type Block = [u8; 16];

pub(super) const PROTOCOLS: &[Protocol] = &[Protocol {
    info: ProtocolInfo {
        name: "radius",
        default_port: Some(1812),
        carrier: Carrier::Udp,
        directives: &["login", "passwd", "secret"],
        doc: "Asks over UDP whether `login` may come in with `passwd`. `secret` is what the real server knows this director by. \
              It works when it accepts, and its answer is signed with that secret.",
    },
    talk: |question, link| Box::pin(talk(question, link)),
}];

async fn talk(question: &Question<'_>, link: &mut Link<'_>) -> Verdict {
    let negotiate = question.negotiate;
    let (login, passwd) = (negotiate.login.as_bytes(), negotiate.passwd.0.as_bytes());
    let secret = negotiate.secret.0.as_bytes();
    for (name, text, most) in [("login", login, LOGIN), ("passwd", passwd, PASSWORD)] {
        if text.len() > most {
            let detail = format!("`{name}` is longer than the {most} bytes that RADIUS has for it");
            return Err(failure(Reason::Internal, detail));
        }
    }
    let ours = link.connect_datagrams().await?.ip();
    let ([id], authenticator) = (random::bytes()?, random::bytes()?);
    let Some(request) = request(id, authenticator, login, passwd, ours, secret) else {
        return Err(failure(Reason::Internal, "the request is too long for RADIUS"));
    };
    let mut is_unsigned = false;
    let asked = link.ask(&request, Sending::Again, |packet| {
        match Answer::read(packet, id, authenticator, secret)? {
            Ok(answer) => Some((answer.code, answer.said().to_vec())),
            Err(Unsigned) => {
                is_unsigned = true;
                None
            }
        }
    });
    match asked.await {
        Ok((code, said)) => judge(code, &link.starred(&said)),
        Err(Failure { reason: Reason::Timeout, .. }) if is_unsigned => {
            let detail = format!("{} signs its answers with another secret", link.peer());
            Err(failure(Reason::Mismatch, detail))
        }
        Err(Failure { reason: Reason::Timeout, detail }) => {
            let hint =
                "a RADIUS server says nothing to whom it does not know, or not by this secret";
            Err(failure(Reason::Timeout, format!("{detail}; {hint}")))
        }
        Err(fault) => Err(fault),
    }
}

/// An Access-Request; nothing if it would be too long.
fn request(
    id: u8,
    authenticator: Block,
    login: &[u8],
    passwd: &[u8],
    ours: IpAddr,
    secret: &[u8],
) -> Option<Vec<u8>> {
    let mut packet = vec![ACCESS_REQUEST, id, 0, 0];
    packet.extend(authenticator);
    let mut add = |kind: u8, value: &[u8]| {
        let length = u8::try_from(value.len().checked_add(2)?).ok()?;
        packet.extend([kind, length]);
        packet.extend(value);
        Some(())
    };
    add(MESSAGE_AUTHENTICATOR, &[0; 16])?;
    add(USER_NAME, login)?;
    add(USER_PASSWORD, &hidden(passwd, secret, authenticator))?;
    match ours {
        IpAddr::V4(address) => add(NAS_IP_ADDRESS, &address.octets())?,
        IpAddr::V6(address) => add(NAS_IPV6_ADDRESS, &address.octets())?,
    }
    let length = u16::try_from(packet.len()).ok()?;
    packet.get_mut(2..4)?.copy_from_slice(&length.to_be_bytes());
    let signature = signature(secret, &[&packet])?;
    let first = HEADER.checked_add(2)?;
    packet.get_mut(first..first.checked_add(16)?)?.copy_from_slice(&signature);
    Some(packet)
}

/// A password as it is sent (RFC 2865, section 5.2).
fn hidden(passwd: &[u8], secret: &[u8], authenticator: Block) -> Vec<u8> {
    let mut hidden = Vec::with_capacity(PASSWORD);
    let mut last = authenticator;
    let empty = [&[][..]];
    let pieces = passwd.chunks(16).chain(empty.into_iter().filter(|_| passwd.is_empty()));
    for piece in pieces {
        let mut block = Block::from(Md5::new().chain_update(secret).chain_update(last).finalize());
        for (byte, letter) in block.iter_mut().zip(piece) {
            *byte ^= letter;
        }
        hidden.extend(block);
        last = block;
    }
    hidden
}

/// HMAC-MD5 of these parts.
fn signature(secret: &[u8], parts: &[&[u8]]) -> Option<Block> {
    let mut mac = Hmac::<Md5>::new_from_slice(secret).ok()?;
    for part in parts {
        mac.update(part);
    }
    Some(mac.finalize().into_bytes().into())
}

/// An answer to our request, signed with our secret.
#[derive(Debug)]
struct Answer<'a> {
    code: u8,
    attributes: &'a [u8],
}

/// An answer to our request that is not signed with our secret.
#[derive(Debug)]
struct Unsigned;

impl<'a> Answer<'a> {
    /// Reads a packet; nothing if it is no answer to our request.
    fn read(
        packet: &'a [u8],
        id: u8,
        asked: Block,
        secret: &[u8],
    ) -> Option<Result<Answer<'a>, Unsigned>> {
        let [code, answered, high, low, ..] = *packet else { return None };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let is_answer = matches!(code, ACCESS_ACCEPT | ACCESS_REJECT | ACCESS_CHALLENGE);
        if !is_answer || answered != id || length > PACKET {
            return None;
        }
        // What is behind it is padding.
        let packet = packet.get(..length)?;
        let (start, attributes) = (packet.get(..4)?, packet.get(HEADER..)?);
        let authenticator = packet.get(4..HEADER)?;
        let expected = Md5::new()
            .chain_update(start)
            .chain_update(asked)
            .chain_update(attributes)
            .chain_update(secret)
            .finalize();
        if authenticator != expected.as_slice() {
            return Some(Err(Unsigned));
        }
        let mut at = HEADER;
        for (kind, value) in values(attributes) {
            let value = value?;
            let begin = at.checked_add(2)?;
            at = begin.checked_add(value.len())?;
            if kind == MESSAGE_AUTHENTICATOR {
                let before = packet.get(HEADER..begin)?;
                let parts = [start, &asked, before, &[0; 16], packet.get(at..)?];
                if Some(value) != signature(secret, &parts).as_ref().map(Block::as_slice) {
                    return Some(Err(Unsigned));
                }
            }
        }
        Some(Ok(Answer { code, attributes }))
    }

    /// What it has for people.
    fn said(&self) -> &'a [u8] {
        let said = values(self.attributes).find(|(kind, _)| *kind == REPLY_MESSAGE);
        said.and_then(|(_, value)| value).unwrap_or_default()
    }
}

/// What an answer with this code and these words means.
fn judge(code: u8, said: &[u8]) -> Verdict {
    let said = if said.is_empty() { String::new() } else { format!(": {}", shown(said)) };
    match code {
        ACCESS_ACCEPT => Ok(Pass { detail: format!("Access-Accept{said}") }),
        ACCESS_REJECT => Err(failure(Reason::Denied, format!("Access-Reject{said}"))),
        _ => {
            let detail = format!("Access-Challenge: it asks for more than a password{said}");
            Err(failure(Reason::Denied, detail))
        }
    }
}

/// The attributes, each with its value; the value is missing where they make no sense, which ends them.
fn values(mut attributes: &[u8]) -> impl Iterator<Item = (u8, Option<&[u8]>)> {
    std::iter::from_fn(move || {
        let (kind, rest) = attributes.split_first()?;
        let split = rest
            .split_first()
            .and_then(|(length, rest)| rest.split_at_checked(usize::from(*length).checked_sub(2)?));
        attributes = split.map_or(&[], |(_, others)| others);
        Some((*kind, split.map(|(value, _)| value)))
    })
}

/// An answer to this request, signed with this secret: a code, and attributes; a Message-Authenticator among them, too.
#[cfg(any(test, fuzzing))]
pub(super) fn signed(request: &[u8], said: &[u8], secret: &[u8]) -> Vec<u8> {
    let packed = || {
        let (code, attributes) = said.split_first()?;
        let length = u16::try_from(attributes.len().checked_add(HEADER)?).ok()?;
        let asked = request.get(4..HEADER)?;
        let start = [&[*code, *request.get(1)?][..], &length.to_be_bytes()].concat();
        let mut attributes = attributes.to_vec();
        let mut at = 0_usize;
        let mut found = None;
        for (kind, value) in values(&attributes) {
            let Some(value) = value else { break };
            at = at.checked_add(2)?;
            if kind == MESSAGE_AUTHENTICATOR && value.len() == 16 {
                found = Some(at..at.checked_add(16)?);
            }
            at = at.checked_add(value.len())?;
        }
        if let Some(place) = found {
            attributes.get_mut(place.clone())?.fill(0);
            let signature = signature(secret, &[&start, asked, &attributes])?;
            attributes.get_mut(place)?.copy_from_slice(&signature);
        }
        let parts = [&start, asked, &attributes, secret].concat();
        Some([&start[..], &Md5::digest(parts), &attributes].concat())
    };
    packed().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use openssl::{hash::MessageDigest, pkey::PKey, sign::Signer};
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        checks::script::{Outcome, Turn, converse_by, spec, unconfigured},
        model::{Negotiate, Secret},
    };

    const SECRET: &[u8] = b"xyzzy5461";

    /// What OpenSSL makes of it.
    fn md5(parts: &[&[u8]]) -> Vec<u8> {
        openssl::hash::hash(MessageDigest::md5(), &parts.concat()).unwrap().to_vec()
    }

    fn hmac(secret: &[u8], text: &[u8]) -> Vec<u8> {
        let key = PKey::hmac(secret).unwrap();
        Signer::new(MessageDigest::md5(), &key).unwrap().sign_oneshot_to_vec(text).unwrap()
    }

    /// An answer to this request as RFC 2865 and 3579 have it.
    fn answer(
        request: &[u8],
        code: u8,
        attributes: &[u8],
        is_signed: bool,
        secret: &[u8],
    ) -> Vec<u8> {
        let mut packet = vec![code, request[1], 0, 0];
        packet.extend(&request[4..20]);
        packet.extend(attributes);
        let at = packet.len() + 2;
        if is_signed {
            packet.extend([80, 18]);
            packet.extend([0; 16]);
        }
        let length = u16::try_from(packet.len()).unwrap();
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        if is_signed {
            let signature = hmac(secret, &packet);
            packet[at..].copy_from_slice(&signature);
        }
        let authenticator = md5(&[&packet, secret]);
        packet[4..20].copy_from_slice(&authenticator);
        packet
    }

    fn answering(code: u8, attributes: &'static [u8], is_signed: bool) -> Turn {
        Turn::Answer(Arc::new(move |heard| answer(heard, code, attributes, is_signed, SECRET)))
    }

    async fn ask(turns: Vec<Turn>) -> Outcome {
        let asked = Negotiate {
            login: "nemo".to_owned(),
            passwd: Secret("arctangent".to_owned()),
            secret: Secret(String::from_utf8(SECRET.to_vec()).unwrap()),
            ..unconfigured("radius")
        };
        converse_by(&spec(asked), turns, vec![]).await
    }

    #[test]
    fn a_password_is_hidden_as_the_example_of_the_rfc_has_it() {
        // RFC 2865, section 7.1.
        let authenticator = *b"\x0f\x40\x3f\x94\x73\x97\x80\x57\xbd\x83\xd5\xcb\x98\xf4\x22\x7a";
        let expected = b"\x0d\xbe\x70\x8d\x93\xd4\x13\xce\x31\x96\xe4\x3f\x78\x2a\x0a\xee";
        assert_eq!(hidden(b"arctangent", SECRET, authenticator), expected);
        assert_eq!(hidden(b"", SECRET, authenticator), md5(&[SECRET, &authenticator]));
        // The second block is hidden with the first.
        let long = hidden(b"0123456789abcdefg", SECRET, authenticator);
        let key = md5(&[SECRET, &long[..16]]);
        assert_eq!(long.len(), 32);
        assert_eq!(long[16], key[0] ^ b'g');
        assert_eq!(long[17..], key[1..]);
    }

    #[test]
    fn the_request_begins_with_its_signature() {
        for (ours, kind, length) in [("192.0.2.99", 4, 6), ("2001:db8::99", 95, 18)] {
            let ours = ours.parse().unwrap();
            let packet = request(7, [9; 16], b"nemo", b"secret", ours, SECRET).unwrap();
            assert_eq!(packet[..2], [1, 7]);
            assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
            assert_eq!(packet[4..20], [9; 16]);
            let kinds: Vec<_> = values(&packet[20..])
                .map(|(kind, value)| (kind, value.unwrap().len() + 2))
                .collect();
            assert_eq!(kinds, [(80, 18), (1, 6), (2, 18), (kind, length)]);
            assert_eq!(packet[40..44], *b"nemo");
            let mut unsigned = packet.clone();
            unsigned[22..38].fill(0);
            assert_eq!(packet[22..38], hmac(SECRET, &unsigned));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_answer_decides() {
        for (turn, expected) in [
            (answering(2, b"", true), "Access-Accept"),
            (answering(2, b"", false), "Access-Accept"),
            (answering(2, b"\x06\x06\0\0\0\x02\x12\x07Hello", true), "Access-Accept: Hello"),
            (answering(3, b"", true), "denied: Access-Reject"),
            (answering(3, b"\x12\x06No!\n", false), "denied: Access-Reject: No!"),
            (answering(3, b"\x12\x11not arctangent.", false), "denied: Access-Reject: not ***."),
            (
                answering(11, b"\x12\x06PIN?", true),
                "denied: Access-Challenge: it asks for more than a password: PIN?",
            ),
        ] {
            let outcome = ask(vec![Turn::HearSome, turn, Turn::Hang]).await;
            assert_eq!((outcome.words().as_str(), outcome.took), (expected, Duration::ZERO));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_repeated_until_a_signed_answer_comes() {
        let good = || answering(2, b"", true);
        let changed = |at: usize| {
            Turn::Answer(Arc::new(move |heard| {
                let mut packet = answer(heard, 2, b"", true, SECRET);
                packet[at] ^= 1;
                packet
            }))
        };
        let echo = Turn::Answer(Arc::new(<[u8]>::to_vec));
        let turns =
            vec![Turn::HearSome, changed(1), changed(4), changed(22), echo, Turn::HearSome, good()];
        let outcome = ask(turns).await;
        let expected = ("Access-Accept", Duration::from_secs(1));
        assert_eq!((outcome.words().as_str(), outcome.took), expected);
        assert_eq!(outcome.datagrams[0], outcome.datagrams[1]);

        // The signature of another, inside of an answer that is signed well.
        let inner = Turn::Answer(Arc::new(|heard| {
            answer(heard, 2, &[&[80, 18][..], &[7; 16]].concat(), false, SECRET)
        }));
        for (turn, expected) in [
            (inner, "mismatch: 192.0.2.1:8080 signs its answers with another secret"),
            (
                Turn::Answer(Arc::new(|heard| answer(heard, 2, b"", true, b"other"))),
                "mismatch: 192.0.2.1:8080 signs its answers with another secret",
            ),
            (
                Turn::Say(vec![]),
                "timeout: no answer from 192.0.2.1:8080 within 5s, only a datagram that is none; \
                 a RADIUS server says nothing to whom it does not know, or not by this secret",
            ),
        ] {
            let outcome = ask(vec![Turn::HearSome, turn, Turn::Hang]).await;
            assert_eq!((outcome.words().as_str(), outcome.took.as_secs()), (expected, 5));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_radius_has_no_room_for_is_told_and_not_shown() {
        let asked = Negotiate { passwd: Secret("x".repeat(129)), ..unconfigured("radius") };
        let outcome = converse_by(&spec(asked), vec![Turn::Hang], vec![]).await;
        let expected = "internal: `passwd` is longer than the 128 bytes that RADIUS has for it";
        assert_eq!(outcome.words(), expected);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in vec(any::<u8>(), 0..300), id in any::<u8>()) {
            let _any = Answer::read(&bytes, id, [9; 16], SECRET).map(|read| read.map(|answer| judge(answer.code, answer.said())));
            // The same as attributes of an answer that is signed.
            let request = request(id, [9; 16], b"", b"", IpAddr::from([192, 0, 2, 1]), SECRET).unwrap();
            let packet = answer(&request, 2, &bytes, false, SECRET);
            if let Some(Ok(answer)) = Answer::read(&packet, id, [9; 16], SECRET) {
                let sum: usize = values(answer.attributes).map(|(_, value)| value.unwrap().len() + 2).sum();
                prop_assert_eq!(sum, bytes.len());
                prop_assert!(judge(answer.code, answer.said()).is_ok());
            }
        }
    }
}
