//! What goes wrong around a director, and what becomes of it: one row each in [`WEATHER`].
//!
//! Outside the lab this program runs itself there (`tests/lab/run`), always in a User-Mode Linux: it sets the clock, and
//! fills and locks file systems. `cargo test --test weather -- clock` runs the rows whose name has the word.
//!
//! Rows that need neither stand in `tests/daemon.rs`: a stale pid file, one of another process, a run directory that is
//! missing, two starts at a time, a file with a fault.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking, also in their helpers; this is the main function of a test program"
)]

mod around;
mod files;
mod server;
#[path = "../support/site.rs"]
#[expect(dead_code, reason = "other programs use the rest")]
mod site;
#[path = "../support/mod.rs"]
mod support;
mod time;

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

use support::lab;

/// What happens, what a user expects, and the test of it.
struct Row {
    happens: &'static str,
    expected: &'static str,
    test: fn(),
}

const WEATHER: &[Row] = &[
    Row {
        happens: "the pid file is no file",
        expected: "start says so and names it, status and stop end at once",
        test: files::a_pid_file_that_is_none,
    },
    Row {
        happens: "the run directory is full",
        expected: "start says so and names the pid file",
        test: files::a_full_run_directory,
    },
    Row {
        happens: "the log directory is full",
        expected: "checks go on, and the log has every line when there is room again",
        test: files::a_full_log_directory,
    },
    Row {
        happens: "the log directory is read-only",
        expected: "checks, status and stop go on, and the log has every line when it can be written",
        test: files::a_read_only_log_directory,
    },
    Row {
        happens: "the configuration is deleted while the daemon runs",
        expected: "what was read stays in force, the log says so, stop stops",
        test: files::a_deleted_configuration,
    },
    Row {
        happens: "the mail server accepts and says nothing",
        expected: "checks go on, and the end is not held up",
        test: around::a_mail_server_that_says_nothing,
    },
    Row {
        happens: "a hook never ends",
        expected: "checks go on, the end is not held up and ends the hook",
        test: around::a_hook_that_never_ends,
    },
    Row {
        happens: "signals come in any order and number",
        expected: "each does what it does alone, and the end is in good order",
        test: around::a_storm_of_signals,
    },
    Row {
        happens: "the clock is set back a day, and forward",
        expected: "checks keep their beat; log and mails have the date of their moment",
        test: time::a_clock_that_is_set,
    },
    Row {
        happens: "the process is stopped and goes on, as with a machine that was paused",
        expected: "no check is made up for, and no server that works goes out",
        test: time::a_process_that_stood_still,
    },
];

fn main() -> ExitCode {
    // Elsewhere the clock is the machine's own.
    if std::env::var_os("LDIRECTORD_LAB_KERNEL").is_none_or(|kernel| kernel != "uml") {
        let fault = Command::new(std::env::current_exe().unwrap())
            .args(std::env::args_os().skip(1))
            .env("LDIRECTORD_LAB_KERNEL", "uml")
            .exec();
        panic!("cannot begin once more: {fault}");
    }
    let trial = |row: &'static Row| {
        // Each in a network of its own, so that nobody takes a port whose server is away.
        lab::trial(&format!("{}: {}", row.happens, row.expected), |_| (row.test)())
    };
    lab::run(WEATHER.iter().map(trial).collect())
}
