//! Apache with TLS 1.0 and 1.1 alone, which today's libraries refuse unless they are told not to: https.

use ldirectord::model::Reason;

use crate::service::{Otherwise, Server, Service, State, Theirs, Trial};

pub(crate) const SERVICE: Service = Service {
    name: "apache2",
    start,
    trials: &[
        Trial { theirs: TOO_OLD, ..Trial::up("https of TLS 1.0", 4430, &["service=https"]) },
        Trial { theirs: TOO_OLD, ..Trial::up("https of TLS 1.1", 4431, &["service=https"]) },
        Trial::up("https of TLS 1.2", 4432, &["service=https", "receive=\"It works\""]),
        Trial::down(
            "https of TLS 1.0, wrong answer",
            4430,
            Reason::Mismatch,
            &["service=https", "receive=\"nothing of the kind\""],
        ),
    ],
};

const TOO_OLD: Theirs = Theirs::Differs("the system's OpenSSL refuses it there", |state, _| {
    if state == State::Works { Otherwise::Opposite } else { Otherwise::No }
});

const CONFIGURATION: &str = "
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
SSLSessionCache none
SSLCertificateFile @/certificate.pem
SSLCertificateKeyFile @/key.pem
SSLCipherSuite ALL:@@SECLEVEL=0
User www-data
Group www-data
";

fn start(server: &Server) {
    server.make_certificate();
    server.write("site/index.html", "It works\n");
    let mut text = CONFIGURATION.replace("@@", "\u{1}");
    for (port, version) in [(4430, "TLSv1"), (4431, "TLSv1.1"), (4432, "TLSv1.2")] {
        text = format!(
            "{text}Listen 127.0.0.1:{port}\nListen [::1]:{port}\n\
             <VirtualHost 127.0.0.1:{port} [::1]:{port}>\nSSLEngine on\nSSLProtocol {version}\n</VirtualHost>\n"
        );
    }
    let configuration = server.write("apache.conf", &text);
    // The one `@` that means itself.
    let text = std::fs::read_to_string(&configuration).unwrap().replace('\u{1}', "@");
    std::fs::write(&configuration, text).unwrap();
    server.spawn("apache2", &["-DFOREGROUND", "-f", &configuration]);
    server.wait_for_ports(&[4430, 4431, 4432]);
}
