//! The outbox: mails and webhooks leave here, and nobody waits for that.
//!
//! In go parcels, out they go. A thread of its own sends them, so that a server that hangs is in nobody's way; one route
//! waits for no other. What cannot be sent is tried again for an hour, and where too many wait the newest is dropped and
//! counted.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, mpsc as std_mpsc},
    thread,
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};

use super::{
    mail::{self, Letter, Sender, Settled},
    webhook::{self, Call},
};
use crate::model::{MailServer, Post, Secret, Webhook};

/// How many parcels may wait for one route.
const WAITING: usize = 500;

/// How long to wait after each attempt that failed, in seconds; after an hour in all the parcel is given up.
const PAUSES: [u64; 10] = [2, 8, 50, 120, 300, 600, 600, 600, 600, 720];

/// How long we let ourselves be asked to wait (`Retry-After`).
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Tells what it is on the wall.
pub type Wall = fn() -> Timestamp;

/// Sends parcels.
#[derive(Debug)]
pub struct Outbox {
    post_office: PostOffice,
    orders: Option<mpsc::UnboundedSender<Order>>,
    last_number: i64,
}

/// Something to be sent, and where.
#[derive(Clone, Debug)]
pub enum Parcel {
    /// A mail.
    Letter(Arc<Post>, Letter),
    /// A request.
    Call(Arc<Webhook>, Call),
}

/// What sending takes besides the parcel.
#[derive(Clone, Debug)]
struct PostOffice {
    sender: Arc<Sender>,
    wall: Wall,
}

/// What the thread is told.
enum Order {
    Send(Parcel),
    /// Try what waits once more, then say that it is done.
    Finish(std_mpsc::Sender<()>),
}

impl Outbox {
    /// Begins nothing yet: most configurations tell nobody.
    pub fn new(sender: Sender, wall: Wall) -> Outbox {
        let post_office = PostOffice { sender: Arc::new(sender), wall };
        Outbox { post_office, orders: None, last_number: 0 }
    }

    /// The name of this host, as people are told it.
    pub fn host(&self) -> &str {
        &self.post_office.sender.host
    }

    /// A number for a message: the microseconds on the wall, and larger than every one before in any case.
    pub fn next_number(&mut self) -> i64 {
        let now = (self.post_office.wall)().as_microsecond();
        self.last_number = now.max(self.last_number.saturating_add(1));
        self.last_number
    }

    /// Sends a parcel when it can be.
    pub fn send(&mut self, parcel: Parcel) {
        match &parcel {
            Parcel::Letter(_, letter) => tracing::info!("emailalert: {}", letter.logged),
            Parcel::Call(webhook, call) => {
                tracing::info!("webhook {}: {}", webhook.shown, call.subject);
            }
        }
        let sent = self
            .thread()
            .and_then(|orders| orders.send(Order::Send(parcel)).map_err(io::Error::other));
        if let Err(error) = sent {
            tracing::error!("cannot send alerts: {error}");
        }
    }

    /// Sends a parcel at once, and waits until it is gone; in vain with a sentence why. Makes a runtime of its own.
    pub fn send_now(&self, parcel: &Parcel) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let sent = runtime.block_on(self.post_office.attempt(parcel, &mut Settled::new()));
        runtime.shutdown_background();
        sent.map_err(|fault| fault.text)
    }

    /// Gives what waits a last chance, for at most this long.
    pub fn finish(&mut self, limit: Duration) {
        let Some(orders) = self.orders.take() else { return };
        let (done, ended) = std_mpsc::channel();
        if orders.send(Order::Finish(done)).is_ok() && ended.recv_timeout(limit).is_err() {
            tracing::warn!("the last alerts could not be sent within {} s", limit.as_secs());
        }
    }

    fn thread(&mut self) -> io::Result<&mpsc::UnboundedSender<Order>> {
        if self.orders.is_none() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (orders, queue) = mpsc::unbounded_channel();
            let post_office = self.post_office.clone();
            thread::Builder::new().name("alerts".to_owned()).spawn(move || {
                runtime.block_on(deliver_all(post_office, queue));
                // A resolver that does not answer must not hold up the end.
                runtime.shutdown_background();
            })?;
            self.orders = Some(orders);
        }
        self.orders.as_ref().ok_or_else(|| io::Error::other("no thread"))
    }
}

impl PostOffice {
    async fn attempt(&self, parcel: &Parcel, settled: &mut Settled) -> Result<(), Fault> {
        match parcel {
            Parcel::Letter(post, letter) => {
                mail::attempt(&self.sender, post, letter, settled).await
            }
            Parcel::Call(webhook, call) => webhook::attempt(webhook, call, (self.wall)()).await,
        }
    }
}

/// By what way a parcel leaves.
#[derive(PartialEq, Eq, Hash)]
enum Route {
    /// This mail server, or `sendmail`.
    Mail(Option<MailServer>),
    /// To this address.
    Webhook(Secret),
}

impl Parcel {
    fn route(&self) -> Route {
        match self {
            Parcel::Letter(post, _) => Route::Mail(post.server.clone()),
            Parcel::Call(webhook, _) => Route::Webhook(webhook.url.clone()),
        }
    }

    /// What is to be said when it cannot be sent, for this reason.
    fn failed(&self, fault: &Fault) -> String {
        let why = &fault.text;
        match self {
            Parcel::Letter(post, _) if post.server.is_some() => {
                format!("failed to send SMTP email message: {why}")
            }
            Parcel::Letter(..) => format!("failed to send email message: {why}"),
            Parcel::Call(webhook, _) => format!("failed to call webhook {}: {why}", webhook.shown),
        }
    }

    fn subject(&self) -> &str {
        match self {
            Parcel::Letter(_, letter) => &letter.logged,
            Parcel::Call(_, call) => &call.subject,
        }
    }
}

/// One route and what waits for it.
struct Queue {
    parcels: mpsc::Sender<Parcel>,
    lost: usize,
}

async fn deliver_all(post_office: PostOffice, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut routes: HashMap<Route, Queue> = HashMap::new();
    let mut workers = JoinSet::new();
    let (end, ending) = watch::channel(false);
    while let Some(order) = orders.recv().await {
        let parcel = match order {
            Order::Send(parcel) => parcel,
            Order::Finish(done) => {
                routes.clear();
                end.send_replace(true);
                while workers.join_next().await.is_some() {}
                // Who asked may have lost patience.
                return done.send(()).unwrap_or_default();
            }
        };
        let queue = routes.entry(parcel.route()).or_insert_with(|| {
            let (parcels, waiting) = mpsc::channel(WAITING);
            workers.spawn(deliver(post_office.clone(), waiting, ending.clone()));
            Queue { parcels, lost: 0 }
        });
        match queue.parcels.try_send(parcel) {
            Ok(()) if queue.lost > 0 => {
                tracing::warn!("{} alerts were dropped because too many waited", queue.lost);
                queue.lost = 0;
            }
            Ok(()) => {}
            Err(_) => queue.lost = queue.lost.saturating_add(1),
        }
    }
}

/// Sends the parcels of one route in their order.
async fn deliver(
    post_office: PostOffice,
    mut waiting: mpsc::Receiver<Parcel>,
    mut ending: watch::Receiver<bool>,
) {
    while let Some(parcel) = waiting.recv().await {
        let mut pauses = PAUSES.iter().map(|pause| Duration::from_secs(*pause));
        let mut settled = Settled::new();
        while let Err(fault) = post_office.attempt(&parcel, &mut settled).await {
            let (words, subject) = (parcel.failed(&fault), parcel.subject());
            let pause = pauses.next().filter(|_| fault.may_pass && !*ending.borrow());
            let Some(pause) = pause else {
                tracing::error!("{words}: {subject}");
                break;
            };
            let pause = pause.max(fault.not_before.min(LONGEST_PAUSE));
            tracing::warn!("{words}; again in {} s: {subject}", pause.as_secs());
            // An end that comes meanwhile is a last chance.
            let _ended = timeout(pause, ending.wait_for(|is_ending| *is_ending)).await;
        }
    }
}

/// Why a parcel was not sent.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) text: String,
    /// Whether another attempt may succeed.
    pub(super) may_pass: bool,
    /// How long the other side asks us to wait until then.
    pub(super) not_before: Duration,
}

impl Fault {
    /// Another attempt would end in the same way.
    pub(super) fn lasting(text: impl Into<String>) -> Fault {
        Fault { text: text.into(), may_pass: false, not_before: Duration::ZERO }
    }

    /// Another attempt may succeed.
    pub(super) fn passing(text: impl Into<String>) -> Fault {
        Fault { may_pass: true, ..Fault::lasting(text) }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
    };

    use super::{
        mail::tests::{letter, post, serve},
        *,
    };

    fn outbox() -> Outbox {
        let sender = Sender { host: "director".to_owned(), user: "root".to_owned() };
        Outbox::new(sender, || Timestamp::UNIX_EPOCH)
    }

    fn call(port: u16) -> Parcel {
        let shown = format!("http://127.0.0.1:{port}");
        let url = Secret(format!("{shown}/path"));
        let webhook = Webhook { url, shown, secret: None, template: None };
        let call = Call { id: 7, subject: "a test".to_owned(), body: "{}".to_owned() };
        Parcel::Call(Arc::new(webhook), call)
    }

    #[test]
    fn numbers_only_grow() {
        let mut outbox = outbox();
        assert_eq!([outbox.next_number(), outbox.next_number()], [1, 2]);
    }

    #[test]
    fn a_letter_reaches_the_mail_server_in_front_of_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let answers = ["220 mail", "250 mail", "250 ok", "250 ok", "250 ok", "354 go"];
            serve(&listener.accept().unwrap().0, &answers)
        });
        let mut outbox = outbox();
        outbox.send(Parcel::Letter(post(port), letter("Deleted real server")));
        outbox.finish(Duration::from_secs(30));
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
        let mut outbox = outbox();
        outbox.send(Parcel::Letter(post(silent.local_addr().unwrap().port()), letter("one")));
        outbox.send(Parcel::Letter(post(port), letter("two")));
        let answers = ["220 mail", "250 mail", "250 ok", "250 ok", "250 ok", "354 go"];
        let heard = serve(&listener.accept().unwrap().0, &answers);
        assert!(heard.contains(&"Subject: two".to_owned()), "{heard:?}");
        outbox.finish(Duration::from_millis(10));
    }

    #[test]
    fn a_call_that_is_answered_with_a_fault_is_made_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut outbox = outbox();
        outbox.send(call(listener.local_addr().unwrap().port()));
        let heard = ["503 Busy", "200 OK"].map(|status| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = Vec::new();
            while !heard.ends_with(b"{}") {
                let mut piece = [0; 1024];
                let count = stream.read(&mut piece).unwrap();
                heard.extend_from_slice(&piece[..count]);
            }
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(heard).unwrap()
        });
        outbox.finish(Duration::from_secs(30));
        assert_eq!(heard[0], heard[1]);
        assert!(heard[0].starts_with("POST /path HTTP/1.1\r\n"), "{heard:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_parcel_is_tried_for_an_hour() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let (parcels, waiting) = mpsc::channel(2);
        parcels.try_send(Parcel::Letter(post(port), letter("x"))).unwrap();
        drop(parcels);
        let (_end, ending) = watch::channel(false);
        let begin = tokio::time::Instant::now();
        deliver(outbox().post_office, waiting, ending).await;
        assert_eq!(begin.elapsed().as_secs(), 3600);
    }
}
