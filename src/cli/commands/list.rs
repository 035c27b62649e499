//! `list`: what runs and how it is, from the kernel and from the daemons that answer.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs,
    io::{self, IsTerminal as _},
    net::SocketAddr,
    os::unix::ffi::OsStrExt as _,
    path::PathBuf,
    thread,
    time::Duration,
};

use nix::libc::NI_DGRAM;

use crate::{
    cli::{exit::Exit, output, own},
    control::{
        client,
        protocol::{Answer, Ask},
    },
    daemon::instance::Places,
    ipvs::{Kernel as _, census::Census, netlink::Netlink},
    model::Transport,
    status::{
        Listing, Selection, State, json,
        table::{self, Look, Names, View},
    },
};

/// What goes to the top of a terminal and empties it.
const CLEAR: &str = "\x1b[H\x1b[J";

/// `list`.
pub(super) fn run(words: &own::List) -> Exit {
    let mut kernel = Netlink::default();
    let Some(seconds) = words.watch else {
        return match once(words, &mut kernel) {
            Some((text, exit)) => {
                output::out(text.trim_end());
                exit
            }
            None => Exit::Failure,
        };
    };
    while let Some((text, _)) = once(words, &mut kernel) {
        let clear = if io::stdout().is_terminal() { CLEAR } else { "" };
        output::out(format!("{clear}{}", text.trim_end()));
        thread::sleep(Duration::from_secs(seconds.max(1)));
    }
    Exit::Failure
}

/// What there is now; `None` when nobody could say, which has been said.
fn once(words: &own::List, kernel: &mut Netlink) -> Option<(String, Exit)> {
    let (states, complaints) = ask_all(&Places::here());
    let census = match kernel.census() {
        Ok(census) => census,
        Err(error) => {
            output::complain(&error);
            if states.is_empty() {
                complaints.iter().for_each(output::complain);
                return None;
            }
            Census::default()
        }
    };
    complaints.iter().for_each(output::complain);
    let states = states.into_iter().map(|(_, state)| state).collect();
    let mut listing = Listing::join(census, states);
    let selection = Selection { words: words.words.clone(), conditions: words.state.clone() };
    let unknown = selection.apply(&mut listing);
    for word in &unknown {
        output::complain(format!("no virtual service and no server is called {word}"));
    }
    words.sort.apply(&mut listing);
    let exit = if unknown.is_empty() { Exit::Success } else { Exit::Failure };
    let text = if words.json { json(&listing)? } else { table(words, &listing) };
    Some((text, exit))
}

fn json(listing: &Listing) -> Option<String> {
    json::render(listing)
        .map_err(|error| output::complain(format!("cannot write JSON: {error}")))
        .ok()
}

fn table(words: &own::List, listing: &Listing) -> String {
    let is_terminal = io::stdout().is_terminal();
    let view = match words {
        own::List { stats: true, .. } => View::Stats,
        own::List { rate: true, .. } => View::Rate,
        own::List { thresholds: true, .. } => View::Thresholds,
        _ => View::Connections,
    };
    let lookup = Lookup::default();
    let names = |address, transport| lookup.names(address, transport);
    table::render(
        listing,
        &Look {
            view,
            exact: words.exact,
            width: is_terminal.then(textwrap::termwidth),
            color: output::is_colored(&io::stdout()),
            names: words.resolve.then_some(&names),
        },
    )
}

/// What every daemon that listens says, with the socket that it says it on, and what there is to complain of.
pub(super) fn ask_all(places: &Places) -> (Vec<(PathBuf, State)>, Vec<String>) {
    let (mut states, mut complaints) = (Vec::new(), Vec::new());
    let Ok(folder) = fs::read_dir(places.sockets()) else { return (states, complaints) };
    let mut paths: Vec<PathBuf> = folder.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension.as_bytes() == b"sock"));
    paths.sort();
    for path in paths {
        match client::ask(&path, Ask::Status) {
            Ok(Answer::Status(state)) => states.push((path, *state)),
            // A client makes an error of it, and nothing else answers this.
            Ok(Answer::Error { .. } | Answer::Attempts(_)) => {}
            Err(error) if error.is_absent() => {}
            Err(error) => complaints.push(error.to_string()),
        }
    }
    (states, complaints)
}

/// Names of addresses and ports, each looked up once.
#[derive(Default)]
struct Lookup {
    known: RefCell<HashMap<(SocketAddr, bool), Names>>,
}

impl Lookup {
    fn names(&self, address: SocketAddr, transport: Transport) -> Names {
        let is_udp = transport == Transport::Udp;
        let mut known = self.known.borrow_mut();
        let names = known.entry((address, is_udp)).or_insert_with(|| {
            let found = dns_lookup::getnameinfo(&address, if is_udp { NI_DGRAM } else { 0 });
            found.map_or_else(
                |_| Names::default(),
                |(host, port)| Names {
                    host: Some(host).filter(|host| *host != address.ip().to_string()),
                    port: Some(port),
                },
            )
        });
        names.clone()
    }
}
