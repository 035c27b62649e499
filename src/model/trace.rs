//! Traces: how an attempt of a check went, for people who ask why.

use std::{fmt, time::Duration};

use super::{AgentReport, CertificateEnd, Verdict};

/// What a part of an attempt is spent on, in the usual order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Phase {
    /// Asking for the address of a host.
    Resolve,
    /// Connecting. An attempt that has done nothing yet is here.
    #[default]
    Connect,
    /// The TLS handshake.
    Tls,
    /// Waiting until the server takes what we send.
    Send,
    /// Waiting for what the server sends, or for the program of an external check.
    Receive,
    /// Comparing what came with what is expected.
    Match,
}

impl Phase {
    /// Every phase, in the usual order.
    pub const ALL: [Phase; 6] =
        [Phase::Resolve, Phase::Connect, Phase::Tls, Phase::Send, Phase::Receive, Phase::Match];
}

/// `resolve`, `connect`, `tls`, `send`, `receive`, `match`.
impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Resolve => "resolve",
            Phase::Connect => "connect",
            Phase::Tls => "tls",
            Phase::Send => "send",
            Phase::Receive => "receive",
            Phase::Match => "match",
        })
    }
}

/// The time of each phase; of one that an attempt comes back to, all of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Times {
    /// Microseconds, in the order of [`Phase::ALL`]; a time beyond 71 minutes counts as that. Small, because the daemon
    /// keeps many.
    spent: [u32; Phase::ALL.len()],
}

impl Times {
    /// Adds to the time of a phase.
    pub fn add(&mut self, phase: Phase, time: Duration) {
        let time = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        for (other, spent) in Phase::ALL.into_iter().zip(&mut self.spent) {
            if other == phase {
                *spent = spent.saturating_add(time);
            }
        }
    }

    /// The phases that took time, in the usual order.
    pub fn iter(&self) -> impl Iterator<Item = (Phase, Duration)> {
        let times = self.spent.map(|spent| Duration::from_micros(spent.into()));
        Phase::ALL.into_iter().zip(times).filter(|(_, time)| !time.is_zero())
    }
}

/// `connect 0.4 ms, send 0.1 ms, receive 4999.5 ms`.
impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (phase, time)) in self.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{phase} {:.1} ms", time.as_secs_f64() * 1000.0)?;
        }
        Ok(())
    }
}

/// How an attempt went.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trace {
    /// The phase that it ended in.
    pub phase: Phase,
    /// The time of each phase.
    pub times: Times,
    /// When the certificate ends that the server showed in TLS, whether it was verified or not; of several, when the first
    /// of them does.
    pub certificate_end: Option<CertificateEnd>,
    /// The first bytes that the server sent, at most [`Trace::RECEIVED`], without our secrets.
    pub received: Vec<u8>,
}

impl Trace {
    /// The most bytes that are kept of what a server sent.
    pub const RECEIVED: usize = 256;

    /// Of an attempt that had one phase only.
    pub fn of(phase: Phase, time: Duration) -> Trace {
        let mut trace = Trace { phase, ..Trace::default() };
        trace.times.add(phase, time);
        trace
    }
}

/// `in receive: connect 0.4 ms, send 0.1 ms, receive 4999.5 ms`.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in {}", self.phase)?;
        match self.times.iter().next() {
            Some(_) => write!(f, ": {}", self.times),
            None => Ok(()),
        }
    }
}

/// An attempt that has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempted {
    /// What it found.
    pub verdict: Verdict,
    /// How it went.
    pub trace: Trace,
    /// Of an agent that answered, what it said.
    pub report: Option<AgentReport>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_add_up_and_never_overflow() {
        let mut times = Times::default();
        times.add(Phase::Receive, Duration::from_micros(1_500));
        times.add(Phase::Connect, Duration::from_micros(340));
        times.add(Phase::Receive, Duration::from_micros(500));
        times.add(Phase::Match, Duration::ZERO);
        assert_eq!(
            times.iter().collect::<Vec<_>>(),
            [
                (Phase::Connect, Duration::from_micros(340)),
                (Phase::Receive, Duration::from_millis(2))
            ]
        );
        let trace = Trace { phase: Phase::Match, times, ..Trace::default() };
        assert_eq!(trace.to_string(), "in match: connect 0.3 ms, receive 2.0 ms");
        assert_eq!(Trace::default().to_string(), "in connect");
        for _ in 0..2 {
            times.add(Phase::Tls, Duration::MAX);
        }
        assert!(times.iter().any(|(_, time)| time == Duration::from_micros(u32::MAX.into())));
    }
}
