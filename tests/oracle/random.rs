//! Scenes that nobody thought of: a seed gives a configuration and things that happen to it.
//!
//! Out: the text of a scene, so that one that fails can be kept as a file. What is known to differ is not made:
//! direct routing to other ports (Q8), the global fallback of a mark (Q9), counted failures of a server that
//! several services share (Q13), a fallback among the servers (Q17), a server's request with a slash (Q3), a ping
//! of an IPv6 server, which ldirectord never sees answered; and, because at a start ldirectord remembers dead
//! servers by address and port only, one server with two different checks.

use std::{collections::BTreeSet, fmt::Write as _};

use fastrand::Rng;

/// The text of the scene of this seed.
pub fn scene(seed: u64) -> String {
    let mut rng = Rng::with_seed(seed);
    let mut site = Site::make(&mut rng);
    let first = site.text();
    let (mut configs, mut steps) = (String::new(), String::from("=== steps\n"));
    if site.globals.contains("fork") {
        steps.push_str("passes 4\n");
    }
    if rng.u8(..4) == 0 {
        site.warm_start(&mut rng, &mut steps);
    }
    steps.push_str("start\n");
    for number in 0..rng.usize(4..7) {
        let before = site.text();
        let line = site.happens(&mut rng);
        if site.text() == before {
            _ = writeln!(steps, "{line}");
        } else {
            _ = write!(configs, "=== config v{number}\n{}", site.text());
            _ = writeln!(steps, "config v{number} ; {line}");
        }
    }
    if rng.bool() {
        steps.push_str("stop\n");
    }
    let servers: String =
        site.listening().into_iter().map(|server| format!("http {server}\n")).collect();
    format!(
        "# Made at random, seed {seed}.\n=== config\n{first}{configs}=== servers\n{servers}{steps}"
    )
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp,
    Udp,
    Mark,
    Tcp6,
    Mark6,
}

impl Kind {
    fn is_ipv6(self) -> bool {
        matches!(self, Kind::Tcp6 | Kind::Mark6)
    }
}

/// A real server. All but the weight follows from its address, so that it is the same in every service that has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Real {
    ipv6: bool,
    /// Services with the same check and protocol take their servers from the same group.
    group: u8,
    host: u8,
}

impl Real {
    fn method(self) -> &'static str {
        match self.host {
            12 => "gate",
            13 => "ipip",
            _ => "masq",
        }
    }

    /// As ipvsadm has it.
    fn method_option(self) -> &'static str {
        match self.method() {
            "gate" => "-g",
            "ipip" => "-i",
            _ => "-m",
        }
    }

    fn with_port(self, port: u16) -> String {
        if self.ipv6 {
            format!("[2001:db8::{}:{}]:{port}", self.group, self.host)
        } else {
            format!("127.0.{}.{}:{port}", self.group, self.host)
        }
    }

    fn address(self) -> String {
        self.with_port(if self.host == 14 { 8080 } else { 80 })
    }
}

struct Virtual {
    number: u8,
    kind: Kind,
    reals: Vec<Real>,
    /// Place in `CHECKS`.
    check: u8,
    scheduler: &'static str,
    quiescent: Option<bool>,
    fallback: Option<u16>,
    more: Vec<&'static str>,
}

struct Site {
    globals: String,
    quiescent: Option<bool>,
    virtuals: Vec<Virtual>,
    next: u8,
    /// The global fallback of a mark differs.
    marks: bool,
    /// Added to all weights, so that they can change.
    heavier: u8,
    thresholds: bool,
    /// Every server there ever was.
    known: BTreeSet<Real>,
    unreachable: Option<Real>,
}

const CHECKS: [&str; 11] = [
    "checktype = connect",
    "checktype = connect",
    "service = http\n\treceive = \"works\"",
    "service = http\n\treceive = \"works\"",
    "service = http\n\trequest = \"index.html\"",
    "service = http\n\thttpmethod = HEAD",
    "checktype = ping",
    "checktype = on",
    "checktype = 1\n\tservice = http\n\treceive = \"works\"",
    "service = http\n\tcheckport = 8080",
    // Its servers say themselves what they want.
    "service = http\n\treceive = \"nothing\"",
];
const PING: u8 = 6;
const OWN_REQUEST: u8 = 10;
const SCHEDULERS: [&str; 6] = ["rr", "wrr", "lc", "wlc", "sed", "sh"];

impl Site {
    fn make(rng: &mut Rng) -> Site {
        let mut globals = String::from("checkinterval = 1\nchecktimeout = 2\n");
        let quiescent = [None, Some(true), Some(false)][rng.usize(..3)];
        if rng.bool() {
            _ = writeln!(globals, "readdquiescent = {}", yes(rng.bool()));
        }
        if rng.u8(..3) == 0 {
            _ = writeln!(globals, "cleanstop = {}", yes(rng.bool()));
        }
        match rng.u8(..6) {
            0 => globals.push_str("fork = yes\n"),
            1 | 2 => globals.push_str("autoreload = yes\n"),
            _ => {}
        }
        let marks = rng.bool();
        if !marks && rng.bool() {
            let port = if rng.bool() { ":8000" } else { "" };
            _ = writeln!(globals, "fallback = 127.0.0.30{port}\nfallback6 = [2001:db8::30]{port}");
        }
        let mut site = Site {
            globals,
            quiescent,
            virtuals: Vec::new(),
            next: 1,
            marks,
            heavier: 0,
            thresholds: rng.u8(..4) == 0,
            known: BTreeSet::new(),
            unreachable: None,
        };
        let services = rng.usize(1..4);
        for _ in 0..services {
            site.add_virtual(rng);
        }
        if services == 1 && rng.bool() {
            site.globals.push_str("failurecount = 2\n");
        }
        site
    }

    fn add_virtual(&mut self, rng: &mut Rng) {
        let kinds = [
            Kind::Tcp,
            Kind::Tcp,
            Kind::Tcp,
            Kind::Tcp,
            Kind::Udp,
            Kind::Tcp6,
            Kind::Mark,
            Kind::Mark6,
        ];
        let kind = kinds[rng.usize(..if self.marks { 8 } else { 6 })];
        let mut check = rng.u8(..11);
        if kind.is_ipv6() && check == PING {
            check = 0;
        }
        let mut service = Virtual {
            number: self.next,
            kind,
            reals: Vec::new(),
            check,
            scheduler: SCHEDULERS[rng.usize(..SCHEDULERS.len())],
            quiescent: [None, None, Some(true), Some(false)][rng.usize(..4)],
            fallback: [None, None, Some(0), Some(8001)][rng.usize(..4)],
            more: Vec::new(),
        };
        if rng.u8(..4) == 0 {
            service.more.push("persistent = 300");
        }
        if kind == Kind::Udp && rng.bool() {
            service.more.push("ops = yes");
        }
        for _ in 0..rng.usize(1..4) {
            service.add_real(rng);
        }
        self.known.extend(&service.reals);
        self.next += 1;
        self.virtuals.push(service);
    }

    fn text(&self) -> String {
        let mut text = self.globals.clone();
        if let Some(quiescent) = self.quiescent {
            _ = writeln!(text, "quiescent = {}", yes(quiescent));
        }
        for service in &self.virtuals {
            self.write(service, &mut text);
        }
        text
    }

    fn write(&self, service: &Virtual, text: &mut String) {
        let ipv6 = service.kind.is_ipv6();
        let six = if ipv6 { "6" } else { "" };
        match service.kind {
            Kind::Tcp | Kind::Udp => _ = writeln!(text, "virtual = 192.0.2.{}:80", service.number),
            Kind::Tcp6 => _ = writeln!(text, "virtual6 = [2001:db8::{}]:80", service.number),
            Kind::Mark | Kind::Mark6 => _ = writeln!(text, "virtual{six} = {}", service.number),
        }
        for real in &service.reals {
            _ = write!(
                text,
                "\treal{six} = {} {} {}",
                real.address(),
                real.method(),
                self.weight(*real)
            );
            if service.check == OWN_REQUEST {
                text.push_str(" \"index.html\",\"path: /index\"");
            }
            if self.thresholds && real.host == 12 {
                text.push_str(" l:2 u:9");
            }
            text.push('\n');
        }
        _ = writeln!(
            text,
            "\t{}\n\tscheduler = {}",
            CHECKS[usize::from(service.check)],
            service.scheduler
        );
        if service.kind == Kind::Udp {
            text.push_str("\tprotocol = udp\n");
        }
        if let Some(quiescent) = service.quiescent {
            _ = writeln!(text, "\tquiescent = {}", yes(quiescent));
        }
        if let Some(port) = service.fallback {
            let port = if port == 0 { String::new() } else { format!(":{port} masq") };
            let host = if ipv6 { "[2001:db8::31]" } else { "127.0.0.31" };
            _ = writeln!(text, "\tfallback{six} = {host}{port}");
        }
        for line in &service.more {
            _ = writeln!(text, "\t{line}");
        }
    }

    /// One server in ten has weight 0.
    fn weight(&self, real: Real) -> u8 {
        (real.group * 3 + real.host * 7 + self.heavier) % 10
    }

    /// All addresses with a web server; host 15 of a group is one that never was.
    fn listening(&self) -> Vec<String> {
        (self.known.iter().filter(|real| real.host != 15))
            .flat_map(|real| [80, 8080].map(|port| real.with_port(port)))
            .collect()
    }

    /// Entries that the kernel has before the first start.
    fn warm_start(&self, rng: &mut Rng, steps: &mut String) {
        let Some(service) = self.virtuals.first() else { return };
        let (option, factor) = (service.option(), rng.u8(..3));
        _ = write!(steps, "ipvsadm -A {option} -s lc");
        for real in service.reals.iter().filter(|_| rng.u8(..4) > 0) {
            let weight = factor * self.weight(*real);
            _ = write!(
                steps,
                " ; ipvsadm -a {option} -r {} {} -w {weight}",
                real.address(),
                real.method_option()
            );
        }
        if rng.bool() {
            _ = write!(steps, " ; {}", service.stranger());
        }
        steps.push_str(" ; ipvsadm -A -t 192.0.2.99:80 -s rr\n");
    }

    /// One moment; the configuration may be another afterwards.
    fn happens(&mut self, rng: &mut Rng) -> String {
        let some = |rng: &mut Rng, all: Vec<String>| {
            let mut all = all;
            rng.shuffle(&mut all);
            all.truncate(rng.usize(1..all.len().max(2)));
            all.join(" ")
        };
        let reload = if self.globals.contains("autoreload") { "wait 0" } else { "reload" };
        let service = &self.virtuals[rng.usize(..self.virtuals.len())];
        let real = service.reals[rng.usize(..service.reals.len())];
        match rng.u8(..20) {
            0..=3 if !self.listening().is_empty() => {
                format!("down {}", some(rng, self.listening()))
            }
            4..=6 if !self.listening().is_empty() => format!("up {}", some(rng, self.listening())),
            7 if !self.listening().is_empty() => format!("wrong {}", some(rng, self.listening())),
            8 if !self.listening().is_empty() => format!("closing {}", some(rng, self.listening())),
            9 => "reload".into(),
            // Without their parent ldirectord's other processes go on, and the clock with them.
            10 if !self.globals.contains("fork") => "kill KILL ; start".into(),
            11 => "stop ; gone ; start".into(),
            12 => format!(
                "ipvsadm? -e {} -r {} {} -w 0",
                service.option(),
                real.address(),
                real.method_option()
            ),
            13 => format!("ipvsadm? -d {} -r {} ; reload", service.option(), real.address()),
            14 => service.stranger(),
            15 => {
                let (verb, real) = match self.unreachable.take() {
                    Some(real) => ("reachable", real),
                    None => ("unreachable", real),
                };
                if verb == "unreachable" {
                    self.unreachable = Some(real);
                }
                let address = real.address();
                let host =
                    address.rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']']);
                format!("{verb} {host}")
            }
            16 => {
                self.change(rng);
                "stop ; gone ; start".into()
            }
            _ => {
                self.change(rng);
                reload.into()
            }
        }
    }

    fn change(&mut self, rng: &mut Rng) {
        let at = rng.usize(..self.virtuals.len());
        match rng.u8(..10) {
            0 if self.virtuals.len() > 1 => _ = self.virtuals.remove(at),
            1 if self.virtuals.len() < 3 && !self.globals.contains("failurecount") => {
                self.add_virtual(rng)
            }
            2 => self.quiescent = Some(self.quiescent != Some(true)),
            3 => self.virtuals[at].scheduler = SCHEDULERS[rng.usize(..SCHEDULERS.len())],
            4 | 5 => {
                self.virtuals[at].add_real(rng);
                self.known.extend(&self.virtuals[at].reals);
            }
            6 if self.virtuals[at].reals.len() > 1 => _ = self.virtuals[at].reals.remove(0),
            7 => self.virtuals[at].fallback = if rng.bool() { None } else { Some(8002) },
            8 => {
                self.virtuals[at].more =
                    if rng.bool() { Vec::new() } else { vec!["persistent = 120"] }
            }
            _ => self.heavier += 1,
        }
    }
}

impl Virtual {
    fn add_real(&mut self, rng: &mut Rng) {
        let protocol = match self.kind {
            Kind::Tcp | Kind::Tcp6 => 0,
            Kind::Udp => 1,
            Kind::Mark | Kind::Mark6 => 2,
        };
        let group = 10 + self.check * 3 + protocol;
        let real = Real { ipv6: self.kind.is_ipv6(), group, host: rng.u8(11..16) };
        // Another port than the service's is for NAT only, and masq it is.
        if !self.reals.contains(&real) {
            self.reals.push(real);
        }
    }

    /// How ipvsadm names the service.
    fn option(&self) -> String {
        match self.kind {
            Kind::Tcp => format!("-t 192.0.2.{}:80", self.number),
            Kind::Udp => format!("-u 192.0.2.{}:80", self.number),
            Kind::Tcp6 => format!("-t [2001:db8::{}]:80", self.number),
            Kind::Mark => format!("-f {}", self.number),
            Kind::Mark6 => format!("-f {} -6", self.number),
        }
    }

    /// Somebody adds a server that the file does not have.
    fn stranger(&self) -> String {
        let host = if self.kind.is_ipv6() { "[2001:db8::66]" } else { "127.0.0.66" };
        format!("ipvsadm? -a {} -r {host}:80 -m -w 3", self.option())
    }
}

fn yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
