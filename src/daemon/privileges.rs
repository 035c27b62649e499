//! Gives up what is not needed once everything is open: the user, the rights of each thread.
//!
//! In go a configuration and who started the process; out come the threads with their rights. Started as root, the process
//! becomes the user that [`user::choose`] names. Then, and when somebody else started it with capabilities, the thread
//! of the kernel's table keeps `CAP_NET_ADMIN`, and no other thread keeps any: the sockets of ping are open by then.
//! Programs that are started get nothing.
//!
//! Users are a matter of the process (`nix`), capabilities one of each thread (`rustix`). What another user may do is tried
//! by a thread that becomes that user and ends, because the kernel's answer counts ACLs and security modules, too.
//!
//! Differs from ldirectord: all of that is root.
//!
//! Sources: `capabilities(7)`, `credentials(7)`, `prctl(2)`: what a change of user clears.

use std::{
    collections::BTreeSet,
    ffi::CString,
    fs::{self, OpenOptions, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    thread,
};

use nix::{
    errno::Errno,
    fcntl::OFlag,
    sys::prctl,
    unistd::{
        Gid, Group, Uid, User, fchown, getegid, geteuid, getgrouplist, initgroups, setresgid,
        setresuid,
    },
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::{Settings, detach, reconciler::TableChoice, watch::Seen};
use crate::{
    checks::Checker,
    director::user::{self, Account, Choice},
    ipvs,
    model::{CheckKind, Desired},
    sinks::log::Log,
};

/// Which rights threads are to have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rights {
    /// All the same, those of root.
    AsStarted,
    /// The thread of the kernel's table `CAP_NET_ADMIN` if the process had it, all others none.
    Split,
}

impl Rights {
    /// In the thread of the kernel's table: keeps what that needs.
    pub(super) fn keep_for_table(self) -> io::Result<()> {
        let needed = CapabilitySet::NET_ADMIN;
        if self == Rights::Split { hold(needed, needed) } else { Ok(()) }
    }

    /// In the thread that starts all others and every program, once that of the table is there: keeps nothing.
    pub(super) fn give_up(self) -> io::Result<()> {
        let none = CapabilitySet::empty();
        if self == Rights::Split { hold(none, none) } else { Ok(()) }
    }
}

/// As whom the process goes on.
#[derive(Debug)]
pub(super) struct Settled {
    /// What its threads may.
    pub(super) rights: Rights,
    /// The name of its user.
    pub(super) user: String,
    /// Whether it began as root.
    pub(super) was_root: bool,
}

/// Opens what needs root and gives root up, as the configuration and the machine allow. Only the log has a thread yet.
pub(super) fn settle(settings: &Settings, checker: &Checker) -> io::Result<Settled> {
    let desired = &settings.desired;
    let sealed = user::programs(desired).is_empty();
    let own = own_name();
    if !geteuid().is_root() {
        if let Some(refusal) = user::refusal(desired, &own) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, refusal));
        }
        checker.open_ping_sockets();
        restrict(sealed)?;
        return Ok(Settled { rights: Rights::Split, user: own, was_root: false });
    }
    // So that its file is there.
    settings.log.flush();
    let has_default = is_local(user::ACCOUNT);
    let account = match user::account(desired, has_default) {
        Some(name) => Person::find(name).map_or_else(
            |account| (account, None),
            |person| (person.judge(settings), Some(person)),
        ),
        None => (Account::Missing, None),
    };
    match (user::choose(desired, account.0, has_default), account.1) {
        (Choice::Become { name, sealed }, Some(person)) => {
            checker.open_ping_sockets();
            if settings.caller.table == TableChoice::Kernel {
                ipvs::load_schedulers(&desired.services);
            }
            person.take_over(sealed)?;
            if settings.is_second {
                // The kernel forgets this when the user changes.
                detach::end_with_first()?;
            }
            tracing::info!("Runs as user {name}");
            Ok(Settled { rights: Rights::Split, user: name, was_root: true })
        }
        (Choice::Refuse(why), _) => Err(io::Error::new(io::ErrorKind::PermissionDenied, why)),
        (Choice::Stay(told), _) => {
            if let Some(told) = told {
                tracing::info!("{told}");
            }
            Ok(Settled { rights: Rights::AsStarted, user: own, was_root: true })
        }
        // `choose` names the account that was looked up.
        (Choice::Become { .. }, None) => Err(Errno::EINVAL.into()),
    }
}

/// What the machine says of the account that a configuration names itself.
pub(super) fn examine(desired: &Desired, seen: &Seen) -> Account {
    let Some(name) = user::account(desired, false) else { return Account::Fit };
    match Person::find(name) {
        Err(account) => account,
        // Whoever is not root has read everything by itself, or cannot find out.
        Ok(_) if !geteuid().is_root() => Account::Fit,
        Ok(person) => person.cannot_read(seen, desired).map_or(Account::Fit, Account::Unfit),
    }
}

/// Does some work as the user that a process runs as, if we are root and that is not, in a thread that then ends.
pub fn as_user_of<T: Send>(pid: u32, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    match Person::of(pid) {
        Some(person) if geteuid().is_root() && !person.uid.is_root() => person.tries(work),
        _ => Ok(work()),
    }
}

/// What would let this user, who is not root, do to a file what was just refused.
pub(super) fn help(path: &Path, error: &io::Error, mode: &str) -> Option<String> {
    let refused = error.kind() == io::ErrorKind::PermissionDenied && !geteuid().is_root();
    refused.then(|| format!("for user {}: {}", own_name(), commands(path, getegid(), mode)))
}

fn commands(path: &Path, group: Gid, mode: &str) -> String {
    let name = Group::from_gid(group).ok().flatten().map(|group| group.name);
    let name = name.unwrap_or_else(|| group.to_string());
    format!("chgrp {name} {0}; chmod {mode} {0}", path.display())
}

/// Whether this machine has the account itself. Whoever else may have it is not asked where nobody has said that
/// there is one: a directory may be out of reach.
fn is_local(name: &str) -> bool {
    let accounts = fs::read("/etc/passwd").unwrap_or_default();
    let mut names = accounts.split(|byte| *byte == b'\n');
    names.any(|line| line.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b":")))
}

fn own_name() -> String {
    let user = User::from_uid(geteuid()).ok().flatten();
    user.map_or_else(|| geteuid().to_string(), |user| user.name)
}

/// An account, as far as the kernel knows it.
#[derive(Debug)]
struct Person {
    name: CString,
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Person {
    fn find(name: &str) -> Result<Person, Account> {
        let odd =
            |error: &dyn std::fmt::Display| Account::Unfit(format!("cannot be looked up: {error}"));
        let found = User::from_name(name).map_err(|error| odd(&error))?;
        let User { uid, gid, .. } = found.ok_or(Account::Missing)?;
        let name = CString::new(name).map_err(|error| odd(&error))?;
        let groups = getgrouplist(&name, gid).map_err(|error| odd(&error))?;
        Ok(Person { name, uid, gid, groups })
    }

    /// Whom a process runs as.
    fn of(pid: u32) -> Option<Person> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let numbers = |name: &str| -> Option<Vec<u32>> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_ascii_whitespace().map(|number| number.parse().ok()).collect()
        };
        // The second is the effective one.
        let (uid, gid) = (*numbers("Uid:")?.get(1)?, *numbers("Gid:")?.get(1)?);
        Some(Person {
            name: CString::default(),
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(gid),
            groups: numbers("Groups:")?.into_iter().map(Gid::from_raw).collect(),
        })
    }

    /// Whether the daemon can go on as this user. Files to be written become the group's.
    fn judge(&self, settings: &Settings) -> Account {
        let Settings { seen, desired, log, .. } = settings;
        match self.cannot_read(seen, desired).or_else(|| self.cannot_write(desired, log)) {
            Some(why) => Account::Unfit(why),
            None => Account::Fit,
        }
    }

    /// Of what a reload reads, the first that this user may not read, as words that follow on the user's name.
    fn cannot_read(&self, seen: &Seen, desired: &Desired) -> Option<String> {
        let files = seen.files.iter().filter(|(_, content)| content.is_some());
        let files: BTreeSet<&Path> =
            files.map(|(path, _)| path.as_path()).chain(read_later(desired)).collect();
        let refused =
            self.tries(|| files.into_iter().find_map(|path| Some((path, open(path, true).err()?))));
        self.explain("read", "640", refused)
    }

    /// The same of what is written.
    fn cannot_write(&self, desired: &Desired, log: &Log) -> Option<String> {
        let files = written(desired, log);
        let refused = self.tries(|| {
            let refused = |path: &PathBuf| open(path, false).is_err();
            files.iter().filter(|path| refused(path)).cloned().collect::<Vec<_>>()
        });
        let shared = match refused {
            Ok(files) if files.is_empty() => return None,
            Ok(files) => files,
            Err(error) => return self.explain("write", "660", Err(error)),
        };
        for path in &shared {
            // Whether that was enough is found out next.
            self.share(path).unwrap_or_default();
        }
        let refused = self.tries(|| {
            shared.iter().find_map(|path| Some((path.as_path(), open(path, false).err()?)))
        });
        self.explain("write", "660", refused)
    }

    fn explain(
        &self,
        what: &str,
        mode: &str,
        refused: io::Result<Option<(&Path, io::Error)>>,
    ) -> Option<String> {
        match refused {
            Ok(None) => None,
            Ok(Some((path, error))) => {
                let help = commands(path, self.gid, mode);
                Some(format!("cannot {what} {}: {error}; {help}", path.display()))
            }
            Err(error) => {
                Some(format!("cannot be taken over: {error}; it takes CAP_SETUID and CAP_SETGID"))
            }
        }
    }

    /// Lets the group write a file of root's, which stays root's: nobody else's file is touched, nor one that has
    /// another name or is found by a symbolic link, by which it could be any file.
    fn share(&self, path: &Path) -> io::Result<()> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
        let file = OpenOptions::new().append(true).custom_flags(flags.bits()).open(path)?;
        let about = file.metadata()?;
        let is_free = about.gid() == 0 || about.gid() == self.gid.as_raw();
        if !about.is_file() || about.nlink() != 1 || about.uid() != 0 || !is_free {
            return Err(Errno::EPERM.into());
        }
        scratch(|| {
            // An owner may give a file to a group that it is in, without CAP_CHOWN.
            set_thread_groups(&[group_of_thread(self.gid)])?;
            fchown(&file, None, Some(self.gid))?;
            file.set_permissions(Permissions::from_mode((about.mode() & 0o7777) | 0o060))
        })?
    }

    /// Does some work as this user in a thread that ends afterwards.
    fn tries<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        scratch(|| {
            let groups: Vec<_> = self.groups.iter().copied().map(group_of_thread).collect();
            let (gid, uid) = (group_of_thread(self.gid), user_of_thread(self.uid));
            set_thread_groups(&groups)?;
            set_thread_res_gid(gid, gid, gid)?;
            set_thread_res_uid(uid, uid, uid)?;
            keep_memory_private()?;
            Ok(work())
        })?
    }

    /// Becomes this user for good, in all threads. This one keeps the right to the kernel's table, and cannot use it.
    fn take_over(&self, sealed: bool) -> io::Result<()> {
        if sealed {
            empty_bounding_set();
        }
        prctl::set_keepcaps(true)?;
        initgroups(&self.name, self.gid)?;
        setresgid(self.gid, self.gid, self.gid)?;
        setresuid(self.uid, self.uid, self.uid)?;
        prctl::set_keepcaps(false)?;
        keep_memory_private()?;
        restrict(sealed)
    }
}

/// Leaves this thread with the right to the kernel's table, if it has it, without the use of it, and what it starts with
/// nothing.
fn restrict(sealed: bool) -> io::Result<()> {
    if sealed {
        prctl::set_no_new_privs()?;
    }
    hold(CapabilitySet::NET_ADMIN, CapabilitySet::empty())
}

/// Keeps these capabilities of those that this thread has, and of those it keeps makes these count.
fn hold(permitted: CapabilitySet, effective: CapabilitySet) -> io::Result<()> {
    clear_ambient_capability_set()?;
    let had = capabilities(None)?.permitted;
    let inheritable = CapabilitySet::empty();
    let (permitted, effective) = (had & permitted, had & effective);
    Ok(set_capabilities(None, CapabilitySets { effective, permitted, inheritable })?)
}

/// Keeps programs that become root, by their mode, from having its rights. That takes `CAP_SETPCAP`; without it such
/// programs are kept from becoming root all the same, by `no_new_privs`.
fn empty_bounding_set() {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(capability) {
            Ok(true) => remove_capability_from_bounding_set(capability).unwrap_or_default(),
            Ok(false) => {}
            // The kernel knows no more.
            Err(_) => break,
        }
    }
}

/// A change of user may let the kernel write core files again.
fn keep_memory_private() -> io::Result<()> {
    Ok(prctl::set_dumpable(false)?)
}

/// In a thread of its own, whose user and rights are its own.
fn scratch<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<io::Result<T>> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("user".to_owned()).spawn_scoped(scope, work)?;
        thread.join().map_err(|_| io::Error::other("the thread that tries has broken"))
    })
}

fn group_of_thread(gid: Gid) -> rustix::thread::Gid {
    rustix::thread::Gid::from_raw(gid.as_raw())
}

fn user_of_thread(uid: Uid) -> rustix::thread::Uid {
    rustix::thread::Uid::from_raw(uid.as_raw())
}

fn open(path: &Path, reading: bool) -> io::Result<()> {
    let flags = OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(reading).append(!reading).custom_flags(flags.bits());
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What a configuration names to be read, beside its own files.
fn read_later(desired: &Desired) -> impl Iterator<Item = &Path> {
    let tls = desired.checks.iter().filter_map(|check| match &check.kind {
        CheckKind::Negotiate(negotiate) | CheckKind::Combined { negotiate, .. } => {
            Some(&negotiate.tls)
        }
        _ => None,
    });
    let files = tls.flat_map(|tls| {
        let client = tls.client.iter();
        tls.authorities.iter().chain(client.flat_map(|client| [&client.certificate, &client.key]))
    });
    files.chain(&desired.process.maintenance_dir).map(PathBuf::as_path)
}

/// What it names to be written to.
fn written(desired: &Desired, log: &Log) -> Vec<PathBuf> {
    let monitor_files =
        desired.services.iter().filter_map(|service| service.monitor_file.as_deref());
    log.file(&desired.process.log).into_iter().chain(monitor_files).map(Path::to_owned).collect()
}
