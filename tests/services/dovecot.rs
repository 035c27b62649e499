//! Dovecot: imap, imaps, pop and pops.

use ldirectord::model::Reason;

use crate::service::{
    Family, NOBODY, Otherwise, Server, Service, State,
    Theirs::{self, Differs},
    Trial,
};

/// Several servers, because the Perl program takes its time with imap.
pub(crate) const IMAP_SERVICE: Service = Service {
    name: "dovecot-imap",
    start,
    trials: &[
        Trial { theirs: IMAP, ..Trial::up("imap", 143, &["service=imap"]) },
        Trial {
            theirs: IMAP,
            ..Trial::up(
                "imap with login",
                143,
                &["service=imap", "login=\"monitor\"", "passwd=\"s3cret\""],
            )
        },
        Trial {
            theirs: IMAP,
            ..Trial::late(
                "imap, a late login",
                143,
                &["service=imap", "login=\"late\"", "passwd=\"s3cret\""],
            )
        },
        Trial {
            theirs: IMAP_PORT,
            ..Trial::down("imap, where pop is spoken", 110, Reason::Protocol, &["service=imap"])
        },
        Trial::down(
            "imap, wrong password",
            143,
            Reason::Denied,
            &["service=imap", "login=\"monitor\"", "passwd=\"other\""],
        ),
    ],
};

pub(crate) const STRICT_SERVICE: Service = Service {
    name: "dovecot-strict",
    start: start_strict,
    trials: &[
        Trial::up(
            "imaps with login",
            993,
            &["service=imaps", "login=\"monitor\"", "passwd=\"s3cret\""],
        ),
        Trial::down(
            "imap, no password in the clear",
            143,
            Reason::Denied,
            &["service=imap", "login=\"monitor\"", "passwd=\"s3cret\""],
        ),
        Trial::down(
            "pop, no password in the clear",
            110,
            Reason::Denied,
            &["service=pop", "login=\"monitor\"", "passwd=\"s3cret\""],
        ),
    ],
};

pub(crate) const IMAPS_SERVICE: Service = Service {
    name: "dovecot-imaps",
    start,
    trials: &[
        Trial::up("imaps", 993, &["service=imaps"]),
        Trial::up(
            "imaps with login",
            993,
            &["service=imaps", "login=\"monitor\"", "passwd=\"s3cret\""],
        ),
        Trial {
            theirs: IMAP_PORT,
            ..Trial::down("imaps, where pops is spoken", 995, Reason::Protocol, &["service=imaps"])
        },
        Trial::down(
            "imaps, wrong password",
            993,
            Reason::Denied,
            &["service=imaps", "login=\"monitor\"", "passwd=\"other\""],
        ),
        Trial::up(
            "imaps, verified",
            993,
            &["service=imaps", "tlsverify=yes", "cafile=\"@/certificate.pem\""],
        )
        .unknown_to_ldirectord(),
        Trial::down("imaps, not trusted", 993, Reason::Tls, &["service=imaps", "tlsverify=yes"])
            .unknown_to_ldirectord(),
        Trial::up("imap, STARTTLS", 143, &["service=imap", "starttls=yes"]).unknown_to_ldirectord(),
        Trial::up(
            "imap, STARTTLS with login",
            143,
            &["service=imap", "starttls=yes", "login=\"monitor\"", "passwd=\"s3cret\""],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "imap, STARTTLS, wrong password",
            143,
            Reason::Denied,
            &["service=imap", "starttls=yes", "login=\"monitor\"", "passwd=\"other\""],
        )
        .unknown_to_ldirectord(),
        Trial::up(
            "imap, STARTTLS verified",
            143,
            &["service=imap", "starttls=yes", "tlsverify=yes", OURS],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "imap, STARTTLS with another name",
            143,
            Reason::Tls,
            &["service=imap", "starttls=yes", "tlsverify=yes", OURS, "tlsname=other.example.net"],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "imap without STARTTLS",
            1143,
            Reason::Tls,
            &["service=imap", "starttls=yes", "login=\"monitor\"", "passwd=\"s3cret\""],
        )
        .unknown_to_ldirectord(),
    ],
};

pub(crate) const POP_SERVICE: Service = Service {
    name: "dovecot-pop",
    start,
    trials: &[
        Trial { theirs: POP_WITHOUT_LOGIN, ..Trial::up("pop", 110, &["service=pop"]) },
        Trial {
            theirs: POP,
            ..Trial::up(
                "pop with login",
                110,
                &["service=pop", "login=\"monitor\"", "passwd=\"s3cret\""],
            )
        },
        Trial {
            theirs: POP,
            ..Trial::late(
                "pop, a late login",
                110,
                &["service=pop", "login=\"late\"", "passwd=\"s3cret\""],
            )
        },
        Trial::down(
            "pop, where imap is spoken",
            143,
            Reason::Protocol,
            &["service=pop", "login=\"monitor\"", "passwd=\"s3cret\""],
        ),
        Trial::down(
            "pop, wrong password",
            110,
            Reason::Denied,
            &["service=pop", "login=\"monitor\"", "passwd=\"other\""],
        ),
        Trial::down(
            "pop, nobody of this name",
            110,
            Reason::Denied,
            &["service=pop", "login=\"nobody\"", "passwd=\"s3cret\""],
        ),
        Trial { theirs: POP_WITHOUT_LOGIN, ..Trial::up("pops", 995, &["service=pops"]) },
        Trial {
            theirs: POPS,
            ..Trial::up(
                "pops with login",
                995,
                &["service=pops", "login=\"monitor\"", "passwd=\"s3cret\""],
            )
        },
        Trial::down(
            "pops, where imaps is spoken",
            993,
            Reason::Protocol,
            &["service=pops", "login=\"monitor\"", "passwd=\"s3cret\""],
        ),
        Trial::down(
            "pops, nobody of this name",
            995,
            Reason::Denied,
            &["service=pops", "login=\"nobody\"", "passwd=\"s3cret\""],
        ),
        Trial::down(
            "pops, wrong password",
            995,
            Reason::Denied,
            &["service=pops", "login=\"monitor\"", "passwd=\"other\""],
        ),
        Trial::up("pop, STARTTLS", 110, &["service=pop", "starttls=yes"]).unknown_to_ldirectord(),
        Trial::up(
            "pop, STARTTLS with login",
            110,
            &["service=pop", "starttls=yes", "login=\"monitor\"", "passwd=\"s3cret\""],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "pop, STARTTLS, wrong password",
            110,
            Reason::Denied,
            &["service=pop", "starttls=yes", "login=\"monitor\"", "passwd=\"other\""],
        )
        .unknown_to_ldirectord(),
        Trial::up(
            "pop, STARTTLS verified",
            110,
            &["service=pop", "starttls=yes", "tlsverify=yes", OURS],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "pop, STARTTLS with another name",
            110,
            Reason::Tls,
            &["service=pop", "starttls=yes", "tlsverify=yes", OURS, "tlsname=other.example.net"],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "pop without STARTTLS",
            1110,
            Reason::Tls,
            &["service=pop", "starttls=yes", "login=\"monitor\"", "passwd=\"s3cret\""],
        )
        .unknown_to_ldirectord(),
    ],
};

const OURS: &str = "cafile=\"@/certificate.pem\"";

const IMAP: Theirs =
    Differs("IPv6 does not work there, and a late answer is waited for", |state, family| {
        match (state, family) {
            (State::Works, Family::V6) | (State::TooLate, Family::V4) => Otherwise::Opposite,
            _ => Otherwise::No,
        }
    });

const IMAP_PORT: Theirs =
    Differs("the port is always 143 or 993 there", |_, family| match family {
        Family::V4 => Otherwise::Opposite,
        // It would wait long.
        Family::V6 => Otherwise::Dies,
    });

const POP: Theirs =
    Differs("IPv6 does not work there, and silence hangs it", |state, family| {
        match (state, family) {
            (State::Works, Family::V6) | (State::TooLate, Family::V4) => Otherwise::Opposite,
            (State::Stopped, _) => Otherwise::Dies,
            _ => Otherwise::No,
        }
    });

const POPS: Theirs = Differs("silence hangs it", |state, _| match state {
    State::Stopped => Otherwise::Dies,
    State::Works | State::TooLate | State::Absent => Otherwise::No,
});

const POP_WITHOUT_LOGIN: Theirs =
    Differs("always up there without login", |state, _| match state {
        State::Works | State::TooLate => Otherwise::No,
        State::Absent => Otherwise::Opposite,
        State::Stopped => Otherwise::Dies,
    });

/// With TLS.
const SECURE: &str = "
base_dir = @/base
state_dir = @/state
log_path = @/dovecot.log
ssl = yes
ssl_cert = <@/certificate.pem
ssl_key = <@/key.pem
";

/// Without, at other ports.
const IN_CLEAR: &str = "
base_dir = @/clear
state_dir = @/clear-state
log_path = @/clear.log
ssl = no
service imap-login {
    inet_listener imap {
        port = 1143
    }
}
service pop3-login {
    inet_listener pop3 {
        port = 1110
    }
}
";

const OF_BOTH: &str = "
protocols = imap pop3
listen = 127.0.0.1, ::1
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5 apop
auth_failure_delay = 0
mail_location = maildir:~/Maildir
passdb {
    driver = passwd-file
    args = @/users
}
userdb {
    driver = static
    args = uid=mail gid=mail home=@/mail/%u
}
first_valid_uid = 1
service imap {
    executable = imap imap-postlogin
}
service imap-postlogin {
    executable = script-login @/late
    unix_listener imap-postlogin {
    }
}
service pop3 {
    executable = pop3 pop3-postlogin
}
service pop3-postlogin {
    executable = script-login @/late
    unix_listener pop3-postlogin {
    }
}
service anvil {
    # No waiting for those who gave a wrong password.
    unix_listener anvil-auth-penalty {
        mode = 0
    }
}
";

/// What runs between the login and the server's word for it.
const LATE: &str = "#!/bin/sh
[ \"$USER\" != late ] || sleep 1.5
exec \"$@\"
";

fn start(server: &Server) {
    let late = server.path("late");
    // `@` stands for something else in this.
    std::fs::write(&late, LATE).unwrap();
    server.run("chmod", &["+x", &late]);
    run(
        server,
        &[
            ("secure.conf", &[SECURE, OF_BOTH].concat()),
            ("clear.conf", &[IN_CLEAR, OF_BOTH].concat()),
        ],
    );
    server.wait_for_ports(&[1110, 1143]);
}

/// Without passwords in the clear for those who come from elsewhere.
fn start_strict(server: &Server) {
    // Who comes from the address that he goes to is never from elsewhere.
    for (host, source) in [("127.0.0.1", "127.0.0.2"), ("::1", NOBODY[1])] {
        let to_host = ["local", host, "dev", "lo", "table", "local"];
        server.namespace.ip(&[&["route", "delete"], &to_host[..]].concat());
        server.namespace.ip(&[&["route", "add"], &to_host[..], &["src", source]].concat());
    }
    let configuration = [SECURE, OF_BOTH]
        .concat()
        .replace("disable_plaintext_auth = no", "disable_plaintext_auth = yes")
        .replace("plain login cram-md5 apop", "plain login")
        .replace("executable = imap imap-postlogin", "executable = imap")
        .replace("executable = pop3 pop3-postlogin", "executable = pop3");
    run(server, &[("dovecot.conf", &configuration)]);
}

fn run(server: &Server, configurations: &[(&str, &str)]) {
    server.make_certificate();
    server.write("users", "monitor:{PLAIN}s3cret\nlate:{PLAIN}s3cret\n");
    server.folder_of("mail", "mail");
    for (name, configuration) in configurations {
        let configuration = server.write(name, configuration);
        server.spawn("dovecot", &["-F", "-c", &configuration]);
    }
    server.wait_for_ports(&[110, 143, 993, 995]);
}
