//! The command line: words in, an exit code out.
//!
//! [`compat`] reads ldirectord's own command line, [`own`] the subcommands that ldirectord does not have; both only read.
//! What they ask for is done in [`commands`], one file each. Everything that is printed goes through [`output`],
//! every code that is returned stands in [`exit`].
//!
//! Environment: `LDIRECTORD_RUN_DIR` (default `/var/run`) has the pid files, `LDIRECTORD_CONFIG_DIR` (default `/etc/ha.d`)
//! is where configurations are looked for first, `LDIRECTORD_LOG` (default `/var/log/ldirectord.log`) is the log file of
//! a configuration that names none. They are for tests and for running beside another instance.
//!
//! The memory of this process is for nobody but root: it has passwords in it, so the kernel writes no core file and no
//! other process of its user may look into it. What it starts is not concerned.

mod commands;
mod compat;
mod exit;
mod output;
mod own;

use std::ffi::OsString;

use nix::sys::prctl::set_dumpable;

use self::compat::Invocation;
pub use self::exit::Exit;

/// Does what the words ask for; the first is the name of the program.
pub fn run(words: impl IntoIterator<Item = OsString>) -> Exit {
    if let Err(error) = set_dumpable(false) {
        output::complain(format!("cannot keep core files from being written: {}", error.desc()));
    }
    let mut words = words.into_iter();
    let program = words.next().unwrap_or_else(|| env!("CARGO_PKG_NAME").into());
    let words: Vec<OsString> = words.collect();
    #[cfg(feature = "oracle")]
    if words.as_slice() == [crate::checks::ASK_ORACLE] {
        return match crate::checks::ask_oracle() {
            Ok(()) => Exit::Success,
            Err(error) => {
                output::complain(error);
                Exit::Failure
            }
        };
    }
    match compat::read(&words) {
        Ok(Invocation::Help(text)) => {
            output::out(text);
            Exit::Success
        }
        Ok(Invocation::Version) => {
            output::out(compat::VERSION);
            Exit::Success
        }
        Ok(Invocation::Own(command)) => commands::own(&command),
        Ok(Invocation::Ldirectord(request)) => commands::ldirectord(&program, &words, &request),
        Err(error) => {
            for complaint in &error.complaints {
                output::complain(complaint);
            }
            output::out(compat::USAGE);
            Exit::Usage
        }
    }
}
