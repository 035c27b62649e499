//! The client against a real kernel, with `ipvsadm` as the judge.
//!
//! Each trial has a network namespace, and hence a table, of its own. `ipvsadm -Sn` must say what we wrote, and we must
//! read what `ipvsadm -R` wrote. Outside the lab this program runs itself there.

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
#[path = "../../../tests/support/lab.rs"]
mod lab;
mod refusals;
mod support;
mod traffic;

use std::process::ExitCode;

use ipvs_sys::Client;

/// Set for a copy of this program that only tries to read the table.
pub(crate) const PROBE: &str = "IPVS_SYS_PROBE";

fn main() -> ExitCode {
    if std::env::var_os(PROBE).is_some() {
        return probe();
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
    lab::run(trials.map(|(name, run)| lab::trial(name, move |_| run())).into())
}

/// The whole program, when it is run without privilege.
fn probe() -> ExitCode {
    match Client::open().and_then(|mut client| client.services()) {
        Ok(services) => println!("{} services", services.len()),
        Err(fault) => println!("{fault:#}"),
    }
    ExitCode::SUCCESS
}
