//! A document is its bytes, whatever they are.
#![no_main]

#[path = "../../tests/support/laws.rs"]
#[allow(dead_code, reason = "each target holds its input to one of the laws")]
mod laws;
#[path = "../../tests/support/world.rs"]
#[allow(dead_code, reason = "of it the laws use the protocols")]
mod world;

libfuzzer_sys::fuzz_target!(|source: &[u8]| laws::is_kept(source));
