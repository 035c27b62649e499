//! `service=tcp`, `tls` and `udp`: a conversation that the configuration writes down, in lines of `send` and `expect`.
//!
//! | we say | we expect |
//! |---|---|
//! | each `send` as it stands, in the order of the lines | that each `expect` is found in what came since the one before |
//!
//! Over TCP and TLS the steps are taken one after the other. What stands behind a match is left for the next `expect`,
//! and what came while we sent counts, too. Without any step a server works that accepts the connection.
//!
//! Over UDP the one `send` is a datagram, and each datagram that comes is looked at alone. It is sent each second until
//! one comes in which `expect` is found; without `expect` any will do.
//!
//! What is sent may be a password, so no failure says it, nor what the server answers.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{
    Protocol, Question, failure,
    link::{Link, Sending},
};
use crate::{
    model::{Carrier, Failure, Pass, ProtocolInfo, Reason, Secret, Step, Verdict},
    pattern::Pattern,
};

/// How much may come in which a pattern is not found, in bytes.
const UNMATCHED: usize = 64 * 1024;

/// How often what came is searched as soon as more comes, for one pattern.
const EAGER: u32 = 32;

/// How much later it is searched after that: a server that sends byte by byte would have it all searched for each.
const PAUSE: Duration = Duration::from_millis(10);

const DIRECTIVES: &[&str] = &["send", "expect"];

pub(super) const PROTOCOLS: &[Protocol] = &[
    Protocol {
        info: ProtocolInfo {
            name: "tcp",
            default_port: None,
            carrier: Carrier::Tcp,
            directives: DIRECTIVES,
            doc: "Connects, then takes each `send` and `expect` in the order of their lines. The real server works when \
                  all is sent and each pattern is found in time; without any line, when it accepts the connection.",
        },
        talk: |question, link| Box::pin(talk(question, link)),
    },
    Protocol {
        info: ProtocolInfo {
            name: "tls",
            default_port: None,
            carrier: Carrier::Tls,
            directives: DIRECTIVES,
            doc: "As tcp, over TLS.",
        },
        talk: |question, link| Box::pin(talk(question, link)),
    },
    Protocol {
        info: ProtocolInfo {
            name: "udp",
            default_port: None,
            carrier: Carrier::Udp,
            directives: DIRECTIVES,
            doc: "Sends the one `send` as a datagram, each second until it is answered. The real server works when \
                  `expect` is found in an answer; without it any answer will do.",
        },
        talk: |question, link| Box::pin(datagram(question, link)),
    },
];

async fn talk(question: &Question<'_>, link: &mut Link<'_>) -> Verdict {
    let steps = &question.negotiate.steps;
    link.ready().await?;
    for (number, step) in (1..).zip(steps) {
        let taken = match step {
            Step::Send(Secret(text)) => link.send(text).await,
            Step::Expect(pattern) => expect(pattern, question.check.timeout, link).await,
        };
        taken.map_err(|fault| in_step(number, fault))?;
    }
    Ok(pass(steps))
}

/// Reads until the pattern is found in what came since the last was.
async fn expect(pattern: &Pattern, allowed: Duration, link: &mut Link<'_>) -> Result<(), Failure> {
    let mut searched = 0_u32;
    loop {
        let count = link.buffered().len();
        if count > 0 {
            if let Some(end) = pattern.find_end(link.buffered()) {
                link.consume(end);
                return Ok(());
            }
            if count >= UNMATCHED {
                return Err(unmatched(count, ""));
            }
            searched = searched.saturating_add(1);
            if searched > EAGER {
                sleep_until((Instant::now() + PAUSE).min(link.deadline().deadline())).await;
            }
        }
        match link.fill().await {
            Ok(true) => {}
            Ok(false) if count == 0 => return Err(link.closed()),
            Ok(false) => return Err(unmatched(count, "")),
            Err(Failure { reason: Reason::Timeout, .. }) => {
                let detail = match count {
                    0 => format!("no answer from {} within {allowed:?}", link.peer()),
                    _ => unmatched(count, &format!(" within {allowed:?}")).detail,
                };
                return Err(failure(Reason::Timeout, detail));
            }
            Err(fault) => return Err(fault),
        }
    }
}

async fn datagram(question: &Question<'_>, link: &mut Link<'_>) -> Verdict {
    let (mut sent, mut expected) = (None, None);
    for (number, step) in (1_usize..).zip(&question.negotiate.steps) {
        match step {
            Step::Send(Secret(text)) => sent = Some(text),
            Step::Expect(pattern) => expected = Some((number, pattern)),
        }
    }
    let Some(sent) = sent else {
        return Err(failure(Reason::Protocol, "there is no `send`, the datagram to ask with"));
    };
    let mut heard = None;
    let asking = link.ask(sent, Sending::Again, |answer| {
        heard = Some(heard.unwrap_or(0_usize).saturating_add(answer.len()));
        expected.is_none_or(|(_, pattern)| pattern.is_match(answer)).then_some(())
    });
    match (asking.await, expected, heard) {
        (Ok(()), ..) => Ok(pass(&question.negotiate.steps)),
        // All that was to be read was read, unlike of a stream that a timeout cuts off.
        (Err(Failure { reason: Reason::Timeout, .. }), Some((number, _)), Some(count)) => {
            Err(in_step(number, unmatched(count, "")))
        }
        (Err(fault), ..) => Err(fault),
    }
}

fn unmatched(count: usize, when: &str) -> Failure {
    let bytes = if count == 1 { "byte" } else { "bytes" };
    let detail = format!("nothing in the {count} {bytes} received{when} matches the pattern");
    failure(Reason::Mismatch, detail)
}

fn in_step(number: usize, fault: Failure) -> Failure {
    Failure { detail: format!("step {number}: {}", fault.detail), ..fault }
}

fn pass(steps: &[Step]) -> Pass {
    let detail = match steps.len() {
        0 => "connected".to_owned(),
        1 => "the one step was taken".to_owned(),
        count => format!("all {count} steps were taken"),
    };
    Pass { detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        checks::script::{Outcome, Turn, converse, converse_by, spec, unconfigured},
        model::Negotiate,
    };

    /// `>` stands before what is sent, `<` before a pattern.
    fn asking(protocol: &'static str, steps: &[&str]) -> Negotiate {
        let step = |text: &&str| match text.split_at(2) {
            ("> ", text) => Step::Send(Secret(text.as_bytes().to_vec())),
            (_, pattern) => Step::Expect(Pattern::new(pattern.as_bytes()).unwrap()),
        };
        Negotiate { steps: steps.iter().map(step).collect(), ..unconfigured(protocol) }
    }

    async fn tcp(steps: &[&str], turns: Vec<Turn>) -> Outcome {
        converse(&spec(asking("tcp", steps)), vec![turns]).await
    }

    async fn udp(steps: &[&str], turns: Vec<Turn>) -> Outcome {
        converse_by(&spec(asking("udp", steps)), turns, vec![]).await
    }

    fn say(text: &str) -> Turn {
        Turn::Say(text.into())
    }

    #[tokio::test(start_paused = true)]
    async fn steps_are_taken_in_their_order() {
        let steps = ["< ^220 .*\\n", "> EHLO x\r\n", "< (?m)^250 .*\\n", "> QUIT\r\n", "< ^221"];
        let turns = vec![
            say("220 hello\r\n"),
            Turn::Hear("EHLO x\r\n"),
            say("250-one\r\n250 two\r\n"),
            Turn::Hear("QUIT\r\n"),
            say("221 bye"),
            Turn::Hang,
        ];
        let outcome = tcp(&steps, turns).await;
        assert_eq!(outcome.words(), "all 5 steps were taken");
        assert_eq!(
            (outcome.heard, outcome.took),
            (vec!["EHLO x\r\nQUIT\r\n".into()], Duration::ZERO)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn connecting_and_sending_is_enough_where_nothing_is_expected() {
        let outcome = tcp(&[], vec![Turn::Hang]).await;
        assert_eq!(outcome.words(), "connected");
        let outcome = tcp(&["> GET\r\n"], vec![Turn::Hear("GET\r\n"), Turn::Hang]).await;
        assert_eq!(outcome.words(), "the one step was taken");
        assert_eq!(outcome.heard, ["GET\r\n"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pattern_is_found_across_reads() {
        let letters = "the word is swordfish".chars().flat_map(|letter| {
            [Turn::Say(letter.to_string().into_bytes()), Turn::Wait(Duration::from_millis(1))]
        });
        let turns: Vec<_> = letters.chain([Turn::Hang]).collect();
        assert_eq!(
            tcp(&["< word is swordfish$"], turns.clone()).await.words(),
            "the one step was taken"
        );
        // Backtracking, too.
        let outcome = tcp(&[r"< (?<=is )s\w+h", "< ."], turns).await;
        let expected = "timeout: step 2: no answer from 192.0.2.1:8080 within 5s";
        assert_eq!(outcome.words(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn what_stands_behind_a_match_is_left_for_the_next() {
        let said = || vec![say("one two three four"), Turn::Hang];
        let outcome = tcp(&["< one", "< ^ two ", "< three", "< four"], said()).await;
        assert_eq!(
            (outcome.words().as_str(), outcome.took),
            ("all 4 steps were taken", Duration::ZERO)
        );
        let outcome = tcp(&["< two", "< one"], said()).await;
        let expected =
            "timeout: step 2: nothing in the 11 bytes received within 5s matches the pattern";
        assert_eq!(outcome.words(), expected);
        // All of it was taken.
        let outcome = tcp(&["< four", "< ."], said()).await;
        assert_eq!(outcome.words(), "timeout: step 2: no answer from 192.0.2.1:8080 within 5s");
    }

    #[tokio::test(start_paused = true)]
    async fn an_expected_answer_must_come_whatever_the_pattern() {
        let outcome = tcp(&["> a", "< x*"], vec![Turn::Hear("a"), Turn::Hang]).await;
        let expected = "timeout: step 2: no answer from 192.0.2.1:8080 within 5s";
        assert_eq!((outcome.words().as_str(), outcome.took.as_secs()), (expected, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn the_step_that_failed_is_told_and_nothing_that_was_sent_or_came() {
        let steps = ["> AUTH hunter2\r\n", "< OK"];
        let refusal = || vec![Turn::Hear("\r\n"), say("no hunter2 is here")];
        for (turns, expected) in [
            (refusal(), "mismatch: step 2: nothing in the 18 bytes received matches the pattern"),
            (
                [refusal(), vec![Turn::Hang]].concat(),
                "timeout: step 2: nothing in the 18 bytes received within 5s matches the pattern",
            ),
            (
                vec![Turn::Hear("\r\n"), say("O")],
                "mismatch: step 2: nothing in the 1 byte received matches the pattern",
            ),
            (
                vec![Turn::Hear("\r\n")],
                "reset: step 2: 192.0.2.1:8080 closed the connection without an answer",
            ),
        ] {
            let outcome = tcp(&steps, turns).await;
            assert_eq!(outcome.words(), expected);
            assert!(!outcome.trace.received.escape_ascii().to_string().contains("hunter2"));
        }
        let gone = tcp(&["< never", "> x"], vec![]).await;
        let expected = "reset: step 1: 192.0.2.1:8080 closed the connection without an answer";
        assert_eq!(gone.words(), expected);
        let long = "> ".to_owned() + &"x".repeat(100_000);
        let deaf = tcp(&["< hi", &long], vec![say("hi"), Turn::Hang]).await;
        let expected = "timeout: step 2: 192.0.2.1:8080 did not take the request within 5s";
        assert_eq!(deaf.words(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn so_much_is_looked_at_and_no_more() {
        let expected = "mismatch: step 1: nothing in the 65536 bytes received matches the pattern";
        let endless = tcp(&["< never"], vec![say(&"x".repeat(1024)); 1000]).await;
        assert_eq!(endless.words(), expected);
        let just = [vec![say(&"x".repeat(1024)); 63], vec![say("never")]].concat();
        assert_eq!(tcp(&["< never"], just).await.words(), "the one step was taken");
        // What matched does not count.
        let part = [vec![say(&"x".repeat(1024)); 63], vec![say("end")]].concat();
        let outcome =
            tcp(&["< end", "< end", "< end"], [part.clone(), part.clone(), part].concat());
        assert_eq!(outcome.await.words(), "all 3 steps were taken");
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_byte_by_byte_is_not_searched_for_each() {
        let millisecond = Duration::from_millis(1);
        let bytes = (0..1000).flat_map(|_| [say("x"), Turn::Wait(millisecond)]);
        let turns = bytes.chain([say("end"), Turn::Hang]).collect();
        let outcome = tcp(&["< end"], turns).await;
        assert_eq!(outcome.words(), "the one step was taken");
        // It was found at the next look.
        assert!((1000..=1010).contains(&outcome.took.as_millis()), "{:?}", outcome.took);
    }

    #[tokio::test(start_paused = true)]
    async fn a_datagram_is_sent_until_it_is_answered() {
        let turns =
            vec![Turn::HearSome, Turn::HearSome, Turn::HearSome, say("no, yes"), Turn::Hang];
        let outcome = udp(&["> ask\0", "< yes"], turns.clone()).await;
        assert_eq!(outcome.words(), "all 2 steps were taken");
        assert_eq!((outcome.datagrams, outcome.took.as_secs()), (vec![b"ask\0".to_vec(); 3], 2));
        let outcome = udp(&["> ask"], turns).await;
        assert_eq!(outcome.words(), "the one step was taken");
        let outcome = udp(&["> ask"], vec![Turn::Hang]).await;
        let expected = "timeout: no answer from 192.0.2.1:8080 within 5s";
        assert_eq!((outcome.words().as_str(), outcome.datagrams.len()), (expected, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn each_datagram_is_looked_at_alone() {
        let turns = vec![Turn::HearSome, say("ye"), say("s, hunter2"), Turn::Hang];
        let outcome = udp(&["> hunter2", "< yes"], turns).await;
        let expected = "mismatch: step 2: nothing in the 12 bytes received matches the pattern";
        assert_eq!((outcome.words().as_str(), outcome.took.as_secs()), (expected, 5));
        let turns = vec![Turn::HearSome, say("no"), say("yes"), Turn::Hang];
        assert_eq!(udp(&["> a", "< yes"], turns).await.words(), "all 2 steps were taken");
        // An empty one is an answer.
        let turns = vec![Turn::HearSome, say(""), Turn::Hang];
        assert_eq!(udp(&["> "], turns.clone()).await.words(), "the one step was taken");
        let outcome = udp(&["> ", "< x"], turns).await;
        let expected = "mismatch: step 2: nothing in the 0 bytes received matches the pattern";
        assert_eq!(outcome.words(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_asked_nothing_and_a_closed_port_refuses() {
        let outcome = udp(&["< x"], vec![Turn::Hang]).await;
        assert_eq!(outcome.words(), "protocol: there is no `send`, the datagram to ask with");
        assert!(outcome.datagrams.is_empty());
        let outcome = udp(&["> x"], vec![Turn::HearSome]).await;
        let expected =
            "refused: cannot read from 192.0.2.1:8080: connection refused (ECONNREFUSED)";
        assert_eq!(outcome.words(), expected);
    }
}
