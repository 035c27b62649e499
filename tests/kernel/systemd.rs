//! The unit, in the hands of the real systemd: what it restricts leaves the daemon all that it needs.
//!
//! systemd is process 1 of a process namespace, with folders of its own for what it and the daemon write, and no units
//! but ours and what those name.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use libtest_mimic::Trial;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::Pid,
};

use crate::support::lab::{Namespace, trial, wait_for};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("systemd_runs_the_unit", runs_the_unit)]
}

const UNITS: &str = "/usr/lib/systemd/system";

/// What process 1 needs, and what our unit names.
const NEEDED: [&str; 5] = [
    "sysinit.target",
    "basic.target",
    "shutdown.target",
    "network-online.target",
    "nss-lookup.target",
];

const CONFIG: &str = "checkinterval = 1\nvirtual = 192.0.2.1:80\n\treal = 127.0.0.3:80 masq\n\tchecktype = ping\n\
                      \tprotocol = tcp\n";
const SERVING: &str = "-a -t 192.0.2.1:80 -r 127.0.0.3:80 -m -w 1\n";

fn runs_the_unit(namespace: &Namespace) {
    let systemd = Systemd::start(namespace);
    systemd.succeed(&["start", "ldirectord"]);
    assert!(namespace.table().contains(SERVING), "it serves when it is said to: {}", log());
    // As the user, with a filter of system calls and without a right that it could gain.
    let expected = "990 990 990 990";
    assert_eq!(systemd.of_daemon("Uid:"), expected, "{}", log());
    assert_eq!(systemd.of_daemon("CapPrm:"), "0000000000000000");
    assert_eq!(systemd.of_daemon("CapBnd:"), "0000000000000000");
    assert_eq!(
        (systemd.of_daemon("NoNewPrivs:"), systemd.of_daemon("Seccomp:")),
        ("1".into(), "2".into())
    );
    assert!(log().contains("Runs as user ldirectord"), "{}", log());

    systemd.succeed(&["reload", "ldirectord"]);
    wait_for("the reload", || match log() {
        log if log.contains("Reloading Linux Director Daemon config on signal") => Ok(()),
        log => Err(log),
    });
    let refused = systemd.unit(&["start", "ldirectord@web"]);
    assert!(refused.status.success(), "without its file it is left out: {refused:?}");

    // A file that needs root gets it, at a restart that leaves the table alone.
    let (before, first) = (namespace.table(), systemd.main_process());
    fs::write("/etc/ha.d/ldirectord.cf", format!("{CONFIG}\tfallbackcommand = /bin/true\n"))
        .unwrap();
    systemd.succeed(&["restart", "ldirectord"]);
    assert_ne!(systemd.main_process(), first);
    assert_eq!(systemd.of_daemon("Uid:"), "0 0 0 0", "{}", log());
    assert_eq!(namespace.table(), before);
    assert!(!log().contains("Purged"), "{}", log());
    systemd.succeed(&["reload", "ldirectord"]);
    // Who keeps it is told how to replace it.
    let refused = systemd.run(&["/usr/sbin/ldirectord", "reexec"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("hint: systemctl restart ldirectord.service does the same"), "{said}");
    systemd.succeed(&["stop", "ldirectord"]);
    assert_eq!(namespace.table(), "");
}

fn log() -> String {
    fs::read_to_string("/var/log/ldirectord.log").unwrap_or_default()
}

struct Systemd<'a> {
    namespace: &'a Namespace,
    parent: Pid,
    process: Pid,
    cgroup: PathBuf,
}

impl Drop for Systemd<'_> {
    fn drop(&mut self) {
        // With its process 1 every process of the namespace ends.
        self.namespace.kill(self.parent);
        remove_groups(&self.cgroup);
    }
}

fn remove_groups(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_groups(&entry.path());
        }
    }
    // A process may still be about to leave it; an empty group harms nobody.
    fs::remove_dir(folder).unwrap_or_default();
}

impl Systemd<'_> {
    fn start(namespace: &Namespace) -> Systemd<'_> {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none: Option<&Path> = None;
        mount(none, "/", none, MsFlags::MS_PRIVATE | MsFlags::MS_REC, none).unwrap();
        let needed = NEEDED.map(|name| (name, fs::read(Path::new(UNITS).join(name)).unwrap()));
        for folder in [UNITS, "/etc/systemd", "/etc/ha.d", "/run", "/var/log"] {
            mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), none).unwrap();
        }
        mount(Some("cgroup2"), "/sys/fs/cgroup", Some("cgroup2"), MsFlags::empty(), none).unwrap();
        let ours = env!("CARGO_BIN_EXE_ldirectord");
        mount(Some(ours), "/usr/sbin/ldirectord", none, MsFlags::MS_BIND, none).unwrap();
        for (name, line) in [
            ("passwd", "ldirectord:x:990:990::/:/usr/sbin/nologin\n"),
            ("group", "ldirectord:x:990:\n"),
            ("machine-id", "0123456789abcdef0123456789abcdef\n"),
        ] {
            let (file, own) = (Path::new("/etc").join(name), Path::new("/run").join(name));
            let others = if name == "machine-id" { Vec::new() } else { fs::read(&file).unwrap() };
            fs::write(&own, [others.as_slice(), line.as_bytes()].concat()).unwrap();
            mount(Some(&own), &file, none, MsFlags::MS_BIND, none).unwrap();
        }
        for (name, text) in needed {
            fs::write(Path::new(UNITS).join(name), text).unwrap();
        }
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/systemd");
        for name in ["ldirectord.service", "ldirectord@.service"] {
            fs::copy(sources.join(name), Path::new(UNITS).join(name)).unwrap();
        }
        fs::write("/etc/ha.d/ldirectord.cf", CONFIG).unwrap();
        let cgroup = Path::new("/sys/fs/cgroup").join(format!("ldirectord-test-{}", Pid::this()));
        fs::create_dir(&cgroup).unwrap();
        // In a part of the machine's control groups that is all of them to it.
        let script = "echo $$ >$1/cgroup.procs && exec unshare --cgroup --pid --fork --kill-child --mount-proc \
                      sh -c 'umount /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec systemd --system --unit=basic.target'";
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "sh"])
            .arg(&cgroup)
            .env("PATH", "/usr/lib/systemd:/usr/sbin:/usr/bin:/sbin:/bin")
            .envs([("container", "lab"), ("SYSTEMD_LOG_TARGET", "null")]);
        let parent = namespace.spawn(&mut command);
        let process = wait_for("systemd", || {
            let children = format!("/proc/{parent}/task/{parent}/children");
            let children = fs::read_to_string(children).unwrap_or_default();
            children
                .split_ascii_whitespace()
                .next()
                .and_then(|pid| pid.parse().ok())
                .ok_or(children)
        });
        let systemd = Systemd { namespace, parent, process: Pid::from_raw(process), cgroup };
        wait_for("its first target", || {
            let state = systemd.unit(&["is-system-running"]);
            if state.status.success() { Ok(()) } else { Err(format!("{state:?}")) }
        });
        systemd
    }

    /// Among the processes of systemd.
    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.process.to_string(), "--pid", "--mount"]).args(words);
        self.namespace.output(&mut command)
    }

    fn unit(&self, words: &[&str]) -> Output {
        self.run(&[&["systemctl"], words].concat())
    }

    #[track_caller]
    fn succeed(&self, words: &[&str]) {
        let done = self.unit(words);
        assert!(done.status.success(), "{words:?}: {done:?}\n{}", log());
    }

    fn main_process(&self) -> String {
        let shown = self.unit(&["show", "--property=MainPID", "--value", "ldirectord"]);
        String::from_utf8(shown.stdout).unwrap().trim().to_owned()
    }

    /// A field of the status of the daemon's main thread.
    fn of_daemon(&self, name: &str) -> String {
        let shown = self.run(&["cat", &format!("/proc/{}/status", self.main_process())]);
        let status = String::from_utf8(shown.stdout).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or(&status);
        line.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
    }
}
