//! Where the outside listens: the log today, the monitor file and hook programs beside it.
//!
//! In go [`crate::director::Notice`]s and `tracing` events, out come lines. Nothing here decides anything, and nothing
//! that a sink does can hold up the director: a line goes into a queue, and a line too many is dropped and counted.
//!
//! There is one kind of sink for now, so there is no trait for them.

pub mod log;
pub mod notice;

mod syslog;
mod writer;
