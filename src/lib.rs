#![doc = include_str!("ARCHITECTURE.md")]

pub mod time;
pub mod pattern;
pub mod model;
pub mod config;
pub mod ipvs;
pub mod director;
pub mod checks;
pub mod sinks;
pub mod status;
pub mod control;
pub mod daemon;
pub mod cli;
