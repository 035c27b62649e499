//! The thread that writes log lines.
//!
//! In come [`Message`]s, out go lines to a file, standard output, standard error, the system's log or the journal.
//! A file is opened, appended to and closed again, so that it can be rotated without a signal; lines that wait together
//! are written together. What a file does not take (the disk is full) is kept, up to a bound, and tried again. Nothing that
//! fails here ends the process.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    mem,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use jiff::{Zoned, tz::TimeZone};
use nix::fcntl::OFlag;
use tracing::Level;

use super::{
    entry::{self, Entry},
    journal::Journal,
    log::{Destination, Settings},
    syslog::Syslog,
    zone,
};
use crate::model::{LogFormat, LogTarget};

/// How many bytes are collected before they are written.
const BATCH_BYTES: usize = 64 * 1024;

/// How many bytes are kept for a file that cannot be written, on a full disk for example, and how often it is tried.
const HELD_BYTES: usize = 1024 * 1024;
const AGAIN: Duration = Duration::from_secs(1);

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Message {
    /// Write this.
    Entry(Entry),
    /// Later lines go there and are like that, unless the start said where all go.
    Redirect(LogTarget, LogFormat),
    /// Answer when everything before is written, and say so there, too.
    Flush(mpsc::Sender<()>, Arc<AtomicBool>),
}

/// Starts the thread; it ends when nobody can send any more.
pub(super) fn start(
    messages: mpsc::Receiver<Message>,
    waiting: Arc<AtomicUsize>,
    settings: Settings,
) -> io::Result<()> {
    let mut writer = Writer {
        way: Way::new(settings.destination.clone(), &settings),
        settings,
        zone: zone::local(),
        batch: String::new(),
        held: 0,
        lost: Lost::default(),
    };
    thread::Builder::new().name("log".to_owned()).spawn(move || {
        loop {
            match writer.next(&messages) {
                Ok(message) => writer.take(message, &waiting),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while writer.batch.len() < BATCH_BYTES
                && let Ok(message) = messages.try_recv()
            {
                writer.take(message, &waiting);
            }
            writer.write();
        }
    })?;
    Ok(())
}

/// Where lines go, opened as far as it stays open.
enum Way {
    File(PathBuf),
    Syslog(Syslog),
    Journal(Journal),
    StandardOutput,
    StandardError,
    /// Standard output, whatever the configuration says.
    Supervised,
    /// Standard error, whatever the configuration says.
    Debug,
}

impl Way {
    fn new(destination: Destination, settings: &Settings) -> Way {
        let target = match destination {
            Destination::Target(target) => target,
            Destination::Supervised => return Way::Supervised,
            Destination::Debug => return Way::Debug,
        };
        match target {
            target if target == LogTarget::default() => Way::File(settings.default_file.clone()),
            LogTarget::File(path) => Way::File(path),
            LogTarget::Syslog(facility) => Way::Syslog(Syslog::new(&facility, settings.author.pid)),
            LogTarget::Journal => Way::Journal(Journal::default()),
            LogTarget::StandardOutput | LogTarget::StandardError if settings.in_background => {
                Way::File(settings.default_file.clone())
            }
            LogTarget::StandardOutput => Way::StandardOutput,
            LogTarget::StandardError => Way::StandardError,
        }
    }
}

/// What could not be written, and why.
#[derive(Default)]
struct Lost {
    count: usize,
    why: String,
}

struct Writer {
    way: Way,
    settings: Settings,
    zone: TimeZone,
    batch: String,
    /// How many bytes of the batch the file did not take; they are tried again.
    held: usize,
    lost: Lost,
}

impl Writer {
    /// The next message; without one, when it is time to try again what was not written.
    fn next(&self, messages: &mpsc::Receiver<Message>) -> Result<Message, RecvTimeoutError> {
        match self.held {
            0 => messages.recv().map_err(RecvTimeoutError::from),
            _ => messages.recv_timeout(AGAIN),
        }
    }

    fn take(&mut self, message: Message, waiting: &AtomicUsize) {
        match message {
            Message::Entry(entry) => {
                waiting.fetch_sub(1, Ordering::Relaxed);
                self.put(&entry);
            }
            Message::Redirect(target, format) => {
                self.write();
                // The time zone is asked for again, too: a reload is when an operator expects that.
                self.zone = zone::local();
                self.settings.format = format;
                if !matches!(self.way, Way::Supervised | Way::Debug) {
                    self.way = Way::new(Destination::Target(target), &self.settings);
                }
            }
            Message::Flush(done, is_flushing) => {
                self.write();
                is_flushing.store(false, Ordering::Relaxed);
                // Whoever asked may have stopped waiting.
                done.send(()).unwrap_or_default();
            }
        }
    }

    /// Adds an entry to those that are to be written, or hands it to who takes them one by one.
    fn put(&mut self, entry: &Entry) {
        let when = entry.when.to_zoned(self.zone.clone());
        if matches!(self.way, Way::Syslog(_) | Way::Journal(_)) {
            return self.hand(entry, &when);
        }
        if self.held > HELD_BYTES {
            self.lost.count = self.lost.count.saturating_add(1);
            return complain(&format!("{}\n", entry.text)).unwrap_or_default();
        }
        self.format(entry, &when);
    }

    /// Adds an entry to the batch.
    fn format(&mut self, entry: &Entry, when: &Zoned) {
        let Writer { way, settings: Settings { author, format, .. }, batch, .. } = self;
        if *format == LogFormat::Json && !matches!(way, Way::Debug) {
            batch.push_str(&entry::json(entry, when, author));
            return;
        }
        let date = || when.strftime("%a %b %e %H:%M:%S %Y");
        let prefix = match way {
            Way::File(_) => format!("[{}|{}|{}] ", date(), author.name, author.pid),
            Way::StandardOutput | Way::StandardError | Way::Supervised => format!("[{}] ", date()),
            Way::Syslog(_) | Way::Journal(_) => return,
            Way::Debug => match entry.level {
                Level::TRACE => "DEBUG3: ".to_owned(),
                Level::DEBUG => "DEBUG2: ".to_owned(),
                _ => {
                    push_lines(batch, "DEBUG2: ", &entry.text);
                    String::new()
                }
            },
        };
        push_lines(batch, &prefix, &entry.text);
    }

    /// Hands an entry to the system's log or the journal; who takes one again is told how many it did not take.
    fn hand(&mut self, entry: &Entry, when: &Zoned) {
        if self.lost.count > 0 {
            let told = Entry::of_lost(entry.when, self.lost.count, &self.lost.why);
            if self.send(&told, when).is_ok() {
                self.lost = Lost::default();
            }
        }
        if let Err(error) = self.send(entry, when) {
            self.lost.count = self.lost.count.saturating_add(1);
            self.lost.why = format!("nobody took them: {error}");
            complain(&format!("{}\n", entry.text)).unwrap_or_default();
        }
    }

    fn send(&mut self, entry: &Entry, when: &Zoned) -> io::Result<()> {
        match &mut self.way {
            Way::Journal(journal) => journal.send(entry, when, &self.settings.author),
            Way::Syslog(syslog) => entry.text.lines().try_for_each(|line| syslog.send(when, line)),
            _ => Ok(()),
        }
    }

    fn write(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let written = match &self.way {
            Way::File(path) => append_part(path, &self.batch),
            Way::StandardOutput | Way::Supervised => {
                let mut output = io::stdout().lock();
                let written = output.write_all(self.batch.as_bytes()).and_then(|()| output.flush());
                written.map_err(|error| (0, error))
            }
            Way::Syslog(_) | Way::Journal(_) | Way::StandardError | Way::Debug => {
                complain(&self.batch).map_err(|error| (0, error))
            }
        };
        match (written, &self.way) {
            (Ok(()), _) => self.wrote_all(),
            (Err((taken, error)), Way::File(_)) => {
                // As ldirectord does: who stands by sees them. But nobody stands by a daemon.
                complain(self.batch.get(self.held.max(taken)..).unwrap_or_default())
                    .unwrap_or_default();
                self.batch.drain(..taken);
                self.held = self.batch.len();
                self.lost.why = format!("they could not be written: {error}");
            }
            (Err(_), _) => {
                complain(&self.batch).unwrap_or_default();
                self.batch.clear();
            }
        }
        self.batch.shrink_to(BATCH_BYTES);
    }

    /// Begins a new batch, with a word on what found no room in the last one.
    fn wrote_all(&mut self) {
        self.batch.clear();
        self.held = 0;
        let lost = mem::take(&mut self.lost);
        if lost.count > 0 {
            let when = (self.settings.wall)();
            let zoned = when.to_zoned(self.zone.clone());
            self.format(&Entry::of_lost(when, lost.count, &lost.why), &zoned);
            self.write();
        }
    }
}

/// Writes every line with the prefix in front.
fn push_lines(batch: &mut String, prefix: &str, text: &str) {
    for line in text.lines() {
        batch.push_str(prefix);
        batch.push_str(line);
        batch.push('\n');
    }
}

/// Appends to a file that is opened for this only; makes it when there is none.
pub(crate) fn append(path: &Path, text: &str) -> io::Result<()> {
    append_part(path, text).map_err(|(_, error)| error)
}

/// The same; of a text that the file did not take as a whole, how many bytes it took.
fn append_part(path: &Path, text: &str) -> Result<(), (usize, io::Error)> {
    // A log file may be a terminal, which must not become the one that ends the daemon when it hangs up.
    let mut options = OpenOptions::new();
    options.append(true).create(true).custom_flags(OFlag::O_NOCTTY.bits());
    let mut file = options.open(path).map_err(|error| (0, error))?;
    let mut rest = text.as_bytes();
    let taken = |rest: &[u8]| {
        let taken = text.len().saturating_sub(rest.len());
        (0..=taken).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
    };
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(0) => return Err((taken(rest), io::ErrorKind::WriteZero.into())),
            Ok(some) => rest = rest.get(some..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((taken(rest), error)),
        }
    }
    Ok(())
}

pub(super) fn complain(text: &str) -> io::Result<()> {
    io::stderr().lock().write_all(text.as_bytes())
}
