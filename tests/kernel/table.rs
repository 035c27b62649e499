//! The kernel's own table through `ipvs::netlink`: held to the script, and to what `ipvsadm` reads and writes.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
    time::Instant,
};

use ldirectord::{
    ipvs::{
        Change, Entry, Job, Kernel, KernelErrorKind, Op, Reconciler, Table, Target, Wanted, Wish,
        memory::Memory, netlink::Netlink, plan,
    },
    model::{
        Family, Forwarding, Mask, Persistence, Scheduler, SchedulerFlags, ServerKey, ServiceKey,
        Settings, Share, Thresholds, Transport, Tunnel, Weight,
    },
};
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};

use super::conformance;

/// Name and body of every trial; each needs a network namespace of its own.
pub(crate) const TRIALS: &[(&str, fn())] = &[
    ("table_does_what_the_script_says", does_what_the_script_says),
    ("table_in_memory_agrees_with_the_kernel", memory_agrees),
    ("table_is_what_ipvsadm_reads_and_writes", agrees_with_ipvsadm),
    ("table_has_every_scheduler", has_every_scheduler),
    ("table_of_a_network_namespace_is_its_own", is_of_the_namespace),
    ("service_deleted_behind_our_back_comes_back", vanished_service),
    ("server_added_behind_our_back_is_changed", contested_server),
    ("weight_set_by_a_person_stays_until_reload", weight_of_a_person),
    ("unknown_scheduler_gives_a_sentence_and_a_hint", unknown_scheduler),
    ("without_cap_net_admin_everything_is_denied", without_capability),
    ("largest_table_is_written_and_read", largest_table),
];

// === trials: what the kernel says ===

fn does_what_the_script_says() {
    assert_eq!(conformance::run(&mut Netlink::default()), Ok(()));
}

fn memory_agrees() {
    let mut runner = TestRunner::deterministic();
    let some_ops = conformance::some_ops();
    let mut kernel = Netlink::default();
    for _ in 0..100 {
        let ops = some_ops.new_tree(&mut runner).unwrap().current();
        let mut memory = Memory::default();
        assert_eq!(conformance::agree(&mut kernel, &mut memory, &ops), Ok(()));
        clear(&mut kernel);
    }
}

fn has_every_scheduler() {
    let mut kernel = Netlink::default();
    for (port, scheduler) in (1..).zip(ldirectord::ipvs::memory::SCHEDULERS) {
        let key = tcp(&format!("192.0.2.1:{port}"));
        assert_eq!(kernel.apply(&[Op::AddService(key, plain(scheduler))]), [Ok(())]);
        let line = format!("-A -t 192.0.2.1:{port} -s {scheduler}");
        assert!(ipvsadm(&["-Sn"]).lines().any(|said| said.trim_end() == line), "{line}");
    }
}

fn is_of_the_namespace() {
    let mut kernel = Netlink::default();
    assert_eq!(kernel.apply(&[Op::AddService(tcp("192.0.2.1:80"), plain("rr"))]), [Ok(())]);
    let elsewhere = Command::new("unshare").args(["--net", "ipvsadm", "-Sn"]).output().unwrap();
    assert!(elsewhere.status.success());
    assert_eq!(String::from_utf8(elsewhere.stdout).unwrap(), "");
}

// === trials: ipvsadm ===

/// A table in the words of `ipvsadm -Sn`.
const SAVED: &str = "\
-A -t 192.0.2.1:80 -s wrr
-a -t 192.0.2.1:80 -r 198.51.100.1:80 -g -w 1
-a -t 192.0.2.1:80 -r 198.51.100.2:8080 -m -w 0
-a -t 192.0.2.1:80 -r 198.51.100.3:80 -i -w 2147483647 -x 100 -y 50 --tun-type ipip
-a -t 192.0.2.1:80 -r 198.51.100.4:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum
-a -t 192.0.2.1:80 -r 198.51.100.5:80 -i -w 1 --tun-type gre --tun-csum
-A -t 192.0.2.1:443 -s sh -p 300 -M 255.255.255.0 -b sh-fallback,sh-port
-A -u 192.0.2.1:53 -s rr -o
-a -u 192.0.2.1:53 -r 127.0.0.1:5353 -m -w 3
-A -u 192.0.2.1:5060 -s mh -p 60 --pe sip -b mh-port
-A --sctp-service 192.0.2.1:80 -s lc -b flag-1,flag-3
-A -t [2001:db8::1]:80 -s wlc -p 600 -M 64
-a -t [2001:db8::1]:80 -r [2001:db8::8]:81 -m -w 5
-a -t [2001:db8::1]:80 -r 198.51.100.9:80 -i -w 1 --tun-type ipip
-A -f 7 -s rr
-a -f 7 -r 198.51.100.1:0 -g -w 1
-A -f 7 -6 -s rr
-a -f 7 -6 -r [2001:db8::8]:0 -g -w 1
";

/// The same in our words.
fn saved() -> Table {
    let masked = |settings: Settings, timeout_s, mask, engine: Option<&str>| Settings {
        persistence: Some(Persistence { timeout_s, mask, engine: engine.map(str::to_owned) }),
        ..settings
    };
    let flagged = |settings, first, second, third| Settings {
        flags: SchedulerFlags { first, second, third },
        ..settings
    };
    let gue = Tunnel::Gue { port: 6080, checksum: 0 };
    let busy = Share {
        weight: Weight::MAX,
        thresholds: Thresholds { upper: 100, lower: 50 },
        ..share(Forwarding::Tunnel(Tunnel::Ipip), 0)
    };
    let class_c = Mask::V4([255, 255, 255, 0].into());
    let services = [
        (
            tcp("192.0.2.1:80"),
            entry(
                plain("wrr"),
                &[
                    ("198.51.100.1:80", share(Forwarding::Route, 1)),
                    ("198.51.100.2:8080", share(Forwarding::Masquerade, 0)),
                    ("198.51.100.3:80", busy),
                    ("198.51.100.4:80", share(Forwarding::Tunnel(gue), 1)),
                    ("198.51.100.5:80", share(Forwarding::Tunnel(Tunnel::Gre { checksum: 1 }), 1)),
                ],
            ),
        ),
        (
            tcp("192.0.2.1:443"),
            entry(flagged(masked(plain("sh"), 300, class_c, None), true, true, false), &[]),
        ),
        (
            udp("192.0.2.1:53"),
            entry(
                Settings { one_packet: true, ..plain("rr") },
                &[("127.0.0.1:5353", share(Forwarding::Masquerade, 3))],
            ),
        ),
        (
            udp("192.0.2.1:5060"),
            entry(
                flagged(
                    masked(plain("mh"), 60, Mask::whole(Family::V4), Some("sip")),
                    false,
                    true,
                    false,
                ),
                &[],
            ),
        ),
        (
            ServiceKey::Address {
                transport: Transport::Sctp,
                address: "192.0.2.1:80".parse().unwrap(),
            },
            entry(flagged(plain("lc"), true, false, true), &[]),
        ),
        (
            tcp("[2001:db8::1]:80"),
            entry(
                masked(plain("wlc"), 600, Mask::V6(64), None),
                &[
                    ("[2001:db8::8]:81", share(Forwarding::Masquerade, 5)),
                    ("198.51.100.9:80", share(Forwarding::Tunnel(Tunnel::Ipip), 1)),
                ],
            ),
        ),
        (
            mark(Family::V4, 7),
            entry(plain("rr"), &[("198.51.100.1:0", share(Forwarding::Route, 1))]),
        ),
        (
            mark(Family::V6, 7),
            entry(plain("rr"), &[("[2001:db8::8]:0", share(Forwarding::Route, 1))]),
        ),
    ];
    Table { services: services.into() }
}

/// What `ipvsadm` wrote we read; what we wrote `ipvsadm` reads, and it is the same.
fn agrees_with_ipvsadm() {
    restore(SAVED);
    let said = ipvsadm(&["-Sn"]);
    let mut kernel = Netlink::default();
    assert_eq!(kernel.table().unwrap(), saved());
    for (key, entry) in saved().services {
        assert_eq!(kernel.service(&key).unwrap(), Some(entry));
    }
    clear(&mut kernel);
    assert_eq!(ipvsadm(&["-Sn"]), "");
    make(&mut kernel, &saved());
    assert_eq!(sorted(&ipvsadm(&["-Sn"])), sorted(&said));
    assert_eq!(kernel.table().unwrap(), saved());
    // And from anything else to it: every setting is changed in place.
    let other = Table {
        services: saved()
            .services
            .into_iter()
            .map(|(key, mut entry)| {
                entry.settings = plain("nq");
                for share in entry.servers.values_mut() {
                    *share = Share { weight: Weight::ONE, ..*share };
                    share.thresholds = Thresholds { upper: 1, lower: 1 };
                }
                (key, entry)
            })
            .collect(),
    };
    make(&mut kernel, &other);
    assert_eq!(kernel.table().unwrap(), other);
    make(&mut kernel, &saved());
    assert_eq!(sorted(&ipvsadm(&["-Sn"])), sorted(&said));
}

// === trials: people beside us ===

fn vanished_service() {
    let (mut reconciler, target) = settled();
    ipvsadm(&["-D", "-t", "192.0.2.1:80"]);
    let report = reconciler.run(&Job::Changes(vec![change("198.51.100.2:80", 0)]));
    let key = tcp("192.0.2.1:80");
    let expected = [
        (Op::AddService(key, plain("wrr")), Ok(())),
        (Op::AddServer(key, server("198.51.100.1:80"), share(Forwarding::Route, 1)), Ok(())),
        (Op::AddServer(key, server("198.51.100.2:80"), share(Forwarding::Route, 0)), Ok(())),
    ];
    assert_eq!(report.done, expected);
    let saved = "\
-A -t 192.0.2.1:80 -s wrr
-a -t 192.0.2.1:80 -r 198.51.100.1:80 -g -w 1
-a -t 192.0.2.1:80 -r 198.51.100.2:80 -g -w 0
";
    assert_eq!(sorted(&ipvsadm(&["-Sn"])), sorted(saved));

    ipvsadm(&["-D", "-t", "192.0.2.1:80"]);
    let report = reconciler.run(&Job::Drift(target));
    assert_eq!(report.done.len(), 3);
    assert!(report.done.iter().all(|(_, result)| result.is_ok()), "{report:?}");
}

fn contested_server() {
    let (mut reconciler, _) = settled();
    ipvsadm(&["-a", "-t", "192.0.2.1:80", "-r", "198.51.100.3:80", "-m", "-w", "9"]);
    let report = reconciler.run(&Job::Changes(vec![change("198.51.100.3:80", 1)]));
    let (key, third) = (tcp("192.0.2.1:80"), server("198.51.100.3:80"));
    let set = Op::SetServer(key, third, share(Forwarding::Route, 1));
    assert_eq!(report.done, [(set, Ok(()))]);
    // And one that somebody deleted just before we would.
    ipvsadm(&["-d", "-t", "192.0.2.1:80", "-r", "198.51.100.3:80"]);
    let gone = Change { service: key, server: third, wanted: Wanted::Absent };
    assert_eq!(reconciler.run(&Job::Changes(vec![gone])).done, []);
    assert_eq!(reconciler.table().unwrap().services[&key].servers.len(), 2);
}

fn weight_of_a_person() {
    let (mut reconciler, target) = settled();
    let key = tcp("192.0.2.1:80");
    ipvsadm(&["-e", "-t", "192.0.2.1:80", "-r", "198.51.100.1:80", "-g", "-w", "0"]);
    ipvsadm(&["-d", "-t", "192.0.2.1:80", "-r", "198.51.100.2:80"]);
    let report = reconciler.run(&Job::Drift(target.clone()));
    let second = server("198.51.100.2:80");
    let back = Op::AddServer(key, second, share(Forwarding::Route, 1));
    assert_eq!(report.done, [(back, Ok(()))]);
    assert_eq!(report.drifted, [(key, Some(server("198.51.100.1:80")))]);
    let drained = reconciler.table().unwrap().services[&key].servers[&server("198.51.100.1:80")];
    assert_eq!(drained.weight, Weight::ZERO);
    let report = reconciler.run(&Job::Everything(target));
    assert_eq!(report.done.len(), 1);
    assert_eq!(report.found, [key]);
}

// === trials: what a person reads ===

fn unknown_scheduler() {
    let results = Netlink::default().apply(&[Op::AddService(tcp("192.0.2.1:80"), plain("nosuch"))]);
    let [Err(error)] = results.as_slice() else { panic!("{results:?}") };
    assert_eq!(error.kind, KernelErrorKind::Unsupported);
    assert_eq!(
        error.to_string(),
        "cannot add virtual service tcp 192.0.2.1:80: the kernel has no scheduler nosuch (ENOENT)\n\
         hint: check the name, and that modprobe finds ip_vs_nosuch"
    );
}

/// Set for a copy of this program that has no capability.
const WITHOUT: &str = "LDIRECTORD_TRIAL_WITHOUT_CAPABILITY";

/// Runs itself once more without capabilities; [`denied`] is then what runs.
fn without_capability() {
    let this = std::env::current_exe().unwrap();
    let output = Command::new("setpriv")
        .args(["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"])
        .arg(this)
        .args(["--exact", "without_cap_net_admin_everything_is_denied"])
        .env(WITHOUT, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Runs in the place of a trial if this is a copy of the program that has no capability.
pub(crate) fn denied() -> Option<fn()> {
    std::env::var_os(WITHOUT)?;
    Some(|| {
        let mut kernel = Netlink::default();
        let error = kernel.table().unwrap_err();
        assert_eq!(error.kind, KernelErrorKind::Denied);
        assert_eq!(
            error.to_string(),
            "cannot read the IPVS table: permission denied (EPERM)\n\
             hint: the daemon needs CAP_NET_ADMIN"
        );
        let key = tcp("192.0.2.1:80");
        let add = Op::AddServer(key, server("10.0.0.7:80"), share(Forwarding::Route, 1));
        let results = kernel.apply(&[add]);
        let [Err(error)] = results.as_slice() else { panic!("{results:?}") };
        assert_eq!(
            error.to_string(),
            "cannot add real server 10.0.0.7:80 to tcp 192.0.2.1:80: permission denied (EPERM)\n\
             hint: the daemon needs CAP_NET_ADMIN"
        );
        assert_eq!(kernel.service(&key).unwrap_err().kind, KernelErrorKind::Denied);
    })
}

// === trials: size ===

/// 2,300 services with 16 servers each, the largest table that we promise.
fn largest_table() {
    let service_key =
        |n: u32| ServiceKey::Fwmark { family: Family::V4, mark: (n + 1).try_into().unwrap() };
    let server_key = |n: u32| {
        let [a, b, c, d] = (0x0a00_0000 + n).to_be_bytes();
        ServerKey(([a, b, c, d], 80).into())
    };
    let present = Wanted::Present(share(Forwarding::Route, 1));
    let wish = |n: u32| Wish {
        settings: plain("wrr"),
        servers: (0..16).map(|m| (server_key(16 * n + m + 1), present)).collect(),
    };
    let services: BTreeMap<_, _> = (0..2300).map(|n| (service_key(n), wish(n))).collect();
    let target =
        Target { owned: services.keys().copied().collect(), services, ..Target::default() };
    let mut reconciler = Reconciler::new(Box::new(Netlink::default()));
    let (report, writing) = timed(|| reconciler.run(&Job::Everything(target.clone())));
    assert_eq!(report.done.len(), 2300 * 17);
    assert!(report.done.iter().all(|(_, result)| result.is_ok()));
    let (table, reading) = timed(|| reconciler.table().unwrap());
    assert_eq!(plan(&table, &target), []);
    let (report, drift) = timed(|| reconciler.run(&Job::Drift(target.clone())));
    assert_eq!((report.done, report.drifted), (vec![], vec![]));
    let change = Change { service: service_key(5), server: server_key(81), wanted: Wanted::Absent };
    let (report, transition) = timed(|| reconciler.run(&Job::Changes(vec![change])));
    assert_eq!(report.done, [(Op::DelServer(service_key(5), server_key(81)), Ok(()))]);
    let keys: Vec<_> = target.services.keys().copied().collect();
    let (report, deleting) =
        timed(|| reconciler.run(&Job::Delete { services: keys, sync: vec![] }));
    assert!(report.done.iter().all(|(_, result)| result.is_ok()));
    assert_eq!(reconciler.table().unwrap(), Table::default());
    println!(
        "2,300 services with 36,800 servers, in seconds: written {writing:.3}, read {reading:.3}, \
         drift {drift:.3}, one transition {transition:.6}, deleted {deleting:.3}"
    );
}

#[expect(clippy::disallowed_methods, reason = "a figure for people; nothing depends on it")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let begin = Instant::now();
    (work(), begin.elapsed().as_secs_f64())
}

// === helpers ===

/// A reconciler, one service with two servers that it wrote, and its target.
fn settled() -> (Reconciler, Target) {
    let key = tcp("192.0.2.1:80");
    let present = Wanted::Present(share(Forwarding::Route, 1));
    let servers = ["198.51.100.1:80", "198.51.100.2:80"].map(|it| (server(it), present));
    let wish = Wish { settings: plain("wrr"), servers: servers.into() };
    let target =
        Target { services: [(key, wish)].into(), owned: [key].into(), ..Target::default() };
    let mut reconciler = Reconciler::new(Box::new(Netlink::default()));
    let report = reconciler.run(&Job::Everything(target.clone()));
    assert_eq!(report.done.len(), 3);
    assert!(report.done.iter().all(|(_, result)| result.is_ok()), "{report:?}");
    (reconciler, target)
}

fn change(address: &str, weight: u32) -> Change {
    Change {
        service: tcp("192.0.2.1:80"),
        server: server(address),
        wanted: Wanted::Present(share(Forwarding::Route, weight)),
    }
}

/// Makes the whole table this one.
fn make(kernel: &mut Netlink, table: &Table) {
    let observed = kernel.table().unwrap();
    let wish = |entry: &Entry| Wish {
        settings: entry.settings.clone(),
        servers: entry.servers.iter().map(|(key, it)| (*key, Wanted::Present(*it))).collect(),
    };
    let services: BTreeMap<_, _> =
        table.services.iter().map(|(key, entry)| (*key, wish(entry))).collect();
    let owned = observed.services.keys().chain(services.keys()).copied().collect();
    let ops = plan(&observed, &Target { services, owned, ..Target::default() });
    for (op, result) in ops.iter().zip(kernel.apply(&ops)) {
        assert_eq!(result, Ok(()), "{op:?}");
    }
}

fn clear(kernel: &mut Netlink) {
    make(kernel, &Table::default());
}

/// Runs `ipvsadm` in the namespace of this thread; a listing until it says the same twice in a row, because the
/// kernel loses its place in it when trials beside this one change their tables.
pub(crate) fn ipvsadm(arguments: &[&str]) -> String {
    let mut said = ipvsadm_once(arguments);
    if arguments != ["-Sn"] {
        return said;
    }
    loop {
        let again = ipvsadm_once(arguments);
        if said == again {
            return said;
        }
        said = again;
    }
}

fn ipvsadm_once(arguments: &[&str]) -> String {
    let output = Command::new("ipvsadm").args(arguments).output().unwrap();
    assert!(output.status.success(), "ipvsadm {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn restore(saved: &str) {
    let mut child = Command::new("ipvsadm").arg("-R").stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(saved.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

pub(crate) fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.sort_unstable();
    lines
}

pub(crate) fn tcp(address: &str) -> ServiceKey {
    ServiceKey::Address { transport: Transport::Tcp, address: address.parse().unwrap() }
}

fn udp(address: &str) -> ServiceKey {
    ServiceKey::Address { transport: Transport::Udp, address: address.parse().unwrap() }
}

fn mark(family: Family, mark: u32) -> ServiceKey {
    ServiceKey::Fwmark { family, mark: mark.try_into().unwrap() }
}

pub(crate) fn server(address: &str) -> ServerKey {
    ServerKey(address.parse().unwrap())
}

pub(crate) fn share(forwarding: Forwarding, weight: u32) -> Share {
    Share { forwarding, weight: Weight::new(weight).unwrap(), thresholds: Thresholds::default() }
}

pub(crate) fn plain(scheduler: &str) -> Settings {
    Settings { scheduler: Scheduler(scheduler.to_owned()), ..Settings::default() }
}

fn entry(settings: Settings, servers: &[(&str, Share)]) -> Entry {
    let servers = servers.iter().map(|(address, share)| (server(address), *share)).collect();
    Entry { settings, servers }
}
