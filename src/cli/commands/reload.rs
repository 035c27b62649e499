//! `reload` and `force-reload`: tell the daemon to read its configuration again.

use nix::sys::signal::Signal;

use super::{Call, stop};
use crate::{
    cli::{exit::Exit, output},
    daemon::pidfile,
};

/// `reload`.
pub(super) fn run(call: &Call<'_>) -> Exit {
    let pidfile::Instance::Running(pid) = pidfile::look(&call.instance.pid_file) else {
        let message = format!("ldirectord is stopped for {}", call.instance.config.display());
        tracing::info!("{message}");
        output::complain(message);
        return Exit::Failure;
    };
    match stop::send(pid, Signal::SIGHUP) {
        Ok(()) => Exit::Success,
        Err(error) => {
            output::complain(format!("cannot tell process {pid} to reload: {error}"));
            Exit::Failure
        }
    }
}
