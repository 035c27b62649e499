//! What hostile peers can take from us: little memory, and neither descriptors nor processes.
//!
//! A test binary of its own with one test, because memory and descriptors are those of the whole process.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "support/asked.rs"]
mod asked;
#[path = "support/world.rs"]
#[allow(dead_code, reason = "of it the names are used")]
mod world;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ldirectord::{
    checks::{Checker, catalogue},
    model::{Carrier, CheckKind, CheckSpec, ProtocolInfo, Stage},
};
use peak_alloc::PeakAlloc;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    runtime::Builder,
    task::JoinSet,
    time::{sleep, timeout},
};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What a connection may take, in bytes, besides what is matched.
const CONNECTION: usize = 64 * 1024;

/// As much as a peer says at most, in bytes: a line of 100 MB.
const ENDLESS: usize = 100_000_000;

/// How many answers that fuzzing has kept are said to each protocol.
const KEPT: usize = 10;

/// Of so much text the peers say something again and again.
static TEXTS: [[u8; 16 * 1024]; 3] = [[b'x'; 16 * 1024], [0; 16 * 1024], [b'\n'; 16 * 1024]];

/// What a protocol needs of an answer at once, in bytes: to match it, or because a library reads it whole. While it
/// grows, a buffer is there twice.
fn needed(protocol: &str) -> usize {
    const MIB: usize = 1024 * 1024;
    match protocol {
        // A body or a file is matched as a whole.
        "http" | "https" | "http_proxy" | "ftp" => 2 * MIB,
        // The first row, in tokio-postgres, which makes more room than it needs.
        "pgsql" => 3 * MIB,
        // A line, a reply, a message is.
        "simpletcp" | "redis" => 2 * CONNECTION,
        "dns" => 3 * CONNECTION,
        // A frame of 16 KiB, which the library keeps while it says what was in it.
        "grpc" | "grpcs" => CONNECTION / 4,
        _ => 0,
    }
}

/// A peer that says this again and again, whatever it hears.
async fn pour(mut stream: TcpStream, says: &[u8]) {
    let mut said = 0;
    while said < ENDLESS && stream.write_all(says).await.is_ok() {
        said += says.len();
    }
}

/// Runs a check of a peer that does so; says how much memory it took at most.
async fn memory_of<Peer: Future<Output = ()> + Send + 'static>(
    checker: &Checker,
    info: &ProtocolInfo,
    peer: impl FnOnce(TcpStream) -> Peer,
) -> usize {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let check = asked::check(info, "tcp", listener.local_addr().unwrap());
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let behaving = async {
        // It may be that nobody is asked.
        if let Ok(accepted) = timeout(Duration::from_secs(1), listener.accept()).await {
            peer(accepted.unwrap().0).await;
        }
    };
    // Some of what fuzzing has kept are good answers.
    let (_attempted, ()) = tokio::join!(checker.run(&check, Stage::Negotiate), behaving);
    MEMORY.peak_usage().saturating_sub(before)
}

fn streams() -> impl Iterator<Item = ProtocolInfo> {
    let all = catalogue().into_iter();
    all.filter(|info| matches!(info.carrier, Carrier::Tcp | Carrier::Tls | Carrier::AsService))
}

/// What fuzzing has kept of the answers of this protocol, each without the bytes that say how it is used.
fn kept(protocol: &str) -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/reply").join(protocol);
    let Ok(files) = fs::read_dir(corpus) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    let said =
        paths.iter().map(|path| fs::read(path).unwrap().into_iter().skip(4).collect::<Vec<u8>>());
    said.filter(|said| !said.is_empty()).collect()
}

async fn memory_is_bounded(checker: &Checker) -> Vec<String> {
    let mut faults = Vec::new();
    for info in streams() {
        let most = CONNECTION + needed(info.name);
        let mut judge = |what: &str, took: usize| {
            if took > most {
                faults
                    .push(format!("{} took {took} bytes of memory, not {most}: {what}", info.name));
            }
        };
        // What is made once, such as the settings of TLS, is no matter of a connection.
        memory_of(checker, &info, |stream| pour(stream, &TEXTS[0])).await;
        for text in &TEXTS {
            let took = memory_of(checker, &info, |stream| pour(stream, text)).await;
            judge(&format!("{:?} without end", char::from(text[0])), took);
        }
        let answers: &'static [Vec<u8>] = Box::leak(kept(info.name).into());
        let step = answers.len().div_ceil(KEPT).max(1);
        for answer in answers.iter().step_by(step) {
            let took = memory_of(checker, &info, |stream| pour(stream, answer)).await;
            judge(&answer.escape_ascii().to_string(), took);
        }
    }
    faults
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The processes that this one has started and not heard the end of.
fn children() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let of =
        |task: io::Result<fs::DirEntry>| fs::read_to_string(task.unwrap().path().join("children"));
    let numbers: Vec<String> = tasks.filter_map(|task| of(task).ok()).collect();
    numbers.iter().flat_map(|line| line.split_whitespace()).map(str::to_owned).collect()
}

/// A peer on loopback that does so to each who comes.
async fn serve<Peer: Future<Output = ()> + Send + 'static>(
    peer: fn(TcpStream) -> Peer,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(peer(stream));
        }
    });
    target
}

/// Checks that are ended in every way, each kind of them, and cancelled ones.
async fn everything_is_returned(checker: &Checker) {
    let silent = serve(|mut stream| async move {
        // Until the other side closes.
        while stream.read_buf(&mut Vec::with_capacity(4096)).await.unwrap_or(0) > 0 {}
    });
    let resets = serve(|mut stream| async move {
        stream.read_buf(&mut Vec::with_capacity(4096)).await.unwrap_or(0);
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
    let closes = serve(|stream| async move { drop(stream) });
    let pours = serve(|stream| pour(stream, &TEXTS[0]));
    let peers = [silent.await, resets.await, closes.await, pours.await];
    let hole = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut checks = Vec::new();
    for info in catalogue() {
        if info.carrier != Carrier::Udp {
            checks.extend(peers.map(|target| asked::check(&info, "tcp", target)));
        }
        if matches!(info.carrier, Carrier::Udp | Carrier::AsService) {
            checks.push(asked::check(&info, "udp", hole.local_addr().unwrap()));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("check.pl");
    fs::write(&program, "system('sleep 1000 & sleep 1000');\n").unwrap();
    let arguments = ["-c", "sleep 1000 & sleep 1000"].map(Into::into).to_vec();
    for kind in [
        CheckKind::Connect,
        CheckKind::External { program: "/bin/sh".into(), arguments },
        CheckKind::ExternalPerl { program, arguments: vec!["1".into()] },
    ] {
        checks.push(CheckSpec { kind, ..checks[0].clone() });
    }
    let ping = CheckSpec { kind: CheckKind::Ping { attempts: 1 }, ..checks[0].clone() };
    // One socket for all pings stays.
    assert!(checker.run(&ping, Stage::Negotiate).await.verdict.is_ok());
    checks.push(ping);

    let before = descriptors();
    for is_cancelled in [false, true] {
        let mut running = JoinSet::new();
        for check in &checks {
            let (checker, check) = (checker.clone(), check.clone());
            running.spawn(async move { checker.run(&check, Stage::Negotiate).await });
        }
        if is_cancelled {
            sleep(Duration::from_millis(300)).await;
            running.abort_all();
        }
        while running.join_next().await.is_some() {}
        let mut left = (0, Vec::new());
        for _ in 0..500 {
            left = (descriptors().saturating_sub(before), children());
            if left.0 == 0 && left.1.is_empty() {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(
            left,
            (0, Vec::new()),
            "descriptors and processes are left, cancelled: {is_cancelled}"
        );
    }
}

#[test]
fn hostile_peers_take_little_memory_and_nothing_else() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let checker = Checker::new();
        everything_is_returned(&checker).await;
        let faults = memory_is_bounded(&checker).await;
        assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    });
}
