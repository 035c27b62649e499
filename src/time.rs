//! [`Moment`]: monotonic time since the program started.
//!
//! Only `daemon::clock` makes new ones from a clock; everything else is handed one.
//! An own type and not [`std::time::Instant`], because tests can write it and transcripts can print it.

use std::{fmt, time::Duration};

/// A point in monotonic time, counted from the start of the program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Moment(Duration);

impl Moment {
    /// The start of the program.
    pub const START: Moment = Moment(Duration::ZERO);

    /// The moment that lies `since_start` after the start of the program.
    pub const fn at(since_start: Duration) -> Moment {
        Moment(since_start)
    }

    /// The moment `wait` later; the far end of time when that cannot be counted.
    #[must_use]
    pub fn after(self, wait: Duration) -> Moment {
        Moment(self.0.saturating_add(wait))
    }

    /// The time that has passed since `earlier`; zero when `earlier` is in fact later.
    pub fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Seconds with up to three decimals: `0s`, `1.5s`, `86400.001s`.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, milliseconds) = (self.0.as_secs(), self.0.subsec_millis());
        match milliseconds {
            0 => write!(f, "{seconds}s"),
            _ => write!(f, "{}s", format!("{seconds}.{milliseconds:03}").trim_end_matches('0')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_neither_overflows_nor_runs_backwards() {
        let later = Moment::START.after(Duration::from_millis(1500));
        assert_eq!(later.since(Moment::START), Duration::from_millis(1500));
        assert_eq!(Moment::START.since(later), Duration::ZERO);
        assert_eq!(later.after(Duration::MAX).since(Moment::START), Duration::MAX);
        assert_eq!(later.to_string(), "1.5s");
        assert_eq!(Moment::at(Duration::from_secs(10)).to_string(), "10s");
    }
}
