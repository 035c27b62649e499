//! Signals as values.
//!
//! Differs from ldirectord: a second signal to end does not break the end off. USR1, USR2 and ALRM kill ldirectord on the
//! spot, with the table left as it is; USR2 does that in good order, and the others are ignored.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Request {
    /// To end; with the signal's name without `SIG`.
    Stop(&'static str),
    /// To end and leave the table to the next daemon; with the signal's name without `SIG`.
    Leave(&'static str),
    /// To read the configuration again.
    Reload,
}

/// The signals that are listened to, and those that must not do what they do to a process that does not listen.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    abort: Signal,
    processor_time: Signal,
    file_size: Signal,
    hangup: Signal,
    leave: Signal,
    _ignored: Vec<Signal>,
}

impl Signals {
    /// Begins to listen. A handler and not `SIG_IGN`, which programs that we start would inherit.
    pub(super) fn listen() -> io::Result<Signals> {
        let ignored = [SignalKind::user_defined1(), SignalKind::alarm(), SignalKind::pipe()];
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            abort: signal(SignalKind::from_raw(nix::libc::SIGABRT))?,
            processor_time: signal(SignalKind::from_raw(nix::libc::SIGXCPU))?,
            file_size: signal(SignalKind::from_raw(nix::libc::SIGXFSZ))?,
            hangup: signal(SignalKind::hangup())?,
            leave: signal(SignalKind::user_defined2())?,
            _ignored: ignored.into_iter().map(signal).collect::<io::Result<_>>()?,
        })
    }

    /// The next signal that asks for something.
    pub(super) async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::Stop("TERM"),
            _ = self.interrupt.recv() => Request::Stop("INT"),
            _ = self.quit.recv() => Request::Stop("QUIT"),
            _ = self.abort.recv() => Request::Stop("ABRT"),
            _ = self.processor_time.recv() => Request::Stop("XCPU"),
            _ = self.file_size.recv() => Request::Stop("XFSZ"),
            _ = self.leave.recv() => Request::Leave("USR2"),
            _ = self.hangup.recv() => Request::Reload,
        }
    }
}
