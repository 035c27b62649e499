//! Reads the configuration file: the way to [`config::load`] for the daemon and the command line.
//!
//! In go a path and what for, out come the configuration, if it is one, and everything there is to say about the file.

use std::{
    collections::BTreeSet,
    env,
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
};

use super::{
    names::{NoHosts, SystemNames},
    watch::{self, Seen},
};
use crate::{
    checks,
    config::{self, Loaded, Names, World},
    model::{Desired, LogTarget},
    sinks,
};

/// What a configuration file is read for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// To be followed: names are resolved, and the files that it names can be opened.
    Follow,
    /// To say what it is worth: names are resolved, nothing is opened.
    Examine,
    /// To find out about a daemon: no name server is asked, unless there is a fault that may come of that.
    Ask,
}

/// A configuration file as it was read.
#[derive(Debug)]
pub struct Reading {
    /// Its bytes.
    pub source: Vec<u8>,
    /// What it was when it was read.
    pub seen: Seen,
    /// What it asks for; `None` when it cannot be followed.
    pub desired: Option<Desired>,
    /// What there is to say about it, for people; empty when there is nothing.
    pub remarks: String,
}

/// Reads a configuration file. Blocks, also for the resolver.
pub fn load(path: &Path, purpose: Purpose) -> io::Result<Reading> {
    let (source, seen) = watch::read(path)?;
    let mut reading = match purpose {
        Purpose::Follow | Purpose::Examine => understand(path, source, seen, &SystemNames),
        Purpose::Ask => {
            let names = NoHosts::default();
            let reading = understand(path, source, seen, &names);
            if reading.desired.is_none() && names.was_asked() {
                understand(path, reading.source, seen, &SystemNames)
            } else {
                reading
            }
        }
    };
    if purpose == Purpose::Follow
        && let Some(desired) = &reading.desired
    {
        let faults = unopenable(path, &reading.source, desired);
        if !faults.is_empty() {
            reading.desired = None;
            reading.remarks.push_str(&faults);
        }
    }
    Ok(reading)
}

fn understand(path: &Path, source: Vec<u8>, seen: Seen, names: &dyn Names) -> Reading {
    let (protocols, host_name) = (checks::catalogue(), host_name());
    let world = World { names, protocols: &protocols, host_name: &host_name };
    let Loaded { desired, diagnostics } = config::load(&source, &world);
    let remarks =
        config::render(&path.to_string_lossy(), std::process::id(), &source, &diagnostics);
    Reading { source, seen, desired, remarks }
}

/// The files that the configuration names to be written to and that cannot be; like ldirectord, we refuse those.
fn unopenable(path: &Path, source: &[u8], desired: &Desired) -> String {
    let log = match &desired.process.log {
        // The one that is written to when none is named may be missing.
        LogTarget::File(log) if line_of(source, "logfile", log).is_some() => Some(log),
        LogTarget::File(_) | LogTarget::Syslog(_) => None,
    };
    let monitors: BTreeSet<&PathBuf> =
        desired.services.iter().filter_map(|service| service.monitor_file.as_ref()).collect();
    let files = log.map(|log| ("logfile", log)).into_iter();
    let mut faults = String::new();
    for (directive, file) in files.chain(monitors.into_iter().map(|file| ("monitorfile", file))) {
        if let Err(error) = sinks::writer::append(file, "") {
            let line = line_of(source, directive, file).unwrap_or_default();
            let (pid, path, file) = (std::process::id(), path.display(), file.display());
            // Writing to a String does not fail.
            writeln!(
                faults,
                "Error [{pid}] reading file {path} at line {line}: unable to open {directive} {file}: {error}\n\
                 hint: does the folder exist, and may this user write there?"
            )
            .unwrap_or_default();
        }
    }
    faults
}

/// The number of the last line that gives this directive this file.
fn line_of(source: &[u8], directive: &str, file: &Path) -> Option<usize> {
    let (text, file) = (String::from_utf8_lossy(source), file.to_string_lossy());
    let is_it = |line: &str| line.trim_start().starts_with(directive) && line.contains(&*file);
    Some(text.lines().count() - text.lines().rev().position(is_it)?)
}

/// What ldirectord says of a file that cannot be opened, and why it cannot.
pub fn cannot_open(path: &Path, error: &io::Error) -> String {
    format!("Error [{}]: can not open file {}\nhint: {error}", std::process::id(), path.display())
}

/// The name of this host, for default logins: `HOSTNAME`, else what the kernel says.
fn host_name() -> String {
    let set = env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    set.or_else(|| nix::unistd::gethostname().ok()?.into_string().ok()).unwrap_or_default()
}
