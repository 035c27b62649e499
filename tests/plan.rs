//! Properties of plans, over arbitrary tables and targets.
//!
//! What a plan does is computed here, by [`apply`], not by the code under test.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, also in their helpers")]

use std::collections::{BTreeMap, BTreeSet};

use ldirectord::{
    ipvs::{
        Change, Entry, Op, Piece, Table, Target, Wanted, Wish, plan, plan_changes, plan_missing,
        plan_owed,
    },
    model::{
        Family, Forwarding, Mask, Persistence, Scheduler, ServerKey, ServiceKey, Settings, Share,
        Thresholds, Transport, Tunnel, Weight,
    },
};
use proptest::{collection::btree_map, prelude::*, sample::select};

/// Few keys, so that tables and targets meet in them.
fn services() -> Vec<ServiceKey> {
    let address = |transport, address: &str| ServiceKey::Address {
        transport,
        address: address.parse().unwrap(),
    };
    vec![
        address(Transport::Tcp, "192.0.2.1:80"),
        address(Transport::Udp, "192.0.2.1:80"),
        address(Transport::Tcp, "[2001:db8::1]:80"),
        ServiceKey::Fwmark { family: Family::V4, mark: 7.try_into().unwrap() },
        ServiceKey::Fwmark { family: Family::V6, mark: 7.try_into().unwrap() },
    ]
}

fn servers() -> Vec<ServerKey> {
    ["198.51.100.1:80", "198.51.100.2:80", "198.51.100.1:81", "[2001:db8::8]:80", "127.0.0.1:80"]
        .map(|address| ServerKey(address.parse().unwrap()))
        .into()
}

prop_compose! {
    fn share()(
        weight in prop_oneof![Just(0), 1_u32..4],
        forwarding in select(vec![
            Forwarding::Route,
            Forwarding::Masquerade,
            Forwarding::Tunnel(Tunnel::Ipip),
        ]),
        upper in 0_u32..2,
    ) -> Share {
        let weight = Weight::new(weight).unwrap();
        Share { forwarding, weight, thresholds: Thresholds { upper, lower: 0 } }
    }
}

prop_compose! {
    fn settings()(scheduler in select(vec!["wrr", "rr"]), timeout_s in 0_u32..2) -> Settings {
        let persistence = (timeout_s > 0).then_some(Persistence {
            timeout_s,
            mask: Mask::whole(Family::V4),
            engine: None,
        });
        Settings { scheduler: Scheduler(scheduler.to_owned()), persistence, ..Settings::default() }
    }
}

fn wanted() -> impl Strategy<Value = Wanted> {
    prop_oneof![
        3 => share().prop_map(Wanted::Present),
        1 => share().prop_map(Wanted::IfPresent),
        1 => Just(Wanted::Absent),
    ]
}

fn table() -> impl Strategy<Value = Table> {
    let entry = (settings(), btree_map(select(servers()), share(), 0..5))
        .prop_map(|(settings, servers)| Entry { settings, servers });
    btree_map(select(services()), entry, 0..5).prop_map(|services| Table { services })
}

/// Most of what is a target is owned, and some that is none.
fn target() -> impl Strategy<Value = Target> {
    let wish = (settings(), btree_map(select(servers()), wanted(), 0..5))
        .prop_map(|(settings, servers)| Wish { settings, servers });
    let foreign = prop::collection::btree_set(select(services()), 0..2);
    (btree_map(select(services()), wish, 0..5), foreign).prop_map(|(services, foreign)| Target {
        services,
        owned: self::services().into_iter().filter(|service| !foreign.contains(service)).collect(),
        ..Target::default()
    })
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = (select(services()), select(servers()), wanted())
        .prop_map(|(service, server, wanted)| Change { service, server, wanted });
    prop::collection::vec(change, 0..12)
}

/// What a change makes of a table; panics where the kernel would refuse it.
fn apply(table: &mut Table, op: &Op) {
    let entry = table.services.get_mut(&op.service());
    let there = match (op, entry) {
        (Op::AddService(service, settings), None) => {
            let entry = Entry { settings: settings.clone(), servers: BTreeMap::new() };
            table.services.insert(*service, entry);
            true
        }
        (Op::SetService(_, settings), Some(entry)) => {
            entry.settings = settings.clone();
            true
        }
        (Op::DelService(service), Some(_)) => table.services.remove(service).is_some(),
        (Op::AddServer(_, server, share), Some(entry)) => {
            entry.servers.insert(*server, *share).is_none()
        }
        (Op::SetServer(_, server, share), Some(entry)) => {
            entry.servers.insert(*server, *share).is_some()
        }
        (Op::DelServer(_, server), Some(entry)) => entry.servers.remove(server).is_some(),
        _ => false,
    };
    assert!(there, "the kernel would refuse {op:?}");
}

fn applied(table: &Table, ops: &[Op]) -> Table {
    let mut table = table.clone();
    for op in ops {
        apply(&mut table, op);
    }
    table
}

/// What the table should be in the end: the rules of [`Wanted`], written down a second time.
fn goal(observed: &Table, target: &Target) -> Table {
    let mut goal = observed.clone();
    for service in &target.owned {
        let before = goal.services.remove(service);
        let Some(wish) = target.services.get(service) else { continue };
        let there = |server: &ServerKey| {
            before.as_ref().is_some_and(|entry| entry.servers.contains_key(server))
        };
        let mut servers = BTreeMap::new();
        for (server, wanted) in &wish.servers {
            match wanted {
                Wanted::Present(share) => servers.insert(*server, *share),
                Wanted::IfPresent(share) if there(server) => servers.insert(*server, *share),
                Wanted::IfPresent(_) | Wanted::Absent => None,
            };
        }
        goal.services.insert(*service, Entry { settings: wish.settings.clone(), servers });
    }
    goal
}

/// The weights of a service's servers, added up, as the kernel's schedulers see them.
fn weight(table: &Table, service: &ServiceKey) -> u64 {
    let servers = table.services.get(service).map(|entry| entry.servers.values());
    servers.into_iter().flatten().map(|share| u64::from(share.weight.get())).sum()
}

/// For every prefix: no service has less than the smaller of before and after.
fn check_prefixes(observed: &Table, ops: &[Op]) -> Result<(), TestCaseError> {
    let after = applied(observed, ops);
    let mut table = observed.clone();
    for op in ops {
        apply(&mut table, op);
        for service in services() {
            let least = weight(observed, &service).min(weight(&after, &service));
            prop_assert!(weight(&table, &service) >= least, "{service} after {op:?} of {ops:?}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_plan_makes_the_table_what_the_target_says(observed in table(), target in target()) {
        let ops = plan(&observed, &target);
        let table = applied(&observed, &ops);
        prop_assert_eq!(&table, &goal(&observed, &target));
        prop_assert_eq!(plan(&table, &target), vec![]);
    }

    #[test]
    fn a_plan_names_only_what_is_owned(observed in table(), target in target()) {
        for op in plan(&observed, &target) {
            prop_assert!(target.owned.contains(&op.service()), "{:?}", op);
        }
    }

    #[test]
    fn a_serving_service_serves_throughout(observed in table(), target in target()) {
        check_prefixes(&observed, &plan(&observed, &target))?;
    }

    #[test]
    fn a_plan_touches_each_piece_once(observed in table(), target in target()) {
        let ops = plan(&observed, &target);
        let pieces: BTreeSet<_> = ops.iter().map(Op::piece).collect();
        prop_assert_eq!(pieces.len(), ops.len());
        prop_assert_eq!(ops, plan(&observed, &target));
    }

    #[test]
    fn changes_are_made_in_services_that_are_there(observed in table(), changes in changes()) {
        let ops = plan_changes(&observed, &changes);
        let table = applied(&observed, &ops);
        let mut goal = observed.clone();
        for change in &changes {
            let Some(entry) = goal.services.get_mut(&change.service) else { continue };
            // What was there counts from the table: an earlier change to the same server does not.
            let there = observed.services[&change.service].servers.get(&change.server);
            match (change.wanted, there) {
                (Wanted::Present(share), _) | (Wanted::IfPresent(share), Some(_)) => {
                    entry.servers.insert(change.server, share);
                }
                (Wanted::IfPresent(_), None) | (Wanted::Absent, _) => {
                    entry.servers.remove(&change.server);
                }
            }
        }
        prop_assert_eq!(&table, &goal);
        prop_assert_eq!(plan_changes(&table, &changes), vec![]);
        check_prefixes(&observed, &ops)?;
    }

    #[test]
    fn drift_only_adds(observed in table(), target in target()) {
        let (ops, differing) = plan_missing(&observed, &target, &BTreeSet::new());
        let table = applied(&observed, &ops);
        for (service, entry) in &observed.services {
            prop_assert_eq!(&table.services[service].settings, &entry.settings);
            for (server, share) in &entry.servers {
                prop_assert_eq!(&table.services[service].servers[server], share);
            }
        }
        // What is left to do is exactly what was told.
        let left: BTreeSet<_> = plan(&table, &target).iter().map(Op::piece).collect();
        prop_assert_eq!(left, differing.into_iter().collect());
    }

    #[test]
    fn drift_pays_what_is_owed(observed in table(), target in target()) {
        let owed = plan(&observed, &target).iter().map(Op::piece).collect();
        let (ops, differing) = plan_missing(&observed, &target, &owed);
        prop_assert_eq!(ops, plan(&observed, &target));
        prop_assert_eq!(differing, vec![]);
    }

    /// Whoever only looks changes what is owed and tells all the rest.
    #[test]
    fn looking_changes_nothing_but_what_is_owed(
        observed in table(),
        target in target(),
        owed in any::<prop::sample::Selector>(),
        owe in any::<bool>(),
    ) {
        let whole = plan(&observed, &target);
        let owed: BTreeSet<Piece> =
            owed.try_select(&whole).filter(|_| owe).map(Op::piece).into_iter().collect();
        let (ops, differences) = plan_owed(&observed, &target, &owed);
        for op in &ops {
            let came = owed.contains(&(op.service(), None)) && matches!(op, Op::AddServer(..));
            prop_assert!(owed.contains(&op.piece()) || came, "{:?}", op);
        }
        let table = applied(&observed, &ops);
        let mut missing = BTreeSet::new();
        let mut changed = BTreeSet::new();
        for op in plan(&table, &target) {
            match op {
                Op::AddServer(service, ..) if !table.services.contains_key(&service) => {}
                Op::AddService(..) | Op::AddServer(..) => drop(missing.insert(op.piece())),
                _ => drop(changed.insert(op.piece())),
            }
        }
        prop_assert_eq!(differences.missing.into_iter().collect::<BTreeSet<_>>(), missing);
        prop_assert_eq!(differences.changed.into_iter().collect::<BTreeSet<_>>(), changed);
    }
}

/// The largest table we promise, 2,300 services with 16 servers each: all of it is planned, and a change to one
/// server of it is one change.
#[test]
fn the_largest_table_is_planned() {
    let service =
        |n: u32| ServiceKey::Fwmark { family: Family::V4, mark: (n + 1).try_into().unwrap() };
    let server = |n: u32| {
        let [a, b, c, d] = (0x0a00_0000 + n).to_be_bytes();
        ServerKey(([a, b, c, d], 80).into())
    };
    let share = Share {
        forwarding: Forwarding::Route,
        weight: Weight::ONE,
        thresholds: Thresholds::default(),
    };
    let wish = |n: u32| {
        let servers = (0..16).map(|m| (server(16 * n + m), Wanted::Present(share)));
        Wish { settings: Settings::default(), servers: servers.collect() }
    };
    let services: BTreeMap<_, _> = (0..2300).map(|n| (service(n), wish(n))).collect();
    let target =
        Target { owned: services.keys().copied().collect(), services, ..Target::default() };
    let ops = plan(&Table::default(), &target);
    assert_eq!(ops.len(), 2300 * 17);
    let table = applied(&Table::default(), &ops);
    assert_eq!(plan(&table, &target), []);
    let change = Change { service: service(5), server: server(80), wanted: Wanted::Absent };
    assert_eq!(plan_changes(&table, &[change]), [Op::DelServer(service(5), server(80))]);
}
