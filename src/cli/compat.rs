//! ldirectord's own command line: words in, an [`Invocation`] out.
//!
//! `[-d|--debug] [--] [CONFIG] COMMAND`: options stand before the first other word, short ones may be bundled, long ones
//! may not be shortened. Our own options are `--foreground` and `--table`.
//!
//! Sources: sections 1.1 and 1.2 of the behaviour specification.

use std::{ffi::OsString, os::unix::ffi::OsStrExt as _};

use super::own;
use crate::daemon::reconciler::TableChoice;

/// What `--version` prints. Tools match the first line.
pub(super) const VERSION: &str = concat!(
    "Linux Director v1.186-ha\n",
    env!("CARGO_PKG_NAME"),
    " ",
    env!("CARGO_PKG_VERSION"),
    ", a drop-in replacement, written in Rust\n",
    "\n",
    "Licence: MIT"
);

/// What a command line that makes no sense is answered with.
pub(super) const USAGE: &str = "\
Usage: ldirectord [-d|--debug] [--foreground] [--table kernel|memory] [--] [CONFIG] COMMAND
       ldirectord validate [--strict] [--json] [FILE]
       ldirectord explain [CODE|DIRECTIVE|SERVICE ...]
       ldirectord list [OPTIONS] [SERVICE|SERVER ...]
       ldirectord show SERVICE|SERVER ...
       ldirectord table [--percent] [CONFIG]
       ldirectord alert test [CONFIG]
       ldirectord -h|-?|--help | -v|--version

Commands:
  start         Start the daemon for CONFIG
  stop          Stop it, and wait until it has gone
  restart       Stop it if it runs, then start it
  try-restart   Restart it if it runs
  reload        Have it read CONFIG again
  force-reload  The same as reload
  reexec        Replace it by a new one, and interrupt nothing
  status        Say whether it runs
  validate      Say what is wrong or doubtful in a file
  explain       Say what a code, a directive or a service means
  list          List virtual services and servers, and how each is
  show          Explain how a server is, and why
  table         Compare the kernel's table with CONFIG
  alert test    Try the mails and webhooks that CONFIG asks for

Options:
  -d, --debug           Stay in the foreground and log in detail to standard error
      --foreground      Stay in the foreground, and be the daemon in all else
      --table WHERE     Direct the kernel's table, or one in memory to try a file
  -h, -?, --help        Print this with more detail
  -v, --version         Print the version";

/// What `--help` prints.
///
/// Differs from ldirectord: it becomes perldoc, which shows the whole manual where that is installed.
pub(super) const HELP: &str = "\
ldirectord directs Linux Virtual Server: it programs the kernel's IPVS table from a
configuration file and checks the real servers behind each virtual service.

Usage: ldirectord [-d|--debug] [--foreground] [--table kernel|memory] [--] [CONFIG] COMMAND
       ldirectord validate [--strict] [--json] [FILE]
       ldirectord explain [CODE|DIRECTIVE|SERVICE ...]
       ldirectord list [OPTIONS] [SERVICE|SERVER ...]
       ldirectord show SERVICE|SERVER ...
       ldirectord table [--percent] [CONFIG]
       ldirectord alert test [CONFIG]
       ldirectord -h|-?|--help | -v|--version

Commands:
  start         Start the daemon for CONFIG; returns when it directs
  stop          Stop it, and wait until it has gone, at most 10 seconds
  restart       Stop it if it runs, then start it
  try-restart   Restart it if it runs
  reload        Have it read CONFIG again; what is wrong with the file is printed
  force-reload  The same as reload
  reexec        Replace the daemon by a new one, of this program and CONFIG, that takes the
                kernel's table over: for an upgrade, and interrupts nothing
  status        Say whether it runs: exit 0 it does, 3 it does not, 1 its pid file is stale
  validate      Say what is wrong or doubtful in a file: exit 0 it can be used, 2 it cannot;
                ldirectord validate --help says more
  explain       Say what a code of validate, a directive or a service means; without a word
                everything is listed
  list          List virtual services and servers as ipvsadm -Ln does, and how each is;
                ldirectord list --help says more
  show          Explain how a server is: since when and why, what it was asked, what would change it
  table         Say of each virtual service of CONFIG whether it is in the kernel's table, and who
                serves: exit 0 all are there, 1 one is not
  alert test    Try the mails and webhooks that CONFIG asks for, and say what came of it

CONFIG is looked for as /etc/ha.d/CONFIG, /etc/ha.d/conf/CONFIG and CONFIG, and is
ldirectord.cf when it is not given.

Options:
  -d, --debug           Stay in the foreground and log in detail to standard error; no pid file
      --foreground      Stay in the foreground, with the pid file and the log of a daemon; under
                        systemd with Type=notify
      --table WHERE     kernel (the default), or memory: direct a table in memory, to try a
                        file on a machine without IPVS
  -h, -?, --help        Print this
  -v, --version         Print the version

Exit codes: 0 done, 1 failed, 2 the configuration has an error, 3 not running, 255 usage.

Files:
  /etc/ha.d/ldirectord.cf           the configuration
  /var/run/ldirectord.CONFIG.pid    the pid file
  /var/log/ldirectord.log           the log, unless the configuration says otherwise

Signals: HUP reloads; TERM, INT and QUIT end the daemon; USR2 ends it and leaves the kernel's
table as it is for the next one.";

/// What is asked for.
#[derive(Debug)]
pub(super) enum Invocation {
    /// A help text.
    Help(String),
    /// The version.
    Version,
    /// A subcommand of ours.
    Own(own::Command),
    /// A command of ldirectord's.
    Ldirectord(Request),
}

/// A command of ldirectord's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Request {
    /// Stay in the foreground, log to standard error.
    pub(super) debug: bool,
    /// Stay in the foreground, and be the daemon in all else.
    pub(super) foreground: bool,
    /// Whose table is directed.
    pub(super) table: TableChoice,
    /// The configuration as named; `None` when it is not.
    pub(super) config: Option<OsString>,
    /// What to do.
    pub(super) command: Command,
    /// The words without the options, for the log.
    pub(super) words: Vec<OsString>,
}

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Command {
    Start,
    Stop,
    Restart,
    TryRestart,
    Reload,
    ForceReload,
    Reexec,
    Status,
}

impl Command {
    fn read(word: &OsString) -> Option<Command> {
        Some(match word.as_bytes() {
            b"start" => Command::Start,
            b"stop" => Command::Stop,
            b"restart" => Command::Restart,
            b"try-restart" => Command::TryRestart,
            b"reload" => Command::Reload,
            b"force-reload" => Command::ForceReload,
            b"reexec" => Command::Reexec,
            b"status" => Command::Status,
            _ => return None,
        })
    }

    /// As it is written.
    pub(super) fn name(self) -> &'static str {
        match self {
            Command::Start => "start",
            Command::Stop => "stop",
            Command::Restart => "restart",
            Command::TryRestart => "try-restart",
            Command::Reload => "reload",
            Command::ForceReload => "force-reload",
            Command::Reexec => "reexec",
            Command::Status => "status",
        }
    }
}

/// The words make no sense.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct UsageError {
    /// What to say before the usage text.
    pub(super) complaints: Vec<String>,
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
struct Options {
    help: bool,
    version: bool,
    debug: bool,
    foreground: bool,
    table: Option<TableChoice>,
    complaints: Vec<String>,
}

/// Reads the words after the name of the program.
pub(super) fn read(words: &[OsString]) -> Result<Invocation, UsageError> {
    let mut options = Options::default();
    let rest = options.read(words);
    if !options.complaints.is_empty() {
        return Err(UsageError { complaints: options.complaints });
    }
    if options.help {
        return Ok(Invocation::Help(HELP.to_owned()));
    }
    if options.version {
        return Ok(Invocation::Version);
    }
    let (config, command) = match rest {
        [] => return Err(UsageError::default()),
        [command] => (None, command),
        // What comes after the command is ignored, as ldirectord does.
        [config, command, ..] => (Some(config.clone()), command),
    };
    match Command::read(command) {
        Some(command) => Ok(Invocation::Ldirectord(Request {
            debug: options.debug,
            foreground: options.foreground,
            table: options.table.unwrap_or(TableChoice::Kernel),
            config,
            command,
            words: rest.to_owned(),
        })),
        None => match own::read(rest) {
            Some(Ok(command)) => Ok(Invocation::Own(command)),
            Some(Err(error)) if !error.use_stderr() => {
                Ok(Invocation::Help(error.to_string().trim_end().to_owned()))
            }
            Some(Err(error)) => Err(UsageError { complaints: vec![error.to_string()] }),
            None => Err(UsageError::default()),
        },
    }
}

impl Options {
    /// Takes the options off the front; returns the words after them.
    fn read<'a>(&mut self, words: &'a [OsString]) -> &'a [OsString] {
        let mut rest = words;
        while let Some((word, after)) = rest.split_first() {
            match word.as_bytes() {
                b"--" => return after,
                [b'-', b'-', name @ ..] => {
                    rest = after;
                    self.long(name, &mut rest);
                }
                [b'-', letters @ ..] if !letters.is_empty() => {
                    rest = after;
                    letters.iter().for_each(|letter| self.short(*letter));
                }
                _ => return rest,
            }
        }
        rest
    }

    fn short(&mut self, letter: u8) {
        match letter {
            b'd' => self.debug = true,
            b'h' | b'?' => self.help = true,
            b'v' => self.version = true,
            other => self.complaints.push(format!("Unknown option: {}", char::from(other))),
        }
    }

    fn long(&mut self, word: &[u8], rest: &mut &[OsString]) {
        let text = String::from_utf8_lossy(word);
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (&*text, None),
        };
        match (name, value) {
            ("debug", None) => self.debug = true,
            ("foreground", None) => self.foreground = true,
            ("help", None) => self.help = true,
            ("version", None) => self.version = true,
            ("debug" | "foreground" | "help" | "version", Some(_)) => {
                self.complaints.push(format!("Option {name} does not take an argument"));
            }
            ("table", value) => {
                let value = value.or_else(|| {
                    let (value, after) = rest.split_first()?;
                    *rest = after;
                    Some(value.to_string_lossy().into_owned())
                });
                match value.as_deref() {
                    Some("kernel") => self.table = Some(TableChoice::Kernel),
                    Some("memory") => self.table = Some(TableChoice::Memory),
                    Some(other) => {
                        self.complaints
                            .push(format!("Option table is kernel or memory, not {other}"));
                    }
                    None => self.complaints.push("Option table requires an argument".to_owned()),
                }
            }
            (name, _) => self.complaints.push(format!("Unknown option: {name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str], expected: &str) {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let found = match read(&words) {
            Ok(Invocation::Help(text)) => {
                if text == HELP {
                    "help".to_owned()
                } else {
                    "help of a subcommand".to_owned()
                }
            }
            Ok(Invocation::Version) => "version".to_owned(),
            Ok(Invocation::Own(command)) => format!("{command:?}"),
            Ok(Invocation::Ldirectord(request)) => format!(
                "{} {}{}{}{}",
                request.config.map_or("-".into(), |config| config.to_string_lossy().into_owned()),
                request.command.name(),
                if request.debug { " debug" } else { "" },
                if request.foreground { " foreground" } else { "" },
                if request.table == TableChoice::Memory { " memory" } else { "" },
            ),
            Err(error) => format!("usage {:?}", error.complaints),
        };
        assert_eq!(found, expected, "{words:?}");
    }

    #[test]
    fn words_mean_what_they_mean_to_ldirectord() {
        check(&[], "usage []");
        check(&["start"], "- start");
        check(&["web.cf", "force-reload"], "web.cf force-reload");
        check(&["web.cf", "stop", "and", "more"], "web.cf stop");
        check(&["web.cf"], "usage []");
        check(&["web.cf", "-d", "status"], "usage []");
        check(&["start", "stop"], "start stop");
        check(&["-d", "start"], "- start debug");
        check(&["--debug", "web.cf", "start"], "web.cf start debug");
        check(&["--", "-d", "start"], "-d start");
        check(&["-", "start"], "- start");
        check(&["-dv"], "version");
        check(&["-vh"], "help");
        check(&["-?", "nonsense"], "help");
        check(&["--help"], "help");
        check(&["--deb", "start"], "usage [\"Unknown option: deb\"]");
        check(&["-dx", "--y=1"], "usage [\"Unknown option: x\", \"Unknown option: y\"]");
        check(&["--debug=1", "start"], "usage [\"Option debug does not take an argument\"]");
    }

    #[test]
    fn our_own_words_take_nothing_from_ldirectord() {
        check(&["--table", "memory", "start"], "- start memory");
        check(&["--table=kernel", "web.cf", "start"], "web.cf start");
        check(&["--foreground", "web.cf", "start"], "web.cf start foreground");
        check(&["--foreground=no"], "usage [\"Option foreground does not take an argument\"]");
        check(&["--table=disk", "start"], "usage [\"Option table is kernel or memory, not disk\"]");
        check(&["--table"], "usage [\"Option table requires an argument\"]");
        check(&["validate"], "Validate(Validate { strict: false, json: false, file: None })");
        check(
            &["validate", "--json", "web.cf", "--strict"],
            "Validate(Validate { strict: true, json: true, file: Some(\"web.cf\") })",
        );
        check(&["validate", "--help"], "help of a subcommand");
        check(&["explain", "E0201", "http"], "Explain { words: [\"E0201\", \"http\"] }");
        check(&["explain", "status"], "explain status");
        check(&["validate", "start"], "validate start");
    }
}
