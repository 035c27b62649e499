//! What the director tells, in ldirectord's words.
//!
//! In goes a [`Notice`], out comes the line of the log, which is also the subject of a mail; [`log()`] hands it to
//! `tracing` with its facts as fields. Operators' tools match these lines, so they are ldirectord's to the letter; what
//! we have to say beyond them has lines of its own.
//!
//! Sources: sections 5.2, 5.3, 5.5 and 8 of the behaviour specification.

use tracing::Level;

use super::facts::{Facts, of_fault};
use crate::{
    director::{News, Notice, Phase, Place},
    ipvs::KernelError,
    model::Trace,
};

/// The most of a server's own words that a line carries, in characters.
const DETAIL_CHARACTERS: usize = 300;

const DAY_S: i64 = 24 * 60 * 60;

/// Writes the line of a notice to the log, if it has one; `trace` is how the attempt went that it tells of.
pub fn log(notice: &Notice, trace: Option<&Trace>) {
    let (text, level) = match &notice.news {
        // The daemon tells of every attempt itself, and these are only those of monitor files.
        News::Checked(..) | News::InMaintenance(_) => return,
        News::FallbackNeeded(service, needed) => (
            format!("Fallback of {} {}", service.with_protocol(), begins_or_ends(*needed)),
            Level::DEBUG,
        ),
        news => {
            let how = trace.map(|trace| format!(" ({trace})")).unwrap_or_default();
            (format!("{}{how}", line(notice).unwrap_or_default()), level(news))
        }
    };
    Facts::of(notice, trace).tell(level, &text);
}

/// Writes a fault of the kernel's table to the log that no notice tells of.
pub fn log_fault(error: &KernelError) {
    of_fault(error).tell(Level::ERROR, &fault(error));
}

/// How much a notice matters.
fn level(news: &News) -> Level {
    match news {
        News::KernelFault(_) => Level::ERROR,
        News::CertificateEnds { .. }
        | News::Drifted(..)
        | News::Missing(..)
        | News::SyncDrifted(_)
        | News::SyncMissing(_)
        | News::AgentLost(..)
        | News::AgentOdd(..)
        | News::DownByAgent(_) => Level::WARN,
        // Where weights follow the load these come every few seconds.
        News::AgentSays { from, to, changed, .. }
            if changed.is_weight() && from.get() > 0 && to.get() > 0 =>
        {
            Level::DEBUG
        }
        News::ServerReweighted(..) => Level::DEBUG,
        _ => Level::INFO,
    }
}

/// The line of a notice; `None` for those that only a person who looks for a fault wants to see.
pub fn line(notice: &Notice) -> Option<String> {
    let occasion = if notice.phase == Phase::Stopping { "stop" } else { "start" };
    Some(match &notice.news {
        News::ServiceAdded(service, _) => format!("Added virtual server: {}", service.plain()),
        News::ServiceChanged(service, _) => format!("Changed virtual server: {}", service.plain()),
        News::ServicePurged(service) => {
            format!("Purged virtual server ({occasion}): {}", service.plain())
        }
        News::ServerAdded(place, share) => format!(
            "Added {} server: {} ({}) (Weight set to {})",
            place.role,
            place.written,
            place.service.plain(),
            share.weight
        ),
        News::ServerRestored(place, share) => format!(
            "Restored {} server: {} ({}) (Weight set to {})",
            place.role,
            place.written,
            place.service.plain(),
            share.weight
        ),
        News::ServerQuiesced(place) => {
            format!("Quiescent {} server: {} (Weight set to 0)", place.role, mapped(place))
        }
        News::ServerQuiescedAnew(place) => {
            format!("Readd Quiescent {} server: {} (Weight set to 0)", place.role, mapped(place))
        }
        News::ServerDeleted(place) => format!("Deleted {} server: {}", place.role, mapped(place)),
        News::ServerInaccessible(place) => {
            format!("Inaccessible real server: {} ({})", place.written, place.service.plain())
        }
        News::ServerPurged(service, server) => {
            format!("Purged real server ({occasion}): {server} ({})", service.plain())
        }
        News::SoftFailure { place, count, of } => {
            format!("Soft failure real server: {} failure {count}/{of}", checked_place(place))
        }
        News::FailuresForgotten(place) => {
            format!("Resetting soft failure count: {}", checked_place(place))
        }
        News::SoftPass { place, count, of } => {
            format!("Soft success real server: {} success {count}/{of}", checked_place(place))
        }
        News::PassesForgotten(place) => {
            format!("Resetting soft success count: {}", checked_place(place))
        }
        News::Up(place) => format!("Check passed, server is up: {}", checked_place(place)),
        News::Down(place, failure) => {
            format!(
                "Check failed, server is down: {}: {}",
                checked_place(place),
                tame(&failure.to_string())
            )
        }
        News::ServerReweighted(place, share) => format!(
            "Reweighted {} server: {} (Weight set to {})",
            place.role,
            mapped(place),
            share.weight
        ),
        News::AgentSays { place, changed, from, to } => {
            let place = checked_place(place);
            format!("Agent of real server: {place} says {changed}: weight {from} -> {to}")
        }
        News::AgentLost(place, failure) => {
            format!(
                "Agent of real server: {} cannot be asked, what it said last stays: {}",
                checked_place(place),
                tame(&failure.to_string())
            )
        }
        News::AgentOdd(place, word) => {
            format!(
                "Agent of real server: {} says what is not understood, the rest counts: {}",
                checked_place(place),
                tame(word)
            )
        }
        News::AgentBack(place) => {
            format!("Agent of real server: {} is understood again", checked_place(place))
        }
        News::DownByAgent(place) => {
            format!(
                "Check passed, server stays down until its agent says up: {}",
                checked_place(place)
            )
        }
        News::Drifted(service, None) => {
            format!(
                "Virtual server {service} was changed by somebody else and is left like that; a reload sets it as the file says"
            )
        }
        News::Drifted(service, Some(server)) => {
            format!(
                "Real server {server} of {service} was changed by somebody else and is left like that until its health changes; a reload sets it as the file says"
            )
        }
        News::Missing(service, None) => {
            format!(
                "Virtual server {service} was deleted by somebody else and stays away until the health of one of its servers changes; a reload puts it back"
            )
        }
        News::Missing(service, Some(server)) => {
            format!(
                "Real server {server} of {service} was deleted by somebody else and stays away until its health changes; a reload puts it back"
            )
        }
        News::SyncStarted(role, daemon) => format!("Started {role} sync daemon: {daemon}"),
        News::SyncStopped(role) => format!("Stopped {role} sync daemon"),
        News::SyncDrifted(role) => {
            format!(
                "The {role} sync daemon was started by somebody else in another way and is left like that; a reload starts it as the file says"
            )
        }
        News::SyncMissing(role) => {
            format!("The {role} sync daemon was stopped by somebody else; a reload starts it again")
        }
        News::KernelFault(error) => fault(error),
        News::CertificateEnds { place, end, left_s } => {
            let (end, when) = (*end, days(*left_s));
            let ends = match left_s {
                0.. => format!("ends on {end}, in {when}"),
                _ => format!("ended on {end}, {when} ago"),
            };
            format!("Certificate of a real server {ends}: {}; renew it", checked_place(place))
        }
        News::Unverified(1) => {
            "1 check over TLS does not verify the certificate of its real server; tlsverify=yes would".to_owned()
        }
        News::Unverified(count) => format!(
            "{count} checks over TLS do not verify the certificates of their real servers; tlsverify=yes would"
        ),
        News::Maintenance(place, true) => {
            format!("Server in maintenance: {}", checked_place(place))
        }
        News::Maintenance(place, false) => {
            format!("Server no longer in maintenance: {}", checked_place(place))
        }
        News::Checked(..) | News::InMaintenance(_) | News::FallbackNeeded(..) => return None,
    })
}

/// `10.0.0.2:80 (192.0.2.1:80)`, and `10.0.0.2:80 mapped from 10.0.0.2:8080 (192.0.2.1:80)` where the kernel has the
/// server at the port of the virtual service.
fn mapped(place: &Place) -> String {
    let (kernel, written) = (place.server.0, place.written);
    let service = place.service.plain();
    if kernel == written {
        format!("{kernel} ({service})")
    } else {
        format!("{kernel} mapped from {written} ({service})")
    }
}

/// `10.0.0.2:80 (tcp:192.0.2.1:80)`.
fn checked_place(place: &Place) -> String {
    format!("{} ({})", place.written, place.service.with_protocol())
}

/// `5 days`, `1 day`, `less than a day`.
fn days(seconds: i64) -> String {
    match seconds.unsigned_abs() / DAY_S.unsigned_abs() {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

fn begins_or_ends(needed: bool) -> &'static str {
    if needed { "is needed" } else { "is no longer needed" }
}

/// The sentence of a fault with its hint, each a line.
pub fn fault(error: &KernelError) -> String {
    error.to_string()
}

/// A server's words, safe in a line: shortened, and without anything that could pass for another line.
pub fn tame(text: &str) -> String {
    let mut tamed: String = text
        .chars()
        .take(DETAIL_CHARACTERS)
        .map(|c| if c.is_control() { '.' } else { c })
        .collect();
    if text.chars().nth(DETAIL_CHARACTERS).is_some() {
        tamed.push('…');
    }
    tamed
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::{
        director::Role,
        model::{
            Admission, AgentReport, CertificateEnd, Failure, Family, Forwarding, Reason, ServerKey,
            ServiceKey, Settings, Share, Thresholds, Transport, Weight,
        },
    };

    fn line_of(phase: Phase, news: News) -> String {
        line(&Notice { phase, news }).unwrap()
    }

    #[test]
    fn lines_are_ldirectords() {
        let web = ServiceKey::Address {
            transport: Transport::Tcp,
            address: "192.0.2.1:80".parse().unwrap(),
        };
        let mark = ServiceKey::Fwmark { family: Family::V6, mark: NonZeroU32::new(7).unwrap() };
        let at = |service, kernel: &str, written: &str| Place {
            service,
            server: ServerKey(kernel.parse().unwrap()),
            written: written.parse().unwrap(),
            role: Role::Real,
        };
        let plain = at(web, "10.0.0.2:80", "10.0.0.2:80");
        let gate = at(web, "10.0.0.2:80", "10.0.0.2:8080");
        let six = at(mark, "[2001:db8::1]:0", "[2001:db8::1]:0");
        let sorry = Place { role: Role::Fallback, ..plain };
        let share = Share {
            forwarding: Forwarding::Route,
            weight: Weight::ONE,
            thresholds: Thresholds::default(),
        };
        let end = CertificateEnd::at(1_796_126_400);
        let failure = Failure { reason: Reason::Mismatch, detail: "it said\n[forged]".to_owned() };
        let cases = [
            (
                Phase::Starting,
                News::ServiceAdded(web, Settings::default()),
                "Added virtual server: 192.0.2.1:80",
            ),
            (
                Phase::Reloading,
                News::ServiceChanged(mark, Settings::default()),
                "Changed virtual server: 7",
            ),
            (
                Phase::Reloading,
                News::ServicePurged(web),
                "Purged virtual server (start): 192.0.2.1:80",
            ),
            (
                Phase::Stopping,
                News::ServicePurged(web),
                "Purged virtual server (stop): 192.0.2.1:80",
            ),
            (
                Phase::Running,
                News::ServerAdded(plain, share),
                "Added real server: 10.0.0.2:80 (192.0.2.1:80) (Weight set to 1)",
            ),
            (
                Phase::Running,
                News::ServerRestored(sorry, share),
                "Restored fallback server: 10.0.0.2:80 (192.0.2.1:80) (Weight set to 1)",
            ),
            (
                Phase::Running,
                News::ServerQuiesced(gate),
                "Quiescent real server: 10.0.0.2:80 mapped from 10.0.0.2:8080 (192.0.2.1:80) (Weight set to 0)",
            ),
            (
                Phase::Running,
                News::ServerQuiescedAnew(six),
                "Readd Quiescent real server: [2001:db8::1]:0 (7) (Weight set to 0)",
            ),
            (
                Phase::Running,
                News::ServerDeleted(sorry),
                "Deleted fallback server: 10.0.0.2:80 (192.0.2.1:80)",
            ),
            (
                Phase::Starting,
                News::ServerPurged(web, plain.written),
                "Purged real server (start): 10.0.0.2:80 (192.0.2.1:80)",
            ),
            (
                Phase::Running,
                News::SoftFailure { place: gate, count: 1, of: 3 },
                "Soft failure real server: 10.0.0.2:8080 (tcp:192.0.2.1:80) failure 1/3",
            ),
            (
                Phase::Running,
                News::FailuresForgotten(six),
                "Resetting soft failure count: [2001:db8::1]:0 (fwm6:7)",
            ),
            (
                Phase::Running,
                News::SoftPass { place: gate, count: 2, of: 3 },
                "Soft success real server: 10.0.0.2:8080 (tcp:192.0.2.1:80) success 2/3",
            ),
            (
                Phase::Running,
                News::PassesForgotten(six),
                "Resetting soft success count: [2001:db8::1]:0 (fwm6:7)",
            ),
            (
                Phase::Running,
                News::CertificateEnds { place: gate, end, left_s: 30 * DAY_S },
                "Certificate of a real server ends on 2026-12-01, in 30 days: \
                 10.0.0.2:8080 (tcp:192.0.2.1:80); renew it",
            ),
            (
                Phase::Running,
                News::CertificateEnds { place: plain, end, left_s: 2 * DAY_S - 1 },
                "Certificate of a real server ends on 2026-12-01, in 1 day: \
                 10.0.0.2:80 (tcp:192.0.2.1:80); renew it",
            ),
            (
                Phase::Running,
                News::CertificateEnds { place: plain, end, left_s: 0 },
                "Certificate of a real server ends on 2026-12-01, in less than a day: \
                 10.0.0.2:80 (tcp:192.0.2.1:80); renew it",
            ),
            (
                Phase::Running,
                News::CertificateEnds { place: plain, end, left_s: -3 * DAY_S },
                "Certificate of a real server ended on 2026-12-01, 3 days ago: \
                 10.0.0.2:80 (tcp:192.0.2.1:80); renew it",
            ),
            (
                Phase::Running,
                News::CertificateEnds { place: plain, end, left_s: i64::MIN },
                "Certificate of a real server ended on 2026-12-01, 106751991167300 days ago: \
                 10.0.0.2:80 (tcp:192.0.2.1:80); renew it",
            ),
            (
                Phase::Starting,
                News::Unverified(1),
                "1 check over TLS does not verify the certificate of its real server; tlsverify=yes would",
            ),
            (
                Phase::Reloading,
                News::Unverified(12),
                "12 checks over TLS do not verify the certificates of their real servers; tlsverify=yes would",
            ),
            (
                Phase::Running,
                News::Maintenance(gate, true),
                "Server in maintenance: 10.0.0.2:8080 (tcp:192.0.2.1:80)",
            ),
            (
                Phase::Running,
                News::Maintenance(six, false),
                "Server no longer in maintenance: [2001:db8::1]:0 (fwm6:7)",
            ),
            (
                Phase::Running,
                News::Down(plain, failure),
                "Check failed, server is down: 10.0.0.2:80 (tcp:192.0.2.1:80): mismatch: it said.[forged]",
            ),
        ];
        for (phase, news, expected) in cases {
            assert_eq!(line_of(phase, news), expected);
        }
    }

    #[test]
    fn what_agents_say_has_lines_of_its_own() {
        let address = "192.0.2.1:80".parse().unwrap();
        let place = Place {
            service: ServiceKey::Address { transport: Transport::Tcp, address },
            server: ServerKey("10.0.0.7:80".parse().unwrap()),
            written: "10.0.0.7:80".parse().unwrap(),
            role: Role::Real,
        };
        let share = Share {
            forwarding: Forwarding::Route,
            weight: Weight::ONE,
            thresholds: Thresholds::default(),
        };
        let drain = AgentReport { admission: Some(Admission::Drain), ..AgentReport::default() };
        let refused = Failure { reason: Reason::Refused, detail: "no\nway".to_owned() };
        let from = Weight::new(100).unwrap();
        let at = "10.0.0.7:80 (tcp:192.0.2.1:80)";
        for (news, expected) in [
            (
                News::AgentSays { place, changed: drain, from, to: Weight::ZERO },
                format!("Agent of real server: {at} says drain: weight 100 -> 0"),
            ),
            (
                News::AgentLost(place, refused),
                format!(
                    "Agent of real server: {at} cannot be asked, what it said last stays: refused: no.way"
                ),
            ),
            (
                News::AgentOdd(place, "hello".to_owned()),
                format!(
                    "Agent of real server: {at} says what is not understood, the rest counts: hello"
                ),
            ),
            (News::AgentBack(place), format!("Agent of real server: {at} is understood again")),
            (
                News::DownByAgent(place),
                format!("Check passed, server stays down until its agent says up: {at}"),
            ),
            (
                News::ServerReweighted(place, share),
                "Reweighted real server: 10.0.0.7:80 (192.0.2.1:80) (Weight set to 1)".to_owned(),
            ),
        ] {
            assert_eq!(line_of(Phase::Running, news), expected);
        }
    }

    #[test]
    fn a_servers_words_are_cut_and_stay_on_one_line() {
        assert_eq!(tame("a\r\nb\u{1b}[31m"), "a..b.[31m");
        assert_eq!(tame(&"x".repeat(1000)).chars().count(), DETAIL_CHARACTERS + 1);
    }
}
