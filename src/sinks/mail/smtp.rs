//! A mail server, spoken to directly.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use lettre::{
    Message,
    transport::smtp::{
        Error,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, AsyncTokioStream, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::{ClientId, MailBodyParameter, MailParameter},
    },
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{Fault, Settled, envelope::Sender};
use crate::{
    model::{Login, MailServer, SmtpTls},
    sinks::trust,
};

/// How much a mail server may say, in bytes, TLS included.
const LONGEST: u64 = 256 * 1024;

/// How a login is told, the better first; over TLS only.
const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

/// Sends one message over a connection of its own, to all whose matter is not settled yet.
pub(super) async fn send(
    server: &MailServer,
    sender: &Sender,
    message: &Message,
    settled: &mut Settled,
) -> Result<(), Fault> {
    let fault = |error: Error| fault(&server.host, &error);
    let hello = ClientId::Domain(sender.host.clone());
    let stream = connect(server).await?;
    let mut connection =
        AsyncSmtpConnection::connect_with_transport(stream, &hello).await.map_err(fault)?;
    if server.tls == SmtpTls::Starttls {
        let parameters = TlsParameters::new_rustls(server.host.clone()).map_err(fault)?;
        connection.starttls(parameters, &hello).await.map_err(fault)?;
    }
    if let Some(Login { name, passwd }) = &server.login {
        let credentials = Credentials::new(name.clone(), passwd.0.clone());
        connection.auth(&MECHANISMS, &credentials).await.map_err(fault)?;
    }
    let refusals = hand_over(&mut connection, message, settled).await.map_err(fault)?;
    // It has the message; how it says good-bye is no matter.
    let _goodbye = connection.quit().await;
    let Refusals { texts, may_pass } = refusals;
    match texts.join("; ") {
        none if none.is_empty() => Ok(()),
        text if may_pass => Err(Fault::passing(format!("{}: {text}", server.host))),
        text => Err(Fault::lasting(format!("{}: {text}", server.host))),
    }
}

/// Recipients that a mail server does not take a message for.
#[derive(Default)]
struct Refusals {
    texts: Vec<String>,
    /// Whether one of them may be taken later.
    may_pass: bool,
}

/// Hands a message over. Who is refused keeps nobody else from getting it.
async fn hand_over(
    connection: &mut AsyncSmtpConnection,
    message: &Message,
    settled: &mut Settled,
) -> Result<Refusals, Error> {
    let (envelope, bytes) = (message.envelope(), message.formatted());
    let mut options = Vec::new();
    let mut addresses = envelope.to().iter().chain(envelope.from());
    if addresses.any(|address| !AsRef::<str>::as_ref(address).is_ascii()) {
        options.push(MailParameter::SmtpUtfEight);
    }
    if !bytes.is_ascii() {
        options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    connection.command(Mail::new(envelope.from().cloned(), options)).await?;
    let (mut accepted, mut refusals) = (Vec::new(), Refusals::default());
    for address in envelope.to() {
        if settled.contains(address) {
            continue;
        }
        match connection.command(Rcpt::new(address.clone(), Vec::new())).await {
            Ok(_) => accepted.push(address.clone()),
            Err(error) if error.status().is_none() => return Err(error),
            Err(error) => {
                refusals.texts.push(format!("{address}: {error}"));
                match error.is_permanent() {
                    true => _ = settled.insert(address.clone()),
                    false => refusals.may_pass = true,
                }
            }
        }
    }
    if !accepted.is_empty() {
        connection.command(Data).await?;
        connection.message(&bytes).await?;
        settled.extend(accepted);
    }
    Ok(refusals)
}

async fn connect(server: &MailServer) -> Result<Box<dyn AsyncTokioStream>, Fault> {
    let MailServer { host, port, .. } = server;
    let cannot = |error: &dyn fmt::Display| {
        Fault::passing(format!("cannot connect to {host}:{port}: {error}"))
    };
    let stream =
        TcpStream::connect((host.as_str(), *port)).await.map_err(|error| cannot(&error))?;
    let stream = Bounded { peer: stream.peer_addr(), stream, left: LONGEST };
    if server.tls != SmtpTls::Always {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(host.clone()).map_err(|error| cannot(&error))?;
    let config = trust::client_config().map_err(|error| cannot(&error))?;
    let connector = TlsConnector::from(Arc::new(config));
    let peer = stream.peer_addr();
    let stream = connector.connect(name, stream).await.map_err(|error| cannot(&error))?;
    Ok(Box::new(Bounded { peer, stream, left: LONGEST }))
}

/// What an error means; an answer that says so is final.
fn fault(server: &str, error: &Error) -> Fault {
    let text = format!("{server}: {error}");
    if error.is_permanent() { Fault::lasting(text) } else { Fault::passing(text) }
}

/// A connection that fails after so many bytes.
#[derive(Debug)]
struct Bounded<S> {
    stream: S,
    peer: io::Result<SocketAddr>,
    left: u64,
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let count = u64::try_from(buffer.filled().len().saturating_sub(before)).unwrap_or(u64::MAX);
        match self.left.checked_sub(count) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Err(io::Error::other("it says more than 256 KiB"))),
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + fmt::Debug> AsyncTokioStream for Bounded<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.peer.as_ref().copied().map_err(|error| error.kind().into())
    }
}
