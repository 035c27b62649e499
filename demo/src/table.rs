//! The kernel's IPVS table, read from `/proc/net/ip_vs` of the director.
//!
//! A text file is read in a fraction of a millisecond, where starting `ipvsadm` takes many; so the
//! moment of a change is known to about 10 ms, and nothing of the daemon is trusted for it.
//! The format is that of `ip_vs_info_seq_show` in the kernel's `net/netfilter/ipvs/ip_vs_ctl.c`:
//! addresses and ports in hexadecimal, for a service `TCP  C0000265:0050 rr`, for a real server
//! `  -> C000020B:0050      Masq    1      0          0`.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use crate::machines::DIRECTOR;

/// A real server of a virtual service, as the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The virtual address.
    pub service: Ipv4Addr,
    /// The real server's address.
    pub server: Ipv4Addr,
    /// Its weight: 0 gets no new connections.
    pub weight: u32,
}

/// The whole table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Table {
    /// Virtual services, with or without real servers.
    pub services: Vec<Ipv4Addr>,
    /// Real servers.
    pub entries: Vec<Entry>,
}

impl Table {
    /// The weight of a server in a service; none where it has no entry.
    pub(crate) fn weight(&self, service: Ipv4Addr, server: Ipv4Addr) -> Option<u32> {
        let entry =
            self.entries.iter().find(|entry| entry.service == service && entry.server == server)?;
        Some(entry.weight)
    }

    fn parse(text: &str) -> Self {
        let mut table = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("TCP") => table.services.extend(words.next().and_then(address)),
                Some("->") => {
                    let server = words.next().and_then(address);
                    let weight = words.nth(1).and_then(|word| word.parse().ok());
                    // The lines of the heading look alike but have no address.
                    if let (Some(&service), Some(server), Some(weight)) =
                        (table.services.last(), server, weight)
                    {
                        table.entries.push(Entry { service, server, weight });
                    }
                }
                _ => {}
            }
        }
        table
    }
}

/// `C0000265:0050` is 192.0.2.101, port 80.
fn address(word: &str) -> Option<Ipv4Addr> {
    let (address, _port) = word.split_once(':')?;
    u32::from_str_radix(address, 16).ok().map(Ipv4Addr::from)
}

/// Reads the director's table from another machine.
pub(crate) struct Window {
    /// A process of the director: its `/proc` folder shows the network it lives in.
    resident: Child,
}

impl Window {
    /// Opens the window.
    pub(crate) fn open() -> io::Result<Self> {
        let resident = Command::new("ip")
            .args(["netns", "exec", DIRECTOR, "sleep", "infinity"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let window = Self { resident };
        // `ip` enters the namespace and then becomes `sleep`.
        while fs::read(format!("/proc/{}/comm", window.resident.id()))? != b"sleep\n" {
            std::thread::yield_now();
        }
        Ok(window)
    }

    /// The table now.
    pub(crate) fn look(&self) -> io::Result<Table> {
        let text = fs::read_to_string(format!("/proc/{}/net/ip_vs", self.resident.id()))?;
        Ok(Table::parse(&text))
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        drop(self.resident.kill());
        drop(self.resident.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let text = "IP Virtual Server version 1.2.1 (size=4096)\n\
            Prot LocalAddress:Port Scheduler Flags\n\
            \x20 -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n\
            TCP  C0000265:0050 rr  \n\
            \x20 -> C000020C:0050      Masq    0      3          12        \n\
            \x20 -> C000020B:0050      Masq    1      0          0         \n\
            TCP  C0000266:0050 rr  \n";
        let table = Table::parse(text);
        let [nat, direct] = [Ipv4Addr::new(192, 0, 2, 101), Ipv4Addr::new(192, 0, 2, 102)];
        assert_eq!(table.services, [nat, direct]);
        assert_eq!(table.entries.len(), 2);
        assert_eq!(table.weight(nat, Ipv4Addr::new(192, 0, 2, 12)), Some(0));
        assert_eq!(table.weight(nat, Ipv4Addr::new(192, 0, 2, 11)), Some(1));
        assert_eq!(table.weight(direct, Ipv4Addr::new(192, 0, 2, 11)), None);
    }
}
