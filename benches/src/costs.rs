//! Processor time of an HTTP check: the daemon against the least client, and against keepalived.
//!
//! The two of a pair check the same servers every second over the same loopback interface, one after the other; the
//! server counts the checks, the kernel the time (user and system, of the checking processes only).

use std::env;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::process::{self, Running};
use crate::server::Server;
use crate::{Problem, head, load, print};

/// How long each is measured.
const SPAN: Duration = Duration::from_secs(10);

/// Against a program that does nothing else, on the machine's own kernel.
pub(crate) fn against_least(program: &Path) -> Result<(), Problem> {
    const COUNT: u32 = 2000;
    let server = begin(COUNT)?;
    let least = one(&server, COUNT, || {
        Running::start(Command::new(env::current_exe()?).args(["least-client", &COUNT.to_string()]))
    })?;
    print("the least loop (one poll, no verdicts)", &microseconds(least), "");
    let ours = one(&server, COUNT, || ours(program, "memory", COUNT))?;
    print(
        "ldirectord",
        &microseconds(ours),
        &format!("{:.2} times the least loop", ratio(ours, least)),
    );
    Ok(())
}

/// Against keepalived, which needs a kernel with IPVS.
pub(crate) fn against_keepalived(program: &Path) -> Result<(), Problem> {
    const COUNT: u32 = 300;
    let server = begin(COUNT)?;
    let file = env::temp_dir().join("keepalived.conf");
    process::replace(&file, &keepalived(COUNT))?;
    let theirs = one(&server, COUNT, || {
        let words = ["--dont-fork", "--check", "--log-console", "--use-file"];
        Running::start(Command::new("keepalived").args(words).arg(&file))
    })?;
    print("keepalived (HTTP_GET, status code only)", &microseconds(theirs), "");
    let ours = one(&server, COUNT, || ours(program, "kernel", COUNT))?;
    print(
        "ldirectord",
        &microseconds(ours),
        &format!("{:.2} times keepalived", ratio(ours, theirs)),
    );
    Ok(())
}

fn begin(count: u32) -> Result<Server, Problem> {
    load::claim_addresses()?;
    head(&format!(
        "Processor time of one HTTP check, {count} checks a second for {} s",
        SPAN.as_secs()
    ));
    Server::start()
}

fn ours(program: &Path, table: &str, count: u32) -> Result<Running, Problem> {
    Running::daemon(
        program,
        table,
        &load::configuration(count, "checkinterval=1\nchecktimeout=5", &load::HTTP),
    )
}

/// Seconds of processor time that a check takes a program.
fn one(
    server: &Server,
    count: u32,
    start: impl Fn() -> Result<Running, Problem>,
) -> Result<f64, Problem> {
    let mut running = start()?;
    server.wait_for_all(count, Duration::from_secs(60))?;
    // What a program does at its start is not a check.
    thread::sleep(Duration::from_secs(2));
    let (before, _) = (running.processor_time()?, server.arrivals());
    thread::sleep(SPAN);
    let (after, checks) = (running.processor_time()?, server.arrivals().len());
    running.expect_alive()?;
    if checks == 0 {
        return Err("nothing was checked".into());
    }
    Ok(after.saturating_sub(before).as_secs_f64() / f64::from(u32::try_from(checks)?))
}

fn ratio(one: f64, other: f64) -> f64 {
    one / other.max(1e-9)
}

fn microseconds(seconds: f64) -> String {
    format!("{:.0} µs", seconds * 1e6)
}

fn keepalived(count: u32) -> String {
    let server = |number: u32| {
        let address = load::address(number);
        format!(
            "    real_server {address} 80 {{\n        weight 1\n        HTTP_GET {{\n            \
             url {{\n                path /health\n                status_code 200\n            }}\n            \
             connect_timeout 5\n        }}\n    }}\n"
        )
    };
    let block = |first: u32| {
        let service = load::service(first / load::SERVERS_PER_SERVICE).replace(':', " ");
        let last = (first + load::SERVERS_PER_SERVICE).min(count);
        let servers: String = (first..last).map(server).collect();
        format!(
            "virtual_server {service} {{\n    delay_loop 1\n    lvs_sched wlc\n    lvs_method NAT\n    \
             protocol TCP\n{servers}}}\n"
        )
    };
    (0..count).step_by(load::STEP).map(block).collect()
}
