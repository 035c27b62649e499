//! Real configuration files are read as the Perl ldirectord reads them: the same verdict, the same words about the
//! same line, the same services and servers. Where that is not so the file stands in a table here, with the reason,
//! and a row that is not needed any more fails as well.
//!
//! The files are not in this repository; see `support/corpus.rs`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/corpus.rs"]
mod corpus;
#[path = "support/world.rs"]
mod world;

use std::{
    collections::BTreeSet,
    fmt::{Debug, Write as _},
    process::ExitCode,
    sync::Arc,
};

use corpus::{Corpus, File, Said};
use ldirectord::{
    config::{self, Diagnostic, Ldirectord, Loaded, Severity, World},
    model::{
        Desired, Family, Forwarding, Mask, ProtocolInfo, SchedulerFlags, ServiceKey, Share,
        Transport, VirtualService,
    },
};
use libtest_mimic::{Arguments, Failed, Trial};
use world::FewNames;

/// Files with nothing but harmless faults in them: we accept them with a warning, the Perl program refuses them.
const ACCEPTED_HERE: &[(&str, &str)] = &[
    ("035-cn-dr-portless-real.cf", "a comment behind `quiescent`"),
    ("041-cn-aligned-comments.cf", "a comment behind `autoreload`, and one behind `quiescent`"),
    ("042-cn-ideographic-space.cf", "a comment behind `autoreload`"),
    ("048-cn-interleaved-comments.cf", "a line of blanks in a virtual service"),
    (
        "052-cn-comment-after-autoreload.cf",
        "comments behind `fallback`, `autoreload` and `quiescent`",
    ),
    ("074-derived-crlf-globals.cf", "Windows line ends behind `autoreload` and `quiescent`"),
];

/// Files that both refuse, where the fault that the Perl program stops at is none to us, or told otherwise.
const REFUSED_FOR_ANOTHER_FAULT: &[(&str, &str)] = &[
    ("031-cn-heartbeat-notes.cf", "a comment behind `autoreload` is harmless"),
    ("036-cn-fwm5-smartquote.cf", "a comment behind `quiescent` is harmless"),
    ("037-cn-unindented-block.cf", "a comment behind `fallback` is harmless"),
    ("038-cn-two-space-fwm3.cf", "a comment behind `fallback` is harmless"),
    (
        "070-derived-sample-all-uncommented.cf",
        "a service described twice is reported where its second description begins, not where that ends",
    ),
];

/// How many of the Perl program's further messages are not ours. Those appeared when each bad line in turn had been
/// replaced, which we do without; so a line may be bad only because of what became of the one above.
const FURTHER_MESSAGES_NOT_OURS: &[(&str, usize, &str)] = &[
    ("024-graylog2-external-perl.cf", 6, INDENTED),
    ("033-cn-indented-globals.cf", 9, INDENTED),
    ("054-cn-director-sh-vip-var.cf", 10, OF_WRONG_SERVICE),
    ("059-graylog2-bad-octet.cf", 6, OF_WRONG_SERVICE),
    (
        "070-derived-sample-all-uncommented.cf",
        13,
        "each replaced line was that behind the service; the service stayed as it was",
    ),
];
const OF_WRONG_SERVICE: &str =
    "the lines belong to a service whose address is wrong, and are right themselves";
const INDENTED: &str =
    "of several indented lines in a row that belong to no service the first is reported";

/// Warnings of the Perl program that are not ours.
const WARNINGS_NOT_OURS: &[(&str, usize, &str)] = &[(
    "027-lvsm-maintenancedir-only.cf",
    1,
    "whether a folder is there is not for the configuration to find out",
)];

/// The verdicts have what the Perl program did in five seconds; of this file that is not all. `tests/language` has it all.
const SERVERS_NOT_ON_RECORD: &[(&str, usize, &str)] =
    &[("021-grimli-farm.cf", 12, "70 services with 195 servers take longer")];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = match corpus::folder() {
        Ok(folder) => {
            let corpus = Arc::new(Corpus::read(&folder));
            let listed = Trial::test("the tables list files of the corpus", {
                let corpus = Arc::clone(&corpus);
                move || listed_files_are_there(&corpus)
            });
            let files = corpus.files.keys().map(|name| {
                let (name, corpus) = (name.clone(), Arc::clone(&corpus));
                Trial::test(name.clone(), move || compare(&name, &corpus))
            });
            files.chain([listed]).collect()
        }
        Err(trial) => vec![trial],
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn listed_files_are_there(corpus: &Corpus) -> Result<(), Failed> {
    let of_counted =
        (FURTHER_MESSAGES_NOT_OURS.iter().chain(WARNINGS_NOT_OURS)).chain(SERVERS_NOT_ON_RECORD);
    let listed = (ACCEPTED_HERE.iter().chain(REFUSED_FOR_ANOTHER_FAULT).map(|(name, _)| name))
        .chain(of_counted.map(|(name, _, _)| name));
    for name in listed {
        if !corpus.files.contains_key(*name) {
            return Err(format!("{name} is listed here and not in the corpus").into());
        }
    }
    Ok(())
}

fn compare(name: &str, corpus: &Corpus) -> Result<(), Failed> {
    let file = &corpus.files[name];
    let mut faults = String::new();
    let without = load(corpus, file, false);
    compare_verdicts(name, &without, file.error_without_names.as_ref(), &mut faults);
    let loaded = load(corpus, file, true);
    compare_verdicts(name, &loaded, file.error.as_ref(), &mut faults);

    let missing = |said: &&Said| !is_ours(said, &loaded);
    count(
        name,
        "message",
        FURTHER_MESSAGES_NOT_OURS,
        file.further_errors.iter().filter(missing),
        &mut faults,
    );
    count(name, "warning", WARNINGS_NOT_OURS, file.warnings.iter().filter(missing), &mut faults);
    if let (Some(desired), None) = (&loaded.desired, &file.error) {
        for said in says(&loaded).filter(|said| !file.warnings.contains(said)) {
            _ = writeln!(faults, "the Perl program does not say: {said:?}");
        }
        compare_calls(name, file, desired, &mut faults);
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.into()) }
}

fn load(corpus: &Corpus, file: &File, with_hosts: bool) -> Loaded {
    let mut names = FewNames::default();
    for (name, address) in corpus.hosts.iter().filter(|_| with_hosts) {
        names.0.insert(name.clone(), vec![*address]);
    }
    // Which checks this version can make is not what the files are compared for.
    let mut protocols: Vec<ProtocolInfo> = world::PROTOCOLS.to_vec();
    protocols.push(world::protocol("oracle", &[]));
    let world = World { protocols: &protocols, ..world::world(&names) };
    config::load(config::File::new("corpus.cf", file.source.as_slice()), &world)
}

/// The number of the line that it is about.
fn line(loaded: &Loaded, diagnostic: &Diagnostic) -> u64 {
    u64::try_from(loaded.sources.line(&diagnostic.span).unwrap().number).unwrap()
}

fn compare_verdicts(name: &str, loaded: &Loaded, theirs: Option<&Said>, faults: &mut String) {
    let listed = |table: &[(&str, &str)]| table.iter().any(|(listed, _)| *listed == name);
    let (accepted_here, another_fault) = (listed(ACCEPTED_HERE), listed(REFUSED_FOR_ANOTHER_FAULT));
    let same_fault = theirs.is_some_and(|theirs| says(loaded).any(|ours| ours == *theirs));
    let fault = match (&loaded.desired, theirs) {
        (Some(_), None) if accepted_here || another_fault => {
            "the Perl program accepts it too; it is listed without need"
        }
        (Some(_), Some(_)) if !accepted_here => {
            "we accept it, and it is not listed in ACCEPTED_HERE"
        }
        (None, None) => "we refuse it",
        (None, Some(_)) if accepted_here => {
            "we refuse it too; it is listed in ACCEPTED_HERE without need"
        }
        (None, Some(_)) if !same_fault && !another_fault => {
            "we do not say the same of the same line"
        }
        (None, Some(_)) if same_fault && another_fault => {
            "we say the same of the same line; it is listed in REFUSED_FOR_ANOTHER_FAULT without need"
        }
        _ => return,
    };
    _ = writeln!(faults, "{fault}; the Perl program says {theirs:?}, we say");
    for diagnostic in &loaded.diagnostics {
        _ = writeln!(
            faults,
            "    line {}: {:?} {} {} ({:?})",
            line(loaded, diagnostic),
            diagnostic.severity,
            diagnostic.code,
            diagnostic.message,
            diagnostic.ldirectord
        );
    }
}

/// As many messages or servers are missing as the table says.
fn count(
    name: &str,
    what: &str,
    table: &[(&str, usize, &str)],
    missing: impl Iterator<Item = impl Debug>,
    faults: &mut String,
) {
    let expected = table.iter().find(|(listed, _, _)| *listed == name).map_or(0, |row| row.1);
    let missing: Vec<_> = missing.collect();
    if missing.len() != expected {
        _ = writeln!(
            faults,
            "every {what} that only one has ({expected} are listed): {missing:#?}"
        );
    }
}

/// What we say in the Perl program's words. Some of its messages have a second line, which the verdicts do not have.
fn says<'a>(loaded: &'a Loaded) -> impl Iterator<Item = Said> + 'a {
    loaded.diagnostics.iter().filter_map(|diagnostic| match &diagnostic.ldirectord {
        Ldirectord::Says(text) => Some(Said {
            line: line(loaded, diagnostic),
            message: text.lines().next().unwrap_or_default().trim_end().to_owned(),
        }),
        _ => None,
    })
}

/// Whether we say the same of the same line, or warn that the Perl program refuses it.
fn is_ours(said: &Said, loaded: &Loaded) -> bool {
    says(loaded)
        .any(|ours| ours == Said { message: said.message.trim_end().to_owned(), ..said.clone() })
        || loaded.diagnostics.iter().any(|diagnostic| {
            diagnostic.severity == Severity::Warning
                && diagnostic.ldirectord == Ldirectord::Refuses
                && line(loaded, diagnostic) == said.line
        })
}

// === what is installed ===

fn compare_calls(name: &str, file: &File, desired: &Desired, faults: &mut String) {
    let services: Vec<String> = desired.services.iter().map(service).collect();
    if services != file.services {
        _ = writeln!(faults, "services\n{:#?}\nours\n{services:#?}", file.services);
    }
    let servers: BTreeSet<String> = desired.services.iter().flat_map(servers).collect();
    let strange: Vec<_> = file.servers.difference(&servers).collect();
    if !strange.is_empty() {
        _ = writeln!(faults, "servers that we do not have: {strange:#?}\nours: {servers:#?}");
    }
    let missing = servers.difference(&file.servers);
    count(name, "server", SERVERS_NOT_ON_RECORD, missing, faults);
}

/// As ipvsadm names the service.
fn option(key: &ServiceKey) -> String {
    match key {
        ServiceKey::Address { transport, address } => {
            let option = match transport {
                Transport::Tcp => "-t",
                Transport::Udp => "-u",
                Transport::Sctp => panic!("no file can ask for it"),
            };
            format!("{option} {address}")
        }
        ServiceKey::Fwmark { family: Family::V4, mark } => format!("-f {mark}"),
        ServiceKey::Fwmark { family: Family::V6, mark } => format!("-f {mark} -6"),
    }
}

/// The arguments with which ldirectord adds the service.
fn service(service: &VirtualService) -> String {
    let settings = &service.settings;
    assert_eq!(settings.flags, SchedulerFlags::default(), "no file of the corpus has any");
    let one_packet = if settings.one_packet { " -o" } else { "" };
    let mut text = format!("-A {}{one_packet} -s {}", option(&service.key), settings.scheduler);
    if let Some(persistence) = &settings.persistence {
        _ = write!(text, " -p {}", persistence.timeout_s);
        if persistence.mask != Mask::whole(service.key.family()) {
            match persistence.mask {
                Mask::V4(mask) => _ = write!(text, " -M {mask}"),
                Mask::V6(length) => _ = write!(text, " -M {length}"),
            }
        }
    }
    text
}

/// The arguments with which ldirectord adds the servers, and sooner or later the fallback.
fn servers(service: &VirtualService) -> impl Iterator<Item = String> {
    let reals = service.servers.iter().map(|server| (server.written, &server.share));
    let fallback = service.fallback.iter().map(|fallback| (fallback.written, &fallback.share));
    reals.chain(fallback).map(|(written, share)| {
        let Share { forwarding, weight, thresholds } = share;
        let method = match forwarding {
            Forwarding::Route => "-g",
            Forwarding::Masquerade => "-m",
            Forwarding::Tunnel(_) => "-i",
            Forwarding::Local | Forwarding::Bypass => panic!("no file can ask for it"),
        };
        format!(
            "-a {} -x {} -y {} -r {written} {method} -w {weight}",
            option(&service.key),
            thresholds.upper,
            thresholds.lower
        )
    })
}
