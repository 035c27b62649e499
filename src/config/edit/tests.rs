//! Each operation by example, the whole file before and after.

use super::*;

type Done = Result<(), EditError>;

/// Makes an edit that must succeed, and compares the file.
#[track_caller]
fn becomes(before: &str, edit: impl FnOnce(&mut Document<'_>) -> Done, after: &str) {
    let mut document = Document::parse(before.as_bytes());
    assert_eq!(edit(&mut document), Ok(()));
    let bytes = document.to_bytes();
    assert_eq!(String::from_utf8_lossy(&bytes), after);
    assert_eq!(Document::parse(&bytes), document);
}

/// Makes an edit that must fail, and sees that the file is as it was.
#[track_caller]
fn refuses(before: &str, edit: impl FnOnce(&mut Document<'_>) -> Done, error: EditError) {
    let mut document = Document::parse(before.as_bytes());
    assert_eq!(edit(&mut document), Err(error));
    assert_eq!(document, Document::parse(before.as_bytes()));
}

fn set(at: At, name: &str, value: &str) -> impl FnOnce(&mut Document<'_>) -> Done {
    move |document| super::set(document, at, name, value.as_bytes())
}

fn unset(at: At, name: &str, wanted: usize) -> impl FnOnce(&mut Document<'_>) -> Done {
    move |document| super::unset(document, at, name).map(|n_lines| assert_eq!(n_lines, wanted))
}

fn add(at: At, name: &str, value: &str) -> impl FnOnce(&mut Document<'_>) -> Done {
    move |document| super::add(document, at, name, value.as_bytes())
}

fn replace(at: At, name: &str, nth: usize, value: &str) -> impl FnOnce(&mut Document<'_>) -> Done {
    move |document| super::replace(document, at, name, nth, value.as_bytes())
}

fn remove(at: At, name: &str, nth: usize) -> impl FnOnce(&mut Document<'_>) -> Done {
    move |document| super::remove(document, at, name, nth)
}

/// Adds `virtual=2` with a scheduler.
fn add_service(beside: Beside) -> impl FnOnce(&mut Document<'_>) -> Done {
    move |document| {
        super::add_service(document, beside, "virtual", b"2", &[("scheduler", b"rr")]).map(drop)
    }
}

fn remove_service(nth: usize, comments: bool) -> impl FnOnce(&mut Document<'_>) -> Done {
    move |document| super::remove_service(document, nth, comments)
}

fn set_address(nth: usize, address: &str) -> impl FnOnce(&mut Document<'_>) -> Done {
    move |document| super::set_address(document, nth, address.as_bytes())
}

const FIRST: At = At::Service(0);

fn texts(entries: &[Entry<'_>]) -> Vec<String> {
    let text = |bytes| String::from_utf8_lossy(bytes);
    let texts = entries
        .iter()
        .map(|entry| format!("{} {} {}", entry.line, text(entry.name), text(entry.value)));
    texts.collect()
}

#[test]
fn a_document_is_read_by_place() {
    let document = Document::parse(
        b"# top\nquiescent = yes # no\nexecute=a\nexecute=b \nsupervised\n\nvirtual = 1 # one\n\treal = a gate # c\n\
          # c\n\treal6=b gate\n\tscheduler=rr\n\tscheduler=wrr  \n\tnonsense\n# two\nvirtual6=1\n\n\tstray=1\n checkinterval=1\n\
          checkinterval=2",
    );
    let services = services(&document);
    let lines: Vec<_> = services.iter().map(|service| service.lines.clone()).collect();
    assert_eq!(lines, [6..13, 14..15]);
    assert_eq!(services[0].address, b"1");
    assert_eq!(find_service(&document, "virtual6", b"1"), Some(1));
    assert_eq!(find_service(&document, "virtual", b"2"), None);
    assert_eq!(
        texts(&directives(&document, At::Global)),
        [
            "1 quiescent yes # no",
            "2 execute a",
            "3 execute b",
            "4 supervised yes",
            "18 checkinterval 2"
        ]
    );
    assert_eq!(
        texts(&directives(&document, FIRST)),
        ["7 real a gate", "9 real6 b gate", "10 scheduler rr", "11 scheduler wrr"]
    );
    assert_eq!(texts(&directives(&document, At::Service(1))), [""; 0]);
    assert_eq!(texts(&directives(&document, At::Service(2))), [""; 0]);
    assert_eq!(get(&document, FIRST, "scheduler"), Some(b"wrr".as_slice()));
    assert_eq!(get(&document, FIRST, "quiescent"), None);
    assert_eq!(texts(&real_servers(&document, 0)), ["7 real a gate", "9 real6 b gate"]);
    assert_eq!(find(&document, At::Global, "execute", b"b"), Some(1));
    assert_eq!(find(&document, At::Global, "execute", b"c"), None);
}

#[test]
fn a_value_is_replaced_alone() {
    for (before, at, name, value, after) in [
        ("quiescent =\tyes\r\n", At::Global, "quiescent", "no", "quiescent =\tno\r\n"),
        ("quiescent=yes", At::Global, "quiescent", "no", "quiescent=no"),
        ("quiescent=yes # c\n", At::Global, "quiescent", "no", "quiescent=no\n"),
        (
            "checkinterval=1\nvirtual=1\n\n checkinterval=2\ncheckinterval=3 \n",
            At::Global,
            "checkinterval",
            "4",
            "checkinterval=1\nvirtual=1\n\n checkinterval=2\ncheckinterval=4 \n",
        ),
        (
            "virtual=1\n\tscheduler = rr\t# c\n    scheduler=\n        ops=no\n",
            FIRST,
            "scheduler",
            "sh",
            "virtual=1\n\tscheduler = rr\t# c\n    scheduler=sh\n        ops=no\n",
        ),
        (
            "virtual=1\n\tscheduler = rr\t# c\n",
            FIRST,
            "scheduler",
            "wlc",
            "virtual=1\n\tscheduler = wlc\t# c\n",
        ),
        (
            "virtual=1\n\tscheduler= # c\n",
            FIRST,
            "scheduler",
            "wlc",
            "virtual=1\n\tscheduler= wlc # c\n",
        ),
        ("supervised \n", At::Global, "supervised", "no", "supervised=no\n"),
        // What is there already is left as it is, blanks, tabs, hashes and all.
        (
            "fallbackcommand=/x # y  \n",
            At::Global,
            "fallbackcommand",
            "/x # y",
            "fallbackcommand=/x # y  \n",
        ),
        ("supervised\n", At::Global, "supervised", "yes", "supervised\n"),
        (
            "virtual=1\n\trequest=\"a\tb\"\n",
            FIRST,
            "request",
            "\"a\tb\"",
            "virtual=1\n\trequest=\"a\tb\"\n",
        ),
    ] {
        becomes(before, set(at, name, value), after);
    }
    becomes(
        "virtual=1\n\treal=a\tgate\n\treal=b\n",
        replace(FIRST, "real", 0, "c\tgate"),
        "virtual=1\n\treal=c\tgate\n\treal=b\n",
    );
    becomes(
        "virtual = 1  # one\nvirtual6 = 1\r\n",
        set_address(0, "192.0.2.1:80"),
        "virtual = 192.0.2.1:80  # one\nvirtual6 = 1\r\n",
    );
    becomes("virtual=1", set_address(0, "2"), "virtual=2");
}

#[test]
fn a_line_is_added_to_a_service_in_its_style() {
    for (before, after) in [
        ("virtual=1\n\n", "virtual=1\n\tscheduler=rr\n\n"),
        ("virtual=1", "virtual=1\n\tscheduler=rr\n"),
        ("virtual = 1\r\n", "virtual = 1\r\n\tscheduler = rr\r\n"),
        (
            "virtual = 1\n    real=a\n    real=b",
            "virtual = 1\n    real=a\n    real=b\n    scheduler=rr\n",
        ),
        (
            "virtual=1\n        real = a\n        # c\n\n# d\nvirtual=2\n\treal=b\n",
            "virtual=1\n        real = a\n        scheduler = rr\n        # c\n\n# d\nvirtual=2\n\treal=b\n",
        ),
        // Like the file, where the service has no lines of its own.
        (
            "virtual=1\n# c\n\nvirtual=2\n    real  = b\n",
            "virtual=1\n    scheduler = rr\n# c\n\nvirtual=2\n    real  = b\n",
        ),
        // Behind what nobody can read.
        ("virtual=1\n\treal=a\n\tjunk\n", "virtual=1\n\treal=a\n\tjunk\n\tscheduler=rr\n"),
        // The carriage return is part of the address, and stays so.
        ("virtual=1\r", "virtual=1\r\r\n\tscheduler=rr\n"),
    ] {
        becomes(before, set(FIRST, "scheduler", "rr"), after);
    }
}

#[test]
fn a_global_line_is_added_before_the_services() {
    for (before, after) in [
        ("", "fork=no\n"),
        ("\u{feff}", "\u{feff}fork=no\n"),
        ("# c", "# c\nfork=no\n"),
        ("# c\r\n\r\nvirtual = 1\r\n", "# c\r\nfork = no\r\n\r\nvirtual = 1\r\n"),
        ("virtual=1\n\n", "fork=no\n\nvirtual=1\n\n"),
        // A comment on a service stays with it.
        ("# c\nvirtual=1\n\n", "fork=no\n\n# c\nvirtual=1\n\n"),
        (
            "ops = no\n# c\n\nvirtual=1\n\nautoreload=no\n",
            "ops = no\nfork = no\n# c\n\nvirtual=1\n\nautoreload=no\n",
        ),
        ("virtual=1\n\nautoreload = no\n", "fork = no\n\nvirtual=1\n\nautoreload = no\n"),
    ] {
        becomes(before, set(At::Global, "fork", "no"), after);
    }
}

#[test]
fn one_of_several_is_added_and_removed() {
    let before = "virtual=1\n\t# servers\n\treal = a\n    real=b # c\n\tscheduler=rr\n";
    becomes(
        before,
        add(FIRST, "real", "x"),
        "virtual=1\n\t# servers\n\treal = a\n    real=b # c\n    real=x\n\tscheduler=rr\n",
    );
    becomes(
        before,
        add(FIRST, "real6", "x"),
        "virtual=1\n\t# servers\n\treal = a\n    real=b # c\n\tscheduler=rr\n\treal6=x\n",
    );
    becomes(
        before,
        remove(FIRST, "real", 0),
        "virtual=1\n\t# servers\n    real=b # c\n\tscheduler=rr\n",
    );
    becomes(
        "execute=a\n\nvirtual=1\n\nexecute=b",
        add(At::Global, "execute", "c"),
        "execute=a\n\nvirtual=1\n\nexecute=b\nexecute=c\n",
    );
    becomes(
        "fork=no\nexecute=a\nexecute=b",
        remove(At::Global, "execute", 1),
        "fork=no\nexecute=a\n",
    );
}

#[test]
fn all_lines_of_a_name_go() {
    becomes(
        "virtual=1\n\tops=no # c\n\treal=a\n\tops=yes\nvirtual=2\n\tops=no\n",
        unset(FIRST, "ops", 2),
        "virtual=1\n\treal=a\nvirtual=2\n\tops=no\n",
    );
    becomes(
        "fork=no\n\nvirtual=1\n\nsupervised\nsupervised=no\n",
        unset(At::Global, "supervised", 2),
        "fork=no\n\nvirtual=1\n\n",
    );
    becomes("fork=no\n\nvirtual=1\n\n", unset(At::Global, "fork", 1), "virtual=1\n\n");
    becomes("ops=no\n", unset(At::Global, "fork", 0), "ops=no\n");
}

#[test]
fn other_lines_are_read_as_before() {
    // What ended a service goes.
    becomes(
        "virtual=1\n\treal=a\nfork=no\n\treal=stray\n",
        unset(At::Global, "fork", 1),
        "virtual=1\n\treal=a\n\n\treal=stray\n",
    );
    becomes(
        "virtual=1\n\treal=a\nfork=no\n# c\n      \nops=no\n",
        unset(At::Global, "fork", 1),
        "virtual=1\n\treal=a\n\n# c\n      \nops=no\n",
    );
    becomes(
        "virtual=1\n\treal=a\nfork=no\n# c\nops=no\n",
        unset(At::Global, "fork", 1),
        "virtual=1\n\treal=a\n# c\nops=no\n",
    );
    // A byte order mark is one in front of the file only.
    becomes("fork=no\n\u{feff}ops=no\n", unset(At::Global, "fork", 1), "\n\u{feff}ops=no\n");
    // ldirectord refuses a file whose last line begins a service.
    becomes("virtual=1\n\treal=a\n", remove(FIRST, "real", 0), "virtual=1\n\n");
    becomes("virtual=1\nvirtual=2\n\treal=a\n", remove_service(1, false), "virtual=1\n\n");
    becomes("virtual=1", set(At::Global, "fork", "no"), "fork=no\n\nvirtual=1");
}

#[test]
fn a_service_is_added_between_empty_lines() {
    for (before, beside, after) in [
        ("", Beside::End, "virtual=2\n\tscheduler=rr\n"),
        ("\n", Beside::End, "virtual=2\n\tscheduler=rr\n\n\n"),
        ("fork = no", Beside::End, "fork = no\n\nvirtual = 2\n\tscheduler = rr\n"),
        (
            "virtual=1\r\n    real = a\r\n\r\n",
            Beside::End,
            "virtual=1\r\n    real = a\r\n\r\nvirtual=2\r\n    scheduler = rr\r\n\r\n",
        ),
        (
            "# c\nvirtual=1\n\treal=a\n",
            Beside::Before(0),
            "virtual=2\n\tscheduler=rr\n\n# c\nvirtual=1\n\treal=a\n",
        ),
        (
            "virtual=1\n\treal=a\n#\treal=b\n\nfork=no\n",
            Beside::After(0),
            "virtual=1\n\treal=a\n#\treal=b\n\nvirtual=2\n\tscheduler=rr\n\nfork=no\n",
        ),
        (
            "virtual=1\n\treal=a\n# three\nvirtual=3\n\treal=a\n",
            Beside::After(0),
            "virtual=1\n\treal=a\n\nvirtual=2\n\tscheduler=rr\n\n# three\nvirtual=3\n\treal=a\n",
        ),
        (
            "virtual=1\n\treal=a\n# three\nvirtual=3\n\treal=a\n",
            Beside::Before(1),
            "virtual=1\n\treal=a\n\nvirtual=2\n\tscheduler=rr\n\n# three\nvirtual=3\n\treal=a\n",
        ),
    ] {
        becomes(before, add_service(beside), after);
    }
    becomes(
        "fork=no\n",
        |document| super::add_service(document, Beside::End, "virtual6", b"7", &[]).map(drop),
        "fork=no\n\nvirtual6=7\n\n",
    );
}

#[test]
fn a_service_is_removed_with_what_is_its_own() {
    let file = "fork=no\n\n# one\nvirtual=1\n\treal=a\n#\treal=b\n\n# two\n# still two\nvirtual=2\n\treal=a\n# three\nvirtual=3\n\treal=a\n";
    becomes(
        file,
        remove_service(0, false),
        "fork=no\n\n# one\n\n# two\n# still two\nvirtual=2\n\treal=a\n# three\nvirtual=3\n\treal=a\n",
    );
    becomes(
        file,
        remove_service(0, true),
        "fork=no\n\n# two\n# still two\nvirtual=2\n\treal=a\n# three\nvirtual=3\n\treal=a\n",
    );
    becomes(
        file,
        remove_service(1, true),
        "fork=no\n\n# one\nvirtual=1\n\treal=a\n#\treal=b\n\n# three\nvirtual=3\n\treal=a\n",
    );
    becomes(
        file,
        remove_service(2, true),
        "fork=no\n\n# one\nvirtual=1\n\treal=a\n#\treal=b\n\n# two\n# still two\nvirtual=2\n\treal=a\n",
    );
    becomes(
        "virtual=1\n\treal=a\n\n  \nvirtual=2\n\treal=b",
        remove_service(1, false),
        "virtual=1\n\treal=a\n\n  \n",
    );
    becomes(
        "virtual=1\n\treal=a\n      \nvirtual=2\n\treal=b",
        remove_service(1, false),
        "virtual=1\n\treal=a\n      \n",
    );
}

#[test]
fn a_service_that_was_added_goes_with_the_empty_line_that_came_with_it() {
    let file = "fork=no\n  \nvirtual=1\n\treal=a\n \n";
    for (beside, nth) in [(Beside::End, 1), (Beside::Before(0), 0), (Beside::After(0), 1)] {
        becomes(
            file,
            |document| {
                add_service(beside)(document)?;
                remove_service(nth, false)(document)
            },
            file,
        );
    }
}

#[test]
fn what_cannot_be_written_is_refused() {
    let file = "virtual=1\n\treal=a\n";
    for (at, name, value, fault) in [
        (At::Global, "fork", "", ValueFault::Empty),
        (At::Global, "fork", "no\nvirtual=2", ValueFault::LineBreak),
        (At::Global, "fork", "no\r", ValueFault::LineBreak),
        (At::Global, "fork", " no", ValueFault::Blanks),
        (At::Global, "fork", "no\t", ValueFault::Blanks),
        (FIRST, "request", "\"a#b\"", ValueFault::Comment),
        (FIRST, "request", "\"a\tb\"", ValueFault::Tab),
    ] {
        let name_of = Directive::find(name.as_bytes()).unwrap().name;
        refuses(file, set(at, name, value), EditError::Value { name: name_of, fault });
    }
    let comment = EditError::Value { name: "virtual", fault: ValueFault::Comment };
    refuses(file, set_address(0, "1#2"), comment);
    let comment = EditError::Value { name: "real", fault: ValueFault::Comment };
    refuses(file, replace(FIRST, "real", 0, "b # c"), comment.clone());
    refuses(file, add(FIRST, "real", "b # c"), comment.clone());
    refuses(
        file,
        |document| {
            let lines: [(&str, &[u8]); 2] = [("real", b"b"), ("real", b"b#")];
            super::add_service(document, Beside::End, "virtual", b"2", &lines).map(drop)
        },
        comment,
    );
}

#[test]
fn what_cannot_stand_there_is_refused() {
    let file = "virtual=1\n\treal=a\n";
    refuses(file, set(FIRST, "nonsense", "1"), EditError::Unknown("nonsense".to_owned()));
    refuses(file, set(FIRST, "fork", "no"), EditError::NotInService("fork"));
    refuses(file, unset(At::Global, "scheduler", 0), EditError::InServiceOnly("scheduler"));
    refuses(file, set(At::Global, "virtual", "2"), EditError::Opening("virtual"));
    refuses(file, set(FIRST, "real", "b"), EditError::Repeats("real"));
    refuses(file, add(FIRST, "scheduler", "rr"), EditError::Single("scheduler"));
    refuses(file, remove(FIRST, "real", 1), EditError::NoSuch { name: "real", nth: 1 });
    refuses(file, set(At::Service(1), "ops", "no"), EditError::NoService(1));
    refuses(file, remove_service(1, false), EditError::NoService(1));
    refuses(file, set_address(1, "2"), EditError::NoService(1));
    refuses(file, add_service(Beside::After(1)), EditError::NoService(1));
    refuses(
        file,
        |document| super::add_service(document, Beside::End, "real", b"2", &[]).map(drop),
        EditError::NotOpening("real"),
    );
}
