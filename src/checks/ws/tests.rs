//! The dialogue of WebSocket with scripted servers.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;

use crate::{
    checks::script::{Outcome, Turn, converse, spec, unconfigured},
    model::{HttpHeader, Negotiate, Reason, Secret},
    pattern::Pattern,
};

/// How a server begins that switches.
const SWITCHES: &str =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";

fn check(receive: &str) -> Negotiate {
    Negotiate {
        receive: (!receive.is_empty()).then(|| Pattern::new(receive.as_bytes()).unwrap()),
        ..unconfigured("ws")
    }
}

/// A server that answers the key in a header that begins so, and then says this.
fn answers(header: &'static str, then: &[u8]) -> Vec<Turn> {
    let then = then.to_vec();
    let answer = move |heard: &[u8]| {
        let heard = String::from_utf8_lossy(heard).into_owned();
        let key = heard.split("Sec-WebSocket-Key: ").nth(1).unwrap().lines().next().unwrap();
        let digest =
            openssl::sha::sha1(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes());
        let accept = openssl::base64::encode_block(&digest);
        let header = format!("{header}Sec-WebSocket-Accept: {accept}\r\n\r\n");
        [header.as_bytes(), &then].concat()
    };
    vec![Turn::Hear("\r\n\r\n"), Turn::Answer(Arc::new(answer))]
}

/// What comes of a server that switches and says this, and then stays silent.
async fn says(then: &[u8], receive: &str) -> Outcome {
    let turns = [answers(SWITCHES, then), vec![Turn::HearSome, Turn::Hang]].concat();
    converse(&spec(check(receive)), vec![turns]).await
}

/// A frame of a server.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, u8::try_from(payload.len()).unwrap()], payload].concat()
}

/// What we sent behind the request, without masks: each frame as its first byte and its payload.
fn sent(outcome: &Outcome) -> Vec<(u8, Vec<u8>)> {
    let heard = &outcome.bytes[0];
    let end = heard.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let (mut rest, mut frames) = (&heard[end..], Vec::new());
    while let [first, second, after @ ..] = rest {
        assert_eq!(second & 0x80, 0x80, "a client masks");
        let (length, after) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes([after[0], after[1]])), &after[2..]),
            127 => (
                usize::try_from(u64::from_be_bytes(after[..8].try_into().unwrap())).unwrap(),
                &after[8..],
            ),
            short => (usize::from(short), after),
        };
        let (mask, after) = after.split_at(4);
        let payload =
            after[..length].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        frames.push((*first, payload.collect()));
        rest = &after[length..];
    }
    frames
}

fn closed() -> (u8, Vec<u8>) {
    (0x88, vec![0x03, 0xe8])
}

#[tokio::test(start_paused = true)]
async fn a_server_that_switches_works_and_hears_us_go() {
    let outcome = says(b"", "").await;
    assert_eq!(
        (outcome.words().as_str(), outcome.took),
        ("101 Switching Protocols", Duration::ZERO)
    );
    assert_eq!(sent(&outcome), [closed()]);
    let heard = String::from_utf8_lossy(&outcome.bytes[0]).into_owned();
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "GET / HTTP/1.1\r\nHost: 192.0.2.1\r\nUser-Agent: ldirectord/{version}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    );
    assert_eq!(heard[..expected.len()], expected);
    let key = heard[expected.len()..].lines().next().unwrap();
    assert_eq!(openssl::base64::decode_block(key).unwrap().len(), 16);
    // Nobody can answer beforehand.
    assert!(!String::from_utf8_lossy(&says(b"", "").await.bytes[0]).contains(key));
}

#[tokio::test(start_paused = true)]
async fn the_request_is_what_the_configuration_says() {
    let mut asked = Negotiate {
        request: b"/chat room?a=\"b\"#top".to_vec(),
        virtualhost: Some("chat.example.org:81".to_owned()),
        login: "ann".to_owned(),
        passwd: Secret("hunter2".to_owned()),
        ..check("")
    };
    asked.http.headers = vec![HttpHeader {
        name: "Origin".to_owned(),
        value: Secret("https://a.example".to_owned()),
    }];
    let outcome = converse(&spec(asked.clone()), vec![answers(SWITCHES, b"")]).await;
    assert_eq!(outcome.words(), "101 Switching Protocols");
    let heard = String::from_utf8_lossy(&outcome.bytes[0]).into_owned();
    assert!(
        heard.starts_with("GET /chat%20room?a=%22b%22 HTTP/1.1\r\nHost: chat.example.org:81\r\n"),
        "{heard}"
    );
    assert!(
        heard
            .contains("\r\nAuthorization: Basic YW5uOmh1bnRlcjI=\r\nOrigin: https://a.example\r\n"),
        "{heard}"
    );

    asked.http.body = Secret("{}".repeat(100));
    let turns = [answers(SWITCHES, b""), vec![Turn::HearSome, Turn::HearSome]].concat();
    let outcome = converse(&spec(asked.clone()), vec![turns.clone()]).await;
    assert_eq!(sent(&outcome), [(0x81, "{}".repeat(100).into_bytes()), closed()]);
    for length in [125, 126, 65_535, 65_536] {
        asked.http.body = Secret("x".repeat(length));
        let hears = [answers(SWITCHES, b""), vec![Turn::HearSome; 100]].concat();
        let outcome = converse(&spec(asked.clone()), vec![hears]).await;
        assert_eq!(sent(&outcome)[0], (0x81, vec![b'x'; length]), "{length}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_switch_is_told() {
    let peer = "192.0.2.1:8080";
    for (answer, expected) in [
        (
            "HTTP/1.1 200 OK\r\n\r\n",
            format!("protocol: {peer} did not switch to WebSocket, but answered 200 OK"),
        ),
        (
            "HTTP/1.1 301 Moved Permanently\r\nLocation: /x\r\n\r\n",
            format!(
                "protocol: {peer} did not switch to WebSocket, but answered 301 Moved Permanently"
            ),
        ),
        (
            "HTTP/1.1 403 Forbidden\r\n\r\n",
            format!("denied: {peer} did not switch to WebSocket, but answered 403 Forbidden"),
        ),
        (
            "HTTP/1.1 401 Who?\r\n\r\n",
            format!("denied: {peer} takes nobody without a login: 401 Who?"),
        ),
        (
            "hello",
            format!(
                "protocol: {peer} did not switch to WebSocket, but answered 200 (no status line)"
            ),
        ),
        ("", format!("reset: {peer} closed the connection without an answer")),
        (
            "HTTP/1.1 101 Yes\r\n\r\n",
            "protocol: 101 Yes, but its Upgrade is not websocket".to_owned(),
        ),
        (
            "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n\r\n",
            "protocol: 101 Yes, but its Connection is not Upgrade".to_owned(),
        ),
        (
            "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
            "protocol: 101 Yes, but its Sec-WebSocket-Accept is not the answer to our key"
                .to_owned(),
        ),
        (
            // The example of the standard, section 1.3: the answer to somebody else.
            "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            "protocol: 101 Yes, but its Sec-WebSocket-Accept is not the answer to our key"
                .to_owned(),
        ),
    ] {
        let turns = vec![Turn::Hear("\r\n\r\n"), Turn::Say(answer.into())];
        let outcome = converse(&spec(check("")), vec![turns]).await;
        assert_eq!(outcome.words(), expected, "{answer}");
    }
    let asked = Negotiate { login: "ann".to_owned(), ..check("") };
    let turns = vec![Turn::Hear("\r\n\r\n"), Turn::Say(b"HTTP/1.1 401 No\r\n\r\n".to_vec())];
    let outcome = converse(&spec(asked), vec![turns]).await;
    assert_eq!(outcome.words(), format!("denied: {peer} refused the login of ann: 401 No"));
}

#[tokio::test(start_paused = true)]
async fn the_header_of_the_switch_is_read_as_the_standard_has_it() {
    let lax = "HTTP/1.1 101 Go\r\nupgrade: WebSocket\r\nCONNECTION: keep-alive, upgrade\r\n";
    assert_eq!(converse(&spec(check("")), vec![answers(lax, b"")]).await.words(), "101 Go");
    let chat = "HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: chat\r\n";
    let outcome = converse(&spec(check("")), vec![answers(chat, b"")]).await;
    assert_eq!(
        outcome.words(),
        "protocol: 101 Go, but it has a Sec-WebSocket-Protocol, which nobody asked for"
    );

    let mut asked = check("");
    let protocol = "Sec-WebSocket-Protocol".to_owned();
    asked.http.headers =
        vec![HttpHeader { name: protocol.to_lowercase(), value: Secret("chat, talk".to_owned()) }];
    asked.http.expected_headers = vec![(protocol.clone(), Pattern::new(b"^chat$").unwrap())];
    assert_eq!(converse(&spec(asked.clone()), vec![answers(chat, b"")]).await.words(), "101 Go");
    asked.http.expected_headers = vec![(protocol, Pattern::new(b"^talk$").unwrap())];
    let outcome = converse(&spec(asked), vec![answers(chat, b"")]).await;
    let expected =
        "mismatch: 101 Go, but its header Sec-WebSocket-Protocol does not match the pattern";
    assert_eq!(outcome.words(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_message_must_match() {
    let good = "101 Switching Protocols";
    let long = [&[0x82, 126, 1, 0][..], &[b'x'; 255], b"!"].concat();
    let longer = [&[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0][..], &[b'x'; 65_535], b"!"].concat();
    let parts = [frame(0x01, b"all is "), frame(0x8a, b""), frame(0x00, b"we"), frame(0x80, b"ll")]
        .concat();
    for (said, receive) in [
        (frame(0x81, b"all is well"), "^all is well$"),
        (frame(0x82, b"\xff\0"), "\\xff"),
        ([frame(0x81, b"hello"), frame(0x81, b"all is well")].concat(), "^all is well$"),
        (parts, "^all is well$"),
        (frame(0x81, b""), "^$"),
        (long, "^x{255}!$"),
        (longer, "x!$"),
    ] {
        let outcome = says(&said, receive).await;
        assert_eq!(
            (outcome.words().as_str(), sent(&outcome).last()),
            (good, Some(&closed())),
            "{receive}"
        );
    }
    // Two messages are not one.
    let outcome =
        says(&[frame(0x81, b"all is "), frame(0x81, b"well")].concat(), "all is well").await;
    assert_eq!(outcome.verdict.unwrap_err().reason, Reason::Timeout);
    let outcome = says(b"", "all is well").await;
    let detail = "timeout: no complete answer from 192.0.2.1:8080 within 5s, only 129 bytes of one";
    assert_eq!((outcome.words().as_str(), outcome.took), (detail, Duration::from_secs(5)));
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered() {
    let said = [frame(0x89, b"are you there"), frame(0x81, b"well")].concat();
    let outcome = says(&said, "well").await;
    assert_eq!(outcome.words(), "101 Switching Protocols");
    assert_eq!(sent(&outcome)[0], (0x8a, b"are you there".to_vec()));
    let outcome = says(&frame(0x89, b"").repeat(1000), "well").await;
    let expected = "mismatch: 192.0.2.1:8080 sent 64 pings or pongs; there was no message to match the pattern";
    assert_eq!(outcome.words(), expected);
}

#[tokio::test(start_paused = true)]
async fn what_never_matches_is_told() {
    let peer = "192.0.2.1:8080";
    let close = frame(0x88, b"\x03\xe9going \x1baway");
    for (said, expected) in [
        (
            [frame(0x81, b"no"), close].concat(),
            format!(
                "mismatch: {peer} closed WebSocket (1001 going \\u{{1b}}away); its message does not match the pattern"
            ),
        ),
        (
            frame(0x88, b""),
            format!("mismatch: {peer} closed WebSocket; there was no message to match the pattern"),
        ),
        (
            frame(0x81, b"no").repeat(500_000),
            format!(
                "mismatch: in the first 1048576 bytes from {peer}, none of its 262144 messages matches the pattern"
            ),
        ),
        // A length that lies is not believed before the bytes are there.
        (
            [&[0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..], &[b'x'; 2_000_000]]
                .concat(),
            format!(
                "mismatch: in the first 1048576 bytes from {peer}, its message does not match the pattern"
            ),
        ),
        (
            frame(0x01, b"").repeat(2),
            format!("protocol: {peer} began a message in the middle of another"),
        ),
        (
            frame(0x80, b"well"),
            format!("protocol: {peer} went on with a message that it had not begun"),
        ),
        (
            frame(0x83, b"well"),
            format!("protocol: {peer} sent a frame of a kind that does not exist"),
        ),
        (
            frame(0xc1, b"well"),
            format!("protocol: {peer} sent a frame of an extension that nobody asked for"),
        ),
        (b"\x81\x84maskwell".to_vec(), format!("protocol: {peer} sent a frame with a mask")),
        (
            frame(0x09, b"well"),
            format!(
                "protocol: {peer} sent a frame about the connection that is in parts or too long"
            ),
        ),
        (
            b"\x89\x7e\0\x7e".to_vec(),
            format!(
                "protocol: {peer} sent a frame about the connection that is in parts or too long"
            ),
        ),
    ] {
        let outcome = says(&said, "well$").await;
        assert_eq!(outcome.words(), expected);
        assert_eq!(outcome.took, Duration::ZERO);
    }
    let turns = answers(SWITCHES, b"\x81\x05we");
    let outcome = converse(&spec(check("we")), vec![turns]).await;
    assert_eq!(
        outcome.words(),
        format!("reset: {peer} closed the connection in the middle of its answer")
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_than_maxbody_is_looked_at() {
    let mut asked = check("b");
    asked.http.max_body = 12;
    let turns = |said: &[u8]| [answers(SWITCHES, said), vec![Turn::Hang]].concat();
    let outcome = converse(&spec(asked.clone()), vec![turns(&frame(0x81, b"aaaaaaaaab"))]).await;
    assert_eq!(outcome.words(), "101 Switching Protocols");
    let outcome = converse(&spec(asked), vec![turns(&frame(0x81, b"aaaaaaaaaab"))]).await;
    let expected = "mismatch: in the first 12 bytes from 192.0.2.1:8080, its message does not match the pattern";
    assert_eq!(outcome.words(), expected);
}

proptest! {
    #[test]
    fn no_frames_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..300), first in any::<u8>()) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let said = [&[first], bytes.as_slice()].concat();
        let outcome = runtime.block_on(says(&said, "never said so"));
        prop_assert!(outcome.verdict.is_err_and(|fault| fault.reason != Reason::Internal));
    }
}
