//! Scenes: a configuration, a kernel and what happens, and below it everything the director does about it.
//!
//! Each `tests/director/*.scene` is run against the director, the reconciler and a kernel in memory, and its
//! transcript compared. `UPDATE_SCENES=1` writes the transcripts anew; read the difference before you commit it.
//!
//! ```text
//! # What the scene shows.
//! == config                      the file; a second section is what `reload` takes over, and so on
//! == kernel                      the table at the start, if it is not empty: services, servers indented
//! == events
//! 0s    start [ADDRESS...]       each event at its time; checks become due on their own
//! 0s    pass 192.0.2.11:80       every attempt at this address that runs now ends so
//! 10s   fail 192.0.2.11:80 timeout
//! 20s   certificate 192.0.2.11:443 2026-12-01T12:00Z 2026-11-20T12:00Z    every such attempt is shown one that ends then; it is now
//! 20s   agent 192.0.2.11:9707 says drain 50%              every agent that is asked at this address says this line
//! 20s   agent 192.0.2.11:9707 is lost refused             it cannot be asked
//! 20s   quiet                    nothing; time passes
//! 20s   reload | stop | leave
//! 20s   maintenance 192.0.2.11:80 192.0.2.12    these servers and hosts are in maintenance, and no others; with `start`, from the start
//! 20s   ipvsadm - tcp 203.0.113.1:80 192.0.2.11:80        somebody deletes a server (or, without one, a service)
//! 20s   ipvsadm ~ tcp 203.0.113.1:80 192.0.2.11:80 3      somebody sets a weight
//! 20s   ipvsadm --start-daemon backup eth0 9              somebody starts a sync daemon (--stop-daemon backup: stops it)
//! 20s   interfaces eth0 eth1     the kernel has these and no others
//! 20s   deny on | deny off       the kernel refuses every change
//! 20s   hide on | hide off       the kernel's table cannot be read
//! == transcript
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_types,
    reason = "a test fails by panicking, and shares the kernel with the reconciler"
)]

use std::{
    collections::{BTreeMap, VecDeque},
    env,
    fmt::Write as _,
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use ldirectord::{
    checks, config,
    director::{Action, Attempt, Director, Event},
    ipvs::{
        Entry, Kernel, KernelError, KernelErrorKind, Op, Reconciler, SyncOp, Table, memory::Memory,
    },
    model::{
        CertificateEnd, CheckSpec, Desired, Failure, Family, Forwarding, Maintenance, Pass, Reason,
        Scheduler, ServerKey, ServiceKey, Settings, Share, Stage, SyncDaemon, SyncRole, Thresholds,
        Transport, Tunnel, Verdict, Way, Weight,
    },
    sinks,
    time::Moment,
};

#[test]
fn every_scene_plays_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/director");
    let mut played = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "scene") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let (script, before) = text.split_once("== transcript\n").expect("a transcript");
        let transcript = Scene::parse(script).play();
        if env::var_os("UPDATE_SCENES").is_some() {
            fs::write(&path, format!("{script}== transcript\n{transcript}")).unwrap();
        } else {
            assert_eq!(before, transcript, "{} plays otherwise", path.display());
        }
        played += 1;
    }
    assert!(played >= 10, "the scenes are found");
}

/// No name needs a resolver in a scene.
struct Numbers;

impl config::Names for Numbers {
    fn hosts(&self, name: &str, _: Family) -> Result<Vec<IpAddr>, config::NameError> {
        panic!("a scene has no host {name}")
    }

    fn port(&self, service: &str, _: Option<Transport>) -> Result<u16, config::NameError> {
        panic!("a scene has no service {service}")
    }
}

/// A kernel in memory that several can reach.
#[derive(Clone)]
struct Shared(Arc<Mutex<Moody>>);

/// A kernel in memory, and whether it refuses every change and every look.
struct Moody {
    memory: Memory,
    denies: bool,
    hides: bool,
}

impl Kernel for Shared {
    fn table(&mut self) -> Result<Table, KernelError> {
        let moody = &mut *self.0.lock().unwrap();
        match moody.hides {
            true => Err(denial("read the table")),
            false => moody.memory.table(),
        }
    }

    fn service(&mut self, key: &ServiceKey) -> Result<Option<Entry>, KernelError> {
        self.0.lock().unwrap().memory.service(key)
    }

    fn apply(&mut self, ops: &[Op]) -> Vec<Result<(), KernelError>> {
        let moody = &mut *self.0.lock().unwrap();
        match moody.denies {
            true => ops.iter().map(|op| Err(denial(&format!("change {}", op.service())))).collect(),
            false => moody.memory.apply(ops),
        }
    }

    fn sync_daemons(&mut self) -> Result<BTreeMap<SyncRole, SyncDaemon>, KernelError> {
        self.0.lock().unwrap().memory.sync_daemons()
    }

    fn apply_sync(&mut self, op: &SyncOp) -> Result<(), KernelError> {
        let moody = &mut *self.0.lock().unwrap();
        match moody.denies {
            true => Err(denial(&format!("change the {} sync daemon", op.role()))),
            false => moody.memory.apply_sync(op),
        }
    }
}

fn denial(tried: &str) -> KernelError {
    let message = format!("cannot {tried}: not permitted");
    KernelError::new(KernelErrorKind::Denied, message)
}

/// A scene, read.
#[derive(Default)]
struct Scene {
    configs: VecDeque<Desired>,
    table: Table,
    events: Vec<(Moment, Vec<String>)>,
}

impl Scene {
    fn parse(script: &str) -> Scene {
        let mut scene = Scene::default();
        for section in script.split("\n== ").skip(1) {
            let (title, body) = section.split_once('\n').unwrap();
            match title {
                "config" => scene.configs.push_back(load(body)),
                "kernel" => scene.table = table(body),
                "events" => scene.events = body.lines().filter_map(event).collect(),
                other => panic!("no section is called {other}"),
            }
        }
        scene
    }

    fn play(mut self) -> String {
        let memory = Memory { table: self.table.clone(), ..Memory::default() };
        let kernel = Shared(Arc::new(Mutex::new(Moody { memory, denies: false, hides: false })));
        let (start, words) = self.events.remove(0);
        assert_eq!(words[0], "start", "a scene begins with start");
        let desired = self.configs.pop_front().expect("a configuration");
        let mut stage = Play {
            director: Director::with_maintenance(
                desired,
                maintenance(&words[1..]),
                &self.table,
                start,
            ),
            reconciler: Reconciler::new(Box::new(kernel.clone())),
            kernel,
            running: BTreeMap::new(),
            transcript: String::new(),
            finished: false,
        };
        stage.drain(start);
        for (at, words) in self.events {
            while let Some(due) = stage.director.poll_timeout().filter(|due| *due <= at) {
                stage.director.handle_timeout(due);
                stage.drain(due);
            }
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            stage.act(&words, at, &mut self.configs);
            stage.drain(at);
        }
        stage.transcript
    }
}

struct Play {
    director: Director,
    reconciler: Reconciler,
    kernel: Shared,
    running: BTreeMap<Attempt, Arc<CheckSpec>>,
    transcript: String,
    finished: bool,
}

impl Play {
    fn act(&mut self, words: &[&str], at: Moment, configs: &mut VecDeque<Desired>) {
        match words {
            ["pass", target] => self.finish(target, &Ok(Pass::default()), at),
            ["fail", target, reason] => {
                let failure = Failure { reason: parse_reason(reason), detail: String::new() };
                self.finish(target, &Err(failure), at);
            }
            ["certificate", target, end, now] => self.show_certificate(target, end, now, at),
            ["agent", target, "says", line @ ..] => {
                let report = checks::agent::report(line.join(" ").as_bytes());
                self.finish_with(target, at, |attempt| Event::AgentAnswered {
                    attempt,
                    answer: Ok(report.clone()),
                });
            }
            ["agent", target, "is", "lost", reason] => {
                let failure = Failure { reason: parse_reason(reason), detail: String::new() };
                self.finish_with(target, at, |attempt| Event::AgentAnswered {
                    attempt,
                    answer: Err(failure.clone()),
                });
            }
            ["quiet"] => {}
            ["reload"] => {
                let observed = Box::new(self.kernel.0.lock().unwrap().memory.table.clone());
                let desired = Box::new(configs.pop_front().expect("another configuration"));
                self.director.handle(Event::Reloaded { desired, observed }, at);
            }
            ["maintenance", servers @ ..] => {
                self.director.handle(Event::Maintenance(maintenance(servers)), at);
            }
            ["stop"] => self.director.handle(Event::Stop, at),
            ["leave"] => self.director.handle(Event::Leave, at),
            ["deny", state] => self.kernel.0.lock().unwrap().denies = *state == "on",
            ["hide", state] => self.kernel.0.lock().unwrap().hides = *state == "on",
            ["ipvsadm", "-", kind, service] => {
                let services = &mut self.kernel.0.lock().unwrap().memory.table.services;
                services.remove(&service_key(kind, service)).expect("a service to delete");
            }
            ["ipvsadm", "-", kind, service, server] => {
                let services = &mut self.kernel.0.lock().unwrap().memory.table.services;
                let entry = services.get_mut(&service_key(kind, service)).expect("a service");
                entry.servers.remove(&ServerKey(address(server))).expect("a server to delete");
            }
            ["ipvsadm", "~", kind, service, server, weight] => {
                let services = &mut self.kernel.0.lock().unwrap().memory.table.services;
                let entry = services.get_mut(&service_key(kind, service)).expect("a service");
                let share = entry.servers.get_mut(&ServerKey(address(server))).expect("a server");
                share.weight = Weight::new(weight.parse().unwrap()).unwrap();
            }
            ["ipvsadm", "--stop-daemon", role] => {
                let stopped = self.kernel.0.lock().unwrap().memory.sync.remove(&sync_role(role));
                stopped.expect("a sync daemon to stop");
            }
            ["ipvsadm", "--start-daemon", role, interface, id] => {
                let daemon = SyncDaemon::new(interface, id.parse().unwrap());
                let start = SyncOp::Start(sync_role(role), daemon);
                self.kernel.0.lock().unwrap().memory.apply_sync(&start).unwrap();
            }
            ["interfaces", names @ ..] => {
                let names = names.iter().map(|name| (*name).to_owned()).collect();
                self.kernel.0.lock().unwrap().memory.interfaces = Some(names);
            }
            other => panic!("no event is called {other:?}"),
        }
    }

    fn finish(&mut self, target: &str, verdict: &Verdict, at: Moment) {
        self.finish_with(target, at, |attempt| Event::CheckFinished {
            attempt,
            verdict: verdict.clone(),
        });
    }

    fn finish_with(&mut self, target: &str, at: Moment, event: impl Fn(Attempt) -> Event) {
        let target: SocketAddr = address(target);
        let ended: Vec<Attempt> = (self.running.iter())
            .filter(|(_, check)| check.target == target)
            .map(|(attempt, _)| *attempt)
            .collect();
        assert!(!ended.is_empty(), "at {at} no check of {target} runs");
        for attempt in ended {
            self.running.remove(&attempt);
            self.director.handle(event(attempt), at);
        }
    }

    fn show_certificate(&mut self, target: &str, end: &str, now: &str, at: Moment) {
        let end = CertificateEnd::at(end.parse::<Timestamp>().unwrap().as_second());
        let now = now.parse().unwrap();
        let running = self.running.iter().filter(|(_, check)| check.target == address(target));
        let attempts: Vec<Attempt> = running.map(|(attempt, _)| *attempt).collect();
        assert!(!attempts.is_empty(), "at {at} no check of {target} runs");
        for attempt in attempts {
            self.director.handle(Event::CertificateShown { attempt, end, now }, at);
        }
    }

    fn drain(&mut self, at: Moment) {
        while let Some(action) = self.director.poll_action() {
            match action {
                Action::StartCheck { attempt, check, stage } => {
                    let how = if stage == Stage::Connect { " by connecting" } else { "" };
                    self.write(at, &format!("check {}{how}", check.target));
                    self.running.insert(attempt, check);
                }
                Action::CancelCheck(attempt) => {
                    let check = self.running.remove(&attempt).expect("a check that runs");
                    self.write(at, &format!("forget the check of {}", check.target));
                }
                Action::Reconcile(job) => {
                    let report = self.reconciler.run(&job);
                    for (op, result) in &report.done {
                        let failed = if result.is_err() { "  FAILED" } else { "" };
                        self.write(at, &format!("kernel {}{failed}", op_text(op)));
                    }
                    for (op, result) in &report.sync.done {
                        let failed = if result.is_err() { "  FAILED" } else { "" };
                        self.write(at, &format!("kernel {}{failed}", sync_text(op)));
                    }
                    self.director.handle(Event::Reconciled(report), at);
                }
                Action::Publish(notice) => {
                    if let Some(line) = sinks::notice::line(&notice) {
                        self.write(at, &format!("log    {line} ({})", notice.phase));
                    }
                }
                Action::Send(message) => {
                    let lines = message.alerts.iter().map(|alert| {
                        let down = alert.down_since.map(|since| format!(", down since {since}"));
                        let (working, of) = alert.working;
                        let fallback = alert.fallback.map(|_| " and the fallback");
                        format!(
                            "{}{}, serving {working} of {of}{}",
                            sinks::notice::line(&alert.notice).unwrap(),
                            down.unwrap_or_default(),
                            fallback.unwrap_or_default()
                        )
                    });
                    let lines: Vec<_> = lines.collect();
                    let to = match &message.recipient.way {
                        Way::Mail(post) => format!("mail   {}", post.recipients),
                        Way::Webhook(webhook) => format!("call   {}", webhook.shown),
                    };
                    self.write(at, &format!("{to}: {}", lines.join("; ")));
                }
                Action::Finish => {
                    assert!(!std::mem::replace(&mut self.finished, true), "finished twice");
                    self.write(at, "finish");
                }
            }
        }
    }

    fn write(&mut self, at: Moment, what: &str) {
        writeln!(self.transcript, "{:<8}{what}", at.to_string()).unwrap();
    }
}

fn load(text: &str) -> Desired {
    let protocols = checks::catalogue();
    let world = config::World {
        names: &Numbers,
        files: &config::NoFiles,
        protocols: &protocols,
        host_name: "director",
        expire_quiescent_template: None,
    };
    let loaded = config::load(config::File::new("scene.cf", text), &world);
    loaded.desired.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

fn event(line: &str) -> Option<(Moment, Vec<String>)> {
    let mut words = line.split_whitespace().map(str::to_owned);
    let seconds: f64 = words.next()?.strip_suffix('s').expect("seconds").parse().unwrap();
    Some((Moment::at(Duration::from_secs_f64(seconds)), words.collect()))
}

fn table(text: &str) -> Table {
    let mut table = Table::default();
    let mut last = None;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if line.starts_with(' ') {
            let share = Share {
                forwarding: forwarding(words[1]),
                weight: Weight::new(words[2].parse().unwrap()).unwrap(),
                thresholds: Thresholds::default(),
            };
            let entry: &mut Entry = table.services.get_mut(&last.expect("a service")).unwrap();
            entry.servers.insert(ServerKey(address(words[0])), share);
        } else {
            let key = service_key(words[0], words[1]);
            let scheduler = Scheduler(words[2].to_owned());
            let settings = Settings { scheduler, ..Settings::default() };
            table.services.insert(key, Entry { settings, servers: BTreeMap::new() });
            last = Some(key);
        }
    }
    table
}

fn service_key(kind: &str, name: &str) -> ServiceKey {
    let transport = match kind {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        "fwmark" => {
            return ServiceKey::Fwmark { family: Family::V4, mark: name.parse().unwrap() };
        }
        other => panic!("no kind of service is called {other}"),
    };
    ServiceKey::Address { transport, address: address(name) }
}

fn maintenance(words: &[impl AsRef<str>]) -> Maintenance {
    let mut maintenance = Maintenance::default();
    for word in words.iter().map(AsRef::as_ref) {
        match word.parse() {
            Ok(host) => maintenance.hosts.insert(host),
            Err(_) => maintenance.servers.insert(address(word)),
        };
    }
    maintenance
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|_| panic!("{text} is no address with a port"))
}

fn forwarding(word: &str) -> Forwarding {
    match word {
        "gate" => Forwarding::Route,
        "ipip" => Forwarding::Tunnel(Tunnel::Ipip),
        "masq" => Forwarding::Masquerade,
        other => panic!("no forwarding method is called {other}"),
    }
}

fn parse_reason(word: &str) -> Reason {
    match word {
        "timeout" => Reason::Timeout,
        "refused" => Reason::Refused,
        "mismatch" => Reason::Mismatch,
        other => panic!("no reason is called {other}"),
    }
}

fn sync_role(word: &str) -> SyncRole {
    SyncRole::ALL.into_iter().find(|role| role.to_string() == word).expect("a role")
}

fn sync_text(op: &SyncOp) -> String {
    match op {
        SyncOp::Start(role, daemon) => format!("+ {role} sync daemon: {daemon}"),
        SyncOp::Stop(role) => format!("- {role} sync daemon"),
    }
}

fn op_text(op: &Op) -> String {
    let share = |share: &Share| format!("{} weight {}", share.forwarding, share.weight);
    match op {
        Op::AddService(key, settings) => format!("+ {key} {}", settings.scheduler),
        Op::SetService(key, settings) => format!("~ {key} {}", settings.scheduler),
        Op::DelService(key) => format!("- {key}"),
        Op::AddServer(key, server, with) => format!("+ {key} -> {server} {}", share(with)),
        Op::SetServer(key, server, with) => format!("~ {key} -> {server} {}", share(with)),
        Op::DelServer(key, server) => format!("- {key} -> {server}"),
    }
}
