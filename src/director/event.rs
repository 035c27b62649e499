//! Everything that can happen to a director.

use jiff::Timestamp;

use super::Attempt;
use crate::{
    ipvs::{Report, Table},
    model::{AgentAnswer, CertificateEnd, Desired, Maintenance, Verdict},
};

/// Everything that can happen.
#[derive(Clone, Debug)]
pub enum Event {
    /// A check that [`super::Action::StartCheck`] began has ended.
    CheckFinished {
        /// Which attempt. One that is no longer awaited is ignored, so a late answer cannot undo a reload.
        attempt: Attempt,
        /// What it found.
        verdict: Verdict,
    },
    /// A check that [`super::Action::StartCheck`] began, and that has not ended, was shown a certificate in TLS.
    CertificateShown {
        /// Which attempt. One that is no longer awaited is ignored.
        attempt: Attempt,
        /// When the certificate ends.
        end: CertificateEnd,
        /// What the clock on the wall says.
        now: Timestamp,
    },
    /// A check that [`super::Action::StartCheck`] began to ask an agent has ended.
    AgentAnswered {
        /// Which attempt, as of [`Event::CheckFinished`].
        attempt: Attempt,
        /// What it said, or why it could not be asked.
        answer: AgentAnswer,
    },
    /// The job of [`super::Action::Reconcile`] has ended.
    Reconciled(Report),
    /// A new configuration is to be followed.
    Reloaded {
        /// What the operator asks for now.
        desired: Box<Desired>,
        /// The kernel's table, for the servers that are new to us.
        observed: Box<Table>,
    },
    /// These servers are in maintenance from now on, and no others.
    Maintenance(Maintenance),
    /// The daemon is to end.
    Stop,
    /// The daemon is to end and to leave the table as it is, for one that takes over.
    Leave,
}
