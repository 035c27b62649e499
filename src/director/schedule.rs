//! When each check is due: spread at the start, at a steady rate afterwards, never two at once of one check.
//!
//! Each check has beats of its own, one interval apart, at which it is due as long as nothing happens. While a verdict
//! is pending it leaves them, for the fast interval counts from the attempt that failed or passed; afterwards it returns
//! to them. Without that, ten thousand servers that come back in the same second would be checked in the same second
//! ever after.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap},
    mem,
    sync::Arc,
    time::Duration,
};

use super::{Attempt, health::Pace};
use crate::{
    model::{CheckId, CheckKind, CheckSpec, Stage},
    time::Moment,
};

/// First checks lie this far apart where the interval allows: few servers are all checked at once,
/// ten thousand do not open ten thousand connections in one moment.
const STEP: Duration = Duration::from_millis(2);
/// Who looks this late has stood still: a process that was stopped, a machine that was.
const STOOD_STILL: Duration = Duration::from_secs(1);
/// The smallest step of time.
const SHORTEST: Duration = Duration::from_nanos(1);

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
    /// When the next attempt is due, or when the one in flight was.
    due: Moment,
    /// One of its beats.
    beat: Moment,
    in_flight: Option<(Attempt, Stage)>,
    /// Of a combined check: the connects that come before the next negotiation.
    connects_left: u32,
    seen: bool,
    /// Whether nobody is to be asked.
    rests: bool,
}

impl Schedule {
    /// Every check once soon after `now`.
    pub(super) fn new(checks: &[Arc<CheckSpec>], now: Moment) -> Schedule {
        let count = u32::try_from(checks.len()).unwrap_or(u32::MAX).max(1);
        let slots: Vec<Slot> = (0u32..)
            .zip(checks)
            .map(|(place, spec)| {
                let first = now.after(STEP.min(spec.interval / count).saturating_mul(place));
                Slot {
                    spec: Arc::clone(spec),
                    due: first,
                    beat: first,
                    in_flight: None,
                    connects_left: 0,
                    seen: false,
                    rests: false,
                }
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

    /// The check of an attempt that has not ended.
    pub(super) fn in_flight(&self, attempt: Attempt) -> Option<CheckId> {
        self.in_flight.get(&attempt).copied()
    }

    /// What the check with this number asks.
    pub(super) fn spec(&self, id: CheckId) -> Option<&CheckSpec> {
        self.slots.get(id.index()).map(|slot| slot.spec.as_ref())
    }

    /// The same, to be kept.
    pub(super) fn shared_spec(&self, id: CheckId) -> Option<Arc<CheckSpec>> {
        self.slots.get(id.index()).map(|slot| Arc::clone(&slot.spec))
    }

    /// When a check is due next, unless it is in flight.
    pub(super) fn next_of(&self, id: CheckId) -> Option<Moment> {
        let slot = self.slots.get(id.index())?;
        slot.in_flight.is_none().then_some(slot.due)
    }

    /// Makes checks due at once, spread as at the start, unless they run already.
    pub(super) fn hasten(&mut self, ids: impl IntoIterator<Item = CheckId>, now: Moment) {
        let soon = |place| now.after(STEP.saturating_mul(place));
        self.advance((0u32..).zip(ids).map(|(place, id)| (id, soon(place))));
    }

    /// Checks whose servers are others than before wait no longer than they would from now.
    pub(super) fn keep_pace(
        &mut self,
        paces: impl IntoIterator<Item = (CheckId, Pace)>,
        now: Moment,
    ) {
        let due = |(id, pace): (CheckId, Pace)| {
            Some((id, self.slots.get(id.index())?.due_after(now, pace, now)))
        };
        let due: Vec<(CheckId, Moment)> = paces.into_iter().filter_map(due).collect();
        self.advance(due);
    }

    /// These checks and no others rest: they come due and nobody is asked. Of those that began to, the attempts are
    /// returned that nobody waits for any more.
    pub(super) fn rest(&mut self, ids: &BTreeSet<CheckId>) -> Vec<Attempt> {
        let mut orphans = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            slot.rests = CheckId::new(index).is_some_and(|id| ids.contains(&id));
            if slot.rests {
                slot.connects_left = 0;
                orphans.extend(slot.in_flight.take().map(|(attempt, _)| attempt));
            }
        }
        for attempt in &orphans {
            self.in_flight.remove(attempt);
        }
        self.refill();
        orphans
    }

    /// The next check that is due by now and rests; it is due again at its next beat.
    pub(super) fn skip_next(&mut self, now: Moment) -> Option<CheckId> {
        let &Reverse((due, id)) = self.due.peek()?;
        let slot = self.slots.get_mut(id.index()).filter(|slot| slot.rests && due <= now)?;
        if !mem::replace(&mut slot.seen, true) {
            self.unseen = self.unseen.saturating_sub(1);
        }
        self.due.pop();
        self.plan_next(id, Pace::Usual, now);
        Some(id)
    }

    /// Makes checks due at these moments, unless they are before.
    fn advance(&mut self, moments: impl IntoIterator<Item = (CheckId, Moment)>) {
        for (id, moment) in moments {
            if let Some(slot) = self.slots.get_mut(id.index())
                && slot.in_flight.is_none()
            {
                slot.due = slot.due.min(moment);
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

    /// Begins the next check that is due by now; to be asked when [`Schedule::skip_next`] has no more.
    pub(super) fn start_next(&mut self, now: Moment) -> Option<(Attempt, Arc<CheckSpec>, Stage)> {
        if self.next_due().is_some_and(|due| due.after(STOOD_STILL) <= now) {
            self.spread_overdue(now);
        }
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

    /// What has become due while nobody looked begins in its order, spread as at the start; each at its beats afterwards.
    fn spread_overdue(&mut self, now: Moment) {
        let mut overdue: Vec<(Moment, CheckId)> =
            self.due.iter().map(|Reverse(due)| *due).filter(|(due, _)| *due <= now).collect();
        overdue.sort_unstable();
        for (place, (_, id)) in (0u32..).zip(overdue) {
            if let Some(slot) = self.slots.get_mut(id.index()) {
                slot.due = now.after(STEP.saturating_mul(place));
            }
        }
        self.refill();
    }

    /// An attempt has ended: says which check it was, unless nobody waits for it.
    /// That check is to be handed to [`Schedule::plan_next`] as soon as it is known how its servers are.
    pub(super) fn finish(&mut self, attempt: Attempt, passed: bool) -> Option<CheckId> {
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
        if !slot.seen {
            slot.seen = true;
            self.unseen = self.unseen.saturating_sub(1);
        }
        Some(id)
    }

    /// Plans the next attempt of a check that [`Schedule::finish`] ended.
    pub(super) fn plan_next(&mut self, id: CheckId, pace: Pace, now: Moment) {
        if let Some(slot) = self.slots.get_mut(id.index()) {
            slot.due = slot.due_after(slot.due, pace, now);
            self.due.push(Reverse((slot.due, id)));
        }
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

impl Slot {
    /// When the attempt is due that comes after one that was due at `before`: at most the interval of its pace later,
    /// and at a beat unless a verdict is pending. An attempt that takes longer than that is followed by the first beat
    /// that is not past.
    fn due_after(&self, before: Moment, pace: Pace, now: Moment) -> Moment {
        let CheckSpec { interval, fast_interval, down_interval, .. } = *self.spec;
        let (beat, step, wait) = match pace {
            Pace::Usual => (self.beat, interval, interval),
            Pace::Fast => (before, fast_interval, fast_interval),
            Pace::Down => (self.beat, down_interval.min(interval), down_interval),
        };
        let step = step.max(SHORTEST);
        let first_not_past = now.after(step.saturating_sub(SHORTEST));
        last_beat(beat, step, before.after(wait.max(step)).max(first_not_past))
    }
}

/// The last moment not after `end` that is a whole number of steps before or after `beat`.
fn last_beat(beat: Moment, step: Duration, end: Moment) -> Moment {
    let nanoseconds = |moment: Moment| moment.since(Moment::START).as_nanos();
    let step = step.as_nanos();
    let phase = nanoseconds(beat).checked_rem(step).unwrap_or(0);
    let beyond = (nanoseconds(end).saturating_add(step).saturating_sub(phase)).checked_rem(step);
    let beyond = beyond.and_then(|beyond| u64::try_from(beyond).ok()).unwrap_or(0);
    Moment::at(end.since(Moment::START).saturating_sub(Duration::from_nanos(beyond)))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::model::{HttpMethod, HttpSettings, Negotiate, Secret, TlsSettings, Transport};

    fn at(milliseconds: u64) -> Moment {
        Moment::at(Duration::from_millis(milliseconds))
    }

    fn connect(port: u16, interval_ms: u64) -> Arc<CheckSpec> {
        Arc::new(CheckSpec {
            target: SocketAddr::from(([192, 0, 2, 1], port)),
            kind: CheckKind::Connect,
            interval: Duration::from_millis(interval_ms),
            fast_interval: Duration::from_millis(interval_ms),
            down_interval: Duration::from_millis(interval_ms),
            timeout: Duration::from_secs(5),
        })
    }

    fn end(
        schedule: &mut Schedule,
        attempt: Attempt,
        passed: bool,
        now: Moment,
    ) -> Option<CheckId> {
        let id = schedule.finish(attempt, passed)?;
        schedule.plan_next(id, Pace::Usual, now);
        Some(id)
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
    fn a_process_that_stood_still_does_not_check_everything_in_one_moment() {
        let checks: Vec<_> = (1..=1_000).map(|port| connect(port, 10_000)).collect();
        let mut schedule = Schedule::new(&checks, Moment::START);
        let mut begin = |at_ms| {
            let mut begun = 0;
            while let Some((attempt, ..)) = schedule.start_next(at(at_ms)) {
                begun += 1;
                assert!(end(&mut schedule, attempt, true, at(at_ms)).is_some());
            }
            schedule.check_invariants();
            begun
        };
        assert_eq!((0..200).map(|tick| begin(tick * 100)).max(), Some(50));
        // It missed sixty attempts of each.
        let after: Vec<_> = (0..100).map(|tick| begin(620_000 + tick * 100)).collect();
        assert!(after.iter().all(|begun| *begun <= 100), "{after:?}");
        assert!((1_000..=2_000).contains(&after.iter().sum::<i32>()), "{after:?}");
    }

    #[test]
    fn a_check_is_never_begun_twice_and_keeps_its_beat() {
        let mut schedule = Schedule::new(&[connect(80, 1000)], Moment::START);
        let (first, ..) = schedule.start_next(at(0)).unwrap();
        assert!(schedule.start_next(at(60_000)).is_none());
        assert!(schedule.next_due().is_none());
        assert!(end(&mut schedule, first, true, at(2_300)).is_some());
        assert!(end(&mut schedule, first, true, at(2_300)).is_none(), "an attempt ends once");
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
            http: HttpSettings::default(),
            steps: Vec::new(),
            dns_record: None,
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
            end(&mut schedule, attempt, passed, at(second * 1000 + 1));
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
        assert_eq!(end(&mut schedule, stays, true, at(20)), CheckId::new(1));
        assert!(end(&mut schedule, goes, true, at(20)).is_none());
        schedule.check_invariants();
    }

    /// A check of port 80 every ten seconds, every second while a verdict is pending, so often while down.
    fn paced(down_ms: u64) -> Arc<CheckSpec> {
        Arc::new(CheckSpec {
            fast_interval: Duration::from_secs(1),
            down_interval: Duration::from_millis(down_ms),
            ..(*connect(80, 10_000)).clone()
        })
    }

    /// When the attempts begin that follow verdicts of these paces, each this long after its attempt began.
    fn begins(check: Arc<CheckSpec>, took_ms: u64, paces: &[Pace]) -> Vec<u64> {
        let mut schedule = Schedule::new(&[check], at(4_000));
        let begins = paces.iter().map(|pace| {
            let due = schedule.next_due().unwrap();
            let (attempt, ..) = schedule.start_next(due).unwrap();
            let id = schedule.finish(attempt, true).unwrap();
            schedule.plan_next(id, *pace, due.after(Duration::from_millis(took_ms)));
            schedule.check_invariants();
            let next = schedule.next_due().unwrap().since(Moment::START);
            u64::try_from(next.as_millis()).unwrap()
        });
        begins.collect()
    }

    #[test]
    fn a_pending_verdict_is_hurried_and_afterwards_the_check_returns_to_its_beat() {
        use Pace::{Down, Fast, Usual};
        assert_eq!(
            begins(paced(60_000), 0, &[Usual, Fast, Fast, Down, Down, Fast, Usual, Usual]),
            [14_000, 15_000, 16_000, 74_000, 134_000, 135_000, 144_000, 154_000]
        );
        assert_eq!(
            begins(paced(500), 0, &[Fast, Down, Down, Fast, Down, Usual, Usual]),
            [5_000, 5_500, 6_000, 7_000, 7_500, 14_000, 24_000]
        );
    }

    #[test]
    fn an_attempt_that_takes_longer_than_its_interval_is_followed_by_the_next_beat() {
        use Pace::{Down, Fast, Usual};
        assert_eq!(
            begins(paced(700), 5_100, &[Usual, Fast, Fast, Down, Usual]),
            [14_000, 20_000, 26_000, 31_300, 44_000]
        );
        assert_eq!(begins(connect(80, 100), 5_010, &[Usual, Fast, Down]), [9_100, 14_200, 19_300]);
    }

    #[test]
    fn a_tenth_of_a_second_is_an_interval() {
        use Pace::{Down, Fast, Usual};
        let paces = [Usual, Usual, Fast, Fast, Down, Down];
        assert_eq!(begins(connect(80, 100), 3, &paces), [4_100, 4_200, 4_300, 4_400, 4_500, 4_600]);
    }

    /// An outage ends for all of them in one moment, and each is found to work within the half second that follows.
    #[test]
    fn ten_thousand_checks_that_come_back_at_once_stay_spread() {
        let check = |port| CheckSpec {
            down_interval: Duration::from_millis(500),
            fast_interval: Duration::from_millis(200),
            ..(*connect(port, 10_000)).clone()
        };
        let checks: Vec<Arc<CheckSpec>> = (0..10_000).map(|port| Arc::new(check(port))).collect();
        let mut schedule = Schedule::new(&checks, Moment::START);
        let mut most = [0, 0, 0];
        for tick in 0..1_000 {
            let mut begun = 0;
            while let Some((attempt, ..)) = schedule.start_next(at(tick * 100)) {
                begun += 1;
                let id = schedule.finish(attempt, true).unwrap();
                let pace = match tick {
                    200..500 => Pace::Down,
                    500..502 => Pace::Fast,
                    _ => Pace::Usual,
                };
                schedule.plan_next(id, pace, at(tick * 100));
            }
            let part = match tick {
                0..200 => 0,
                200..610 => 1,
                _ => 2,
            };
            most[part] = begun.max(most[part]);
        }
        assert_eq!(
            most,
            [100, 4_000, 100],
            "in a tenth of a second: before, at their fastest, afterwards"
        );
    }

    #[test]
    fn a_reload_that_gives_a_check_other_servers_does_not_leave_it_at_the_pace_of_the_old() {
        let check = paced(60_000);
        let mut schedule = Schedule::new(&[Arc::clone(&check)], at(4_000));
        let (attempt, ..) = schedule.start_next(at(4_000)).unwrap();
        let id = schedule.finish(attempt, false).unwrap();
        schedule.plan_next(id, Pace::Down, at(4_001));
        assert_eq!(schedule.reload(&[check], at(25_000)), []);
        schedule.keep_pace([(id, Pace::Down)], at(25_000));
        assert_eq!(schedule.next_due(), Some(at(64_000)));
        schedule.keep_pace([(id, Pace::Usual)], at(25_000));
        assert_eq!(schedule.next_due(), Some(at(34_000)));
        schedule.check_invariants();
    }

    #[test]
    fn what_is_hastened_is_not_due_all_at_once() {
        let checks: Vec<Arc<CheckSpec>> = (0..3).map(|port| connect(port, 10_000)).collect();
        let mut schedule = Schedule::new(&checks, Moment::START);
        while let Some((attempt, ..)) = schedule.start_next(at(100)) {
            end(&mut schedule, attempt, true, at(100));
        }
        schedule.hasten([0, 1, 2].map(|place| CheckId::new(place).unwrap()), at(5_000));
        for due in [5_000, 5_002, 5_004] {
            let (attempt, ..) = schedule.start_next(at(due)).unwrap();
            assert!(schedule.start_next(at(due)).is_none());
            end(&mut schedule, attempt, true, at(due));
        }
        assert_eq!(schedule.next_due(), Some(at(10_000)), "afterwards each has its beat again");
        schedule.check_invariants();
    }
}
