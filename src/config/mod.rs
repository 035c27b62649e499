//! The configuration: the bytes of an `ldirectord.cf` in, a [`Desired`] or every fault of the file out.
//!
//! Four steps, each a file: [`syntax`] cuts the bytes into lines and loses none of them,
//! `validate` gives every directive to its row of [`directives::DIRECTIVES`], `resolve` turns names into
//! numbers at the end of every virtual service, and `expand` applies defaults and inheritance. Before that, `lint` looks
//! for what is right and regretted. Besides, [`edit`] changes lines of a file and leaves all others alone.
//!
//! Pure: no file, socket, clock or log. What must be known from outside comes in as a [`World`], the files that
//! `include` names among it; all that were read are kept as [`Sources`], because a [`Diagnostic`] points into them.
//! Whether a log or monitor file can be opened is for the caller to find out, who is told of each ([`Named`]).
//!
//! Sources: the behaviour of ldirectord 4.12, run as an oracle wherever its manual leaves a doubt.

mod sources;
mod names;
mod diagnostic;
pub mod codes;
mod render;
pub mod syntax;
pub mod edit;
mod secret;
mod credentials;
mod access;
mod webhooks;
mod value;
mod doubts;
mod draft;
pub mod directives;
pub mod manual;
mod set;
mod address;
mod validate;
mod resolve;
mod steps;
mod expand;
mod said;
mod lint;

pub use diagnostic::{Diagnostic, Ldirectord, Severity};
pub use names::{FileError, Files, NameError, Names, NoFiles, World};
pub use render::{draw, render, short};
pub use sources::{File, FileKind, Line, Sources};

use std::{ops::Range, path::PathBuf};

use crate::model::Desired;

/// What came of reading a file.
#[derive(Debug)]
pub struct Loaded {
    /// What the operator asked for; `None` when there is an error among the diagnostics.
    pub desired: Option<Desired>,
    /// Everything that is wrong or doubtful, in the order of the file; then that of each file it includes.
    pub diagnostics: Vec<Diagnostic>,
    /// The file, and those it includes.
    pub sources: Sources,
    /// Files that the configuration names to be written to, run or read; whether that is possible is for the shell to find out.
    pub named: Vec<Named>,
}

/// A file that a directive names, or the name that is looked for in one (`tlsname`) or on the machine (`user`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// The name of the directive.
    pub directive: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Where its name stands.
    pub span: Range<usize>,
}

/// Reads a file and those it includes. Finds every fault, not only the first.
pub fn load(file: File, world: &World<'_>) -> Loaded {
    let validate::Validated { config, sources, named, mut findings } =
        validate::validate(file, world);
    // What is read of a file with errors is not what is meant.
    let desired = match findings.has_error() {
        true => None,
        false => {
            lint::lint(&config, &sources, world, &mut findings);
            Some(expand::expand(config, &mut findings))
        }
    };
    let desired = desired.filter(|_| !findings.has_error());
    Loaded { desired, diagnostics: findings.finish(), sources, named }
}
