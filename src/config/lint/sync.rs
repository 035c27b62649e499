//! Lints of how directors tell each other of their connections.

use super::Whole;
use crate::config::{Diagnostic, diagnostic::Findings};

/// The directives that say how, each of no use without `syncdaemon`.
const HOW: [&str; 5] = ["syncid", "syncgroup", "syncport", "syncttl", "syncmaxlen"];

impl Whole<'_> {
    pub(super) fn sync(&self, findings: &mut Findings) {
        let globals = self.globals();
        let how = globals.said.iter().find(|mention| HOW.contains(&mention.name));
        if let Some(first) = how.filter(|_| globals.sync_roles.is_empty()) {
            let fault =
                format!("`{}` has no effect: no `syncdaemon` says on which interface", first.name);
            findings.push(
                Diagnostic::advice("A0321", first.key.clone(), fault)
                    .hint("for example: syncdaemon = both eth0"),
            );
        }
    }
}
