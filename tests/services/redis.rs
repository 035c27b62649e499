//! Redis: redis, without and with logins.

use ldirectord::model::Reason;

use crate::service::{Server, Service, Trial};

pub(crate) const SERVICE: Service = Service {
    name: "redis",
    start,
    trials: &[
        Trial::up("redis", 6379, &["service=redis"]).unknown_to_ldirectord(),
        Trial::up(
            "redis, a request",
            6379,
            &["service=redis", "request=\"INFO replication\"", "receive=\"role:master\""],
        )
        .unknown_to_ldirectord(),
        Trial::late("redis, a late answer", 6379, &["service=redis", "request=\"WAIT 1 1500\""])
            .unknown_to_ldirectord(),
        Trial::down(
            "redis, wrong answer",
            6379,
            Reason::Mismatch,
            &["service=redis", "request=\"INFO replication\"", "receive=\"role:slave\""],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "redis, no such command",
            6379,
            Reason::Protocol,
            &["service=redis", "request=\"NOTHING\""],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "redis, a password that it does not have",
            6379,
            Reason::Denied,
            &["service=redis", "passwd=\"s3cret\""],
        )
        .unknown_to_ldirectord(),
        Trial::up("redis with a password", 6380, &["service=redis", "passwd=\"s3cret\""])
            .unknown_to_ldirectord(),
        Trial::up(
            "redis with login",
            6380,
            &["service=redis", "login=\"monitor\"", "passwd=\"m0nitor\""],
        )
        .unknown_to_ldirectord(),
        Trial::down("redis without a login", 6380, Reason::Denied, &["service=redis"])
            .unknown_to_ldirectord(),
        Trial::down(
            "redis, wrong password",
            6380,
            Reason::Denied,
            &["service=redis", "passwd=\"other\""],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "redis with login, wrong password",
            6380,
            Reason::Denied,
            &["service=redis", "login=\"monitor\"", "passwd=\"s3cret\""],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "redis with login, not allowed",
            6380,
            Reason::Denied,
            &[
                "service=redis",
                "login=\"monitor\"",
                "passwd=\"m0nitor\"",
                "request=\"CONFIG GET port\"",
            ],
        )
        .unknown_to_ldirectord(),
    ],
};

const CONFIGURATION: &str = "
bind 127.0.0.1 ::1
dir @
save \"\"
";

const LOGINS: &str = "
requirepass s3cret
user monitor on >m0nitor +ping
";

fn start(server: &Server) {
    for (port, more) in [(6379, ""), (6380, LOGINS)] {
        let text = format!("{CONFIGURATION}port {port}\n{more}");
        let configuration = server.write(&format!("{port}.conf"), &text);
        server.spawn("redis-server", &[&configuration]);
    }
    server.wait_for_ports(&[6379, 6380]);
}
