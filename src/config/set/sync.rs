//! Directives that say how directors tell each other of their connections.

use std::net::IpAddr;

use super::no_such_word;
use crate::{
    config::{
        diagnostic::Diagnostic,
        draft::Draft,
        value::{Value, shown},
    },
    model::SyncRole,
};

/// Bytes of the longest name of an interface.
const LONGEST_INTERFACE: usize = 15;

pub(in crate::config) fn sync_daemon(draft: &mut Draft<'_>, value: &Value<'_>) {
    let (text, accepted) = value.exact();
    let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let role = words.next().unwrap_or_default();
    let roles: &[SyncRole] = match role {
        b"master" => &[SyncRole::Master],
        b"backup" => &[SyncRole::Backup],
        b"both" => &SyncRole::ALL,
        _ => {
            draft.findings.push(no_such_word(value, role, &["master", "backup", "both"]));
            return;
        }
    };
    let example = format!("for example: syncdaemon = {} eth0", shown(role));
    let (interface, more) = (words.next().unwrap_or_default(), words.next());
    let fault = match (interface, more) {
        (b"", _) => "`syncdaemon` needs the interface that the directors share".to_owned(),
        (_, Some(more)) => format!("`syncdaemon` takes one interface, and no `{}`", shown(more)),
        (name, None) => match std::str::from_utf8(name) {
            Ok(name) if name.len() <= LONGEST_INTERFACE && !name.contains(['/', '"']) => {
                accepted(&mut draft.findings);
                draft.globals.sync.interface = name.to_owned();
                draft.globals.sync_roles = roles;
                return;
            }
            _ => format!("`{}` cannot be the name of an interface", shown(name)),
        },
    };
    draft.findings.push(value.wrong("E0225", fault).hint(example));
}

pub(in crate::config) fn sync_id(draft: &mut Draft<'_>, value: &Value<'_>) {
    if let Some(id) = number(draft, value, 0, u8::MAX) {
        draft.globals.sync.id = id;
    }
}

pub(in crate::config) fn sync_group(draft: &mut Draft<'_>, value: &Value<'_>) {
    let (text, accepted) = value.exact();
    let group = shown(text).parse().ok().filter(IpAddr::is_multicast);
    match group {
        Some(group) => {
            accepted(&mut draft.findings);
            draft.globals.sync.group = group;
        }
        None => draft.findings.push(
            value
                .wrong("E0226", "`syncgroup` is a multicast address")
                .hint("for example: syncgroup = 239.255.0.81, or syncgroup = ff02::81"),
        ),
    }
}

pub(in crate::config) fn sync_port(draft: &mut Draft<'_>, value: &Value<'_>) {
    if let Some(port) = value.port(&mut draft.findings) {
        draft.globals.sync.port = port;
    }
}

pub(in crate::config) fn sync_ttl(draft: &mut Draft<'_>, value: &Value<'_>) {
    if let Some(ttl) = number(draft, value, 1, u8::MAX) {
        draft.globals.sync.ttl = ttl;
    }
}

pub(in crate::config) fn sync_max_length(draft: &mut Draft<'_>, value: &Value<'_>) {
    // What the kernel takes of a backup, in a packet of IPv6.
    if let Some(length) = number(draft, value, 1024, 65_487) {
        draft.globals.sync.max_length = Some(length);
    }
}

/// A number in a range.
fn number<N: TryFrom<u32> + Ord + Copy + std::fmt::Display>(
    draft: &mut Draft<'_>,
    value: &Value<'_>,
    least: N,
    most: N,
) -> Option<N> {
    let number = value.count(&mut draft.findings)?;
    let number = N::try_from(number).ok().filter(|number| (least..=most).contains(number));
    if number.is_none() {
        let fault = format!("`{}` is a number from {least} to {most}", value.directive.name);
        draft.findings.push(Diagnostic::error("E0204", value.span(), fault));
    }
    number
}
