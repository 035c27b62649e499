//! `stop`: asks the daemon to end, and waits until it has.
//!
//! Differs from ldirectord: that does not wait, and a start right after a stop may find the old daemon still there.

use std::{path::Path, thread, time::Duration};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    cli::{exit::Exit, output},
    daemon::{clock::Deadline, pidfile},
};

/// How long the end of a daemon may take. A stop takes milliseconds; ldirectord's own daemon ends its check first.
const LIMIT: Duration = Duration::from_secs(10);

/// How often we look whether it has gone.
const POLL: Duration = Duration::from_millis(20);

/// `stop` for the daemon of this pid file.
pub(super) fn run(pid_file: &Path) -> Exit {
    let pidfile::Instance::Running(pid) = pidfile::look(pid_file) else {
        return Exit::Success;
    };
    match send(pid, Signal::SIGTERM) {
        Ok(()) => {}
        Err(Errno::ESRCH) => return Exit::Success,
        Err(error) => {
            output::complain(format!("cannot stop process {pid}: {error}"));
            return Exit::Failure;
        }
    }
    let deadline = Deadline::within(LIMIT);
    while pidfile::is_daemon(pid) {
        if deadline.passed() {
            output::complain(format!(
                "process {pid} was told to stop and still runs after {} s",
                LIMIT.as_secs()
            ));
            return Exit::Failure;
        }
        thread::sleep(POLL);
    }
    Exit::Success
}

/// Sends a signal to a daemon.
pub(super) fn send(pid: u32, signal: Signal) -> Result<(), Errno> {
    // A number that is no process number, or one of a group, is nobody's.
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0).ok_or(Errno::ESRCH)?;
    kill(Pid::from_raw(pid), signal)
}
