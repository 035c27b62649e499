//! Network and mount namespaces in which one of the two programs runs, ours or the Perl ldirectord.
//!
//! They belong to a thread, because a thread can have namespaces of its own and all that it starts inherits them.
//! What the thread does there is for each test program to say; the functions here are what those have in common.

#![allow(dead_code, reason = "no test program uses everything")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::signal::{Signal, kill},
    unistd::{Pid, getpid},
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Program {
    /// Debian's, in Perl.
    Reference,
    Ours,
}

/// Where either program is, each in its own namespaces.
pub const LDIRECTORD: &str = "/usr/sbin/ldirectord";

type Job<Inside> = Box<dyn FnOnce(&mut Inside) + Send>;

/// A thread in namespaces of its own, and work for it.
pub struct Thread<Inside> {
    jobs: Option<Sender<Job<Inside>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl<Inside: 'static> Thread<Inside> {
    /// Starts the thread, makes the namespaces, and there what the work is done with.
    pub fn start(
        program: Program,
        make: impl FnOnce() -> Result<Inside, String> + Send + 'static,
    ) -> Result<Thread<Inside>, String> {
        let (jobs, receiver) = channel::<Job<Inside>>();
        let (ready, is_ready) = channel();
        let thread =
            thread::Builder::new().name(format!("{program:?}")).spawn(move || {
                match enter(program).and_then(|()| make()) {
                    Ok(mut inside) => {
                        _ = ready.send(Ok(()));
                        for job in receiver {
                            job(&mut inside);
                        }
                        end_processes();
                    }
                    Err(error) => _ = ready.send(Err(error)),
                }
            });
        let started =
            Thread { jobs: Some(jobs), thread: Some(thread.map_err(|error| error.to_string())?) };
        is_ready.recv().map_err(|_| "the thread in the namespaces ended".to_owned())??;
        Ok(started)
    }

    /// Has work done there; the receiver has the result.
    pub fn begin<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Inside) -> R + Send + 'static,
    ) -> Receiver<R> {
        let (sender, receiver) = channel();
        if let Some(jobs) = &self.jobs {
            _ = jobs.send(Box::new(move |inside| _ = sender.send(work(inside))));
        }
        receiver
    }
}

impl<Inside> Drop for Thread<Inside> {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

/// Takes this thread into new namespaces: a network that has nothing but a loopback interface, and memory of its own
/// where the programs write.
fn enter(program: Program) -> Result<(), String> {
    let told = |what: &str| {
        let what = what.to_owned();
        move |error: nix::Error| format!("{what}: {error}")
    };
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)
        .map_err(told("cannot make namespaces"))?;
    let none: Option<&Path> = None;
    mount(none, "/", none, MsFlags::MS_PRIVATE | MsFlags::MS_REC, none)
        .map_err(told("cannot make / private"))?;
    if program == Program::Ours {
        let ours = env!("CARGO_BIN_EXE_ldirectord");
        mount(Some(ours), LDIRECTORD, none, MsFlags::MS_BIND, none)
            .map_err(told("cannot bind our program"))?;
    }
    for folder in ["/run", "/var/log", "/etc/ha.d", "/tmp"] {
        mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), none)
            .map_err(told(folder))?;
    }
    fs::create_dir("/run/lock").map_err(|error| error.to_string())?;
    command("ip", &["link", "set", "lo", "up"])
}

/// Kills what runs in this thread's network namespace, daemons too.
pub fn end_processes() {
    let own = getpid().as_raw();
    let Ok(namespace) = fs::read_link("/proc/thread-self/ns/net") else { return };
    for _ in 0..50 {
        let mut some = false;
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok())
            else {
                continue;
            };
            if pid != own
                && fs::read_link(format!("/proc/{pid}/ns/net"))
                    .is_ok_and(|other| other == namespace)
                && lives(pid)
            {
                some = true;
                _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        if !some {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

pub fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Writes a file; one that is not in the thread's own memory is covered by one that is.
pub fn put(path: &Path, text: &str, mode: u32) -> Result<(), String> {
    let told = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    let own = ["/run", "/var/run", "/var/log", "/etc/ha.d", "/tmp"]
        .iter()
        .any(|folder| path.starts_with(folder));
    let file = if own {
        path.to_owned()
    } else {
        PathBuf::from("/run").join(path.to_string_lossy().replace('/', "_"))
    };
    let covered = !own && file.exists();
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(told)?;
    }
    fs::write(&file, text).map_err(told)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).map_err(told)?;
    if !own && !covered {
        let none: Option<&Path> = None;
        mount(Some(&file), path, none, MsFlags::MS_BIND, none)
            .map_err(|error| format!("cannot cover {}: {error}", path.display()))?;
    }
    Ok(())
}

/// How a command ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ended {
    pub arguments: Vec<String>,
    pub code: Option<i32>,
    pub output: String,
}

/// Runs a command that has to succeed.
pub fn command(program: &str, arguments: &[&str]) -> Result<(), String> {
    let words: Vec<_> = arguments.iter().map(|&word| word.to_owned()).collect();
    let ended = run(program, &words, &[])?;
    if ended.code == Some(0) {
        Ok(())
    } else {
        Err(format!("{program} {} failed: {}", arguments.join(" "), ended.output))
    }
}

/// Runs a command, with environment variables, whose descendants may live on and keep its output open.
pub fn run(
    program: &str,
    arguments: &[String],
    environment: &[(&str, &str)],
) -> Result<Ended, String> {
    let told = |error: std::io::Error| format!("cannot run {program}: {error}");
    let path = "/run/output";
    let output = fs::File::create(path).map_err(told)?;
    let mut child = Command::new(program)
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(told)?)
        .stderr(output)
        .spawn()
        .map_err(told)?;
    let started = Instant::now();
    let mut pause = Duration::from_millis(2);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(told)? {
            break status;
        }
        if started.elapsed() > Duration::from_secs(60) {
            _ = child.kill();
            _ = child.wait();
            return Err(format!("{program} {} did not end within a minute", arguments.join(" ")));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    };
    let output = fs::read(path).map_err(told)?;
    Ok(Ended {
        arguments: arguments.to_vec(),
        code: status.code(),
        output: String::from_utf8_lossy(&output).into_owned(),
    })
}

/// Lines in order, each ended by a newline.
pub fn sorted(table: &str) -> String {
    let mut lines: Vec<&str> = table.lines().filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines.into_iter().flat_map(|line| [line, "\n"]).collect()
}

/// What one table has and the other has not.
pub fn difference(theirs: &str, ours: &str) -> String {
    let only = |these: &str, others: &str, before: &str| {
        let lines = these.lines().filter(|line| !others.lines().any(|other| other == *line));
        lines.flat_map(|line| [before, line, "\n"]).collect::<String>()
    };
    let lacking = only(theirs, ours, "we lack      ");
    format!("--- difference\n{lacking}{}", only(ours, theirs, "we have also "))
}
