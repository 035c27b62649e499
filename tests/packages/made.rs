//! The packages, made by `make deb` and `make rpm` from this build's program: to optimise another takes minutes.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// Where they are made; what they are made with stays here for the next time.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages")
}

/// The folder in it that `make` puts packages of this kind into.
fn kept_in(kind: &str) -> &str {
    if kind == "deb" { "debian" } else { kind }
}

/// The one package of this kind.
pub(crate) fn package(kind: &str) -> PathBuf {
    let mut found = Vec::new();
    let mut folders = vec![folder().join(kept_in(kind))];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|end| end == kind) => found.push(path),
                false => {}
            }
        }
    }
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// Makes those of these kinds anew, unless this is the lab or nothing is to be run.
pub(crate) fn make(kinds: &[&str]) {
    let is_list = std::env::args().any(|word| word == "--list");
    if is_list || std::env::var_os("LDIRECTORD_LAB_INSIDE").is_some() {
        return;
    }
    let built = folder();
    fs::create_dir_all(built.join("release")).unwrap();
    // Without symbols, as the optimised one is.
    let program = built.join("release/ldirectord");
    run(Command::new("strip").arg("-o").arg(&program).arg(env!("CARGO_BIN_EXE_ldirectord")));
    // All but the build, which would make another program.
    let cargo = built.join("cargo");
    let text = format!(
        "#!/bin/sh\nexport CARGO_TARGET_DIR='{}'\n[ \"$1\" = build ] || exec tests/lab/cargo \"$@\"\n",
        built.display()
    );
    fs::write(&cargo, text).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    for kind in kinds {
        let old = built.join(kept_in(kind));
        if old.exists() {
            fs::remove_dir_all(old).unwrap();
        }
        let mut command = Command::new("make");
        command.current_dir(env!("CARGO_MANIFEST_DIR")).arg(kind);
        command.arg(format!("CARGO={}", cargo.display())).arg("CARGO_DEB_OPTIONS=--fast");
        command.arg("RPMBUILD=tests/lab/run --any-kernel -- rpmbuild");
        command.env("DEBFULLNAME", "A Packager").env("DEBEMAIL", "packager@director.test");
        command.env("LDIRECTORD_LAB_WRITABLE", env!("CARGO_TARGET_TMPDIR"));
        run(&mut command);
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
