//! Reads the configuration file: the way to [`config::load`] for the daemon and the command line.
//!
//! In go a path and what for, out come the configuration, if it is one, and everything there is to say about the file.

use std::{collections::HashSet, env, fs, io, path::Path};

use nix::unistd::{AccessFlags, access};

use super::{
    children::{self, Doubt},
    files::{self, SystemFiles},
    names::{KnownNames, NoHosts},
    privileges,
    watch::Seen,
};
use crate::{
    checks::{self, tls::TlsSettingsError},
    config::{self, Diagnostic, File, Ldirectord, Loaded, Named, Names, Severity, Sources, World},
    director::user::{self, Account},
    model::{CheckKind, Desired, TlsSettings},
    sinks,
};

/// What a configuration file is read for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// To be followed: names are resolved, and the files that it names can be opened.
    Follow,
    /// To say what it is worth: names are resolved, nothing is written to.
    Examine,
    /// To find out about a daemon: no name server is asked, unless there is a fault that may come of that.
    Ask,
}

/// A configuration as it was read.
#[derive(Debug)]
pub struct Reading {
    /// Its files.
    pub sources: Sources,
    /// What they were when they were read.
    pub seen: Seen,
    /// What it asks for; `None` when it cannot be followed.
    pub desired: Option<Desired>,
    /// What there is to say about it.
    pub diagnostics: Vec<Diagnostic>,
}

impl Reading {
    /// Its errors and warnings as text for people; empty when there are none.
    pub fn remarks(&self) -> String {
        let told = |diagnostic: &&Diagnostic| diagnostic.severity != Severity::Advice;
        let told: Vec<Diagnostic> = self.diagnostics.iter().filter(told).cloned().collect();
        config::render(&self.sources, std::process::id(), &told)
    }
}

/// Reads a configuration. Blocks, also for the resolver.
pub fn load(path: &Path, purpose: Purpose) -> io::Result<Reading> {
    understand(purpose, |files| files.main(path))
}

/// What standard input is called where a file would be named.
pub const STANDARD_INPUT: &str = "<standard input>";

/// Reads a configuration from standard input to say what it is worth. The folder of the process is where the names in
/// it begin. Blocks, also for the resolver.
pub fn examine_standard_input() -> io::Result<Reading> {
    let file = files::standard_input(STANDARD_INPUT)?;
    understand(Purpose::Examine, |_| Ok(file.clone()))
}

fn understand(
    purpose: Purpose,
    read: impl Fn(&SystemFiles) -> io::Result<File>,
) -> io::Result<Reading> {
    let (names, files) = (NoHosts::default(), SystemFiles::default());
    let loaded = with_names(read(&files)?, &files, &names);
    let names = names.asked();
    if names.is_empty() || (purpose == Purpose::Ask && loaded.desired.is_some()) {
        return Ok(judge(loaded, files, purpose));
    }
    let files = SystemFiles::default();
    let loaded = with_names(read(&files)?, &files, &KnownNames::ask(names));
    Ok(judge(loaded, files, purpose))
}

/// The configurations that this one has run, if it can be followed; no name server is asked.
pub(super) fn executed_by(path: &Path) -> Vec<String> {
    let (names, files) = (NoHosts::default(), SystemFiles::default());
    let desired = files.main(path).ok().and_then(|file| with_names(file, &files, &names).desired);
    desired.map(|desired| desired.process.execute).unwrap_or_default()
}

fn with_names(file: File, files: &SystemFiles, names: &dyn Names) -> Loaded {
    let (protocols, host_name) = (checks::catalogue(), host_name());
    let world = World {
        names,
        files,
        protocols: &protocols,
        host_name: &host_name,
        expire_quiescent_template: expire_quiescent_template(),
    };
    config::load(file, &world)
}

/// Adds what is wrong with the files that the configuration names.
fn judge(loaded: Loaded, files: SystemFiles, purpose: Purpose) -> Reading {
    let Loaded { mut desired, mut diagnostics, sources, named } = loaded;
    let seen = files.seen();
    let for_perl = |path: &Path| {
        let checks = desired.iter().flat_map(|desired| &desired.checks);
        checks.into_iter().any(|check| {
            matches!(&check.kind, CheckKind::ExternalPerl { program, .. } if program == path)
        })
    };
    diagnostics.extend(named.iter().filter_map(|named| examine(named, for_perl, purpose)));
    if let Some(desired) = &mut desired {
        let own = sources.iter().next().map(|(_, file)| file.path.clone()).unwrap_or_default();
        let names = &mut desired.process.execute;
        *names = children::tidy(names);
        names.retain(|name| children::examine(&own, name) != Some(Doubt::LeadsBack));
        let executed = named.iter().filter(|named| named.directive == "execute");
        let doubts = executed.filter(|_| purpose != Purpose::Ask);
        diagnostics.extend(doubts.filter_map(|named| examine_executed(&own, named)));
    }
    if let (Some(desired), false) = (&desired, purpose == Purpose::Ask) {
        diagnostics.extend(examine_tls(desired, &named));
        diagnostics.extend(examine_user(desired, &seen, &named, purpose));
    }
    if diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        desired = None;
    }
    Reading { sources, seen, desired, diagnostics }
}

/// What is wrong with a file that the configuration names.
fn examine(
    named: &Named,
    for_perl: impl Fn(&Path) -> bool,
    purpose: Purpose,
) -> Option<Diagnostic> {
    let file = named.path.display();
    let mut help = None;
    let (severity, code, message, hint) = match (named.directive, purpose) {
        (_, Purpose::Ask) => return None,
        ("logfile" | "monitorfile", _) => {
            let error = unwritable(&named.path, purpose)?;
            let message = format!("unable to open {} {file}: {error}", named.directive);
            help = privileges::help(&named.path, &error, "660");
            let hint = "does the folder exist, and may this user write there?";
            (Severity::Error, "E0005", message, hint)
        }
        // Perl reads it, nobody executes it.
        ("checkcommand", _) if for_perl(&named.path) => {
            if !is_in_path("perl") {
                let message = "checktype=external-perl needs perl, and there is none in PATH";
                let hint =
                    "install perl, or write checktype=external for a program that runs without it";
                (Severity::Error, "E0402", message.to_owned(), hint)
            } else {
                let error = access(&named.path, AccessFlags::R_OK).err()?;
                let message = format!("{file} cannot be read: {}", error.desc());
                (Severity::Warning, "W0002", message, "is it there, and may this user read it?")
            }
        }
        ("checkcommand" | "callback", _) => {
            let error = access(&named.path, AccessFlags::X_OK).err()?;
            let message = format!("{file} cannot be run: {}", error.desc());
            (Severity::Warning, "W0002", message, "is it there, and is it executable?")
        }
        ("maintenancedir", _) if !named.path.is_dir() => {
            let message = format!("{file} is no directory");
            (Severity::Warning, "W0003", message, "make it, or no server can be put there")
        }
        _ => return None,
    };
    let says = match named.directive {
        "logfile" | "monitorfile" => Ldirectord::Says(message.clone()),
        "maintenancedir" => Ldirectord::Says("maintenance directory does not exist".to_owned()),
        _ => Ldirectord::Silent,
    };
    Some(Diagnostic {
        severity,
        code,
        span: named.span.clone(),
        message,
        hints: [hint.to_owned()].into_iter().chain(help).collect(),
        elsewhere: None,
        ldirectord: says,
    })
}

/// What is wrong with a configuration that this one has run.
fn examine_executed(own: &Path, named: &Named) -> Option<Diagnostic> {
    let name = named.path.display();
    let (message, hint) = match children::examine(own, &named.path.to_string_lossy())? {
        Doubt::NotThere => {
            (format!("there is no configuration {name}"), "it is tried again at each reload")
        }
        Doubt::LeadsBack => (
            format!("{name} is this configuration or has it run, and is left out"),
            "start one of them alone, and let that one name the others",
        ),
    };
    Some(Diagnostic {
        severity: Severity::Warning,
        code: "W0004",
        span: named.span.clone(),
        message,
        hints: vec![hint.to_owned()],
        elsewhere: None,
        ldirectord: Ldirectord::Silent,
    })
}

/// Whether a program is found by its name.
fn is_in_path(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| access(&folder.join(name), AccessFlags::X_OK).is_ok())
}

/// What is wrong with the account that the configuration names.
fn examine_user(
    desired: &Desired,
    seen: &Seen,
    named: &[Named],
    purpose: Purpose,
) -> Option<Diagnostic> {
    let name = desired.process.user.as_deref()?;
    let error = (Severity::Error, "E0507");
    let ((severity, code), message, hint) = match privileges::examine(desired, seen) {
        Account::Fit => return None,
        Account::Unfit(why) => {
            let hint = "the daemon is that user when it reads the configuration again";
            (error, format!("user {name} {why}"), hint)
        }
        Account::Missing => {
            // The file may be for another machine.
            let doubt = (Severity::Warning, "W0502");
            let judged = if purpose == Purpose::Examine { doubt } else { error };
            (judged, user::missing(name), "make it, or take the line out")
        }
    };
    // The last one counts.
    let place = named.iter().rfind(|named| named.directive == "user");
    Some(Diagnostic {
        severity,
        code,
        span: place.map(|named| named.span.clone()).unwrap_or_default(),
        message,
        hints: vec![hint.to_owned()],
        elsewhere: None,
        ldirectord: Ldirectord::Silent,
    })
}

/// What is wrong with the files that TLS takes, each looked at once.
fn examine_tls(desired: &Desired, named: &[Named]) -> Vec<Diagnostic> {
    let tls = desired.checks.iter().filter_map(|check| match &check.kind {
        CheckKind::Negotiate(negotiate) | CheckKind::Combined { negotiate, .. } => {
            Some(&negotiate.tls).filter(|tls| **tls != TlsSettings::default())
        }
        _ => None,
    });
    let distinct: HashSet<&TlsSettings> = tls.collect();
    let place = |directive: &str, path: &Path| {
        let found = named.iter().find(|named| named.directive == directive && named.path == path);
        found.map(|named| named.span.clone()).unwrap_or_default()
    };
    let fault = |severity, code, span, message: String, help: Option<String>| Diagnostic {
        severity,
        code,
        span,
        message,
        hints: help.into_iter().collect(),
        elsewhere: None,
        ldirectord: Ldirectord::Silent,
    };
    let mut faults: Vec<Diagnostic> = distinct
        .into_iter()
        .filter_map(|settings| match checks::tls::examine(settings) {
            Ok(None) => None,
            Ok(Some(doubt)) => {
                let client = settings.client.as_ref()?;
                let directive =
                    if client.key == client.certificate { "clientcert" } else { "clientkey" };
                let place = place(directive, &client.key);
                Some(fault(Severity::Warning, "W0404", place, doubt, None))
            }
            Err(error) => {
                let name = settings.name.as_deref().unwrap_or_default();
                let path = match error.directive() {
                    "tlsname" => Path::new(name),
                    _ => error.file().unwrap_or(Path::new("")),
                };
                let place = place(error.directive(), path);
                let help = match &error {
                    TlsSettingsError::Unreadable { file, error, .. } => {
                        privileges::help(file, error, "640")
                    }
                    _ => None,
                };
                Some(fault(Severity::Error, "E0405", place, error.to_string(), help))
            }
        })
        .collect();
    faults.sort_by(|a, b| (a.span.start, &a.message).cmp(&(b.span.start, &b.message)));
    faults.dedup();
    faults
}

/// Why a file cannot be written to; like ldirectord, who is to follow a configuration opens it.
fn unwritable(path: &Path, purpose: Purpose) -> Option<io::Error> {
    if purpose == Purpose::Follow {
        return sinks::writer::append(path, "").err();
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let wanted = if path.exists() { path } else { folder };
    access(wanted, AccessFlags::W_OK).err().map(io::Error::from)
}

/// What the kernel does with the persistence of a server that gets weight 0; `None` where there is no IPVS.
fn expire_quiescent_template() -> Option<bool> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/vs/expire_quiescent_template").ok()?;
    Some(text.trim() != "0")
}

/// What ldirectord says of a file that cannot be opened, and why it cannot.
pub fn cannot_open(path: &Path, error: &io::Error) -> String {
    format!("Error [{}]: can not open file {}\nhint: {error}", std::process::id(), path.display())
}

/// The name of this host, for default logins: `HOSTNAME`, else what the kernel says.
fn host_name() -> String {
    let set = env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    set.or_else(|| nix::unistd::gethostname().ok()?.into_string().ok()).unwrap_or_default()
}
