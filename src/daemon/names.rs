//! Host and service names to numbers.
//!
//! [`SystemNames`] asks the system's resolver, [`NoHosts`] answers for host names without asking anybody: stopping a
//! daemon must not depend on a name server.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use dns_lookup::{AddrFamily, AddrInfoHints, LookupError, LookupErrorKind, SockType, getaddrinfo};

use super::clock::Clock;
use crate::{
    config::{NameError, Names},
    model::{Family, Transport},
    time::Moment,
};

/// How long one reading of a configuration waits in all for name servers that do not answer.
///
/// Differs from ldirectord: there each name waits anew.
const PATIENCE: Duration = Duration::from_secs(15);

/// The system's resolver, with every source that `nsswitch.conf` names. Blocks.
#[derive(Debug, Default)]
pub struct SystemNames {
    /// How long was waited for nothing.
    waited: Cell<Duration>,
}

impl SystemNames {
    /// Asks, unless too much has been waited for already.
    fn ask<T>(&self, ask: impl FnOnce() -> Result<T, LookupError>) -> Result<T, NameError> {
        if self.waited.get() >= PATIENCE {
            let message = "not asked any more, since the name servers do not answer".to_owned();
            return Err(NameError { message });
        }
        let clock = Clock::start();
        ask().map_err(|error| {
            if matches!(error.kind(), LookupErrorKind::Again) {
                self.waited.set(self.waited.get() + clock.now().since(Moment::START));
            }
            unknown(&error)
        })
    }
}

impl Names for SystemNames {
    fn hosts(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, NameError> {
        numeric(name, family).or_else(|_| self.ask(|| addresses(name, hints(family))))
    }

    fn port(&self, name: &str, transport: Option<Transport>) -> Result<u16, NameError> {
        let hints = AddrInfoHints {
            socktype: match transport {
                None => 0,
                Some(Transport::Tcp) => SockType::Stream.into(),
                Some(Transport::Udp) => SockType::DGram.into(),
                Some(Transport::Sctp) => nix::libc::SOCK_SEQPACKET,
            },
            ..AddrInfoHints::default()
        };
        let found = getaddrinfo(None, Some(name), Some(hints)).map_err(|error| unknown(&error))?;
        let mut ports = found.filter_map(Result::ok).map(|info| info.sockaddr.port());
        ports.next().ok_or_else(|| NameError { message: "no such service".to_owned() })
    }
}

fn unknown(error: &LookupError) -> NameError {
    NameError { message: error.to_string() }
}

/// Answers for every host name with an address of its own that nobody has, so that a configuration can be looked
/// through without a name server.
///
/// Differs from ldirectord: there a resolver that does not answer keeps even `stop` from working.
#[derive(Debug, Default)]
pub struct NoHosts {
    seen: RefCell<BTreeMap<String, u32>>,
}

impl NoHosts {
    /// Whether any host name was asked for.
    pub fn was_asked(&self) -> bool {
        !self.seen.borrow().is_empty()
    }
}

impl Names for NoHosts {
    fn hosts(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, NameError> {
        // Addresses in their many ways of writing need no name server.
        if let Ok(addresses) = numeric(name, family) {
            return Ok(addresses);
        }
        let mut seen = self.seen.borrow_mut();
        let next = u32::try_from(seen.len()).unwrap_or(u32::MAX);
        let number = *seen.entry(name.to_owned()).or_insert(next);
        Ok(vec![match family {
            // 240.0.0.0/4 is reserved, RFC 1112 section 4; 100::/64 leads nowhere, RFC 6666.
            Family::V4 => Ipv4Addr::from_bits(0xf000_0000 | number).into(),
            Family::V6 => Ipv6Addr::from_bits((0x0100 << 112) | u128::from(number)).into(),
        }])
    }

    fn port(&self, name: &str, transport: Option<Transport>) -> Result<u16, NameError> {
        SystemNames::default().port(name, transport)
    }
}

fn numeric(name: &str, family: Family) -> Result<Vec<IpAddr>, LookupError> {
    let hints = AddrInfoHints { flags: nix::libc::AI_NUMERICHOST, ..hints(family) };
    addresses(name, hints)
}

fn hints(family: Family) -> AddrInfoHints {
    AddrInfoHints {
        address: match family {
            Family::V4 => AddrFamily::Inet.into(),
            Family::V6 => AddrFamily::Inet6.into(),
        },
        // Or every address comes once for each type of socket.
        socktype: SockType::Stream.into(),
        ..AddrInfoHints::default()
    }
}

fn addresses(name: &str, hints: AddrInfoHints) -> Result<Vec<IpAddr>, LookupError> {
    let found = getaddrinfo(Some(name), None, Some(hints))?;
    Ok(found.filter_map(Result::ok).map(|info| info.sockaddr.ip()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_that_do_not_answer_are_given_up() {
        let names = SystemNames::default();
        // glibc answers so at once where there is no way to any name server.
        let again = || Err::<(), _>(LookupError::new(nix::libc::EAI_AGAIN));
        let other = || Err::<(), _>(LookupError::new(nix::libc::EAI_NONAME));
        assert!(!names.ask(again).unwrap_err().message.contains("not asked"));
        names.waited.set(PATIENCE - Duration::from_nanos(1));
        assert!(!names.ask(other).unwrap_err().message.contains("not asked"));
        assert!(!names.ask(again).unwrap_err().message.contains("not asked"));
        assert!(names.ask(|| Ok(())).unwrap_err().message.contains("not asked"));
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(names.hosts("127.1", Family::V4).unwrap(), [loopback]);
    }

    #[test]
    fn names_and_services_of_this_host() {
        let names = SystemNames::default();
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(names.hosts("127.1", Family::V4).unwrap(), [loopback]);
        assert_eq!(names.hosts("localhost", Family::V4).unwrap(), [loopback]);
        assert_eq!(names.port("http", Some(Transport::Tcp)).unwrap(), 80);
        assert_eq!(names.port("tftp", None).unwrap(), 69);
        assert!(names.port("tftp", Some(Transport::Tcp)).is_err());
        assert!(names.port("no-such-service", None).is_err());
    }

    #[test]
    fn no_hosts_needs_no_name_server_and_confuses_no_two_names() {
        let names = NoHosts::default();
        assert_eq!(
            names.hosts("127.1", Family::V4).unwrap(),
            names.hosts("127.0.0.1", Family::V4).unwrap()
        );
        assert!(!names.was_asked());
        let [a, b] = ["a.invalid", "b.invalid"].map(|name| names.hosts(name, Family::V4).unwrap());
        assert_ne!(a, b);
        assert_eq!(a, names.hosts("a.invalid", Family::V4).unwrap());
        assert!(names.was_asked());
    }
}
