//! The kinds of fault, each with the paragraph that explains it.
//!
//! `E` is an error, `W` a warning, `A` advice. The number's first digit: 0 the file as a whole, 1 lines, 2 values,
//! 3 addresses and servers, 4 checks, 5 credentials. A code is never given a second meaning.

/// The paragraph of a code, if there is such a code.
pub fn explain(code: &str) -> Option<&'static str> {
    CODES.iter().find(|(known, _)| *known == code).map(|(_, text)| *text)
}

/// Every code with its paragraph.
pub const CODES: &[(&str, &str)] = &[
    ("A0001", "There is so much advice that the rest of it is not shown."),
    (
        "A0002",
        "A password that every user of the host can read is soon known to others. Take the right to read away from \
         others; that of the group is left to you, since a group may have been made for it.",
    ),
    (
        "A0105",
        "The directive, or the unit `ms`, is an extension: ldirectord does not know it. This matters only for a file that \
         both programs are to read; `ldirectord validate --strict` then finds such lines.",
    ),
    (
        "A0106",
        "Of a directive that counts once the last one counts. Who changes the first one later wonders why nothing happens. \
         A file that is included may well say again what the file that includes it says.",
    ),
    (
        "A0201",
        "There are settings for mails and nobody to send them to. `emailalert` names the addresses, for all services or \
         for one.",
    ),
    (
        "A0301",
        "With gate and ipip a packet reaches the server with the port that the client wrote on it; only masq changes \
         ports. A check that goes to the port of the `real` line may pass while nothing listens where the connections \
         arrive, or fail while all is well. Write the port of the virtual service, or none; `checkport` says where the check \
         goes. A fallback must listen at the port of each service that it stands in for.",
    ),
    (
        "A0302",
        "When no real server works the fallback gets all connections. If it is one of these real servers, it is known not \
         to work. Let a server of its own be the fallback, if only one that says sorry, or do without. In ldirectord it is \
         worse: when the server works again it is taken away as fallback, and nobody serves.",
    ),
    (
        "A0303",
        "The kernel has the service and nobody to send connections to, so it refuses them. Maybe the `real` lines are \
         comments, or belong to the service above.",
    ),
    (
        "A0304",
        "A server with weight 0 gets no connections, but as long as its check passes it works, and so the fallback does \
         not serve: clients are refused. To take a whole service out of use, say checktype=off, which leaves it to the \
         fallback.",
    ),
    (
        "A0305",
        "For a connection the kernel looks for a service of its port first, and for one of every port (port 0) after that. \
         A client that keeps its server in one of them may have another in the other. To have one choice for several \
         ports, let the packet filter give all of them one mark, and write a service for that.",
    ),
    (
        "A0306",
        "rr, lc and dh look at a weight only for whether it is 0. With wrr and wlc a server of weight 2 gets twice what one \
         of weight 1 gets.",
    ),
    (
        "A0307",
        "sh, mh and dh choose a server by an address alone, also a server that has weight 0 because it is down; then the \
         connection is refused, for the same clients every time, and also while the fallback serves. With \
         schedflags=sh-fallback or mh-fallback the kernel chooses another server then. dh has no such flag; with \
         quiescent=no servers that are down are taken out.",
    ),
    (
        "A0308",
        "With `persistent` the kernel remembers the server of each client. A server that is down and stays in the kernel \
         with weight 0 (`quiescent=yes`) keeps getting the new connections of the clients it had, as long as they keep \
         trying. With net.ipv4.vs.expire_quiescent_template=1 the kernel forgets that when the weight becomes 0. Put it into \
         a file of /etc/sysctl.d to have it after the next boot.",
    ),
    (
        "A0309",
        "`ops` schedules each packet by itself, which makes sense for udp only; for other services it is not handed to the \
         kernel.",
    ),
    (
        "A0310",
        "To the kernel all packets from one port of a client are a connection, which ends when nothing was sent for five \
         minutes. Clients such as resolvers, phones and senders of logs never stop sending, and so stay with a server that \
         has weight 0 because it is down. With quiescent=no the server goes, and with net.ipv4.vs.expire_nodest_conn=1 such a \
         client gets another at its next packet, without it after five minutes. With ops=yes there are no connections; with \
         masq, answers then leave with the address of the real server.",
    ),
    (
        "A0311",
        "dh chooses a server by the destination of a packet. A service with an address has one destination, so all of its \
         connections go to one server and the others are idle. It is meant for proxies, where a firewall mark catches packets \
         to any address.",
    ),
    (
        "A0312",
        "The kernel does not rewrite the destination of a packet that came from another host to a loopback address (127.0.0.1, \
         ::1): it drops it. The check is made from this host and passes, and so do connections from this host, while every \
         other client waits in vain. A program of this host is reached by gate, at the port of the virtual service, or by \
         masq at another address of the host, also that of the service itself.",
    ),
    (
        "A0401",
        "The pattern is found in every text, if only because it may match nothing at all: `.*`, `a*` and `OK|` are such. \
         The check then only asks whether there is an answer, and does so without `receive` as well. Write words that a good \
         answer has and an error page has not.",
    ),
    (
        "A0402",
        "The check that is made does not look at these directives, so it asks less than the file seems to say. \
         ldirectord.cf.example says of each check what it uses. Without `checktype` servers are negotiated with, in the \
         protocol that `service` or the port of the virtual service names.",
    ),
    (
        "A0403",
        "From the moment a server dies until it is taken out of service there may pass: the interval to the next check, and \
         the time that it takes for `failurecount` checks to fail, `fastinterval` apart or more, each of them at its timeout at \
         worst. All that time \
         clients are sent to it. More than an hour is rarely meant; maybe a number has a digit too many.",
    ),
    (
        "A0404",
        "A udp port cannot be connected to, so checktype=connect sends a ping to the host, as in ldirectord. The host may \
         answer while the service does not. For dns, radius and sip checktype=negotiate asks the service itself; for others \
         a program of your own can (checktype=external).",
    ),
    (
        "A0405",
        "`request` is the path of the page, and is put behind the address of the real server as it is. Write `request` without \
         the host, and the host as `virtualhost`. The request in a `real` line may be a whole URL, and that of a http_proxy \
         check must be one.",
    ),
    (
        "E0001",
        "The file has so many faults that the rest of it was not looked at. It is probably no ldirectord.cf.",
    ),
    (
        "E0002",
        "A file that `include` names cannot be read. A name without a folder is looked for in the folder of the file that \
         includes it. Only a name with `*`, `?` or `[` in it may stand for no file at all.",
    ),
    ("E0003", "A file includes itself, at once or by way of others, which would never end."),
    (
        "E0004",
        "Files include each other 16 deep at most, and a configuration has at most 4096 files with 64 MiB in all.",
    ),
    (
        "E0005",
        "A file that the log or the results of checks are to be written to cannot be opened.",
    ),
    (
        "E0101",
        "The name before the `=` is no directive. Names are written in small letters; ldirectord.cf.example shows \
         all of them.",
    ),
    (
        "E0102",
        "The directive speaks of the whole daemon, so it stands in the first column, outside of every virtual \
               service.",
    ),
    (
        "E0103",
        "A line that is not empty is a comment, which begins with `#`, or a directive, `NAME=VALUE`.",
    ),
    (
        "E0104",
        "A directive of a virtual service is indented by at least four blanks or a tab, below the `virtual` line it \
               belongs to; everything else stands in the first column. An empty line ends a virtual service, and so does \
               a line with fewer than four blanks. A line of a comment alone never does.",
    ),
    ("E0201", "The value must be `yes` or `no`, in small letters and without quotes."),
    ("E0202", "The value must be a number. The first digits in it are read."),
    ("E0203", "The number must be 1 or more."),
    ("E0204", "The number is not in the range that makes sense for the directive."),
    ("E0205", "The value must stand in double quotes."),
    ("E0206", "The value must not be empty."),
    ("E0207", "The value must be one of the words that the directive knows."),
    (
        "E0208",
        "The name of a scheduler has 1 to 15 letters from a to z. Whether the kernel has such a scheduler is found \
               out when the service is installed.",
    ),
    (
        "E0209",
        "The netmask of an IPv4 service is a dotted quad such as 255.255.255.0; that of an IPv6 service is a prefix \
               length from 1 to 128.",
    ),
    ("E0210", "The value must be text in UTF-8."),
    (
        "E0211",
        "`receive` is a regular expression in Perl's syntax, and this one is not. ldirectord finds that out when the \
               first server answers, and ends.",
    ),
    ("E0212", "The directive was used by old versions and is refused now."),
    (
        "E0213",
        "An address to listen at is an IP address with a port, `127.0.0.1:8090` or `[::1]:8090`, or a port alone.",
    ),
    (
        "E0301",
        "A virtual service is an address or name with a port, `192.0.2.1:80`, in `virtual6` `[2001:db8::1]:80`, or \
               the number of a firewall mark.",
    ),
    (
        "E0302",
        "The address has no port. ldirectord reads the number before its first dot as a firewall mark, which nobody \
               means.",
    ),
    (
        "E0303",
        "IPv4 and IPv6 do not mix: a `virtual` service has `real` and `fallback`, a `virtual6` service has `real6` \
               and `fallback6`.",
    ),
    (
        "E0304",
        "The name could not be turned into an address of the right family. Names are looked up when the file is read.",
    ),
    ("E0305", "The port is neither a number up to 65535 nor a name in the services database."),
    ("E0306", "After the address of a server comes how packets reach it: gate, masq or ipip."),
    ("E0307", "The line has no ADDRESS:PORT that something follows."),
    ("E0308", "The line goes on after everything that can be said of a real server."),
    (
        "E0309",
        "A range of real servers is two IPv4 addresses with `->` between, the lower first, of at most 65536.",
    ),
    ("E0310", "The kernel takes weights and numbers of connections up to 2147483647."),
    ("E0311", "Two virtual services have the same address, port and protocol, or the same mark."),
    ("E0312", "A firewall mark is a number from 1 to 4294967295."),
    (
        "E0313",
        "A configuration has at most 262144 real servers, ranges counted out. More is most likely a range that was meant \
         to be shorter.",
    ),
    ("E0401", "The check speaks a protocol that ldirectord knows and this version does not yet."),
    ("E0402", "The check is of a kind that ldirectord knows and this version does not yet."),
    ("E0403", "The file asks for more than four thousand million different checks."),
    (
        "E0404",
        "`clientkey` is the key of the `clientcert` that stands in the same place, and there is none.",
    ),
    (
        "E0405",
        "The settings of TLS cannot be followed: a file that they name cannot be read, does not hold what it should, or the \
         key is not that of the certificate.",
    ),
    ("E0501", "The credentials file must be readable, and by its owner alone: `chmod 600 FILE`."),
    (
        "E0502",
        "The credentials file has lines `[SECTION]`, `KEY = VALUE` below one, and comments, which begin with `#` or `;`.",
    ),
    ("E0503", "A section of the credentials file, or a key of one, is there twice."),
    (
        "E0504",
        "`credentials` in a virtual service names a section of the file that `credentials` outside of every service names.",
    ),
    ("E0505", "A section of the credentials file has `login`, `passwd`, `secret` and `database`."),
    ("W0001", "The file has so many doubtful places that the rest of them are not shown."),
    (
        "W0002",
        "The program cannot be run: it is not there, or it is not executable. A check by a program that cannot be run \
         always fails.",
    ),
    ("W0003", "The folder of `maintenancedir` does not exist."),
    (
        "W0101",
        "ldirectord compares this value to the end of the line, blanks and all, and refuses the file. Here the value \
               is read as it is meant.",
    ),
    (
        "W0102",
        "To ldirectord a `#` in a virtual service begins a comment even inside of quotes; it refuses such a line.",
    ),
    ("W0103", "A part of the value is not read, as in ldirectord."),
    (
        "W0104",
        "On a line in the first column `#` begins no comment behind a value, and blanks at the end count.",
    ),
    (
        "W0105",
        "The line ends the way of Windows. ldirectord takes the carriage return into the value.",
    ),
    ("W0106", "A `virtual` line that is the last of the file is an error to ldirectord."),
    ("W0107", "A byte order mark makes the first line an unknown command to ldirectord."),
    (
        "W0108",
        "A line of five or more blanks inside of a virtual service is an error to ldirectord, and one of up to four \
               ends the service. Leave the line out, or make it a comment.",
    ),
    (
        "W0201",
        "`checkcount` goes out of use. It counts pings only; `failurecount` counts failed checks of every kind.",
    ),
    ("W0202", "`supervised` should have a value."),
    (
        "W0203",
        "`checkinterval` in a virtual service holds for that service. In ldirectord it has an effect with `fork=yes` only, \
         and is ignored with a warning otherwise.",
    ),
    (
        "W0204",
        "A number such as `00` is 0 in disguise, which ldirectord takes for endless or for none.",
    ),
    ("W0205", "Persistence lasts from 1 second to 31 days."),
    ("W0206", "The directive has no effect without a value."),
    (
        "W0207",
        "`netmask` says which clients count as one for `persistent`, and has no effect without it.",
    ),
    (
        "W0208",
        "sh-port and sh-fallback are flags of the scheduler sh, mh-port and mh-fallback those of mh. ipvsadm refuses \
         them for others; flag-1 to flag-3 it takes for all.",
    ),
    (
        "W0209",
        "A number may have a unit right behind it: `ms`, `s`, `m` or `h`; without one it is seconds. ldirectord knows no \
         units and reads the number alone, so that the same file means another time there.",
    ),
    (
        "W0301",
        "ldirectord loses the receive, the limits and the URL of a real server whose request begins with `/`. Here \
               they are followed, so that a server which was never really checked now is.",
    ),
    (
        "W0302",
        "Two lines are the same server to the kernel. With gate and ipip the kernel gives every server the port of \
               the virtual service.",
    ),
    (
        "W0303",
        "The kernel does not take such a virtual service, so it is left out. ldirectord tries and fails.",
    ),
    (
        "W0304",
        "ldirectord compares the two ends of a range as text, and takes a range for empty where the number of digits \
               changes (at 5.245.225.0 and 59.154.202.0).",
    ),
    (
        "W0305",
        "The number of connections below which a server takes new ones again (l:) must not be above the number at which \
         it stops (u:), and there is no l: without u:. The kernel refuses such a server.",
    ),
    (
        "W0401",
        "The check needs a port, and neither the server nor `checkport` nor `service` gives one.",
    ),
    (
        "W0402",
        "As it stands, ldirectord takes these servers for working without asking, or, of dns, for not working whatever \
               they answer. Here the check that is written is made, so that a server which was never really checked now is.",
    ),
    (
        "W0403",
        "The answer to HEAD is a header alone, and `receive` is looked for in the body. No server can ever pass this check, \
         so none is taken into service. Ask with GET, or do without `receive`.",
    ),
    (
        "W0404",
        "The private key that `clientkey` names can be used by others than its owner: `chmod 600 FILE`.",
    ),
    (
        "W0405",
        "A check negotiates where nothing else is said, and nothing says in what protocol: there is no `service`, and no protocol \
         is known of the port of the virtual service; of a mark none ever is. Like ldirectord we then take every server for \
         working, dead or not, and nothing that happens later shows it. Write service=PROTOCOL for a check of the service, \
         checktype=connect to ask whether the server accepts connections, or service=none if no check is what you want: \
         it changes nothing and says so.",
    ),
    (
        "W0406",
        "A proxy must be told which page of which host to fetch, so `request` of a http_proxy check is a whole URL. Without \
         one no server can ever pass the check.",
    ),
    (
        "W0407",
        "A database is asked the statement of `request` after a login, and needs both. As in ldirectord no server can pass \
         such a check without.",
    ),
    (
        "W0408",
        "The pattern demands what cannot be: text before the beginning (`a^b`) or behind the end (`$x`), a word that begins \
         inside of a word (`x\\by`), a character that is none. No answer ever matches, so no server is taken into service. Most \
         often a sign such as ^ or $ was meant for itself and needs a \\ before it.",
    ),
    (
        "W0501",
        "In the credentials file a value is the rest of its line as it stands there, quotes and all.",
    ),
];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    /// Every code that stands in quotes in a file of this folder, but for this file.
    fn used(folder: &Path, codes: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                used(&path, codes);
            } else if !path.ends_with("codes.rs") {
                let text = fs::read_to_string(path).unwrap();
                let words = text.split('"').filter(|word| {
                    word.len() == 5
                        && word.starts_with(['A', 'E', 'W'])
                        && word.bytes().skip(1).all(|byte| byte.is_ascii_digit())
                });
                codes.extend(words.map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_code_has_a_paragraph_and_every_paragraph_a_use() {
        let mut codes = BTreeSet::new();
        for folder in ["src/config", "src/daemon"] {
            used(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut codes);
        }
        let known: Vec<&str> = CODES.iter().map(|(code, _)| *code).collect();
        assert!(known.is_sorted(), "the paragraphs stand in order");
        assert_eq!(known, codes.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(explain("E0101").is_some_and(|text| text.contains("directive")));
        assert_eq!(explain("E9999"), None);
    }
}
