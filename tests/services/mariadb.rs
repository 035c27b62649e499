//! MariaDB: mysql.

use ldirectord::model::Reason;

use crate::service::{Otherwise, Server, Service, State, Theirs, Trial};

pub(crate) const SERVICE: Service = Service {
    name: "mariadb",
    start,
    trials: &[
        Trial {
            theirs: THEIRS,
            ..Trial::up("mysql", 3306, &["service=mysql", LOGIN, PASSWD, DATABASE, SELECT])
        },
        Trial {
            theirs: THEIRS,
            ..Trial::up(
                "mysql, no password and no database",
                3306,
                &["service=mysql", "login=\"open\"", SELECT],
            )
        },
        Trial {
            theirs: THEIRS,
            ..Trial::late(
                "mysql, a late answer",
                3306,
                &["service=mysql", LOGIN, PASSWD, DATABASE, "request=\"SELECT SLEEP(1.5)\""],
            )
        },
        Trial::down(
            "mysql, no row",
            3306,
            Reason::Mismatch,
            &["service=mysql", LOGIN, PASSWD, DATABASE, "request=\"SELECT * FROM bare\""],
        ),
        Trial::down(
            "mysql, no such table",
            3306,
            Reason::Protocol,
            &["service=mysql", LOGIN, PASSWD, DATABASE, "request=\"SELECT * FROM nothing\""],
        ),
        Trial::down(
            "mysql, no statement",
            3306,
            Reason::Protocol,
            &["service=mysql", LOGIN, PASSWD, DATABASE, "request=\"SELEKT 1\""],
        ),
        Trial::down(
            "mysql, no such database",
            3306,
            Reason::Protocol,
            &["service=mysql", LOGIN, PASSWD, "database=\"none\"", SELECT],
        ),
        Trial::down(
            "mysql, a database of others",
            3306,
            Reason::Denied,
            &["service=mysql", LOGIN, PASSWD, "database=\"mysql\"", SELECT],
        ),
        Trial::down(
            "mysql, a table of others",
            3306,
            Reason::Denied,
            &["service=mysql", LOGIN, PASSWD, DATABASE, "request=\"SELECT * FROM mysql.user\""],
        ),
        Trial::down(
            "mysql, wrong password",
            3306,
            Reason::Denied,
            &["service=mysql", LOGIN, "passwd=\"other\"", DATABASE, SELECT],
        ),
        Trial::down(
            "mysql, nobody of this name",
            3306,
            Reason::Denied,
            &["service=mysql", "login=\"nobody\"", PASSWD, DATABASE, SELECT],
        ),
        Trial::down(
            "mysql, a login for this machine only",
            3306,
            Reason::Denied,
            &["service=mysql", "login=\"local\"", PASSWD, DATABASE, SELECT],
        ),
        Trial {
            theirs: OLD,
            ..Trial::down(
                "mysql, a password of MySQL 4.0",
                3306,
                Reason::Denied,
                &["service=mysql", "login=\"old\"", PASSWD, DATABASE, SELECT],
            )
        },
    ],
};

const LOGIN: &str = "login=\"monitor\"";
const PASSWD: &str = "passwd=\"s3cret\"";
const DATABASE: &str = "database=\"shop\"";
const SELECT: &str = "request=\"SELECT 1\"";

const THEIRS: Theirs =
    Theirs::Differs("a server that answers late or not at all hangs it", |state, _| match state {
        State::Works | State::Absent => Otherwise::No,
        State::TooLate => Otherwise::Opposite,
        State::Stopped => Otherwise::Dies,
    });

const OLD: Theirs =
    Theirs::Differs("its library knows more ways to log in", |_, _| Otherwise::Opposite);

const OPTIONS: &str = "
[mariadbd]
user = root
datadir = @/data
socket = @/socket
pid-file = @/pid
bind-address = 127.0.0.1,::1
skip-name-resolve
skip-innodb
default-storage-engine = Aria
secure-auth = off
";

/// Each statement on a line of its own.
const USERS: &str = "
CREATE DATABASE shop;
CREATE TABLE shop.bare (nothing INT);
CREATE USER monitor IDENTIFIED VIA mysql_native_password USING PASSWORD('s3cret');
CREATE USER open;
CREATE USER local IDENTIFIED VIA unix_socket;
CREATE USER old IDENTIFIED VIA mysql_old_password USING PASSWORD('s3cret');
GRANT SELECT ON shop.* TO monitor, open, local, old;
GRANT SELECT ON none.* TO monitor;
";

fn start(server: &Server) {
    let options = server.write("options.cnf", OPTIONS);
    server.folder_of("root", "data");
    let users = server.write("users.sql", USERS);
    // What Debian's `mariadb-install-db` does, for which it wants programs of other packages.
    let make = format!(
        "(echo 'CREATE DATABASE mysql;'; echo 'USE mysql;'; \
         cat /usr/share/mysql/mysql_system_tables.sql) | \
         mariadbd --defaults-file={options} --bootstrap"
    );
    server.run("sh", &["-c", &make]);
    server.spawn(
        "mariadbd",
        &[&format!("--defaults-file={options}"), &format!("--init-file={users}")],
    );
    server.wait_for_ports(&[3306]);
}
