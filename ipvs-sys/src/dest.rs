//! A destination: a server behind a service, and how packets get there.
//!
//! In go attributes, out comes a [`DestEntry`]; or in goes a [`Dest`] or its address, out come attributes.
//! The kernel stores the port as it is told, whatever the forwarding method: that a routed packet keeps the port of
//! the service is for the caller to know.
//!
//! Source: `ip_vs_genl_parse_dest` and `ip_vs_genl_fill_dest` in `net/netfilter/ipvs/ip_vs_ctl.c`, Linux 6.1.

use std::net::SocketAddr;
use std::ops::BitOr;

use netlink_packet_core::DecodeError;

use crate::attr::{Address, BigEndian, DestAttr};
use crate::service::AddressFamily;
use crate::stats::Stats;
use crate::uapi;

/// The settings of a destination: everything that is written, and nothing that the kernel counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dest {
    /// Address and port (`ipvsadm -r`); a service has at most one destination with the same. The family may differ
    /// from the service's only with a tunnel.
    pub address: SocketAddr,
    /// How packets get there (`ipvsadm -g`, `-m`, `-i`).
    pub forwarding: Forwarding,
    /// Share of the connections, 0 to 2,147,483,647 (`ipvsadm -w`). 0 gets no new ones.
    pub weight: u32,
    /// Connections at which the destination gets no more (`ipvsadm -x`); 0 is no limit.
    pub upper_threshold: u32,
    /// Connections below which it gets some again (`ipvsadm -y`), at most the upper threshold; 0 is three quarters
    /// of that.
    pub lower_threshold: u32,
}

/// A destination as the kernel has it: its settings and what was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestEntry {
    /// The settings.
    pub dest: Dest,
    /// Established connections.
    pub active_connections: u32,
    /// Connections in any other state.
    pub inactive_connections: u32,
    /// Clients that persistence holds here.
    pub persistent_connections: u32,
    /// Counters since the destination was added or zeroed.
    pub stats: Stats,
}

/// How a packet gets to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Forwarding {
    /// Network address translation (`ipvsadm -m`).
    Masquerade,
    /// To this machine itself. Old kernels showed it for addresses of their own; today it is never chosen by itself.
    Local,
    /// In a packet of its own (`ipvsadm -i`).
    Tunnel(Tunnel),
    /// As it is, to the link-layer address of the destination (`ipvsadm -g`).
    Route,
    /// Past every destination, to where it was going. The kernel uses it for connections, never for destinations.
    Bypass,
    /// 5 to 7, which mean nothing yet.
    Other(u32),
}

/// How packets are wrapped on their way through a tunnel. Kernels before 5.3 know IPIP only and take no notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tunnel {
    /// What they are wrapped in (`ipvsadm --tun-type`).
    pub kind: TunnelKind,
    /// UDP port of a GUE tunnel, which must not be 0 (`ipvsadm --tun-port`); otherwise not used.
    pub port: u16,
    /// Checksums (`ipvsadm --tun-nocsum`, `--tun-csum`, `--tun-remcsum`).
    pub flags: TunnelFlags,
}

/// What packets are wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TunnelKind {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation.
    Gue,
    /// Generic routing encapsulation.
    Gre,
    /// Not known yet.
    Other(u8),
}

/// Options of a tunnel, a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TunnelFlags(u16);

impl Dest {
    /// A destination without thresholds.
    pub fn new(address: SocketAddr, forwarding: Forwarding, weight: u32) -> Self {
        Self { address, forwarding, weight, upper_threshold: 0, lower_threshold: 0 }
    }

    /// Everything about the destination, in the order in which `ipvsadm` sends it.
    pub(crate) fn attributes(&self) -> Vec<DestAttr> {
        // What is no tunnel gets the settings of the plainest one, so that none of a former tunnel stays behind.
        let (method, tunnel) = match self.forwarding {
            Forwarding::Masquerade => (uapi::IP_VS_CONN_F_MASQ, Tunnel::IPIP),
            Forwarding::Local => (uapi::IP_VS_CONN_F_LOCALNODE, Tunnel::IPIP),
            Forwarding::Tunnel(tunnel) => (uapi::IP_VS_CONN_F_TUNNEL, tunnel),
            Forwarding::Route => (uapi::IP_VS_CONN_F_DROUTE, Tunnel::IPIP),
            Forwarding::Bypass => (uapi::IP_VS_CONN_F_BYPASS, Tunnel::IPIP),
            Forwarding::Other(number) => (number & uapi::IP_VS_CONN_F_FWD_MASK, Tunnel::IPIP),
        };
        let mut attributes = Vec::with_capacity(10);
        attributes.extend(identity(self.address));
        attributes.extend([
            DestAttr::Forwarding(method),
            DestAttr::Weight(self.weight),
            DestAttr::TunnelType(tunnel.kind.number()),
            DestAttr::TunnelPort(BigEndian(tunnel.port)),
            DestAttr::TunnelFlags(tunnel.flags.0),
            DestAttr::UpperThreshold(self.upper_threshold),
            DestAttr::LowerThreshold(self.lower_threshold),
        ]);
        attributes
    }
}

/// What identifies a destination, in the order in which `ipvsadm` sends it.
pub(crate) fn identity(address: SocketAddr) -> [DestAttr; 3] {
    [
        DestAttr::Family(AddressFamily::of(address.ip()).number()),
        DestAttr::Address(Address::new(address.ip())),
        DestAttr::Port(BigEndian(address.port())),
    ]
}

impl DestEntry {
    /// Reads a destination as the kernel sends it. Kernels before 3.18 do not send its family: then it is that of the
    /// service.
    pub fn from_attributes(
        attributes: Vec<DestAttr>,
        service_family: AddressFamily,
    ) -> Result<Self, DecodeError> {
        let (mut family, mut address, mut port) = (service_family, None, None);
        let (mut method, mut tunnel) = (0, Tunnel::IPIP);
        let (mut weight, mut upper_threshold, mut lower_threshold) = (0, 0, 0);
        let (mut active_connections, mut inactive_connections, mut persistent_connections) =
            (0, 0, 0);
        let (mut stats, mut stats64) = (None, None);
        for attribute in attributes {
            match attribute {
                DestAttr::Family(number) => family = AddressFamily::from_number(number)?,
                DestAttr::Address(value) => address = Some(value),
                DestAttr::Port(number) => port = Some(number.0),
                DestAttr::Forwarding(number) => method = number & uapi::IP_VS_CONN_F_FWD_MASK,
                DestAttr::Weight(number) => weight = number,
                DestAttr::UpperThreshold(number) => upper_threshold = number,
                DestAttr::LowerThreshold(number) => lower_threshold = number,
                DestAttr::ActiveConnections(number) => active_connections = number,
                DestAttr::InactiveConnections(number) => inactive_connections = number,
                DestAttr::PersistentConnections(number) => persistent_connections = number,
                DestAttr::Stats(counters) => stats = Some(counters),
                DestAttr::Stats64(counters) => stats64 = Some(counters),
                DestAttr::TunnelType(number) => tunnel.kind = TunnelKind::from_number(number),
                DestAttr::TunnelPort(number) => tunnel.port = number.0,
                DestAttr::TunnelFlags(bits) => tunnel.flags = TunnelFlags(bits),
            }
        }
        let (Some(address), Some(port)) = (address, port) else {
            return Err("a destination without address or port".into());
        };
        let forwarding = match method {
            uapi::IP_VS_CONN_F_MASQ => Forwarding::Masquerade,
            uapi::IP_VS_CONN_F_LOCALNODE => Forwarding::Local,
            uapi::IP_VS_CONN_F_TUNNEL => Forwarding::Tunnel(tunnel),
            uapi::IP_VS_CONN_F_DROUTE => Forwarding::Route,
            uapi::IP_VS_CONN_F_BYPASS => Forwarding::Bypass,
            other => Forwarding::Other(other),
        };
        let address = SocketAddr::new(address.to_ip(family), port);
        let dest = Dest { address, forwarding, weight, upper_threshold, lower_threshold };
        Ok(Self {
            dest,
            active_connections,
            inactive_connections,
            persistent_connections,
            stats: Stats::from_either(stats64, stats),
        })
    }
}

impl Tunnel {
    /// IP in IP: what `ipvsadm -i` means.
    pub const IPIP: Self = Self { kind: TunnelKind::Ipip, port: 0, flags: TunnelFlags::NONE };

    /// Generic UDP encapsulation towards `port`.
    pub fn gue(port: u16, flags: TunnelFlags) -> Self {
        Self { kind: TunnelKind::Gue, port, flags }
    }

    /// Generic routing encapsulation.
    pub fn gre(flags: TunnelFlags) -> Self {
        Self { kind: TunnelKind::Gre, port: 0, flags }
    }
}

impl TunnelKind {
    fn number(self) -> u8 {
        match self {
            Self::Ipip => uapi::IP_VS_CONN_F_TUNNEL_TYPE_IPIP,
            Self::Gue => uapi::IP_VS_CONN_F_TUNNEL_TYPE_GUE,
            Self::Gre => uapi::IP_VS_CONN_F_TUNNEL_TYPE_GRE,
            Self::Other(number) => number,
        }
    }

    fn from_number(number: u8) -> Self {
        match number {
            uapi::IP_VS_CONN_F_TUNNEL_TYPE_IPIP => Self::Ipip,
            uapi::IP_VS_CONN_F_TUNNEL_TYPE_GUE => Self::Gue,
            uapi::IP_VS_CONN_F_TUNNEL_TYPE_GRE => Self::Gre,
            other => Self::Other(other),
        }
    }
}

impl TunnelFlags {
    /// No checksum.
    pub const NONE: Self = Self(0);
    /// A checksum over the packet, with GUE and GRE.
    pub const CHECKSUM: Self = Self(uapi::IP_VS_TUNNEL_ENCAP_FLAG_CSUM);
    /// Remote checksum offload, with GUE.
    pub const REMOTE_CHECKSUM: Self = Self(uapi::IP_VS_TUNNEL_ENCAP_FLAG_REMCSUM);

    /// Options from the kernel's bits.
    pub fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The kernel's bits.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// Whether all of `other` are set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for TunnelFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
