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
    /// A number of seconds, or of `ms`, `s`, `m` or `h` with the unit right behind it.
    Duration,
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
    /// The range of the value in words, or nothing; its unit is that of [`ValueKind::unit`].
    pub range: &'static str,
    /// What holds where it is missing, in words.
    pub default: &'static str,
    /// A value that is right; nothing where every value is refused.
    pub example: &'static str,
    /// A value that is right outside of a virtual service, where that is another.
    pub global_example: Option<&'static str>,
    /// The manual's paragraph.
    pub doc: &'static str,
    /// Whose word counts for a virtual service, where that is not what its scope implies.
    pub inherits: &'static str,
    /// What ldirectord makes of it where that is not the same, in words that follow on `ldirectord:`.
    pub differs: &'static str,
    /// Whether each of several counts; of others the last one counts.
    pub repeats: bool,
    /// Whether ldirectord does not know it.
    pub extension: bool,
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
        let fits = |directive: &&Directive| directive.fits(in_block);
        let names: Vec<&str> = DIRECTIVES.iter().filter(fits).map(|row| row.name).collect();
        Directive::find(nearest_word(name, &names)?.as_bytes())
    }
}

/// The word that was probably meant, if one is near enough.
pub fn nearest_word<'w>(word: &[u8], words: &[&'w str]) -> Option<&'w str> {
    let wanted = word.to_ascii_lowercase();
    let near = |known: &&str| distance(&wanted, known.as_bytes());
    let nearest = words.iter().copied().min_by_key(near)?;
    (!word.is_empty() && near(&nearest) <= 1 + wanted.len() / 4).then_some(nearest)
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

/// The services that ldirectord can check, and [`EXTENSIONS`], each with the port that it is asked at where none is
/// given.
pub const SERVICES: &[(&str, Option<u16>)] = &[
    ("amqp", Some(5672)),
    ("dns", Some(53)),
    ("ftp", Some(21)),
    ("grpc", Some(50051)),
    ("grpcs", Some(443)),
    ("http", Some(80)),
    ("https", Some(443)),
    ("http_proxy", Some(3128)),
    ("imap", Some(143)),
    ("imaps", Some(993)),
    ("ldap", Some(389)),
    ("ldaps", Some(636)),
    ("memcached", Some(11211)),
    ("mqtt", Some(1883)),
    ("mysql", Some(3306)),
    ("nntp", Some(119)),
    ("none", None),
    ("oracle", Some(1521)),
    ("pgsql", Some(5432)),
    ("pop", Some(110)),
    ("pops", Some(995)),
    ("radius", Some(1812)),
    ("redis", Some(6379)),
    ("simpletcp", None),
    ("sip", Some(5060)),
    ("smtp", Some(25)),
    ("submission", Some(587)),
    ("tcp", None),
    ("tls", None),
    ("udp", None),
    ("ws", Some(80)),
    ("wss", Some(443)),
];

/// The services that ldirectord does not know. No port implies them, so that an old file means what it meant.
pub const EXTENSIONS: &[&str] =
    &["amqp", "grpc", "grpcs", "memcached", "mqtt", "redis", "tcp", "tls", "udp", "ws", "wss"];

const SERVICE_WORDS: &[&str] = &[
    "amqp",
    "dns",
    "ftp",
    "grpc",
    "grpcs",
    "http",
    "https",
    "http_proxy",
    "imap",
    "imaps",
    "ldap",
    "ldaps",
    "memcached",
    "mqtt",
    "mysql",
    "nntp",
    "none",
    "oracle",
    "pgsql",
    "pop",
    "pops",
    "radius",
    "redis",
    "simpletcp",
    "sip",
    "smtp",
    "submission",
    "tcp",
    "tls",
    "udp",
    "ws",
    "wss",
];

/// What most rows have in common.
const ROW: Directive = Directive {
    name: "",
    scope: Scope::Virtual,
    value: ValueKind::Text,
    range: "",
    default: "",
    example: "",
    global_example: None,
    doc: "",
    inherits: "",
    differs: "",
    repeats: false,
    extension: false,
    says: Says::Same(""),
    set: |_, _| {},
};

/// Every directive, in the order of the manual.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "virtual",
        differs: "an address without a port is a firewall mark there",
        scope: Scope::Opening,
        value: ValueKind::Special("ADDRESS:PORT | NAME:PORT | MARK"),
        range: "port 0 to 65535 or a service name; mark 1 to 4294967295",
        example: "192.0.2.1:80",
        doc: "Begins a virtual service: an IPv4 address and port that clients reach, or a firewall mark that the packet \
              filter gives to their packets. The indented lines that follow belong to it; an empty line ends it.",
        says: Says::Same("invalid address for virtual server"),
        set: set::opening,
        ..ROW
    },
    Directive {
        name: "virtual6",
        scope: Scope::Opening,
        value: ValueKind::Special("[ADDRESS]:PORT | NAME:PORT | MARK"),
        range: "port 0 to 65535 or a service name; mark 1 to 4294967295",
        example: "[2001:db8::1]:80",
        doc: "As virtual, for IPv6: an address in brackets and a port, or a mark of IPv6 packets.",
        says: Says::Same("invalid address for virtual server"),
        set: set::opening,
        ..ROW
    },
    Directive {
        name: "real",
        differs: "a request of its own that begins with / makes the receive and the limits behind it be ignored; a \
                  range over 5.245.225.0 or 59.154.202.0 is empty",
        repeats: true,
        scope: Scope::Virtual,
        value: ValueKind::Special(
            "ADDRESS[->ADDRESS][:PORT] gate|masq|ipip [WEIGHT] [\"REQUEST\",\"RECEIVE\"] [l:NUMBER] [u:NUMBER]",
        ),
        range: "weight 0 to 2147483647",
        example: "192.0.2.10:80 masq 1",
        doc: "A real server, or with -> every address of a range, and how packets reach it: gate routes them directly, \
              masq rewrites their address, ipip tunnels them. The weight is its share of new connections (1 if not \
              given, 0 for none); a request and receive of its own take the place of the service's; l: and u: are the \
              numbers of connections below which it takes new ones again and at which it stops. May be repeated.",
        says: Says::Same("invalid address for real server (wrong format)"),
        set: set::real,
        ..ROW
    },
    Directive {
        name: "real6",
        differs: "a request of its own that begins with / makes the receive and the limits behind it be ignored",
        repeats: true,
        scope: Scope::Virtual,
        value: ValueKind::Special(
            "[ADDRESS]:PORT gate|masq|ipip [WEIGHT] [\"REQUEST\",\"RECEIVE\"] [l:NUMBER] [u:NUMBER]",
        ),
        range: "weight 0 to 2147483647",
        example: "[2001:db8::10]:80 masq 1",
        doc: "As real, in a service that virtual6 begins. Ranges are not possible.",
        says: Says::Same("invalid address for real server (wrong format)"),
        set: set::real,
        ..ROW
    },
    Directive {
        name: "fallback",
        inherits: "what the virtual service says, else the global line for an IPv4 service, else the default",
        differs: "a global one does not work for marks",
        scope: Scope::Both,
        value: ValueKind::Special("ADDRESS[:PORT] [gate|masq|ipip]"),
        default: "none",
        example: "127.0.0.1:80 gate",
        doc: "The server that takes the connections when no real server does, with weight 1. Without a port it has that \
              of the virtual service; without a method it is reached by gate; without anything it is 127.0.0.1. \
              Outside of a service it is that of every IPv4 service that has none of its own. It is not checked.",
        says: Says::Same("invalid port for fallback server"),
        set: set::fallback,
        ..ROW
    },
    Directive {
        name: "fallback6",
        inherits: "what the virtual service says, else the global line for an IPv6 service, else the default",
        differs: "a global one does not work for marks",
        scope: Scope::Both,
        value: ValueKind::Special("[ADDRESS][:PORT] [gate|masq|ipip]"),
        default: "none",
        example: "[::1]:80 gate",
        doc: "As fallback, for services that virtual6 begins.",
        says: Says::Same("invalid port for fallback server"),
        set: set::fallback,
        ..ROW
    },
    Directive {
        name: "fallbackcommand",
        differs: "everything waits for the program",
        scope: Scope::Both,
        value: ValueKind::Text,
        default: "none",
        example: "/usr/local/sbin/fallback-changed",
        doc: "A program that is run when the fallback begins or ends to serve, with start or stop, the service and its \
              protocol as arguments; with stop, too, when a service whose fallback serves leaves as the daemon ends. What \
              it prints is in the log, and after 60 s it is killed.",
        says: Says::Same("invalid fallback command"),
        set: set::fallback_command,
        ..ROW
    },
    Directive {
        name: "tunneltype",
        extension: true,
        scope: Scope::Both,
        value: ValueKind::Word(set::TUNNEL_TYPES),
        default: "ipip",
        example: "gue",
        doc: "How packets to servers with the forwarding method ipip are wrapped: ipip (IP in IP), gue (generic UDP \
              encapsulation) or gre. The kernel knows gue since Linux 5.3 and gre since 5.5.",
        set: set::tunnel_type,
        ..ROW
    },
    Directive {
        name: "tunnelport",
        extension: true,
        scope: Scope::Both,
        value: ValueKind::Count,
        range: "1 to 65535",
        default: "6080",
        example: "6080",
        doc: "The UDP port at which real servers take packets of tunneltype=gue.",
        set: set::tunnel_port,
        ..ROW
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
        ..ROW
    },
    Directive {
        name: "schedflags",
        scope: Scope::Virtual,
        value: ValueKind::Words(set::SCHEDULER_FLAGS),
        default: "none",
        example: "sh-port,sh-fallback",
        doc: "Flags of the scheduler: sh-fallback and mh-fallback (choose another server where the chosen one is full or \
              has no weight), sh-port and mh-port (the client's port counts too), or flag-1, flag-2, flag-3.",
        says: Says::Same("invalid sched-flags"),
        set: set::scheduler_flags,
        ..ROW
    },
    Directive {
        name: "persistent",
        differs: "with 0 the service is never installed; here that is no persistence",
        scope: Scope::Virtual,
        value: ValueKind::Duration,
        range: "a whole number from 1 to 2678400",
        default: "none",
        example: "600",
        doc: "A client keeps its real server until it has been silent for this long.",
        says: Says::Same("invalid persistent timeout"),
        set: set::persistent,
        ..ROW
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
        ..ROW
    },
    Directive {
        name: "protocol",
        scope: Scope::Virtual,
        value: ValueKind::Word(&["tcp", "udp", "fwm"]),
        default: "fwm for a mark, udp for port 53, else tcp",
        example: "tcp",
        doc: "The protocol that clients speak to the virtual service: tcp or udp; fwm, and nothing else, for a mark.",
        says: Says::Same("invalid protocol"),
        set: set::protocol,
        ..ROW
    },
    Directive {
        name: "ops",
        scope: Scope::Virtual,
        value: ValueKind::YesNo,
        default: "no",
        example: "yes",
        doc: "Whether every packet of a udp service is scheduled anew instead of following the first of its connection.",
        says: Says::Same("ops must be 'yes' or 'no'"),
        set: |draft, value| {
            set::in_block(draft, |block, found| {
                block.one_packet = value.yes_no(found).unwrap_or(block.one_packet);
            })
        },
        ..ROW
    },
    Directive {
        name: "checktype",
        differs: "ping never finds an IPv6 server working",
        scope: Scope::Virtual,
        value: ValueKind::Word(set::CHECK_TYPES),
        range: "a number is 0 or more",
        default: "negotiate",
        example: "negotiate",
        doc: "How real servers are checked. negotiate speaks the protocol of service; connect opens a TCP connection, or \
              pings where the service is udp; ping pings; external runs checkcommand; external-perl has it run by a perl \
              that is kept, so that a check costs the start of neither perl nor its modules; on takes every server for \
              working, off none. A number N negotiates once, then connects N times, and so on.",
        says: Says::Same(
            "checktype must be \"connect\", \"negotiate\", \"on\", \"off\", \"ping\", \"external\", \"external-perl\" or a \
             positive number",
        ),
        set: set::check_type,
        ..ROW
    },
    Directive {
        name: "service",
        scope: Scope::Virtual,
        value: ValueKind::Word(SERVICE_WORDS),
        default: "the one whose port the virtual service has, else none",
        example: "http",
        doc: "The protocol that negotiate speaks. none takes every server for working.",
        differs: "amqp, grpc, grpcs, memcached, mqtt, redis, tcp, tls, udp, ws and wss are refused, and their ports imply nothing",
        says: Says::Same(
            "service must be dns, ftp, http, https, http_proxy, imap, imaps, ldap, ldaps, mysql, nntp, none, oracle, pop, \
             pops, radius, pgsql, simpletcp, sip, smtp or submission",
        ),
        set: set::service,
        ..ROW
    },
    Directive {
        name: "checkcommand",
        differs: "a program that a signal ended counts as success",
        scope: Scope::Virtual,
        value: ValueKind::Text,
        default: "/bin/true",
        example: "/usr/local/lib/ldirectord/check",
        doc: "The program of checktype=external, and of external-perl. It is run without a shell, with the virtual address or mark, the \
              virtual port (0 for a mark), the real server's address and its port as arguments; it exits with 0 when \
              the server works.",
        says: Says::Same("invalid check command"),
        set: set::check_command,
        ..ROW
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
        ..ROW
    },
    Directive {
        name: "request",
        inherits: "each virtual service has its own; a request on a real line is stronger for that server",
        scope: Scope::Virtual,
        value: ValueKind::Quoted,
        default: "\"/\"",
        example: "\"healthz\"",
        doc: "What a negotiation asks for: the path for http, https, ws and wss, the whole URL for http_proxy, the file for ftp, \
              the name or address to resolve for dns, the statement for mysql, pgsql and oracle, the base of the search \
              for ldap, the command for redis, the bytes to send for simpletcp, the name of a service for grpc \
              and grpcs. A / is put before it where it has none.",
        says: Says::Same("no request string specified"),
        set: set::request,
        ..ROW
    },
    Directive {
        name: "receive",
        inherits: "each virtual service has its own; a receive on a real line is stronger for that server",
        differs: "a pattern that is wrong ends the daemon at the first answer",
        scope: Scope::Virtual,
        value: ValueKind::Quoted,
        default: "anything will do",
        example: "\"all is well\"",
        doc: "What the answer must contain: a regular expression of Perl.",
        says: Says::Same("invalid receive string"),
        set: set::receive,
        ..ROW
    },
    Directive {
        name: "send",
        repeats: true,
        extension: true,
        value: ValueKind::Special("\"TEXT\""),
        default: "nothing is sent",
        example: r#""PING\r\n""#,
        doc: "What a tcp, tls or udp check sends. In the text \\r, \\n, \\t and \\0 are carriage return, line feed, tab \
              and the byte 0, \\\\ and \\\" a backslash and a quote, and \\x with two hexadecimal digits is any byte. May be repeated: send and expect are steps, taken \
              in the order of their lines. To a udp server the one text is one datagram. What is sent is shown nowhere; a \
              file with a password in it should be readable by root alone.",
        set: set::send,
        ..ROW
    },
    Directive {
        name: "expect",
        repeats: true,
        extension: true,
        value: ValueKind::Special("\"PATTERN\""),
        default: "anything will do",
        example: r#""^\+PONG\r\n""#,
        doc: "What a tcp, tls or udp check waits for: a regular expression of Perl, which must be found in what has come \
              since the last one was found; what stands behind it is left for the next. May be repeated: send and expect are \
              steps, taken in the order of their lines, and one before any send waits for a greeting. At most 64 KiB are \
              looked at. An answer is looked at as it comes, and alone: ^ is where the last match ended and $ wherever the answer \
              has got to; (?m)^ is the start of any line and \\n the end of one. Of a udp server it must be found in one \
              datagram.",
        set: set::expect,
        ..ROW
    },
    Directive {
        name: "httpmethod",
        scope: Scope::Virtual,
        differs: "GET and HEAD only; it refuses the file for another",
        value: ValueKind::Word(set::HTTP_METHODS),
        default: "GET",
        example: "HEAD",
        doc: "The method of http and https checks. The answer to HEAD has no body, so receive can never be found in it. \
              Redirections are followed with GET and HEAD only.",
        says: Says::Same("httpmethod must be GET or HEAD"),
        set: set::http_method,
        ..ROW
    },
    Directive {
        name: "requestheader",
        repeats: true,
        extension: true,
        value: ValueKind::Special("\"NAME: TEXT\""),
        default: "none",
        example: "\"Accept: application/json\"",
        doc: "A header field to send with the request of a http, https, http_proxy, ws, wss, grpc or grpcs check, each name once. May be repeated. \
              Host is what virtualhost says, and Content-Length that of requestbody. A redirection to another host or port \
              is followed without it. A file with a password or a token in it should be readable by root alone.",
        set: set::request_header,
        ..ROW
    },
    Directive {
        name: "requestbody",
        extension: true,
        value: ValueKind::Quoted,
        default: "none",
        example: "\"{\"query\": \"ping\"}\"",
        doc: "What a http, https or http_proxy check sends behind the header of its request, as it stands between the first \
              and the last quote of the line; mostly with httpmethod=POST, and a requestheader for its Content-Type. A ws or wss check sends it \
              as a text message.",
        set: set::request_body,
        ..ROW
    },
    Directive {
        name: "expectstatus",
        extension: true,
        value: ValueKind::Special("list of STATUS, STATUS-STATUS"),
        range: "statuses from 200 to 599",
        default: "200-299",
        example: "200,204,300-399",
        doc: "The statuses that the answer to a http, https or http_proxy check may have. Without it redirections are \
              followed, and the last answer must have one of 2xx; a redirection whose status is in the list is an answer, \
              and not followed.",
        set: set::expect_status,
        ..ROW
    },
    Directive {
        name: "expectheader",
        repeats: true,
        extension: true,
        value: ValueKind::Special("\"NAME: PATTERN\""),
        default: "anything will do",
        example: "\"Content-Type: ^application/json\"",
        doc: "A header field that the answer to a http, https, http_proxy, ws or wss check must have, and a regular expression of Perl \
              that must be found in its value; where the field is there several times, in one of them. May be repeated, and \
              each must be met.",
        set: set::expect_header,
        ..ROW
    },
    Directive {
        name: "maxbody",
        extension: true,
        value: ValueKind::Count,
        range: "1 to 16777216",
        default: "1048576",
        example: "65536",
        doc: "In how many bytes of the body of an answer a http, https or http_proxy check looks for receive, and a ws or wss \
              check in how many of the messages. What follows is not read.",
        set: set::max_body,
        ..ROW
    },
    Directive {
        name: "httpkeepalive",
        extension: true,
        value: ValueKind::YesNo,
        default: "no",
        example: "yes",
        doc: "Whether a http, https or http_proxy check uses its connection again at its next attempt, for up to 5 minutes, and \
              its TLS session for up to 10. That is cheaper, most of all with TLS; but whether the server takes new connections \
              is asked, and its certificate looked at, no more often than that. A connection that the server has closed or \
              forgotten is no failure: the check asks again over a new one, at once. Write checkinterval shorter than the \
              time for which the server keeps idle connections.",
        set: set::keep_alive,
        ..ROW
    },
    Directive {
        name: "dnstype",
        extension: true,
        value: ValueKind::Word(set::DNS_TYPES),
        default: "ptr if request is an address, else a",
        example: "aaaa",
        doc: "What a dns check asks for: the IPv4 address (a) or IPv6 address (aaaa) of a name, or the name of an address \
              (ptr).",
        set: set::dns_type,
        ..ROW
    },
    Directive {
        name: "virtualhost",
        differs: "it is not sent as the name in TLS",
        scope: Scope::Virtual,
        value: ValueKind::Text,
        default: "the real server's address",
        example: "\"www.example.org\"",
        doc: "The Host header of http, https, ws and wss checks, and the authority of grpc and grpcs.",
        set: set::virtual_host,
        ..ROW
    },
    Directive {
        name: "starttls",
        extension: true,
        scope: Scope::Both,
        value: ValueKind::YesNo,
        default: "no",
        example: "yes",
        doc: "Whether checks of smtp, submission, imap, pop and ldap go over to TLS with STARTTLS (pop: STLS) before \
              anything else is asked. The real server must offer it; nothing is sent in the clear but what \
              leads there. Then tlsverify, cafile, tlsname, clientcert, clientkey, tlsengine and the name in virtualhost \
              count as for imaps. Of other services this says nothing when it stands outside of them.",
        set: |draft, value| {
            if let Some(answer) = value.yes_no(&mut draft.findings) {
                draft.common().start_tls = Some(answer);
            }
        },
        ..ROW
    },
    Directive {
        name: "tlsverify",
        extension: true,
        scope: Scope::Both,
        value: ValueKind::YesNo,
        default: "no",
        example: "yes",
        doc: "Whether the certificate of a real server must be vouched for, in force, and for the right name. It is verified \
              with cafile, or without it with the authorities that this system trusts. The name is tlsname, else \
              virtualhost if that is a host name, else the server's address; only subjectAltName counts, not the common \
              name. Revocation is not looked at. With no, an expired certificate keeps nobody out of service.",
        set: |draft, value| {
            if let Some(answer) = value.yes_no(&mut draft.findings) {
                draft.name_file(value, b"");
                draft.common().tls_verify = Some(answer);
            }
        },
        ..ROW
    },
    Directive {
        name: "cafile",
        extension: true,
        scope: Scope::Both,
        value: ValueKind::Text,
        default: "the authorities that this system trusts",
        example: "/etc/ssl/certs/ca-certificates.crt",
        doc: "The certificates that tlsverify=yes trusts in place of the system's, in PEM: of authorities, intermediate ones, \
              or a server's own self-signed one. The file is read again when it changes; if it goes bad, the log says so \
              and the last good contents stay in use.",
        set: |draft, value| {
            if let Some(path) = draft.our_file(value) {
                draft.common().authorities = Some(path);
            }
        },
        ..ROW
    },
    Directive {
        name: "tlsname",
        extension: true,
        value: ValueKind::Text,
        default: "virtualhost if it is a host name, else the real server's address, which is not sent",
        example: "web.internal.example.org",
        doc: "The name that a server is asked for in TLS (SNI), and that tlsverify=yes expects in its certificate. Set it \
              when that is not the name in the Host header. An IP address is verified and not sent.",
        set: set::tls_name,
        ..ROW
    },
    Directive {
        name: "clientcert",
        extension: true,
        scope: Scope::Both,
        value: ValueKind::Text,
        default: "none",
        example: "/etc/ha.d/director.pem",
        doc: "The certificate to show to a server that asks who checks it, in PEM, and after it those that lead to an authority \
              that the server knows. Read again when it changes, as cafile.",
        set: |draft, value| {
            if let Some(path) = draft.our_file(value) {
                draft.common().client_certificate = Some(path);
            }
        },
        ..ROW
    },
    Directive {
        name: "clientkey",
        extension: true,
        scope: Scope::Both,
        value: ValueKind::Text,
        default: "the file of clientcert",
        example: "/etc/ha.d/director.key",
        doc: "The private key of the clientcert that is named in the same place, in PEM: PKCS#8, PKCS#1 or SEC1, without a \
              passphrase.",
        set: |draft, value| {
            if let Some(path) = draft.our_file(value) {
                draft.common().client_key = Some((path, value.key.clone()));
            }
        },
        ..ROW
    },
    Directive {
        name: "tlsengine",
        extension: true,
        scope: Scope::Both,
        value: ValueKind::Word(set::TLS_ENGINES),
        default: "auto",
        example: "auto",
        doc: "Which library speaks TLS: rustls (TLS 1.2 and 1.3), openssl (also TLS 1.0 and 1.1 and old ciphers), or auto: \
              rustls first, and openssl with the servers that rustls cannot talk to, which are remembered.",
        set: set::tls_engine,
        ..ROW
    },
    Directive {
        name: "login",
        inherits: "what the service says itself, else its section of the credentials file, else the default",
        scope: Scope::Virtual,
        value: ValueKind::Quoted,
        default: "\"anonymous\" after service=ftp, \"ldirectord@\" and the host name after service=sip, else empty",
        example: "\"monitor\"",
        doc: "The name to log in with, for the services that have logins; the caller's address for sip.",
        says: Says::Same("invalid login string"),
        set: |draft, value| {
            set::in_block(draft, |block, found| {
                set::quoted_text(value, found, &mut block.access.login);
            })
        },
        ..ROW
    },
    Directive {
        name: "passwd",
        inherits: "what the service says itself, else its section of the credentials file, else the default",
        scope: Scope::Virtual,
        value: ValueKind::Quoted,
        default: "\"ldirectord@\" and the host name after service=ftp, else empty",
        example: "\"a password\"",
        doc: "The password to log in with. A file with a password in it should be readable by root alone.",
        says: Says::Same("invalid password"),
        set: |draft, value| {
            set::in_block(draft, |block, found| {
                set::quoted_text(value, found, &mut block.access.passwd);
            })
        },
        ..ROW
    },
    Directive {
        name: "database",
        inherits: "what the service says itself, else its section of the credentials file, else the default",
        scope: Scope::Virtual,
        value: ValueKind::Quoted,
        default: "empty",
        example: "\"monitoring\"",
        doc: "The database to ask, for mysql and pgsql; the SID for oracle.",
        says: Says::Same("invalid database"),
        set: |draft, value| {
            set::in_block(draft, |block, found| {
                set::quoted_text(value, found, &mut block.access.database);
            })
        },
        ..ROW
    },
    Directive {
        name: "secret",
        inherits: "what the service says itself, else its section of the credentials file, else the default",
        scope: Scope::Virtual,
        value: ValueKind::Quoted,
        default: "empty",
        example: "\"a shared secret\"",
        doc: "The secret that radius servers share with us.",
        says: Says::Same("invalid secret"),
        set: |draft, value| {
            set::in_block(draft, |block, found| {
                set::quoted_text(value, found, &mut block.access.secret);
            })
        },
        ..ROW
    },
    Directive {
        name: "credentials",
        inherits: "none; the global line names the file, that of a service a section of it",
        extension: true,
        scope: Scope::Both,
        value: ValueKind::Special("FILE; in a virtual service SECTION"),
        default: "none",
        example: "monitoring",
        global_example: Some("/etc/ha.d/ldirectord.credentials"),
        doc: "Outside of a virtual service: an INI file with mode 0600 (root's also 0640, for the group of `user`) \
              that has the secrets, in sections with lines for login, passwd, secret, database and url (of a webhook). In a \
              virtual service: the section that it takes them from; what the service says itself is stronger.",
        set: set::credentials,
        ..ROW
    },
    Directive {
        name: "load",
        scope: Scope::Virtual,
        value: ValueKind::Quoted,
        example: "\"load\"",
        doc: "Read and not used, as in ldirectord.",
        says: Says::Same("invalid string for load testing"),
        set: set::load,
        ..ROW
    },
    Directive {
        name: "checktimeout",
        inherits: "the service's own checktimeout, else its negotiatetimeout, else the global checktimeout, else the \
                   global negotiatetimeout, else the default",
        scope: Scope::Both,
        value: ValueKind::Duration,
        range: "1ms or more",
        default: "5",
        example: "5",
        doc: "When a connect, ping or external check has failed, and at the latest a negotiation in ldap, ldaps or radius. \
              Where only negotiatetimeout is given it holds here too. Agents (agentport) have as long to answer.",
        says: Says::Differ("invalid check timeout value", "invalid check timeout"),
        set: |draft, value| {
            if let Some(timeout) = set::timeout(draft, value) {
                draft.common().check_timeout = Some(timeout);
            }
        },
        ..ROW
    },
    Directive {
        name: "negotiatetimeout",
        inherits: "the service's own negotiatetimeout, else its checktimeout, else the global negotiatetimeout, else \
                   the global checktimeout, else the default",
        scope: Scope::Both,
        value: ValueKind::Duration,
        range: "1ms or more",
        default: "30",
        example: "10",
        doc: "When a negotiation has failed. Where only checktimeout is given it holds here too.",
        says: Says::Differ("invalid negotiate timeout value", "invalid negotiate timeout"),
        set: |draft, value| {
            if let Some(timeout) = set::timeout(draft, value) {
                draft.common().negotiate_timeout = Some(timeout);
            }
        },
        ..ROW
    },
    Directive {
        name: "connecttimeout",
        scope: Scope::Both,
        value: ValueKind::Duration,
        doc: "Not known any more: use negotiatetimeout.",
        says: Says::Same("connecttimeout directive deprecated in favour of negotiatetimeout"),
        set: |draft, value| set::gone(draft, value, "negotiatetimeout"),
        ..ROW
    },
    Directive {
        name: "timeout",
        scope: Scope::Global,
        value: ValueKind::Duration,
        doc: "Not known any more: use checktimeout and negotiatetimeout.",
        says: Says::Same(
            "timeout directive deprecated in favour of checktimeout and negotiatetimeout",
        ),
        set: |draft, value| set::gone(draft, value, "checktimeout"),
        ..ROW
    },
    Directive {
        name: "checkinterval",
        differs: "that of a service holds with fork=yes only",
        scope: Scope::Both,
        value: ValueKind::Duration,
        range: "100ms or more",
        default: "10",
        example: "10",
        doc: "How often real servers are checked.",
        says: Says::Differ("invalid check interval value", "invalid checkinterval"),
        set: |draft, value| {
            if let Some(interval) = set::interval(draft, value) {
                draft.common().interval = Some((interval, value.key.clone()));
            }
        },
        ..ROW
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
        ..ROW
    },
    Directive {
        name: "failurecount",
        differs: "one failure counts once for each service that shares the check",
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
        ..ROW
    },
    Directive {
        name: "risecount",
        extension: true,
        scope: Scope::Both,
        value: ValueKind::Count,
        range: "1 or more",
        default: "1",
        example: "2",
        doc: "How many checks in a row must pass before a server that is down comes back into service. Of a server of which \
              nothing is known yet, at a start or when it is new, the first check decides.",
        set: |draft, value| {
            if let Some(count) = value.positive(&mut draft.findings) {
                draft.common().rise_count = Some(count);
            }
        },
        ..ROW
    },
    Directive {
        name: "fastinterval",
        extension: true,
        scope: Scope::Both,
        value: ValueKind::Duration,
        range: "100ms or more",
        default: "checkinterval",
        example: "1s",
        doc: "How often a real server is checked while a verdict is pending: after a failure that did not yet take it out of \
              service (failurecount), and after a pass that did not yet bring it back (risecount).",
        set: |draft, value| {
            if let Some(interval) = set::interval(draft, value) {
                draft.common().fast_interval = Some(interval);
            }
        },
        ..ROW
    },
    Directive {
        name: "downinterval",
        extension: true,
        scope: Scope::Both,
        value: ValueKind::Duration,
        range: "100ms or more",
        default: "checkinterval",
        example: "30s",
        doc: "How often a real server is checked while it is out of service.",
        set: |draft, value| {
            if let Some(interval) = set::interval(draft, value) {
                draft.common().down_interval = Some(interval);
            }
        },
        ..ROW
    },
    Directive {
        name: "agentport",
        extension: true,
        value: ValueKind::Count,
        range: "1 to 65535",
        default: "none: no agent is asked",
        example: "9707",
        doc: "The port of an agent on each real server, a program that says in a line of text what it wants: the \
              protocol of HAProxy's agent-check. It is asked beside the check, over TCP, within checktimeout. 75% or \
              weight:75% makes the weight that part of the one on the real line (write 100 there, so that there are \
              parts of it), which is 1 or more unless the agent says 0; weight:30 sets it. A weight of 0 on the real \
              line stays 0. drain, and a weight of 0, take new connections from the server and leave it in the \
              kernel, whatever quiescent says; maint treats it as one that is out of service, while its checks go \
              on; ready ends both. down, fail or stopped take it out of service at once, with a reason behind a #, \
              until the agent says up and the check passes. What the agent does not mention stays as it was, also \
              when the agent cannot be asked any more, which is told once. A weight that a person set stays until \
              the agent says something else than before. That one weight above 0 takes the place of another is told \
              with -d only. maxconn is not followed: the kernel would count connections that have ended a while ago. \
              Where all servers are down or without a weight because of their agents, the fallback serves. At a \
              start, each server stays as the kernel has it until its agent has been asked once.",
        set: set::agent_port,
        ..ROW
    },
    Directive {
        name: "agentinterval",
        extension: true,
        value: ValueKind::Duration,
        range: "100ms or more",
        default: "checkinterval",
        example: "2s",
        doc: "How often the agents are asked that agentport turns on.",
        set: |draft, value| {
            if let Some(interval) = set::interval(draft, value) {
                set::in_block(draft, |block, _| block.agent_interval = Some(interval));
            }
        },
        ..ROW
    },
    Directive {
        name: "agentsend",
        extension: true,
        value: ValueKind::Quoted,
        default: "nothing",
        example: "\"web\\n\"",
        doc: "What an agent is sent when it is asked, before it says its line; \\n stands for a line feed.",
        set: |draft, value| {
            set::in_block(draft, |block, found| {
                block.agent_send = value.quoted(false, found).unwrap_or_default();
            })
        },
        ..ROW
    },
    Directive {
        name: "quiescent",
        differs: "the same, though its manual says that the default is yes",
        scope: Scope::Both,
        value: ValueKind::YesNo,
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
        ..ROW
    },
    Directive {
        name: "readdquiescent",
        differs: "the same, though its manual lets a virtual service say it",
        scope: Scope::Global,
        value: ValueKind::YesNo,
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
        ..ROW
    },
    Directive {
        name: "cleanstop",
        scope: Scope::Both,
        value: ValueKind::YesNo,
        default: "yes",
        example: "no",
        doc: "Whether virtual services leave the kernel when the daemon ends, and in the first column also whether the sync \
              daemons stop.",
        says: Says::Same("cleanstop must be 'yes' or 'no'"),
        set: |draft, value| {
            if let Some(answer) = value.yes_no(&mut draft.findings) {
                draft.common().clean_stop = Some(answer);
            }
        },
        ..ROW
    },
    Directive {
        name: "drift",
        extension: true,
        scope: Scope::Global,
        value: ValueKind::Word(set::DRIFT),
        default: "repair",
        example: "report",
        doc: "What to do about services and servers that somebody else took out of the kernel, which is looked for every 30 \
              seconds: repair puts them back, report tells it once and leaves them out until the next change, off does not \
              look. Weights and schedulers that somebody changed are told and left in any case.",
        set: set::drift,
        ..ROW
    },
    Directive {
        name: "syncdaemon",
        extension: true,
        scope: Scope::Global,
        value: ValueKind::Special("master | backup | both INTERFACE"),
        default: "the sync daemons are left alone",
        example: "both eth0",
        doc: "Has the kernel tell other directors of its connections (master), learn of theirs (backup) or both, so that \
              established connections go on when another director takes over. The interface is one that only the directors \
              share: what is sent is neither encrypted nor authenticated. A sync daemon that another program started is \
              replaced where it differs; afterwards drift speaks of these, too. They stop with the daemon unless the global \
              cleanstop is no. ldirectord(8) tells of two directors.",
        set: set::sync_daemon,
        ..ROW
    },
    Directive {
        name: "syncid",
        extension: true,
        scope: Scope::Global,
        value: ValueKind::Count,
        range: "0 to 255",
        default: "0",
        example: "5",
        doc: "With syncdaemon: which directors belong together. A backup with 0 takes in what any director of the network \
              sends.",
        set: set::sync_id,
        ..ROW
    },
    Directive {
        name: "syncgroup",
        extension: true,
        scope: Scope::Global,
        value: ValueKind::Special("ADDRESS"),
        default: "224.0.0.81",
        example: "239.255.0.81",
        doc: "With syncdaemon: the multicast group, of IPv4 or IPv6.",
        set: set::sync_group,
        ..ROW
    },
    Directive {
        name: "syncport",
        extension: true,
        scope: Scope::Global,
        value: ValueKind::Count,
        range: "1 to 65535",
        default: "8848",
        example: "8850",
        doc: "With syncdaemon: the UDP port.",
        set: set::sync_port,
        ..ROW
    },
    Directive {
        name: "syncttl",
        extension: true,
        scope: Scope::Global,
        value: ValueKind::Count,
        range: "1 to 255",
        default: "1, which no router passes on",
        example: "2",
        doc: "With syncdaemon: how far packets go.",
        set: set::sync_ttl,
        ..ROW
    },
    Directive {
        name: "syncmaxlen",
        extension: true,
        scope: Scope::Global,
        value: ValueKind::Count,
        range: "1024 to 65487 bytes",
        default: "what the kernel chooses, such as 1472",
        example: "8900",
        doc: "With syncdaemon: the longest message; more than the default is of use with jumbo frames.",
        set: set::sync_max_length,
        ..ROW
    },
    Directive {
        name: "autoreload",
        differs: "a changed file with a fault ends the checks; here it changes nothing",
        scope: Scope::Global,
        value: ValueKind::YesNo,
        default: "no",
        example: "yes",
        doc: "Whether this file is read anew when it or a file that it includes has changed. It is looked at every \
              checkinterval, and followed when a second look, a second later, sees the same, so that a file may be \
              written where it is. One without any content is not followed.",
        says: Says::Same("autoreload must be 'yes' or 'no'"),
        set: |draft, value| {
            if let Some(answer) = value.yes_no(&mut draft.findings) {
                draft.globals.autoreload = answer;
            }
        },
        ..ROW
    },
    Directive {
        name: "callback",
        differs: "everything waits for the program",
        scope: Scope::Global,
        value: ValueKind::Quoted,
        default: "none",
        example: "\"/usr/local/sbin/copy-configuration\"",
        doc: "A program that is run with the name of this file when the file has changed, followed or not. What it \
              prints is in the log, and after 60 s it is killed.",
        set: set::callback,
        ..ROW
    },
    Directive {
        name: "include",
        repeats: true,
        extension: true,
        scope: Scope::Global,
        value: ValueKind::Text,
        default: "none",
        example: "ldirectord.d/*.cf",
        doc: "Other files, read as if their lines stood here; *, ? and [...] stand for any number of names, which are taken \
              in alphabetical order. A name without a folder is looked for where this file is. Each file is a whole: \
              a virtual service ends where its file ends.",
        set: set::include,
        ..ROW
    },
    Directive {
        name: "execute",
        repeats: true,
        scope: Scope::Global,
        value: ValueKind::Rest,
        default: "none",
        example: "other.cf",
        doc: "Another configuration, which a daemon of its own follows: it is started when every server of this one has \
              been checked once, is reloaded and stopped with it, and status asks for both. May be repeated.",
        set: set::execute,
        ..ROW
    },
    Directive {
        name: "fork",
        scope: Scope::Global,
        value: ValueKind::YesNo,
        default: "no",
        example: "no",
        doc: "In ldirectord, whether every virtual service has a process of its own; only then does a checkinterval of a \
              service hold there. Here checks never wait for each other, and nothing comes of it.",
        says: Says::Same("fork must be 'yes' or 'no'"),
        set: |draft, value| {
            if let Some(answer) = value.yes_no(&mut draft.findings) {
                draft.globals.fork = answer;
            }
        },
        ..ROW
    },
    Directive {
        name: "supervised",
        scope: Scope::Global,
        value: ValueKind::YesNo,
        default: "no",
        example: "no",
        doc: "Whether to stay in the foreground and write the log to standard output.",
        says: Says::Same("supervised must be 'yes' or 'no'"),
        set: |draft, value| {
            if let Some(answer) = value.yes_no(&mut draft.findings) {
                draft.globals.supervised = answer;
            }
        },
        ..ROW
    },
    Directive {
        name: "user",
        extension: true,
        scope: Scope::Global,
        value: ValueKind::Text,
        range: "the name of an account",
        default: "ldirectord, where that account is enough; else who starts the daemon",
        example: "ldirectord",
        doc: "The account that the daemon, started as root, goes on as; only the thread that writes the kernel's table \
              keeps a right of root's, CAP_NET_ADMIN. Where nothing is said that is the account ldirectord, if /etc/passwd \
              has it, it may read all files of the configuration and write the log, and nothing is named that may need \
              root: callback, fallbackcommand, execute, a checkcommand, mails by the local sendmail. Else the daemon stays \
              root, and the log says why. With a name these programs run as that user; root says that root is right. \
              Another name takes effect at the next start.",
        set: set::user,
        ..ROW
    },
    Directive {
        name: "logfile",
        scope: Scope::Global,
        value: ValueKind::Quoted,
        default: "\"/var/log/ldirectord.log\"",
        example: "\"local0\"",
        doc: "Where the log goes: a file, if it begins with a /; journal, systemd's journal, with the facts of each line as \
              fields; stdout or stderr, those of a daemon in the foreground; else a facility of the system's log.",
        differs: "journal, stdout and stderr are facilities that no system has",
        set: set::log_file,
        ..ROW
    },
    Directive {
        name: "logformat",
        extension: true,
        scope: Scope::Global,
        value: ValueKind::Word(set::LOG_FORMATS),
        default: "text",
        example: "json",
        doc: "What a line of the log is in a file, on standard output and on standard error: text, ldirectord's line; json, \
              an object with the time, the level, the message, the configuration, the process and the facts of the line \
              (service, server, reason and so on).",
        set: set::log_format,
        ..ROW
    },
    Directive {
        name: "statuslisten",
        extension: true,
        scope: Scope::Global,
        value: ValueKind::Special("ADDRESS:PORT | PORT"),
        range: "port 1 to 65535",
        default: "none",
        example: "127.0.0.1:8090",
        doc: "Where the status page is served; a port alone is one of this host itself, 127.0.0.1.",
        set: set::status_listen,
        ..ROW
    },
    Directive {
        name: "monitorfile",
        differs: "one that cannot be written ends the daemon",
        scope: Scope::Virtual,
        value: ValueKind::Text,
        default: "none",
        example: "\"/var/log/ldirectord/web.monitor\"",
        doc: "A file to which the result of every check is written, a line each; of a server in maintenance, that it is.",
        says: Says::Same("unable to open monitorfile : No such file or directory"),
        set: set::monitor_file,
        ..ROW
    },
    Directive {
        name: "maintenancedir",
        differs: "the same, though its manual lets a virtual service say it",
        scope: Scope::Global,
        value: ValueKind::Rest,
        default: "none",
        example: "/etc/ha.d/maintenance",
        doc: "A directory in which anything takes a real server out of service that is called as it: IP, IP:PORT, or the \
              name that the name service has for its address, in full or without its domain, with or without :PORT; IPv6 \
              addresses stand in brackets. That takes a second, and nobody checks the server meanwhile. When the file \
              goes, the next check decides.",
        says: Says::Same("maintenance directory not specified"),
        set: |draft, value| {
            if let Some(path) = value.rest(&mut draft.findings) {
                draft.name_file(value, &path);
                draft.globals.maintenance_dir = Some(path);
            }
        },
        ..ROW
    },
    Directive {
        name: "emailalert",
        scope: Scope::Both,
        value: ValueKind::Text,
        default: "none",
        example: "\"admin@example.org\"",
        doc: "Who is mailed when a server goes into or out of service; several addresses with commas between.",
        says: Says::Same("no email address specified"),
        set: set::email_alert,
        ..ROW
    },
    Directive {
        name: "emailalertfrom",
        differs: "the same, though its manual lets a virtual service say it",
        scope: Scope::Global,
        value: ValueKind::Rest,
        default: "root at this host",
        example: "ldirectord@example.org",
        doc: "The sender of these mails.",
        says: Says::Same("no email from address specified"),
        set: set::email_from,
        ..ROW
    },
    Directive {
        name: "emailalertfreq",
        scope: Scope::Both,
        value: ValueKind::Duration,
        range: "a whole number, 0 for never",
        default: "0",
        example: "300",
        doc: "How often the mail about a server that stays out of service is repeated.",
        says: Says::Same("invalid email alert frequency"),
        set: set::email_frequency,
        ..ROW
    },
    Directive {
        name: "emailalertstatus",
        scope: Scope::Both,
        value: ValueKind::Words(set::EMAIL_STATUSES),
        default: "all",
        example: "running,stopping",
        doc: "What the daemon must be doing for a mail to be sent; all and none stand alone.",
        set: set::email_status,
        ..ROW
    },
    Directive {
        name: "emaildigest",
        extension: true,
        scope: Scope::Both,
        value: ValueKind::Count,
        range: "a whole number, 0 for never",
        default: "20",
        example: "5",
        doc: "How many of these mails are sent one by one within 10 seconds; what is beyond becomes one mail with a line \
              for each, so that a start, a reload or the loss of a rack is not thousands of mails.",
        set: |draft, value| {
            if let Some(count) = value.count(&mut draft.findings) {
                draft.common().email_digest = Some(count);
            }
        },
        ..ROW
    },
    Directive {
        name: "smtp",
        scope: Scope::Both,
        value: ValueKind::Special("a host name or address"),
        default: "the local sendmail",
        example: "mail.example.org",
        doc: "The mail server that these mails are handed to.",
        says: Says::Same("invalid SMTP server address"),
        set: set::smtp,
        ..ROW
    },
    Directive {
        name: "smtpport",
        extension: true,
        scope: Scope::Both,
        value: ValueKind::Count,
        range: "1 to 65535",
        default: "25; with smtptls=yes 465",
        example: "587",
        doc: "The port of the mail server.",
        set: set::smtp_port,
        ..ROW
    },
    Directive {
        name: "smtptls",
        extension: true,
        scope: Scope::Both,
        value: ValueKind::Word(set::SMTP_TLS),
        default: "no",
        example: "starttls",
        doc: "Whether the mail server is spoken to with TLS: from the start (yes), after STARTTLS, which it must then offer, \
              or not at all. Its certificate must be one that this system trusts, for the name that smtp has.",
        set: set::smtp_tls,
        ..ROW
    },
    Directive {
        name: "smtpcredentials",
        extension: true,
        scope: Scope::Both,
        value: ValueKind::Text,
        default: "none",
        example: "mail",
        doc: "The section of the credentials file whose login and passwd the mail server is told. Needs smtptls.",
        set: set::smtp_credentials,
        ..ROW
    },
    Directive {
        name: "webhook",
        extension: true,
        repeats: true,
        scope: Scope::Both,
        inherits: "the service's own lines, if it has any, in place of the global ones",
        value: ValueKind::Special("[URL] [template=FILE] [credentials=SECTION]"),
        default: "none",
        example: "https://alerts.example.org/lvs credentials=alerts",
        doc: "Where an HTTP request goes when a server goes into or out of service, whether mails are sent or not; \
              emailalertstatus, emailalertfreq and emaildigest count for it, too. It has a JSON document, which ldirectord(8) \
              describes, or what the template makes of it for a chat system. A section of the credentials file may have the URL, \
              and a secret that requests are then signed with.",
        set: set::webhook,
        ..ROW
    },
    Directive {
        name: "servicename",
        scope: Scope::Virtual,
        value: ValueKind::Rest,
        default: "none",
        example: "Web shop",
        doc: "A name of the service, for mails and webhooks.",
        set: |draft, value| set::in_block(draft, |block, _| block.name = Some(value.remark())),
        ..ROW
    },
    Directive {
        name: "comment",
        scope: Scope::Virtual,
        value: ValueKind::Rest,
        default: "none",
        example: "ask the shop team before a change",
        doc: "A remark on the service, for mails and webhooks.",
        set: |draft, value| set::in_block(draft, |block, _| block.comment = Some(value.remark())),
        ..ROW
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
        let service = Directive::find(b"service").unwrap();
        for name in SERVICE_WORDS {
            let is_extension = EXTENSIONS.contains(name);
            assert_eq!(service.differs.contains(name), is_extension, "{name}");
        }
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
