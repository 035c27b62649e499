//! Conditions: how a server is, for people.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How a server is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// It does not work, as its checks or its agent say.
    Down,
    /// It has been taken out of service for a time.
    Maintenance,
    /// It gets no new connections and keeps those that it has.
    Draining,
    /// Nothing is known of it yet.
    Unknown,
    /// It serves, and its last checks failed, too few to take it down.
    Failing,
    /// It serves.
    Up,
    /// It is the fallback, and not needed.
    Standby,
    /// Nobody checks it, and it is never taken into service (`checktype = off`).
    Off,
}

impl Condition {
    /// Every condition, the worst first.
    pub const ALL: [Condition; 8] = [
        Condition::Down,
        Condition::Maintenance,
        Condition::Draining,
        Condition::Unknown,
        Condition::Failing,
        Condition::Up,
        Condition::Standby,
        Condition::Off,
    ];

    /// Whether it serves.
    pub fn serves(self) -> bool {
        matches!(self, Condition::Up | Condition::Failing)
    }
}

/// The word for it: `down`, `maintenance`, `draining`, `unknown`, `failing`, `up`, `standby`, `off`.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Condition::Down => "down",
            Condition::Maintenance => "maintenance",
            Condition::Draining => "draining",
            Condition::Unknown => "unknown",
            Condition::Failing => "failing",
            Condition::Up => "up",
            Condition::Standby => "standby",
            Condition::Off => "off",
        })
    }
}

/// A word that is no condition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoCondition;

impl fmt::Display for NoCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = Condition::ALL.map(|condition| condition.to_string());
        write!(f, "it is one of {}", words.join(", "))
    }
}

impl std::error::Error for NoCondition {}

impl FromStr for Condition {
    type Err = NoCondition;

    fn from_str(word: &str) -> Result<Condition, NoCondition> {
        let mut all = Condition::ALL.into_iter();
        all.find(|condition| condition.to_string() == word).ok_or(NoCondition)
    }
}
