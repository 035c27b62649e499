//! [`Kernel`]: whoever holds an IPVS table. Two do: the real one ([`super::netlink`]) and one in memory
//! ([`super::memory`]), held to the real one by the conformance script in `tests/kernel`.

use std::{collections::BTreeMap, fmt};

use nix::errno::Errno;

use super::{Entry, Op, Piece, SyncOp, Table, census::Census};
use crate::model::{Family, ServiceKey, Settings, SyncDaemon, SyncRole};

/// Whoever holds an IPVS table.
pub trait Kernel: Send {
    /// The whole table.
    fn table(&mut self) -> Result<Table, KernelError>;

    /// One service of the table, `None` when it is not there.
    fn service(&mut self, key: &ServiceKey) -> Result<Option<Entry>, KernelError>;

    /// The whole table with what the kernel counts.
    fn census(&mut self) -> Result<Census, KernelError> {
        self.table().map(Census::uncounted)
    }

    /// Makes the changes in their order and says of each what came of it: as many results as changes.
    /// A change that fails does not keep the later ones from being tried.
    ///
    /// [`KernelErrorKind::AlreadyThere`] and [`KernelErrorKind::NotThere`] mean that the table is not what the
    /// change took it for; with [`KernelErrorKind::Lost`] the change may or may not have been made.
    fn apply(&mut self, ops: &[Op]) -> Vec<Result<(), KernelError>>;

    /// The sync daemons that run, with everything about them that the kernel tells.
    fn sync_daemons(&mut self) -> Result<BTreeMap<SyncRole, SyncDaemon>, KernelError>;

    /// Starts or stops a sync daemon; the kinds of failure are those of [`Kernel::apply`].
    fn apply_sync(&mut self, op: &SyncOp) -> Result<(), KernelError>;
}

/// Why the kernel's table could not be read or changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelError {
    /// The kind, for those who can do something about it.
    pub kind: KernelErrorKind,
    /// A sentence without a full stop: what was tried on what, and the errno.
    pub message: String,
    /// What a person can do.
    pub hint: Option<String>,
    /// What was to be changed; `None` when something could not be read.
    pub tried: Option<Box<Tried>>,
    /// The kernel's error number, if it gave one.
    pub errno: Option<i32>,
}

/// A change that failed, for programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tried {
    /// `add-service`, `set-server`, `start-sync` and the like.
    pub op: &'static str,
    /// What it was to change; `None` of a sync daemon.
    pub piece: Option<Piece>,
}

impl KernelError {
    /// Of this kind, and nothing more is known than the sentence.
    pub fn new(kind: KernelErrorKind, message: String) -> KernelError {
        KernelError { kind, message, hint: None, tried: None, errno: None }
    }

    /// Why a change failed, for the error number that the kernel gave.
    pub fn refused(op: &Op, errno: i32) -> KernelError {
        let (kind, why, hint) = reason(op, Errno::from_raw(errno));
        KernelError {
            hint,
            errno: Some(errno),
            ..KernelError::failed(op, kind, &format!("{why} ({})", name(errno)))
        }
    }

    /// Why a change failed for which there is no error number.
    pub fn failed(op: &Op, kind: KernelErrorKind, why: &str) -> KernelError {
        let tried = Tried { op: op.word(), piece: Some(op.piece()) };
        KernelError {
            tried: Some(Box::new(tried)),
            ..KernelError::new(kind, format!("cannot {}: {why}", words(op)))
        }
    }

    /// Why something could not be read (`the IPVS table`, `tcp 192.0.2.1:80`).
    pub fn unreadable(what: &str, errno: i32) -> KernelError {
        let (kind, why, hint) = common_reason(Errno::from_raw(errno));
        let message = format!("cannot read {what}: {why} ({})", name(errno));
        KernelError { hint, errno: Some(errno), ..KernelError::new(kind, message) }
    }
}

/// What a change was to do, in words that follow "cannot".
fn words(op: &Op) -> String {
    match op {
        Op::AddService(service, _) => format!("add virtual service {service}"),
        Op::SetService(service, _) => format!("change virtual service {service}"),
        Op::DelService(service) => format!("delete virtual service {service}"),
        Op::AddServer(service, server, _) => format!("add real server {server} to {service}"),
        Op::SetServer(service, server, _) => format!("change real server {server} of {service}"),
        Op::DelServer(service, server) => format!("delete real server {server} of {service}"),
    }
}

pub(super) type Reason = (KernelErrorKind, String, Option<String>);

/// What an error number means for a change (`ip_vs_genl_set_cmd` and what it calls in
/// `net/netfilter/ipvs/ip_vs_ctl.c`; the family gives no text of its own).
fn reason(op: &Op, errno: Errno) -> Reason {
    match (errno, op) {
        (Errno::EEXIST, _) => (KernelErrorKind::AlreadyThere, "it is there already".into(), None),
        (Errno::ENOENT, Op::AddService(_, settings) | Op::SetService(_, settings)) => {
            unknown_module(settings)
        }
        (Errno::ENOENT, _) => (KernelErrorKind::NotThere, "there is no such server".into(), None),
        (Errno::ESRCH, _) => {
            (KernelErrorKind::NotThere, "there is no such virtual service".into(), None)
        }
        (Errno::ERANGE, Op::AddServer(_, _, share) | Op::SetServer(_, _, share))
            if share.thresholds.lower > share.thresholds.upper =>
        {
            let thresholds = share.thresholds;
            let why = format!(
                "the lower threshold {} is above the upper one {}",
                thresholds.lower, thresholds.upper
            );
            let hint = "a server with a lower threshold needs an upper one that is not below it";
            (KernelErrorKind::Other, why, Some(hint.to_owned()))
        }
        (Errno::EINVAL, Op::AddServer(service, server, _) | Op::SetServer(service, server, _)) => {
            let hint = if service.family() == Family::of(server.0.ip()) {
                "the address of a real server is one host that this one has a route to, and tunnelling by GUE needs a port"
            } else {
                "a real server of the other IP version is reached by tunnelling only (ipip), and only while no sync daemon runs"
            };
            (KernelErrorKind::Other, "the kernel does not accept it".into(), Some(hint.to_owned()))
        }
        _ => common_reason(errno),
    }
}

/// The module of the scheduler or of the persistence engine is missing; the kernel does not say which.
fn unknown_module(settings: &Settings) -> Reason {
    let scheduler = &settings.scheduler;
    let engine = settings.persistence.as_ref().and_then(|persistence| persistence.engine.as_ref());
    let (why, modules) = match engine {
        None => (format!("the kernel has no scheduler {scheduler}"), format!("ip_vs_{scheduler}")),
        Some(engine) => (
            format!("the kernel has no scheduler {scheduler} or no persistence engine {engine}"),
            format!("ip_vs_{scheduler} and ip_vs_pe_{engine}"),
        ),
    };
    let hint = format!("check the name, and that modprobe finds {modules}");
    (KernelErrorKind::Unsupported, why, Some(hint))
}

/// What an error number means whatever was tried.
pub(super) fn common_reason(errno: Errno) -> Reason {
    match errno {
        Errno::EPERM | Errno::EACCES => (
            KernelErrorKind::Denied,
            "permission denied".into(),
            Some("the daemon needs CAP_NET_ADMIN".to_owned()),
        ),
        Errno::EAFNOSUPPORT => (
            KernelErrorKind::Unsupported,
            "the kernel's IPVS does not know this IP version".into(),
            Some(
                "IPv6 needs a kernel with CONFIG_IP_VS_IPV6 and its ipv6 module loaded".to_owned(),
            ),
        ),
        Errno::ENOMEM | Errno::ENOBUFS => {
            (KernelErrorKind::Other, "the kernel is out of memory".into(), None)
        }
        Errno::UnknownErrno => (KernelErrorKind::Other, "the kernel refuses".into(), None),
        other => (KernelErrorKind::Other, other.desc().to_lowercase(), None),
    }
}

/// `EPERM` and the like; the kernel has numbers without a name, such as 524.
pub(super) fn name(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => format!("errno {errno}"),
        errno => format!("{errno:?}"),
    }
}

/// The sentence, and the hint on a line of its own.
impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for KernelError {}

/// The kinds of [`KernelError`] that make a difference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum KernelErrorKind {
    /// The service or server is there already: somebody was here (EEXIST).
    AlreadyThere,
    /// The service or server is not there: somebody was here (ENOENT, ESRCH).
    NotThere,
    /// The process may not (EPERM, EACCES).
    Denied,
    /// The kernel has no IPVS, or not this part of it: no such scheduler or engine.
    Unsupported,
    /// Answers were lost; what was changed is unknown until the table is read again.
    Lost,
    /// Anything else.
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Forwarding, Scheduler, ServerKey, Share, Thresholds, Transport, Weight};

    fn service() -> ServiceKey {
        ServiceKey::Address { transport: Transport::Tcp, address: ([192, 0, 2, 1], 80).into() }
    }

    fn add_server(thresholds: Thresholds) -> Op {
        let share = Share { forwarding: Forwarding::Masquerade, weight: Weight::ONE, thresholds };
        Op::AddServer(service(), ServerKey(([10, 0, 0, 7], 80).into()), share)
    }

    #[test]
    fn an_error_is_a_sentence_and_a_hint() {
        let denied = KernelError::refused(&add_server(Thresholds::default()), nix::libc::EPERM);
        assert_eq!(
            denied.to_string(),
            "cannot add real server 10.0.0.7:80 to tcp 192.0.2.1:80: permission denied (EPERM)\n\
             hint: the daemon needs CAP_NET_ADMIN"
        );
        let settings = Settings { scheduler: Scheduler("wlx".to_owned()), ..Settings::default() };
        let unknown = KernelError::refused(&Op::AddService(service(), settings), nix::libc::ENOENT);
        assert_eq!(unknown.kind, KernelErrorKind::Unsupported);
        assert_eq!(
            unknown.to_string(),
            "cannot add virtual service tcp 192.0.2.1:80: the kernel has no scheduler wlx (ENOENT)\n\
             hint: check the name, and that modprobe finds ip_vs_wlx"
        );
        let thresholds = Thresholds { upper: 3, lower: 4 };
        let crossed = KernelError::refused(&add_server(thresholds), nix::libc::ERANGE);
        assert_eq!(
            crossed.message,
            "cannot add real server 10.0.0.7:80 to tcp 192.0.2.1:80: \
             the lower threshold 4 is above the upper one 3 (ERANGE)"
        );
        let busy = KernelError::unreadable("the IPVS table", nix::libc::EBUSY);
        assert_eq!(busy.to_string(), "cannot read the IPVS table: device or resource busy (EBUSY)");
        let odd = KernelError::unreadable("tcp 192.0.2.1:80", 524);
        assert_eq!(odd.to_string(), "cannot read tcp 192.0.2.1:80: the kernel refuses (errno 524)");
    }
}
