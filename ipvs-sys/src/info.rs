//! What is true of the whole of IPVS: its version, the size of its connection table, the connection timeouts.
//!
//! Source: `ip_vs_genl_get_cmd` and `ip_vs_genl_set_config` in `net/netfilter/ipvs/ip_vs_ctl.c`, Linux 6.1.

use std::fmt;

use crate::attr::{CommandAttr, InfoAttr};

/// What `ipvsadm -l` writes in its first line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Version of IPVS, not of Linux: 1.2.1 since 2007.
    pub version: Version,
    /// Rows of the connection hash table, which is set when the module is loaded (`conn_tab_bits`).
    pub connection_table_size: u32,
}

/// A version of IPVS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Major number.
    pub major: u8,
    /// Minor number.
    pub minor: u8,
    /// Patch number.
    pub patch: u8,
}

/// Seconds that an idle connection is remembered (`ipvsadm --set`, `ipvsadm -l --timeout`), of this network namespace.
///
/// When written, 0 leaves the timeout as it is. The kernel accepts up to 2,147,483,647 divided by its clock ticks a
/// second (100 to 1000).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Established TCP connections.
    pub tcp_s: u32,
    /// TCP connections after a FIN.
    pub tcp_fin_s: u32,
    /// UDP associations.
    pub udp_s: u32,
}

impl Info {
    /// Reads the answer to "get info".
    pub fn from_attributes(attributes: Vec<InfoAttr>) -> Self {
        let mut info = Self::default();
        for attribute in attributes {
            match attribute {
                InfoAttr::Version(code) => {
                    let [_, major, minor, patch] = code.to_be_bytes();
                    info.version = Version { major, minor, patch };
                }
                InfoAttr::ConnectionTableSize(rows) => info.connection_table_size = rows,
            }
        }
        info
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Timeouts {
    pub(crate) fn attributes(self) -> Vec<CommandAttr> {
        // The kernel itself leaves a timeout alone that is 0.
        vec![
            CommandAttr::TimeoutTcp(self.tcp_s),
            CommandAttr::TimeoutTcpFin(self.tcp_fin_s),
            CommandAttr::TimeoutUdp(self.udp_s),
        ]
    }

    /// Reads the answer to "get config". A kernel built without TCP or UDP balancing leaves out the timeouts; they read as 0.
    pub fn from_attributes(attributes: Vec<CommandAttr>) -> Self {
        let mut timeouts = Self::default();
        for attribute in attributes {
            match attribute {
                CommandAttr::TimeoutTcp(seconds) => timeouts.tcp_s = seconds,
                CommandAttr::TimeoutTcpFin(seconds) => timeouts.tcp_fin_s = seconds,
                CommandAttr::TimeoutUdp(seconds) => timeouts.udp_s = seconds,
                CommandAttr::Service(_) | CommandAttr::Dest(_) | CommandAttr::Daemon(_) => {}
            }
        }
        timeouts
    }
}
