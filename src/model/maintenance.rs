//! Who is in maintenance because somebody says so outside of the configuration.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

/// The real servers in maintenance (`maintenancedir`).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Maintenance {
    /// Every server at these addresses.
    pub hosts: BTreeSet<IpAddr>,
    /// Single servers, with address and port as the file of the configuration has them.
    pub servers: BTreeSet<SocketAddr>,
}

impl Maintenance {
    /// Whether the server that the file has like this is in maintenance.
    pub fn holds(&self, written: SocketAddr) -> bool {
        self.hosts.contains(&written.ip()) || self.servers.contains(&written)
    }
}
