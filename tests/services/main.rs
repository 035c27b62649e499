//! Every check against the real program of Debian that serves the protocol, and against the Perl ldirectord.
//!
//! Outside the lab this program runs itself there (`tests/lab/run`), on this machine's kernel: no check needs IPVS.
//! A service is one file with a table of trials; [`service`] says what is done with one.
//! `cargo test --test services -- dovecot` runs those whose name has the word.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking, also in their helpers; this is the main function of a test program"
)]

mod apache;
mod bind;
mod dovecot;
mod freeradius;
mod haproxy;
mod grpcio;
mod inn;
mod kamailio;
mod mariadb;
mod memcached;
mod mosquitto;
mod keepalive;
mod nginx;
mod openldap;
mod perl;
mod postfix;
mod postgresql;
mod rabbitmq;
mod redis;
mod service;
mod socat;
mod squid;
#[path = "../support/mod.rs"]
mod support;
mod vsftpd;
mod websockets;
#[path = "../support/world.rs"]
#[expect(dead_code, reason = "other programs use the rest")]
mod world;

use std::process::ExitCode;

use service::Service;
use support::lab;

const SERVICES: &[&Service] = &[
    &nginx::SERVICE,
    &squid::SERVICE,
    &postfix::SERVICE,
    &dovecot::IMAP_SERVICE,
    &dovecot::IMAPS_SERVICE,
    &dovecot::POP_SERVICE,
    &dovecot::STRICT_SERVICE,
    &vsftpd::SERVICE,
    &bind::SERVICE,
    &openldap::SERVICE,
    &freeradius::SERVICE,
    &inn::SERVICE,
    &kamailio::SERVICE,
    &apache::SERVICE,
    &socat::SERVICE,
    &mariadb::SERVICE,
    &postgresql::SERVICE,
    &redis::SERVICE,
    &memcached::SERVICE,
    &mosquitto::SERVICE,
    &rabbitmq::SERVICE,
    &websockets::SERVICE,
    &grpcio::SERVICE,
];

fn main() -> ExitCode {
    let mut queues: Vec<_> =
        SERVICES.iter().map(|service| service::trials(service).into_iter()).collect();
    // In turns, because a service does one thing at a time.
    let mut trials = Vec::new();
    while !queues.is_empty() {
        queues.retain_mut(|queue| queue.next().map(|trial| trials.push(trial)).is_some());
    }
    trials.push(haproxy::trial());
    trials.extend(keepalive::trials());
    lab::run_on_any_kernel(SERVICES.len(), trials)
}
