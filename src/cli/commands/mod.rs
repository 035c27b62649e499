//! What the command line asks for, done: one file a command.
//!
//! Every command of ldirectord's reads the whole configuration first, as tools expect: exit code 2 means that it has an
//! error. A daemon that runs is not touched by that, nor is its pid file.

mod alert;
mod explain;
mod list;
mod reexec;
mod reload;
mod show;
mod start;
mod status;
mod stop;
mod table;
mod validate;

use std::{
    ffi::{OsStr, OsString},
    io,
    path::Path,
};

use super::{
    compat::{Command, Request},
    exit::Exit,
    output, own,
};
use crate::{
    daemon::{
        clock, detach,
        instance::{DEFAULT_CONFIG, Instance, Places, name_of},
        load::{self, Purpose, Reading},
        pidfile, privileges,
    },
    model::{Desired, LogTarget, ProcessSettings},
    sinks::log::{self, Author, Destination, Log},
};

/// Does a subcommand of ours.
pub(super) fn own(command: &own::Command) -> Exit {
    match command {
        own::Command::Alert(own::Alert::Test { file }) => alert::test(file.as_deref()),
        own::Command::List(words) => list::run(words),
        own::Command::Show { words } => show::run(words),
        own::Command::Validate(words) => validate::run(words),
        own::Command::Explain { words } => explain::run(words),
        own::Command::Table(words) => table::run(words),
    }
}

/// Does a command of ldirectord's.
pub(super) fn ldirectord(program: &OsStr, words: &[OsString], request: &Request) -> Exit {
    let is_second = detach::is_second();
    if is_second && let Err(error) = detach::end_with_first() {
        output::complain(format!("cannot start the daemon: {error}"));
        return Exit::Failure;
    }
    let begins = [Command::Start, Command::Restart, Command::TryRestart, Command::Reexec];
    if begins.contains(&request.command) {
        detach::begin_well(program, words);
    }
    let places = Places::here();
    let Some(instance) = Instance::find(request.config.as_deref(), &places) else {
        return not_found(request, &places);
    };
    let call = Call { program, words, request, places, instance, is_second };
    match call.read() {
        Ok(reading) => call.follow(reading),
        Err(error) => {
            output::complain(load::cannot_open(&call.instance.config, &error));
            call.configuration_error(&[])
        }
    }
}

/// Differs from ldirectord: a daemon whose file is gone can be stopped and asked about all the same; the exit code is 1 as
/// there.
fn not_found(request: &Request, places: &Places) -> Exit {
    let named = request.config.as_deref();
    let file = named.unwrap_or(OsStr::new(DEFAULT_CONFIG)).to_string_lossy();
    let message = format!("Config file {file} not found");
    output::complain(&message);
    let name = name_of(named).unwrap_or_default();
    all_the_same(request.command, &file, &places.pid_file(&name));
    if let Some(log) = start_log(request, places, &ProcessSettings::default(), name) {
        tracing::error!(event = "configuration-missing", path = %file, "{message}");
        log_exit(Exit::Failure, "Initialisation Error");
        log.flush();
    }
    Exit::Failure
}

/// Reads the configuration of this name for a subcommand; what keeps it from being used is told.
fn read(file: Option<&Path>, purpose: Purpose) -> Result<(Instance, Reading, Desired), Exit> {
    let Some(instance) = Instance::find(file.map(Path::as_os_str), &Places::here()) else {
        let file = file.unwrap_or(Path::new(DEFAULT_CONFIG)).display();
        output::complain(format!("Config file {file} not found"));
        return Err(Exit::Failure);
    };
    match load::load(&instance.config, purpose) {
        Ok(mut reading) => match reading.desired.take() {
            Some(desired) => Ok((instance, reading, desired)),
            None => {
                output::remark(&reading.remarks());
                Err(Exit::Configuration)
            }
        },
        Err(error) => {
            output::complain(load::cannot_open(&instance.config, &error));
            Err(Exit::Configuration)
        }
    }
}

/// A command of ldirectord's and what it is about.
struct Call<'a> {
    program: &'a OsStr,
    words: &'a [OsString],
    request: &'a Request,
    places: Places,
    instance: Instance,
    is_second: bool,
}

impl Call<'_> {
    fn read(&self) -> io::Result<Reading> {
        let purpose = match self.request.command {
            Command::Stop | Command::Status => Purpose::Ask,
            // The second process reads it to be followed.
            Command::Start if self.is_first_of_two() => Purpose::Ask,
            Command::Start
            | Command::Restart
            | Command::TryRestart
            | Command::Reexec
            | Command::Reload
            | Command::ForceReload => Purpose::Follow,
        };
        let read = || load::load(&self.instance.config, purpose);
        match pidfile::look(&self.instance.pid_file) {
            // What the daemon, another user, can make of it is the question.
            pidfile::Instance::Running(pid) if self.is_reload() => {
                privileges::as_user_of(pid, read)?
            }
            _ => read(),
        }
    }

    fn is_reload(&self) -> bool {
        matches!(self.request.command, Command::Reload | Command::ForceReload)
    }

    /// Whether another process will have its say about the file; not known yet of `supervised`.
    fn is_first_of_two(&self) -> bool {
        let Request { command, debug, foreground, .. } = *self.request;
        command == Command::Start && !debug && !foreground && !self.is_second
    }

    fn follow(&self, reading: Reading) -> Exit {
        if reading.desired.is_none() || !self.is_first_of_two() {
            output::remark(&reading.remarks());
        }
        let Reading { sources, seen, desired, diagnostics } = reading;
        let Some(desired) = desired else {
            let main = sources.iter().next();
            return self.configuration_error(main.map_or(&[], |(_, file)| &file.bytes));
        };
        // A daemon stays for long; what it was read from does not.
        drop((sources, diagnostics));
        let Some(log) = self.start_log(&desired.process) else { return Exit::Failure };
        if self.is_second
            && let Some(doubt) = log.doubt(&desired.process.log)
        {
            output::complain(&doubt);
            tracing::warn!(event = "log-moved", "{doubt}");
        }
        if !self.is_second {
            tracing::info!(
                event = "invoked",
                command = self.request.command.name(),
                "Invoking ldirectord invoked as: {}",
                self.invocation()
            );
            // Before another process writes what came of it.
            log.flush();
        }
        let exit = match self.request.command {
            _ if self.is_second => start::serve(self, desired, seen, &log),
            Command::Start => start::start(self, desired, seen, &log),
            Command::Restart => start::restart(self, desired, seen, &log),
            Command::TryRestart => start::try_restart(self, desired, seen, &log),
            Command::Reexec => reexec::run(self, desired, seen, &log),
            Command::Stop => stop::stop(self),
            Command::Reload | Command::ForceReload => reload::run(self),
            Command::Status => status::run(self, &desired.process.execute),
        };
        if exit != Exit::Success {
            log_exit(exit, &format!("Exiting from ldirectord {}", self.request.command.name()));
        }
        log.flush();
        exit
    }

    /// Differs from ldirectord: the pid file of a daemon that runs stays, `stop` stops it and `status` tells of it.
    fn configuration_error(&self, source: &[u8]) -> Exit {
        let mut process = ProcessSettings::default();
        if let Some(target) = log_target_of(source) {
            process.log = target;
        }
        let log = self.start_log(&process);
        log_exit(Exit::Configuration, "config_error: Configuration Error");
        let Instance { config, pid_file, .. } = &self.instance;
        all_the_same(self.request.command, &config.to_string_lossy(), pid_file);
        if let Some(log) = log {
            log.flush();
        }
        Exit::Configuration
    }

    fn start_log(&self, process: &ProcessSettings) -> Option<Log> {
        start_log(self.request, &self.places, process, self.instance.name.clone())
    }

    /// The program and its words without options, each with a blank after it.
    fn invocation(&self) -> String {
        let words = self.request.words.iter().map(OsString::as_os_str);
        std::iter::once(self.program)
            .chain(words)
            .map(|word| format!("{} ", word.to_string_lossy()))
            .collect()
    }
}

/// Without a configuration that can be followed, a daemon is stopped and asked about all the same. Nothing is said
/// where none runs.
fn all_the_same(command: Command, config: &str, pid_file: &Path) {
    match command {
        Command::Stop => {
            stop::run(pid_file);
        }
        Command::Status => {
            if let pidfile::Instance::Running(pid) = pidfile::look(pid_file) {
                output::complain(status::running(config, pid));
            }
        }
        _ => {}
    }
}

fn start_log(
    request: &Request,
    places: &Places,
    process: &ProcessSettings,
    name: String,
) -> Option<Log> {
    let destination = match () {
        () if request.debug => Destination::Debug,
        () if process.supervised => Destination::Supervised,
        () => Destination::Target(process.log.clone()),
    };
    let starts = matches!(request.command, Command::Start | Command::Restart | Command::TryRestart);
    let settings = log::Settings {
        destination,
        format: process.log_format,
        author: Author { name, pid: std::process::id() },
        default_file: places.log.clone(),
        in_background: starts && !request.foreground && !request.debug && !process.supervised,
        wall: clock::wall,
    };
    match Log::start(settings) {
        Ok(log) => Some(log),
        Err(error) => {
            output::complain(format!("cannot start the log: {error}"));
            None
        }
    }
}

fn log_exit(exit: Exit, reason: &str) {
    let code = u64::from(exit.code());
    tracing::info!(event = "exit", code, "Exiting with exit_status {code}: {reason}");
}

/// Where a file that cannot be followed wants its log lines, as far as that can be told.
fn log_target_of(source: &[u8]) -> Option<LogTarget> {
    let text = String::from_utf8_lossy(source);
    let mut values = text.lines().filter_map(|line| {
        let value = line.strip_prefix("logfile")?.trim_start().strip_prefix('=')?.trim_start();
        value.strip_prefix('"')?.rsplit_once('"').map(|(value, _)| value.to_owned())
    });
    values.next_back().map(|value| {
        if value.starts_with('/') {
            LogTarget::File(value.into())
        } else {
            LogTarget::of_word(value)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_file_still_says_where_its_log_is() {
        assert_eq!(log_target_of(b"nonsense\n  logfile=\"/no\"\n"), None);
        assert_eq!(
            log_target_of(b"logfile = \"/a\"\nlogfile=\"/b\" # c\nlogfile=/d\n"),
            Some(LogTarget::File("/b".into()))
        );
        assert_eq!(
            log_target_of(b"logfile=\"local0\""),
            Some(LogTarget::Syslog("local0".to_owned()))
        );
    }
}
