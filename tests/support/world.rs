//! What a configuration is read with in tests: a handful of names, and most protocols.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
};

use ldirectord::{
    config::{File, FileError, Files, NameError, Names, World},
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

/// There is a file with credentials, and templates, of which one is right.
pub(crate) struct FewFiles;

impl Files for FewFiles {
    fn find(&self, _: &Path) -> Result<Vec<PathBuf>, FileError> {
        Ok(Vec::new())
    }

    fn read(&self, path: &Path) -> Result<File, FileError> {
        match path.to_str() {
            Some("/etc/ha.d/ldirectord.credentials") => Ok(File::new(path, CREDENTIALS)),
            Some("/etc/ha.d/chat.json") => Ok(File::new(path, r#"{"text": "{{subject}}"}"#)),
            Some("/etc/ha.d/bare.json") => Ok(File::new(path, "{\"text\": {{subject}}}")),
            Some("/etc/ha.d/odd.json") => Ok(File::new(path, r#"["{{subjekt}}"]"#)),
            Some("/etc/ha.d/latin.json") => Ok(File::new(path, b"[\"K\xe4se\"]")),
            Some("/etc/ha.d/large.json") => Ok(File::new(path, " ".repeat(70_000))),
            _ => Err(FileError { message: "there is no such file".to_owned() }),
        }
    }
}

const CREDENTIALS: &str = "\
; Whom the checks are.
[monitoring]
login = monitor
passwd = s=3#cr;et \\n
database=db
secret =

[ other ]
login = other

[mail]
login = lvs
passwd = open sesame

[chat]
url = https://chat.example.org/hooks/T0000/B0000

[alerts]
secret = tell nobody

[ftp]
url = ftp://alerts.example.org/
";

/// The world around a test: these names, most protocols, and one file.
pub(crate) fn world(names: &dyn Names) -> World<'_> {
    World {
        names,
        files: &FewFiles,
        protocols: PROTOCOLS,
        host_name: "director",
        expire_quiescent_template: None,
    }
}

pub(crate) const fn protocol(
    name: &'static str,
    directives: &'static [&'static str],
) -> ProtocolInfo {
    ProtocolInfo { name, default_port: None, carrier: Carrier::Tcp, directives, doc: "" }
}

const fn over_tls(name: &'static str, directives: &'static [&'static str]) -> ProtocolInfo {
    ProtocolInfo { carrier: Carrier::Tls, ..protocol(name, directives) }
}

const fn starts_tls(name: &'static str, directives: &'static [&'static str]) -> ProtocolInfo {
    ProtocolInfo { carrier: Carrier::StartTls, ..protocol(name, directives) }
}

const HTTP: &[&str] = &[
    "request",
    "receive",
    "httpmethod",
    "virtualhost",
    "requestheader",
    "requestbody",
    "expectstatus",
    "expectheader",
    "maxbody",
    "httpkeepalive",
];
const GRPC: &[&str] = &["request", "virtualhost", "requestheader"];
const WS: &[&str] = &[
    "request",
    "receive",
    "virtualhost",
    "requestheader",
    "requestbody",
    "expectheader",
    "maxbody",
    "login",
    "passwd",
];
const LOGIN: &[&str] = &["login", "passwd"];
const LDAP: &[&str] = &["request", "receive", "login", "passwd"];
const STEPS: &[&str] = &["send", "expect"];
const SQL: &[&str] = &["request", "login", "passwd", "database"];

/// Everything that can be checked, but `oracle`, so that there is one that cannot be.
pub(crate) const PROTOCOLS: &[ProtocolInfo] = &[
    protocol("amqp", &[]),
    protocol("dns", &["request", "receive", "dnstype"]),
    protocol("ftp", &["request", "receive", "login", "passwd"]),
    protocol("grpc", GRPC),
    over_tls("grpcs", GRPC),
    protocol("http", HTTP),
    over_tls("https", HTTP),
    protocol("http_proxy", &["request", "receive", "httpmethod"]),
    starts_tls("imap", LOGIN),
    over_tls("imaps", LOGIN),
    starts_tls("ldap", LDAP),
    over_tls("ldaps", LDAP),
    protocol("memcached", &[]),
    protocol("mqtt", &["login", "passwd"]),
    protocol("mysql", SQL),
    protocol("nntp", &[]),
    protocol("none", &[]),
    protocol("pgsql", SQL),
    starts_tls("pop", LOGIN),
    over_tls("pops", LOGIN),
    protocol("radius", &["login", "passwd", "secret"]),
    protocol("redis", &["request", "receive", "login", "passwd"]),
    protocol("simpletcp", &["request", "receive"]),
    protocol("sip", &["login"]),
    starts_tls("smtp", &[]),
    starts_tls("submission", &[]),
    protocol("tcp", STEPS),
    over_tls("tls", STEPS),
    protocol("udp", STEPS),
    protocol("ws", WS),
    over_tls("wss", WS),
];
