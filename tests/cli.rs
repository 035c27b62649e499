//! Whole commands that start nothing: exit code, standard output, standard error.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(dead_code, reason = "the daemon's tests use the rest of the site")]

#[path = "support/site.rs"]
mod site;

use std::fs;

use insta::assert_snapshot;
use site::Site;

/// What came of these words, with the folder's name taken out.
fn call(site: &Site, words: &[&str]) -> String {
    let done = site.run(words);
    let pid = done.err.split(['[', ']']).nth(1).and_then(|pid| pid.parse::<u32>().ok());
    let text = format!("exit {}\n-- out\n{}-- err\n{}", done.code, done.out, done.err);
    let text = without_folder(site, &text);
    pid.map_or(text.clone(), |pid| text.replace(&format!("[{pid}]"), "[PID]"))
}

fn default_log(site: &Site) -> String {
    without_folder(site, &site::messages(&site.path("default.log")))
}

fn without_folder(site: &Site, text: &str) -> String {
    text.replace(site.path("").to_str().unwrap().trim_end_matches('/'), "DIR")
}

#[test]
fn usage_is_printed_for_words_that_make_no_sense() {
    let site = Site::new();
    assert_snapshot!(call(&site, &[]), @"
    exit 255
    -- out
    Usage: ldirectord [-d|--debug] [--table kernel|memory] [--] [CONFIG] COMMAND
           ldirectord validate [FILE]
           ldirectord -h|-?|--help | -v|--version

    Commands:
      start         Start the daemon for CONFIG
      stop          Stop it, and wait until it has gone
      restart       Stop it if it runs, then start it
      try-restart   Restart it if it runs
      reload        Have it read CONFIG again
      force-reload  The same as reload
      status        Say whether it runs
      validate      Say what is wrong or doubtful in a file

    Options:
      -d, --debug           Stay in the foreground and log in detail to standard error
          --table WHERE     Direct the kernel's table, or one in memory to try a file
      -h, -?, --help        Print this with more detail
      -v, --version         Print the version
    -- err
    ");
    let usage = call(&site, &[]);
    for words in
        [&["web.cf"][..], &["web.cf", "-d", "status"], &["web.cf", "begin"], &["--"], &["-d"]]
    {
        assert_eq!(call(&site, words), usage, "{words:?}");
    }
    for (words, complaint) in [
        (&["--deb", "start"][..], "Unknown option: deb\n"),
        (&["-dx", "start"], "Unknown option: x\n"),
        (&["-xv"], "Unknown option: x\n"),
        (&["--no", "--such"], "Unknown option: no\nUnknown option: such\n"),
    ] {
        assert_eq!(call(&site, words), format!("{usage}{complaint}"), "{words:?}");
    }
    assert!(!site.path("default.log").exists(), "and nothing is logged");
}

#[test]
fn version_is_what_tools_match() {
    let site = Site::new();
    assert_snapshot!(call(&site, &["-v"]).replace(env!("CARGO_PKG_VERSION"), "VERSION"), @"
    exit 0
    -- out
    Linux Director v1.186-ha
    ldirectord VERSION, a drop-in replacement, written in Rust

    Licence: MIT
    -- err
    ");
    for words in [&["--version"][..], &["-dv"], &["-v", "nonsense"]] {
        assert_eq!(call(&site, words), call(&site, &["-v"]), "{words:?}");
    }
}

#[test]
fn help_wins_over_version() {
    let site = Site::new();
    assert_snapshot!(call(&site, &["-h"]), @"
    exit 0
    -- out
    ldirectord directs Linux Virtual Server: it programs the kernel's IPVS table from a
    configuration file and checks the real servers behind each virtual service.

    Usage: ldirectord [-d|--debug] [--table kernel|memory] [--] [CONFIG] COMMAND
           ldirectord validate [FILE]
           ldirectord -h|-?|--help | -v|--version

    Commands:
      start         Start the daemon for CONFIG; returns when it directs
      stop          Stop it, and wait until it has gone, at most 10 seconds
      restart       Stop it if it runs, then start it
      try-restart   Restart it if it runs
      reload        Have it read CONFIG again; what is wrong with the file is printed
      force-reload  The same as reload
      status        Say whether it runs: exit 0 it does, 3 it does not, 1 its pid file is stale
      validate      Say what is wrong or doubtful in a file: exit 0 it can be used, 2 it cannot

    CONFIG is looked for as /etc/ha.d/CONFIG, /etc/ha.d/conf/CONFIG and CONFIG, and is
    ldirectord.cf when it is not given.

    Options:
      -d, --debug           Stay in the foreground and log in detail to standard error
          --table WHERE     kernel (the default), or memory: direct a table in memory, to try a
                            file on a machine without IPVS
      -h, -?, --help        Print this
      -v, --version         Print the version

    Exit codes: 0 done, 1 failed, 2 the configuration has an error, 3 not running, 255 usage.

    Files:
      /etc/ha.d/ldirectord.cf           the configuration
      /var/run/ldirectord.CONFIG.pid    the pid file
      /var/log/ldirectord.log           the log, unless the configuration says otherwise

    Signals: HUP reloads; TERM, INT and QUIT end the daemon.
    -- err
    ");
    for words in [&["--help"][..], &["-?"], &["-vh"], &["--version", "-h", "start"]] {
        assert_eq!(call(&site, words), call(&site, &["-h"]), "{words:?}");
    }
}

#[test]
fn a_configuration_that_is_not_there() {
    let site = Site::new();
    assert_snapshot!(call(&site, &["web.cf", "status"]), @"
    exit 1
    -- out
    -- err
    Config file web.cf not found
    ");
    assert_snapshot!(call(&site, &["stop"]), @"
    exit 1
    -- out
    -- err
    Config file ldirectord.cf not found
    ");
    assert_snapshot!(call(&site, &["/etc/", "start"]), @"
    exit 1
    -- out
    -- err
    Config file /etc/ not found
    ");
    assert_snapshot!(default_log(&site), @"
    Config file web.cf not found
    Exiting with exit_status 1: Initialisation Error
    Config file ldirectord.cf not found
    Exiting with exit_status 1: Initialisation Error
    Config file /etc/ not found
    Exiting with exit_status 1: Initialisation Error
    ");
}

#[test]
fn the_default_configuration_is_another_instance_than_the_same_file_named() {
    let site = Site::new();
    fs::create_dir_all(site.path("etc/conf")).unwrap();
    fs::write(site.path("etc/conf/ldirectord.cf"), "").unwrap();
    fs::write(site.path("ldirectord.ldirectord.pid"), "rubbish\n").unwrap();
    assert_snapshot!(call(&site, &["status"]), @"
    exit 1
    -- out
    ldirectord is stopped for DIR/etc/conf/ldirectord.cf
    -- err
    ldirectord stale pid file DIR/ldirectord.ldirectord.pid for DIR/etc/conf/ldirectord.cf
    ");
    assert_snapshot!(call(&site, &["ldirectord.cf", "status"]), @"
    exit 3
    -- out
    ldirectord is stopped for DIR/etc/conf/ldirectord.cf
    -- err
    ");
    assert_snapshot!(default_log(&site).replace(env!("CARGO_BIN_EXE_ldirectord"), "PROGRAM"), @"
    Invoking ldirectord invoked as: PROGRAM status 
    ldirectord stale pid file DIR/ldirectord.ldirectord.pid for DIR/etc/conf/ldirectord.cf
    ldirectord is stopped for DIR/etc/conf/ldirectord.cf
    Exiting with exit_status 1: Exiting from ldirectord status
    Invoking ldirectord invoked as: PROGRAM ldirectord.cf status 
    ldirectord is stopped for DIR/etc/conf/ldirectord.cf
    Exiting with exit_status 3: Exiting from ldirectord status
    ");
}

#[test]
fn every_command_on_a_stopped_daemon() {
    let site = Site::with("");
    for (command, code) in
        [("status", 3), ("stop", 0), ("try-restart", 0), ("reload", 1), ("force-reload", 1)]
    {
        assert_eq!(site.ldirectord(command).code, code, "{command}");
    }
    fs::write(site.pid_file(), "rubbish").unwrap();
    for (command, code) in
        [("status", 1), ("stop", 0), ("try-restart", 0), ("reload", 1), ("force-reload", 1)]
    {
        assert_eq!(site.ldirectord(command).code, code, "{command}");
    }
    assert!(site.pid_file().exists());
    let log = site.log();
    assert!(
        log.contains("Exiting with exit_status 1: Exiting from ldirectord force-reload"),
        "{log}"
    );
}

#[test]
fn every_command_refuses_a_broken_file() {
    let site = Site::with("quiescent = perhaps\n");
    assert_snapshot!(call(&site, &["web.cf", "status"]), @"
    exit 2
    -- out
    -- err
    Error [PID] reading file DIR/web.cf at line 2: quiescent must be 'yes' or 'no'
    error[E0201]: `quiescent` is `yes` or `no`, not `perhaps`
     --> DIR/web.cf:2:13
      |
    2 | quiescent = perhaps
      |             ^^^^^^^
    ");
    for command in ["start", "stop", "restart", "try-restart", "reload", "force-reload"] {
        assert_eq!(
            call(&site, &["web.cf", command]),
            call(&site, &["web.cf", "status"]),
            "{command}"
        );
    }
    fs::remove_file(site.config()).unwrap();
    fs::create_dir_all(site.path("etc")).unwrap();
    std::os::unix::fs::symlink("/proc/self/mem", site.path("etc/web.cf")).unwrap();
    assert_snapshot!(call(&site, &["web.cf", "status"]), @"
    exit 2
    -- out
    -- err
    Error [PID]: can not open file DIR/etc/web.cf
    hint: Input/output error (os error 5)
    ");
}

#[test]
fn validate_says_what_a_file_is_worth() {
    let site = Site::with("virtual=192.0.2.1:80\n\treal=192.0.2.10->192.0.2.12:80 gate\n");
    assert_snapshot!(call(&site, &["validate", "web.cf"]), @"
    exit 0
    -- out
    DIR/web.cf: 1 virtual service, 3 real servers, 3 checks
    -- err
    ");
    assert_snapshot!(call(&site, &["validate"]), @"
    exit 1
    -- out
    -- err
    Config file ldirectord.cf not found
    ");
    site.configure("virtual=192.0.2.1:80\n\treal=192.0.2.10:80 somehow\n");
    let broken = site.run(&["validate", "web.cf"]);
    assert_eq!((broken.code, broken.out.as_str()), (2, ""));
    assert!(broken.err.contains("somehow"), "{}", broken.err);
    // A configuration may be called like a subcommand.
    assert_eq!(site.run(&["validate", "status"]).err, "Config file validate not found\n");
    assert_eq!(site.run(&["validate", "web.cf", "more"]).code, 255);
}
