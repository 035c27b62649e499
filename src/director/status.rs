//! How things stand: what the director knows of every server, for whoever shows it.
//!
//! Nobody decides by what is kept here. Since when a server has been as it is, is known as far back as this director goes:
//! a reload keeps it, a restart does not.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use super::{Director, Phase, Place, Role, service::Service};
use crate::{
    model::{
        CheckId, CheckSpec, Checked, Condition, Failure, ServiceKey, Share, Verdict, VirtualService,
    },
    time::Moment,
};

/// How everything stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// What the daemon is doing as a whole.
    pub phase: Phase,
    /// The virtual services, in the order of the file.
    pub services: Vec<ServiceStatus>,
}

/// How a virtual service stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceStatus {
    /// What clients reach.
    pub key: ServiceKey,
    /// Its name for people (`servicename`).
    pub name: Option<String>,
    /// A remark for people (`comment`).
    pub comment: Option<String>,
    /// How many of its real servers serve.
    pub serving: usize,
    /// How many failed checks in a row take a server down.
    pub failure_count: u32,
    /// How many passed checks in a row bring back a server that is down.
    pub rise_count: u32,
    /// Its real servers in the order of the file, then its fallback if it has one.
    pub servers: Vec<ServerStatus>,
}

/// How a server stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerStatus {
    /// Which.
    pub place: Place,
    /// How it is.
    pub condition: Condition,
    /// Since when; of a fallback nobody knows.
    pub since: Option<Moment>,
    /// Why its last check failed, if it did.
    pub failure: Option<Arc<Failure>>,
    /// What the file says that it gets when it serves.
    pub share: Share,
    /// How many checks in a row have failed while it is up.
    pub failures: u32,
    /// How many have passed while it is down.
    pub passes: u32,
    /// What asks whether it works, and when it is asked next unless it is being asked; none with `checktype` of `on` and
    /// `off`.
    pub check: Option<(Arc<CheckSpec>, Option<Moment>)>,
}

/// What is known of one real server beside its health.
#[derive(Clone, Debug)]
struct Known {
    condition: Condition,
    since: Moment,
    failure: Option<Arc<Failure>>,
}

/// What is known of all real servers, by their places in services and in them.
#[derive(Clone, Debug, Default)]
pub(super) struct Chronicle(Vec<Vec<Known>>);

impl Chronicle {
    /// The same after a start or reload: what is known of servers that stay is kept.
    pub(super) fn follow(&mut self, before: &[Service], services: &[Service], now: Moment) {
        let mut known: BTreeMap<(ServiceKey, SocketAddr), Known> = BTreeMap::new();
        for (service, servers) in before.iter().zip(std::mem::take(&mut self.0)) {
            let VirtualService { key, servers: written, .. } = service.config();
            let written = written.iter().map(|server| (*key, server.written));
            known.extend(written.zip(servers));
        }
        let mut begin = |service: &Service, place: usize, written| {
            let condition = service.condition(place);
            match known.remove(&(service.config().key, written)) {
                Some(known) if is_like(known.condition, condition) => known,
                _ => Known { condition, since: now, failure: None },
            }
        };
        self.0 = (services.iter())
            .map(|service| {
                let servers = service.config().servers.iter().enumerate();
                servers.map(|(place, server)| begin(service, place, server.written)).collect()
            })
            .collect();
    }

    /// Something may have happened to the server at this place of that service.
    fn note(&mut self, (service, server): (usize, usize), condition: Condition, now: Moment) {
        let known = self.0.get_mut(service).and_then(|servers| servers.get_mut(server));
        let Some(known) = known else { return };
        if !is_like(known.condition, condition) {
            known.since = now;
        }
        known.condition = condition;
    }

    /// A check of it has ended.
    fn note_verdict(&mut self, (service, server): (usize, usize), verdict: &Verdict) {
        let known = self.0.get_mut(service).and_then(|servers| servers.get_mut(server));
        let Some(known) = known else { return };
        match verdict {
            Ok(_) => known.failure = None,
            Err(failure) if known.failure.as_deref() == Some(failure) => {}
            Err(failure) => known.failure = Some(Arc::new(failure.clone())),
        }
    }
}

impl Director {
    /// How everything stands.
    pub fn status(&self) -> Status {
        let services = (self.services.iter().zip(&self.chronicle.0))
            .map(|(service, known)| self.status_of(service, known));
        Status { phase: self.phase, services: services.collect() }
    }

    /// A verdict or the word of an agent was taken for the server at this place of that service.
    pub(super) fn observe(&mut self, place: (usize, usize), verdict: Option<&Verdict>) {
        let Some(service) = self.services.get(place.0) else { return };
        if let Some(verdict) = verdict {
            self.chronicle.note_verdict(place, verdict);
        }
        self.chronicle.note(place, service.condition(place.1), self.now);
    }

    /// Something may have happened to every server.
    pub(super) fn observe_all(&mut self) {
        for (number, service) in self.services.iter().enumerate() {
            for place in 0..service.config().servers.len() {
                self.chronicle.note((number, place), service.condition(place), self.now);
            }
        }
    }

    fn status_of(&self, service: &Service, known: &[Known]) -> ServiceStatus {
        let config = service.config();
        let mut servers: Vec<ServerStatus> = (config.servers.iter().zip(known).enumerate())
            .filter_map(|(number, (server, known))| {
                let (failures, passes) = service.counts(number);
                Some(ServerStatus {
                    place: service.place(number)?,
                    condition: service.condition(number),
                    since: Some(known.since),
                    failure: known.failure.clone(),
                    share: server.share,
                    failures,
                    passes,
                    check: match server.checked {
                        Checked::By(check) => self.check_of(check),
                        Checked::AlwaysUp | Checked::Never => None,
                    },
                })
            })
            .collect();
        servers.extend(config.fallback.map(|fallback| ServerStatus {
            place: Place {
                service: config.key,
                server: fallback.key,
                written: fallback.written,
                role: Role::Fallback,
            },
            condition: match service.needs_fallback() {
                true => Condition::Up,
                false => Condition::Standby,
            },
            since: None,
            failure: None,
            share: fallback.share,
            failures: 0,
            passes: 0,
            check: None,
        }));
        ServiceStatus {
            key: config.key,
            name: config.name.clone(),
            comment: config.comment.clone(),
            serving: service.serving_count(),
            failure_count: config.failure_count.get(),
            rise_count: config.rise_count.get(),
            servers,
        }
    }

    fn check_of(&self, check: CheckId) -> Option<(Arc<CheckSpec>, Option<Moment>)> {
        self.schedule.shared_spec(check).map(|spec| (spec, self.schedule.next_of(check)))
    }
}

/// Whether nothing has changed that people would call a change: a check that failed is not yet one.
fn is_like(one: Condition, other: Condition) -> bool {
    one == other || (one.serves() && other.serves())
}
