//! Diagnostics as text: ldirectord's line, which tools look for, then the fault drawn at its place.
//!
//! Values of `passwd` and `secret` are never shown, nor those of what looks like a misspelling of them.

use std::{fmt::Write as _, ops::Range};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::{Diagnostic, Ldirectord, Severity, secret::masked};

/// The most of a line that is drawn, in bytes; what is wrong with a longer one is told without it.
const WIDEST: usize = 400;

/// All diagnostics of a file, as ldirectord and as we tell them.
pub fn render(path: &str, pid: u32, source: &[u8], diagnostics: &[Diagnostic]) -> String {
    let mut out = String::new();
    if diagnostics.is_empty() {
        return out;
    }
    let ends = source.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let starts: Vec<usize> = [0].into_iter().chain(ends).collect();
    for diagnostic in diagnostics {
        let number = starts.partition_point(|start| *start <= diagnostic.span.start).max(1);
        let start = starts.get(number - 1).copied().unwrap_or_default();
        let end = starts.get(number).map_or(source.len(), |next| next - 1);
        let line = source.get(start..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        one(&mut out, path, pid, (number, start, &masked(line)), diagnostic);
    }
    out
}

fn one(
    out: &mut String,
    path: &str,
    pid: u32,
    (number, start, line): (usize, usize, &[u8]),
    diagnostic: &Diagnostic,
) {
    let (word, level) = match diagnostic.severity {
        Severity::Error => ("Error", Level::ERROR),
        Severity::Warning => ("Warning", Level::WARNING),
    };
    let known = match &diagnostic.ldirectord {
        Ldirectord::Says(text) if !text.is_empty() => text.clone(),
        _ => diagnostic.message.clone(),
    };
    // `Unknown command` has the line with its ending; a line of the log is one line.
    let known = short(&known.replace('\n', ""));
    let known = known.trim_end();
    // Writing to a string cannot fail.
    writeln!(out, "{word} [{pid}] reading file {path} at line {number}: {known}")
        .unwrap_or_default();

    let (text, at) = drawn(
        line,
        diagnostic.span.start.saturating_sub(start)..diagnostic.span.end.saturating_sub(start),
    );
    let title = level.clone().primary_title(short(&diagnostic.message)).id(diagnostic.code);
    let hints: Vec<String> = diagnostic.hints.iter().map(|hint| short(hint)).collect();
    let refuses = (diagnostic.ldirectord == Ldirectord::Refuses)
        .then(|| Level::NOTE.message("ldirectord refuses the file for this"));
    let mut group = title.element(
        Snippet::source(text)
            .line_start(number)
            .path(path)
            .annotation(AnnotationKind::Primary.span(at)),
    );
    for hint in &hints {
        group = group.element(Level::HELP.with_name("hint").message(hint));
    }
    if let Some(refuses) = refuses {
        group = group.element(refuses);
    }
    out.push_str(&Renderer::plain().render(&[group]));
    out.push_str("\n\n");
}

/// A line as text that can be drawn, and a place in it; long ones are cut around that place.
fn drawn(line: &[u8], at: Range<usize>) -> (String, Range<usize>) {
    let at = at.start.min(line.len())..at.end.clamp(at.start.min(line.len()), line.len());
    let from = if at.start > WIDEST / 2 { at.start - WIDEST / 4 } else { 0 };
    let to = line.len().min(from + WIDEST);
    let piece = |range: Range<usize>| -> String {
        String::from_utf8_lossy(line.get(range).unwrap_or_default()).chars().map(visible).collect()
    };
    let (before, inside) = (piece(from..at.start), piece(at.start..at.end.min(to)));
    let behind = piece(at.end.min(to)..to);
    let place = before.len()..before.len() + inside.len();
    (format!("{before}{inside}{behind}"), place)
}

/// A sentence, cut where it repeats an endless value.
fn short(text: &str) -> String {
    text.chars().take(WIDEST).map(visible).collect()
}

/// Control characters would act on the terminal.
fn visible(letter: char) -> char {
    match letter {
        '\n' | '\r' => ' ',
        '\t' => letter,
        letter if letter.is_control() => char::REPLACEMENT_CHARACTER,
        letter => letter,
    }
}
