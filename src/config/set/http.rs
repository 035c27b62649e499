//! Directives that say what an HTTP check asks and expects.

use std::ops::RangeInclusive;

use super::{in_block, no_such_word, only, pattern};
use crate::{
    config::{
        diagnostic::{Diagnostic, Findings},
        draft::Draft,
        value::{Value, shown, slice},
    },
    model::{HttpHeader, HttpMethod, Secret},
};

pub(in crate::config) const HTTP_METHODS: &[&str] = &["GET", "HEAD", "OPTIONS", "POST", "PUT"];

/// The largest `maxbody`, in bytes: as much memory as each check may take that is under way.
const LARGEST_BODY: u32 = 16 * 1024 * 1024;

/// The header fields that the check says itself, each with where it comes from.
const SAID_BY_US: &[(&str, &str)] = &[
    ("Host", "`virtualhost` says the Host"),
    ("Content-Length", "the length is that of `requestbody`"),
    ("Transfer-Encoding", "`requestbody` is sent as it is"),
    ("Connection", "`httpkeepalive` says what becomes of the connection"),
];

pub(in crate::config) fn http_method(draft: &mut Draft<'_>, value: &Value<'_>) {
    let word = value.word().unwrap_or(0..0);
    let text = slice(&value.text, word.clone());
    let method = match text.to_ascii_uppercase().as_slice() {
        b"GET" => HttpMethod::Get,
        b"HEAD" => HttpMethod::Head,
        b"OPTIONS" => HttpMethod::Options,
        b"POST" => HttpMethod::Post,
        b"PUT" => HttpMethod::Put,
        _ => {
            draft.findings.push(no_such_word(value, text, HTTP_METHODS));
            return;
        }
    };
    if !matches!(method, HttpMethod::Get | HttpMethod::Head) {
        let fault = format!("ldirectord knows no method {method}");
        draft.findings.push(Diagnostic::advice("A0105", value.span(), fault).refused());
    }
    only(value, &word, &mut draft.findings);
    in_block(draft, |block, _| block.method = method);
}

pub(in crate::config) fn request_header(draft: &mut Draft<'_>, value: &Value<'_>) {
    let Some((name, text)) = header(value, &mut draft.findings) else { return };
    if let Some((_, instead)) =
        SAID_BY_US.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name))
    {
        let fault = format!("`requestheader` cannot be {name}");
        draft.findings.push(value.wrong("E0215", fault).hint(*instead));
        return;
    }
    in_block(draft, |block, findings| {
        let headers = &mut block.http.headers;
        if headers.iter().any(|header| header.name.eq_ignore_ascii_case(&name)) {
            let fault = format!("the header {name} is sent already");
            findings.push(value.wrong("E0215", fault).hint("say it once"));
            return;
        }
        headers.push(HttpHeader { name, value: Secret(text) });
    });
}

pub(in crate::config) fn request_body(draft: &mut Draft<'_>, value: &Value<'_>) {
    in_block(draft, |block, findings| {
        super::quoted_text(value, findings, &mut block.http.body.0);
    });
}

pub(in crate::config) fn expect_header(draft: &mut Draft<'_>, value: &Value<'_>) {
    let Some((name, source)) = header(value, &mut draft.findings) else { return };
    if let Some(pattern) = pattern(draft, value, source.as_bytes()) {
        in_block(draft, |block, _| block.http.expected_headers.push((name, pattern)));
    }
}

/// `NAME: TEXT` in double quotes.
fn header(value: &Value<'_>, findings: &mut Findings) -> Option<(String, String)> {
    let found = value.quoted(false, findings)?;
    let found = value.utf8(found, findings)?;
    let fault = match found.split_once(':').map(|(name, text)| (name.trim(), text.trim())) {
        None => "has no `:` behind its name",
        Some((name, _)) if !is_token(name) => "has a name that no header has",
        Some((_, text)) if text.chars().any(char::is_control) => "has a control character",
        Some((name, text)) => return Some((name.to_owned(), text.to_owned())),
    };
    let name = value.directive.name;
    findings.push(
        value
            .wrong("E0215", format!("this `{name}` {fault}"))
            .hint(format!("for example: {name} = {}", value.directive.example)),
    );
    None
}

/// Whether a text is a token of RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let is_sign = |byte| b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || is_sign(byte))
}

pub(in crate::config) fn expect_status(draft: &mut Draft<'_>, value: &Value<'_>) {
    let (text, _) = value.exact();
    let text = shown(text);
    let text = text.trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
    let Some(mut statuses) = ranges else {
        let fault = match text {
            "" => "`expectstatus` needs a value".to_owned(),
            text => format!("`expectstatus` cannot be `{text}`"),
        };
        draft.findings.push(value.wrong("E0214", fault).hint(
            "it is a list of statuses from 200 to 599 and ranges of them, such as 200,300-399",
        ));
        return;
    };
    // Lists that say the same in another order are the same check.
    statuses.sort_by_key(|range| (*range.start(), *range.end()));
    statuses.dedup();
    in_block(draft, |block, _| block.http.statuses = statuses);
}

/// A status, or a first and a last one.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let status = |text: &str| {
        let text = text.trim();
        let is_number = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        let status: u16 = is_number.then(|| text.parse().ok())??;
        (200..600).contains(&status).then_some(status)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (status(first)?, status(last)?);
    (first <= last).then_some(first..=last)
}

pub(in crate::config) fn keep_alive(draft: &mut Draft<'_>, value: &Value<'_>) {
    if let Some(answer) = value.yes_no(&mut draft.findings) {
        in_block(draft, |block, _| block.http.keep_alive = answer);
    }
}

pub(in crate::config) fn max_body(draft: &mut Draft<'_>, value: &Value<'_>) {
    let Some(most) = value.positive(&mut draft.findings) else { return };
    if most > LARGEST_BODY {
        let fault = format!("`maxbody` is {LARGEST_BODY} or less");
        draft.findings.push(value.wrong("E0204", fault));
        return;
    }
    in_block(draft, |block, _| block.http.max_body = most);
}
