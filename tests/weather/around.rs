//! Programs and people around the daemon.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _, thread, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    files::service,
    server::Greeter,
    site::{Server, Site, signal, wait, wait_for_end},
};

/// Ends it, within 20 seconds.
fn stop_in_time(site: &Site, pid: i32) {
    signal(pid, "TERM");
    wait_for_end(pid);
    assert!(!site.pid_file().exists(), "{}", site.log());
}

pub(crate) fn a_mail_server_that_says_nothing() {
    let mail = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = mail.local_addr().unwrap().port();
    let mut server = Server::up();
    let site = Site::with(&format!(
        "emailalert=admin@example.org\nsmtp=127.0.0.1\nsmtpport={port}\n{}",
        service(&server)
    ));
    let pid = site.start();
    let at = server.address();
    let deleted = format!("Deleted real server: {at} (192.0.2.1:80)");
    let added = format!("Added real server: {at} (192.0.2.1:80) (Weight set to 1)");
    site.wait_for_line(&added, 1);
    let mut clients = Vec::new();
    for times in 1..=3 {
        drop(server);
        site.wait_for_line(&deleted, times);
        server = Server::up_again(at);
        site.wait_for_line(&added, times + 1);
        mail.set_nonblocking(true).unwrap();
        clients.extend(mail.accept());
    }
    assert!(!clients.is_empty(), "nobody came to the mail server");
    stop_in_time(&site, pid);
    let log = site.log();
    assert!(log.contains("Purged virtual server (stop): 192.0.2.1:80\n"), "{log}");
    assert!(
        log.lines().any(|line| line.contains("the last alerts could not be sent")),
        "nobody is told of the mails: {log}"
    );
}

pub(crate) fn a_hook_that_never_ends() {
    let server = Server::up();
    let site = Site::new();
    let (hook, began) = (site.path("hook"), site.path("began"));
    fs::write(&hook, format!("#!/bin/sh\necho $$ >>{}\nexec sleep 100000\n", began.display()))
        .unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let hook = hook.display();
    site.configure(&format!("callback=\"{hook}\"\n{}\tfallbackcommand={hook}\n", service(&server)));
    let pid = site.start();
    let at = server.address();
    let (deleted, added) = (
        format!("Deleted real server: {at} (192.0.2.1:80)"),
        format!("Added real server: {at} (192.0.2.1:80) (Weight set to 1)"),
    );
    site.wait_for_line(&added, 1);
    drop(server);
    site.wait_for_line(&deleted, 1);
    let _server = Server::up_again(at);
    site.wait_for_line(&added, 2);
    let hooks = wait("the hook", || {
        let text = fs::read_to_string(&began).unwrap_or_default();
        let pids: Vec<i32> = text.lines().filter_map(|line| line.parse().ok()).collect();
        if pids.is_empty() { Err(text) } else { Ok(pids) }
    });
    stop_in_time(&site, pid);
    for pid in hooks {
        wait_for_end(pid);
    }
}

pub(crate) fn a_storm_of_signals() {
    let seed = fastrand::u64(..);
    let seed = std::env::var("LDIRECTORD_SEED").map_or(seed, |seed| seed.parse().unwrap());
    eprintln!("LDIRECTORD_SEED={seed} replays the storm of signals");
    let mut chance = fastrand::Rng::with_seed(seed);
    let greeter = Greeter::start();
    let site = Site::with(&format!(
        "{}virtual=192.0.2.2:80\n\treal=127.0.0.1:9 masq\n\tchecktype=external\n\tcheckcommand=/bin/true\n",
        greeter.service(3)
    ));
    let pid = site.start();
    let send = |signal| kill(Pid::from_raw(pid), signal).unwrap();
    for _ in 0..300 {
        let harmless = [
            Signal::SIGHUP,
            Signal::SIGUSR1,
            Signal::SIGALRM,
            Signal::SIGCHLD,
            Signal::SIGPIPE,
            Signal::SIGURG,
            Signal::SIGWINCH,
            Signal::SIGSTOP,
        ];
        send(chance.choice(harmless).unwrap());
        thread::sleep(Duration::from_micros(chance.u64(..5_000)));
        send(Signal::SIGCONT);
    }
    let before = greeter.greeted();
    wait("checks after the storm", || match greeter.greeted() - before {
        0..6 => Err(site.log()),
        _ => Ok(()),
    });
    assert_eq!((site.pid(), site.ldirectord("status").code), (pid, 0));
    // The file that a HUP wants to be read is read, however many came.
    site.configure("virtual=192.0.2.3:80\n\tprotocol=tcp\n");
    send(Signal::SIGHUP);
    site.wait_for_line("Added virtual server: 192.0.2.3:80", 1);
    let mut ends = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP];
    chance.shuffle(&mut ends);
    for end in ends {
        // The end may come before the last of them.
        kill(Pid::from_raw(pid), end).unwrap_or_default();
    }
    wait_for_end(pid);
    site.wait_for_line("Purged virtual server (stop): 192.0.2.3:80", 1);
    let log = site.log();
    assert_eq!(log.matches("terminated on signal").count(), 1, "{log}");
    assert!(!log.contains("Check failed"), "{log}");
    assert!(!log.contains("fault of ldirectord"), "{log}");
    assert!(!site.pid_file().exists());
}
