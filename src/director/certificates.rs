//! The ends of certificates: when a person is to be told that one comes near.
//!
//! Each certificate of a server is told of when 30 days are left, when 7 are, and when it has ended; each of these once.
//! Another certificate of that server is one of its own, so that a renewal begins anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use jiff::Timestamp;

use crate::model::CertificateEnd;

/// How many certificates of one server are remembered; of more, those that end last.
const KEPT: usize = 8;

const DAY_S: i64 = 24 * 60 * 60;

/// How near an end is. The nearer is the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Nearness {
    /// 30 days or less are left.
    Month,
    /// 7 days or less.
    Week,
    /// It has ended.
    Ended,
}

impl Nearness {
    fn of(left_s: i64) -> Option<Nearness> {
        if left_s < 0 {
            Some(Nearness::Ended)
        } else if left_s <= 7 * DAY_S {
            Some(Nearness::Week)
        } else if left_s <= 30 * DAY_S {
            Some(Nearness::Month)
        } else {
            None
        }
    }
}

/// What has been told of the certificates of servers.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    /// Of each server that was asked at this address, the ends that were told, sorted, and as how near.
    told: BTreeMap<SocketAddr, BTreeMap<CertificateEnd, Nearness>>,
}

impl Certificates {
    /// A server has shown a certificate that ends then; whether this is to be told.
    pub(super) fn show(&mut self, server: SocketAddr, end: CertificateEnd, now: Timestamp) -> bool {
        let Some(nearness) = Nearness::of(end.left_s(now)) else { return false };
        let told = self.told.entry(server).or_default();
        if told.get(&end).is_some_and(|known| *known >= nearness) {
            return false;
        }
        // A server may have another certificate for everybody who asks.
        if told.len() >= KEPT && !told.contains_key(&end) {
            if told.first_key_value().is_some_and(|(first, _)| end < *first) {
                return false;
            }
            told.pop_first();
        }
        told.insert(end, nearness);
        true
    }

    /// These are the servers from now on; what was told of the others is forgotten.
    pub(super) fn follow(&mut self, servers: &BTreeSet<SocketAddr>) {
        self.told.retain(|server, _| servers.contains(server));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: i64 = 1_800_000_000;

    fn server(port: u16) -> SocketAddr {
        ([192, 0, 2, 11], port).into()
    }

    /// What is told of this server's certificate with so many seconds left.
    fn shown(certificates: &mut Certificates, end: i64, left_s: i64) -> bool {
        let now = Timestamp::from_second(END - left_s).unwrap();
        certificates.show(server(443), CertificateEnd::at(end), now)
    }

    #[test]
    fn each_step_towards_the_end_is_told_once() {
        let mut certificates = Certificates::default();
        let mut told = Vec::new();
        let steps = [30 * DAY_S + 1, 30 * DAY_S, 30 * DAY_S - 1, 8 * DAY_S, 7 * DAY_S + 1];
        for left_s in steps.into_iter().chain([7 * DAY_S, DAY_S, 1, 0, -1, -2, -400 * DAY_S]) {
            if shown(&mut certificates, END, left_s) {
                told.push(left_s);
            }
        }
        assert_eq!(told, [30 * DAY_S, 7 * DAY_S, -1]);
        // A clock that is set back says nothing anew.
        assert!(!shown(&mut certificates, END, 20 * DAY_S));
        // Who is seen late is told of at once, and only with what is true now.
        let mut late = Certificates::default();
        assert!(shown(&mut late, END, -5));
        assert!(!shown(&mut late, END, -6));
    }

    #[test]
    fn another_certificate_or_server_begins_anew() {
        let mut certificates = Certificates::default();
        assert!(shown(&mut certificates, END, DAY_S));
        let renewed = END + 90 * DAY_S;
        assert!(!shown(&mut certificates, renewed, DAY_S));
        assert!(shown(&mut certificates, renewed, -60 * DAY_S));
        // Two that a server shows in turns.
        assert!(shown(&mut certificates, END + 1, DAY_S));
        for _ in 0..3 {
            assert!(!shown(&mut certificates, END, DAY_S));
            assert!(!shown(&mut certificates, END + 1, DAY_S));
        }
        let now = Timestamp::from_second(END).unwrap();
        assert!(certificates.show(server(993), CertificateEnd::at(END), now));
    }

    #[test]
    fn who_stays_in_the_configuration_is_remembered_and_nobody_else() {
        let mut certificates = Certificates::default();
        assert!(shown(&mut certificates, END, 0));
        certificates.follow(&BTreeSet::from([server(443), server(993)]));
        assert!(!shown(&mut certificates, END, 0));
        certificates.follow(&BTreeSet::from([server(993)]));
        assert!(certificates.told.is_empty());
        assert!(shown(&mut certificates, END, 0));
    }

    #[test]
    fn a_server_with_a_thousand_certificates_costs_no_more_than_one_with_few() {
        let mut certificates = Certificates::default();
        let all: Vec<i64> = (0..1000).map(|number| END + number).collect();
        let told = all.iter().filter(|end| shown(&mut certificates, **end, DAY_S)).count();
        assert_eq!(told, 1000);
        assert_eq!(certificates.told[&server(443)].len(), KEPT);
        // Nobody hears of them a second time.
        assert!(!all.iter().any(|end| shown(&mut certificates, *end, DAY_S)));
    }
}
