//! `checktype=external`: the server works when a program ends with status 0.
//!
//! The program is started without a shell, in a process group of its own, with nothing to read, in `/`, with our
//! environment; no password is in it or among the arguments. What it writes is read and its beginning kept for people.
//! At the timeout, or when the attempt is cancelled, the whole group is told to end (TERM) and a little later killed,
//! and the program is reaped.
//! What a program that ended by itself left running is let live, as ldirectord does.
//!
//! Differs from ldirectord: a program that a signal ended has failed; processes that it started end with it.

use std::{
    ffi::OsString,
    io,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use nix::{errno::Errno, sys::signal::Signal};
use tokio::{process::Command, sync::Semaphore, time::timeout};

use super::{child::Running, failure};
use crate::model::{Failure, Pass, Reason, Verdict};

/// How many programs run at once.
const AT_ONCE: usize = 64;

/// Runs programs, not too many at once.
#[derive(Debug)]
pub(super) struct Programs {
    slots: Arc<Semaphore>,
}

impl Default for Programs {
    fn default() -> Programs {
        Programs { slots: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Programs {
    /// Runs a program. Waiting for others to end does not count as its time.
    pub(super) async fn run(
        &self,
        program: &Path,
        arguments: &[OsString],
        allowed: Duration,
    ) -> Verdict {
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(|error| failure(Reason::Internal, error.to_string()))?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir("/");
        let mut running = Running::start(&mut command, Stdio::null(), slot)
            .map_err(|error| cannot_run(program, &error))?;
        match timeout(allowed, running.finish()).await {
            Ok(Ok(status)) => judge(status, running.output.kept()),
            Ok(Err(error)) => Err(cannot_run(program, &error)),
            Err(_elapsed) => {
                let detail = format!("{} did not end within {allowed:?}", program.display());
                Err(failure(Reason::Timeout, with_output(&detail, running.output.kept())))
            }
        }
    }
}

/// That a program cannot be run, and whose fault it is.
pub(super) fn cannot_run(program: &Path, error: &io::Error) -> Failure {
    let reason = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE) => Reason::Internal,
        _ => Reason::Command,
    };
    failure(reason, format!("cannot run {}: {}", program.display(), super::connect::words(error)))
}

/// What the end of a program says.
pub(super) fn judge(status: ExitStatus, output: &[u8]) -> Verdict {
    let fault = match (status.code(), status.signal()) {
        (Some(0), _) if status.success() => return Ok(Pass { detail: text(output) }),
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(number)) => match Signal::try_from(number) {
            Ok(signal) => format!("ended by {signal}"),
            Err(_) => format!("ended by signal {number}"),
        },
        (None, None) => status.to_string(),
    };
    Err(failure(Reason::Command, with_output(&fault, output)))
}

/// A fault, and what the program said of it.
pub(super) fn with_output(fault: &str, output: &[u8]) -> String {
    match text(output).as_str() {
        "" => fault.to_owned(),
        text => format!("{fault}: {text}"),
    }
}

/// What a program wrote, on one line that no terminal or log minds.
fn text(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines = text.lines().map(|line| line.replace(char::is_control, " ").trim().to_owned());
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

/// What holds of what programs say and how they end, whatever that is.
#[cfg(any(test, fuzzing))]
pub(super) mod laws {
    use super::{
        super::{child::KEPT, laws::is_fit},
        ExitStatus, ExitStatusExt as _, judge,
    };

    /// There is a verdict, and its words are fit for people.
    pub(in super::super) fn hold(input: &[u8]) {
        let Some((status, output)) = input.split_first_chunk() else { return };
        let status = ExitStatus::from_raw(i32::from(u16::from_be_bytes(*status)));
        let verdict = judge(status, output.get(..KEPT).unwrap_or(output));
        assert_eq!(verdict.is_ok(), status.success(), "the status decides");
        match verdict {
            Ok(pass) => is_fit(&pass.detail, 2 * KEPT),
            Err(fault) => is_fit(&fault.detail, 2 * KEPT),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    async fn shell(script: &str, allowed: Duration) -> Verdict {
        let arguments = ["-c", script, "program", "192.0.2.1", "80"].map(OsString::from);
        Programs::default().run(Path::new("/bin/sh"), &arguments, allowed).await
    }

    fn fault(reason: Reason, detail: &str) -> Verdict {
        Err(failure(reason, detail))
    }

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn the_exit_status_decides_and_the_output_explains() {
        assert_eq!(shell("exit 0", LONG).await, Ok(Pass::default()));
        assert_eq!(shell("echo $1 $2; pwd", LONG).await.unwrap().detail, "192.0.2.1 80; /");
        assert_eq!(shell("exit 3", LONG).await, fault(Reason::Command, "exit status 3"));
        let verdict = shell("echo out; printf 'bad\\033[31m\\n' >&2; exit 1", LONG).await;
        assert_eq!(verdict, fault(Reason::Command, "exit status 1: out; bad [31m"));
        assert_eq!(shell("kill -9 $$", LONG).await, fault(Reason::Command, "ended by SIGKILL"));
        // It reads nothing and writes without end before it ends.
        assert_eq!(
            shell("cat; head -c 10000000 /dev/zero", LONG).await.map(|pass| pass.detail.len()),
            Ok(0)
        );
    }

    #[test]
    fn only_a_status_that_is_nothing_else_than_0_passes() {
        assert!(judge(ExitStatus::from_raw(0), b"").is_ok());
        // A dumped core without a signal, which no kernel says.
        assert!(judge(ExitStatus::from_raw(0x80), b"").is_err());
    }

    #[tokio::test]
    async fn a_program_that_cannot_be_run_is_a_failure() {
        let programs = Programs::default();
        let verdict = programs.run(Path::new("/nonexistent/check"), &[], LONG).await;
        let detail = "cannot run /nonexistent/check: no such file or directory (ENOENT)";
        assert_eq!(verdict, fault(Reason::Command, detail));
        let verdict = programs.run(Path::new("/etc/passwd"), &[], LONG).await;
        assert_eq!(
            verdict,
            fault(Reason::Command, "cannot run /etc/passwd: permission denied (EACCES)")
        );
    }

    #[tokio::test]
    async fn what_a_program_left_behind_does_not_hold_us_up() {
        let start = Instant::now();
        assert!(shell("sleep 5 & exit 0", LONG).await.is_ok());
        assert!(start.elapsed() < Duration::from_secs(3));
    }

    /// Waits until no process has this number, or the test has hung.
    async fn gone(pid: i32) {
        for _ in 0..1000 {
            // A process that has ended and was adopted by an init that does not reap counts as gone.
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("process {pid} lives on");
    }

    /// A script that ignores TERM, as its child does, and where it writes their numbers.
    fn stubborn(folder: &tempfile::TempDir) -> (String, std::path::PathBuf) {
        let file = folder.path().join("pids");
        let path = file.display();
        let script = format!(
            "trap '' TERM; sleep 1000 & echo $$ $! > {path}.new; mv {path}.new {path}; wait; wait"
        );
        (script, file)
    }

    async fn pids(file: &Path) -> Vec<i32> {
        loop {
            if let Ok(text) = std::fs::read_to_string(file) {
                return text.split_whitespace().map(|word| word.parse().unwrap()).collect();
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn at_the_timeout_the_whole_group_ends() {
        let folder = tempfile::tempdir().unwrap();
        let (script, file) = stubborn(&folder);
        let start = Instant::now();
        let verdict = shell(&format!("echo hello; {script}"), Duration::from_secs(1)).await;
        assert_eq!(verdict, fault(Reason::Timeout, "/bin/sh did not end within 1s: hello"));
        assert!(start.elapsed() < Duration::from_millis(1400), "{:?}", start.elapsed());
        for pid in pids(&file).await {
            gone(pid).await;
        }
    }

    #[tokio::test]
    async fn a_cancelled_program_and_its_group_end() {
        let folder = tempfile::tempdir().unwrap();
        let (script, file) = stubborn(&folder);
        let running = tokio::spawn(async move { shell(&script, LONG).await });
        let pids = pids(&file).await;
        running.abort();
        for pid in pids {
            gone(pid).await;
        }
    }

    #[tokio::test]
    async fn waiting_for_a_slot_is_not_the_programs_time() {
        let programs = Programs { slots: Arc::new(Semaphore::new(1)) };
        let arguments = ["-c", "sleep 0.15"].map(OsString::from);
        let run = || programs.run(Path::new("/bin/sh"), &arguments, Duration::from_millis(600));
        let verdicts = tokio::join!(run(), run(), run(), run(), run(), run());
        assert!(
            verdicts.0.is_ok() && verdicts.1.is_ok() && verdicts.2.is_ok() && verdicts.5.is_ok()
        );
        let endless = ["-c", "sleep 1000"].map(OsString::from);
        assert!(programs.run(Path::new("/bin/sh"), &endless, SHORT).await.is_err());
        // The slot is free again once the program is gone.
        assert!(run().await.is_ok());
    }
}
