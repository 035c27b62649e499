//! `service=pop` and `pops`: POP3, RFC 1939, with CAPA of RFC 2449, AUTH of RFC 5034 and CRAM-MD5 of RFC 2195.
//!
//! | we say | we expect |
//! |---|---|
//! | | `+OK`, the greeting |
//! | `APOP login digest`, without TLS and if the greeting has a timestamp | `+OK` |
//! | else, without TLS, `CAPA`; `AUTH CRAM-MD5` and our answer to its challenge, if that is offered | `+OK` |
//! | else `USER login` and `PASS passwd` | `+OK` |
//! | `STAT` | `+OK` |
//! | `QUIT` | anything |
//!
//! With `starttls=yes` the greeting is followed by this (RFC 2595, section 4), and all else is said over TLS, as with pops:
//!
//! | we say | we expect |
//! |---|---|
//! | `STLS` | `+OK` and the handshake |
//!
//! This is the order of ldirectord's library, so that no password goes in the clear where it did not. A server that
//! offers a way to log in which is not for this user is tried with the next one; as it may make us wait for having
//! failed, nothing but the password is tried where TLS hides it. Without `login` we say `QUIT` at once.
//!
//! Differs from ldirectord: without `login` the server must greet; there it always counts as working.
//! Differs from ldirectord: pops verifies certificates only with `tlsverify`; there always, and for the address.
//! Differs from ldirectord: IPv6 works.

use std::fmt::Write as _;

use openssl::{
    base64,
    error::ErrorStack,
    hash::{MessageDigest, hash},
    pkey::PKey,
    sign::Signer,
};
use zeroize::Zeroizing;

use super::{
    Protocol, Question, failure,
    link::Link,
    text::{self, command, line, part, shown},
};
use crate::model::{Carrier, Failure, Negotiate, ProtocolInfo, Reason, Secret, Verdict};

pub(super) const PROTOCOLS: &[Protocol] = &[
    Protocol {
        info: ProtocolInfo {
            name: "pop",
            default_port: Some(110),
            carrier: Carrier::StartTls,
            directives: &["login", "passwd"],
            doc: "The real server works when it greets and, if there is a `login`, lets it in with `passwd` and \
                  tells the state of its mailbox. APOP and CRAM-MD5 are used where the server offers them, and the \
                  plain password where it does not or where they fail.",
        },
        talk: |question, link| Box::pin(talk(question, link, Way::InTheClear)),
    },
    Protocol {
        info: ProtocolInfo {
            name: "pops",
            default_port: Some(995),
            carrier: Carrier::Tls,
            directives: &["login", "passwd", "virtualhost"],
            doc: "As pop, over TLS, and always with the plain password. Certificates are verified only with \
                  `tlsverify`.",
        },
        talk: |question, link| Box::pin(talk(question, link, Way::Hidden)),
    },
];

/// Who else can hear what we say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Whoever stands between us and the server.
    InTheClear,
    /// Nobody.
    Hidden,
}

async fn talk(question: &Question<'_>, link: &mut Link<'_>, way: Way) -> Verdict {
    let negotiate = question.negotiate;
    let (login, passwd) = (negotiate.login.as_str(), &negotiate.passwd);
    // The greeting, where others hear what is said after it.
    let in_clear = match way {
        Way::InTheClear if negotiate.tls.start => {
            link.start_tls(negotiate, |negotiate, link| Box::pin(agree(negotiate, link))).await?;
            None
        }
        Way::InTheClear => Some(greeting(link, passwd).await?),
        Way::Hidden => greeting(link, passwd).await.map(|_greeting| None)?,
    };
    if !login.is_empty() {
        let is_in = match in_clear {
            Some(greeting) => log_in_unheard(link, &greeting, login, passwd).await?,
            None => false,
        };
        if !is_in {
            log_in(link, login, passwd).await?;
        }
        let state = ask(link, b"STAT").await?;
        if !is_ok(&state) {
            let said = shown(&state, passwd);
            let detail = format!("{} refused STAT after the login: {said}", link.peer());
            return Err(failure(Reason::Protocol, detail));
        }
    }
    part(link, b"QUIT").await
}

async fn greeting(link: &mut Link<'_>, passwd: &Secret) -> Result<Vec<u8>, Failure> {
    let greeting = line(link).await?;
    match is_ok(&greeting) {
        true => Ok(greeting),
        false => Err(text::not_welcome(link, &shown(&greeting, passwd))),
    }
}

/// Agrees with the server that TLS begins.
async fn agree(negotiate: &Negotiate, link: &mut Link<'_>) -> Result<(), Failure> {
    greeting(link, &negotiate.passwd).await?;
    let answer = ask(link, b"STLS").await?;
    match is_ok(&answer) {
        true => Ok(()),
        false => {
            let said = shown(&answer, &negotiate.passwd);
            Err(link.no_tls(&format!("refused STLS: {said}")))
        }
    }
}

/// Logs in without saying the password, if the server lets this user do so.
async fn log_in_unheard(
    link: &mut Link<'_>,
    greeting: &[u8],
    login: &str,
    passwd: &Secret,
) -> Result<bool, Failure> {
    if let Some(stamp) = timestamp(greeting)
        && let Ok(digest) =
            hash(MessageDigest::md5(), &Zeroizing::new([stamp, passwd.0.as_bytes()].concat()))
    {
        let digest = hex(&digest);
        if is_ok(&ask(link, format!("APOP {login} {digest}").as_bytes()).await?) {
            return Ok(true);
        }
    }
    if !offers_cram(link).await? {
        return Ok(false);
    }
    let challenge = ask(link, b"AUTH CRAM-MD5").await?;
    if !challenge.starts_with(b"+ ") {
        return Ok(false);
    }
    // What we cannot answer we take back.
    let answer = answer(&challenge, login, passwd).unwrap_or_else(|| "*".to_owned());
    Ok(is_ok(&ask(link, answer.as_bytes()).await?))
}

/// Logs in with the password.
async fn log_in(link: &mut Link<'_>, login: &str, passwd: &Secret) -> Result<(), Failure> {
    let mut said = ask(link, format!("USER {login}").as_bytes()).await?;
    if is_ok(&said) {
        said = ask(link, &Zeroizing::new(["PASS ", &passwd.0].concat().into_bytes())).await?;
    }
    match is_ok(&said) {
        true => Ok(()),
        false => Err(text::denied(link, login, &shown(&said, passwd))),
    }
}

async fn ask(link: &mut Link<'_>, line: &[u8]) -> Result<Vec<u8>, Failure> {
    command(link, line).await?;
    text::line(link).await
}

fn is_ok(line: &[u8]) -> bool {
    line.starts_with(b"+OK")
}

/// Whether the server can do CRAM-MD5; one that does not say what it can do cannot.
async fn offers_cram(link: &mut Link<'_>) -> Result<bool, Failure> {
    if !is_ok(&ask(link, b"CAPA").await?) {
        return Ok(false);
    }
    let (mut found, mut length) = (false, 0_usize);
    loop {
        let capability = line(link).await?;
        if capability == b"." {
            return Ok(found);
        }
        length = length.saturating_add(capability.len()).saturating_add(1);
        if length > text::REPLY {
            return Err(text::too_long(link));
        }
        let mut words = capability.split(u8::is_ascii_whitespace);
        found |= words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"SASL"))
            && words.any(|word| word.eq_ignore_ascii_case(b"CRAM-MD5"));
    }
}

/// The timestamp of a greeting, with its brackets: what APOP is to digest.
fn timestamp(greeting: &[u8]) -> Option<&[u8]> {
    let start = greeting.iter().position(|byte| *byte == b'<')?;
    let rest = greeting.get(start..)?;
    let end = rest.iter().position(|byte| *byte == b'>')?;
    rest.get(..=end).filter(|stamp| stamp.contains(&b'@'))
}

/// What we answer to a challenge of CRAM-MD5, if it is one.
fn answer(challenge: &[u8], login: &str, passwd: &Secret) -> Option<String> {
    let encoded = std::str::from_utf8(challenge.strip_prefix(b"+ ")?).ok()?;
    let challenge = base64::decode_block(encoded.trim()).ok()?;
    let digest = hmac_md5(passwd.0.as_bytes(), &challenge).ok()?;
    Some(base64::encode_block(format!("{login} {}", hex(&digest)).as_bytes()))
}

fn hmac_md5(key: &[u8], message: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let key = PKey::hmac(key)?;
    Signer::new(MessageDigest::md5(), &key)?.sign_oneshot_to_vec(message)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        checks::script::{follow, unconfigured},
        model::TlsSettings,
    };

    async fn check(login: &str, passwd: &str, script: &str, expected: &str) {
        check_protocol("pop", login, passwd, script, expected).await;
    }

    async fn check_protocol(
        protocol: &'static str,
        login: &str,
        passwd: &str,
        script: &str,
        expected: &str,
    ) {
        let (login, passwd) = (login.to_owned(), Secret(passwd.to_owned()));
        let asked = Negotiate { login, passwd, ..unconfigured(protocol) };
        assert_eq!(follow(asked, script).await, expected, "{script}");
    }

    /// Where the server can do nothing special, and knows this.
    async fn plainly(rest: &str, expected: &str) {
        let start = "< +OK <ready>
                     > CAPA
                     < -ERR what?
                     > USER mrose";
        check("mrose", "tanstaaf", &format!("{start}\n{rest}"), expected).await;
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_login_the_greeting_decides() {
        check("", "", "< +OK\n> QUIT\n< +OK", "").await;
        check("", "", "< +OK ready\n> QUIT\n< -ERR", "").await;
        let expected = "protocol: 192.0.2.1:8080 greeted with -ERR too busy";
        check("", "", "< -ERR too busy", expected).await;
        check("mrose", "x", "< -ERR too busy", expected).await;
        check("", "", "< 220 ftp", "protocol: 192.0.2.1:8080 greeted with 220 ftp").await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_password_is_said_where_nothing_better_is_offered() {
        plainly("< +OK\n> PASS tanstaaf\n< +OK\n> STAT\n< +OK 0 0\n> QUIT\n< +OK", "").await;
        let expected = "denied: 192.0.2.1:8080 refused the login of mrose: -ERR who?";
        plainly("< -ERR who?", expected).await;
        let expected = "denied: 192.0.2.1:8080 refused the login of mrose: -ERR not ***";
        plainly("< +OK\n> PASS tanstaaf\n< -ERR not tanstaaf", expected).await;
        let expected = "protocol: 192.0.2.1:8080 refused STAT after the login: -ERR no disk";
        plainly("< +OK\n> PASS tanstaaf\n< +OK\n> STAT\n< -ERR no disk", expected).await;
    }

    /// The digest is that of RFC 1939.
    #[tokio::test(start_paused = true)]
    async fn apop_comes_first_and_may_fail() {
        let start = "< +OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>
                     > APOP mrose c4c9334bac560ecc979e58001b3e22fb";
        let rest = "< +OK
                    > STAT
                    < +OK 1 2
                    > QUIT
                    < +OK";
        check("mrose", "tanstaaf", &format!("{start}\n{rest}"), "").await;
        let script = format!("{start}\n< -ERR\n> CAPA\n< +OK\n< USER\n< SASL PLAIN LOGIN\n< .");
        let script = format!("{script}\n> USER mrose\n< +OK\n> PASS tanstaaf\n{rest}");
        check("mrose", "tanstaaf", &script, "").await;
    }

    /// The digest is that of RFC 2195.
    #[tokio::test(start_paused = true)]
    async fn cram_comes_next_and_may_fail() {
        let offer = "< +OK ready
                     > CAPA
                     < +OK
                     < TOP
                     < sasl PLAIN cram-md5
                     < .
                     > AUTH CRAM-MD5";
        let challenge = "< + PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+
                         > dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw";
        let rest = "< +OK
                    > STAT
                    < +OK 1 2
                    > QUIT
                    < +OK";
        let passwd = "tanstaaftanstaaf";
        check("tim", passwd, &format!("{offer}\n{challenge}\n{rest}"), "").await;
        let plainly = format!("> USER tim\n< +OK\n> PASS {passwd}\n{rest}");
        let refused = format!("{offer}\n{challenge}\n< -ERR no\n{plainly}");
        check("tim", passwd, &refused, "").await;
        check("tim", passwd, &format!("{offer}\n< -ERR no\n{plainly}"), "").await;
        check("tim", passwd, &format!("{offer}\n< + !\n> *\n< -ERR\n{plainly}"), "").await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_server_can_do_has_an_end() {
        let list = format!("< +OK\n> CAPA\n< +OK\n{}", "< SASL\n".repeat(20_000));
        let expected = "protocol: 192.0.2.1:8080 sent a reply of more than 65536 bytes";
        check("mrose", "tanstaaf", &list, expected).await;
    }

    #[tokio::test(start_paused = true)]
    async fn under_tls_the_password_is_said_at_once() {
        let greeting = "< +OK <1896.697170952@dbc.mtview.ca.us>";
        let script = format!(
            "{greeting}
             > USER mrose
             < +OK
             > PASS tanstaaf
             < +OK
             > STAT
             < +OK 0 0
             > QUIT
             < +OK"
        );
        check_protocol("pops", "mrose", "tanstaaf", &script, "").await;
        check_protocol("pops", "", "", &format!("{greeting}\n> QUIT\n< +OK"), "").await;
    }

    #[tokio::test(start_paused = true)]
    async fn tls_that_is_asked_for_must_begin() {
        let tls = TlsSettings { start: true, ..TlsSettings::default() };
        let start = "< +OK <1896.697170952@dbc.mtview.ca.us>\n> STLS";
        let login = "< +OK
                     = TLS
                     > USER mrose
                     < -ERR who?";
        let refused =
            "tls: 192.0.2.1:8080 refused STLS: -ERR what?; enable TLS there, or write starttls=no";
        for (script, expected) in [
            (
                format!("{start}\n{login}"),
                "denied: 192.0.2.1:8080 refused the login of mrose: -ERR who?",
            ),
            (format!("{start}\n< -ERR what?"), refused),
            ("< -ERR busy".to_owned(), "protocol: 192.0.2.1:8080 greeted with -ERR busy"),
        ] {
            let (login, passwd) = ("mrose".to_owned(), Secret("tanstaaf".to_owned()));
            let asked = Negotiate { login, passwd, tls: tls.clone(), ..unconfigured("pop") };
            assert_eq!(follow(asked, &script).await, expected, "{script}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_line_of_the_configuration_becomes_two() {
        let script = "< +OK\n> CAPA\n< -ERR";
        let expected = "internal: the login, the password or the request has a line end in it, which cannot be sent";
        check("mrose\r\nDELE 1", "x", script, expected).await;
    }

    #[test]
    fn only_a_message_id_is_a_timestamp() {
        for (greeting, expected) in [
            ("+OK <1.2@host> ready", Some("<1.2@host>")),
            ("+OK <ready>", None),
            ("+OK 1@host>", None),
            ("+OK <1@host", None),
            ("+OK", None),
        ] {
            assert_eq!(timestamp(greeting.as_bytes()), expected.map(str::as_bytes), "{greeting}");
        }
    }
}
