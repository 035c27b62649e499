//! Messages of DNS (RFC 1035, section 4): a question is written, and the answers to it are read.
//!
//! Our own reader and not a library's: simple-dns, the smallest, reads a message whole, and so has a server down for
//! one odd record that nobody asked for; and it takes 13 MiB and 29 ms for 64 KiB of compressed names (0.13.0).
//! This one looks at the answers alone, one after another, and keeps none. The tests let simple-dns write them.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::model::DnsRecord;

/// How long a header is, in bytes.
const HEADER: usize = 12;

/// The longest name as it is sent, in bytes.
const NAME: usize = 255;

/// The longest label, in bytes.
const LABEL: usize = 63;

/// The class of everything: the Internet.
const INTERNET: u16 = 1;

fn code(record: DnsRecord) -> u16 {
    match record {
        DnsRecord::A => 1,
        DnsRecord::Ptr => 12,
        DnsRecord::Aaaa => 28,
    }
}

/// The name under which the names of an address are kept.
pub(super) fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let mut name = String::new();
            for byte in address.octets().iter().rev() {
                name.push_str(&format!("{:x}.{:x}.", byte & 15, byte >> 4));
            }
            name + "ip6.arpa"
        }
    }
}

/// A question with recursion desired; nothing if there can be no such name.
pub(super) fn question(id: u16, name: &str, record: DnsRecord) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(HEADER + NAME + 4);
    message.extend(id.to_be_bytes());
    // Recursion desired; one question.
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    let name = name.strip_suffix('.').unwrap_or(name);
    for label in name.split('.').filter(|_| !name.is_empty()) {
        let length = u8::try_from(label.len()).ok()?;
        if !(1..=LABEL).contains(&label.len()) {
            return None;
        }
        message.push(length);
        message.extend(label.as_bytes());
    }
    message.push(0);
    if message.len() > HEADER + NAME {
        return None;
    }
    message.extend(code(record).to_be_bytes());
    message.extend(INTERNET.to_be_bytes());
    Some(message)
}

/// The answer to a question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    /// Whether there is more than fitted in.
    pub(super) is_truncated: bool,
    /// Why there is none (RCODE); 0 is success.
    pub(super) code: u8,
    records: Records<'a>,
}

impl<'a> Answer<'a> {
    /// The answer, if this is one to that question.
    pub(super) fn read(
        message: &'a [u8],
        question: &[u8],
        record: DnsRecord,
    ) -> Option<Answer<'a>> {
        let header = message.get(..HEADER)?;
        let [_, _, flags, code, ..] = *header else { return None };
        // An answer (QR) to a standard query (OPCODE).
        if header.get(..2) != question.get(..2) || flags & 0xf8 != 0x80 {
            return None;
        }
        let count = |at| number(header, at).map(usize::from);
        let (questions, answers) = (count(4)?, count(6)?);
        let asked = question.get(HEADER..)?;
        let start = HEADER.checked_add(asked.len())?;
        let is_repeated = questions == 1
            && message
                .get(HEADER..start)
                .is_some_and(|repeated| repeated.eq_ignore_ascii_case(asked));
        let code = code & 15;
        // Who does not understand us need not repeat what he did not understand.
        let is_left_out = questions == 0 && code != 0;
        if !is_repeated && !is_left_out {
            return None;
        }
        let records = Records { message, at: start, left: answers, record: self::code(record) };
        Some(Answer { is_truncated: flags & 2 != 0, code, records })
    }

    /// The addresses or names of the kind that was asked for; an error where the message makes no sense.
    pub(super) fn values(&self) -> Records<'a> {
        self.records
    }
}

/// The records of an answer that were asked for, as text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Records<'a> {
    message: &'a [u8],
    at: usize,
    left: usize,
    record: u16,
}

/// A message that makes no sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Malformed;

impl Iterator for Records<'_> {
    type Item = Result<String, Malformed>;

    fn next(&mut self) -> Option<Result<String, Malformed>> {
        while let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            match self.one() {
                Some(None) => {}
                Some(Some(value)) => return Some(Ok(value)),
                None => {
                    self.left = 0;
                    return Some(Err(Malformed));
                }
            }
        }
        None
    }
}

impl Records<'_> {
    /// Reads a record. The inner nothing is one that was not asked for, the outer one that makes no sense.
    fn one(&mut self) -> Option<Option<String>> {
        let (_, after_name) = name(self.message, self.at)?;
        let record = number(self.message, after_name)?;
        let class = number(self.message, after_name.checked_add(2)?)?;
        let length = usize::from(number(self.message, after_name.checked_add(8)?)?);
        let start = after_name.checked_add(10)?;
        let end = start.checked_add(length)?;
        let data = self.message.get(start..end)?;
        self.at = end;
        if record != self.record || class != INTERNET {
            return Some(None);
        }
        let value = if record == code(DnsRecord::A) {
            Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).to_string()
        } else if record == code(DnsRecord::Aaaa) {
            Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).to_string()
        } else {
            let (name, after) = name(self.message, start)?;
            (after == end).then_some(name)?
        };
        Some(Some(value))
    }
}

/// Two bytes.
fn number(message: &[u8], at: usize) -> Option<u16> {
    let bytes = message.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

/// The name that begins here, without a dot at its end, and what is behind it.
fn name(message: &[u8], start: usize) -> Option<(String, usize)> {
    let (mut text, mut length) = (String::new(), 0_usize);
    // Where this run of labels began: a pointer leads further back, so that no chain of them is endless.
    let (mut at, mut began, mut after) = (start, start, None);
    loop {
        let first = usize::from(*message.get(at)?);
        match first {
            0 => return Some((text, after.unwrap_or(at.checked_add(1)?))),
            1..=LABEL => {
                let begin = at.checked_add(1)?;
                let end = begin.checked_add(first)?;
                length = length.checked_add(first)?.checked_add(1)?;
                // The zero at the end counts, too.
                if length >= NAME {
                    return None;
                }
                if !text.is_empty() {
                    text.push('.');
                }
                push(&mut text, message.get(begin..end)?);
                at = end;
            }
            0xc0.. => {
                after = after.or(at.checked_add(2));
                at = usize::from(number(message, at)? & 0x3fff);
                if at >= began {
                    return None;
                }
                began = at;
            }
            _ => return None,
        }
    }
}

/// Writes a label as files of zones have it (RFC 1035, section 5.1).
fn push(text: &mut String, label: &[u8]) {
    for byte in label {
        match byte {
            b'.' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b'!'..=b'~' => text.push(char::from(*byte)),
            // Writing to a string does not fail.
            _ => write!(text, "\\{byte:03}").unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use simple_dns::{
        CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, ResourceRecord, TYPE,
        rdata::{A, AAAA, CNAME, PTR, RData},
    };

    use super::*;

    fn name_of(text: &str) -> Name<'_> {
        Name::new(text).unwrap()
    }

    fn record<'a>(owner: &'a str, data: RData<'a>) -> ResourceRecord<'a> {
        ResourceRecord::new(name_of(owner), CLASS::IN, 60, data)
    }

    /// The answer that simple-dns makes of a question of ours.
    fn answered(question: &[u8], change: impl FnOnce(&mut Packet<'_>)) -> Vec<u8> {
        let mut answer = Packet::parse(question).unwrap().into_reply();
        change(&mut answer);
        answer.build_bytes_vec_compressed().unwrap()
    }

    fn values(
        message: &[u8],
        question: &[u8],
        record: DnsRecord,
    ) -> Vec<Result<String, Malformed>> {
        Answer::read(message, question, record).unwrap().values().collect()
    }

    #[test]
    fn questions_are_what_another_reads() {
        for (name, record, kind) in [
            ("www.example.com", DnsRecord::A, TYPE::A),
            ("1.2.0.192.in-addr.arpa.", DnsRecord::Ptr, TYPE::PTR),
            ("example", DnsRecord::Aaaa, TYPE::AAAA),
            ("", DnsRecord::A, TYPE::A),
        ] {
            let bytes = question(0x1234, name, record).unwrap();
            let packet = Packet::parse(&bytes).unwrap();
            assert_eq!(packet.id(), 0x1234);
            assert!(packet.has_flags(PacketFlag::RECURSION_DESIRED));
            assert!(!packet.has_flags(PacketFlag::RESPONSE));
            let [asked] = packet.questions.as_slice() else { panic!("{packet:?}") };
            assert_eq!(asked.qname.to_string(), name.trim_end_matches('.'));
            assert_eq!((asked.qtype, asked.qclass), (QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN)));
        }
        let label = "x".repeat(63);
        assert!(question(1, &[label.as_str(); 3].join("."), DnsRecord::A).is_some());
        assert!(question(1, &[label.as_str(); 4].join("."), DnsRecord::A).is_none());
        for name in ["a..b", ".a", "..", &"x".repeat(64), &"x".repeat(300)] {
            assert!(question(1, name, DnsRecord::A).is_none(), "{name}");
        }
    }

    #[test]
    fn addresses_lie_backwards_under_arpa() {
        let reverse = |address: &str| reverse(address.parse().unwrap());
        assert_eq!(reverse("192.0.2.1"), "1.2.0.192.in-addr.arpa");
        assert_eq!(
            reverse("2001:db8::567:89ab"),
            "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        );
    }

    #[test]
    fn answers_are_found_among_other_records() {
        let asked = question(7, "www.example.com", DnsRecord::A).unwrap();
        let message = answered(&asked, |answer| {
            answer
                .answers
                .push(record("www.example.com", RData::CNAME(CNAME(name_of("web.example.com")))));
            answer.answers.push(record("web.example.com", RData::A(A { address: 0xc000_0201 })));
            answer.answers.push(record("web.example.com", RData::AAAA(AAAA { address: 1 })));
            answer.answers.push(record("web.example.com", RData::A(A { address: 0xc000_0202 })));
            answer.additional_records.push(record("x", RData::A(A { address: 3 })));
        });
        let expected = ["192.0.2.1", "192.0.2.2"].map(|text| Ok(text.to_owned()));
        assert_eq!(values(&message, &asked, DnsRecord::A), expected);

        let asked = question(7, "example.com", DnsRecord::Aaaa).unwrap();
        let message = answered(&asked, |answer| {
            let address = "2001:db8::1".parse::<Ipv6Addr>().unwrap().to_bits();
            answer.answers.push(record("example.com", RData::AAAA(AAAA { address })));
        });
        assert_eq!(values(&message, &asked, DnsRecord::Aaaa), [Ok("2001:db8::1".to_owned())]);

        let asked = question(7, "1.2.0.192.in-addr.arpa", DnsRecord::Ptr).unwrap();
        let message = answered(&asked, |answer| {
            for name in ["www.example.com", r"odd\.name.2.0.192.in-addr.arpa"] {
                answer
                    .answers
                    .push(record("1.2.0.192.in-addr.arpa", RData::PTR(PTR(name_of(name)))));
            }
        });
        let expected = ["www.example.com", r"odd\.name.2.0.192.in-addr.arpa"];
        assert_eq!(
            values(&message, &asked, DnsRecord::Ptr),
            expected.map(|text| Ok(text.to_owned()))
        );
    }

    #[test]
    fn only_an_answer_to_the_question_is_one() {
        let asked = question(7, "www.Example.com", DnsRecord::A).unwrap();
        let is_answer = |message: &[u8]| Answer::read(message, &asked, DnsRecord::A).is_some();
        assert!(is_answer(&answered(&asked, |_| ())));
        assert!(is_answer(&answered(&asked, |_| ()).to_ascii_lowercase()));
        assert!(!is_answer(&asked), "no echo is");
        assert!(!is_answer(&answered(&asked, |answer| answer.set_id(8))));
        assert!(!is_answer(&answered(&asked, |answer| {
            let other = name_of("example.com");
            answer.questions = vec![Question::new(other, TYPE::A.into(), CLASS::IN.into(), false)];
        })));
        assert!(!is_answer(&answered(&asked, |answer| answer.questions.clear())));
        let fault = answered(&asked, |answer| {
            answer.questions.clear();
            *answer.rcode_mut() = RCODE::FormatError;
        });
        assert_eq!(Answer::read(&fault, &asked, DnsRecord::A).unwrap().code, 1);
        let cut = answered(&asked, |answer| answer.set_flags(PacketFlag::TRUNCATION));
        assert!(Answer::read(&cut, &asked, DnsRecord::A).unwrap().is_truncated);
    }

    /// The answer to this question with one record, whose owner and data are these bytes.
    fn with_record(asked: &[u8], owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
        let mut message = answered(asked, |_| ());
        message[7] = 1;
        message.extend(owner);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1, 0, 0, 0, 60]);
        message.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        message.extend(data);
        message
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let asked = question(7, "a", DnsRecord::Ptr).unwrap();
        let owner = [0xc0, 12];
        let good = with_record(&asked, &owner, 12, &[1, b'x', 0xc0, 12]);
        assert_eq!(values(&good, &asked, DnsRecord::Ptr), [Ok("x.a".to_owned())]);
        let here = u8::try_from(good.len() - 4).unwrap();
        for bad in [
            good[..good.len() - 1].to_vec(),
            with_record(&asked, &owner, 12, &[0xc0, here]),
            with_record(&asked, &owner, 12, &[1, b'x', 0xc0, here]),
            with_record(&asked, &owner, 12, &[0xc0, 0xff]),
            with_record(&asked, &owner, 12, &[0x40, 0]),
            with_record(&asked, &owner, 12, &[1, b'x', 0, 0]),
            with_record(&asked, &owner, 12, &[]),
            with_record(&asked, &owner, 12, &[[1, b'x'].repeat(128), vec![0]].concat()),
            with_record(&asked, &[0xc0, 200], 12, &[0]),
        ] {
            assert_eq!(values(&bad, &asked, DnsRecord::Ptr), [Err(Malformed)], "{bad:?}");
        }
        let asked = question(7, "a", DnsRecord::A).unwrap();
        let bad = with_record(&asked, &owner, 1, &[192, 0, 2]);
        assert_eq!(values(&bad, &asked, DnsRecord::A), [Err(Malformed)]);
        let odd = with_record(&asked, &owner, 77, b"anything");
        assert_eq!(values(&odd, &asked, DnsRecord::A), []);
    }

    #[test]
    fn odd_bytes_of_names_are_made_visible() {
        let asked = question(7, "a", DnsRecord::Ptr).unwrap();
        let message = with_record(&asked, &[0], 12, b"\x06a.\\ \0\xff\0");
        let expected = Ok(r"a\.\\\032\000\255".to_owned());
        assert_eq!(values(&message, &asked, DnsRecord::Ptr), [expected]);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in vec(any::<u8>(), 0..600), count in any::<u16>(), ptr in any::<bool>()) {
            let record = if ptr { DnsRecord::Ptr } else { DnsRecord::A };
            let asked = question(7, "example.com", record).unwrap();
            let _any = Answer::read(&bytes, &asked, record).map(|answer| answer.values().count());
            // The same behind a header and a question that fit.
            let mut message = answered(&asked, |_| ());
            message[6..8].copy_from_slice(&count.to_be_bytes());
            message.extend(&bytes);
            let mut seen = 0;
            for value in Answer::read(&message, &asked, record).unwrap().values() {
                // Each byte of a name takes four letters at most.
                prop_assert!(value.unwrap_or_default().len() <= 4 * NAME);
                seen += 1;
            }
            // A record takes eleven bytes; the last value is an error.
            prop_assert!(seen <= bytes.len() / 11 + 1);
        }

        #[test]
        fn names_of_pointers_end(bytes in vec(prop_oneof![Just(0xc0_u8), 0..40_u8, Just(b'a')], 0..300)) {
            let asked = question(7, "a", DnsRecord::Ptr).unwrap();
            let mut message = answered(&asked, |_| ());
            message[6..8].copy_from_slice(&[0xff, 0xff]);
            message.extend(&bytes);
            prop_assert!(Answer::read(&message, &asked, DnsRecord::Ptr).unwrap().values().count() < 300);
        }
    }
}
