//! The owner of the kernel's table: reads, plans, writes, over any [`Kernel`]. The sync daemons are [`super::sync`]'s.
//!
//! In goes a [`Job`], out comes a [`Report`]. The reconciler keeps a mirror of the table as it last knew it, so
//! that a transition costs what it changes and reads nothing, and the last target, so that a service which
//! somebody deleted can be put back entirely. It decides nothing and retries nothing on its own, with one
//! exception: an answer that says that somebody else was here, or that answers were lost, has the services
//! concerned read and planned once more.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Change, Differences, Job, Kernel, KernelError, KernelErrorKind, Op, Piece, Report, Table,
    Target, plan, plan_changes, plan_missing, plan_owed,
    sync::{SyncKeeper, Zeal},
};
use crate::model::{ServiceKey, SyncRole, Weight};

/// The owner of the kernel's table.
pub struct Reconciler {
    kernel: Box<dyn Kernel>,
    /// The table as it was last read, and what was written since.
    mirror: Table,
    /// Whether the mirror can be trusted; if not, the next job reads the table first.
    known: bool,
    /// The last target, and the changes since.
    target: Target,
    /// Whether the last whole target is still to be written, because the table could not be read.
    due: bool,
    /// What we failed to write. The next [`Job::Drift`] must not take it for the work of a person.
    owed: BTreeSet<Piece>,
    sync: SyncKeeper,
}

type Done = Vec<(Op, Result<(), KernelError>)>;

impl Reconciler {
    /// A reconciler over this kernel; nothing is read before the first job.
    pub fn new(kernel: Box<dyn Kernel>) -> Reconciler {
        Reconciler {
            kernel,
            mirror: Table::default(),
            known: false,
            target: Target::default(),
            due: false,
            owed: BTreeSet::new(),
            sync: SyncKeeper::default(),
        }
    }

    /// The whole table, read anew.
    pub fn table(&mut self) -> Result<Table, KernelError> {
        self.read()?;
        Ok(self.mirror.clone())
    }

    /// Does one job.
    pub fn run(&mut self, job: &Job) -> Report {
        match job {
            Job::Everything(target) => {
                self.follow(target);
                self.everything()
            }
            Job::Services(target) => self.services(target),
            Job::Changes(changes) => self.changes(changes),
            Job::Drift(target) => {
                self.follow(target);
                if self.due { self.everything() } else { self.drift() }
            }
            Job::Look(target) => {
                self.follow(target);
                if self.due { self.everything() } else { self.look() }
            }
            Job::Delete { services, sync } => self.delete(services, sync),
        }
    }

    fn follow(&mut self, target: &Target) {
        self.target = target.clone();
        self.sync.follow(&target.sync);
    }

    /// Makes the whole table, and the sync daemons, as the last target says.
    fn everything(&mut self) -> Report {
        self.due = true;
        if let Err(error) = self.read() {
            return Report { unread: Some(error), ..Report::default() };
        }
        self.due = false;
        let report = self.make(&self.target.clone());
        self.with_sync(report, Zeal::Letter)
    }

    /// The report with what there was to do about the sync daemons, after the services that they speak of.
    fn with_sync(&mut self, report: Report, zeal: Zeal) -> Report {
        let roles = self.sync.owned();
        Report { sync: self.sync.look(self.kernel.as_mut(), &roles, zeal), ..report }
    }

    /// Makes these services as their target says, which becomes part of the last target.
    fn services(&mut self, target: &Target) -> Report {
        for service in &target.owned {
            self.target.services.remove(service);
        }
        self.target.services.extend(target.services.clone());
        self.target.owned.extend(&target.owned);
        if self.due {
            return self.everything();
        }
        match self.refresh(&target.owned) {
            Ok(()) => {
                let report = Report { found: Vec::new(), ..self.make(target) };
                Report { sync: self.sync.again(self.kernel.as_mut(), &target.sync), ..report }
            }
            Err(error) => Report { unread: Some(error), ..Report::default() },
        }
    }

    /// Makes the table, which was just read, as a target says.
    fn make(&mut self, target: &Target) -> Report {
        self.owed.retain(|(service, _)| !target.owned.contains(service));
        let targets = target.services.keys();
        let found = targets.filter(|key| self.mirror.services.contains_key(key)).copied().collect();
        let ops = plan(&self.mirror, target);
        let done = self.settle(ops, &plan);
        Report { found, done, ..Report::default() }
    }

    /// Makes the servers of a transition as wanted.
    fn changes(&mut self, changes: &[Change]) -> Report {
        let ours = |change: &&Change| {
            self.target.owned.contains(&change.service)
                && self.target.services.contains_key(&change.service)
        };
        let mut changes: Vec<Change> = changes.iter().filter(ours).cloned().collect();
        for change in &changes {
            if let Some(wish) = self.target.services.get_mut(&change.service) {
                wish.servers.insert(change.server, change.wanted);
            }
        }
        if self.due {
            return Report { found: Vec::new(), ..self.everything() };
        }
        if !self.known
            && let Err(error) = self.read()
        {
            self.owed.extend(changes.iter().map(|change| (change.service, Some(change.server))));
            return Report { unread: Some(error), ..Report::default() };
        }

        // A service that the mirror lacks could not be added when it was last tried, or was deleted by somebody.
        let mut absent: BTreeSet<ServiceKey> =
            changes.iter().map(|change| change.service).collect();
        absent.retain(|service| !self.mirror.services.contains_key(service));
        let mut unread = self.reread(&absent);
        absent.retain(|service| !unread.iter().any(|(op, _)| op.service() == *service));
        changes.retain(|change| !unread.iter().any(|(op, _)| op.service() == change.service));
        for (op, _) in &unread {
            self.owed.insert(op.piece());
        }

        let plan_these = |mirror: &Table, target: &Target| {
            let whole = target.services.keys().filter(|service| {
                absent.contains(service) || !mirror.services.contains_key(service)
            });
            let whole: BTreeSet<ServiceKey> = whole.copied().collect();
            let concerned = changes.iter().filter(|change| {
                target.services.contains_key(&change.service) && !whole.contains(&change.service)
            });
            let concerned: Vec<Change> = concerned.cloned().collect();
            let mut ops = plan(mirror, &only(target, &whole));
            ops.extend(plan_changes(mirror, &concerned));
            ops
        };
        let services = changes.iter().map(|change| change.service).collect();
        let ops = plan_these(&self.mirror, &only(&self.target, &services));
        let mut done = self.settle(ops, &plan_these);
        done.append(&mut unread);
        Report { done, ..Report::default() }
    }

    /// Puts back what is missing and what we failed to write, and finds what else differs.
    fn drift(&mut self) -> Report {
        if let Err(error) = self.read() {
            return Report { unread: Some(error), ..Report::default() };
        }
        let owed = std::mem::take(&mut self.owed);
        let (ops, drifted) = plan_missing(&self.mirror, &self.target, &owed);
        let done = self.settle(ops, &|mirror, target| plan_missing(mirror, target, &owed).0);
        self.with_sync(Report { done, drifted, ..Report::default() }, Zeal::Missing)
    }

    /// Writes what we failed to write, and finds what else differs. What seems to be missing is looked at twice:
    /// nobody would correct a false alarm.
    fn look(&mut self) -> Report {
        let read = self.read().and_then(|()| {
            let (_, seeming) = plan_owed(&self.mirror, &self.target, &self.owed);
            self.refresh(&seeming.missing.iter().map(|(service, _)| *service).collect())
        });
        if let Err(error) = read {
            return Report { unread: Some(error), ..Report::default() };
        }
        let owed = std::mem::take(&mut self.owed);
        let (ops, Differences { changed, missing }) = plan_owed(&self.mirror, &self.target, &owed);
        let done = self.settle(ops, &|mirror, target| plan_owed(mirror, target, &owed).0);
        let report = Report { done, drifted: changed, missing, ..Report::default() };
        self.with_sync(report, Zeal::Owed)
    }

    /// Deletes services; one that is not there any more is deleted. Then stops sync daemons.
    fn delete(&mut self, services: &[ServiceKey], sync: &[SyncRole]) -> Report {
        let ops: Vec<Op> = services.iter().copied().map(Op::DelService).collect();
        let mut results = self.kernel.apply(&ops);
        if results.iter().any(is_lost) {
            // To delete what is deleted does no harm.
            let tried = ops.iter().zip(&results).filter(|(_, result)| is_lost(result));
            let again: Vec<Op> = tried.map(|(op, _)| op.clone()).collect();
            let mut second = self.kernel.apply(&again).into_iter();
            for result in results.iter_mut().filter(|result| is_lost(result)) {
                if let Some(second) = second.next() {
                    *result = if is_gone(&second) { Ok(()) } else { second };
                }
            }
        }
        for service in services {
            self.target.services.remove(service);
            self.target.owned.remove(service);
            self.owed.retain(|(owed, _)| owed != service);
        }
        let mut done: Done = ops.into_iter().zip(results).collect();
        for (op, _) in done.iter().filter(|(_, result)| result.is_ok() || is_gone(result)) {
            self.mirror.record(op);
        }
        // Nobody is told of the deletion of what was not there.
        done.retain(|(_, result)| !is_gone(result));
        let sync = self.sync.end(self.kernel.as_mut(), sync);
        Report { done, sync, ..Report::default() }
    }

    /// Writes a plan. Where somebody else was here or answers were lost, the services concerned are read anew and
    /// `again` plans for the target of just those; what comes of that is final.
    fn settle(&mut self, ops: Vec<Op>, again: &dyn Fn(&Table, &Target) -> Vec<Op>) -> Done {
        let owed = self.owed.clone();
        let mut done = self.write(ops, &BTreeSet::new());
        let contested = contested_services(&done);
        if !contested.is_empty() {
            let unread = self.reread(&contested);
            let mut read = contested;
            read.retain(|service| !unread.iter().any(|(op, _)| op.service() == *service));
            let is_open = |(op, result): &(Op, Result<(), KernelError>)| {
                is_contested(result) && read.contains(&op.service())
            };
            let failed = done.iter().filter(|tried| tried.1.is_err() && !is_open(tried));
            let failed: BTreeSet<Piece> = failed.map(|(op, _)| op.piece()).collect();
            let mut ops = again(&self.mirror, &only(&self.target, &read));
            ops.retain(|op| !failed.contains(&op.piece()));

            // What is planned once more is told by its second result. What is not was done by somebody else, or by
            // us without our hearing of it.
            let planned: BTreeSet<Piece> = ops.iter().map(Op::piece).collect();
            done.retain_mut(|tried| {
                if !is_open(tried) {
                    return true;
                }
                let lost = is_lost(&tried.1);
                tried.1 = Ok(());
                lost && !planned.contains(&tried.0.piece())
            });
            // What was held back and is not planned once more is as it should be.
            self.owed.retain(|piece| {
                owed.contains(piece) || planned.contains(piece) || !read.contains(&piece.0)
            });
            let mut second = self.write(ops, &failed);
            // What is contested again is told as it is, but the mirror has to know.
            self.reread(&contested_services(&second));
            done.append(&mut second);
        }
        for (op, result) in &done {
            match result {
                Ok(()) => self.owed.remove(&op.piece()),
                Err(_) => self.owed.insert(op.piece()),
            };
        }
        done
    }

    /// Writes changes in their order and notes in the mirror which were made. The servers of a service that is
    /// not there, because it could not be added, are not tried: they would tell its failure over and over. What has
    /// `failed` before and is not tried again counts when it is asked who could serve.
    fn write(&mut self, ops: Vec<Op>, failed: &BTreeSet<Piece>) -> Done {
        let (services, mut others): (Vec<Op>, Vec<Op>) =
            ops.into_iter().partition(|op| matches!(op, Op::AddService(..)));
        let mut done = self.write_all(services);
        others.retain(|op| self.mirror.services.contains_key(&op.service()));
        let (giving, mut taking): (Vec<Op>, Vec<Op>) =
            others.into_iter().partition(|op| self.gives(op));
        done.append(&mut self.write_all(giving));

        let failing = done.iter().filter(|(_, result)| result.is_err()).map(|(op, _)| op.piece());
        let failed = failing.chain(failed.iter().copied()).collect();
        let bereft = self.bereft(&failed, &taking);
        taking.retain(|op| {
            let held_back = bereft.contains(&op.service()) && self.is_serving(op);
            if held_back {
                self.owed.insert(op.piece());
            }
            !held_back
        });
        done.append(&mut self.write_all(taking));
        done
    }

    /// Whether a change takes nothing from a server at work.
    fn gives(&self, op: &Op) -> bool {
        match op {
            Op::AddService(..) | Op::SetService(..) | Op::AddServer(..) => true,
            Op::SetServer(service, server, share) => {
                let entry = self.mirror.services.get(service);
                let old = entry.and_then(|entry| entry.servers.get(server));
                old.is_none_or(|old| share.weight > old.weight)
            }
            Op::DelServer(..) | Op::DelService(_) => false,
        }
    }

    /// The services in which something could not be added or raised, and which would be left without any serving
    /// server if the rest was done nevertheless. One server that the kernel never accepts must not keep the others
    /// of its service from being taken out.
    fn bereft(&self, failed: &BTreeSet<Piece>, taking: &[Op]) -> BTreeSet<ServiceKey> {
        let servers = failed.iter().filter(|(_, server)| server.is_some());
        let failed: BTreeSet<ServiceKey> = servers.map(|(service, _)| *service).collect();
        let mut taken: BTreeMap<ServiceKey, usize> = BTreeMap::new();
        for op in taking.iter().filter(|op| failed.contains(&op.service()) && self.is_serving(op)) {
            if !matches!(op, Op::SetServer(_, _, share) if share.weight > Weight::ZERO) {
                *taken.entry(op.service()).or_default() += 1;
            }
        }
        let all_taken = |(service, taken): (ServiceKey, usize)| {
            let servers = self.mirror.services.get(&service)?.servers.values();
            let serving = servers.filter(|share| share.weight > Weight::ZERO).count();
            (serving <= taken).then_some(service)
        };
        taken.into_iter().filter_map(all_taken).collect()
    }

    /// Whether a change is made to a server that gets connections.
    fn is_serving(&self, op: &Op) -> bool {
        let entry = self.mirror.services.get(&op.service());
        let share = entry.and_then(|entry| entry.servers.get(&op.server()?));
        share.is_some_and(|share| share.weight > Weight::ZERO)
    }

    fn write_all(&mut self, ops: Vec<Op>) -> Done {
        if ops.is_empty() {
            return Vec::new();
        }
        let results = self.kernel.apply(&ops);
        debug_assert_eq!(results.len(), ops.len(), "a kernel answers every change");
        let done: Done = ops.into_iter().zip(results).collect();
        for (op, _) in done.iter().filter(|(_, result)| result.is_ok()) {
            self.mirror.record(op);
        }
        done
    }

    /// Reads the whole table into the mirror.
    fn read(&mut self) -> Result<(), KernelError> {
        self.known = false;
        self.mirror = self.kernel.table()?;
        self.known = true;
        Ok(())
    }

    /// Makes sure that the mirror knows these services as they are.
    fn refresh(&mut self, services: &BTreeSet<ServiceKey>) -> Result<(), KernelError> {
        if !self.known {
            return self.read();
        }
        self.reread(services).into_iter().try_for_each(|(_, result)| result)
    }

    /// Reads these services into the mirror. Those that could not be read come back with the reason, as if their
    /// addition had failed for it; the mirror is then not trusted.
    fn reread(&mut self, services: &BTreeSet<ServiceKey>) -> Done {
        let mut unread = Vec::new();
        for service in services {
            match self.kernel.service(service) {
                Ok(Some(entry)) => {
                    self.mirror.services.insert(*service, entry);
                }
                Ok(None) => {
                    self.mirror.services.remove(service);
                }
                Err(error) => {
                    self.known = false;
                    let wish = self.target.services.get(service);
                    let settings = wish.map(|wish| wish.settings.clone()).unwrap_or_default();
                    unread.push((Op::AddService(*service, settings), Err(error)));
                }
            }
        }
        unread
    }
}

/// The part of a target that is about these services.
fn only(target: &Target, services: &BTreeSet<ServiceKey>) -> Target {
    let wish = |service: &ServiceKey| Some((*service, target.services.get(service)?.clone()));
    Target {
        services: services.iter().filter_map(wish).collect(),
        owned: services.iter().filter(|service| target.owned.contains(service)).copied().collect(),
        ..Target::default()
    }
}

/// Whether a failure says that the table is not what the plan took it for.
fn is_contested(result: &Result<(), KernelError>) -> bool {
    use KernelErrorKind::{AlreadyThere, Lost, NotThere};
    matches!(result, Err(error) if matches!(error.kind, AlreadyThere | NotThere | Lost))
}

/// The services of which something failed so.
fn contested_services(done: &Done) -> BTreeSet<ServiceKey> {
    let contested = done.iter().filter(|(_, result)| is_contested(result));
    contested.map(|(op, _)| op.service()).collect()
}

/// Whether a failure says that there is no such service.
fn is_gone(result: &Result<(), KernelError>) -> bool {
    matches!(result, Err(error) if error.kind == KernelErrorKind::NotThere)
}

/// Whether nobody knows if the change was made.
fn is_lost(result: &Result<(), KernelError>) -> bool {
    matches!(result, Err(error) if error.kind == KernelErrorKind::Lost)
}
