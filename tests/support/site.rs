//! A folder of its own for a daemon under test: configuration, log, pid file, and the program to call.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a condition may take to come true. Generous: it is waited for, never slept through.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder for one daemon. Whatever still runs at the end is killed.
pub(crate) struct Site {
    dir: TempDir,
}

impl Site {
    /// An empty folder.
    pub(crate) fn new() -> Site {
        Site { dir: tempfile::tempdir().unwrap() }
    }

    /// A folder with this configuration as `web.cf`; the log is already named in it.
    pub(crate) fn with(config: &str) -> Site {
        let site = Site::new();
        site.configure(config);
        site
    }

    /// Replaces the configuration, as an editor does: all at once.
    pub(crate) fn configure(&self, config: &str) {
        let next = self.path("next");
        fs::write(&next, format!("logfile=\"{}\"\n{config}", self.path("log").display())).unwrap();
        fs::rename(next, self.config()).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("web.cf")
    }

    pub(crate) fn pid_file(&self) -> PathBuf {
        self.path("ldirectord.web.cf.pid")
    }

    /// The program, in this folder's world.
    pub(crate) fn program(&self) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_ldirectord"));
        program
            .current_dir(self.dir.path())
            .env("LDIRECTORD_RUN_DIR", self.dir.path())
            .env("LDIRECTORD_CONFIG_DIR", self.path("etc"))
            .env("LDIRECTORD_LOG", self.path("default.log"))
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        program
    }

    /// Runs the program with these words to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Done {
        Done::new(self.program().args(words).output().unwrap())
    }

    /// Runs a command on `web.cf`, named absolutely, with a table in memory.
    pub(crate) fn ldirectord(&self, command: &str) -> Done {
        self.run(&["--table", "memory", self.config().to_str().unwrap(), command])
    }

    /// Starts the daemon, which must succeed silently; its process.
    pub(crate) fn start(&self) -> i32 {
        let done = self.ldirectord("start");
        assert_eq!((done.code, done.all()), (0, String::new()), "start; the log:\n{}", self.log());
        self.pid()
    }

    /// The process in the pid file.
    pub(crate) fn pid(&self) -> i32 {
        fs::read_to_string(self.pid_file()).unwrap().trim().parse().unwrap()
    }

    /// The log so far, without dates, names and processes.
    pub(crate) fn log(&self) -> String {
        messages(&self.path("log"))
    }

    /// Waits until the log has a line like this, that often.
    pub(crate) fn wait_for_line(&self, line: &str, times: usize) {
        wait(&format!("{times} lines `{line}`"), || {
            let log = self.log();
            if log.lines().filter(|found| *found == line).count() >= times {
                Ok(())
            } else {
                Err(format!("the log:\n{log}"))
            }
        });
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.dir.path()).unwrap().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "pid")
                && let Ok(text) = fs::read_to_string(entry.path())
                && let Ok(pid) = text.trim().parse::<i32>()
                && command_line(pid).contains(self.dir.path().to_str().unwrap())
            {
                signal(pid, "KILL");
            }
        }
    }
}

/// What came of a call of the program.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    pub(crate) fn new(output: Output) -> Done {
        Done {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Everything that was printed.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

/// A real server that accepts connections while it lives.
pub(crate) struct Server {
    listener: TcpListener,
}

impl Server {
    /// On a free port.
    pub(crate) fn up() -> Server {
        Server { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    /// On the port that it had before.
    pub(crate) fn up_again(address: SocketAddr) -> Server {
        Server { listener: TcpListener::bind(address).unwrap() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }
}

/// Waits until something is so.
pub(crate) fn wait<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    #[expect(clippy::disallowed_methods, reason = "a test measures real time")]
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return found,
            #[expect(clippy::disallowed_methods, reason = "a test measures real time")]
            Err(state) if Instant::now() > deadline => panic!("waited in vain for {what}; {state}"),
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Waits until a process has gone.
pub(crate) fn wait_for_end(pid: i32) {
    wait("the end of the daemon", || match command_line(pid).as_str() {
        "" => Ok(()),
        line => Err(format!("{pid} is {line}")),
    });
}

/// Waits for a child of ours; its exit code.
pub(crate) fn end_of(child: &mut Child) -> Option<i32> {
    wait("the end of the child", || child.try_wait().unwrap().ok_or_else(|| "it runs".to_owned()))
        .code()
}

/// The words of a process's command line; empty when it has gone.
pub(crate) fn command_line(pid: i32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ").trim().to_owned()
}

/// Sends a signal to a process that we started.
pub(crate) fn signal(pid: i32, name: &str) {
    assert!(pid > 1);
    Command::new("kill").args([&format!("-{name}"), "--", &pid.to_string()]).status().unwrap();
}

/// The messages of a log file.
pub(crate) fn messages(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| {
            let (prefix, message) = line.split_once("] ").unwrap_or(("", line));
            assert!(prefix.starts_with('[') && prefix.matches('|').count() == 2, "{line}");
            format!("{message}\n")
        })
        .collect()
}
