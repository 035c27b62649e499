//! The kernel's sync daemons, as `ipvsadm -L --daemon` tells of them.

use std::{fs, path::Path, process::Command};

use ldirectord::{
    ipvs::{Job, Reconciler, SyncTarget, Target, netlink::Netlink},
    model::{SyncDaemon, SyncRole},
};
use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    conformance,
    support::lab::{Namespace, trial, wait_for},
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("sync_daemons_answer_as_the_script_says", |namespace| {
            add_interfaces(namespace);
            assert_eq!(conformance::run_sync(&mut Netlink::default()), Ok(()));
        }),
        trial("sync_daemons_are_reconciled", reconciled),
        trial("sync_daemons_follow_the_file", follow_the_file),
    ]
}

fn add_interfaces(namespace: &Namespace) {
    for (name, address) in [("dummy0", "10.81.0.1/24"), ("dummy1", "10.82.0.1/24")] {
        namespace.ip(&["link", "add", name, "type", "dummy"]);
        namespace.ip(&["address", "add", address, "dev", name]);
        namespace.ip(&["link", "set", name, "up"]);
    }
}

/// What `ipvsadm` says of one that has everything else from the kernel.
fn line(role: SyncRole, interface: &str, id: u8) -> String {
    format!(
        "{role} sync daemon (mcast={interface}, syncid={id}, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)\n"
    )
}

fn reconciled(namespace: &Namespace) {
    add_interfaces(namespace);
    let running = || namespace.ipvsadm(&["-L", "--daemon"]);
    let foreign = line(SyncRole::Backup, "dummy1", 9);
    let start = ["--start-daemon", "backup", "--mcast-interface", "dummy1", "--syncid", "9"];
    namespace.ipvsadm(&start);
    let mut reconciler = Reconciler::new(Box::new(Netlink::default()));
    let target = |role, interface| Target {
        sync: SyncTarget {
            daemons: [(role, SyncDaemon::new(interface, 5))].into(),
            owned: [role].into(),
        },
        ..Target::default()
    };
    let (master, backup) = (SyncRole::Master, SyncRole::Backup);
    let ours = line(master, "dummy0", 5) + &foreign;
    let mut run = |job| reconciler.run(&job).sync;

    assert_eq!(run(Job::Everything(target(master, "dummy0"))).done.len(), 1);
    assert_eq!(running(), ours);
    assert_eq!(run(Job::Everything(target(master, "dummy0"))).done, [], "it is left running");
    namespace.ipvsadm(&["--stop-daemon", "master"]);
    assert_eq!(run(Job::Look(target(master, "dummy0"))).missing, [master]);
    assert_eq!(running(), foreign);
    assert_eq!(run(Job::Drift(target(master, "dummy0"))).done.len(), 1);
    assert_eq!(running(), ours);

    let failed = run(Job::Everything(target(master, "nonesuch0")));
    let error = failed.done[0].1.as_ref().unwrap_err();
    assert_eq!(
        error.message,
        "cannot start the master sync daemon: there is no interface nonesuch0 (ENODEV)"
    );
    assert_eq!(running(), ours, "it is not lost to one that cannot be started");
    assert_eq!(run(Job::Everything(target(backup, "dummy0"))).done.len(), 2);
    assert_eq!(running(), line(master, "dummy0", 5) + &line(backup, "dummy0", 5));
    let end = Job::Delete { services: vec![], sync: vec![backup] };
    assert_eq!(run(end).done.len(), 1);
    assert_eq!(running(), line(master, "dummy0", 5), "what is not asked for stays");
}

fn follow_the_file(namespace: &Namespace) {
    add_interfaces(namespace);
    let folder = tempfile::tempdir().unwrap();
    let running = || namespace.ipvsadm(&["-L", "--daemon"]);
    let write = |text: &str| {
        let log = folder.path().join("log");
        let text = format!("logfile = \"{}\"\n{text}", log.display());
        fs::write(folder.path().join("sync.cf"), text).unwrap();
    };
    let runs = |expected: &str| {
        wait_for("the sync daemons", || match running() {
            running if running == expected => Ok(()),
            running => Err(running),
        });
    };
    let both = |id| line(SyncRole::Master, "dummy0", id) + &line(SyncRole::Backup, "dummy0", id);

    write("syncdaemon = both dummy0\nsyncid = 5\n");
    call(namespace, folder.path(), "start");
    assert_eq!(running(), both(5), "a start returns when they run");
    write("syncdaemon = both dummy0\nsyncid = 6\n");
    call(namespace, folder.path(), "reload");
    runs(&both(6));

    // The next daemon takes them over, and they never stop.
    kill(pid(folder.path()), Signal::SIGUSR2).unwrap();
    wait_for("the end of the daemon", || match namespace.processes() {
        processes if processes.is_empty() => Ok(()),
        processes => Err(format!("{processes:?}")),
    });
    assert_eq!(running(), both(6));
    call(namespace, folder.path(), "start");
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert_eq!(log.matches("Started master sync daemon: dummy0, syncid 6").count(), 1, "{log}");

    write(
        "syncdaemon = master dummy1\nsyncport = 8850\nsyncttl = 2\nsyncmaxlen = 1400\nsyncgroup = 239.255.0.81\n",
    );
    call(namespace, folder.path(), "reload");
    runs(
        "master sync daemon (mcast=dummy1, syncid=0, maxlen=1400, group=239.255.0.81, port=8850, ttl=2)\n",
    );
    call(namespace, folder.path(), "stop");
    assert_eq!(running(), "");
}

fn call(namespace: &Namespace, folder: &Path, command: &str) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_ldirectord"));
    program.arg(folder.join("sync.cf")).arg(command).env("LDIRECTORD_RUN_DIR", folder);
    let output = namespace.output(&mut program);
    assert!(output.status.success(), "{command}: {output:?}");
}

fn pid(folder: &Path) -> Pid {
    let text = fs::read_to_string(folder.join("ldirectord.sync.cf.pid")).unwrap();
    Pid::from_raw(text.trim().parse().unwrap())
}
