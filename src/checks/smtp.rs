//! `service=smtp` and `submission`: RFC 5321 sections 3.1 and 3.2, and RFC 6409.
//!
//! | we say | we expect |
//! |---|---|
//! | | 2xx, the greeting |
//! | `EHLO localhost.localdomain` | 2xx |
//! | `HELO localhost.localdomain`, if the server does not take EHLO | 2xx |
//! | `QUIT` | anything |
//!
//! With `starttls=yes` the greeting is followed by this (RFC 3207), and all else is said over TLS:
//!
//! | we say | we expect |
//! |---|---|
//! | `EHLO localhost.localdomain` | 2xx with a line `STARTTLS` |
//! | `STARTTLS` | 220 and the handshake |
//!
//! The name is the one that ldirectord says: servers that refuse names have learnt to take this one.

use super::{
    Protocol, Question, failure,
    link::Link,
    text::{ask, command, greeting, part, reply_and},
};
use crate::model::{Carrier, Failure, Negotiate, ProtocolInfo, Reason, Verdict};

const HELLO: &[u8] = b"EHLO localhost.localdomain";

/// After this reply the server closes the connection.
const CLOSING: u16 = 421;

pub(super) const PROTOCOLS: &[Protocol] = &[
    Protocol {
        info: ProtocolInfo {
            name: "smtp",
            default_port: Some(25),
            carrier: Carrier::StartTls,
            directives: &[],
            doc: "The real server works when it greets and takes EHLO, or else HELO. No mail is sent.",
        },
        talk: |question, link| Box::pin(talk(question, link)),
    },
    Protocol {
        info: ProtocolInfo {
            name: "submission",
            default_port: Some(587),
            carrier: Carrier::StartTls,
            directives: &[],
            doc: "As smtp, at the port where mail programs hand in mail.",
        },
        talk: |question, link| Box::pin(talk(question, link)),
    },
];

async fn talk(question: &Question<'_>, link: &mut Link<'_>) -> Verdict {
    let negotiate = question.negotiate;
    let secret = &negotiate.passwd;
    match negotiate.tls.start {
        true => {
            link.start_tls(negotiate, |negotiate, link| Box::pin(agree(negotiate, link))).await?
        }
        false => greeting(link, secret).await?,
    }
    let mut answer = ask(link, HELLO).await?;
    if !answer.is_done() && answer.code != CLOSING {
        answer = ask(link, b"HELO localhost.localdomain").await?;
    }
    if !answer.is_done() {
        return Err(refused(link, &answer.shown(secret)));
    }
    part(link, b"QUIT").await
}

fn refused(link: &Link<'_>, said: &str) -> Failure {
    failure(Reason::Protocol, format!("{} refused our hello: {said}", link.peer()))
}

/// Agrees with the server that TLS begins.
async fn agree(negotiate: &Negotiate, link: &mut Link<'_>) -> Result<(), Failure> {
    let secret = &negotiate.passwd;
    greeting(link, secret).await?;
    command(link, HELLO).await?;
    let mut is_offered = false;
    let hello = reply_and(link, |line| {
        is_offered |= line.trim_ascii().eq_ignore_ascii_case(b"STARTTLS");
    });
    let hello = hello.await?;
    if hello.code == CLOSING {
        return Err(refused(link, &hello.shown(secret)));
    }
    if !hello.is_done() || !is_offered {
        return Err(link.no_tls("does not offer STARTTLS"));
    }
    let answer = ask(link, b"STARTTLS").await?;
    match answer.code {
        220 => Ok(()),
        _ => Err(link.no_tls(&format!("refused STARTTLS: {}", answer.shown(secret)))),
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        checks::script::{Turn, converse, follow, spec, unconfigured},
        model::{Negotiate, TlsSettings},
    };

    async fn check(script: &str, expected: &str) {
        for protocol in ["smtp", "submission"] {
            assert_eq!(follow(unconfigured(protocol), script).await, expected, "{script}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_takes_ehlo_works() {
        let script = "< 220-mail.example.com
                      < 220 ESMTP
                      > EHLO localhost.localdomain
                      < 250-mail.example.com
                      < 250-PIPELINING
                      < 250 8BITMIME
                      > QUIT
                      < 221 bye";
        check(script, "").await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_only_takes_helo_works() {
        let script = "< 220
                      > EHLO localhost.localdomain
                      < 502 what?
                      > HELO localhost.localdomain
                      < 250 mail.example.com
                      > QUIT
                      < 221 bye";
        check(script, "").await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_goodbye_decides_nothing() {
        let script = "< 220 hello
                      > EHLO localhost.localdomain
                      < 250 hello
                      > QUIT";
        check(script, "").await;
        check(&format!("{script}\n< 500 no"), "").await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_greeting_must_be_one() {
        let expected = "protocol: 192.0.2.1:8080 greeted with 554 no mail here, go away";
        check("< 554-no mail here,\n< 554 go away", expected).await;
        let expected =
            "protocol: 192.0.2.1:8080 sent no reply with a number, but: SSH-2.0-OpenSSH_9.2";
        check("< SSH-2.0-OpenSSH_9.2", expected).await;
        check(
            "< 220-hello",
            "timeout: no complete answer from 192.0.2.1:8080 within 5s, only 11 bytes of one",
        )
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_takes_neither_does_not_work() {
        let script = "< 220 hello
                      > EHLO localhost.localdomain
                      < 550 who?
                      > HELO localhost.localdomain
                      < 550 who are you?";
        let expected = "protocol: 192.0.2.1:8080 refused our hello: 550 who are you?";
        check(script, expected).await;
        let script = "< 220 hello
                      > EHLO localhost.localdomain
                      < 421 too busy";
        check(script, "protocol: 192.0.2.1:8080 refused our hello: 421 too busy").await;
    }

    async fn check_start_tls(script: &str, expected: &str) {
        let tls = TlsSettings { start: true, ..TlsSettings::default() };
        for protocol in ["smtp", "submission"] {
            let asked = Negotiate { tls: tls.clone(), ..unconfigured(protocol) };
            assert_eq!(follow(asked, script).await, expected, "{script}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_hello_is_said_again_over_tls() {
        let start = "< 220 hello
                     > EHLO localhost.localdomain
                     < 250-hello
                     < 250 STARTTLS
                     > STARTTLS
                     < 220 go
                     = TLS
                     > EHLO localhost.localdomain";
        check_start_tls(&format!("{start}\n< 250 hello\n> QUIT\n< 221 bye"), "").await;
        let refused = "< 502 what?\n> HELO localhost.localdomain\n< 550 who?";
        let expected = "protocol: 192.0.2.1:8080 refused our hello: 550 who?";
        check_start_tls(&format!("{start}\n{refused}"), expected).await;
    }

    #[tokio::test(start_paused = true)]
    async fn tls_that_is_asked_for_must_be_offered() {
        let hello = "< 220 hello\n> EHLO localhost.localdomain";
        let expected =
            "tls: 192.0.2.1:8080 does not offer STARTTLS; enable TLS there, or write starttls=no";
        for answer in [
            "< 250 hello",
            "< 250 STARTTLS",
            "< 250-hello\n< 250-XSTARTTLS\n< 250 8BITMIME",
            "< 502 what?",
        ] {
            check_start_tls(&format!("{hello}\n{answer}"), expected).await;
        }
        let offered = format!("{hello}\n< 250-hello\n< 250-STARTTLS\n< 250 DSN\n> STARTTLS");
        for answer in ["454 not now", "502 what?", "250 what?"] {
            let expected = format!(
                "tls: 192.0.2.1:8080 refused STARTTLS: {answer}; enable TLS there, or write starttls=no"
            );
            check_start_tls(&format!("{offered}\n< {answer}"), &expected).await;
        }
        let expected = "protocol: 192.0.2.1:8080 refused our hello: 421 too busy";
        check_start_tls(&format!("{hello}\n< 421 too busy"), expected).await;
        let expected = "protocol: 192.0.2.1:8080 greeted with 554 go away";
        check_start_tls("< 554 go away", expected).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_must_not_close_before_it_has_answered() {
        let greeting = Turn::Say(b"220 hello\r\n".to_vec());
        let hello = Turn::Hear("EHLO localhost.localdomain\r\n");
        let half = Turn::Say(b"250 hel".to_vec());
        for (turns, expected) in [
            (vec![], "without an answer"),
            (vec![greeting.clone(), hello.clone()], "without an answer"),
            (vec![greeting, hello, half], "in the middle of a line"),
        ] {
            let outcome = converse(&spec(unconfigured("smtp")), vec![turns]).await;
            let expected = format!("reset: 192.0.2.1:8080 closed the connection {expected}");
            assert_eq!(outcome.words(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_has_an_end() {
        for line in ["250-", "\n", "x"] {
            let endless = vec![Turn::Say(line.repeat(100_000).into_bytes()); 2];
            let greeting = [vec![Turn::Say(b"220-hello\r\n".to_vec())], endless].concat();
            let outcome = converse(&spec(unconfigured("smtp")), vec![greeting]).await;
            let what =
                if line == "\n" { "reply of more than 65536" } else { "line of more than 8192" };
            assert_eq!(outcome.words(), format!("protocol: 192.0.2.1:8080 sent a {what} bytes"));
        }
    }
}
