//! Servers behind tunnels of every type, written by plans and read by `ipvsadm`.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use ldirectord::{
    director::{Action, Attempt, Director, Event},
    ipvs::{Job, Op, Reconciler, Report, Table, Target, Wanted, Wish, netlink::Netlink},
    model::{
        AlertPolicy, CheckId, CheckKind, CheckSpec, Checked, Desired, Failure, Fallback,
        Forwarding, Pass, Quiesce, RealServer, Reason, Share, Tunnel, VirtualService,
    },
    time::Moment,
};

use super::table::{ipvsadm, plain, server, share, sorted, tcp};

/// Name and body of every trial; each needs a network namespace of its own.
pub(crate) const TRIALS: &[(&str, fn())] = &[
    ("tunnels_change_in_place", change_in_place),
    ("tunnel_of_a_person_is_reported_and_stays", stays_as_a_person_set_it),
    ("fallback_by_a_tunnel_comes_and_goes", fallback_by_a_tunnel),
];

const IPIP: Tunnel = Tunnel::Ipip;
const GRE: Tunnel = Tunnel::Gre { checksum: 0 };
const SERVICE: &str = "192.0.2.1:80";

fn gue(port: u16) -> Tunnel {
    Tunnel::Gue { port, checksum: 0 }
}

fn through(tunnel: Tunnel) -> Share {
    share(Forwarding::Tunnel(tunnel), 1)
}

/// The service with these servers.
fn target(servers: &[(&str, Tunnel)]) -> Target {
    let servers = servers.iter();
    let servers = servers.map(|(key, tunnel)| (server(key), Wanted::Present(through(*tunnel))));
    let wish = Wish { settings: plain("wrr"), servers: servers.collect() };
    Target {
        services: [(tcp(SERVICE), wish)].into(),
        owned: [tcp(SERVICE)].into(),
        ..Target::default()
    }
}

fn done(report: &Report) -> Vec<&Op> {
    assert!(report.done.iter().all(|(_, result)| result.is_ok()), "{report:?}");
    report.done.iter().map(|(op, _)| op).collect()
}

/// What `ipvsadm` says of the servers, each after its address and port.
fn assert_servers(expected: &[&str]) {
    let lines = expected.iter().map(|line| format!("-a -t {SERVICE} -r {line}\n"));
    let expected = format!("-A -t {SERVICE} -s wrr\n{}", lines.collect::<String>());
    assert_eq!(sorted(&ipvsadm(&["-Sn"])), sorted(&expected));
}

fn change_in_place() {
    let keys = ["198.51.100.1:80", "198.51.100.2:80", "[2001:db8::3]:80"];
    let mut reconciler = Reconciler::new(Box::new(Netlink::default()));
    let mut write = |tunnels: [Tunnel; 3]| {
        let servers = [0, 1, 2].map(|place| (keys[place], tunnels[place]));
        let target = target(&servers);
        let report = reconciler.run(&Job::Everything(target.clone()));
        let again = reconciler.run(&Job::Drift(target));
        assert_eq!((again.done, again.drifted), (vec![], vec![]), "it reads back as written");
        report
    };
    assert_eq!(done(&write([IPIP, gue(6080), GRE])).len(), 4);
    assert_servers(&[
        "198.51.100.1:80 -i -w 1 --tun-type ipip",
        "198.51.100.2:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum",
        "[2001:db8::3]:80 -i -w 1 --tun-type gre --tun-nocsum",
    ]);
    let set =
        |place: usize, tunnel| Op::SetServer(tcp(SERVICE), server(keys[place]), through(tunnel));
    let report = write([gue(6080), GRE, IPIP]);
    assert_eq!(done(&report), [&set(0, gue(6080)), &set(1, GRE), &set(2, IPIP)]);
    assert_servers(&[
        "198.51.100.1:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum",
        "198.51.100.2:80 -i -w 1 --tun-type gre --tun-nocsum",
        "[2001:db8::3]:80 -i -w 1 --tun-type ipip",
    ]);
    let report = write([gue(6081), IPIP, gue(65535)]);
    assert_eq!(done(&report), [&set(0, gue(6081)), &set(1, IPIP), &set(2, gue(65535))]);
    assert_servers(&[
        "198.51.100.1:80 -i -w 1 --tun-type gue --tun-port 6081 --tun-nocsum",
        "198.51.100.2:80 -i -w 1 --tun-type ipip",
        "[2001:db8::3]:80 -i -w 1 --tun-type gue --tun-port 65535 --tun-nocsum",
    ]);
    let report = reconciler.run(&Job::Everything(target(&[(keys[1], IPIP)])));
    let delete = |place: usize| Op::DelServer(tcp(SERVICE), server(keys[place]));
    assert_eq!(done(&report), [&delete(0), &delete(2)]);
    assert_servers(&["198.51.100.2:80 -i -w 1 --tun-type ipip"]);
    reconciler.run(&Job::Delete { services: vec![tcp(SERVICE)], sync: vec![] });
    assert_eq!(ipvsadm(&["-Sn"]), "");
}

fn stays_as_a_person_set_it() {
    let key = "198.51.100.1:80";
    let target = target(&[(key, gue(6080))]);
    let mut reconciler = Reconciler::new(Box::new(Netlink::default()));
    reconciler.run(&Job::Everything(target.clone()));
    let edit = ["-e", "-t", SERVICE, "-r", key, "-i", "-w", "1", "--tun-type"];
    for tunnel in [&["ipip"][..], &["gre"], &["gue", "--tun-port", "7000"]] {
        ipvsadm(&[&edit[..], tunnel].concat());
        let report = reconciler.run(&Job::Drift(target.clone()));
        assert_eq!(done(&report), Vec::<&Op>::new());
        assert_eq!(report.drifted, [(tcp(SERVICE), Some(server(key)))]);
    }
    assert_servers(&["198.51.100.1:80 -i -w 1 --tun-type gue --tun-port 7000 --tun-nocsum"]);
    assert_eq!(done(&reconciler.run(&Job::Everything(target))).len(), 1);
    assert_servers(&["198.51.100.1:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum"]);
}

/// A director on the kernel's own table, with one server behind GUE and a fallback behind GRE.
struct Directed {
    director: Director,
    reconciler: Reconciler,
    attempt: Option<Attempt>,
}

impl Directed {
    fn new() -> Directed {
        let every = Duration::from_secs(10);
        let check = CheckSpec {
            target: "198.51.100.1:80".parse().unwrap(),
            kind: CheckKind::Connect,
            interval: every,
            fast_interval: every,
            down_interval: every,
            timeout: Duration::from_secs(5),
        };
        let (real, fallback) = (server("198.51.100.1:80"), server("198.51.100.9:80"));
        let service = VirtualService {
            key: tcp(SERVICE),
            settings: plain("wrr"),
            servers: vec![RealServer {
                key: real,
                written: real.0,
                share: through(gue(6080)),
                checked: Checked::By(CheckId::new(0).unwrap()),
                agent: None,
            }],
            fallback: Some(Fallback { key: fallback, written: fallback.0, share: through(GRE) }),
            fallback_command: None,
            quiesce: Quiesce::ZeroWeight,
            failure_count: NonZeroU32::MIN,
            rise_count: NonZeroU32::MIN,
            clean_stop: true,
            alerts: AlertPolicy::default(),
            monitor_file: None,
            name: None,
            comment: None,
        };
        let desired = Desired {
            services: vec![service],
            checks: vec![Arc::new(check)],
            ..Desired::default()
        };
        let mut directed = Directed {
            director: Director::new(desired, &Table::default(), Moment::START),
            reconciler: Reconciler::new(Box::new(Netlink::default())),
            attempt: None,
        };
        directed.drain();
        directed
    }

    fn drain(&mut self) {
        while let Some(action) = self.director.poll_action() {
            match action {
                Action::StartCheck { attempt, .. } => self.attempt = Some(attempt),
                Action::Reconcile(job) => {
                    let report = self.reconciler.run(&job);
                    done(&report);
                    self.director.handle(Event::Reconciled(report), Moment::START);
                }
                Action::CancelCheck(_) | Action::Publish(_) | Action::Send(_) | Action::Finish => {}
            }
        }
    }

    fn check_ends(&mut self, passed: bool, second: u64) {
        let now = Moment::at(Duration::from_secs(second));
        self.director.handle_timeout(now);
        self.drain();
        let attempt = self.attempt.take().unwrap();
        let failure = Failure { reason: Reason::Refused, detail: String::new() };
        let verdict = if passed { Ok(Pass::default()) } else { Err(failure) };
        self.director.handle(Event::CheckFinished { attempt, verdict }, now);
        self.drain();
    }
}

fn fallback_by_a_tunnel() {
    let quiesced = "198.51.100.1:80 -i -w 0 --tun-type gue --tun-port 6080 --tun-nocsum";
    let serving = "198.51.100.1:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum";
    let fallback = "198.51.100.9:80 -i -w 1 --tun-type gre --tun-nocsum";
    let mut directed = Directed::new();
    assert_servers(&[quiesced, fallback]);
    directed.check_ends(true, 1);
    assert_servers(&[serving]);
    directed.check_ends(false, 20);
    assert_servers(&[quiesced, fallback]);
    directed.director.handle(Event::Stop, Moment::at(Duration::from_secs(21)));
    directed.drain();
    assert_eq!(ipvsadm(&["-Sn"]), "");
}
