//! What the protocols that talk in lines have in common: lines, numbered replies, and how they are shown to people.
//!
//! FTP, SMTP and NNTP answer with numbers: RFC 959 section 4.2, RFC 5321 section 4.2, RFC 3977 section 3.2.
//! A line ends with LF, whether or not CR stands before it; one that ends with the connection was broken off and is
//! a failure. Lines and replies are bounded far above what the protocols allow, because banners are written by people.
//!
//! Differs from ldirectord: `negotiatetimeout` is for the whole conversation; there it is for each step of it, and
//! nothing limits pop, the login of imap and the connection of nntp.

use zeroize::Zeroizing;

use super::{failure, link::Link};
use crate::model::{Failure, Pass, Reason, Secret, Verdict};

/// The longest line, in bytes.
const LINE: usize = 8 * 1024;

/// The longest reply of several lines, in bytes.
pub(super) const REPLY: usize = 64 * 1024;

/// How much of what a server said is shown, in characters.
const SHOWN: usize = 200;

/// The next line, without its end.
pub(super) async fn line(link: &mut Link<'_>) -> Result<Vec<u8>, Failure> {
    let mut line = link.line(LINE).await?;
    match line.pop() {
        Some(b'\n') => {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            Ok(line)
        }
        Some(_) => {
            let detail = format!("{} closed the connection in the middle of a line", link.peer());
            Err(failure(Reason::Reset, detail))
        }
        None => Err(link.closed()),
    }
}

/// What is sent for a text of the configuration in which `\n` stands for a line feed.
pub(super) fn with_line_feeds(written: &[u8]) -> Vec<u8> {
    let mut rest = written;
    let mut bytes = Vec::with_capacity(rest.len());
    while let [first, others @ ..] = rest {
        let (after, byte) = match rest.strip_prefix(br"\n") {
            Some(others) => (others, b'\n'),
            None => (others, *first),
        };
        bytes.push(byte);
        rest = after;
    }
    bytes
}

/// Reads a numbered greeting, which must be a good one.
pub(super) async fn greeting(link: &mut Link<'_>, secret: &Secret) -> Result<(), Failure> {
    let greeting = reply(link).await?;
    if greeting.is_done() { Ok(()) } else { Err(not_welcome(link, &greeting.shown(secret))) }
}

/// That a server greets with this, and not as one that works.
pub(super) fn not_welcome(link: &Link<'_>, said: &str) -> Failure {
    failure(Reason::Protocol, format!("{} greeted with {said}", link.peer()))
}

/// That a server does not let us in, and says this.
pub(super) fn denied(link: &Link<'_>, login: &str, said: &str) -> Failure {
    failure(Reason::Denied, format!("{} refused the login of {login}: {said}", link.peer()))
}

/// Sends a line. What is configured may be in it, but cannot be a command of its own.
pub(super) async fn command(link: &mut Link<'_>, line: &[u8]) -> Result<(), Failure> {
    if line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        let detail =
            "the login, the password or the request has a line end in it, which cannot be sent";
        return Err(failure(Reason::Internal, detail));
    }
    link.send(&Zeroizing::new([line, b"\r\n"].concat())).await
}

/// Ends the conversation with a server that works, and waits for its goodbye, whatever that may be.
pub(super) async fn part(link: &mut Link<'_>, goodbye: &[u8]) -> Verdict {
    if command(link, goodbye).await.is_ok() {
        drop(line(link).await);
    }
    Ok(Pass::default())
}

/// A numbered reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Reply {
    /// The number, from 100 to 599.
    pub(super) code: u16,
    /// What stands after the number, of all lines, or of the first of them when there are many.
    pub(super) text: Vec<u8>,
}

impl Reply {
    /// Whether what was asked for has been done.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.code, 200..=299)
    }

    /// The reply on one line, for people.
    pub(super) fn shown(&self, secret: &Secret) -> String {
        format!("{} {}", self.code, shown(&self.text, secret)).trim_end().to_owned()
    }
}

/// Reads a numbered reply.
pub(super) async fn reply(link: &mut Link<'_>) -> Result<Reply, Failure> {
    reply_and(link, |_| {}).await
}

/// Reads a numbered reply, and hands on what stands after the number in each line but the first. A reply of several lines
/// ends with the line that has its number and no `-` after it.
pub(super) async fn reply_and(
    link: &mut Link<'_>,
    mut look: impl FnMut(&[u8]),
) -> Result<Reply, Failure> {
    let first = line(link).await?;
    let Some((code, mut is_last)) = numbered(&first) else {
        let said = shown(&link.starred(&first), &Secret::default());
        let detail = format!("{} sent no reply with a number, but: {said}", link.peer());
        return Err(failure(Reason::Protocol, detail));
    };
    let mut text = first.get(4..).unwrap_or_default().to_vec();
    let mut length = first.len();
    while !is_last {
        let next = line(link).await?;
        length = length.saturating_add(next.len()).saturating_add(1);
        if length > REPLY {
            return Err(too_long(link));
        }
        let of_reply = numbered(&next).filter(|(number, _)| *number == code);
        let start = if of_reply.is_some() { 4 } else { 0 };
        let rest = next.get(start..).unwrap_or_default();
        look(rest);
        if text.len() < SHOWN {
            text.push(b' ');
            text.extend_from_slice(rest);
        }
        is_last = of_reply.is_some_and(|(_, is_last)| is_last);
    }
    Ok(Reply { code, text })
}

/// That a reply has no end.
pub(super) fn too_long(link: &Link<'_>) -> Failure {
    let detail = format!("{} sent a reply of more than {REPLY} bytes", link.peer());
    failure(Reason::Protocol, detail)
}

/// Sends a line and reads the reply to it.
pub(super) async fn ask(link: &mut Link<'_>, line: &[u8]) -> Result<Reply, Failure> {
    command(link, line).await?;
    reply(link).await
}

/// The number that a line begins with, and whether the reply ends with this line.
fn numbered(line: &[u8]) -> Option<(u16, bool)> {
    let (number, rest) = line.split_at_checked(3)?;
    if !matches!(number, [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9']) {
        return None;
    }
    let code = std::str::from_utf8(number).ok()?.parse().ok()?;
    Some((code, rest.first() != Some(&b'-')))
}

/// What a server said, on one line, shortened, and without the secret that we had told it.
pub(super) fn shown(said: &[u8], secret: &Secret) -> String {
    let mut text = String::from_utf8_lossy(said).into_owned();
    if !secret.0.is_empty() {
        let encoded = Zeroizing::new(openssl::base64::encode_block(secret.0.as_bytes()));
        text = text.replace(&secret.0, "***").replace(encoded.as_str(), "***");
    }
    let text = text.trim();
    let mut shown = String::with_capacity(text.len().min(SHOWN));
    for character in text.chars().take(SHOWN) {
        match character {
            '\t' => shown.push(' '),
            _ if character.is_control() => shown.extend(character.escape_default()),
            _ => shown.push(character),
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_three_digits_from_100_to_599() {
        for (line, expected) in [
            ("220 hello", Some((220, true))),
            ("220-hello", Some((220, false))),
            ("599", Some((599, true))),
            ("100\thello", Some((100, true))),
            ("099 hello", None),
            ("600 hello", None),
            ("22 hello", None),
            ("+20 hello", None),
            ("22", None),
            ("", None),
        ] {
            assert_eq!(numbered(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn what_is_shown_is_short_and_visible_and_keeps_secrets() {
        let secret = Secret("hunter2".into());
        let show = |said: &[u8]| shown(said, &secret);
        assert_eq!(show(b" no such user \r\n"), "no such user");
        assert_eq!(show(b"unknown command PASS hunter2"), "unknown command PASS ***");
        assert_eq!(show(b"unknown command aHVudGVyMg=="), "unknown command ***");
        assert_eq!(show(b"a\tb\x1b[2J\xff"), "a b\\u{1b}[2J\u{fffd}");
        assert_eq!(show(&[b'x'; 201]), format!("{}…", "x".repeat(200)));
        assert_eq!(shown(b"hunter2", &Secret::default()), "hunter2");
    }
}
