//! What a file says on purpose or not, and people come to regret: one function each, over the whole configuration.
//!
//! In goes a [`Config`] without errors, out come warnings and advice, and nothing is changed by them.
//! A lint is certain of what it says, or says nothing: what depends on the servers or on the network is not judged.
//! Warnings are for what is told at every start, because nothing that happens later will tell it.
//!
//! Sources: the kernel's `net/netfilter/ipvs` (6.1), the sections on bugs and wishes of the programs of the field.

mod checks;
mod file;
mod servers;
mod spread;
mod sync;

use std::ops::Range;

use super::{
    Sources, World,
    diagnostic::Findings,
    draft::{CheckType, Globals},
    resolve::{Config, Service, Spare},
};
use crate::model::{Family, ServiceKey};

/// What a lint may look at.
struct Whole<'a> {
    config: &'a Config,
    sources: &'a Sources,
    world: &'a World<'a>,
}

/// Looks for what people come to regret. Warnings come first, because only so many are kept.
pub(super) fn lint(config: &Config, sources: &Sources, world: &World<'_>, findings: &mut Findings) {
    let whole = Whole { config, sources, world };
    whole.checks(findings);
    whole.servers(findings);
    whole.spread(findings);
    whole.sync(findings);
    whole.file(findings);
}

// === settings, where more than one place has a say in them ===

impl Whole<'_> {
    fn globals(&self) -> &Globals {
        &self.config.globals
    }

    fn services(&self) -> impl Iterator<Item = &Service> {
        self.config.services.iter()
    }

    /// The fallback that holds for a service, and where it stands.
    fn fallback(&self, service: &Service) -> Option<(Spare, Range<usize>)> {
        let (name, spare) = match service.key.family() {
            Family::V4 => ("fallback", self.config.fallback),
            Family::V6 => ("fallback6", self.config.fallback6),
        };
        let own = service.fallback.map(|own| (own, service.block.said.value(name)));
        let (spare, place) =
            own.or_else(|| spare.map(|spare| (spare, self.globals().said.value(name))))?;
        Some((spare, place.unwrap_or_else(|| service.block.span.clone())))
    }

    /// Whether servers get weight 0 instead of leaving the kernel.
    fn quiesces(&self, service: &Service) -> bool {
        let own = service.block.common.quiescent;
        let quiescent = own.or(self.globals().common.quiescent).unwrap_or(false);
        quiescent && (may_fail(service) || self.globals().maintenance_dir.is_some())
    }

    /// Where a directive stands that may be said of a service and of all.
    fn place(&self, service: &Service, name: &str) -> Option<Range<usize>> {
        service.block.said.value(name).or_else(|| self.globals().said.value(name))
    }
}

/// Whether a server is ever asked.
fn may_fail(service: &Service) -> bool {
    match service.block.check_type {
        CheckType::On | CheckType::Off => false,
        CheckType::Negotiate => service.protocol != "none",
        _ => true,
    }
}

/// The port of a service that has one, which is not so of marks and of services of every port.
fn one_port(service: &Service) -> Option<u16> {
    match service.key {
        ServiceKey::Address { address, .. } => Some(address.port()).filter(|port| *port > 0),
        ServiceKey::Fwmark { .. } => None,
    }
}

/// The span, or the name of the service where there is none.
fn or_service(span: Option<Range<usize>>, service: &Service) -> Range<usize> {
    span.unwrap_or_else(|| service.block.span.clone())
}

/// `a`, `a and b`, `a, b and c`.
fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
