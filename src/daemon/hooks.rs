//! The operator's own programs: `callback` and `fallbackcommand`.
//!
//! Programs of one service run one after the other, in the order in which they were asked for; none holds up the loop,
//! and one that does not end is killed. What a program prints goes nowhere, as with ldirectord's daemon.
//!
//! Differs from ldirectord: the daemon does not wait for them, and they have a limit of time.

use std::{
    collections::{HashMap, VecDeque},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    process::Command,
    task::{Id, JoinSet},
};

use crate::model::{NOT_INHERITED, ServiceKey};

/// How long a program may run.
const LIMIT: Duration = Duration::from_secs(60);

/// How many programs of one service may wait; beyond that the oldest that waits is dropped.
const WAITING: usize = 16;

/// What makes a command one for the shell, as in Perl's `system`.
const SHELL_CHARACTERS: &str = "$&*(){}[]'\";\\|?<>~`\n";

/// Whose programs run one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Owner {
    Configuration,
    Fallback(ServiceKey),
}

/// A program and its arguments.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Program(Vec<String>);

impl Program {
    fn name(&self) -> String {
        self.0.join(" ")
    }
}

/// Runs the operator's programs.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    tasks: JoinSet<()>,
    owners: HashMap<Id, Owner>,
    waiting: HashMap<Owner, VecDeque<Program>>,
}

impl Hooks {
    /// Runs `callback`: a program, with the configuration's path as its argument.
    pub(super) fn callback(&mut self, program: &str, path: &str) {
        self.ask(Owner::Configuration, Program(vec![program.to_owned(), path.to_owned()]));
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

    fn ask(&mut self, owner: Owner, program: Program) {
        if let Some(waiting) = self.waiting.get_mut(&owner) {
            if waiting.len() >= WAITING {
                waiting.pop_front();
            }
            waiting.push_back(program);
        } else {
            self.waiting.insert(owner, VecDeque::new());
            self.start(owner, program);
        }
    }

    fn start(&mut self, owner: Owner, program: Program) {
        let task = self.tasks.spawn(run(program));
        self.owners.insert(task.id(), owner);
    }

    /// Waits for a program to end, and starts the one that waits for that; for ever when none runs.
    pub(super) async fn next(&mut self) {
        let ended = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
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
}

/// The operator's own command line, as Perl's `system` reads it: words, or a line for the shell.
fn program(line: &str) -> Program {
    if line.contains(|c| SHELL_CHARACTERS.contains(c)) {
        Program(vec!["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()])
    } else {
        Program(line.split_ascii_whitespace().map(str::to_owned).collect())
    }
}

async fn run(program: Program) {
    match tokio::time::timeout(LIMIT, status(&program)).await {
        Ok(Ok(status)) if status.success() => {}
        Ok(Ok(status)) => tracing::warn!("system({}) failed: {status}", program.name()),
        Ok(Err(error)) => tracing::warn!("system({}) failed: {error}", program.name()),
        Err(_) => {
            tracing::warn!(
                "system({}) failed: still running after {} s, killed",
                program.name(),
                LIMIT.as_secs()
            );
        }
    }
}

async fn status(program: &Program) -> std::io::Result<ExitStatus> {
    let mut words = program.0.iter();
    let Some(name) = words.next() else { return Err(std::io::ErrorKind::InvalidInput.into()) };
    let mut command = Command::new(name);
    for variable in NOT_INHERITED {
        command.env_remove(variable);
    }
    command
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_is_used_only_where_perl_uses_one() {
        assert_eq!(
            program("/sbin/notify  -v start 192.0.2.1:80 tcp").0,
            ["/sbin/notify", "-v", "start", "192.0.2.1:80", "tcp"]
        );
        assert_eq!(
            program("\"/opt/a b\" stop :0 fwm").0,
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
}
