//! What is known of one virtual service, and what the kernel should hold of it because of that.

use std::collections::BTreeSet;

use super::{
    Place, Role,
    agent::{Agent, Grant, Heard},
    health::{Health, Outcome, Pace},
};
use crate::{
    ipvs::{Entry, Wanted, Wish},
    model::{
        AgentAnswer, CheckId, Checked, Condition, Quiesce, RealServer, ServerKey, Share, Verdict,
        VirtualService, Weight,
    },
};

/// What is known of one virtual service.
#[derive(Clone, Debug)]
pub(super) struct Service {
    /// What the operator said of it.
    config: VirtualService,
    /// One for each of `config.servers`.
    health: Vec<Health>,
    /// One for each of `config.servers`.
    agents: Vec<Agent>,
    /// How many of them serve.
    serving: usize,
    /// Places in `config.servers`, ordered by the server's key and then by place.
    by_key: Vec<usize>,
    /// Servers that stay as the kernel has them until they come up; see [`super::remembered`].
    left: BTreeSet<ServerKey>,
    /// Servers of whose last transition nothing came but that one weight above 0 took the place of another.
    reweighted: BTreeSet<ServerKey>,
}

/// What is news of an agent's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Told {
    /// What was heard; nothing if it could not be asked.
    pub(super) heard: Option<Heard>,
    /// Whether that it could not be asked is news.
    pub(super) missed: bool,
    /// The weight that the server had of it before, and what it has now.
    pub(super) weights: (Weight, Weight),
    /// Whether the server works now, and did not before.
    pub(super) came_up: bool,
    /// Whether the kernel should hold something else of the server now.
    pub(super) is_transition: bool,
}

impl Service {
    /// A service of which only the kernel's table is known: a server at work there is up,
    /// anything else proves itself first.
    ///
    /// The fallback's entry proves nothing of a real server with the same address.
    pub(super) fn warm(config: VirtualService, observed: Option<&Entry>) -> Service {
        let health = |config: &VirtualService, _: usize, server: &RealServer| match at_work(
            config, server, observed,
        ) {
            true => Health::UP,
            false => Health::Unknown,
        };
        let agent = |config: &VirtualService, server: &RealServer| {
            Agent::unasked(found(config, server, observed).map(|share| share.weight))
        };
        Service::begin(config, health, agent)
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
        let place_before = |server: &RealServer| {
            let mut others = before.with_key(server.key);
            others.find(|(_, other)| other.written == server.written)
        };
        let known = |server: &RealServer| {
            if server.checked == Checked::Never {
                // Nothing but the kernel's table says how it is.
                return None;
            }
            place_before(server).and_then(|(place, _)| before.health.get(place).copied())
        };
        let health = |_: &VirtualService, place: usize, server: &RealServer| match known(server) {
            Some(health) => health,
            None if was_serving_as_fallback == Some(server.key) => Health::Unknown,
            None => warm.get(place).copied().unwrap_or(Health::Unknown),
        };
        let agent = |config: &VirtualService, server: &RealServer| {
            let before = place_before(server)
                .filter(|(_, other)| other.agent.is_some())
                .and_then(|(place, _)| before.agents.get(place).copied());
            let found = found(config, server, observed)
                .filter(|_| was_serving_as_fallback != Some(server.key));
            before.unwrap_or_else(|| Agent::unasked(found.map(|share| share.weight)))
        };
        Service::begin(config, health, agent)
    }

    fn begin(
        config: VirtualService,
        health_of: impl Fn(&VirtualService, usize, &RealServer) -> Health,
        agent_of: impl Fn(&VirtualService, &RealServer) -> Agent,
    ) -> Service {
        let health: Vec<Health> = (config.servers.iter().enumerate())
            .map(|(place, server)| match server.checked {
                Checked::AlwaysUp => Health::UP,
                Checked::By(_) | Checked::Never => health_of(&config, place, server),
            })
            .collect();
        let agents = (config.servers.iter())
            .map(|server| match server.agent {
                Some(_) => agent_of(&config, server),
                None => Agent::NONE,
            })
            .collect();
        let mut by_key: Vec<usize> = (0..config.servers.len()).collect();
        by_key.sort_by_key(|&place| config.servers.get(place).map(|server| server.key));
        let (left, reweighted) = (BTreeSet::new(), BTreeSet::new());
        let mut service = Service { config, health, agents, serving: 0, by_key, left, reweighted };
        service.serving = service.count_serving();
        service
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

    /// Whether no real server serves.
    pub(super) fn needs_fallback(&self) -> bool {
        self.serving == 0
    }

    /// How many real servers serve.
    pub(super) fn serving_count(&self) -> usize {
        self.serving
    }

    /// Takes a verdict on the server at this place of the configuration.
    pub(super) fn judge(&mut self, place: usize, verdict: &Verdict) -> Outcome {
        let before = self.serves(place);
        let Some(health) = self.health.get_mut(place) else { return Outcome::Same };
        let outcome = match verdict {
            Ok(_) => health.pass(self.config.rise_count),
            Err(_) => health.fail(self.config.failure_count),
        };
        self.count(place, before);
        if matches!(outcome, Outcome::CameUp | Outcome::WentDown | Outcome::StaysDown)
            && let Some(server) = self.config.servers.get(place)
        {
            self.reweighted.remove(&server.key);
            if outcome == Outcome::CameUp {
                self.left.remove(&server.key);
            }
        }
        outcome
    }

    /// Takes what the agent of the server at this place of the configuration answered.
    pub(super) fn hear(&mut self, place: usize, answer: &AgentAnswer) -> Option<Told> {
        let server = self.config.servers.get(place).filter(|server| server.agent.is_some())?;
        let (key, configured) = (server.key, server.share.weight);
        let (wanted, serves) = (self.wanted(key, false), self.serves(place));
        let agent = self.agents.get_mut(place)?;
        let was_down = agent.is_down();
        let before = match agent.grant(configured) {
            // What it would get if there was no agent.
            Grant::Out if agent.is_unasked() => configured,
            grant => grant.weight(),
        };
        let (heard, missed) = match answer {
            Ok(report) => (Some(agent.hear(report)), false),
            Err(_) => (None, agent.miss()),
        };
        let weights = (before, agent.grant(configured).weight());
        let came_up = was_down && !agent.is_down() && self.is_healthy(place);
        self.count(place, serves);
        let wants = self.wanted(key, false);
        // With weight 0 in the file a server may serve or not, and only the fallback knows the difference.
        let is_transition = wants != wanted || self.serves(place) != serves;
        if is_transition {
            match (weight_of(wanted), weight_of(wants)) {
                (Some(_), Some(_)) => self.reweighted.insert(key),
                _ => self.reweighted.remove(&key),
            };
        }
        Some(Told { heard, missed, weights, came_up, is_transition })
    }

    /// Puts the server at this place of the configuration into maintenance, or takes it out of it; whether something
    /// follows from that for the kernel or for the fallback.
    ///
    /// Afterwards it is as unknown as at a start, so that its next check decides.
    pub(super) fn maintain(&mut self, place: usize, begins: bool) -> bool {
        let Some(server) = self.config.servers.get(place) else { return false };
        let (key, checked) = (server.key, server.checked);
        let (wanted, serves) = (self.wanted(key, false), self.serves(place));
        if begins && let Some(agent) = self.agents.get_mut(place) {
            // It may be new to a server that has been in maintenance since before a reload.
            agent.forget_found();
        }
        if self.is_in_maintenance(place) == begins {
            return false;
        }
        if let Some(health) = self.health.get_mut(place) {
            *health = match (begins, checked) {
                (true, _) => Health::Maintenance,
                (false, Checked::AlwaysUp) => Health::UP,
                (false, Checked::By(_) | Checked::Never) => Health::Unknown,
            };
        }
        // As ldirectord: what a person took out stays out, everything else is made so that it does not serve.
        if begins && self.config.quiesce != Quiesce::ZeroWeightIfPresent {
            self.left.remove(&key);
        }
        self.reweighted.remove(&key);
        self.count(place, serves);
        self.wanted(key, false) != wanted || self.serves(place) != serves
    }

    /// Whether this server is in maintenance.
    pub(super) fn maintains(&self, server: &Place) -> bool {
        let mut same = self.with_key(server.server);
        same.any(|(place, other)| other.written == server.written && self.is_in_maintenance(place))
    }

    /// Whether the server at this place of the configuration is in maintenance.
    pub(super) fn is_in_maintenance(&self, place: usize) -> bool {
        self.health.get(place) == Some(&Health::Maintenance)
    }

    /// Whether this is the check that says whether the server at this place of the configuration works.
    pub(super) fn is_checked_by(&self, place: usize, check: CheckId) -> bool {
        self.config.servers.get(place).is_some_and(|server| server.checked == Checked::By(check))
    }

    /// Whether the server at this place of the configuration has an agent.
    pub(super) fn has_agent(&self, place: usize) -> bool {
        self.config.servers.get(place).is_some_and(|server| server.agent.is_some())
    }

    /// Whether only its agent says that the server at this place of the configuration does not work.
    pub(super) fn is_down_by_agent(&self, place: usize) -> bool {
        self.is_healthy(place) && self.agents.get(place).is_some_and(Agent::is_down)
    }

    /// Whether one weight above 0 took the place of another, and nothing else happened to this server.
    pub(super) fn is_reweighted(&self, key: ServerKey) -> bool {
        self.reweighted.contains(&key)
    }

    /// The checks that ask agents which have not been asked yet.
    pub(super) fn unasked(&self) -> impl Iterator<Item = CheckId> {
        (self.config.servers.iter().zip(&self.agents))
            .filter(|(_, agent)| agent.is_unasked())
            .filter_map(|(server, _)| server.agent)
    }

    /// How the server at this place of the configuration is.
    pub(super) fn condition(&self, place: usize) -> Condition {
        let health = self.health.get(place).copied().unwrap_or(Health::Unknown);
        let server = self.config.servers.get(place);
        let agent = self.agents.get(place).copied().unwrap_or(Agent::NONE);
        match health {
            Health::Unknown if server.is_some_and(|server| server.checked == Checked::Never) => {
                Condition::Off
            }
            Health::Unknown => Condition::Unknown,
            Health::Maintenance => Condition::Maintenance,
            Health::Down { .. } => Condition::Down,
            Health::Up { failures } => {
                match agent.grant(server.map_or(Weight::ZERO, |server| server.share.weight)) {
                    Grant::Drains => Condition::Draining,
                    Grant::Out if agent.is_unasked() => Condition::Unknown,
                    Grant::Out if agent.is_down() => Condition::Down,
                    Grant::Out => Condition::Maintenance,
                    Grant::Serves(_) if failures > 0 => Condition::Failing,
                    Grant::Serves(_) => Condition::Up,
                }
            }
        }
    }

    /// How many checks in a row of the server at this place have failed while it is up, and passed while it is down.
    pub(super) fn counts(&self, place: usize) -> (u32, u32) {
        match self.health.get(place) {
            Some(Health::Up { failures }) => (*failures, 0),
            Some(Health::Down { passes }) => (0, *passes),
            Some(Health::Unknown | Health::Maintenance) | None => (0, 0),
        }
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
            (Some(server), Some(_)) if self.is_serving(key) => Some(self.real(server)),
            (_, Some(fallback)) => Some(Place {
                service: self.config.key,
                server: key,
                written: fallback.written,
                role: Role::Fallback,
            }),
            (None, None) => None,
        }
    }

    /// Whether a real server with this key works, and its agent lets it serve.
    pub(super) fn is_serving(&self, key: ServerKey) -> bool {
        self.serving(key).is_some()
    }

    /// Whether the file gives a real server with this key new connections when it works.
    pub(super) fn has_weight(&self, key: ServerKey) -> bool {
        self.with_key(key).any(|(_, server)| server.share.weight.get() > 0)
    }

    /// The real servers that work, and whose agents let them serve.
    pub(super) fn working(&self) -> impl Iterator<Item = &RealServer> {
        self.config
            .servers
            .iter()
            .enumerate()
            .filter(|(place, _)| self.serves(*place))
            .map(|(_, s)| s)
    }

    /// Whether a real server with this key has not been checked yet, and none with it works.
    pub(super) fn is_unknown(&self, key: ServerKey) -> bool {
        let is_unknown = |place| self.health.get(place) == Some(&Health::Unknown);
        !self.is_serving(key) && self.with_key(key).any(|(place, _)| is_unknown(place))
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
    /// Where several lines of the file are one server to the kernel, the last that serves counts.
    pub(super) fn wanted(&self, key: ServerKey, fresh: bool) -> Wanted {
        let granted = |(place, server): (usize, &RealServer)| {
            Some(Share { weight: self.granted_weight(place)?, ..server.share })
        };
        if let Some(share) = self.with_key(key).filter_map(granted).last() {
            return Wanted::Present(share);
        }
        if let Some(fallback) = self.config.fallback.filter(|fallback| fallback.key == key)
            && self.needs_fallback()
        {
            return Wanted::Present(fallback.share);
        }
        let Some((_, server)) = self.with_key(key).last() else { return Wanted::Absent };
        let quiesced = server.share.quiesced();
        if self.with_key(key).any(|(place, server)| self.drains(place, server)) {
            return Wanted::Present(quiesced);
        }
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

    /// The last server with this key that serves.
    fn serving(&self, key: ServerKey) -> Option<&RealServer> {
        self.with_key(key).filter(|(place, _)| self.serves(*place)).map(|(_, s)| s).last()
    }

    /// Whether the server at this place of the configuration works, as its checks see it.
    fn is_healthy(&self, place: usize) -> bool {
        self.health.get(place).is_some_and(|health| health.is_up())
    }

    /// Whether the server at this place of the configuration works, and its agent lets it serve.
    fn serves(&self, place: usize) -> bool {
        self.granted_weight(place).is_some()
    }

    /// The weight of the server at this place of the configuration, if it serves.
    fn granted_weight(&self, place: usize) -> Option<Weight> {
        let server = self.config.servers.get(place).filter(|_| self.is_healthy(place))?;
        match self.agents.get(place)?.grant(server.share.weight) {
            Grant::Serves(weight) => Some(weight),
            Grant::Drains | Grant::Out => None,
        }
    }

    /// Whether a server gets no new connections and keeps those that it has: because its agent says so, or because
    /// that may be why the kernel had it so when we began.
    fn drains(&self, place: usize, server: &RealServer) -> bool {
        let (Some(health), Some(agent)) = (self.health.get(place), self.agents.get(place)) else {
            return false;
        };
        let is_checked = matches!(server.checked, Checked::By(_));
        let may_drain = is_checked && *health == Health::Unknown && agent.found_idle();
        match agent.grant(server.share.weight) {
            Grant::Drains => health.is_up() || may_drain,
            Grant::Serves(_) => may_drain,
            Grant::Out => false,
        }
    }

    /// Counts a server anew that served or did not before.
    fn count(&mut self, place: usize, before: bool) {
        match (before, self.serves(place)) {
            (false, true) => self.serving = self.serving.saturating_add(1),
            (true, false) => self.serving = self.serving.saturating_sub(1),
            _ => {}
        }
    }

    fn count_serving(&self) -> usize {
        (0..self.config.servers.len()).filter(|place| self.serves(*place)).count()
    }

    /// The checks of the real servers with this key.
    pub(super) fn checks_of(&self, key: ServerKey) -> impl Iterator<Item = CheckId> {
        self.with_key(key).filter_map(|(_, server)| match server.checked {
            Checked::By(check) => Some(check),
            Checked::AlwaysUp | Checked::Never => None,
        })
    }

    /// The check and the agent of the server at this place of the configuration.
    pub(super) fn all_checks_of(&self, place: usize) -> impl Iterator<Item = CheckId> {
        let server = self.config.servers.get(place);
        server
            .into_iter()
            .flat_map(|server| match server.checked {
                Checked::By(check) => [Some(check), server.agent],
                Checked::AlwaysUp | Checked::Never => [None, server.agent],
            })
            .flatten()
    }

    /// The servers with this key and their places, in the order of the file.
    fn with_key(&self, key: ServerKey) -> impl Iterator<Item = (usize, &RealServer)> {
        let key_at = |place: usize| self.config.servers.get(place).map(|server| server.key);
        let first = self.by_key.partition_point(|&place| key_at(place) < Some(key));
        (self.by_key.iter().skip(first))
            .filter_map(|&place| Some((place, self.config.servers.get(place)?)))
            .take_while(move |(_, server)| server.key == key)
    }

    /// The count of servers that serve is right.
    pub(super) fn check_invariants(&self) {
        debug_assert_eq!(self.count_serving(), self.serving, "servers in {}", self.config.key);
        debug_assert_eq!(self.health.len(), self.config.servers.len());
        debug_assert_eq!(self.agents.len(), self.config.servers.len());
    }
}

/// The weight of a server that gets new connections.
fn weight_of(wanted: Wanted) -> Option<Weight> {
    match wanted {
        Wanted::Present(share) => Some(share.weight).filter(|weight| *weight > Weight::ZERO),
        Wanted::IfPresent(_) | Wanted::Absent => None,
    }
}

/// Whether the kernel has a server at work.
fn at_work(config: &VirtualService, server: &RealServer, observed: Option<&Entry>) -> bool {
    found(config, server, observed).is_some_and(|share| share.weight.get() > 0)
}

/// What the kernel has of a server. The entry of the fallback says nothing of a real server at its address.
fn found(config: &VirtualService, server: &RealServer, observed: Option<&Entry>) -> Option<Share> {
    let is_fallback = config.fallback.is_some_and(|fallback| fallback.key == server.key);
    observed.filter(|_| !is_fallback)?.servers.get(&server.key).copied()
}
