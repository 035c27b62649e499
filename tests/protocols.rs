//! Every protocol of the catalogue against the same bad peers, and https against old servers, over real sockets.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ldirectord::{
    checks::{Checker, catalogue},
    model::{
        Carrier, CheckKind, CheckSpec, HttpMethod, HttpSettings, Negotiate, Phase, Reason, Secret,
        Stage, Step, TlsEngine, TlsSettings, Transport, Verdict,
    },
    pattern::Pattern,
};
use openssl::{
    asn1::Asn1Time,
    dh::Dh,
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::Rsa,
    sha::sha1,
    ssl::{AlpnError, NameType, Ssl, SslContext, SslContextBuilder, SslMethod, SslVersion},
    x509::{X509, X509NameBuilder},
};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream, UdpSocket},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_openssl::SslStream;

/// How long a check may take with a peer that makes it wait.
const SHORT: Duration = Duration::from_secs(1);

/// How long it may take where it should not wait; long enough for a busy machine.
const LONG: Duration = Duration::from_secs(30);

/// What a bad peer may get rid of before nobody listens any more: what we look at, and the buffers of the sockets.
const ENDLESS: u64 = 32 * 1024 * 1024;

fn negotiate(protocol: &'static str, target: SocketAddr, receive: Option<&str>) -> Negotiate {
    let scheme = if protocol == "https" { "https" } else { "http" };
    let is_database = matches!(protocol, "mysql" | "pgsql");
    let receive = receive.map(|receive| Pattern::new(receive.as_bytes()).unwrap());
    let sent = Step::Send(Secret(b"hello\r\n".to_vec()));
    Negotiate {
        protocol,
        transport: Transport::Tcp,
        request: match protocol {
            "http" | "https" | "http_proxy" => format!("{scheme}://{target}/").into_bytes(),
            _ if is_database => b"/select 1".to_vec(),
            _ => b"/".to_vec(),
        },
        method: HttpMethod::Get,
        http: HttpSettings::default(),
        steps: match protocol {
            "tcp" | "tls" | "udp" => {
                [sent].into_iter().chain(receive.clone().map(Step::Expect)).collect()
            }
            _ => Vec::new(),
        },
        receive,
        dns_record: None,
        virtualhost: None,
        login: "somebody".to_owned(),
        passwd: Secret("something".to_owned()),
        database: String::new(),
        secret: Secret::default(),
        tls: TlsSettings::default(),
    }
}

fn spec(target: SocketAddr, kind: CheckKind, timeout: Duration) -> CheckSpec {
    let interval = Duration::from_secs(10);
    let (fast_interval, down_interval) = (interval, interval);
    CheckSpec { target, kind, interval, fast_interval, down_interval, timeout }
}

/// A peer that has been connected to.
trait Conversation: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Conversation for T {}

type Behaviour =
    fn(Box<dyn Conversation>, Arc<AtomicU64>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Writes until it cannot or should not, and counts it.
async fn pour(stream: &mut Box<dyn Conversation>, bytes: &[u8], poured: &AtomicU64) -> bool {
    let length = u64::try_from(bytes.len()).unwrap();
    stream.write_all(bytes).await.is_ok() && poured.fetch_add(length, Ordering::Relaxed) < ENDLESS
}

/// The bad peers, and why a check over HTTP says that they are bad.
fn bad_peers() -> BTreeMap<&'static str, (Behaviour, Reason)> {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";
    let mut peers: BTreeMap<&'static str, (Behaviour, Reason)> = BTreeMap::new();
    peers.insert(
        "silent",
        (
            |stream, _| {
                Box::pin(async move {
                    let _open = stream;
                    std::future::pending().await
                })
            },
            Reason::Timeout,
        ),
    );
    peers.insert(
        "closes at once",
        (|stream, _| Box::pin(async move { drop(stream) }), Reason::Reset),
    );
    peers.insert(
        "listens and closes",
        (
            |mut stream, _| {
                Box::pin(async move {
                    stream.read_buf(&mut Vec::with_capacity(1000)).await.unwrap();
                })
            },
            Reason::Reset,
        ),
    );
    peers.insert(
        "closes in the middle",
        (
            |mut stream, _| {
                Box::pin(async move {
                    stream.read_buf(&mut Vec::with_capacity(1000)).await.unwrap();
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Le").await.unwrap();
                })
            },
            Reason::Mismatch,
        ),
    );
    peers.insert(
        "slow",
        (
            |mut stream, _| {
                Box::pin(async move {
                    for byte in OK.iter().cycle() {
                        if stream.write_all(&[*byte]).await.is_err()
                            || stream.flush().await.is_err()
                        {
                            return;
                        }
                        sleep(Duration::from_millis(50)).await;
                    }
                })
            },
            Reason::Timeout,
        ),
    );
    peers.insert(
        "slow body",
        (
            |mut stream, _| {
                Box::pin(async move {
                    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                    while stream.write_all(b"x").await.is_ok() && stream.flush().await.is_ok() {
                        sleep(Duration::from_millis(50)).await;
                    }
                })
            },
            Reason::Timeout,
        ),
    );
    peers.insert(
        "endless body",
        (
            |mut stream, poured| {
                Box::pin(async move {
                    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                    while pour(&mut stream, &[b'x'; 65536], &poured).await {}
                })
            },
            Reason::Mismatch,
        ),
    );
    peers.insert("endless chunk", (|mut stream, poured| Box::pin(async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n").await.unwrap();
        while pour(&mut stream, &[b'x'; 65536], &poured).await {}
    }), Reason::Mismatch));
    peers.insert(
        "endless line",
        (
            |mut stream, poured| {
                Box::pin(async move { while pour(&mut stream, &[b'x'; 65536], &poured).await {} })
            },
            Reason::Protocol,
        ),
    );
    peers.insert(
        "endless header",
        (
            |mut stream, poured| {
                Box::pin(async move {
                    stream.write_all(OK).await.unwrap();
                    while pour(&mut stream, b"X: y\r\n".repeat(10_000).as_slice(), &poured).await {}
                })
            },
            Reason::Protocol,
        ),
    );
    peers.insert(
        "huge header line",
        (
            |mut stream, poured| {
                Box::pin(async move {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nX: ").await.unwrap();
                    while pour(&mut stream, &[b'x'; 65536], &poured).await {}
                })
            },
            Reason::Protocol,
        ),
    );
    peers.insert(
        "interim answers without end",
        (
            |mut stream, poured| {
                Box::pin(async move {
                    while pour(
                        &mut stream,
                        b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000).as_slice(),
                        &poured,
                    )
                    .await
                    {}
                })
            },
            Reason::Protocol,
        ),
    );
    peers.insert(
        "garbage",
        (
            |mut stream, _| {
                Box::pin(async move {
                    stream.read_buf(&mut Vec::with_capacity(1000)).await.unwrap();
                    let garbage: Vec<u8> = (0..4000_u32)
                        .map(|number| u8::try_from(number * 7919 % 251).unwrap())
                        .collect();
                    stream.write_all(&garbage).await.unwrap();
                })
            },
            Reason::Mismatch,
        ),
    );
    peers.insert(
        "lengths that lie",
        (
            |mut stream, poured| {
                Box::pin(async move {
                    // The tag and length of an LDAP message; to DNS a length, too.
                    stream.write_all(b"\x30\x84\x7f\xff\xff\xff\x02\x01\x01").await.unwrap();
                    while pour(&mut stream, &[0; 65536], &poured).await {}
                })
            },
            Reason::Protocol,
        ),
    );
    peers.insert(
        "redirects for ever",
        (
            |mut stream, _| {
                Box::pin(async move {
                    stream.read_buf(&mut Vec::with_capacity(1000)).await.unwrap();
                    stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n").await.unwrap();
                })
            },
            Reason::Protocol,
        ),
    );
    peers
}

/// Says each of these and waits for an answer, then says the last again and again, or closes if that is nothing.
async fn act(
    mut stream: Box<dyn Conversation>,
    poured: Arc<AtomicU64>,
    says: &'static [&'static str],
    last: &'static str,
) {
    for said in says {
        stream.write_all(said.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        if stream.read_buf(&mut Vec::with_capacity(1000)).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let last = last.repeat(1000);
    while !last.is_empty() && pour(&mut stream, last.as_bytes(), &poured).await {}
}

/// Peers that are bad in the way of a protocol that talks in lines, and why a check says so.
fn bad_speakers(protocol: &str) -> Vec<(&'static str, Behaviour, Reason)> {
    /// `act` with these.
    macro_rules! acts {
        ($($says:literal),*; $last:literal) => {
            |stream, poured| Box::pin(act(stream, poured, &[$($says),*], $last))
        };
    }
    /// `switch` with these.
    macro_rules! switches {
        ($says:literal) => {
            switches!($says, b"")
        };
        ($says:literal, $last:literal) => {
            |stream, poured| Box::pin(switch(stream, poured, $says, $last))
        };
    }
    match protocol {
        "amqp" => vec![
            ("a frame that lies", acts!(; "\x01\0\0\x7f\x7f\x7f\x7f"), Reason::Protocol),
            ("beats without end", acts!(; "\x08\0\0\0\0\0\0"), Reason::Protocol),
            ("refuses everything", acts!(; "AMQP\0\x01\0\0"), Reason::Protocol),
        ],
        "smtp" | "submission" => vec![
            ("endless greeting", acts!(; "220-hello\r\n"), Reason::Protocol),
            ("endless answer", acts!("220 hello\r\n"; "250-hello\r\n"), Reason::Protocol),
            (
                "changes its number",
                acts!("220 hello\r\n"; "250-hello\r\n220 hello\r\n"),
                Reason::Protocol,
            ),
            ("greets and goes", acts!("220 hello\r\n"; ""), Reason::Reset),
        ],
        "dns" => vec![
            ("a length that lies", acts!(; "\x7f\x7f"), Reason::Protocol),
            ("says nothing at length", acts!(; "\0\0"), Reason::Protocol),
        ],
        "mysql" => vec![
            ("a length that lies", acts!(; "\x7f\x7f\x7f\0"), Reason::Protocol),
            ("empty packets", acts!(; "\0\0\0\0"), Reason::Protocol),
        ],
        "pgsql" => vec![
            ("a length that lies", acts!(; "R\x7f\x7f\x7f\x7f"), Reason::Protocol),
            ("a length that is too short", acts!(; "R\0\0\0\x01"), Reason::Protocol),
            ("notices without end", acts!(; "N\0\0\0\x05\0"), Reason::Protocol),
        ],
        "ftp" => vec![
            ("endless answer", acts!("220 hello\r\n"; "331-hello\r\n"), Reason::Protocol),
            ("denies everything", acts!("220 hello\r\n"; "500 no\r\n"), Reason::Denied),
            (
                "has no data",
                acts!("220\r\n", "230\r\n", "250\r\n", "200\r\n"; "502\r\n"),
                Reason::Protocol,
            ),
            (
                "waits for data nowhere",
                acts!("220\r\n", "230\r\n", "250\r\n", "200\r\n"; "229 (|||1|)\r\n"),
                Reason::Refused,
            ),
            ("greets and goes", acts!("220 hello\r\n"; ""), Reason::Reset),
        ],
        "grpc" | "grpcs" => vec![
            ("greets and goes", acts!("\0\0\0\x04\0\0\0\0\0"; ""), Reason::Reset),
            ("settings without end", acts!(; "\0\0\0\x04\0\0\0\0\0"), Reason::Protocol),
            (
                "pings without end",
                acts!("\0\0\0\x04\0\0\0\0\0"; "\0\0\x08\x06\0\0\0\0\0hellohel"),
                Reason::Protocol,
            ),
            (
                "what nobody knows without end",
                acts!("\0\0\0\x04\0\0\0\0\0"; "\0\0\0\x7e\0\0\0\0\0"),
                Reason::Protocol,
            ),
            (
                "a header without end",
                acts!("\0\0\0\x04\0\0\0\0\0\0\0\0\x01\0\0\0\0\x01"; "\0\0\x08\x09\0\0\0\0\x01\0\x01x\x04yyyy"),
                Reason::Protocol,
            ),
            (
                "a length that lies",
                acts!("\0\0\0\x04\0\0\0\0\0"; "\x7f\x7f\x7f\0\0\0\0\0\x01"),
                Reason::Protocol,
            ),
            (
                "refuses the call",
                acts!("\0\0\0\x04\0\0\0\0\0"; "\0\0\x04\x03\0\0\0\0\x01\0\0\0\x07"),
                Reason::Protocol,
            ),
            (
                "goes away",
                acts!("\0\0\0\x04\0\0\0\0\0"; "\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0b"),
                Reason::Protocol,
            ),
        ],
        "imap" | "imaps" => vec![
            ("endless news", acts!("* OK hello\r\n"; "* OK hello\r\n"), Reason::Protocol),
            ("always wants more", acts!("* OK hello\r\n"; "+ go on\r\n"), Reason::Denied),
            ("answers before it is asked", acts!(; "* OK hello\r\nA1 BAD\r\n"), Reason::Denied),
            ("greets and goes", acts!("* OK hello\r\n"; ""), Reason::Reset),
        ],
        "memcached" => vec![
            ("endless version", acts!(; "VERSION "), Reason::Protocol),
            ("is out of order", acts!(; "SERVER_ERROR no\r\n"), Reason::Protocol),
        ],
        "mqtt" => vec![
            ("denies everything", acts!(; "\x20\x02\0\x05"), Reason::Denied),
            ("a length that lies", acts!(; "\x20\x7f\0\0"), Reason::Protocol),
            ("publishes at once", acts!(; "\x30\x04\0\x01ax"), Reason::Protocol),
        ],
        "nntp" => vec![
            ("endless greeting", acts!(; "200-hello\r\n"), Reason::Protocol),
            ("has had enough", acts!(; "400 go away\r\n"), Reason::Protocol),
        ],
        "pop" | "pops" => vec![
            ("endless answer", acts!("+OK hello\r\n"; "+OK"), Reason::Protocol),
            ("greets and goes", acts!("+OK hello\r\n"; ""), Reason::Reset),
            ("denies everything", acts!("+OK <1@host>\r\n"; "-ERR\r\n"), Reason::Denied),
        ],
        "redis" => vec![
            ("denies everything", acts!(; "-NOAUTH no\r\n"), Reason::Denied),
            ("endless list", acts!("+OK\r\n"; "*2\r\n:1\r\n"), Reason::Protocol),
            ("a length that lies", acts!("+OK\r\n"; "$999999999999\r\n"), Reason::Protocol),
            ("lets us in and goes", acts!("+OK\r\n"; ""), Reason::Reset),
        ],
        "tcp" | "tls" => vec![
            ("almost says it without end", acts!(; "never never"), Reason::Mismatch),
            ("almost says it and goes", acts!("never"; ""), Reason::Mismatch),
        ],
        "ws" | "wss" => vec![
            (
                "switches for anybody",
                acts!(; "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
                Reason::Protocol,
            ),
            ("switches and goes", switches!(b""), Reason::Reset),
            (
                "a length that lies",
                switches!(b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", b"x"),
                Reason::Mismatch,
            ),
            ("messages without end", switches!(b"", b"\x81\x05hello"), Reason::Mismatch),
            ("a message without end", switches!(b"\x01\x00", b"\x00\x05hello"), Reason::Mismatch),
            ("empty frames without end", switches!(b"\x01\x00", b"\x00\x00"), Reason::Mismatch),
            ("pings without end", switches!(b"", b"\x89\x05hello"), Reason::Mismatch),
            ("closes in a frame", switches!(b"\x81\x7dhel"), Reason::Reset),
            ("masks", switches!(b"", b"\x81\x84maskhell"), Reason::Protocol),
            ("frames of no kind", switches!(b"", b"\x8f\x00"), Reason::Protocol),
        ],
        _ => Vec::new(),
    }
}

/// Switches to WebSocket as it should, says this, then the last again and again, or closes if that is nothing.
async fn switch(
    mut stream: Box<dyn Conversation>,
    poured: Arc<AtomicU64>,
    says: &'static [u8],
    last: &'static [u8],
) {
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut heard).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let heard = String::from_utf8(heard).unwrap();
    let key = heard.split("Sec-WebSocket-Key: ").nth(1).unwrap().lines().next().unwrap();
    let digest = sha1(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes());
    let accept = openssl::base64::encode_block(&digest);
    let header = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    let first = [header.as_bytes(), says].concat();
    if stream.write_all(&first).await.is_err() || stream.flush().await.is_err() {
        return;
    }
    let last = last.repeat(10_000);
    while !last.is_empty() && pour(&mut stream, &last, &poured).await {}
}

/// How a peer takes a connection before it behaves badly.
#[derive(Clone)]
enum Welcome {
    Plain,
    Tls(SslContext),
    /// Says this once it has heard something, and resets the connection.
    Reset(&'static [u8]),
    /// Answers the start of a TLS handshake with this, and stays or goes.
    Answer(&'static [u8], bool),
}

/// Says each of these and waits for an answer to each but the last; whether it came so far.
async fn agree(stream: &mut TcpStream, says: &[&str]) -> bool {
    for (place, said) in says.iter().enumerate() {
        if place > 0 && stream.read_buf(&mut Vec::with_capacity(1000)).await.unwrap_or(0) == 0 {
            return false;
        }
        if stream.write_all(said.as_bytes()).await.is_err() {
            return false;
        }
    }
    true
}

/// Servers that break the TLS handshake, and how a check says so.
fn bad_handshakes() -> [(&'static str, Welcome, Reason); 4] {
    [
        ("sends an alert", Welcome::Answer(b"\x15\x03\x03\x00\x02\x02\x28", false), Reason::Tls),
        (
            "stalls in the handshake",
            Welcome::Answer(b"\x16\x03\x03\x40\x00\x02", true),
            Reason::Timeout,
        ),
        (
            "breaks the handshake off",
            Welcome::Answer(b"\x16\x03\x03\x40\x00\x02", false),
            Reason::Reset,
        ),
        ("sends no handshake", Welcome::Answer(b"HTTP/1.1 400 Bad\r\n\r\n", false), Reason::Tls),
    ]
}

/// A server on loopback that behaves so to everybody.
async fn serve(
    address: &str,
    welcome: Welcome,
    behaviour: Behaviour,
    poured: Arc<AtomicU64>,
) -> SocketAddr {
    serve_after(&[], address, welcome, behaviour, poured).await
}

/// A server on loopback that behaves so to everybody after it has said this.
async fn serve_after(
    says: &'static [&'static str],
    address: &str,
    welcome: Welcome,
    behaviour: Behaviour,
    poured: Arc<AtomicU64>,
) -> SocketAddr {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let target = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (welcome, poured) = (welcome.clone(), Arc::clone(&poured));
            tokio::spawn(async move {
                if !agree(&mut stream, says).await {
                    return;
                }
                match welcome {
                    Welcome::Plain => behaviour(Box::new(stream), poured).await,
                    Welcome::Tls(context) => {
                        if let Some(stream) = accept(&context, stream).await {
                            behaviour(Box::new(stream), poured).await;
                        }
                    }
                    Welcome::Reset(bytes) => {
                        let mut stream = stream;
                        stream.read_buf(&mut Vec::with_capacity(4000)).await.unwrap();
                        stream.write_all(bytes).await.unwrap();
                        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                    }
                    Welcome::Answer(bytes, stays) => {
                        let mut stream = stream;
                        stream.read_buf(&mut Vec::with_capacity(4000)).await.unwrap();
                        stream.write_all(bytes).await.unwrap();
                        if stays {
                            std::future::pending().await
                        }
                    }
                }
            });
        }
    });
    target
}

/// A port where nobody listens, and nobody else will as long as this lives.
fn closed_port(address: &str) -> TcpSocket {
    let address = SocketAddr::new(address.parse().unwrap(), 0);
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }.unwrap();
    socket.bind(address).unwrap();
    socket
}

async fn accept(context: &SslContext, stream: TcpStream) -> Option<SslStream<TcpStream>> {
    let mut stream = SslStream::new(Ssl::new(context).unwrap(), stream).unwrap();
    Pin::new(&mut stream).accept().await.ok().map(|()| stream)
}

/// A key and a certificate that nobody trusts.
fn certificate(bits: u32, digest: MessageDigest) -> (PKey<Private>, X509) {
    let key = PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "nobody.example").unwrap();
    let name = name.build();
    let mut certificate = X509::builder().unwrap();
    certificate.set_subject_name(&name).unwrap();
    certificate.set_issuer_name(&name).unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::from_unix(1).unwrap()).unwrap();
    certificate.sign(&key, digest).unwrap();
    (key, certificate.build())
}

fn server_context(
    identity: &(PKey<Private>, X509),
    change: impl Fn(&mut SslContextBuilder),
) -> SslContext {
    let mut builder = SslContext::builder(SslMethod::tls_server()).unwrap();
    builder.set_security_level(0);
    builder.set_private_key(&identity.0).unwrap();
    builder.set_certificate(&identity.1).unwrap();
    change(&mut builder);
    builder.build()
}

fn modern_context() -> SslContext {
    server_context(&certificate(2048, MessageDigest::sha256()), |_| {})
}

/// One check of one bad peer, and what must come of it.
struct Trial {
    name: String,
    target: SocketAddr,
    protocol: &'static str,
    starts_tls: bool,
    poured: Arc<AtomicU64>,
    /// None where any fault of the server will do.
    expected: Option<Vec<Reason>>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_bad_peer_keeps_a_check_or_passes_it() {
    let context = modern_context();
    let (mut trials, mut closed_ports) = (Vec::new(), Vec::new());
    let asked =
        catalogue().into_iter().filter(|info| !matches!(info.carrier, Carrier::Udp | Carrier::Own));
    for info in asked {
        let is_http = matches!(info.name, "http" | "https" | "http_proxy");
        for address in ["127.0.0.1", "::1"] {
            for (name, (behaviour, reason)) in bad_peers() {
                let mut welcomes = vec![("", Welcome::Plain, vec![reason])];
                if info.carrier == Carrier::Tls {
                    let no_tls = vec![Reason::Tls, Reason::Reset, Reason::Timeout];
                    welcomes = vec![
                        (" over TLS", Welcome::Tls(context.clone()), vec![reason]),
                        (" without TLS", Welcome::Plain, no_tls),
                    ];
                }
                for (how, welcome, expected) in welcomes {
                    let poured = Arc::new(AtomicU64::new(0));
                    let target = serve(address, welcome, behaviour, Arc::clone(&poured)).await;
                    let name = format!("{} of a peer on {address}: {name}{how}", info.name);
                    let expected = is_http.then_some(expected);
                    let (protocol, starts_tls) = (info.name, false);
                    trials.push(Trial { name, target, protocol, starts_tls, poured, expected });
                }
            }
            for (name, behaviour, reason) in bad_speakers(info.name) {
                let welcome = match info.carrier {
                    Carrier::Tls => Welcome::Tls(context.clone()),
                    _ => Welcome::Plain,
                };
                let poured = Arc::new(AtomicU64::new(0));
                let target = serve(address, welcome, behaviour, Arc::clone(&poured)).await;
                let name = format!("{} of a peer on {address}: {name}", info.name);
                let (protocol, starts_tls, expected) = (info.name, false, Some(vec![reason]));
                trials.push(Trial { name, target, protocol, starts_tls, poured, expected });
            }
            let silent = bad_peers()["silent"].0;
            let welcomes = [
                ("resets", Welcome::Reset(b""), Reason::Reset),
                (
                    "resets in the middle",
                    Welcome::Reset(b"HTTP/1.1 200 OK\r\nContent-Le"),
                    if info.carrier == Carrier::Tls { Reason::Tls } else { Reason::Mismatch },
                ),
            ];
            for (name, welcome, reason) in welcomes.into_iter().chain(bad_handshakes()) {
                if info.carrier == Carrier::Tls || matches!(welcome, Welcome::Reset(_)) {
                    let poured = Arc::new(AtomicU64::new(0));
                    let target = serve(address, welcome, silent, Arc::clone(&poured)).await;
                    let name = format!("{} of a peer on {address}: {name}", info.name);
                    let expected = is_http.then_some(vec![reason]);
                    let (protocol, starts_tls) = (info.name, false);
                    trials.push(Trial { name, target, protocol, starts_tls, poured, expected });
                }
            }
            let closed = closed_port(address);
            let name = format!("{} of a peer on {address}: not there", info.name);
            let expected = Some(vec![Reason::Refused]);
            trials.push(Trial {
                name,
                target: closed.local_addr().unwrap(),
                protocol: info.name,
                starts_tls: false,
                poured: Arc::default(),
                expected,
            });
            closed_ports.push(closed);
        }
    }
    assert!(trials.len() > 100, "{}", trials.len());
    judge(trials).await;
}

/// What a server says until it has agreed that TLS begins.
fn agreement(protocol: &str) -> &'static [&'static str] {
    match protocol {
        "smtp" | "submission" => &["220 hello\r\n", "250-hello\r\n250 STARTTLS\r\n", "220 go\r\n"],
        "imap" => &["* OK hello\r\n", "A0 OK go\r\n"],
        "pop" => &["+OK hello\r\n", "+OK go\r\n"],
        "ldap" => &["", "\x30\x0c\x02\x01\x04\x78\x07\x0a\x01\x00\x04\x00\x04\x00"],
        other => panic!("how does {other} begin TLS?"),
    }
}

/// What it may say that is only a piece of that.
fn piece_of_agreement(protocol: &str) -> &'static [&'static str] {
    match protocol {
        "smtp" | "submission" => &["220 hello\r\n", "250-hello\r\n250-STARTTLS\r\n"],
        "imap" => &["* OK hello\r\n", "* OK wait\r\nA0 OK"],
        "pop" => &["+OK hello\r\n", "+OK go"],
        "ldap" => &["", "\x30\x0c\x02\x01\x04\x78\x07"],
        other => panic!("how does {other} begin TLS?"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_bad_peer_keeps_a_check_that_begins_tls_or_passes_it() {
    let context = modern_context();
    let silent = bad_peers()["silent"].0;
    let mut trials = Vec::new();
    for info in catalogue().into_iter().filter(|info| info.carrier == Carrier::StartTls) {
        let (protocol, starts_tls, address) = (info.name, true, "127.0.0.1");
        let agreement = agreement(protocol);
        let mut peers = Vec::new();
        // In the clear.
        for (name, (behaviour, _)) in bad_peers() {
            peers.push((
                format!("{name} in place of words"),
                &[][..],
                Welcome::Plain,
                behaviour,
                None,
            ));
            let after = Welcome::Tls(context.clone());
            peers.push((format!("{name} over TLS"), agreement, after, behaviour, None));
        }
        let timeout = || Some(vec![Reason::Timeout]);
        for said in 0..agreement.len() {
            let name = format!("stalls after {said} of its answers");
            peers.push((name, &agreement[..said], Welcome::Plain, silent, timeout()));
        }
        let name = "stalls in its answer".to_owned();
        peers.push((name, piece_of_agreement(protocol), Welcome::Plain, silent, timeout()));
        // In the handshake.
        let never = ("stalls before the handshake", Welcome::Plain, Reason::Timeout);
        for (name, welcome, reason) in bad_handshakes().into_iter().chain([never]) {
            peers.push((name.to_owned(), agreement, welcome, silent, Some(vec![reason])));
        }
        let endless = bad_peers()["endless line"].0;
        let reasons = Some(vec![Reason::Tls, Reason::Protocol]);
        peers.push(("pours".to_owned(), agreement, Welcome::Plain, endless, reasons));
        for (name, says, welcome, behaviour, expected) in peers {
            let poured = Arc::new(AtomicU64::new(0));
            let target = serve_after(says, address, welcome, behaviour, Arc::clone(&poured)).await;
            let name = format!("{protocol} with starttls of a peer: {name}");
            trials.push(Trial { name, target, protocol, starts_tls, poured, expected });
        }
    }
    assert!(trials.len() > 100, "{}", trials.len());
    judge(trials).await;
}

/// Runs these, all at once.
async fn judge(trials: Vec<Trial>) {
    let checker = Checker::new();
    let mut running = JoinSet::new();
    for trial in trials {
        let checker = checker.clone();
        running.spawn(async move {
            let mut asked = negotiate(trial.protocol, trial.target, Some("never said"));
            asked.tls.start = trial.starts_tls;
            let kind = CheckKind::Negotiate(asked);
            // Only who is expected to wait is kept short; a busy machine takes its time with the others.
            let waits =
                trial.expected.as_ref().is_none_or(|expected| expected.contains(&Reason::Timeout));
            let check = spec(trial.target, kind, if waits { SHORT } else { LONG });
            let start = Instant::now();
            let verdict = checker.run(&check, Stage::Negotiate).await.verdict;
            (trial, verdict, start.elapsed(), check.timeout)
        });
    }
    let mut faults = Vec::new();
    while let Some(ended) = running.join_next().await {
        let (trial, verdict, took, allowed) = ended.unwrap();
        let is_expected = match (&verdict, &trial.expected) {
            (Ok(_), _) => false,
            (Err(fault), Some(expected)) => expected.contains(&fault.reason),
            (Err(fault), None) => !matches!(fault.reason, Reason::Internal | Reason::Command),
        };
        // Exact times are the business of tests whose clock stands still.
        if !is_expected || took > allowed + Duration::from_secs(5) {
            faults.push(format!("{}: {verdict:?} after {took:?}", trial.name));
        }
        let poured = trial.poured.load(Ordering::Relaxed);
        if poured >= ENDLESS {
            faults.push(format!("{}: took {poured} bytes", trial.name));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_broken_chain_is_believed() {
    let (key, itself) = certificate(2048, MessageDigest::sha256());
    let (stranger_key, stranger) = certificate(2048, MessageDigest::sha256());
    let signed_by = |signer: &PKey<Private>| {
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_subject_name(itself.subject_name()).unwrap();
        builder.set_issuer_name(stranger.subject_name()).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
        builder.sign(signer, MessageDigest::sha256()).unwrap();
        builder.build()
    };
    let chain = |certificate: X509, others: Vec<X509>| {
        server_context(&(key.clone(), certificate), |builder| {
            for other in &others {
                builder.add_extra_chain_cert(other.clone()).unwrap();
            }
        })
    };
    let chains = [
        ("expired, and nobody's", chain(itself.clone(), Vec::new())),
        ("without who signed it", chain(signed_by(&stranger_key), Vec::new())),
        ("of a stranger", chain(signed_by(&stranger_key), vec![stranger.clone()])),
        ("with a wrong signature", chain(signed_by(&key), vec![stranger.clone()])),
        ("of the same again", chain(itself.clone(), vec![itself.clone(); 20])),
    ];
    let (checker, silent) = (Checker::new(), bad_peers()["silent"].0);
    for info in catalogue().into_iter().filter(|info| info.carrier == Carrier::Tls) {
        for (name, context) in &chains {
            let welcome = Welcome::Tls(context.clone());
            let target = serve("127.0.0.1", welcome, silent, Arc::default()).await;
            for engine in [TlsEngine::Auto, TlsEngine::Rustls, TlsEngine::Openssl] {
                let mut asked = negotiate(info.name, target, None);
                asked.tls = TlsSettings { verify: true, engine, ..TlsSettings::default() };
                let check = spec(target, CheckKind::Negotiate(asked), LONG);
                let fault = checker.run(&check, Stage::Negotiate).await.verdict.unwrap_err();
                let about = format!("{} of a certificate {name}, by {engine:?}", info.name);
                assert_eq!(fault.reason, Reason::Tls, "{about}: {fault}");
            }
        }
    }
}

/// What a bad peer does with each datagram that it hears.
type BadAnswer =
    fn(Arc<UdpSocket>, SocketAddr, Vec<u8>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// The bad peers of protocols that travel in datagrams.
fn bad_datagrams() -> BTreeMap<&'static str, BadAnswer> {
    async fn answer(peer: &UdpSocket, to: SocketAddr, datagram: &[u8]) -> bool {
        peer.send_to(datagram, to).await.is_ok()
    }
    let mut peers: BTreeMap<&'static str, BadAnswer> = BTreeMap::new();
    peers.insert("silent", |_, _, _| Box::pin(async {}));
    peers.insert("says nothing at length", |peer, to, _| {
        Box::pin(async move { while answer(&peer, to, b"").await {} })
    });
    peers.insert("garbage without end", |peer, to, heard| {
        Box::pin(async move {
            let garbage: Vec<u8> =
                (0..4000_u32).map(|number| u8::try_from(number * 7919 % 251).unwrap()).collect();
            // With what it heard before it, so that numbers of questions fit.
            while answer(&peer, to, &garbage).await
                && answer(&peer, to, &[heard.as_slice(), &garbage].concat()).await
            {}
        })
    });
    peers.insert("the longest datagrams", |peer, to, _| {
        Box::pin(async move { while answer(&peer, to, &[b'x'; 65_507]).await {} })
    });
    peers.insert("an echo", |peer, to, heard| {
        Box::pin(async move {
            answer(&peer, to, &heard).await;
        })
    });
    peers.insert("an echo of each length", |peer, to, heard| {
        Box::pin(async move {
            for length in 0..heard.len() {
                answer(&peer, to, &heard[..length]).await;
            }
        })
    });
    peers.insert("an echo with every bit of the header set", |peer, to, mut heard| {
        Box::pin(async move {
            for (index, byte) in heard.iter_mut().enumerate().take(12) {
                *byte |= if index < 2 { 0 } else { 0xff };
            }
            answer(&peer, to, &heard).await;
        })
    });
    peers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_bad_peer_of_datagrams_keeps_a_check_or_passes_it() {
    let checker = Checker::new();
    let mut running = JoinSet::new();
    let asked = || {
        let asked = catalogue().into_iter();
        asked.filter(|info| matches!(info.carrier, Carrier::Udp | Carrier::AsService))
    };
    let check = |protocol, target, timeout| {
        let mut asked = negotiate(protocol, target, Some("never said"));
        asked.transport = Transport::Udp;
        spec(target, CheckKind::Negotiate(asked), timeout)
    };
    // Before the flood, in which the kernel says no more that nobody listens.
    for info in asked() {
        for address in ["127.0.0.1", "::1"] {
            let closed = UdpSocket::bind((address, 0)).await.unwrap().local_addr().unwrap();
            let verdict =
                checker.run(&check(info.name, closed, LONG), Stage::Negotiate).await.verdict;
            assert_eq!(verdict.unwrap_err().reason, Reason::Refused, "{}", info.name);
        }
    }
    for info in asked() {
        for address in ["127.0.0.1", "::1"] {
            for (name, behaviour) in bad_datagrams() {
                let peer = Arc::new(UdpSocket::bind((address, 0)).await.unwrap());
                let check = check(info.name, peer.local_addr().unwrap(), SHORT);
                tokio::spawn(async move {
                    let mut heard = vec![0; 65_535];
                    while let Ok((length, from)) = peer.recv_from(&mut heard).await {
                        let answer = behaviour(Arc::clone(&peer), from, heard[..length].to_vec());
                        tokio::spawn(tokio::time::timeout(2 * SHORT, answer));
                    }
                });
                let checker = checker.clone();
                running.spawn(async move {
                    let start = Instant::now();
                    let verdict = checker.run(&check, Stage::Negotiate).await.verdict;
                    let name = format!("{} of a peer on {address}: {name}", info.name);
                    (name, verdict, start.elapsed())
                });
            }
        }
    }
    assert!(running.len() > 10, "{}", running.len());
    let mut faults = Vec::new();
    while let Some(ended) = running.join_next().await {
        let (name, verdict, took) = ended.unwrap();
        let is_expected = verdict
            .as_ref()
            .is_err_and(|fault| !matches!(fault.reason, Reason::Internal | Reason::Command));
        // Exact times are the business of tests whose clock stands still.
        if !is_expected || took > SHORT + Duration::from_secs(5) {
            faults.push(format!("{name}: {verdict:?} after {took:?}"));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// A web server that tells us the name in each TLS handshake that succeeds, and of each that fails.
async fn web(context: SslContext) -> (SocketAddr, mpsc::UnboundedReceiver<Option<Option<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (context, tell) = (context.clone(), tell.clone());
            tokio::spawn(async move {
                let Some(mut stream) = accept(&context, stream).await else {
                    tell.send(None).unwrap();
                    return;
                };
                tell.send(Some(stream.ssl().servername(NameType::HOST_NAME).map(str::to_owned)))
                    .unwrap();
                let mut heard = Vec::new();
                while !heard.ends_with(b"\r\n\r\n") {
                    assert!(stream.read_buf(&mut heard).await.unwrap() > 0);
                }
                stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nIt works!\n").await.unwrap();
                // It closes without the closing alert, as many do.
            });
        }
    });
    (target, told)
}

async fn https(checker: &Checker, target: SocketAddr, virtualhost: Option<&str>) -> Verdict {
    let mut negotiate = negotiate("https", target, Some("^It works!$"));
    negotiate.virtualhost = virtualhost.map(str::to_owned);
    checker
        .run(&spec(target, CheckKind::Negotiate(negotiate), LONG), Stage::Negotiate)
        .await
        .verdict
}

#[tokio::test]
async fn https_speaks_to_servers_old_and_new() {
    let identity = certificate(2048, MessageDigest::sha256());
    let weak = certificate(1024, MessageDigest::sha1());
    let only = |version: SslVersion| {
        server_context(&identity, move |builder| {
            builder.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
            builder.set_min_proto_version(Some(version)).unwrap();
            builder.set_max_proto_version(Some(version)).unwrap();
        })
    };
    let cipher = |cipher: &str, identity| {
        server_context(identity, |builder| {
            builder.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
            builder.set_cipher_list(&format!("{cipher}:@SECLEVEL=0")).unwrap();
            builder.set_tmp_dh(&Dh::get_1024_160().unwrap()).unwrap();
        })
    };
    let servers = [
        ("TLS 1.0", true, only(SslVersion::TLS1)),
        ("TLS 1.1", true, only(SslVersion::TLS1_1)),
        ("RSA key exchange, CBC", true, cipher("AES128-SHA", &identity)),
        ("RSA key exchange, GCM", true, cipher("AES128-GCM-SHA256", &identity)),
        ("DHE with 1024 bits", true, cipher("DHE-RSA-AES128-SHA256", &identity)),
        ("ECDHE, CBC", true, cipher("ECDHE-RSA-AES128-SHA", &identity)),
        ("a weak certificate", false, cipher("ECDHE-RSA-AES128-GCM-SHA256", &weak)),
        ("TLS 1.2", false, only(SslVersion::TLS1_2)),
        ("TLS 1.3", false, only(SslVersion::TLS1_3)),
    ];
    let checker = Checker::new();
    for (name, is_old, context) in servers {
        let (target, mut told) = web(context).await;
        for round in 0..2 {
            let verdict = https(&checker, target, Some("www.example.com")).await;
            assert_eq!(verdict.as_ref().map(|pass| pass.detail.as_str()), Ok("200 OK"), "{name}");
            // An old server sees a handshake that fails, and only the first time.
            if is_old && round == 0 {
                assert_eq!(told.recv().await, Some(None), "{name}");
            }
            assert_eq!(told.recv().await, Some(Some(Some("www.example.com".to_owned()))), "{name}");
        }
        assert!(told.try_recv().is_err(), "{name}");
    }
}

#[tokio::test]
async fn the_name_in_tls_is_the_virtual_host_if_that_is_a_name() {
    let checker = Checker::new();
    let (target, mut told) = web(modern_context()).await;
    for (virtualhost, expected) in [
        (Some("www.example.com:8443"), Some("www.example.com")),
        (Some("192.0.2.1"), None),
        (Some("no name of a host"), None),
        (None, None),
    ] {
        assert!(https(&checker, target, virtualhost).await.is_ok(), "{virtualhost:?}");
        assert_eq!(told.recv().await, Some(Some(expected.map(str::to_owned))), "{virtualhost:?}");
    }
}

#[tokio::test]
async fn grpcs_offers_h2_whichever_library_speaks() {
    let context = server_context(&certificate(2048, MessageDigest::sha256()), |builder| {
        builder.set_alpn_select_callback(|_, offered| {
            openssl::ssl::select_next_proto(b"\x02h2", offered).ok_or(AlpnError::ALERT_FATAL)
        });
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let serve_one = async || {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = accept(&context, stream).await.unwrap();
        let chosen = stream.ssl().selected_alpn_protocol().map(<[u8]>::to_vec);
        let mut server = h2::server::handshake(stream).await.unwrap();
        let (_, mut respond) = server.accept().await.unwrap().unwrap();
        let mut answer = http::Response::new(());
        answer.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        let mut sending = respond.send_response(answer, false).unwrap();
        sending.send_data(bytes::Bytes::from_static(b"\0\0\0\0\x02\x08\x01"), false).unwrap();
        let status = ("grpc-status".parse().unwrap(), "0".parse().unwrap());
        sending.send_trailers([status].into_iter().collect()).unwrap();
        while server.accept().await.is_some() {}
        chosen
    };
    let checker = Checker::new();
    for engine in [TlsEngine::Rustls, TlsEngine::Openssl] {
        let mut asked = negotiate("grpcs", target, None);
        asked.tls.engine = engine;
        let check = spec(target, CheckKind::Negotiate(asked), LONG);
        let (attempted, chosen) = tokio::join!(checker.run(&check, Stage::Negotiate), serve_one());
        assert_eq!(attempted.verdict.unwrap().detail, "SERVING", "{engine:?}");
        assert_eq!(chosen.as_deref(), Some(&b"h2"[..]), "{engine:?}");
    }
}

/// A check of https or http that keeps its connection.
fn keeping(
    protocol: &'static str,
    target: SocketAddr,
) -> (Negotiate, impl Fn(Negotiate) -> Arc<CheckSpec>) {
    let mut asked = negotiate(protocol, target, Some("^It works!$"));
    asked.http.keep_alive = true;
    (asked, move |asked| Arc::new(spec(target, CheckKind::Negotiate(asked), LONG)))
}

#[tokio::test]
async fn a_connection_is_kept_until_its_check_is_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let (asked, check) = keeping("http", target);
    let check = check(asked);
    let checker = Checker::new();
    checker.follow(&[Arc::clone(&check)], 10);
    let answer = async |stream: &mut TcpStream| {
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut heard).await.unwrap() > 0);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nIt works!").await.unwrap();
    };
    let serve_one = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        answer(&mut stream).await;
        stream
    };
    let (attempted, mut stream) = tokio::join!(checker.run(&check, Stage::Negotiate), serve_one);
    assert!(attempted.verdict.is_ok());
    for _ in 0..3 {
        let again = checker.run(&check, Stage::Negotiate);
        let (attempted, ()) = tokio::join!(again, answer(&mut stream));
        assert!(attempted.verdict.is_ok());
        let mut phases = attempted.trace.times.iter().map(|(phase, _)| phase);
        assert!(phases.all(|phase| phase >= Phase::Send), "{}", attempted.trace);
    }
    checker.follow(&[], 10);
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "it is closed");
}

#[tokio::test]
async fn sessions_go_on_with_their_own_check_alone() {
    let folder = tempfile::tempdir().unwrap();
    let cafile = folder.path().join("ca.pem");
    let trust = || {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(&cafile, made.cert.pem()).unwrap();
        let key = PKey::private_key_from_pem(made.signing_key.serialize_pem().as_bytes()).unwrap();
        (key, X509::from_pem(made.cert.pem().as_bytes()).unwrap())
    };
    for (version, verify) in [
        (SslVersion::TLS1_2, false),
        (SslVersion::TLS1_2, true),
        (SslVersion::TLS1_3, false),
        (SslVersion::TLS1_3, true),
    ] {
        let context = server_context(&trust(), |builder| {
            builder.set_min_proto_version(Some(version)).unwrap();
            builder.set_max_proto_version(Some(version)).unwrap();
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap();
        // Whether a session went on; nothing if there was no TLS.
        let serve_one = async || {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = accept(&context, stream).await?;
            let mut heard = Vec::new();
            while !heard.ends_with(b"\r\n\r\n") {
                if stream.read_buf(&mut heard).await.unwrap_or(0) == 0 {
                    return None;
                }
            }
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nIt works!").await.unwrap();
            Some(stream.ssl().session_reused())
        };
        let (mut asked, check) = keeping("https", target);
        (asked.tls.verify, asked.tls.authorities) = (verify, Some(cafile.clone()));
        let mut other = asked.clone();
        other.request.extend(b"other");
        let openssl = TlsSettings { engine: TlsEngine::Openssl, ..asked.tls.clone() };
        let openssl = Negotiate { tls: openssl, ..asked.clone() };
        let (one, other, openssl) = (check(asked), check(other), check(openssl));
        let checker = Checker::new();
        checker.follow(&[Arc::clone(&one), Arc::clone(&other), Arc::clone(&openssl)], 10);
        for (check, goes_on) in [
            (&one, false),
            (&one, true),
            (&other, false),
            (&one, true),
            (&other, true),
            (&openssl, false),
            (&openssl, false),
        ] {
            let (attempted, reused) =
                tokio::join!(checker.run(check, Stage::Negotiate), serve_one());
            assert_eq!(
                attempted.verdict.map(|pass| pass.detail),
                Ok("200 OK".to_owned()),
                "{version:?}"
            );
            assert_eq!(reused, Some(goes_on), "{version:?} {verify}");
        }
        if verify {
            // Nobody vouches for the server any more; that a session would go on does not help it.
            trust();
            let (attempted, reused) =
                tokio::join!(checker.run(&one, Stage::Negotiate), serve_one());
            assert_eq!(attempted.verdict.unwrap_err().reason, Reason::Tls, "{version:?}");
            assert_eq!(reused, None, "{version:?}");
        }
        // What is no longer asked for is forgotten.
        checker.follow(&[], 10);
        checker.follow(&[Arc::clone(&other)], 10);
        if !verify {
            let (_, reused) = tokio::join!(checker.run(&other, Stage::Negotiate), serve_one());
            assert_eq!(reused, Some(false), "{version:?}");
        }
    }
}

#[tokio::test]
async fn a_kept_connection_ends_when_the_files_of_tls_change() {
    let folder = tempfile::tempdir().unwrap();
    let cafile = folder.path().join("ca.pem");
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&cafile, made.cert.pem()).unwrap();
    let key = PKey::private_key_from_pem(made.signing_key.serialize_pem().as_bytes()).unwrap();
    let certificate = X509::from_pem(made.cert.pem().as_bytes()).unwrap();
    let context = server_context(&(key, certificate), |_| {});
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let (mut asked, check) = keeping("https", target);
    (asked.tls.verify, asked.tls.authorities) = (true, Some(cafile.clone()));
    let check = check(asked);
    let checker = Checker::new();
    checker.follow(&[Arc::clone(&check)], 10);
    let answer = async |stream: &mut SslStream<TcpStream>| {
        stream.read_buf(&mut Vec::with_capacity(1000)).await.unwrap();
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nIt works!";
        stream.write_all(answer).await.unwrap();
    };
    let serve_one = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = accept(&context, stream).await.unwrap();
        answer(&mut stream).await;
        stream
    };
    let (attempted, mut stream) = tokio::join!(checker.run(&check, Stage::Negotiate), serve_one);
    assert!(attempted.verdict.is_ok());
    let again = checker.run(&check, Stage::Negotiate);
    let (attempted, ()) = tokio::join!(again, answer(&mut stream));
    assert!(attempted.verdict.is_ok());
    // Nobody vouches for the server any more.
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&cafile, other.cert.pem()).unwrap();
    let refuses = async {
        let (stream, _) = listener.accept().await.unwrap();
        assert!(accept(&context, stream).await.is_none());
    };
    let (attempted, ()) = tokio::join!(checker.run(&check, Stage::Negotiate), refuses);
    assert_eq!(attempted.verdict.unwrap_err().reason, Reason::Tls);
}

#[tokio::test]
async fn a_session_that_a_server_does_not_like_is_no_fault_of_it() {
    let context = server_context(&certificate(2048, MessageDigest::sha256()), |_| {});
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let (asked, check) = keeping("https", target);
    let check = check(asked);
    let checker = Checker::new();
    checker.follow(&[Arc::clone(&check)], 10);
    let serve_one = async || {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = accept(&context, stream).await.unwrap();
        stream.read_buf(&mut Vec::with_capacity(1000)).await.unwrap();
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nIt works!").await.unwrap();
        stream.ssl().session_reused()
    };
    let (attempted, _) = tokio::join!(checker.run(&check, Stage::Negotiate), serve_one());
    assert!(attempted.verdict.is_ok());
    let breaks_once = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_buf(&mut Vec::with_capacity(4000)).await.unwrap();
        drop(stream);
        serve_one().await
    };
    let (attempted, reused) = tokio::join!(checker.run(&check, Stage::Negotiate), breaks_once);
    assert_eq!((attempted.verdict.is_ok(), reused), (true, false));
    // Without a session it is a fault, and of a server that is down nobody asks twice.
    let dies = async {
        for _ in 0..3 {
            drop(listener.accept().await.unwrap());
        }
    };
    let (attempted, ()) = tokio::join!(checker.run(&check, Stage::Negotiate), dies);
    assert_eq!(attempted.verdict.unwrap_err().reason, Reason::Reset);
}

#[tokio::test]
async fn a_server_that_is_no_longer_old_is_found_again() {
    let identity = certificate(2048, MessageDigest::sha256());
    let old = server_context(&identity, |builder| {
        builder.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
        builder.set_max_proto_version(Some(SslVersion::TLS1_1)).unwrap();
    });
    let checker = Checker::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let serve_one = async |context: &SslContext| {
        let (stream, _) = listener.accept().await.unwrap();
        if let Some(mut stream) = accept(context, stream).await {
            stream.read_buf(&mut Vec::with_capacity(1000)).await.unwrap();
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nIt works!").await.unwrap();
        }
    };
    let twice = async {
        serve_one(&old).await;
        serve_one(&old).await;
    };
    assert!(tokio::join!(https(&checker, target, None), twice).0.is_ok());
    // It breaks: OpenSSL fails, and the next attempt begins with rustls again, which this server wants.
    let broken = async { drop(listener.accept().await.unwrap()) };
    assert!(tokio::join!(https(&checker, target, None), broken).0.is_err());
    let new = server_context(&identity, |builder| {
        builder.set_min_proto_version(Some(SslVersion::TLS1_3)).unwrap();
        builder.set_ciphersuites("TLS_CHACHA20_POLY1305_SHA256").unwrap();
    });
    assert!(tokio::join!(https(&checker, target, None), serve_one(&new)).0.is_ok());
}

#[tokio::test]
async fn every_kind_of_check_passes_where_it_should() {
    let checker = Checker::new();
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let connect = spec(target, CheckKind::Connect, LONG);
    let (attempted, _) = tokio::join!(checker.run(&connect, Stage::Negotiate), listener.accept());
    assert!(attempted.verdict.is_ok());
    assert_eq!(attempted.trace.phase, Phase::Connect);

    let ping = spec("[::1]:0".parse().unwrap(), CheckKind::Ping { attempts: 3 }, LONG);
    assert!(checker.run(&ping, Stage::Negotiate).await.verdict.is_ok());

    let program = |program: &str| CheckKind::External {
        program: program.into(),
        arguments: vec!["a".into()],
    };
    assert!(
        checker
            .run(&spec(target, program("/bin/true"), LONG), Stage::Negotiate)
            .await
            .verdict
            .is_ok()
    );
    let verdict =
        checker.run(&spec(target, program("/bin/false"), LONG), Stage::Negotiate).await.verdict;
    assert_eq!(verdict.unwrap_err().reason, Reason::Command);

    let none = CheckKind::Negotiate(negotiate("none", target, None));
    assert!(checker.run(&spec(target, none, LONG), Stage::Negotiate).await.verdict.is_ok());

    let combined = CheckKind::Combined {
        connects: 2,
        connect_timeout: LONG,
        negotiate: negotiate("http", target, Some("hello")),
    };
    let combined = spec(target, combined, LONG);
    let (attempted, _) = tokio::join!(checker.run(&combined, Stage::Connect), listener.accept());
    assert!(attempted.verdict.is_ok());
    let answer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut heard).await.unwrap() > 0);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").await.unwrap();
        String::from_utf8(heard).unwrap()
    };
    let (attempted, heard) = tokio::join!(checker.run(&combined, Stage::Negotiate), answer);
    assert_eq!(attempted.verdict.unwrap().detail, "200 OK");
    assert_eq!(attempted.trace.phase, Phase::Match);
    assert_eq!(attempted.trace.received, b"HTTP/1.1 200 OK\r\n\r\nhello");
    assert!(heard.contains("\r\nHost: [::1]\r\n"), "{heard}");

    for address in ["127.0.0.1:0", "[::1]:0"] {
        let peer = UdpSocket::bind(address).await.unwrap();
        let target = peer.local_addr().unwrap();
        let mut asked = negotiate("simpletcp", target, Some("^PONG$"));
        (asked.transport, asked.request) = (Transport::Udp, br"/PING\n".to_vec());
        let check = spec(target, CheckKind::Negotiate(asked), LONG);
        let answer = async {
            let mut heard = [0; 100];
            let (length, from) = peer.recv_from(&mut heard).await.unwrap();
            assert_eq!(&heard[..length], b"PING\n");
            peer.send_to(b"PONG", from).await.unwrap();
        };
        let (attempted, ()) = tokio::join!(checker.run(&check, Stage::Negotiate), answer);
        assert_eq!(attempted.verdict.unwrap().detail, "PONG");
        assert_eq!(attempted.trace.received, b"PONG");
    }

    drop(listener);
    let verdict = checker.run(&combined, Stage::Connect).await.verdict;
    assert_eq!(
        verdict.unwrap_err().detail,
        format!("cannot connect to {target}: connection refused (ECONNREFUSED)")
    );
}

#[tokio::test]
async fn a_check_that_is_dropped_lets_go_of_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let check = spec(target, CheckKind::Negotiate(negotiate("http", target, None)), LONG);
    let running =
        tokio::spawn(async move { Checker::new().run(&check, Stage::Negotiate).await.verdict });
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n") {
        assert!(stream.read_buf(&mut heard).await.unwrap() > 0);
    }
    assert!(heard.starts_with(b"GET / HTTP/1.1\r\n"));
    running.abort();
    assert_eq!(stream.read_buf(&mut heard).await.unwrap(), 0);
}
