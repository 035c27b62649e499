//! `service=sip`: RFC 3261, an OPTIONS request (section 11) over TCP or UDP as the virtual service does.
//!
//! | we say | we expect |
//! |---|---|
//! | `OPTIONS sip:LOGIN SIP/2.0` and its headers | `SIP/2.0 200`, and headers up to an empty line |
//!
//! Over UDP the request is repeated each second. An answer with another `Call-ID` is somebody else's.
//! A `Call-ID` is not asked for, as ldirectord does not: what answers a check may be a small script.
//! The branch and the tag are new for each request, so that no server takes it for an old one.
//!
//! Differs from ldirectord: the words behind the status may be any, not only `OK`.
//! Differs from ldirectord: provisional answers (1xx) are passed over.
//! Differs from ldirectord: over TCP `Via` says so.

use std::net::SocketAddr;

use super::{
    Protocol, Question, failure,
    link::{Link, Sending},
    random, shown,
};
use crate::model::{Carrier, Failure, Pass, ProtocolInfo, Reason, Transport, Verdict};

/// The longest line, in bytes.
const LINE: usize = 8 * 1024;

/// How much of all answers is read, in bytes.
const ANSWER: usize = 64 * 1024;

pub(super) const PROTOCOLS: &[Protocol] = &[Protocol {
    info: ProtocolInfo {
        name: "sip",
        default_port: Some(5060),
        carrier: Carrier::AsService,
        directives: &["login"],
        doc: "Sends an OPTIONS request for sip:`login`, over TCP or UDP as the virtual service does. The real server \
              works when it answers with status 200.",
    },
    talk: |question, link| Box::pin(talk(question, link)),
}];

async fn talk(question: &Question<'_>, link: &mut Link<'_>) -> Verdict {
    let login = &question.negotiate.login;
    let udp = question.negotiate.transport == Transport::Udp;
    let local = if udp { link.connect_datagrams().await? } else { link.connect().await? };
    // Without the interface of a link-local address, which is ours alone.
    let local = SocketAddr::new(local.ip(), local.port());
    let call = format!("{:016x}", u64::from_be_bytes(random::bytes()?));
    let branch = format!("{:016x}", u64::from_be_bytes(random::bytes()?));
    let request = request(login, local, udp, &call, &branch);
    if udp {
        let read = |answer: &[u8]| Answer::of_datagram(answer, &call)?.verdict();
        return link.ask(request.as_bytes(), Sending::Again, read).await?;
    }
    match link.send(request.as_bytes()).await {
        // A server may have answered and closed before it had read what we said.
        Ok(()) | Err(Failure { reason: Reason::Reset, .. }) => {}
        Err(fault) => return Err(fault),
    }
    let mut read = 0_usize;
    while read < ANSWER {
        let mut answer = Answer::default();
        while !answer.is_complete && read < ANSWER {
            let line = link.line(LINE).await?;
            read = read.saturating_add(line.len());
            if line.is_empty() && answer.status_line.is_empty() {
                return Err(link.closed());
            }
            // As ldirectord has it, the end of the connection ends the headers, too.
            answer.is_complete = line.is_empty();
            answer.add(&line, &call);
        }
        if answer.is_complete
            && let Some(verdict) = answer.verdict()
        {
            return verdict;
        }
    }
    let detail = format!("{} sent {read} bytes, and no answer that is final", link.peer());
    Err(failure(Reason::Protocol, detail))
}

fn request(login: &str, local: SocketAddr, udp: bool, call: &str, branch: &str) -> String {
    let transport = if udp { "UDP" } else { "TCP" };
    // The prefix of a branch is RFC 3261's (section 8.1.1.7).
    format!(
        "OPTIONS sip:{login} SIP/2.0\r\n\
         Via: SIP/2.0/{transport} {local};branch=z9hG4bK{branch}\r\n\
         Max-Forwards: 70\r\n\
         To: <sip:{login}>\r\n\
         From: <sip:{login}>;tag={branch}\r\n\
         Call-ID: {call}\r\n\
         CSeq: 63104 OPTIONS\r\n\
         Contact: <sip:{login}>\r\n\
         Accept: application/sdp\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

/// An answer, as far as it was read.
#[derive(Default, Debug)]
struct Answer {
    status_line: Vec<u8>,
    /// Whether it answers another request.
    is_foreign: bool,
    /// Whether the empty line has come.
    is_complete: bool,
}

impl Answer {
    /// The answer in a datagram; nothing without its empty line.
    fn of_datagram(datagram: &[u8], call: &str) -> Option<Answer> {
        let mut answer = Answer::default();
        for line in datagram.split_inclusive(|byte| *byte == b'\n') {
            answer.add(line, call);
            if answer.is_complete {
                return Some(answer);
            }
        }
        None
    }

    fn add(&mut self, line: &[u8], call: &str) {
        let text = line.trim_ascii();
        if self.status_line.is_empty() {
            self.status_line = text.to_vec();
        } else if text.is_empty() {
            self.is_complete = true;
        } else if let Some(colon) = text.iter().position(|byte| *byte == b':') {
            let (name, value) = text.split_at(colon);
            let name = name.trim_ascii();
            let is_call =
                [&b"call-id"[..], b"i"].iter().any(|known| name.eq_ignore_ascii_case(known));
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            self.is_foreign |= is_call && value != call.as_bytes();
        }
    }

    /// What a final answer to our request says.
    fn verdict(&self) -> Option<Verdict> {
        if self.is_foreign {
            return None;
        }
        let status = self.status_line.strip_prefix(b"SIP/2.0 ");
        let Some([class, tens, ones, rest @ ..]) = status else { return Some(self.refused()) };
        let is_status = [class, tens, ones].iter().all(|digit| digit.is_ascii_digit());
        match (class, tens, ones) {
            (b'1', _, _) if is_status && separated(rest) => None,
            (b'2', b'0', b'0') if separated(rest) => {
                let status = self.status_line.get(b"SIP/2.0 ".len()..).unwrap_or_default();
                Some(Ok(Pass { detail: shown(status) }))
            }
            _ => Some(self.refused()),
        }
    }

    fn refused(&self) -> Verdict {
        Err(failure(Reason::Protocol, format!("the answer is: {}", shown(&self.status_line))))
    }
}

/// Whether a status ends before this.
fn separated(rest: &[u8]) -> bool {
    rest.first().is_none_or(|byte| *byte == b' ')
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        checks::script::{Outcome, Turn, converse, converse_by, spec, unconfigured},
        model::{CheckSpec, Negotiate},
    };

    fn asking(transport: Transport) -> CheckSpec {
        let login = "monitor@example.org".to_owned();
        spec(Negotiate { transport, login, ..unconfigured("sip") })
    }

    async fn tcp(answer: &str) -> Outcome {
        let turns = vec![Turn::Hear("\r\n\r\n"), Turn::Say(answer.into())];
        converse(&asking(Transport::Tcp), vec![turns]).await
    }

    async fn udp(turns: Vec<Turn>) -> Outcome {
        converse_by(&asking(Transport::Udp), turns, vec![]).await
    }

    fn say(text: &str) -> Turn {
        Turn::Say(text.into())
    }

    /// Answers with the headers that a server copies.
    fn answer(status: &'static str) -> Turn {
        Turn::Answer(Arc::new(move |heard| {
            let heard = String::from_utf8(heard.to_vec()).unwrap();
            let copied = ["Via:", "From:", "Call-ID:", "CSeq:"];
            let copied =
                heard.lines().filter(|line| copied.iter().any(|name| line.starts_with(name)));
            let headers: Vec<_> = copied.collect();
            format!("SIP/2.0 {status}\r\n{}\r\n\r\n", headers.join("\r\n")).into_bytes()
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn the_request_names_the_login_and_us() {
        for (transport, name) in [(Transport::Tcp, "TCP"), (Transport::Udp, "UDP")] {
            let turns = vec![Turn::Hear("\r\n\r\n"), answer("200 OK")];
            let heard = match transport {
                Transport::Udp => udp(turns).await.datagrams.concat(),
                _ => converse(&asking(transport), vec![turns]).await.bytes.concat(),
            };
            let heard = String::from_utf8(heard).unwrap();
            let after = |text: &str| heard.split_once(text).unwrap().1[..16].to_owned();
            let (branch, call) = (after("z9hG4bK"), after("Call-ID: "));
            assert_ne!(branch, call);
            let expected = format!(
                "OPTIONS sip:monitor@example.org SIP/2.0\r\n\
                 Via: SIP/2.0/{name} 192.0.2.99:40000;branch=z9hG4bK{branch}\r\n\
                 Max-Forwards: 70\r\n\
                 To: <sip:monitor@example.org>\r\n\
                 From: <sip:monitor@example.org>;tag={branch}\r\n\
                 Call-ID: {call}\r\n\
                 CSeq: 63104 OPTIONS\r\n\
                 Contact: <sip:monitor@example.org>\r\n\
                 Accept: application/sdp\r\n\
                 Content-Length: 0\r\n\r\n"
            );
            assert_eq!(heard, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn over_tcp_the_first_final_answer_decides() {
        for (answer, expected) in [
            ("SIP/2.0 200 OK\r\nAllow: INVITE\r\n\r\n", "200 OK"),
            ("SIP/2.0 200 Fine with me\r\n\r\n", "200 Fine with me"),
            ("SIP/2.0 200\r\n\r\n", "200"),
            ("SIP/2.0 200 OK\nAllow: INVITE\n", "200 OK"),
            ("SIP/2.0 100 Trying\r\nVia: x\r\n\r\nSIP/2.0 200 OK\r\n\r\n", "200 OK"),
            (
                "SIP/2.0 200 OK\r\nCall-ID: else\r\n\r\nSIP/2.0 403 No\r\n\r\n",
                "protocol: the answer is: SIP/2.0 403 No",
            ),
            ("SIP/2.0 2000 OK\r\n\r\n", "protocol: the answer is: SIP/2.0 2000 OK"),
            ("SIP/2.0 404 Not found\r\n\r\n", "protocol: the answer is: SIP/2.0 404 Not found"),
            ("HTTP/1.1 200 OK\r\n\r\n", "protocol: the answer is: HTTP/1.1 200 OK"),
            ("", "reset: 192.0.2.1:8080 closed the connection without an answer"),
            (
                "SIP/2.0 100 Trying\r\n\r\n",
                "reset: 192.0.2.1:8080 closed the connection without an answer",
            ),
        ] {
            assert_eq!(tcp(answer).await.words(), expected, "for {answer:?}");
        }
        let endless = "SIP/2.0 100 Trying\r\n\r\n".repeat(10_000);
        let expected = "protocol: 192.0.2.1:8080 sent 65536 bytes, and no answer that is final";
        assert_eq!(tcp(&endless).await.words(), expected);
        let endless = format!("SIP/2.0 200 OK\r\n{}", "X: y\r\n".repeat(20_000));
        assert!(tcp(&endless).await.words().starts_with("protocol: 192.0.2.1:8080 sent 655"));
    }

    #[tokio::test(start_paused = true)]
    async fn over_udp_our_own_answer_is_waited_for() {
        let foreign = say("SIP/2.0 500 No\r\ni : 123\r\n\r\n");
        let turns = vec![Turn::HearSome, foreign, say(""), answer("100 Trying"), answer("200 OK")];
        let outcome = udp(turns).await;
        assert_eq!((outcome.words().as_str(), outcome.took), ("200 OK", Duration::ZERO));
        let outcome = udp(vec![Turn::HearSome, say("SIP/2.0 503 Busy\r\n\r\n")]).await;
        assert_eq!(outcome.words(), "protocol: the answer is: SIP/2.0 503 Busy");
    }

    #[tokio::test(start_paused = true)]
    async fn over_udp_the_request_is_repeated() {
        let turns = vec![Turn::HearSome, Turn::HearSome, Turn::HearSome, answer("200 OK")];
        let outcome = udp(turns).await;
        assert_eq!((outcome.words().as_str(), outcome.took), ("200 OK", Duration::from_secs(2)));
        assert!(outcome.datagrams.iter().all(|datagram| *datagram == outcome.datagrams[0]));

        let outcome =
            udp(vec![Turn::HearSome, say("SIP/2.0 200 OK\r\nno: end\r\n"), Turn::Hang]).await;
        let expected =
            "timeout: no answer from 192.0.2.1:8080 within 5s, only a datagram that is none";
        assert_eq!((outcome.words().as_str(), outcome.took.as_secs()), (expected, 5));
        assert_eq!(outcome.datagrams.len(), 5);
    }
}
