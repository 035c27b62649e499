//! Where news go besides the log: monitor files and fallback commands, and what of the configuration goes nowhere yet.
//!
//! The director does not know these; it says what happened, and this says who is to be told.

use std::{
    collections::{BTreeSet, HashMap},
    io,
};

use super::clock;
use crate::{
    director::Place,
    model::{Desired, ServiceKey, Verdict},
    sinks::monitor_file::MonitorFiles,
};

/// Where news go besides the log.
#[derive(Debug)]
pub(super) struct Outlets {
    fallback_commands: HashMap<ServiceKey, String>,
    monitor_files: MonitorFiles,
}

impl Outlets {
    /// Makes ready; nobody is told anything yet.
    pub(super) fn start() -> io::Result<Outlets> {
        Ok(Outlets { fallback_commands: HashMap::new(), monitor_files: MonitorFiles::start()? })
    }

    /// Later news go where this configuration says.
    pub(super) fn follow(&mut self, desired: &Desired) {
        let commands = desired.services.iter();
        self.fallback_commands = commands
            .filter_map(|service| Some((service.key, service.fallback_command.clone()?)))
            .collect();
        self.monitor_files.follow(desired);
        for directive in without_effect(desired) {
            tracing::warn!(
                event = "without-effect",
                directive,
                "{directive} has no effect in this version of ldirectord"
            );
        }
    }

    /// The program to run when the fallback of this service begins or ends to be needed.
    pub(super) fn fallback_command(&self, service: ServiceKey) -> Option<&str> {
        self.fallback_commands.get(&service).map(String::as_str)
    }

    /// A check has ended.
    pub(super) fn monitor(&self, place: &Place, verdict: &Verdict) {
        self.monitor_files.write(place, verdict, clock::wall());
    }

    /// A server is in maintenance: since now (`begins`), or still when it would have been checked.
    pub(super) fn monitor_maintenance(&self, place: &Place, begins: bool) {
        self.monitor_files.write_maintenance(place, begins, clock::wall());
    }
}

/// The directives of this configuration that are understood and not acted on.
fn without_effect(desired: &Desired) -> BTreeSet<&'static str> {
    let process = &desired.process;
    [(process.status_listen.is_some(), "statuslisten")]
        .into_iter()
        .filter_map(|(is_set, directive)| is_set.then_some(directive))
        .collect()
}
