//! Directives that say how real servers are checked.

use std::time::Duration;

use super::{choice, in_block, no_such_word, only, path, pattern, with_slash};
use crate::{
    config::{
        diagnostic::{Diagnostic, Findings},
        directives::{EXTENSIONS, SERVICES},
        draft::{CheckType, Draft},
        value::{Value, first_run, is_word, shown, slice},
    },
    model::{DnsRecord, Secret, Step, TlsEngine},
};

pub(in crate::config) const CHECK_TYPES: &[&str] =
    &["connect", "external", "external-perl", "negotiate", "off", "on", "ping"];

pub(in crate::config) fn check_type(draft: &mut Draft<'_>, value: &Value<'_>) {
    let check_type = if value.text.iter().any(u8::is_ascii_digit) {
        let Some(digits) = value.digits(&mut draft.findings) else { return };
        CheckType::Combined(digits.number)
    } else {
        let word = first_run(&value.text, |byte| is_word(byte) || byte == b'-').unwrap_or(0..0);
        let text = slice(&value.text, word.clone());
        let found = match text {
            b"connect" => CheckType::Connect,
            b"external" => CheckType::External,
            b"external-perl" => CheckType::ExternalPerl,
            b"negotiate" => CheckType::Negotiate,
            b"off" => CheckType::Off,
            b"on" => CheckType::On,
            b"ping" => CheckType::Ping,
            other => {
                draft.findings.push(no_such_word(value, other, CHECK_TYPES));
                return;
            }
        };
        only(value, &word, &mut draft.findings);
        found
    };
    in_block(draft, |block, _| {
        block.check_type = check_type;
        block.check_type_span = Some(value.span());
    });
}

pub(in crate::config) fn service(draft: &mut Draft<'_>, value: &Value<'_>) {
    let word = value.word().unwrap_or(0..0);
    let text = slice(&value.text, word.clone());
    let Some((name, _)) = SERVICES.iter().find(|(name, _)| name.as_bytes() == text) else {
        let words: Vec<&str> = SERVICES.iter().map(|(name, _)| *name).collect();
        draft.findings.push(no_such_word(value, text, &words));
        return;
    };
    if EXTENSIONS.contains(name) {
        let fault = format!("ldirectord does not know the service `{name}`");
        let fault = Diagnostic::advice("A0105", value.part(word.clone()), fault);
        draft.findings.push(fault.refused());
    }
    only(value, &word, &mut draft.findings);
    let contact = format!("ldirectord@{}", draft.host_name);
    in_block(draft, |block, _| {
        block.service = Some((name, value.span()));
        // ldirectord fills these in at this line, so that a line above wins and one below replaces.
        let (given, usual) = (&block.access, &mut block.usual);
        let no_login = given.login.is_empty() && usual.login.is_empty();
        if *name == "ftp" && no_login {
            "anonymous".clone_into(&mut usual.login);
        }
        if *name == "ftp" && given.passwd.is_empty() && usual.passwd.is_empty() {
            usual.passwd = contact.clone().into();
        }
        if *name == "sip" && no_login {
            usual.login = contact;
        }
    });
}

pub(in crate::config) fn check_command(draft: &mut Draft<'_>, value: &Value<'_>) {
    if let Some(found) = value.quoted_or_rest(&mut draft.findings) {
        draft.name_file(value, &found);
        in_block(draft, |block, _| block.check_command = Some(found));
    }
}

pub(in crate::config) fn check_port(draft: &mut Draft<'_>, value: &Value<'_>) {
    if let Some(port) = value.port(&mut draft.findings) {
        in_block(draft, |block, _| block.check_port = Some(port));
    }
}

pub(in crate::config) fn agent_port(draft: &mut Draft<'_>, value: &Value<'_>) {
    if let Some(port) = value.port(&mut draft.findings) {
        in_block(draft, |block, _| block.agent_port = Some(port));
    }
}

pub(in crate::config) fn request(draft: &mut Draft<'_>, value: &Value<'_>) {
    in_block(draft, |block, findings| {
        if let Some(found) = value.quoted(false, findings) {
            block.request = Some(with_slash(&found));
        }
    });
}

pub(in crate::config) fn receive(draft: &mut Draft<'_>, value: &Value<'_>) {
    let Some(source) = value.quoted(false, &mut draft.findings) else { return };
    if let Some(pattern) = pattern(draft, value, &source) {
        in_block(draft, |block, _| block.receive = Some(pattern));
    }
}

pub(in crate::config) fn send(draft: &mut Draft<'_>, value: &Value<'_>) {
    if let Some(text) = value.literal(&mut draft.findings) {
        in_block(draft, |block, _| {
            block.steps.push((Step::Send(Secret(text)), value.key.clone()));
        });
    }
}

pub(in crate::config) fn expect(draft: &mut Draft<'_>, value: &Value<'_>) {
    let Some(source) = value.quoted(false, &mut draft.findings) else { return };
    if let Some(pattern) = pattern(draft, value, &source) {
        in_block(draft, |block, _| {
            block.steps.push((Step::Expect(pattern), value.key.clone()));
        });
    }
}

pub(in crate::config) const DNS_TYPES: &[&str] = &["a", "aaaa", "ptr"];

pub(in crate::config) fn dns_type(draft: &mut Draft<'_>, value: &Value<'_>) {
    let word = value.word().unwrap_or(0..0);
    let text = slice(&value.text, word.clone());
    let record = match text.to_ascii_lowercase().as_slice() {
        b"a" => DnsRecord::A,
        b"aaaa" => DnsRecord::Aaaa,
        b"ptr" => DnsRecord::Ptr,
        _ => {
            draft.findings.push(no_such_word(value, text, DNS_TYPES));
            return;
        }
    };
    only(value, &word, &mut draft.findings);
    in_block(draft, |block, _| block.dns_record = Some(record));
}

pub(in crate::config) fn virtual_host(draft: &mut Draft<'_>, value: &Value<'_>) {
    let text = value.text.strip_prefix(b"\"").unwrap_or(&value.text);
    let end = text.iter().position(|byte| *byte == b'"').unwrap_or(text.len());
    let host = slice(text, 0..end).trim_ascii().to_vec();
    if let Some(host) = value.utf8(host, &mut draft.findings) {
        in_block(draft, |block, _| block.virtual_host = Some(host));
    }
}

/// Reads **Q** into a field that holds text.
pub(in crate::config) fn quoted_text(
    value: &Value<'_>,
    findings: &mut Findings,
    field: &mut String,
) {
    let found = value.quoted(false, findings).and_then(|bytes| value.utf8(bytes, findings));
    if let Some(found) = found {
        *field = found;
    }
}

pub(in crate::config) fn credentials(draft: &mut Draft<'_>, value: &Value<'_>) {
    let Some(found) = value.quoted_or_rest(&mut draft.findings) else { return };
    if !value.in_block {
        draft.globals.credentials = Some((draft.folder.join(path(found)), value.span()));
    } else if let Some(name) = value.utf8(found, &mut draft.findings) {
        let name = name.trim().to_owned();
        in_block(draft, |block, _| block.credentials = Some((name, value.span())));
    }
}

pub(in crate::config) const TLS_ENGINES: &[&str] = &["auto", "openssl", "rustls"];

pub(in crate::config) fn tls_engine(draft: &mut Draft<'_>, value: &Value<'_>) {
    if let Some(word) = choice(draft, value, TLS_ENGINES) {
        draft.common().tls_engine = Some(match word {
            "openssl" => TlsEngine::Openssl,
            "rustls" => TlsEngine::Rustls,
            _ => TlsEngine::Auto,
        });
    }
}

pub(in crate::config) fn tls_name(draft: &mut Draft<'_>, value: &Value<'_>) {
    let found = value.quoted_or_rest(&mut draft.findings);
    if let Some(name) = found.and_then(|bytes| value.utf8(bytes, &mut draft.findings)) {
        let name = name.trim().to_owned();
        draft.name_file(value, name.as_bytes());
        in_block(draft, |block, _| block.tls_name = Some(name));
    }
}

pub(in crate::config) fn load(draft: &mut Draft<'_>, value: &Value<'_>) {
    if let Some(found) = value.quoted(true, &mut draft.findings)
        && !found.iter().any(|byte| is_word(*byte))
    {
        draft
            .findings
            .push(value.wrong("E0206", "the value of `load` has neither letters nor digits"));
    }
}

// === time and counts ===

/// What stands for no limit, which a check must not have, in seconds.
const NO_LIMIT_S: u32 = 60 * 60;

/// To ldirectord `00` is no limit in a virtual service, and wrong outside.
pub(in crate::config) fn timeout(draft: &mut Draft<'_>, value: &Value<'_>) -> Option<Duration> {
    value.duration(value.in_block.then_some(NO_LIMIT_S), &mut draft.findings)
}

/// The shortest time from one check of a server to the next.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

pub(in crate::config) fn interval(draft: &mut Draft<'_>, value: &Value<'_>) -> Option<Duration> {
    let interval = value.duration(Some(1), &mut draft.findings)?;
    if interval < SHORTEST_INTERVAL {
        let name = value.directive.name;
        draft.findings.push(value.wrong("E0204", format!("`{name}` is 100ms or more")));
        return None;
    }
    Some(interval)
}

pub(in crate::config) fn check_count(draft: &mut Draft<'_>, value: &Value<'_>) {
    if let Some(count) = value.positive(&mut draft.findings) {
        draft.findings.push(
            Diagnostic::warning(
                "W0201",
                value.key.clone(),
                "`checkcount` counts the pings of a ping check only, and goes out of use",
            )
            .says("checkcount option is deprecated and slated for removal.  please see 'failurecount'")
            .hint("`failurecount` says how many checks in a row must fail"),
        );
        draft.common().check_count = Some(count);
    }
}

pub(in crate::config) fn gone(draft: &mut Draft<'_>, value: &Value<'_>, instead: &str) {
    let name = value.directive.name;
    let fault =
        Diagnostic::error("E0212", value.key.clone(), format!("`{name}` is not known any more"))
            .says(value.directive.says(value.in_block));
    draft.findings.push(fault.hint(format!("write {instead}={}", shown(value.text.trim_ascii()))));
}
