//! Every action of a resource agent in every state of the director, with its exit code.
//!
//! The stock agent drives both programs through the same steps, so where their codes are not the same a step says so.

use std::path::Path;

use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    Agent,
    namespaces::{self, Ended, LDIRECTORD, Program, Thread, lives, put},
    support::lab::wait_for,
};

/// Who drives whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Play {
    pub(crate) agent: Agent,
    pub(crate) program: Program,
    /// Of the configuration; the stock agent looks for processes by it, and those of other trials are in sight.
    pub(crate) name: &'static str,
}

const PLAYS: [Play; 3] = [
    Play { agent: Agent::Stock, program: Program::Ours, name: "stock-ours" },
    Play { agent: Agent::Stock, program: Program::Reference, name: "stock-perl" },
    Play { agent: Agent::Ours, program: Program::Ours, name: "ours" },
];

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |play: Play| {
        let name = format!(
            "{:?} agent drives {:?}: every action in every state",
            play.agent, play.program
        );
        Trial::test(name, move || play.inside(every_action).map_err(Into::into))
    };
    PLAYS.into_iter().map(trial).collect()
}

pub(crate) const GOOD: &str =
    "checkinterval = 1\nvirtual = 192.0.2.1:80\n\treal = 127.0.0.2:80 masq\n\tchecktype = on\n";
const FAULTY: &str = "quiescent = perhaps\n";

/// An action, and what it ends with: of the stock agent, and of ours.
type Expected = (&'static str, [i32; 2]);

const NOT_CONFIGURED: [Expected; 8] = [
    ("start", [5, 5]),
    ("monitor", [5, 7]),
    ("probe", [5, 7]),
    ("stop", [5, 0]),
    ("validate-all", [5, 5]),
    ("meta-data", [0, 0]),
    ("usage", [0, 0]),
    ("nonsense", [5, 3]),
];
const NOT_INSTALLED: [Expected; 6] = [
    ("start", [5, 5]),
    ("monitor", [5, 5]),
    ("stop", [5, 5]),
    ("validate-all", [5, 5]),
    ("meta-data", [0, 0]),
    ("usage", [0, 0]),
];
const STOPPED: [Expected; 9] = [
    ("monitor", [7, 7]),
    ("probe", [7, 7]),
    ("stop", [0, 0]),
    ("stop", [0, 0]),
    ("validate-all", [0, 0]),
    ("reload", [3, 7]),
    ("promote", [3, 3]),
    ("nonsense", [3, 3]),
    ("", [3, 3]),
];
const RUNNING: [Expected; 5] = [
    ("monitor", [0, 0]),
    ("probe", [0, 0]),
    ("start", [0, 0]),
    ("validate-all", [0, 0]),
    ("monitor", [0, 0]),
];
/// With a fault in the file, which stops neither daemon.
const RUNNING_FAULTY: [Expected; 3] =
    [("monitor", [1, 0]), ("start", [1, 0]), ("validate-all", [0, 2])];
const STOPPED_FAULTY: [Expected; 4] =
    [("monitor", [1, 7]), ("start", [1, 2]), ("validate-all", [0, 2]), ("stop", [0, 0])];
const KILLED: [Expected; 2] = [("monitor", [7, 7]), ("probe", [7, 7])];

fn every_action(play: &Play) {
    play.expect("without a configuration", &NOT_CONFIGURED);
    play.configure(GOOD);
    let nowhere = [("OCF_RESKEY_ldirectord", "/usr/sbin/no-such-ldirectord")];
    for (action, codes) in NOT_INSTALLED {
        play.expect_one("without the program", action, codes, &nowhere);
    }
    play.expect("before the first start", &STOPPED);

    play.start();
    play.expect("running", &RUNNING);
    if play.agent == Agent::Ours {
        play.expect("running", &[("reload", [3, 0]), ("reload-agent", [3, 0])]);
    }
    play.stop();
    play.expect("stopped", &STOPPED);

    play.start();
    let pid = play.process().unwrap();
    play.configure(FAULTY);
    play.expect("running, with a fault in the file", &RUNNING_FAULTY);
    // The stock agent has its own way then. It gives a daemon that looks after TERM no time to end, and after KILL none
    // to be gone.
    match play.act("stop", &[]).code {
        Some(0) => {}
        Some(1) if play.program == Program::Reference => {}
        code => panic!("{play:?}: stop with a fault in the file: {code:?}"),
    }
    wait_for("the end of the daemon", || if lives(pid) { Err(pid) } else { Ok(()) });
    play.expect("stopped, with a fault in the file", &STOPPED_FAULTY);

    play.configure(GOOD);
    play.start();
    play.kill();
    play.expect("killed", &KILLED);
    play.start();
    play.kill();
    play.expect("killed", &[("stop", [0, 0]), ("monitor", [7, 7]), ("stop", [0, 0])]);

    for rubbish in ["", "rubbish\n", "99999999\n"] {
        put(&play.pid_file(), rubbish, 0o644).unwrap();
        play.expect("with a pid file of another", &[("monitor", [7, 7])]);
    }
    play.start();
    play.stop();
}

impl Play {
    /// In namespaces of its own, where the program is at its usual place.
    pub(crate) fn inside<R: Send + 'static>(
        self,
        work: impl FnOnce(&Play) -> R + Send + 'static,
    ) -> Result<R, String> {
        let thread = Thread::start(self.program, || Ok(()))?;
        let done = thread.begin(move |()| {
            let work = std::panic::AssertUnwindSafe(|| work(&self));
            std::panic::catch_unwind(work).map_err(|panic| {
                let text = panic.downcast_ref::<String>().cloned();
                text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
                    .unwrap_or_default()
            })
        });
        done.recv().map_err(|error| error.to_string())?
    }

    pub(crate) fn config(&self) -> String {
        format!("/etc/ha.d/{}.cf", self.name)
    }

    pub(crate) fn configure(&self, text: &str) {
        put(Path::new(&self.config()), text, 0o644).unwrap();
    }

    pub(crate) fn pid_file(&self) -> std::path::PathBuf {
        format!("/run/ldirectord.{}.cf.pid", self.name).into()
    }

    fn process(&self) -> Result<i32, String> {
        let text = std::fs::read_to_string(self.pid_file()).map_err(|error| error.to_string())?;
        text.trim().parse().map_err(|_| format!("the pid file has `{text}`"))
    }

    fn act(&self, action: &str, more: &[(&str, &str)]) -> Ended {
        let config = self.config();
        let (word, interval) = match action {
            "probe" => ("monitor", "0"),
            other => (other, "20000"),
        };
        let mut environment = vec![
            ("OCF_ROOT", "/usr/lib/ocf"),
            ("OCF_RESOURCE_INSTANCE", self.name),
            ("OCF_RESKEY_configfile", &config),
            ("OCF_RESKEY_ldirectord", LDIRECTORD),
            ("OCF_RESKEY_CRM_meta_interval", interval),
            ("OCF_RESKEY_CRM_meta_timeout", "20000"),
        ];
        environment.extend(more);
        let words: Vec<String> =
            [word].into_iter().filter(|word| !word.is_empty()).map(Into::into).collect();
        namespaces::run(&self.agent.path(), &words, &environment).unwrap()
    }

    #[track_caller]
    pub(crate) fn expect(&self, state: &str, actions: &[Expected]) {
        for (action, codes) in actions {
            self.expect_one(state, action, *codes, &[]);
        }
    }

    #[track_caller]
    fn expect_one(&self, state: &str, action: &str, codes: [i32; 2], more: &[(&str, &str)]) {
        let [stock, ours] = codes;
        let expected = if self.agent == Agent::Stock { stock } else { ours };
        let ended = self.act(action, more);
        assert_eq!(ended.code, Some(expected), "{self:?} {state}: {action}\n{}", ended.output);
    }

    /// Ours runs when the start returns; the Perl program soon after.
    pub(crate) fn start(&self) {
        let ended = self.act("start", &[]);
        if self.program == Program::Ours {
            assert_eq!(ended.code, Some(0), "{self:?}: start\n{}", ended.output);
        }
        wait_for("a daemon that runs", || match self.act("monitor", &[]) {
            Ended { code: Some(0), .. } => Ok(()),
            ended => Err(format!("{ended:?}")),
        });
    }

    /// Ours has gone when the stop returns; the Perl program soon after.
    fn stop(&self) {
        let pid = self.process().unwrap();
        self.expect("running", &[("stop", [0, 0])]);
        let is_gone = || !self.pid_file().exists() && !lives(pid);
        assert!(self.program == Program::Reference || is_gone(), "{self:?}");
        wait_for("the end of the daemon", || if is_gone() { Ok(()) } else { Err(pid) });
    }

    pub(crate) fn kill(&self) {
        let pid = self.process().unwrap();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        wait_for("the end of the daemon", || if lives(pid) { Err(pid) } else { Ok(()) });
    }
}
