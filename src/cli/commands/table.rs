//! `table`: compares the kernel's table with a configuration, for the cluster's monitor and for people.
//!
//! It asks the kernel and the file, not the daemon: whether a service is there, and which of its servers get
//! connections. A file that was changed after the daemon read it says nothing of what the daemon should have done;
//! then what is missing is shown all the same, and is no failure.

use std::{collections::BTreeSet, fmt};

use crate::{
    cli::{exit::Exit, output, own},
    daemon::{load::Purpose, reconciler::TableChoice},
    ipvs::Table,
    model::{ServerKey, VirtualService, Weight},
};

/// `table`.
pub(super) fn run(words: &own::Table) -> Exit {
    let (instance, reading, desired) = match super::read(words.file.as_deref(), Purpose::Examine) {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let table = match TableChoice::Kernel.open().table() {
        Ok(table) => table,
        Err(error) => {
            output::complain(error);
            return Exit::Failure;
        }
    };
    let comparison = Comparison::new(&desired.services, &table);
    if words.percent {
        output::out(comparison.percent());
    } else {
        output::out(&comparison);
    }
    if comparison.is_whole() {
        return Exit::Success;
    }
    if reading.seen.was_changed_after(&instance.pid_file) {
        let file = instance.config.display();
        output::complain(format!(
            "{file} was changed after the daemon read it\nhint: ldirectord {file} reload"
        ));
        return Exit::Success;
    }
    Exit::Failure
}

/// What the kernel has of one service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Found {
    Missing,
    There { working: usize, fallback: bool },
}

/// The services of a file, in its order, and what the kernel has of them.
struct Comparison<'a>(Vec<(&'a VirtualService, Found)>);

impl Comparison<'_> {
    fn new<'a>(services: &'a [VirtualService], table: &Table) -> Comparison<'a> {
        let look = |service: &'a VirtualService| (service, found(service, table));
        Comparison(services.iter().map(look).collect())
    }

    fn is_whole(&self) -> bool {
        self.0.iter().all(|(_, found)| *found != Found::Missing)
    }

    fn working(&self) -> usize {
        self.0
            .iter()
            .filter(|(_, found)| matches!(found, Found::There { working: 1.., .. }))
            .count()
    }

    /// How many of a hundred services have a server that works, rounded down; of none, all have.
    fn percent(&self) -> usize {
        (self.working() * 100).checked_div(self.0.len()).unwrap_or(100)
    }
}

fn found(service: &VirtualService, table: &Table) -> Found {
    let Some(entry) = table.services.get(&service.key) else { return Found::Missing };
    let serving = entry.servers.iter().filter(|(_, share)| share.weight > Weight::ZERO);
    let serving: BTreeSet<ServerKey> = serving.map(|(server, _)| *server).collect();
    let real: BTreeSet<ServerKey> = service.servers.iter().map(|server| server.key).collect();
    let fallback = service.fallback.as_ref().map(|fallback| fallback.key);
    Found::There {
        working: serving.intersection(&real).count(),
        fallback: fallback.is_some_and(|key| serving.contains(&key) && !real.contains(&key)),
    }
}

impl fmt::Display for Comparison<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (service, found) in &self.0 {
            write!(f, "{}: ", service.key)?;
            match found {
                Found::Missing => writeln!(f, "not in the kernel")?,
                Found::There { working: 0, fallback: true } => writeln!(f, "the fallback serves")?,
                Found::There { working: 0, fallback: false } => writeln!(f, "nobody serves")?,
                Found::There { working, .. } => {
                    writeln!(f, "{working} of {} real servers serve", service.servers.len())?;
                }
            }
        }
        let (working, all) = (self.working(), self.0.len());
        write!(f, "{working} of {all} services have a server that works: {} %", self.percent())
    }
}
