//! What the configuration says about where news go besides the log: monitor files and fallback commands.
//!
//! The director does not know these; it says what happened, and this says who is to be told.

use std::collections::{BTreeSet, HashMap};

use crate::model::{Desired, ServiceKey};

/// Where news go besides the log.
#[derive(Debug, Default)]
pub(super) struct Outlets {
    fallback_commands: HashMap<ServiceKey, String>,
    without_effect: BTreeSet<&'static str>,
}

impl Outlets {
    /// Of this configuration.
    pub(super) fn new(desired: &Desired) -> Outlets {
        let mut outlets = Outlets::default();
        for service in &desired.services {
            if let Some(command) = &service.fallback_command {
                outlets.fallback_commands.insert(service.key, command.clone());
            }
            if service.monitor_file.is_some() {
                outlets.without_effect.insert("monitorfile");
            }
        }
        if !desired.process.execute.is_empty() {
            outlets.without_effect.insert("execute");
        }
        if desired.process.maintenance_dir.is_some() {
            outlets.without_effect.insert("maintenancedir");
        }
        outlets
    }

    /// Says what of the configuration this version does not do.
    pub(super) fn warn(&self) {
        for directive in &self.without_effect {
            tracing::warn!("{directive} has no effect in this version of ldirectord");
        }
    }

    /// The program to run when the fallback of this service begins or ends to be needed.
    pub(super) fn fallback_command(&self, service: ServiceKey) -> Option<&str> {
        self.fallback_commands.get(&service).map(String::as_str)
    }
}
