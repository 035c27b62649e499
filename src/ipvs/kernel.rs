//! [`Kernel`]: whoever holds an IPVS table. Two do: the real one ([`super::netlink`]) and one in memory
//! ([`super::memory`]), held to the real one by the conformance script in `tests/kernel`.

use std::fmt;

use super::{Entry, Op, Table};
use crate::model::ServiceKey;

/// Whoever holds an IPVS table.
pub trait Kernel: Send {
    /// The whole table.
    fn table(&mut self) -> Result<Table, KernelError>;

    /// One service of the table, `None` when it is not there.
    fn service(&mut self, key: &ServiceKey) -> Result<Option<Entry>, KernelError>;

    /// Makes the changes in their order and says of each what came of it: as many results as changes.
    /// A change that fails does not keep the later ones from being tried.
    fn apply(&mut self, ops: &[Op]) -> Vec<Result<(), KernelError>>;
}

/// Why the kernel's table could not be read or changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelError {
    /// The kind, for those who can do something about it.
    pub kind: KernelErrorKind,
    /// A sentence without a full stop: what was tried on what, and the errno.
    pub message: String,
    /// What a person can do.
    pub hint: Option<String>,
}

/// The sentence, and the hint on a line of its own.
impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for KernelError {}

/// The kinds of [`KernelError`] that make a difference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum KernelErrorKind {
    /// The service or server is there already: somebody was here (EEXIST).
    AlreadyThere,
    /// The service or server is not there: somebody was here (ENOENT, ESRCH).
    NotThere,
    /// The process may not (EPERM, EACCES).
    Denied,
    /// The kernel has no IPVS, or not this part of it: no such scheduler or engine.
    Unsupported,
    /// Answers were lost; what was changed is unknown until the table is read again (ENOBUFS).
    Lost,
    /// Anything else.
    Other,
}
