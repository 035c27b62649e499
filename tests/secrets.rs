//! What is left in memory of the passwords that checks log in with: nothing, once the configuration is gone.
//!
//! A test binary of its own, because it looks through all of the memory that it may write to.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    net::SocketAddr,
    os::unix::{
        fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
        process::CommandExt as _,
    },
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use ldirectord::{
    checks::{Checker, catalogue},
    daemon::load::{self, Purpose},
    model::Stage,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket},
    runtime::Builder,
};
use zeroize::Zeroizing;

/// How much of the password's end is looked for, in bytes: who frees memory writes over its start.
const END: usize = 24;

/// The password with the bits of each byte turned, so that whoever looks for it is not found.
const TURNED: [u8; 100] = {
    let mut bytes =
        *b"NoBodyShallReadThis-andThisNeither-thoughItIsSoLongThatWhatFreesMemoryLeavesItsEnd-asItIs-ByAllMeans";
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = !bytes[at];
        at += 1;
    }
    bytes
};

/// Whether the end of the password begins here.
fn begins(bytes: &[u8]) -> bool {
    let end = &TURNED[TURNED.len() - END..];
    bytes.len() >= END && bytes.iter().zip(end).all(|(byte, turned)| *byte == !*turned)
}

fn places(bytes: &[u8]) -> usize {
    (0..bytes.len()).filter(|start| begins(&bytes[*start..])).count()
}

/// How often the password stands in the memory of this process; what is read to find out, aside.
fn places_in_memory() -> usize {
    let memory = File::open("/proc/self/mem").unwrap();
    let mut piece = Zeroizing::new(vec![0; 1 << 20]);
    let own = piece.as_ptr().addr();
    let own = own..own + piece.len();
    let mut found = 0;
    for line in fs::read_to_string("/proc/self/maps").unwrap().lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        if !rest.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let [mut at, end] = [start, end].map(|hex| usize::from_str_radix(hex, 16).unwrap());
        while at < end {
            let length = piece.len().min(end - at);
            // Not all of it can be read: pages of devices, guards of stacks.
            if memory.read_exact_at(&mut piece[..length], at.try_into().unwrap()).is_ok() {
                found += (0..length)
                    .filter(|start| !own.contains(&(at + start)) && begins(&piece[*start..length]))
                    .count();
            }
            // What lies across the end of a piece is seen at the next.
            at += if length < piece.len() { length } else { length - END };
        }
    }
    found
}

/// The protocols that send a password as it is, and what a server says that lets us in.
const SERVERS: &[(&str, &[u8])] = &[
    ("ftp", b"220 hi\r\n331 who?\r\n230 in\r\n221 bye\r\n"),
    ("http", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("imap", b"* OK hi\r\nA1 OK in\r\nA2 OK bye\r\n"),
    (
        "ldap",
        b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\0\x04\0\x04\0\x30\x09\x02\x01\x02\x64\x04\x04\0\x30\0\
          \x30\x0c\x02\x01\x02\x65\x07\x0a\x01\0\x04\0\x04\0",
    ),
    ("mqtt", b"\x20\x02\0\0"),
    ("pop", b"+OK hi\r\n-ERR what?\r\n+OK\r\n+OK in\r\n+OK 0 0\r\n+OK bye\r\n"),
    ("redis", b"+OK\r\n+PONG\r\n+OK\r\n"),
];

/// Says this to whoever comes, and tells how often it heard the password.
async fn serve(listener: TcpListener, says: &'static [u8]) -> usize {
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(says).await.unwrap();
    let mut heard = Zeroizing::new(Vec::with_capacity(64 * 1024));
    while stream.read_buf(&mut *heard).await.unwrap_or(0) > 0 {}
    places(&heard)
}

/// Writes a configuration with the password in it, and keeps no copy.
fn write(path: &Path, targets: &[(&str, SocketAddr)], radius: SocketAddr) {
    let password = Zeroizing::new(TURNED.map(|byte| !byte));
    let mut text = Zeroizing::new(Vec::with_capacity(64 * 1024));
    text.extend(b"checktimeout=2\nnegotiatetimeout=2\ncredentials=\"credentials\"\n");
    for (number, (protocol, target)) in (1..).zip(targets.iter().chain([&("radius", radius)])) {
        let (port, transport) = (target.port(), if *protocol == "radius" { "udp" } else { "tcp" });
        text.extend(
            format!(
                "virtual=192.0.2.{number}:{port}\n\treal=127.0.0.1:{port} masq\n\tprotocol={transport}\n\t\
                 service={protocol}\n\tchecktype=negotiate\n"
            )
            .bytes(),
        );
        let names: &[&str] = match *protocol {
            // Of the credentials file.
            "redis" => {
                text.extend(b"\tcredentials=web\n");
                &[]
            }
            "http" => &["requestheader=\"Authorization: Bearer ", "requestbody=\""],
            "radius" => &["login=\"web\"\n\tpasswd=\"", "secret=\""],
            _ => &["login=\"web\"\n\tpasswd=\""],
        };
        for name in names {
            text.push(b'\t');
            text.extend(name.bytes());
            text.extend(password.iter());
            text.extend(b"\"\n");
        }
    }
    fs::write(path, &*text).unwrap();
    let credentials = path.with_file_name("credentials");
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(credentials).unwrap();
    file.write_all(b"[web]\nlogin=web\npasswd=").unwrap();
    file.write_all(&*password).unwrap();
}

#[test]
fn nothing_is_left_of_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ldirectord.cf");
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut targets, mut servers) = (Vec::new(), Vec::new());
        for (protocol, says) in SERVERS {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            targets.push((*protocol, listener.local_addr().unwrap()));
            servers.push((*protocol, tokio::spawn(serve(listener, says))));
        }
        let radius = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        write(&path, &targets, radius.local_addr().unwrap());
        let reading = load::load(&path, Purpose::Ask).unwrap();
        let remarks = reading.remarks();
        let desired = reading.desired.unwrap_or_else(|| panic!("{remarks}"));
        drop((reading.sources, reading.diagnostics, reading.seen));
        assert!(places_in_memory() >= targets.len(), "who looks for it finds it");

        let checker = Checker::new();
        for check in &desired.checks {
            let attempted = checker.run(check, Stage::Negotiate).await;
            let is_up = attempted.verdict.is_ok();
            // The last of them, that of RADIUS, is answered by nobody.
            assert_eq!(
                is_up,
                check.target.port() != radius.local_addr().unwrap().port(),
                "{attempted:?}"
            );
        }
        for (protocol, server) in servers {
            assert!(server.await.unwrap() > 0, "{protocol} sends it");
        }
    });
    drop(runtime);
    assert_eq!(places_in_memory(), 0, "the password is left in memory");
}

#[test]
fn every_protocol_with_a_password_is_tried_or_named_here() {
    // Over TLS the same is sent, and by WebSocket what HTTP sends. MySQL sends what it makes of the password; tokio-postgres keeps copies of its own.
    let others = ["mysql", "pgsql", "radius", "ws", "wss"];
    for info in catalogue() {
        let has_password = info.uses(false).any(|directive| directive == "passwd");
        let is_tried = SERVERS.iter().any(|(name, _)| info.name.starts_with(name));
        assert!(!has_password || is_tried || others.contains(&info.name), "{}", info.name);
    }
}

#[test]
fn nobody_may_look_into_the_program() {
    // It waits for a configuration.
    let mut command = Command::new(env!("CARGO_BIN_EXE_ldirectord"));
    command.args(["validate", "-"]).stdin(Stdio::piped()).stdout(Stdio::null());
    if nix::unistd::geteuid().is_root() {
        command.uid(65_534);
    }
    let mut child = command.spawn().unwrap();
    let environment = format!("/proc/{}/environ", child.id());
    let owner = || fs::metadata(&environment).unwrap().uid();
    // The kernel gives such files of a process that must not be dumped to root.
    let is_kept = (0..500).any(|_| {
        thread::sleep(Duration::from_millis(20));
        owner() == 0
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(is_kept, "the program can be dumped");
}
