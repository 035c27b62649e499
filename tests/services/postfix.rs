//! Postfix: smtp and submission.

use ldirectord::model::Reason;

use crate::service::{Server, Service, Trial};

pub(crate) const SERVICE: Service = Service {
    name: "postfix",
    start,
    trials: &[
        Trial::up("smtp", 25, &["service=smtp"]),
        Trial::up("submission", 587, &["service=submission"]),
        Trial::late("smtp, a late greeting", 2503, &["service=smtp"]),
        Trial::down(
            "submission that wants nobody",
            2501,
            Reason::Protocol,
            &["service=submission"],
        ),
        Trial::down("smtp that wants nobody", 2501, Reason::Protocol, &["service=smtp"]),
        Trial::down("smtp that takes no hello", 2502, Reason::Protocol, &["service=smtp"]),
    ],
};

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
";

const MASTER: &str = "
25        inet  n - n - - smtpd
587       inet  n - n - - smtpd
2501      inet  n - n - - smtpd -o smtpd_client_restrictions=reject
2502      inet  n - n - - smtpd -o smtpd_helo_restrictions=reject
2503      inet  n - n - - smtpd -o { smtpd_client_restrictions = sleep 2 }
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
    let main = server.write("main.cf", MAIN);
    let master = server.write("master.cf", MASTER);
    server.run("cp", &[&main, &master, "/etc/postfix/"]);
    server.spawn("postfix", &["start-fg"]);
    server.wait_for_ports(&[25, 587, 2501, 2502, 2503]);
}
