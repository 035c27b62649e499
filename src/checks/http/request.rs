//! A request of HTTP/1.1 as text.

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
    pub(in crate::checks) fn text(&self) -> String {
        let Request { method, target, host, body, last, .. } = *self;
        let is_said =
            |name: &str| self.headers.iter().any(|header| header.name.eq_ignore_ascii_case(name));
        let mut fields = vec![format!("Host: {host}")];
        if !is_said("User-Agent") {
            fields.push(format!("User-Agent: {USER_AGENT}"));
        }
        if let Some(Secret(credentials)) = self.credentials
            && !is_said("Authorization")
        {
            fields.push(format!("Authorization: Basic {credentials}"));
        }
        let own = self.headers.iter();
        fields.extend(own.map(|HttpHeader { name, value }| format!("{name}: {}", value.0)));
        if let Some(body) = body {
            fields.push(format!("Content-Length: {}", body.len()));
        }
        fields.push(last.to_owned());
        let body = body.unwrap_or_default();
        format!("{method} {target} HTTP/1.1\r\n{}\r\n\r\n{body}", fields.join("\r\n"))
    }
}

/// What we call ourselves.
pub(in crate::checks) const USER_AGENT: &str = concat!("ldirectord/", env!("CARGO_PKG_VERSION"));
