//! csync2 brings the configuration of one director to the other, which follows it.

use std::{fs, net::TcpStream, path::Path};

use libtest_mimic::Trial;
use nix::mount::{MsFlags, mount};

use crate::{
    machines::{Machine, add_switch, snippet},
    support::lab::{Namespace, trial, wait_for},
};

const SECTION: &str = "The same configuration on both, with csync2";

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("csync2_brings_the_configuration_to_the_other_director", follow_each_other)]
}

/// Where csync2 has what only the directors know.
const SECRETS: [&str; 3] =
    ["/etc/csync2.key", "/etc/csync2_ssl_key.pem", "/etc/csync2_ssl_cert.pem"];

/// A director with csync2.
fn director(name: &'static str, address: &str) -> Machine {
    let machine = Machine::new(name, address);
    machine.on(|| {
        let none: Option<&Path> = None;
        mount(Some("tmpfs"), "/var/lib/csync2", Some("tmpfs"), MsFlags::empty(), none).unwrap();
        // Each is covered by a file of the machine's own.
        for path in SECRETS {
            fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        }
    });
    machine.write("/etc/hosts", "127.0.0.1 localhost\n192.0.2.1 one\n192.0.2.2 two\n", 0o644);
    machine.write("/etc/csync2.cfg", &snippet(SECTION, 3), 0o600);
    machine.write("/etc/ha.d/synchronise", &snippet(SECTION, 1), 0o755);
    machine
}

/// Gives both the secrets, and has csync2 listen.
fn introduce(one: &Machine, two: &Machine) {
    // In a folder, because csync2 makes no key where there is a file.
    let commands = snippet(SECTION, 2).replace("/etc/", "/run/");
    one.command("/bin/sh", &["-c", &commands]);
    for path in SECRETS {
        let made = one.on(move || fs::read_to_string(path.replace("/etc/", "/run/"))).unwrap();
        for director in [one, two] {
            director.write(path, &made, 0o600);
        }
    }
    for director in [one, two] {
        director.spawn("/usr/sbin/csync2", &["-ii", "-v"], "/run/csync2.log");
        let port = ("127.0.0.1", 30865);
        wait_for("csync2, listening", || director.on(move || TcpStream::connect(port)));
    }
}

fn follow_each_other(_: &Namespace) {
    add_switch();
    let one = director("one", "192.0.2.1/24");
    let two = director("two", "192.0.2.2/24");
    introduce(&one, &two);
    let callback = snippet(SECTION, 0);
    let config = |server: &str| {
        format!(
            "checkinterval = 1\nautoreload = yes\n{callback}virtual = 192.0.2.100:80\n\
             \treal = {server}:80 gate\n\tchecktype = on\n"
        )
    };
    let both_say = |what: &str| {
        for director in [&one, &two] {
            wait_for(what, || match director.log() {
                log if log.contains(what) => Ok(()),
                log => Err(format!("{}: {log}{}", director.name, director.read("/run/csync2.log"))),
            });
        }
    };
    let both_have = |server: &str| {
        for director in [&one, &two] {
            let expected = format!(
                "-A -t 192.0.2.100:80 -s wrr\n-a -t 192.0.2.100:80 -r {server}:80 -g -w 1\n"
            );
            assert_eq!(director.table(), expected, "{}", director.name);
        }
    };
    let both_follow = |server: &str| {
        both_say(&format!("Added real server: {server}:80 "));
        both_have(server);
    };

    one.configure(&config("192.0.2.11"));
    one.command("/usr/sbin/csync2", &["-xv"]);
    for director in [&one, &two] {
        director.start();
    }
    both_follow("192.0.2.11");

    one.configure(&config("192.0.2.12"));
    both_follow("192.0.2.12");
    two.configure(&config("192.0.2.13"));
    both_follow("192.0.2.13");
    one.configure(&config("192.0.2.300"));
    both_say(" is not followed");
    both_have("192.0.2.13");
    one.configure(&config("192.0.2.14"));
    both_follow("192.0.2.14");

    // Programs of callback run one after the other: by now the earlier ones have ended, and made no further change.
    for director in [&one, &two] {
        let log = director.log();
        assert_eq!(log.matches(" has changed on disk").count(), 4, "{}: {log}", director.name);
    }
}
