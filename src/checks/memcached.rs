//! `service=memcached`: the text protocol of memcached, as its `doc/protocol.txt` has it.
//!
//! | we say | we expect |
//! |---|---|
//! | `version` | `VERSION` and a number |
//! | `quit` | that it closes the connection |
//!
//! The command reads no item and so counts neither as a hit nor as a miss.

use super::{
    Protocol, failure,
    link::Link,
    text::{command, line, part, shown},
};
use crate::model::{Carrier, ProtocolInfo, Reason, Secret, Verdict};

pub(super) const PROTOCOLS: &[Protocol] = &[Protocol {
    info: ProtocolInfo {
        name: "memcached",
        default_port: Some(11211),
        carrier: Carrier::Tcp,
        directives: &[],
        doc: "The real server works when it tells its version. No item is read or written.",
    },
    talk: |_, link| Box::pin(talk(link)),
}];

async fn talk(link: &mut Link<'_>) -> Verdict {
    command(link, b"version").await?;
    let answer = line(link).await?;
    if !is_version(&answer) {
        let said = shown(&answer, &Secret::default());
        let detail = format!("{} did not tell its version, but: {said}", link.peer());
        // As servers with a file of logins (`-Y`) say to everybody.
        let is_denied = answer == b"CLIENT_ERROR unauthenticated";
        let reason = if is_denied { Reason::Denied } else { Reason::Protocol };
        return Err(failure(reason, detail));
    }
    part(link, b"quit").await
}

fn is_version(answer: &[u8]) -> bool {
    answer.strip_prefix(b"VERSION ").is_some_and(|version| !version.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::checks::script::{Turn, converse, follow, spec, unconfigured};

    async fn check(script: &str, expected: &str) {
        assert_eq!(follow(unconfigured("memcached"), script).await, expected, "{script}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_tells_its_version_works() {
        check("> version\n< VERSION 1.6.18\n> quit", "").await;
        check("> version\n< VERSION 1.6.18\n> quit\n< ERROR", "").await;
    }

    #[tokio::test(start_paused = true)]
    async fn anything_else_does_not() {
        let expected = "protocol: 192.0.2.1:8080 did not tell its version, but:";
        for said in [
            "ERROR",
            "SERVER_ERROR out of memory",
            "CLIENT_ERROR unauthenticated, maybe",
            "VERSIONS 1",
            "-ERR unknown command",
        ] {
            check(&format!("> version\n< {said}"), &format!("{expected} {said}")).await;
        }
        check("> version\n< VERSION ", &format!("{expected} VERSION")).await;
        check("> version\n< ", &format!("{expected} ")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_wants_a_login_denies() {
        let expected = "denied: 192.0.2.1:8080 did not tell its version, but:";
        let said = "CLIENT_ERROR unauthenticated";
        check(&format!("> version\n< {said}"), &format!("{expected} {said}")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_must_not_close_before_it_has_answered() {
        for (said, expected) in
            [("", "without an answer"), ("VERSION 1", "in the middle of a line")]
        {
            let turns = vec![Turn::Hear("version\r\n"), Turn::Say(said.as_bytes().to_vec())];
            let outcome = converse(&spec(unconfigured("memcached")), vec![turns]).await;
            let expected = format!("reset: 192.0.2.1:8080 closed the connection {expected}");
            assert_eq!(outcome.words(), expected);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(start in "(VERSION ?)?", rest in vec(any::<u8>(), 0..100)) {
            let _any = is_version(&[start.as_bytes(), &rest].concat());
        }
    }
}
