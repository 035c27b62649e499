//! Every `tests/config/*.cf`: what is wrong with it and what it asks for, as text beside it.
//!
//! `INSTA_UPDATE=always cargo test --test config` writes the texts anew.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "support/dump.rs"]
mod dump;
#[path = "support/world.rs"]
mod world;

use std::{cell::RefCell, fmt::Write as _, fs, net::IpAddr, path::Path};

use ldirectord::{
    config::{self, Ldirectord, Loaded, NameError, Names, Severity, World},
    model::{Family, Transport},
};

#[test]
fn files_mean_what_stands_beside_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _scope = settings.bind_to_scope();
    let mut files: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "cf"));
    files.sort();
    assert!(files.len() > 20, "the files are there");
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let source = fs::read(&file).unwrap();
        insta::assert_snapshot!(name.clone(), dump::load(&format!("{name}.cf"), &source));
    }
}

fn load(source: &str) -> Loaded {
    let names = world::FewNames::default();
    let world = World { names: &names, protocols: world::PROTOCOLS, host_name: "director" };
    config::load(source.as_bytes(), &world)
}

/// A resolver that keeps what it is asked.
#[derive(Default)]
struct Asked(RefCell<Vec<String>>);

impl Names for Asked {
    fn hosts(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, NameError> {
        self.0.borrow_mut().push(format!("{name} {family:?}"));
        match (name, family) {
            ("web", Family::V4) => Ok(vec!["192.0.2.10".parse().unwrap()]),
            _ => Err(NameError { message: "no such host is known".to_owned() }),
        }
    }

    fn port(&self, service: &str, transport: Option<Transport>) -> Result<u16, NameError> {
        self.0.borrow_mut().push(format!("{service} {transport:?}"));
        Ok(80)
    }
}

#[test]
fn every_name_is_asked_for_once_and_addresses_never() {
    let mut source = String::new();
    for number in 1..100 {
        writeln!(source, "virtual=192.0.2.1:{number}\n\treal=web:http masq\n\treal=nosuch:80 masq\n\tfallback=127.0.0.1:81\n\tchecktype=off").unwrap();
    }
    let names = Asked::default();
    let world = World { names: &names, protocols: world::PROTOCOLS, host_name: "director" };
    let loaded = config::load(source.as_bytes(), &world);
    assert_eq!(loaded.diagnostics.len(), 99);
    assert_eq!(names.0.into_inner(), ["http None", "web V4", "nosuch V4"]);
}

#[test]
fn a_form_feed_is_a_blank_before_a_comment_and_on_an_empty_line() {
    let codes = |source: &str| -> Vec<_> {
        load(source)
            .diagnostics
            .iter()
            .map(|fault| (fault.line(source.as_bytes()), fault.code))
            .collect()
    };
    assert_eq!(codes("\u{c}\n\u{b} # a comment\n \u{c}#\nquiescent=yes\n"), []);
    let service = "virtual=192.0.2.1:80\n\tchecktype=on\n";
    assert_eq!(codes(&format!("{service}\u{c}# in it\n\tquiescent=yes\n")), []);
    assert_eq!(codes(&format!("{service}\u{c}\nquiescent=yes\n")), []);
    assert_eq!(codes(&format!("{service}\u{c}\n\tquiescent=yes\n")), [(4, "E0104")]);
    assert_eq!(codes(&format!("{service}\t\u{c}\n")), [(3, "E0103")]);
    assert_eq!(codes("\u{c}quiescent=yes\n"), [(1, "E0103")]);
}

#[test]
fn a_fallback_has_its_port_behind_the_last_colon() {
    let fallback = |line: &str| {
        let source = format!("virtual6=[2001:db8::9]:80\n\tchecktype=on\n\t{line}\n\n");
        let loaded = load(&source);
        let said = loaded.diagnostics.iter().find_map(|fault| match &fault.ldirectord {
            Ldirectord::Says(text) => Some(text.clone()),
            _ => None,
        });
        match loaded.desired {
            Some(desired) => desired.services[0].fallback.as_ref().unwrap().written.to_string(),
            None => said.unwrap(),
        }
    };
    assert_eq!(fallback("fallback6=[::1]:81 masq"), "[::1]:81");
    assert_eq!(fallback("fallback6=[::1]: masq"), "[::1]:80");
    let unresolved = "invalid IPv6 address or could not resolve for fallback server: ";
    assert_eq!(fallback("fallback6=web1:"), format!("{unresolved}web1:"));
    assert_eq!(fallback("fallback6=web1:80:81"), format!("{unresolved}web1:80"));
    assert_eq!(fallback("fallback6=[::1"), format!("{unresolved}[:"));
}

#[test]
fn a_global_fallback_that_another_replaces_must_be_right_too() {
    let loaded = load("fallback=nosuch\nfallback6=[::1]\nfallback=127.0.0.1\n");
    let codes: Vec<_> = loaded.diagnostics.iter().map(|fault| fault.code).collect();
    assert_eq!(codes, ["E0304"]);
    let in_service = "virtual=192.0.2.1:80\n\tchecktype=on\n\tfallback=nosuch\n\tfallback=web1\n";
    assert!(load(in_service).desired.is_some(), "there ldirectord looks at the last only");
}

#[test]
fn a_real_server_without_a_method_has_its_address_all_the_same() {
    let says = |line: &str| {
        let loaded = load(&format!("virtual=192.0.2.1:80\n\tchecktype=on\n\treal={line}\n"));
        loaded.diagnostics[0].ldirectord.clone()
    };
    let method = Ldirectord::Says("forward method must be gate, masq or ipip".to_owned());
    assert_eq!(says("192.0.2.10:80 "), method);
    assert_eq!(says("192.0.2.10:80\t"), method);
    let form = Ldirectord::Says("invalid address for real server (wrong format)".to_owned());
    assert_eq!(says("192.0.2.10:80"), form);
}

#[test]
fn a_server_that_is_written_again_keeps_its_place() {
    let source = "virtual=192.0.2.1:80\n\tchecktype=on\n\treal=192.0.2.10:80 masq 1\n\
                  \treal=192.0.2.10:80 masq 2\n\treal=192.0.2.10:80 masq 1\n";
    let desired = load(source).desired.unwrap();
    let weights: Vec<u32> =
        desired.services[0].servers.iter().map(|server| server.share.weight.get()).collect();
    assert_eq!(weights, [1, 2], "the last counts");
}

#[test]
fn a_large_file_is_read_whole() {
    let mut source = String::from("quiescent=yes\nfallback=127.0.0.1:80\n");
    for service in 0..2300 {
        let (high, low) = (service / 250, service % 250);
        writeln!(source, "virtual=10.0.{high}.{low}:80").unwrap();
        for server in 1..=16 {
            // Four services share their servers, and so the checks.
            writeln!(source, "\treal=10.1.{}.{server}:8080 masq", service / 4 % 250).unwrap();
        }
        writeln!(source, "\treceive=\"service (is|seems) fine\"").unwrap();
    }
    let loaded = load(&source);
    assert_eq!(loaded.diagnostics, []);
    let desired = loaded.desired.unwrap();
    assert_eq!(desired.services.len(), 2300);
    assert_eq!(desired.services.iter().map(|service| service.servers.len()).sum::<usize>(), 36_800);
    assert_eq!(desired.checks.len(), 250 * 16);
    assert_eq!(Some(desired), load(&source).desired, "the same file asks for the same");
}

#[test]
fn nonsense_is_given_up_at_a_thousand_faults() {
    let loaded = load(&"nonsense\n".repeat(100_000));
    assert_eq!(loaded.desired, None);
    assert_eq!(loaded.diagnostics.len(), 1001);
    assert_eq!(loaded.diagnostics.last().unwrap().code, "E0001");
    assert!(loaded.diagnostics.iter().all(|fault| fault.severity == Severity::Error));

    // Warnings may be as many as they like: the file can be used.
    let loaded = load(&format!(
        "virtual=192.0.2.1:80\n{}",
        "\treal=192.0.2.10:80 masq junk 1\n".repeat(2000)
    ));
    assert!(loaded.desired.is_some());
    assert_eq!(loaded.diagnostics.last().unwrap().code, "W0001");
}

#[test]
fn an_error_behind_a_thousand_warnings_still_counts() {
    let warnings = "\treal=192.0.2.10:80 masq junk 1\n".repeat(2000);
    let loaded = load(&format!("virtual=192.0.2.1:80\n{warnings}\treal=192.0.2.10:80 nat\n"));
    assert_eq!(loaded.desired, None);
    assert_eq!(loaded.diagnostics.last().unwrap().code, "E0001");
}

#[test]
fn faults_know_their_line_and_come_in_its_order() {
    let source = "# c\n\nquiescent=maybe\nvirtual=192.0.2.1:80\n\treal=nosuch:80 gate\n\tscheduler=\nfork=no\nfallback=nosuch\n";
    let lines: Vec<usize> =
        load(source).diagnostics.iter().map(|fault| fault.line(source.as_bytes())).collect();
    assert_eq!(lines, [3, 5, 6, 8]);
}

#[test]
fn secrets_are_in_no_text() {
    for line in [
        "\tpasswd=\"hunter2\"\n\tsecret=\"hunter2\"",
        "\tpasswd=hunter2",
        "\tpasswd \"hunter2\"",
        "\tsecret='hunter2'",
        "\tsecret=\"hunter2",
        "\tpassword=\"hunter2\"",
        "\tpasswd=\"x\" hunter2",
        "\tpasswd=\"x#hunter2\"",
        "\n\tpasswd=\"hunter2\"",
        "passwd=hunter2",
        "PASSWD hunter2",
    ] {
        let source = format!("virtual=192.0.2.1:80\n{line}\n\treal=192.0.2.10:80 gate\n");
        let loaded = load(&source);
        let text = config::render("x.cf", 1, source.as_bytes(), &loaded.diagnostics);
        assert!(!text.contains("hunter2"), "{text}");
        assert!(!format!("{:?}", loaded.desired).contains("hunter2"), "{line}");
        for fault in &loaded.diagnostics {
            assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
        }
    }
}
