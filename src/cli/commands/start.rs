//! `start`, `restart`, `try-restart`: a daemon where none runs, or a new one in the place of one that does.

use std::{env, ffi::OsString, os::unix::ffi::OsStrExt as _, thread, time::Duration};

use super::{Call, stop};
use crate::{
    cli::{exit::Exit, output},
    daemon::{
        self, Settings,
        children::Caller,
        clock::Deadline,
        detach::{self, Outcome},
        load::{self, Purpose},
        pidfile::{self, ClaimError, PidFile},
        watch::Seen,
    },
    model::Desired,
    sinks::log::Log,
};

/// How long we wait for another start of the same instance.
const OTHER_START: Duration = Duration::from_secs(10);

/// How often we look whether it has come so far.
const POLL: Duration = Duration::from_millis(20);

/// `start`.
pub(super) fn start(call: &Call<'_>, desired: Desired, seen: Seen, log: &Log) -> Exit {
    match pidfile::look(&call.instance.pid_file) {
        pidfile::Instance::Running(pid) if call.request.foreground => runs_already(call, pid),
        pidfile::Instance::Running(_) => Exit::Success,
        pidfile::Instance::Stale | pidfile::Instance::Stopped => launch(call, desired, seen, log),
    }
}

/// `restart`.
pub(super) fn restart(call: &Call<'_>, desired: Desired, seen: Seen, log: &Log) -> Exit {
    match stop::run(&call.instance.pid_file) {
        Exit::Success => launch(call, desired, seen, log),
        failed => failed,
    }
}

/// `try-restart`.
pub(super) fn try_restart(call: &Call<'_>, desired: Desired, seen: Seen, log: &Log) -> Exit {
    match pidfile::look(&call.instance.pid_file) {
        pidfile::Instance::Running(_) => restart(call, desired, seen, log),
        pidfile::Instance::Stale | pidfile::Instance::Stopped => Exit::Success,
    }
}

/// Directs in this process if it is to stay in the foreground, else in a second one.
pub(super) fn launch(call: &Call<'_>, desired: Desired, seen: Seen, log: &Log) -> Exit {
    if call.request.debug {
        return direct(call, desired, seen, log, None);
    }
    if call.request.foreground {
        return match claim(call) {
            Ok(pid_file) => direct(call, desired, seen, log, Some(pid_file)),
            Err(Unclaimed::Runs(pid)) => runs_already(call, pid),
            Err(Unclaimed::Told) => Exit::Failure,
        };
    }
    if desired.process.supervised {
        // It was read without host names; nobody needs it any more.
        drop(desired);
        return match load::load(&call.instance.config, Purpose::Follow) {
            Ok(reading) => {
                output::remark(&reading.remarks());
                match reading.desired {
                    Some(desired) => direct(call, desired, reading.seen, log, None),
                    None => Exit::Configuration,
                }
            }
            Err(error) => {
                output::complain(load::cannot_open(&call.instance.config, &error));
                Exit::Configuration
            }
        };
    }
    match detach::start_second(&call.path_of_program(), &call.words_of_daemon()) {
        Ok(Outcome::Serves | Outcome::Ended(0)) => Exit::Success,
        Ok(Outcome::Ended(code)) => Exit::Code(code),
        Ok(Outcome::Killed(signal)) => {
            output::complain(format!("the daemon was ended by signal {signal} while it started"));
            Exit::Failure
        }
        Err(error) => {
            output::complain(format!("cannot start the daemon: {error}"));
            Exit::Failure
        }
    }
}

/// What the second process does.
pub(super) fn serve(call: &Call<'_>, desired: Desired, seen: Seen, log: &Log) -> Exit {
    if let Err(error) = detach::leave() {
        output::complain(format!("cannot leave the terminal: {error}"));
        return Exit::Failure;
    }
    match claim(call) {
        Ok(pid_file) => direct(call, desired, seen, log, Some(pid_file)),
        // A daemon that another start made is as good as ours.
        Err(Unclaimed::Runs(_)) => Exit::Success,
        Err(Unclaimed::Told) => Exit::Failure,
    }
}

/// Why the pid file is not ours.
enum Unclaimed {
    /// A daemon runs as this process.
    Runs(u32),
    /// It was said why.
    Told,
}

fn claim(call: &Call<'_>) -> Result<PidFile, Unclaimed> {
    let path = &call.instance.pid_file;
    match PidFile::claim(path) {
        Ok(pid_file) => Ok(pid_file),
        Err(ClaimError::Taken) => {
            let deadline = Deadline::within(OTHER_START);
            while !deadline.passed() {
                if let pidfile::Instance::Running(pid) = pidfile::look(path) {
                    return Err(Unclaimed::Runs(pid));
                }
                thread::sleep(POLL);
            }
            output::complain(format!(
                "{} is locked by a process that is no daemon",
                path.display()
            ));
            Err(Unclaimed::Told)
        }
        Err(ClaimError::Unwritable(error)) => {
            let message = format!("Can not open {}", path.display());
            output::complain(format!("{message}\nhint: {error}"));
            let errno = error.raw_os_error();
            tracing::error!(event = "pid-file", errno, "{message}: {error}");
            Err(Unclaimed::Told)
        }
    }
}

/// Who asked for the foreground waits for this very process, and another daemon is of no use.
fn runs_already(call: &Call<'_>, pid: u32) -> Exit {
    let message =
        format!("ldirectord for {} runs already, as process {pid}", call.instance.config.display());
    output::complain(format!("{message}\nhint: stop it, or let that one be"));
    tracing::error!(event = "runs-already", running = pid, "{message}");
    Exit::Failure
}

fn direct(
    call: &Call<'_>,
    desired: Desired,
    seen: Seen,
    log: &Log,
    pid_file: Option<PidFile>,
) -> Exit {
    if let Err(error) = detach::take_name() {
        tracing::warn!(event = "process-name", "The process keeps the name that it has: {error}");
    }
    match pid_file {
        Some(_) => tracing::info!(event = "start", "Starting Linux Director v1.186-ha as daemon"),
        None => {
            tracing::info!(
                event = "start",
                "Starting Linux Director v1.186-ha with pid: {}",
                std::process::id()
            );
        }
    }
    let settings = Settings {
        config: call.instance.config.clone(),
        seen,
        desired,
        caller: Caller {
            program: call.path_of_program().to_string_lossy().into_owned(),
            table: call.request.table,
        },
        pid_file,
        is_second: call.is_second,
        socket: call.places.socket(&call.instance.name),
        log: log.clone(),
    };
    match daemon::run(settings) {
        Ok(()) => Exit::Success,
        Err(error) => {
            output::complain(format!("cannot direct: {error}"));
            tracing::error!(event = "fault", "cannot direct: {error}");
            Exit::Failure
        }
    }
}

impl Call<'_> {
    /// The program with its folder, as the kernel shows ldirectord's; the resource agent looks for it like that.
    pub(super) fn path_of_program(&self) -> OsString {
        if self.program.as_bytes().contains(&b'/') {
            return self.program.to_owned();
        }
        env::current_exe().map_or_else(|_| self.program.to_owned(), Into::into)
    }

    /// The words, with `start` for the command: that is how the resource agent looks for a daemon, however it began.
    fn words_of_daemon(&self) -> Vec<OsString> {
        let mut words = self.words.to_owned();
        let before = words.len().saturating_sub(self.request.words.len());
        let place = before + usize::from(self.request.config.is_some());
        if let Some(word) = words.get_mut(place) {
            *word = "start".into();
        }
        words
    }
}
