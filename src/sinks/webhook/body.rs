//! What stands in a request: our JSON, or what a template makes of it.
//!
//! The form is a promise to whoever reads it, and described in ldirectord(8): fields are added, none is taken away or
//! changed without another `version`.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    director::{Alert, Message, News, Role},
    model::{Placeholder, ServiceKey, Webhook},
    sinks::{
        message::{self, LastCheck, World},
        notice,
    },
};

/// How many things one request tells of, at most, so that it stays below the megabyte that servers take by default.
const LARGEST: usize = 250;

/// A request to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// The number of the message; the same whenever it is tried again.
    pub id: i64,
    /// What it tells of, for the log.
    pub subject: String,
    /// JSON.
    pub body: String,
}

/// The document.
#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    id: i64,
    kind: Kind,
    host: &'a str,
    configuration: String,
    subject: &'a str,
    alerts: Vec<Entry<'a>>,
    left_out: usize,
}

/// What a message is.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Alert,
    Digest,
    Test,
}

/// Something that happened.
#[derive(Serialize)]
struct Entry<'a> {
    event: &'static str,
    repeated: bool,
    time: String,
    phase: String,
    line: String,
    service: Service<'a>,
    server: String,
    reason: Option<String>,
    detail: Option<String>,
    down_since: Option<String>,
    last_check: Option<Check>,
    serving: Serving,
}

/// A virtual service.
#[derive(Serialize)]
struct Service<'a> {
    protocol: Option<String>,
    address: Option<String>,
    mark: Option<u32>,
    name: Option<&'a str>,
    comment: Option<&'a str>,
}

/// A check that failed.
#[derive(Serialize)]
struct Check {
    time: String,
    trace: String,
    received: String,
}

/// What serves the clients of a service.
#[derive(Serialize)]
struct Serving {
    working: usize,
    of: usize,
    fallback: Option<String>,
}

impl Call {
    /// A request that tells of nothing.
    pub fn test(id: i64, webhook: &Webhook, world: &World<'_>) -> Call {
        let subject = "Test of webhooks".to_owned();
        let text = "This is what `ldirectord alert test` sends. Nothing has happened.";
        let document = document(id, Kind::Test, &subject, world);
        Call::new(webhook, world, &document, None, || text.to_owned())
    }

    /// Writes a request; `last_check` knows of the failed check behind an alert.
    pub fn write<'a>(
        id: i64,
        message: &Message,
        webhook: &Webhook,
        world: &World<'_>,
        last_check: impl Fn(&Alert) -> Option<LastCheck<'a>>,
    ) -> Call {
        let subject = message::subject(message);
        let only = message::only_one(message);
        let kind = if only.is_some() { Kind::Alert } else { Kind::Digest };
        let alerts = message.alerts.iter().take(LARGEST);
        let alerts: Vec<_> = alerts.map(|alert| entry(alert, world, last_check(alert))).collect();
        let left_out = message::count(message).saturating_sub(alerts.len());
        let document = Document { alerts, left_out, ..document(id, kind, &subject, world) };
        Call::new(webhook, world, &document, only, || match only {
            Some(alert) => {
                let facts = message::facts(alert, world, last_check(alert));
                let lines: Vec<_> =
                    facts.iter().map(|(what, words)| format!("{what}: {words}")).collect();
                lines.join("\n")
            }
            None => message::digest(message, world, &last_check).join("\n"),
        })
    }

    fn new(
        webhook: &Webhook,
        world: &World<'_>,
        document: &Document<'_>,
        only: Option<&Alert>,
        text: impl Fn() -> String,
    ) -> Call {
        let body = match &webhook.template {
            // Everything in it can be written as JSON.
            None => serde_json::to_string(document).unwrap_or_default(),
            Some(template) => template.fill(|placeholder| match placeholder {
                Placeholder::Text => text(),
                placeholder => fact(placeholder, world, document, only),
            }),
        };
        Call { id: document.id, subject: document.subject.to_owned(), body }
    }
}

fn document<'a>(id: i64, kind: Kind, subject: &'a str, world: &World<'a>) -> Document<'a> {
    Document {
        version: 1,
        id,
        kind,
        host: world.host,
        configuration: world.configuration.display().to_string(),
        subject,
        alerts: Vec::new(),
        left_out: 0,
    }
}

fn entry<'a>(alert: &'a Alert, world: &World<'_>, last: Option<LastCheck<'_>>) -> Entry<'a> {
    let event = event(alert);
    let (protocol, address, mark) = match alert.service {
        ServiceKey::Address { transport, address } => {
            (Some(transport.to_string()), Some(address.to_string()), None)
        }
        ServiceKey::Fwmark { mark, .. } => (None, None, Some(mark.get())),
    };
    Entry {
        event,
        repeated: event == "down" && alert.down_since.is_some_and(|since| since < alert.at),
        time: utc(world.then(alert.at)),
        phase: alert.notice.phase.to_string(),
        line: message::line(alert),
        service: Service {
            protocol,
            address,
            mark,
            name: alert.name.as_deref(),
            comment: alert.comment.as_deref(),
        },
        server: alert.server.to_string(),
        reason: match alert.in_maintenance {
            true => Some("maintenance".to_owned()),
            false => last.map(|last| last.failure.reason.to_string()),
        },
        detail: last.map(|last| notice::tame(&last.failure.detail)),
        down_since: alert.down_since.map(|since| utc(world.then(since))),
        last_check: last.map(|last| Check {
            time: utc(world.then(last.at)),
            trace: last.trace.to_string(),
            received: message::received(&last.trace.received),
        }),
        serving: Serving {
            working: alert.working.0,
            of: alert.working.1,
            fallback: alert.fallback.map(|fallback| fallback.to_string()),
        },
    }
}

/// `2026-11-20T05:10:39.123Z`.
fn utc(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// The word for what happened.
fn event(alert: &Alert) -> &'static str {
    let news = &alert.notice.news;
    let is_fallback = news.place().is_some_and(|place| place.role == Role::Fallback);
    match (message::is_down(news), is_fallback) {
        _ if matches!(news, News::ServerPurged(..)) => "removed",
        (true, false) => "down",
        (false, false) => "up",
        (true, true) => "fallback_down",
        (false, true) => "fallback_up",
    }
}

/// What a placeholder stands for; nothing where a message tells of several things, or of none.
fn fact(
    placeholder: Placeholder,
    world: &World<'_>,
    document: &Document<'_>,
    only: Option<&Alert>,
) -> String {
    let entry = document.alerts.first().filter(|_| only.is_some());
    match placeholder {
        Placeholder::Subject => document.subject.to_owned(),
        Placeholder::Event => match (document.kind, entry) {
            (Kind::Alert, Some(entry)) => entry.event.to_owned(),
            (Kind::Test, _) => "test".to_owned(),
            _ => "digest".to_owned(),
        },
        Placeholder::Service => only.map(|alert| alert.service.to_string()).unwrap_or_default(),
        Placeholder::Name => only.and_then(|alert| alert.name.clone()).unwrap_or_default(),
        Placeholder::Server => only.map(|alert| alert.server.to_string()).unwrap_or_default(),
        Placeholder::Reason => {
            let words = entry.map(|entry| [entry.reason.as_deref(), entry.detail.as_deref()]);
            let words = words.into_iter().flatten().flatten().filter(|word| !word.is_empty());
            words.collect::<Vec<_>>().join(": ")
        }
        Placeholder::Serving => only.map(message::serving).unwrap_or_default(),
        Placeholder::Phase => entry.map(|entry| entry.phase.clone()).unwrap_or_default(),
        Placeholder::Count => (document.alerts.len().saturating_add(document.left_out)).to_string(),
        Placeholder::Host => world.host.to_owned(),
        Placeholder::Configuration => document.configuration.clone(),
        Placeholder::Time => entry.map_or_else(|| utc(world.wall), |entry| entry.time.clone()),
        Placeholder::Id => document.id.to_string(),
        // Who calls has it.
        Placeholder::Text => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, sync::Arc};

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        model::{Failure, Family, PLACEHOLDERS, Reason, Secret, Template, Trace},
        sinks::message::tests::{deleted, told, world},
        time::Moment,
    };

    fn webhook(template: Option<&str>) -> Webhook {
        let template = template.map(|text| Arc::new(Template::new(text).unwrap()));
        Webhook { url: Secret::default(), shown: String::new(), secret: None, template }
    }

    fn parsed(call: &Call) -> Value {
        serde_json::from_str(&call.body).unwrap()
    }

    #[test]
    fn a_digest_stays_below_a_megabyte() {
        let mut alert = deleted("10.0.0.2:80", 100);
        alert.service = ServiceKey::Fwmark { family: Family::V4, mark: 7.try_into().unwrap() };
        (alert.name, alert.comment) = (Some("x".repeat(300)), Some("y".repeat(300)));
        let failure = Failure { reason: Reason::Protocol, detail: "z".repeat(2_000) };
        let trace = Trace { received: vec![7; 200], ..Trace::default() };
        let last = LastCheck { failure: &failure, trace: &trace, at: Moment::START };
        let message = told(vec![alert; 1_000], 5);
        let call = Call::write(3, &message, &webhook(None), &world(), |_| Some(last));
        assert!(call.body.len() < 1_000_000, "{}", call.body.len());
        let body = parsed(&call);
        assert_eq!((&body["kind"], &body["left_out"]), (&json!("digest"), &json!(755)));
        assert_eq!(body["alerts"].as_array().unwrap().len(), 250);
        assert_eq!(body["alerts"][0]["service"]["mark"], 7);
        assert_eq!(body["alerts"][0]["time"], "2026-11-18T10:06:40.000Z");
    }

    #[test]
    fn events_have_words() {
        let mut alert = deleted("10.0.0.2:80", 100);
        let Some(place) = alert.notice.news.place().copied() else { panic!("it has a place") };
        let fallback = crate::director::Place { role: Role::Fallback, ..place };
        for (news, word) in [
            (News::ServerDeleted(place), "down"),
            (News::ServerQuiesced(place), "down"),
            (News::ServerInaccessible(place), "down"),
            (News::ServerPurged(place.service, place.written), "removed"),
            (News::ServerDeleted(fallback), "fallback_down"),
        ] {
            alert.notice.news = news;
            assert_eq!(event(&alert), word);
        }
        let again = Alert { down_since: Some(Moment::START), ..deleted("10.0.0.2:80", 100) };
        assert!(entry(&again, &world(), None).repeated);
    }

    #[test]
    fn templates_have_every_fact() {
        let all: Vec<String> =
            PLACEHOLDERS.iter().map(|(name, _)| format!("\"{name}={{{{{name}}}}}\"")).collect();
        let webhook = webhook(Some(&format!("[{}]", all.join(","))));
        let facts = |call: Call| -> Vec<String> { serde_json::from_str(&call.body).unwrap() };
        let failure = Failure { reason: Reason::Timeout, detail: String::new() };
        let trace = Trace::default();
        let last = LastCheck { failure: &failure, trace: &trace, at: Moment::START };
        let one = told(vec![deleted("10.0.0.2:80", 100)], 0);
        let one = facts(Call::write(3, &one, &webhook, &world(), |_| Some(last)));
        let subject = "Deleted real server: 10.0.0.2:80 (192.0.2.1:80)";
        assert_eq!(one[0], format!("subject={subject}"));
        assert!(one[1].starts_with("text=Virtual service: tcp 192.0.2.1:80\nServer: "));
        assert_eq!(
            one[2..],
            [
                "event=down",
                "service=tcp 192.0.2.1:80",
                "name=Shop",
                "server=10.0.0.2:80",
                "reason=timeout",
                "serving=the fallback 127.0.0.1:80, none of 2 real servers",
                "phase=running",
                "count=1",
                "host=director",
                "configuration=/etc/ha.d/ldirectord.cf",
                "time=2026-11-18T10:06:40.000Z",
                "id=3",
            ]
        );
        let many = told(vec![deleted("10.0.0.2:80", 100); 2], 7);
        let many = facts(Call::write(4, &many, &webhook, &world(), |_| None));
        assert_eq!(many[0], "subject=9 changes of servers, 2 of them out of service");
        assert_eq!(many[1].lines().count(), 3, "{}", many[1]);
        assert_eq!(many[2..5], ["event=digest", "service=", "name="]);
        let test = facts(Call::test(5, &webhook, &world()));
        assert_eq!((test[2].as_str(), test[9].as_str()), ("event=test", "count=0"));
    }

    #[test]
    fn the_manual_has_every_field_and_placeholder() {
        fn fields(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(object) => {
                    for (name, value) in object {
                        found.push(format!("\"{name}\": "));
                        fields(value, found);
                    }
                }
                Value::Array(values) => values.iter().for_each(|value| fields(value, found)),
                _ => {}
            }
        }
        let failure = Failure { reason: Reason::Timeout, detail: String::new() };
        let trace = Trace::default();
        let last = LastCheck { failure: &failure, trace: &trace, at: Moment::START };
        let message = told(vec![deleted("10.0.0.2:80", 100)], 0);
        let call = Call::write(3, &message, &webhook(None), &world(), |_| Some(last));
        let mut words = Vec::new();
        fields(&parsed(&call), &mut words);
        assert!(words.len() > 25, "{words:?}");
        words.extend(PLACEHOLDERS.iter().map(|(name, _)| (*name).to_owned()));
        let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/man/ldirectord.8.in");
        let manual = fs::read_to_string(manual).unwrap();
        let (_, manual) = manual.split_once(".SS Webhooks").unwrap();
        let (manual, _) = manual.split_once(".SH SYSTEMD").unwrap();
        for word in words {
            assert!(manual.contains(&word), "{word}");
        }
    }

    #[test]
    fn the_templates_that_come_with_us_are_right() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/webhook");
        let mut seen = 0;
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            Template::new(&fs::read_to_string(&path).unwrap()).unwrap();
            seen += 1;
        }
        assert!(seen >= 2, "{seen}");
    }
}
