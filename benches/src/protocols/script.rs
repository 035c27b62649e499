//! Servers that know their part by heart: what they say when they are connected to, and what to what they have heard.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use openssl::base64::encode_block;
use openssl::hash::{MessageDigest, hash};
use openssl::pkey::PKey;
use openssl::sha::sha1;
use openssl::ssl::{Ssl, SslContext, SslMethod};
use openssl::x509::X509;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::oneshot;
use tokio_openssl::SslStream;

use crate::{Problem, load};

pub(crate) const HTTP: &str = "http";
pub(crate) const HTTP_KEPT: &str = "http, kept alive";
pub(crate) const HTTPS: &str = "https";
pub(crate) const HTTPS_RESUMED: &str = "https, session resumed";
pub(crate) const HTTPS_KEPT: &str = "https, kept alive";

/// How a protocol travels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Tcp,
    Tls,
    Udp,
}

/// A protocol, as it is checked and served.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// What a virtual service says of its checks.
    pub(crate) lines: &'static [&'static str],
    pub(crate) way: Way,
    /// What the server says first.
    greeting: fn() -> Vec<u8>,
    /// What it says to what it has heard since it last said something, once that is enough.
    answer: fn(&[u8]) -> Option<Vec<u8>>,
    /// Whether it closes the connection behind its first answer.
    closes: bool,
    /// Whether each answer is one check, and not each connection.
    is_kept: bool,
}

const SUBJECT: Subject = Subject {
    name: "",
    lines: &[],
    way: Way::Tcp,
    greeting: Vec::new,
    answer: |_| None,
    closes: false,
    is_kept: false,
};

const HTTP_ASKS: &str = "request=\"health\"";
const HTTP_EXPECTS: &str = "receive=\"healthy\"";

/// The first is what the others are compared with.
pub(crate) const SUBJECTS: &[Subject] = &[
    Subject { name: HTTP, lines: &load::HTTP, answer: goodbye, closes: true, ..SUBJECT },
    Subject { name: "connect", lines: &["checktype=connect"], ..SUBJECT },
    Subject {
        name: HTTP_KEPT,
        lines: &["service=http", HTTP_ASKS, HTTP_EXPECTS, "httpkeepalive=yes"],
        answer: page,
        is_kept: true,
        ..SUBJECT
    },
    Subject {
        name: HTTPS,
        lines: &["service=https", HTTP_ASKS, HTTP_EXPECTS],
        way: Way::Tls,
        answer: goodbye,
        closes: true,
        ..SUBJECT
    },
    Subject {
        name: HTTPS_RESUMED,
        lines: &["service=https", HTTP_ASKS, HTTP_EXPECTS, "httpkeepalive=yes"],
        way: Way::Tls,
        answer: goodbye,
        closes: true,
        ..SUBJECT
    },
    Subject {
        name: HTTPS_KEPT,
        lines: &["service=https", HTTP_ASKS, HTTP_EXPECTS, "httpkeepalive=yes"],
        way: Way::Tls,
        answer: page,
        is_kept: true,
        ..SUBJECT
    },
    Subject {
        name: "https by OpenSSL",
        lines: &["service=https", HTTP_ASKS, HTTP_EXPECTS, "tlsengine=openssl"],
        way: Way::Tls,
        answer: goodbye,
        closes: true,
        ..SUBJECT
    },
    Subject { name: "ws", lines: &["service=ws"], answer: switch, ..SUBJECT },
    Subject { name: "grpc", lines: &["service=grpc"], answer: serving, ..SUBJECT },
    Subject {
        name: "smtp",
        lines: &["service=smtp"],
        greeting: || b"220 hello\r\n".to_vec(),
        answer: |heard| line(heard).map(|_| b"250 yes\r\n".to_vec()),
        ..SUBJECT
    },
    Subject {
        name: "imap",
        lines: &["service=imap", "login=\"a\"", "passwd=\"b\""],
        greeting: || b"* OK hello\r\n".to_vec(),
        answer: |heard| {
            let tag = line(heard)?.split(|byte| *byte == b' ').next()?;
            Some([tag, b" OK yes\r\n"].concat())
        },
        ..SUBJECT
    },
    Subject {
        name: "pop",
        lines: &["service=pop"],
        greeting: || b"+OK hello\r\n".to_vec(),
        answer: |heard| line(heard).map(|_| b"+OK yes\r\n".to_vec()),
        ..SUBJECT
    },
    Subject {
        name: "nntp",
        lines: &["service=nntp"],
        greeting: || b"200 hello\r\n".to_vec(),
        answer: |heard| line(heard).map(|_| b"205 bye\r\n".to_vec()),
        ..SUBJECT
    },
    Subject { name: "dns over TCP", lines: DNS, answer: dns_over_tcp, ..SUBJECT },
    Subject { name: "dns over UDP", lines: DNS, way: Way::Udp, answer: dns, ..SUBJECT },
    Subject { name: "ldap", lines: &["service=ldap"], answer: ldap, ..SUBJECT },
    Subject {
        name: "radius",
        lines: &["service=radius", "login=\"a\"", "passwd=\"b\"", "secret=\"c\""],
        way: Way::Udp,
        answer: radius,
        ..SUBJECT
    },
    Subject {
        name: "mysql",
        lines: &["service=mysql", "login=\"a\"", "request=\"select 1\""],
        greeting: mysql_greeting,
        answer: mysql,
        ..SUBJECT
    },
    Subject {
        name: "redis",
        lines: &["service=redis"],
        answer: |heard| {
            let is_ping = line(heard)? == b"PING";
            Some(if is_ping { b"+PONG\r\n".to_vec() } else { b"+OK\r\n".to_vec() })
        },
        ..SUBJECT
    },
    Subject {
        name: "memcached",
        lines: &["service=memcached"],
        answer: |heard| line(heard).map(|_| b"VERSION 1.6\r\n".to_vec()),
        ..SUBJECT
    },
    Subject {
        name: "mqtt",
        lines: &["service=mqtt"],
        answer: |heard| heard.starts_with(b"\x10").then(|| b"\x20\x02\0\0".to_vec()),
        ..SUBJECT
    },
    Subject {
        name: "simpletcp",
        lines: &["service=simpletcp", "request=\"PING\"", "receive=\"PONG\""],
        answer: |heard| (heard == b"PING").then(|| b"PONG\n".to_vec()),
        ..SUBJECT
    },
];

const DNS: &[&str] = &["service=dns", "request=\"www.example.org\"", "receive=\"192.0.2.1\""];

/// The first line, without its end.
fn line(heard: &[u8]) -> Option<&[u8]> {
    heard.strip_suffix(b"\r\n")
}

fn page(heard: &[u8]) -> Option<Vec<u8>> {
    let answer =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\nhealthy\n";
    heard.ends_with(b"\r\n\r\n").then(|| answer.to_vec())
}

fn goodbye(heard: &[u8]) -> Option<Vec<u8>> {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 8\r\nConnection: close\r\n\r\nhealthy\n";
    heard.ends_with(b"\r\n\r\n").then(|| answer.to_vec())
}

/// RFC 6455 section 4.2.2.
fn switch(heard: &[u8]) -> Option<Vec<u8>> {
    let heard = std::str::from_utf8(heard).ok().filter(|heard| heard.ends_with("\r\n\r\n"))?;
    let key = heard.split("Sec-WebSocket-Key: ").nth(1)?.lines().next()?;
    let digest = sha1(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes());
    let accept = encode_block(&digest);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    Some(answer.into_bytes())
}

/// Settings and their acknowledgement, a header, SERVING, and a trailer, to a call that names no service.
fn serving(heard: &[u8]) -> Option<Vec<u8>> {
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap_or_default();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    };
    let is_whole = heard.ends_with(b"\0\0\x05\0\x01\0\0\0\x01\0\0\0\0\0");
    is_whole.then(|| {
        [
            frame(4, 0, 0, b""),
            frame(4, 1, 0, b""),
            // `:status 200` stands in the table of HPACK.
            frame(1, 4, 1, b"\x88\0\x0ccontent-type\x10application/grpc"),
            frame(0, 0, 1, b"\0\0\0\0\x02\x08\x01"),
            frame(1, 5, 1, b"\0\x0bgrpc-status\x010"),
        ]
        .concat()
    })
}

/// RFC 1035: the address 192.0.2.1 for whatever is asked.
fn dns(heard: &[u8]) -> Option<Vec<u8>> {
    let id = heard.get(..2)?;
    let name = heard.get(12..)?;
    let end = name.iter().position(|byte| *byte == 0)?;
    let question = name.get(..end + 5)?;
    let header = [0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1];
    Some([id, &header, question, &record].concat())
}

fn dns_over_tcp(heard: &[u8]) -> Option<Vec<u8>> {
    let answer = dns(heard.get(2..)?)?;
    Some([&u16::try_from(answer.len()).ok()?.to_be_bytes()[..], &answer].concat())
}

/// RFC 4511: a bind that succeeds, and one entry without a name.
fn ldap(heard: &[u8]) -> Option<Vec<u8>> {
    let (id, operation) = match heard {
        [0x30, length, 2, 1, id, operation, rest @ ..]
            if rest.len() + 4 >= usize::from(*length) =>
        {
            (*id, *operation)
        }
        _ => return None,
    };
    let done = |kind: u8| [0x30, 0x0c, 2, 1, id, kind, 7, 0x0a, 1, 0, 4, 0, 4, 0];
    match operation {
        0x60 => Some(done(0x61).to_vec()),
        0x63 => {
            let entry = [0x30, 9, 2, 1, id, 0x64, 4, 4, 0, 0x30, 0];
            Some([&entry[..], &done(0x65)].concat())
        }
        _ => None,
    }
}

/// RFC 2865: an Access-Accept, signed.
fn radius(heard: &[u8]) -> Option<Vec<u8>> {
    let (id, authenticator) = (*heard.get(1)?, heard.get(4..20)?);
    let header = [2, id, 0, 20];
    let signed = [&header, authenticator, b"c"].concat();
    let signature = hash(MessageDigest::md5(), &signed).ok()?;
    Some([&header, &*signature].concat())
}

/// A packet of `mysql`.
fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap_or_default();
    [&[length, 0, 0, number], payload].concat()
}

fn mysql_greeting() -> Vec<u8> {
    let rest = b"12345678\0\0\xa2\x21\x02\0\x08\0\x15\0\0\0\0\0\0\0\0\0\x00123456789012\0mysql_native_password\0";
    packet(0, &[&b"\x0a8.0\0\x01\0\0\0"[..], rest].concat())
}

/// A login that succeeds, and a result of one row.
fn mysql(heard: &[u8]) -> Option<Vec<u8>> {
    match heard {
        [_, _, _, 1, ..] => Some(packet(2, &[0, 0, 0, 2, 0, 0, 0])),
        [_, _, _, 0, 3, ..] => {
            let end = [0xfe, 0, 0, 2, 0];
            let column = b"\x03def\0\0\0\x011\0\x0c\x3f\0\x01\0\0\0\x08\x81\0\0\0\0";
            let packets = [
                packet(1, &[1]),
                packet(2, column),
                packet(3, &end),
                packet(4, b"\x011"),
                packet(5, &end),
            ];
            Some(packets.concat())
        }
        _ => None,
    }
}

/// A server at work on port 80 of every address, until this is dropped.
pub(crate) struct Server {
    checks: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(subject: &'static Subject) -> Result<Server, Problem> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let checks = Arc::new(AtomicU64::new(0));
        let context = if subject.way == Way::Tls { Some(context()?) } else { None };
        let address = SocketAddr::from(([0, 0, 0, 0], 80));
        let (stop, stopped) = oneshot::channel::<()>();
        let counted = Arc::clone(&checks);
        // All is there when this returns.
        let (mut listener, mut sockets) = (None, Vec::new());
        match subject.way {
            // One for each address, because an answer must come from where the question went.
            Way::Udp => {
                for number in 0..super::COUNT {
                    let binding = UdpSocket::bind((load::address(number), 80));
                    sockets.push(runtime.block_on(binding)?);
                }
            }
            Way::Tcp | Way::Tls => listener = Some(runtime.block_on(TcpListener::bind(address))?),
        }
        let thread = thread::Builder::new().spawn(move || {
            runtime.block_on(async {
                let serving = async {
                    match listener {
                        Some(listener) => serve(subject, listener, context, &counted).await,
                        None => serve_datagrams(subject, sockets, &counted).await,
                    }
                };
                tokio::select! {
                    () = serving => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Server { checks, stop: Some(stop), thread: Some(thread) })
    }

    /// How many checks have come.
    pub(crate) fn checks(&self) -> u64 {
        self.checks.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends when this is dropped, too.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// A key and a certificate of its own.
fn context() -> Result<SslContext, Problem> {
    let made = rcgen::generate_simple_self_signed(vec!["bench.example".to_owned()])?;
    let mut builder = SslContext::builder(SslMethod::tls_server())?;
    builder.set_certificate(&*X509::from_pem(made.cert.pem().as_bytes())?)?;
    let key = PKey::private_key_from_pem(made.signing_key.serialize_pem().as_bytes())?;
    builder.set_private_key(&key)?;
    Ok(builder.build())
}

async fn serve(
    subject: &'static Subject,
    listener: TcpListener,
    context: Option<SslContext>,
    checks: &Arc<AtomicU64>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (context, checks) = (context.clone(), Arc::clone(checks));
        tokio::spawn(async move {
            if !subject.is_kept {
                checks.fetch_add(1, Ordering::Relaxed);
            }
            match context {
                None => talk(subject, stream, &checks).await,
                Some(context) => {
                    if let Some(stream) = accept(&context, stream).await {
                        talk(subject, stream, &checks).await;
                    }
                }
            }
        });
    }
}

async fn accept(context: &SslContext, stream: TcpStream) -> Option<SslStream<TcpStream>> {
    let mut stream = SslStream::new(Ssl::new(context).ok()?, stream).ok()?;
    Pin::new(&mut stream).accept().await.ok().map(|()| stream)
}

async fn talk(
    subject: &Subject,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    checks: &AtomicU64,
) {
    let greeting = (subject.greeting)();
    if !greeting.is_empty() && stream.write_all(&greeting).await.is_err() {
        return;
    }
    let mut heard = Vec::with_capacity(1024);
    while matches!(stream.read_buf(&mut heard).await, Ok(1..)) && heard.len() < 65_536 {
        let Some(answer) = (subject.answer)(&heard) else { continue };
        heard.clear();
        if subject.is_kept {
            checks.fetch_add(1, Ordering::Relaxed);
        }
        if stream.write_all(&answer).await.is_err() || subject.closes {
            break;
        }
    }
    // Whether the other end hears it is its own affair.
    drop(stream.shutdown().await);
}

async fn serve_datagrams(
    subject: &'static Subject,
    sockets: Vec<UdpSocket>,
    checks: &Arc<AtomicU64>,
) {
    for socket in sockets {
        let checks = Arc::clone(checks);
        tokio::spawn(async move {
            let mut heard = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut heard).await {
                if let Some(answer) = heard.get(..length).and_then(subject.answer) {
                    checks.fetch_add(1, Ordering::Relaxed);
                    drop(socket.send_to(&answer, from).await);
                }
            }
        });
    }
    std::future::pending::<()>().await;
}
