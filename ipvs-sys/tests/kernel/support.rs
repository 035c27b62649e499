//! What the trials share: short ways to name things, `ipvsadm` as the judge.

use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use ipvs_sys::{
    AddressFamily, Client, Dest, DestEntry, Error, Forwarding, Netmask, Protocol, Request,
    ServiceEntry, ServiceId,
};

pub(crate) fn client() -> Client {
    Client::open().unwrap_or_else(|fault| panic!("{fault:#}"))
}

pub(crate) fn socket(address: &str) -> SocketAddr {
    address.parse().expect("an address with a port")
}

pub(crate) fn tcp(address: &str) -> ServiceId {
    ServiceId::Address { protocol: Protocol::Tcp, address: socket(address) }
}

pub(crate) fn udp(address: &str) -> ServiceId {
    ServiceId::Address { protocol: Protocol::Udp, address: socket(address) }
}

pub(crate) fn sctp(address: &str) -> ServiceId {
    ServiceId::Address { protocol: Protocol::Sctp, address: socket(address) }
}

pub(crate) fn fwmark(family: AddressFamily, mark: u32) -> ServiceId {
    ServiceId::Fwmark { family, mark: NonZeroU32::new(mark).unwrap() }
}

pub(crate) fn route(address: &str, weight: u32) -> Dest {
    Dest::new(socket(address), Forwarding::Route, weight)
}

/// One of many destinations, in the order of their addresses.
pub(crate) fn numbered(number: u32) -> Dest {
    let [_, _, high, low] = number.to_be_bytes();
    route(&format!("10.1.{high}.{low}:80"), number)
}

pub(crate) fn odd_netmask(family: AddressFamily) -> Netmask {
    match family {
        AddressFamily::V4 => Netmask::V4([255, 255, 240, 0].into()),
        AddressFamily::V6 => Netmask::V6(56),
    }
}

pub(crate) fn all_done(results: &[Result<(), Error>]) {
    for result in results {
        if let Err(fault) = result {
            panic!("{fault:#}");
        }
    }
}

/// Each request fails with its line of `expected`, among the others as well as alone.
#[track_caller]
pub(crate) fn refused(client: &mut Client, requests: &[Request], expected: &str) {
    let together = client.apply(requests);
    let alone: Vec<_> =
        requests.iter().flat_map(|request| client.apply(std::slice::from_ref(request))).collect();
    assert_eq!(together, alone);
    let lines: Vec<_> =
        together.into_iter().map(|result| result.expect_err("a refusal").to_string()).collect();
    let expected: Vec<_> = expected.lines().map(str::trim).collect();
    assert_eq!(lines, expected);
}

pub(crate) fn services_by_id(client: &mut Client) -> Vec<ServiceEntry> {
    let mut services = client.services().unwrap();
    services.sort_by_key(|entry| entry.service.id);
    services
}

/// The requests that make the table as it is.
pub(crate) fn copy(client: &mut Client) -> Vec<Request> {
    let mut requests = Vec::new();
    for entry in services_by_id(client) {
        let id = entry.service.id;
        requests.push(Request::NewService(entry.service));
        requests.extend(
            client.dests(&id).unwrap().iter().map(|entry| Request::NewDest(id, entry.dest)),
        );
    }
    requests
}

pub(crate) fn assert_same_dests(entries: &[DestEntry], dests: &[Dest]) {
    let mut found: Vec<_> = entries.iter().map(|entry| entry.dest).collect();
    let mut expected = dests.to_vec();
    found.sort_by_key(|dest| dest.address);
    expected.sort_by_key(|dest| dest.address);
    assert_eq!(found, expected);
}

pub(crate) fn wait_for<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    for _ in 0..500 {
        if let Some(value) = condition() {
            return value;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("it did not come true in ten seconds");
}

/// `ipvsadm` shows the table `expected`, whose lines may be in any order.
#[track_caller]
pub(crate) fn agree(client: &mut Client, expected: &str) {
    let shown = ipvsadm(&["-S", "-n"]);
    assert_eq!(sorted_lines(&shown).join("\n"), sorted_lines(expected).join("\n"));
    let services = client.services().unwrap().len();
    assert_eq!(services, expected.lines().filter(|line| line.trim().starts_with("-A")).count());
}

pub(crate) fn sorted_lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines
}

pub(crate) fn restore(table: &str) {
    let table = table.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let mut child = Command::new("ipvsadm")
        .arg("-R")
        .stdin(Stdio::piped())
        .spawn()
        .expect("ipvsadm is installed");
    child.stdin.take().unwrap().write_all(table.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

pub(crate) fn ipvsadm(arguments: &[&str]) -> String {
    command("ipvsadm", arguments)
}

/// What a program said, which must have succeeded.
#[track_caller]
pub(crate) fn command(program: &str, arguments: &[&str]) -> String {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let output = Command::new(program).args(&arguments).output();
    let output = output.unwrap_or_else(|fault| panic!("cannot run {program}: {fault}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}
