//! What `make install` puts where, and that what goes with the program fits it.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ldirectord");

/// The files below a folder, with their modes.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let mode = fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777;
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(folder).unwrap();
                    found.push(format!("{mode:o} /{}", name.display()));
                }
            }
        }
    }
    found.sort_by(|one, other| one[4..].cmp(&other[4..]));
    found
}

/// A folder with what `make install` puts there. The program is this build's: to optimise another takes minutes.
fn installed(settings: &[&str]) -> TempDir {
    let (place, cargo) = (tempfile::tempdir().unwrap(), cargo());
    let cargo = cargo.path().join("cargo");
    make("install", &cargo, place.path(), settings);
    let rotation = place.path().join("etc/logrotate.d/ldirectord");
    fs::write(&rotation, "# changed by hand\n").unwrap();
    make("install", &cargo, place.path(), settings);
    assert_eq!(fs::read_to_string(rotation).unwrap(), "# changed by hand\n");
    place
}

/// A folder with a `cargo` that has built this program already.
fn cargo() -> TempDir {
    let built = tempfile::tempdir().unwrap();
    fs::create_dir(built.path().join("release")).unwrap();
    fs::copy(PROGRAM, built.path().join("release/ldirectord")).unwrap();
    let cargo = built.path().join("cargo");
    let answer = format!(r#"{{"target_directory":"{}","version":1}}"#, built.path().display());
    fs::write(&cargo, format!("#!/bin/sh\n[ \"$1\" = build ] || echo '{answer}'\n")).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    built
}

fn make(target: &str, cargo: &Path, place: &Path, settings: &[&str]) {
    let output = Command::new("make")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .arg(target)
        .arg(format!("CARGO={}", cargo.display()))
        .arg(format!("DESTDIR={}", place.display()))
        .args(settings)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn make_install_puts_everything_in_its_place() {
    let place = installed(&["PREFIX=/usr"]);
    insta::assert_snapshot!(files(place.path()).join("\n"), @r"
    644 /etc/logrotate.d/ldirectord
    755 /usr/lib/ocf/resource.d/heartbeat/ldirectord-rs
    644 /usr/lib/systemd/system/ldirectord.service
    644 /usr/lib/systemd/system/ldirectord@.service
    644 /usr/lib/sysusers.d/ldirectord.conf
    755 /usr/sbin/ldirectord
    644 /usr/share/bash-completion/completions/ldirectord
    644 /usr/share/doc/ldirectord/LICENSE
    644 /usr/share/doc/ldirectord/README.md
    644 /usr/share/doc/ldirectord/ldirectord.cf.example
    644 /usr/share/doc/ldirectord/webhook/slack.json
    644 /usr/share/doc/ldirectord/webhook/teams.json
    644 /usr/share/fish/vendor_completions.d/ldirectord.fish
    644 /usr/share/man/man5/ldirectord.cf.5
    644 /usr/share/man/man8/ldirectord.8
    644 /usr/share/zsh/site-functions/_ldirectord
    ");
    // README lists them all, or the folders that hold nothing else.
    let readme = fs::read_to_string(source("README.md")).unwrap();
    for file in files(place.path()) {
        let name = file[4..].strip_prefix("/usr/").unwrap_or(&file[4..]);
        let folder = Path::new(name).parent().unwrap().display();
        let is_listed = [format!("`{name}`"), format!("`{folder}/`"), format!("`{}`", &file[4..])]
            .iter()
            .any(|name| readme.contains(name));
        assert!(is_listed, "{name}");
    }
}

#[test]
fn make_uninstall_removes_what_make_install_puts() {
    let (place, cargo) = (installed(&[]), cargo());
    let share = place.path().join("usr/local/share");
    fs::write(share.join("man/man8/ours.8"), "").unwrap();
    make("uninstall", &cargo.path().join("cargo"), place.path(), &[]);
    let left = ["644 /etc/logrotate.d/ldirectord", "644 /usr/local/share/man/man8/ours.8"];
    assert_eq!(files(place.path()), left);
    assert!(!share.join("doc/ldirectord").exists());
}

#[test]
fn units_call_the_program_where_it_was_put() {
    let place = installed(&[]);
    for (unit, config) in [("ldirectord.service", ""), ("ldirectord@.service", "%i.cf ")] {
        let path = place.path().join("usr/local/lib/systemd/system").join(unit);
        let unit = fs::read_to_string(path).unwrap();
        let program = "/usr/local/sbin/ldirectord";
        for line in [
            format!("ExecStart=!{program} --foreground {config}start\n"),
            format!("ExecReload=+{program} {config}reload\n"),
            // A restart, and the end of a daemon that hangs, leave the table to the next one.
            "RestartKillSignal=SIGUSR2\n".to_owned(),
            "WatchdogSignal=SIGKILL\n".to_owned(),
        ] {
            assert!(unit.contains(&line), "{line}{unit}");
        }
        assert!(!unit.contains("/usr/sbin"), "{unit}");
    }
    let agent = place.path().join("usr/lib/ocf/resource.d/heartbeat/ldirectord-rs");
    let agent = fs::read_to_string(agent).unwrap();
    assert!(agent.contains("\ndefault_ldirectord=/usr/local/sbin/ldirectord\n"), "{agent}");
    assert!(!agent.contains("/usr/sbin"), "{agent}");
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// What bash offers for the last of these words.
fn offered(folder: &Path, words: &[&str]) -> Vec<String> {
    const ASK: &str = r#"
        . "$0" || exit
        COMP_WORDS=(ldirectord "$@") COMP_CWORD=$#
        _ldirectord ldirectord "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let path = format!("{}:/usr/bin:/bin", Path::new(PROGRAM).parent().unwrap().display());
    let output = Command::new("bash")
        .args(["--norc", "-u", "-c", ASK])
        .arg(source("contrib/completions/ldirectord.bash"))
        .args(words)
        .env("LDIRECTORD_CONFIG_DIR", folder.join("etc"))
        .env("PATH", path)
        .current_dir(folder)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
    let offered = String::from_utf8(output.stdout).unwrap();
    offered.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("etc/conf")).unwrap();
    for name in ["etc/web.cf", "etc/conf/mail.cf", "etc/$(touch hurt).cf", "etc/notes", "here.cf"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let says = |words: &[&str], expected: &[&str]| {
        assert_eq!(offered(dir.path(), words), expected, "{words:?}");
    };
    says(&["st"], &["start", "stop", "status"]);
    says(&["we"], &["web.cf"]);
    says(&["$"], &["$(touch hurt).cf"]);
    says(&["he"], &["here.cf"]);
    says(&["web.cf", "re"], &["restart", "reload", "reexec"]);
    says(&["web.cf", "start", ""], &[]);
    says(&["start", ""], &[]);
    says(&["--table", ""], &["kernel", "memory"]);
    says(&["--table", "memory", "-d", "mail.cf", "sto"], &["stop"]);
    says(&["--fo"], &["--foreground"]);
    says(&["validate", "--"], &["--strict", "--json", "--help"]);
    says(&["validate", "--strict", "ma"], &["mail.cf"]);
    says(&["table", "--"], &["--percent", "--help"]);
    says(&["table", "ma"], &["mail.cf"]);
    says(&["alert", ""], &["test"]);
    says(&["alert", "test", "ma"], &["mail.cf"]);
    says(&["explain", "E0201", "checkti"], &["checktimeout"]);
    says(&["explain", "E0302"], &["E0302"]);
    assert!(!dir.path().join("hurt").exists());
}

/// What the help names, all three shells name.
#[test]
fn completions_know_all_that_the_help_has() {
    let help = Command::new(PROGRAM).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_usage, rest) = help.split_once("Commands:").unwrap();
    let words: Vec<&str> = rest
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("        "))
        .filter_map(|line| line.split_whitespace().find(|word| !word.ends_with(',')))
        .filter(|word| !word.starts_with('/'))
        .map(|word| word.trim_start_matches('-'))
        .collect();
    for expected in ["try-restart", "alert", "debug", "foreground", "table"] {
        assert!(words.contains(&expected), "{expected} of {words:?}");
    }
    for name in ["ldirectord.bash", "_ldirectord", "ldirectord.fish"] {
        let text = fs::read_to_string(source("contrib/completions").join(name)).unwrap();
        for word in &words {
            assert!(text.contains(word), "{word} in {name}");
        }
    }
}
