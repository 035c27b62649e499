//! `stop`: asks the daemon to end, and waits until it has.
//!
//! Differs from ldirectord: that does not wait, and a start right after a stop may find the old daemon still there.

use std::{path::Path, thread, time::Duration};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::Call;
use crate::{
    cli::{exit::Exit, output},
    control::server,
    daemon::{
        clock::Deadline,
        load::{self, Purpose},
        pidfile::{self, PidFile},
    },
    ipvs::{Job, KernelErrorKind},
};

/// How long the end of a daemon may take. A stop takes milliseconds; ldirectord's own daemon ends its check first.
const LIMIT: Duration = Duration::from_secs(10);

/// How often we look whether it has gone.
const POLL: Duration = Duration::from_millis(20);

/// `stop`.
pub(super) fn stop(call: &Call<'_>) -> Exit {
    match pidfile::look(&call.instance.pid_file) {
        pidfile::Instance::Stale => tidy_up(call),
        pidfile::Instance::Running(_) | pidfile::Instance::Stopped => {
            let exit = run(&call.instance.pid_file);
            // A daemon that is not root cannot remove it.
            server::remove_dead(&call.places.socket(&call.instance.name)).unwrap_or_default();
            exit
        }
    }
}

/// Does what a daemon that was killed could not do: its services leave the kernel, and the pid file goes.
///
/// Differs from ldirectord: there both stay. A cluster moves the director to another node after this, and a node that
/// is a real server of the same services must not go on to direct them.
fn tidy_up(call: &Call<'_>) -> Exit {
    // Whoever starts at this moment has it.
    let Ok(pid_file) = PidFile::claim(&call.instance.pid_file) else { return Exit::Success };
    // Read again, because services may have the names of hosts for their addresses.
    let read = load::load(&call.instance.config, Purpose::Examine);
    let Some(desired) = read.ok().and_then(|reading| reading.desired) else {
        output::complain(
            "what the killed daemon directed stays in the kernel: a name is not found\n\
             hint: stop again when the name servers answer",
        );
        return Exit::Success;
    };
    let leaving = desired.services.iter().filter(|service| service.clean_stop);
    let services = leaving.map(|service| service.key).collect();
    let process = &desired.process;
    let sync = process.sync.keys().filter(|_| process.clean_stop).copied().collect();
    let mut exit = Exit::Success;
    for (op, result) in call.request.table.open().run(&Job::Delete { services, sync }).done {
        match result {
            Ok(()) => {
                tracing::info!("Purged virtual server (stop): {}", op.service().plain());
            }
            // Where there is no IPVS, no service was left behind.
            Err(error) if error.kind == KernelErrorKind::Unsupported => {}
            Err(error) => {
                output::complain(&error);
                tracing::error!("{error}");
                exit = Exit::Failure;
            }
        }
    }
    if exit == Exit::Success
        && let Err(error) = pid_file.remove()
    {
        output::complain(format!("cannot remove the pid file: {error}"));
    }
    exit
}

/// Ends the daemon of this pid file, if one runs.
pub(super) fn run(pid_file: &Path) -> Exit {
    end(pid_file, Signal::SIGTERM)
}

/// The same with this signal; waits until it has gone.
pub(super) fn end(pid_file: &Path, signal: Signal) -> Exit {
    let pidfile::Instance::Running(pid) = pidfile::look(pid_file) else {
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
    pidfile::remove_empty(pid_file).unwrap_or_default();
    Exit::Success
}

/// Sends a signal to a daemon.
pub(super) fn send(pid: u32, signal: Signal) -> Result<(), Errno> {
    // A number that is no process number, or one of a group, is nobody's.
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0).ok_or(Errno::ESRCH)?;
    kill(Pid::from_raw(pid), signal)
}
