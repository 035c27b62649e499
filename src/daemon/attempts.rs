//! The last attempts of every check, for people who ask why a server is down.
//!
//! Small, because there may be ten thousand checks: failures that are equal are kept once, and what a server sent is kept
//! of the last failed attempt only.

use std::{collections::HashMap, sync::Arc};

use crate::{
    model::{CheckSpec, Failure, Trace, Verdict},
    time::Moment,
};

/// How many attempts of a check are kept.
pub const KEPT: usize = 3;

/// An attempt that has ended.
#[derive(Clone, Debug)]
pub struct Record {
    /// When it ended.
    pub at: Moment,
    /// Why it failed; `None` when it passed.
    pub failure: Option<Arc<Failure>>,
    /// How it went, with what the server sent if it is the last that failed.
    pub trace: Trace,
}

/// The last attempts of every check.
#[derive(Debug, Default)]
pub struct Attempts {
    of: HashMap<Arc<CheckSpec>, Vec<Record>>,
}

impl Attempts {
    /// These are the checks from now on. What is known of those that stay is kept, all else forgotten.
    pub fn follow(&mut self, checks: &[Arc<CheckSpec>]) {
        let mut before = std::mem::take(&mut self.of);
        let mut kept = |check: &Arc<CheckSpec>| before.remove(check).unwrap_or_default();
        self.of = checks.iter().map(|check| (Arc::clone(check), kept(check))).collect();
    }

    /// An attempt has ended; of a check that is not ours nothing is kept.
    pub fn record(&mut self, check: &CheckSpec, at: Moment, verdict: &Verdict, trace: Trace) {
        let Some(records) = self.of.get_mut(check) else { return };
        let mut record = Record { at, failure: None, trace };
        match verdict {
            Ok(_) => record.trace.received = Vec::new(),
            Err(failure) => {
                let mut known = records.iter().filter_map(|record| record.failure.as_ref());
                let known = known.find(|known| known.as_ref() == failure).map(Arc::clone);
                record.failure = Some(known.unwrap_or_else(|| Arc::new(failure.clone())));
                for earlier in records.iter_mut() {
                    earlier.trace.received = Vec::new();
                }
            }
        }
        if records.len() >= KEPT {
            records.remove(0);
        }
        records.reserve_exact(KEPT.saturating_sub(records.len()));
        records.push(record);
    }

    /// What is kept of a check, the last attempt first.
    pub fn of(&self, check: &CheckSpec) -> impl Iterator<Item = &Record> {
        self.of.get(check).into_iter().flatten().rev()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{CheckKind, Pass, Phase, Reason};

    fn check(port: u16) -> Arc<CheckSpec> {
        let time = Duration::from_secs(1);
        Arc::new(CheckSpec {
            target: ([127, 0, 0, 1], port).into(),
            kind: CheckKind::Connect,
            interval: time,
            fast_interval: time,
            down_interval: time,
            timeout: time,
        })
    }

    fn failed(detail: &str) -> Verdict {
        Err(Failure { reason: Reason::Mismatch, detail: detail.to_owned() })
    }

    fn at(seconds: u64) -> Moment {
        Moment::at(Duration::from_secs(seconds))
    }

    /// What is kept: when, the failure, and how many bytes.
    fn kept(attempts: &Attempts, check: &CheckSpec) -> Vec<(Moment, Option<String>, usize)> {
        let words = |record: &Record| record.failure.as_ref().map(|failure| failure.detail.clone());
        attempts
            .of(check)
            .map(|record| (record.at, words(record), record.trace.received.len()))
            .collect()
    }

    #[test]
    fn the_last_attempts_of_each_check_are_kept() {
        let (web, mail) = (check(80), check(25));
        let mut attempts = Attempts::default();
        attempts.follow(&[Arc::clone(&web), Arc::clone(&mail)]);
        let trace = Trace { received: vec![b'x'; 9], ..Trace::of(Phase::Match, Duration::ZERO) };
        let verdicts = [failed("forgotten"), failed("odd"), failed("odd"), Ok(Pass::default())];
        for (second, verdict) in (1..).zip(&verdicts) {
            attempts.record(&web, at(second), verdict, trace.clone());
        }
        let odd = Some("odd".to_owned());
        let expected = [(at(4), None, 0), (at(3), odd.clone(), 9), (at(2), odd, 0)];
        assert_eq!(kept(&attempts, &web), expected);
        assert_eq!(kept(&attempts, &mail), []);
        let failures: Vec<_> =
            attempts.of(&web).filter_map(|record| record.failure.as_ref()).collect();
        assert!(Arc::ptr_eq(failures[0], failures[1]));

        // A reload makes its checks anew; another has never heard of mail.
        attempts.follow(&[check(80), check(110)]);
        assert_eq!(kept(&attempts, &web), expected);
        attempts.record(&mail, at(5), &failed("gone"), trace);
        attempts.follow(&[check(80), check(25)]);
        assert_eq!(kept(&attempts, &mail), []);
    }

    #[test]
    fn ten_thousand_checks_cost_little() {
        // Beside these, of a check that fails there are one failure in words and at most 256 bytes.
        assert!(size_of::<Record>() * KEPT <= 256, "{} bytes a record", size_of::<Record>());
    }
}
