//! That the lab is one: a table for each namespace, the judge, and the Perl program beside which ours has to stand.

use std::{
    fs,
    net::TcpListener,
    process::{Command, Stdio},
};

use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::support::lab::{Namespace, trial, wait_for};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("smoke_table_of_a_new_namespace_is_empty", is_empty),
        trial("smoke_ipvsadm_shows_what_it_added", shows_what_was_added),
        trial("smoke_namespaces_have_tables_of_their_own", have_tables_of_their_own),
        trial("smoke_processes_end_with_their_namespace", processes_end),
        trial("smoke_perl_ldirectord_tells_its_version", perl_version),
        trial("smoke_perl_ldirectord_fills_the_table", perl_fills_the_table),
        trial("smoke_perl_ldirectord_starts_and_stops_as_a_daemon", perl_daemon),
    ]
}

fn is_empty(namespace: &Namespace) {
    assert_eq!(namespace.table(), "");
}

fn shows_what_was_added(namespace: &Namespace) {
    namespace.ipvsadm(&["-A", "-t", "192.0.2.1:80", "-s", "wrr"]);
    namespace.ipvsadm(&["-a", "-t", "192.0.2.1:80", "-r", "198.51.100.1:8080", "-m", "-w", "7"]);
    let table = "-A -t 192.0.2.1:80 -s wrr\n\
                 -a -t 192.0.2.1:80 -r 198.51.100.1:8080 -m -w 7\n";
    assert_eq!(trimmed(&namespace.table()), table);

    namespace.ipvsadm(&["-C"]);
    assert_eq!(namespace.table(), "");
    namespace.restore(table);
    assert_eq!(trimmed(&namespace.table()), table);
}

fn have_tables_of_their_own(one: &Namespace) {
    let other = Namespace::beside();
    one.ipvsadm(&["-A", "-t", "192.0.2.1:80", "-s", "rr"]);
    other.ipvsadm(&["-A", "-u", "192.0.2.2:53", "-s", "lc"]);
    assert_eq!(trimmed(&one.table()), "-A -t 192.0.2.1:80 -s rr\n");
    assert_eq!(trimmed(&other.table()), "-A -u 192.0.2.2:53 -s lc\n");
    drop(other);
    assert_eq!(trimmed(&one.table()), "-A -t 192.0.2.1:80 -s rr\n");
}

fn processes_end(_: &Namespace) {
    let namespace = Namespace::beside();
    let child = namespace.spawn(Command::new("sleep").arg("1000"));
    // A daemon, of which nobody here is the parent.
    namespace.run("setsid", &["--fork", "sleep", "1001"]);
    let processes = wait_for("the daemon", || match namespace.processes() {
        processes if processes.len() == 2 => Ok(processes),
        processes => Err(format!("{processes:?}")),
    });
    assert!(processes.contains(&child));
    drop(namespace);
    for process in processes {
        // What is left of a daemon until process 1 has taken note is no longer in a namespace.
        let link = format!("/proc/{process}/ns/net");
        assert!(fs::read_link(&link).is_err(), "{link} is still there");
    }
}

fn perl_version(namespace: &Namespace) {
    let output = namespace.output(Command::new("/usr/sbin/ldirectord").arg("-v"));
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.lines().next().unwrap_or_default();
    assert!(version.starts_with("Linux Director v1.186"), "{output:?}");
}

fn perl_fills_the_table(namespace: &Namespace) {
    let site = Site::new();
    let mut command = Command::new("/usr/sbin/ldirectord");
    command.arg("-d").arg(&site.file).arg("start").stdout(Stdio::null()).stderr(Stdio::null());
    namespace.spawn(&mut command);
    site.wait_until_it_serves(namespace);
}

fn perl_daemon(namespace: &Namespace) {
    let site = Site::new();
    let file = site.file.as_str();
    namespace.run("/usr/sbin/ldirectord", &[file, "start"]);
    site.wait_until_it_serves(namespace);
    namespace.run("/usr/sbin/ldirectord", &[file, "stop"]);
    wait_for("an empty table", || match namespace.table() {
        table if table.is_empty() => Ok(()),
        table => Err(table),
    });
}

/// A service with one real server that answers and one that does not.
struct Site {
    _folder: TempDir,
    file: String,
    alive: TcpListener,
}

impl Site {
    fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let alive = TcpListener::bind("127.0.0.2:0").unwrap();
        let port = alive.local_addr().unwrap().port();
        // The program keeps a pid file by the name of its configuration, and trials run at the same time.
        let name = folder.path().file_name().unwrap().to_string_lossy().into_owned();
        let file = folder.path().join(format!("{name}.cf"));
        let text = format!(
            "checktimeout = 5\ncheckinterval = 1\nquiescent = no\nlogfile = \"{}\"\n\n\
             virtual = 192.0.2.1:80\n\
             \treal = 127.0.0.2:{port} masq 3\n\
             \treal = 127.0.0.3:{port} masq 4\n\
             \tservice = none\n\tchecktype = connect\n\tscheduler = wlc\n\tprotocol = tcp\n",
            folder.path().join("log").display()
        );
        fs::write(&file, text).unwrap();
        Site { _folder: folder, file: file.display().to_string(), alive }
    }

    fn wait_until_it_serves(&self, namespace: &Namespace) {
        let port = self.alive.local_addr().unwrap().port();
        let expected =
            format!("-A -t 192.0.2.1:80 -s wlc\n-a -t 192.0.2.1:80 -r 127.0.0.2:{port} -m -w 3\n");
        wait_for("the server that answers, and no other", || match trimmed(&namespace.table()) {
            table if table == expected => Ok(()),
            table => Err(table),
        });
    }
}

/// Without the blanks that `ipvsadm` leaves at the ends of lines.
fn trimmed(table: &str) -> String {
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
