//! `alert test`: sends a mail to everybody whom the configuration wants to be mailed, and says what came of it.

use std::{collections::BTreeSet, path::Path};

use crate::{
    cli::{exit::Exit, output},
    daemon::{
        instance::{DEFAULT_CONFIG, Instance, Places},
        load::{self, Purpose},
    },
    model::{MailServer, Post},
    sinks::mail::{Letter, Sender, send_now},
};

/// `alert test`.
pub(super) fn test(file: Option<&Path>) -> Exit {
    let Some(instance) = Instance::find(file.map(Path::as_os_str), &Places::here()) else {
        let file = file.unwrap_or(Path::new(DEFAULT_CONFIG)).display();
        output::complain(format!("Config file {file} not found"));
        return Exit::Failure;
    };
    let reading = match load::load(&instance.config, Purpose::Ask) {
        Ok(reading) => reading,
        Err(error) => {
            output::complain(load::cannot_open(&instance.config, &error));
            return Exit::Configuration;
        }
    };
    let Some(desired) = &reading.desired else {
        output::remark(&reading.remarks());
        return Exit::Configuration;
    };
    let posts = desired.services.iter().filter_map(|service| service.alerts.post.as_ref());
    let posts: BTreeSet<&Post> = posts.map(AsRef::as_ref).collect();
    if posts.is_empty() {
        output::complain("no mails are sent: `emailalert` names nobody");
        output::complain("hint: for example: emailalert=\"admin@example.org\"");
        return Exit::Failure;
    }
    let sender = Sender::here();
    let letter = Letter::test(&sender.host);
    let mut exit = Exit::Success;
    for post in posts {
        let (to, by) = (&post.recipients, way(post.server.as_ref()));
        match send_now(&sender, post, &letter) {
            Ok(()) => output::out(format!("mail to {to} was taken by {by}")),
            Err(why) => {
                output::complain(format!("cannot mail {to} by {by}: {why}"));
                exit = Exit::Failure;
            }
        }
    }
    exit
}

fn way(server: Option<&MailServer>) -> String {
    match server {
        Some(MailServer { host, port, .. }) => format!("{host}:{port}"),
        None => "the local sendmail".to_owned(),
    }
}
