//! What commands learn of a daemon that runs: the real program, a table in memory, servers on the loopback interface.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(dead_code, reason = "other tests use the rest of the site")]

#[path = "support/site.rs"]
mod site;

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::PathBuf,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use site::{Server, Site, signal, wait, wait_for_end};

fn socket(site: &Site) -> PathBuf {
    site.path("ldirectord/web.cf.sock")
}

fn config(servers: &[String]) -> String {
    let reals: String = servers.iter().map(|server| format!("\treal={server} masq 3\n")).collect();
    format!(
        "checkinterval=1\nchecktimeout=1\nfailurecount=2\nvirtual=192.0.2.1:80\n\tservicename=shop\n{reals}\
         \tfallback=127.0.0.1:80\n\tchecktype=connect\n\tprotocol=tcp\n"
    )
}

/// What `list --json` says of the only service.
fn shop(site: &Site) -> Value {
    let done = site.run(&["list", "--json"]);
    assert_eq!(done.code, 0, "{}", done.all());
    let listing: Value = serde_json::from_str(&done.out).unwrap();
    listing["services"][0].clone()
}

/// The conditions of its servers, in the order of the file.
fn conditions(site: &Site) -> String {
    let shop = shop(site);
    let servers = shop["servers"].as_array().unwrap().iter();
    let of = |server: &Value| server["state"]["condition"].as_str().unwrap().to_owned();
    servers.map(of).collect::<Vec<_>>().join(" ")
}

fn wait_for_conditions(site: &Site, expected: &str) {
    wait(&format!("servers that are {expected}"), || {
        let found = conditions(site);
        if found == expected { Ok(()) } else { Err(found) }
    });
}

#[test]
fn a_daemon_says_how_its_servers_are_and_why() {
    let (up, absent) = (Server::up(), Server::up());
    let [up_address, absent_address] = [&up, &absent].map(|server| server.address().to_string());
    drop(absent);
    let site = Site::with(&config(&[up_address.clone(), absent_address.clone()]));
    site.start();
    // A fallback that is not needed, and is not in the kernel, is not listed.
    wait_for_conditions(&site, "up down");
    let mode = fs::metadata(socket(&site)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let before = shop(&site);
    assert_eq!(before["service"], "tcp:192.0.2.1:80");
    assert_eq!((&before["name"], &before["serving"]), (&"shop".into(), &1.into()));
    let down = &before["servers"][1]["state"];
    assert_eq!(
        (&down["server"], &down["reason"]),
        (&absent_address.clone().into(), &"refused".into())
    );
    assert!(down["check"]["next"].is_string() && down["since"].is_string(), "{down}");

    let table = site.run(&["list"]);
    assert!(table.out.contains("shop  1 of 2 serve\n"), "{}", table.out);
    assert!(table.out.contains(": connection refused (ECONNREFUSED)"), "{}", table.out);
    let only_down = site.run(&["list", "--state", "down"]);
    assert!(!only_down.out.contains(&up_address) && only_down.out.contains(&absent_address));
    let nobody = site.run(&["list", "192.0.2.77"]);
    assert_eq!(nobody.code, 1);
    assert!(
        nobody.err.contains("no virtual service and no server is called 192.0.2.77\n"),
        "{}",
        nobody.err
    );

    let shown = site.run(&["show", &absent_address]);
    assert_eq!(shown.code, 0);
    let head = format!(
        "real server {absent_address} of tcp 192.0.2.1:80 (shop)\n  State         down for "
    );
    assert!(shown.out.starts_with(&head), "{}", shown.out);
    assert!(shown.out.contains("one passed check would bring it back"), "{}", shown.out);
    assert!(shown.out.contains("failed in connect after "), "{}", shown.out);

    // A server that fails still serves; when it is down the fallback does.
    drop(up);
    wait_for_conditions(&site, "failing down");
    wait_for_conditions(&site, "down down up");

    // A reload keeps since when a server has been down.
    site.configure(&(config(&[up_address, absent_address]) + "\tcomment=other\n"));
    assert_eq!(site.ldirectord("reload").code, 0);
    wait("the new configuration", || {
        let shop = shop(&site);
        if shop["comment"] == "other" { Ok(()) } else { Err(shop.to_string()) }
    });
    let since = |state: &Value| state["since"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let moved = since(&shop(&site)["servers"][1]["state"]).duration_since(since(down)).abs();
    assert!(moved < SignedDuration::from_millis(500), "{moved:?}");

    assert_eq!(site.ldirectord("stop").code, 0);
    assert!(!socket(&site).exists());
    let gone = site.run(&["list", "--json"]);
    assert!(!gone.out.contains("shop"), "{}", gone.out);
}

#[test]
fn what_a_killed_daemon_left_is_in_nobodys_way() {
    let server = Server::up();
    let site = Site::with(&config(&[server.address().to_string()]));
    let pid = site.start();
    wait_for_conditions(&site, "up");
    signal(pid, "KILL");
    wait_for_end(pid);
    assert!(socket(&site).exists());
    let nobody = site.run(&["list", "shop"]);
    assert!(!nobody.out.contains("serve"), "{}", nobody.out);
    assert!(!nobody.err.contains("sock"), "{}", nobody.err);
    site.start();
    wait_for_conditions(&site, "up");
}

#[test]
fn clients_that_say_nothing_hold_up_nobody() {
    let server = Server::up();
    let site = Site::with(&config(&[server.address().to_string()]));
    site.start();
    let _silent: Vec<UnixStream> =
        (0..20).map(|_| UnixStream::connect(socket(&site)).unwrap()).collect();
    let mut odd = UnixStream::connect(socket(&site)).unwrap();
    odd.write_all(&[0xff; 100_000]).unwrap_or_default();
    wait_for_conditions(&site, "up");
    drop(server);
    wait_for_conditions(&site, "down up");
    assert_eq!(site.ldirectord("stop").code, 0);
}

#[test]
fn a_socket_that_cannot_be_made_is_told_and_everything_else_works() {
    let server = Server::up();
    let site = Site::with(&config(&[server.address().to_string()]));
    fs::write(site.path("ldirectord"), "no folder").unwrap();
    site.start();
    site.wait_for_line(
        &format!("Added real server: {} (192.0.2.1:80) (Weight set to 3)", server.address()),
        1,
    );
    assert!(site.log().contains("cannot listen on "), "{}", site.log());
}
