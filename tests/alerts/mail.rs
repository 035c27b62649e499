//! Mails at aiosmtpd, which refuses, puts off, breaks off, wants TLS and logins.

use std::{fmt::Write as _, net::TcpListener, os::fd::AsRawFd as _, thread};

use nix::sys::socket::{Shutdown, shutdown};
use serde_json::json;

use crate::{
    peers::{
        SMTP, Trial, alert_test, certify, config, keep_secret, lines, mailing, serve, start, stop,
        wait_for_documents, wait_for_words,
    },
    site::{Server, Site},
    support::lab::Namespace,
};

pub(crate) const TRIALS: &[Trial] = &[
    ("mail: arrives as it should", arrives),
    ("mail: STARTTLS and a login", starttls),
    ("mail: TLS and a login", tls),
    ("mail: the server comes later", later),
    ("mail: refused for good", refused_for_good),
    ("mail: one recipient refused, one put off", some_refused),
    ("mail: the server dies at each step", dies),
    ("mail: a thousand servers", thousand),
    ("mail: alert test", test),
];

fn arrives(namespace: &Namespace) {
    let server = Server::up();
    let address = server.address();
    let lines =
        format!("{}\nemailalert=\"Night shift <night@example.org>, b@example.org\"", mailing(SMTP));
    let text = config(&lines, &server) + "\tservicename=Käse-Shop\n\tcomment=ask Zoë\n";
    let site = Site::with(&text);
    serve(namespace, &site, "mail_server.py", SMTP, &[]);
    start(&site);
    drop(server);
    let mails = wait_for_documents(&site, "mails", 2);
    let subject = format!("[Käse-Shop] Deleted real server: {address} (192.0.2.1:80)");
    let mail = mails.iter().find(|mail| mail["subject"] == subject).unwrap();
    assert_eq!(mail["sender"], "lvs@example.net");
    assert_eq!(mail["recipients"], json!(["night@example.org", "b@example.org"]));
    assert_eq!(mail["from"], json!(["lvs@example.net"]));
    assert_eq!(mail["to"], json!(["Night shift <night@example.org>", "b@example.org"]));
    assert_eq!((&mail["type"], &mail["defects"]), (&json!("text/plain"), &json!([])));
    for header in ["Date", "Message-ID", "Auto-Submitted"] {
        assert!(mail["headers"].as_array().unwrap().contains(&json!(header)), "{mail}");
    }
    let body = mail["body"].as_str().unwrap().lines().collect::<Vec<_>>();
    assert!(body[0].starts_with("ldirectord host: "), "{body:#?}");
    let rest = [
        &format!("Log-Message: {subject}"),
        "Daemon-Status: running",
        "",
        "Service name: Käse-Shop",
        "Comment: ask Zoë",
        "",
        "Virtual service: tcp 192.0.2.1:80",
        &format!("Server: {address}"),
        &format!("Reason: refused: cannot connect to {address}: connection refused (ECONNREFUSED)"),
    ];
    assert_eq!(body[1..10], rest);
    assert!(body[10].starts_with("Out of service since: "), "{body:#?}");
    assert_eq!(body[11], "Now serving: the fallback 127.0.0.1:9, none of 1 real servers");
    assert!(body[12].starts_with("Last check: "), "{body:#?}");
    wait_for_words(&site, &format!("emailalert: Deleted real server: {address} (192.0.2.1:80)"));
}

const LOGIN: &str = "[mail]\nlogin = lvs\npasswd = open sesame\n";

fn starttls(namespace: &Namespace) {
    encrypted(namespace, "starttls");
}

fn tls(namespace: &Namespace) {
    encrypted(namespace, "yes");
}

fn encrypted(namespace: &Namespace, smtptls: &str) {
    let server = Server::up();
    let site = Site::new();
    certify(&site);
    let credentials = keep_secret(&site, LOGIN);
    let lines = mailing(SMTP);
    let lines = format!("{lines}\nsmtptls={smtptls}\nsmtpcredentials=mail\n{credentials}");
    site.configure(&config(&lines, &server));
    let word = if smtptls == "yes" { "tls" } else { "starttls" };
    serve(namespace, &site, "mail_server.py", SMTP, &[word, "login=lvs:open sesame"]);
    start(&site);
    drop(server);
    for mail in wait_for_documents(&site, "mails", 2) {
        assert_eq!((&mail["encrypted"], &mail["login"]), (&json!(true), &json!("lvs")));
    }
    assert!(!site.log().contains("sesame"), "{}", site.log());
}

fn later(namespace: &Namespace) {
    let server = Server::up();
    let site = Site::with(&config(&mailing(SMTP), &server));
    start(&site);
    drop(server);
    let line = wait_for_words(&site, "; again in 2 s: Added fallback server: ");
    let refused = "failed to send SMTP email message: cannot connect to 127.0.0.1:2525: \
                   Connection refused (os error 111); again in 2 s: ";
    assert!(line.starts_with(refused), "{line}");
    serve(namespace, &site, "mail_server.py", SMTP, &[]);
    let mails = wait_for_documents(&site, "mails", 2);
    assert_eq!(mails.len(), 2, "{mails:#?}");
}

fn refused_for_good(namespace: &Namespace) {
    let server = Server::up();
    let address = server.address();
    let site = Site::with(&config(&mailing(SMTP), &server));
    serve(namespace, &site, "mail_server.py", SMTP, &["deny=554"]);
    let pid = start(&site);
    drop(server);
    wait_for_words(&site, &format!(": Deleted real server: {address}"));
    let server = Server::up_again(address);
    // The last of four mails has been tried, and nothing is left for the end.
    wait_for_words(&site, "today: Deleted fallback server: ");
    drop(server);
    stop(pid);
    let log = site.log();
    let told = "failed to send SMTP email message: 127.0.0.1: permanent error (554): not today: ";
    let failures = log.lines().filter(|line| line.starts_with(told)).count();
    let denied = lines(&site, "asked").iter().filter(|line| *line == "denied").count();
    let sent = log.lines().filter(|line| line.starts_with("emailalert: ")).count();
    assert!(sent >= 4 && failures == sent && denied == sent, "{sent} {denied}\n{log}");
}

fn some_refused(namespace: &Namespace) {
    let server = Server::up();
    let lines_of_file =
        format!("{}\nemailalert=a@example.org, b@example.org, c@example.org", mailing(SMTP));
    let site = Site::with(&config(&lines_of_file, &server));
    serve(namespace, &site, "mail_server.py", SMTP, &["refuse=b@example.org", "later=1"]);
    start(&site);
    drop(server);
    let mails = wait_for_documents(&site, "mails", 3);
    let recipients: Vec<_> = mails.iter().map(|mail| mail["recipients"].clone()).collect();
    let both = json!(["a@example.org", "c@example.org"]);
    assert_eq!(recipients, [json!(["c@example.org"]), json!(["a@example.org"]), both]);
    wait_for_words(
        &site,
        "127.0.0.1: a@example.org: transient error (451): 4.7.1 come back later; b@example.org: \
         permanent error (550): 5.1.1 no such user here; again in 2 s: ",
    );
    let asked = lines(&site, "asked");
    let asked_b = asked.iter().filter(|line| *line == "rcpt b@example.org").count();
    assert_eq!(asked_b, 2, "once for each mail: {asked:#?}");
}

fn dies(namespace: &Namespace) {
    let server = Server::up();
    let site = Site::with(&config(&mailing(SMTP), &server));
    for (port, step) in (SMTP..).zip(["ehlo", "mail", "rcpt", "data", "end"]) {
        site.configure(&config(&mailing(port), &server));
        serve(namespace, &site, "mail_server.py", port, &[&format!("die={step}")]);
        let done = alert_test(&site);
        assert_eq!((done.code, done.out.as_str()), (1, ""), "{step}");
        let told = format!("cannot mail night@example.org by 127.0.0.1:{port}: 127.0.0.1: ");
        assert!(done.err.starts_with(&told), "{step}: {}", done.err);
        assert!(lines(&site, "asked").contains(&format!("dies at {step}")), "{step}");
    }
}

fn thousand(namespace: &Namespace) {
    let listener = TcpListener::bind("0.0.0.0:8080").unwrap();
    let accepting = listener.try_clone().unwrap();
    let servers = thread::spawn(move || while accepting.accept().is_ok() {});
    let mut text = format!("checkinterval=800ms\nchecktimeout=5\n{}\n", mailing(SMTP));
    text.push_str("virtual=192.0.2.1:80\n\tchecktype=connect\n");
    for number in 0..1_000 {
        writeln!(text, "\treal=127.1.{}.{}:8080 masq", number / 250, 1 + number % 250).unwrap();
    }
    let site = Site::with(&text);
    serve(namespace, &site, "mail_server.py", SMTP, &[]);
    start(&site);
    site.wait_for_line("Added real server: 127.1.3.250:8080 (192.0.2.1:80) (Weight set to 1)", 1);
    shutdown(listener.as_raw_fd(), Shutdown::Both).unwrap();
    servers.join().unwrap();
    // What the first checks found, and what followed in the ten seconds after it if they took longer than one.
    let told = |count| {
        let mails = wait_for_documents(&site, "mails", count);
        let bodies = mails.iter().map(|mail| mail["body"].as_str().unwrap());
        let lines = bodies.flat_map(str::lines);
        lines.filter(|line| line.contains(" Deleted real server: 127.1.")).count()
    };
    let first = told(1);
    assert!(first > 20, "{first} in the first mail");
    if first < 1_000 {
        assert_eq!(told(2), 1_000);
    }
}

fn test(namespace: &Namespace) {
    let server = Server::up();
    let site = Site::new();
    certify(&site);
    let credentials = keep_secret(&site, "[mail]\nlogin = lvs\npasswd = wrong\n");
    let tells = |lines: &str| {
        site.configure(&config(lines, &server));
        let done = alert_test(&site);
        (done.code, done.all())
    };
    let (code, told) = tells("");
    assert_eq!(code, 1);
    assert!(told.starts_with("nobody is told: there is neither `emailalert` nor `webhook`\n"));
    let mailing = mailing(SMTP);
    let cannot = "cannot mail night@example.org by 127.0.0.1:2525:";
    let refused =
        format!("{cannot} cannot connect to 127.0.0.1:2525: Connection refused (os error 111)\n");
    assert_eq!(tells(&mailing), (1, refused));

    serve(namespace, &site, "mail_server.py", SMTP, &["starttls", "login=lvs:right"]);
    let (code, told) = tells(&mailing);
    let wants =
        format!("{cannot} 127.0.0.1: permanent error (530): Must issue a STARTTLS command first\n");
    assert_eq!((code, told), (1, wants));
    let secret = format!("{mailing}\nsmtptls=starttls\n{credentials}\nsmtpcredentials=mail");
    let denied = format!(
        "{cannot} 127.0.0.1: permanent error (535): 5.7.8 Authentication credentials invalid\n"
    );
    assert_eq!(tells(&secret), (1, denied));
    keep_secret(&site, "[mail]\nlogin = lvs\npasswd = right\n");
    assert_eq!(
        tells(&secret),
        (0, "mail to night@example.org was taken by 127.0.0.1:2525\n".to_owned())
    );
    let mails = wait_for_documents(&site, "mails", 1);
    assert_eq!(mails[0]["subject"], "Test of mail alerts");
    // Another certificate than the one that is trusted.
    certify(&site);
    let (code, told) = tells(&secret);
    assert_eq!(code, 1);
    assert!(told.starts_with(cannot) && told.contains("certificate"), "{told}");
    assert_eq!(tells("smtptls=maybe").0, 2);
}
