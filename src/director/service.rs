//! What is known of one virtual service, and what the kernel should hold of it because of that.

use std::collections::BTreeSet;

use super::{
    Place, Role,
    health::{Health, Outcome, Pace},
};
use crate::{
    ipvs::{Entry, Wanted, Wish},
    model::{CheckId, Checked, Quiesce, RealServer, ServerKey, Verdict, VirtualService},
};

/// What is known of one virtual service.
#[derive(Clone, Debug)]
pub(super) struct Service {
    /// What the operator said of it.
    config: VirtualService,
    /// One for each of `config.servers`.
    health: Vec<Health>,
    /// How many of `health` are up.
    up: usize,
    /// Places in `config.servers`, ordered by the server's key and then by place.
    by_key: Vec<usize>,
    /// Servers that stay as the kernel has them until they come up; see [`super::remembered`].
    left: BTreeSet<ServerKey>,
}

impl Service {
    /// A service of which only the kernel's table is known: a server at work there is up,
    /// anything else proves itself first.
    ///
    /// The fallback's entry proves nothing of a real server with the same address.
    pub(super) fn warm(config: VirtualService, observed: Option<&Entry>) -> Service {
        Service::begin(config, |config, _, server| match at_work(config, server, observed) {
            true => Health::UP,
            false => Health::Unknown,
        })
    }

    /// The same service under a new configuration: who was known stays known, who is new starts warm.
    pub(super) fn reloaded(
        config: VirtualService,
        before: &Service,
        observed: Option<&Entry>,
    ) -> Service {
        let was_serving_as_fallback =
            before.config.fallback.filter(|_| before.needs_fallback()).map(|fallback| fallback.key);
        let Service { config, health: warm, .. } = Service::warm(config, observed);
        let known = |server: &RealServer| {
            if server.checked == Checked::Never {
                // Nothing but the kernel's table says how it is.
                return None;
            }
            before
                .with_key(server.key)
                .find(|(_, other)| other.written == server.written)
                .and_then(|(place, _)| before.health.get(place).copied())
        };
        Service::begin(config, |_, place, server| match known(server) {
            Some(health) => health,
            None if was_serving_as_fallback == Some(server.key) => Health::Unknown,
            None => warm.get(place).copied().unwrap_or(Health::Unknown),
        })
    }

    fn begin(
        config: VirtualService,
        health_of: impl Fn(&VirtualService, usize, &RealServer) -> Health,
    ) -> Service {
        let health: Vec<Health> = (config.servers.iter().enumerate())
            .map(|(place, server)| match server.checked {
                Checked::AlwaysUp => Health::UP,
                Checked::By(_) | Checked::Never => health_of(&config, place, server),
            })
            .collect();
        let mut by_key: Vec<usize> = (0..config.servers.len()).collect();
        by_key.sort_by_key(|&place| config.servers.get(place).map(|server| server.key));
        let up = health.iter().filter(|health| health.is_up()).count();
        Service { config, health, up, by_key, left: BTreeSet::new() }
    }

    /// Whether the kernel, which has this of the service, has the server at work.
    pub(super) fn is_at_work(&self, server: &RealServer, observed: Option<&Entry>) -> bool {
        at_work(&self.config, server, observed)
    }

    /// These servers stay as the kernel has them until they come up.
    pub(super) fn leave(&mut self, servers: BTreeSet<ServerKey>) {
        self.left = servers;
    }

    /// What the operator said of it.
    pub(super) fn config(&self) -> &VirtualService {
        &self.config
    }

    /// Whether no real server works.
    pub(super) fn needs_fallback(&self) -> bool {
        self.up == 0
    }

    /// How many real servers work.
    pub(super) fn up(&self) -> usize {
        self.up
    }

    /// Takes a verdict on the server at this place of the configuration.
    pub(super) fn judge(&mut self, place: usize, verdict: &Verdict) -> Outcome {
        let Some(health) = self.health.get_mut(place) else { return Outcome::Same };
        let outcome = match verdict {
            Ok(_) => health.pass(self.config.rise_count),
            Err(_) => health.fail(self.config.failure_count),
        };
        match outcome {
            Outcome::CameUp => {
                self.up = self.up.saturating_add(1);
                if let Some(server) = self.config.servers.get(place) {
                    self.left.remove(&server.key);
                }
            }
            Outcome::WentDown => self.up = self.up.saturating_sub(1),
            _ => {}
        }
        outcome
    }

    /// How often the server at this place of the configuration is to be checked.
    pub(super) fn pace(&self, place: usize) -> Option<Pace> {
        self.health.get(place).map(|health| health.pace())
    }

    /// The server at this place of the configuration, as people know it.
    pub(super) fn place(&self, place: usize) -> Option<Place> {
        self.config.servers.get(place).map(|server| self.real(server))
    }

    /// The server of the kernel's table with this key, as people know it; `None` for one that is not ours.
    pub(super) fn place_of(&self, key: ServerKey) -> Option<Place> {
        let fallback = self.config.fallback.filter(|fallback| fallback.key == key);
        let real =
            self.serving(key).or_else(|| self.with_key(key).map(|(_, server)| server).last());
        match (real, fallback) {
            (Some(server), None) => Some(self.real(server)),
            (Some(server), Some(_)) if self.is_up(key) => Some(self.real(server)),
            (_, Some(fallback)) => Some(Place {
                service: self.config.key,
                server: key,
                written: fallback.written,
                role: Role::Fallback,
            }),
            (None, None) => None,
        }
    }

    /// Whether a real server with this key works.
    pub(super) fn is_up(&self, key: ServerKey) -> bool {
        self.serving(key).is_some()
    }

    /// Whether the file gives a real server with this key new connections when it works.
    pub(super) fn has_weight(&self, key: ServerKey) -> bool {
        self.with_key(key).any(|(_, server)| server.share.weight.get() > 0)
    }

    /// The real servers that work.
    pub(super) fn working(&self) -> impl Iterator<Item = &RealServer> {
        self.config.servers.iter().zip(&self.health).filter(|(_, h)| h.is_up()).map(|(s, _)| s)
    }

    /// Whether a real server with this key has not been checked yet, and none with it works.
    pub(super) fn is_unknown(&self, key: ServerKey) -> bool {
        let is_unknown = |place| self.health.get(place) == Some(&Health::Unknown);
        !self.is_up(key) && self.with_key(key).any(|(place, _)| is_unknown(place))
    }

    /// The real servers that have not been checked yet.
    pub(super) fn unknown(&self) -> impl Iterator<Item = &RealServer> {
        (self.config.servers.iter().zip(&self.health))
            .filter(|(_, health)| **health == Health::Unknown)
            .map(|(server, _)| server)
    }

    /// What the kernel should hold of one server. `fresh` after a start or reload, when a server that is
    /// down is put in with weight 0 even where it later stays out if somebody deletes it.
    ///
    /// Where several lines of the file are one server to the kernel, the last that works counts.
    pub(super) fn wanted(&self, key: ServerKey, fresh: bool) -> Wanted {
        if let Some(server) = self.serving(key) {
            return Wanted::Present(server.share);
        }
        if let Some(fallback) = self.config.fallback.filter(|fallback| fallback.key == key)
            && self.needs_fallback()
        {
            return Wanted::Present(fallback.share);
        }
        let Some((_, server)) = self.with_key(key).last() else { return Wanted::Absent };
        let quiesced = server.share.quiesced();
        if self.left.contains(&key) {
            return Wanted::IfPresent(quiesced);
        }
        match self.config.quiesce {
            Quiesce::Remove => Wanted::Absent,
            Quiesce::ZeroWeight => Wanted::Present(quiesced),
            Quiesce::ZeroWeightIfPresent if fresh => Wanted::Present(quiesced),
            Quiesce::ZeroWeightIfPresent => Wanted::IfPresent(quiesced),
        }
    }

    /// What the kernel should hold of the whole service.
    pub(super) fn wish(&self, fresh: bool) -> Wish {
        let keys = (self.config.servers.iter().map(|server| server.key))
            .chain(self.config.fallback.map(|fallback| fallback.key));
        Wish {
            settings: self.config.settings.clone(),
            servers: keys.map(|key| (key, self.wanted(key, fresh))).collect(),
        }
    }

    fn real(&self, server: &RealServer) -> Place {
        Place {
            service: self.config.key,
            server: server.key,
            written: server.written,
            role: Role::Real,
        }
    }

    /// The last server with this key that works.
    fn serving(&self, key: ServerKey) -> Option<&RealServer> {
        self.with_key(key)
            .filter(|(place, _)| self.health.get(*place).is_some_and(|health| health.is_up()))
            .map(|(_, server)| server)
            .last()
    }

    /// The checks of the real servers with this key.
    pub(super) fn checks_of(&self, key: ServerKey) -> impl Iterator<Item = CheckId> {
        self.with_key(key).filter_map(|(_, server)| match server.checked {
            Checked::By(check) => Some(check),
            Checked::AlwaysUp | Checked::Never => None,
        })
    }

    /// The servers with this key and their places, in the order of the file.
    fn with_key(&self, key: ServerKey) -> impl Iterator<Item = (usize, &RealServer)> {
        let key_at = |place: usize| self.config.servers.get(place).map(|server| server.key);
        let first = self.by_key.partition_point(|&place| key_at(place) < Some(key));
        (self.by_key.iter().skip(first))
            .filter_map(|&place| Some((place, self.config.servers.get(place)?)))
            .take_while(move |(_, server)| server.key == key)
    }

    /// The count of servers that are up is right.
    pub(super) fn check_invariants(&self) {
        let up = self.health.iter().filter(|health| health.is_up()).count();
        debug_assert_eq!(up, self.up, "servers up in {}", self.config.key);
        debug_assert_eq!(self.health.len(), self.config.servers.len());
    }
}

/// Whether the kernel has a server at work. The entry of the fallback says nothing of a real server at its address.
fn at_work(config: &VirtualService, server: &RealServer, observed: Option<&Entry>) -> bool {
    let share = observed.and_then(|entry| entry.servers.get(&server.key));
    let fallback = config.fallback.is_some_and(|fallback| fallback.key == server.key);
    share.is_some_and(|share| share.weight.get() > 0) && !fallback
}
