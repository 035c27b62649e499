//! TLS as the operator wants it spoken, and what is seen of it.

use std::{fmt, num::NonZeroU32, path::PathBuf};

use jiff::Timestamp;

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

/// When a certificate ends (notAfter), to the second.
///
/// From 1970 to 2106; what lies before or after counts as the first or last second of that. Small, because the daemon keeps
/// many.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CertificateEnd(NonZeroU32);

impl CertificateEnd {
    /// This many seconds after 1970 began (UTC).
    pub fn at(seconds: i64) -> CertificateEnd {
        let seconds = u32::try_from(seconds.max(0)).unwrap_or(u32::MAX);
        CertificateEnd(NonZeroU32::new(seconds).unwrap_or(NonZeroU32::MIN))
    }

    /// How many seconds are left then; below 0 when it has ended, which in its last second it has not.
    pub fn left_s(self, now: Timestamp) -> i64 {
        i64::from(self.0.get()).saturating_sub(now.as_second())
    }
}

/// The day in UTC: `2026-12-01`.
impl fmt::Display for CertificateEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Timestamp::from_second(self.0.get().into()).map_err(|_| fmt::Error)?;
        write!(f, "{}", time.strftime("%F"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_date_is_too_absurd_to_be_told() {
        for (seconds, day) in [
            (i64::MIN, "1970-01-01"),
            (-1, "1970-01-01"),
            (0, "1970-01-01"),
            (1_796_083_200, "2026-12-01"),
            (i64::from(u32::MAX), "2106-02-07"),
            // The end of X.509's time.
            (253_402_300_799, "2106-02-07"),
            (i64::MAX, "2106-02-07"),
        ] {
            let end = CertificateEnd::at(seconds);
            assert_eq!(end.to_string(), day, "{seconds}");
            for now in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
                assert_eq!(end.left_s(now) < 0, now == Timestamp::MAX, "{seconds} {now}");
            }
        }
        assert_eq!(size_of::<Option<CertificateEnd>>(), 4);
    }

    #[test]
    fn the_last_second_counts() {
        let (end, at) = (CertificateEnd::at(100), |second| Timestamp::from_second(second).unwrap());
        assert_eq!([end.left_s(at(99)), end.left_s(at(100)), end.left_s(at(101))], [1, 0, -1]);
    }
}
