//! What `make deb` and `make rpm` make: into what roots it goes, what it does there, and what is left when it goes.
//!
//! Outside the lab this program makes both packages ([`made`]). Then it runs itself in the lab, which is a Debian with
//! Debian's ldirectord. Each trial has the lab's root for itself, under a layer of its own ([`root`]).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking, also in their helpers; this is the main function of a test program"
)]

mod debian;
mod goods;
mod made;
mod root;
mod rpm;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;

use support::lab;

fn main() -> ExitCode {
    made::make(&["deb", "rpm"]);
    let mut trials = debian::trials();
    trials.extend(goods::trials());
    trials.extend(rpm::trials());
    lab::run_on_any_kernel(4, trials)
}
