//! How long after its timeout a check has its verdict, at most, whatever its peer does.
//!
//! In this process, on one thread, as the daemon does it: each protocol of the catalogue is asked of peers that keep it
//! waiting, one check after another, and the latest of the verdicts counts. What the kernel and the peers, on the same
//! thread, take of the time counts, too.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ldirectord::checks::{Checker, catalogue};
use ldirectord::model::{Carrier, ProtocolInfo, Stage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Builder;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::{Problem, asked, head, print};

/// How often each protocol meets each peer.
const RUNS: u32 = 5;

/// What peers do who keep us waiting.
const PEERS: [(&str, Behaviour); 5] = [
    ("is silent", Behaviour::Silent),
    ("says a byte a second", Behaviour::Slow),
    ("says a line without end", Behaviour::Endless(b'x')),
    ("says zeros without end", Behaviour::Endless(0)),
    ("says empty lines without end", Behaviour::Endless(b'\n')),
];

#[derive(Clone, Copy)]
enum Behaviour {
    Silent,
    Slow,
    Endless(u8),
}

pub(crate) fn measure() -> Result<(), Problem> {
    head(&format!("Verdicts beyond a timeout of 1 s, the latest of {RUNS} (aim: within 50 ms)"));
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let checker = Checker::new();
        let mut latest = Duration::ZERO;
        for info in catalogue() {
            for (name, behaviour) in PEERS {
                let Some(overrun) = overrun(&checker, &info, behaviour).await? else { continue };
                latest = latest.max(overrun);
                let figure = format!("{:.1} ms", overrun.as_secs_f64() * 1e3);
                print(&format!("{} of a peer that {name}", info.name), &figure, "");
            }
        }
        print("the latest of all", &format!("{:.1} ms", latest.as_secs_f64() * 1e3), "");
        Ok(())
    })
}

/// The longest time beyond the timeout; none where no check came so far.
async fn overrun(
    checker: &Checker,
    info: &ProtocolInfo,
    behaviour: Behaviour,
) -> Result<Option<Duration>, Problem> {
    let is_datagram = info.carrier == Carrier::Udp;
    let (target, peer) = if is_datagram { hole().await? } else { serve(behaviour).await? };
    let check = asked::check(info, if is_datagram { "udp" } else { "tcp" }, target);
    let mut longest = None;
    for _ in 0..RUNS {
        let start = Instant::now();
        let _attempted = checker.run(&check, Stage::Negotiate).await;
        longest = longest.max(start.elapsed().checked_sub(check.timeout));
    }
    peer.abort();
    Ok(longest)
}

/// A port where datagrams are heard, and never answered.
async fn hole() -> Result<(SocketAddr, JoinHandle<()>), Problem> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let target = socket.local_addr()?;
    let hearing = async move { while socket.recv(&mut [0; 4096]).await.is_ok() {} };
    Ok((target, tokio::spawn(hearing)))
}

async fn serve(behaviour: Behaviour) -> Result<(SocketAddr, JoinHandle<()>), Problem> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let target = listener.local_addr()?;
    let serving = async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(behave(stream, behaviour));
        }
    };
    Ok((target, tokio::spawn(serving)))
}

/// Behaves so until the other side closes.
async fn behave(mut stream: TcpStream, behaviour: Behaviour) {
    match behaviour {
        Behaviour::Silent => while stream.read(&mut [0; 4096]).await.unwrap_or(0) > 0 {},
        Behaviour::Slow => {
            while stream.write_all(b"2").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        }
        Behaviour::Endless(byte) => {
            let text = vec![byte; 16 * 1024];
            while stream.write_all(&text).await.is_ok() {}
        }
    }
}
