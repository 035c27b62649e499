//! Reading the configuration again: when the file has changed, or a signal asks for it.
//!
//! The file is read beside the loop, then the kernel is asked what it has; only then does the director hear of it.

use std::{io, mem};

use tokio::task::JoinHandle;

use super::{
    Daemon, SHORTEST_LOOK, Wake, clock, files,
    load::{self, Purpose, Reading},
    maintenance::{Known, Place},
    pidfile::PidFile,
    privileges::Settled,
    watch::{Look, Loss, Watch},
};
use crate::{
    director::{Event, user},
    ipvs::{KernelError, Table},
    model::Desired,
    sinks::notice,
};

/// How far a reload has come.
#[derive(Debug, Default)]
pub(super) enum Reload {
    #[default]
    None,
    /// The file is being read.
    Reading(JoinHandle<io::Result<Reading>>),
    /// The maintenance directory is being read, for what the file asks for.
    FindingOut(JoinHandle<Known>, Box<Desired>),
    /// The kernel is being asked what it has.
    Asking(Box<Desired>, Box<Known>),
}

impl Reload {
    pub(super) async fn next(&mut self) -> Wake {
        match self {
            Reload::Reading(task) => {
                let loaded = task.await.unwrap_or_else(|error| Err(io::Error::other(error)));
                *self = Reload::None;
                Wake::Loaded(loaded)
            }
            Reload::FindingOut(task, _) => {
                let known = task.await.unwrap_or_default();
                Wake::Known(Box::new(known))
            }
            Reload::None | Reload::Asking(..) => std::future::pending().await,
        }
    }
}

impl Daemon {
    pub(super) fn look(&mut self) {
        let look = self.watch.look();
        let wait = match look {
            Look::Unsettled => SHORTEST_LOOK,
            _ => self.process.interval.max(SHORTEST_LOOK),
        };
        self.look_at = self.clock.now().after(wait);
        let (pid, path) = (std::process::id(), self.config.display());
        match look {
            Look::Same | Look::Unsettled => {}
            Look::Lost(Loss::Unreadable) => {
                tracing::warn!(event = "configuration-gone", %path, "Warning [{pid}]: can not open file {path} for checking");
                if let Err(error) = files::read(&self.config) {
                    tracing::warn!("hint: {error}");
                }
            }
            Look::Lost(Loss::Empty) => {
                tracing::warn!(
                    event = "configuration-empty",
                    %path,
                    "Configuration file '{path}' is empty and not followed; if that is meant, reload"
                );
            }
            Look::Changed => {
                tracing::info!(event = "configuration-changed", %path, "Configuration file '{path}' has changed on disk");
                self.callback_due = true;
                if self.process.autoreload {
                    tracing::info!(event = "reload", " - reread new configuration");
                    self.reload_seen = true;
                    self.begin_reload();
                } else {
                    tracing::info!(event = "configuration-ignored", " - ignore new configuration");
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
            Reload::Reading(_) | Reload::FindingOut(..) | Reload::Asking(..) => {
                self.reload_again = true
            }
        }
    }

    pub(super) fn take_reading(&mut self, loaded: io::Result<Reading>) {
        let is_seen = |reading: &Reading| self.watch.has_seen(&reading.seen);
        if mem::take(&mut self.reload_seen) && !loaded.as_ref().is_ok_and(is_seen) {
            // It was changed again since it was looked at. The next look that sees it settled comes back to it.
            self.watch.forget();
            self.look_at = self.clock.now().after(SHORTEST_LOOK);
            return self.after_reload();
        }
        let reading = match loaded {
            Ok(reading) => reading,
            Err(error) => {
                let (path, errno) = (self.config.display(), error.raw_os_error());
                tracing::error!(event = "configuration-fault", %path, errno, "{}", load::cannot_open(&self.config, &error));
                return self.keep_configuration();
            }
        };
        let remarks = reading.remarks();
        if !remarks.is_empty() {
            tracing::warn!(event = "configuration-remarks", "{}", remarks.trim_end());
        }
        self.watch = Watch::new(reading.seen);
        match reading.desired {
            Some(desired) => {
                let (desired, names) = (Box::new(desired), self.maintenance.names());
                let task = tokio::spawn(Known::find_out(Place::of(&desired), names));
                self.reload = Reload::FindingOut(task, desired);
            }
            None => self.keep_configuration(),
        }
    }

    pub(super) fn take_known(&mut self, known: Known) {
        if let Reload::FindingOut(_, desired) = mem::take(&mut self.reload) {
            self.reload = Reload::Asking(desired, Box::new(known));
            self.kernel.ask_for_table();
        }
    }

    /// Differs from ldirectord: a file with a fault changes nothing. There it ends the checks and resets the settings.
    fn keep_configuration(&mut self) {
        let path = self.config.display();
        tracing::error!(event = "reload-refused", %path, "{path} is not followed, the configuration in force stays");
        self.after_reload();
    }

    pub(super) fn finish_reload(&mut self, table: Result<Table, KernelError>) {
        let Reload::Asking(desired, known) = mem::take(&mut self.reload) else { return };
        let observed = table.unwrap_or_else(|error| {
            notice::log_fault(&error);
            Table::default()
        });
        let (next, now) = (&desired.process, &self.process);
        if (&next.log, next.log_format) != (&now.log, now.log_format) {
            self.log.redirect(next.log.clone(), next.log_format);
            if let Some(doubt) = self.log.doubt(&next.log) {
                tracing::warn!(event = "log-moved", "{doubt}");
            }
        }
        if let Some(Err(error)) = self.pid_file.as_ref().map(PidFile::renew) {
            tracing::warn!("cannot write the pid file: {error}");
        }
        let Settled { user, was_root, .. } = &self.settled;
        if let Some(told) = user::out_of_reach(&desired, user, *was_root) {
            tracing::warn!("{told}");
        }
        self.process = desired.process.clone();
        self.children.follow(&self.process.execute, &mut self.hooks);
        self.outlets.follow(&desired);
        self.attempts.follow(&desired.checks);
        self.runner.follow(&desired.checks);
        self.about.loaded = clock::wall();
        let now = self.clock.now();
        self.look_at = now.after(self.process.interval.max(SHORTEST_LOOK));
        self.maintenance.follow(*known, now);
        self.director.handle(Event::Maintenance(self.maintenance.maintenance()), now);
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
