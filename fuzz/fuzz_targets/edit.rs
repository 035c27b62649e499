//! Edits change what they mean to, and no more, in every document.
#![no_main]

#[path = "../../tests/support/edits.rs"]
mod edits;
#[path = "../../tests/support/laws.rs"]
#[allow(dead_code, reason = "each target holds its input to one of the laws")]
mod laws;
#[path = "../../tests/support/world.rs"]
#[allow(dead_code, reason = "of it the laws use the protocols")]
mod world;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| edits::are_lawful(bytes));
