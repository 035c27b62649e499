//! Addresses, and the message around a letter.

use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Body, Mailbox, Mailboxes, MessageBuilder,
        header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue},
    },
};

use nix::unistd::{User, gethostname, getuid};

use super::{Fault, Letter};
use crate::model::Post;

/// Who sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sender {
    /// The name of this host.
    pub host: String,
    /// The name of the user that we are.
    pub user: String,
}

impl Sender {
    /// This user at this host.
    pub fn here() -> Sender {
        let host = gethostname().ok().and_then(|name| name.into_string().ok());
        let user = User::from_uid(getuid()).ok().flatten();
        Sender {
            host: host.unwrap_or_else(|| "localhost".to_owned()),
            user: user.map_or_else(|| "root".to_owned(), |user| user.name),
        }
    }

    /// The message in the form of RFC 5322. Its envelope is for SMTP.
    pub(super) fn message(&self, post: &Post, letter: &Letter) -> Result<Message, Fault> {
        let lasting = |error: &dyn std::fmt::Display| Fault::lasting(error.to_string());
        let recipients = self.recipients(&post.recipients)?;
        let from = match &post.from {
            Some(from) => self.mailbox(from)?,
            None => self.mailbox(&self.user)?,
        };
        let to: Vec<Address> = recipients.iter().map(|mailbox| mailbox.email.clone()).collect();
        let envelope =
            Envelope::new(Some(from.email.clone()), to).map_err(|error| lasting(&error))?;
        let mut builder = Message::builder()
            .from(from)
            .date_now()
            .message_id(None)
            // RFC 3834, section 5.1: nobody's holiday notice answers.
            .raw_header(as_it_is("Auto-Submitted", "auto-generated"))
            .header(ContentType::TEXT_PLAIN)
            .envelope(envelope);
        // Filters look for a line as ldirectord writes it: as long as it is, and not encoded where it need not be.
        builder = match is_plain(&letter.subject) {
            true => builder.raw_header(as_it_is("Subject", &letter.subject)),
            false => builder.subject(letter.subject.clone()),
        };
        if is_plain(&post.recipients) {
            builder = builder.raw_header(as_it_is("To", &post.recipients));
        } else {
            builder = recipients.into_iter().fold(builder, MessageBuilder::to);
        }
        let text = letter.text.replace('\n', "\r\n");
        let body = match text.split("\r\n").all(is_plain) {
            true => {
                Body::dangerous_pre_encoded(text.into_bytes(), ContentTransferEncoding::SevenBit)
            }
            false => Body::new(text),
        };
        builder.body(body).map_err(|error| lasting(&error))
    }

    /// The addresses of `emailalert`.
    fn recipients(&self, written: &str) -> Result<Vec<Mailbox>, Fault> {
        // A name before an address may have a comma.
        if let Ok(all) = written.parse::<Mailboxes>() {
            return Ok(all.into_iter().collect());
        }
        let parts = written.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(|part| self.mailbox(part)).collect()
    }

    /// An address, or the name of a user of this host.
    fn mailbox(&self, written: &str) -> Result<Mailbox, Fault> {
        let written = written.trim();
        if !written.contains(['@', '<']) {
            let address = Address::new(written, &self.host);
            let address = address.or_else(|_| Address::new(written, "localhost"));
            return address.map(Mailbox::from).map_err(|error| no_address(written, &error));
        }
        written.parse().map_err(|error| no_address(written, &error))
    }
}

fn no_address(written: &str, error: &dyn std::fmt::Display) -> Fault {
    Fault::lasting(format!("`{written}` is no mail address: {error}"))
}

/// Whether this can be a header field or a line as it is (RFC 5322, sections 2.1.1 and 2.2).
fn is_plain(text: &str) -> bool {
    text.len() < 900 && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// A field with a text that is plain.
fn as_it_is(name: &'static str, text: &str) -> HeaderValue {
    let name = HeaderName::new_from_ascii_str(name);
    HeaderValue::dangerous_new_pre_encoded(name, text.to_owned(), text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(recipients: &str, from: Option<&str>) -> Result<Message, Fault> {
        let sender = Sender { host: "director.example.org".to_owned(), user: "root".to_owned() };
        let post =
            Post { recipients: recipients.to_owned(), from: from.map(str::to_owned), server: None };
        let letter = Letter {
            subject: "[Käse] Deleted real server".to_owned(),
            logged: String::new(),
            text: "a\nb\n".to_owned(),
        };
        sender.message(&post, &letter)
    }

    fn to(recipients: &str) -> Vec<String> {
        let message = message(recipients, None).unwrap();
        message.envelope().to().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_of_a_list_gets_the_mail() {
        assert_eq!(to("a@example.org,b@example.org"), ["a@example.org", "b@example.org"]);
        assert_eq!(to("a@example.org, root,"), ["a@example.org", "root@director.example.org"]);
        assert_eq!(to("\"Ops, night\" <a@example.org>"), ["a@example.org"]);
        let fault = message("a@example.org, b@@example.org", None).unwrap_err();
        assert!(fault.text.starts_with("`b@@example.org` is no mail address"), "{}", fault.text);
        assert!(!fault.may_pass);
    }

    #[test]
    fn a_message_says_who_and_what() {
        let plain = message("a@example.org", None).unwrap();
        let text = String::from_utf8(plain.formatted()).unwrap();
        for line in [
            "From: root@director.example.org\r\n",
            "To: a@example.org\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "\r\n\r\na\r\nb\r\n",
        ] {
            assert!(text.contains(line), "{line:?} in {text}");
        }
        assert!(text.contains("Subject: =?utf-8?"), "{text}");
        let long = "x".repeat(200);
        let plain = Letter {
            subject: format!("Deleted {long}"),
            logged: String::new(),
            text: format!("Log-Message: {long}\n"),
        };
        let sender = Sender { host: "director".to_owned(), user: "root".to_owned() };
        let post = Post { recipients: "root, a@example.org".to_owned(), from: None, server: None };
        let text = sender.message(&post, &plain).unwrap().formatted();
        let text = String::from_utf8(text).unwrap();
        for line in [
            format!("\r\nSubject: Deleted {long}\r\n"),
            "\r\nTo: root, a@example.org\r\n".to_owned(),
            format!("\r\n\r\nLog-Message: {long}\r\n"),
        ] {
            assert!(text.contains(&line), "{line:?} in {text}");
        }
        let named = message("a@example.org", Some("LVS <lvs@example.org>")).unwrap();
        assert_eq!(named.envelope().from().unwrap().to_string(), "lvs@example.org");
    }
}
