//! Lints of the file as text.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::PathBuf,
};

use super::Whole;
use crate::config::{
    Diagnostic,
    diagnostic::Findings,
    draft::Common,
    said::{Mention, Said},
};

/// The bit of a file's mode that lets everybody read it.
///
/// That a group may read it is somebody's choice, and which group is not known here; everybody is the default of most hosts.
const OTHERS_READ: u32 = 0o004;

/// Whether the value of this field of a request tells who somebody is.
fn is_secret(header: &str) -> bool {
    ["Authorization", "Proxy-Authorization", "Cookie"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(header))
}

impl Whole<'_> {
    pub(super) fn file(&self, findings: &mut Findings) {
        self.twice(&self.globals().said, findings);
        for service in self.services() {
            self.twice(&service.block.said, findings);
        }
        self.secrets(findings);
        self.mail(findings);
    }

    /// Whether two places are in one file.
    fn is_one_file(&self, one: &Range<usize>, other: &Range<usize>) -> bool {
        match (self.sources.line(one), self.sources.line(other)) {
            (Some(one), Some(other)) => std::ptr::eq(one.file, other.file),
            _ => false,
        }
    }

    /// Directives that count once and stand twice. A file that is included may well say it anew.
    fn twice(&self, said: &Said, findings: &mut Findings) {
        let mut seen = BTreeMap::new();
        for mention in said.iter().filter(|mention| !mention.repeats) {
            let Some(first) = seen.insert(mention.name, mention) else { continue };
            if self.is_one_file(&first.key, &mention.key) {
                let name = mention.name;
                findings.push(
                    Diagnostic::advice(
                        "A0106",
                        mention.key.clone(),
                        format!("`{name}` stands here a second time, and this one counts"),
                    )
                    .elsewhere(first.key.clone(), "the one that does not count")
                    .hint("take one of them out"),
                );
            }
        }
    }

    /// Secrets that every user of the host can read; once for each file.
    fn secrets(&self, findings: &mut Findings) {
        let mut told = BTreeSet::new();
        let globals = self.globals();
        let services = self.services().map(|service| (&service.block.said, &service.block.common));
        for (said, common) in services.chain([(&globals.said, &globals.common)]) {
            let mut webhooks = common.webhooks.iter();
            let is_secret = |_: &&Mention| webhooks.next().is_some_and(|webhook| webhook.is_secret);
            let all = said.iter().filter(|mention| mention.name == "webhook");
            for mention in all.filter(is_secret) {
                self.tell_open(mention, &mut told, findings);
            }
        }
        for service in self.services() {
            // The password of an anonymous login is none.
            let open = matches!(service.block.access.login.as_str(), "anonymous" | "ftp");
            // In a file without errors each `requestheader` line has its header.
            let mut sent = service.block.http.headers.iter();
            for mention in service.block.said.iter() {
                let secret = match mention.name {
                    "passwd" => !open,
                    "secret" => true,
                    "requestheader" => sent.next().is_some_and(|header| is_secret(&header.name)),
                    _ => false,
                };
                if secret {
                    self.tell_open(mention, &mut told, findings);
                }
            }
        }
    }

    /// Says that this secret can be read by everybody, if that is so and was not yet said of the file.
    fn tell_open(&self, mention: &Mention, told: &mut BTreeSet<PathBuf>, findings: &mut Findings) {
        let Some(line) = self.sources.line(&mention.key) else { return };
        let path = &line.file.path;
        if line.file.mode & OTHERS_READ != 0 && told.insert(path.clone()) {
            let fault = format!("every user of this host can read this `{}`", mention.name);
            let hint = format!("chmod o= {}", path.display());
            findings.push(
                Diagnostic::advice("A0002", mention.key.clone(), fault)
                    .hint(hint)
                    .hint("or keep the secrets in a file of their own, which `credentials` names"),
            );
        }
    }

    /// Settings of mails that nobody gets.
    fn mail(&self, findings: &mut Findings) {
        let globals = self.globals();
        let told = |common: &Common| common.email.is_some() || !common.webhooks.is_empty();
        if told(&globals.common) || self.services().any(|service| told(&service.block.common)) {
            return;
        }
        let all = std::iter::once(&globals.said);
        let all = all.chain(self.services().map(|service| &service.block.said));
        let is_of_mail = |mention: &&Mention| {
            mention.name.starts_with("emailalert")
                || mention.name == "emaildigest"
                || mention.name.starts_with("smtp")
        };
        let first = all.flat_map(Said::iter).find(is_of_mail);
        if let Some(mention) = first {
            findings.push(
                Diagnostic::advice(
                    "A0201",
                    mention.key.clone(),
                    "no mails are sent: `emailalert` names nobody",
                )
                .hint("for example: emailalert=\"admin@example.org\""),
            );
        }
    }
}
