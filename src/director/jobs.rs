//! From what is to be done about the kernel to the job that says so, and to what is still ours afterwards.

use super::{
    Action, Director, End,
    rounds::{Failed, Round},
    service::Service,
};
use crate::{
    ipvs::{Change, Job, Report, SyncTarget, Target},
    model::{Drift, ServiceKey, SyncRole},
};

impl Director {
    pub(super) fn job(&self, round: &Round) -> Job {
        match round {
            Round::Everything => Job::Everything(self.target()),
            Round::Drift if self.drift == Drift::Repair => Job::Drift(self.target_when(false)),
            Round::Drift => Job::Look(self.target_when(false)),
            Round::Again(failed) => Job::Services(Target {
                services: (failed.services.iter())
                    .filter_map(|key| Some((*key, self.service(*key)?.wish(true))))
                    .collect(),
                owned: failed.services.clone(),
                sync: SyncTarget {
                    daemons: (failed.sync.iter())
                        .filter_map(|role| Some((*role, self.sync.daemons.get(role)?.clone())))
                        .collect(),
                    owned: failed.sync.clone(),
                },
            }),
            Round::Servers(servers) => Job::Changes(
                (servers.iter())
                    .filter_map(|&(service, server)| {
                        let wanted = self.service(service)?.wanted(server, false);
                        Some(Change { service, server, wanted })
                    })
                    .collect(),
            ),
        }
    }

    pub(super) fn target_when(&self, fresh: bool) -> Target {
        let wish = |service: &Service| (service.config().key, service.wish(fresh));
        Target {
            services: self.services.iter().map(wish).collect(),
            owned: self.owned.clone(),
            sync: self.sync.clone(),
        }
    }

    /// Lets go of services and sync daemons that have left the file and the kernel.
    pub(super) fn disown(&mut self, round: &Round, report: &Report) {
        let tried = match round {
            Round::Everything => {
                self.fresh = false;
                Failed { services: self.owned.clone(), sync: self.sync.owned.clone() }
            }
            Round::Again(failed) => failed.clone(),
            Round::Servers(_) | Round::Drift => return,
        };
        let failed = Failed::of(report);
        let (index, daemons) = (&self.index, &self.sync.daemons);
        self.owned.retain(|key| {
            let leaves = tried.services.contains(key) && !index.contains_key(key);
            !leaves || failed.services.contains(key)
        });
        self.sync.owned.retain(|role| {
            let leaves = tried.sync.contains(role) && !daemons.contains_key(role);
            !leaves || failed.sync.contains(role)
        });
    }

    /// The last job: what the configuration does not want to outlive the daemon.
    pub(super) fn clean_up(&mut self) {
        let orphans = self.owned.iter().filter(|key| !self.index.contains_key(key)).copied();
        let services: Vec<ServiceKey> = (self.services.iter())
            .filter(|service| service.config().clean_stop)
            .map(|service| service.config().key)
            .chain(orphans)
            .collect();
        let leaves = |role: &&SyncRole| self.stops_sync || !self.sync.daemons.contains_key(role);
        let sync: Vec<SyncRole> = self.sync.owned.iter().filter(leaves).copied().collect();
        if services.is_empty() && sync.is_empty() {
            self.finish();
        } else {
            self.end = End::Deleting;
            self.rounds.begin_last();
            self.actions.push_back(Action::Reconcile(Box::new(Job::Delete { services, sync })));
        }
    }
}
