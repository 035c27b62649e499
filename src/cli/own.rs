//! The subcommands that ldirectord does not have: words in, a [`Command`] out.
//!
//! A new one is a variant here and a file in [`super::commands`]. Its name must not be one of ldirectord's commands.
//!
//! `ldirectord NAME start` is ldirectord's for every NAME, so a configuration may be called like a subcommand.

use std::{ffi::OsString, path::PathBuf};

use clap::{Parser, Subcommand};

/// The names, to tell them from the names of configurations before anything is read.
const NAMES: &[&str] = &["validate"];

/// A subcommand of ours.
#[derive(Clone, PartialEq, Eq, Debug, Subcommand)]
pub(super) enum Command {
    /// Reads a configuration file and says everything that is wrong or doubtful in it
    Validate {
        /// The file; by default the one that the daemon would follow
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Parser)]
#[command(name = "ldirectord", no_binary_name = true, disable_help_subcommand = true)]
struct Words {
    #[command(subcommand)]
    command: Command,
}

/// Reads the words if the first is a subcommand of ours.
pub(super) fn read(words: &[OsString]) -> Option<Result<Command, clap::Error>> {
    let name = words.first()?.to_str()?;
    NAMES.contains(&name).then(|| Words::try_parse_from(words).map(|words| words.command))
}
