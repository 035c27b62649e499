//! Old servers: OpenSSL with everything allowed, and which servers need it.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use openssl::{
    error::ErrorStack,
    pkey::PKey,
    ssl::{SslContext, SslMethod, SslOptions, SslSessionCacheMode, SslVerifyMode, SslVersion},
    x509::X509,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::Instant;

/// For how long a server counts as old before rustls is tried again.
const OLD_FOR: Duration = Duration::from_secs(3600);

/// The most servers that are remembered as old; redirections can lead to any number.
const OLD_SERVERS: usize = 65_536;

/// For servers old and new. Nothing is verified but that the server has the key of the certificate it sends, if it
/// sends one; the caller looks at that.
pub(super) fn context(
    client: Option<(&[CertificateDer<'_>], &PrivateKeyDer<'_>)>,
) -> Result<SslContext, ErrorStack> {
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
    if let Some(([certificate, others @ ..], key)) = client {
        builder.set_certificate(&*X509::from_der(certificate)?)?;
        for other in others {
            builder.add_extra_chain_cert(X509::from_der(other)?)?;
        }
        builder.set_private_key(&*PKey::private_key_from_der(key.secret_der())?)?;
    }
    Ok(builder.build())
}

/// The servers that rustls could not talk to and OpenSSL could, with the time until which they count as old.
#[derive(Debug, Default)]
pub(super) struct OldServers {
    #[expect(
        clippy::disallowed_types,
        reason = "held for one look into a map, never while anything waits"
    )]
    until: std::sync::Mutex<HashMap<SocketAddr, Instant>>,
}

impl OldServers {
    pub(super) fn contains(&self, server: SocketAddr) -> bool {
        self.with(|until| until.get(&server).is_some_and(|end| Instant::now() < *end))
    }

    pub(super) fn insert(&self, server: SocketAddr) {
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

    pub(super) fn remove(&self, server: SocketAddr) {
        self.with(|until| until.remove(&server));
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<SocketAddr, Instant>) -> T) -> T {
        // A map is whole even if somebody panicked beside it.
        look(&mut self.until.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}
