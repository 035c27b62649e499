//! The text of a scene, and what it says.
//!
//! A scene is a file `scenarios/NAME.scene`. It starts with comment lines (`#`) that say what it shows, and
//! has sections, each opened by a line that starts with `===`:
//!
//! ```text
//! # Two web servers; one dies and comes back.
//! === config                        /etc/ha.d/ldirectord.cf, as it is when the scene begins
//! checkinterval = 1
//! virtual = 192.0.2.1:80
//!     real = 127.0.0.11:80 masq
//!     real = 127.0.0.12:80 masq
//! === config bigger                 another version of the file, for the step `config bigger`
//! ...
//! === file /run/check.sh 755        any other file, with its mode (644 when there is none)
//! #!/bin/sh
//! exit 0
//! === servers                       the real servers, one or more addresses a line
//! http 127.0.0.11:80 127.0.0.12:80
//! === steps
//! start
//! down 127.0.0.11:80
//! up 127.0.0.11:80 ; reload
//! ```
//!
//! **Servers**: `KIND ADDRESS:PORT… [PATH=BODY…] [STATE]`. KIND is `http`, `https`, or `tcp` (accepts and says nothing).
//! A web server answers 200 with the body `works`, then the lines `host: H`, `path: P`, `method: M` of the request;
//! for a PATH that is given, with BODY. STATE, `up` when not given, is one of
//! `up`, `down` (nothing listens), `wrong` (200, body `broken`), `silent` (accepts and never answers),
//! `closing` (accepts and closes), `answer=404` (another status), `redirect=URL`.
//! Addresses outside 127.0.0.0/8 are put on the loopback interface.
//!
//! **Steps**, one moment a line; several actions of one moment are separated by ` ; `:
//!
//! | action | |
//! |---|---|
//! | `start` `restart` `try-restart` `status` | `ldirectord /etc/ha.d/ldirectord.cf ACTION`; its exit code is compared, for `status` its output too |
//! | `stop` `reload` `force-reload` | the same, but a running Perl daemon gets the signal that the command would send: starting Perl is slow |
//! | `ldirectord WORD…` | with any other arguments; the exit code is compared |
//! | `kill SIGNAL` | to the process of the pid file: `KILL`, `HUP`, `TERM`… |
//! | `up S…` `down S…` `wrong S…` `silent S…` `closing S…` | servers change their state |
//! | `answer 404 S…`, `redirect URL S…` | the same |
//! | `unreachable ADDRESS…`, `reachable ADDRESS…` | no route to the address; there is one again. Pings notice |
//! | `config NAME` | that version of the file is written |
//! | `replace OLD => NEW` | in the file as it is now; OLD must be there. `\n` and `\t` are understood |
//! | `touch` | the file's time changes, nothing else |
//! | `ipvsadm ARGUMENT…` | a person changes the kernel's table |
//! | `ipvsadm? ARGUMENT…` | the same, and it may fail |
//! | `write PATH TEXT`, `remove PATH` | another file is written or removed |
//! | `wait SECONDS` | |
//! | `gone` | waits for the end of the daemon: ldirectord's `stop` does not |
//! | `passes N` | from here on a table counts as settled when N check passes changed nothing (2 when not said) |
//! | `stalled`, `running` | from here on ldirectord makes no check passes any more; it does again |
//! | `mark-log` | log lines up to here do not count in the next `compare-log` |
//! | `mark-mail` | mails up to here do not count in the next `compare-mail` |
//! | `compare-mail` | the mails since the mark are the same, but for what ours says beyond ldirectord's lines; the scene has a `sendmail` that leaves them in `/run/mails` |
//! | `compare-log` | the set of messages about changes of servers since the mark is the same |
//!
//! After every line both tables (`ipvsadm -Sn`, sorted) must settle to the same text, and both pid files must
//! be there or not. Where we deliberately differ, the step is followed by a line `differs WHY` and by our own
//! table, indented; ldirectord's table must then be another one, so that the entry goes when its reason goes.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use crate::{
    namespaces::sorted,
    servers::{Kind, Server, State},
};

/// Everything a file says.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The comment at the top.
    pub about: String,
    /// The versions of the configuration file; the first has the name "".
    pub configs: BTreeMap<String, String>,
    pub files: Vec<ExtraFile>,
    pub servers: Vec<Server>,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub struct ExtraFile {
    pub path: PathBuf,
    pub mode: u32,
    pub text: String,
}

/// One line of the section `steps`.
#[derive(Clone, Debug)]
pub struct Step {
    /// As written.
    pub text: String,
    pub actions: Vec<Action>,
    pub differs: Option<Differs>,
}

/// A difference that is meant.
#[derive(Clone, Debug)]
pub struct Differs {
    pub why: String,
    /// Our table, sorted.
    pub table: String,
}

#[derive(Clone, Debug)]
pub enum Action {
    /// The program, with these arguments.
    Run(Vec<String>),
    Signal(String),
    Servers(Vec<SocketAddr>, State),
    Reachable(std::net::IpAddr, bool),
    Config(String),
    Replace(String, String),
    Touch,
    /// Its arguments, and whether it has to succeed.
    Ipvsadm(Vec<String>, bool),
    Write(PathBuf, String),
    Remove(PathBuf),
    Wait(Duration),
    Gone,
    Passes(u32),
    Stalled(bool),
    MarkLog,
    CompareLog,
    MarkMail,
    CompareMail,
}

/// The file that both programs read.
pub const CONFIG: &str = "/etc/ha.d/ldirectord.cf";

impl Scene {
    pub fn parse(text: &str) -> Result<Scene, String> {
        let mut scene = Scene {
            about: String::new(),
            configs: BTreeMap::new(),
            files: Vec::new(),
            servers: Vec::new(),
            steps: Vec::new(),
        };
        let mut section = Section::About;
        for (index, line) in text.lines().enumerate() {
            let fault = |text: String| format!("line {}: {text}: {line}", index + 1);
            if let Some(heading) = line.strip_prefix("===") {
                section = scene.open(heading.trim()).map_err(fault)?;
                continue;
            }
            match &section {
                Section::About => {
                    let comment = line
                        .strip_prefix('#')
                        .ok_or_else(|| fault("a comment or === is expected".into()))?;
                    scene.about.push_str(comment.trim());
                    scene.about.push('\n');
                }
                Section::Config(name) => {
                    let config = scene.configs.entry(name.clone()).or_default();
                    config.push_str(line);
                    config.push('\n');
                }
                Section::File => {
                    let file = scene.files.last_mut().ok_or("no file")?;
                    file.text.push_str(line);
                    file.text.push('\n');
                }
                Section::Servers if blank(line) => {}
                Section::Servers => scene.servers.append(&mut servers(line).map_err(fault)?),
                Section::Steps if line.starts_with("    ") => {
                    let step = scene
                        .steps
                        .last_mut()
                        .ok_or_else(|| fault("a table without a step".into()))?;
                    let differs = step
                        .differs
                        .as_mut()
                        .ok_or_else(|| fault("a table without `differs`".into()))?;
                    differs.table.push_str(line.trim());
                    differs.table.push('\n');
                }
                Section::Steps if blank(line) => {}
                Section::Steps => {
                    if let Some(why) = line.strip_prefix("differs ") {
                        let step = scene
                            .steps
                            .last_mut()
                            .ok_or_else(|| fault("nothing differs yet".into()))?;
                        step.differs = Some(Differs { why: why.into(), table: String::new() });
                    } else {
                        let actions = line
                            .split(" ; ")
                            .map(|text| action(text.trim()))
                            .collect::<Result<_, _>>();
                        scene.steps.push(Step {
                            text: line.into(),
                            actions: actions.map_err(fault)?,
                            differs: None,
                        });
                    }
                }
            }
        }
        for differs in scene.steps.iter_mut().filter_map(|step| step.differs.as_mut()) {
            differs.table = sorted(&differs.table);
        }
        if !scene.configs.contains_key("") {
            return Err("there is no section === config".into());
        }
        for step in &scene.steps {
            for action in &step.actions {
                if let Action::Config(name) = action
                    && !scene.configs.contains_key(name)
                {
                    return Err(format!("there is no section === config {name}"));
                }
            }
        }
        Ok(scene)
    }

    fn open(&mut self, heading: &str) -> Result<Section, String> {
        let words: Vec<&str> = heading.split_whitespace().collect();
        Ok(match words.as_slice() {
            ["config"] => Section::Config(String::new()),
            ["config", name] => {
                self.configs.insert((*name).into(), String::new());
                Section::Config((*name).into())
            }
            ["file", path] => {
                self.files.push(ExtraFile { path: path.into(), mode: 0o644, text: String::new() });
                Section::File
            }
            ["file", path, mode] => {
                let mode = u32::from_str_radix(mode, 8).map_err(|_| "not a mode")?;
                self.files.push(ExtraFile { path: path.into(), mode, text: String::new() });
                Section::File
            }
            ["servers"] => Section::Servers,
            ["steps"] => Section::Steps,
            _ => return Err("unknown section".into()),
        })
    }
}

enum Section {
    About,
    Config(String),
    File,
    Servers,
    Steps,
}

fn blank(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#')
}

fn servers(line: &str) -> Result<Vec<Server>, String> {
    let mut words = line.split_whitespace();
    let kind = match words.next() {
        Some("http") => Kind::Http,
        Some("https") => Kind::Https,
        Some("tcp") => Kind::Tcp,
        _ => return Err("a server is http, https or tcp".into()),
    };
    let (mut addresses, mut pages, mut state) = (Vec::new(), BTreeMap::new(), State::Up);
    for word in words {
        if let Ok(address) = word.parse() {
            addresses.push(address);
        } else if let Some((path, body)) =
            word.split_once('=').filter(|(path, _)| path.starts_with('/'))
        {
            pages.insert(path.to_owned(), body.to_owned());
        } else {
            state = match word.split_once('=') {
                Some(("answer", status)) => {
                    State::Answer(status.parse().map_err(|_| "not a status")?)
                }
                Some(("redirect", url)) => State::Redirect(url.into()),
                _ => plain_state(word)?,
            };
        }
    }
    if addresses.is_empty() {
        return Err("no address".into());
    }
    Ok(addresses
        .into_iter()
        .map(|address| Server { kind, address, pages: pages.clone(), state: state.clone() })
        .collect())
}

fn plain_state(word: &str) -> Result<State, String> {
    Ok(match word {
        "up" => State::Up,
        "down" => State::Down,
        "wrong" => State::Wrong,
        "silent" => State::Silent,
        "closing" => State::Closing,
        _ => return Err(format!("neither an address nor a state: {word}")),
    })
}

fn action(text: &str) -> Result<Action, String> {
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    let words = || rest.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let addresses = |rest: &str| {
        let parsed = rest
            .split_whitespace()
            .map(|word| word.parse().map_err(|_| format!("not an address: {word}")));
        parsed.collect::<Result<Vec<SocketAddr>, _>>()
    };
    let host = || rest.trim().parse().map_err(|_| format!("not an address: {rest}"));
    let after_first = || rest.split_once(' ').ok_or("a word is missing");
    Ok(match verb {
        "start" | "stop" | "restart" | "try-restart" | "reload" | "force-reload" | "status"
            if rest.is_empty() =>
        {
            Action::Run(vec![CONFIG.into(), verb.into()])
        }
        "ldirectord" => Action::Run(words()),
        "kill" => Action::Signal(rest.into()),
        "up" | "down" | "wrong" | "silent" | "closing" => {
            Action::Servers(addresses(rest)?, plain_state(verb)?)
        }
        "answer" => {
            let (status, rest) = after_first()?;
            Action::Servers(
                addresses(rest)?,
                State::Answer(status.parse().map_err(|_| "not a status")?),
            )
        }
        "redirect" => {
            let (url, rest) = after_first()?;
            Action::Servers(addresses(rest)?, State::Redirect(url.into()))
        }
        "reachable" => Action::Reachable(host()?, true),
        "unreachable" => Action::Reachable(host()?, false),
        "config" => Action::Config(rest.into()),
        "replace" => {
            let (old, new) = rest.split_once(" =>").ok_or("`=>` is missing")?;
            let unescape = |text: &str| text.replace("\\n", "\n").replace("\\t", "\t");
            Action::Replace(unescape(old), unescape(new.strip_prefix(' ').unwrap_or(new)))
        }
        "touch" => Action::Touch,
        "ipvsadm" => Action::Ipvsadm(words(), true),
        "ipvsadm?" => Action::Ipvsadm(words(), false),
        "write" => {
            let (path, text) = after_first()?;
            Action::Write(path.into(), format!("{text}\n"))
        }
        "remove" => Action::Remove(rest.into()),
        "wait" => Action::Wait(Duration::from_secs_f64(
            rest.parse().map_err(|_| "not a number of seconds")?,
        )),
        "gone" => Action::Gone,
        "passes" => Action::Passes(rest.parse().map_err(|_| "not a number")?),
        "stalled" => Action::Stalled(true),
        "running" => Action::Stalled(false),
        "mark-log" => Action::MarkLog,
        "compare-log" => Action::CompareLog,
        "mark-mail" => Action::MarkMail,
        "compare-mail" => Action::CompareMail,
        _ => return Err(format!("unknown action {verb}")),
    })
}
