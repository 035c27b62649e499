//! Calls over HTTP/2 to scripted servers. Their frames are written by hand, ours are read by h2.

use std::time::Duration;

use http::{header::AUTHORIZATION, request::Parts};
use proptest::prelude::*;
use tokio::io::{AsyncWriteExt, duplex};

use crate::{
    checks::script::{Outcome, Turn, converse, spec, unconfigured},
    model::{HttpHeader, Negotiate, Reason, Secret},
};

const PEER: &str = "192.0.2.1:8080";

/// Kinds of frames, and the flags that end a stream and a header.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END: u8 = 1;
const WHOLE: u8 = 4;

/// The end of a call that names no service: a frame with an empty message.
const EMPTY: &str = "\0\0\x05\0\x01\0\0\0\x01\0\0\0\0\0";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header of literals (RFC 7541 section 6.2.2).
fn header(flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap());
            block.extend(text.as_bytes());
        }
    }
    frame(HEADERS, flags | WHOLE, 1, &block)
}

fn good_header() -> Vec<u8> {
    header(0, &[(":status", "200"), ("content-type", "application/grpc+proto")])
}

fn body(compressed: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    frame(DATA, 0, 1, &[&[compressed], &length[..], message].concat())
}

fn trailer(status: &str, message: &str) -> Vec<u8> {
    header(END, &[("grpc-status", status), ("grpc-message", message)])
}

fn check(request: &str) -> Negotiate {
    Negotiate { request: request.as_bytes().to_vec(), ..unconfigured("grpc") }
}

/// A server that says this when it has heard the call.
async fn says(said: &[u8]) -> Outcome {
    let said = [&frame(SETTINGS, 0, 0, b""), &frame(SETTINGS, END, 0, b"")[..], said].concat();
    let turns = vec![Turn::Hear("\x0a\x04shop"), Turn::Say(said), Turn::Hang];
    converse(&spec(check("/shop")), vec![turns]).await
}

/// One that answers so, without a fault of the call.
async fn answers(message: &[u8]) -> Outcome {
    says(&[good_header(), body(0, message), trailer("0", "")].concat()).await
}

/// What we called, as a server hears it.
async fn heard(outcome: &Outcome) -> (Parts, Vec<u8>) {
    let (mut ours, theirs) = duplex(64 * 1024);
    ours.write_all(&outcome.bytes[0]).await.unwrap();
    let mut server = h2::server::handshake(theirs).await.unwrap();
    let (request, _respond) = server.accept().await.unwrap().unwrap();
    let (parts, mut body) = request.into_parts();
    let message = body.data().await.unwrap().unwrap().to_vec();
    (parts, message)
}

#[tokio::test(start_paused = true)]
async fn a_server_that_serves_works() {
    let outcome = answers(b"\x08\x01").await;
    assert_eq!((outcome.words().as_str(), outcome.took), ("SERVING", Duration::ZERO));
    let (parts, message) = heard(&outcome).await;
    assert_eq!((parts.method.as_str(), parts.uri.path()), ("POST", "/grpc.health.v1.Health/Check"));
    assert_eq!(
        (parts.uri.scheme_str(), parts.uri.authority().unwrap().as_str()),
        (Some("http"), PEER)
    );
    assert_eq!(parts.headers["te"], "trailers");
    assert_eq!(parts.headers["content-type"], "application/grpc");
    assert!(parts.headers["user-agent"].to_str().unwrap().starts_with("ldirectord/"));
    assert_eq!(message, b"\0\0\0\0\x06\x0a\x04shop");
}

#[tokio::test(start_paused = true)]
async fn the_call_is_what_the_configuration_says() {
    let mut asked = Negotiate { virtualhost: Some("rpc.example.org".to_owned()), ..check("/") };
    asked.http.headers = vec![HttpHeader {
        name: "Authorization".to_owned(),
        value: Secret("Bearer token".to_owned()),
    }];
    let outcome = converse(&spec(asked.clone()), vec![vec![Turn::Hear(EMPTY)]]).await;
    let (parts, message) = heard(&outcome).await;
    assert_eq!(parts.uri.authority().unwrap(), "rpc.example.org");
    assert_eq!(parts.headers[AUTHORIZATION], "Bearer token");
    assert_eq!(message, [0; 5]);
    asked.http.headers[0].name = "Upgrade".to_owned();
    let outcome = converse(&spec(asked.clone()), vec![]).await;
    assert_eq!(outcome.words(), "internal: the requestheader Upgrade cannot be sent over HTTP/2");
    let mut no_host = check("/");
    no_host.virtualhost = Some("no host".to_owned());
    let outcome = converse(&spec(no_host), vec![]).await;
    assert_eq!(
        outcome.words(),
        "internal: virtualhost no host cannot be asked for: invalid uri character"
    );
    let secure = Negotiate { protocol: "grpcs", ..check("/") };
    let outcome = converse(&spec(secure), vec![vec![Turn::Hear(EMPTY)]]).await;
    assert_eq!(heard(&outcome).await.0.uri.scheme_str(), Some("https"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_serve_does_not_work() {
    for (message, expected) in [
        (&b""[..], "UNKNOWN"),
        (b"\x08\x00", "UNKNOWN"),
        (b"\x08\x02", "NOT_SERVING"),
        (b"\x08\x03", "SERVICE_UNKNOWN"),
        (b"\x08\x81\x01", "with the status 129"),
        (b"\x10\x01", "UNKNOWN"),
    ] {
        let outcome = answers(message).await;
        assert_eq!(outcome.words(), format!("protocol: {PEER} answered {expected}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_refused_is_told() {
    for (status, message, expected) in [
        (
            "5",
            "unknown service",
            "protocol: PEER answered NOT_FOUND: unknown service; it does not know the service \"shop\"",
        ),
        ("7", "", "denied: PEER answered PERMISSION_DENIED"),
        (
            "12",
            "Method not found%21%0a%zz",
            "protocol: PEER answered UNIMPLEMENTED: Method not found!\\n%zz; has it a health service (grpc.health.v1)?",
        ),
        ("14", "", "protocol: PEER answered UNAVAILABLE"),
        ("16", "who%3F", "denied: PEER answered UNAUTHENTICATED: who?"),
        ("99", "", "protocol: PEER answered status 99"),
        ("-1", "", "protocol: PEER ended its answer without a grpc-status"),
        ("", "", "protocol: PEER ended its answer without a grpc-status"),
    ] {
        let expected = expected.replace("PEER", PEER);
        // With a message before it, which does not count; and without, all in the header.
        let told =
            says(&[good_header(), body(0, b"\x08\x01"), trailer(status, message)].concat()).await;
        assert_eq!(told.words(), expected);
        let fields = [
            (":status", "200"),
            ("content-type", "application/grpc"),
            ("grpc-status", status),
            ("grpc-message", message),
        ];
        assert_eq!(says(&header(END, &fields)).await.words(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_answer_of_grpc_is_told() {
    let web = |status: &str, content: &str| {
        header(END, &[(":status", status), ("content-type", content)])
    };
    let with = |body: Vec<u8>| [good_header(), body, trailer("0", "")].concat();
    for (said, expected) in [
        (web("200", "text/html"), "protocol: PEER answered without gRPC: 200 OK"),
        (
            web("503", "application/grpc"),
            "protocol: PEER answered without gRPC: 503 Service Unavailable",
        ),
        (web("403", "text/html"), "denied: PEER answered without gRPC: 403 Forbidden"),
        (
            with(body(1, b"\x08\x01")),
            "protocol: PEER sent an answer that is compressed, which nobody allowed",
        ),
        (
            with(body(0, b"\x08")),
            "protocol: PEER sent an answer that is no message of the health service",
        ),
        (
            with(frame(DATA, 0, 1, b"\0\0\0\0\x03\x08\x01")),
            "protocol: PEER sent an answer of another length than it says",
        ),
        (
            with(frame(DATA, 0, 1, b"\0\0\0\0\x01\x08\x01")),
            "protocol: PEER sent an answer of another length than it says",
        ),
        (with(frame(DATA, 0, 1, b"\0\0")), "protocol: PEER sent an answer without a message"),
        (
            with(
                [b"".to_vec(), frame(DATA, 0, 1, &[0; 16_384]), frame(DATA, 0, 1, &[0; 10])]
                    .concat(),
            ),
            "protocol: PEER sent an answer that is too long",
        ),
        (
            [good_header(), frame(DATA, END, 1, b"\0\0\0\0\x02\x08\x01")].concat(),
            "protocol: PEER ended its answer without a grpc-status",
        ),
        (
            frame(RST_STREAM, 0, 1, &[0, 0, 0, 7]),
            "protocol: PEER does not speak HTTP/2 as it should: stream error received: refused stream before processing any application logic",
        ),
        (
            frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xb]),
            "protocol: PEER does not speak HTTP/2 as it should: connection error received: detected excessive load generating behavior",
        ),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            "protocol: PEER does not speak HTTP/2 as it should: connection error detected: frame with invalid size",
        ),
    ] {
        let outcome = says(&said).await;
        assert_eq!(outcome.words(), expected.replace("PEER", PEER));
        assert_eq!(outcome.took, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_or_too_much_is_told() {
    let outcome = converse(&spec(check("/")), vec![vec![Turn::Hang]]).await;
    assert_eq!(outcome.words(), format!("timeout: no answer from {PEER} within 5s"));
    assert_eq!(outcome.took, Duration::from_secs(5));
    let outcome = says(&good_header()).await;
    assert_eq!(outcome.verdict.unwrap_err().reason, Reason::Timeout);
    let outcome = converse(&spec(check("/")), vec![vec![Turn::HearSome]]).await;
    assert_eq!(outcome.verdict.unwrap_err().reason, Reason::Reset);
    // Frames of a kind that nobody knows are passed over, but not for ever.
    let outcome = says(&frame(0xfe, 0, 0, b"").repeat(100_000)).await;
    assert_eq!(outcome.words(), format!("protocol: {PEER}: it sent more than 40960 bytes"));
    // A header without end.
    let first = frame(HEADERS, 0, 1, b"");
    let more = frame(9, 0, 1, &[&[0, 1, b'x', 100][..], &[b'y'; 100]].concat());
    let outcome = says(&[first, more.repeat(10_000)].concat()).await;
    assert_eq!(outcome.verdict.unwrap_err().reason, Reason::Protocol);
}

proptest! {
    #[test]
    fn no_answer_is_too_odd(
        frames in proptest::collection::vec((0..12_u8, any::<u8>(), 0..3_u32, proptest::collection::vec(any::<u8>(), 0..50)), 0..10),
        rest in proptest::collection::vec(any::<u8>(), 0..50),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let mut said = good_header();
        for (kind, flags, stream, payload) in frames {
            said.extend(frame(kind, flags, stream, &payload));
        }
        said.extend(rest);
        let outcome = runtime.block_on(says(&said));
        prop_assert!(outcome.verdict.is_err_and(|fault| fault.reason != Reason::Internal));
    }
}
