//! Mails and webhooks of the real program, at servers that others wrote: postfix, aiosmtpd, Python's http.server.
//!
//! Outside the lab this program runs itself there (`tests/lab/run`), on this machine's kernel: the table is one in memory.
//! `cargo test --test alerts -- webhook` runs those trials whose name has the word.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "tests fail by panicking, also in their helpers; this is the main function of a test program"
)]

mod mail;
mod peers;
mod postfix;
#[path = "../support/site.rs"]
#[expect(dead_code, reason = "other programs use the rest")]
mod site;
mod stall;
#[path = "../support/mod.rs"]
mod support;
mod webhook;

use std::process::ExitCode;

use support::lab;

fn main() -> ExitCode {
    let trials = [mail::TRIALS, webhook::TRIALS, stall::TRIALS, postfix::TRIALS].concat();
    let trials = trials.into_iter().map(|(name, run)| lab::trial(name, run));
    lab::run_on_any_kernel(4, trials.collect())
}
