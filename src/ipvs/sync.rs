//! The kernel's sync daemons: which should run, and what makes them run.
//!
//! In go a [`SyncTarget`] and a [`Kernel`], out comes a [`SyncReport`]. They are no part of the table, have an
//! interface that comes and goes, and nobody else's services depend on them; so what goes wrong with one keeps nothing
//! else from being done.

use std::collections::{BTreeMap, BTreeSet};

use nix::errno::Errno;

use super::{
    Kernel, KernelError, KernelErrorKind,
    kernel::{Reason, Tried, common_reason, name},
};
use crate::model::{SyncDaemon, SyncRole};

/// Which sync daemons should run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SyncTarget {
    /// Those that should run, and how.
    pub daemons: BTreeMap<SyncRole, SyncDaemon>,
    /// The roles that are ours. Of one that is and that is no target, none should run; one that is not is never touched.
    pub owned: BTreeSet<SyncRole>,
}

/// One change to the sync daemons.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SyncOp {
    /// Start one.
    Start(SyncRole, SyncDaemon),
    /// Stop one.
    Stop(SyncRole),
}

impl SyncOp {
    /// The role that is started or stopped.
    pub fn role(&self) -> SyncRole {
        match self {
            SyncOp::Start(role, _) | SyncOp::Stop(role) => *role,
        }
    }

    /// Why a change failed, for the error number that the kernel gave.
    pub fn refused(&self, errno: i32) -> KernelError {
        let (kind, why, hint) = self.reason(Errno::from_raw(errno));
        let why = format!("{why} ({})", name(errno));
        KernelError { hint, errno: Some(errno), ..self.failed(kind, &why) }
    }

    /// What an error number means (`ip_vs_genl_new_daemon`, `start_sync_thread`).
    fn reason(&self, errno: Errno) -> Reason {
        let (kind, why, hint) = match (errno, self) {
            (Errno::EEXIST, _) => (
                KernelErrorKind::AlreadyThere,
                "another runs already".to_owned(),
                "somebody else starts one as well, keepalived (lvs_sync_daemon) or `ipvsadm --start-daemon`: \
                 leave it to one",
            ),
            (Errno::ESRCH, _) => {
                return (KernelErrorKind::NotThere, "none runs".to_owned(), None);
            }
            (Errno::ENODEV, SyncOp::Start(_, daemon)) => (
                KernelErrorKind::Other,
                format!("there is no interface {}", daemon.interface),
                "`ip link` lists the interfaces; it is tried again until this one is there",
            ),
            (Errno::ENETUNREACH | Errno::EADDRNOTAVAIL, SyncOp::Start(_, daemon)) => (
                KernelErrorKind::Other,
                format!("{} cannot send to {}", daemon.interface, daemon.group),
                "the interface must be up, and for a group of IPv6 have an address; it is tried again until then",
            ),
            (Errno::EINVAL, SyncOp::Start(..)) => (
                KernelErrorKind::Other,
                "the kernel does not accept it".to_owned(),
                "no service may have real servers of the other IP version while connections are synchronised",
            ),
            (errno, _) => return common_reason(errno),
        };
        (kind, why, Some(hint.to_owned()))
    }

    /// Why a change failed for which there is no error number.
    pub fn failed(&self, kind: KernelErrorKind, why: &str) -> KernelError {
        let op = if self.starts() { "start-sync" } else { "stop-sync" };
        KernelError {
            tried: Some(Box::new(Tried { op, piece: None })),
            ..KernelError::new(kind, format!("{}: {why}", self.words()))
        }
    }

    fn starts(&self) -> bool {
        matches!(self, SyncOp::Start(..))
    }

    fn words(&self) -> String {
        let what = if self.starts() { "start" } else { "stop" };
        format!("cannot {what} the {} sync daemon", self.role())
    }
}

/// What came of a look at the sync daemons.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SyncReport {
    /// Every change that was tried, in order, and what came of it. What somebody else had done already is left out.
    pub done: Vec<(SyncOp, Result<(), KernelError>)>,
    /// Those that run otherwise than asked for, and were left so.
    pub drifted: Vec<SyncRole>,
    /// Those that should run, do not, and were left so.
    pub missing: Vec<SyncRole>,
}

/// How much is done about a difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Zeal {
    /// Everything, to the letter.
    Letter,
    /// What is missing is started, and what we failed to do is done. What a person changed stays.
    Missing,
    /// Only what we failed to do.
    Owed,
}

/// The owner of the sync daemons.
#[derive(Debug, Default)]
pub(super) struct SyncKeeper {
    target: SyncTarget,
    /// What was asked for of each that was started, or was found to be as asked for.
    kept: BTreeMap<SyncRole, SyncDaemon>,
}

impl SyncKeeper {
    /// Later looks are for this target.
    pub(super) fn follow(&mut self, target: &SyncTarget) {
        self.target = target.clone();
    }

    /// The roles that are ours.
    pub(super) fn owned(&self) -> BTreeSet<SyncRole> {
        self.target.owned.clone()
    }

    /// Looks at these roles of ours. Where there is none the kernel is not asked.
    pub(super) fn look(
        &mut self,
        kernel: &mut dyn Kernel,
        roles: &BTreeSet<SyncRole>,
        zeal: Zeal,
    ) -> SyncReport {
        let mut report = SyncReport::default();
        if roles.is_empty() {
            return report;
        }
        let running = kernel.sync_daemons();
        for &role in roles {
            let wish = self.target.daemons.get(&role).cloned();
            let is_kept = wish.is_some() && self.kept.get(&role) == wish.as_ref();
            let running = match &running {
                Ok(running) => running.get(&role),
                Err(error) => {
                    let op = wish.map_or(SyncOp::Stop(role), |wish| SyncOp::Start(role, wish));
                    report.done.push((op, Err(error.clone())));
                    continue;
                }
            };
            match (wish, running) {
                (None, None) => drop(self.kept.remove(&role)),
                (None, Some(_)) => self.stop(kernel, role, &mut report),
                (Some(_), None) if is_kept && zeal == Zeal::Owed => report.missing.push(role),
                (Some(wish), None) => self.start(kernel, role, wish, &mut report),
                (Some(wish), Some(running)) => {
                    // The length that was asked for before is not the kernel's choice.
                    let drops_length = wish.max_length.is_none()
                        && self.kept.get(&role).is_some_and(|kept| kept.max_length.is_some());
                    if wish.is_met_by(running) && !drops_length {
                        self.kept.insert(role, wish);
                    } else if is_kept && zeal != Zeal::Letter {
                        report.drifted.push(role);
                    } else {
                        self.start(kernel, role, wish, &mut report);
                    }
                }
            }
        }
        report
    }

    /// Starts one in place of the one that runs, if one does.
    ///
    /// That one is stopped only when the kernel says that it is in the way: it looks for the interface first, so one that
    /// works is not lost to a name that is misspelt.
    fn start(
        &mut self,
        kernel: &mut dyn Kernel,
        role: SyncRole,
        wish: SyncDaemon,
        report: &mut SyncReport,
    ) {
        let op = SyncOp::Start(role, wish.clone());
        let mut result = kernel.apply_sync(&op);
        if is(&result, KernelErrorKind::AlreadyThere) {
            let tried = report.done.len();
            self.stop(kernel, role, report);
            if report.done.get(tried).is_some_and(|(_, stopped)| stopped.is_err()) {
                return;
            }
            result = kernel.apply_sync(&op);
        }
        if result.is_ok() {
            self.kept.insert(role, wish);
        }
        report.done.push((op, result));
    }

    fn stop(&mut self, kernel: &mut dyn Kernel, role: SyncRole, report: &mut SyncReport) {
        let op = SyncOp::Stop(role);
        let mut result = kernel.apply_sync(&op);
        if is(&result, KernelErrorKind::Lost) {
            // The kernel does not answer when it stops a thread that has not run yet.
            result = kernel.apply_sync(&op);
            if is(&result, KernelErrorKind::NotThere) {
                result = Ok(());
            }
        }
        let is_gone = is(&result, KernelErrorKind::NotThere);
        if result.is_ok() || is_gone {
            self.kept.remove(&role);
        }
        if !is_gone {
            report.done.push((op, result));
        }
    }

    /// Stops these, the daemon ends.
    pub(super) fn end(&mut self, kernel: &mut dyn Kernel, roles: &[SyncRole]) -> SyncReport {
        let mut report = SyncReport::default();
        for &role in roles {
            self.stop(kernel, role, &mut report);
            self.target.daemons.remove(&role);
            self.target.owned.remove(&role);
        }
        report
    }

    /// Looks at these roles again, of which the target is now this one.
    pub(super) fn again(&mut self, kernel: &mut dyn Kernel, target: &SyncTarget) -> SyncReport {
        for role in &target.owned {
            self.target.daemons.remove(role);
        }
        self.target.daemons.extend(target.daemons.clone());
        self.target.owned.extend(&target.owned);
        self.look(kernel, &target.owned, Zeal::Letter)
    }
}

fn is(result: &Result<(), KernelError>, kind: KernelErrorKind) -> bool {
    matches!(result, Err(error) if error.kind == kind)
}

#[cfg(test)]
mod tests {
    use nix::libc;

    use super::*;
    use crate::ipvs::memory::Memory;

    fn target(daemons: &[(SyncRole, SyncDaemon)], owned: &[SyncRole]) -> SyncTarget {
        SyncTarget {
            daemons: daemons.iter().cloned().collect(),
            owned: owned.iter().copied().collect(),
        }
    }

    #[test]
    fn an_error_says_what_was_tried_and_what_to_do() {
        let start = SyncOp::Start(SyncRole::Backup, SyncDaemon::new("eth7", 1));
        assert_eq!(
            start.refused(libc::ENODEV).to_string(),
            "cannot start the backup sync daemon: there is no interface eth7 (ENODEV)\n\
             hint: `ip link` lists the interfaces; it is tried again until this one is there"
        );
        assert_eq!(
            start.refused(libc::ENETUNREACH).message,
            "cannot start the backup sync daemon: eth7 cannot send to 224.0.0.81 (ENETUNREACH)"
        );
        assert_eq!(
            SyncOp::Stop(SyncRole::Master).refused(libc::EPERM).to_string(),
            "cannot stop the master sync daemon: permission denied (EPERM)\n\
             hint: the daemon needs CAP_NET_ADMIN"
        );
    }

    #[test]
    fn one_that_is_as_asked_for_is_left_running_and_a_length_can_be_taken_back() {
        let (master, usual) = (SyncRole::Master, SyncDaemon::new("eth0", 1));
        let long = SyncDaemon { max_length: Some(1472), ..usual.clone() };
        let mut memory = Memory::default();
        let mut keeper = SyncKeeper::default();
        let mut make = |daemon: &SyncDaemon| {
            keeper.follow(&target(&[(master, daemon.clone())], &[master]));
            keeper.look(&mut memory, &[master].into(), Zeal::Letter).done.len()
        };
        assert_eq!(make(&usual), 1);
        assert_eq!(make(&usual), 0);
        assert_eq!(make(&long), 0, "the kernel chose this length");
        assert_eq!(make(&usual), 2, "and may choose again");
        assert_eq!(make(&SyncDaemon { id: 2, ..usual.clone() }), 2);
    }
}
