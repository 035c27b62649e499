//! The control socket: how commands ask a daemon that runs how things stand.
//!
//! A unix socket of mode 0600 beside the pid file, `/run/ldirectord/NAME.sock`. Whoever connects writes requests, one JSON
//! object a line ([`protocol`]), and reads an answer for each. [`server`] is the daemon's half, [`client`] the others'.

pub mod client;
pub mod protocol;
pub mod server;
