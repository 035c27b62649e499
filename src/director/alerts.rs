//! Which mails and webhooks are due: who is told of what, again while a server stays down, and of many things at once in
//! one message.
//!
//! In go notices, out come [`Message`]s; what stands in them is for [`crate::sinks`] to say. Each recipient is told for
//! himself: that somebody is mailed makes no webhook, and the other way round.
//!
//! A message waits a moment for others. When there are more than `emaildigest` within ten seconds, the others become
//! one, and so does what follows in the next ten.
//!
//! Sources: sections 7.1 and 7.3 of the behaviour specification.
//!
//! Differs from ldirectord: of a server that is down from the start a mail says that it is inaccessible, because it was
//! never put into service to be taken out again; nobody is reminded of a server that has left the file; many mails at
//! once are one.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use super::{News, Notice, Phase, Place, Role, service::Service};
use crate::{
    model::{AlertPhases, Recipient, ServiceKey, VirtualService},
    time::Moment,
};

/// How long a message waits for others.
const GATHERING: Duration = Duration::from_secs(1);

/// How many alerts one message tells of, at most; what is beyond is counted.
const LARGEST: usize = 1_000;

/// For how many alerts room is kept.
const GATHERED: usize = 32;

/// What one recipient is told at one time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Who is told and how.
    pub recipient: Recipient,
    /// What there is to tell: one thing, or several in their order.
    pub alerts: Vec<Alert>,
    /// How many more there were.
    pub left_out: usize,
}

/// Something that happened, and how things stood then.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alert {
    /// What happened.
    pub notice: Notice,
    /// When it happened.
    pub at: Moment,
    /// The service that it happened to.
    pub service: ServiceKey,
    /// The server, as the file has it.
    pub server: SocketAddr,
    /// Since when the server has been down, if it is.
    pub down_since: Option<Moment>,
    /// Whether it is in maintenance.
    pub in_maintenance: bool,
    /// How many real servers of the service work, and how many it has.
    pub working: (usize, usize),
    /// The fallback, if it serves.
    pub fallback: Option<SocketAddr>,
    /// The name of the service for people (`servicename`).
    pub name: Option<String>,
    /// A remark for people (`comment`).
    pub comment: Option<String>,
}

/// A real server of a service, as the file has it.
type Key = (ServiceKey, SocketAddr);

/// A real server that is down.
#[derive(Clone, Copy, Debug)]
struct Down {
    place: Place,
    since: Moment,
    remind: Option<Moment>,
}

/// What waits for one recipient.
#[derive(Clone, Debug, Default)]
struct Waiting {
    alerts: Vec<Alert>,
    left_out: usize,
    /// When the messages went that still count.
    sent: Vec<Moment>,
    /// Until then everything is gathered.
    gathers_until: Option<Moment>,
}

/// Which messages are due.
#[derive(Clone, Debug, Default)]
pub(super) struct Alerts {
    waiting: BTreeMap<Recipient, Waiting>,
    /// Of those that wait, when the next is sent.
    due: BTreeSet<(Moment, Recipient)>,
    down: BTreeMap<Key, Down>,
    reminders: BTreeSet<(Moment, Key)>,
}

impl Alerts {
    /// What happened to a service, if that is something that people are told of.
    pub(super) fn hear(&mut self, notice: &Notice, service: &Service, now: Moment) {
        let key = service.config().key;
        let policy = &service.config().alerts;
        if policy.recipients.is_empty() {
            return;
        }
        let (server, role) = match (&notice.news, notice.news.place()) {
            (News::ServerPurged(_, server), _) => (*server, Role::Real),
            (_, Some(place)) => (place.written, place.role),
            _ => return,
        };
        match &notice.news {
            _ if role == Role::Fallback => {}
            News::ServerAdded(..) | News::ServerRestored(..) | News::ServerPurged(..) => {
                self.forget((key, server));
            }
            news => {
                let Some(place) = news.place() else { return };
                // Its first check will tell.
                if service.is_unknown(place.server) {
                    return;
                }
                self.remember(*place, policy.repeat_after, now);
            }
        }
        if !includes(policy.phases, notice.phase) {
            return;
        }
        let config = service.config();
        let fallback = config.fallback.filter(|_| service.needs_fallback());
        let alert = Alert {
            notice: notice.clone(),
            at: now,
            service: key,
            server,
            down_since: self.down.get(&(key, server)).map(|down| down.since),
            in_maintenance: notice.news.place().is_some_and(|place| service.maintains(place)),
            working: (service.serving_count(), config.servers.len()),
            fallback: fallback.map(|fallback| fallback.written),
            name: config.name.clone(),
            comment: config.comment.clone(),
        };
        for recipient in &policy.recipients {
            self.tell(recipient, alert.clone(), now);
        }
    }

    fn tell(&mut self, recipient: &Recipient, alert: Alert, now: Moment) {
        let waiting = self.waiting.entry(recipient.clone()).or_default();
        if waiting.alerts.is_empty() {
            let soon = now.after(GATHERING);
            let due = waiting.gathers_until.map_or(soon, |end| end.max(soon));
            self.due.insert((due, recipient.clone()));
        }
        match waiting.alerts.len() < LARGEST || recipient.digest_above == 0 {
            true => waiting.alerts.push(alert),
            false => waiting.left_out = waiting.left_out.saturating_add(1),
        }
    }

    fn remember(&mut self, place: Place, repeat_after: Duration, now: Moment) {
        let key = (place.service, place.written);
        let since = self.down.get(&key).map_or(now, |down| down.since);
        self.forget(key);
        let remind = (!repeat_after.is_zero()).then(|| now.after(repeat_after));
        self.insert(Down { place, since, remind });
    }

    fn insert(&mut self, down: Down) {
        let key = (down.place.service, down.place.written);
        self.reminders.extend(down.remind.map(|moment| (moment, key)));
        self.down.insert(key, down);
    }

    fn forget(&mut self, key: Key) {
        if let Some(Down { remind: Some(moment), .. }) = self.down.remove(&key) {
            self.reminders.remove(&(moment, key));
        }
    }

    /// The configuration is another: these servers are ours now, and are told again as it says.
    pub(super) fn follow(&mut self, services: &[Service], now: Moment) {
        let known = std::mem::take(&mut self.down);
        self.reminders.clear();
        let told = |config: &&VirtualService| !config.alerts.recipients.is_empty();
        for config in services.iter().map(Service::config).filter(told) {
            let repeat_after = config.alerts.repeat_after;
            for server in &config.servers {
                if let Some(&down) = known.get(&(config.key, server.written)) {
                    let next = (!repeat_after.is_zero()).then(|| now.after(repeat_after));
                    let remind = next.map(|next| down.remind.map_or(next, |due| due.min(next)));
                    self.insert(Down { remind, ..down });
                }
            }
        }
        self.waiting.retain(|_, waiting| {
            waiting.sent.retain(|sent| now.since(*sent) < Recipient::DIGEST_WITHIN);
            !waiting.alerts.is_empty() || !waiting.sent.is_empty()
        });
    }

    /// A server that has to be told again; telling it is what makes it due once more.
    pub(super) fn next_reminder(&mut self, now: Moment) -> Option<Place> {
        let (_, key) = *self.reminders.first().filter(|(moment, _)| *moment <= now)?;
        self.reminders.pop_first();
        let down = self.down.get_mut(&key)?;
        down.remind = None;
        Some(down.place)
    }

    /// The next message that is due.
    pub(super) fn next_message(&mut self, now: Moment) -> Option<Message> {
        match self.due.first() {
            Some((due, _)) if *due <= now => self.last_message(now),
            _ => None,
        }
    }

    /// The next message, due or not.
    pub(super) fn last_message(&mut self, now: Moment) -> Option<Message> {
        let (due, recipient) = self.due.pop_first()?;
        let waiting = self.waiting.get_mut(&recipient)?;
        let message = waiting.next(&recipient, now);
        if !waiting.alerts.is_empty() {
            self.due.insert((due, recipient));
        }
        Some(message)
    }

    /// When a message or a reminder is due.
    pub(super) fn next_timeout(&self) -> Option<Moment> {
        let message = self.due.first().map(|(due, _)| *due);
        let reminder = self.reminders.first().map(|(moment, _)| *moment);
        message.into_iter().chain(reminder).min()
    }
}

impl Waiting {
    /// What is sent now: everything, where there is too much, else the first.
    fn next(&mut self, recipient: &Recipient, now: Moment) -> Message {
        self.sent.retain(|sent| now.since(*sent) < Recipient::DIGEST_WITHIN);
        let above = usize::try_from(recipient.digest_above).unwrap_or(usize::MAX);
        let is_flood = above > 0 && self.sent.len().saturating_add(self.alerts.len()) > above;
        let count = if is_flood { self.alerts.len() } else { self.alerts.len().min(1) };
        let alerts = self.alerts.drain(..count).collect();
        self.alerts.shrink_to(GATHERED);
        self.gathers_until = is_flood.then(|| now.after(Recipient::DIGEST_WITHIN));
        if above > 0 {
            self.sent.push(now);
        }
        let left_out = std::mem::take(&mut self.left_out);
        Message { recipient: recipient.clone(), alerts, left_out }
    }
}

/// Whether people are told in this phase.
fn includes(phases: AlertPhases, phase: Phase) -> bool {
    match phase {
        Phase::Starting => phases.starting,
        Phase::Running => phases.running,
        Phase::Reloading => phases.reloading,
        Phase::Stopping => phases.stopping,
    }
}
