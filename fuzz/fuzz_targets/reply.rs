//! Whatever a server says, the dialogue of a check with it obeys. Which protocol is spoken, `PROTOCOL` in the environment says.
#![no_main]

use std::{env, sync::LazyLock};

use ldirectord::checks::laws;

static PROTOCOL: LazyLock<String> = LazyLock::new(|| {
    let names = laws::names();
    let protocol = env::var("PROTOCOL").unwrap_or_default();
    assert!(names.contains(&protocol.as_str()), "PROTOCOL must be one of {}", names.join(" "));
    protocol
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| laws::hold(&PROTOCOL, input));
