//! Servers that take what they are told and say nothing more: checks and the end of the daemon do not wait for them.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    peers::{SMTP, Trial, lines, serve, start, stop, wait_for_words},
    site::{Server, Site, wait},
    support::lab::Namespace,
};

pub(crate) const TRIALS: &[Trial] = &[("stall: at every step, and checks go on", stall)];

const STEPS: [&str; 7] = ["connect", "greeting", "ehlo", "mail", "rcpt", "data", "end"];

#[expect(clippy::disallowed_methods, reason = "a test measures real time")]
fn stall(namespace: &Namespace) {
    // One that goes on working counts its checks.
    let working = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = working.local_addr().unwrap();
    let checks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&checks);
    thread::spawn(move || {
        while working.accept().is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let failing = Server::up();
    let site = Site::new();
    let mut text = format!(
        "checkinterval=100ms\nchecktimeout=2\nemailalertstatus=running\nsmtp=127.0.0.1\n\
         virtual=192.0.2.1:79\n\treal={address} masq\n\tchecktype=connect\n"
    );
    for (port, step) in (SMTP..).zip(STEPS) {
        serve(namespace, &site, "mail_server.py", port, &[&format!("stall={step}")]);
        text.push_str(&format!(
            "virtual=192.0.2.1:{port}\n\treal={} masq\n\tchecktype=connect\n\tsmtpport={port}\n\
             \temailalert={step}@example.org\n",
            failing.address()
        ));
    }
    serve(namespace, &site, "webhook_server.py", 8080, &["none"]);
    text.push_str(&format!(
        "virtual=192.0.2.1:80\n\treal={} masq\n\tchecktype=connect\n\
         \twebhook=http://127.0.0.1:8080/stall\n\temailalertstatus=all\n",
        failing.address()
    ));
    site.configure(&text);
    let pid = start(&site);
    // Of what is down from the start no mail is sent here.
    let added = format!("Added real server: {} ", failing.address());
    wait("all services in use", || {
        let log = site.log();
        if log.matches(&added).count() > STEPS.len() { Ok(()) } else { Err(log) }
    });
    drop(failing);
    for step in STEPS {
        wait(&format!("a stall at {step}"), || {
            let asked = lines(&site, "asked");
            let stalls = asked.contains(&format!("stalls at {step}"));
            if stalls { Ok(()) } else { Err(format!("{asked:#?}\n{}", site.log())) }
        });
    }
    wait_for_words(&site, "webhook http://127.0.0.1:8080: Deleted real server: ");
    let (before, begin) = (checks.load(Ordering::Relaxed), Instant::now());
    wait("20 more checks", || {
        let count = checks.load(Ordering::Relaxed) - before;
        if count >= 20 { Ok(()) } else { Err(count.to_string()) }
    });
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(10), "20 checks took {took:?} in place of 2 s");
    let begin = Instant::now();
    stop(pid);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(15), "the end took {took:?}");
    wait_for_words(&site, "the last alerts could not be sent within 5 s");
    assert!(!lines(&site, "calls").is_empty());
}
