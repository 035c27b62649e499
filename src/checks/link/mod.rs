//! [`Link`]: what a protocol gets to talk over.
//!
//! A link connects itself when it is first used, to the server that the check names, with TLS where the protocol
//! travels over TLS; a protocol that must go elsewhere says so with [`Link::connect_to`], and one that needs a second
//! connection beside the first gets it from [`Link::beside`]; one that begins in the clear and goes on with TLS says how
//! with [`Link::start_tls`].
//! A link of a check that keeps its connection goes on with what the attempt before has left, when it leads there, too.
//! Everything that waits ends at the deadline of the attempt, with a failure that says what was waited for.
//! What has been read and not yet consumed is bounded, so a server cannot fill our memory.
//!
//! Over UDP there is no stream but question and answer: [`Link::ask`] sends until an answer comes.

mod bounded;
mod opening;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, Sleep, sleep_until, timeout_at},
};
use zeroize::Zeroizing;

pub(super) use self::bounded::Bounded;
use super::{
    connect,
    datagram::Datagrams,
    failure,
    kept::Connection,
    recorder::Recorder,
    tls::{self, Basis, Sessions, Tls},
};
use crate::model::{Failure, Negotiate, Phase, Reason, TlsSettings};

/// How much is asked of the kernel in one read, in bytes.
const READ: usize = 8 * 1024;

/// When a datagram that was not answered is sent again.
const AGAIN: Duration = Duration::from_secs(1);

/// Anything that carries bytes both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How a connection is secured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Security {
    /// Not at all.
    Plain,
    /// With TLS, with the server of this name. A host name is sent, an address only verified; without either, or with
    /// what is neither, the server's address is verified. Whether anything is, the link knows.
    Tls(Option<String>),
}

/// What a link is waiting for, so that a timeout can say it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Wait {
    /// The address of this host.
    Resolve(String),
    /// The connection.
    Connect,
    /// The TLS handshake.
    Handshake,
    /// That the server takes what we send.
    Send,
    /// The answer, of which this many bytes have come.
    Receive(u64),
    /// The answer, after this many datagrams that were none.
    Answer(u64),
}

impl Wait {
    fn phase(&self) -> Phase {
        match self {
            Wait::Resolve(_) => Phase::Resolve,
            Wait::Connect => Phase::Connect,
            Wait::Handshake => Phase::Tls,
            Wait::Send => Phase::Send,
            Wait::Receive(_) | Wait::Answer(_) => Phase::Receive,
        }
    }
}

/// How far a link has come.
pub(super) struct Progress<'a> {
    wait: Wait,
    recorder: &'a Recorder,
}

impl Progress<'_> {
    /// This is waited for now.
    pub(super) fn begin(&mut self, wait: Wait) {
        self.recorder.enter(wait.phase());
        self.wait = wait;
    }
}

/// How often a datagram is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sending {
    /// Once.
    Once,
    /// Each second until it is answered.
    Again,
}

/// What is said in the clear over a connection just made, until the server waits for the TLS handshake.
pub(super) type Agree = for<'a, 'b> fn(&'a Negotiate, &'a mut Link<'b>) -> Agreeing<'a>;

/// That, under way.
type Agreeing<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// What a link has of an earlier attempt of its check, and leaves for the next.
#[derive(Default)]
struct Keeping {
    /// Whether anything is left.
    is_wanted: bool,
    /// What was left by the attempt before, until the link first connects.
    before: Option<Connection>,
    /// The TLS sessions with the server that the check names.
    sessions: Option<(SocketAddr, Arc<Sessions>)>,
    /// Since when there is the connection that is in use.
    since: Option<Instant>,
    /// What its TLS was begun with.
    basis: Option<Basis>,
    /// Whether that one was left by an attempt before.
    is_old: bool,
    /// Whether the conversation has ended so that another can follow.
    has_ended: bool,
}

/// A conversation with a server.
pub(super) struct Link<'a> {
    tls: &'a Tls,
    settings: &'a TlsSettings,
    deadline: Pin<&'a mut Sleep>,
    /// The whole time that was allowed, for words only.
    allowed: Duration,
    /// Whom the check is of.
    server: IpAddr,
    peer: SocketAddr,
    security: Security,
    stream: Option<Box<dyn Stream>>,
    datagrams: Option<Datagrams>,
    /// Our address of the connection, where there is one.
    local: Option<SocketAddr>,
    /// The protocol that is offered in TLS (ALPN), if one is.
    alpn: Option<&'static [u8]>,
    keeping: Keeping,
    progress: Progress<'a>,
    buffer: Vec<u8>,
    /// Where in the buffer the first byte is that was not consumed.
    start: usize,
    #[cfg(any(test, fuzzing))]
    pub(super) script: super::script::Streams,
}

impl<'a> Link<'a> {
    /// A link to this server, not yet connected.
    pub(super) fn new(
        tls: &'a Tls,
        settings: &'a TlsSettings,
        deadline: Pin<&'a mut Sleep>,
        allowed: Duration,
        peer: SocketAddr,
        security: Security,
        recorder: &'a Recorder,
    ) -> Link<'a> {
        Link {
            tls,
            settings,
            deadline,
            allowed,
            server: peer.ip(),
            peer,
            security,
            stream: None,
            datagrams: None,
            local: None,
            alpn: None,
            keeping: Keeping::default(),
            progress: Progress { wait: Wait::Connect, recorder },
            buffer: Vec::new(),
            start: 0,
            #[cfg(any(test, fuzzing))]
            script: super::script::Streams::default(),
        }
    }

    /// The server at the other end, or the one that would be connected to.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Keeps these credentials of HTTP, in base64, out of what is told of the attempt.
    pub(super) fn hide_basic(&self, credentials: &str) {
        let recorder = self.progress.recorder;
        recorder.hide(credentials.as_bytes());
        let plain = openssl::base64::decode_block(credentials).unwrap_or_default();
        let plain = Zeroizing::new(plain);
        let passwd = plain.splitn(2, |byte| *byte == b':').nth(1).unwrap_or_default();
        if !passwd.is_empty() {
            recorder.hide(passwd);
        }
    }

    /// An answer is waited for that does not come by this link.
    #[cfg(feature = "oracle")]
    pub(super) fn wait_elsewhere(&mut self) {
        self.progress.begin(Wait::Receive(0));
    }

    /// What the server said, with stars for each secret that it may repeat.
    pub(super) fn starred(&self, said: &[u8]) -> Vec<u8> {
        self.progress.recorder.starred(said)
    }

    /// What is waited for, or was when the last operation ended.
    pub(super) fn timeout(&self) -> Failure {
        let (peer, allowed) = (self.peer, self.allowed);
        let detail = match &self.progress.wait {
            Wait::Resolve(host) => format!("no address for {host} within {allowed:?}"),
            Wait::Connect => format!("no connection to {peer} within {allowed:?}"),
            Wait::Handshake => format!("no TLS handshake with {peer} within {allowed:?}"),
            Wait::Send => format!("{peer} did not take the request within {allowed:?}"),
            Wait::Receive(0) => format!("no answer from {peer} within {allowed:?}"),
            Wait::Receive(count) => {
                format!(
                    "no complete answer from {peer} within {allowed:?}, only {count} bytes of one"
                )
            }
            Wait::Answer(0) => format!("no answer from {peer} within {allowed:?}"),
            Wait::Answer(1) => {
                format!("no answer from {peer} within {allowed:?}, only a datagram that is none")
            }
            Wait::Answer(count) => format!(
                "no answer from {peer} within {allowed:?}, only {count} datagrams that are none"
            ),
        };
        failure(Reason::Timeout, detail)
    }

    /// The addresses of a host, by the system's resolver.
    pub(super) async fn resolve(
        &mut self,
        host: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, Failure> {
        self.progress.begin(Wait::Resolve(host.to_owned()));
        #[cfg(any(test, fuzzing))]
        if let Some(hosts) = self.script.hosts {
            return Ok(hosts(host).into_iter().map(|ip| SocketAddr::new(ip, port)).collect());
        }
        let looked_up = within(self.deadline.as_mut(), tokio::net::lookup_host((host, port))).await;
        let addresses: Vec<_> = looked_up
            .ok_or_else(|| self.timeout())?
            .map_err(|error| {
                failure(Reason::Unreachable, format!("no address for {host}: {error}"))
            })?
            .collect();
        match addresses.is_empty() {
            true => Err(failure(Reason::Unreachable, format!("no address for {host}"))),
            false => Ok(addresses),
        }
    }

    /// The deadline, for a second conversation.
    pub(super) fn deadline(&self) -> Sleep {
        sleep_until(self.deadline.deadline())
    }

    /// A second conversation, in the clear and connected, with the same server at another port.
    pub(super) async fn beside<'b>(
        &mut self,
        port: u16,
        deadline: Pin<&'b mut Sleep>,
    ) -> Result<Link<'b>, Failure>
    where
        'a: 'b,
    {
        let mut peer = self.peer;
        peer.set_port(port);
        let security = Security::Plain;
        let (tls, settings, allowed) = (self.tls, self.settings, self.allowed);
        let recorder = self.progress.recorder;
        let mut second = Link::new(tls, settings, deadline, allowed, peer, security, recorder);
        #[cfg(any(test, fuzzing))]
        std::mem::swap(&mut self.script, &mut second.script);
        let opened = second.open().await;
        #[cfg(any(test, fuzzing))]
        std::mem::swap(&mut self.script, &mut second.script);
        opened.map(|()| second)
    }

    /// Connects now, if that has not been done; says what our own address is.
    pub(super) async fn connect(&mut self) -> Result<SocketAddr, Failure> {
        self.ready().await?;
        self.own_address()
    }

    /// Makes ready for datagrams, if that has not been done; says what our own address is.
    pub(super) async fn connect_datagrams(&mut self) -> Result<SocketAddr, Failure> {
        if self.datagrams.is_none() {
            self.open_datagrams().await?;
        }
        self.own_address()
    }

    fn own_address(&self) -> Result<SocketAddr, Failure> {
        self.local.ok_or_else(|| failure(Reason::Internal, "our own address is not known"))
    }

    async fn open_datagrams(&mut self) -> Result<(), Failure> {
        self.progress.begin(Wait::Connect);
        #[cfg(any(test, fuzzing))]
        if let Some(datagrams) = self.script.next_datagrams(self.peer) {
            self.local = Some(super::script::LOCAL);
            self.datagrams = Some(datagrams);
            return Ok(());
        }
        let opened = Datagrams::open(self.peer).await;
        let (datagrams, local) = opened.map_err(|error| self.broken("ask", &error))?;
        (self.datagrams, self.local) = (Some(datagrams), Some(local));
        Ok(())
    }

    /// Sends a datagram and gives each that comes back to `read`, until that takes one for the answer.
    pub(super) async fn ask<T>(
        &mut self,
        question: &[u8],
        sending: Sending,
        mut read: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<T, Failure> {
        self.connect_datagrams().await?;
        self.progress.begin(Wait::Answer(0));
        let mut due = Some(Instant::now());
        loop {
            self.in_time()?;
            let Some(datagrams) = &mut self.datagrams else { return Err(self.closed()) };
            if due.is_some_and(|due| due <= Instant::now()) {
                self.progress.recorder.enter(Phase::Send);
                let sent = within(self.deadline.as_mut(), datagrams.send(question)).await;
                sent.ok_or_else(|| self.timeout())?
                    .map_err(|error| self.broken("send to", &error))?;
                // At the deadline it would be of no use.
                let end = self.deadline.deadline();
                due = Some(Instant::now() + AGAIN)
                    .filter(|due| sending == Sending::Again && *due < end);
                continue;
            }
            self.progress.recorder.enter(Phase::Receive);
            let receiving = async {
                match due {
                    Some(due) => timeout_at(due, datagrams.receive()).await.ok(),
                    None => Some(datagrams.receive().await),
                }
            };
            let received = within(self.deadline.as_mut(), receiving).await;
            let Some(received) = received else { return Err(self.timeout()) };
            match received {
                // It is due again.
                None => {}
                Some(Ok(())) => {
                    self.progress.recorder.received(datagrams.last());
                    self.progress.recorder.enter(Phase::Match);
                    if let Some(found) = read(datagrams.last()) {
                        return Ok(found);
                    }
                    if let Wait::Answer(count) = &mut self.progress.wait {
                        *count = count.saturating_add(1);
                    }
                }
                Some(Err(error)) => return Err(self.broken("read from", &error)),
            }
        }
    }

    /// The connection, for a library that speaks the protocol. At the deadline, and when more than so many bytes were
    /// read, it fails.
    pub(super) async fn stream(&mut self, limit: u64) -> Result<Bounded<'_>, Failure> {
        self.ready().await?;
        self.progress.begin(Wait::Receive(0));
        let Link { stream: Some(stream), progress, deadline, .. } = self else {
            return Err(self.closed());
        };
        let Progress { wait, recorder } = progress;
        Ok(Bounded { stream, wait, recorder, deadline: deadline.as_mut(), limit })
    }

    /// Sends all of this.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.ready().await?;
        self.progress.begin(Wait::Send);
        self.in_time()?;
        let Some(stream) = &mut self.stream else { return Err(self.closed()) };
        let sending = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        let sent = within(self.deadline.as_mut(), sending).await.ok_or_else(|| self.timeout())?;
        sent.map_err(|error| self.broken("send to", &error))
    }

    /// Says that we shall send no more.
    pub(super) async fn finish_sending(&mut self) -> Result<(), Failure> {
        self.progress.begin(Wait::Send);
        let Some(stream) = &mut self.stream else { return Err(self.closed()) };
        let finished = within(self.deadline.as_mut(), stream.shutdown()).await;
        finished.ok_or_else(|| self.timeout())?.map_err(|error| self.broken("send to", &error))
    }

    /// Reads more; `false` when there will be no more.
    pub(super) async fn fill(&mut self) -> Result<bool, Failure> {
        self.ready().await?;
        self.progress.recorder.enter(Phase::Receive);
        if !matches!(self.progress.wait, Wait::Receive(_)) {
            self.progress.begin(Wait::Receive(0));
        }
        self.in_time()?;
        let Some(stream) = &mut self.stream else { return Err(self.closed()) };
        self.buffer.drain(..self.start);
        self.start = 0;
        let before = self.buffer.len();
        self.buffer.reserve(READ);
        let mut limited = stream.take(u64::try_from(READ).unwrap_or(u64::MAX));
        let reading = limited.read_buf(&mut self.buffer);
        let read = within(self.deadline.as_mut(), reading).await.ok_or_else(|| self.timeout())?;
        match read {
            Ok(count) => {
                if let Wait::Receive(sum) = &mut self.progress.wait {
                    *sum = sum.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
                }
                let recorder = self.progress.recorder;
                recorder.received(self.buffer.get(before..).unwrap_or_default());
                recorder.enter(Phase::Match);
                Ok(count > 0)
            }
            // A TLS server that closes without saying so first, as many do.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(self.broken("read from", &error)),
        }
    }

    /// What was read and not consumed.
    pub(super) fn buffered(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Reads until this many bytes are there and not consumed.
    pub(super) async fn at_least(&mut self, count: usize) -> Result<(), Failure> {
        while self.buffered().len() < count {
            if !self.fill().await? {
                let middle =
                    format!("{} closed the connection in the middle of its answer", self.peer);
                return Err(match self.progress.wait {
                    Wait::Receive(0) => self.closed(),
                    _ => failure(Reason::Reset, middle),
                });
            }
        }
        Ok(())
    }

    /// Says that this many of the bytes read are done with.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.buffer.len());
    }

    /// The next line with its line feed, or what is left when the server has closed; empty when that is nothing.
    /// A line longer than `limit` bytes is a failure.
    pub(super) async fn line(&mut self, limit: usize) -> Result<Vec<u8>, Failure> {
        let mut searched = 0;
        loop {
            let found = self.buffered().iter().skip(searched).position(|byte| *byte == b'\n');
            let length = found.map(|position| searched.saturating_add(position).saturating_add(1));
            searched = self.buffered().len();
            if length.unwrap_or(searched) > limit {
                let detail = format!("{} sent a line of more than {limit} bytes", self.peer);
                return Err(failure(Reason::Protocol, detail));
            }
            if length.is_some() || !self.fill().await? {
                let length = length.unwrap_or(searched);
                let line = self.buffered().get(..length).unwrap_or_default().to_vec();
                self.consume(length);
                return Ok(line);
            }
        }
    }

    /// That the server closed the connection when it should have said something.
    pub(super) fn closed(&self) -> Failure {
        failure(Reason::Reset, format!("{} closed the connection without an answer", self.peer))
    }

    /// What an error of the connection says.
    pub(super) fn broken(&self, tried: &str, error: &io::Error) -> Failure {
        let text = tls::words(error, self.settings).unwrap_or_else(|| connect::words(error));
        failure(connect::reason(error), format!("cannot {tried} {}: {text}", self.peer))
    }

    /// Ends a conversation with a server that never lets us wait.
    fn in_time(&self) -> Result<(), Failure> {
        match Instant::now() > self.deadline.deadline() {
            true => Err(self.timeout()),
            false => Ok(()),
        }
    }
}

/// What the work yields, or nothing when the deadline comes first.
async fn within<T>(deadline: Pin<&mut Sleep>, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        // An answer that is there counts, even when we come late to look.
        biased;
        done = work => Some(done),
        () = deadline => None,
    }
}
