//! nginx and Apache: connections that are kept between attempts, and TLS sessions that go on, as the servers' logs have
//! them.

use std::{fs, net::TcpStream, sync::Arc, time::Duration};

use ldirectord::{
    checks::Checker,
    model::{Attempted, CheckSpec, Phase, Reason, Stage},
};
use libtest_mimic::{Failed, Trial};
use nix::sys::signal::Signal;

use crate::{service::Server, support::lab::wait_for};

/// How often each check asks.
const ATTEMPTS: usize = 5;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("keepalive: nginx", nginx),
        Trial::test("keepalive: apache2", apache),
        Trial::test("keepalive: a connection that leads nowhere any more", lost),
    ]
}

const NGINX: &str = "
daemon off;
pid @/pid;
error_log @/error.log;
events {}
http {
    log_format kept '$server_port $connection_requests $ssl_session_reused';
    access_log @/access.log kept;
    client_body_temp_path @/body;
    proxy_temp_path @/proxy;
    fastcgi_temp_path @/fastcgi;
    scgi_temp_path @/scgi;
    uwsgi_temp_path @/uwsgi;
    ssl_certificate @/certificate.pem;
    ssl_certificate_key @/key.pem;
    keepalive_timeout 60s;
    root @/site;
    server { listen 127.0.0.1:80; }
    server { listen 127.0.0.1:81; keepalive_requests 2; }
    server { listen 127.0.0.1:82; keepalive_timeout 0; }
    server { listen 127.0.0.1:443 ssl; }
    server { listen 127.0.0.1:444 ssl; keepalive_timeout 0; ssl_protocols TLSv1.2; }
    server { listen 127.0.0.1:445 ssl; keepalive_timeout 0; ssl_protocols TLSv1.3; }
    server { listen 127.0.0.1:446 ssl; keepalive_timeout 0; ssl_session_tickets off; }
}
";

/// What one check finds, asking one time after another.
struct Asker<'a> {
    server: &'a Server,
    checker: Checker,
    check: Arc<CheckSpec>,
    runtime: tokio::runtime::Runtime,
}

impl<'a> Asker<'a> {
    fn new(server: &'a Server, port: u16, lines: &str) -> Asker<'a> {
        let text = format!(
            "virtual=192.0.2.1:1\n\treal=127.0.0.1:{port} masq\n\tnegotiatetimeout=30\n\thttpkeepalive=yes\n{lines}"
        );
        let checks = server.checks(&text);
        let checker = Checker::new();
        checker.follow(&checks, 10);
        let check = checks[0].clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Asker { server, checker, check, runtime }
    }

    fn ask(&self) -> Attempted {
        let Asker { server, checker, check, runtime } = self;
        server.namespace.enter(|| runtime.block_on(checker.run(check, Stage::Negotiate)))
    }
}

/// The lines of an access log that begin with this port, without it.
fn log(server: &Server, port: u16, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    wait_for("the access log", || {
        let text = fs::read_to_string(server.folder.join("access.log")).unwrap();
        let own = text.lines().filter_map(|line| line.strip_prefix(&format!("{port} ")));
        lines = own.map(str::to_owned).collect();
        if lines.len() >= count { Ok(()) } else { Err(text) }
    });
    lines
}

fn start_nginx(server: &Server) {
    server.make_certificate();
    server.write("site/index.html", "It works\n");
    let configuration = server.write("nginx.conf", NGINX);
    server.spawn("nginx", &["-c", &configuration]);
    for port in [80, 81, 82, 443, 444, 445, 446] {
        server.wait_for_port("127.0.0.1", port);
    }
}

fn stop(server: &Server) {
    server.signal(Signal::SIGKILL);
    wait_for("the end of the server", || {
        let found = server.namespace.enter(|| TcpStream::connect("127.0.0.1:80"));
        if found.is_err() { Ok(()) } else { Err("it still listens".to_owned()) }
    });
}

fn nginx() -> Result<(), Failed> {
    let server = Server::new("keepalive-nginx");
    start_nginx(&server);
    let verified = "\ttlsverify=yes\n\tcafile=\"@/certificate.pem\"\n";
    for (port, service, lines, expected) in [
        (80, "http", "", ["1 ", "2 ", "3 ", "4 ", "5 "]),
        (81, "http", "", ["1 ", "2 ", "1 ", "2 ", "1 "]),
        (82, "http", "", ["1 ", "1 ", "1 ", "1 ", "1 "]),
        (443, "https", "", ["1 .", "2 .", "3 .", "4 .", "5 ."]),
        (444, "https", "", ["1 .", "1 r", "1 r", "1 r", "1 r"]),
        (445, "https", verified, ["1 .", "1 r", "1 r", "1 r", "1 r"]),
        (446, "https", "\ttlsengine=openssl\n", ["1 .", "1 .", "1 .", "1 .", "1 ."]),
    ] {
        let lines = format!("\tservice={service}\n\treceive=\"^It works\"\n{lines}");
        let asker = Asker::new(&server, port, &lines);
        for expected in expected {
            let attempted = asker.ask();
            assert!(attempted.verdict.is_ok(), "{port}: {:?}", attempted.verdict);
            let phases = attempted.trace.times.iter().map(|(phase, _)| phase);
            let connects = phases.min() < Some(Phase::Send);
            assert_eq!(connects, expected.starts_with('1'), "{port}: {}", attempted.trace);
        }
        let found: Vec<_> = log(&server, port, ATTEMPTS)
            .iter()
            .map(|line| line.trim_end_matches('-').to_owned())
            .collect();
        assert_eq!(found, expected, "{port}");
    }

    // A server that is started anew is no failure, one that is gone is noticed at once.
    let asker = Asker::new(&server, 80, "\tservice=http\n");
    assert!(asker.ask().verdict.is_ok());
    stop(&server);
    start_nginx(&server);
    assert!(asker.ask().verdict.is_ok());
    stop(&server);
    assert_eq!(asker.ask().verdict.unwrap_err().reason, Reason::Refused);
    Ok(())
}

const APACHE: &str = "
ServerRoot @
ServerName lab.example.net
DocumentRoot @/site
PidFile @/pid
ErrorLog @/error.log
DefaultRuntimeDir @
Mutex file:@ default
LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule socache_shmcb_module /usr/lib/apache2/modules/mod_socache_shmcb.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
SSLCertificateFile @/certificate.pem
SSLCertificateKeyFile @/key.pem
CustomLog @/access.log \"%p %k %{SSL_SESSION_RESUMED}x\"
User www-data
Group www-data
Listen 127.0.0.1:4430
Listen 127.0.0.1:4431
<VirtualHost 127.0.0.1:4430>
SSLEngine on
KeepAlive On
KeepAliveTimeout 60
</VirtualHost>
<VirtualHost 127.0.0.1:4431>
SSLEngine on
KeepAlive Off
</VirtualHost>
";

fn apache() -> Result<(), Failed> {
    let server = Server::new("keepalive-apache2");
    server.make_certificate();
    server.write("site/index.html", "It works\n");
    let configuration = server.write("apache.conf", APACHE);
    server.spawn("apache2", &["-DFOREGROUND", "-f", &configuration]);
    for (port, expected) in [
        (4430, ["0 Initial", "1 Initial", "2 Initial", "3 Initial", "4 Initial"]),
        (4431, ["0 Initial", "0 Resumed", "0 Resumed", "0 Resumed", "0 Resumed"]),
    ] {
        server.wait_for_port("127.0.0.1", port);
        let asker = Asker::new(&server, port, "\tservice=https\n\treceive=\"^It works\"\n");
        for _ in 0..ATTEMPTS {
            let attempted = asker.ask();
            assert!(attempted.verdict.is_ok(), "{port}: {:?}", attempted.verdict);
        }
        assert_eq!(log(&server, port, ATTEMPTS), expected, "{port}");
    }
    Ok(())
}

/// Whoever is in between has forgotten the connection: what we send is never taken.
fn lost() -> Result<(), Failed> {
    let server = Server::new("keepalive-lost");
    start_nginx(&server);
    let asker = Asker::new(&server, 80, "\tservice=http\n\tnegotiatetimeout=4\n");
    assert!(asker.ask().verdict.is_ok());
    let open = server.run("ss", &["-Htn", "state", "established", "dport", "=", ":80"]);
    let port = open.split_whitespace().nth(2).and_then(|local| local.rsplit_once(':')).unwrap().1;
    server.namespace.ip(&[
        "rule",
        "add",
        "ipproto",
        "tcp",
        "sport",
        port,
        "blackhole",
        "pref",
        "1",
    ]);
    server.namespace.ip(&["rule", "add", "lookup", "local", "pref", "2"]);
    server.namespace.ip(&["rule", "del", "lookup", "local", "pref", "0"]);
    let attempted = asker.ask();
    assert!(attempted.verdict.is_ok(), "{:?}", attempted.verdict);
    let waited = attempted.trace.times.iter().find(|(phase, _)| *phase == Phase::Receive);
    assert!(waited.unwrap().1 > Duration::from_secs(1), "the old connection was asked first");
    let phases: Vec<_> = attempted.trace.times.iter().map(|(phase, _)| phase).collect();
    assert!(phases.contains(&Phase::Connect), "{}", attempted.trace);
    Ok(())
}
