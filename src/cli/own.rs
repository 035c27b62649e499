//! The subcommands that ldirectord does not have: words in, a [`Command`] out.
//!
//! A new one is a variant here and a file in [`super::commands`]. Its name must not be one of ldirectord's commands.
//!
//! `ldirectord NAME start` is ldirectord's for every NAME, so a configuration may be called like a subcommand.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::{model::Condition, status::Sort};

/// The names, to tell them from the names of configurations before anything is read.
const NAMES: &[&str] = &["alert", "explain", "list", "show", "table", "validate"];

/// A subcommand of ours.
#[derive(Clone, PartialEq, Eq, Debug, Subcommand)]
pub(super) enum Command {
    /// Try the mails and webhooks of a configuration
    #[command(subcommand, override_usage = "ldirectord alert test [CONFIG]")]
    Alert(Alert),
    /// List the virtual services and servers of the kernel, and how each is
    #[command(after_help = LIST, override_usage = "ldirectord list [OPTIONS] [SERVICE|SERVER ...]")]
    List(List),
    /// Explain how servers are: why, since when, what they were asked, what would change it
    #[command(after_help = SHOW, override_usage = "ldirectord show SERVICE|SERVER ...")]
    Show {
        /// 192.0.2.1:80, tcp:192.0.2.1:80, fwm:7, 10.0.0.7 or the name of a service
        #[arg(value_name = "SERVICE|SERVER", required = true)]
        words: Vec<String>,
    },
    /// Say what is wrong or doubtful in a configuration; change nothing
    #[command(after_help = VALIDATE, override_usage = "ldirectord validate [--strict] [--json] [FILE]")]
    Validate(Validate),
    /// Say what a code, a directive or a service means
    #[command(after_help = EXPLAIN, override_usage = "ldirectord explain [CODE|DIRECTIVE|SERVICE ...]")]
    Explain {
        /// Codes (E0201), directives (checktimeout) or services (http); without any, all are listed
        #[arg(value_name = "CODE|DIRECTIVE|SERVICE")]
        words: Vec<String>,
    },
    /// Compare the kernel's table with a configuration; change nothing
    #[command(after_help = TABLE, override_usage = "ldirectord table [--percent] [CONFIG]")]
    Table(Table),
}

/// The words of `alert`.
#[derive(Clone, PartialEq, Eq, Debug, Subcommand)]
pub(super) enum Alert {
    /// Try the mails and webhooks that the configuration asks for, and say what came of it
    #[command(after_help = ALERT_TEST, override_usage = "ldirectord alert test [CONFIG]")]
    Test {
        /// As CONFIG of a start, by default ldirectord.cf
        #[arg(value_name = "CONFIG")]
        file: Option<PathBuf>,
    },
}

/// The words of `list`.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "as many switches")]
pub(super) struct List {
    /// Counters since each entry was added or zeroed
    #[arg(long, conflicts_with_all = ["rate", "thresholds"])]
    pub(super) stats: bool,
    /// Connections, packets and bytes a second
    #[arg(long, conflicts_with = "thresholds")]
    pub(super) rate: bool,
    /// Connection thresholds
    #[arg(long)]
    pub(super) thresholds: bool,
    /// Numbers in full, not in thousands or more
    #[arg(long)]
    pub(super) exact: bool,
    /// The order of the servers of each service
    #[arg(long, value_name = "BY", default_value = "address")]
    pub(super) sort: Sort,
    /// Only servers that are so; can be given more than once
    #[arg(long, value_name = "STATE")]
    pub(super) state: Vec<Condition>,
    /// Names instead of addresses and ports
    #[arg(short, long)]
    pub(super) resolve: bool,
    /// Print one JSON object, which ldirectord(8) describes
    #[arg(long, conflicts_with_all = ["stats", "rate", "thresholds", "exact", "resolve"])]
    pub(super) json: bool,
    /// Again every so many seconds, until it is interrupted
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", require_equals = true)]
    pub(super) watch: Option<u64>,
    /// 192.0.2.1:80, tcp:192.0.2.1:80, fwm:7, 10.0.0.7 or the name of a service; without any, everything is listed
    #[arg(value_name = "SERVICE|SERVER")]
    pub(super) words: Vec<String>,
}

/// The words of `table`.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub(super) struct Table {
    /// Print only how many of a hundred services have a real server that works
    #[arg(long)]
    pub(super) percent: bool,
    /// As CONFIG of a start, by default ldirectord.cf
    #[arg(value_name = "CONFIG")]
    pub(super) file: Option<PathBuf>,
}

/// The words of `validate`.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub(super) struct Validate {
    /// Take for an error what the Perl ldirectord refuses; let nothing doubtful pass
    #[arg(long)]
    pub(super) strict: bool,
    /// Print one JSON object, which ldirectord.cf(5) describes, and nothing else
    #[arg(long)]
    pub(super) json: bool,
    /// As CONFIG of a start, by default ldirectord.cf; - is standard input
    pub(super) file: Option<PathBuf>,
}

const VALIDATE: &str = "\
Every fault is shown with its line, in the files that the file includes as well. Names are
looked up as for a start; nothing is written to, and a daemon that runs takes no notice.
Faults go to standard error; what a file that can be used asks for, to standard output.

Exit codes:
  0  the file can be used; there may be warnings and advice
  1  with --strict: there are warnings or advice; or there is no such file
  2  the file has errors, or cannot be read

NO_COLOR in the environment keeps colors away.

Examples:
  ldirectord validate
  ldirectord validate --strict ldirectord.cf.new
  git show main:ldirectord.cf | ldirectord validate --json - | jq -r '.diagnostics[].message'";

const LIST: &str = "\
The columns are those of `ipvsadm -Ln`. Where a daemon runs that directs a service, they are followed by
how each server is: up, down, failing (its last checks failed, too few to take it down), draining,
maintenance, unknown (not checked yet), standby (a fallback that is not needed), off (checktype = off);
and of those that are not as they should be, why and since when.

Exit codes: 0 done, 1 the kernel could not be read and no daemon answered, or a word names nothing.

Examples:
  ldirectord list
  ldirectord list --state down --state failing
  ldirectord list --rate --sort rate --watch=1 192.0.2.1:80
  ldirectord list --json | jq -r '.services[].servers[] | select(.state.condition == \"down\") | .server'";

const SHOW: &str = "\
A server is shown in each virtual service that it belongs to, a service with all of its servers. What a
server sent is shown as it came, without our passwords.

Exit codes: 0 all words are known, 1 one is not.

Examples:
  ldirectord show 10.0.0.7
  ldirectord show tcp:192.0.2.1:80";

const ALERT_TEST: &str = "\
That a mail was taken says that the mail server or sendmail has it, not that it arrived.

Exit codes: 0 everybody took it, 1 somebody did not or nobody is told, 2 the file has errors.";

const TABLE: &str = "\
A real server works when it gets new connections: it is in the kernel's table, with a weight
above 0. A service that only the fallback serves has none that works.

Exit codes:
  0  every service of the file is in the table, or the file was changed after the daemon read it
  1  one is not; or there is no such file, or the table cannot be read
  2  the file has errors, or cannot be read";

const EXPLAIN: &str = "\
Exit codes: 0 all words are known, 1 one is not.

Examples:
  ldirectord explain
  ldirectord explain E0302 quiescent http";

#[derive(Debug, Parser)]
#[command(name = "ldirectord", no_binary_name = true, disable_help_subcommand = true)]
struct Words {
    #[command(subcommand)]
    command: Command,
}

/// Reads the words if the first is a subcommand of ours.
pub(super) fn read(words: &[OsString]) -> Option<Result<Command, clap::Error>> {
    let name = words.first()?.to_str()?;
    NAMES.contains(&name).then(|| Words::try_parse_from(words).map(|words| words.command))
}
