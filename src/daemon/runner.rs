//! Runs checks: how many at a time, their end, their cancellation.
//!
//! In go attempts, out come verdicts and traces, one for each attempt that is not cancelled, whatever becomes of its task.
//! A check's own limit of time counts from when it runs, so waiting for a place does not make it fail.
//!
//! This, [`super::hooks`], [`super::maintenance`] and [`super::reloading`] are the only places that start tasks.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::clock;
use crate::{
    checks::Checker,
    director::Attempt,
    model::{Attempted, CheckKind, CheckSpec, Failure, Reason, Stage, Trace},
    sinks::notice::tame,
};

/// How many checks run at a time, at most; each takes a socket or two.
const CHECKS: usize = 2_000;

/// How many external programs run at a time, at most.
const PROGRAMS: usize = 100;

/// File descriptors that are not for checks.
const RESERVED_FILES: usize = 100;

/// An attempt that ends this much later than its limit allows was not the server's fault.
const STOOD_STILL: Duration = Duration::from_millis(500);

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
    check: Arc<CheckSpec>,
    is_program: bool,
    cancelled: bool,
}

/// An attempt that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Which.
    pub(super) attempt: Attempt,
    /// Of which check.
    pub(super) check: Arc<CheckSpec>,
    /// What came of it.
    pub(super) attempted: Attempted,
}

/// Runs checks.
pub(super) struct Runner {
    checker: Arc<Checker>,
    tasks: JoinSet<Attempted>,
    running: HashMap<Id, Task>,
    handles: HashMap<Attempt, AbortHandle>,
    network: Lane,
    programs: Lane,
    /// How many connections may be kept between attempts.
    kept: usize,
}

impl Runner {
    /// With this many file descriptors at hand.
    pub(super) fn new(checker: Checker, files: usize) -> Runner {
        let kept = files / 4;
        let limit = files.saturating_sub(RESERVED_FILES).saturating_sub(kept) / 2;
        let limit = limit.clamp(10, CHECKS);
        Runner {
            kept,
            checker: Arc::new(checker),
            tasks: JoinSet::new(),
            running: HashMap::new(),
            handles: HashMap::new(),
            network: Lane { limit, ..Lane::default() },
            programs: Lane { limit: PROGRAMS.min(limit), ..Lane::default() },
        }
    }

    /// These are the checks from now on; of others no connection is kept.
    pub(super) fn follow(&self, checks: &[Arc<CheckSpec>]) {
        self.checker.follow(checks, self.kept);
    }

    /// Begins an attempt, or lets it wait for a place.
    pub(super) fn start(&mut self, attempt: Attempt, check: Arc<CheckSpec>, stage: Stage) {
        let is_program =
            matches!(check.kind, CheckKind::External { .. } | CheckKind::ExternalPerl { .. });
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
    pub(super) async fn next(&mut self) -> Ended {
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
    pub(super) fn try_next(&mut self) -> Option<Ended> {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            if let Some(finished) = self.finish(ended) {
                return Some(finished);
            }
        }
        None
    }

    fn finish(&mut self, ended: Result<(Id, Attempted), JoinError>) -> Option<Ended> {
        let (id, attempted) = match ended {
            Ok((id, attempted)) => (id, attempted),
            Err(error) => (error.id(), broken(&error)),
        };
        let task = self.running.remove(&id)?;
        let lane = self.lane(task.is_program);
        lane.running = lane.running.saturating_sub(1);
        self.fill(task.is_program);
        if task.cancelled {
            return None;
        }
        self.handles.remove(&task.attempt);
        if tracing::enabled!(tracing::Level::DEBUG) {
            tell(&task, &attempted);
        }
        Some(Ended { attempt: task.attempt, check: task.check, attempted })
    }

    fn fill(&mut self, is_program: bool) {
        while self.lane(is_program).running < self.lane(is_program).limit
            && let Some((attempt, (check, stage))) = self.lane(is_program).waiting.pop_first()
        {
            let checker = Arc::clone(&self.checker);
            let task = Task { attempt, check: Arc::clone(&check), is_program, cancelled: false };
            let handle = self.tasks.spawn(async move { run(&checker, &check, stage).await });
            self.running.insert(handle.id(), task);
            self.handles.insert(attempt, handle);
            self.lane(is_program).running += 1;
        }
    }

    fn lane(&mut self, is_program: bool) -> &mut Lane {
        if is_program { &mut self.programs } else { &mut self.network }
    }
}

/// One attempt; another one when it failed and took longer than it can have without our standing still.
///
/// A machine that slept, or a process that was stopped, has heard nothing of what the server did, and its verdict would
/// take servers out of service that work.
async fn run(checker: &Checker, check: &CheckSpec, stage: Stage) -> Attempted {
    let begun = clock::since_boot();
    let attempted = checker.run(check, stage).await;
    let took = clock::since_boot().saturating_sub(begun);
    match attempted.verdict {
        Err(_) if took > check.longest(stage).saturating_add(STOOD_STILL) => {
            checker.run(check, stage).await
        }
        _ => attempted,
    }
}

/// For a person who looks for a fault.
fn tell(task: &Task, attempted: &Attempted) {
    let (attempt, target) = (task.attempt, task.check.target);
    let Attempted { verdict, trace, .. } = attempted;
    let found = match verdict {
        Ok(pass) => format!("up {}", tame(&pass.detail)),
        Err(failure) => format!("down {}", tame(&failure.to_string())),
    };
    let received = match (verdict, trace.received.as_slice()) {
        (Ok(_), _) | (_, []) => String::new(),
        (Err(_), received) => format!(", received \"{}\"", received.escape_ascii()),
    };
    let reason = verdict.as_ref().err().map(|failure| tracing::field::display(failure.reason));
    tracing::debug!(event = "checked", %attempt, peer = %target, reason, phase = %trace.phase, "Checked {target}: {} ({trace}){received}", found.trim_end());
}

/// A check that panicked has found nothing out about the server, but must not take the daemon with it.
fn broken(error: &JoinError) -> Attempted {
    let detail = format!("the check broke off: {error}");
    Attempted {
        verdict: Err(Failure { reason: Reason::Internal, detail }),
        trace: Trace::default(),
        report: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokio::net::TcpListener;

    use super::*;

    fn check(target: std::net::SocketAddr, kind: CheckKind) -> Arc<CheckSpec> {
        let (interval, timeout) = (Duration::from_secs(1), Duration::from_secs(600));
        let (fast_interval, down_interval) = (interval, interval);
        Arc::new(CheckSpec { target, kind, interval, fast_interval, down_interval, timeout })
    }

    fn program(words: &[&str]) -> CheckKind {
        let (program, arguments) = words.split_first().unwrap();
        CheckKind::External {
            program: program.into(),
            arguments: arguments.iter().map(Into::into).collect(),
        }
    }

    #[tokio::test]
    async fn every_attempt_ends_though_few_run_at_a_time() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connect = check(server.local_addr().unwrap(), CheckKind::Connect);
        let mut runner = Runner::new(Checker::new(), 0);
        for number in 0..100 {
            runner.start(Attempt(number), Arc::clone(&connect), Stage::Negotiate);
        }
        assert!(runner.running.len() < 100);
        let mut ended = BTreeSet::new();
        while ended.len() < 100 {
            let one = runner.next().await;
            one.attempted.verdict.unwrap();
            assert_eq!(one.check, connect);
            assert!(ended.insert(one.attempt));
        }
        assert!(runner.try_next().is_none());
        assert!(runner.running.is_empty() && runner.handles.is_empty());
    }

    #[tokio::test]
    async fn cancelled_attempts_free_their_place_and_say_nothing() {
        let nowhere = "127.0.0.1:0".parse().unwrap();
        let mut runner = Runner::new(Checker::new(), 0);
        let sleep = check(nowhere, program(&["/bin/sleep", "600"]));
        for number in 0..20 {
            runner.start(Attempt(number), Arc::clone(&sleep), Stage::Negotiate);
        }
        runner.start(Attempt(20), check(nowhere, program(&["/bin/true"])), Stage::Negotiate);
        for number in 0..20 {
            runner.cancel(Attempt(number));
        }
        let ended = runner.next().await;
        assert_eq!(ended.attempt, Attempt(20));
        ended.attempted.verdict.unwrap();
        assert!(runner.programs.waiting.is_empty());
    }

    #[tokio::test]
    async fn a_check_that_breaks_is_a_verdict() {
        let mut runner = Runner::new(Checker::new(), 0);
        let handle = runner.tasks.spawn(async { panic!("on purpose") });
        let check = check("127.0.0.1:0".parse().unwrap(), CheckKind::Connect);
        let task = Task { attempt: Attempt(7), check, is_program: false, cancelled: false };
        runner.running.insert(handle.id(), task);
        let ended = runner.next().await;
        let reason = ended.attempted.verdict.unwrap_err().reason;
        assert_eq!((ended.attempt, reason), (Attempt(7), Reason::Internal));
    }
}
