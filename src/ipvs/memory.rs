//! A kernel's table in memory, with the kernel's errors and limits.
//!
//! For trying a configuration on a machine without IPVS (`--table memory`), for benchmarks and for tests.
//! It refuses what the kernel refuses, with the same error in the same order of precedence, and keeps what the
//! kernel keeps. `tests/kernel` holds it to the real one. It forwards no packet and knows no routes: the kernel
//! refuses the broadcast addresses of its networks as real servers, this table only those that are never a host's.
//!
//! Source: `ip_vs_genl_set_cmd`, `ip_vs_add_service`, `ip_vs_edit_service`, `ip_vs_add_dest`, `ip_vs_edit_dest`
//! and `ip_vs_new_dest` in `net/netfilter/ipvs/ip_vs_ctl.c`, `start_sync_thread` in `ip_vs_sync.c`, Linux 6.1.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use nix::libc;

use super::{Entry, Kernel, KernelError, KernelErrorKind, Op, SyncOp, Table};
use crate::model::{
    Family, Forwarding, Mask, ServerKey, ServiceKey, Settings, Share, SyncDaemon, SyncRole, Tunnel,
};

/// The schedulers of the mainline kernel that every distribution builds, each a module `ip_vs_NAME`.
pub const SCHEDULERS: [&str; 13] =
    ["dh", "fo", "lblc", "lblcr", "lc", "mh", "nq", "ovf", "rr", "sed", "sh", "wlc", "wrr"];

/// The persistence engines of the mainline kernel, each a module `ip_vs_pe_NAME`.
pub const ENGINES: [&str; 1] = ["sip"];

/// The kernel's name for a service without scheduler, which serves nothing.
const NO_SCHEDULER: &str = "none";

/// `IP_VS_SCHEDNAME_MAXLEN`, `IP_VS_PENAME_MAXLEN` and `IP_VS_IFNAME_MAXLEN` of `linux/ip_vs.h`, without the final zero.
const LONGEST_NAME: usize = 15;

/// A kernel's table in memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Memory {
    /// What is in it. Whoever writes here is a person with `ipvsadm` to all others.
    pub table: Table,
    /// The schedulers that there are.
    pub schedulers: BTreeSet<String>,
    /// The persistence engines that there are.
    pub engines: BTreeSet<String>,
    /// The sync daemons that run. They send nothing.
    pub sync: BTreeMap<SyncRole, SyncDaemon>,
    /// The network interfaces that there are; `None` has every one. Of each the MTU is 1500.
    pub interfaces: Option<BTreeSet<String>>,
}

impl Default for Memory {
    /// An empty table, and everything a mainline kernel has.
    fn default() -> Self {
        Memory {
            table: Table::default(),
            schedulers: SCHEDULERS.map(str::to_owned).into(),
            engines: ENGINES.map(str::to_owned).into(),
            sync: BTreeMap::new(),
            interfaces: None,
        }
    }
}

impl Kernel for Memory {
    fn table(&mut self) -> Result<Table, KernelError> {
        Ok(self.table.clone())
    }

    fn service(&mut self, key: &ServiceKey) -> Result<Option<Entry>, KernelError> {
        Ok(self.table.services.get(key).cloned())
    }

    fn apply(&mut self, ops: &[Op]) -> Vec<Result<(), KernelError>> {
        ops.iter()
            .map(|op| {
                check_sayable(op)
                    .map_err(|why| KernelError::failed(op, KernelErrorKind::Other, why))?;
                self.check(op).map_err(|errno| KernelError::refused(op, errno))?;
                self.table.record(op);
                Ok(())
            })
            .collect()
    }

    fn sync_daemons(&mut self) -> Result<BTreeMap<SyncRole, SyncDaemon>, KernelError> {
        Ok(self.sync.clone())
    }

    fn apply_sync(&mut self, op: &SyncOp) -> Result<(), KernelError> {
        match op {
            SyncOp::Start(role, daemon) => {
                if !is_name(&daemon.interface) {
                    let why = "an interface's name has 1 to 15 bytes";
                    return Err(op.failed(KernelErrorKind::Other, why));
                }
                self.check_sync(*role, daemon).map_err(|errno| op.refused(errno))?;
                self.sync.insert(*role, as_kept(*role, daemon));
                Ok(())
            }
            SyncOp::Stop(role) => {
                self.sync.remove(role).map(|_| ()).ok_or_else(|| op.refused(libc::ESRCH))
            }
        }
    }
}

impl Memory {
    /// Whether the kernel would start this sync daemon.
    fn check_sync(&self, role: SyncRole, daemon: &SyncDaemon) -> Result<(), i32> {
        let mixed = |(key, entry): (&ServiceKey, &Entry)| {
            entry.servers.keys().any(|server| key.family() != Family::of(server.0.ip()))
        };
        if !daemon.group.is_multicast() || self.table.services.iter().any(mixed) {
            return Err(libc::EINVAL);
        }
        let interfaces = self.interfaces.as_ref();
        if interfaces.is_some_and(|interfaces| !interfaces.contains(&daemon.interface)) {
            return Err(libc::ENODEV);
        }
        if self.sync.contains_key(&role) { Err(libc::EEXIST) } else { Ok(()) }
    }

    /// Whether the kernel would make this change.
    fn check(&self, op: &Op) -> Result<(), i32> {
        let entry = self.table.services.get(&op.service());
        match op {
            Op::AddService(_, settings) => {
                if entry.is_some() {
                    return Err(libc::EEXIST);
                }
                self.check_settings(settings)
            }
            Op::SetService(_, settings) => {
                entry.ok_or(libc::ESRCH)?;
                self.check_settings(settings)
            }
            Op::DelService(_) => entry.map(|_| ()).ok_or(libc::ESRCH),
            Op::AddServer(service, server, share) => {
                let entry = entry.ok_or(libc::ESRCH)?;
                self.check_share(service, server, share)?;
                if entry.servers.contains_key(server) {
                    return Err(libc::EEXIST);
                }
                check_host(server.0.ip())
            }
            Op::SetServer(service, server, share) => {
                let entry = entry.ok_or(libc::ESRCH)?;
                self.check_share(service, server, share)?;
                entry.servers.get(server).map(|_| ()).ok_or(libc::ENOENT)
            }
            Op::DelServer(_, server) => {
                let entry = entry.ok_or(libc::ESRCH)?;
                entry.servers.get(server).map(|_| ()).ok_or(libc::ENOENT)
            }
        }
    }

    /// Whether a service can have these settings.
    fn check_settings(&self, settings: &Settings) -> Result<(), i32> {
        let scheduler = &settings.scheduler.0;
        if scheduler != NO_SCHEDULER && !self.schedulers.contains(scheduler) {
            return Err(libc::ENOENT);
        }
        let Some(persistence) = &settings.persistence else { return Ok(()) };
        if let Some(engine) = &persistence.engine
            && !self.engines.contains(engine)
        {
            return Err(libc::ENOENT);
        }
        match persistence.mask {
            Mask::V6(0 | 129..) => Err(libc::EINVAL),
            _ => Ok(()),
        }
    }

    /// Whether a server can have this share.
    fn check_share(
        &self,
        service: &ServiceKey,
        server: &ServerKey,
        share: &Share,
    ) -> Result<(), i32> {
        let tunnelled = matches!(share.forwarding, Forwarding::Tunnel(_));
        let mixed = service.family() != Family::of(server.0.ip());
        if mixed && (!tunnelled || !self.sync.is_empty()) {
            return Err(libc::EINVAL);
        }
        if share.thresholds.lower > share.thresholds.upper {
            return Err(libc::ERANGE);
        }
        if matches!(share.forwarding, Forwarding::Tunnel(Tunnel::Gue { port: 0, .. })) {
            return Err(libc::EINVAL);
        }
        Ok(())
    }
}

/// A sync daemon as the kernel keeps it: what it was not told it chooses, and a length has limits.
fn as_kept(role: SyncRole, daemon: &SyncDaemon) -> SyncDaemon {
    let headers = if daemon.group.is_ipv4() { 28 } else { 48 };
    let least = match role {
        SyncRole::Master => 1,
        SyncRole::Backup => 1024,
    };
    let length = match daemon.max_length {
        Some(length) => length.clamp(least, u16::MAX - headers),
        None => 1500 - headers,
    };
    SyncDaemon { max_length: Some(length), ..daemon.clone() }
}

/// Whether a change can be said in a message to the kernel at all, in the words of `ipvs_sys`.
fn check_sayable(op: &Op) -> Result<(), &'static str> {
    let (Op::AddService(service, settings) | Op::SetService(service, settings)) = op else {
        return Ok(());
    };
    let persistence = settings.persistence.as_ref();
    match (persistence.map(|persistence| persistence.mask), service.family()) {
        (Some(Mask::V4(_)), Family::V6) => {
            return Err("an IPv4 netmask does not fit an IPv6 service");
        }
        (Some(Mask::V6(_)), Family::V4) => {
            return Err("an IPv6 prefix length does not fit an IPv4 service");
        }
        _ => {}
    }
    if !is_name(&settings.scheduler.0) {
        return Err("a scheduler's name has 1 to 15 bytes");
    }
    let engine = persistence.and_then(|persistence| persistence.engine.as_ref());
    if engine.is_some_and(|engine| !is_name(engine)) {
        return Err("a persistence engine's name has 1 to 15 bytes");
    }
    Ok(())
}

/// Whether a message to the kernel has room for this name.
fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len()) && !name.contains('\0')
}

/// Whether an address can be a host's (`inet_addr_type`, `ipv6_addr_type`).
fn check_host(address: IpAddr) -> Result<(), i32> {
    let host = match address {
        IpAddr::V4(address) => {
            !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast()
        }
        IpAddr::V6(address) => {
            !address.is_unspecified() && !address.is_multicast() && !address.is_unicast_link_local()
        }
    };
    if host { Ok(()) } else { Err(libc::EINVAL) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ipvs::KernelErrorKind,
        model::{Scheduler, Thresholds, Transport, Weight},
    };

    #[test]
    fn a_failed_change_keeps_no_later_one_from_being_made() {
        let service =
            ServiceKey::Address { transport: Transport::Udp, address: ([192, 0, 2, 1], 53).into() };
        let server = ServerKey(([198, 51, 100, 1], 53).into());
        let share = Share {
            forwarding: Forwarding::Route,
            weight: Weight::ONE,
            thresholds: Thresholds::default(),
        };
        let unknown = Settings { scheduler: Scheduler("nope".to_owned()), ..Settings::default() };
        let mut memory = Memory::default();
        let results = memory.apply(&[
            Op::AddServer(service, server, share),
            Op::AddService(service, unknown),
            Op::AddService(service, Settings::default()),
            Op::AddServer(service, server, share),
        ]);
        let kinds: Vec<_> = results.into_iter().map(|result| result.map_err(|e| e.kind)).collect();
        let expected =
            [Err(KernelErrorKind::NotThere), Err(KernelErrorKind::Unsupported), Ok(()), Ok(())];
        assert_eq!(kinds, expected);
        let entry = memory.service(&service).unwrap().unwrap();
        assert_eq!(entry.servers, [(server, share)].into());
    }
}
