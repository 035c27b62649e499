//! HAProxy, whose `agent-check` is the judge of what agents mean: it and a director of ours ask the same agent, and the
//! same must come of each line for a server of weight 100.
//!
//! Left out is what is meant to differ: `failed`, percentages that make a weight of more than 256, and `weight:`, which
//! Debian's HAProxy does not know yet. So are lines that do not end: HAProxy 2.6 looks at the byte behind them, in which
//! there may be the end of an earlier line, and then takes what it means to ignore.
#![expect(
    clippy::disallowed_types,
    reason = "the agent runs beside the trial, which tells it what to say"
)]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::net::UnixStream,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use ldirectord::{
    checks::Checker,
    director::{Action, Director, Event},
    ipvs::{Report, Table, Wanted},
    model::{Attempted, CheckKind, Weight},
    time::Moment,
};
use libtest_mimic::Trial;

use crate::{
    service::desired,
    support::lab::{self, Namespace, wait_for},
};

/// Undoes whatever was said.
const RESET: &str = "ready up 100%\n";

/// What the agent says, each after a reset.
const LINES: &[&str] = &[
    "75%\n",
    "007%\n",
    "1%\n",
    "0%\n",
    "150%\n",
    "10% 20%\n",
    "50% 75%x\n",
    "+5%\n",
    "75\n",
    "drain\n",
    "Drain\n",
    "maint\n",
    "drain ready\n",
    "maint drain\n",
    "down\n",
    "fail\n",
    "Stopped\n",
    "down up\n",
    "up down\n",
    "down # disk full\n",
    "down#disk full\n",
    "# down\n",
    "up # down\n",
    "ready,up\t75%  maxconn:30 # words\n",
    "25%,drain,maxconn:3,fail\n",
    "drain 50%\n",
    "maint 50%\n",
    "maint down\n",
    "hello 50% world\n",
    "HTTP/1.1 400 Bad Request\n",
    "drain\ndown\n",
    "50%\rdrain\n",
    "50%\r",
    "\n",
    " \t,,drain\r\n",
    "50%\0\n",
];

pub(crate) fn trial() -> Trial {
    lab::trial("haproxy: lines of agents mean the same", |namespace| {
        let agent = Agent::begin();
        let works = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = works.local_addr().unwrap().port();
        thread::spawn(move || while works.accept().is_ok() {});
        let theirs = Theirs::start(namespace, &agent, port);
        let mut ours = Ours::start(&agent, port);
        for line in LINES {
            for (said, expected) in [(RESET, Some("weight 100")), (line, None)] {
                agent.say(said);
                let our_view = ours.ask();
                // An attempt of theirs may have begun before; when the next one begins, one has ended.
                let before = agent.asked(0);
                wait_for("HAProxy to ask", || match agent.asked(0) {
                    asked if asked >= before + 3 => Ok(()),
                    asked => Err(format!("it has asked {asked} times")),
                });
                wait_for(&format!("HAProxy to agree on {said:?}"), || match theirs.view() {
                    view if view == our_view && expected.is_none_or(|word| word == view) => Ok(()),
                    view => Err(format!("HAProxy: {view}, we: {our_view}")),
                });
            }
        }
    })
}

/// An agent that says the same to everybody, at a port for HAProxy and one for us.
struct Agent {
    line: Arc<Mutex<String>>,
    ports: [u16; 2],
    asked: [Arc<AtomicUsize>; 2],
}

impl Agent {
    fn begin() -> Agent {
        let line = Arc::new(Mutex::new(RESET.to_owned()));
        let asked = [Arc::default(), Arc::default()];
        let ports = asked.each_ref().map(|asked: &Arc<AtomicUsize>| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let (asked, line) = (Arc::clone(asked), Arc::clone(&line));
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let line = line.lock().unwrap().clone();
                    // Whoever asks may have gone.
                    stream.unwrap().write_all(line.as_bytes()).unwrap_or_default();
                    asked.fetch_add(1, Ordering::SeqCst);
                }
            });
            port
        });
        Agent { line, ports, asked }
    }

    fn say(&self, line: &str) {
        line.clone_into(&mut self.line.lock().unwrap());
    }

    fn asked(&self, whom: usize) -> usize {
        self.asked[whom].load(Ordering::SeqCst)
    }
}

/// What becomes of a server: its weight, that it drains, or that it is out of service.
fn view(weight: u32, is_out: bool, drains: bool) -> String {
    match (is_out, drains || weight == 0) {
        (true, _) => "out".to_owned(),
        (false, true) => "drains".to_owned(),
        (false, false) => format!("weight {weight}"),
    }
}

/// HAProxy.
struct Theirs {
    socket: &'static str,
}

impl Theirs {
    fn start(namespace: &Namespace, agent: &Agent, port: u16) -> Theirs {
        let (socket, config) = ("/run/haproxy-agents.sock", "/run/haproxy-agents.cfg");
        let text = format!(
            "global\n stats socket {socket}\n\
             defaults\n mode tcp\n timeout check 30s\n timeout connect 30s\n timeout client 30s\n timeout server 30s\n\
             backend web\n server a 127.0.0.1:{port} weight 100 check inter 50ms \
             agent-check agent-port {} agent-inter 50ms\n",
            agent.ports[0]
        );
        fs::write(config, text).unwrap();
        namespace.spawn(Command::new("haproxy").args(["-db", "-q", "-f", config]));
        Theirs { socket }
    }

    fn view(&self) -> String {
        let mut stream = wait_for("HAProxy", || UnixStream::connect(self.socket));
        stream.write_all(b"show stat web 4 -1\n").unwrap();
        let mut table = String::new();
        stream.read_to_string(&mut table).unwrap();
        let mut lines = table.lines();
        let names = lines.next().unwrap().trim_start_matches("# ").split(',');
        let row: Vec<_> = names.zip(lines.next().unwrap().split(',')).collect();
        let field = |name| row.iter().find(|(known, _)| *known == name).unwrap().1;
        let status = field("status");
        let is_out = status.starts_with("MAINT") || status.starts_with("DOWN");
        view(field("weight").parse().unwrap(), is_out, status.starts_with("DRAIN"))
    }
}

/// A director of ours, without a kernel.
struct Ours {
    director: Director,
    now: Moment,
    checker: Checker,
    runtime: tokio::runtime::Runtime,
}

impl Ours {
    fn start(agent: &Agent, port: u16) -> Ours {
        let text = format!(
            "virtual=192.0.2.1:80\n\treal=127.0.0.1:{port} masq 100\n\tchecktype=connect\n\tchecktimeout=30\n\
             \tagentport={}\n",
            agent.ports[1]
        );
        Ours {
            director: Director::new(desired(text), &Table::default(), Moment::START),
            now: Moment::START,
            checker: Checker::new(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
        }
    }

    /// What becomes of the server when its check has been made and its agent asked once more.
    fn ask(&mut self) -> String {
        let (mut checked, mut heard) = (false, false);
        while !(checked && heard) {
            while let Some(action) = self.director.poll_action() {
                let event = match action {
                    Action::StartCheck { attempt, check, stage } => {
                        let run = self.checker.run(&check, stage);
                        let Attempted { verdict, report, .. } = self.runtime.block_on(run);
                        if let CheckKind::Agent { .. } = check.kind {
                            heard = true;
                            let answer = verdict.map(|_| report.unwrap());
                            Event::AgentAnswered { attempt, answer }
                        } else {
                            checked = true;
                            Event::CheckFinished { attempt, verdict }
                        }
                    }
                    Action::Reconcile(_) => Event::Reconciled(Report::default()),
                    _ => continue,
                };
                self.director.handle(event, self.now);
            }
            self.now = self.director.poll_timeout().unwrap().max(self.now);
            self.director.handle_timeout(self.now);
        }
        let target = self.director.target();
        let wish = target.services.values().next().unwrap();
        match wish.servers.values().next().unwrap() {
            Wanted::Present(share) => view(share.weight.get(), false, share.weight == Weight::ZERO),
            Wanted::IfPresent(_) | Wanted::Absent => view(0, true, false),
        }
    }
}
