//! `alert test`: sends a mail to everybody whom the configuration wants to be mailed, calls its webhooks, and says what came
//! of it.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use crate::{
    cli::{exit::Exit, output},
    daemon::{clock, load::Purpose},
    model::{MailServer, Way},
    sinks::{
        mail::{Letter, Sender},
        message::World,
        outbox::{Outbox, Parcel},
        webhook::Call,
    },
    time::Moment,
};

/// `alert test`.
pub(super) fn test(file: Option<&Path>) -> Exit {
    let (instance, _, desired) = match super::read(file, Purpose::Ask) {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let recipients = desired.services.iter().flat_map(|service| &service.alerts.recipients);
    let ways: BTreeSet<&Way> = recipients.map(|recipient| &recipient.way).collect();
    if ways.is_empty() {
        output::complain("nobody is told: there is neither `emailalert` nor `webhook`");
        output::complain("hint: for example: emailalert=\"admin@example.org\"");
        return Exit::Failure;
    }
    let mut outbox = Outbox::new(Sender::here(), clock::wall);
    let mut exit = Exit::Success;
    for way in ways {
        let id = outbox.next_number();
        let world = World {
            host: outbox.host(),
            configuration: &instance.config,
            now: Moment::START,
            wall: clock::wall(),
        };
        let (parcel, done, tried) = match way {
            Way::Mail(post) => {
                let (to, by) = (&post.recipients, by(post.server.as_ref()));
                (
                    Parcel::Letter(Arc::clone(post), Letter::test(world.host)),
                    format!("mail to {to} was taken by {by}"),
                    format!("mail {to} by {by}"),
                )
            }
            Way::Webhook(webhook) => (
                Parcel::Call(Arc::clone(webhook), Call::test(id, webhook, &world)),
                format!("webhook {} took the test", webhook.shown),
                format!("call webhook {}", webhook.shown),
            ),
        };
        match outbox.send_now(&parcel) {
            Ok(()) => output::out(done),
            Err(why) => {
                output::complain(format!("cannot {tried}: {why}"));
                exit = Exit::Failure;
            }
        }
    }
    exit
}

fn by(server: Option<&MailServer>) -> String {
    match server {
        Some(MailServer { host, port, .. }) => format!("{host}:{port}"),
        None => "the local sendmail".to_owned(),
    }
}
