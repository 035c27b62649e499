//! Messages: what can be asked of the family, many requests in one buffer, and what comes back.
//!
//! In go [`Request`]s, out come bytes for one send; in go the bytes of one datagram, out come [`Answer`]s.
//! Nothing is sent or received here, and nothing is tried again.
//!
//! Source: RFC 3549 section 2.3 for headers, acknowledgements and multi-part messages; `include/uapi/linux/netlink.h` and
//! `ip_vs_genl_ops` in `net/netfilter/ipvs/ip_vs_ctl.c`, Linux 6.1.

use std::fmt;
use std::net::SocketAddr;

use netlink_packet_core::{
    DecodeError, Emitable, NLM_F_ACK, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_ALIGNTO, NetlinkBuffer,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, ParseableParametrized,
};
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};

use crate::attr::{CommandAttr, DaemonAttr, DestAttr, InfoAttr, read_all};
use crate::daemon::{DaemonState, SyncDaemon};
use crate::dest::{Dest, identity};
use crate::info::Timeouts;
use crate::service::{Service, ServiceId};
use crate::uapi;

/// A change to the kernel's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Add a service (`ipvsadm -A`).
    NewService(Service),
    /// Change every setting of a service (`ipvsadm -E`). Its destinations and connections stay.
    SetService(Service),
    /// Delete a service with its destinations (`ipvsadm -D`).
    DelService(ServiceId),
    /// Add a destination to a service (`ipvsadm -a`).
    NewDest(ServiceId, Dest),
    /// Change every setting of a destination (`ipvsadm -e`), the forwarding method included. Its connections stay.
    SetDest(ServiceId, Dest),
    /// Delete a destination (`ipvsadm -d`). Its connections stay until they end.
    DelDest(ServiceId, SocketAddr),
    /// Delete all services (`ipvsadm -C`).
    Flush,
    /// Set the counters of one service and its destinations, or of all, to 0 (`ipvsadm -Z`).
    Zero(Option<ServiceId>),
    /// Set connection timeouts (`ipvsadm --set`).
    SetTimeouts(Timeouts),
    /// Start a sync daemon (`ipvsadm --start-daemon`).
    NewDaemon(SyncDaemon),
    /// Stop a sync daemon (`ipvsadm --stop-daemon`). One whose thread has not run yet is stopped without an answer,
    /// hence with the result [`Error::Lost`](crate::Error::Lost): the kernel takes it for an interrupted call.
    DelDaemon(DaemonState),
}

/// Says what is done, as it fits after "cannot": `add destination 10.0.0.7:80 to service tcp 192.0.2.1:80`.
impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewService(service) => write!(formatter, "add service {}", service.id),
            Self::SetService(service) => write!(formatter, "change service {}", service.id),
            Self::DelService(id) => write!(formatter, "delete service {id}"),
            Self::NewDest(id, dest) => {
                write!(formatter, "add destination {} to service {id}", dest.address)
            }
            Self::SetDest(id, dest) => {
                write!(formatter, "change destination {} of service {id}", dest.address)
            }
            Self::DelDest(id, address) => {
                write!(formatter, "delete destination {address} of service {id}")
            }
            Self::Flush => formatter.write_str("delete all services"),
            Self::Zero(None) => formatter.write_str("zero all counters"),
            Self::Zero(Some(id)) => write!(formatter, "zero the counters of service {id}"),
            Self::SetTimeouts(_) => formatter.write_str("set the connection timeouts"),
            Self::NewDaemon(daemon) => write!(formatter, "start the {} sync daemon", daemon.state),
            Self::DelDaemon(state) => write!(formatter, "stop the {state} sync daemon"),
        }
    }
}

impl Request {
    /// The request as a message; or why it cannot be said in one.
    pub fn to_message(&self) -> Result<Message, &'static str> {
        let (command, attributes) = match self {
            Self::NewService(service) => {
                (uapi::IPVS_CMD_NEW_SERVICE, vec![CommandAttr::Service(service.attributes()?)])
            }
            Self::SetService(service) => {
                (uapi::IPVS_CMD_SET_SERVICE, vec![CommandAttr::Service(service.attributes()?)])
            }
            Self::DelService(id) => {
                (uapi::IPVS_CMD_DEL_SERVICE, vec![CommandAttr::Service(id.attributes())])
            }
            Self::NewDest(id, dest) => (uapi::IPVS_CMD_NEW_DEST, of_dest(id, dest.attributes())),
            Self::SetDest(id, dest) => (uapi::IPVS_CMD_SET_DEST, of_dest(id, dest.attributes())),
            Self::DelDest(id, address) => {
                (uapi::IPVS_CMD_DEL_DEST, of_dest(id, identity(*address).to_vec()))
            }
            Self::Flush => (uapi::IPVS_CMD_FLUSH, Vec::new()),
            Self::Zero(id) => {
                let service = id.as_ref().map(|id| CommandAttr::Service(id.attributes()));
                (uapi::IPVS_CMD_ZERO, service.into_iter().collect())
            }
            Self::SetTimeouts(timeouts) => (uapi::IPVS_CMD_SET_CONFIG, timeouts.attributes()),
            Self::NewDaemon(daemon) => {
                (uapi::IPVS_CMD_NEW_DAEMON, vec![CommandAttr::Daemon(daemon.attributes()?)])
            }
            Self::DelDaemon(state) => (
                uapi::IPVS_CMD_DEL_DAEMON,
                vec![CommandAttr::Daemon(vec![DaemonAttr::State(state.number())])],
            ),
        };
        Ok(Message { command, body: Body::Command(attributes) })
    }
}

fn of_dest(id: &ServiceId, dest: Vec<DestAttr>) -> Vec<CommandAttr> {
    vec![CommandAttr::Service(id.attributes()), CommandAttr::Dest(dest)]
}

/// A message of the family: `IPVS_CMD_*` and its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `IPVS_CMD_*`.
    pub command: u8,
    /// The attributes.
    pub body: Body,
}

/// The attributes of a message. Their numbers mean something else in the answer to "get info".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Of every message but one.
    Command(Vec<CommandAttr>),
    /// Of the answer to "get info".
    Info(Vec<InfoAttr>),
}

impl GenlFamily for Message {
    fn family_name() -> &'static str {
        uapi::IPVS_GENL_NAME
    }

    fn command(&self) -> u8 {
        self.command
    }

    fn version(&self) -> u8 {
        uapi::IPVS_GENL_VERSION
    }
}

impl Emitable for Message {
    fn buffer_len(&self) -> usize {
        match &self.body {
            Body::Command(attributes) => attributes.as_slice().buffer_len(),
            Body::Info(attributes) => attributes.as_slice().buffer_len(),
        }
    }

    fn emit(&self, buffer: &mut [u8]) {
        match &self.body {
            Body::Command(attributes) => attributes.as_slice().emit(buffer),
            Body::Info(attributes) => attributes.as_slice().emit(buffer),
        }
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Message {
    fn parse_with_param(bytes: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        let body = match header.cmd {
            uapi::IPVS_CMD_SET_INFO => Body::Info(read_all(bytes)?),
            _ => Body::Command(read_all(bytes)?),
        };
        Ok(Self { command: header.cmd, body })
    }
}

/// What [`write_batch`] made of some requests.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The request whose acknowledgement ends the batch, counted from 0; `None` if nothing was written.
    pub last: Option<usize>,
    /// Requests that were left out, and why.
    pub left_out: Vec<(usize, &'static str)>,
}

/// Appends all requests to `buffer`, numbered from `first_sequence`, and asks for an acknowledgement of the last alone.
///
/// The kernel reports what fails in any case. One acknowledgement a request would cost a read each, and 277 of them
/// fill a socket's default buffer.
pub fn write_batch(
    requests: &[Request],
    family: u16,
    first_sequence: u32,
    buffer: &mut Vec<u8>,
) -> Batch {
    let mut batch = Batch::default();
    let mut last_start = buffer.len();
    let mut sequence = first_sequence;
    for (index, request) in requests.iter().enumerate() {
        match request.to_message() {
            Ok(message) => {
                last_start = buffer.len();
                batch.last = Some(index);
                write(GenlMessage::from_payload(message), family, NLM_F_REQUEST, sequence, buffer);
            }
            Err(reason) => batch.left_out.push((index, reason)),
        }
        sequence = sequence.wrapping_add(1);
    }
    if let (Some(_), Some(last)) = (batch.last, buffer.get_mut(last_start..)) {
        NetlinkBuffer::new(last).set_flags(NLM_F_REQUEST | NLM_F_ACK);
    }
    batch
}

/// Appends one message to `buffer`.
pub fn write<P>(
    mut message: GenlMessage<P>,
    family: u16,
    flags: u16,
    sequence: u32,
    buffer: &mut Vec<u8>,
) where
    P: GenlFamily + Emitable + fmt::Debug,
{
    message.set_resolved_family_id(family);
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    let start = buffer.len();
    buffer.resize(start + message.buffer_len(), 0);
    if let Some(room) = buffer.get_mut(start..) {
        message.serialize(room);
    }
}

/// One message of a datagram from the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<P> {
    /// Sequence number of the request.
    pub sequence: u32,
    /// The table changed while it was dumped, so that entries may be missing (`NLM_F_DUMP_INTR`).
    pub interrupted: bool,
    /// What it says.
    pub content: Content<P>,
}

/// What an [`Answer`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<P> {
    /// A message of a family.
    Message(P),
    /// The request was done.
    Acknowledged,
    /// The request, or the rest of a dump, was refused with this errno.
    Refused(i32),
    /// A dump is complete.
    Done,
    /// Messages were lost.
    Overrun,
    /// Nothing.
    Noop,
}

/// Reads every message of a datagram. After a fault the rest is left unread.
pub fn read<P>(datagram: &[u8]) -> impl Iterator<Item = Result<Answer<P>, DecodeError>>
where
    P: ParseableParametrized<[u8], GenlHeader> + fmt::Debug,
{
    let mut rest = Some(datagram).filter(|bytes| !bytes.is_empty());
    std::iter::from_fn(move || {
        let bytes = rest.take()?;
        let message = match NetlinkMessage::<GenlMessage<P>>::deserialize(bytes) {
            Ok(message) => message,
            Err(fault) => return Some(Err(fault)),
        };
        // The parser has checked that the length lies within the bytes; only padding can lie beyond them.
        let length = usize::try_from(message.header.length).unwrap_or(usize::MAX);
        let padded = length.checked_next_multiple_of(usize::from(NLMSG_ALIGNTO)).unwrap_or(length);
        rest = bytes.get(padded..).filter(|bytes| !bytes.is_empty());
        Some(Ok(answer(message)))
    })
}

fn answer<P>(message: NetlinkMessage<GenlMessage<P>>) -> Answer<P>
where
    P: fmt::Debug,
{
    let (header, payload) = message.into_parts();
    let content = match payload {
        NetlinkPayload::InnerMessage(message) => Content::Message(message.into_parts().1),
        NetlinkPayload::Error(error) => match error.code {
            None => Content::Acknowledged,
            Some(code) => Content::Refused(code.get().saturating_neg()),
        },
        NetlinkPayload::Done(done) if done.code < 0 => Content::Refused(done.code.saturating_neg()),
        NetlinkPayload::Done(_) => Content::Done,
        NetlinkPayload::Overrun(_) => Content::Overrun,
        _ => Content::Noop,
    };
    Answer {
        sequence: header.sequence_number,
        interrupted: header.flags & NLM_F_DUMP_INTR != 0,
        content,
    }
}
