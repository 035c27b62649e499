//! How long `ldirectord status` takes, which a cluster asks every few seconds on every node.
//!
//! The whole program, from its start to its end, as a resource agent calls it; beside it in the same run the least
//! program that there is. No daemon runs, which is as much work as when one does.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::replace;
use crate::{Problem, head, print};

/// How often each is called; the one in the middle counts.
const CALLS: usize = 201;
const SERVICES: [u32; 3] = [1, 10, 1000];

fn configuration(services: u32) -> String {
    let mut text = String::from("checktimeout = 3\ncheckinterval = 5\nquiescent = yes\n");
    for service in 0..services {
        let [_, a, b, c] = service.to_be_bytes();
        // Writing to a string cannot fail.
        write!(
            text,
            "\nvirtual = 10.{a}.{b}.{c}:80\n\treal = 172.16.{b}.{c}:80 masq\n\treal = 172.17.{b}.{c}:80 masq 2\n\
             \tfallback = 127.0.0.1:80\n\tservice = http\n\trequest = \"health\"\n\treceive = \"well\"\n\
             \tscheduler = wlc\n"
        )
        .unwrap_or_default();
    }
    text
}

/// How long a call takes, which must end with this code.
fn typical(command: &mut Command, code: i32) -> Result<Duration, Problem> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut calls = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let begin = Instant::now();
        let status = command.status()?;
        calls.push(begin.elapsed());
        if status.code() != Some(code) {
            return Err(format!("{} ended with {status}", command.get_program().display()).into());
        }
    }
    calls.sort_unstable();
    calls.get(CALLS / 2).copied().ok_or_else(|| "nothing was called".into())
}

pub(crate) fn measure(program: &Path) -> Result<(), Problem> {
    head("`ldirectord status`, from start to end");
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    let least = typical(&mut Command::new("/bin/true"), 0)?;
    print("/bin/true", &ms(least), "");
    let folder = std::env::temp_dir();
    for services in SERVICES {
        let file = folder.join("ldirectord-bench-status.cf");
        replace(&file, &configuration(services))?;
        let mut command = Command::new(program);
        command.arg(&file).arg("status");
        command
            .env("LDIRECTORD_RUN_DIR", &folder)
            .env("LDIRECTORD_LOG", folder.join("ldirectord-bench.log"));
        let time = typical(&mut command, 3)?;
        let ratio = time.as_secs_f64() / least.as_secs_f64();
        let aim = if services == 1000 { "" } else { "(aim: under 5 ms)" };
        let name =
            if services == 1 { "1 service".to_owned() } else { format!("{services} services") };
        print(&name, &ms(time), &format!("{ratio:.1} times /bin/true {aim}"));
    }
    Ok(())
}
