//! Has the module of a scheduler loaded before the kernel looks for it.
//!
//! Linux 6.1 loads the module of a scheduler that it lacks while it holds the lock on all IPVS tables
//! (`ip_vs_genl_set_cmd`, `ip_vs_scheduler_get`). The new module in turn waits for a network namespace that is being
//! taken down, which waits for that lock: neither goes on, ever. So the program that the kernel would start is started
//! beforehand, with the same arguments. Where we may not, in a container or not being root, it is left to the kernel as
//! before; so a daemon that gives root up loads beforehand what its configuration names ([`load_schedulers`]).

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use super::Op;
use crate::model::VirtualService;

/// How often it is asked whether the program has ended, and how many times before nobody waits for it any more.
const LOOK: Duration = Duration::from_millis(20);
const LOOKS: u32 = 250;

/// Has loaded what these services need, before the right to that is given up.
pub fn load_schedulers(services: &[VirtualService]) {
    let modules = services.iter().filter_map(|service| module(&service.settings.scheduler.0));
    for module in modules.collect::<BTreeSet<_>>() {
        load(&module);
    }
}

/// The modules that are known to be there or were tried.
#[derive(Debug, Default)]
pub(super) struct Modules(BTreeSet<String>);

impl Modules {
    /// Tries to have loaded what these changes need, each module once. That it fails is for the kernel to say.
    pub(super) fn load_for(&mut self, ops: &[Op]) {
        for op in ops {
            let (Op::AddService(_, settings) | Op::SetService(_, settings)) = op else { continue };
            let Some(module) = module(&settings.scheduler.0) else { continue };
            if !self.0.contains(&module) {
                load(&module);
                self.0.insert(module);
            }
        }
    }
}

/// The module of a scheduler, unless its name is none.
fn module(scheduler: &str) -> Option<String> {
    let is_name = !scheduler.is_empty() && scheduler.bytes().all(|byte| byte.is_ascii_lowercase());
    is_name.then(|| format!("ip_vs_{scheduler}"))
}

fn load(module: &str) {
    if Path::new("/sys/module").join(module).exists() {
        return;
    }
    // Empty where the operator wants no module loaded by itself.
    let program = fs::read_to_string("/proc/sys/kernel/modprobe").unwrap_or_default();
    if let Some(program) = program.lines().next().filter(|program| !program.is_empty()) {
        run(Command::new(program).args(["-q", "--", module]));
    }
}

/// Runs a program and waits for its end, but not for ever.
fn run(command: &mut Command) {
    let command = command.env_clear().env("PATH", "/sbin:/usr/sbin:/bin:/usr/bin");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return };
    for _ in 0..LOOKS {
        match child.try_wait() {
            Ok(None) => thread::sleep(LOOK),
            Ok(Some(_)) | Err(_) => return,
        }
    }
    // It ends when the kernel lets go of it; to wait for that is what must not be.
    child.kill().unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_is_a_module() {
        assert_eq!(module("wrr").as_deref(), Some("ip_vs_wrr"));
        for scheduler in ["", "-a", "../wrr", "w r", "WRR", "wrr\n", "w_r"] {
            assert_eq!(module(scheduler), None, "{scheduler:?}");
        }
    }
}
