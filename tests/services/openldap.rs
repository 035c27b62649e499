//! OpenLDAP's slapd: ldap and ldaps.

use ldirectord::model::Reason;

use crate::service::{Server, Service, Trial};

pub(crate) const SERVICE: Service = Service {
    name: "slapd",
    start,
    trials: &[
        Trial::up("ldap", 389, &["service=ldap", BASE]),
        Trial::up("ldap with receive", 389, &["service=ldap", BASE, "receive=\"^dc=example\""]),
        Trial::up("ldap with login", 389, &["service=ldap", BASE, LOGIN, "passwd=\"s3cret\""]),
        Trial::late("ldap, a late answer", 389, &["service=ldap", "request=\"dc=late\""]),
        Trial::down(
            "ldap, wrong answer",
            389,
            Reason::Mismatch,
            &["service=ldap", BASE, "receive=\"nothing of the kind\""],
        ),
        Trial::down(
            "ldap, no such entry",
            389,
            Reason::Mismatch,
            &["service=ldap", "request=\"dc=none,dc=example,dc=net\""],
        ),
        Trial::down(
            "ldap, wrong password",
            389,
            Reason::Denied,
            &["service=ldap", BASE, LOGIN, "passwd=\"other\""],
        ),
        Trial::up("ldaps", 636, &["service=ldaps", BASE]),
        Trial::up("ldaps with login", 636, &["service=ldaps", BASE, LOGIN, "passwd=\"s3cret\""]),
        Trial::up(
            "ldaps, verified",
            636,
            &["service=ldaps", BASE, "tlsverify=yes", "cafile=\"@/certificate.pem\""],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "ldaps, not trusted",
            636,
            Reason::Tls,
            &["service=ldaps", BASE, "tlsverify=yes"],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "ldaps, no such entry",
            636,
            Reason::Mismatch,
            &["service=ldaps", "request=\"dc=none,dc=example,dc=net\""],
        ),
        Trial::down(
            "ldaps, wrong answer",
            636,
            Reason::Mismatch,
            &["service=ldaps", BASE, "receive=\"nothing of the kind\""],
        ),
        Trial::down(
            "ldaps, wrong password",
            636,
            Reason::Denied,
            &["service=ldaps", BASE, LOGIN, "passwd=\"other\""],
        ),
        Trial::up("ldap, STARTTLS", 389, &["service=ldap", BASE, "starttls=yes"])
            .unknown_to_ldirectord(),
        Trial::up(
            "ldap, STARTTLS with login",
            389,
            &["service=ldap", BASE, "starttls=yes", LOGIN, "passwd=\"s3cret\""],
        )
        .unknown_to_ldirectord(),
        Trial::up(
            "ldap, STARTTLS verified",
            389,
            &["service=ldap", BASE, "starttls=yes", "tlsverify=yes", OURS],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "ldap, STARTTLS with another name",
            389,
            Reason::Tls,
            &[
                "service=ldap",
                BASE,
                "starttls=yes",
                "tlsverify=yes",
                OURS,
                "tlsname=other.example.net",
            ],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "ldap without STARTTLS",
            1389,
            Reason::Tls,
            &["service=ldap", BASE, "starttls=yes", LOGIN, "passwd=\"s3cret\""],
        )
        .unknown_to_ldirectord(),
    ],
};

const OURS: &str = "cafile=\"@/certificate.pem\"";
const BASE: &str = "request=\"dc=example,dc=net\"";
const LOGIN: &str = "login=\"cn=admin,dc=example,dc=net\"";

const CONFIGURATION: &str = "
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload retcode
pidfile @/pid
argsfile @/args
TLSCertificateFile @/certificate.pem
TLSCertificateKeyFile @/key.pem
database mdb
maxsize 10485760
suffix \"dc=example,dc=net\"
rootdn \"cn=admin,dc=example,dc=net\"
rootpw s3cret
directory @/data
database mdb
maxsize 10485760
suffix \"dc=late\"
directory @/late
overlay retcode
retcode-parent \"ou=codes,dc=late\"
retcode-sleep 2
";

/// Another server, which has neither TLS nor data.
const IN_CLEAR: &str = "
include /etc/ldap/schema/core.schema
pidfile @/clear-pid
argsfile @/clear-args
";

const DATA: &str = "dn: dc=example,dc=net
objectClass: dcObject
objectClass: organization
dc: example
o: Example
";

const LATE: &str = "dn: dc=late
objectClass: dcObject
objectClass: organization
dc: late
o: Late
";

fn start(server: &Server) {
    server.make_certificate();
    server.folder_of("root", "data");
    server.folder_of("root", "late");
    let configuration = server.write("slapd.conf", CONFIGURATION);
    for (suffix, data) in [("dc=example,dc=net", DATA), ("dc=late", LATE)] {
        let data = server.write("data.ldif", data);
        server.run("slapadd", &["-f", &configuration, "-b", suffix, "-l", &data]);
    }
    let hosts = "ldap://127.0.0.1 ldap://[::1] ldaps://127.0.0.1 ldaps://[::1]";
    server.spawn("slapd", &["-f", &configuration, "-h", hosts, "-d", "256"]);
    let in_clear = server.write("clear.conf", IN_CLEAR);
    let hosts = "ldap://127.0.0.1:1389 ldap://[::1]:1389";
    server.spawn("slapd", &["-f", &in_clear, "-h", hosts, "-d", "256"]);
    server.wait_for_ports(&[389, 636, 1389]);
}
