//! The log where other programs take it over: systemd's journal, a syslog daemon, logrotate, readers of JSON.
//!
//! Outside the lab this program runs itself there (`tests/lab/run`), on this machine's kernel: no trial needs IPVS.
//! journald and the syslog daemon are the real ones of Debian, at their usual places, which are the lab's own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking, also in their helpers; this is the main function of a test program"
)]

mod files;
mod journal;
mod output;
#[path = "../support/site.rs"]
#[expect(dead_code, reason = "other programs use the rest")]
mod site;
#[path = "../support/mod.rs"]
mod support;
mod syslog;

use std::process::ExitCode;

use libtest_mimic::Trial;
use site::{Server, Site};
use support::lab;

fn main() -> ExitCode {
    let trial = |name: &str, run: fn()| Trial::test(name, move || lab::in_thread(run));
    lab::run_on_any_kernel(
        4,
        vec![
            trial("journal", journal::entries_have_fields_and_a_stuck_journald_holds_up_nobody),
            trial("syslog", syslog::a_facility_gets_every_line),
            trial("logrotate create", || files::a_rotated_log_goes_on("create")),
            trial("logrotate copytruncate", || files::a_rotated_log_goes_on("copytruncate")),
            trial("JSON in a file", output::a_file_of_json_is_read_by_others),
            trial("JSON on standard output", output::a_container_speaks_json_on_standard_output),
            trial(
                "standard output in the background",
                output::nobody_reads_a_daemon_in_the_background,
            ),
        ],
    )
}

/// A virtual service with these servers, checked every second; the log goes where `globals` say.
fn configuration(globals: &str, servers: &[&Server]) -> String {
    let reals: String =
        servers.iter().map(|server| format!("\treal={} masq 5\n", server.address())).collect();
    format!(
        "{globals}checkinterval=1\nchecktimeout=1\nfailurecount=2\nvirtual=192.0.2.1:80\n{reals}\tchecktype=connect\n\tprotocol=tcp\n"
    )
}

/// A site whose configuration names its log itself.
fn site(globals: &str, servers: &[&Server]) -> Site {
    let site = Site::new();
    std::fs::write(site.config(), configuration(globals, servers)).unwrap();
    site
}

/// The first object with this `event`.
fn event<'o>(objects: &'o [serde_json::Value], event: &str) -> Option<&'o serde_json::Value> {
    objects.iter().find(|object| object["event"] == event)
}
