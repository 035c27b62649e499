//! What the daemon answers on the control socket: how it and its services stand.
//!
//! A question is answered from what the director knows, between two events; nothing is asked for it.

use std::{io, path::Path, time::Duration};

use jiff::{Timestamp, Unit};

use super::{Daemon, attempts::Record, clock};
use crate::{
    control::{
        protocol::{Answer, Ask},
        server::{Asked, Listener, Server},
    },
    director::{Director, Role, ServerStatus, ServiceStatus, Status},
    model::{CheckKind, CheckSpec, ServerKey},
    status::{
        AttemptState, CheckState, DaemonState, ServerState, ServiceState, State,
        state::{Count, SCHEMA},
    },
    time::{Clocks, Moment},
};

/// Listens on the control socket. What works without it does.
pub(super) fn listen(path: &Path) -> Option<Listener> {
    told(path, Listener::bind(path))
}

/// Answers there from now on.
pub(super) fn serve(listener: Listener) -> Option<Server> {
    let path = listener.path().to_owned();
    told(&path, listener.serve())
}

fn told<T>(path: &Path, listens: io::Result<T>) -> Option<T> {
    if let Err(error) = &listens {
        let shown = path.display();
        tracing::warn!(
            event = "control-socket",
            path = %shown,
            "cannot listen on {shown}: {error}; `ldirectord list` shows the kernel's table only"
        );
    }
    listens.ok()
}

/// The next question; for ever where nobody listens.
pub(super) async fn next(server: &mut Option<Server>) -> Asked {
    match server {
        Some(server) => server.next().await,
        None => std::future::pending().await,
    }
}

impl Daemon {
    pub(super) fn answer(&self, Asked { ask, peer, reply }: Asked) {
        tracing::debug!(uid = peer.uid, pid = peer.pid, "Asked by user {}: {ask:?}", peer.uid);
        let clocks = Clocks { now: self.clock.now(), wall: clock::wall() };
        let answer = match ask {
            Ask::Status => {
                let about = DaemonState { now: clocks.wall, ..self.about.clone() };
                Answer::Status(Box::new(state(about, &self.director, clocks)))
            }
            Ask::Attempts { service, server } => {
                let checks = self.director.checks_of(service, ServerKey(server));
                let records = checks.flat_map(|check| self.attempts.of(check));
                Answer::Attempts(records.map(|record| attempt_state(record, clocks)).collect())
            }
        };
        // Nobody may wait for it any more.
        reply.send(answer).unwrap_or_default();
    }
}

/// When this was or will be, on the wall, to the millisecond.
fn on_the_wall(clocks: Clocks, moment: Moment) -> Timestamp {
    let at = clocks.at(moment);
    at.round(Unit::Millisecond).unwrap_or(at)
}

/// How everything stands, to be asked by whoever may.
fn state(daemon: DaemonState, director: &Director, clocks: Clocks) -> State {
    let Status { phase, services } = director.status();
    State {
        schema: SCHEMA,
        daemon: DaemonState { phase: phase.to_string(), ..daemon },
        services: services.into_iter().map(|service| service_state(service, clocks)).collect(),
    }
}

fn service_state(service: ServiceStatus, clocks: Clocks) -> ServiceState {
    let of = (service.failure_count, service.rise_count);
    let is_real = |server: &&ServerStatus| server.place.role == Role::Real;
    let real_servers = service.servers.iter().filter(is_real).count();
    let servers = service.servers.into_iter().map(|server| server_state(server, of, clocks));
    ServiceState {
        service: service.key,
        name: service.name,
        comment: service.comment,
        serving: service.serving,
        real_servers,
        servers: servers.collect(),
    }
}

fn server_state(server: ServerStatus, of: (u32, u32), clocks: Clocks) -> ServerState {
    let failure = server.failure;
    ServerState {
        server: server.place.server.0,
        written: server.place.written,
        is_fallback: server.place.role == Role::Fallback,
        condition: server.condition,
        since: server.since.map(|since| on_the_wall(clocks, since)),
        reason: failure.as_ref().map(|failure| failure.reason.to_string()),
        detail: failure.map(|failure| failure.detail.clone()),
        method: server.share.forwarding.to_string(),
        weight: server.share.weight.get(),
        failures: Count { count: server.failures, of: of.0 },
        passes: Count { count: server.passes, of: of.1 },
        check: server.check.map(|(check, next)| CheckState {
            kind: kind(&check).to_owned(),
            target: check.target,
            interval_s: check.interval.as_secs_f64(),
            fast_interval_s: check.fast_interval.as_secs_f64(),
            down_interval_s: check.down_interval.as_secs_f64(),
            timeout_s: check.timeout.as_secs_f64(),
            next: next.map(|next| on_the_wall(clocks, next)),
        }),
    }
}

fn attempt_state(record: &Record, clocks: Clocks) -> AttemptState {
    let Record { at, failure, trace } = record;
    let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
    let times = trace.times.iter();
    AttemptState {
        ended: on_the_wall(clocks, *at),
        reason: failure.as_ref().map(|failure| failure.reason.to_string()),
        detail: failure.as_ref().map(|failure| failure.detail.clone()),
        phase: trace.phase.to_string(),
        times_ms: times.map(|(phase, time)| (phase.to_string(), milliseconds(time))).collect(),
        received: (!trace.received.is_empty()).then(|| trace.received.escape_ascii().to_string()),
        certificate_end: trace.certificate_end.map(|end| end.to_string()),
    }
}

/// What asks, as the file calls it.
fn kind(check: &CheckSpec) -> &'static str {
    match &check.kind {
        CheckKind::Connect => "connect",
        CheckKind::Ping { .. } => "ping",
        CheckKind::External { .. } => "external",
        CheckKind::ExternalPerl { .. } => "external-perl",
        CheckKind::Negotiate(negotiate) | CheckKind::Combined { negotiate, .. } => {
            negotiate.protocol
        }
        CheckKind::Agent { .. } => "agent",
    }
}
