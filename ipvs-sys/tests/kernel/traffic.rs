//! Sync daemons, counted connections, and life without privilege.

use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use ipvs_sys::{Client, DaemonState, Dest, Error, Forwarding, Request, Service, SyncDaemon};

use crate::PROBE;
use crate::support::{all_done, client, command, ipvsadm, refused, tcp, wait_for};

pub(crate) fn sync_daemons() {
    let mut client = client();
    command("ip", &["link", "add", "dummy0", "type", "dummy"]);
    command("ip", &["address", "add", "198.51.100.254/24", "dev", "dummy0"]);
    command("ip", &["link", "set", "dummy0", "up", "multicast", "on"]);
    assert_eq!(client.sync_daemons().unwrap(), []);
    let master = SyncDaemon {
        max_length: Some(1000),
        group: Some("239.255.0.81".parse().unwrap()),
        port: Some(9999),
        ttl: Some(3),
        ..SyncDaemon::new(DaemonState::Master, "dummy0", 7)
    };
    let backup = SyncDaemon::new(DaemonState::Backup, "dummy0", 255);
    all_done(
        &client.apply(&[Request::NewDaemon(master.clone()), Request::NewDaemon(backup.clone())]),
    );
    let running = client.sync_daemons().unwrap();
    let defaults = SyncDaemon {
        max_length: Some(1472),
        group: Some("224.0.0.81".parse().unwrap()),
        port: Some(8848),
        ttl: Some(1),
        ..backup.clone()
    };
    assert_eq!(running, [master.clone(), defaults]);
    assert_eq!(
        ipvsadm(&["-l", "--daemon"]),
        "master sync daemon (mcast=dummy0, syncid=7, maxlen=1000, group=239.255.0.81, port=9999, ttl=3)\n\
         backup sync daemon (mcast=dummy0, syncid=255, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)\n"
    );
    refused(
        &mut client,
        &[Request::NewDaemon(master.clone())],
        "cannot start the master sync daemon: one is running already (EEXIST)",
    );
    stop_daemons(&mut client, &[DaemonState::Master, DaemonState::Backup]);
    let group = Some("[2001:db8::1]:0".parse::<SocketAddr>().unwrap().ip());
    refused(
        &mut client,
        &[
            Request::DelDaemon(DaemonState::Backup),
            Request::NewDaemon(SyncDaemon::new(DaemonState::Master, "nonesuch0", 1)),
            Request::NewDaemon(SyncDaemon { group, ..backup }),
        ],
        "cannot stop the backup sync daemon: none is running (ESRCH)
         cannot start the master sync daemon: there is no interface nonesuch0 (ENODEV)
         cannot start the backup sync daemon: the group is no multicast address, or destinations forbid it (EINVAL)",
    );
    // With IPv6, as ipvsadm started it.
    ipvsadm(&[
        "--start-daemon",
        "master",
        "--mcast-interface",
        "dummy0",
        "--mcast-group",
        "ff05::81",
    ]);
    let running = client.sync_daemons().unwrap();
    let groups: Vec<_> = running.iter().map(|daemon| daemon.group.unwrap().to_string()).collect();
    assert_eq!(groups, ["ff05::81"]);
    stop_daemons(&mut client, &[DaemonState::Master]);
}

/// The kernel does not answer when it stops a thread that has not run yet.
pub(crate) fn stop_daemons(client: &mut Client, states: &[DaemonState]) {
    let requests: Vec<_> = states.iter().map(|state| Request::DelDaemon(*state)).collect();
    for result in client.apply(&requests) {
        assert!(result.as_ref().err().is_none_or(Error::is_lost), "{result:?}");
    }
    assert_eq!(client.sync_daemons().unwrap(), []);
}

pub(crate) fn counts_connections_and_zeroes() {
    let mut client = client();
    command("ip", &["address", "add", "192.0.2.1/32", "dev", "lo"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let real = listener.local_addr().unwrap();
    let id = tcp("192.0.2.1:80");
    all_done(&client.apply(&[
        Request::NewService(Service::new(id, "rr")),
        Request::NewDest(id, Dest::new(real, Forwarding::Masquerade, 1)),
    ]));
    let mut stream = TcpStream::connect("192.0.2.1:80").unwrap();
    stream.write_all(b"hello").unwrap();
    let (_peer, _) = listener.accept().unwrap();
    assert_eq!(client.dests(&id).unwrap().first().unwrap().active_connections, 1);
    // The kernel sums up the counters of its processors every two seconds.
    let counted = wait_for(|| {
        let stats = client.service(&id).unwrap().stats;
        (stats.bytes_in > 0).then_some(stats)
    });
    assert_eq!(counted.connections, 1);
    assert!(counted.packets_in >= 3 && counted.packets_out >= 2, "{counted:?}");
    let dest = *client.dests(&id).unwrap().first().unwrap();
    assert_eq!((dest.stats.connections, dest.inactive_connections), (1, 0));

    all_done(&client.apply(&[Request::Zero(Some(id))]));
    assert_eq!(client.service(&id).unwrap().stats.connections, 0);
    assert_eq!(client.dests(&id).unwrap().first().unwrap().stats.connections, 0);
    let _second = TcpStream::connect("192.0.2.1:80").unwrap();
    wait_for(|| (client.service(&id).unwrap().stats.connections == 1).then_some(()));
    all_done(&client.apply(&[Request::Zero(None)]));
    assert_eq!(client.service(&id).unwrap().stats.connections, 0);
}

pub(crate) fn without_privilege() {
    let copy = std::env::temp_dir().join(format!("ipvs-sys-probe-{}", std::process::id()));
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let output = Command::new(&copy).env(PROBE, "1").uid(65534).gid(65534).output().unwrap();
    std::fs::remove_file(&copy).unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "cannot read the services: permission denied (EPERM)\n\
         hint: the process needs CAP_NET_ADMIN, in the initial user namespace\n"
    );
}
