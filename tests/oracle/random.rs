//! Scenes that nobody thought of: a seed gives a configuration and things that happen to it.
//!
//! Out: the text of a scene, so that one that fails can be kept as a file. What is known to differ is not made:
//! direct routing to other ports (Q8), the global fallback of a mark (Q9), counted failures of a server that
//! several services share (Q13), a fallback among the servers (Q17), a server's request with a slash (Q3).

use std::fmt::Write as _;

use fastrand::Rng;

/// The text of the scene of this seed.
pub fn scene(seed: u64) -> String {
    let mut rng = Rng::with_seed(seed);
    let mut site = Site::make(&mut rng);
    let mut text = format!("# Made at random, seed {seed}.\n=== config\n{}", site.text());
    let (mut configs, mut steps) = (String::new(), String::from("=== steps\n"));
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
    text.push_str(&configs);
    text.push_str("=== servers\nhttp");
    for host in 11..=14 {
        _ = write!(text, " 127.0.0.{host}:80 127.0.0.{host}:8080");
    }
    text.push_str(" [2001:db8::11]:80 [2001:db8::12]:80\n");
    text.push_str(&steps);
    text
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

    fn is_mark(self) -> bool {
        matches!(self, Kind::Mark | Kind::Mark6)
    }
}

struct Real {
    host: u8,
    port: u16,
    method: &'static str,
    weight: u8,
}

struct Virtual {
    number: u8,
    kind: Kind,
    reals: Vec<Real>,
    check: &'static str,
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
    may_remember: bool,
}

const CHECKS: [&str; 9] = [
    "checktype = connect",
    "checktype = connect",
    "service = http\n\treceive = \"works\"",
    "service = http\n\treceive = \"works\"",
    "service = http\n\trequest = \"index.html\"",
    "service = http\n\thttpmethod = HEAD",
    "checktype = ping",
    "checktype = on",
    "checktype = 1\n\tservice = http\n\treceive = \"works\"",
];
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
        let mut site =
            Site { globals, quiescent, virtuals: Vec::new(), next: 1, may_remember: rng.bool() };
        for _ in 0..rng.usize(1..4) {
            site.add_virtual(rng);
        }
        if site.virtuals.len() == 1 && rng.bool() {
            _ = writeln!(site.globals, "failurecount = 2");
        } else if rng.bool() && !site.virtuals.iter().any(|service| service.kind.is_mark()) {
            let port = if rng.bool() { ":8000" } else { "" };
            _ = writeln!(
                site.globals,
                "fallback = 127.0.0.30{port}\nfallback6 = [2001:db8::30]{port}"
            );
            // A mark that comes later would have to do without.
            site.may_remember = false;
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
            Kind::Mark,
            Kind::Tcp6,
            Kind::Mark6,
        ];
        let mut kind = kinds[rng.usize(..kinds.len())];
        if kind.is_mark() && !self.may_remember && !self.virtuals.is_empty() {
            kind = Kind::Tcp;
        }
        let mut check = CHECKS[rng.usize(..CHECKS.len())];
        // ldirectord never gets an answer to an IPv6 ping.
        if kind.is_ipv6() && check.ends_with("ping") {
            check = "checktype = connect";
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
        self.next += 1;
        self.virtuals.push(service);
    }

    fn text(&self) -> String {
        let mut text = self.globals.clone();
        if let Some(quiescent) = self.quiescent {
            _ = writeln!(text, "quiescent = {}", yes(quiescent));
        }
        for service in &self.virtuals {
            service.write(&mut text);
        }
        text
    }

    /// Entries that the kernel has before the first start.
    fn warm_start(&self, rng: &mut Rng, steps: &mut String) {
        let Some(service) = self.virtuals.first() else { return };
        let (option, weight) = (service.option(), rng.u8(..3));
        _ = write!(steps, "ipvsadm -A {option} -s lc");
        for real in service.reals.iter().filter(|_| rng.u8(..4) > 0) {
            let method = match real.method {
                "masq" => "-m",
                "gate" => "-g",
                _ => "-i",
            };
            _ = write!(
                steps,
                " ; ipvsadm -a {option} -r {} {method} -w {}",
                service.server(real),
                weight * real.weight
            );
        }
        if rng.bool() {
            let stranger =
                if service.kind.is_ipv6() { "[2001:db8::66]:80" } else { "127.0.0.66:80" };
            _ = write!(steps, " ; ipvsadm -a {option} -r {stranger} -m -w 3");
        }
        steps.push_str(" ; ipvsadm -A -t 192.0.2.99:80 -s rr\n");
    }

    /// One moment; the configuration may be another afterwards.
    fn happens(&mut self, rng: &mut Rng) -> String {
        let servers = |rng: &mut Rng| {
            let mut all: Vec<String> = (11..=14)
                .flat_map(|host| [80, 8080].map(|port| format!("127.0.0.{host}:{port}")))
                .collect();
            all.extend([11, 12].map(|host| format!("[2001:db8::{host}]:80")));
            rng.shuffle(&mut all);
            all.truncate(rng.usize(2..9));
            all.join(" ")
        };
        match rng.u8(..16) {
            0..=3 => format!("down {}", servers(rng)),
            4..=6 => format!("up {}", servers(rng)),
            7 => format!("wrong {}", servers(rng)),
            8 => format!("closing {}", servers(rng)),
            9 => "reload".into(),
            10 => "kill KILL ; start".into(),
            11 => "stop ; gone ; start".into(),
            12 => {
                let service = &self.virtuals[rng.usize(..self.virtuals.len())];
                let real = &service.reals[rng.usize(..service.reals.len())];
                let method = match real.method {
                    "masq" => "-m",
                    "gate" => "-g",
                    _ => "-i",
                };
                format!(
                    "ipvsadm? -e {} -r {} {method} -w 0",
                    service.option(),
                    service.server(real)
                )
            }
            13 => {
                self.change(rng);
                "kill KILL ; start".into()
            }
            _ => {
                self.change(rng);
                "reload".into()
            }
        }
    }

    fn change(&mut self, rng: &mut Rng) {
        let at = rng.usize(..self.virtuals.len());
        match rng.u8(..9) {
            0 if self.virtuals.len() > 1 => _ = self.virtuals.remove(at),
            1 if self.virtuals.len() < 3 && !self.globals.contains("failurecount") => {
                self.add_virtual(rng)
            }
            2 => self.quiescent = Some(self.quiescent != Some(true)),
            3 => self.virtuals[at].scheduler = SCHEDULERS[rng.usize(..SCHEDULERS.len())],
            4 | 5 => self.virtuals[at].add_real(rng),
            6 if self.virtuals[at].reals.len() > 1 => _ = self.virtuals[at].reals.remove(0),
            7 => self.virtuals[at].fallback = if rng.bool() { None } else { Some(8002) },
            _ => {
                let real = &mut self.virtuals[at].reals[0];
                real.weight = rng.u8(..9);
            }
        }
    }
}

impl Virtual {
    fn port(&self) -> u16 {
        if self.kind.is_mark() { 0 } else { 80 }
    }

    fn add_real(&mut self, rng: &mut Rng) {
        let host = if self.kind.is_ipv6() { rng.u8(11..14) } else { rng.u8(11..16) };
        if self.reals.iter().any(|real| real.host == host) {
            return;
        }
        let method = ["masq", "masq", "gate", "ipip"][rng.usize(..4)];
        let port = if method == "masq" && !self.kind.is_ipv6() && rng.bool() { 8080 } else { 80 };
        let weight = if rng.u8(..8) == 0 { 0 } else { rng.u8(1..9) };
        self.reals.push(Real { host, port, method, weight });
    }

    /// How ipvsadm names the service.
    fn option(&self) -> String {
        match self.kind {
            Kind::Tcp => format!("-t 192.0.2.{}:{}", self.number, self.port()),
            Kind::Udp => format!("-u 192.0.2.{}:{}", self.number, self.port()),
            Kind::Tcp6 => format!("-t [2001:db8::{}]:{}", self.number, self.port()),
            Kind::Mark => format!("-f {}", self.number),
            Kind::Mark6 => format!("-f {} -6", self.number),
        }
    }

    fn server(&self, real: &Real) -> String {
        if self.kind.is_ipv6() {
            format!("[2001:db8::{}]:{}", real.host, real.port)
        } else {
            format!("127.0.0.{}:{}", real.host, real.port)
        }
    }

    fn write(&self, text: &mut String) {
        let six = if self.kind.is_ipv6() { "6" } else { "" };
        match self.kind {
            Kind::Tcp | Kind::Udp => {
                _ = writeln!(text, "virtual = 192.0.2.{}:{}", self.number, self.port())
            }
            Kind::Tcp6 => {
                _ = writeln!(text, "virtual6 = [2001:db8::{}]:{}", self.number, self.port())
            }
            Kind::Mark | Kind::Mark6 => _ = writeln!(text, "virtual{six} = {}", self.number),
        }
        for real in &self.reals {
            _ = writeln!(
                text,
                "\treal{six} = {} {} {}",
                self.server(real),
                real.method,
                real.weight
            );
        }
        _ = writeln!(text, "\t{}\n\tscheduler = {}", self.check, self.scheduler);
        if self.kind == Kind::Udp {
            text.push_str("\tprotocol = udp\n");
        }
        if let Some(quiescent) = self.quiescent {
            _ = writeln!(text, "\tquiescent = {}", yes(quiescent));
        }
        if let Some(port) = self.fallback {
            let port = if port == 0 { String::new() } else { format!(":{port} masq") };
            let host = if self.kind.is_ipv6() { "[2001:db8::31]" } else { "127.0.0.31" };
            _ = writeln!(text, "\tfallback{six} = {host}{port}");
        }
        for line in &self.more {
            _ = writeln!(text, "\t{line}");
        }
    }
}

fn yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
