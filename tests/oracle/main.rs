//! Drop-in, proved: Debian's Perl ldirectord and ours play the same scenes side by side on a real IPVS kernel,
//! and `ipvsadm -Sn` must be the same after every step. See `scene.rs` for what a scene is.
//!
//! Beside the files there are scenes made at random from seeds: the first few always, others with
//! `LDIRECTORD_ORACLE_SEEDS=100-150` (then these only).
//!
//! `LDIRECTORD_ORACLE_SCENES=fwmark,random-7` plays just these.
//!
//! `LDIRECTORD_ORACLE=record` plays the scenes with Debian's program alone and shows its tables, for writing a scene.

#![allow(unreachable_pub, reason = "nobody uses a test program's modules but itself")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, shows what it does, and measures time"
)]

mod play;
mod random;
mod scene;
mod servers;
mod stage;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if std::env::var_os("LDIRECTORD_LAB_INSIDE").is_none() && !arguments.list {
        return run_labs();
    }
    // A scene mostly waits for the next check; but starting Perl keeps the one processor busy.
    arguments.test_threads.get_or_insert(5);
    let (share, shares) = share();
    let record = std::env::var("LDIRECTORD_ORACLE").is_ok_and(|mode| mode == "record");
    let certificate = servers::Certificate::make();
    let mut trials = Vec::new();
    for (name, text) in scenes().into_iter().skip(share).step_by(shares) {
        let certificate = certificate.clone();
        trials.push(Trial::test(name.clone(), move || {
            let scene = scene::Scene::parse(&text)?;
            if record {
                println!("=== {name}\n{}", play::record(&scene, &certificate)?);
            } else {
                play::compare(&scene, &certificate).map_err(|error| {
                    if name.starts_with(RANDOM) { format!("{text}\n{error}") } else { error }
                })?;
            }
            Ok(())
        }));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// All scenes with their names: the files in the order of their names, then those made at random.
fn scenes() -> Vec<(String, String)> {
    let asked = std::env::var("LDIRECTORD_ORACLE_SEEDS").ok();
    let mut scenes = Vec::new();
    if asked.is_none() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/scenarios");
        let mut paths: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            scenes.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
    let (first, last) = asked.as_deref().map_or(SEEDS, |text| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        (first.parse().unwrap(), last.parse().unwrap())
    });
    scenes.extend((first..=last).map(|seed| (format!("{RANDOM}{seed}"), random::scene(seed))));
    if let Ok(wanted) = std::env::var("LDIRECTORD_ORACLE_SCENES") {
        scenes.retain(|(name, _)| wanted.split(',').any(|wanted| wanted == name));
    }
    scenes
}

const RANDOM: &str = "random-";
/// The seeds of an ordinary run.
const SEEDS: (u64, u64) = (1, 6);

/// Which scenes this lab plays: every n-th, from the i-th on.
fn share() -> (usize, usize) {
    let text = std::env::var(SHARE).unwrap_or_default();
    text.split_once('/')
        .and_then(|(share, shares)| Some((share.parse().ok()?, shares.parse().ok()?)))
        .unwrap_or((0, 1))
}

const SHARE: &str = "LDIRECTORD_ORACLE_SHARE";

/// Plays the scenes in labs, side by side: a User-Mode Linux has one processor.
fn run_labs() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // Where the program is that we play with, wherever cargo builds.
    let mut readable = std::env::var("LDIRECTORD_LAB_READABLE").unwrap_or_default();
    if let Some(folder) = Path::new(env!("CARGO_BIN_EXE_ldirectord")).parent() {
        readable = format!("{readable}:{}", folder.display());
    }
    let labs = if words.is_empty() { processors.clamp(1, 4) } else { 1 };
    let running: Vec<_> = (0..labs)
        .map(|lab| {
            let mut command =
                Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/run"));
            command.arg(std::env::current_exe().unwrap()).args(&words).stdin(Stdio::null());
            command.env("LDIRECTORD_LAB_READABLE", &readable);
            if labs > 1 {
                command.env(SHARE, format!("{lab}/{labs}")).stdout(Stdio::piped());
            }
            let mut child = command.spawn().unwrap();
            let output = child.stdout.take();
            std::thread::spawn(move || {
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
