//! A daemon is followed by another, and the kernel's table does not notice.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::lab::{Namespace, trial, wait_for};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("restart_leaves_the_table_as_it_is", leaves_the_table)]
}

fn leaves_the_table(namespace: &Namespace) {
    let folder = tempfile::tempdir().unwrap();
    let server = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let text = format!(
        "logfile = \"{}\"\ncheckinterval = 1\ncleanstop = yes\nvirtual = 192.0.2.1:80\n\
         \treal = 127.0.0.2:{port} masq 3\n\treal = 127.0.0.3:{port} masq 4\n\tchecktype = connect\n\
         \tprotocol = tcp\n",
        folder.path().join("log").display()
    );
    fs::write(folder.path().join("web.cf"), text).unwrap();
    call(namespace, folder.path(), "start");
    let serving = format!("-a -t 192.0.2.1:80 -r 127.0.0.2:{port} -m -w 3");
    wait_for("the server that answers, and no other", || {
        let table = namespace.table();
        let is_right = table.contains(&serving) && !table.contains("127.0.0.3");
        if is_right { Ok(()) } else { Err(table) }
    });
    // Set by hand, it stays until the next start.
    namespace.ipvsadm(&[
        "-e",
        "-t",
        "192.0.2.1:80",
        "-r",
        &format!("127.0.0.2:{port}"),
        "-m",
        "-w",
        "9",
    ]);
    let before = namespace.table();
    let pid = pid(folder.path());
    kill(pid, Signal::SIGUSR2).unwrap();
    wait_for("the end of the daemon", || {
        let processes = namespace.processes();
        if processes.contains(&pid) { Err(format!("{processes:?}")) } else { Ok(()) }
    });
    assert_eq!(namespace.table(), before, "nobody directs");
    assert!(!folder.path().join("ldirectord.web.cf.pid").exists());
    call(namespace, folder.path(), "start");
    let after = namespace.table();
    assert!(after.contains(&serving), "a start sets what the file says: {after}");
    assert!(!after.contains("127.0.0.3"), "what is down stays down: {after}");
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    let added = format!("Added real server: 127.0.0.2:{port} ");
    assert_eq!(log.matches(&added).count(), 1, "the second daemon takes it over: {log}");
    assert!(!log.contains("Purged"), "{log}");
    call(namespace, folder.path(), "stop");
    assert_eq!(namespace.table(), "");
}

fn call(namespace: &Namespace, folder: &Path, command: &str) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_ldirectord"));
    program.arg(folder.join("web.cf")).arg(command).env("LDIRECTORD_RUN_DIR", folder);
    let output = namespace.output(program.stdin(Stdio::null()));
    assert!(output.status.success(), "{command}: {output:?}");
}

fn pid(folder: &Path) -> Pid {
    let text = fs::read_to_string(folder.join("ldirectord.web.cf.pid")).unwrap();
    Pid::from_raw(text.trim().parse().unwrap())
}
