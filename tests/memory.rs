//! The table in memory does what the kernel does, as far as a machine without IPVS can tell.
//!
//! The same script is run against the real kernel by the trials of `tests/kernel`.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, also in their helpers")]

#[path = "kernel/conformance.rs"]
mod conformance;

use ldirectord::ipvs::memory::Memory;
use proptest::prelude::*;

#[test]
fn it_does_what_the_script_says() {
    assert_eq!(conformance::run(&mut Memory::default()), Ok(()));
}

#[test]
fn it_does_what_the_script_says_of_sync_daemons() {
    let interfaces = Some([conformance::INTERFACE.to_owned()].into());
    let mut memory = Memory { interfaces, ..Memory::default() };
    assert_eq!(conformance::run_sync(&mut memory), Ok(()));
}

proptest! {
    /// Changes one by one or all at once are the same.
    #[test]
    fn a_batch_is_its_changes(ops in conformance::some_ops()) {
        let (mut one, mut other) = (Memory::default(), Memory::default());
        prop_assert_eq!(conformance::agree(&mut one, &mut other, &ops), Ok(()));
        let mut single = Memory::default();
        for op in &ops {
            drop(ldirectord::ipvs::Kernel::apply(&mut single, std::slice::from_ref(op)));
        }
        prop_assert_eq!(single.table, one.table);
    }
}
