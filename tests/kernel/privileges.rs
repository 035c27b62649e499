//! What the daemon keeps of root, thread by thread, and that everything goes on working with it.
//!
//! Each trial has an account `ldirectord` of its own, in a mount namespace.

use std::{
    fs::{self, File, Permissions},
    net::TcpListener,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use libtest_mimic::Trial;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::support::lab::{Namespace, trial, wait_for};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("privileges_are_given_up", are_given_up),
        trial("privileges_are_given_up_beside_programs", are_given_up_beside_programs),
        trial("privileges_are_kept_where_programs_need_them", are_kept_for_programs),
        trial("privileges_of_an_account_that_is_unfit", of_an_unfit_account),
        trial("privileges_of_another_user_are_enough", of_another_user),
    ]
}

/// Nothing else is in the network of the trial.
const MAIL_PORT: u16 = 2525;

/// The number of the account, and of its group.
const ID: u32 = 990;

const NONE: &str = "0000000000000000";
/// The twelfth is `CAP_NET_ADMIN`.
const NET_ADMIN: &str = "0000000000001000";

fn are_given_up(namespace: &Namespace) {
    let site = Site::new(namespace, true);
    let server = TcpListener::bind("127.0.0.2:0").unwrap();
    let address = server.local_addr().unwrap();
    let pings = "virtual = 192.0.2.1:81\n\treal = 127.0.0.3:80 masq\n\tchecktype = ping\n\tprotocol = tcp\n\
                 virtual6 = [2001:db8::1]:81\n\treal6 = [::1]:80 masq\n\tchecktype = ping\n\tprotocol = tcp\n";
    let mails = site.mail_server();
    let web = format!(
        "checkinterval = 1\nemailalert = admin@example.org\nsmtp = 127.0.0.1\nsmtpport = {MAIL_PORT}\nvirtual = 192.0.2.1:80\n\treal = {address} masq\n\tchecktype = connect\n\tprotocol = tcp\n\
         \tmonitorfile = {}\n{pings}",
        site.path("monitor").display()
    );
    site.configure(&web);
    site.succeed("start");
    let daemon = site.pid();
    site.wait_for_log("Runs as user ldirectord");
    for (thread, status) in threads(daemon) {
        let kept = if thread == "kernel" { NET_ADMIN } else { NONE };
        assert_eq!(rights(&status), [kept, kept, NONE, NONE], "{thread}");
        assert_eq!(field(&status, "Uid:"), "990 990 990 990", "{thread}");
        assert_eq!(field(&status, "Gid:"), "990 990 990 990", "{thread}");
        assert_eq!(field(&status, "Groups:"), "990", "{thread}");
        // The thread of the log was there before, and starts nothing.
        if thread != "log" {
            assert_eq!(field(&status, "CapBnd:"), NONE, "{thread}");
            assert_eq!(field(&status, "NoNewPrivs:"), "1", "{thread}");
        }
    }
    assert!(threads(daemon).iter().any(|(thread, _)| thread == "kernel"));
    let memory = fs::metadata(format!("/proc/{}/mem", daemon)).unwrap();
    assert_eq!(memory.uid(), 0, "its memory is for nobody but root");

    // The table, checks by connections and by pings, the log and the monitor file.
    let real = format!("-r {address} -m");
    site.wait_for_table(&[&real, "-r 127.0.0.3:80 -m", "-r [::1]:80 -m"], &[]);
    assert!(text(&site.call("list")).contains("  1 of 1 serve\n"), "root asks on its socket");
    drop(server);
    site.wait_for_table(&["-r 127.0.0.3:80 -m"], &[&real]);
    // As the mails of a daemon that is root.
    wait_for("a mail", || match fs::read_to_string(&mails) {
        Ok(text) if text.contains("From: root@") && !text.contains("From: ldirectord@") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let _server = TcpListener::bind(address).unwrap();
    site.wait_for_table(&[&real], &[]);
    wait_for("the monitor file", || match fs::read_to_string(site.path("monitor")) {
        Ok(text) if text.contains("[up]") && text.contains("[down]") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    site.rotates_its_log();

    // A reload of what it may read, and of what it may not.
    site.configure(&format!(
        "{web}virtual = 192.0.2.9:80\n\treal = 127.0.0.3:80 masq\n\tscheduler = sh\n\
                             \tchecktype = on\n\tprotocol = tcp\n"
    ));
    site.succeed("reload");
    site.wait_for_table(&["-A -t 192.0.2.9:80 -s sh"], &[]);
    let fix = format!("chgrp ldirectord {0}; chmod 640 {0}", site.config().display());
    site.configure(&web);
    fs::set_permissions(site.config(), Permissions::from_mode(0o600)).unwrap();
    let refused = site.call("reload");
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused).contains(&fix), "{refused:?}");
    kill(daemon, Signal::SIGHUP).unwrap();
    site.wait_for_log(&format!("for user ldirectord: {fix}"));
    site.wait_for_log("the configuration in force stays");
    site.wait_for_log("for checking");
    site.wait_for_table(&["-A -t 192.0.2.9:80 -s sh"], &[]);
    chown(site.config(), None, Some(ID)).unwrap();
    fs::set_permissions(site.config(), Permissions::from_mode(0o640)).unwrap();
    site.succeed("reload");
    site.wait_for_table(&[&real], &["192.0.2.9"]);

    // It leaves, and cannot remove its pid file.
    kill(daemon, Signal::SIGUSR2).unwrap();
    site.wait_for_end(daemon);
    assert!(namespace.table().contains(&real));
    assert_eq!(fs::read_to_string(site.pid_file()).unwrap(), "");
    assert_eq!(site.call("status").status.code(), Some(3));
    site.succeed("start");
    let next = site.pid();
    assert_ne!(next, daemon);
    // The user itself is asked and told like root.
    for command in ["status", "reload"] {
        let done = site.call_as_user(&[], command);
        assert!(done.status.success(), "{command}: {}", text(&done));
    }
    site.succeed("stop");
    assert_eq!(namespace.table(), "");
    assert!(!site.pid_file().exists());
    assert!(!site.path("ldirectord/web.cf.sock").exists());
}

fn are_given_up_beside_programs(namespace: &Namespace) {
    let site = Site::new(namespace, true);
    let (check, seen) = (site.path("check"), site.path("seen"));
    fs::create_dir(&seen).unwrap();
    fs::set_permissions(&seen, Permissions::from_mode(0o777)).unwrap();
    let script = format!(
        "#!/bin/sh\ncat /proc/self/status >{0}/new && mv {0}/new {0}/status\n",
        seen.display()
    );
    fs::write(&check, script).unwrap();
    fs::set_permissions(&check, Permissions::from_mode(0o755)).unwrap();
    let text = format!(
        "user = ldirectord\ncheckinterval = 1\nvirtual = 192.0.2.1:80\n\treal = 127.0.0.2:80 masq\n\
         \tchecktype = external\n\tcheckcommand = {}\n\tprotocol = tcp\n",
        check.display()
    );
    site.configure(&text);
    site.succeed("start");
    site.wait_for_table(&["-r 127.0.0.2:80 -m"], &[]);
    let child = fs::read_to_string(seen.join("status")).unwrap();
    assert_eq!(rights(&child), [NONE; 4]);
    assert_eq!(field(&child, "Uid:"), "990 990 990 990");
    // It may use sudo, which root allowed it.
    assert_eq!(field(&child, "NoNewPrivs:"), "0");
    for (thread, status) in threads(site.pid()) {
        let kept = if thread == "kernel" { NET_ADMIN } else { NONE };
        assert_eq!(rights(&status), [kept, kept, NONE, NONE], "{thread}");
    }
    // What it became it stays until the next start.
    site.configure(&text.replace("user = ldirectord\n", ""));
    site.succeed("reload");
    site.wait_for_log("runs as user ldirectord until the next start");
    site.succeed("reexec");
    site.wait_for_log("Runs as root: checkcommand ");
    assert_eq!(field(&threads(site.pid())[0].1, "Uid:"), "0 0 0 0");
    site.succeed("stop");
    assert_eq!(namespace.table(), "");
}

fn are_kept_for_programs(namespace: &Namespace) {
    let service =
        "virtual = 192.0.2.1:80\n\treal = 127.0.0.2:80 masq\n\tchecktype = on\n\tprotocol = tcp\n";
    let uid = |site: &Site| field(&threads(site.pid())[0].1, "Uid:");
    let site = Site::new(namespace, true);
    site.configure(&format!("{service}\tfallbackcommand = /bin/true\n"));
    site.succeed("start");
    assert_eq!(uid(&site), "0 0 0 0");
    site.wait_for_log(
        "Runs as root: fallbackcommand /bin/true may need it; user = ldirectord would run all without root, user = root \
         says that it is right",
    );
    site.succeed("stop");
    fs::remove_file(site.path("log")).unwrap();
    site.configure(&format!("user = root\n{service}"));
    site.succeed("start");
    assert_eq!(uid(&site), "0 0 0 0");
    site.succeed("stop");
    assert!(!site.log().contains("Runs as"), "{}", site.log());
    // What root alone may read.
    site.configure(service);
    fs::set_permissions(site.config(), Permissions::from_mode(0o600)).unwrap();
    site.succeed("start");
    assert_eq!(uid(&site), "0 0 0 0");
    let config = site.config().display().to_string();
    site.wait_for_log(&format!(
        "Runs as root: user ldirectord cannot read {config}: Permission denied (os error 13); chgrp ldirectord {config}; \
         chmod 640 {config}"
    ));
    site.succeed("stop");
    // And what a reload reads besides.
    let [secrets, folder] = [site.path("secrets"), site.path("maintenance")];
    fs::write(&secrets, "[a]\nlogin = b\n").unwrap();
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&secrets, Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    let also =
        format!("credentials = {}\nmaintenancedir = {}\n", secrets.display(), folder.display());
    site.configure(&format!("{also}{service}"));
    for (path, mode) in [(&folder, 0o750), (&secrets, 0o640)] {
        site.succeed("start");
        assert_eq!(uid(&site), "0 0 0 0");
        site.wait_for_log(&format!("user ldirectord cannot read {}", path.display()));
        site.succeed("stop");
        chown(path, None, Some(ID)).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    site.succeed("start");
    assert_eq!(uid(&site), "990 990 990 990");
    // Root cannot be had back.
    site.configure(&format!("user = root\n{service}"));
    site.succeed("reload");
    site.wait_for_log("user = root takes effect at the next start; until then it is ldirectord");
    site.succeed("stop");
}

fn of_an_unfit_account(namespace: &Namespace) {
    let service =
        "virtual = 192.0.2.1:80\n\treal = 127.0.0.2:80 masq\n\tchecktype = on\n\tprotocol = tcp\n";
    let site = Site::new(namespace, true);
    site.configure(&format!("user = ldirectord\n{service}"));
    fs::set_permissions(site.config(), Permissions::from_mode(0o600)).unwrap();
    let refused = site.call("start");
    assert_eq!(refused.status.code(), Some(2));
    let config = site.config().display().to_string();
    let fix = format!("user ldirectord cannot read {config}");
    assert!(text(&refused).contains(&fix), "{}", text(&refused));
    assert_eq!(site.call("validate").status.code(), Some(2));
    site.configure(&format!("user = nobodys\n{service}"));
    let missing = "there is no account nobodys on this machine";
    let refused = site.call("start");
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused).contains(missing), "{}", text(&refused));
    // The file may be for another machine.
    let doubt = site.call("validate");
    assert_eq!(doubt.status.code(), Some(0));
    assert!(text(&doubt).contains(missing), "{}", text(&doubt));
    assert_eq!(namespace.table(), "");
    // A log that is not root's is not given to anybody.
    fs::write(site.path("log"), "").unwrap();
    chown(site.path("log"), Some(77), Some(77)).unwrap();
    site.configure(&format!("user = ldirectord\n{service}"));
    let refused = site.call("start");
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("user ldirectord cannot write "), "{}", text(&refused));
    assert_eq!(fs::metadata(site.path("log")).unwrap().uid(), 77);
    let site = Site::new(namespace, false);
    site.configure(service);
    site.succeed("start");
    assert!(!site.log().contains("Runs as"), "without the account nothing is new: {}", site.log());
    site.succeed("stop");
}

fn of_another_user(namespace: &Namespace) {
    let site = Site::new(namespace, true);
    chown(site.folder.path(), Some(ID), Some(ID)).unwrap();
    site.configure(
        "checkinterval = 1\nvirtual = 192.0.2.1:80\n\treal = 127.0.0.3:80 masq\n\tchecktype = ping\n\tprotocol = tcp\n",
    );
    let rights_of_user =
        ["--inh-caps", "+net_admin,+net_raw", "--ambient-caps", "+net_admin,+net_raw"];
    let call = |capabilities: &[&str], command: &str| site.call_as_user(capabilities, command);
    let done = call(&[], "start");
    assert!(text(&done).contains("CAP_NET_ADMIN"), "{}", text(&done));
    call(&[], "stop");
    let done = call(&rights_of_user, "start");
    assert!(done.status.success(), "{done:?}");
    site.wait_for_table(&["-r 127.0.0.3:80 -m"], &[]);
    for (thread, status) in threads(site.pid()) {
        if thread != "log" {
            let kept = if thread == "kernel" { NET_ADMIN } else { NONE };
            assert_eq!(rights(&status), [kept, kept, NONE, NONE], "{thread}");
        }
    }
    for (command, code) in [("status", 0), ("reload", 0), ("stop", 0), ("status", 3)] {
        let done = call(&[], command);
        assert_eq!(done.status.code(), Some(code), "{command}: {}", text(&done));
    }
    assert_eq!(namespace.table(), "");
    assert!(!site.pid_file().exists());
}

/// A folder that everybody may look into and root alone may change, in a namespace with the account or without.
struct Site<'a> {
    namespace: &'a Namespace,
    folder: TempDir,
}

impl Site<'_> {
    fn new(namespace: &Namespace, has_account: bool) -> Site<'_> {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none: Option<&Path> = None;
        mount(none, "/", none, MsFlags::MS_PRIVATE | MsFlags::MS_REC, none).unwrap();
        let accounts = [
            ("passwd", "ldirectord:x:990:990::/:/usr/sbin/nologin\n"),
            ("group", "ldirectord:x:990:\n"),
        ];
        for (name, line) in accounts {
            let (file, own) = (Path::new("/etc").join(name), folder.path().join(name));
            let others = fs::read_to_string(&file).unwrap();
            let others = others.lines().filter(|other| !other.starts_with("ldirectord:"));
            let mut all: String = others.flat_map(|other| [other, "\n"]).collect();
            all.push_str(if has_account { line } else { "" });
            fs::write(&own, all).unwrap();
            mount(Some(&own), &file, none, MsFlags::MS_BIND, none).unwrap();
        }
        Site { namespace, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self) -> PathBuf {
        self.path("web.cf")
    }

    fn pid_file(&self) -> PathBuf {
        self.path("ldirectord.web.cf.pid")
    }

    /// Writes the configuration, for everybody to read.
    fn configure(&self, config: &str) {
        let text = format!("logfile = \"{}\"\n{config}", self.path("log").display());
        // A new file, as an editor makes it.
        fs::write(self.path("next"), text).unwrap();
        fs::set_permissions(self.path("next"), Permissions::from_mode(0o644)).unwrap();
        fs::rename(self.path("next"), self.config()).unwrap();
    }

    fn program(&self, command: &str) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_ldirectord"));
        match command {
            "validate" => program.arg(command).arg(self.config()),
            "list" => program.arg(command),
            _ => program.arg(self.config()).arg(command),
        };
        program.env("LDIRECTORD_RUN_DIR", self.folder.path()).stdin(Stdio::null());
        program
    }

    fn call(&self, command: &str) -> Output {
        self.namespace.output(&mut self.program(command))
    }

    /// As the user, with these options of setpriv for its capabilities.
    fn call_as_user(&self, capabilities: &[&str], command: &str) -> Output {
        let program = self.program(command);
        let mut setpriv = Command::new("setpriv");
        setpriv.args(["--reuid", "990", "--regid", "990", "--clear-groups"]).args(capabilities);
        setpriv.arg(program.get_program()).args(program.get_args());
        self.namespace.output(setpriv.env("LDIRECTORD_RUN_DIR", self.folder.path()))
    }

    #[track_caller]
    fn succeed(&self, command: &str) {
        let done = self.call(command);
        assert!(done.status.success(), "{command}: {}\n{}", text(&done), self.log());
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(fs::read_to_string(self.pid_file()).unwrap().trim().parse().unwrap())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    #[track_caller]
    fn wait_for_log(&self, words: &str) {
        wait_for(words, || match self.log() {
            log if log.contains(words) => Ok(()),
            log => Err(log),
        });
    }

    #[track_caller]
    fn wait_for_table(&self, there: &[&str], away: &[&str]) {
        wait_for("the table", || match self.namespace.table() {
            table
                if there.iter().all(|line| table.contains(line))
                    && !away.iter().any(|line| table.contains(line)) =>
            {
                Ok(())
            }
            table => Err(format!("{table}\n{}", self.log())),
        });
    }

    fn wait_for_end(&self, daemon: Pid) {
        wait_for("the end of the daemon", || {
            let processes = self.namespace.processes();
            if processes.contains(&daemon) { Err(format!("{processes:?}")) } else { Ok(()) }
        });
    }

    /// A mail server, and where it writes the mails.
    fn mail_server(&self) -> PathBuf {
        let mails = self.path("mails");
        let mut server = Command::new("python3");
        let address = format!("127.0.0.1:{MAIL_PORT}");
        server.args(["-u", "-m", "aiosmtpd", "-n", "-l", &address]);
        server.args(["-c", "aiosmtpd.handlers.Debugging", "stdout"]);
        self.namespace.spawn(server.stdout(File::create(&mails).unwrap()));
        mails
    }

    /// The real logrotate, with our file for it; later lines are in the new file.
    fn rotates_its_log(&self) {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/logrotate/ldirectord");
        let ours = fs::read_to_string(ours).unwrap();
        let log = self.path("log").display().to_string();
        let rules = ours.replace("/var/log/ldirectord.log", &log);
        assert_ne!(rules, ours);
        fs::write(self.path("rules"), rules).unwrap();
        let (state, rules) = (self.path("state"), self.path("rules"));
        self.namespace.run(
            "logrotate",
            &["--force", "--state", state.to_str().unwrap(), rules.to_str().unwrap()],
        );
        assert_eq!(self.log(), "");
        let about = fs::metadata(&log).unwrap();
        assert_eq!((about.uid(), about.gid(), about.mode() & 0o777), (0, ID, 0o664));
        kill(self.pid(), Signal::SIGHUP).unwrap();
        self.wait_for_log("Reloading Linux Director Daemon config on signal");
    }
}

/// The name and the status of each thread.
fn threads(process: Pid) -> Vec<(String, String)> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let statuses =
        tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
    statuses.map(|status| (field(&status, "Name:"), status)).collect()
}

fn field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// The effective, permitted, inheritable and ambient capabilities.
fn rights(status: &str) -> [String; 4] {
    ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"].map(|name| field(status, name))
}

fn text(output: &Output) -> String {
    let Output { stdout, stderr, .. } = output;
    format!("{}{}", String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr))
}
