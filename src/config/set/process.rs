//! Directives about the process itself, and about mail.

use std::net::{Ipv4Addr, SocketAddr};

use super::{choice, ignored, in_block, no_such_word, path};
use crate::{
    config::{
        diagnostic::Diagnostic,
        draft::Draft,
        value::{Value, first_run, shown, slice},
    },
    model::{AlertPhases, Drift, LogFormat, LogTarget, SmtpTls},
};

pub(in crate::config) const EMAIL_STATUSES: &[&str] =
    &["all", "none", "reloading", "running", "starting", "stopping"];

pub(in crate::config) fn callback(draft: &mut Draft<'_>, value: &Value<'_>) {
    let found = value.quoted(true, &mut draft.findings);
    if let Some(found) = found.and_then(|bytes| value.utf8(bytes, &mut draft.findings)) {
        if found.is_empty() {
            draft.globals.callback = None;
        } else {
            draft.name_file(value, found.as_bytes());
            draft.globals.callback = Some(found);
        }
    }
}

pub(in crate::config) fn execute(draft: &mut Draft<'_>, value: &Value<'_>) {
    if value.text.trim_ascii().is_empty() {
        draft.findings.push(Diagnostic::warning("W0206", value.span(), "`execute` names no file"));
        return;
    }
    let found = value.rest(&mut draft.findings);
    if let Some(found) = found.and_then(|bytes| value.utf8(bytes, &mut draft.findings)) {
        draft.name_file(value, found.as_bytes());
        draft.globals.execute.push(found);
    }
}

pub(in crate::config) fn include(draft: &mut Draft<'_>, value: &Value<'_>) {
    if let Some(found) = value.quoted_or_rest(&mut draft.findings) {
        draft.includes.push((draft.folder.join(path(found)), value.span()));
    }
}

pub(in crate::config) fn log_file(draft: &mut Draft<'_>, value: &Value<'_>) {
    let Some(found) = value.quoted(true, &mut draft.findings) else { return };
    draft.globals.log = match found.first() {
        Some(b'/') => {
            draft.name_file(value, &found);
            LogTarget::File(path(found))
        }
        _ => match value.utf8(found, &mut draft.findings) {
            Some(word) => LogTarget::of_word(word),
            None => return,
        },
    };
}

pub(in crate::config) const LOG_FORMATS: &[&str] = &["text", "json"];

pub(in crate::config) fn log_format(draft: &mut Draft<'_>, value: &Value<'_>) {
    if let Some(word) = choice(draft, value, LOG_FORMATS) {
        draft.globals.log_format = if word == "json" { LogFormat::Json } else { LogFormat::Text };
    }
}

pub(in crate::config) const DRIFT: &[&str] = &["off", "repair", "report"];

pub(in crate::config) fn drift(draft: &mut Draft<'_>, value: &Value<'_>) {
    if let Some(word) = choice(draft, value, DRIFT) {
        draft.globals.drift = match word {
            "off" => Drift::Off,
            "report" => Drift::Report,
            _ => Drift::Repair,
        };
    }
}

pub(in crate::config) fn status_listen(draft: &mut Draft<'_>, value: &Value<'_>) {
    let (text, _) = value.exact();
    let text = shown(text);
    let port = || Some(SocketAddr::from((Ipv4Addr::LOCALHOST, text.parse().ok()?)));
    match text.parse().ok().or_else(port).filter(|address: &SocketAddr| address.port() > 0) {
        Some(address) => draft.globals.status_listen = Some(address),
        None => draft.findings.push(
            value
                .wrong("E0213", "`statuslisten` is an address with a port, or a port")
                .hint("for example: statuslisten=127.0.0.1:8090, or statuslisten=[::1]:8090"),
        ),
    }
}

pub(in crate::config) fn user(draft: &mut Draft<'_>, value: &Value<'_>) {
    let found = value.quoted_or_rest(&mut draft.findings);
    if let Some(name) = found.and_then(|bytes| value.utf8(bytes, &mut draft.findings)) {
        draft.name_file(value, name.as_bytes());
        draft.globals.user = Some(name);
    }
}

pub(in crate::config) fn monitor_file(draft: &mut Draft<'_>, value: &Value<'_>) {
    if let Some(found) = value.quoted_or_rest(&mut draft.findings) {
        draft.name_file(value, &found);
        in_block(draft, |block, _| block.monitor_file = Some(found));
    }
}

// === mail ===

pub(in crate::config) fn email_alert(draft: &mut Draft<'_>, value: &Value<'_>) {
    let text = value.text.trim_ascii();
    let inside = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
    let text = match inside {
        Some(inside) if !inside.contains(&b'"') => inside,
        _ => text,
    };
    if text.is_empty() {
        draft.findings.push(
            value
                .wrong("E0206", "`emailalert` needs an address")
                .hint("for example: emailalert=\"admin@example.org\""),
        );
        return;
    }
    if let Some(found) = value.utf8(text.to_vec(), &mut draft.findings) {
        draft.common().email = Some(found);
    }
}

pub(in crate::config) fn email_from(draft: &mut Draft<'_>, value: &Value<'_>) {
    let found = value.rest(&mut draft.findings);
    if let Some(found) = found.and_then(|bytes| value.utf8(bytes, &mut draft.findings)) {
        draft.globals.email_from = Some(found.trim().to_owned());
    }
}

pub(in crate::config) fn email_frequency(draft: &mut Draft<'_>, value: &Value<'_>) {
    if !value.text.first().is_some_and(u8::is_ascii_digit) {
        draft.findings.push(
            value
                .wrong("E0202", "`emailalertfreq` needs a number")
                .hint("for example: emailalertfreq=300"),
        );
        return;
    }
    if let Some(seconds) = value.whole_seconds(&mut draft.findings) {
        draft.common().email_repeat_s = Some(seconds);
    }
}

pub(in crate::config) fn email_status(draft: &mut Draft<'_>, value: &Value<'_>) {
    let (text, accepted) = value.exact();
    let mut phases = AlertPhases::NONE;
    let (mut none, mut other) = (false, None);
    for word in text.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        match word {
            b"" => continue,
            b"none" => none = true,
            b"all" => phases = AlertPhases::ALL,
            b"starting" => phases.starting = true,
            b"running" => phases.running = true,
            b"stopping" => phases.stopping = true,
            b"reloading" => phases.reloading = true,
            _ => {
                let fault = no_such_word(value, word, EMAIL_STATUSES);
                draft.findings.push(
                    fault.says(format!("invalid email alert status at: \"{}\"", shown(word))),
                );
                return;
            }
        }
        if word != b"none" {
            other = Some(shown(word).into_owned());
        }
    }
    if let (true, Some(other)) = (none, other) {
        draft.findings.push(
            Diagnostic::error("E0207", value.span(), format!("`none` excludes `{other}`"))
                .says(format!("invalid email alert status: \"{other}\" specified with \"none\"")),
        );
        return;
    }
    accepted(&mut draft.findings);
    draft.common().email_phases = Some(phases);
}

pub(in crate::config) fn smtp(draft: &mut Draft<'_>, value: &Value<'_>) {
    let host = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    let run = first_run(&value.text, host).filter(|run| run.start == 0);
    let Some(run) = run else {
        let plain = shown(&value.text).replace(['"', '\''], "");
        draft.findings.push(
            value
                .wrong("E0206", "`smtp` needs the name or address of a mail server, without quotes")
                .hint(match plain.trim() {
                    "" => "for example: smtp=mail.example.org".to_owned(),
                    plain => format!("write smtp={plain}"),
                }),
        );
        return;
    };
    ignored(value, run.end..value.text.len(), &mut draft.findings);
    draft.common().smtp = Some(shown(slice(&value.text, run)).into_owned());
}

pub(in crate::config) fn smtp_port(draft: &mut Draft<'_>, value: &Value<'_>) {
    if let Some(port) = value.port(&mut draft.findings) {
        draft.common().smtp_port = Some(port);
    }
}

pub(in crate::config) const SMTP_TLS: &[&str] = &["no", "starttls", "yes"];

pub(in crate::config) fn smtp_tls(draft: &mut Draft<'_>, value: &Value<'_>) {
    if let Some(word) = choice(draft, value, SMTP_TLS) {
        draft.common().smtp_tls = Some(match word {
            "starttls" => SmtpTls::Starttls,
            "yes" => SmtpTls::Always,
            _ => SmtpTls::Never,
        });
    }
}

pub(in crate::config) fn smtp_credentials(draft: &mut Draft<'_>, value: &Value<'_>) {
    let found = value.quoted_or_rest(&mut draft.findings);
    if let Some(name) = found.and_then(|bytes| value.utf8(bytes, &mut draft.findings)) {
        draft.common().smtp_credentials = Some((name.trim().to_owned(), value.span()));
    }
}
