//! `validate`: says what is wrong or doubtful in a configuration file.

use std::path::Path;

use crate::{
    cli::{
        compat::DEFAULT_CONFIG,
        exit::Exit,
        instance::{Instance, Places},
        output,
    },
    daemon::load::{self, Purpose},
};

/// `validate`.
pub(super) fn run(file: Option<&Path>) -> Exit {
    let Some(instance) = Instance::find(file.map(Path::as_os_str), &Places::here()) else {
        let file = file.unwrap_or(Path::new(DEFAULT_CONFIG));
        output::complain(format!("Config file {} not found", file.display()));
        return Exit::Failure;
    };
    let reading = match load::load(&instance.config, Purpose::Examine) {
        Ok(reading) => reading,
        Err(error) => {
            output::complain(load::cannot_open(&instance.config, &error));
            return Exit::Configuration;
        }
    };
    output::remark(&reading.remarks());
    match reading.desired {
        Some(desired) => {
            let servers: usize = desired.services.iter().map(|service| service.servers.len()).sum();
            output::out(format!(
                "{}: {}, {}, {}",
                instance.config.display(),
                count(desired.services.len(), "virtual service"),
                count(servers, "real server"),
                count(desired.checks.len(), "check"),
            ));
            Exit::Success
        }
        None => Exit::Configuration,
    }
}

fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("{number} {thing}") } else { format!("{number} {thing}s") }
}
