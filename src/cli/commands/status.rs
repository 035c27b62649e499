//! `status`: says whether the daemon runs. The resource agent matches what is printed.

use super::Call;
use crate::{
    cli::{exit::Exit, output},
    daemon::pidfile,
};

/// `status`.
pub(super) fn run(call: &Call<'_>) -> Exit {
    let config = call.instance.config.display();
    let stopped = format!("ldirectord is stopped for {config}");
    match pidfile::look(&call.instance.pid_file) {
        pidfile::Instance::Running(pid) => {
            let message = running(&config.to_string(), pid);
            tracing::info!("{message}");
            output::complain(message);
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
