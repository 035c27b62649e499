//! A node of a cluster: namespaces of its own for all that two machines do not share, in one lab.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::sched::{CloneFlags, unshare};

use crate::{
    namespaces::{self, Ended, Program, Thread, put},
    support::lab::wait_for,
};

/// The virtual address that moves between the nodes.
pub(crate) const ADDRESS: &str = "192.0.2.10";

/// Process 1, which reaps what nobody else does.
const INIT: &str = r#"
    set -e
    mount -t proc proc /proc
    hostname "$0"
    for folder in /dev/shm /var/lib/pacemaker /var/lib/corosync /etc/corosync; do
        mount -t tmpfs tmpfs $folder
    done
    ip link set lo up
    mkdir -p /var/lib/pacemaker/{cib,pengine,blackbox,cores} /var/log/{corosync,pacemaker} /run/crm
    touch /run/ready
    while :; do sleep 1000 & wait $!; done"#;

/// What a cluster is before it has resources. Its first election would otherwise wait for 20 s for other nodes, and
/// resources for a device that fences nodes.
const CONFIGURATION: &str = r#"<cib crm_feature_set="3.0.0" validate-with="pacemaker-3.0" admin_epoch="1" epoch="1" num_updates="0">
<configuration><crm_config><cluster_property_set id="cib-bootstrap-options">
<nvpair id="dc-deadtime" name="dc-deadtime" value="1s"/>
<nvpair id="stonith-enabled" name="stonith-enabled" value="false"/>
<nvpair id="no-quorum-policy" name="no-quorum-policy" value="ignore"/>
</cluster_property_set></crm_config><nodes/><resources/><constraints/></configuration><status/></cib>
"#;

pub(crate) struct Node {
    pub(crate) name: String,
    /// Process 1, as the lab numbers it.
    pub(crate) init: u32,
    thread: Thread<Machine>,
}

struct Machine {
    init: Child,
    /// Others that are our children.
    running: Vec<Child>,
    listeners: Vec<TcpListener>,
}

impl Drop for Machine {
    fn drop(&mut self) {
        // With process 1 every other process of the node ends.
        self.init.kill().unwrap_or_default();
        // It ends last, when all others have gone and have been waited for.
        for child in self.running.iter_mut().chain([&mut self.init]) {
            child.wait().unwrap();
        }
    }
}

impl Node {
    pub(crate) fn boot(name: &str) -> Node {
        let host = name.to_owned();
        let thread = Thread::start(Program::Ours, move || {
            let own =
                CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWPID;
            unshare(own).map_err(|error| error.to_string())?;
            let mut init = Command::new("bash");
            init.args(["-c", INIT, &host]).stdin(Stdio::null());
            let init = init.spawn().map_err(|error| error.to_string())?;
            wait_for("process 1", || fs::metadata("/run/ready"));
            Ok(Machine { init, running: Vec::new(), listeners: Vec::new() })
        });
        let thread = thread.unwrap();
        let init = thread.begin(|machine| machine.init.id()).recv().unwrap();
        Node { name: name.to_owned(), init, thread }
    }

    /// Does some work there.
    pub(crate) fn enter<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> R {
        self.thread.begin(|_| work()).recv().unwrap()
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, command: &str) -> Ended {
        let mut words = command.split_whitespace().map(str::to_owned);
        let program = words.next().unwrap();
        let words: Vec<String> = words.collect();
        self.call(&program, &words)
    }

    pub(crate) fn call(&self, program: &str, words: &[String]) -> Ended {
        let (program, words) = (program.to_owned(), words.to_owned());
        self.enter(move || namespaces::run(&program, &words, &[])).unwrap()
    }

    /// Runs a command that must succeed; what it says.
    #[track_caller]
    pub(crate) fn expect(&self, command: &str) -> String {
        let ended = self.run(command);
        assert_eq!(ended.code, Some(0), "{command} on {}: {}", self.name, ended.output);
        ended.output
    }

    pub(crate) fn write(&self, path: &'static str, text: &str, mode: u32) {
        let text = text.to_owned();
        self.enter(move || put(path.as_ref(), &text, mode)).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        let path = path.to_owned();
        self.enter(move || fs::read_to_string(path).unwrap_or_default())
    }

    /// Starts a program that goes on; what it says is in a file.
    pub(crate) fn spawn(&self, program: &'static str) {
        let done = self.thread.begin(move |machine| {
            let output = fs::File::create(format!("/var/log/{program}.out")).unwrap();
            let mut command = Command::new(program);
            command.arg("-f").stdin(Stdio::null());
            command
                .env("PCMK_logfile", "/var/log/pacemaker/pacemaker.log")
                .env("PCMK_logfacility", "none");
            command.stdout(output.try_clone().unwrap()).stderr(output);
            machine.running.push(command.spawn().unwrap());
        });
        done.recv().unwrap();
    }

    /// A real server comes up, at this port of the node itself.
    pub(crate) fn serve(&self, port: u16) {
        let done = self.thread.begin(move |machine| {
            machine.listeners.push(TcpListener::bind(("127.0.0.1", port)).unwrap());
        });
        done.recv().unwrap();
    }

    /// All its real servers go away.
    pub(crate) fn serve_no_more(&self) {
        self.thread.begin(|machine| machine.listeners.clear()).recv().unwrap();
    }

    /// Starts corosync, with these nodes at these addresses, and Pacemaker.
    pub(crate) fn join(&self, nodes: &[(&str, &str)]) {
        let node = |(number, (name, address)): (usize, &(&str, &str))| {
            format!(
                "  node {{\n    name: {name}\n    nodeid: {}\n    ring0_addr: {address}\n  }}\n",
                number + 1
            )
        };
        let list: String = nodes.iter().enumerate().map(node).collect();
        let two = if nodes.len() == 2 { "  two_node: 1\n  wait_for_all: 0\n" } else { "" };
        let text = format!(
            "totem {{\n  version: 2\n  cluster_name: lab\n  transport: udpu\n  crypto_cipher: none\n  crypto_hash: none\n  \
             token: 5000\n}}\nlogging {{\n  to_stderr: no\n  to_syslog: no\n  to_logfile: yes\n  \
             logfile: /var/log/corosync/corosync.log\n}}\nquorum {{\n  provider: corosync_votequorum\n{two}}}\n\
             nodelist {{\n{list}}}\n"
        );
        let written = self.enter(move || {
            fs::write("/etc/corosync/corosync.conf", text)?;
            fs::write("/var/lib/pacemaker/cib/cib.xml", CONFIGURATION)
        });
        written.unwrap();
        self.expect("chown -R hacluster:haclient /var/lib/pacemaker /var/log/pacemaker /run/crm");
        self.expect("chmod 600 /var/lib/pacemaker/cib/cib.xml");
        self.spawn("corosync");
        wait_for("corosync", || match self.run("corosync-quorumtool -s") {
            Ended { code: Some(0), .. } => Ok(()),
            ended => Err(ended.output),
        });
        self.spawn("pacemakerd");
    }

    /// What directs there, found out without a program: to start one costs more than the director.
    pub(crate) fn directing(&self) -> Directing {
        let table = self.read("/proc/1/net/ip_vs");
        let services = table.lines().filter(|line| line.starts_with("TCP ")).count();
        let routes = self.read("/proc/1/net/fib_trie");
        let (processes, pid_files) = self.enter(|| {
            let entries =
                |folder: &str| fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
            let called = |path: &Path| {
                fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "ldirectord")
            };
            let number = |path: PathBuf| path.file_name()?.to_str()?.parse::<i32>().ok();
            let processes =
                entries("/proc").filter(|path| called(path)).filter_map(number).collect();
            let is_ours = |path: &PathBuf| path.to_string_lossy().starts_with("/run/ldirectord.");
            (processes, entries("/run").filter(is_ours).count())
        });
        let has_address = routes.contains(&format!("|-- {ADDRESS}\n"));
        Directing { services, processes, pid_files, has_address }
    }
}

/// What is on a node of a director.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Directing {
    /// In the kernel's table.
    pub(crate) services: usize,
    pub(crate) processes: Vec<i32>,
    pub(crate) pid_files: usize,
    pub(crate) has_address: bool,
}
