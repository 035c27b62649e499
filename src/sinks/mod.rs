//! Where the outside listens: the log, the monitor file, mail and webhooks.
//!
//! In go [`crate::director::Notice`]s and `tracing` events, out come lines. Nothing here decides anything, and nothing
//! that a sink does can hold up the director: a line goes into a queue, and a line too many is dropped and counted.
//!
//! The log hears everything, a monitor file only of checks, a program only of the fallback, and which mails and webhooks
//! are due is a decision of the director's: no trait joins them.

pub mod log;
pub mod mail;
pub mod message;
pub mod monitor_file;
pub mod notice;
pub mod outbox;
pub mod webhook;

mod entry;
mod facts;
mod journal;
mod listener;
mod syslog;
mod trust;
pub(crate) mod writer;
mod zone;
