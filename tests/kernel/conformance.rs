//! What a kernel says to every change, right and wrong: one script for the real one and the one in memory.
//!
//! [`run`] holds a kernel to [`script`]; [`agree`] compares two kernels change by change. The table in memory is held
//! to the script by `tests/memory.rs` on every machine, the real one by the trials of `tests/kernel`.

use std::collections::BTreeMap;

use ldirectord::{
    ipvs::{Kernel, KernelError, KernelErrorKind, Op, SyncOp, Table},
    model::{
        Family, Forwarding, Mask, Persistence, Scheduler, SchedulerFlags, ServerKey, ServiceKey,
        Settings, Share, SyncDaemon, SyncRole, Thresholds, Transport, Tunnel, Weight,
    },
};
use proptest::{prelude::*, sample::select};

/// A change, and what ends the message about it; the empty text if it is made.
pub(crate) type Step = (Op, &'static str);

/// Every change of the script in turn; after each the table is as the changes that were made say.
pub(crate) fn run(kernel: &mut dyn Kernel) -> Result<(), String> {
    let mut expected = kernel.table().map_err(|error| error.to_string())?;
    if expected != Table::default() {
        return Err("the table is not empty".to_owned());
    }
    for (op, message) in script() {
        let results = kernel.apply(std::slice::from_ref(&op));
        match results.as_slice() {
            [Ok(())] if message.is_empty() => expected.record(&op),
            [Err(error)] if !message.is_empty() && error.message.ends_with(message) => {}
            results => return Err(format!("{op:?}: expected {message:?}, got {results:?}")),
        }
        let table = kernel.table().map_err(|error| error.to_string())?;
        if table != expected {
            return Err(format!("after {op:?}: expected {expected:?}, got {table:?}"));
        }
        let service = op.service();
        let entry = kernel.service(&service).map_err(|error| error.to_string())?;
        if entry.as_ref() != expected.services.get(&service) {
            return Err(format!("after {op:?}: {service} alone reads {entry:?}"));
        }
    }
    Ok(())
}

/// All changes at once on both kernels: the same answers, word for word, and the same tables.
pub(crate) fn agree(
    one: &mut dyn Kernel,
    other: &mut dyn Kernel,
    ops: &[Op],
) -> Result<(), String> {
    let answers = (one.apply(ops), other.apply(ops));
    for ((op, one), other) in ops.iter().zip(answers.0).zip(answers.1) {
        if one != other {
            return Err(format!("{op:?}: {one:?}, but {other:?}"));
        }
    }
    match (one.table(), other.table()) {
        (Ok(one), Ok(other)) if one == other => Ok(()),
        tables => Err(format!("{tables:?}")),
    }
}

// === sync daemons ===

/// The interface that a kernel needs for [`run_sync`]: of an MTU of 1500 bytes, and up.
pub(crate) const INTERFACE: &str = "dummy0";

/// Sync daemons come, are refused, and go; after each change those run that the changes that were made say.
pub(crate) fn run_sync(kernel: &mut dyn Kernel) -> Result<(), String> {
    let (web, one) = (tcp("192.0.2.1:80"), server("198.51.100.1:80"));
    let across =
        Op::AddServer(web, server("[2001:db8::9]:80"), forwarded(Forwarding::Tunnel(Tunnel::Ipip)));
    let table = [Op::AddService(web, plain("rr")), Op::AddServer(web, one, share(1))];
    all_made(&kernel.apply(&table))?;
    let mut expected = BTreeMap::new();
    for (op, message, length) in sync_script() {
        match (made(kernel, &op), &op) {
            (Ok(()), SyncOp::Start(role, daemon)) if message.is_empty() => {
                expected.insert(*role, SyncDaemon { max_length: Some(length), ..daemon.clone() });
            }
            (Ok(()), SyncOp::Stop(role)) if message.is_empty() => drop(expected.remove(role)),
            (Err(error), _) if !message.is_empty() && error.message.ends_with(message) => {}
            (result, _) => return Err(format!("{op:?}: expected {message:?}, got {result:?}")),
        }
        let running = kernel.sync_daemons().map_err(|error| error.to_string())?;
        if running != expected {
            return Err(format!("after {op:?}: expected {expected:?}, got {running:?}"));
        }
    }
    // Neither bears the other.
    let start = SyncOp::Start(SyncRole::Master, SyncDaemon::new(INTERFACE, 1));
    let refused = [kernel.apply(std::slice::from_ref(&across)).remove(0), {
        made(kernel, &SyncOp::Stop(SyncRole::Backup)).map_err(|error| error.to_string())?;
        all_made(&kernel.apply(std::slice::from_ref(&across)))?;
        kernel.apply_sync(&start)
    }];
    all_made(&kernel.apply(&[Op::DelService(web)]))?;
    match refused
        .iter()
        .all(|result| matches!(result, Err(error) if error.message.ends_with("(EINVAL)")))
    {
        true => Ok(()),
        false => Err(format!("{refused:?}")),
    }
}

/// The kernel does not answer when it stops a thread that has not run yet.
fn made(kernel: &mut dyn Kernel, op: &SyncOp) -> Result<(), KernelError> {
    // Its answer would be waited for; mostly the thread has run then.
    std::thread::sleep(std::time::Duration::from_millis(1));
    match (kernel.apply_sync(op), op) {
        (Err(error), SyncOp::Stop(_)) if error.kind == KernelErrorKind::Lost => Ok(()),
        (result, _) => result,
    }
}

fn all_made(results: &[Result<(), KernelError>]) -> Result<(), String> {
    results.iter().cloned().collect::<Result<(), _>>().map_err(|error| error.to_string())
}

/// Changes, what ends the message about each, and the length of message that the kernel then keeps.
fn sync_script() -> Vec<(SyncOp, &'static str, u16)> {
    let usual = SyncDaemon::new(INTERFACE, 5);
    let six = SyncDaemon { group: "ff02::81".parse().unwrap(), ..usual.clone() };
    let long = |max_length| SyncDaemon { max_length: Some(max_length), ..usual.clone() };
    let named = |name: &str| SyncDaemon::new(name, 5);
    let start = |role, daemon: &SyncDaemon| SyncOp::Start(role, daemon.clone());
    let (master, backup) = (SyncRole::Master, SyncRole::Backup);
    let stop = SyncOp::Stop;
    vec![
        (stop(master), "none runs (ESRCH)", 0),
        (start(master, &named("nonesuch0")), "there is no interface nonesuch0 (ENODEV)", 0),
        (start(master, &named("")), "an interface's name has 1 to 15 bytes", 0),
        (start(master, &named("sixteen_letters_")), "an interface's name has 1 to 15 bytes", 0),
        (start(master, &usual), "", 1472),
        (
            start(master, &usual),
            "cannot start the master sync daemon: another runs already (EEXIST)",
            0,
        ),
        // What is wrong with the interface counts before that one runs.
        (start(master, &named("nonesuch0")), "(ENODEV)", 0),
        (stop(backup), "(ESRCH)", 0),
        (stop(master), "", 0),
        (start(master, &long(1)), "", 1),
        (stop(master), "", 0),
        (start(master, &SyncDaemon { id: 255, port: 65535, ttl: 255, ..long(65535) }), "", 65507),
        (start(backup, &long(1)), "", 1024),
        (start(backup, &usual), "(EEXIST)", 0),
        (stop(backup), "", 0),
        (stop(master), "", 0),
        (start(backup, &SyncDaemon { max_length: Some(65535), ..six.clone() }), "", 65487),
        (stop(backup), "", 0),
        (
            start(backup, &SyncDaemon { group: "192.0.2.1".parse().unwrap(), ..usual.clone() }),
            "(EINVAL)",
            0,
        ),
        (
            start(backup, &SyncDaemon { group: "2001:db8::1".parse().unwrap(), ..six.clone() }),
            "(EINVAL)",
            0,
        ),
        (start(master, &six), "", 1452),
        (stop(master), "", 0),
        (start(backup, &usual), "", 1472),
    ]
}

// === the script ===

fn script() -> Vec<Step> {
    let mut steps = services();
    steps.extend(settings());
    steps.extend(servers());
    steps.extend(shares());
    steps.extend(addresses());
    steps
}

/// Services come, change, go, and are missed.
fn services() -> Vec<Step> {
    let web = tcp("192.0.2.1:80");
    let mut steps = vec![
        (Op::SetService(web, plain("rr")), "there is no such virtual service (ESRCH)"),
        (Op::DelService(web), "there is no such virtual service (ESRCH)"),
        (Op::AddServer(web, server("198.51.100.1:80"), share(1)), "(ESRCH)"),
        (Op::SetServer(web, server("198.51.100.1:80"), share(1)), "(ESRCH)"),
        (Op::DelServer(web, server("198.51.100.1:80")), "(ESRCH)"),
        // What is wrong with the service counts before what is wrong with the server.
        (Op::AddServer(web, server("224.0.0.1:80"), limited(0, 1)), "(ESRCH)"),
        (Op::AddService(web, plain("rr")), ""),
        (Op::AddService(web, plain("rr")), "it is there already (EEXIST)"),
        (Op::AddService(web, plain("nosuch")), "(EEXIST)"),
        (Op::AddServer(web, server("198.51.100.1:80"), share(1)), ""),
        // The servers of a service stay when it changes, and go with it.
        (Op::SetService(web, plain("wlc")), ""),
        (Op::DelService(web), ""),
        (Op::DelService(web), "(ESRCH)"),
        (Op::AddService(web, plain("wlc")), ""),
        (Op::DelService(web), ""),
    ];
    // Each of these is a service of its own.
    let keys = [
        tcp("192.0.2.1:80"),
        udp("192.0.2.1:80"),
        sctp("192.0.2.1:80"),
        tcp("192.0.2.1:81"),
        tcp("192.0.2.2:80"),
        tcp("0.0.0.0:80"),
        tcp("255.255.255.255:80"),
        tcp("192.0.2.1:0"),
        tcp("[2001:db8::1]:80"),
        udp("[2001:db8::1]:80"),
        tcp("[::]:80"),
        mark(Family::V4, 7),
        mark(Family::V6, 7),
        mark(Family::V4, u32::MAX),
    ];
    steps.extend(keys.map(|key| (Op::AddService(key, plain("wrr")), "")));
    steps.extend(keys.map(|key| (Op::AddService(key, plain("wrr")), "(EEXIST)")));
    steps.extend(keys.map(|key| (Op::DelService(key), "")));
    steps
}

/// What a service can be told.
fn settings() -> Vec<Step> {
    let (web, web6) = (tcp("192.0.2.1:80"), tcp("[2001:db8::1]:80"));
    let mut steps = vec![
        (Op::AddService(web, plain("nosuch")), "the kernel has no scheduler nosuch (ENOENT)"),
        (Op::AddService(web, plain("")), "a scheduler's name has 1 to 15 bytes"),
        (Op::AddService(web, plain("sixteen_letters_")), "a scheduler's name has 1 to 15 bytes"),
        (Op::AddService(web, plain("fifteen_letters")), "(ENOENT)"),
        (Op::SetService(web, plain("nosuch")), "(ESRCH)"),
        (Op::AddService(web, plain("rr")), ""),
        (Op::AddService(web6, plain("rr")), ""),
        (Op::SetService(web, plain("nosuch")), "(ENOENT)"),
        // A service without scheduler serves nothing, but can be there.
        (Op::SetService(web, plain("none")), ""),
        (Op::SetService(web, persistent(v4(255, 255, 255, 255), None)), ""),
        (Op::SetService(web, persistent(v4(255, 255, 255, 0), None)), ""),
        (Op::SetService(web, persistent(v4(0, 255, 0, 255), None)), ""),
        (Op::SetService(web, persistent(v4(0, 0, 0, 0), None)), ""),
        (Op::SetService(web, persistent(v4(255, 255, 255, 255), Some("sip"))), ""),
        (
            Op::SetService(web, persistent(v4(255, 255, 255, 255), Some("nosuch"))),
            "the kernel has no scheduler rr or no persistence engine nosuch (ENOENT)",
        ),
        (
            Op::SetService(web, persistent(v4(255, 255, 255, 255), Some(""))),
            "a persistence engine's name has 1 to 15 bytes",
        ),
        // Persistence goes with its engine and its mask.
        (Op::SetService(web, plain("rr")), ""),
        (Op::SetService(web, persistent(v4(255, 255, 255, 255), None)), ""),
        (Op::SetService(web6, persistent(Mask::V6(128), None)), ""),
        (Op::SetService(web6, persistent(Mask::V6(1), None)), ""),
        (Op::SetService(web6, persistent(Mask::V6(0), None)), "(EINVAL)"),
        (Op::SetService(web6, persistent(Mask::V6(129), None)), "(EINVAL)"),
        (
            Op::SetService(web6, persistent(v4(255, 255, 255, 0), None)),
            "an IPv4 netmask does not fit an IPv6 service",
        ),
        (
            Op::SetService(web, persistent(Mask::V6(64), None)),
            "an IPv6 prefix length does not fit an IPv4 service",
        ),
        (Op::SetService(web6, plain("rr")), ""),
    ];
    for scheduler in ldirectord::ipvs::memory::SCHEDULERS {
        for (first, second, third) in
            [(false, false, false), (true, false, false), (false, true, true)]
        {
            let flags = SchedulerFlags { first, second, third };
            let settings = Settings { flags, ..plain(scheduler) };
            steps.push((Op::SetService(web, settings), ""));
        }
    }
    let one_packet = Settings { one_packet: true, ..plain("rr") };
    steps.extend([
        (Op::AddService(udp("192.0.2.1:53"), one_packet.clone()), ""),
        (Op::SetService(udp("192.0.2.1:53"), plain("rr")), ""),
        // Of no use to TCP, but possible.
        (Op::SetService(web, one_packet), ""),
        (Op::DelService(udp("192.0.2.1:53")), ""),
        (Op::DelService(web), ""),
        (Op::DelService(web6), ""),
    ]);
    steps
}

/// Servers come, change, go, and are missed.
fn servers() -> Vec<Step> {
    let web = tcp("192.0.2.1:80");
    let one = server("198.51.100.1:80");
    let other = server("198.51.100.1:81");
    vec![
        (Op::AddService(web, plain("rr")), ""),
        (Op::SetServer(web, one, share(1)), "there is no such server (ENOENT)"),
        (Op::DelServer(web, one), "there is no such server (ENOENT)"),
        (Op::AddServer(web, one, share(1)), ""),
        (Op::AddServer(web, one, share(2)), "it is there already (EEXIST)"),
        (Op::AddServer(web, other, share(1)), ""),
        (Op::SetServer(web, other, share(3)), ""),
        (Op::DelServer(web, one), ""),
        (Op::DelServer(web, one), "(ENOENT)"),
        // The kernel may still have it for its connections; what it was told then is forgotten.
        (Op::AddServer(web, one, limited(9, 3)), ""),
        (Op::SetServer(web, one, share(1)), ""),
        (Op::DelService(web), ""),
    ]
}

/// What a server can be told.
fn shares() -> Vec<Step> {
    let web = tcp("192.0.2.1:80");
    let one = server("198.51.100.1:80");
    let absent = server("198.51.100.2:80");
    // No port is changed, whatever the method: that routing cannot change it is for us to know.
    let elsewhere = server("198.51.100.1:8080");
    let gue = |port| forwarded(Forwarding::Tunnel(Tunnel::Gue { port, checksum: 0 }));
    let mut steps = vec![
        (Op::AddService(web, plain("rr")), ""),
        (Op::AddServer(web, one, share(0)), ""),
        (Op::SetServer(web, one, Share { weight: Weight::MAX, ..share(0) }), ""),
        (Op::SetServer(web, one, limited(5, 0)), ""),
        (Op::SetServer(web, one, limited(5, 5)), ""),
        (Op::SetServer(web, one, limited(u32::MAX, u32::MAX)), ""),
        (Op::SetServer(web, one, limited(4, 5)), "(ERANGE)"),
        (
            Op::SetServer(web, one, limited(0, 5)),
            "the lower threshold 5 is above the upper one 0 (ERANGE)",
        ),
        // What is wrong with the share counts before whether the server is there.
        (Op::AddServer(web, one, limited(4, 5)), "(ERANGE)"),
        (Op::SetServer(web, absent, limited(4, 5)), "(ERANGE)"),
        (Op::SetServer(web, one, gue(6080)), ""),
        (Op::SetServer(web, one, gue(0)), "(EINVAL)"),
        (Op::SetServer(web, absent, gue(0)), "(EINVAL)"),
        (Op::AddServer(web, one, gue(0)), "(EINVAL)"),
        (Op::AddServer(web, elsewhere, forwarded(Forwarding::Route)), ""),
    ];
    for forwarding in [
        Forwarding::Masquerade,
        Forwarding::Tunnel(Tunnel::Ipip),
        Forwarding::Tunnel(Tunnel::Gue { port: 6080, checksum: 2 }),
        Forwarding::Tunnel(Tunnel::Gre { checksum: 1 }),
        Forwarding::Local,
        Forwarding::Bypass,
        Forwarding::Route,
    ] {
        steps.push((Op::SetServer(web, one, forwarded(forwarding)), ""));
        steps.push((Op::SetServer(web, elsewhere, forwarded(forwarding)), ""));
    }
    steps.push((Op::DelService(web), ""));
    steps
}

/// Where a server can be.
fn addresses() -> Vec<Step> {
    let (web, web6) = (tcp("192.0.2.1:80"), tcp("[2001:db8::1]:80"));
    let mut steps = vec![
        (Op::AddService(web, plain("rr")), ""),
        (Op::AddService(web6, plain("rr")), ""),
        (Op::AddService(mark(Family::V4, 7), plain("rr")), ""),
    ];
    let ipip = forwarded(Forwarding::Tunnel(Tunnel::Ipip));
    for (key, good) in [
        (web, ["198.51.100.1:1", "127.0.0.1:80", "240.0.0.1:80", "0.1.2.3:0"]),
        (web6, ["[2001:db8::2]:1", "[::1]:80", "[fd00::1]:80", "[2001:db8::1]:0"]),
        (mark(Family::V4, 7), ["198.51.100.1:0", "198.51.100.1:80", "127.0.0.1:1", "10.0.0.1:9"]),
    ] {
        for address in good {
            steps.push((Op::AddServer(key, server(address), share(1)), ""));
        }
    }
    for (key, bad) in [
        (web, ["0.0.0.0:80", "224.0.0.1:80", "239.9.9.9:80", "255.255.255.255:80"]),
        (web6, ["[::]:80", "[ff02::1]:80", "[fe80::1]:80", "[febf::1]:80"]),
    ] {
        for address in bad {
            steps.push((Op::AddServer(key, server(address), share(1)), "(EINVAL)"));
            steps.push((Op::SetServer(key, server(address), share(1)), "(ENOENT)"));
        }
    }
    // From one IP version to the other by tunnel only.
    for (key, address) in [(web, "[2001:db8::9]:80"), (web6, "198.51.100.9:80")] {
        let across = server(address);
        steps.extend([
            (Op::AddServer(key, across, forwarded(Forwarding::Route)), "(EINVAL)"),
            (Op::AddServer(key, across, forwarded(Forwarding::Masquerade)), "(EINVAL)"),
            (Op::AddServer(key, across, limited(4, 5)), "(EINVAL)"),
            (Op::SetServer(key, across, share(1)), "(EINVAL)"),
            (Op::DelServer(key, across), "(ENOENT)"),
            (Op::AddServer(key, across, ipip), ""),
            (Op::SetServer(key, across, share(1)), "(EINVAL)"),
            (Op::AddServer(key, across, ipip), "(EEXIST)"),
            (Op::DelServer(key, across), ""),
        ]);
    }
    steps.extend([
        (Op::DelService(web), ""),
        (Op::DelService(web6), ""),
        (Op::DelService(mark(Family::V4, 7)), ""),
    ]);
    steps
}

// === arbitrary changes ===

/// Changes around a few services and servers, many of them wrong.
pub(crate) fn some_ops() -> impl Strategy<Value = Vec<Op>> {
    let service = select(vec![
        tcp("192.0.2.1:80"),
        udp("192.0.2.1:80"),
        tcp("[2001:db8::1]:80"),
        mark(Family::V6, 7),
    ]);
    let server = select(vec![
        server("198.51.100.1:80"),
        server("198.51.100.1:8080"),
        server("[2001:db8::8]:80"),
        server("[ff02::1]:80"),
        server("224.0.0.1:80"),
    ]);
    let op = (0..9, service, server, some_settings(), some_share()).prop_map(
        |(what, service, server, settings, share)| match what {
            0 | 1 => Op::AddService(service, settings),
            2 => Op::SetService(service, settings),
            3 => Op::DelService(service),
            4..=6 => Op::AddServer(service, server, share),
            7 => Op::SetServer(service, server, share),
            _ => Op::DelServer(service, server),
        },
    );
    prop::collection::vec(op, 1..80)
}

fn some_settings() -> impl Strategy<Value = Settings> {
    let mask = select(vec![v4(255, 255, 255, 0), v4(255, 255, 255, 255), Mask::V6(64)]);
    let engine = select(vec![None, None, Some("sip"), Some("nosuch")]);
    let persistence = prop::option::of((1_u32..1000, mask, engine));
    let scheduler = select(vec!["rr", "wrr", "sh", "mh", "lblc", "ovf", "nosuch", "none"]);
    (scheduler, persistence, any::<[bool; 4]>()).prop_map(
        |(scheduler, persistence, [first, second, third, one_packet])| Settings {
            scheduler: Scheduler(scheduler.to_owned()),
            flags: SchedulerFlags { first, second, third },
            persistence: persistence.map(|(timeout_s, mask, engine)| Persistence {
                timeout_s,
                mask,
                engine: engine.map(str::to_owned),
            }),
            one_packet,
        },
    )
}

fn some_share() -> impl Strategy<Value = Share> {
    let forwarding = select(vec![
        Forwarding::Route,
        Forwarding::Masquerade,
        Forwarding::Tunnel(Tunnel::Ipip),
        Forwarding::Tunnel(Tunnel::Gue { port: 6080, checksum: 1 }),
        Forwarding::Tunnel(Tunnel::Gue { port: 0, checksum: 0 }),
        Forwarding::Tunnel(Tunnel::Gre { checksum: 1 }),
    ]);
    (forwarding, 0..=Weight::MAX.get(), 0_u32..3, 0_u32..2).prop_map(
        |(forwarding, weight, upper, lower)| Share {
            forwarding,
            weight: Weight::new(weight).unwrap(),
            thresholds: Thresholds { upper, lower },
        },
    )
}

// === words ===

fn tcp(address: &str) -> ServiceKey {
    ServiceKey::Address { transport: Transport::Tcp, address: address.parse().unwrap() }
}

fn udp(address: &str) -> ServiceKey {
    ServiceKey::Address { transport: Transport::Udp, address: address.parse().unwrap() }
}

fn sctp(address: &str) -> ServiceKey {
    ServiceKey::Address { transport: Transport::Sctp, address: address.parse().unwrap() }
}

fn mark(family: Family, mark: u32) -> ServiceKey {
    ServiceKey::Fwmark { family, mark: mark.try_into().unwrap() }
}

fn server(address: &str) -> ServerKey {
    ServerKey(address.parse().unwrap())
}

fn plain(scheduler: &str) -> Settings {
    Settings { scheduler: Scheduler(scheduler.to_owned()), ..Settings::default() }
}

fn persistent(mask: Mask, engine: Option<&str>) -> Settings {
    let engine = engine.map(str::to_owned);
    Settings { persistence: Some(Persistence { timeout_s: 300, mask, engine }), ..plain("rr") }
}

fn v4(a: u8, b: u8, c: u8, d: u8) -> Mask {
    Mask::V4([a, b, c, d].into())
}

fn share(weight: u32) -> Share {
    Share {
        forwarding: Forwarding::Route,
        weight: Weight::new(weight).unwrap(),
        thresholds: Thresholds::default(),
    }
}

fn forwarded(forwarding: Forwarding) -> Share {
    Share { forwarding, ..share(1) }
}

fn limited(upper: u32, lower: u32) -> Share {
    Share { thresholds: Thresholds { upper, lower }, ..share(1) }
}
