#![doc = include_str!("interface.md")]
#![forbid(unsafe_code)]

pub mod attr;
pub mod message;

mod client;
mod daemon;
mod dest;
mod error;
mod exchange;
mod family;
mod info;
mod service;
mod socket;
mod stats;
mod uapi;

pub use client::{Client, Options};
pub use daemon::{DaemonState, SyncDaemon};
pub use dest::{Dest, DestEntry, Forwarding, Tunnel, TunnelFlags, TunnelKind};
pub use error::Error;
pub use info::{Info, Timeouts, Version};
pub use message::Request;
pub use service::{
    AddressFamily, Netmask, Protocol, Service, ServiceEntry, ServiceFlags, ServiceId,
};
pub use stats::Stats;
