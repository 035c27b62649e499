//! FreeRADIUS: radius.

use ldirectord::model::Reason;

use crate::{
    service::{Family, Otherwise, Server, Service, Theirs, Trial},
    support::lab::wait_for,
};

pub(crate) const SERVICE: Service = Service {
    name: "freeradius",
    start,
    trials: &[
        Trial {
            theirs: RADIUS,
            ..Trial::up("radius", 1812, &["service=radius", LOGIN, "passwd=\"s3cret\"", SECRET])
        },
        Trial {
            theirs: RADIUS,
            ..Trial::up(
                "radius with a long password",
                1812,
                &[
                    "service=radius",
                    "login=\"long\"",
                    "passwd=\"a password of forty characters, or more\"",
                    SECRET,
                ],
            )
        },
        Trial {
            theirs: RADIUS,
            ..Trial::late(
                "radius, a late answer",
                1812,
                &["service=radius", "login=\"late\"", "passwd=\"s3cret\"", SECRET],
            )
        },
        Trial {
            theirs: RADIUS,
            ..Trial::down(
                "radius, wrong password",
                1812,
                Reason::Denied,
                &["service=radius", LOGIN, "passwd=\"other\"", SECRET],
            )
        },
        Trial {
            theirs: RADIUS,
            ..Trial::down(
                "radius, nobody of this name",
                1812,
                Reason::Denied,
                &["service=radius", "login=\"nobody\"", "passwd=\"s3cret\"", SECRET],
            )
        },
        // It does not answer those whom it does not know.
        Trial {
            theirs: RADIUS,
            ..Trial::down(
                "radius, wrong secret",
                1812,
                Reason::Timeout,
                &[
                    "checktimeout=2",
                    "service=radius",
                    LOGIN,
                    "passwd=\"s3cret\"",
                    "secret=\"other\"",
                ],
            )
        },
    ],
};

const LOGIN: &str = "login=\"monitor\"";
const SECRET: &str = "secret=\"testing123\"";

const RADIUS: Theirs = Theirs::Differs("IPv6 is its end", |_, family| match family {
    Family::V6 => Otherwise::Dies,
    Family::V4 => Otherwise::No,
});

const CONFIGURATION: &str = "
name = lab
raddbdir = @
logdir = @
run_dir = @
pidfile = @/pid
max_request_time = 5
security {
    allow_vulnerable_openssl = yes
}
client four {
    ipaddr = 127.0.0.1
    secret = testing123
}
client six {
    ipv6addr = ::1
    secret = testing123
}
modules {
    files {
        usersfile = @/users
    }
    pap {
    }
    exec {
        wait = yes
        timeout = 4
    }
}
server default {
    listen {
        type = auth
        ipaddr = 127.0.0.1
        port = 1812
    }
    listen {
        type = auth
        ipv6addr = ::1
        port = 1812
    }
    authorize {
        if (&User-Name == \"late\") {
            update control {
                &Tmp-String-0 := \"%{exec:/usr/bin/sleep 1.5}\"
            }
        }
        files
        pap
    }
    authenticate {
        Auth-Type PAP {
            pap
        }
    }
}
";

fn start(server: &Server) {
    server.write("users", "monitor Cleartext-Password := \"s3cret\"\nlate Cleartext-Password := \"s3cret\"\nlong Cleartext-Password := \"a password of forty characters, or more\"\n");
    server.write("dictionary", "");
    server.write("radiusd.conf", CONFIGURATION);
    server.spawn("freeradius", &["-X", "-d", &server.path(""), "-n", "radiusd"]);
    wait_for("freeradius", || {
        let log = std::fs::read_to_string(server.path("freeradius.out.log")).unwrap_or_default();
        log.contains("Ready to process requests").then_some(()).ok_or("not ready")
    });
}
