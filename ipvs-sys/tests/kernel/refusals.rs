//! What the kernel refuses, and the words for it.

use ipvs_sys::{
    AddressFamily, DaemonState, Dest, Forwarding, Netmask, Request, Service, SyncDaemon, Tunnel,
    TunnelFlags,
};

use crate::support::{agree, all_done, client, fwmark, refused, route, socket, tcp, udp};

pub(crate) fn refusals_of_services() {
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

pub(crate) fn refusals_of_destinations() {
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

pub(crate) fn invalid_requests_are_not_sent() {
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
