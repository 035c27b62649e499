//! That the manual pages are such to a program that reads manual pages; the lab has such a program.

use std::{path::Path, process::Command};

use libtest_mimic::Trial;

use crate::support::lab::{Namespace, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("manual_pages_have_no_fault", have_no_fault)]
}

fn have_no_fault(namespace: &Namespace) {
    for name in ["ldirectord.8", "ldirectord.cf.5"] {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/man").join(name);
        let mut mandoc = Command::new("mandoc");
        let output = namespace.output(mandoc.args(["-T", "lint", "-W", "warning"]).arg(&page));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
