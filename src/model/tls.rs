//! TLS as the operator wants it spoken.

use std::path::PathBuf;

/// How TLS is spoken with a server. By default nothing is verified and nothing shown.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct TlsSettings {
    /// Whether TLS begins in the middle of a connection, when the server has agreed (`starttls`); for protocols that travel
    /// over TLS from the start this is of no matter.
    pub start: bool,
    /// Whether the server's certificate must be vouched for, in force and for the right name (`tlsverify`).
    pub verify: bool,
    /// A file of the certificates that are trusted, in PEM; `None` trusts whom this system trusts (`cafile`).
    pub authorities: Option<PathBuf>,
    /// The host name that the server is asked for (SNI) and that its certificate must be for, or an IP address, which
    /// is only verified (`tlsname`). `None` takes `virtualhost` when it is a host name, else the server's address.
    pub name: Option<String>,
    /// What we show to a server that asks who we are; `None` shows nothing.
    pub client: Option<ClientIdentity>,
    /// Which library speaks it.
    pub engine: TlsEngine,
}

/// Which library speaks TLS (`tlsengine`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum TlsEngine {
    /// rustls, and OpenSSL with servers that rustls cannot talk to, which are remembered.
    #[default]
    Auto,
    /// rustls alone: TLS 1.2 and 1.3.
    Rustls,
    /// OpenSSL alone: also TLS 1.0 and 1.1 and old ciphers.
    Openssl,
}

/// A certificate of ours and its key.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ClientIdentity {
    /// A file in PEM with the certificate, and after it those that lead to an authority (`clientcert`).
    pub certificate: PathBuf,
    /// A file in PEM with the key, without a passphrase: PKCS#8, PKCS#1 or SEC1. May be the same file (`clientkey`).
    pub key: PathBuf,
}
