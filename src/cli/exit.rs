//! Exit codes, in one table.
//!
//! Sources: section 1.5 of the behaviour specification; the resource agent and init scripts depend on them. Those of
//! `status` are the LSB's (Linux Standard Base Core 5.0, 22.2) but for a pid file that is stale.

use std::process::{ExitCode, Termination};

/// How the program ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Done; or the daemon runs.
    Success,
    /// It could not be done; a daemon to be reloaded does not run; a pid file is stale.
    Failure,
    /// The configuration cannot be followed.
    Configuration,
    /// No daemon runs.
    NotRunning,
    /// The words make no sense.
    Usage,
    /// What the second process of a start ended with.
    Code(u8),
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Configuration => 2,
            Exit::NotRunning => 3,
            Exit::Usage => 255,
            Exit::Code(code) => code,
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}
