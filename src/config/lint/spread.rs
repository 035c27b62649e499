//! Lints of how the kernel spreads connections.

use std::{collections::BTreeMap, net::IpAddr};

use super::{Whole, one_port, or_service};
use crate::{
    config::{Diagnostic, diagnostic::Findings, resolve::Service},
    model::{ServiceKey, Transport, Weight},
};

impl Whole<'_> {
    pub(super) fn spread(&self, findings: &mut Findings) {
        for service in self.services() {
            self.refused_when_quiesced(service, findings);
            self.stuck_flows(service, findings);
            weights(service, findings);
            one_destination(service, findings);
            one_packet(service, findings);
        }
        self.shadowed(findings);
        self.stuck_clients(findings);
    }

    /// Schedulers that go on choosing a server with weight 0, and then refuse.
    fn refused_when_quiesced(&self, service: &Service, findings: &mut Findings) {
        let block = &service.block;
        let scheduler = block.scheduler.as_deref().unwrap_or_default();
        let hint = match scheduler {
            "sh" | "mh" if !service.flags.first => {
                format!("schedflags={scheduler}-fallback makes it choose another")
            }
            "dh" => "quiescent=no takes a dead server out of what it chooses from".to_owned(),
            _ => return,
        };
        if !self.quiesces(service) || service.servers.is_empty() {
            return;
        }
        let fault = Diagnostic::advice(
            "A0307",
            or_service(block.said.value("scheduler"), service),
            format!(
                "clients that {scheduler} sends to a server which is down are refused: quiescent=yes leaves it there to be chosen"
            ),
        );
        findings.push(match self.place(service, "quiescent") {
            Some(place) => fault.elsewhere(place, "`quiescent`").hint(hint),
            None => fault.hint(hint),
        });
    }

    /// Clients of udp that never let go of a server.
    fn stuck_flows(&self, service: &Service, findings: &mut Findings) {
        let block = &service.block;
        let udp = matches!(service.key, ServiceKey::Address { transport: Transport::Udp, .. });
        if !udp || block.one_packet || service.servers.is_empty() || !self.quiesces(service) {
            return;
        }
        let fault = Diagnostic::advice(
            "A0310",
            block.span.clone(),
            "a udp client that sends on from one port stays with a server that is down",
        )
        .hint("ops=yes chooses a server for each packet, for servers that are reached by gate or ipip")
        .hint("quiescent=no and sysctl -w net.ipv4.vs.expire_nodest_conn=1 give the client another server");
        findings.push(match self.place(service, "quiescent") {
            Some(place) => fault.elsewhere(place, "`quiescent`"),
            None => fault,
        });
    }

    /// Services of every port that others take some from.
    fn shadowed(&self, findings: &mut Findings) {
        let mut ports: BTreeMap<(Transport, IpAddr), Vec<&Service>> = BTreeMap::new();
        for service in self.services() {
            if let (ServiceKey::Address { transport, address }, Some(_)) =
                (service.key, one_port(service))
            {
                ports.entry((transport, address.ip())).or_default().push(service);
            }
        }
        for service in self.services() {
            let ServiceKey::Address { transport, address } = service.key else { continue };
            let others = ports.get(&(transport, address.ip())).map(Vec::as_slice);
            let (0, Some([first, rest @ ..])) = (address.port(), others) else { continue };
            let port = one_port(first).unwrap_or_default();
            let which = match rest.len() {
                0 => format!("port {port}"),
                more => format!("port {port} and {more} more"),
            };
            findings.push(
                Diagnostic::advice(
                    "A0305",
                    service.block.span.clone(),
                    format!("connections to {which} do not come here, and their clients may get another server there"),
                )
                .elsewhere(first.block.span.clone(), "the service that takes them")
                .hint("a firewall mark makes one service of several ports"),
            );
        }
    }

    /// Persistent clients that never let go of a server; one setting of the kernel for all services.
    fn stuck_clients(&self, findings: &mut Findings) {
        if self.world.expire_quiescent_template == Some(true) {
            return;
        }
        let mut persistent = self.services().filter_map(|service| {
            let (seconds, place) = service.block.persistent.as_ref()?;
            self.quiesces(service).then_some((service, *seconds, place))
        });
        let Some((service, seconds, place)) = persistent.next() else { return };
        let more = match persistent.count() {
            0 => String::new(),
            more => format!(", here and in {more} more"),
        };
        let unless = match self.world.expire_quiescent_template {
            Some(_) => "",
            None => " unless net.ipv4.vs.expire_quiescent_template is 1",
        };
        let fault = format!(
            "clients stay with a server that is down until they have been silent for {seconds} s{more}{unless}"
        );
        let fault = Diagnostic::advice("A0308", place.clone(), fault)
            .hint("sysctl -w net.ipv4.vs.expire_quiescent_template=1");
        findings.push(match self.place(service, "quiescent") {
            Some(place) => fault.elsewhere(place, "`quiescent`"),
            None => fault,
        });
    }
}

/// Weights that the scheduler does not go by.
fn weights(service: &Service, findings: &mut Findings) {
    let block = &service.block;
    let scheduler = block.scheduler.as_deref().unwrap_or_default();
    let hint = match scheduler {
        "rr" => "scheduler=wrr goes by weights",
        "lc" => "scheduler=wlc goes by weights",
        "dh" => "take the weights out",
        _ => return,
    };
    let mut serving = block.servers.iter().filter(|line| line.weight > Weight::ZERO);
    let Some(first) = serving.next() else { return };
    if let Some(other) = serving.find(|line| line.weight != first.weight) {
        findings.push(
            Diagnostic::advice(
                "A0306",
                or_service(block.said.value("scheduler"), service),
                format!("the scheduler {scheduler} makes no difference between weights above 0"),
            )
            .elsewhere(other.span.clone(), "a server with a weight of its own")
            .hint(hint),
        );
    }
}

/// The scheduler that goes by what clients ask for, where that is always the same.
fn one_destination(service: &Service, findings: &mut Findings) {
    let block = &service.block;
    if block.scheduler.as_deref() == Some("dh")
        && matches!(service.key, ServiceKey::Address { .. })
        && service.servers.len() > 1
    {
        findings.push(
            Diagnostic::advice(
                "A0311",
                or_service(block.said.value("scheduler"), service),
                "dh chooses by the address that clients ask for, so one server gets all connections",
            )
            .hint("sh chooses by the address of the client")
            .hint("dh is for a firewall mark that packets to many addresses carry"),
        );
    }
}

/// `ops` where there are no packets by themselves.
fn one_packet(service: &Service, findings: &mut Findings) {
    let block = &service.block;
    let udp = matches!(service.key, ServiceKey::Address { transport: Transport::Udp, .. });
    if block.one_packet && !udp {
        findings.push(
            Diagnostic::advice(
                "A0309",
                or_service(block.said.value("ops"), service),
                "`ops` has an effect on udp services alone",
            )
            .hint("take it out, or write protocol=udp"),
        );
    }
}
