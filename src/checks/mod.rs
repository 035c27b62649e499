//! Checks: one attempt to find out whether a real server works.
//!
//! In goes a [`CheckSpec`], out comes a [`Verdict`], within the time that the check allows, whatever the server does.
//! Nothing here counts failures, decides, knows the virtual service or touches the kernel; nothing is logged, but that
//! a file of TLS went bad while the checks go on with what was in it before.
//!
//! A protocol of the `service` directive is one file here and one word in the list below.
//! Such a file offers a table `PROTOCOLS`; its dialogue is given a `Link` and returns at the first fault.
//! An open connection, TLS, the deadline, cancellation and the limit on what is read come with the link.

mod connect;
mod external;
mod external_perl;
mod link;
mod ping;
mod run;
#[cfg(test)]
mod script;
mod sql;
pub mod tls;

use std::pin::Pin;

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

protocols! { http mysql none pgsql }

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

/// The protocol of this name.
fn protocol(name: &str) -> Option<&'static Protocol> {
    PROTOCOLS.iter().copied().flatten().find(|protocol| protocol.info.name == name)
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
}
