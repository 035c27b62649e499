//! `validate`: says what is wrong or doubtful in a configuration file.
//!
//! The faults go to standard error, drawn; what the file asks for to standard output, if it can be used. With `--json`
//! everything goes to standard output as one object ([`json`]), and nothing to standard error.

mod json;

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    cli::{exit::Exit, output, own},
    config::{self, Diagnostic, Severity},
    daemon::{
        instance::{DEFAULT_CONFIG, Instance, Places},
        load::{self, Purpose, Reading},
    },
};

/// A file that was read and judged.
struct Judged {
    /// What it is called.
    file: PathBuf,
    /// Whether ldirectord must be able to read it too.
    strict: bool,
    /// The file; its diagnostics are those to be told, in the order of the file, as severe as they were asked to be.
    reading: Reading,
}

/// A file that could not be read.
struct Unread {
    file: PathBuf,
    message: String,
    exit: Exit,
}

/// `validate`.
pub(super) fn run(words: &own::Validate) -> Exit {
    let judged = judge(words.file.as_deref(), words.strict);
    match (words.json, &judged) {
        (true, _) => output::out(json::text(judged.as_ref(), words.strict)),
        (false, Ok(judged)) => tell(judged),
        (false, Err(unread)) => output::complain(&unread.message),
    }
    match judged {
        Ok(judged) => judged.exit(),
        Err(unread) => unread.exit,
    }
}

/// Finds the file, reads and judges it.
fn judge(file: Option<&Path>, strict: bool) -> Result<Judged, Unread> {
    let (file, reading) = if file == Some(Path::new("-")) {
        (PathBuf::from(load::STANDARD_INPUT), load::examine_standard_input())
    } else {
        let Some(instance) = Instance::find(file.map(Path::as_os_str), &Places::here()) else {
            let file = file.unwrap_or(Path::new(DEFAULT_CONFIG)).to_owned();
            let message = format!("Config file {} not found", file.display());
            return Err(Unread { file, message, exit: Exit::Failure });
        };
        let reading = load::load(&instance.config, Purpose::Examine);
        (instance.config, reading)
    };
    match reading {
        Ok(mut reading) => {
            reading.diagnostics = told(reading.diagnostics, strict);
            Ok(Judged { file, strict, reading })
        }
        Err(error) => {
            let message = format!("cannot read {}: {error}", file.display());
            Err(Unread { file, message, exit: Exit::Configuration })
        }
    }
}

/// What is to be told, in the order of the file: who does not ask ldirectord's opinion is not told that alone.
fn told(diagnostics: Vec<Diagnostic>, strict: bool) -> Vec<Diagnostic> {
    let told = diagnostics.into_iter().filter(|found| strict || !found.is_of_portability_alone());
    let mut told: Vec<Diagnostic> =
        told.map(|found| if strict { found.strictly() } else { found }).collect();
    told.sort_by_key(|found| found.span.start);
    told
}

impl Judged {
    fn count(&self, severity: Severity) -> usize {
        self.reading.diagnostics.iter().filter(|found| found.severity == severity).count()
    }

    /// Whether the file can be used, by all programs that it is to be used by.
    fn is_valid(&self) -> bool {
        self.count(Severity::Error) == 0
    }

    fn exit(&self) -> Exit {
        match () {
            () if !self.is_valid() => Exit::Configuration,
            () if self.strict && !self.reading.diagnostics.is_empty() => Exit::Failure,
            () => Exit::Success,
        }
    }

    /// How many faults of each kind there are; empty without any.
    fn faults(&self) -> String {
        let kinds = [
            (Severity::Error, "error", "errors"),
            (Severity::Warning, "warning", "warnings"),
            (Severity::Advice, "piece of advice", "pieces of advice"),
        ];
        let counted = kinds.map(|(severity, one, more)| (self.count(severity), one, more));
        let told = counted.into_iter().filter(|(number, _, _)| *number > 0);
        told.map(|(number, one, more)| count(number, one, more)).collect::<Vec<_>>().join(", ")
    }

    /// What a file that can be used asks for: virtual services, real servers, checks.
    fn contents(&self) -> Option<(usize, usize, usize)> {
        let desired = self.reading.desired.as_ref().filter(|_| self.is_valid())?;
        let servers = desired.services.iter().map(|service| service.servers.len()).sum();
        Some((desired.services.len(), servers, desired.checks.len()))
    }
}

/// Shows it to a person.
fn tell(judged: &Judged) {
    let Judged { file, reading, .. } = judged;
    let faults = judged.faults();
    if !faults.is_empty() {
        let drawing =
            config::draw(&reading.sources, &reading.diagnostics, output::is_colored(&io::stderr()));
        output::complain(format!("{drawing}{}: {faults}", file.display()));
    }
    if let Some((services, servers, checks)) = judged.contents() {
        output::out(format!(
            "{}: {}, {}, {}",
            file.display(),
            count(services, "virtual service", "virtual services"),
            count(servers, "real server", "real servers"),
            count(checks, "check", "checks"),
        ));
    }
}

fn count(number: usize, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Ldirectord;

    fn found(
        code: &'static str,
        severity: Severity,
        start: usize,
        ldirectord: Ldirectord,
    ) -> Diagnostic {
        Diagnostic {
            severity,
            code,
            span: start..start + 1,
            message: String::new(),
            hints: Vec::new(),
            elsewhere: None,
            ldirectord,
        }
    }

    #[test]
    fn who_is_strict_is_told_what_ldirectord_refuses() {
        let all = [
            found("A0105", Severity::Advice, 5, Ldirectord::Silent),
            found("A0203", Severity::Advice, 4, Ldirectord::Silent),
            found("A0105", Severity::Advice, 3, Ldirectord::Refuses),
            found("W0101", Severity::Warning, 2, Ldirectord::Refuses),
            found("W0201", Severity::Warning, 1, Ldirectord::Says(String::new())),
            found("E0101", Severity::Error, 0, Ldirectord::Silent),
        ];
        let told = |strict| -> Vec<(usize, Severity)> {
            let told = told(all.to_vec(), strict);
            told.iter().map(|found| (found.span.start, found.severity)).collect()
        };
        let (error, warning, advice) = (Severity::Error, Severity::Warning, Severity::Advice);
        assert_eq!(told(false), [(0, error), (1, warning), (2, warning), (4, advice)]);
        assert_eq!(
            told(true),
            [(0, error), (1, warning), (2, error), (3, error), (4, advice), (5, advice)]
        );
    }
}
