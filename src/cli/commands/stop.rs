//! `stop`: asks the daemon to end, and waits until it has.
//!
//! Differs from ldirectord: that does not wait, and a start right after a stop may find the old daemon still there.

use std::{thread, time::Duration};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::Call;
use crate::{
    cli::{exit::Exit, output},
    daemon::{clock::Deadline, pidfile},
};

/// How long the end of a daemon may take. A stop takes milliseconds; ldirectord's own daemon ends its check first.
const LIMIT: Duration = Duration::from_secs(10);

/// How often we look whether it has gone.
const POLL: Duration = Duration::from_millis(20);

/// `stop`.
pub(super) fn run(call: &Call<'_>) -> Exit {
    end(call, Signal::SIGTERM)
}

/// Ends the daemon with this signal, if there is one, and waits until it has gone.
pub(super) fn end(call: &Call<'_>, signal: Signal) -> Exit {
    let path = &call.instance.pid_file;
    let pidfile::Instance::Running(pid) = pidfile::look(path) else {
        return Exit::Success;
    };
    match send(pid, signal) {
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
    // Most daemons remove it themselves, and who may not need not.
    pidfile::remove_empty(path).unwrap_or_default();
    Exit::Success
}

/// Sends a signal to a daemon.
pub(super) fn send(pid: u32, signal: Signal) -> Result<(), Errno> {
    // A number that is no process number, or one of a group, is nobody's.
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0).ok_or(Errno::ESRCH)?;
    kill(Pid::from_raw(pid), signal)
}
