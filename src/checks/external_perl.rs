//! `checktype=external-perl`: the server works when a Perl program ends with status 0.
//!
//! A perl is kept for each program: it has compiled the program, and for each check it forks a child that runs it, with
//! the same four arguments as those of `checktype=external` in `@ARGV` and `@_`. So a check costs a fork, and neither
//! the start of perl nor the modules of the program; and whatever the program does, `exit`, crash, leak, it does to
//! itself. Checks that overlap have a perl each, up to [`AT_ONCE`]; further ones wait for one, which does not count as
//! their time.
//!
//! A perl whose check hangs is ended with all that it has started, as that of `checktype=external`; one that dies is
//! replaced, as is one whose file was changed. It ends by itself when we do.
//!
//! Differs from ldirectord: an edited file is followed at the next check, and what a check sets is gone at the next;
//! `return` outside a sub is a fault of the program; what it writes is told when it fails.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    process::Command,
    sync::{Mutex, OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout,
};

use super::{
    child::Running,
    external::{cannot_run, judge, with_output},
    failure,
};
use crate::model::{Failure, Reason, Verdict};

/// How many perls there are at most.
const AT_ONCE: usize = 8;

/// What perl does before the program.
const DRIVER: &str = include_str!("external_perl.pl");

/// Keeps perls.
#[derive(Debug)]
pub(super) struct Perls {
    slots: Arc<Semaphore>,
    /// Those that wait for a check, the latest last.
    idle: Mutex<VecDeque<Perl>>,
}

impl Default for Perls {
    fn default() -> Perls {
        Perls { slots: Arc::new(Semaphore::new(AT_ONCE)), idle: Mutex::default() }
    }
}

impl Perls {
    /// Runs a program of Perl. Waiting for others to end does not count as its time.
    pub(super) async fn run(
        &self,
        program: &Path,
        arguments: &[OsString],
        allowed: Duration,
    ) -> Verdict {
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(|error| failure(Reason::Internal, error.to_string()))?;
        let mut perl = None;
        let checking = async {
            let perl = perl.insert(self.perl(program, slot).await?);
            perl.check(program, arguments).await
        };
        let ended = timeout(allowed, checking).await;
        let output = || perl.as_ref().map(|perl| perl.running.output.kept()).unwrap_or_default();
        match ended {
            Ok(Ok(status)) => {
                let verdict = judge(status, output());
                if let Some(perl) = perl {
                    self.keep(perl).await;
                }
                verdict
            }
            Ok(Err(fault)) => Err(fault),
            Err(_elapsed) => {
                let detail = format!("{} did not end within {allowed:?}", program.display());
                Err(failure(Reason::Timeout, with_output(&detail, output())))
            }
        }
    }

    /// A perl that has this program as it is now.
    async fn perl(&self, program: &Path, slot: OwnedSemaphorePermit) -> Result<Perl, Failure> {
        let path = program.to_owned();
        let version = spawn_blocking(move || Version::of(path))
            .await
            .map_err(|error| failure(Reason::Internal, error.to_string()))?
            .map_err(|error| cannot_run(program, &error))?;
        let mut idle = self.idle.lock().await;
        idle.retain_mut(|perl| {
            let is_old = perl.version.program == version.program && perl.version != version;
            !is_old && perl.running.is_alive()
        });
        if let Some(index) = idle.iter().rposition(|perl| perl.version == version)
            && let Some(mut perl) = idle.remove(index)
        {
            perl.running.occupy(slot);
            return Ok(perl);
        }
        // With those that are at work there are to be no more than there are slots.
        while idle.len() > self.slots.available_permits() {
            idle.pop_front();
        }
        drop(idle);
        Perl::start(version, slot)
    }

    async fn keep(&self, mut perl: Perl) {
        let mut idle = self.idle.lock().await;
        let slot = perl.running.vacate();
        idle.push_back(perl);
        drop(slot);
    }
}

/// A program as its file was when it was looked at.
#[derive(PartialEq, Eq, Debug)]
struct Version {
    program: PathBuf,
    inode: (u64, u64),
    size: u64,
    changed: (i64, i64),
}

impl Version {
    fn of(program: PathBuf) -> io::Result<Version> {
        let found = fs::metadata(&program)?;
        if !found.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        Ok(Version {
            program,
            inode: (found.dev(), found.ino()),
            size: found.size(),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

/// A perl that has compiled a program, or is about to.
#[derive(Debug)]
struct Perl {
    version: Version,
    running: Running,
    socket: UnixStream,
    has_checked: bool,
}

impl Perl {
    fn start(version: Version, slot: OwnedSemaphorePermit) -> Result<Perl, Failure> {
        let lines = DRIVER.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let mut command = Command::new("perl");
        command
            .arg(format!("-M{}", lines.collect::<Vec<_>>().join(" ")))
            .arg("--")
            .arg(&version.program);
        let started = Running::with_socket(&mut command, slot);
        let (running, socket) = started.map_err(|error| {
            let mut fault = cannot_run(Path::new("perl"), &error);
            fault.detail.push_str("; checktype=external-perl needs it in PATH");
            fault
        })?;
        Ok(Perl { version, running, socket, has_checked: false })
    }

    /// Has the program run once.
    async fn check(
        &mut self,
        program: &Path,
        arguments: &[OsString],
    ) -> Result<ExitStatus, Failure> {
        let Perl { running, socket, .. } = self;
        if self.has_checked {
            running.output.forget();
        }
        if let Ok(status) = running.output.hear_during(ask(socket, arguments)).await {
            self.has_checked = true;
            return Ok(ExitStatus::from_raw(i32::from(status)));
        }
        let status = running.finish_all().await.map_err(|error| cannot_run(program, &error))?;
        let detail = format!("perl ended before {} did ({status})", program.display());
        Err(failure(Reason::Command, with_output(&detail, running.output.kept())))
    }
}

/// Sends a request and receives the answer.
async fn ask(socket: &mut UnixStream, arguments: &[OsString]) -> io::Result<u16> {
    let prefixed = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        Ok::<_, io::Error>([&length.to_be_bytes(), bytes].concat())
    };
    let parts: Vec<Vec<u8>> =
        arguments.iter().map(|argument| prefixed(argument.as_bytes())).collect::<Result<_, _>>()?;
    socket.write_all(&prefixed(&parts.concat())?).await?;
    socket.read_u16().await
}

#[cfg(test)]
mod tests;
