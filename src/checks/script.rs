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
use crate::model::{CheckKind, CheckSpec, Verdict};

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
        .map(|heard| String::from_utf8_lossy(&heard.lock().unwrap()).into_owned())
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
