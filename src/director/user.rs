//! As which user the daemon directs, and why not as one with fewer rights.
//!
//! In go a configuration and what the machine says of the account, out come a [`Choice`] and the words for the log. The
//! shell (`daemon/privileges.rs`) looks the account up and becomes the user.

use std::collections::BTreeSet;

use crate::model::{CheckKind, Desired, Recipient, Way};

/// The account that is used where the configuration names none.
pub const ACCOUNT: &str = "ldirectord";

/// What stands in the configuration for no other account.
const ROOT: &str = "root";

/// What the machine says of an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Account {
    /// There is none of this name.
    Missing,
    /// It may do what the daemon does.
    Fit,
    /// It may not; with what, and what would help.
    Unfit(String),
}

/// As whom to direct.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Choice {
    /// As who started the daemon; with a line for the log if that can be better.
    Stay(Option<String>),
    /// As this user. Sealed, neither the daemon nor what it starts can ever gain a right.
    Become {
        /// The name of the account.
        name: String,
        /// Whether that suits everything that the daemon starts.
        sealed: bool,
    },
    /// As nobody: what the configuration asks for is impossible, for this reason.
    Refuse(String),
}

/// The account to look up; `None` when it is of no matter. Whether there is [`ACCOUNT`] says `has_default`.
pub fn account(desired: &Desired, has_default: bool) -> Option<&str> {
    match desired.process.user.as_deref() {
        Some(ROOT) => None,
        Some(name) => Some(name),
        None => (has_default && programs(desired).is_empty()).then_some(ACCOUNT),
    }
}

/// As whom a daemon that root started directs. `account` is what the machine says of [`account`].
pub fn choose(desired: &Desired, account: Account, has_default: bool) -> Choice {
    let programs = programs(desired);
    let is_asked_for = match desired.process.user.as_deref() {
        Some(ROOT) => return Choice::Stay(None),
        Some(_) => true,
        None => false,
    };
    if !is_asked_for && let Some(program) = list(&programs) {
        let told = format!(
            "Runs as root: {program} may need it; user = {ACCOUNT} would run all without root, user = root says that it is \
             right"
        );
        return Choice::Stay(has_default.then_some(told));
    }
    let name = desired.process.user.clone().unwrap_or_else(|| ACCOUNT.to_owned());
    match account {
        Account::Fit => Choice::Become { name, sealed: programs.is_empty() },
        Account::Missing if is_asked_for => Choice::Refuse(missing(&name)),
        Account::Unfit(why) if is_asked_for => Choice::Refuse(format!("user {name} {why}")),
        Account::Missing => Choice::Stay(None),
        Account::Unfit(why) => Choice::Stay(Some(format!("Runs as root: user {name} {why}"))),
    }
}

/// What a reload cannot change in a daemon that runs as this user, having been root before or not.
pub fn out_of_reach(desired: &Desired, user: &str, was_root: bool) -> Option<String> {
    match (desired.process.user.as_deref(), list(&programs(desired))) {
        (Some(name), _) if name == user => None,
        (Some(name), _) => {
            Some(format!("user = {name} takes effect at the next start; until then it is {user}"))
        }
        (None, Some(program)) if was_root && user != ROOT => Some(format!(
            "{program} runs as user {user} until the next start, which would run it as root; \
             ldirectord reexec starts anew and interrupts nothing"
        )),
        (None, _) => None,
    }
}

/// Why somebody who is not root cannot start the daemon as the configuration wants it.
pub fn refusal(desired: &Desired, user: &str) -> Option<String> {
    let wanted = desired.process.user.as_deref().filter(|name| ![user, ROOT].contains(name))?;
    Some(format!("only root can become user {wanted}"))
}

/// That there is no such account.
pub fn missing(name: &str) -> String {
    format!("there is no account {name} on this machine")
}

/// What of the configuration runs programs of the operator's, which may need root.
pub fn programs(desired: &Desired) -> BTreeSet<String> {
    let process = &desired.process;
    let mut found = BTreeSet::new();
    found.extend(process.callback.iter().map(|program| format!("callback {program}")));
    found.extend(process.execute.iter().map(|file| format!("execute {file}")));
    for service in &desired.services {
        let command = service.fallback_command.iter();
        found.extend(command.map(|command| format!("fallbackcommand {command}")));
        let by_sendmail = |recipient: &Recipient| matches!(&recipient.way, Way::Mail(post) if post.server.is_none());
        if service.alerts.recipients.iter().any(by_sendmail) {
            found.insert("emailalert by the local sendmail".to_owned());
        }
    }
    found.extend(desired.checks.iter().filter_map(|check| match &check.kind {
        CheckKind::External { program, .. } | CheckKind::ExternalPerl { program, .. } => {
            Some(format!("checkcommand {}", program.display()))
        }
        _ => None,
    }));
    found
}

fn list(programs: &BTreeSet<String>) -> Option<String> {
    let first = programs.first()?;
    Some(match programs.len() {
        1 => first.clone(),
        count => format!("{first} and {} more", count - 1),
    })
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::model::{CheckSpec, ProcessSettings};

    fn desired(user: Option<&str>, callback: Option<&str>) -> Desired {
        let process = ProcessSettings {
            user: user.map(str::to_owned),
            callback: callback.map(str::to_owned),
            ..ProcessSettings::default()
        };
        Desired { process, ..Desired::default() }
    }

    fn check(user: Option<&str>, callback: Option<&str>, account: Account, expected: &str) {
        let desired = desired(user, callback);
        let has_default = account != Account::Missing;
        let found = match choose(&desired, account, has_default) {
            Choice::Stay(None) => "stay".to_owned(),
            Choice::Stay(Some(why)) => format!("stay. {why}"),
            Choice::Become { name, sealed: true } => format!("{name}, sealed"),
            Choice::Become { name, sealed: false } => name,
            Choice::Refuse(why) => format!("refuse: {why}"),
        };
        assert_eq!(found, expected, "user {user:?}, callback {callback:?}");
    }

    #[test]
    fn root_stays_where_it_must_and_says_why() {
        let unfit = || Account::Unfit("cannot read /a; chgrp".to_owned());
        check(None, None, Account::Missing, "stay");
        check(None, None, Account::Fit, "ldirectord, sealed");
        check(None, None, unfit(), "stay. Runs as root: user ldirectord cannot read /a; chgrp");
        check(None, Some("/c"), Account::Missing, "stay");
        check(
            None,
            Some("/c"),
            Account::Fit,
            "stay. Runs as root: callback /c may need it; user = ldirectord would run all without root, user = root \
             says that it is right",
        );
        check(Some("root"), Some("/c"), Account::Fit, "stay");
        check(Some("root"), None, Account::Fit, "stay");
        check(Some("lvs"), None, Account::Fit, "lvs, sealed");
        check(Some("lvs"), Some("/c"), Account::Fit, "lvs");
        check(
            Some("lvs"),
            None,
            Account::Missing,
            "refuse: there is no account lvs on this machine",
        );
        check(Some("lvs"), None, unfit(), "refuse: user lvs cannot read /a; chgrp");
    }

    #[test]
    fn only_an_account_that_counts_is_looked_up() {
        assert_eq!(account(&desired(None, None), true), Some("ldirectord"));
        assert_eq!(account(&desired(None, None), false), None);
        assert_eq!(account(&desired(None, Some("/c")), true), None);
        assert_eq!(account(&desired(Some("root"), None), true), None);
        assert_eq!(account(&desired(Some("lvs"), Some("/c")), false), Some("lvs"));
    }

    #[test]
    fn a_reload_tells_what_it_cannot_change() {
        let check = |wanted, callback, (user, was_root), expected: Option<&str>| {
            let told = out_of_reach(&desired(wanted, callback), user, was_root);
            assert_eq!(told.as_deref(), expected, "{wanted:?} {callback:?} {user} {was_root}");
        };
        let (root, lvs, alone) = (("root", true), ("lvs", true), ("lvs", false));
        check(None, None, lvs, None);
        check(None, Some("/c"), root, None);
        check(None, Some("/c"), alone, None);
        check(Some("lvs"), Some("/c"), lvs, None);
        check(Some("lvs"), None, alone, None);
        let waits = "user = lvs takes effect at the next start; until then it is root";
        check(Some("lvs"), None, root, Some(waits));
        let waits = "user = root takes effect at the next start; until then it is lvs";
        check(Some("root"), None, lvs, Some(waits));
        let waits = "callback /c runs as user lvs until the next start, which would run it as root; ldirectord reexec \
                     starts anew and interrupts nothing";
        check(None, Some("/c"), lvs, Some(waits));
    }

    #[test]
    fn who_is_not_root_becomes_nobody_else() {
        let told = |wanted| refusal(&desired(wanted, None), "lvs");
        assert_eq!((told(None), told(Some("lvs")), told(Some("root"))), (None, None, None));
        assert_eq!(told(Some("web")).as_deref(), Some("only root can become user web"));
    }

    #[test]
    fn programs_are_what_the_operator_has_run() {
        let mut desired = desired(None, Some("/c"));
        desired.process.execute = vec!["other.cf".to_owned()];
        let second = Duration::from_secs(1);
        let check = |kind| {
            let target = "192.0.2.1:80".parse().unwrap();
            let (fast_interval, down_interval) = (second, second);
            let (interval, timeout) = (second, second);
            CheckSpec { target, kind, interval, fast_interval, down_interval, timeout }
        };
        let external =
            |program: &str| CheckKind::External { program: program.into(), arguments: Vec::new() };
        desired.checks =
            [external("/x"), external("/x"), CheckKind::Connect].map(check).map(Arc::new).into();
        let expected = ["callback /c", "checkcommand /x", "execute other.cf"];
        assert!(programs(&desired).iter().eq(expected));
        assert_eq!(list(&programs(&desired)).unwrap(), "callback /c and 2 more");
    }
}
