//! Whole commands that start nothing: exit code, standard output, standard error.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(dead_code, reason = "the daemon's tests use the rest of the site")]

#[path = "support/site.rs"]
mod site;

use std::{fs, io::Read as _, os::fd::OwnedFd};

use insta::assert_snapshot;
use nix::{
    fcntl::OFlag,
    pty::{grantpt, posix_openpt, ptsname_r, unlockpt},
};
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
    Usage: ldirectord [-d|--debug] [--foreground] [--table kernel|memory] [--] [CONFIG] COMMAND
           ldirectord validate [--strict] [--json] [FILE]
           ldirectord explain [CODE|DIRECTIVE|SERVICE ...]
           ldirectord list [OPTIONS] [SERVICE|SERVER ...]
           ldirectord show SERVICE|SERVER ...
           ldirectord table [--percent] [CONFIG]
           ldirectord alert test [CONFIG]
           ldirectord -h|-?|--help | -v|--version

    Commands:
      start         Start the daemon for CONFIG
      stop          Stop it, and wait until it has gone
      restart       Stop it if it runs, then start it
      try-restart   Restart it if it runs
      reload        Have it read CONFIG again
      force-reload  The same as reload
      reexec        Replace it by a new one, and interrupt nothing
      status        Say whether it runs
      validate      Say what is wrong or doubtful in a file
      explain       Say what a code, a directive or a service means
      list          List virtual services and servers, and how each is
      show          Explain how a server is, and why
      table         Compare the kernel's table with CONFIG
      alert test    Try the mails and webhooks that CONFIG asks for

    Options:
      -d, --debug           Stay in the foreground and log in detail to standard error
          --foreground      Stay in the foreground, and be the daemon in all else
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

    Usage: ldirectord [-d|--debug] [--foreground] [--table kernel|memory] [--] [CONFIG] COMMAND
           ldirectord validate [--strict] [--json] [FILE]
           ldirectord explain [CODE|DIRECTIVE|SERVICE ...]
           ldirectord list [OPTIONS] [SERVICE|SERVER ...]
           ldirectord show SERVICE|SERVER ...
           ldirectord table [--percent] [CONFIG]
           ldirectord alert test [CONFIG]
           ldirectord -h|-?|--help | -v|--version

    Commands:
      start         Start the daemon for CONFIG; returns when it directs
      stop          Stop it, and wait until it has gone, at most 10 seconds
      restart       Stop it if it runs, then start it
      try-restart   Restart it if it runs
      reload        Have it read CONFIG again; what is wrong with the file is printed
      force-reload  The same as reload
      reexec        Replace the daemon by a new one, of this program and CONFIG, that takes the
                    kernel's table over: for an upgrade, and interrupts nothing
      status        Say whether it runs: exit 0 it does, 3 it does not, 1 its pid file is stale
      validate      Say what is wrong or doubtful in a file: exit 0 it can be used, 2 it cannot;
                    ldirectord validate --help says more
      explain       Say what a code of validate, a directive or a service means; without a word
                    everything is listed
      list          List virtual services and servers as ipvsadm -Ln does, and how each is;
                    ldirectord list --help says more
      show          Explain how a server is: since when and why, what it was asked, what would change it
      table         Say of each virtual service of CONFIG whether it is in the kernel's table, and who
                    serves: exit 0 all are there, 1 one is not
      alert test    Try the mails and webhooks that CONFIG asks for, and say what came of it

    CONFIG is looked for as /etc/ha.d/CONFIG, /etc/ha.d/conf/CONFIG and CONFIG, and is
    ldirectord.cf when it is not given.

    Options:
      -d, --debug           Stay in the foreground and log in detail to standard error; no pid file
          --foreground      Stay in the foreground, with the pid file and the log of a daemon; under
                            systemd with Type=notify
          --table WHERE     kernel (the default), or memory: direct a table in memory, to try a
                            file on a machine without IPVS
      -h, -?, --help        Print this
      -v, --version         Print the version

    Exit codes: 0 done, 1 failed, 2 the configuration has an error, 3 not running, 255 usage.

    Files:
      /etc/ha.d/ldirectord.cf           the configuration
      /var/run/ldirectord.CONFIG.pid    the pid file
      /var/log/ldirectord.log           the log, unless the configuration says otherwise

    Signals: HUP reloads; TERM, INT and QUIT end the daemon; USR2 ends it and leaves the kernel's
    table as it is for the next one.
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
    for (command, code) in [
        ("status", 3),
        ("stop", 0),
        ("try-restart", 0),
        ("reload", 1),
        ("reexec", 1),
        ("force-reload", 1),
    ] {
        assert_eq!(site.ldirectord(command).code, code, "{command}");
    }
    fs::write(site.pid_file(), "rubbish").unwrap();
    for (command, code) in [
        ("status", 1),
        ("try-restart", 0),
        ("reload", 1),
        ("reexec", 1),
        ("force-reload", 1),
        ("stop", 0),
    ] {
        assert!(site.pid_file().exists(), "{command}");
        assert_eq!(site.ldirectord(command).code, code, "{command}");
    }
    assert!(!site.pid_file().exists());
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
    for command in ["start", "stop", "restart", "try-restart", "reload", "reexec", "force-reload"] {
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
    let strict = call(&site, &["validate", "--strict", "web.cf"]);
    assert_eq!(strict, call(&site, &["validate", "web.cf"]));
    assert_snapshot!(call(&site, &["validate"]), @"
    exit 1
    -- out
    -- err
    Config file ldirectord.cf not found
    ");
    // A configuration may be called like a subcommand.
    assert_eq!(site.run(&["validate", "status"]).err, "Config file validate not found\n");
    assert_eq!(site.run(&["validate", "web.cf", "more"]).code, 255);
}

#[test]
fn a_program_of_perl_needs_perl_and_need_not_be_executable() {
    let site = Site::new();
    let file = site.path("check.pl");
    let check = |file: &str| {
        let text = "virtual=192.0.2.1:80\n\treal=192.0.2.10:80 gate\n\tchecktype=external-perl\n";
        site.configure(&format!("{text}\tcheckcommand={file}\n"));
    };
    check(file.to_str().unwrap());
    let done = site.run(&["validate", "web.cf"]);
    assert!(
        done.err.contains("check.pl cannot be read: No such file or directory"),
        "{}",
        done.err
    );
    fs::write(&file, "exit 0").unwrap();
    let done = site.run(&["validate", "web.cf"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let done = site.program().env("PATH", site.path("")).args(["validate", "web.cf"]).output();
    let done = done.unwrap();
    assert_eq!(done.status.code(), Some(2));
    let told = String::from_utf8(done.stderr).unwrap();
    assert!(told.contains("error[E0402]: checktype=external-perl needs perl"), "{told}");
}

/// A file with a warning, and with one for what ldirectord refuses; it can be used.
const DOUBTFUL: &str = "quiescent=yes # always\nvirtual=192.0.2.1:80\n\treal=192.0.2.10:80 masq\n\tfailurecount=3 times\n";

#[test]
fn validate_lets_doubtful_files_pass_unless_it_is_strict() {
    let site =
        Site::with("failurecount=3 times\nvirtual=192.0.2.1:80\n\treal=192.0.2.10:80 masq\n");
    assert_snapshot!(call(&site, &["validate", "web.cf"]), @"
    exit 0
    -- out
    DIR/web.cf: 1 virtual service, 1 real server, 1 check
    -- err
    warning[W0103]: only `3` is read of this value
     --> DIR/web.cf:2:14
      |
    2 | failurecount=3 times
      |              ^^^^^^^
      |
      = hint: write the number alone

    DIR/web.cf: 1 warning
    ");
    let strict = site.run(&["validate", "--strict", "web.cf"]);
    assert_eq!((strict.code, strict.all()), (1, site.run(&["validate", "web.cf"]).all()));
    site.configure(DOUBTFUL);
    assert_snapshot!(call(&site, &["validate", "web.cf"]), @"
    exit 0
    -- out
    DIR/web.cf: 1 virtual service, 1 real server, 1 check
    -- err
    warning[W0101]: ldirectord refuses `quiescent` for the comment behind it
     --> DIR/web.cf:2:11
      |
    2 | quiescent=yes # always
      |           ^^^^^^^^^^^^
      |
      = note: ldirectord refuses the file for this

    warning[W0103]: only `3` is read of this value
     --> DIR/web.cf:5:15
      |
    5 |     failurecount=3 times
      |                  ^^^^^^^
      |
      = hint: write the number alone

    DIR/web.cf: 2 warnings
    ");
    assert_snapshot!(call(&site, &["validate", "--strict", "web.cf"]), @"
    exit 2
    -- out
    -- err
    error[W0101]: ldirectord refuses `quiescent` for the comment behind it
     --> DIR/web.cf:2:11
      |
    2 | quiescent=yes # always
      |           ^^^^^^^^^^^^
      |
      = note: ldirectord refuses the file for this

    warning[W0103]: only `3` is read of this value
     --> DIR/web.cf:5:15
      |
    5 |     failurecount=3 times
      |                  ^^^^^^^
      |
      = hint: write the number alone

    DIR/web.cf: 1 error, 1 warning
    ");
}

#[test]
fn only_who_is_strict_is_told_of_extensions() {
    let site = Site::with("include=more/*.cf\n");
    let told = "web.cf: 0 virtual services, 0 real servers, 0 checks\n";
    let done = site.run(&["validate", "web.cf"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    assert!(done.out.ends_with(told), "{}", done.out);
    assert_snapshot!(call(&site, &["validate", "--strict", "web.cf"]), @"
    exit 2
    -- out
    -- err
    error[A0105]: ldirectord does not know `include`
     --> DIR/web.cf:2:1
      |
    2 | include=more/*.cf
      | ^^^^^^^
      |
      = note: ldirectord refuses the file for this

    DIR/web.cf: 1 error
    ");
}

#[test]
fn validate_shows_every_fault_of_every_file() {
    let site = Site::with("include=services/*.cf\nquiescent=perhaps\nfailurecount=3 times\n");
    fs::create_dir(site.path("services")).unwrap();
    fs::write(
        site.path("services/shop.cf"),
        "virtual=192.0.2.1:80\n\treal=192.0.2.10:80 somehow\n\tpasswd hunter2\n",
    )
    .unwrap();
    fs::write(
        site.path("services/web.cf"),
        "virtual=192.0.2.1:80\n\treal=192.0.2.10:80 masq\nvirtual=192.0.2.1:80\n\treal=192.0.2.10:80 masq\n",
    )
    .unwrap();
    assert_snapshot!(call(&site, &["validate", "web.cf"]), @r#"
    exit 2
    -- out
    -- err
    error[E0201]: `quiescent` is `yes` or `no`, not `perhaps`
     --> DIR/web.cf:3:11
      |
    3 | quiescent=perhaps
      |           ^^^^^^^

    warning[W0103]: only `3` is read of this value
     --> DIR/web.cf:4:14
      |
    4 | failurecount=3 times
      |              ^^^^^^^
      |
      = hint: write the number alone

    error[E0306]: `somehow` is no forwarding method
     --> DIR/services/shop.cf:2:21
      |
    2 |     real=192.0.2.10:80 somehow
      |                        ^^^^^^^
      |
      = hint: write gate, masq or ipip after the address

    error[E0103]: `passwd` has no `=`
     --> DIR/services/shop.cf:3:2
      |
    3 |     passwd *******
      |     ^^^^^^^^^^^^^^
      |
      = hint: for example: passwd="a password"

    error[E0311]: the virtual service tcp 192.0.2.1:80 is described twice
     --> DIR/services/web.cf:1:9
      |
    1 | virtual=192.0.2.1:80
      |         ^^^^^^^^^^^^
      |
      = note: the first description is at DIR/services/shop.cf:1

    error[E0311]: the virtual service tcp 192.0.2.1:80 is described twice
     --> DIR/services/web.cf:3:9
      |
    3 | virtual=192.0.2.1:80
      |         ^^^^^^^^^^^^
      |
      = note: the first description is at DIR/services/shop.cf:1

    DIR/web.cf: 5 errors, 1 warning
    "#);
}

/// What `validate` shows on a terminal.
fn on_a_terminal(site: &Site, no_color: &str) -> String {
    let terminal = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname_r(&terminal).unwrap();
    let screen = fs::File::options().read(true).write(true).open(name).unwrap();
    let mut program = site.program();
    program.args(["validate", "web.cf"]).env("TERM", "xterm").env("NO_COLOR", no_color);
    assert_eq!(program.stderr(screen).status().unwrap().code(), Some(2));
    // The last writer of the screen goes with the command.
    drop(program);
    let mut shown = Vec::new();
    let mut terminal = fs::File::from(OwnedFd::from(terminal));
    // A screen that nobody writes to any more ends with an error.
    assert!(terminal.read_to_end(&mut shown).is_err());
    String::from_utf8(shown).unwrap()
}

#[test]
fn faults_are_in_color_for_a_person_who_wants_that() {
    let site = Site::with("quiescent=perhaps\n");
    let colored = on_a_terminal(&site, "");
    assert!(colored.contains("\u{1b}[1m\u{1b}[91merror[E0201]"), "{colored:?}");
    let plain = on_a_terminal(&site, "1");
    assert!(plain.contains("error[E0201]: `quiescent`") && !plain.contains('\u{1b}'), "{plain:?}");
    let file = site.program().args(["validate", "web.cf"]).env("TERM", "xterm").output().unwrap();
    assert!(!file.stderr.contains(&0x1b), "nor in a file");
}

#[test]
fn validate_reads_standard_input() {
    let site = Site::with("");
    let from = |text: &str, words: &[&str]| {
        fs::write(site.path("input"), text).unwrap();
        let input = fs::File::open(site.path("input")).unwrap();
        let done = site.program().args(words).stdin(input).output().unwrap();
        let text = [done.stdout, done.stderr].concat();
        (done.status.code(), String::from_utf8(text).unwrap())
    };
    let text = "virtual=192.0.2.1:80\n\treal=192.0.2.10:80 masq\n";
    let told = "<standard input>: 1 virtual service, 1 real server, 1 check\n".to_owned();
    assert_eq!(from(text, &["validate", "-"]), (Some(0), told));
    let (code, drawing) = from("fork=1\n", &["validate", "-"]);
    assert_eq!(code, Some(2));
    assert!(drawing.contains("--> <standard input>:1:6"), "{drawing}");
    // What it includes is looked for here.
    assert_eq!(from("include=web.cf\n", &["validate", "-"]).0, Some(0));
}

#[test]
fn a_file_that_cannot_be_read_has_no_faults_to_show() {
    let site = Site::new();
    fs::create_dir_all(site.path("etc")).unwrap();
    std::os::unix::fs::symlink("/proc/self/mem", site.path("etc/web.cf")).unwrap();
    assert_snapshot!(call(&site, &["validate", "web.cf"]), @"
    exit 2
    -- out
    -- err
    cannot read DIR/etc/web.cf: Input/output error (os error 5)
    ");
    assert_snapshot!(call(&site, &["validate", "--json", "web.cf"]), @r#"
    exit 2
    -- out
    {
      "schema": 1,
      "file": "DIR/etc/web.cf",
      "failure": "cannot read DIR/etc/web.cf: Input/output error (os error 5)",
      "strict": false,
      "valid": false,
      "errors": 0,
      "warnings": 0,
      "advice": 0,
      "contents": null,
      "diagnostics": []
    }
    -- err
    "#);
    assert_snapshot!(call(&site, &["validate", "--json", "other.cf"]), @r#"
    exit 1
    -- out
    {
      "schema": 1,
      "file": "other.cf",
      "failure": "Config file other.cf not found",
      "strict": false,
      "valid": false,
      "errors": 0,
      "warnings": 0,
      "advice": 0,
      "contents": null,
      "diagnostics": []
    }
    -- err
    "#);
}

#[test]
fn json_has_everything_that_is_shown_and_no_secret() {
    let site = Site::with(
        "failurecount=3 times\nquiescent=yes # always\nvirtual=192.0.2.1:80\n\tpasswd=hunter2\nvirtual=192.0.2.1:80\n\tpasswd=\"hunter2\" hunter3\n",
    );
    let done = site.run(&["validate", "--json", "web.cf"]);
    assert_eq!((done.code, done.err.as_str()), (2, ""));
    assert!(!done.out.contains("hunter"), "{}", done.out);
    let found: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    let text = serde_json::to_string_pretty(&found).unwrap();
    assert_snapshot!(without_folder(&site, &text), @r#"
    {
      "advice": 0,
      "contents": null,
      "diagnostics": [
        {
          "code": "W0103",
          "column": 14,
          "elsewhere": null,
          "end_column": 21,
          "file": "DIR/web.cf",
          "hints": [
            "write the number alone"
          ],
          "ldirectord": "silent",
          "ldirectord_says": null,
          "line": 2,
          "message": "only `3` is read of this value",
          "severity": "warning",
          "text": "failurecount=3 times"
        },
        {
          "code": "W0101",
          "column": 11,
          "elsewhere": null,
          "end_column": 23,
          "file": "DIR/web.cf",
          "hints": [],
          "ldirectord": "refuses",
          "ldirectord_says": null,
          "line": 3,
          "message": "ldirectord refuses `quiescent` for the comment behind it",
          "severity": "warning",
          "text": "quiescent=yes # always"
        },
        {
          "code": "E0205",
          "column": 9,
          "elsewhere": null,
          "end_column": 16,
          "file": "DIR/web.cf",
          "hints": [
            "write passwd=\"...\""
          ],
          "ldirectord": "says",
          "ldirectord_says": "Unknown command \"\tpasswd=******* \"",
          "line": 5,
          "message": "the value of `passwd` must be in double quotes",
          "severity": "error",
          "text": "\tpasswd=*******"
        },
        {
          "code": "E0311",
          "column": 9,
          "elsewhere": {
            "file": "DIR/web.cf",
            "line": 4,
            "message": "the first description",
            "text": "virtual=192.0.2.1:80"
          },
          "end_column": 21,
          "file": "DIR/web.cf",
          "hints": [],
          "ldirectord": "says",
          "ldirectord_says": "duplicate virtual server",
          "line": 6,
          "message": "the virtual service tcp 192.0.2.1:80 is described twice",
          "severity": "error",
          "text": "virtual=192.0.2.1:80"
        },
        {
          "code": "W0103",
          "column": 18,
          "elsewhere": null,
          "end_column": 26,
          "file": "DIR/web.cf",
          "hints": [],
          "ldirectord": "silent",
          "ldirectord_says": null,
          "line": 7,
          "message": "what follows the closing quote is ignored",
          "severity": "warning",
          "text": "\tpasswd=\"*******\" *******"
        }
      ],
      "errors": 2,
      "failure": null,
      "file": "DIR/web.cf",
      "schema": 1,
      "strict": false,
      "valid": false,
      "warnings": 3
    }
    "#);
    // Every member is described where people look for it.
    let manual = fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/man/ldirectord.cf.5"),
    )
    .unwrap();
    let mut names = Vec::new();
    members(&found, &mut names);
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let described = [".B ", ".BR "].iter().any(|font| {
            let line = format!("\n{font}{name}");
            manual.contains(&format!("{line}\n")) || manual.contains(&format!("{line} ,\n"))
        });
        assert!(described, "{name} is not in ldirectord.cf(5)");
    }
    let strict = site.run(&["validate", "--json", "--strict", "web.cf"]);
    let strict: serde_json::Value = serde_json::from_str(&strict.out).unwrap();
    assert_eq!((&strict["strict"], &strict["errors"]), (&true.into(), &3.into()));
    assert_eq!(strict["diagnostics"][1]["severity"], "error");
    assert_eq!(strict["diagnostics"][1]["ldirectord"], "refuses");
}

/// The names of all members of all objects.
fn members(value: &serde_json::Value, names: &mut Vec<String>) {
    match value {
        serde_json::Value::Array(values) => values.iter().for_each(|value| members(value, names)),
        serde_json::Value::Object(object) => {
            for (name, value) in object {
                names.push(name.clone());
                members(value, names);
            }
        }
        _ => {}
    }
}

#[test]
fn json_of_a_clean_file() {
    let site = Site::with("virtual=192.0.2.1:80\n\treal=192.0.2.10->192.0.2.12:80 gate\n");
    assert_snapshot!(call(&site, &["validate", "--json", "web.cf"]), @r#"
    exit 0
    -- out
    {
      "schema": 1,
      "file": "DIR/web.cf",
      "failure": null,
      "strict": false,
      "valid": true,
      "errors": 0,
      "warnings": 0,
      "advice": 0,
      "contents": {
        "virtual_services": 1,
        "real_servers": 3,
        "checks": 3
      },
      "diagnostics": []
    }
    -- err
    "#);
}

#[test]
fn explain_knows_codes_directives_and_services() {
    let site = Site::new();
    assert_snapshot!(call(&site, &["explain", "e0302", "quiescent"]), @"
    exit 0
    -- out
    E0302, error: the file cannot be used

        The address has no port. ldirectord reads the number before its first dot as
        a firewall mark, 192 of 192.0.2.1, so that the service exists and never gets
        a packet. Nobody means that, so it is refused here.

          virtual = 192.0.2.1:80

    quiescent = yes | no

        What becomes of a server that is out of service: yes leaves it in the kernel
        with weight 0, so that its connections can end in peace; no takes it out of
        the kernel, which breaks them.

        Where           in the first column for all services, or in one of them
        Default         no
        Inheritance     what the virtual service says, else the global line, else
                        the default
        Given twice     the last one counts
        Perl program    the same, though its manual says that the default is yes
        Its complaint   quiescent must be 'yes' or 'no'
        Example         quiescent = yes
    -- err
    ");
    let http = site.run(&["explain", "http"]).out;
    assert!(http.starts_with("service = http\n"), "{http}");
    assert!(http.contains("    Asked over TCP, port 80 unless another is given\n"), "{http}");
    assert!(http.contains("\n      receive           What the answer must contain"), "{http}");
    assert_snapshot!(call(&site, &["explain", "E0206", "recieve", "mail", "E9999"]), @"
    exit 1
    -- out
    E0206, error: the file cannot be used

        The value must not be empty. Where nothing is meant, leave the line out: the
        default then holds.
    -- err
    `recieve` is no code, directive or service
    hint: did you mean receive?
    `mail` is no code, directive or service
    hint: did you mean emailalert, emailalertfrom, emailalertfreq, emailalertstatus, emaildigest?
    `E9999` is no code, directive or service
    hint: `ldirectord explain` lists everything
    ");
    // What this program was not built with is explained, too.
    let oracle = site.run(&["explain", "oracle"]).out;
    let is_left_out = oracle.contains("This program was built without it (E0401)");
    assert!(oracle.contains("Logs in to the instance"), "{oracle}");
    assert_eq!(is_left_out, !cfg!(feature = "oracle"), "{oracle}");
    let all = site.run(&["explain"]);
    assert_eq!((all.code, all.err.as_str()), (0, ""));
    for line in ["  checktimeout      When", "+ include           Other", "  http  ", "  W0101  "] {
        assert!(all.out.contains(line), "{line}:\n{}", all.out);
    }
    assert!(site.run(&["explain", "--help"]).out.contains("Usage: ldirectord explain"));
    assert!(site.run(&["validate", "-h"]).out.contains("Exit codes:"));
    assert_eq!(fs::read_dir(site.path("")).unwrap().count(), 0, "nothing is read or written");
}
