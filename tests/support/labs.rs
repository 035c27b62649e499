//! Trials in several labs side by side: a User-Mode Linux has one processor.
//!
//! Outside of the lab a test program calls [`run`], which runs it in the labs; there [`share`] says which trials are
//! this lab's.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test shows what its labs say, and fails by panicking"
)]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, ExitCode, Stdio},
    thread,
};

const SHARE: &str = "LDIRECTORD_LAB_SHARE";

/// Whether this is a lab.
pub fn is_here() -> bool {
    std::env::var_os("LDIRECTORD_LAB_INSIDE").is_some()
}

/// Those of the trials that are this lab's: every n-th, from the i-th on.
pub fn share<T>(trials: Vec<T>) -> impl Iterator<Item = T> {
    let text = std::env::var(SHARE).unwrap_or_default();
    let (share, shares) = text
        .split_once('/')
        .and_then(|(share, shares)| Some((share.parse().ok()?, shares.parse().ok()?)))
        .unwrap_or((0, 1));
    trials.into_iter().skip(share).step_by(shares)
}

/// Runs this program, with its arguments, in labs; these folders of the machine can be read there.
pub fn run(readable: &[&Path]) -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // Where the program is that is tried, wherever cargo builds.
    let program = Path::new(env!("CARGO_BIN_EXE_ldirectord")).parent();
    let mut folders = std::env::var("LDIRECTORD_LAB_READABLE").unwrap_or_default();
    for folder in readable.iter().copied().chain(program) {
        folders = format!("{folders}:{}", folder.display());
    }
    let labs = if words.is_empty() { processors.clamp(1, 4) } else { 1 };
    let running: Vec<_> = (0..labs)
        .map(|lab| {
            let mut command =
                Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/run"));
            command.arg(std::env::current_exe().unwrap()).args(&words).stdin(Stdio::null());
            command.env("LDIRECTORD_LAB_READABLE", &folders);
            if labs > 1 {
                command.env(SHARE, format!("{lab}/{labs}")).stdout(Stdio::piped());
            }
            let mut child = command.spawn().unwrap();
            let output = child.stdout.take();
            thread::spawn(move || {
                // Line by line, so that the labs do not cut into each other's lines.
                for line in output.into_iter().flat_map(|output| BufReader::new(output).lines()) {
                    println!("{}", line.unwrap_or_default());
                }
                child.wait().unwrap().code()
            })
        })
        .collect();
    let codes: Vec<_> = running.into_iter().map(|lab| lab.join().unwrap()).collect();
    if codes.iter().all(|code| *code == Some(0)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The seeds that a variable asks for, as `7` or `100-150`.
pub fn seeds(variable: &str) -> Option<std::ops::RangeInclusive<u64>> {
    let text = std::env::var(variable).ok()?;
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    Some(first.parse().unwrap()..=last.parse().unwrap())
}
