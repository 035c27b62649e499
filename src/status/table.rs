//! A listing as a table for a terminal: the columns of `ipvsadm -Ln`, and what daemons know behind them.
//!
//! Without a daemon it is what `ipvsadm -Ln` prints, but for blanks at line ends. Scripts that read that can read this.

use std::{
    fmt::{Display, Write as _},
    net::{IpAddr, SocketAddr},
};

use jiff::Timestamp;

use super::{Listing, Server, ServerState, Service};
use crate::{
    ipvs::census::Traffic,
    model::{Condition, Family, Forwarding, Mask, Persistence, ServiceKey, Settings, Transport},
};

/// What the columns show.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum View {
    /// Forwarding methods, weights, connections; and how each server is, where a daemon knows.
    #[default]
    Connections,
    /// Counters since the entry was added or zeroed.
    Stats,
    /// Rates a second.
    Rate,
    /// Connection thresholds.
    Thresholds,
}

/// How it looks.
#[derive(Default)]
pub struct Look<'a> {
    /// What the columns show.
    pub view: View,
    /// Numbers in full, however long.
    pub exact: bool,
    /// How many columns there are; `None` is as many as it takes.
    pub width: Option<usize>,
    /// Whether colors may be used.
    pub color: bool,
    /// What names there are for an address and port, where names are wanted.
    pub names: Option<&'a dyn Fn(SocketAddr, Transport) -> Names>,
}

/// The names of an address and of a port, as far as they have some.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names {
    /// Of the address.
    pub host: Option<String>,
    /// Of the port.
    pub port: Option<String>,
}

/// The table.
pub fn render(listing: &Listing, look: &Look<'_>) -> String {
    let mut table = Table { look, states: !listing.daemons.is_empty(), text: String::new() };
    table.head(listing);
    for service in &listing.services {
        table.service(service, now(listing));
    }
    table.text
}

/// The moment that the listing is of: the latest of its daemons'.
fn now(listing: &Listing) -> Option<Timestamp> {
    listing.daemons.iter().map(|daemon| daemon.now).max()
}

struct Table<'a> {
    look: &'a Look<'a>,
    states: bool,
    text: String,
}

/// Writing to a string cannot fail.
macro_rules! put {
    ($table:expr, $($format:tt)*) => {
        write!($table.text, $($format)*).unwrap_or_default()
    };
}

impl Table<'_> {
    fn head(&mut self, listing: &Listing) {
        if let Some(kernel) = &listing.kernel {
            let size = kernel.connection_table_size;
            put!(self, "IP Virtual Server version {} (size={size})\n", kernel.version);
        }
        self.text += match self.look.view {
            View::Connections => "Prot LocalAddress:Port Scheduler Flags\n",
            View::Stats => {
                "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n"
            }
            View::Rate => {
                "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS\n"
            }
            View::Thresholds => {
                "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn\n"
            }
        };
        self.text += "  -> RemoteAddress:Port";
        if self.look.view == View::Connections {
            self.text += "           Forward Weight ActiveConn InActConn";
            if self.states {
                self.text += "  State";
            }
        }
        self.text.push('\n');
    }

    fn service(&mut self, service: &Service, now: Option<Timestamp>) {
        let name = self.service_name(service.key);
        let counters = match &service.counted {
            Some((settings, traffic)) => match self.look.view {
                View::Stats | View::Rate => {
                    put!(self, "{name:<33}");
                    self.counters(traffic);
                    true
                }
                View::Connections | View::Thresholds => {
                    put!(self, "{name} {}", settings_in_words(settings, service.key.family()));
                    false
                }
            },
            None => {
                put!(self, "{name} is not in the kernel");
                false
            }
        };
        if let Some(state) = service.state.as_ref().filter(|_| !counters) {
            if let Some(name) = &state.name {
                put!(self, "  {name}");
            }
            put!(self, "  {} of {} serve", state.serving, state.real_servers);
        }
        self.text.push('\n');
        let transport = match service.key {
            ServiceKey::Address { transport, .. } => transport,
            ServiceKey::Fwmark { .. } => Transport::Tcp,
        };
        for server in &service.servers {
            self.server(server, transport, now);
        }
    }

    fn server(&mut self, server: &Server, transport: Transport, now: Option<Timestamp>) {
        let name = self.address(server.key.0, transport);
        match (self.look.view, &server.counted) {
            (View::Connections, Some(counted)) => {
                let (share, connections) = (counted.share, counted.connections);
                let method = method(share.forwarding);
                let (active, inactive) = (connections.active, connections.inactive);
                put!(self, "  -> {name:<28} {method:<7} {:<6} {active:<10} ", share.weight);
                match &server.state {
                    Some(_) => put!(self, "{inactive:<10}"),
                    None => put!(self, "{inactive}"),
                }
            }
            (View::Stats | View::Rate, Some(counted)) => {
                put!(self, "  -> {name:<28}");
                self.counters(&counted.traffic);
            }
            (View::Thresholds, Some(counted)) => {
                let thresholds = counted.share.thresholds;
                let connections = counted.connections;
                put!(self, "  -> {name:<28} {:<10} ", thresholds.upper);
                put!(self, "{:<10} {:<10} ", thresholds.lower, connections.active);
                put!(self, "{}", connections.inactive);
            }
            (View::Connections, None) => {
                put!(self, "  -> {name:<28} {:<7} {:<6} {:<10} {:<10}", "-", "-", "-", "-");
            }
            // Of what is not in the kernel nothing is counted.
            (View::Stats | View::Rate | View::Thresholds, None) => return,
        }
        if let Some(state) = server.state.as_ref().filter(|_| self.look.view == View::Connections) {
            self.state(state, now);
        }
        self.text.push('\n');
    }

    /// How a server is; of one that is not as it should be, the reason on a line of its own.
    fn state(&mut self, state: &ServerState, now: Option<Timestamp>) {
        let word = if state.is_fallback && state.condition == Condition::Up {
            "fallback"
        } else {
            &state.condition.to_string()
        };
        let (before, after) = match (self.look.color, state.condition) {
            (true, Condition::Down) => ("\x1b[31m", "\x1b[0m"),
            (true, Condition::Up) => ("\x1b[32m", "\x1b[0m"),
            (true, Condition::Standby | Condition::Off) => ("\x1b[2m", "\x1b[0m"),
            (true, _) => ("\x1b[33m", "\x1b[0m"),
            (false, _) => ("", ""),
        };
        put!(self, " {before}{word}{after}");
        let Some(now) = now else { return };
        let why = why(state, now);
        if !why.is_empty() {
            let width = self.look.width.unwrap_or(usize::MAX);
            let indent = textwrap::Options::new(width.max(40))
                .initial_indent("     ")
                .subsequent_indent("       ");
            put!(self, "\n{}", textwrap::fill(&why, indent));
        }
    }

    fn counters(&mut self, traffic: &Traffic) {
        let numbers = match self.look.view {
            View::Rate => [
                traffic.connection_rate,
                traffic.packet_rate_in,
                traffic.packet_rate_out,
                traffic.byte_rate_in,
                traffic.byte_rate_out,
            ],
            View::Connections | View::Stats | View::Thresholds => [
                traffic.connections,
                traffic.packets_in,
                traffic.packets_out,
                traffic.bytes_in,
                traffic.bytes_out,
            ],
        };
        for number in numbers {
            match self.look.exact {
                true => put!(self, " {number:>8}"),
                false => put!(self, " {:>8}", short(number)),
            }
        }
    }

    fn service_name(&self, key: ServiceKey) -> String {
        match key {
            ServiceKey::Address { transport, address } => {
                let protocol = match transport {
                    Transport::Tcp => "TCP",
                    Transport::Udp => "UDP",
                    Transport::Sctp => "SCTP",
                };
                format!("{protocol:<4} {}", self.address(address, transport))
            }
            ServiceKey::Fwmark { family: Family::V4, mark } => format!("FWM  {mark}"),
            ServiceKey::Fwmark { family: Family::V6, mark } => format!("FWM  {mark} IPv6"),
        }
    }

    fn address(&self, address: SocketAddr, transport: Transport) -> String {
        let Some(names) = self.look.names else { return address.to_string() };
        let Names { host, port } = names(address, transport);
        let host = host.unwrap_or_else(|| match address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        });
        match port {
            Some(port) => format!("{host}:{port}"),
            None => format!("{host}:{}", address.port()),
        }
    }
}

/// Why a server is not simply up, and what comes next.
fn why(state: &ServerState, now: Timestamp) -> String {
    let mut parts = Vec::new();
    let since = state.since.map(|since| format!(" for {}", age(since, now)));
    let since = since.unwrap_or_default();
    match state.condition {
        Condition::Up | Condition::Standby | Condition::Off => return String::new(),
        Condition::Failing => parts.push(format!("up{since}")),
        condition => parts.push(format!("{condition}{since}")),
    }
    if let Some(reason) = &state.reason {
        let detail = state.detail.as_deref().filter(|detail| !detail.is_empty());
        let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
        parts.push(format!("{reason}{detail}"));
    }
    let counts = [(state.failures, "failed checks"), (state.passes, "passed checks")];
    for (count, what) in counts.into_iter().filter(|(count, _)| count.count > 0) {
        parts.push(format!("{} of {} {what}", count.count, count.of));
    }
    // In maintenance nobody asks it.
    let is_asked = state.condition != Condition::Maintenance;
    if let Some(next) = state.check.as_ref().and_then(|check| check.next).filter(|_| is_asked) {
        parts.push(format!("next check in {}", age(now, next)));
    }
    parts.join("; ")
}

/// `4s`, `12m`, `3h07m`, `5d04h`: how long it is from one moment to a later one.
pub fn age(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.as_second().saturating_sub(from.as_second()).max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// How `ipvsadm` calls a forwarding method.
fn method(forwarding: Forwarding) -> &'static str {
    match forwarding {
        Forwarding::Route => "Route",
        Forwarding::Tunnel(_) => "Tunnel",
        Forwarding::Masquerade => "Masq",
        Forwarding::Local => "Local",
        Forwarding::Bypass => "Bypass",
    }
}

/// A number in at most eight columns, in thousands or more where it is too long.
fn short(number: u64) -> impl Display {
    match number {
        0..100_000_000 => number.to_string(),
        100_000_000..1_000_000_000 => format!("{}K", number / 1_000),
        1_000_000_000..100_000_000_000 => format!("{}M", number / 1_000_000),
        100_000_000_000..100_000_000_000_000 => format!("{}G", number / 1_000_000_000),
        _ => format!("{}T", number / 1_000_000_000_000),
    }
}

/// The scheduler and everything that is not usual, as `ipvsadm` has it.
fn settings_in_words(settings: &Settings, family: Family) -> String {
    let mut words = vec![settings.scheduler.to_string()];
    words.extend(flags(settings));
    if let Some(Persistence { timeout_s, mask, engine }) = &settings.persistence {
        words.push(format!("persistent {timeout_s}"));
        if *mask != Mask::whole(family) {
            words.push(match mask {
                Mask::V4(mask) => format!("mask {mask}"),
                Mask::V6(length) => format!("mask {length}"),
            });
        }
        words.extend(engine.as_ref().map(|engine| format!("pe {engine}")));
    }
    if settings.one_packet {
        words.push("ops".to_owned());
    }
    words.join(" ")
}

/// The flags of the scheduler, by its own names for them.
fn flags(settings: &Settings) -> Option<String> {
    let names = match settings.scheduler.0.as_str() {
        "sh" => ["sh-fallback", "sh-port", "flag-3"],
        "mh" => ["mh-fallback", "mh-port", "flag-3"],
        _ => ["flag-1", "flag-2", "flag-3"],
    };
    let set = [settings.flags.first, settings.flags.second, settings.flags.third];
    let set: Vec<&str> =
        names.into_iter().zip(set).filter_map(|(name, set)| set.then_some(name)).collect();
    (!set.is_empty()).then(|| format!("({})", set.join(",")))
}
