//! The configuration: the bytes of an `ldirectord.cf` in, a [`Desired`] or every fault of the file out.
//!
//! Four steps, each a file: [`syntax`] cuts the bytes into lines and loses none of them,
//! `validate` gives every directive to its row of [`directives::DIRECTIVES`], `resolve` turns names into
//! numbers at the end of every virtual service, and `expand` applies defaults and inheritance.
//! Besides, [`edit`] changes lines of a file and leaves all others alone.
//!
//! Pure: no file, socket, clock or log. What must be known from outside comes in as a [`World`].
//! Whether a log or monitor file can be opened is for the caller to find out.
//!
//! Sources: the behaviour of ldirectord 4.12, run as an oracle wherever its manual leaves a doubt.

mod names;
mod diagnostic;
pub mod codes;
mod render;
pub mod syntax;
pub mod edit;
mod secret;
mod value;
mod draft;
pub mod directives;
mod set;
mod address;
mod validate;
mod resolve;
mod expand;

pub use diagnostic::{Diagnostic, Ldirectord, Severity};
pub use names::{NameError, Names, World};
pub use render::render;

use crate::model::Desired;

/// What came of reading a file.
#[derive(Debug)]
pub struct Loaded {
    /// What the operator asked for; `None` when there is an error among the diagnostics.
    pub desired: Option<Desired>,
    /// Everything that is wrong or doubtful, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads a file. Finds every fault, not only the first.
pub fn load(source: &[u8], world: &World<'_>) -> Loaded {
    let (config, mut findings) = validate::validate(source, world);
    let desired = expand::expand(config, &mut findings);
    let diagnostics = findings.finish();
    let refused = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    Loaded { desired: (!refused).then_some(desired), diagnostics }
}
