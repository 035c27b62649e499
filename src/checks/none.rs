//! `service=none`: nothing is asked and the server counts as working, as ldirectord has it.

use super::Protocol;
use crate::model::{Carrier, Pass, ProtocolInfo};

pub(super) const PROTOCOLS: &[Protocol] = &[Protocol {
    info: ProtocolInfo {
        name: "none",
        default_port: None,
        carrier: Carrier::Own,
        directives: &[],
        doc: "Asks nothing: the real server always counts as working. For services that no other check understands.",
    },
    talk: |_question, _link| Box::pin(async { Ok(Pass::default()) }),
}];
