//! Where a virtual service ends: its names become numbers, and what only the whole service shows is checked.
//!
//! A description in, a [`Service`] and diagnostics out. Names are looked up here and nowhere else,
//! each of them once. What the globals say is not looked at: they may still follow.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    ops::Range,
};

use super::{
    Diagnostic, NameError, World, access,
    credentials::Credentials,
    diagnostic::Findings,
    directives::{EXTENSIONS, SERVICES},
    doubts,
    draft::{Block, Common, FallbackText, Globals, ServerText, VirtualText},
    names::Lookup,
    steps,
    webhooks::{self, Templates},
};
use crate::model::{Carrier, Family, Forwarding, Mask, SchedulerFlags, ServiceKey, Transport};

/// The whole file, with numbers for names and without defaults.
pub(super) struct Config {
    pub(super) globals: Globals,
    pub(super) services: Vec<Service>,
    /// The fallback of IPv4 services that have none of their own.
    pub(super) fallback: Option<Spare>,
    /// The fallback of IPv6 services that have none of their own.
    pub(super) fallback6: Option<Spare>,
}

/// A virtual service, with numbers for names.
pub(super) struct Service {
    pub(super) key: ServiceKey,
    /// The protocol that a negotiation speaks.
    pub(super) protocol: &'static str,
    /// How that protocol travels; `None` of one that we do not speak.
    pub(super) carrier: Option<Carrier>,
    pub(super) fallback: Option<Spare>,
    /// The servers; each is told by the place of its line in `block.servers`.
    pub(super) servers: Vec<(usize, SocketAddr)>,
    pub(super) mask: Option<Mask>,
    pub(super) flags: SchedulerFlags,
    pub(super) block: Block,
}

/// A fallback, with numbers for names.
#[derive(Clone, Copy)]
pub(super) struct Spare {
    pub(super) address: IpAddr,
    pub(super) port: Option<u16>,
    pub(super) forwarding: Forwarding,
}

impl Service {
    /// The port of the virtual service; 0 of a mark.
    pub(super) fn port(&self) -> u16 {
        match self.key {
            ServiceKey::Address { address, .. } => address.port(),
            ServiceKey::Fwmark { .. } => 0,
        }
    }

    /// Whether a negotiation goes over to TLS in the middle of a connection, where this is said of all.
    pub(super) fn starts_tls(&self, all: &Common) -> bool {
        let said = self.block.common.start_tls.or(all.start_tls);
        self.carrier == Some(Carrier::StartTls) && said == Some(true)
    }

    /// Whether a negotiation speaks TLS, where this is said of all.
    pub(super) fn speaks_tls(&self, all: &Common) -> bool {
        self.carrier == Some(Carrier::Tls) || self.starts_tls(all)
    }

    /// The address of a fallback as written, with the port of the service where it has none.
    ///
    /// Differs from ldirectord: a global fallback of a mark has its own port or none; there it has no address.
    pub(super) fn spare_address(&self, spare: Spare) -> SocketAddr {
        SocketAddr::new(spare.address, spare.port.unwrap_or_else(|| self.port()))
    }

    /// The address of a server as the kernel has it: ipvsadm gives `gate` and `ipip` the port of the service.
    pub(super) fn in_kernel(&self, written: SocketAddr, forwarding: Forwarding) -> SocketAddr {
        in_kernel(&self.key, written, forwarding)
    }
}

pub(super) fn in_kernel(
    key: &ServiceKey,
    written: SocketAddr,
    forwarding: Forwarding,
) -> SocketAddr {
    match (key, forwarding) {
        (ServiceKey::Address { address, .. }, Forwarding::Route | Forwarding::Tunnel(_)) => {
            SocketAddr::new(written.ip(), address.port())
        }
        _ => written,
    }
}

/// The most servers that one line may give.
const LONGEST_RANGE: u32 = 65_536;

/// The most servers that one configuration may have: six times what the largest directors are known to have.
const MOST_SERVERS: usize = 1 << 18;

/// Finishes virtual services.
pub(super) struct Resolver<'w> {
    world: World<'w>,
    lookup: Lookup<'w>,
    services: Vec<Service>,
    /// The services so far, and where each begins.
    known: HashMap<ServiceKey, Range<usize>>,
    n_servers: usize,
}

/// What stands in the brackets, where there are any: ldirectord looks at nothing else of a fallback of either family.
fn unbracketed(host: &str) -> &str {
    let inside = host.split_once('[').and_then(|(_, rest)| rest.rsplit_once(']'));
    inside.map_or(host, |(inside, _)| inside)
}

fn unresolved(span: &Range<usize>, host: &str, error: &NameError) -> Diagnostic {
    Diagnostic::error("E0304", span.clone(), format!("`{host}` cannot be resolved: {error}"))
}

impl<'w> Resolver<'w> {
    pub(super) fn new(world: &World<'w>) -> Resolver<'w> {
        Resolver {
            world: *world,
            lookup: Lookup::new(world.names),
            services: Vec::new(),
            known: HashMap::new(),
            n_servers: 0,
        }
    }

    fn host(&self, host: &str, family: Family) -> Result<IpAddr, NameError> {
        self.lookup.host(unbracketed(host), family)
    }

    /// A virtual service ends.
    pub(super) fn service(&mut self, block: Block, findings: &mut Findings) {
        let family = if block.six { Family::V6 } else { Family::V4 };
        let transport = match (&block.address, block.udp) {
            (Some(VirtualText::Address { .. }), udp) => {
                Some(if udp { Transport::Udp } else { Transport::Tcp })
            }
            _ => None,
        };
        let fallback = if block.six { &block.common.fallback6 } else { &block.common.fallback };
        let fallback =
            fallback.as_ref().and_then(|text| self.spare(text, family, transport, findings));
        let key = self.key(&block, family, transport, findings);
        let servers = self.servers(&block, family, findings);
        let protocol = protocol(&block, key.as_ref());
        self.check(&block, protocol, findings);
        let mask = mask(&block, findings);
        let flags = flags(&block, findings);
        let Some(key) = key else { return };
        match self.known.get(&key) {
            Some(first) => {
                findings.push(
                    Diagnostic::error(
                        "E0311",
                        block.span.clone(),
                        format!("the virtual service {key} is described twice"),
                    )
                    .says("duplicate virtual server")
                    .elsewhere(first.clone(), "the first description"),
                );
                return;
            }
            None => self.known.insert(key, block.span.clone()),
        };
        doubts::warn_of_limits(&block, findings);
        doubts::warn_of_twins(&block, &servers, &key, findings);
        doubts::warn_of_port_zero(&block, &servers, protocol, findings);
        steps::warn_of_transport(&block, transport, protocol, findings);
        let known = self.world.protocols.iter().find(|known| known.name == protocol);
        let carrier = known.map(|known| known.carrier);
        self.services.push(Service {
            key,
            protocol,
            carrier,
            fallback,
            servers,
            mask,
            flags,
            block,
        });
    }

    /// The address or mark of a virtual service; nothing if it is wrong, or none that the kernel takes.
    ///
    /// Differs from ldirectord: the latter is not even tried, and an address without a port is no mark.
    fn key(
        &self,
        block: &Block,
        family: Family,
        transport: Option<Transport>,
        findings: &mut Findings,
    ) -> Option<ServiceKey> {
        let (host, port) = match block.address.as_ref()? {
            VirtualText::Mark(mark) => {
                let mark = NonZeroU32::new(*mark);
                if mark.is_none() {
                    findings.push(
                        Diagnostic::warning("W0303", block.span.clone(), "mark 0 is no mark; this service is left out")
                            .hint("packets that the packet filter does not mark carry 0, and the kernel refuses the service"),
                    );
                }
                return mark.map(|mark| ServiceKey::Fwmark { family, mark });
            }
            VirtualText::Address { host, port } => (host, port),
        };
        let says = "invalid address for virtual service";
        let address = self.host(host, family).map_err(|error| {
            findings.push(unresolved(&block.span, host, &error).says(says));
        });
        let port = self.lookup.port(port, transport).map_err(|error| {
            findings.push(
                Diagnostic::error(
                    "E0305",
                    block.span.clone(),
                    format!("`{port}` is no port: {error}"),
                )
                .says(says),
            );
        });
        let (Ok(address), Ok(port)) = (address, port) else { return None };
        if port == 0 && block.persistent.is_none() {
            findings.push(
                Diagnostic::warning("W0303", block.span.clone(), "port 0 without `persistent`; this service is left out")
                    .hint("port 0 stands for every port, which the kernel does for persistent services only"),
            );
            return None;
        }
        let address = SocketAddr::new(address, port);
        Some(ServiceKey::Address { transport: transport.unwrap_or(Transport::Tcp), address })
    }

    fn spare(
        &self,
        text: &FallbackText,
        family: Family,
        transport: Option<Transport>,
        findings: &mut Findings,
    ) -> Option<Spare> {
        let version = match family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        };
        let address = self.host(&text.host, family).map_err(|error| {
            findings.push(unresolved(&text.span, &text.host, &error).says(format!(
                "invalid {version} address or could not resolve for fallback server: {}",
                text.host
            )));
        });
        let port = text.port.as_ref().map(|port| {
            self.lookup.port(port, transport).map_err(|error| {
                findings.push(
                    Diagnostic::error(
                        "E0305",
                        text.span.clone(),
                        format!("`{port}` is no port: {error}"),
                    )
                    .says("invalid port for fallback server"),
                );
            })
        });
        let (Ok(address), Ok(port)) = (address, port.transpose()) else { return None };
        Some(Spare { address, port, forwarding: text.forwarding })
    }

    fn servers(
        &mut self,
        block: &Block,
        family: Family,
        findings: &mut Findings,
    ) -> Vec<(usize, SocketAddr)> {
        let mut servers = Vec::with_capacity(block.servers.len());
        for (index, server) in block.servers.iter().enumerate() {
            if self.n_servers > MOST_SERVERS {
                break;
            }
            let before = servers.len();
            match self.addresses(server, family, findings) {
                Ok(addresses) => servers.extend(addresses.map(|address| (index, address))),
                Err(fault) => findings.push(fault),
            }
            self.n_servers += servers.len() - before;
            if self.n_servers > MOST_SERVERS {
                let fault =
                    format!("with this line there are more than {MOST_SERVERS} real servers");
                findings.push(Diagnostic::error("E0313", server.span.clone(), fault));
            }
        }
        servers
    }

    /// The addresses that a line gives: one, or those of a range.
    fn addresses(
        &self,
        server: &ServerText,
        family: Family,
        findings: &mut Findings,
    ) -> Result<impl Iterator<Item = SocketAddr> + use<>, Diagnostic> {
        let span = &server.span;
        let host = |host: &String, what: &str| {
            self.host(host, family).map_err(|error| {
                unresolved(span, host, &error).says(format!(
                    "invalid address ({host}) for real server (could not resolve {what})"
                ))
            })
        };
        let port = server.port.as_ref().map_or(Ok(0), |port| {
            self.lookup.port(port, None).map_err(|error| {
                Diagnostic::error("E0305", span.clone(), format!("`{port}` is no port: {error}"))
                    .says(format!("invalid port ({port}) for real server (could not resolve port)"))
            })
        })?;
        let first = host(&server.host, "host")?;
        let rest = match &server.end_host {
            None => None,
            Some(end) => match (first, host(end, "end host")?) {
                (IpAddr::V4(first), IpAddr::V4(last)) => {
                    let range = Range { start: u32::from(first), end: u32::from(last) };
                    check_range(range.clone(), span, findings)?;
                    Some(range)
                }
                _ => {
                    return Err(Diagnostic::error(
                        "E0309",
                        span.clone(),
                        "a range of IPv6 addresses is not possible",
                    )
                    .says("Address range for IPv6 is not supported yet")
                    .hint("write a `real6` line for every server"));
                }
            },
        };
        let more = rest.into_iter().flat_map(|range| range.start.saturating_add(1)..=range.end);
        let more = more.map(|number| IpAddr::V4(Ipv4Addr::from(number)));
        Ok([first].into_iter().chain(more).map(move |address| SocketAddr::new(address, port)))
    }

    /// Whether the check that is asked for can be made.
    fn check(&self, block: &Block, protocol: &'static str, findings: &mut Findings) {
        let span = block.service.as_ref().map(|(_, span)| span.clone());
        let span =
            span.or_else(|| block.check_type_span.clone()).unwrap_or_else(|| block.span.clone());
        if !block.check_type.negotiates() || protocol == "none" {
            return;
        }
        if !self.world.protocols.iter().any(|known| known.name == protocol) {
            findings.push(
                Diagnostic::error(
                    "E0401",
                    span,
                    format!("this program was built without the check of `{protocol}`"),
                )
                .hint(format!("make build FEATURES={protocol} builds one with it"))
                .hint("checktype=connect asks whether the servers accept connections")
                .hint("checktype=external asks a program of your own (checkcommand)"),
            );
            return;
        }
        let of_all = block.servers.iter().any(|server| server.own.is_none());
        let inert = match protocol {
            "udp" => {
                steps::one_datagram(&block.steps, findings);
                return;
            }
            "dns" if block.receive.is_none() && of_all => {
                let fault = "any address or name will do as an answer of `dns` servers";
                findings.push(
                    Diagnostic::warning("W0402", span, fault)
                        .hint("without `receive` ldirectord finds no server working"),
                );
                return;
            }
            "pop" | "pops" if block.access.login.is_empty() && block.credentials.is_none() => {
                "without `login`"
            }
            "ftp" if of_all => match &block.receive {
                None => "without `receive`",
                Some(pattern) if pattern.is_match(b"") => "where `receive` matches an empty file",
                Some(_) => return,
            },
            _ => return,
        };
        findings.push(
            Diagnostic::warning(
                "W0402",
                span,
                format!("`{protocol}` servers must answer to be taken for working"),
            )
            .hint(format!(
                "{inert} ldirectord takes every server for working, even one that is not there"
            )),
        );
    }

    /// The file ends.
    pub(super) fn finish(
        mut self,
        mut globals: Globals,
        credentials: Option<&Credentials>,
        templates: &Templates,
        findings: &mut Findings,
    ) -> Config {
        access::complete(&mut self.services, &mut globals, credentials, findings);
        webhooks::complete(&mut self.services, &mut globals, credentials, templates, findings);
        let spare = |text: &Option<FallbackText>, family, findings: &mut Findings| {
            text.as_ref().and_then(|text| self.spare(text, family, None, findings))
        };
        for (text, six) in &globals.replaced_fallbacks {
            self.spare(text, if *six { Family::V6 } else { Family::V4 }, None, findings);
        }
        let fallback = spare(&globals.common.fallback, Family::V4, findings);
        let fallback6 = spare(&globals.common.fallback6, Family::V6, findings);
        for service in &self.services {
            // Differs from ldirectord: the service has its own interval all the same.
            if let (Some((_, span)), false) = (&service.block.common.interval, globals.fork) {
                let fault = format!("only {} is checked at this interval", service.key);
                findings
                    .push(Diagnostic::warning("W0203", span.clone(), fault).hint(
                        "ldirectord ignores `checkinterval` in a service without `fork=yes`",
                    ));
            }
        }
        Config { globals, services: self.services, fallback, fallback6 }
    }
}

fn check_range(
    range: Range<u32>,
    span: &Range<usize>,
    findings: &mut Findings,
) -> Result<(), Diagnostic> {
    let (first, last) = (Ipv4Addr::from(range.start), Ipv4Addr::from(range.end));
    if range.start > range.end {
        return Err(Diagnostic::error("E0309", span.clone(), format!("the range ends at {last}, before it begins at {first}"))
            .says(format!(
                "Invalid Range: {first}-{last}: First value must be greater than or equal to the second value"
            ))
            .hint("write the lower address first"));
    }
    if range.end - range.start >= LONGEST_RANGE {
        return Err(Diagnostic::error(
            "E0309",
            span.clone(),
            format!(
                "a range of {} servers; {LONGEST_RANGE} are possible",
                u64::from(range.end - range.start) + 1
            ),
        ));
    }
    // Differs from ldirectord: the ends are compared as numbers; there as text, so that this range is empty.
    if range.start.checked_ilog10() != range.end.checked_ilog10() {
        findings.push(
            Diagnostic::warning(
                "W0304",
                span.clone(),
                format!("the range has {} servers", range.end - range.start + 1),
            )
            .hint("ldirectord compares the ends of this range as text, and finds no server in it"),
        );
    }
    Ok(())
}

/// The protocol of a negotiation: what `service` says, else what the virtual service's port implies.
fn protocol(block: &Block, key: Option<&ServiceKey>) -> &'static str {
    if let Some((name, _)) = &block.service {
        return name;
    }
    let port = match (key, &block.address) {
        // To ldirectord port `080` is not port `80`, and implies nothing.
        (Some(ServiceKey::Address { address, .. }), Some(VirtualText::Address { port, .. }))
            if !port.starts_with('0') =>
        {
            address.port()
        }
        _ => return "none",
    };
    let is_implied =
        |name: &str, known: Option<u16>| known == Some(port) && !EXTENSIONS.contains(&name);
    let implied = SERVICES.iter().find(|(name, known)| is_implied(name, *known));
    implied.map_or("none", |(name, _)| name)
}

fn mask(block: &Block, findings: &mut Findings) -> Option<Mask> {
    let (mask, span) = block.netmask.as_ref()?;
    if block.persistent.is_none() {
        findings.push(
            Diagnostic::warning(
                "W0207",
                span.clone(),
                "`netmask` has no effect without `persistent`",
            )
            .hint("add persistent=SECONDS, or take the line out"),
        );
        return None;
    }
    match mask {
        Ok(mask) => Some(*mask),
        Err(message) => {
            findings.push(
                Diagnostic::error("E0209", span.clone(), message.clone())
                    .hint("ipvsadm refuses it, so that ldirectord never installs this service"),
            );
            None
        }
    }
}

/// The flags of the scheduler; those of another are left out.
fn flags(block: &Block, findings: &mut Findings) -> SchedulerFlags {
    let Some((flags, of, span)) = &block.scheduler_flags else { return SchedulerFlags::default() };
    let scheduler = block.scheduler.as_deref().unwrap_or("wrr");
    match of {
        Some(of) if *of != scheduler => {
            findings.push(
                Diagnostic::warning("W0208", span.clone(), format!("the scheduler is {scheduler}, and these are flags of {of}; they are left out"))
                    .hint(format!("write scheduler={of}, or take the line out"))
                    .hint("ipvsadm refuses them, so that ldirectord never installs this service"),
            );
            SchedulerFlags::default()
        }
        _ => *flags,
    }
}

/// The port that a protocol is spoken at where none is given.
pub(super) fn default_port(protocol: &str) -> Option<u16> {
    SERVICES.iter().find(|(name, _)| *name == protocol).and_then(|(_, port)| *port)
}
