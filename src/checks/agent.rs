//! Agents beside the checks: programs on the real servers that speak the text protocol of HAProxy's `agent-check`.
//!
//! | we say | the agent says |
//! |---|---|
//! | `agentsend`, `\n` in it as a line feed, if it is set | a line of words, which ends with CR or LF |
//!
//! Words have blanks, tabs or commas between them; capital and small letters are one. Of several of one kind the last
//! counts. What follows a `#` at the start of a word describes why the server is down. What follows the line is not read.
//!
//! | word | says |
//! |---|---|
//! | `75%`, `weight:75%` | the weight is this part of the one in the file |
//! | `weight:30` | the weight, 0 to 256 |
//! | `ready`, `drain`, `maint` | whether the server takes part |
//! | `up`; `down`, `fail`, `failed`, `stopped` | whether it works |
//! | `maxconn:30` | nothing: the kernel's thresholds count connections that have ended a while ago, too |
//!
//! A line that does not end is none, as with HAProxy: `75%` could be the start of `75%,drain`. The same holds for one with
//! a byte of 0 in it.
//!
//! Differs from HAProxy: `failed`, which the manual of its older versions names, is `fail`.
//!
//! Sources: HAProxy's configuration manual, `agent-check` and `agent-send` of section 5.2; and what HAProxy 2.6 makes of
//! the same words (`tests/services`).

use super::{failure, link::Link, shown, text::with_line_feeds};
use crate::model::{Admission, AgentAnswer, AgentReport, AgentWeight, Failure, Operation, Reason};

/// The longest line, in bytes.
const LINE: usize = 4 * 1024;

/// Asks an agent; `written` is what the file says that it is sent.
pub(super) async fn ask(link: &mut Link<'_>, written: &[u8]) -> AgentAnswer {
    if !written.is_empty() {
        match link.send(&with_line_feeds(written)).await {
            // An agent may have answered and closed before it had read what we said.
            Ok(()) | Err(Failure { reason: Reason::Reset, .. }) => {}
            Err(fault) => return Err(fault),
        }
    }
    let peer = link.peer();
    loop {
        let start = link.buffered().get(..LINE).unwrap_or(link.buffered());
        let end = start.iter().position(|byte| matches!(byte, b'\r' | b'\n' | 0));
        if let Some(end) = end {
            return match start.get(end) {
                Some(0) => {
                    let detail = format!("{peer} sent a byte of 0 in its line");
                    Err(failure(Reason::Protocol, detail))
                }
                _ => Ok(report(start.get(..end).unwrap_or_default())),
            };
        }
        if start.len() >= LINE {
            let detail = format!("{peer} sent a line of more than {LINE} bytes");
            return Err(failure(Reason::Protocol, detail));
        }
        let is_empty = start.is_empty();
        if !link.fill().await? {
            return Err(match is_empty {
                true => link.closed(),
                false => {
                    let detail = format!(
                        "{peer} closed the connection before the end of its line: {}",
                        shown(link.buffered())
                    );
                    failure(Reason::Protocol, detail)
                }
            });
        }
    }
}

/// What a line says, without its end.
pub fn report(line: &[u8]) -> AgentReport {
    let mut report = AgentReport::default();
    let mut rest = line;
    let mut down = None;
    while let Some(start) = rest.iter().position(|byte| !is_gap(*byte)) {
        rest = rest.get(start..).unwrap_or_default();
        if rest.starts_with(b"#") {
            break;
        }
        let end = rest.iter().position(|byte| is_gap(*byte)).unwrap_or(rest.len());
        let (written, after) = rest.split_at_checked(end).unwrap_or((rest, b""));
        rest = after;
        let word = written.to_ascii_lowercase();
        let known = match word.as_slice() {
            b"up" | b"down" | b"fail" | b"failed" | b"stopped" => {
                down = (word != b"up").then(|| shown(&word));
                report.operation = Some(Operation::Up);
                true
            }
            b"ready" | b"drain" | b"maint" => {
                report.admission = Some(match word.as_slice() {
                    b"drain" => Admission::Drain,
                    b"maint" => Admission::Maintenance,
                    _ => Admission::Ready,
                });
                true
            }
            word if is_weight(word) => {
                report.weight = weight(word);
                report.weight.is_some()
            }
            word => word.starts_with(b"maxconn:"),
        };
        if !known && report.unknown.is_none() {
            report.unknown = Some(shown(written));
        }
    }
    if let Some(word) = down {
        let why = shown(rest.strip_prefix(b"#").unwrap_or_default().trim_ascii());
        report.operation = Some(Operation::Down(match why.as_str() {
            "" => word,
            why => format!("{word}: {why}"),
        }));
    }
    report
}

/// Whether this stands between words.
fn is_gap(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b',')
}

/// Whether a word is meant to be a weight.
fn is_weight(word: &[u8]) -> bool {
    word.starts_with(b"weight:")
        || (word.first().is_some_and(u8::is_ascii_digit) && word.contains(&b'%'))
}

/// The weight that such a word says; none if it is not in the range.
fn weight(word: &[u8]) -> Option<AgentWeight> {
    let number = word.strip_prefix(b"weight:").unwrap_or(word);
    let digits = number.strip_suffix(b"%").unwrap_or(number);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0_u32, |value, digit| {
        value.saturating_mul(10).saturating_add(u32::from(digit.saturating_sub(b'0')))
    });
    if digits.len() < number.len() {
        return Some(AgentWeight::Percent(value.min(AgentWeight::MOST_PERCENT)));
    }
    (value <= AgentWeight::MOST).then_some(AgentWeight::Absolute(value))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        checks::script::{Outcome, TARGET, Turn, converse, spec, unconfigured},
        model::{CheckKind, CheckSpec},
    };

    /// What is understood of a line, and the first word that is not.
    fn said(line: &str) -> (String, Option<String>) {
        let report = report(line.as_bytes());
        (report.to_string(), report.unknown)
    }

    #[test]
    fn every_word_is_understood() {
        for (line, expected) in [
            ("", ""),
            (" \t,, ", ""),
            ("75%", "75%"),
            ("0%", "0%"),
            ("007%", "7%"),
            ("150%", "150%"),
            ("99999999999999999999%", "25600%"),
            ("weight:50%", "50%"),
            ("weight:50", "weight:50"),
            ("weight:0", "weight:0"),
            ("WEIGHT:256", "weight:256"),
            ("10% 20%", "20%"),
            ("ready", "ready"),
            ("Drain", "drain"),
            ("MAINT", "maint"),
            ("drain ready", "ready"),
            ("up", "up"),
            ("down", "down"),
            ("fail", "fail"),
            ("failed", "failed"),
            ("Stopped", "stopped"),
            ("down up", "up"),
            ("up down", "down"),
            ("down # disk  is\tfull, really", "down: disk  is\\tfull, really"),
            ("down #disk full", "down: disk full"),
            ("down#", ""),
            ("stopped # ", "stopped"),
            ("# all is well", ""),
            ("up # all is well", "up"),
            ("ready,up\t75%  maxconn:30 # words", "75% ready up"),
            ("maxconn:", ""),
        ] {
            let (told, unknown) = said(line);
            assert_eq!(told, expected, "{line}");
            assert_eq!(unknown.is_some(), line == "down#", "{line}");
        }
    }

    #[test]
    fn the_first_word_that_is_unknown_is_kept_and_the_others_count() {
        for (line, expected, unknown) in [
            ("hello 50% world", "50%", "hello"),
            ("down#disk full", "", "down#disk"),
            ("75", "", "75"),
            ("50% 75%x", "", "75%x"),
            ("weight:257", "", "weight:257"),
            ("weight:-1", "", "weight:-1"),
            ("weight:", "", "weight:"),
            ("weight:%", "", "weight:%"),
            ("+5%", "", "+5%"),
            ("HTTP/1.1 400 Bad", "", "HTTP/1.1"),
            ("up \x1b[31m\u{202e}", "up", "\\u{1b}[31m\\u{202e}"),
        ] {
            assert_eq!(said(line), (expected.to_owned(), Some(unknown.to_owned())), "{line}");
        }
        let long = format!("down # {}", "x".repeat(4_000));
        assert_eq!(said(&long).0.chars().count(), "down: ".len() + 81);
    }

    proptest! {
        #[test]
        fn any_line_is_bounded_words_on_one_line(line: Vec<u8>) {
            let report = report(&line);
            for text in [report.to_string(), report.unknown.unwrap_or_default()] {
                prop_assert!(text.len() < 2_000 && !text.contains(['\r', '\n', '\0', '\x1b']));
            }
        }

        #[test]
        fn words_in_any_order_say_the_same(
            mut words in proptest::sample::subsequence(
                vec!["25%", "drain", "maxconn:3", "fail"], 0..=4).prop_shuffle(),
        ) {
            let shuffled = report(words.join(",").as_bytes());
            words.sort_unstable();
            prop_assert_eq!(shuffled, report(words.join(" \t").as_bytes()));
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// What an agent is asked that is sent this.
    fn agent(send: &str) -> CheckSpec {
        let kind = CheckKind::Agent { send: send.as_bytes().to_vec() };
        CheckSpec { kind, ..spec(unconfigured("none")) }
    }

    async fn asked(send: &str, turns: Vec<Turn>) -> Outcome {
        converse(&agent(send), vec![turns]).await
    }

    fn say(text: &str) -> Turn {
        Turn::Say(text.as_bytes().to_vec())
    }

    #[tokio::test(start_paused = true)]
    async fn the_line_ends_with_any_line_end_and_what_follows_is_not_read() {
        for text in ["up 50%\n", "up 50%\r\n", "up 50%\r", "up 50%\ndown\n", "up 50%\r\0\0"] {
            let outcome = asked("", vec![say(text), Turn::Hang]).await;
            assert_eq!(outcome.words(), "50% up", "{text:?}");
            assert_eq!(outcome.took, Duration::ZERO);
            assert_eq!(outcome.heard, [""]);
        }
        assert_eq!(asked("", vec![say("\n")]).await.words(), "");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_sent_what_the_file_says() {
        let turns = vec![Turn::Hear("be_web/srv1\n"), say("drain\n")];
        let outcome = asked(r"be_web/srv1\n", turns).await;
        assert_eq!(outcome.words(), "drain");
        assert_eq!(outcome.heard, ["be_web/srv1\n"]);
        assert_eq!(outcome.visited[0].0, TARGET.parse().unwrap());
        // One that answers whoever connects, and has gone.
        assert_eq!(asked(r"x\n", vec![say("ready\n")]).await.words(), "ready");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_line_is_a_failure() {
        for (turns, words) in [
            (vec![], "reset: 192.0.2.1:8080 closed the connection without an answer"),
            (
                vec![say("75%")],
                "protocol: 192.0.2.1:8080 closed the connection before the end of its line: 75%",
            ),
            (vec![say("up\0\n")], "protocol: 192.0.2.1:8080 sent a byte of 0 in its line"),
            (vec![Turn::Hang], "timeout: no answer from 192.0.2.1:8080 within 5s"),
            (
                vec![say("75"), Turn::Hang],
                "timeout: no complete answer from 192.0.2.1:8080 within 5s, only 2 bytes of one",
            ),
            (
                vec![Turn::Say(vec![b'x'; 100_000_000])],
                "protocol: 192.0.2.1:8080 sent a line of more than 4096 bytes",
            ),
        ] {
            let outcome = asked("", turns).await;
            assert_eq!(outcome.words(), words);
            assert!(outcome.took <= 5 * SECOND);
        }
        // As long as it may be.
        let longest = format!("up {}\n", "x".repeat(LINE - 4));
        assert_eq!(asked("", vec![say(&longest)]).await.words(), "up");
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_has_its_time_and_no_more() {
        let letters = |text: &'static str| {
            text.split_inclusive(|_| true).flat_map(|letter| [Turn::Wait(SECOND), say(letter)])
        };
        assert_eq!(asked("", letters("up\n").collect()).await.words(), "up");
        let outcome = asked("", letters("down # the end\n").collect()).await;
        assert_eq!(outcome.verdict.unwrap_err().reason, Reason::Timeout);
        assert_eq!(outcome.took, 5 * SECOND);
    }
}
