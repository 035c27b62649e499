//! The three values with a grammar of their own: `virtual`, `real` and `fallback`.
//!
//! Text in, parts as written out; names stay names. The grammars are as loose as ldirectord's, whose every
//! step looks for the next thing it knows and skips what is before it: what it takes for a server is taken
//! for the same server here, and what is skipped is reported.

use std::ops::Range;

use super::{
    draft::{FallbackText, VirtualText},
    syntax::is_blank,
    value::{first_run, is_word, shown, slice},
};
use crate::model::{Forwarding, Tunnel, Weight};

/// What is wrong with a value, and where in its text.
pub(super) struct Fault {
    pub(super) code: &'static str,
    pub(super) at: Range<usize>,
    pub(super) message: String,
    pub(super) hint: String,
    /// What ldirectord prints; nothing where it accepts the value.
    pub(super) says: Option<String>,
}

impl Fault {
    fn new(code: &'static str, at: Range<usize>, message: impl Into<String>) -> Fault {
        Fault { code, at, message: message.into(), hint: String::new(), says: None }
    }

    fn says(self, text: impl Into<String>) -> Fault {
        Fault { says: Some(text.into()), ..self }
    }

    fn hint(self, hint: impl Into<String>) -> Fault {
        Fault { hint: hint.into(), ..self }
    }
}

/// The text from here to its end, without blanks behind it.
fn rest_of(text: &[u8], from: usize) -> Range<usize> {
    from.min(text.len())..text.trim_ascii_end().len().max(from).min(text.len())
}

fn owned(text: &[u8], range: Range<usize>) -> String {
    shown(slice(text, range)).into_owned()
}

/// How many bytes from here on satisfy a test.
fn run_from(text: &[u8], from: usize, test: impl Fn(u8) -> bool) -> usize {
    text.get(from..).unwrap_or_default().iter().take_while(|byte| test(**byte)).count()
}

fn is_port(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

/// The port behind the `:` at this place.
fn port_after(text: &[u8], colon: usize) -> Option<Range<usize>> {
    if text.get(colon) != Some(&b':') {
        return None;
    }
    let length = run_from(text, colon + 1, is_port);
    (length > 0).then_some(colon + 1..colon + 1 + length)
}

/// `[`, hexadecimal digits and colons, `]`: how many bytes they take at this place.
fn bracketed(text: &[u8], from: usize) -> Option<usize> {
    if text.get(from) != Some(&b'[') {
        return None;
    }
    let length = run_from(text, from + 1, |byte| byte.is_ascii_hexdigit() || byte == b':');
    let closed = text.get(from + 1 + length) == Some(&b']');
    (length > 0 && closed).then_some(length + 2)
}

// === virtual, virtual6 ===

/// The address of a virtual service, and where what is ignored begins.
pub(super) fn virtual_address(text: &[u8], six: bool) -> Result<(VirtualText, usize), Fault> {
    let host = run_from(text, 0, |byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte));
    if host > 0
        && let Some(port) = port_after(text, host)
    {
        let end = port.end;
        let address = VirtualText::Address { host: owned(text, 0..host), port: owned(text, port) };
        return Ok((address, end));
    }
    let whole = rest_of(text, 0);
    let digits = run_from(text, 0, |byte| byte.is_ascii_digit());
    if digits > 0 && text.get(digits) == Some(&b'.') {
        return Err(Fault::new("E0302", whole, "the address has no port").hint(format!(
            "write {}:PORT; ldirectord takes this for firewall mark {}",
            shown(slice(text, 0..host)),
            shown(slice(text, 0..digits))
        )));
    }
    if digits > 0 {
        let mark = owned(text, 0..digits).parse::<u128>().unwrap_or(u128::MAX);
        return match u32::try_from(mark) {
            Ok(mark) => Ok((VirtualText::Mark(mark), digits)),
            Err(_) => Err(Fault::new("E0312", 0..digits, "a firewall mark is at most 4294967295")),
        };
    }
    let bad = |message: &str| {
        Fault::new("E0301", whole.clone(), message).says("invalid address for virtual server")
    };
    if let Some(length) = bracketed(text, 0)
        && let Some(port) = port_after(text, length)
    {
        let inside = owned(text, 1..length - 1);
        if !six {
            return Err(Fault::new("E0303", whole, "an IPv6 address cannot stand in `virtual`")
                .says("cannot specify an IPv6 address here. please use \"virtual6\" instead.")
                .hint(format!("write virtual6={}", owned(text, 0..text.len()).trim_end())));
        }
        if inside.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(Fault::new("E0301", 0..length, format!("`{inside}` is no IPv6 address"))
                .says("invalid ipv6 address for virtual server"));
        }
        let end = port.end;
        return Ok((VirtualText::Address { host: inside, port: owned(text, port) }, end));
    }
    Err(match (text.first(), host) {
        (None, _) => bad("the virtual service has no address"),
        (Some(b'"' | b'\''), _) => bad("the address stands without quotes"),
        (Some(b'['), _) => bad("the address is not of the form [ADDRESS]:PORT")
            .hint("for example: virtual6=[2001:db8::1]:80"),
        (_, length) if length == whole.len() => bad("the host name has no port").hint(format!(
            "write {}:PORT, for example {}:80",
            shown(slice(text, 0..host)),
            shown(slice(text, 0..host))
        )),
        _ => bad("this is neither ADDRESS:PORT nor a firewall mark")
            .hint("for example: virtual=192.0.2.1:80"),
    })
}

// === real, real6 ===

/// The parts of a `real` line.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) end_host: Option<String>,
    pub(super) port: Option<String>,
    pub(super) forwarding: Forwarding,
    pub(super) weight: Weight,
    /// The request as written, and what its answer must contain.
    pub(super) own: Option<(Range<usize>, Range<usize>)>,
    pub(super) lower: u32,
    pub(super) upper: u32,
    /// What is skipped.
    pub(super) ignored: Vec<Range<usize>>,
}

/// The host at this place: where it ends.
fn host_at(text: &[u8], from: usize) -> Option<usize> {
    if let Some(length) = bracketed(text, from) {
        return Some(from + length);
    }
    let host = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    let end = from + run_from(text, from, host);
    // The `-` of a `->` is not the host's.
    let end = match (text.get(end.wrapping_sub(1)), text.get(end)) {
        (Some(b'-'), Some(b'>')) => end - 1,
        _ => end,
    };
    (end > from).then_some(end)
}

/// The first server of a text, `HOST[->HOST][:PORT]` with a blank behind it: its parts and where it ends.
type Found = (Range<usize>, Option<Range<usize>>, Option<Range<usize>>, usize);

fn find_server(text: &[u8]) -> Option<Found> {
    let mut start = 0;
    while start < text.len() {
        let Some(end) = host_at(text, start) else {
            start += 1;
            continue;
        };
        let arrow = slice(text, end..end + 2) == b"->";
        let range_end = if arrow { host_at(text, end + 2) } else { None };
        let hosts_end = range_end.unwrap_or(end);
        let port = port_after(text, hosts_end);
        let all_end = port.as_ref().map_or(hosts_end, |port| port.end);
        let blanks = run_from(text, all_end, is_blank);
        if blanks > 0 {
            return Some((start..end, range_end.map(|last| end + 2..last), port, all_end));
        }
        // Nothing that begins within this host can end otherwise.
        start = end;
    }
    None
}

/// Reads a forwarding method.
fn method(word: &[u8]) -> Option<Forwarding> {
    match word {
        b"gate" => Some(Forwarding::Route),
        b"masq" => Some(Forwarding::Masquerade),
        b"ipip" => Some(Forwarding::Tunnel(Tunnel::Ipip)),
        _ => None,
    }
}

const METHOD: &str = "forward method must be gate, masq or ipip";

fn no_method(text: &[u8], at: Range<usize>) -> Fault {
    let word = owned(text, at.clone());
    let message = match word.is_empty() {
        true => "the forwarding method is missing".to_owned(),
        false => format!("`{word}` is no forwarding method"),
    };
    Fault::new("E0306", at, message).says(METHOD).hint("write gate, masq or ipip after the address")
}

/// A blank, then `before`, then digits, from here on: the whole place of it and that of the digits.
fn find_number(text: &[u8], from: usize, before: &[u8]) -> Option<(Range<usize>, Range<usize>)> {
    (from..text.len()).find_map(|at| {
        let digits = at + 1 + before.len();
        let here = text.get(at).is_some_and(|byte| is_blank(*byte))
            && slice(text, at + 1..digits) == before;
        let length = if here { run_from(text, digits, |byte| byte.is_ascii_digit()) } else { 0 };
        (length > 0).then_some((at..digits + length, digits..digits + length))
    })
}

/// A number that the kernel takes: up to 2^31 - 1.
fn number(text: &[u8], at: Range<usize>, code: &'static str, what: &str) -> Result<u32, Fault> {
    let digits = owned(text, at.clone());
    match digits.parse::<u128>().ok().and_then(|number| u32::try_from(number).ok()) {
        Some(number) if number <= Weight::MAX.get() => Ok(number),
        _ => Err(Fault::new(code, at, format!("{what} {digits} is beyond {}", Weight::MAX))
            .hint("the kernel refuses more")),
    }
}

/// A blank, then two texts in double quotes with a comma or blanks between: both, and where the second ends.
fn find_pair(text: &[u8], from: usize) -> Option<(Range<usize>, Range<usize>)> {
    let start = (from + 1..text.len()).find(|at| {
        text.get(*at) == Some(&b'"') && text.get(at - 1).is_some_and(|byte| is_blank(*byte))
    })?;
    let last = text.iter().rposition(|byte| *byte == b'"')?;
    (start + 1..last).rev().find_map(|close| {
        let between = text.get(close + 1).is_some_and(|byte| *byte == b',' || is_blank(*byte));
        let open = close + 2 + run_from(text, close + 2, is_blank);
        (text.get(close) == Some(&b'"') && between && text.get(open) == Some(&b'"') && open < last)
            .then_some((start + 1..close, open + 1..last))
    })
}

/// Reads the value of `real` or `real6`.
pub(super) fn server(text: &[u8]) -> Result<Server, Fault> {
    let Some((host, end_host, port, mut at)) = find_server(text) else {
        return Err(wrong_form(text));
    };
    let mut ignored = Vec::new();
    let mut skip = |range: Range<usize>| {
        let blanks = run_from(text, range.start, is_blank);
        let range = (range.start + blanks).min(range.end)..range.end;
        if !slice(text, range.clone()).trim_ascii().is_empty() {
            ignored.push(range);
        }
    };
    skip(0..host.start);
    let rest = text.get(at..).unwrap_or_default();
    let word =
        first_run(rest, is_word).map_or(rest_of(text, at), |run| run.start + at..run.end + at);
    let Some(forwarding) = method(slice(text, word.clone())) else {
        return Err(no_method(text, word));
    };
    at = word.end;

    let mut weight = Weight::ONE;
    if let Some((place, digits)) = find_number(text, at, b"") {
        let number = number(text, digits, "E0310", "the weight")?;
        weight = Weight::new(number).unwrap_or(Weight::MAX);
        skip(at..place.start);
        at = place.end;
    }
    let own = find_pair(text, at);
    let mut inert = false;
    if let Some((request, receive)) = &own {
        inert = text.get(request.start) == Some(&b'/');
        skip(at..request.start - 1);
        at = receive.end + 1;
    }
    let mut limits = [0; 2];
    for (limit, name) in limits.iter_mut().zip([b"l:", b"u:"]) {
        if let Some((place, digits)) = find_number(text, at, name) {
            *limit = number(text, digits, "E0310", "the number of connections")?;
            skip(at..place.start);
            at = place.end;
        }
    }
    let left = rest_of(text, at);
    if inert {
        skip(left);
    } else if !slice(text, left.clone()).trim_ascii().is_empty() {
        let around = owned(text, left.clone());
        let blanks = run_from(text, at, is_blank);
        return Err(Fault::new("E0308", left.start + blanks..left.end,
            format!("this does not belong on the line of a real server: `{}`", around.trim()))
            .says(format!("Invalid real server line, around \"{around}\""))
            .hint("a line reads: ADDRESS:PORT gate|masq|ipip WEIGHT \"REQUEST\",\"RECEIVE\" l:NUMBER u:NUMBER"));
    }
    let [lower, upper] = limits;
    Ok(Server {
        host: owned(text, host),
        end_host: end_host.map(|range| owned(text, range)),
        port: port.map(|range| owned(text, range)),
        forwarding,
        weight,
        own,
        lower,
        upper,
        ignored,
    })
}

fn wrong_form(text: &[u8]) -> Fault {
    let whole = rest_of(text, 0);
    let fault = |message: &str| {
        Fault::new("E0307", whole.clone(), message)
            .says("invalid address for real server (wrong format)")
    };
    if whole.is_empty() {
        return fault("the real server has no address")
            .hint("for example: real=192.0.2.10:80 masq");
    }
    let line = slice(text, whole.clone());
    if !line.iter().any(|byte| is_blank(*byte)) {
        let address = shown(line.split(|byte| *byte == b',').next().unwrap_or_default());
        return fault("no forwarding method follows the address")
            .hint(format!("write {address} gate (or masq, or ipip)"));
    }
    fault("no ADDRESS:PORT is found in this").hint("for example: real=192.0.2.10:80 masq")
}

// === fallback, fallback6 ===

/// Reads the value of `fallback` or `fallback6`, and says what of it is ignored.
pub(super) fn fallback(text: &[u8], six: bool) -> Result<(FallbackText, Range<usize>), Fault> {
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while let Some(word) = first_run(text.get(at..).unwrap_or_default(), |byte| !is_blank(byte)) {
        words.push(word.start + at..word.end + at);
        at += word.end;
    }
    let (server, forwarding) = match words.as_slice() {
        [] => (0..0, None),
        [server] => (server.clone(), None),
        [.., server, forwarding] => (server.clone(), Some(forwarding.clone())),
    };
    let ignored = 0..if words.len() > 2 { server.start } else { 0 };
    let forwarding = match forwarding {
        None => Forwarding::Route,
        Some(word) => method(slice(text, word.clone())).ok_or_else(|| no_method(text, word))?,
    };
    // The port is what stands behind the last colon, if that is of the right letters; an address may have colons.
    let word = slice(text, server);
    let length = word.iter().rev().take_while(|byte| is_port(**byte)).count();
    let (host, port) = match word.split_at(word.len() - length) {
        ([host @ .., b':'], port) if !port.is_empty() => (host, Some(shown(port).into_owned())),
        _ => (word, None),
    };
    let host = shown(host).into_owned();
    let host = match (host.as_str(), six) {
        ("", false) => "127.0.0.1".to_owned(),
        ("", true) => "[::1]".to_owned(),
        _ => host,
    };
    Ok((FallbackText { host, port, forwarding, span: 0..0 }, ignored))
}
