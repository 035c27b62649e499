//! Which job the kernel's owner gets next: never two at a time, the most urgent first, faults tried again.
//!
//! Between jobs it only notes what should change, so a thousand transitions during one job become one job.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::News;
use crate::{
    ipvs::{KernelError, Op, Piece, Report, SyncReport},
    model::{ServerKey, ServiceKey, SyncRole},
    time::Moment,
};

/// How long after a fault it is tried again the first time; doubled each time that it fails again.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest wait before a fault is tried again.
const LAST_RETRY: Duration = Duration::from_secs(60);
/// How often the whole table is looked at for what somebody else changed.
const DRIFT_INTERVAL: Duration = Duration::from_secs(30);

/// What is remembered of a piece of the table that somebody else changed.
const DRIFTED: &str = "drifted";
/// What is remembered of one that somebody else deleted.
const MISSING: &str = "missing";

/// What the next job should be about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Round {
    /// Everything we own, to the letter of the configuration.
    Everything,
    /// These services and sync daemons, to the letter: an earlier job failed at them.
    Again(Failed),
    /// These servers.
    Servers(BTreeSet<(ServiceKey, ServerKey)>),
    /// Whatever somebody else changed.
    Drift,
}

/// What failed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Failed {
    pub(super) services: BTreeSet<ServiceKey>,
    pub(super) sync: BTreeSet<SyncRole>,
}

impl Failed {
    /// What failed in a job that could be tried.
    pub(super) fn of(report: &Report) -> Failed {
        let services = report.done.iter().filter(|(_, result)| result.is_err());
        let sync = report.sync.done.iter().filter(|(_, result)| result.is_err());
        Failed {
            services: services.map(|(op, _)| op.service()).collect(),
            sync: sync.map(|(op, _)| op.role()).collect(),
        }
    }

    fn extend(&mut self, other: Failed) {
        self.services.extend(other.services);
        self.sync.extend(other.sync);
    }
}

/// When what failed is tried again.
#[derive(Debug)]
struct Retry {
    at: Option<Moment>,
    wait: Duration,
}

impl Retry {
    const IDLE: Retry = Retry { at: None, wait: FIRST_RETRY };

    fn is_due(&self, now: Moment) -> bool {
        self.at.is_none_or(|at| at <= now)
    }

    /// A job has ended, after which something failed is left (`true`) or nothing.
    fn note(&mut self, is_left: bool, now: Moment) {
        if !is_left {
            *self = Retry::IDLE;
        } else if self.is_due(now) {
            self.at = Some(now.after(self.wait));
            self.wait = self.wait.saturating_mul(2).min(LAST_RETRY);
        }
    }
}

/// What has been noted, and what is being done.
#[derive(Debug)]
pub(super) struct Rounds {
    in_flight: Option<Round>,
    everything: bool,
    servers: BTreeSet<(ServiceKey, ServerKey)>,
    failed: Failed,
    retry: Retry,
    /// The same of sync daemons: an interface may be away for long, and services do not wait for it.
    retry_sync: Retry,
    /// Whether it is looked for what somebody else changed.
    looks: bool,
    drift_at: Moment,
    /// What has been told of faults and differences, so that it is told once.
    told: BTreeMap<(Option<ServiceKey>, Option<ServerKey>), String>,
    /// The same of sync daemons.
    told_sync: BTreeMap<SyncRole, String>,
}

impl Rounds {
    /// Everything is to be done.
    pub(super) fn new(now: Moment) -> Rounds {
        Rounds {
            in_flight: None,
            everything: true,
            servers: BTreeSet::new(),
            failed: Failed::default(),
            retry: Retry::IDLE,
            retry_sync: Retry::IDLE,
            looks: true,
            drift_at: now.after(DRIFT_INTERVAL),
            told: BTreeMap::new(),
            told_sync: BTreeMap::new(),
        }
    }

    /// Whether to look from time to time for what somebody else changed.
    pub(super) fn look_for_drift(&mut self, looks: bool) {
        self.looks = looks;
    }

    /// The whole table is to be made as the configuration says.
    pub(super) fn note_everything(&mut self) {
        self.everything = true;
        self.servers.clear();
        self.failed = Failed::default();
        self.retry.at = None;
        self.retry_sync.at = None;
    }

    /// Whether the whole table is still to be made as the configuration says.
    pub(super) fn wants_everything(&self) -> bool {
        self.everything
    }

    /// One server should be otherwise.
    pub(super) fn note_server(&mut self, service: ServiceKey, server: ServerKey) {
        if !self.everything {
            self.servers.insert((service, server));
        }
    }

    /// Whether a job is being done.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.is_some()
    }

    /// When [`Rounds::next`] may have something that it has not now, if nothing else happens.
    pub(super) fn next_timeout(&self) -> Option<Moment> {
        if self.is_busy() {
            return None;
        }
        let look = self.looks.then_some(self.drift_at);
        [self.retry.at, self.retry_sync.at, look].into_iter().flatten().min()
    }

    /// What to do now, if there is anything and nothing is being done.
    pub(super) fn next(&mut self, now: Moment) -> Option<Round> {
        if self.is_busy() {
            return None;
        }
        let round = if self.everything {
            if !self.retry.is_due(now) {
                return None;
            }
            self.everything = false;
            Round::Everything
        } else if !self.servers.is_empty() {
            Round::Servers(std::mem::take(&mut self.servers))
        } else if let Some(failed) = self.failed_and_due(now) {
            Round::Again(failed)
        } else if self.looks && self.drift_at <= now {
            Round::Drift
        } else {
            return None;
        };
        self.in_flight = Some(round.clone());
        Some(round)
    }

    fn failed_and_due(&mut self, now: Moment) -> Option<Failed> {
        let mut due = Failed::default();
        if self.retry.is_due(now) {
            due.services = std::mem::take(&mut self.failed.services);
        }
        if self.retry_sync.is_due(now) {
            due.sync = std::mem::take(&mut self.failed.sync);
        }
        (due != Failed::default()).then_some(due)
    }

    /// The job that ends everything begins.
    pub(super) fn begin_last(&mut self) {
        self.in_flight = Some(Round::Everything);
    }

    /// The job has ended: returns what it was about. What failed is noted for another try.
    pub(super) fn finish(&mut self, report: &Report, now: Moment) -> Option<Round> {
        let round = self.in_flight.take()?;
        self.drift_at = now.after(DRIFT_INTERVAL);
        if report.unread.is_some() {
            match &round {
                Round::Everything => self.everything = true,
                Round::Again(failed) => self.failed.extend(failed.clone()),
                Round::Servers(servers) => {
                    self.failed.services.extend(servers.iter().map(|(service, _)| *service));
                }
                Round::Drift => {}
            }
        }
        self.failed.extend(Failed::of(report));
        let unread = self.everything && report.unread.is_some();
        self.retry.note(unread || !self.failed.services.is_empty(), now);
        self.retry_sync.note(!self.failed.sync.is_empty(), now);
        Some(round)
    }

    /// The faults of a report that have not been told yet, or are new since.
    pub(super) fn news_of_faults(&mut self, report: &Report) -> Vec<KernelError> {
        let mut news = Vec::new();
        match &report.unread {
            Some(fault) => {
                if tell(&mut self.told, (None, None), &fault.message) {
                    news.push(fault.clone());
                }
                return news;
            }
            None => self.told.remove(&(None, None)),
        };
        for (op, result) in &report.done {
            let place = (Some(op.service()), op.server());
            match result {
                Ok(()) => {
                    self.told.remove(&place);
                    if matches!(op, Op::DelService(_)) {
                        self.told.retain(|(service, _), _| *service != place.0);
                    }
                }
                Err(fault) => {
                    if tell(&mut self.told, place, &fault.message) {
                        news.push(fault.clone());
                    }
                }
            }
        }
        for (op, result) in &report.sync.done {
            match result {
                Ok(()) => drop(self.told_sync.remove(&op.role())),
                Err(fault) => {
                    if tell(&mut self.told_sync, op.role(), &fault.message) {
                        news.push(fault.clone());
                    }
                }
            }
        }
        news
    }

    /// The differences of a report that have not been told yet.
    pub(super) fn news_of_drift(&mut self, report: &Report) -> Vec<News> {
        // Who could not look knows of no difference that is gone.
        if report.unread.is_some() {
            return Vec::new();
        }
        let still: BTreeSet<&Piece> = report.drifted.iter().chain(&report.missing).collect();
        self.told.retain(|(service, server), what| {
            ![DRIFTED, MISSING].contains(&what.as_str())
                || service.is_some_and(|service| still.contains(&(service, *server)))
        });
        let drifted = (report.drifted.iter())
            .filter(|(service, server)| tell(&mut self.told, (Some(*service), *server), DRIFTED))
            .map(|(service, server)| News::Drifted(*service, *server));
        let mut news: Vec<News> = drifted.collect();
        let missing = (report.missing.iter())
            .filter(|(service, server)| tell(&mut self.told, (Some(*service), *server), MISSING))
            .map(|(service, server)| News::Missing(*service, *server));
        news.extend(missing);
        news.extend(self.news_of_sync_drift(&report.sync));
        news
    }

    fn news_of_sync_drift(&mut self, report: &SyncReport) -> Vec<News> {
        let told = &mut self.told_sync;
        told.retain(|role, what| match what.as_str() {
            DRIFTED => report.drifted.contains(role),
            MISSING => report.missing.contains(role),
            _ => true,
        });
        let drifted = report.drifted.iter().filter(|role| tell(told, **role, DRIFTED));
        let mut news: Vec<News> = drifted.copied().map(News::SyncDrifted).collect();
        let missing = report.missing.iter().filter(|role| tell(told, **role, MISSING));
        news.extend(missing.copied().map(News::SyncMissing));
        news
    }
}

/// Remembers that this was told of this place; whether it is news.
fn tell<Place: Ord>(told: &mut BTreeMap<Place, String>, place: Place, what: &str) -> bool {
    told.insert(place, what.to_owned()).is_none_or(|before| before != what)
}
