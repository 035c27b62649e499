//! Directors that tell each other of their connections, so that another can go on with them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

/// What a sync daemon does: a thread of the kernel, of which each role has at most one in a network namespace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SyncRole {
    /// It sends this director's connections.
    Master,
    /// It takes in the connections of other directors.
    Backup,
}

impl SyncRole {
    /// Both.
    pub const ALL: [SyncRole; 2] = [SyncRole::Master, SyncRole::Backup];
}

/// `master`, `backup`, as in the configuration and in `ipvsadm --start-daemon`.
impl fmt::Display for SyncRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SyncRole::Master => "master",
            SyncRole::Backup => "backup",
        })
    }
}

/// How a sync daemon sends or listens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SyncDaemon {
    /// The network interface (`syncdaemon`).
    pub interface: String,
    /// Which directors belong together; a backup of 0 takes in what any sends (`syncid`).
    pub id: u8,
    /// The multicast group (`syncgroup`).
    pub group: IpAddr,
    /// The UDP port (`syncport`).
    pub port: u16,
    /// How many routers pass a packet on (`syncttl`).
    pub ttl: u8,
    /// The longest message in bytes; `None` leaves it to the kernel (`syncmaxlen`).
    pub max_length: Option<u16>,
}

impl SyncDaemon {
    /// The group that the kernel takes where none is named.
    pub const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 81));
    /// The port that the kernel takes where none is named.
    pub const PORT: u16 = 8848;
    /// How far the kernel lets packets go where nothing is said.
    pub const TTL: u8 = 1;

    /// One that leaves everything to the kernel that it can.
    pub fn new(interface: &str, id: u8) -> SyncDaemon {
        SyncDaemon {
            interface: interface.to_owned(),
            id,
            group: SyncDaemon::GROUP,
            port: SyncDaemon::PORT,
            ttl: SyncDaemon::TTL,
            max_length: None,
        }
    }

    /// Whether one that runs, of which everything is known, is as this one asks for.
    pub fn is_met_by(&self, running: &SyncDaemon) -> bool {
        let max_length = self.max_length.or(running.max_length);
        *running == SyncDaemon { max_length, ..self.clone() }
    }
}

/// With everything left to the kernel, and no interface yet.
impl Default for SyncDaemon {
    fn default() -> Self {
        SyncDaemon::new("", 0)
    }
}

/// `eth0, syncid 5`, and what else is not the kernel's choice.
impl fmt::Display for SyncDaemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = SyncDaemon::new(&self.interface, self.id);
        write!(f, "{}, syncid {}", self.interface, self.id)?;
        if self.group != usual.group || self.port != usual.port {
            let (group, port) = (self.group, self.port);
            write!(f, ", group {}", std::net::SocketAddr::from((group, port)))?;
        }
        if self.ttl != usual.ttl {
            write!(f, ", ttl {}", self.ttl)?;
        }
        match self.max_length {
            Some(bytes) => write!(f, ", maxlen {bytes}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_is_unusual() {
        let usual = SyncDaemon::new("eth0", 5);
        assert_eq!(usual.to_string(), "eth0, syncid 5");
        let group = "ff02::81".parse().unwrap();
        let unusual = SyncDaemon { group, port: 9, ttl: 2, max_length: Some(8000), ..usual };
        assert_eq!(unusual.to_string(), "eth0, syncid 5, group [ff02::81]:9, ttl 2, maxlen 8000");
    }

    #[test]
    fn a_length_counts_where_it_is_said() {
        let wish = SyncDaemon::new("eth0", 5);
        let running = SyncDaemon { max_length: Some(1472), ..wish.clone() };
        assert!(wish.is_met_by(&running));
        assert!(!SyncDaemon { max_length: Some(1471), ..wish.clone() }.is_met_by(&running));
        assert!(!wish.is_met_by(&SyncDaemon { id: 6, ..running }));
    }
}
