//! Which configuration is meant, and the files that go with it.
//!
//! In goes the configuration as named, out comes an [`Instance`]: its name, its file, its pid file. Two configurations
//! with the same file name are one instance, wherever they lie, and the default configuration is another instance than
//! the same file named explicitly: tools depend on both.
//!
//! Sources: section 1.3 of the behaviour specification.

use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use crate::model::DEFAULT_LOG;

/// The configuration when none is named.
pub const DEFAULT_CONFIG: &str = "ldirectord.cf";

/// What an instance is called whose configuration is not named.
const DEFAULT_NAME: &str = "ldirectord";

/// Where things are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Places {
    /// The folder of pid files.
    pub run: PathBuf,
    /// The folder where configurations are looked for first.
    pub config: PathBuf,
    /// The log file of a configuration that names none.
    pub log: PathBuf,
}

impl Places {
    /// As the environment has it.
    pub fn here() -> Places {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Places {
            run: set("LDIRECTORD_RUN_DIR").unwrap_or_else(|| "/var/run".into()),
            config: set("LDIRECTORD_CONFIG_DIR").unwrap_or_else(|| "/etc/ha.d".into()),
            log: set("LDIRECTORD_LOG").unwrap_or_else(|| DEFAULT_LOG.into()),
        }
    }

    /// The control socket of the instance with this name.
    pub fn socket(&self, name: &str) -> PathBuf {
        self.sockets().join(format!("{name}.sock"))
    }

    /// The folder of control sockets.
    pub fn sockets(&self) -> PathBuf {
        self.run.join("ldirectord")
    }
}

impl Places {
    /// The pid file of the instance of this name.
    pub fn pid_file(&self, name: &str) -> PathBuf {
        self.run.join(format!("ldirectord.{name}.pid"))
    }
}

/// One configuration with what goes with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instance {
    /// The last part of the file's name.
    pub name: String,
    /// The file, absolute.
    pub config: PathBuf,
    /// The pid file.
    pub pid_file: PathBuf,
}

impl Instance {
    /// The instance of the configuration with this name; `None` when there is no such file.
    pub fn find(named: Option<&OsStr>, places: &Places) -> Option<Instance> {
        let name = name_of(named)?;
        let file = named.unwrap_or(OsStr::new(DEFAULT_CONFIG));
        // Glued and not joined: an absolute name is looked for under the folders first, too.
        let glued = |folder: &Path| {
            let bytes = [folder.as_os_str().as_bytes(), b"/", file.as_bytes()].concat();
            PathBuf::from(OsString::from_vec(bytes))
        };
        let candidates = [glued(&places.config), glued(&places.config.join("conf")), file.into()];
        let found = candidates.into_iter().find(|path| path.is_file())?;
        Some(Instance {
            // Differs from ldirectord: its daemon cannot read again a file that it was given by a relative name.
            config: std::path::absolute(found).ok()?,
            pid_file: std::path::absolute(places.pid_file(&name)).ok()?,
            name,
        })
    }
}

/// The name of the instance of this configuration.
pub fn name_of(named: Option<&OsStr>) -> Option<String> {
    let Some(file) = named else { return Some(DEFAULT_NAME.to_owned()) };
    let last = file.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    (!last.is_empty()).then(|| String::from_utf8_lossy(last).into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_are_looked_for_in_ldirectords_order() {
        let dir = tempfile::tempdir().unwrap();
        let etc = dir.path().join("etc");
        let places = Places { run: "/run".into(), config: etc.clone(), log: "/log".into() };
        let find = |name: Option<&str>| {
            let instance = Instance::find(name.map(OsStr::new), &places)?;
            Some((instance.name, instance.config, instance.pid_file))
        };
        fs::create_dir_all(etc.join("conf")).unwrap();
        assert_eq!(find(None), None);
        fs::write(etc.join("conf/ldirectord.cf"), "").unwrap();
        let (name, config, pid_file) = find(None).unwrap();
        assert_eq!((name.as_str(), config), ("ldirectord", etc.join("conf/ldirectord.cf")));
        assert_eq!(pid_file, PathBuf::from("/run/ldirectord.ldirectord.pid"));
        fs::write(etc.join("ldirectord.cf"), "").unwrap();
        let (name, config, pid_file) = find(Some("ldirectord.cf")).unwrap();
        assert_eq!((name.as_str(), config), ("ldirectord.cf", etc.join("ldirectord.cf")));
        assert_eq!(pid_file, PathBuf::from("/run/ldirectord.ldirectord.cf.pid"));
        let elsewhere = dir.path().join("web.cf");
        fs::write(&elsewhere, "").unwrap();
        let absolute = elsewhere.to_str().unwrap();
        assert_eq!(find(Some(absolute)).unwrap().1, elsewhere);
        let glued = PathBuf::from(format!("{}/{absolute}", etc.display()));
        fs::create_dir_all(glued.parent().unwrap()).unwrap();
        fs::write(&glued, "").unwrap();
        assert_eq!(find(Some(absolute)).unwrap().1, glued);
        for nothing in ["", "/", "/etc/", "no.cf", "conf"] {
            assert_eq!(find(Some(nothing)), None, "{nothing:?}");
        }
    }
}
