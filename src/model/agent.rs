//! Agents: what a program on a real server says of it, in the text protocol of HAProxy's `agent-check`.

use std::fmt;

use super::Failure;

/// What came of asking an agent. That it cannot be asked says nothing of its server.
pub type AgentAnswer = Result<AgentReport, Failure>;

/// What an agent said. What it does not mention stays as it was.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AgentReport {
    /// What share of new connections the server should get.
    pub weight: Option<AgentWeight>,
    /// Whether it takes part.
    pub admission: Option<Admission>,
    /// Whether it works.
    pub operation: Option<Operation>,
    /// The first word that is none of the protocol, for people.
    pub unknown: Option<String>,
}

impl AgentReport {
    /// Whether all that it mentions is a weight.
    pub fn is_weight(&self) -> bool {
        self.admission.is_none() && self.operation.is_none()
    }
}

/// `50% drain down: disk full`: what is understood.
impl fmt::Display for AgentReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.weight.map(|weight| weight.to_string()),
            self.admission.map(|admission| admission.to_string()),
            self.operation.as_ref().map(ToString::to_string),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(" "))
    }
}

/// A weight that an agent asks for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AgentWeight {
    /// So many hundredths of the one in the file; 0 to [`AgentWeight::MOST_PERCENT`].
    Percent(u32),
    /// This one, whatever the file says; 0 to [`AgentWeight::MOST`].
    Absolute(u32),
}

impl AgentWeight {
    /// The largest percentage: 25600, as in HAProxy, where it makes the largest weight of the smallest.
    pub const MOST_PERCENT: u32 = 25_600;
    /// The largest weight that is no percentage: 256, as in HAProxy.
    pub const MOST: u32 = 256;
}

/// `50%`, `weight:7`.
impl fmt::Display for AgentWeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AgentWeight::Percent(percent) => write!(f, "{percent}%"),
            AgentWeight::Absolute(weight) => write!(f, "weight:{weight}"),
        }
    }
}

/// Whether a server takes part; HAProxy's administrative state.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Admission {
    /// As if nobody had said anything.
    #[default]
    Ready,
    /// It gets no new connections, and those that it has go on.
    Drain,
    /// Somebody works on it: as if it were down.
    Maintenance,
}

/// The word of the protocol.
impl fmt::Display for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Admission::Ready => "ready",
            Admission::Drain => "drain",
            Admission::Maintenance => "maint",
        })
    }
}

/// Whether a server works, as its agent sees it; HAProxy's operating state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operation {
    /// It works.
    Up,
    /// It does not: the agent's word for it, and a description if there was one, for people.
    Down(String),
}

/// `up`, `stopped: for the night`.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::Up => f.write_str("up"),
            Operation::Down(words) => f.write_str(words),
        }
    }
}
