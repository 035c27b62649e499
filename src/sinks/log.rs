//! The log: `tracing` events in, ldirectord's lines out.
//!
//! An event's message is the line; its fields (`service`, `server`, `reason`…) are for programs, and are written where
//! those read (journal, JSON); not in ldirectord's lines, which tools match. Events go through a queue to a thread of
//! their own ([`super::writer`]), so that a slow disk holds up nobody; when too many wait, the newest is dropped and
//! counted.
//!
//! Sources: ldirectord's log forms, section 2.3 of the behaviour specification.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use jiff::Timestamp;
use tracing::{Event, Level, Metadata, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt},
    registry::Registry,
};

use super::{
    entry::{Entry, Parts},
    writer::{self, Message},
};
use crate::model::{LogFormat, LogTarget};

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
    Supervised,
    /// Standard error, bare, and with what is only of interest to a person who looks for a fault (`--debug`).
    Debug,
}

/// What a log is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where lines go.
    pub destination: Destination,
    /// What a line is there.
    pub format: LogFormat,
    /// Who writes.
    pub author: Author,
    /// The file of a configuration that names none.
    pub default_file: PathBuf,
    /// Whether nobody sees our standard output and error, so that they must not be the log.
    pub in_background: bool,
    /// The clock on the wall.
    pub wall: fn() -> Timestamp,
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
    /// The file of a configuration that names none.
    default_file: PathBuf,
    /// The file in place of standard output and error, where nobody sees those.
    in_place: Option<PathBuf>,
    /// Whether the writer has not come to the last flush.
    is_flushing: Arc<AtomicBool>,
}

impl Log {
    /// Starts the writer and makes it the listener of this process's events.
    pub fn start(settings: Settings) -> io::Result<Log> {
        let debug = settings.destination == Destination::Debug;
        let (log, lines) = Log::new(settings)?;
        let level = if debug { LevelFilter::TRACE } else { LevelFilter::INFO };
        let subscriber = Registry::default().with(Filtered { lines, level });
        tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)?;
        Ok(log)
    }

    fn new(settings: Settings) -> io::Result<(Log, Lines)> {
        let (sender, receiver) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let wall = settings.wall;
        let default_file = settings.default_file.clone();
        let in_place = settings.in_background.then(|| default_file.clone());
        writer::start(receiver, Arc::clone(&waiting), settings)?;
        let queue = Queue { sender, waiting };
        let lines = Lines { queue: queue.clone(), lost: AtomicUsize::new(0), wall };
        Ok((Log { queue, default_file, in_place, is_flushing: Arc::default() }, lines))
    }

    /// Later lines go elsewhere, if they go where a configuration said.
    pub fn redirect(&self, target: LogTarget, format: LogFormat) {
        self.queue.steer(Message::Redirect(target, format));
    }

    /// What there is to say about lines that are to go there: nobody sees the standard output of a daemon in the
    /// background, so the default file takes its place.
    pub fn doubt(&self, target: &LogTarget) -> Option<String> {
        let word = match target {
            LogTarget::StandardOutput => "stdout",
            LogTarget::StandardError => "stderr",
            LogTarget::File(_) | LogTarget::Syslog(_) | LogTarget::Journal => return None,
        };
        let file = self.in_place.as_ref()?.display();
        Some(format!(
            "a daemon in the background has no logfile=\"{word}\", its log goes to {file}\n\
             hint: start it with --foreground, or name a file, journal or a facility"
        ))
    }

    /// The file that lines go into which are to go there, if they go into one.
    pub fn file<'a>(&'a self, target: &'a LogTarget) -> Option<&'a Path> {
        match target {
            target if *target == LogTarget::default() => Some(&self.default_file),
            LogTarget::File(path) => Some(path),
            LogTarget::StandardOutput | LogTarget::StandardError => self.in_place.as_deref(),
            LogTarget::Syslog(_) | LogTarget::Journal => None,
        }
    }

    /// Waits until every line so far is written, but not for ever, and only once for a writer that is stuck.
    pub fn flush(&self) {
        if self.is_flushing.swap(true, Ordering::Relaxed) {
            return;
        }
        let (done, written) = mpsc::channel();
        self.queue.steer(Message::Flush(done, Arc::clone(&self.is_flushing)));
        // The writer is stuck when this times out, and its lines may be lost.
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
    /// Whether the entry found room.
    fn write(&self, entry: Entry) -> bool {
        if self.waiting.fetch_add(1, Ordering::Relaxed) < QUEUE_LINES
            && self.sender.send(Message::Entry(entry)).is_ok()
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
    fn put(&self, level: Level, Parts { text, fields }: Parts) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let when = (self.wall)();
        if lost > 0
            && !self.queue.write(Entry::of_lost(when, lost, "too many waited to be written"))
        {
            self.lost.fetch_add(lost, Ordering::Relaxed);
        }
        if !self.queue.write(Entry { when, level, text, fields }) {
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
        let mut parts = Parts::default();
        event.record(&mut parts);
        self.lines.put(*event.metadata().level(), parts);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn noon() -> Timestamp {
        Timestamp::from_second(1_795_000_000).unwrap()
    }

    fn to(target: LogTarget) -> Settings {
        Settings {
            destination: Destination::Target(target),
            format: LogFormat::Text,
            author: Author { name: "web.cf".to_owned(), pid: 17 },
            default_file: "/no/such/folder/log".into(),
            in_background: true,
            wall: noon,
        }
    }

    #[test]
    fn a_daemon_in_the_background_has_no_standard_output() {
        let dir = tempfile::tempdir().unwrap();
        let default_file = dir.path().join("default");
        let settings =
            Settings { default_file: default_file.clone(), ..to(LogTarget::StandardOutput) };
        let (log, lines) = Log::new(settings).unwrap();
        for target in [LogTarget::StandardError, LogTarget::StandardOutput, LogTarget::default()] {
            assert_eq!(log.doubt(&target).is_some(), target != LogTarget::default());
            lines.put(Level::INFO, text("here"));
            log.redirect(target, LogFormat::Text);
        }
        log.flush();
        assert_eq!(fs::read_to_string(default_file).unwrap().lines().count(), 3);
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_kept_up_to_a_bound() {
        let dir = tempfile::tempdir().unwrap();
        let later = dir.path().join("later");
        let (log, lines) = Log::new(to(LogTarget::File("/dev/full".into()))).unwrap();
        for _ in 0..40 {
            lines.put(Level::INFO, text(&"x".repeat(30 * 1024)));
            log.flush();
        }
        log.redirect(LogTarget::File(later.clone()), LogFormat::Text);
        lines.put(Level::INFO, text("there is room"));
        log.flush();
        let written = fs::read_to_string(later).unwrap();
        let messages: Vec<&str> = written.lines().map(|l| l.split_once("] ").unwrap().1).collect();
        // 35 of 30 KiB are more than a megabyte.
        let (kept, told) = messages.split_at(35);
        assert!(kept.iter().all(|line| line.len() == 30 * 1024));
        let lost =
            "log lines were dropped because they could not be written: No space left on device";
        assert_eq!(told, [format!("5 {lost} (os error 28)"), "there is room".to_owned()]);
    }

    fn text(text: &str) -> Parts {
        Parts { text: text.to_owned(), ..Parts::default() }
    }

    #[test]
    fn events_become_lines_and_move_with_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let [first, second, third] = ["first", "second", "third"].map(|name| dir.path().join(name));
        let (log, lines) = Log::new(to(LogTarget::File(first.clone()))).unwrap();
        let subscriber = Registry::default().with(Filtered { lines, level: LevelFilter::INFO });
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(server = "10.0.0.1:80", "Added {}", 1);
            tracing::debug!("not of interest");
            log.redirect(LogTarget::File(second.clone()), LogFormat::Text);
            tracing::error!("two\nlines");
            log.redirect(LogTarget::File(third.clone()), LogFormat::Json);
            let role = Some(tracing::field::display("real")).filter(|_| false);
            tracing::warn!(server = "10.0.0.1:80", role, weight = 7, needed = true, "two\nlines");
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
        let time = noon().to_zoned(jiff::tz::TimeZone::system());
        let time = time.strftime("%Y-%m-%dT%H:%M:%S.000000%:z");
        assert_eq!(
            fs::read_to_string(third).unwrap(),
            format!(
                "{{\"time\":\"{time}\",\"level\":\"warning\",\"message\":\"two\\nlines\",\
                 \"configuration\":\"web.cf\",\"pid\":17,\"server\":\"10.0.0.1:80\",\"weight\":7,\
                 \"needed\":true}}\n"
            )
        );
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let (sender, receiver) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(QUEUE_LINES));
        let queue = Queue { sender, waiting: Arc::clone(&waiting) };
        let lines = Lines { queue, lost: AtomicUsize::new(0), wall: noon };
        lines.put(Level::INFO, text("one"));
        lines.put(Level::INFO, text("two"));
        assert!(receiver.try_recv().is_err());
        waiting.store(0, Ordering::Relaxed);
        lines.put(Level::INFO, text("three"));
        let texts: Vec<_> = receiver
            .try_iter()
            .map(|message| match message {
                Message::Entry(entry) => entry.text,
                Message::Redirect(..) | Message::Flush(..) => String::new(),
            })
            .collect();
        assert_eq!(
            texts,
            ["2 log lines were dropped because too many waited to be written", "three"]
        );
    }
}
