//! 10,000 real servers listed: `ldirectord list` against `ipvsadm -Ln`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::install::{self, COUNT};
use crate::process::Running;
use crate::{Problem, head, load, print};

/// Each is measured as often, and the best is taken: what disturbs a measurement makes it longer.
const ROUNDS: u32 = 5;

const AIM: &str = "0.50";

pub(crate) fn measure(program: &Path) -> Result<(), Problem> {
    load::claim_addresses()?;
    head(&format!("{COUNT} real servers listed"));
    install::install(&install::target()?)?;
    let theirs = best(Command::new("ipvsadm").args(["-L", "-n"]))?;
    print("ipvsadm -Ln", &install::seconds(theirs), "");
    let ours = best(Command::new(program).arg("list"))?;
    print(
        "ldirectord list, no daemon",
        &install::seconds(ours),
        &install::share(ours, theirs, AIM),
    );

    let configuration = load::configuration(COUNT, "checkinterval=10", &["checktype=on"]);
    let mut running = Running::daemon(program, "kernel", &configuration)?;
    install::wait_until_whole(&mut running)?;
    let asked = best(Command::new(program).arg("list"))?;
    print(
        "ldirectord list, beside a daemon",
        &install::seconds(asked),
        &install::share(asked, theirs, AIM),
    );
    let json = best(Command::new(program).args(["list", "--json"]))?;
    print(
        "ldirectord list --json, beside a daemon",
        &install::seconds(json),
        &install::share(json, theirs, AIM),
    );
    Ok(())
}

/// The shortest time that the command takes.
fn best(command: &mut Command) -> Result<Duration, Problem> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
        best = best.min(began.elapsed());
        if !status.success() {
            return Err(format!("{command:?} ended with {status}").into());
        }
    }
    Ok(best)
}
