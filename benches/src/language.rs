//! How long it takes to read a configuration of many servers, and how much memory.
//!
//! The whole way from bytes to what is asked for, as at each start and reload. Beside it, in the same run, the least that
//! any reader must do: find the lines, and turn each server's address into numbers.

use std::env;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ldirectord::checks;
use ldirectord::config::{self, File, FileError, Files, Loaded, NameError, Names, World};
use ldirectord::model::{Family, Transport};

use crate::{Problem, head, print};

/// Real servers, and how many of them a virtual service has.
const COUNTS: [u32; 3] = [10_000, 20_000, 40_000];
const EACH: u32 = 16;
/// Rounds, of which the fastest counts: it was disturbed least.
const ROUNDS: usize = 7;

/// Addresses only, and no files.
pub(crate) struct Nothing;

impl Names for Nothing {
    fn hosts(&self, name: &str, _: Family) -> Result<Vec<IpAddr>, NameError> {
        Err(NameError { message: format!("{name} is not known") })
    }

    fn port(&self, service: &str, _: Option<Transport>) -> Result<u16, NameError> {
        Err(NameError { message: format!("{service} is not known") })
    }
}

impl Files for Nothing {
    fn find(&self, _: &Path) -> Result<Vec<PathBuf>, FileError> {
        Ok(Vec::new())
    }

    fn read(&self, path: &Path) -> Result<File, FileError> {
        Err(FileError { message: format!("{} is not there", path.display()) })
    }
}

/// A file as a farm's director has it, with comments.
fn configuration(servers: u32) -> String {
    let mut text = String::from("checktimeout = 3\ncheckinterval = 5\nquiescent = yes\n");
    for service in 0..servers / EACH {
        let [_, a, b, c] = service.to_be_bytes();
        // Writing to a string cannot fail.
        write!(text, "\n# service {service} of the farm\nvirtual = 10.{a}.{b}.{c}:80\n")
            .unwrap_or_default();
        for server in 0..EACH {
            writeln!(text, "\treal = 172.{}.{b}.{c}:8080 masq {}", 16 + server, 1 + server % 5)
                .unwrap_or_default();
        }
        text.push_str("\tfallback = 127.0.0.1:80\n\tservice = http\n\trequest = \"health\"\n");
        text.push_str(
            "\treceive = \"all (is|seems) well\"\n\tscheduler = wlc\n\tpersistent = 600\n",
        );
    }
    text
}

fn read(text: &str) -> Loaded {
    let protocols = checks::catalogue();
    let world = World {
        names: &Nothing,
        files: &Nothing,
        protocols: &protocols,
        host_name: "bench",
        expire_quiescent_template: Some(true),
    };
    config::load(File::new("bench.cf", text), &world)
}

/// The lines, and the addresses of the servers.
fn least(text: &str) -> usize {
    let servers = text.lines().filter_map(|line| line.trim_start().strip_prefix("real = "));
    let addresses = servers.filter_map(|rest| rest.split(' ').next()?.parse::<SocketAddr>().ok());
    std::hint::black_box(addresses.collect::<Vec<_>>()).len()
}

fn fastest<R>(mut act: impl FnMut() -> R) -> Duration {
    let rounds = (0..ROUNDS).map(|_| {
        let begin = Instant::now();
        std::hint::black_box(act());
        begin.elapsed()
    });
    rounds.min().unwrap_or_default()
}

pub(crate) fn measure() -> Result<(), Problem> {
    for count in COUNTS {
        let text = configuration(count);
        let loaded = read(&text);
        let services = loaded.desired.ok_or("the file has an error")?.services;
        let servers: usize = services.iter().map(|service| service.servers.len()).sum();
        if servers != usize::try_from(count)? {
            return Err(format!("{servers} servers were read of {count}").into());
        }
        head(&format!("Reading {count} real servers in {} services", services.len()));
        let (whole, floor) = (fastest(|| read(&text)), fastest(|| least(&text)));
        let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
        let aim = if count == 40_000 { "(aim: under 150 ms)" } else { "" };
        print("bytes to what is asked for", &ms(whole), aim);
        print("lines and addresses alone", &ms(floor), "");
        print("ratio", &format!("{:.1}", whole.as_secs_f64() / floor.as_secs_f64()), "");
        let kilobytes = in_a_process(count)?.saturating_sub(in_a_process(0)?);
        print("memory at most", &format!("{:.1} MB", f64::from(kilobytes) / 1024.0), "");
        print(
            "memory for each server",
            &format!("{} bytes", u64::from(kilobytes) * 1024 / u64::from(count)),
            "",
        );
    }
    Ok(())
}

/// The most memory of a process that does nothing but read, in kilobytes.
fn in_a_process(count: u32) -> Result<u32, Problem> {
    let output = Command::new(env::current_exe()?).args(["read", &count.to_string()]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Reads once, and says what memory that took at most.
pub(crate) fn read_once(count: &str) -> Result<(), Problem> {
    let loaded = read(&configuration(count.parse()?));
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    head(line.trim().trim_end_matches(" kB"));
    drop(loaded);
    Ok(())
}
