//! Memory of the daemon with 10,000 servers under HTTP checks.

use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::process::Running;
use crate::server::Server;
use crate::{Problem, head, load, print};

const COUNT: u32 = 10_000;

pub(crate) fn measure(program: &Path) -> Result<(), Problem> {
    load::claim_addresses()?;
    let server = Server::start()?;
    head(&format!("Memory with {COUNT} servers under HTTP checks, each every 5 s"));
    let configuration = load::configuration(COUNT, "checkinterval=5\nchecktimeout=5", &load::HTTP);
    let mut running = Running::daemon(program, "memory", &configuration)?;
    server.wait_for_all(COUNT, Duration::from_secs(60))?;
    // Two more rounds: what a check leaves behind would show.
    thread::sleep(Duration::from_secs(10));
    server.wait_for_all(COUNT, Duration::from_secs(60))?;
    running.expect_alive()?;
    let megabytes = |kilobytes: u64| {
        format!("{:.1} MB", f64::from(u32::try_from(kilobytes).unwrap_or(u32::MAX)) / 1024.0)
    };
    print("resident now", &megabytes(running.kilobytes("VmRSS")?), "(aim: under 20 MB)");
    print(
        "of these its own data, without the program",
        &megabytes(running.kilobytes("RssAnon")?),
        "",
    );
    print("resident at most", &megabytes(running.kilobytes("VmHWM")?), "");
    Ok(())
}
