//! BIND: dns over UDP and TCP.

use ldirectord::model::Reason;

use crate::{
    service::{Otherwise, Server, Service, State, Theirs, Trial},
    support::lab::wait_for,
};

pub(crate) const SERVICE: Service = Service {
    name: "bind9",
    start,
    trials: &[
        Trial { theirs: WITHOUT_RECEIVE, ..Trial::up("dns", 53, &UDP_ANY) },
        Trial::up(
            "dns, an address",
            53,
            &["service=dns", "protocol=udp", WWW, "receive=\"^192\\.0\\.2\\.80$\""],
        ),
        Trial::up(
            "dns, an address behind an alias",
            53,
            &[
                "service=dns",
                "protocol=udp",
                "request=\"alias.example.net\"",
                "receive=\"192.0.2.80\"",
            ],
        ),
        Trial::up(
            "dns, a name",
            53,
            &[
                "service=dns",
                "protocol=udp",
                "request=\"192.0.2.80\"",
                "receive=\"www.example.net\"",
            ],
        ),
        Trial::up(
            "dns, an IPv6 address",
            53,
            &["service=dns", "protocol=udp", WWW, "dnstype=AAAA", "receive=\"2001:db8::80\""],
        )
        .unknown_to_ldirectord(),
        Trial::up("udp with a question in bytes", 53, &QUESTION).unknown_to_ldirectord(),
        Trial::down("udp, wrong answer", 53, Reason::Mismatch, &UNANSWERED).unknown_to_ldirectord(),
        Trial::up("udp, any answer", 53, &["service=udp", "protocol=udp", WHERE_IS_WWW])
            .unknown_to_ldirectord(),
        Trial::up(
            "dns, a name of an IPv6 address",
            53,
            &[
                "service=dns",
                "protocol=udp",
                "request=\"2001:db8::80\"",
                "receive=\"www.example.net\"",
            ],
        ),
        Trial::up(
            "dns over TCP, an IPv6 address",
            53,
            &["service=dns", "protocol=tcp", WWW, "dnstype=AAAA", "receive=\"2001:db8::80\""],
        )
        .unknown_to_ldirectord(),
        Trial::up(
            "dns over TCP, a name",
            53,
            &[
                "service=dns",
                "protocol=tcp",
                "request=\"192.0.2.80\"",
                "receive=\"www.example.net\"",
            ],
        ),
        Trial::up(
            "dns over TCP",
            53,
            &["service=dns", "protocol=tcp", WWW, "receive=\"192.0.2.80\""],
        ),
        Trial::up(
            "dns, an answer that is too long for UDP",
            53,
            &[
                "service=dns",
                "protocol=udp",
                "request=\"many.example.net\"",
                "receive=\"192.0.2.199\"",
            ],
        ),
        Trial::down(
            "dns, wrong answer",
            53,
            Reason::Mismatch,
            &["service=dns", "protocol=udp", WWW, "receive=\"192.0.2.81\""],
        ),
        Trial::down(
            "dns, wrong name",
            53,
            Reason::Mismatch,
            &[
                "service=dns",
                "protocol=udp",
                "request=\"192.0.2.80\"",
                "receive=\"other.example.net\"",
            ],
        ),
        Trial::down(
            "dns over TCP, wrong answer",
            53,
            Reason::Mismatch,
            &["service=dns", "protocol=tcp", WWW, "receive=\"192.0.2.81\""],
        ),
        Trial::down(
            "dns, no such name",
            53,
            Reason::Mismatch,
            &[
                "service=dns",
                "protocol=udp",
                "request=\"none.example.net\"",
                "receive=\"192.0.2.80\"",
            ],
        ),
        Trial::down(
            "dns over TCP, no such name",
            53,
            Reason::Mismatch,
            &[
                "service=dns",
                "protocol=tcp",
                "request=\"none.example.net\"",
                "receive=\"192.0.2.80\"",
            ],
        ),
        Trial::down(
            "dns, not its domain",
            53,
            Reason::Protocol,
            &[
                "service=dns",
                "protocol=udp",
                "request=\"www.example.org\"",
                "receive=\"192.0.2.80\"",
            ],
        ),
    ],
};

const WWW: &str = "request=\"www.example.net\"";
/// The same as a message of RFC 1035, section 4.1.
const WHERE_IS_WWW: &str = "send=\"\\x124\\x01\\0\\0\\x01\\0\\0\\0\\0\\0\\0\\x03www\\x07example\\x03net\\0\\0\\x01\\0\\x01\"";
const QUESTION: [&str; 4] = [
    "service=udp",
    "protocol=udp",
    WHERE_IS_WWW,
    "expect=\"(?s)^\\x124\\x85.*\\0\\x04\\xc0\\0\\x02\\x50\"",
];
const UNANSWERED: [&str; 5] = [
    "service=udp",
    "protocol=udp",
    "negotiatetimeout=2",
    WHERE_IS_WWW,
    "expect=\"(?s)^\\x124.*\\xc0\\0\\x02\\x51\"",
];
const UDP_ANY: [&str; 3] = ["service=dns", "protocol=udp", WWW];

const WITHOUT_RECEIVE: Theirs =
    Theirs::Differs("never up there without receive", |state, _| match state {
        State::Works => Otherwise::Opposite,
        _ => Otherwise::No,
    });

const CONFIGURATION: &str = "
options {
    directory \"@\";
    listen-on { 127.0.0.1; };
    listen-on-v6 { ::1; };
    pid-file \"@/pid\";
    session-keyfile \"@/session.key\";
    recursion no;
    dnssec-validation no;
    empty-zones-enable no;
    minimal-responses yes;
};
controls {};
zone \"example.net\" { type primary; file \"example.net\"; };
zone \"2.0.192.in-addr.arpa\" { type primary; file \"reverse\"; };
zone \"8.b.d.0.1.0.0.2.ip6.arpa\" { type primary; file \"reverse\"; };
";

const ZONE: &str = "$TTL 60
@ IN SOA ns root 1 60 60 60 60
@ IN NS ns
ns IN A 127.0.0.1
www IN A 192.0.2.80
www IN AAAA 2001:db8::80
alias IN CNAME www
";

/// Of both families.
const REVERSE: &str = "$TTL 60
@ IN SOA ns.example.net. root.example.net. 1 60 60 60 60
@ IN NS ns.example.net.
80 IN PTR www.example.net.
0.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0 IN PTR www.example.net.
";

fn start(server: &Server) {
    let configuration = server.write("named.conf", CONFIGURATION);
    let many: String = (100..200).map(|number| format!("many IN A 192.0.2.{number}\n")).collect();
    // `@` stands for something else in these.
    std::fs::write(server.path("example.net"), format!("{ZONE}{many}")).unwrap();
    std::fs::write(server.path("reverse"), REVERSE).unwrap();
    server.spawn("named", &["-g", "-c", &configuration]);
    wait_for("the zones of named", || {
        let log = std::fs::read_to_string(server.path("named.out.log")).unwrap_or_default();
        log.contains("all zones loaded").then_some(()).ok_or("not yet")
    });
    server.wait_for_ports(&[53]);
}
