//! `checktype=ping` with and without root: by the kernel's ping socket where the group is allowed to have one, by a raw
//! one where we may, and with a word of what is missing where neither can be had.
//!
//! Each trial has a network of its own in the lab, because the groups are a setting of the network. The check is made by
//! this program started again, as the user that it is to be.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests fail by panicking; this is the main function of a test program, which reads what it prints"
)]

#[path = "support/mod.rs"]
mod support;

use std::{
    fs,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
    time::Duration,
};

use ldirectord::{
    checks::Checker,
    model::{CheckKind, CheckSpec, Stage},
};
use support::lab::{self, Namespace, trial};

/// The word before the addresses that are to be pinged.
const PING: &str = "--ping";

/// The number of a user, and of a group, without any right.
const NOBODY: u32 = 65_534;

const GROUPS: &str = "/proc/sys/net/ipv4/ping_group_range";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    if words.next().is_some_and(|word| word == PING) {
        ping(words);
        return ExitCode::SUCCESS;
    }
    lab::run_on_any_kernel(
        4,
        vec![
            trial("without root, the group may", |namespace| {
                fs::write(GROUPS, format!("{NOBODY} {NOBODY}")).unwrap();
                let said = pinged(namespace, NOBODY);
                assert_eq!(said, [NO_RIGHTS, "answered", "answered", "answered", UNREACHABLE]);
            }),
            trial("without root, the group may not", |namespace| {
                fs::write(GROUPS, "1 0").unwrap();
                let said = pinged(namespace, NOBODY);
                assert_eq!(said, [NO_RIGHTS, MISSING, MISSING, MISSING, MISSING]);
            }),
            trial("without root, another group may", |namespace| {
                fs::write(GROUPS, format!("0 {}", NOBODY - 1)).unwrap();
                let said = pinged(namespace, NOBODY);
                assert_eq!(said, [NO_RIGHTS, MISSING, MISSING, MISSING, MISSING]);
            }),
            trial("with root, no group may", |namespace| {
                fs::write(GROUPS, "1 0").unwrap();
                let said = pinged(namespace, 0);
                assert_eq!(said[1..], ["answered", "answered", "answered", UNREACHABLE]);
                assert_ne!(said[0], NO_RIGHTS);
            }),
            trial("with root, by the ping socket", |namespace| {
                fs::write(GROUPS, "0 0").unwrap();
                let said = pinged(namespace, 0);
                assert_eq!(said[1..], ["answered", "answered", "answered", UNREACHABLE]);
            }),
        ],
    )
}

/// What a process without rights says of itself.
const NO_RIGHTS: &str = "rights 0000000000000000";

const UNREACHABLE: &str =
    "unreachable: cannot ping 192.0.2.77: network is unreachable (ENETUNREACH)";

const MISSING: &str = "internal: cannot open a socket for ping: operation not permitted (EPERM); it takes CAP_NET_RAW, \
                       or our group in net.ipv4.ping_group_range";

/// What this program says of itself and of some pings as this user and group; an answer without its time.
fn pinged(namespace: &Namespace, id: u32) -> Vec<String> {
    let mut command = Command::new("/proc/self/exe");
    command.args([PING, "127.0.0.1", "127.1.2.3", "::1", "192.0.2.77"]).uid(id).gid(id);
    let output = namespace.output(&mut command);
    let said = String::from_utf8(output.stdout).unwrap();
    let without_time = |line: &str| match line.strip_prefix("answered in ") {
        Some(_) => "answered".to_owned(),
        None => line.to_owned(),
    };
    let lines: Vec<_> = said.lines().map(without_time).collect();
    assert_eq!(lines.len(), 5, "{said}{}", String::from_utf8_lossy(&output.stderr));
    lines
}

/// Pings each address, and says what came of it.
fn ping(addresses: impl Iterator<Item = String>) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let rights = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    println!("rights {}", rights.trim());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let checker = Checker::new();
    let second = Duration::from_secs(1);
    for address in addresses {
        let spec = CheckSpec {
            target: (address.parse::<std::net::IpAddr>().unwrap(), 0).into(),
            kind: CheckKind::Ping { attempts: 1 },
            interval: second,
            fast_interval: second,
            down_interval: second,
            timeout: 30 * second,
        };
        let words = match runtime.block_on(checker.run(&spec, Stage::Negotiate)).verdict {
            Ok(pass) => pass.detail,
            Err(fault) => fault.to_string(),
        };
        println!("{words}");
    }
}
