//! Every `tests/config/*.cf`: what is wrong with it and what it asks for, as text beside it.
//!
//! `INSTA_UPDATE=always cargo test --test config` writes the texts anew.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "support/dump.rs"]
mod dump;
#[path = "support/world.rs"]
mod world;

use std::{fs, path::Path};

#[test]
fn files_mean_what_stands_beside_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _scope = settings.bind_to_scope();
    let mut files: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "cf"));
    files.sort();
    assert!(files.len() > 20, "the files are there");
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let source = fs::read(&file).unwrap();
        insta::assert_snapshot!(name.clone(), dump::load(&format!("{name}.cf"), &source));
    }
}
