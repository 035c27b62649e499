//! Virtual services: what clients reach.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    str::FromStr,
};

use super::{AlertPolicy, Fallback, Quiesce, RealServer};

/// The protocol above IP.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Transport {
    /// TCP, `-t` in ipvsadm.
    Tcp,
    /// UDP, `-u` in ipvsadm.
    Udp,
    /// SCTP; ldirectord cannot configure it, the kernel may hold it.
    Sctp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
            Transport::Sctp => "sctp",
        })
    }
}

/// The version of IP.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }
}

/// What tells one virtual service from another, here and in the kernel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ServiceKey {
    /// An address and port of one transport protocol.
    Address {
        /// The protocol.
        transport: Transport,
        /// The address and port that clients reach.
        address: SocketAddr,
    },
    /// Every packet that the packet filter gave this mark.
    Fwmark {
        /// The family of the marked packets; IPv4 and IPv6 are two services.
        family: Family,
        /// The mark. Zero is what unmarked packets carry, so it names no service.
        mark: NonZeroU32,
    },
}

impl ServiceKey {
    /// The family of the addresses that reach this service.
    pub fn family(&self) -> Family {
        match self {
            ServiceKey::Address { address, .. } => Family::of(address.ip()),
            ServiceKey::Fwmark { family, .. } => *family,
        }
    }

    /// As ldirectord prints a virtual service in its log and mails: `192.0.2.1:80`, `[2001:db8::1]:80`, `7`.
    pub fn plain(&self) -> String {
        match self {
            ServiceKey::Address { address, .. } => address.to_string(),
            ServiceKey::Fwmark { mark, .. } => mark.to_string(),
        }
    }

    /// As ldirectord names a virtual service where the protocol matters: `tcp:192.0.2.1:80`, `fwm:7`, `fwm6:7`.
    pub fn with_protocol(&self) -> String {
        match self {
            ServiceKey::Address { transport, address } => format!("{transport}:{address}"),
            ServiceKey::Fwmark { family: Family::V4, mark } => format!("fwm:{mark}"),
            ServiceKey::Fwmark { family: Family::V6, mark } => format!("fwm6:{mark}"),
        }
    }
}

/// For messages: `tcp 192.0.2.1:80`, `fwmark 7`, `fwmark 7 (IPv6)`.
impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceKey::Address { transport, address } => write!(f, "{transport} {address}"),
            ServiceKey::Fwmark { family: Family::V4, mark } => write!(f, "fwmark {mark}"),
            ServiceKey::Fwmark { family: Family::V6, mark } => write!(f, "fwmark {mark} (IPv6)"),
        }
    }
}

/// A word that names no virtual service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoServiceKey;

impl fmt::Display for NoServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no virtual service is written like that")
    }
}

impl std::error::Error for NoServiceKey {}

/// What [`ServiceKey::with_protocol`] and the [`fmt::Display`] of it write.
impl FromStr for ServiceKey {
    type Err = NoServiceKey;

    fn from_str(text: &str) -> Result<ServiceKey, NoServiceKey> {
        let (kind, rest) = text.split_once([':', ' ']).ok_or(NoServiceKey)?;
        let address = |transport| match rest.parse() {
            Ok(address) => Ok(ServiceKey::Address { transport, address }),
            Err(_) => Err(NoServiceKey),
        };
        let fwmark = |family, mark: &str| match mark.parse() {
            Ok(mark) => Ok(ServiceKey::Fwmark { family, mark }),
            Err(_) => Err(NoServiceKey),
        };
        match kind {
            "tcp" => address(Transport::Tcp),
            "udp" => address(Transport::Udp),
            "sctp" => address(Transport::Sctp),
            "fwm6" => fwmark(Family::V6, rest),
            "fwm" => fwmark(Family::V4, rest),
            "fwmark" => match rest.strip_suffix(" (IPv6)") {
                Some(mark) => fwmark(Family::V6, mark),
                None => fwmark(Family::V4, rest),
            },
            _ => Err(NoServiceKey),
        }
    }
}

/// The name of a scheduler module, as in `ip_vs_NAME`.
///
/// Any lower-case word is possible: ldirectord does not check the name, and the kernel can have modules of its own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Scheduler(pub String);

impl Default for Scheduler {
    /// `wrr`, ldirectord's default (ipvsadm's is `wlc`).
    fn default() -> Self {
        Scheduler("wrr".to_owned())
    }
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The three flag bits whose meaning each scheduler gives (`IP_VS_SVC_F_SCHED1` to `3` of `linux/ip_vs.h`).
///
/// `sh-fallback` and `mh-fallback` are the first, `sh-port` and `mh-port` the second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SchedulerFlags {
    /// `flag-1`, `sh-fallback`, `mh-fallback`.
    pub first: bool,
    /// `flag-2`, `sh-port`, `mh-port`.
    pub second: bool,
    /// `flag-3`.
    pub third: bool,
}

/// Which clients count as one for persistence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mask {
    /// IPv4: the bits of the client's address that count.
    V4(Ipv4Addr),
    /// IPv6: how many leading bits of the client's address count, 1 to 128.
    V6(u8),
}

impl Mask {
    /// The whole address counts.
    pub fn whole(family: Family) -> Mask {
        match family {
            Family::V4 => Mask::V4(Ipv4Addr::BROADCAST),
            Family::V6 => Mask::V6(128),
        }
    }
}

/// The same client keeps its server for a time.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Persistence {
    /// For how long after the last connection, in seconds, 1 or more.
    pub timeout_s: u32,
    /// Which clients count as one.
    pub mask: Mask,
    /// The persistence engine (`sip`), if one is set.
    pub engine: Option<String>,
}

/// How the kernel spreads the connections of a virtual service.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Settings {
    /// Which server gets a new connection.
    pub scheduler: Scheduler,
    /// Flags of that scheduler.
    pub flags: SchedulerFlags,
    /// Persistence, if clients keep their server.
    pub persistence: Option<Persistence>,
    /// Every UDP packet is scheduled anew.
    pub one_packet: bool,
}

/// A virtual service and everything the file says of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VirtualService {
    /// What clients reach.
    pub key: ServiceKey,
    /// How the kernel spreads its connections.
    pub settings: Settings,
    /// Its real servers, in the order of the file; two may share a [`super::ServerKey`], and then the later that serves counts.
    pub servers: Vec<RealServer>,
    /// What serves when no real server does.
    pub fallback: Option<Fallback>,
    /// The program to run when the fallback begins or ends to serve, as ldirectord's `fallbackcommand`.
    pub fallback_command: Option<String>,
    /// What becomes of a server that is down.
    pub quiesce: Quiesce,
    /// How many failed checks in a row take a server down.
    pub failure_count: NonZeroU32,
    /// How many passed checks in a row bring back a server that is down; HAProxy's `rise`.
    ///
    /// Of a server that has not been checked yet one is enough.
    pub rise_count: NonZeroU32,
    /// Whether the service leaves the kernel when the daemon ends.
    pub clean_stop: bool,
    /// Who is mailed about it.
    pub alerts: AlertPolicy,
    /// Where results of checks are written, as ldirectord's `monitorfile`.
    pub monitor_file: Option<PathBuf>,
    /// A name for people, from `servicename`.
    pub name: Option<String>,
    /// A remark for people, from `comment`.
    pub comment: Option<String>,
}
