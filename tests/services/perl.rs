//! The Perl ldirectord asks the same servers, and writes what it found to monitor files.
//!
//! It runs in the foreground (`-d`), where it takes the `ipvsadm` of the current directory: ours does nothing, since
//! what a check finds needs no kernel.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::service::{Case, Otherwise, Server, State, Theirs};

/// The certificate of a server that has one; the Perl program trusts it.
pub(crate) const CERTIFICATE: &str = "certificate.pem";

/// Seconds for each check. With dns it takes them all when there is no address in the answer.
const TIMEOUT: u32 = 8;

/// How long it may take for all of a service's checks, one after the other.
const PATIENCE: Duration = Duration::from_secs(300);

/// Whether the Perl program knows what is asked, and survives it.
pub(crate) fn is_asked(case: &Case) -> bool {
    match case.trial.theirs {
        Theirs::Same => true,
        Theirs::Differs(_, how) => how(case.state, case.family) != Otherwise::Dies,
        Theirs::Unknown => false,
    }
}

/// The Perl program finds the same in all these cases, or otherwise where that is said.
pub(crate) fn agrees(server: &Server, cases: &[Case]) -> Result<(), String> {
    let stopped = cases.iter().any(|case| case.state == State::Stopped);
    let state = if stopped { State::Stopped } else { State::Works };
    let folder = server.folder.join(if stopped { "perl-stopped" } else { "perl" });
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("ipvsadm"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(folder.join("ipvsadm"), Permissions::from_mode(0o755)).unwrap();
    let monitor = |number: usize| folder.join(format!("monitor-{number}"));
    let mut config = "checkinterval=1\n".to_owned();
    for (number, case) in (1..).zip(cases) {
        let lines = case.lines(number, TIMEOUT).replace('@', &server.folder.display().to_string());
        config = format!("{config}\n{lines}\tmonitorfile=\"{}\"\n", monitor(number).display());
    }
    let file = folder.join("ldirectord.cf");
    fs::write(&file, config).unwrap();

    let log = fs::File::create(server.folder.join("ldirectord.log")).unwrap();
    let mut command = Command::new("/usr/sbin/ldirectord");
    command.arg("-d").arg(&file).arg("start").current_dir(&folder).stdin(Stdio::null());
    command.env("SSL_CERT_FILE", server.folder.join(CERTIFICATE)).env("PERLIO", "perlio");
    command.stdout(log.try_clone().unwrap()).stderr(log);
    let lines = || -> Vec<Option<String>> {
        let read = |number| fs::read_to_string(monitor(number)).unwrap_or_default();
        let line = |text: String| Some(text.split_once('\n')?.0.to_owned());
        (1..=cases.len()).map(|number| line(read(number))).collect()
    };
    let found = server.in_state(state, || {
        let process = server.namespace.spawn(&mut command);
        let found = wait(&lines);
        server.namespace.kill(process);
        found
    });
    let mut faults = String::new();
    for (case, line) in cases.iter().zip(found) {
        let Some(line) = line else {
            faults = format!("{faults}\n{}: ldirectord found nothing", case.name());
            continue;
        };
        let is_up = line.contains("[up]");
        if !is_up && !line.contains("[down]") {
            return Err(format!("neither up nor down: {line}"));
        }
        let (differs, why) = match case.trial.theirs {
            Theirs::Differs(why, how) => (how(case.state, case.family) != Otherwise::No, why),
            Theirs::Same | Theirs::Unknown => (false, "nothing"),
        };
        if is_up != (case.expected().is_ok() != differs) {
            let name = case.name();
            faults = format!(
                "{faults}\n{name}: we are to find {:?}; what should make a difference: {why}\n  ldirectord: {line}",
                case.expected()
            );
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Waits until there is a line for each, or no longer.
#[expect(clippy::disallowed_methods, reason = "a test measures time")]
fn wait(lines: &dyn Fn() -> Vec<Option<String>>) -> Vec<Option<String>> {
    let end = Instant::now() + PATIENCE;
    loop {
        let found = lines();
        if found.iter().all(Option::is_some) || Instant::now() > end {
            return found;
        }
        thread::sleep(Duration::from_millis(50));
    }
}
