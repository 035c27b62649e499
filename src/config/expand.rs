//! A [`Config`] in, the [`Desired`] out: defaults, inheritance, what each server is asked.
//!
//! Nothing can be wrong any more but the number of checks. Equal checks become one.
//!
//! Source for what is stronger than what, and for the defaults: ldirectord 4.12 itself, not its manual.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsString,
    net::SocketAddr,
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use super::{
    Diagnostic,
    diagnostic::Findings,
    draft::{CheckType, Common, Globals, ServerText},
    resolve::{Config, Service, Spare, default_port},
    set::path,
};
use crate::model::{
    AlertPhases, AlertPolicy, CheckId, CheckKind, CheckSpec, Checked, Desired, Fallback, Family,
    Mask, Negotiate, Persistence, ProcessSettings, Quiesce, RealServer, Scheduler, Secret,
    ServerKey, ServiceKey, Settings, Share, Thresholds, Transport, VirtualService, Weight,
};

const INTERVAL_S: u32 = 10;
const CHECK_TIMEOUT_S: u32 = 5;
const NEGOTIATE_TIMEOUT_S: u32 = 30;

/// Makes the desired state. Pushes an error in the one case that there are more checks than numbers for them.
pub(super) fn expand(config: Config, findings: &mut Findings) -> Desired {
    let Config { globals, services, fallback, fallback6 } = config;
    let mut checks = Checks::default();
    let mut expanded = Vec::with_capacity(services.len());
    for service in services {
        let spare = match service.key.family() {
            Family::V4 => fallback,
            Family::V6 => fallback6,
        };
        match expand_service(&service, &globals, spare, &mut checks) {
            Some(service) => expanded.push(service),
            None => {
                findings.push(Diagnostic::error("E0403", 0..0, "the file asks for too many checks"))
            }
        }
    }
    Desired { services: expanded, checks: checks.list, process: process(globals) }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}

fn process(globals: Globals) -> ProcessSettings {
    ProcessSettings {
        log: globals.log,
        supervised: globals.supervised,
        autoreload: globals.autoreload,
        callback: globals.callback,
        execute: globals.execute,
        maintenance_dir: globals.maintenance_dir.map(path),
        interval: seconds(globals.common.interval_s.map_or(INTERVAL_S, |(seconds, _)| seconds)),
    }
}

/// The checks so far, each with its number.
#[derive(Default)]
struct Checks {
    list: Vec<Arc<CheckSpec>>,
    numbers: HashMap<Arc<CheckSpec>, CheckId>,
}

impl Checks {
    fn number(&mut self, check: CheckSpec) -> Option<CheckId> {
        if let Some(number) = self.numbers.get(&check) {
            return Some(*number);
        }
        let number = CheckId::new(self.list.len())?;
        let check = Arc::new(check);
        self.list.push(Arc::clone(&check));
        self.numbers.insert(check, number);
        Some(number)
    }
}

/// What holds for a service: its own word, else the globals', else the default.
struct Timing {
    interval: Duration,
    check_timeout: Duration,
    negotiate_timeout: Duration,
    pings: u32,
}

fn timing(own: &Common, globals: &Globals) -> Timing {
    let all = &globals.common;
    let own_interval = if globals.fork { own.interval_s.as_ref() } else { None };
    let interval =
        own_interval.or(all.interval_s.as_ref()).map_or(INTERVAL_S, |(seconds, _)| *seconds);
    // Each timeout is the other's default, within the service before the globals are asked.
    let check = own
        .check_timeout_s
        .or(own.negotiate_timeout_s)
        .or(all.check_timeout_s)
        .or(all.negotiate_timeout_s);
    let negotiate = own
        .negotiate_timeout_s
        .or(own.check_timeout_s)
        .or(all.negotiate_timeout_s)
        .or(all.check_timeout_s);
    Timing {
        interval: seconds(interval),
        check_timeout: seconds(check.unwrap_or(CHECK_TIMEOUT_S)),
        negotiate_timeout: seconds(negotiate.unwrap_or(NEGOTIATE_TIMEOUT_S)),
        pings: own.check_count.or(all.check_count).unwrap_or(1),
    }
}

fn expand_service(
    service: &Service,
    globals: &Globals,
    spare: Option<Spare>,
    checks: &mut Checks,
) -> Option<VirtualService> {
    let (block, own, all) = (&service.block, &service.block.common, &globals.common);
    let timing = timing(own, globals);
    let mut servers = Vec::with_capacity(service.servers.len());
    let mut seen = HashSet::with_capacity(service.servers.len());
    for (index, written) in &service.servers {
        let Some(line) = block.servers.get(*index) else { continue };
        let server = RealServer {
            key: ServerKey(service.in_kernel(*written, line.forwarding)),
            written: *written,
            share: Share {
                forwarding: line.forwarding,
                weight: line.weight,
                thresholds: Thresholds { upper: line.upper, lower: line.lower },
            },
            checked: match block.check_type {
                CheckType::On => Checked::AlwaysUp,
                CheckType::Off => Checked::Never,
                _ => Checked::By(checks.number(check(service, line, *written, &timing))?),
            },
        };
        // Of lines for one server the last counts, but one that only repeats another is that one to ldirectord.
        if seen.insert(server.clone()) {
            servers.push(server);
        }
    }
    let quiescent = own.quiescent.or(all.quiescent).unwrap_or(false);
    Some(VirtualService {
        key: service.key,
        settings: settings(service),
        servers,
        fallback: service.fallback.or(spare).map(|spare| fallback(service, spare)),
        fallback_command: own.fallback_command.clone().or_else(|| all.fallback_command.clone()),
        quiesce: match (quiescent, globals.readd_quiescent) {
            (false, _) => Quiesce::Remove,
            (true, true) => Quiesce::ZeroWeight,
            (true, false) => Quiesce::ZeroWeightIfPresent,
        },
        failure_count: own
            .failure_count
            .or(all.failure_count)
            .and_then(NonZeroU32::new)
            .unwrap_or(NonZeroU32::MIN),
        clean_stop: own.clean_stop.or(all.clean_stop).unwrap_or(true),
        alerts: AlertPolicy {
            recipients: own.email.clone().or_else(|| all.email.clone()),
            from: globals.email_from.clone(),
            repeat_after: seconds(own.email_repeat_s.or(all.email_repeat_s).unwrap_or(0)),
            phases: own.email_phases.or(all.email_phases).unwrap_or(AlertPhases::ALL),
            smtp: own.smtp.clone().or_else(|| all.smtp.clone()),
        },
        monitor_file: block.monitor_file.clone().map(path),
        name: block.name.clone().filter(|text| !text.is_empty()),
        comment: block.comment.clone().filter(|text| !text.is_empty()),
    })
}

fn settings(service: &Service) -> Settings {
    let block = &service.block;
    let udp = matches!(service.key, ServiceKey::Address { transport: Transport::Udp, .. });
    Settings {
        scheduler: block.scheduler.clone().map_or_else(Scheduler::default, Scheduler),
        flags: service.flags,
        persistence: block.persistent.as_ref().map(|(timeout_s, _)| Persistence {
            timeout_s: *timeout_s,
            mask: service.mask.unwrap_or_else(|| Mask::whole(service.key.family())),
            engine: None,
        }),
        one_packet: block.one_packet && udp,
    }
}

fn fallback(service: &Service, spare: Spare) -> Fallback {
    // Differs from ldirectord: a global fallback of a mark has its own port or none; there it has no address.
    let written = SocketAddr::new(spare.address, spare.port.unwrap_or_else(|| service.port()));
    Fallback {
        key: ServerKey(service.in_kernel(written, spare.forwarding)),
        written,
        share: Share {
            forwarding: spare.forwarding,
            weight: Weight::ONE,
            thresholds: Thresholds::default(),
        },
    }
}

/// What a server is asked.
fn check(service: &Service, line: &ServerText, written: SocketAddr, timing: &Timing) -> CheckSpec {
    let block = &service.block;
    let port = block
        .check_port
        .or(Some(written.port()).filter(|port| *port > 0))
        .or_else(|| default_port(service.protocol))
        .unwrap_or(0);
    let asked = SocketAddr::new(written.ip(), port);
    let host = SocketAddr::new(written.ip(), 0);
    let (target, kind, timeout) = match block.check_type {
        CheckType::Connect if block.udp => {
            (host, CheckKind::Ping { attempts: timing.pings }, timing.check_timeout)
        }
        CheckType::Ping => (host, CheckKind::Ping { attempts: timing.pings }, timing.check_timeout),
        CheckType::External | CheckType::ExternalPerl => {
            (host, external(service, written), timing.check_timeout)
        }
        CheckType::Combined(connects) => {
            let kind = CheckKind::Combined {
                connects,
                connect_timeout: timing.check_timeout,
                negotiate: negotiate(service, line, asked),
            };
            (asked, kind, timing.negotiate_timeout)
        }
        CheckType::Negotiate => {
            (asked, CheckKind::Negotiate(negotiate(service, line, asked)), timing.negotiate_timeout)
        }
        // `on` and `off` have no check, and do not come here.
        CheckType::Connect | CheckType::On | CheckType::Off => {
            (asked, CheckKind::Connect, timing.check_timeout)
        }
    };
    CheckSpec { target, kind, interval: timing.interval, timeout }
}

/// An address as ldirectord hands it to programs: IPv6 in brackets.
fn bracketed(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

fn external(service: &Service, written: SocketAddr) -> CheckKind {
    let (address, port) = match service.key {
        ServiceKey::Address { address, .. } => (bracketed(address), address.port()),
        ServiceKey::Fwmark { mark, .. } => (mark.to_string(), 0),
    };
    let arguments = [address, port.to_string(), bracketed(written), written.port().to_string()];
    CheckKind::External {
        program: path(service.block.check_command.clone().unwrap_or_else(|| b"/bin/true".to_vec())),
        arguments: arguments.into_iter().map(OsString::from).collect(),
    }
}

fn negotiate(service: &Service, line: &ServerText, asked: SocketAddr) -> Negotiate {
    let block = &service.block;
    let (request, receive) = match &line.own {
        Some((request, receive)) => (request.as_slice(), receive.clone()),
        None => (block.request.as_deref().unwrap_or(b"/"), block.receive.clone()),
    };
    Negotiate {
        protocol: service.protocol,
        transport: match service.key {
            ServiceKey::Address { transport, .. } => transport,
            ServiceKey::Fwmark { .. } => Transport::Tcp,
        },
        request: match service.protocol {
            "http" | "https" | "http_proxy" => {
                url(service.protocol, request, line.own.is_some(), asked)
            }
            _ => request.to_vec(),
        },
        receive,
        method: block.method,
        virtualhost: block.virtual_host.clone(),
        login: block.login.clone(),
        passwd: Secret(block.passwd.clone()),
        database: block.database.clone(),
        secret: Secret(block.secret.clone()),
    }
}

/// The URL of a check; `own` says whether the request is the server's own.
fn url(protocol: &str, request: &[u8], own: bool, asked: SocketAddr) -> Vec<u8> {
    let scheme: &str = if protocol == "https" { "https://" } else { "http://" };
    let path = request.strip_prefix(b"/").unwrap_or(request);
    let whole = match own {
        true => request.windows(scheme.len()).any(|part| part == scheme.as_bytes()),
        false => protocol == "http_proxy",
    };
    if whole {
        return path.to_vec();
    }
    let mut url = format!("{scheme}{}:{}/", bracketed(asked), asked.port()).into_bytes();
    url.extend_from_slice(path);
    url
}
