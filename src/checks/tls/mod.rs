//! TLS to real servers, modern and old.
//!
//! In go a connection, a name and [`TlsSettings`], out comes a stream. By default no certificate is verified, since a
//! check asks whether the service works; `tlsverify` has chain, time and name verified, by whichever library spoke.
//!
//! rustls does the handshake with a fifth of the CPU time of OpenSSL, but only in TLS 1.2 and 1.3 and only with
//! ephemeral elliptic curve keys and authenticated ciphers. A server that refuses that is asked again at once through
//! OpenSSL with everything allowed, and remembered, so that it costs two connections only once in a while.
//! A certificate that is not believed is no reason to ask again.
//!
//! Differs from ldirectord: certificates are not verified unless `tlsverify` says so.

mod context;
mod old;
mod session;
#[cfg(test)]
pub(super) mod start;
#[cfg(test)]
mod tests;
mod verify;

use std::{io, net::SocketAddr, os::unix::fs::PermissionsExt as _, pin::Pin, sync::Arc};

use openssl::ssl::Ssl;
use rustls::{
    AlertDescription, CertificateError, HandshakeKind, InvalidMessage,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio_openssl::SslStream;
use tokio_rustls::TlsConnector;

use self::{
    context::{Context, Contexts},
    old::OldServers,
    verify::{Disbelief, Verifier},
};
use super::{connect, failure, link::Stream};
use crate::model::{CertificateEnd, Failure, Negotiate, Reason, TlsEngine, TlsSettings};

pub use context::TlsSettingsError;
pub(super) use session::Sessions;

/// Looks whether these settings can be followed: whether the files are there, are what they should be and go
/// together. Reads them, and so blocks. Says what is doubtful about the key, in sentences for people.
pub fn examine(settings: &TlsSettings) -> Result<Option<String>, TlsSettingsError> {
    if let Some(name) = &settings.name
        && ServerName::try_from(name.as_str()).is_err()
    {
        return Err(TlsSettingsError::BadName(name.clone()));
    }
    Context::read(settings)?;
    let Some(identity) = &settings.client else { return Ok(None) };
    let (directive, file) = (context::key_directive(identity), &identity.key);
    let unreadable = |error| TlsSettingsError::Unreadable { directive, file: file.clone(), error };
    let mode = std::fs::metadata(file).map_err(unreadable)?.permissions().mode() & 0o7777;
    Ok((mode & 0o077 != 0).then(|| {
        let file = file.display();
        format!(
            "{directive} {file} holds a private key and is open to others than its owner (mode {mode:04o}); \
             chmod 600 {file}"
        )
    }))
}

/// The name to ask for in TLS and to verify that a `Host` header or `virtualhost` holds: without the port, and only
/// if it is no address.
pub(super) fn host_name(host: &str) -> Option<String> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(ServerName::try_from(name), Ok(ServerName::DnsName(_))).then(|| name.to_owned())
}

/// The name to ask for in TLS and to verify in this check, if not the server's address.
pub(super) fn name(negotiate: &Negotiate) -> Option<String> {
    let virtualhost = || host_name(negotiate.virtualhost.as_ref()?);
    negotiate.tls.name.clone().or_else(virtualhost)
}

/// What an error of a TLS stream means, if it is one of TLS that people can do something about.
pub(super) fn words(error: &io::Error, settings: &TlsSettings) -> Option<String> {
    Some(explain(error.get_ref()?.downcast_ref()?, settings))
}

/// Speaks TLS over connections that others make.
#[derive(Default)]
pub(super) struct Tls {
    contexts: Contexts,
    old_servers: OldServers,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("old_servers", &self.old_servers).finish_non_exhaustive()
    }
}

/// The files that TLS was begun with.
pub(super) struct Basis(Arc<Context>);

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
    /// Makes ready for the handshake with the server of this name, or of none but its address.
    /// The caller sets the limit on the time.
    pub(super) async fn prepare<'a>(
        &'a self,
        peer: SocketAddr,
        name: Option<&str>,
        settings: &'a TlsSettings,
    ) -> Result<Handshake<'a>, Failure> {
        let context = self.contexts.get(settings).await.map_err(|fault| ours(&fault))?;
        // An address is verified and not sent.
        let name = name
            .and_then(|name| ServerName::try_from(name.to_owned()).ok())
            .unwrap_or_else(|| ServerName::from(peer.ip()));
        let is_old = match settings.engine {
            TlsEngine::Auto => self.old_servers.contains(peer),
            TlsEngine::Rustls => false,
            TlsEngine::Openssl => true,
        };
        Ok(Handshake {
            peer,
            name,
            alpn: None,
            sessions: None,
            settings,
            context,
            old_servers: &self.old_servers,
            is_old,
            refusal: None,
            certificate_end: None,
        })
    }

    /// Whether a handshake would be done on the same basis now.
    pub(super) async fn is_current(&self, settings: &TlsSettings, basis: &Basis) -> bool {
        self.contexts.get(settings).await.is_ok_and(|context| Arc::ptr_eq(&context, &basis.0))
    }
}

/// A handshake to be, over connections that others make.
pub(super) struct Handshake<'a> {
    peer: SocketAddr,
    name: ServerName<'static>,
    /// The protocol that is offered.
    alpn: Option<&'static [u8]>,
    /// What to go on with.
    sessions: Option<Arc<Sessions>>,
    settings: &'a TlsSettings,
    context: Arc<Context>,
    old_servers: &'a OldServers,
    /// Whether OpenSSL does it.
    is_old: bool,
    /// What came of it with rustls, when it is to be done again.
    refusal: Option<Failure>,
    certificate_end: Option<CertificateEnd>,
}

impl Handshake<'_> {
    /// Offers this protocol (ALPN), or none. A server that answers with none is spoken to as well.
    pub(super) fn offer(&mut self, protocol: Option<&'static [u8]>) {
        self.alpn = protocol;
    }

    /// Goes on with one of these sessions, if there is one, and adds to them.
    pub(super) fn resume(&mut self, sessions: Option<Arc<Sessions>>) {
        self.sessions = sessions;
    }

    /// What it is done with.
    pub(super) fn basis(&self) -> Basis {
        Basis(Arc::clone(&self.context))
    }

    /// Does it over this connection. `None` says that it is to be done once more, over a new connection: the server
    /// may be an old one, or a session did not go on.
    pub(super) async fn attempt(
        &mut self,
        stream: Box<dyn Stream>,
    ) -> Result<Option<Box<dyn Stream>>, Failure> {
        let is_auto = self.settings.engine == TlsEngine::Auto;
        if !self.is_old {
            let sessions = self.sessions.clone();
            let (connector, resumes) = match &sessions {
                Some(sessions) => sessions.connector(&self.context),
                None => (self.context.modern.clone(), false),
            };
            return match self.modern(connector, stream).await {
                Ok(stream) => {
                    sessions.iter().for_each(|sessions| sessions.begin());
                    Ok(Some(stream))
                }
                // What it has to say against a session says nothing of the server.
                Err(_) if resumes => {
                    sessions.iter().for_each(|sessions| sessions.forget());
                    Ok(None)
                }
                Err(Fault { failure, maybe_old: true }) if is_auto => {
                    (self.is_old, self.refusal) = (true, Some(failure));
                    Ok(None)
                }
                Err(fault) => Err(fault.failure),
            };
        }
        match (self.old(stream).await, self.refusal.take()) {
            (Ok(stream), refusal) => {
                if refusal.is_some() {
                    self.old_servers.insert(self.peer);
                }
                Ok(Some(stream))
            }
            // Whom OpenSSL could speak with is not believed.
            (
                Err(Fault {
                    failure: failure @ Failure { reason: Reason::Tls, .. },
                    maybe_old: false,
                }),
                _,
            ) => Err(failure),
            (Err(_), Some(refusal)) => Err(refusal),
            (Err(Fault { failure, maybe_old }), None) => {
                if is_auto && maybe_old {
                    self.old_servers.remove(self.peer);
                }
                Err(failure)
            }
        }
    }

    /// What to tell when there is no connection to do it over, for this reason: of a second one, what came of the
    /// first tells more.
    pub(super) fn without_connection(&mut self, failure: Failure) -> Failure {
        match self.refusal.take() {
            Some(refusal) if failure.reason != Reason::Timeout => refusal,
            _ => failure,
        }
    }

    /// When the certificate ends that the server has shown, as far as it came.
    pub(super) fn certificate_end(&self) -> Option<CertificateEnd> {
        self.certificate_end
    }

    async fn modern(
        &mut self,
        connector: TlsConnector,
        stream: Box<dyn Stream>,
    ) -> Result<Box<dyn Stream>, Fault> {
        let alpn = self.alpn.map(<[u8]>::to_vec).into_iter().collect();
        let connecting = connector.with_alpn(alpn).connect(self.name.clone(), stream);
        let error = match connecting.await {
            Ok(stream) => {
                let tls = stream.get_ref().1;
                let chain = tls.peer_certificates().unwrap_or_default();
                self.certificate_end = chain.first().and_then(verify::end);
                if let (Some(HandshakeKind::Resumed), Some(verifier)) =
                    (tls.handshake_kind(), &self.context.verifier)
                {
                    // rustls has verified it when the session began; it may have ended since.
                    self.judge(chain, verifier)?;
                }
                return Ok(Box::new(stream));
            }
            Err(error) => error,
        };
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))) = inner
            && let Some(disbelief) = other.0.downcast_ref::<Disbelief>()
        {
            self.certificate_end = disbelief.end;
        }
        let maybe_old = match inner {
            // Not TLS at all.
            Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => false,
            Some(rustls::Error::InvalidCertificate(_)) => false,
            Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => false,
            Some(rustls::Error::AlertReceived(alert)) => !is_of_certificates(*alert),
            Some(_) => true,
            None => is_broken_off(&error),
        };
        let failure = match inner {
            Some(inner) => self.refused(&explain(inner, self.settings)),
            None => self.cut(&error),
        };
        Err(Fault { failure, maybe_old })
    }

    async fn old(&mut self, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, Fault> {
        let context = self.context.old().map_err(ours)?;
        let mut ssl = Ssl::new(context).map_err(|stack| ours(&stack.to_string()))?;
        if let ServerName::DnsName(name) = &self.name {
            ssl.set_hostname(name.as_ref()).map_err(|stack| ours(&stack.to_string()))?;
        }
        if let Some(alpn) = self.alpn {
            let length = u8::try_from(alpn.len()).unwrap_or_default();
            let list = [&[length], alpn].concat();
            ssl.set_alpn_protos(&list).map_err(|stack| ours(&stack.to_string()))?;
        }
        let mut stream = SslStream::new(ssl, stream).map_err(|stack| ours(&stack.to_string()))?;
        if let Err(error) = Pin::new(&mut stream).connect().await {
            let failure = match error.io_error() {
                Some(error) => self.cut(error),
                None => self.refused(&error.to_string()),
            };
            return Err(Fault { failure, maybe_old: true });
        }
        let shown = stream.ssl().peer_certificate().and_then(|shown| shown.to_der().ok());
        self.certificate_end = shown.and_then(|der| verify::end(&CertificateDer::from(der)));
        if let Some(verifier) = &self.context.verifier {
            self.verify(stream.ssl(), verifier)?;
        }
        Ok(Box::new(stream))
    }

    /// Verifies whom OpenSSL has spoken with. Nothing but the handshake has been sent yet.
    fn verify(&self, ssl: &openssl::ssl::SslRef, verifier: &Verifier) -> Result<(), Failure> {
        let mut chain = Vec::new();
        for certificate in ssl.peer_cert_chain().into_iter().flatten() {
            let der = certificate.to_der().map_err(|stack| ours(&stack.to_string()))?;
            chain.push(CertificateDer::from(der));
        }
        self.judge(&chain, verifier)
    }

    /// Verifies this chain, if the server has shown one.
    fn judge(&self, chain: &[CertificateDer<'_>], verifier: &Verifier) -> Result<(), Failure> {
        // Among what is old there are ciphers without any certificate.
        let Some((certificate, others)) = chain.split_first() else {
            return Err(self.refused("the server sent no certificate to verify"));
        };
        verifier
            .verify(certificate, others, &self.name, UnixTime::now())
            .map_err(|disbelief| self.refused(&disbelief.to_string()))
    }

    /// There was no agreement on TLS.
    fn refused(&self, why: &str) -> Failure {
        failure(Reason::Tls, format!("no TLS with {}: {why}", self.peer))
    }

    /// The connection did not live that long.
    fn cut(&self, error: &io::Error) -> Failure {
        let peer = self.peer;
        match is_broken_off(error) {
            true => failure(
                Reason::Reset,
                format!("{peer} broke the connection off in the TLS handshake"),
            ),
            false => {
                let text = connect::words(error);
                failure(connect::reason(error), format!("no TLS with {peer}: {text}"))
            }
        }
    }
}

/// A fault of this machine.
fn ours(text: &str) -> Failure {
    failure(Reason::Internal, format!("cannot set TLS up: {text}"))
}

fn is_broken_off(error: &io::Error) -> bool {
    matches!(connect::reason(error), Reason::Reset)
}

/// Whether a server says that it is about our certificate.
fn is_of_certificates(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
    )
}

fn explain(error: &rustls::Error, settings: &TlsSettings) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(disbelief)) => {
            disbelief.to_string()
        }
        rustls::Error::AlertReceived(alert) => match (alert, &settings.client) {
            (AlertDescription::CertificateRequired, None) => {
                "the server demands a certificate of ours; set clientcert".to_owned()
            }
            // So TLS 1.2 says the same, and also that nothing is in common.
            (AlertDescription::HandshakeFailure, None) => {
                format!("{error}; if the server demands a certificate of ours, set clientcert")
            }
            (alert, Some(client)) if is_of_certificates(*alert) => format!(
                "the server does not accept our certificate, clientcert {} ({alert:?})",
                client.certificate.display()
            ),
            _ => error.to_string(),
        },
        _ => error.to_string(),
    }
}
