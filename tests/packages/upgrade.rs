//! The package on a machine that systemd runs, with a director at work: on a real IPVS kernel, in the lab.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking, also in their helpers; this is the main function of a test program"
)]

mod made;
mod root;
#[path = "../support/mod.rs"]
mod support;

use std::{
    net::{TcpListener, TcpStream},
    process::ExitCode,
};

use root::Root;
use support::lab::{self, Namespace, trial, wait_for};

fn main() -> ExitCode {
    made::make(&["deb"]);
    lab::run(vec![trial("upgrades_interrupt_no_service", interrupt_no_service)])
}

const SERVICE: &str = "192.0.2.1:80";

/// How many connections the kernel has counted for the virtual service, every two seconds; it begins anew with a service
/// that was deleted and added.
fn connections(namespace: &Namespace) -> Option<u32> {
    let table = namespace.ipvsadm(&["-Ln", "--stats"]);
    let line = table.lines().find(|line| line.contains(SERVICE))?;
    line.split_whitespace().nth(2)?.parse().ok()
}

/// Makes a connection, and waits until the kernel says that it was the last of so many.
fn connect(namespace: &Namespace, count: u32) {
    TcpStream::connect(SERVICE).unwrap();
    wait_for("the kernel to count it", || match connections(namespace) {
        Some(counted) if counted == count => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// The pid of a unit's main process, which is up.
#[track_caller]
fn main_process(root: &Root<'_>, unit: &str) -> String {
    let state = root.sh(&format!("systemctl show --property=ActiveState,MainPID {unit}"));
    assert!(state.contains("ActiveState=active\n"), "{state}");
    state.lines().find_map(|line| line.strip_prefix("MainPID=")).unwrap().to_owned()
}

fn interrupt_no_service(namespace: &Namespace) {
    namespace.ip(&["address", "add", "192.0.2.1/32", "dev", "lo"]);
    let server = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let mut root = Root::new(namespace);
    root.write(
        "/etc/ha.d/ldirectord.cf",
        &format!(
            "checkinterval = 1\nvirtual = {SERVICE}\n\treal = 127.0.0.2:{port} masq\n\
             \tprotocol = tcp\n\tchecktype = connect\n"
        ),
    );
    // dpkg reads of every package that it knows at every start, which takes long on this kernel: it may know those that
    // this one needs.
    let known = "ldirectord|adduser|init-system-helpers|libc6|libgcc-s1|libssl3.*|libzstd1|zlib1g";
    let status = "/var/lib/dpkg/status";
    root.sh(&format!(
        "awk 'BEGIN {{ RS = \"\"; ORS = \"\\n\\n\" }} $2 ~ /^({known})$/' {status} >/tmp/status && mv /tmp/status {status}"
    ));
    let package = root.bring(&made::package("deb"));
    let install = format!("dpkg --install {package}");
    // The unit of the Perl program, as an administrator may have kept it.
    root.sh("cp /lib/systemd/system/ldirectord.service /etc/systemd/system/old.service");
    root.boot();
    // It needs this folder.
    root.sh("mkdir -p /var/lock/subsys");
    root.sh("systemctl start ldirectord");
    wait_for("the Perl program to direct", || {
        let table = namespace.table();
        if table.contains("-r 127.0.0.2:") { Ok(()) } else { Err(table) }
    });
    connect(namespace, 1);

    // As the README has it: the Perl program ends without a word to the kernel.
    root.sh("systemctl kill --kill-who=main --signal=USR2 ldirectord");
    root.sh(&install);
    let first = main_process(&root, "ldirectord");
    assert!(root.sh("ldirectord status 2>&1").contains(&first));
    assert_eq!(connections(namespace), Some(1), "the package came");
    // A director of another configuration beside it.
    root.write("/etc/ha.d/shop.cf", "checkinterval = 3600\n");
    root.sh("systemctl start ldirectord@shop");
    let shop = main_process(&root, "ldirectord@shop");

    // For dpkg an upgrade like any other.
    root.sh(&install);
    let second = main_process(&root, "ldirectord");
    assert_ne!(second, first);
    assert_ne!(main_process(&root, "ldirectord@shop"), shop);
    assert_eq!(connections(namespace), Some(1), "an upgrade");
    root.sh("systemctl reload ldirectord");
    root.sh("systemctl restart ldirectord");
    assert_ne!(main_process(&root, "ldirectord"), second);
    assert_eq!(connections(namespace), Some(1), "a restart");
    connect(namespace, 2);

    root.sh("systemctl stop ldirectord");
    assert_eq!(connections(namespace), None);
    drives_by_the_old_unit(&root, namespace);
    root.sh("systemctl start ldirectord");
    assert_eq!(connections(namespace), Some(0));
    root.sh("dpkg --remove ldirectord-rs");
    assert_eq!(connections(namespace), None, "the package has gone");
}

/// The unit of Debian's package, of `Type=forking`, with this program.
fn drives_by_the_old_unit(root: &Root<'_>, namespace: &Namespace) {
    root.sh("systemctl start old");
    let process = main_process(root, "old");
    assert_eq!(root.sh("cat /run/ldirectord.ldirectord.pid").trim(), process);
    assert_eq!(connections(namespace), Some(0));
    root.sh("systemctl reload old");
    root.sh("systemctl restart old");
    assert_ne!(main_process(root, "old"), process);
    assert_eq!(connections(namespace), Some(0));
    root.sh("systemctl stop old");
    assert_eq!(connections(namespace), None);
    let state = root.sh("systemctl show --property=ActiveState,Result old");
    assert_eq!(state, "Result=success\nActiveState=inactive\n");
}
