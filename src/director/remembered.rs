//! Which servers that are not at work a start or reload puts into the kernel's table or takes out of it.
//!
//! As ldirectord does: it remembers them by address and port alone, so of several services that have one only the last
//! in the file counts, and a later service in which it is at work makes it forget. Only servers that are checked alike
//! and have the same weight and method as the one remembered are touched; the others stay as the kernel has them until
//! they come up for the first time.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use super::service::Service;
use crate::{
    ipvs::Table,
    model::{Checked, Forwarding, RealServer, ServerKey, ServiceKey, Transport, Weight},
};

/// What has to be equal for two servers to be one to ldirectord.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    /// `None` is a firewall mark.
    transport: Option<Transport>,
    checked: Checked,
    weight: Weight,
    forwarding: Forwarding,
}

impl Identity {
    fn of(service: &Service, server: &RealServer) -> Identity {
        let transport = match service.config().key {
            ServiceKey::Address { transport, .. } => Some(transport),
            ServiceKey::Fwmark { .. } => None,
        };
        let RealServer { checked, share, .. } = *server;
        Identity { transport, checked, weight: share.weight, forwarding: share.forwarding }
    }
}

/// Tells each service which of its servers stay as the kernel has them.
pub(super) fn leave_the_others(services: &mut [Service], observed: &Table) {
    let mut remembered: BTreeMap<SocketAddr, Identity> = BTreeMap::new();
    for service in services.iter() {
        let entry = observed.services.get(&service.config().key);
        for server in &service.config().servers {
            if service.is_at_work(server, entry) {
                remembered.remove(&server.written);
            } else {
                remembered.insert(server.written, Identity::of(service, server));
            }
        }
    }
    for service in services {
        let entry = observed.services.get(&service.config().key);
        let touched = |server: &RealServer| {
            service.is_at_work(server, entry)
                || remembered.get(&server.written) == Some(&Identity::of(service, server))
        };
        let servers = &service.config().servers;
        let mut left: BTreeSet<ServerKey> =
            servers.iter().filter(|server| !touched(server)).map(|server| server.key).collect();
        for server in servers.iter().filter(|server| touched(server)) {
            left.remove(&server.key);
        }
        service.leave(left);
    }
}
