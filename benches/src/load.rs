//! Thousands of real servers: their addresses, and configurations that name them.

use std::net::Ipv4Addr;

use crate::Problem;
use crate::process;

/// Real servers of a virtual service.
pub(crate) const SERVERS_PER_SERVICE: u32 = 100;
/// The same number, for counting in steps.
pub(crate) const STEP: usize = 100;

/// The first of the addresses 10.8.0.0/16; all of them are this machine, see [`claim_addresses`].
const FIRST: u32 = 0x0a08_0001;

/// Of a real server, counted from 0.
pub(crate) fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(FIRST + number)
}

/// Which real server has this address.
pub(crate) fn number(address: Ipv4Addr) -> Option<u32> {
    address.to_bits().checked_sub(FIRST)
}

/// The address and port of a virtual service, counted from 0; nobody talks to it.
pub(crate) fn service(number: u32) -> String {
    format!("192.0.2.10:{}", 8000 + number)
}

/// Makes 65,000 addresses answer on one listener, in this network namespace.
pub(crate) fn claim_addresses() -> Result<(), Problem> {
    process::run(&["ip", "link", "set", "lo", "up"])?;
    process::run(&["ip", "route", "replace", "local", "10.8.0.0/16", "dev", "lo"])
}

/// A configuration with this many real servers on port 80.
///
/// `check` is what a block says about its checks, `global` what the file says.
pub(crate) fn configuration(count: u32, global: &str, check: &[&str]) -> String {
    let check: String = check.iter().flat_map(|line| ["\t", line, "\n"]).collect();
    let block = |first: u32| {
        let last = (first + SERVERS_PER_SERVICE).min(count) - 1;
        let service = service(first / SERVERS_PER_SERVICE);
        let (first, last) = (address(first), address(last));
        format!(
            "virtual={service}\n\treal={first}->{last}:80 masq\n{check}\tscheduler=wlc\n\tprotocol=tcp\n\n"
        )
    };
    let blocks: String = (0..count).step_by(STEP).map(block).collect();
    format!("supervised=yes\n{global}\n{blocks}")
}

/// What a block says for an HTTP check of the bench's server.
pub(crate) const HTTP: [&str; 4] =
    ["checktype=negotiate", "service=http", "request=\"health\"", "receive=\"healthy\""];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_is_named_once() {
        let text = configuration(250, "checkinterval=1", &["checktype=on"]);
        assert!(text.contains(
            "virtual=192.0.2.10:8000\n\treal=10.8.0.1->10.8.0.100:80 masq\n\tchecktype=on\n"
        ));
        assert!(text.contains("virtual=192.0.2.10:8002\n\treal=10.8.0.201->10.8.0.250:80 masq\n"));
        assert_eq!(text.matches("virtual=").count(), 3);
        assert_eq!(number(address(249)), Some(249));
    }
}
