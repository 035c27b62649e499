//! `service=oracle` with listeners that speak the first messages of Oracle (TNS) as its protocol describes them, well and
//! badly. There is no server to be had for more: what follows a login is the driver's own affair.
//!
//! Only with the feature: `cargo test --features oracle --test tns`. The check starts this program again for the part that
//! is a process of its own.
#![expect(
    clippy::unwrap_used,
    reason = "tests fail by panicking, also in their helpers; this is the main function of a test program"
)]

#[path = "support/world.rs"]
mod world;

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Command, ExitCode},
    sync::LazyLock,
    thread,
    time::Duration,
};

use ldirectord::{
    checks::{self, Checker},
    config::{self, File, NoFiles, World},
    model::{Attempted, Stage},
};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::{Builder, Runtime};

const PASSWORD: &str = "hunter2";

/// How long a check may take with a listener that makes it wait, in seconds.
const SHORT: u64 = 1;

/// How long it may take where it should not wait; long enough for a busy machine.
const LONG: u64 = 30;

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|word| word == checks::ASK_ORACLE) {
        return checks::ask_oracle().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    let mut arguments = Arguments::from_args();
    // Each looks whether a process was left.
    arguments.test_threads = Some(1);
    let trials = CASES.iter().map(|case| Trial::test(case.name, || try_case(case)));
    let more = [
        Trial::test("nobody listens", nobody_listens),
        Trial::test("a redirection is followed", a_redirection_is_followed),
        Trial::test("the process has limits and shows no password", the_process_is_confined),
        Trial::test("what is missing is told", what_is_missing_is_told),
        Trial::test("the program has the part", the_program_has_the_part),
    ];
    libtest_mimic::run(&arguments, trials.chain(more).collect()).exit_code()
}

/// A listener, and what comes of a check of it; `@` stands for its address.
struct Case {
    name: &'static str,
    timeout: u64,
    serve: fn(TcpStream),
    expected: &'static str,
}

impl Case {
    /// One whose listener does not let us wait.
    const fn quick(name: &'static str, serve: fn(TcpStream), expected: &'static str) -> Case {
        Case { name, timeout: LONG, serve, expected }
    }

    /// One whose listener does.
    const fn slow(name: &'static str, serve: fn(TcpStream), expected: &'static str) -> Case {
        Case { timeout: SHORT, ..Case::quick(name, serve, expected) }
    }
}

const CASES: &[Case] = &[
    Case::quick(
        "no such SID",
        |stream| {
            refuse(
                stream,
                "(DESCRIPTION=(TMP=)(VSNNUM=0)(ERR=12505)(ERROR_STACK=(ERROR=(CODE=12505)(EMFI=4))))",
            )
        },
        "protocol: ORA-12505: the listener at @ knows no SID ORCL",
    ),
    Case::quick(
        "no such service",
        |stream| refuse(stream, "(DESCRIPTION=(ERR=12514))"),
        "protocol: ORA-12514: the listener at @ knows no such service",
    ),
    Case::quick(
        "nobody is free",
        |stream| refuse(stream, "(DESCRIPTION=(ERR=12516))"),
        "protocol: ORA-12516: the listener at @ has nobody free to serve us",
    ),
    Case::quick(
        "the instance starts",
        |stream| refuse(stream, "(DESCRIPTION=(ERR=12528))"),
        "protocol: ORA-12528: the instance ORCL at @ lets nobody in for now",
    ),
    Case::quick(
        "another refusal",
        |stream| refuse(stream, "(DESCRIPTION=(ERR=1189))"),
        "protocol: ORA-01189: the listener at @ refused the connection",
    ),
    Case::quick(
        "a refusal without a reason",
        |stream| refuse(stream, ""),
        "protocol: the listener at @ refused the connection and did not say why",
    ),
    Case::quick(
        "a refusal whose number is none",
        |stream| refuse(stream, "(ERR=\u{1b}[2J)"),
        "protocol: @ sent what the driver does not understand",
    ),
    Case::slow(
        "a refusal that lies about its length",
        |mut stream| {
            connected(&mut stream);
            say(&mut stream, &packet(REFUSE, b"\x01\0\xff\xff(ERR=12505)"));
            wait(stream);
        },
        "timeout: no answer from @ within 1s",
    ),
    Case::quick(
        "asks again, then refuses",
        |mut stream| {
            connected(&mut stream);
            say(&mut stream, &packet(RESEND, b""));
            refuse(stream, "(ERR=12505)");
        },
        "protocol: ORA-12505: the listener at @ knows no SID ORCL",
    ),
    Case::slow(
        "asks again without end",
        |mut stream| loop {
            if stream.write_all(&packet(RESEND, b"").repeat(100)).is_err() {
                return;
            }
        },
        "timeout: no answer from @ within 1s",
    ),
    Case::slow("silent", wait, "timeout: no answer from @ within 1s"),
    Case::quick(
        "closes at once",
        |mut stream| connected(&mut stream),
        "reset: @ closed the connection without an answer",
    ),
    Case::quick(
        "garbage",
        |mut stream| {
            connected(&mut stream);
            say(&mut stream, b"\0\x0cHTTP/1.1 400 Bad Request\r\n\r\n");
        },
        "protocol: @ sent what the driver does not understand",
    ),
    Case::quick(
        "a packet that is too short",
        |mut stream| {
            connected(&mut stream);
            say(&mut stream, b"\0\x01\0\0\x04\0\0\0");
        },
        "protocol: @ sent what the driver does not understand",
    ),
    Case::slow(
        "a packet that is never complete",
        |mut stream| {
            connected(&mut stream);
            say(&mut stream, b"\x1f\xff\0\0\x04\0\0\0\0");
            wait(stream);
        },
        "timeout: no answer from @ within 1s",
    ),
    Case::quick(
        "too old",
        |mut stream| {
            connected(&mut stream);
            accept(&mut stream, 312);
        },
        "protocol: no answer of a database from @: connections to this database server are not supported",
    ),
    Case::slow(
        "accepts and says nothing",
        |mut stream| {
            connected(&mut stream);
            accept(&mut stream, 319);
            wait(stream);
        },
        "timeout: no answer from @ within 1s",
    ),
    Case::quick(
        "accepts and goes",
        |mut stream| {
            connected(&mut stream);
            accept(&mut stream, 319);
            heard(&mut stream);
        },
        "reset: @ closed the connection without an answer",
    ),
    Case::quick(
        "accepts and sends garbage",
        |mut stream| {
            connected(&mut stream);
            accept(&mut stream, 319);
            heard(&mut stream);
            say(&mut stream, &data(&[0x7f; 100]));
        },
        "protocol: no answer of a database from @: ",
    ),
    Case::slow(
        "accepts and sends without end",
        |mut stream| {
            connected(&mut stream);
            accept(&mut stream, 319);
            heard(&mut stream);
            // A banner that goes on and on.
            let more = data(&[b'x'; 4000]);
            say(&mut stream, &data(&[PROTOCOL, 6, 0, b'x']));
            while stream.write_all(&more).is_ok() {}
        },
        "timeout: no answer from @ within 1s",
    ),
    Case::quick(
        "denies the login",
        |mut stream| {
            connected(&mut stream);
            accept(&mut stream, 319);
            heard(&mut stream);
            // Version and banner, character set, flags, graph, the form of numbers, no capabilities.
            say(
                &mut stream,
                &data(b"\x01\x06\0Oracle\0\x69\x03\x01\0\0\0\x0b\0\0\0\0\0\0\0\0\0\x07\xd0\0\0"),
            );
            heard(&mut stream);
            // No types that differ.
            say(&mut stream, &data(b"\x02\0\0"));
            let asked = heard(&mut stream);
            assert!(!contains(&asked, PASSWORD.as_bytes()), "{}", asked.escape_ascii());
            assert!(contains(&asked, b"monitor"), "{}", asked.escape_ascii());
            say(
                &mut stream,
                &data(&error(1017, "ORA-01017: invalid username/password; logon denied\n")),
            );
            wait(stream);
        },
        "denied: ORA-01017: invalid username/password; logon denied",
    ),
];

const ACCEPT: u8 = 2;
const REFUSE: u8 = 4;
const REDIRECT: u8 = 5;
const DATA: u8 = 6;
const RESEND: u8 = 11;
/// The message in which a database says what it speaks.
const PROTOCOL: u8 = 1;

/// A packet before a connection is accepted: the length in two bytes.
fn packet(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 8).unwrap().to_be_bytes();
    [&length[..], &[0, 0, kind, 0, 0, 0], payload].concat()
}

/// A packet of data after that: the length in four bytes.
fn data(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len() + 10).unwrap().to_be_bytes();
    [&length[..], &[DATA, 0, 0, 0, 0, 0], payload].concat()
}

/// The message of an error: all that stands before its number is nothing.
fn error(number: u16, text: &str) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let length = u8::try_from(text.len()).unwrap();
    // What was sent of the call, the cursor, the row, and how many errors there are of a batch.
    let before = [0; 28];
    [&[4], &before[..], &[2, high, low, 0], &[0, 0], &[length], text.as_bytes()].concat()
}

fn say(stream: &mut TcpStream, bytes: &[u8]) {
    // It may have had enough.
    stream.write_all(bytes).unwrap_or_default();
}

/// What comes next.
fn heard(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = vec![0; 65_536];
    let count = stream.read(&mut bytes).unwrap_or_default();
    bytes.truncate(count);
    bytes
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Reads the first packet, which must ask for the instance.
fn connected(stream: &mut TcpStream) {
    let asked = heard(stream);
    if asked.is_empty() {
        // It only looks whether we are there.
        return;
    }
    assert_eq!(asked.get(4), Some(&1), "{}", asked.escape_ascii());
    assert!(contains(&asked, b"(SID=ORCL)"), "{}", asked.escape_ascii());
    assert!(!contains(&asked, PASSWORD.as_bytes()), "{}", asked.escape_ascii());
}

fn refuse(mut stream: TcpStream, text: &str) {
    connected(&mut stream);
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    say(&mut stream, &packet(REFUSE, &[&[1, 0], &length[..], text.as_bytes()].concat()));
    wait(stream);
}

/// Accepts in this version of the protocol, with packets of 8 KiB and no feature.
fn accept(stream: &mut TcpStream, version: u16) {
    let payload = [
        &version.to_be_bytes()[..],
        &[0; 12],
        &[0; 10],
        &8192_u32.to_be_bytes(),
        &[0; 5],
        &0_u32.to_be_bytes(),
    ];
    say(stream, &packet(ACCEPT, &payload.concat()));
}

/// Keeps the connection until the other side has had enough.
fn wait(mut stream: TcpStream) {
    while !heard(&mut stream).is_empty() {}
}

/// A listener that serves so whoever comes.
fn listen(host: &str, serve: impl Fn(TcpStream) + Send + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind((host, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, serve) = (stream.unwrap(), serve.clone());
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Makes the check that these lines describe.
fn check(target: SocketAddr, timeout: u64, lines: &str) -> Attempted {
    let (six, own) = if target.is_ipv6() { ("6", "[2001:db8::1]") } else { ("", "192.0.2.1") };
    let text = format!(
        "virtual{six}={own}:1521\n\treal{six}={target} masq\n\tservice=oracle\n\
         \tnegotiatetimeout={timeout}\n{lines}"
    );
    let (catalogue, names) = (checks::catalogue(), world::FewNames::default());
    let world = World { files: &NoFiles, protocols: &catalogue, ..world::world(&names) };
    let loaded = config::load(File::new("ldirectord.cf", text), &world);
    let desired = loaded.desired.unwrap();
    let checker = Checker::new();
    let attempted = RUNTIME.block_on(checker.run(&desired.checks[0], Stage::Negotiate));
    assert!(!format!("{attempted:?}").contains(PASSWORD), "{attempted:?}");
    attempted
}

/// One for all, as in the daemon: what a check leaves behind is looked after there.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());

const LINES: &str = "\tlogin=\"monitor\"\n\tpasswd=\"hunter2\"\n\tdatabase=\"ORCL\"\n\
                     \trequest=\"select 1 from dual\"\n";

fn words(attempted: &Attempted) -> String {
    attempted.verdict.as_ref().map_or_else(ToString::to_string, |pass| pass.detail.clone())
}

/// The processes that ask, each with its words, its environment and its limits.
fn processes() -> Vec<String> {
    let own = std::process::id();
    let entries = fs::read_dir("/proc").unwrap();
    let numbers =
        entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
    let read = |number: u32, name: &str| {
        let bytes = fs::read(format!("/proc/{number}/{name}")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let of_ours = numbers.filter(|number| {
        read(*number, "stat").rsplit_once(") ").is_some_and(|(_, rest)| {
            rest.split(' ').nth(1).is_some_and(|parent| parent == own.to_string())
        })
    });
    let told = |number| ["cmdline", "environ", "limits"].map(|name| read(number, name)).concat();
    of_ours.map(told).collect()
}

/// Whatever came of a check, its process ends.
fn none_is_left() -> Result<(), Failed> {
    for _ in 0..2000 {
        if processes().is_empty() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Err(format!("left: {:?}", processes()).into())
}

fn try_case(case: &'static Case) -> Result<(), Failed> {
    for host in ["127.0.0.1", "::1"] {
        let target = listen(host, case.serve);
        let found = words(&check(target, case.timeout, LINES));
        let expected = case.expected.replace('@', &target.to_string());
        if !(found == expected || (expected.ends_with(": ") && found.starts_with(&expected))) {
            return Err(format!("expected {expected}\nfound    {found}").into());
        }
        none_is_left()?;
    }
    Ok(())
}

fn nobody_listens() -> Result<(), Failed> {
    let target = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let found = words(&check(target, LONG, LINES));
    let expected =
        format!("refused: cannot connect to {target}: connection refused (ECONNREFUSED)");
    if found == expected { none_is_left() } else { Err(found.into()) }
}

fn a_redirection_is_followed() -> Result<(), Failed> {
    let there = listen("127.0.0.1", |mut stream| {
        let asked = heard(&mut stream);
        assert!(contains(&asked, b"(SID=NODE2)"), "{}", asked.escape_ascii());
        let text = "(ERR=12528)";
        say(&mut stream, &packet(REFUSE, &[b"\x01\0\0\x0b", text.as_bytes()].concat()));
        wait(stream);
    });
    let here = listen("127.0.0.1", move |mut stream| {
        connected(&mut stream);
        let text = format!(
            "(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT={}))\0\
             (DESCRIPTION=(CONNECT_DATA=(SID=NODE2)))",
            there.port()
        );
        let length = u16::try_from(text.len()).unwrap().to_be_bytes();
        say(&mut stream, &packet(REDIRECT, &length));
        say(&mut stream, &packet(DATA, &[&[0, 0], text.as_bytes()].concat()));
        wait(stream);
    });
    let found = words(&check(here, LONG, LINES));
    let expected =
        format!("protocol: ORA-12528: the instance ORCL at {here} lets nobody in for now");
    if found == expected { none_is_left() } else { Err(found.into()) }
}

fn the_process_is_confined() -> Result<(), Failed> {
    let target = listen("127.0.0.1", |mut stream| {
        connected(&mut stream);
        let is_confined = |process: &String| {
            let limits = ["Max address space 536870912 ", "Max cpu time 5 "];
            let words: Vec<_> = process.split_whitespace().collect();
            let words = words.join(" ");
            limits.iter().all(|limit| words.contains(limit))
                && words.contains(checks::ASK_ORACLE)
                && !words.contains(PASSWORD)
        };
        // What we say then shows what was seen.
        let number = match processes().as_slice() {
            [one] if is_confined(one) => "12505",
            _ => "12599",
        };
        let text = format!("(ERR={number})");
        say(&mut stream, &packet(REFUSE, &[b"\x01\0\0\x0b", text.as_bytes()].concat()));
        stream.shutdown(Shutdown::Write).unwrap();
    });
    let found = words(&check(target, LONG, LINES));
    if found.contains("ORA-12505") { none_is_left() } else { Err(found.into()) }
}

fn the_program_has_the_part() -> Result<(), Failed> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ldirectord"));
    // Nobody says what to ask.
    let (socket, theirs) = UnixStream::pair().unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let output = command.arg(checks::ASK_ORACLE).stdin(OwnedFd::from(theirs)).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let is_it = output.status.code() == Some(1) && said.contains("EOF");
    if is_it { Ok(()) } else { Err(said.into()) }
}

fn what_is_missing_is_told() -> Result<(), Failed> {
    let nowhere = "192.0.2.10:1521".parse().unwrap();
    for (without, expected) in [
        ("login", "there is no `login` to ask the database with"),
        ("passwd", "there is no `passwd` to ask the database with"),
        ("request", "there is no `request`, the statement to run"),
        ("database", "there is no `database`, the SID of the instance"),
    ] {
        let lines = LINES.lines().filter(|line| !line.trim().starts_with(without));
        let lines: String = lines.map(|line| format!("{line}\n")).collect();
        let found = words(&check(nowhere, LONG, &lines));
        if found != format!("protocol: {expected}") {
            return Err(found.into());
        }
    }
    let found = words(&check(nowhere, LONG, &LINES.replace("ORCL", "X)(SID=Y")));
    let expected = "protocol: `database` is no SID of an instance";
    if found == expected { Ok(()) } else { Err(found.into()) }
}
