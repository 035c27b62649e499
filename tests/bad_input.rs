//! Whatever is handed to us as a configuration: an answer, and never a crash or a hang.
//!
//! Each command is given as long as `Site` gives every command; what is asserted is what it says.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(dead_code, reason = "the daemon's tests use the rest of the site")]

#[path = "support/site.rs"]
mod site;

use std::{fmt::Write as _, fs, io::Write as _, os::unix::fs::PermissionsExt as _, thread};

use nix::{sys::stat::Mode, unistd::mkfifo};
use site::{Done, Site};

/// What `validate` says of a file of this folder.
fn validate(site: &Site, name: &str) -> Done {
    site.run(&["validate", site.path(name).to_str().unwrap()])
}

#[test]
fn a_file_that_is_no_text() {
    let site = Site::new();
    let mut seed = 1_u64;
    let mut noise = || {
        // Numbers enough for this: a linear congruence (Knuth, MMIX).
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    };
    let bytes: Vec<u8> = (0..1 << 20).map(|_| noise()).collect();
    fs::write(site.path("noise"), bytes).unwrap();
    fs::write(site.path("zeros"), vec![0; 1 << 20]).unwrap();
    fs::copy("/bin/true", site.path("program")).unwrap();
    for name in ["noise", "zeros", "program"] {
        let done = validate(&site, name);
        assert_eq!(done.code, 2, "{name}");
        assert!(done.err.contains("error[E"), "{name}");
        assert!(done.err.len() < 4 << 20, "{name}: nobody reads {} bytes", done.err.len());
    }
}

#[test]
fn a_file_of_100_megabytes() {
    let site = Site::new();
    let mut file = fs::File::create(site.path("large")).unwrap();
    let line = b"virtual=192.0.2.1:80\n\treal=192.0.2.11:80 masq\n";
    let part = line.repeat((1 << 20) / line.len());
    for _ in 0..101 {
        file.write_all(&part).unwrap();
    }
    let done = validate(&site, "large");
    assert_eq!(done.code, 2);
    assert!(done.err.contains("more than 32 MiB"), "{}", done.err);
}

#[test]
fn what_is_no_file() {
    let site = Site::new();
    fs::create_dir(site.path("folder")).unwrap();
    mkfifo(&site.path("fifo"), Mode::S_IRWXU).unwrap();
    for name in ["folder", "fifo", "nothing"] {
        let done = validate(&site, name);
        assert_eq!((done.code, done.err.contains("not found")), (1, true), "{name}: {}", done.err);
        fs::write(site.path("outer.cf"), format!("include={name}\n")).unwrap();
        let done = validate(&site, "outer.cf");
        assert_eq!(
            (done.code, done.err.contains("error[E0002]")),
            (2, true),
            "{name}: {}",
            done.err
        );
    }
}

#[test]
fn a_file_that_changes_and_vanishes_while_it_is_read() {
    let site = Site::new();
    let path = site.path("moving.cf");
    let mut whole = String::new();
    for port in 1..2000 {
        writeln!(whole, "virtual=192.0.2.1:{port}\n\treal=192.0.2.11:80 masq").unwrap();
    }
    let stop = std::sync::atomic::AtomicBool::new(false);
    let stopped = || stop.load(std::sync::atomic::Ordering::Relaxed);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stopped() {
                fs::write(&path, &whole).unwrap();
                fs::File::options().write(true).open(&path).unwrap().set_len(1000).unwrap();
                fs::remove_file(&path).unwrap();
            }
        });
        for _ in 0..50 {
            let done = validate(&site, "moving.cf");
            match done.code {
                // Half a file may be a whole one.
                0 => assert!(done.out.contains("virtual service"), "{}", done.all()),
                1 => assert!(done.err.contains("not found"), "{}", done.all()),
                2 => assert!(done.err.contains("rror"), "{}", done.all()),
                _ => unreachable!("{}", done.all()),
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn files_that_include_each_other() {
    let site = Site::new();
    fs::create_dir(site.path("sub")).unwrap();
    fs::write(site.path("a.cf"), "include=sub/b.cf\n").unwrap();
    fs::write(site.path("sub/b.cf"), "include=../a.cf\n").unwrap();
    let done = validate(&site, "a.cf");
    assert_eq!(done.code, 2);
    assert!(done.err.contains("error[E0003]") && done.err.contains("b.cf:1"), "{}", done.err);

    // By another name it is the same file.
    std::os::unix::fs::symlink(site.path("c.cf"), site.path("d.cf")).unwrap();
    fs::write(site.path("c.cf"), "include=d.cf\n").unwrap();
    assert!(validate(&site, "c.cf").err.contains("error[E0003]"));

    // Each of these includes all of them.
    for number in 0..40 {
        fs::write(site.path(&format!("{number}.all")), "include=*.all\n").unwrap();
    }
    let done = validate(&site, "0.all");
    assert_eq!(done.code, 2);
}

#[test]
fn names_that_do_not_resolve_are_each_named() {
    let site = Site::new();
    fs::write(
        site.path("names.cf"),
        "fallback=spare.invalid\nvirtual=vip.invalid:80\n\treal=one.invalid:80 masq\n\treal=127.0.0.1:no-such-service masq\n",
    )
    .unwrap();
    let done = validate(&site, "names.cf");
    assert_eq!(done.code, 2);
    for name in ["spare.invalid", "vip.invalid", "one.invalid", "no-such-service"] {
        assert!(done.err.contains(&format!("`{name}`")), "{name}: {}", done.err);
    }
    // Like ldirectord, a daemon does not start with them.
    let started = site.run(&[site.path("names.cf").to_str().unwrap(), "start"]);
    assert_eq!(started.code, 2);
}

#[test]
fn ranges_of_millions_of_servers() {
    let site = Site::new();
    let mut text = String::from("virtual=192.0.2.1:80\n\treal=10.0.0.0->10.255.255.255 masq\n");
    for net in 0..256 {
        writeln!(text, "\treal=11.{net}.0.0->11.{net}.255.255 masq").unwrap();
    }
    fs::write(site.path("ranges.cf"), text).unwrap();
    let done = validate(&site, "ranges.cf");
    assert_eq!(done.code, 2);
    assert!(done.err.contains("error[E0309]") && done.err.contains("error[E0313]"), "{}", done.err);
}

#[test]
fn a_broken_new_configuration_leaves_the_running_one_in_force() {
    let site = Site::with("autoreload=yes\ncheckinterval=1\ninclude=part.cf\n");
    fs::write(
        site.path("part.cf"),
        "virtual=192.0.2.1:80\n\treal=192.0.2.11:80 masq\n\tchecktype=off\n",
    )
    .unwrap();
    site.start();
    let kept =
        format!("{} is not followed, the configuration in force stays", site.config().display());
    fs::write(site.path("part.cf"), "include=part.cf\n").unwrap();
    site.wait_for_line(&kept, 1);
    fs::remove_file(site.path("part.cf")).unwrap();
    site.wait_for_line(&kept, 2);
    fs::write(site.path("part.cf"), "# nothing\n").unwrap();
    site.wait_for_line("Purged virtual server (start): 192.0.2.1:80", 1);
    assert_eq!(site.ldirectord("status").code, 0);
    assert_eq!(site.ldirectord("stop").code, 0);
}

#[test]
fn a_credentials_file_that_others_can_read_is_refused() {
    let site = Site::new();
    let secrets = site.path("secrets");
    fs::write(&secrets, "[web]\npasswd = hunter2\n").unwrap();
    fs::write(
        site.path("web.cf"),
        "credentials=secrets\nvirtual=192.0.2.1:80\n\tcredentials=web\n\treal=192.0.2.11:80 masq\n",
    )
    .unwrap();
    for (mode, code) in [(0o600, 0), (0o400, 0), (0o640, 2), (0o604, 2)] {
        fs::set_permissions(&secrets, fs::Permissions::from_mode(mode)).unwrap();
        let done = validate(&site, "web.cf");
        assert_eq!((done.code, done.err.contains("chmod 600")), (code, code == 2), "{mode:o}");
        assert!(!done.all().contains("hunter2"));
    }
}

#[test]
fn tls_files_that_cannot_be_used_are_errors_at_their_line() {
    let site = Site::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["director.example".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    fs::write(site.path("own.pem"), certificate.pem()).unwrap();
    fs::write(site.path("own.key"), key.serialize_pem()).unwrap();
    fs::write(site.path("other.key"), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    fs::write(site.path("garbage"), "garbage").unwrap();
    let said = |lines: &str| {
        let text = format!("virtual=192.0.2.1:443\n\treal=192.0.2.11:443 masq\n{lines}");
        fs::write(site.path("tls.cf"), text).unwrap();
        let done = validate(&site, "tls.cf");
        (done.code, done.err)
    };
    let (code, err) =
        said("\ttlsverify=yes\n\tcafile=own.pem\n\tclientcert=own.pem\n\tclientkey=own.key\n");
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("warning[W0404]") && err.contains("tls.cf:6"), "{err}");
    fs::set_permissions(site.path("own.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let (code, err) =
        said("\ttlsverify=yes\n\tcafile=own.pem\n\tclientcert=own.pem\n\tclientkey=own.key\n");
    assert!(code == 0 && !err.contains("W0404"), "{err}");
    for (lines, line) in [
        ("\ttlsverify=yes\n\tcafile=nothing.pem\n", 4),
        ("\ttlsverify=yes\n\tcafile=garbage\n", 4),
        ("\tclientcert=own.pem\n", 3),
        ("\tclientcert=own.pem\n\tclientkey=other.key\n", 4),
        ("\ttlsname=no name\n", 3),
    ] {
        let (code, err) = said(lines);
        assert!(code == 2 && err.contains("error[E0405]"), "{lines}: {err}");
        assert!(err.contains(&format!("tls.cf:{line}:")), "{lines}: {err}");
    }
}
