//! Scripted servers, so that a dialogue is tested without sockets and without waiting.
#![expect(clippy::disallowed_types, reason = "two tasks of a test look at what was heard")]
#![cfg_attr(fuzzing, allow(dead_code, reason = "the laws use a part of it"))]

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, empty},
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    Question, agent,
    datagram::Datagrams,
    kept::Connection,
    link::{Link, Security, Stream},
    protocol,
    recorder::Recorder,
    tls::Tls,
};
use crate::model::{
    Attempted, CheckKind, CheckSpec, HttpMethod, HttpSettings, Negotiate, Pass, Secret,
    TlsSettings, Trace, Transport, Verdict,
};

/// Where the server of a scripted conversation would be.
pub(super) const TARGET: &str = "192.0.2.1:8080";

/// What is asked in this protocol where nothing is configured.
pub(super) fn unconfigured(protocol: &'static str) -> Negotiate {
    Negotiate {
        protocol,
        transport: Transport::Tcp,
        request: b"/".to_vec(),
        receive: None,
        method: HttpMethod::Get,
        http: HttpSettings::default(),
        steps: Vec::new(),
        dns_record: None,
        virtualhost: None,
        login: String::new(),
        passwd: Secret::default(),
        database: String::new(),
        secret: Secret::default(),
        tls: TlsSettings::default(),
    }
}

/// A check that asks so, of [`TARGET`] and for at most five seconds.
pub(super) fn spec(negotiate: Negotiate) -> CheckSpec {
    CheckSpec {
        target: TARGET.parse().unwrap(),
        kind: CheckKind::Negotiate(negotiate),
        interval: Duration::from_secs(10),
        fast_interval: Duration::from_secs(10),
        down_interval: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
    }
}

/// Our own address of every scripted connection.
pub(super) const LOCAL: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 99)), 40_000);

/// The connections that a link is given in place of real ones, and where it wanted them to lead.
#[derive(Default)]
pub(super) struct Streams {
    streams: VecDeque<Box<dyn Stream>>,
    pub(super) datagrams: VecDeque<Datagrams>,
    visited: Vec<(SocketAddr, Security)>,
    /// The addresses of a host, in place of the system's resolver.
    pub(super) hosts: Option<fn(&str) -> Vec<IpAddr>>,
    /// Whether there are no real connections after these, but ones that are closed at once.
    pub(super) is_sealed: bool,
}

impl Streams {
    pub(super) fn push(&mut self, stream: impl Stream + 'static) {
        self.streams.push_back(Box::new(stream));
    }

    /// Whether the next connection leads to a script.
    pub(super) fn is_next(&self) -> bool {
        self.is_sealed || !self.streams.is_empty()
    }

    pub(super) fn next(
        &mut self,
        peer: SocketAddr,
        security: &Security,
    ) -> Option<Box<dyn Stream>> {
        let closed = || self.is_sealed.then(|| Box::new(empty()) as _);
        let stream = self.streams.pop_front().or_else(closed)?;
        self.visited.push((peer, security.clone()));
        Some(stream)
    }

    pub(super) fn next_datagrams(&mut self, peer: SocketAddr) -> Option<Datagrams> {
        let closed = || self.is_sealed.then(|| mailbox(Vec::new()));
        let datagrams = self.datagrams.pop_front().or_else(closed)?;
        self.visited.push((peer, Security::Plain));
        Some(datagrams)
    }
}

/// One end of a scripted exchange of datagrams.
pub(super) struct Mailbox {
    sent: mpsc::UnboundedSender<Vec<u8>>,
    received: mpsc::UnboundedReceiver<Vec<u8>>,
}

impl Mailbox {
    /// Sends one; who has gone does not get it.
    pub(super) fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.sent.send(datagram.to_vec()).or(Ok(()))
    }

    /// The next one; when there will be none, as if a host had said that nobody listens.
    pub(super) async fn receive(&mut self) -> io::Result<Vec<u8>> {
        self.received.recv().await.ok_or_else(|| nix::errno::Errno::ECONNREFUSED.into())
    }
}

/// What a scripted server does. At the end of its script it closes the connection or port.
#[derive(Clone)]
pub(super) enum Turn {
    /// Reads until it has read this; of datagrams, until one ends so.
    Hear(&'static str),
    /// Reads once.
    HearSome,
    /// Sends this; as one datagram.
    Say(Vec<u8>),
    /// Sends what this makes of what was heard; of datagrams, of the last.
    Answer(Arc<Answering>),
    /// Waits before it goes on.
    Wait(Duration),
    /// Goes on over TLS, as this server does; notes [`TLS`] when the handshake is done, and closes when it fails.
    StartTls(Arc<Accepting>),
    /// Does nothing any more, and keeps the connection.
    Hang,
}

/// What stands among what was heard where TLS began.
pub(super) const TLS: &str = "<TLS>\r\n";

/// Does the handshake of a server.
pub(super) type Accepting =
    dyn Fn(Box<dyn Stream>) -> BoxFuture<Option<Box<dyn Stream>>> + Send + Sync;

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Makes an answer of what was heard.
pub(super) type Answering = dyn Fn(&[u8]) -> Vec<u8> + Send + Sync;

/// A conversation that has ended.
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    pub(super) trace: Trace,
    /// What each server heard, where that is text.
    pub(super) heard: Vec<String>,
    /// What each server heard.
    pub(super) bytes: Vec<Vec<u8>>,
    /// Each datagram that was heard.
    pub(super) datagrams: Vec<Vec<u8>>,
    /// Where each connection led.
    pub(super) visited: Vec<(SocketAddr, Security)>,
    /// How long it took.
    pub(super) took: Duration,
}

impl Outcome {
    /// The detail of a pass, or the whole failure.
    pub(super) fn words(&self) -> String {
        match &self.verdict {
            Ok(pass) => pass.detail.clone(),
            Err(fault) => fault.to_string(),
        }
    }
}

/// The turns of a server that speaks in lines: `<` stands before one that it says, `>` before one that it waits for.
/// Each ends with CR LF. At `= TLS` it goes on over TLS. After the last it says and hears nothing more.
pub(super) fn lines(script: &str) -> Vec<Turn> {
    let turn = |line: &str| match line.split_at(2) {
        ("< ", said) => Turn::Say(format!("{said}\r\n").into_bytes()),
        ("> ", heard) => Turn::Hear(Box::leak(format!("{heard}\r\n").into_boxed_str())),
        #[cfg(test)]
        ("= ", "TLS") => super::tls::start::modern(),
        _ => panic!("{line} is no line of a script"),
    };
    script.lines().map(|line| turn(line.trim_start())).chain([Turn::Hang]).collect()
}

/// Runs such a script, which must be heard to its end; for what comes of it, see [`Outcome::words`].
pub(super) async fn follow(negotiate: Negotiate, script: &str) -> String {
    let outcome = converse(&spec(negotiate), vec![lines(script)]).await;
    let heard = script.lines().filter_map(|line| match line.trim_start().split_at(2) {
        ("> ", heard) => Some(format!("{heard}\r\n")),
        ("= ", _) => Some(TLS.to_owned()),
        _ => None,
    });
    let expected: String = heard.collect();
    assert_eq!(outcome.heard, [expected], "in\n{script}");
    outcome.words()
}

/// Runs the dialogue of a check with one scripted server after another. Time must be paused.
pub(super) async fn converse(check: &CheckSpec, servers: Vec<Vec<Turn>>) -> Outcome {
    converse_by(check, Vec::new(), servers).await
}

/// The same where the first datagrams go to a server that does this.
pub(super) async fn converse_by(
    check: &CheckSpec,
    datagrams: Vec<Turn>,
    servers: Vec<Vec<Turn>>,
) -> Outcome {
    converse_with(&Tls::default(), check, datagrams, servers).await
}

/// The same where others have spoken TLS before.
pub(super) async fn converse_with(
    tls: &Tls,
    check: &CheckSpec,
    datagrams: Vec<Turn>,
    servers: Vec<Vec<Turn>>,
) -> Outcome {
    converse_in(tls, None, check, datagrams, servers).await.0
}

/// The same behind an attempt that may have left its connection; and what is left, if that was asked for.
pub(super) async fn converse_after(
    before: Option<Option<Connection>>,
    check: &CheckSpec,
    datagrams: Vec<Turn>,
    servers: Vec<Vec<Turn>>,
) -> (Outcome, Option<Connection>) {
    converse_in(&Tls::default(), before, check, datagrams, servers).await
}

async fn converse_in(
    tls: &Tls,
    before: Option<Option<Connection>>,
    check: &CheckSpec,
    datagrams: Vec<Turn>,
    servers: Vec<Vec<Turn>>,
) -> (Outcome, Option<Connection>) {
    let mut streams = Streams::default();
    let mut ears = Vec::new();
    for turns in servers {
        let (ours, theirs) = duplex(64 * 1024);
        let heard = Arc::new(Mutex::new(Vec::new()));
        streams.push(ours);
        tokio::spawn(serve(theirs, turns, Arc::clone(&heard)));
        ears.push(heard);
    }
    let heard_datagrams = Arc::new(Mutex::new(Vec::new()));
    if !datagrams.is_empty() {
        streams.datagrams.push_back(mailbox_heard(datagrams, Arc::clone(&heard_datagrams)));
    }
    let (Attempted { verdict, trace, .. }, visited, took, left) =
        converse_over(tls, before, check, streams).await;
    let bytes: Vec<_> = ears.iter().map(|heard| heard.lock().unwrap().clone()).collect();
    let outcome = Outcome {
        trace,
        verdict,
        heard: bytes.iter().map(|heard| String::from_utf8_lossy(heard).into_owned()).collect(),
        bytes,
        datagrams: heard_datagrams.lock().unwrap().clone(),
        visited,
        took,
    };
    (outcome, left)
}

/// Runs the dialogue of a check over these; says, too, where they led, how long it took and what connection is left.
pub(super) async fn converse_over(
    tls: &Tls,
    before: Option<Option<Connection>>,
    check: &CheckSpec,
    streams: Streams,
) -> (Attempted, Vec<(SocketAddr, Security)>, Duration, Option<Connection>) {
    let unused = unconfigured("none");
    let negotiate = match &check.kind {
        CheckKind::Negotiate(negotiate) => negotiate,
        CheckKind::Agent { .. } => &unused,
        _ => panic!("{check:?} is no conversation"),
    };
    let start = Instant::now();
    let deadline = pin!(sleep_until(start + check.timeout));
    let recorder = Recorder::new(Some(negotiate));
    let (settings, security) = (&negotiate.tls, Security::Plain);
    let mut link =
        Link::new(tls, settings, deadline, check.timeout, check.target, security, &recorder);
    link.script = streams;
    if let Some(before) = before {
        link.keep(before, Arc::default());
    }
    let verdict = match &check.kind {
        CheckKind::Agent { send } => {
            let answer = agent::ask(&mut link, send).await;
            answer.map(|report| Pass { detail: report.to_string() })
        }
        _ => {
            let question = Question { check, negotiate };
            (protocol(negotiate.protocol).unwrap().talk)(&question, &mut link).await
        }
    };
    // What was said last is heard.
    tokio::task::yield_now().await;
    let took = start.elapsed();
    let left = link.left(&verdict);
    let trace = recorder.finish(&verdict);
    (Attempted { verdict, trace, report: None }, link.script.visited, took, left)
}

/// Datagrams to a server that does this.
pub(super) fn mailbox(turns: Vec<Turn>) -> Datagrams {
    mailbox_heard(turns, Arc::default())
}

fn mailbox_heard(turns: Vec<Turn>, heard: Arc<Mutex<Vec<Vec<u8>>>>) -> Datagrams {
    let (sent, their_received) = mpsc::unbounded_channel();
    let (their_sent, received) = mpsc::unbounded_channel();
    let theirs = Mailbox { sent: their_sent, received: their_received };
    tokio::spawn(serve_datagrams(theirs, turns, heard));
    Datagrams::scripted(Mailbox { sent, received })
}

async fn serve(stream: DuplexStream, turns: Vec<Turn>, heard: Arc<Mutex<Vec<u8>>>) {
    let mut piece = [0; 1024];
    let mut stream: Box<dyn Stream> = Box::new(stream);
    for turn in turns {
        let sends = match turn {
            Turn::Hear(end) => {
                while !heard.lock().unwrap().ends_with(end.as_bytes()) {
                    match stream.read(&mut piece).await {
                        Ok(count @ 1..) => heard.lock().unwrap().extend(&piece[..count]),
                        _ => return,
                    }
                }
                continue;
            }
            Turn::HearSome => match stream.read(&mut piece).await {
                Ok(count @ 1..) => {
                    heard.lock().unwrap().extend(&piece[..count]);
                    continue;
                }
                _ => return,
            },
            Turn::Say(bytes) => bytes,
            Turn::Answer(answer) => answer(&heard.lock().unwrap()),
            Turn::Wait(time) => {
                tokio::time::sleep(time).await;
                continue;
            }
            Turn::StartTls(accept) => {
                let Some(secured) = accept(stream).await else { return };
                heard.lock().unwrap().extend(TLS.as_bytes());
                stream = secured;
                continue;
            }
            Turn::Hang => std::future::pending().await,
        };
        let said = async {
            stream.write_all(&sends).await?;
            stream.flush().await
        };
        if said.await.is_err() {
            return;
        }
    }
}

async fn serve_datagrams(mut mailbox: Mailbox, turns: Vec<Turn>, heard: Arc<Mutex<Vec<Vec<u8>>>>) {
    for turn in turns {
        let sends = match turn {
            Turn::Hear(_) | Turn::HearSome => {
                let end = if let Turn::Hear(end) = turn { end } else { "" };
                while let Ok(datagram) = mailbox.receive().await {
                    let is_it = datagram.ends_with(end.as_bytes());
                    heard.lock().unwrap().push(datagram);
                    if is_it {
                        break;
                    }
                }
                continue;
            }
            Turn::Say(bytes) => bytes,
            Turn::Answer(answer) => {
                // Who was never asked has nothing to answer.
                let Some(question) = heard.lock().unwrap().last().cloned() else { return };
                answer(&question)
            }
            Turn::Wait(time) => {
                tokio::time::sleep(time).await;
                continue;
            }
            Turn::Hang => loop {
                match mailbox.receive().await {
                    Ok(datagram) => heard.lock().unwrap().push(datagram),
                    Err(_) => return,
                }
            },
            Turn::StartTls(_) => panic!("there is no TLS over datagrams"),
        };
        mailbox.send(&sends).unwrap();
    }
}
