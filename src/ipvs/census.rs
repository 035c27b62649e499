//! The table with what the kernel counts: what a listing shows, and nobody plans with.
//!
//! In go the kernel's entries, out comes a [`Census`]; of a table in memory every count is 0.

use super::Table;
use crate::model::{ServerKey, ServiceKey, Settings, Share};

/// What is in the kernel and what passes through it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Census {
    /// The kernel's IPVS; `None` of a table in memory.
    pub kernel: Option<KernelInfo>,
    /// The virtual services, by their keys.
    pub services: Vec<CountedService>,
}

/// The kernel's IPVS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelInfo {
    /// Its version, `1.2.1` since 2007.
    pub version: String,
    /// How many rows the hash table of connections has.
    pub connection_table_size: u32,
}

/// A virtual service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CountedService {
    /// What clients reach.
    pub key: ServiceKey,
    /// How its connections are spread.
    pub settings: Settings,
    /// What passed through it.
    pub traffic: Traffic,
    /// Its servers, by their keys.
    pub servers: Vec<CountedServer>,
}

/// A server of a virtual service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CountedServer {
    /// Which.
    pub key: ServerKey,
    /// How it gets its connections.
    pub share: Share,
    /// The connections that it has.
    pub connections: Connections,
    /// What passed through it.
    pub traffic: Traffic,
}

/// The connections of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Connections {
    /// Established ones.
    pub active: u32,
    /// Those in any other state.
    pub inactive: u32,
    /// Persistence templates: clients that come back to this server.
    pub persistent: u32,
}

/// Counters since the entry was added or zeroed, and the kernel's estimates of rates, renewed every two seconds.
///
/// What goes out is counted where it passes this machine: with `masq`, and not with `gate` or `ipip`.
pub use ipvs_sys::Stats as Traffic;

impl Census {
    /// Of a table that counts nothing.
    pub fn uncounted(table: Table) -> Census {
        let server = |(key, share)| CountedServer {
            key,
            share,
            connections: Connections::default(),
            traffic: Traffic::default(),
        };
        let services = table.services.into_iter().map(|(key, entry)| CountedService {
            key,
            settings: entry.settings,
            traffic: Traffic::default(),
            servers: entry.servers.into_iter().map(server).collect(),
        });
        Census { kernel: None, services: services.collect() }
    }
}
