//! Mails: to a mail server, or to the local `sendmail`.
//!
//! Differs from ldirectord: the daemon never waits for a mail server; of a list of addresses each gets the mail, also by
//! `smtp`, also when another is refused; without a `sendmail` the log says so.

mod envelope;
mod letter;
mod sendmail;
mod smtp;

use std::{collections::HashSet, time::Duration};

use lettre::Address;
use tokio::time::timeout;

pub use envelope::Sender;
pub use letter::Letter;

use super::outbox::Fault;
use crate::model::Post;

/// How long one attempt to send may take.
const ATTEMPT: Duration = Duration::from_secs(60);

/// Those of a letter's recipients who have it, or whom the mail server refuses for good.
pub(super) type Settled = HashSet<Address>;

/// Sends a letter once, to those of its recipients whose matter is not settled.
pub(super) async fn attempt(
    sender: &Sender,
    post: &Post,
    letter: &Letter,
    settled: &mut Settled,
) -> Result<(), Fault> {
    let message = sender.message(post, letter)?;
    let sending = async {
        match &post.server {
            Some(server) => smtp::send(server, sender, &message, settled).await,
            None => sendmail::send(&message).await,
        }
    };
    timeout(ATTEMPT, sending)
        .await
        .unwrap_or_else(|_| Err(Fault::passing(format!("no end within {} s", ATTEMPT.as_secs()))))
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::{TcpListener, TcpStream},
        sync::Arc,
        thread,
    };

    use super::*;
    use crate::model::{MailServer, SmtpTls};

    /// Serves one connection as a mail server, with these answers to what it hears; returns what that was.
    pub(crate) fn serve(stream: &TcpStream, answers: &[&str]) -> Vec<String> {
        let (mut heard, mut in_data) = (Vec::new(), false);
        let mut answers = answers.iter();
        let mut lines = BufReader::new(stream).lines();
        let mut say = |stream: &mut &TcpStream| {
            let answer = answers.next().copied().unwrap_or("250 fine");
            stream.write_all(format!("{answer}\r\n").as_bytes()).unwrap();
        };
        say(&mut &*stream);
        while let Some(Ok(line)) = lines.next() {
            heard.push(line.clone());
            if in_data && line != "." {
                continue;
            }
            in_data = line == "DATA";
            say(&mut &*stream);
            if line == "QUIT" {
                break;
            }
        }
        heard
    }

    pub(crate) fn post(port: u16) -> Arc<Post> {
        let server =
            MailServer { host: "127.0.0.1".to_owned(), port, tls: SmtpTls::Never, login: None };
        Arc::new(Post {
            recipients: "a@example.org,b@example.org".to_owned(),
            from: Some("lvs@example.org".to_owned()),
            server: Some(server),
        })
    }

    pub(crate) fn letter(subject: &str) -> Letter {
        Letter { subject: subject.to_owned(), logged: subject.to_owned(), text: "x\n".to_owned() }
    }

    async fn fault(answers: &'static [&'static str]) -> Fault {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || serve(&listener.accept().unwrap().0, answers));
        let sender = Sender { host: "director".to_owned(), user: "root".to_owned() };
        let fault =
            attempt(&sender, &post(port), &letter("x"), &mut Settled::new()).await.unwrap_err();
        drop(server);
        fault
    }

    #[tokio::test]
    async fn what_may_pass_is_tried_again() {
        let never = fault(&["220 mail", "250 mail", "250 ok", "550 no such user"]).await;
        assert!(!never.may_pass && never.text.contains("550"), "{never:?}");
        let later = fault(&["220 mail", "250 mail", "451 try again later"]).await;
        assert!(later.may_pass, "{later:?}");
        let garbage = fault(&["what?"]).await;
        assert!(garbage.may_pass, "{garbage:?}");
        let sender = Sender { host: "director".to_owned(), user: "root".to_owned() };
        let refused =
            attempt(&sender, &post(1), &letter("x"), &mut Settled::new()).await.unwrap_err();
        assert!(refused.may_pass && refused.text.contains("refused"), "{refused:?}");
    }

    #[tokio::test]
    async fn a_server_that_never_ends_is_left() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        });
        let sender = Sender { host: "director".to_owned(), user: "root".to_owned() };
        let fault =
            attempt(&sender, &post(port), &letter("x"), &mut Settled::new()).await.unwrap_err();
        assert!(fault.may_pass, "{fault:?}");
    }
}
