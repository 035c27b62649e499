//! A process of ours under way: in a process group of its own, heard, ended as a whole, and reaped.
//!
//! In go a command and a slot that bounds how many there are, out come its status and the beginning of what it wrote.
//! Dropped before its end, the whole group is told to end (TERM) and a little later killed.

use std::{
    io,
    os::fd::OwnedFd,
    pin::pin,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, killpg},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};
use tokio::{
    io::AsyncReadExt,
    net::{UnixStream, unix::pipe},
    process::{Child, Command},
    runtime::Handle,
    sync::OwnedSemaphorePermit,
    task::spawn_blocking,
    time::sleep,
};

use crate::model::NOT_INHERITED;

/// How much of what a process writes is kept, in bytes.
pub(super) const KEPT: usize = 4 * 1024;

/// How long a process may take to end after it was told to.
const GRACE: Duration = Duration::from_millis(500);

/// How many pieces of [`KEPT`] bytes a pipe holds.
const PIECES: usize = 16;

/// A process under way. Dropped before its end, it and its group are ended.
#[derive(Debug)]
pub struct Running {
    alive: Option<Alive>,
    /// What it writes.
    pub output: Output,
}

/// A child that has not been reaped, so that its number and its group's cannot be anybody else's.
#[derive(Debug)]
struct Alive {
    child: Child,
    group: Group,
    slot: Option<OwnedSemaphorePermit>,
}

impl Running {
    /// Starts a process that keeps this slot until it is gone.
    pub fn start(
        command: &mut Command,
        input: Stdio,
        slot: OwnedSemaphorePermit,
    ) -> io::Result<Running> {
        let (reader, writer) = io::pipe()?;
        let pipe = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
        for variable in NOT_INHERITED {
            command.env_remove(variable);
        }
        command
            .stdin(input)
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let alive = Some(Alive { child, group: Group(group), slot: Some(slot) });
        Ok(Running {
            alive,
            output: Output { pipe, is_open: true, kept: Vec::new(), is_cut: false },
        })
    }

    /// The same of one whose standard input is a socket, the other end of which is returned.
    pub(super) fn with_socket(
        command: &mut Command,
        slot: OwnedSemaphorePermit,
    ) -> io::Result<(Running, UnixStream)> {
        let (socket, theirs) = UnixStream::pair()?;
        let theirs = theirs.into_std()?;
        theirs.set_nonblocking(false)?;
        command.current_dir("/");
        Ok((Running::start(command, OwnedFd::from(theirs).into(), slot)?, socket))
    }

    /// Whether it has not ended. Once it has, it is reaped, and what it left is let live.
    pub(super) fn is_alive(&mut self) -> bool {
        let Some(alive) = &mut self.alive else { return false };
        if matches!(alive.child.try_wait(), Ok(None)) {
            return true;
        }
        alive.group.0 = None;
        self.alive = None;
        false
    }

    /// Gives the slot back, to wait without one.
    pub(super) fn vacate(&mut self) -> Option<OwnedSemaphorePermit> {
        self.alive.as_mut()?.slot.take()
    }

    /// Takes a slot again.
    pub(super) fn occupy(&mut self, slot: OwnedSemaphorePermit) {
        if let Some(alive) = &mut self.alive {
            alive.slot = Some(slot);
        }
    }

    /// Waits for the end, and ends what is left of the group.
    pub(super) async fn finish_all(&mut self) -> io::Result<ExitStatus> {
        if let Some(Alive { group: Group(Some(leader)), .. }) = &self.alive {
            let leader = *leader;
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            // Not reaped, so that the number of the group is still its own.
            spawn_blocking(move || waitid(Id::Pid(leader), flags)).await??;
        }
        if let Some(Alive { group, .. }) = &self.alive {
            group.send(Signal::SIGKILL);
        }
        self.finish().await
    }

    /// Waits for the end, reading what the process writes, so that it never waits for us.
    pub async fn finish(&mut self) -> io::Result<ExitStatus> {
        let Some(Alive { child, group, .. }) = &mut self.alive else {
            return Err(Errno::ECHILD.into());
        };
        let status = self.output.hear_during(child.wait()).await?;
        // Reaped: from here on its number may become somebody else's.
        group.0 = None;
        self.alive = None;
        Ok(status)
    }
}

/// What a process writes.
#[derive(Debug)]
pub struct Output {
    pipe: pipe::Receiver,
    is_open: bool,
    kept: Vec<u8>,
    /// Whether there was more.
    is_cut: bool,
}

impl Output {
    /// The beginning of what it has written.
    pub fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// Whether it has written more than what is kept.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Reads on for as long as what the process left running has the pipe open, so that it may write there.
    pub async fn drain(&mut self) {
        let mut piece = [0; KEPT];
        while self.is_open {
            self.is_open = matches!(self.pipe.read(&mut piece).await, Ok(1..));
        }
    }

    /// Reads what is written while this goes on, and what was written when it ends.
    pub(super) async fn hear_during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut piece = [0; KEPT];
        let done = loop {
            tokio::select! {
                biased;
                done = &mut work => break done,
                read = self.pipe.read(&mut piece), if self.is_open => match read {
                    Ok(count @ 1..) => self.keep(piece.get(..count).unwrap_or_default()),
                    Ok(0) | Err(_) => self.is_open = false,
                },
            }
        };
        self.catch_up();
        done
    }

    /// Reads what is there, of which a process that was left behind may make more at any time. Not through the runtime,
    /// which may not know of it yet.
    fn catch_up(&mut self) {
        let mut piece = [0; KEPT];
        for _ in 0..PIECES {
            match nix::unistd::read(&self.pipe, &mut piece) {
                Ok(count @ 1..) => self.keep(piece.get(..count).unwrap_or_default()),
                Ok(0) | Err(_) => break,
            }
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = KEPT.saturating_sub(self.kept.len());
        self.is_cut |= piece.len() > room;
        self.kept.extend(piece.iter().take(room));
    }

    /// What was written until now is of no interest.
    pub(super) fn forget(&mut self) {
        self.catch_up();
        self.kept.clear();
        self.is_cut = false;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(Alive { mut child, group, slot }) = self.alive.take() else { return };
        group.send(Signal::SIGTERM);
        // Without a runtime the group is killed at once, by the drop of its parts.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                sleep(GRACE).await;
                drop(group);
                // Reaps it; the status is of no interest any more.
                drop(child.wait().await);
                drop(slot);
            });
        }
    }
}

/// A process group whose leader has not been reaped; killed when dropped.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    fn send(&self, signal: Signal) {
        if let Some(group) = self.0 {
            match killpg(group, signal) {
                // It fails when nothing of the group is left, which is what is wanted.
                Ok(()) | Err(_) => {}
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.send(Signal::SIGKILL);
    }
}
