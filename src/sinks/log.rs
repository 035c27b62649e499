//! The log: `tracing` events in, ldirectord's lines out.
//!
//! An event's message is the line; its fields (`service`, `server`, `reason`…) are for other listeners and are not
//! written here, because tools match ldirectord's lines. Lines go through a queue to a thread of their own
//! ([`super::writer`]), so that a slow disk holds up nobody; when too many wait, the newest is dropped and counted.
//!
//! Sources: ldirectord's log forms, section 2.3 of the behaviour specification.

use std::{
    fmt::{self, Write as _},
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use jiff::Timestamp;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt},
    registry::Registry,
};

use super::writer::{self, Message};
use crate::model::LogTarget;

/// How many lines may wait to be written.
const QUEUE_LINES: usize = 100_000;

/// How long [`Log::flush`] waits for the writer.
const FLUSH_WAIT: Duration = Duration::from_secs(2);

/// Where lines go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Destination {
    /// Where the configuration says.
    Target(LogTarget),
    /// Standard output, with the date (`supervised`).
    StandardOutput,
    /// Standard error, bare, and with what is only of interest to a person who looks for a fault (`--debug`).
    Debug,
}

/// Who writes: what stands at the front of a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Author {
    /// The name of the instance.
    pub name: String,
    /// The process.
    pub pid: u32,
}

/// The log, as those see it who steer it. Writing to it is done with `tracing`.
#[derive(Clone, Debug)]
pub struct Log {
    queue: Queue,
}

impl Log {
    /// Starts the writer and makes it the listener of this process's events.
    pub fn start(
        destination: Destination,
        author: Author,
        wall: fn() -> Timestamp,
    ) -> io::Result<Log> {
        let debug = destination == Destination::Debug;
        let (log, lines) = Log::new(destination, author, wall)?;
        let level = if debug { LevelFilter::TRACE } else { LevelFilter::INFO };
        let subscriber = Registry::default().with(Filtered { lines, level });
        tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)?;
        Ok(log)
    }

    fn new(
        destination: Destination,
        author: Author,
        wall: fn() -> Timestamp,
    ) -> io::Result<(Log, Lines)> {
        let (sender, receiver) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        writer::start(receiver, Arc::clone(&waiting), destination, author)?;
        let queue = Queue { sender, waiting };
        let lines = Lines { queue: queue.clone(), lost: AtomicUsize::new(0), wall };
        Ok((Log { queue }, lines))
    }

    /// Later lines go elsewhere, if they go where a configuration said.
    pub fn redirect(&self, target: LogTarget) {
        self.queue.steer(Message::Redirect(target));
    }

    /// Waits until every line so far is written, but not for ever.
    pub fn flush(&self) {
        let (done, written) = mpsc::channel();
        self.queue.steer(Message::Flush(done));
        // The writer is stuck when this times out, and its lines are lost either way.
        written.recv_timeout(FLUSH_WAIT).unwrap_or_default();
    }
}

/// The way to the writer.
#[derive(Clone, Debug)]
struct Queue {
    sender: mpsc::Sender<Message>,
    waiting: Arc<AtomicUsize>,
}

impl Queue {
    /// Whether the line found room.
    fn write(&self, line: writer::Line) -> bool {
        if self.waiting.fetch_add(1, Ordering::Relaxed) < QUEUE_LINES
            && self.sender.send(Message::Line(line)).is_ok()
        {
            return true;
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        false
    }

    fn steer(&self, message: Message) {
        // The writer ends only with the process, so nobody is left to be told.
        self.sender.send(message).unwrap_or_default();
    }
}

/// Makes lines of events.
#[derive(Debug)]
struct Lines {
    queue: Queue,
    lost: AtomicUsize,
    wall: fn() -> Timestamp,
}

impl Lines {
    fn put(&self, level: Level, text: String) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let when = (self.wall)();
        if lost > 0 {
            let text =
                format!("{lost} log lines were dropped because too many waited to be written");
            if !self.queue.write(writer::Line { when, level: Level::WARN, text }) {
                self.lost.fetch_add(lost, Ordering::Relaxed);
            }
        }
        if !self.queue.write(writer::Line { when, level, text }) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// [`Lines`] as a layer: of our own events those that are wanted.
#[derive(Debug)]
struct Filtered {
    lines: Lines,
    level: LevelFilter,
}

impl<S: Subscriber> Layer<S> for Filtered {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.level && metadata.target().starts_with(env!("CARGO_PKG_NAME"))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = MessageOf(String::new());
        event.record(&mut message);
        self.lines.put(*event.metadata().level(), message.0);
    }
}

/// Takes an event's message and leaves its fields.
struct MessageOf(String);

impl Visit for MessageOf {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing to a String does not fail.
            write!(self.0, "{value:?}").unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn noon() -> Timestamp {
        Timestamp::from_second(1_795_000_000).unwrap()
    }

    #[test]
    fn events_become_lines_and_move_with_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        let author = Author { name: "web.cf".to_owned(), pid: 17 };
        let target = Destination::Target(LogTarget::File(first.clone()));
        let (log, lines) = Log::new(target, author, noon).unwrap();
        let subscriber = Registry::default().with(Filtered { lines, level: LevelFilter::INFO });
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(server = "10.0.0.1:80", "Added {}", 1);
            tracing::debug!("not of interest");
            log.redirect(LogTarget::File(second.clone()));
            tracing::error!("two\nlines");
        });
        log.flush();
        let date = noon()
            .to_zoned(jiff::tz::TimeZone::system())
            .strftime("%a %b %e %H:%M:%S %Y")
            .to_string();
        assert_eq!(fs::read_to_string(first).unwrap(), format!("[{date}|web.cf|17] Added 1\n"));
        assert_eq!(
            fs::read_to_string(second).unwrap(),
            format!("[{date}|web.cf|17] two\n[{date}|web.cf|17] lines\n")
        );
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let (sender, receiver) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(QUEUE_LINES));
        let queue = Queue { sender, waiting: Arc::clone(&waiting) };
        let lines = Lines { queue, lost: AtomicUsize::new(0), wall: noon };
        lines.put(Level::INFO, "one".to_owned());
        lines.put(Level::INFO, "two".to_owned());
        assert!(receiver.try_recv().is_err());
        waiting.store(0, Ordering::Relaxed);
        lines.put(Level::INFO, "three".to_owned());
        let texts: Vec<_> = receiver
            .try_iter()
            .map(|message| match message {
                Message::Line(line) => line.text,
                Message::Redirect(_) | Message::Flush(_) => String::new(),
            })
            .collect();
        assert_eq!(
            texts,
            ["2 log lines were dropped because too many waited to be written", "three"]
        );
    }
}
