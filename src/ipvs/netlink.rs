//! The kernel's own table, over generic netlink.
//!
//! In go [`Op`]s, out come results; or out comes the table of the network namespace of the thread that asks.
//! Nothing is tried twice, with one exception: when the kernel does not know the family's number any more, because
//! its module was unloaded and loaded again, a reading asks for the number and reads again.
//!
//! Without `ip_vs` in the kernel a [`Netlink`] can still be had, and every use of it loads the module or says why
//! not: like ldirectord the daemon then runs, and comes into its own as soon as the module is there.

use std::collections::BTreeMap;

use ipvs_sys::{Client, DestEntry, Error, Request, Stats};
use nix::errno::Errno;

use super::{
    Entry, Kernel, KernelError, KernelErrorKind, Op, SyncOp, Table,
    census::{Census, Connections, CountedServer, CountedService, KernelInfo},
    convert,
    modules::Modules,
};
use crate::model::{ServerKey, ServiceKey, Settings, Share, SyncDaemon, SyncRole};

/// What is read when everything is.
const WHOLE: &str = "the IPVS table";

/// How many times the services are listed at most, should others keep adding some.
const LISTS: u32 = 8;

/// The kernel's own table.
#[derive(Debug, Default)]
pub struct Netlink {
    client: Option<Client>,
    modules: Modules,
}

impl Kernel for Netlink {
    fn table(&mut self) -> Result<Table, KernelError> {
        self.read(WHOLE, |client| {
            let mut table = Table::default();
            for (key, (settings, _)) in services(client)? {
                // A service that was deleted since is not there.
                let Some(servers) = servers(client, &key)? else { continue };
                table.services.insert(key, Entry { settings, servers });
            }
            Ok(table)
        })
    }

    fn service(&mut self, key: &ServiceKey) -> Result<Option<Entry>, KernelError> {
        self.read(&key.to_string(), |client| {
            let entry = match client.service(&convert::service_id(key)) {
                Ok(entry) => entry,
                Err(error) if is(&error, Errno::ESRCH) => return Ok(None),
                Err(error) => return Err(error),
            };
            let Some((_, settings)) = convert::read_service(entry.service) else {
                return Ok(None);
            };
            Ok(servers(client, key)?.map(|servers| Entry { settings, servers }))
        })
    }

    fn census(&mut self) -> Result<Census, KernelError> {
        self.read(WHOLE, |client| {
            let info = client.info()?;
            let mut census = Census {
                kernel: Some(KernelInfo {
                    version: info.version.to_string(),
                    connection_table_size: info.connection_table_size,
                }),
                services: Vec::new(),
            };
            for (key, (settings, traffic)) in services(client)? {
                let Some(dests) = dests(client, &key)? else { continue };
                let mut servers: Vec<_> = dests.iter().filter_map(counted).collect();
                servers.sort_unstable_by_key(|server| server.key);
                census.services.push(CountedService { key, settings, traffic, servers });
            }
            Ok(census)
        })
    }

    fn apply(&mut self, ops: &[Op]) -> Vec<Result<(), KernelError>> {
        let client = match open(&mut self.client) {
            Ok(client) => client,
            Err(error) => return ops.iter().map(|op| Err(refused(op, &error))).collect(),
        };
        self.modules.load_for(ops);
        let requests: Vec<Request> = ops.iter().map(convert::request).collect();
        let results = client.apply(&requests);
        ops.iter().zip(results).map(|(op, result)| result.map_err(|e| refused(op, &e))).collect()
    }

    fn sync_daemons(&mut self) -> Result<BTreeMap<SyncRole, SyncDaemon>, KernelError> {
        self.read("the sync daemons", |client| {
            Ok(client.sync_daemons()?.into_iter().map(convert::read_sync).collect())
        })
    }

    fn apply_sync(&mut self, op: &SyncOp) -> Result<(), KernelError> {
        let result = open(&mut self.client).and_then(|client| {
            client.apply(&[convert::sync_request(op)]).into_iter().collect::<Result<(), _>>()
        });
        result.map_err(|error| match error {
            Error::Refused { errno, .. } | Error::Socket { errno, .. } => op.refused(errno),
            error => {
                let (kind, why, hint) = other_reason(&error);
                KernelError { hint, ..op.failed(kind, &why) }
            }
        })
    }
}

impl Netlink {
    fn read<T>(
        &mut self,
        what: &str,
        mut read: impl FnMut(&mut Client) -> Result<T, Error>,
    ) -> Result<T, KernelError> {
        let mut result = open(&mut self.client).and_then(&mut read);
        // No reading of IPVS itself says ENOENT.
        if result.as_ref().is_err_and(|error| is(error, Errno::ENOENT)) {
            self.client = None;
            result = open(&mut self.client).and_then(read);
        }
        result.map_err(|error| unreadable(what, &error))
    }
}

fn open(client: &mut Option<Client>) -> Result<&mut Client, Error> {
    match client {
        Some(client) => Ok(client),
        None => Ok(client.insert(Client::open()?)),
    }
}

/// All services: they are listed until a list names none that no earlier one did.
///
/// The kernel resumes a list, which does not fit one message, by counting what was listed before, in Linux 6.1 over the
/// services of all network namespaces. So each service that anybody deletes meanwhile can hide one that is there.
fn services(client: &mut Client) -> Result<BTreeMap<ServiceKey, (Settings, Stats)>, Error> {
    let mut found = BTreeMap::new();
    for _ in 0..LISTS {
        let before = found.len();
        let services = client.services()?.into_iter();
        found.extend(services.filter_map(|entry| {
            let (key, settings) = convert::read_service(entry.service)?;
            Some((key, (settings, entry.stats)))
        }));
        if found.len() == before {
            break;
        }
    }
    Ok(found)
}

/// The servers of a service, `None` when it is not there.
fn servers(
    client: &mut Client,
    key: &ServiceKey,
) -> Result<Option<BTreeMap<ServerKey, Share>>, Error> {
    let read = |entry: &DestEntry| convert::read_dest(&entry.dest);
    Ok(dests(client, key)?.map(|dests| dests.iter().filter_map(read).collect()))
}

/// The same as the kernel has them.
fn dests(client: &mut Client, key: &ServiceKey) -> Result<Option<Vec<DestEntry>>, Error> {
    match client.dests(&convert::service_id(key)) {
        Ok(dests) => Ok(Some(dests)),
        Err(error) if is(&error, Errno::ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A server with what the kernel counts, if we have words for it.
fn counted(entry: &DestEntry) -> Option<CountedServer> {
    let (key, share) = convert::read_dest(&entry.dest)?;
    let connections = Connections {
        active: entry.active_connections,
        inactive: entry.inactive_connections,
        persistent: entry.persistent_connections,
    };
    Some(CountedServer { key, share, connections, traffic: entry.stats })
}

fn is(error: &Error, errno: Errno) -> bool {
    error.errno().map(Errno::from_raw) == Some(errno)
}

/// Why a change failed, in our words.
fn refused(op: &Op, error: &Error) -> KernelError {
    match error {
        Error::Refused { errno, .. } | Error::Socket { errno, .. } => {
            KernelError::refused(op, *errno)
        }
        error => {
            let (kind, why, hint) = other_reason(error);
            KernelError { hint, ..KernelError::failed(op, kind, &why) }
        }
    }
}

/// Why something could not be read, in our words.
fn unreadable(what: &str, error: &Error) -> KernelError {
    match error {
        Error::Refused { errno, .. } | Error::Socket { errno, .. } => {
            KernelError::unreadable(what, *errno)
        }
        error => {
            let (kind, why, hint) = other_reason(error);
            KernelError { hint, ..KernelError::new(kind, format!("cannot read {what}: {why}")) }
        }
    }
}

/// What has no error number.
fn other_reason(error: &Error) -> (KernelErrorKind, String, Option<String>) {
    let hint = error.hint().map(str::to_owned);
    match error {
        Error::NoIpvs { reason } => {
            (KernelErrorKind::Unsupported, format!("this kernel has no IPVS: {reason}"), hint)
        }
        // Its hint is for us, and followed.
        Error::Lost { .. } => {
            (KernelErrorKind::Lost, "the kernel's answer was lost".to_owned(), None)
        }
        Error::Malformed { reason, .. } => {
            (KernelErrorKind::Other, format!("the kernel's answer is malformed: {reason}"), hint)
        }
        Error::Invalid { reason, .. } => (KernelErrorKind::Other, (*reason).to_owned(), hint),
        error => (KernelErrorKind::Other, error.to_string(), hint),
    }
}
