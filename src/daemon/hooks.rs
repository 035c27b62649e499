//! The operator's own programs: `callback`, `fallbackcommand`, and ourselves for the configurations of `execute`.
//!
//! Programs of one owner run one after the other, in the order in which they were asked for; none holds up the loop,
//! and one that does not end is killed with all that it started. What a program prints is logged, as much as is bearable.
//! What it leaves running when it ends may live, and print, which nobody hears.
//!
//! Differs from ldirectord: the daemon does not wait for them, they have a limit of time, and what they print is logged.

use std::{
    collections::{HashMap, VecDeque},
    io,
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use tokio::{
    process::Command,
    sync::Semaphore,
    task::{Id, JoinSet},
};

use super::pidfile;
use crate::{checks::child::Running, model::ServiceKey, sinks::notice::tame};

/// How long a program may run.
const LIMIT: Duration = Duration::from_secs(60);

/// How many programs run at once.
const AT_ONCE: usize = 64;

/// How many programs of one owner may wait; beyond that the oldest that waits is dropped.
const WAITING: usize = 16;

/// How many lines of what a program prints are logged.
const LINES: usize = 20;

/// How often it is looked whether a process has gone.
const POLL: Duration = Duration::from_millis(20);

/// What makes a command one for the shell, as in Perl's `system`.
const SHELL_CHARACTERS: &str = "$&*(){}[]'\";\\|?<>~`\n";

/// Whose programs run one after the other.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Owner {
    Configuration,
    Fallback(ServiceKey),
    Instance(String),
}

/// A program and its arguments, and what to run when it fails.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Program {
    words: Vec<String>,
    or_else: Option<Vec<String>>,
}

impl Program {
    /// This program with these arguments.
    pub(super) fn new(words: Vec<String>) -> Program {
        Program { words, or_else: None }
    }

    /// The same, and this one if it fails.
    pub(super) fn or_else(self, words: Vec<String>) -> Program {
        Program { or_else: Some(words), ..self }
    }
}

/// Runs the operator's programs.
#[derive(Debug)]
pub(super) struct Hooks {
    tasks: JoinSet<Option<Running>>,
    owners: HashMap<Id, Owner>,
    waiting: HashMap<Owner, VecDeque<Program>>,
    slots: Arc<Semaphore>,
    limit: Duration,
    /// What programs left running that may still print.
    leftovers: JoinSet<()>,
}

impl Default for Hooks {
    fn default() -> Hooks {
        Hooks {
            tasks: JoinSet::new(),
            owners: HashMap::new(),
            waiting: HashMap::new(),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            limit: LIMIT,
            leftovers: JoinSet::new(),
        }
    }
}

impl Hooks {
    /// Runs `callback`: a program, with the configuration's path as its argument.
    pub(super) fn callback(&mut self, program: &str, path: &str) {
        let words = vec![program.to_owned(), path.to_owned()];
        self.ask(Owner::Configuration, Program::new(words));
    }

    /// Runs `fallbackcommand` as `COMMAND start|stop SERVER:PORT PROTOCOL`.
    pub(super) fn fallback(&mut self, command: &str, service: ServiceKey, needed: bool) {
        let (server, protocol) = match service {
            ServiceKey::Address { transport, address } => {
                (address.to_string(), transport.to_string())
            }
            ServiceKey::Fwmark { .. } => (":0".to_owned(), "fwm".to_owned()),
        };
        let action = if needed { "start" } else { "stop" };
        self.ask(
            Owner::Fallback(service),
            program(&format!("{command} {action} {server} {protocol}")),
        );
    }

    /// Runs a program that has to do with the daemon of another configuration.
    pub(super) fn instance(&mut self, name: &str, program: Program) {
        self.ask(Owner::Instance(name.to_owned()), program);
    }

    /// Waits for the end of the daemon of another configuration, which is this process.
    pub(super) fn end_of_instance(&mut self, name: &str, pid: i32) {
        let owner = Owner::Instance(name.to_owned());
        self.waiting.entry(owner.clone()).or_default();
        let task = self.tasks.spawn(async move {
            while u32::try_from(pid).is_ok_and(pidfile::is_daemon) {
                tokio::time::sleep(POLL).await;
            }
            None
        });
        self.owners.insert(task.id(), owner);
    }

    /// Whether a program runs that has to do with the daemon of another configuration.
    pub(super) fn are_busy_with_instances(&self) -> bool {
        self.owners.values().any(|owner| matches!(owner, Owner::Instance(_)))
    }

    fn ask(&mut self, owner: Owner, program: Program) {
        if let Some(waiting) = self.waiting.get_mut(&owner) {
            if waiting.len() >= WAITING {
                waiting.pop_front();
            }
            waiting.push_back(program);
        } else {
            self.waiting.insert(owner.clone(), VecDeque::new());
            self.start(owner, program);
        }
    }

    fn start(&mut self, owner: Owner, program: Program) {
        let (slots, limit) = (Arc::clone(&self.slots), self.limit);
        let task = self.tasks.spawn(async move {
            let (succeeded, running) = run(&program.words, &slots, limit).await;
            match program.or_else.filter(|_| !succeeded) {
                Some(words) => run(&words, &slots, limit).await.1,
                None => running,
            }
        });
        self.owners.insert(task.id(), owner);
    }

    /// Waits for a program to end, and starts the one that waits for that; for ever when none runs.
    pub(super) async fn next(&mut self) {
        let ended = match self.tasks.join_next_with_id().await {
            Some(Ok((id, left))) => {
                while self.leftovers.try_join_next().is_some() {}
                if let Some(mut left) = left
                    && self.leftovers.len() < AT_ONCE
                {
                    self.leftovers.spawn(async move { left.output.drain().await });
                }
                id
            }
            Some(Err(error)) => error.id(),
            None => std::future::pending().await,
        };
        let Some(owner) = self.owners.remove(&ended) else { return };
        match self.waiting.get_mut(&owner).and_then(VecDeque::pop_front) {
            Some(program) => self.start(owner, program),
            None => {
                self.waiting.remove(&owner);
            }
        }
    }

    /// Waits until no program runs or waits any more, but not for longer than this; the others end with us.
    pub(super) async fn finish(&mut self, limit: Duration) {
        let all = async {
            while !self.owners.is_empty() {
                self.next().await;
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            let count = self.owners.len();
            tracing::warn!(
                "{count} of our programs still run after {} s and are killed, as the daemon ends",
                limit.as_secs()
            );
        }
    }
}

/// The operator's own command line, as Perl's `system` reads it: words, or a line for the shell.
fn program(line: &str) -> Program {
    Program::new(if line.contains(|c| SHELL_CHARACTERS.contains(c)) {
        vec!["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()]
    } else {
        line.split_ascii_whitespace().map(str::to_owned).collect()
    })
}

/// Runs a program to its end: whether it succeeded, and what is left of it.
async fn run(words: &[String], slots: &Arc<Semaphore>, limit: Duration) -> (bool, Option<Running>) {
    let name = tame(&words.join(" "));
    let mut running = match begin(words, slots).await {
        Ok(running) => running,
        Err(error) => {
            tracing::warn!("system({name}) failed: {error}");
            return (false, None);
        }
    };
    let ended = tokio::time::timeout(limit, running.finish()).await;
    log_output(&name, running.output.kept(), running.output.is_cut());
    match ended {
        Ok(Ok(status)) => {
            let succeeded = status.success();
            if !succeeded {
                tracing::warn!("system({name}) failed: {status}");
            }
            (succeeded, Some(running))
        }
        Ok(Err(error)) => {
            tracing::warn!("system({name}) failed: {error}");
            (false, None)
        }
        Err(_) => {
            let limit = limit.as_secs();
            tracing::warn!("system({name}) failed: still running after {limit} s, killed");
            (false, None)
        }
    }
}

async fn begin(words: &[String], slots: &Arc<Semaphore>) -> io::Result<Running> {
    let (name, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    Running::start(Command::new(name).args(arguments), Stdio::null(), slot)
}

/// Logs what a program printed: the first lines, and that there was more.
fn log_output(name: &str, output: &[u8], is_cut: bool) {
    let text = String::from_utf8_lossy(output);
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    for line in lines.by_ref().take(LINES) {
        tracing::info!("{name}: {}", tame(line.trim_end()));
    }
    if is_cut || lines.next().is_some() {
        tracing::info!("{name}: … and more, which is not logged");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_is_used_only_where_perl_uses_one() {
        assert_eq!(
            program("/sbin/notify  -v start 192.0.2.1:80 tcp").words,
            ["/sbin/notify", "-v", "start", "192.0.2.1:80", "tcp"]
        );
        assert_eq!(
            program("\"/opt/a b\" stop :0 fwm").words,
            ["/bin/sh", "-c", "\"/opt/a b\" stop :0 fwm"]
        );
    }

    #[tokio::test]
    async fn programs_of_one_service_keep_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let (script, out) = (dir.path().join("script"), dir.path().join("out"));
        std::fs::write(&script, format!("echo \"$@\" >>{}", out.display())).unwrap();
        let service = ServiceKey::Address {
            transport: crate::model::Transport::Tcp,
            address: "192.0.2.1:80".parse().unwrap(),
        };
        let mut hooks = Hooks::default();
        let command = format!("/bin/sh {}", script.display());
        for needed in [true, false, true] {
            hooks.fallback(&command, service, needed);
        }
        while !hooks.waiting.is_empty() {
            hooks.next().await;
        }
        let expected = "start 192.0.2.1:80 tcp\nstop 192.0.2.1:80 tcp\nstart 192.0.2.1:80 tcp\n";
        assert_eq!(std::fs::read_to_string(out).unwrap(), expected);
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_killed_with_what_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pids");
        let script = "trap '' TERM; sleep 1000 & echo $$ $! >$1.new; mv $1.new $1; wait; wait";
        let words = ["/bin/sh", "-c", script, "hook", file.to_str().unwrap()];
        let mut hooks = Hooks { limit: Duration::from_secs(1), ..Hooks::default() };
        hooks.ask(Owner::Configuration, Program::new(words.map(str::to_owned).to_vec()));
        hooks.next().await;
        assert!(hooks.owners.is_empty());
        for pid in std::fs::read_to_string(file).unwrap().split_whitespace() {
            // One that an init adopted which does not reap has ended, too.
            let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            while !stat().is_empty() && !stat().contains(") Z ") {
                tokio::time::sleep(POLL).await;
            }
        }
    }

    #[tokio::test]
    async fn what_a_program_leaves_running_may_go_on_printing() {
        let dir = tempfile::tempdir().unwrap();
        let done = dir.path().join("done");
        let script = "(until [ -e $1 ]; do sleep 0.01; done; seq 50000; echo >$1.2) & exit 0";
        let words = ["/bin/sh", "-c", script, "hook", done.to_str().unwrap()];
        let mut hooks = Hooks::default();
        hooks.ask(Owner::Configuration, Program::new(words.map(str::to_owned).to_vec()));
        hooks.next().await;
        assert_eq!(hooks.leftovers.len(), 1);
        std::fs::write(&done, "").unwrap();
        hooks.leftovers.join_next().await.unwrap().unwrap();
        assert!(dir.path().join("done.2").exists(), "it was not killed for printing");
    }

    #[tokio::test]
    async fn another_program_runs_when_the_first_fails() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let words = |script: &str| {
            let script = format!("echo {script} >>{}; {script}", out.display());
            ["/bin/sh", "-c", &script].map(str::to_owned).to_vec()
        };
        let mut hooks = Hooks::default();
        hooks.instance("a", Program::new(words("true")).or_else(words("exit 1")));
        hooks.instance("a", Program::new(words("false")).or_else(words("exit 2")));
        hooks.finish(LIMIT).await;
        assert_eq!(std::fs::read_to_string(out).unwrap(), "true\nfalse\nexit 2\n");
    }
}
