//! memcached: memcached.

use ldirectord::model::Reason;

use crate::service::{Server, Service, Trial};

pub(crate) const SERVICE: Service = Service {
    name: "memcached",
    start,
    trials: &[
        Trial::up("memcached", 11211, &["service=memcached"]).unknown_to_ldirectord(),
        Trial::down(
            "memcached that waits for its binary protocol",
            11212,
            Reason::Timeout,
            &["negotiatetimeout=1", "service=memcached"],
        )
        .unknown_to_ldirectord(),
        Trial::down("memcached that wants a login", 11213, Reason::Denied, &["service=memcached"])
            .unknown_to_ldirectord(),
    ],
};

fn start(server: &Server) {
    let users = server.write("users", "monitor:s3cret\n");
    for more in
        [&["-p", "11211"][..], &["-p", "11212", "-B", "binary"], &["-p", "11213", "-Y", &users]]
    {
        server.spawn("memcached", &[&["-u", "root", "-l", "127.0.0.1,::1"], more].concat());
    }
    server.wait_for_ports(&[11211, 11212, 11213]);
}
