//! Lints of the servers that a service has, and of what stands in for them.

use std::{collections::BTreeSet, net::IpAddr};

use super::{Whole, may_fail, one_port};
use crate::{
    config::{Diagnostic, diagnostic::Findings, draft::CheckType, resolve::Service},
    model::{Forwarding, ServiceKey, Weight},
};

impl Whole<'_> {
    pub(super) fn servers(&self, findings: &mut Findings) {
        for service in self.services() {
            ports(service, findings);
            self.own_fallback(service, findings);
            self.nobody(service, findings);
        }
        self.fallback_ports(findings);
        self.loopback(findings);
    }

    /// Ports of fallbacks that the kernel does not go by; of one for all services it is told once.
    fn fallback_ports(&self, findings: &mut Findings) {
        let mut told = BTreeSet::new();
        for service in self.services() {
            let Some((fallback, place)) = self.fallback(service) else { continue };
            let (Some(port), Some(other)) = (one_port(service), fallback.port) else { continue };
            let method = fallback.forwarding;
            let ignored = other != port && other != 0 && keeps_port(method);
            if !ignored || !told.insert(place.start) {
                continue;
            }
            let fault = format!(
                "connections to {} reach the fallback at port {port}: {method} does not change it to {other}",
                service.key
            );
            findings.push(Diagnostic::advice("A0301", place.clone(), fault).hint(
                "the program that answers for the fallback must listen at the port of the service",
            ));
        }
    }

    /// A real server that stands in for itself when it has failed.
    fn own_fallback(&self, service: &Service, findings: &mut Findings) {
        let Some((fallback, place)) = self.fallback(service).filter(|_| may_fail(service)) else {
            return;
        };
        let written = service.in_kernel(service.spare_address(fallback), fallback.forwarding);
        let same = service.servers.iter().find_map(|(index, server)| {
            let line = service.block.servers.get(*index)?;
            (service.in_kernel(*server, line.forwarding) == written).then_some(line)
        });
        if let Some(line) = same {
            findings.push(
                Diagnostic::advice(
                    "A0302",
                    line.span.clone(),
                    "this server is also the fallback: it gets all connections when all have failed",
                )
                .elsewhere(place, "the fallback")
                .hint("a fallback is best a server of its own, if only one that says sorry")
                .hint("ldirectord takes this server out of the kernel when it works again"),
            );
        }
    }

    /// Services that nobody answers for.
    fn nobody(&self, service: &Service, findings: &mut Findings) {
        let block = &service.block;
        let fallback = self.fallback(service);
        if service.servers.is_empty() {
            if fallback.is_none() {
                findings.push(
                    Diagnostic::advice(
                        "A0303",
                        block.span.clone(),
                        "the service has neither a real server nor a fallback, so it refuses all connections",
                    )
                    .hint(match block.six {
                        true => "add a `real6` line, or take the service out",
                        false => "add a `real` line, or take the service out",
                    }),
                );
            }
            return;
        }
        let none = block.servers.iter().all(|line| line.weight == Weight::ZERO);
        if none && block.check_type != CheckType::Off {
            let fault =
                "every server has weight 0, so connections are refused while one of them works";
            let fault = Diagnostic::advice("A0304", block.span.clone(), fault);
            findings.push(match fallback {
                Some((_, place)) => fault
                    .elsewhere(place, "the fallback, which serves only when none works,")
                    .hint("checktype=off leaves the service to the fallback"),
                None => fault.hint("give a server a weight above 0"),
            });
        }
    }

    /// Addresses of this host alone, which the kernel does not rewrite packets from elsewhere to.
    fn loopback(&self, findings: &mut Findings) {
        let mut told = BTreeSet::new();
        for service in self.services() {
            if let ServiceKey::Address { address, .. } = service.key
                && address.ip().is_loopback()
            {
                continue;
            }
            let hopeless = |address: IpAddr, forwarding| {
                address.is_loopback() && forwarding == Forwarding::Masquerade
            };
            let server = service.servers.iter().find_map(|(index, written)| {
                let line = service.block.servers.get(*index)?;
                hopeless(written.ip(), line.forwarding).then(|| (written.ip(), line.span.clone()))
            });
            let fallback = self.fallback(service).and_then(|(fallback, place)| {
                hopeless(fallback.address, fallback.forwarding).then_some((fallback.address, place))
            });
            for (address, place) in server.into_iter().chain(fallback) {
                if told.insert(place.start) {
                    findings.push(
                        Diagnostic::advice(
                            "A0312",
                            place,
                            format!("clients on other hosts never reach {address} by masq"),
                        )
                        .hint("gate reaches a program of this host, at the port of the service")
                        .hint("with masq write another address of this host"),
                    );
                }
            }
        }
    }
}

/// Whether a packet arrives with the port that the client wrote on it.
fn keeps_port(forwarding: Forwarding) -> bool {
    matches!(forwarding, Forwarding::Route | Forwarding::Tunnel(_))
}

/// Ports of servers that the kernel does not go by.
fn ports(service: &Service, findings: &mut Findings) {
    let block = &service.block;
    let Some(port) = one_port(service) else { return };
    // A program is told the port as it is written, and may have its own idea of it.
    if matches!(block.check_type, CheckType::External | CheckType::ExternalPerl) {
        return;
    }
    let mut others = service.servers.iter().filter_map(|(index, written)| {
        let line = block.servers.get(*index)?;
        let other = written.port() > 0 && written.port() != port;
        (other && keeps_port(line.forwarding)).then_some((written.port(), line))
    });
    let Some((other, line)) = others.next() else { return };
    let whom = match others.count() {
        0 => "this server".to_owned(),
        more => format!("this server and {more} more"),
    };
    let method = line.forwarding;
    let fault = Diagnostic::advice(
        "A0301",
        line.span.clone(),
        format!("connections reach {whom} at port {port}: {method} does not change it to {other}"),
    );
    let asked = match block.check_type {
        CheckType::Connect => !block.udp,
        check => check.negotiates() && service.protocol != "none",
    };
    findings.push(match asked && block.check_port.is_none() {
        true => fault.hint(format!("only the check goes to port {other}")).hint(format!(
            "write :{port} here, and checkport={other} if the check is meant to go there"
        )),
        false => fault.hint(format!("write :{port}")),
    });
}
