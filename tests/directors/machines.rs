//! Machines on a switch: a network, a host name and folders of their own, in one kernel.

use std::{fs, net::UdpSocket, path::Path, process::Command, thread};

use nix::{
    sched::{CloneFlags, unshare},
    sys::signal::{Signal, kill},
    unistd::{Pid, getpid, gettid, sethostname},
};

use crate::{
    namespaces::{self, Program, Thread, put},
    support::lab::wait_for,
};

/// What the README says of two directors, in its words.
const README: &str = include_str!("../../README.md");

/// The virtual address of the README.
pub(crate) const VIRTUAL: &str = "192.0.2.100";

const CONFIG: &str = "/etc/ha.d/ldirectord.cf";
const LOG: &str = "/var/log/ldirectord.log";

/// The n-th text in a frame of a section of the README.
#[track_caller]
pub(crate) fn snippet(section: &str, nth: usize) -> String {
    let (_, rest) = README.split_once(&format!("# {section}\n")).unwrap();
    let section = rest.split("\n##").next().unwrap();
    let framed = section.split("```").skip(1).step_by(2).nth(nth).unwrap();
    framed.split_once('\n').unwrap().1.to_owned()
}

/// A machine. What runs on it ends when it is dropped.
pub(crate) struct Machine {
    pub(crate) name: &'static str,
    thread: Thread<String>,
}

impl Machine {
    /// A machine that is plugged into the switch, which is in the network namespace of this thread.
    pub(crate) fn new(name: &'static str, address: &str) -> Machine {
        let thread = Thread::start(Program::Ours, move || {
            unshare(CloneFlags::CLONE_NEWUTS).map_err(|error| error.to_string())?;
            sethostname(name).map_err(|error| error.to_string())?;
            Ok(format!("/proc/{}/task/{}/ns/net", getpid(), gettid()))
        });
        let machine = Machine { name, thread: thread.unwrap() };
        machine.plug(name, "eth0", address);
        machine
    }

    /// Plugs a cable into the switch, whose other end is this interface.
    pub(crate) fn plug(&self, port: &str, interface: &str, address: &str) {
        let network = self.thread.begin(|network| network.clone()).recv().unwrap();
        let peer = ["type", "veth", "peer", "name", interface, "netns", &network];
        let cable = [&["link", "add", port, "master", "switch", "up"], &peer[..]].concat();
        namespaces::command("ip", &cable).unwrap();
        self.command("ip", &["address", "add", address, "dev", interface]);
        self.command("ip", &["link", "set", interface, "up"]);
    }

    /// Has something done on the machine.
    #[track_caller]
    pub(crate) fn on<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.thread.begin(move |_| work()).recv().unwrap()
    }

    /// Runs a program that has to succeed; what it says.
    #[track_caller]
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> String {
        let (name, program) = (self.name, program.to_owned());
        let words: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        let ended = self.on(move || namespaces::run(&program, &words, &[]).unwrap());
        assert_eq!(ended.code, Some(0), "{name}: {ended:?}");
        ended.output
    }

    /// Starts a program that goes on; what it says is this file.
    pub(crate) fn spawn(
        &self,
        program: &'static str,
        arguments: &[&'static str],
        says: &'static str,
    ) {
        let words = arguments.to_vec();
        self.on(move || {
            let file = fs::File::create(says).unwrap();
            let mut command = Command::new(program);
            command.args(words).stdout(file.try_clone().unwrap()).stderr(file);
            let mut child = command.spawn().unwrap();
            thread::spawn(move || child.wait());
        });
    }

    pub(crate) fn write(&self, path: &'static str, text: &str, mode: u32) {
        let text = text.to_owned();
        self.on(move || put(Path::new(path), &text, mode)).unwrap();
    }

    pub(crate) fn read(&self, path: &'static str) -> String {
        self.on(move || fs::read_to_string(path).unwrap_or_default())
    }

    // === a director ===

    /// Writes the configuration as an editor does, which is seen whole or not at all.
    pub(crate) fn configure(&self, text: &str) {
        self.write("/etc/ha.d/new", text, 0o600);
        self.on(|| fs::rename("/etc/ha.d/new", CONFIG)).unwrap();
    }

    pub(crate) fn start(&self) {
        self.command("/usr/sbin/ldirectord", &["ldirectord.cf", "start"]);
    }

    pub(crate) fn kill_director(&self) {
        let pid = self.read("/run/ldirectord.ldirectord.cf.pid").trim().parse().unwrap();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }

    pub(crate) fn table(&self) -> String {
        self.command("ipvsadm", &["-Sn"])
    }

    pub(crate) fn log(&self) -> String {
        self.read(LOG)
    }

    /// Waits until the director has the virtual address (`true`), or has it no more.
    #[track_caller]
    pub(crate) fn wait_for_address(&self, there: bool) {
        wait_for(&format!("{} {there} on {}", VIRTUAL, self.name), || {
            // Only an own address can be bound to.
            if self.on(|| UdpSocket::bind((VIRTUAL, 0)).is_ok()) == there {
                Ok(())
            } else {
                Err(format!("{}{}", self.read("/run/keepalived.log"), self.log()))
            }
        });
    }
}

/// A switch in the network namespace of this thread.
pub(crate) fn add_switch() {
    namespaces::command("ip", &["link", "add", "switch", "up", "type", "bridge"]).unwrap();
}
