//! The system's log: one datagram a line, in the form that ldirectord's lines have there.
//!
//! Sources: RFC 3164 section 4.1; `syslog.h` for the numbers of the facilities; `unix(7)`.
//! Nobody listening costs lines and nothing else: the socket is tried again for every line. Where somebody listens, the
//! log's own thread waits for room: a socket has it for ten lines, and a mass event has thousands.

use std::io;

use jiff::Zoned;

use super::{entry::cut, listener::Listener};

/// Where the system's log listens.
const SOCKET: &str = "/dev/log";

/// The priority of every line: informational.
const INFO: u8 = 6;

/// The longest text of one datagram, in bytes; daemons cut at 1 to 8 KiB.
const TEXT_BYTES: usize = 2048;

/// The numbers of the facilities, by their names in a configuration.
const FACILITIES: &[(&str, u8)] = &[
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("security", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// The system's log.
#[derive(Debug)]
pub(super) struct Syslog {
    facility: u8,
    pid: u32,
    listener: Listener,
}

impl Syslog {
    /// With the facility of this name; one that does not exist, or an empty one, is `user`.
    pub(super) fn new(facility: &str, pid: u32) -> Syslog {
        let name = facility.to_ascii_lowercase();
        let name = name.strip_prefix("log_").unwrap_or(&name);
        let number =
            FACILITIES.iter().find(|(known, _)| *known == name).map_or(1, |(_, number)| *number);
        Syslog { facility: number, pid, listener: Listener::new(SOCKET) }
    }

    /// Sends a line.
    pub(super) fn send(&mut self, when: &Zoned, text: &str) -> io::Result<()> {
        let text = cut(text, TEXT_BYTES);
        let datagram = format!(
            "<{}>{} ldirectord[{}]: {text}",
            u32::from(self.facility) * 8 + u32::from(INFO),
            when.strftime("%b %e %H:%M:%S"),
            self.pid
        );
        self.listener.send(datagram.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_line_is_a_datagram_and_a_restarted_listener_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let when: Zoned = "2026-11-02T05:10:39[UTC]".parse().unwrap();
        let mut syslog = Syslog { listener: Listener::new(&path), ..Syslog::new("local0", 17) };
        syslog.send(&when, "nobody listens").unwrap_err();
        let listener = UnixDatagram::bind(&path).unwrap();
        syslog.send(&when, "hello").unwrap();
        assert_eq!(received(&listener), "<134>Nov  2 05:10:39 ldirectord[17]: hello");
        drop(listener);
        std::fs::remove_file(&path).unwrap();
        let listener = UnixDatagram::bind(&path).unwrap();
        syslog.send(&when, &"é".repeat(2000)).unwrap();
        assert!(received(&listener).ends_with('é'));
    }

    #[test]
    fn facilities_have_the_numbers_of_syslog_h() {
        for (name, number) in [("local7", 23), ("LOG_DAEMON", 3), ("", 1), ("nonsense", 1)] {
            assert_eq!(Syslog::new(name, 1).facility, number, "{name}");
        }
    }
}
