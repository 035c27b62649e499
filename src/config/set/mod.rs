//! How the directives are read whose values are no plain yes, number or text: the functions of the table's rows.

mod check;
mod http;
mod process;
mod spread;
mod sync;
mod webhook;

use std::{ffi::OsString, ops::Range, os::unix::ffi::OsStringExt, path::PathBuf};

pub(super) use self::{
    check::{
        CHECK_TYPES, DNS_TYPES, TLS_ENGINES, agent_port, check_command, check_count, check_port,
        check_type, credentials, dns_type, expect, gone, interval, load, quoted_text, receive,
        request, send, service, timeout, tls_engine, tls_name, virtual_host,
    },
    http::{
        HTTP_METHODS, expect_header, expect_status, http_method, keep_alive, max_body,
        request_body, request_header,
    },
    process::{
        DRIFT, EMAIL_STATUSES, LOG_FORMATS, SMTP_TLS, callback, drift, email_alert,
        email_frequency, email_from, email_status, execute, include, log_file, log_format,
        monitor_file, smtp, smtp_credentials, smtp_port, smtp_tls, status_listen, user,
    },
    spread::{
        SCHEDULER_FLAGS, TUNNEL_TYPES, netmask, persistent, protocol, scheduler, scheduler_flags,
        tunnel_port, tunnel_type,
    },
    sync::{sync_daemon, sync_group, sync_id, sync_max_length, sync_port, sync_ttl},
    webhook::{address as webhook_address, webhook},
};
use super::{
    address::{self, Fault},
    diagnostic::{Diagnostic, Findings},
    directives::{Directive, nearest_word},
    draft::{Block, Draft, FallbackText, ServerText},
    value::{Value, shown, slice},
};
use crate::pattern::Pattern;

/// Bytes of a file name.
pub(super) fn path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

/// Does something to the virtual service that is being described.
pub(super) fn in_block(draft: &mut Draft<'_>, act: impl FnOnce(&mut Block, &mut Findings)) {
    if let Some(block) = &mut draft.block {
        act(block, &mut draft.findings);
    }
}

/// Says that a part of the value is not read.
fn ignored(value: &Value<'_>, part: Range<usize>, findings: &mut Findings) {
    let whole = slice(&value.text, part.clone());
    let text = whole.trim_ascii();
    let start = part.start + whole.len() - whole.trim_ascii_start().len();
    let part = start..start + text.len();
    if !text.is_empty() && text.first() != Some(&b'#') {
        findings.push(Diagnostic::warning(
            "W0103",
            value.part(part),
            format!("`{}` is ignored", shown(text)),
        ));
    }
}

/// Says that a word of the value is not read for more than it is.
fn only(value: &Value<'_>, word: &Range<usize>, findings: &mut Findings) {
    let quote = |byte: &u8| matches!(byte, b'"' | b'\'') || byte.is_ascii_whitespace();
    let before = slice(&value.text, 0..word.start);
    let behind = slice(&value.text, word.end..value.text.len());
    let comment = behind.trim_ascii_start().starts_with(b"#");
    if !before.iter().all(quote) || !(comment || behind.iter().all(quote)) {
        findings.push(Diagnostic::warning(
            "W0103",
            value.span(),
            format!("only `{}` is read of this value", shown(slice(&value.text, word.clone()))),
        ));
    }
}

/// The first word of the value, which must be one of these.
fn choice(
    draft: &mut Draft<'_>,
    value: &Value<'_>,
    words: &'static [&'static str],
) -> Option<&'static str> {
    let word = value.word().unwrap_or(0..0);
    let text = slice(&value.text, word.clone());
    let found = words.iter().find(|known| known.as_bytes() == text).copied();
    match found {
        Some(_) => only(value, &word, &mut draft.findings),
        None => draft.findings.push(no_such_word(value, text, words)),
    }
    found
}

/// A value that is none of the words that are possible.
fn no_such_word(value: &Value<'_>, word: &[u8], words: &[&str]) -> Diagnostic {
    let name = value.directive.name;
    let message = match word.is_empty() {
        true => format!("`{name}` needs a value"),
        false => format!("`{name}` cannot be `{}`", shown(word)),
    };
    let fault = value.wrong("E0207", message);
    match nearest_word(word, words) {
        Some(near) => fault.hint(format!("did you mean {near}?")),
        None => fault.hint(format!("it can be {}", words.join(", "))),
    }
}

fn fault(value: &Value<'_>, fault: Fault) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(fault.code, value.part(fault.at), fault.message);
    if !fault.hint.is_empty() {
        diagnostic = diagnostic.hint(fault.hint);
    }
    match fault.says {
        Some(says) => diagnostic.says(says),
        None => diagnostic,
    }
}

/// A request with the `/` that ldirectord puts before it.
fn with_slash(request: &[u8]) -> Vec<u8> {
    match request.first() {
        Some(b'/') => request.to_vec(),
        _ => [b"/", request].concat(),
    }
}

/// Understands a pattern; says what is wrong with it.
fn pattern(draft: &mut Draft<'_>, value: &Value<'_>, source: &[u8]) -> Option<Pattern> {
    let known = draft.patterns.get(source);
    let understood = match known {
        Some(understood) => understood.clone(),
        None => {
            let understood = Pattern::new(source);
            draft.patterns.insert(source.to_vec(), understood.clone());
            understood
        }
    };
    match understood {
        Ok(pattern) => Some(pattern),
        Err(wrong) => {
            let begin = value.text.windows(source.len()).position(|part| part == source);
            let at = match (begin, wrong.at) {
                (Some(begin), Some(at)) if at < source.len() => begin + at..begin + at + 1,
                (Some(begin), _) => begin..begin + source.len(),
                (None, _) => 0..0,
            };
            let fault = Diagnostic::error(
                "E0211",
                value.part(at),
                format!("the pattern cannot be understood: {}", wrong.message),
            );
            let name = if value.directive.extension { value.directive.name } else { "receive" };
            let fault = fault.hint(format!("`{name}` is a regular expression; write \\ before each of . * + ? ( ) [ ] {{ }} | ^ $ that stands for itself"));
            draft.findings.push(match value.directive.extension {
                true => fault,
                false => {
                    fault.hint("ldirectord accepts it and ends at the first answer of a server")
                }
            });
            None
        }
    }
}

// === what begins a service, and its servers ===

pub(super) fn opening(draft: &mut Draft<'_>, value: &Value<'_>) {
    let six = value.directive.name == "virtual6";
    let address = match address::virtual_address(&value.text, six) {
        Ok((address, end)) => {
            ignored(value, end..value.text.len(), &mut draft.findings);
            Some(address)
        }
        Err(wrong) => {
            draft.findings.push(fault(value, wrong));
            None
        }
    };
    draft.block = Some(Block::new(address, six, value.span()));
}

/// Whether `real` or `fallback` has the 6 that the service's `virtual` has.
fn of_the_family(block: &Block, value: &Value<'_>, findings: &mut Findings) -> bool {
    let name = value.directive.name;
    if block.six == name.ends_with('6') {
        return true;
    }
    let other = match name {
        "real" => "real6",
        "real6" => "real",
        "fallback" => "fallback6",
        _ => "fallback",
    };
    let opening = if block.six { "virtual6" } else { "virtual" };
    findings.push(
        Diagnostic::error(
            "E0303",
            value.key.clone(),
            format!("`{name}` cannot stand in a `{opening}` service"),
        )
        .says(format!("cannot specify \"{name}\" here.  please use \"{other}\" instead"))
        .hint(format!("write {other}")),
    );
    false
}

pub(super) fn real(draft: &mut Draft<'_>, value: &Value<'_>) {
    let Some(block) = &mut draft.block else { return };
    if !of_the_family(block, value, &mut draft.findings) {
        return;
    }
    // A `#` inside of quotes cuts the line for ldirectord; only a line that it refuses for that is read whole.
    let whole = value.with_hash();
    let (text, server) = match (address::server(&value.text), &whole) {
        (Err(wrong), Some(whole)) => match address::server(whole) {
            Ok(server) => {
                draft.findings.push(value.hash_taken());
                (whole.as_slice(), Ok(server))
            }
            Err(_) => (value.text.as_ref(), Err(wrong)),
        },
        (server, _) => (value.text.as_ref(), server),
    };
    let server = match server {
        Ok(server) => server,
        Err(wrong) => {
            draft.findings.push(fault(value, wrong));
            return;
        }
    };
    for part in &server.ignored {
        ignored(value, part.clone(), &mut draft.findings);
    }
    let own = match server.own {
        None => None,
        Some((request, receive)) => {
            // Differs from ldirectord: there a `/` at the start makes it lose the rest of the line.
            if text.get(request.start) == Some(&b'/') {
                draft.findings.push(
                    Diagnostic::warning(
                        "W0301",
                        value.part(request.clone()),
                        "the request, receive and limits of this server are followed; ldirectord ignores them",
                    )
                    .hint("there a request of a real server has no effect when it begins with a /"),
                );
            }
            let receive = slice(text, receive.clone());
            let pattern = match receive.is_empty() {
                true => None,
                false => match pattern(draft, value, receive) {
                    Some(pattern) => Some(pattern),
                    None => return,
                },
            };
            Some((with_slash(slice(text, request)), pattern))
        }
    };
    let Some(block) = &mut draft.block else { return };
    block.servers.push(ServerText {
        host: server.host,
        end_host: server.end_host,
        port: server.port,
        forwarding: server.forwarding,
        weight: server.weight,
        own,
        lower: server.lower,
        upper: server.upper,
        span: value.span(),
    });
}

pub(super) fn fallback(draft: &mut Draft<'_>, value: &Value<'_>) {
    if let Some(block) = &draft.block
        && !of_the_family(block, value, &mut draft.findings)
    {
        return;
    }
    let six = value.directive.name == "fallback6";
    let (text, accepted) = value.exact();
    match address::fallback(text, six) {
        Ok((found, skipped)) => {
            ignored(value, skipped, &mut draft.findings);
            if text.len() < value.text.trim_ascii_end().len() {
                accepted(&mut draft.findings);
            }
            let found = FallbackText { span: value.span(), ..found };
            let common = draft.common();
            let kept = if six { &mut common.fallback6 } else { &mut common.fallback };
            let replaced = kept.replace(found);
            if draft.block.is_none() {
                draft.globals.replaced_fallbacks.extend(replaced.map(|text| (text, six)));
            }
        }
        Err(wrong) => draft.findings.push(fault(value, wrong)),
    }
}

pub(super) fn fallback_command(draft: &mut Draft<'_>, value: &Value<'_>) {
    let found = match value.in_block {
        true => value.quoted_or_rest(&mut draft.findings),
        false => value.rest(&mut draft.findings),
    };
    let found = found.and_then(|bytes| value.utf8(bytes, &mut draft.findings));
    if let Some(found) = found {
        draft.common().fallback_command = Some(found);
    }
}

/// The row that a misspelt name was probably meant for, as a hint.
pub(super) fn suggestion(name: &[u8], in_block: bool) -> Option<String> {
    Directive::nearest(name, in_block).map(|directive| format!("did you mean {}?", directive.name))
}
