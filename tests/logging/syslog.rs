//! The system's log: busybox's daemon, which shows facility and priority of each line.

use std::{fs, net::TcpListener, process::Command, thread};

use crate::site::{Site, wait};

/// How many servers come up in one moment; no socket has room for so many lines.
const SERVERS: usize = 500;

pub(crate) fn a_facility_gets_every_line() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || while listener.accept().is_ok() {});
    let reals: String = (0..SERVERS)
        .map(|number| format!("\treal=127.1.{}.{}:{port} masq\n", number / 250, number % 250 + 1))
        .collect();
    let site = Site::new();
    fs::write(
        site.config(),
        format!("logfile=\"local3\"\nchecktimeout=20\nvirtual=192.0.2.1:80\n{reals}\tchecktype=connect\n\tprotocol=tcp\n"),
    )
    .unwrap();
    let log = site.path("syslog");
    let mut syslogd =
        Command::new("busybox").args(["syslogd", "-n", "-O"]).arg(&log).spawn().unwrap();
    wait("syslogd", || fs::metadata("/dev/log").map_err(|error| error.to_string()));
    let pid = site.start();
    let start = format!("local3.info ldirectord[{pid}]: Added real server: 127.1.");
    wait("every server", || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        assert!(!text.contains("dropped"), "{text}");
        match text.matches(&start).count() {
            SERVERS => Ok(()),
            added => Err(format!("{added} were added")),
        }
    });
    assert_eq!(site.run(&["web.cf", "stop"]).code, 0);
    syslogd.kill().unwrap();
    syslogd.wait().unwrap();
}
