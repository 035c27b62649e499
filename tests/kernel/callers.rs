//! Those who called the Perl program call this one: Debian's init script, its unit, and Heartbeat by a link. All three are the
//! files of Debian's package, as the lab has them.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use libtest_mimic::Trial;
use nix::{
    sched::{CloneFlags, unshare},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::lab::{Namespace, trial, wait_for};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("callers_debians_init_script_gets_the_codes_it_knows", init_script),
        trial("callers_debians_unit_of_type_forking_starts_and_stops_it", forking_unit),
        trial("callers_heartbeat_calls_it_by_a_link", heartbeat),
    ]
}

const PERL: &str = "/usr/sbin/ldirectord";
const UNIT: &str = "/usr/lib/systemd/system/ldirectord.service";
const LINK: &str = "/etc/ha.d/resource.d/ldirectord";
const INIT: &str = "/etc/init.d/ldirectord";

/// An empty `/run`, where the pid files are, and this program in the place of the Perl one: all for this trial alone.
fn in_its_place(namespace: &Namespace) {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    namespace.run("mount", &["--make-rprivate", "/"]);
    namespace.run("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
    fs::create_dir_all("/run/lock").unwrap();
    namespace.run("mount", &["--bind", env!("CARGO_BIN_EXE_ldirectord"), PERL]);
    let version = namespace.run(PERL, &["--version"]);
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
}

/// A configuration of this name, for a virtual service without a check.
fn configure(name: &str) -> String {
    let path = format!("/etc/ha.d/{name}");
    let text = "checkinterval = 1\nvirtual = 192.0.2.1:80\n\treal = 127.0.0.2:80 masq\n\
                \tchecktype = on\n\tprotocol = tcp\n";
    fs::write(&path, text).unwrap();
    path
}

/// The pid in the pid file of this name, of a process that lives.
fn pid(name: &str) -> Result<Pid, String> {
    let file = format!("/var/run/ldirectord.{name}.pid");
    let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
    let pid = text.trim().parse().map_err(|_| format!("{file}: {text:?}"))?;
    let lives = Path::new(&format!("/proc/{pid}/exe")).exists();
    if lives { Ok(Pid::from_raw(pid)) } else { Err(format!("{pid} has gone")) }
}

/// What the table should be like: with the service and its server, or empty.
fn directs(namespace: &Namespace, should: bool) -> Result<(), String> {
    let table = namespace.table();
    let does = table.contains("-a -t 192.0.2.1:80 -r 127.0.0.2:80 -m");
    if (should && does) || (!should && table.is_empty()) { Ok(()) } else { Err(table) }
}

fn init_script(namespace: &Namespace) {
    in_its_place(namespace);
    let name = "callers.cf";
    let path = configure(name);
    fs::write("/etc/default/ldirectord", format!("CONFIG_FILE={path}\n")).unwrap();
    let call = |command: &str| namespace.output(Command::new(INIT).arg(command)).status.code();
    // The script hands the codes through; that both programs have the same is a scene of tests/oracle.
    let answers = |expected: &[(&str, i32)]| {
        for &(command, code) in expected {
            assert_eq!(call(command), Some(code), "{command}");
        }
    };
    answers(&[("status", 3), ("reload", 1), ("force-reload", 1), ("try-restart", 0), ("stop", 0)]);
    assert!(pid(name).is_err());
    answers(&[("nonsense", 1), ("start", 0)]);
    directs(namespace, true).unwrap();
    let first = pid(name).unwrap();
    answers(&[("start", 0), ("status", 0), ("reload", 0), ("force-reload", 0)]);
    assert_eq!(pid(name), Ok(first));
    for command in ["restart", "try-restart"] {
        let before = pid(name).unwrap();
        answers(&[(command, 0)]);
        assert_ne!(pid(name).unwrap(), before, "{command}");
        directs(namespace, true).unwrap();
    }
    kill(pid(name).unwrap(), Signal::SIGKILL).unwrap();
    wait_for("its end", || pid(name).map_or_else(|_| Ok(()), |pid| Err(pid.to_string())));
    answers(&[("status", 1), ("start", 0), ("stop", 0)]);
    directs(namespace, false).unwrap();
    answers(&[("status", 3)]);

    // Without the file that it names it does nothing, and that is no failure.
    fs::remove_file(path).unwrap();
    answers(&[("start", 0)]);
    assert!(pid(name).is_err());
}

/// What the unit has under this key, as words; systemd knows no shell either.
fn words_of_the_unit(key: &str) -> Vec<String> {
    let unit = fs::read_to_string(UNIT).unwrap();
    let line = unit.lines().find_map(|line| line.strip_prefix(&format!("{key}="))).unwrap();
    line.split_whitespace().map(str::to_owned).collect()
}

#[track_caller]
fn run_of_the_unit(namespace: &Namespace, key: &str) {
    let words = words_of_the_unit(key);
    let output = namespace.output(Command::new(&words[0]).args(&words[1..]).current_dir("/"));
    assert!(output.status.success(), "{key}: {output:?}");
}

fn forking_unit(namespace: &Namespace) {
    in_its_place(namespace);
    configure("ldirectord.cf");
    assert_eq!(words_of_the_unit("Type"), ["forking"]);
    assert_eq!(words_of_the_unit("KillMode"), ["none"]);
    assert_eq!(words_of_the_unit("PIDFile"), ["/run/ldirectord.ldirectord.pid"]);
    // The administrator has made it, as the unit fails without.
    fs::create_dir_all("/var/lock/subsys").unwrap();

    run_of_the_unit(namespace, "ExecStart");
    // At once: systemd reads it when the command returns, and takes the process for the service.
    let daemon = pid("ldirectord").unwrap();
    directs(namespace, true).unwrap();
    run_of_the_unit(namespace, "ExecStartPost");
    assert!(Path::new("/var/lock/subsys/ldirectord").exists());
    run_of_the_unit(namespace, "ExecReload");
    assert_eq!(pid("ldirectord"), Ok(daemon));
    // Nobody kills what is left, so nothing may be left when the command returns.
    run_of_the_unit(namespace, "ExecStop");
    assert!(pid("ldirectord").is_err());
    assert_eq!(namespace.processes(), []);
    directs(namespace, false).unwrap();
    run_of_the_unit(namespace, "ExecStopPost");
    assert!(!Path::new("/var/lock/subsys/ldirectord").exists());
    // So a start may follow at once.
    run_of_the_unit(namespace, "ExecStart");
    assert_ne!(pid("ldirectord").unwrap(), daemon);
    run_of_the_unit(namespace, "ExecStop");
}

fn heartbeat(namespace: &Namespace) {
    in_its_place(namespace);
    // `director ldirectord::heartbeat.cf` in haresources.
    let name = "heartbeat.cf";
    configure(name);
    assert_eq!(fs::read_link(LINK).unwrap(), Path::new(PERL));
    let call = |command: &str| namespace.output(Command::new(LINK).args([name, command]));
    let says = |output: &Output, word: &str| {
        let said = [output.stdout.as_slice(), &output.stderr].concat();
        String::from_utf8(said).unwrap().contains(word)
    };
    let stopped = call("status");
    assert!(!stopped.status.success());
    assert!(!says(&stopped, "running") && says(&stopped, "stopped"), "{stopped:?}");
    assert!(call("stop").status.success(), "nothing runs");
    assert!(call("start").status.success());
    directs(namespace, true).unwrap();
    // Heartbeat looks for the word.
    let running = call("status");
    assert!(running.status.success() && says(&running, "running"), "{running:?}");
    assert!(call("start").status.success(), "it runs already");
    assert!(call("stop").status.success());
    directs(namespace, false).unwrap();
    assert!(pid(name).is_err());
}
