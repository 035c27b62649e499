//! The package for Debian: in place of Debian's ldirectord, without it, upgraded, removed, purged, and the way back.

use libtest_mimic::Trial;

use crate::{
    made,
    root::Root,
    support::lab::{Namespace, trial},
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("deb_takes_the_place_of_debians_and_keeps_what_was_edited", takes_the_place),
        trial("deb_leaves_a_director_of_pacemaker_disabled", leaves_disabled),
        trial("deb_without_debians_leaves_nothing_behind", leaves_nothing_behind),
        trial("deb_upgrades_keep_what_was_edited", upgrades),
        trial("deb_gives_way_to_debians_again", gives_way),
        trial("deb_says_what_it_is", says_what_it_is),
        trial("deb_pleases_lintian", pleases_lintian),
    ]
}

/// What an administrator of Debian's ldirectord may have edited, and what to.
const EDITED: &[(&str, &str)] = &[
    ("/etc/ha.d/ldirectord.cf", "# The director of the shop.\nchecktimeout = 5\n"),
    ("/etc/default/ldirectord", "CONFIG_FILE=/etc/ha.d/ldirectord.cf\n"),
    ("/etc/logrotate.d/ldirectord", "/var/log/ldirectord.log {\n daily\n missingok\n}\n"),
    (
        "/etc/init.d/ldirectord",
        "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: ldirectord\n# Required-Start: $network\n# Required-Stop:\n\
         # Default-Start: 2 3 4 5\n# Default-Stop: 0 1 6\n### END INIT INFO\n\
         exec /usr/sbin/ldirectord /etc/ha.d/ldirectord.cf \"$1\"\n",
    ),
];

const ENABLED: &str = "/etc/systemd/system/multi-user.target.wants/ldirectord.service";

fn edit(root: &Root<'_>) {
    for (name, text) in EDITED {
        root.write(name, text);
    }
}

#[track_caller]
fn is_as_edited(root: &Root<'_>) {
    for (name, text) in EDITED {
        assert_eq!(root.read(name), *text, "{name}");
    }
    assert!(root.sh("stat -c %a /etc/init.d/ldirectord").starts_with("755"), "it can be run");
}

/// dpkg's word for a package: `ii` installed, `rc` its configuration alone, `un` nothing of it.
fn state(root: &Root<'_>, package: &str) -> String {
    let words = format!("dpkg-query -W -f='${{db:Status-Abbrev}}' {package} 2>/dev/null || true");
    root.sh(&words).trim().to_owned()
}

fn install(root: &Root<'_>) -> String {
    let package = root.bring(&made::package("deb"));
    root.sh(&format!("dpkg --install {package}"))
}

/// This program, and dpkg content with all packages.
#[track_caller]
fn is_installed(root: &Root<'_>) {
    assert_eq!(state(root, "ldirectord-rs"), "ii");
    assert_eq!(root.sh("dpkg --audit"), "");
    let version = root.sh("ldirectord --version");
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    // As packaged, and not taken away with Debian's package.
    assert_eq!(root.sh("dpkg --verify ldirectord-rs"), "");
    for name in root.sh("dpkg --listfiles ldirectord-rs").lines().filter(|name| *name != "/.") {
        assert!(root.exists(name), "{name}");
    }
    assert_eq!(root.sh("readlink /etc/ha.d/resource.d/ldirectord"), "/usr/sbin/ldirectord\n");
    let account = root.sh("getent passwd ldirectord");
    assert!(account.trim().ends_with(":/nonexistent:/usr/sbin/nologin"), "{account}");
    assert!(root.sh("id -u ldirectord").trim().parse::<u32>().unwrap() < 1000, "{account}");
    assert!(root.sh("getent group ldirectord").starts_with("ldirectord:"));
}

fn takes_the_place(namespace: &Namespace) {
    let root = Root::new(namespace);
    assert_eq!(state(&root, "ldirectord"), "ii");
    edit(&root);
    // By apt, which has its own order; nothing is to be fetched.
    let package = root.bring(&made::package("deb"));
    let said = root.sh(&format!("apt-get install --yes --no-install-recommends {package}"));
    // By the init script, as no systemd runs here; the lab forbids it.
    for action in ["stop", "start"] {
        assert!(said.contains(&format!("policy-rc.d denied execution of {action}.")), "{said}");
    }
    is_installed(&root);
    // Its configuration alone is left.
    assert_eq!(state(&root, "ldirectord"), "rc");
    is_as_edited(&root);
    assert!(root.exists(ENABLED));
    let unit = root.read("/usr/lib/systemd/system/ldirectord.service");
    assert!(unit.contains("Type=notify"), "{unit}");
    // What needs Debian's package is content with this one.
    root.write(
        "/tmp/tool/DEBIAN/control",
        "Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <nobody@director.test>\n\
         Depends: ldirectord (>= 1:4.12.0-2)\nDescription: a tool\n",
    );
    root.sh("dpkg-deb --build /tmp/tool && dpkg --install /tmp/tool.deb && dpkg --remove tool");

    root.sh("apt-get purge --yes ldirectord");
    assert_eq!(state(&root, "ldirectord"), "un");
    is_installed(&root);
    is_as_edited(&root);
    assert!(root.exists(ENABLED), "the unit is this package's");

    root.write("/var/log/ldirectord.log", "a line\n");
    root.sh("dpkg --remove ldirectord-rs");
    assert!(!root.exists("/usr/sbin/ldirectord"));
    is_as_edited(&root);
    assert!(root.exists("/var/log/ldirectord.log"));
    root.sh("dpkg --purge ldirectord-rs");
    is_as_edited(&root);
    assert!(!root.exists("/var/log/ldirectord.log"));
    assert!(!root.exists(ENABLED));
    assert!(!root.exists("/var/lib/ldirectord-rs"));
    assert_eq!(root.sh("dpkg-divert --list '*ldirectord*'"), "");
}

fn leaves_disabled(namespace: &Namespace) {
    let root = Root::new(namespace);
    root.sh("systemctl disable ldirectord");
    install(&root);
    is_installed(&root);
    assert!(!root.exists(ENABLED));
    root.sh("dpkg --purge ldirectord");
    root.sh("dpkg --remove ldirectord-rs");
    install(&root);
    assert!(!root.exists(ENABLED), "not after it came again");
    root.sh("systemctl enable ldirectord");
    root.sh("dpkg --remove ldirectord-rs");
    install(&root);
    assert!(root.exists(ENABLED));
}

/// The files of a root, with what they are, where packages put theirs.
fn files(root: &Root<'_>) -> Vec<String> {
    let listed = root.sh(
        "find /etc /usr /var /lib /opt -printf '%M %u:%g %p %l\\n' | grep -vE \
         '^.{10} [a-z:]+ (/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?|/var/lib/dpkg/.*|/var/log/dpkg.log|/var/cache/.*) '",
    );
    let mut files: Vec<_> = listed.lines().map(|line| line.trim_end().to_owned()).collect();
    files.sort();
    files
}

/// What the package adds to a root that never had Debian's ldirectord.
const ADDED: &[&str] = &[
    "-rw-r--r-- root:root /etc/logrotate.d/ldirectord",
    "-rw-r--r-- root:root /usr/lib/systemd/system/ldirectord.service",
    "-rw-r--r-- root:root /usr/lib/systemd/system/ldirectord@.service",
    "-rw-r--r-- root:root /usr/lib/sysusers.d/ldirectord.conf",
    "-rw-r--r-- root:root /usr/share/bash-completion/completions/ldirectord",
    "-rw-r--r-- root:root /usr/share/doc/ldirectord-rs/NEWS.md",
    "-rw-r--r-- root:root /usr/share/doc/ldirectord-rs/README.md",
    "-rw-r--r-- root:root /usr/share/doc/ldirectord-rs/changelog.Debian.gz",
    "-rw-r--r-- root:root /usr/share/doc/ldirectord-rs/copyright",
    "-rw-r--r-- root:root /usr/share/doc/ldirectord-rs/examples/ldirectord.cf",
    "-rw-r--r-- root:root /usr/share/doc/ldirectord-rs/webhook/slack.json",
    "-rw-r--r-- root:root /usr/share/doc/ldirectord-rs/webhook/teams.json",
    "-rw-r--r-- root:root /usr/share/fish/vendor_completions.d/ldirectord.fish",
    "-rw-r--r-- root:root /usr/share/ldirectord-rs/logrotate",
    "-rw-r--r-- root:root /usr/share/man/man5/ldirectord.cf.5.gz",
    "-rw-r--r-- root:root /usr/share/man/man8/ldirectord.8.gz",
    "-rw-r--r-- root:root /usr/share/zsh/vendor-completions/_ldirectord",
    "-rw-r--r-- root:root /var/lib/ldirectord-rs/logrotate.md5",
    "-rwxr-xr-x root:root /usr/lib/ocf/resource.d/heartbeat/ldirectord-rs",
    "-rwxr-xr-x root:root /usr/sbin/ldirectord",
    "drwxr-xr-x root:root /etc/ha.d/resource.d",
    "drwxr-xr-x root:root /usr/share/doc/ldirectord-rs",
    "drwxr-xr-x root:root /usr/share/doc/ldirectord-rs/examples",
    "drwxr-xr-x root:root /usr/share/doc/ldirectord-rs/webhook",
    "drwxr-xr-x root:root /usr/share/fish",
    "drwxr-xr-x root:root /usr/share/fish/vendor_completions.d",
    "drwxr-xr-x root:root /usr/share/ldirectord-rs",
    "drwxr-xr-x root:root /var/lib/ldirectord-rs",
    "lrwxrwxrwx root:root /etc/ha.d/resource.d/ldirectord /usr/sbin/ldirectord",
    "lrwxrwxrwx root:root /etc/systemd/system/multi-user.target.wants/ldirectord.service /usr/lib/systemd/system/ldirectord.service",
];

fn leaves_nothing_behind(namespace: &Namespace) {
    let root = Root::new(namespace);
    root.sh("dpkg --purge ldirectord");
    let before = files(&root);
    install(&root);
    is_installed(&root);
    let added = files(&root).into_iter().filter(|line| !before.contains(line));
    // Some releases have /lib, others /usr/lib in the link.
    let added: Vec<_> = added.map(|line| line.replace(" /lib/", " /usr/lib/")).collect();
    assert_eq!(added, ADDED);
    assert_eq!(
        root.read("/etc/logrotate.d/ldirectord"),
        include_str!("../../contrib/logrotate/ldirectord")
    );
    root.sh("dpkg --purge ldirectord-rs");
    assert_eq!(files(&root), before);
    // Files may belong to it.
    root.sh("getent passwd ldirectord");
}

/// A package like this one, newer, with another file for logrotate.
fn newer(root: &Root<'_>) -> String {
    let package = root.bring(&made::package("deb"));
    root.sh(&format!(
        "cd /tmp && rm -rf newer && dpkg-deb --raw-extract {package} newer \
         && sed -i 's/^Version: .*/Version: 99/' newer/DEBIAN/control \
         && echo '# newer' >>newer/usr/share/ldirectord-rs/logrotate \
         && dpkg-deb -Znone --build newer newer.deb"
    ));
    "dpkg --install /tmp/newer.deb".to_owned()
}

fn upgrades(namespace: &Namespace) {
    let rotation = "/etc/logrotate.d/ldirectord";
    let root = Root::new(namespace);
    edit(&root);
    install(&root);
    let upgrade = newer(&root);
    root.sh(&upgrade);
    is_as_edited(&root);
    assert!(root.exists(ENABLED));
    assert_eq!(root.sh("dpkg-query -W -f='${Version}' ldirectord-rs"), "99");
    root.sh("dpkg --purge ldirectord");
    is_as_edited(&root);

    // Disabled, and back a version: dpkg's way of an upgrade, too.
    root.sh("systemctl disable ldirectord");
    install(&root);
    root.sh(&upgrade);
    assert!(!root.exists(ENABLED));
    is_as_edited(&root);
    is_newer(&root);

    // Its own file for logrotate: renewed while nobody has changed it, left alone then, and left away.
    root.sh(&format!("dpkg --purge ldirectord-rs && rm {rotation}"));
    install(&root);
    assert!(!root.read(rotation).contains("newer"));
    root.sh(&upgrade);
    assert!(root.read(rotation).ends_with("# newer\n"));
    root.write(rotation, "# mine\n");
    install(&root);
    assert_eq!(root.read(rotation), "# mine\n");
    root.sh(&format!("rm {rotation}"));
    root.sh(&upgrade);
    assert!(!root.exists(rotation));
}

#[track_caller]
fn is_newer(root: &Root<'_>) {
    assert!(root.read("/usr/share/ldirectord-rs/logrotate").ends_with("# newer\n"));
    assert_eq!(root.sh("dpkg --audit"), "");
}

/// Debian's package again, from what it has put into the lab.
const PACK: &str = r#"
    mkdir -p /old/DEBIAN
    dpkg-query --listfiles ldirectord | while read -r name; do
        if [ -d "$name" ]; then mkdir -p "/old$name"; elif [ -e "$name" ]; then cp -a "$name" "/old$name"; fi
    done
    dpkg-query --status ldirectord | grep -vE '^(Status|Conffiles| /etc)' >/old/DEBIAN/control
    dpkg-query -W -f='${Conffiles}\n' ldirectord | sed -n 's/^ \([^ ]*\) .*/\1/p' >/old/DEBIAN/conffiles
    for script in preinst postinst prerm postrm; do cp -a "/var/lib/dpkg/info/ldirectord.$script" "/old/DEBIAN/$script"; done
    dpkg-deb -Znone --build /old /old.deb
"#;

fn gives_way(namespace: &Namespace) {
    let root = Root::new(namespace);
    root.sh(PACK);
    edit(&root);
    root.sh("systemctl disable ldirectord");
    install(&root);
    // Both at once cannot be, and the one that is there stays.
    let refused = root.output("dpkg --install /old.deb");
    assert!(!refused.status.success());
    is_installed(&root);
    is_as_edited(&root);

    root.sh("dpkg --remove ldirectord-rs && dpkg --install --force-confold /old.deb");
    assert_eq!(state(&root, "ldirectord"), "ii");
    is_as_edited(&root);
    assert!(!root.exists(ENABLED));
    assert!(root.sh("head -n 1 /usr/sbin/ldirectord").contains("perl"));
    root.write("/var/log/ldirectord.log", "a line\n");
    root.sh("systemctl enable ldirectord");
    root.sh("dpkg --purge ldirectord-rs");
    assert!(root.exists("/var/log/ldirectord.log"), "the log of another program");
    assert!(root.exists(ENABLED));
    assert_eq!(root.sh("dpkg --verify ldirectord | grep -v ' c /etc/' || true"), "");
    is_as_edited(&root);
}

fn says_what_it_is(namespace: &Namespace) {
    let root = Root::new(namespace);
    let package = root.bring(&made::package("deb"));
    let says = |field: &str| root.sh(&format!("dpkg-deb --field {package} {field}"));
    assert_eq!(says("Provides"), "ldirectord (= 1:4.12.0+rs)\n");
    assert_eq!(says("Conflicts"), "ldirectord\n");
    assert_eq!(says("Replaces"), "ldirectord\n");
    assert_eq!(says("Maintainer"), "A Packager <packager@director.test>\n");
    for needed in ["adduser", "libc6"] {
        assert!(says("Depends").contains(needed), "{needed}: {}", says("Depends"));
    }
}

fn pleases_lintian(namespace: &Namespace) {
    let root = Root::new(namespace);
    let package = root.bring(&made::package("deb"));
    let said = root.output(&format!("lintian --allow-root --tag-display-limit 0 {package}"));
    let said = String::from_utf8(said.stdout).unwrap();
    let said: Vec<_> = said
        .lines()
        // It is for uploads to Debian.
        .filter(|line| !line.contains(" initial-upload-closes-no-bugs "))
        .collect();
    assert_eq!(said, [""; 0]);
}
