//! Real servers: who answers for a virtual service.

use std::{fmt, net::SocketAddr};

use super::CheckId;

/// What tells one real server of a virtual service from another, as the kernel sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ServerKey(pub SocketAddr);

impl fmt::Display for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a tunnelled packet is wrapped (`enum ip_vs_tunnel_type` of `linux/ip_vs.h`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Tunnel {
    /// IP in IP, what ldirectord's `ipip` means.
    Ipip,
    /// Generic UDP encapsulation.
    Gue {
        /// The UDP port on the real server.
        port: u16,
        /// The kernel's checksum flags for the tunnel.
        checksum: u16,
    },
    /// Generic routing encapsulation.
    Gre {
        /// The kernel's checksum flags for the tunnel.
        checksum: u16,
    },
}

/// How a packet reaches the real server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Forwarding {
    /// Direct routing, `gate`, `-g`.
    Route,
    /// Tunnelling, `ipip`, `-i`.
    Tunnel(Tunnel),
    /// Network address translation, `masq`, `-m`.
    Masquerade,
    /// To this host itself; some kernels show it, no configuration asks for it.
    Local,
    /// Past the virtual service to the original destination; the kernel may show it, no configuration asks for it.
    Bypass,
}

/// The word of the configuration file, or the kernel's where the file has none.
impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Forwarding::Route => "gate",
            Forwarding::Tunnel(_) => "ipip",
            Forwarding::Masquerade => "masq",
            Forwarding::Local => "local",
            Forwarding::Bypass => "bypass",
        })
    }
}

/// The share of new connections that a server gets; 0 means none.
///
/// 0 to 2^31 - 1: the kernel refuses more with ERANGE (measured on 6.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Weight(u32);

impl Weight {
    /// No new connections.
    pub const ZERO: Weight = Weight(0);
    /// What a server has when nothing else is said.
    pub const ONE: Weight = Weight(1);
    /// The largest the kernel takes, 2^31 - 1.
    pub const MAX: Weight = Weight(i32::MAX.unsigned_abs());

    /// A weight, unless the kernel would refuse it.
    pub fn new(weight: u32) -> Option<Weight> {
        (weight <= Weight::MAX.0).then_some(Weight(weight))
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Connection counts at which a server stops and resumes taking more; 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Thresholds {
    /// At this many connections the server takes no more (`u:`, `-x`).
    pub upper: u32,
    /// Below this many it takes more again (`l:`, `-y`).
    pub lower: u32,
}

/// What the kernel is told about a server in a service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Share {
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// Its share of new connections.
    pub weight: Weight,
    /// Its connection limits.
    pub thresholds: Thresholds,
}

impl Share {
    /// The same server, with no new connections.
    ///
    /// Differs from ldirectord: the thresholds stay, there they become 0 until the server is restored.
    #[must_use]
    pub fn quiesced(self) -> Share {
        Share { weight: Weight::ZERO, ..self }
    }
}

/// Who decides whether a real server works.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Checked {
    /// A check.
    By(CheckId),
    /// Nobody: it always serves (`checktype=on`).
    AlwaysUp,
    /// Nobody: it is never taken into service (`checktype=off`), and stays if the kernel has it at start.
    Never,
}

/// A real server of a virtual service.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RealServer {
    /// As the kernel stores it: `gate` and `ipip` have the port of the virtual service.
    pub key: ServerKey,
    /// As the file has it, for log lines and mails; the port is 0 where the file has none.
    pub written: SocketAddr,
    /// What the kernel is told when it serves.
    pub share: Share,
    /// Who decides whether it works.
    pub checked: Checked,
    /// Who asks its agent, if it has one: a check of [`super::CheckKind::Agent`].
    pub agent: Option<CheckId>,
}

/// What serves when no real server does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fallback {
    /// As the kernel stores it.
    pub key: ServerKey,
    /// As ldirectord prints it.
    pub written: SocketAddr,
    /// What the kernel is told when it serves: weight 1, no thresholds.
    pub share: Share,
}
