//! `ldirectord list` beside `ipvsadm -Ln`: the same table, and what a daemon knows of it.

use std::{collections::BTreeSet, fs, net::TcpListener, process::Command};

use libtest_mimic::Trial;

use crate::support::lab::{Namespace, trial, wait_for};

/// Something of everything.
const TABLE: &str = "\
-A -t 192.0.2.1:80 -s wrr -p 600 -M 255.255.255.0
-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 3 -x 10 -y 5
-a -t 192.0.2.1:80 -r 10.0.0.2:80 -g -w 2147483647
-A -t [2001:db8::1]:80 -s mh -b mh-fallback,mh-port -p 300 -M 64
-a -t [2001:db8::1]:80 -r [2001:db8::7]:80 -i -w 1
-A -t 192.0.2.1:81 -s sh -b sh-fallback
-A -u 192.0.2.1:5060 -s rr -o -p 60 --pe sip
-a -u 192.0.2.1:5060 -r 10.0.0.9:5060 -i -w 0 --tun-type gue --tun-port 6080 --tun-nocsum
-A -f 7 -s rr -b flag-1,flag-3
-a -f 7 -r 10.0.0.3:0 -g -w 1
-A -f 8 -6 -s rr
";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("listing_is_what_ipvsadm_shows", is_what_ipvsadm_shows),
        trial("listing_says_how_each_server_is", says_how_each_server_is),
    ]
}

fn list(namespace: &Namespace, arguments: &[&str]) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_ldirectord"));
    let nowhere = std::env::temp_dir().join("no-daemon-here");
    program.arg("list").args(arguments).env("LDIRECTORD_RUN_DIR", nowhere);
    let output = namespace.output(&mut program);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The head, and each service with its servers; blanks at line ends are nothing.
fn blocks(table: &str) -> (Vec<&str>, BTreeSet<String>) {
    let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
    let (head, rest) = lines.split_at(3);
    let mut services: Vec<Vec<&str>> = Vec::new();
    for line in rest {
        match services.last_mut() {
            Some(service) if line.starts_with(' ') => service.push(line),
            _ => services.push(vec![line]),
        }
    }
    (
        head.to_vec(),
        services
            .into_iter()
            .map(|mut service| {
                service[1..].sort_unstable();
                service.join("\n")
            })
            .collect(),
    )
}

fn is_what_ipvsadm_shows(namespace: &Namespace) {
    namespace.restore(TABLE);
    for view in [&[][..], &["--stats"], &["--rate"], &["--thresholds"], &["--stats", "--exact"]] {
        let theirs = namespace.ipvsadm(&[&["-L", "-n"], view].concat());
        let ours = list(namespace, view);
        assert_eq!(blocks(&ours), blocks(&theirs), "{view:?}");
    }
}

fn says_how_each_server_is(namespace: &Namespace) {
    let folder = tempfile::tempdir().unwrap();
    let up = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = up.local_addr().unwrap().port();
    let text = format!(
        "logfile = \"{}\"\ncheckinterval = 1\nquiescent = yes\nvirtual = 192.0.2.1:80\n\tservicename = shop\n\
         \treal = 127.0.0.2:{port} masq 3\n\treal = 127.0.0.3:{port} masq 4\n\tchecktype = connect\n\
         \tprotocol = tcp\n",
        folder.path().join("log").display()
    );
    fs::write(folder.path().join("web.cf"), text).unwrap();
    namespace.restore("-A -t 192.0.2.9:80 -s rr\n-a -t 192.0.2.9:80 -r 10.0.0.1:80 -m -w 1\n");
    let call = |words: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_ldirectord"));
        let output = namespace.output(program.args(words).env("LDIRECTORD_RUN_DIR", folder.path()));
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let config = folder.path().join("web.cf");
    call(&[config.to_str().unwrap(), "start"]);
    let expected = format!(
        "TCP  192.0.2.1:80 wrr  shop  1 of 2 serve\n\
         \x20 -> {:<28} Masq    3      0          0          up\n\
         \x20 -> {:<28} Masq    0      0          0          down\n",
        format!("127.0.0.2:{port}"),
        format!("127.0.0.3:{port}"),
    );
    wait_for("the servers in the listing", || {
        let table = call(&["list"]);
        let is_there = table.contains(&expected) && table.contains(": connection refused");
        if is_there { Ok(()) } else { Err(table) }
    });
    let foreign =
        "TCP  192.0.2.9:80 rr\n  -> 10.0.0.1:80                  Masq    1      0          0\n";
    assert!(call(&["list"]).ends_with(foreign), "what is not ours is shown as ipvsadm does");
    let shown = call(&["show", "127.0.0.3"]);
    assert!(shown.contains("  In the kernel masq, weight 0, 4 in the file\n"), "{shown}");
    assert!(shown.contains("  Connections   0 active, 0 inactive\n"), "{shown}");
    call(&[config.to_str().unwrap(), "stop"]);
}
