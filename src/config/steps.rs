//! What only the whole virtual service shows of a conversation that the file writes down (`send`, `expect`).

use std::ops::Range;

use super::{Diagnostic, diagnostic::Findings, draft::Block};
use crate::model::{Step, Transport};

/// A conversation of the operator's own by another transport than that of the virtual service. With a port of its own
/// that is meant so.
pub(super) fn warn_of_transport(
    block: &Block,
    transport: Option<Transport>,
    protocol: &str,
    findings: &mut Findings,
) {
    let instead = match (protocol, transport) {
        ("tcp" | "tls", Some(Transport::Udp)) => "udp",
        ("udp", Some(Transport::Tcp)) => "tcp",
        _ => return,
    };
    let Some((_, span)) = &block.service else { return };
    if !block.check_type.negotiates() || block.check_port.is_some() {
        return;
    }
    let fault = format!("service={protocol} does not ask over {instead}, which the clients use");
    findings.push(
        Diagnostic::warning("W0410", span.clone(), fault)
            .hint(format!("write service={instead}; protocol={instead} is the virtual service's"))
            .hint("where another program of the server is to be asked, say checkport=PORT"),
    );
}

/// A check with datagrams is a question and its answer.
pub(super) fn one_datagram(steps: &[(Step, Range<usize>)], findings: &mut Findings) {
    let (mut sent, mut expected) = (None, None);
    for (step, span) in steps {
        let (first, name) = match step {
            Step::Send(_) => (&mut sent, "send"),
            Step::Expect(_) => (&mut expected, "expect"),
        };
        match first {
            None => *first = Some(span.clone()),
            Some(first) => findings.push(
                Diagnostic::error(
                    "E0406",
                    span.clone(),
                    format!("a udp check has one `{name}`, and this is another"),
                )
                .elsewhere(first.clone(), "the first")
                .hint("a udp check is one datagram and its answer; service=tcp takes many steps"),
            ),
        }
    }
}
