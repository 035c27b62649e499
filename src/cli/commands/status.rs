//! `status`: says whether the daemon runs. The resource agent matches what is printed.

use std::{io, process::Command, thread, time::Duration};

use super::Call;
use crate::{
    cli::{exit::Exit, output},
    daemon::{children, clock::Deadline, pidfile},
    model::NOT_INHERITED,
};

/// How long the daemon of another configuration may be asked for.
const LIMIT: Duration = Duration::from_secs(5);

/// How often we look whether that has been done.
const POLL: Duration = Duration::from_millis(1);

/// `status`.
pub(super) fn run(call: &Call<'_>, execute: &[String]) -> Exit {
    let config = call.instance.config.display();
    let stopped = format!("ldirectord is stopped for {config}");
    match pidfile::look(&call.instance.pid_file) {
        pidfile::Instance::Running(pid) => {
            let message = running(&config.to_string(), pid);
            tracing::info!("{message}");
            output::complain(message);
            for name in execute {
                if let Err(error) = ask(call, name) {
                    output::complain(format!("cannot ask for the status of {name}: {error}"));
                }
            }
            Exit::Success
        }
        pidfile::Instance::Stale => {
            let message = format!(
                "ldirectord stale pid file {} for {config}",
                call.instance.pid_file.display()
            );
            tracing::info!("{message}");
            output::complain(message);
            tracing::info!("{stopped}");
            output::out(stopped);
            Exit::Failure
        }
        pidfile::Instance::Stopped => {
            tracing::info!("{stopped}");
            output::out(stopped);
            Exit::NotRunning
        }
    }
}

/// What is said of a daemon that runs.
pub(super) fn running(config: &str, pid: u32) -> String {
    format!("ldirectord for {config} is running with pid: {pid}")
}

/// Has the status of another configuration's daemon printed. What it is does not matter to ours.
fn ask(call: &Call<'_>, name: &str) -> io::Result<()> {
    let mut program = Command::new(call.path_of_program());
    for variable in NOT_INHERITED {
        program.env_remove(variable);
    }
    let mut child = program.args(children::arguments(name, "status")).spawn()?;
    let deadline = Deadline::within(LIMIT);
    while child.try_wait()?.is_none() {
        if deadline.passed() {
            child.kill()?;
            child.wait()?;
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::sleep(POLL);
    }
    Ok(())
}
