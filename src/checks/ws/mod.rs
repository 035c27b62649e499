//! `service=ws` and `wss`: WebSocket, RFC 6455.
//!
//! | we say | we expect |
//! |---|---|
//! | `GET` of `request` with `Upgrade: websocket`, a key, `requestheader`; `login` and `passwd`, if there are any | `101` with the answer to that key, the fields of `expectheader`, and no extension or protocol that we did not name |
//! | `requestbody` as a text message, if there is one | with `receive`: a message in which it is found |
//! | close, code 1000 | |
//!
//! `Host` is `virtualhost`, else the address of the real server. No redirection is followed. Of what the server sends no
//! more than `maxbody` is looked at; each message is compared alone, and its pings are answered.

mod frame;
#[cfg(test)]
mod tests;

use self::frame::{Frame, Kind, masked};
use super::{
    Protocol, Question, failure,
    http::{
        Request, response,
        url::{host_of, path},
    },
    link::Link,
    random, shown, text,
};
use crate::{
    model::{Carrier, Failure, HttpMethod, Negotiate, Pass, ProtocolInfo, Reason, Secret, Verdict},
    pattern::Pattern,
};

/// What is put behind the key before it is digested (section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The fields that a server must not send unless it was asked for them (section 4.1).
const UNASKED: [&str; 2] = ["Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"];

/// The status of an answer that changes the protocol.
const SWITCHING: u16 = 101;

/// The code of a close that has no fault behind it.
const NORMAL: u16 = 1000;

/// The most frames without a message in them that are taken.
const CONTROLS: usize = 64;

const DIRECTIVES: &[&str] = &[
    "request",
    "receive",
    "virtualhost",
    "requestheader",
    "requestbody",
    "expectheader",
    "maxbody",
    "login",
    "passwd",
];

pub(super) const PROTOCOLS: &[Protocol] = &[
    Protocol {
        info: ProtocolInfo {
            name: "ws",
            default_port: Some(80),
            carrier: Carrier::Tcp,
            directives: DIRECTIVES,
            doc: "Asks for WebSocket at the path `request`, sending `virtualhost` as the Host header, `requestheader`, and \
                  `login` and `passwd` if there is a login. The real server works when it switches to WebSocket; with \
                  `receive` it must also send a message that matches, within the first MiB (`maxbody`). `requestbody` is \
                  sent as a text message before. The connection is then closed in order.",
        },
        talk: |question, link| Box::pin(talk(question, link)),
    },
    Protocol {
        info: ProtocolInfo {
            name: "wss",
            default_port: Some(443),
            carrier: Carrier::Tls,
            directives: DIRECTIVES,
            doc: "As ws, over TLS.",
        },
        talk: |question, link| Box::pin(talk(question, link)),
    },
];

async fn talk(question: &Question<'_>, link: &mut Link<'_>) -> Verdict {
    let negotiate = question.negotiate;
    let status_line = switch(question, link).await?;
    let body = negotiate.http.body.0.as_bytes();
    if !body.is_empty() {
        link.send(&masked(Kind::Text, body)?).await?;
    }
    if let Some(pattern) = &negotiate.receive {
        find(link, pattern, negotiate.http.max_body).await?;
    }
    // Whether the server hears it is its own affair.
    let _unheard = link.send(&masked(Kind::Close, &NORMAL.to_be_bytes())?).await;
    Ok(Pass { detail: status_line })
}

/// Has the server change to WebSocket.
async fn switch(question: &Question<'_>, link: &mut Link<'_>) -> Result<String, Failure> {
    let negotiate = question.negotiate;
    let (headers, expected) = (&negotiate.http.headers, &negotiate.http.expected_headers);
    let key = openssl::base64::encode_block(&random::bytes::<16>()?);
    let host = match &negotiate.virtualhost {
        Some(virtualhost) => virtualhost.clone(),
        None => host_of(question.check.target.ip()),
    };
    let credentials = credentials(negotiate);
    let request = Request {
        method: HttpMethod::Get,
        target: &path(&negotiate.request),
        host: &host,
        credentials: credentials.as_ref(),
        headers,
        body: None,
        last: &format!(
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}"
        ),
    };
    link.send(request.text().as_bytes()).await?;
    let is_kept = |name: &str| {
        let ours = ["Upgrade", "Connection", "Sec-WebSocket-Accept"];
        let expected = expected.iter().map(|(name, _)| name.as_str());
        ours.into_iter().chain(UNASKED).chain(expected).any(|kept| kept.eq_ignore_ascii_case(name))
    };
    let response = response::read(link, HttpMethod::Get, &is_kept).await?;
    let status_line = response.status_line();
    if response.status != SWITCHING {
        let (peer, login) = (link.peer(), negotiate.login.as_str());
        return Err(match (response.status, login) {
            (401, "") => failure(
                Reason::Denied,
                format!("{peer} takes nobody without a login: {status_line}"),
            ),
            (401, login) => text::denied(link, login, &status_line),
            (status, _) => failure(
                if status == 403 { Reason::Denied } else { Reason::Protocol },
                format!("{peer} did not switch to WebSocket, but answered {status_line}"),
            ),
        });
    }
    let has_word = |name: &str, word: &str| {
        let mut words = response.values(name).flat_map(|value| value.split(','));
        words.any(|found| found.trim().eq_ignore_ascii_case(word))
    };
    let accept =
        openssl::base64::encode_block(&openssl::sha::sha1(format!("{key}{GUID}").as_bytes()));
    let is_asked = |name: &str| headers.iter().any(|header| header.name.eq_ignore_ascii_case(name));
    let unasked = |name: &str| response.values(name).next().is_some() && !is_asked(name);
    let fault = if !has_word("Upgrade", "websocket") {
        "but its Upgrade is not websocket".to_owned()
    } else if !has_word("Connection", "Upgrade") {
        "but its Connection is not Upgrade".to_owned()
    } else if !response.values("Sec-WebSocket-Accept").eq([accept.as_str()]) {
        // Who has not read the key, such as a cache, has nobody behind it who speaks WebSocket.
        "but its Sec-WebSocket-Accept is not the answer to our key".to_owned()
    } else if let Some(name) = UNASKED.into_iter().find(|name| unasked(name)) {
        format!("but it has a {name}, which nobody asked for")
    } else {
        response.meets(expected)?;
        return Ok(status_line);
    };
    Err(failure(Reason::Protocol, format!("{status_line}, {fault}")))
}

/// Login and password for the Authorization header.
fn credentials(negotiate: &Negotiate) -> Option<Secret> {
    let (login, passwd) = (&negotiate.login, &negotiate.passwd.0);
    let plain = format!("{login}:{passwd}");
    (!login.is_empty()).then(|| Secret(openssl::base64::encode_block(plain.as_bytes())))
}

/// Looks for the pattern in the messages that come.
async fn find(link: &mut Link<'_>, pattern: &Pattern, most: u32) -> Result<(), Failure> {
    let mut left = usize::try_from(most).unwrap_or(usize::MAX);
    // The message so far, if one has begun.
    let mut message: Option<Vec<u8>> = None;
    let (mut messages, mut controls) = (0_usize, 0_usize);
    while left > 0 && controls < CONTROLS {
        let frame = Frame::read(link).await?;
        let fault = match (frame.kind, &message) {
            (Kind::Continuation, None) => Some("went on with a message that it had not begun"),
            (Kind::Text | Kind::Binary, Some(_)) => {
                Some("began a message in the middle of another")
            }
            _ => None,
        };
        if let Some(fault) = fault {
            return Err(failure(Reason::Protocol, format!("{} {fault}", link.peer())));
        }
        // What a frame begins with counts, lest a server feed us that for ever.
        left = left.saturating_sub(frame.header);
        let length = frame.length.min(left);
        link.at_least(length).await?;
        let payload = link.buffered().get(..length).unwrap_or_default().to_vec();
        link.consume(length);
        left = left.saturating_sub(length);
        match frame.kind {
            Kind::Text | Kind::Binary | Kind::Continuation => {
                let mut whole = message.take().unwrap_or_default();
                whole.extend(payload);
                if !frame.is_last && left > 0 {
                    message = Some(whole);
                } else if pattern.is_match(&whole) {
                    return Ok(());
                } else {
                    messages = messages.saturating_add(1);
                }
            }
            Kind::Ping => {
                controls = controls.saturating_add(1);
                link.send(&masked(Kind::Pong, &payload)?).await?;
            }
            Kind::Pong => controls = controls.saturating_add(1),
            Kind::Close => {
                let (peer, found) = (link.peer(), found(messages));
                let detail = format!("{peer} closed WebSocket{}; {found}", reason(&payload, link));
                return Err(failure(Reason::Mismatch, detail));
            }
        }
    }
    let detail = match controls < CONTROLS {
        true => format!("in the first {most} bytes from {}, {}", link.peer(), found(messages)),
        false => format!("{} sent {controls} pings or pongs; {}", link.peer(), found(messages)),
    };
    Err(failure(Reason::Mismatch, detail))
}

/// That so many messages did not match.
fn found(messages: usize) -> String {
    match messages {
        0 => "there was no message to match the pattern".to_owned(),
        1 => "its message does not match the pattern".to_owned(),
        _ => format!("none of its {messages} messages matches the pattern"),
    }
}

/// Why a server closes: a code and words (section 5.5.1).
fn reason(payload: &[u8], link: &Link<'_>) -> String {
    match payload {
        [high, low, words @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            format!(" ({code} {}", shown(&link.starred(words))).trim_end().to_owned() + ")"
        }
        _ => String::new(),
    }
}
