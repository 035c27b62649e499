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

#[path = "../support/labs.rs"]
mod labs;
#[path = "../support/namespaces.rs"]
mod namespaces;
mod play;
mod random;
mod scene;
mod servers;
mod stage;

use std::{path::Path, process::ExitCode};

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if !labs::is_here() && !arguments.list {
        return labs::run(&[]);
    }
    // A scene mostly waits for the next check; but starting Perl keeps the one processor busy.
    arguments.test_threads.get_or_insert(5);
    let record = std::env::var("LDIRECTORD_ORACLE").is_ok_and(|mode| mode == "record");
    let certificate = servers::Certificate::make();
    let mut trials = Vec::new();
    for (name, text) in labs::share(scenes()) {
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
    let asked = labs::seeds("LDIRECTORD_ORACLE_SEEDS");
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
    let seeds = asked.unwrap_or(SEEDS);
    scenes.extend(seeds.map(|seed| (format!("{RANDOM}{seed}"), random::scene(seed))));
    if let Ok(wanted) = std::env::var("LDIRECTORD_ORACLE_SCENES") {
        scenes.retain(|(name, _)| wanted.split(',').any(|wanted| wanted == name));
    }
    scenes
}

const RANDOM: &str = "random-";
/// The seeds of an ordinary run.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=6;
