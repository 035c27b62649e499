//! The least program that could check web servers: one thread, one poll, no configuration, no verdicts.
//!
//! In: a number of real servers. Out: a request to each of them every second, and nothing else.
//! What a check costs beyond this is what the daemon adds: deadlines, patterns, scheduling, deciding.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::Problem;
use crate::load;

const REQUEST: &[u8] = b"GET /health HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";

struct Check {
    stream: TcpStream,
    asked: bool,
    answer: Vec<u8>,
}

/// Checks the first `count` real servers every second, for ever.
pub(crate) fn check_for_ever(count: &str) -> Result<(), Problem> {
    let count: u32 = count.parse()?;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut running: HashMap<Token, Check> = HashMap::new();
    let began = Instant::now();
    let mut next: u32 = 0;
    let mut number = 0;
    loop {
        let due = began + Duration::from_secs(1) * next / count;
        let wait = due.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            let mut stream =
                TcpStream::connect(SocketAddr::from((load::address(next % count), 80)))?;
            let token = Token(number);
            number += 1;
            next += 1;
            poll.registry().register(
                &mut stream,
                token,
                Interest::READABLE | Interest::WRITABLE,
            )?;
            running.insert(token, Check { stream, asked: false, answer: Vec::new() });
            continue;
        }
        if let Err(error) = poll.poll(&mut events, Some(wait))
            && error.kind() != io::ErrorKind::Interrupted
        {
            return Err(error.into());
        }
        for event in &events {
            let Some(check) = running.get_mut(&event.token()) else { continue };
            if let Some(answer) = go_on(check)? {
                running.remove(&event.token());
                if !answer.starts_with(b"HTTP/1.1 200 ") || !answer.ends_with(b"healthy\n") {
                    return Err("a server gave another answer".into());
                }
            }
        }
    }
}

/// Sends the request as soon as it can be, and returns the answer when it is whole.
fn go_on(check: &mut Check) -> io::Result<Option<Vec<u8>>> {
    if !check.asked {
        match check.stream.write(REQUEST) {
            Ok(_) => check.asked = true,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
    }
    let mut part = [0; 4096];
    loop {
        match check.stream.read(&mut part) {
            Ok(0) => return Ok(Some(std::mem::take(&mut check.answer))),
            Ok(length) => check.answer.extend_from_slice(part.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}
