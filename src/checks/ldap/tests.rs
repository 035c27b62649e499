//! The dialogue of LDAP with scripted servers.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    checks::script::{Outcome as Heard, Turn, converse, spec, unconfigured},
    model::{Negotiate, Secret, TlsSettings},
    pattern::Pattern,
};

/// How something ended, as a server writes it.
fn outcome(tag: u8, number: u8, code: u8, words: &str) -> Turn {
    let parts = [
        tagged(ENUMERATED, &[code]),
        tagged(OCTET_STRING, b""),
        tagged(OCTET_STRING, words.as_bytes()),
    ];
    Turn::Say(message(number, constructed(tag, &parts)))
}

fn bound() -> Turn {
    outcome(BIND_RESPONSE, BIND, 0, "")
}

fn done() -> Turn {
    outcome(SEARCH_DONE, SEARCH, 0, "")
}

/// An entry with an attribute, as of a server that sends them unasked.
fn entry(name: &str) -> Turn {
    let values = constructed(0x31, &[tagged(OCTET_STRING, b"top")]);
    let attribute = constructed(SEQUENCE, &[tagged(OCTET_STRING, b"objectClass"), values]);
    let parts = [tagged(OCTET_STRING, name.as_bytes()), constructed(SEQUENCE, &[attribute])];
    Turn::Say(message(SEARCH, constructed(SEARCH_ENTRY, &parts)))
}

fn asking(receive: &str) -> Negotiate {
    Negotiate {
        request: b"/dc=example,dc=org".to_vec(),
        receive: (!receive.is_empty()).then(|| Pattern::new(receive.as_bytes()).unwrap()),
        ..unconfigured("ldap")
    }
}

async fn ask(receive: &str, turns: Vec<Turn>) -> Heard {
    converse(&spec(asking(receive)), vec![turns]).await
}

/// A server that takes everybody and answers the search so.
async fn found(receive: &str, answers: Vec<Turn>) -> String {
    let turns = [vec![Turn::HearSome, bound(), Turn::HearSome], answers].concat();
    ask(receive, turns).await.words()
}

#[tokio::test(start_paused = true)]
async fn tls_that_is_asked_for_must_begin() {
    let tls = TlsSettings { start: true, ..TlsSettings::default() };
    let asked = spec(Negotiate { tls, ..asking("") });
    let answered = async |answer: Turn| {
        let turns = vec![Turn::Hear("1.3.6.1.4.1.1466.20037"), answer, Turn::Hang];
        let heard = converse(&asked, vec![turns]).await;
        assert!(heard.bytes[0].ends_with(START_TLS), "{:?}", heard.heard);
        heard.words()
    };
    let refused = |why: &str| {
        format!(
            "tls: 192.0.2.1:8080 does not start TLS (STARTTLS failed: {why}); \
             enable TLS there, or write starttls=no"
        )
    };
    for (code, words, expected) in [
        (2, "unsupported extended operation", "protocol error (2): unsupported extended operation"),
        (1, "", "operations error (1)"),
        (52, "not set up", "server unavailable (52): not set up"),
    ] {
        let answer = outcome(EXTENDED_RESPONSE, EXTENDED, code, words);
        assert_eq!(answered(answer).await, refused(expected));
    }
    let answer = outcome(BIND_RESPONSE, EXTENDED, 0, "");
    let expected = "protocol: 192.0.2.1:8080 sent something else to STARTTLS";
    assert_eq!(answered(answer).await, expected);
    let answer = outcome(EXTENDED_RESPONSE, 0, 52, "");
    assert_eq!(answered(answer).await, "protocol: conversation failed: server unavailable (52)");
}

#[tokio::test(start_paused = true)]
async fn we_bind_search_and_unbind() {
    let turns = vec![
        Turn::HearSome,
        bound(),
        Turn::HearSome,
        entry("dc=example,dc=org"),
        done(),
        Turn::HearSome,
        Turn::Hang,
    ];
    let heard = ask("^dc=example", turns).await;
    assert_eq!((heard.words().as_str(), heard.took), ("dc=example,dc=org", Duration::ZERO));
    // As RFC 4511 has it, byte by byte.
    let expected = [
        &b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00"[..],
        b"\x30\x3b\x02\x01\x02\x63\x36\x04\x11dc=example,dc=org\x0a\x01\x00\x0a\x01\x02\x02\x01\x00\x02\x01\x00\x01\x01\x00\x87\x0bobjectClass\x30\x05\x04\x031.1",
        b"\x30\x05\x02\x01\x03\x42\x00",
    ];
    assert_eq!(heard.bytes, [expected.concat()]);
}

#[tokio::test(start_paused = true)]
async fn only_with_login_and_password_are_we_somebody() {
    for (login, passwd, expected) in [
        (
            "cn=monitor",
            "x",
            &b"\x30\x17\x02\x01\x01\x60\x12\x02\x01\x03\x04\x0acn=monitor\x80\x01x"[..],
        ),
        ("cn=monitor", "", b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00"),
        ("", "x", b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00"),
    ] {
        let asked =
            Negotiate { login: login.to_owned(), passwd: Secret(passwd.to_owned()), ..asking("") };
        let refusal = outcome(BIND_RESPONSE, BIND, 49, "");
        let heard = converse(&spec(asked), vec![vec![Turn::HearSome, refusal]]).await;
        assert_eq!(heard.words(), "denied: bind failed: invalid credentials (49)");
        assert_eq!(heard.bytes, [expected]);
    }
}

#[tokio::test(start_paused = true)]
async fn one_entry_must_be_found() {
    for (receive, answers, expected) in [
        ("", vec![entry("dc=example"), done()], "dc=example"),
        ("", vec![entry(""), done()], "the root"),
        (
            "org$",
            vec![entry("dc=example"), done()],
            "mismatch: the name dc=example does not match the pattern",
        ),
        ("", vec![done()], "mismatch: there is no entry for dc=example,dc=org"),
        ("", vec![entry("a"), entry("b"), done()], "protocol: more than one entry for one object"),
        (
            "",
            vec![
                Turn::Say(message(SEARCH, constructed(SEARCH_REFERENCE, &[]))),
                entry("a"),
                done(),
            ],
            "a",
        ),
    ] {
        assert_eq!(found(receive, answers).await, expected);
    }
    let reference = Turn::Say(message(SEARCH, constructed(SEARCH_REFERENCE, &[])));
    let expected = "protocol: 192.0.2.1:8080 sent 100 messages, and no end of the search";
    assert_eq!(found("", vec![reference; 101]).await, expected);
}

#[tokio::test(start_paused = true)]
async fn what_a_server_refuses_is_told() {
    for (code, words, expected) in [
        (32, "", "mismatch: search failed: no such object (32)"),
        (34, "invalid DN", "mismatch: search failed: no name that is a DN (34): invalid DN"),
        (50, "", "denied: search failed: no right to do so (50)"),
        (52, "shutting\ndown", "protocol: search failed: server unavailable (52): shutting\\ndown"),
        (99, "", "protocol: search failed: fault (99)"),
    ] {
        let answers = vec![outcome(SEARCH_DONE, SEARCH, code, words)];
        assert_eq!(found("", answers).await, expected);
    }
    let notice = outcome(EXTENDED_RESPONSE, 0, 52, "bye");
    let expected = "protocol: conversation failed: server unavailable (52): bye";
    assert_eq!(ask("", vec![Turn::HearSome, notice]).await.words(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_password_that_a_server_repeats_is_not_told() {
    for (answers, expected) in [
        (
            vec![outcome(BIND_RESPONSE, BIND, 49, "not hunter2")],
            "denied: bind failed: invalid credentials (49): not ***",
        ),
        (vec![bound(), Turn::HearSome, entry("cn=hunter2,o=x"), done()], "cn=***,o=x"),
        (
            vec![Turn::Say(b"hunter2!".to_vec())],
            "protocol: 192.0.2.1:8080 sent something that is no answer in LDAP: ***!",
        ),
    ] {
        let passwd = Secret("hunter2".to_owned());
        let asked = Negotiate { login: "cn=web".to_owned(), passwd, ..asking("") };
        let turns = [vec![Turn::HearSome], answers].concat();
        assert_eq!(converse(&spec(asked), vec![turns]).await.words(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_ldap_is_told() {
    let Turn::Say(good) = bound() else { panic!("a server says it") };
    let cut = &good[..good.len() - 1];
    for (said, expected) in [
        (&b""[..], "reset: 192.0.2.1:8080 closed the connection without an answer"),
        (b"\x30", "reset: 192.0.2.1:8080 closed the connection in the middle of its answer"),
        (cut, "reset: 192.0.2.1:8080 closed the connection in the middle of its answer"),
        (
            b"\x30\x84\x7f\xff\xff\xff",
            "protocol: 192.0.2.1:8080 sent a message of 2147483653 bytes",
        ),
        (
            b"\x30\x03\x02\x01\x01",
            "protocol: 192.0.2.1:8080 sent something that is no answer in LDAP",
        ),
        (
            // The answer to another message.
            b"\x30\x0c\x02\x01\x02\x61\x07\x0a\x01\0\x04\0\x04\0",
            "protocol: 192.0.2.1:8080 sent something that is no answer in LDAP",
        ),
        (
            b"HTTP/1.1 400 Bad\r\n",
            "protocol: 192.0.2.1:8080 sent something that is no answer in LDAP: HTTP/1.1 400 Bad",
        ),
    ] {
        let heard = ask("", vec![Turn::HearSome, Turn::Say(said.to_vec())]).await;
        assert_eq!(heard.words(), expected, "for {said:?}");
    }
    let expected = "protocol: 192.0.2.1:8080 sent something else to a bind";
    let odd = Turn::Say(message(BIND, constructed(SEARCH_REFERENCE, &[])));
    assert_eq!(ask("", vec![Turn::HearSome, odd]).await.words(), expected);
    let expected = "protocol: 192.0.2.1:8080 sent something else to a search";
    assert_eq!(found("", vec![outcome(BIND_RESPONSE, SEARCH, 0, "")]).await, expected);
}

#[tokio::test(start_paused = true)]
async fn answers_may_come_in_pieces_and_with_long_lengths() {
    // The server of a certain company writes all lengths in four bytes.
    let said = b"\x30\x84\0\0\0\x10\x02\x01\x01\x61\x84\0\0\0\x07\x0a\x01\0\x04\0\x04\0";
    let pieces = said.iter().map(|byte| Turn::Say(vec![*byte]));
    let pieces = pieces.flat_map(|turn| [Turn::Wait(Duration::from_millis(50)), turn]);
    let rest = vec![Turn::HearSome, entry("a"), done(), Turn::Hang];
    let heard = ask("", [Turn::HearSome].into_iter().chain(pieces).chain(rest).collect()).await;
    assert_eq!((heard.words().as_str(), heard.took), ("a", Duration::from_millis(1100)));
}

#[tokio::test(start_paused = true)]
async fn an_echo_of_the_password_is_not_told() {
    let echo = Turn::Answer(std::sync::Arc::new(<[u8]>::to_vec));
    let asked =
        Negotiate { login: "me".to_owned(), passwd: Secret("pa55".to_owned()), ..asking("") };
    let heard = converse(&spec(asked), vec![vec![Turn::HearSome, echo]]).await;
    assert!(heard.heard[0].contains("pa55"));
    assert_eq!(heard.words(), "protocol: 192.0.2.1:8080 sent something that is no answer in LDAP");
}

proptest! {
    #[test]
    fn no_bytes_are_too_odd(tag in any::<u8>(), value in vec(any::<u8>(), 0..300)) {
        for tag in [tag, BIND_RESPONSE, SEARCH_ENTRY, SEARCH_DONE] {
            if let Some(Reply::Entry(name)) = Reply::read(tag, &value) {
                prop_assert!(name.len() <= value.len());
            }
        }
    }
}
