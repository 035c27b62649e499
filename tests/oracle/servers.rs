//! The real servers of a stage: sockets in its network namespace that behave as a scene says.
//!
//! In: commands over a channel. Out: answers to whoever connects. One thread a stage, one task a server.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, thread, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, rustls};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Http,
    Https,
    Tcp,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    Up,
    Down,
    Wrong,
    Silent,
    Closing,
    Answer(u16),
    Redirect(String),
}

/// A server, as a scene describes it.
#[derive(Clone, Debug)]
pub struct Server {
    pub kind: Kind,
    pub address: SocketAddr,
    /// Bodies of paths that have one of their own.
    pub pages: BTreeMap<String, String>,
    pub state: State,
}

/// The certificate of all https servers, and what a client needs to trust it.
#[derive(Clone)]
pub struct Certificate {
    pub pem: String,
    acceptor: TlsAcceptor,
}

impl Certificate {
    /// Self-signed for a name that no scene uses: names are not what the checks look at.
    pub fn make() -> Certificate {
        let made = rcgen::generate_simple_self_signed(vec!["servers.example".into()]).unwrap();
        let chain = vec![made.cert.der().clone()];
        let key =
            rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Certificate { pem: made.cert.pem(), acceptor: TlsAcceptor::from(Arc::new(config)) }
    }
}

enum Command {
    Set { address: SocketAddr, state: State, done: std::sync::mpsc::Sender<Result<(), String>> },
}

/// The servers of one stage.
pub struct Servers {
    commands: mpsc::UnboundedSender<Command>,
    /// How often `clock` was connected to.
    hits: watch::Receiver<u64>,
}

impl Servers {
    /// Must be called on a thread of the network namespace they are to live in. `clock` is one more server,
    /// whose connections are counted.
    pub fn start(
        servers: Vec<Server>,
        clock: SocketAddr,
        certificate: Certificate,
    ) -> Result<Servers, String> {
        let (commands, receiver) = mpsc::unbounded_channel();
        let (count, hits) = watch::channel(0);
        let (ready, is_ready) = std::sync::mpsc::channel();
        let all =
            servers.iter().map(|server| (server.address, server.state.clone())).collect::<Vec<_>>();
        thread::Builder::new()
            .name("servers".into())
            .spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(serve(servers, clock, certificate, receiver, count, ready));
            })
            .map_err(|error| error.to_string())?;
        is_ready.recv().map_err(|_| "the servers did not start".to_owned())??;
        let servers = Servers { commands, hits };
        for (address, state) in all {
            servers.set(address, state)?;
        }
        Ok(servers)
    }

    pub fn set(&self, address: SocketAddr, state: State) -> Result<(), String> {
        let (done, is_done) = std::sync::mpsc::channel();
        let gone = || "the servers are gone".to_owned();
        self.commands.send(Command::Set { address, state, done }).map_err(|_| gone())?;
        is_done.recv().map_err(|_| gone())?
    }

    pub fn hits(&self) -> u64 {
        *self.hits.borrow()
    }
}

async fn serve(
    servers: Vec<Server>,
    clock: SocketAddr,
    certificate: Certificate,
    mut commands: mpsc::UnboundedReceiver<Command>,
    count: watch::Sender<u64>,
    ready: std::sync::mpsc::Sender<Result<(), String>>,
) {
    let listener =
        TcpListener::bind(clock).await.map_err(|error| format!("cannot bind {clock}: {error}"));
    let clock = match listener {
        Ok(listener) => listener,
        Err(error) => {
            _ = ready.send(Err(error));
            return;
        }
    };
    _ = ready.send(Ok(()));
    let ticking = tokio::spawn(async move {
        while clock.accept().await.is_ok() {
            count.send_modify(|count| *count += 1);
        }
    });
    let mut listening: BTreeMap<SocketAddr, (JoinHandle<()>, watch::Sender<State>)> =
        BTreeMap::new();
    while let Some(Command::Set { address, state, done }) = commands.recv().await {
        let result = async {
            let server = servers
                .iter()
                .find(|server| server.address == address)
                .ok_or(format!("there is no server {address}"))?;
            if state == State::Down {
                if let Some((task, _)) = listening.remove(&address) {
                    task.abort();
                    // The socket closes when the task is gone, and the step has been done only then.
                    _ = task.await;
                }
                return Ok(());
            }
            if let Some((_, current)) = listening.get(&address) {
                _ = current.send(state);
                return Ok(());
            }
            let listener = TcpListener::bind(address)
                .await
                .map_err(|error| format!("cannot bind {address}: {error}"))?;
            let (sender, current) = watch::channel(state);
            let task = tokio::spawn(accept(
                listener,
                server.clone(),
                current,
                certificate.acceptor.clone(),
            ));
            listening.insert(address, (task, sender));
            Ok(())
        };
        _ = done.send(result.await);
    }
    ticking.abort();
}

async fn accept(
    listener: TcpListener,
    server: Server,
    state: watch::Receiver<State>,
    tls: TlsAcceptor,
) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let (server, state, tls) = (server.clone(), state.borrow().clone(), tls.clone());
        connections.spawn(async move {
            // No scene lasts longer; a connection that is held open ends with the scene at the latest.
            _ = timeout(Duration::from_secs(300), answer(stream, &server, &state, &tls)).await;
        });
    }
}

async fn answer(
    mut stream: tokio::net::TcpStream,
    server: &Server,
    state: &State,
    tls: &TlsAcceptor,
) -> std::io::Result<()> {
    match (state, server.kind) {
        (State::Closing | State::Down, _) => Ok(()),
        (State::Silent, _) => {
            hold(&mut stream).await;
            Ok(())
        }
        (_, Kind::Tcp) => {
            hold(&mut stream).await;
            Ok(())
        }
        (_, Kind::Http) => http(&mut stream, server, state).await,
        (_, Kind::Https) => http(&mut tls.accept(stream).await?, server, state).await,
    }
}

/// Reads until the other side has had enough.
async fn hold(stream: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = [0; 512];
    while let Ok(1..) = stream.read(&mut buffer).await {}
}

async fn http(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    server: &Server,
    state: &State,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") && request.len() < 65_536 {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let request = String::from_utf8_lossy(&request);
    let mut lines = request.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let host = lines
        .find_map(|line| line.strip_prefix("Host: ").or_else(|| line.strip_prefix("host: ")))
        .unwrap_or_default();
    let (status, body, more) = match state {
        State::Wrong => (200, "broken\n".to_owned(), String::new()),
        State::Answer(status) => (*status, format!("status {status}\n"), String::new()),
        State::Redirect(url) => (302, String::new(), format!("Location: {url}\r\n")),
        _ => match server.pages.get(path) {
            Some(body) => (200, format!("{body}\n"), String::new()),
            None => (
                200,
                format!("works\nhost: {host}\npath: {path}\nmethod: {method}\n"),
                String::new(),
            ),
        },
    };
    let length = body.len();
    let body = if method == "HEAD" || status == 204 || status == 304 { "" } else { &body };
    let answer = format!(
        "HTTP/1.1 {status} Scene\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n{more}Connection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
