//! The client: ask, change, and know what became of every change.
//!
//! In go [`Request`]s and questions, out come results and entries. Two sockets are open: one for changes, one for
//! reading, because a socket can have only one dump at a time and a dump that went wrong is best left behind with its
//! socket.
//! No policy is here: nothing is changed that was not asked for, and no change is tried twice.

use std::ffi::OsString;

use netlink_packet_core::{DecodeError, NLM_F_DUMP, NLM_F_REQUEST};
use netlink_packet_generic::GenlMessage;

use crate::attr::CommandAttr;
use crate::daemon::SyncDaemon;
use crate::dest::DestEntry;
use crate::error::Error;
use crate::exchange::{Outcome, Pending, Question, until_whole};
use crate::family;
use crate::info::{Info, Timeouts};
use crate::message::{self, Body, Message, Request};
use crate::service::{ServiceEntry, ServiceId};
use crate::socket::{Fault, Socket};
use crate::uapi;

/// Requests in one send. The kernel does them all before the send returns; about 1,500 would fit.
const BATCH: usize = 256;

/// How to open a [`Client`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Program and first arguments of the command that loads the kernel module, to which `ip_vs` is added: say
    /// `["/sbin/modprobe", "-d", "/some/folder"]`. Empty for `modprobe` in `/sbin` or `/usr/sbin`.
    pub modprobe: Vec<OsString>,
    /// Bytes of answers that can wait. Without `CAP_NET_ADMIN` it is at most `net.core.rmem_max`.
    pub receive_buffer: usize,
}

impl Default for Options {
    fn default() -> Self {
        // Of the room that the kernel doubles, one refused request takes 768 bytes.
        Self { modprobe: Vec::new(), receive_buffer: 1024 * 1024 }
    }
}

/// Connection to the IPVS of one network namespace: that of the thread which opened it. The thread must not go to
/// another namespace while it uses the client, since a dump may need a new socket.
#[derive(Debug)]
pub struct Client {
    changes: Socket,
    reads: Socket,
    family: u16,
    receive_buffer: usize,
    buffer: Vec<u8>,
}

impl Client {
    /// Opens a client, and loads the kernel module `ip_vs` if the kernel does not know IPVS yet.
    pub fn open() -> Result<Self, Error> {
        Self::open_with(&Options::default())
    }

    /// Opens a client in another way.
    pub fn open_with(options: &Options) -> Result<Self, Error> {
        let changes = Socket::open(options.receive_buffer)?;
        let mut reads = Socket::open(options.receive_buffer)?;
        let family = if let Some(family) = family::find(&mut reads)? {
            family
        } else {
            let fault = family::load_module(&options.modprobe);
            family::find(&mut reads)?.ok_or_else(|| Error::no_ipvs(fault))?
        };
        Ok(Self {
            changes,
            reads,
            family,
            receive_buffer: options.receive_buffer,
            buffer: Vec::new(),
        })
    }

    /// Version and size of the connection table (`ipvsadm -l`, first line).
    pub fn info(&mut self) -> Result<Info, Error> {
        let what = "read the version of IPVS";
        self.get(what, uapi::IPVS_CMD_GET_INFO, Vec::new(), |message| match message.body {
            Body::Info(attributes) => Ok(Info::from_attributes(attributes)),
            Body::Command(_) => Err("an answer about something else".into()),
        })
    }

    /// Connection timeouts (`ipvsadm -l --timeout`).
    pub fn timeouts(&mut self) -> Result<Timeouts, Error> {
        let what = "read the connection timeouts";
        self.get(what, uapi::IPVS_CMD_GET_CONFIG, Vec::new(), |message| match message.body {
            Body::Command(attributes) => Ok(Timeouts::from_attributes(attributes)),
            Body::Info(_) => Err("an answer about something else".into()),
        })
    }

    /// Sets connection timeouts (`ipvsadm --set`); 0 leaves one as it is.
    pub fn set_timeouts(&mut self, timeouts: Timeouts) -> Result<(), Error> {
        self.apply(&[Request::SetTimeouts(timeouts)]).into_iter().collect()
    }

    /// Every service (`ipvsadm -l`), in the kernel's order, which is none.
    ///
    /// The kernel does not say when the table changes during a dump: a service that another program deletes meanwhile
    /// can hide its neighbour, one that it adds can make its neighbour appear twice.
    pub fn services(&mut self) -> Result<Vec<ServiceEntry>, Error> {
        self.dump("read the services", uapi::IPVS_CMD_GET_SERVICE, Vec::new(), read_service)
    }

    /// One service; `ESRCH` if there is none.
    pub fn service(&mut self, id: &ServiceId) -> Result<ServiceEntry, Error> {
        let identity = vec![CommandAttr::Service(id.attributes())];
        self.get(&format!("read service {id}"), uapi::IPVS_CMD_GET_SERVICE, identity, read_service)
    }

    /// Every destination of a service, in the kernel's order; `ESRCH` if there is no such service.
    pub fn dests(&mut self, id: &ServiceId) -> Result<Vec<DestEntry>, Error> {
        let what = format!("read the destinations of service {id}");
        let identity = vec![CommandAttr::Service(id.attributes())];
        let dests = self.dump(&what, uapi::IPVS_CMD_GET_DEST, identity.clone(), |message| {
            match single(message)? {
                CommandAttr::Dest(attributes) => {
                    DestEntry::from_attributes(attributes, id.family())
                }
                _ => Err("an answer about something else".into()),
            }
        })?;
        if dests.is_empty() {
            // To the kernel a service that does not exist has no destinations either.
            self.get(&what, uapi::IPVS_CMD_GET_SERVICE, identity, read_service)?;
        }
        Ok(dests)
    }

    /// The sync daemons that run (`ipvsadm -l --daemon`), at most two.
    pub fn sync_daemons(&mut self) -> Result<Vec<SyncDaemon>, Error> {
        self.dump("read the sync daemons", uapi::IPVS_CMD_GET_DAEMON, Vec::new(), |message| {
            match single(message)? {
                CommandAttr::Daemon(attributes) => SyncDaemon::from_attributes(attributes),
                _ => Err("an answer about something else".into()),
            }
        })
    }

    /// Does all requests, in order, and says of each what became of it. One that fails does not stop the others.
    ///
    /// The result [`Error::Lost`] means that the kernel's answer was lost and the change may or may not be there: read
    /// the table again.
    pub fn apply(&mut self, requests: &[Request]) -> Vec<Result<(), Error>> {
        let mut results = Vec::with_capacity(requests.len());
        for batch in requests.chunks(BATCH) {
            let outcomes = self.apply_batch(batch);
            results.extend(batch.iter().zip(outcomes).map(|(request, outcome)| match outcome {
                Outcome::Done => Ok(()),
                Outcome::Refused(errno) => Err(Error::of_change(request, errno)),
                Outcome::Unsent(errno) => Err(Error::of_socket(&request.to_string(), errno)),
                Outcome::Unsayable(reason) => {
                    Err(Error::Invalid { request: request.to_string(), reason })
                }
                Outcome::Unknown => Err(Error::Lost { request: request.to_string() }),
            }));
        }
        results
    }

    fn apply_batch(&mut self, requests: &[Request]) -> Vec<Outcome> {
        let first = self.changes.reserve(u32::try_from(requests.len()).unwrap_or(u32::MAX));
        self.buffer.clear();
        let batch = message::write_batch(requests, self.family, first, &mut self.buffer);
        let mut pending = Pending::new(first, requests.len(), batch);
        if pending.is_empty() {
            return pending.finish();
        }
        if let Err(errno) = self.changes.send(&self.buffer) {
            return pending.unsent(errno);
        }
        loop {
            // What fitted before an overflow can still be read, and what was refused is worth knowing.
            let datagram = if pending.is_lossy() {
                self.changes.receive_now()
            } else {
                self.changes.receive()
            };
            match datagram {
                Ok(datagram) if pending.note(datagram) => return pending.finish(),
                Ok(_) => {}
                Err(Fault::Overflow | Fault::Truncated) => pending.lose(),
                Err(Fault::Silence | Fault::Failed(_)) => return pending.finish(),
            }
        }
    }

    /// Asks for one thing.
    fn get<T>(
        &mut self,
        what: &str,
        command: u8,
        attributes: Vec<CommandAttr>,
        read: impl Fn(Message) -> Result<T, DecodeError>,
    ) -> Result<T, Error> {
        let answers = self.ask(what, command, attributes, NLM_F_REQUEST, read)?;
        answers.into_iter().next().ok_or_else(|| Error::Lost { request: what.to_owned() })
    }

    /// Asks for everything of a kind.
    fn dump<T>(
        &mut self,
        what: &str,
        command: u8,
        attributes: Vec<CommandAttr>,
        read: impl Fn(Message) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, Error> {
        self.ask(what, command, attributes, NLM_F_REQUEST | NLM_F_DUMP, read)
    }

    /// Asks, and asks again as long as something of the answer is missing.
    fn ask<T>(
        &mut self,
        what: &str,
        command: u8,
        attributes: Vec<CommandAttr>,
        flags: u16,
        read: impl Fn(Message) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, Error> {
        let message = Message { command, body: Body::Command(attributes) };
        until_whole(|| {
            let result = self.ask_once(what, &message, flags, &read);
            if let Err(Error::Lost { .. } | Error::Malformed { .. }) = &result {
                // The dump may still be running in the kernel, and would be in the way of the next.
                self.reads = Socket::open(self.receive_buffer)?;
            }
            result
        })
    }

    fn ask_once<T>(
        &mut self,
        what: &str,
        message: &Message,
        flags: u16,
        read: &impl Fn(Message) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, Error> {
        let sequence = self.reads.reserve(1);
        let question = Question { what, sequence, is_dump: flags & NLM_F_DUMP == NLM_F_DUMP };
        self.buffer.clear();
        let message = GenlMessage::from_payload(message.clone());
        message::write(message, self.family, flags, sequence, &mut self.buffer);
        self.reads.send(&self.buffer).map_err(|errno| Error::of_read(what, errno))?;
        let mut entries = Vec::new();
        loop {
            let datagram = self.reads.receive().map_err(|fault| fault.of_read(what))?;
            if question.take(datagram, read, &mut entries)? {
                return Ok(entries);
            }
        }
    }
}

fn read_service(message: Message) -> Result<ServiceEntry, DecodeError> {
    match single(message)? {
        CommandAttr::Service(attributes) => ServiceEntry::from_attributes(attributes),
        _ => Err("an answer about something else".into()),
    }
}

/// The first attribute: entries come one in a message.
fn single(message: Message) -> Result<CommandAttr, DecodeError> {
    match message.body {
        Body::Command(attributes) => {
            attributes.into_iter().next().ok_or_else(|| "an empty answer".into())
        }
        Body::Info(_) => Err("an answer about something else".into()),
    }
}
