//! The kinds of fault, each with the paragraph that explains it.
//!
//! `E` is an error, `W` a warning, `A` advice. The number's first digit: 0 the file as a whole, 1 lines, 2 values,
//! 3 addresses and servers, 4 checks, 5 credentials. A code is never given a second meaning.

/// The paragraph of a code, if there is such a code.
pub fn explain(code: &str) -> Option<&'static str> {
    CODES.iter().find(|(known, _)| *known == code).map(|(_, text)| *text)
}

/// Every code with its paragraph; behind an empty line, lines that begin with a blank are an example.
pub const CODES: &[(&str, &str)] = &[
    ("A0001", "There is so much advice that the rest of it is not shown."),
    (
        "A0002",
        "A password that every user of the host can read is soon known to others. Take the right to read away from \
         others; that of the group is left to you, since a group may have been made for it.",
    ),
    (
        "A0105",
        "The directive, the service or the unit `ms` is an extension: ldirectord does not know it. This matters only for \
         a file that both programs are to read; `ldirectord validate --strict` then finds such lines.",
    ),
    (
        "A0106",
        "Of a directive that counts once the last one counts. Who changes the first one later wonders why nothing happens. \
         A file that is included may well say again what the file that includes it says.",
    ),
    (
        "A0201",
        "There are settings for mails and webhooks, and nobody to send them to. `emailalert` and `webhook` name addresses, for all \
         services or for one.",
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
        "A0321",
        "The directive says how connections are synchronised, and nothing says that they are: `syncdaemon` with master, backup \
         or both and an interface does.",
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
        "A0406",
        "GET and HEAD ask for something that is there, and a body has no meaning with them. Some servers read it all the \
         same, most do not, and some break the connection off. A body goes with POST or PUT.\n\n\
         \x20 httpmethod = POST",
    ),
    (
        "E0001",
        "The file has so many faults that the rest of it was not looked at. It is probably no ldirectord.cf.",
    ),
    (
        "E0002",
        "A file that a line names, with `include` or `credentials`, cannot be read: it is not there, or this user \
         may not read it. A name without a folder is looked for in the folder of the file that names it, not in that \
         of the process. A name with `*`, `?` or `[` in it may stand for no file at all.\n\n\
         \x20 include = services/*.cf",
    ),
    (
        "E0003",
        "A file includes itself, at once or by way of others, which would never end. Take one of the lines out; what \
         several files need can stand in a file of its own that only the first one includes.",
    ),
    (
        "E0004",
        "Files include each other 16 deep at most, and a configuration has at most 4096 files with 64 MiB in all. \
         More is taken for an accident, such as an `include` of a folder that is full of other things.",
    ),
    (
        "E0005",
        "A file that the log or the results of checks are to be written to cannot be opened. ldirectord does not \
         start then either. Look whether the folder exists and whether the user that the daemon runs as may write \
         there.\n\n\
         \x20 logfile = \"/var/log/ldirectord.log\"",
    ),
    (
        "E0101",
        "The name before the `=` is no directive, so the line would be without effect, and the file is refused \
         rather than half understood. Names are written in small letters. `ldirectord explain` lists all of them; \
         one that exists may be known on the other side only, in a virtual service or outside (E0102, E0104).",
    ),
    (
        "E0102",
        "The directive speaks of the whole daemon, so it stands in the first column, outside of every virtual \
         service.\n\n\
         \x20 autoreload = yes\n\
         \x20 virtual = 192.0.2.1:80\n\
         \x20     real = 192.0.2.10:80 masq",
    ),
    (
        "E0103",
        "A line that is not empty is a comment, which begins with `#`, or a directive, `NAME = VALUE`.\n\n\
         \x20 quiescent = yes",
    ),
    (
        "E0104",
        "A directive of a virtual service is indented by at least four blanks or a tab, below the `virtual` line it \
         belongs to; everything else stands in the first column. An empty line ends a virtual service, and so does a \
         line with fewer than four blanks. A line of a comment alone never does.\n\n\
         \x20 virtual = 192.0.2.1:80\n\
         \x20     real = 192.0.2.10:80 masq\n\
         \x20     # an empty line here would end the service\n\
         \x20     scheduler = wlc",
    ),
    (
        "E0201",
        "The value must be `yes` or `no`, in small letters and without quotes. Other words are not guessed at, since \
         the opposite of what was meant could be done.\n\n\
         \x20 quiescent = yes",
    ),
    (
        "E0202",
        "The value must be a number. The first digits in it are read; there are none here.\n\n\
         \x20 failurecount = 3",
    ),
    (
        "E0203",
        "The number must be 1 or more. 0 would mean never to wait or never to check, which nobody wants; to take \
         every server for working without a check is `checktype = on`.",
    ),
    (
        "E0204",
        "The number is not in the range that makes sense for the directive. `ldirectord explain` with the name of \
         the directive tells the range.",
    ),
    (
        "E0205",
        "The value must stand in double quotes, also when it is one word. What stands behind the last quote of the \
         line is not read.\n\n\
         \x20 request = \"healthz\"",
    ),
    (
        "E0206",
        "The value must not be empty. Where nothing is meant, leave the line out: the default then holds.",
    ),
    (
        "E0207",
        "The value must be one of the words that the directive knows. `ldirectord explain` with \
         the name of the directive lists them.\n\n\
         \x20 checktype = negotiate",
    ),
    (
        "E0208",
        "The name of a scheduler has 1 to 15 letters from a to z. Whether the kernel has such a scheduler is found \
         out when the service is installed; rr, wrr, lc, wlc, sh, dh, mh, sed, nq, fo, ovf, lblc and lblcr come with \
         Linux.\n\n\
         \x20 scheduler = wlc",
    ),
    (
        "E0209",
        "The netmask of an IPv4 service is a dotted quad whose ones stand together; that of an IPv6 service is a \
         prefix length from 1 to 128. All clients of such a network are one for `persistent`.\n\n\
         \x20 netmask = 255.255.255.0\n\
         \x20 netmask = 64",
    ),
    (
        "E0210",
        "The value must be text in UTF-8. The file was probably saved in another encoding; `iconv -f latin1 -t utf-8 \
         FILE` turns the most common one into UTF-8.",
    ),
    (
        "E0211",
        "`receive` is a regular expression in Perl's syntax, and this one is not, or it asks for something that \
         cannot be matched in bounded time. ldirectord finds out when the first server answers, and ends. A \
         character that stands for itself and is one of `. * + ? ( ) [ ] { } | ^ $` has a backslash before it.\n\n\
         \x20 receive = \"load \\[ok\\]\"",
    ),
    (
        "E0212",
        "The directive was used by old versions and is refused now, as by ldirectord. `timeout` and `connecttimeout` \
         became two: `checktimeout` for connect, ping and external checks, `negotiatetimeout` for those that speak a \
         protocol.\n\n\
         \x20 checktimeout = 3\n\
         \x20 negotiatetimeout = 10",
    ),
    (
        "E0213",
        "An address to listen at is an IP address with a port, or a port alone, which is one of 127.0.0.1. Names are \
         not looked up for it.\n\n\
         \x20 statuslisten = 127.0.0.1:8090\n\
         \x20 statuslisten = [::1]:8090\n\
         \x20 statuslisten = 8090",
    ),
    (
        "E0214",
        "`expectstatus` is a list with commas: statuses of three digits from 200 to 599, and ranges of them, the lower one \
         first. Interim answers (1xx) are passed over and never the answer.\n\n\
         \x20 expectstatus = 200,204,300-399",
    ),
    (
        "E0215",
        "A header field has a name of letters, digits and `-`, a `:` and a value without control characters. In a request each \
         name stands once; Host, Content-Length, Transfer-Encoding and Connection are said by the check itself.\n\n\
         \x20 requestheader = \"Content-Type: application/json\"\n\
         \x20 expectheader = \"X-Health: ^ok$\"",
    ),
    (
        "E0216",
        "The text of `send` stands in double quotes, and a backslash in it begins an escape: \\r, \\n, \\t and \\0 are carriage \
         return, line feed, tab and the byte 0, \\\\ is a backslash and \\\" a quote, and \\x with two hexadecimal digits is any \
         byte. The text ends at the first quote without a backslash, and only a comment may follow.\n\n\
         \x20 send = \"PING\\r\\n\"\n\
         \x20 send = \"\\x00\\x1f\"",
    ),
    (
        "E0217",
        "A webhook is an address of http or https; behind it stand, in any order, `template=FILE` and \
         `credentials=SECTION`, without quotes. The address may also be the `url` of that section of the credentials \
         file, because for most chat systems it is a password: who knows it may write there. It is shown nowhere.\n\n\
         \x20 webhook = https://alerts.example.org/lvs credentials=alerts\n\
         \x20 webhook = credentials=chat template=/etc/ha.d/slack.json",
    ),
    (
        "E0218",
        "The template of a webhook is a file with JSON, of 64 KiB at most, such as `{\"text\": \"{{subject}}\"}`. In its texts \
         `{{subject}}`, `{{text}}` and the other names that ldirectord(8) lists stand for what there is to tell; outside of \
         a text they are no JSON.\n\n\
         \x20 webhook = https://chat.example.org/hooks/x template=/etc/ha.d/slack.json",
    ),
    (
        "E0225",
        "`syncdaemon` says what this director does and on which network interface: master sends its connections to the other \
         directors, backup takes in theirs, both does both. The name of an interface has at most 15 bytes.\n\n\
         \x20 syncdaemon = both eth0",
    ),
    (
        "E0226",
        "The messages that `syncdaemon` asks for go to a multicast group: 224.0.0.0 to 239.255.255.255, or an address of IPv6 \
         that begins with ff. All directors that belong together name the same.\n\n\
         \x20 syncgroup = 239.255.0.81",
    ),
    (
        "E0301",
        "A virtual service is an IPv4 address or a name with a port, in `virtual6` an IPv6 address in brackets with \
         a port, or the number of a firewall mark.\n\n\
         \x20 virtual = 192.0.2.1:80\n\
         \x20 virtual = www.example.org:http\n\
         \x20 virtual6 = [2001:db8::1]:80\n\
         \x20 virtual = 5",
    ),
    (
        "E0302",
        "The address has no port. ldirectord reads the number before its first dot as a firewall mark, 192 of \
         192.0.2.1, so that the service exists and never gets a packet. Nobody means that, so it is refused here.\n\n\
         \x20 virtual = 192.0.2.1:80",
    ),
    (
        "E0303",
        "IPv4 and IPv6 do not mix: a `virtual` service has `real` and `fallback`, a `virtual6` service has `real6` \
         and `fallback6`. For both families write two services.\n\n\
         \x20 virtual = 192.0.2.1:80\n\
         \x20     real = 192.0.2.10:80 masq\n\
         \x20 virtual6 = [2001:db8::1]:80\n\
         \x20     real6 = [2001:db8::10]:80 masq",
    ),
    (
        "E0304",
        "The name could not be turned into an address of the right family. Names are looked up when the file is \
         read, by the rules of the machine (/etc/nsswitch.conf), and not again until the next reload. A director \
         that must start without a name server has addresses in its file, or names that stand in /etc/hosts.",
    ),
    (
        "E0305",
        "The port is neither a number up to 65535 nor a name that the services database (/etc/services) has for the \
         protocol of the service.",
    ),
    (
        "E0306",
        "After the address of a server comes how packets reach it. `masq` rewrites their address, so the server's \
         way back must lead through the director; `gate` hands them over unchanged, so the server is on the same \
         network and has the virtual address on an interface that does not answer ARP; `ipip` wraps them, so the \
         server unwraps them and has that address too.\n\n\
         \x20 real = 192.0.2.10:80 masq",
    ),
    (
        "E0307",
        "The line has no ADDRESS:PORT that something follows. The first thing on it is the address of the server, \
         the second how packets reach it.\n\n\
         \x20 real = 192.0.2.10:80 masq",
    ),
    (
        "E0308",
        "The line goes on after everything that can be said of a real server. The order is fixed: address, \
         forwarding method, weight, request and receive, lower and upper limit.\n\n\
         \x20 real = 192.0.2.10:80 masq 2 \"healthz\",\"OK\" l:800 u:1000",
    ),
    (
        "E0309",
        "A range of real servers is two IPv4 addresses with `->` between, the lower first, of at most 65536. IPv6 \
         servers are written one by one.\n\n\
         \x20 real = 192.0.2.10->192.0.2.19:80 gate",
    ),
    (
        "E0310",
        "The kernel takes weights and numbers of connections up to 2147483647. Weights are shares: 1 and 2 do the \
         same as 1000 and 2000.",
    ),
    (
        "E0311",
        "Two virtual services have the same address, port and protocol, or the same mark; the kernel knows such a \
         service once. Write all real servers below one of the two lines. TCP and UDP of one port are two services, \
         if the second says so with `protocol = udp`.",
    ),
    (
        "E0312",
        "A firewall mark is a number from 1 to 4294967295, as the packet filter sets it.\n\n\
         \x20 virtual = 5",
    ),
    (
        "E0313",
        "A configuration has at most 262144 real servers, ranges counted out. More is most likely a range that was \
         meant to be shorter.",
    ),
    (
        "E0401",
        "The check speaks a protocol that this program can be built with and was not: oracle, for which a driver comes in \
         that few need. The file is refused, so that no server is silently unchecked. Build the program with it (make build \
         FEATURES=oracle), ask only whether the servers accept connections, or have a program of your own ask them.\n\n\
         \x20 checktype = connect\n\n\
         \x20 checktype = external\n\
         \x20 checkcommand = /usr/local/lib/ldirectord/check",
    ),
    (
        "E0402",
        "A program of `checktype = external-perl` is run by perl, which is not installed, or not in the PATH of \
         ldirectord. Every such check would fail, so the file is refused when it is read.",
    ),
    (
        "E0403",
        "The file asks for more than four thousand million different checks, which no machine makes. A range of real \
         servers in very many services is the likely reason.",
    ),
    (
        "E0404",
        "`clientkey` names the private key of the certificate that `clientcert` names in the same place: both in the \
         first column, or both in the virtual service. There is no such certificate here.\n\n\
         \x20 clientcert = /etc/ha.d/director.pem\n\
         \x20 clientkey = /etc/ha.d/director.key",
    ),
    (
        "E0405",
        "A file that TLS is to be spoken with cannot be used: it cannot be read, has nothing of its kind in PEM, or a \
         key is not that of its certificate; or a name is none that a certificate could have. Every check with it \
         would fail, so the file is refused when it is read.",
    ),
    (
        "E0406",
        "A check with `service = udp` sends one datagram and looks for one pattern in each that comes back: there is no \
         order among datagrams in which steps could be taken. Take the further lines out. What can be asked over TCP may \
         have many steps, and a program of your own (checktype=external) may do anything.\n\n\
         \x20 service = udp\n\
         \x20 send = \"status\"\n\
         \x20 expect = \"^ok\"",
    ),
    (
        "E0501",
        "The credentials file must be readable by this user, and by no other than its owner; a password that others \
         can read is not one any more. A group other than root's may read a file of root's, so that a daemon that is \
         not root can (`user`): chgrp ldirectord FILE; chmod 640 FILE.\n\n\
         \x20 chmod 600 /etc/ha.d/ldirectord.credentials",
    ),
    (
        "E0502",
        "The credentials file has lines `[SECTION]`, `KEY = VALUE` below one, and comments, which begin with `#` or \
         `;` at the start of a line.\n\n\
         \x20 [monitoring]\n\
         \x20 login = monitor\n\
         \x20 passwd = correct horse battery staple",
    ),
    (
        "E0503",
        "A section of the credentials file, or a key of one, is there twice; which of the two counts would be a \
         guess. Take one out.",
    ),
    (
        "E0504",
        "`credentials` in a virtual service, `smtpcredentials` or `webhook` names a section of the file that `credentials` \
         outside of every service names. There is no such file, or no such section in it.\n\n\
         \x20 credentials = /etc/ha.d/ldirectord.credentials\n\
         \x20 virtual = 192.0.2.1:3306\n\
         \x20     credentials = monitoring",
    ),
    (
        "E0505",
        "A section of the credentials file has `login`, `passwd`, `secret`, `database` and `url`, each once at most, and \
         nothing else.",
    ),
    (
        "E0506",
        "`smtpcredentials` names a login that the mail server is told, and the password would travel for everybody on \
         the way to read. With `smtptls = starttls` (port 587) or `smtptls = yes` (port 465) it travels over TLS.",
    ),
    (
        "E0507",
        "The account that `user` names must be there, and may read what a reload reads: this file, those that it \
         includes, the credentials and the files of TLS. The daemon gives root up when it starts, and cannot read later \
         what only root may. `chgrp ldirectord FILE` lets the account of that name read a file of this mode, and only \
         root can become another user.\n\n\
         \x20 chmod 640 /etc/ha.d/ldirectord.cf",
    ),
    ("W0001", "The file has so many doubtful places that the rest of them are not shown."),
    (
        "W0002",
        "The program cannot be run: it is not there, or it is not executable (with `checktype = external-perl`: \
         readable). A check by a program that cannot be \
         run always fails, so that all its servers go out of service. If it comes later, the warning can be ignored \
         until then.",
    ),
    (
        "W0003",
        "The folder of `maintenancedir` does not exist. Until somebody makes it, no server can be taken out of \
         service by a file there.",
    ),
    (
        "W0004",
        "A configuration that `execute` names is not there, or leads back: it is this one, or one that it names has this \
         one run. What leads back is left out, because each would start, reload and ask the others for ever.",
    ),
    (
        "W0101",
        "ldirectord compares this value to the end of the line, blanks, comment and all, and refuses the file. Here \
         the value is read as it is meant. Take away what follows it if ldirectord is to read the file as well.\n\n\
         \x20 quiescent = yes",
    ),
    (
        "W0102",
        "To ldirectord a `#` in a virtual service begins a comment even inside of quotes; it refuses such a line. In \
         a pattern `\\x23` can stand for it, in a request `%23`.",
    ),
    (
        "W0103",
        "A part of the value is not read, as in ldirectord. What was meant by it does not happen: take it out, or \
         write it where it is read.",
    ),
    (
        "W0104",
        "On a line in the first column `#` begins no comment behind a value, and blanks at the end count. The \
         comment is part of the value now; put it on a line of its own.\n\n\
         \x20 # told to the night shift\n\
         \x20 emailalertfrom = ldirectord@example.org",
    ),
    (
        "W0105",
        "The line ends the way of Windows. ldirectord takes the carriage return into the value, where it is wrong or \
         does harm unseen. `sed -i 's/\\r$//' FILE` takes all of them out.",
    ),
    (
        "W0106",
        "A `virtual` line that is the last of the file is an error to ldirectord, and a service without real servers \
         is of little use. Add its servers, or take it out.",
    ),
    (
        "W0107",
        "The file begins with a byte order mark, as some editors write it, which makes the first line an unknown \
         command to ldirectord. Save the file as UTF-8 without one.",
    ),
    (
        "W0108",
        "A line of five or more blanks inside of a virtual service is an error to ldirectord, and one of up to four \
         ends the service. Leave the line out, or make it a comment.",
    ),
    (
        "W0201",
        "`checkcount` goes out of use. It counts the pings of a ping check only; `failurecount` counts failed checks \
         of every kind, and is what people mostly mean.\n\n\
         \x20 failurecount = 3",
    ),
    (
        "W0202",
        "`supervised` should have a value. Alone it means yes, as in ldirectord.\n\n\
         \x20 supervised = yes",
    ),
    (
        "W0203",
        "`checkinterval` in a virtual service holds for that service. In ldirectord it has an effect with `fork=yes` only, \
         and is ignored with a warning otherwise.",
    ),
    (
        "W0204",
        "A number such as `00` is 0 in disguise. ldirectord takes it for a wait without end or for none at all; here \
         a number that makes sense stands in for it, which the message names.",
    ),
    (
        "W0205",
        "Persistence lasts from 1 second to 31 days; the kernel knows no other. Leave `persistent` out for none. \
         ipvsadm refuses such a value, so that ldirectord never installs the service.\n\n\
         \x20 persistent = 600",
    ),
    ("W0206", "The directive has no effect without a value. Give it one, or take the line out."),
    (
        "W0207",
        "`netmask` says which clients count as one for `persistent`, and has no effect without it.\n\n\
         \x20 persistent = 600\n\
         \x20 netmask = 255.255.255.0",
    ),
    (
        "W0208",
        "sh-port and sh-fallback are flags of the scheduler sh, mh-port and mh-fallback those of mh. ipvsadm refuses \
         them for others, so that ldirectord never installs the service; flag-1 to flag-3 it takes for all.\n\n\
         \x20 scheduler = sh\n\
         \x20 schedflags = sh-port",
    ),
    (
        "W0209",
        "A number may have a unit right behind it: `ms`, `s`, `m` or `h`; without one it is seconds. ldirectord knows no \
         units and reads the number alone, so that the same file means another time there.",
    ),
    (
        "W0301",
        "ldirectord loses the receive, the limits and the URL of a real server whose request begins with `/`. Here \
         they are followed, so that a server which was never really checked now is. Without the `/` both programs do \
         the same.\n\n\
         \x20 real = 192.0.2.10:80 masq 1 \"healthz\",\"OK\"",
    ),
    (
        "W0302",
        "Two lines are the same server to the kernel, which has each address and port once in a service; the later \
         line counts while both work. With gate and ipip the kernel gives every server the port of the virtual \
         service, so that two ports of one machine are one server.",
    ),
    (
        "W0303",
        "The kernel does not take such a virtual service, so it is left out; ldirectord tries and fails. Mark 0 is \
         what packets without a mark carry. Port 0 stands for all ports, which needs `persistent`.\n\n\
         \x20 virtual = 192.0.2.1:0\n\
         \x20     persistent = 600",
    ),
    (
        "W0304",
        "ldirectord compares the two ends of a range as text, and takes a range for empty where the number of digits \
         changes (at 5.245.225.0 and 59.154.202.0). Here the range has its servers, so that the same file directs \
         more of them.",
    ),
    (
        "W0305",
        "The number of connections below which a server takes new ones again (l:) must not be above the number at \
         which it stops (u:), and there is no l: without u:. The kernel refuses such a server, so that it never \
         serves.\n\n\
         \x20 real = 192.0.2.10:80 masq 1 l:800 u:1000",
    ),
    (
        "W0401",
        "The check needs a port, and neither the server nor `checkport` nor `service` gives one. It asks at port 0, \
         where nobody ever answers, so the server never serves.\n\n\
         \x20 checkport = 80",
    ),
    (
        "W0402",
        "As it stands, ldirectord takes these servers for working without asking (pop without `login`, ftp without \
         `receive`), or, of dns without `receive`, for not working whatever they answer. Here the check that is written \
         is made, so that a server which was never really checked now is, and may turn out not to work. To ask nothing \
         is `checktype = on`.",
    ),
    (
        "W0403",
        "The answer to HEAD is a header alone, and `receive` is looked for in the body. No server can ever pass this check, \
         so none is taken into service. Ask with GET, or do without `receive`.",
    ),
    (
        "W0404",
        "The private key that `clientkey` names, or that stands in the file of `clientcert`, can be used by others than \
         its owner, who could then show themselves as this director.\n\n\
         \x20 chmod 600 /etc/ha.d/director.key",
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
        "A database is asked the statement of `request` after a login, and needs both, and oracle the SID of its instance in \
         `database`. As in ldirectord no server can pass such a check without. A udp check needs the datagram that it is to `send`.",
    ),
    (
        "W0408",
        "The pattern demands what cannot be: text before the beginning (`a^b`) or behind the end (`$x`), a word that begins \
         inside of a word (`x\\by`), a character that is none. No answer ever matches, so no server is taken into service. Most \
         often a sign such as ^ or $ was meant for itself and needs a \\ before it.",
    ),
    (
        "W0409",
        "`agentport` is what has the agents of the real servers asked; `agentinterval` and `agentsend` only say how. Without it \
         the servers have the weights that the file gives them, whatever their agents would say.\n\n\
         \x20 agentport = 9707\n\
         \x20 agentinterval = 2s",
    ),
    (
        "W0410",
        "The clients of the virtual service come over one of TCP and UDP, and the check asks over the other: a server may \
         answer there while what the clients need is dead, or the reverse. Write the service that asks as the clients do. \
         With `checkport` it is understood that something else than what the clients use is asked, and nothing is said.\n\n\
         \x20 protocol = udp\n\
         \x20 service = udp",
    ),
    (
        "W0411",
        "A service says starttls=yes and is asked in a protocol in which TLS cannot begin, or for which this program does not \
         know how. The check works as if the line were not there: login and password go in the clear. Some services have a \
         name of their own over TLS, such as https for http.",
    ),
    (
        "W0501",
        "In the credentials file a value is the rest of its line as it stands there, quotes and all; unlike in the \
         configuration nothing has to be quoted.\n\n\
         \x20 passwd = correct horse battery staple",
    ),
    (
        "W0502",
        "The account that `user` names does not exist on this machine. That is right where the file is for another \
         machine; here the daemon would not start. A package of ldirectord makes the account ldirectord, and so does \
         `useradd --system --home-dir / --shell /usr/sbin/nologin ldirectord`.",
    ),
];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;
    use crate::config::directives::Directive;

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
    fn examples_are_lines_of_a_file() {
        let examples = CODES.iter().flat_map(|(code, text)| {
            text.lines().filter(|line| line.starts_with(' ')).map(move |line| (code, line.trim()))
        });
        let mut seen = 0;
        for (code, line) in examples {
            let name = line.split(" = ").next().unwrap();
            let directive = Directive::find(name.as_bytes()).is_some();
            let other = line.starts_with(['#', '[']) || line.starts_with("chmod ");
            assert!(directive || other, "{code}: {line}");
            seen += 1;
        }
        assert!(seen > 30, "{seen} examples");
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
