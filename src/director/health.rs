//! The health of one server in one service: what its checks have told us.
//!
//! `failurecount` failures in a row take down, `risecount` passes in a row bring back; nobody who has not passed
//! serves. Of a server that nothing is known of, the first verdict decides: a start must not take longer for it.

use std::num::NonZeroU32;

/// What checks know of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Health {
    /// Not checked yet, and not found at work in the kernel: it does not serve.
    Unknown,
    /// It works.
    Up {
        /// Failures since the last pass, fewer than take it down.
        failures: u32,
    },
    /// It does not work.
    Down {
        /// Passes since the last failure, fewer than bring it back.
        passes: u32,
    },
    /// It is in maintenance, and what its checks say does not count.
    Maintenance,
}

/// How often a check runs because of the servers that it speaks for: the largest of what each asks for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Pace {
    /// It is down, and nothing says otherwise.
    Down,
    /// The usual.
    Usual,
    /// The last verdict did not agree with what it is taken for, and more of them will decide.
    Fast,
}

/// What a verdict changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// Nothing.
    Same,
    /// It works after all: earlier failures no longer count.
    FailuresForgotten,
    /// It works now.
    CameUp,
    /// It passed, this many times in a row, and does not serve yet.
    SoftPass(u32),
    /// It does not work after all: earlier passes no longer count.
    PassesForgotten,
    /// It failed, this many times in a row, and still serves.
    SoftFailure(u32),
    /// It no longer works.
    WentDown,
    /// It was never known to work, and now is known not to.
    StaysDown,
}

impl Health {
    /// What is known of a server whose last check passed, or that is taken on trust.
    pub(super) const UP: Health = Health::Up { failures: 0 };
    const DOWN: Health = Health::Down { passes: 0 };

    /// Whether it works.
    pub(super) fn is_up(self) -> bool {
        matches!(self, Health::Up { .. })
    }

    /// How often it is to be checked.
    pub(super) fn pace(self) -> Pace {
        match self {
            Health::Unknown | Health::UP => Pace::Usual,
            Health::DOWN | Health::Maintenance => Pace::Down,
            Health::Up { .. } | Health::Down { .. } => Pace::Fast,
        }
    }

    /// A check passed; `enough` passes in a row bring back a server that is down.
    pub(super) fn pass(&mut self, enough: NonZeroU32) -> Outcome {
        let (health, outcome) = match *self {
            Health::Up { failures: 0 } => (Health::UP, Outcome::Same),
            Health::Up { .. } => (Health::UP, Outcome::FailuresForgotten),
            Health::Down { passes } => match passes.saturating_add(1) {
                passes if passes < enough.get() => {
                    (Health::Down { passes }, Outcome::SoftPass(passes))
                }
                _ => (Health::UP, Outcome::CameUp),
            },
            Health::Unknown => (Health::UP, Outcome::CameUp),
            Health::Maintenance => (Health::Maintenance, Outcome::Same),
        };
        *self = health;
        outcome
    }

    /// A check failed; `enough` failures in a row take a server down.
    pub(super) fn fail(&mut self, enough: NonZeroU32) -> Outcome {
        let (health, outcome) = match *self {
            Health::Up { failures } => match failures.saturating_add(1) {
                failures if failures < enough.get() => {
                    (Health::Up { failures }, Outcome::SoftFailure(failures))
                }
                _ => (Health::DOWN, Outcome::WentDown),
            },
            Health::Unknown => (Health::DOWN, Outcome::StaysDown),
            Health::Down { passes: 0 } => (Health::DOWN, Outcome::Same),
            Health::Down { .. } => (Health::DOWN, Outcome::PassesForgotten),
            Health::Maintenance => (Health::Maintenance, Outcome::Same),
        };
        *self = health;
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NonZeroU32 = NonZeroU32::MIN;
    const THREE: NonZeroU32 = NonZeroU32::new(3).unwrap();

    #[test]
    fn three_failures_in_a_row_take_down_and_one_pass_restores() {
        let mut health = Health::Unknown;
        assert_eq!(health.pass(ONE), Outcome::CameUp);
        assert_eq!(health.fail(THREE), Outcome::SoftFailure(1));
        assert_eq!(health.fail(THREE), Outcome::SoftFailure(2));
        assert_eq!(health.pass(ONE), Outcome::FailuresForgotten);
        assert_eq!(health.fail(THREE), Outcome::SoftFailure(1));
        assert_eq!(health.fail(THREE), Outcome::SoftFailure(2));
        assert_eq!(health.fail(THREE), Outcome::WentDown);
        assert_eq!(health.fail(THREE), Outcome::Same);
        assert_eq!(health.pass(ONE), Outcome::CameUp);
        assert_eq!(health.pass(ONE), Outcome::Same);
    }

    #[test]
    fn three_passes_in_a_row_bring_back_what_was_down() {
        let mut health = Health::UP;
        assert_eq!(health.fail(ONE), Outcome::WentDown);
        assert_eq!(health.pass(THREE), Outcome::SoftPass(1));
        assert_eq!(health.pass(THREE), Outcome::SoftPass(2));
        assert_eq!(health.fail(ONE), Outcome::PassesForgotten);
        assert_eq!(health.fail(ONE), Outcome::Same);
        assert_eq!(health.pass(THREE), Outcome::SoftPass(1));
        assert_eq!(health.pass(THREE), Outcome::SoftPass(2));
        assert_eq!(health.pass(THREE), Outcome::CameUp);
        assert_eq!(health.pass(THREE), Outcome::Same);
    }

    #[test]
    fn of_a_server_that_is_unknown_the_first_verdict_decides() {
        assert_eq!(Health::Unknown.pass(THREE), Outcome::CameUp);
        let mut health = Health::Unknown;
        assert_eq!(health.fail(THREE), Outcome::StaysDown);
        assert!(!health.is_up());
        assert_eq!(health.pass(THREE), Outcome::SoftPass(1));
    }

    #[test]
    fn a_count_that_a_reload_lowers_holds_at_the_next_verdict() {
        let mut health = Health::Down { passes: 2 };
        assert_eq!(health.pass(ONE), Outcome::CameUp);
        let mut health = Health::Up { failures: 2 };
        assert_eq!(health.fail(ONE), Outcome::WentDown);
    }

    #[test]
    fn a_verdict_that_is_pending_is_hurried() {
        assert_eq!(Health::Unknown.pace(), Pace::Usual);
        let mut health = Health::UP;
        let mut pace_after = |passed| {
            if passed {
                health.pass(THREE)
            } else {
                health.fail(THREE)
            };
            health.pace()
        };
        let verdicts = [true, false, false, true, false, false, false, false, true, false, true];
        let paces = verdicts.map(|passed| match pace_after(passed) {
            Pace::Usual => 'u',
            Pace::Fast => 'f',
            Pace::Down => 'd',
        });
        assert_eq!(String::from_iter(paces), "uffuffddfdf");
    }
}
