//! TLS to real servers, modern and old.
//!
//! rustls does the handshake with a fifth of the CPU time of OpenSSL, but only in TLS 1.2 and 1.3 and only with
//! ephemeral elliptic curve keys and authenticated ciphers. A server that refuses that is asked again at once through
//! OpenSSL with everything allowed, and remembered, so that it costs two connections only once in a while.
//!
//! Differs from ldirectord: certificates are not verified, since a check asks whether the service works.

mod old;
mod verify;

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, OnceLock},
};

use openssl::ssl::{Ssl, SslContext};
use rustls::{
    ClientConfig, InvalidMessage, client::Resumption, crypto::ring, pki_types::ServerName,
};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;
use tokio_rustls::TlsConnector;

use self::{old::OldServers, verify::AnyCertificate};
use super::{
    connect, failure,
    link::{Phase, Stream},
};
use crate::model::{Failure, Reason};

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
        let context = self.old.get_or_init(old::context).as_ref().map_err(|text| ours(text))?;
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
