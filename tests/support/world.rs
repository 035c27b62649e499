//! What a configuration is read with in tests: a handful of names, and most protocols.

use std::{collections::BTreeMap, net::IpAddr};

use ldirectord::{
    config::{NameError, Names},
    model::{Carrier, Family, ProtocolInfo, Transport},
};

/// A resolver that knows a handful of names, and the text forms that the system's resolver takes for addresses.
pub(crate) struct FewNames(pub(crate) BTreeMap<String, Vec<IpAddr>>);

impl Default for FewNames {
    fn default() -> Self {
        let names = [
            ("web1", "192.0.2.11"),
            ("web2", "192.0.2.12"),
            ("web1", "2001:db8::11"),
            ("localhost", "127.0.0.1"),
            ("localhost", "::1"),
            ("127.1", "127.0.0.1"),
            ("5060", "0.0.19.196"),
            ("80", "0.0.0.80"),
        ];
        let mut known: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for (name, address) in names {
            known.entry(name.to_owned()).or_default().push(address.parse().unwrap());
        }
        FewNames(known)
    }
}

impl Names for FewNames {
    fn hosts(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, NameError> {
        let found: Vec<IpAddr> = self
            .0
            .get(name)
            .into_iter()
            .flatten()
            .copied()
            .filter(|address| Family::of(*address) == family)
            .collect();
        match found.is_empty() {
            true => Err(NameError { message: "no such host is known".to_owned() }),
            false => Ok(found),
        }
    }

    fn port(&self, service: &str, transport: Option<Transport>) -> Result<u16, NameError> {
        match (service, transport) {
            ("http" | "www", None | Some(Transport::Tcp)) => Ok(80),
            ("ftp", None | Some(Transport::Tcp)) => Ok(21),
            ("ssh", None | Some(Transport::Tcp)) => Ok(22),
            ("domain", _) => Ok(53),
            ("mysql", None | Some(Transport::Tcp)) => Ok(3306),
            ("tftp", None | Some(Transport::Udp)) => Ok(69),
            _ => Err(NameError { message: "no such service is known".to_owned() }),
        }
    }
}

pub(crate) const fn protocol(name: &'static str) -> ProtocolInfo {
    ProtocolInfo { name, default_port: None, carrier: Carrier::Tcp, directives: &[], doc: "" }
}

/// Everything that ldirectord can check, but `oracle`, so that there is one that cannot be.
pub(crate) const PROTOCOLS: &[ProtocolInfo] = &[
    protocol("dns"),
    protocol("ftp"),
    protocol("http"),
    protocol("https"),
    protocol("http_proxy"),
    protocol("imap"),
    protocol("imaps"),
    protocol("ldap"),
    protocol("ldaps"),
    protocol("mysql"),
    protocol("nntp"),
    protocol("none"),
    protocol("pgsql"),
    protocol("pop"),
    protocol("pops"),
    protocol("radius"),
    protocol("simpletcp"),
    protocol("sip"),
    protocol("smtp"),
    protocol("submission"),
];
