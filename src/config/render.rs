//! Diagnostics as text: ldirectord's line, which tools look for, then the fault drawn at its place.
//!
//! Values of `passwd`, `secret`, `requestheader`, `requestbody`, `send` and `webhook` are never shown, nor those of what
//! looks like a misspelling of them.

use std::{fmt::Write as _, ops::Range};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::{Diagnostic, Ldirectord, Line, Severity, Sources};

/// The most of a line that is drawn, in bytes; what is wrong with a longer one is told without it.
const WIDEST: usize = 400;

/// All diagnostics of a configuration, as ldirectord and as we tell them.
pub fn render(sources: &Sources, pid: u32, diagnostics: &[Diagnostic]) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        if let Some(line) = sources.line(&diagnostic.span) {
            as_ldirectord(&mut out, pid, &line, diagnostic);
            one(&mut out, sources, &line, diagnostic, &Renderer::plain());
        }
    }
    out
}

/// All diagnostics of a configuration drawn for a person, with the colors of a terminal or without.
pub fn draw(sources: &Sources, diagnostics: &[Diagnostic], colored: bool) -> String {
    let renderer = if colored { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for diagnostic in diagnostics {
        if let Some(line) = sources.line(&diagnostic.span) {
            one(&mut out, sources, &line, diagnostic, &renderer);
        }
    }
    out
}

/// The line that ldirectord prints, or would print if it found this.
fn as_ldirectord(out: &mut String, pid: u32, line: &Line<'_>, diagnostic: &Diagnostic) {
    let word = match diagnostic.severity {
        Severity::Error => "Error",
        Severity::Warning => "Warning",
        Severity::Advice => return,
    };
    let known = match &diagnostic.ldirectord {
        Ldirectord::Says(text) if !text.is_empty() => text.clone(),
        _ => diagnostic.message.clone(),
    };
    // `Unknown command` has the line with its ending; a line of the log is one line.
    let known = short(&known.replace('\n', ""));
    let (path, number, known) = (path_of(line), line.number, known.trim_end());
    // Writing to a string cannot fail.
    writeln!(out, "{word} [{pid}] reading file {path} at line {number}: {known}")
        .unwrap_or_default();
}

fn one(
    out: &mut String,
    sources: &Sources,
    line: &Line<'_>,
    diagnostic: &Diagnostic,
    renderer: &Renderer,
) {
    let (path, number) = (path_of(line), line.number);
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Advice => Level::INFO.with_name("advice"),
    };
    let (text, at) = drawn(&line.text, line.part.clone());
    let title = level.clone().primary_title(short(&diagnostic.message)).id(diagnostic.code);
    let hints: Vec<String> = diagnostic.hints.iter().map(|hint| short(hint)).collect();
    let refuses = (diagnostic.ldirectord == Ldirectord::Refuses)
        .then(|| Level::NOTE.message("ldirectord refuses the file for this"));
    let mut group = title.element(
        Snippet::source(text)
            .line_start(number)
            .path(&path)
            .annotation(AnnotationKind::Primary.span(at)),
    );
    let other = diagnostic.elsewhere.as_deref().and_then(|(span, what)| {
        let line = sources.line(span)?;
        Some(format!("{what} is at {}:{}", path_of(&line), line.number))
    });
    if let Some(other) = &other {
        group = group.element(Level::NOTE.message(other));
    }
    for hint in &hints {
        group = group.element(Level::HELP.with_name("hint").message(hint));
    }
    if let Some(refuses) = refuses {
        group = group.element(refuses);
    }
    out.push_str(&renderer.render(&[group]));
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

/// Text in one line, cut at 400 characters where it repeats an endless value.
pub fn short(text: &str) -> String {
    text.chars().take(WIDEST).map(visible).collect()
}

/// The name of the line's file.
fn path_of(line: &Line<'_>) -> String {
    line.file.path.to_string_lossy().chars().map(visible).collect()
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
