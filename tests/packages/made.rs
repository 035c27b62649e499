//! The packages, made as `make deb` and `make rpm` make them.

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

/// The one package of this kind.
pub(crate) fn package(kind: &str) -> PathBuf {
    let place = folder().join(match kind {
        "deb" => "debian",
        _ => "rpm/RPMS",
    });
    let mut found = Vec::new();
    let mut folders = vec![place];
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

/// Makes both anew.
pub(crate) fn make() {
    let built = folder();
    fs::create_dir_all(built.join("release")).unwrap();
    for old in ["debian", "rpm"] {
        let old = built.join(old);
        if old.exists() {
            fs::remove_dir_all(old).unwrap();
        }
    }
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
    make_target("deb", &cargo, "CARGO_DEB_OPTIONS=--fast");
    make_target("rpm", &cargo, "RPMBUILD=tests/lab/run --any-kernel -- rpmbuild");
}

fn make_target(target: &str, cargo: &Path, setting: &str) {
    let mut command = Command::new("make");
    command.current_dir(env!("CARGO_MANIFEST_DIR")).arg(target).arg(setting);
    command.arg(format!("CARGO={}", cargo.display()));
    command.env("DEBFULLNAME", "A Packager").env("DEBEMAIL", "packager@director.test");
    command.env("LDIRECTORD_LAB_WRITABLE", env!("CARGO_TARGET_TMPDIR"));
    run(&mut command);
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
