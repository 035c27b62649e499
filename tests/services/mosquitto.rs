//! Mosquitto: mqtt, without and with logins.

use ldirectord::model::Reason;

use crate::service::{Server, Service, Trial};

pub(crate) const SERVICE: Service = Service {
    name: "mosquitto",
    start,
    trials: &[
        Trial::up("mqtt", 1883, &["service=mqtt"]).unknown_to_ldirectord(),
        Trial::up(
            "mqtt with a login that nobody asks for",
            1883,
            &["service=mqtt", "login=\"monitor\"", "passwd=\"s3cret\""],
        )
        .unknown_to_ldirectord(),
        Trial::up(
            "mqtt with login",
            1884,
            &["service=mqtt", "login=\"monitor\"", "passwd=\"s3cret\""],
        )
        .unknown_to_ldirectord(),
        Trial::down("mqtt without a login", 1884, Reason::Denied, &["service=mqtt"])
            .unknown_to_ldirectord(),
        Trial::down(
            "mqtt, wrong password",
            1884,
            Reason::Denied,
            &["service=mqtt", "login=\"monitor\"", "passwd=\"other\""],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "mqtt, nobody of this name",
            1884,
            Reason::Denied,
            &["service=mqtt", "login=\"nobody\"", "passwd=\"s3cret\""],
        )
        .unknown_to_ldirectord(),
        Trial::down("mqtt, where TLS is spoken", 8883, Reason::Reset, &["service=mqtt"])
            .unknown_to_ldirectord(),
    ],
};

const CONFIGURATION: &str = "
user root
per_listener_settings true
listener 1883 127.0.0.1
allow_anonymous true
listener 1883 ::1
allow_anonymous true
listener 1884 127.0.0.1
password_file @/users
listener 1884 ::1
password_file @/users
listener 8883 127.0.0.1
certfile @/certificate.pem
keyfile @/key.pem
listener 8883 ::1
certfile @/certificate.pem
keyfile @/key.pem
";

fn start(server: &Server) {
    server.make_certificate();
    let users = server.path("users");
    server.run("mosquitto_passwd", &["-b", "-c", &users, "monitor", "s3cret"]);
    let configuration = server.write("mosquitto.conf", CONFIGURATION);
    server.spawn("mosquitto", &["-c", &configuration]);
    server.wait_for_ports(&[1883, 1884, 8883]);
}
