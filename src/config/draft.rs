//! The file's directives one by one, before names are numbers and defaults are applied.
//!
//! A field is `None` where the file says nothing; which default then holds is `expand`'s business.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsStr,
    net::SocketAddr,
    ops::Range,
    os::unix::ffi::OsStrExt as _,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use zeroize::Zeroizing;

use super::{Named, diagnostic::Findings, said::Said, value::Value};
use crate::{
    model::{
        AlertPhases, DnsRecord, Drift, Forwarding, HttpMethod, HttpSettings, LogFormat, LogTarget,
        Login, Mask, SchedulerFlags, Secret, SmtpTls, Step, SyncDaemon, SyncRole, TlsEngine,
        Webhook, Weight,
    },
    pattern::{Pattern, PatternError},
};

/// What the directives have said so far.
pub(super) struct Draft<'a> {
    /// What was said of everything.
    pub(super) globals: Globals,
    /// The virtual service that is being described, if one is.
    pub(super) block: Option<Block>,
    /// The folder of the file that is being read; relative names are looked for there.
    pub(super) folder: PathBuf,
    /// The files that were asked for and are to be read next, and where.
    pub(super) includes: Vec<(PathBuf, Range<usize>)>,
    /// The files that were named for other purposes.
    pub(super) named: Vec<Named>,
    /// The templates of webhooks, to be read when the last line was.
    pub(super) templates: BTreeMap<PathBuf, Range<usize>>,
    /// What was found wrong.
    pub(super) findings: Findings,
    /// This host's name.
    pub(super) host_name: &'a str,
    /// The patterns of the file, each understood once.
    pub(super) patterns: HashMap<Vec<u8>, Result<Pattern, PatternError>>,
}

impl Draft<'_> {
    /// The shell is to look whether this file can be used.
    pub(super) fn name_file(&mut self, value: &Value<'_>, path: &[u8]) {
        let path = PathBuf::from(OsStr::from_bytes(path));
        self.named.push(Named { directive: value.directive.name, path, span: value.span() });
    }

    /// The file that a directive of ours names; where the name is relative, beside the file that says it.
    pub(super) fn our_file(&mut self, value: &Value<'_>) -> Option<PathBuf> {
        let name = value.quoted_or_rest(&mut self.findings)?;
        let path = self.folder.join(OsStr::from_bytes(&name));
        self.name_file(value, path.as_os_str().as_bytes());
        Some(path)
    }

    /// Keeps in mind where a directive stands.
    pub(super) fn note(&mut self, value: &Value<'_>) {
        match &mut self.block {
            Some(block) => block.said.note(value),
            None => self.globals.said.note(value),
        }
    }

    /// What may be said of everything and of one service: the part that is being described.
    pub(super) fn common(&mut self) -> &mut Common {
        match &mut self.block {
            Some(block) => &mut block.common,
            None => &mut self.globals.common,
        }
    }
}

/// Directives that speak of everything.
#[derive(Default)]
pub(super) struct Globals {
    pub(super) said: Said,
    pub(super) common: Common,
    /// Fallbacks that a later line replaces, each with whether it is of IPv6: they must be right all the same.
    pub(super) replaced_fallbacks: Vec<(FallbackText, bool)>,
    pub(super) autoreload: bool,
    pub(super) callback: Option<String>,
    pub(super) execute: Vec<String>,
    pub(super) fork: bool,
    pub(super) log: LogTarget,
    pub(super) log_format: LogFormat,
    pub(super) maintenance_dir: Option<Vec<u8>>,
    pub(super) email_from: Option<String>,
    pub(super) readd_quiescent: bool,
    pub(super) supervised: bool,
    pub(super) user: Option<String>,
    pub(super) status_listen: Option<SocketAddr>,
    pub(super) drift: Drift,
    /// Which sync daemons should run, and how.
    pub(super) sync_roles: &'static [SyncRole],
    pub(super) sync: SyncDaemon,
    /// The credentials file, and where it is named.
    pub(super) credentials: Option<(PathBuf, Range<usize>)>,
}

/// Directives that may speak of everything or of one service.
#[derive(Default, Clone)]
pub(super) struct Common {
    pub(super) check_timeout: Option<Duration>,
    pub(super) negotiate_timeout: Option<Duration>,
    pub(super) interval: Option<(Duration, Range<usize>)>,
    pub(super) fast_interval: Option<Duration>,
    pub(super) down_interval: Option<Duration>,
    pub(super) check_count: Option<u32>,
    pub(super) failure_count: Option<u32>,
    pub(super) rise_count: Option<u32>,
    pub(super) quiescent: Option<bool>,
    pub(super) clean_stop: Option<bool>,
    pub(super) fallback_command: Option<String>,
    pub(super) fallback: Option<FallbackText>,
    pub(super) fallback6: Option<FallbackText>,
    pub(super) email: Option<String>,
    pub(super) email_repeat_s: Option<u32>,
    pub(super) email_phases: Option<AlertPhases>,
    pub(super) email_digest: Option<u32>,
    pub(super) smtp: Option<String>,
    pub(super) start_tls: Option<bool>,
    pub(super) smtp_port: Option<u16>,
    pub(super) smtp_tls: Option<SmtpTls>,
    /// The section of the credentials file, and where it is named.
    pub(super) smtp_credentials: Option<(String, Range<usize>)>,
    /// What that section has.
    pub(super) smtp_login: Option<Login>,
    pub(super) webhooks: Vec<WebhookText>,
    /// The same with what their sections and templates say.
    pub(super) calls: Vec<Arc<Webhook>>,
    pub(super) tls_verify: Option<bool>,
    pub(super) tls_engine: Option<TlsEngine>,
    pub(super) authorities: Option<PathBuf>,
    pub(super) client_certificate: Option<PathBuf>,
    /// The key, and where it is named.
    pub(super) client_key: Option<(PathBuf, Range<usize>)>,
    pub(super) tunnel_type: Option<TunnelType>,
    pub(super) tunnel_port: Option<u16>,
}

/// `webhook` as written.
#[derive(Clone)]
pub(super) struct WebhookText {
    pub(super) url: Option<Secret>,
    /// The file that has the template.
    pub(super) template: Option<PathBuf>,
    /// The section of the credentials file, and where it is named.
    pub(super) credentials: Option<(String, Range<usize>)>,
    /// Whether the address looks as if it were a secret.
    pub(super) is_secret: bool,
    pub(super) span: Range<usize>,
}

/// `tunneltype`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TunnelType {
    Ipip,
    Gue,
    Gre,
}

/// A fallback as written.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct FallbackText {
    pub(super) host: String,
    pub(super) port: Option<String>,
    pub(super) forwarding: Forwarding,
    pub(super) span: Range<usize>,
}

/// Directives of one virtual service.
pub(super) struct Block {
    /// What `virtual=` or `virtual6=` said; `None` when that was wrong, and the rest is read for its faults alone.
    pub(super) address: Option<VirtualText>,
    /// Whether it was `virtual6=`.
    pub(super) six: bool,
    /// Where its address stands.
    pub(super) span: Range<usize>,
    pub(super) said: Said,
    pub(super) common: Common,
    pub(super) servers: Vec<ServerText>,
    pub(super) udp: bool,
    pub(super) check_type: CheckType,
    pub(super) check_type_span: Option<Range<usize>>,
    pub(super) service: Option<(&'static str, Range<usize>)>,
    pub(super) check_command: Option<Vec<u8>>,
    pub(super) check_port: Option<u16>,
    pub(super) agent_port: Option<u16>,
    pub(super) agent_interval: Option<Duration>,
    pub(super) agent_send: Vec<u8>,
    pub(super) request: Option<Vec<u8>>,
    pub(super) receive: Option<Pattern>,
    pub(super) method: HttpMethod,
    pub(super) http: HttpSettings,
    /// The steps of a conversation, each with where it stands.
    pub(super) steps: Vec<(Step, Range<usize>)>,
    pub(super) dns_record: Option<DnsRecord>,
    pub(super) virtual_host: Option<String>,
    pub(super) tls_name: Option<String>,
    pub(super) access: Access,
    /// What `service` fills in where nothing else is said.
    pub(super) usual: Access,
    /// The section of the credentials file, and where it is named.
    pub(super) credentials: Option<(String, Range<usize>)>,
    pub(super) scheduler: Option<String>,
    /// The flags, the scheduler that alone knows them, and where they stand.
    pub(super) scheduler_flags: Option<(SchedulerFlags, Option<&'static str>, Range<usize>)>,
    pub(super) persistent: Option<(u32, Range<usize>)>,
    pub(super) netmask: Option<(Result<Mask, String>, Range<usize>)>,
    pub(super) one_packet: bool,
    pub(super) monitor_file: Option<Vec<u8>>,
    pub(super) name: Option<String>,
    pub(super) comment: Option<String>,
}

/// Who a check says it is; empty is nothing.
#[derive(Clone, Default)]
pub(super) struct Access {
    pub(super) login: String,
    pub(super) passwd: Zeroizing<String>,
    pub(super) database: String,
    pub(super) secret: Zeroizing<String>,
}

/// The address of a virtual service as written.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum VirtualText {
    Mark(u32),
    Address { host: String, port: String },
}

/// `checktype`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CheckType {
    Negotiate,
    Connect,
    Ping,
    On,
    Off,
    External,
    ExternalPerl,
    Combined(u32),
}

impl CheckType {
    /// Whether it speaks the protocol of `service`.
    pub(super) fn negotiates(self) -> bool {
        matches!(self, CheckType::Negotiate | CheckType::Combined(_))
    }
}

/// A `real` line as written.
pub(super) struct ServerText {
    pub(super) host: String,
    pub(super) end_host: Option<String>,
    pub(super) port: Option<String>,
    pub(super) forwarding: Forwarding,
    pub(super) weight: Weight,
    /// The request and what its answer must contain, of this server alone.
    pub(super) own: Option<(Vec<u8>, Option<Pattern>)>,
    pub(super) lower: u32,
    pub(super) upper: u32,
    /// Where the value stands.
    pub(super) span: Range<usize>,
}

impl Block {
    pub(super) fn new(address: Option<VirtualText>, six: bool, span: Range<usize>) -> Block {
        let udp = matches!(&address, Some(VirtualText::Address { port, .. }) if port == "53" || port == "domain");
        Block {
            address,
            six,
            span,
            said: Said::default(),
            common: Common::default(),
            servers: Vec::new(),
            udp,
            check_type: CheckType::Negotiate,
            check_type_span: None,
            service: None,
            check_command: None,
            check_port: None,
            agent_port: None,
            agent_interval: None,
            agent_send: Vec::new(),
            request: None,
            receive: None,
            method: HttpMethod::Get,
            http: HttpSettings::default(),
            steps: Vec::new(),
            dns_record: None,
            virtual_host: None,
            tls_name: None,
            access: Access::default(),
            usual: Access::default(),
            credentials: None,
            scheduler: None,
            scheduler_flags: None,
            persistent: None,
            netmask: None,
            one_packet: false,
            monitor_file: None,
            name: None,
            comment: None,
        }
    }
}
