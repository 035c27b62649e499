//! Certificates good and bad, over real sockets: rustls and OpenSSL are the servers, and we the client.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    pin::Pin,
    process::Command,
    sync::Arc,
    time::Duration,
};

use openssl::{
    asn1::Asn1Time,
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    rsa::Rsa,
    ssl::{SslContext, SslContextBuilder, SslMethod, SslVerifyMode, SslVersion},
    symm::Cipher,
    x509::{X509, extension::SubjectAlternativeName, store::X509StoreBuilder},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, server::WebPkiClientVerifier};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{
    checks::Checker,
    model::{
        CheckKind, CheckSpec, ClientIdentity, HttpMethod, HttpSettings, Negotiate, Secret, Stage,
        Transport, Verdict,
    },
};

pub(super) const NAME: &str = "www.example.com";
pub(super) const BOTH: &[&SupportedProtocolVersion] =
    &[&rustls::version::TLS12, &rustls::version::TLS13];

type Authority = CertifiedIssuer<'static, KeyPair>;

/// The parameters of a certificate of this common name, for these names.
pub(super) fn parameters(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    let mut parameters = CertificateParams::new(names).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters
}

fn of_authority(common_name: &str) -> CertificateParams {
    as_authority(&parameters(common_name, &[]))
}

fn as_authority(parameters: &CertificateParams) -> CertificateParams {
    let mut parameters = parameters.clone();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters
}

fn ended(parameters: &CertificateParams, (year, month, day): (i32, u8, u8)) -> CertificateParams {
    let mut parameters = parameters.clone();
    parameters.not_after = date_time_ymd(year, month, day);
    parameters
}

fn not_yet(parameters: &CertificateParams, (year, month, day): (i32, u8, u8)) -> CertificateParams {
    let mut parameters = parameters.clone();
    parameters.not_before = date_time_ymd(year, month, day);
    parameters
}

fn authority(common_name: &str) -> Authority {
    CertifiedIssuer::self_signed(of_authority(common_name), KeyPair::generate().unwrap()).unwrap()
}

/// A certificate with those that lead to an authority, and its key.
pub(super) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Identity {
    fn signed(
        parameters: &CertificateParams,
        issuer: &Authority,
        others: &[&Authority],
    ) -> Identity {
        Identity::with_key(KeyPair::generate().unwrap(), parameters, issuer, others)
    }

    fn with_key(
        key: KeyPair,
        parameters: &CertificateParams,
        issuer: &Authority,
        others: &[&Authority],
    ) -> Identity {
        let mut chain = vec![parameters.signed_by(&key, issuer).unwrap().der().clone()];
        chain.extend(others.iter().map(|other| other.der().clone()));
        Identity { chain, key }
    }

    pub(super) fn self_signed(parameters: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        Identity { chain: vec![parameters.self_signed(&key).unwrap().der().clone()], key }
    }

    /// For [`NAME`], from this authority.
    fn usual(issuer: &Authority) -> Identity {
        Identity::signed(&parameters("usual", &[NAME]), issuer, &[])
    }

    pub(super) fn pem(&self) -> String {
        let pem = |der| String::from_utf8(X509::from_der(der).unwrap().to_pem().unwrap()).unwrap();
        self.chain.iter().map(|der| pem(der)).collect()
    }
}

fn signed_with(key: &KeyPair, issuer: &Authority, version: i32, digest: MessageDigest) -> Vec<u8> {
    let openssl_key = |key: &KeyPair| PKey::private_key_from_der(&key.serialize_der()).unwrap();
    let mut certificate = X509::builder().unwrap();
    certificate.set_version(version - 1).unwrap();
    certificate.set_issuer_name(X509::from_der(issuer.der()).unwrap().subject_name()).unwrap();
    certificate.set_pubkey(&openssl_key(key)).unwrap();
    certificate.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    if version == 3 {
        let context = certificate.x509v3_context(None, None);
        let name = SubjectAlternativeName::new().dns(NAME).build(&context).unwrap();
        certificate.append_extension(name).unwrap();
    }
    certificate.sign(&openssl_key(issuer.key()), digest).unwrap();
    certificate.build().to_der().unwrap()
}

/// A folder for the files of a test.
pub(super) struct Files(TempDir);

impl Files {
    pub(super) fn new() -> Files {
        Files(tempfile::tempdir().unwrap())
    }

    /// Writes a file that nobody else may read, in place of the one that is there.
    pub(super) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let (path, new) = (self.0.path().join(name), self.0.path().join("new"));
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(&new, &path).unwrap();
        path
    }

    fn client(&self, identity: &Identity) -> ClientIdentity {
        ClientIdentity {
            certificate: self.write("client.pem", identity.pem()),
            key: self.write("client.key", identity.key.serialize_pem()),
        }
    }
}

/// Verifies, and trusts whom this file names.
pub(super) fn trusting(authorities: PathBuf) -> TlsSettings {
    TlsSettings { verify: true, authorities: Some(authorities), ..TlsSettings::default() }
}

pub(super) fn server_config(
    identity: &Identity,
    versions: &[&'static SupportedProtocolVersion],
    clients: Option<&Authority>,
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = identity.key.serialize_der().try_into().unwrap();
    Arc::new(builder.with_single_cert(identity.chain.clone(), key).unwrap())
}

/// What a server sees of one connection: the name it was asked for and how many certificates it was shown; nothing
/// of a handshake that came to nothing.
type Told = mpsc::UnboundedReceiver<Option<(Option<String>, usize)>>;

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n") && stream.read_buf(&mut heard).await? > 0 {}
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    stream.shutdown().await
}

/// Keeps the socket until the other side has closed, so that what was said last is not lost.
async fn linger(mut stream: TcpStream) {
    let mut heard = [0; 512];
    while let Ok(1..) = stream.read(&mut heard).await {}
}

/// A web server.
async fn serve(config: Arc<ServerConfig>) -> (SocketAddr, Told) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            match TlsAcceptor::from(Arc::clone(&config)).accept(tcp).into_fallible().await {
                Ok(stream) => {
                    let session = stream.get_ref().1;
                    let shown = session.peer_certificates().map_or(0, <[_]>::len);
                    _ = tell.send(Some((session.server_name().map(str::to_owned), shown)));
                    _ = answer(stream).await;
                }
                Err((_, tcp)) => {
                    _ = tell.send(None);
                    linger(tcp).await;
                }
            }
        }
    });
    (target, told)
}

/// A server of OpenSSL that speaks as this changes it to.
pub(super) fn old_context(
    identity: Option<&Identity>,
    change: impl FnOnce(&mut SslContextBuilder),
) -> SslContext {
    let mut builder = SslContext::builder(SslMethod::tls_server()).unwrap();
    builder.set_security_level(0);
    if let Some(identity) = identity {
        builder
            .set_private_key(&PKey::private_key_from_der(&identity.key.serialize_der()).unwrap())
            .unwrap();
        builder.set_certificate(&X509::from_der(&identity.chain[0]).unwrap()).unwrap();
    }
    change(&mut builder);
    builder.build()
}

/// A web server that speaks as this changes it to.
async fn serve_old(
    identity: Option<&Identity>,
    change: impl FnOnce(&mut SslContextBuilder),
) -> SocketAddr {
    let context = old_context(identity, change);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let mut stream = SslStream::new(Ssl::new(&context).unwrap(), tcp).unwrap();
            if Pin::new(&mut stream).accept().await.is_ok() {
                _ = answer(stream).await;
            }
        }
    });
    target
}

/// Demands a certificate that leads to this authority.
fn demand(builder: &mut SslContextBuilder, clients: &Authority) {
    builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    let mut store = X509StoreBuilder::new().unwrap();
    store.add_cert(X509::from_der(clients.der()).unwrap()).unwrap();
    builder.set_verify_cert_store(store.build()).unwrap();
}

fn spec(target: SocketAddr, virtualhost: Option<&str>, tls: &TlsSettings) -> CheckSpec {
    let negotiate = Negotiate {
        protocol: "https",
        transport: Transport::Tcp,
        request: format!("https://{target}/").into_bytes(),
        receive: None,
        method: HttpMethod::Get,
        http: HttpSettings::default(),
        steps: Vec::new(),
        dns_record: None,
        virtualhost: virtualhost.map(str::to_owned),
        login: String::new(),
        passwd: Secret::default(),
        database: String::new(),
        secret: Secret::default(),
        tls: tls.clone(),
    };
    CheckSpec {
        target,
        kind: CheckKind::Negotiate(negotiate),
        interval: Duration::from_secs(10),
        fast_interval: Duration::from_secs(10),
        down_interval: Duration::from_secs(10),
        timeout: Duration::from_secs(60),
    }
}

/// Checks the server of this name.
async fn ask(
    checker: &Checker,
    target: SocketAddr,
    name: Option<&str>,
    tls: &TlsSettings,
) -> Verdict {
    checker.run(&spec(target, name, tls), Stage::Negotiate).await.verdict
}

/// What comes of a check, in words, with `PEER` for the server.
async fn outcome(target: SocketAddr, name: Option<&str>, tls: &TlsSettings) -> String {
    match ask(&Checker::new(), target, name, tls).await {
        Ok(pass) => pass.detail,
        Err(fault) => fault.to_string().replace(&target.to_string(), "PEER"),
    }
}

#[tokio::test]
async fn a_chain_that_leads_to_an_authority_is_believed() {
    let (root, files) = (authority("Root"), Files::new());
    let middle = Authority::signed_by(of_authority("Middle"), KeyPair::generate().unwrap(), &root);
    let middle = middle.unwrap();
    let cafile = files.write("root.pem", format!("# Ours\n{}", root.pem()));
    let middle_only = trusting(files.write("middle.pem", middle.pem()));
    let usual = parameters("usual", &[NAME, "127.0.0.1"]);
    let short = Identity::signed(&usual, &root, &[]);
    let long = Identity::signed(&usual, &middle, &[&middle]);
    let whole = Identity::signed(&usual, &middle, &[&middle, &root]);
    for version in BOTH {
        for identity in [&short, &long, &whole] {
            let (target, _told) = serve(server_config(identity, &[version], None)).await;
            for name in [Some(NAME), Some("www.example.com:8443"), Some("192.0.2.1"), None] {
                let found = outcome(target, name, &trusting(cafile.clone())).await;
                assert_eq!(found, "200 OK", "{name:?} {version:?}");
            }
        }
        let (target, _told) = serve(server_config(&long, &[version], None)).await;
        assert_eq!(outcome(target, Some(NAME), &middle_only).await, "200 OK");
    }
}

#[tokio::test]
async fn what_is_not_believed_is_told() {
    let (root, other, files) = (authority("Root"), authority("Other"), Files::new());
    let middle = Authority::signed_by(of_authority("Middle"), KeyPair::generate().unwrap(), &root);
    let middle = middle.unwrap();
    let cafile = files.write("root.pem", root.pem());
    let (usual, settings) = (parameters("usual", &[NAME]), trusting(cafile.clone()));
    let ended_middle = Authority::signed_by(
        ended(&of_authority("Ended"), (2025, 1, 2)),
        KeyPair::generate().unwrap(),
        &root,
    );
    let ended_middle = ended_middle.unwrap();
    let namesake = authority("Root");
    let sha1_key = KeyPair::generate().unwrap();
    let sha1 = signed_with(&sha1_key, &root, 3, MessageDigest::sha1());
    let mut for_clients = usual.clone();
    for_clients.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let elsewhere =
        ["a.example", "*.b.example", "192.0.2.7", "2001:db8::7", "c.example", "d.example"];
    let cases = [
        (
            "self-signed",
            Identity::self_signed(&usual),
            "the certificate is self-signed and not in cafile CAFILE; to trust it, put it into the cafile",
        ),
        (
            "self-signed, and an authority",
            Identity::self_signed(&as_authority(&usual)),
            "the certificate is self-signed and not in cafile CAFILE; to trust it, put it into the cafile",
        ),
        (
            "from somebody unknown, who is not sent",
            Identity::signed(&usual, &other, &[]),
            "the server did not send the certificate of CN=Other, which issued CN=usual, and cafile CAFILE does \
             not hold it; let the server send its whole chain, or put the issuer into the cafile",
        ),
        (
            "from somebody unknown, who is sent",
            Identity::signed(&usual, &other, &[&other]),
            "the certificate comes from CN=Other, whom cafile CAFILE does not hold; put that authority into the cafile",
        ),
        (
            "without the one between",
            Identity::signed(&usual, &middle, &[]),
            "the server did not send the certificate of CN=Middle, which issued CN=usual, and cafile CAFILE does \
             not hold it; let the server send its whole chain, or put the issuer into the cafile",
        ),
        (
            "for others",
            Identity::signed(&parameters("elsewhere", &elsewhere), &root, &[]),
            "the certificate is not for www.example.com but for a.example, *.b.example, 192.0.2.7, 2001:db8::7, \
             c.example and 1 more; set tlsname to the name it should have",
        ),
        (
            "for another",
            Identity::signed(&parameters("another", &["a.example"]), &root, &[]),
            "the certificate is not for www.example.com but for a.example; set tlsname to the name it should have",
        ),
        (
            "for nobody",
            Identity::signed(&parameters(NAME, &[]), &root, &[]),
            "the certificate is not for www.example.com: it has no name in subjectAltName, and others do not count",
        ),
        (
            "ended",
            Identity::signed(&ended(&usual, (2026, 11, 1)), &root, &[]),
            "the certificate ended on 2026-11-01; renew it",
        ),
        (
            "not yet begun",
            Identity::signed(&not_yet(&usual, (2999, 1, 2)), &root, &[]),
            "the certificate begins on 2999-01-02; is the clock of this machine right?",
        ),
        (
            "from somebody of the same name",
            Identity::signed(&usual, &namesake, &[]),
            "the certificate is not signed by CN=Root, as it says, or cafile CAFILE has an older one of that name",
        ),
        (
            "with an old signature",
            Identity { chain: vec![CertificateDer::from(sha1)], key: sha1_key },
            "the certificate or one that vouches for it is signed in a way that is not believed any more, such as \
             SHA-1; renew it",
        ),
        (
            "for clients",
            Identity::signed(&for_clients, &root, &[]),
            "the certificate is not one for servers (extendedKeyUsage)",
        ),
        (
            "from somebody who ended",
            Identity::signed(&usual, &ended_middle, &[&ended_middle]),
            "a certificate that vouches for the server's ended on 2025-01-02; renew it",
        ),
    ];
    for (case, identity, expected) in cases {
        for version in BOTH {
            let (target, mut told) = serve(server_config(&identity, &[version], None)).await;
            let expected = format!(
                "tls: no TLS with PEER: {}",
                expected.replace("CAFILE", &cafile.to_string_lossy())
            );
            assert_eq!(outcome(target, Some(NAME), &settings).await, expected, "{case}");
            // It is not asked again in another way.
            assert_eq!(told.recv().await, Some(None), "{case}");
            assert!(told.try_recv().is_err(), "{case}");
            let unverified = outcome(target, Some(NAME), &TlsSettings::default()).await;
            assert_eq!(unverified, "200 OK", "{case}");
        }
    }
}

#[tokio::test]
async fn names_in_certificates_are_short_and_plain_in_the_log() {
    let (root, files) = (authority("Root"), Files::new());
    let long = authority(&format!("\u{1b}[31m\nfake line {}", "x".repeat(1000)));
    let settings = trusting(files.write("root.pem", root.pem()));
    let identity = Identity::signed(&parameters("usual", &[NAME]), &long, &[&long]);
    let (target, _told) = serve(server_config(&identity, BOTH, None)).await;
    let found = outcome(target, Some(NAME), &settings).await;
    let expected = format!("comes from CN=?[31m?fake line {}, whom", "x".repeat(81));
    assert!(found.contains(&expected), "{found}");
}

#[tokio::test]
async fn a_certificate_of_version_1_cannot_be_verified_and_may_be_shown() {
    let (root, files) = (authority("Root"), Files::new());
    let key = KeyPair::generate().unwrap();
    let certificate = signed_with(&key, &root, 1, MessageDigest::sha256());
    let identity = Identity { chain: vec![CertificateDer::from(certificate)], key };
    let settings = TlsSettings {
        client: Some(files.client(&identity)),
        ..trusting(files.write("root.pem", root.pem()))
    };
    assert!(examine(&settings).unwrap().is_none());
    let target = serve_old(Some(&identity), |builder| {
        demand(builder, &root);
    });
    let target = target.await;
    let expected = "tls: no TLS with PEER: the certificate is of X.509 version 1, which has no place for the names \
                    to verify; let the server have one of version 3";
    assert_eq!(outcome(target, Some(NAME), &settings).await, expected);
    let unverified = TlsSettings { verify: false, ..settings };
    assert_eq!(outcome(target, Some(NAME), &unverified).await, "200 OK");
}

#[tokio::test]
async fn a_certificate_that_cafile_names_is_believed_as_it_is() {
    let files = Files::new();
    let plain = parameters("own", &[NAME]);
    for usual in [as_authority(&plain), plain] {
        let identity = Identity::self_signed(&usual);
        let settings = trusting(files.write("own.pem", identity.pem()));
        assert!(examine(&settings).unwrap().is_none());
        let (target, _told) = serve(server_config(&identity, BOTH, None)).await;
        assert_eq!(outcome(target, Some(NAME), &settings).await, "200 OK");
        let expected = "tls: no TLS with PEER: the certificate is not for a.example but for www.example.com; \
                        set tlsname to the name it should have";
        assert_eq!(outcome(target, Some("a.example"), &settings).await, expected);
        let other = Identity::self_signed(&usual);
        let (target, _told) = serve(server_config(&other, BOTH, None)).await;
        assert!(outcome(target, Some(NAME), &settings).await.starts_with("tls: "), "another key");

        for (parameters, expected) in [
            (ended(&usual, (2025, 1, 2)), "the certificate ended on 2025-01-02; renew it"),
            (
                not_yet(&usual, (2999, 1, 2)),
                "the certificate begins on 2999-01-02; is the clock of this machine right?",
            ),
        ] {
            let identity = Identity::self_signed(&parameters);
            let settings = trusting(files.write("own.pem", identity.pem()));
            let (target, _told) = serve(server_config(&identity, BOTH, None)).await;
            let found = outcome(target, Some(NAME), &settings).await;
            assert_eq!(found, format!("tls: no TLS with PEER: {expected}"));
        }
    }
}

#[tokio::test]
async fn tlsname_is_asked_for_and_verified_in_place_of_virtualhost() {
    let (root, files) = (authority("Root"), Files::new());
    let settings = trusting(files.write("root.pem", root.pem()));
    let named = |name: &str| TlsSettings { name: Some(name.to_owned()), ..settings.clone() };
    let identity = Identity::signed(&parameters("two", &[NAME, "192.0.2.7"]), &root, &[]);
    let (target, mut told) = serve(server_config(&identity, BOTH, None)).await;
    let checker = Checker::new();
    assert!(ask(&checker, target, Some("a.example"), &named(NAME)).await.is_ok());
    assert_eq!(told.recv().await, Some(Some((Some(NAME.to_owned()), 0))));
    // An address is verified and not sent.
    assert!(ask(&checker, target, Some(NAME), &named("192.0.2.7")).await.is_ok());
    assert_eq!(told.recv().await, Some(Some((None, 0))));
    let expected = "tls: no TLS with PEER: the certificate is not for 192.0.2.8 but for www.example.com, 192.0.2.7; \
                    set tlsname to the name it should have";
    assert_eq!(outcome(target, Some(NAME), &named("192.0.2.8")).await, expected);
    assert_eq!(told.recv().await, Some(None));
    // Without any name it is the address of the server.
    let found = outcome(target, None, &settings).await;
    assert!(found.contains("the certificate is not for 127.0.0.1 but"), "{found}");
    assert_eq!(told.recv().await, Some(None));
    // The name is sent also when nothing is verified.
    let unverified = TlsSettings { verify: false, ..named("b.example") };
    assert!(ask(&checker, target, Some("a.example"), &unverified).await.is_ok());
    assert_eq!(told.recv().await, Some(Some((Some("b.example".to_owned()), 0))));
}

#[tokio::test]
async fn a_server_that_wants_to_know_who_asks_is_told() {
    let (root, clients, files) = (authority("Root"), authority("Clients"), Files::new());
    let cafile = files.write("root.pem", root.pem());
    let identity = Identity::usual(&root);
    let middle =
        Authority::signed_by(of_authority("Middle"), KeyPair::generate().unwrap(), &clients);
    let middle = middle.unwrap();
    let right = Identity::signed(&parameters("director", &[]), &middle, &[&middle]);
    let wrong = Identity::self_signed(&parameters("stranger", &[]));
    let with = |identity: &Identity| TlsSettings {
        client: Some(files.client(identity)),
        ..trusting(cafile.clone())
    };
    let checker = Checker::new();
    for version in BOTH {
        let config = server_config(&identity, &[version], Some(&clients));
        let (target, mut told) = serve(config).await;
        let settings = with(&right);
        assert!(ask(&checker, target, Some(NAME), &settings).await.is_ok(), "{version:?}");
        assert_eq!(told.recv().await, Some(Some((Some(NAME.to_owned()), 2))));
        // With nothing verified on our side too.
        let unverified = TlsSettings { verify: false, ..settings };
        assert!(ask(&checker, target, Some(NAME), &unverified).await.is_ok(), "{version:?}");
        assert_eq!(told.recv().await, Some(Some((Some(NAME.to_owned()), 2))));

        let failure = ask(&checker, target, Some(NAME), &with(&wrong)).await.unwrap_err();
        assert_eq!(failure.reason, Reason::Tls, "{failure}");
        let client = files.0.path().join("client.pem");
        let expected = format!(
            "the server does not accept our certificate, clientcert {} (UnknownCA)",
            client.display()
        );
        assert!(failure.detail.ends_with(&expected), "{failure}");
        assert_eq!(told.recv().await, Some(None));
        assert!(told.try_recv().is_err(), "it is not asked again in another way");

        let failure =
            ask(&checker, target, Some(NAME), &trusting(cafile.clone())).await.unwrap_err();
        assert_eq!(failure.reason, Reason::Tls, "{failure}");
        let expected = "the server demands a certificate of ours; set clientcert";
        assert!(failure.detail.ends_with(expected), "{failure}");
    }
}

fn pem_of(key: &PKey<Private>) -> String {
    String::from_utf8(key.private_key_to_pem_pkcs8().unwrap()).unwrap()
}

#[tokio::test]
async fn a_key_may_be_written_in_any_usual_way() {
    let (root, clients, files) = (authority("Root"), authority("Clients"), Files::new());
    let config = server_config(&Identity::usual(&root), BOTH, Some(&clients));
    let (target, mut told) = serve(config).await;
    let rsa = Rsa::generate(2048).unwrap();
    let ec = EcKey::generate(&EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap()).unwrap();
    let (rsa_key, ec_key) =
        (PKey::from_rsa(rsa.clone()).unwrap(), PKey::from_ec_key(ec.clone()).unwrap());
    let keys = [
        ("RSA PRIVATE KEY", &rsa_key, rsa.private_key_to_pem().unwrap()),
        ("EC PRIVATE KEY", &ec_key, ec.private_key_to_pem().unwrap()),
        ("PRIVATE KEY", &rsa_key, rsa_key.private_key_to_pem_pkcs8().unwrap()),
        ("PRIVATE KEY", &ec_key, ec_key.private_key_to_pem_pkcs8().unwrap()),
    ];
    for (begin, key, pem) in keys {
        let pem = String::from_utf8(pem).unwrap();
        assert!(pem.starts_with(&format!("-----BEGIN {begin}-----")), "{pem}");
        let identity = Identity::with_key(
            KeyPair::from_pem(&pem_of(key)).unwrap(),
            &parameters("director", &[]),
            &clients,
            &[],
        );
        // The certificate and its key in one file, in either order.
        for text in [format!("{}{pem}", identity.pem()), format!("{pem}{}", identity.pem())] {
            let file = files.write("both.pem", text);
            let client = ClientIdentity { certificate: file.clone(), key: file };
            let settings = TlsSettings { client: Some(client), ..TlsSettings::default() };
            assert!(examine(&settings).unwrap().is_none());
            assert_eq!(outcome(target, Some(NAME), &settings).await, "200 OK", "{begin}");
            assert_eq!(told.recv().await, Some(Some((Some(NAME.to_owned()), 1))), "{begin}");
        }
    }
}

#[tokio::test]
async fn old_servers_are_verified_too() {
    let (root, clients, files) = (authority("Root"), authority("Clients"), Files::new());
    let settings = trusting(files.write("root.pem", root.pem()));
    let old = |builder: &mut SslContextBuilder| {
        builder.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
        builder.set_max_proto_version(Some(SslVersion::TLS1_1)).unwrap();
    };
    let target = serve_old(Some(&Identity::usual(&root)), old).await;
    let checker = Checker::new();
    // The first time rustls tries before, the second time not.
    for _ in 0..2 {
        assert!(ask(&checker, target, Some(NAME), &settings).await.is_ok());
    }
    let wrong_name = "the certificate is not for a.example but for www.example.com; \
                      set tlsname to the name it should have";
    for _ in 0..2 {
        let failure = ask(&checker, target, Some("a.example"), &settings).await.unwrap_err();
        assert_eq!(failure.to_string(), format!("tls: no TLS with {target}: {wrong_name}"));
    }
    let target = serve_old(Some(&Identity::self_signed(&parameters("own", &[NAME]))), old).await;
    let found = outcome(target, Some(NAME), &settings).await;
    assert!(found.contains("the certificate is self-signed"), "{found}");
    assert_eq!(outcome(target, Some(NAME), &TlsSettings::default()).await, "200 OK");

    // Somebody in between, who needs no certificate for such ciphers.
    let target = serve_old(None, |builder| {
        old(builder);
        builder.set_cipher_list("aNULL:@SECLEVEL=0").unwrap();
        builder.set_tmp_dh(&openssl::dh::Dh::get_2048_256().unwrap()).unwrap();
    });
    let target = target.await;
    assert_eq!(outcome(target, Some(NAME), &TlsSettings::default()).await, "200 OK");
    let expected = "tls: no TLS with PEER: the server sent no certificate to verify";
    assert_eq!(outcome(target, Some(NAME), &settings).await, expected);

    let demanding = |builder: &mut SslContextBuilder| {
        old(builder);
        demand(builder, &clients);
    };
    let target = serve_old(Some(&Identity::usual(&root)), demanding).await;
    let middle =
        Authority::signed_by(of_authority("Middle"), KeyPair::generate().unwrap(), &clients);
    let middle = middle.unwrap();
    let client = Identity::signed(&parameters("director", &[]), &middle, &[&middle]);
    let identified = TlsSettings { client: Some(files.client(&client)), ..settings.clone() };
    assert_eq!(outcome(target, Some(NAME), &identified).await, "200 OK");
    assert!(outcome(target, Some(NAME), &settings).await.starts_with("tls: "));
}

#[tokio::test]
async fn files_are_read_again_when_they_change_and_kept_when_they_go() {
    let (root, next, files) = (authority("Root"), authority("Next"), Files::new());
    let (clients, others) = (authority("Clients"), authority("Others"));
    let director = parameters("director", &[]);
    let settings = TlsSettings {
        client: Some(files.client(&Identity::signed(&director, &others, &[]))),
        ..trusting(files.write("root.pem", next.pem()))
    };
    let config = server_config(&Identity::usual(&root), BOTH, Some(&clients));
    let (target, _told) = serve(config).await;
    let checker = Checker::new();
    let asked = async || match ask(&checker, target, Some(NAME), &settings).await {
        Ok(pass) => pass.detail,
        Err(failure) => failure.detail,
    };
    let found = asked().await;
    assert!(found.contains("did not send the certificate of CN=Root"), "{found}");
    files.write("root.pem", format!("{}{}", next.pem(), root.pem()));
    let found = asked().await;
    assert!(found.contains("does not accept our certificate"), "{found}");
    let right = Identity::signed(&director, &clients, &[]);
    files.client(&right);
    assert_eq!(asked().await, "200 OK");
    // Halfway through a change the key is not that of the certificate.
    files.write("client.key", KeyPair::generate().unwrap().serialize_pem());
    assert_eq!(asked().await, "200 OK");
    files.write("client.key", "garbage");
    assert_eq!(asked().await, "200 OK");
    fs::remove_file(files.0.path().join("root.pem")).unwrap();
    assert_eq!(asked().await, "200 OK");
    files.client(&right);
    files.write("root.pem", next.pem());
    let found = asked().await;
    assert!(found.contains("did not send the certificate of CN=Root"), "{found}");
}

#[tokio::test]
async fn what_was_never_there_is_a_fault_of_ours_until_it_comes() {
    let (root, files) = (authority("Root"), Files::new());
    let cafile = files.0.path().join("root.pem");
    let (target, _told) = serve(server_config(&Identity::usual(&root), BOTH, None)).await;
    let (checker, settings) = (Checker::new(), trusting(cafile.clone()));
    let expected = format!(
        "internal: cannot set TLS up: cannot read cafile {}: no such file or directory (ENOENT)",
        cafile.display()
    );
    for _ in 0..2 {
        let failure = ask(&checker, target, Some(NAME), &settings).await.unwrap_err();
        assert_eq!(failure.to_string(), expected);
    }
    files.write("root.pem", root.pem());
    assert!(ask(&checker, target, Some(NAME), &settings).await.is_ok());
}

#[tokio::test]
async fn checks_with_equal_settings_share_a_context() {
    let (root, files, contexts) = (authority("Root"), Files::new(), Contexts::default());
    let settings = trusting(files.write("root.pem", root.pem()));
    let first = contexts.get(&settings).await.unwrap();
    let named = TlsSettings { name: Some(NAME.to_owned()), ..settings.clone() };
    assert!(Arc::ptr_eq(&first, &contexts.get(&named).await.unwrap()));
    let lax = TlsSettings { verify: false, ..settings.clone() };
    assert!(!Arc::ptr_eq(&first, &contexts.get(&lax).await.unwrap()));
    files.write("root.pem", root.pem());
    assert!(!Arc::ptr_eq(&first, &contexts.get(&settings).await.unwrap()));
}

/// The system's store is named to the whole process, so this runs itself in one of its own.
#[tokio::test]
async fn without_cafile_whom_the_system_trusts_is_trusted() {
    const STORE: &str = "SSL_CERT_FILE";
    const INSIDE: &str = "LDIRECTORD_TEST_STORE";
    let settings = TlsSettings { verify: true, ..TlsSettings::default() };
    if let Ok(folder) = std::env::var(INSIDE) {
        let read = |name: &str| fs::read_to_string(Path::new(&folder).join(name)).unwrap();
        let key = KeyPair::from_pem(&read("key.pem")).unwrap();
        let root = Authority::self_signed(of_authority("Root"), key).unwrap();
        let (target, _told) = serve(server_config(&Identity::usual(&root), BOTH, None)).await;
        let checker = Checker::new();
        assert!(ask(&checker, target, Some(NAME), &settings).await.is_ok());
        let own = Identity::self_signed(&parameters("own", &[NAME]));
        let (target, _told) = serve(server_config(&own, BOTH, None)).await;
        let failure = ask(&checker, target, Some(NAME), &settings).await.unwrap_err();
        let expected = "the certificate is self-signed and not in the system's store; \
                        to trust it, put it into the cafile";
        assert_eq!(failure.to_string(), format!("tls: no TLS with {target}: {expected}"));
        // The store changes.
        fs::rename(Path::new(&folder).join("other.pem"), Path::new(&folder).join("root.pem"))
            .unwrap();
        let (target, _told) = serve(server_config(&Identity::usual(&root), BOTH, None)).await;
        let failure = ask(&checker, target, Some(NAME), &settings).await.unwrap_err();
        assert!(failure.detail.contains("CN=Root"), "{failure}");
        fs::write(Path::new(&folder).join("root.pem"), "").unwrap();
        let expected =
            "tlsverify has nobody to trust: this system has no store of authorities; set cafile";
        assert_eq!(examine(&settings).unwrap_err().to_string(), expected);
        fs::write(Path::new(&folder).join("done"), "").unwrap();
        return;
    }
    let (root, files) = (authority("Root"), Files::new());
    let store = files.write("root.pem", root.pem());
    files.write("other.pem", authority("Other").pem());
    files.write("key.pem", root.key().serialize_pem());
    let name = "checks::tls::tests::without_cafile_whom_the_system_trusts_is_trusted";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .envs([(STORE, store.as_os_str()), (INSIDE, files.0.path().as_os_str())])
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(files.0.path().join("done").exists(), "{text}");
}

#[test]
fn what_cannot_be_used_is_found_when_it_is_examined() {
    let (root, files) = (authority("Root"), Files::new());
    let identity = Identity::usual(&root);
    let folder = files.0.path().display().to_string();
    let certificate = files.write("good.pem", identity.pem());
    let key = files.write("good.key", identity.key.serialize_pem());
    let other_key = files.write("other.key", KeyPair::generate().unwrap().serialize_pem());
    let parsed = PKey::private_key_from_der(&identity.key.serialize_der()).unwrap();
    let encrypted =
        parsed.private_key_to_pem_pkcs8_passphrase(Cipher::aes_128_cbc(), b"secret").unwrap();
    let encrypted = files.write("encrypted.key", encrypted);
    let garbage = files.write("garbage.pem", "This is no certificate.\n");
    let cut = files.write("cut.pem", &identity.pem()[..200]);
    let wrong = files.write(
        "wrong.pem",
        format!("{}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", identity.pem()),
    );
    let huge = files.write("huge.pem", vec![b'#'; 9 << 20]);
    let missing = files.0.path().join("missing.pem");
    let client = |certificate: &Path, key: &Path| TlsSettings {
        client: Some(ClientIdentity { certificate: certificate.into(), key: key.into() }),
        ..TlsSettings::default()
    };
    let named = |name: &str| TlsSettings { name: Some(name.into()), ..TlsSettings::default() };
    let cases = [
        (
            trusting(missing.clone()),
            "cafile",
            "cannot read cafile FOLDER/missing.pem: no such file or directory (ENOENT)",
        ),
        (trusting(files.0.path().into()), "cafile", "cafile FOLDER is not a file"),
        (trusting("/dev/zero".into()), "cafile", "cafile /dev/zero is not a file"),
        (
            trusting(garbage.clone()),
            "cafile",
            "cafile FOLDER/garbage.pem has no certificate in PEM",
        ),
        (trusting(key.clone()), "cafile", "cafile FOLDER/good.key has no certificate in PEM"),
        (
            trusting(cut),
            "cafile",
            "cafile FOLDER/cut.pem has the begin of a section in PEM and not its end",
        ),
        (
            trusting(wrong),
            "cafile",
            "cafile FOLDER/wrong.pem has a certificate, number 2, that cannot be used: BadEncoding",
        ),
        (trusting(huge), "cafile", "cafile FOLDER/huge.pem is longer than 8 MiB"),
        (
            client(&missing, &key),
            "clientcert",
            "cannot read clientcert FOLDER/missing.pem: no such file or directory (ENOENT)",
        ),
        (
            client(&certificate, &missing),
            "clientkey",
            "cannot read clientkey FOLDER/missing.pem: no such file or directory (ENOENT)",
        ),
        (
            client(&certificate, &certificate),
            "clientcert",
            "clientcert FOLDER/good.pem has no private key in PEM",
        ),
        (
            client(&certificate, &garbage),
            "clientkey",
            "clientkey FOLDER/garbage.pem has no private key in PEM",
        ),
        (
            client(&certificate, &other_key),
            "clientkey",
            "clientkey FOLDER/other.key is not the key of the certificate in FOLDER/good.pem",
        ),
        (
            client(&certificate, &encrypted),
            "clientkey",
            "clientkey FOLDER/encrypted.key has a key with a passphrase, which nobody is there to type; `openssl pkey` takes it off",
        ),
        (named("no name"), "tlsname", "tlsname no name is no host name and no address"),
    ];
    for (settings, directive, expected) in cases {
        let error = examine(&settings).unwrap_err();
        assert_eq!(error.to_string(), expected.replace("FOLDER", &folder));
        assert_eq!(error.directive(), directive, "{error}");
        let file = error.file().map(|file| file.display().to_string());
        assert!(file.is_none_or(|file| expected.replace("FOLDER", &folder).contains(&file)));
    }
    for good in
        [TlsSettings::default(), named(NAME), named("2001:db8::1"), client(&certificate, &key)]
    {
        assert_eq!(examine(&good).unwrap(), None, "{good:?}");
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let expected = format!(
        "clientkey {folder}/good.key holds a private key and is open to others than its owner (mode 0640); \
         chmod 600 {folder}/good.key"
    );
    assert_eq!(examine(&client(&certificate, &key)).unwrap(), Some(expected));
}

#[test]
fn tls_names_hosts_and_no_addresses() {
    assert_eq!(host_name("www.example.com:8443").as_deref(), Some(NAME));
    assert_eq!(host_name(NAME).as_deref(), Some(NAME));
    let others = ["192.0.2.1", "192.0.2.1:80", "[2001:db8::1]:80", "2001:db8::1", "", "no name"];
    for other in others {
        assert_eq!(host_name(other), None, "{other}");
    }
}

#[tokio::test]
async fn an_engine_that_is_chosen_is_the_only_one() {
    let identity = Identity::self_signed(&parameters("own", &[NAME]));
    let by = |engine| TlsSettings { engine, ..TlsSettings::default() };
    let old = serve_old(Some(&identity), |builder| {
        builder.set_max_proto_version(Some(SslVersion::TLS1_1)).unwrap();
    });
    let old = old.await;
    assert_eq!(outcome(old, None, &by(TlsEngine::Auto)).await, "200 OK");
    assert_eq!(outcome(old, None, &by(TlsEngine::Openssl)).await, "200 OK");
    assert!(outcome(old, None, &by(TlsEngine::Rustls)).await.starts_with("tls: "));
    // The first handshake that the server sees is already OpenSSL's.
    let (modern, mut told) = serve(server_config(&identity, BOTH, None)).await;
    assert_eq!(outcome(modern, None, &by(TlsEngine::Openssl)).await, "200 OK");
    assert_eq!(told.recv().await, Some(Some((None, 0))));
    assert!(told.try_recv().is_err());
}

/// When the certificate ends that the check was shown.
async fn seen_end(target: SocketAddr, name: &str, tls: &TlsSettings) -> Option<String> {
    let attempted = Checker::new().run(&spec(target, Some(name), tls), Stage::Negotiate).await;
    attempted.trace.certificate_end.map(|end| end.to_string())
}

#[tokio::test]
async fn the_end_of_a_certificate_is_seen_whoever_speaks_and_whatever_is_believed() {
    let (root, files) = (authority("Root"), Files::new());
    let cafile = files.write("root.pem", root.pem());
    let middle = Authority::signed_by(
        ended(&of_authority("Middle"), (2030, 1, 1)),
        KeyPair::generate().unwrap(),
        &root,
    );
    let middle = middle.unwrap();
    for (day, expected) in [((2040, 2, 29), "2040-02-29"), ((2026, 11, 1), "2026-11-01")] {
        let usual = ended(&parameters("usual", &[NAME]), day);
        // That of the server itself, not of those who vouch for it.
        let identity = Identity::signed(&usual, &middle, &[&middle]);
        let old = serve_old(Some(&identity), |builder| {
            builder.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
            builder.set_max_proto_version(Some(SslVersion::TLS1_1)).unwrap();
        });
        let old = old.await;
        for version in BOTH {
            let (modern, _told) = serve(server_config(&identity, &[version], None)).await;
            for (target, engine) in [
                (modern, TlsEngine::Rustls),
                (modern, TlsEngine::Openssl),
                (old, TlsEngine::Auto),
                (old, TlsEngine::Openssl),
            ] {
                for settings in [TlsSettings::default(), trusting(cafile.clone())] {
                    let settings = TlsSettings { engine, ..settings };
                    for name in [NAME, "other.example"] {
                        let end = seen_end(target, name, &settings).await;
                        assert_eq!(end.as_deref(), Some(expected), "{settings:?}");
                    }
                }
            }
        }
    }
    // Who shows none has none that ends.
    let anonymous = serve_old(None, |builder| {
        builder.set_cipher_list("aNULL:@SECLEVEL=0").unwrap();
        builder.set_max_proto_version(Some(SslVersion::TLS1_1)).unwrap();
        builder.set_tmp_dh(&openssl::dh::Dh::get_2048_256().unwrap()).unwrap();
    });
    assert_eq!(seen_end(anonymous.await, NAME, &TlsSettings::default()).await, None);
}

#[tokio::test]
async fn the_end_of_somebody_elses_certificate_is_not_the_servers() {
    let elsewhere = Identity::self_signed(&ended(&parameters("own", &[NAME]), (2026, 11, 1)));
    let (there, _told) = serve(server_config(&elsewhere, BOTH, None)).await;
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let identity = Identity::self_signed(&ended(&parameters("own", &[NAME]), (2040, 1, 1)));
    let acceptor = TlsAcceptor::from(server_config(&identity, BOTH, None));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(tcp).await else { continue };
            let mut heard = Vec::new();
            while !heard.ends_with(b"\r\n\r\n") && stream.read_buf(&mut heard).await.unwrap() > 0 {}
            let answer = format!("HTTP/1.1 302 Found\r\nLocation: https://{there}/\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    let check = spec(target, Some(NAME), &TlsSettings::default());
    let attempted = Checker::new().run(&check, Stage::Negotiate).await;
    assert_eq!(attempted.verdict.unwrap().detail, "200 OK");
    assert_eq!(attempted.trace.certificate_end.unwrap().to_string(), "2040-01-01");
}

#[test]
fn a_certificate_without_a_date_that_can_be_read_has_no_end() {
    let identity = Identity::self_signed(&ended(&parameters("own", &[NAME]), (2040, 2, 29)));
    let der = identity.chain[0].as_ref().to_vec();
    let end = |der: &[u8]| verify::end(&CertificateDer::from(der.to_vec()));
    assert_eq!(end(&der).unwrap().to_string(), "2040-02-29");
    let date = b"400229000000Z";
    let place = der.windows(date.len()).position(|part| part == date).unwrap();
    for wrong in
        [b"409929000000Z", b"400230000000Z", b"\0\0\0\0\0\0\0\0\0\0\0\0\0", b"-99999-99999Z"]
    {
        let mut broken = der.clone();
        broken[place..place + date.len()].copy_from_slice(wrong);
        assert_eq!(end(&broken), None, "{}", wrong.escape_ascii());
    }
    assert_eq!(end(&der[..der.len() / 2]), None);
    assert_eq!(end(b""), None);
}
