//! The design, held to by a program: who may use whom, how long a file may be, which differences are listed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// For each module of the crate, whom of the others it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("time", &[]),
    ("pattern", &[]),
    ("model", &["pattern"]),
    ("config", &["model", "pattern"]),
    ("ipvs", &["model"]),
    ("director", &["model", "time", "ipvs"]),
    ("checks", &["model", "pattern"]),
    ("sinks", &["model", "time", "director", "ipvs"]),
    ("status", &["model", "ipvs"]),
    ("control", &["model", "status"]),
    (
        "daemon",
        &["model", "time", "config", "ipvs", "director", "checks", "sinks", "status", "control"],
    ),
    (
        "cli",
        &[
            "model", "time", "config", "ipvs", "director", "checks", "sinks", "status", "control",
            "daemon",
        ],
    ),
];

/// What the pure layers must not name.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "tokio",
    "tracing",
    "Instant",
    "SystemTime",
    "std::thread",
];
const PURE: &[&str] = &["time", "pattern", "model", "config", "director"];

/// More lines of code than this in one file need a reason here.
const LONGEST: usize = 600;
const MAY_BE_LONGER: &[(&str, &str)] = &[
    ("src/config/codes.rs", "one table of paragraphs"),
    ("src/config/directives.rs", "one table, whose rows are all alike"),
];

fn sources() -> BTreeMap<PathBuf, String> {
    fn visit(folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && path.file_name().is_some_and(|name| name != "tests.rs")
            {
                found.insert(path.clone(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    visit(&root.join("src"), &mut found);
    visit(&root.join("ipvs-sys/src"), &mut found);
    found
        .into_iter()
        .map(|(path, text)| (path.strip_prefix(root).unwrap().to_owned(), text))
        .collect()
}

/// The text before the tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

/// The module of the crate that a file belongs to.
fn module(path: &Path) -> Option<&str> {
    let inside = path.strip_prefix("src").ok()?;
    let first = inside.components().next()?.as_os_str().to_str()?;
    Some(first.trim_end_matches(".rs")).filter(|name| !["lib", "main"].contains(name))
}

#[test]
fn no_layer_uses_one_above_it() {
    let mut seen = 0;
    for (path, text) in sources() {
        let Some(module) = module(&path) else { continue };
        let (_, may_use) = MAY_USE
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| unreachable!("{module} is a module without a row in MAY_USE"));
        for (number, line) in (1..).zip(code(&text).lines()) {
            let line = line.split("//").next().unwrap_or(line);
            for used in line.match_indices("crate::").map(|(at, word)| at + word.len()) {
                let rest = line.get(used..).unwrap_or("");
                let name: String =
                    rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                let known = MAY_USE.iter().any(|(other, _)| *other == name);
                assert!(
                    !known || name == module || may_use.contains(&name.as_str()),
                    "{}:{number}: {module} may not use {name}",
                    path.display()
                );
                seen += usize::from(known);
            }
        }
        // Names inside the braces of `use crate::{…}`.
        for block in code(&text).split("use crate::{").skip(1) {
            let block = block.split(";\n").next().unwrap_or(block);
            for (other, _) in MAY_USE {
                let names = block.lines().any(|line| {
                    let line = line.trim_start();
                    line.starts_with(&format!("{other}::"))
                        || line.starts_with(&format!("{other}}}"))
                });
                assert!(
                    !names || *other == module || may_use.contains(other),
                    "{}: {module} may not use {other}",
                    path.display()
                );
                seen += usize::from(names);
            }
        }
    }
    assert!(seen > 20, "the test finds the lines it judges");
}

#[test]
fn pure_layers_name_nothing_impure() {
    for (path, text) in sources() {
        if !module(&path).is_some_and(|module| PURE.contains(&module)) {
            continue;
        }
        for (number, line) in (1..).zip(code(&text).lines()) {
            let line = line.split("//").next().unwrap_or(line);
            let named = IMPURE.iter().find(|word| line.contains(**word));
            assert!(named.is_none(), "{}:{number}: {}", path.display(), named.unwrap_or(&""));
        }
    }
}

#[test]
fn no_file_is_too_long() {
    for (path, text) in sources() {
        let lines = code(&text).lines().count();
        let excused = MAY_BE_LONGER.iter().any(|(name, _)| Path::new(name) == path);
        assert!(lines <= LONGEST || excused, "{} has {lines} lines of code", path.display());
    }
}

/// Each difference that the code marks is told to the user.
#[test]
fn every_difference_from_ldirectord_is_in_the_readme() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"))
        .expect("a README.md");
    let (_, table) = readme.split_once("## How it differs from ldirectord").expect("the section");
    let rows = table.lines().filter(|line| line.starts_with("| ")).count();
    let marked: Vec<PathBuf> = (sources().into_iter())
        .filter(|(_, text)| text.contains("Differs from ldirectord:"))
        .map(|(path, _)| path)
        .collect();
    for path in marked {
        let name = path.to_str().unwrap().replace('\\', "/");
        assert!(
            table.contains(&format!("`{name}`")),
            "{name} marks a difference; the table does not name it"
        );
    }
    assert!(rows > 10, "the table has rows");
}
