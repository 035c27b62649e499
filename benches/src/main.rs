//! Measures ldirectord against others, each pair in one run, so that the ratio holds on any machine.
//!
//! In: the daemon's program; it runs in the lab (`tests/lab/run`) for what needs a kernel with IPVS and
//! keepalived, else in a fresh network namespace of the machine (`unshare --net`).
//! Out: a table on standard output. It judges nothing: a figure that misses its aim is printed like any other.
//! `benches/run` builds and starts it.

#![expect(clippy::disallowed_methods, reason = "measures on its own clock, not on the daemon's")]

#[path = "../../tests/support/asked.rs"]
#[allow(clippy::panic, clippy::indexing_slicing, reason = "tests use it, too")]
mod asked;
mod client;
mod costs;
mod hostile;
mod install;
mod language;
mod lateness;
mod list;
mod load;
mod memory;
mod process;
mod protocols;
mod server;
mod status;
#[path = "../../tests/support/world.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::match_bool, reason = "tests use more of it")]
mod world;

use std::env;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

/// Why a figure could not be had.
pub(crate) type Problem = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["costs", program] => costs::against_least(&PathBuf::from(program)),
        ["keepalived", program] => costs::against_keepalived(&PathBuf::from(program)),
        ["install", program] => install::measure(&PathBuf::from(program)),
        ["list", program] => list::measure(&PathBuf::from(program)),
        ["memory", program] => memory::measure(&PathBuf::from(program)),
        ["protocols", program] => protocols::measure(&PathBuf::from(program)),
        ["lateness", program] => lateness::measure(&PathBuf::from(program)),
        ["status", program] => status::measure(&PathBuf::from(program)),
        ["hostile", _] => hostile::measure(),
        ["language", _] => language::measure(),
        // A process of its own, so that its memory is that of one reading.
        ["read", count] => language::read_once(count),
        // A process of its own, so that its processor time can be told from the server's.
        ["least-client", count] => client::check_for_ever(count),
        _ => Err("usage: ldirectord-bench costs|hostile|keepalived|install|language|list|memory|lateness|protocols|status LDIRECTORD (benches/run starts it)".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            drop(writeln!(io::stderr(), "bench: {problem}"));
            ExitCode::FAILURE
        }
    }
}

/// One line of the table.
pub(crate) fn print(name: &str, figure: &str, remark: &str) {
    drop(writeln!(io::stdout(), "  {name:<46}{figure:>16}  {remark}"));
}

/// A heading.
pub(crate) fn head(text: &str) {
    drop(writeln!(io::stdout(), "\n{text}"));
}
