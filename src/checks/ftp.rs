//! `service=ftp`: RFC 959 sections 4.2 and 5.4, and RFC 2428 for EPSV.
//!
//! | we say | we expect |
//! |---|---|
//! | | 2xx, the greeting |
//! | `USER login` | 2xx, or 3xx |
//! | `PASS passwd`, after 3xx | 2xx |
//! | `CWD /` and `TYPE I` | anything |
//! | `EPSV`, or `PASV` where IPv4 is spoken and EPSV is not known | 229, or 227, and that we can connect to the port it names |
//! | `RETR request` | 1xx and the file; `receive` in it, or else 2xx after it |
//! | `QUIT` | anything |
//!
//! The port is all that is taken from the answer to PASV: the data connection goes to the real server, whatever address
//! it names. Where `receive` is found nothing that comes later counts, unless an empty file would match it too.
//!
//! Differs from ldirectord: data connections are passive; there the server connects to the director (active).
//! Differs from ldirectord: without `receive`, or with one that an empty file matches, the file must be sent whole, or
//! without a `request` the login be taken; there the server always counts as working.
//! Differs from ldirectord: of a file only the first MiB is looked at.

use std::{net::SocketAddr, pin::pin};

use zeroize::Zeroizing;

use super::{
    Protocol, Question, failure,
    link::Link,
    text::{ask, denied, greeting, part, reply, shown},
};
use crate::model::{Carrier, Failure, Negotiate, ProtocolInfo, Reason, Verdict};

/// How much of a file is looked at, in bytes.
const CONTENT: usize = 1024 * 1024;

pub(super) const PROTOCOLS: &[Protocol] = &[Protocol {
    info: ProtocolInfo {
        name: "ftp",
        default_port: Some(21),
        carrier: Carrier::Tcp,
        directives: &["request", "receive", "login", "passwd"],
        doc: "Logs in with `login` and `passwd` (anonymously without a login) and fetches the file `request` over a \
              passive data connection. The real server works when the file matches `receive`; without `receive`, \
              when it is sent whole; without `request`, too, when it takes the login. Of a longer file the first \
              MiB is looked at.",
    },
    talk: |question, link| Box::pin(talk(question, link)),
}];

async fn talk(question: &Question<'_>, link: &mut Link<'_>) -> Verdict {
    let negotiate = question.negotiate;
    greeting(link, &negotiate.passwd).await?;
    log_in(negotiate, link).await?;
    if empty_will_do(negotiate) && matches!(negotiate.request.as_slice(), b"" | b"/") {
        return part(link, b"QUIT").await;
    }
    // Whoever refuses these may send the file all the same.
    ask(link, b"CWD /").await?;
    ask(link, b"TYPE I").await?;
    fetch(negotiate, link).await?;
    part(link, b"QUIT").await
}

/// Whether an empty file will do. A pattern that it matches stands where ldirectord's manual wants some `receive`.
fn empty_will_do(negotiate: &Negotiate) -> bool {
    negotiate.receive.as_ref().is_none_or(|pattern| pattern.is_match(b""))
}

async fn log_in(negotiate: &Negotiate, link: &mut Link<'_>) -> Result<(), Failure> {
    let (login, passwd) = match (negotiate.login.as_str(), negotiate.passwd.0.as_str()) {
        ("", "") => ("anonymous", "anonymous@"),
        ("", passwd) => ("anonymous", passwd),
        given => given,
    };
    let mut answer = ask(link, format!("USER {login}").as_bytes()).await?;
    if matches!(answer.code, 300..=399) {
        answer = ask(link, &Zeroizing::new(["PASS ", passwd].concat().into_bytes())).await?;
    }
    match answer.is_done() {
        true => Ok(()),
        false => Err(denied(link, login, &answer.shown(&negotiate.passwd))),
    }
}

/// Fetches the file and looks at it.
async fn fetch(negotiate: &Negotiate, link: &mut Link<'_>) -> Result<(), Failure> {
    let (secret, receive) = (&negotiate.passwd, negotiate.receive.as_ref());
    let name = shown(&negotiate.request, secret);
    let port = passive_port(negotiate, link).await?;
    let deadline = pin!(link.deadline());
    let mut data = link
        .beside(port, deadline)
        .await
        .map_err(|fault| failure(fault.reason, format!("no data connection: {}", fault.detail)))?;
    let started = ask(link, &[b"RETR ", negotiate.request.as_slice()].concat()).await?;
    if !matches!(started.code, 100..=299) {
        let (peer, said) = (link.peer(), started.shown(secret));
        return Err(failure(Reason::Protocol, format!("{peer} refused RETR {name}: {said}")));
    }

    let mut passed_over = 0;
    let is_whole = loop {
        let here = data.buffered().len();
        if passed_over + here >= CONTENT {
            break Ok(false);
        }
        if receive.is_none() {
            data.consume(here);
            passed_over += here;
        }
        match data.fill().await {
            Ok(true) => {}
            Ok(false) => break Ok(true),
            Err(fault) => break Err(fault),
        }
    };
    let content = data.buffered();
    let content = content.get(..CONTENT).unwrap_or(content);
    let length = content.len();
    let is_found = receive.is_none_or(|pattern| pattern.is_match(content));
    if is_found && !empty_will_do(negotiate) {
        return Ok(());
    }
    drop(data);
    if is_whole? && !started.is_done() {
        let end = reply(link).await?;
        if !end.is_done() {
            let (peer, said) = (link.peer(), end.shown(secret));
            let detail = format!("{peer} broke the transfer of {name} off: {said}");
            return Err(failure(Reason::Protocol, detail));
        }
    }
    if is_found {
        return Ok(());
    }
    let peer = link.peer();
    let detail =
        format!("{peer} sent {name}, but nothing in {length} bytes of it matches the pattern");
    Err(failure(Reason::Mismatch, detail))
}

/// Asks where the server waits for a data connection.
async fn passive_port(negotiate: &Negotiate, link: &mut Link<'_>) -> Result<u16, Failure> {
    let mut answer = ask(link, b"EPSV").await?;
    let mut port = port_of_epsv(&answer.text).filter(|_| answer.code == 229);
    if port.is_none() && matches!(link.peer(), SocketAddr::V4(_)) {
        answer = ask(link, b"PASV").await?;
        port = port_of_pasv(&answer.text).filter(|_| answer.code == 227);
    }
    port.ok_or_else(|| {
        let (peer, said) = (link.peer(), answer.shown(&negotiate.passwd));
        failure(Reason::Protocol, format!("{peer} offers no passive data connection: {said}"))
    })
}

/// The port in `Entering Extended Passive Mode (|||6446|)`; any character may stand for the bar.
fn port_of_epsv(text: &[u8]) -> Option<u16> {
    let start = text.iter().position(|byte| *byte == b'(')?;
    let [bar, second, third, rest @ ..] = text.get(start.checked_add(1)?..)? else { return None };
    let end = rest.iter().position(|byte| byte == bar)?;
    (second == bar && third == bar).then(|| number(rest.get(..end)?))?.filter(|port| *port > 0)
}

/// The port in `Entering Passive Mode (h1,h2,h3,h4,p1,p2)`, whatever stands around the numbers (RFC 1123, 4.1.2.6).
fn port_of_pasv(text: &[u8]) -> Option<u16> {
    text.split(|byte| !matches!(byte, b'0'..=b'9' | b',')).find_map(|word| {
        let numbers: Vec<_> = word.split(|byte| *byte == b',').map(number::<u8>).collect();
        match numbers.as_slice() {
            [Some(_), Some(_), Some(_), Some(_), Some(high), Some(low)] => {
                Some(u16::from_be_bytes([*high, *low])).filter(|port| *port > 0)
            }
            _ => None,
        }
    })
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    // A sign, which the parser would take, is no digit.
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        checks::{
            link::Security,
            script::{Outcome, TARGET, Turn, converse, follow, lines, spec, unconfigured},
        },
        model::Secret,
        pattern::Pattern,
    };

    const LOGIN: &str = "< 220 hello
                         > USER anonymous
                         < 331 who?
                         > PASS anonymous@
                         < 230 in
                         > CWD /
                         < 550 no
                         > TYPE I
                         < 500 no";

    const EPSV: &str = "> EPSV
                        < 229 Extended Passive Mode OK (|||4321|)";

    const RETR: &str = "> RETR /a b
                        < 150 here it comes";

    const END: &str = "< 226 done
                       > QUIT
                       < 221 bye";

    fn asked(receive: &str) -> Negotiate {
        let receive = (!receive.is_empty()).then(|| Pattern::new(receive.as_bytes()).unwrap());
        Negotiate { request: b"/a b".to_vec(), receive, ..unconfigured("ftp") }
    }

    /// What comes of a check whose control connection is this and on whose data connection the server does that.
    async fn fetching(negotiate: Negotiate, control: &[&str], data: Vec<Turn>) -> Outcome {
        let control = lines(&[&[LOGIN], control].concat().join("\n"));
        converse(&spec(negotiate), vec![control, data]).await
    }

    async fn check(receive: &str, control: &[&str], data: &str, expected: &str) {
        let data = vec![Turn::Say(data.as_bytes().to_vec())];
        let outcome = fetching(asked(receive), control, data).await;
        assert_eq!(outcome.words(), expected, "{control:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_request_and_receive_the_login_is_the_check() {
        let rest = "> QUIT\n< 221 bye";
        let script = format!("< 220 hello\n> USER anonymous\n< 230 in\n{rest}");
        assert_eq!(follow(unconfigured("ftp"), &script).await, "");
        let any = Negotiate { request: b"/".to_vec(), ..asked(".*") };
        assert_eq!(follow(any, &script).await, "");
        let named = Negotiate {
            login: "web".into(),
            passwd: Secret("hunter2".into()),
            ..unconfigured("ftp")
        };
        let script =
            "< 220-hello\n<  220 years\n< 220 of ftp\n> USER web\n< 331 who?\n> PASS hunter2";
        let good = format!("{script}\n< 202 whatever\n{rest}");
        assert_eq!(follow(named.clone(), &good).await, "");
        let expected = "denied: 192.0.2.1:8080 refused the login of web: 530 not ***";
        assert_eq!(follow(named.clone(), &format!("{script}\n< 530 not hunter2")).await, expected);
        let expected = "protocol: 192.0.2.1:8080 sent no reply with a number, but: ***?";
        assert_eq!(follow(named.clone(), &format!("{script}\n< hunter2?")).await, expected);
        let expected = "denied: 192.0.2.1:8080 refused the login of web: 530 TLS!";
        assert_eq!(follow(named.clone(), "< 220\n> USER web\n< 530 TLS!").await, expected);
        let expected = "protocol: 192.0.2.1:8080 greeted with 421 too many";
        assert_eq!(follow(named, "< 421 too many").await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn the_file_must_match() {
        check("Test", &[EPSV, RETR, END], "a Test Page", "").await;
        let expected =
            "mismatch: 192.0.2.1:8080 sent /a b, but nothing in 5 bytes of it matches the pattern";
        check("Test", &[EPSV, RETR, END], "hello", expected).await;
        // What was looked for has come, and so nothing later counts.
        check("Test", &[EPSV, RETR, "< 426 no more"], "a Test Page", "").await;
        let expected = "protocol: 192.0.2.1:8080 broke the transfer of /a b off: 426 no more";
        check("Test", &[EPSV, RETR, "< 426 no more"], "a Te", expected).await;
        let expected = "protocol: 192.0.2.1:8080 refused RETR /a b: 550 no such file";
        check("Test", &[EPSV, "> RETR /a b\n< 550 no such file"], "Test", expected).await;
    }

    #[tokio::test(start_paused = true)]
    async fn without_receive_the_file_must_be_sent_whole() {
        check("", &[EPSV, RETR, END], "hello", "").await;
        check("", &[EPSV, RETR, END], "", "").await;
        check("", &[EPSV, "> RETR /a b", END], "", "").await;
        let expected = "protocol: 192.0.2.1:8080 broke the transfer of /a b off: 451 no disk";
        check("", &[EPSV, RETR, "< 451 no disk"], "hello", expected).await;
        // An empty file matches this, too, and so it says nothing about the transfer.
        check(".*", &[EPSV, RETR, "< 451 no disk"], "hello", expected).await;
        check(".*", &[EPSV, RETR, END], "hello", "").await;
        let expected =
            "mismatch: 192.0.2.1:8080 sent /a b, but nothing in 5 bytes of it matches the pattern";
        check("^$", &[EPSV, RETR, END], "hello", expected).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_data_connection_goes_to_the_server_itself() {
        let say = vec![Turn::Say(b"hello".to_vec())];
        for (control, port) in [
            (EPSV, 4321),
            ("> EPSV\n< 500 what?\n> PASV\n< 227 go to (203,0,113,9,16,226)", 4322),
            ("> EPSV\n< 229 go\n> PASV\n< 227 =10,0,0,1,0,22 please", 22),
        ] {
            let outcome = fetching(asked("h"), &[control, RETR, END], say.clone()).await;
            let mut data: SocketAddr = TARGET.parse().unwrap();
            data.set_port(port);
            let visited = [TARGET.parse().unwrap(), data].map(|place| (place, Security::Plain));
            assert_eq!((outcome.words().as_str(), outcome.visited), ("", visited.to_vec()));
        }
        let refused = "protocol: 192.0.2.1:8080 offers no passive data connection: 502 never";
        check("h", &["> EPSV\n< 500 what?\n> PASV\n< 502 never"], "", refused).await;
        let six = spec(asked("h"));
        let six = crate::model::CheckSpec { target: "[2001:db8::1]:21".parse().unwrap(), ..six };
        let control = lines(&format!("{LOGIN}\n> EPSV\n< 500 what?"));
        let refused = "protocol: [2001:db8::1]:21 offers no passive data connection: 500 what?";
        assert_eq!(converse(&six, vec![control]).await.words(), refused);
    }

    #[tokio::test(start_paused = true)]
    async fn the_data_connection_has_the_same_deadline() {
        let slow =
            vec![[Turn::Wait(Duration::from_millis(900)), Turn::Say(b"x".to_vec())]; 9].concat();
        let outcome = fetching(asked("y"), &[EPSV, RETR], slow.clone()).await;
        let expected =
            "timeout: no complete answer from 192.0.2.1:4321 within 5s, only 5 bytes of one";
        assert_eq!((outcome.words().as_str(), outcome.took.as_secs()), (expected, 5));
        let outcome = fetching(asked("^xxx"), &[EPSV, RETR], slow).await;
        assert_eq!(outcome.words(), "");
        let outcome = fetching(asked("x"), &[EPSV, "> RETR /a b"], vec![Turn::Hang]).await;
        let expected = "timeout: no answer from 192.0.2.1:8080 within 5s";
        assert_eq!((outcome.words().as_str(), outcome.took.as_secs()), (expected, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn of_an_endless_file_the_first_mebibyte_is_looked_at() {
        let mut endless = vec![Turn::Say(vec![b'x'; 1 << 20]); 4];
        endless.push(Turn::Say(b"y".to_vec()));
        let outcome = fetching(asked("y"), &[EPSV, RETR], endless.clone()).await;
        let expected = "mismatch: 192.0.2.1:8080 sent /a b, but nothing in 1048576 bytes of it matches the pattern";
        assert_eq!(outcome.words(), expected);
        let outcome = fetching(asked(""), &[EPSV, RETR, "> QUIT\n< 221"], endless).await;
        assert_eq!(outcome.words(), "");
    }

    #[test]
    fn ports_are_found_in_what_servers_write() {
        for (text, expected) in [
            ("Entering Extended Passive Mode (|||6446|)", Some(6446)),
            ("(!!!65535!) and more", Some(65535)),
            ("(|||65536|)", None),
            ("(|||0|)", None),
            ("(|||+1|)", None),
            ("(||1|2|)", None),
            ("(|||12", None),
            ("(", None),
            ("|||6446|", None),
        ] {
            assert_eq!(port_of_epsv(text.as_bytes()), expected, "{text}");
        }
        for (text, expected) in [
            ("Entering Passive Mode (192,0,2,1,25,46).", Some(6446)),
            ("192,0,2,1,0,1", Some(1)),
            ("1 2, then 1,2,3,4,5,6", Some(1286)),
            ("(192,0,2,1,0,0)", None),
            ("(192,0,2,1,256,0)", None),
            ("(192,0,2,1,25)", None),
            ("(192,0,2,1,25,46,1)", None),
            ("", None),
        ] {
            assert_eq!(port_of_pasv(text.as_bytes()), expected, "{text}");
        }
    }
}
