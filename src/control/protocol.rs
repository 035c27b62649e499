//! What is said on the control socket: a line of JSON for each request and each answer.
//!
//! Members and requests may be added; what is taken away or means something else makes [`VERSION`] the next number. A
//! daemon answers a request of a version that it does not know with an error, so that an old one and a new command
//! understand that they do not understand each other.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{
    model::ServiceKey,
    status::{AttemptState, State, state::key},
};

/// The version of the protocol.
pub const VERSION: u32 = 1;

/// The longest request, in bytes.
pub const LONGEST_REQUEST: usize = 64 * 1024;

/// The longest answer that a client takes, in bytes: what a hundred thousand servers need.
pub const LONGEST_ANSWER: usize = 128 * 1024 * 1024;

/// What a client asks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// [`VERSION`] of the client.
    pub version: u32,
    /// The question.
    pub ask: Ask,
}

/// A question.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// How everything stands.
    Status,
    /// How the last attempts of a real server's check went.
    Attempts {
        /// The virtual service.
        #[serde(with = "key")]
        service: ServiceKey,
        /// The real server, as the kernel has it.
        server: SocketAddr,
    },
}

/// What the daemon answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Ask::Status`].
    Status(Box<State>),
    /// To [`Ask::Attempts`]: the last attempts, the newest first.
    Attempts(Vec<AttemptState>),
    /// It cannot be done.
    Error {
        /// Why not, in a sentence.
        message: String,
        /// What a person can do.
        hint: Option<String>,
    },
}

impl Request {
    /// A question of this version.
    pub fn new(ask: Ask) -> Request {
        Request { version: VERSION, ask }
    }

    /// Reads a line; what is wrong with it is an answer.
    pub fn read(line: &[u8]) -> Result<Request, Answer> {
        let error = |message: String, hint: Option<&str>| Answer::Error {
            message,
            hint: hint.map(str::to_owned),
        };
        /// What every version has.
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = serde_json::from_slice(line)
            .map_err(|why| error(format!("this is no request: {why}"), None))?;
        if version != VERSION {
            let message = format!("this daemon speaks version {VERSION} and not {version}");
            let hint = "the daemon and the command are of different releases: restart the daemon";
            return Err(error(message, Some(hint)));
        }
        serde_json::from_slice(line)
            .map_err(|why| error(format!("this daemon does not know the request: {why}"), None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_line_that_people_can_read() {
        let line = serde_json::to_string(&Request::new(Ask::Status)).unwrap();
        assert_eq!(line, r#"{"version":1,"ask":"status"}"#);
        assert_eq!(Request::read(line.as_bytes()), Ok(Request::new(Ask::Status)));
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let said = |line: &str| match Request::read(line.as_bytes()) {
            Err(Answer::Error { message, .. }) => message,
            other => unreachable!("{other:?}"),
        };
        assert!(said("hello").starts_with("this is no request: "));
        assert_eq!(
            said(r#"{"version":2,"ask":"status"}"#),
            "this daemon speaks version 1 and not 2"
        );
        assert!(said(r#"{"version":1,"ask":"sing"}"#).contains("sing"));
    }
}
