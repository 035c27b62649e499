//! What an agent says of a real server, from its socket to the kernel's table.

use std::{
    fs::{self, File},
    io::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use libtest_mimic::Trial;
use nix::unistd::Pid;

use crate::support::lab::{Namespace, trial, wait_for};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("agent_weighs_drains_and_takes_out", obeys)]
}

fn obeys(namespace: &Namespace) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let say = |line: &str| {
        fs::write(path("next"), line).unwrap();
        fs::rename(path("next"), path("line")).unwrap();
    };
    let server = TcpListener::bind("127.0.0.2:0").unwrap();
    let (port, agent_port) = (server.local_addr().unwrap().port(), agent(path("line")));
    let text = format!(
        "checktimeout=60\nvirtual=192.0.2.1:80\n\treal=127.0.0.2:{port} masq 40\n\tfallback=127.0.0.1:81 masq\n\
         \tchecktype=connect\n\tprotocol=tcp\n\tagentport={agent_port}\n\tagentinterval=100ms\n"
    );
    fs::write(path("agent.cf"), text).unwrap();
    let start = |log: &str| start(namespace, folder.path(), log);

    say("up 50%\n");
    let first = start("first");
    let at = |weight: u32| {
        let line = format!("-r 127.0.0.2:{port} -m -w {weight}");
        wait_for(&line, || match namespace.table() {
            table if table.contains(&line) => Ok(table),
            table => Err(table),
        })
    };
    at(20);
    say("1%\n");
    at(1);
    say("100%\n");
    at(40);
    say("maint\n");
    wait_for("an end of it", || match namespace.table() {
        table if table.contains("127.0.0.2") => Err(table),
        _ => Ok::<_, String>(()),
    });
    say("drain weight:7\n");
    assert!(at(0).contains("-r 127.0.0.1:81 "), "the fallback serves");

    // It is drained while the director starts anew, and its agent does not answer yet.
    namespace.kill(first);
    fs::remove_file(path("line")).unwrap();
    start("second");
    wait_for("a check", || match fs::read_to_string(path("second")).unwrap() {
        log if log.contains("Check passed, server is up") => Ok(()),
        log => Err(log),
    });
    assert!(namespace.table().contains(&format!("-r 127.0.0.2:{port} -m -w 0")));
    say("ready\n");
    at(40);
}

/// An agent that says what this file says, and does not answer while there is none. Its port.
fn agent(file: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let file = file.clone();
            let line = wait_for("something to say", move || fs::read(&file));
            // A director that was killed does not listen.
            stream.unwrap().write_all(&line).unwrap_or_default();
        }
    });
    port
}

/// Starts a director whose log is this file of the folder.
fn start(namespace: &Namespace, folder: &Path, log: &str) -> Pid {
    let log = File::create(folder.join(log)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ldirectord"));
    command.arg("-d").arg(folder.join("agent.cf")).arg("start");
    command.env("LDIRECTORD_RUN_DIR", folder).stdin(Stdio::null());
    namespace.spawn(command.stdout(Stdio::null()).stderr(log))
}
