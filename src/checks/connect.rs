//! `checktype=connect`: the server works when it accepts a TCP connection, which is then closed like any other.
//!
//! Also here: what an error of the operating system says about a server.

use std::{io, net::SocketAddr};

use nix::errno::Errno;
use tokio::net::TcpStream;

use super::failure;
use crate::model::{Failure, Pass, Reason, Verdict};

/// Opens a connection and closes it. The caller sets the limit on the time.
pub(super) async fn attempt(address: SocketAddr) -> Verdict {
    open(address).await.map(|_closed_here| Pass::default())
}

/// Opens a connection.
pub(super) async fn open(address: SocketAddr) -> Result<TcpStream, Failure> {
    TcpStream::connect(address).await.map_err(|error| failed(address, &error))
}

/// That no connection could be opened.
pub(super) fn failed(address: SocketAddr, error: &io::Error) -> Failure {
    failure(reason(error), format!("cannot connect to {address}: {}", words(error)))
}

/// What kind of fault of the server this error is, or of ours.
pub(super) fn reason(error: &io::Error) -> Reason {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ECONNREFUSED) => Reason::Refused,
        // The last two are what a packet filter on this machine answers with.
        Some(
            Errno::ENETUNREACH
            | Errno::EHOSTUNREACH
            | Errno::ENETDOWN
            | Errno::EHOSTDOWN
            | Errno::ENONET
            | Errno::EACCES
            | Errno::EPERM,
        ) => Reason::Unreachable,
        Some(
            Errno::ECONNRESET
            | Errno::ECONNABORTED
            | Errno::EPIPE
            | Errno::ENOTCONN
            | Errno::EPROTO,
        ) => Reason::Reset,
        // The kernel gives up before we do when its own limit on SYN retries is the shorter one.
        Some(Errno::ETIMEDOUT) => Reason::Timeout,
        Some(_) => Reason::Internal,
        None => match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Reason::Reset,
            io::ErrorKind::TimedOut => Reason::Timeout,
            io::ErrorKind::InvalidData => Reason::Tls,
            _ => Reason::Internal,
        },
    }
}

/// `connection refused (ECONNREFUSED)`.
pub(super) fn words(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno) => {
            let text = errno.desc();
            let (first, rest) = text.split_at_checked(1).unwrap_or(("", text));
            format!("{}{rest} ({errno:?})", first.to_ascii_lowercase())
        }
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_become_reasons_and_words() {
        for (errno, expected) in [
            (Errno::ECONNREFUSED, Reason::Refused),
            (Errno::EHOSTUNREACH, Reason::Unreachable),
            (Errno::ECONNRESET, Reason::Reset),
            (Errno::ETIMEDOUT, Reason::Timeout),
            (Errno::EMFILE, Reason::Internal),
            (Errno::EADDRNOTAVAIL, Reason::Internal),
        ] {
            assert_eq!(reason(&errno.into()), expected, "{errno}");
        }
        assert_eq!(words(&Errno::ECONNREFUSED.into()), "connection refused (ECONNREFUSED)");
        assert_eq!(words(&io::Error::other("odd")), "odd");
    }
}
