//! The daemon as a process: the real program, a table in memory, real servers on the loopback interface.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "support/site.rs"]
mod site;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use openssl::{
    pkey::PKey,
    ssl::{SslAcceptor, SslMethod},
    x509::X509,
};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use site::{Server, Site, command_line, end_of, signal, wait, wait_for_end};

/// A virtual service that checks these servers once a second.
fn service(servers: &[&Server]) -> String {
    let reals: String =
        servers.iter().map(|server| format!("\treal={} masq\n", server.address())).collect();
    format!(
        "checkinterval=1\nchecktimeout=1\nvirtual=192.0.2.1:80\n{reals}\tchecktype=connect\n\tprotocol=tcp\n"
    )
}

fn added(server: &Server) -> String {
    format!("Added real server: {} (192.0.2.1:80) (Weight set to 1)", server.address())
}

fn deleted(server: &Server) -> String {
    format!("Deleted real server: {} (192.0.2.1:80)", server.address())
}

#[test]
fn a_daemon_starts_directs_and_stops() {
    let server = Server::up();
    let site = Site::with(&service(&[&server]));
    let config = site.config().display().to_string();
    let pid = site.start();
    assert_eq!(fs::read_to_string(site.pid_file()).unwrap(), format!("{pid}\n"));
    assert!(command_line(pid).ends_with(&format!("ldirectord --table memory {config} start")));
    assert_eq!(fs::read_to_string(format!("/proc/{pid}/comm")).unwrap(), "ldirectord\n");
    // Nobody else may look into a process that has passwords.
    if nix::unistd::geteuid().is_root() {
        assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap().to_str(), Some("/"));
        for descriptor in 0..3 {
            let target = fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).unwrap();
            assert_eq!(target.to_str(), Some("/dev/null"));
        }
    }
    site.wait_for_line(&added(&server), 1);
    let status = site.ldirectord("status");
    assert_eq!(status.code, 0);
    assert_eq!(status.err, format!("ldirectord for {config} is running with pid: {pid}\n"));
    let again = site.ldirectord("start");
    assert_eq!((again.code, again.all()), (0, String::new()));
    assert_eq!(site.pid(), pid);
    let stop = site.ldirectord("stop");
    assert_eq!((stop.code, stop.all()), (0, String::new()));
    assert_eq!(command_line(pid), "", "stop waits for the end");
    assert!(!site.pid_file().exists());
    let status = site.ldirectord("status");
    assert_eq!((status.code, status.out), (3, format!("ldirectord is stopped for {config}\n")));
    let program = env!("CARGO_BIN_EXE_ldirectord");
    // A quick check may pass before the kernel's owner has answered.
    let passed = format!("Check passed, server is up: {} (tcp:192.0.2.1:80)\n", server.address());
    assert_eq!(site.log().matches(&passed).count(), 1);
    let log =
        site.log().replace(&passed, "").replace(program, "PROGRAM").replace(&config, "CONFIG");
    let log = log.replace(&server.address().to_string(), "SERVER").replace(&pid.to_string(), "PID");
    insta::assert_snapshot!(log, @r"
    Invoking ldirectord invoked as: PROGRAM CONFIG start 
    Starting Linux Director v1.186-ha as daemon
    Added virtual server: 192.0.2.1:80
    Added real server: SERVER (192.0.2.1:80) (Weight set to 1)
    Invoking ldirectord invoked as: PROGRAM CONFIG status 
    ldirectord for CONFIG is running with pid: PID
    Invoking ldirectord invoked as: PROGRAM CONFIG start 
    Invoking ldirectord invoked as: PROGRAM CONFIG stop 
    Purged real server (stop): SERVER (192.0.2.1:80)
    Purged virtual server (stop): 192.0.2.1:80
    Linux Director Daemon terminated on signal: TERM
    Invoking ldirectord invoked as: PROGRAM CONFIG status 
    ldirectord is stopped for CONFIG
    Exiting with exit_status 3: Exiting from ldirectord status
    ");
}

#[test]
fn servers_that_fail_leave_and_come_back() {
    let (steady, shaky) = (Server::up(), Server::up());
    let site = Site::with(&service(&[&steady, &shaky]));
    site.start();
    site.wait_for_line(&added(&steady), 1);
    site.wait_for_line(&added(&shaky), 1);
    let (address, down) = (shaky.address(), deleted(&shaky));
    drop(shaky);
    site.wait_for_line(&down, 1);
    let log = site.log();
    let reason = format!("Check failed, server is down: {address} (tcp:192.0.2.1:80): refused");
    let line = log.lines().find(|line| line.contains(&reason)).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains(" (in connect: connect ") && line.ends_with(" ms)"), "{line}");
    let shaky = Server::up_again(address);
    site.wait_for_line(&added(&shaky), 2);
}

/// An agent that answers `who?` with what this file says, until there is no such file any more. Its port.
fn agent(file: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept()
            && let Ok(line) = fs::read(&file)
        {
            let mut heard = [0; 5];
            stream.read_exact(&mut heard).unwrap();
            assert_eq!(heard, *b"who?\n");
            // A daemon that has ended does not listen.
            stream.write_all(&line).unwrap_or_default();
        }
    });
    port
}

#[test]
fn what_an_agent_says_is_done_and_told() {
    let server = Server::up();
    let (at, site) = (server.address(), Site::new());
    let say = |line: &str| {
        fs::write(site.path("next"), line).unwrap();
        fs::rename(site.path("next"), site.path("line")).unwrap();
    };
    say("up 100%\n");
    let port = agent(site.path("line"));
    site.configure(&format!(
        "checkinterval=1\nvirtual=192.0.2.1:80\n\treal={at} masq 100\n\tfallback=127.0.0.1:9 masq\n\
         \tchecktype=connect\n\tprotocol=tcp\n\tagentport={port}\n\tagentinterval=100ms\n\tagentsend=\"who?\\n\"\n"
    ));
    site.start();
    let log = |lines: &[&str]| {
        for line in lines {
            site.wait_for_line(&line.replace('@', &at.to_string()), 1);
        }
    };
    log(&["Added real server: @ (192.0.2.1:80) (Weight set to 100)"]);
    say("drain # for a while\n");
    log(&[
        "Agent of real server: @ (tcp:192.0.2.1:80) says drain: weight 100 -> 0",
        "Quiescent real server: @ (192.0.2.1:80) (Weight set to 0)",
    ]);
    site.wait_for_line("Added fallback server: 127.0.0.1:9 (192.0.2.1:80) (Weight set to 1)", 2);
    say("ready 50%\r\n");
    log(&[
        "Agent of real server: @ (tcp:192.0.2.1:80) says 50% ready: weight 0 -> 50",
        "Restored real server: @ (192.0.2.1:80) (Weight set to 50)",
    ]);
    say("stopped # for the night\n");
    log(&[
        "Check failed, server is down: @ (tcp:192.0.2.1:80): command: the agent says stopped: for the night",
        "Deleted real server: @ (192.0.2.1:80)",
    ]);
    fs::remove_file(site.path("line")).unwrap();
    wait("a word on the agent that has gone", || {
        let lost = format!(
            "Agent of real server: {at} (tcp:192.0.2.1:80) cannot be asked, what it said last stays: re"
        );
        let log = site.log();
        if log.contains(&lost) { Ok(()) } else { Err(log) }
    });
    assert_eq!(site.ldirectord("stop").code, 0);
}

/// What a service manager hears next, but for beats of the watchdog; those are counted.
fn heard(manager: &UnixDatagram, beats: &mut usize) -> String {
    loop {
        let mut message = [0; 256];
        let length = manager.recv(&mut message).unwrap();
        match str::from_utf8(&message[..length]).unwrap() {
            "WATCHDOG=1\n" => *beats += 1,
            other => return other.to_owned(),
        }
    }
}

#[test]
fn a_service_manager_hears_of_start_reload_and_end() {
    let site = Site::new();
    let (script, seen) = (site.path("check"), site.path("seen"));
    fs::write(&script, format!("#!/bin/sh\nenv >'{}'\n", seen.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let config = format!(
        "checkinterval=1\nvirtual=192.0.2.1:80\n\treal=127.0.0.1:9 masq\n\tchecktype=external\n\tcheckcommand=\"{}\"\n",
        script.display()
    );
    site.configure(&config);
    let manager = UnixDatagram::bind(site.path("manager")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let file = site.config();
    let words = ["--table", "memory", "--foreground", file.to_str().unwrap(), "start"];
    let mut daemon = site
        .program()
        .args(words)
        .env("NOTIFY_SOCKET", site.path("manager"))
        .env("WATCHDOG_USEC", "200000")
        .spawn()
        .unwrap();
    let mut beats = 0;
    assert_eq!(heard(&manager, &mut beats), "READY=1\n");
    assert_eq!(beats, 0, "nothing is said before that");
    assert_eq!(site.pid(), i32::try_from(daemon.id()).unwrap());
    assert_eq!(site.ldirectord("status").code, 0);
    site.wait_for_line("Added virtual server: 192.0.2.1:80", 1);
    let added = "Added real server: 127.0.0.1:9 (192.0.2.1:80) (Weight set to 1)";
    site.wait_for_line(added, 1);
    let environment = fs::read_to_string(&seen).unwrap();
    assert!(environment.contains("PATH="), "{environment}");
    for ours in ["NOTIFY_SOCKET", "WATCHDOG_", "LDIRECTORD_STARTED_BY"] {
        assert!(!environment.contains(ours), "{environment}");
    }
    let second = site.run(&words);
    let message =
        format!("ldirectord for {} runs already, as process {}", file.display(), site.pid());
    assert_eq!(second.code, 1);
    assert!(second.err.starts_with(&message), "{second:?}");
    // Of a file that can be followed and of one that cannot: a reload that is never over is ended by systemd.
    for config in [&config, "nonsense\n"] {
        site.configure(config);
        signal(site.pid(), "HUP");
        let reloading = heard(&manager, &mut beats);
        let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(since.trim_end().parse::<u64>().unwrap() > 0, "{reloading}");
        assert_eq!(heard(&manager, &mut beats), "READY=1\n");
    }
    site.configure(&config);
    wait("beats", || {
        let mut message = [0; 256];
        let length = manager.recv(&mut message).unwrap();
        beats += usize::from(&message[..length] == b"WATCHDOG=1\n");
        if beats > 3 { Ok(()) } else { Err(format!("{beats}")) }
    });
    assert_eq!(site.ldirectord("stop").code, 0);
    assert_eq!(heard(&manager, &mut beats), "STOPPING=1\n");
    assert_eq!(end_of(&mut daemon), Some(0));
    assert!(!site.pid_file().exists());
    site.wait_for_line("Linux Director Daemon terminated on signal: TERM", 1);
}

#[test]
fn a_reload_takes_a_changed_file_over() {
    let (first, second) = (Server::up(), Server::up());
    let site = Site::with(&service(&[&first]));
    let pid = site.start();
    site.wait_for_line(&added(&first), 1);
    site.configure(&service(&[&second]));
    let reload = site.ldirectord("reload");
    assert_eq!((reload.code, reload.all()), (0, String::new()));
    site.wait_for_line("Reloading Linux Director Daemon config on signal", 1);
    site.wait_for_line(&added(&second), 1);
    site.wait_for_line(
        &format!("Purged real server (start): {} (192.0.2.1:80)", first.address()),
        1,
    );
    // The log moves with the file, and force-reload is reload.
    let moved = site.path("moved.log");
    let config = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), config.replace("/log\"", "/moved.log\"")).unwrap();
    assert_eq!(site.ldirectord("force-reload").code, 0);
    wait("lines in the other log", || {
        let text = site::messages(&moved);
        if text.contains("Changed virtual server: 192.0.2.1:80") { Ok(()) } else { Err(text) }
    });
    assert_eq!(site.pid(), pid);
}

#[test]
fn a_connection_is_kept_until_a_reload_says_otherwise() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let service = |keeps: &str| {
        format!(
            "checkinterval=1\nvirtual=192.0.2.1:80\n\treal={address} masq\n\tservice=http\n\thttpkeepalive={keeps}\n\tprotocol=tcp\n"
        )
    };
    let site = Site::with(&service("yes"));
    site.start();
    let (mut kept, _) = listener.accept().unwrap();
    kept.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // Whether a request came; else the connection is at its end.
    let mut answer = || {
        let (mut heard, mut byte) = (Vec::new(), [0]);
        while !heard.ends_with(b"\r\n\r\n") {
            if kept.read(&mut byte).unwrap() == 0 {
                return false;
            }
            heard.extend(byte);
        }
        kept.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_ok()
    };
    assert!(answer() && answer() && answer());
    site.configure(&service("no"));
    assert_eq!(site.ldirectord("reload").code, 0);
    while answer() {}
}

#[test]
fn a_broken_file_changes_nothing_for_a_daemon_that_runs() {
    let server = Server::up();
    let site = Site::with(&service(&[&server]));
    let pid = site.start();
    site.wait_for_line(&added(&server), 1);
    site.configure(&format!("{}nonsense=1\nrubbish\n", service(&[])));
    for command in ["status", "reload", "start", "restart", "try-restart"] {
        let done = site.ldirectord(command);
        assert_eq!(done.code, 2, "{command}: {done:?}");
        assert!(
            done.err.contains("nonsense") && done.err.contains("rubbish"),
            "{command}: {done:?}"
        );
        assert_eq!(site.pid(), pid, "{command}");
    }
    let running = format!("{} is running with pid: {pid}\n", site.config().display());
    assert!(site.ldirectord("status").err.ends_with(&running), "and that the daemon runs");
    assert!(!site.log().contains("Reloading"), "a reload that must fail is not asked for");
    signal(pid, "HUP");
    let kept =
        format!("{} is not followed, the configuration in force stays", site.config().display());
    site.wait_for_line(&kept, 1);
    let log = site.log();
    let error = format!("Error [{pid}] reading file {} at line", site.config().display());
    assert!(log.contains(&error) && log.contains("nonsense") && log.contains("rubbish"), "{log}");
    // Checks go on, which ldirectord's do not.
    let (address, down) = (server.address(), deleted(&server));
    drop(server);
    site.wait_for_line(&down, 1);
    let server = Server::up_again(address);
    site.wait_for_line(&added(&server), 2);
    let stop = site.ldirectord("stop");
    assert_eq!(stop.code, 2, "tools expect the code of a configuration error");
    assert_eq!(command_line(pid), "", "and the daemon stops all the same");
    assert!(!site.pid_file().exists());
}

#[test]
fn a_daemon_whose_file_is_gone_is_found() {
    let site = Site::with(&service(&[]));
    let pid = site.start();
    fs::remove_file(site.config()).unwrap();
    let config = site.config().display().to_string();
    let gone = format!("Config file {config} not found\n");
    let running = format!("ldirectord for {config} is running with pid: {pid}\n");
    let status = site.ldirectord("status");
    assert_eq!((status.code, status.all()), (1, format!("{gone}{running}")));
    let stop = site.ldirectord("stop");
    assert_eq!((stop.code, stop.all(), command_line(pid)), (1, gone.clone(), String::new()));
    let status = site.ldirectord("status");
    assert_eq!((status.code, status.all()), (1, gone));
}

#[test]
fn a_broken_file_starts_nothing_and_every_fault_is_told() {
    let site =
        Site::with("nonsense=1\nvirtual=192.0.2.1:80\n\treal=127.0.0.1:80 nowhere\nrubbish\n");
    let start = site.ldirectord("start");
    assert_eq!((start.code, start.out.as_str()), (2, ""));
    for fault in ["nonsense", "nowhere", "rubbish"] {
        assert!(start.err.contains(fault), "{}", start.err);
    }
    assert!(start.err.contains(&format!("reading file {} at line 2: ", site.config().display())));
    assert!(!site.pid_file().exists());
    assert_eq!(site.log(), "Exiting with exit_status 2: config_error: Configuration Error\n");
}

#[test]
fn a_killed_daemon_leaves_a_stale_pid_file() {
    let site = Site::with(&service(&[]));
    let config = site.config().display().to_string();
    let pid = site.start();
    signal(pid, "KILL");
    wait_for_end(pid);
    let status = site.ldirectord("status");
    assert_eq!(status.code, 1);
    assert_eq!(status.out, format!("ldirectord is stopped for {config}\n"));
    assert_eq!(
        status.err,
        format!("ldirectord stale pid file {} for {config}\n", site.pid_file().display())
    );
    assert_eq!(site.ldirectord("reload").code, 1);
    assert_eq!(site.ldirectord("try-restart").code, 0);
    assert_eq!(site.ldirectord("stop").code, 0);
    assert_eq!(site.ldirectord("status").code, 3, "stop tidies up");
    let next = site.start();
    assert_ne!(next, pid);
    assert_eq!(site.ldirectord("status").code, 0);
}

#[test]
fn a_pid_file_is_not_believed() {
    let site = Site::with(&service(&[]));
    let mut other = Command::new("sleep").arg("600").arg0_like_an_editor(&site).spawn().unwrap();
    for (content, code) in [
        ("", 3),
        ("\n", 3),
        ("rubbish\n", 1),
        ("-1\n", 1),
        ("0\n", 1),
        ("99999999999999999999\n", 1),
        (&*format!("{}\n", other.id()), 1),
    ] {
        fs::write(site.pid_file(), content).unwrap();
        assert_eq!(site.ldirectord("status").code, code, "{content:?}");
        assert_eq!(site.ldirectord("stop").code, 0, "{content:?}");
    }
    assert_eq!(other.try_wait().unwrap(), None, "a process that is no daemon is left alone");
    site.start();
    assert_eq!(site.ldirectord("status").code, 0);
    other.kill().unwrap();
    other.wait().unwrap();
}

/// Calls itself as a person who edits the configuration would appear.
trait Editor {
    fn arg0_like_an_editor(&mut self, site: &Site) -> &mut Command;
}

impl Editor for Command {
    fn arg0_like_an_editor(&mut self, site: &Site) -> &mut Command {
        use std::os::unix::process::CommandExt as _;
        self.arg0(format!("vi {}/ldirectord.cf", site.path("etc").display()))
    }
}

#[test]
fn of_many_starts_at_a_time_one_wins() {
    let site = Site::with(&service(&[]));
    let config = site.config();
    let words = ["--table", "memory", config.to_str().unwrap(), "start"];
    let starts: Vec<_> = (0..6)
        .map(|_| {
            site.program().args(words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for start in starts {
        let done = start.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!((done.status.code(), said.as_ref()), (Some(0), ""));
        assert_eq!(site.ldirectord("status").code, 0);
    }
    let starting = site.log().matches("Starting Linux Director").count();
    assert_eq!(starting, 1, "{}", site.log());
}

#[test]
fn a_start_that_is_given_up_does_not_come_true_later() {
    let site = Site::with(&service(&[]));
    // Opening a log that nobody reads holds the start up.
    assert!(Command::new("mkfifo").arg(site.path("log")).status().unwrap().success());
    let mut first = site.program().args(["--table=memory", "web.cf", "start"]).spawn().unwrap();
    let second = wait("the second process", || {
        let children = format!("/proc/{0}/task/{0}/children", first.id());
        let children = fs::read_to_string(children).unwrap();
        children.trim().parse().map_err(|_| children)
    });
    wait("its own work", || {
        let line = command_line(second);
        let folder = fs::symlink_metadata(format!("/proc/{second}/cwd"));
        if line.ends_with("web.cf start") && folder.is_ok() { Ok(()) } else { Err(line) }
    });
    first.kill().unwrap();
    first.wait().unwrap();
    wait_for_end(second);
    assert!(!site.pid_file().exists());
}

#[test]
fn restart_is_another_process_and_looks_like_a_start() {
    let site = Site::with(&service(&[]));
    assert_eq!(site.ldirectord("try-restart").code, 0);
    assert!(!site.pid_file().exists(), "nothing ran, nothing is started");
    assert_eq!(site.ldirectord("restart").code, 0);
    let first = site.pid();
    assert_eq!(site.ldirectord("restart").code, 0);
    let second = site.pid();
    assert_eq!(site.ldirectord("try-restart").code, 0);
    let third = site.pid();
    assert!(first != second && second != third);
    assert_eq!(command_line(first) + &command_line(second), "");
    assert!(command_line(third).ends_with("web.cf start"), "{}", command_line(third));
}

#[test]
fn a_file_named_relatively_can_be_read_again() {
    let server = Server::up();
    let site = Site::with(&service(&[&server]));
    assert_eq!(site.run(&["--table=memory", "web.cf", "start"]).code, 0);
    assert_eq!(site.run(&["./web.cf", "reload"]).code, 0);
    site.wait_for_line("Changed virtual server: 192.0.2.1:80", 1);
    assert_eq!(site.run(&["web.cf", "stop"]).code, 0);
}

#[test]
fn stopping_needs_no_name_server() {
    let site = Site::with(&service(&[]));
    let pid = site.start();
    site.configure(&format!("{}\treal=no-such-host.invalid:80 masq\n", service(&[])));
    assert_eq!(site.ldirectord("status").code, 0);
    let reload = site.ldirectord("reload");
    assert_eq!(reload.code, 2);
    assert!(reload.err.contains("no-such-host.invalid"), "{}", reload.err);
    assert_eq!(site.ldirectord("stop").code, 0);
    assert_eq!(command_line(pid), "");
    assert_eq!(site.ldirectord("start").code, 2);
    assert!(!site.pid_file().exists());
}

#[test]
fn signals_that_ask_for_nothing_do_nothing() {
    let site = Site::with(&service(&[]));
    let pid = site.start();
    for name in ["USR1", "ALRM", "PIPE"] {
        signal(pid, name);
    }
    signal(pid, "HUP");
    site.wait_for_line("Changed virtual server: 192.0.2.1:80", 1);
    assert_eq!(site.pid(), pid);
    signal(pid, "INT");
    signal(pid, "TERM");
    wait_for_end(pid);
    site.wait_for_line("Purged virtual server (stop): 192.0.2.1:80", 1);
    let log = site.log();
    assert_eq!(log.matches("terminated on signal").count(), 1, "{log}");
    assert!(!site.pid_file().exists());
}

#[test]
fn a_daemon_that_is_to_be_followed_leaves_its_table() {
    let site = Site::with(&service(&[]));
    let pid = site.start();
    signal(pid, "USR2");
    wait_for_end(pid);
    site.wait_for_line("Linux Director Daemon terminated on signal: USR2", 1);
    assert!(!site.log().contains("Purged"), "{}", site.log());
    assert!(!site.pid_file().exists());
    assert_ne!(site.start(), pid);
}

#[test]
fn supervised_stays_and_speaks_on_standard_output() {
    let site = Site::with(&format!("supervised=yes\n{}", service(&[])));
    let mut child = site
        .program()
        .args(["--table", "memory", "web.cf", "start"])
        .stdout(fs::File::create(site.path("out")).unwrap())
        .stderr(fs::File::create(site.path("err")).unwrap())
        .spawn()
        .unwrap();
    let out = wait("a supervised start", || {
        let out = fs::read_to_string(site.path("out")).unwrap();
        if out.contains("Added virtual server: 192.0.2.1:80") { Ok(out) } else { Err(out) }
    });
    let first = out.lines().next().unwrap();
    let (date, message) = first.split_once("] ").unwrap();
    assert_eq!(date.len(), "[Fri Nov 20 05:10:39 2026".len());
    assert!(message.starts_with("Invoking ldirectord invoked as: "));
    assert!(out.contains(&format!("Starting Linux Director v1.186-ha with pid: {}", child.id())));
    assert!(!site.pid_file().exists());
    assert_eq!(site.ldirectord("status").code, 3);
    signal(child.id().try_into().unwrap(), "TERM");
    assert_eq!(end_of(&mut child), Some(0));
    assert_eq!(fs::read_to_string(site.path("err")).unwrap(), "");
    assert_eq!(site.log(), "");
}

#[test]
fn debug_stays_and_tells_everything_on_standard_error() {
    let server = Server::up();
    let site = Site::with(&service(&[&server]));
    let mut child = site
        .program()
        .args(["-d", "--table", "memory", "web.cf", "start"])
        .stdout(Stdio::null())
        .stderr(fs::File::create(site.path("err")).unwrap())
        .spawn()
        .unwrap();
    wait("a start", || {
        let err = fs::read_to_string(site.path("err")).unwrap();
        let lines =
            "DEBUG2: Added virtual server: 192.0.2.1:80\nAdded virtual server: 192.0.2.1:80\n";
        let checked = format!("Checked {}: up (in connect", server.address());
        if err.contains(lines) && err.contains(&checked) { Ok(()) } else { Err(err) }
    });
    assert!(!site.pid_file().exists());
    signal(child.id().try_into().unwrap(), "INT");
    assert_eq!(end_of(&mut child), Some(0));
    assert_eq!(site.log(), "");
}

#[test]
fn a_changed_file_is_noticed_and_the_callback_is_told() {
    let server = Server::up();
    let site = Site::new();
    let script = site.path("callback");
    fs::write(&script, format!("#!/bin/sh\necho \"$@\" >>{}\n", site.path("called").display()))
        .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let callback = format!("callback=\"{}\"\n", script.display());
    site.configure(&format!("{callback}{}", service(&[])));
    site.start();
    let changed = format!("Configuration file '{}' has changed on disk", site.config().display());
    let calls = |times| {
        wait("the callback", || {
            let called = fs::read_to_string(site.path("called")).unwrap_or_default();
            let expected = format!("{}\n", site.config().display()).repeat(times);
            if called == expected { Ok(()) } else { Err(called) }
        });
    };
    site.configure(&format!("{callback}autoreload=yes\n{}", service(&[])));
    site.wait_for_line(&changed, 1);
    site.wait_for_line(" - ignore new configuration", 1);
    calls(1);
    assert_eq!(site.ldirectord("reload").code, 0);
    site.wait_for_line("Changed virtual server: 192.0.2.1:80", 1);
    site.configure("half a fi");
    site.wait_for_line(" - reread new configuration", 1);
    calls(2);
    site.configure(&format!("{callback}autoreload=yes\n{}", service(&[&server])));
    site.wait_for_line(" - reread new configuration", 2);
    site.wait_for_line(&added(&server), 1);
    calls(3);
    fs::remove_file(site.config()).unwrap();
    let pid = site.pid();
    let warning =
        format!("Warning [{pid}]: can not open file {} for checking", site.config().display());
    site.wait_for_line(&warning, 1);
    assert!(!command_line(pid).is_empty());
    // The file that stop wants to read is gone, too.
    assert_eq!(site.ldirectord("stop").code, 1);
    signal(pid, "TERM");
    wait_for_end(pid);
}

/// Or a start from there would take itself for the second process of this one.
#[test]
fn programs_are_not_told_what_the_daemon_is() {
    let site = Site::new();
    let (check, told) = (site.path("check"), site.path("told"));
    fs::write(&check, format!("#!/bin/sh\nenv >{0}.new && mv {0}.new {0}\n", told.display()))
        .unwrap();
    fs::set_permissions(&check, fs::Permissions::from_mode(0o755)).unwrap();
    site.configure(&format!(
        "checkinterval=1\nvirtual=192.0.2.1:80\n\treal=127.0.0.1:1 masq\n\tchecktype=external\n\tcheckcommand={}\n",
        check.display()
    ));
    site.start();
    let environment = wait("the check", || fs::read_to_string(&told).map_err(|e| e.to_string()));
    assert!(environment.contains("PATH="), "{environment}");
    assert!(!environment.contains("LDIRECTORD_STARTED_BY"), "{environment}");
}

#[test]
fn the_fallback_command_follows_the_servers() {
    let server = Server::up();
    let site = Site::new();
    let called = site.path("called");
    fs::write(site.path("script"), format!("echo \"$@\" >>{}\n", called.display())).unwrap();
    let command = format!("\tfallbackcommand=/bin/sh {} web\n", site.path("script").display());
    site.configure(&format!("{}{command}", service(&[&server])));
    site.start();
    site.wait_for_line(&added(&server), 1);
    let (address, down) = (server.address(), deleted(&server));
    drop(server);
    site.wait_for_line(&down, 1);
    let _server = Server::up_again(address);
    wait("the fallback command", || {
        let text = fs::read_to_string(&called).unwrap_or_default();
        let expected = "web start 192.0.2.1:80 tcp\nweb stop 192.0.2.1:80 tcp\n";
        if text.ends_with(expected) { Ok(()) } else { Err(text) }
    });
}

#[test]
fn a_monitor_file_has_a_line_for_every_check() {
    let server = Server::up();
    let (address, site) = (server.address(), Site::new());
    let monitor = site.path("monitor");
    let directive = format!("\tmonitorfile=\"{}\"\n", monitor.display());
    site.configure(&format!("{}{directive}", service(&[&server])));
    let pid = site.start();
    let wait_for = |state: &str| {
        let (ip, port) = (address.ip(), address.port());
        let start = format!("[{pid}] connect tcp {ip} {port} 1 masq /  [{state}] ");
        wait(&start, || {
            let text = fs::read_to_string(&monitor).unwrap();
            if text.contains(&start) { Ok(()) } else { Err(text) }
        });
    };
    wait_for("up");
    drop(server);
    wait_for("down");
}

#[test]
fn what_has_no_effect_yet_is_told() {
    let site = Site::with("statuslisten=8090\n");
    site.start();
    site.wait_for_line("statuslisten has no effect in this version of ldirectord", 1);
}

#[test]
fn files_that_cannot_be_written_are_faults_of_the_configuration() {
    let site = Site::with(&service(&[]));
    let config = |what: &str| format!("{}\tmonitorfile={what}\n", service(&[]));
    let pid = site.start();
    site.configure(&config("/no/such/folder/file"));
    for (command, code) in [("status", 0), ("reload", 2), ("restart", 2)] {
        let done = site.ldirectord(command);
        assert_eq!(done.code, code, "{command}: {done:?}");
        let fault =
            "at line 7: unable to open monitorfile /no/such/folder/file: No such file or directory";
        assert_eq!(done.err.contains(fault), code == 2, "{command}: {done:?}");
    }
    assert_eq!(site.pid(), pid);
    assert_eq!(site.ldirectord("stop").code, 0);
    fs::write(site.config(), "checkinterval=1\nlogfile=\"/no/such/folder/log\"\n").unwrap();
    let start = site.ldirectord("start");
    assert_eq!(start.code, 2);
    assert!(
        start.err.contains("at line 2: unable to open logfile /no/such/folder/log: "),
        "{start:?}"
    );
    assert!(!site.pid_file().exists());
}

#[test]
fn a_rotated_log_is_made_anew() {
    let site = Site::with(&service(&[]));
    let pid = site.start();
    fs::rename(site.path("log"), site.path("log.1")).unwrap();
    signal(pid, "HUP");
    site.wait_for_line("Reloading Linux Director Daemon config on signal", 1);
}

#[test]
fn a_pid_file_that_cannot_be_written_is_told() {
    let site = Site::with(&service(&[]));
    let nowhere = site.path("no/such/folder");
    let start = site
        .program()
        .args(["--table", "memory", "web.cf", "start"])
        .env("LDIRECTORD_RUN_DIR", &nowhere)
        .output()
        .unwrap();
    assert_eq!(start.status.code(), Some(1));
    let said = String::from_utf8(start.stderr).unwrap();
    let message = format!("Can not open {}/ldirectord.web.cf.pid", nowhere.display());
    assert_eq!(said.lines().next(), Some(&*message));
    assert!(site.log().contains(&message));
}

#[test]
fn an_idle_daemon_sleeps() {
    let site = Site::with("checkinterval=3600\nvirtual=192.0.2.1:80\n\tprotocol=tcp\n");
    let pid = site.start();
    let switches = || {
        let mut total: u64 = 0;
        for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let counts = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
            total += counts.map(|(_, count)| count.trim().parse::<u64>().unwrap()).sum::<u64>();
        }
        total
    };
    // Settled when it did nothing for a while, which is also what is to be shown.
    let mut before = switches();
    wait("a daemon that does nothing for half a second", || {
        thread::sleep(Duration::from_millis(500));
        let now = switches();
        if std::mem::replace(&mut before, now) == now {
            Ok(())
        } else {
            Err(format!("{now} switches"))
        }
    });
}

/// A web server over TLS whose certificate ends on this day, and how many requests it has answered.
fn web_server(ends: Date) -> (SocketAddr, Arc<AtomicUsize>) {
    let mut parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let (month, day) = (ends.month().unsigned_abs(), ends.day().unsigned_abs());
    parameters.not_after = date_time_ymd(ends.year().into(), month, day);
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_certificate(&X509::from_der(certificate.der()).unwrap()).unwrap();
    let key = PKey::private_key_from_der(&key.serialize_der()).unwrap();
    acceptor.set_private_key(&key).unwrap();
    let acceptor = acceptor.build();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answered = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&answered);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = acceptor.accept(stream.unwrap()) else { continue };
            let mut heard = Vec::new();
            let mut byte = [0];
            while !heard.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0)
            {
                heard.extend(byte);
            }
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").unwrap_or_default();
            // The client may have gone.
            drop(stream.shutdown());
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (address, answered)
}

#[test]
fn the_end_of_a_certificate_is_told_once() {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let (soon, later) = (today.saturating_add(6.days()), today.saturating_add(60.days()));
    let (near, asked) = web_server(soon);
    let (far, asked_too) = web_server(later);
    let services = format!(
        "checkinterval=1\nvirtual=192.0.2.1:443\n\treal={near} masq\n\treal={far} masq\n\
         virtual=192.0.2.2:443\n\treal={near} masq\n\trequest=\"other.html\"\n"
    );
    let site = Site::with(&services);
    site.start();
    let is_checked = |times: usize| {
        wait("checks", || {
            let count = asked.load(Ordering::Relaxed).min(asked_too.load(Ordering::Relaxed));
            if count >= times { Ok(()) } else { Err(format!("{count} checks\n{}", site.log())) }
        });
    };
    is_checked(3);
    assert_eq!(site.ldirectord("reload").code, 0);
    site.wait_for_line("Reloading Linux Director Daemon config on signal", 1);
    is_checked(asked.load(Ordering::Relaxed).max(asked_too.load(Ordering::Relaxed)) + 6);
    let log = site.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("ertificate")).collect();
    let [unverified, end] = told[..] else { panic!("{log}") };
    let expected = "3 checks over TLS do not verify the certificates of their real servers; tlsverify=yes would";
    assert_eq!(unverified, expected);
    assert!(end.starts_with(&format!("Certificate of a real server ends on {soon}, in ")), "{end}");
    assert!(
        end.ends_with("; renew it") && end.contains(&format!(" days: {near} (tcp:192.0.2.")),
        "{end}"
    );
}
