//! What became of the requests, and whether each loss has its reason.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::machines::{SERVICES, Service, Web};
use crate::traffic::{PATIENCE, Request};

/// A moment for each service, in the order of [`SERVICES`].
pub(crate) type Moments = [Option<Instant>; SERVICES.len()];

/// A server that was broken and repaired.
#[derive(Debug)]
pub(crate) struct Outage {
    /// The server.
    pub web: &'static Web,
    /// What was done to it.
    pub what: &'static str,
    /// When, just before.
    pub broken: Instant,
    /// When its weight was seen at 0, for each service.
    pub weight_zero: Moments,
    /// When it was repaired, just before.
    pub repaired: Instant,
    /// When its weight was seen at 1 again, for each service.
    pub weight_full: Moments,
}

impl Outage {
    /// From the fault until the last service had weight 0.
    pub(crate) fn time_to_zero(&self) -> Duration {
        last(&self.weight_zero).map_or(Duration::ZERO, |at| at - self.broken)
    }

    /// From the repair until the last service had weight 1.
    pub(crate) fn time_to_full(&self) -> Duration {
        last(&self.weight_full).map_or(Duration::ZERO, |at| at - self.repaired)
    }

    /// Whether a loss is owed to this outage: sent when the director could not know of it yet,
    /// or already under way when the server broke.
    fn explains(&self, request: &Request) -> bool {
        let begun = request.sent + PATIENCE >= self.broken;
        let unknown = moment(&self.weight_zero, request.service).is_none_or(|at| request.sent < at);
        begun && unknown
    }

    /// Whether a request was sent while the server had weight 0 for its service and was still broken.
    fn covers(&self, request: &Request) -> bool {
        let after = moment(&self.weight_zero, request.service).is_some_and(|at| request.sent >= at);
        after && request.sent < self.repaired
    }
}

/// The latest of the moments.
pub(crate) fn last(moments: &Moments) -> Option<Instant> {
    moments.iter().flatten().max().copied()
}

fn moment(moments: &Moments, service: &Service) -> Option<Instant> {
    SERVICES
        .iter()
        .zip(moments)
        .find(|(one, _)| one.address == service.address)
        .and_then(|(_, at)| *at)
}

/// Requests, to be counted.
pub(crate) struct Count<'r> {
    requests: Vec<&'r Request>,
}

impl<'r> Count<'r> {
    /// Those that were sent at a moment or later.
    pub(crate) fn since(requests: &'r [Request], moment: Instant) -> Self {
        Self { requests: requests.iter().filter(|request| request.sent >= moment).collect() }
    }

    /// Those that were sent while an outage was known, service by service.
    pub(crate) fn during(requests: &'r [Request], weight_zero: &Moments) -> Self {
        let after = |request: &&Request| {
            moment(weight_zero, request.service).is_some_and(|at| request.sent >= at)
        };
        Self { requests: requests.iter().filter(after).collect() }
    }

    /// All.
    pub(crate) fn total(&self) -> usize {
        self.requests.len()
    }

    /// Requests to a service.
    pub(crate) fn sent(&self, service: &Service) -> usize {
        self.to(service.address).count()
    }

    /// Requests to a service that a server answered.
    pub(crate) fn answered(&self, service: &Service, web: &Web) -> usize {
        self.to(service.address)
            .filter(|request| request.outcome.as_ref().is_ok_and(|one| *one == web))
            .count()
    }

    /// Requests that a server answered.
    pub(crate) fn answered_by(&self, web: &Web) -> usize {
        SERVICES.iter().map(|service| self.answered(service, web)).sum()
    }

    /// Requests to a service that nobody answered.
    pub(crate) fn lost(&self, service: &Service) -> usize {
        self.to(service.address).filter(|request| request.outcome.is_err()).count()
    }

    /// The lost requests, each with when it was sent after `beginning` and what it met.
    pub(crate) fn list_lost(&self, beginning: Instant) -> Vec<String> {
        let describe = |request: &&Request| {
            let (address, method) = (request.service.address, request.service.method);
            let reason = request.outcome.as_ref().err()?;
            let sent = request.sent.saturating_duration_since(beginning).as_secs_f64();
            Some(format!("sent at {sent:.3} s to {address}:80 ({method}): {reason}"))
        };
        self.requests.iter().filter_map(describe).collect()
    }

    fn to(&self, address: Ipv4Addr) -> impl Iterator<Item = &&'r Request> {
        self.requests.iter().filter(move |request| request.service.address == address)
    }
}

/// The losses of each outage, and those that no outage explains.
pub(crate) fn losses<'r>(
    requests: &'r [Request],
    outages: &[Outage],
) -> (Vec<Count<'r>>, Count<'r>) {
    let mut left: Vec<_> = requests.iter().filter(|request| request.outcome.is_err()).collect();
    let mut counts = Vec::new();
    for outage in outages {
        let (explained, rest) = left.into_iter().partition(|request| outage.explains(request));
        counts.push(Count { requests: explained });
        left = rest;
    }
    (counts, Count { requests: left })
}

/// Requests that a broken server answered though it had weight 0.
pub(crate) fn sent_to_the_dead(requests: &[Request], outages: &[Outage]) -> usize {
    let dead = |request: &Request| {
        outages.iter().any(|outage| {
            outage.covers(request) && request.outcome.as_ref().is_ok_and(|web| *web == outage.web)
        })
    };
    requests.iter().filter(|request| dead(request)).count()
}
