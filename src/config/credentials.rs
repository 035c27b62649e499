//! The credentials file: secrets apart from the configuration, so that everybody may read the latter.
//!
//! An INI file that nobody but its owner may read. A section is named by the `credentials` directive of a virtual service:
//!
//! ```ini
//! # the account that checks log in with
//! [monitoring]
//! login = monitor
//! passwd = s=3#cr;et
//! ```
//!
//! A value is the rest of its line without blanks at its ends, and may have any other byte; quotes belong to it.
//! `;` and `#` begin a comment at the start of a line only. Bytes in, sections and diagnostics out.

use std::{collections::BTreeMap, ops::Range};

use serde_ini::{Item, Parser};
use zeroize::Zeroizing;

use super::{Diagnostic, File, diagnostic::Findings, directives::nearest_word};

/// What a section may say, as the directives of a virtual service do; `url` is that of a webhook.
pub(super) const KEYS: [&str; 5] = ["login", "passwd", "secret", "database", "url"];

/// The sections of a credentials file by name.
#[derive(Default)]
pub(super) struct Credentials(BTreeMap<String, Section>);

/// A section: each key that it has, its value and the place of its line.
struct Section {
    values: BTreeMap<String, (Zeroizing<String>, Range<usize>)>,
    span: Range<usize>,
}

impl Credentials {
    /// Reads a file whose first byte has this place.
    pub(super) fn read(file: &File, place: usize, findings: &mut Findings) -> Credentials {
        let whole = place..place;
        if file.mode & 0o077 != 0 {
            let path = file.path.display();
            let fault =
                format!("{path} can be used by others than its owner (mode {:04o})", file.mode);
            findings.push(
                Diagnostic::error("E0501", whole.clone(), fault).hint(format!("chmod 600 {path}")),
            );
        }
        let Ok(text) = std::str::from_utf8(&file.bytes) else {
            let fault = format!("{} is not UTF-8 text", file.path.display());
            findings.push(Diagnostic::error("E0502", whole, fault));
            return Credentials::default();
        };
        let mut credentials = Credentials::default();
        let mut current = None;
        let mut at = place;
        for line in text.split_inclusive('\n') {
            let (before, written) = (line.len() - line.trim_start().len(), line.trim());
            let span = at + before..at + before + written.len();
            at += line.len();
            match Parser::from_str(written).next() {
                None | Some(Ok(Item::Empty | Item::Comment { .. })) => {}
                Some(Ok(Item::Section { name })) => {
                    credentials.begin(name.trim(), span, findings);
                    current = Some(name.trim().to_owned());
                }
                Some(Ok(Item::Value { key, value })) => {
                    let section = current.as_ref().and_then(|name| credentials.0.get_mut(name));
                    keep(section, key, value, span, findings);
                }
                Some(Err(_)) => findings.push(
                    Diagnostic::error(
                        "E0502",
                        span,
                        "this is neither [SECTION], KEY = VALUE nor a comment",
                    )
                    .hint(format!("a section has lines for {}", KEYS.join(", "))),
                ),
            }
        }
        credentials
    }

    fn begin(&mut self, name: &str, span: Range<usize>, findings: &mut Findings) {
        let section = Section { values: BTreeMap::new(), span: span.clone() };
        match self.0.get(name) {
            None => _ = self.0.insert(name.to_owned(), section),
            Some(first) => findings.push(
                Diagnostic::error("E0503", span, format!("the section [{name}] is there twice"))
                    .elsewhere(first.span.clone(), "the first one"),
            ),
        }
    }

    /// The values of the section that a service names; says what is wrong where there is none.
    pub(super) fn section(
        &self,
        name: &str,
        span: &Range<usize>,
        findings: &mut Findings,
    ) -> Option<impl Fn(&str) -> Option<Zeroizing<String>> + use<'_>> {
        let Some(section) = self.0.get(name) else {
            let fault = Diagnostic::error(
                "E0504",
                span.clone(),
                format!("the credentials file has no section [{name}]"),
            );
            let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
            findings.push(match nearest_word(name.as_bytes(), &names) {
                Some(near) => fault.hint(format!("did you mean {near}?")),
                None => fault,
            });
            return None;
        };
        Some(|key: &str| section.values.get(key).map(|(value, _)| value.clone()))
    }
}

fn keep(
    section: Option<&mut Section>,
    key: String,
    value: String,
    span: Range<usize>,
    findings: &mut Findings,
) {
    let Some(section) = section else {
        findings.push(
            Diagnostic::error("E0502", span, format!("`{key}` stands before the first section"))
                .hint("write [NAME] above it, and credentials=NAME in the virtual service"),
        );
        return;
    };
    if !KEYS.contains(&key.as_str()) {
        let fault = Diagnostic::error("E0505", span, "this is nothing that can be kept here");
        findings.push(match nearest_word(key.as_bytes(), &KEYS) {
            Some(near) => fault.hint(format!("did you mean {near}?")),
            None => fault.hint(format!("a section has {}", KEYS.join(", "))),
        });
        return;
    }
    if let Some((_, first)) = section.values.get(&key) {
        findings.push(
            Diagnostic::error("E0503", span, format!("the section has `{key}` twice"))
                .elsewhere(first.clone(), "the first one"),
        );
        return;
    }
    if value.len() > 1 && value.starts_with('"') && value.ends_with('"') {
        let fault = format!("the quotes belong to the value of `{key}`");
        findings.push(
            Diagnostic::warning("W0501", span.clone(), fault)
                .hint("in a credentials file values stand without quotes"),
        );
    }
    section.values.insert(key, (value.into(), span));
}
