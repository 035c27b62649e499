//! `service=grpc` and `grpcs`: the health checking protocol of gRPC (its `doc/health-checking.md`), over HTTP/2
//! (RFC 9113, by the library h2, and gRPC's `doc/PROTOCOL-HTTP2.md`).
//!
//! | we say | we expect |
//! |---|---|
//! | `grpc.health.v1.Health/Check` of the service that `request` names, without the `/` that ldirectord adds | the status SERVING |
//!
//! Without a request the whole server is asked about. `:authority` is `virtualhost`, else the address and port.
//! Over TLS we offer `h2` as the protocol (ALPN); a server that chooses none is taken to speak it.

mod message;
#[cfg(test)]
mod tests;

use std::{
    error::Error as _,
    fmt::{self, Write as _},
    io,
    pin::pin,
};

use bytes::Bytes;
use futures_util::FutureExt;
use h2::client::{Builder, SendRequest};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
    header::{CONTENT_TYPE, TE, USER_AGENT},
    uri::Scheme,
};
use tokio::time::timeout;

use super::{
    Protocol, Question, failure, http as http1,
    link::{Bounded, Link},
    shown, sql,
};
use crate::model::{Carrier, Failure, Negotiate, Pass, ProtocolInfo, Reason, Secret, Verdict};

/// What is called.
const METHOD: &str = "/grpc.health.v1.Health/Check";

/// What HTTP/2 is called in TLS (RFC 9113 section 3.2), and gRPC in HTTP.
const ALPN: &[u8] = b"h2";
const CONTENT: &str = "application/grpc";

/// How much is read of a server, in bytes: its settings, two headers, and an answer of a few bytes.
const LIMIT: u64 = 40 * 1024;

/// The longest answer, in bytes.
const ANSWER: usize = 16 * 1024;

/// The longest header, in bytes.
const HEADER: u32 = 16 * 1024;

/// How much a server may send before we have taken it, in bytes. A connection cannot have less.
const WINDOW: u32 = 65_535;

/// What stands before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// How much of a fault of HTTP/2 is looked at, in bytes; less is shown.
const WORDS: usize = 512;

/// Statuses of a call that are told apart.
const OK: u16 = 0;
const NOT_FOUND: u16 = 5;
const PERMISSION_DENIED: u16 = 7;
const UNIMPLEMENTED: u16 = 12;
const UNAUTHENTICATED: u16 = 16;

/// The words for each status of a call.
const STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The header fields that HTTP/2 does not know (RFC 9113 section 8.2.2).
const OF_HTTP_1: [&str; 5] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

const DIRECTIVES: &[&str] = &["request", "virtualhost", "requestheader"];

pub(super) const PROTOCOLS: &[Protocol] = &[
    Protocol {
        info: ProtocolInfo {
            name: "grpc",
            default_port: Some(50051),
            carrier: Carrier::Tcp,
            directives: DIRECTIVES,
            doc: "Asks the health service of gRPC (grpc.health.v1) for the service that `request` names, or for the whole \
                  server without one, with `virtualhost` as the authority and `requestheader` as metadata. The real server \
                  works when the answer is SERVING.",
        },
        talk: |question, link| Box::pin(talk(question, link, Scheme::HTTP)),
    },
    Protocol {
        info: ProtocolInfo {
            name: "grpcs",
            default_port: Some(443),
            carrier: Carrier::Tls,
            directives: DIRECTIVES,
            doc: "As grpc, over TLS.",
        },
        talk: |question, link| Box::pin(talk(question, link, Scheme::HTTPS)),
    },
];

async fn talk(question: &Question<'_>, link: &mut Link<'_>, scheme: Scheme) -> Verdict {
    let request = request(question, scheme)?;
    let service = question.negotiate.request.get(1..).unwrap_or_default();
    let message = message::framed(service);
    link.offer(ALPN);
    let called = call(link.stream(LIMIT).await?, request, message.into()).await;
    let answer = called.map_err(|error| broken(&error, link))?;
    judge(&answer, &question.negotiate.request, link)
}

/// The header of the call.
fn request(question: &Question<'_>, scheme: Scheme) -> Result<http::Request<()>, Failure> {
    let Negotiate { virtualhost, http, .. } = question.negotiate;
    let target = question.check.target;
    let authority = match virtualhost.as_deref() {
        None | Some("") => format!("{}:{}", http1::url::host_of(target.ip()), target.port()),
        Some(virtualhost) => virtualhost.to_owned(),
    };
    let uri = Uri::builder().scheme(scheme).authority(authority.as_str()).path_and_query(METHOD);
    let uri = uri.build().map_err(|error| {
        failure(Reason::Internal, format!("virtualhost {authority} cannot be asked for: {error}"))
    })?;
    let mut request = http::Request::new(());
    (*request.method_mut(), *request.uri_mut()) = (Method::POST, uri);
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static(http1::USER_AGENT));
    for header in &http.headers {
        let Secret(value) = &header.value;
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let name = name.ok().filter(|name| !OF_HTTP_1.contains(&name.as_str()));
        let Some((name, mut value)) = name.zip(HeaderValue::from_str(value).ok()) else {
            let detail = format!("the requestheader {} cannot be sent over HTTP/2", header.name);
            return Err(failure(Reason::Internal, detail));
        };
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    Ok(request)
}

/// What came of a call.
struct Answer {
    status: StatusCode,
    header: HeaderMap,
    /// What stands in place of a header behind the messages, if there were any.
    trailer: Option<HeaderMap>,
    /// The messages, as far as they are looked at.
    body: Vec<u8>,
}

/// Calls over a connection that is used for nothing else.
async fn call(
    stream: Bounded<'_>,
    request: http::Request<()>,
    message: Bytes,
) -> Result<Answer, h2::Error> {
    let (client, connection) = Builder::new()
        .enable_push(false)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(HEADER)
        .handshake(stream)
        .await?;
    let mut connection = pin!(connection);
    let mut calling = pin!(exchange(client, request, message));
    let called = tokio::select! {
        biased;
        // What is wrong with the connection is known here only. The answer may have come before.
        Err(error) = &mut connection => (&mut calling).now_or_never().unwrap_or(Err(error)),
        called = &mut calling => called,
    };
    if called.is_ok() {
        // However it ends: what we wanted to know, we know.
        timeout(sql::FAREWELL, connection).await.ok();
    }
    called
}

async fn exchange(
    client: SendRequest<Bytes>,
    request: http::Request<()>,
    message: Bytes,
) -> Result<Answer, h2::Error> {
    let (response, mut sending) = client.ready().await?.send_request(request, false)?;
    sending.send_data(message, true)?;
    let (parts, mut coming) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = coming.data().await {
        let piece = piece?;
        coming.flow_control().release_capacity(piece.len())?;
        // One byte more shows that it is too long.
        let room = (ANSWER + 1).saturating_sub(body.len());
        body.extend(piece.iter().take(room));
    }
    let trailer = coming.trailers().await?;
    Ok(Answer { status: parts.status, header: parts.headers, trailer, body })
}

/// What an answer says of the server.
fn judge(answer: &Answer, asked: &[u8], link: &Link<'_>) -> Verdict {
    let peer = link.peer();
    let is_grpc = answer
        .header
        .get(CONTENT_TYPE)
        .is_some_and(|content| content.as_bytes().starts_with(CONTENT.as_bytes()));
    if answer.status != StatusCode::OK || !is_grpc {
        let reason = match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Reason::Denied,
            _ => Reason::Protocol,
        };
        return Err(failure(reason, format!("{peer} answered without gRPC: {}", answer.status)));
    }
    // An answer without messages has in its header what else is in the trailer.
    let fields = answer.trailer.as_ref().unwrap_or(&answer.header);
    let text = |name: &str| fields.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
    let status = std::str::from_utf8(text("grpc-status")).ok().and_then(|text| text.parse().ok());
    match status {
        None => {
            let detail = format!("{peer} ended its answer without a grpc-status");
            return Err(failure(Reason::Protocol, detail));
        }
        Some(OK) => {}
        Some(status) => return Err(refused(status, text("grpc-message"), asked, link)),
    }
    let health = read(&answer.body)
        .map_err(|fault| failure(Reason::Protocol, format!("{peer} sent an answer {fault}")))?;
    let word = match health {
        1 => return Ok(Pass { detail: "SERVING".to_owned() }),
        0 => "UNKNOWN".to_owned(),
        2 => "NOT_SERVING".to_owned(),
        3 => "SERVICE_UNKNOWN".to_owned(),
        number => format!("with the status {number}"),
    };
    Err(failure(Reason::Protocol, format!("{peer} answered {word}")))
}

/// The health in an answer that has one message; the error goes on with a sentence.
fn read(body: &[u8]) -> Result<u64, &'static str> {
    if body.len() > ANSWER {
        return Err("that is too long");
    }
    let (prefix, message) = body.split_at_checked(PREFIX).ok_or("without a message")?;
    let (compressed, length) = prefix.split_first().ok_or("without a message")?;
    let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    if *compressed != 0 {
        return Err("that is compressed, which nobody allowed");
    }
    if length != message.len() {
        return Err("of another length than it says");
    }
    message::health(message).ok_or("that is no message of the health service")
}

/// That a call did not succeed, and what the server says of it.
fn refused(status: u16, words: &[u8], asked: &[u8], link: &Link<'_>) -> Failure {
    let word = STATUSES.get(usize::from(status)).map(ToString::to_string);
    let word = word.unwrap_or_else(|| format!("status {status}"));
    let said = match http1::url::unescape(words) {
        words if words.is_empty() => String::new(),
        words => format!(": {}", shown(&link.starred(&words))),
    };
    let hint = match status {
        UNIMPLEMENTED => "; has it a health service (grpc.health.v1)?".to_owned(),
        NOT_FOUND => format!(
            "; it does not know the service \"{}\"",
            shown(asked.get(1..).unwrap_or_default())
        ),
        _ => String::new(),
    };
    let reason = match status {
        PERMISSION_DENIED | UNAUTHENTICATED => Reason::Denied,
        _ => Reason::Protocol,
    };
    failure(reason, format!("{} answered {word}{said}{hint}", link.peer()))
}

/// What an error of HTTP/2 says of the server.
fn broken(error: &h2::Error, link: &Link<'_>) -> Failure {
    match error.get_io() {
        Some(cause) if cause.kind() == io::ErrorKind::TimedOut => link.timeout(),
        Some(cause) if cause.kind() == io::ErrorKind::FileTooLarge => {
            failure(Reason::Protocol, format!("{}: {cause}", link.peer()))
        }
        Some(cause) => link.broken("talk to", cause),
        None => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            // A server may say why it ends the connection, in as many words as it likes.
            let mut said = Start(String::new());
            write!(said, "{error}{cause}").unwrap_or_default();
            let said = shown(&link.starred(said.0.as_bytes()));
            let detail = format!("{} does not speak HTTP/2 as it should: {said}", link.peer());
            failure(Reason::Protocol, detail)
        }
    }
}

/// As much of a text as is worth keeping; writing more fails.
struct Start(String);

impl fmt::Write for Start {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.push_str(text);
        if self.0.len() < WORDS { Ok(()) } else { Err(fmt::Error) }
    }
}
