//! One daemon for each configuration: the pid file, and whether the process it names is a daemon of ours.
//!
//! The file is ldirectord's, so that old and new tools find each other's daemons. It is locked as long as the daemon
//! lives, which keeps two starts at a time from both winning; ldirectord does not lock, so the running test stays.
//!
//! Sources: sections 1.4, 2.2 and Q1, Q25 of the behaviour specification; `proc_pid_cmdline(5)`, `flock(2)`.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;

/// The most of a pid file that is read, in bytes.
const PID_FILE_BYTES: u64 = 64;

/// The most of a command line that is read, in bytes.
const COMMAND_LINE_BYTES: u64 = 64 * 1024;

/// What the pid file tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Instance {
    /// A daemon runs as this process.
    Running(u32),
    /// There is a pid file, and no daemon.
    Stale,
    /// There is no pid file, or an empty one.
    Stopped,
}

/// Looks at a pid file and the process it names.
pub fn look(path: &Path) -> Instance {
    // One that cannot be read tells nothing.
    let Ok(first_line) = first_line(path) else { return Instance::Stopped };
    match first_line.trim_ascii() {
        [] => Instance::Stopped,
        line => match str::from_utf8(line).ok().and_then(|line| line.parse().ok()) {
            Some(pid) if is_daemon(pid) => Instance::Running(pid),
            _ => Instance::Stale,
        },
    }
}

fn first_line(path: &Path) -> io::Result<Vec<u8>> {
    let text = read_start(path, PID_FILE_BYTES)?;
    Ok(text.split(|byte| *byte == b'\n').next().unwrap_or_default().to_owned())
}

fn read_start(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    // A named pipe in its place must not keep us waiting.
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    file.take(bytes).read_to_end(&mut text)?;
    Ok(text)
}

/// Whether this process is a daemon, ours or the Perl one.
pub fn is_daemon(pid: u32) -> bool {
    // After a restart of a container a stale pid may well be our own.
    pid != std::process::id()
        && read_start(&PathBuf::from(format!("/proc/{pid}/cmdline")), COMMAND_LINE_BYTES)
            .is_ok_and(|line| is_daemon_command(&line))
}

/// Who waits for the end of a daemon, and would take it for the end of everything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Keeper {
    /// A unit of systemd.
    Unit(String),
    /// Whoever started it with `--foreground`.
    Caller,
}

/// Who waits for the end of this daemon, as far as that can be told.
pub fn keeper(pid: u32) -> Option<Keeper> {
    let read = |name: &str| {
        let path = PathBuf::from(format!("/proc/{pid}/{name}"));
        read_start(&path, COMMAND_LINE_BYTES).unwrap_or_default()
    };
    keeper_of(&String::from_utf8_lossy(&read("cgroup")), &read("cmdline"))
}

fn keeper_of(cgroups: &str, command_line: &[u8]) -> Option<Keeper> {
    let unit = cgroups.lines().find_map(|line| {
        let (_, unit) = line.rsplit_once('/')?;
        // Not that of Pacemaker, which asks for the status alone.
        let is_meant = unit.contains("ldirectord") && unit.ends_with(".service");
        is_meant.then(|| Keeper::Unit(unit.to_owned()))
    });
    let mut words = command_line.split(|byte| *byte == 0);
    unit.or_else(|| words.any(|word| word == b"--foreground").then_some(Keeper::Caller))
}

/// Whether a command line, with a NUL after each argument, is that of a daemon.
///
/// Differs from ldirectord: there `ldirectord` anywhere is enough, and `vi ldirectord.cf` is taken for a daemon, spared
/// a start and sent a SIGTERM. Here the program, or the script that perl runs, must be called so.
fn is_daemon_command(line: &[u8]) -> bool {
    let arguments: Vec<&[u8]> =
        line.split(|byte| *byte == 0).filter(|argument| !argument.is_empty()).collect();
    let is_ours =
        |argument: &[u8]| file_name(argument).windows(10).any(|word| word == b"ldirectord");
    let asks_only =
        matches!(arguments.last(), Some(&(b"status" | b"stop" | b"reload" | b"force-reload")));
    match arguments.split_first() {
        Some((program, _)) if is_ours(program) => !asks_only,
        Some((program, rest)) if file_name(program).starts_with(b"perl") => {
            rest.iter().take(3).any(|argument| is_ours(argument)) && !asks_only
        }
        _ => false,
    }
}

fn file_name(path: &[u8]) -> &[u8] {
    // A Perl child calls itself `ldirectord tcp:192.0.2.1:80 checking http://…/`, all in one argument.
    let program = path.split(|byte| *byte == b' ').next().unwrap_or_default();
    Path::new(std::ffi::OsStr::from_bytes(program)).file_name().map_or(b"", |name| name.as_bytes())
}

/// Why there is no pid file of ours.
#[derive(Debug)]
pub enum ClaimError {
    /// Another daemon of this name runs or is starting.
    Taken,
    /// The file cannot be written.
    Unwritable(io::Error),
}

/// A pid file of this process. Removed or emptied with [`PidFile::remove`], and left behind by every other end.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Writes this process into the pid file, unless a daemon that locks it is there already.
    pub fn claim(path: &Path) -> Result<PidFile, ClaimError> {
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
                .map_err(ClaimError::Unwritable)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(ClaimError::Taken),
                Err(TryLockError::Error(error)) => return Err(ClaimError::Unwritable(error)),
            }
            // The daemon that had it may have removed it between the opening and the locking.
            if !same_file(&file, path) {
                continue;
            }
            let pid_file = PidFile { path: path.to_owned(), file };
            return match pid_file.renew() {
                Ok(()) => Ok(pid_file),
                Err(error) => Err(ClaimError::Unwritable(error)),
            };
        }
    }

    /// Writes it again. Its date tells since when the daemon follows what it last read.
    pub fn renew(&self) -> io::Result<()> {
        // In one write over what was there, and cut afterwards: at no time is the first line another one.
        let line = format!("{}\n", std::process::id());
        self.file.write_all_at(line.as_bytes(), 0)?;
        self.file.set_len(u64::try_from(line.len()).unwrap_or(0))
    }

    /// Removes the file, if it is still ours.
    ///
    /// Differs from ldirectord: a user who may not do that empties it, which says the same.
    pub fn remove(self) -> io::Result<()> {
        if !same_file(&self.file, &self.path) {
            return Ok(());
        }
        fs::remove_file(&self.path).or_else(|_| self.file.set_len(0))
    }
}

/// Removes a pid file that its daemon could only empty, unless another daemon has it by now.
pub fn remove_empty(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let is_left = file.try_lock().is_ok() && same_file(&file, path);
    if is_left && file.metadata()?.len() == 0 { fs::remove_file(path) } else { Ok(()) }
}

fn same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daemons_are_told_from_those_who_speak_of_them() {
        let daemons: [&[u8]; 6] = [
            b"/usr/sbin/ldirectord\0/etc/ha.d/ldirectord.cf\0start\0",
            b"ldirectord\0start\0",
            b"/etc/ha.d/resource.d/ldirectord\0web.cf\0restart\0",
            b"/usr/bin/perl\0-w\0/usr/sbin/ldirectord\0/etc/ha.d/ldirectord.cf\0start\0",
            b"/usr/bin/perl5.36\0/usr/sbin/ldirectord\0start\0",
            b"ldirectord tcp:192.0.2.1:80 checking 10.0.0.1:80",
        ];
        for line in daemons {
            assert!(is_daemon_command(line), "{}", String::from_utf8_lossy(line));
        }
        let others: [&[u8]; 8] = [
            b"",
            b"\0\0",
            b"vi\0/etc/ha.d/ldirectord.cf\0",
            b"tail\0-f\0/var/log/ldirectord.log\0",
            b"sh\0-c\0/usr/sbin/ldirectord start\0",
            b"/usr/sbin/ldirectord\0web.cf\0status\0",
            b"/usr/bin/perl\0-w\0/usr/sbin/ldirectord\0web.cf\0stop\0",
            b"/usr/bin/perl\0-e\0print 1\0",
        ];
        for line in others {
            assert!(!is_daemon_command(line), "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn a_unit_or_a_caller_keeps_a_daemon() {
        let alone = b"/usr/sbin/ldirectord\0web.cf\0start\0";
        let foreground = b"/usr/sbin/ldirectord\0--foreground\0start\0";
        let unit = |name: &str| format!("1:name=systemd:/\n0::/system.slice/{name}\n");
        let ours = "ldirectord@web.service";
        assert_eq!(keeper_of("0::/\n", alone), None);
        assert_eq!(keeper_of(&unit("pacemaker.service"), alone), None);
        assert_eq!(keeper_of(&unit(ours), alone), Some(Keeper::Unit(ours.to_owned())));
        assert_eq!(keeper_of(&unit(ours), foreground), Some(Keeper::Unit(ours.to_owned())));
        assert_eq!(keeper_of("0::/user.slice/session-1.scope", foreground), Some(Keeper::Caller));
        assert_eq!(keeper_of("", b""), None);
    }

    #[test]
    fn a_pid_file_is_claimed_once_and_removed_by_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ldirectord.web.cf.pid");
        assert_eq!(look(&path), Instance::Stopped);
        fs::write(&path, "99999999 and a long tail of rubbish\n").unwrap();
        assert_eq!(look(&path), Instance::Stale);
        let ours = PidFile::claim(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        assert_eq!(look(&path), Instance::Stale, "our own pid is not another daemon");
        assert!(matches!(PidFile::claim(&path), Err(ClaimError::Taken)));
        ours.remove().unwrap();
        assert!(!path.exists());
        fs::write(&path, "\n").unwrap();
        assert_eq!(look(&path), Instance::Stopped);
        let ours = PidFile::claim(&path).unwrap();
        fs::rename(&path, dir.path().join("elsewhere")).unwrap();
        fs::write(&path, "1\n").unwrap();
        ours.remove().unwrap();
        assert!(path.exists(), "a file that somebody else made stays");
        remove_empty(&path).unwrap();
        assert!(path.exists(), "one that is not empty stays");
        fs::write(&path, "").unwrap();
        let next = PidFile::claim(&path).unwrap();
        remove_empty(&path).unwrap();
        assert!(path.exists(), "one that another daemon has stays");
        next.file.set_len(0).unwrap();
        drop(next);
        remove_empty(&path).unwrap();
        assert!(!path.exists());
        assert!(matches!(
            PidFile::claim(&dir.path().join("no/such")),
            Err(ClaimError::Unwritable(_))
        ));
    }
}
