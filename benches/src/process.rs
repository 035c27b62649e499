//! Other programs: running them, and what they use of the machine.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Problem;

/// Of `/proc/PID/stat`, on every architecture that Linux has had for twenty years.
const TICK: Duration = Duration::from_millis(10);

/// A program that goes on until this is dropped.
pub(crate) struct Running(Child);

impl Running {
    /// Starts a program, whose output nobody reads.
    pub(crate) fn start(command: &mut Command) -> Result<Self, Problem> {
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Self(
            child.map_err(|error| {
                format!("cannot run {}: {error}", command.get_program().display())
            })?,
        ))
    }

    /// Starts the daemon on a configuration, which has to say `supervised=yes`.
    pub(crate) fn daemon(
        program: &Path,
        table: &str,
        configuration: &str,
    ) -> Result<Self, Problem> {
        let file = std::env::temp_dir().join("ldirectord-bench.cf");
        replace(&file, configuration)?;
        Self::start(Command::new(program).args(["--table", table]).arg(file).arg("start"))
    }

    /// Whether it is still there; a program that ended measures nothing.
    pub(crate) fn expect_alive(&mut self) -> Result<(), Problem> {
        match self.0.try_wait()? {
            None => Ok(()),
            Some(status) => {
                Err(format!("the program that is measured ended early, with {status}").into())
            }
        }
    }

    /// Processor time of it and its children, user and system.
    pub(crate) fn processor_time(&self) -> io::Result<Duration> {
        let mut ticks = 0;
        for entry in fs::read_dir("/proc")? {
            let Ok(text) = fs::read_to_string(entry?.path().join("stat")) else { continue };
            let Some(stat) = Stat::parse(&text) else { continue };
            if stat.pid == self.0.id() || stat.parent == self.0.id() {
                ticks += stat.ticks;
            }
        }
        Ok(TICK * ticks)
    }

    /// A line of `/proc/PID/status` in kilobytes, such as `VmRSS`.
    pub(crate) fn kilobytes(&self, name: &str) -> Result<u64, Problem> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        number.ok_or_else(|| format!("the kernel does not tell {name}").into())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Asked first, because keepalived's parent ends its children.
        drop(Command::new("kill").arg(self.0.id().to_string()).status());
        for _ in 0..300 {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

struct Stat {
    pid: u32,
    parent: u32,
    ticks: u32,
}

impl Stat {
    /// Fields 1, 4, 14 and 15 of proc(5); the name in field 2 may hold anything.
    fn parse(text: &str) -> Option<Self> {
        let (pid, rest) = text.split_once(" (")?;
        let (_, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<_> = rest.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u32>().ok();
        Some(Self { pid: pid.parse().ok()?, parent: field(4)?, ticks: field(14)? + field(15)? })
    }
}

/// Runs a program to its end, which must be a good one.
pub(crate) fn run(words: &[&str]) -> Result<(), Problem> {
    let Some((program, rest)) = words.split_first() else { return Ok(()) };
    let output = Command::new(program).args(rest).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot run {program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "`{}` ended with {}: {}",
        words.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    )
    .into())
}

/// Writes a file of our own.
pub(crate) fn replace(file: &Path, text: &str) -> Result<(), Problem> {
    fs::write(file, text)
        .map_err(|error| format!("cannot write {}: {error}", file.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_name_with_a_bracket_in_it() {
        let line = "42 (a) b) S 7 42 42 0 -1 4194304 1 2 3 4 150 50 0 0 20 0 1 0 100 0 0";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.pid, stat.parent, stat.ticks), (42, 7, 200));
    }
}
