//! [`Recorder`]: takes down how an attempt goes.

use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::model::{
    CertificateEnd, Failure, HttpHeader, Negotiate, Phase, Reason, Secret, Step, Times, Trace,
    Verdict,
};

/// What stands for a secret.
const STARS: &[u8] = b"***";

/// The longest secret that is looked for across the end of what is kept, in bytes.
const SECRET: usize = 256;

/// The shortest part of what is sent that may be a secret, in bytes. Line ends and the like are none.
const WORD: usize = 4;

/// How much of the start of a secret betrays it at the end of what came, in bytes.
const PIECE: usize = 3;

/// Fields of a request's header whose values everybody may read, and how long other values and bodies are at least to
/// be secrets, in bytes: a star for each `1` would leave nothing to read.
const OPEN: &[&str] = &["Accept", "Content-Type", "User-Agent"];
const SHORT: usize = 6;

/// Takes down how an attempt goes. The links of one conversation share it.
pub(super) struct Recorder {
    #[expect(
        clippy::disallowed_types,
        reason = "held for a few assignments, never while anything waits"
    )]
    notes: std::sync::Mutex<Notes>,
}

struct Notes {
    phase: Phase,
    since: Instant,
    times: Times,
    certificate_end: Option<CertificateEnd>,
    /// Zeroed, because a secret may be in it.
    received: Zeroizing<Vec<u8>>,
    secrets: Vec<Zeroizing<Vec<u8>>>,
}

impl Recorder {
    /// An attempt begins; a negotiation with these settings, if it is one.
    pub(super) fn new(negotiate: Option<&Negotiate>) -> Recorder {
        let notes = Notes {
            phase: Phase::default(),
            since: Instant::now(),
            times: Times::default(),
            certificate_end: None,
            received: Zeroizing::default(),
            secrets: negotiate.map(secrets).unwrap_or_default(),
        };
        Recorder { notes: notes.into() }
    }

    /// Takes this secret not down, which the configuration has only as a part of something.
    pub(super) fn hide(&self, secret: &[u8]) {
        self.with(|notes| notes.secrets.push(secret.to_vec().into()));
    }

    /// A phase begins, unless it is this one already; the one before has ended.
    pub(super) fn enter(&self, phase: Phase) {
        self.with(|notes| {
            if notes.phase != phase {
                notes.end();
                notes.phase = phase;
            }
        });
    }

    /// The server showed a certificate that ends then.
    pub(super) fn certificate(&self, end: CertificateEnd) {
        self.with(|notes| {
            let known = notes.certificate_end.unwrap_or(end);
            notes.certificate_end = Some(known.min(end));
        });
    }

    /// The attempt goes on where another has ended: with sending, and nothing before that took any time.
    pub(super) fn go_on(&self) {
        self.with(|notes| (notes.phase, notes.since) = (Phase::Send, Instant::now()));
    }

    /// The server sent this.
    pub(super) fn received(&self, bytes: &[u8]) {
        self.with(|notes| {
            let room = (Trace::RECEIVED + SECRET).saturating_sub(notes.received.len());
            if !bytes.is_empty() {
                // At once, so that no copy is left behind.
                notes.received.reserve_exact(room);
            }
            notes.received.extend(bytes.iter().take(room));
        });
    }

    /// What the server said, with stars for each secret: for whoever tells people of it.
    pub(super) fn starred(&self, said: &[u8]) -> Vec<u8> {
        self.with(|notes| redacted(said, &mut notes.secrets))
    }

    /// The attempt has ended so.
    pub(super) fn finish(&self, verdict: &Verdict) -> Trace {
        self.with(|notes| {
            notes.end();
            let is_cut =
                matches!(verdict, Err(Failure { reason: Reason::Reset | Reason::Timeout, .. }));
            Trace {
                phase: match notes.phase {
                    // What did not come is compared with nothing: more was awaited.
                    Phase::Match if is_cut => Phase::Receive,
                    phase => phase,
                },
                times: notes.times,
                certificate_end: notes.certificate_end,
                received: {
                    let mut kept = redacted(&notes.received, &mut notes.secrets);
                    kept.truncate(Trace::RECEIVED);
                    kept.shrink_to_fit();
                    kept
                },
            }
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Notes) -> T) -> T {
        work(&mut self.notes.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl Notes {
    fn end(&mut self) {
        let now = Instant::now();
        self.times.add(self.phase, now - self.since);
        self.since = now;
    }
}

/// The secrets of these settings, in the forms in which they are sent.
fn secrets(negotiate: &Negotiate) -> Vec<Zeroizing<Vec<u8>>> {
    let (login, passwd, http) = (&negotiate.login, &negotiate.passwd.0, &negotiate.http);
    let mut secrets = vec![passwd.clone(), negotiate.secret.0.clone()];
    if !passwd.is_empty() {
        let base64 = |text: &str| openssl::base64::encode_block(text.as_bytes());
        let both = Zeroizing::new([login, ":", passwd].concat());
        secrets.extend([base64(passwd), base64(&both)]);
    }
    let is_open = |name: &str| OPEN.iter().any(|open| name.eq_ignore_ascii_case(open));
    let values = http.headers.iter().filter(|header| !is_open(&header.name));
    let values = values.map(|HttpHeader { value: Secret(value), .. }| value.as_str());
    // Alone, it stands behind the name of a way to log in.
    let alone = values.clone().filter_map(|value| Some(value.split_once(' ')?.1));
    let of_http = values.chain(alone).chain([http.body.0.as_str()]);
    secrets.extend(of_http.filter(|text| text.len() >= SHORT).map(str::to_owned));
    secrets.retain(|secret| !secret.is_empty());
    let sent = negotiate.steps.iter().flat_map(|step| match step {
        Step::Send(Secret(text)) => parts(text),
        Step::Expect(_) => Vec::new(),
    });
    secrets.into_iter().map(String::into_bytes).chain(sent).map(Zeroizing::new).collect()
}

/// A text that is sent, its lines and their words: what in it is a secret nobody says.
fn parts(text: &[u8]) -> Vec<Vec<u8>> {
    let lines = text.split(|byte| matches!(byte, b'\r' | b'\n'));
    let words = text.split(|byte| *byte <= b' ');
    let parts = [text].into_iter().chain(lines).chain(words);
    parts.filter(|part| part.len() >= WORD).map(<[u8]>::to_vec).collect()
}

/// What was received, with stars for each secret, and for the start of one at the end.
fn redacted(received: &[u8], secrets: &mut [Zeroizing<Vec<u8>>]) -> Vec<u8> {
    // One may be a part of another.
    secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    let mut kept = Vec::with_capacity(received.len().min(Trace::RECEIVED));
    let mut rest = received;
    while let Some((first, after)) = rest.split_first() {
        let is_piece = |secret: &&Zeroizing<Vec<u8>>| {
            rest.len() >= PIECE.min(secret.len()) && secret.starts_with(rest)
        };
        let found =
            secrets.iter().find(|secret| rest.starts_with(secret.as_slice()) || is_piece(secret));
        match found {
            Some(secret) => {
                kept.extend(STARS);
                rest = rest.get(secret.len()..).unwrap_or_default();
            }
            None => {
                kept.push(*first);
                rest = after;
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;
    use crate::{
        checks::{
            failure,
            script::{Outcome, Turn, converse, spec, unconfigured},
        },
        model::{Pass, Secret},
        pattern::Pattern,
    };

    #[tokio::test(start_paused = true)]
    async fn every_phase_has_its_time() {
        let recorder = Recorder::new(None);
        for (number, phase) in (1..).zip(Phase::ALL) {
            recorder.enter(phase);
            advance(Duration::from_millis(number)).await;
        }
        // A second connection.
        recorder.enter(Phase::Connect);
        advance(Duration::from_millis(10)).await;
        recorder.enter(Phase::Connect);
        advance(Duration::from_millis(10)).await;
        let trace = recorder.finish(&Ok(Pass::default()));
        let expected = "in connect: resolve 1.0 ms, connect 22.0 ms, tls 3.0 ms, send 4.0 ms, \
                        receive 5.0 ms, match 6.0 ms";
        assert_eq!(trace.to_string(), expected);
    }

    #[tokio::test]
    async fn what_does_not_come_is_no_matter_of_the_match() {
        for (reason, phase) in [
            (Reason::Reset, Phase::Receive),
            (Reason::Timeout, Phase::Receive),
            (Reason::Mismatch, Phase::Match),
            (Reason::Denied, Phase::Match),
        ] {
            let recorder = Recorder::new(None);
            recorder.enter(Phase::Match);
            assert_eq!(recorder.finish(&Err(failure(reason, ""))).phase, phase);
        }
    }

    /// What is kept of this, with `hunter2` as the password of `web`, and `s3cret`.
    fn kept(pieces: &[&[u8]]) -> String {
        let (passwd, secret) = (Secret("hunter2".into()), Secret("s3cret".into()));
        let negotiate =
            Negotiate { login: "web".into(), passwd, secret, ..unconfigured("simpletcp") };
        let recorder = Recorder::new(Some(&negotiate));
        for piece in pieces {
            recorder.received(piece);
        }
        let received = recorder.finish(&Ok(Pass::default())).received;
        assert!(received.len() <= Trace::RECEIVED);
        received.escape_ascii().to_string()
    }

    #[test]
    fn what_is_sent_over_http_is_a_secret_where_it_may_be_one() {
        let headers =
            [("x-key", "abcdef"), ("Accept", "text/html"), ("X", "1"), ("Y", "Bearer t0ken1")];
        let mut negotiate = unconfigured("http");
        for (name, value) in headers {
            let value = Secret(value.to_owned());
            negotiate.http.headers.push(HttpHeader { name: name.to_owned(), value });
        }
        negotiate.http.body = Secret("{\"key\":1}".to_owned());
        let said = b"1 text/html abcdef Bearer t0ken1, t0ken1 {\"key\":1} {";
        let starred = Recorder::new(Some(&negotiate)).starred(said);
        assert_eq!(String::from_utf8_lossy(&starred), "1 text/html *** ***, *** *** {");
    }

    #[tokio::test]
    async fn secrets_become_stars() {
        assert_eq!(
            kept(&[b"530 not web/hunter2, nor s3c", b"ret!\r\n"]),
            r"530 not web/***, nor ***!\r\n"
        );
        // hunter2 and web:hunter2 in base64.
        assert_eq!(kept(&[b"aHVudGVyMg== d2ViOmh1bnRlcjI="]), "*** ***");
        // Cut off in the middle.
        assert_eq!(kept(&[b"PASS hunt"]), "PASS ***");
        assert_eq!(kept(&[b"an oh"]), "an oh");
        assert_eq!(kept(&[]), "");
    }

    #[tokio::test]
    async fn what_is_sent_becomes_stars_whole_and_in_parts() {
        let steps = vec![Step::Send(Secret(b"AUTH hunter2\r\nPING\r\n".to_vec()))];
        let negotiate = Negotiate { steps, ..unconfigured("tcp") };
        let recorder = Recorder::new(Some(&negotiate));
        recorder.received(b"AUTH hunter2\r\nPING\r\n, AUTH hunter2, hunter2?\r\n");
        let received = recorder.finish(&Ok(Pass::default())).received;
        assert_eq!(received.escape_ascii().to_string(), r"***, ***, ***?\r\n");
    }

    #[tokio::test]
    async fn little_is_kept_of_much() {
        assert_eq!(kept(&[&[b'x'; 100_000], b"more"]), "x".repeat(Trace::RECEIVED));
        let mut long = vec![b'x'; Trace::RECEIVED - 4];
        long.extend(b"hunter2");
        assert_eq!(kept(&[&long]), "x".repeat(Trace::RECEIVED - 4) + "***");
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// Asks such servers, one after another, for a page that says `fine`.
    async fn ask(path: &str, servers: Vec<Vec<Turn>>) -> Outcome {
        let negotiate = Negotiate {
            request: format!("http://192.0.2.1:8080/{path}").into_bytes(),
            receive: Some(Pattern::new(b"fine").unwrap()),
            ..unconfigured("http")
        };
        converse(&spec(negotiate), servers).await
    }

    fn say(text: &str) -> Turn {
        Turn::Say(text.as_bytes().to_vec())
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_the_server_are_told_apart() {
        let slow = vec![
            Turn::Wait(3 * SECOND),
            Turn::Hear("\r\n\r\n"),
            Turn::Wait(SECOND),
            say("HTTP/1.1 200 OK\r\n\r\nbroken"),
        ];
        let outcome = ask(&"x".repeat(100_000), vec![slow]).await;
        assert_eq!(outcome.verdict.unwrap_err().reason, Reason::Mismatch);
        assert_eq!(outcome.trace.to_string(), "in match: send 3000.0 ms, receive 1000.0 ms");

        let hear = || Turn::Hear("\r\n\r\n");
        let silent = vec![hear(), say("HTTP/1.1 200"), Turn::Hang];
        let outcome = ask("", vec![silent]).await;
        assert_eq!(outcome.verdict.unwrap_err().reason, Reason::Timeout);
        assert_eq!(outcome.trace.to_string(), "in receive: receive 5000.0 ms");
        assert_eq!(outcome.trace.received, b"HTTP/1.1 200");

        let closing = vec![hear(), Turn::Wait(SECOND)];
        let outcome = ask("", vec![closing]).await;
        assert_eq!(outcome.verdict.unwrap_err().reason, Reason::Reset);
        assert_eq!(outcome.trace.to_string(), "in receive: receive 1000.0 ms");
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_connection_adds_up() {
        let hear = || Turn::Hear("\r\n\r\n");
        let elsewhere = "HTTP/1.1 302 Found\r\nLocation: /there\r\n\r\n";
        let first = vec![hear(), Turn::Wait(SECOND), say(elsewhere)];
        let second = vec![hear(), Turn::Wait(2 * SECOND), say("HTTP/1.1 200 OK\r\n\r\nfine")];
        let outcome = ask("", vec![first, second]).await;
        assert_eq!(outcome.verdict.unwrap().detail, "200 OK");
        assert_eq!(outcome.trace.to_string(), "in match: receive 3000.0 ms");
        assert!(outcome.trace.received.starts_with(elsewhere.as_bytes()));
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_of_a_url_become_stars() {
        let negotiate = Negotiate {
            request: b"http://web:hunter2@192.0.2.1:8080/".to_vec(),
            ..unconfigured("http")
        };
        // A server that shows what it was asked.
        let echo = vec![
            Turn::Hear("\r\n\r\n"),
            say("HTTP/1.1 401 No\r\n\r\nBasic d2ViOmh1bnRlcjI= is web:hunter2"),
        ];
        let outcome = converse(&spec(negotiate), vec![echo]).await;
        assert!(
            outcome.trace.received.ends_with(b"\r\n\r\nBasic *** is web:***"),
            "{:?}",
            outcome.trace
        );
    }
}
