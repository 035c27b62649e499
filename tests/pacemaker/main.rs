//! The director under Pacemaker: resource agents that start, ask and stop it, and real clusters that call those.
//!
//! ClusterLabs' own agent, as Debian has it, drives our program and the Perl one; ours drives our program. Needs the lab
//! (`tests/lab/run`), like `tests/kernel`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, also in their helpers, and measure time; this is the main function of a test program"
)]

mod agent;
mod cluster;
mod node;
#[path = "../support/namespaces.rs"]
#[allow(unreachable_pub, reason = "other test programs make more of it known")]
mod namespaces;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod tester;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, ExitCode, Stdio},
    thread,
};

use libtest_mimic::{Arguments, Trial};
use support::lab;

/// Where Pacemaker finds agents of this provider.
const AGENTS: &str = "/usr/lib/ocf/resource.d/heartbeat";

/// A resource agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Agent {
    /// Of resource-agents, as it is.
    Stock,
    /// `contrib/ocf/ldirectord-rs`.
    Ours,
}

impl Agent {
    fn name(self) -> &'static str {
        match self {
            Agent::Stock => "ldirectord",
            Agent::Ours => "ldirectord-rs",
        }
    }

    fn path(self) -> String {
        format!("{AGENTS}/{}", self.name())
    }
}

/// What a lab is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lab {
    /// The actions of the agents one by one, on any kernel: to start a program takes 50 ms in User-Mode Linux, and an
    /// agent starts dozens.
    Agents,
    /// What is in the kernel's table, and a cluster of one node.
    Single,
    /// A cluster of two nodes.
    Pair,
}

/// Says inside which lab it is.
const LAB: &str = "LDIRECTORD_LAB_FOR";

impl Lab {
    const ALL: [Lab; 3] = [Lab::Agents, Lab::Single, Lab::Pair];

    fn trials(self) -> Vec<Trial> {
        match self {
            Lab::Agents => agent::trials().into_iter().chain(tester::trials()).collect(),
            Lab::Single => table::trials().into_iter().chain([cluster::single()]).collect(),
            Lab::Pair => vec![cluster::pair()],
        }
    }

    /// Runs this program there, with its arguments.
    fn run(self) -> ExitCode {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/run"));
        if self == Lab::Agents {
            command.arg("--any-kernel");
        }
        let program = Path::new(env!("CARGO_BIN_EXE_ldirectord")).parent().unwrap();
        command.arg("--").arg(std::env::current_exe().unwrap()).args(std::env::args_os().skip(1));
        command.env(LAB, format!("{self:?}")).env("LDIRECTORD_LAB_READABLE", program);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        // Line by line, so that the labs do not cut into each other's lines.
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            println!("{}", line.unwrap_or_default());
        }
        if child.wait().unwrap().success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn main() -> ExitCode {
    let lab = std::env::var(LAB).unwrap_or_default();
    if let Some(lab) = Lab::ALL.into_iter().find(|known| format!("{known:?}") == lab) {
        // The lab's root folder is a layer in memory.
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/ocf/ldirectord-rs");
        fs::copy(ours, Agent::Ours.path()).unwrap();
        return lab::run(lab.trials());
    }
    if Arguments::from_args().list {
        return lab::run(Lab::ALL.into_iter().flat_map(Lab::trials).collect());
    }
    let labs = Lab::ALL.map(|lab| thread::spawn(move || lab.run()));
    let codes = labs.map(|lab| lab.join().unwrap());
    if codes.iter().all(|code| *code == ExitCode::SUCCESS) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
