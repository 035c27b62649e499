//! What may be wrong with a file: a line too many, or a service that begins or ends strangely. Some of it is right.

use super::{Maker, Service};

/// Lines of a service.
#[rustfmt::skip]
const IN_SERVICE: &[&str] = &[
    "quiescent=Yes\n", "quiescent=yes # why\n", "quiescent=yes \n", "quiescent=yes\r\n", "quiescent=\n",
    "quiescent=\"yes\"\n", "cleanstop=1\n", "ops=true\n", "ops=yes # c\n", "checktimeout=0\n", "checktimeout=none\n",
    "negotiatetimeout=0\n", "checkinterval=0\n", "checkinterval=x\n", "checkcount=0\n", "failurecount=0\n",
    "failurecount=\n", "connecttimeout=5\n", "timeout=5\n", "checktimeout=00\n", "checkport=0\n", "checkport=70000\n",
    "checkport=x\n", "checktype=none\n", "checktype=ON\n", "checktype=\n", "checktype=onn\n", "service=web\n",
    "service=HTTP\n", "service=\n", "request=index.html\n", "request=\"\"\n", "request='a'\n", "request=\"a#b\"\n",
    "receive=\"a#b\"\n", "receive=x\n", "receive=\"\"\n", "login=x\n", "passwd=\n", "database=\"\"\n", "secret=x\n",
    "load=\"-\"\n", "httpmethod=PATCH\n", "httpmethod=\n", "scheduler=123\n", "scheduler=\n", "scheduler=WLC\n",
    "persistent=none\n", "persistent=\n", "netmask=24\n", "netmask=255.255.255\n", "netmask=0\n", "netmask=129\n",
    "netmask=255.255.255.0 # c\n", "netmask=64 \n", "protocol=sctp\n", "protocol=\n", "protocol=TCP\n",
    "monitorfile=\n", "checkcommand=\n", "checkcommand=\"\"\n", "fallbackcommand=\n", "emailalert=\n",
    "emailalert=\"\"\n", "emailalertfreq=x\n", "emailalertfreq= 5\n", "emailalertstatus=sometimes\n",
    "emailalertstatus=none,running\n", "emailalertstatus=running \n", "smtp=\"x\"\n", "smtp=\n", "autoreload=yes\n",
    "logfile=\"/run/x\"\n", "fork=no\n", "supervised\n", "readdquiescent=no\n", "maintenancedir=/run\n",
    "callback=\"/x\"\n", "execute=x.cf\n", "emailalertfrom=x\n", "virtual=192.0.2.77:80\n", "Real=10.0.0.9:80 gate\n",
    "real\n", "real 10.0.0.9:80 gate\n", "reel=10.0.0.9:80 gate\n", "nonsense\n", "schedflags=\n",
    "schedflags=nosuch\n", "virtualhost=\"a#b\"\n", "servicename=\n", "comment=\n", "= x\n", "\"\n",
    "quiescent = no\t\n",
];

/// Values of `real6`.
#[rustfmt::skip]
const REAL6: &[&str] = &[
    "10.0.0.9:80 masq", "[2001:db8::9]:80", "[2001:db8::9]:80 masqd", "[2001:db8::x]:80 masq",
    "[2001:db8::9]->[2001:db8::a]:80 masq", "web3:80 masq", "nosuch:80 masq", "[2001:db8::9]:nosuch masq",
    "[2001:db8::9]:99999 masq", "2001:db8::1 masq", "[2001:db8::1%lo]:80 masq", "[::ffff:10.0.0.9]:80 masq", "",
];

/// Values of `real`.
#[rustfmt::skip]
const REAL: &[&str] = &[
    "10.0.0.9:80", "10.0.0.9:80 ", "10.0.0.9:80 masqd", "10.0.0.9:80 GATE", "10.0.0.9:80 masq5", "10.0.0.9:80 5 masq",
    "10.0.0.9", "nosuch:80 masq", "10.0.0.9:nosuch masq", "10.0.0.9:99999 masq", "10.0.0.11->10.0.0.9:80 masq",
    "10.0.0.9->nosuch:80 masq", "10.0.0.9->:80 masq", "10.0.0.9:80 masq 1 rest", "10.0.0.9:80 masq 1 \"a\"",
    "10.0.0.9:80 masq \"a 7b\",\"c\"", "10.0.0.9:80 masq \"a\" , \"b\"", "10.0.0.9:80 masq \"a\"\"b\"",
    "10.0.0.9:80 masq \"a#b\",\"c\"", "10.0.0.9:80 masq <l:1>", "10.0.0.9:80 masq l:x",
    "10.0.0.9:80 masq 1 \"a\",\"b\" rest", "[2001:db8::9]:80 masq", "[10.0.0.2]:80 masq", "10.0.0.2::5060 masq",
    "10.0.0.9:80,masq", "10.0.0.300:80 masq", "300.1:80 masq", "", " masq", "10.0.0.9 :80 masq", "10.0.0.9: masq",
    "six6:80 masq", "10.0.0.9:80 masq 5x", "10.0.0.9:80 masq 5 6", "10.0.0.9:80 masq u:1 l:2",
    "10.0.0.9->10.0.0.10->10.0.0.11:80 masq", "10.0.0.9:-1 masq",
];

/// Values of `fallback` or `fallback6`.
#[rustfmt::skip]
const FALLBACK: &[&str] = &[
    "127.0.0.1:80 gated", "nosuch:80", "127.0.0.1:nosuch", "127.0.0.1:tftp", "[::1]:80", "::1",
    "127.0.0.1:80 gate # why", "127.0.0.1:80 gate ", "127.0.0.1:", "", "127.0.0.1 80 gate", "127.0.0.1:80 gate 1",
    "[127.0.0.1]:80", "127.0.0.1:99999", "six6", "spare", "[::1", "127.0.0.1:80:81", ":80", "[::1]:", "[::1]80",
    "\"127.0.0.1\"",
];

/// Lines that are right in one half of the services.
#[rustfmt::skip]
const OF_THE_OTHER: &[&str] = &[
    "real=10.0.0.9:80 gate\n", "real6=[2001:db8::9]:80 gate\n", "fallback=127.0.0.1\n", "fallback6=[::1]\n",
    "protocol=fwm\n", "protocol=tcp\n", "protocol=udp\n",
];

/// Values of `virtual6`.
#[rustfmt::skip]
const VIRTUAL6: &[&str] = &[
    "192.0.2.77:80", "[2001:db8::77]", "[2001:db8::g]:80", "2001:db8::77:80", "web3:80", "nosuch:80",
    "[2001:db8::77]:nosuch", "[::ffff:1.2.3.4]:80", "[fe80::1%lo]:80", "", "x", "[2001:db8::77]:99999",
    "[2001:db8::77]:80:80", "[1:2:3:4:5:6:7:8:9]:80",
];

/// Values of `virtual`.
#[rustfmt::skip]
const VIRTUAL: &[&str] = &[
    "[2001:db8::77]:80", "192.0.2.77", "nosuch:80", "192.0.2.300:80", "192.0.2.77:nosuch", "192.0.2.77:99999",
    "192.0.2.77:tftp", "192.0.2.77:", "", "\"192.0.2.77:80\"", "vip1", "six6:80", "192.0.2.77 :80", "-1:80",
    "$VIP:80", "http://192.0.2.77:80", "0", "99999999999", "192.0.2.77/24:80", ":80", "*:80", "192.0.2.77:65535x",
    "192.0.2.77:080",
];

/// Lines between two lines of a service.
#[rustfmt::skip]
const BETWEEN: &[&str] = &[
    "     \n", "\t\t\n", "      \r\n", "\n", "\t\n", "    \n", "   x\n", "\r\n", "    \r\n",
];

/// Lines outside of services.
#[rustfmt::skip]
const OUTSIDE: &[&str] = &[
    "quiescent=Yes\n", "quiescent=yes # why\n", "quiescent=yes \n", "quiescent=yes\r\n", "quiescent=\n",
    "autoreload=1\n", "autoreload=yes\t\n", "fork=maybe\n", "supervised=x\n", "readdquiescent=\n", "cleanstop=no#\n",
    "checktimeout=0\n", "checktimeout=00\n", "checktimeout=x\n", "negotiatetimeout=00\n", "checkinterval=0\n",
    "checkinterval=none\n", "checkcount=0\n", "failurecount=0\n", "timeout=5\n", "connecttimeout=5\n",
    "fallback=127.0.0.1:http\n", "fallback=127.0.0.1:tftp\n", "fallback=127.0.0.1:80 gated\n", "fallback=nosuch\n",
    "fallback=127.0.0.1:nosuch\n", "fallback6=127.0.0.1\n", "fallback=[::1]:80\n",
    "fallback=127.0.0.1:80 gate # why\n", "fallback6=\n", "fallback=127.0.0.1:80 gate \n", "fallbackcommand=\n",
    "callback=/bin/x\n", "logfile=/var/log/x\n", "logfile='x'\n", "emailalert=\n", "emailalertfrom=\n",
    "emailalertfreq=x\n", "emailalertstatus=x\n", "emailalertstatus=all,none\n", "smtp='x'\n", "maintenancedir=\n",
    " quiescent=yes\n", "\tquiescent=yes\n", "    real=10.0.0.9:80 gate\n", "real=10.0.0.9:80 gate\n",
    "scheduler=rr\n", "persistent=5\n", "nonsense\n", "quiescent yes\n", "Quiescent=yes\n", "checktype=on\n",
    "[section]\n", "\u{feff}quiescent=yes\n", "quiescent==yes\n", "virtual\n", "virtual =\n",
    "virtual 192.0.2.1:80\n", "\u{b}\n", "\u{c}#x\n", ";comment\n", "//\n", "emailalertfreq=\n", "execute\n",
    "service=http\n", "checkport=80\n",
];

impl Maker {
    /// A service with something in it that may be a fault.
    pub(super) fn faulty_service(&mut self) {
        let mut service = self.service(false);
        let six = service.six;
        let line = match self.rng.u8(..12) {
            // A line that is wrong wherever it stands.
            0..=5 => self.pick(IN_SERVICE).to_owned(),
            6..=8 => {
                let family = if six { "6" } else { "" };
                let value = match six {
                    true => self.pick(REAL6),
                    false => self.pick(REAL),
                };
                format!("real{family}={value}\n")
            }
            9 => {
                let family = if six { "6" } else { "" };
                let value = self.pick(FALLBACK);
                format!("fallback{family}={value}\n")
            }
            10 => self.pick(OF_THE_OTHER).to_owned(),
            _ => {
                self.odd_opening(service);
                return;
            }
        };
        let at = self.rng.usize(1..=service.lines.len());
        service.lines.insert(at, line);
        if !service.lines.iter().any(|line| line.starts_with("checktype") && line.contains("on"))
            || at == service.lines.len()
        {
            service.lines.push("checktype=on\n".into());
        }
        self.end_service(service);
    }

    /// A service that begins or ends strangely.
    fn odd_opening(&mut self, mut service: Service) {
        match self.rng.u8(..8) {
            0..=4 => {
                let (family, value) =
                    if service.six { ("6", self.pick(VIRTUAL6)) } else { ("", self.pick(VIRTUAL)) };
                service.lines[0] = format!("virtual{family}={value}\n");
                service.lines.truncate(1);
                service.lines.push("checktype=on\n".into());
                self.end_service(service);
            }
            5 => {
                // Described twice, or on the last line.
                let first = service.lines[0].clone();
                self.end_service(service);
                self.lines.push("\n".into());
                self.lines.push(first);
                if self.one_in(2) {
                    self.lines.push("\tchecktype=on\n\n".into());
                }
            }
            6 => {
                let blanks = self.pick(BETWEEN);
                let at = self.rng.usize(1..=service.lines.len());
                let rest = service.lines.split_off(at);
                let indent = self.indent;
                let mut lines = service.lines.into_iter();
                self.lines.extend(lines.next());
                self.lines.extend(lines.map(|line| format!("{indent}{line}")));
                self.lines.push(blanks.into());
                self.lines.extend(rest.into_iter().map(|line| format!("{indent}{line}")));
                self.lines.push("\n".into());
            }
            _ => {
                service.lines.push("checktype=on\n".into());
                let indent = self.pick(&["", " ", "   ", "\u{b}", "\u{c}    "]);
                let mut lines = service.lines.into_iter();
                self.lines.extend(lines.next());
                self.lines.extend(lines.map(|line| format!("{indent}{line}")));
                self.lines.push("\n".into());
            }
        }
    }

    /// A line outside of services that may be a fault.
    pub(super) fn faulty_global(&mut self) {
        let line = self.pick(OUTSIDE);
        self.lines.push(line.to_owned());
    }
}
