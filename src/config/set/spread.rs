//! Directives that say how the kernel spreads connections.

use super::{choice, ignored, in_block, no_such_word, only};
use crate::{
    config::{
        Ldirectord,
        diagnostic::Diagnostic,
        draft::{Draft, TunnelType, VirtualText},
        value::{Value, first_run, shown, slice},
    },
    model::{Mask, SchedulerFlags},
};

pub(in crate::config) const SCHEDULER_FLAGS: &[&str] =
    &["flag-1", "flag-2", "flag-3", "mh-fallback", "mh-port", "sh-fallback", "sh-port"];

/// The most that the kernel takes for the name of a scheduler (`IP_VS_SCHEDNAME_MAXLEN` less the final zero).
const SCHEDULER_NAME: usize = 15;

pub(in crate::config) fn scheduler(draft: &mut Draft<'_>, value: &Value<'_>) {
    let findings = &mut draft.findings;
    let Some(word) = first_run(&value.text, |byte| byte.is_ascii_lowercase()) else {
        findings.push(
            value
                .wrong("E0208", "the name of a scheduler has letters from a to z only")
                .hint("for example: scheduler=wlc"),
        );
        return;
    };
    only(value, &word, findings);
    let name = shown(slice(&value.text, word)).into_owned();
    if name.len() > SCHEDULER_NAME {
        findings.push(Diagnostic::error(
            "E0208",
            value.span(),
            format!("the name of a scheduler has at most {SCHEDULER_NAME} letters"),
        ));
        return;
    }
    in_block(draft, |block, _| block.scheduler = Some(name));
}

pub(in crate::config) fn scheduler_flags(draft: &mut Draft<'_>, value: &Value<'_>) {
    let Some(run) = first_run(&value.text, |byte| !byte.is_ascii_whitespace()) else {
        draft.findings.push(no_such_word(value, b"", SCHEDULER_FLAGS));
        return;
    };
    ignored(value, run.end..value.text.len(), &mut draft.findings);
    let mut flags = SchedulerFlags::default();
    let mut of = None;
    let text = slice(&value.text, run).to_vec();
    let text: Vec<u8> = text.into_iter().filter(|byte| !matches!(byte, b'"' | b'\'')).collect();
    for word in text.split(|byte| *byte == b',').filter(|word| !word.is_empty()) {
        if word.starts_with(b"sh-") {
            of = Some("sh");
        } else if word.starts_with(b"mh-") {
            of = Some("mh");
        }
        match word {
            b"flag-1" | b"sh-fallback" | b"mh-fallback" => flags.first = true,
            b"flag-2" | b"sh-port" | b"mh-port" => flags.second = true,
            b"flag-3" => flags.third = true,
            other => {
                let mut fault = no_such_word(value, other, SCHEDULER_FLAGS);
                fault.ldirectord = Ldirectord::Silent;
                draft.findings.push(fault);
                return;
            }
        }
    }
    in_block(draft, |block, _| block.scheduler_flags = Some((flags, of, value.span())));
}

/// The longest persistence that ipvsadm takes: 31 days.
const LONGEST_PERSISTENCE_S: u32 = 31 * 24 * 60 * 60;

pub(in crate::config) fn persistent(draft: &mut Draft<'_>, value: &Value<'_>) {
    let Some(mut seconds) = value.whole_seconds(&mut draft.findings) else { return };
    if seconds == 0 {
        draft.findings.push(
            Diagnostic::warning("W0205", value.span(), "the service is not persistent").hint(
                "ipvsadm refuses `persistent` of 0, so that ldirectord never installs this service",
            ),
        );
    } else if seconds > LONGEST_PERSISTENCE_S {
        draft.findings.push(
            Diagnostic::warning(
                "W0205",
                value.span(),
                "31 days (2678400) are taken, the most there is",
            )
            .hint("ipvsadm refuses more, so that ldirectord never installs this service"),
        );
        seconds = LONGEST_PERSISTENCE_S;
    }
    in_block(draft, |block, _| {
        block.persistent = (seconds > 0).then(|| (seconds, value.span()));
    });
}

pub(in crate::config) fn netmask(draft: &mut Draft<'_>, value: &Value<'_>) {
    let (text, accepted) = value.exact();
    let six = draft.block.as_ref().is_some_and(|block| block.six);
    let mask = if six { prefix_length(text) } else { dotted_quad(text) };
    match mask {
        None => {
            let (form, says, hint) = match six {
                true => (
                    "a prefix length from 1 to 128",
                    "invalid netmask: a prefix length between 1 and 128 is required",
                    "for example: netmask=64",
                ),
                false => (
                    "four numbers with dots between",
                    "invalid netmask: dotted quad notation is required",
                    "for example: netmask=255.255.255.0",
                ),
            };
            draft.findings.push(
                Diagnostic::error("E0209", value.span(), format!("`netmask` is {form} here"))
                    .says(says)
                    .hint(hint),
            );
        }
        Some(mask) => {
            accepted(&mut draft.findings);
            in_block(draft, |block, _| block.netmask = Some((mask, value.span())));
        }
    }
}

fn prefix_length(text: &[u8]) -> Option<Result<Mask, String>> {
    let length: u8 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (1..=128).contains(&length).then_some(Ok(Mask::V6(length)))
}

/// Four runs of digits; that each is a byte is not asked for yet, as ldirectord does not.
fn dotted_quad(text: &[u8]) -> Option<Result<Mask, String>> {
    let text = std::str::from_utf8(text).ok()?;
    let parts: Vec<&str> = text.split('.').collect();
    let digits = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts.len() != 4 || !parts.iter().all(digits) {
        return None;
    }
    let mut octets = [0_u8; 4];
    for (octet, part) in octets.iter_mut().zip(&parts) {
        match part.parse() {
            Ok(number) => *octet = number,
            Err(_) => return Some(Err(format!("{part} in `netmask` is beyond 255"))),
        }
    }
    Some(Ok(Mask::V4(octets.into())))
}

pub(in crate::config) const TUNNEL_TYPES: &[&str] = &["gre", "gue", "ipip"];

pub(in crate::config) fn tunnel_type(draft: &mut Draft<'_>, value: &Value<'_>) {
    if let Some(word) = choice(draft, value, TUNNEL_TYPES) {
        draft.common().tunnel_type = Some(match word {
            "gre" => TunnelType::Gre,
            "gue" => TunnelType::Gue,
            _ => TunnelType::Ipip,
        });
    }
}

pub(in crate::config) fn tunnel_port(draft: &mut Draft<'_>, value: &Value<'_>) {
    if let Some(port) = value.port(&mut draft.findings) {
        draft.common().tunnel_port = Some(port);
    }
}

pub(in crate::config) fn protocol(draft: &mut Draft<'_>, value: &Value<'_>) {
    let Some(word) = value.word() else {
        draft.findings.push(no_such_word(value, b"", &["tcp", "udp", "fwm"]));
        return;
    };
    let text = slice(&value.text, word.clone());
    let Some(block) = &mut draft.block else { return };
    let marked = match &block.address {
        None => return,
        Some(address) => matches!(address, VirtualText::Mark(_)),
    };
    match (text, marked) {
        (b"fwm", true) => {}
        (b"tcp", false) => block.udp = false,
        (b"udp", false) => block.udp = true,
        (_, true) => draft.findings.push(
            no_such_word(value, text, &["fwm"])
                .says("protocol must be fwm if the virtual service is a fwmark (a number)"),
        ),
        (_, false) => draft.findings.push(
            no_such_word(value, text, &["tcp", "udp"])
                .says("protocol must be tcp or udp if the virtual service is an address and port"),
        ),
    }
    only(value, &word, &mut draft.findings);
}
