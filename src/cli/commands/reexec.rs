//! `reexec`: a new daemon takes the kernel's table over from one that runs, as `systemctl restart` does for its units.
//!
//! For an upgrade without a service manager: the new daemon is of the program that is called, the old one may be of a file
//! that was replaced since. The old one ends only when the configuration can be followed.

use nix::sys::signal::Signal;

use super::{Call, start, stop};
use crate::{
    cli::{exit::Exit, output},
    daemon::{
        pidfile::{self, Keeper},
        watch::Seen,
    },
    model::Desired,
    sinks::log::Log,
};

/// `reexec`.
pub(super) fn run(call: &Call<'_>, desired: Desired, seen: Seen, log: &Log) -> Exit {
    let config = call.instance.config.display();
    let pidfile::Instance::Running(pid) = pidfile::look(&call.instance.pid_file) else {
        let message = format!("ldirectord is stopped for {config}");
        tracing::info!("{message}");
        output::complain(format!(
            "{message}\nhint: ldirectord start takes over what is in the kernel"
        ));
        return Exit::Failure;
    };
    // Each would take the end for a failure, and start or stop another daemon.
    let kept = match pidfile::keeper(pid) {
        Some(Keeper::Unit(unit)) => Some(format!(
            "it is of {unit}\nhint: systemctl restart {unit} does the same, and interrupts nothing"
        )),
        Some(Keeper::Caller) => Some(
            "who started it with --foreground waits for its end\n\
             hint: end it there with the signal USR2 and start it again; for a unit, systemctl restart does that"
                .to_owned(),
        ),
        None => None,
    };
    if let Some(kept) = kept {
        output::complain(format!("process {pid} is not replaced: {kept}"));
        return Exit::Failure;
    }
    match stop::end(&call.instance.pid_file, Signal::SIGUSR2) {
        Exit::Success => {}
        failed => return failed,
    }
    let exit = start::launch(call, desired, seen, log);
    if exit != Exit::Success {
        output::complain(
            "the kernel's table is as the old daemon left it, and nobody directs it\n\
             hint: put right what was told, then ldirectord start takes it over",
        );
    }
    exit
}
