//! The two programs, each in namespaces of its own, and what each makes of a configuration file.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use ldirectord::{
    config::{self, File, Loaded, NoFiles, World},
    daemon::names::SystemNames,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::namespaces::{self, Ended, LDIRECTORD, Program, lives, put, sorted};

/// The file that both programs read.
const CONFIG: &str = "/etc/ha.d/language.cf";
const PID_FILE: &str = "/run/ldirectord.language.cf.pid";
/// How long we may take to install what the Perl program has installed.
const LIMIT: Duration = Duration::from_secs(30);

/// The names that the files may use.
#[derive(Clone)]
pub struct KnownNames {
    /// `/etc/hosts`
    pub hosts: String,
    /// `/etc/services`
    pub services: String,
}

impl KnownNames {
    fn put(&self) -> Result<(), String> {
        put(Path::new("/etc/hosts"), &self.hosts, 0o644)?;
        put(Path::new("/etc/services"), &self.services, 0o644)?;
        put(Path::new("/etc/nsswitch.conf"), "hosts: files\nservices: files\n", 0o644)
    }
}

/// A pair of programs that read the same files.
pub struct Pair {
    reference: namespaces::Thread<Reference>,
    ours: namespaces::Thread<Ours>,
}

impl Pair {
    pub fn start(names: &KnownNames) -> Result<Pair, String> {
        let (theirs, ours) = (names.clone(), names.clone());
        Ok(Pair {
            reference: namespaces::Thread::start(Program::Reference, move || {
                theirs.put()?;
                Reference::start()
            })?,
            ours: namespaces::Thread::start(Program::Ours, move || {
                ours.put()?;
                Ok(Ours { ipvsadm: Ipvsadm::start()? })
            })?,
        })
    }

    /// What the Perl program makes of a file.
    pub fn theirs(&self, source: &[u8]) -> Result<Theirs, String> {
        let source = source.to_vec();
        let theirs = self.reference.begin(move |reference| reference.read(&source));
        theirs.recv().map_err(|_| "the Perl program's thread is gone".to_owned())?
    }

    /// The same, where Perl's own functions are as they are and every ipvsadm is a process.
    pub fn theirs_plain(&self, source: &[u8]) -> Result<Theirs, String> {
        let source = source.to_vec();
        let theirs = self.reference.begin(move |reference| reference.read_plain(&source));
        theirs.recv().map_err(|_| "the Perl program's thread is gone".to_owned())?
    }

    /// What we make of a file, without doing anything.
    pub fn read(&self, source: &[u8]) -> Result<Loaded, String> {
        let source = source.to_vec();
        let loaded = self.ours.begin(move |_| {
            let protocols = ldirectord::checks::catalogue();
            let world = World {
                names: &SystemNames,
                files: &NoFiles,
                protocols: &protocols,
                host_name: "director",
                expire_quiescent_template: None,
            };
            config::load(File::new("language.cf", source), &world)
        });
        loaded.recv().map_err(|_| "our thread is gone".to_owned())
    }

    /// The table that our program installs: as soon as it is right, else as it is after a while.
    pub fn install(
        &self,
        source: &[u8],
        is_right: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<String, String> {
        let source = source.to_vec();
        let table = self.ours.begin(move |ours| ours.install(&source, is_right));
        table.recv().map_err(|_| "our thread is gone".to_owned())?
    }
}

/// What the Perl program makes of a file.
pub struct Theirs {
    /// What is installed; nothing where the file is refused.
    pub table: Option<String>,
    /// Everything that it printed.
    pub said: String,
}

/// A real ipvsadm that goes on: as `ipvsadm -R` it takes every command, a line each.
struct Ipvsadm {
    _process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Ipvsadm {
    fn start() -> Result<Ipvsadm, String> {
        let mut process = Command::new("stdbuf")
            .args(["-oL", "ipvsadm", "-R"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot run ipvsadm: {error}"))?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("ipvsadm has no input or no output".into());
        };
        Ok(Ipvsadm { _process: process, input, output: BufReader::new(output) })
    }

    fn ask(&mut self, arguments: &str) -> Result<String, String> {
        let told = |error: std::io::Error| format!("ipvsadm {arguments}: {error}");
        writeln!(self.input, "{arguments}\n-L --timeout").map_err(told)?;
        let mut said = String::new();
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).map_err(told)? == 0 {
                return Err(format!("ipvsadm ended at {arguments}"));
            }
            if line.starts_with("Timeout (tcp tcpfin udp)") {
                return Ok(said);
            }
            said.push_str(&line);
        }
    }

    /// Services and servers, and of each server the thresholds, which `-S` does not tell; in order.
    fn table(&mut self) -> Result<String, String> {
        let mut table = self.ask("-S -n")?;
        let listing = self.ask("-L -n --thresholds")?;
        let mut service = String::new();
        for line in listing.lines().skip(3) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["->", _, "0", "0", ..] => {}
                ["->", server, upper, lower, ..] => {
                    _ = writeln!(table, "{service} -r {server} -x {upper} -y {lower}");
                }
                ["TCP", address, ..] => service = format!("-t {address}"),
                ["UDP", address, ..] => service = format!("-u {address}"),
                ["FWM", mark, "IPv6", ..] => service = format!("-f {mark} -6"),
                ["FWM", mark, ..] => service = format!("-f {mark}"),
                _ => return Err(format!("what does ipvsadm list there? {line}")),
            }
        }
        Ok(sorted(&table))
    }

    fn clear(&mut self) -> Result<(), String> {
        self.ask("-C").map(|_| ())
    }
}

// === the Perl program ===

struct Reference {
    /// `reference.pl`, which see.
    _process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    ipvsadm: Ipvsadm,
}

impl Reference {
    fn start() -> Result<Reference, String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/language/reference.pl");
        let mut process = Command::new("perl")
            .arg(script)
            .arg(LDIRECTORD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot run perl: {error}"))?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("perl has no input or no output".into());
        };
        let (output, ipvsadm) = (BufReader::new(output), Ipvsadm::start()?);
        Ok(Reference { _process: process, input, output, ipvsadm })
    }

    fn read(&mut self, source: &[u8]) -> Result<Theirs, String> {
        let told = |error: std::io::Error| format!("reference.pl: {error}");
        fs::write(CONFIG, source).map_err(told)?;
        writeln!(self.input, "{CONFIG}").map_err(told)?;
        let mut ended = String::new();
        self.output.read_line(&mut ended).map_err(told)?;
        let said = fs::read(format!("{CONFIG}.said")).map_err(told)?;
        self.finish(ended.trim(), &said)
    }

    fn read_plain(&mut self, source: &[u8]) -> Result<Theirs, String> {
        fs::write(CONFIG, source).map_err(|error| error.to_string())?;
        let words = [CONFIG.to_owned(), "start".to_owned()];
        let Ended { code, output, .. } =
            namespaces::run(LDIRECTORD, &words, &[("PERLIO", "perlio")])?;
        let mut ended = format!("exit {}", code.unwrap_or_default());
        if code == Some(0) {
            let started = Instant::now();
            let pid = loop {
                match daemon() {
                    Some(pid) => break pid,
                    // It returns before the daemon has written it.
                    None if started.elapsed() < LIMIT => thread::sleep(Duration::from_millis(20)),
                    None => return Err("ldirectord has written no pid".into()),
                }
            };
            let (mut table, mut quiet) = (String::new(), 0);
            // Between two checks it waits with no ipvsadm for longer than it ever does else.
            while quiet < 15 {
                thread::sleep(Duration::from_millis(50));
                let now = self.ipvsadm.table()?;
                quiet = if has_children(pid) || now != table { 0 } else { quiet + 1 };
                table = now;
                if started.elapsed() > Duration::from_secs(120) {
                    return Err(format!("ldirectord does not settle:\n{table}"));
                }
            }
            end_daemon(pid)?;
            ended = "settled".to_owned();
        }
        self.finish(&ended, output.as_bytes())
    }

    fn finish(&mut self, ended: &str, said: &[u8]) -> Result<Theirs, String> {
        _ = fs::remove_file(PID_FILE);
        let said = String::from_utf8_lossy(said).into_owned();
        let table = match ended {
            "settled" => Some(self.ipvsadm.table()?),
            "exit 2" => None,
            _ => return Err(format!("ldirectord ended with {ended}: {said}")),
        };
        self.ipvsadm.clear()?;
        Ok(Theirs { table, said })
    }
}

// === ours ===

struct Ours {
    ipvsadm: Ipvsadm,
}

impl Ours {
    fn install(
        &mut self,
        source: &[u8],
        is_right: impl Fn(&str) -> bool,
    ) -> Result<String, String> {
        fs::write(CONFIG, source).map_err(|error| error.to_string())?;
        let words = [CONFIG.to_owned(), "start".to_owned()];
        // Without the variable it starts itself once more.
        let Ended { code, output, .. } =
            namespaces::run(LDIRECTORD, &words, &[("MALLOC_MMAP_THRESHOLD_", "131072")])?;
        if code != Some(0) {
            return Err(format!("our program ended with {code:?}: {output}"));
        }
        let started = Instant::now();
        let mut table = self.ipvsadm.table()?;
        while !is_right(&table) && started.elapsed() < LIMIT {
            thread::sleep(Duration::from_millis(100));
            table = self.ipvsadm.table()?;
        }
        end_daemon(daemon().ok_or("our program has written no pid")?)?;
        _ = fs::remove_file(PID_FILE);
        self.ipvsadm.clear()?;
        Ok(table)
    }
}

fn daemon() -> Option<i32> {
    fs::read_to_string(PID_FILE).ok()?.trim().parse().ok()
}

fn has_children(pid: i32) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.map(|entry| entry.path().join("stat")).any(|path| {
        let stat = fs::read_to_string(path).unwrap_or_default();
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
        parent.and_then(|parent| parent.parse().ok()) == Some(pid)
    })
}

fn end_daemon(pid: i32) -> Result<(), String> {
    _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    let started = Instant::now();
    while lives(pid) {
        if started.elapsed() > LIMIT {
            return Err(format!("the process {pid} cannot be killed"));
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
