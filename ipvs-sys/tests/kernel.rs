//! The client against a real kernel, with `ipvsadm` as the judge.
//!
//! Each trial has a network namespace, and hence a table, of its own. `ipvsadm -Sn` must say what we wrote, and we must
//! read what `ipvsadm -R` wrote. Needs root, a kernel with IPVS, and the programs `ipvsadm` and `ip`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the main function of a test program"
)]

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use ipvs_sys::{
    AddressFamily, Client, DaemonState, Dest, DestEntry, Error, Forwarding, Netmask, Options,
    Protocol, Request, Service, ServiceEntry, ServiceFlags, ServiceId, SyncDaemon, Timeouts,
    Tunnel, TunnelFlags, TunnelKind, Version,
};
use libtest_mimic::{Arguments, Failed, Trial};
use nix::libc;
use nix::sched::{CloneFlags, unshare};

/// Set by whatever brought this program into a kernel with IPVS: run the trials here.
const INSIDE: &str = "LDIRECTORD_LAB_INSIDE";
/// A program that runs its arguments in such a kernel.
const RUNNER: &str = "LDIRECTORD_LAB_RUN";
/// Set for a copy of this program that only tries to read the table.
const PROBE: &str = "IPVS_SYS_PROBE";

fn main() -> ExitCode {
    if std::env::var_os(PROBE).is_some() {
        return probe();
    }
    if let Err(sentence) = enter_lab() {
        eprintln!("{sentence}");
        return ExitCode::FAILURE;
    }
    let trials: [(&str, fn()); _] = [
        ("info_and_timeouts", info_and_timeouts),
        ("every_scheduler", every_scheduler),
        ("every_flag", every_flag),
        ("every_kind_of_service", every_kind_of_service),
        ("every_kind_of_destination", every_kind_of_destination),
        ("reads_and_rewrites_what_ipvsadm_wrote", reads_and_rewrites_what_ipvsadm_wrote),
        ("changes_and_deletes", changes_and_deletes),
        ("service_read_from_the_kernel_can_be_written_again", written_again),
        ("kernel_keeps_every_setting", kernel_keeps_every_setting),
        ("refusals_of_services", refusals_of_services),
        ("refusals_of_destinations", refusals_of_destinations),
        ("invalid_requests_are_not_sent", invalid_requests_are_not_sent),
        ("failures_of_a_batch_go_to_their_requests", failures_of_a_batch),
        ("overflow_loses_no_change_and_hangs_nowhere", overflow),
        ("large_tables", large_tables),
        ("dumps_while_the_table_changes", dumps_while_the_table_changes),
        ("sync_daemons", sync_daemons),
        ("counts_connections_and_zeroes", counts_connections_and_zeroes),
        ("without_privilege", without_privilege),
    ];
    let trials = trials.map(|(name, run)| Trial::test(name, move || in_own_namespace(run)));
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}

/// Makes sure that there is a kernel with IPVS under the trials.
fn enter_lab() -> Result<(), String> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    let Some(runner) = std::env::var_os(RUNNER) else {
        return Err(format!(
            "the kernel trials need a kernel with IPVS: set {INSIDE}=1 to run them on this one (as root, in network \
             namespaces of their own), or {RUNNER} to a program that runs its arguments in another"
        ));
    };
    let this =
        std::env::current_exe().map_err(|fault| format!("cannot find this program: {fault}"))?;
    let fault = Command::new(&runner).arg(this).args(std::env::args_os().skip(1)).exec();
    Err(format!("cannot run {}: {fault}", runner.display()))
}

fn in_own_namespace(run: fn()) -> Result<(), Failed> {
    let trial = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("root may make a network namespace");
        command("ip", &["link", "set", "lo", "up"]);
        run();
    });
    trial.join().map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_default()
            .into()
    })
}

// === trials: agreement with ipvsadm ===

fn info_and_timeouts() {
    let mut client = client();
    let info = client.info().unwrap();
    assert_eq!(info.version, Version { major: 1, minor: 2, patch: 1 });
    let said = ipvsadm(&["-l", "-n"]);
    let expected =
        format!("IP Virtual Server version {} (size={})", info.version, info.connection_table_size);
    assert_eq!(said.lines().next(), Some(expected.as_str()));

    assert_eq!(client.timeouts().unwrap(), Timeouts { tcp_s: 900, tcp_fin_s: 120, udp_s: 300 });
    client.set_timeouts(Timeouts { tcp_s: 7200, tcp_fin_s: 0, udp_s: 60 }).unwrap();
    assert_eq!(client.timeouts().unwrap(), Timeouts { tcp_s: 7200, tcp_fin_s: 120, udp_s: 60 });
    assert_eq!(ipvsadm(&["-l", "--timeout"]), "Timeout (tcp tcpfin udp): 7200 120 60\n");

    let fault =
        client.set_timeouts(Timeouts { tcp_s: u32::MAX, ..Timeouts::default() }).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "cannot set the connection timeouts: a timeout is too long (EINVAL)"
    );
    assert_eq!(client.timeouts().unwrap().tcp_s, 7200);
}

const SCHEDULERS: [&str; 13] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf"];

fn every_scheduler() {
    let mut client = client();
    let mut requests = Vec::new();
    let mut expected = String::new();
    for (scheduler, port) in SCHEDULERS.into_iter().zip(8001..) {
        let id = tcp(&format!("192.0.2.1:{port}"));
        requests.push(Request::NewService(Service::new(id, scheduler)));
        requests.push(Request::NewDest(id, route("198.51.100.1:80", 1)));
        writeln!(expected, "-A -t 192.0.2.1:{port} -s {scheduler}").unwrap();
        // The kernel keeps a port that no routed packet can have; it is ipvsadm that would not have written it.
        writeln!(expected, "-a -t 192.0.2.1:{port} -r 198.51.100.1:80 -g -w 1").unwrap();
    }
    all_done(&client.apply(&requests));
    agree(&mut client, &expected);
    let mut services = client.services().unwrap();
    services.sort_by_key(|entry| entry.service.id);
    let names: Vec<_> = services.iter().map(|entry| entry.service.scheduler.as_str()).collect();
    assert_eq!(names, SCHEDULERS);

    // A scheduler can be changed under way.
    let id = tcp("192.0.2.1:8001");
    for scheduler in SCHEDULERS {
        all_done(&client.apply(&[Request::SetService(Service::new(id, scheduler))]));
        assert_eq!(client.service(&id).unwrap().service.scheduler, scheduler);
    }
}

fn every_flag() {
    let mut client = client();
    let persistent = ServiceFlags::PERSISTENT;
    let cases = [
        ("wlc", ServiceFlags::NONE, 0, ""),
        ("wlc", persistent, 1, "-p 1"),
        ("wlc", persistent, 86_400, "-p 86400"),
        ("wlc", ServiceFlags::ONE_PACKET, 0, "-o"),
        ("sh", ServiceFlags::SH_FALLBACK, 0, "-b sh-fallback"),
        ("sh", ServiceFlags::SH_PORT, 0, "-b sh-port"),
        ("sh", ServiceFlags::SH_PORT | ServiceFlags::SH_FALLBACK, 0, "-b sh-fallback,sh-port"),
        ("mh", ServiceFlags::MH_FALLBACK, 0, "-b mh-fallback"),
        ("mh", ServiceFlags::MH_PORT, 0, "-b mh-port"),
        ("wlc", ServiceFlags::SCHED1, 0, "-b flag-1"),
        ("wlc", ServiceFlags::SCHED2, 0, "-b flag-2"),
        ("wlc", ServiceFlags::SCHED3, 0, "-b flag-3"),
        (
            "wlc",
            persistent | ServiceFlags::ONE_PACKET | ServiceFlags::SCHED3,
            60,
            "-p 60 -o -b flag-3",
        ),
    ];
    let mut expected = String::new();
    let mut requests = Vec::new();
    for ((scheduler, flags, timeout_s, options), port) in cases.into_iter().zip(5001..) {
        let id = udp(&format!("192.0.2.1:{port}"));
        requests.push(Request::NewService(Service {
            flags,
            timeout_s,
            ..Service::new(id, scheduler)
        }));
        let options = if options.is_empty() { String::new() } else { format!(" {options}") };
        writeln!(expected, "-A -u 192.0.2.1:{port} -s {scheduler}{options}").unwrap();
    }
    all_done(&client.apply(&requests));
    agree(&mut client, &expected);
    for (request, entry) in requests.iter().zip(services_by_id(&mut client)) {
        assert_eq!(*request, Request::NewService(entry.service));
        assert!(entry.hashed);
    }
}

fn every_kind_of_service() {
    let mut client = client();
    let persistent = |id, netmask| Service {
        flags: ServiceFlags::PERSISTENT,
        timeout_s: 300,
        netmask,
        ..Service::new(id, "wlc")
    };
    let services = [
        Service::new(tcp("192.0.2.1:80"), "wlc"),
        Service::new(udp("192.0.2.1:80"), "wlc"),
        Service::new(sctp("192.0.2.1:80"), "wlc"),
        Service::new(tcp("[2001:db8::1]:80"), "wlc"),
        Service::new(udp("[2001:db8::1]:80"), "wlc"),
        Service::new(sctp("[2001:db8::1]:80"), "wlc"),
        Service::new(fwmark(AddressFamily::V4, 1), "wlc"),
        Service::new(fwmark(AddressFamily::V6, 1), "wlc"),
        Service::new(fwmark(AddressFamily::V4, 2_147_483_647), "wlc"),
        persistent(tcp("192.0.2.2:0"), Netmask::V4([255, 255, 255, 0].into())),
        persistent(tcp("192.0.2.3:80"), Netmask::V4([255, 0, 255, 0].into())),
        persistent(tcp("[2001:db8::2]:80"), Netmask::V6(64)),
        persistent(tcp("[2001:db8::3]:80"), Netmask::V6(1)),
        persistent(fwmark(AddressFamily::V6, 2), Netmask::V6(128)),
        Service {
            persistence_engine: Some("sip".to_owned()),
            ..persistent(udp("192.0.2.4:5060"), Netmask::full(AddressFamily::V4))
        },
    ];
    let requests: Vec<_> = services.iter().cloned().map(Request::NewService).collect();
    all_done(&client.apply(&requests));
    agree(
        &mut client,
        "-A -t 192.0.2.1:80 -s wlc
         -A -u 192.0.2.1:80 -s wlc
         -A --sctp-service 192.0.2.1:80 -s wlc
         -A -t [2001:db8::1]:80 -s wlc
         -A -u [2001:db8::1]:80 -s wlc
         -A --sctp-service [2001:db8::1]:80 -s wlc
         -A -f 1 -s wlc
         -A -f 1 -6 -s wlc
         -A -f 2147483647 -s wlc
         -A -t 192.0.2.2:0 -s wlc -p 300 -M 255.255.255.0
         -A -t 192.0.2.3:80 -s wlc -p 300 -M 255.0.255.0
         -A -t [2001:db8::2]:80 -s wlc -p 300 -M 64
         -A -t [2001:db8::3]:80 -s wlc -p 300 -M 1
         -A -f 2 -6 -s wlc -p 300
         -A -u 192.0.2.4:5060 -s wlc -p 300 --pe sip",
    );
    for service in services {
        assert_eq!(client.service(&service.id).unwrap().service, service);
    }
}

fn every_kind_of_destination() {
    let mut client = client();
    let tunnel = |address, tunnel| Dest::new(socket(address), Forwarding::Tunnel(tunnel), 1);
    let checksums = TunnelFlags::CHECKSUM;
    let (v4, v6) = (tcp("192.0.2.1:80"), tcp("[2001:db8::1]:80"));
    let of_v4 = [
        route("198.51.100.1:80", 0),
        route("198.51.100.2:80", 2_147_483_647),
        Dest::new(socket("198.51.100.3:8080"), Forwarding::Masquerade, 70_000),
        Dest { upper_threshold: 100, lower_threshold: 50, ..route("198.51.100.4:80", 1) },
        Dest { upper_threshold: u32::MAX, ..route("198.51.100.5:80", 1) },
        tunnel("198.51.100.6:80", Tunnel::IPIP),
        tunnel("198.51.100.7:80", Tunnel::gue(6080, TunnelFlags::NONE)),
        tunnel("198.51.100.8:80", Tunnel::gue(65535, checksums)),
        tunnel("198.51.100.9:80", Tunnel::gue(1, TunnelFlags::REMOTE_CHECKSUM)),
        tunnel("198.51.100.10:80", Tunnel::gre(TunnelFlags::NONE)),
        tunnel("198.51.100.11:80", Tunnel::gre(checksums)),
        tunnel("[2001:db8::12]:80", Tunnel::IPIP),
    ];
    let of_v6 = [
        route("[2001:db8::21]:80", 1),
        Dest::new(socket("[2001:db8::22]:8080"), Forwarding::Masquerade, 1),
        tunnel("[2001:db8::23]:80", Tunnel::gue(6080, checksums)),
        tunnel("198.51.100.24:80", Tunnel::IPIP),
    ];
    let mark = fwmark(AddressFamily::V6, 9);
    let of_mark = [route("[2001:db8::31]:0", 1)];
    let pools: [(ServiceId, &[Dest]); 3] = [(v4, &of_v4), (v6, &of_v6), (mark, &of_mark)];
    for (id, dests) in pools {
        let mut requests = vec![Request::NewService(Service::new(id, "wrr"))];
        requests.extend(dests.iter().map(|dest| Request::NewDest(id, *dest)));
        all_done(&client.apply(&requests));
        assert_same_dests(&client.dests(&id).unwrap(), dests);
    }
    agree(
        &mut client,
        "-A -t 192.0.2.1:80 -s wrr
         -a -t 192.0.2.1:80 -r 198.51.100.1:80 -g -w 0
         -a -t 192.0.2.1:80 -r 198.51.100.2:80 -g -w 2147483647
         -a -t 192.0.2.1:80 -r 198.51.100.3:8080 -m -w 70000
         -a -t 192.0.2.1:80 -r 198.51.100.4:80 -g -w 1
         -a -t 192.0.2.1:80 -r 198.51.100.5:80 -g -w 1
         -a -t 192.0.2.1:80 -r 198.51.100.6:80 -i -w 1 --tun-type ipip
         -a -t 192.0.2.1:80 -r 198.51.100.7:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum
         -a -t 192.0.2.1:80 -r 198.51.100.8:80 -i -w 1 --tun-type gue --tun-port 65535 --tun-csum
         -a -t 192.0.2.1:80 -r 198.51.100.9:80 -i -w 1 --tun-type gue --tun-port 1 --tun-remcsum
         -a -t 192.0.2.1:80 -r 198.51.100.10:80 -i -w 1 --tun-type gre --tun-nocsum
         -a -t 192.0.2.1:80 -r 198.51.100.11:80 -i -w 1 --tun-type gre --tun-csum
         -a -t 192.0.2.1:80 -r [2001:db8::12]:80 -i -w 1 --tun-type ipip
         -A -t [2001:db8::1]:80 -s wrr
         -a -t [2001:db8::1]:80 -r [2001:db8::21]:80 -g -w 1
         -a -t [2001:db8::1]:80 -r [2001:db8::22]:8080 -m -w 1
         -a -t [2001:db8::1]:80 -r [2001:db8::23]:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum
         -a -t [2001:db8::1]:80 -r 198.51.100.24:80 -i -w 1 --tun-type ipip
         -A -f 9 -6 -s wrr
         -a -f 9 -6 -r [2001:db8::31]:0 -g -w 1",
    );
}

/// Everything that `ipvsadm -R` can say, in the words of `ipvsadm -Sn`.
fn everything() -> String {
    let mut table = String::new();
    for (scheduler, port) in SCHEDULERS.into_iter().zip(8001..) {
        writeln!(table, "-A -t 192.0.2.1:{port} -s {scheduler}").unwrap();
        writeln!(table, "-a -t 192.0.2.1:{port} -r 198.51.100.1:{port} -g -w 1").unwrap();
        writeln!(table, "-a -t 192.0.2.1:{port} -r 198.51.100.2:8080 -m -w 2").unwrap();
    }
    table.push_str(
        "-A -u 192.0.2.2:53 -s sh -o -b sh-fallback,sh-port
         -A -u [2001:db8::2]:53 -s mh -p 360 -M 64 -b mh-fallback,mh-port
         -A --sctp-service 192.0.2.2:9 -s wlc -p 10 -M 255.255.0.0
         -A -t 192.0.2.3:80 -s wlc -b flag-1,flag-2,flag-3
         -A -u 192.0.2.4:5060 -s rr -p 300 --pe sip
         -A -f 5 -s wlc
         -a -f 5 -r 198.51.100.1:0 -i -w 1 --tun-type ipip
         -a -f 5 -r 198.51.100.2:0 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum
         -a -f 5 -r 198.51.100.3:0 -i -w 1 --tun-type gre --tun-nocsum
         -A -f 5 -6 -s wlc
         -a -f 5 -6 -r [2001:db8::1]:0 -m -w 1
         -a -f 5 -6 -r 198.51.100.9:0 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum
        ",
    );
    table
}

fn reads_and_rewrites_what_ipvsadm_wrote() {
    let mut client = client();
    // ipvsadm sets thresholds, but does not save them.
    let limited = "-a -f 5 -r 198.51.100.1:0 -i -w 1";
    restore(&everything().replace(limited, &format!("{limited} -x 10 -y 5")));
    agree(&mut client, &everything());
    let thresholds = ipvsadm(&["-l", "-n", "--thresholds"]);

    let services = services_by_id(&mut client);
    assert_eq!(services.len(), SCHEDULERS.len() + 7);
    let mark =
        services.iter().find(|entry| entry.service.id == fwmark(AddressFamily::V4, 5)).unwrap();
    let mut dests: Vec<_> = client.dests(&mark.service.id).unwrap();
    dests.sort_by_key(|entry| entry.dest.address);
    let tunnel = |kind, port, flags| Forwarding::Tunnel(Tunnel { kind, port, flags });
    assert_eq!(
        dests.iter().map(|entry| entry.dest).collect::<Vec<_>>(),
        [
            Dest {
                address: socket("198.51.100.1:0"),
                forwarding: tunnel(TunnelKind::Ipip, 0, TunnelFlags::NONE),
                weight: 1,
                upper_threshold: 10,
                lower_threshold: 5,
            },
            Dest::new(
                socket("198.51.100.2:0"),
                tunnel(TunnelKind::Gue, 6080, TunnelFlags::CHECKSUM),
                1
            ),
            Dest::new(socket("198.51.100.3:0"), tunnel(TunnelKind::Gre, 0, TunnelFlags::NONE), 1),
        ]
    );
    let odd = client.service(&udp("[2001:db8::2]:53")).unwrap().service;
    let flags = ServiceFlags::PERSISTENT | ServiceFlags::MH_PORT | ServiceFlags::MH_FALLBACK;
    let expected =
        Service { flags, timeout_s: 360, netmask: Netmask::V6(64), ..Service::new(odd.id, "mh") };
    assert_eq!(odd, expected);

    // What we read, written by us into an empty table, is again what ipvsadm wrote.
    let requests = copy(&mut client);
    all_done(&client.apply(&[Request::Flush]));
    agree(&mut client, "");
    all_done(&client.apply(&requests));
    agree(&mut client, &everything());
    assert_eq!(sorted_lines(&ipvsadm(&["-l", "-n", "--thresholds"])), sorted_lines(&thresholds));
    assert!(thresholds.contains(" 10 "), "{thresholds}");
}

fn changes_and_deletes() {
    let mut client = client();
    let id = tcp("192.0.2.1:80");
    let address = socket("198.51.100.1:80");
    restore(
        "-A -t 192.0.2.1:80 -s wlc -p 300 -M 255.255.255.0
         -a -t 192.0.2.1:80 -r 198.51.100.1:80 -i -w 1 -x 10 -y 5 --tun-type gue --tun-port 6080 --tun-csum
         -a -t 192.0.2.1:80 -r 198.51.100.2:80 -g -w 1
         -A -u 192.0.2.1:80 -s rr",
    );
    all_done(&client.apply(&[
        Request::SetService(Service { flags: ServiceFlags::SH_PORT, ..Service::new(id, "sh") }),
        Request::SetDest(id, Dest::new(address, Forwarding::Masquerade, 7)),
        Request::DelDest(id, socket("198.51.100.2:80")),
        Request::DelService(udp("192.0.2.1:80")),
    ]));
    agree(
        &mut client,
        "-A -t 192.0.2.1:80 -s sh -b sh-port
         -a -t 192.0.2.1:80 -r 198.51.100.1:80 -m -w 7",
    );
    assert_same_dests(
        &client.dests(&id).unwrap(),
        &[Dest::new(address, Forwarding::Masquerade, 7)],
    );
    // Nothing of the former tunnel is left to come back.
    all_done(
        &client.apply(&[Request::SetDest(
            id,
            Dest::new(address, Forwarding::Tunnel(Tunnel::IPIP), 7),
        )]),
    );
    agree(
        &mut client,
        "-A -t 192.0.2.1:80 -s sh -b sh-port
         -a -t 192.0.2.1:80 -r 198.51.100.1:80 -i -w 7 --tun-type ipip",
    );
    all_done(&client.apply(&[Request::DelService(id)]));
    agree(&mut client, "");
}

fn written_again() {
    let mut client = client();
    let id = tcp("192.0.2.1:80");
    all_done(&client.apply(&[Request::NewService(Service::new(id, "rr"))]));
    let entry = client.service(&id).unwrap();
    assert!(entry.hashed);
    all_done(&client.apply(&[
        Request::SetService(entry.service.clone()),
        Request::DelService(id),
        Request::NewService(entry.service.clone()),
    ]));
    // A service that was believed to be hashed already would be gone now.
    assert_eq!(client.service(&id).unwrap(), entry);
    assert_eq!(client.services().unwrap(), [entry]);
}

/// Many combinations of settings, written and read back.
fn kernel_keeps_every_setting() {
    let mut client = client();
    let mut requests = Vec::new();
    let flags = [
        ServiceFlags::NONE,
        ServiceFlags::PERSISTENT,
        ServiceFlags::ONE_PACKET,
        ServiceFlags::SCHED3,
    ];
    let mut port = 1;
    for scheduler in SCHEDULERS {
        for flags in flags {
            for address in ["192.0.2.1", "[2001:db8::1]"] {
                let id = tcp(&format!("{address}:{port}"));
                let family = id.family();
                let netmask =
                    if port % 2 == 0 { Netmask::full(family) } else { odd_netmask(family) };
                let service =
                    Service { flags, timeout_s: port, netmask, ..Service::new(id, scheduler) };
                requests.push(Request::NewService(service));
                for weight in 0..3 {
                    let real = match family {
                        AddressFamily::V4 => format!("198.51.100.{}:{port}", weight + 1),
                        AddressFamily::V6 => format!("[2001:db8::{}]:{port}", weight + 1),
                    };
                    let forwarding = match weight {
                        0 => Forwarding::Masquerade,
                        1 => Forwarding::Route,
                        _ => Forwarding::Tunnel(Tunnel::gue(6080, TunnelFlags::CHECKSUM)),
                    };
                    let dest = Dest {
                        upper_threshold: port,
                        ..Dest::new(socket(&real), forwarding, weight)
                    };
                    requests.push(Request::NewDest(id, dest));
                }
                port += 1;
            }
        }
    }
    all_done(&client.apply(&requests));
    let sorted = |mut requests: Vec<Request>| {
        requests.sort_by_key(|request| format!("{request:?}"));
        requests
    };
    assert_eq!(sorted(copy(&mut client)), sorted(requests));
}

// === trials: refusals ===

fn refusals_of_services() {
    let mut client = client();
    let id = tcp("192.0.2.1:80");
    let plain = Service::new(id, "rr");
    let v6 = tcp("[2001:db8::1]:80");
    all_done(&client.apply(&[Request::NewService(plain.clone())]));
    refused(&mut client, &[
        Request::NewService(plain.clone()),
        Request::NewService(Service::new(tcp("192.0.2.9:80"), "nonesuch")),
        Request::SetService(Service::new(id, "nonesuch")),
        Request::SetService(Service {
                    persistence_engine: Some("none".to_owned()),
                    ..plain.clone()
                }),
        Request::NewService(Service { netmask: Netmask::V6(0), ..Service::new(v6, "rr") }),
        Request::NewService(Service {
                    netmask: Netmask::V6(129),
                    ..Service::new(v6, "rr")
                }),
        Request::SetService(Service::new(v6, "rr")),
        Request::DelService(fwmark(AddressFamily::V6, 3)),
        Request::Zero(Some(udp("192.0.2.1:80"))),
    ], "cannot add service tcp 192.0.2.1:80: there is one already (EEXIST)
         cannot add service tcp 192.0.2.9:80: the kernel has no scheduler nonesuch (ENOENT)
         cannot change service tcp 192.0.2.1:80: the kernel has no scheduler nonesuch (ENOENT)
         cannot change service tcp 192.0.2.1:80: the kernel has no scheduler rr or no persistence engine none (ENOENT)
         cannot add service tcp [2001:db8::1]:80: an IPv6 prefix length is 1 to 128 (EINVAL)
         cannot add service tcp [2001:db8::1]:80: an IPv6 prefix length is 1 to 128 (EINVAL)
         cannot change service tcp [2001:db8::1]:80: there is no such service (ESRCH)
         cannot delete service fwmark 3 IPv6: there is no such service (ESRCH)
         cannot zero the counters of service udp 192.0.2.1:80: there is no such service (ESRCH)");
    let fault = client.service(&v6).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "cannot read service tcp [2001:db8::1]:80: there is no such service (ESRCH)"
    );
    let fault = client.dests(&v6).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "cannot read the destinations of service tcp [2001:db8::1]:80: there is no such service (ESRCH)"
    );
    assert_eq!(client.dests(&id).unwrap(), []);
    assert_eq!(
        client.services().unwrap().into_iter().map(|entry| entry.service).collect::<Vec<_>>(),
        [plain]
    );
}

fn refusals_of_destinations() {
    let mut client = client();
    let id = tcp("192.0.2.1:80");
    let v6 = tcp("[2001:db8::1]:80");
    let dest = route("198.51.100.1:80", 1);
    all_done(&client.apply(&[
        Request::NewService(Service::new(id, "rr")),
        Request::NewService(Service::new(v6, "rr")),
        Request::NewDest(id, dest),
    ]));
    let other = |address| route(address, 1);
    refused(&mut client, &[
        Request::NewDest(id, dest),
        Request::SetDest(id, other("198.51.100.2:80")),
        Request::DelDest(id, socket("198.51.100.2:80")),
        Request::NewDest(udp("192.0.2.1:80"), dest),
        Request::SetDest(id, route("198.51.100.1:80", 1 << 31)),
        Request::NewDest(id, route("198.51.100.2:80", u32::MAX)),
        Request::NewDest(id, Dest { lower_threshold: 1, ..other("198.51.100.2:80") }),
        Request::NewDest(id, other("224.0.0.1:80")),
        Request::NewDest(v6, other("[ff02::1]:80")),
        Request::NewDest(v6, other("[fe80::1]:80")),
        Request::NewDest(v6, other("198.51.100.2:80")),
        Request::NewDest(
                    id,
                    Dest::new(
                        socket("198.51.100.2:80"),
                        Forwarding::Tunnel(Tunnel::gue(0, TunnelFlags::NONE)),
                        1,
                    ),
                ),
    ], "cannot add destination 198.51.100.1:80 to service tcp 192.0.2.1:80: the service has it already (EEXIST)
         cannot change destination 198.51.100.2:80 of service tcp 192.0.2.1:80: the service has no such destination (ENOENT)
         cannot delete destination 198.51.100.2:80 of service tcp 192.0.2.1:80: the service has no such destination (ENOENT)
         cannot add destination 198.51.100.1:80 to service udp 192.0.2.1:80: there is no such service (ESRCH)
         cannot change destination 198.51.100.1:80 of service tcp 192.0.2.1:80: the weight is above 2147483647 (ERANGE)
         cannot add destination 198.51.100.2:80 to service tcp 192.0.2.1:80: the weight is above 2147483647 (ERANGE)
         cannot add destination 198.51.100.2:80 to service tcp 192.0.2.1:80: the lower threshold is above the upper one (ERANGE)
         cannot add destination 224.0.0.1:80 to service tcp 192.0.2.1:80: the address cannot be sent to (EINVAL)
         cannot add destination [ff02::1]:80 to service tcp [2001:db8::1]:80: the address cannot be sent to (EINVAL)
         cannot add destination [fe80::1]:80 to service tcp [2001:db8::1]:80: the address cannot be sent to (EINVAL)
         cannot add destination 198.51.100.2:80 to service tcp [2001:db8::1]:80: its address family is not that of the service (EINVAL)
         cannot add destination 198.51.100.2:80 to service tcp 192.0.2.1:80: a GUE tunnel needs a port (EINVAL)");
    agree(
        &mut client,
        "-A -t 192.0.2.1:80 -s rr
         -A -t [2001:db8::1]:80 -s rr
         -a -t 192.0.2.1:80 -r 198.51.100.1:80 -g -w 1",
    );
}

fn invalid_requests_are_not_sent() {
    let mut client = client();
    let id = tcp("192.0.2.1:80");
    let named = |scheduler| Request::NewService(Service::new(id, scheduler));
    let results = client.apply(&[
        named("a-very-long-name"),
        named(""),
        named("r\0r"),
        Request::NewService(Service { netmask: Netmask::V6(64), ..Service::new(id, "rr") }),
        named("rr"),
        Request::NewDaemon(SyncDaemon::new(DaemonState::Master, "an-interface-name", 1)),
    ]);
    let texts: Vec<_> =
        results.iter().map(|result| result.as_ref().map_err(ToString::to_string)).collect();
    let name =
        Err("cannot add service tcp 192.0.2.1:80: a scheduler's name has 1 to 15 bytes".to_owned());
    let mask =
        "cannot add service tcp 192.0.2.1:80: an IPv6 prefix length does not fit an IPv4 service";
    let interface = "cannot start the master sync daemon: an interface's name has 1 to 15 bytes";
    let expected = [
        name.clone(),
        name.clone(),
        name,
        Err(mask.to_owned()),
        Ok(&()),
        Err(interface.to_owned()),
    ];
    assert_eq!(texts, expected);
    agree(&mut client, "-A -t 192.0.2.1:80 -s rr");
    // A batch of which nothing is left.
    assert!(client.apply(&[named("")]).iter().all(Result::is_err));
    assert!(client.apply(&[]).is_empty());
}

fn failures_of_a_batch() {
    let mut client = client();
    let id = tcp("192.0.2.1:80");
    let absent = tcp("192.0.2.2:80");
    let mut requests = vec![Request::NewService(Service::new(id, "wlc"))];
    for number in 0..2000_u16 {
        let [high, low] = number.to_be_bytes();
        let dest = route(&format!("10.0.{high}.{low}:80"), u32::from(number));
        // Every seventh fails in one way, the one after it in another.
        requests.push(match number % 7 {
            0 => Request::NewDest(absent, dest),
            1 => Request::NewDest(id, Dest { lower_threshold: 1, ..dest }),
            _ => Request::NewDest(id, dest),
        });
    }
    let results = client.apply(&requests);
    assert_eq!(results.len(), requests.len());
    for (index, result) in results.iter().enumerate() {
        let errno = result.as_ref().err().map(|fault| fault.errno().unwrap());
        let expected = match index.checked_sub(1).map(|number| number % 7) {
            Some(0) => Some(libc::ESRCH),
            Some(1) => Some(libc::ERANGE),
            _ => None,
        };
        assert_eq!(errno, expected, "request {index}");
    }
    assert_eq!(
        client.dests(&id).unwrap().len(),
        results.iter().filter(|result| result.is_ok()).count() - 1
    );
}

fn overflow() {
    // The least buffer that the kernel allows holds a few answers only.
    let mut client =
        Client::open_with(&Options { receive_buffer: 1, ..Options::default() }).unwrap();
    let id = tcp("192.0.2.1:80");
    all_done(&client.apply(&[Request::NewService(Service::new(id, "rr"))]));
    let twice = |number: u8| {
        let dest = route(&format!("198.51.100.{number}:80"), 1);
        [Request::NewDest(id, dest), Request::NewDest(id, dest)]
    };
    let requests: Vec<_> = (1..=120).flat_map(twice).collect();
    let results = client.apply(&requests);
    assert_eq!(results.len(), requests.len());
    let lost = results.iter().filter(|result| result.as_ref().is_err_and(Error::is_lost)).count();
    assert!(lost > 0, "the buffer was too large for this trial");
    for (index, result) in results.iter().enumerate() {
        match result {
            Err(fault) if fault.is_lost() => {}
            Err(fault) => {
                assert_eq!((fault.errno(), index % 2), (Some(libc::EEXIST), 1), "request {index}");
            }
            Ok(()) => panic!("request {index} cannot be known to be done"),
        }
    }
    let text = results
        .iter()
        .find_map(|result| result.as_ref().err().filter(|fault| fault.is_lost()))
        .unwrap();
    assert!(text.to_string().ends_with("for certain: the kernel's answer was lost"), "{text}");

    // All were made, as a fresh look shows, and the client goes on working.
    assert_eq!(client.dests(&id).unwrap().len(), 120);
    let deletions: Vec<_> = (1..=120)
        .map(|number| Request::DelDest(id, socket(&format!("198.51.100.{number}:80"))))
        .collect();
    all_done(&client.apply(&deletions));
    assert_eq!(client.dests(&id).unwrap(), []);
}

// === trials: size and concurrency ===

fn large_tables() {
    let mut client = client();
    let one = tcp("192.0.2.1:80");
    let mut requests = vec![Request::NewService(Service::new(one, "wlc"))];
    requests.extend((0..5000).map(|number| Request::NewDest(one, numbered(number))));
    requests.extend(
        (1..3000_u32)
            .map(|mark| Request::NewService(Service::new(fwmark(AddressFamily::V4, mark), "rr"))),
    );
    all_done(&client.apply(&requests));
    let mut dests: Vec<_> = client.dests(&one).unwrap().iter().map(|entry| entry.dest).collect();
    dests.sort_by_key(|dest| dest.address);
    assert_eq!(dests, (0..5000).map(numbered).collect::<Vec<_>>());
    let services = services_by_id(&mut client);
    assert_eq!(services.len(), 3000);
    let marks = services.iter().skip(1).map(|entry| entry.service.id);
    assert!(marks.eq((1..3000).map(|mark| fwmark(AddressFamily::V4, mark))));
}

fn dumps_while_the_table_changes() {
    let mut client = client();
    let mut writer = Client::open().unwrap();
    let id = tcp("192.0.2.1:80");
    let mut requests = vec![Request::NewService(Service::new(id, "wlc"))];
    requests.extend((0..1000).map(|number| Request::NewDest(id, numbered(number))));
    all_done(&client.apply(&requests));
    thread::scope(|scope| {
        let changes = scope.spawn(|| {
            for round in 0..20 {
                let late = 1000 + round;
                all_done(&writer.apply(&[
                    Request::NewDest(id, numbered(late)),
                    Request::NewService(Service::new(fwmark(AddressFamily::V4, late + 1), "rr")),
                ]));
            }
        });
        while !changes.is_finished() {
            assert!(client.dests(&id).unwrap().len() >= 1000);
            assert!(!client.services().unwrap().is_empty());
        }
    });
    assert_eq!(client.dests(&id).unwrap().len(), 1020);
    assert_eq!(client.services().unwrap().len(), 21);
}

// === trials: the rest ===

fn sync_daemons() {
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
         cannot start the backup sync daemon: a setting is out of range (EINVAL)",
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
fn stop_daemons(client: &mut Client, states: &[DaemonState]) {
    let requests: Vec<_> = states.iter().map(|state| Request::DelDaemon(*state)).collect();
    for result in client.apply(&requests) {
        assert!(result.as_ref().err().is_none_or(Error::is_lost), "{result:?}");
    }
    assert_eq!(client.sync_daemons().unwrap(), []);
}

fn counts_connections_and_zeroes() {
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

fn without_privilege() {
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

/// The whole program, when it is run without privilege.
fn probe() -> ExitCode {
    match Client::open().and_then(|mut client| client.services()) {
        Ok(services) => println!("{} services", services.len()),
        Err(fault) => println!("{fault:#}"),
    }
    ExitCode::SUCCESS
}

// === helpers ===

fn client() -> Client {
    Client::open().unwrap_or_else(|fault| panic!("{fault:#}"))
}

fn socket(address: &str) -> SocketAddr {
    address.parse().expect("an address with a port")
}

fn tcp(address: &str) -> ServiceId {
    ServiceId::Address { protocol: Protocol::Tcp, address: socket(address) }
}

fn udp(address: &str) -> ServiceId {
    ServiceId::Address { protocol: Protocol::Udp, address: socket(address) }
}

fn sctp(address: &str) -> ServiceId {
    ServiceId::Address { protocol: Protocol::Sctp, address: socket(address) }
}

fn fwmark(family: AddressFamily, mark: u32) -> ServiceId {
    ServiceId::Fwmark { family, mark: NonZeroU32::new(mark).unwrap() }
}

fn route(address: &str, weight: u32) -> Dest {
    Dest::new(socket(address), Forwarding::Route, weight)
}

/// One of many destinations, in the order of their addresses.
fn numbered(number: u32) -> Dest {
    let [_, _, high, low] = number.to_be_bytes();
    route(&format!("10.1.{high}.{low}:80"), number)
}

fn odd_netmask(family: AddressFamily) -> Netmask {
    match family {
        AddressFamily::V4 => Netmask::V4([255, 255, 240, 0].into()),
        AddressFamily::V6 => Netmask::V6(56),
    }
}

fn all_done(results: &[Result<(), Error>]) {
    for result in results {
        if let Err(fault) = result {
            panic!("{fault:#}");
        }
    }
}

/// Each request fails with its line of `expected`, among the others as well as alone.
#[track_caller]
fn refused(client: &mut Client, requests: &[Request], expected: &str) {
    let together = client.apply(requests);
    let alone: Vec<_> =
        requests.iter().flat_map(|request| client.apply(std::slice::from_ref(request))).collect();
    assert_eq!(together, alone);
    let lines: Vec<_> =
        together.into_iter().map(|result| result.expect_err("a refusal").to_string()).collect();
    let expected: Vec<_> = expected.lines().map(str::trim).collect();
    assert_eq!(lines, expected);
}

fn services_by_id(client: &mut Client) -> Vec<ServiceEntry> {
    let mut services = client.services().unwrap();
    services.sort_by_key(|entry| entry.service.id);
    services
}

/// The requests that make the table as it is.
fn copy(client: &mut Client) -> Vec<Request> {
    let mut requests = Vec::new();
    for entry in services_by_id(client) {
        let id = entry.service.id;
        requests.push(Request::NewService(entry.service));
        requests.extend(
            client.dests(&id).unwrap().iter().map(|entry| Request::NewDest(id, entry.dest)),
        );
    }
    requests
}

fn assert_same_dests(entries: &[DestEntry], dests: &[Dest]) {
    let mut found: Vec<_> = entries.iter().map(|entry| entry.dest).collect();
    let mut expected = dests.to_vec();
    found.sort_by_key(|dest| dest.address);
    expected.sort_by_key(|dest| dest.address);
    assert_eq!(found, expected);
}

fn wait_for<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    for _ in 0..500 {
        if let Some(value) = condition() {
            return value;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("it did not come true in ten seconds");
}

/// `ipvsadm` shows the table `expected`, whose lines may be in any order.
#[track_caller]
fn agree(client: &mut Client, expected: &str) {
    let shown = ipvsadm(&["-S", "-n"]);
    assert_eq!(sorted_lines(&shown).join("\n"), sorted_lines(expected).join("\n"));
    let services = client.services().unwrap().len();
    assert_eq!(services, expected.lines().filter(|line| line.trim().starts_with("-A")).count());
}

fn sorted_lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines
}

fn restore(table: &str) {
    let table = table.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let mut child = Command::new("ipvsadm")
        .arg("-R")
        .stdin(Stdio::piped())
        .spawn()
        .expect("ipvsadm is installed");
    child.stdin.take().unwrap().write_all(table.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn ipvsadm(arguments: &[&str]) -> String {
    command("ipvsadm", arguments)
}

/// What a program said, which must have succeeded.
#[track_caller]
fn command(program: &str, arguments: &[&str]) -> String {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let output = Command::new(program).args(&arguments).output();
    let output = output.unwrap_or_else(|fault| panic!("cannot run {program}: {fault}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}
