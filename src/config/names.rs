//! What the configuration cannot know by itself: seams, because only the shell may ask the system.

use std::{
    cell::RefCell,
    collections::HashMap,
    net::IpAddr,
    path::{Path, PathBuf},
};

use super::sources::File;
use crate::model::{Family, ProtocolInfo, Transport};

/// What the configuration cannot know by itself.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The resolver.
    pub names: &'a dyn Names,
    /// The files that the configuration may include.
    pub files: &'a dyn Files,
    /// The protocols that we can speak.
    pub protocols: &'a [ProtocolInfo],
    /// This host's name, which the default logins of `ftp` and `sip` contain.
    pub host_name: &'a str,
    /// Whether the kernel forgets which client had a server when the server gets weight 0
    /// (`net.ipv4.vs.expire_quiescent_template`); `None` where there is no IPVS to ask.
    pub expire_quiescent_template: Option<bool>,
}

/// Host and service names to numbers.
pub trait Names {
    /// The addresses of a host name in one family, best first, at least one.
    ///
    /// Also of what the system's resolver takes for an address, such as `127.1`.
    fn hosts(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, NameError>;

    /// The port of a service name, of any transport protocol if none is given.
    fn port(&self, service: &str, transport: Option<Transport>) -> Result<u16, NameError>;
}

/// The files that a configuration may include.
pub trait Files {
    /// The files that a pattern of `*`, `?` and `[…]` names, in the order of their names; there may be none.
    fn find(&self, pattern: &Path) -> Result<Vec<PathBuf>, FileError>;

    /// Reads a file. Only regular files can be read, and none that are too large to be a configuration.
    fn read(&self, path: &Path) -> Result<File, FileError>;
}

/// Why a file could not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct FileError {
    /// The fault in a sentence without a full stop.
    pub message: String,
}

/// There are no files to include.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFiles;

impl Files for NoFiles {
    fn find(&self, _: &Path) -> Result<Vec<PathBuf>, FileError> {
        Ok(Vec::new())
    }

    fn read(&self, _: &Path) -> Result<File, FileError> {
        Err(FileError { message: "no file can be read here".to_owned() })
    }
}

/// Why a name could not be turned into a number.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct NameError {
    /// The fault in a sentence without a full stop.
    pub message: String,
}

/// What came of the names that were asked for so far.
type Known<Kind, Number> = RefCell<HashMap<(String, Kind), Result<Number, NameError>>>;

/// Asks for each name once: a file has the same few names thousands of times.
pub(super) struct Lookup<'a> {
    names: &'a dyn Names,
    hosts: Known<Family, IpAddr>,
    ports: Known<Option<Transport>, u16>,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(names: &'a dyn Names) -> Lookup<'a> {
        Lookup { names, hosts: RefCell::default(), ports: RefCell::default() }
    }

    /// The first address of a host, or the address that the text itself is.
    pub(super) fn host(&self, name: &str, family: Family) -> Result<IpAddr, NameError> {
        if let Ok(address) = name.parse::<IpAddr>() {
            return match (Family::of(address) == family, family) {
                (true, _) => Ok(address),
                (false, Family::V4) => {
                    Err(NameError { message: "it is an IPv6 address".to_owned() })
                }
                (false, Family::V6) => {
                    Err(NameError { message: "it is an IPv4 address".to_owned() })
                }
            };
        }
        let key = (name.to_owned(), family);
        if let Some(known) = self.hosts.borrow().get(&key) {
            return known.clone();
        }
        let found = self.names.hosts(name, family).and_then(|addresses| {
            addresses.into_iter().find(|address| Family::of(*address) == family).ok_or_else(|| {
                NameError { message: format!("`{name}` has no address of this family") }
            })
        });
        self.hosts.borrow_mut().insert(key, found.clone());
        found
    }

    /// The port of a service name, or the number that the text itself is.
    pub(super) fn port(
        &self,
        service: &str,
        transport: Option<Transport>,
    ) -> Result<u16, NameError> {
        if service.bytes().all(|byte| byte.is_ascii_digit()) {
            return service
                .parse()
                .map_err(|_| NameError { message: format!("{service} is beyond 65535") });
        }
        let key = (service.to_owned(), transport);
        if let Some(known) = self.ports.borrow().get(&key) {
            return known.clone();
        }
        let found = self.names.port(service, transport);
        self.ports.borrow_mut().insert(key, found.clone());
        found
    }
}
