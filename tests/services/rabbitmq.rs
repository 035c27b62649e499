//! RabbitMQ: amqp.

use ldirectord::model::Reason;

use crate::{
    service::{Server, Service, Trial},
    support::lab::wait_for,
};

pub(crate) const SERVICE: Service = Service {
    name: "rabbitmq",
    start,
    trials: &[
        Trial::up("amqp", 5672, &["service=amqp"]).unknown_to_ldirectord(),
        // Erlang's own, by which its nodes find each other.
        Trial::down("amqp, where epmd is", 4369, Reason::Reset, &["service=amqp"])
            .unknown_to_ldirectord(),
        Trial::down("amqp, where TLS is spoken", 5671, Reason::Protocol, &["service=amqp"])
            .unknown_to_ldirectord(),
    ],
};

const CONFIGURATION: &str = "
listeners.tcp.four = 127.0.0.1:5672
listeners.tcp.six = ::1:5672
listeners.ssl.four = 127.0.0.1:5671
listeners.ssl.six = ::1:5671
ssl_options.certfile = @/certificate.pem
ssl_options.keyfile = @/key.pem
";

fn start(server: &Server) {
    server.make_certificate();
    server.write("rabbitmq.conf", CONFIGURATION);
    server.write("plugins", "[].\n");
    let settings = [
        "RABBITMQ_NODENAME=rabbit@localhost".to_owned(),
        format!("HOME={}", server.path("")),
        format!("RABBITMQ_CONFIG_FILE={}", server.path("rabbitmq")),
        format!("RABBITMQ_ENABLED_PLUGINS_FILE={}", server.path("plugins")),
        format!("RABBITMQ_MNESIA_BASE={}", server.path("data")),
        format!("RABBITMQ_LOG_BASE={}", server.path("log")),
        format!("RABBITMQ_PID_FILE={}", server.path("pid")),
    ];
    // Debian's `/usr/sbin/rabbitmq-server` is for its own user alone.
    let program = "/usr/lib/rabbitmq/bin/rabbitmq-server";
    let words: Vec<_> = settings.iter().map(String::as_str).chain([program]).collect();
    server.spawn("env", &words);
    // It begins with minutes of work in User-Mode Linux, so each step of it is waited for.
    server.wait_for_ports(&[4369]);
    for step in ["Starting broker", "completed"] {
        wait_for(step, || {
            let log = std::fs::read_to_string(server.path("env.out.log")).unwrap_or_default();
            log.contains(step).then_some(()).ok_or("not yet")
        });
    }
    server.wait_for_ports(&[5671, 5672]);
}
