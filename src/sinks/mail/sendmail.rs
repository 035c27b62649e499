//! The local mail system, by the program that every one of them has: `sendmail -t`.

use std::{os::unix::fs::PermissionsExt as _, path::Path, process::Stdio};

use lettre::Message;
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::Fault;
use crate::model::NOT_INHERITED;

/// Where it is, in the order in which ldirectord looks.
const PLACES: [&str; 3] = ["/usr/sbin/sendmail", "/usr/lib/sendmail", "/usr/ucblib/sendmail"];

/// Hands a message over. Who gets it stands in its header.
pub(super) async fn send(message: &Message) -> Result<(), Fault> {
    let is_program = |place: &&str| {
        let about = std::fs::metadata(Path::new(place));
        about.is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    };
    let Some(program) = PLACES.into_iter().find(is_program) else {
        let places = PLACES.join(", ");
        return Err(Fault::lasting(format!(
            "there is no sendmail at {places}; install one or set smtp"
        )));
    };
    run(program, &message.formatted()).await
}

async fn run(program: &str, message: &[u8]) -> Result<(), Fault> {
    let cannot = |error: std::io::Error| Fault::passing(format!("{program}: {error}"));
    let mut command = Command::new(program);
    for variable in NOT_INHERITED {
        command.env_remove(variable);
    }
    let mut child = command
        .args(["-i", "-t"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(cannot)?;
    if let Some(mut input) = child.stdin.take() {
        // A program may end before it has read everything; how it ended says whether that was well.
        let _written = input.write_all(message).await;
    }
    let status = child.wait().await.map_err(cannot)?;
    match status.success() {
        true => Ok(()),
        false => Err(Fault::passing(format!("{program}: {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::OpenOptionsExt as _};

    use super::*;

    #[tokio::test]
    async fn the_program_reads_the_message_and_its_end_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (program, out) = (dir.path().join("sendmail"), dir.path().join("out"));
        let script =
            format!("#!/bin/sh\necho \"$@\" >{0}\ncat >>{0}\ngrep -q good {0}", out.display());
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).mode(0o755).open(&program).unwrap();
        std::io::Write::write_all(&mut &file, script.as_bytes()).unwrap();
        drop(file);
        let program = program.to_str().unwrap();
        run(program, b"good news\r\n").await.unwrap();
        assert_eq!(fs::read_to_string(&out).unwrap(), "-i -t\ngood news\r\n");
        let fault = run(program, b"bad news\r\n").await.unwrap_err();
        assert_eq!(fault.text, format!("{program}: exit status: 1"));
        assert!(fault.may_pass);
        assert!(run("/nonexistent", b"").await.is_err());
    }
}
