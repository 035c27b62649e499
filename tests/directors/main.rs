//! Two directors, and what stands beside them in production: keepalived, the kernel's sync daemons, csync2.
//!
//! Outside the lab this program runs itself there (`tests/lab/run`). The configurations are those of README.md.

#![allow(unreachable_pub, reason = "nobody uses a test program's modules but itself")]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking, also in their helpers; this is the main function of a test program"
)]

mod failover;
mod machines;
#[path = "../support/namespaces.rs"]
mod namespaces;
#[path = "../support/mod.rs"]
mod support;
mod synchronise;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut trials = failover::trials();
    trials.extend(synchronise::trials());
    support::lab::run(trials)
}
