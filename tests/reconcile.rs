//! The reconciler over a table in memory, with people who interfere, changes that fail and answers that are lost.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, also in their helpers")]
#![expect(
    clippy::disallowed_types,
    reason = "a test interferes with a table that the reconciler owns"
)]

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use ldirectord::{
    ipvs::{
        Change, Entry, Job, Kernel, KernelError, KernelErrorKind, Op, Reconciler, Report, SyncOp,
        Table, Target, Wanted, Wish, memory::Memory, plan,
    },
    model::{
        Forwarding, Scheduler, ServerKey, ServiceKey, Settings, Share, SyncDaemon, SyncRole,
        Thresholds, Transport, Weight,
    },
};
use proptest::{collection::btree_map, prelude::*, sample::select};

// === a kernel with troubles ===

/// What befalls one change, or one reading of a service.
#[derive(Clone, Debug)]
enum Trouble {
    /// Nothing.
    None,
    /// It fails.
    Fails,
    /// It is made, and the answer is lost. A reading fails.
    MadeAndLost,
    /// It is not made, and the answer is lost. A reading fails.
    Lost,
    /// Just before, a person does this.
    After(Op),
}

/// A table that a test and a reconciler share.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    memory: Memory,
    troubles: VecDeque<Trouble>,
    /// How often the whole table was read.
    tables: usize,
    /// How often one service was read.
    services: usize,
    /// Every change that was asked for.
    asked: Vec<Op>,
    /// Services that must not be without a serving server, not for one moment.
    serve: BTreeSet<ServiceKey>,
    /// The changes that left one of them without.
    left_without: Vec<Op>,
}

fn error(kind: KernelErrorKind) -> KernelError {
    KernelError::new(kind, "a test said so".to_owned())
}

fn serves(table: &Table, service: &ServiceKey) -> bool {
    let servers = table.services.get(service).map(|entry| entry.servers.values());
    servers.into_iter().flatten().any(|share| share.weight > Weight::ZERO)
}

impl State {
    fn trouble(&mut self) -> Trouble {
        let trouble = self.troubles.pop_front().unwrap_or(Trouble::None);
        if let Trouble::After(op) = &trouble {
            // A person may be refused as well; that changes nothing.
            drop(self.memory.apply(std::slice::from_ref(op)));
        }
        trouble
    }

    fn reading(&mut self) -> Result<(), KernelError> {
        match self.trouble() {
            Trouble::None | Trouble::After(_) => Ok(()),
            Trouble::Fails => Err(error(KernelErrorKind::Other)),
            Trouble::Lost | Trouble::MadeAndLost => Err(error(KernelErrorKind::Lost)),
        }
    }
}

impl Kernel for Shared {
    fn table(&mut self) -> Result<Table, KernelError> {
        let mut state = self.lock();
        state.tables += 1;
        state.reading()?;
        state.memory.table()
    }

    fn service(&mut self, key: &ServiceKey) -> Result<Option<Entry>, KernelError> {
        let mut state = self.lock();
        state.services += 1;
        state.reading()?;
        state.memory.service(key)
    }

    fn apply(&mut self, ops: &[Op]) -> Vec<Result<(), KernelError>> {
        let mut state = self.lock();
        let one = |op: &Op| {
            state.asked.push(op.clone());
            let trouble = state.trouble();
            match trouble {
                Trouble::Fails => return Err(error(KernelErrorKind::Other)),
                Trouble::Lost => return Err(error(KernelErrorKind::Lost)),
                Trouble::None | Trouble::MadeAndLost | Trouble::After(_) => {}
            }
            let result = state.memory.apply(std::slice::from_ref(op)).remove(0);
            if state.serve.contains(&op.service()) && !serves(&state.memory.table, &op.service()) {
                state.left_without.push(op.clone());
            }
            match trouble {
                Trouble::MadeAndLost => Err(error(KernelErrorKind::Lost)),
                _ => result,
            }
        };
        ops.iter().map(one).collect()
    }

    fn sync_daemons(&mut self) -> Result<BTreeMap<SyncRole, SyncDaemon>, KernelError> {
        self.lock().memory.sync_daemons()
    }

    fn apply_sync(&mut self, op: &SyncOp) -> Result<(), KernelError> {
        self.lock().memory.apply_sync(op)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn reconciler(&self) -> Reconciler {
        Reconciler::new(Box::new(self.clone()))
    }

    fn table(&self) -> Table {
        self.lock().memory.table.clone()
    }

    /// A person does this.
    fn person(&self, op: &Op) {
        self.lock().memory.apply(std::slice::from_ref(op)).remove(0).unwrap();
    }

    fn will(&self, troubles: impl IntoIterator<Item = Trouble>) {
        self.lock().troubles = troubles.into_iter().collect();
    }

    /// How often the table and how often a service was read since this was last asked.
    fn readings(&self) -> (usize, usize) {
        let mut state = self.lock();
        (std::mem::take(&mut state.tables), std::mem::take(&mut state.services))
    }
}

// === things to say ===

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

fn present(weight: u32) -> Wanted {
    Wanted::Present(share(weight))
}

fn settings(scheduler: &str) -> Settings {
    Settings { scheduler: Scheduler(scheduler.to_owned()), ..Settings::default() }
}

fn target(services: &[(u16, &[(u8, Wanted)])]) -> Target {
    let services: BTreeMap<_, _> = services
        .iter()
        .map(|(port, servers)| {
            let servers = servers.iter().map(|(last, wanted)| (server(*last), *wanted)).collect();
            (service(*port), Wish { settings: settings("wrr"), servers })
        })
        .collect();
    Target { owned: services.keys().copied().collect(), services, ..Target::default() }
}

fn change(port: u16, last: u8, wanted: Wanted) -> Change {
    Change { service: service(port), server: server(last), wanted }
}

fn done(report: &Report) -> Vec<(Op, Result<(), KernelErrorKind>)> {
    assert_eq!(report.unread, None);
    let kind = |result: &Result<(), KernelError>| result.clone().map_err(|error| error.kind);
    report.done.iter().map(|(op, result)| (op.clone(), kind(result))).collect()
}

fn ok(ops: &[Op]) -> Vec<(Op, Result<(), KernelErrorKind>)> {
    ops.iter().map(|op| (op.clone(), Ok(()))).collect()
}

/// A reconciler whose table holds this target and nothing else, and which knows it.
fn settled(target: &Target) -> (Shared, Reconciler) {
    let kernel = Shared::default();
    let mut reconciler = kernel.reconciler();
    let report = reconciler.run(&Job::Everything(target.clone()));
    assert!(report.done.iter().all(|(_, result)| result.is_ok()), "{report:?}");
    kernel.readings();
    kernel.lock().asked.clear();
    (kernel, reconciler)
}

// === one thing at a time ===

#[test]
fn everything_is_written_and_what_was_there_is_told() {
    let kernel = Shared::default();
    kernel.person(&Op::AddService(service(81), settings("wrr")));
    kernel.person(&Op::AddService(service(90), settings("rr")));
    let target = target(&[(80, &[(1, present(1))]), (81, &[])]);
    let mut reconciler = kernel.reconciler();
    let report = reconciler.run(&Job::Everything(target.clone()));
    assert_eq!(report.found, [service(81)]);
    let written = [
        Op::AddService(service(80), settings("wrr")),
        Op::AddServer(service(80), server(1), share(1)),
    ];
    assert_eq!(done(&report), ok(&written));
    let report = reconciler.run(&Job::Everything(target));
    assert_eq!(report.found, [service(80), service(81)]);
    assert_eq!(done(&report), []);
    assert_eq!(kernel.table().services.len(), 3);
}

#[test]
fn a_transition_reads_nothing() {
    let (kernel, mut reconciler) = settled(&target(&[(80, &[(1, present(1))]), (81, &[])]));
    let changes =
        vec![change(80, 1, Wanted::Absent), change(80, 9, present(1)), change(81, 1, present(0))];
    let report = reconciler.run(&Job::Changes(changes));
    let written = [
        Op::AddServer(service(80), server(9), share(1)),
        Op::AddServer(service(81), server(1), share(0)),
        Op::DelServer(service(80), server(1)),
    ];
    assert_eq!(done(&report), ok(&written));
    assert_eq!(kernel.readings(), (0, 0));
    // What the transition wrote is what the next one starts from.
    let report = reconciler.run(&Job::Changes(vec![change(81, 1, present(2))]));
    assert_eq!(done(&report), ok(&[Op::SetServer(service(81), server(1), share(2))]));
    assert_eq!(kernel.readings(), (0, 0));
}

#[test]
fn an_addition_that_somebody_made_otherwise_is_a_change() {
    let (kernel, mut reconciler) = settled(&target(&[(80, &[(1, Wanted::Absent)])]));
    kernel.person(&Op::AddServer(service(80), server(1), share(7)));
    let report = reconciler.run(&Job::Changes(vec![change(80, 1, present(1))]));
    assert_eq!(done(&report), ok(&[Op::SetServer(service(80), server(1), share(1))]));
    assert_eq!(kernel.readings(), (0, 1));
}

#[test]
fn what_somebody_did_already_is_not_told() {
    let (kernel, mut reconciler) = settled(&target(&[(80, &[(1, present(1))])]));
    kernel.person(&Op::DelServer(service(80), server(1)));
    let report = reconciler.run(&Job::Changes(vec![change(80, 1, Wanted::Absent)]));
    assert_eq!(done(&report), []);
    // A quiesced server that a person deleted stays away.
    let (kernel, mut reconciler) = settled(&target(&[(80, &[(1, present(1))])]));
    kernel.person(&Op::DelServer(service(80), server(1)));
    let report = reconciler.run(&Job::Changes(vec![change(80, 1, Wanted::IfPresent(share(0)))]));
    assert_eq!(done(&report), []);
    assert_eq!(kernel.table().services[&service(80)].servers, BTreeMap::new());
}

#[test]
fn a_vanished_service_is_put_back_entirely() {
    let (kernel, mut reconciler) =
        settled(&target(&[(80, &[(1, present(1)), (2, present(3))]), (81, &[(1, present(1))])]));
    kernel.person(&Op::DelService(service(80)));
    let report = reconciler.run(&Job::Changes(vec![change(80, 1, present(0))]));
    let written = [
        Op::AddService(service(80), settings("wrr")),
        Op::AddServer(service(80), server(2), share(3)),
        Op::AddServer(service(80), server(1), share(0)),
    ];
    assert_eq!(done(&report), ok(&written));
    assert_eq!(kernel.readings(), (0, 1));
}

#[test]
fn a_service_that_is_not_a_target_is_left_alone() {
    let (kernel, mut reconciler) = settled(&target(&[(80, &[])]));
    kernel.person(&Op::AddService(service(443), settings("rr")));
    let changes = vec![change(443, 1, present(1)), change(80, 1, present(1))];
    let report = reconciler.run(&Job::Changes(changes));
    assert_eq!(done(&report), ok(&[Op::AddServer(service(80), server(1), share(1))]));
    let report = reconciler.run(&Job::Drift(target(&[(80, &[(1, present(1))])])));
    assert_eq!((done(&report), report.drifted), (vec![], vec![]));
}

#[test]
fn servers_of_a_service_that_cannot_be_added_are_not_tried() {
    let kernel = Shared::default();
    let mut target = target(&[(80, &[(1, present(1))]), (81, &[(1, present(1))])]);
    target.services.get_mut(&service(80)).unwrap().settings = settings("nope");
    let mut reconciler = kernel.reconciler();
    let report = reconciler.run(&Job::Everything(target.clone()));
    let failed = Op::AddService(service(80), settings("nope"));
    let expected = [
        (failed.clone(), Err(KernelErrorKind::Unsupported)),
        (Op::AddService(service(81), settings("wrr")), Ok(())),
        (Op::AddServer(service(81), server(1), share(1)), Ok(())),
    ];
    assert_eq!(done(&report), expected);
    assert_eq!(kernel.lock().asked.len(), 3);

    // Once the module is there, the next transition or the next look for drift brings all of it.
    kernel.lock().memory.schedulers.insert("nope".to_owned());
    let whole = [failed, Op::AddServer(service(80), server(1), share(1))];
    let report = reconciler.run(&Job::Drift(target));
    assert_eq!(done(&report), ok(&whole));
}

#[test]
fn a_lost_answer_counts_as_made_when_it_was_made() {
    let (kernel, mut reconciler) = settled(&target(&[(80, &[])]));
    kernel.will([Trouble::MadeAndLost, Trouble::Lost]);
    let report =
        reconciler.run(&Job::Changes(vec![change(80, 1, present(1)), change(80, 2, present(1))]));
    let written = [
        Op::AddServer(service(80), server(1), share(1)),
        Op::AddServer(service(80), server(2), share(1)),
    ];
    assert_eq!(done(&report), ok(&written));
    assert_eq!(kernel.lock().asked.len(), 3);
}

#[test]
fn what_changes_twice_under_our_hands_is_told_and_known() {
    let (kernel, mut reconciler) = settled(&target(&[(80, &[])]));
    kernel.will([
        Trouble::After(Op::AddServer(service(80), server(1), share(7))),
        Trouble::None,
        Trouble::After(Op::DelServer(service(80), server(1))),
    ]);
    let report = reconciler.run(&Job::Changes(vec![change(80, 1, present(1))]));
    let set = Op::SetServer(service(80), server(1), share(1));
    assert_eq!(done(&report), [(set, Err(KernelErrorKind::NotThere))]);
    assert_eq!(kernel.readings(), (0, 2));
    let report = reconciler.run(&Job::Changes(vec![change(80, 1, present(7))]));
    assert_eq!(done(&report), ok(&[Op::AddServer(service(80), server(1), share(7))]));
    assert_eq!(kernel.readings(), (0, 0));
}

#[test]
fn what_failed_is_not_taken_for_the_work_of_a_person() {
    let target = target(&[(80, &[(1, present(1)), (2, present(1))])]);
    let (kernel, mut reconciler) = settled(&target);
    kernel.will([Trouble::Fails]);
    let report = reconciler.run(&Job::Changes(vec![change(80, 1, present(0))]));
    let quiesce = Op::SetServer(service(80), server(1), share(0));
    assert_eq!(done(&report), [(quiesce.clone(), Err(KernelErrorKind::Other))]);

    let mut now = target.clone();
    now.services.get_mut(&service(80)).unwrap().servers.insert(server(1), present(0));
    kernel.person(&Op::SetServer(service(80), server(2), share(5)));
    let report = reconciler.run(&Job::Drift(now.clone()));
    assert_eq!(done(&report), ok(&[quiesce]));
    assert_eq!(report.drifted, [(service(80), Some(server(2)))]);
    let report = reconciler.run(&Job::Drift(now));
    assert_eq!(done(&report), []);
}

#[test]
fn who_only_looks_tells_what_is_missing_and_leaves_it_to_the_next_transition() {
    let target = target(&[
        (80, &[(1, present(1)), (2, present(1)), (3, present(1))]),
        (81, &[(1, present(1)), (2, present(1))]),
    ]);
    let (kernel, mut reconciler) = settled(&target);
    kernel.person(&Op::DelServer(service(80), server(1)));
    kernel.person(&Op::SetServer(service(80), server(2), share(0)));
    kernel.person(&Op::DelService(service(81)));
    for _ in 0..2 {
        let report = reconciler.run(&Job::Look(target.clone()));
        assert_eq!(done(&report), []);
        assert_eq!(report.drifted, [(service(80), Some(server(2)))]);
        assert_eq!(report.missing, [(service(81), None), (service(80), Some(server(1)))]);
    }
    let report = reconciler.run(&Job::Changes(vec![change(80, 3, present(2))]));
    assert_eq!(done(&report), ok(&[Op::SetServer(service(80), server(3), share(2))]));
    let report = reconciler.run(&Job::Changes(vec![change(80, 1, present(1))]));
    assert_eq!(done(&report), ok(&[Op::AddServer(service(80), server(1), share(1))]));
    let report = reconciler.run(&Job::Changes(vec![change(81, 1, present(1))]));
    assert_eq!(done(&report).len(), 3, "the whole service");
}

#[test]
fn the_last_server_that_serves_stays_when_none_can_take_over() {
    let (kernel, mut reconciler) = settled(&target(&[(80, &[(1, present(1)), (2, present(0))])]));
    // The other one cannot be added: the first stays, and what has nothing to do with serving is done.
    kernel.will([Trouble::None, Trouble::Fails]);
    let next = target(&[(80, &[(3, present(1))])]);
    let report = reconciler.run(&Job::Everything(next.clone()));
    let add = Op::AddServer(service(80), server(3), share(1));
    let expected = [
        (add.clone(), Err(KernelErrorKind::Other)),
        (Op::DelServer(service(80), server(2)), Ok(())),
    ];
    assert_eq!(done(&report), expected);
    // It goes as soon as somebody else can serve, and is not taken for a stranger until then.
    let report = reconciler.run(&Job::Drift(next));
    assert_eq!(done(&report), ok(&[add, Op::DelServer(service(80), server(1))]));
    assert_eq!(report.drifted, []);
}

#[test]
fn what_was_kept_for_a_moment_is_not_owed_when_it_has_gone_with_its_service() {
    let (kernel, mut reconciler) = settled(&target(&[(80, &[(1, present(1))])]));
    kernel.person(&Op::DelService(service(80)));
    let changes = vec![change(80, 1, Wanted::Absent), change(80, 2, present(1))];
    let report = reconciler.run(&Job::Changes(changes));
    let written = [
        Op::AddService(service(80), settings("wrr")),
        Op::AddServer(service(80), server(2), share(1)),
    ];
    assert_eq!(done(&report), ok(&written));
    kernel.person(&Op::AddServer(service(80), server(1), share(1)));
    let now = target(&[(80, &[(1, Wanted::Absent), (2, present(1))])]);
    let report = reconciler.run(&Job::Look(now));
    assert_eq!(done(&report), []);
    assert_eq!(report.drifted, [(service(80), Some(server(1)))]);
}

#[test]
fn it_stays_also_when_the_rest_is_planned_once_more() {
    let (kernel, mut reconciler) = settled(&target(&[(80, &[(1, present(1))])]));
    let mut next = target(&[(80, &[(2, present(1))])]);
    next.services.get_mut(&service(80)).unwrap().settings = settings("rr");
    // The table is read, the service changed with the answer lost, and the other server refused.
    kernel.will([Trouble::None, Trouble::MadeAndLost, Trouble::Fails]);
    let report = reconciler.run(&Job::Everything(next));
    let expected = [
        (Op::SetService(service(80), settings("rr")), Ok(())),
        (Op::AddServer(service(80), server(2), share(1)), Err(KernelErrorKind::Other)),
    ];
    assert_eq!(done(&report), expected);
    assert!(serves(&kernel.table(), &service(80)));
}

#[test]
fn a_server_that_is_never_accepted_keeps_no_other_from_being_taken_out() {
    let both = [(1, present(1)), (2, present(1))];
    let (kernel, mut reconciler) = settled(&target(&[(80, &both)]));
    kernel.will([Trouble::None, Trouble::Fails]);
    let next = target(&[(80, &[(1, present(0)), (2, present(1)), (3, present(1))])]);
    let report = reconciler.run(&Job::Everything(next));
    let expected = [
        (Op::AddServer(service(80), server(3), share(1)), Err(KernelErrorKind::Other)),
        (Op::SetServer(service(80), server(1), share(0)), Ok(())),
    ];
    assert_eq!(done(&report), expected);
    // Nor does a scheduler that there is none of.
    let mut next = target(&[(80, &[(1, present(0))])]);
    next.services.get_mut(&service(80)).unwrap().settings = settings("nope");
    let report = reconciler.run(&Job::Everything(next));
    let expected = [
        (Op::SetService(service(80), settings("nope")), Err(KernelErrorKind::Unsupported)),
        (Op::DelServer(service(80), server(2)), Ok(())),
    ];
    assert_eq!(done(&report), expected);
}

#[test]
fn services_are_made_without_the_others() {
    let all = target(&[(80, &[(1, present(1))]), (81, &[(1, present(1))]), (82, &[])]);
    let (kernel, mut reconciler) = settled(&all);
    kernel.person(&Op::SetServer(service(80), server(1), share(0)));
    kernel.person(&Op::SetServer(service(81), server(1), share(0)));
    let some = Target {
        services: target(&[(80, &[(1, present(1)), (2, present(1))])]).services,
        owned: [service(80), service(82)].into(),
        ..Target::default()
    };
    let report = reconciler.run(&Job::Services(some));
    let written = [
        Op::SetServer(service(80), server(1), share(1)),
        Op::AddServer(service(80), server(2), share(1)),
        Op::DelService(service(82)),
    ];
    assert_eq!(done(&report), ok(&written));
    assert_eq!(report.found, []);
    assert_eq!(kernel.readings(), (0, 2));
    // They are part of the last target from now on.
    kernel.person(&Op::DelService(service(80)));
    let report = reconciler.run(&Job::Changes(vec![change(80, 1, present(3))]));
    assert_eq!(report.done.len(), 3);
    kernel.will([Trouble::Fails]);
    let report = reconciler.run(&Job::Services(all));
    assert_eq!(report.unread.map(|error| error.kind), Some(KernelErrorKind::Other));
}

#[test]
fn a_table_that_cannot_be_read_is_written_when_it_can() {
    let kernel = Shared::default();
    let mut reconciler = kernel.reconciler();
    kernel.will([Trouble::Fails, Trouble::Lost]);
    let target = target(&[(80, &[(1, present(1))])]);
    let report = reconciler.run(&Job::Everything(target));
    assert_eq!(report.unread.map(|error| error.kind), Some(KernelErrorKind::Other));
    let changes = Job::Changes(vec![change(80, 2, present(1))]);
    let report = reconciler.run(&changes);
    assert_eq!(report.unread.map(|error| error.kind), Some(KernelErrorKind::Lost));
    let report = reconciler.run(&changes);
    let written = [
        Op::AddService(service(80), settings("wrr")),
        Op::AddServer(service(80), server(1), share(1)),
        Op::AddServer(service(80), server(2), share(1)),
    ];
    assert_eq!(done(&report), ok(&written));
}

#[test]
fn deleting_what_is_gone_is_deleting() {
    let (kernel, mut reconciler) = settled(&target(&[(80, &[(1, present(1))]), (81, &[])]));
    kernel.person(&Op::DelService(service(81)));
    kernel.will([Trouble::MadeAndLost]);
    let report =
        reconciler.run(&Job::Delete { services: vec![service(80), service(81)], sync: vec![] });
    assert_eq!(done(&report), ok(&[Op::DelService(service(80))]), "81 was gone before");
    assert_eq!(kernel.table(), Table::default());
    // Nothing brings it back.
    let report = reconciler.run(&Job::Changes(vec![change(80, 1, present(1))]));
    assert_eq!(done(&report), []);
}

#[test]
fn the_table_is_read_for_whoever_asks() {
    let kernel = Shared::default();
    kernel.person(&Op::AddService(service(80), settings("rr")));
    let mut reconciler = kernel.reconciler();
    assert_eq!(reconciler.table().unwrap(), kernel.table());
    kernel.will([Trouble::Fails]);
    assert_eq!(reconciler.table().unwrap_err().kind, KernelErrorKind::Other);
}

// === everything at once ===

/// Nobody here owns this one; nobody but a person may touch it.
const FOREIGN: u16 = 443;

fn wanted() -> impl Strategy<Value = Wanted> {
    prop_oneof![
        4 => (0_u32..3).prop_map(present),
        1 => (0_u32..2).prop_map(|weight| Wanted::IfPresent(share(weight))),
        2 => Just(Wanted::Absent),
    ]
}

fn some_settings() -> impl Strategy<Value = Settings> {
    // The last is a scheduler that the kernel does not have.
    prop_oneof![4 => Just("wrr"), 2 => Just("rr"), 1 => Just("nope")].prop_map(settings)
}

fn some_target() -> impl Strategy<Value = Target> {
    let wish = (some_settings(), btree_map((1_u8..4).prop_map(server), wanted(), 0..4))
        .prop_map(|(settings, servers)| Wish { settings, servers });
    btree_map((80_u16..83).prop_map(service), wish, 0..4).prop_map(|services| Target {
        services,
        owned: (80..83).map(service).collect(),
        ..Target::default()
    })
}

fn some_changes() -> impl Strategy<Value = Vec<Change>> {
    let change =
        (80_u16..83, 1_u8..4, wanted()).prop_map(|(port, last, wanted)| change(port, last, wanted));
    prop::collection::vec(change, 1..6)
}

/// Something a person does to our services.
fn meddling() -> impl Strategy<Value = Op> {
    let service = (80_u16..83).prop_map(service);
    let server = (1_u8..5).prop_map(server);
    let share = (0_u32..3).prop_map(share);
    (0..6, service, server, share, select(vec!["rr", "wlc"])).prop_map(
        |(what, service, server, share, scheduler)| match what {
            0 => Op::AddService(service, settings(scheduler)),
            1 => Op::SetService(service, settings(scheduler)),
            2 => Op::DelService(service),
            3 => Op::AddServer(service, server, share),
            4 => Op::SetServer(service, server, share),
            _ => Op::DelServer(service, server),
        },
    )
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        4 => Just(Trouble::None),
        1 => Just(Trouble::Fails),
        1 => Just(Trouble::MadeAndLost),
        1 => Just(Trouble::Lost),
        3 => meddling().prop_map(Trouble::After),
    ]
}

#[derive(Clone, Debug)]
enum Round {
    Everything(Target),
    Changes(Vec<Change>),
    Services(Vec<ServiceKey>),
    Drift,
    Table,
}

fn rounds() -> impl Strategy<Value = Vec<(Round, Vec<Trouble>)>> {
    let round = prop_oneof![
        1 => some_target().prop_map(Round::Everything),
        4 => some_changes().prop_map(Round::Changes),
        1 => prop::collection::vec((80_u16..83).prop_map(service), 1..3).prop_map(Round::Services),
        1 => Just(Round::Drift),
        1 => Just(Round::Table),
    ];
    prop::collection::vec((round, prop::collection::vec(trouble(), 0..12)), 1..12)
}

/// What the director would now send as a whole.
fn with_changes(mut target: Target, changes: &[Change]) -> Target {
    for change in changes {
        if let Some(wish) = target.services.get_mut(&change.service) {
            wish.servers.insert(change.server, change.wanted);
        }
    }
    target
}

/// Runs the rounds with their troubles, from this first target on; gives the target in the end.
fn run(
    kernel: &Shared,
    reconciler: &mut Reconciler,
    first: Target,
    rounds: Vec<(Round, Vec<Trouble>)>,
) -> Target {
    let mut target = first;
    reconciler.run(&Job::Everything(target.clone()));
    for (round, troubles) in rounds {
        kernel.will(troubles);
        match round {
            Round::Everything(next) => {
                target = next;
                reconciler.run(&Job::Everything(target.clone()));
            }
            Round::Changes(changes) => {
                target = with_changes(target, &changes);
                reconciler.run(&Job::Changes(changes));
            }
            Round::Services(keys) => {
                let services = keys.iter();
                let services =
                    services.filter_map(|key| Some((*key, target.services.get(key)?.clone())));
                let part = Target {
                    services: services.collect(),
                    owned: keys.iter().copied().collect(),
                    ..Target::default()
                };
                reconciler.run(&Job::Services(part));
            }
            Round::Drift => {
                reconciler.run(&Job::Drift(target.clone()));
            }
            Round::Table => drop(reconciler.table()),
        }
    }
    kernel.will([]);
    target
}

/// A target that the kernel can hold.
fn possible(mut target: Target) -> Target {
    for wish in target.services.values_mut() {
        if wish.settings == settings("nope") {
            wish.settings = settings("wrr");
        }
    }
    target
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever happened: once nobody interferes, one round makes the table what it should be, and the next finds
    /// nothing to do. Other people's services stay as they are throughout.
    #[test]
    fn everything_converges_when_the_troubles_end(first in some_target(), rounds in rounds()) {
        let kernel = Shared::default();
        kernel.person(&Op::AddService(service(FOREIGN), settings("sh")));
        kernel.person(&Op::AddServer(service(FOREIGN), server(1), share(1)));
        let foreign = kernel.table();
        let mut reconciler = kernel.reconciler();
        let target = possible(run(&kernel, &mut reconciler, first, rounds));
        for op in &kernel.lock().asked {
            prop_assert!(target.owned.contains(&op.service()), "{op:?}");
        }
        prop_assert_eq!(&kernel.table().services[&service(FOREIGN)], &foreign.services[&service(FOREIGN)]);
        let report = reconciler.run(&Job::Everything(target.clone()));
        prop_assert!(report.done.iter().all(|(_, result)| result.is_ok()), "{report:?}");
        prop_assert_eq!(plan(&kernel.table(), &target), vec![]);
        prop_assert_eq!(reconciler.run(&Job::Everything(target)).done, vec![]);
    }

    /// The mirror is right after all troubles: a look at the table lets every later transition do exactly what
    /// it should, without reading.
    #[test]
    fn transitions_do_what_a_whole_plan_would(
        first in some_target(),
        rounds in rounds(),
        changes in some_changes(),
    ) {
        let kernel = Shared::default();
        let mut reconciler = kernel.reconciler();
        let target = possible(run(&kernel, &mut reconciler, first, rounds));
        reconciler.run(&Job::Everything(target.clone()));
        kernel.readings();
        let before = kernel.table();
        let report = reconciler.run(&Job::Changes(changes.clone()));
        let target = with_changes(target, &changes);
        prop_assert_eq!(kernel.readings(), (0, 0));
        prop_assert_eq!(done(&report), ok(&plan(&before, &target)));
        prop_assert_eq!(plan(&kernel.table(), &target), vec![]);
    }

    /// Failures and lost answers alone, without people, leave nothing that the next look for drift does not mend,
    /// even one that leaves the work of people as it is.
    #[test]
    fn drift_mends_what_failed(
        first in some_target(),
        rounds in rounds(),
        repair in any::<bool>(),
    ) {
        let kernel = Shared::default();
        let mut reconciler = kernel.reconciler();
        let alone = |trouble: &Trouble| !matches!(trouble, Trouble::After(_));
        let rounds = rounds.into_iter().map(|(round, mut troubles)| {
            troubles.retain(alone);
            let round = match round {
                Round::Everything(target) => Round::Everything(possible(target)),
                round => round,
            };
            (round, troubles)
        });
        let target = run(&kernel, &mut reconciler, possible(first), rounds.collect());
        let whole = target.clone();
        let report = reconciler.run(&if repair { Job::Drift(whole) } else { Job::Look(whole) });
        prop_assert_eq!((report.drifted, report.missing), (vec![], vec![]));
        prop_assert_eq!(plan(&kernel.table(), &target), vec![]);
    }

    /// Whatever fails: a service that serves and that should serve in the end does so all the time.
    #[test]
    fn what_serves_serves_throughout(
        first in some_target(),
        next in some_target(),
        changes in some_changes(),
        whole in any::<bool>(),
        troubles in prop::collection::vec(trouble(), 0..12),
    ) {
        let first = possible(first);
        let (kernel, mut reconciler) = settled(&first);
        let target = if whole { next } else { with_changes(first, &changes) };
        let before = kernel.table();
        let goal = |key: &ServiceKey| {
            let servers = target.services.get(key)?.servers.values();
            let mut shares = servers.filter_map(|wanted| match wanted {
                Wanted::Present(share) => Some(share.weight),
                _ => None,
            });
            shares.any(|weight| weight > Weight::ZERO).then_some(*key)
        };
        let serving = before.services.keys().filter(|key| serves(&before, key));
        kernel.lock().serve = serving.filter_map(goal).collect();
        // The table itself is read first, if everything is to be done.
        let reading = whole.then_some(Trouble::None);
        let troubles = troubles.into_iter().filter(|it| !matches!(it, Trouble::After(_)));
        kernel.will(reading.into_iter().chain(troubles));
        reconciler.run(&if whole { Job::Everything(target.clone()) } else { Job::Changes(changes) });
        kernel.will([]);
        reconciler.run(&Job::Drift(target));
        prop_assert_eq!(&kernel.lock().left_without, &vec![]);
    }

    /// A report tells no piece twice as failed, and what it tells as made is in the table unless a person came.
    #[test]
    fn a_report_is_true(first in some_target(), changes in some_changes(), troubles in prop::collection::vec(trouble(), 0..12)) {
        let (kernel, mut reconciler) = settled(&possible(first));
        let alone = !troubles.iter().any(|trouble| matches!(trouble, Trouble::After(_)));
        kernel.will(troubles);
        let report = reconciler.run(&Job::Changes(changes));
        let mut pieces = BTreeSet::new();
        for (op, result) in &report.done {
            if alone {
                prop_assert!(pieces.insert(op.piece()), "twice {op:?} in {report:?}");
            }
            if result.is_ok() && alone {
                let table = kernel.table();
                let entry = &table.services[&op.service()];
                match op {
                    Op::AddServer(_, server, share) | Op::SetServer(_, server, share) => {
                        prop_assert_eq!(entry.servers.get(server), Some(share));
                    }
                    Op::DelServer(_, server) => {
                        prop_assert_eq!(entry.servers.get(server), None);
                    }
                    _ => prop_assert!(false, "{op:?}"),
                }
            }
        }
    }
}
