//! A [`Config`] in, the [`Desired`] out: defaults, inheritance, what each server is asked.
//!
//! Nothing can be wrong any more but the number of checks. Equal checks become one.
//!
//! Differs from ldirectord: equal checks are equal in all that they ask and how. There two services share the check of
//! the first also when login, password, secret, database, method or timeouts differ.
//!
//! Source for what is stronger than what, and for the defaults: ldirectord 4.12 itself, not its manual.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsString,
    net::SocketAddr,
    num::NonZeroU32,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use super::{
    Diagnostic,
    diagnostic::Findings,
    draft::{CheckType, Common, Globals, ServerText, TunnelType},
    resolve::{Config, Service, Spare, default_port},
    set::path,
};
use crate::model::{
    AlertPhases, AlertPolicy, CheckId, CheckKind, CheckSpec, Checked, ClientIdentity, Desired,
    Fallback, Family, Forwarding, MailServer, Mask, Negotiate, Persistence, Post, ProcessSettings,
    Quiesce, RealServer, Recipient, Scheduler, Secret, ServerKey, ServiceKey, Settings, Share,
    SmtpTls, Thresholds, TlsSettings, Transport, Tunnel, VirtualService, Way, Weight,
};

const INTERVAL: Duration = Duration::from_secs(10);
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
const NEGOTIATE_TIMEOUT: Duration = Duration::from_secs(30);

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
    Desired {
        services: expanded,
        checks: checks.list,
        unverified: checks.unverified,
        process: process(globals),
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}

fn process(globals: Globals) -> ProcessSettings {
    ProcessSettings {
        user: globals.user,
        log: globals.log,
        log_format: globals.log_format,
        supervised: globals.supervised,
        autoreload: globals.autoreload,
        callback: globals.callback,
        execute: globals.execute,
        maintenance_dir: globals.maintenance_dir.map(path),
        status_listen: globals.status_listen,
        interval: globals.common.interval.map_or(INTERVAL, |(interval, _)| interval),
        drift: globals.drift,
        sync: globals.sync_roles.iter().map(|role| (*role, globals.sync.clone())).collect(),
        clean_stop: globals.common.clean_stop.unwrap_or(true),
    }
}

/// The checks so far, each with its number.
#[derive(Default)]
struct Checks {
    list: Vec<Arc<CheckSpec>>,
    numbers: HashMap<Arc<CheckSpec>, CheckId>,
    /// How many speak TLS and do not verify certificates.
    unverified: usize,
}

impl Checks {
    fn number(&mut self, check: CheckSpec, is_unverified: bool) -> Option<CheckId> {
        if let Some(number) = self.numbers.get(&check) {
            return Some(*number);
        }
        let number = CheckId::new(self.list.len())?;
        let check = Arc::new(check);
        self.list.push(Arc::clone(&check));
        self.unverified = self.unverified.saturating_add(usize::from(is_unverified));
        self.numbers.insert(check, number);
        Some(number)
    }
}

/// What holds for a service: its own word, else the globals', else the default.
pub(super) struct Timing {
    pub(super) interval: Duration,
    pub(super) fast_interval: Duration,
    pub(super) down_interval: Duration,
    pub(super) check_timeout: Duration,
    pub(super) negotiate_timeout: Duration,
    pub(super) pings: u32,
}

impl Timing {
    /// When a negotiation in this protocol has failed. ldirectord ends some when a simple check would end, too.
    pub(super) fn negotiation(&self, protocol: &str) -> Duration {
        match protocol {
            "ldap" | "ldaps" | "radius" => self.negotiate_timeout.min(self.check_timeout),
            _ => self.negotiate_timeout,
        }
    }
}

/// A number of checks; 1 where nothing is said.
fn count(own: Option<u32>, all: Option<u32>) -> NonZeroU32 {
    own.or(all).and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
}

pub(super) fn timing(own: &Common, globals: &Globals) -> Timing {
    let all = &globals.common;
    let interval = own.interval.as_ref().or(all.interval.as_ref());
    let interval = interval.map_or(INTERVAL, |(interval, _)| *interval);
    // Each timeout is the other's default, within the service before the globals are asked.
    let check =
        own.check_timeout.or(own.negotiate_timeout).or(all.check_timeout).or(all.negotiate_timeout);
    let negotiate =
        own.negotiate_timeout.or(own.check_timeout).or(all.negotiate_timeout).or(all.check_timeout);
    Timing {
        interval,
        fast_interval: own.fast_interval.or(all.fast_interval).unwrap_or(interval),
        down_interval: own.down_interval.or(all.down_interval).unwrap_or(interval),
        check_timeout: check.unwrap_or(CHECK_TIMEOUT),
        negotiate_timeout: negotiate.unwrap_or(NEGOTIATE_TIMEOUT),
        pings: own.check_count.or(all.check_count).unwrap_or(1),
    }
}

/// The port of generic UDP encapsulation, as IANA has assigned it.
const GUE_PORT: u16 = 6080;

/// Where mail servers take mail, and where they do so over TLS (RFC 8314, section 3.3).
const SMTP_PORT: u16 = 25;
const SMTPS_PORT: u16 = 465;

/// How packets are wrapped for servers that are reached by `ipip`.
fn tunnel(own: &Common, all: &Common) -> Tunnel {
    match own.tunnel_type.or(all.tunnel_type) {
        None | Some(TunnelType::Ipip) => Tunnel::Ipip,
        Some(TunnelType::Gue) => Tunnel::Gue {
            port: own.tunnel_port.or(all.tunnel_port).unwrap_or(GUE_PORT),
            checksum: 0,
        },
        Some(TunnelType::Gre) => Tunnel::Gre { checksum: 0 },
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
    let (tunnel, tls) = (tunnel(own, all), tls(service, all));
    let by = |forwarding| match forwarding {
        Forwarding::Tunnel(_) => Forwarding::Tunnel(tunnel),
        other => other,
    };
    let is_unverified = block.check_type.negotiates() && service.speaks_tls(all) && !tls.verify;
    let mut servers = Vec::with_capacity(service.servers.len());
    let mut seen = HashSet::with_capacity(service.servers.len());
    for (index, written) in &service.servers {
        let Some(line) = block.servers.get(*index) else { continue };
        let server = RealServer {
            key: ServerKey(service.in_kernel(*written, line.forwarding)),
            written: *written,
            share: Share {
                forwarding: by(line.forwarding),
                weight: line.weight,
                thresholds: Thresholds { upper: line.upper, lower: line.lower },
            },
            checked: match block.check_type {
                CheckType::On => Checked::AlwaysUp,
                CheckType::Off => Checked::Never,
                _ => {
                    let check = check(service, line, *written, &timing, &tls);
                    Checked::By(checks.number(check, is_unverified)?)
                }
            },
            agent: match block.agent_port {
                Some(port) => Some(checks.number(agent(service, *written, port, &timing), false)?),
                None => None,
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
        fallback: service
            .fallback
            .or(spare)
            .map(|spare| fallback(service, Spare { forwarding: by(spare.forwarding), ..spare })),
        fallback_command: own.fallback_command.clone().or_else(|| all.fallback_command.clone()),
        quiesce: match (quiescent, globals.readd_quiescent) {
            (false, _) => Quiesce::Remove,
            (true, true) => Quiesce::ZeroWeight,
            (true, false) => Quiesce::ZeroWeightIfPresent,
        },
        failure_count: count(own.failure_count, all.failure_count),
        rise_count: count(own.rise_count, all.rise_count),
        clean_stop: own.clean_stop.or(all.clean_stop).unwrap_or(true),
        alerts: AlertPolicy {
            recipients: recipients(own, globals),
            repeat_after: seconds(own.email_repeat_s.or(all.email_repeat_s).unwrap_or(0)),
            phases: own.email_phases.or(all.email_phases).unwrap_or(AlertPhases::ALL),
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
    let written = service.spare_address(spare);
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

/// Who is told of a service and how.
fn recipients(own: &Common, globals: &Globals) -> Vec<Recipient> {
    let all = &globals.common;
    let calls = if own.webhooks.is_empty() { &all.calls } else { &own.calls };
    let mail = post(own, globals).map(|post| Way::Mail(Arc::new(post)));
    let ways = mail.into_iter().chain(calls.iter().cloned().map(Way::Webhook));
    let digest_above = own.email_digest.or(all.email_digest).unwrap_or(Recipient::DIGEST_ABOVE);
    ways.map(|way| Recipient { way, digest_above }).collect()
}

/// Who is mailed about a service and how.
fn post(own: &Common, globals: &Globals) -> Option<Post> {
    let all = &globals.common;
    Some(Post {
        recipients: own.email.clone().or_else(|| all.email.clone())?,
        from: globals.email_from.clone(),
        server: mail_server(own, all),
    })
}

/// The mail server that mails about a service are handed to.
fn mail_server(own: &Common, all: &Common) -> Option<MailServer> {
    let host = own.smtp.clone().or_else(|| all.smtp.clone())?;
    let tls = own.smtp_tls.or(all.smtp_tls).unwrap_or_default();
    let usual = if tls == SmtpTls::Always { SMTPS_PORT } else { SMTP_PORT };
    Some(MailServer {
        host,
        port: own.smtp_port.or(all.smtp_port).unwrap_or(usual),
        tls,
        login: own.smtp_login.clone().or_else(|| all.smtp_login.clone()),
    })
}

/// What a server is asked.
fn check(
    service: &Service,
    line: &ServerText,
    written: SocketAddr,
    timing: &Timing,
    tls: &TlsSettings,
) -> CheckSpec {
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
                negotiate: negotiate(service, line, asked, tls),
            };
            (asked, kind, timing.negotiation(service.protocol))
        }
        CheckType::Negotiate => (
            asked,
            CheckKind::Negotiate(negotiate(service, line, asked, tls)),
            timing.negotiation(service.protocol),
        ),
        // `on` and `off` have no check, and do not come here.
        CheckType::Connect | CheckType::On | CheckType::Off => {
            (asked, CheckKind::Connect, timing.check_timeout)
        }
    };
    CheckSpec {
        target,
        kind,
        interval: timing.interval,
        fast_interval: timing.fast_interval,
        down_interval: timing.down_interval,
        timeout,
    }
}

/// What the agent of a server is asked. It has the time of a simple check.
fn agent(service: &Service, written: SocketAddr, port: u16, timing: &Timing) -> CheckSpec {
    let interval = service.block.agent_interval.unwrap_or(timing.interval);
    CheckSpec {
        target: SocketAddr::new(written.ip(), port),
        kind: CheckKind::Agent { send: service.block.agent_send.clone() },
        interval,
        fast_interval: interval,
        down_interval: interval,
        timeout: timing.check_timeout,
    }
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
    let arguments = arguments.into_iter().map(OsString::from).collect();
    let command = service.block.check_command.clone();
    let program = path(command.unwrap_or_else(|| b"/bin/true".to_vec()));
    match service.block.check_type {
        CheckType::ExternalPerl => CheckKind::ExternalPerl { program, arguments },
        _ => CheckKind::External { program, arguments },
    }
}

fn negotiate(
    service: &Service,
    line: &ServerText,
    asked: SocketAddr,
    tls: &TlsSettings,
) -> Negotiate {
    let block = &service.block;
    let (request, receive) = match &line.own {
        Some((request, receive)) => (request.as_slice(), receive.clone()),
        None => (block.request.as_deref().unwrap_or(b"/"), block.receive.clone()),
    };
    Negotiate {
        protocol: service.protocol,
        transport: match service.key {
            ServiceKey::Address { transport, .. } => transport,
            // A mark says nothing of it. Name servers are asked over UDP, as ldirectord asks them.
            ServiceKey::Fwmark { .. } if service.protocol == "dns" => Transport::Udp,
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
        http: block.http.clone(),
        steps: block.steps.iter().map(|(step, _)| step.clone()).collect(),
        dns_record: block.dns_record,
        virtualhost: block.virtual_host.clone(),
        login: block.access.login.clone(),
        passwd: Secret(block.access.passwd.to_string()),
        database: block.access.database.clone(),
        secret: Secret(block.access.secret.to_string()),
        tls: tls.clone(),
    }
}

/// How TLS is spoken with the servers of a service, where it is.
fn tls(service: &Service, all: &Common) -> TlsSettings {
    if !service.speaks_tls(all) {
        return TlsSettings::default();
    }
    let own = &service.block.common;
    let path = |own: &Option<PathBuf>, all: &Option<PathBuf>| own.clone().or_else(|| all.clone());
    // A key belongs to the certificate that is named in the same place.
    let (certificate, key) = match &own.client_certificate {
        Some(certificate) => (Some(certificate), &own.client_key),
        None => (all.client_certificate.as_ref(), &all.client_key),
    };
    TlsSettings {
        start: service.starts_tls(all),
        verify: own.tls_verify.or(all.tls_verify).unwrap_or(false),
        authorities: path(&own.authorities, &all.authorities),
        name: service.block.tls_name.clone(),
        client: certificate.map(|certificate| ClientIdentity {
            certificate: certificate.clone(),
            key: key.as_ref().map_or_else(|| certificate.clone(), |(key, _)| key.clone()),
        }),
        engine: own.tls_engine.or(all.tls_engine).unwrap_or_default(),
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
