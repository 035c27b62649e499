//! What to do when: with a server that is down, with the process itself.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use super::{Secret, SyncDaemon, SyncRole, Webhook};

/// What becomes of a server that is down.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Quiesce {
    /// It leaves the table, and its connections break (`quiescent=no`, ldirectord's default).
    #[default]
    Remove,
    /// It stays with weight 0, and is put back if somebody deleted it (`quiescent=yes`, `readdquiescent=yes`).
    ZeroWeight,
    /// It stays with weight 0 unless somebody deleted it (`quiescent=yes`, `readdquiescent=no`).
    ///
    /// A start or reload puts it in, as ldirectord does; afterwards a person may take it out.
    ZeroWeightIfPresent,
}

/// What becomes of services and servers of ours that somebody else deleted from the kernel's table.
///
/// A weight, method or scheduler that somebody else changed stays in any case until the next transition of that server
/// or the next reload; it is told unless nobody looks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Drift {
    /// They are put back when the table is next looked at.
    #[default]
    Repair,
    /// They are told once, and stay away until the next transition of that server, a reload or a start.
    Report,
    /// Nobody looks.
    Off,
}

/// What the daemon is doing when a mail or webhook would be sent; each can be left out (`emailalertstatus`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four independent choices of a list, not a state"
)]
pub struct AlertPhases {
    /// From the start until every server has been checked once.
    pub starting: bool,
    /// The usual.
    pub running: bool,
    /// The end.
    pub stopping: bool,
    /// From a reload until every server has been checked once.
    pub reloading: bool,
}

impl AlertPhases {
    /// Whatever the daemon is doing (`all`).
    pub const ALL: AlertPhases =
        AlertPhases { starting: true, running: true, stopping: true, reloading: true };
    /// Never (`none`).
    pub const NONE: AlertPhases =
        AlertPhases { starting: false, running: false, stopping: false, reloading: false };
}

/// Who is told of what becomes of a service's servers, and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlertPolicy {
    /// Who is told and how (`emailalert`, `webhook`); empty tells nobody.
    pub recipients: Vec<Recipient>,
    /// How often it is told again that a server stays down; zero never (`emailalertfreq`).
    pub repeat_after: Duration,
    /// When anything is told at all (`emailalertstatus`).
    pub phases: AlertPhases,
}

impl Default for AlertPolicy {
    fn default() -> Self {
        AlertPolicy {
            recipients: Vec::new(),
            repeat_after: Duration::ZERO,
            phases: AlertPhases::ALL,
        }
    }
}

/// Who is told, and how often one by one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Recipient {
    /// Who, and how.
    pub way: Way,
    /// How many messages within [`Recipient::DIGEST_WITHIN`] are sent one by one; what is beyond becomes one. Zero is
    /// no limit (`emaildigest`).
    pub digest_above: u32,
}

impl Recipient {
    /// The time in which messages are counted.
    pub const DIGEST_WITHIN: Duration = Duration::from_secs(10);
    /// How many messages are sent one by one where nothing is said.
    pub const DIGEST_ABOVE: u32 = 20;
}

/// How somebody is told.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Way {
    /// By mail.
    Mail(Arc<Post>),
    /// By a request over HTTP.
    Webhook(Arc<Webhook>),
}

/// Who is mailed and how.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Post {
    /// The addresses as written, commas and all (`emailalert`).
    pub recipients: String,
    /// The address in the From header as written; `None` is the user at this host (`emailalertfrom`).
    pub from: Option<String>,
    /// The mail server to speak to; `None` hands mails to the local `sendmail`.
    pub server: Option<MailServer>,
}

/// A mail server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MailServer {
    /// Its name or address (`smtp`).
    pub host: String,
    /// Its port (`smtpport`).
    pub port: u16,
    /// Whether it is spoken to with TLS (`smtptls`).
    pub tls: SmtpTls,
    /// What it is told of who we are (`smtpcredentials`).
    pub login: Option<Login>,
}

/// Whether a mail server is spoken to with TLS.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum SmtpTls {
    /// No.
    #[default]
    Never,
    /// After `STARTTLS`.
    Starttls,
    /// From the first byte.
    Always,
}

/// A name and the password to it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Login {
    /// The name.
    pub name: String,
    /// The password.
    pub passwd: Secret,
}

/// Where log lines go.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LogTarget {
    /// Appended to a file that is opened anew for every line, so that it can be rotated without a signal.
    File(PathBuf),
    /// To the system's log, with this facility as written (`local0`); an empty one is the default facility.
    Syslog(String),
    /// To systemd's journal, with the facts of each line as fields.
    Journal,
    /// To standard output, where the daemon stays in the foreground.
    StandardOutput,
    /// To standard error, where the daemon stays in the foreground.
    StandardError,
}

impl LogTarget {
    /// What `logfile` says, if that is no file.
    pub fn of_word(word: String) -> LogTarget {
        match word.as_str() {
            "journal" => LogTarget::Journal,
            "stdout" => LogTarget::StandardOutput,
            "stderr" => LogTarget::StandardError,
            _ => LogTarget::Syslog(word),
        }
    }
}

/// The log of a configuration that names none, where the environment does not name one either.
pub const DEFAULT_LOG: &str = "/var/log/ldirectord.log";

impl Default for LogTarget {
    fn default() -> Self {
        LogTarget::File(PathBuf::from(DEFAULT_LOG))
    }
}

/// What a log line is (`logformat`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum LogFormat {
    /// A sentence for people.
    #[default]
    Text,
    /// An object of JSON with the sentence and its facts.
    Json,
}

/// How the process itself behaves: the directives that speak of no virtual service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcessSettings {
    /// As whom to direct; `None` where nothing is said.
    pub user: Option<String>,
    /// Where log lines go.
    pub log: LogTarget,
    /// What they are there; the system's log and the journal have forms of their own.
    pub log_format: LogFormat,
    /// Stay in the foreground and log to standard output (`supervised`).
    pub supervised: bool,
    /// Take a changed file over without being told (`autoreload`).
    pub autoreload: bool,
    /// The program to run when the file has changed (`callback`).
    pub callback: Option<String>,
    /// Configurations that run as daemons of their own (`execute`).
    pub execute: Vec<String>,
    /// Where a file takes a server out of service (`maintenancedir`).
    pub maintenance_dir: Option<PathBuf>,
    /// Where the status page is served (`statuslisten`).
    pub status_listen: Option<SocketAddr>,
    /// How often real servers are checked where nothing else is said, and how often the file is looked at.
    pub interval: Duration,
    /// What becomes of what somebody else deleted from the kernel's table.
    pub drift: Drift,
    /// The sync daemons that the kernel should run; a role that is not named is nobody's business (`syncdaemon`).
    pub sync: BTreeMap<SyncRole, SyncDaemon>,
    /// Whether they are stopped when the daemon ends (`cleanstop`).
    pub clean_stop: bool,
}

impl Default for ProcessSettings {
    fn default() -> Self {
        ProcessSettings {
            user: None,
            log: LogTarget::default(),
            log_format: LogFormat::default(),
            supervised: false,
            autoreload: false,
            callback: None,
            execute: Vec::new(),
            maintenance_dir: None,
            status_listen: None,
            interval: Duration::from_secs(10),
            drift: Drift::default(),
            sync: BTreeMap::new(),
            clean_stop: true,
        }
    }
}
