//! The one writer of the command line. A terminal that is gone is nobody's fault.

use std::{
    fmt::Display,
    io::{self, Write as _},
};

/// Writes a line, or several, to standard output.
pub(super) fn out(text: impl Display) {
    writeln!(io::stdout(), "{text}").unwrap_or_default();
}

/// Writes a line, or several, to standard error.
pub(super) fn complain(text: impl Display) {
    writeln!(io::stderr(), "{text}").unwrap_or_default();
}

/// Writes what there is to say about a configuration to standard error, if there is anything.
pub(super) fn remark(remarks: &str) {
    if !remarks.is_empty() {
        complain(remarks.trim_end());
    }
}
