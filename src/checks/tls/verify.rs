//! Certificates of servers: whom to believe, and why not.
//!
//! In go a chain, a name and the time, out comes a sentence when they do not go together. The judgement is that of
//! rustls (webpki, RFC 5280 and 9525); OpenSSL only takes certificates apart here, for the words.
//!
//! A certificate that `cafile` names is believed as it is, when it is in force and for the name: what `openssl req
//! -x509` makes says that it is an authority, and by the rules of the web an authority is no server.

use std::{
    cmp::Ordering,
    fmt::{self, Write as _},
    net::IpAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};

use openssl::{
    asn1::{Asn1Time, Asn1TimeRef},
    error::ErrorStack,
    x509::{X509, X509NameRef},
};
use rustls::{
    CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{ParsedCertificate, VerifierBuilderError},
};

use crate::model::CertificateEnd;

/// How many names of a certificate are told.
const NAMES: usize = 5;

/// How many characters of a name that a server sent are told.
const NAME_LENGTH: usize = 100;

/// Version 3 as certificates count it.
const VERSION_3: i32 = 2;

/// Accepts every certificate and does not look at signatures.
#[derive(Debug)]
pub(super) struct AnyCertificate {
    pub(super) provider: Arc<CryptoProvider>,
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

/// Why a certificate is not believed.
#[derive(Debug)]
pub(super) struct Disbelief {
    /// A sentence for people, without a full stop.
    words: String,
    /// When the certificate ends.
    pub(super) end: Option<CertificateEnd>,
}

impl fmt::Display for Disbelief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Disbelief {}

/// Believes whom the operator trusts.
#[derive(Debug)]
pub(super) struct Verifier {
    web: Arc<WebPkiServerVerifier>,
    /// What `cafile` holds.
    named: Vec<CertificateDer<'static>>,
    /// Whom it trusts, in words.
    trusted: String,
}

impl Verifier {
    /// Trusts these, which stand in this `cafile` or, without one, are whom the system trusts.
    pub(super) fn new(
        roots: RootCertStore,
        cafile: Option<(&Path, Vec<CertificateDer<'static>>)>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Verifier, VerifierBuilderError> {
        let provider = Arc::clone(provider);
        let web = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        Ok(match cafile {
            Some((file, named)) => {
                Verifier { web, named, trusted: format!("cafile {}", file.display()) }
            }
            None => Verifier { web, named: Vec::new(), trusted: "the system's store".to_owned() },
        })
    }

    /// Whether the first of these certificates is believed to be this server's.
    pub(super) fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Disbelief> {
        let judged = match self.named.iter().any(|named| named == certificate) {
            true => verify_named(certificate, name, now),
            false => {
                self.web.verify_server_cert(certificate, others, name, &[], now).map(|_believed| ())
            }
        };
        judged.map_err(|error| Disbelief {
            words: self.words(&error, certificate, others, name),
            end: end(certificate),
        })
    }

    fn words(
        &self,
        error: &rustls::Error,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
    ) -> String {
        let Ok(parsed) = X509::from_der(certificate) else {
            return format!("the certificate cannot be read: {}", plain(error));
        };
        let whose = |own: bool| match own {
            true => "the certificate",
            false => "a certificate that vouches for the server's",
        };
        match error {
            rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
                not_after,
                ..
            }) => {
                let own = moment(parsed.not_after()).ok() == Some(*not_after);
                format!("{} ended on {}; renew it", whose(own), date(*not_after))
            }
            rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
                not_before,
                ..
            }) => {
                let own = moment(parsed.not_before()).ok() == Some(*not_before);
                let begin = date(*not_before);
                format!("{} begins on {begin}; is the clock of this machine right?", whose(own))
            }
            rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext {
                ..
            }) => wrong_name(&parsed, name),
            _ if parsed.version() < VERSION_3 => "the certificate is of X.509 version 1, which has no place for \
                 the names to verify; let the server have one of version 3"
                .to_owned(),
            _ if is_self_signed(&parsed) => format!(
                "the certificate is self-signed and not in {}; to trust it, put it into the cafile",
                self.trusted
            ),
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                self.unknown_issuer(parsed, others)
            }
            rustls::Error::InvalidCertificate(CertificateError::BadSignature) => format!(
                "the certificate is not signed by {}, as it says, or {} has an older one of that name",
                distinguished(parsed.issuer_name()),
                self.trusted
            ),
            rustls::Error::InvalidCertificate(
                CertificateError::UnsupportedSignatureAlgorithmContext { .. }
                | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
            ) => "the certificate or one that vouches for it is signed in a way that is not believed any more, \
                  such as SHA-1; renew it"
                .to_owned(),
            rustls::Error::InvalidCertificate(CertificateError::InvalidPurposeContext {
                ..
            }) => "the certificate is not one for servers (extendedKeyUsage)".to_owned(),
            other => format!("the certificate is not accepted: {}", plain(other)),
        }
    }

    /// Where the chain that the server sent ends.
    fn unknown_issuer(&self, certificate: X509, others: &[CertificateDer<'_>]) -> String {
        let others: Vec<X509> = others.iter().filter_map(|der| X509::from_der(der).ok()).collect();
        let mut last = certificate;
        for _ in 0..others.len() {
            let issuer = others
                .iter()
                .find(|other| is_same(other.subject_name(), last.issuer_name()))
                .filter(|_| !is_self_signed(&last));
            match issuer {
                Some(issuer) => last = issuer.clone(),
                None => break,
            }
        }
        let (issuer, trusted) = (distinguished(last.issuer_name()), &self.trusted);
        match is_self_signed(&last) {
            true => format!(
                "the certificate comes from {issuer}, whom {trusted} does not hold; \
                 put that authority into the cafile"
            ),
            false => format!(
                "the server did not send the certificate of {issuer}, which issued {}, and {trusted} \
                 does not hold it; let the server send its whole chain, or put the issuer into the cafile",
                distinguished(last.subject_name())
            ),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.verify(end_entity, intermediates, server_name, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(disbelief) => Err(CertificateError::Other(OtherError(Arc::new(disbelief))).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.web.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.web.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.web.supported_verify_schemes()
    }
}

/// Judges a certificate that nobody needs to vouch for.
fn verify_named(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    time: UnixTime,
) -> Result<(), rustls::Error> {
    let parsed = X509::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let within = |limit| moment(limit).map_err(|_| CertificateError::BadEncoding);
    let (not_before, not_after) = (within(parsed.not_before())?, within(parsed.not_after())?);
    if time < not_before {
        return Err(CertificateError::NotValidYetContext { time, not_before }.into());
    }
    if time > not_after {
        return Err(CertificateError::ExpiredContext { time, not_after }.into());
    }
    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)
}

/// What rustls says, without its own word for whose certificate it is.
pub(super) fn plain(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => error.to_string(),
        other => other.to_string(),
    }
}

fn wrong_name(certificate: &X509, name: &ServerName<'_>) -> String {
    let mut names = Vec::new();
    for other in certificate.subject_alt_names().into_iter().flatten() {
        if let Some(dns) = other.dnsname() {
            names.push(shown(dns));
        } else if let Some(address) = other.ipaddress().and_then(address) {
            names.push(address.to_string());
        }
    }
    let (name, count) = (name.to_str(), names.len());
    if count == 0 {
        return format!(
            "the certificate is not for {name}: it has no name in subjectAltName, and others do not count"
        );
    }
    names.truncate(NAMES);
    let mut list = names.join(", ");
    if let Some(more @ 1..) = count.checked_sub(NAMES) {
        // Writing to a String does not fail.
        write!(list, " and {more} more").unwrap_or_default();
    }
    format!(
        "the certificate is not for {name} but for {list}; set tlsname to the name it should have"
    )
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

fn is_self_signed(certificate: &X509) -> bool {
    is_same(certificate.subject_name(), certificate.issuer_name())
}

fn is_same(one: &X509NameRef, other: &X509NameRef) -> bool {
    matches!(one.try_cmp(other), Ok(Ordering::Equal))
}

/// `CN=a.example, O=Example`.
fn distinguished(name: &X509NameRef) -> String {
    let part = |entry: &openssl::x509::X509NameEntryRef| {
        let value = entry.data().to_string().ok()?;
        Some(format!("{}={value}", entry.object().nid().short_name().ok()?))
    };
    match name.entries().filter_map(part).collect::<Vec<_>>().join(", ") {
        nothing if nothing.is_empty() => "somebody without a name".to_owned(),
        text => shown(&text),
    }
}

/// What somebody else wrote, fit for a line of a log.
fn shown(text: &str) -> String {
    text.chars().take(NAME_LENGTH).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// When a certificate ends; nothing if it cannot be read.
pub(super) fn end(certificate: &CertificateDer<'_>) -> Option<CertificateEnd> {
    let time = moment(X509::from_der(certificate).ok()?.not_after()).ok()?;
    Some(CertificateEnd::at(i64::try_from(time.as_secs()).unwrap_or(i64::MAX)))
}

fn moment(time: &Asn1TimeRef) -> Result<UnixTime, ErrorStack> {
    let since = Asn1Time::from_unix(0)?.diff(time)?;
    let seconds = i64::from(since.days) * 24 * 3600 + i64::from(since.secs);
    let seconds = u64::try_from(seconds).unwrap_or(0);
    Ok(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}

/// The day, in UTC.
fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(
        |_| "a day that no calendar has".to_owned(),
        |time| time.strftime("%F").to_string(),
    )
}
