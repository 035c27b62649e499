//! What both programs say of a file: the same fault of the same line, unless the difference is of a kind that is meant.

use std::fmt::Write as _;

use ldirectord::config::{Diagnostic, Ldirectord, Loaded, Severity};

use crate::programs::Theirs;

/// What we accept with a warning and the Perl program refuses.
const ACCEPTED_HERE: &[(&str, &str)] = &[
    ("W0101", "blanks, a comment or a carriage return behind a value that must be exact"),
    ("W0102", "a `#` inside of quotes"),
    ("W0106", "a service on the last line"),
    ("W0107", "a byte order mark"),
    ("W0108", "a line of blanks in a service"),
];

/// What we refuse and the Perl program accepts.
const REFUSED_HERE: &[(&str, &str)] = &[
    ("E0302", "an address without a port, which it takes for a mark"),
    ("E0207", "flags of a scheduler that there are not, so that ipvsadm refuses the service"),
    ("E0211", "a pattern that would end it at the first answer"),
];

/// The same without a warning: what the Perl program says, and why it is no fault to us.
const ACCEPTED_SILENTLY: &[(&str, &str)] = &[(
    "invalid port for fallback server",
    "a port's name that one protocol has, of a global fallback; or any name, of a mark's",
)];

/// What we say of another line than the Perl program.
const OF_ANOTHER_LINE: &[(&str, &str)] = &[(
    "duplicate virtual server",
    "reported where the second description begins, not where it ends",
)];

/// A `real` line with two faults: ours, and the one that the Perl program names.
const OTHER_FAULT_OF_THE_LINE: &[(&str, &str)] = &[
    ("E0306", "invalid address ("),
    ("E0308", "invalid address ("),
    ("E0306", "invalid port ("),
    ("E0308", "invalid port ("),
];

/// Warnings of the Perl program that are not ours.
const WARNINGS_NOT_OURS: &[(&str, &str)] =
    &[("maintenance directory does not exist", "the configuration does not look for it")];

/// The beginning of a warning that names a service: we say none of a service that is left out, and write others' numbers
/// without the zeros before them.
const NAMES_A_SERVICE: &str = "checkinterval in virtual service ";

/// How the verdicts differ, if they do.
pub fn difference(source: &[u8], theirs: &Theirs, ours: &Loaded) -> Option<String> {
    let error = theirs.said.lines().find(|line| line.starts_with("Error ")).map(split);
    let fault = match (&theirs.table, &ours.desired, &error) {
        (Some(_), Some(_), None) if same_warnings(source, theirs, ours) => return None,
        (Some(_), Some(_), None) => "the warnings differ",
        (Some(_), None, None) => {
            let mut errors = (ours.diagnostics.iter())
                .filter(|diagnostic| diagnostic.severity == Severity::Error);
            let meant = |error: &Diagnostic| {
                error.ldirectord == Ldirectord::Silent && listed(error.code, REFUSED_HERE)
            };
            if errors.all(meant) {
                return None;
            }
            "we refuse a file that ldirectord accepts"
        }
        (None, Some(_), Some((line, message))) => {
            let meant = listed(message, ACCEPTED_SILENTLY)
                || ours.diagnostics.iter().any(|warning| {
                    warning.ldirectord == Ldirectord::Refuses
                        && Some(warning.line(source)) == *line
                        && listed(warning.code, ACCEPTED_HERE)
                });
            if meant {
                return None;
            }
            "we accept a file that ldirectord refuses"
        }
        (None, None, Some((line, message))) => {
            // A password that the Perl program shows is not shown here.
            let plain = |text: &str| match text.split_once("passwd").or(text.split_once("secret")) {
                Some((before, _)) => before.to_owned(),
                None => text.trim_end().to_owned(),
            };
            let same = ours.diagnostics.iter().any(|error| {
                let says = matches!(&error.ldirectord, Ldirectord::Says(text)
                    if plain(text.lines().next().unwrap_or_default()) == plain(message));
                let there = listed(message, OF_ANOTHER_LINE)
                    || line.is_none_or(|line| error.line(source) == line);
                says && there
            });
            let other = ours.diagnostics.iter().any(|error| {
                let mut pairs = OTHER_FAULT_OF_THE_LINE.iter();
                Some(error.line(source)) == *line
                    && pairs.any(|(code, says)| error.code == *code && message.starts_with(says))
            });
            if same || other || listed(message, ACCEPTED_SILENTLY) {
                return None;
            }
            "ldirectord's fault is not among ours"
        }
        _ => "ldirectord says an error and goes on, or says none and does not",
    };
    let mut text = format!("{fault}\n--- ldirectord says\n{}--- we say\n", theirs.said);
    for diagnostic in &ours.diagnostics {
        _ = writeln!(
            text,
            "line {}: {:?} {} {} ({:?})",
            diagnostic.line(source),
            diagnostic.severity,
            diagnostic.code,
            diagnostic.message,
            diagnostic.ldirectord
        );
    }
    Some(text)
}

/// Whether both warn of the same; ours that ldirectord has not are no matter.
fn same_warnings(source: &[u8], theirs: &Theirs, ours: &Loaded) -> bool {
    let theirs: Vec<_> = theirs
        .said
        .lines()
        .filter(|line| line.starts_with("Warning "))
        .map(split)
        .filter(|(_, text)| !text.starts_with(NAMES_A_SERVICE))
        .collect();
    let ours: Vec<_> = (ours.diagnostics.iter())
        .filter_map(|warning| match &warning.ldirectord {
            Ldirectord::Says(text) => Some((warning.line(source), text.trim_end())),
            Ldirectord::Refuses | Ldirectord::Silent => None,
        })
        .filter(|(_, text)| !text.starts_with(NAMES_A_SERVICE))
        .collect();
    let is_same = |(line, text): &(Option<usize>, &str), (at, ours): &(usize, &str)| {
        text == ours && line.is_none_or(|line| line == *at)
    };
    theirs.iter().all(|warning| {
        listed(warning.1, WARNINGS_NOT_OURS) || ours.iter().any(|ours| is_same(warning, ours))
    }) && ours.iter().all(|ours| theirs.iter().any(|warning| is_same(warning, ours)))
}

fn listed(code: &str, kinds: &[(&str, &str)]) -> bool {
    kinds.iter().any(|(known, _)| *known == code)
}

/// Line and message of `Error [PID] reading file PATH at line N: MESSAGE`; the part behind the number may be missing.
fn split(said: &str) -> (Option<usize>, &str) {
    let rest = said.split_once(']').map_or(said, |(_, rest)| rest);
    let (place, message) = rest.split_once(": ").unwrap_or(("", rest));
    let line = place.rsplit_once(" at line ").and_then(|(_, line)| line.parse().ok());
    (line, message.trim_end())
}
