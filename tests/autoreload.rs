//! `autoreload` and the daemon as a process: a configuration that is written in the ways in which files are.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(dead_code, reason = "the module of other tests has more than these need")]

#[path = "support/site.rs"]
mod site;

use std::{fs, io::Write as _, os::unix::fs::symlink, path::Path, thread, time::Duration};

use site::{Site, signal, wait_for_end};

/// A site that follows its file, which has two servers that need no check.
fn site() -> (Site, String) {
    let site = Site::new();
    let log = site.path("log");
    let config = format!(
        "logfile=\"{}\"\nautoreload=yes\ncheckinterval=1\n{}{}",
        log.display(),
        service(1),
        service(2)
    );
    (site, config)
}

fn service(number: u8) -> String {
    format!("virtual=192.0.2.{number}:80\n\treal=127.0.0.1:{number} masq\n\tchecktype=on\n")
}

fn added(number: u8) -> String {
    format!("Added virtual server: 192.0.2.{number}:80")
}

fn purged(number: u8) -> String {
    format!("Purged virtual server (start): 192.0.2.{number}:80")
}

/// Nothing was followed or told that should not have been.
fn is_calm(site: &Site) {
    let log = site.log();
    for bad in ["is not followed", "Error [", "can not open file", &purged(1)] {
        assert!(!log.contains(bad), "{bad}: {log}");
    }
}

#[test]
fn a_file_that_is_being_written_is_followed_when_it_is_whole() {
    let (site, config) = site();
    fs::write(site.config(), &config).unwrap();
    site.start();
    site.wait_for_line(&added(2), 1);
    // Three seconds of pieces, some of which end with a line and leave services out, and some within one.
    let next = format!("{config}{}", service(3));
    let mut file = fs::File::create(site.config()).unwrap();
    for piece in next.as_bytes().chunks(next.len().div_ceil(15)) {
        file.write_all(piece).unwrap();
        file.flush().unwrap();
        // Not to wait for something, but to be slow.
        thread::sleep(Duration::from_millis(200));
    }
    site.wait_for_line(&added(3), 1);
    is_calm(&site);
    let log = site.log();
    assert_eq!(log.matches("has changed on disk").count(), 1, "{log}");
}

#[test]
fn a_file_that_goes_and_comes_back_is_followed_again() {
    let (site, config) = site();
    fs::write(site.config(), &config).unwrap();
    let pid = site.start();
    // An editor that keeps the old file under another name: for a moment there is none.
    fs::rename(site.config(), site.path("web.cf~")).unwrap();
    fs::write(site.config(), format!("{config}{}", service(3))).unwrap();
    site.wait_for_line(&added(3), 1);
    is_calm(&site);
    // One that has gone, for as long as it takes to be told.
    let path = site.config().display().to_string();
    fs::remove_file(site.config()).unwrap();
    site.wait_for_line(&format!("Warning [{pid}]: can not open file {path} for checking"), 1);
    fs::write(site.config(), format!("{config}{}", service(4))).unwrap();
    site.wait_for_line(&added(4), 1);
    site.wait_for_line(&purged(3), 1);
    // A full disk leaves nothing of it.
    fs::write(site.config(), "").unwrap();
    let told = "is empty and not followed; if that is meant, reload";
    site.wait_for_line(&format!("Configuration file '{path}' {told}"), 1);
    assert!(!site.log().contains(&purged(1)));
    // With a fault it is told once, and the next whole one is followed.
    fs::write(site.config(), format!("{config}rubbish\n")).unwrap();
    let kept = format!("{path} is not followed, the configuration in force stays");
    site.wait_for_line(&kept, 1);
    fs::write(site.config(), format!("{config}{}", service(5))).unwrap();
    site.wait_for_line(&added(5), 1);
    assert_eq!(site.log().matches(&kept).count(), 1);
    // A file without services is one.
    let (log, _) = config.split_once('\n').unwrap();
    fs::write(site.config(), format!("{log}\n")).unwrap();
    site.wait_for_line(&purged(1), 1);
    signal(pid, "TERM");
    wait_for_end(pid);
}

#[test]
fn a_folder_that_is_switched_is_followed() {
    let (site, config) = site();
    for (version, number) in [("v1", 3), ("v2", 4)] {
        let folder = site.path(version);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("web.cf"), format!("{config}include=more.cf\n")).unwrap();
        fs::write(folder.join("more.cf"), service(number)).unwrap();
    }
    let switch = |version: &str| {
        symlink(version, site.path("new")).unwrap();
        fs::rename(site.path("new"), site.path("current")).unwrap();
    };
    switch("v1");
    let file = site.path("current").join("web.cf");
    let run = |file: &Path| site.run(&["--table=memory", file.to_str().unwrap(), "start"]).code;
    assert_eq!(run(&file), 0);
    site.wait_for_line(&added(3), 1);
    // All that differs is what the file includes.
    switch("v2");
    site.wait_for_line(&added(4), 1);
    site.wait_for_line(&purged(3), 1);
    is_calm(&site);
}
