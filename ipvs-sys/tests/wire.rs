//! Messages byte by byte: against captures of `ipvsadm` and the kernel, against a second decoder, and against themselves.
//!
//! Each capture in `tests/capture` is one datagram; its first line says how it was made. They were made on x86-64, so
//! that the numbers in them are little-endian.

#![cfg(target_endian = "little")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
#![expect(clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::Path;

use ipvs_sys::attr::{CommandAttr, DestAttr};
use ipvs_sys::message::{self, Answer, Body, Content, Message};
use ipvs_sys::{
    AddressFamily, DaemonState, Dest, DestEntry, Forwarding, Info, Netmask, Protocol, Request,
    Service, ServiceEntry, ServiceFlags, ServiceId, Stats, SyncDaemon, Timeouts, Tunnel,
    TunnelFlags, TunnelKind, Version,
};
use neli::FromBytes;
use neli::genl::Genlmsghdr;
use neli::nl::Nlmsghdr;
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};
use netlink_packet_generic::GenlMessage;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// The number of the family in the captures.
const FAMILY: u16 = 28;

// === captures ===

/// What `ipvsadm` sent for these, we send too: byte for byte, but for the number of the socket.
#[test]
fn requests_are_those_of_ipvsadm() {
    let v4 = tcp("192.0.2.1:80");
    let v6 = udp("[2001:db8::1]:53");
    let persistent = |service, timeout_s, netmask| Service {
        flags: ServiceFlags::PERSISTENT,
        timeout_s,
        netmask,
        ..service
    };
    let full = Netmask::full(AddressFamily::V4);
    let cases = [
        (
            "new-service",
            Request::NewService(persistent(
                Service::new(v4, "wlc"),
                360,
                Netmask::V4([255, 255, 255, 0].into()),
            )),
        ),
        ("new-service-plain", Request::NewService(Service::new(v4, "wlc"))),
        (
            "new-service-v6",
            Request::NewService(Service {
                flags: ServiceFlags::PERSISTENT
                    | ServiceFlags::ONE_PACKET
                    | ServiceFlags::SH_PORT
                    | ServiceFlags::SH_FALLBACK,
                ..persistent(Service::new(v6, "sh"), 300, Netmask::V6(64))
            }),
        ),
        (
            "new-service-fwmark",
            Request::NewService(Service::new(fwmark(AddressFamily::V6, 7), "mh")),
        ),
        (
            "new-service-pe",
            Request::NewService(Service {
                persistence_engine: Some("sip".to_owned()),
                ..persistent(Service::new(udp("192.0.2.4:5060"), "rr"), 300, full)
            }),
        ),
        ("set-service", Request::SetService(persistent(Service::new(v4, "sed"), 60, full))),
        ("zero", Request::Zero(None)),
        ("flush", Request::Flush),
        ("set-config", Request::SetTimeouts(Timeouts { tcp_s: 7200, tcp_fin_s: 0, udp_s: 60 })),
        ("new-daemon", Request::NewDaemon(master())),
        (
            "new-daemon-v6",
            Request::NewDaemon(SyncDaemon {
                group: Some("ff05::81".parse().unwrap()),
                ..SyncDaemon::new(DaemonState::Backup, "dummy0", 255)
            }),
        ),
    ];
    for (name, request) in cases {
        let theirs = capture(&format!("request-{name}"));
        let mut ours = Vec::new();
        let batch = message::write_batch(&[request], FAMILY, sequence(&theirs), &mut ours);
        assert_eq!(batch.last, Some(0));
        assert_eq!(without_port(&ours), without_port(&theirs), "{name}");
    }
}

/// Where only the id of a service counts, `ipvsadm` sends all of an empty one, and we the id alone.
#[test]
fn requests_name_things_as_ipvsadm_does() {
    let v4 = tcp("192.0.2.1:80");
    let v6 = udp("[2001:db8::1]:53");
    let masquerade =
        |weight| Dest::new(socket("198.51.100.1:8080"), Forwarding::Masquerade, weight);
    let gue = Forwarding::Tunnel(Tunnel::gue(6080, TunnelFlags::REMOTE_CHECKSUM));
    let limited = Dest { upper_threshold: 100, lower_threshold: 50, ..masquerade(70_000) };
    let cases = [
        ("new-dest", Request::NewDest(v4, limited)),
        ("new-dest-gue", Request::NewDest(v4, Dest::new(socket("198.51.100.2:80"), gue, 3))),
        (
            "new-dest-v6",
            Request::NewDest(v6, Dest::new(socket("[2001:db8::53]:53"), Forwarding::Route, 1)),
        ),
        ("set-dest", Request::SetDest(v4, masquerade(0))),
        ("del-dest", Request::DelDest(v6, socket("[2001:db8::53]:53"))),
        ("del-service", Request::DelService(fwmark(AddressFamily::V6, 7))),
        ("zero-service", Request::Zero(Some(v4))),
        ("del-daemon", Request::DelDaemon(DaemonState::Master)),
    ];
    for (name, request) in cases {
        let theirs = only_message(&capture(&format!("request-{name}")));
        let ours = request.to_message().unwrap();
        assert_eq!(ours.command, theirs.command, "{name}");
        let (ours, theirs) = (commands(ours), commands(theirs));
        assert_eq!(ours.len(), theirs.len(), "{name}");
        for pair in ours.into_iter().zip(theirs) {
            match pair {
                (CommandAttr::Service(ours), CommandAttr::Service(theirs)) => {
                    assert!(theirs.starts_with(&ours));
                }
                (CommandAttr::Daemon(ours), CommandAttr::Daemon(theirs)) => {
                    assert!(theirs.starts_with(&ours));
                }
                // A deletion needs no more than family, address and port.
                (CommandAttr::Dest(ours), CommandAttr::Dest(theirs)) if name == "del-dest" => {
                    assert_eq!(ours.len(), 3);
                    assert!(theirs.starts_with(&ours));
                }
                (ours, theirs) => assert_eq!(ours, theirs, "{name}"),
            }
        }
    }
}

#[test]
fn questions_are_those_of_ipvsadm() {
    for (name, command) in
        [("get-services", 4), ("get-daemons", 11), ("get-config", 13), ("get-info", 15)]
    {
        let theirs = capture(&format!("request-{name}"));
        let question = Message { command, body: Body::Command(Vec::new()) };
        assert_eq!(only_message(&theirs), question, "{name}");
        let dump = if command == 4 || command == 11 { NLM_F_DUMP } else { 0 };
        let mut ours = Vec::new();
        let flags = NLM_F_REQUEST | NLM_F_ACK | dump;
        message::write(
            GenlMessage::from_payload(question),
            FAMILY,
            flags,
            sequence(&theirs),
            &mut ours,
        );
        assert_eq!(without_port(&ours), without_port(&theirs), "{name}");
    }
}

/// Every captured message of the family, from either side, is written as it was read. Only the marks of nested
/// attributes differ, since the kernel does not set them.
#[test]
fn every_capture_is_written_as_it_was_read() {
    let mut n_messages = 0;
    for (name, bytes) in captures() {
        if name.ends_with("-family") {
            // Of the controller.
            continue;
        }
        let answers = answers(&bytes);
        let mut rest = bytes.as_slice();
        for Answer { sequence, content, .. } in answers {
            let (theirs, after) = rest.split_at(length(rest).next_multiple_of(4));
            rest = after;
            let Content::Message(message) = content else { continue };
            if u16::from_le_bytes([theirs[4], theirs[5]]) != FAMILY {
                continue;
            }
            let flags = u16::from_le_bytes([theirs[6], theirs[7]]);
            let mut ours = Vec::new();
            message::write(GenlMessage::from_payload(message), FAMILY, flags, sequence, &mut ours);
            assert_eq!(without_marks(&ours), without_marks(theirs), "{name}");
            n_messages += 1;
        }
        assert!(rest.is_empty(), "{name}");
    }
    assert_eq!(n_messages, 39);
}

#[test]
fn replies_about_services() {
    let mut services: Vec<_> =
        messages(&capture("reply-services")).into_iter().map(service_entry).collect();
    assert!(services.iter().all(|entry| entry.hashed && entry.stats == Stats::default()));
    services.sort_by_key(|entry| entry.service.id);
    let [tcp_v4, sip, udp_v6, mark] = services.try_into().unwrap();
    let flags = ServiceFlags::PERSISTENT;
    assert_eq!(
        tcp_v4.service,
        Service { flags, timeout_s: 60, ..Service::new(tcp("192.0.2.1:80"), "sed") }
    );
    let persistence_engine = Some("sip".to_owned());
    let expected = Service::new(udp("192.0.2.4:5060"), "rr");
    assert_eq!(sip.service, Service { flags, timeout_s: 300, persistence_engine, ..expected });
    let flags =
        flags | ServiceFlags::ONE_PACKET | ServiceFlags::SH_FALLBACK | ServiceFlags::SH_PORT;
    let expected = Service::new(udp("[2001:db8::1]:53"), "sh");
    assert_eq!(
        udp_v6.service,
        Service { flags, timeout_s: 300, netmask: Netmask::V6(64), ..expected }
    );
    assert_eq!(mark.service, Service::new(fwmark(AddressFamily::V6, 7), "mh"));

    assert_eq!(service_entry(only_message(&capture("reply-service"))), tcp_v4);
}

#[test]
fn replies_about_destinations() {
    let dests: Vec<_> = messages(&capture("reply-dests")).into_iter().map(dest_entry).collect();
    let [tunnelled, masqueraded] = dests.try_into().unwrap();
    let gue = Forwarding::Tunnel(Tunnel::gue(6080, TunnelFlags::REMOTE_CHECKSUM));
    assert_eq!(tunnelled.dest, Dest::new(socket("198.51.100.2:80"), gue, 3));
    assert_eq!(masqueraded.dest, Dest::new(socket("198.51.100.1:8080"), Forwarding::Masquerade, 0));

    let v6 = dest_entry(only_message(&capture("reply-dest-v6")));
    assert_eq!(v6.dest, Dest::new(socket("[2001:db8::53]:53"), Forwarding::Route, 1));
    assert_eq!((v6.active_connections, v6.stats), (0, Stats::default()));
}

/// `ipvsadm` showed the same: 4 connections, 20 packets in, 18 out, 1162 bytes in, 1574 out.
#[test]
fn replies_with_counters() {
    let service = service_entry(only_message(&capture("reply-service-counted")));
    let dest = dest_entry(only_message(&capture("reply-dest-counted")));
    let expected = Stats {
        connections: 4,
        packets_in: 20,
        packets_out: 18,
        bytes_in: 1162,
        bytes_out: 1574,
        connection_rate: 0,
        packet_rate_in: 1,
        packet_rate_out: 1,
        byte_rate_in: 82,
        byte_rate_out: 111,
    };
    assert_eq!(service.stats, expected);
    assert_eq!(dest.stats, expected);
    assert_eq!((dest.active_connections, dest.inactive_connections), (1, 3));
    assert_eq!(dest.persistent_connections, 1);
}

#[test]
fn replies_about_everything_else() {
    let Body::Info(attributes) = only_message(&capture("reply-info")).body else { panic!() };
    let version = Version { major: 1, minor: 2, patch: 1 };
    assert_eq!(Info::from_attributes(attributes), Info { version, connection_table_size: 4096 });

    let timeouts = Timeouts::from_attributes(commands(only_message(&capture("reply-config"))));
    assert_eq!(timeouts, Timeouts { tcp_s: 7200, tcp_fin_s: 120, udp_s: 60 });

    let daemons: Vec<_> = messages(&capture("reply-daemons"))
        .into_iter()
        .map(|message| match parts(message) {
            [CommandAttr::Daemon(attributes)] => SyncDaemon::from_attributes(attributes).unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    let backup = SyncDaemon {
        max_length: Some(1452),
        group: Some("ff05::81".parse().unwrap()),
        port: Some(8848),
        ttl: Some(1),
        ..SyncDaemon::new(DaemonState::Backup, "dummy0", 255)
    };
    assert_eq!(daemons, [master(), backup]);
}

#[test]
fn replies_without_content() {
    let content = |name: &str| {
        let bytes = capture(name);
        let [answer] = answers(&bytes).try_into().unwrap();
        assert_eq!(answer.sequence, sequence(&bytes));
        assert!(!answer.interrupted);
        answer.content
    };
    assert_eq!(content("reply-acknowledged"), Content::Acknowledged);
    assert_eq!(content("reply-refused"), Content::Refused(2));
    assert_eq!(content("reply-end-of-dump"), Content::Done);
}

#[test]
fn an_interrupted_dump_is_seen() {
    let mut bytes = capture("reply-end-of-dump");
    bytes[6] |= 0x10;
    assert!(answers(&bytes)[0].interrupted);
    // A dump can end in an error, too.
    bytes[16..20].copy_from_slice(&(-4_i32).to_le_bytes());
    assert_eq!(answers(&bytes)[0].content, Content::Refused(4));
}

/// A kernel before 3.18 sends no family of a destination, one before 4.1 no 64-bit counters, one before 5.3 no tunnel.
#[test]
fn replies_of_old_kernels() {
    let [CommandAttr::Dest(mut attributes)] = parts(only_message(&capture("reply-dest-counted")))
    else {
        panic!()
    };
    attributes.retain(|attribute| {
        !matches!(
            attribute,
            DestAttr::Family(_)
                | DestAttr::Stats64(_)
                | DestAttr::TunnelType(_)
                | DestAttr::TunnelPort(_)
                | DestAttr::TunnelFlags(_)
        )
    });
    let old = DestEntry::from_attributes(attributes, AddressFamily::V4).unwrap();
    assert_eq!(old, dest_entry(only_message(&capture("reply-dest-counted"))));
}

/// A newer kernel may send attributes that are not known here, inside and outside.
#[test]
fn unknown_attributes_are_skipped() {
    let plain = capture("reply-service");
    let unknown = [5, 0, 99, 0, 42, 0, 0, 0];
    let mut bytes = plain.clone();
    let nested = u16::from_le_bytes([bytes[20], bytes[21]]) + 8;
    bytes[20..22].copy_from_slice(&nested.to_le_bytes());
    bytes.splice(24..24, unknown);
    bytes.extend(unknown);
    let length = u32::try_from(bytes.len()).unwrap();
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    assert_eq!(only_message(&bytes), only_message(&plain));
}

// === a second decoder ===

type Neli = Nlmsghdr<u16, Genlmsghdr<u8, u16>>;

/// `neli` finds in our messages what we put there.
#[test]
fn neli_agrees() {
    let service = Service {
        flags: ServiceFlags::PERSISTENT | ServiceFlags::SCHED3,
        timeout_s: 360,
        netmask: Netmask::V4([255, 255, 0, 0].into()),
        persistence_engine: Some("sip".to_owned()),
        ..Service::new(udp("192.0.2.1:5060"), "wlc")
    };
    let dest = Dest {
        upper_threshold: 100,
        lower_threshold: 50,
        ..Dest::new(
            socket("[2001:db8::2]:8080"),
            Forwarding::Tunnel(Tunnel::gue(6080, TunnelFlags::CHECKSUM)),
            70_000,
        )
    };
    let requests =
        [Request::NewService(service.clone()), Request::NewDest(service.id, dest), Request::Flush];
    let mut bytes = Vec::new();
    message::write_batch(&requests, FAMILY, 41, &mut bytes);
    let mut cursor = Cursor::new(bytes.as_slice());
    let mut next = || Neli::from_bytes(&mut cursor).unwrap();

    let message = next();
    assert_eq!((*message.nl_type(), *message.nl_seq()), (FAMILY, 41));
    let payload = message.get_payload().unwrap();
    assert_eq!((*payload.cmd(), *payload.version()), (1, 1));
    let handle = payload.attrs().get_attr_handle();
    let inside = handle.get_nested_attributes::<u16>(1).unwrap();
    assert_eq!(inside.get_attr_payload_as::<u16>(1).unwrap(), 2);
    assert_eq!(inside.get_attr_payload_as::<u16>(2).unwrap(), 17);
    assert_eq!(inside.get_attr_payload_as::<u128>(3).unwrap().to_le_bytes()[..4], [192, 0, 2, 1]);
    assert_eq!(inside.get_attr_payload_as::<u16>(4).unwrap().to_be(), 5060);
    assert_eq!(inside.get_attr_payload_as_with_len::<String>(6).unwrap(), "wlc");
    assert_eq!(inside.get_attr_payload_as_with_len::<String>(11).unwrap(), "sip");
    assert_eq!(inside.get_attr_payload_as::<u64>(7).unwrap(), 0xffff_ffff_0000_0021);
    assert_eq!(inside.get_attr_payload_as::<u32>(8).unwrap(), 360);
    assert_eq!(inside.get_attr_payload_as::<u32>(9).unwrap().to_le_bytes(), [255, 255, 0, 0]);

    let message = next();
    assert_eq!(*message.nl_seq(), 42);
    let payload = message.get_payload().unwrap();
    assert_eq!(*payload.cmd(), 5);
    let handle = payload.attrs().get_attr_handle();
    assert_eq!(handle.get_nested_attributes::<u16>(1).unwrap().iter().count(), 4);
    let inside = handle.get_nested_attributes::<u16>(2).unwrap();
    assert_eq!(inside.get_attr_payload_as::<u16>(11).unwrap(), 10);
    let address = inside.get_attr_payload_as::<u128>(1).unwrap().to_be();
    assert_eq!(Ipv6Addr::from(address), "2001:db8::2".parse::<Ipv6Addr>().unwrap());
    assert_eq!(inside.get_attr_payload_as::<u16>(2).unwrap().to_be(), 8080);
    for (attribute, value) in [(3, 2), (4, 70_000), (5, 100), (6, 50)] {
        assert_eq!(inside.get_attr_payload_as::<u32>(attribute).unwrap(), value);
    }
    assert_eq!(inside.get_attr_payload_as::<u8>(13).unwrap(), 1);
    assert_eq!(inside.get_attr_payload_as::<u16>(14).unwrap().to_be(), 6080);
    assert_eq!(inside.get_attr_payload_as::<u16>(15).unwrap(), 1);

    let message = next();
    assert_eq!((*message.nl_seq(), *message.get_payload().unwrap().cmd()), (43, 17));
}

// === properties ===

fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
    ]
}

fn any_socket() -> impl Strategy<Value = SocketAddr> {
    (any_address(), any::<u16>()).prop_map(SocketAddr::from)
}

fn any_id() -> impl Strategy<Value = ServiceId> {
    let family = prop_oneof![Just(AddressFamily::V4), Just(AddressFamily::V6)];
    prop_oneof![
        (any::<u16>(), any_socket()).prop_map(|(number, address)| {
            ServiceId::Address { protocol: Protocol::from_number(number % 256), address }
        }),
        (family, 1_u32..).prop_map(|(family, mark)| fwmark(family, mark)),
    ]
}

fn any_service() -> impl Strategy<Value = Service> {
    let name = "[a-z0-9_]{1,15}";
    (any_id(), name, any::<u32>(), any::<u32>(), any::<u32>(), proptest::option::of(name)).prop_map(
        |(id, scheduler, flags, timeout_s, mask, persistence_engine)| Service {
            id,
            scheduler,
            flags: ServiceFlags::from_bits(flags),
            timeout_s,
            netmask: match id.family() {
                AddressFamily::V4 => Netmask::V4(mask.into()),
                AddressFamily::V6 => Netmask::V6(u8::try_from(mask % 128).unwrap() + 1),
            },
            persistence_engine,
        },
    )
}

fn any_forwarding() -> impl Strategy<Value = Forwarding> {
    let kind = prop_oneof![
        Just(TunnelKind::Ipip),
        Just(TunnelKind::Gue),
        Just(TunnelKind::Gre),
        (3_u8..).prop_map(TunnelKind::Other),
    ];
    prop_oneof![
        Just(Forwarding::Masquerade),
        Just(Forwarding::Local),
        Just(Forwarding::Route),
        Just(Forwarding::Bypass),
        (5_u32..8).prop_map(Forwarding::Other),
        (kind, any::<u16>(), any::<u16>()).prop_map(|(kind, port, flags)| {
            Forwarding::Tunnel(Tunnel { kind, port, flags: TunnelFlags::from_bits(flags) })
        }),
    ]
}

fn any_dest() -> impl Strategy<Value = Dest> {
    (any_socket(), any_forwarding(), any::<[u32; 3]>()).prop_map(
        |(address, forwarding, [weight, upper_threshold, lower_threshold])| Dest {
            address,
            forwarding,
            weight,
            upper_threshold,
            lower_threshold,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(0x1b5),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn services_are_read_as_they_were_written(service in any_service()) {
        let entry = service_entry(round(&Request::NewService(service.clone())));
        prop_assert_eq!(entry.service, service);
        prop_assert!(!entry.hashed);
    }

    #[test]
    fn destinations_are_read_as_they_were_written(id in any_id(), dest in any_dest()) {
        let [CommandAttr::Service(of), CommandAttr::Dest(attributes)] =
            parts(round(&Request::NewDest(id, dest))) else { panic!() };
        prop_assert_eq!(ServiceEntry::from_attributes(of).unwrap().service.id, id);
        prop_assert_eq!(DestEntry::from_attributes(attributes, id.family()).unwrap().dest, dest);
    }

    #[test]
    fn batches_hold_every_request_once(dests in prop::collection::vec(any_dest(), 0..40), first in any::<u32>()) {
        let id = tcp("192.0.2.1:80");
        let requests: Vec<_> = dests.iter().map(|dest| match dest.weight % 5 {
            0 => Request::NewService(Service::new(id, "a name that is too long")),
            _ => Request::NewDest(id, *dest),
        }).collect();
        let mut bytes = Vec::new();
        let batch = message::write_batch(&requests, FAMILY, first, &mut bytes);
        let mut rest = bytes.as_slice();
        for (index, request) in requests.iter().enumerate() {
            if batch.left_out.iter().any(|(left_out, _)| *left_out == index) {
                continue;
            }
            let flags = u16::from_le_bytes([rest[6], rest[7]]);
            prop_assert_eq!(flags & NLM_F_ACK != 0, batch.last == Some(index));
            let (one, after) = rest.split_at(length(rest));
            rest = after;
            prop_assert_eq!(sequence(one), first.wrapping_add(u32::try_from(index).unwrap()));
            prop_assert_eq!(only_message(one), request.to_message().unwrap());
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn nothing_panics_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all_ways(&bytes);
        // The same as the content of a message that is otherwise in order.
        let mut message = capture("request-get-info");
        message.extend(&bytes);
        let length = u32::try_from(message.len()).unwrap();
        message[..4].copy_from_slice(&length.to_le_bytes());
        for command in [1, 5, 9, 12, 14] {
            message[16] = command;
            read_all_ways(&message);
        }
    }

    #[test]
    fn nothing_panics_on_damaged_replies(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let captures = captures();
        let mut bytes = which.get(&captures.values().cloned().collect::<Vec<_>>()).clone();
        let place = at.index(bytes.len());
        bytes[place] = byte;
        read_all_ways(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        read_all_ways(&bytes);
    }
}

/// Reads whatever can be read; what comes out does not matter.
fn read_all_ways(bytes: &[u8]) {
    for answer in message::read::<Message>(bytes) {
        let Ok(Answer { content: Content::Message(message), .. }) = answer else { continue };
        match message.body {
            Body::Info(attributes) => {
                Info::from_attributes(attributes);
            }
            Body::Command(attributes) => {
                for attribute in attributes.clone() {
                    match attribute {
                        CommandAttr::Service(inside) => drop(ServiceEntry::from_attributes(inside)),
                        CommandAttr::Dest(inside) => {
                            drop(DestEntry::from_attributes(inside, AddressFamily::V4));
                        }
                        CommandAttr::Daemon(inside) => drop(SyncDaemon::from_attributes(inside)),
                        _ => {}
                    }
                }
                Timeouts::from_attributes(attributes);
            }
        }
    }
}

// === helpers ===

fn socket(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn tcp(address: &str) -> ServiceId {
    ServiceId::Address { protocol: Protocol::Tcp, address: socket(address) }
}

fn udp(address: &str) -> ServiceId {
    ServiceId::Address { protocol: Protocol::Udp, address: socket(address) }
}

fn fwmark(family: AddressFamily, mark: u32) -> ServiceId {
    ServiceId::Fwmark { family, mark: NonZeroU32::new(mark).unwrap() }
}

fn master() -> SyncDaemon {
    SyncDaemon {
        max_length: Some(1000),
        group: Some("239.255.0.81".parse().unwrap()),
        port: Some(9999),
        ttl: Some(3),
        ..SyncDaemon::new(DaemonState::Master, "dummy0", 7)
    }
}

/// Every capture, by its name.
fn captures() -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/capture");
    let names = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    names
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .map(|name| (name.clone(), capture(&name)))
        .collect()
}

/// The bytes of a capture, whose first line must say how it was made.
fn capture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/capture/{name}.hex"));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
    let (origin, bytes) = text.split_once('\n').unwrap();
    assert!(origin.starts_with("# ") && origin.contains("Linux 6.1.176"), "{name} has no origin");
    bytes.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn answers(bytes: &[u8]) -> Vec<Answer<Message>> {
    message::read(bytes).collect::<Result<_, _>>().unwrap()
}

fn messages(bytes: &[u8]) -> Vec<Message> {
    let contents = answers(bytes).into_iter().map(|answer| answer.content);
    contents
        .map(|content| match content {
            Content::Message(message) => message,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn only_message(bytes: &[u8]) -> Message {
    let [message] = messages(bytes).try_into().unwrap();
    message
}

fn commands(message: Message) -> Vec<CommandAttr> {
    match message.body {
        Body::Command(attributes) => attributes,
        Body::Info(attributes) => panic!("{attributes:?}"),
    }
}

/// The outermost attributes, if there are that many.
fn parts<const COUNT: usize>(message: Message) -> [CommandAttr; COUNT] {
    commands(message).try_into().unwrap()
}

fn service_entry(message: Message) -> ServiceEntry {
    match parts(message) {
        [CommandAttr::Service(attributes)] => ServiceEntry::from_attributes(attributes).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn dest_entry(message: Message) -> DestEntry {
    match parts(message) {
        [CommandAttr::Dest(attributes)] => {
            DestEntry::from_attributes(attributes, AddressFamily::V4).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

/// A request, written and read again.
fn round(request: &Request) -> Message {
    let mut bytes = Vec::new();
    message::write_batch(std::slice::from_ref(request), FAMILY, 1, &mut bytes);
    only_message(&bytes)
}

fn length(bytes: &[u8]) -> usize {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).try_into().unwrap()
}

fn sequence(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]])
}

fn without_port(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[12..16].fill(0);
    bytes
}

/// A message without the number of the socket and the marks of nested attributes.
fn without_marks(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = without_port(bytes);
    let mut place = 20;
    while place + 4 <= bytes.len() {
        bytes[place + 3] &= 0x7f;
        place +=
            usize::from(u16::from_le_bytes([bytes[place], bytes[place + 1]])).next_multiple_of(4);
    }
    bytes
}
