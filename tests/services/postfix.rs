//! Postfix: smtp and submission.

use ldirectord::model::Reason;

use crate::service::{Server, Service, Trial};

pub(crate) const SERVICE: Service = Service {
    name: "postfix",
    start,
    trials: &[
        Trial::up("smtp", 25, &["service=smtp"]),
        Trial::up("submission", 587, &["service=submission"]),
        Trial::late("smtp, a late greeting", 2505, &["service=smtp"]),
        Trial::down(
            "submission that wants nobody",
            2501,
            Reason::Protocol,
            &["service=submission"],
        ),
        Trial::down("smtp that wants nobody", 2501, Reason::Protocol, &["service=smtp"]),
        Trial::down("smtp that takes no hello", 2502, Reason::Protocol, &["service=smtp"]),
        Trial::up("smtp, STARTTLS", 25, &["service=smtp", "starttls=yes"]).unknown_to_ldirectord(),
        Trial::up(
            "smtp, STARTTLS by OpenSSL",
            25,
            &["service=smtp", "starttls=yes", "tlsengine=openssl"],
        )
        .unknown_to_ldirectord(),
        Trial::up("smtp, STARTTLS of old", 2504, &["service=smtp", "starttls=yes"])
            .unknown_to_ldirectord(),
        Trial::up(
            "smtp, STARTTLS verified",
            25,
            &["service=smtp", "starttls=yes", "tlsverify=yes", OURS],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "smtp, STARTTLS with another name",
            25,
            Reason::Tls,
            &["service=smtp", "starttls=yes", "tlsverify=yes", OURS, "tlsname=other.example.net"],
        )
        .unknown_to_ldirectord(),
        Trial::down("smtp without STARTTLS", 2503, Reason::Tls, &["service=smtp", "starttls=yes"])
            .unknown_to_ldirectord(),
        Trial::up("submission, STARTTLS", 587, &["service=submission", "starttls=yes"])
            .unknown_to_ldirectord(),
        Trial::up(
            "submission, STARTTLS verified",
            587,
            &[
                "service=submission",
                "starttls=yes",
                "tlsverify=yes",
                OURS,
                "tlsname=lab.example.net",
            ],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "submission, STARTTLS with another name",
            587,
            Reason::Tls,
            &[
                "service=submission",
                "starttls=yes",
                "tlsverify=yes",
                OURS,
                "virtualhost=other.example.net",
            ],
        )
        .unknown_to_ldirectord(),
        Trial::up("tcp in steps", 25, &STEPS).unknown_to_ldirectord(),
        Trial::down("tcp in steps, goodbye too soon", 25, Reason::Mismatch, &TOO_SOON)
            .unknown_to_ldirectord(),
    ],
};

const OURS: &str = "cafile=\"@/certificate.pem\"";

/// A greeting, a hello and a goodbye.
const STEPS: [&str; 6] = [
    "service=tcp",
    "expect=\"^220 lab.example.net \"",
    "send=\"EHLO director.example.net\\r\\n\"",
    "expect=\"(?m)^250 .*\\n\"",
    "send=\"QUIT\\r\\n\"",
    "expect=\"^221 .*Bye\\r\\n\"",
];
const TOO_SOON: [&str; 4] =
    ["service=tcp", "expect=\"^220 \"", "send=\"QUIT\\r\\n\"", "expect=\"(?m)^250 \""];

const MAIN: &str = "
compatibility_level = 3.6
myhostname = lab.example.net
mydestination =
inet_interfaces = 127.0.0.1, [::1]
inet_protocols = all
queue_directory = /var/spool/postfix
maillog_file_prefixes = /run
maillog_file = @/mail.log
alias_maps =
smtpd_relay_restrictions = reject_unauth_destination
smtpd_peername_lookup = no
smtpd_delay_reject = no
smtpd_tls_security_level = may
smtpd_tls_chain_files = @/key.pem, @/certificate.pem
";

const MASTER: &str = "
25        inet  n - n - - smtpd
587       inet  n - n - - smtpd -o smtpd_tls_security_level=encrypt
2501      inet  n - n - - smtpd -o smtpd_client_restrictions=reject
2502      inet  n - n - - smtpd -o smtpd_helo_restrictions=reject
2503      inet  n - n - - smtpd -o smtpd_tls_security_level=none
2504      inet  n - n - - smtpd -o smtpd_tls_protocols=TLSv1
2505      inet  n - n - - smtpd -o { smtpd_client_restrictions = sleep 2 }
postlog   unix-dgram n - n - 1 postlogd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
proxymap  unix  - - n - - proxymap
anvil     unix  - - n - 1 anvil
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
error     unix  - - n - - error
smtp      unix  - - n - - smtp
tlsmgr    unix  - - n 1000? 1 tlsmgr
";

fn start(server: &Server) {
    server.make_certificate();
    let main = server.write("main.cf", MAIN);
    let master = server.write("master.cf", MASTER);
    server.run("cp", &[&main, &master, "/etc/postfix/"]);
    // In the text above the sign would become this folder.
    server.run("postconf", &["-P", "2504/inet/tls_medium_cipherlist=ALL:@SECLEVEL=0"]);
    server.spawn("postfix", &["start-fg"]);
    server.wait_for_ports(&[25, 587, 2501, 2502, 2503, 2504, 2505]);
}
