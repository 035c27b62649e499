//! The thread that owns the kernel's table.
//!
//! In go [`Job`]s and requests for the table, out come [`Answer`]s, in the same order. Talking to the kernel blocks and a
//! single owner needs no lock, hence a thread. The thread ends when its [`KernelThread`] is dropped.
//!
//! Without IPVS, or without the right to it, every answer says so: the module may be loaded, or a right given, later.

use std::{io, sync::mpsc, thread};

use tokio::sync::mpsc as async_mpsc;

use super::privileges::Rights;
use crate::ipvs::{Job, KernelError, KernelErrorKind, Reconciler, Report, Table, memory, netlink};

/// Whose table is directed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableChoice {
    /// The kernel's.
    Kernel,
    /// One in memory, for trying a configuration without IPVS and for measuring.
    Memory,
}

impl TableChoice {
    /// What reads and writes the table.
    pub fn open(self) -> Reconciler {
        Reconciler::new(match self {
            TableChoice::Kernel => Box::new(netlink::Netlink::default()),
            TableChoice::Memory => Box::new(memory::Memory::default()),
        })
    }
}

enum Request {
    Run(Box<Job>),
    Table,
}

/// What the thread answers.
#[derive(Debug)]
pub(super) enum Answer {
    /// To [`KernelThread::run`].
    Report(Report),
    /// To [`KernelThread::ask_for_table`].
    Table(Result<Table, KernelError>),
}

/// The other end of the thread.
#[derive(Debug)]
pub(super) struct KernelThread {
    requests: mpsc::Sender<Request>,
    answers: async_mpsc::UnboundedReceiver<Answer>,
    ended: bool,
}

impl KernelThread {
    /// Starts the thread, with these rights.
    pub(super) fn start(choice: TableChoice, rights: Rights) -> io::Result<KernelThread> {
        let (requests, inbox) = mpsc::channel();
        let (outbox, answers) = async_mpsc::unbounded_channel();
        thread::Builder::new().name("kernel".to_owned()).spawn(move || {
            if let Err(error) = rights.keep_for_table() {
                tracing::error!("cannot keep the right to the kernel's table: {error}");
            }
            let mut reconciler = choice.open();
            for request in inbox {
                let answer = serve(&mut reconciler, request);
                if outbox.send(answer).is_err() {
                    break;
                }
            }
        })?;
        Ok(KernelThread { requests, answers, ended: false })
    }

    /// Asks for a job to be done.
    pub(super) fn run(&self, job: Box<Job>) {
        self.request(Request::Run(job));
    }

    /// Asks for the whole table.
    pub(super) fn ask_for_table(&self) {
        self.request(Request::Table);
    }

    fn request(&self, request: Request) {
        // The thread is gone only if it panicked; `next` says so.
        self.requests.send(request).unwrap_or_default();
    }

    /// The next answer; for ever when there is none. Should the thread break, that is one answer.
    pub(super) async fn next(&mut self) -> Answer {
        if self.ended {
            return std::future::pending().await;
        }
        self.answers.recv().await.unwrap_or_else(|| {
            self.ended = true;
            Answer::Report(Report { unread: Some(gone()), ..Report::default() })
        })
    }

    /// The next answer, which is to a request for the table.
    pub(super) async fn next_table(&mut self) -> Result<Table, KernelError> {
        match self.next().await {
            Answer::Table(table) => table,
            Answer::Report(report) => Err(report.unread.unwrap_or_else(gone)),
        }
    }
}

fn serve(reconciler: &mut Reconciler, request: Request) -> Answer {
    match request {
        Request::Run(job) => Answer::Report(reconciler.run(&job)),
        Request::Table => Answer::Table(reconciler.table()),
    }
}

fn gone() -> KernelError {
    let message = "the thread that owns the kernel's table has ended".to_owned();
    let hint = "this is a fault of ldirectord; restart it, and report what the log says".to_owned();
    KernelError { hint: Some(hint), ..KernelError::new(KernelErrorKind::Other, message) }
}
