//! [`Moment`]: monotonic time since the program started.
//!
//! Only `daemon::clock` makes new ones from a clock; everything else is handed one.
//! An own type and not [`std::time::Instant`], because tests can write it and transcripts can print it.

use std::{fmt, time::Duration};

use jiff::{SignedDuration, Timestamp};

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

/// The two clocks at one moment: what happened at another is put on the wall by them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clocks {
    /// On ours.
    pub now: Moment,
    /// On the wall.
    pub wall: Timestamp,
}

impl Clocks {
    /// When this was or will be, on the wall.
    pub fn at(self, moment: Moment) -> Timestamp {
        let signed = |span| SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
        let (later, earlier) = (moment.since(self.now), self.now.since(moment));
        let at = match later.is_zero() {
            true => self.wall.checked_sub(signed(earlier)),
            false => self.wall.checked_add(signed(later)),
        };
        at.unwrap_or(self.wall)
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
    fn moments_before_and_after_are_put_on_the_wall() {
        let at = |seconds| Moment::at(Duration::from_secs(seconds));
        let wall = Timestamp::from_second(1_000).unwrap();
        let clocks = Clocks { now: at(50), wall };
        let on_the_wall = |moment| clocks.at(moment).as_second();
        assert_eq!([at(50), at(40), at(60)].map(on_the_wall), [1_000, 990, 1_010]);
        assert_eq!(clocks.at(Moment::at(Duration::MAX)), wall, "what no date can say");
    }

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
