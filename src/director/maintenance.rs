//! Servers that somebody took out of service for maintenance.
//!
//! They are down whatever their checks and agents say, and these rest: nobody is asked. What came before is forgotten,
//! so that the first check afterwards decides, as at a start.

use std::{collections::BTreeSet, mem};

use super::{Director, News, Place, index};
use crate::{
    model::{CheckId, Maintenance},
    time::Moment,
};

impl Director {
    /// These servers are in maintenance from now on, and no others.
    pub(super) fn take_maintenance(&mut self, maintenance: Maintenance, now: Moment) {
        self.maintenance = maintenance;
        for (service, place) in self.maintain(now) {
            self.note_transition(service, place);
        }
        self.observe_all();
    }

    /// Puts the servers into maintenance that are in it, and tells of those that were not or no longer are. Which of
    /// them the kernel should hold otherwise, and in which services.
    pub(super) fn maintain(&mut self, now: Moment) -> Vec<(usize, Place)> {
        let (mut inside, mut left, mut transitions) = (BTreeSet::new(), Vec::new(), Vec::new());
        let (mut awake, before) = (Vec::new(), mem::take(&mut self.in_maintenance));
        for (service_place, service) in self.services.iter_mut().enumerate() {
            for server_place in 0..service.config().servers.len() {
                let Some(place) = service.place(server_place) else { continue };
                let begins = self.maintenance.holds(place.written);
                if service.maintain(server_place, begins) {
                    transitions.push((service_place, place));
                }
                if begins {
                    inside.insert(place);
                } else if before.contains(&place) {
                    left.push(place);
                    awake.extend(service.all_checks_of(server_place));
                }
            }
        }
        for place in inside.difference(&before) {
            self.publish(News::Maintenance(*place, true));
        }
        for place in left {
            self.publish(News::Maintenance(place, false));
        }
        if !(before.is_empty() && inside.is_empty()) {
            let orphans = self.schedule.rest(&self.resting());
            self.actions.extend(orphans.into_iter().map(super::Action::CancelCheck));
            self.schedule.hasten(awake, now);
        }
        self.in_maintenance = inside;
        transitions
    }

    /// The checks all of whose servers are in maintenance.
    fn resting(&self) -> BTreeSet<CheckId> {
        let mut resting = BTreeSet::new();
        for users in self.users.chunk_by(|(one, ..), (other, ..)| one == other) {
            let is_in_maintenance = |(_, service, server): &(CheckId, u32, u32)| {
                let service = self.services.get(index(*service));
                service.is_some_and(|service| service.is_in_maintenance(index(*server)))
            };
            if users.iter().all(is_in_maintenance) {
                resting.extend(users.first().map(|(check, ..)| *check));
            }
        }
        resting
    }

    /// A check is due whose servers are all in maintenance.
    pub(super) fn skip(&mut self, check: CheckId) {
        for (service, server) in self.users_of(check) {
            self.tell_maintenance(service, server);
        }
    }

    /// A check of this server came to nothing because it is in maintenance.
    pub(super) fn tell_maintenance(&mut self, service: usize, server: usize) {
        let service = self.services.get(service);
        let monitored = service.filter(|service| service.config().monitor_file.is_some());
        if let Some(place) = monitored.and_then(|service| service.place(server)) {
            self.publish(News::InMaintenance(place));
        }
    }
}
