//! What goes with the program, as the package has installed it, and the programs that it is for.

use libtest_mimic::Trial;

use crate::{
    made,
    root::Root,
    support::lab::{Namespace, trial, wait_for},
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("deb_has_units_that_systemd_takes", has_units),
        trial("deb_has_manual_pages_that_render", has_manual_pages),
        trial("deb_has_completions_that_bash_loads", has_completions),
        trial("deb_rotates_the_log_of_a_running_daemon", rotates),
    ]
}

fn installed(namespace: &Namespace) -> Root<'_> {
    let root = Root::new(namespace);
    root.sh("dpkg --purge ldirectord");
    let package = root.bring(&made::package("deb"));
    root.sh(&format!("dpkg --install {package}"));
    root
}

fn has_units(namespace: &Namespace) {
    let root = installed(namespace);
    let folder = "/usr/lib/systemd/system";
    // An instance is a name for systemd-analyze, too.
    root.sh(&format!("cp {folder}/ldirectord@.service /tmp/ldirectord@shop.service"));
    for unit in [&format!("{folder}/ldirectord.service"), "/tmp/ldirectord@shop.service"] {
        let said = root.sh(&format!("systemd-analyze verify {unit} 2>&1"));
        // Of other units of the machine it may have something to say.
        assert!(!said.contains("ldirectord"), "{said}");
        // Of 100; the least that an attacker in the daemon can do is 0.
        root.sh(&format!("systemd-analyze security --offline=yes --threshold=25 {unit}"));
    }
}

fn has_manual_pages(namespace: &Namespace) {
    let root = installed(namespace);
    for (name, words) in [
        ("man8/ldirectord.8.gz", ["force-reload", "SYSTEMD"]),
        ("man5/ldirectord.cf.5.gz", ["checktimeout", "emailalert"]),
    ] {
        let page = root.sh(&format!("mandoc -T utf8 /usr/share/man/{name} | col -b"));
        for word in words {
            assert!(page.contains(word), "{word} in {name}");
        }
    }
    // man finds them by their names.
    assert!(root.sh("man --where 5 ldirectord.cf").contains("/ldirectord.cf.5.gz"));
    assert!(root.sh("man --where ldirectord").contains("/ldirectord.8.gz"));
}

fn has_completions(namespace: &Namespace) {
    let root = installed(namespace);
    root.write("/etc/ha.d/shop.cf", "");
    let offered = root.sh(
        "bash --norc -u -c '. /usr/share/bash-completion/completions/ldirectord; complete -p ldirectord >&2
         COMP_WORDS=(ldirectord sh) COMP_CWORD=1; _ldirectord ldirectord sh ldirectord; echo \"${COMPREPLY[@]}\"' 2>&1",
    );
    assert_eq!(offered, "complete -F _ldirectord ldirectord\nshow shop.cf\n");
}

/// As logrotate.timer does every day, and the daemon is told nothing.
fn rotates(namespace: &Namespace) {
    let root = installed(namespace);
    root.write("/etc/ha.d/ldirectord.cf", "checkinterval = 3600\n");
    root.sh("ldirectord --table memory start");
    let log = "/var/log/ldirectord.log";
    assert!(root.read(log).contains("Starting Linux Director"), "{}", root.read(log));
    root.sh("logrotate --force /etc/logrotate.d/ldirectord");
    let old = root.read(&format!("{log}.1"));
    assert!(old.contains("Starting Linux Director"), "{old}");
    root.sh("kill -HUP $(cat /var/run/ldirectord.ldirectord.pid)");
    wait_for("a line in the new log", || {
        let lines = std::fs::read_to_string(root.path(log)).unwrap_or_default();
        if lines.contains("Reloading Linux Director") { Ok(()) } else { Err(lines) }
    });
    assert_eq!(root.read(&format!("{log}.1")), old);
    // The one before is compressed, and a log that has none is no fault.
    root.sh("logrotate --force /etc/logrotate.d/ldirectord");
    assert!(root.exists(&format!("{log}.2.gz")));
    root.sh(&format!("rm -f {log}*; logrotate --force /etc/logrotate.d/ldirectord"));
}
