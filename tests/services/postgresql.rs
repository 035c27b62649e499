//! PostgreSQL: pgsql.

use ldirectord::model::Reason;

use crate::{
    service::{Family, Otherwise, Server, Service, State, Theirs, Trial},
    support::lab::wait_for,
};

pub(crate) const SERVICE: Service = Service {
    name: "postgresql",
    start,
    trials: &[
        Trial {
            theirs: THEIRS,
            ..Trial::up("pgsql", 5432, &["service=pgsql", LOGIN, PASSWD, DATABASE, SELECT])
        },
        Trial {
            theirs: THEIRS,
            ..Trial::up(
                "pgsql with an MD5 password",
                5432,
                &["service=pgsql", "login=\"old\"", PASSWD, DATABASE, SELECT],
            )
        },
        Trial {
            theirs: THEIRS,
            ..Trial::late(
                "pgsql, a late answer",
                5432,
                &["service=pgsql", LOGIN, PASSWD, DATABASE, "request=\"SELECT pg_sleep(1.5)\""],
            )
        },
        Trial::down(
            "pgsql, nobody of this name",
            5432,
            Reason::Denied,
            &["service=pgsql", "login=\"nobody\"", PASSWD, DATABASE, SELECT],
        ),
        Trial::down(
            "pgsql, no row",
            5432,
            Reason::Mismatch,
            &["service=pgsql", LOGIN, PASSWD, DATABASE, "request=\"SELECT 1 WHERE false\""],
        ),
        Trial::down(
            "pgsql, no such table",
            5432,
            Reason::Protocol,
            &["service=pgsql", LOGIN, PASSWD, DATABASE, "request=\"SELECT * FROM nothing\""],
        ),
        Trial::down(
            "pgsql, wrong password",
            5432,
            Reason::Denied,
            &["service=pgsql", LOGIN, "passwd=\"other\"", DATABASE, SELECT],
        ),
        Trial::down(
            "pgsql, no such database",
            5432,
            Reason::Protocol,
            &["service=pgsql", LOGIN, PASSWD, "database=\"none\"", SELECT],
        ),
    ],
};

const LOGIN: &str = "login=\"monitor\"";
const PASSWD: &str = "passwd=\"s3cret\"";
const DATABASE: &str = "database=\"postgres\"";
const SELECT: &str = "request=\"SELECT 1\"";

const THEIRS: Theirs = Theirs::Differs(
    "it takes an IPv6 address for a name, and a server that answers late or not at all hangs it",
    |state, family| match (state, family) {
        (State::Stopped, _) => Otherwise::Dies,
        (State::Works, Family::V6) | (State::TooLate, Family::V4) => Otherwise::Opposite,
        _ => Otherwise::No,
    },
);

const ROLES: &str = "
CREATE ROLE monitor LOGIN PASSWORD 's3cret';
SET password_encryption = md5;
CREATE ROLE old LOGIN PASSWORD 's3cret';
";

fn start(server: &Server) {
    let data = server.folder_of("postgres", "data");
    let as_postgres = |program: &str, arguments: &[&str]| {
        let programs = std::fs::read_dir("/usr/lib/postgresql").unwrap().next().unwrap().unwrap();
        let program = programs.path().join("bin").join(program).display().to_string();
        let user = ["--reuid=postgres", "--regid=postgres", "--init-groups", &program];
        [
            &user.map(str::to_owned)[..],
            &arguments.iter().map(|&word| word.to_owned()).collect::<Vec<_>>(),
        ]
        .concat()
    };
    let words =
        as_postgres("initdb", &["-D", &data, "--auth=md5", "--auth-local=trust", "--no-sync"]);
    server.run("setpriv", &words.iter().map(String::as_str).collect::<Vec<_>>());
    let words = as_postgres(
        "postgres",
        &["-D", &data, "-k", &data, "-c", "listen_addresses=127.0.0.1,::1", "-c", "fsync=off"],
    );
    server.spawn("setpriv", &words.iter().map(String::as_str).collect::<Vec<_>>());
    let roles = server.write("roles.sql", ROLES);
    let words = as_postgres("psql", &["-h", &data, "-f", &roles, "postgres"]);
    server.wait_for_ports(&[5432]);
    wait_for("postgresql", || {
        let mut ask = std::process::Command::new("setpriv");
        let done = server.namespace.output(ask.args(&words));
        done.status
            .success()
            .then_some(())
            .ok_or(String::from_utf8_lossy(&done.stderr).into_owned())
    });
}
