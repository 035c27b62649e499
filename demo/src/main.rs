//! The conductor of `make demo`: lays out the machines, starts the director, sends traffic, breaks
//! and repairs servers, and says what happens.
//!
//! In: the folder of the demo, the daemon's program and configuration; it runs in the lab
//! (`tests/lab/run`), as root, and everything it makes ends with the lab.
//! Out: the story on standard output; exit code 0 only if every step went as it says, else 1.
//! It does not build or install anything: `demo/run` does.
//!
//! It uses nothing of the daemon but its command line, so that what it sees is what anybody sees.

#![expect(clippy::disallowed_methods, reason = "measures on its own clock, not on the daemon's")]

mod machines;
mod page;
mod story;
mod table;
mod tally;
mod traffic;

use std::env;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::page::Page;

/// What `demo/run` tells us.
struct Arguments {
    /// Whether the output is a terminal that shows colours.
    colour: bool,
    /// Whether we are in the client's namespace already; set by this program itself.
    laid_out: bool,
    /// The folder with `layout` and `ldirectord.cf`.
    folder: PathBuf,
    /// The daemon's program.
    ldirectord: PathBuf,
}

fn main() -> ExitCode {
    let Some(arguments) = parse(env::args().skip(1)) else {
        report("usage: ldirectord-demo [--colour] FOLDER LDIRECTORD (demo/run starts it)");
        return ExitCode::from(2);
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            report(&format!("{problem:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The program runs twice: first in the lab's own network, where it lays out the machines, then
/// (it replaces itself) as the client, so that its connections are the client's.
fn run(arguments: &Arguments) -> Result<(), story::Problem> {
    let mut page = Page::new(arguments.colour);
    if !arguments.laid_out {
        story::lay_out(&mut page, &arguments.folder)?;
        let mut again = Command::new("ip");
        again.args(["netns", "exec", machines::CLIENT]).arg(env::current_exe()?);
        again.args(env::args_os().skip(1)).arg("--laid-out");
        return Err(again.exec().into());
    }
    story::tell(&mut page, &arguments.folder, &arguments.ldirectord)
}

fn parse(words: impl Iterator<Item = String>) -> Option<Arguments> {
    let (mut colour, mut laid_out, mut paths) = (false, false, Vec::new());
    for word in words {
        match word.as_str() {
            "--colour" => colour = true,
            "--laid-out" => laid_out = true,
            _ if word.starts_with('-') => return None,
            _ => paths.push(PathBuf::from(word)),
        }
    }
    let [folder, ldirectord] = <[PathBuf; 2]>::try_from(paths).ok()?;
    Some(Arguments { colour, laid_out, folder, ldirectord })
}

/// One line to standard error; nothing is left to do when that fails.
fn report(text: &str) {
    drop(io::Write::write_all(&mut io::stderr(), format!("{text}\n").as_bytes()));
}
