//! The attributes of the family: which numbers there are, what each holds, in which byte order.
//!
//! In goes the value of a netlink attribute, out comes a typed one, and back.
//! What a value *means* is not said here: that is for [`Service`](crate::Service), [`Dest`](crate::Dest) and their
//! neighbours. Attributes this crate does not know are skipped, so that a newer kernel can be read.
//!
//! Source: `include/uapi/linux/ip_vs.h` and the policies in `net/netfilter/ipvs/ip_vs_ctl.c`, Linux 6.1.
//! Numbers are in the machine's byte order, save ports and addresses. `ipvsadm` marks nested attributes as nested and
//! so do we; the kernel accepts both and does not mark its own.

use std::net::{Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{DecodeError, Emitable, NLA_F_NESTED, Nla, NlaBuffer, NlasIterator};
use netlink_packet_generic::constants::{CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME};

use crate::uapi;

/// An attribute that can also be read.
pub trait Attribute: Nla + Sized {
    /// The attribute with this number and value, or `None` for a number that is not known.
    fn read(kind: u16, value: &[u8]) -> Result<Option<Self>, DecodeError>;
}

/// Every attribute of `bytes` that is known, in their order.
pub fn read_all<A: Attribute>(bytes: &[u8]) -> Result<Vec<A>, DecodeError> {
    let mut attributes = Vec::with_capacity(16);
    for attribute in NlasIterator::new(bytes) {
        let attribute: NlaBuffer<&[u8]> = attribute?;
        if let Some(attribute) = A::read(attribute.kind(), attribute.value())? {
            attributes.push(attribute);
        }
    }
    Ok(attributes)
}

/// What an attribute can hold.
trait Value: Sized {
    fn length(&self) -> usize;
    /// Fills `buffer`, which has exactly `length` bytes.
    fn write(&self, buffer: &mut [u8]);
    fn read(bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// A number in network byte order: a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BigEndian(pub u16);

/// An address of either family, as the kernel's `union nf_inet_addr`: IPv4 takes the first four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub [u8; 16]);

/// Four bytes that the kernel never turns: an IPv4 netmask as written, or an IPv6 prefix length as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawMask(pub [u8; 4]);

/// Bits, and which of them to set (`struct ip_vs_flags`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags {
    /// The bits.
    pub flags: u32,
    /// Where the kernel takes over `flags`; elsewhere it keeps what it has.
    pub mask: u32,
}

/// A counter, as wide as the kernel happens to send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// 32 bits, cut off by the kernel.
    Narrow(u32),
    /// 64 bits.
    Wide(u64),
}

/// Nothing at all: padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Empty;

macro_rules! numbers {
    ($($number:ty),+) => { $(
        impl Value for $number {
            fn length(&self) -> usize {
                size_of::<Self>()
            }
            fn write(&self, buffer: &mut [u8]) {
                buffer.copy_from_slice(&self.to_ne_bytes());
            }
            fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
                exactly(bytes).map(Self::from_ne_bytes)
            }
        }
    )+ };
}

numbers!(u8, u16, u32, u64);

macro_rules! bytes {
    ($($type:ty { $to:expr, $from:expr })+) => { $(
        impl Value for $type {
            fn length(&self) -> usize {
                $to(self).len()
            }
            fn write(&self, buffer: &mut [u8]) {
                buffer.copy_from_slice(&$to(self));
            }
            fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
                exactly(bytes).map($from)
            }
        }
    )+ };
}

bytes! {
    BigEndian { |port: &Self| port.0.to_be_bytes(), |bytes| Self(u16::from_be_bytes(bytes)) }
    Address { |address: &Self| address.0, Self }
    RawMask { |mask: &Self| mask.0, Self }
    Ipv4Addr { Self::octets, |bytes: [u8; 4]| Self::from(bytes) }
    Ipv6Addr { Self::octets, |bytes: [u8; 16]| Self::from(bytes) }
    Empty { |_: &Self| [0_u8; 0], |_: [u8; 0]| Self }
}

impl Value for Flags {
    fn length(&self) -> usize {
        8
    }

    fn write(&self, buffer: &mut [u8]) {
        let both = [self.flags.to_ne_bytes(), self.mask.to_ne_bytes()];
        buffer.copy_from_slice(both.as_flattened());
    }

    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let bytes: [u8; 8] = exactly(bytes)?;
        let [f0, f1, f2, f3, m0, m1, m2, m3] = bytes;
        Ok(Self {
            flags: u32::from_ne_bytes([f0, f1, f2, f3]),
            mask: u32::from_ne_bytes([m0, m1, m2, m3]),
        })
    }
}

impl Value for Counter {
    fn length(&self) -> usize {
        match self {
            Self::Narrow(_) => 4,
            Self::Wide(_) => 8,
        }
    }

    fn write(&self, buffer: &mut [u8]) {
        match self {
            Self::Narrow(number) => number.write(buffer),
            Self::Wide(number) => number.write(buffer),
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes.len() {
            4 => u32::read(bytes).map(Self::Narrow),
            _ => u64::read(bytes).map(Self::Wide),
        }
    }
}

impl From<Counter> for u64 {
    fn from(counter: Counter) -> Self {
        match counter {
            Counter::Narrow(number) => number.into(),
            Counter::Wide(number) => number,
        }
    }
}

/// Text is written with a final NUL. It is read up to the first NUL, and what is not UTF-8 is replaced: one odd name
/// must not hide the whole table.
impl Value for String {
    fn length(&self) -> usize {
        self.len() + 1
    }

    fn write(&self, buffer: &mut [u8]) {
        if let Some((end, text)) = buffer.split_last_mut() {
            *end = 0;
            text.copy_from_slice(self.as_bytes());
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(Self::from_utf8_lossy(text).into_owned())
    }
}

/// Nested attributes.
impl<T: Attribute> Value for Vec<T> {
    fn length(&self) -> usize {
        self.as_slice().buffer_len()
    }

    fn write(&self, buffer: &mut [u8]) {
        self.as_slice().emit(buffer);
    }

    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        read_all(bytes)
    }
}

fn exactly<const LENGTH: usize>(bytes: &[u8]) -> Result<[u8; LENGTH], DecodeError> {
    bytes.try_into().map_err(|_| DecodeError::invalid_number(LENGTH, bytes.len()))
}

/// Makes an enum of attributes out of a table with the columns name, content, number.
macro_rules! attributes {
    ($($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident($value:ty) = $kind:expr,)+ })+) => { $(
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $variant($value),)+
        }

        impl Nla for $name {
            fn kind(&self) -> u16 {
                match self {
                    $(Self::$variant(_) => $kind,)+
                }
            }

            fn value_len(&self) -> usize {
                match self {
                    $(Self::$variant(value) => value.length(),)+
                }
            }

            fn emit_value(&self, buffer: &mut [u8]) {
                match self {
                    $(Self::$variant(value) => value.write(buffer),)+
                }
            }
        }

        impl Attribute for $name {
            fn read(kind: u16, value: &[u8]) -> Result<Option<Self>, DecodeError> {
                $(if kind == $kind & !NLA_F_NESTED {
                    return <$value as Value>::read(value).map(|value| Some(Self::$variant(value)));
                })+
                Ok(None)
            }
        }
    )+ };
}

attributes! {
    /// The outermost attributes of every message but the answer to "get info".
    CommandAttr {
        /// A service.
        Service(Vec<ServiceAttr>) = uapi::IPVS_CMD_ATTR_SERVICE | NLA_F_NESTED,
        /// A destination.
        Dest(Vec<DestAttr>) = uapi::IPVS_CMD_ATTR_DEST | NLA_F_NESTED,
        /// A sync daemon.
        Daemon(Vec<DaemonAttr>) = uapi::IPVS_CMD_ATTR_DAEMON | NLA_F_NESTED,
        /// Seconds that an idle established TCP connection is kept.
        TimeoutTcp(u32) = uapi::IPVS_CMD_ATTR_TIMEOUT_TCP,
        /// Seconds that a TCP connection is kept after a FIN.
        TimeoutTcpFin(u32) = uapi::IPVS_CMD_ATTR_TIMEOUT_TCP_FIN,
        /// Seconds that an idle UDP association is kept.
        TimeoutUdp(u32) = uapi::IPVS_CMD_ATTR_TIMEOUT_UDP,
    }

    /// The outermost attributes of the answer to "get info".
    InfoAttr {
        /// Major, minor and patch number in the three lower bytes.
        Version(u32) = uapi::IPVS_INFO_ATTR_VERSION,
        /// Rows of the connection table.
        ConnectionTableSize(u32) = uapi::IPVS_INFO_ATTR_CONN_TAB_SIZE,
    }

    /// What the controller of generic netlink says about a family, as far as it matters here.
    ControllerAttr {
        /// Number that messages of the family carry as their type.
        FamilyId(u16) = CTRL_ATTR_FAMILY_ID,
        /// Name.
        FamilyName(String) = CTRL_ATTR_FAMILY_NAME,
    }

    /// What describes a service.
    ServiceAttr {
        /// Address family (`AF_INET`, `AF_INET6`).
        Family(u16) = uapi::IPVS_SVC_ATTR_AF,
        /// Transport protocol (`IPPROTO_TCP`...).
        Protocol(u16) = uapi::IPVS_SVC_ATTR_PROTOCOL,
        /// Virtual address.
        Address(Address) = uapi::IPVS_SVC_ATTR_ADDR,
        /// Virtual port; 0 is every port.
        Port(BigEndian) = uapi::IPVS_SVC_ATTR_PORT,
        /// Firewall mark, instead of protocol, address and port.
        Fwmark(u32) = uapi::IPVS_SVC_ATTR_FWMARK,
        /// Scheduler.
        Scheduler(String) = uapi::IPVS_SVC_ATTR_SCHED_NAME,
        /// `IP_VS_SVC_F_*`.
        Flags(Flags) = uapi::IPVS_SVC_ATTR_FLAGS,
        /// Seconds that persistence lasts.
        Timeout(u32) = uapi::IPVS_SVC_ATTR_TIMEOUT,
        /// How much of the client's address counts for persistence.
        Netmask(RawMask) = uapi::IPVS_SVC_ATTR_NETMASK,
        /// Counters cut to 32 bits.
        Stats(Vec<StatsAttr>) = uapi::IPVS_SVC_ATTR_STATS,
        /// Persistence engine.
        PersistenceEngine(String) = uapi::IPVS_SVC_ATTR_PE_NAME,
        /// Counters of 64 bits.
        Stats64(Vec<StatsAttr>) = uapi::IPVS_SVC_ATTR_STATS64,
    }

    /// What describes a destination.
    DestAttr {
        /// Address.
        Address(Address) = uapi::IPVS_DEST_ATTR_ADDR,
        /// Port.
        Port(BigEndian) = uapi::IPVS_DEST_ATTR_PORT,
        /// `IP_VS_CONN_F_*` within `IP_VS_CONN_F_FWD_MASK`.
        Forwarding(u32) = uapi::IPVS_DEST_ATTR_FWD_METHOD,
        /// Weight.
        Weight(u32) = uapi::IPVS_DEST_ATTR_WEIGHT,
        /// Connections at which the destination gets no more.
        UpperThreshold(u32) = uapi::IPVS_DEST_ATTR_U_THRESH,
        /// Connections below which it gets some again.
        LowerThreshold(u32) = uapi::IPVS_DEST_ATTR_L_THRESH,
        /// Established connections.
        ActiveConnections(u32) = uapi::IPVS_DEST_ATTR_ACTIVE_CONNS,
        /// Other connections.
        InactiveConnections(u32) = uapi::IPVS_DEST_ATTR_INACT_CONNS,
        /// Persistence templates.
        PersistentConnections(u32) = uapi::IPVS_DEST_ATTR_PERSIST_CONNS,
        /// Counters cut to 32 bits.
        Stats(Vec<StatsAttr>) = uapi::IPVS_DEST_ATTR_STATS,
        /// Address family; the service's if missing.
        Family(u16) = uapi::IPVS_DEST_ATTR_ADDR_FAMILY,
        /// Counters of 64 bits.
        Stats64(Vec<StatsAttr>) = uapi::IPVS_DEST_ATTR_STATS64,
        /// `IP_VS_CONN_F_TUNNEL_TYPE_*`.
        TunnelType(u8) = uapi::IPVS_DEST_ATTR_TUN_TYPE,
        /// UDP port of a GUE tunnel.
        TunnelPort(BigEndian) = uapi::IPVS_DEST_ATTR_TUN_PORT,
        /// `IP_VS_TUNNEL_ENCAP_FLAG_*`.
        TunnelFlags(u16) = uapi::IPVS_DEST_ATTR_TUN_FLAGS,
    }

    /// What describes a sync daemon.
    DaemonAttr {
        /// `IP_VS_STATE_*`.
        State(u32) = uapi::IPVS_DAEMON_ATTR_STATE,
        /// Network interface.
        Interface(String) = uapi::IPVS_DAEMON_ATTR_MCAST_IFN,
        /// Which directors belong together.
        SyncId(u32) = uapi::IPVS_DAEMON_ATTR_SYNC_ID,
        /// Longest UDP payload.
        MaxLength(u16) = uapi::IPVS_DAEMON_ATTR_SYNC_MAXLEN,
        /// IPv4 multicast group.
        Group(Ipv4Addr) = uapi::IPVS_DAEMON_ATTR_MCAST_GROUP,
        /// IPv6 multicast group.
        Group6(Ipv6Addr) = uapi::IPVS_DAEMON_ATTR_MCAST_GROUP6,
        /// UDP port, in the machine's byte order.
        Port(u16) = uapi::IPVS_DAEMON_ATTR_MCAST_PORT,
        /// How far packets go.
        Ttl(u8) = uapi::IPVS_DAEMON_ATTR_MCAST_TTL,
    }

    /// Counters of a service or a destination, and their rates a second.
    StatsAttr {
        /// Connections.
        Connections(Counter) = uapi::IPVS_STATS_ATTR_CONNS,
        /// Packets towards the destinations.
        PacketsIn(Counter) = uapi::IPVS_STATS_ATTR_INPKTS,
        /// Packets back.
        PacketsOut(Counter) = uapi::IPVS_STATS_ATTR_OUTPKTS,
        /// Bytes towards the destinations.
        BytesIn(Counter) = uapi::IPVS_STATS_ATTR_INBYTES,
        /// Bytes back.
        BytesOut(Counter) = uapi::IPVS_STATS_ATTR_OUTBYTES,
        /// Connections a second.
        ConnectionRate(Counter) = uapi::IPVS_STATS_ATTR_CPS,
        /// Packets in a second.
        PacketRateIn(Counter) = uapi::IPVS_STATS_ATTR_INPPS,
        /// Packets out a second.
        PacketRateOut(Counter) = uapi::IPVS_STATS_ATTR_OUTPPS,
        /// Bytes in a second.
        ByteRateIn(Counter) = uapi::IPVS_STATS_ATTR_INBPS,
        /// Bytes out a second.
        ByteRateOut(Counter) = uapi::IPVS_STATS_ATTR_OUTBPS,
        /// Nothing.
        Padding(Empty) = uapi::IPVS_STATS_ATTR_PAD,
    }
}
