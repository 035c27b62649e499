//! A service: what clients reach, and how its connections are spread.
//!
//! In go attributes, out comes a [`ServiceEntry`]; or in goes a [`Service`] or its [`ServiceId`], out come attributes.
//! Whether a scheduler exists or a flag suits it is left to the kernel.
//!
//! Source: `ip_vs_genl_parse_service` and `ip_vs_genl_fill_service` in `net/netfilter/ipvs/ip_vs_ctl.c`, Linux 6.1.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::ops::{BitOr, BitOrAssign};

use netlink_packet_core::DecodeError;

use crate::attr::{Address, BigEndian, Flags, RawMask, ServiceAttr};
use crate::stats::Stats;
use crate::uapi;

/// What a service is known by: there is at most one with the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceId {
    /// Packets to an address and port (`ipvsadm -t`, `-u`, `--sctp-service`).
    Address {
        /// Transport protocol.
        protocol: Protocol,
        /// Virtual address and port. Port 0 takes every port that has no service of its own, and does so only with persistence.
        /// Scope and flow label of an IPv6 address are not sent.
        address: SocketAddr,
    },
    /// Packets that the firewall marked (`ipvsadm -f`, `-f -6`).
    Fwmark {
        /// Of the packets; the same mark makes two services, one for each family.
        family: AddressFamily,
        /// The mark. The kernel takes 0 as "no mark", hence never 0.
        mark: NonZeroU32,
    },
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// Any other, by its IP protocol number. The kernel keeps such a service but sends nothing to it.
    Other(u16),
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The settings of a service: everything that is written, and nothing that the kernel counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Which service.
    pub id: ServiceId,
    /// Scheduler (`ipvsadm -s`), at most 15 bytes. The kernel loads the module `ip_vs_<name>`; `none` is no scheduler.
    pub scheduler: String,
    /// Options (`ipvsadm -p`, `-o`, `-b`).
    pub flags: ServiceFlags,
    /// Seconds that persistence lasts (`ipvsadm -p`). Kept even without [`ServiceFlags::PERSISTENT`], but not used.
    pub timeout_s: u32,
    /// Which clients count as the same for persistence (`ipvsadm -M`).
    pub netmask: Netmask,
    /// Persistence engine (`ipvsadm --pe`), at most 15 bytes: the kernel knows `sip`.
    pub persistence_engine: Option<String>,
}

/// A service as the kernel has it: its settings and what was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEntry {
    /// The settings.
    pub service: Service,
    /// Whether packets find it (`IP_VS_SVC_F_HASHED`). The kernel alone decides.
    pub hashed: bool,
    /// Counters since the service was added or zeroed.
    pub stats: Stats,
}

/// How much of a client's address counts for persistence. Must be of the service's family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Netmask {
    /// A mask, any bits.
    V4(Ipv4Addr),
    /// A prefix length, 1 to 128.
    V6(u8),
}

/// Options of a service, a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServiceFlags(u32);

impl ServiceId {
    /// The family of the packets.
    pub fn family(&self) -> AddressFamily {
        match self {
            Self::Address { address, .. } => AddressFamily::of(address.ip()),
            Self::Fwmark { family, .. } => *family,
        }
    }

    /// What identifies the service, in the order in which `ipvsadm` sends it.
    pub(crate) fn attributes(&self) -> Vec<ServiceAttr> {
        let mut attributes = Vec::with_capacity(10);
        attributes.push(ServiceAttr::Family(self.family().number()));
        match self {
            Self::Address { protocol, address } => attributes.extend([
                ServiceAttr::Protocol(protocol.number()),
                ServiceAttr::Address(Address::new(address.ip())),
                ServiceAttr::Port(BigEndian(address.port())),
            ]),
            Self::Fwmark { mark, .. } => attributes.push(ServiceAttr::Fwmark(mark.get())),
        }
        attributes
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { protocol, address } => write!(formatter, "{protocol} {address}"),
            Self::Fwmark { family: AddressFamily::V4, mark } => write!(formatter, "fwmark {mark}"),
            Self::Fwmark { family: AddressFamily::V6, mark } => {
                write!(formatter, "fwmark {mark} IPv6")
            }
        }
    }
}

impl Protocol {
    /// The IP protocol number.
    pub fn number(self) -> u16 {
        match self {
            Self::Tcp => uapi::IPPROTO_TCP,
            Self::Udp => uapi::IPPROTO_UDP,
            Self::Sctp => uapi::IPPROTO_SCTP,
            Self::Other(number) => number,
        }
    }

    /// The protocol with this number.
    pub fn from_number(number: u16) -> Self {
        match number {
            uapi::IPPROTO_TCP => Self::Tcp,
            uapi::IPPROTO_UDP => Self::Udp,
            uapi::IPPROTO_SCTP => Self::Sctp,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => formatter.write_str("tcp"),
            Self::Udp => formatter.write_str("udp"),
            Self::Sctp => formatter.write_str("sctp"),
            Self::Other(number) => write!(formatter, "protocol {number}"),
        }
    }
}

impl AddressFamily {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    pub(crate) fn number(self) -> u16 {
        match self {
            Self::V4 => uapi::AF_INET,
            Self::V6 => uapi::AF_INET6,
        }
    }

    pub(crate) fn from_number(number: u16) -> Result<Self, DecodeError> {
        match number {
            uapi::AF_INET => Ok(Self::V4),
            uapi::AF_INET6 => Ok(Self::V6),
            other => Err(format!("address family {other} is neither IPv4 nor IPv6").into()),
        }
    }
}

impl Service {
    /// A service that is not persistent: no flags, no timeout, the full netmask.
    pub fn new(id: ServiceId, scheduler: &str) -> Self {
        Self {
            id,
            scheduler: scheduler.to_owned(),
            flags: ServiceFlags::NONE,
            timeout_s: 0,
            netmask: Netmask::full(id.family()),
            persistence_engine: None,
        }
    }

    /// Everything about the service, in the order in which `ipvsadm` sends it; or why it cannot be said.
    pub(crate) fn attributes(&self) -> Result<Vec<ServiceAttr>, &'static str> {
        let netmask = match (self.netmask, self.id.family()) {
            (Netmask::V4(mask), AddressFamily::V4) => mask.octets(),
            (Netmask::V6(length), AddressFamily::V6) => u32::from(length).to_ne_bytes(),
            (Netmask::V4(_), AddressFamily::V6) => {
                return Err("an IPv4 netmask does not fit an IPv6 service");
            }
            (Netmask::V6(_), AddressFamily::V4) => {
                return Err("an IPv6 prefix length does not fit an IPv4 service");
            }
        };
        if !is_name(&self.scheduler, uapi::IP_VS_SCHEDNAME_MAXLEN) {
            return Err("a scheduler's name has 1 to 15 bytes");
        }
        let mut attributes = self.id.attributes();
        attributes.push(ServiceAttr::Scheduler(self.scheduler.clone()));
        if let Some(engine) = &self.persistence_engine {
            if !is_name(engine, uapi::IP_VS_PENAME_MAXLEN) {
                return Err("a persistence engine's name has 1 to 15 bytes");
            }
            attributes.push(ServiceAttr::PersistenceEngine(engine.clone()));
        }
        attributes.extend([
            // The kernel would believe that a new service with "hashed" set is in its table already, and never put it
            // there; to an existing one it adds the flag again by itself.
            ServiceAttr::Flags(Flags {
                flags: self.flags.0 & !uapi::IP_VS_SVC_F_HASHED,
                mask: u32::MAX,
            }),
            ServiceAttr::Timeout(self.timeout_s),
            ServiceAttr::Netmask(RawMask(netmask)),
        ]);
        Ok(attributes)
    }
}

impl ServiceEntry {
    /// Reads a service as the kernel sends it.
    pub fn from_attributes(attributes: Vec<ServiceAttr>) -> Result<Self, DecodeError> {
        let (mut family, mut protocol, mut address, mut port, mut mark) =
            (None, None, None, None, None);
        let (mut scheduler, mut engine, mut flags, mut timeout_s) = (String::new(), None, 0, 0);
        let (mut netmask, mut stats, mut stats64) = (None, None, None);
        for attribute in attributes {
            match attribute {
                ServiceAttr::Family(number) => family = Some(AddressFamily::from_number(number)?),
                ServiceAttr::Protocol(number) => protocol = Some(Protocol::from_number(number)),
                ServiceAttr::Address(value) => address = Some(value),
                ServiceAttr::Port(number) => port = Some(number.0),
                ServiceAttr::Fwmark(number) => mark = NonZeroU32::new(number),
                ServiceAttr::Scheduler(name) => scheduler = name,
                ServiceAttr::Flags(value) => flags = value.flags,
                ServiceAttr::Timeout(seconds) => timeout_s = seconds,
                ServiceAttr::Netmask(value) => netmask = Some(value),
                ServiceAttr::Stats(counters) => stats = Some(counters),
                ServiceAttr::PersistenceEngine(name) => {
                    engine = Some(name).filter(|name| !name.is_empty());
                }
                ServiceAttr::Stats64(counters) => stats64 = Some(counters),
            }
        }
        let family = family.ok_or("a service without an address family")?;
        let id = match (mark, protocol, address, port) {
            (Some(mark), ..) => ServiceId::Fwmark { family, mark },
            (None, Some(protocol), Some(address), Some(port)) => ServiceId::Address {
                protocol,
                address: SocketAddr::new(address.to_ip(family), port),
            },
            _ => return Err("a service with neither mark nor protocol, address and port".into()),
        };
        let service = Service {
            id,
            scheduler,
            flags: ServiceFlags(flags & !uapi::IP_VS_SVC_F_HASHED),
            timeout_s,
            netmask: netmask
                .map_or(Ok(Netmask::full(family)), |mask| Netmask::read(mask, family))?,
            persistence_engine: engine,
        };
        let hashed = flags & uapi::IP_VS_SVC_F_HASHED != 0;
        Ok(Self { service, hashed, stats: Stats::from_either(stats64, stats) })
    }
}

impl Netmask {
    /// The mask under which every client counts for itself.
    pub fn full(family: AddressFamily) -> Self {
        match family {
            AddressFamily::V4 => Self::V4(Ipv4Addr::BROADCAST),
            AddressFamily::V6 => Self::V6(128),
        }
    }

    fn read(mask: RawMask, family: AddressFamily) -> Result<Self, DecodeError> {
        match family {
            AddressFamily::V4 => Ok(Self::V4(mask.0.into())),
            AddressFamily::V6 => {
                let length = u32::from_ne_bytes(mask.0);
                u8::try_from(length)
                    .map(Self::V6)
                    .map_err(|_| format!("IPv6 prefix length {length}").into())
            }
        }
    }
}

impl ServiceFlags {
    /// No options.
    pub const NONE: Self = Self(0);
    /// A client keeps its destination for a while (`ipvsadm -p`).
    pub const PERSISTENT: Self = Self(uapi::IP_VS_SVC_F_PERSISTENT);
    /// Every UDP packet is scheduled anew (`ipvsadm -o`).
    pub const ONE_PACKET: Self = Self(uapi::IP_VS_SVC_F_ONEPACKET);
    /// First flag for the scheduler (`ipvsadm -b flag-1`).
    pub const SCHED1: Self = Self(uapi::IP_VS_SVC_F_SCHED1);
    /// Second flag for the scheduler (`ipvsadm -b flag-2`).
    pub const SCHED2: Self = Self(uapi::IP_VS_SVC_F_SCHED2);
    /// Third flag for the scheduler (`ipvsadm -b flag-3`).
    pub const SCHED3: Self = Self(uapi::IP_VS_SVC_F_SCHED3);
    /// With `sh`, another destination when the chosen one is down (`ipvsadm -b sh-fallback`).
    pub const SH_FALLBACK: Self = Self::SCHED1;
    /// With `sh`, the source port counts too (`ipvsadm -b sh-port`).
    pub const SH_PORT: Self = Self::SCHED2;
    /// With `mh`, another destination when the chosen one is down (`ipvsadm -b mh-fallback`).
    pub const MH_FALLBACK: Self = Self::SCHED1;
    /// With `mh`, the source port counts too (`ipvsadm -b mh-port`).
    pub const MH_PORT: Self = Self::SCHED2;

    /// Options from the kernel's bits. `IP_VS_SVC_F_HASHED` is the kernel's own and is left out.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits & !uapi::IP_VS_SVC_F_HASHED)
    }

    /// The kernel's bits.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of `other` are set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for ServiceFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for ServiceFlags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl Address {
    pub(crate) fn new(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                Self([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
            }
            IpAddr::V6(address) => Self(address.octets()),
        }
    }

    pub(crate) fn to_ip(self, family: AddressFamily) -> IpAddr {
        let [a, b, c, d, ..] = self.0;
        match family {
            AddressFamily::V4 => Ipv4Addr::new(a, b, c, d).into(),
            AddressFamily::V6 => Ipv6Addr::from(self.0).into(),
        }
    }
}

/// Whether the kernel can hold `name` in `size` bytes that end in a NUL.
pub(crate) fn is_name(name: &str, size: usize) -> bool {
    !name.is_empty() && name.len() < size && !name.contains('\0')
}
