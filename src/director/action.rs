//! Everything that can follow from what happens to a director.

use std::{fmt, net::SocketAddr, sync::Arc};

use super::alerts::Message;
use crate::{
    ipvs::{Job, KernelError},
    model::{
        AgentReport, CertificateEnd, CheckSpec, Failure, ServerKey, ServiceKey, Settings, Share,
        Stage, SyncDaemon, SyncRole, Verdict, Weight,
    },
};

/// The number of one run of a check; never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Attempt(pub u64);

/// `#7`.
impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Everything that the shell must do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Run a check and answer with [`super::Event::CheckFinished`], of an agent with
    /// [`super::Event::AgentAnswered`].
    StartCheck {
        /// The number to answer with.
        attempt: Attempt,
        /// What to ask.
        check: Arc<CheckSpec>,
        /// Which of its questions, where it has two.
        stage: Stage,
    },
    /// Nobody waits for this attempt any more.
    CancelCheck(Attempt),
    /// Do this to the kernel's table and answer with [`super::Event::Reconciled`]. Never two at a time.
    Reconcile(Box<Job>),
    /// Tell whoever listens.
    Publish(Notice),
    /// Send a mail, or call a webhook.
    Send(Message),
    /// Everything is done; end the process. Only after [`super::Event::Stop`] or [`super::Event::Leave`].
    Finish,
}

/// Which of a service's servers is spoken of: one that the file calls real, or the fallback.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// A real server.
    Real,
    /// The fallback.
    Fallback,
}

/// `real`, `fallback`, as in ldirectord's log lines.
impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Real => "real",
            Role::Fallback => "fallback",
        })
    }
}

/// What the daemon is doing as a whole; mails are filtered by it (`emailalertstatus`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Phase {
    /// From the start until every server has been checked once.
    Starting,
    /// The usual.
    Running,
    /// From a reload until every server has been checked once.
    Reloading,
    /// The end.
    Stopping,
}

/// `starting`, `running`, `reloading`, `stopping`.
impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Starting => "starting",
            Phase::Running => "running",
            Phase::Reloading => "reloading",
            Phase::Stopping => "stopping",
        })
    }
}

/// A server of a service, as people know it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// The service.
    pub service: ServiceKey,
    /// The server as the kernel stores it.
    pub server: ServerKey,
    /// The server as the file has it.
    pub written: SocketAddr,
    /// What the file calls it.
    pub role: Role,
}

/// Something that whoever listens is told: the log, mail, the monitor file, metrics.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// What the daemon was doing.
    pub phase: Phase,
    /// What there is to tell.
    pub news: News,
}

/// What there is to tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// A virtual service was added to the kernel.
    ServiceAdded(ServiceKey, Settings),
    /// A virtual service was in the kernel already and is now as we want it.
    ServiceChanged(ServiceKey, Settings),
    /// A virtual service left the kernel because the file no longer has it, or because the daemon ends.
    ServicePurged(ServiceKey),
    /// A server was added to the kernel.
    ServerAdded(Place, Share),
    /// A server was in the kernel and is now otherwise: back in service, or with other settings.
    ServerRestored(Place, Share),
    /// A server was given weight 0 because it is down.
    ServerQuiesced(Place),
    /// A server that is down was put into the kernel with weight 0.
    ServerQuiescedAnew(Place),
    /// A server was deleted from the kernel because it is down, or is a fallback that is no longer needed.
    ServerDeleted(Place),
    /// A real server is down: still, or since the start.
    ServerInaccessible(Place),
    /// A server that the file does not have, or that leaves with its service, was deleted.
    ServerPurged(ServiceKey, SocketAddr),
    /// A check failed, and not often enough yet to take the server down.
    SoftFailure {
        /// The server.
        place: Place,
        /// How many have failed in a row.
        count: u32,
        /// How many it takes.
        of: u32,
    },
    /// A check passed before enough had failed.
    FailuresForgotten(Place),
    /// A check of a server that is down passed, and not often enough yet to bring it back.
    SoftPass {
        /// The server.
        place: Place,
        /// How many have passed in a row.
        count: u32,
        /// How many it takes.
        of: u32,
    },
    /// A check failed before enough had passed.
    PassesForgotten(Place),
    /// Checks took a server into service, or its agent let it come back.
    Up(Place),
    /// Checks or its agent took a server out of service.
    Down(Place, Failure),
    /// A check of this server ended; every attempt, for monitor files and debugging.
    Checked(Place, Verdict),
    /// The certificate of this server ends soon or has ended.
    CertificateEnds {
        /// The server, in the first service that is checked by whoever saw the certificate.
        place: Place,
        /// When.
        end: CertificateEnd,
        /// How many seconds are left; below 0 when it has ended.
        left_s: i64,
    },
    /// So many checks speak TLS and do not verify certificates. Told at the start and when a reload changes it.
    Unverified(usize),
    /// A server that serves got another weight because its agent asked for it.
    ServerReweighted(Place, Share),
    /// The agent of a server says something else than before.
    AgentSays {
        /// The server.
        place: Place,
        /// What it says otherwise; not that the server does not work, which is [`News::Down`].
        changed: AgentReport,
        /// The weight that the server had of it before, while it works.
        from: Weight,
        /// The weight that it has of it now, while it works.
        to: Weight,
    },
    /// The agent of a server cannot be asked; what it said last stays. Told once until it is back.
    AgentLost(Place, Failure),
    /// The agent of a server says a word that is not understood; what is understood counts. Told once until it is back.
    AgentOdd(Place, String),
    /// The agent of a server can be asked again, and is understood.
    AgentBack(Place),
    /// Checks would take a server into service, but that its agent has said that it does not work.
    DownByAgent(Place),
    /// A server is put into maintenance (`true`) or taken out of it.
    Maintenance(Place, bool),
    /// A check of this server would have begun, but that it is in maintenance; of services with a monitor file.
    InMaintenance(Place),
    /// The fallback begins (`true`) or ends to be needed.
    FallbackNeeded(ServiceKey, bool),
    /// A server or service in the kernel is otherwise than we left it, and stays so.
    Drifted(ServiceKey, Option<ServerKey>),
    /// Somebody deleted a server or service from the kernel, and it stays away.
    Missing(ServiceKey, Option<ServerKey>),
    /// A sync daemon was started.
    SyncStarted(SyncRole, SyncDaemon),
    /// A sync daemon was stopped.
    SyncStopped(SyncRole),
    /// A sync daemon runs otherwise than we started it, and stays so.
    SyncDrifted(SyncRole),
    /// Somebody stopped a sync daemon, and it stays so.
    SyncMissing(SyncRole),
    /// Something that should be in the kernel could not be put there. Told once until it changes.
    KernelFault(KernelError),
}

impl News {
    /// The server that was put into the kernel or taken out of it, or should be there.
    pub fn place(&self) -> Option<&Place> {
        match self {
            News::ServerAdded(place, _)
            | News::ServerRestored(place, _)
            | News::ServerQuiesced(place)
            | News::ServerQuiescedAnew(place)
            | News::ServerDeleted(place)
            | News::ServerInaccessible(place) => Some(place),
            _ => None,
        }
    }
}
