//! Checks: one attempt to find out whether a real server works.
//!
//! In goes a [`CheckSpec`], out comes a [`Verdict`] with its trace (of an agent also what it said), within the time that the check allows, whatever the
//! server does.
//! Nothing here counts failures, decides, knows the virtual service or touches the kernel; nothing is logged, but that
//! a file of TLS went bad while the checks go on with what was in it before.
//!
//! A protocol of the `service` directive is one file here and one word in the list below.
//! Such a file offers a table `PROTOCOLS`; its dialogue is given a `Link` and returns at the first fault.
//! An open connection, TLS, the deadline, cancellation and the limit on what is read come with the link.

pub mod agent;
pub mod child;

mod connect;
mod datagram;
mod external;
mod external_perl;
mod kept;
#[cfg(any(test, fuzzing))]
pub mod laws;
mod link;
mod ping;
mod random;
mod recorder;
mod run;
#[cfg(any(test, fuzzing))]
mod script;
mod sql;
mod text;
pub mod tls;

use std::pin::Pin;

#[cfg(feature = "oracle")]
pub use oracle::{WORD as ASK_ORACLE, run as ask_oracle};
pub use run::Checker;

use crate::model::{CheckSpec, Failure, Negotiate, ProtocolInfo, Reason, Verdict};
use link::Link;

/// Writes the `mod` lines and the table of the protocols.
macro_rules! protocols {
    ($($name:ident)*) => {
        $(mod $name;)*
        const PROTOCOLS: &[&[Protocol]] = &[$($name::PROTOCOLS),*];
    };
}

protocols! {
    amqp dns ftp grpc http imap ldap memcached mqtt mysql nntp none oracle pgsql pop radius redis simpletcp sip smtp
    steps ws
}

/// A protocol that we speak.
struct Protocol {
    /// What everybody may know of it.
    info: ProtocolInfo,
    /// Speaks it.
    talk: Talk,
}

/// The dialogue of a protocol, over a link that connects itself when it is first used.
type Talk = for<'a, 'b> fn(&'a Question<'a>, &'a mut Link<'b>) -> Conversation<'a>;

/// A dialogue under way.
type Conversation<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// What a dialogue is about.
struct Question<'a> {
    /// The whole check.
    check: &'a CheckSpec,
    /// What to ask and what to expect.
    negotiate: &'a Negotiate,
}

/// Every protocol that we speak, sorted by name, for the configuration and the manual.
pub fn catalogue() -> Vec<ProtocolInfo> {
    let mut infos: Vec<_> =
        PROTOCOLS.iter().copied().flatten().map(|protocol| protocol.info).collect();
    infos.sort_by_key(|info| info.name);
    infos
}

/// The same of a build with every feature.
pub fn whole_catalogue() -> Vec<ProtocolInfo> {
    let mut infos = catalogue();
    if infos.iter().all(|info| info.name != oracle::INFO.name) {
        infos.push(oracle::INFO);
        infos.sort_by_key(|info| info.name);
    }
    infos
}

/// The protocol of this name.
fn protocol(name: &str) -> Option<&'static Protocol> {
    PROTOCOLS.iter().copied().flatten().find(|protocol| protocol.info.name == name)
}

/// How much is shown of what a server said, in characters.
const SHOWN: usize = 80;

/// What a server said, for a detail: on one line, visible, and only the start of what is long.
fn shown(said: &[u8]) -> String {
    // A character is at most four bytes.
    let start = said.get(..SHOWN.saturating_mul(4)).unwrap_or(said);
    let text = String::from_utf8_lossy(start);
    let text = text.trim_end();
    let mut shown = String::new();
    for letter in text.chars().take(SHOWN) {
        match letter {
            '"' | '\'' => shown.push(letter),
            _ => shown.extend(letter.escape_debug()),
        }
    }
    if text.chars().count() > SHOWN {
        shown.push('…');
    }
    shown
}

/// A fault and its words.
fn failure(reason: Reason, detail: impl Into<String>) -> Failure {
    Failure { reason, detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_is_found_by_its_name_and_has_one() {
        let catalogue = catalogue();
        assert!(catalogue.windows(2).all(|pair| pair[0].name < pair[1].name), "{catalogue:?}");
        for info in catalogue {
            assert_eq!(protocol(info.name).map(|found| found.info), Some(info));
            assert!(!info.doc.is_empty());
        }
        assert!(protocol("gopher").is_none());
    }

    #[test]
    fn what_servers_say_is_shown_on_one_short_line() {
        assert_eq!(shown(b"220 \"hello\"\r\n"), "220 \"hello\"");
        let text = "M\u{fc}ller\t\x1b[2J\u{202e}\0";
        assert_eq!(shown(text.as_bytes()), "M\u{fc}ller\\t\\u{1b}[2J\\u{202e}\\0");
        assert_eq!(shown(b"\xff"), "\u{fffd}");
        assert_eq!(shown(&[b'x'; 100_000]), "x".repeat(SHOWN) + "…");
    }
}
