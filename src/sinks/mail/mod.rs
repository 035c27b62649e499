//! Mails: who is told by mail gets it, and nobody waits for that.
//!
//! In go letters, out they go to a mail server or to the local `sendmail`. A thread of its own sends them, so that a
//! mail server that hangs is in nobody's way; one route waits for no other. What cannot be sent is tried again for
//! an hour, and where too many wait the newest is dropped and counted.
//!
//! Differs from ldirectord: the daemon never waits for a mail server; of a list of addresses each gets the mail, also by
//! `smtp`; without a `sendmail` the log says so.

mod envelope;
mod letter;
mod sendmail;
mod smtp;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, mpsc as std_mpsc},
    thread,
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};

pub use envelope::Sender;
pub use letter::{LastCheck, Letter, World};

use crate::model::{MailServer, Post};

/// How many letters may wait for one route.
const WAITING: usize = 500;

/// How long one attempt to send may take.
const ATTEMPT: Duration = Duration::from_secs(60);

/// How long to wait after each attempt that failed, in seconds; after an hour in all the letter is given up.
const PAUSES: [u64; 9] = [10, 50, 120, 300, 600, 600, 600, 600, 720];

/// Sends mails.
#[derive(Debug)]
pub struct Mailer {
    sender: Arc<Sender>,
    orders: Option<mpsc::UnboundedSender<Order>>,
}

/// What the thread is told.
enum Order {
    Send(Arc<Post>, Letter),
    /// Try what waits once more, then say that it is done.
    Finish(std_mpsc::Sender<()>),
}

impl Mailer {
    /// Begins nothing yet: most configurations mail nobody.
    pub fn new(sender: Sender) -> Mailer {
        Mailer { sender: Arc::new(sender), orders: None }
    }

    /// The name of this host, as mails have it.
    pub fn host(&self) -> &str {
        &self.sender.host
    }

    /// Sends a letter when it can be.
    pub fn send(&mut self, post: Arc<Post>, letter: Letter) {
        tracing::info!("emailalert: {}", letter.logged);
        let sent = self
            .thread()
            .and_then(|orders| orders.send(Order::Send(post, letter)).map_err(io::Error::other));
        if let Err(error) = sent {
            tracing::error!("cannot send mails: {error}");
        }
    }

    /// Gives what waits a last chance, for at most this long.
    pub fn finish(&mut self, limit: Duration) {
        let Some(orders) = self.orders.take() else { return };
        let (done, ended) = std_mpsc::channel();
        if orders.send(Order::Finish(done)).is_ok() && ended.recv_timeout(limit).is_err() {
            tracing::warn!("the last mails could not be sent within {} s", limit.as_secs());
        }
    }

    fn thread(&mut self) -> io::Result<&mpsc::UnboundedSender<Order>> {
        if self.orders.is_none() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (orders, queue) = mpsc::unbounded_channel();
            let sender = Arc::clone(&self.sender);
            thread::Builder::new().name("mail".to_owned()).spawn(move || {
                runtime.block_on(deliver_all(sender, queue));
                // A resolver that does not answer must not hold up the end.
                runtime.shutdown_background();
            })?;
            self.orders = Some(orders);
        }
        self.orders.as_ref().ok_or_else(|| io::Error::other("no thread"))
    }
}

/// By what way a letter leaves: this mail server, or `sendmail`.
type Route = Option<MailServer>;

/// One route and what waits for it.
struct Queue {
    letters: mpsc::Sender<(Arc<Post>, Letter)>,
    lost: usize,
}

async fn deliver_all(sender: Arc<Sender>, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut routes: HashMap<Route, Queue> = HashMap::new();
    let mut workers = JoinSet::new();
    let (end, ending) = watch::channel(false);
    while let Some(order) = orders.recv().await {
        let (post, letter) = match order {
            Order::Send(post, letter) => (post, letter),
            Order::Finish(done) => {
                routes.clear();
                end.send_replace(true);
                while workers.join_next().await.is_some() {}
                // Who asked may have lost patience.
                return done.send(()).unwrap_or_default();
            }
        };
        let queue = routes.entry(post.server.clone()).or_insert_with(|| {
            let (letters, waiting) = mpsc::channel(WAITING);
            workers.spawn(deliver(Arc::clone(&sender), waiting, ending.clone()));
            Queue { letters, lost: 0 }
        });
        match queue.letters.try_send((post, letter)) {
            Ok(()) if queue.lost > 0 => {
                tracing::warn!("{} mails were dropped because too many waited", queue.lost);
                queue.lost = 0;
            }
            Ok(()) => {}
            Err(_) => queue.lost = queue.lost.saturating_add(1),
        }
    }
}

/// Sends the letters of one route in their order.
async fn deliver(
    sender: Arc<Sender>,
    mut waiting: mpsc::Receiver<(Arc<Post>, Letter)>,
    mut ending: watch::Receiver<bool>,
) {
    while let Some((post, letter)) = waiting.recv().await {
        let mut pauses = PAUSES.iter();
        while let Err(fault) = attempt(&sender, &post, &letter).await {
            let subject = &letter.logged;
            let words = match &post.server {
                Some(_) => "failed to send SMTP email message",
                None => "failed to send email message",
            };
            let pause = pauses.next().filter(|_| fault.may_pass && !*ending.borrow());
            let Some(pause) = pause else {
                tracing::error!("{words}: {}: {subject}", fault.text);
                break;
            };
            tracing::warn!("{words}: {}; again in {pause} s: {subject}", fault.text);
            // An end that comes meanwhile is a last chance.
            let _ended =
                timeout(Duration::from_secs(*pause), ending.wait_for(|is_ending| *is_ending)).await;
        }
    }
}

/// Why a letter was not sent.
#[derive(Debug)]
struct Fault {
    text: String,
    /// Whether another attempt may succeed.
    may_pass: bool,
}

impl Fault {
    fn lasting(text: impl Into<String>) -> Fault {
        Fault { text: text.into(), may_pass: false }
    }

    fn passing(text: impl Into<String>) -> Fault {
        Fault { text: text.into(), may_pass: true }
    }
}

/// Sends a letter at once, and waits until it is gone; in vain with a sentence why. Makes a runtime of its own.
pub fn send_now(sender: &Sender, post: &Post, letter: &Letter) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let sent = runtime.block_on(attempt(sender, post, letter));
    runtime.shutdown_background();
    sent.map_err(|fault| fault.text)
}

async fn attempt(sender: &Sender, post: &Post, letter: &Letter) -> Result<(), Fault> {
    let message = sender.message(post, letter)?;
    let sending = async {
        match &post.server {
            Some(server) => smtp::send(server, sender, &message).await,
            None => sendmail::send(&message).await,
        }
    };
    timeout(ATTEMPT, sending)
        .await
        .unwrap_or_else(|_| Err(Fault::passing(format!("no end within {} s", ATTEMPT.as_secs()))))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::model::SmtpTls;

    /// Serves one connection as a mail server, with these answers to what it hears; returns what that was.
    fn serve(stream: &TcpStream, answers: &[&str]) -> Vec<String> {
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

    fn post(port: u16) -> Arc<Post> {
        let server =
            MailServer { host: "127.0.0.1".to_owned(), port, tls: SmtpTls::Never, login: None };
        Arc::new(Post {
            recipients: "a@example.org,b@example.org".to_owned(),
            from: Some("lvs@example.org".to_owned()),
            server: Some(server),
            digest_above: 0,
        })
    }

    fn letter(subject: &str) -> Letter {
        Letter { subject: subject.to_owned(), logged: subject.to_owned(), text: "x\n".to_owned() }
    }

    fn mailer() -> Mailer {
        Mailer::new(Sender { host: "director".to_owned(), user: "root".to_owned() })
    }

    #[test]
    fn a_letter_reaches_the_mail_server_in_front_of_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let answers = ["220 mail", "250 mail", "250 ok", "250 ok", "250 ok", "354 go"];
            serve(&listener.accept().unwrap().0, &answers)
        });
        let mut mailer = mailer();
        mailer.send(post(port), letter("Deleted real server"));
        mailer.finish(Duration::from_secs(30));
        let heard = server.join().unwrap();
        assert_eq!(
            heard[..5],
            [
                "EHLO director",
                "MAIL FROM:<lvs@example.org>",
                "RCPT TO:<a@example.org>",
                "RCPT TO:<b@example.org>",
                "DATA"
            ]
        );
        assert!(heard.contains(&"Subject: Deleted real server".to_owned()), "{heard:?}");
    }

    #[test]
    fn one_route_waits_for_no_other_and_the_end_for_none() {
        // Nobody takes the connections of the first, nor says anything.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut mailer = mailer();
        mailer.send(post(silent.local_addr().unwrap().port()), letter("one"));
        mailer.send(post(port), letter("two"));
        let answers = ["220 mail", "250 mail", "250 ok", "250 ok", "250 ok", "354 go"];
        let heard = serve(&listener.accept().unwrap().0, &answers);
        assert!(heard.contains(&"Subject: two".to_owned()), "{heard:?}");
        mailer.finish(Duration::from_millis(10));
    }

    async fn fault(answers: &'static [&'static str]) -> Fault {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || serve(&listener.accept().unwrap().0, answers));
        let sender = Sender { host: "director".to_owned(), user: "root".to_owned() };
        let fault = attempt(&sender, &post(port), &letter("x")).await.unwrap_err();
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
        let refused = attempt(&sender, &post(1), &letter("x")).await.unwrap_err();
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
        let fault = attempt(&sender, &post(port), &letter("x")).await.unwrap_err();
        assert!(fault.may_pass, "{fault:?}");
    }
}
