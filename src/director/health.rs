//! The health of one server in one service: what its checks have told us.
//!
//! A pass restores at once; `failurecount` failures in a row take down; nobody who has not passed serves.

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
    Down,
}

/// What a verdict changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// Nothing.
    Same,
    /// It works after all: earlier failures no longer count.
    Forgotten,
    /// It works now.
    CameUp,
    /// It failed, this many times in a row, and still serves.
    SoftFailure(u32),
    /// It no longer works.
    WentDown,
    /// It was never known to work, and now is known not to.
    StaysDown,
}

impl Health {
    /// Whether it works.
    pub(super) fn is_up(self) -> bool {
        matches!(self, Health::Up { .. })
    }

    /// A check passed.
    pub(super) fn pass(&mut self) -> Outcome {
        let outcome = match self {
            Health::Up { failures: 0 } => Outcome::Same,
            Health::Up { .. } => Outcome::Forgotten,
            Health::Unknown | Health::Down => Outcome::CameUp,
        };
        *self = Health::Up { failures: 0 };
        outcome
    }

    /// A check failed; `enough` failures in a row take a server down.
    pub(super) fn fail(&mut self, enough: NonZeroU32) -> Outcome {
        match *self {
            Health::Up { failures } if failures.saturating_add(1) < enough.get() => {
                *self = Health::Up { failures: failures.saturating_add(1) };
                Outcome::SoftFailure(failures.saturating_add(1))
            }
            Health::Up { .. } => {
                *self = Health::Down;
                Outcome::WentDown
            }
            Health::Unknown => {
                *self = Health::Down;
                Outcome::StaysDown
            }
            Health::Down => Outcome::Same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: NonZeroU32 = NonZeroU32::new(3).unwrap();

    #[test]
    fn three_failures_in_a_row_take_down_and_one_pass_restores() {
        let mut health = Health::Unknown;
        assert_eq!(health.pass(), Outcome::CameUp);
        assert_eq!(health.fail(THREE), Outcome::SoftFailure(1));
        assert_eq!(health.fail(THREE), Outcome::SoftFailure(2));
        assert_eq!(health.pass(), Outcome::Forgotten);
        assert_eq!(health.fail(THREE), Outcome::SoftFailure(1));
        assert_eq!(health.fail(THREE), Outcome::SoftFailure(2));
        assert_eq!(health.fail(THREE), Outcome::WentDown);
        assert_eq!(health.fail(THREE), Outcome::Same);
        assert_eq!(health.pass(), Outcome::CameUp);
        assert_eq!(health.pass(), Outcome::Same);
    }

    #[test]
    fn one_failure_is_enough_for_a_server_that_never_passed() {
        let mut health = Health::Unknown;
        assert_eq!(health.fail(THREE), Outcome::StaysDown);
        assert!(!health.is_up());
    }
}
