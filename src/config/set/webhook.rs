//! `webhook`: an address, and what belongs to it.

use std::ops::Range;

use url::Url;

use super::{Diagnostic, Draft, Value, path, shown, slice};
use crate::{config::draft::WebhookText, model::Secret};

pub(in crate::config) fn webhook(draft: &mut Draft<'_>, value: &Value<'_>) {
    let mut found = WebhookText {
        url: None,
        template: None,
        credentials: None,
        is_secret: false,
        span: value.span(),
    };
    let text = value.text.as_ref();
    for word in words(text) {
        let place = value.part(word.clone());
        let word = slice(text, word);
        let fault = if let Some(name) = word.strip_prefix(b"template=") {
            let file = draft.folder.join(path(name.to_vec()));
            draft.templates.entry(file.clone()).or_insert(place);
            found.template.replace(file).map(|_| "`template` is there twice")
        } else if let Some(name) = word.strip_prefix(b"credentials=") {
            let section = (shown(name).into_owned(), place);
            found.credentials.replace(section).map(|_| "`credentials` is there twice")
        } else {
            let word = String::from_utf8_lossy(word);
            match address(&word) {
                // What stands there may be a password and is not repeated.
                Err(fault) => Some(fault),
                Ok(_) if found.url.is_some() => Some("there are two addresses"),
                Ok(url) => {
                    found.is_secret = may_be_secret(&url);
                    found.url = Some(Secret(word.into_owned()));
                    None
                }
            }
        };
        if let Some(fault) = fault {
            draft.findings.push(wrong(value, fault));
            return;
        }
    }
    if found.url.is_none() && found.credentials.is_none() {
        draft.findings.push(wrong(value, "the address is missing"));
        return;
    }
    draft.common().webhooks.push(found);
}

fn wrong(value: &Value<'_>, fault: &str) -> Diagnostic {
    value
        .wrong("E0217", format!("this is no webhook: {fault}"))
        .hint(format!("for example: webhook={}", value.directive.example))
}

/// An address that can be called; in vain with a reason that does not repeat it.
pub(in crate::config) fn address(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "the address is no URL")?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err("the address is neither one of http nor of https"),
    }
}

/// Whether who reads the address can do with it what others should not: it has a password, a query, or a long word that
/// nobody remembers.
fn may_be_secret(url: &Url) -> bool {
    url.password().is_some()
        || url.query().is_some()
        || url.path().split('/').any(|part| part.len() >= 16)
}

/// The words between blanks.
fn words(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut end = 0;
    std::iter::from_fn(move || {
        let rest = text.get(end..)?;
        let start = end + rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        let length = text.get(start..)?.iter().position(u8::is_ascii_whitespace);
        end = length.map_or(text.len(), |length| start + length);
        Some(start..end)
    })
}
