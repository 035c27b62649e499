//! The decisions: which check is due, which server is up, what the kernel's table should be.
//!
//! Sans-io: no socket, file, clock, thread or random number. In go [`Event`]s with a [`Moment`], out come [`Action`]s.

mod action;
mod event;

pub use action::{Action, Attempt, News, Notice, Phase, Place, Role};
pub use event::Event;

use crate::{ipvs::Table, model::Desired, time::Moment};

/// The decision core.
#[derive(Debug)]
pub struct Director {}

impl Director {
    /// Begins from what the kernel has, without disturbing it.
    pub fn new(_desired: Desired, _observed: &Table, _now: Moment) -> Director {
        Director {}
    }

    /// Something happened. Afterwards every `poll_` may answer otherwise.
    pub fn handle(&mut self, _event: Event, _now: Moment) {}

    /// Time has passed. Called at the latest at [`Director::poll_timeout`]; a call too many is harmless.
    pub fn handle_timeout(&mut self, _now: Moment) {}

    /// When [`Director::handle_timeout`] must be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        None
    }

    /// What the shell must do next; call until it answers `None`.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        None
    }

    /// What the operator asked for, as it is followed now.
    pub fn desired(&self) -> &Desired {
        static EMPTY: std::sync::OnceLock<Desired> = std::sync::OnceLock::new();
        EMPTY.get_or_init(Desired::default)
    }
}
