//! Trials on a real IPVS kernel.
//!
//! [`run`] is the main function of a test program whose trials need the lab: outside it runs the program itself in
//! there (`tests/lab/run`, which makes the lab first if it has to), one start for all trials. Without a lab the
//! program fails and says what is missing; there is no way to skip a trial unseen. [`trial`] gives a trial a
//! [`Namespace`], and so a network and an IPVS table, of its own; whatever it starts there ends with it.
//!
//! In User-Mode Linux to start a program takes 50 ms, and there is one CPU: wait for conditions with [`wait_for`].

#![allow(dead_code, reason = "no test program uses everything")]

use std::{
    cell::RefCell,
    fs::{self, File},
    io::{Read as _, Seek as _, Write as _},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, ExitCode, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Arguments, Failed, Trial};
use nix::{
    sched::{CloneFlags, setns, unshare},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::tempfile;

/// The lab sets it for what runs inside.
const INSIDE: &str = "LDIRECTORD_LAB_INSIDE";
/// The lab says there which kernel it has.
const KERNEL: &str = "LDIRECTORD_LAB_KERNEL";
/// Trials wait most of the time, also where there is but one CPU.
const SIDE_BY_SIDE: usize = 4;
/// More folders of the machine that the lab shows, separated by colons; these can be written.
const WRITABLE: &str = "LDIRECTORD_LAB_WRITABLE";
/// Long enough for a program in User-Mode Linux on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the trials that the command line asks for: here, if this is the lab, else there.
pub(crate) fn run(trials: Vec<Trial>) -> ExitCode {
    run_with(&[], SIDE_BY_SIDE, trials)
}

/// The same for trials that need no IPVS: in a lab on this machine's own kernel, which is faster, and so many side by
/// side if it can be had.
pub(crate) fn run_on_any_kernel(threads: usize, trials: Vec<Trial>) -> ExitCode {
    let is_uml = std::env::var_os(KERNEL).is_some_and(|kernel| kernel == "uml");
    run_with(&["--any-kernel"], if is_uml { SIDE_BY_SIDE } else { threads }, trials)
}

fn run_with(options: &[&str], threads: usize, trials: Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    if std::env::var_os(INSIDE).is_none() && !arguments.list {
        return enter(options);
    }
    arguments.test_threads.get_or_insert(threads);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A trial in a namespace of its own: all that its thread does happens there.
pub(crate) fn trial(name: &str, run: impl FnOnce(&Namespace) + Send + 'static) -> Trial {
    Trial::test(name, move || in_thread(move || run(&Namespace::new())))
}

/// In a thread of its own, because a network namespace is a thread's.
pub(crate) fn in_thread(run: impl FnOnce() + Send + 'static) -> Result<(), Failed> {
    thread::spawn(run).join().map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_default()
            .into()
    })
}

/// Runs this program, with its arguments, in the lab in place of this process.
fn enter(options: &[&str]) -> ExitCode {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Of the package itself, or of one in a folder of its workspace.
    let runner = sources
        .ancestors()
        .map(|folder| folder.join("tests/lab/run"))
        .find(|path| path.exists())
        .unwrap_or_else(|| sources.join("tests/lab/run"));
    let mut command = Command::new(&runner);
    command
        .args(options)
        .arg("--")
        .arg(std::env::current_exe().unwrap())
        .args(std::env::args_os().skip(1));
    let mut writable = std::env::var(WRITABLE).unwrap_or_default();
    if let Some(target) = option_env!("CARGO_TARGET_TMPDIR") {
        writable = format!("{writable}:{target}");
    }
    let fault = command.env(WRITABLE, writable.trim_start_matches(':')).exec();
    eprintln!(
        "cannot run {}: {fault}\n\
         hint: these tests need a lab, which tests/lab/setup makes; it says what it lacks",
        runner.display()
    );
    ExitCode::FAILURE
}

/// Waits until there is an answer; panics with `what` and the last refusal when there is none in a minute.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "a test measures time")]
pub(crate) fn wait_for<T, E: std::fmt::Display>(
    what: &str,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Ok(answer) => return answer,
            Err(refusal) if Instant::now() > end => panic!("waited in vain for {what}: {refusal}"),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// A network namespace: interfaces, addresses, sockets and an IPVS table of its own, with the loopback interface up.
///
/// When it is dropped every process in it is killed, daemons too.
pub(crate) struct Namespace {
    /// Keeps the namespace alive and says which it is.
    handle: File,
    /// The same as the kernel writes it for a process: `net:[4026532281]`.
    name: String,
    children: RefCell<Vec<Child>>,
}

impl Namespace {
    /// Takes the calling thread, and what it starts from now on, into a new namespace.
    pub(crate) fn new() -> Namespace {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let here = "/proc/thread-self/ns/net";
        let namespace = Namespace {
            handle: File::open(here).unwrap(),
            name: fs::read_link(here).unwrap().display().to_string(),
            children: RefCell::default(),
        };
        // Without any route the kernel takes every address for a broadcast address.
        namespace.ip(&["link", "set", "lo", "up"]);
        namespace
    }

    /// A namespace beside the calling thread's, which stays where it is.
    pub(crate) fn beside() -> Namespace {
        thread::spawn(Namespace::new).join().unwrap()
    }

    /// Does some work inside, in a thread that ends with it. Sockets made there stay in the namespace.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let handle = &self.handle;
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                setns(handle, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// `ip` with these arguments, which must succeed; what it said.
    #[track_caller]
    pub(crate) fn ip(&self, arguments: &[&str]) -> String {
        self.run("ip", arguments)
    }

    /// `ipvsadm` with these arguments, which must succeed; what it said.
    #[track_caller]
    pub(crate) fn ipvsadm(&self, arguments: &[&str]) -> String {
        self.run("ipvsadm", arguments)
    }

    /// The table as `ipvsadm -Sn` writes it, and so as `ipvsadm -R` reads it.
    #[track_caller]
    pub(crate) fn table(&self) -> String {
        self.ipvsadm(&["-Sn"])
    }

    /// `ipvsadm -R`: adds what this text, in the form of [`Namespace::table`], says.
    #[track_caller]
    pub(crate) fn restore(&self, saved: &str) {
        let mut command = Command::new("ipvsadm");
        command.arg("-R").stdin(Stdio::piped());
        let mut child = self.enter(|| command.spawn()).unwrap();
        child.stdin.take().unwrap().write_all(saved.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "ipvsadm -R refused:\n{saved}");
    }

    /// A program with these arguments, which must succeed; its standard output.
    #[track_caller]
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.output(Command::new(program).args(arguments));
        assert!(
            output.status.success(),
            "{program} {}: {}\n{}{}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// A command run to its end, whatever that is. A daemon that it leaves behind goes on.
    #[track_caller]
    pub(crate) fn output(&self, command: &mut Command) -> Output {
        // Files, because a daemon that keeps a pipe open would make us wait for its end.
        let (mut stdout, mut stderr) = (tempfile().unwrap(), tempfile().unwrap());
        command.stdin(Stdio::null());
        command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
        let status = self
            .enter(|| command.status())
            .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        Output { status, stdout: written(&mut stdout), stderr: written(&mut stderr) }
    }

    /// Starts a command that goes on until the namespace is dropped, or [`Namespace::kill`] ends it.
    #[track_caller]
    pub(crate) fn spawn(&self, command: &mut Command) -> Pid {
        let child = self
            .enter(|| command.spawn())
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let pid = pid(child.id());
        self.children.borrow_mut().push(child);
        pid
    }

    /// Kills a command that [`Namespace::spawn`] started, and waits for its end.
    pub(crate) fn kill(&self, process: Pid) {
        let mut children = self.children.borrow_mut();
        if let Some(at) = children.iter().position(|child| pid(child.id()) == process) {
            end(children.swap_remove(at));
        }
    }

    /// The processes in the namespace, but not this one.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|process: &i32| *process != Pid::this().as_raw())
            .filter(|process| {
                // It may have ended meanwhile.
                fs::read_link(format!("/proc/{process}/ns/net"))
                    .is_ok_and(|link| link.as_os_str() == self.name.as_str())
            })
            .map(Pid::from_raw)
            .collect()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.children.take().into_iter().for_each(end);
        // One of them may start another while we look.
        loop {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            for process in left {
                // It may have ended by itself.
                kill(process, Signal::SIGKILL).unwrap_or_default();
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn written(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

fn end(mut child: Child) {
    // It may have ended by itself; then there is nothing to kill.
    child.kill().unwrap_or_default();
    child.wait().unwrap();
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap())
}
