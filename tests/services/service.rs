//! A server program, what is tried with it, and the thread that does it.
//!
//! Each service has a network of its own and a thread there, which starts the server when the first trial asks and
//! keeps it for the others. The server listens at [`HERE`]; at [`NOBODY`] nobody does.

use std::{
    any::Any,
    fs::{self, OpenOptions},
    net::{IpAddr, SocketAddr, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
};

use ldirectord::{
    checks::{Checker, catalogue},
    config::{self, File, NoFiles, World},
    model::{Attempted, CheckSpec, Desired, Phase, Reason, Stage},
};
use libtest_mimic::Failed;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    perl,
    support::lab::{Namespace, wait_for},
    world::FewNames,
};

/// Where every server listens.
pub(crate) const HERE: [&str; 2] = ["127.0.0.1", "::1"];
/// Addresses of this machine at which nobody listens.
pub(crate) const NOBODY: [&str; 2] = ["127.0.0.99", "fd00::99"];
/// Seconds that a check may take: more than enough on a busy machine, and with servers that do not answer.
const PATIENT: u32 = 30;
const IMPATIENT: u32 = 1;

/// A server program.
pub(crate) struct Service {
    pub(crate) name: &'static str,
    /// Writes its configuration and starts it; returns when it answers, else panics.
    pub(crate) start: fn(&Server),
    pub(crate) trials: &'static [Trial],
}

/// A check of a server.
pub(crate) struct Trial {
    pub(crate) name: &'static str,
    /// The lines of the virtual service, after those of `virtual` and `real`.
    pub(crate) lines: &'static [&'static str],
    pub(crate) port: u16,
    /// What is found while the server works. One that is up is also looked for where nobody listens, and asked while
    /// it is stopped.
    pub(crate) expected: Result<(), Reason>,
    /// Whether the answer takes more than a second: it is also not waited for.
    pub(crate) is_late: bool,
    /// What the Perl program finds.
    pub(crate) theirs: Theirs,
}

/// What the Perl program finds.
#[derive(Clone, Copy)]
pub(crate) enum Theirs {
    /// The same.
    Same,
    /// Otherwise than we where the function says so, and why: README's table of differences has it.
    Differs(&'static str, fn(State, Family) -> Otherwise),
    /// It is not asked, because the lines say something that it does not know.
    Unknown,
}

/// How the Perl program differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Otherwise {
    No,
    /// The other way round: up and not down, or down and not up.
    Opposite,
    /// It is not asked, because it would hang or die.
    Dies,
}

/// What the server does while it is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Works,
    /// It works, but the check does not wait long enough for its late answer.
    TooLate,
    /// Nobody listens at the address.
    Absent,
    /// Its processes are stopped.
    Stopped,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Trial {
    pub(crate) const fn up(name: &'static str, port: u16, lines: &'static [&'static str]) -> Trial {
        Trial { name, lines, port, expected: Ok(()), is_late: false, theirs: Theirs::Same }
    }

    /// One that is up, and of which the answer takes more than a second.
    pub(crate) const fn late(
        name: &'static str,
        port: u16,
        lines: &'static [&'static str],
    ) -> Trial {
        Trial { is_late: true, ..Trial::up(name, port, lines) }
    }

    pub(crate) const fn down(
        name: &'static str,
        port: u16,
        reason: Reason,
        lines: &'static [&'static str],
    ) -> Trial {
        Trial { expected: Err(reason), ..Trial::up(name, port, lines) }
    }

    pub(crate) const fn unknown_to_ldirectord(self) -> Trial {
        Trial { theirs: Theirs::Unknown, ..self }
    }

    pub(crate) fn cases(&'static self) -> impl Iterator<Item = Case> {
        let states = match self.expected {
            Ok(()) if self.is_late => vec![State::Works, State::TooLate],
            Ok(()) => vec![State::Works, State::Absent, State::Stopped],
            Err(_) => vec![State::Works],
        };
        states.into_iter().flat_map(move |state| {
            [Family::V4, Family::V6].into_iter().map(move |family| Case {
                trial: self,
                state,
                family,
            })
        })
    }
}

/// A trial in a state of the server, over a family of addresses.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) trial: &'static Trial,
    pub(crate) state: State,
    pub(crate) family: Family,
}

impl Case {
    pub(crate) fn name(&self) -> String {
        let state = match self.state {
            State::Works => "",
            State::TooLate => ", too late",
            State::Absent => ", nobody listens",
            State::Stopped => ", stopped",
        };
        format!("{}{state}, {:?}", self.trial.name, self.family)
    }

    /// Whether the protocol is the same, and what the Perl program makes of it.
    fn is_akin_to(&self, other: &Case) -> bool {
        let is_same = |theirs: &Theirs| match (theirs, &other.trial.theirs) {
            (Theirs::Same, Theirs::Same) => true,
            (Theirs::Differs(why, _), Theirs::Differs(other, _)) => why == other,
            _ => false,
        };
        self.trial.lines.first() == other.trial.lines.first()
            && self.family == other.family
            && is_same(&self.trial.theirs)
    }

    pub(crate) fn expected(&self) -> Result<(), Reason> {
        match self.state {
            State::Works => self.trial.expected,
            State::Absent => Err(Reason::Refused),
            State::TooLate | State::Stopped => Err(Reason::Timeout),
        }
    }

    /// The virtual service. Port and weight are unlike those of any other case, because checks that differ in nothing
    /// but login and password are one for the Perl program, and the weight is one of its differences.
    pub(crate) fn lines(&self, number: usize, patience: u32) -> String {
        let hosts = if self.state == State::Absent { NOBODY } else { HERE };
        let port = self.trial.port;
        let timeout = match self.state {
            State::Works | State::Absent => patience,
            State::TooLate | State::Stopped => IMPATIENT,
        };
        let (own, server) = match self.family {
            Family::V4 => (format!("192.0.2.1:{number}"), format!("{}:{port}", hosts[0])),
            Family::V6 => (format!("[2001:db8::1]:{number}"), format!("[{}]:{port}", hosts[1])),
        };
        let six = if self.family == Family::V6 { "6" } else { "" };
        let lines = self.trial.lines.join("\n\t");
        format!(
            "virtual{six}={own}\n\treal{six}={server} masq {number}\n\tchecktimeout={timeout}\n\t\
             negotiatetimeout={timeout}\n\t{lines}\n"
        )
    }
}

/// A server that runs, or is about to.
pub(crate) struct Server {
    pub(crate) namespace: Namespace,
    /// Its own, for configuration, data and logs; a file whose name ends with `log` is shown when a trial fails.
    pub(crate) folder: PathBuf,
}

impl Server {
    pub(crate) fn new(name: &str) -> Server {
        let namespace = Namespace::new();
        namespace.ip(&["address", "add", NOBODY[1], "dev", "lo", "nodad"]);
        let folder = Path::new("/run").join(format!("service-{name}"));
        fs::create_dir(&folder).unwrap();
        Server { namespace, folder }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Writes a file of its own, in which `@` stands for the folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text.replace('@', &self.folder.display().to_string())).unwrap();
        path.display().to_string()
    }

    /// A folder of its own that belongs to the user.
    pub(crate) fn folder_of(&self, user: &str, name: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        self.run("chown", &["-R", user, &path]);
        path
    }

    /// Starts a program that goes on; what it says goes to a log.
    pub(crate) fn spawn(&self, program: &str, arguments: &[&str]) {
        let name = Path::new(program).file_name().unwrap().to_string_lossy().into_owned();
        let log = self.log(&name);
        let mut command = Command::new(program);
        command.args(arguments).stdin(std::process::Stdio::null());
        self.namespace.spawn(command.stdout(log.try_clone().unwrap()).stderr(log));
    }

    /// Runs a command that must succeed.
    #[track_caller]
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> String {
        self.namespace.run(program, arguments)
    }

    fn log(&self, name: &str) -> fs::File {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join(format!("{name}.out.log")))
            .unwrap()
    }

    /// Waits until it listens at the ports, over IPv4 and IPv6.
    #[track_caller]
    pub(crate) fn wait_for_ports(&self, ports: &[u16]) {
        for &port in ports {
            for host in HERE {
                self.wait_for_port(host, port);
            }
        }
    }

    #[track_caller]
    pub(crate) fn wait_for_port(&self, host: &str, port: u16) {
        let address = SocketAddr::new(host.parse::<IpAddr>().unwrap(), port);
        wait_for(&format!("a server at {address}"), || {
            self.namespace.enter(|| TcpStream::connect(address))
        });
    }

    /// A certificate of its own for every address at which it listens, in `certificate.pem` with its key in `key.pem`.
    pub(crate) fn make_certificate(&self) {
        let mut names = vec!["localhost".to_owned(), "lab.example.net".to_owned()];
        names.extend(HERE.map(str::to_owned));
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        self.write(perl::CERTIFICATE, &made.cert.pem());
        self.write("key.pem", &made.signing_key.serialize_pem());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        for process in self.namespace.processes() {
            // It may have ended meanwhile.
            kill(process, signal).unwrap_or_default();
        }
    }

    /// Does something while the server is as the state says.
    pub(crate) fn in_state<T>(&self, state: State, work: impl FnOnce() -> T) -> T {
        if state != State::Stopped {
            return work();
        }
        self.signal(Signal::SIGSTOP);
        // A thread stops when it is next in the kernel.
        wait_for("the stop of all threads", || {
            let running = self.namespace.processes().into_iter().filter(|&pid| is_running(pid));
            let running: Vec<_> = running.collect();
            if running.is_empty() { Ok(()) } else { Err(format!("{running:?} run")) }
        });
        let done = catch_unwind(AssertUnwindSafe(work));
        self.signal(Signal::SIGCONT);
        done.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// The checks that these lines ask for, in which `@` stands for the folder.
    pub(crate) fn checks(&self, text: &str) -> Vec<Arc<CheckSpec>> {
        desired(text.replace('@', &self.folder.display().to_string())).checks
    }

    fn check(&self, case: &Case) -> Attempted {
        let checks = self.checks(&case.lines(1, PATIENT));
        let [spec] = checks.as_slice() else { panic!("not one check: {checks:?}") };
        // On a thread in the namespace, whose sockets are the namespace's.
        self.namespace.enter(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let limit = Duration::from_secs(u64::from(PATIENT) + 30);
            let checker = Checker::new();
            let run =
                async { tokio::time::timeout(limit, checker.run(spec, Stage::Negotiate)).await };
            runtime.block_on(run).unwrap()
        })
    }

    /// The last lines of its logs.
    fn logs(&self) -> String {
        let mut text = String::new();
        let mut files: Vec<_> =
            fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.to_string_lossy().ends_with("log") && file.is_file());
        files.sort();
        for file in files {
            let said = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
            let lines: Vec<_> = said.lines().collect();
            let last = lines.split_at(lines.len().saturating_sub(40)).1.join("\n");
            text = format!("{text}\n--- {}\n{last}", file.display());
        }
        text
    }
}

/// What a configuration asks for.
pub(crate) fn desired(text: String) -> Desired {
    let catalogue = catalogue();
    let names = FewNames::default();
    let world = World {
        names: &names,
        files: &NoFiles,
        protocols: &catalogue,
        host_name: "director",
        expire_quiescent_template: None,
    };
    let loaded = config::load(File::new("ldirectord.cf", text), &world);
    let Some(desired) = loaded.desired else {
        panic!("{}", config::draw(&loaded.sources, &loaded.diagnostics, false))
    };
    desired
}

/// Whether a thread of the process is neither stopped nor at its end.
fn is_running(process: Pid) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return false };
    threads.filter_map(Result::ok).any(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        state.is_some_and(|state| !matches!(state, 'T' | 't' | 'Z' | 'X'))
    })
}

type Job = Box<dyn FnOnce(&Server) -> Result<(), String> + Send>;

/// The trials of a service.
pub(crate) fn trials(service: &'static Service) -> Vec<libtest_mimic::Trial> {
    let (jobs, queue) = channel::<(Job, Sender<Result<(), Failed>>)>();
    thread::spawn(move || {
        let mut started = None;
        for (job, done) in queue {
            let (server, ready) = started.get_or_insert_with(|| {
                let server = Server::new(service.name);
                let ready = caught(|| (service.start)(&server));
                (server, ready)
            });
            let result = match ready {
                Ok(()) => caught(|| job(server)).and_then(|result| result),
                Err(fault) => Err(format!("{} does not start: {fault}", service.name)),
            };
            let result = result.map_err(|fault| format!("{fault}\n{}", server.logs()).into());
            // Who asked waits for the answer.
            done.send(result).unwrap_or_default();
        }
    });
    let trial = |name: String, job: Job| {
        let jobs = jobs.clone();
        libtest_mimic::Trial::test(format!("{}: {name}", service.name), move || {
            let (done, answer) = channel();
            jobs.send((job, done)).map_err(|fault| fault.to_string())?;
            answer.recv().map_err(|fault| fault.to_string())?
        })
    };
    let cases = || service.trials.iter().flat_map(Trial::cases);
    let mut trials: Vec<_> = cases()
        .map(|case| trial(case.name(), Box::new(move |server| check(server, &case))))
        .collect();
    for (name, stopped) in [("ldirectord agrees", false), ("ldirectord agrees, stopped", true)] {
        let mut asked: Vec<Case> = Vec::new();
        for case in cases() {
            let is_of_turn = (case.state == State::Stopped) == stopped && perl::is_asked(&case);
            // That a server is not there once for each service, since some checks wait long for it.
            let is_known = case.state != State::Works
                && asked.iter().any(|other| other.state == case.state && other.is_akin_to(&case));
            if is_of_turn && !is_known {
                asked.push(case);
            }
        }
        if !asked.is_empty() {
            trials
                .push(trial(name.to_owned(), Box::new(move |server| perl::agrees(server, &asked))));
        }
    }
    trials
}

fn check(server: &Server, case: &Case) -> Result<(), String> {
    let Attempted { verdict, trace, .. } = server.in_state(case.state, || server.check(case));
    let found = match &verdict {
        Ok(_) => Ok(()),
        Err(failure) => Err(failure.reason),
    };
    // All of them can be connected to: it is the answer that does not come.
    let is_told_right = match (found, case.state) {
        (Err(Reason::Timeout), State::Stopped) => {
            matches!(trace.phase, Phase::Tls | Phase::Receive)
        }
        (Err(Reason::Timeout), _) => trace.phase == Phase::Receive,
        _ => true,
    };
    let lines = case.trial.lines.join("\n");
    match found == case.expected() && is_told_right {
        true => Ok(()),
        false => Err(format!(
            "{lines}\nexpected {:?}, found {verdict:?} in the phase {}",
            case.expected(),
            trace.phase
        )),
    }
}

/// What the work gives, or the words of its panic.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic: Box<dyn Any + Send>| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
    })
}
