//! What holds of every dialogue, whatever the other side says. The target `reply` in `fuzz/` and the tests below hold
//! each protocol to it, with what fuzzing has kept; nobody else has this module.
//!
//! | bytes of an input | what they decide |
//! |---|---|
//! | the first | how each connection ends (2 bits), whether it travels over UDP and IPv6, whether answers fit the question, which protocol of the file is spoken |
//! | the next two | what is configured: a choice of [`CHOICES`] for each directive |
//! | the fourth | in which pieces a stream is read; 0 is whole |
//! | the others | what is said: one connection or datagram after another, with [`NEXT`] between |
//!
//! The laws:
//!
//! - there is a verdict within the time that is allowed, and no panic;
//! - no more than [`ENOUGH`] is read of a connection;
//! - the verdict does not depend on the pieces in which an answer comes;
//! - no secret shows in the verdict or the trace;
//! - what is said to people is fit for a terminal and not too long.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "laws are broken by panicking; nobody but tests is here"
)]

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    runtime::{Builder, Runtime},
    time::{Sleep, sleep},
};

use super::{
    PROTOCOLS, Protocol, agent, external, ping, radius, random,
    script::{Streams, Turn, converse_over, mailbox, spec, unconfigured},
    tls::Tls,
};
use crate::{
    model::{
        Attempted, Carrier, CheckKind, CheckSpec, DnsRecord, Failure, HttpHeader, HttpMethod,
        Negotiate, Reason, Secret, Step, Trace, Transport, Verdict,
    },
    pattern::Pattern,
};

/// What stands between what one connection or datagram says and the next.
const NEXT: &[u8] = b"\xf5\xf5";

/// What no connection is read beyond, in bytes: the longest body that is looked at, and what stands before it.
const ENOUGH: usize = 2 * 1024 * 1024;

/// How long a detail is at most, in characters: what is shown of a reply, each character escaped, and words around it.
const WORDS: usize = 1400;

/// What nobody may see, as configured.
const PASSWD: &str = "hunter2";
const SECRET: &str = "s3cret";
/// The password as it is sent in base64: alone, and with `web:` before it.
const SENT: &str = "aHVudGVyMg==";
const SENT_BY_HTTP: &str = "d2ViOmh1bnRlcjI=";

/// Patterns to look for; the last needs to go back.
static PATTERNS: LazyLock<[Pattern; 3]> = LazyLock::new(|| {
    [&b"^(OK|works)$"[..], b"x", b"^(.)(?!\\1)"].map(|pattern| Pattern::new(pattern).unwrap())
});

/// Patterns of steps: what comes is looked at as it comes, so one with `$` is found or not by the pieces.
static EXPECTED: LazyLock<[Pattern; 2]> =
    LazyLock::new(|| [&b"OK|works"[..], b"x"].map(|pattern| Pattern::new(pattern).unwrap()));

/// What a directive sets of a check.
type Setting = fn(&mut Negotiate);

/// What else than nothing is configured, for each directive that a protocol may use.
const CHOICES: &[(&str, &[Setting])] = &[
    (
        "request",
        &[
            |asked| asked.request = request(asked.protocol, "www.example.com"),
            |asked| asked.request = request(asked.protocol, "192.0.2.7"),
            |asked| asked.request = b"http://web:hunter2@192.0.2.1:8080/x?y".to_vec(),
        ],
    ),
    (
        "receive",
        &[
            |asked| asked.receive = Some(PATTERNS[0].clone()),
            |asked| asked.receive = Some(PATTERNS[1].clone()),
            |asked| asked.receive = Some(PATTERNS[2].clone()),
        ],
    ),
    ("login", &[|asked| asked.login = "web".to_owned()]),
    ("passwd", &[|asked| asked.passwd = Secret(PASSWD.to_owned())]),
    ("secret", &[|asked| asked.secret = Secret(SECRET.to_owned())]),
    ("database", &[|asked| asked.database = "shop".to_owned()]),
    (
        "httpmethod",
        &[|asked| asked.method = HttpMethod::Head, |asked| asked.method = HttpMethod::Post],
    ),
    ("virtualhost", &[|asked| asked.virtualhost = Some("www.example.com".to_owned())]),
    (
        "requestheader",
        &[|asked| {
            let value = Secret(format!("Bearer {SECRET}"));
            asked.http.headers = vec![HttpHeader { name: "Authorization".to_owned(), value }];
        }],
    ),
    ("requestbody", &[|asked| asked.http.body = Secret(SECRET.to_owned())]),
    ("expectstatus", &[|asked| asked.http.statuses = vec![200..=299, 302..=302, 404..=404]]),
    (
        "expectheader",
        &[|asked| {
            asked.http.expected_headers = vec![("X-Health".to_owned(), PATTERNS[0].clone())];
        }],
    ),
    (
        "send",
        &[
            |asked| asked.steps = vec![Step::Send(Secret(SECRET.as_bytes().to_vec()))],
            |asked| {
                let send = || Step::Send(Secret(format!("AUTH {SECRET}\r\n").into_bytes()));
                let expect = |number: usize| Step::Expect(EXPECTED[number].clone());
                asked.steps = vec![expect(0), send(), expect(1), send(), expect(0)];
            },
        ],
    ),
    ("maxbody", &[|asked| asked.http.max_body = 100]),
    (
        "dnstype",
        &[
            |asked| asked.dns_record = Some(DnsRecord::Aaaa),
            |asked| asked.dns_record = Some(DnsRecord::Ptr),
        ],
    ),
];

/// A request as the configuration makes it for this protocol.
fn request(protocol: &str, written: &str) -> Vec<u8> {
    match protocol {
        "http" => format!("http://192.0.2.1:8080/{written}"),
        "https" => format!("https://192.0.2.1:8080/{written}"),
        "http_proxy" => format!("http://{written}/"),
        _ => format!("/{written}"),
    }
    .into_bytes()
}

/// What makes an answer that the check believes, for protocols whose answers are signed.
fn fitted(protocol: &str, question: &[u8], answer: &[u8]) -> Vec<u8> {
    match protocol {
        "radius" => radius::signed(question, answer, SECRET.as_bytes()),
        _ => answer.to_vec(),
    }
}

/// The names that [`hold`] knows: the first protocol of each file, and the checks that are no protocols.
pub fn names() -> Vec<&'static str> {
    let families = PROTOCOLS.iter().filter_map(|family| Some(family.first()?.info.name));
    families.filter(|name| *name != "none").chain(["agent", "external", "ping"]).collect()
}

/// Holds a dialogue with these bytes to the laws.
pub fn hold(name: &str, input: &[u8]) {
    match name {
        "agent" => return is_fit(&agent::report(input).to_string(), WORDS),
        "external" => return external::laws::hold(input),
        "ping" => return ping::laws::hold(input),
        _ => {}
    }
    let is_it = |family: &&&[Protocol]| family.iter().any(|protocol| protocol.info.name == name);
    let family = PROTOCOLS.iter().find(is_it).unwrap_or_else(|| panic!("no protocol is {name}"));
    let Some((&[how, low, high, pieces], said)) = input.split_first_chunk() else { return };
    let member = &family[usize::from(how >> 5) % family.len()];
    let check = check(member, how, u16::from_le_bytes([low, high]));
    let parts: Vec<&[u8]> = split(said);
    let hidden = hidden(&check);
    let attempt = |pieces| {
        let (outcome, _took, read) = converse(&check, how, pieces, &parts);
        is_lawful(&outcome, &hidden);
        assert!(read <= ENOUGH, "{read} bytes of a connection were read");
        outcome.verdict
    };
    let whole = attempt(0);
    if pieces > 0 {
        let in_pieces = attempt(pieces);
        assert_eq!(gist(name, &whole), gist(name, &in_pieces), "the pieces matter");
    }
}

/// What must be the same of two verdicts: what is shown of an answer may be as much as had come.
fn gist<'a>(name: &str, verdict: &'a Verdict) -> Result<&'a str, Option<Reason>> {
    match verdict {
        Ok(pass) => Ok(&pass.detail),
        // Of two faults in one answer tokio-postgres finds the one or the other first; and steps take their time with small
        // pieces, so that of an answer without end the deadline may come before there is too much.
        Err(Failure { reason, .. }) => Err((!["pgsql", "tcp"].contains(&name)).then_some(*reason)),
    }
}

fn split(mut said: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some(end) = said.windows(NEXT.len()).position(|bytes| bytes == NEXT) {
        parts.push(&said[..end]);
        said = &said[end + NEXT.len()..];
    }
    parts.push(said);
    parts
}

/// The check that these bits ask for.
fn check(protocol: &Protocol, how: u8, options: u16) -> CheckSpec {
    let mut negotiate = unconfigured(protocol.info.name);
    negotiate.request = request(negotiate.protocol, "");
    let uses: Vec<_> = protocol.info.uses(true).collect();
    for (directive, settings) in CHOICES.iter().filter(|(name, _)| uses.contains(name)) {
        // Each has bits of its own, by its name, so that a new one leaves the old inputs what they are.
        let place = directive.bytes().fold(0_u32, |sum, byte| sum * 31 % 1009 + u32::from(byte));
        let chosen = usize::from(options.rotate_right(place)) % (settings.len() + 1);
        if let Some(set) = chosen.checked_sub(1) {
            settings[set](&mut negotiate);
        }
    }
    let is_datagram = match protocol.info.carrier {
        Carrier::Udp => true,
        Carrier::AsService => how & 4 != 0,
        Carrier::Tcp | Carrier::Tls | Carrier::StartTls | Carrier::Own => false,
    };
    negotiate.transport = if is_datagram { Transport::Udp } else { Transport::Tcp };
    let mut check = spec(negotiate);
    if how & 8 != 0 {
        check.target = SocketAddr::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(), 8080);
    }
    check
}

/// How a connection ends, when all has been said.
#[derive(Clone, Copy)]
enum End {
    Closed,
    Reset,
    Silence,
    /// All is said again, for ever.
    Again,
}

/// Has a conversation with who says these parts, in pieces of so many bytes. Says how long it took and how much was read of
/// a connection.
fn converse(
    check: &CheckSpec,
    how: u8,
    pieces: u8,
    parts: &[&[u8]],
) -> (Attempted, Duration, usize) {
    thread_local! {
        static RUNTIME: Runtime =
            Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    }
    let CheckKind::Negotiate(negotiate) = &check.kind else { panic!("{check:?}") };
    let end = [End::Closed, End::Reset, End::Silence, End::Again][usize::from(how & 3)];
    let protocol = negotiate.protocol;
    let fits = how & 16 != 0;
    let read = Arc::new(AtomicUsize::new(0));
    let mut streams = Streams::default();
    streams.is_sealed = true;
    streams.hosts = Some(hosts);
    random::foresee(true);
    let (attempted, took) = RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let mut parts = parts.iter().map(|part| part.to_vec());
            if negotiate.transport == Transport::Udp {
                // The last is kept for a connection: DNS goes over to TCP.
                let last = parts.next_back();
                let answer = |part: Vec<u8>| -> Turn {
                    Turn::Answer(Arc::new(move |question| match fits {
                        true => fitted(protocol, question, &part),
                        false => part.clone(),
                    }))
                };
                let datagrams = [Turn::HearSome].into_iter().chain(parts.by_ref().map(answer));
                let silence = matches!(end, End::Silence).then_some(Turn::Hang);
                streams.datagrams.push_back(mailbox(datagrams.chain(silence).collect()));
                streams.push(Peer::new(last.unwrap_or_default(), pieces, end, &read));
            }
            for part in parts {
                streams.push(Peer::new(part, pieces, end, &read));
            }
            let (attempted, _visited, took, _left) =
                converse_over(&Tls::default(), None, check, streams).await;
            assert!(took <= check.timeout, "it took {took:?}");
            (attempted, took)
        })
    });
    random::foresee(false);
    (attempted, took, read.load(Ordering::Relaxed))
}

/// A resolver whose answers are made of the name.
fn hosts(name: &str) -> Vec<IpAddr> {
    let last = name.bytes().fold(0, u8::wrapping_add);
    match last % 3 {
        0 => Vec::new(),
        _ => vec![Ipv4Addr::new(192, 0, 2, last).into(); usize::from(last % 3)],
    }
}

/// What nobody may see of a check, in the forms in which it is sent.
fn hidden(check: &CheckSpec) -> Vec<&'static str> {
    let CheckKind::Negotiate(asked) = &check.kind else { return Vec::new() };
    let has_url = asked.protocol.starts_with("http") && asked.request.contains(&b'@');
    let mut hidden = Vec::new();
    if has_url {
        hidden.extend([PASSWD, SENT_BY_HTTP]);
    }
    if !asked.passwd.0.is_empty() {
        hidden.extend([PASSWD, SENT]);
    }
    let http = &asked.http;
    if !asked.secret.0.is_empty() || !http.headers.is_empty() || !http.body.0.is_empty() {
        hidden.push(SECRET);
    }
    hidden
}

/// The verdict and the trace are fit for people, and keep secrets.
fn is_lawful(Attempted { verdict, trace, .. }: &Attempted, hidden: &[&str]) {
    let detail = match verdict {
        Ok(pass) => &pass.detail,
        Err(fault) => &fault.detail,
    };
    is_fit(detail, WORDS);
    assert!(trace.received.len() <= Trace::RECEIVED, "{} bytes are kept", trace.received.len());
    for secret in hidden {
        assert!(!detail.contains(secret), "a secret shows: {detail}");
        let is_secret = |bytes: &[u8]| bytes == secret.as_bytes();
        let is_kept = trace.received.windows(secret.len()).any(is_secret);
        assert!(!is_kept, "a secret is kept: {}", String::from_utf8_lossy(&trace.received));
    }
}

/// Words are fit for a terminal, and no more than so many characters.
pub(super) fn is_fit(words: &str, most: usize) {
    assert!(!words.contains(char::is_control), "not fit for a terminal: {words:?}");
    let length = words.chars().count();
    assert!(length <= most, "{length} characters of words: {words}");
}

/// How much of what a peer says comes in pieces, in bytes.
const PIECED: usize = 16 * 1024;

/// How much a peer that never ends says before it takes breath, in bytes, and how long that takes it.
const BREATH: (usize, Duration) = (64 * 1024, Duration::from_millis(100));

/// The other end of a connection.
struct Peer {
    says: Vec<u8>,
    at: usize,
    /// How long pieces are at most, and what makes their lengths differ; 0 is as long as can be.
    pieces: u8,
    dice: u32,
    end: End,
    /// How much it has said, and the most that any has.
    said: usize,
    most: Arc<AtomicUsize>,
    breath: Option<Pin<Box<Sleep>>>,
}

impl Peer {
    fn new(mut says: Vec<u8>, pieces: u8, end: End, most: &Arc<AtomicUsize>) -> Peer {
        if matches!(end, End::Again) && !says.is_empty() {
            // A little at a time takes its time.
            says = says.repeat(PIECED / says.len() + 1);
        }
        let most = Arc::clone(most);
        Peer { says, at: 0, pieces, dice: 1, end, said: 0, most, breath: None }
    }

    fn piece(&mut self) -> usize {
        if self.pieces == 0 || self.said > PIECED {
            return usize::MAX;
        }
        self.dice = self.dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        usize::try_from(self.dice >> 16).unwrap() % usize::from(self.pieces) + 1
    }
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(breath) = &mut self.breath {
            std::task::ready!(breath.as_mut().poll(context));
            self.breath = None;
        }
        if self.at == self.says.len() {
            match self.end {
                End::Again if !self.says.is_empty() => self.at = 0,
                End::Closed | End::Again => return Poll::Ready(Ok(())),
                End::Reset => return Poll::Ready(Err(nix::errno::Errno::ECONNRESET.into())),
                // The deadline wakes who waits.
                End::Silence => return Poll::Pending,
            }
        }
        let length = self.piece().min(self.says.len() - self.at).min(buffer.remaining());
        let end = self.at + length;
        buffer.put_slice(&self.says[self.at..end]);
        let said = self.said + length;
        if said / BREATH.0 > self.said / BREATH.0 {
            self.breath = Some(Box::pin(sleep(BREATH.1)));
        }
        (self.at, self.said) = (end, said);
        self.most.fetch_max(said, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.end {
            // It is gone already.
            End::Reset if self.says.is_empty() => Poll::Ready(Err(nix::errno::Errno::EPIPE.into())),
            _ => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// Whether more is wanted than an empty answer: of steps, only where one expects something.
    fn awaits(check: &CheckSpec) -> bool {
        let CheckKind::Negotiate(negotiate) = &check.kind else { panic!("{check:?}") };
        let expects = negotiate.steps.iter().any(|step| matches!(step, Step::Expect(_)));
        expects || !["tcp", "tls", "udp"].contains(&negotiate.protocol)
    }

    #[test]
    fn who_is_silent_is_given_up_at_the_deadline() {
        const SILENCE: u8 = 2;
        const UDP: u8 = 4;
        let all = PROTOCOLS.iter().copied().flatten();
        for protocol in all.filter(|protocol| protocol.info.name != "none") {
            for how in [SILENCE, SILENCE | UDP] {
                for options in [0x7fff, 0xffff] {
                    let check = check(protocol, how, options);
                    if !awaits(&check) {
                        continue;
                    }
                    let (attempted, took, _) = converse(&check, how, 0, &[b"", b""]);
                    let reason = attempted.verdict.unwrap_err().reason;
                    let expected = (Reason::Timeout, check.timeout);
                    assert_eq!((reason, took), expected, "{}", protocol.info.name);
                }
            }
        }
    }

    /// What fuzzing found worth keeping is held to the laws each time. A new protocol needs some, see `fuzz/README.md`.
    #[test]
    fn every_dialogue_that_fuzzing_kept_obeys() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/reply");
        let mut broken = Vec::new();
        for name in names() {
            let files: Vec<_> = fs::read_dir(corpus.join(name)).unwrap().collect();
            assert!(!files.is_empty(), "there is something of {name}");
            for file in files {
                let path = file.unwrap().path();
                if std::panic::catch_unwind(|| hold(name, &fs::read(&path).unwrap())).is_err() {
                    broken.push(path);
                }
            }
        }
        assert!(broken.is_empty(), "{broken:?}");
    }
}
