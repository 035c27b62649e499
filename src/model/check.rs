//! Checks: how we find out whether a real server works, and what we found.

use std::{ffi::OsString, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use zeroize::Zeroize;

use super::{HttpMethod, HttpSettings, TlsSettings, Transport};
use crate::pattern::Pattern;

/// The number of a check in [`super::Desired::checks`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CheckId(u32);

impl CheckId {
    /// The check at this place of the list; `None` beyond four thousand million.
    pub fn new(index: usize) -> Option<CheckId> {
        u32::try_from(index).ok().map(CheckId)
    }

    /// The place in the list.
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A check, complete: two that are equal are one and run once, however many services they serve.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CheckSpec {
    /// The address and port that are asked. The port is 0 for kinds that know none (`ping`, `external`, `external-perl`).
    pub target: SocketAddr,
    /// What is asked.
    pub kind: CheckKind,
    /// From the start of one attempt to the start of the next, as long as nothing else is said here.
    pub interval: Duration,
    /// The same while a server that it speaks for has failed and is not down yet, or has passed and is not up yet.
    pub fast_interval: Duration,
    /// The same while every server that it speaks for is down and the last attempt failed.
    pub down_interval: Duration,
    /// When an attempt has failed, whatever the server does. Of [`CheckKind::Combined`] that of the negotiation.
    pub timeout: Duration,
}

impl CheckSpec {
    /// How long an attempt can take.
    pub fn longest(&self, stage: Stage) -> Duration {
        match (&self.kind, stage) {
            (CheckKind::Combined { connect_timeout, .. }, Stage::Connect) => *connect_timeout,
            (CheckKind::Ping { attempts }, _) => self.timeout.saturating_mul((*attempts).max(1)),
            _ => self.timeout,
        }
    }
}

/// What is asked.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum CheckKind {
    /// Whether it accepts a TCP connection.
    Connect,
    /// Whether it answers an ICMP echo request.
    Ping {
        /// How many requests go unanswered before the attempt has failed, each with the whole timeout (`checkcount`).
        attempts: u32,
    },
    /// Whether a program says so.
    External {
        /// The program; started without a shell.
        program: PathBuf,
        /// Its arguments: virtual address or mark, virtual port, real address, real port.
        arguments: Vec<OsString>,
    },
    /// Whether a program of Perl says so.
    ExternalPerl {
        /// The file of the program; run by a perl that is kept.
        program: PathBuf,
        /// Its arguments, as those of [`CheckKind::External`].
        arguments: Vec<OsString>,
    },
    /// Whether it answers in its own protocol.
    Negotiate(Negotiate),
    /// What an agent on it says of it; the answer is no verdict.
    Agent {
        /// What is sent to the agent first, as written; may be empty.
        send: Vec<u8>,
    },
    /// A negotiation, then this many connects, then a negotiation again (`checktype=N`).
    Combined {
        /// How many connects follow a negotiation that passed.
        connects: u32,
        /// When a connect has failed.
        connect_timeout: Duration,
        /// The negotiation.
        negotiate: Negotiate,
    },
}

/// Which of its two questions a [`CheckKind::Combined`] asks; other kinds have one and ignore this.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// The negotiation, or the only question of another kind.
    Negotiate,
    /// The connect.
    Connect,
}

/// What a protocol asks and expects; each protocol reads what it needs of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Negotiate {
    /// The name of the protocol, as the `service` directive has it.
    pub protocol: &'static str,
    /// The transport of the virtual service; some protocols (dns, sip, simpletcp) follow it.
    pub transport: Transport,
    /// What to ask. For http, https and http_proxy the whole URL; else as written, with the leading `/` that ldirectord adds.
    pub request: Vec<u8>,
    /// What the answer must contain; `None` accepts any.
    pub receive: Option<Pattern>,
    /// The method of an HTTP request.
    pub method: HttpMethod,
    /// What else an HTTP check asks and expects.
    pub http: HttpSettings,
    /// What to say and to wait for, of the protocols whose conversation the configuration writes down.
    pub steps: Vec<Step>,
    /// What kind of record DNS is asked for; `None` is an address of a name and the name of an address.
    pub dns_record: Option<DnsRecord>,
    /// The Host header of an HTTP request, and the name in TLS; `Some("")` is an empty header.
    pub virtualhost: Option<String>,
    /// The name to log in with; empty is none.
    pub login: String,
    /// The password to log in with.
    pub passwd: Secret,
    /// The database to ask.
    pub database: String,
    /// The shared secret of RADIUS.
    pub secret: Secret,
    /// How TLS is spoken, by the protocols that travel over it or can begin it.
    pub tls: TlsSettings,
}

/// A step of a conversation that the configuration writes down.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// To say this (`send`). A password may be in it.
    Send(Secret<Vec<u8>>),
    /// To wait until this is found in what the server says (`expect`).
    Expect(Pattern),
}

/// A kind of record in DNS (`dnstype`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DnsRecord {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// The name of an address.
    Ptr,
}

impl fmt::Display for DnsRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DnsRecord::A => "A",
            DnsRecord::Aaaa => "AAAA",
            DnsRecord::Ptr => "PTR",
        })
    }
}

/// A password or the like: compared and used, never printed, and zeroed when it is dropped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Secret<T: Zeroize = String>(pub T);

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize + AsRef<[u8]>> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.as_ref().is_empty() { "\"\"" } else { "\"***\"" })
    }
}

/// How a protocol travels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Carrier {
    /// A TCP stream.
    Tcp,
    /// A TLS stream over TCP.
    Tls,
    /// A TCP stream, on which TLS begins after some words in the clear if `starttls` says so.
    StartTls,
    /// Datagrams.
    Udp,
    /// A TCP stream or datagrams, as the virtual service does.
    AsService,
    /// The protocol opens what it needs.
    Own,
}

/// What everybody may know of a protocol without speaking it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProtocolInfo {
    /// The word of the `service` directive.
    pub name: &'static str,
    /// Where it is spoken when no port is given; of ldirectord's own protocols also the port that implies it.
    pub default_port: Option<u16>,
    /// How it travels.
    pub carrier: Carrier,
    /// The directives it uses, without those that its carrier does.
    pub directives: &'static [&'static str],
    /// A paragraph for the manual.
    pub doc: &'static str,
}

impl ProtocolInfo {
    /// The directives that every protocol over TLS uses.
    pub const OF_TLS: &[&str] =
        &["tlsverify", "cafile", "tlsname", "clientcert", "clientkey", "tlsengine"];

    /// All directives it uses, when TLS begins on a connection in the clear or when not; this matters only where it can.
    pub fn uses(&self, starts_tls: bool) -> impl Iterator<Item = &'static str> + use<> {
        let (carrier, of_tls): (&[_], &[_]) = match self.carrier {
            Carrier::Tls => (&[], ProtocolInfo::OF_TLS),
            Carrier::StartTls if starts_tls => (&["starttls", "virtualhost"], ProtocolInfo::OF_TLS),
            Carrier::StartTls => (&["starttls"], &[]),
            Carrier::Tcp | Carrier::Udp | Carrier::AsService | Carrier::Own => (&[], &[]),
        };
        self.directives.iter().chain(carrier).chain(of_tls).copied()
    }
}

/// What an attempt found.
pub type Verdict = Result<Pass, Failure>;

/// The server works.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pass {
    /// What it said, for people: `200 OK`. May be empty.
    pub detail: String,
}

/// The server does not work, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The kind of fault: a closed list, for alerts and metrics.
    pub reason: Reason,
    /// The fault in a sentence without a full stop, for people.
    pub detail: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail.as_str() {
            "" => self.reason.fmt(f),
            detail => write!(f, "{}: {detail}", self.reason),
        }
    }
}

/// Why a server was found not to work.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// Nothing, or not enough, came in time.
    Timeout,
    /// It refused the connection.
    Refused,
    /// No way leads there.
    Unreachable,
    /// It broke the connection off.
    Reset,
    /// TLS could not be agreed on.
    Tls,
    /// It did not speak its protocol, or reported a fault of its own.
    Protocol,
    /// It answered, but not what was expected.
    Mismatch,
    /// It refused the login.
    Denied,
    /// An external program or an agent said so, or the program could not be run.
    Command,
    /// The fault is ours: no socket, no memory.
    Internal,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Timeout => "timeout",
            Reason::Refused => "refused",
            Reason::Unreachable => "unreachable",
            Reason::Reset => "reset",
            Reason::Tls => "tls",
            Reason::Protocol => "protocol",
            Reason::Mismatch => "mismatch",
            Reason::Denied => "denied",
            Reason::Command => "command",
            Reason::Internal => "internal",
        })
    }
}
