//! `show`: explains how a server is, or each server of a service.

use std::io::{self, IsTerminal as _};

use jiff::Timestamp;

use super::list;
use crate::{
    cli::{exit::Exit, output},
    control::{
        client,
        protocol::{Answer, Ask},
    },
    daemon::{clock, instance::Places},
    ipvs::{Kernel as _, netlink::Netlink},
    status::{
        AttemptState, Listing, Selection,
        show::{Subject, explain},
    },
};

/// How wide the text is where nobody sees it, in columns.
const WIDTH: usize = 100;

/// `show`.
pub(super) fn run(words: &[String]) -> Exit {
    let (daemons, complaints) = list::ask_all(&Places::here());
    complaints.iter().for_each(output::complain);
    let census = Netlink::default().census().unwrap_or_else(|error| {
        output::complain(error);
        Default::default()
    });
    let states = daemons.iter().map(|(_, state)| state.clone()).collect();
    let mut listing = Listing::join(census, states);
    let selection = Selection { words: words.to_vec(), conditions: Vec::new() };
    let unknown = selection.apply(&mut listing);
    for word in &unknown {
        output::complain(format!(
            "no virtual service and no server is called {word}\nhint: `ldirectord list` shows them all"
        ));
    }
    let width = if io::stdout().is_terminal() { textwrap::termwidth() } else { WIDTH };
    let mut texts = Vec::new();
    for service in &listing.services {
        let daemon = daemons
            .iter()
            .find(|(_, state)| state.services.iter().any(|known| known.service == service.key));
        for server in &service.servers {
            let ask = Ask::Attempts { service: service.key, server: server.key.0 };
            let is_checked = server.state.as_ref().is_some_and(|state| state.check.is_some());
            let attempts = match daemon.filter(|_| is_checked) {
                Some((path, _)) => match client::ask(path, ask) {
                    Ok(Answer::Attempts(attempts)) => attempts,
                    Ok(_) => Vec::new(),
                    Err(error) => {
                        output::complain(error);
                        Vec::<AttemptState>::new()
                    }
                },
                None => Vec::new(),
            };
            let now: Timestamp = daemon.map_or_else(clock::wall, |(_, state)| state.daemon.now);
            texts.push(explain(&Subject { service, server, attempts: &attempts, now }, width));
        }
    }
    if !texts.is_empty() {
        output::out(texts.join("\n").trim_end());
    }
    if unknown.is_empty() { Exit::Success } else { Exit::Failure }
}
