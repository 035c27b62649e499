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
        "A0105",
        "The directive, or the unit `ms`, is an extension: ldirectord does not know it. This matters only for a file that \
         both programs are to read; `ldirectord validate --strict` then finds such lines.",
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
        "As it stands, ldirectord takes these servers for working without asking. Here the check that is written is \
               made, so that a server which was never really checked now is.",
    ),
    (
        "W0404",
        "The private key that `clientkey` names can be used by others than its owner: `chmod 600 FILE`.",
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
