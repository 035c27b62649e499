//! What the kernel's table has to do with it: a stop leaves nothing there, and `ldirectord table` looks into it.

use std::fs;

use libtest_mimic::Trial;

use crate::{
    Agent,
    agent::{GOOD, Play},
    namespaces::{self, LDIRECTORD, Program, put},
    support::lab::wait_for,
};

const SERVICE: &str = "-A -t 192.0.2.1:80";

pub(crate) fn trials() -> Vec<Trial> {
    let plays = [
        Play { agent: Agent::Stock, program: Program::Ours, name: "kernel-stock-ours" },
        Play { agent: Agent::Stock, program: Program::Reference, name: "kernel-stock-perl" },
        Play { agent: Agent::Ours, program: Program::Ours, name: "kernel-ours" },
    ];
    let trial = |play: Play| {
        let name = format!("{:?} agent drives {:?}: a stop after a kill", play.agent, play.program);
        Trial::test(name, move || play.inside(stops_a_killed_one).map_err(Into::into))
    };
    let compares = Play { agent: Agent::Ours, program: Program::Ours, name: "compares" };
    let compares = Trial::test("the table is compared with the file", move || {
        compares.inside(compares_the_table).map_err(Into::into)
    });
    plays.into_iter().map(trial).chain([compares]).collect()
}

/// The Perl program leaves the service in the kernel, ours does not.
fn stops_a_killed_one(play: &Play) {
    play.configure(GOOD);
    play.start();
    wait_for("the service", || if table().contains(SERVICE) { Ok(()) } else { Err(table()) });
    play.kill();
    assert!(table().contains(SERVICE), "a killed daemon leaves it: {}", table());
    play.expect("killed", &[("stop", [0, 0])]);
    let is_left = play.program == Program::Reference;
    assert_eq!(
        (table().contains(SERVICE), play.pid_file().exists()),
        (is_left, is_left),
        "{play:?}"
    );

    play.configure(&format!("cleanstop = no\n{GOOD}"));
    play.start();
    wait_for("the service", || if table().contains(SERVICE) { Ok(()) } else { Err(table()) });
    play.kill();
    play.expect("killed", &[("stop", [0, 0])]);
    assert!(table().contains(SERVICE), "the file asks for it to be left: {}", table());
}

fn compares_the_table(play: &Play) {
    let service = |port: u16, check: &str, more: &str| {
        format!(
            "virtual = 192.0.2.1:{port}\n\treal = 127.0.0.2:80 masq\n\tchecktype = {check}\n{more}"
        )
    };
    let text = [
        "checkinterval = 1\nautoreload = no\ndrift = off\n".to_owned(),
        service(80, "on", ""),
        service(81, "off", "\tfallback = 127.0.0.1:80\n"),
        service(82, "off", ""),
    ];
    play.configure(&text.concat());
    play.start();
    let serves =
        "tcp 192.0.2.1:80: 1 of 1 real servers serve\ntcp 192.0.2.1:81: the fallback serves\n";
    let all = format!(
        "{serves}tcp 192.0.2.1:82: nobody serves\n1 of 3 services have a server that works: 33 %\n"
    );
    assert_eq!(compared(play, &[]), (0, all));
    assert_eq!(compared(play, &["--percent"]), (0, "33\n".to_owned()));

    let ended = namespaces::run("ipvsadm", &["-D", "-t", "192.0.2.1:82"].map(str::to_owned), &[]);
    assert_eq!(ended.unwrap().code, Some(0));
    let lacking = format!(
        "{serves}tcp 192.0.2.1:82: not in the kernel\n1 of 3 services have a server that works: 33 %\n"
    );
    assert_eq!(compared(play, &[]), (1, lacking.clone()));

    // Nobody has told the daemon of a fourth yet, so it is not to be blamed.
    play.configure(&[&text.concat()[..], &service(83, "on", "")].concat());
    let (code, said) = compared(play, &["--percent"]);
    let expected = format!(
        "25\n{config} was changed after the daemon read it\nhint: ldirectord {config} reload\n",
        config = play.config()
    );
    assert_eq!((code, said), (0, expected));
    play.expect("running", &[("reload", [3, 0])]);
    wait_for("the fourth service", || match compared(play, &["--percent"]) {
        (0, said) if said == "50\n" => Ok(()),
        other => Err(format!("{other:?}")),
    });

    put(play.config().as_ref(), "nonsense\n", 0o644).unwrap();
    assert_eq!(compared(play, &[]).0, 2);
    fs::remove_file(play.config()).unwrap();
    assert_eq!(compared(play, &[]), (1, format!("Config file {} not found\n", play.config())));
    play.expect("running, without a file", &[("monitor", [5, 0]), ("stop", [5, 0])]);
    assert_eq!(table(), "");
}

/// The exit code, and all that was said.
fn compared(play: &Play, words: &[&str]) -> (i32, String) {
    let mut all = vec!["table".to_owned()];
    all.extend(words.iter().map(|&word| word.to_owned()));
    all.push(play.config());
    let ended = namespaces::run(LDIRECTORD, &all, &[]).unwrap();
    (ended.code.unwrap(), ended.output)
}

fn table() -> String {
    namespaces::run("ipvsadm", &["-Sn".to_owned()], &[]).unwrap().output
}
