//! `service=nntp`: RFC 3977 sections 5.1 and 5.4.
//!
//! | we say | we expect |
//! |---|---|
//! | | 2xx, the greeting |
//! | `QUIT` | anything |
//!
//! Differs from ldirectord: we say goodbye, and the greeting must be a whole line.

use super::{
    Protocol, Question,
    link::Link,
    text::{greeting, part},
};
use crate::model::{Carrier, ProtocolInfo, Verdict};

pub(super) const PROTOCOLS: &[Protocol] = &[Protocol {
    info: ProtocolInfo {
        name: "nntp",
        default_port: Some(119),
        carrier: Carrier::Tcp,
        directives: &[],
        doc: "The real server works when it greets, whether or not it lets us post.",
    },
    talk: |question, link| Box::pin(talk(question, link)),
}];

async fn talk(question: &Question<'_>, link: &mut Link<'_>) -> Verdict {
    greeting(link, &question.negotiate.passwd).await?;
    part(link, b"QUIT").await
}

#[cfg(test)]
mod tests {
    use crate::checks::script::{Turn, converse, follow, spec, unconfigured};

    async fn check(script: &str, expected: &str) {
        assert_eq!(follow(unconfigured("nntp"), script).await, expected, "{script}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_greets_works() {
        check("< 200 posting allowed\n> QUIT\n< 205 bye", "").await;
        check("< 201\n> QUIT\n< 500 what?", "").await;
        check("< 200 hello\n> QUIT", "").await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_greet_does_not_work() {
        check("< 400 too busy", "protocol: 192.0.2.1:8080 greeted with 400 too busy").await;
        check("< 502 not you", "protocol: 192.0.2.1:8080 greeted with 502 not you").await;
        let expected =
            "protocol: 192.0.2.1:8080 sent no reply with a number, but: 20 years of news";
        check("< 20 years of news", expected).await;
        check("", "timeout: no answer from 192.0.2.1:8080 within 5s").await;
        let half = vec![Turn::Say(b"200 posting al".to_vec())];
        let outcome = converse(&spec(unconfigured("nntp")), vec![half]).await;
        let expected = "reset: 192.0.2.1:8080 closed the connection in the middle of a line";
        assert_eq!(outcome.words(), expected);
    }
}
