//! socat, which sends back what it gets: simpletcp over TCP and UDP.

use ldirectord::model::Reason;

use crate::service::{Server, Service, Trial};

pub(crate) const SERVICE: Service = Service {
    name: "socat",
    start,
    trials: &[
        Trial::up(
            "simpletcp",
            7,
            &["service=simpletcp", "request=\"hello\\nworld\\n\"", "receive=\"^world\""],
        ),
        Trial::up(
            "simpletcp over UDP",
            7,
            &["service=simpletcp", "protocol=udp", "request=\"hello\\n\"", "receive=\"hello\""],
        ),
        Trial::up(
            "tcp in steps",
            7,
            &[
                "service=tcp",
                "send=\"one\\n\"",
                "expect=\"^one$\"",
                "send=\"two\"",
                "expect=\"two\"",
            ],
        )
        .unknown_to_ldirectord(),
        Trial::up(
            "udp, an echo of all bytes",
            7,
            &[
                "service=udp",
                "protocol=udp",
                "send=\"\\0\\x01\\xff\\\\\\\"#\\r\\n\"",
                "expect=\"^\\x00\\x01\\xff\\\\\\x22\\x23\\r\\n$\"",
            ],
        )
        .unknown_to_ldirectord(),
        Trial::late(
            "simpletcp, a late answer",
            8,
            &["service=simpletcp", "request=\"hello\\n\"", "receive=\"hello\""],
        ),
        Trial::down(
            "simpletcp, wrong answer",
            7,
            Reason::Mismatch,
            &["service=simpletcp", "request=\"hello\\n\"", "receive=\"nothing of the kind\""],
        ),
    ],
};

fn start(server: &Server) {
    for (four_or_six, host) in [("4", "127.0.0.1"), ("6", "[::1]")] {
        let tcp = format!("TCP{four_or_six}-LISTEN:7,bind={host},fork,reuseaddr");
        server.spawn("socat", &[&tcp, "PIPE"]);
        server.spawn("socat", &["-t5", &tcp.replace(":7,", ":8,"), "SYSTEM:sleep 1.5; cat"]);
        let udp = format!("UDP{four_or_six}-RECVFROM:7,bind={host},fork");
        server.spawn("socat", &[&udp, "PIPE"]);
    }
    server.wait_for_ports(&[7, 8]);
}
