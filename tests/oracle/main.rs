//! Drop-in, proved: Debian's Perl ldirectord and ours play the same scenes side by side on a real IPVS kernel,
//! and `ipvsadm -Sn` must be the same after every step. See `scene.rs` for what a scene is.
//!
//! `LDIRECTORD_ORACLE=record` plays the scenes with Debian's program alone and shows its tables, for writing a scene.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and measures time"
)]

mod play;
mod scene;
mod servers;
mod stage;

use std::{path::Path, process::ExitCode};

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    if std::env::var_os("LDIRECTORD_LAB_INSIDE").is_none() {
        let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/run");
        let status = std::process::Command::new(run)
            .arg(std::env::current_exe().unwrap())
            .args(std::env::args_os().skip(1))
            .status()
            .unwrap();
        return ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1));
    }
    let mut arguments = Arguments::from_args();
    // A scene mostly waits for the next check.
    arguments.test_threads.get_or_insert(8);
    let record = std::env::var("LDIRECTORD_ORACLE").is_ok_and(|mode| mode == "record");
    let certificate = servers::Certificate::make();
    let mut trials = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/scenarios");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let certificate = certificate.clone();
        trials.push(Trial::test(name.clone(), move || {
            let scene = scene::Scene::parse(&std::fs::read_to_string(&path)?)?;
            if record {
                println!("=== {name}\n{}", play::record(&scene, &certificate)?);
            } else {
                play::compare(&scene, &certificate)?;
            }
            Ok(())
        }));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
