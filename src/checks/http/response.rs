//! The answer to an HTTP request: what is read of it and how it is bounded.
//!
//! Laxness and limits are those of Perl's `Net::HTTP`, which ldirectord reads with: lines of at most 8 KiB, at most
//! 128 of them in a header; without a status line the whole answer is the body, with the status 200.

use std::ops::RangeInclusive;

use super::super::{failure, link::Link};
use crate::{
    model::{Failure, HttpMethod, Reason},
    pattern::Pattern,
};

/// The longest line of a header or between chunks, in bytes.
const LINE: usize = 8 * 1024;

/// The most lines in a header.
const LINES: usize = 128;

/// How much is kept of the fields that the check has expectations of, in bytes.
const EXPECTED: usize = 16 * 1024;

/// The most interim answers (1xx) before the real one.
const INTERIM: usize = 8;

/// The header of an answer.
#[derive(Debug)]
pub(in crate::checks) struct Response {
    pub(in crate::checks) status: u16,
    /// The words after the status.
    words: String,
    location: Option<String>,
    /// The fields that the reader wanted to keep: the name in small letters, and the value.
    kept: Vec<(String, String)>,
    framing: Framing,
    /// Whether a strict reader takes it, too: HTTP/1.1, and each line a field.
    is_strict: bool,
    /// Whether another answer can follow: there is one end of the body, and no `Connection: close`.
    can_go_on: bool,
}

/// Who did not let us in: RFC 9110 sections 15.5.2, 15.5.4 and 15.5.8.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Denial {
    /// The server that the URL names.
    Server,
    /// A proxy before it.
    Proxy,
    /// The one or the other.
    Any,
}

/// Whether a field of this name is to be kept.
type IsKept<'a> = &'a (dyn Fn(&str) -> bool + Sync);

/// Where a body ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Framing {
    /// After this many bytes.
    Length(u64),
    /// Where its chunks do.
    Chunked,
    /// With the connection.
    Close,
}

/// Why no more of a body was read.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum End {
    /// There is no more, or the server sent no more.
    Complete,
    /// Enough was read.
    Limit,
    /// There was no more time.
    Deadline(Failure),
}

/// Reads the header of the answer to a request by this method, and what comes before it.
pub(in crate::checks) async fn read(
    link: &mut Link<'_>,
    method: HttpMethod,
    is_kept: IsKept<'_>,
) -> Result<Response, Failure> {
    for _ in 0..INTERIM {
        let response = read_one(link, method, is_kept).await?;
        if !matches!(response.status, 100 | 102..=199) {
            return Ok(response);
        }
    }
    Err(failure(Reason::Protocol, format!("{} sent only interim answers", link.peer())))
}

async fn read_one(
    link: &mut Link<'_>,
    method: HttpMethod,
    is_kept: IsKept<'_>,
) -> Result<Response, Failure> {
    // The status line stays in the buffer until it is known to be one.
    let status = loop {
        let line =
            link.buffered().split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        if line.len() > LINE {
            let detail = format!("{} sent a line of more than {LINE} bytes", link.peer());
            return Err(failure(Reason::Protocol, detail));
        }
        if line.ends_with(b"\n") {
            break parse_status(line);
        }
        match link.fill().await {
            Ok(true) => {}
            Ok(false) | Err(Failure { reason: Reason::Reset, .. })
                if !link.buffered().is_empty() =>
            {
                break parse_status(link.buffered());
            }
            Ok(false) => return Err(link.closed()),
            Err(fault) => return Err(fault),
        }
    };
    let Some((status, words)) = status else {
        let words = "(no status line)".to_owned();
        let (location, kept) = (None, Vec::new());
        let framing = Framing::Close;
        let (status, is_strict, can_go_on) = (200, false, false);
        return Ok(Response { status, words, location, kept, framing, is_strict, can_go_on });
    };
    let words = String::from_utf8_lossy(&link.starred(words.as_bytes())).into_owned();
    let is_1_1 = line(link).await?.starts_with(b"HTTP/1.1 ");
    let fields = Fields::read(link, is_kept).await?;
    let framing = match (method, fields.transfer_encoding.as_deref(), fields.content_length) {
        (HttpMethod::Head, _, _) => Framing::Length(0),
        // What it says of a body is said of the one that it does not send.
        _ if status == 304 => Framing::Length(0),
        (_, Some(encodings), _) => match encodings.rsplit(',').next().map(str::trim) {
            Some(last) if last.eq_ignore_ascii_case("chunked") => Framing::Chunked,
            // Nothing says where such a body ends, and nothing of it can be read.
            _ => Framing::Length(0),
        },
        (_, None, Some(length)) => Framing::Length(length),
        (_, None, None) if matches!(status, 100..=199 | 204) => Framing::Length(0),
        (_, None, None) => Framing::Close,
    };
    let is_sized = match framing {
        Framing::Chunked => {
            fields.lengths == 0
                && fields.transfer_encoding.is_some_and(|all| all.eq_ignore_ascii_case("chunked"))
        }
        Framing::Length(_) => {
            fields.transfer_encoding.is_none()
                && fields.lengths <= 1
                && (fields.lengths == 0 || fields.content_length.is_some())
        }
        Framing::Close => false,
    };
    let is_strict = is_1_1 && !fields.is_odd;
    let can_go_on = is_strict && is_sized && !fields.closes && status >= 200;
    let Fields { location, kept, .. } = fields;
    Ok(Response { status, words, location, kept, framing, is_strict, can_go_on })
}

/// A line of a header that has begun, or what is left of it when the server breaks off: what came of it counts.
async fn line(link: &mut Link<'_>) -> Result<Vec<u8>, Failure> {
    match link.line(LINE).await {
        Err(Failure { reason: Reason::Reset, .. }) => {
            let rest = link.buffered().to_vec();
            link.consume(rest.len());
            Ok(rest)
        }
        read => read,
    }
}

/// The status and its words in `HTTP/1.1 200 OK`.
fn parse_status(line: &[u8]) -> Option<(u16, String)> {
    let line = String::from_utf8_lossy(line.strip_prefix(b"HTTP/")?);
    let (_version, rest) = line.split_once(|character: char| character.is_ascii_whitespace())?;
    let mut parts = rest.split_ascii_whitespace();
    let status = parts.next().filter(|code| code.len() == 3)?.parse().ok()?;
    let words: Vec<_> = parts.collect();
    let words =
        words.join(" ").chars().filter(|character| !character.is_control()).take(100).collect();
    (100..600).contains(&status).then_some((status, words))
}

/// The header fields that decide something.
#[derive(Default)]
struct Fields {
    transfer_encoding: Option<String>,
    content_length: Option<u64>,
    location: Option<String>,
    kept: Vec<(String, String)>,
    /// How many lengths of the body there are.
    lengths: usize,
    /// Whether the server closes the connection.
    closes: bool,
    /// Whether there are lines that a field must not have.
    is_odd: bool,
}

impl Fields {
    async fn read(link: &mut Link<'_>, is_kept: IsKept<'_>) -> Result<Fields, Failure> {
        let mut fields = Fields::default();
        let mut unfinished: Option<(String, String)> = None;
        for _ in 0..LINES {
            let line = line(link).await?;
            // The last one broke off.
            fields.is_odd |= !line.ends_with(b"\n");
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if let (Some((_, value)), true) = (&mut unfinished, line.starts_with([' ', '\t'])) {
                fields.is_odd = true;
                // Of lines that are one there may be a hundred.
                if value.len().saturating_add(line.len()) < LINE {
                    value.push(' ');
                    value.push_str(line.trim());
                }
                continue;
            }
            if let Some((name, value)) = unfinished.take() {
                fields.set(&name, value, is_kept);
            }
            if line.is_empty() {
                return Ok(fields);
            }
            // A line that is no field is passed over.
            unfinished = line
                .split_once(':')
                .filter(|(name, _)| !name.trim_end().contains([' ', '\t']))
                .map(|(name, value)| {
                    fields.is_odd |= name.trim_end() != name;
                    (name.trim_end().to_ascii_lowercase(), value.trim().to_owned())
                });
            fields.is_odd |= unfinished.is_none();
        }
        Err(failure(
            Reason::Protocol,
            format!("{} sent a header of more than {LINES} lines", link.peer()),
        ))
    }

    fn set(&mut self, name: &str, value: String, is_kept: IsKept<'_>) {
        let kept: usize = self.kept.iter().map(|(_, value)| value.len()).sum();
        if kept.saturating_add(value.len()) <= EXPECTED && is_kept(name) {
            self.kept.push((name.to_owned(), value.clone()));
        }
        match name {
            "transfer-encoding" if !value.is_empty() => match &mut self.transfer_encoding {
                Some(encodings) => {
                    // The last one decides.
                    if encodings.len().saturating_add(value.len()) > LINE {
                        encodings.clear();
                    }
                    encodings.push(',');
                    encodings.push_str(&value);
                }
                None => self.transfer_encoding = Some(value),
            },
            "connection" => {
                let mut words = value.split(',');
                self.closes |= words.any(|word| word.trim().eq_ignore_ascii_case("close"));
            }
            "content-length" => {
                self.lengths = self.lengths.saturating_add(1);
                self.is_odd |= !value.bytes().all(|byte| byte.is_ascii_digit());
                // Values that are no number, or none that a body can have, are passed over.
                let digits = value.split_ascii_whitespace().next().unwrap_or_default();
                if (1..=15).contains(&digits.len())
                    && digits.bytes().all(|byte| byte.is_ascii_digit())
                {
                    self.content_length = digits.parse().ok();
                }
            }
            "location" if self.location.is_none() => self.location = Some(value),
            _ => {}
        }
    }
}

impl Response {
    /// Whether the status is one of these; where there are none, one of 2xx.
    pub(super) fn has_status(&self, good: &[RangeInclusive<u16>]) -> bool {
        match good {
            [] => (200..300).contains(&self.status),
            good => good.iter().any(|range| range.contains(&self.status)),
        }
    }

    /// Whether it can only be the answer to what was asked last. A server that closes a connection nobody has used for long
    /// may say 408 before (RFC 9110 section 15.5.9), which answers nothing.
    pub(super) fn is_fresh(&self) -> bool {
        self.is_strict && self.status != 408
    }

    /// Who did not let us in, if that is what the status says.
    pub(super) fn denial(&self) -> Option<Denial> {
        match self.status {
            401 => Some(Denial::Server),
            403 => Some(Denial::Any),
            407 => Some(Denial::Proxy),
            _ => None,
        }
    }

    /// The values of a field that was to be kept.
    pub(in crate::checks) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let found = self.kept.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Looks whether the header has each of these fields, with what is expected in it.
    pub(in crate::checks) fn meets(&self, expected: &[(String, Pattern)]) -> Result<(), Failure> {
        for (name, pattern) in expected {
            if !self.values(name).any(|value| pattern.is_match(value.as_bytes())) {
                // What came instead may be a cookie, or something else that is nobody's business.
                let fault = match self.values(name).next() {
                    Some(_) => format!("but its header {name} does not match the pattern"),
                    None => format!("but it has no header {name}"),
                };
                let detail = format!("{}, {fault}", self.status_line());
                return Err(failure(Reason::Mismatch, detail));
            }
        }
        Ok(())
    }

    /// `200 OK`.
    pub(in crate::checks) fn status_line(&self) -> String {
        format!("{} {}", self.status, self.words).trim_end().to_owned()
    }

    /// Where the answer says that what was asked for is.
    pub(super) fn location(&self) -> Option<String> {
        matches!(self.status, 301 | 302 | 303 | 307 | 308).then(|| self.location.clone()).flatten()
    }

    /// Reads so much of the body, in bytes, and keeps it if it is wanted. Says also whether another answer can follow.
    pub(super) async fn body(
        &self,
        link: &mut Link<'_>,
        most: u32,
        wanted: bool,
    ) -> (Vec<u8>, End, bool) {
        let left = u64::from(most);
        let mut body = Body { kept: Vec::new(), left, wanted, is_orderly: self.can_go_on };
        let end = match self.framing {
            Framing::Length(length) => body.take(link, length).await,
            Framing::Close => body.take(link, u64::MAX).await,
            Framing::Chunked => body.take_chunks(link).await,
        };
        let can_go_on = end.is_ok() && body.is_orderly;
        (body.kept, end.err().unwrap_or(End::Complete), can_go_on)
    }
}

/// A body being read.
struct Body {
    kept: Vec<u8>,
    /// How much more may be read.
    left: u64,
    wanted: bool,
    /// Whether it ends where everybody sees it end.
    is_orderly: bool,
}

impl Body {
    /// Takes this many bytes; the error says why it are fewer.
    async fn take(&mut self, link: &mut Link<'_>, mut count: u64) -> Result<(), End> {
        while count > 0 {
            if self.left == 0 {
                return Err(End::Limit);
            }
            if link.buffered().is_empty() && !link.fill().await.map_err(cut)? {
                return Err(End::Complete);
            }
            let here = link.buffered();
            let length =
                usize::try_from(count.min(self.left)).unwrap_or(usize::MAX).min(here.len());
            if self.wanted {
                if self.kept.capacity().saturating_sub(self.kept.len()) < length {
                    // Twice as much, but no more than there will be.
                    let room = usize::try_from(self.left).unwrap_or(usize::MAX);
                    self.kept.reserve_exact(self.kept.len().max(length).min(room));
                }
                self.kept.extend_from_slice(here.get(..length).unwrap_or_default());
            }
            link.consume(length);
            let taken = u64::try_from(length).unwrap_or(u64::MAX);
            (self.left, count) = (self.left.saturating_sub(taken), count.saturating_sub(taken));
        }
        Ok(())
    }

    /// Takes chunks up to the empty one, or to the first that is none.
    async fn take_chunks(&mut self, link: &mut Link<'_>) -> Result<(), End> {
        loop {
            let line = link.line(LINE).await.map_err(cut)?;
            // What lies between chunks counts, lest a server feed us that for ever.
            self.left = self.left.saturating_sub(u64::try_from(line.len()).unwrap_or(u64::MAX));
            let line = String::from_utf8_lossy(&line);
            let digits = line.split(';').next().unwrap_or_default().trim_end();
            // A sign, which the parser would take, is no digit.
            let digits = if digits.starts_with('+') { "" } else { digits };
            match u64::from_str_radix(digits, 16) {
                Ok(0) => {
                    // Fields behind the body are not waited for.
                    let ends = link.buffered() == b"\r\n";
                    link.consume(if ends { 2 } else { 0 });
                    self.is_orderly &= ends && !digits.is_empty();
                    return Ok(());
                }
                Err(_) => {
                    self.is_orderly = false;
                    return Ok(());
                }
                Ok(length) => self.take(link, length).await?,
            }
            let end = link.line(LINE).await.map_err(cut)?;
            self.is_orderly &= end == b"\r\n";
            if !end.trim_ascii().is_empty() {
                self.is_orderly = false;
                return Ok(());
            }
        }
    }
}

/// A fault in a body is its end, as long as there is time.
fn cut(fault: Failure) -> End {
    match fault.reason {
        Reason::Timeout => End::Deadline(fault),
        _ => End::Complete,
    }
}
