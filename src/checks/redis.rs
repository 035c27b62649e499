//! `service=redis`: RESP, version 2 of the Redis serialization protocol, which Valkey and KeyDB speak, too.
//!
//! | we say | we expect |
//! |---|---|
//! | `AUTH login passwd`, or `AUTH passwd` without `login`, if there is one of them | `+OK` |
//! | `PING` | `+PONG` |
//! | `request`, if there is one, without the `/` that ldirectord adds | a reply that is no error, and that `receive` matches |
//! | `QUIT` | anything |
//!
//! A request is an inline command: words with blanks between, in quotes where they have blanks in them. A line end would
//! make it two commands and is refused. Login and password are sent as they are, with their lengths.
//!
//! `receive` is matched against the text of the reply; of a list against all of its parts, each on a line of its own.
//! Without a request it is matched against `PONG`.

use zeroize::Zeroizing;

use super::{
    Protocol, Question, failure,
    link::Link,
    text::{self, command, line, part, shown},
};
use crate::model::{Carrier, Failure, Negotiate, ProtocolInfo, Reason, Secret, Verdict};

/// The user that a password alone is for.
const DEFAULT_USER: &str = "default";

pub(super) const PROTOCOLS: &[Protocol] = &[Protocol {
    info: ProtocolInfo {
        name: "redis",
        default_port: Some(6379),
        carrier: Carrier::Tcp,
        directives: &["request", "receive", "login", "passwd"],
        doc: "Logs in with `login` and `passwd`, or with `passwd` alone as the default user, if they are given. The real \
              server works when it answers PING and, if there is a `request` such as INFO replication, answers that \
              without an error and so that `receive` matches.",
    },
    talk: |question, link| Box::pin(talk(question, link)),
}];

async fn talk(question: &Question<'_>, link: &mut Link<'_>) -> Verdict {
    let negotiate = question.negotiate;
    let secret = &negotiate.passwd;
    if let Some(login) = login(negotiate) {
        link.send(&login).await?;
        match reply(link, secret).await? {
            Reply::Text(said) if said == b"OK" => {}
            Reply::Text(said) => {
                let said = shown(&said, secret);
                let detail = format!("{} answered AUTH with {said}", link.peer());
                return Err(failure(Reason::Protocol, detail));
            }
            Reply::Error(said) => {
                let login = match negotiate.login.as_str() {
                    "" => DEFAULT_USER,
                    login => login,
                };
                return Err(text::denied(link, login, &shown(&said, secret)));
            }
        }
    }
    let mut answer = ask(link, b"PING", secret).await?;
    if answer != b"PONG" {
        let detail = format!("{} answered PING with {}", link.peer(), shown(&answer, secret));
        return Err(failure(Reason::Protocol, detail));
    }
    let request = negotiate.request.get(1..).unwrap_or_default();
    if !request.is_empty() {
        answer = ask(link, request, secret).await?;
    }
    if let Some(pattern) = &negotiate.receive
        && !pattern.is_match(&answer)
    {
        let said = shown(&answer, secret);
        let detail = format!("the reply does not match the pattern; it begins: {said}");
        return Err(failure(Reason::Mismatch, detail));
    }
    part(link, b"QUIT").await
}

/// The command that logs in, if anybody is to.
fn login(negotiate: &Negotiate) -> Option<Zeroizing<Vec<u8>>> {
    let (login, passwd) = (negotiate.login.as_str(), negotiate.passwd.0.as_str());
    let words = match (login, passwd) {
        ("", "") => return None,
        ("", passwd) => vec!["AUTH", passwd],
        (login, passwd) => vec!["AUTH", login, passwd],
    };
    let lengths: Vec<_> = words.iter().map(|word| format!("${}\r\n", word.len())).collect();
    let start = format!("*{}\r\n", words.len());
    let mut parts = vec![start.as_str()];
    for (word, length) in words.into_iter().zip(&lengths) {
        parts.extend([length, word, "\r\n"]);
    }
    // In one piece, so that no copy is left behind.
    Some(parts.concat().into_bytes().into())
}

/// Sends a line and reads what the server says to it, which must be no error.
async fn ask(link: &mut Link<'_>, line: &[u8], secret: &Secret) -> Result<Vec<u8>, Failure> {
    command(link, line).await?;
    match reply(link, secret).await? {
        Reply::Text(text) => Ok(text),
        Reply::Error(said) => {
            let word = said.split(u8::is_ascii_whitespace).next().unwrap_or_default();
            // As Redis and its relatives say it; DENIED is that of its protected mode.
            let is_denied = [&b"NOAUTH"[..], b"WRONGPASS", b"NOPERM", b"DENIED"].contains(&word);
            let reason = if is_denied { Reason::Denied } else { Reason::Protocol };
            let (line, said) = (shown(line, secret), shown(&said, secret));
            Err(failure(reason, format!("{} answered {line} with {said}", link.peer())))
        }
    }
}

/// What a server says.
enum Reply {
    /// The text, or the texts of a list, with a line feed between.
    Text(Vec<u8>),
    /// That it did not do it, and why.
    Error(Vec<u8>),
}

/// Reads a reply, as a whole no longer than those of other protocols.
async fn reply(link: &mut Link<'_>, secret: &Secret) -> Result<Reply, Failure> {
    // Lists in lists are not remembered: how many parts are still to come is enough.
    let (mut parts, mut length, mut is_first) = (1_usize, 0_usize, true);
    let mut text = Vec::new();
    while parts > 0 {
        parts = parts.saturating_sub(1);
        let said = line(link).await?;
        length = length.saturating_add(said.len()).saturating_add(2);
        let Some(header) = Header::read(&said) else {
            let said = shown(&said, secret);
            let detail = format!("{} sent no reply of Redis, but: {said}", link.peer());
            return Err(failure(Reason::Protocol, detail));
        };
        match header {
            Header::Error(said) if is_first => return Ok(Reply::Error(said.to_vec())),
            Header::Text(part) | Header::Error(part) => add(&mut text, part),
            Header::Nothing => {}
            Header::Bytes(count) => {
                length = length.saturating_add(count).saturating_add(2);
                if length > text::REPLY {
                    return Err(text::too_long(link));
                }
                // The bytes, and CR LF.
                let count_with_end = count.saturating_add(2);
                link.at_least(count_with_end).await?;
                add(&mut text, link.buffered().get(..count).unwrap_or_default());
                link.consume(count_with_end);
            }
            Header::List(count) => parts = parts.saturating_add(count),
        }
        if length > text::REPLY {
            return Err(text::too_long(link));
        }
        is_first = false;
    }
    Ok(Reply::Text(text))
}

fn add(text: &mut Vec<u8>, part: &[u8]) {
    if !text.is_empty() {
        text.push(b'\n');
    }
    text.extend_from_slice(part);
}

/// What the first line of a part announces.
#[derive(PartialEq, Eq, Debug)]
enum Header<'a> {
    /// The text itself.
    Text(&'a [u8]),
    /// That something failed.
    Error(&'a [u8]),
    /// That there is nothing.
    Nothing,
    /// This many bytes.
    Bytes(usize),
    /// This many parts.
    List(usize),
}

impl Header<'_> {
    fn read(line: &[u8]) -> Option<Header<'_>> {
        let (kind, rest) = line.split_first()?;
        let count = || std::str::from_utf8(rest).ok()?.parse::<usize>().ok();
        match kind {
            b'+' | b':' => Some(Header::Text(rest)),
            b'-' => Some(Header::Error(rest)),
            b'$' | b'*' if rest == b"-1" => Some(Header::Nothing),
            b'$' => count().map(Header::Bytes),
            b'*' => count().map(Header::List),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        checks::script::{Turn, converse, follow, lines, spec, unconfigured},
        pattern::Pattern,
    };

    fn asking(request: &str, receive: &str) -> Negotiate {
        Negotiate {
            request: format!("/{request}").into_bytes(),
            receive: (!receive.is_empty()).then(|| Pattern::new(receive.as_bytes()).unwrap()),
            ..unconfigured("redis")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_answers_ping_works() {
        for goodbye in ["\n< +OK", "\n< -ERR no", ""] {
            let script = format!("> PING\n< +PONG\n> QUIT{goodbye}");
            assert_eq!(follow(asking("", ""), &script).await, "");
            assert_eq!(follow(asking("", "^PONG$"), &script).await, "");
        }
        let expected = "mismatch: the reply does not match the pattern; it begins: PONG";
        assert_eq!(follow(asking("", "^OK"), "> PING\n< +PONG").await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn what_else_it_says_to_ping_is_told() {
        let peer = "192.0.2.1:8080";
        for (said, expected) in [
            ("+OK", format!("protocol: {peer} answered PING with OK")),
            ("$-1", format!("protocol: {peer} answered PING with")),
            ("-LOADING wait", format!("protocol: {peer} answered PING with LOADING wait")),
            ("-NOAUTH who?", format!("denied: {peer} answered PING with NOAUTH who?")),
            ("-NOPERM no", format!("denied: {peer} answered PING with NOPERM no")),
            ("-DENIED no", format!("denied: {peer} answered PING with DENIED no")),
            ("-NOAUTHORITY", format!("protocol: {peer} answered PING with NOAUTHORITY")),
            ("ERROR", format!("protocol: {peer} sent no reply of Redis, but: ERROR")),
            ("$-2", format!("protocol: {peer} sent no reply of Redis, but: $-2")),
            ("$65530", format!("protocol: {peer} sent a reply of more than 65536 bytes")),
            (
                "$18446744073709551615",
                format!("protocol: {peer} sent a reply of more than 65536 bytes"),
            ),
            (
                "$18446744073709551616",
                format!("protocol: {peer} sent no reply of Redis, but: $18446744073709551616"),
            ),
        ] {
            let told = follow(asking("", ""), &format!("> PING\n< {said}")).await;
            assert_eq!(told.trim_end(), expected);
        }
    }

    /// What comes of a login that is sent so, with the rest of the script.
    async fn log_in(login: &str, passwd: &str, sent: &'static str, script: &str) -> String {
        let (login, passwd) = (login.to_owned(), Secret(passwd.to_owned()));
        let asked = spec(Negotiate { login, passwd, ..unconfigured("redis") });
        let turns = [vec![Turn::Hear(sent)], lines(script)].concat();
        let outcome = converse(&asked, vec![turns]).await;
        assert!(outcome.heard[0].starts_with(sent), "{:?}", outcome.heard);
        outcome.words()
    }

    #[tokio::test(start_paused = true)]
    async fn login_and_password_are_sent_as_they_are() {
        for (login, passwd, sent) in [
            ("", "two words", "*2\r\n$4\r\nAUTH\r\n$9\r\ntwo words\r\n"),
            ("monitor", "ß", "*3\r\n$4\r\nAUTH\r\n$7\r\nmonitor\r\n$2\r\nß\r\n"),
            ("monitor", "", "*3\r\n$4\r\nAUTH\r\n$7\r\nmonitor\r\n$0\r\n\r\n"),
        ] {
            let rest = "< +OK\n> PING\n< +PONG\n> QUIT\n< +OK";
            assert_eq!(log_in(login, passwd, sent, rest).await, "");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_must_be_taken() {
        let sent = "*2\r\n$4\r\nAUTH\r\n$7\r\nhunter2\r\n";
        let denied = "denied: 192.0.2.1:8080 refused the login of";
        let told = log_in("", "hunter2", sent, "< -WRONGPASS not hunter2").await;
        assert_eq!(told, format!("{denied} default: WRONGPASS not ***"));
        let sent = "*3\r\n$4\r\nAUTH\r\n$7\r\nmonitor\r\n$1\r\nx\r\n";
        let told = log_in("monitor", "x", sent, "< -ERR who?").await;
        assert_eq!(told, format!("{denied} monitor: ERR who?"));
        // An echo is a list to Redis.
        let sent = "*2\r\n$4\r\nAUTH\r\n$7\r\nhunter2\r\n";
        let echo = "< *2\n< $4\n< AUTH\n< $7\n< hunter2";
        let told = log_in("", "hunter2", sent, echo).await;
        assert_eq!(told, "protocol: 192.0.2.1:8080 answered AUTH with AUTH\\n***");
    }

    #[tokio::test(start_paused = true)]
    async fn receive_is_found_in_the_reply_to_the_request() {
        let script = "> PING
                      < +PONG
                      > INFO replication
                      < $26
                      < # Replication
                      < role:master";
        let passing = format!("{script}\n> QUIT");
        assert_eq!(follow(asking("INFO replication", "role:master$"), &passing).await, "");
        assert_eq!(follow(asking("INFO replication", ""), &passing).await, "");
        let told = follow(asking("INFO replication", "role:slave"), script).await;
        let expected = "mismatch: the reply does not match the pattern; it begins: # Replication\\r\\nrole:master";
        assert_eq!(told, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn every_kind_of_reply_has_a_text() {
        for (said, pattern) in [
            ("< +fine", "^fine$"),
            ("< :42", "^42$"),
            ("< $-1", "^$"),
            ("< *-1", "^$"),
            ("< *0", "^$"),
            ("< $0\n< ", "^$"),
            ("< *3\n< $5\n< slave\n< :6379\n< *2\n< +a\n< $-1", "^slave\n6379\na$"),
            ("< *2\n< +a\n< -no b", "^a\nno b$"),
        ] {
            let script = format!("> PING\n< +PONG\n> ROLE\n{said}\n> QUIT");
            assert_eq!(follow(asking("ROLE", pattern), &script).await, "", "{said}");
        }
        let expected = "protocol: 192.0.2.1:8080 answered FLY with ERR unknown command";
        let script = "> PING\n< +PONG\n> FLY\n< -ERR unknown command";
        assert_eq!(follow(asking("FLY", ""), script).await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_one_command() {
        for request in ["GET a\r\nFLUSHALL", "GET a\nFLUSHALL", "GET a\0"] {
            let told = follow(asking(request, ""), "> PING\n< +PONG").await;
            assert!(told.starts_with("internal: the login, the password or the request"), "{told}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_has_an_end() {
        for said in ["*1\r\n", "*2\r\n:1\r\n", "*9999999\r\n$2\r\nno\r\n"] {
            let endless = Turn::Say(said.repeat(30_000).into_bytes());
            let outcome = converse(&spec(asking("", "")), vec![vec![endless]]).await;
            let expected = "protocol: 192.0.2.1:8080 sent a reply of more than 65536 bytes";
            assert_eq!(outcome.words(), expected, "{said}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_must_not_close_before_it_has_answered() {
        for (said, expected) in [
            ("", "without an answer"),
            ("+PO", "in the middle of a line"),
            ("$4\r\nPON", "in the middle of its answer"),
            ("*2\r\n+PONG\r\n", "without an answer"),
        ] {
            let turns = vec![Turn::Hear("PING\r\n"), Turn::Say(said.as_bytes().to_vec())];
            let outcome = converse(&spec(asking("", "")), vec![turns]).await;
            let expected = format!("reset: 192.0.2.1:8080 closed the connection {expected}");
            assert_eq!(outcome.words(), expected);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(kind in "[-+:$*]|", bytes in vec(any::<u8>(), 0..100)) {
            let line = [kind.as_bytes(), &bytes].concat();
            let _any = Header::read(&line);
        }

        #[test]
        fn no_reply_is_too_odd(replies in vec(("[-+:$*%]|", "-?[0-9]{0,20}|[a-z\r\n]{0,9}"), 0..30)) {
            let said: String = replies.iter().map(|(kind, rest)| format!("{kind}{rest}\r\n")).collect();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            let turns = vec![Turn::Say(said.clone().into_bytes())];
            let outcome = runtime.block_on(converse(&spec(asking("", "never said")), vec![turns]));
            prop_assert!(outcome.verdict.is_err(), "{said}");
        }
    }
}
