//! Trials on a real IPVS kernel, each in a network namespace, and hence with a table, of its own.
//!
//! Outside the lab this program runs itself there (`tests/lab/run`); the trials need what the lab has: root, a kernel
//! with IPVS, `ipvsadm` and `ip`. Without a lab they fail; there is no way to skip them unseen.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests fail by panicking, also in their helpers; this is the main function of a test program"
)]

mod conformance;
mod table;

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, ExitCode},
    thread,
};

use libtest_mimic::{Arguments, Failed, Trial};
use nix::sched::{CloneFlags, unshare};

/// The lab sets it for what runs inside.
const INSIDE: &str = "LDIRECTORD_LAB_INSIDE";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if std::env::var_os(INSIDE).is_none() && !arguments.list {
        return enter_lab();
    }
    let trials = [table::TRIALS].concat().into_iter();
    let trials = trials.map(|(name, run)| {
        Trial::test(name, move || match table::denied() {
            Some(denied) => in_thread(denied),
            None => in_own_namespace(run),
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// Runs this program, with its arguments, in the lab in place of this process.
fn enter_lab() -> ExitCode {
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/run");
    let this = std::env::current_exe().unwrap();
    let fault = Command::new(&run).arg("--").arg(this).args(std::env::args_os().skip(1)).exec();
    eprintln!("cannot run {}: {fault}", run.display());
    ExitCode::FAILURE
}

fn in_own_namespace(run: fn()) -> Result<(), Failed> {
    in_thread(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        // Without any route the kernel takes every address for a broadcast address.
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
        assert!(up.success());
        run();
    })
}

/// In a thread of its own, because a network namespace is a thread's.
fn in_thread(run: impl FnOnce() + Send + 'static) -> Result<(), Failed> {
    thread::spawn(run).join().map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_default()
            .into()
    })
}
