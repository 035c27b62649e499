//! A file: logrotate, whatever it does with it.

use std::{fs, process::Command};

use crate::site::{self, Server, signal, wait};

/// Rotates under a daemon that is not told; no line is lost, and the next ones are in the new file.
pub(crate) fn a_rotated_log_goes_on(how: &str) {
    let server = Server::up();
    let site = crate::site("", &[]);
    let log = site.path("log");
    let globals = format!("logfile=\"{}\"\n", log.display());
    fs::write(site.config(), crate::configuration(&globals, &[&server])).unwrap();
    let pid = site.start();
    // Its last two lines; they come in any order.
    let at = server.address();
    site.wait_for_line(&format!("Added real server: {at} (192.0.2.1:80) (Weight set to 5)"), 1);
    site.wait_for_line(&format!("Check passed, server is up: {at} (tcp:192.0.2.1:80)"), 1);
    let before = site.log();
    let (rules, state) = (site.path("logrotate.conf"), site.path("logrotate.state"));
    let rule = format!("{} {{\n rotate 2\n {how}\n su root root\n}}\n", log.display());
    fs::write(&rules, rule).unwrap();
    for round in 1..=2 {
        let rotated = Command::new("logrotate")
            .args(["--force", "--state"])
            .args([&state, &rules])
            .output()
            .unwrap();
        assert!(rotated.status.success(), "{rotated:?}");
        signal(pid, "HUP");
        wait("lines in the new file", || {
            let text = site.log();
            if text.contains("Changed virtual server: 192.0.2.1:80") { Ok(()) } else { Err(text) }
        });
        let old = site::messages(&site.path(&format!("log.{round}")));
        assert_eq!(old, before, "round {round}");
        assert!(!site.log().contains("Starting"), "{}", site.log());
    }
    assert_eq!(site.run(&["web.cf", "stop"]).code, 0);
}
