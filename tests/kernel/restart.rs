//! A daemon is followed by another, and the kernel's table does not notice.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Output, Stdio},
};

use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::lab::{Namespace, trial, wait_for};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("restart_leaves_the_table_as_it_is", leaves_the_table),
        trial("reexec_keeps_connections_and_verdicts", reexec_keeps_all),
        trial("reexec_refuses_what_others_keep", reexec_refuses),
    ]
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

fn reexec_keeps_all(namespace: &Namespace) {
    let folder = tempfile::tempdir().unwrap();
    namespace.ip(&["address", "add", "192.0.2.1/32", "dev", "lo"]);
    let server = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let config = folder.path().join("web.cf");
    let text = format!(
        "logfile = \"{}\"\ncheckinterval = 1\nquiescent = yes\nvirtual = 192.0.2.1:80\n\
         \treal = 127.0.0.2:{port} masq 3\n\treal = 127.0.0.3:{port} masq 4\n\tchecktype = connect\n\
         \tprotocol = tcp\n",
        folder.path().join("log").display()
    );
    fs::write(&config, &text).unwrap();
    call(namespace, folder.path(), "start");
    let table = format!(
        "-A -t 192.0.2.1:80 -s wrr\n-a -t 192.0.2.1:80 -r 127.0.0.2:{port} -m -w 3\n\
         -a -t 192.0.2.1:80 -r 127.0.0.3:{port} -m -w 0\n"
    );
    wait_for("a server up and one down", || match namespace.table() {
        found if found == table => Ok(()),
        found => Err(found),
    });
    let checks = server.try_clone().unwrap();
    let (mut client, mut served) = connection(&checks);
    let first = pid(folder.path());

    // A file with a fault, and the daemon goes on.
    fs::write(&config, format!("{text}nonsense = 1\n")).unwrap();
    let refused = output(namespace, folder.path(), &[], "reexec");
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert_eq!(pid(folder.path()), first);
    assert!(namespace.processes().contains(&first));

    fs::write(&config, &text).unwrap();
    // Whenever it is looked at, the table is the same.
    let mut reexec = program(folder.path(), &[], "reexec").spawn().unwrap();
    let status = loop {
        assert_eq!(namespace.table(), table);
        if let Some(status) = reexec.try_wait().unwrap() {
            break status;
        }
    };
    assert!(status.success(), "{status}");
    assert_ne!(pid(folder.path()), first);
    assert!(!namespace.processes().contains(&first));
    client.write_all(b"still there").unwrap();
    let mut heard = [0; 11];
    served.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"still there");
    // It directs: the server that was down comes up.
    let _late = TcpListener::bind(("127.0.0.3", port)).unwrap();
    wait_for("the other server", || match namespace.table() {
        found if found.contains(&format!("-r 127.0.0.3:{port} -m -w 4")) => Ok(()),
        found => Err(found),
    });
    call(namespace, folder.path(), "stop");
    assert_eq!(namespace.table(), "");
    let stopped = output(namespace, folder.path(), &[], "reexec");
    assert_eq!(stopped.status.code(), Some(1), "{stopped:?}");
    assert_eq!(namespace.table(), "");
}

/// A connection to the virtual service, and the real server's end of it; checks leave theirs at once.
fn connection(server: &TcpListener) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect("192.0.2.1:80").unwrap();
    client.write_all(b"hello").unwrap();
    loop {
        let (mut served, _) = server.accept().unwrap();
        let mut heard = [0; 5];
        if served.read_exact(&mut heard).is_ok() {
            return (client, served);
        }
    }
}

fn reexec_refuses(namespace: &Namespace) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let text = format!(
        "logfile = \"{}\"\nvirtual = 192.0.2.1:80\n\treal = 127.0.0.2:80 masq\n\tchecktype = on\n\tprotocol = tcp\n",
        log.display()
    );
    fs::write(folder.path().join("web.cf"), text).unwrap();
    let daemon = namespace.spawn(&mut program(folder.path(), &["--foreground"], "start"));
    wait_for("the table", || match namespace.table() {
        table if table.contains("127.0.0.2") => Ok(()),
        table => Err(table),
    });
    let refused = output(namespace, folder.path(), &[], "reexec");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("waits for its end\nhint: "), "{said}");
    assert_eq!(pid(folder.path()), daemon);
    assert!(namespace.table().contains("127.0.0.2"));
}

fn program(folder: &Path, options: &[&str], command: &str) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_ldirectord"));
    program.args(options).arg(folder.join("web.cf")).arg(command).env("LDIRECTORD_RUN_DIR", folder);
    program.stdin(Stdio::null());
    program
}

fn output(namespace: &Namespace, folder: &Path, options: &[&str], command: &str) -> Output {
    namespace.output(&mut program(folder, options, command))
}

fn call(namespace: &Namespace, folder: &Path, command: &str) {
    let output = output(namespace, folder, &[], command);
    assert!(output.status.success(), "{command}: {output:?}");
}

fn pid(folder: &Path) -> Pid {
    let text = fs::read_to_string(folder.join("ldirectord.web.cf.pid")).unwrap();
    Pid::from_raw(text.trim().parse().unwrap())
}
