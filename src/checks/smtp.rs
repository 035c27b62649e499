//! `service=smtp` and `submission`: RFC 5321 sections 3.1 and 3.2, and RFC 6409.
//!
//! | we say | we expect |
//! |---|---|
//! | | 2xx, the greeting |
//! | `EHLO localhost.localdomain` | 2xx |
//! | `HELO localhost.localdomain`, if the server does not take EHLO | 2xx |
//! | `QUIT` | anything |
//!
//! The name is the one that ldirectord says: servers that refuse names have learnt to take this one.

use super::{
    Protocol, Question, failure,
    link::Link,
    text::{ask, greeting, part},
};
use crate::model::{Carrier, ProtocolInfo, Reason, Verdict};

pub(super) const PROTOCOLS: &[Protocol] = &[
    Protocol {
        info: ProtocolInfo {
            name: "smtp",
            default_port: Some(25),
            carrier: Carrier::Tcp,
            directives: &[],
            doc: "The real server works when it greets and takes EHLO, or else HELO. No mail is sent.",
        },
        talk: |question, link| Box::pin(talk(question, link)),
    },
    Protocol {
        info: ProtocolInfo {
            name: "submission",
            default_port: Some(587),
            carrier: Carrier::Tcp,
            directives: &[],
            doc: "As smtp, at the port where mail programs hand in mail.",
        },
        talk: |question, link| Box::pin(talk(question, link)),
    },
];

async fn talk(question: &Question<'_>, link: &mut Link<'_>) -> Verdict {
    let secret = &question.negotiate.passwd;
    greeting(link, secret).await?;
    let mut answer = ask(link, b"EHLO localhost.localdomain").await?;
    // After 421 it closes the connection.
    if !answer.is_done() && answer.code != 421 {
        answer = ask(link, b"HELO localhost.localdomain").await?;
    }
    if !answer.is_done() {
        let detail = format!("{} refused our hello: {}", link.peer(), answer.shown(secret));
        return Err(failure(Reason::Protocol, detail));
    }
    part(link, b"QUIT").await
}

#[cfg(test)]
mod tests {
    use crate::checks::script::{Turn, converse, follow, spec, unconfigured};

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
