//! The package for distributions of RPM, by rpm itself, in a root without Debian's ldirectord.

use libtest_mimic::Trial;

use crate::{
    made,
    root::Root,
    support::lab::{Namespace, trial},
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("rpm_says_what_it_is", says_what_it_is),
        trial("rpm_installs_and_goes", installs_and_goes),
        trial("rpm_takes_the_place_of_the_perl_program", takes_the_place),
    ]
}

const CONFIG: &str = "/etc/ha.d/ldirectord.cf";
const ENABLED: &str = "/etc/systemd/system/multi-user.target.wants/ldirectord.service";

/// A root that rpm alone has put an ldirectord into, if any.
fn fresh(namespace: &Namespace) -> (Root<'_>, String) {
    let root = Root::new(namespace);
    root.sh("dpkg --purge ldirectord");
    let package = root.bring(&made::package("rpm"));
    (root, package)
}

fn says_what_it_is(namespace: &Namespace) {
    let (root, package) = fresh(namespace);
    let says = |what: &str| root.sh(&format!("rpm --query --package --{what} {package}"));
    let provides = says("provides");
    assert!(provides.contains("\nldirectord = 4.12.0\n"), "{provides}");
    assert_eq!(says("conflicts"), "ldirectord\n");
    assert_eq!(says("obsoletes"), "ldirectord < 5\n");
    assert_eq!(says("configfiles"), "/etc/ha.d/ldirectord.cf\n/etc/logrotate.d/ldirectord\n");
    let scripts = says("scripts");
    for part in ["preinstall", "postinstall", "preuninstall", "postuninstall", "posttrans"] {
        assert!(scripts.contains(&format!("{part} scriptlet")), "{part}: {scripts}");
    }
    // An upgrade leaves the table to the new program, which the unit sees to.
    assert!(scripts.contains("systemctl try-restart ldirectord.service 'ldirectord@*.service'"));
    let information = says("info");
    let version = concat!("Version     : ", env!("CARGO_PKG_VERSION"), "\n");
    assert!(information.contains(version), "{information}");
    assert!(information.contains("Packager    : A Packager <packager@director.test>\n"));
}

fn installs_and_goes(namespace: &Namespace) {
    let (root, package) = fresh(namespace);
    // Written before the package came.
    root.write(CONFIG, "checktimeout = 5\n");
    root.sh(&format!("rpm --install --nodeps {package}"));
    assert_eq!(root.read(CONFIG), "checktimeout = 5\n");
    assert!(root.sh("ldirectord --version").contains(env!("CARGO_PKG_VERSION")));
    assert_eq!(
        root.sh("rpm --query ldirectord-rs --queryformat '%{version}'"),
        env!("CARGO_PKG_VERSION")
    );
    let account = root.sh("getent passwd ldirectord");
    assert!(account.ends_with(":/nonexistent:/sbin/nologin\n"), "{account}");
    assert_eq!(root.sh("readlink /etc/ha.d/resource.d/ldirectord"), "/usr/sbin/ldirectord\n");
    // Files as packaged, but for the configuration.
    let changed = root.output("rpm --verify --nodeps ldirectord-rs");
    let changed = String::from_utf8(changed.stdout).unwrap();
    assert!(changed.lines().all(|line| line.contains(CONFIG)), "{changed}");
    for file in root.sh("rpm --query --list ldirectord-rs").lines() {
        let what = root.sh(&format!("stat -c '%a %U:%G' {file}"));
        let mode = match file {
            _ if root.path(file).is_dir() => "755",
            _ if ["/usr/sbin/", "/usr/lib/ocf/"].iter().any(|folder| file.starts_with(folder)) => {
                "755"
            }
            _ if root.path(file).is_symlink() => "777",
            _ => "644",
        };
        assert_eq!(what, format!("{mode} root:root\n"), "{file}");
    }

    root.sh("rpm --erase ldirectord-rs");
    assert!(!root.exists("/usr/sbin/ldirectord"));
    assert!(!root.exists(ENABLED));
    // Where rpm puts what somebody has written.
    let kept = [CONFIG.to_owned(), format!("{CONFIG}.rpmsave")];
    let kept = kept.iter().find(|name| root.exists(name)).unwrap();
    assert_eq!(root.read(kept), "checktimeout = 5\n");
}

/// A package of the Perl program as distributions of RPM have it: its configuration and unit are its own, and its end stops
/// and disables the unit.
const PERL: &str = r#"
Name: ldirectord
Version: 4.12.0
Release: 1
Summary: Monitors real servers
License: GPL
BuildArch: noarch
%description
The Perl program.
%install
mkdir -p %{buildroot}/etc/ha.d %{buildroot}/usr/sbin %{buildroot}/usr/lib/systemd/system %{buildroot}/etc/logrotate.d
echo '# Nothing yet.' >%{buildroot}/etc/ha.d/ldirectord.cf
echo '/var/log/ldirectord.log { missingok }' >%{buildroot}/etc/logrotate.d/ldirectord
echo '#!/usr/bin/perl' >%{buildroot}/usr/sbin/ldirectord
printf '[Service]\nExecStart=/usr/sbin/ldirectord start\n[Install]\nWantedBy=multi-user.target\n' >%{buildroot}/usr/lib/systemd/system/ldirectord.service
%files
%config(noreplace) /etc/ha.d/ldirectord.cf
%config(noreplace) /etc/logrotate.d/ldirectord
/usr/sbin/ldirectord
/usr/lib/systemd/system/ldirectord.service
%preun
[ "$1" != 0 ] || systemctl --no-reload disable --now ldirectord.service || :
"#;

fn takes_the_place(namespace: &Namespace) {
    let (root, package) = fresh(namespace);
    root.write("/tmp/perl.spec", PERL);
    root.sh("rpmbuild -bb --define '_topdir /tmp/perl' /tmp/perl.spec && rpm --install --nodeps /tmp/perl/RPMS/noarch/*.rpm");
    root.sh("systemctl enable ldirectord");
    root.write(CONFIG, "# The director of the shop.\n");
    // What dnf does with an obsolete package.
    root.sh(&format!("rpm --upgrade --nodeps {package}"));
    assert!(!root.output("rpm --query ldirectord").status.success());
    assert_eq!(root.read(CONFIG), "# The director of the shop.\n");
    assert!(root.read("/usr/lib/systemd/system/ldirectord.service").contains("Type=notify"));
    assert!(root.exists(ENABLED));
    assert!(root.sh("ldirectord --version").contains(env!("CARGO_PKG_VERSION")));

    // The same again, newer, with the unit disabled.
    root.sh("systemctl disable ldirectord");
    root.sh(&format!("rpm --upgrade --nodeps --force {package}"));
    assert!(!root.exists(ENABLED));
    assert_eq!(root.read(CONFIG), "# The director of the shop.\n");
    assert!(root.sh("ldirectord --version").contains(env!("CARGO_PKG_VERSION")));
}
