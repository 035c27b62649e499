//! Reads the configuration file: the way to [`config::load`] for the daemon and the command line.
//!
//! In go a path and a way to resolve names, out come the configuration, if it is one, and everything there is to say
//! about the file.

use std::{env, io, path::Path};

use super::watch::{self, Seen};
use crate::{
    checks,
    config::{self, Loaded, Names, World},
    model::Desired,
};

/// A configuration file as it was read.
#[derive(Debug)]
pub struct Reading {
    /// Its bytes.
    pub source: Vec<u8>,
    /// What it was when it was read.
    pub seen: Seen,
    /// What it asks for; `None` when it cannot be followed.
    pub desired: Option<Desired>,
    /// What there is to say about it, for people; empty when there is nothing.
    pub remarks: String,
}

/// Reads a configuration file. Blocks, also for the resolver.
pub fn load(path: &Path, names: &dyn Names) -> io::Result<Reading> {
    let (source, seen) = watch::read(path)?;
    let host_name = host_name();
    let protocols = checks::catalogue();
    let world = World { names, protocols: &protocols, host_name: &host_name };
    let Loaded { desired, diagnostics } = config::load(&source, &world);
    let remarks =
        config::render(&path.to_string_lossy(), std::process::id(), &source, &diagnostics);
    Ok(Reading { source, seen, desired, remarks })
}

/// What ldirectord says of a file that cannot be opened, and why it cannot.
pub fn cannot_open(path: &Path, error: &io::Error) -> String {
    format!("Error [{}]: can not open file {}\nhint: {error}", std::process::id(), path.display())
}

/// The name of this host, for default logins: `HOSTNAME`, else what the kernel says.
fn host_name() -> String {
    let set = env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    set.or_else(|| nix::unistd::gethostname().ok()?.into_string().ok()).unwrap_or_default()
}
