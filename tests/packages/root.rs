//! A root folder for one trial: the lab's own, under a layer that ends with the lab.

#![allow(dead_code, reason = "one of two test programs uses everything")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::support::lab::{Namespace, wait_for};

static COUNT: AtomicUsize = AtomicUsize::new(0);

pub(crate) struct Root<'a> {
    folder: PathBuf,
    namespace: &'a Namespace,
    /// The process 1 that runs in it.
    machine: Option<String>,
}

/// Makes the folder the root of the machine that this begins.
const BOOT: &str = r#"
    set -e
    mount --make-rprivate /
    cd "$1"
    mount -t proc proc proc
    mount -t sysfs sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    pivot_root . mnt
    umount --lazy mnt
    export container=lab
    exec chroot . /lib/systemd/systemd --system --unit=basic.target --log-target=null --show-status=no </dev/null >/dev/null 2>&1
"#;

impl<'a> Root<'a> {
    /// The lab's root with Debian's ldirectord in it, as apt left it.
    pub(crate) fn new(namespace: &'a Namespace) -> Root<'a> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let place = PathBuf::from(format!("/tmp/root-{number}"));
        for name in ["upper", "work", "root"] {
            fs::create_dir_all(place.join(name)).unwrap();
        }
        let folder = place.join("root");
        let layers = format!(
            "lowerdir=/,upperdir={},workdir={}",
            place.join("upper").display(),
            place.join("work").display()
        );
        let shown = folder.to_str().unwrap();
        namespace.run("mount", &["-t", "overlay", "overlay", "-o", &layers, shown]);
        let root = Root { folder, namespace, machine: None };
        for (kind, name) in [("proc", "proc"), ("tmpfs", "run"), ("tmpfs", "tmp")] {
            namespace.run("mount", &["-t", kind, kind, root.path(name).to_str().unwrap()]);
        }
        // The lab leaves documentation out, and the database of manual pages takes long.
        fs::write(root.path("etc/dpkg/dpkg.cfg.d/lab"), "force-unsafe-io\n").unwrap();
        fs::remove_file(root.path("var/lib/man-db/auto-update")).unwrap();
        root
    }

    /// A path in it, from outside.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name.trim_start_matches('/'))
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    #[track_caller]
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A copy of a file of the lab, at its root.
    pub(crate) fn bring(&self, file: &Path) -> String {
        let name = format!("/{}", file.file_name().unwrap().to_str().unwrap());
        fs::copy(file, self.path(&name)).unwrap();
        name
    }

    /// Has systemd run it as a machine of its own; from now on all that is run is run there.
    pub(crate) fn boot(&mut self) {
        // What a machine needs for its disks, its users and its time only delays it.
        self.sh("systemctl mask --quiet systemd-journald.service systemd-journal-flush.service systemd-logind.service \
                 systemd-tmpfiles-setup.service systemd-udevd.service systemd-udev-trigger.service \
                 systemd-binfmt.service systemd-modules-load.service dev-mqueue.mount sys-fs-fuse-connections.mount");
        self.sh("rm -f /usr/sbin/policy-rc.d");
        let mut command = Command::new("unshare");
        command.args(["--pid", "--mount", "--cgroup", "--fork", "sh", "-c", BOOT, "boot"]);
        let unshare = self.namespace.spawn(command.arg(&self.folder));
        let children = format!("/proc/{unshare}/task/{unshare}/children");
        self.machine = Some(wait_for("systemd", || {
            let child = fs::read_to_string(&children).unwrap_or_default().trim().to_owned();
            let name = fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
            if name == "systemd\n" { Ok(child) } else { Err(name) }
        }));
        wait_for("the machine to be up", || {
            let state = self.output("systemctl is-active basic.target");
            let said = String::from_utf8(state.stdout).unwrap();
            if state.status.success() { Ok(()) } else { Err(said) }
        });
    }

    /// Runs these words of the shell in it, whatever comes of it.
    pub(crate) fn output(&self, words: &str) -> Output {
        let mut command = match &self.machine {
            None => Command::new("chroot"),
            Some(_) => Command::new("nsenter"),
        };
        match &self.machine {
            None => command.arg(&self.folder),
            Some(process) => command.args(["--mount", "--pid", "--cgroup", "--target", process]),
        };
        command.args(["sh", "-c", words]);
        self.namespace.output(command.env("DEBIAN_FRONTEND", "noninteractive"))
    }

    /// The same where they must succeed; what they said, errors and all.
    #[track_caller]
    pub(crate) fn sh(&self, words: &str) -> String {
        let output = self.output(words);
        let mut said = String::from_utf8(output.stdout).unwrap();
        said.push_str(&String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{words}: {}\n{said}", output.status);
        said
    }
}
