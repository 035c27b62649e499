//! `service=simpletcp`: bytes of the operator's own, over TCP or, where the virtual service is of UDP, in a datagram.
//!
//! | we say | we expect |
//! |---|---|
//! | `request` without its first character (the `/` that ldirectord adds), `\n` in it as a line feed | |
//! | over TCP, that we shall say no more | a line that `receive` matches, its line feed included |
//!
//! Each line is matched alone. One without a line feed is a line when the server closes, or at the end of a datagram.
//! Without `receive` any line will do.
//! A datagram is sent once, since nobody knows what it means to the server.
//!
//! Differs from ldirectord: without `receive` a request with `\n` in it works, too.
//! Differs from ldirectord: of an answer without end only the first MiB is looked at, and no line is longer than 32 KiB.
//! Differs from ldirectord: an empty request is sent over UDP, as an empty datagram, and the end of a datagram is the
//! end of its line.

use super::{
    Protocol, Question, failure,
    link::{Link, Sending},
    shown,
    text::with_line_feeds,
};
use crate::{
    model::{Carrier, Failure, Pass, ProtocolInfo, Reason, Transport, Verdict},
    pattern::Pattern,
};

/// The longest line, in bytes.
const LINE: usize = 32 * 1024;

/// How much of an answer is looked at, in bytes.
const ANSWER: usize = 1024 * 1024;

pub(super) const PROTOCOLS: &[Protocol] = &[Protocol {
    info: ProtocolInfo {
        name: "simpletcp",
        default_port: None,
        carrier: Carrier::AsService,
        directives: &["request", "receive"],
        doc: "Sends `request`, in which \\n stands for a line feed, over TCP or UDP as the virtual service does. The real \
              server works when a line of the answer matches `receive`; without `receive` any line will do.",
    },
    talk: |question, link| Box::pin(talk(question, link)),
}];

async fn talk(question: &Question<'_>, link: &mut Link<'_>) -> Verdict {
    let negotiate = question.negotiate;
    let (request, receive) = (bytes(&negotiate.request), negotiate.receive.as_ref());
    if negotiate.transport == Transport::Udp {
        return link
            .ask(&request, Sending::Once, |answer| {
                let mut lines = answer.split_inclusive(|byte| *byte == b'\n');
                lines.find(|line| fits(receive, line)).map(pass)
            })
            .await;
    }
    let sent = async {
        link.send(&request).await?;
        link.finish_sending().await
    };
    match sent.await {
        // A server may have answered and closed before it had read what we said.
        Ok(()) | Err(Failure { reason: Reason::Reset, .. }) => {}
        Err(fault) => return Err(fault),
    }
    let (mut heard, mut last) = (0_usize, Vec::new());
    while heard < ANSWER {
        let line = match link.line(LINE).await {
            // As if it had closed.
            Err(Failure { reason: Reason::Reset, .. }) if !link.buffered().is_empty() => {
                let line = link.buffered().to_vec();
                link.consume(line.len());
                line
            }
            line => line?,
        };
        match line.as_slice() {
            b"" if heard == 0 => return Err(link.closed()),
            b"" => break,
            line if fits(receive, line) => return Ok(pass(line)),
            _ => {}
        }
        heard = heard.saturating_add(line.len());
        // Shown at the end: there may be a million.
        last = line;
    }
    let last = shown(&last);
    let detail = format!("no line of {heard} bytes matches the pattern, the last is: {last}");
    Err(failure(Reason::Mismatch, detail))
}

/// What is sent for a request.
fn bytes(request: &[u8]) -> Vec<u8> {
    with_line_feeds(request.get(1..).unwrap_or_default())
}

fn fits(receive: Option<&Pattern>, line: &[u8]) -> bool {
    receive.is_none_or(|pattern| pattern.is_match(line))
}

fn pass(line: &[u8]) -> Pass {
    Pass { detail: shown(line) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        checks::script::{Outcome, Turn, converse, converse_by, spec, unconfigured},
        model::Negotiate,
    };

    fn asking(transport: Transport, request: &str, receive: &str) -> Negotiate {
        Negotiate {
            transport,
            request: request.as_bytes().to_vec(),
            receive: (!receive.is_empty()).then(|| Pattern::new(receive.as_bytes()).unwrap()),
            ..unconfigured("simpletcp")
        }
    }

    async fn tcp(receive: &str, turns: Vec<Turn>) -> Outcome {
        converse(&spec(asking(Transport::Tcp, r"/PING\n", receive)), vec![turns]).await
    }

    async fn udp(request: &str, receive: &str, turns: Vec<Turn>) -> Outcome {
        converse_by(&spec(asking(Transport::Udp, request, receive)), turns, vec![]).await
    }

    fn say(text: &str) -> Turn {
        Turn::Say(text.into())
    }

    #[test]
    fn a_request_loses_its_slash_and_gets_line_feeds() {
        assert_eq!(bytes(b"/"), b"");
        assert_eq!(bytes(b""), b"");
        assert_eq!(bytes(br"/\n"), b"\n");
        assert_eq!(bytes(br"/a\nb\\n\r\t\n\"), b"a\nb\\\n\\r\\t\n\\");
        assert_eq!(bytes(b"//path"), b"/path");
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_matches_ends_the_check() {
        let turns = vec![Turn::Hear("PING\n"), say("busy\nPONG\n"), Turn::Hang];
        let outcome = tcp("^PONG\\n", turns).await;
        assert_eq!((outcome.words().as_str(), outcome.took), ("PONG", Duration::ZERO));
        assert_eq!(outcome.heard, ["PING\n"]);
        assert_eq!(tcp("", vec![Turn::Hear("PING\n"), say("what?\n")]).await.words(), "what?");
        // It need not listen.
        assert_eq!(tcp("PONG", vec![say("PONG")]).await.words(), "PONG");
    }

    #[tokio::test(start_paused = true)]
    async fn each_line_is_matched_alone() {
        let turns = vec![Turn::Hear("PING\n"), say("PO\nNG\n")];
        let expected = "mismatch: no line of 6 bytes matches the pattern, the last is: NG";
        assert_eq!(tcp("(?s)PO.NG", turns).await.words(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_without_a_line_feed_counts_at_the_end() {
        let unfinished = vec![Turn::Hear("PING\n"), say("PONG")];
        assert_eq!(tcp("^PONG$", unfinished.clone()).await.words(), "PONG");
        let outcome = tcp("^PONG$", [unfinished, vec![Turn::Hang]].concat()).await;
        let expected =
            "timeout: no complete answer from 192.0.2.1:8080 within 5s, only 4 bytes of one";
        assert_eq!((outcome.words().as_str(), outcome.took.as_secs()), (expected, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn we_say_that_we_shall_say_no_more() {
        // It hears the end of the request, and then another turn that never comes.
        let outcome = tcp("", vec![Turn::Hear("PING\n"), Turn::HearSome, say("PONG")]).await;
        let expected = "reset: 192.0.2.1:8080 closed the connection without an answer";
        assert_eq!(outcome.words(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_end_is_given_up() {
        let line = say(&("x".repeat(1023) + "\n"));
        let outcome = tcp("never", vec![line; 1025]).await;
        assert!(outcome.words().starts_with("mismatch: no line of 1048576 bytes matches"));
        let outcome = tcp("never", vec![say(&"x".repeat(40_000)), Turn::Hang]).await;
        assert_eq!(
            outcome.words(),
            "protocol: 192.0.2.1:8080 sent a line of more than 32768 bytes"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn datagrams_are_searched_line_by_line() {
        let turns = vec![Turn::HearSome, say("busy\n"), say("one\nPONG"), Turn::Hang];
        let outcome = udp(r"/PING\n", "^PONG$", turns).await;
        assert_eq!(outcome.words(), "PONG");
        assert_eq!(outcome.datagrams, [b"PING\n"]);
        let outcome = udp("/", "", vec![Turn::HearSome, say("20:26\r\n"), Turn::Hang]).await;
        assert_eq!(outcome.words(), "20:26");
        assert_eq!(outcome.datagrams, [b""]);
    }

    #[tokio::test(start_paused = true)]
    async fn datagrams_are_waited_for_and_sent_once() {
        let outcome = udp("/a", "b", vec![say("c"), say("d"), Turn::Hang]).await;
        let expected =
            "timeout: no answer from 192.0.2.1:8080 within 5s, only 2 datagrams that are none";
        assert_eq!((outcome.words().as_str(), outcome.took.as_secs()), (expected, 5));
        assert_eq!(outcome.datagrams, [b"a"]);
        let outcome = udp("/a", "b", vec![Turn::HearSome]).await;
        assert_eq!(
            outcome.words(),
            "refused: cannot read from 192.0.2.1:8080: connection refused (ECONNREFUSED)"
        );
    }
}
