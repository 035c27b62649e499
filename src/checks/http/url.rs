//! The URLs of a check and of its redirections, split where a request needs them split.
//!
//! What the configuration has is sent as written, save for what may not stand in a request: no dot segments are
//! resolved and no escapes are changed, as LWP leaves them. Redirections are resolved by the `url` crate.

use std::net::{IpAddr, SocketAddr};

use zeroize::Zeroizing;

use crate::model::Secret;

/// The two schemes that are followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scheme {
    Http,
    Https,
}

/// A URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Url {
    pub(super) scheme: Scheme,
    /// The user and the password that it names, as the credentials of RFC 7617.
    pub(super) credentials: Option<Secret>,
    /// Host and port as written.
    pub(super) authority: String,
    /// The host without brackets.
    pub(super) host: String,
    /// The port, or the one that the scheme implies.
    pub(super) port: u16,
    /// The path and the query, as they stand in a request.
    pub(super) path: String,
    /// All of it, as it stands in a request to a proxy.
    pub(super) whole: String,
}

impl Url {
    /// Splits a URL as it is configured; the error is a sentence without a full stop.
    pub(super) fn parse(written: &[u8]) -> Result<Url, String> {
        Url::split(written).map_err(|what| match written.contains(&b'@') {
            // It may hold a password.
            true => what.to_owned(),
            false => format!("{what}: {}", String::from_utf8_lossy(written)),
        })
    }

    fn split(written: &[u8]) -> Result<Url, &'static str> {
        let (scheme, rest) = match (strip(written, b"http://"), strip(written, b"https://")) {
            (Some(rest), _) => (Scheme::Http, rest),
            (_, Some(rest)) => (Scheme::Https, rest),
            (None, None) => return Err("not a whole http or https URL"),
        };
        let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at_checked(end).unwrap_or((rest, b""));
        let authority =
            std::str::from_utf8(authority).map_err(|_| "the host of the URL is not text")?;
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, authority),
        };
        if authority.bytes().any(|byte| byte.is_ascii_control() || byte == b' ') {
            return Err("the host of the URL has a character that no host has");
        }
        let (host, port) = match authority.strip_prefix('[').and_then(|inner| inner.split_once(']'))
        {
            Some((host, port)) => (host, port.strip_prefix(':').unwrap_or(port)),
            None => authority.rsplit_once(':').unwrap_or((authority, "")),
        };
        let port = match (port, scheme) {
            ("", Scheme::Http) => 80,
            ("", Scheme::Https) => 443,
            (digits, _) => digits.parse().map_err(|_| "the URL has no valid port")?,
        };
        if host.is_empty() {
            return Err("the URL has no host");
        }
        let path = path(tail);
        let whole = match scheme {
            Scheme::Http => format!("http://{authority}{path}"),
            Scheme::Https => format!("https://{authority}{path}"),
        };
        let (host, authority) = (host.to_owned(), authority.to_owned());
        Ok(Url { scheme, credentials: user.map(credentials), authority, host, port, path, whole })
    }

    /// The URL that a `Location` leads to from here; the error says why it leads nowhere.
    pub(super) fn join(&self, location: &str) -> Result<Url, String> {
        let base = url::Url::parse(&self.whole);
        let joined =
            base.and_then(|base| base.join(location)).map_err(|error| error.to_string())?;
        Ok(Url::split(joined.as_str().as_bytes())?)
    }

    /// Whether it leads to the same server, in the same way, as another.
    pub(super) fn is_beside(&self, other: &Url) -> bool {
        let same_host = self.host.eq_ignore_ascii_case(&other.host);
        same_host && (self.scheme, self.port) == (other.scheme, other.port)
    }

    /// The address, if the host is one.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.host.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, self.port))
    }
}

/// A path and a query as they stand in a request: what may not stand there escaped, and without a fragment.
pub(in crate::checks) fn path(written: &[u8]) -> String {
    let mut path = String::with_capacity(written.len().saturating_add(1));
    if written.first() != Some(&b'/') {
        path.push('/');
    }
    for &byte in written.split(|byte| *byte == b'#').next().unwrap_or_default() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => path.push(char::from(byte)),
            _ if b"-_.!~*'();/?:@&=+$,[]%".contains(&byte) => path.push(char::from(byte)),
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

/// `user:password` as the Authorization header has it.
fn credentials(user: &str) -> Secret {
    let mut plain = unescape(user.as_bytes());
    if !user.contains(':') {
        plain.push(b':');
    }
    Secret(openssl::base64::encode_block(&plain))
}

/// The bytes that a text with escapes stands for.
pub(in crate::checks) fn unescape(text: &[u8]) -> Zeroizing<Vec<u8>> {
    // And room for a colon.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len().saturating_add(1)));
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, tail @ ..] => {
                let digits = [char::from(*high), char::from(*low)].map(|digit| digit.to_digit(16));
                let byte = digits[0]
                    .zip(digits[1])
                    .and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                byte.map(|byte| (byte, tail))
            }
            _ => None,
        };
        let (byte, tail) = escaped.unwrap_or((*first, tail));
        bytes.push(byte);
        rest = tail;
    }
    bytes
}

/// What follows the prefix, whatever its case.
fn strip<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// An address as a Host header has it.
pub(in crate::checks) fn host_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(written: &str) -> (String, u16, String) {
        let url = Url::parse(written.as_bytes()).unwrap();
        (url.host, url.port, url.path)
    }

    #[test]
    fn a_url_is_split_and_its_path_kept_as_written() {
        let own = |host: &str, port, path: &str| (host.to_owned(), port, path.to_owned());
        assert_eq!(split("http://192.0.2.1:8080/a"), own("192.0.2.1", 8080, "/a"));
        assert_eq!(split("https://[2001:db8::1]/"), own("2001:db8::1", 443, "/"));
        assert_eq!(split("http://www.example.com"), own("www.example.com", 80, "/"));
        assert_eq!(split("HTTP://a:1?x=1#top"), own("a", 1, "/?x=1"));
        assert_eq!(
            split("http://a//x/../y z%20%zz\"\u{e9}"),
            own("a", 80, "//x/../y%20z%20%zz%22%C3%A9")
        );
        assert_eq!(split("http://user:word@a:81/"), own("a", 81, "/"));
        for wrong in [
            "",
            "/x",
            "ftp://a/",
            "http://",
            "http://:80/",
            "http://a:x/",
            "http://a:99999/",
            "http://a b/",
        ] {
            assert!(Url::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_sent_and_never_told() {
        let url = Url::parse(b"http://Aladdin:open%20sesame@a/b").unwrap();
        assert_eq!(url.credentials, Some(Secret("QWxhZGRpbjpvcGVuIHNlc2FtZQ==".into())));
        assert_eq!(url.whole, "http://a/b");
        assert!(!format!("{url:?}").contains("QWxh"));
        assert_eq!(Url::parse(b"http://a@b/").unwrap().credentials, Some(Secret("YTo=".into())));
        assert_eq!(Url::parse(b"http://a:secret@b:x/").unwrap_err(), "the URL has no valid port");
        assert_eq!(unescape(b"%4a%zz%").as_slice(), b"J%zz%");
    }

    #[test]
    fn a_redirection_is_relative_to_where_it_came_from() {
        let base = Url::parse(b"http://192.0.2.1:8080/a/b?c").unwrap();
        assert_eq!(base.join("d").unwrap().whole, "http://192.0.2.1:8080/a/d");
        assert_eq!(base.join("/e f").unwrap().whole, "http://192.0.2.1:8080/e%20f");
        assert_eq!(base.join("//h:1/").unwrap().authority, "h:1");
        assert_eq!(base.join("https://h/").unwrap().scheme, Scheme::Https);
        assert!(base.join("ftp://h/").unwrap_err().contains("not a whole http or https URL"));
        assert!(base.join("http://[").is_err());
    }
}
