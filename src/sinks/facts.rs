//! The facts of a notice, as fields of its event: what a program reads where a person reads the line.
//!
//! Their names are the same in every event, and stay: `event` says what happened, in one word; ldirectord(8) lists them.

use std::net::SocketAddr;

use tracing::{Level, field};

use super::notice::tame;
use crate::{
    director::{News, Notice, Phase, Place, Role},
    ipvs::KernelError,
    model::{CertificateEnd, Failure, Reason, ServiceKey, Share, SyncRole, Trace},
};

/// What there is to know of a notice; most know little.
#[derive(Default)]
pub(super) struct Facts {
    event: &'static str,
    /// What the daemon was doing.
    during: Option<Phase>,
    service: Option<ServiceKey>,
    /// As the kernel has it.
    server: Option<SocketAddr>,
    /// As the file has it, where that is another address.
    written: Option<SocketAddr>,
    role: Option<Role>,
    weight: Option<u32>,
    forwarding: Option<String>,
    reason: Option<Reason>,
    detail: Option<String>,
    /// What the attempt was spent on when it ended.
    phase: Option<crate::model::Phase>,
    took_ms: Option<f64>,
    count: Option<u64>,
    of: Option<u32>,
    end: Option<CertificateEnd>,
    left_s: Option<i64>,
    needed: Option<bool>,
    /// Which of the kernel's sync daemons.
    sync: Option<SyncRole>,
    op: Option<&'static str>,
    errno: Option<i32>,
}

impl Facts {
    /// Those of this notice; `trace` is how the attempt went that it tells of.
    pub(super) fn of(notice: &Notice, trace: Option<&Trace>) -> Facts {
        Facts {
            during: Some(notice.phase),
            phase: trace.map(|trace| trace.phase),
            took_ms: trace
                .map(|trace| trace.times.iter().map(|(_, time)| time.as_secs_f64() * 1000.0).sum()),
            ..Facts::of_news(&notice.news)
        }
    }

    fn of_news(news: &News) -> Facts {
        match news {
            News::ServiceAdded(service, _) => of_service("service-added", *service),
            News::ServiceChanged(service, _) => of_service("service-changed", *service),
            News::ServicePurged(service) => of_service("service-purged", *service),
            News::ServerAdded(place, share) => of_share("server-added", place, share),
            News::ServerRestored(place, share) => of_share("server-restored", place, share),
            News::ServerReweighted(place, share) => of_share("server-reweighted", place, share),
            News::ServerQuiesced(place) => {
                Facts { weight: Some(0), ..of_place("server-quiesced", place) }
            }
            News::ServerQuiescedAnew(place) => {
                Facts { weight: Some(0), ..of_place("server-quiesced-anew", place) }
            }
            News::ServerDeleted(place) => of_place("server-deleted", place),
            News::ServerInaccessible(place) => of_place("server-inaccessible", place),
            News::ServerPurged(service, server) => {
                Facts { server: Some(*server), ..of_service("server-purged", *service) }
            }
            News::SoftFailure { place, count, of } => counted("soft-failure", place, *count, *of),
            News::FailuresForgotten(place) => of_place("soft-failures-forgotten", place),
            News::SoftPass { place, count, of } => counted("soft-success", place, *count, *of),
            News::PassesForgotten(place) => of_place("soft-successes-forgotten", place),
            News::Up(place) => of_place("server-up", place),
            News::Down(place, failure) => failed("server-down", place, failure),
            News::Checked(place, _) => of_place("checked", place),
            News::CertificateEnds { place, end, left_s } => Facts {
                end: Some(*end),
                left_s: Some(*left_s),
                ..of_place("certificate-ends", place)
            },
            News::Unverified(count) => {
                Facts { event: "unverified", count: u64::try_from(*count).ok(), ..Facts::default() }
            }
            News::AgentSays { place, changed, to, .. } => Facts {
                weight: Some(to.get()),
                detail: Some(changed.to_string()),
                ..of_place("agent-says", place)
            },
            News::AgentLost(place, failure) => failed("agent-lost", place, failure),
            News::AgentOdd(place, word) => {
                Facts { detail: Some(tame(word)), ..of_place("agent-odd", place) }
            }
            News::AgentBack(place) => of_place("agent-back", place),
            News::DownByAgent(place) => of_place("down-by-agent", place),
            News::Maintenance(place, true) => of_place("maintenance-begins", place),
            News::Maintenance(place, false) => of_place("maintenance-ends", place),
            News::InMaintenance(place) => of_place("in-maintenance", place),
            News::FallbackNeeded(service, needed) => {
                Facts { needed: Some(*needed), ..of_service("fallback-needed", *service) }
            }
            News::Drifted(service, server) => {
                Facts { server: server.map(|server| server.0), ..of_service("drifted", *service) }
            }
            News::Missing(service, server) => {
                Facts { server: server.map(|server| server.0), ..of_service("missing", *service) }
            }
            News::SyncStarted(role, _) => of_sync("sync-started", *role),
            News::SyncStopped(role) => of_sync("sync-stopped", *role),
            News::SyncDrifted(role) => of_sync("sync-drifted", *role),
            News::SyncMissing(role) => of_sync("sync-missing", *role),
            News::KernelFault(error) => of_fault(error),
        }
    }

    /// Writes them to the log behind this line.
    pub(super) fn tell(self, level: Level, line: &str) {
        macro_rules! tell {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    event = self.event,
                    during = self.during.map(field::display),
                    service = self.service.map(field::display),
                    server = self.server.map(field::display),
                    written = self.written.map(field::display),
                    role = self.role.map(field::display),
                    weight = self.weight,
                    forwarding = self.forwarding,
                    reason = self.reason.map(field::display),
                    detail = self.detail,
                    phase = self.phase.map(field::display),
                    took_ms = self.took_ms,
                    count = self.count,
                    of = self.of,
                    end = self.end.map(field::display),
                    left_s = self.left_s,
                    needed = self.needed,
                    sync = self.sync.map(field::display),
                    op = self.op,
                    errno = self.errno,
                    "{line}"
                )
            };
        }
        match level {
            Level::ERROR => tell!(Level::ERROR),
            Level::WARN => tell!(Level::WARN),
            Level::INFO => tell!(Level::INFO),
            _ => tell!(Level::DEBUG),
        }
    }
}

/// Those of a fault of the kernel, where it is told outside of a notice, too.
pub(super) fn of_fault(error: &KernelError) -> Facts {
    let tried = error.tried.as_deref();
    let (service, server) = tried.and_then(|tried| tried.piece).unzip();
    Facts {
        event: "kernel-fault",
        service,
        server: server.flatten().map(|server| server.0),
        op: tried.map(|tried| tried.op),
        errno: error.errno,
        ..Facts::default()
    }
}

fn of_sync(event: &'static str, sync: SyncRole) -> Facts {
    Facts { event, sync: Some(sync), ..Facts::default() }
}

fn of_service(event: &'static str, service: ServiceKey) -> Facts {
    Facts { event, service: Some(service), ..Facts::default() }
}

fn of_place(event: &'static str, place: &Place) -> Facts {
    Facts {
        server: Some(place.server.0),
        written: Some(place.written).filter(|written| *written != place.server.0),
        role: Some(place.role),
        ..of_service(event, place.service)
    }
}

fn of_share(event: &'static str, place: &Place, share: &Share) -> Facts {
    Facts {
        weight: Some(share.weight.get()),
        forwarding: Some(share.forwarding.to_string()),
        ..of_place(event, place)
    }
}

fn counted(event: &'static str, place: &Place, count: u32, of: u32) -> Facts {
    Facts { count: Some(count.into()), of: Some(of), ..of_place(event, place) }
}

fn failed(event: &'static str, place: &Place, failure: &Failure) -> Facts {
    Facts {
        reason: Some(failure.reason),
        detail: Some(tame(&failure.detail)),
        ..of_place(event, place)
    }
}
