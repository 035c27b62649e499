//! Listings as people and programs see them.

use std::net::SocketAddr;

use insta::assert_snapshot;
use jiff::{SignedDuration, Timestamp};

use super::{
    AttemptState, CheckState, DaemonState, Listing, Selection, ServerState, ServiceState, Sort,
    State, json,
    show::{Subject, explain},
    state::{Count, SCHEMA},
    table::{self, Look, Names, View, age},
};
use crate::{
    ipvs::census::{Census, Connections, CountedServer, CountedService, KernelInfo, Traffic},
    model::{
        Condition, Forwarding, Mask, Persistence, Scheduler, SchedulerFlags, ServerKey, Settings,
        Share, Thresholds, Tunnel, Weight,
    },
};

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

fn counted(server: &str, weight: u32, active: u32) -> CountedServer {
    CountedServer {
        key: ServerKey(server.parse().unwrap()),
        share: Share {
            forwarding: Forwarding::Masquerade,
            weight: Weight::new(weight).unwrap(),
            thresholds: Thresholds { upper: 100, lower: 80 },
        },
        connections: Connections { active, inactive: 7, persistent: 0 },
        traffic: Traffic {
            connections: 123_456_789,
            packets_in: 99_999_999,
            packets_out: 1_234_567_890,
            bytes_in: 123_456_789_012,
            bytes_out: 123_456_789_012_345,
            connection_rate: u64::from(active),
            ..Traffic::default()
        },
    }
}

/// A web service that a daemon directs, a mark that somebody else put there, and nothing of a third.
fn census() -> Census {
    let web = CountedService {
        key: "tcp:192.0.2.1:80".parse().unwrap(),
        settings: Settings {
            scheduler: Scheduler("wrr".to_owned()),
            persistence: Some(Persistence {
                timeout_s: 600,
                mask: Mask::V4([255, 255, 255, 0].into()),
                engine: None,
            }),
            ..Settings::default()
        },
        traffic: Traffic::default(),
        servers: vec![counted("10.0.0.1:80", 5, 3), counted("10.0.0.2:80", 0, 12)],
    };
    let mark = CountedService {
        key: "fwm6:7".parse().unwrap(),
        settings: Settings {
            scheduler: Scheduler("mh".to_owned()),
            flags: SchedulerFlags { first: true, second: true, third: false },
            one_packet: true,
            ..Settings::default()
        },
        traffic: Traffic::default(),
        servers: vec![CountedServer {
            share: Share {
                forwarding: Forwarding::Tunnel(Tunnel::Ipip),
                ..counted("[2001:db8::7]:80", 1, 0).share
            },
            ..counted("[2001:db8::7]:80", 1, 0)
        }],
    };
    let kernel = KernelInfo { version: "1.2.1".to_owned(), connection_table_size: 4096 };
    Census { kernel: Some(kernel), services: vec![web, mark] }
}

fn server(server: &str, condition: Condition) -> ServerState {
    let server: SocketAddr = server.parse().unwrap();
    ServerState {
        server,
        written: server,
        is_fallback: false,
        condition,
        since: Some(ago(11_265)),
        reason: None,
        detail: None,
        method: "masq".to_owned(),
        weight: 5,
        failures: Count { count: 0, of: 3 },
        passes: Count { count: 0, of: 2 },
        check: Some(CheckState {
            kind: "http".to_owned(),
            target: server,
            interval_s: 10.0,
            fast_interval_s: 0.5,
            down_interval_s: 10.0,
            timeout_s: 5.0,
            next: Some(now() + SignedDuration::from_secs(4)),
        }),
    }
}

fn down(address: &str) -> ServerState {
    ServerState {
        since: Some(ago(150)),
        reason: Some("timeout".to_owned()),
        detail: Some("nothing came within 5 s".to_owned()),
        passes: Count { count: 1, of: 3 },
        ..server(address, Condition::Down)
    }
}

fn state() -> State {
    let fallback = ServerState {
        is_fallback: true,
        check: None,
        ..server("127.0.0.1:80", Condition::Standby)
    };
    let failing = ServerState {
        reason: Some("refused".to_owned()),
        failures: Count { count: 2, of: 3 },
        ..server("10.0.0.3:80", Condition::Failing)
    };
    let service =
        |key: &str, name: Option<&str>, serving, servers: Vec<ServerState>| ServiceState {
            service: key.parse().unwrap(),
            name: name.map(str::to_owned),
            comment: None,
            serving,
            real_servers: servers.iter().filter(|server| !server.is_fallback).count(),
            servers,
        };
    let web = vec![server("10.0.0.1:80", Condition::Up), down("10.0.0.2:80"), failing, fallback];
    State {
        schema: SCHEMA,
        daemon: DaemonState {
            configuration: "/etc/ha.d/web.cf".to_owned(),
            pid: 17,
            version: "1.0".to_owned(),
            phase: "running".to_owned(),
            started: ago(86_400),
            loaded: ago(3_600),
            now: now(),
        },
        services: vec![
            service("tcp:192.0.2.1:80", Some("shop"), 2, web),
            service("udp:192.0.2.1:53", None, 0, vec![down("10.0.0.9:53")]),
        ],
    }
}

fn listing() -> Listing {
    Listing::join(census(), vec![state()])
}

fn text(listing: &Listing, view: View) -> String {
    table::render(listing, &Look { view, ..Look::default() })
}

#[test]
fn without_a_daemon_it_is_what_ipvsadm_prints() {
    let alone = Listing::join(census(), Vec::new());
    assert_snapshot!(text(&alone, View::Connections), @"
    IP Virtual Server version 1.2.1 (size=4096)
    Prot LocalAddress:Port Scheduler Flags
      -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
    TCP  192.0.2.1:80 wrr persistent 600 mask 255.255.255.0
      -> 10.0.0.1:80                  Masq    5      3          7
      -> 10.0.0.2:80                  Masq    0      12         7
    FWM  7 IPv6 mh (mh-fallback,mh-port) ops
      -> [2001:db8::7]:80             Tunnel  1      0          7
    ");
    assert_snapshot!(text(&alone, View::Stats), @"
    IP Virtual Server version 1.2.1 (size=4096)
    Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
      -> RemoteAddress:Port
    TCP  192.0.2.1:80                        0        0        0        0        0
      -> 10.0.0.1:80                   123456K 99999999    1234M     123G     123T
      -> 10.0.0.2:80                   123456K 99999999    1234M     123G     123T
    FWM  7 IPv6                              0        0        0        0        0
      -> [2001:db8::7]:80              123456K 99999999    1234M     123G     123T
    ");
    assert_snapshot!(text(&alone, View::Thresholds), @"
    IP Virtual Server version 1.2.1 (size=4096)
    Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn
      -> RemoteAddress:Port
    TCP  192.0.2.1:80 wrr persistent 600 mask 255.255.255.0
      -> 10.0.0.1:80                  100        80         3          7
      -> 10.0.0.2:80                  100        80         12         7
    FWM  7 IPv6 mh (mh-fallback,mh-port) ops
      -> [2001:db8::7]:80             100        80         0          7
    ");
    let exact = Look { view: View::Rate, exact: true, ..Look::default() };
    assert_snapshot!(table::render(&alone, &exact), @"
    IP Virtual Server version 1.2.1 (size=4096)
    Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS
      -> RemoteAddress:Port
    TCP  192.0.2.1:80                        0        0        0        0        0
      -> 10.0.0.1:80                         3        0        0        0        0
      -> 10.0.0.2:80                        12        0        0        0        0
    FWM  7 IPv6                              0        0        0        0        0
      -> [2001:db8::7]:80                    0        0        0        0        0
    ");
}

#[test]
fn with_a_daemon_it_says_how_each_server_is_and_why() {
    assert_snapshot!(text(&listing(), View::Connections), @"
    IP Virtual Server version 1.2.1 (size=4096)
    Prot LocalAddress:Port Scheduler Flags
      -> RemoteAddress:Port           Forward Weight ActiveConn InActConn  State
    TCP  192.0.2.1:80 wrr persistent 600 mask 255.255.255.0  shop  2 of 3 serve
      -> 10.0.0.1:80                  Masq    5      3          7          up
      -> 10.0.0.2:80                  Masq    0      12         7          down
         down for 2m; timeout: nothing came within 5 s; 1 of 3 passed checks; next check in 4s
      -> 10.0.0.3:80                  -       -      -          -          failing
         up for 3h07m; refused; 2 of 3 failed checks; next check in 4s
    UDP  192.0.2.1:53 is not in the kernel  0 of 1 serve
      -> 10.0.0.9:53                  -       -      -          -          down
         down for 2m; timeout: nothing came within 5 s; 1 of 3 passed checks; next check in 4s
    FWM  7 IPv6 mh (mh-fallback,mh-port) ops
      -> [2001:db8::7]:80             Tunnel  1      0          7
    ");
}

#[test]
fn narrow_terminals_and_colors() {
    let mut one = listing();
    let words = vec!["10.0.0.2:80".to_owned()];
    assert_eq!(Selection { words, ..Selection::default() }.apply(&mut one), [""; 0]);
    let look = Look { width: Some(50), color: true, ..Look::default() };
    assert_snapshot!(table::render(&one, &look).replace('\x1b', "ESC"), @"
    IP Virtual Server version 1.2.1 (size=4096)
    Prot LocalAddress:Port Scheduler Flags
      -> RemoteAddress:Port           Forward Weight ActiveConn InActConn  State
    TCP  192.0.2.1:80 wrr persistent 600 mask 255.255.255.0  shop  2 of 3 serve
      -> 10.0.0.2:80                  Masq    0      12         7          ESC[31mdownESC[0m
         down for 2m; timeout: nothing came within 5
           s; 1 of 3 passed checks; next check in 4s
    ");
}

#[test]
fn names_stand_for_addresses() {
    let names = |address: SocketAddr, _| Names {
        host: (address.port() == 80).then(|| "host.example".to_owned()),
        port: Some("http".to_owned()),
    };
    let look = Look { names: Some(&names), ..Look::default() };
    let text = table::render(&Listing::join(census(), Vec::new()), &look);
    assert!(text.contains("TCP  host.example:http wrr"), "{text}");
    assert!(text.contains("-> host.example:http "), "{text}");
}

#[test]
fn words_and_conditions_select() {
    let selected = |words: &[&str], conditions: &[Condition]| {
        let mut listing = listing();
        let words = words.iter().map(ToString::to_string).collect();
        let unknown = Selection { words, conditions: conditions.to_vec() }.apply(&mut listing);
        let services = listing.services.iter().map(|service| {
            let servers = service.servers.iter().map(|server| server.key.to_string());
            format!("{} {}", service.key.with_protocol(), servers.collect::<Vec<_>>().join(" "))
        });
        (services.collect::<Vec<_>>().join(", "), unknown.join(" "))
    };
    let all = "tcp:192.0.2.1:80 10.0.0.1:80 10.0.0.2:80 10.0.0.3:80, udp:192.0.2.1:53 10.0.0.9:53, fwm6:7 [2001:db8::7]:80";
    let none = String::new;
    assert_eq!(selected(&[], &[]), (all.to_owned(), none()));
    let web = "tcp:192.0.2.1:80 10.0.0.1:80 10.0.0.2:80 10.0.0.3:80".to_owned();
    for word in ["shop", "tcp:192.0.2.1:80", "192.0.2.1:80"] {
        assert_eq!(selected(&[word], &[]), (web.clone(), none()), "{word}");
    }
    assert_eq!(selected(&["10.0.0.9"], &[]).0, "udp:192.0.2.1:53 10.0.0.9:53");
    assert_eq!(selected(&["[2001:db8::7]"], &[]).0, "fwm6:7 [2001:db8::7]:80");
    assert_eq!(
        selected(&["fwm6:7", "nobody"], &[]),
        ("fwm6:7 [2001:db8::7]:80".to_owned(), "nobody".to_owned())
    );
    let down = "tcp:192.0.2.1:80 10.0.0.2:80, udp:192.0.2.1:53 10.0.0.9:53";
    assert_eq!(selected(&[], &[Condition::Down]).0, down);
    assert_eq!(selected(&["shop"], &[Condition::Down]).0, "tcp:192.0.2.1:80 10.0.0.2:80");
}

#[test]
fn servers_are_sorted() {
    let sorted = |sort: Sort| {
        let mut listing = listing();
        sort.apply(&mut listing);
        let servers = listing.services[0].servers.iter().map(|server| server.key.0.to_string());
        servers.map(|server| server[7..8].to_owned()).collect::<String>()
    };
    assert_eq!(sorted(Sort::Address), "123");
    assert_eq!(sorted(Sort::State), "231");
    assert_eq!(sorted(Sort::Weight), "123");
    assert_eq!(sorted(Sort::Connections), "213");
    assert_eq!(sorted(Sort::Rate), "213");
}

#[test]
fn a_server_that_is_the_fallback_too_is_there_as_the_one_that_serves() {
    let mut both = state();
    let fallback = ServerState { is_fallback: true, ..server("10.0.0.2:80", Condition::Up) };
    both.services[0].servers.push(fallback);
    let listing = Listing::join(census(), vec![both]);
    let shown = listing.services[0].servers[1].state.as_ref().unwrap();
    assert!(shown.is_fallback);
    assert_eq!(listing.services[0].servers.len(), 3);
}

#[test]
fn programs_read_it_as_json() {
    let mut one = listing();
    let words = vec!["10.0.0.2:80".to_owned()];
    Selection { words, ..Selection::default() }.apply(&mut one);
    let json: serde_json::Value = serde_json::from_str(&json::render(&one).unwrap()).unwrap();
    assert_snapshot!(serde_json::to_string_pretty(&json).unwrap(), @r#"
    {
      "daemons": [
        {
          "configuration": "/etc/ha.d/web.cf",
          "loaded": "2026-11-20T11:00:00Z",
          "now": "2026-11-20T12:00:00Z",
          "phase": "running",
          "pid": 17,
          "started": "2026-11-19T12:00:00Z",
          "version": "1.0"
        }
      ],
      "kernel": {
        "connection_table_size": 4096,
        "version": "1.2.1"
      },
      "schema": 1,
      "services": [
        {
          "comment": null,
          "kernel": {
            "flags": [
              false,
              false,
              false
            ],
            "one_packet": false,
            "persistence": {
              "engine": null,
              "mask": "255.255.255.0",
              "timeout_s": 600
            },
            "scheduler": "wrr",
            "traffic": {
              "byte_rate_in": 0,
              "byte_rate_out": 0,
              "bytes_in": 0,
              "bytes_out": 0,
              "connection_rate": 0,
              "connections": 0,
              "packet_rate_in": 0,
              "packet_rate_out": 0,
              "packets_in": 0,
              "packets_out": 0
            }
          },
          "name": "shop",
          "real_servers": 3,
          "servers": [
            {
              "kernel": {
                "active_connections": 12,
                "inactive_connections": 7,
                "lower_threshold": 80,
                "method": "masq",
                "persistent_connections": 0,
                "traffic": {
                  "byte_rate_in": 0,
                  "byte_rate_out": 0,
                  "bytes_in": 123456789012,
                  "bytes_out": 123456789012345,
                  "connection_rate": 12,
                  "connections": 123456789,
                  "packet_rate_in": 0,
                  "packet_rate_out": 0,
                  "packets_in": 99999999,
                  "packets_out": 1234567890
                },
                "upper_threshold": 100,
                "weight": 0
              },
              "server": "10.0.0.2:80",
              "state": {
                "check": {
                  "down_interval_s": 10.0,
                  "fast_interval_s": 0.5,
                  "interval_s": 10.0,
                  "kind": "http",
                  "next": "2026-11-20T12:00:04Z",
                  "target": "10.0.0.2:80",
                  "timeout_s": 5.0
                },
                "condition": "down",
                "detail": "nothing came within 5 s",
                "failures": {
                  "count": 0,
                  "of": 3
                },
                "is_fallback": false,
                "method": "masq",
                "passes": {
                  "count": 1,
                  "of": 3
                },
                "reason": "timeout",
                "server": "10.0.0.2:80",
                "since": "2026-11-20T11:57:30Z",
                "weight": 5,
                "written": "10.0.0.2:80"
              }
            }
          ],
          "service": "tcp:192.0.2.1:80",
          "serving": 2
        }
      ]
    }
    "#);
    let state = state();
    let wire = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<State>(&wire).unwrap(), state);
}

#[test]
fn a_server_is_explained() {
    let listing = listing();
    let service = &listing.services[0];
    let attempts = [
        AttemptState {
            ended: ago(6),
            reason: None,
            detail: None,
            phase: "match".to_owned(),
            times_ms: vec![("connect".to_owned(), 0.4), ("receive".to_owned(), 1.2)],
            received: None,
            certificate_end: Some("2026-12-01".to_owned()),
        },
        AttemptState {
            ended: ago(16),
            reason: Some("timeout".to_owned()),
            detail: Some("nothing came within 5 s".to_owned()),
            phase: "receive".to_owned(),
            times_ms: vec![("connect".to_owned(), 0.4), ("receive".to_owned(), 4_999.6)],
            received: Some("HTTP/1.1 2".to_owned()),
            certificate_end: None,
        },
    ];
    let texts: Vec<String> = (service.servers.iter())
        .map(|server| {
            let attempts =
                if server.key.0.to_string() == "10.0.0.2:80" { &attempts[..] } else { &[] };
            explain(&Subject { service, server, attempts, now: now() }, 80)
        })
        .collect();
    assert_snapshot!(without_times(&texts.join("\n")), @"
    real server 10.0.0.1:80 of tcp 192.0.2.1:80 (shop)
      State         up for 3h07m, since 11265 s ago
      Check         http of 10.0.0.1:80 every 10 s, failed after 5 s; every 0.5 s
                    while a verdict is pending
      What next     the next check is in 4s; 3 failed checks in a row would take it
                    down
      In the kernel masq, weight 5
      Connections   3 active, 7 inactive

    real server 10.0.0.2:80 of tcp 192.0.2.1:80 (shop)
      State         down for 2m, since 150 s ago
      Why           timeout: nothing came within 5 s
      Check         http of 10.0.0.2:80 every 10 s, failed after 5 s; every 0.5 s
                    while a verdict is pending
      What next     the next check is in 4s; 2 passed checks in a row would bring it
                    back
      In the kernel masq, weight 0, 5 in the file
      Connections   12 active, 7 inactive
      Last attempts
        6 s ago  passed in 1.6 ms (connect 0.4, receive 1.2)
                  its certificate ends on 2026-12-01
        16 s ago  failed in receive after 5000.0 ms: timeout (connect 0.4, receive 4999.6)
                  nothing came within 5 s
                  received HTTP/1.1 2

    real server 10.0.0.3:80 of tcp 192.0.2.1:80 (shop)
      State         up for 3h07m, since 11265 s ago
      Last failure  refused
      Check         http of 10.0.0.3:80 every 10 s, failed after 5 s; every 0.5 s
                    while a verdict is pending
      What next     the next check is in 4s; 2 of 3 have failed, one more would take
                    it down
      In the kernel no
    ");
}

/// Times on the wall are local.
fn without_times(text: &str) -> String {
    let mut text = text.to_owned();
    for seconds in [6, 16, 150, 11_265] {
        let local = ago(seconds).to_zoned(jiff::tz::TimeZone::system());
        for form in ["%F %T", "%T"] {
            let now = now().to_zoned(jiff::tz::TimeZone::system());
            assert_ne!(local, now);
            text = text.replace(&local.strftime(form).to_string(), &format!("{seconds} s ago"));
        }
    }
    text
}

#[test]
fn of_maintenance_no_check_is_promised() {
    let mut one = state();
    one.services[1].servers = vec![server("10.0.0.9:53", Condition::Maintenance)];
    let listing = Listing::join(Census::default(), vec![one]);
    let table = text(&listing, View::Connections);
    assert!(table.contains("     maintenance for 3h07m\n"), "{table}");
    let service = &listing.services[1];
    let server = &service.servers[0];
    let shown = explain(&Subject { service, server, attempts: &[], now: now() }, 80);
    assert!(shown.contains("nobody checks it until that ends"), "{shown}");
}

#[test]
fn ages_are_short() {
    let of = |seconds| age(ago(seconds), now());
    assert_eq!(
        [0, 59, 60, 3_599, 3_600, 11_265, 86_400, 446_400].map(of).join(" "),
        "0s 59s 1m 59m 1h00m 3h07m 1d00h 5d04h"
    );
    assert_eq!(age(now(), ago(5)), "0s");
}
