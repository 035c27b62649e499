//! The one place that looks at a clock: [`Moment`] from the monotonic one, a [`Timestamp`] from the wall.
//!
//! Everything else is handed the time, so that tests can write it.
//!
//! The monotonic clock (`CLOCK_MONOTONIC`) is neither set nor goes on while the machine sleeps: a check is due when
//! its interval has passed for us, and after a night's sleep nothing is overdue. How long something took for the rest
//! of the world, a sleep included, is told by [`since_boot`].

use std::{
    io,
    time::{Duration, Instant, SystemTime},
};

use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};

use crate::time::Moment;

/// The monotonic clock, started once.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts counting.
    #[expect(clippy::disallowed_methods, reason = "this is the place that the lint points to")]
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// What it is now.
    pub fn now(&self) -> Moment {
        Moment::at(self.start.elapsed())
    }

    /// Sleeps until then; for ever when there is no then.
    pub async fn sleep_until(&self, moment: Option<Moment>) {
        let deadline =
            moment.and_then(|moment| self.start.checked_add(moment.since(Moment::START)));
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
            None => std::future::pending().await,
        }
    }
}

/// What the clock on the wall says, for people.
#[expect(clippy::disallowed_methods, reason = "this is the place that the lint points to")]
pub fn wall() -> Timestamp {
    Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The time since the machine was started, its sleep included.
pub fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}

/// What the kernel's monotonic clock says, for other processes.
pub fn monotonic() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC)?.into())
}

/// A deadline for code that waits without a runtime, as the command line does.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    clock: Clock,
    wait: Duration,
}

impl Deadline {
    /// This long from now.
    pub fn within(wait: Duration) -> Deadline {
        Deadline { clock: Clock::start(), wait }
    }

    /// Whether it has passed.
    pub fn passed(&self) -> bool {
        self.clock.now().since(Moment::START) >= self.wait
    }
}
