//! What we write, `ipvsadm` shows; what it writes, we read and can write again.

use std::fmt::Write as _;

use ipvs_sys::{
    AddressFamily, Dest, Forwarding, Netmask, Protocol, Request, Service, ServiceFlags, ServiceId,
    Timeouts, Tunnel, TunnelFlags, TunnelKind, Version,
};

use crate::support::{
    agree, all_done, assert_same_dests, client, copy, fwmark, ipvsadm, odd_netmask, restore, route,
    sctp, services_by_id, socket, sorted_lines, tcp, udp,
};

pub(crate) fn info_and_timeouts() {
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

pub(crate) const SCHEDULERS: [&str; 13] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf"];

pub(crate) fn every_scheduler() {
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

pub(crate) fn every_flag() {
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

pub(crate) fn every_kind_of_service() {
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

pub(crate) fn every_kind_of_destination() {
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
pub(crate) fn everything() -> String {
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

pub(crate) fn reads_and_rewrites_what_ipvsadm_wrote() {
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

pub(crate) fn changes_and_deletes() {
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

pub(crate) fn written_again() {
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
pub(crate) fn kernel_keeps_every_setting() {
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

/// What `ipvsadm` cannot say, but another program may have: it must be possible to read it, and to write it again.
pub(crate) fn odd_things() {
    let mut client = client();
    let odd = ServiceId::Address { protocol: Protocol::Other(1), address: socket("192.0.2.1:80") };
    let services = [
        Service::new(odd, "rr"),
        Service::new(tcp("192.0.2.1:0"), "rr"),
        Service::new(tcp("224.0.0.1:80"), "none"),
        Service {
            flags: ServiceFlags::from_bits(u32::MAX),
            ..Service::new(tcp("192.0.2.2:80"), "rr")
        },
    ];
    let kind = TunnelKind::Other(9);
    let tunnel = Tunnel { kind, port: 1, flags: TunnelFlags::from_bits(u16::MAX) };
    let dests =
        [Forwarding::Local, Forwarding::Bypass, Forwarding::Other(7), Forwarding::Tunnel(tunnel)]
            .into_iter()
            .zip(1..)
            .map(|(forwarding, number)| {
                Dest::new(socket(&format!("198.51.100.{number}:80")), forwarding, 1)
            });
    let mut requests: Vec<_> = services.into_iter().map(Request::NewService).collect();
    requests.extend(dests.map(|dest| Request::NewDest(odd, dest)));
    all_done(&client.apply(&requests));
    let sorted = |mut requests: Vec<Request>| {
        requests.sort_by_key(ToString::to_string);
        requests
    };
    assert_eq!(sorted(copy(&mut client)), sorted(requests));
}
