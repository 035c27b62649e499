//! The maintenance directory (`maintenancedir`): whoever puts a file there takes a real server out of service.
//!
//! In go the names of what is in the directory, out comes [`Maintenance`]: `IP:PORT`, `IP`, `FQDN:PORT`, `FQDN`,
//! `SHORT:PORT` or `SHORT` of a real server, with IPv6 addresses in brackets; the port is that of the real server, and
//! SHORT is what stands before the first dot of its name. The directory is read once a second, beside the loop. It may
//! come later, and nobody is in maintenance when it has gone; while it cannot be read all stays as it is.
//!
//! Differs from ldirectord: what the real servers are called is not looked up before each check, but when a name that is
//! no address comes into the directory, and when the configuration is read; where nobody answers, once a minute.
//!
//! Sources: section 4.9 of the behaviour specification.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io, mem,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    clock::Clock,
    names::{Called, names_of},
};
use crate::{
    model::{Desired, Maintenance},
    sinks::notice::tame,
    time::Moment,
};

/// How often the directory is read.
const LOOK: Duration = Duration::from_secs(1);

/// How often it is asked again what addresses are called of which nobody knew.
const ASK: Duration = Duration::from_secs(60);

/// How long a start or reload waits for the names of real servers.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many names of a directory are looked at.
const MOST_ENTRIES: usize = 10_000;

type Entries = BTreeSet<String>;
type Names = BTreeMap<IpAddr, Called>;

/// Which directory, and which servers are meant by what is in it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Place {
    directory: Option<PathBuf>,
    /// The real servers as the file of the configuration has them.
    servers: Arc<BTreeSet<SocketAddr>>,
}

impl Place {
    /// Of a configuration.
    pub(super) fn of(desired: &Desired) -> Place {
        let directory = desired.process.maintenance_dir.clone();
        let servers = desired.services.iter().flat_map(|service| &service.servers);
        let servers = servers.map(|server| server.written).filter(|_| directory.is_some());
        Place { servers: Arc::new(servers.collect()), directory }
    }
}

/// What is known of a maintenance directory; made beside the loop for a configuration that is about to be followed.
#[derive(Debug, Default)]
pub(super) struct Known {
    place: Place,
    entries: Entries,
    names: Names,
    /// Whether the servers may be called otherwise by now.
    is_stale: bool,
    asking: Option<JoinHandle<Names>>,
    /// Why the directory cannot be read.
    fault: Option<String>,
}

impl Known {
    /// Looks for the first time, or for a configuration that follows another of which these names were known.
    pub(super) async fn find_out(place: Place, names: Names) -> Known {
        let mut known = Known { place, names, ..Known::default() };
        let Some(directory) = known.place.directory.clone() else { return known };
        let read = spawn_blocking(move || read(&directory)).await;
        known.take_entries(read.unwrap_or_else(|error| Err(io::Error::other(error))));
        if let Some(mut asking) = known.ask(false) {
            match tokio::time::timeout(PATIENCE, &mut asking).await {
                Ok(names) => known.learn(names.unwrap_or_default()),
                Err(_) => known.asking = Some(asking),
            }
        }
        known
    }

    /// Whether there are others.
    fn take_entries(&mut self, read: io::Result<Entries>) -> bool {
        match read {
            Ok(entries) => {
                // Who has a new name may be new in the name service, too.
                let is_new = |name: &&String| {
                    matches!(meant(name), Some(Meant::Name(..))) && !self.entries.contains(*name)
                };
                self.is_stale |= entries.iter().any(|name| is_new(&name));
                self.fault = None;
                let is_other = entries != self.entries;
                self.entries = entries;
                is_other
            }
            Err(error) => {
                self.fault = Some(error.to_string());
                false
            }
        }
    }

    /// A name service that does not answer takes no server out of maintenance.
    fn learn(&mut self, names: Names) {
        for (address, called) in names {
            match self.names.get(&address) {
                Some(Called::Name(_)) if called == Called::Unanswered => {}
                _ => _ = self.names.insert(address, called),
            }
        }
    }

    /// Asks what the servers are called of which that is not known; those of which nobody knew if it is time to do so
    /// `again`. Nothing is asked as long as addresses are all there is.
    fn ask(&mut self, again: bool) -> Option<JoinHandle<Names>> {
        if !self.entries.iter().any(|name| matches!(meant(name), Some(Meant::Name(..)))) {
            return None;
        }
        let is_asked = |address: &IpAddr| match self.names.get(address) {
            _ if self.is_stale => true,
            None => true,
            Some(Called::Unanswered) => again,
            Some(Called::Name(_) | Called::Nothing) => false,
        };
        let addresses: BTreeSet<IpAddr> =
            self.place.servers.iter().map(SocketAddr::ip).filter(is_asked).collect();
        self.is_stale = false;
        let addresses: Vec<IpAddr> = addresses.into_iter().collect();
        (!addresses.is_empty()).then(|| spawn_blocking(move || names_of(addresses)))
    }

    /// Who is in maintenance.
    pub(super) fn maintenance(&self) -> Maintenance {
        let mut maintenance = Maintenance::default();
        for name in &self.entries {
            match meant(name) {
                Some(Meant::Host(host)) => _ = maintenance.hosts.insert(host),
                Some(Meant::Server(server)) => _ = maintenance.servers.insert(server),
                Some(Meant::Name(name, port)) => {
                    let called = self.names.iter().filter(|(_, called)| is_called(called, name));
                    for (host, _) in called {
                        match port {
                            Some(port) => maintenance.servers.insert(SocketAddr::new(*host, port)),
                            None => maintenance.hosts.insert(*host),
                        };
                    }
                }
                None => {}
            }
        }
        maintenance
    }

    /// The names that mean no real server.
    fn strays(&self) -> BTreeSet<String> {
        let means_some = |name: &String| {
            let one = Known {
                entries: [name.clone()].into(),
                names: self.names.clone(),
                ..Known::default()
            };
            let maintenance = one.maintenance();
            self.place.servers.iter().any(|server| maintenance.holds(*server))
        };
        self.entries.iter().filter(|name| !means_some(name)).cloned().collect()
    }
}

/// Looks at the maintenance directory from time to time.
#[derive(Debug)]
pub(super) struct MaintenanceWatch {
    known: Known,
    /// What was told of it.
    maintenance: Maintenance,
    told_fault: Option<String>,
    told_strays: BTreeSet<String>,
    looking: Option<JoinHandle<io::Result<Entries>>>,
    look_at: Moment,
    ask_at: Moment,
}

impl MaintenanceWatch {
    /// Goes on from here.
    pub(super) fn new(known: Known, now: Moment) -> MaintenanceWatch {
        let mut watch = MaintenanceWatch {
            maintenance: known.maintenance(),
            known: Known::default(),
            told_fault: None,
            told_strays: BTreeSet::new(),
            looking: None,
            look_at: now,
            ask_at: now,
        };
        watch.follow(known, now);
        watch
    }

    /// The configuration is another, for which this was found out.
    pub(super) fn follow(&mut self, mut known: Known, now: Moment) {
        // Somebody may have put a file there since it was found out.
        if known.place.directory == self.known.place.directory {
            known.entries = mem::take(&mut self.known.entries);
            for (host, called) in mem::take(&mut self.known.names) {
                known.names.entry(host).or_insert(called);
            }
        }
        // What is read or asked now is for the configuration before.
        self.looking = None;
        self.known = known;
        self.maintenance = self.known.maintenance();
        (self.look_at, self.ask_at) = (now.after(LOOK), now.after(ASK));
        self.tell_fault();
        self.tell_strays();
    }

    /// Who was last known to be in maintenance.
    pub(super) fn maintenance(&self) -> Maintenance {
        self.maintenance.clone()
    }

    /// What the real servers are called, as far as that is known.
    pub(super) fn names(&self) -> Names {
        self.known.names.clone()
    }

    /// Waits until others are in maintenance; for ever when there is no directory.
    pub(super) async fn next(&mut self, clock: &Clock) -> Maintenance {
        loop {
            let idle = self.known.place.directory.is_some() && self.looking.is_none();
            let look_at = idle.then_some(self.look_at);
            let is_other = tokio::select! {
                read = ended(&mut self.looking) => {
                    self.look_at = clock.now().after(LOOK);
                    self.known.take_entries(read.unwrap_or_else(Err))
                }
                names = ended(&mut self.known.asking) => {
                    self.ask_at = clock.now().after(ASK);
                    self.known.learn(names.unwrap_or_default());
                    true
                }
                () = clock.sleep_until(look_at) => {
                    let directory = self.known.place.directory.clone().unwrap_or_default();
                    self.looking = Some(spawn_blocking(move || read(&directory)));
                    continue;
                }
            };
            if self.known.asking.is_none() {
                self.known.asking = self.known.ask(self.ask_at <= clock.now());
            }
            self.tell_fault();
            if !is_other {
                continue;
            }
            self.tell_strays();
            let maintenance = self.known.maintenance();
            if maintenance != self.maintenance {
                self.maintenance = maintenance.clone();
                return maintenance;
            }
        }
    }

    /// Tells once what is wrong with the directory.
    fn tell_fault(&mut self) {
        let Some(directory) = &self.known.place.directory else { return };
        let directory = directory.display();
        if self.known.fault != self.told_fault {
            match &self.known.fault {
                Some(fault) => tracing::warn!(
                    "cannot read maintenancedir {directory}, who is in maintenance stays so: {fault}"
                ),
                None => tracing::info!("maintenancedir {directory} can be read again"),
            }
            self.told_fault.clone_from(&self.known.fault);
        }
    }

    /// Tells once of names that mean nobody.
    fn tell_strays(&mut self) {
        let Some(directory) = &self.known.place.directory else { return };
        let directory = directory.display();
        if self.known.asking.is_some() {
            return;
        }
        let strays = self.known.strays();
        for stray in strays.difference(&self.told_strays) {
            let stray = tame(stray);
            tracing::info!(
                "{directory}/{stray} takes nobody out of service: no real server is called so"
            );
        }
        self.told_strays = strays;
    }
}

/// Waits for a task to end, and takes it away; for ever when there is none.
async fn ended<T>(task: &mut Option<JoinHandle<T>>) -> io::Result<T> {
    let Some(running) = task else { return std::future::pending().await };
    let result = running.await.map_err(io::Error::other);
    *task = None;
    result
}

/// What a name in the directory means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Meant<'a> {
    Host(IpAddr),
    Server(SocketAddr),
    Name(&'a str, Option<u16>),
}

/// What a name means; `None` if no server can be called so.
fn meant(name: &str) -> Option<Meant<'_>> {
    if let Ok(server) = name.parse() {
        return Some(Meant::Server(server));
    }
    if let Some(host) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        return host.parse().ok().map(|host| Meant::Host(IpAddr::V6(host)));
    }
    if let Ok(host) = name.parse() {
        return Some(Meant::Host(IpAddr::V4(host)));
    }
    let (name, port) = match name.split_once(':') {
        Some((name, port)) => (name, Some(port.parse().ok()?)),
        None => (name, None),
    };
    let is_fit = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(is_fit);
    is_name.then_some(Meant::Name(name, port))
}

/// Whether this is what an address is called: in full, or before the first dot, which ldirectord takes from names only
/// that begin with a lower-case letter.
fn is_called(called: &Called, name: &str) -> bool {
    let Called::Name(full) = called else { return false };
    full == name
        || full.split_once('.').is_some_and(|(short, _)| {
            short == name && short.starts_with(|c: char| c.is_ascii_lowercase())
        })
}

/// The names in a directory, but for hidden ones; none when it is not there. As ldirectord, what is behind a name does
/// not matter as long as there is something.
fn read(directory: &Path) -> io::Result<Entries> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Entries::new()),
        entries => entries?,
    };
    let mut names = Entries::new();
    for entry in entries.take(MOST_ENTRIES) {
        let entry = entry?;
        let leads_nowhere =
            || entry.file_type().is_ok_and(|kind| kind.is_symlink()) && !entry.path().exists();
        if let Some(name) = entry.file_name().to_str().filter(|name| !name.starts_with('.'))
            && !leads_nowhere()
        {
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Of three servers, and a name service that knows two of them.
    fn known(entries: &[&str]) -> Known {
        let servers = ["10.0.0.1:80", "10.0.0.2:80", "[2001:db8::1]:443"];
        let servers: BTreeSet<SocketAddr> =
            servers.iter().map(|server| server.parse().unwrap()).collect();
        let called = |name: &str| Called::Name(name.to_owned());
        let names = [
            ("10.0.0.1", called("web1.example.org")),
            ("10.0.0.2", Called::Nothing),
            ("2001:db8::1", called("Web2.example.org")),
        ];
        Known {
            place: Place { directory: Some("/maintenance".into()), servers: Arc::new(servers) },
            entries: entries.iter().map(|name| (*name).to_owned()).collect(),
            names: names.map(|(host, name)| (host.parse().unwrap(), name)).into(),
            ..Known::default()
        }
    }

    #[test]
    fn every_way_to_name_a_server_is_understood() {
        for (name, held) in [
            ("10.0.0.1", vec!["10.0.0.1:80"]),
            ("10.0.0.1:80", vec!["10.0.0.1:80"]),
            ("10.0.0.1:81", vec![]),
            ("[2001:db8::1]", vec!["[2001:db8::1]:443"]),
            ("[2001:DB8:0::1]:443", vec!["[2001:db8::1]:443"]),
            ("2001:db8::1", vec![]),
            ("web1.example.org", vec!["10.0.0.1:80"]),
            ("web1.example.org:80", vec!["10.0.0.1:80"]),
            ("web1", vec!["10.0.0.1:80"]),
            ("web1:80", vec!["10.0.0.1:80"]),
            ("web1:443", vec![]),
            ("web1.example", vec![]),
            ("Web2.example.org", vec!["[2001:db8::1]:443"]),
            ("Web2", vec![]),
            ("web2", vec![]),
            ("web1:", vec![]),
            ("10.0.0.1~", vec![]),
        ] {
            let known = known(&[name]);
            let maintenance = known.maintenance();
            let servers = known.place.servers.iter().filter(|server| maintenance.holds(**server));
            let servers: Vec<String> = servers.map(ToString::to_string).collect();
            assert_eq!(servers, held, "{name}");
            let strays: Vec<String> = known.strays().into_iter().collect();
            assert_eq!(strays, if held.is_empty() { vec![name] } else { vec![] });
        }
    }

    #[tokio::test]
    async fn nobody_is_asked_for_the_names_of_servers_before_there_is_a_name() {
        let mut known = known(&["10.0.0.1", "nobody~"]);
        known.names.clear();
        assert!(known.ask(true).is_none());
        known.entries.insert("web9".to_owned());
        assert!(known.ask(false).is_some());
        let hosts = known.place.servers.iter().map(SocketAddr::ip);
        known.learn(hosts.map(|host| (host, Called::Unanswered)).collect());
        assert!(known.ask(false).is_none() && known.ask(true).is_some());
        let same = known.entries.clone();
        assert!(!known.take_entries(Ok(same)));
        assert!(known.ask(false).is_none(), "the same name is no reason to ask again");
        assert!(known.take_entries(Ok(["web8".to_owned()].into())));
        assert!(known.ask(false).is_some() && known.ask(false).is_none());
    }

    #[test]
    fn a_name_service_that_is_gone_ends_no_maintenance() {
        let mut known = known(&["web1"]);
        let host = "10.0.0.1".parse().unwrap();
        known.learn([(host, Called::Unanswered)].into());
        assert!(known.maintenance().hosts.contains(&host));
        known.learn([(host, Called::Nothing)].into());
        assert_eq!(known.maintenance(), Maintenance::default());
    }

    #[test]
    fn a_reload_knows_what_came_while_it_was_prepared() {
        let mut watch = MaintenanceWatch::new(known(&["10.0.0.1"]), Moment::START);
        watch.known.take_entries(Ok(["10.0.0.2".to_owned()].into()));
        watch.follow(known(&["10.0.0.1"]), Moment::START);
        assert!(watch.maintenance().holds("10.0.0.2:80".parse().unwrap()));
        assert!(!watch.maintenance().holds("10.0.0.1:80".parse().unwrap()));
    }

    #[test]
    fn whatever_is_there_counts_and_what_cannot_be_read_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        assert_eq!(read(&at("none")).unwrap(), Entries::new());
        fs::write(at("10.0.0.1"), "").unwrap();
        fs::create_dir(at("10.0.0.2")).unwrap();
        symlink("10.0.0.1", at("web1")).unwrap();
        symlink("nowhere", at("web2")).unwrap();
        fs::write(at(".web3"), "").unwrap();
        let found = read(dir.path()).unwrap();
        assert_eq!(found, ["10.0.0.1", "10.0.0.2", "web1"].map(str::to_owned).into());
        let mut known = known(&["10.0.0.1"]);
        known.take_entries(read(&at("10.0.0.1")));
        assert!(known.fault.is_some());
        assert!(known.maintenance().holds("10.0.0.1:80".parse().unwrap()));
    }
}
