//! [`Datagrams`]: a UDP socket that hears one peer alone, because the kernel keeps everybody else's datagrams away.
//!
//! When the peer's host says that nobody listens at the port (ICMP), receiving fails with ECONNREFUSED.

use std::{
    io::{self, Read as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use socket2::SockRef;
use tokio::{io::Interest, net::UdpSocket};

/// The longest datagram, in bytes.
const LONGEST: usize = 65_535;

/// Carries datagrams to one peer and back.
pub(super) struct Datagrams {
    socket: Socket,
    /// The last that came. Nothing until then, so that who waits costs little.
    buffer: Vec<u8>,
}

enum Socket {
    Udp(UdpSocket),
    #[cfg(any(test, fuzzing))]
    Script(super::script::Mailbox),
}

impl Datagrams {
    /// A socket for this peer, and our own address.
    pub(super) async fn open(peer: SocketAddr) -> io::Result<(Datagrams, SocketAddr)> {
        let any: SocketAddr = match peer {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(peer).await?;
        let local = socket.local_addr()?;
        Ok((Datagrams { socket: Socket::Udp(socket), buffer: Vec::new() }, local))
    }

    /// One that a test plays the peer of.
    #[cfg(any(test, fuzzing))]
    pub(super) fn scripted(mailbox: super::script::Mailbox) -> Datagrams {
        Datagrams { socket: Socket::Script(mailbox), buffer: Vec::new() }
    }

    /// Sends one.
    pub(super) async fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        match &mut self.socket {
            Socket::Udp(socket) => socket.send(datagram).await.map(|_all_of_it| ()),
            #[cfg(any(test, fuzzing))]
            Socket::Script(mailbox) => mailbox.send(datagram),
        }
    }

    /// Waits for the next.
    pub(super) async fn receive(&mut self) -> io::Result<()> {
        match &mut self.socket {
            // tokio's own functions do not wake up for an error alone.
            Socket::Udp(socket) => {
                let buffer = &mut self.buffer;
                let ready = Interest::READABLE | Interest::ERROR;
                let receiving = socket.async_io(ready, || {
                    buffer.resize(LONGEST, 0);
                    (&*SockRef::from(&*socket)).read(buffer)
                });
                let length = receiving.await?;
                self.buffer.truncate(length);
            }
            #[cfg(any(test, fuzzing))]
            Socket::Script(mailbox) => self.buffer = mailbox.receive().await?,
        }
        Ok(())
    }

    /// The last that came.
    pub(super) fn last(&self) -> &[u8] {
        &self.buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_peer_is_heard_and_a_closed_port_refuses() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let peer = UdpSocket::bind(address).await.unwrap();
            let (mut ours, local) = Datagrams::open(peer.local_addr().unwrap()).await.unwrap();
            assert!(local.ip().is_loopback(), "{local}");
            let stranger = UdpSocket::bind(address).await.unwrap();
            // Whether the kernel tells a stranger that nobody listens is its own affair.
            drop(stranger.send_to(b"strange", local).await);
            ours.send(b"question").await.unwrap();
            let mut heard = [0; 100];
            let (count, from) = peer.recv_from(&mut heard).await.unwrap();
            assert_eq!((&heard[..count], from), (&b"question"[..], local));
            peer.send_to(b"", local).await.unwrap();
            peer.send_to(b"answer", local).await.unwrap();
            for expected in [&b""[..], b"answer"] {
                ours.receive().await.unwrap();
                assert_eq!(ours.last(), expected);
            }

            // Nothing has come that would have woken this one.
            let (mut ours, _) = Datagrams::open(peer.local_addr().unwrap()).await.unwrap();
            drop(peer);
            ours.send(b"question").await.unwrap();
            let error = ours.receive().await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        }
    }
}
