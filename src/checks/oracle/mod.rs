//! `service=oracle`: a login and a statement, spoken by Oracle's own driver (`oracledb`) in a process of its own.
//!
//! | we say | we expect |
//! |---|---|
//! | which SID we want (`database`), `login`, `passwd` encrypted | that the login is accepted |
//! | the statement of `request` | a row |
//!
//! Only in a build with the feature `oracle`.
//!
//! The driver is made for servers that are what they say: it connects by itself and waits without limit, ends in a panic
//! at messages that it does not expect, and reserves memory for as many values as a server announces. So it runs in a
//! process of its own (`apart.rs`), started for each check from our own program file, with limits on memory and
//! processor, and killed at the timeout. What to ask goes to it over a socket, so that no password is in a process list.
//!
//! A listener may send a client to another address, as those of clusters do; the driver follows.
//!
//! Not tried with a live server, because there is none to be had freely: the tests speak the first messages (TNS) as
//! Oracle's drivers expect them. TLS (tcps) is not spoken.
//!
//! Differs from ldirectord: the statement is run once, not twice, and its first row decides.
//! Differs from ldirectord: a server that hangs fails at the timeout, and no client of Oracle's needs to be installed.

#[cfg(feature = "oracle")]
mod apart;
#[cfg(feature = "oracle")]
mod ask;

#[cfg(feature = "oracle")]
pub use apart::{WORD, run};

use super::Protocol;
use crate::model::{Carrier, ProtocolInfo};

/// What everybody may know of it, in every build.
pub(super) const INFO: ProtocolInfo = ProtocolInfo {
    name: "oracle",
    default_port: Some(1521),
    carrier: Carrier::Own,
    directives: &["request", "login", "passwd", "database"],
    doc: "Logs in to the instance whose SID `database` names, with `login` and `passwd`, and runs the statement of \
          `request`. The real server works when it yields a row. Where a listener sends us elsewhere, we follow. Only in a \
          program that was built with the feature oracle (make build FEATURES=oracle). Not tried with a live server: \
          the refusals and the first answers of a listener were, as the protocol describes them. TLS is not spoken.",
};

#[cfg(feature = "oracle")]
pub(super) const PROTOCOLS: &[Protocol] =
    &[Protocol { info: INFO, talk: |question, link| Box::pin(ask::talk(question, link)) }];

#[cfg(not(feature = "oracle"))]
pub(super) const PROTOCOLS: &[Protocol] = &[];
