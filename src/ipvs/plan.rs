//! Plans: the changes between what the kernel's table is and what it should be, in the order that is safe.
//!
//! In go a [`Table`] and a [`Target`] or a list of [`Change`]s, out come [`Op`]s. Nothing here reads or
//! writes anything, and the same arguments give the same plan. A plan names only services that are owned
//! ([`Target::owned`]), and costs time in proportion to its arguments.
//!
//! # Order
//!
//! Services are added and changed first, then every server is raised that gets a larger share, then come the
//! servers that get none, then those that get less, then those that leave, last the services that leave.
//! So for every prefix of a plan: a service that had a serving server before and has one after never lacks one
//! in between, and its weights never add up to less than the smaller of before and after. The fallback is an
//! ordinary server of the target; it comes in before the last real server leaves.
//!
//! Differs from ldirectord: there the last real server leaves before the fallback comes in.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, Op, Piece, Table, Target, Wanted};
use crate::model::{ServerKey, ServiceKey, Share, Weight};

/// Everything that makes the observed table what the target says.
pub fn plan(observed: &Table, target: &Target) -> Vec<Op> {
    let mut steps = Steps::default();
    for (service, wish) in &target.services {
        if !target.owned.contains(service) {
            continue;
        }
        let Some(entry) = observed.services.get(service) else {
            steps.push(Phase::Services, Op::AddService(*service, wish.settings.clone()));
            for (server, wanted) in &wish.servers {
                steps.server(*service, *server, None, *wanted);
            }
            continue;
        };
        if entry.settings != wish.settings {
            steps.push(Phase::Services, Op::SetService(*service, wish.settings.clone()));
        }
        for (server, wanted) in &wish.servers {
            steps.server(*service, *server, entry.servers.get(server), *wanted);
        }
        for (server, share) in &entry.servers {
            if !wish.servers.contains_key(server) {
                steps.server(*service, *server, Some(share), Wanted::Absent);
            }
        }
    }
    for service in &target.owned {
        if !target.services.contains_key(service) && observed.services.contains_key(service) {
            steps.push(Phase::DeleteServices, Op::DelService(*service));
        }
    }
    steps.in_order()
}

/// What makes these servers as wanted, in time that depends on the changes alone.
///
/// Of two changes to one server the later counts. A change to a service that the table does not have gives
/// nothing: whoever calls has to find out first what became of the service.
pub fn plan_changes(mirror: &Table, changes: &[Change]) -> Vec<Op> {
    let last: BTreeMap<(ServiceKey, ServerKey), Wanted> =
        changes.iter().map(|change| ((change.service, change.server), change.wanted)).collect();
    let mut steps = Steps::default();
    for ((service, server), wanted) in last {
        if let Some(entry) = mirror.services.get(&service) {
            steps.server(service, server, entry.servers.get(&server), wanted);
        }
    }
    steps.in_order()
}

/// What puts back services and servers that are missing entirely, and what else differs from the target.
///
/// What differs stays as it is, because people drain servers with `ipvsadm`; only what `owed` names is changed
/// nevertheless: there it is we who failed to write it.
pub fn plan_missing(
    observed: &Table,
    target: &Target,
    owed: &BTreeSet<Piece>,
) -> (Vec<Op>, Vec<Piece>) {
    let (ops, differing): (Vec<Op>, Vec<Op>) = plan(observed, target).into_iter().partition(|op| {
        matches!(op, Op::AddService(..) | Op::AddServer(..)) || owed.contains(&op.piece())
    });
    (ops, differing.iter().map(Op::piece).collect())
}

/// How a table differs from a target, where nothing is done about it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Differences {
    /// What is there and should be otherwise, or not at all.
    pub changed: Vec<Piece>,
    /// What should be there and is not. Of a service that is missing, its servers are not named.
    pub missing: Vec<Piece>,
}

/// What writes only what is `owed`, because it is we who failed to write it, and how the table differs otherwise.
///
/// The missing servers of a service that is owed are owed with it: they are not tried before their service is there.
pub fn plan_owed(
    observed: &Table,
    target: &Target,
    owed: &BTreeSet<Piece>,
) -> (Vec<Op>, Differences) {
    let is_there = |service| observed.services.contains_key(&service);
    let (ops, differing): (Vec<Op>, Vec<Op>) = plan(observed, target).into_iter().partition(|op| {
        let itself = owed.contains(&op.piece());
        match op {
            Op::AddServer(service, ..) => {
                owed.contains(&(*service, None)) || (itself && is_there(*service))
            }
            _ => itself,
        }
    });
    let mut differences = Differences::default();
    for op in differing {
        match op {
            Op::AddService(service, _) => differences.missing.push((service, None)),
            Op::AddServer(service, ..) if !is_there(service) => {}
            Op::AddServer(..) => differences.missing.push(op.piece()),
            _ => differences.changed.push(op.piece()),
        }
    }
    (ops, differences)
}

/// When in a plan a change is made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Services are added and changed, so that servers can be added.
    Services,
    /// Servers get more.
    Raise,
    /// Servers come that get nothing.
    AddIdle,
    /// Servers get less, or the same in another way.
    Lower,
    /// Servers leave.
    DeleteServers,
    /// Services leave.
    DeleteServices,
}

/// A plan in the making.
#[derive(Default)]
struct Steps(Vec<(Phase, Op)>);

impl Steps {
    fn push(&mut self, phase: Phase, op: Op) {
        self.0.push((phase, op));
    }

    /// What makes one server as wanted.
    fn server(
        &mut self,
        service: ServiceKey,
        server: ServerKey,
        observed: Option<&Share>,
        wanted: Wanted,
    ) {
        match (observed, wanted) {
            (None, Wanted::Present(share)) => {
                let phase = if share.weight > Weight::ZERO { Phase::Raise } else { Phase::AddIdle };
                self.push(phase, Op::AddServer(service, server, share));
            }
            (Some(old), Wanted::Present(new) | Wanted::IfPresent(new)) if *old != new => {
                let phase = if new.weight > old.weight { Phase::Raise } else { Phase::Lower };
                self.push(phase, Op::SetServer(service, server, new));
            }
            (Some(_), Wanted::Absent) => {
                self.push(Phase::DeleteServers, Op::DelServer(service, server));
            }
            (Some(_), Wanted::Present(_) | Wanted::IfPresent(_))
            | (None, Wanted::IfPresent(_) | Wanted::Absent) => {}
        }
    }

    /// The plan; within one phase as it was made, which is the order of the keys.
    fn in_order(mut self) -> Vec<Op> {
        self.0.sort_by_key(|(phase, _)| *phase);
        self.0.into_iter().map(|(_, op)| op).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ipvs::{Entry, Wish},
        model::{Forwarding, Settings, Thresholds, Transport},
    };

    fn service(port: u16) -> ServiceKey {
        ServiceKey::Address { transport: Transport::Tcp, address: ([192, 0, 2, 1], port).into() }
    }

    fn server(last: u8) -> ServerKey {
        ServerKey(([198, 51, 100, last], 80).into())
    }

    fn share(weight: u32) -> Share {
        Share {
            forwarding: Forwarding::Masquerade,
            weight: Weight::new(weight).unwrap(),
            thresholds: Thresholds::default(),
        }
    }

    fn table(servers: &[(u8, u32)]) -> Table {
        let servers = servers.iter().map(|(last, weight)| (server(*last), share(*weight)));
        let entry = Entry { settings: Settings::default(), servers: servers.collect() };
        Table { services: [(service(80), entry)].into() }
    }

    fn target(servers: &[(u8, Wanted)]) -> Target {
        let servers = servers.iter().map(|(last, wanted)| (server(*last), *wanted)).collect();
        let wish = Wish { settings: Settings::default(), servers };
        Target {
            services: [(service(80), wish)].into(),
            owned: [service(80)].into(),
            ..Target::default()
        }
    }

    #[test]
    fn the_order_within_a_plan() {
        let observed = table(&[(1, 1), (2, 5), (3, 2), (9, 1)]);
        let target = target(&[
            (1, Wanted::Absent),
            (2, Wanted::Present(share(0))),
            (3, Wanted::Present(share(3))),
            (4, Wanted::Present(share(0))),
            (5, Wanted::Present(share(1))),
            (6, Wanted::IfPresent(share(0))),
        ]);
        assert_eq!(
            plan(&observed, &target),
            [
                Op::SetServer(service(80), server(3), share(3)),
                Op::AddServer(service(80), server(5), share(1)),
                Op::AddServer(service(80), server(4), share(0)),
                Op::SetServer(service(80), server(2), share(0)),
                Op::DelServer(service(80), server(1)),
                Op::DelServer(service(80), server(9)),
            ]
        );
    }

    #[test]
    fn a_service_that_is_not_owned_is_never_touched() {
        let mut target = target(&[(1, Wanted::Present(share(1)))]);
        target.owned = [service(443)].into();
        assert_eq!(plan(&table(&[(9, 1)]), &target), []);
        assert_eq!(plan(&Table::default(), &target), []);
    }

    #[test]
    fn an_owned_service_that_is_no_target_leaves() {
        let target = Target { owned: [service(80), service(81)].into(), ..Target::default() };
        assert_eq!(plan(&table(&[(1, 1)]), &target), [Op::DelService(service(80))]);
    }

    #[test]
    fn of_two_changes_to_one_server_the_later_counts() {
        let change = |wanted| Change { service: service(80), server: server(1), wanted };
        let observed = table(&[(1, 1)]);
        let there_and_back = [change(Wanted::Absent), change(Wanted::Present(share(1)))];
        assert_eq!(plan_changes(&observed, &there_and_back), []);
        let elsewhere = [Change { service: service(81), ..change(Wanted::Absent) }];
        assert_eq!(plan_changes(&observed, &elsewhere), []);
    }

    #[test]
    fn what_a_person_changed_stays_unless_it_is_owed() {
        let observed = table(&[(1, 0), (9, 1)]);
        let target = target(&[(1, Wanted::Present(share(1))), (2, Wanted::Present(share(1)))]);
        let weight = (service(80), Some(server(1)));
        let stranger = (service(80), Some(server(9)));
        let back = Op::AddServer(service(80), server(2), share(1));
        assert_eq!(
            plan_missing(&observed, &target, &BTreeSet::new()),
            (vec![back.clone()], vec![weight, stranger])
        );
        let raised = Op::SetServer(service(80), server(1), share(1));
        assert_eq!(
            plan_missing(&observed, &target, &[weight].into()),
            (vec![raised, back], vec![stranger])
        );
    }
}
