//! Reading the configuration again: when the file has changed, or a signal asks for it.
//!
//! The file is read beside the loop, then the kernel is asked what it has; only then does the director hear of it.

use std::{io, mem};

use tokio::task::JoinHandle;

use super::{
    Daemon, SHORTEST_LOOK,
    load::{self, Purpose, Reading},
    pidfile::PidFile,
    watch::{Look, Watch},
};
use crate::{
    director::Event,
    ipvs::{KernelError, Table},
    model::Desired,
};

/// How far a reload has come.
#[derive(Debug, Default)]
pub(super) enum Reload {
    #[default]
    None,
    /// The file is being read.
    Reading(JoinHandle<io::Result<Reading>>),
    /// The kernel is being asked what it has.
    Asking(Box<Desired>),
}

impl Reload {
    pub(super) async fn next(&mut self) -> io::Result<Reading> {
        let Reload::Reading(task) = self else { return std::future::pending().await };
        let loaded = task.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        *self = Reload::None;
        loaded
    }
}

impl Daemon {
    pub(super) fn look(&mut self) {
        self.look_at = self.clock.now().after(self.process.interval.max(SHORTEST_LOOK));
        match self.watch.look() {
            Look::Same => {}
            Look::Unreadable => {
                let (pid, path) = (std::process::id(), self.config.display());
                tracing::warn!("Warning [{pid}]: can not open file {path} for checking");
            }
            Look::Changed => {
                tracing::info!(
                    "Configuration file '{}' has changed on disk",
                    self.config.display()
                );
                self.callback_due = true;
                if self.process.autoreload {
                    tracing::info!(" - reread new configuration");
                    self.begin_reload();
                } else {
                    tracing::info!(" - ignore new configuration");
                    self.call_back();
                }
            }
        }
    }

    pub(super) fn begin_reload(&mut self) {
        match self.reload {
            Reload::None => {
                self.manager.reloading();
                let path = self.config.clone();
                let task = tokio::task::spawn_blocking(move || load::load(&path, Purpose::Follow));
                self.reload = Reload::Reading(task);
            }
            // What is being read may be older than what we are told to read.
            Reload::Reading(_) | Reload::Asking(_) => self.reload_again = true,
        }
    }

    pub(super) fn take_reading(&mut self, loaded: io::Result<Reading>) {
        let reading = match loaded {
            Ok(reading) => reading,
            Err(error) => {
                tracing::error!("{}", load::cannot_open(&self.config, &error));
                return self.keep_configuration();
            }
        };
        let remarks = reading.remarks();
        if !remarks.is_empty() {
            tracing::warn!("{}", remarks.trim_end());
        }
        self.watch = Watch::new(reading.seen);
        match reading.desired {
            Some(desired) => {
                self.reload = Reload::Asking(Box::new(desired));
                self.kernel.ask_for_table();
            }
            None => self.keep_configuration(),
        }
    }

    /// Differs from ldirectord: a file with a fault changes nothing. There it ends the checks and resets the settings.
    fn keep_configuration(&mut self) {
        tracing::error!(
            "{} is not followed, the configuration in force stays",
            self.config.display()
        );
        self.after_reload();
    }

    pub(super) fn finish_reload(&mut self, table: Result<Table, KernelError>) {
        let Reload::Asking(desired) = mem::take(&mut self.reload) else { return };
        let observed = table.unwrap_or_else(|error| {
            tracing::error!("{error}");
            Table::default()
        });
        if desired.process.log != self.process.log {
            self.log.redirect(desired.process.log.clone());
        }
        if let Some(Err(error)) = self.pid_file.as_ref().map(PidFile::renew) {
            tracing::warn!("cannot write the pid file: {error}");
        }
        self.process = desired.process.clone();
        self.outlets.follow(&desired);
        self.attempts.follow(&desired.checks);
        self.runner.follow(&desired.checks);
        let now = self.clock.now();
        self.look_at = now.after(self.process.interval.max(SHORTEST_LOOK));
        self.director.handle(Event::Reloaded { desired, observed: Box::new(observed) }, now);
        self.after_reload();
    }

    fn after_reload(&mut self) {
        self.call_back();
        if mem::take(&mut self.reload_again) {
            self.begin_reload();
        } else {
            self.manager.reloaded();
        }
    }

    /// Runs the operator's program if the file has changed; on success and on failure, as ldirectord does.
    fn call_back(&mut self) {
        if mem::take(&mut self.callback_due)
            && let Some(program) = &self.process.callback
        {
            self.hooks.callback(program, &self.config.to_string_lossy());
        }
    }
}
