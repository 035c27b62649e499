//! The monitor file of a virtual service: a line for every check of its real servers.
//!
//! In go a configuration and finished checks, out come lines `[DATE] [PID] ID [up|down] MESSAGE`. The ID is what tells
//! one check from another in ldirectord. Lines are written by a thread, like those of the log; one too many is dropped.
//!
//! Differs from ldirectord: a file that cannot be written does not end the daemon. MESSAGE of a failure is our sentence.
//! Of directives that the check does not use (`virtualhost` of a connect check), the ID knows nothing.
//!
//! Sources: sections 4.6 and 6.6 of the behaviour specification.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
};

use jiff::{Timestamp, tz::TimeZone};

use super::writer::append;
use crate::{
    director::Place,
    model::{
        CheckKind, CheckSpec, Checked, Desired, Negotiate, RealServer, ServiceKey, Transport,
        Verdict, VirtualService,
    },
};

/// How many lines may wait to be written.
const QUEUE_LINES: usize = 10_000;

/// How many lines are written at a time.
const BATCH_LINES: usize = 1_000;

/// A server in a service that has a monitor file.
#[derive(Debug)]
struct Monitored {
    file: Arc<PathBuf>,
    id: String,
    /// The verdicts that it is told; passes and failures.
    hears: (bool, bool),
    /// Whether anything checks it, and so comes due in maintenance.
    is_checked: bool,
}

/// Writes monitor files.
#[derive(Debug)]
pub struct MonitorFiles {
    monitored: HashMap<(ServiceKey, SocketAddr), Monitored>,
    lines: mpsc::SyncSender<(Arc<PathBuf>, String)>,
}

impl MonitorFiles {
    /// Starts the writer.
    pub fn start() -> io::Result<MonitorFiles> {
        let (lines, queue) = mpsc::sync_channel::<(Arc<PathBuf>, String)>(QUEUE_LINES);
        thread::Builder::new().name("monitor".to_owned()).spawn(move || {
            while let Ok(first) = queue.recv() {
                let mut texts: BTreeMap<Arc<PathBuf>, String> = BTreeMap::new();
                for (file, line) in std::iter::once(first).chain(queue.try_iter().take(BATCH_LINES))
                {
                    texts.entry(file).or_default().push_str(&line);
                }
                for (file, text) in texts {
                    if let Err(error) = append(&file, &text) {
                        let (path, errno) = (file.display(), error.raw_os_error());
                        tracing::warn!(event = "monitor-file", %path, errno, "cannot write monitorfile {path}: {error}");
                    }
                }
            }
        })?;
        Ok(MonitorFiles { monitored: HashMap::new(), lines })
    }

    /// Later lines are those of this configuration.
    pub fn follow(&mut self, desired: &Desired) {
        self.monitored.clear();
        for service in &desired.services {
            let Some(file) = service.monitor_file.clone().map(Arc::new) else { continue };
            for server in &service.servers {
                let check = match server.checked {
                    Checked::By(check) => desired.check(check),
                    Checked::AlwaysUp | Checked::Never => None,
                };
                let monitored = Monitored {
                    file: Arc::clone(&file),
                    id: id(service, server, check.map(AsRef::as_ref)),
                    // As ldirectord.
                    hears: match check.map(|check| &check.kind) {
                        None | Some(CheckKind::ExternalPerl { .. }) => (false, false),
                        Some(CheckKind::Ping { .. }) => (true, false),
                        Some(_) => (true, true),
                    },
                    is_checked: check.is_some(),
                };
                self.monitored.insert((service.key, server.written), monitored);
            }
        }
    }

    /// A check has ended.
    pub fn write(&self, place: &Place, verdict: &Verdict, when: Timestamp) {
        let Some(monitored) = self.monitored.get(&(place.service, place.written)) else { return };
        match verdict {
            Ok(pass) if monitored.hears.0 => self.append(monitored, "up", &pass.detail, when),
            Err(failure) if monitored.hears.1 => {
                self.append(monitored, "down", &failure.to_string(), when);
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// A server is in maintenance. It is told when that begins, and each time that a check would have.
    ///
    /// Differs from ldirectord: of servers that nothing checks (`on`, `off`) it is told once.
    pub fn write_maintenance(&self, place: &Place, begins: bool, when: Timestamp) {
        let monitored = self.monitored.get(&(place.service, place.written));
        if let Some(monitored) = monitored.filter(|monitored| monitored.is_checked != begins) {
            self.append(monitored, "down", "Server in maintenance", when);
        }
    }

    fn append(&self, monitored: &Monitored, state: &str, message: &str, when: Timestamp) {
        let date = when.to_zoned(TimeZone::system()).strftime("%a %b %e %H:%M:%S %Y").to_string();
        let (pid, id, message) = (std::process::id(), &monitored.id, escape(message));
        let line = format!("[{date}] [{pid}] {id} [{state}] {message}\n");
        // A line that finds no room is lost; the log tells of the failure all the same.
        self.lines.try_send((Arc::clone(&monitored.file), line)).unwrap_or_default();
    }
}

/// A message on one line, without what tools take for separators.
fn escape(message: &str) -> String {
    let mut escaped = String::with_capacity(message.len());
    for c in message.chars() {
        match c {
            '%' => escaped.push_str("%25"),
            '|' => escaped.push_str("%7c"),
            '\r' => escaped.push_str("%0d"),
            '\n' => escaped.push_str("%0a"),
            c => escaped.push(c),
        }
    }
    if escaped.is_empty() { "-".to_owned() } else { escaped }
}

/// What tells a check from another: `negotiate http tcp 127.0.0.2 80 5 masq / ` for an http check without `receive`.
fn id(service: &VirtualService, server: &RealServer, check: Option<&CheckSpec>) -> String {
    let (kind, negotiate) = match check.map(|check| &check.kind) {
        None if server.checked == Checked::AlwaysUp => ("on".to_owned(), None),
        None => ("off".to_owned(), None),
        Some(CheckKind::Negotiate(negotiate)) => {
            (format!("negotiate:{}", negotiate.protocol), Some(negotiate))
        }
        Some(CheckKind::Combined { negotiate, .. }) => {
            (format!("combined:{}", negotiate.protocol), Some(negotiate))
        }
        Some(CheckKind::External { program, .. }) => {
            (format!("external:{}", program.display()), None)
        }
        Some(CheckKind::ExternalPerl { program, .. }) => {
            (format!("external-perl:{}", program.display()), None)
        }
        // An agent speaks beside the checks, and has no line.
        Some(CheckKind::Agent { .. }) => ("agent".to_owned(), None),
        Some(CheckKind::Connect) => ("connect".to_owned(), None),
        // A connect check of a udp service is a ping.
        Some(CheckKind::Ping { .. }) if protocol(service.key) == "udp" => {
            ("connect".to_owned(), None)
        }
        Some(CheckKind::Ping { .. }) => ("ping".to_owned(), None),
    };
    let target = check.map(|check| check.target);
    let receive = negotiate.and_then(|negotiate| negotiate.receive.as_ref());
    let receive = receive.map(|pattern| String::from_utf8_lossy(pattern.source()).into_owned());
    let fields = [
        kind,
        protocol(service.key).to_owned(),
        server.written.to_string(),
        negotiate.and_then(|negotiate| negotiate.virtualhost.clone()).unwrap_or_default(),
        target.map(|target| check_port(server, target)).unwrap_or_default(),
        server.share.weight.to_string(),
        server.share.forwarding.to_string(),
        match (negotiate, target) {
            (Some(negotiate), Some(target)) => request(negotiate, target),
            _ => "/".to_owned(),
        },
        receive.unwrap_or_default(),
    ];
    // As ldirectord makes it: joined with colons, runs of which become a blank; backslashes go.
    let mut id = String::new();
    for c in fields.join(":").chars() {
        match c {
            '\\' => {}
            ':' if id.ends_with('\u{0}') => {}
            ':' => id.push('\u{0}'),
            c => id.push(c),
        }
    }
    id.replace('\u{0}', " ")
}

fn protocol(service: ServiceKey) -> &'static str {
    match service {
        ServiceKey::Address { transport: Transport::Tcp, .. } => "tcp",
        ServiceKey::Address { transport: Transport::Udp, .. } => "udp",
        ServiceKey::Address { transport: Transport::Sctp, .. } => "sctp",
        ServiceKey::Fwmark { .. } => "fwm",
    }
}

/// The port of `checkport`, as far as the check shows that it has one: it is not that of the server.
fn check_port(server: &RealServer, target: SocketAddr) -> String {
    match (server.written.port(), target.port()) {
        (0, _) | (_, 0) => String::new(),
        (written, checked) if written == checked => String::new(),
        (_, checked) => checked.to_string(),
    }
}

/// The request as written: of a URL of this server, the path.
fn request(negotiate: &Negotiate, target: SocketAddr) -> String {
    let request = String::from_utf8_lossy(&negotiate.request);
    let own = format!("{}://{target}", negotiate.protocol);
    request.strip_prefix(&own).unwrap_or(&request).to_owned()
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use super::*;
    use crate::{
        model::{
            CheckId, Forwarding, HttpMethod, HttpSettings, Quiesce, Secret, ServerKey, Settings,
            Share, Thresholds, TlsSettings, Weight,
        },
        pattern::Pattern,
    };

    fn service(key: ServiceKey) -> VirtualService {
        VirtualService {
            key,
            settings: Settings::default(),
            servers: Vec::new(),
            fallback: None,
            fallback_command: None,
            quiesce: Quiesce::Remove,
            failure_count: NonZeroU32::MIN,
            rise_count: NonZeroU32::MIN,
            clean_stop: true,
            monitor_file: None,
            alerts: crate::model::AlertPolicy::default(),
            name: None,
            comment: None,
        }
    }

    #[test]
    fn an_id_is_ldirectords() {
        let web = service(ServiceKey::Address {
            transport: Transport::Tcp,
            address: "192.0.2.1:80".parse().unwrap(),
        });
        let written: SocketAddr = "127.0.0.2:80".parse().unwrap();
        let weight = Weight::new(5).unwrap();
        let server = RealServer {
            key: ServerKey(written),
            written,
            share: Share {
                forwarding: Forwarding::Masquerade,
                weight,
                thresholds: Thresholds::default(),
            },
            checked: Checked::By(CheckId::new(0).unwrap()),
            agent: None,
        };
        let negotiate = Negotiate {
            protocol: "http",
            transport: Transport::Tcp,
            request: b"http://127.0.0.2:80/".to_vec(),
            receive: None,
            method: HttpMethod::Get,
            http: HttpSettings::default(),
            steps: Vec::new(),
            dns_record: None,
            virtualhost: None,
            login: String::new(),
            passwd: Secret::default(),
            database: String::new(),
            secret: Secret::default(),
            tls: TlsSettings::default(),
        };
        let check = |target: &str, kind| CheckSpec {
            target: target.parse().unwrap(),
            kind,
            interval: Duration::from_secs(1),
            fast_interval: Duration::from_secs(1),
            down_interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
        };
        let http = check("127.0.0.2:80", CheckKind::Negotiate(negotiate.clone()));
        assert_eq!(id(&web, &server, Some(&http)), "negotiate http tcp 127.0.0.2 80 5 masq / ");
        let own = Negotiate {
            request: b"http://127.0.0.2:81/a:b".to_vec(),
            receive: Some(Pattern::new(br"O\.K").unwrap()),
            virtualhost: Some("www".to_owned()),
            ..negotiate
        };
        let own = check("127.0.0.2:81", CheckKind::Negotiate(own));
        assert_eq!(
            id(&web, &server, Some(&own)),
            "negotiate http tcp 127.0.0.2 80 www 81 5 masq /a b O.K"
        );
        let connect = check("127.0.0.2:80", CheckKind::Connect);
        assert_eq!(id(&web, &server, Some(&connect)), "connect tcp 127.0.0.2 80 5 masq / ");
        let off = RealServer { checked: Checked::Never, ..server };
        assert_eq!(id(&web, &off, None), "off tcp 127.0.0.2 80 5 masq / ");
    }

    #[test]
    fn a_message_keeps_to_its_line() {
        assert_eq!(escape("50% a|b\r\n"), "50%25 a%7cb%0d%0a");
        assert_eq!(escape(""), "-");
    }
}
