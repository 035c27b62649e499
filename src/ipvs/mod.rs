//! The kernel's table as we see it: what is there, what should be there, and what is ours.
//!
//! In go a [`Target`] or a list of [`Change`]s, out comes a [`Report`] of what was done.
//! [`mod@plan`] compares and is pure; [`reconcile`] reads, plans and applies over any [`kernel::Kernel`].
//! Nothing here decides whether a server works, and nothing reads a clock.

pub mod census;
pub mod kernel;
pub mod memory;
pub mod netlink;
pub mod plan;
pub mod reconcile;
pub mod sync;

mod convert;
mod modules;

use std::collections::{BTreeMap, BTreeSet};

pub use self::{
    kernel::{Kernel, KernelError, KernelErrorKind, Tried},
    modules::load_schedulers,
    plan::{Differences, plan, plan_changes, plan_missing, plan_owed},
    reconcile::Reconciler,
    sync::{SyncOp, SyncReport, SyncTarget},
};
use crate::model::{ServerKey, ServiceKey, Settings, Share, SyncRole};

/// What is in the kernel: every virtual service of the network namespace, ours or not.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Table {
    /// The virtual services.
    pub services: BTreeMap<ServiceKey, Entry>,
}

impl Table {
    /// Notes a change that was made: what the table is after it.
    pub fn record(&mut self, op: &Op) {
        match op {
            Op::AddService(service, settings) | Op::SetService(service, settings) => {
                self.services.entry(*service).or_default().settings = settings.clone();
            }
            Op::DelService(service) => {
                self.services.remove(service);
            }
            Op::AddServer(service, server, share) | Op::SetServer(service, server, share) => {
                if let Some(entry) = self.services.get_mut(service) {
                    entry.servers.insert(*server, *share);
                }
            }
            Op::DelServer(service, server) => {
                if let Some(entry) = self.services.get_mut(service) {
                    entry.servers.remove(server);
                }
            }
        }
    }
}

/// A virtual service in the kernel.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Entry {
    /// How its connections are spread.
    pub settings: Settings,
    /// Its servers.
    pub servers: BTreeMap<ServerKey, Share>,
}

/// What should be in the kernel for every service we own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Target {
    /// The virtual services that should exist. Of each, every server that is not named here leaves.
    pub services: BTreeMap<ServiceKey, Wish>,
    /// The services that we may change or delete. One that is owned and not a target is deleted;
    /// one that is not owned is never touched.
    pub owned: BTreeSet<ServiceKey>,
    /// The sync daemons that should run.
    pub sync: SyncTarget,
}

/// What should be in the kernel for one service.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wish {
    /// How its connections are spread.
    pub settings: Settings,
    /// What should be there of each server.
    pub servers: BTreeMap<ServerKey, Wanted>,
}

/// What should be in the kernel for one server of a service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Wanted {
    /// It is there, like this.
    Present(Share),
    /// If it is there, then like this; if it is not, it stays away.
    IfPresent(Share),
    /// It is not there.
    Absent,
}

/// One server that should be otherwise than it was: what a transition costs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The service.
    pub service: ServiceKey,
    /// The server.
    pub server: ServerKey,
    /// What should be there.
    pub wanted: Wanted,
}

/// What a change is made to: a service, or a server of it.
pub type Piece = (ServiceKey, Option<ServerKey>);

/// One change to the kernel's table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Add a service.
    AddService(ServiceKey, Settings),
    /// Change how a service's connections are spread.
    SetService(ServiceKey, Settings),
    /// Delete a service with all its servers.
    DelService(ServiceKey),
    /// Add a server.
    AddServer(ServiceKey, ServerKey, Share),
    /// Change a server.
    SetServer(ServiceKey, ServerKey, Share),
    /// Delete a server; its connections break.
    DelServer(ServiceKey, ServerKey),
}

impl Op {
    /// The service that the change is made to.
    pub fn service(&self) -> ServiceKey {
        match self {
            Op::AddService(service, _)
            | Op::SetService(service, _)
            | Op::DelService(service)
            | Op::AddServer(service, ..)
            | Op::SetServer(service, ..)
            | Op::DelServer(service, _) => *service,
        }
    }

    /// The server that the change is made to, if it is made to one.
    pub fn server(&self) -> Option<ServerKey> {
        match self {
            Op::AddServer(_, server, _)
            | Op::SetServer(_, server, _)
            | Op::DelServer(_, server) => Some(*server),
            Op::AddService(..) | Op::SetService(..) | Op::DelService(_) => None,
        }
    }

    /// What the change is, in a word for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Op::AddService(..) => "add-service",
            Op::SetService(..) => "set-service",
            Op::DelService(..) => "delete-service",
            Op::AddServer(..) => "add-server",
            Op::SetServer(..) => "set-server",
            Op::DelServer(..) => "delete-server",
        }
    }

    /// What the change is made to.
    pub fn piece(&self) -> Piece {
        (self.service(), self.server())
    }
}

/// What is asked of the kernel's owner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Job {
    /// Read the whole table and make it as the target says: at start, at reload, after a fault.
    Everything(Target),
    /// The same for the services and sync daemons of this target alone: what failed is tried again, and the others are
    /// let be.
    Services(Target),
    /// Make these servers as wanted: a transition.
    ///
    /// A service of the last target that has vanished is put back entirely; one that is not of the last target is left alone.
    Changes(Vec<Change>),
    /// Read the whole table and put back only what is missing of the target; report what else differs.
    ///
    /// A weight, method or scheduler that a person changed stays: operators drain that way.
    Drift(Target),
    /// Read the whole table and report how it differs from the target; change only what we failed to write.
    Look(Target),
    /// The daemon ends.
    Delete {
        /// Services to delete.
        services: Vec<ServiceKey>,
        /// Sync daemons to stop.
        sync: Vec<SyncRole>,
    },
}

/// What came of a [`Job`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// The services of the target that the kernel had before the job; only of [`Job::Everything`].
    pub found: Vec<ServiceKey>,
    /// Every change that was tried, in order, and what came of it.
    ///
    /// A change that somebody else had made already is left out. So are the servers of a service that could not be
    /// added: only the service's failure is told.
    pub done: Vec<(Op, Result<(), KernelError>)>,
    /// Services and servers that are there but otherwise than the target says, or should not be there; only of
    /// [`Job::Drift`] and [`Job::Look`].
    pub drifted: Vec<Piece>,
    /// Services and servers that should be there, are not, and were left so; only of [`Job::Look`].
    /// Of a service that is missing, its servers are not named.
    pub missing: Vec<Piece>,
    /// Why the table could not be read, if it could not; then nothing was tried.
    pub unread: Option<KernelError>,
    /// What came of the sync daemons; of [`Job::Changes`] nothing.
    pub sync: SyncReport,
}
