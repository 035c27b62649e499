//! The process that has the driver: reads what to ask, asks, tells what it found, and ends.
//!
//! Whatever the driver does to it is the end of this process and of no other: its memory and its time on a
//! processor are limited, a panic is a fault of the server, and it ends by itself should nobody end it.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpStream},
    os::{fd::AsFd, unix::net::UnixStream},
    panic::{self, AssertUnwindSafe},
    sync::mpsc,
    thread,
    time::Duration,
};

use nix::{
    sys::resource::{Resource, setrlimit},
    unistd::alarm,
};
use oracledb::{Config, Connection, Error, ErrorKind};
use serde::{Deserialize, Serialize};

use crate::{
    checks::{connect, sql},
    model::{Failure, Reason},
};

/// The word of the command line that starts it.
pub const WORD: &str = "--ask-oracle";

/// The most memory that it may have, in bytes; far above what a row takes.
const MEMORY: u64 = 512 * 1024 * 1024;

/// The most of a processor that it may have, in seconds; far above what a login takes.
const EFFORT_S: u64 = 5;

/// How much longer than the check may take it lives, where nobody ends it.
const LONGER: Duration = Duration::from_secs(5);

/// What a server knows us by.
const PROGRAM: &str = "ldirectord";

/// What to ask.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) target: SocketAddr,
    pub(super) timeout: Duration,
    pub(super) sid: String,
    pub(super) login: String,
    pub(super) passwd: String,
    pub(super) statement: String,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub(super) enum Answer {
    /// The statement was run; whether there was a row.
    Row(bool),
    /// What went wrong.
    Fault { reason: Kind, detail: String },
}

/// The reasons that there can be.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) enum Kind {
    Timeout,
    Refused,
    Unreachable,
    Reset,
    Protocol,
    Denied,
    Internal,
}

impl From<Kind> for Reason {
    fn from(kind: Kind) -> Reason {
        match kind {
            Kind::Timeout => Reason::Timeout,
            Kind::Refused => Reason::Refused,
            Kind::Unreachable => Reason::Unreachable,
            Kind::Reset => Reason::Reset,
            Kind::Protocol => Reason::Protocol,
            Kind::Denied => Reason::Denied,
            Kind::Internal => Reason::Internal,
        }
    }
}

/// Does what the process is for; its standard input is the socket.
pub fn run() -> io::Result<()> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let order: Order = serde_json::from_reader(&socket)?;
    setrlimit(Resource::RLIMIT_AS, MEMORY, MEMORY)?;
    setrlimit(Resource::RLIMIT_CPU, EFFORT_S, EFFORT_S)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    let seconds = order.timeout.saturating_add(LONGER).as_secs();
    alarm::set(u32::try_from(seconds).unwrap_or(u32::MAX));
    // What the driver says of its panics is of no use to anybody.
    panic::set_hook(Box::new(|_| {}));
    let mut connection = None;
    let asked = panic::catch_unwind(AssertUnwindSafe(|| ask(&order, &mut connection)));
    let answer = asked.unwrap_or_else(|_panic| {
        let detail = format!("{} sent what the driver does not understand", order.target);
        Answer::Fault { reason: Kind::Protocol, detail }
    });
    serde_json::to_writer(&socket, &answer)?;
    socket.shutdown(Shutdown::Both)?;
    if let Some(connection) = connection {
        part(connection);
    }
    Ok(())
}

/// Takes leave of a server, which may let us wait.
fn part(connection: Connection) {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        drop(connection);
        tell.send(()).ok();
    });
    told.recv_timeout(sql::FAREWELL).ok();
}

/// Logs in and runs the statement.
fn ask(order: &Order, connection: &mut Option<Connection>) -> Answer {
    let asked = log_in(order).and_then(|made| {
        let connection = connection.insert(made);
        connection.query_row(&order.statement, &[])
    });
    let error = match asked {
        Ok(_row) => return Answer::Row(true),
        Err(error) => error,
    };
    let (reason, detail) = match error.kind() {
        ErrorKind::NoDataFound => return Answer::Row(false),
        ErrorKind::DbError(fault) => (of_database(fault.code()), fault.message().to_owned()),
        ErrorKind::InvalidSid(..) => refused(12505, order),
        ErrorKind::InvalidServiceName(..) => refused(12514, order),
        ErrorKind::ListenerRefusedConnection(_, _, _, number) => refused(*number, order),
        ErrorKind::UnexpectedRefuse(..) => refused(0, order),
        ErrorKind::StreamOperation | ErrorKind::DeadConnection => broken_off(order),
        ErrorKind::CallTimeoutExceeded => {
            (Kind::Timeout, format!("no connection to {} within {:?}", order.target, order.timeout))
        }
        _ => (Kind::Protocol, format!("no answer of a database from {}: {error}", order.target)),
    };
    Answer::Fault { reason, detail: sql::words(detail.as_bytes()) }
}

fn log_in(order: &Order) -> Result<Connection, Error> {
    let Order { target, sid, .. } = order;
    let (host, port) = (target.ip(), target.port());
    let descriptor = format!(
        "(DESCRIPTION=(RETRY_COUNT=0)(RETRY_DELAY=0)(ADDRESS=(PROTOCOL=tcp)(HOST={host})(PORT={port}))\
         (CONNECT_DATA=(SID={sid})))"
    );
    let config = Config::default()
        .set_connect_string(&descriptor)?
        .set_credentials(&order.login, &order.passwd)
        .set_program(PROGRAM)?
        .set_transport_connect_timeout(Some(order.timeout));
    oracledb::connect(config)
}

/// Why a database refuses: whom it does not let in, or anything else.
fn of_database(number: usize) -> Kind {
    match number {
        1005 | 1017 | 1031 | 1035 | 1045 | 28000..=28002 => Kind::Denied,
        _ => Kind::Protocol,
    }
}

/// What a listener says when it refuses a connection.
fn refused(number: usize, order: &Order) -> (Kind, String) {
    let Order { target, sid, .. } = order;
    let detail = match number {
        12505 => format!("ORA-12505: the listener at {target} knows no SID {sid}"),
        12514 => format!("ORA-12514: the listener at {target} knows no such service"),
        12516 | 12518..=12520 => {
            format!("ORA-{number}: the listener at {target} has nobody free to serve us")
        }
        12526..=12528 => {
            format!("ORA-{number}: the instance {sid} at {target} lets nobody in for now")
        }
        0 => format!("the listener at {target} refused the connection and did not say why"),
        _ => format!("ORA-{number:05}: the listener at {target} refused the connection"),
    };
    (Kind::Protocol, detail)
}

/// Why a connection was not made or ended; the driver does not tell, so another is tried.
fn broken_off(order: &Order) -> (Kind, String) {
    let target = order.target;
    match TcpStream::connect_timeout(&target, order.timeout) {
        Ok(_connected) => {
            (Kind::Reset, format!("{target} closed the connection without an answer"))
        }
        Err(error) => {
            let Failure { reason, detail } = connect::failed(target, &error);
            let kind = match reason {
                Reason::Refused => Kind::Refused,
                Reason::Unreachable => Kind::Unreachable,
                Reason::Timeout => Kind::Timeout,
                Reason::Reset => Kind::Reset,
                _ => Kind::Internal,
            };
            (kind, detail)
        }
    }
}
