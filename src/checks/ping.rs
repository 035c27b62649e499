//! `checktype=ping`: the server works when it answers an ICMP echo request (RFC 792, RFC 4443), over IPv4 or IPv6.
//!
//! One socket a family serves every ping, owned by a task that sends requests and hands out replies. It is an ICMP
//! datagram socket where the kernel lets us have one (`net.ipv4.ping_group_range`), which needs no privilege; else a
//! raw one with a filter in the kernel, so that the pings of other programs do not wake us.
//! A reply counts when it comes from the address that was asked and carries what we sent.
//!
//! Differs from ldirectord: IPv6 works.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    io,
    net::{IpAddr, SocketAddr},
    sync::OnceLock,
    time::Duration,
};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::{
    net::UdpSocket,
    sync::{Mutex, mpsc, oneshot},
    time::{Instant, timeout},
};

use super::{connect, failure};
use crate::model::{Failure, Pass, Reason, Verdict};

/// How much data a request carries, in bytes, as ldirectord's.
const DATA: usize = 64;

/// How long the header is, in bytes.
const HEADER: usize = 8;

/// How many requests may wait for the task.
const QUEUE: usize = 1024;

/// What the kernel is asked to keep of replies that we have not read, in bytes.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// Sends echo requests.
#[derive(Debug, Default)]
pub(super) struct Pinger {
    opened_v4: OnceLock<Opened>,
    opened_v6: OnceLock<Opened>,
    v4: Mutex<Option<mpsc::Sender<Request>>>,
    v6: Mutex<Option<mpsc::Sender<Request>>>,
}

/// A request to send.
#[derive(Debug)]
struct Request {
    target: SocketAddr,
    /// Told when the answer is there, or that the request could not be sent.
    answer: oneshot::Sender<io::Result<()>>,
}

impl Pinger {
    /// Opens both sockets for later, when the right to may be gone. Where that fails it is tried again when one is needed.
    pub(super) fn open(&self) {
        for is_v4 in [true, false] {
            if let Ok(opened) = Opened::new(is_v4) {
                // Those that are there already serve as well.
                self.opened(is_v4).set(opened).unwrap_or_default();
            }
        }
    }

    fn opened(&self, is_v4: bool) -> &OnceLock<Opened> {
        if is_v4 { &self.opened_v4 } else { &self.opened_v6 }
    }

    /// Sends up to this many requests, each with the whole time, until one is answered.
    pub(super) async fn ping(
        &self,
        target: SocketAddr,
        attempts: u32,
        allowed: Duration,
    ) -> Verdict {
        let attempts = attempts.max(1);
        for _ in 0..attempts {
            let start = Instant::now();
            if let Ok(answered) = timeout(allowed, self.once(target)).await {
                answered?;
                let milliseconds = start.elapsed().as_secs_f64() * 1000.0;
                return Ok(Pass { detail: format!("answered in {milliseconds:.3} ms") });
            }
        }
        let detail = match attempts {
            1 => format!("no answer from {} to an echo request within {allowed:?}", target.ip()),
            _ => format!(
                "no answer from {} to {attempts} echo requests within {allowed:?} each",
                target.ip()
            ),
        };
        Err(failure(Reason::Timeout, detail))
    }

    async fn once(&self, mut target: SocketAddr) -> Result<(), Failure> {
        // A raw socket over IPv6 refuses any port but its protocol.
        target.set_port(0);
        let address = target.ip();
        let (answer, answered) = oneshot::channel();
        let task = self.task(address).await.map_err(|error| {
            let text = connect::words(&error);
            let needed = "it takes CAP_NET_RAW, or our group in net.ipv4.ping_group_range";
            failure(Reason::Internal, format!("cannot open a socket for ping: {text}; {needed}"))
        })?;
        let gone =
            || failure(Reason::Internal, format!("cannot ping {address}: the socket was closed"));
        task.send(Request { target, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?.map_err(|error| {
            let text = connect::words(&error);
            failure(connect::reason(&error), format!("cannot ping {address}: {text}"))
        })
    }

    /// The way to the task for this address, which is started if it is not there.
    async fn task(&self, address: IpAddr) -> io::Result<mpsc::Sender<Request>> {
        let mut task = if address.is_ipv4() { self.v4.lock().await } else { self.v6.lock().await };
        if let Some(sender) = task.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let is_v4 = address.is_ipv4();
        let opened = match self.opened(is_v4).get() {
            Some(opened) => opened.try_clone()?,
            None => Opened::new(is_v4)?,
        };
        let echo = Echo::new(opened, is_v4)?;
        let (sender, requests) = mpsc::channel(QUEUE);
        tokio::spawn(echo.serve(requests));
        *task = Some(sender.clone());
        Ok(sender)
    }
}

/// The numbers of the two protocols.
struct Kinds {
    request: u8,
    reply: u8,
}

const V4: Kinds = Kinds { request: 8, reply: 0 };
const V6: Kinds = Kinds { request: 128, reply: 129 };

/// A socket, and what is in the requests that are sent by it.
#[derive(Debug)]
struct Opened {
    socket: Socket,
    id: Option<u16>,
    nonce: u64,
}

/// A socket and what is awaited on it.
struct Echo {
    socket: UdpSocket,
    form: Form,
    count: u64,
    waiting: HashMap<u64, Waiting>,
    /// How many may wait before those are looked for that nobody waits for any more.
    sweep_at: usize,
}

/// What requests and replies look like.
struct Form {
    kinds: Kinds,
    /// Whether replies begin with the header of IPv4.
    has_ip_header: bool,
    /// What is in the identifier; a datagram socket has one of its own, and its kernel compares it.
    id: Option<u16>,
    /// What no other program's requests carry.
    nonce: u64,
}

struct Waiting {
    address: IpAddr,
    answer: oneshot::Sender<io::Result<()>>,
}

impl Opened {
    fn new(is_v4: bool) -> io::Result<Opened> {
        let (domain, protocol) = match is_v4 {
            true => (Domain::IPV4, Protocol::ICMPV4),
            false => (Domain::IPV6, Protocol::ICMPV6),
        };
        let nonce = RandomState::new().hash_one(0);
        let (socket, id) = match Socket::new(domain, Type::DGRAM, Some(protocol)) {
            Ok(socket) => (socket, None),
            Err(_) => {
                let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
                let id = u16::try_from(nonce & 0xffff).unwrap_or_default();
                socket.attach_filter(&if is_v4 { filter_v4(id) } else { filter_v6(id) })?;
                (socket, Some(id))
            }
        };
        socket.set_nonblocking(true)?;
        // The limit of the machine may be lower, and only a privileged process may go beyond it.
        if nix::sys::socket::setsockopt(
            &socket,
            nix::sys::socket::sockopt::RcvBufForce,
            &RECEIVE_BUFFER,
        )
        .is_err()
        {
            socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        }
        Ok(Opened { socket, id, nonce })
    }

    fn try_clone(&self) -> io::Result<Opened> {
        let Opened { ref socket, id, nonce } = *self;
        Ok(Opened { socket: socket.try_clone()?, id, nonce })
    }
}

impl Echo {
    fn new(Opened { socket, id, nonce }: Opened, is_v4: bool) -> io::Result<Echo> {
        Ok(Echo {
            // Any socket that speaks in addresses can be one to the standard library.
            socket: UdpSocket::from_std(socket.into())?,
            form: Form {
                kinds: if is_v4 { V4 } else { V6 },
                has_ip_header: is_v4 && id.is_some(),
                id,
                nonce,
            },
            count: 0,
            waiting: HashMap::new(),
            sweep_at: QUEUE,
        })
    }

    /// Serves requests until nobody can make any more, or the socket is broken.
    async fn serve(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut buffer = [0; 1024];
        let mut faults = 0;
        while faults < 100 {
            tokio::select! {
                biased;
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((length, sender)) => {
                        faults = 0;
                        self.take(buffer.get(..length).unwrap_or_default(), sender.ip());
                    }
                    // An ICMP error for one of our requests is such a fault, and says nothing of the socket.
                    Err(_) => faults += 1,
                },
                request = requests.recv() => match request {
                    Some(request) => self.send(request).await,
                    None => return,
                },
            }
        }
    }

    async fn send(&mut self, request: Request) {
        if request.answer.is_closed() {
            return;
        }
        if self.waiting.len() >= self.sweep_at {
            self.waiting.retain(|_, waiting| !waiting.answer.is_closed());
            self.sweep_at = self.waiting.len().saturating_mul(2).max(QUEUE);
        }
        self.count = self.count.wrapping_add(1);
        let packet = self.form.packet(self.form.kinds.request, self.count);
        match self.socket.send_to(&packet, request.target).await {
            Ok(_) => {
                let waiting = Waiting { address: request.target.ip(), answer: request.answer };
                self.waiting.insert(self.count, waiting);
            }
            // Whoever waited may be gone by now.
            Err(error) => drop(request.answer.send(Err(error))),
        }
    }

    /// Hands a reply to whoever waits for it; anything else is dropped.
    fn take(&mut self, packet: &[u8], sender: IpAddr) {
        let Some(count) = self.form.count_of(packet) else { return };
        if self.waiting.get(&count).is_some_and(|waiting| waiting.address == sender)
            && let Some(waiting) = self.waiting.remove(&count)
        {
            // Whoever waited may be gone by now.
            drop(waiting.answer.send(Ok(())));
        }
    }
}

impl Form {
    /// A request or a reply: type, code, checksum, identifier, sequence number, data.
    fn packet(&self, kind: u8, count: u64) -> [u8; HEADER + DATA] {
        let mut packet = [0; HEADER + DATA];
        let sequence = u16::try_from(count & 0xffff).unwrap_or_default();
        let parts: [&[u8]; 6] = [
            &[kind, 0, 0, 0],
            &self.id.unwrap_or_default().to_be_bytes(),
            &sequence.to_be_bytes(),
            &self.nonce.to_be_bytes(),
            &count.to_be_bytes(),
            b"a health check of a real server by ldirectord...",
        ];
        for (place, byte) in packet.iter_mut().zip(parts.into_iter().flatten()) {
            *place = *byte;
        }
        // For IPv6 the kernel does it, over addresses that we do not know.
        let sum = checksum(&packet).to_be_bytes();
        for (place, byte) in packet.iter_mut().skip(2).zip(sum) {
            *place = byte;
        }
        packet
    }

    /// The number of the request that this is a reply to, if it is one of ours.
    fn count_of(&self, packet: &[u8]) -> Option<u64> {
        let packet = match self.has_ip_header {
            true => packet.get(usize::from(packet.first()? & 0x0f).saturating_mul(4)..)?,
            false => packet,
        };
        let count = packet.get(16..24)?.try_into().ok().map(u64::from_be_bytes)?;
        let expected = self.packet(self.kinds.reply, count);
        // The checksum is the kernel's business, and the identifier of a datagram socket too.
        let compared = if self.id.is_some() { 4 } else { 6 };
        let is_ours = packet.get(..2)? == expected.get(..2)?
            && packet.get(compared..)? == expected.get(compared..)?;
        is_ours.then_some(count)
    }
}

/// RFC 1071.
fn checksum(packet: &[u8]) -> u16 {
    let words = packet.chunks(2).map(|pair| {
        let (high, low) = (pair.first().copied().unwrap_or(0), pair.get(1).copied().unwrap_or(0));
        u32::from(u16::from_be_bytes([high, low]))
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

// Instructions of the classic Berkeley packet filter, linux/bpf_common.h.
const LOAD_IP_HEADER_LENGTH: u16 = 0xb1; // BPF_LDX | BPF_B | BPF_MSH
const LOAD_BYTE_BEHIND_IT: u16 = 0x50; // BPF_LD | BPF_B | BPF_IND
const LOAD_HALF_BEHIND_IT: u16 = 0x48; // BPF_LD | BPF_H | BPF_IND
const LOAD_BYTE: u16 = 0x30; // BPF_LD | BPF_B | BPF_ABS
const LOAD_HALF: u16 = 0x28; // BPF_LD | BPF_H | BPF_ABS
const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// Lets echo replies with our identifier pass. A raw socket over IPv4 sees the IP header too.
fn filter_v4(id: u16) -> Vec<SockFilter> {
    vec![
        SockFilter::new(LOAD_IP_HEADER_LENGTH, 0, 0, 0),
        SockFilter::new(LOAD_BYTE_BEHIND_IT, 0, 0, 0),
        SockFilter::new(JUMP_IF_EQUAL, 0, 3, u32::from(V4.reply)),
        SockFilter::new(LOAD_HALF_BEHIND_IT, 0, 0, 4),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, u32::from(id)),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

/// The same over IPv6.
fn filter_v6(id: u16) -> Vec<SockFilter> {
    vec![
        SockFilter::new(LOAD_BYTE, 0, 0, 0),
        SockFilter::new(JUMP_IF_EQUAL, 0, 3, u32::from(V6.reply)),
        SockFilter::new(LOAD_HALF, 0, 0, 4),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, u32::from(id)),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

/// What holds of replies, whatever their bytes are.
#[cfg(any(test, fuzzing))]
pub(super) mod laws {
    use super::{DATA, Form, HEADER, V4, V6};

    /// What is taken for a reply is one, byte for byte where it is ours to compare.
    pub(in super::super) fn hold(input: &[u8]) {
        let Some((how, packet)) = input.split_first() else { return };
        let is_v4 = how & 1 == 0;
        let id = (how & 2 == 0).then_some(0x4646);
        let form = Form {
            kinds: if is_v4 { V4 } else { V6 },
            has_ip_header: is_v4 && id.is_some(),
            id,
            nonce: u64::from_be_bytes(*b"FFFFFFFF"),
        };
        if let Some(count) = form.count_of(packet) {
            assert!(packet.len() >= HEADER + DATA, "it is as long as what was sent");
            let reply = form.packet(form.kinds.reply, count);
            assert!(packet.ends_with(reply.get(6..).unwrap_or_default()), "it is what was sent");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn echo(is_v4: bool) -> Echo {
        Echo::new(Opened::new(is_v4).unwrap(), is_v4).unwrap()
    }

    fn at(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 80)
    }

    #[tokio::test]
    async fn hosts_answer_over_ipv4_and_ipv6() {
        let (pinger, opened) = (Pinger::default(), Pinger::default());
        opened.open();
        for (pinger, address) in ["127.0.0.1", "127.1.2.3", "::1"]
            .map(|address| [(&pinger, address), (&opened, address)])
            .concat()
        {
            let verdict = pinger.ping(at(address), 1, LONG).await;
            assert!(
                verdict.as_ref().is_ok_and(|pass| pass.detail.starts_with("answered in ")),
                "{verdict:?}"
            );
        }
    }

    #[tokio::test]
    async fn thousands_share_a_socket() {
        let pinger = std::sync::Arc::new(Pinger::default());
        let mut pings = tokio::task::JoinSet::new();
        for number in 0..10_000_u32 {
            let pinger = std::sync::Arc::clone(&pinger);
            let target = SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(0x7f00_0001 + number)), 0);
            pings.spawn(async move { pinger.ping(target, 1, LONG).await });
        }
        while let Some(verdict) = pings.join_next().await {
            verdict.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn silence_is_a_timeout_after_every_request() {
        let pinger = Pinger::default();
        let start = Instant::now();
        let verdict = pinger.ping(at("192.0.2.77"), 2, Duration::from_millis(100)).await;
        match verdict {
            Err(Failure { reason: Reason::Timeout, detail }) => {
                assert_eq!(
                    detail,
                    "no answer from 192.0.2.77 to 2 echo requests within 100ms each"
                );
                assert!(start.elapsed() >= Duration::from_millis(200));
            }
            // A machine without a default route knows at once.
            other => assert_eq!(other.unwrap_err().reason, Reason::Unreachable),
        }
    }

    #[tokio::test]
    async fn replies_to_others_do_not_wake_us() {
        for address in ["127.0.0.1", "::1"] {
            let target = SocketAddr::new(address.parse().unwrap(), 0);
            let (mut one, other) = (echo(target.is_ipv4()), echo(target.is_ipv4()));
            let (answer, _answered) = oneshot::channel();
            one.send(Request { target, answer }).await;
            let mut buffer = [0; 1024];
            let (length, sender) = one.socket.recv_from(&mut buffer).await.unwrap();
            assert_eq!(sender.ip(), target.ip());
            assert_eq!(one.form.count_of(&buffer[..length]), Some(1));
            // On loopback the reply is everywhere it can be before it is read anywhere.
            let heard = other.socket.try_recv(&mut buffer).unwrap_err();
            assert_eq!(heard.kind(), io::ErrorKind::WouldBlock);
        }
    }

    #[tokio::test]
    async fn only_the_right_reply_counts() {
        let mut echo = echo(true);
        (echo.form.has_ip_header, echo.form.id) = (false, Some(7));
        let address = "192.0.2.1".parse().unwrap();
        let (answer, mut answered) = oneshot::channel();
        echo.waiting.insert(5, Waiting { address, answer });
        let good = echo.form.packet(V4.reply, 5);
        let request = echo.form.packet(V4.request, 5);
        echo.take(&request, address);
        echo.take(&good, "192.0.2.2".parse().unwrap());
        echo.take(&echo.form.packet(V4.reply, 6), address);
        echo.take(&good[..20], address);
        echo.take(&[], address);
        for place in [0, 1, 4, 6, 8, 20, 71] {
            let mut bad = good;
            bad[place] ^= 1;
            echo.take(&bad, address);
        }
        assert!(answered.try_recv().is_err());
        echo.take(&good, address);
        assert!(answered.try_recv().unwrap().is_ok());
        assert!(echo.waiting.is_empty());
    }

    #[test]
    fn the_checksum_is_that_of_rfc_1071() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!(checksum(&[]), 0xffff);
    }
}
