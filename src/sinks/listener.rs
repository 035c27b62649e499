//! A log daemon of this machine, which takes datagrams on a unix socket and may be started anew at any time.

use std::{io, os::unix::net::UnixDatagram, path::PathBuf};

/// Who listens at a path.
#[derive(Debug)]
pub(super) struct Listener {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Listener {
    /// Nobody is asked yet.
    pub(super) fn new(path: impl Into<PathBuf>) -> Listener {
        Listener { path: path.into(), socket: None }
    }

    /// Sends a datagram; waits while there is no room.
    pub(super) fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        // Twice, because it may have been started anew since the last one.
        self.try_send(datagram).or_else(|_| self.try_send(datagram))
    }

    fn try_send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(&self.path)?;
                socket
            }
        };
        socket.send(datagram)?;
        self.socket = Some(socket);
        Ok(())
    }
}
