//! TLS to real servers, modern and old.
//!
//! rustls does the handshake with a fifth of the CPU time of OpenSSL, but only in TLS 1.2 and 1.3 and only with
//! ephemeral elliptic curve keys and authenticated ciphers. A server that refuses that is asked again at once through
//! OpenSSL with everything allowed, and remembered, so that it costs two connections only once in a while.
//!
//! Differs from ldirectord: certificates are not verified, since a check asks whether the service works.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use openssl::ssl::{
    Ssl, SslContext, SslMethod, SslOptions, SslSessionCacheMode, SslVerifyMode, SslVersion,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, InvalidMessage, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{net::TcpStream, time::Instant};
use tokio_openssl::SslStream;
use tokio_rustls::TlsConnector;

use super::{
    connect, failure,
    link::{Phase, Stream},
};
use crate::model::{Failure, Reason};

/// For how long a server counts as old before rustls is tried again.
const OLD_FOR: Duration = Duration::from_secs(3600);

/// The most servers that are remembered as old; redirections can lead to any number.
const OLD_SERVERS: usize = 65_536;

/// Opens TLS connections.
#[derive(Default)]
pub(super) struct Tls {
    modern: OnceLock<Result<TlsConnector, String>>,
    old: OnceLock<Result<SslContext, String>>,
    old_servers: OldServers,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("old_servers", &self.old_servers).finish_non_exhaustive()
    }
}

/// A handshake that came to nothing.
struct Fault {
    failure: Failure,
    /// Whether a server that only speaks old versions or ciphers may have caused it.
    maybe_old: bool,
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Fault {
        Fault { failure, maybe_old: false }
    }
}

impl Tls {
    /// Connects and does the handshake, naming this host to the server. The caller sets the limit on the time.
    pub(super) async fn open(
        &self,
        peer: SocketAddr,
        name: Option<&str>,
        phase: &mut Phase,
    ) -> Result<Box<dyn Stream>, Failure> {
        // What is no name of a host is not sent as one.
        let name =
            name.filter(|name| matches!(ServerName::try_from(*name), Ok(ServerName::DnsName(_))));
        if self.old_servers.contains(peer) {
            let opened = self.open_old(peer, name, phase).await;
            if let Err(Fault { maybe_old: true, .. }) = &opened {
                self.old_servers.remove(peer);
            }
            return opened.map_err(|fault| fault.failure);
        }
        let fault = match self.open_modern(peer, name, phase).await {
            Ok(stream) => return Ok(stream),
            Err(fault) => fault,
        };
        if !fault.maybe_old {
            return Err(fault.failure);
        }
        match self.open_old(peer, name, phase).await {
            Ok(stream) => {
                self.old_servers.insert(peer);
                Ok(stream)
            }
            Err(_) => Err(fault.failure),
        }
    }

    async fn open_modern(
        &self,
        peer: SocketAddr,
        name: Option<&str>,
        phase: &mut Phase,
    ) -> Result<Box<dyn Stream>, Fault> {
        let connector = self.modern.get_or_init(modern).as_ref().map_err(|text| ours(text))?;
        // Without a name of a host the address stands here, and nothing of it is sent.
        let named = name.and_then(|name| ServerName::try_from(name.to_owned()).ok());
        let named = named.unwrap_or_else(|| ServerName::from(peer.ip()));
        let tcp = tcp(peer, phase).await?;
        match connector.connect(named, tcp).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => {
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
                let maybe_old = match inner {
                    // Not TLS at all.
                    Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
                        false
                    }
                    Some(_) => true,
                    None => is_broken_off(&error),
                };
                Err(Fault { failure: refused(peer, &error, inner.is_some()), maybe_old })
            }
        }
    }

    async fn open_old(
        &self,
        peer: SocketAddr,
        name: Option<&str>,
        phase: &mut Phase,
    ) -> Result<Box<dyn Stream>, Fault> {
        let context = self.old.get_or_init(old).as_ref().map_err(|text| ours(text))?;
        let mut ssl = Ssl::new(context).map_err(|stack| ours(&stack.to_string()))?;
        if let Some(name) = name {
            ssl.set_hostname(name).map_err(|stack| ours(&stack.to_string()))?;
        }
        let tcp = tcp(peer, phase).await?;
        let mut stream = SslStream::new(ssl, tcp).map_err(|stack| ours(&stack.to_string()))?;
        match Pin::new(&mut stream).connect().await {
            Ok(()) => Ok(Box::new(stream)),
            Err(error) => {
                let failure = match error.io_error() {
                    Some(error) => refused(peer, error, false),
                    None => failure(Reason::Tls, format!("no TLS with {peer}: {error}")),
                };
                Err(Fault { failure, maybe_old: true })
            }
        }
    }
}

async fn tcp(peer: SocketAddr, phase: &mut Phase) -> Result<TcpStream, Failure> {
    *phase = Phase::Connect;
    let tcp = connect::open(peer).await?;
    *phase = Phase::Handshake;
    Ok(tcp)
}

/// A fault of this machine.
fn ours(text: &str) -> Failure {
    failure(Reason::Internal, format!("cannot set TLS up: {text}"))
}

fn is_broken_off(error: &io::Error) -> bool {
    matches!(connect::reason(error), Reason::Reset)
}

fn refused(peer: SocketAddr, error: &io::Error, of_tls: bool) -> Failure {
    match is_broken_off(error) {
        true => {
            failure(Reason::Reset, format!("{peer} broke the connection off in the TLS handshake"))
        }
        false if of_tls => failure(Reason::Tls, format!("no TLS with {peer}: {error}")),
        false => failure(
            connect::reason(error),
            format!("no TLS with {peer}: {}", connect::words(error)),
        ),
    }
}

fn modern() -> Result<TlsConnector, String> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(AnyCertificate { provider: Arc::clone(&provider) });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // Sessions are kept by name, and many real servers share one.
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn old() -> Result<SslContext, String> {
    let build = || {
        let mut builder = SslContext::builder(SslMethod::tls_client())?;
        builder.set_verify(SslVerifyMode::NONE);
        builder.set_cipher_list("ALL:@SECLEVEL=0")?;
        builder.set_min_proto_version(Some(SslVersion::TLS1))?;
        builder.set_session_cache_mode(SslSessionCacheMode::OFF);
        // SSL_OP_LEGACY_SERVER_CONNECT of openssl/ssl.h, which the crate does not name: servers without RFC 5746.
        let legacy_server_connect = SslOptions::from_bits_retain(1 << 2);
        builder.set_options(
            SslOptions::ALL
                | SslOptions::ALLOW_UNSAFE_LEGACY_RENEGOTIATION
                | SslOptions::IGNORE_UNEXPECTED_EOF
                | legacy_server_connect,
        );
        Ok(builder.build())
    };
    build().map_err(|stack: openssl::error::ErrorStack| stack.to_string())
}

/// Accepts every certificate and does not look at signatures.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.provider.signature_verification_algorithms.supported_schemes();
        // Nothing is verified, so a server may sign with what nobody should trust.
        schemes.extend([SignatureScheme::RSA_PKCS1_SHA1, SignatureScheme::ECDSA_SHA1_Legacy]);
        schemes
    }
}

/// The servers that rustls could not talk to and OpenSSL could, with the time until which they count as old.
#[derive(Debug, Default)]
struct OldServers {
    #[expect(
        clippy::disallowed_types,
        reason = "held for one look into a map, never while anything waits"
    )]
    until: std::sync::Mutex<HashMap<SocketAddr, Instant>>,
}

impl OldServers {
    fn contains(&self, server: SocketAddr) -> bool {
        self.with(|until| until.get(&server).is_some_and(|end| Instant::now() < *end))
    }

    fn insert(&self, server: SocketAddr) {
        let now = Instant::now();
        self.with(|until| {
            if until.len() >= OLD_SERVERS {
                until.retain(|_, end| now < *end);
            }
            if until.len() < OLD_SERVERS {
                until.insert(server, now + OLD_FOR);
            }
        });
    }

    fn remove(&self, server: SocketAddr) {
        self.with(|until| until.remove(&server));
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<SocketAddr, Instant>) -> T) -> T {
        // A map is whole even if somebody panicked beside it.
        look(&mut self.until.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}
