//! A configuration as text: its diagnostics as a person sees them, then what it asks for, defaults left out.

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use ldirectord::{
    config::{self, File},
    model::{
        AlertPolicy, CheckKind, CheckSpec, Checked, Desired, Forwarding, HttpMethod, HttpSettings,
        LogTarget, Negotiate, ProcessSettings, Quiesce, Settings, Step, TlsSettings, Tunnel,
        VirtualService,
    },
};

use super::world::{FewNames, world};

/// Reads a file with a handful of names and tells what came of it.
pub(crate) fn load(path: &str, source: &[u8]) -> String {
    let names = FewNames::default();
    let mut loaded = config::load(File::new(path, source), &world(&names));
    // Every line with an extension has this.
    loaded.diagnostics.retain(|fault| fault.code != "A0105");
    let mut text = config::render(&loaded.sources, 42, &loaded.diagnostics);
    match loaded.desired {
        Some(desired) => text.push_str(&self::desired(&desired)),
        None => text.push_str("refused\n"),
    }
    text
}

/// What a file asks for.
pub(crate) fn desired(desired: &Desired) -> String {
    let mut text = String::new();
    process(&mut text, &desired.process);
    for virtual_service in &desired.services {
        service(&mut text, virtual_service, desired);
    }
    text
}

macro_rules! line {
    ($text:expr, $($rest:tt)*) => { writeln!($text, $($rest)*).unwrap() };
}

fn forwarding(forwarding: Forwarding) -> String {
    match forwarding {
        Forwarding::Tunnel(tunnel) if tunnel != Tunnel::Ipip => format!("ipip ({tunnel:?})"),
        other => other.to_string(),
    }
}

fn process(text: &mut String, process: &ProcessSettings) {
    let default = ProcessSettings::default();
    if process.log != default.log {
        match &process.log {
            LogTarget::File(path) => line!(text, "log to {}", path.display()),
            LogTarget::Syslog(facility) => line!(text, "log to syslog {facility:?}"),
            LogTarget::Journal | LogTarget::StandardOutput | LogTarget::StandardError => {
                line!(text, "log to {:?}", process.log);
            }
        }
    }
    if process.log_format != default.log_format {
        line!(text, "log format {:?}", process.log_format);
    }
    if process.supervised {
        line!(text, "supervised");
    }
    if process.autoreload {
        line!(text, "autoreload");
    }
    if let Some(address) = process.status_listen {
        line!(text, "status page at {address}");
    }
    if let Some(callback) = &process.callback {
        line!(text, "callback {callback:?}");
    }
    for name in &process.execute {
        line!(text, "execute {name:?}");
    }
    if let Some(path) = &process.maintenance_dir {
        line!(text, "maintenance by {path:?}");
    }
    if let Some(user) = &process.user {
        line!(text, "user: {user}");
    }
    if process.drift != default.drift {
        line!(text, "drift: {:?}", process.drift);
    }
    for (role, daemon) in &process.sync {
        line!(text, "{role} sync daemon: {daemon}");
    }
    if !process.sync.is_empty() && !process.clean_stop {
        line!(text, "sync daemons stay");
    }
    if process.interval != default.interval {
        line!(text, "every {:?}", process.interval);
    }
}

fn service(text: &mut String, service: &VirtualService, desired: &Desired) {
    line!(
        text,
        "{} [{}] {}",
        service.key,
        service.key.with_protocol(),
        settings(&service.settings)
    );
    let mut said = Vec::new();
    match service.quiesce {
        Quiesce::Remove => {}
        Quiesce::ZeroWeight => said.push("weight 0 when down".to_owned()),
        Quiesce::ZeroWeightIfPresent => said.push("weight 0 when down if present".to_owned()),
    }
    if service.failure_count.get() != 1 {
        said.push(format!("down after {} failures", service.failure_count));
    }
    if service.rise_count.get() != 1 {
        said.push(format!("up after {} passes", service.rise_count));
    }
    if !service.clean_stop {
        said.push("stays at stop".to_owned());
    }
    if let Some(command) = &service.fallback_command {
        said.push(format!("fallback command {command:?}"));
    }
    if let Some(path) = &service.monitor_file {
        said.push(format!("monitor file {path:?}"));
    }
    if let Some(name) = &service.name {
        said.push(format!("name {name:?}"));
    }
    if let Some(comment) = &service.comment {
        said.push(format!("comment {comment:?}"));
    }
    if service.alerts != AlertPolicy::default() {
        said.push(format!("{:?}", service.alerts));
    }
    for line in said {
        line!(text, "    {line}");
    }
    for server in &service.servers {
        let share = server.share;
        let by = forwarding(share.forwarding);
        write!(text, "  {} {by} weight {}", server.key, share.weight).unwrap();
        if server.written != server.key.0 {
            write!(text, " written {}", server.written).unwrap();
        }
        if share.thresholds.upper != 0 || share.thresholds.lower != 0 {
            write!(text, " upper {} lower {}", share.thresholds.upper, share.thresholds.lower)
                .unwrap();
        }
        match server.checked {
            Checked::AlwaysUp => text.push_str(", always up"),
            Checked::Never => text.push_str(", never up"),
            Checked::By(id) => {
                write!(text, ", check {id}: {}", check(desired.check(id).unwrap())).unwrap();
            }
        }
        if let Some(id) = server.agent {
            write!(text, ", beside it {id}: {}", check(desired.check(id).unwrap())).unwrap();
        }
        line!(text, "");
    }
    if let Some(fallback) = &service.fallback {
        let by = forwarding(fallback.share.forwarding);
        write!(text, "  fallback {} {by}", fallback.key).unwrap();
        match fallback.written == fallback.key.0 {
            true => line!(text, ""),
            false => line!(text, " written {}", fallback.written),
        }
    }
}

fn settings(settings: &Settings) -> String {
    let mut text = settings.scheduler.to_string();
    for (flag, name) in [
        (settings.flags.first, "flag-1"),
        (settings.flags.second, "flag-2"),
        (settings.flags.third, "flag-3"),
    ] {
        if flag {
            write!(text, " {name}").unwrap();
        }
    }
    if let Some(persistence) = &settings.persistence {
        write!(text, " persistent {}s {:?}", persistence.timeout_s, persistence.mask).unwrap();
    }
    if settings.one_packet {
        text.push_str(" one-packet");
    }
    text
}

fn check(check: &CheckSpec) -> String {
    let CheckSpec { target, kind, interval, fast_interval, down_interval, timeout } = check;
    let mut text = match kind {
        CheckKind::Connect => format!("connect {target}"),
        CheckKind::Ping { attempts } => format!("ping {} {attempts} times", target.ip()),
        CheckKind::External { program, arguments } => format!("run {program:?} {arguments:?}"),
        CheckKind::ExternalPerl { program, arguments } => {
            format!("run perl {program:?} {arguments:?}")
        }
        CheckKind::Agent { send } => match String::from_utf8_lossy(send) {
            send if send.is_empty() => format!("agent {target}"),
            send => format!("agent {target} {send:?}"),
        },
        CheckKind::Negotiate(talk) => negotiate(talk, target),
        CheckKind::Combined { connects, connect_timeout, negotiate: talk } => {
            format!(
                "{}, then {connects} connects within {connect_timeout:?}",
                negotiate(talk, target)
            )
        }
    };
    write!(text, ", within {timeout:?}").unwrap();
    if *interval != Duration::from_secs(10) {
        write!(text, ", every {interval:?}").unwrap();
    }
    if fast_interval != interval {
        write!(text, ", every {fast_interval:?} while a verdict is pending").unwrap();
    }
    if down_interval != interval {
        write!(text, ", every {down_interval:?} while down").unwrap();
    }
    text
}

fn negotiate(talk: &Negotiate, target: &SocketAddr) -> String {
    let mut text = format!(
        "{} {target} ({}) {:?}",
        talk.protocol,
        talk.transport,
        String::from_utf8_lossy(&talk.request)
    );
    if let Some(receive) = &talk.receive {
        write!(text, " receive {:?}", String::from_utf8_lossy(receive.source())).unwrap();
    }
    if talk.method != HttpMethod::Get {
        write!(text, " {}", talk.method).unwrap();
    }
    http(&mut text, &talk.http);
    for step in &talk.steps {
        match step {
            Step::Send(sent) => write!(text, " send \"{}\"", sent.0.escape_ascii()),
            Step::Expect(pattern) => {
                write!(text, " expect {:?}", String::from_utf8_lossy(pattern.source()))
            }
        }
        .unwrap();
    }
    if let Some(record) = talk.dns_record {
        write!(text, " {record}").unwrap();
    }
    if talk.tls != TlsSettings::default() {
        write!(text, " {:?}", talk.tls).unwrap();
    }
    if let Some(host) = &talk.virtualhost {
        write!(text, " host {host:?}").unwrap();
    }
    for (name, value) in [
        ("login", &talk.login),
        ("passwd", &talk.passwd.0),
        ("database", &talk.database),
        ("secret", &talk.secret.0),
    ] {
        if !value.is_empty() {
            write!(text, " {name} {value:?}").unwrap();
        }
    }
    text
}

fn http(text: &mut String, http: &HttpSettings) {
    let default = HttpSettings::default();
    for header in &http.headers {
        write!(text, " send {}: {:?}", header.name, header.value.0).unwrap();
    }
    if http.body != default.body {
        write!(text, " body {:?}", http.body.0).unwrap();
    }
    if http.statuses != default.statuses {
        write!(text, " status {:?}", http.statuses).unwrap();
    }
    for (name, pattern) in &http.expected_headers {
        write!(text, " expect {name}: {:?}", String::from_utf8_lossy(pattern.source())).unwrap();
    }
    if http.max_body != default.max_body {
        write!(text, " body up to {}", http.max_body).unwrap();
    }
    if http.keep_alive {
        text.push_str(" kept alive");
    }
}
