//! Real configuration files, and what the Perl ldirectord said of each.
//!
//! In: the folder that the environment variable `LDIRECTORD_CORPUS` names, with the files and `verdicts.json`.
//! They are other people's, so nothing of them stands in this repository but their names.

#![allow(dead_code, reason = "no test program uses everything")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use libtest_mimic::Trial;
use serde_json::Value;

/// The variable that names the folder.
pub(crate) const FOLDER: &str = "LDIRECTORD_CORPUS";

/// The files, and what makes them mean what they meant to the Perl program.
pub(crate) struct Corpus {
    pub(crate) files: BTreeMap<String, File>,
    /// Addresses of the names that the files use.
    pub(crate) hosts: BTreeMap<String, IpAddr>,
}

/// A file and the Perl program's verdict.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) source: Vec<u8>,
    /// Why it refuses the file where no name can be resolved; nothing where it accepts it.
    pub(crate) error_without_names: Option<Said>,
    /// Why it refuses the file with the names of the corpus.
    pub(crate) error: Option<Said>,
    /// The errors that appeared when each bad line had been replaced.
    pub(crate) further_errors: Vec<Said>,
    pub(crate) warnings: Vec<Said>,
    /// The arguments of its calls `ipvsadm -A`, in their order.
    pub(crate) services: Vec<String>,
    /// The arguments of its calls `ipvsadm -a` in its first five seconds, which is not all for a large file.
    pub(crate) servers: BTreeSet<String>,
}

/// A message about a line.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Said {
    pub(crate) line: u64,
    pub(crate) message: String,
}

/// The folder, if it is named. Without it a trial stands for those that there would be: it fails where nobody
/// watches (`CI` is set), and is shown as ignored to a person who has no corpus.
pub(crate) fn folder() -> Result<PathBuf, Trial> {
    let named = std::env::var_os(FOLDER).filter(|folder| !folder.is_empty());
    named.map(PathBuf::from).ok_or_else(|| {
        let reason = format!("{FOLDER} names no folder with real configuration files");
        let watched = std::env::var_os("CI").is_none();
        Trial::test(format!("corpus: {reason}"), move || Err(reason.into()))
            .with_ignored_flag(watched)
    })
}

impl Corpus {
    /// Reads the folder; panics with what is wrong with it.
    pub(crate) fn read(folder: &Path) -> Corpus {
        let path = folder.join("verdicts.json");
        let verdicts = fs::read(&path)
            .unwrap_or_else(|error| panic!("{FOLDER}: cannot read {}: {error}", path.display()));
        let verdicts: Value = serde_json::from_slice(&verdicts).unwrap();
        let hosts = object(&verdicts["names"])
            // No resolver looks for a name that is all digits and dots.
            .filter(|(name, _)| name.bytes().any(|byte| byte.is_ascii_alphabetic()))
            .map(|(name, address)| (name.clone(), address.as_str().unwrap().parse().unwrap()))
            .collect();
        let files = object(&verdicts["files"])
            .map(|(name, verdict)| {
                let path = folder.join(name);
                let source = fs::read(&path).unwrap_or_else(|error| {
                    panic!("{FOLDER}: cannot read {}: {error}", path.display())
                });
                (name.clone(), File::new(source, verdict))
            })
            .collect();
        Corpus { files, hosts }
    }
}

impl File {
    fn new(source: Vec<u8>, verdict: &Value) -> File {
        let error = said(&verdict["error"]);
        let accepted = verdict["accepts_names_mapped"].as_bool().unwrap();
        assert_eq!(accepted, error.is_none(), "the verdict agrees with itself");
        let accepted_without = verdict["accepts_no_dns"].as_bool().unwrap();
        let error_without_names = said(&verdict["error_no_dns"]).or_else(|| error.clone());
        assert_eq!(accepted_without, error_without_names.is_none(), "and so without names");
        File {
            source,
            error_without_names,
            error,
            further_errors: list(
                &verdict["further_errors_when_each_bad_line_is_replaced_by_a_lone_hash"],
            )
            .filter_map(said)
            .collect(),
            warnings: list(&verdict["warnings"]).filter_map(said).collect(),
            services: list(&verdict["ipvsadm_A"]).map(text).collect(),
            servers: list(&verdict["ipvsadm_a_seen_in_5s_sorted"]).map(text).collect(),
        }
    }
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().unwrap().iter()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap().iter()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn said(value: &Value) -> Option<Said> {
    let message = value.get("message")?;
    Some(Said { line: value["line"].as_u64().unwrap(), message: text(message) })
}
