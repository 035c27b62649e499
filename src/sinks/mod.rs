//! Where the outside listens: the log and the monitor file.
//!
//! In go [`crate::director::Notice`]s and `tracing` events, out come lines. Nothing here decides anything, and nothing
//! that a sink does can hold up the director: a line goes into a queue, and a line too many is dropped and counted.
//!
//! The log hears everything, a monitor file only checks, a program only of the fallback: no trait joins them.

pub mod log;
pub mod monitor_file;
pub mod notice;

mod syslog;
pub(crate) mod writer;
