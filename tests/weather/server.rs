//! A real server that counts its checks, and can keep one waiting.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// Greets everybody with `ready`.
pub(crate) struct Greeter {
    pub(crate) address: SocketAddr,
    greeted: Arc<AtomicUsize>,
    keeps: Arc<AtomicBool>,
    kept: mpsc::Receiver<mpsc::Sender<()>>,
}

impl Greeter {
    /// On every address of this host.
    pub(crate) fn start() -> Greeter {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (greeted, keeps) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (tell, kept) = mpsc::channel();
        let (counted, asked) = (Arc::clone(&greeted), Arc::clone(&keeps));
        thread::spawn(move || {
            while let Ok((mut client, _)) = listener.accept() {
                counted.fetch_add(1, Ordering::Relaxed);
                if asked.swap(false, Ordering::Relaxed) {
                    let (release, released) = mpsc::channel();
                    tell.send(release).unwrap();
                    thread::spawn(move || {
                        released.recv().unwrap();
                        // Whoever asked may have gone.
                        client.write_all(b"ready\n").unwrap_or_default();
                    });
                } else {
                    client.write_all(b"ready\n").unwrap_or_default();
                }
            }
        });
        Greeter { address: SocketAddr::from(([127, 0, 0, 1], port)), greeted, keeps, kept }
    }

    /// How many it has greeted.
    pub(crate) fn greeted(&self) -> usize {
        self.greeted.load(Ordering::Relaxed)
    }

    /// Waits for the next client, who waits for the greeting until it is released.
    pub(crate) fn keep_one_waiting(&self) -> mpsc::Sender<()> {
        self.keeps.store(true, Ordering::Relaxed);
        self.kept.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    /// A virtual service with this many servers, all of them this one, checked every second.
    pub(crate) fn service(&self, servers: u8) -> String {
        let port = self.address.port();
        let reals: String =
            (1..=servers).map(|number| format!("\treal=127.0.0.{number}:{port} masq\n")).collect();
        format!(
            "checkinterval=1\nchecktimeout=3\nvirtual=192.0.2.1:80\n{reals}\tprotocol=tcp\n\tservice=tcp\n\texpect=\"ready\"\n"
        )
    }
}
