//! `service=dns`: RFC 1035, over UDP or TCP as the virtual service does; to a firewall mark over UDP.
//!
//! | we say | we expect |
//! |---|---|
//! | a question for the address of `request`, or for its name if it is an address itself | no fault, and an address or name that `receive` matches |
//! | over UDP the same each second, until it is answered | |
//! | over TCP the same, when an answer was too long for UDP | as above |
//!
//! Which records are asked for, `dnstype` says if it is there.
//! A name without dots is looked for in the domains that `search` or `domain` of `/etc/resolv.conf` lists, and then
//! alone.
//!
//! Differs from ldirectord: without `receive` any address or name will do.
//! Differs from ldirectord: a name without dots is tried alone, too, after the domains.

mod message;

use std::net::IpAddr;

use self::message::{Answer, Malformed};
use super::{
    Protocol, Question, failure,
    link::{Link, Security, Sending},
    random,
};
use crate::model::{Carrier, DnsRecord, Pass, ProtocolInfo, Reason, Transport, Verdict};
use crate::pattern::Pattern;

/// How many domains a name is looked for in, and how much of the file that lists them is read, in bytes.
const DOMAINS: usize = 8;
const RESOLV_CONF: usize = 64 * 1024;

pub(super) const PROTOCOLS: &[Protocol] = &[Protocol {
    info: ProtocolInfo {
        name: "dns",
        default_port: Some(53),
        carrier: Carrier::AsService,
        directives: &["request", "receive", "dnstype"],
        doc: "Asks for the IPv4 address of the name `request`, or for the name if `request` is an address; `dnstype` can \
              ask for the IPv6 address. The question travels over TCP or UDP as the virtual service does. The real \
              server works when an address or name in the answer matches `receive`; without `receive` any will do.",
    },
    talk: |question, link| Box::pin(talk(question, link)),
}];

async fn talk(question: &Question<'_>, link: &mut Link<'_>) -> Verdict {
    let negotiate = question.negotiate;
    let request = String::from_utf8_lossy(negotiate.request.get(1..).unwrap_or_default());
    let address = request.parse::<IpAddr>().ok();
    let record = negotiate.dns_record;
    let record = record.unwrap_or(if address.is_some() { DnsRecord::Ptr } else { DnsRecord::A });
    let mut names = match (address, record) {
        (Some(address), DnsRecord::Ptr) => vec![message::reverse(address)],
        _ if request.contains('.') || request.is_empty() => vec![request.into_owned()],
        _ => candidates(&request, &resolv_conf().await),
    }
    .into_iter();
    let name = names.next().unwrap_or_default();
    let mut verdict = ask(question, link, &name, record).await;
    for name in names {
        if !matches!(&verdict, Err(fault) if fault.reason == Reason::Mismatch) {
            break;
        }
        verdict = ask(question, link, &name, record).await;
    }
    verdict
}

/// The names that a name without dots can be short for.
fn candidates(name: &str, resolv_conf: &str) -> Vec<String> {
    // The last line of the two kinds holds.
    let last = resolv_conf.lines().rev().find_map(|line| {
        let mut words = line.split_whitespace();
        words.next().filter(|word| matches!(*word, "search" | "domain")).map(|_| words)
    });
    let domains = last.into_iter().flatten().take(DOMAINS);
    let domains = domains.filter(|domain| *domain != ".");
    domains.map(|domain| format!("{name}.{domain}")).chain([name.to_owned()]).collect()
}

/// What the system says about names; nothing where it says nothing.
async fn resolv_conf() -> String {
    let read = || {
        let mut text = std::fs::read("/etc/resolv.conf").unwrap_or_default();
        text.truncate(RESOLV_CONF);
        String::from_utf8_lossy(&text).into_owned()
    };
    tokio::task::spawn_blocking(read).await.unwrap_or_default()
}

/// Asks for the records of one name.
async fn ask(
    question: &Question<'_>,
    link: &mut Link<'_>,
    name: &str,
    record: DnsRecord,
) -> Verdict {
    let id = u16::from_be_bytes(random::bytes()?);
    let Some(bytes) = message::question(id, name, record) else {
        let detail = format!("{name} in `request` can be no name in DNS");
        return Err(failure(Reason::Internal, detail));
    };
    let asked = Asked { name, record, receive: question.negotiate.receive.as_ref() };
    if question.negotiate.transport == Transport::Udp {
        let verdict = link.ask(&bytes, Sending::Again, |answer| {
            let answer = Answer::read(answer, &bytes, record)?;
            let verdict = asked.judge(&answer);
            // What came decides when it is enough.
            Some(Some(verdict).filter(|verdict| verdict.is_ok() || !answer.is_truncated))
        });
        if let Some(verdict) = verdict.await? {
            return verdict;
        }
    }
    link.connect_to(link.peer(), Security::Plain).await?;
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    link.send(&[&length.to_be_bytes()[..], &bytes].concat()).await?;
    link.at_least(2).await?;
    let length = link.buffered().iter().take(2).fold(0, |sum, byte| sum * 256 + usize::from(*byte));
    link.consume(2);
    link.at_least(length).await?;
    match Answer::read(link.buffered().get(..length).unwrap_or_default(), &bytes, record) {
        Some(answer) => asked.judge(&answer),
        None => {
            let detail = format!("{} sent {length} bytes that are no answer", link.peer());
            Err(failure(Reason::Protocol, detail))
        }
    }
}

/// What was asked for, and what will do.
struct Asked<'a> {
    name: &'a str,
    record: DnsRecord,
    receive: Option<&'a Pattern>,
}

impl Asked<'_> {
    fn judge(&self, answer: &Answer<'_>) -> Verdict {
        let name = if self.name.is_empty() { "." } else { self.name };
        match answer.code {
            0 => {}
            3 => return Err(failure(Reason::Mismatch, format!("there is no {name} (NXDOMAIN)"))),
            code => return Err(failure(Reason::Protocol, fault(code, name))),
        }
        let mut first = None;
        let mut others = 0_usize;
        for value in answer.values() {
            let value = value.map_err(|Malformed| {
                failure(Reason::Protocol, format!("the answer for {name} makes no sense"))
            })?;
            if self.receive.is_none_or(|pattern| pattern.is_match(value.as_bytes())) {
                return Ok(Pass { detail: value });
            }
            match first {
                None => first = Some(value),
                Some(_) => others = others.saturating_add(1),
            }
        }
        let record = self.record;
        let detail = match first {
            None => format!("{name} has no record of type {record}"),
            Some(first) if others == 0 => {
                format!("{name} is {first}, which does not match the pattern")
            }
            Some(first) => {
                format!("{name} is {first} and {others} more, none of which matches the pattern")
            }
        };
        Err(failure(Reason::Mismatch, detail))
    }
}

/// The words of RFC 1035 and 2136 for what a server cannot do.
fn fault(code: u8, name: &str) -> String {
    let word = match code {
        1 => "FORMERR: it did not understand the question",
        2 => "SERVFAIL: it could not find out",
        4 => "NOTIMP: it does not answer such questions",
        5 => "REFUSED: it does not want to answer us",
        9 => "NOTAUTH: it does not know the zone",
        _ => return format!("no answer for {name}, but fault {code}"),
    };
    format!("no answer for {name}, but {word}")
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use simple_dns::{
        CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord,
        rdata::{A, PTR, RData},
    };

    use super::*;
    use crate::{
        checks::script::{Outcome, Turn, converse, converse_by, spec, unconfigured},
        model::{CheckSpec, Negotiate},
    };

    fn asking(transport: Transport, request: &str, receive: &str) -> CheckSpec {
        spec(Negotiate {
            transport,
            request: request.as_bytes().to_vec(),
            receive: (!receive.is_empty()).then(|| Pattern::new(receive.as_bytes()).unwrap()),
            ..unconfigured("dns")
        })
    }

    /// What the question in these bytes is, and what a server answers.
    fn reply(heard: &[u8], change: impl FnOnce(&mut Packet<'_>)) -> Vec<u8> {
        let mut answer = Packet::parse(heard).unwrap().into_reply();
        change(&mut answer);
        answer.build_bytes_vec().unwrap()
    }

    fn push(answer: &mut Packet<'_>, data: RData<'static>) {
        answer.answers.push(ResourceRecord::new(Name::new("x").unwrap(), CLASS::IN, 60, data));
    }

    /// Answers with these addresses, 192.0.2.x.
    fn addresses(last: &'static [u32]) -> Turn {
        Turn::Answer(Arc::new(move |heard| {
            reply(heard, |answer| {
                for byte in last {
                    push(answer, RData::A(A { address: 0xc000_0200 + byte }));
                }
            })
        }))
    }

    fn refusing(code: RCODE) -> Turn {
        Turn::Answer(Arc::new(move |heard| reply(heard, |answer| *answer.rcode_mut() = code)))
    }

    fn truncated() -> Turn {
        Turn::Answer(Arc::new(|heard| {
            reply(heard, |answer| answer.set_flags(PacketFlag::TRUNCATION))
        }))
    }

    /// The same over TCP.
    fn over_tcp(turn: Turn) -> Turn {
        let Turn::Answer(answer) = turn else { panic!("no answer") };
        Turn::Answer(Arc::new(move |heard| {
            let answer = answer(&heard[2..]);
            [&u16::try_from(answer.len()).unwrap().to_be_bytes()[..], &answer].concat()
        }))
    }

    async fn udp(request: &str, receive: &str, turns: Vec<Turn>) -> Outcome {
        converse_by(&asking(Transport::Udp, request, receive), turns, vec![]).await
    }

    fn name_in(question: &[u8]) -> String {
        Packet::parse(question).unwrap().questions[0].qname.to_string()
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_matches_passes() {
        for (receive, expected) in [
            ("", "192.0.2.1"),
            ("^192[.]0[.]2[.]2$", "192.0.2.2"),
            (
                "^203",
                "mismatch: www.example.com is 192.0.2.1 and 1 more, none of which matches the pattern",
            ),
        ] {
            let turns = vec![Turn::HearSome, addresses(&[1, 2]), Turn::Hang];
            let outcome = udp("/www.example.com", receive, turns).await;
            assert_eq!((outcome.words().as_str(), outcome.took), (expected, Duration::ZERO));
            assert_eq!(name_in(&outcome.datagrams[0]), "www.example.com");
        }
        let outcome = udp("/www.example.com", "x", vec![Turn::HearSome, addresses(&[9])]).await;
        let expected = "mismatch: www.example.com is 192.0.2.9, which does not match the pattern";
        assert_eq!(outcome.words(), expected);
        let outcome = udp("/", "", vec![Turn::HearSome, addresses(&[])]).await;
        assert_eq!(outcome.words(), "mismatch: . has no record of type A");
    }

    #[tokio::test(start_paused = true)]
    async fn of_an_address_the_name_is_asked() {
        for (request, asked) in [
            ("/192.0.2.1", "1.2.0.192.in-addr.arpa".to_owned()),
            ("/2001:db8::1", format!("1.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(23))),
        ] {
            let name = Turn::Answer(Arc::new(|heard| {
                reply(heard, |answer| {
                    push(answer, RData::PTR(PTR(Name::new("www.example.com").unwrap())));
                })
            }));
            let outcome = udp(request, "^www[.]", vec![Turn::HearSome, name]).await;
            assert_eq!(outcome.words(), "www.example.com");
            assert_eq!(name_in(&outcome.datagrams[0]), asked);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_server_cannot_do_is_told() {
        for (code, expected) in [
            (RCODE::NameError, "mismatch: there is no a.b (NXDOMAIN)"),
            (
                RCODE::ServerFailure,
                "protocol: no answer for a.b, but SERVFAIL: it could not find out",
            ),
            (
                RCODE::Refused,
                "protocol: no answer for a.b, but REFUSED: it does not want to answer us",
            ),
            (RCODE::YXDOMAIN, "protocol: no answer for a.b, but fault 6"),
        ] {
            let outcome = udp("/a.b", "", vec![Turn::HearSome, refusing(code)]).await;
            assert_eq!(outcome.words(), expected);
        }
        let long = format!("/{}.b", "x".repeat(64));
        let outcome = udp(&long, "", vec![Turn::Hang]).await;
        assert!(outcome.words().ends_with("x.b in `request` can be no name in DNS"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_is_repeated_until_its_own_answer_comes() {
        let strange = Turn::Answer(Arc::new(|heard| {
            reply(heard, |answer| answer.set_id(answer.id().wrapping_add(1)))
        }));
        let echo = Turn::Answer(Arc::new(<[u8]>::to_vec));
        let turns = vec![Turn::HearSome, strange, echo, Turn::HearSome, addresses(&[1])];
        let outcome = udp("/a.b", "", turns).await;
        let expected = ("192.0.2.1", Duration::from_secs(1));
        assert_eq!((outcome.words().as_str(), outcome.took), expected);
        assert_eq!(outcome.datagrams[0], outcome.datagrams[1]);
    }

    #[tokio::test(start_paused = true)]
    async fn over_tcp_there_is_a_length_before_it() {
        let tcp = async |turns| converse(&asking(Transport::Tcp, "/a.b", "2$"), vec![turns]).await;
        let outcome = tcp(vec![Turn::HearSome, over_tcp(addresses(&[1, 2])), Turn::Hang]).await;
        assert_eq!((outcome.words().as_str(), outcome.took), ("192.0.2.2", Duration::ZERO));
        for (said, expected) in [
            (&b""[..], "reset: 192.0.2.1:8080 closed the connection without an answer"),
            (b"\0", "reset: 192.0.2.1:8080 closed the connection in the middle of its answer"),
            (
                b"\0\x0512",
                "reset: 192.0.2.1:8080 closed the connection in the middle of its answer",
            ),
            (b"\0\0", "protocol: 192.0.2.1:8080 sent 0 bytes that are no answer"),
            (b"\0\x05hello", "protocol: 192.0.2.1:8080 sent 5 bytes that are no answer"),
        ] {
            let outcome = tcp(vec![Turn::HearSome, Turn::Say(said.to_vec())]).await;
            assert_eq!(outcome.words(), expected, "for {said:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_long_for_a_datagram_is_asked_over_tcp() {
        let udp = vec![Turn::HearSome, truncated(), Turn::Hang];
        let tcp = vec![Turn::HearSome, over_tcp(addresses(&[3])), Turn::Hang];
        let check = asking(Transport::Udp, "/a.b", "3$");
        let outcome = converse_by(&check, udp, vec![tcp]).await;
        assert_eq!((outcome.words().as_str(), outcome.took), ("192.0.2.3", Duration::ZERO));
        assert_eq!(outcome.bytes[0][2..], outcome.datagrams[0]);
        let peer = check.target;
        assert_eq!(outcome.visited, [(peer, Security::Plain), (peer, Security::Plain)]);
    }

    #[test]
    fn a_short_name_is_looked_for_where_the_system_looks() {
        let names = |text| candidates("www", text).join(" ");
        assert_eq!(names(""), "www");
        assert_eq!(
            names("nameserver 192.0.2.1\n# search no\nsearch a.example\tb.example .\n"),
            "www.a.example www.b.example www"
        );
        assert_eq!(names("search a.example\ndomain b.example"), "www.b.example www");
    }
}
