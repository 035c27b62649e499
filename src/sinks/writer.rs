//! The thread that writes log lines.
//!
//! In come [`Message`]s, out go lines to a file, standard output, standard error or the system's log.
//! A file is opened, appended to and closed again, so that it can be rotated without a signal; lines that wait together
//! are written together. Nothing that fails here ends the process.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use jiff::{Timestamp, tz::TimeZone};
use nix::fcntl::OFlag;
use tracing::Level;

use super::{
    log::{Author, Destination},
    syslog::Syslog,
    zone,
};
use crate::model::LogTarget;

/// How many bytes are collected before they are written.
const BATCH_BYTES: usize = 64 * 1024;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Message {
    /// Write this.
    Line(Line),
    /// Later lines go there, unless the start said where all go.
    Redirect(LogTarget),
    /// Answer when everything before is written.
    Flush(mpsc::Sender<()>),
}

/// One event.
#[derive(Debug)]
pub(super) struct Line {
    /// When it happened.
    pub(super) when: Timestamp,
    /// How it was marked; shown only to a person who looks for a fault.
    pub(super) level: Level,
    /// What happened; may have several lines.
    pub(super) text: String,
}

/// Starts the thread; it ends when nobody can send any more.
pub(super) fn start(
    messages: mpsc::Receiver<Message>,
    waiting: Arc<AtomicUsize>,
    destination: Destination,
    author: Author,
) -> io::Result<()> {
    let mut writer = Writer {
        way: Way::new(destination, author.pid),
        author,
        zone: zone::local(),
        batch: String::new(),
    };
    thread::Builder::new().name("log".to_owned()).spawn(move || {
        while let Ok(message) = messages.recv() {
            writer.take(message, &waiting);
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
    File(std::path::PathBuf),
    Syslog(Syslog),
    StandardOutput,
    Debug,
}

impl Way {
    fn new(destination: Destination, pid: u32) -> Way {
        match destination {
            Destination::Target(LogTarget::File(path)) => Way::File(path),
            Destination::Target(LogTarget::Syslog(facility)) => {
                Way::Syslog(Syslog::new(&facility, pid))
            }
            Destination::StandardOutput => Way::StandardOutput,
            Destination::Debug => Way::Debug,
        }
    }
}

struct Writer {
    way: Way,
    author: Author,
    zone: TimeZone,
    batch: String,
}

impl Writer {
    fn take(&mut self, message: Message, waiting: &AtomicUsize) {
        match message {
            Message::Line(line) => {
                waiting.fetch_sub(1, Ordering::Relaxed);
                self.format(&line);
            }
            Message::Redirect(target) => {
                self.write();
                // The time zone is asked for again, too: a reload is when an operator expects that.
                self.zone = zone::local();
                if matches!(self.way, Way::File(_) | Way::Syslog(_)) {
                    self.way = Way::new(Destination::Target(target), self.author.pid);
                }
            }
            Message::Flush(done) => {
                self.write();
                // Whoever asked may have stopped waiting.
                done.send(()).unwrap_or_default();
            }
        }
    }

    fn format(&mut self, line: &Line) {
        let when = line.when.to_zoned(self.zone.clone());
        let Writer { way, author, batch, .. } = self;
        let prefix = match way {
            Way::File(_) => {
                format!(
                    "[{}|{}|{}] ",
                    when.strftime("%a %b %e %H:%M:%S %Y"),
                    author.name,
                    author.pid
                )
            }
            Way::StandardOutput => format!("[{}] ", when.strftime("%a %b %e %H:%M:%S %Y")),
            Way::Syslog(syslog) => {
                for text in line.text.lines() {
                    syslog.send(&when, text);
                }
                return;
            }
            Way::Debug => match line.level {
                Level::TRACE => "DEBUG3: ".to_owned(),
                Level::DEBUG => "DEBUG2: ".to_owned(),
                _ => {
                    push_lines(batch, "DEBUG2: ", &line.text);
                    String::new()
                }
            },
        };
        push_lines(batch, &prefix, &line.text);
    }

    fn write(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let written = match &self.way {
            Way::File(path) => append(path, &self.batch),
            Way::StandardOutput => {
                let mut output = io::stdout().lock();
                output.write_all(self.batch.as_bytes()).and_then(|()| output.flush())
            }
            Way::Syslog(_) | Way::Debug => complain(&self.batch),
        };
        if written.is_err() {
            // As ldirectord does: a file that cannot be written does not cost its lines.
            complain(&self.batch).unwrap_or_default();
        }
        self.batch.clear();
        self.batch.shrink_to(BATCH_BYTES);
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
    // A log file may be a terminal, which must not become the one that ends the daemon when it hangs up.
    OpenOptions::new()
        .append(true)
        .create(true)
        .custom_flags(OFlag::O_NOCTTY.bits())
        .open(path)?
        .write_all(text.as_bytes())
}

pub(super) fn complain(text: &str) -> io::Result<()> {
    io::stderr().lock().write_all(text.as_bytes())
}
