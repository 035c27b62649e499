//! The kernel threads that tell other directors about connections.
//!
//! In go attributes, out comes a [`SyncDaemon`], and back. At most one of each [`DaemonState`] runs in a network
//! namespace. What the kernel chooses by itself when it is not told is `None`, and is always filled in when read.
//!
//! Source: `ip_vs_genl_new_daemon` and `ip_vs_genl_fill_daemon` in `net/netfilter/ipvs/ip_vs_ctl.c`, Linux 6.1.

use std::fmt;
use std::net::IpAddr;

use netlink_packet_core::DecodeError;

use crate::attr::DaemonAttr;
use crate::service::is_name;
use crate::uapi;

/// A sync daemon (`ipvsadm --start-daemon`, `ipvsadm -l --daemon`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncDaemon {
    /// Whether it sends or receives.
    pub state: DaemonState,
    /// Network interface for the multicast packets, at most 15 bytes (`--mcast-interface`).
    pub interface: String,
    /// Which directors belong together (`--syncid`), 0 to 255: packets carry eight bits. A backup with 0 takes them all.
    pub sync_id: u32,
    /// Longest UDP payload (`--sync-maxlen`); the kernel's choice follows the interface's MTU, and is the most.
    pub max_length: Option<u16>,
    /// Multicast group (`--mcast-group`); the kernel's choice is 224.0.0.81.
    pub group: Option<IpAddr>,
    /// UDP port (`--mcast-port`); the kernel's choice is 8848.
    pub port: Option<u16>,
    /// How far packets go (`--mcast-ttl`); the kernel's choice is 1.
    pub ttl: Option<u8>,
}

/// What a sync daemon does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DaemonState {
    /// Sends this director's connections.
    Master,
    /// Receives another director's connections.
    Backup,
}

impl SyncDaemon {
    /// A daemon that leaves everything to the kernel that it can.
    pub fn new(state: DaemonState, interface: &str, sync_id: u32) -> Self {
        let interface = interface.to_owned();
        Self { state, interface, sync_id, max_length: None, group: None, port: None, ttl: None }
    }

    /// Everything about the daemon, in the order in which `ipvsadm` sends it; or why it cannot be said.
    pub(crate) fn attributes(&self) -> Result<Vec<DaemonAttr>, &'static str> {
        if !is_name(&self.interface, uapi::IP_VS_IFNAME_MAXLEN) {
            return Err("an interface's name has 1 to 15 bytes");
        }
        let mut attributes = vec![
            DaemonAttr::State(self.state.number()),
            DaemonAttr::Interface(self.interface.clone()),
            DaemonAttr::SyncId(self.sync_id),
        ];
        attributes.extend(self.max_length.map(DaemonAttr::MaxLength));
        attributes.extend(self.port.map(DaemonAttr::Port));
        attributes.extend(self.ttl.map(DaemonAttr::Ttl));
        attributes.extend(self.group.map(|group| match group {
            IpAddr::V4(group) => DaemonAttr::Group(group),
            IpAddr::V6(group) => DaemonAttr::Group6(group),
        }));
        Ok(attributes)
    }

    /// Reads a daemon as the kernel sends it.
    pub fn from_attributes(attributes: Vec<DaemonAttr>) -> Result<Self, DecodeError> {
        let mut state = None;
        let mut daemon = Self::new(DaemonState::Master, "", 0);
        for attribute in attributes {
            match attribute {
                DaemonAttr::State(number) => state = DaemonState::from_number(number),
                DaemonAttr::Interface(name) => daemon.interface = name,
                DaemonAttr::SyncId(number) => daemon.sync_id = number,
                DaemonAttr::MaxLength(bytes) => daemon.max_length = Some(bytes),
                DaemonAttr::Group(group) => daemon.group = Some(group.into()),
                DaemonAttr::Group6(group) => daemon.group = Some(group.into()),
                DaemonAttr::Port(port) => daemon.port = Some(port),
                DaemonAttr::Ttl(hops) => daemon.ttl = Some(hops),
            }
        }
        daemon.state = state.ok_or("a sync daemon that is neither master nor backup")?;
        Ok(daemon)
    }
}

impl DaemonState {
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Master => uapi::IP_VS_STATE_MASTER,
            Self::Backup => uapi::IP_VS_STATE_BACKUP,
        }
    }

    fn from_number(number: u32) -> Option<Self> {
        match number {
            uapi::IP_VS_STATE_MASTER => Some(Self::Master),
            uapi::IP_VS_STATE_BACKUP => Some(Self::Backup),
            _ => None,
        }
    }
}

impl fmt::Display for DaemonState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Master => "master",
            Self::Backup => "backup",
        })
    }
}
