//! What the kernel has and what daemons know of it, joined.

use std::collections::BTreeMap;

use super::state::{DaemonState, ServerState, ServiceState, State};
use crate::{
    ipvs::census::{Census, CountedServer, KernelInfo, Traffic},
    model::{Condition, ServerKey, ServiceKey, Settings},
};

/// Everything there is to list.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Listing {
    /// The kernel's IPVS; `None` where nobody could or did ask it.
    pub kernel: Option<KernelInfo>,
    /// The daemons that answered.
    pub daemons: Vec<DaemonState>,
    /// The virtual services, by their keys.
    pub services: Vec<Service>,
}

/// A virtual service.
#[derive(Clone, PartialEq, Debug)]
pub struct Service {
    /// What clients reach.
    pub key: ServiceKey,
    /// What the kernel has of it; `None` where it is not there.
    pub counted: Option<(Settings, Traffic)>,
    /// What its daemon says of it; its servers are not in there.
    pub state: Option<ServiceState>,
    /// Its servers: those of the kernel, by their keys, then those that are not there, in the order of the file.
    pub servers: Vec<Server>,
}

/// A server of a virtual service.
#[derive(Clone, PartialEq, Debug)]
pub struct Server {
    /// Which.
    pub key: ServerKey,
    /// What the kernel has of it; `None` where it is not there.
    pub counted: Option<CountedServer>,
    /// What its daemon says of it.
    pub state: Option<ServerState>,
}

impl Listing {
    /// Joins what the kernel has with what each daemon knows; no two daemons have the same service.
    pub fn join(census: Census, states: Vec<State>) -> Listing {
        let mut listing = Listing { kernel: census.kernel, ..Listing::default() };
        let mut known = BTreeMap::new();
        for state in states {
            listing.daemons.push(state.daemon);
            known.extend(state.services.into_iter().map(|service| (service.service, service)));
        }
        for counted in census.services {
            let (state, servers) = take_servers(known.remove(&counted.key));
            listing.services.push(Service {
                key: counted.key,
                counted: Some((counted.settings, counted.traffic)),
                state,
                servers: join_servers(counted.servers, servers),
            });
        }
        if !known.is_empty() {
            listing.services.extend(known.into_values().map(|service| {
                let key = service.service;
                let (state, servers) = take_servers(Some(service));
                Service { key, counted: None, state, servers: join_servers(Vec::new(), servers) }
            }));
            listing.services.sort_by_key(|service| service.key);
        }
        listing
    }
}

fn take_servers(service: Option<ServiceState>) -> (Option<ServiceState>, Vec<ServerState>) {
    match service {
        Some(mut service) => {
            let servers = std::mem::take(&mut service.servers);
            (Some(service), servers)
        }
        None => (None, Vec::new()),
    }
}

fn join_servers(counted: Vec<CountedServer>, states: Vec<ServerState>) -> Vec<Server> {
    let mut servers: Vec<Server> = (counted.into_iter())
        .map(|counted| Server { key: counted.key, counted: Some(counted), state: None })
        .collect();
    let there = servers.len();
    for state in states {
        let key = ServerKey(state.server);
        let found = servers.get(..there).unwrap_or_default();
        let place = found.binary_search_by_key(&key, |server| server.key).ok();
        match place.and_then(|place| servers.get_mut(place)) {
            // A real server and the fallback may be one to the kernel: it is there because of the one that serves.
            Some(server) => match &server.state {
                Some(before) if !before.condition.serves() || state.condition.serves() => {
                    server.state = Some(state);
                }
                Some(_) => {}
                None => server.state = Some(state),
            },
            None if state.condition == Condition::Standby => {}
            None => servers.push(Server { key, counted: None, state: Some(state) }),
        }
    }
    servers
}
