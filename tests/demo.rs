//! The demo's story holds, told with the program of this build.
//!
//! In: `demo/run` with `LDIRECTORD` set to it, so that only the demo's conductor is built, in seconds.
//! Out: the story, when it does not hold. It needs what the lab needs, and takes about 40 seconds.

use std::process::Command;

#[test]
fn the_demo_tells_a_true_story() {
    let output = Command::new("demo/run")
        .env("LDIRECTORD", env!("CARGO_BIN_EXE_ldirectord"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let story = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && story.contains("The story held."),
        "{}\n{story}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}
