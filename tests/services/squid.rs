//! Squid: http_proxy.

use ldirectord::model::Reason;

use crate::service::{Server, Service, Trial};

pub(crate) const SERVICE: Service = Service {
    name: "squid",
    start,
    trials: &[
        Trial::up(
            "http_proxy",
            3128,
            &["service=http_proxy", "request=\"http://127.0.0.1:8000/\""],
        ),
        Trial::up(
            "http_proxy with everything",
            3128,
            &[
                "service=http_proxy",
                "request=\"http://www.example.net:8000/\"",
                "receive=\"^the site\"",
            ],
        ),
        Trial::down(
            "http_proxy, wrong answer",
            3128,
            Reason::Mismatch,
            &[
                "service=http_proxy",
                "request=\"http://127.0.0.1:8000/\"",
                "receive=\"nothing of the kind\"",
            ],
        ),
        Trial::late(
            "http_proxy, a late answer",
            3128,
            &[
                "service=http_proxy",
                "request=\"http://127.0.0.1:8000/late\"",
                "receive=\"the end$\"",
            ],
        ),
        Trial::down(
            "http_proxy, forbidden",
            3128,
            Reason::Denied,
            &["service=http_proxy", "request=\"http://127.0.0.1:9/\""],
        ),
        Trial::up(
            "http_proxy with a login",
            3128,
            &["service=http_proxy", "request=\"http://members.example.net:8000/\"", RIGHT],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "http_proxy, without a login",
            3128,
            Reason::Denied,
            &["service=http_proxy", "request=\"http://members.example.net:8000/\""],
        ),
        Trial::down(
            "http_proxy, wrong password",
            3128,
            Reason::Denied,
            &["service=http_proxy", "request=\"http://members.example.net:8000/\"", WRONG],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "http_proxy, nobody behind it",
            3128,
            Reason::Protocol,
            &["service=http_proxy", "request=\"http://127.0.0.1:8001/\""],
        ),
        Trial::down(
            "http_proxy, without a URL",
            3128,
            Reason::Protocol,
            &["service=http_proxy", "request=\"index.html\""],
        ),
    ],
};

/// `monitor:s3cret`, and another password.
const RIGHT: &str = "requestheader=\"Proxy-Authorization: Basic bW9uaXRvcjpzM2NyZXQ=\"";
const WRONG: &str = "requestheader=\"Proxy-Authorization: Basic bW9uaXRvcjpvdGhlcg==\"";

const CONFIGURATION: &str = "
http_port 127.0.0.1:3128
http_port [::1]:3128
acl discard port 9
http_access deny discard
auth_param basic program /usr/lib/squid/basic_ncsa_auth @/users
acl members dstdomain members.example.net
acl known proxy_auth REQUIRED
http_access deny members !known
http_access allow all
hosts_file @/hosts
visible_hostname lab.example.net
pid_filename @/writable/pid
cache_log @/writable/cache.log
access_log none
cache deny all
coredump_dir @/writable
";

/// What is behind the proxy.
const ORIGIN: &str = "
daemon off;
pid @/nginx-pid;
error_log @/nginx.log;
events {}
http {
    access_log off;
    client_body_temp_path @/body;
    proxy_temp_path @/proxy;
    fastcgi_temp_path @/fastcgi;
    scgi_temp_path @/scgi;
    uwsgi_temp_path @/uwsgi;
    server {
        listen 127.0.0.1:8000;
        location = /late { limit_rate 70; return 200 \"a long way to go, and then comes, somewhat later than one may think, the end\"; }
        location / { return 200 \"the site\\n\"; }
    }
}
";

fn start(server: &Server) {
    let origin = server.write("nginx.conf", ORIGIN);
    server.spawn("nginx", &["-c", &origin]);
    server.write("users", "monitor:$apr1$lablablb$lYdz48a6VHn/aS.hG5Gvd0\n");
    server.write("hosts", "127.0.0.1 www.example.net members.example.net\n");
    server.folder_of("proxy", "writable");
    let configuration = server.write("squid.conf", CONFIGURATION);
    server.spawn("squid", &["-N", "-f", &configuration]);
    server.wait_for_port("127.0.0.1", 8000);
    server.wait_for_ports(&[3128]);
}
