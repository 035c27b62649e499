//! The number of the family, which the kernel gives out when the `ip_vs` module is loaded.
//!
//! In goes an open socket, out comes the number of "IPVS", if there is one. Loading the module is done here too,
//! because that is what it takes when there is none: unlike `setsockopt`, the netlink interface does not load it by
//! itself.
//!
//! Source: `Documentation/userspace-api/netlink/intro.rst` of Linux and `ctrl_getfamily` in `net/netlink/genetlink.c`.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use netlink_packet_core::{DecodeError, Emitable, NLM_F_REQUEST, ParseableParametrized};
use netlink_packet_generic::constants::{CTRL_CMD_GETFAMILY, GENL_ID_CTRL};
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};
use nix::errno::Errno;

use crate::attr::{ControllerAttr, read_all};
use crate::error::Error;
use crate::message::{self, Content};
use crate::socket::Socket;
use crate::uapi;

const MODULE: &str = "ip_vs";
const WHAT: &str = "find the kernel's IPVS interface";

/// The number of the family, or `None` if the kernel has none (yet).
pub(crate) fn find(socket: &mut Socket) -> Result<Option<u16>, Error> {
    let sequence = socket.reserve(1);
    let question = Controller(vec![ControllerAttr::FamilyName(uapi::IPVS_GENL_NAME.to_owned())]);
    let mut buffer = Vec::new();
    message::write(
        GenlMessage::from_payload(question),
        GENL_ID_CTRL,
        NLM_F_REQUEST,
        sequence,
        &mut buffer,
    );
    socket.send(&buffer).map_err(|errno| Error::of_read(WHAT, errno))?;
    loop {
        let datagram = socket.receive().map_err(|fault| fault.of_read(WHAT))?;
        for answer in message::read::<Controller>(datagram) {
            let answer = answer.map_err(|fault| Error::malformed(WHAT, &fault))?;
            if answer.sequence != sequence {
                continue;
            }
            match answer.content {
                Content::Message(Controller(attributes)) => {
                    return Ok(attributes.into_iter().find_map(|attribute| match attribute {
                        ControllerAttr::FamilyId(number) => Some(number),
                        ControllerAttr::FamilyName(_) => None,
                    }));
                }
                Content::Refused(errno) if Errno::from_raw(errno) == Errno::ENOENT => {
                    return Ok(None);
                }
                Content::Refused(errno) => return Err(Error::of_read(WHAT, errno)),
                Content::Overrun => return Err(Error::Lost { request: WHAT.to_owned() }),
                Content::Acknowledged | Content::Done | Content::Noop => {}
            }
        }
    }
}

/// Loads the module with `modprobe`; the error says why it did not work, or `None` if it did.
///
/// `command` is the program and its first arguments, or empty for the usual places. No shell is involved.
pub(crate) fn load_module(command: &[OsString]) -> Option<String> {
    let usual = ["/sbin/modprobe", "/usr/sbin/modprobe"].map(OsString::from);
    let (program, arguments) = match command.split_first() {
        Some(parts) => parts,
        None => match usual.iter().find(|program| Path::new(program).exists()) {
            Some(program) => (program, [].as_slice()),
            None => return Some("there is no /sbin/modprobe to load it with".to_owned()),
        },
    };
    let name = Path::new(program).display();
    let output = Command::new(program).args(arguments).arg(MODULE).stdin(Stdio::null()).output();
    match output {
        Err(fault) => Some(format!("{name} cannot be run: {fault}")),
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().next().unwrap_or_default();
            Some(format!("{name} {MODULE} failed with {}: {said}", output.status))
        }
    }
}

/// A message of the controller. Of its many attributes only those about name and number are read: a newer kernel may
/// add others.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Controller(Vec<ControllerAttr>);

impl GenlFamily for Controller {
    fn family_name() -> &'static str {
        "nlctrl"
    }

    fn command(&self) -> u8 {
        CTRL_CMD_GETFAMILY
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for Controller {
    fn buffer_len(&self) -> usize {
        self.0.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.0.as_slice().emit(buffer);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Controller {
    fn parse_with_param(bytes: &[u8], _: GenlHeader) -> Result<Self, DecodeError> {
        read_all(bytes).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(text: &str) -> Vec<u8> {
        let (_, bytes) = text.split_once('\n').unwrap();
        bytes.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn controller_is_asked_and_understood_as_by_ipvsadm() {
        let theirs = capture(include_str!("../tests/capture/request-family.hex"));
        let question = Controller(vec![ControllerAttr::FamilyName("IPVS".to_owned())]);
        let mut ours = Vec::new();
        message::write(
            GenlMessage::from_payload(question),
            GENL_ID_CTRL,
            NLM_F_REQUEST,
            1,
            &mut ours,
        );
        assert_eq!(ours[16..], theirs[16..]);

        let reply = capture(include_str!("../tests/capture/reply-family.hex"));
        let answer = message::read::<Controller>(&reply).next().unwrap().unwrap();
        let name = ControllerAttr::FamilyName("IPVS".to_owned());
        let expected = Controller(vec![name, ControllerAttr::FamilyId(28)]);
        assert_eq!(answer.content, Content::Message(expected));
    }

    #[test]
    fn loading_the_module_says_what_went_wrong() {
        let command = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(load_module(&command(&["/bin/true"])), None);
        assert_eq!(
            load_module(&command(&["/bin/sh", "-c", "echo \"$0 not found\" >&2; exit 3"])).unwrap(),
            "/bin/sh ip_vs failed with exit status: 3: ip_vs not found"
        );
        let fault = load_module(&command(&["/nonexistent/modprobe", "-d", "/tmp"])).unwrap();
        assert!(fault.starts_with("/nonexistent/modprobe cannot be run: No such file"), "{fault}");
    }
}
