//! The table of directives: one row each, from which everything that speaks of directives is derived.
//!
//! A row says where a directive may stand, what its value may be, what holds where it is missing, what the
//! manual says of it, and how it is read. Unknown names are compared with it, `ldirectord.cf.example` is
//! tested against it, and the manual and the editor's forms are made from it.
//!
//! To add a directive is to add a row; a value of a known shape needs no more than a closure.
//! The defaults are those of the program ldirectord 4.12, not of its manual where the two differ.

use super::{draft::Draft, set, value::Value};

/// Where a directive may stand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scope {
    /// In the first column, outside of every virtual service.
    Global,
    /// Indented, in a virtual service.
    Virtual,
    /// Either; what a virtual service says is stronger for it.
    Both,
    /// In the first column; it begins a virtual service.
    Opening,
}

/// What may stand after the `=`; also picks the field of a form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ValueKind {
    /// `yes` or `no`, exactly.
    YesNo,
    /// A number of seconds, without a unit.
    Seconds,
    /// A number.
    Count,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Several of these words, with commas between.
    Words(&'static [&'static str]),
    /// Text in double quotes.
    Quoted,
    /// Text, with or without double quotes.
    Text,
    /// The rest of the line, quotes and all.
    Rest,
    /// Something with a grammar of its own, in words.
    Special(&'static str),
}

/// What ldirectord prints when the value is wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Says {
    /// The same everywhere.
    Same(&'static str),
    /// One text for a global line, another in a virtual service.
    Differ(&'static str, &'static str),
}

/// A row of the table.
#[derive(Debug)]
pub struct Directive {
    /// Its name.
    pub name: &'static str,
    /// Where it may stand.
    pub scope: Scope,
    /// What its value may be.
    pub value: ValueKind,
    /// The unit and range of the value in words, or nothing.
    pub range: &'static str,
    /// What holds where it is missing, in words.
    pub default: &'static str,
    /// A value that is right.
    pub example: &'static str,
    /// The manual's paragraph.
    pub doc: &'static str,
    /// What ldirectord prints when the value is wrong.
    pub(super) says: Says,
    /// Reads the value.
    pub(super) set: Set,
}

/// Reads a value and keeps what it says, or pushes what is wrong with it.
pub(super) type Set = for<'d, 'v, 'w> fn(&'d mut Draft<'w>, &'v Value<'_>);

impl Directive {
    /// The row of a name.
    pub fn find(name: &[u8]) -> Option<&'static Directive> {
        DIRECTIVES.iter().find(|directive| directive.name.as_bytes() == name)
    }

    /// Whether it may stand in a virtual service (`true`) or outside (`false`).
    pub fn fits(&self, in_block: bool) -> bool {
        match self.scope {
            Scope::Global | Scope::Opening => !in_block,
            Scope::Virtual => in_block,
            Scope::Both => true,
        }
    }

    /// Whether every line of it counts where there are several; of all others the last one does.
    pub fn repeats(&self) -> bool {
        matches!(self.name, "real" | "real6" | "execute")
    }

    /// What ldirectord prints when the value is wrong.
    pub(super) fn says(&self, in_block: bool) -> &'static str {
        match self.says {
            Says::Same(text) => text,
            Says::Differ(global, block) => {
                if in_block {
                    block
                } else {
                    global
                }
            }
        }
    }

    /// The name that was probably meant, if one is near enough.
    pub fn nearest(name: &[u8], in_block: bool) -> Option<&'static Directive> {
        let wanted = name.to_ascii_lowercase();
        let near = |directive: &&Directive| distance(&wanted, directive.name.as_bytes());
        let allowed = DIRECTIVES.iter().filter(|directive| directive.fits(in_block));
        let nearest = allowed.min_by_key(near)?;
        (near(&nearest) <= 1 + wanted.len() / 4).then_some(nearest)
    }
}

/// How many letters must be changed, added, left out or swapped with their neighbour to get from one word to another.
pub(super) fn distance(from: &[u8], to: &[u8]) -> usize {
    if from.len() > 64 {
        return from.len();
    }
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
    for (i, a) in from.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let change = at(&row, j) + usize::from(a != b);
            let add_or_drop = (at(&row, j + 1) + 1).min(at(&next, j) + 1);
            let swapped = i > 0 && j > 0 && from.get(i - 1) == Some(b) && to.get(j - 1) == Some(a);
            let swap = if swapped { at(&before, j - 1) + 1 } else { usize::MAX };
            next.push(change.min(add_or_drop).min(swap));
        }
        before = std::mem::replace(&mut row, next);
    }
    at(&row, to.len())
}

/// The services that ldirectord can check, each with the port that implies it.
pub const SERVICES: &[(&str, Option<u16>)] = &[
    ("dns", Some(53)),
    ("ftp", Some(21)),
    ("http", Some(80)),
    ("https", Some(443)),
    ("http_proxy", Some(3128)),
    ("imap", Some(143)),
    ("imaps", Some(993)),
    ("ldap", Some(389)),
    ("ldaps", Some(636)),
    ("mysql", Some(3306)),
    ("nntp", Some(119)),
    ("none", None),
    ("oracle", Some(1521)),
    ("pgsql", Some(5432)),
    ("pop", Some(110)),
    ("pops", Some(995)),
    ("radius", Some(1812)),
    ("simpletcp", None),
    ("sip", Some(5060)),
    ("smtp", Some(25)),
    ("submission", Some(587)),
];

const SERVICE_WORDS: &[&str] = &[
    "dns",
    "ftp",
    "http",
    "https",
    "http_proxy",
    "imap",
    "imaps",
    "ldap",
    "ldaps",
    "mysql",
    "nntp",
    "none",
    "oracle",
    "pgsql",
    "pop",
    "pops",
    "radius",
    "simpletcp",
    "sip",
    "smtp",
    "submission",
];

/// Every directive, in the order of the manual.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "virtual",
        scope: Scope::Opening,
        value: ValueKind::Special("ADDRESS:PORT | NAME:PORT | MARK"),
        range: "port 0 to 65535 or a service name; mark 1 to 4294967295",
        default: "",
        example: "192.0.2.1:80",
        doc: "Begins a virtual service: an IPv4 address and port that clients reach, or a firewall mark that the packet \
              filter gives to their packets. The indented lines that follow belong to it; an empty line ends it.",
        says: Says::Same("invalid address for virtual server"),
        set: set::opening,
    },
    Directive {
        name: "virtual6",
        scope: Scope::Opening,
        value: ValueKind::Special("[ADDRESS]:PORT | NAME:PORT | MARK"),
        range: "port 0 to 65535 or a service name; mark 1 to 4294967295",
        default: "",
        example: "[2001:db8::1]:80",
        doc: "As virtual, for IPv6: an address in brackets and a port, or a mark of IPv6 packets.",
        says: Says::Same("invalid address for virtual server"),
        set: set::opening,
    },
    Directive {
        name: "real",
        scope: Scope::Virtual,
        value: ValueKind::Special(
            "ADDRESS[->ADDRESS][:PORT] gate|masq|ipip [WEIGHT] [\"REQUEST\",\"RECEIVE\"] [l:NUMBER] [u:NUMBER]",
        ),
        range: "weight 0 to 2147483647",
        default: "",
        example: "192.0.2.10:80 masq 1",
        doc: "A real server, or with -> every address of a range, and how packets reach it: gate routes them directly, \
              masq rewrites their address, ipip tunnels them. The weight is its share of new connections (1 if not \
              given, 0 for none); a request and receive of its own take the place of the service's; l: and u: are the \
              numbers of connections below which it takes new ones again and at which it stops. May be repeated.",
        says: Says::Same("invalid address for real server (wrong format)"),
        set: set::real,
    },
    Directive {
        name: "real6",
        scope: Scope::Virtual,
        value: ValueKind::Special(
            "[ADDRESS]:PORT gate|masq|ipip [WEIGHT] [\"REQUEST\",\"RECEIVE\"] [l:NUMBER] [u:NUMBER]",
        ),
        range: "weight 0 to 2147483647",
        default: "",
        example: "[2001:db8::10]:80 masq 1",
        doc: "As real, in a service that virtual6 begins. Ranges are not possible.",
        says: Says::Same("invalid address for real server (wrong format)"),
        set: set::real,
    },
    Directive {
        name: "fallback",
        scope: Scope::Both,
        value: ValueKind::Special("ADDRESS[:PORT] [gate|masq|ipip]"),
        range: "",
        default: "none",
        example: "127.0.0.1:80 gate",
        doc: "The server that takes the connections when no real server does, with weight 1. Without a port it has that \
              of the virtual service; without a method it is reached by gate; without anything it is 127.0.0.1. \
              Outside of a service it is that of every IPv4 service that has none of its own. It is not checked.",
        says: Says::Same("invalid port for fallback server"),
        set: set::fallback,
    },
    Directive {
        name: "fallback6",
        scope: Scope::Both,
        value: ValueKind::Special("[ADDRESS][:PORT] [gate|masq|ipip]"),
        range: "",
        default: "none",
        example: "[::1]:80 gate",
        doc: "As fallback, for services that virtual6 begins.",
        says: Says::Same("invalid port for fallback server"),
        set: set::fallback,
    },
    Directive {
        name: "fallbackcommand",
        scope: Scope::Both,
        value: ValueKind::Text,
        range: "",
        default: "none",
        example: "/usr/local/sbin/fallback-changed",
        doc: "A program that is run when the fallback begins or ends to serve, with start or stop, the service and its \
              protocol as arguments.",
        says: Says::Same("invalid fallback command"),
        set: set::fallback_command,
    },
    Directive {
        name: "scheduler",
        scope: Scope::Virtual,
        value: ValueKind::Special("a word of the letters a to z"),
        range: "up to 15 letters",
        default: "wrr",
        example: "sh",
        doc: "Which real server gets a new connection: the name of one of the kernel's schedulers, such as rr, wrr, lc, \
              wlc, sh, dh, mh, sed, nq, fo, ovf, lblc or lblcr.",
        says: Says::Same("invalid scheduler, should be only lowercase letters (a-z)"),
        set: set::scheduler,
    },
    Directive {
        name: "schedflags",
        scope: Scope::Virtual,
        value: ValueKind::Words(set::SCHEDULER_FLAGS),
        range: "",
        default: "none",
        example: "sh-port,sh-fallback",
        doc: "Flags of the scheduler: sh-fallback and mh-fallback (choose another server where the chosen one is full or \
              has no weight), sh-port and mh-port (the client's port counts too), or flag-1, flag-2, flag-3.",
        says: Says::Same("invalid sched-flags"),
        set: set::scheduler_flags,
    },
    Directive {
        name: "persistent",
        scope: Scope::Virtual,
        value: ValueKind::Seconds,
        range: "1 to 2678400 seconds",
        default: "none",
        example: "600",
        doc: "A client keeps its real server until it has been silent for this long.",
        says: Says::Same("invalid persistent timeout"),
        set: set::persistent,
    },
    Directive {
        name: "netmask",
        scope: Scope::Virtual,
        value: ValueKind::Special("dotted quad; in a virtual6 service a prefix length"),
        range: "prefix length 1 to 128",
        default: "the whole address",
        example: "255.255.255.0",
        doc: "Which part of a client's address counts for persistent: clients of one network share a real server. \
              Without persistent it says nothing.",
        says: Says::Same("invalid netmask: dotted quad notation is required"),
        set: set::netmask,
    },
    Directive {
        name: "protocol",
        scope: Scope::Virtual,
        value: ValueKind::Word(&["tcp", "udp", "fwm"]),
        range: "",
        default: "fwm for a mark, udp for port 53, else tcp",
        example: "tcp",
        doc: "The protocol that clients speak to the virtual service: tcp or udp; fwm, and nothing else, for a mark.",
        says: Says::Same("invalid protocol"),
        set: set::protocol,
    },
    Directive {
        name: "ops",
        scope: Scope::Virtual,
        value: ValueKind::YesNo,
        range: "",
        default: "no",
        example: "yes",
        doc: "Whether every packet of a udp service is scheduled anew instead of following the first of its connection.",
        says: Says::Same("ops must be 'yes' or 'no'"),
        set: |draft, value| {
            set::in_block(draft, |block, found| {
                block.one_packet = value.yes_no(found).unwrap_or(block.one_packet);
            })
        },
    },
    Directive {
        name: "checktype",
        scope: Scope::Virtual,
        value: ValueKind::Word(set::CHECK_TYPES),
        range: "or a number from 0",
        default: "negotiate",
        example: "negotiate",
        doc: "How real servers are checked. negotiate speaks the protocol of service; connect opens a TCP connection, or \
              pings where the service is udp; ping pings; external runs checkcommand; external-perl runs it as a Perl \
              program; on takes every server for working, off none. A number N negotiates once, then connects N times, \
              and so on.",
        says: Says::Same(
            "checktype must be \"connect\", \"negotiate\", \"on\", \"off\", \"ping\", \"external\", \"external-perl\" or a \
             positive number",
        ),
        set: set::check_type,
    },
    Directive {
        name: "service",
        scope: Scope::Virtual,
        value: ValueKind::Word(SERVICE_WORDS),
        range: "",
        default: "the one whose port the virtual service has, else none",
        example: "http",
        doc: "The protocol that negotiate speaks. none takes every server for working.",
        says: Says::Same(
            "service must be dns, ftp, http, https, http_proxy, imap, imaps, ldap, ldaps, mysql, nntp, none, oracle, pop, \
             pops, radius, pgsql, simpletcp, sip, smtp or submission",
        ),
        set: set::service,
    },
    Directive {
        name: "checkcommand",
        scope: Scope::Virtual,
        value: ValueKind::Text,
        range: "",
        default: "/bin/true",
        example: "/usr/local/lib/ldirectord/check",
        doc: "The program of checktype=external. It is run without a shell, with the virtual address or mark, the \
              virtual port (0 for a mark), the real server's address and its port as arguments; it exits with 0 when \
              the server works.",
        says: Says::Same("invalid check command"),
        set: set::check_command,
    },
    Directive {
        name: "checkport",
        scope: Scope::Virtual,
        value: ValueKind::Count,
        range: "1 to 65535",
        default: "the real server's port, else the port of service",
        example: "8080",
        doc: "The port of the real servers that is checked.",
        says: Says::Same("invalid port"),
        set: set::check_port,
    },
    Directive {
        name: "request",
        scope: Scope::Virtual,
        value: ValueKind::Quoted,
        range: "",
        default: "\"/\"",
        example: "\"healthz\"",
        doc: "What a negotiation asks for: the path for http and https, the whole URL for http_proxy, the file for ftp, \
              the name or address to resolve for dns, the statement for mysql, pgsql and oracle, the base of the search \
              for ldap, the bytes to send for simpletcp. A / is put before it where it has none.",
        says: Says::Same("no request string specified"),
        set: set::request,
    },
    Directive {
        name: "receive",
        scope: Scope::Virtual,
        value: ValueKind::Quoted,
        range: "",
        default: "anything will do",
        example: "\"all is well\"",
        doc: "What the answer must contain: a regular expression of Perl.",
        says: Says::Same("invalid receive string"),
        set: set::receive,
    },
    Directive {
        name: "httpmethod",
        scope: Scope::Virtual,
        value: ValueKind::Word(&["GET", "HEAD"]),
        range: "",
        default: "GET",
        example: "HEAD",
        doc: "The method of http and https checks. The answer to HEAD has no body, so receive can never be found in it.",
        says: Says::Same("httpmethod must be GET or HEAD"),
        set: set::http_method,
    },
    Directive {
        name: "virtualhost",
        scope: Scope::Virtual,
        value: ValueKind::Text,
        range: "",
        default: "the real server's address",
        example: "\"www.example.org\"",
        doc: "The Host header of http and https checks.",
        says: Says::Same(""),
        set: set::virtual_host,
    },
    Directive {
        name: "login",
        scope: Scope::Virtual,
        value: ValueKind::Quoted,
        range: "",
        default: "\"anonymous\" after service=ftp, \"ldirectord@\" and the host name after service=sip, else empty",
        example: "\"monitor\"",
        doc: "The name to log in with, for the services that have logins; the caller's address for sip.",
        says: Says::Same("invalid login string"),
        set: |draft, value| {
            set::in_block(draft, |block, found| {
                set::quoted_text(value, found, &mut block.login);
            })
        },
    },
    Directive {
        name: "passwd",
        scope: Scope::Virtual,
        value: ValueKind::Quoted,
        range: "",
        default: "\"ldirectord@\" and the host name after service=ftp, else empty",
        example: "\"a password\"",
        doc: "The password to log in with. A file with a password in it should be readable by root alone.",
        says: Says::Same("invalid password"),
        set: |draft, value| {
            set::in_block(draft, |block, found| {
                set::quoted_text(value, found, &mut block.passwd);
            })
        },
    },
    Directive {
        name: "database",
        scope: Scope::Virtual,
        value: ValueKind::Quoted,
        range: "",
        default: "empty",
        example: "\"monitoring\"",
        doc: "The database to ask, for mysql and pgsql; the SID for oracle.",
        says: Says::Same("invalid database"),
        set: |draft, value| {
            set::in_block(draft, |block, found| {
                set::quoted_text(value, found, &mut block.database);
            })
        },
    },
    Directive {
        name: "secret",
        scope: Scope::Virtual,
        value: ValueKind::Quoted,
        range: "",
        default: "empty",
        example: "\"a shared secret\"",
        doc: "The secret that radius servers share with us.",
        says: Says::Same("invalid secret"),
        set: |draft, value| {
            set::in_block(draft, |block, found| {
                set::quoted_text(value, found, &mut block.secret);
            })
        },
    },
    Directive {
        name: "load",
        scope: Scope::Virtual,
        value: ValueKind::Quoted,
        range: "",
        default: "",
        example: "\"load\"",
        doc: "Read and not used, as in ldirectord.",
        says: Says::Same("invalid string for load testing"),
        set: set::load,
    },
    Directive {
        name: "checktimeout",
        scope: Scope::Both,
        value: ValueKind::Seconds,
        range: "1 second or more",
        default: "negotiatetimeout, else 5",
        example: "5",
        doc: "When a connect, ping or external check has failed. Where only negotiatetimeout is given it holds here too.",
        says: Says::Differ("invalid check timeout value", "invalid check timeout"),
        set: |draft, value| {
            if let Some(seconds) = set::timeout(draft, value) {
                draft.common().check_timeout_s = Some(seconds);
            }
        },
    },
    Directive {
        name: "negotiatetimeout",
        scope: Scope::Both,
        value: ValueKind::Seconds,
        range: "1 second or more",
        default: "checktimeout, else 30",
        example: "10",
        doc: "When a negotiation has failed. Where only checktimeout is given it holds here too.",
        says: Says::Differ("invalid negotiate timeout value", "invalid negotiate timeout"),
        set: |draft, value| {
            if let Some(seconds) = set::timeout(draft, value) {
                draft.common().negotiate_timeout_s = Some(seconds);
            }
        },
    },
    Directive {
        name: "connecttimeout",
        scope: Scope::Both,
        value: ValueKind::Seconds,
        range: "",
        default: "",
        example: "",
        doc: "Not known any more: use negotiatetimeout.",
        says: Says::Same("connecttimeout directive deprecated in favour of negotiatetimeout"),
        set: |draft, value| set::gone(draft, value, "negotiatetimeout"),
    },
    Directive {
        name: "timeout",
        scope: Scope::Global,
        value: ValueKind::Seconds,
        range: "",
        default: "",
        example: "",
        doc: "Not known any more: use checktimeout and negotiatetimeout.",
        says: Says::Same(
            "timeout directive deprecated in favour of checktimeout and negotiatetimeout",
        ),
        set: |draft, value| set::gone(draft, value, "checktimeout"),
    },
    Directive {
        name: "checkinterval",
        scope: Scope::Both,
        value: ValueKind::Seconds,
        range: "1 second or more",
        default: "10",
        example: "10",
        doc: "How often real servers are checked. What a service says of itself holds with fork=yes only.",
        says: Says::Differ("invalid check interval value", "invalid checkinterval"),
        set: |draft, value| {
            if let Some(seconds) = value.positive(&mut draft.findings) {
                draft.common().interval_s = Some((seconds, value.key.clone()));
            }
        },
    },
    Directive {
        name: "checkcount",
        scope: Scope::Both,
        value: ValueKind::Count,
        range: "1 or more",
        default: "1",
        example: "3",
        doc: "How many pings must go unanswered before a ping check has failed. Going out of use: see failurecount.",
        says: Says::Differ("invalid check count value", "invalid check count"),
        set: set::check_count,
    },
    Directive {
        name: "failurecount",
        scope: Scope::Both,
        value: ValueKind::Count,
        range: "1 or more",
        default: "1",
        example: "3",
        doc: "How many checks in a row must fail before a server is taken out of service.",
        says: Says::Differ("invalid failure count value", "invalid failure count"),
        set: |draft, value| {
            if let Some(count) = value.positive(&mut draft.findings) {
                draft.common().failure_count = Some(count);
            }
        },
    },
    Directive {
        name: "quiescent",
        scope: Scope::Both,
        value: ValueKind::YesNo,
        range: "",
        default: "no",
        example: "yes",
        doc: "What becomes of a server that is out of service: yes leaves it in the kernel with weight 0, so that its \
              connections can end in peace; no takes it out of the kernel, which breaks them.",
        says: Says::Same("quiescent must be 'yes' or 'no'"),
        set: |draft, value| {
            if let Some(answer) = value.yes_no(&mut draft.findings) {
                draft.common().quiescent = Some(answer);
            }
        },
    },
    Directive {
        name: "readdquiescent",
        scope: Scope::Global,
        value: ValueKind::YesNo,
        range: "",
        default: "no",
        example: "yes",
        doc: "With quiescent=yes: whether a server that is out of service is put back with weight 0 when somebody took it \
              out of the kernel.",
        says: Says::Same("readdquiescent must be 'yes' or 'no'"),
        set: |draft, value| {
            if let Some(answer) = value.yes_no(&mut draft.findings) {
                draft.globals.readd_quiescent = answer;
            }
        },
    },
    Directive {
        name: "cleanstop",
        scope: Scope::Both,
        value: ValueKind::YesNo,
        range: "",
        default: "yes",
        example: "no",
        doc: "Whether virtual services leave the kernel when the daemon ends.",
        says: Says::Same("cleanstop must be 'yes' or 'no'"),
        set: |draft, value| {
            if let Some(answer) = value.yes_no(&mut draft.findings) {
                draft.common().clean_stop = Some(answer);
            }
        },
    },
    Directive {
        name: "autoreload",
        scope: Scope::Global,
        value: ValueKind::YesNo,
        range: "",
        default: "no",
        example: "yes",
        doc: "Whether this file is read anew when it has changed.",
        says: Says::Same("autoreload must be 'yes' or 'no'"),
        set: |draft, value| {
            if let Some(answer) = value.yes_no(&mut draft.findings) {
                draft.globals.autoreload = answer;
            }
        },
    },
    Directive {
        name: "callback",
        scope: Scope::Global,
        value: ValueKind::Quoted,
        range: "",
        default: "none",
        example: "\"/usr/local/sbin/copy-configuration\"",
        doc: "A program that is run with the name of this file when the file has changed.",
        says: Says::Same(""),
        set: set::callback,
    },
    Directive {
        name: "execute",
        scope: Scope::Global,
        value: ValueKind::Rest,
        range: "",
        default: "none",
        example: "other.cf",
        doc: "Another configuration, which a daemon of its own follows; it is started, reloaded and stopped with this one. \
              May be repeated.",
        says: Says::Same(""),
        set: set::execute,
    },
    Directive {
        name: "fork",
        scope: Scope::Global,
        value: ValueKind::YesNo,
        range: "",
        default: "no",
        example: "no",
        doc: "In ldirectord, whether every virtual service has a process of its own. Checks never wait for each other \
              here, so all that is left of it is that yes lets every service have a checkinterval of its own.",
        says: Says::Same("fork must be 'yes' or 'no'"),
        set: |draft, value| {
            if let Some(answer) = value.yes_no(&mut draft.findings) {
                draft.globals.fork = answer;
            }
        },
    },
    Directive {
        name: "supervised",
        scope: Scope::Global,
        value: ValueKind::YesNo,
        range: "",
        default: "no",
        example: "no",
        doc: "Whether to stay in the foreground and write the log to standard output.",
        says: Says::Same("supervised must be 'yes' or 'no'"),
        set: |draft, value| {
            if let Some(answer) = value.yes_no(&mut draft.findings) {
                draft.globals.supervised = answer;
            }
        },
    },
    Directive {
        name: "logfile",
        scope: Scope::Global,
        value: ValueKind::Quoted,
        range: "",
        default: "\"/var/log/ldirectord.log\"",
        example: "\"local0\"",
        doc: "Where the log goes: a file, if it begins with a /, else a facility of the system's log.",
        says: Says::Same(""),
        set: set::log_file,
    },
    Directive {
        name: "monitorfile",
        scope: Scope::Virtual,
        value: ValueKind::Text,
        range: "",
        default: "none",
        example: "\"/var/log/ldirectord/web.monitor\"",
        doc: "A file to which the result of every check is written, a line each.",
        says: Says::Same("unable to open monitorfile : No such file or directory"),
        set: set::monitor_file,
    },
    Directive {
        name: "maintenancedir",
        scope: Scope::Global,
        value: ValueKind::Rest,
        range: "",
        default: "none",
        example: "/etc/ha.d/maintenance",
        doc: "A directory in which a file takes a real server out of service that has the server's address or name as \
              its own name, with or without :PORT.",
        says: Says::Same("maintenance directory not specified"),
        set: |draft, value| {
            if let Some(path) = value.rest(&mut draft.findings) {
                draft.globals.maintenance_dir = Some(path);
            }
        },
    },
    Directive {
        name: "emailalert",
        scope: Scope::Both,
        value: ValueKind::Text,
        range: "",
        default: "none",
        example: "\"admin@example.org\"",
        doc: "Who is mailed when a server goes into or out of service; several addresses with commas between.",
        says: Says::Same("no email address specified"),
        set: set::email_alert,
    },
    Directive {
        name: "emailalertfrom",
        scope: Scope::Global,
        value: ValueKind::Rest,
        range: "",
        default: "root at this host",
        example: "ldirectord@example.org",
        doc: "The sender of these mails.",
        says: Says::Same("no email from address specified"),
        set: set::email_from,
    },
    Directive {
        name: "emailalertfreq",
        scope: Scope::Both,
        value: ValueKind::Seconds,
        range: "seconds, 0 for never",
        default: "0",
        example: "300",
        doc: "How often the mail about a server that stays out of service is repeated.",
        says: Says::Same("invalid email alert frequency"),
        set: set::email_frequency,
    },
    Directive {
        name: "emailalertstatus",
        scope: Scope::Both,
        value: ValueKind::Words(set::EMAIL_STATUSES),
        range: "",
        default: "all",
        example: "running,stopping",
        doc: "What the daemon must be doing for a mail to be sent; all and none stand alone.",
        says: Says::Same(""),
        set: set::email_status,
    },
    Directive {
        name: "smtp",
        scope: Scope::Both,
        value: ValueKind::Special("a host name or address"),
        range: "",
        default: "the local sendmail",
        example: "mail.example.org",
        doc: "The mail server that these mails are handed to.",
        says: Says::Same("invalid SMTP server address"),
        set: set::smtp,
    },
    Directive {
        name: "servicename",
        scope: Scope::Virtual,
        value: ValueKind::Rest,
        range: "",
        default: "none",
        example: "Web shop",
        doc: "A name of the service, for mails.",
        says: Says::Same(""),
        set: |draft, value| set::in_block(draft, |block, _| block.name = Some(value.remark())),
    },
    Directive {
        name: "comment",
        scope: Scope::Virtual,
        value: ValueKind::Rest,
        range: "",
        default: "none",
        example: "ask the shop team before a change",
        doc: "A remark on the service, for mails.",
        says: Says::Same(""),
        set: |draft, value| set::in_block(draft, |block, _| block.comment = Some(value.remark())),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_each_name_once_and_a_text_for_all() {
        for (index, directive) in DIRECTIVES.iter().enumerate() {
            assert!(
                !directive.doc.is_empty() && !directive.doc.contains("  "),
                "{}",
                directive.name
            );
            let first = DIRECTIVES.iter().position(|other| other.name == directive.name);
            assert_eq!(first, Some(index), "{}", directive.name);
        }
        let services: Vec<&str> = SERVICES.iter().map(|(name, _)| *name).collect();
        assert_eq!(services, SERVICE_WORDS);
    }

    #[test]
    fn a_misspelt_name_is_recognised_where_it_may_stand() {
        let nearest = |name: &str, in_block| {
            Directive::nearest(name.as_bytes(), in_block).map(|directive| directive.name)
        };
        assert_eq!(nearest("recieve", true), Some("receive"));
        assert_eq!(nearest("recieve", false), None);
        assert_eq!(nearest("QUIESCENT", false), Some("quiescent"));
        assert_eq!(nearest("maintenance_dir", false), Some("maintenancedir"));
        assert_eq!(nearest("", false), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), true), None);
    }

    #[test]
    fn words_are_as_far_apart_as_a_person_finds_them() {
        assert_eq!(distance(b"real", b"real"), 0);
        assert_eq!(distance(b"rael", b"real"), 1);
        assert_eq!(distance(b"rea", b"real"), 1);
        assert_eq!(distance(b"reall", b"real"), 1);
        assert_eq!(distance(b"", b"real"), 4);
        assert_eq!(distance(b"service", b"virtual"), 6);
    }
}
