//! Processor time of one check of each protocol.
//!
//! In: the daemon's program. Scripted servers on loopback answer it, each protocol in turn, and count the checks; the kernel
//! counts the time (user and system, of the daemon alone). Out: a table, with the ratio to the check of http and to the
//! least program that could check web servers, of the same run. Before a protocol is measured one check must pass.

mod script;

use std::env;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use ldirectord::checks::{Checker, catalogue};
use ldirectord::config::{self, File, World};
use ldirectord::model::Stage;

use self::script::{Server, Subject, Way};
use crate::language::Nothing;
use crate::process::Running;
use crate::{Problem, head, load, print};

/// Real servers, each checked once a second.
const COUNT: u32 = 1000;

/// How long each is measured.
const SPAN: Duration = Duration::from_secs(5);

/// How long a protocol may take until each server was checked once.
const PATIENCE: Duration = Duration::from_secs(60);

/// All protocols of the table.
pub(crate) fn measure(program: &Path) -> Result<(), Problem> {
    load::claim_addresses()?;
    head(&format!(
        "Processor time of one check, {COUNT} checks a second for {} s each",
        SPAN.as_secs()
    ));
    let http = script::SUBJECTS.first().ok_or("there is no protocol")?;
    let floor = one(http, || {
        Running::start(Command::new(env::current_exe()?).args(["least-client", &COUNT.to_string()]))
    })?;
    print("the least loop (one poll, no verdicts)", &microseconds(floor), "");
    let mut first = None;
    let mut costs = Vec::new();
    for subject in script::SUBJECTS {
        passes(subject)?;
        let cost =
            one(subject, || Running::daemon(program, "memory", &configuration(subject, COUNT)))?;
        let of_http = ratio(cost, *first.get_or_insert(cost));
        let remark = format!("{of_http:.2} times http, {:.2} times the least", ratio(cost, floor));
        print(subject.name, &microseconds(cost), &remark);
        costs.push((subject.name, cost));
    }
    let cost = |name: &str| costs.iter().find(|(known, _)| *known == name).map(|(_, cost)| *cost);
    for (name, other) in [
        (script::HTTP_KEPT, script::HTTP),
        (script::HTTPS_RESUMED, script::HTTPS),
        (script::HTTPS_KEPT, script::HTTPS_RESUMED),
    ] {
        if let (Some(one), Some(another)) = (cost(name), cost(other)) {
            let verdict = if one < another { "less, as it should" } else { "NOT LESS" };
            print(&format!("{name} : {other}"), &format!("{:.2}", ratio(one, another)), verdict);
        }
    }
    Ok(())
}

fn configuration(subject: &Subject, count: u32) -> String {
    let text = load::configuration(count, "checkinterval=1\nnegotiatetimeout=5", subject.lines);
    match subject.way {
        Way::Udp => text.replace("protocol=tcp", "protocol=udp"),
        Way::Tcp | Way::Tls => text,
    }
}

/// A check that fails costs something else.
fn passes(subject: &'static Subject) -> Result<(), Problem> {
    let server = Server::start(subject)?;
    let catalogue = catalogue();
    let world = World {
        names: &Nothing,
        files: &Nothing,
        protocols: &catalogue,
        host_name: "bench",
        expire_quiescent_template: None,
    };
    let loaded = config::load(File::new("bench.cf", configuration(subject, 1)), &world);
    let desired =
        loaded.desired.ok_or_else(|| config::draw(&loaded.sources, &loaded.diagnostics, false))?;
    let check = desired.checks.first().ok_or("there is no check")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let attempted = runtime.block_on(Checker::new().run(check, Stage::Negotiate));
    drop(server);
    match attempted.verdict {
        Ok(_) => Ok(()),
        Err(failure) => Err(format!("the check of {} fails: {failure}", subject.name).into()),
    }
}

/// Seconds of processor time that a check takes a program.
fn one(
    subject: &'static Subject,
    start: impl FnOnce() -> Result<Running, Problem>,
) -> Result<f64, Problem> {
    let server = Server::start(subject)?;
    let mut running = start()?;
    let end = Instant::now() + PATIENCE;
    while server.checks() < u64::from(COUNT) {
        if Instant::now() > end {
            return Err(format!("only {} checks of {} came", server.checks(), subject.name).into());
        }
        thread::sleep(Duration::from_millis(50));
    }
    // What a program does at its start is not a check.
    thread::sleep(Duration::from_secs(2));
    let (before, first) = (running.processor_time()?, server.checks());
    thread::sleep(SPAN);
    let (after, last) = (running.processor_time()?, server.checks());
    running.expect_alive()?;
    let checks = u32::try_from(last.saturating_sub(first))?;
    if checks == 0 {
        return Err(format!("there was no check of {}", subject.name).into());
    }
    Ok(after.saturating_sub(before).as_secs_f64() / f64::from(checks))
}

fn ratio(one: f64, other: f64) -> f64 {
    one / other.max(1e-9)
}

fn microseconds(seconds: f64) -> String {
    format!("{:.0} µs", seconds * 1e6)
}
