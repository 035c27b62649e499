//! Trials on a real IPVS kernel, each in a network namespace, and hence with a table, of its own.
//!
//! Outside the lab this program runs itself there (`tests/lab/run`). Without a lab it fails; there is no way to skip
//! a trial unseen. `cargo test --test kernel -- table` runs those whose name has the word.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests fail by panicking, also in their helpers; this is the main function of a test program"
)]

mod agent;
mod callers;
mod conformance;
mod listing;
mod manual;
mod privileges;
mod restart;
mod smoke;
#[path = "../support/mod.rs"]
mod support;
mod sync;
mod systemd;
mod table;
mod tls;
mod tunnels;

use std::process::ExitCode;

use libtest_mimic::Trial;
use support::lab;

fn main() -> ExitCode {
    let mut trials = smoke::trials();
    let tables = table::TRIALS.iter().chain(tunnels::TRIALS);
    trials.extend(tables.map(|&(name, run)| match table::denied() {
        Some(denied) => Trial::test(name, move || lab::in_thread(denied)),
        None => lab::trial(name, move |_| run()),
    }));
    trials.extend(agent::trials());
    trials.extend(tls::trials());
    trials.extend(listing::trials());
    trials.extend(manual::trials());
    trials.extend(restart::trials());
    trials.extend(sync::trials());
    trials.extend(callers::trials());
    trials.extend(privileges::trials());
    trials.extend(systemd::trials());
    lab::run(trials)
}
