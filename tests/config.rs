//! Every `tests/config/*.cf`: what is wrong with it and what it asks for, as text beside it.
//!
//! `INSTA_UPDATE=always cargo test --test config` writes the texts anew.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "support/dump.rs"]
mod dump;
#[path = "support/world.rs"]
mod world;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use ldirectord::{
    config::{
        self, File, FileError, Files, Ldirectord, Loaded, NameError, Names, Severity, World,
        directives::{Directive, EXTENSIONS, SERVICES},
    },
    model::{CheckKind, Family, Transport},
};

/// Snapshots stand beside the files that they are of.
fn snapshots() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("config");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

#[test]
fn files_mean_what_stands_beside_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let _scope = snapshots().bind_to_scope();
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
    config::load(File::new("x.cf", source), &world::world(&names))
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
    let loaded = config::load(File::new("x.cf", source), &world::world(&names));
    assert_eq!(loaded.diagnostics.len(), 99);
    assert_eq!(names.0.into_inner(), ["http None", "web V4", "nosuch V4"]);
}

#[test]
fn a_form_feed_is_a_blank_before_a_comment_and_on_an_empty_line() {
    let codes = |source: &str| -> Vec<_> {
        let loaded = load(source);
        let told = loaded.diagnostics.iter().filter(|fault| fault.severity != Severity::Advice);
        told.map(|fault| (loaded.sources.line(&fault.span).unwrap().number, fault.code)).collect()
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
fn services_share_a_check_only_when_it_is_the_same() {
    for (service, first, second, checks) in [
        ("http", "", "", 1),
        ("http", "checkinterval=5", "checkinterval=5", 1),
        ("http", "httpmethod=GET", "httpmethod=HEAD", 2),
        ("http", "negotiatetimeout=3", "negotiatetimeout=4", 2),
        ("mysql", "login=\"ann\"", "login=\"bob\"", 2),
        ("mysql", "passwd=\"s3cret\"", "passwd=\"other\"", 2),
        ("mysql", "database=\"shop\"", "database=\"mail\"", 2),
        ("radius", "secret=\"s3cret\"", "secret=\"other\"", 2),
    ] {
        let block = |port: u16, line: &str| {
            format!(
                "virtual=192.0.2.1:{port}\n\treal=192.0.2.10:80 masq\n\tservice={service}\n\t{line}\n"
            )
        };
        let desired = load(&[block(80, first), block(81, second)].concat()).desired.unwrap();
        assert_eq!(desired.checks.len(), checks, "{service}: {first}, {second}");
    }
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
fn ranges_without_measure_are_refused() {
    let mut source = String::from("virtual=192.0.2.1:80\n\treal=10.0.0.0->10.255.255.255 masq\n");
    for net in 0..200 {
        writeln!(source, "\treal=11.{net}.0.0->11.{net}.255.255 masq").unwrap();
    }
    let loaded = load(&source);
    assert_eq!(loaded.desired, None);
    let errors = loaded.diagnostics.iter().filter(|fault| fault.severity == Severity::Error);
    let errors: Vec<_> = errors
        .map(|fault| (fault.code, loaded.sources.line(&fault.span).unwrap().number))
        .collect();
    assert_eq!(errors, [("E0309", 2), ("E0313", 7)]);
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
    let codes: BTreeSet<&str> = loaded.diagnostics.iter().map(|fault| fault.code).collect();
    assert_eq!(codes, BTreeSet::from(["W0103", "E0306", "W0001"]));
}

#[test]
fn faults_know_their_line_and_come_in_its_order() {
    let source = "# c\n\nquiescent=maybe\nvirtual=192.0.2.1:80\n\treal=nosuch:80 gate\n\tscheduler=\nfork=no\nfallback=nosuch\n";
    let Loaded { diagnostics, sources, .. } = load(source);
    let lines: Vec<usize> =
        diagnostics.iter().map(|fault| sources.line(&fault.span).unwrap().number).collect();
    assert_eq!(lines, [3, 5, 6, 8]);
}

/// Files that exist only here; the one apart has every other name.
struct Pages(BTreeMap<&'static str, &'static str>, Option<File>);

impl Files for Pages {
    fn find(&self, pattern: &Path) -> Result<Vec<PathBuf>, FileError> {
        let pattern = glob::Pattern::new(pattern.to_str().unwrap()).unwrap();
        Ok(self.0.keys().filter(|name| pattern.matches(name)).map(PathBuf::from).collect())
    }

    fn read(&self, path: &Path) -> Result<File, FileError> {
        if let Some(file) = &self.1 {
            return Ok(file.clone());
        }
        let place = self.0.keys().position(|name| Path::new(name) == path);
        let place =
            place.ok_or_else(|| FileError { message: "there is no such file".to_owned() })?;
        let (name, text) = self.0.iter().nth(place).unwrap();
        Ok(File { identity: (1, place as u64), ..File::new(*name, *text) })
    }
}

/// What comes of the first of these files, with the others at hand.
fn included(files: &[(&'static str, &'static str)]) -> String {
    let pages = Pages(files.iter().copied().collect(), None);
    let names = world::FewNames::default();
    let world = World { files: &pages, ..world::world(&names) };
    let main = pages.read(Path::new(files.first().unwrap().0)).unwrap();
    let Loaded { desired, diagnostics, sources, .. } = config::load(main, &world);
    let told: Vec<_> = diagnostics.into_iter().filter(|fault| fault.code != "A0105").collect();
    let mut text = config::render(&sources, 42, &told);
    text.push_str(&desired.map_or("refused\n".to_owned(), |desired| dump::desired(&desired)));
    text
}

#[test]
fn included_files_are_read_as_if_they_stood_there() {
    let whole = included(&[(
        "/etc/a.cf",
        "checktimeout=3\nvirtual=192.0.2.1:80\n\treal=192.0.2.11:80 masq\nvirtual=192.0.2.2:80\n\treal=192.0.2.11:80 masq\nquiescent=yes\n",
    )]);
    assert!(whole.contains("192.0.2.2:80"), "{whole}");
    let parts = included(&[
        ("/etc/a.cf", "include=\"lb/time.cf\"\ninclude = lb/[0-9]*.cf\nquiescent=yes\n"),
        ("/etc/lb/time.cf", "checktimeout=3\n"),
        ("/etc/lb/10.cf", "virtual=192.0.2.1:80\n\treal=192.0.2.11:80 masq"),
        ("/etc/lb/20.cf", "include=more/20.cf\n"),
        ("/etc/lb/more/20.cf", "virtual=192.0.2.2:80\n\treal=192.0.2.11:80 masq"),
    ]);
    assert_eq!(parts, whole);
}

#[test]
fn faults_name_the_included_file_they_are_in() {
    let text = included(&[
        (
            "/etc/a.cf",
            "virtual=192.0.2.1:80\n\treal=192.0.2.11:80 masq\ninclude=b.cf\n\tscheduler=rr\n",
        ),
        (
            "/etc/b.cf",
            "# nothing\n\treal=192.0.2.12:80 masq\nvirtual=192.0.2.1:80\n\tpasswd=hunter2\n",
        ),
    ]);
    snapshots().bind(|| insta::assert_snapshot!("include_faults", text));
    assert!(!text.contains("hunter2"));
}

#[test]
fn files_that_include_each_other_end() {
    let text = included(&[
        ("/etc/a.cf", "include=b.cf\ninclude=missing.cf\ninclude=missing*.cf\ninclude=\n"),
        ("/etc/b.cf", "include=../etc/a.cf\ninclude=a.cf\ninclude=b.cf\n"),
    ]);
    snapshots().bind(|| insta::assert_snapshot!("include_cycle", text));
    // Each file but the last includes the next one twice.
    let names: Vec<(String, String)> = (0..20)
        .map(|number| {
            (format!("/{number}.cf"), format!("include={0}.cf\ninclude={0}.cf\n", number + 1))
        })
        .collect();
    let files: Vec<(&'static str, &'static str)> =
        names.into_iter().map(|(name, text)| (&*name.leak(), &*text.leak())).collect();
    let text = included(&files);
    assert!(text.contains("more than 16 files include each other"), "{text}");
}

#[test]
fn what_ldirectord_does_not_know_is_told_of_each_line() {
    let source = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/extensions.cf"),
    )
    .unwrap();
    let loaded = load(&source);
    let advised = loaded.diagnostics.iter().filter(|fault| fault.code == "A0105");
    let lines: Vec<usize> =
        advised.map(|fault| loaded.sources.line(&fault.span).unwrap().number).collect();
    let is_known = |line: &str| {
        let name = line.trim().split([' ', '=']).next().unwrap();
        Directive::find(name.as_bytes()).is_some_and(|directive| directive.extension)
    };
    let wanted: Vec<usize> =
        (1..).zip(source.lines()).filter(|(_, line)| is_known(line)).map(|(at, _)| at).collect();
    assert!(wanted.len() > 4);
    assert_eq!(lines, wanted);
}

#[test]
fn a_service_that_ldirectord_does_not_know_is_told() {
    for name in EXTENSIONS {
        let source = format!("virtual=192.0.2.1:80\n\tservice={name}\n\treal=192.0.2.10:80 masq\n");
        let loaded = load(&source);
        let fault = loaded.diagnostics.iter().find(|fault| fault.code == "A0105").unwrap();
        assert_eq!(fault.severity, Severity::Advice);
        assert_eq!(source[fault.span.clone()], **name);
        assert_eq!(fault.clone().strictly().severity, Severity::Error);
    }
}

#[test]
fn the_port_of_such_a_service_implies_nothing() {
    let extensions = SERVICES.iter().filter(|(name, _)| EXTENSIONS.contains(name));
    // The others have no port that could imply them.
    for (name, port) in extensions.filter_map(|(name, port)| Some((name, (*port)?))) {
        let mut own = SERVICES.iter().filter(|(name, _)| !EXTENSIONS.contains(name));
        let implied = own.find(|(_, known)| *known == Some(port));
        let protocol = |line: &str| {
            let source = format!("virtual=192.0.2.1:{port}\n{line}\treal=192.0.2.10 masq\n");
            let desired = load(&source).desired.unwrap();
            let check = &desired.checks[0];
            let CheckKind::Negotiate(negotiate) = &check.kind else { panic!("{check:?}") };
            (negotiate.protocol, check.target.port())
        };
        assert_eq!(protocol(""), implied.map_or(("none", 0), |(name, _)| (*name, port)));
        assert_eq!(protocol(&format!("\tservice={name}\n")), (*name, port));
    }
}

#[test]
fn credentials_come_from_their_file() {
    let service = |lines: &str| {
        format!(
            "virtual=192.0.2.1:21\n\tservice=ftp\n{lines}\treal=192.0.2.11:21 masq\n\treceive=\"x\"\n"
        )
    };
    let access = |lines: &str| {
        let source = format!("credentials=/etc/ha.d/ldirectord.credentials\n{}", service(lines));
        let loaded = load(&source);
        let desired = loaded.desired.unwrap();
        let CheckKind::Negotiate(asked) = &desired.checks.first().unwrap().kind else { panic!() };
        (asked.login.clone(), asked.passwd.0.clone(), asked.database.clone())
    };
    let owned = |login: &str, passwd: &str, database: &str| {
        (login.to_owned(), passwd.to_owned(), database.to_owned())
    };
    assert_eq!(access(""), owned("anonymous", "ldirectord@director", ""));
    let whole = access("\tcredentials=monitoring\n");
    assert_eq!(whole, owned("monitor", "s=3#cr;et \\n", "db"));
    let some = access("\tlogin=\"own\"\n\tcredentials = \"other\"\n");
    assert_eq!(some, owned("own", "ldirectord@director", ""));

    let loaded = load(&service("\tcredentials=monitoring\n"));
    assert_eq!(loaded.desired, None, "no file is named");

    let open = File { mode: 0o640, ..File::new("secrets", "[web]\n") };
    let pages = Pages(BTreeMap::new(), Some(open));
    let names = world::FewNames::default();
    let world = World { files: &pages, ..world::world(&names) };
    let loaded = config::load(File::new("a.cf", "credentials=secrets\n"), &world);
    assert_eq!(loaded.desired, None, "others can read it");
    let fault = loaded.diagnostics.iter().find(|fault| fault.severity == Severity::Error).unwrap();
    assert_eq!(
        (fault.code, fault.hints.as_slice()),
        ("E0501", ["chmod 600 secrets".to_owned()].as_slice())
    );
}

#[test]
fn faults_of_a_credentials_file_show_no_secret() {
    let files = |text: &'static str| {
        included(&[
            (
                "/etc/a.cf",
                "credentials=secrets\nvirtual=192.0.2.1:80\n\tcredentials=web\n\treal=192.0.2.11:80 masq\n",
            ),
            ("/etc/secrets", text),
        ])
    };
    let text = files(
        "passwd=hunter2\n[webs]\nlogin=a\nlogin = b\npasswort=hunter2\nhunter2\n[webs]\npasswd=\"hunter2\"\n",
    );
    assert!(!text.contains("hunter2"), "{text}");
    snapshots().bind(|| insta::assert_snapshot!("credentials_faults", text));
    assert!(
        files("[web]\npasswd=hunter2\n").starts_with("tcp 192.0.2.1:80"),
        "{}",
        files("[web]\n")
    );
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
        "\trequestheader=\"X-Key: hunter2\"\n\trequestbody=\"hunter2\"",
        "\trequestheader=X-Key: hunter2",
        "\trequestheader=\"hunter2\"",
        "\trequestheader=\"X-Key: x\"\n\trequestheader=\"X-Key: hunter2\"",
        "\trequest_body=\"hunter2\"",
        "\trequestbody=hunter2",
        "\tservice=tcp\n\tsend=\"AUTH hunter2\\r\\n\"",
        "\tservice=tcp\n\tsend=\"hunter2\\q\"",
        "\tsend=hunter2",
        "\tSend=\"hunter2\"",
        "\tsend hunter2",
        "\tsendd=\"hunter2\"",
        "\tservice=udp\n\tsend=\"hunter2\"\n\tsend=\"hunter2\"",
    ] {
        let source = format!("virtual=192.0.2.1:80\n{line}\n\treal=192.0.2.10:80 gate\n");
        let loaded = load(&source);
        let text = config::render(&loaded.sources, 1, &loaded.diagnostics);
        assert!(!text.contains("hunter2"), "{text}");
        assert!(!format!("{:?}", loaded.desired).contains("hunter2"), "{line}");
        for fault in &loaded.diagnostics {
            assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
        }
    }
}

/// The codes of what is said of a file.
fn codes(loaded: &Loaded) -> Vec<&'static str> {
    loaded.diagnostics.iter().map(|fault| fault.code).collect()
}

#[test]
fn secrets_that_everybody_can_read_are_told_once_a_file() {
    let service = |port: u16, more: &str| {
        format!("virtual=192.0.2.1:{port}\n\treal=192.0.2.11:{port} masq\n{more}")
    };
    let told = |mode: u32, text: &str| {
        let names = world::FewNames::default();
        let file = File { mode, ..File::new("x.cf", text) };
        config::load(file, &world::world(&names))
    };
    let secrets = service(110, "\tlogin=\"a\"\n\tpasswd=\"hunter2\"\n")
        + &service(1812, "\tsecret=\"hunter2\"\n");
    for (mode, expected) in
        [(0o644, vec!["A0002"]), (0o604, vec!["A0002"]), (0o640, vec![]), (0o600, vec![])]
    {
        assert_eq!(codes(&told(mode, &secrets)), expected, "{mode:o}");
    }
    let loaded = told(0o644, &secrets);
    let text = config::render(&loaded.sources, 1, &loaded.diagnostics);
    assert!(text.contains("hint: chmod o= x.cf") && !text.contains("hunter2"), "{text}");
    let sent = |header: &str| service(80, &format!("\trequestheader=\"{header}: x\"\n"));
    assert_eq!(codes(&told(0o644, &sent("cookie"))), ["A0105", "A0002"]);
    assert_eq!(codes(&told(0o644, &sent("Accept"))), ["A0105"]);
    let second = told(0o644, &(sent("Accept") + "\trequestheader=\"Authorization: x\"\n"));
    let place = &second.diagnostics.last().unwrap().span;
    assert_eq!(second.sources.line(place).unwrap().number, 4);
    let open = service(
        21,
        "\tservice=ftp\n\treceive=\"x\"\n\tlogin=\"anonymous\"\n\tpasswd=\"me@example.org\"\n",
    );
    assert_eq!(codes(&told(0o644, &open)), Vec::<&str>::new());
    let webhook = |address: &str| codes(&told(0o644, &format!("webhook={address}\n")));
    for address in ["https://chat/hooks/T0000B0000XXXXXXXX", "http://a/?key=x", "https://a:b@c/"] {
        assert_eq!(webhook(address), ["A0105", "A0002"], "{address}");
    }
    assert_eq!(webhook("https://alerts.example.org/lvs"), ["A0105"]);
}

#[test]
fn the_kernel_may_expire_what_persistent_clients_stick_to() {
    let source = "quiescent=yes\nvirtual=192.0.2.1:80\n\treal=192.0.2.11:80 masq\n\tpersistent=600\n\
                  virtual=192.0.2.1:443\n\treal=192.0.2.11:443 masq\n\tpersistent=300\n";
    let told = |expire_quiescent_template| {
        let names = world::FewNames::default();
        let world = World { expire_quiescent_template, ..world::world(&names) };
        let found = config::load(File::new("x.cf", source), &world).diagnostics;
        found.into_iter().map(|fault| fault.message).collect::<Vec<_>>()
    };
    let stay = "clients stay with a server that is down until they have been silent for 600 s, here and in 1 more";
    assert_eq!(told(Some(true)), Vec::<String>::new());
    assert_eq!(told(Some(false)), [stay]);
    assert_eq!(told(None), [format!("{stay} unless net.ipv4.vs.expire_quiescent_template is 1")]);
}

#[test]
fn advice_does_not_crowd_out_warnings() {
    let mut source = String::new();
    for service in 0..2000 {
        writeln!(source, "virtual=10.0.{}.{}:80", service / 250, service % 250).unwrap();
    }
    source.push_str("virtual=192.0.2.1:9999\n\treal=192.0.2.11:9999 masq\n");
    let loaded = load(&source);
    let mut counts = BTreeMap::new();
    for code in codes(&loaded) {
        *counts.entry(code).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([("A0001", 1), ("A0303", 1000), ("W0405", 1)]));
}

#[test]
fn what_an_included_file_says_again_is_meant() {
    let text = included(&[
        ("/etc/a.cf", "checktimeout=3\ninclude=b.cf\n"),
        ("/etc/b.cf", "checktimeout=4\n"),
    ]);
    assert!(!text.contains("A0106"), "{text}");
}

#[test]
fn nothing_is_advised_on_a_file_with_errors() {
    let advised = "virtual=192.0.2.1:80\n";
    assert_eq!(codes(&load(&format!("{advised}\tscheduler=rr\n"))), ["A0303"]);
    assert_eq!(
        codes(&load(&format!("{advised}\tscheduler=rr\n\treal=nosuch:80 gate\n"))),
        ["E0304"]
    );
}
