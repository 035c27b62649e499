//! Plays a scene on two stages and compares them after every step.

use std::{
    fmt::Write as _,
    sync::mpsc::RecvTimeoutError,
    thread,
    time::{Duration, Instant},
};

use crate::{
    namespaces::{Ended, Program, difference},
    scene::{Action, Scene, Step},
    servers::Certificate,
    stage::{Sample, Stage},
};

/// How often both stages are looked at.
/// How long mails may take to come.
const MAIL_LIMIT: Duration = Duration::from_secs(20);

const LOOK: Duration = Duration::from_millis(200);
/// A step of the reference that takes longer is a fault of the scene.
const REFERENCE_LIMIT: Duration = Duration::from_secs(300);
/// How long we may take after the reference has settled.
const OUR_LIMIT: Duration = Duration::from_secs(20);
/// Check passes without a change after which a table counts as settled, unless a scene says otherwise.
const PASSES: u32 = 2;
/// Without a living daemon nothing changes for this long.
const QUIET_ALONE: Duration = Duration::from_millis(1500);
/// A living daemon that makes no more check passes has settled after this.
const QUIET_STALLED: Duration = Duration::from_secs(4);

/// What a scene says about settling.
#[derive(Clone, Copy)]
struct Pace {
    passes: u32,
    /// Whether the reference makes check passes at all.
    stalled: bool,
}

impl Pace {
    fn follow(&mut self, step: &Step) {
        for action in &step.actions {
            match action {
                Action::Passes(number) => self.passes = *number,
                Action::Stalled(stalled) => self.stalled = *stalled,
                _ => {}
            }
        }
    }
}

/// Follows one stage until nothing changes any more.
struct Watch {
    sample: Sample,
    changed: Instant,
    hits_then: u64,
    hit: Instant,
}

impl Watch {
    fn new(stage: &Stage) -> Result<Watch, String> {
        let (sample, now) = (stage.sample()?, Instant::now());
        Ok(Watch { hits_then: sample.hits, sample, changed: now, hit: now })
    }

    fn look(&mut self, stage: &Stage) -> Result<(), String> {
        let (sample, now) = (stage.sample()?, Instant::now());
        if sample.hits != self.sample.hits {
            self.hit = now;
        }
        if sample.table != self.sample.table
            || sample.alive != self.sample.alive
            || sample.pid_file != self.sample.pid_file
        {
            self.changed = now;
            self.hits_then = sample.hits;
        }
        self.sample = sample;
        Ok(())
    }

    /// `stalled` when no check passes are to be expected.
    fn settled(&self, pace: Pace, stalled: bool) -> bool {
        let quiet = self.changed.elapsed().min(self.hit.elapsed());
        // The pass that was under way when the step came does not count.
        self.sample.hits - self.hits_then > u64::from(pace.passes)
            || (!self.sample.alive && quiet > QUIET_ALONE)
            || (stalled && quiet > QUIET_STALLED)
    }
}

/// Plays a scene with both programs; the error says what differs.
pub fn compare(scene: &Scene, certificate: &Certificate) -> Result<(), String> {
    let reference = Stage::set(Program::Reference, scene, certificate)?;
    let ours = Stage::set(Program::Ours, scene, certificate)?;
    let mut pace = Pace { passes: PASSES, stalled: false };
    for (index, step) in scene.steps.iter().enumerate() {
        let result = compare_step(&reference, &ours, step, &mut pace);
        if let Err(error) = result {
            let mut text = scene.about.clone();
            for (number, earlier) in scene.steps.iter().take(index + 1).enumerate() {
                _ = writeln!(
                    text,
                    "{} {}",
                    if number == index { ">>" } else { "  " },
                    earlier.text
                );
            }
            _ = write!(
                text,
                "{error}\n--- the end of ldirectord's log\n{}",
                end_of_log(&reference)
            );
            _ = write!(text, "--- the end of our log\n{}", end_of_log(&ours));
            return Err(text);
        }
    }
    Ok(())
}

fn compare_step(
    reference: &Stage,
    ours: &Stage,
    step: &Step,
    pace: &mut Pace,
) -> Result<(), String> {
    pace.follow(step);
    let (their_work, our_work) = (reference.act(&step.actions), ours.act(&step.actions));
    let gone = |_: RecvTimeoutError| "the actions did not end".to_owned();
    let theirs = their_work
        .recv_timeout(REFERENCE_LIMIT)
        .map_err(gone)?
        .map_err(|error| format!("ldirectord: {error}"))?;
    let our = our_work
        .recv_timeout(REFERENCE_LIMIT)
        .map_err(gone)?
        .map_err(|error| format!("ours: {error}"))?;
    for (theirs, ours) in theirs.iter().zip(&our) {
        compare_ends(theirs, ours)?;
    }
    let (mut their_watch, mut our_watch) = (Watch::new(reference)?, Watch::new(ours)?);
    let started = Instant::now();
    while !their_watch.settled(*pace, pace.stalled) {
        if started.elapsed() > REFERENCE_LIMIT {
            return Err(format!("ldirectord does not settle; its table:\n{}", reference.table()?));
        }
        thread::sleep(LOOK);
        their_watch.look(reference)?;
        our_watch.look(ours)?;
    }
    let their_table = reference.table()?;
    let expected = step.differs.as_ref().map_or(&their_table, |differs| &differs.table);
    if let Some(differs) = step.differs.as_ref().filter(|differs| differs.table == their_table) {
        return Err(format!(
            "this should differ ({}), but ldirectord does the same as we should:\n{their_table}",
            differs.why
        ));
    }
    let settled = Instant::now();
    let mut seen = String::new();
    loop {
        if our_watch.settled(*pace, false) {
            seen = ours.table()?;
            if seen == *expected {
                break;
            }
        }
        if settled.elapsed() > OUR_LIMIT
            || (our_watch.settled(*pace, false) && settled.elapsed() > OUR_LIMIT / 4)
        {
            if seen.is_empty() {
                seen = ours.table()?;
            }
            let not = if our_watch.settled(*pace, false) { "" } else { " (not settled)" };
            let of = if step.differs.is_some() { "expected of us" } else { "ldirectord's" };
            return Err(format!(
                "--- {of}\n{expected}--- our table{not}\n{seen}{}",
                difference(expected, &seen)
            ));
        }
        thread::sleep(LOOK);
        our_watch.look(ours)?;
    }
    their_watch.look(reference)?;
    if their_watch.sample.pid_file != our_watch.sample.pid_file {
        return Err(format!(
            "pid file: ldirectord {}, ours {}",
            their_watch.sample.pid_file, our_watch.sample.pid_file
        ));
    }
    if step.actions.iter().any(|action| matches!(action, Action::CompareLog)) {
        let (theirs, ours) = (reference.changes(), ours.changes());
        if theirs != ours {
            return Err(format!("--- ldirectord logged\n{theirs:#?}\n--- we logged\n{ours:#?}"));
        }
    }
    if step.actions.iter().any(|action| matches!(action, Action::CompareMail)) {
        compare_mails(reference, ours)?;
    }
    Ok(())
}

/// Plays a scene with ldirectord alone and tells its tables: for writing a scene.
pub fn record(scene: &Scene, certificate: &Certificate) -> Result<String, String> {
    let reference = Stage::set(Program::Reference, scene, certificate)?;
    let mut pace = Pace { passes: PASSES, stalled: false };
    let mut text = String::new();
    for step in &scene.steps {
        pace.follow(step);
        let started = Instant::now();
        let ended =
            reference.act(&step.actions).recv().map_err(|_| "the stage is gone".to_owned())??;
        let mut watch = Watch::new(&reference)?;
        while !watch.settled(pace, pace.stalled) && started.elapsed() < REFERENCE_LIMIT {
            thread::sleep(LOOK);
            watch.look(&reference)?;
        }
        _ = writeln!(
            text,
            "{}    # {:.1} s, pid file: {}",
            step.text,
            started.elapsed().as_secs_f64(),
            watch.sample.pid_file
        );
        for ended in ended {
            _ = writeln!(text, "    exit {:?} {}", ended.code, ended.output.trim());
        }
        for line in reference.table()?.lines() {
            _ = writeln!(text, "    {line}");
        }
        if step.actions.iter().any(|action| matches!(action, Action::CompareLog)) {
            _ = writeln!(text, "{:#?}", reference.changes());
        }
    }
    _ = write!(text, "--- the end of the log\n{}", end_of_log(&reference));
    Ok(text)
}

/// A mail of ours waits a second for others, and a program takes its time.
fn compare_mails(reference: &Stage, ours: &Stage) -> Result<(), String> {
    let started = Instant::now();
    loop {
        let (theirs, our) = (reference.mails(), ours.mails());
        if theirs == our && !theirs.is_empty() {
            return Ok(());
        }
        if started.elapsed() > MAIL_LIMIT {
            let (theirs, our) = (theirs.join("\n\n"), our.join("\n\n"));
            return Err(format!("--- ldirectord mailed\n{theirs}\n--- we mailed\n{our}"));
        }
        thread::sleep(LOOK);
    }
}

fn compare_ends(theirs: &Ended, ours: &Ended) -> Result<(), String> {
    let words = theirs.arguments.join(" ");
    if theirs.code != ours.code {
        return Err(format!(
            "`ldirectord {words}` exits with {:?}, ours with {:?}\n--- it said\n{}\n--- we said\n{}",
            theirs.code, ours.code, theirs.output, ours.output
        ));
    }
    // What is wrong with a file we say in other words. Otherwise the one difference that must be is the number of the process.
    let plain = |text: &str| {
        text.split(|c: char| c.is_ascii_digit())
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("N")
    };
    let told = matches!(theirs.code, Some(0 | 1 | 3));
    if told
        && theirs.arguments.last().is_some_and(|word| word == "status")
        && plain(&theirs.output) != plain(&ours.output)
    {
        return Err(format!("`ldirectord {words}` says\n{}\nours\n{}", theirs.output, ours.output));
    }
    Ok(())
}

fn end_of_log(stage: &Stage) -> String {
    let log = stage.log();
    log.iter().skip(log.len().saturating_sub(40)).flat_map(|line| [line.as_str(), "\n"]).collect()
}
