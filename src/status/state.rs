//! What a daemon knows of its services at one moment: what it answers on its control socket.
//!
//! The section STATUS of ldirectord(8) describes it. Members may be added; one that is taken away or means something
//! else makes [`SCHEMA`] the next number.

use std::net::SocketAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{Condition, ServiceKey};

/// The version of [`State`].
pub const SCHEMA: u32 = 1;

/// What a daemon knows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct State {
    /// [`SCHEMA`] of who wrote it.
    pub schema: u32,
    /// The daemon itself.
    pub daemon: DaemonState,
    /// Its virtual services, in the order of the file.
    pub services: Vec<ServiceState>,
}

/// A daemon.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DaemonState {
    /// The path of its configuration.
    pub configuration: String,
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// What it is doing: `starting`, `running`, `reloading`, `stopping`.
    pub phase: String,
    /// When it began.
    pub started: Timestamp,
    /// When it took over the configuration that it follows.
    pub loaded: Timestamp,
    /// When all this was so.
    pub now: Timestamp,
}

/// A virtual service.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ServiceState {
    /// What clients reach: `tcp:192.0.2.1:80`, `fwm:7`, `fwm6:7`.
    #[serde(with = "key")]
    pub service: ServiceKey,
    /// Its name for people (`servicename`).
    pub name: Option<String>,
    /// A remark for people (`comment`).
    pub comment: Option<String>,
    /// How many of its real servers serve.
    pub serving: usize,
    /// How many real servers it has.
    pub real_servers: usize,
    /// Its real servers in the order of the file, then its fallback if it has one.
    pub servers: Vec<ServerState>,
}

/// A server of a virtual service.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ServerState {
    /// As the kernel has it, if it is there.
    pub server: SocketAddr,
    /// As the file has it; the port may be another, or 0 where the file has none.
    pub written: SocketAddr,
    /// Whether it is the fallback.
    pub is_fallback: bool,
    /// How it is.
    pub condition: Condition,
    /// Since when it has been so, as far as this daemon knows.
    pub since: Option<Timestamp>,
    /// Why it is not up, or why the last check failed: a word of a closed list, such as `timeout`.
    pub reason: Option<String>,
    /// The same in a sentence.
    pub detail: Option<String>,
    /// The forwarding method of the file: `gate`, `masq`, `ipip`.
    pub method: String,
    /// The weight of the file.
    pub weight: u32,
    /// Checks in a row that failed while it is up, and how many take it down.
    pub failures: Count,
    /// Checks in a row that passed while it is down, and how many bring it back.
    pub passes: Count,
    /// What asks whether it works; none with `checktype` of `on` and `off`.
    pub check: Option<CheckState>,
}

/// A check of a server.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CheckState {
    /// What asks, as the file calls it: `http`, `connect`, `ping`.
    pub kind: String,
    /// The address and port that are asked.
    pub target: SocketAddr,
    /// How often, in seconds.
    pub interval_s: f64,
    /// The same while a verdict is pending.
    pub fast_interval_s: f64,
    /// The same while the server is down.
    pub down_interval_s: f64,
    /// After how many seconds it has failed.
    pub timeout_s: f64,
    /// When it is made next; none while it is being made.
    pub next: Option<Timestamp>,
}

/// An attempt of a check that has ended.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AttemptState {
    /// When it ended.
    pub ended: Timestamp,
    /// Why it failed, a word of a closed list; none if it passed.
    pub reason: Option<String>,
    /// The same in a sentence.
    pub detail: Option<String>,
    /// In which part it ended: `resolve`, `connect`, `tls`, `send`, `receive`, `match`.
    pub phase: String,
    /// How long each part took, in milliseconds.
    pub times_ms: Vec<(String, f64)>,
    /// The beginning of what the server sent, of the last attempt that failed; bytes that are no text are escaped.
    pub received: Option<String>,
    /// The day on which the certificate ends that the server showed.
    pub certificate_end: Option<String>,
}

/// So many of so many.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Count {
    /// How many there are.
    pub count: u32,
    /// How many it takes.
    pub of: u32,
}

/// A key as one word.
pub(crate) mod key {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::model::ServiceKey;

    pub(crate) fn serialize<S: Serializer>(
        key: &ServiceKey,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&key.with_protocol())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<ServiceKey, D::Error> {
        let word = String::deserialize(deserializer)?;
        word.parse().map_err(D::Error::custom)
    }
}
