//! The vocabulary: what a director directs, in types. No logic that chooses.
//!
//! The words are those of the glossary in `ARCHITECTURE.md`.
//! `config` makes a [`Desired`] from a file; every later layer reads it and none changes it.

mod agent;
mod check;
mod condition;
mod http;
mod maintenance;
mod policy;
mod server;
mod service;
mod sync;
mod tls;
mod trace;
mod webhook;

use std::sync::Arc;

pub use agent::{Admission, AgentAnswer, AgentReport, AgentWeight, Operation};
pub use check::{
    Carrier, CheckId, CheckKind, CheckSpec, DnsRecord, Failure, Negotiate, Pass, ProtocolInfo,
    Reason, Secret, Stage, Step, Verdict,
};
pub use condition::{Condition, NoCondition};
pub use http::{HttpHeader, HttpMethod, HttpSettings};
pub use maintenance::Maintenance;
pub use policy::{
    AlertPhases, AlertPolicy, DEFAULT_LOG, Drift, LogFormat, LogTarget, Login, MailServer, Post,
    ProcessSettings, Quiesce, Recipient, SmtpTls, Way,
};
pub use server::{
    Checked, Fallback, Forwarding, RealServer, ServerKey, Share, Thresholds, Tunnel, Weight,
};
pub use service::{
    Family, Mask, NoServiceKey, Persistence, Scheduler, SchedulerFlags, ServiceKey, Settings,
    Transport, VirtualService,
};
pub use sync::{SyncDaemon, SyncRole};
pub use tls::{CertificateEnd, ClientIdentity, TlsEngine, TlsSettings};
pub use trace::{Attempted, Phase, Times, Trace};
pub use webhook::{PLACEHOLDERS, Placeholder, Template, TemplateFault, Webhook};

/// The environment variable that tells the second of a daemon's two processes what it is: the first one's number.
pub const STARTED_BY: &str = "LDIRECTORD_STARTED_BY";

/// The environment variable that names the socket of the service manager.
pub const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// The environment variable with how long the service manager waits to hear of its process, in microseconds.
pub const WATCHDOG_USEC: &str = "WATCHDOG_USEC";

/// The environment variable with the process that this is said to.
pub const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// What is meant for the daemon alone: whoever starts another program takes it away.
pub const NOT_INHERITED: [&str; 4] = [STARTED_BY, NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID];

/// Everything the operator asked for, resolved to numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// The virtual services, in the order of the file. No two have the same key.
    pub services: Vec<VirtualService>,
    /// The checks that the real servers name. No two are equal: equal checks run once.
    pub checks: Vec<Arc<CheckSpec>>,
    /// How many of them speak TLS and do not verify certificates.
    pub unverified: usize,
    /// How the process itself behaves.
    pub process: ProcessSettings,
}

impl Desired {
    /// The check with this number, if the number is one of this configuration's.
    pub fn check(&self, id: CheckId) -> Option<&Arc<CheckSpec>> {
        self.checks.get(id.index())
    }
}
