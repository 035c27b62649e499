//! nginx: http and https.

use ldirectord::model::Reason;

use crate::service::{Server, Service, Trial};

pub(crate) const SERVICE: Service = Service {
    name: "nginx",
    start,
    trials: &[
        Trial::up("http", 80, &["service=http"]),
        Trial::up(
            "http with everything",
            80,
            &[
                "service=http",
                "request=\"site/index.html\"",
                "receive=\"^It .*works\"",
                "virtualhost=www.example.net",
            ],
        ),
        Trial::up("http HEAD", 80, &["service=http", "httpmethod=HEAD"]),
        Trial::up("http that leads elsewhere", 80, &["service=http", "request=\"moved\""]),
        Trial::down(
            "http, wrong answer",
            80,
            Reason::Mismatch,
            &["service=http", "receive=\"nothing of the kind\""],
        ),
        Trial::down("http, not found", 80, Reason::Protocol, &["service=http", "request=\"none\""]),
        Trial::late(
            "http, a late answer",
            80,
            &["service=http", "request=\"late\"", "receive=\"the end$\""],
        ),
        Trial::up(
            "http with a login",
            80,
            &["service=http", "request=\"secret\"", RIGHT, "expectstatus=404"],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "http, without a login",
            80,
            Reason::Denied,
            &["service=http", "request=\"secret\""],
        ),
        Trial::down(
            "http, wrong password",
            80,
            Reason::Denied,
            &["service=http", "request=\"secret\"", WRONG],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "http, forbidden",
            80,
            Reason::Denied,
            &["service=http", "request=\"forbidden\""],
        ),
        Trial::up("https", 443, &["service=https", "receive=\"default\""]),
        Trial::up(
            "https of a virtual host",
            443,
            &["service=https", "receive=\"default\"", "virtualhost=lab.example.net"],
        ),
        Trial::up(
            "https, verified",
            443,
            &["service=https", "tlsverify=yes", "cafile=\"@/certificate.pem\""],
        )
        .unknown_to_ldirectord(),
        Trial::down("https, not trusted", 443, Reason::Tls, &["service=https", "tlsverify=yes"])
            .unknown_to_ldirectord(),
        Trial::down(
            "https, wrong answer",
            443,
            Reason::Mismatch,
            &["service=https", "receive=\"nothing of the kind\""],
        ),
        Trial::up(
            "tls in steps",
            443,
            &[
                "service=tls",
                "tlsverify=yes",
                "cafile=\"@/certificate.pem\"",
                "send=\"GET / HTTP/1.0\\r\\n\\r\\n\"",
                "expect=\"^HTTP/1.1 200 OK\\r\\n\"",
                "expect=\"default\"",
            ],
        )
        .unknown_to_ldirectord(),
        Trial::up("tls, the handshake alone", 443, &["service=tls"]).unknown_to_ldirectord(),
        Trial::down("tls, not trusted", 443, Reason::Tls, &["service=tls", "tlsverify=yes"])
            .unknown_to_ldirectord(),
        Trial::down("tls, where http is spoken", 80, Reason::Tls, &["service=tls"])
            .unknown_to_ldirectord(),
        Trial::late(
            "https, a late answer",
            443,
            &["service=https", "request=\"late\"", "receive=\"the end$\""],
        ),
        Trial::down(
            "https, without a login",
            443,
            Reason::Denied,
            &["service=https", "request=\"secret\""],
        ),
        Trial::down("https, where http is spoken", 80, Reason::Tls, &["service=https"]),
        Trial::down("http, where https is spoken", 443, Reason::Protocol, &["service=http"]),
    ],
};

/// `monitor:s3cret`, and another password.
const RIGHT: &str = "requestheader=\"Authorization: Basic bW9uaXRvcjpzM2NyZXQ=\"";
const WRONG: &str = "requestheader=\"Authorization: Basic bW9uaXRvcjpvdGhlcg==\"";

const CONFIGURATION: &str = "
daemon off;
pid @/pid;
error_log @/error.log;
events {}
http {
    access_log @/access.log;
    client_body_temp_path @/body;
    proxy_temp_path @/proxy;
    fastcgi_temp_path @/fastcgi;
    scgi_temp_path @/scgi;
    uwsgi_temp_path @/uwsgi;
    server {
        listen 127.0.0.1:80 default_server;
        listen [::1]:80 default_server;
        listen 127.0.0.1:443 ssl default_server;
        listen [::1]:443 ssl default_server;
        ssl_certificate @/certificate.pem;
        ssl_certificate_key @/key.pem;
        location = / { return 200 \"the default site\\n\"; }
        location = /moved { return 302 /; }
        # So many bytes in a second.
        location = /late { limit_rate 70; return 200 \"a long way to go, and then comes, somewhat later than one may think, the end\"; }
        location = /forbidden { deny all; }
        location = /secret { auth_basic private; auth_basic_user_file @/users; }
    }
    server {
        listen 127.0.0.1:80;
        listen [::1]:80;
        server_name www.example.net;
        location /site/ { return 200 \"It really works\\n\"; }
    }
}
";

fn start(server: &Server) {
    server.make_certificate();
    server.write("users", "monitor:{PLAIN}s3cret\n");
    let configuration = server.write("nginx.conf", CONFIGURATION);
    server.spawn("nginx", &["-c", &configuration]);
    server.wait_for_ports(&[80, 443]);
}
