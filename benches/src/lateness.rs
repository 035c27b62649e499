//! How late checks are at 10,000 a second.
//!
//! Seen from the server: each real server is checked every second, on a beat of its own. Its earliest arrival,
//! whole seconds aside, is taken for that beat; how much later the others are is their lateness. What is late in
//! accepting a connection, in the kernel or in the bench's own server, counts against the daemon.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::process::Running;
use crate::server::{Arrival, Server};
use crate::{Problem, head, load, print};

const COUNT: u32 = 10_000;
const INTERVAL: Duration = Duration::from_secs(1);
const SPAN: Duration = Duration::from_secs(15);

pub(crate) fn measure(program: &Path) -> Result<(), Problem> {
    load::claim_addresses()?;
    let server = Server::start()?;
    head(&format!("Lateness at {COUNT} checks a second, for {} s", SPAN.as_secs()));
    for (name, check) in [("connect", &["checktype=connect"][..]), ("http", &load::HTTP[..])] {
        let configuration = load::configuration(COUNT, "checkinterval=1\nchecktimeout=5", check);
        let mut running = Running::daemon(program, "memory", &configuration)?;
        server.wait_for_all(COUNT, Duration::from_secs(60))?;
        thread::sleep(Duration::from_secs(3));
        let (before, _, began) = (running.processor_time()?, server.arrivals(), Instant::now());
        thread::sleep(SPAN);
        let (after, arrivals, took) =
            (running.processor_time()?, server.arrivals(), began.elapsed());
        running.expect_alive()?;
        let checks = f64::from(u32::try_from(arrivals.len())?);
        let lateness = lateness(&arrivals);
        print(
            &format!("{name}: checks a second"),
            &format!("{:.0}", checks / took.as_secs_f64()),
            "",
        );
        print(&format!("{name}: median"), &milliseconds(percentile(&lateness, 50)), "");
        print(
            &format!("{name}: 99 of 100 are within"),
            &milliseconds(percentile(&lateness, 99)),
            "(aim: under 50 ms)",
        );
        print(&format!("{name}: the latest"), &milliseconds(percentile(&lateness, 100)), "");
        let usage = after.saturating_sub(before).as_secs_f64() / took.as_secs_f64();
        print(&format!("{name}: of one processor"), &format!("{:.0} %", usage * 100.0), "");
        drop(running);
        // The server's sockets of the last checks.
        thread::sleep(Duration::from_secs(1));
        server.arrivals();
    }
    Ok(())
}

/// The lateness of each arrival, in order of size.
fn lateness(arrivals: &[Arrival]) -> Vec<Duration> {
    let Some(origin) = arrivals.iter().map(|arrival| arrival.at).min() else { return Vec::new() };
    let mut servers: BTreeMap<u32, Vec<Duration>> = BTreeMap::new();
    for arrival in arrivals {
        servers.entry(arrival.number).or_default().push(arrival.at - origin);
    }
    let mut all: Vec<Duration> = servers.values().flat_map(|times| late_on_a_beat(times)).collect();
    all.sort_unstable();
    all
}

/// How late each of the times is, which lie an interval apart, or several.
fn late_on_a_beat(times: &[Duration]) -> Vec<Duration> {
    let Some(&first) = times.first() else { return Vec::new() };
    // Against the beat of the first one, early by less than half an interval or late.
    let half = INTERVAL / 2;
    let offsets: Vec<Duration> = times
        .iter()
        .map(|time| {
            let beats = (*time + half).saturating_sub(first).as_nanos() / INTERVAL.as_nanos();
            let beat = first + INTERVAL * u32::try_from(beats).unwrap_or(u32::MAX);
            (*time + half).saturating_sub(beat)
        })
        .collect();
    let earliest = offsets.iter().min().copied().unwrap_or_default();
    offsets.iter().map(|offset| offset.saturating_sub(earliest)).collect()
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_against_the_earliest_on_the_beat() {
        let times = [10, 1012, 2008, 4011].map(Duration::from_millis);
        assert_eq!(late_on_a_beat(&times), [2, 4, 0, 3].map(Duration::from_millis));
    }

    #[test]
    fn percentiles_of_a_hundred() {
        let times: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 99), Duration::from_millis(99));
        assert_eq!(percentile(&times, 100), Duration::from_millis(100));
    }
}
