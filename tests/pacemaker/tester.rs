//! `ocf-tester` of resource-agents judges both agents.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use libtest_mimic::Trial;

use crate::{
    Agent,
    agent::Play,
    namespaces::{self, Program},
};

/// What ocf-tester judges meta-data with: the library that is behind xmllint, asked for the same. The lab has no xmllint.
const XMLLINT: &str = r#"#!/usr/bin/python3
import ctypes, sys

libxml2 = ctypes.CDLL("libxml2.so.2")
libxml2.xmlNewParserCtxt.restype = ctypes.c_void_p
libxml2.xmlCtxtReadMemory.restype = ctypes.c_void_p
libxml2.xmlGetLastError.restype = ctypes.c_void_p
parser = ctypes.c_void_p(libxml2.xmlNewParserCtxt())
text = sys.stdin.buffer.read()
XML_PARSE_DTDVALID = 16
document = libxml2.xmlCtxtReadMemory(parser, text, len(text), b"meta-data", None, XML_PARSE_DTDVALID)
sys.exit(0 if document and not libxml2.xmlGetLastError() else 3)
"#;

pub(crate) fn trials() -> Vec<Trial> {
    let plays = [
        Play { agent: Agent::Stock, program: Program::Ours, name: "tester-stock" },
        Play { agent: Agent::Ours, program: Program::Ours, name: "tester-ours" },
    ];
    let trial = |play: Play| {
        let name = format!("ocf-tester passes the {:?} agent", play.agent);
        Trial::test(name, move || play.inside(passes).map_err(Into::into))
    };
    plays.into_iter().map(trial).collect()
}

fn passes(play: &Play) {
    let folder = Path::new("/tmp/judges");
    fs::create_dir(folder).unwrap();
    fs::write(folder.join("xmllint"), XMLLINT).unwrap();
    fs::set_permissions(folder.join("xmllint"), fs::Permissions::from_mode(0o755)).unwrap();
    play.configure("virtual = 192.0.2.1:80\n\treal = 127.0.0.2:80 masq\n\tchecktype = on\n");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let words =
        ["-n", "director", "-o", &format!("configfile={}", play.config()), &play.agent.path()];
    let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    let ended = namespaces::run("ocf-tester", &words, &[("PATH", &path)]).unwrap();
    let verdict = format!("{} passed all tests", play.agent.path());
    assert!(ended.code == Some(0) && ended.output.contains(&verdict), "{}", ended.output);

    // It would not pass just any.
    let bad = "/tmp/judges/bad";
    let text = fs::read_to_string(play.agent.path()).unwrap();
    fs::write(bad, text.replacen("<parameters>", "<parameters><nonsense/>", 1)).unwrap();
    fs::set_permissions(bad, fs::Permissions::from_mode(0o755)).unwrap();
    let words = [&words[..4], &[bad.to_owned()]].concat();
    let ended = namespaces::run("ocf-tester", &words, &[("PATH", &path)]).unwrap();
    let complaint = "Your agent produces meta-data which does not conform to ra-api-1.dtd";
    assert!(ended.code == Some(1) && ended.output.contains(complaint), "{}", ended.output);
}
