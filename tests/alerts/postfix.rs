//! Mails at postfix: by SMTP, and by its own `sendmail`.

use std::{
    fs,
    net::TcpStream,
    process::{Command, Stdio},
};

use crate::{
    peers::{SMTP, Trial, alert_test, config, mailing, start},
    site::{Server, Site, wait},
    support::lab::{Namespace, wait_for},
};

pub(crate) const TRIALS: &[Trial] = &[("postfix: by SMTP and by sendmail", postfix)];

const MAIN: &str = "
compatibility_level = 3.6
myhostname = mail.example.net
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
maillog_file_prefixes = /tmp
maillog_file = @/mail.log
alias_maps =
virtual_mailbox_domains = example.org
virtual_mailbox_base = @
virtual_mailbox_maps = static:box/
virtual_minimum_uid = 1
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
smtpd_peername_lookup = no
";

const MASTER: &str = "
2525      inet  n - n - - smtpd
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
virtual   unix  - n n - - virtual
";

fn postfix(namespace: &Namespace) {
    let server = Server::up();
    let address = server.address();
    let site = Site::new();
    let folder = site.path("").display().to_string();
    fs::write("/etc/postfix/main.cf", MAIN.replace('@', folder.trim_end_matches('/'))).unwrap();
    fs::write("/etc/postfix/master.cf", MASTER).unwrap();
    namespace.run("chmod", &["755", &folder]);
    namespace.run("install", &["-d", "-o", "65534", &format!("{folder}/box")]);
    let mut postfix = Command::new("postfix");
    namespace.spawn(postfix.arg("start-fg").stdout(Stdio::null()).stderr(Stdio::null()));
    wait_for("postfix", || TcpStream::connect(("127.0.0.1", SMTP)));

    site.configure(&config(&mailing(SMTP), &server));
    let done = alert_test(&site);
    let taken = "mail to night@example.org was taken by 127.0.0.1:2525\n";
    assert_eq!((done.code, done.all().as_str()), (0, taken));
    let mail = wait_for_mail(&site, "Subject: Test of mail alerts\n");
    assert!(mail.contains("\nReceived: from ") && mail.contains(" with ESMTP "), "{mail}");

    let lines = "emailalert=\"night@example.org\"\nemailalertfrom=lvs@example.net";
    site.configure(&config(&format!("{lines}\nemailalertstatus=running"), &server));
    start(&site);
    drop(server);
    let subject = format!("Subject: Deleted real server: {address} (192.0.2.1:80)\n");
    let mail = wait_for_mail(&site, &subject);
    assert!(mail.contains("\nReceived: by mail.example.net (Postfix, from userid 0)"), "{mail}");
    assert!(mail.contains("\nTo: night@example.org\n"), "{mail}");
    assert!(mail.contains("\nFrom: lvs@example.net\n"), "{mail}");
}

/// Waits until the mailbox has a mail with this line; that mail.
fn wait_for_mail(site: &Site, line: &str) -> String {
    wait(&format!("a mail with {line:?}"), || {
        let files = fs::read_dir(site.path("box/new")).into_iter().flatten().flatten();
        let mails: Vec<_> =
            files.map(|file| fs::read_to_string(file.path()).unwrap_or_default()).collect();
        let log = fs::read_to_string(site.path("mail.log")).unwrap_or_default();
        let found = mails.iter().find(|mail| mail.contains(line)).cloned();
        found.ok_or_else(|| format!("{mails:#?}\n{log}\n{}", site.log()))
    })
}
