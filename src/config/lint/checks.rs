//! Lints of how real servers are checked.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Whole, listed, or_service};
use crate::{
    config::{
        Diagnostic, diagnostic::Findings, draft::CheckType, expand::timing, resolve::Service,
        said::Mention, value::shown,
    },
    model::{Carrier, HttpMethod, ProtocolInfo, ServiceKey, Step},
    pattern::{Found, Pattern},
};

/// The directives that say what a negotiation asks and expects; each protocol uses some.
const NEGOTIATION: &[&str] = &[
    "request",
    "receive",
    "send",
    "expect",
    "httpmethod",
    "dnstype",
    "virtualhost",
    "starttls",
    "requestheader",
    "requestbody",
    "expectstatus",
    "expectheader",
    "maxbody",
    "httpkeepalive",
    "login",
    "passwd",
    "database",
    "secret",
];

/// A server that is dead for longer than this before anything is done about it may as well not be checked.
const SLOW: Duration = Duration::from_secs(60 * 60);

/// What to do about a pattern that no text matches.
const UNMATCHED: &str =
    "write \\ before each of ^ $ that stands for itself, and \\b only where a word begins or ends";

/// What the patterns of the file are found in, each found out once.
#[derive(Default)]
struct Patterns<'a>(BTreeMap<&'a [u8], Found>);

impl<'a> Patterns<'a> {
    fn found(&mut self, pattern: &'a Pattern) -> Found {
        *self.0.entry(pattern.source()).or_insert_with(|| pattern.found())
    }
}

impl Whole<'_> {
    pub(super) fn checks(&self, findings: &mut Findings) {
        let mut patterns = Patterns::default();
        for service in self.services() {
            asks_nothing(service, findings);
            proxy_without_url(service, findings);
            incomplete(service, findings);
            self.in_clear(service, findings);
            self.receive(service, &mut patterns, findings);
        }
        let mut slow = BTreeSet::new();
        for service in self.services() {
            self.unused(service, findings);
            self.slow(service, &mut slow, findings);
            pings_only(service, findings);
            url_as_path(service, findings);
            self.body_of_get(service, findings);
            self.expected(service, &mut patterns, findings);
            agent_without_port(service, findings);
        }
    }

    /// Whether the protocol of a service uses a directive.
    fn uses(&self, service: &Service, name: &str) -> bool {
        let protocol = self.world.protocols.iter().find(|known| known.name == service.protocol);
        let starts_tls = service.starts_tls(&self.globals().common);
        protocol.is_some_and(|protocol| protocol.uses(starts_tls).any(|used| used == name))
    }

    /// Patterns that no answer or every answer matches.
    fn receive<'a>(
        &self,
        service: &'a Service,
        patterns: &mut Patterns<'a>,
        findings: &mut Findings,
    ) {
        let block = &service.block;
        if !block.check_type.negotiates() || !self.uses(service, "receive") {
            return;
        }
        let common = block.servers.iter().any(|server| server.own.is_none());
        let common = block.receive.as_ref().filter(|_| common);
        let common =
            common.map(|pattern| (pattern, or_service(block.said.value("receive"), service), true));
        let own = block.servers.iter().filter_map(|server| {
            let (_, pattern) = server.own.as_ref()?;
            Some((pattern.as_ref()?, server.span.clone(), false))
        });
        let head = block.method == HttpMethod::Head && self.uses(service, "httpmethod");
        let mut told = BTreeSet::new();
        for (pattern, place, common) in common.into_iter().chain(own) {
            // Where every server has its own they are mostly the same.
            if !told.insert(pattern.source()) {
                continue;
            }
            let whom = if common { "no server is" } else { "this server is never" };
            match patterns.found(pattern) {
                Found::Never => findings.push(
                    Diagnostic::warning(
                        "W0408",
                        place,
                        format!("no text matches this `receive`, so {whom} found working"),
                    )
                    .hint(UNMATCHED),
                ),
                _ if head && !pattern.is_match(b"") => findings.push(
                    Diagnostic::warning(
                        "W0403",
                        place,
                        format!("an answer to HEAD has no body to match this `receive`, so {whom} found working"),
                    )
                    .elsewhere(or_service(block.said.value("httpmethod"), service), "`httpmethod`")
                    .hint("write httpmethod=GET, or take `receive` out"),
                ),
                // Of these two a `receive` is asked for; one server may be excused from what the others must say.
                Found::Always if common && !matches!(service.protocol, "dns" | "ftp" | "ws" | "wss") => findings.push(
                    Diagnostic::advice("A0401", place, "every answer matches this `receive`")
                        .hint("write something that only a good answer has in it, or take `receive` out"),
                ),
                Found::Always | Found::Sometimes => {}
            }
        }
    }

    /// TLS asked for where there is none.
    fn in_clear(&self, service: &Service, findings: &mut Findings) {
        if !is_in_clear(service) {
            return;
        }
        let place = or_service(service.block.said.value("starttls"), service);
        let fault = format!(
            "service={} cannot go over to TLS, and all that it sends goes in the clear",
            service.protocol
        );
        let can = self.world.protocols.iter().filter(|known| known.carrier == Carrier::StartTls);
        let can: Vec<&str> = can.map(|known| known.name).collect();
        let hint = format!("`starttls` is for {}; take it out", listed(&can));
        findings.push(Diagnostic::warning("W0411", place, fault).hint(hint));
    }

    /// Directives that the check makes no use of.
    fn unused(&self, service: &Service, findings: &mut Findings) {
        let block = &service.block;
        let check = block.check_type;
        // With `on` and `off` people keep what the check is to be again.
        if is_unasked(service) || matches!(check, CheckType::On | CheckType::Off) {
            return;
        }
        let negotiates = |name: &str| check.negotiates() && self.uses(service, name);
        let unused = |name: &str| match name {
            "checkcommand" => !matches!(check, CheckType::External | CheckType::ExternalPerl),
            "checkport" => match check {
                CheckType::Connect => block.udp,
                _ => !check.negotiates() || service.protocol == "none",
            },
            "starttls" if is_in_clear(service) => false,
            _ => {
                NEGOTIATION.iter().chain(ProtocolInfo::OF_TLS).any(|known| *known == name)
                    && !negotiates(name)
            }
        };
        let mut names: Vec<String> = Vec::new();
        let mut place = None;
        for mention in block.said.iter().filter(|mention| unused(mention.name)) {
            let name = format!("`{}`", mention.name);
            if !names.contains(&name) {
                names.push(name);
            }
            place = place.or_else(|| Some(mention.key.clone()));
        }
        if unused("request")
            && let Some(server) = block.servers.iter().find(|server| server.own.is_some())
        {
            names.push("the request of a server".to_owned());
            place = place.or_else(|| Some(server.span.clone()));
        }
        let Some(place) = place else { return };
        let asked = match check {
            CheckType::Connect => "checktype=connect".to_owned(),
            CheckType::Ping => "checktype=ping".to_owned(),
            CheckType::External | CheckType::ExternalPerl => "checktype=external".to_owned(),
            _ => format!("service={}", service.protocol),
        };
        let words: Vec<&str> = names.iter().map(String::as_str).collect();
        let it = if words.len() == 1 { "it" } else { "them" };
        let fault = format!("{asked} makes no use of {}", listed(&words));
        let negotiated = check == CheckType::Connect && self.uses(service, "request");
        let of_tls = |mention: &Mention| {
            ProtocolInfo::OF_TLS.contains(&mention.name) && unused(mention.name)
        };
        let may_start = check.negotiates() && service.carrier == Some(Carrier::StartTls);
        findings.push(Diagnostic::advice("A0402", place, fault).hint(match negotiated {
            true => format!("checktype=negotiate asks more than connect, and makes use of {it}"),
            false if may_start && block.said.iter().any(of_tls) => {
                format!("take {it} out, or write starttls=yes, so that there is TLS to use {it}")
            }
            false => format!("take {it} out, or choose the check that uses {it}"),
        }));
    }

    /// Header fields that no answer can have, and what none can have in it.
    fn expected<'a>(
        &self,
        service: &'a Service,
        patterns: &mut Patterns<'a>,
        findings: &mut Findings,
    ) {
        let block = &service.block;
        if !block.check_type.negotiates() {
            return;
        }
        let headers = block.http.expected_headers.iter();
        let headers = headers.map(|(name, pattern)| (name.as_str(), pattern));
        let steps = block.steps.iter().filter_map(|(step, _)| match step {
            Step::Expect(pattern) => Some(("text", pattern)),
            Step::Send(_) => None,
        });
        // In a file without errors each line has its pattern.
        let lines = |name| {
            let is_used = self.uses(service, name);
            block.said.iter().filter(move |mention| is_used && mention.name == name)
        };
        let headers = lines("expectheader").zip(headers);
        for (line, (what, pattern)) in headers.chain(lines("expect").zip(steps)) {
            if patterns.found(pattern) == Found::Never {
                let fault =
                    format!("no {what} matches this pattern, so no server is found working");
                findings
                    .push(Diagnostic::warning("W0408", line.value.clone(), fault).hint(UNMATCHED));
            }
        }
    }

    /// Bodies that are sent with a method that has none.
    fn body_of_get(&self, service: &Service, findings: &mut Findings) {
        let block = &service.block;
        let has_none = matches!(block.method, HttpMethod::Get | HttpMethod::Head);
        let has_method = self.uses(service, "httpmethod");
        let asked =
            block.check_type.negotiates() && self.uses(service, "requestbody") && has_method;
        if let (true, true, Some(place)) = (has_none, asked, block.said.value("requestbody")) {
            let fault = format!("most servers do not read the body of a {} request", block.method);
            let fault = Diagnostic::advice("A0406", place, fault);
            findings.push(fault.hint("write httpmethod=POST, or take `requestbody` out"));
        }
    }

    /// Failures that take hours to be believed; where a line outside of the services makes them so, it is told once.
    fn slow(&self, service: &Service, told: &mut BTreeSet<usize>, findings: &mut Findings) {
        let block = &service.block;
        let all = &self.globals().common;
        let count = block.common.failure_count.or(all.failure_count).unwrap_or(1).max(1);
        let timing = timing(&block.common, self.globals());
        let (timeout, limit) = match block.check_type {
            CheckType::On | CheckType::Off => return,
            CheckType::Negotiate | CheckType::Combined(_) if service.protocol == "none" => return,
            CheckType::Negotiate | CheckType::Combined(_) => {
                (timing.negotiation(service.protocol), ["negotiatetimeout", "checktimeout"])
            }
            check => {
                let pings = check == CheckType::Ping || (check == CheckType::Connect && block.udp);
                let times = if pings { timing.pings } else { 1 };
                (timing.check_timeout.saturating_mul(times), ["checktimeout", "negotiatetimeout"])
            }
        };
        // At worst it dies just behind a check, and each check that fails takes all its time.
        let between = between(timing.fast_interval, timeout);
        let more = between.saturating_mul(count - 1).saturating_add(timeout);
        let longest = timing.interval.saturating_add(more);
        if longest <= SLOW {
            return;
        }
        let place = match count {
            1 if timing.interval > timeout => self.place(service, "checkinterval"),
            1 => limit.iter().find_map(|name| self.place(service, name)),
            _ => self.place(service, "failurecount"),
        };
        let place = or_service(place, service);
        if !told.insert(place.start) {
            return;
        }
        let longest = spoken(longest);
        let fault = format!("a server can be dead for {longest} before it is taken out of service");
        let (interval, timeout) = (spoken(timing.interval), spoken(timeout));
        findings.push(Diagnostic::advice("A0403", place, fault).hint(match count {
            1 => format!("checks begin {interval} apart, and one may take {timeout}"),
            _ => format!(
                "a check comes within {interval}, and {count} must fail in a row that may begin {} apart",
                spoken(between)
            ),
        }));
    }
}

/// The time from one attempt to the next when each takes all its time: a whole number of intervals.
fn between(interval: Duration, timeout: Duration) -> Duration {
    let intervals = timeout.as_nanos().div_ceil(interval.as_nanos().max(1)).max(1);
    interval.saturating_mul(u32::try_from(intervals).unwrap_or(u32::MAX))
}

/// Whether a service is negotiated with for which nobody has said in what protocol.
fn is_unasked(service: &Service) -> bool {
    service.block.check_type.negotiates()
        && service.protocol == "none"
        && service.block.service.is_none()
}

/// Whether a service is to go over to TLS that speaks in the clear and cannot.
fn is_in_clear(service: &Service) -> bool {
    service.block.common.start_tls == Some(true)
        && service.block.check_type.negotiates()
        && service.protocol != "none"
        && !matches!(service.carrier, None | Some(Carrier::Tls | Carrier::StartTls))
}

/// The default check of a service without a protocol, which passes always.
fn asks_nothing(service: &Service, findings: &mut Findings) {
    let block = &service.block;
    if !is_unasked(service) || block.servers.is_empty() {
        return;
    }
    let place = or_service(block.check_type_span.clone(), service);
    let fault = match block.check_type {
        CheckType::Combined(1..) => {
            "a dead server comes back after each connect that fails: what is asked in between is nothing"
        }
        _ => "every server is taken for working, and none is asked",
    };
    let nothing = match service.key {
        ServiceKey::Address { .. } => "no protocol is known of this port",
        ServiceKey::Fwmark { .. } => "a mark names no protocol",
    };
    findings.push(
        Diagnostic::warning("W0405", place, fault)
            .hint(format!("{nothing}: write service=PROTOCOL, or checktype=connect"))
            .hint("to have it so, write service=none"),
    );
}

/// Directives without which a check never passes, those of databases as in ldirectord: the protocol, the name, an example.
const NEEDED: &[(&str, &str, &str)] = &[
    ("mysql", "login", "login=\"monitor\""),
    ("mysql", "request", "request=\"select 1\""),
    ("oracle", "login", "login=\"monitor\""),
    ("oracle", "request", "request=\"select 1 from dual\""),
    ("oracle", "database", "database=\"ORCL\""),
    ("pgsql", "login", "login=\"monitor\""),
    ("pgsql", "request", "request=\"select 1\""),
    ("udp", "send", "send=\"ping\""),
];

/// Checks that lack what they cannot do without.
fn incomplete(service: &Service, findings: &mut Findings) {
    let (block, protocol) = (&service.block, service.protocol);
    if !block.check_type.negotiates() {
        return;
    }
    let of_all = block.servers.iter().any(|server| server.own.is_none());
    let lacks = |name: &str| match name {
        "login" => block.access.login.is_empty() && block.credentials.is_none(),
        "database" => block.access.database.is_empty() && block.credentials.is_none(),
        "receive" => of_all && block.receive.is_none(),
        "send" => !block.steps.iter().any(|(step, _)| matches!(step, Step::Send(_))),
        _ => of_all && block.request.is_none(),
    };
    let lacking = NEEDED.iter().find(|(known, name, _)| *known == protocol && lacks(name));
    if let Some((_, name, example)) = lacking {
        let place = or_service(block.said.value("service"), service);
        let fault = format!(
            "a {protocol} check without `{name}` never passes, so no server is found working"
        );
        let hint = format!("for example: {example}");
        findings.push(Diagnostic::warning("W0407", place, fault).hint(hint));
    }
}

/// Checks through a proxy that do not say what of.
fn proxy_without_url(service: &Service, findings: &mut Findings) {
    let block = &service.block;
    let common = block.servers.iter().any(|server| server.own.is_none());
    if !block.check_type.negotiates() || service.protocol != "http_proxy" || !common {
        return;
    }
    let request = block.request.as_deref().unwrap_or_default();
    if scheme(request).is_none() {
        let place = block.said.value("request").or_else(|| block.said.value("service"));
        findings.push(
            Diagnostic::warning(
                "W0406",
                or_service(place, service),
                "a proxy is asked for a whole URL, so no server is found working",
            )
            .hint("for example: request=\"http://www.example.org/\""),
        );
    }
}

/// What follows `http://` or `https://` in a request.
fn scheme(request: &[u8]) -> Option<&[u8]> {
    let request = request.strip_prefix(b"/").unwrap_or(request);
    request.strip_prefix(b"http://").or_else(|| request.strip_prefix(b"https://"))
}

/// Agents of which it is said how they are asked, and not where.
fn agent_without_port(service: &Service, findings: &mut Findings) {
    let block = &service.block;
    let said = |name| block.said.value(name).map(|place| (name, place));
    if block.agent_port.is_none()
        && let Some((name, place)) = said("agentinterval").or_else(|| said("agentsend"))
    {
        let fault = format!("`{name}` says nothing without `agentport`, and no agent is asked");
        let fault = Diagnostic::warning("W0409", place, fault);
        findings.push(fault.hint("for example: agentport = 9707"));
    }
}

/// A ping where somebody may think that more is asked.
fn pings_only(service: &Service, findings: &mut Findings) {
    let block = &service.block;
    if block.check_type == CheckType::Connect && block.udp && !block.servers.is_empty() {
        findings.push(
            Diagnostic::advice(
                "A0404",
                or_service(block.check_type_span.clone(), service),
                "of a udp service, checktype=connect pings the hosts and asks nothing of the service",
            )
            .hint("checktype=external asks a program of your own; checktype=ping says what is done"),
        );
    }
}

/// Requests that are meant for a URL and taken for a path.
fn url_as_path(service: &Service, findings: &mut Findings) {
    let block = &service.block;
    let Some(request) = block.request.as_deref() else { return };
    if !block.check_type.negotiates() || !matches!(service.protocol, "http" | "https") {
        return;
    }
    let Some(rest) = scheme(request) else { return };
    let host = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
    // A user may stand before it, which no virtual host has.
    let host = host.rsplit(|byte| *byte == b'@').next().unwrap_or_default();
    findings.push(
        Diagnostic::advice(
            "A0405",
            or_service(block.said.value("request"), service),
            "the whole URL is taken for a path on the real server",
        )
        .hint(format!("write the path alone, and virtualhost=\"{}\"", shown(host))),
    );
}

/// `90 s`, `1 h 30 min`: no finer than anybody wants to know.
fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60) {
        (0, _) if time.subsec_nanos() > 0 => format!("{} ms", time.as_millis()),
        (0, 0..5) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}
