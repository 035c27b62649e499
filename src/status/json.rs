//! A listing as JSON: one object, for programs.
//!
//! The section STATUS of ldirectord(8) describes it. Members may be added; one that is taken away or means something
//! else makes [`SCHEMA`] the next number.

use std::net::SocketAddr;

use serde::Serialize;

use super::{
    DaemonState, Listing,
    state::{SCHEMA, ServerState},
};
use crate::{
    ipvs::census::Traffic,
    model::{Mask, Settings},
};

#[derive(Serialize)]
struct Object<'a> {
    schema: u32,
    kernel: Option<Kernel<'a>>,
    daemons: &'a [DaemonState],
    services: Vec<Service<'a>>,
}

#[derive(Serialize)]
struct Kernel<'a> {
    version: &'a str,
    connection_table_size: u32,
}

#[derive(Serialize)]
struct Service<'a> {
    service: String,
    name: Option<&'a str>,
    comment: Option<&'a str>,
    /// How many real servers serve, where a daemon knows.
    serving: Option<usize>,
    real_servers: Option<usize>,
    /// What the kernel has of it; null where it is not there.
    kernel: Option<ServiceInKernel<'a>>,
    servers: Vec<Server<'a>>,
}

#[derive(Serialize)]
struct ServiceInKernel<'a> {
    scheduler: &'a str,
    flags: [bool; 3],
    persistence: Option<Persistence<'a>>,
    one_packet: bool,
    #[serde(with = "Counters")]
    traffic: Traffic,
}

#[derive(Serialize)]
struct Persistence<'a> {
    timeout_s: u32,
    mask: String,
    engine: Option<&'a str>,
}

#[derive(Serialize)]
struct Server<'a> {
    server: SocketAddr,
    /// What the kernel has of it; null where it is not there.
    kernel: Option<ServerInKernel>,
    /// What a daemon knows of it; null where none directs it.
    state: Option<&'a ServerState>,
}

#[derive(Serialize)]
struct ServerInKernel {
    method: String,
    weight: u32,
    upper_threshold: u32,
    lower_threshold: u32,
    active_connections: u32,
    inactive_connections: u32,
    persistent_connections: u32,
    #[serde(with = "Counters")]
    traffic: Traffic,
}

/// Counters since the entry was added or zeroed, and rates a second.
#[derive(Serialize)]
#[serde(remote = "Traffic")]
struct Counters {
    connections: u64,
    packets_in: u64,
    packets_out: u64,
    bytes_in: u64,
    bytes_out: u64,
    connection_rate: u64,
    packet_rate_in: u64,
    packet_rate_out: u64,
    byte_rate_in: u64,
    byte_rate_out: u64,
}

/// The object.
pub fn render(listing: &Listing) -> serde_json::Result<String> {
    let kernel = listing.kernel.as_ref().map(|kernel| Kernel {
        version: &kernel.version,
        connection_table_size: kernel.connection_table_size,
    });
    let services = listing.services.iter().map(|service| Service {
        service: service.key.with_protocol(),
        name: service.state.as_ref().and_then(|state| state.name.as_deref()),
        comment: service.state.as_ref().and_then(|state| state.comment.as_deref()),
        serving: service.state.as_ref().map(|state| state.serving),
        real_servers: service.state.as_ref().map(|state| state.real_servers),
        kernel: service.counted.as_ref().map(|(settings, traffic)| in_kernel(settings, traffic)),
        servers: service.servers.iter().map(server).collect(),
    });
    serde_json::to_string(&Object {
        schema: SCHEMA,
        kernel,
        daemons: &listing.daemons,
        services: services.collect(),
    })
}

fn in_kernel<'a>(settings: &'a Settings, traffic: &Traffic) -> ServiceInKernel<'a> {
    ServiceInKernel {
        scheduler: &settings.scheduler.0,
        flags: [settings.flags.first, settings.flags.second, settings.flags.third],
        persistence: settings.persistence.as_ref().map(|persistence| Persistence {
            timeout_s: persistence.timeout_s,
            mask: match persistence.mask {
                Mask::V4(mask) => mask.to_string(),
                Mask::V6(length) => length.to_string(),
            },
            engine: persistence.engine.as_deref(),
        }),
        one_packet: settings.one_packet,
        traffic: *traffic,
    }
}

fn server(server: &super::Server) -> Server<'_> {
    Server {
        server: server.key.0,
        kernel: server.counted.as_ref().map(|counted| ServerInKernel {
            method: counted.share.forwarding.to_string(),
            weight: counted.share.weight.get(),
            upper_threshold: counted.share.thresholds.upper,
            lower_threshold: counted.share.thresholds.lower,
            active_connections: counted.connections.active,
            inactive_connections: counted.connections.inactive,
            persistent_connections: counted.connections.persistent,
            traffic: counted.traffic,
        }),
        state: server.state.as_ref(),
    }
}
