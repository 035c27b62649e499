//! A director with somebody to tell, and whom it tells.

use std::{fs, net::TcpStream, path::Path, process::Command};

use serde_json::Value;

use crate::{
    site::{Done, Server, Site, signal, wait, wait_for_end},
    support::lab::{Namespace, wait_for},
};

/// A trial: its name, and what it does in a network of its own.
pub(crate) type Trial = (&'static str, fn(&Namespace));

/// Where the mail server listens.
pub(crate) const SMTP: u16 = 2525;

/// A configuration: these lines in the first column, and a service with this real server and a fallback.
pub(crate) fn config(lines: &str, server: &Server) -> String {
    format!(
        "checkinterval=200ms\nchecktimeout=2\n{lines}\nvirtual=192.0.2.1:80\n\treal={} masq\n\
         \tfallback=127.0.0.1:9\n\tchecktype=connect\n",
        server.address()
    )
}

/// The lines for mails to the server on this port.
pub(crate) fn mailing(port: u16) -> String {
    format!(
        "emailalert=\"night@example.org\"\nemailalertfrom=lvs@example.net\nemailalertstatus=running\n\
         smtp=127.0.0.1\nsmtpport={port}"
    )
}

/// Starts one of the servers beside this file; what it writes is in the site's folder.
pub(crate) fn serve(namespace: &Namespace, site: &Site, script: &str, port: u16, words: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alerts").join(script);
    let mut command = Command::new("python3");
    let errors = fs::File::create(site.path(&format!("server-{port}.log"))).unwrap();
    command.arg(script).arg(port.to_string()).arg(site.path("")).args(words).stderr(errors);
    namespace.spawn(&mut command);
    if words.contains(&"stall=connect") {
        return;
    }
    wait_for("a server", || TcpStream::connect(("127.0.0.1", port)));
}

/// A certificate for 127.0.0.1 and its key, for a server.
pub(crate) fn certify(site: &Site) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    fs::write(site.path("certificate.pem"), made.cert.pem()).unwrap();
    fs::write(site.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
}

/// The credentials file, with one section.
pub(crate) fn keep_secret(site: &Site, section: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = site.path("credentials");
    fs::write(&path, section).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    format!("credentials={}", path.display())
}

/// Calls the program where this certificate is one that the system trusts.
pub(crate) fn run_trusting(site: &Site, words: &[&str]) -> Done {
    let trusted = site.path("certificate.pem");
    Done::new(site.program().env("SSL_CERT_FILE", trusted).args(words).output().unwrap())
}

/// Starts the daemon, and waits until it works as a rule; its process.
pub(crate) fn start(site: &Site) -> i32 {
    let config = site.config().display().to_string();
    let done = run_trusting(site, &["--table", "memory", &config, "start"]);
    assert_eq!((done.code, done.all()), (0, String::new()), "start; the log:\n{}", site.log());
    wait_for_words(site, "Added real server: ");
    site.pid()
}

/// Ends the daemon.
pub(crate) fn stop(pid: i32) {
    signal(pid, "TERM");
    wait_for_end(pid);
}

/// `ldirectord alert test`.
pub(crate) fn alert_test(site: &Site) -> Done {
    run_trusting(site, &["alert", "test", site.config().to_str().unwrap()])
}

/// Waits for a line of the log with these words; that line.
pub(crate) fn wait_for_words(site: &Site, words: &str) -> String {
    wait(&format!("a line with `{words}`"), || {
        let log = site.log();
        let found = log.lines().find(|line| line.contains(words)).map(str::to_owned);
        found.ok_or_else(|| format!("the log:\n{log}"))
    })
}

/// The lines that a server wrote so far into this file.
pub(crate) fn lines(site: &Site, file: &str) -> Vec<String> {
    let text = fs::read_to_string(site.path(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Waits until the file has so many documents; those.
pub(crate) fn wait_for_documents(site: &Site, file: &str, count: usize) -> Vec<Value> {
    wait(&format!("{count} documents in {file}"), || {
        let lines = lines(site, file);
        match lines.len() >= count {
            true => Ok(lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()),
            false => Err(format!("{lines:#?}\nthe log:\n{}", site.log())),
        }
    })
}
