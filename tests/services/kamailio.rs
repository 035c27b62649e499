//! Kamailio: sip over UDP and TCP.

use ldirectord::model::Reason;

use crate::service::{Server, Service, Trial};

pub(crate) const SERVICE: Service = Service {
    name: "kamailio",
    start,
    trials: &[
        Trial::up("sip", 5060, &["service=sip", "protocol=udp"]),
        Trial::up("sip with login", 5060, &["service=sip", "protocol=udp", LOGIN]),
        Trial::up("sip over TCP", 5060, &["service=sip", "protocol=tcp", LOGIN]),
        Trial::late("sip, a late answer", 5060, &["service=sip", "protocol=udp", LATE]),
        Trial::late("sip over TCP, a late answer", 5060, &["service=sip", "protocol=tcp", LATE]),
        Trial::down(
            "sip, nobody of this name",
            5060,
            Reason::Protocol,
            &["service=sip", "protocol=udp", "login=\"nobody@example.net\""],
        ),
        Trial::down(
            "sip over TCP, denied",
            5060,
            Reason::Protocol,
            &["service=sip", "protocol=tcp", "login=\"denied@example.net\""],
        ),
    ],
};

const LOGIN: &str = "login=\"monitor@example.net\"";
const LATE: &str = "login=\"late@example.net\"";

const CONFIGURATION: &str = "
debug=2
log_stderror=yes
children=2
tcp_children=2
disable_tcp=no
auto_aliases=no
listen=udp:127.0.0.1:5060
listen=tcp:127.0.0.1:5060
listen=udp:[::1]:5060
listen=tcp:[::1]:5060
loadmodule \"sl.so\"
loadmodule \"cfgutils.so\"
request_route {
    if (uri =~ \"^sip:late\") {
        usleep(\"1500000\");
    }
    if (uri =~ \"^sip:nobody\") {
        sl_send_reply(\"404\", \"Not Found\");
        exit;
    }
    if (uri =~ \"^sip:denied\") {
        sl_send_reply(\"403\", \"Forbidden\");
        exit;
    }
    sl_send_reply(\"200\", \"OK\");
}
";

fn start(server: &Server) {
    let configuration = server.path("kamailio.cfg");
    // `@` stands for itself in addresses.
    std::fs::write(&configuration, CONFIGURATION).unwrap();
    server.spawn("kamailio", &["-DD", "-E", "-Y", &server.path(""), "-f", &configuration]);
    server.wait_for_ports(&[5060]);
}
