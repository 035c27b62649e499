//! What there is to say of an alert, by mail and by webhook alike.
//!
//! In goes a [`Message`] with what the daemon knows of the last checks, out come words.

use std::{path::Path, time::Duration};

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    director::{Alert, Message, News},
    model::{Failure, Trace},
    sinks::notice,
    time::{Clocks, Moment},
};

/// How many characters are told of what a server sent.
const RECEIVED: usize = 120;

/// The last failed check of a server.
#[derive(Clone, Copy, Debug)]
pub struct LastCheck<'a> {
    /// Why it failed.
    pub failure: &'a Failure,
    /// How it went.
    pub trace: &'a Trace,
    /// When it ended.
    pub at: Moment,
}

/// What a message needs to know of the world.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// The name of this host.
    pub host: &'a str,
    /// The configuration file.
    pub configuration: &'a Path,
    /// What it is now.
    pub now: Moment,
    /// The same on the wall.
    pub wall: Timestamp,
}

impl World<'_> {
    /// What it was on the wall.
    pub(super) fn then(&self, moment: Moment) -> Timestamp {
        Clocks { now: self.now, wall: self.wall }.at(moment)
    }

    /// `Fri Nov 20 05:10:39 2026`, in local time.
    fn date(&self, moment: Moment) -> String {
        let then = self.then(moment).to_zoned(TimeZone::system());
        then.strftime("%a %b %e %H:%M:%S %Y").to_string()
    }
}

/// The line of the log.
pub(super) fn line(alert: &Alert) -> String {
    notice::line(&alert.notice).unwrap_or_default()
}

/// Whether a message tells of one thing alone; that.
pub(super) fn only_one(message: &Message) -> Option<&Alert> {
    match message.alerts.as_slice() {
        [alert] if message.left_out == 0 => Some(alert),
        _ => None,
    }
}

/// What happened, in one line; of one thing the line of the log.
pub(super) fn subject(message: &Message) -> String {
    if let Some(alert) = only_one(message) {
        return line(alert);
    }
    let bad = message.alerts.iter().filter(|alert| is_down(&alert.notice.news)).count();
    format!("{} changes of servers, {bad} of them out of service", count(message))
}

/// How many things a message tells of.
pub(super) fn count(message: &Message) -> usize {
    message.alerts.len().saturating_add(message.left_out)
}

/// Whether a server went out of service, or still is.
pub(super) fn is_down(news: &News) -> bool {
    matches!(
        news,
        News::ServerDeleted(_)
            | News::ServerQuiesced(_)
            | News::ServerQuiescedAnew(_)
            | News::ServerInaccessible(_)
    )
}

/// The facts that a person wants to know at night, each with its name.
pub(super) fn facts(
    alert: &Alert,
    world: &World<'_>,
    last: Option<LastCheck<'_>>,
) -> Vec<(&'static str, String)> {
    let mut facts =
        vec![("Virtual service", alert.service.to_string()), ("Server", alert.server.to_string())];
    facts.extend(reason(alert, last).map(|reason| ("Reason", reason)));
    if let Some(since) = alert.down_since {
        let long = duration(world.now.since(since));
        facts.push(("Out of service since", format!("{} ({long})", world.date(since))));
    }
    facts.push(("Now serving", serving(alert)));
    if let Some(last) = last {
        facts.push(("Last check", format!("{}, {}", world.date(last.at), last.trace)));
    }
    facts
}

/// Why a server is out of service, as far as that is known.
fn reason(alert: &Alert, last: Option<LastCheck<'_>>) -> Option<String> {
    if alert.in_maintenance {
        return Some("the server is in maintenance".to_owned());
    }
    last.map(|last| notice::tame(&last.failure.to_string()))
}

/// What serves the clients of the service.
pub(super) fn serving(alert: &Alert) -> String {
    match (alert.working, alert.fallback) {
        ((0, of), Some(fallback)) => format!("the fallback {fallback}, none of {of} real servers"),
        ((0, of), None) => format!("nobody, none of {of} real servers"),
        ((working, of), _) => format!("{working} of {of} real servers"),
    }
}

/// A line for each of many things.
pub(super) fn digest<'a>(
    message: &Message,
    world: &World<'_>,
    last_check: impl Fn(&Alert) -> Option<LastCheck<'a>>,
) -> Vec<String> {
    let line_of = |alert: &Alert| {
        let name = alert.name.as_ref().map(|name| format!("[{}] ", notice::tame(name)));
        let why = reason(alert, last_check(alert)).map(|reason| format!(": {reason}"));
        format!(
            "{} {}{}{}; now serving: {}",
            world.date(alert.at),
            name.unwrap_or_default(),
            line(alert),
            why.unwrap_or_default(),
            serving(alert)
        )
    };
    let left_out = match message.left_out {
        0 => None,
        left_out => Some(format!("and {left_out} more, which the log has")),
    };
    message.alerts.iter().map(line_of).chain(left_out).collect()
}

/// `3 min 20 s`.
fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {seconds} s"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// The first of what a server sent, on one line.
pub(super) fn received(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let shown: String = text.chars().take(RECEIVED).flat_map(char::escape_debug).collect();
    match text.chars().nth(RECEIVED) {
        Some(_) => format!("{shown}…"),
        None => shown,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        director::{Notice, Phase, Place, Role},
        model::{Post, Recipient, ServerKey, ServiceKey, Transport, Way},
    };

    fn web() -> ServiceKey {
        ServiceKey::Address { transport: Transport::Tcp, address: "192.0.2.1:80".parse().unwrap() }
    }

    pub(crate) fn deleted(server: &str, at: u64) -> Alert {
        let server = server.parse().unwrap();
        let place =
            Place { service: web(), server: ServerKey(server), written: server, role: Role::Real };
        let at = Moment::at(Duration::from_secs(at));
        Alert {
            notice: Notice { phase: Phase::Running, news: News::ServerDeleted(place) },
            at,
            service: web(),
            server,
            down_since: Some(at),
            in_maintenance: false,
            working: (0, 2),
            fallback: Some("127.0.0.1:80".parse().unwrap()),
            name: Some("Shop".to_owned()),
            comment: None,
        }
    }

    pub(crate) fn told(alerts: Vec<Alert>, left_out: usize) -> Message {
        let post = Post { recipients: "a@example.org".to_owned(), from: None, server: None };
        let recipient = Recipient { way: Way::Mail(Arc::new(post)), digest_above: 20 };
        Message { recipient, alerts, left_out }
    }

    pub(crate) fn world() -> World<'static> {
        let wall = Timestamp::from_second(1_795_000_000).unwrap();
        let configuration = Path::new("/etc/ha.d/ldirectord.cf");
        World { host: "director", configuration, now: Moment::at(Duration::from_secs(3_700)), wall }
    }

    pub(crate) fn date(moment: Moment) -> String {
        world().date(moment)
    }

    #[test]
    fn maintenance_is_a_reason() {
        let alert = Alert { in_maintenance: true, ..deleted("10.0.0.2:80", 100) };
        let facts = facts(&alert, &world(), None);
        assert_eq!(facts[2], ("Reason", "the server is in maintenance".to_owned()));
        let digest = digest(&told(vec![alert], 1), &world(), |_| None);
        assert!(digest[0].contains(": the server is in maintenance; now serving"), "{}", digest[0]);
    }

    #[test]
    fn times_are_told_as_people_do() {
        for (seconds, words) in [
            (0, "0 s"),
            (59, "59 s"),
            (200, "3 min 20 s"),
            (7_260, "2 h 1 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), words);
        }
    }
}
