//! Scripted servers, so that a dialogue is tested without sockets and without waiting.
#![expect(clippy::disallowed_types, reason = "two tasks of a test look at what was heard")]

use std::{
    collections::VecDeque,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::{Instant, sleep_until},
};

use super::{
    Question,
    link::{Link, Security, Stream},
    protocol,
    tls::Tls,
};
use crate::model::{
    CheckKind, CheckSpec, HttpMethod, Negotiate, Secret, TlsSettings, Transport, Verdict,
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

/// The connections that a link is given in place of real ones, and where it wanted them to lead.
#[derive(Default)]
pub(super) struct Streams {
    streams: VecDeque<DuplexStream>,
    visited: Vec<(SocketAddr, Security)>,
}

impl Streams {
    pub(super) fn next(
        &mut self,
        peer: SocketAddr,
        security: &Security,
    ) -> Option<Box<dyn Stream>> {
        let stream = self.streams.pop_front()?;
        self.visited.push((peer, security.clone()));
        Some(Box::new(stream))
    }
}

/// What a scripted server does. At the end of its script it closes the connection.
#[derive(Clone)]
pub(super) enum Turn {
    /// Reads until it has read this.
    Hear(&'static str),
    /// Sends this.
    Say(Vec<u8>),
    /// Waits before it goes on.
    Wait(Duration),
    /// Does nothing any more, and keeps the connection.
    Hang,
}

/// A conversation that has ended.
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    /// What each server heard.
    pub(super) heard: Vec<String>,
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
/// Each ends with CR LF. After the last it says and hears nothing more.
pub(super) fn lines(script: &str) -> Vec<Turn> {
    let turn = |line: &str| match line.split_at(2) {
        ("< ", said) => Turn::Say(format!("{said}\r\n").into_bytes()),
        ("> ", heard) => Turn::Hear(Box::leak(format!("{heard}\r\n").into_boxed_str())),
        _ => panic!("{line} is no line of a script"),
    };
    script.lines().map(|line| turn(line.trim_start())).chain([Turn::Hang]).collect()
}

/// Runs such a script, which must be heard to its end; for what comes of it, see [`Outcome::words`].
pub(super) async fn follow(negotiate: Negotiate, script: &str) -> String {
    let outcome = converse(&spec(negotiate), vec![lines(script)]).await;
    let heard: Vec<_> =
        script.lines().filter_map(|line| line.trim_start().strip_prefix("> ")).collect();
    let expected: String = heard.iter().map(|line| format!("{line}\r\n")).collect();
    assert_eq!(outcome.heard, [expected], "in\n{script}");
    outcome.words()
}

/// Runs the dialogue of a check with one scripted server after another. Time must be paused.
pub(super) async fn converse(check: &CheckSpec, servers: Vec<Vec<Turn>>) -> Outcome {
    let CheckKind::Negotiate(negotiate) = &check.kind else {
        panic!("{check:?} is no negotiation")
    };
    let (start, tls) = (Instant::now(), Tls::default());
    let deadline = pin!(sleep_until(start + check.timeout));
    let mut link =
        Link::new(&tls, &negotiate.tls, deadline, check.timeout, check.target, Security::Plain);
    let mut ears = Vec::new();
    for turns in servers {
        let (ours, theirs) = duplex(64 * 1024);
        let heard = Arc::new(Mutex::new(Vec::new()));
        link.script.streams.push_back(ours);
        tokio::spawn(serve(theirs, turns, Arc::clone(&heard)));
        ears.push(heard);
    }
    let question = Question { check, negotiate };
    let verdict = (protocol(negotiate.protocol).unwrap().talk)(&question, &mut link).await;
    let heard = ears
        .iter()
        .map(|heard| String::from_utf8(heard.lock().unwrap().clone()).unwrap())
        .collect();
    Outcome { verdict, heard, visited: link.script.visited, took: start.elapsed() }
}

async fn serve(mut stream: DuplexStream, turns: Vec<Turn>, heard: Arc<Mutex<Vec<u8>>>) {
    for turn in turns {
        match turn {
            Turn::Hear(end) => {
                let mut piece = [0; 1024];
                while !heard.lock().unwrap().ends_with(end.as_bytes()) {
                    match stream.read(&mut piece).await {
                        Ok(count @ 1..) => heard.lock().unwrap().extend(&piece[..count]),
                        _ => return,
                    }
                }
            }
            Turn::Say(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Turn::Wait(time) => tokio::time::sleep(time).await,
            Turn::Hang => std::future::pending().await,
        }
    }
}
