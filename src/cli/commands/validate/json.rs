//! What `validate --json` prints: one object, for programs.
//!
//! The section DIAGNOSTICS of the manual page ldirectord.cf(5) describes it. Members may be added; one that is taken
//! away or means something else makes [`SCHEMA`] the next number.

use serde::Serialize;

use super::{Judged, Unread};
use crate::config::{Diagnostic, Ldirectord, Line, Severity, Sources, short};

/// The version of the object.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Report {
    schema: u32,
    file: String,
    /// Why the file could not be read.
    failure: Option<String>,
    /// Whether ldirectord must be able to read it too.
    strict: bool,
    valid: bool,
    errors: usize,
    warnings: usize,
    advice: usize,
    contents: Option<Contents>,
    diagnostics: Vec<Fault>,
}

/// What a file that can be used asks for.
#[derive(Serialize)]
struct Contents {
    virtual_services: usize,
    real_servers: usize,
    checks: usize,
}

#[derive(Serialize)]
struct Fault {
    severity: &'static str,
    code: &'static str,
    file: String,
    line: usize,
    /// In characters, from 1.
    column: usize,
    /// The column behind the last character.
    end_column: usize,
    text: String,
    message: String,
    hints: Vec<String>,
    elsewhere: Option<Elsewhere>,
    ldirectord: &'static str,
    ldirectord_says: Option<String>,
}

#[derive(Serialize)]
struct Elsewhere {
    file: String,
    line: usize,
    text: String,
    message: &'static str,
}

/// The object as text.
pub(super) fn text(judged: Result<&Judged, &Unread>, strict: bool) -> String {
    let report = match judged {
        Ok(judged) => of_judged(judged),
        Err(unread) => Report {
            schema: SCHEMA,
            file: unread.file.display().to_string(),
            failure: Some(unread.message.clone()),
            strict,
            valid: false,
            errors: 0,
            warnings: 0,
            advice: 0,
            contents: None,
            diagnostics: Vec::new(),
        },
    };
    // Text and numbers can always be written.
    serde_json::to_string_pretty(&report).unwrap_or_default()
}

fn of_judged(judged: &Judged) -> Report {
    let sources = &judged.reading.sources;
    let diagnostics = judged.reading.diagnostics.iter();
    Report {
        schema: SCHEMA,
        file: judged.file.display().to_string(),
        failure: None,
        strict: judged.strict,
        valid: judged.is_valid(),
        errors: judged.count(Severity::Error),
        warnings: judged.count(Severity::Warning),
        advice: judged.count(Severity::Advice),
        contents: judged.contents().map(|(virtual_services, real_servers, checks)| Contents {
            virtual_services,
            real_servers,
            checks,
        }),
        diagnostics: diagnostics.filter_map(|found| fault(sources, found)).collect(),
    }
}

fn fault(sources: &Sources, found: &Diagnostic) -> Option<Fault> {
    let line = sources.line(&found.span)?;
    let columns = line.columns();
    let elsewhere = found.elsewhere.as_deref().and_then(|(span, message)| {
        let line = sources.line(span)?;
        Some(Elsewhere { file: name(&line), line: line.number, text: line.shown(), message })
    });
    let (ldirectord, says) = match &found.ldirectord {
        Ldirectord::Says(text) => ("says", Some(short(text.trim_end()))),
        Ldirectord::Refuses => ("refuses", None),
        Ldirectord::Silent => ("silent", None),
    };
    Some(Fault {
        severity: match found.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Advice => "advice",
        },
        code: found.code,
        file: name(&line),
        line: line.number,
        column: columns.start,
        end_column: columns.end,
        text: line.shown(),
        message: short(&found.message),
        hints: found.hints.iter().map(|hint| short(hint)).collect(),
        elsewhere,
        ldirectord,
        ldirectord_says: says,
    })
}

fn name(line: &Line<'_>) -> String {
    line.file.path.display().to_string()
}
