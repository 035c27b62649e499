//! The client: HTTP requests at a steady rate to each virtual address, a new connection each.
//!
//! In: a rate. Out: a record a request, when it was sent, and which server answered or why none did.
//! The rate does not depend on the answers: a request is sent when it is due, though earlier ones
//! still wait, as with many independent visitors. A client that waited for each answer would send
//! less while a server is down, and so hide most of the loss.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::machines::{SERVICES, Service, WEBS, Web};

/// Requests a second to each service.
pub(crate) const RATE: u32 = 40;
/// A request without a whole answer after this long is lost.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// As many requests to one service can wait at the same time: more than a third of what is sent
/// within `PATIENCE`, which is what one silent server of three can hold up.
const WORKERS: u32 = 48;

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Where to.
    pub service: &'static Service,
    /// When, just before the connection was begun.
    pub sent: Instant,
    /// Who answered, or what happened instead.
    pub outcome: Result<&'static Web, String>,
}

/// The client at work; it stops when dropped.
pub(crate) struct Traffic {
    /// When the first requests were due.
    pub began: Instant,
    records: Receiver<Request>,
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// Begins to send to every service.
    pub(crate) fn start() -> io::Result<Self> {
        let (sender, records) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let started = Arc::new(OnceLock::new());
        let mut workers = Vec::new();
        for service in &SERVICES {
            let next = Arc::new(AtomicU32::new(0));
            for _ in 0..WORKERS {
                let (started, next, stop, sender) =
                    (Arc::clone(&started), Arc::clone(&next), Arc::clone(&stop), sender.clone());
                let worker = thread::Builder::new().stack_size(128 * 1024);
                workers.push(
                    worker.spawn(move || work(service, *started.wait(), &next, &stop, &sender))?,
                );
            }
        }
        // All begin together: a thread takes long to make on a slow machine, and requests that are
        // overdue would come in a burst.
        let began = *started.get_or_init(Instant::now);
        Ok(Self { began, records, stop, workers })
    }

    /// The requests that ended since the last call.
    pub(crate) fn ended(&self) -> Vec<Request> {
        self.records.try_iter().collect()
    }

    /// Stops, waits for the answers that are still due, and returns the requests that ended since the last call.
    pub(crate) fn finish(mut self) -> Vec<Request> {
        self.stop.store(true, Ordering::Relaxed);
        for worker in self.workers.drain(..) {
            drop(worker.join());
        }
        self.ended()
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// One request to a service, outside the steady rate.
pub(crate) fn try_once(service: &'static Service) -> Result<(), String> {
    let answer = ask(service, Instant::now() + PATIENCE);
    answer.map(drop).map_err(|reason| {
        format!("the first request to {}:80 ({}): {reason}", service.address, service.method)
    })
}

/// Takes the next number, waits until that request is due, sends it; until told to stop.
fn work(
    service: &'static Service,
    started: Instant,
    next: &AtomicU32,
    stop: &AtomicBool,
    records: &Sender<Request>,
) {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let due = started + Duration::from_secs(1) * number / RATE;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let sent = Instant::now();
        let outcome = ask(service, sent + PATIENCE);
        if records.send(Request { service, sent, outcome }).is_err() {
            return;
        }
    }
}

/// One request on one connection, done at `deadline` whatever the other side does.
fn ask(service: &Service, deadline: Instant) -> Result<&'static Web, String> {
    let answer = exchange(service, deadline).map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no answer".to_owned(),
        _ => error.to_string(),
    })?;
    let body = answer
        .strip_prefix("HTTP/1.1 200 ")
        .and_then(|rest| rest.split_once("\r\n\r\n"))
        .map(|(_, body)| body.trim());
    let web = WEBS.iter().find(|web| Some(web.name) == body);
    web.ok_or_else(|| {
        format!("an answer that is not a web server's name: {:?}", answer.lines().next())
    })
}

fn exchange(service: &Service, deadline: Instant) -> io::Result<String> {
    let left = || match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::Error::from(io::ErrorKind::TimedOut)),
        left => Ok(left),
    };
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((service.address, 80)), left()?)?;
    stream.set_write_timeout(Some(left()?))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut part = [0; 2048];
    loop {
        stream.set_read_timeout(Some(left()?))?;
        let length = stream.read(&mut part)?;
        answer.extend_from_slice(part.get(..length).unwrap_or_default());
        if length == 0 || answer.len() > 8192 {
            return Ok(String::from_utf8_lossy(&answer).into_owned());
        }
    }
}
