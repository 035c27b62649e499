//! One server, explained: how it is and why, what it is asked, and what would change that.

use std::fmt::Write as _;

use jiff::{Timestamp, tz::TimeZone};

use super::{AttemptState, CheckState, Server, ServerState, Service, state::Count, table::age};
use crate::model::Condition;

/// What a fact is called stands in so many columns.
const LABEL: usize = 14;

/// What there is to say of a server.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its virtual service.
    pub service: &'a Service,
    /// The server.
    pub server: &'a Server,
    /// The last attempts of its check, the newest first.
    pub attempts: &'a [AttemptState],
    /// When all this was so.
    pub now: Timestamp,
}

/// Says it, a fact a line, in lines of this width.
pub fn explain(subject: &Subject<'_>, width: usize) -> String {
    let Subject { service, server, attempts, now } = *subject;
    let name = service.state.as_ref().and_then(|state| state.name.as_ref());
    let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
    let role = match &server.state {
        Some(state) if state.is_fallback => "fallback",
        _ => "real server",
    };
    let mut text = format!("{role} {} of {}{name}\n", server.key, service.key);
    let mut fact = |label: &str, said: &str| {
        let label = format!("  {label:<LABEL$}");
        let indent = " ".repeat(label.len());
        let options = textwrap::Options::new(width.max(LABEL * 3));
        text += &textwrap::fill(said, options.initial_indent(&label).subsequent_indent(&indent));
        text.push('\n');
    };
    match &server.state {
        Some(state) => {
            if state.written != server.key.0 {
                fact("In the file", &state.written.to_string());
            }
            fact("State", &condition(state, now));
            if let Some(reason) = &state.reason {
                let detail = state.detail.as_deref().unwrap_or_default();
                let label = if state.condition.serves() { "Last failure" } else { "Why" };
                fact(label, [reason, detail].join(": ").trim_end_matches([':', ' ']));
            }
            fact("Check", &state.check.as_ref().map_or_else(|| unchecked(state), check));
            if let Some(next) = &what_next(state, now) {
                fact("What next", next);
            }
        }
        None => fact("State", "no daemon that answers directs it"),
    }
    match &server.counted {
        Some(counted) => {
            let weight = counted.share.weight;
            let configured = server.state.as_ref().map(|state| state.weight);
            let configured = configured.filter(|configured| *configured != weight.get());
            let configured = configured.map(|weight| format!(", {weight} in the file"));
            let method = counted.share.forwarding;
            fact(
                "In the kernel",
                &format!("{method}, weight {weight}{}", configured.unwrap_or_default()),
            );
            let connections = counted.connections;
            let (active, inactive) = (connections.active, connections.inactive);
            let held = match connections.persistent {
                0 => String::new(),
                clients => format!(", {clients} persistence templates that bring clients back"),
            };
            fact("Connections", &format!("{active} active, {inactive} inactive{held}"));
        }
        None => fact("In the kernel", "no"),
    }
    if !attempts.is_empty() {
        text += "  Last attempts\n";
    }
    for attempt in attempts {
        text += &self::attempt(attempt);
    }
    text
}

fn condition(state: &ServerState, now: Timestamp) -> String {
    let word = match state.condition {
        Condition::Failing => "up".to_owned(),
        condition => condition.to_string(),
    };
    match state.since {
        Some(since) => {
            let at = since.to_zoned(TimeZone::system()).strftime("%F %T");
            format!("{word} for {}, since {at}", age(since, now))
        }
        None => word,
    }
}

fn unchecked(state: &ServerState) -> String {
    match (state.is_fallback, state.condition) {
        (true, _) => "none: a fallback is not checked",
        (false, Condition::Off) => "none: checktype = off",
        (false, _) => "none: checktype = on",
    }
    .to_owned()
}

fn check(check: &CheckState) -> String {
    let CheckState {
        kind, target, interval_s, fast_interval_s, down_interval_s, timeout_s, ..
    } = check;
    let mut text = format!("{kind} of {target} every {interval_s} s, failed after {timeout_s} s");
    if fast_interval_s != interval_s {
        write!(text, "; every {fast_interval_s} s while a verdict is pending").unwrap_or_default();
    }
    if down_interval_s != interval_s {
        write!(text, "; every {down_interval_s} s while it is down").unwrap_or_default();
    }
    text
}

/// What comes next and what would change how it is.
fn what_next(state: &ServerState, now: Timestamp) -> Option<String> {
    let check = state.check.as_ref()?;
    if state.condition == Condition::Maintenance {
        return Some("nobody checks it until that ends; then the next check decides".to_owned());
    }
    let next = match check.next {
        Some(next) => format!("the next check is in {}", age(now, next)),
        None => "it is being checked".to_owned(),
    };
    let (failures, passes) = (state.failures, state.passes);
    let left = |count: Count, one: &str, more: &str| match count.of.saturating_sub(count.count) {
        0 | 1 => one.to_owned(),
        left => format!("{left} {more}"),
    };
    let change = match state.condition {
        Condition::Up => format!(
            "; {} would take it down",
            left(failures, "one failed check", "failed checks in a row")
        ),
        Condition::Failing => format!(
            "; {} of {} have failed, {} would take it down",
            failures.count,
            failures.of,
            left(failures, "one more", "more in a row"),
        ),
        Condition::Down => format!(
            "; {} would bring it back",
            left(passes, "one passed check", "passed checks in a row")
        ),
        Condition::Unknown => "; it decides".to_owned(),
        Condition::Maintenance | Condition::Draining | Condition::Standby | Condition::Off => {
            String::new()
        }
    };
    Some(next + &change)
}

fn attempt(attempt: &AttemptState) -> String {
    let at = attempt.ended.to_zoned(TimeZone::system()).strftime("%T");
    let took: f64 = attempt.times_ms.iter().map(|(_, time)| time).sum();
    let parts: Vec<String> =
        attempt.times_ms.iter().map(|(phase, time)| format!("{phase} {time:.1}")).collect();
    let mut text = match &attempt.reason {
        None => format!("    {at}  passed in {took:.1} ms"),
        Some(reason) => {
            format!("    {at}  failed in {} after {took:.1} ms: {reason}", attempt.phase)
        }
    };
    if parts.len() > 1 {
        write!(text, " ({})", parts.join(", ")).unwrap_or_default();
    }
    text.push('\n');
    for (label, said) in [("", &attempt.detail), ("received ", &attempt.received)] {
        if let Some(said) = said.as_ref().filter(|said| !said.is_empty()) {
            writeln!(text, "              {label}{said}").unwrap_or_default();
        }
    }
    if let Some(end) = &attempt.certificate_end {
        writeln!(text, "              its certificate ends on {end}").unwrap_or_default();
    }
    text
}
