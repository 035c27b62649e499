//! Other people's files, made harmless: every server counts as working, and nothing outside of the kernel's table and
//! our own memory is touched. Everything else stays as it is, byte for byte.

/// What would send, run or write something, or look for somebody; in any place of a file.
const NEUTRALISED: &[&str] = &[
    "callback",
    "checktype",
    "emailalert",
    "execute",
    "fallbackcommand",
    "fork",
    "logfile",
    "maintenancedir",
    "monitorfile",
    "supervised",
];

/// The file with `checktype=on` in every service.
pub fn with_checks_on(source: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(source.len() + 1000);
    for line in source.split_inclusive(|byte| *byte == b'\n') {
        let key_end = line.trim_ascii_start();
        let end = key_end.iter().position(|byte| !byte.is_ascii_alphanumeric());
        let key = key_end.get(..end.unwrap_or(key_end.len())).unwrap_or_default();
        if NEUTRALISED.iter().any(|name| name.as_bytes() == key) {
            text.extend_from_slice(b"#\n");
            continue;
        }
        text.extend_from_slice(line);
        if line.starts_with(b"virtual") && matches!(key, b"virtual" | b"virtual6") {
            text.extend_from_slice(b"\tchecktype=on\n");
        }
    }
    text
}
