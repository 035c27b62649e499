//! The clock on the wall, and time that passes without us.

use std::{
    fs,
    net::TcpListener,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use crate::{
    files::service,
    server::Greeter,
    site::{Server, Site, signal, wait},
};

const DAY_S: i64 = 24 * 60 * 60;

/// As the log and mails of ldirectord have it.
const DATE: &str = "%a %b %e %H:%M:%S %Y";

/// Debian's mail server for tests; what it gets is in the file.
fn start_mail_server(site: &Site) -> (Child, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Command::new("python3")
        .args(["-u", "-m", "aiosmtpd", "-n", "-l", &format!("127.0.0.1:{port}")])
        .args(["-c", "aiosmtpd.handlers.Debugging", "stdout"])
        .stdout(fs::File::create(site.path("mails")).unwrap())
        .spawn()
        .unwrap();
    wait("the mail server", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())
    });
    (server, port)
}

/// Whether a date in the words of the log is of this moment, give or take a minute.
fn is_now(date: &str) -> bool {
    let date = DateTime::strptime(DATE, date).unwrap().to_zoned(TimeZone::UTC).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test looks at the clock")]
    let now = Timestamp::try_from(std::time::SystemTime::now()).unwrap();
    (now.as_second() - date.timestamp().as_second()).abs() < 60
}

/// Sets this machine's clock so much forward; it is a machine of our own.
fn set_clock(by_s: i64) {
    assert_eq!(std::env::var("LDIRECTORD_LAB_KERNEL").as_deref(), Ok("uml"));
    #[expect(clippy::disallowed_methods, reason = "a test looks at the clock")]
    let now = Timestamp::try_from(std::time::SystemTime::now()).unwrap();
    let then = format!("@{}", now.as_second() + by_s);
    assert!(Command::new("date").args(["--set", &then]).output().unwrap().status.success());
}

/// How many clients are greeted in this time.
fn in_seconds(greeter: &Greeter, seconds: u64) -> usize {
    let before = greeter.greeted();
    thread::sleep(Duration::from_secs(seconds));
    greeter.greeted() - before
}

pub(crate) fn a_clock_that_is_set() {
    let site = Site::new();
    let (mut mail_server, port) = start_mail_server(&site);
    let (greeter, mut shaky) = (Greeter::start(), Server::up());
    let at = shaky.address();
    let mails = format!("emailalert=admin@example.org\nsmtp=127.0.0.1\nsmtpport={port}\n");
    let shaken = service(&shaky).replace("192.0.2.1", "192.0.2.2");
    site.configure(&format!("{mails}{}{shaken}", greeter.service(4)));
    let pid = site.start();
    let added = format!("Added real server: {at} (192.0.2.2:80) (Weight set to 1)");
    let deleted = format!("Deleted real server: {at} (192.0.2.2:80)");
    site.wait_for_line(&added, 1);
    for (step, by_s) in (1..).zip([-DAY_S, 2 * DAY_S, -DAY_S]) {
        set_clock(by_s);
        let checks = in_seconds(&greeter, 2);
        assert!((4..=12).contains(&checks), "{checks} checks by 4 servers in 2 s");
        drop(shaky);
        site.wait_for_line(&deleted, step);
        let mail = wait("a mail", || {
            let text = fs::read_to_string(site.path("mails")).unwrap();
            let told = text.split("END MESSAGE").filter(|mail| mail.contains("Subject: Deleted"));
            let told: Vec<&str> = told.collect();
            if told.len() == step { Ok(told[step - 1].to_owned()) } else { Err(text) }
        });
        let date = mail.lines().find_map(|line| line.strip_prefix("Date: ")).unwrap();
        let sent = jiff::fmt::rfc2822::parse(date).unwrap();
        let when = sent.with_time_zone(TimeZone::UTC).strftime(DATE).to_string();
        assert!(is_now(&when), "{mail}");
        let log = fs::read_to_string(site.path("log")).unwrap();
        let last = log.lines().rfind(|line| line.contains(&deleted)).unwrap();
        let date = last.trim_start_matches('[').split('|').next().unwrap();
        assert!(is_now(date), "{last}");
        shaky = Server::up_again(at);
        site.wait_for_line(&added, step + 1);
    }
    assert_eq!(site.pid(), pid);
    let failed = site.log().lines().filter(|line| line.contains("Check failed")).count();
    assert_eq!(failed, 3, "those that were meant to: {}", site.log());
    assert_eq!(site.ldirectord("stop").code, 0);
    mail_server.kill().unwrap();
    mail_server.wait().unwrap();
}

#[expect(clippy::disallowed_methods, reason = "a test measures time")]
pub(crate) fn a_process_that_stood_still() {
    let greeter = Greeter::start();
    let site = Site::with(&greeter.service(20));
    let pid = site.start();
    for number in 1..=20 {
        let server = format!("127.0.0.{number}:{}", greeter.address.port());
        site.wait_for_line(
            &format!("Added real server: {server} (192.0.2.1:80) (Weight set to 1)"),
            1,
        );
    }
    // An attempt is on its way when the world goes on without us, far beyond its limit.
    let release = greeter.keep_one_waiting();
    signal(pid, "STOP");
    thread::sleep(Duration::from_secs(5));
    let before = greeter.greeted();
    signal(pid, "CONT");
    let begun = Instant::now();
    thread::sleep(Duration::from_millis(200));
    // Its answer would have come later than the limit.
    release.send(()).unwrap();
    thread::sleep(Duration::from_secs(3).saturating_sub(begun.elapsed()));
    let checks = greeter.greeted() - before;
    // Twenty a second, those that were overdue, and the one that was asked again.
    assert!((40..=105).contains(&checks), "{checks} checks in 3 s");
    let log = site.log();
    for bad in ["Check failed", "Deleted real server", "Soft failure"] {
        assert!(!log.contains(bad), "{log}");
    }
    assert_eq!(site.ldirectord("stop").code, 0);
}
