//! The client against a real kernel, with `ipvsadm` as the judge.
//!
//! Each trial has a network namespace, and hence a table, of its own. `ipvsadm -Sn` must say what we wrote, and we must
//! read what `ipvsadm -R` wrote. Needs root, a kernel with IPVS, and the programs `ipvsadm` and `ip`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the main function of a test program"
)]

mod agreement;
mod batches;
mod refusals;
mod support;
mod traffic;

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::thread;

use ipvs_sys::Client;
use libtest_mimic::{Arguments, Failed, Trial};
use nix::sched::{CloneFlags, unshare};

/// Set by whatever brought this program into a kernel with IPVS: run the trials here.
const INSIDE: &str = "LDIRECTORD_LAB_INSIDE";
/// A program that runs its arguments in such a kernel.
const RUNNER: &str = "LDIRECTORD_LAB_RUN";
/// Set for a copy of this program that only tries to read the table.
pub(crate) const PROBE: &str = "IPVS_SYS_PROBE";

fn main() -> ExitCode {
    if std::env::var_os(PROBE).is_some() {
        return probe();
    }
    let arguments = Arguments::from_args();
    if !arguments.list
        && let Err(sentence) = enter_lab()
    {
        eprintln!("{sentence}");
        return ExitCode::FAILURE;
    }
    let trials: [(&str, fn()); _] = [
        ("info_and_timeouts", agreement::info_and_timeouts),
        ("every_scheduler", agreement::every_scheduler),
        ("every_flag", agreement::every_flag),
        ("every_kind_of_service", agreement::every_kind_of_service),
        ("every_kind_of_destination", agreement::every_kind_of_destination),
        ("reads_and_rewrites_what_ipvsadm_wrote", agreement::reads_and_rewrites_what_ipvsadm_wrote),
        ("changes_and_deletes", agreement::changes_and_deletes),
        ("service_read_from_the_kernel_can_be_written_again", agreement::written_again),
        ("odd_things_can_be_read_and_written", agreement::odd_things),
        ("kernel_keeps_every_setting", agreement::kernel_keeps_every_setting),
        ("refusals_of_services", refusals::refusals_of_services),
        ("refusals_of_destinations", refusals::refusals_of_destinations),
        ("invalid_requests_are_not_sent", refusals::invalid_requests_are_not_sent),
        ("failures_of_a_batch_go_to_their_requests", batches::failures_of_a_batch),
        ("overflow_loses_no_change_and_hangs_nowhere", batches::overflow),
        ("large_tables", batches::large_tables),
        ("dumps_while_the_table_changes", batches::dumps_while_the_table_changes),
        ("sync_daemons", traffic::sync_daemons),
        ("counts_connections_and_zeroes", traffic::counts_connections_and_zeroes),
        ("without_privilege", traffic::without_privilege),
    ];
    let trials = trials.map(|(name, run)| Trial::test(name, move || in_own_namespace(run)));
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

/// Makes sure that there is a kernel with IPVS under the trials.
fn enter_lab() -> Result<(), String> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    let Some(runner) = std::env::var_os(RUNNER) else {
        return Err(format!(
            "the kernel trials need a kernel with IPVS: set {INSIDE}=1 to run them on this one (as root, in network \
             namespaces of their own), or {RUNNER} to a program that runs its arguments in another"
        ));
    };
    let this =
        std::env::current_exe().map_err(|fault| format!("cannot find this program: {fault}"))?;
    let fault = Command::new(&runner).arg(this).args(std::env::args_os().skip(1)).exec();
    Err(format!("cannot run {}: {fault}", runner.display()))
}

fn in_own_namespace(run: fn()) -> Result<(), Failed> {
    let trial = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("root may make a network namespace");
        support::command("ip", &["link", "set", "lo", "up"]);
        run();
    });
    trial.join().map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_default()
            .into()
    })
}

/// The whole program, when it is run without privilege.
fn probe() -> ExitCode {
    match Client::open().and_then(|mut client| client.services()) {
        Ok(services) => println!("{} services", services.len()),
        Err(fault) => println!("{fault:#}"),
    }
    ExitCode::SUCCESS
}
