//! keepalived moves the virtual address between two directors; with the kernel's sync daemons connections go with it.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use libtest_mimic::Trial;

use crate::{
    machines::{Machine, VIRTUAL, add_switch, snippet},
    support::lab::{Namespace, trial, wait_for},
};

const SECTION: &str = "Two directors, with keepalived";

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial(
        "keepalived_moves_the_address_and_synchronised_connections_go_on",
        moves_with_its_connections,
    )]
}

struct Site {
    one: Machine,
    two: Machine,
    client: Machine,
    _web: Machine,
}

impl Site {
    /// Two directors with this configuration, of which the first has the address.
    fn new(config: &str) -> Site {
        add_switch();
        let site = Site {
            one: Machine::new("one", "192.0.2.1/24"),
            two: Machine::new("two", "192.0.2.2/24"),
            client: Machine::new("client", "192.0.2.50/24"),
            _web: web(),
        };
        // In tests nobody has a second.
        let hurry = "virtual_router_id 51\n    version 3\n    advert_int 0.2";
        let keepalived = snippet(SECTION, 1).replace("virtual_router_id 51", hurry);
        let of_two = keepalived.replace("router_id one", "router_id two");
        let of_two = of_two.replace("priority 100", "priority 90");
        for (director, line, text) in [
            (&site.one, "10.81.0.1/24", keepalived.as_str()),
            (&site.two, "10.81.0.2/24", of_two.as_str()),
        ] {
            director.plug(&format!("{}-sync", director.name), "eth1", line);
            director.configure(config);
            director.write("/run/keepalived.conf", text, 0o600);
            director.start();
            let arguments = [
                "--dont-fork",
                "--log-console",
                "--no-syslog",
                "--vrrp",
                "--use-file=/run/keepalived.conf",
                "--pid=/run/keepalived.pid",
                "--vrrp_pid=/run/vrrp.pid",
            ];
            director.spawn("/usr/sbin/keepalived", &arguments, "/run/keepalived.log");
        }
        site.two.wait_for_address(false);
        site.one.wait_for_address(true);
        site
    }

    fn connect(&self) -> TcpStream {
        let stream = self.client.on(|| TcpStream::connect((VIRTUAL, 80))).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    fn wait_for_connection_on_two(&self, stream: &TcpStream) {
        // As in /proc/net/ip_vs_conn: 192.0.2.50 and the port.
        let known_as = format!("C0000232 {:04X}", stream.local_addr().unwrap().port());
        wait_for("the connection, told to the second director", || {
            match self.two.read("/proc/thread-self/net/ip_vs_conn") {
                known if known.contains(&known_as) => Ok(()),
                known => Err(known),
            }
        });
    }
}

/// A real server that sends back what it gets, also at the virtual address, which it tells nobody that it has.
fn web() -> Machine {
    let web = Machine::new("web", "192.0.2.11/24");
    web.command(
        "sysctl",
        &["-w", "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2"],
    );
    web.command("ip", &["address", "add", &format!("{VIRTUAL}/32"), "dev", "lo"]);
    web.on(|| {
        let listener = TcpListener::bind("0.0.0.0:80").unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || io::copy(&mut &stream, &mut &stream));
            }
        });
    });
    web
}

/// Sends words and gets each back.
fn say_all<const N: usize>(mut stream: &TcpStream, words: [&[u8; 5]; N]) -> io::Result<()> {
    for word in words {
        stream.write_all(word)?;
        let mut back = [0; 5];
        stream.read_exact(&mut back)?;
        assert_eq!(&back, word);
    }
    Ok(())
}

fn moves_with_its_connections(_: &Namespace) {
    let config = snippet(SECTION, 0);
    let without_sync = config.lines().filter(|line| !line.starts_with("sync"));
    let without_sync: String = without_sync.map(|line| format!("{line}\n")).collect();
    let site = Site::new(&without_sync);
    let move_to_two = || {
        site.one.kill_director();
        site.two.wait_for_address(true);
        site.one.wait_for_address(false);
    };

    let stream = site.connect();
    say_all(&stream, [b"one 1", b"one 2", b"one 3"]).unwrap();
    move_to_two();
    let broken = say_all(&stream, [b"two 1"]).unwrap_err();
    assert_eq!(broken.kind(), io::ErrorKind::ConnectionReset);
    let stream = site.connect();
    say_all(&stream, [b"two 2"]).unwrap();

    // The second reloads it, the first starts with it and gets the address back.
    site.two.configure(&config);
    site.one.configure(&config);
    site.one.start();
    site.one.wait_for_address(true);
    site.two.wait_for_address(false);
    wait_for("the second director's sync daemons", || match site.two.log() {
        log if log.contains("Started backup sync daemon: eth1, syncid 5") => Ok(()),
        log => Err(log),
    });

    let stream = site.connect();
    say_all(&stream, [b"one 4", b"one 5", b"one 6"]).unwrap();
    site.wait_for_connection_on_two(&stream);
    move_to_two();
    say_all(&stream, [b"two 3", b"two 4"]).unwrap();
}
