//! systemd's journal: the real journald, and what `journalctl` reads back.

use std::{
    fs,
    io::ErrorKind,
    os::unix::net::UnixDatagram,
    process::{Child, Command},
};

use serde_json::Value;

use crate::{
    configuration,
    site::{Server, end_of, signal, wait},
};

const SOCKET: &str = "/run/systemd/journal/socket";

/// journald at its usual places, with a journal in memory. Killed at the end.
struct Journald(Child);

impl Journald {
    fn start() -> Journald {
        for folder in ["/run/systemd/journal", "/run/log/journal", "/etc/systemd"] {
            fs::create_dir_all(folder).unwrap();
        }
        let settings = "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nRateLimitBurst=0\n";
        fs::write("/etc/systemd/journald.conf", settings).unwrap();
        let journald = Command::new("/lib/systemd/systemd-journald").spawn().unwrap();
        let socket = UnixDatagram::unbound().unwrap();
        wait("journald", || socket.connect(SOCKET).map_err(|error| error.to_string()));
        Journald(journald)
    }

    fn signal(&self, name: &str) {
        signal(self.0.id().try_into().unwrap(), name);
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Everything in the journal, oldest first.
fn entries() -> Vec<Value> {
    let output = Command::new("journalctl").args(["-o", "json", "--no-pager", "-q"]).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The first entry with this `EVENT`, waited for.
fn entry(event: &str) -> Value {
    wait(event, || {
        let entries = entries();
        let found = entries.iter().find(|entry| entry["EVENT"] == event).cloned();
        found.ok_or_else(|| format!("{:?}", entries.last()))
    })
}

pub(crate) fn entries_have_fields_and_a_stuck_journald_holds_up_nobody() {
    // journald asks there to which unit a sender belongs.
    let mount = ["-t", "cgroup2", "-o", "ro", "cgroup2", "/sys/fs/cgroup"];
    assert!(Command::new("mount").args(mount).status().unwrap().success());
    let journald = Journald::start();
    let (steady, shaky) = (Server::up(), Server::up());
    let site = crate::site("logfile=\"journal\"\n", &[&steady, &shaky]);
    let pid = site.start().to_string();
    let started = entry("start");
    let added = entry("server-added");
    for (name, value) in [
        ("MESSAGE", "Starting Linux Director v1.186-ha as daemon"),
        ("PRIORITY", "6"),
        ("SYSLOG_IDENTIFIER", "ldirectord"),
        ("SYSLOG_PID", &pid),
        ("_PID", &pid),
        ("CONFIGURATION", "web.cf"),
    ] {
        assert_eq!(started[name], value, "{name} of {started}");
    }
    for (name, value) in [("SERVICE", "tcp 192.0.2.1:80"), ("WEIGHT", "5"), ("ROLE", "real")] {
        assert_eq!(added[name], value, "{name} of {added}");
    }
    let address = shaky.address();
    drop(shaky);
    let soft = entry("soft-failure");
    assert_eq!((&soft["COUNT"], &soft["OF"]), (&"1".into(), &"2".into()), "{soft}");
    let down = entry("server-down");
    let text = format!("Check failed, server is down: {address} (tcp:192.0.2.1:80): refused");
    assert!(down["MESSAGE"].as_str().unwrap().starts_with(&text), "{down}");
    assert_eq!(
        (&down["SERVER"], &down["REASON"]),
        (&address.to_string().into(), &"refused".into())
    );
    assert_eq!(down["PHASE"], "connect");
    // A fault has several lines, and is one entry.
    fs::write(site.config(), format!("{}rubbish\n", configuration("", &[&steady]))).unwrap();
    signal(site.pid(), "HUP");
    let refused = entry("reload-refused");
    assert_eq!(refused["PRIORITY"], "3", "{refused}");
    let remarks = entry("configuration-remarks");
    assert!(remarks["MESSAGE"].as_str().unwrap().lines().count() > 3, "{remarks}");
    fs::write(site.config(), configuration("logfile=\"journal\"\n", &[&steady])).unwrap();
    assert_eq!(site.run(&["web.cf", "stop"]).code, 0);
    assert_eq!(entry("stop")["SIGNAL"], "TERM");
    stands_still(&journald, &steady);
    comes_back(journald, &steady);
}

/// journald is stopped, and its socket is full: checks go on, commands come to an end, and nothing is lost.
fn stands_still(journald: &Journald, server: &Server) {
    let site = crate::site("", &[]);
    let monitor = site.path("monitor");
    let monitored = |globals| {
        let configuration = configuration(globals, &[server]);
        format!("{configuration}\tmonitorfile={}\n", monitor.display())
    };
    fs::write(site.config(), monitored("logfile=\"journal\"\n")).unwrap();
    site.start();
    journald.signal("STOP");
    fill();
    signal(site.pid(), "HUP");
    let checks = || fs::read_to_string(&monitor).unwrap_or_default().lines().count();
    let before = checks();
    wait("checks beside a journald that stands still", || match checks() - before {
        0..3 => Err(format!("{} checks", checks())),
        _ => Ok(()),
    });
    let status = site.ldirectord("status");
    assert_eq!(status.code, 0, "{status:?}");
    assert_eq!(count("reload"), 1, "that of before");
    journald.signal("CONT");
    wait("what was said meanwhile", || match count("reload") {
        2.. => Ok(()),
        reloads => Err(format!("{reloads} reloads")),
    });
    assert_eq!(site.run(&["web.cf", "stop"]).code, 0);
}

/// journald is gone for a while: what is lost is counted, and told to the one that comes.
fn comes_back(journald: Journald, server: &Server) {
    let site = crate::site("logfile=\"journal\"\n", &[server]);
    let errors = site.path("errors");
    let mut daemon = site
        .program()
        .args(["--table=memory", "--foreground", "web.cf", "start"])
        .stderr(fs::File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    wait("the start", || match count("start") {
        3.. => Ok(()),
        starts => Err(format!("{starts} starts")),
    });
    drop(journald);
    let pid = i32::try_from(daemon.id()).unwrap();
    signal(pid, "HUP");
    wait("a line without a journald", || {
        let text = fs::read_to_string(&errors).unwrap();
        if text.contains("Reloading Linux Director") { Ok(()) } else { Err(text) }
    });
    let _journald = Journald::start();
    signal(pid, "HUP");
    let lost = entry("lines-lost");
    let message = lost["MESSAGE"].as_str().unwrap();
    let why = "log lines were dropped because nobody took them: Connection refused (os error 111)";
    assert!(message.ends_with(why), "{lost}");
    assert_eq!(lost["PRIORITY"], "4");
    signal(pid, "TERM");
    assert_eq!(end_of(&mut daemon), Some(0));
}

/// Sends until there is no room.
fn fill() {
    let socket = UnixDatagram::unbound().unwrap();
    socket.set_nonblocking(true).unwrap();
    let full =
        std::iter::repeat_with(|| socket.send_to(b"MESSAGE=full\n", SOCKET)).find_map(Result::err);
    assert_eq!(full.unwrap().kind(), ErrorKind::WouldBlock);
}

fn count(event: &str) -> usize {
    entries().iter().filter(|entry| entry["EVENT"] == event).count()
}
