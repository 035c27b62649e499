//! The daemons of other configurations (`execute`): started, reloaded and ended with this one, through the command line.
//!
//! They are daemons of their own, with their own pid files, which live on if this process is killed. Only at the end
//! that leaves the kernel's table is there no command for what they are to do: they get the same signal.
//!
//! Sources: section 9 of the behaviour specification.
//!
//! Differs from ldirectord: a configuration that leads back to this one is left out; it would ask for its status for ever.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    hooks::{Hooks, Program},
    instance::{Instance, Places},
    load, pidfile,
    reconciler::TableChoice,
};

/// How many configurations are read to find out whether one leads back.
const MOST_FILES: usize = 64;

/// How this program is called for another configuration.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The program, as this process was called.
    pub program: String,
    /// Whose table is directed.
    pub table: TableChoice,
}

impl Caller {
    fn words(&self, name: &str, command: &str) -> Vec<String> {
        let mut words = vec![self.program.clone()];
        if self.table == TableChoice::Memory {
            words.extend(["--table", "memory"].map(str::to_owned));
        }
        words.extend(arguments(name, command));
        words
    }
}

/// The words for a command on a configuration with this name.
pub fn arguments(name: &str, command: &str) -> Vec<String> {
    // Or it would be an option.
    let end = name.starts_with('-').then_some("--");
    end.into_iter().chain([name, command]).map(str::to_owned).collect()
}

/// The daemons of other configurations.
#[derive(Debug)]
pub(super) struct Children {
    caller: Caller,
    names: Vec<String>,
    are_started: bool,
}

impl Children {
    /// Of these configurations, which are not started yet.
    pub(super) fn new(caller: Caller, names: Vec<String>) -> Children {
        Children { caller, names, are_started: false }
    }

    /// Starts them, if that was not done yet.
    pub(super) fn start(&mut self, hooks: &mut Hooks) {
        if !std::mem::replace(&mut self.are_started, true) {
            for name in &self.names {
                hooks.instance(name, Program::new(self.caller.words(name, "start")));
            }
        }
    }

    /// After a reload these are the configurations.
    pub(super) fn follow(&mut self, names: &[String], hooks: &mut Hooks) {
        let before = std::mem::replace(&mut self.names, names.to_owned());
        if !self.are_started {
            return;
        }
        let words = |name: &str, command| self.caller.words(name, command);
        for gone in before.iter().filter(|name| !names.contains(name)) {
            hooks.instance(gone, Program::new(words(gone, "stop")));
        }
        for name in names {
            hooks.instance(
                name,
                match before.contains(name) {
                    true => Program::new(words(name, "reload")).or_else(words(name, "start")),
                    false => Program::new(words(name, "start")),
                },
            );
        }
    }

    /// Ends them, and has them leave the kernel's table as it is if we do.
    pub(super) fn end(&self, leaves_table: bool, hooks: &mut Hooks) {
        for name in self.names.iter().filter(|_| self.are_started) {
            if !leaves_table {
                hooks.instance(name, Program::new(self.caller.words(name, "stop")));
            } else if let Some(pid) = daemon_of(name)
                && kill(Pid::from_raw(pid), Signal::SIGUSR2).is_ok()
            {
                hooks.end_of_instance(name, pid);
            }
        }
    }
}

/// The process that follows the configuration with this name.
fn daemon_of(name: &str) -> Option<i32> {
    let instance = Instance::find(Some(OsStr::new(name)), &Places::here())?;
    match pidfile::look(&instance.pid_file) {
        pidfile::Instance::Running(pid) => i32::try_from(pid).ok().filter(|pid| *pid > 0),
        pidfile::Instance::Stale | pidfile::Instance::Stopped => None,
    }
}

/// What is wrong with a configuration that another one wants to be run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Doubt {
    /// There is no such file.
    NotThere,
    /// It is the same, or has it run by others.
    LeadsBack,
}

/// The names of `execute`, as the shell would hand them on.
pub(super) fn tidy(names: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let names = names.iter().map(|name| unquoted(name));
    names.filter(|name| seen.insert(*name)).map(str::to_owned).collect()
}

/// A name without blanks around it and quotes, which ldirectord's shell takes away.
fn unquoted(name: &str) -> &str {
    let name = name.trim();
    let inside = |quote| name.strip_prefix(quote).and_then(|name| name.strip_suffix(quote));
    inside('"').or_else(|| inside('\'')).unwrap_or(name)
}

/// What is wrong with running the configuration `name` for this one.
pub(super) fn examine(own: &Path, name: &str) -> Option<Doubt> {
    let places = Places::here();
    let found = |name: &str| {
        let file = Instance::find(Some(OsStr::new(unquoted(name))), &places)?.config;
        Some(fs::canonicalize(&file).unwrap_or(file))
    };
    let own = fs::canonicalize(own).unwrap_or_else(|_| own.to_owned());
    let Some(first) = found(name) else { return Some(Doubt::NotThere) };
    let (mut seen, mut waiting): (BTreeSet<PathBuf>, _) = (BTreeSet::new(), vec![first]);
    while let Some(file) = waiting.pop().filter(|_| seen.len() < MOST_FILES) {
        if file == own {
            return Some(Doubt::LeadsBack);
        }
        if seen.insert(file.clone()) {
            waiting.extend(load::executed_by(&file).iter().filter_map(|name| found(name)));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_shell_makes_of_them() {
        let names = ["a.cf", "\"a.cf\"", " 'b c.cf' ", "-d", "\"half"].map(str::to_owned);
        assert_eq!(tidy(&names), ["a.cf", "b c.cf", "-d", "\"half"]);
        assert_eq!(arguments("-d", "stop"), ["--", "-d", "stop"]);
    }

    #[test]
    fn a_circle_is_found_however_long() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let executes = |name: &str, others: &[&str]| {
            let line = |other: &&str| format!("execute=\"{}\"\n", path(other).display());
            fs::write(path(name), others.iter().map(line).collect::<String>()).unwrap();
        };
        executes("a", &["a", "b", "d", "none"]);
        executes("b", &["d", "c"]);
        executes("c", &["b", "a"]);
        executes("d", &["e"]);
        executes("e", &["d"]);
        fs::write(path("broken"), "rubbish\nexecute=a\n").unwrap();
        let doubt = |own, name| examine(&path(own), path(name).to_str().unwrap());
        assert_eq!(doubt("a", "a"), Some(Doubt::LeadsBack));
        assert_eq!(doubt("a", "b"), Some(Doubt::LeadsBack));
        assert_eq!(doubt("a", "d"), None, "a circle of others is theirs");
        assert_eq!(doubt("a", "broken"), None);
        assert_eq!(doubt("a", "none"), Some(Doubt::NotThere));
        std::os::unix::fs::symlink(path("a"), path("link")).unwrap();
        assert_eq!(doubt("a", "link"), Some(Doubt::LeadsBack));
    }
}
