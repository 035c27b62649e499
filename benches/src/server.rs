//! The web server of all real servers at once: one listener on every address, one thread.
//!
//! In: requests, of which it reads nothing but the end. Out: `healthy`, and a note of which address was asked when.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::Problem;
use crate::load;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 8\r\nConnection: close\r\n\r\nhealthy\n";

/// A connection to a real server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// Of the real server.
    pub number: u32,
    /// When it was accepted.
    pub at: Instant,
}

/// The server at work, until the program ends.
pub(crate) struct Server {
    arrivals: Receiver<Arrival>,
}

impl Server {
    /// Listens on port 80 of every address of this network namespace.
    pub(crate) fn start() -> Result<Self, Problem> {
        let listener = std::net::TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], 80)))?;
        listener.set_nonblocking(true)?;
        let (sender, arrivals) = mpsc::channel();
        let poll = Poll::new()?;
        thread::Builder::new()
            .spawn(move || serve(poll, TcpListener::from_std(listener), &sender))?;
        Ok(Self { arrivals })
    }

    /// The connections since the last call.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.try_iter().collect()
    }

    /// Waits until every one of the first `count` real servers was asked.
    pub(crate) fn wait_for_all(&self, count: u32, limit: Duration) -> Result<(), Problem> {
        let mut asked = vec![false; usize::try_from(count)?];
        let end = Instant::now() + limit;
        while Instant::now() < end {
            for arrival in self.arrivals() {
                if let Some(one) = asked.get_mut(usize::try_from(arrival.number)?) {
                    *one = true;
                }
            }
            if asked.iter().all(|asked| *asked) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        let missing = asked.iter().filter(|asked| !**asked).count();
        Err(format!("{missing} of {count} servers were not checked within {} s", limit.as_secs())
            .into())
    }
}

/// A connection whose request is not whole yet.
struct Pending {
    stream: TcpStream,
    read: usize,
    end: [u8; 4],
}

const LISTENER: Token = Token(usize::MAX);

fn serve(mut poll: Poll, mut listener: TcpListener, arrivals: &Sender<Arrival>) -> io::Result<()> {
    let mut events = Events::with_capacity(1024);
    let mut slots: Vec<Option<Pending>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    loop {
        if let Err(error) = poll.poll(&mut events, None) {
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(error);
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    let at = Instant::now();
                    if let Ok(SocketAddr::V4(local)) = stream.local_addr()
                        && let Some(number) = load::number(*local.ip())
                        && arrivals.send(Arrival { number, at }).is_err()
                    {
                        return Ok(());
                    }
                    let place = free.pop().unwrap_or_else(|| {
                        slots.push(None);
                        slots.len() - 1
                    });
                    let registered =
                        poll.registry().register(&mut stream, Token(place), Interest::READABLE);
                    if let (Ok(()), Some(slot)) = (registered, slots.get_mut(place)) {
                        *slot = Some(Pending { stream, read: 0, end: [0; 4] });
                    }
                }
            } else if let Some(slot) = slots.get_mut(event.token().0)
                && slot.as_mut().is_some_and(answer)
            {
                *slot = None;
                free.push(event.token().0);
            }
        }
    }
}

/// Reads what is there, answers a whole request, and says whether the connection is done.
fn answer(pending: &mut Pending) -> bool {
    let mut part = [0; 2048];
    loop {
        match pending.stream.read(&mut part) {
            Ok(0) => return true,
            Ok(length) => {
                pending.read += length;
                for &byte in part.get(..length).unwrap_or_default().iter().rev().take(4).rev() {
                    pending.end.rotate_left(1);
                    if let Some(last) = pending.end.last_mut() {
                        *last = byte;
                    }
                }
                if pending.end == *b"\r\n\r\n" {
                    drop(pending.stream.write_all(ANSWER));
                    return true;
                }
                if pending.read > 8192 {
                    return true;
                }
            }
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}
