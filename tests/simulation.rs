//! The director under random schedules: verdicts late, early and stale, reloads, faults of the kernel, people
//! with `ipvsadm`. A shadow model, written from the rules and not from the code, says what must hold.
//!
//! `LDIRECTORD_SIM_SEED=N` replays one seed with its steps printed; `LDIRECTORD_SIM_SEEDS=N` runs that many.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_types,
    reason = "a test fails by panicking, and shares the kernel with the reconciler"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    net::SocketAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

use fastrand::Rng;
use jiff::Timestamp;
use ldirectord::{
    director::{Action, Attempt, Director, Event, News, Notice},
    ipvs::{
        Entry, Job, Kernel, KernelError, KernelErrorKind, Op, Piece, Reconciler, SyncOp, Table,
        Wanted, memory::Memory, plan,
    },
    model::{
        Admission, AgentAnswer, AgentReport, AgentWeight, AlertPhases, AlertPolicy, CertificateEnd,
        CheckId, CheckKind, CheckSpec, Checked, Desired, Drift, Failure, Fallback, Forwarding,
        Maintenance, Operation, Pass, Post, ProcessSettings, Quiesce, RealServer, Reason,
        Recipient, Scheduler, Secret, ServerKey, ServiceKey, Settings, Share, SyncDaemon, SyncRole,
        Thresholds, Transport, Verdict, VirtualService, Way, Webhook, Weight,
    },
    time::Moment,
};

/// How many random schedules the test runs when nothing else is said.
const SEEDS: u64 = 10_000;

#[test]
fn random_schedules_keep_every_promise() {
    let number = |name| env::var(name).ok().map(|value| value.parse::<u64>().expect("a number"));
    if let Some(seed) = number("LDIRECTORD_SIM_SEED") {
        return Simulation::new(seed, true).run();
    }
    for seed in 0..number("LDIRECTORD_SIM_SEEDS").unwrap_or(SEEDS) {
        let run = std::panic::catch_unwind(|| Simulation::new(seed, false).run());
        assert!(run.is_ok(), "seed {seed} failed; replay it with LDIRECTORD_SIM_SEED={seed}");
    }
}

/// A kernel in memory that sometimes fails, and that notes when a service that has and keeps a working server
/// is without one in between.
#[derive(Clone)]
struct Watched(Arc<Mutex<Inside>>);

struct Inside {
    memory: Memory,
    rng: Rng,
    /// Of a hundred operations, how many fail.
    faults: u8,
    /// For each service the number of servers at work after every operation of the job.
    at_work: BTreeMap<ServiceKey, Vec<usize>>,
}

impl Inside {
    fn note(&mut self) {
        for (key, entry) in &self.memory.table.services {
            let serving = entry.servers.values().filter(|share| share.weight.get() > 0).count();
            self.at_work.entry(*key).or_default().push(serving);
        }
    }

    fn fault(&mut self, kind: KernelErrorKind) -> KernelError {
        KernelError::new(kind, format!("injected {}", self.rng.u8(..)))
    }
}

impl Kernel for Watched {
    fn table(&mut self) -> Result<Table, KernelError> {
        let mut inside = self.0.lock().unwrap();
        if inside.rng.u8(..100) < inside.faults {
            return Err(inside.fault(KernelErrorKind::Lost));
        }
        inside.memory.table()
    }

    fn service(&mut self, key: &ServiceKey) -> Result<Option<Entry>, KernelError> {
        self.0.lock().unwrap().memory.service(key)
    }

    fn apply(&mut self, ops: &[Op]) -> Vec<Result<(), KernelError>> {
        let mut inside = self.0.lock().unwrap();
        ops.iter()
            .map(|op| {
                if inside.rng.u8(..100) < inside.faults {
                    let lost = inside.rng.bool();
                    if lost && inside.rng.bool() {
                        // The change was made, only its answer is lost.
                        let _made = inside.memory.apply(std::slice::from_ref(op));
                    }
                    let kind = if lost { KernelErrorKind::Lost } else { KernelErrorKind::Other };
                    return Err(inside.fault(kind));
                }
                let result = inside.memory.apply(std::slice::from_ref(op)).remove(0);
                inside.note();
                result
            })
            .collect()
    }

    fn sync_daemons(&mut self) -> Result<BTreeMap<SyncRole, SyncDaemon>, KernelError> {
        let mut inside = self.0.lock().unwrap();
        if inside.rng.u8(..100) < inside.faults {
            return Err(inside.fault(KernelErrorKind::Lost));
        }
        inside.memory.sync_daemons()
    }

    fn apply_sync(&mut self, op: &SyncOp) -> Result<(), KernelError> {
        let mut inside = self.0.lock().unwrap();
        if inside.rng.u8(..100) < inside.faults {
            let lost = inside.rng.bool();
            if lost && inside.rng.bool() {
                // The change was made, only its answer is lost.
                let _made = inside.memory.apply_sync(op);
            }
            let kind = if lost { KernelErrorKind::Lost } else { KernelErrorKind::Other };
            return Err(inside.fault(kind));
        }
        inside.memory.apply_sync(op)
    }
}

/// What the rules say of one server in a service, written down without looking at the director.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shadow {
    Unproved,
    /// With this many failures since.
    Works(u32),
    /// With this many passes since.
    Fails(u32),
    /// It is in maintenance.
    Rests,
}

impl Shadow {
    /// What a verdict makes of it.
    fn after(&self, passed: bool, service: &VirtualService) -> Shadow {
        match (passed, self) {
            (true, Shadow::Fails(passes)) if passes + 1 < service.rise_count.get() => {
                Shadow::Fails(passes + 1)
            }
            (_, Shadow::Rests) => Shadow::Rests,
            (true, _) => Shadow::Works(0),
            (false, Shadow::Works(failures)) if failures + 1 < service.failure_count.get() => {
                Shadow::Works(failures + 1)
            }
            (false, _) => Shadow::Fails(0),
        }
    }

    /// What maintenance makes of it, or the end of that.
    fn maintained(&self, rests: bool, server: &RealServer) -> Shadow {
        match (rests, self) {
            (true, _) => Shadow::Rests,
            (false, Shadow::Rests) if server.checked == Checked::AlwaysUp => Shadow::Works(0),
            (false, Shadow::Rests) => Shadow::Unproved,
            (false, other) => other.clone(),
        }
    }
}

type Shadows = BTreeMap<(ServiceKey, SocketAddr), Shadow>;

/// What the rules say of the agent of one server in a service.
#[derive(Clone, Debug, PartialEq, Eq)]
enum AgentShadow {
    /// It was not asked yet; the kernel had its server with this weight.
    Unasked(Option<u32>),
    /// All that it has said.
    Asked { weight: Option<AgentWeight>, admission: Admission, is_down: bool },
}

impl AgentShadow {
    /// What an answer makes of it.
    fn after(&self, answer: &AgentAnswer) -> AgentShadow {
        let (mut weight, mut admission, mut is_down) = match self {
            AgentShadow::Unasked(_) => (None, Admission::Ready, false),
            AgentShadow::Asked { weight, admission, is_down } => (*weight, *admission, *is_down),
        };
        if let Ok(report) = answer {
            weight = report.weight.or(weight);
            admission = report.admission.unwrap_or(admission);
            is_down = match &report.operation {
                Some(operation) => *operation != Operation::Up,
                None => is_down,
            };
        }
        AgentShadow::Asked { weight, admission, is_down }
    }

    /// What the kernel had at the start counts for nothing once its server was in maintenance.
    fn maintained(&self, rests: bool) -> AgentShadow {
        match self {
            AgentShadow::Unasked(_) if rests => AgentShadow::Unasked(None),
            other => other.clone(),
        }
    }

    fn is_down(&self) -> bool {
        matches!(self, AgentShadow::Asked { is_down: true, .. })
    }

    /// The weight of a server that works; none where it must not get connections.
    fn weight(&self, in_file: u32) -> Option<u32> {
        if in_file == 0 {
            return match self {
                AgentShadow::Unasked(found) => found.filter(|found| *found > 0).map(|_| 0),
                AgentShadow::Asked { admission: Admission::Ready, is_down: false, .. } => Some(0),
                AgentShadow::Asked { .. } => None,
            };
        }
        let weight = match self {
            AgentShadow::Unasked(found) => (*found)?,
            AgentShadow::Asked { admission: Admission::Ready, is_down: false, weight } => {
                match weight {
                    None => in_file,
                    Some(AgentWeight::Absolute(weight)) => *weight,
                    Some(AgentWeight::Percent(0)) => 0,
                    Some(AgentWeight::Percent(percent)) => (in_file * percent / 100).max(1),
                }
            }
            AgentShadow::Asked { .. } => return None,
        };
        Some(weight).filter(|weight| *weight > 0)
    }

    /// Whether a server that works stays in the kernel, with weight 0 at least.
    fn keeps(&self) -> bool {
        match self {
            AgentShadow::Unasked(found) => found.is_some(),
            AgentShadow::Asked { admission, is_down, .. } => {
                *admission != Admission::Maintenance && !is_down
            }
        }
    }
}

type AgentShadows = BTreeMap<(ServiceKey, SocketAddr), AgentShadow>;

struct Simulation {
    rng: Rng,
    loud: bool,
    now: Moment,
    kernel: Watched,
    reconciler: Reconciler,
    director: Director,
    desired: Desired,
    shadow: Shadows,
    /// Of the servers that have agents.
    agents: AgentShadows,
    maintenance: Maintenance,
    /// What is not ours, and must stay as it is.
    foreign: BTreeMap<ServiceKey, Entry>,
    /// The sync daemons that ran before, and the roles that a file spoke of since.
    first_sync: BTreeMap<SyncRole, SyncDaemon>,
    spoken: BTreeSet<SyncRole>,
    attempts: BTreeMap<Attempt, CheckId>,
    /// Of the attempts that began at the very moment at which they were due, that moment.
    due: BTreeMap<Attempt, Moment>,
    /// Whether the time is the one that the director asked to be called at.
    punctual: bool,
    /// Of each check that does not run, when its next attempt begins at the latest.
    latest: BTreeMap<CheckId, Moment>,
    /// Of some of them, when it begins at the earliest.
    earliest: BTreeMap<CheckId, Moment>,
    /// Attempts that were cancelled; their verdicts come nevertheless.
    stale: Vec<Attempt>,
    job: Option<Job>,
    finished: bool,
    /// Whether a person has changed something that we are to leave alone.
    meddled: bool,
    /// Whether the kernel fails at times until everything is quiet.
    faulty: bool,
    /// What was told to be missing, and what of it has been missing ever since.
    told_missing: BTreeSet<Piece>,
    still_missing: BTreeSet<Piece>,
    /// What people may be told of, and when it happened.
    published: Vec<(Moment, Notice)>,
    /// Who was told of what.
    told: Vec<(Recipient, Moment, Notice)>,
}

impl Simulation {
    fn new(seed: u64, loud: bool) -> Simulation {
        let mut rng = Rng::with_seed(seed);
        let desired = random_desired(&mut rng);
        let table = random_table(&mut rng, &desired);
        let mut memory = Memory { table, ..Memory::default() };
        let foreign_key = service_key(99);
        memory.table.services.insert(foreign_key, random_entry(&mut rng));
        memory.sync = random_sync(&mut rng);
        let first_sync = memory.sync.clone();
        let foreign = [(foreign_key, memory.table.services[&foreign_key].clone())].into();
        let maintenance = random_maintenance(&mut rng);
        let (shadow, agents) = expected(&desired, None, &memory.table, &maintenance);
        let observed = memory.table.clone();
        let faults = if rng.u8(..4) == 0 { 20 } else { 0 };
        let inside = Inside { memory, rng: rng.fork(), faults, at_work: BTreeMap::new() };
        let kernel = Watched(Arc::new(Mutex::new(inside)));
        if loud {
            println!("{desired:#?}\n{observed:#?}");
        }
        let mut simulation = Simulation {
            reconciler: Reconciler::new(Box::new(kernel.clone())),
            director: Director::with_maintenance(
                desired.clone(),
                maintenance.clone(),
                &observed,
                Moment::START,
            ),
            now: Moment::START,
            attempts: BTreeMap::new(),
            due: BTreeMap::new(),
            punctual: false,
            latest: BTreeMap::new(),
            earliest: BTreeMap::new(),
            stale: Vec::new(),
            job: None,
            finished: false,
            meddled: false,
            faulty: faults > 0,
            told_missing: BTreeSet::new(),
            still_missing: BTreeSet::new(),
            published: Vec::new(),
            told: Vec::new(),
            kernel,
            rng,
            loud,
            spoken: desired.process.sync.keys().copied().collect(),
            desired,
            shadow,
            agents,
            maintenance,
            foreign,
            first_sync,
        };
        simulation.await_every_check();
        simulation
    }

    fn run(mut self) {
        self.drain();
        for _ in 0..self.rng.usize(20..60) {
            self.step();
            self.drain();
            self.check_health();
            self.check_schedule();
        }
        self.quiet_down();
        self.check_table();
        self.stop();
    }

    fn say(&self, what: impl std::fmt::Debug) {
        if self.loud {
            println!("{} {what:?}", self.now);
        }
    }

    fn step(&mut self) {
        self.punctual = false;
        match self.rng.u8(..22) {
            0..=9 => self.finish_an_attempt(),
            10..=13 => self.finish_the_job(),
            14..=16 => self.pass_time(),
            17 => self.finish_a_stale_attempt(),
            18 => self.meddle(),
            19..=20 => self.maintain(),
            _ => self.reload(),
        }
    }

    /// Does what the director asks for.
    fn drain(&mut self) {
        while let Some(action) = self.director.poll_action() {
            self.say(&action);
            match action {
                Action::StartCheck { attempt, check, .. } => {
                    let place = self.desired.checks.iter().position(|spec| *spec == check);
                    let id = CheckId::new(place.expect("a check of the configuration")).unwrap();
                    assert!(!self.attempts.values().any(|other| *other == id), "two at once");
                    assert!(!self.rests(id), "nobody is asked in maintenance");
                    self.attempts.insert(attempt, id);
                    self.latest.remove(&id);
                    let earliest = self.earliest.remove(&id);
                    assert!(earliest.is_none_or(|earliest| earliest <= self.now), "too early");
                    if self.punctual {
                        self.due.insert(attempt, self.now);
                    }
                }
                Action::CancelCheck(attempt) => {
                    self.attempts.remove(&attempt).expect("an attempt that runs");
                    self.stale.push(attempt);
                }
                Action::Reconcile(job) => {
                    let policy = self.desired.process.drift;
                    match *job {
                        Job::Drift(_) => assert_eq!(policy, Drift::Repair),
                        Job::Look(_) => assert_eq!(policy, Drift::Report),
                        _ => {}
                    }
                    assert!(self.job.replace(*job).is_none(), "two jobs at once");
                }
                Action::Publish(notice) => {
                    self.published.push((self.now, notice.clone()));
                    match notice.news {
                        News::Up(place) => {
                            let key = (place.service, place.written);
                            let agent = self.agents.get(&key);
                            let is_down = agent.is_some_and(AgentShadow::is_down);
                            assert!(!is_down, "up against its agent");
                            match (&self.shadow[&key], agent) {
                                (Shadow::Works(0), _) => {}
                                // It fails now and then, and its agent lets it come back.
                                (Shadow::Works(_), Some(_)) => {}
                                _ => panic!("up without a pass"),
                            }
                        }
                        News::Missing(service, server) => {
                            self.told_missing.insert((service, server));
                            let news = self.still_missing.insert((service, server));
                            assert!(news, "told twice that {server:?} of {service} is missing");
                        }
                        _ => {}
                    }
                }
                Action::Send(message) => {
                    assert!(!message.alerts.is_empty(), "a message of nothing");
                    for alert in message.alerts {
                        let (told, at) = (alert.notice, alert.at);
                        let published = (self.published.iter())
                            .filter(|(moment, notice)| *moment == at && *notice == told);
                        let heard = self.told.iter().filter(|(recipient, moment, notice)| {
                            *moment == at && *recipient == message.recipient && *notice == told
                        });
                        assert!(heard.count() < published.count(), "{told:?} is told too often");
                        // A message waits for others at most until a flood is over.
                        let latest = at.after(Recipient::DIGEST_WITHIN + Duration::from_secs(2));
                        assert!(
                            !self.punctual || self.now <= latest,
                            "{told:?} at {at} is told late"
                        );
                        self.told.push((message.recipient.clone(), at, told));
                    }
                }
                Action::Finish => self.finished = true,
            }
        }
    }

    fn handle(&mut self, event: Event) {
        self.say(&event);
        self.director.handle(event, self.now);
    }

    fn finish_an_attempt(&mut self) {
        let attempts: Vec<_> = self.attempts.keys().copied().collect();
        let Some(attempt) = self.rng.choice(attempts) else { return self.pass_time() };
        let check = self.attempts.remove(&attempt).unwrap();
        let verdict = self.random_verdict();
        let answer = verdict.as_ref().map(|_| random_report(&mut self.rng)).map_err(Clone::clone);
        for service in &self.desired.services {
            for server in &service.servers {
                let key = (service.key, server.written);
                if server.checked == Checked::By(check) {
                    let shadow = self.shadow.get_mut(&key).unwrap();
                    *shadow = shadow.after(verdict.is_ok(), service);
                }
                if server.agent == Some(check) {
                    let agent = self.agents.get_mut(&key).unwrap();
                    *agent = agent.after(&answer);
                }
            }
        }
        let (least, most) = self.wait(check);
        self.latest.insert(check, self.now.after(most));
        if let Some(due) = self.due.remove(&attempt) {
            self.earliest.insert(check, due.after(least));
        }
        self.show_a_certificate(attempt);
        self.handle(match self.desired.checks[check.index()].kind {
            CheckKind::Agent { .. } => Event::AgentAnswered { attempt, answer },
            _ => Event::CheckFinished { attempt, verdict },
        });
    }

    /// Shows now and then a certificate that ends within two months, or ended long ago, or never ends.
    fn show_a_certificate(&mut self, attempt: Attempt) {
        const DAY_S: i64 = 24 * 60 * 60;
        if self.rng.u8(..8) == 0 {
            let end = self.rng.choice([i64::MIN, 0, 30 * DAY_S, 60 * DAY_S, i64::MAX]).unwrap();
            let now = Timestamp::from_second(self.rng.i64(0..70 * DAY_S)).unwrap();
            let end = CertificateEnd::at(end);
            self.handle(Event::CertificateShown { attempt, end, now });
        }
    }

    /// Whether all servers that a check speaks for are in maintenance.
    fn rests(&self, check: CheckId) -> bool {
        let mut users = self.desired.services.iter().flat_map(|service| &service.servers);
        let is_user = |server: &RealServer| {
            server.checked == Checked::By(check) || server.agent == Some(check)
        };
        users.all(|server| !is_user(server) || self.maintenance.holds(server.written))
    }

    fn maintain(&mut self) {
        let before = std::mem::replace(&mut self.maintenance, random_maintenance(&mut self.rng));
        for service in &self.desired.services {
            for server in &service.servers {
                let key = (service.key, server.written);
                let rests = self.maintenance.holds(server.written);
                let shadow = self.shadow.get_mut(&key).unwrap();
                *shadow = shadow.maintained(rests, server);
                if let Some(agent) = self.agents.get_mut(&key) {
                    *agent = agent.maintained(rests);
                }
                // Who comes back is checked at once.
                if before.holds(server.written) && !rests {
                    let checked = match server.checked {
                        Checked::By(check) => Some(check),
                        Checked::AlwaysUp | Checked::Never => None,
                    };
                    for check in checked.into_iter().chain(server.agent) {
                        self.earliest.remove(&check);
                        if !self.attempts.values().any(|running| *running == check) {
                            self.latest.insert(check, self.now.after(Duration::from_millis(200)));
                        }
                    }
                }
            }
        }
        for place in 0..self.desired.checks.len() {
            let check = CheckId::new(place).unwrap();
            if self.rests(check) {
                self.latest.remove(&check);
                self.earliest.remove(&check);
            }
        }
        self.handle(Event::Maintenance(self.maintenance.clone()));
    }

    /// The shortest and the longest time until the next attempt of a check, as the servers are that it speaks for.
    fn wait(&self, check: CheckId) -> (Duration, Duration) {
        let users = self.desired.services.iter().flat_map(|service| {
            let servers = service.servers.iter().filter(|s| s.checked == Checked::By(check));
            servers.map(|server| &self.shadow[&(service.key, server.written)])
        });
        let users: Vec<&Shadow> = users.collect();
        let spec = &self.desired.checks[check.index()];
        if users.iter().any(|user| matches!(user, Shadow::Works(1..) | Shadow::Fails(1..))) {
            (spec.fast_interval, spec.fast_interval)
        } else if users.iter().all(|user| matches!(user, Shadow::Fails(0) | Shadow::Rests)) {
            (spec.down_interval.saturating_sub(spec.interval), spec.down_interval)
        } else {
            (Duration::ZERO, spec.interval)
        }
    }

    /// After a start or reload, every check that does not run begins within its interval.
    fn await_every_check(&mut self) {
        let running: BTreeSet<CheckId> = self.attempts.values().copied().collect();
        let idle = (0..self.desired.checks.len()).map(|place| CheckId::new(place).unwrap());
        let idle = idle.filter(|check| !running.contains(check) && !self.rests(*check));
        self.latest = idle.map(|check| (check, self.now.after(self.wait(check).1))).collect();
        self.earliest.clear();
    }

    fn check_schedule(&self) {
        let timeout = self.director.poll_timeout();
        for (check, latest) in &self.latest {
            assert!(*latest >= self.now, "check {check} has not begun");
            assert!(timeout.is_some_and(|at| at <= *latest), "check {check} is forgotten");
        }
    }

    fn finish_a_stale_attempt(&mut self) {
        let verdict = self.random_verdict();
        let attempt = self.stale.pop().unwrap_or(Attempt(u64::MAX));
        self.show_a_certificate(attempt);
        if self.rng.bool() {
            let answer = verdict.map(|_| random_report(&mut self.rng));
            return self.handle(Event::AgentAnswered { attempt, answer });
        }
        self.handle(Event::CheckFinished { attempt, verdict });
    }

    fn random_verdict(&mut self) -> Verdict {
        if self.rng.bool() {
            return Ok(Pass::default());
        }
        Err(Failure { reason: Reason::Timeout, detail: String::new() })
    }

    fn finish_the_job(&mut self) {
        let Some(job) = self.job.take() else { return };
        {
            let mut inside = self.kernel.0.lock().unwrap();
            inside.at_work.clear();
            inside.note();
        }
        let report = self.reconciler.run(&job);
        self.check_gaps();
        if let (Job::Look(_), false) = (&job, self.faulty) {
            assert_eq!(report.done, [], "who only looks changes nothing");
        }
        let inside = self.kernel.0.lock().unwrap();
        self.still_missing.retain(|piece| is_missing(&inside.memory.table, piece));
        for piece in &report.missing {
            assert!(is_missing(&inside.memory.table, piece), "{piece:?} is there");
        }
        drop(inside);
        self.handle(Event::Reconciled(report));
    }

    /// A service that had and has a server at work had one at every moment in between.
    fn check_gaps(&self) {
        let inside = self.kernel.0.lock().unwrap();
        for (key, counts) in inside.at_work.iter().filter(|_| inside.faults == 0) {
            if counts.first() > Some(&0) && counts.last() > Some(&0) {
                assert!(counts.iter().all(|&count| count > 0), "{key} was without a server");
            }
        }
    }

    fn pass_time(&mut self) {
        let soon = self.director.poll_timeout().unwrap_or(self.now);
        let jump = Duration::from_millis(self.rng.u64(..3_000));
        self.punctual = self.rng.bool() && soon >= self.now;
        self.now = if self.punctual { soon } else { self.now.after(jump) };
        self.be_late();
        self.say("time passes");
        self.director.handle_timeout(self.now);
    }

    /// What is overdue does not begin all at once.
    fn be_late(&mut self) {
        let spread = Duration::from_millis(2) * u32::try_from(self.latest.len()).unwrap();
        for latest in self.latest.values_mut() {
            *latest = self.now.after(spread).max(*latest);
        }
    }

    /// A person with `ipvsadm`.
    fn meddle(&mut self) {
        let services: Vec<_> = self.desired.services.iter().map(|service| service.key).collect();
        let Some(key) = self.rng.choice(services) else { return };
        self.say("somebody meddles");
        self.meddled = true;
        let mut inside = self.kernel.0.lock().unwrap();
        if self.rng.u8(..4) == 0 {
            let roles: Vec<_> = self.desired.process.sync.keys().collect();
            let role = self.rng.choice(roles);
            if let Some(running) = role.and_then(|role| inside.memory.sync.get_mut(role)) {
                running.id = 77;
            }
            return;
        }
        if self.rng.u8(..4) == 0 {
            let role = self.desired.process.sync.keys().next();
            role.and_then(|role| inside.memory.sync.remove(role));
            return;
        }
        let services = &mut inside.memory.table.services;
        if self.rng.u8(..4) == 0 {
            services.remove(&key);
            return;
        }
        let Some(entry) = services.get_mut(&key) else { return };
        let server = server_key(self.rng.u8(1..9));
        match self.rng.u8(..3) {
            0 => drop(entry.servers.remove(&server)),
            1 => drop(entry.servers.insert(server, share(self.rng.u32(..3)))),
            _ => entry.settings.scheduler = Scheduler("rr".to_owned()),
        }
    }

    fn reload(&mut self) {
        let before = std::mem::replace(&mut self.desired, random_desired(&mut self.rng));
        let observed = self.kernel.0.lock().unwrap().memory.table.clone();
        let known = (&before, &self.shadow, &self.agents);
        (self.shadow, self.agents) =
            expected(&self.desired, Some(known), &observed, &self.maintenance);
        for check in self.attempts.values_mut() {
            let spec = &before.checks[check.index()];
            let place = self.desired.checks.iter().position(|other| other == spec);
            // Those that are gone get cancelled; until then a number of their own tells them apart.
            *check = CheckId::new(place.unwrap_or(1_000 + check.index())).unwrap();
        }
        self.spoken.extend(self.desired.process.sync.keys());
        self.due.clear();
        self.await_every_check();
        let (desired, observed) = (Box::new(self.desired.clone()), Box::new(observed));
        self.handle(Event::Reloaded { desired, observed });
    }

    fn check_health(&self) {
        let target = self.director.target();
        for service in &self.desired.services {
            for server in &service.servers {
                let same = || service.servers.iter().filter(|other| other.key == server.key);
                let weight = same().filter_map(|other| self.weight(service, other)).next_back();
                let is_up = self.director.is_up(service.key, server.key);
                assert_eq!(is_up, weight.is_some(), "{} of {}", server.key, service.key);

                let fallback = service.fallback.is_some_and(|spare| spare.key == server.key);
                let wanted = target.services[&service.key].servers[&server.key];
                let keeps = |other: &RealServer| {
                    let key = (service.key, other.written);
                    matches!(self.shadow[&key], Shadow::Works(_))
                        && self.agents.get(&key).is_none_or(AgentShadow::keeps)
                };
                match (weight, wanted) {
                    (Some(weight), Wanted::Present(share)) => {
                        assert_eq!(share.weight.get(), weight, "{} of {}", server.key, service.key);
                    }
                    (Some(_), _) => panic!("{} serves and is not wanted", server.key),
                    (None, Wanted::Present(share) | Wanted::IfPresent(share)) if !fallback => {
                        assert_eq!(share.weight, Weight::ZERO, "{} does not serve", server.key);
                    }
                    (None, Wanted::Absent) => assert!(!same().any(keeps), "{} drains", server.key),
                    (None, _) => {}
                }
            }
        }
    }

    /// The weight that the rules give a server; none where it does not serve.
    fn weight(&self, service: &VirtualService, server: &RealServer) -> Option<u32> {
        let key = (service.key, server.written);
        let Shadow::Works(_) = self.shadow[&key] else { return None };
        let in_file = server.share.weight.get();
        self.agents.get(&key).map_or(Some(in_file), |agent| agent.weight(in_file))
    }

    /// No more faults, no more verdicts: everything that was asked for gets done.
    fn quiet_down(&mut self) {
        self.punctual = false;
        self.kernel.0.lock().unwrap().faults = 0;
        for _ in 0..8 {
            while self.job.is_some() {
                self.finish_the_job();
                self.drain();
            }
            // Far enough for faults to be tried again and for drift to be looked at.
            self.now = self.now.after(Duration::from_secs(70));
            self.be_late();
            self.director.handle_timeout(self.now);
            self.drain();
        }
        while self.job.is_some() {
            self.finish_the_job();
            self.drain();
        }
    }

    fn check_table(&self) {
        let inside = self.kernel.0.lock().unwrap();
        let table = &inside.memory.table;
        for (key, entry) in &self.foreign {
            assert_eq!(table.services.get(key), Some(entry), "what is not ours was touched");
        }
        let target = self.director.target();
        for key in table.services.keys() {
            let ours = self.desired.services.iter().any(|service| service.key == *key);
            assert!(ours || self.foreign.contains_key(key), "{key} has left the file, and stayed");
        }
        for service in &self.desired.services {
            let left = |piece: Piece| match self.desired.process.drift {
                Drift::Repair => false,
                Drift::Report => self.told_missing.contains(&piece),
                Drift::Off => self.meddled,
            };
            let Some(entry) = table.services.get(&service.key) else {
                assert!(left((service.key, None)), "{} is there", service.key);
                continue;
            };
            for (server, wanted) in &target.services[&service.key].servers {
                let there = entry.servers.get(server);
                if let Wanted::Present(share) = wanted {
                    match there {
                        Some(there) => assert!(self.meddled || there == share, "{server}"),
                        None => assert!(left((service.key, Some(*server))), "{server} is there"),
                    }
                }
            }
            let working = (service.servers.iter())
                .filter(|server| self.weight(service, server).is_some_and(|weight| weight > 0));
            if working.count() == service.servers.len() && !service.servers.is_empty() {
                let serving = entry.servers.values().filter(|share| share.weight.get() > 0);
                assert!(self.meddled || serving.count() > 0, "working servers serve");
            }
        }
        if !self.meddled {
            assert_eq!(plan(table, &target), [], "applying the plan again changes nothing");
        }
        for role in SyncRole::ALL {
            let running = inside.memory.sync.get(&role);
            match self.desired.process.sync.get(&role) {
                Some(wish) if !self.meddled => assert!(wish.is_met_by(running.unwrap()), "{role}"),
                Some(_) if self.desired.process.drift == Drift::Repair => {
                    assert!(running.is_some())
                }
                Some(_) => {}
                None if self.spoken.contains(&role) => assert_eq!(running, None, "{role}"),
                None => assert_eq!(running, self.first_sync.get(&role), "{role} is not ours"),
            }
        }
    }

    fn stop(&mut self) {
        let Memory { table: before, sync, .. } = self.kernel.0.lock().unwrap().memory.clone();
        self.handle(Event::Stop);
        self.drain();
        while self.job.is_some() {
            self.finish_the_job();
            self.drain();
        }
        assert!(self.finished, "the end is reached");
        assert!(self.director.poll_timeout().is_none(), "nothing comes after the end");
        let inside = self.kernel.0.lock().unwrap();
        for service in &self.desired.services {
            let there = inside.memory.table.services.contains_key(&service.key);
            let was_there = before.services.contains_key(&service.key);
            assert_eq!(there, was_there && !service.clean_stop, "{} at the end", service.key);
        }
        for (key, entry) in &self.foreign {
            assert_eq!(inside.memory.table.services.get(key), Some(entry));
        }
        let process = &self.desired.process;
        for role in SyncRole::ALL {
            let stops = process.clean_stop && process.sync.contains_key(&role);
            let expected = sync.get(&role).filter(|_| !stops);
            assert_eq!(inside.memory.sync.get(&role), expected, "{role} at the end");
        }
    }
}

fn is_missing(table: &Table, (service, server): &Piece) -> bool {
    match (table.services.get(service), server) {
        (Some(entry), Some(server)) => !entry.servers.contains_key(server),
        (Some(_), None) => false,
        (None, _) => true,
    }
}

/// What is known at a start or reload: who was known stays known, who is at work in the kernel works.
fn expected(
    desired: &Desired,
    before: Option<(&Desired, &Shadows, &AgentShadows)>,
    observed: &Table,
    maintenance: &Maintenance,
) -> (Shadows, AgentShadows) {
    let (mut shadows, mut agents) = (Shadows::new(), AgentShadows::new());
    for service in &desired.services {
        let entry = observed.services.get(&service.key);
        let old = before.and_then(|(old, known, agents)| {
            Some((old.services.iter().find(|old| old.key == service.key)?, known, agents))
        });
        // What the fallback's entry shows says nothing of a real server at the same address.
        let own = service.fallback.map(|fallback| fallback.key);
        let earlier = old
            .filter(|(old, known, agents)| {
                !old.servers.iter().any(|server| {
                    let key = (old.key, server.written);
                    let in_file = server.share.weight.get();
                    matches!(known[&key], Shadow::Works(_))
                        && agents.get(&key).is_none_or(|agent| agent.weight(in_file).is_some())
                })
            })
            .and_then(|(old, ..)| old.fallback)
            .map(|fallback| fallback.key);
        let fallbacks: BTreeSet<ServerKey> = own.into_iter().chain(earlier).collect();
        for server in &service.servers {
            let place = (service.key, server.written);
            let share = entry.and_then(|entry| entry.servers.get(&server.key));
            let at_work = share.is_some_and(|share| share.weight.get() > 0);
            if server.agent.is_some() {
                let known = old.and_then(|(_, _, agents)| agents.get(&place)).cloned();
                let found = share.filter(|_| !fallbacks.contains(&server.key));
                let found = AgentShadow::Unasked(found.map(|share| share.weight.get()));
                let rests = maintenance.holds(server.written);
                agents.insert(place, known.unwrap_or(found).maintained(rests));
            }
            let known = old.and_then(|(_, known, _)| known.get(&place));
            let shadow = match known {
                _ if server.checked == Checked::AlwaysUp => Shadow::Works(0),
                // Where nothing checks it, only the kernel says how it is.
                Some(known) if server.checked != Checked::Never => known.clone(),
                _ if at_work && !fallbacks.contains(&server.key) => Shadow::Works(0),
                _ => Shadow::Unproved,
            };
            shadows.insert(place, shadow.maintained(maintenance.holds(server.written), server));
        }
    }
    (shadows, agents)
}

/// Mostly nobody; else a few hosts and servers.
fn random_maintenance(rng: &mut Rng) -> Maintenance {
    let mut maintenance = Maintenance::default();
    if rng.bool() {
        for number in 1..9 {
            let host = server_key(number).0.ip();
            match rng.u8(..6) {
                0 => _ = maintenance.hosts.insert(host),
                1 => _ = maintenance.servers.insert(SocketAddr::new(host, 80)),
                2 => _ = maintenance.servers.insert(SocketAddr::new(host, 81)),
                _ => {}
            }
        }
    }
    maintenance
}

fn random_report(rng: &mut Rng) -> AgentReport {
    let weights = [
        AgentWeight::Percent(0),
        AgentWeight::Percent(1),
        AgentWeight::Percent(50),
        AgentWeight::Percent(150),
        AgentWeight::Absolute(0),
        AgentWeight::Absolute(7),
    ];
    let admissions = [Admission::Ready, Admission::Ready, Admission::Drain, Admission::Maintenance];
    let operations = [Operation::Up, Operation::Up, Operation::Down("stopped".to_owned())];
    AgentReport {
        weight: rng.choice(weights).filter(|_| rng.bool()),
        admission: rng.choice(admissions).filter(|_| rng.bool()),
        operation: rng.choice(operations).filter(|_| rng.bool()),
        unknown: rng.choice(["odd".to_owned()]).filter(|_| rng.u8(..8) == 0),
    }
}

fn service_key(number: u8) -> ServiceKey {
    let address = SocketAddr::from(([192, 0, 2, number], 80));
    ServiceKey::Address { transport: Transport::Tcp, address }
}

fn server_key(number: u8) -> ServerKey {
    ServerKey(SocketAddr::from(([198, 51, 100, number], 80)))
}

fn share(weight: u32) -> Share {
    Share {
        forwarding: Forwarding::Masquerade,
        weight: Weight::new(weight).unwrap(),
        thresholds: Thresholds::default(),
    }
}

fn random_entry(rng: &mut Rng) -> Entry {
    let servers =
        (0..rng.u8(..4)).map(|_| (server_key(rng.u8(1..9)), share(rng.u32(..3)))).collect();
    Entry { settings: Settings::default(), servers }
}

fn random_table(rng: &mut Rng, desired: &Desired) -> Table {
    let mut table = Table::default();
    for service in &desired.services {
        if rng.bool() {
            table.services.insert(service.key, random_entry(rng));
        }
    }
    table
}

/// Up to four services of up to five servers out of the same eight, so that they share checks.
fn random_desired(rng: &mut Rng) -> Desired {
    let mut checks: Vec<Arc<CheckSpec>> = Vec::new();
    let mut services = Vec::new();
    for number in 1..=rng.u8(..5) {
        if rng.u8(..4) > 0 {
            services.push(random_service(rng, number, &mut checks));
        }
    }
    let drift = rng.choice([Drift::Repair, Drift::Repair, Drift::Report, Drift::Off]).unwrap();
    let (sync, clean_stop) = (random_sync(rng), rng.bool());
    let process = ProcessSettings { drift, sync, clean_stop, ..ProcessSettings::default() };
    Desired { services, checks, process, ..Desired::default() }
}

/// Each role now and then, with or without a length.
fn random_sync(rng: &mut Rng) -> BTreeMap<SyncRole, SyncDaemon> {
    let mut some = || {
        let max_length = rng.choice([None, Some(1472), Some(2000)]).unwrap();
        SyncDaemon { max_length, ..SyncDaemon::new("eth0", rng.u8(..3)) }
    };
    let daemons = SyncRole::ALL.map(|role| (role, some()));
    daemons.into_iter().filter(|_| rng.u8(..3) == 0).collect()
}

fn random_alerts(rng: &mut Rng) -> AlertPolicy {
    let mail = |name: &str, digest_above| {
        let post = Post { recipients: name.to_owned(), from: None, server: None };
        Recipient { way: Way::Mail(Arc::new(post)), digest_above }
    };
    let webhook = |name: &str, digest_above| {
        let (url, shown) = (Secret(name.to_owned()), name.to_owned());
        let webhook = Webhook { url, shown, secret: None, template: None };
        Recipient { way: Way::Webhook(Arc::new(webhook)), digest_above }
    };
    let all = [mail("one", 2), mail("two", 0), mail("three", 20), webhook("a", 1), webhook("b", 5)];
    AlertPolicy {
        recipients: all.into_iter().filter(|_| rng.u8(..4) == 0).collect(),
        repeat_after: Duration::from_secs(rng.choice([0, 0, 1, 7]).unwrap()),
        phases: rng.choice([AlertPhases::ALL, AlertPhases::NONE]).unwrap(),
    }
}

fn random_service(rng: &mut Rng, number: u8, checks: &mut Vec<Arc<CheckSpec>>) -> VirtualService {
    let mut servers: Vec<RealServer> = Vec::new();
    for _ in 0..rng.u8(..6) {
        let key = server_key(rng.u8(1..9));
        let written = SocketAddr::new(key.0.ip(), rng.choice([80, 80, 81]).unwrap());
        if servers.iter().any(|server| server.written == written) {
            continue;
        }
        let intervals = [(1_000, 1_000, 1_000), (2_000, 100, 7_000), (3_000, 500, 300)];
        let (interval, fast_interval, down_interval) = rng.choice(intervals).unwrap();
        let spec = CheckSpec {
            target: written,
            kind: rng.choice([CheckKind::Connect, CheckKind::Ping { attempts: 1 }]).unwrap(),
            interval: Duration::from_millis(interval),
            fast_interval: Duration::from_millis(fast_interval),
            down_interval: Duration::from_millis(down_interval),
            timeout: Duration::from_secs(1),
        };
        let mut number = |spec: CheckSpec| {
            let known = checks.iter().position(|other| **other == spec);
            let place = known.unwrap_or_else(|| {
                checks.push(Arc::new(spec));
                checks.len() - 1
            });
            CheckId::new(place).unwrap()
        };
        let agent = (rng.u8(..3) == 0).then(|| {
            number(CheckSpec {
                target: SocketAddr::new(key.0.ip(), 9707),
                kind: CheckKind::Agent { send: Vec::new() },
                fast_interval: spec.interval,
                down_interval: spec.interval,
                ..spec.clone()
            })
        });
        let checked = match rng.u8(..8) {
            0 => Checked::AlwaysUp,
            1 => Checked::Never,
            _ => Checked::By(number(spec)),
        };
        servers.push(RealServer { key, written, share: share(rng.u32(..3)), checked, agent });
    }
    let fallback = rng.bool().then(|| {
        let key = server_key(rng.choice([1, 20]).unwrap());
        Fallback { key, written: key.0, share: share(1) }
    });
    let quiesces = [Quiesce::Remove, Quiesce::ZeroWeight, Quiesce::ZeroWeightIfPresent];
    VirtualService {
        key: service_key(number),
        settings: Settings {
            scheduler: Scheduler(rng.choice(["wrr", "lc"]).unwrap().to_owned()),
            ..Settings::default()
        },
        servers,
        fallback,
        fallback_command: None,
        quiesce: rng.choice(quiesces).unwrap(),
        failure_count: NonZeroU32::new(rng.u32(1..4)).unwrap(),
        rise_count: NonZeroU32::new(rng.u32(1..4)).unwrap(),
        clean_stop: rng.u8(..4) > 0,
        monitor_file: None,
        name: None,
        comment: None,
        alerts: random_alerts(rng),
    }
}
