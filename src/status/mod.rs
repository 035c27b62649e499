//! How things stand, for people and programs: what a daemon knows of its services, what the kernel counts, and both in one.
//!
//! In go a [`State`] of each daemon that runs and the kernel's [`Census`](crate::ipvs::census::Census); out comes a
//! [`Listing`], which [`table`] lays out for a terminal and [`json`] for programs. Nothing here asks anybody.

pub mod json;
pub mod listing;
pub mod select;
pub mod show;
pub mod state;
pub mod table;

#[cfg(test)]
mod tests;

pub use self::{
    listing::{Listing, Server, Service},
    select::{Selection, Sort},
    state::{AttemptState, CheckState, DaemonState, ServerState, ServiceState, State},
};
