//! Runs checks: how many at a time, their end, their cancellation.
//!
//! In go attempts, out come verdicts, one for each attempt that is not cancelled, whatever becomes of its task.
//! A check's own limit of time counts from when it runs, so waiting for a place does not make it fail.
//!
//! This and [`super::hooks`] are the only places that start tasks.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use crate::{
    checks::Checker,
    director::Attempt,
    model::{CheckKind, CheckSpec, Failure, Reason, Stage, Verdict},
};

/// How many checks run at a time, at most; each takes a socket or two.
const CHECKS: usize = 2_000;

/// How many external programs run at a time, at most.
const PROGRAMS: usize = 100;

/// File descriptors that are not for checks.
const RESERVED_FILES: usize = 100;

/// Attempts of one kind: those that run and, in their order, those that wait for a place.
#[derive(Debug, Default)]
struct Lane {
    waiting: BTreeMap<Attempt, (Arc<CheckSpec>, Stage)>,
    running: usize,
    limit: usize,
}

/// A task that runs.
#[derive(Debug)]
struct Task {
    attempt: Attempt,
    is_program: bool,
    cancelled: bool,
}

/// Runs checks.
pub(super) struct Runner {
    checker: Arc<Checker>,
    tasks: JoinSet<Verdict>,
    running: HashMap<Id, Task>,
    handles: HashMap<Attempt, AbortHandle>,
    network: Lane,
    programs: Lane,
}

impl Runner {
    /// With this many file descriptors at hand.
    pub(super) fn new(checker: Checker, files: usize) -> Runner {
        let limit = (files.saturating_sub(RESERVED_FILES) / 2).clamp(10, CHECKS);
        Runner {
            checker: Arc::new(checker),
            tasks: JoinSet::new(),
            running: HashMap::new(),
            handles: HashMap::new(),
            network: Lane { limit, ..Lane::default() },
            programs: Lane { limit: PROGRAMS.min(limit), ..Lane::default() },
        }
    }

    /// Begins an attempt, or lets it wait for a place.
    pub(super) fn start(&mut self, attempt: Attempt, check: Arc<CheckSpec>, stage: Stage) {
        let is_program = matches!(check.kind, CheckKind::External { .. });
        self.lane(is_program).waiting.insert(attempt, (check, stage));
        self.fill(is_program);
    }

    /// Nobody waits for this attempt any more.
    pub(super) fn cancel(&mut self, attempt: Attempt) {
        match self.handles.remove(&attempt) {
            Some(handle) => {
                if let Some(task) = self.running.get_mut(&handle.id()) {
                    task.cancelled = true;
                }
                // Its place is free when the task has really ended.
                handle.abort();
            }
            None => {
                self.network.waiting.remove(&attempt);
                self.programs.waiting.remove(&attempt);
            }
        }
    }

    /// The next attempt that ends; for ever when none runs.
    pub(super) async fn next(&mut self) -> (Attempt, Verdict) {
        loop {
            match self.tasks.join_next_with_id().await {
                Some(ended) => {
                    if let Some(finished) = self.finish(ended) {
                        return finished;
                    }
                }
                None => std::future::pending().await,
            }
        }
    }

    /// The next attempt that has ended already.
    pub(super) fn try_next(&mut self) -> Option<(Attempt, Verdict)> {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            if let Some(finished) = self.finish(ended) {
                return Some(finished);
            }
        }
        None
    }

    fn finish(&mut self, ended: Result<(Id, Verdict), JoinError>) -> Option<(Attempt, Verdict)> {
        let (id, verdict) = match ended {
            Ok((id, verdict)) => (id, verdict),
            Err(error) => (error.id(), Err(broken(&error))),
        };
        let task = self.running.remove(&id)?;
        let lane = self.lane(task.is_program);
        lane.running = lane.running.saturating_sub(1);
        self.fill(task.is_program);
        if task.cancelled {
            return None;
        }
        self.handles.remove(&task.attempt);
        Some((task.attempt, verdict))
    }

    fn fill(&mut self, is_program: bool) {
        while self.lane(is_program).running < self.lane(is_program).limit
            && let Some((attempt, (check, stage))) = self.lane(is_program).waiting.pop_first()
        {
            let checker = Arc::clone(&self.checker);
            let handle = self.tasks.spawn(async move { checker.run(&check, stage).await });
            self.running.insert(handle.id(), Task { attempt, is_program, cancelled: false });
            self.handles.insert(attempt, handle);
            self.lane(is_program).running += 1;
        }
    }

    fn lane(&mut self, is_program: bool) -> &mut Lane {
        if is_program { &mut self.programs } else { &mut self.network }
    }
}

/// A check that panicked has found nothing out about the server, but must not take the daemon with it.
fn broken(error: &JoinError) -> Failure {
    Failure { reason: Reason::Internal, detail: format!("the check broke off: {error}") }
}
