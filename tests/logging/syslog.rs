//! The system's log: busybox's daemon, which shows facility and priority of each line.

use std::{fs, process::Command};

use crate::site::{Server, wait};

pub(crate) fn a_facility_gets_the_lines() {
    let server = Server::up();
    let site = crate::site("logfile=\"local3\"\n", &[&server]);
    let log = site.path("syslog");
    let mut syslogd =
        Command::new("busybox").args(["syslogd", "-n", "-O"]).arg(&log).spawn().unwrap();
    wait("syslogd", || fs::metadata("/dev/log").map_err(|error| error.to_string()));
    let pid = site.start();
    let line = format!(
        "local3.info ldirectord[{pid}]: Added real server: {} (192.0.2.1:80) (Weight set to 5)",
        server.address()
    );
    wait(&line, || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        if text.lines().any(|found| found.ends_with(&line)) { Ok(()) } else { Err(text) }
    });
    assert_eq!(site.run(&["web.cf", "stop"]).code, 0);
    syslogd.kill().unwrap();
    syslogd.wait().unwrap();
}
