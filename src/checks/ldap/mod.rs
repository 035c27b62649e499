//! `service=ldap` and `ldaps`: RFC 4511.
//!
//! | we say | we expect |
//! |---|---|
//! | bind with `login` and `passwd`, without both as nobody | success |
//! | search for the object `request`, and no attributes of it | exactly one entry, whose name `receive` matches, and success |
//! | unbind | |
//!
//! With `starttls=yes` the first thing that we say is the extended request to start TLS (section 4.14); when the server has
//! agreed, all else is said over TLS.
//!
//! The request is a name (DN) behind the `/` that ldirectord adds; without it the root of the server (rootDSE).
//! Aliases are followed to the object; references to other servers are not.
//! The name is matched as the server writes it.
//!
//! Differs from ldirectord: a failed bind or connection counts as one failure, and not as two.
//! Differs from ldirectord: attributes are not asked for, and we unbind.

mod ber;

use zeroize::Zeroizing;

use self::ber::{
    BOOLEAN, Begin, ENUMERATED, INTEGER, OCTET_STRING, Reader, SEQUENCE, begin, constructed, tagged,
};
use super::{Protocol, Question, failure, link::Link, shown};
use crate::model::{Carrier, Failure, Pass, ProtocolInfo, Reason, Verdict};

/// The longest message, in bytes.
const MESSAGE: usize = 32 * 1024;

/// How many messages may answer a search.
const MESSAGES: usize = 100;

/// Tags of messages (RFC 4511, section 4).
const BIND_REQUEST: u8 = 0x60;
const BIND_RESPONSE: u8 = 0x61;
const UNBIND_REQUEST: u8 = 0x42;
const SEARCH_REQUEST: u8 = 0x63;
const SEARCH_ENTRY: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const SEARCH_REFERENCE: u8 = 0x73;
const EXTENDED_REQUEST: u8 = 0x77;
const EXTENDED_RESPONSE: u8 = 0x78;

/// The name of the extended request to start TLS.
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";

/// Tags inside of them: the name of an extended request, a password, and the filter that asks whether there is such an
/// attribute.
const REQUEST_NAME: u8 = 0x80;
const SIMPLE: u8 = 0x80;
const PRESENT: u8 = 0x87;

/// The version that everybody speaks.
const VERSION: u8 = 3;

/// Aliases are followed to find the object, as ldirectord has it.
const FINDING_BASE_OBJECT: u8 = 2;

/// The numbers of our messages.
const BIND: u8 = 1;
const SEARCH: u8 = 2;
const UNBIND: u8 = 3;
const EXTENDED: u8 = 4;

pub(super) const PROTOCOLS: &[Protocol] = &[
    Protocol {
        info: ProtocolInfo {
            name: "ldap",
            default_port: Some(389),
            carrier: Carrier::StartTls,
            directives: &["request", "receive", "login", "passwd"],
            doc: "Logs in with `login` and `passwd`, or as nobody without both, and searches for the object that `request` \
                  names. The real server works when there is one and its name matches `receive`.",
        },
        talk: |question, link| Box::pin(talk(question, link)),
    },
    Protocol {
        info: ProtocolInfo {
            name: "ldaps",
            default_port: Some(636),
            carrier: Carrier::Tls,
            directives: &["request", "receive", "login", "passwd", "virtualhost"],
            doc: "As ldap, over TLS.",
        },
        talk: |question, link| Box::pin(talk(question, link)),
    },
];

async fn talk(question: &Question<'_>, link: &mut Link<'_>) -> Verdict {
    let negotiate = question.negotiate;
    let (mut login, mut passwd) = (negotiate.login.as_str(), negotiate.passwd.0.as_str());
    if login.is_empty() || passwd.is_empty() {
        (login, passwd) = ("", "");
    }
    if negotiate.tls.start {
        link.start_tls(negotiate, |_, link| Box::pin(agree(link))).await?;
    }
    link.send(&bind(login, passwd)).await?;
    let bound = next(link, BIND).await?;
    let Reply::Bound(outcome) = bound else { return Err(unexpected(link, "a bind")) };
    outcome.succeeded("bind", link)?;

    let base = negotiate.request.get(1..).unwrap_or_default();
    link.send(&search(base)).await?;
    let mut found = None;
    for _ in 0..MESSAGES {
        match next(link, SEARCH).await? {
            Reply::Entry(_) if found.is_some() => {
                let detail = "more than one entry for one object";
                return Err(failure(Reason::Protocol, detail));
            }
            Reply::Entry(name) => found = Some(name),
            Reply::Reference => {}
            Reply::Done(outcome) => {
                outcome.succeeded("search", link)?;
                // Whether the server hears it is its own affair.
                let _unheard = link.send(&message(UNBIND, tagged(UNBIND_REQUEST, &[]))).await;
                return judge(question, link, base, found);
            }
            Reply::Bound(_) | Reply::Extended(_) => return Err(unexpected(link, "a search")),
        }
    }
    let detail = format!("{} sent {MESSAGES} messages, and no end of the search", link.peer());
    Err(failure(Reason::Protocol, detail))
}

/// Agrees with the server that TLS begins.
async fn agree(link: &mut Link<'_>) -> Result<(), Failure> {
    let request = constructed(EXTENDED_REQUEST, &[tagged(REQUEST_NAME, START_TLS)]);
    link.send(&message(EXTENDED, request)).await?;
    match next(link, EXTENDED).await? {
        Reply::Extended(Outcome { code: 0, .. }) => Ok(()),
        Reply::Extended(outcome) => {
            let why = outcome.fault("STARTTLS", link).detail;
            Err(link.no_tls(&format!("does not start TLS ({why})")))
        }
        _ => Err(unexpected(link, "STARTTLS")),
    }
}

fn judge(question: &Question<'_>, link: &Link<'_>, base: &[u8], found: Option<Vec<u8>>) -> Verdict {
    let Some(name) = found else {
        let detail = format!("there is no entry for {}", named(base));
        return Err(failure(Reason::Mismatch, detail));
    };
    let shown = named(&link.starred(&name));
    match &question.negotiate.receive {
        Some(pattern) if !pattern.is_match(&name) => {
            let detail = format!("the name {shown} does not match the pattern");
            Err(failure(Reason::Mismatch, detail))
        }
        _ => Ok(Pass { detail: shown }),
    }
}

/// A name for people.
fn named(name: &[u8]) -> String {
    if name.is_empty() { "the root".to_owned() } else { shown(name) }
}

fn unexpected(link: &Link<'_>, asked: &str) -> Failure {
    failure(Reason::Protocol, format!("{} sent something else to {asked}", link.peer()))
}

fn message(number: u8, operation: Vec<u8>) -> Vec<u8> {
    constructed(SEQUENCE, &[tagged(INTEGER, &[number]), operation])
}

fn bind(login: &str, passwd: &str) -> Zeroizing<Vec<u8>> {
    let parts = Zeroizing::new([
        tagged(INTEGER, &[VERSION]),
        tagged(OCTET_STRING, login.as_bytes()),
        tagged(SIMPLE, passwd.as_bytes()),
    ]);
    let bind = constructed(BIND_REQUEST, &*parts);
    let message = Zeroizing::new([tagged(INTEGER, &[BIND]), bind]);
    constructed(SEQUENCE, &*message).into()
}

fn search(base: &[u8]) -> Vec<u8> {
    let parts = [
        tagged(OCTET_STRING, base),
        // The object alone.
        tagged(ENUMERATED, &[0]),
        tagged(ENUMERATED, &[FINDING_BASE_OBJECT]),
        // No limit of entries and of seconds; values of attributes, too.
        tagged(INTEGER, &[0]),
        tagged(INTEGER, &[0]),
        tagged(BOOLEAN, &[0]),
        tagged(PRESENT, b"objectClass"),
        // No attributes (RFC 4511, section 4.5.1.8).
        constructed(SEQUENCE, &[tagged(OCTET_STRING, b"1.1")]),
    ];
    message(SEARCH, constructed(SEARCH_REQUEST, &parts))
}

/// Reads messages until one is the answer to this one of ours.
async fn next(link: &mut Link<'_>, number: u8) -> Result<Reply, Failure> {
    let garbled = |link: &Link<'_>| {
        // What looks like LDAP may be an echo of our password.
        let start = match link.buffered() {
            [SEQUENCE, ..] => String::new(),
            other => format!(": {}", shown(&link.starred(other))),
        };
        let detail = format!("{} sent something that is no answer in LDAP{start}", link.peer());
        failure(Reason::Protocol, detail)
    };
    let head = loop {
        match begin(link.buffered()) {
            Begin::Head(head) if head.tag == SEQUENCE => break head,
            Begin::Short => link.at_least(link.buffered().len().saturating_add(1)).await?,
            Begin::Head(_) | Begin::Wrong => return Err(garbled(link)),
        }
    };
    let length = head.length.saturating_add(head.value);
    if length > MESSAGE {
        let detail = format!("{} sent a message of {length} bytes", link.peer());
        return Err(failure(Reason::Protocol, detail));
    }
    link.at_least(length).await?;
    let mut parts = Reader(link.buffered().get(head.length..length).unwrap_or_default());
    let answered = parts.number(INTEGER);
    let reply = match (answered, parts.any()) {
        // Of its own accord a server says only that it ends (RFC 4511, section 4.4.1).
        (Some(0), Some((EXTENDED_RESPONSE, value))) => {
            let outcome = Outcome::read(value).ok_or_else(|| garbled(link))?;
            return Err(outcome.fault("conversation", link));
        }
        (Some(answered), Some((tag, value))) if answered == u32::from(number) => {
            Reply::read(tag, value)
        }
        _ => None,
    };
    let reply = reply.ok_or_else(|| garbled(link))?;
    link.consume(length);
    Ok(reply)
}

/// What a server answers.
#[derive(PartialEq, Eq, Debug)]
enum Reply {
    Bound(Outcome),
    /// An entry of this name.
    Entry(Vec<u8>),
    /// Somebody else may know more.
    Reference,
    Done(Outcome),
    /// What came of an extended request.
    Extended(Outcome),
}

impl Reply {
    fn read(tag: u8, value: &[u8]) -> Option<Reply> {
        match tag {
            BIND_RESPONSE => Outcome::read(value).map(Reply::Bound),
            SEARCH_ENTRY => Reader(value).one(OCTET_STRING).map(|name| Reply::Entry(name.to_vec())),
            SEARCH_REFERENCE => Some(Reply::Reference),
            SEARCH_DONE => Outcome::read(value).map(Reply::Done),
            EXTENDED_RESPONSE => Outcome::read(value).map(Reply::Extended),
            _ => None,
        }
    }
}

/// How something ended (LDAPResult).
#[derive(PartialEq, Eq, Debug)]
struct Outcome {
    code: u32,
    /// What the server says to it, for people.
    words: Vec<u8>,
}

impl Outcome {
    fn read(value: &[u8]) -> Option<Outcome> {
        let mut parts = Reader(value);
        let code = parts.number(ENUMERATED)?;
        let _matched = parts.one(OCTET_STRING)?;
        let words = parts.one(OCTET_STRING)?.to_vec();
        Some(Outcome { code, words })
    }

    fn succeeded(&self, what: &str, link: &Link<'_>) -> Result<(), Failure> {
        if self.code == 0 { Ok(()) } else { Err(self.fault(what, link)) }
    }

    /// The fault in the words of RFC 4511, section 4.1.9 and appendix A.
    fn fault(&self, what: &str, link: &Link<'_>) -> Failure {
        let (reason, text) = match self.code {
            1 => (Reason::Protocol, "operations error"),
            2 => (Reason::Protocol, "protocol error"),
            3 => (Reason::Protocol, "time limit exceeded"),
            7 => (Reason::Denied, "login method not supported"),
            8 => (Reason::Denied, "stronger login required"),
            10 => (Reason::Mismatch, "referral to another server"),
            13 => (Reason::Denied, "only with TLS"),
            32 => (Reason::Mismatch, "no such object"),
            34 => (Reason::Mismatch, "no name that is a DN"),
            48 => (Reason::Denied, "login not allowed so"),
            49 => (Reason::Denied, "invalid credentials"),
            50 => (Reason::Denied, "no right to do so"),
            51 => (Reason::Protocol, "server busy"),
            52 => (Reason::Protocol, "server unavailable"),
            53 => (Reason::Protocol, "server unwilling"),
            80 => (Reason::Protocol, "other error"),
            _ => (Reason::Protocol, "fault"),
        };
        let words = match self.words.as_slice() {
            [] => String::new(),
            words => format!(": {}", shown(&link.starred(words))),
        };
        failure(reason, format!("{what} failed: {text} ({}){words}", self.code))
    }
}

#[cfg(test)]
mod tests;
