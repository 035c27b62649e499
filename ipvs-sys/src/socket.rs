//! A netlink socket that is told a lot and never waits for ever.
//!
//! In go bytes to send, out come datagrams of the kernel or a [`Fault`]. What they mean is not known here.
//! With `nix` for the socket options that `netlink-sys` lacks, no `unsafe` is needed.
//!
//! Source: `man 7 netlink`; `net/netlink/af_netlink.c` of Linux 6.1.

use std::io;
use std::os::fd::AsFd;

use netlink_sys::constants::NETLINK_GENERIC;
use netlink_sys::{Socket as Netlink, SocketAddr as NetlinkAddr};
use nix::errno::Errno;
use nix::libc::{MSG_DONTWAIT, MSG_TRUNC};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::error::Error;

/// The kernel never makes a datagram of a dump longer than 32 KiB.
const DATAGRAM: usize = 64 * 1024;

/// The kernel answers while it is being sent to, and dumps while it is being read from. What is not there within this
/// time will not come.
const PATIENCE_S: i64 = 1;

/// Bytes that one send may have; the default allows about 1,500 requests, but an administrator may have lowered it.
const SEND_BUFFER: usize = 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Socket {
    netlink: Netlink,
    datagram: Vec<u8>,
    next_sequence: u32,
}

/// Why no datagram came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answers did not fit into the receive buffer and are gone (`ENOBUFS`).
    Overflow,
    /// There is none, or none came in time.
    Silence,
    /// It was longer than anything the kernel should send.
    Truncated,
    /// The socket failed.
    Failed(i32),
}

impl Socket {
    /// Opens a socket in the network namespace of the calling thread.
    pub(crate) fn open(receive_buffer: usize) -> Result<Self, Error> {
        Self::prepare(receive_buffer)
            .map(|netlink| Self {
                netlink,
                datagram: Vec::with_capacity(DATAGRAM),
                next_sequence: 1,
            })
            .map_err(|fault| Error::of_socket("open a generic netlink socket", raw(&fault)))
    }

    fn prepare(receive_buffer: usize) -> io::Result<Netlink> {
        let mut netlink = Netlink::new(NETLINK_GENERIC)?;
        netlink.bind_auto()?;
        // Answers of others than the kernel are refused by the kernel itself from here on.
        netlink.connect(&NetlinkAddr::new(0, 0))?;
        // A refused request is not sent back whole: that only fills the buffer. Kernels before 4.3 cannot do without.
        netlink.set_cap_ack(true).or_else(|fault| match errno(&fault) {
            Errno::ENOPROTOOPT => Ok(()),
            _ => Err(fault),
        })?;
        // Beyond the limit of net.core.rmem_max if we may, else up to it.
        setsockopt(&netlink.as_fd(), sockopt::RcvBufForce, &receive_buffer)
            .or_else(|_| setsockopt(&netlink.as_fd(), sockopt::RcvBuf, &receive_buffer))?;
        setsockopt(&netlink.as_fd(), sockopt::SndBufForce, &SEND_BUFFER)
            .or_else(|_| setsockopt(&netlink.as_fd(), sockopt::SndBuf, &SEND_BUFFER))?;
        setsockopt(&netlink.as_fd(), sockopt::ReceiveTimeout, &TimeVal::seconds(PATIENCE_S))?;
        Ok(netlink)
    }

    /// The first of `count` sequence numbers that nobody else gets.
    pub(crate) fn reserve(&mut self, count: u32) -> u32 {
        let first = self.next_sequence;
        self.next_sequence = first.wrapping_add(count);
        first
    }

    /// Sends `bytes`, all or none. When this returns, the kernel has done what they say.
    pub(crate) fn send(&self, bytes: &[u8]) -> Result<(), i32> {
        loop {
            match self.netlink.send(bytes, 0) {
                Ok(_) => return Ok(()),
                Err(fault) if errno(&fault) == Errno::EINTR => {}
                Err(fault) => return Err(raw(&fault)),
            }
        }
    }

    /// Waits for the next datagram.
    pub(crate) fn receive(&mut self) -> Result<&[u8], Fault> {
        self.receive_with(0)
    }

    /// The next datagram that is there already.
    pub(crate) fn receive_now(&mut self) -> Result<&[u8], Fault> {
        self.receive_with(MSG_DONTWAIT)
    }

    fn receive_with(&mut self, flags: i32) -> Result<&[u8], Fault> {
        loop {
            self.datagram.clear();
            let fault = match self.netlink.recv_from(&mut self.datagram, flags | MSG_TRUNC) {
                Ok((_, from)) if from.port_number() != 0 => continue,
                Ok((length, _)) if length > self.datagram.len() => return Err(Fault::Truncated),
                Ok(_) => return Ok(&self.datagram),
                Err(fault) => fault,
            };
            match errno(&fault) {
                Errno::EINTR => {}
                Errno::EAGAIN => return Err(Fault::Silence),
                Errno::ENOBUFS => return Err(Fault::Overflow),
                _ => return Err(Fault::Failed(raw(&fault))),
            }
        }
    }
}

impl Fault {
    /// The error of a read that met the fault.
    pub(crate) fn of_read(self, what: &str) -> Error {
        match self {
            Self::Overflow | Self::Silence | Self::Truncated => {
                Error::Lost { request: what.to_owned() }
            }
            Self::Failed(errno) => Error::of_read(what, errno),
        }
    }
}

fn raw(fault: &io::Error) -> i32 {
    fault.raw_os_error().unwrap_or(0)
}

fn errno(fault: &io::Error) -> Errno {
    Errno::from_raw(raw(fault))
}
