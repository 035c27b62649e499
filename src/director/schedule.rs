//! When each check is due: spread at the start, at a steady rate afterwards, never two at once of one check.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
    sync::Arc,
    time::Duration,
};

use super::Attempt;
use crate::{
    model::{CheckId, CheckKind, CheckSpec, Stage},
    time::Moment,
};

/// First checks lie this far apart where the interval allows: few servers are all checked at once,
/// ten thousand do not open ten thousand connections in one moment.
const STEP: Duration = Duration::from_millis(2);

/// The checks of a configuration and when each is due.
#[derive(Debug)]
pub(super) struct Schedule {
    slots: Vec<Slot>,
    /// Exactly the checks that are not in flight.
    due: BinaryHeap<Reverse<(Moment, CheckId)>>,
    in_flight: BTreeMap<Attempt, CheckId>,
    last_attempt: u64,
    /// Checks that have not ended once since the configuration came.
    unseen: usize,
}

/// One check.
#[derive(Clone, Debug)]
struct Slot {
    spec: Arc<CheckSpec>,
    due: Moment,
    in_flight: Option<(Attempt, Stage)>,
    /// Of a combined check: the connects that come before the next negotiation.
    connects_left: u32,
    seen: bool,
}

impl Schedule {
    /// Every check once soon after `now`.
    pub(super) fn new(checks: &[Arc<CheckSpec>], now: Moment) -> Schedule {
        let count = u32::try_from(checks.len()).unwrap_or(u32::MAX).max(1);
        let slots: Vec<Slot> = (0u32..)
            .zip(checks)
            .map(|(place, spec)| Slot {
                spec: Arc::clone(spec),
                due: now.after(STEP.min(spec.interval / count).saturating_mul(place)),
                in_flight: None,
                connects_left: 0,
                seen: false,
            })
            .collect();
        let mut schedule = Schedule {
            unseen: slots.len(),
            slots,
            due: BinaryHeap::new(),
            in_flight: BTreeMap::new(),
            last_attempt: 0,
        };
        schedule.refill();
        schedule
    }

    /// Follows another list of checks. One that was there before keeps its rhythm and its attempt;
    /// the attempts of those that are gone are returned, nobody waits for them any more.
    pub(super) fn reload(&mut self, checks: &[Arc<CheckSpec>], now: Moment) -> Vec<Attempt> {
        let mut fresh = Schedule::new(checks, now);
        fresh.last_attempt = self.last_attempt;
        let old: HashMap<&CheckSpec, &Slot> =
            self.slots.iter().map(|slot| (&*slot.spec, slot)).collect();
        for (slot, spec) in fresh.slots.iter_mut().zip(checks) {
            if let Some(&known) = old.get(&**spec) {
                *slot = Slot { seen: false, ..known.clone() };
            }
        }
        for (index, slot) in fresh.slots.iter().enumerate() {
            if let (Some((attempt, _)), Some(id)) = (slot.in_flight, CheckId::new(index)) {
                fresh.in_flight.insert(attempt, id);
            }
        }
        fresh.refill();
        let orphans =
            self.in_flight.keys().filter(|a| !fresh.in_flight.contains_key(a)).copied().collect();
        *self = fresh;
        orphans
    }

    /// Makes a check due at once, unless it runs already.
    pub(super) fn hasten(&mut self, ids: impl IntoIterator<Item = CheckId>, now: Moment) {
        for id in ids {
            if let Some(slot) = self.slots.get_mut(id.index()) {
                slot.due = slot.due.min(now);
            }
        }
        self.refill();
    }

    /// Ends everything; returns the attempts that nobody waits for any more.
    pub(super) fn clear(&mut self) -> Vec<Attempt> {
        self.reload(&[], Moment::START)
    }

    /// When the next check is due.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }

    /// Begins the next check that is due by now.
    pub(super) fn start_next(&mut self, now: Moment) -> Option<(Attempt, Arc<CheckSpec>, Stage)> {
        let &Reverse((due, id)) = self.due.peek()?;
        if due > now {
            return None;
        }
        self.due.pop();
        let slot = self.slots.get_mut(id.index())?;
        self.last_attempt = self.last_attempt.saturating_add(1);
        let attempt = Attempt(self.last_attempt);
        let stage = if slot.connects_left > 0 { Stage::Connect } else { Stage::Negotiate };
        slot.in_flight = Some((attempt, stage));
        self.in_flight.insert(attempt, id);
        Some((attempt, Arc::clone(&slot.spec), stage))
    }

    /// An attempt has ended: plans the next, and says which check it was, unless nobody waits for it.
    pub(super) fn finish(
        &mut self,
        attempt: Attempt,
        passed: bool,
        now: Moment,
    ) -> Option<CheckId> {
        let id = self.in_flight.remove(&attempt)?;
        let slot = self.slots.get_mut(id.index())?;
        let (_, stage) = slot.in_flight.take()?;
        slot.connects_left = match (&slot.spec.kind, passed, stage) {
            (CheckKind::Combined { connects, .. }, true, Stage::Negotiate) => *connects,
            (CheckKind::Combined { .. }, true, Stage::Connect) => {
                slot.connects_left.saturating_sub(1)
            }
            _ => 0,
        };
        slot.due = next_beat(slot.due, slot.spec.interval, now);
        if !slot.seen {
            slot.seen = true;
            self.unseen = self.unseen.saturating_sub(1);
        }
        self.due.push(Reverse((slot.due, id)));
        Some(id)
    }

    /// Whether every check has ended at least once since the configuration came.
    pub(super) fn all_seen(&self) -> bool {
        self.unseen == 0
    }

    fn refill(&mut self) {
        self.due = (self.slots.iter().enumerate())
            .filter(|(_, slot)| slot.in_flight.is_none())
            .filter_map(|(index, slot)| Some(Reverse((slot.due, CheckId::new(index)?))))
            .collect();
    }

    /// Each check is either due or in flight, and both lists agree with it.
    pub(super) fn check_invariants(&self) {
        let flying = self.slots.iter().filter(|slot| slot.in_flight.is_some()).count();
        debug_assert_eq!(flying, self.in_flight.len(), "attempts in flight");
        debug_assert_eq!(self.due.len() + flying, self.slots.len(), "checks due or in flight");
        debug_assert_eq!(self.unseen, self.slots.iter().filter(|slot| !slot.seen).count());
    }
}

/// The first of `due + interval`, `due + 2 interval`, … that is not before `now`:
/// a check that takes longer than its interval keeps its place among the others.
fn next_beat(due: Moment, interval: Duration, now: Moment) -> Moment {
    let late = now.since(due).as_nanos();
    let interval_ns = interval.as_nanos().max(1);
    let beats = late.div_ceil(interval_ns).max(1);
    match u64::try_from(beats.saturating_mul(interval_ns)) {
        Ok(wait) => due.after(Duration::from_nanos(wait)),
        Err(_) => due.after(Duration::MAX),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::model::{HttpMethod, Negotiate, Secret, TlsSettings, Transport};

    fn at(milliseconds: u64) -> Moment {
        Moment::at(Duration::from_millis(milliseconds))
    }

    fn connect(port: u16, interval_ms: u64) -> Arc<CheckSpec> {
        Arc::new(CheckSpec {
            target: SocketAddr::from(([192, 0, 2, 1], port)),
            kind: CheckKind::Connect,
            interval: Duration::from_millis(interval_ms),
            timeout: Duration::from_secs(5),
        })
    }

    #[test]
    fn ten_thousand_checks_a_second_begin_evenly() {
        let checks: Vec<_> = (1..=10_000).map(|port| connect(port, 1000)).collect();
        let mut schedule = Schedule::new(&checks, Moment::START);
        for tick in 0..10 {
            let begun = std::iter::from_fn(|| schedule.start_next(at(tick * 100))).count();
            assert!((1..=1001).contains(&begun), "{begun} at once");
        }
    }

    #[test]
    fn a_check_is_never_begun_twice_and_keeps_its_beat() {
        let mut schedule = Schedule::new(&[connect(80, 1000)], Moment::START);
        let (first, ..) = schedule.start_next(at(0)).unwrap();
        assert!(schedule.start_next(at(60_000)).is_none());
        assert!(schedule.next_due().is_none());
        assert!(schedule.finish(first, true, at(2_300)).is_some());
        assert!(schedule.finish(first, true, at(2_300)).is_none(), "an attempt ends once");
        assert_eq!(schedule.next_due(), Some(at(3_000)));
        schedule.check_invariants();
    }

    #[test]
    fn a_combined_check_connects_n_times_after_each_negotiation_that_passed() {
        let negotiate = Negotiate {
            protocol: "http",
            transport: Transport::Tcp,
            request: Vec::new(),
            receive: None,
            method: HttpMethod::Get,
            virtualhost: None,
            login: String::new(),
            passwd: Secret::default(),
            database: String::new(),
            secret: Secret::default(),
            tls: TlsSettings::default(),
        };
        let kind =
            CheckKind::Combined { connects: 2, connect_timeout: Duration::from_secs(5), negotiate };
        let check = Arc::new(CheckSpec { kind, ..(*connect(80, 1000)).clone() });
        let mut schedule = Schedule::new(&[check], Moment::START);
        let verdicts = [true, true, true, true, false, true, false, false, true];
        let stages = (0..).zip(verdicts).map(|(second, passed)| {
            let (attempt, _, stage) = schedule.start_next(at(second * 1000)).unwrap();
            schedule.finish(attempt, passed, at(second * 1000 + 1));
            if stage == Stage::Connect { 'c' } else { 'n' }
        });
        assert_eq!(stages.collect::<String>(), "nccncncnn");
    }

    #[test]
    fn a_reload_keeps_the_rhythm_of_what_stays_and_names_the_attempts_that_go() {
        let mut schedule = Schedule::new(&[connect(80, 1000), connect(81, 1000)], Moment::START);
        let (stays, ..) = schedule.start_next(at(2)).unwrap();
        let (goes, ..) = schedule.start_next(at(2)).unwrap();
        let orphans = schedule.reload(&[connect(82, 1000), connect(80, 1000)], at(10));
        assert_eq!(orphans, [goes]);
        assert!(!schedule.all_seen());
        assert_eq!(schedule.finish(stays, true, at(20)), CheckId::new(1));
        assert!(schedule.finish(goes, true, at(20)).is_none());
        schedule.check_invariants();
    }
}
