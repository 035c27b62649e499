//! A stage: network and mount namespaces with their own servers, in which one of the two programs plays a scene.
//!
//! In: actions of a scene. Out: what the kernel, the log and the pid file say. Nothing is compared here.
//! A stage is a thread, because a thread can have namespaces of its own and all that it starts inherits them.

use std::{
    collections::BTreeSet,
    fs,
    io::Read as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::mpsc::Receiver,
    thread,
    time::{Duration, Instant, SystemTime},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    namespaces::{self, Ended, LDIRECTORD, Program, command, lives, put, sorted},
    scene::{Action, CONFIG, Scene},
    servers::{Certificate, Servers},
};

const PID_FILE: &str = "/run/ldirectord.ldirectord.cf.pid";
const LOG: &str = "/var/log/ldirectord.log";
const AUTHORITY: &str = "/etc/ha.d/authority.pem";

/// A virtual service behind all others of the file, whose only server counts its checks: so a scene knows how
/// many check passes have gone by on a machine that is now fast and now slow.
const CLOCK: &str = "\nvirtual = 192.0.2.254:1\n\treal = 127.255.255.253:1 masq\n\tservice = none\n\tchecktype = connect\n";
const CLOCK_TABLE: &str =
    "-A -t 192.0.2.254:1 -s wrr\n-a -t 192.0.2.254:1 -r 127.255.255.253:1 -m -w 1\n";
const CLOCK_SERVICE: &str = " 192.0.2.254:1 ";
/// As /proc/net/ip_vs shows the service.
const CLOCK_IN_KERNEL: &str = "C00002FE:0001";
const CLOCK_SERVER: &str = "127.255.255.253:1";

/// What can be seen of a stage without disturbing it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sample {
    /// `/proc/net/ip_vs`
    pub table: String,
    /// Checks of the clock so far.
    pub hits: u64,
    /// Whether the process of the pid file lives.
    pub alive: bool,
    pub pid_file: bool,
}

pub struct Stage(namespaces::Thread<Inside>);

impl Stage {
    pub fn set(
        program: Program,
        scene: &Scene,
        certificate: &Certificate,
    ) -> Result<Stage, String> {
        let (scene, certificate) = (scene.clone(), certificate.clone());
        let make = move || Inside::enter(program, &scene, certificate);
        Ok(Stage(namespaces::Thread::start(program, make)?))
    }

    pub fn act(&self, actions: &[Action]) -> Receiver<Result<Vec<Ended>, String>> {
        let actions = actions.to_vec();
        self.0.begin(move |inside| inside.act(&actions))
    }

    pub fn sample(&self) -> Result<Sample, String> {
        self.0.begin(|inside| inside.sample()).recv().map_err(|_| "the stage is gone".to_owned())?
    }

    /// `ipvsadm -Sn`, sorted, without the clock.
    pub fn table(&self) -> Result<String, String> {
        self.0.begin(|inside| inside.table()).recv().map_err(|_| "the stage is gone".to_owned())?
    }

    /// The messages of the log.
    pub fn log(&self) -> Vec<String> {
        self.0.begin(|_| log()).recv().unwrap_or_default()
    }

    /// The mails since the mark, as filters see them.
    pub fn mails(&self) -> Vec<String> {
        self.0.begin(|inside| inside.mails()).recv().unwrap_or_default()
    }

    /// The messages about changes of servers since the mark.
    pub fn changes(&self) -> BTreeSet<String> {
        self.0.begin(|inside| inside.changes()).recv().unwrap_or_default()
    }
}

/// What the thread of a stage owns.
struct Inside {
    program: Program,
    servers: Servers,
    scene: Scene,
    /// The configuration file as it is, without the clock.
    config: String,
    /// Every change of the file gets a later time, however fast they follow each other.
    config_time: SystemTime,
    /// Lines of the log that are not looked at any more.
    log_mark: usize,
    /// Mails that are not looked at any more.
    old_mails: BTreeSet<PathBuf>,
}

impl Inside {
    fn enter(program: Program, scene: &Scene, certificate: Certificate) -> Result<Inside, String> {
        fs::write(AUTHORITY, &certificate.pem).map_err(|error| error.to_string())?;
        let clock: SocketAddr = CLOCK_SERVER.parse().map_err(|_| "no clock".to_owned())?;
        let hosts = scene.servers.iter().map(|server| server.address.ip()).collect::<BTreeSet<_>>();
        for host in hosts {
            if !host.is_loopback() {
                command("ip", &["address", "add", &host.to_string(), "dev", "lo", "nodad"])?;
            }
        }
        for file in &scene.files {
            put(&file.path, &file.text, file.mode)?;
        }
        let servers = Servers::start(scene.servers.clone(), clock, certificate)?;
        let mut inside = Inside {
            program,
            servers,
            config: scene.configs.get("").cloned().unwrap_or_default(),
            scene: scene.clone(),
            config_time: SystemTime::now() - Duration::from_secs(3600),
            log_mark: 0,
            old_mails: BTreeSet::new(),
        };
        inside.write_config()?;
        Ok(inside)
    }

    fn write_config(&mut self) -> Result<(), String> {
        fs::write(CONFIG, format!("{}{CLOCK}", self.config)).map_err(|error| error.to_string())?;
        self.touch_config()
    }

    fn touch_config(&mut self) -> Result<(), String> {
        self.config_time += Duration::from_secs(2);
        let file =
            fs::File::options().append(true).open(CONFIG).map_err(|error| error.to_string())?;
        file.set_modified(self.config_time).map_err(|error| error.to_string())
    }

    fn act(&mut self, actions: &[Action]) -> Result<Vec<Ended>, String> {
        let mut ended = Vec::new();
        for action in actions {
            match action {
                Action::Run(arguments) => ended.push(self.ldirectord(arguments)?),
                Action::Signal(name) => {
                    let signal: Signal =
                        format!("SIG{name}").parse().map_err(|_| format!("no signal {name}"))?;
                    let pid = daemon().ok_or("there is no daemon to send a signal to")?;
                    kill(Pid::from_raw(pid), signal)
                        .map_err(|error| format!("cannot send {name} to {pid}: {error}"))?;
                }
                Action::Servers(addresses, state) => {
                    for address in addresses {
                        self.servers.set(*address, state.clone())?;
                    }
                }
                Action::Reachable(host, reachable) => {
                    // The table `local` is asked first, and there the longer prefix wins.
                    let family = if host.is_ipv6() { "-6" } else { "-4" };
                    let verb = if *reachable { "del" } else { "add" };
                    command(
                        "ip",
                        &[
                            family,
                            "route",
                            verb,
                            "unreachable",
                            &host.to_string(),
                            "table",
                            "local",
                        ],
                    )?;
                }
                Action::Config(name) => {
                    self.config = self.scene.configs.get(name).cloned().unwrap_or_default();
                    self.write_config()?;
                }
                Action::Replace(old, new) => {
                    if !self.config.contains(old) {
                        return Err(format!("the configuration does not contain {old:?}"));
                    }
                    self.config = self.config.replacen(old, new, 1);
                    self.write_config()?;
                }
                Action::Touch => self.touch_config()?,
                Action::Ipvsadm(arguments, must) => {
                    let done = run("ipvsadm", arguments)?;
                    if *must && done.code != Some(0) {
                        return Err(format!(
                            "ipvsadm {} failed: {}",
                            arguments.join(" "),
                            done.output
                        ));
                    }
                }
                Action::Write(path, text) => put(path, text, 0o644)?,
                Action::Remove(path) => {
                    fs::remove_file(path)
                        .map_err(|error| format!("cannot remove {}: {error}", path.display()))?;
                }
                Action::Wait(duration) => thread::sleep(*duration),
                Action::Gone => {
                    let started = Instant::now();
                    while alive() && started.elapsed() < Duration::from_secs(60) {
                        thread::sleep(Duration::from_millis(100));
                    }
                }
                Action::MarkLog => self.log_mark = log().len(),
                Action::MarkMail => self.old_mails = mails().into_iter().collect(),
                Action::Passes(_)
                | Action::Stalled(_)
                | Action::CompareLog
                | Action::CompareMail => {}
            }
        }
        Ok(ended)
    }

    fn ldirectord(&self, arguments: &[String]) -> Result<Ended, String> {
        let command = arguments.last().map(String::as_str);
        if command == Some("start") && !alive() {
            self.put_clock_up()?;
        }
        let signal = match command {
            Some("stop") => Some(Signal::SIGTERM),
            Some("reload" | "force-reload") => Some(Signal::SIGHUP),
            _ => None,
        };
        if let (Program::Reference, Some(signal), Some(pid)) =
            (self.program, signal, daemon().filter(|&pid| lives(pid)))
        {
            kill(Pid::from_raw(pid), signal)
                .map_err(|error| format!("cannot send {signal} to {pid}: {error}"))?;
            return Ok(Ended {
                arguments: arguments.to_vec(),
                code: Some(0),
                output: String::new(),
            });
        }
        run(LDIRECTORD, arguments)
    }

    /// The clock is alive in the kernel already, which saves ldirectord a dozen slow runs of ipvsadm.
    fn put_clock_up(&self) -> Result<(), String> {
        let table = self.sample()?.table;
        if table.contains(CLOCK_IN_KERNEL) {
            return Ok(());
        }
        fs::write("/run/clock", CLOCK_TABLE).map_err(|error| error.to_string())?;
        command("sh", &["-c", "ipvsadm -R </run/clock"])
    }

    fn sample(&self) -> Result<Sample, String> {
        let table = kernel_table().map_err(|error| format!("no IPVS table: {error}"))?;
        let pid_file = Path::new(PID_FILE).exists();
        // An empty file is one whose daemon is about to write it.
        let empty = fs::read_to_string(PID_FILE).is_ok_and(|text| text.trim().is_empty());
        Ok(Sample {
            table,
            hits: self.servers.hits(),
            alive: empty || daemon().is_some_and(lives),
            pid_file,
        })
    }

    fn table(&self) -> Result<String, String> {
        let saved = run("ipvsadm", &["-Sn".to_owned()])?;
        if saved.code != Some(0) {
            return Err(format!("ipvsadm -Sn of {:?} failed: {}", self.program, saved.output));
        }
        Ok(sorted(&saved.output)
            .lines()
            .filter(|line| !format!("{line} ").contains(CLOCK_SERVICE))
            .flat_map(|line| [line, "\n"])
            .collect())
    }

    /// What filters match of each mail: the header fields that ldirectord writes, and its lines of the text.
    fn mails(&self) -> Vec<String> {
        let new = mails().into_iter().filter(|file| !self.old_mails.contains(file));
        let mut texts: Vec<String> = new
            .map(|file| {
                let text = fs::read_to_string(file).unwrap_or_default().replace('\r', "");
                let (header, body) = text.split_once("\n\n").unwrap_or((&text, ""));
                let fields = ["From:", "To:", "Subject:"];
                let mut lines: Vec<&str> = header
                    .lines()
                    .filter(|line| fields.iter().any(|field| line.starts_with(field)))
                    .collect();
                lines.sort_unstable();
                // Ours goes on where ldirectord's ends.
                let own = body.split_once("\nVirtual service: ").map_or(body, |(own, _)| own);
                lines.extend(own.trim_end().lines());
                lines.join("\n")
            })
            .collect();
        texts.sort_unstable();
        texts
    }

    fn changes(&self) -> BTreeSet<String> {
        const OF_SERVERS: [&str; 8] = [
            "Added ",
            "Changed ",
            "Deleted ",
            "Quiescent ",
            "Readd Quiescent ",
            "Restored ",
            "Purged ",
            "Soft failure ",
        ];
        let mut changes: BTreeSet<String> = log().into_iter().skip(self.log_mark).collect();
        changes.retain(|message| OF_SERVERS.iter().any(|start| message.starts_with(start)));
        changes.retain(|message| !message.contains("192.0.2.254:1"));
        changes
    }
}

/// The mails that `sendmail` was given.
fn mails() -> Vec<PathBuf> {
    let files = fs::read_dir("/run/mails").into_iter().flatten().flatten();
    files.map(|entry| entry.path()).filter(|path| path.extension().is_none()).collect()
}

/// `/proc/net/ip_vs` in one read: where a second one goes on the kernel counts the services of other namespaces
/// too, and skips some of ours. One read gives a page, which is more than any scene has.
fn kernel_table() -> std::io::Result<String> {
    let mut bytes = [0; 4096];
    let length = fs::File::open("/proc/thread-self/net/ip_vs")?.read(&mut bytes)?;
    Ok(String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned())
}

/// Messages without date, name and pid.
fn log() -> Vec<String> {
    let text = fs::read(LOG).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines()
        .map(|line| line.split_once("] ").map_or(line, |(_, message)| message).to_owned())
        .collect()
}

fn daemon() -> Option<i32> {
    fs::read_to_string(PID_FILE).ok()?.trim().parse().ok()
}

/// Whether the process of the pid file lives. An empty file is one whose daemon is about to write it.
fn alive() -> bool {
    let empty = fs::read_to_string(PID_FILE).is_ok_and(|text| text.trim().is_empty());
    empty || daemon().is_some_and(lives)
}

/// Runs a program that has the authority of our https servers.
fn run(program: &str, arguments: &[String]) -> Result<Ended, String> {
    // Without PERLIO ldirectord starts Perl twice.
    namespaces::run(program, arguments, &[("SSL_CERT_FILE", AUTHORITY), ("PERLIO", "perlio")])
}
