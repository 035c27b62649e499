//! A document is its bytes, whatever they are; nothing that is read from them panics, and an edit changes no more
//! than it means to.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "support/dump.rs"]
mod dump;
#[path = "support/edits.rs"]
mod edits;
#[path = "support/laws.rs"]
mod laws;
#[path = "support/world.rs"]
mod world;

use std::{fs, path::Path};

use arbitrary::{Arbitrary, Unstructured};
use edits::Edit;
use laws::is_kept;
use ldirectord::config::{
    directives::DIRECTIVES,
    edit::{self, At, Beside},
    syntax::{Content, Document, Place},
};
use proptest::prelude::*;

/// Lines that look like those of a configuration, with everything that can go wrong.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let names: Vec<&str> = DIRECTIVES.iter().map(|directive| directive.name).collect();
    let examples: Vec<String> = DIRECTIVES
        .iter()
        .flat_map(|directive| {
            let (name, value) = (directive.name, directive.example);
            [
                format!("{name}={value}"),
                format!("\t{name} = {value}"),
                format!("    {name}={value} # c"),
            ]
        })
        .collect();
    let odd = "(?s-u:[ \\t\"'#=,/:0-9a-z\\[\\]>.\\r\\xff-]{0,24})";
    let line = prop_oneof![
        4 => prop::sample::select(examples).prop_map(String::into_bytes),
        2 => (prop::sample::select(vec!["", "\t", "    ", "   ", " \t "]), prop::sample::select(names), prop::string::bytes_regex(odd).unwrap())
            .prop_map(|(indent, name, value)| [indent.as_bytes(), name.as_bytes(), b"=", value.as_slice()].concat()),
        1 => prop::string::bytes_regex(odd).unwrap(),
        1 => Just(b"virtual=192.0.2.1:80".to_vec()),
        1 => Just(Vec::new()),
    ];
    let ending = prop::sample::select(vec!["\n", "\n", "\n", "\r\n", "\n\n"]);
    prop::collection::vec((line, ending), 0..40).prop_map(|lines| {
        lines
            .into_iter()
            .flat_map(|(line, ending)| [line, ending.as_bytes().to_vec()].concat())
            .collect()
    })
}

/// Bytes that lines, blocks and comments are made of.
fn telling() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b" ",
        b"    ",
        b"\t",
        b"\r",
        b"\n",
        b"#",
        b"=",
        b"\"",
        b"virtual=1",
        b"real",
        b"\xef\xbb\xbf",
        b"\xff",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..40).prop_map(|pieces| pieces.concat())
}

/// Services, what stands between them, and what is easily taken for a part of them.
fn services() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"virtual=1\n",
        b"virtual6 = 1 # c\r\n",
        b"\treal=a # c\n",
        b"\treal=a\r\n",
        b"    ops = no\n",
        b"\tops=yes\n",
        b"execute=a\n",
        b"fork = no\n",
        b"supervised\n",
        b" fork=no\n",
        b"junk\n",
        b"# c\n",
        b"\t# c\n",
        b"\n",
        b"\n",
        b"\r\n",
        b"  \n",
        b"      \n",
        b"\xef\xbb\xbf",
    ];
    let end = prop::sample::select(vec![b"".as_slice(), b"fork=no", b"virtual=1", b"\treal=a\r"]);
    (prop::collection::vec(prop::sample::select(pieces), 0..12), end)
        .prop_map(|(pieces, end)| [pieces.concat().as_slice(), end].concat())
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    prop::collection::vec(any::<u8>(), 150).prop_map(|bytes| {
        let mut bytes = Unstructured::new(&bytes);
        (0..3).map(|_| Edit::arbitrary(&mut bytes).unwrap()).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_kept(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        is_kept(&bytes);
    }

    #[test]
    fn bytes_that_mean_something_are_kept(bytes in telling()) {
        is_kept(&bytes);
    }
}

proptest! {
    // Faults are drawn for these, which takes most of the time.
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_looks_like_a_configuration_is_kept_and_read(bytes in lines()) {
        is_kept(&bytes);
        laws::is_read(&bytes);
        let text = dump::load("random.cf", &bytes);
        prop_assert!(!text.contains("hunter2"));
        // Faults are counted on the lines of the file.
        let n_lines = bytes.split(|byte| *byte == b'\n').count();
        for place in text.lines().filter_map(|line| line.split("random.cf at line ").nth(1)) {
            let number: usize = place.split(':').next().unwrap().parse().unwrap();
            prop_assert!((1..=n_lines).contains(&number));
        }
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        laws::is_read(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_edit_changes_what_it_means_to_and_no_more(
        document in prop_oneof![1 => lines(), 1 => telling(), 4 => services()],
        edits in edits(),
    ) {
        let mut document = Document::parse(&document);
        for edit in &edits {
            edits::is_lawful(&mut document, edit);
        }
    }
}

#[test]
fn every_file_of_the_tests_is_kept() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in [root.to_owned(), root.join("tests/config")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                is_kept(&fs::read(path).unwrap());
            }
        }
    }
}

#[test]
fn right_edits_of_right_files_bring_no_fault() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let service = |beside| {
        let lines = [("real", "192.0.2.98:80 masq"), ("checktype", "connect")];
        let lines = lines.map(|(name, value)| (name, value.as_bytes().to_vec())).to_vec();
        Edit::AddService(beside, "virtual", b"192.0.2.99:80".to_vec(), lines)
    };
    for name in ["sample.cf", "sharing.cf"] {
        let source = fs::read(folder.join(name)).unwrap();
        assert_eq!(laws::faults(&source), [""; 0], "{name}");
        let document = Document::parse(&source);
        let mut right = vec![
            Edit::Set(At::Global, "quiescent", b"no".to_vec()),
            Edit::Set(At::Global, "checkinterval", b"7".to_vec()),
            Edit::Set(At::Global, "logfile", b"\"local0\"".to_vec()),
            service(Beside::End),
        ];
        for (nth, present) in edit::services(&document).iter().enumerate() {
            let at = At::Service(nth);
            let (real, server, address) = match present.name {
                _ if present.address.iter().all(u8::is_ascii_digit) => {
                    ("real", "192.0.2.98:80 masq", "9")
                }
                b"virtual" => ("real", "192.0.2.98:80 masq", "192.0.2.99:80"),
                _ => ("real6", "[2001:db8::98]:80 masq", "[2001:db8::99]:80"),
            };
            right.extend([
                Edit::Set(at, "quiescent", b"yes".to_vec()),
                Edit::Set(at, "scheduler", b"wlc".to_vec()),
                Edit::Set(at, "comment", b"ask first".to_vec()),
                Edit::Add(at, real, server.as_bytes().to_vec()),
                Edit::SetAddress(nth, address.as_bytes().to_vec()),
                Edit::Unset(at, "scheduler"),
                Edit::RemoveService(nth, true),
                service(Beside::Before(nth)),
                service(Beside::After(nth)),
            ]);
        }
        for edit in right {
            let mut document = Document::parse(&source);
            edits::is_lawful(&mut document, &edit);
            assert_eq!(laws::faults(&document.to_bytes()), [""; 0], "{name} after {edit:?}");
        }
    }
}

/// What fuzzing found worth keeping is held to the same laws each time.
#[test]
fn every_file_that_fuzzing_kept_obeys() {
    fn obey(target: &str, law: impl Fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let files: Vec<_> = fs::read_dir(folder).unwrap().collect();
        assert!(files.len() > 20, "the files of {target} are there");
        for file in files {
            law(&fs::read(file.unwrap().path()).unwrap());
        }
    }
    obey("roundtrip", is_kept);
    obey("load", laws::is_read);
    obey("edit", edits::are_lawful);
}

/// Where lines stand, a letter each: global, opening, block; small for blank lines and comments.
fn places(source: &str) -> String {
    Document::parse(source.as_bytes())
        .lines
        .iter()
        .map(|line| {
            let letter = match line.place {
                Place::Global => 'G',
                Place::Opening => 'O',
                Place::Block => 'B',
            };
            match line.content {
                Content::Blank | Content::Comment(_) => letter.to_ascii_lowercase(),
                _ => letter,
            }
        })
        .collect()
}

#[test]
fn a_block_has_the_lines_that_ldirectord_gives_it() {
    for (source, wanted) in [
        ("virtual=1\n\treal=x\n    real=x\n \treal=x\n", "OBBB"),
        ("virtual=1\n   real=x\n\treal=x\n", "OGG"),
        ("virtual=1\n\n\treal=x\n", "OgG"),
        ("virtual=1\n#c\n # c\n\t# c\n\treal=x\n", "ObbbB"),
        ("virtual=1\n    \n\treal=x\n", "OgG"),
        ("virtual=1\n     \n\treal=x\n", "ObB"),
        ("virtual=1\n\t\t\n\treal=x\n", "ObB"),
        ("virtual=1\r\n\r\n\treal=x\r\n", "OgG"),
        ("virtual=1\nvirtual6 = 2\n\treal=x", "OOB"),
        ("virtual=1\nquiescent=no\n\treal=x\n", "OGG"),
        (" virtual=1\n\treal=x\n", "GG"),
        ("virtualx=1\n\treal=x\n", "GG"),
        ("# c\n\t# c\n\n", "ggg"),
    ] {
        assert_eq!(places(source), wanted, "{source:?}");
    }
}

#[test]
fn a_hash_cuts_a_line_of_a_block_only() {
    let tail = |source: &str| -> Vec<(Vec<u8>, Vec<u8>)> {
        let document = Document::parse(source.as_bytes());
        let parts = document.lines.iter().filter_map(|line| match &line.content {
            Content::Directive { value, tail, .. } => Some((value.to_vec(), tail.to_vec())),
            _ => None,
        });
        parts.collect()
    };
    let pair = |value: &str, tail: &str| (value.as_bytes().to_vec(), tail.as_bytes().to_vec());
    assert_eq!(
        tail("callback=\"a\" # b\nvirtual=1 # c\n\trequest=\"a#b\"\n"),
        [pair("\"a\" # b", ""), pair("1 ", "# c"), pair("\"a", "#b\"")]
    );
}
