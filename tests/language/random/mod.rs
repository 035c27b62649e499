//! Files that nobody thought of: a seed gives the text of a configuration, broad rather than sensible.
//!
//! Out: the text, and which of its services must not come out the same. It speaks ldirectord's own language, in every
//! spelling of it that is known; four files in ten have something in them that may be a fault. Each row of README's
//! table that can be seen here is made too, as a service that must differ.
//!
//! Not made: what writes, runs or sends something, and whatever needs a file that is not there.

mod faults;

use fastrand::Rng;

/// A file.
pub struct Made {
    pub text: Vec<u8>,
    /// Whether nothing in it was meant to be a fault.
    pub right: bool,
    /// Services that the programs install otherwise, one of them perhaps not at all.
    pub differs: Vec<Difference>,
}

/// A service that is meant to differ.
pub struct Difference {
    /// As ipvsadm names it, `-t 192.0.2.1:80`.
    pub service: String,
    pub why: &'static str,
}

/// The names that the files use, as `/etc/hosts` has them.
pub const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost\n\
    10.0.0.1 web1\n10.0.0.2 web2\n10.0.0.3 web3 web3.example.org\n10.0.0.4 web-4\n10.0.0.5 both\n\
    2001:db8::5 both\n2001:db8::1 web1\n2001:db8::2 web2\n2001:db8::6 six6 six6.example.org\n\
    10.0.0.98 spare\n2001:db8::98 spare\n192.0.2.101 vip1\n192.0.2.102 vip2\n192.0.2.103 vip_3\n192.0.2.104 vip-4.example.org\n192.0.2.105 vip+5\n\
    2001:db8:0:1::1 vip1\n2001:db8:0:1::2 vip2\n2001:db8:0:1::3 vip_3\n2001:db8:0:1::4 vip-4.example.org\n\
    2001:db8:0:1::5 vip+5\n";

/// The file of this seed.
pub fn file(seed: u64) -> Made {
    let mut maker = Maker {
        rng: Rng::with_seed(seed),
        lines: Vec::new(),
        differs: Vec::new(),
        indent: "\t",
        next: 1,
        limited: 0,
        lean: false,
        unfound: false,
        fallback: false,
    };
    let right = maker.file();
    let mut text: Vec<u8> = maker.lines.concat().into_bytes();
    if maker.one_in(12) && text.last() == Some(&b'\n') {
        text.pop();
    }
    Made { text, right, differs: maker.differs }
}

struct Maker {
    rng: Rng,
    /// The lines so far, with their ends.
    lines: Vec<String>,
    differs: Vec<Difference>,
    /// How the lines of a service begin.
    indent: &'static str,
    /// Tells the services' addresses apart.
    next: u32,
    /// How many servers have limits of their own.
    limited: u32,
    /// Whether numbers are numbers and nothing else.
    lean: bool,
    /// Whether there may be servers that ldirectord does not find in the kernel: it refuses them, or has them with
    /// another port, or with one that is written otherwise. Then all servers work, and none is ever quiesced.
    unfound: bool,
    /// Whether there may be a fallback of all services.
    fallback: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp,
    Udp,
    Mark,
}

/// A service that is being made.
struct Service {
    six: bool,
    kind: Kind,
    /// As ipvsadm names it.
    option: String,
    /// Its port; 0 of a mark.
    port: u16,
    /// Whether it may differ in a way that is known.
    may_differ: bool,
    /// ldirectord does not find it in the kernel, because its number is written otherwise there.
    not_found: bool,
    /// Whether its servers never work.
    off: bool,
    /// Its servers so far, and whether the kernel may have another one in the place of this.
    servers: Vec<(u32, bool)>,
    lines: Vec<String>,
}

impl Maker {
    fn one_in(&mut self, chances: u32) -> bool {
        self.rng.u32(..chances) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.rng.usize(..of.len())]
    }

    /// One of several texts, most often the first.
    fn often<'t>(&mut self, usual: &'t str, others: &[&'t str]) -> &'t str {
        if self.rng.u8(..10) < 6 { usual } else { self.pick(others) }
    }

    /// Everything; says whether nothing in it was meant to be a fault.
    fn file(&mut self) -> bool {
        self.lean = self.one_in(3);
        self.unfound = self.one_in(3);
        self.fallback = self.one_in(2);
        let faults = if self.rng.u8(..10) < 4 { 1 } else { 0 };
        let services = self.pick(&[0, 1, 1, 1, 2, 2, 2, 3, 3, 4]);
        for _ in 0..self.rng.usize(..6) {
            self.global();
        }
        let faulty = if faults > 0 { self.rng.usize(..=services) } else { usize::MAX };
        for number in 0..services {
            if number == faulty {
                self.faulty_service();
            } else {
                let service = self.service(true);
                self.end_service(service);
            }
            for _ in 0..self.rng.usize(..3) {
                self.global();
            }
        }
        if faulty == services {
            self.faulty_global();
            self.global();
        }
        if self.one_in(5) {
            self.different_service();
        }
        faults == 0
    }

    // === lines ===

    fn equals(&mut self) -> &'static str {
        self.often("=", &[" = ", "= ", " =", "\t=\t", "  =  "])
    }

    /// A number as somebody might write it; the first digits count.
    fn number(&mut self, number: u32) -> String {
        if self.lean {
            return number.to_string();
        }
        let shape = self
            .often("N", &["N", "Ns", "-N", "N # x", "\"N\"", "N.7", "about N", "0N", "N,9", " N "]);
        shape.replace('N', &number.to_string())
    }

    fn comment(&mut self) -> &'static str {
        self.pick(&[
            "# a comment",
            "#",
            "# virtual = 192.0.2.99:80",
            "#\treal=10.0.0.9:80 gate",
            "# \u{fc}ber\u{2026}",
            "#### \"\"",
        ])
    }

    fn blank_or_comment(&mut self) {
        let comment = self.comment();
        let line = self.pick(&["\n", "\n", "  \n", "\t\n", "C\n", " C\n", "\tC\n", "\r\n"]);
        let line = line.replace('C', comment);
        self.lines.push(line);
    }

    /// The end of a line whose value is read loosely.
    fn loose_end(&mut self, in_block: bool) -> &'static str {
        match (self.lean, in_block) {
            (true, _) => "\n",
            (false, true) => self.often(
                "\n",
                &[" \n", "\t\n", " # why\n", "\r\n", "# why\n", "    #\n", " # \"a\",\"b\"\n"],
            ),
            (false, false) => self.often("\n", &[" \n", "\t\n", " # why\n", "\r\n"]),
        }
    }

    // === what is said of everything ===

    fn global(&mut self) {
        if self.one_in(3) {
            self.blank_or_comment();
        }
        let small = self.rng.u32(1..40);
        let yes = self.pick(&["yes", "no"]);
        let (name, value, loose) = match self.rng.u8(..24) {
            0 => ("checktimeout", self.number(small), true),
            1 => ("negotiatetimeout", self.number(small), true),
            2 => ("checkinterval", self.number(small), true),
            3 => ("checkcount", self.number(small), true),
            4 => ("failurecount", self.number(small), true),
            5 | 6 if !self.unfound => ("quiescent", yes.into(), false),
            7 => ("readdquiescent", yes.into(), false),
            8 => ("cleanstop", yes.into(), false),
            9 => ("autoreload", yes.into(), false),
            10 => ("fork", yes.into(), false),
            11 => ("supervised", "no".into(), false),
            12 | 13 if self.fallback => ("fallback", self.fallback(false, None), false),
            14 if self.fallback => ("fallback6", self.fallback(true, None), false),
            15 => (
                "callback",
                self.pick(&["\"/run/none\"", "\"/run/none\" junk", "\"\"", "\"a\" \"b\""]).into(),
                false,
            ),
            16 => (
                "logfile",
                self.pick(&["\"/var/log/other.log\"", "\"/run/other.log\" # junk"]).into(),
                false,
            ),
            17 => ("emailalertfreq", self.pick(&["5", "0", "300 seconds", "7x"]).into(), false),
            18 => (
                "emailalertfrom",
                self.pick(&["root@example.org", "\"a b\"", "x # y"]).into(),
                false,
            ),
            19 => (
                "emailalertstatus",
                self.pick(&[
                    "all",
                    "none",
                    "running",
                    "starting, stopping",
                    "reloading ,running,starting",
                ])
                .into(),
                false,
            ),
            20 => (
                "smtp",
                self.pick(&["mail.example.org", "10.0.0.25", "mail junk", "a_b+c-d"]).into(),
                false,
            ),
            21 if self.one_in(4) => ("fallbackcommand", "/bin/true".into(), false),
            22 if self.one_in(4) => {
                ("maintenancedir", self.pick(&["/run", "/run/none"]).into(), false)
            }
            _ => return,
        };
        let (equals, end) = (self.equals(), if loose { self.loose_end(false) } else { "\n" });
        self.lines.push(format!("{name}{equals}{value}{end}"));
    }

    // === a service ===

    fn service(&mut self, may_differ: bool) -> Service {
        self.indent = self.pick(&["\t", "\t", "    ", "        ", " \t", "\t\t", "     ", "\t  "]);
        let mut service = self.opening();
        service.may_differ &= may_differ;
        let family = if service.six { "6" } else { "" };
        let mut lines = Vec::new();
        // A global fallback does not work for a mark, there.
        let must_serve = service.kind == Kind::Mark && self.fallback;
        service.off = !self.unfound && !must_serve && self.one_in(6);
        let servers = self.pick(&[0, 1, 1, 2, 2, 3, 4]).max(usize::from(must_serve));
        for _ in 0..servers {
            let Some(value) = self.real(&mut service) else { continue };
            let (equals, end) = (self.equals(), self.loose_end(true));
            lines.push(format!("real{family}{equals}{value}{end}"));
            if self.one_in(12) {
                lines.push(format!("real{family}{equals}{value}\n"));
            }
        }
        self.kernel_directives(&mut service, &mut lines);
        for _ in 0..self.rng.usize(..5) {
            lines.push(self.directive());
        }
        self.rng.shuffle(&mut lines);
        // The last word on it.
        let check = match service.off {
            true => self.often("off", &["\"off\"", "off junk", " off"]),
            false => self.often("on", &["\"on\"", "on junk", " on", "on, off"]),
        };
        let (equals, end) = (self.equals(), self.loose_end(true));
        let check = format!("checktype{equals}{check}{end}");
        if lines.iter().any(|line| line.starts_with("checktype")) || self.one_in(2) {
            lines.push(check);
        } else {
            lines.insert(0, check);
        }
        service.lines.extend(lines);
        service
    }

    /// The lines of a service, and what ends it.
    fn end_service(&mut self, service: Service) {
        let mut lines = service.lines.into_iter();
        self.lines.extend(lines.next());
        for line in lines {
            if self.one_in(8) {
                let comment = self.comment();
                let before = self.pick(&["", " ", "\t", "    ", "          ", "\t\t"]);
                self.lines.push(format!("{before}{comment}\n"));
            }
            let indent = if self.one_in(6) { "    " } else { self.indent };
            self.lines.push(format!("{indent}{line}"));
        }
        let end = self.pick(&[
            "\n",
            "\n",
            "\n",
            "",
            "   \n",
            "\t\n",
            "    \n",
            "\n# a comment\n",
            "# a comment\n\n",
        ]);
        self.lines.push(end.to_owned());
    }

    /// The line that begins it.
    fn opening(&mut self) -> Service {
        let number = self.next;
        self.next += 1;
        let six = self.one_in(4);
        let mut not_found = false;
        let (kind, host, value);
        let mut port = self.pick(&[
            "80", "80", "80", "443", "8080", "53", "http", "domain", "www", "https", "25", "1",
            "65535",
        ]);
        let shape = self.rng.u8(..16);
        if shape < 3 {
            kind = Kind::Mark;
            let digits = match self.often("N", &["Nabc", "N junk", "N:80x"]) {
                "N" if self.unfound && !self.fallback && self.one_in(6) => {
                    not_found = true;
                    format!("00{number}")
                }
                // A number with a port is a name with a port.
                "N:80x" => format!("{number} :80"),
                shape => shape.replace('N', &number.to_string()),
            };
            value = digits;
            host = String::new();
        } else if six {
            kind = Kind::Tcp;
            (value, host) = match shape {
                3 | 4 if number < 6 => {
                    (name_of(number).to_owned(), format!("[2001:db8:0:1::{number}]"))
                }
                5 => (format!("[2001:0DB8:0:2::{number:04}]"), format!("[2001:db8:0:2::{number}]")),
                _ => (format!("[2001:db8::1:{number}]"), format!("[2001:db8::1:{number}]")),
            };
        } else {
            kind = Kind::Tcp;
            (value, host) = match shape {
                3 | 4 if number < 6 => {
                    (name_of(number).to_owned(), format!("192.0.2.{}", 100 + number))
                }
                5 => (format!("127.{number}"), format!("127.0.0.{number}")),
                6 => (format!("192.0.{}", 512 + number), format!("192.0.2.{number}")),
                _ => (format!("192.0.2.{number}"), format!("192.0.2.{number}")),
            };
        }
        let mut service = Service {
            six,
            kind,
            option: String::new(),
            port: 0,
            may_differ: true,
            not_found,
            off: false,
            servers: Vec::new(),
            lines: Vec::new(),
        };
        let mut protocol = None;
        if kind == Kind::Mark {
            let family = if six { " -6" } else { "" };
            service.option = format!("-f {number}{family}");
            if self.one_in(4) {
                protocol = Some("fwm");
            }
        } else {
            let udp_by_port = port == "53" || port == "domain";
            if udp_by_port {
                service.kind = Kind::Udp;
            }
            match self.rng.u8(..8) {
                0 | 1 if port != "http" && port != "www" => {
                    service.kind = Kind::Udp;
                    protocol = Some("udp");
                }
                2 if port != "tftp" => {
                    service.kind = Kind::Tcp;
                    protocol = Some("tcp");
                }
                3 if self.one_in(2) => {
                    port = "tftp";
                    service.kind = Kind::Udp;
                    protocol = Some("udp");
                }
                _ => {}
            }
            service.port = match port {
                "http" | "www" => 80,
                "https" => 443,
                "domain" => 53,
                "tftp" => 69,
                digits => digits.parse().unwrap(),
            };
            let letter = if service.kind == Kind::Udp { 'u' } else { 't' };
            service.option = format!("-{letter} {host}:{}", service.port);
        }
        let value = match kind {
            Kind::Mark => value,
            _ if self.one_in(40) => {
                // The kernel knows no such service; with `persistent` it is every port.
                service.port = 0;
                service.may_differ = false;
                format!("{value}:0")
            }
            _ if self.unfound && !self.fallback && self.one_in(20) && service.port > 99 => {
                service.not_found = true;
                format!("{value}:0{}", service.port)
            }
            _ => {
                let junk = if self.lean {
                    ""
                } else {
                    self.often("", &[" junk", ":90", " # why", ", 5", "/24", "\t"])
                };
                format!("{value}:{port}{junk}")
            }
        };
        let (family, equals, end) = (
            if six { "6" } else { "" },
            self.equals(),
            self.pick(&["\n", "\n", "\n", " \n", "\r\n"]),
        );
        service.lines.push(format!("virtual{family}{equals}{value}{end}"));
        if let Some(protocol) = protocol {
            let shape = self.often("P", &["\"P\"", "P junk", " P", "P # why", "P,"]);
            service.lines.push(format!("protocol={}\n", shape.replace('P', protocol)));
        }
        service
    }

    /// The value of a `real` line, if there is a server left.
    fn real(&mut self, service: &mut Service) -> Option<String> {
        let method = self.pick(&["gate", "gate", "masq", "masq", "ipip"]);
        let is_mark = service.kind == Kind::Mark;
        let port = match self.rng.u8(..10) {
            0 => String::new(),
            1 => self.pick(&[":http", ":https", ":www", ":tftp", ":domain"]).to_owned(),
            2 if self.unfound && self.one_in(3) => ":080".to_owned(),
            2 => self.pick(&[":81", ":8080", ":0"]).to_owned(),
            _ if is_mark && self.one_in(2) => ":80".to_owned(),
            _ => format!(":{}", service.port),
        };
        // Only NAT can change the port; the kernel gives others that of the service.
        let mapped = method != "masq" && !is_mark && port != format!(":{}", service.port);
        let method = if mapped && !self.unfound { "masq" } else { method };
        let limits = match self.rng.u8(..12) {
            _ if service.off => "",
            0 if self.unfound => self.pick(&[" u:5 l:1", " l:1", " l:6 u:5"]),
            1 => self.pick(&[" u:5", " l:0 u:0", " l:2 junk u:9"]),
            2 | 3 => self.pick(&[" l:1 u:5", " l:2  u:70", " l:5 u:5"]),
            _ => "",
        };
        let host = if limits.is_empty() {
            let unfound = service.not_found || mapped || port == ":080";
            // Where servers do not work ldirectord takes one port of a host for another.
            self.host(service, service.off || (unfound && self.unfound))?
        } else {
            // To ldirectord servers that have all else in common have the limits of the first of them, in all services.
            self.limited += 1;
            let number = self.limited;
            if service.six { format!("[2001:db8::2:{number}]") } else { format!("10.0.2.{number}") }
        };
        let before_method = if self.lean {
            " "
        } else {
            self.often(" ", &["\t", "   ", " -", " ,", " \"", " => "])
        };
        let weight = match self.rng.u8(..8) {
            0..=3 => String::new(),
            4 => " 0".into(),
            5 => self.pick(&[" 100", " 65535", " 007", "  3", "\t2"]).into(),
            6 if !self.lean => self.pick(&[" weight 4", ", 5", "\" 6", " - 7"]).into(),
            _ => format!(" {}", self.rng.u32(1..20)),
        };
        let pair = match self.rng.u8(..6) {
            0 => self.pick(&[
                " \"a\",\"b\"",
                " \"a\" \"b\"",
                " \"a\",  \"b\"",
                "\t\"a b\",\"c d\"",
                " \"a/b?c=d\",\"x\"",
                " \"http://h/p\",\"y\"",
                if limits.is_empty() { " \"/a\",\"b\" c" } else { " \"a\",\"b c\"" },
                " \"a\",\"\"",
                " junk \"a\",\"b\"",
            ]),
            _ => "",
        };
        Some(format!("{host}{port}{before_method}{method}{weight}{pair}{limits}"))
    }

    /// The host of a `real` line, if there is one left; `alone` when the kernel must not know it from another line.
    fn host(&mut self, service: &mut Service, alone: bool) -> Option<String> {
        let free: Vec<u32> = (1..9)
            .filter(|number| {
                !service.servers.iter().any(|(known, other)| known == number && (alone || *other))
            })
            .collect();
        if free.is_empty() {
            return None;
        }
        let number = self.pick(&free);
        let mut last = number;
        let named = match number {
            1 => "web1",
            2 => "web2",
            5 => "both",
            3 if !service.six => self.pick(&["web3", "web3.example.org"]),
            4 if !service.six => "web-4",
            6 if service.six => self.pick(&["six6", "six6.example.org"]),
            _ => "",
        };
        let address =
            if service.six { format!("[2001:db8::{number}]") } else { format!("10.0.0.{number}") };
        let host = match self.rng.u8(..16) {
            0..=2 if !named.is_empty() => named.to_owned(),
            3 if service.six => format!("[2001:0DB8:0::{number}]"),
            3 => format!("10.{number}"),
            4 if !service.six => format!("10.0.{}", 256 + number),
            5 | 6 if !service.six && !alone => {
                while last < number + 3 && free.contains(&(last + 1)) && self.rng.bool() {
                    last += 1;
                }
                let first = if named.is_empty() { &address } else { named };
                format!("{first}->10.0.0.{last}")
            }
            // What is before the address is not read.
            7 if !self.lean && !service.six => {
                format!("{}{address}", self.pick(&["<", "( ", "://", "\"", "a:b:", "x_", "/ "]))
            }
            8 if !self.lean && !named.is_empty() => format!("srv_{named}"),
            _ => address,
        };
        service.servers.extend((number..=last).map(|number| (number, alone)));
        Some(host)
    }

    /// The value of `fallback` or `fallback6`; the programs read a service's name for both protocols outside of services.
    fn fallback(&mut self, six: bool, kind: Option<Kind>) -> String {
        let host = match (six, self.rng.u8(..6)) {
            (true, 0) => "spare",
            (true, 1) => "[2001:db8::99]",
            (true, _) => "[::1]",
            (false, 0) => "spare",
            (false, 1) => "127.1",
            (false, 2) => "10.0.0.99",
            (false, 3) => "localhost",
            (false, _) => "127.0.0.1",
        };
        let named = if kind == Some(Kind::Mark) { ":443" } else { ":https" };
        let port = self.pick(&["", "", ":80", ":81", ":8080", named, ":0"]);
        let method = self.pick(&["", "", " gate", " masq", " ipip", "\tmasq", "  gate"]);
        if kind.is_none() && !six && self.one_in(8) {
            return String::new();
        }
        let before = if self.lean { "" } else { self.often("", &["junk "]) };
        if method.is_empty() {
            format!("{host}{port}")
        } else {
            format!("{before}{host}{port}{method}")
        }
    }

    /// What the kernel is told of the service.
    fn kernel_directives(&mut self, service: &mut Service, lines: &mut Vec<String>) {
        let six = if service.six { "6" } else { "" };
        // What ldirectord does not find it does not take away again.
        if !service.not_found && self.one_in(3) {
            let equals = self.equals();
            lines.push(format!(
                "fallback{six}{equals}{}\n",
                self.fallback(service.six, Some(service.kind))
            ));
        }
        let mut scheduler = "wrr";
        if !self.one_in(3) {
            scheduler = self.pick(&[
                "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo",
                "ovf", "sh", "mh",
            ]);
            let unknown = self.one_in(20);
            let shape = if unknown {
                "Nosuch"
            } else {
                self.often("S", &["\"S\"", "S 2", "S, rr", "0S", "S # why", "A-S"])
            };
            if unknown {
                // ldirectord installs nothing of it, whatever else there is.
                scheduler = "osuch";
                service.may_differ = false;
            }
            let (equals, value) = (self.equals(), shape.replace('S', scheduler));
            if self.one_in(8) {
                service.lines.push(format!("scheduler{equals}lc\n"));
            }
            lines.push(format!("scheduler{equals}{value}\n"));
        }
        // Of what is said twice the last counts.
        if self.one_in(6) {
            let line =
                self.pick(&["persistent=77\n", "ops=yes\n", "netmask=32\n", "schedflags=flag-1\n"]);
            service.lines.push(match (line, service.six) {
                ("netmask=32\n", false) => "netmask=255.255.255.252\n".into(),
                _ => line.into(),
            });
        }
        if self.one_in(5) {
            let flags = match scheduler {
                "sh" => self.pick(&[
                    "sh-port",
                    "sh-fallback",
                    "sh-port,sh-fallback",
                    "\"sh-port\"",
                    "sh-port junk",
                    "flag-1",
                ]),
                "mh" => {
                    self.pick(&["mh-port", "mh-fallback", "mh-fallback,mh-port", "flag-2,flag-3"])
                }
                _ if service.may_differ && self.one_in(3) => {
                    service.may_differ = false;
                    self.differ(service, "flags of another scheduler, which ipvsadm refuses");
                    "sh-port"
                }
                _ => self.pick(&["flag-1", "flag-2", "flag-1,flag-3"]),
            };
            lines.push(format!("schedflags={flags}\n"));
        }
        let mut persistent = false;
        if self.one_in(3) {
            persistent = true;
            let (equals, end) = (self.equals(), self.loose_end(true));
            let seconds = self.rng.u32(1..4000);
            let value = match self.rng.u8(..16) {
                0 if service.may_differ => {
                    service.may_differ = false;
                    self.differ(
                        service,
                        "ipvsadm refuses a persistence of 0 or of more than 31 days",
                    );
                    self.pick(&["0", "2678401"]).to_owned()
                }
                1 => "2678400".into(),
                _ => self.number(seconds),
            };
            lines.push(format!("persistent{equals}{value}{end}"));
        }
        if self.one_in(if persistent { 2 } else { 12 }) {
            let mask = match service.six {
                true => self.pick(&["64", "128", "1", "48"]),
                false => self.pick(&[
                    "255.255.255.0",
                    "255.255.255.255",
                    "255.255.0.0",
                    "255.0.0.0",
                    "255.255.255.240",
                ]),
            };
            let equals = self.equals();
            lines.push(format!("netmask{equals}{mask}\n"));
        }
        if self.one_in(if service.kind == Kind::Udp { 2 } else { 12 }) {
            lines.push(format!("ops={}\n", self.pick(&["yes", "no"])));
        }
        if !self.unfound && self.one_in(5) {
            lines.push(format!("quiescent={}\n", self.pick(&["yes", "no"])));
        }
    }

    fn differ(&mut self, service: &Service, why: &'static str) {
        self.differs.push(Difference { service: service.option.clone(), why });
    }

    /// What does not change the table.
    fn directive(&mut self) -> String {
        let small = self.rng.u32(1..40);
        let text = self.pick(&[
            "\"a\"",
            "\"a b\"",
            "\"a\" junk",
            "\"a\" \"b\"",
            "\"a\" # why",
            " \"a=b\"",
        ]);
        let (name, value) = match self.rng.u8(..27) {
            0 => ("checktimeout", self.number(small)),
            1 => ("negotiatetimeout", self.number(small)),
            2 => ("checkinterval", self.number(small)),
            3 => ("checkcount", self.number(small)),
            4 => ("failurecount", self.number(small)),
            5 => ("cleanstop", self.pick(&["yes", "no"]).into()),
            6 => ("checkport", self.number(small)),
            7 => (
                "checktype",
                self.pick(&[
                    "connect",
                    "negotiate",
                    "ping",
                    "external",
                    "3",
                    "connect3",
                    "checktimeout3",
                    "-3",
                    "off",
                    "\"connect\" x",
                ])
                .into(),
            ),
            8 | 9 => {
                let service = self.pick(&[
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
                    "pop",
                    "pops",
                    "radius",
                    "pgsql",
                    "simpletcp",
                    "sip",
                    "smtp",
                    "submission",
                ]);
                let shape = self.often("S", &["\"S\"", "S junk", " S", "S # why", "(S)"]);
                ("service", shape.replace('S', service))
            }
            10 => (
                "checkcommand",
                self.pick(&["/bin/true", "\"/bin/true\"", "\"/bin/a b\" c", "x # why"]).into(),
            ),
            11 => ("request", text.into()),
            12 => ("receive", text.into()),
            13 => ("httpmethod", self.pick(&["GET", "HEAD", "get", "head x", "\"Head\""]).into()),
            14 => (
                "virtualhost",
                self.pick(&["www.example.org", "\"www.example.org\"", "", "\"a b", "x # why"])
                    .into(),
            ),
            15 => ("login", text.into()),
            16 => ("passwd", text.into()),
            17 => ("database", text.into()),
            18 => ("secret", text.into()),
            19 => ("load", text.into()),
            20 => (
                "monitorfile",
                self.pick(&["/run/monitor", "\"/run/monitor\"", "\"/run/monitor\" x"]).into(),
            ),
            21 => ("servicename", self.pick(&["Web shop", "\"x\"", "a # why"]).into()),
            22 => ("comment", self.pick(&["a remark", "\"x\"", "\u{e9}\u{e8}"]).into()),
            23 => ("emailalertfreq", "5x".into()),
            24 => ("emailalertstatus", self.pick(&["all", "none", "running,starting"]).into()),
            25 => ("smtp", "mail.example.org".into()),
            _ if self.one_in(5) => {
                ("fallbackcommand", self.pick(&["/bin/true", "\"/bin/true\""]).into())
            }
            _ => ("servicename", "x".into()),
        };
        let equals = self.equals();
        format!("{name}{equals}{value}\n")
    }

    /// A service that the programs are known to install otherwise. Nothing else has its servers.
    fn different_service(&mut self) {
        let number = self.next;
        self.next += 1;
        let address = format!("192.0.2.{number}:80");
        let tcp = format!("-t {address}");
        let service = format!("virtual={address}\n\tchecktype=on\n\tscheduler=rr\n");
        let (service, lines, why) = match self.rng.u8(..7) {
            0 => (
                tcp,
                format!("{service}\treal=10.0.3.1:80 masq \"/a\",\"b\" l:1 u:5\n"),
                "thresholds behind a request that begins with / are lost there",
            ),
            1 => (
                tcp,
                format!("{service}\treal=5.245.224.255->5.245.225.0:80 masq\n"),
                "a range is empty there whose ends have not as many digits as numbers",
            ),
            2 => (
                tcp,
                format!("{service}\treal=10.0.3.1:80 masq\n\tfallback=10.0.3.1:80 masq\n"),
                "a fallback that is also a real server is deleted there when that comes up",
            ),
            3 => (
                tcp,
                format!("{service}\treal=10.0.3.1:81 gate\n\tquiescent=yes\n"),
                "with gate and another port the kernel's entry is not found there, and keeps weight 0",
            ),
            4 => (
                tcp,
                format!(
                    "virtual=192.0.2.{number}:81\n\treal=10.0.3.1:80 masq l:1 u:5\n\tchecktype=on\n\n\
                     {service}\treal=10.0.3.1:80 masq\n"
                ),
                "servers that have all else in common have the same thresholds there",
            ),
            5 => (
                format!("-f {number}"),
                format!(
                    "virtual=00{number}\n\treal=10.0.3.1:80 masq\n\tfallback=10.0.3.2:80\n\tchecktype=on\n"
                ),
                "a mark that begins with 0 is not found there, so that its fallback stays",
            ),
            _ => (
                format!("-f {number}"),
                format!("virtual={number}\n\tchecktype=on\n\nfallback=10.0.3.2:80\n"),
                "a global fallback has no address there for a mark",
            ),
        };
        self.lines.push(format!("\n{lines}\n"));
        self.differs.push(Difference { service, why });
    }
}

/// A host name of a virtual service, up to 5.
fn name_of(number: u32) -> &'static str {
    ["vip1", "vip2", "vip_3", "vip-4.example.org", "vip+5"]
        .get(usize::try_from(number).unwrap() - 1)
        .unwrap()
}
