//! Which services and servers of a listing are wanted, and in which order.

use std::{cmp::Reverse, net::SocketAddr};

use super::{Listing, Server, Service};
use crate::model::{Condition, ServiceKey};

/// What a listing is cut down to; by default it is left whole.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Selection {
    /// Words that name services or servers: `192.0.2.1:80`, `tcp:192.0.2.1:80`, `10.0.0.7`, `fwm:7`, or the name of a
    /// service. A service that one of them names is kept whole; of others the servers that one names are kept.
    pub words: Vec<String>,
    /// Servers that are in one of these conditions are kept; empty keeps all.
    pub conditions: Vec<Condition>,
}

/// The order of the servers of each service.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Sort {
    /// By address, those last that are not in the kernel.
    #[default]
    Address,
    /// The worst first.
    State,
    /// The heaviest first.
    Weight,
    /// Those with most established connections first.
    Connections,
    /// Those with most connections a second first.
    Rate,
}

impl Selection {
    /// Leaves out what is not wanted; the words that name nothing are returned.
    pub fn apply(&self, listing: &mut Listing) -> Vec<String> {
        let mut named = vec![false; self.words.len()];
        let mut meets = |matches: &dyn Fn(&str) -> bool| {
            let mut any = self.words.is_empty();
            for (word, named) in self.words.iter().zip(&mut named) {
                if matches(word) {
                    *named = true;
                    any = true;
                }
            }
            any
        };
        listing.services.retain_mut(|service| {
            let is_wanted = meets(&|word| names_service(service, word));
            service.servers.retain(|server| {
                (meets(&|word| names_server(server, word)) || is_wanted) && self.is_so(server)
            });
            is_wanted && self.conditions.is_empty() || !service.servers.is_empty()
        });
        let unknown = self.words.iter().zip(named).filter(|(_, named)| !named);
        unknown.map(|(word, _)| word.clone()).collect()
    }

    fn is_so(&self, server: &Server) -> bool {
        let condition = server.state.as_ref().map(|state| state.condition);
        self.conditions.is_empty()
            || condition.is_some_and(|condition| self.conditions.contains(&condition))
    }
}

fn names_service(service: &Service, word: &str) -> bool {
    let by_name = service.state.as_ref().and_then(|state| state.name.as_deref()) == Some(word);
    let by_key = match (word.parse::<ServiceKey>(), service.key) {
        (Ok(key), _) => key == service.key,
        (Err(_), ServiceKey::Address { address, .. }) => names_address(address, word),
        (Err(_), ServiceKey::Fwmark { .. }) => false,
    };
    by_name || by_key
}

fn names_server(server: &Server, word: &str) -> bool {
    let written = server.state.as_ref().map(|state| state.written);
    names_address(server.key.0, word) || written.is_some_and(|written| names_address(written, word))
}

/// Whether a word is an address and port, or an address alone.
fn names_address(address: SocketAddr, word: &str) -> bool {
    match word.parse::<SocketAddr>() {
        Ok(known) => known == address,
        Err(_) => word.trim_matches(['[', ']']).parse() == Ok(address.ip()),
    }
}

impl Sort {
    /// Puts the servers of each service in this order.
    pub fn apply(self, listing: &mut Listing) {
        for servers in listing.services.iter_mut().map(|service| &mut service.servers) {
            let counted = |server: &Server| server.counted;
            match self {
                // As it is.
                Sort::Address => {}
                Sort::State => servers.sort_by_key(|server| {
                    let condition = server.state.as_ref().map(|state| state.condition);
                    (condition.is_none(), condition)
                }),
                Sort::Weight => servers.sort_by_key(|server| {
                    Reverse(counted(server).map(|counted| counted.share.weight))
                }),
                Sort::Connections => servers.sort_by_key(|server| {
                    Reverse(counted(server).map(|counted| counted.connections.active))
                }),
                Sort::Rate => servers.sort_by_key(|server| {
                    Reverse(counted(server).map(|counted| counted.traffic.connection_rate))
                }),
            }
        }
    }
}
