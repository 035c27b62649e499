//! The machines that `demo/layout` makes: their names and addresses, and running programs on them.

use std::io;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

/// The machine that sends the requests.
pub(crate) const CLIENT: &str = "client";
/// The machine that directs them.
pub(crate) const DIRECTOR: &str = "director";

/// A virtual service, and how its packets reach the real servers.
#[derive(Debug)]
pub(crate) struct Service {
    /// What people call the way of forwarding.
    pub method: &'static str,
    /// The virtual address; the port is 80.
    pub address: Ipv4Addr,
}

/// The three virtual services.
pub(crate) static SERVICES: [Service; 3] = [
    Service { method: "NAT", address: Ipv4Addr::new(192, 0, 2, 101) },
    Service { method: "direct routing", address: Ipv4Addr::new(192, 0, 2, 102) },
    Service { method: "tunnel", address: Ipv4Addr::new(192, 0, 2, 103) },
];

/// A real server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Web {
    /// Its name, which is also what it answers.
    pub name: &'static str,
    /// Its own address; the port is 80.
    pub address: Ipv4Addr,
}

/// The three real servers.
pub(crate) static WEBS: [Web; 3] = [
    Web { name: "web1", address: Ipv4Addr::new(192, 0, 2, 11) },
    Web { name: "web2", address: Ipv4Addr::new(192, 0, 2, 12) },
    Web { name: "web3", address: Ipv4Addr::new(192, 0, 2, 13) },
];

/// Runs a program on a machine and returns its output.
///
/// A program that cannot be started or fails is an error with what it said.
pub(crate) fn run_on(machine: &str, words: &[&str]) -> io::Result<String> {
    let mut all = vec!["ip", "netns", "exec", machine];
    all.extend(words);
    run(&all)
}

/// Runs a program where we are and returns its output.
pub(crate) fn run(words: &[&str]) -> io::Result<String> {
    let Some((program, rest)) = words.split_first() else {
        return Ok(String::new());
    };
    let command = words.join(" ");
    let output = Command::new(program)
        .args(rest)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| io::Error::other(format!("cannot run `{command}`: {error}")))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "`{command}` ended with {}: {}{}",
        output.status,
        said,
        complaint.trim_end()
    )))
}

/// Kills the web server of a machine, as a crash would.
pub(crate) fn kill_web_server(web: &Web) -> io::Result<()> {
    let pids = run(&["ip", "netns", "pids", web.name])?;
    let mut words = vec!["kill", "-KILL"];
    words.extend(pids.split_whitespace());
    run(&words).map(drop)
}

/// Starts the web server of a machine.
pub(crate) fn start_web_server(web: &Web) -> io::Result<()> {
    run_on(web.name, &["nginx", "-c", &format!("/run/demo/{}.conf", web.name)]).map(drop)
}

/// Pulls a machine's cable out of the switch, or puts it back.
pub(crate) fn set_cable(web: &Web, plugged: bool) -> io::Result<()> {
    // The switch is in the lab's own network, where process 1 is.
    let state = if plugged { "up" } else { "down" };
    run(&["nsenter", "--target", "1", "--net", "ip", "link", "set", web.name, state]).map(drop)
}
