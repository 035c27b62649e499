//! The programs that a configuration names, and the daemons of other configurations, run by the real daemon.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(dead_code, reason = "the module of other tests has more than these need")]

#[path = "support/site.rs"]
mod site;

use std::{
    fs,
    path::{Path, PathBuf},
};

use site::{Server, Site, command_line, end_of, signal, wait, wait_for_end};

/// A service whose only real server listens, or does not, with these lines more.
fn service(server: &str, more: &str) -> String {
    format!(
        "checkinterval=1\nchecktimeout=1\nvirtual=192.0.2.1:80\n\treal={server} masq\n\tchecktype=connect\n\tprotocol=tcp\n{more}"
    )
}

/// An address where nobody listens.
const NOBODY: &str = "127.0.0.1:9";

#[test]
fn the_fallback_command_ends_with_the_daemon_and_what_it_prints_is_logged() {
    let site = Site::new();
    let called = site.path("called");
    let script = format!(
        "echo \"$@\" >>{}\nprintf 'one\\033[31m\\n\\ntwo\\n' >&2\nseq 1000\nexit 3\n",
        called.display()
    );
    fs::write(site.path("script"), script).unwrap();
    let command = format!("/bin/sh {} web", site.path("script").display());
    site.configure(&service(NOBODY, &format!("\tfallbackcommand={command}\n")));
    let calls = |expected: &str| {
        wait("the fallback command", || {
            let text = fs::read_to_string(&called).unwrap_or_default();
            if text == expected { Ok(()) } else { Err(text) }
        });
    };
    // It is needed from the start on, and goes on after an end that leaves the table.
    let pid = site.start();
    calls("web start 192.0.2.1:80 tcp\n");
    let name = format!("{command} start 192.0.2.1:80 tcp");
    site.wait_for_line(&format!("system({name}) failed: exit status: 3"), 1);
    let log = site.log();
    let said: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix(&*name)).collect();
    assert_eq!(said[..3], [": one.[31m", ": two", ": 1"]);
    assert_eq!((said.len(), said[20]), (21, ": … and more, which is not logged"));
    signal(pid, "USR2");
    wait_for_end(pid);
    calls("web start 192.0.2.1:80 tcp\n");
    fs::remove_file(&called).unwrap();
    site.start();
    calls("web start 192.0.2.1:80 tcp\n");
    // What stop says is waited for.
    assert_eq!(site.ldirectord("stop").code, 0);
    calls("web start 192.0.2.1:80 tcp\nweb stop 192.0.2.1:80 tcp\n");
    site.wait_for_line(
        &format!("system({command} stop 192.0.2.1:80 tcp) failed: exit status: 3"),
        1,
    );
}

#[test]
fn a_program_that_does_not_end_does_not_keep_the_daemon_from_ending() {
    let site = Site::new();
    let pids = site.path("pids");
    let script = format!(
        "trap '' TERM; sleep 1000 & echo $$ $! >{0}.new; mv {0}.new {0}; wait; wait\n",
        pids.display()
    );
    fs::write(site.path("script"), script).unwrap();
    let command = format!("/bin/sh {}", site.path("script").display());
    site.configure(&service(NOBODY, &format!("\tfallbackcommand={command}\n\tcleanstop=no\n")));
    let daemon = site.start();
    let pids = wait("the program", || fs::read_to_string(&pids).map_err(|e| e.to_string()));
    assert_eq!(site.ldirectord("stop").code, 0);
    assert_eq!(command_line(daemon), "");
    let killed = "1 of our programs still run after 5 s and are killed, as the daemon ends";
    site.wait_for_line(killed, 1);
    for pid in pids.split_whitespace() {
        wait_for_end(pid.parse().unwrap());
    }
}

/// What a check by a program prints is in the log when it takes a server out of service.
#[test]
fn what_a_failing_check_prints_is_told() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::new();
    let check = site.path("check");
    fs::write(&check, "#!/bin/sh\necho \"$1 $2 $3 $4\"; echo 'no disk' >&2; exit 2\n").unwrap();
    fs::set_permissions(&check, fs::Permissions::from_mode(0o755)).unwrap();
    site.configure(&format!(
        "checkinterval=1\nvirtual=192.0.2.1:80\n\treal={NOBODY} masq\n\tchecktype=external\n\tcheckcommand={}\n",
        check.display()
    ));
    site.start();
    let told = format!(
        "Check failed, server is down: {NOBODY} (tcp:192.0.2.1:80): command: exit status 2: 192.0.2.1 80 127.0.0.1 9; no disk"
    );
    wait("the reason", || {
        let log = site.log();
        if log.contains(&told) { Ok(()) } else { Err(log) }
    });
}

/// Other configurations beside the one of a site, with logs of their own.
struct Others<'a>(&'a Site);

impl Others<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    fn configure(&self, name: &str, config: &str) {
        let log = self.log_file(name);
        fs::write(self.path(name), format!("logfile=\"{}\"\n{config}", log.display())).unwrap();
    }

    fn log_file(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.log"))
    }

    fn line(&self, name: &str) -> String {
        format!("execute={}\n", self.path(name).display())
    }

    /// Waits until it runs; its process.
    fn pid(&self, name: &str) -> i32 {
        wait(&format!("a daemon of {name}"), || {
            let file = self.path(&format!("ldirectord.{name}.pid"));
            let text = fs::read_to_string(file).map_err(|_| self.0.log())?;
            text.trim().parse().map_err(|_| text)
        })
    }

    fn wait_for(&self, name: &str, line: &str, times: usize) {
        wait(line, || {
            let log = site::messages(&self.log_file(name));
            if log.matches(line).count() >= times { Ok(()) } else { Err(log) }
        });
    }
}

fn is_called(pid: i32, file: &Path) -> bool {
    command_line(pid).ends_with(&format!("ldirectord --table memory {} start", file.display()))
}

#[test]
fn other_configurations_are_started_asked_reloaded_and_stopped() {
    let site = Site::new();
    let others = Others(&site);
    let server = Server::up();
    let base = service(&server.address().to_string(), "");
    others.configure("one.cf", "virtual=192.0.2.2:80\n");
    others.configure("two.cf", "virtual=192.0.2.3:80\n");
    let none = format!("execute={}\n", site.path("none.cf").display());
    site.configure(&format!("{}{}{none}{base}", others.line("one.cf"), others.line("two.cf")));
    let start = site.ldirectord("start");
    assert_eq!(start.code, 0);
    assert!(
        start
            .err
            .contains(&format!("there is no configuration {}", site.path("none.cf").display())),
        "{start:?}"
    );
    let (own, one, two) = (site.pid(), others.pid("one.cf"), others.pid("two.cf"));
    assert!(is_called(one, &site.path("one.cf")), "{}", command_line(one));
    let status = site.ldirectord("status");
    assert_eq!(status.code, 0);
    let runs = |name: &str, pid| {
        format!("ldirectord for {} is running with pid: {pid}\n", site.path(name).display())
    };
    let (first, rest) = status.err.split_at(runs("web.cf", own).len());
    assert_eq!(first, runs("web.cf", own));
    assert!(rest.contains(&runs("one.cf", one)) && rest.contains(&runs("two.cf", two)), "{rest}");
    wait("a failed start", || {
        let log = site.log();
        let said = "none.cf not found";
        if log.contains("none.cf start) failed: exit status: 1") && log.contains(said) {
            Ok(())
        } else {
            Err(log)
        }
    });
    // One goes, one stays, one comes.
    others.configure("three.cf", "virtual=192.0.2.4:80\n");
    site.configure(&format!("{}{}{base}", others.line("two.cf"), others.line("three.cf")));
    assert_eq!(site.ldirectord("reload").code, 0);
    let three = others.pid("three.cf");
    wait_for_end(one);
    others.wait_for("two.cf", "Reloading Linux Director Daemon config on signal", 1);
    assert_eq!(others.pid("two.cf"), two);
    // One that has died is started by the next reload.
    signal(three, "KILL");
    wait_for_end(three);
    assert_eq!(site.ldirectord("reload").code, 0);
    let again = wait("another daemon", || {
        let pid = others.pid("three.cf");
        if pid == three { Err(site.log()) } else { Ok(pid) }
    });
    // All leave their tables when this one does, and are started by the next.
    signal(own, "USR2");
    wait_for_end(own);
    assert_eq!(command_line(two) + &command_line(again), "");
    for name in ["two.cf", "three.cf"] {
        others.wait_for(name, "Linux Director Daemon terminated on signal: USR2", 1);
        assert!(!site.path(&format!("ldirectord.{name}.pid")).exists());
    }
    site.start();
    let (two, three) = (others.pid("two.cf"), others.pid("three.cf"));
    assert_eq!(site.ldirectord("stop").code, 0);
    assert_eq!(command_line(two) + &command_line(three), "");
    others.wait_for("two.cf", "Purged virtual server (stop): 192.0.2.3:80", 1);
}

#[test]
fn a_configuration_that_leads_back_is_left_out() {
    let site = Site::new();
    let others = Others(&site);
    others.configure("one.cf", &format!("{}virtual=192.0.2.2:80\n", others.line("two.cf")));
    others.configure("two.cf", &others.line("web.cf"));
    let own = format!("execute={}\n", site.config().display());
    let config = format!("{own}{}{}", others.line("one.cf"), service(NOBODY, ""));
    site.configure(&config);
    let start = site.ldirectord("start");
    assert_eq!(start.code, 0);
    for name in ["web.cf", "one.cf"] {
        let told = format!(
            "{} is this configuration or has it run, and is left out",
            site.path(name).display()
        );
        assert!(start.err.contains(&told), "{start:?}");
    }
    let pid = site.pid();
    let status = site.ldirectord("status");
    let runs = format!("ldirectord for {} is running with pid: {pid}\n", site.config().display());
    assert_eq!((status.code, status.err), (0, runs));
    assert_eq!(site.ldirectord("reload").code, 0);
    site.wait_for_line("Changed virtual server: 192.0.2.1:80", 1);
    assert_eq!(site.ldirectord("stop").code, 0);
    let log = site.log();
    assert_eq!(log.matches("Reloading").count(), 1, "{log}");
    assert!(!log.contains("one.cf start"), "{log}");
}

#[test]
fn fork_and_supervised_change_nothing_that_is_not_asked_for() {
    let site = Site::new();
    let server = Server::up();
    let at = server.address();
    site.configure(&format!("fork=yes\nsupervised=no\n{}", service(&at.to_string(), "")));
    let pid = site.start();
    site.wait_for_line(&format!("Added real server: {at} (192.0.2.1:80) (Weight set to 1)"), 1);
    // No process for each service, and the daemon is one.
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    assert_eq!((children.as_str(), site.pid()), ("", pid));
    drop(server);
    site.wait_for_line(&format!("Deleted real server: {at} (192.0.2.1:80)"), 1);
    assert_eq!(site.ldirectord("stop").code, 0);
    // Without a value it means yes, as in ldirectord.
    site.configure(&format!("supervised\n{}", service(NOBODY, "")));
    let mut child = site
        .program()
        .args(["--table", "memory", "web.cf", "start"])
        .stdout(fs::File::create(site.path("out")).unwrap())
        .stderr(fs::File::create(site.path("err")).unwrap())
        .spawn()
        .unwrap();
    wait("a start", || {
        let out = fs::read_to_string(site.path("out")).unwrap();
        if out.contains("Added virtual server") { Ok(()) } else { Err(out) }
    });
    let err = fs::read_to_string(site.path("err")).unwrap();
    assert!(err.contains("write supervised=yes"), "{err}");
    signal(child.id().try_into().unwrap(), "TERM");
    assert_eq!(end_of(&mut child), Some(0));
}
