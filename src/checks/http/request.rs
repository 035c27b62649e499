//! A request of HTTP/1.1 as text.

use zeroize::Zeroizing;

use crate::model::{HttpHeader, HttpMethod, Secret};

/// A request.
pub(in crate::checks) struct Request<'a> {
    pub(in crate::checks) method: HttpMethod,
    /// The path and query, or for a proxy the whole URL.
    pub(in crate::checks) target: &'a str,
    pub(in crate::checks) host: &'a str,
    /// Login and password, as RFC 7617 has them.
    pub(in crate::checks) credentials: Option<&'a Secret>,
    /// What the configuration adds; it is stronger than what we would say of ourselves and of the login.
    pub(in crate::checks) headers: &'a [HttpHeader],
    /// `None` says nothing of a length either.
    pub(in crate::checks) body: Option<&'a str>,
    /// The last header fields: what becomes of the connection.
    pub(in crate::checks) last: &'a str,
}

impl Request<'_> {
    pub(in crate::checks) fn text(&self) -> Zeroizing<String> {
        let Request { method, target, host, body, last, .. } = *self;
        let is_said =
            |name: &str| self.headers.iter().any(|header| header.name.eq_ignore_ascii_case(name));
        let start = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
        let mut parts = vec![start.as_str()];
        if !is_said("User-Agent") {
            parts.extend(["User-Agent: ", USER_AGENT, "\r\n"]);
        }
        if let Some(Secret(credentials)) = self.credentials
            && !is_said("Authorization")
        {
            parts.extend(["Authorization: Basic ", credentials, "\r\n"]);
        }
        for HttpHeader { name, value: Secret(value) } in self.headers {
            parts.extend([name, ": ", value, "\r\n"]);
        }
        let length = body.map(|body| format!("Content-Length: {}\r\n", body.len()));
        parts.extend(length.as_deref());
        parts.extend([last, "\r\n\r\n", body.unwrap_or_default()]);
        // In one piece, so that no copy is left behind.
        Zeroizing::new(parts.concat())
    }
}

/// What we call ourselves.
pub(in crate::checks) const USER_AGENT: &str = concat!("ldirectord/", env!("CARGO_PKG_VERSION"));
