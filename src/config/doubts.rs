//! What is doubtful in a service and told at each load: nothing that happens later shows it.
//!
//! A service whose names are numbers in, warnings out.

use std::{collections::HashSet, net::SocketAddr};

use super::{
    Diagnostic,
    diagnostic::Findings,
    draft::{Block, CheckType},
    resolve::{default_port, in_kernel},
};
use crate::model::ServiceKey;

/// Limits that the kernel refuses.
pub(super) fn warn_of_limits(block: &Block, findings: &mut Findings) {
    for line in block.servers.iter().filter(|line| line.lower > line.upper) {
        findings.push(
            Diagnostic::warning("W0305", line.span.clone(), format!("the kernel refuses this server: `l:{}` is above `u:{}`", line.lower, line.upper))
                .hint("l: is the number of connections below which a server resumes, u: that at which it stops"),
        );
    }
}

/// Servers that are one server to the kernel.
pub(super) fn warn_of_twins(
    block: &Block,
    servers: &[(usize, SocketAddr)],
    key: &ServiceKey,
    findings: &mut Findings,
) {
    let mut seen = HashSet::with_capacity(servers.len());
    for (index, written) in servers {
        let Some(line) = block.servers.get(*index) else { continue };
        let server = in_kernel(key, *written, line.forwarding);
        if !seen.insert(server) {
            let fault = Diagnostic::warning(
                "W0302",
                line.span.clone(),
                format!("the service has {server} already; the later line counts while both work"),
            );
            findings.push(match server == *written {
                true => fault,
                false => {
                    fault.hint("with gate and ipip the port is always that of the virtual service")
                }
            });
        }
    }
}

/// Checks that ask at port 0, where nobody answers.
pub(super) fn warn_of_port_zero(
    block: &Block,
    servers: &[(usize, SocketAddr)],
    protocol: &str,
    findings: &mut Findings,
) {
    let asks_a_port = match block.check_type {
        CheckType::Connect => !block.udp,
        CheckType::Negotiate | CheckType::Combined(_) => protocol != "none",
        _ => false,
    };
    if !asks_a_port || block.check_port.is_some() || default_port(protocol).is_some() {
        return;
    }
    for (index, written) in servers {
        if written.port() == 0
            && let Some(line) = block.servers.get(*index)
        {
            findings.push(
                Diagnostic::warning(
                    "W0401",
                    line.span.clone(),
                    "this server is asked at port 0 and never found working",
                )
                .hint("write its port, or say checkport=PORT in the service"),
            );
            return;
        }
    }
}
