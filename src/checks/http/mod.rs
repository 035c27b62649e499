//! `service=http`, `https` and `http_proxy`: RFC 9110 and 9112, read as laxly as ldirectord's library (LWP) reads them.
//!
//! | we say | we expect |
//! |---|---|
//! | `GET /path HTTP/1.1`, `Host`, `User-Agent`, `Connection: close` | a status of 2xx, and `receive` found in the body |
//! | the same of another place, up to 7 times | 301, 302, 303, 307 or 308 with `Location` |
//!
//! With our own directives we also say `requestheader` and, behind the header, `requestbody`; and we expect one of
//! `expectstatus` in place of 2xx, and each `expectheader` in the header of the answer, before the body is looked at.
//! A redirection is not followed when `expectstatus` has its status, and, as in LWP, when the method is neither GET nor
//! HEAD. Where one leads to another host or port, what we say of our own is not said there: it may be a secret.
//!
//! What is answered with 401, 403 or 407 was denied, unless `expectstatus` has it.
//!
//! The connection goes where the URL says; `Host` is `virtualhost`, else the address of the real server.
//! A request that follows a redirection carries the host and port of its own URL.
//! `http_proxy` asks the real server for the whole URL, and redirections too.
//!
//! With `httpkeepalive` we say `Connection: keep-alive` and leave the connection to the next attempt of the same check
//! (RFC 9112 section 9.3), when the check has passed, was not redirected, and the end of its answer cannot be mistaken: with
//! a length or chunks, no byte behind, no `Connection: close`, no line that only a lax reader takes. What an attempt
//! finds wrong with a connection that it was left says nothing of the server: it asks once more over a new one, at once.
//!
//! The body is taken as it is: no content encoding is undone.
//!
//! Our own reader and not a library's, because laxness decides who is up. LWP accepts a header that ends with the
//! connection, a status line of any version or none at all, lines that are no headers, two content lengths, and any
//! end of a body; strict readers refuse such answers, of which health check scripts on real servers are full.
//!
//! Differs from ldirectord: a body that the timeout cuts off is a failure unless `receive` is found in what came.
//! Differs from ldirectord: interim answers (1xx) are passed over, all of them and not only one 100.
//! Differs from ldirectord: of a body without end only the first MiB is looked at, or `maxbody`.
//! Differs from ldirectord: https verifies certificates only with `tlsverify`, and sends `virtualhost` as SNI.
//! Differs from ldirectord: IPv6 needs nothing installed.

#[cfg(test)]
mod keep_tests;
mod request;
pub(super) mod response;
#[cfg(test)]
mod tests;
pub(super) mod url;

use std::{net::SocketAddr, ops::RangeInclusive};

use zeroize::Zeroizing;

pub(super) use self::request::{Request, USER_AGENT};
use self::{
    response::{Denial, End, Response},
    url::{Scheme, Url},
};
use super::{
    Protocol, Question, failure,
    link::{Link, Security},
    shown, tls,
};
use crate::model::{
    Carrier, Failure, HttpMethod, Negotiate, Pass, ProtocolInfo, Reason, Secret, Verdict,
};

/// How many redirections are followed, as LWP does.
const REDIRECTIONS: usize = 7;

/// The directives of http and https.
const DIRECTIVES: &[&str] = &[
    "request",
    "receive",
    "httpmethod",
    "virtualhost",
    "requestheader",
    "requestbody",
    "expectstatus",
    "expectheader",
    "maxbody",
    "httpkeepalive",
];

pub(super) const PROTOCOLS: &[Protocol] = &[
    Protocol {
        info: ProtocolInfo {
            name: "http",
            default_port: Some(80),
            carrier: Carrier::Tcp,
            directives: DIRECTIVES,
            doc: "Asks for `request` with GET or another `httpmethod`, sending `virtualhost` as the Host header, and \
                  `requestheader` and `requestbody`. The real server works when the answer, after at most seven \
                  redirections, has a status of 2xx (`expectstatus`) and a header that matches `expectheader`, and its \
                  body matches `receive`. Of a longer body the first MiB is looked at (`maxbody`).",
        },
        talk: |question, link| Box::pin(talk(question, link, Via::Server)),
    },
    Protocol {
        info: ProtocolInfo {
            name: "https",
            default_port: Some(443),
            carrier: Carrier::Tls,
            directives: DIRECTIVES,
            doc: "As http, over TLS. Certificates are verified only with `tlsverify`. `tlsname`, or else \
                  `virtualhost` when it is a host name, is the name that the server is asked for in TLS. Servers \
                  that only speak TLS 1.0 or 1.1, or only old ciphers, are spoken to as well.",
        },
        talk: |question, link| Box::pin(talk(question, link, Via::Server)),
    },
    Protocol {
        info: ProtocolInfo {
            name: "http_proxy",
            default_port: Some(3128),
            carrier: Carrier::Tcp,
            directives: &[
                "request",
                "receive",
                "httpmethod",
                "requestheader",
                "requestbody",
                "expectstatus",
                "expectheader",
                "maxbody",
                "httpkeepalive",
            ],
            doc: "Asks the real server, a proxy, for `request`, which must be a whole URL. It works when the answer \
                  is as good as one to http must be.",
        },
        talk: |question, link| Box::pin(talk(question, link, Via::Proxy)),
    },
];

/// Who is asked for a URL.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Via {
    /// The server that it names.
    Server,
    /// The real server, whatever it names.
    Proxy,
}

async fn talk(question: &Question<'_>, link: &mut Link<'_>, via: Via) -> Verdict {
    let negotiate = question.negotiate;
    let mut url =
        Url::parse(&negotiate.request).map_err(|fault| failure(Reason::Protocol, fault))?;
    let mut host = match (via, &negotiate.virtualhost) {
        (Via::Proxy, _) => url.authority.clone(),
        (Via::Server, Some(virtualhost)) => virtualhost.clone(),
        (Via::Server, None) => url::host_of(question.check.target.ip()),
    };
    let first = url.clone();
    let mut redirected = 0;
    // Once, in place of an answer over a connection that an earlier attempt has left.
    let mut has_asked_anew = false;
    loop {
        if let Some(Secret(credentials)) = &url.credentials {
            link.hide_basic(credentials);
        }
        match via {
            Via::Proxy => link.connect_to(question.check.target, Security::Plain).await?,
            Via::Server => {
                let name = name_for_tls(question, &url, &host, redirected > 0);
                connect(question, link, &url, name).await?;
            }
        }
        let is_own = url.is_beside(&first);
        let keeps = negotiate.http.keep_alive && redirected == 0;
        let request = request(negotiate, &url, &host, via, is_own, keeps);
        let asked = ask(link, &request, negotiate).await;
        if !has_asked_anew && link.may_be_stale() && !asked.as_ref().is_ok_and(Response::is_fresh) {
            has_asked_anew = true;
            continue;
        }
        let response = asked?;
        match response.location() {
            Some(location) if redirected < REDIRECTIONS && is_followed(negotiate, &response) => {
                url = url.join(&location).map_err(|fault| {
                    let there = shown(&link.starred(location.as_bytes()));
                    let status_line = response.status_line();
                    let detail = format!("{status_line}, but cannot follow it to {there}: {fault}");
                    failure(Reason::Protocol, detail)
                })?;
                host.clone_from(&url.authority);
                redirected += 1;
            }
            _ => {
                let hint = response.denial().map(|denial| hint(denial, &request, via));
                return judge(question, link, &response, redirected, hint).await;
            }
        }
    }
}

/// Whether a redirection is followed: after a method that does nothing, and where it is not the answer that is expected.
fn is_followed(negotiate: &Negotiate, response: &Response) -> bool {
    let statuses = &negotiate.http.statuses;
    matches!(negotiate.method, HttpMethod::Get | HttpMethod::Head)
        && (statuses.is_empty() || !response.has_status(statuses))
}

/// Whether a URL leads to the real server by its address.
fn is_to_target(question: &Question<'_>, url: &Url) -> bool {
    let target = question.check.target;
    url.address() == Some(SocketAddr::new(target.ip(), target.port()))
}

/// The name of the server that a URL leads to.
fn name_for_tls(
    question: &Question<'_>,
    url: &Url,
    host: &str,
    redirected: bool,
) -> Option<String> {
    let negotiate = question.negotiate;
    let is_own = !redirected || is_to_target(question, url);
    let own = negotiate.tls.name.as_ref().filter(|_| is_own);
    let named = || tls::host_name(host).or_else(|| tls::host_name(&url.host));
    // Its certificate is no other because it has led us to another of its pages.
    let again = || tls::host_name(negotiate.virtualhost.as_ref()?);
    own.cloned().or_else(named).or_else(|| again().filter(|_| is_own && negotiate.tls.verify))
}

/// Connects to the server that a URL names, whose name in TLS is this.
async fn connect(
    question: &Question<'_>,
    link: &mut Link<'_>,
    url: &Url,
    name: Option<String>,
) -> Result<(), Failure> {
    let security = match url.scheme {
        Scheme::Http => Security::Plain,
        Scheme::Https => Security::Tls(name),
    };
    match url.address() {
        // The check knows more of the address than a URL can say: the interface of a link-local one.
        Some(_) if is_to_target(question, url) => {
            link.connect_to(question.check.target, security).await
        }
        Some(address) => link.connect_to(address, security).await,
        None => {
            let mut outcome =
                Err(failure(Reason::Unreachable, format!("no address for {}", url.host)));
            for address in link.resolve(&url.host, url.port).await? {
                outcome = link.connect_to(address, security.clone()).await;
                if !matches!(&outcome, Err(fault) if fault.reason != Reason::Timeout) {
                    break;
                }
            }
            outcome
        }
    }
}

/// The request; with the header fields and the body of the check where it goes to the server that these are meant for.
fn request(
    negotiate: &Negotiate,
    url: &Url,
    host: &str,
    via: Via,
    is_own: bool,
    keeps: bool,
) -> Zeroizing<String> {
    let (method, http) = (negotiate.method, &negotiate.http);
    let (headers, body) = match is_own {
        true => (http.headers.as_slice(), http.body.0.as_str()),
        false => (&[][..], ""),
    };
    let has_body = !body.is_empty() || matches!(method, HttpMethod::Post | HttpMethod::Put);
    let request = Request {
        method,
        target: match via {
            Via::Server => &url.path,
            Via::Proxy => &url.whole,
        },
        host,
        credentials: url.credentials.as_ref(),
        headers,
        body: has_body.then_some(body),
        last: if keeps { "Connection: keep-alive" } else { "Connection: close" },
    };
    request.text()
}

/// Sends the request and reads the header of the answer.
async fn ask(
    link: &mut Link<'_>,
    request: &str,
    negotiate: &Negotiate,
) -> Result<Response, Failure> {
    match link.send(request.as_bytes()).await {
        // A server may have answered and closed before it had read what we asked.
        Ok(()) | Err(Failure { reason: Reason::Reset, .. }) => {
            let expected = &negotiate.http.expected_headers;
            let is_kept =
                |name: &str| expected.iter().any(|(kept, _)| kept.eq_ignore_ascii_case(name));
            response::read(link, negotiate.method, &is_kept).await
        }
        Err(fault) => Err(fault),
    }
}

/// What a person who reads that a request was refused wants to know of it.
fn hint(denial: Denial, request: &str, via: Via) -> String {
    let field = match (denial, via) {
        (Denial::Server, _) | (Denial::Any, Via::Server) => "Authorization",
        (Denial::Proxy, _) | (Denial::Any, Via::Proxy) => "Proxy-Authorization",
    };
    let mut names = request.lines().take_while(|line| !line.is_empty()).filter_map(|line| {
        let (name, _value) = line.split_once(':')?;
        Some(name)
    });
    match names.any(|name| name.eq_ignore_ascii_case(field)) {
        true => format!("with the {field} that was sent"),
        false => format!("no {field} was sent (`requestheader`)"),
    }
}

/// Decides whether an answer that leads nowhere else is a good one. The hint is of a request that was refused.
async fn judge(
    question: &Question<'_>,
    link: &mut Link<'_>,
    response: &Response,
    redirected: usize,
    hint: Option<String>,
) -> Verdict {
    let (status_line, http) = (response.status_line(), &question.negotiate.http);
    if !response.has_status(&http.statuses) {
        let detail = match redirected {
            0 => status_line,
            1 => format!("{status_line} after a redirection"),
            _ => format!("{status_line} after {redirected} redirections"),
        };
        let (reason, detail) = match http.statuses.as_slice() {
            [] => (Reason::Protocol, detail),
            good => (Reason::Mismatch, format!("{detail}, expected was {}", listed(good))),
        };
        return Err(match hint {
            Some(hint) => failure(Reason::Denied, format!("{detail}; {hint}")),
            None => failure(reason, detail),
        });
    }
    response.meets(&http.expected_headers)?;
    let receive = question.negotiate.receive.as_ref();
    let (body, end, can_go_on) = response.body(link, http.max_body, receive.is_some()).await;
    if can_go_on && redirected == 0 {
        link.has_ended();
    }
    match (receive, end) {
        (None, End::Complete | End::Limit) => Ok(Pass { detail: status_line }),
        (Some(pattern), _) if pattern.is_match(&body) => Ok(Pass { detail: status_line }),
        (_, End::Deadline(timeout)) => Err(timeout),
        (Some(_), _) => {
            let length = body.len();
            let detail = format!(
                "{status_line}, but nothing in the {length} bytes of the body matches the pattern"
            );
            Err(failure(Reason::Mismatch, detail))
        }
    }
}

/// `200, 300-399`.
fn listed(statuses: &[RangeInclusive<u16>]) -> String {
    let one = |range: &RangeInclusive<u16>| match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{}-{}", range.start(), range.end()),
    };
    shown(statuses.iter().map(one).collect::<Vec<_>>().join(", ").as_bytes())
}
