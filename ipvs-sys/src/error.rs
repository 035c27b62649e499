//! What can go wrong, in words that say what was tried and what to do.
//!
//! In goes an errno and the request it came from, out comes an [`Error`]. IPVS sends no text of its own (no extended
//! acknowledgement), and it uses few errnos for many faults, so that the words are found here, by command.
//!
//! Source: the returns of `ip_vs_genl_set_cmd` and what it calls in `net/netfilter/ipvs/ip_vs_ctl.c` and
//! `ip_vs_sync.c`, Linux 6.1; those that a test can bring about are met in `tests/kernel`.

use std::fmt;

use netlink_packet_core::DecodeError;
use nix::errno::Errno;

use crate::dest::{Dest, Forwarding, TunnelKind};
use crate::message::Request;
use crate::service::{AddressFamily, Netmask, Service, ServiceId};

/// Why something could not be done.
///
/// Shown with `{}` it is one sentence; with `{:#}` the hint follows on a line of its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The kernel refused.
    Refused {
        /// What was tried, as it fits after "cannot".
        request: String,
        /// The kernel's reason.
        errno: i32,
        /// The same in words.
        reason: String,
        /// What may help.
        hint: Option<String>,
    },
    /// The answer of the kernel was lost: a change may or may not have been made, and the table must be read again.
    /// For something that was read, it did not come in several tries.
    Lost {
        /// What was tried, as it fits after "cannot".
        request: String,
    },
    /// The request cannot be said in a message, and was not sent.
    Invalid {
        /// What was tried, as it fits after "cannot".
        request: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The kernel's answer does not follow the protocol.
    Malformed {
        /// What was tried, as it fits after "cannot".
        request: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// This kernel has no IPVS and the module could not be loaded.
    NoIpvs {
        /// Why the module could not be loaded.
        reason: String,
    },
    /// The socket failed, and nothing was done.
    Socket {
        /// What was tried, as it fits after "cannot".
        request: String,
        /// The kernel's reason.
        errno: i32,
    },
}

impl Error {
    /// The kernel's error number, where there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { errno, .. } | Self::Socket { errno, .. } => Some(*errno),
            Self::Lost { .. }
            | Self::Invalid { .. }
            | Self::Malformed { .. }
            | Self::NoIpvs { .. } => None,
        }
    }

    /// What may help, where something is known.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Refused { hint, .. } => hint.as_deref(),
            Self::Lost { .. } => Some("read the table again before changing more"),
            Self::Socket { errno, .. } if Errno::from_raw(*errno) == Errno::EPERM => {
                Some(CAPABILITY)
            }
            Self::NoIpvs { .. } => Some(
                "run `modprobe ip_vs` as root; in a container, on the host. The module comes with the distribution's \
                 kernel package, on some in one of its own (linux-modules-extra)",
            ),
            Self::Invalid { .. } | Self::Malformed { .. } | Self::Socket { .. } => None,
        }
    }

    /// Whether the kernel's table may have changed or not.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }

    /// A change that the kernel refused.
    pub(crate) fn of_change(request: &Request, errno: i32) -> Self {
        let (reason, hint) = explain_change(request, errno).unwrap_or_else(|| explain(errno));
        Self::Refused { request: request.to_string(), errno, reason, hint }
    }

    /// A question that the kernel refused.
    pub(crate) fn of_read(what: &str, errno: i32) -> Self {
        let (reason, hint) = match Errno::from_raw(errno) {
            Errno::ESRCH => ("there is no such service".to_owned(), None),
            _ => explain(errno),
        };
        Self::Refused { request: what.to_owned(), errno, reason, hint }
    }

    /// Something that did not reach the kernel.
    pub(crate) fn of_socket(what: &str, errno: i32) -> Self {
        Self::Socket { request: what.to_owned(), errno }
    }

    pub(crate) fn malformed(what: &str, fault: &DecodeError) -> Self {
        Self::Malformed { request: what.to_owned(), reason: fault.to_string() }
    }

    pub(crate) fn no_ipvs(fault: Option<String>) -> Self {
        let reason =
            fault.unwrap_or_else(|| "modprobe ip_vs succeeded, but did not bring it".to_owned());
        Self::NoIpvs { reason }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { request, errno, reason, .. } => {
                write!(formatter, "cannot {request}: {reason} ({})", name(*errno))
            }
            Self::Lost { request } => {
                write!(formatter, "cannot {request} for certain: the kernel's answer was lost")
            }
            Self::Invalid { request, reason } => write!(formatter, "cannot {request}: {reason}"),
            Self::Malformed { request, reason } => {
                write!(formatter, "cannot {request}: the kernel's answer is malformed: {reason}")
            }
            Self::NoIpvs { reason } => write!(formatter, "this kernel has no IPVS: {reason}"),
            Self::Socket { request, errno } => {
                write!(formatter, "cannot {request}: {} ({})", words(*errno), name(*errno))
            }
        }?;
        match self.hint().filter(|_| formatter.alternate()) {
            Some(hint) => write!(formatter, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

const CAPABILITY: &str = "the process needs CAP_NET_ADMIN, in the initial user namespace";

type Explanation = (String, Option<String>);

fn say(reason: &str, hint: &str) -> Explanation {
    (reason.to_owned(), Some(hint.to_owned()).filter(|hint| !hint.is_empty()))
}

/// What an errno means whatever was asked.
fn explain(errno: i32) -> Explanation {
    match Errno::from_raw(errno) {
        Errno::EPERM => say("permission denied", CAPABILITY),
        Errno::EAFNOSUPPORT => say(
            "this kernel does not balance that address family",
            "IPv6 must not be disabled (`ipv6.disable=1`), and the kernel needs CONFIG_IP_VS_IPV6",
        ),
        Errno::EOPNOTSUPP => {
            say("this kernel's IPVS does not know the command", "a newer kernel may")
        }
        Errno::ENOPROTOOPT => {
            say("the module ip_vs is being unloaded", "load it again with `modprobe ip_vs`")
        }
        Errno::ENOMEM | Errno::ENOBUFS => say("the kernel is out of memory", ""),
        Errno::EBUSY => say("the socket is busy with another dump", ""),
        _ => (words(errno), None),
    }
}

/// What an errno means for a change, where that is more than it means for everything.
fn explain_change(request: &Request, errno: i32) -> Option<Explanation> {
    let explanation = match (request, Errno::from_raw(errno)) {
        (Request::NewService(_), Errno::EEXIST) => {
            say("there is one already", "change it instead, or delete it first")
        }
        (Request::NewService(service) | Request::SetService(service), Errno::ENOENT) => {
            no_module(service)
        }
        (Request::NewService(service) | Request::SetService(service), Errno::EINVAL) => {
            bad_service(service)
        }
        (Request::NewDest(..), Errno::EEXIST) => {
            say("the service has it already", "change it instead, or delete it first")
        }
        (Request::SetDest(..) | Request::DelDest(..), Errno::ENOENT) => {
            say("the service has no such destination", "another program may have deleted it")
        }
        (Request::NewDest(_, dest) | Request::SetDest(_, dest), Errno::ERANGE) => {
            out_of_range(dest)
        }
        (Request::NewDest(id, dest) | Request::SetDest(id, dest), Errno::EINVAL) => {
            bad_dest(id, dest)
        }
        (Request::SetTimeouts(_), Errno::EINVAL) => say(
            "a timeout is too long",
            "the most is 2147483647 divided by the kernel's ticks a second",
        ),
        (Request::NewDaemon(_), Errno::EEXIST) => say("one is running already", "stop it first"),
        (Request::NewDaemon(daemon), Errno::ENODEV) => {
            (format!("there is no interface {}", daemon.interface), None)
        }
        (Request::NewDaemon(_), Errno::EINVAL) => say(
            "the group is no multicast address, or destinations forbid it",
            "no destination may have another address family than its service",
        ),
        (Request::DelDaemon(_), Errno::ESRCH) => say("none is running", ""),
        (_, Errno::ESRCH) => say("there is no such service", "another program may have deleted it"),
        _ => return None,
    };
    Some(explanation)
}

fn no_module(service: &Service) -> Explanation {
    let scheduler = &service.scheduler;
    match &service.persistence_engine {
        None => (
            format!("the kernel has no scheduler {scheduler}"),
            Some(format!(
                "`modprobe ip_vs_{scheduler}` says why; a scheduler may need a newer kernel"
            )),
        ),
        Some(engine) => (
            format!("the kernel has no scheduler {scheduler} or no persistence engine {engine}"),
            Some(format!("`modprobe ip_vs_{scheduler}` and `modprobe ip_vs_pe_{engine}` say why")),
        ),
    }
}

fn bad_service(service: &Service) -> Explanation {
    match service.netmask {
        Netmask::V6(0 | 129..) => say("an IPv6 prefix length is 1 to 128", ""),
        _ => (format!("the kernel or its scheduler {} refuses a setting", service.scheduler), None),
    }
}

fn out_of_range(dest: &Dest) -> Explanation {
    if dest.lower_threshold > dest.upper_threshold {
        say("the lower threshold is above the upper one", "")
    } else {
        say("the weight is above 2147483647", "")
    }
}

fn bad_dest(id: &ServiceId, dest: &Dest) -> Explanation {
    let tunnel = match dest.forwarding {
        Forwarding::Tunnel(tunnel) => Some(tunnel),
        _ => None,
    };
    if AddressFamily::of(dest.address.ip()) != id.family() {
        return say(
            "its address family is not that of the service",
            "only tunnels can go between IPv4 and IPv6, and only while no sync daemon runs",
        );
    }
    if tunnel.is_some_and(|tunnel| tunnel.kind == TunnelKind::Gue && tunnel.port == 0) {
        return say("a GUE tunnel needs a port", "");
    }
    say(
        "the address cannot be sent to",
        "it must be an ordinary unicast address that is not link-local",
    )
}

/// The system's words for an errno, in the style of the others.
fn words(errno: i32) -> String {
    let words = match Errno::from_raw(errno) {
        Errno::UnknownErrno => "the reason has no name",
        known => known.desc(),
    };
    let mut letters = words.chars();
    match letters.next() {
        // "RPC version wrong" and "I/O error" keep their capitals.
        Some(first) if letters.clone().next().is_some_and(char::is_lowercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => words.to_owned(),
    }
}

/// `EPERM` and the like; the kernel has numbers without a name, such as 524.
fn name(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => format!("errno {errno}"),
        known => format!("{known:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::libc;

    #[test]
    fn an_error_is_a_sentence_and_a_hint() {
        let fault = Error::of_change(&Request::Flush, libc::EPERM);
        assert_eq!(fault.to_string(), "cannot delete all services: permission denied (EPERM)");
        assert_eq!(
            format!("{fault:#}"),
            "cannot delete all services: permission denied (EPERM)\n\
             hint: the process needs CAP_NET_ADMIN, in the initial user namespace"
        );
        assert_eq!(fault.errno(), Some(libc::EPERM));
    }

    #[test]
    fn every_errno_has_words() {
        let say = |errno| Error::of_change(&Request::Flush, errno).to_string();
        let expected = [
            (libc::EAFNOSUPPORT, "this kernel does not balance that address family (EAFNOSUPPORT)"),
            (libc::EOPNOTSUPP, "this kernel's IPVS does not know the command (EOPNOTSUPP)"),
            (libc::ENOPROTOOPT, "the module ip_vs is being unloaded (ENOPROTOOPT)"),
            (libc::ENOMEM, "the kernel is out of memory (ENOMEM)"),
            (libc::EBUSY, "the socket is busy with another dump (EBUSY)"),
            (libc::EIO, "I/O error (EIO)"),
            (libc::EACCES, "permission denied (EACCES)"),
            // Some of the kernel's own numbers get out now and then.
            (524, "the reason has no name (errno 524)"),
            (i32::MIN, "the reason has no name (errno -2147483648)"),
        ];
        for (errno, words) in expected {
            assert_eq!(say(errno), format!("cannot delete all services: {words}"));
        }
    }
}
