//! `service=imap` and `imaps`: IMAP4rev1, RFC 3501 sections 6.1.3, 6.2.3 and 7.1.
//!
//! | we say | we expect |
//! |---|---|
//! | | `* OK` or `* PREAUTH`, the greeting |
//! | `A1 LOGIN login passwd`, if there is a login and the greeting was `OK` | `A1 OK`, whatever `*` lines before it |
//! | `A2 LOGOUT` | anything |
//!
//! With `starttls=yes` the greeting must be `OK` and is followed by this (RFC 3501, section 6.2.1); all else is said over TLS:
//!
//! | we say | we expect |
//! |---|---|
//! | `A0 STARTTLS` | `A0 OK`, whatever `*` lines before it, and the handshake |
//!
//! Login and password are sent as quoted strings, or as literals where a quoted string would need escapes or could not
//! hold them.
//!
//! Differs from ldirectord: the check goes to the port that is configured; there always to 143 or 993.
//! Differs from ldirectord: imaps verifies certificates only with `tlsverify`; there always, and for the address.
//! Differs from ldirectord: a password is not sent to a server whose greeting forbids it (LOGINDISABLED).
//! Differs from ldirectord: nothing is expunged.
//! Differs from ldirectord: IPv6 works.

use zeroize::Zeroizing;

use super::{
    Protocol, Question, failure,
    link::Link,
    text::{self, command, line, part, shown},
};
use crate::model::{Carrier, Failure, Negotiate, ProtocolInfo, Reason, Verdict};

pub(super) const PROTOCOLS: &[Protocol] = &[
    Protocol {
        info: ProtocolInfo {
            name: "imap",
            default_port: Some(143),
            carrier: Carrier::StartTls,
            directives: &["login", "passwd"],
            doc: "The real server works when it greets and, if there is a `login`, lets it in with `passwd`.",
        },
        talk: |question, link| Box::pin(talk(question, link)),
    },
    Protocol {
        info: ProtocolInfo {
            name: "imaps",
            default_port: Some(993),
            carrier: Carrier::Tls,
            directives: &["login", "passwd", "virtualhost"],
            doc: "As imap, over TLS. Certificates are verified only with `tlsverify`.",
        },
        talk: |question, link| Box::pin(talk(question, link)),
    },
];

async fn talk(question: &Question<'_>, link: &mut Link<'_>) -> Verdict {
    let negotiate = question.negotiate;
    // What a greeting in the clear forbids or allows counts no more over TLS.
    let greeting = match negotiate.tls.start {
        true => {
            link.start_tls(negotiate, |negotiate, link| Box::pin(agree(negotiate, link))).await?;
            Greeting::default()
        }
        false => greeting(negotiate, link).await?,
    };
    if !negotiate.login.is_empty() && !greeting.is_preauthenticated {
        if greeting.forbids_login {
            let peer = link.peer();
            let detail = format!("{peer} allows no login here (LOGINDISABLED); maybe over imaps");
            return Err(failure(Reason::Denied, detail));
        }
        log_in(negotiate, link).await?;
    }
    part(link, b"A2 LOGOUT").await
}

/// What a server greets with.
#[derive(Default)]
struct Greeting {
    /// We are in already.
    is_preauthenticated: bool,
    /// It wants to hear no password.
    forbids_login: bool,
}

async fn greeting(negotiate: &Negotiate, link: &mut Link<'_>) -> Result<Greeting, Failure> {
    let greeting = line(link).await?;
    let mut words = greeting.split(u8::is_ascii_whitespace);
    let (star, state) = (words.next(), words.next().unwrap_or_default());
    let is_preauthenticated = state.eq_ignore_ascii_case(b"PREAUTH");
    if star != Some(b"*") || !(is_preauthenticated || state.eq_ignore_ascii_case(b"OK")) {
        return Err(text::not_welcome(link, &shown(&greeting, &negotiate.passwd)));
    }
    let forbids_login = words.any(|word: &[u8]| word.starts_with(b"LOGINDISABLED"));
    Ok(Greeting { is_preauthenticated, forbids_login })
}

/// Agrees with the server that TLS begins.
async fn agree(negotiate: &Negotiate, link: &mut Link<'_>) -> Result<(), Failure> {
    if greeting(negotiate, link).await?.is_preauthenticated {
        return Err(link.no_tls("greets with PREAUTH, after which TLS cannot begin"));
    }
    command(link, b"A0 STARTTLS").await?;
    match answer(negotiate, link, "A0", "STARTTLS").await? {
        Answer::Result { done: true, .. } => Ok(()),
        other => Err(link.no_tls(&format!("refused STARTTLS: {}", other.shown(negotiate)))),
    }
}

async fn log_in(negotiate: &Negotiate, link: &mut Link<'_>) -> Result<(), Failure> {
    let mut pieces = login(&negotiate.login, &negotiate.passwd.0).into_iter().peekable();
    while let Some(piece) = pieces.next() {
        command(link, piece.as_bytes()).await?;
        let answer = answer(negotiate, link, "A1", "LOGIN").await?;
        let is_expected = match &answer {
            Answer::GoOn => pieces.peek().is_some(),
            Answer::Result { done, .. } => *done && pieces.peek().is_none(),
        };
        if !is_expected {
            return Err(text::denied(link, &negotiate.login, &answer.shown(negotiate)));
        }
    }
    Ok(())
}

/// What a server says to what we have said so far.
enum Answer {
    /// It waits for the rest.
    GoOn,
    /// Whether it is done, and the words for it.
    Result { done: bool, said: Vec<u8> },
}

impl Answer {
    fn shown(&self, negotiate: &Negotiate) -> String {
        match self {
            Answer::GoOn => "+".to_owned(),
            Answer::Result { said, .. } => shown(said, &negotiate.passwd),
        }
    }
}

/// Reads the answer to a command with this tag; what else the server has to say is passed over.
async fn answer(
    negotiate: &Negotiate,
    link: &mut Link<'_>,
    tag: &str,
    command: &str,
) -> Result<Answer, Failure> {
    let mut length = 0_usize;
    loop {
        let said = line(link).await?;
        length = length.saturating_add(said.len()).saturating_add(1);
        if length > text::REPLY {
            return Err(text::too_long(link));
        }
        let mut words = said.split(u8::is_ascii_whitespace);
        match (words.next().unwrap_or_default(), words.next().unwrap_or_default()) {
            (b"+", _) => return Ok(Answer::GoOn),
            (word, result) if word == tag.as_bytes() => {
                let done = result.eq_ignore_ascii_case(b"OK");
                let said = said.get(3..).unwrap_or_default().to_vec();
                return Ok(Answer::Result { done, said });
            }
            (b"*", word) if !word.eq_ignore_ascii_case(b"BYE") => {}
            _ => {
                let said = shown(&said, &negotiate.passwd);
                let detail = format!("{} answered {command} with {said}", link.peer());
                return Err(failure(Reason::Protocol, detail));
            }
        }
    }
}

/// The command that logs in, without its last line end; after each piece but the last the server must say `+`.
fn login(login: &str, passwd: &str) -> Vec<Zeroizing<String>> {
    // Never moved, so that no copy is left behind.
    let room = login.len().saturating_add(passwd.len()).saturating_add(64);
    let empty = || Zeroizing::new(String::with_capacity(room));
    let (mut pieces, mut piece) = (Vec::new(), empty());
    piece.push_str("A1 LOGIN");
    for argument in [login, passwd] {
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        if argument.bytes().all(is_plain) {
            for part in [" \"", argument, "\""] {
                piece.push_str(part);
            }
        } else {
            piece.push_str(&format!(" {{{}}}", argument.len()));
            pieces.push(std::mem::replace(&mut piece, empty()));
            piece.push_str(argument);
        }
    }
    pieces.push(piece);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        checks::script::{follow, unconfigured},
        model::{Secret, TlsSettings},
    };

    async fn check(login: &str, passwd: &str, script: &str, expected: &str) {
        for protocol in ["imap", "imaps"] {
            let (login, passwd) = (login.to_owned(), Secret(passwd.to_owned()));
            let asked = Negotiate { login, passwd, ..unconfigured(protocol) };
            assert_eq!(follow(asked, script).await, expected, "{script}");
        }
    }

    async fn answered(answer: &str, expected: &str) {
        let script = format!("< * OK ready\n> A1 LOGIN \"mrose\" \"tan staaf\"\n{answer}");
        check("mrose", "tan staaf", &script, expected).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_greeting_decides_without_a_login() {
        check("", "", "< * OK\n> A2 LOGOUT\n< * BYE", "").await;
        check("", "x", "< * ok [CAPABILITY IMAP4rev1] ready\n> A2 LOGOUT\n< * BYE", "").await;
        check("", "", "< * PREAUTH\n> A2 LOGOUT\n< no", "").await;
        for wrong in ["* BYE too busy", "+OK ready", "* OKAY", "A1 OK", "*"] {
            let expected = format!("protocol: 192.0.2.1:8080 greeted with {wrong}");
            check("", "", &format!("< {wrong}"), &expected).await;
            check("mrose", "x", &format!("< {wrong}"), &expected).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_must_be_taken() {
        answered("< * CAPABILITY IMAP4rev1\n< A1 ok in\n> A2 LOGOUT\n< * BYE\n< A2 OK", "").await;
        let denied = "denied: 192.0.2.1:8080 refused the login of mrose";
        answered("< A1 NO not tan staaf", &format!("{denied}: NO not ***")).await;
        answered("< A1 BAD", &format!("{denied}: BAD")).await;
        answered("< + more?", &format!("{denied}: +")).await;
        let answer = "protocol: 192.0.2.1:8080 answered LOGIN with";
        answered("< * BYE too many", &format!("{answer} * BYE too many")).await;
        answered("< A11 OK", &format!("{answer} A11 OK")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_in_already_does_not_log_in() {
        check("mrose", "x", "< * PREAUTH in\n> A2 LOGOUT\n< * BYE", "").await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_password_that_is_not_wanted_is_not_sent() {
        let expected =
            "denied: 192.0.2.1:8080 allows no login here (LOGINDISABLED); maybe over imaps";
        check("mrose", "x", "< * OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi", expected).await;
        check("mrose", "x", "< * OK [CAPABILITY LOGINDISABLED STARTTLS] hi", expected).await;
    }

    async fn check_start_tls(script: &str, expected: &str) {
        let (login, passwd) = ("mrose".to_owned(), Secret("tanstaaf".to_owned()));
        let tls = TlsSettings { start: true, ..TlsSettings::default() };
        let asked = Negotiate { login, passwd, tls, ..unconfigured("imap") };
        assert_eq!(follow(asked, script).await, expected, "{script}");
    }

    #[tokio::test(start_paused = true)]
    async fn tls_that_is_asked_for_must_begin() {
        let start = "< * OK [CAPABILITY LOGINDISABLED] ready\n> A0 STARTTLS";
        let rest = "= TLS
                    > A1 LOGIN \"mrose\" \"tanstaaf\"
                    < A1 NO who?";
        let denied = "denied: 192.0.2.1:8080 refused the login of mrose: NO who?";
        check_start_tls(&format!("{start}\n< A0 ok go\n{rest}"), denied).await;
        for answer in ["NO not now", "BAD what?"] {
            let expected = format!(
                "tls: 192.0.2.1:8080 refused STARTTLS: {answer}; enable TLS there, or write starttls=no"
            );
            check_start_tls(&format!("{start}\n< A0 {answer}"), &expected).await;
        }
        let expected =
            "tls: 192.0.2.1:8080 refused STARTTLS: +; enable TLS there, or write starttls=no";
        check_start_tls(&format!("{start}\n< + go on"), expected).await;
        let expected = "protocol: 192.0.2.1:8080 answered STARTTLS with * BYE";
        check_start_tls(&format!("{start}\n< * BYE"), expected).await;
        let expected = "protocol: 192.0.2.1:8080 greeted with * BYE";
        check_start_tls("< * BYE", expected).await;
        let expected = "tls: 192.0.2.1:8080 greets with PREAUTH, after which TLS cannot begin; \
                        enable TLS there, or write starttls=no";
        check_start_tls("< * PREAUTH in", expected).await;
    }

    #[tokio::test(start_paused = true)]
    async fn odd_names_and_passwords_are_literals() {
        let script = "< * OK ready
                      > A1 LOGIN {6}
                      < + go on
                      > m\"rose {5}
                      < +
                      > p\\ß4
                      < A1 OK
                      > A2 LOGOUT
                      < * BYE";
        check("m\"rose", "p\\ß4", script, "").await;
        let script = "< * OK ready
                      > A1 LOGIN \"mrose\" {3}
                      < A1 NO never";
        let expected = "denied: 192.0.2.1:8080 refused the login of mrose: NO never";
        check("mrose", "pä", script, expected).await;
        let script = "< * OK ready
                      > A1 LOGIN {3}
                      < A1 OK for everybody";
        let expected = "denied: 192.0.2.1:8080 refused the login of ä!: OK for everybody";
        check("ä!", "x", script, expected).await;
        let written = |name, passwd| -> Vec<String> {
            login(name, passwd).iter().map(|piece| piece.to_string()).collect()
        };
        assert_eq!(written("", ""), ["A1 LOGIN \"\" \"\""]);
        assert_eq!(written("a", "ü"), ["A1 LOGIN \"a\" {2}", "ü"]);
    }
}
