//! The one writer of the command line. A terminal that is gone is nobody's fault.

use std::{
    env,
    fmt::Display,
    io::{self, IsTerminal, Write as _},
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

/// Whether who reads this stream sees colors and wants them (<https://no-color.org>).
pub(super) fn is_colored(stream: &impl IsTerminal) -> bool {
    let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
    stream.is_terminal() && !refused && !dumb
}
