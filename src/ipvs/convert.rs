//! Our words and the kernel's: the only file that knows both.
//!
//! In go [`Op`]s, out come requests; in go the kernel's entries, out come keys with [`Settings`] and [`Share`]s.
//! What the kernel can hold and we have no words for (other transport protocols, forwarding methods and tunnels of
//! later kernels) is left out: it cannot be ours, and must not keep the rest of the table from being read.

use ipvs_sys::{
    AddressFamily, DaemonState, Dest, Netmask, Protocol, Request, Service, ServiceFlags, ServiceId,
    TunnelFlags, TunnelKind,
};

use super::{Op, SyncOp};
use crate::model::{
    Family, Forwarding, Mask, Persistence, Scheduler, SchedulerFlags, ServerKey, ServiceKey,
    Settings, Share, SyncDaemon, SyncRole, Thresholds, Transport, Tunnel, Weight,
};

/// What the kernel is asked to do.
pub(super) fn request(op: &Op) -> Request {
    match op {
        Op::AddService(key, settings) => Request::NewService(service(key, settings)),
        Op::SetService(key, settings) => Request::SetService(service(key, settings)),
        Op::DelService(key) => Request::DelService(service_id(key)),
        Op::AddServer(key, server, share) => Request::NewDest(service_id(key), dest(server, share)),
        Op::SetServer(key, server, share) => Request::SetDest(service_id(key), dest(server, share)),
        Op::DelServer(key, server) => Request::DelDest(service_id(key), server.0),
    }
}

/// What the kernel is asked to do with a sync daemon.
pub(super) fn sync_request(op: &SyncOp) -> Request {
    match op {
        SyncOp::Start(role, daemon) => Request::NewDaemon(ipvs_sys::SyncDaemon {
            state: state(*role),
            interface: daemon.interface.clone(),
            sync_id: daemon.id.into(),
            max_length: daemon.max_length,
            group: Some(daemon.group),
            port: Some(daemon.port),
            ttl: Some(daemon.ttl),
        }),
        SyncOp::Stop(role) => Request::DelDaemon(state(*role)),
    }
}

/// A sync daemon of the kernel in our words.
pub(super) fn read_sync(daemon: ipvs_sys::SyncDaemon) -> (SyncRole, SyncDaemon) {
    let role = match daemon.state {
        DaemonState::Master => SyncRole::Master,
        DaemonState::Backup => SyncRole::Backup,
    };
    let daemon = SyncDaemon {
        interface: daemon.interface,
        // Its packets carry eight bits of it.
        id: daemon.sync_id.to_le_bytes()[0],
        group: daemon.group.unwrap_or(SyncDaemon::GROUP),
        port: daemon.port.unwrap_or(SyncDaemon::PORT),
        ttl: daemon.ttl.unwrap_or(SyncDaemon::TTL),
        max_length: daemon.max_length,
    };
    (role, daemon)
}

fn state(role: SyncRole) -> DaemonState {
    match role {
        SyncRole::Master => DaemonState::Master,
        SyncRole::Backup => DaemonState::Backup,
    }
}

/// What the kernel knows a service by.
pub(super) fn service_id(key: &ServiceKey) -> ServiceId {
    match *key {
        ServiceKey::Address { transport, address } => {
            let protocol = match transport {
                Transport::Tcp => Protocol::Tcp,
                Transport::Udp => Protocol::Udp,
                Transport::Sctp => Protocol::Sctp,
            };
            ServiceId::Address { protocol, address }
        }
        ServiceKey::Fwmark { family, mark } => {
            ServiceId::Fwmark { family: address_family(family), mark }
        }
    }
}

/// A service of the kernel in our words, if there are any for it.
pub(super) fn read_service(service: Service) -> Option<(ServiceKey, Settings)> {
    let key = match service.id {
        ServiceId::Address { protocol, address } => {
            let transport = match protocol {
                Protocol::Tcp => Transport::Tcp,
                Protocol::Udp => Transport::Udp,
                Protocol::Sctp => Transport::Sctp,
                Protocol::Other(_) => return None,
            };
            ServiceKey::Address { transport, address }
        }
        ServiceId::Fwmark { family: AddressFamily::V4, mark } => {
            ServiceKey::Fwmark { family: Family::V4, mark }
        }
        ServiceId::Fwmark { family: AddressFamily::V6, mark } => {
            ServiceKey::Fwmark { family: Family::V6, mark }
        }
    };
    let has = |flag| service.flags.contains(flag);
    // Without the flag the kernel keeps a timeout and a mask as well, and does not use them.
    let persistence = has(ServiceFlags::PERSISTENT).then(|| Persistence {
        timeout_s: service.timeout_s,
        mask: match service.netmask {
            Netmask::V4(mask) => Mask::V4(mask),
            Netmask::V6(length) => Mask::V6(length),
        },
        engine: service.persistence_engine.clone(),
    });
    let settings = Settings {
        flags: SchedulerFlags {
            first: has(ServiceFlags::SCHED1),
            second: has(ServiceFlags::SCHED2),
            third: has(ServiceFlags::SCHED3),
        },
        persistence,
        one_packet: has(ServiceFlags::ONE_PACKET),
        scheduler: Scheduler(service.scheduler),
    };
    Some((key, settings))
}

/// A server of the kernel in our words, if there are any for it.
pub(super) fn read_dest(dest: &Dest) -> Option<(ServerKey, Share)> {
    let forwarding = match dest.forwarding {
        ipvs_sys::Forwarding::Masquerade => Forwarding::Masquerade,
        ipvs_sys::Forwarding::Local => Forwarding::Local,
        ipvs_sys::Forwarding::Route => Forwarding::Route,
        ipvs_sys::Forwarding::Bypass => Forwarding::Bypass,
        ipvs_sys::Forwarding::Tunnel(tunnel) => Forwarding::Tunnel(match tunnel.kind {
            TunnelKind::Ipip => Tunnel::Ipip,
            TunnelKind::Gue => Tunnel::Gue { port: tunnel.port, checksum: tunnel.flags.bits() },
            TunnelKind::Gre => Tunnel::Gre { checksum: tunnel.flags.bits() },
            TunnelKind::Other(_) => return None,
        }),
        ipvs_sys::Forwarding::Other(_) => return None,
    };
    let share = Share {
        forwarding,
        // The kernel has no larger one.
        weight: Weight::new(dest.weight).unwrap_or(Weight::MAX),
        thresholds: Thresholds { upper: dest.upper_threshold, lower: dest.lower_threshold },
    };
    Some((ServerKey(dest.address), share))
}

fn service(key: &ServiceKey, settings: &Settings) -> Service {
    let persistence = settings.persistence.as_ref();
    let wishes = [
        (persistence.is_some(), ServiceFlags::PERSISTENT),
        (settings.one_packet, ServiceFlags::ONE_PACKET),
        (settings.flags.first, ServiceFlags::SCHED1),
        (settings.flags.second, ServiceFlags::SCHED2),
        (settings.flags.third, ServiceFlags::SCHED3),
    ];
    let flags = wishes.iter().filter(|(wished, _)| *wished);
    Service {
        id: service_id(key),
        scheduler: settings.scheduler.0.clone(),
        flags: flags.fold(ServiceFlags::NONE, |flags, (_, flag)| flags | *flag),
        timeout_s: persistence.map_or(0, |persistence| persistence.timeout_s),
        netmask: match persistence.map(|persistence| persistence.mask) {
            Some(Mask::V4(mask)) => Netmask::V4(mask),
            Some(Mask::V6(length)) => Netmask::V6(length),
            None => Netmask::full(address_family(key.family())),
        },
        persistence_engine: persistence.and_then(|persistence| persistence.engine.clone()),
    }
}

fn dest(server: &ServerKey, share: &Share) -> Dest {
    let forwarding = match share.forwarding {
        Forwarding::Masquerade => ipvs_sys::Forwarding::Masquerade,
        Forwarding::Local => ipvs_sys::Forwarding::Local,
        Forwarding::Route => ipvs_sys::Forwarding::Route,
        Forwarding::Bypass => ipvs_sys::Forwarding::Bypass,
        Forwarding::Tunnel(tunnel) => ipvs_sys::Forwarding::Tunnel(match tunnel {
            Tunnel::Ipip => ipvs_sys::Tunnel::IPIP,
            Tunnel::Gue { port, checksum } => {
                ipvs_sys::Tunnel::gue(port, TunnelFlags::from_bits(checksum))
            }
            Tunnel::Gre { checksum } => ipvs_sys::Tunnel::gre(TunnelFlags::from_bits(checksum)),
        }),
    };
    Dest {
        upper_threshold: share.thresholds.upper,
        lower_threshold: share.thresholds.lower,
        ..Dest::new(server.0, forwarding, share.weight.get())
    }
}

fn address_family(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::V4,
        Family::V6 => AddressFamily::V6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let keys = [
            ServiceKey::Address {
                transport: Transport::Sctp,
                address: "192.0.2.1:80".parse().unwrap(),
            },
            ServiceKey::Fwmark { family: Family::V6, mark: 7.try_into().unwrap() },
        ];
        let everything = Settings {
            scheduler: Scheduler("mh".to_owned()),
            flags: SchedulerFlags { first: true, second: false, third: true },
            persistence: Some(Persistence {
                timeout_s: 300,
                mask: Mask::V6(64),
                engine: Some("sip".to_owned()),
            }),
            one_packet: true,
        };
        for key in keys {
            for settings in [Settings::default(), everything.clone()] {
                let there = service(&key, &settings);
                assert_eq!(read_service(there), Some((key, settings)));
            }
        }
        let methods = [
            Forwarding::Route,
            Forwarding::Masquerade,
            Forwarding::Local,
            Forwarding::Bypass,
            Forwarding::Tunnel(Tunnel::Ipip),
            Forwarding::Tunnel(Tunnel::Gue { port: 6080, checksum: 2 }),
            Forwarding::Tunnel(Tunnel::Gre { checksum: 1 }),
        ];
        for forwarding in methods {
            let server = ServerKey("[2001:db8::7]:81".parse().unwrap());
            let thresholds = Thresholds { upper: 9, lower: 8 };
            let share = Share { forwarding, weight: Weight::MAX, thresholds };
            assert_eq!(read_dest(&dest(&server, &share)), Some((server, share)));
        }
    }

    #[test]
    fn a_sync_daemon_that_is_started_reads_back() {
        let group = "ff02::81".parse().unwrap();
        let unusual = SyncDaemon {
            group,
            port: 9,
            ttl: 2,
            max_length: Some(8000),
            ..SyncDaemon::new("eth1", 255)
        };
        for role in SyncRole::ALL {
            for daemon in [SyncDaemon::new("eth0", 5), unusual.clone()] {
                let Request::NewDaemon(there) = sync_request(&SyncOp::Start(role, daemon.clone()))
                else {
                    panic!("no request to start one");
                };
                assert_eq!(read_sync(there), (role, daemon));
            }
        }
    }

    #[test]
    fn what_we_have_no_words_for_is_left_out() {
        let key = ServiceKey::Fwmark { family: Family::V4, mark: 7.try_into().unwrap() };
        let id = ServiceId::Address {
            protocol: Protocol::Other(50),
            address: "192.0.2.1:80".parse().unwrap(),
        };
        let esp = Service { id, ..service(&key, &Settings::default()) };
        assert_eq!(read_service(esp), None);
        let later = Dest::new("192.0.2.1:80".parse().unwrap(), ipvs_sys::Forwarding::Other(6), 1);
        assert_eq!(read_dest(&later), None);
    }

    #[test]
    fn a_mask_without_persistence_is_nothing() {
        let key = ServiceKey::Fwmark { family: Family::V4, mark: 7.try_into().unwrap() };
        let left_over = Service {
            timeout_s: 300,
            netmask: Netmask::V4([255, 255, 0, 0].into()),
            ..service(&key, &Settings::default())
        };
        assert_eq!(read_service(left_over), Some((key, Settings::default())));
    }
}
