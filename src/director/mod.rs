//! The decisions: which check is due, which server works, what the kernel's table should be because of that.
//!
//! In go [`Event`]s and the passing of time, each with a [`Moment`]; out come [`Action`]s.
//! There is no socket, file, clock, thread or random number in here: the same events give the same actions.
//! Nothing in here blocks, fails or panics, whatever the order of events; `tests/simulation.rs` tries.
//!
//! The shell calls [`Director::handle`] or [`Director::handle_timeout`], then [`Director::poll_action`] until it
//! answers `None`, then waits for the next event or for [`Director::poll_timeout`].

mod action;
mod agent;
mod alerts;
mod announce;
mod certificates;
mod event;
mod health;
mod jobs;
mod maintenance;
mod remembered;
mod rounds;
mod schedule;
mod service;
mod status;
pub mod user;
mod verdicts;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
};

pub use action::{Action, Attempt, News, Notice, Phase, Place, Role};
pub use alerts::{Alert, Message};
pub use event::Event;
pub use status::{ServerStatus, ServiceStatus, Status};

use self::{
    alerts::Alerts,
    certificates::Certificates,
    health::Pace,
    rounds::{Round, Rounds},
    schedule::Schedule,
    service::Service,
    status::Chronicle,
};
use crate::{
    ipvs::{Report, SyncTarget, Table, Target},
    model::{CheckId, CheckSpec, Checked, Desired, Drift, Maintenance, ServerKey, ServiceKey},
    time::Moment,
};

/// For how many actions room is kept.
const QUEUE: usize = 64;

/// The decision core.
#[derive(Debug)]
pub struct Director {
    phase: Phase,
    services: Vec<Service>,
    /// Where each service is in `services`.
    index: BTreeMap<ServiceKey, usize>,
    /// Which servers each check speaks for, ordered by check: places of services, and of servers in them.
    users: Vec<(CheckId, u32, u32)>,
    schedule: Schedule,
    rounds: Rounds,
    /// The services that we may change or delete: those of the configuration, and those that it had and the
    /// kernel still may have.
    owned: BTreeSet<ServiceKey>,
    /// The sync daemons that should run; those roles are ours that the configuration has or had.
    sync: SyncTarget,
    /// Whether the sync daemons stop at the end.
    stops_sync: bool,
    /// Whether the next look at everything follows a start or reload.
    fresh: bool,
    /// What becomes of what somebody else deleted.
    drift: Drift,
    /// Of each service, whether its fallback was last told to be needed.
    fallback_told: BTreeMap<ServiceKey, bool>,
    /// Who is in maintenance, and which of the configuration's servers were last told to be.
    maintenance: Maintenance,
    in_maintenance: BTreeSet<Place>,
    certificates: Certificates,
    /// How many checks were last told not to verify certificates.
    unverified_told: usize,
    alerts: Alerts,
    chronicle: Chronicle,
    /// The moment of what happened last.
    now: Moment,
    actions: VecDeque<Action>,
    end: End,
}

/// How far the end has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// It was not asked for.
    Far,
    /// The services have to be deleted.
    Asked,
    /// What is with the kernel has to end, and the services stay.
    Leaving,
    /// They are being deleted.
    Deleting,
    /// Nothing is left to do.
    Reached,
}

impl Director {
    /// Begins from what the kernel has, without disturbing it: a server at work there serves until a check fails.
    pub fn new(desired: Desired, observed: &Table, now: Moment) -> Director {
        Director::with_maintenance(desired, Maintenance::default(), observed, now)
    }

    /// The same with servers in maintenance, which are not taken into service for a moment.
    pub fn with_maintenance(
        desired: Desired,
        maintenance: Maintenance,
        observed: &Table,
        now: Moment,
    ) -> Director {
        let mut director = Director {
            phase: Phase::Starting,
            services: Vec::new(),
            index: BTreeMap::new(),
            users: Vec::new(),
            schedule: Schedule::new(&desired.checks, now),
            rounds: Rounds::new(now),
            owned: BTreeSet::new(),
            sync: SyncTarget::default(),
            stops_sync: true,
            fresh: true,
            drift: Drift::default(),
            fallback_told: BTreeMap::new(),
            maintenance,
            in_maintenance: BTreeSet::new(),
            certificates: Certificates::default(),
            unverified_told: 0,
            alerts: Alerts::default(),
            chronicle: Chronicle::default(),
            now,
            actions: VecDeque::new(),
            end: End::Far,
        };
        director.follow(desired, observed);
        director.settle(now);
        director
    }

    /// Something happened. Afterwards every `poll_` may answer otherwise.
    pub fn handle(&mut self, event: Event, now: Moment) {
        self.now = now;
        match event {
            Event::CheckFinished { attempt, verdict } => self.take_verdict(attempt, &verdict, now),
            Event::CertificateShown { attempt, end, now } => {
                self.see_certificate(attempt, end, now)
            }
            Event::AgentAnswered { attempt, answer } => self.take_answer(attempt, &answer, now),
            Event::Reconciled(report) => self.take_report(&report, now),
            Event::Reloaded { desired, observed } => self.reload(*desired, &observed, now),
            Event::Maintenance(_) if self.end != End::Far => {}
            Event::Maintenance(maintenance) => self.take_maintenance(maintenance, now),
            Event::Stop => self.stop(End::Asked),
            Event::Leave => self.stop(End::Leaving),
        }
        self.settle(now);
    }

    /// Time has passed. To be called at the latest at [`Director::poll_timeout`]; a call too many is harmless.
    pub fn handle_timeout(&mut self, now: Moment) {
        self.now = now;
        self.settle(now);
    }

    /// When [`Director::handle_timeout`] must be called next, if nothing else happens.
    /// May be earlier after any call that is given a [`Moment`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        if self.end != End::Far {
            return None;
        }
        let timeouts =
            [self.schedule.next_due(), self.rounds.next_timeout(), self.alerts.next_timeout()];
        timeouts.into_iter().flatten().min()
    }

    /// What the shell must do next; to be called until it answers `None`.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        if action.is_none() {
            // A mass event must not cost its memory for ever.
            self.actions.shrink_to(QUEUE);
        }
        action
    }

    /// What the kernel should hold now.
    pub fn target(&self) -> Target {
        self.target_when(self.fresh)
    }

    /// Whether every server has been checked once since the start, and the kernel has heard of it.
    pub fn has_started(&self) -> bool {
        self.phase != Phase::Starting
    }

    /// Whether a real server of this service with this key is known to work, and its agent lets it serve.
    pub fn is_up(&self, service: ServiceKey, server: ServerKey) -> bool {
        self.service(service).is_some_and(|service| service.is_serving(server))
    }

    /// The checks that speak for the real server of this service with this key: one, unless the file has it twice.
    pub fn checks_of(
        &self,
        service: ServiceKey,
        server: ServerKey,
    ) -> impl Iterator<Item = &CheckSpec> {
        let checks =
            self.service(service).into_iter().flat_map(move |service| service.checks_of(server));
        checks.filter_map(|check| self.schedule.spec(check))
    }

    fn service(&self, key: ServiceKey) -> Option<&Service> {
        self.services.get(*self.index.get(&key)?)
    }

    /// Makes this configuration the one that is followed; keeps what is known of servers that stay.
    fn follow(&mut self, desired: Desired, observed: &Table) {
        let before = mem::take(&mut self.services);
        let before_index = mem::take(&mut self.index);
        let known = |key| before_index.get(&key).and_then(|&place| before.get(place));
        self.services = (desired.services.into_iter())
            .map(|config| {
                let entry = observed.services.get(&config.key);
                match known(config.key) {
                    Some(service) => Service::reloaded(config, service, entry),
                    None => Service::warm(config, entry),
                }
            })
            .collect();
        remembered::leave_the_others(&mut self.services, observed);
        self.index = (self.services.iter().enumerate())
            .map(|(place, service)| (service.config().key, place))
            .collect();
        self.owned.extend(self.index.keys());
        let index = &self.index;
        self.fallback_told.retain(|key, _| index.contains_key(key));
        self.users = users(&self.services);
        self.certificates.follow(&desired.checks.iter().map(|check| check.target).collect());
        self.tell_unverified(desired.unverified);
        self.alerts.follow(&self.services, self.now);
        self.maintain(self.now);
        self.chronicle.follow(&before, &self.services, self.now);
        self.fresh = true;
        self.rounds.note_everything();
        self.drift = desired.process.drift;
        self.sync.owned.extend(desired.process.sync.keys());
        self.sync.daemons = desired.process.sync;
        self.stops_sync = desired.process.clean_stop;
        self.rounds.look_for_drift(self.drift != Drift::Off);
        for place in 0..self.services.len() {
            self.tell_fallback(place);
        }
    }

    fn reload(&mut self, desired: Desired, observed: &Table, now: Moment) {
        if self.end != End::Far {
            return;
        }
        self.phase = Phase::Reloading;
        let orphans = self.schedule.reload(&desired.checks, now);
        self.actions.extend(orphans.into_iter().map(Action::CancelCheck));
        self.follow(desired, observed);
        let unknown = (self.services.iter().flat_map(Service::unknown)).filter_map(|server| {
            match server.checked {
                Checked::By(check) => Some(check),
                Checked::AlwaysUp | Checked::Never => None,
            }
        });
        let unasked = self.services.iter().flat_map(Service::unasked);
        let unknown: BTreeSet<CheckId> = unknown.chain(unasked).collect();
        self.schedule.hasten(unknown, now);
        let mut paces: BTreeMap<CheckId, Pace> = BTreeMap::new();
        for &(check, service, server) in &self.users {
            let pace = self.pace(check, index(service), index(server));
            paces.entry(check).and_modify(|known| *known = pace.max(*known)).or_insert(pace);
        }
        self.schedule.keep_pace(paces, now);
    }

    fn stop(&mut self, end: End) {
        if self.end != End::Far {
            return;
        }
        self.phase = Phase::Stopping;
        self.end = end;
        self.actions.extend(self.schedule.clear().into_iter().map(Action::CancelCheck));
    }

    /// Tells how many checks do not verify certificates, where there are any and it was another number before.
    fn tell_unverified(&mut self, count: usize) {
        if mem::replace(&mut self.unverified_told, count) != count && count > 0 {
            self.publish(News::Unverified(count));
        }
    }

    /// A server began or ceased to serve: it and the fallback may have to change in the kernel.
    fn note_transition(&mut self, service_place: usize, place: Place) {
        self.rounds.note_server(place.service, place.server);
        let fallback = self.services.get(service_place).and_then(|s| s.config().fallback);
        if let Some(fallback) = fallback {
            self.rounds.note_server(place.service, fallback.key);
        }
        self.tell_fallback(service_place);
    }

    /// A server was never known to work: of what became of it in the kernel before nobody was told by mail.
    fn tell_inaccessible(&mut self, service_place: usize, place: Place) {
        let service = self.services.get(service_place);
        if service.is_some_and(|service| !service.config().alerts.recipients.is_empty()) {
            self.publish(News::ServerInaccessible(place));
        }
    }

    fn tell_fallback(&mut self, service_place: usize) {
        let Some(service) = self.services.get(service_place) else { return };
        let (key, needed) = (service.config().key, service.needs_fallback());
        if self.fallback_told.insert(key, needed) != Some(needed) {
            self.publish(News::FallbackNeeded(key, needed));
        }
    }

    fn take_report(&mut self, report: &Report, now: Moment) {
        let Some(round) = self.rounds.finish(report, now) else { return };
        if self.end == End::Deleting {
            self.end = End::Reached;
        }
        for news in self.news_of(report) {
            self.publish(news);
        }
        for fault in self.rounds.news_of_faults(report) {
            self.publish(News::KernelFault(fault));
        }
        if round == Round::Drift {
            for news in self.rounds.news_of_drift(report) {
                self.publish(news);
            }
        }
        // What a newer configuration asks for is still to be done, and to be owned.
        if report.unread.is_none() && !self.rounds.wants_everything() {
            self.disown(&round, report);
        }
        if self.end == End::Reached {
            self.end_fallbacks();
            self.finish();
        }
    }

    /// What was begun because a fallback was needed ends with its service.
    ///
    /// Differs from ldirectord: there nobody hears that a service ends whose fallback serves.
    fn end_fallbacks(&mut self) {
        for place in 0..self.services.len() {
            let Some(service) = self.services.get(place) else { continue };
            let key = service.config().key;
            if service.config().clean_stop && self.fallback_told.insert(key, false) == Some(true) {
                self.publish(News::FallbackNeeded(key, false));
            }
        }
    }

    /// Begins what is due and asks for what the kernel needs.
    fn settle(&mut self, now: Moment) {
        match self.end {
            End::Far => {
                loop {
                    if let Some(check) = self.schedule.skip_next(now) {
                        self.skip(check);
                    } else if let Some((attempt, check, stage)) = self.schedule.start_next(now) {
                        self.actions.push_back(Action::StartCheck { attempt, check, stage });
                    } else {
                        break;
                    }
                }
                if let Some(round) = self.rounds.next(now) {
                    let job = self.job(&round);
                    self.actions.push_back(Action::Reconcile(Box::new(job)));
                }
                if self.schedule.all_seen() && !self.rounds.is_busy() {
                    self.phase = Phase::Running;
                }
                while let Some(place) = self.alerts.next_reminder(now) {
                    self.publish(News::ServerInaccessible(place));
                }
                while let Some(message) = self.alerts.next_message(now) {
                    self.actions.push_back(Action::Send(message));
                }
            }
            End::Asked if !self.rounds.is_busy() => self.clean_up(),
            End::Leaving if !self.rounds.is_busy() => self.finish(),
            End::Asked | End::Leaving | End::Deleting | End::Reached => {}
        }
        self.check_invariants();
    }

    fn finish(&mut self) {
        self.end = End::Reached;
        while let Some(message) = self.alerts.last_message(self.now) {
            self.actions.push_back(Action::Send(message));
        }
        self.actions.push_back(Action::Finish);
    }

    fn publish(&mut self, news: News) {
        let notice = Notice { phase: self.phase, news };
        let key = match &notice.news {
            News::ServerPurged(service, _) => Some(service),
            news => news.place().map(|place| &place.service),
        };
        if let Some(place) = key.and_then(|key| self.index.get(key))
            && let Some(service) = self.services.get(*place)
        {
            self.alerts.hear(&notice, service, self.now);
        }
        self.actions.push_back(Action::Publish(notice));
    }

    /// What must hold after every call; costs as much as everything there is, so only where tests run.
    fn check_invariants(&self) {
        if cfg!(debug_assertions) {
            self.schedule.check_invariants();
            self.services.iter().for_each(Service::check_invariants);
            debug_assert_eq!(self.index.len(), self.services.len(), "services have different keys");
            debug_assert!(self.index.keys().all(|key| self.owned.contains(key)));
        }
    }
}

/// Which servers each check speaks for, ordered by check and then as in the file.
fn users(services: &[Service]) -> Vec<(CheckId, u32, u32)> {
    let mut users = Vec::new();
    for (service_place, service) in (0u32..).zip(services) {
        for (server_place, server) in (0u32..).zip(&service.config().servers) {
            if let Checked::By(check) = server.checked {
                users.push((check, service_place, server_place));
            }
            if let Some(agent) = server.agent {
                users.push((agent, service_place, server_place));
            }
        }
    }
    users.sort_unstable();
    users.shrink_to_fit();
    users
}

fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}
