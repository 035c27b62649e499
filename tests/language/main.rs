//! Our reading of `ldirectord.cf` is the Perl program's, proved: both programs get the same files on a real IPVS
//! kernel, and both must refuse each for the same fault, or install the same services and servers.
//!
//! The files are those of the corpus (see `support/corpus.rs`), and files made at random from seeds: the first few
//! hundred always, others with `LDIRECTORD_LANGUAGE_SEEDS=1000-2000` (then these only).
//!
//! Every server works without being asked (`checktype=on`), or never (`off`): what is checked is for `tests/oracle`.

#![allow(unreachable_pub, reason = "nobody uses a test program's modules but itself")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and measures time"
)]

#[path = "../support/corpus.rs"]
mod corpus;
#[path = "../support/labs.rs"]
mod labs;
#[path = "../support/namespaces.rs"]
mod namespaces;
mod programs;
mod random;
mod rewrite;
mod verdict;

use std::{
    cell::RefCell, fmt::Write as _, ops::RangeInclusive, path::Path, process::ExitCode,
    sync::OnceLock,
};

use libtest_mimic::{Arguments, Failed, Trial};

use self::{
    corpus::Corpus,
    programs::{KnownNames, Pair},
    random::Difference,
};

/// The seeds of an ordinary run.
const SEEDS: RangeInclusive<u64> = 1..=320;
/// Those of them whose file the Perl program also reads without the short cuts of `reference.pl`.
const PLAIN: RangeInclusive<u64> = 1..=4;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let folder = corpus::folder();
    if !labs::is_here() && !arguments.list {
        let readable: Vec<&Path> = folder.as_deref().into_iter().collect();
        return labs::run(&readable);
    }
    // While others change services in another namespace the kernel tells some twice and some not at all.
    arguments.test_threads = Some(1);
    let asked = labs::seeds("LDIRECTORD_LANGUAGE_SEEDS");
    let mut trials = Vec::new();
    let mut hosts = random::HOSTS.to_owned();
    match folder {
        _ if asked.is_some() => {}
        Ok(folder) => {
            let corpus = Corpus::read(&folder);
            for (name, address) in &corpus.hosts {
                _ = writeln!(hosts, "{address} {name}");
            }
            trials.extend(corpus_trials(corpus));
        }
        Err(trial) => trials.push(trial),
    }
    trials.extend(asked.unwrap_or(SEEDS).map(|seed| {
        trial(&format!("random-{seed}"), move |pair| {
            let file = random::file(seed);
            let installed = compare(pair, &file.text, &file.differs)?;
            if !installed && file.right {
                return Err(format!("{}\nnobody installs this", shown(&file.text)).into());
            }
            if PLAIN.contains(&seed) { short_cuts_change_nothing(pair, &file.text) } else { Ok(()) }
        })
    }));
    NAMES.set(KnownNames { hosts, services: SERVICES.to_owned() }).unwrap_or_default();
    libtest_mimic::run(&arguments, labs::share(trials).collect()).exit_code()
}

/// Services of the corpus that are meant to differ, and why.
const DIFFERENT: &[(&str, &str, &str)] = &[
    ("005-sample-2002-05.cf", "-t 192.168.6.240:143", FALLBACK_IS_REAL),
    ("071-derived-sample-no-range.cf", "-t 192.168.6.240:143", FALLBACK_IS_REAL),
];
const FALLBACK_IS_REAL: &str =
    "ldirectord takes the fallback away, and with it the real server that it also is";

/// A trial for each file that the Perl program accepts.
fn corpus_trials(corpus: Corpus) -> impl Iterator<Item = Trial> {
    for (name, _, _) in DIFFERENT {
        assert!(corpus.files.contains_key(*name), "{name} is listed here and not in the corpus");
    }
    let accepted = corpus.files.into_iter().filter(|(_, file)| file.error.is_none());
    accepted.map(|(name, file)| {
        let differs = DIFFERENT.iter().filter(|(listed, _, _)| *listed == name);
        let differs: Vec<_> = differs
            .map(|(_, service, why)| Difference { service: (*service).to_owned(), why })
            .collect();
        trial(&name, move |pair| {
            match compare(pair, &rewrite::with_checks_on(&file.source), &differs)? {
                true => Ok(()),
                false => Err("ldirectord refuses the file since its checks are on".into()),
            }
        })
    })
}

static NAMES: OnceLock<KnownNames> = OnceLock::new();

thread_local! {
    /// The programs, which read one file after the other.
    static PAIR: RefCell<Option<Pair>> = const { RefCell::new(None) };
}

fn trial(name: &str, run: impl FnOnce(&Pair) -> Result<(), Failed> + Send + 'static) -> Trial {
    Trial::test(name, move || {
        PAIR.with_borrow_mut(|pair| {
            let started = match (pair.take(), NAMES.get()) {
                (Some(pair), _) => pair,
                (None, Some(names)) => Pair::start(names)?,
                (None, None) => return Err("there are no names".into()),
            };
            let result = run(&started);
            // Whatever went wrong may have left something behind.
            *pair = result.is_ok().then_some(started);
            result
        })
    })
}

/// `/etc/services` of both programs.
const SERVICES: &str = "ftp 21/tcp\nsmtp 25/tcp mail\ndomain 53/tcp\ndomain 53/udp\ntftp 69/udp\nhttp 80/tcp www\n\
    https 443/tcp\nhttps 443/udp\nmysql 3306/tcp\nsip 5060/tcp\nsip 5060/udp\nhttp-alt 8080/tcp webcache\nhttp-alt 8080/udp\n";

/// Both programs read the file; what comes of it must be the same, but for the services that are listed as different.
/// Says whether they install anything.
fn compare(pair: &Pair, source: &[u8], differs: &[Difference]) -> Result<bool, Failed> {
    let theirs = pair.theirs(source)?;
    let loaded = pair.read(source)?;
    let told = |fault: String| Failed::from(format!("{}\n{fault}", shown(source)));
    if let Some(fault) = verdict::difference(&theirs, &loaded) {
        return Err(told(fault));
    }
    let (Some(table), Some(_)) = (theirs.table, loaded.desired) else { return Ok(false) };
    let services: Vec<String> = differs.iter().map(|differs| differs.service.clone()).collect();
    let hide = move |table: &str| -> String {
        let is_hidden = |line: &&str| services.iter().any(|service| is_of(line, service));
        table.lines().filter(|line| !is_hidden(line)).flat_map(|line| [line, "\n"]).collect()
    };
    let expected = hide(&table);
    let is_right = {
        let (hide, expected) = (hide.clone(), expected.clone());
        move |ours: &str| hide(ours) == expected
    };
    let ours = pair.install(source, is_right).map_err(told)?;
    if hide(&ours) != expected {
        return Err(told(format!(
            "--- ldirectord's\n{expected}--- ours\n{}{}",
            hide(&ours),
            namespaces::difference(&expected, &hide(&ours))
        )));
    }
    for Difference { service, why } in differs {
        let of = |table: &str| -> Vec<String> {
            let lines = table.lines().filter(|line| is_of(line, service));
            lines.map(str::to_owned).collect()
        };
        if of(&table) == of(&ours) {
            return Err(told(format!("{service} should differ ({why}), and is the same:\n{ours}")));
        }
    }
    Ok(true)
}

/// Whether a line of a table belongs to the service.
fn is_of(line: &str, service: &str) -> bool {
    format!(" {line} ").contains(&format!(" {service} "))
}

/// The Perl program installs the same when it runs as it is.
fn short_cuts_change_nothing(pair: &Pair, source: &[u8]) -> Result<(), Failed> {
    let (short, plain) = (pair.theirs(source)?, pair.theirs_plain(source)?);
    let differs = short.table.as_ref() != plain.table.as_ref();
    match differs {
        true => Err(format!(
            "{}\n--- with the short cuts of reference.pl\n{}--- without\n{}",
            shown(source),
            short.table.unwrap_or(short.said),
            plain.table.unwrap_or(plain.said)
        )
        .into()),
        false => Ok(()),
    }
}

/// A file with the numbers of its lines, and with what cannot be seen.
fn shown(source: &[u8]) -> String {
    let mut text = String::new();
    for (number, line) in (1..).zip(source.split_inclusive(|byte| *byte == b'\n')) {
        let line = String::from_utf8_lossy(line).replace('\t', "\\t").replace('\r', "\\r");
        _ = writeln!(text, "{number:3} |{}", line.trim_end_matches('\n'));
    }
    text
}
