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
        Trial::down("http, denied", 80, Reason::Protocol, &["service=http", "request=\"secret\""]),
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
        Trial::down("https, where http is spoken", 80, Reason::Tls, &["service=https"]),
        Trial::down("http, where https is spoken", 443, Reason::Protocol, &["service=http"]),
    ],
};

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
    server.write("users", "");
    let configuration = server.write("nginx.conf", CONFIGURATION);
    server.spawn("nginx", &["-c", &configuration]);
    server.wait_for_ports(&[80, 443]);
}
