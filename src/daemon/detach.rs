//! From a command in a terminal to a daemon: two processes of the same program.
//!
//! The first starts itself again with the same words, so that `ps` shows `BIN CONFIG start` as the resource agent
//! expects, and waits until the second says that it serves; what the second has to say on standard error before that
//! goes straight to the terminal. Thus `start` answers 0 only when `status` would say running.
//!
//! Differs from ldirectord: it forks twice and the first process leaves at once. Starting a program needs no `unsafe`,
//! forking does.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    path::Path,
    process::{Command, Stdio},
};

use nix::{
    sys::{prctl, signal::Signal},
    unistd,
};

/// The environment variable that tells the second process what it is: the first one's process number.
///
/// A program that the daemon starts may inherit it, and it means nothing there: its parent is another.
pub const MARK: &str = "LDIRECTORD_STARTED_BY";

/// Keeps glibc from holding on to what a start or reload needed for a moment: a fifth of the daemon's memory with
/// 10,000 servers. The number is glibc's own, which it otherwise raises as it sees fit; in programs that the daemon
/// starts it changes nothing else.
const HEAP: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "131072");

/// What the second process says when it serves.
const READY: &str = "ready\n";

/// Whether this is the second process.
pub fn is_second() -> bool {
    env::var(MARK).is_ok_and(|first| first == unistd::getppid().to_string())
}

/// In the second process, first thing: has it end with the first as long as that waits.
///
/// A start that was given up, by a person or by a resource agent whose patience ended, must not come true later.
pub fn end_with_first() -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGTERM)?;
    // It may have ended before it was watched.
    if is_second() { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
}

/// How the second process fared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It serves.
    Serves,
    /// It ended with this code and has said why.
    Ended(u8),
    /// It was ended by this signal.
    Killed(i32),
}

/// Starts the second process with these words and waits until it serves or has ended.
pub fn start_second(program: &OsStr, arguments: &[OsString]) -> io::Result<Outcome> {
    let mut second = Command::new("/proc/self/exe")
        .arg0(program)
        .args(arguments)
        .env(MARK, std::process::id().to_string())
        .env(HEAP.0, env::var_os(HEAP.0).unwrap_or_else(|| HEAP.1.into()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = String::new();
    if let Some(output) = second.stdout.take() {
        BufReader::new(output.take(64)).read_line(&mut said)?;
    }
    if said == READY {
        return Ok(Outcome::Serves);
    }
    let status = second.wait()?;
    Ok(match status.code() {
        Some(code) => Outcome::Ended(u8::try_from(code).unwrap_or(1)),
        None => Outcome::Killed(status.signal().unwrap_or_default()),
    })
}

/// In the second process: leaves the terminal and the directory.
pub fn leave() -> io::Result<()> {
    unistd::setsid()?;
    env::set_current_dir(Path::new("/"))
}

/// In the second process: tells the first that it may go, and lets go of its terminal.
pub(super) fn say_ready() -> io::Result<()> {
    // When the first hears of it, nothing here holds its terminal any more.
    let mut first = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let nowhere = File::options().read(true).write(true).open("/dev/null")?;
    unistd::dup2_stdin(&nowhere)?;
    unistd::dup2_stdout(&nowhere)?;
    unistd::dup2_stderr(&nowhere)?;
    prctl::set_pdeathsig(None)?;
    // It may have been killed in the meantime; that is its own business.
    first.write_all(READY.as_bytes()).unwrap_or_default();
    Ok(())
}
