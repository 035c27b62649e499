//! The maintenance directory and the daemon as a process, with a table in memory.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(dead_code, reason = "the module of other tests has more than these need")]

#[path = "support/site.rs"]
mod site;

use std::fs;

use site::{Server, Site, wait};

/// Two services that check this server once a second; nothing checks the second.
fn services(site: &Site, server: &Server) -> String {
    let (directory, monitor) = (site.path("maintenance"), site.path("monitor"));
    let (directory, monitor, real) = (directory.display(), monitor.display(), server.address());
    format!(
        "checkinterval=1\nchecktimeout=1\nmaintenancedir={directory}\n\
         virtual=192.0.2.1:80\n\treal={real} masq\n\tchecktype=connect\n\tmonitorfile={monitor}\n\tprotocol=tcp\n\
         virtual=192.0.2.2:80\n\treal={real} masq\n\tchecktype=on\n\tquiescent=yes\n\tmonitorfile={monitor}\n\tprotocol=tcp\n"
    )
}

#[test]
fn a_file_takes_a_server_out_and_its_end_brings_it_back() {
    let (server, site) = (Server::up(), Site::new());
    let at = server.address();
    site.configure(&services(&site, &server));
    let start = site.ldirectord("start");
    let missing = format!("{} is no directory", site.path("maintenance").display());
    assert_eq!(start.code, 0);
    assert!(start.err.contains(&missing), "{start:?}");
    let log = |lines: &[&str], times| {
        for line in lines {
            site.wait_for_line(&line.replace('@', &at.to_string()), times);
        }
    };
    let in_service = [
        "Added real server: @ (192.0.2.1:80) (Weight set to 1)",
        "Added real server: @ (192.0.2.2:80) (Weight set to 1)",
    ];
    log(&in_service, 1);
    // The directory comes later, as a file may at any time; a name of the server does as well as its address.
    fs::create_dir(site.path("maintenance")).unwrap();
    let file = |name: &str| site.path("maintenance").join(name);
    let host = at.ip().to_string();
    let back = "Restored real server: @ (192.0.2.2:80) (Weight set to 1)";
    for (times, name) in (1..).zip([at.to_string(), host, format!("localhost:{}", at.port())]) {
        fs::write(file(&name), "").unwrap();
        log(
            &[
                "Server in maintenance: @ (tcp:192.0.2.1:80)",
                "Server in maintenance: @ (tcp:192.0.2.2:80)",
                "Deleted real server: @ (192.0.2.1:80)",
                "Quiescent real server: @ (192.0.2.2:80) (Weight set to 0)",
            ],
            times,
        );
        fs::remove_file(file(&name)).unwrap();
        log(&["Server no longer in maintenance: @ (tcp:192.0.2.1:80)", back], times);
        log(&in_service[..1], times + 1);
    }
    // A directory as well as a file; and what does not name a server is told.
    fs::create_dir(file(&at.to_string())).unwrap();
    fs::write(file("elsewhere"), "").unwrap();
    log(&["Deleted real server: @ (192.0.2.1:80)"], 4);
    let stray = file("elsewhere").display().to_string();
    log(&[&format!("{stray} takes nobody out of service: no real server is called so")], 1);
    // The whole directory goes.
    fs::remove_file(file("elsewhere")).unwrap();
    fs::remove_dir(file(&at.to_string())).unwrap();
    fs::remove_dir(site.path("maintenance")).unwrap();
    log(&[back], 4);
}

#[test]
fn a_server_in_maintenance_at_start_is_never_taken_in_and_stays_out_through_a_reload() {
    let (server, site) = (Server::up(), Site::new());
    let at = server.address();
    fs::create_dir(site.path("maintenance")).unwrap();
    // By its name, which has to be known before anything is done.
    fs::write(site.path("maintenance/localhost"), "").unwrap();
    site.configure(&services(&site, &server));
    site.start();
    let told = format!("Server in maintenance: {at} (tcp:192.0.2.2:80)");
    site.wait_for_line(&told, 1);
    // Each check that would have been made is in the monitor file; of what nothing checks, the beginning is.
    wait("lines in the monitor file", || {
        let text = fs::read_to_string(site.path("monitor")).unwrap();
        let (ip, port) = (at.ip(), at.port());
        let checked = format!("connect tcp {ip} {port} 1 masq /  [down] Server in maintenance\n");
        let unchecked = format!("on tcp {ip} {port} 1 masq /  [down] Server in maintenance\n");
        let counts = (text.matches(&checked).count(), text.matches(&unchecked).count());
        if counts.0 >= 2 && counts.1 == 1 { Ok(()) } else { Err(text) }
    });
    assert_eq!(site.ldirectord("reload").code, 0);
    site.wait_for_line("Changed virtual server: 192.0.2.1:80", 1);
    // A service that is new to the file.
    let more = services(&site, &server);
    let more = format!("{more}virtual=192.0.2.3:80\n\treal={at} masq\n\tchecktype=on\n");
    site.configure(&more);
    assert_eq!(site.ldirectord("reload").code, 0);
    site.wait_for_line("Added virtual server: 192.0.2.3:80", 1);
    site.wait_for_line(&format!("Server in maintenance: {at} (tcp:192.0.2.3:80)"), 1);
    let log = site.log();
    assert!(!log.contains("Added real server"), "{log}");
    assert_eq!(log.matches(&told).count(), 1, "{log}");
    fs::remove_file(site.path("maintenance/localhost")).unwrap();
    site.wait_for_line(&format!("Added real server: {at} (192.0.2.1:80) (Weight set to 1)"), 1);
}
