//! The half of the daemon: it listens, reads requests, and hands them to the loop.
//!
//! In go connections, out come [`Asked`]; the loop answers each when it likes. Reading, writing and putting answers into
//! words is done beside the loop, so that a client that is slow, or sends nothing, holds up nobody.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream, unix::UCred},
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};

use super::protocol::{Answer, Ask, LONGEST_REQUEST, Request};

/// How many clients are served at a time; others wait until one has gone.
const CLIENTS: usize = 32;

/// How many connections wait to be accepted.
const BACKLOG: i32 = 64;

/// How long a client may say nothing.
const IDLE: Duration = Duration::from_secs(60);

/// How long a client may take for an answer.
const SLOWEST: Duration = Duration::from_secs(30);

/// A question and who waits for the answer.
#[derive(Debug)]
pub struct Asked {
    /// The question.
    pub ask: Ask,
    /// Who asks.
    pub peer: Peer,
    /// Where the answer goes; that nobody waits for it any more is nobody's fault.
    pub reply: oneshot::Sender<Answer>,
}

/// Who is at the other end, as the kernel says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Its user.
    pub uid: u32,
    /// Its process, where the kernel knows.
    pub pid: Option<i32>,
}

/// Answers on the control socket.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    _file: SocketFile,
    clients: JoinSet<()>,
    questions: mpsc::Receiver<Asked>,
    asker: mpsc::Sender<Asked>,
}

/// A control socket on which nobody answers yet. Its file goes with it, too.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    file: SocketFile,
}

impl Listener {
    /// Listens at this path, whose folder is made if it is not there. What a daemon that crashed left is replaced; where
    /// one listens, that is an error.
    pub fn bind(path: &Path) -> io::Result<Listener> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        remove_dead(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let file = SocketFile(path.to_owned());
        // Nobody can connect before it listens.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        socket.set_nonblocking(true)?;
        socket.listen(BACKLOG)?;
        Ok(Listener { socket, file })
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.file.0
    }

    /// Takes those who connect from now on; within a runtime.
    pub fn serve(self) -> io::Result<Server> {
        let (asker, questions) = mpsc::channel(CLIENTS);
        let listener = UnixListener::from_std(self.socket.into())?;
        Ok(Server { listener, _file: self.file, clients: JoinSet::new(), questions, asker })
    }
}

/// Removes a control socket on which nobody listens any more; where somebody does, that is an error.
pub fn remove_dead(path: &Path) -> io::Result<()> {
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Ok(()) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The file of a socket, which goes with it.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may be gone, or its folder not ours.
        fs::remove_file(&self.0).unwrap_or_default();
    }
}

impl Server {
    /// The next question.
    pub async fn next(&mut self) -> Asked {
        loop {
            let has_room = self.clients.len() < CLIENTS;
            tokio::select! {
                Some(asked) = self.questions.recv() => return asked,
                Some(_) = self.clients.join_next() => {}
                accepted = self.listener.accept(), if has_room => match accepted {
                    Ok((stream, _)) => {
                        let asker = self.asker.clone();
                        self.clients.spawn(async move {
                            // A client that is gone, or says nonsense, is nobody's fault.
                            serve(stream, asker).await.unwrap_or_default();
                        });
                    }
                    // No descriptor is left, say: those that we have will go.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                },
            }
        }
    }
}

/// Serves one client until it goes.
async fn serve(stream: UnixStream, asker: mpsc::Sender<Asked>) -> io::Result<()> {
    let peer = stream.peer_cred().map(Peer::from)?;
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let limit = u64::try_from(LONGEST_REQUEST).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    loop {
        line.clear();
        timeout(IDLE, (&mut reader).take(limit).read_until(b'\n', &mut line)).await??;
        if line.pop() != Some(b'\n') {
            return Ok(());
        }
        let answer = match Request::read(&line) {
            Ok(Request { ask, .. }) => {
                let (reply, answer) = oneshot::channel();
                if asker.send(Asked { ask, peer, reply }).await.is_err() {
                    return Ok(());
                }
                match answer.await {
                    Ok(answer) => answer,
                    Err(_) => return Ok(()),
                }
            }
            Err(error) => error,
        };
        // Ten thousand servers take some milliseconds to put into words.
        let words = tokio::task::spawn_blocking(move || serde_json::to_vec(&answer));
        let mut words = words.await.map_err(io::Error::other)??;
        words.push(b'\n');
        timeout(SLOWEST, writer.write_all(&words)).await??;
    }
}

impl From<UCred> for Peer {
    fn from(credentials: UCred) -> Peer {
        Peer { uid: credentials.uid(), pid: credentials.pid() }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, Write as _},
        os::unix::{fs::MetadataExt as _, net},
    };

    use super::*;
    use crate::control::client;

    fn no(message: &str) -> Answer {
        Answer::Error { message: message.to_owned(), hint: Some("ask again".to_owned()) }
    }

    #[tokio::test]
    async fn questions_come_with_who_asks_and_answers_go_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/web.cf.sock");
        let mut server = Listener::bind(&path).unwrap().serve().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let asking = path.clone();
        let client = tokio::task::spawn_blocking(move || client::ask(&asking, Ask::Status));
        let Asked { ask, peer, reply } = server.next().await;
        assert_eq!(ask, Ask::Status);
        assert_eq!(peer.pid, i32::try_from(std::process::id()).ok());
        reply.send(no("not today")).unwrap();
        // The task that writes the answer runs while somebody waits for the next question.
        let answered = tokio::select! {
            answered = client => answered.unwrap(),
            _ = server.next() => unreachable!("nobody asked anything"),
        };
        let said = answered.unwrap_err().to_string();
        let expected =
            format!("the daemon at {} answers: not today\nhint: ask again", path.display());
        assert_eq!(said, expected);
        drop(server);
        assert!(!path.exists());
        assert!(client::ask(&path, Ask::Status).unwrap_err().is_absent());
    }

    #[tokio::test]
    async fn what_a_crash_left_is_replaced_and_a_listener_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.cf.sock");
        drop(net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let _server = Listener::bind(&path).unwrap().serve().unwrap();
        assert_eq!(Listener::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn clients_that_say_nothing_or_nonsense_hold_up_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.cf.sock");
        let mut server = Listener::bind(&path).unwrap().serve().unwrap();
        let silent: Vec<_> =
            (1..CLIENTS).map(|_| net::UnixStream::connect(&path).unwrap()).collect();
        let mut odd = net::UnixStream::connect(&path).unwrap();
        let speaking = tokio::task::spawn_blocking(move || {
            odd.write_all(b"hello\n").unwrap();
            let mut said = String::new();
            io::BufReader::new(&odd).read_line(&mut said).unwrap();
            odd.write_all(&vec![b'x'; LONGEST_REQUEST + 1]).unwrap_or_default();
            let mut rest = Vec::new();
            io::Read::read_to_end(&mut odd, &mut rest).unwrap_or_default();
            (said, rest)
        });
        let (said, rest) = tokio::select! {
            spoken = speaking => spoken.unwrap(),
            _ = server.next() => unreachable!("nobody asked anything"),
        };
        assert!(said.contains("this is no request"), "{said}");
        assert!(rest.is_empty());
        let asking = path.clone();
        let client = tokio::task::spawn_blocking(move || client::ask(&asking, Ask::Status));
        server.next().await.reply.send(no("not today")).unwrap();
        tokio::select! {
            answered = client => assert!(!answered.unwrap().unwrap_err().is_absent()),
            _ = server.next() => unreachable!("nobody asked anything"),
        };
        drop(silent);
    }
}
