//! What stands in a mail.
//!
//! In goes a [`Mail`] with what the daemon knows of the last checks, out come a subject and a text. The first lines are
//! ldirectord's to the letter, because filters match them; what a person wants to know at night follows.
//!
//! Source: section 7.2 of the behaviour specification.

use std::{fmt::Write as _, time::Duration};

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    director::{Alert, Mail, News},
    model::{Failure, Trace},
    sinks::notice,
    time::Moment,
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

/// What a mail needs to know of the world.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// The name of this host.
    pub host: &'a str,
    /// What it is now.
    pub now: Moment,
    /// The same on the wall.
    pub wall: Timestamp,
}

impl World<'_> {
    /// `Fri Nov 20 05:10:39 2026`, in local time.
    fn date(&self, moment: Moment) -> String {
        let ago = self.now.since(moment);
        let then = self.wall.checked_sub(ago).unwrap_or(self.wall);
        then.to_zoned(TimeZone::system()).strftime("%a %b %e %H:%M:%S %Y").to_string()
    }
}

/// A mail in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Letter {
    /// The subject, one line.
    pub subject: String,
    /// The line of the log that says that it is sent; ldirectord leaves the name of the service out.
    pub logged: String,
    /// The text.
    pub text: String,
}

impl Letter {
    /// A mail that tells of nothing.
    pub fn test(host: &str) -> Letter {
        let subject = "Test of mail alerts".to_owned();
        let text = format!(
            "ldirectord host: {host}\nLog-Message: {subject}\n\n\
             This is what `ldirectord alert test` sends. Nothing has happened.\n"
        );
        Letter { logged: subject.clone(), subject, text }
    }

    /// Writes a mail; `last_check` knows of the failed check behind an alert.
    pub fn write<'a>(
        mail: &Mail,
        world: &World<'_>,
        last_check: impl Fn(&Alert) -> Option<LastCheck<'a>>,
    ) -> Letter {
        match mail.alerts.as_slice() {
            [alert] if mail.left_out == 0 => of_one(alert, world, last_check(alert)),
            _ => digest(mail, world, last_check),
        }
    }
}

/// The line of the log, which is the subject.
fn line(alert: &Alert) -> String {
    notice::line(&alert.notice).unwrap_or_default()
}

/// ldirectord's lines.
fn head(host: &str, subject: &str, alert: Option<&Alert>) -> String {
    let phase = alert.map(|alert| alert.notice.phase.to_string()).unwrap_or_default();
    format!("ldirectord host: {host}\nLog-Message: {subject}\nDaemon-Status: {phase}\n")
}

fn of_one(alert: &Alert, world: &World<'_>, last: Option<LastCheck<'_>>) -> Letter {
    let logged = line(alert);
    let subject = match &alert.name {
        Some(name) => format!("[{}] {logged}", notice::tame(name)),
        None => logged.clone(),
    };
    let mut text = head(world.host, &subject, Some(alert));
    let named = [("Service name", &alert.name), ("Comment", &alert.comment)];
    let named: String = (named.into_iter())
        .filter_map(|(what, text)| Some(format!("{what}: {}\n", text.as_ref()?)))
        .collect();
    if !named.is_empty() {
        text.push_str(&format!("\n{named}"));
    }
    text.push('\n');
    let mut say = |what: &str, words: &str| {
        // Writing to a String does not fail.
        writeln!(text, "{what}: {words}").unwrap_or_default();
    };
    say("Virtual service", &alert.service.to_string());
    say("Server", &alert.server.to_string());
    if let Some(last) = last {
        say("Reason", &notice::tame(&last.failure.to_string()));
    }
    if let Some(since) = alert.down_since {
        let long = world.now.since(since);
        let begin = world.date(since);
        say("Out of service since", &format!("{begin} ({})", duration(long)));
    }
    say("Now serving", &serving(alert));
    if let Some(last) = last {
        say("Last check", &format!("{}, {}", world.date(last.at), last.trace));
        if !last.trace.received.is_empty() {
            say("Received", &received(&last.trace.received));
        }
    }
    Letter { subject, logged, text }
}

/// What serves the clients of the service.
fn serving(alert: &Alert) -> String {
    match (alert.working, alert.fallback) {
        ((0, of), Some(fallback)) => format!("the fallback {fallback}, none of {of} real servers"),
        ((0, of), None) => format!("nobody, none of {of} real servers"),
        ((working, of), _) => format!("{working} of {of} real servers"),
    }
}

fn digest<'a>(
    mail: &Mail,
    world: &World<'_>,
    last_check: impl Fn(&Alert) -> Option<LastCheck<'a>>,
) -> Letter {
    let count = mail.alerts.len().saturating_add(mail.left_out);
    let is_bad = |alert: &&Alert| {
        matches!(
            alert.notice.news,
            News::ServerDeleted(_)
                | News::ServerQuiesced(_)
                | News::ServerQuiescedAnew(_)
                | News::ServerInaccessible(_)
        )
    };
    let bad = mail.alerts.iter().filter(is_bad).count();
    let subject = format!("{count} changes of servers, {bad} of them out of service");
    let mut text = head(world.host, &subject, mail.alerts.last());
    text.push('\n');
    for alert in &mail.alerts {
        let name = alert.name.as_ref().map(|name| format!("[{}] ", notice::tame(name)));
        let why =
            last_check(alert).map(|last| format!(": {}", notice::tame(&last.failure.to_string())));
        writeln!(
            text,
            "{} {}{}{}; now serving: {}",
            world.date(alert.at),
            name.unwrap_or_default(),
            line(alert),
            why.unwrap_or_default(),
            serving(alert)
        )
        .unwrap_or_default();
    }
    if mail.left_out > 0 {
        writeln!(text, "and {} more, which the log has", mail.left_out).unwrap_or_default();
    }
    Letter { logged: subject.clone(), subject, text }
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
fn received(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let shown: String = text.chars().take(RECEIVED).flat_map(char::escape_debug).collect();
    match text.chars().nth(RECEIVED) {
        Some(_) => format!("{shown}…"),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        director::{Notice, Phase, Place, Role},
        model::{Post, Reason, ServerKey, ServiceKey, Transport},
    };

    fn web() -> ServiceKey {
        ServiceKey::Address { transport: Transport::Tcp, address: "192.0.2.1:80".parse().unwrap() }
    }

    fn deleted(server: &str, at: u64) -> Alert {
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
            working: (0, 2),
            fallback: Some("127.0.0.1:80".parse().unwrap()),
            name: Some("Shop".to_owned()),
            comment: None,
        }
    }

    fn mail(alerts: Vec<Alert>, left_out: usize) -> Mail {
        let post = Post {
            recipients: "a@example.org".to_owned(),
            from: None,
            server: None,
            digest_above: 20,
        };
        Mail { post: Arc::new(post), alerts, left_out }
    }

    fn world() -> World<'static> {
        let wall = Timestamp::from_second(1_795_000_000).unwrap();
        World { host: "director", now: Moment::at(Duration::from_secs(3_700)), wall }
    }

    #[test]
    fn a_mail_begins_as_ldirectords_and_says_why() {
        let failure =
            Failure { reason: Reason::Mismatch, detail: "200 OK, but\nno match".to_owned() };
        let trace = Trace {
            received: b"HTTP/1.1 200 OK\r\n\x1b".to_vec(),
            ..Trace::of(crate::model::Phase::Match, Duration::from_millis(2))
        };
        let at = Moment::at(Duration::from_secs(3_699));
        let letter = Letter::write(&mail(vec![deleted("10.0.0.2:80", 100)], 0), &world(), |_| {
            Some(LastCheck { failure: &failure, trace: &trace, at })
        });
        let subject = "[Shop] Deleted real server: 10.0.0.2:80 (192.0.2.1:80)";
        assert_eq!(letter.subject, subject);
        assert_eq!(letter.logged, "Deleted real server: 10.0.0.2:80 (192.0.2.1:80)");
        let since = world().date(Moment::at(Duration::from_secs(100)));
        let last = world().date(at);
        assert_eq!(
            letter.text,
            format!(
                "ldirectord host: director\n\
                 Log-Message: {subject}\n\
                 Daemon-Status: running\n\
                 \n\
                 Service name: Shop\n\
                 \n\
                 Virtual service: tcp 192.0.2.1:80\n\
                 Server: 10.0.0.2:80\n\
                 Reason: mismatch: 200 OK, but.no match\n\
                 Out of service since: {since} (1 h 0 min)\n\
                 Now serving: the fallback 127.0.0.1:80, none of 2 real servers\n\
                 Last check: {last}, in match: match 2.0 ms\n\
                 Received: HTTP/1.1 200 OK\\r\\n\\u{{1b}}\n"
            )
        );
    }

    #[test]
    fn a_digest_has_a_line_for_each() {
        let mut back = deleted("10.0.0.4:80", 3_600);
        back.notice.news = News::ServerPurged(web(), back.server);
        (back.down_since, back.working, back.fallback) = (None, (1, 1), None);
        let alerts = vec![deleted("10.0.0.2:80", 3_600), deleted("10.0.0.3:80", 3_601), back];
        let letter = Letter::write(&mail(alerts, 7), &world(), |_| None);
        assert_eq!(letter.subject, "10 changes of servers, 2 of them out of service");
        let lines: Vec<&str> = letter.text.lines().collect();
        assert_eq!(
            lines[..3],
            [
                "ldirectord host: director",
                "Log-Message: 10 changes of servers, 2 of them out of service",
                "Daemon-Status: running",
            ]
        );
        assert!(
            lines[4].ends_with(
                " [Shop] Deleted real server: 10.0.0.2:80 (192.0.2.1:80); now serving: the fallback \
                 127.0.0.1:80, none of 2 real servers"
            ),
            "{}",
            lines[4]
        );
        assert!(lines[6].ends_with("(192.0.2.1:80); now serving: 1 of 1 real servers"));
        assert_eq!(lines[7..], ["and 7 more, which the log has"]);
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
