//! Host and service names to numbers.
//!
//! [`NoHosts`] answers for host names without asking anybody: stopping a daemon must not depend on a name server, and
//! so the names of a configuration are known before any is asked for. [`KnownNames`] then asks for them all at once,
//! by the system's resolver ([`SystemNames`]). [`names_of`] asks the other way round.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use dns_lookup::{
    AddrFamily, AddrInfoHints, LookupError, LookupErrorKind, SockType, getaddrinfo, getnameinfo,
};

use super::clock::Deadline;
use crate::{
    config::{NameError, Names},
    model::{Family, Transport},
};

/// How long one reading of a configuration waits in all for name servers that do not answer.
///
/// Differs from ldirectord: there the names are asked for one after the other, and each waits anew.
const PATIENCE: Duration = Duration::from_secs(15);

/// How many names are asked for at a time.
const AT_ONCE: usize = 16;

/// The system's resolver, with every source that `nsswitch.conf` names. Blocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNames;

impl Names for SystemNames {
    fn hosts(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, NameError> {
        addresses(name, hints(family)).map_err(|error| unknown(&error))
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

/// Host names with what the system's resolver said of them when all were asked for at once.
#[derive(Debug)]
pub(super) struct KnownNames(BTreeMap<HostName, Result<Vec<IpAddr>, NameError>>);

/// A name and the family of the addresses that are wanted.
type HostName = (String, Family);

impl KnownNames {
    /// Asks for these names, many at a time. Blocks.
    pub(super) fn ask(names: BTreeSet<HostName>) -> KnownNames {
        KnownNames::ask_by(names, |(name, family)| addresses(name, hints(*family)))
    }

    fn ask_by(
        names: BTreeSet<HostName>,
        ask: impl Fn(&HostName) -> Result<Vec<IpAddr>, LookupError> + Sync,
    ) -> KnownNames {
        let answers = ask_many(names.into_iter().collect(), ask).into_iter();
        let told = |answer: Result<_, Option<LookupError>>| {
            answer.map_err(|error| match error {
                Some(error) => unknown(&error),
                None => NameError {
                    message: "not asked, since the name servers do not answer".to_owned(),
                },
            })
        };
        KnownNames(answers.map(|(name, answer)| (name, told(answer))).collect())
    }
}

/// What the system's resolver says an address is called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Called {
    /// This.
    Name(String),
    /// It has no name.
    Nothing,
    /// Nobody answers who would know.
    Unanswered,
}

/// Asks what these addresses are called, many at a time. Blocks.
pub(super) fn names_of(addresses: Vec<IpAddr>) -> BTreeMap<IpAddr, Called> {
    let ask = |address: &IpAddr| {
        let socket = SocketAddr::new(*address, 0);
        getnameinfo(&socket, nix::libc::NI_NAMEREQD).map(|(name, _)| name)
    };
    let called = |answer: Result<String, Option<LookupError>>| match answer {
        Ok(name) => Called::Name(name),
        Err(Some(error)) if matches!(error.kind(), LookupErrorKind::NoName) => Called::Nothing,
        Err(_) => Called::Unanswered,
    };
    let answers = ask_many(addresses, ask).into_iter();
    answers.map(|(address, answer)| (address, called(answer))).collect()
}

/// Asks many questions, [`AT_ONCE`] at a time. An error that is `None` is that of a question that was not asked, because
/// nobody answered others for too long.
fn ask_many<Q: Clone + Send + Sync, A: Send>(
    questions: Vec<Q>,
    ask: impl Fn(&Q) -> Result<A, LookupError> + Sync,
) -> Vec<(Q, Result<A, Option<LookupError>>)> {
    let (next, nobody_answers) = (AtomicUsize::new(0), AtomicBool::new(false));
    let patience = Deadline::within(PATIENCE);
    let look_up = |question: &Q| {
        if nobody_answers.load(Ordering::Relaxed) && patience.passed() {
            return Err(None);
        }
        ask(question).map_err(|error| {
            if matches!(error.kind(), LookupErrorKind::Again) {
                nobody_answers.store(true, Ordering::Relaxed);
            }
            Some(error)
        })
    };
    let work = || -> Vec<_> {
        let numbers = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let taken = numbers.map_while(|number| questions.get(number));
        taken.map(|question| (question.clone(), look_up(question))).collect()
    };
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..AT_ONCE.min(questions.len())).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    })
}

impl Names for KnownNames {
    fn hosts(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, NameError> {
        // A name that came into the file between two readings is not known.
        let known = self.0.get(&(name.to_owned(), family));
        known.cloned().unwrap_or_else(|| SystemNames.hosts(name, family))
    }

    fn port(&self, name: &str, transport: Option<Transport>) -> Result<u16, NameError> {
        SystemNames.port(name, transport)
    }
}

/// Answers for every host name with an address of its own that nobody has, so that a configuration can be looked
/// through without a name server, and its names be found out.
///
/// Differs from ldirectord: there a resolver that does not answer keeps even `stop` from working.
#[derive(Debug, Default)]
pub(super) struct NoHosts {
    asked: RefCell<BTreeMap<HostName, u32>>,
}

impl NoHosts {
    /// The host names that were asked for.
    pub(super) fn asked(self) -> BTreeSet<HostName> {
        self.asked.into_inner().into_keys().collect()
    }
}

impl Names for NoHosts {
    fn hosts(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, NameError> {
        // Addresses in their many ways of writing need no name server.
        if let Ok(addresses) = numeric(name, family) {
            return Ok(addresses);
        }
        let mut asked = self.asked.borrow_mut();
        let next = u32::try_from(asked.len()).unwrap_or(u32::MAX);
        let number = *asked.entry((name.to_owned(), family)).or_insert(next);
        Ok(vec![match family {
            // 240.0.0.0/4 is reserved, RFC 1112 section 4; 100::/64 leads nowhere, RFC 6666.
            Family::V4 => Ipv4Addr::from_bits(0xf000_0000 | number).into(),
            Family::V6 => Ipv6Addr::from_bits((0x0100 << 112) | u128::from(number)).into(),
        }])
    }

    fn port(&self, name: &str, transport: Option<Transport>) -> Result<u16, NameError> {
        SystemNames.port(name, transport)
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

    fn of(names: &[&str]) -> BTreeSet<HostName> {
        names.iter().map(|name| ((*name).to_owned(), Family::V4)).collect()
    }

    #[test]
    fn every_name_is_asked_for_once_and_keeps_its_answer() {
        let names: Vec<String> = (0..100).map(|number| format!("host{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let count = AtomicUsize::new(0);
        let known = KnownNames::ask_by(of(&names), |(name, _)| {
            count.fetch_add(1, Ordering::Relaxed);
            match name.strip_prefix("host").unwrap().parse() {
                Ok(13) => Err(LookupError::new(nix::libc::EAI_NONAME)),
                number => Ok(vec![Ipv4Addr::new(192, 0, 2, number.unwrap()).into()]),
            }
        });
        assert_eq!(count.into_inner(), 100);
        let address: IpAddr = "192.0.2.77".parse().unwrap();
        assert_eq!(known.hosts("host77", Family::V4).unwrap(), [address]);
        assert!(known.hosts("host13", Family::V4).is_err());
    }

    #[test]
    fn name_servers_that_do_not_answer_are_waited_for_all_at_once() {
        let names: Vec<String> = (0..AT_ONCE).map(|number| format!("host{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        // Nobody has an answer before all have been asked for.
        let asked = AtomicUsize::new(0);
        let known = KnownNames::ask_by(of(&names), |_| {
            asked.fetch_add(1, Ordering::Relaxed);
            while asked.load(Ordering::Relaxed) < AT_ONCE {
                thread::yield_now();
            }
            Err(LookupError::new(nix::libc::EAI_AGAIN))
        });
        assert_eq!(known.0.values().filter(|answer| answer.is_err()).count(), AT_ONCE);
    }

    #[test]
    fn addresses_are_called_what_the_system_says() {
        let [own, nobodys] = ["127.0.0.1", "192.0.2.1"].map(|text| text.parse().unwrap());
        let names = names_of(vec![own, nobodys]);
        assert_eq!(names[&own], Called::Name("localhost".to_owned()));
        assert!(!matches!(names[&nobodys], Called::Name(_)), "{names:?}");
    }

    #[test]
    fn names_and_services_of_this_host() {
        let names = SystemNames;
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
        assert!(names.asked.borrow().is_empty());
        let [a, b] = ["a.invalid", "b.invalid"].map(|name| names.hosts(name, Family::V4).unwrap());
        assert_ne!(a, b);
        assert_eq!(a, names.hosts("a.invalid", Family::V4).unwrap());
        let expected = [("a.invalid", Family::V4), ("b.invalid", Family::V4)];
        let expected = expected.map(|(name, family)| (name.to_owned(), family));
        assert_eq!(names.asked(), BTreeSet::from(expected));
    }
}
