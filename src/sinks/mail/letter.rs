//! What stands in a mail.
//!
//! In goes a [`Message`] with what the daemon knows of the last checks, out come a subject and a text. The first lines are
//! ldirectord's to the letter, because filters match them; what a person wants to know at night follows.
//!
//! Source: section 7.2 of the behaviour specification.

use crate::{
    director::{Alert, Message},
    sinks::{
        message::{self, LastCheck, World},
        notice,
    },
};

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
        message: &Message,
        world: &World<'_>,
        last_check: impl Fn(&Alert) -> Option<LastCheck<'a>>,
    ) -> Letter {
        let logged = message::subject(message);
        let Some(alert) = message::only_one(message) else {
            let mut text = head(world.host, &logged, message.alerts.last());
            for line in message::digest(message, world, last_check) {
                text.push_str(&format!("{line}\n"));
            }
            return Letter { subject: logged.clone(), logged, text };
        };
        let subject = match &alert.name {
            Some(name) => format!("[{}] {logged}", notice::tame(name)),
            None => logged.clone(),
        };
        let mut text = head(world.host, &subject, Some(alert));
        for (what, words) in [("Service name", &alert.name), ("Comment", &alert.comment)] {
            if let Some(words) = words {
                text.push_str(&format!("{what}: {words}\n"));
            }
        }
        if alert.name.is_some() || alert.comment.is_some() {
            text.push('\n');
        }
        let last = last_check(alert);
        for (what, words) in message::facts(alert, world, last) {
            text.push_str(&format!("{what}: {words}\n"));
        }
        if let Some(last) = last.filter(|last| !last.trace.received.is_empty()) {
            let received = message::received(&last.trace.received);
            text.push_str(&format!("Received: {received}\n"));
        }
        Letter { subject, logged, text }
    }
}

/// ldirectord's lines, and an empty one.
fn head(host: &str, subject: &str, alert: Option<&Alert>) -> String {
    let phase = alert.map(|alert| alert.notice.phase.to_string()).unwrap_or_default();
    format!("ldirectord host: {host}\nLog-Message: {subject}\nDaemon-Status: {phase}\n\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        director::News,
        model::{Failure, Phase, Reason, Trace},
        sinks::message::tests::{date, deleted, told as mail, world},
        time::Moment,
    };

    #[test]
    fn a_mail_begins_as_ldirectords_and_says_why() {
        let failure =
            Failure { reason: Reason::Mismatch, detail: "200 OK, but\nno match".to_owned() };
        let trace = Trace {
            received: b"HTTP/1.1 200 OK\r\n\x1b".to_vec(),
            ..Trace::of(Phase::Match, Duration::from_millis(2))
        };
        let at = Moment::at(Duration::from_secs(3_699));
        let letter = Letter::write(&mail(vec![deleted("10.0.0.2:80", 100)], 0), &world(), |_| {
            Some(LastCheck { failure: &failure, trace: &trace, at })
        });
        let subject = "[Shop] Deleted real server: 10.0.0.2:80 (192.0.2.1:80)";
        assert_eq!(letter.subject, subject);
        assert_eq!(letter.logged, "Deleted real server: 10.0.0.2:80 (192.0.2.1:80)");
        let (since, last) = (date(Moment::at(Duration::from_secs(100))), date(at));
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
        back.notice.news = News::ServerPurged(back.service, back.server);
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
}
