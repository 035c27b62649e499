//! Certificates with OpenSSL at the other end: its program makes them, serves with them and demands ours.

use std::{
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use ldirectord::{
    checks::{Checker, tls},
    model::{
        CheckKind, CheckSpec, ClientIdentity, HttpMethod, HttpSettings, Negotiate, Reason, Secret,
        Stage, TlsSettings, Transport, Verdict,
    },
};
use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::support::lab::{Namespace, trial, wait_for};

pub(crate) fn trials() -> Vec<Trial> {
    ["-tls1_1", "-tls1_2", "-tls1_3"]
        .into_iter()
        .map(|version| {
            trial(&format!("tls_openssl_s_server{version}"), move |namespace| {
                is_verified_and_verifies(namespace, version);
            })
        })
        .collect()
}

/// What a person does who needs certificates and has only `openssl`.
struct Papers(TempDir);

impl Papers {
    fn new(namespace: &Namespace) -> Papers {
        let papers = Papers(tempfile::tempdir().unwrap());
        let new = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        for (authority, issued, extension) in
            [("root", "server", "subjectAltName=DNS:www.example.com"), ("clients", "client", "")]
        {
            papers.openssl(
                namespace,
                &format!("req -x509 {new} -subj /CN={authority} -keyout {authority}.key -out {authority}.pem"),
            );
            papers.openssl(
                namespace,
                &format!("req {new} -subj /CN={issued} -keyout {issued}.key -out {issued}.csr"),
            );
            std::fs::write(papers.path("extensions"), extension).unwrap();
            papers.openssl(
                namespace,
                &format!(
                    "x509 -req -in {issued}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial \
                     -extfile extensions -out {issued}.pem"
                ),
            );
        }
        papers
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(&self.0);
        command
    }

    fn openssl(&self, namespace: &Namespace, arguments: &str) {
        let output = namespace.output(&mut self.command(arguments));
        assert!(output.status.success(), "openssl {arguments}: {output:?}");
    }
}

fn check(target: SocketAddr, settings: &TlsSettings) -> Verdict {
    let negotiate = Negotiate {
        protocol: "https",
        transport: Transport::Tcp,
        request: format!("https://{target}/").into_bytes(),
        receive: None,
        method: HttpMethod::Get,
        http: HttpSettings::default(),
        steps: Vec::new(),
        dns_record: None,
        virtualhost: Some("www.example.com".to_owned()),
        login: String::new(),
        passwd: Secret::default(),
        database: String::new(),
        secret: Secret::default(),
        tls: settings.clone(),
    };
    let check = CheckSpec {
        target,
        kind: CheckKind::Negotiate(negotiate),
        interval: Duration::from_secs(10),
        fast_interval: Duration::from_secs(10),
        down_interval: Duration::from_secs(10),
        timeout: Duration::from_secs(60),
    };
    // On this thread, because the namespace is a thread's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Checker::new().run(&check, Stage::Negotiate)).verdict
}

fn is_verified_and_verifies(namespace: &Namespace, version: &str) {
    let papers = Papers::new(namespace);
    let target: SocketAddr = "127.0.0.1:8443".parse().unwrap();
    let serve = format!(
        "s_server -accept {target} {version} -cipher ALL:@SECLEVEL=0 -cert server.pem -key server.key \
         -CAfile clients.pem -Verify 1 -verify_return_error -www"
    );
    let mut serve = papers.command(&serve);
    namespace.spawn(serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
    wait_for("s_server", || TcpStream::connect(target));

    let identity =
        ClientIdentity { certificate: papers.path("client.pem"), key: papers.path("client.key") };
    let settings = TlsSettings {
        verify: true,
        authorities: Some(papers.path("root.pem")),
        name: None,
        client: Some(identity),
        ..TlsSettings::default()
    };
    assert_eq!(tls::examine(&settings).unwrap(), None);
    assert_eq!(check(target, &settings).unwrap().detail, "200 ok");

    let refused = |settings: TlsSettings, expected: &str| {
        let failure = check(target, &settings).unwrap_err();
        assert_eq!(failure.reason, Reason::Tls, "{failure}");
        assert!(failure.detail.contains(expected), "{failure}");
    };
    let other = TlsSettings { name: Some("a.example".to_owned()), ..settings.clone() };
    refused(other, "the certificate is not for a.example but for www.example.com");
    // The lab's own store, which Debian's ca-certificates fills.
    let system = TlsSettings { authorities: None, ..settings.clone() };
    refused(
        system,
        "did not send the certificate of CN=root, which issued CN=server, and the system's store",
    );
    let anonymous = TlsSettings { client: None, ..settings.clone() };
    refused(anonymous, if version == "-tls1_3" { "set clientcert" } else { "" });
    let stranger =
        ClientIdentity { certificate: papers.path("server.pem"), key: papers.path("server.key") };
    refused(
        TlsSettings { client: Some(stranger), ..settings },
        if version == "-tls1_1" { "" } else { "does not accept our certificate, clientcert" },
    );
}
