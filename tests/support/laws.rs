//! What holds of a configuration whatever its bytes are. The tests and the targets in `fuzz/` hold it to them.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use ldirectord::{
    config::{
        self, Diagnostic, File, FileError, Files, Loaded, NameError, Names, Severity, World, codes,
        syntax::{Content, Document},
    },
    model::{Checked, Desired, Family, Transport},
};

use super::world::world;

/// A document is its bytes, and knows where its lines stand.
pub(crate) fn is_kept(source: &[u8]) {
    let document = Document::parse(source);
    assert_eq!(document.to_bytes(), source);
    let mut end = document.mark.len();
    for (start, line) in document.positioned() {
        assert_eq!(start, end, "a line begins where the last one ended");
        assert!(line.len() > 0, "a line has at least its ending");
        end = start + line.len();
    }
    assert_eq!(end, source.len());
}

/// Reading ends; the faults lie in the file and are fit to be shown; what is asked for is sound.
pub(crate) fn is_read(source: &[u8]) {
    let Loaded { desired, diagnostics, sources, named } = load(source);
    let error = diagnostics.iter().any(|fault| fault.severity == Severity::Error);
    assert_eq!(desired.is_none(), error, "a file is refused when it has an error");
    assert!(diagnostics.len() <= 3003, "nobody reads more");
    for fault in &diagnostics {
        let elsewhere = fault.elsewhere.iter().map(|elsewhere| &elsewhere.0);
        for place in elsewhere.chain([&fault.span]) {
            let line = sources.line(place).unwrap();
            assert!(place.start <= place.end && line.part.end <= line.text.len(), "{fault:?}");
        }
        assert!(codes::explain(fault.code).is_some(), "{fault:?}");
    }
    for named in &named {
        assert!(sources.line(&named.span).is_some(), "{named:?}");
    }
    assert!(diagnostics.is_sorted_by_key(|fault| fault.span.start), "in the order of the file");

    let text = config::render(&sources, 42, &diagnostics);
    // Hints leave quotes out of what they repeat.
    let plain: Vec<u8> = source.iter().copied().filter(|byte| !b"'\"".contains(byte)).collect();
    let has = |word: &[u8]| plain.windows(word.len()).any(|part| part == word);
    // Of a credentials file that is included as lines of the configuration nobody can know which are secrets.
    assert!(!text.contains("hunter2") || has(b"hunter2") || has(b"include"));
    assert!(!text.contains(|letter: char| letter.is_control() && !"\n\t".contains(letter)));
    assert_eq!(text.is_empty(), diagnostics.is_empty());

    let other = with_other_secrets(source);
    if other != source {
        let Loaded { diagnostics, sources, .. } = load(&other);
        assert_eq!(config::render(&sources, 42, &diagnostics), text, "a secret shows");
    }
    if let Some(desired) = desired {
        is_sound(&desired);
    }
}

/// The codes of what is wrong with a file, or doubtful; what it includes may have faults of its own.
pub(crate) fn faults(source: &[u8]) -> Vec<&'static str> {
    let Loaded { diagnostics, sources, .. } = load(source);
    let counts = |fault: &&Diagnostic| {
        let line = sources.line(&fault.span).unwrap();
        fault.severity != Severity::Advice && line.file.path == Path::new(NAME)
    };
    diagnostics.iter().filter(counts).map(|fault| fault.code).collect()
}

/// The codes of what is wrong with its lines, whatever their values.
pub(crate) fn faults_of_form(source: &[u8]) -> Vec<&'static str> {
    let form = ["E0101", "E0102", "E0103", "E0104", "W0106", "W0107", "W0108"];
    faults(source).into_iter().filter(|code| form.contains(code)).collect()
}

/// Services and checks are there once, and what a server names is there.
fn is_sound(desired: &Desired) {
    let keys: BTreeSet<String> =
        desired.services.iter().map(|service| service.key.with_protocol()).collect();
    assert_eq!(keys.len(), desired.services.len(), "two services are the same");
    for service in &desired.services {
        for server in &service.servers {
            assert_eq!(Family::of(server.key.0.ip()), service.key.family());
            if let Checked::By(id) = server.checked {
                assert!(desired.check(id).is_some(), "a check is missing");
            }
        }
    }
}

/// The same file with another letter for each letter and digit of a secret.
fn with_other_secrets(source: &[u8]) -> Vec<u8> {
    let mut other = source.to_vec();
    for (start, line) in Document::parse(source).positioned() {
        if let Content::Directive { key, equals, value, tail } = &line.content
            && matches!(key.as_ref(), b"passwd" | b"secret")
        {
            let from = start + line.indent.len() + key.len() + equals.len();
            for byte in &mut other[from..from + value.len() + tail.len()] {
                if byte.is_ascii_alphanumeric() {
                    *byte = if *byte == b'x' { b'y' } else { b'x' };
                }
            }
        }
    }
    other
}

/// What the file is called.
const NAME: &str = "random.cf";

/// Reads a file; the only place here that knows what that takes.
fn load(source: &[u8]) -> Loaded {
    let world = World { names: &Invented, files: &Invented, ..world(&Invented) };
    config::load(File::new(NAME, source), &world)
}

/// A resolver and a disk whose answers are made from the letters of the name: any answer can come, always the same.
struct Invented;

fn sum(name: &str) -> u8 {
    name.bytes().fold(0, u8::wrapping_add)
}

impl Names for Invented {
    fn hosts(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, NameError> {
        let last = sum(name);
        let address = match family {
            Family::V4 => IpAddr::from(Ipv4Addr::new(192, 0, 2, last)),
            Family::V6 => IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into())),
        };
        let known = match last % 4 {
            0 => false,
            1 => family == Family::V4,
            2 => family == Family::V6,
            _ => true,
        };
        match known {
            true => Ok(vec![address]),
            false => Err(NameError { message: "no such host is known".to_owned() }),
        }
    }

    fn port(&self, service: &str, transport: Option<Transport>) -> Result<u16, NameError> {
        let number = u16::from(sum(service));
        match (number % 4, transport) {
            (1, Some(Transport::Tcp)) | (2, Some(Transport::Udp)) | (3, _) => Ok(number),
            _ => Err(NameError { message: "no such service is known".to_owned() }),
        }
    }
}

impl Files for Invented {
    fn find(&self, pattern: &Path) -> Result<Vec<PathBuf>, FileError> {
        let name = pattern.to_string_lossy().replace(['*', '?', '['], "");
        match sum(&name) % 4 {
            0 => Err(FileError { message: "the pattern cannot be understood".to_owned() }),
            count => Ok((1..count).map(|number| format!("{name}{number}").into()).collect()),
        }
    }

    fn read(&self, path: &Path) -> Result<File, FileError> {
        let last = sum(&path.to_string_lossy());
        let text = match last % 8 {
            0 => return Err(FileError { message: "there is no such file".to_owned() }),
            1 => "quiescent=yes\ninclude=a\ninclude=b*\n",
            2 => "virtual=192.0.2.9:80\n\treal=192.0.2.11:80 masq",
            3 => "\treal=192.0.2.11:80 masq\nvirtual=",
            4 => "[a]\nlogin=x\npasswd = hunter2\n",
            5 => "\u{feff}[a]\r\nhunter2\r\n[a]\n[\n",
            6 => "passwd=hunter2",
            _ => "",
        };
        let mode = if last.is_multiple_of(3) { 0o644 } else { 0o600 };
        Ok(File { mode, identity: (1, last.into()), ..File::new(path, text) })
    }
}
