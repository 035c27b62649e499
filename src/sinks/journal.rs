//! systemd's journal: one datagram an entry, with its facts as fields.
//!
//! Done here and not by `tracing-journald`, which writes where the event happens, so that a journald that stands still
//! would hold up the checks; nor by `systemd-journal-logger`, which marks everyday lines as notable ones. The log's own
//! thread waits here for room as long as that takes, and the queue before it is bounded.
//!
//! Sources: <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>, `systemd.journal-fields(7)`, `unix(7)`.

use std::io;

use jiff::Zoned;
use tracing::Level;

use super::{
    entry::{self, Entry},
    listener::Listener,
    log::Author,
};

/// Where journald listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// The most of a value that is sent, in bytes; a datagram takes some 200 KiB.
const VALUE_BYTES: usize = 48 * 1024;

/// The longest name of a field that journald takes, in bytes.
const NAME_BYTES: usize = 64;

/// The journal.
#[derive(Debug)]
pub(super) struct Journal(Listener);

impl Default for Journal {
    fn default() -> Journal {
        Journal(Listener::new(SOCKET))
    }
}

impl Journal {
    /// Sends an entry; waits while journald has no room.
    pub(super) fn send(&mut self, entry: &Entry, when: &Zoned, author: &Author) -> io::Result<()> {
        self.0.send(&datagram(entry, when, author))
    }
}

fn datagram(entry: &Entry, when: &Zoned, author: &Author) -> Vec<u8> {
    let mut datagram = Vec::with_capacity(512);
    put(&mut datagram, "MESSAGE", &entry.text);
    put(&mut datagram, "PRIORITY", priority(entry.level));
    put(&mut datagram, "SYSLOG_IDENTIFIER", "ldirectord");
    put(&mut datagram, "SYSLOG_PID", &author.pid.to_string());
    // The entry may have waited, and the journal's own date is when it came.
    put(&mut datagram, "TIME", &entry::date(when));
    put(&mut datagram, "CONFIGURATION", &author.name);
    for (name, value) in entry.fields.iter() {
        put(&mut datagram, &field_name(name), &value);
    }
    datagram
}

/// A field: on one line, or where its value has several with its length.
fn put(datagram: &mut Vec<u8>, name: &str, value: &str) {
    let value = entry::cut(value, VALUE_BYTES);
    datagram.extend(name.as_bytes());
    if value.contains('\n') {
        let length = u64::try_from(value.len()).unwrap_or_default();
        datagram.push(b'\n');
        datagram.extend(length.to_le_bytes());
    } else {
        datagram.push(b'=');
    }
    datagram.extend(value.as_bytes());
    datagram.push(b'\n');
}

/// A name as the journal takes it: capitals, digits and underscores.
fn field_name(name: &str) -> String {
    let capital = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    name.chars().map(capital).take(NAME_BYTES).collect()
}

/// The numbers of syslog.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::sinks::entry::Fields;

    fn entry(text: &str) -> Entry {
        let when = jiff::Timestamp::UNIX_EPOCH;
        Entry { when, level: Level::WARN, text: text.to_owned(), fields: Fields::default() }
    }

    #[test]
    fn an_entry_is_a_datagram_and_a_restarted_journal_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let when: Zoned = "2026-11-02T05:10:39+01:00[Europe/Berlin]".parse().unwrap();
        let author = Author { name: "web.cf".to_owned(), pid: 17 };
        let mut journal = Journal(Listener::new(&path));
        journal.send(&entry("nobody listens"), &when, &author).unwrap_err();
        for text in ["hello", "two\nlines"] {
            let listener = UnixDatagram::bind(&path).unwrap();
            journal.send(&entry(text), &when, &author).unwrap();
            let mut buffer = [0; 4096];
            let length = listener.recv(&mut buffer).unwrap();
            let message = match text.len() {
                5 => b"MESSAGE=hello\n".to_vec(),
                _ => b"MESSAGE\n\x09\0\0\0\0\0\0\0two\nlines\n".to_vec(),
            };
            let rest = b"PRIORITY=4\nSYSLOG_IDENTIFIER=ldirectord\nSYSLOG_PID=17\n\
                TIME=2026-11-02T05:10:39.000000+01:00\nCONFIGURATION=web.cf\n";
            assert_eq!(&buffer[..length], [message, rest.to_vec()].concat());
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_value_has_an_end_and_a_name_no_odd_letters() {
        let mut datagram = Vec::new();
        put(&mut datagram, "MESSAGE", &"é".repeat(VALUE_BYTES));
        assert_eq!(datagram.len(), "MESSAGE=\n".len() + VALUE_BYTES);
        assert_eq!(field_name("took_ms"), "TOOK_MS");
        assert_eq!(field_name("r#type"), "R_TYPE");
    }
}
