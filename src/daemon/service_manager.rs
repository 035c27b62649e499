//! What the service manager that started this process is told: that it serves, reloads, ends, and is alive.
//!
//! That is systemd with `Type=notify`; without `NOTIFY_SOCKET` in the environment nobody is told anything. A message is one
//! datagram. The loop never waits for the manager: what its socket has no room for is lost, and the next beat follows.
//!
//! Done here and not by `sd-notify`, which waits for room, and does not know abstract sockets.
//!
//! Sources: `sd_notify(3)`, `sd_watchdog_enabled(3)`.

use std::{
    env,
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

use super::clock;
use crate::{
    model::{NOTIFY_SOCKET, WATCHDOG_PID, WATCHDOG_USEC},
    time::Moment,
};

/// The shortest time between two beats, whatever the manager asks for.
const SHORTEST_BEAT: Duration = Duration::from_millis(10);

/// The way to the service manager, if there is one.
#[derive(Debug, Default)]
pub(super) struct ServiceManager {
    address: Option<SocketAddr>,
    /// How often it wants to hear that the loop goes round; half of what it waits for.
    beat: Option<Duration>,
    next_beat: Option<Moment>,
    /// Whether it was told that we serve.
    is_told: bool,
    /// Whether it was said that it cannot be reached.
    is_lost: bool,
}

impl ServiceManager {
    /// The one in the environment.
    pub(super) fn here() -> ServiceManager {
        let Some(socket) = env::var_os(NOTIFY_SOCKET) else { return ServiceManager::default() };
        let address = address(&socket)
            .inspect_err(|error| {
                tracing::warn!(
                    event = "service-manager",
                    "The service manager cannot be told anything: {error}"
                );
            })
            .ok();
        let set = |name| env::var(name).ok();
        let beat = beat(set(WATCHDOG_USEC).as_deref(), set(WATCHDOG_PID).as_deref());
        ServiceManager { address, beat, ..ServiceManager::default() }
    }

    /// The daemon serves what its configuration says; that of a reload, too.
    pub(super) fn ready(&mut self, now: Moment) {
        self.is_told = true;
        self.next_beat = self.beat.map(|beat| now.after(beat));
        self.tell("READY=1\n");
    }

    /// A reload has begun.
    pub(super) fn reloading(&mut self) {
        if self.is_told
            && let Ok(now) = clock::monotonic()
        {
            self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}\n", now.as_micros()));
        }
    }

    /// A reload is over, well or not.
    pub(super) fn reloaded(&mut self) {
        if self.is_told {
            self.tell("READY=1\n");
        }
    }

    /// The end has begun.
    pub(super) fn stopping(&mut self) {
        self.tell("STOPPING=1\n");
    }

    /// When it next wants to hear that the loop goes round.
    pub(super) fn next_beat(&self) -> Option<Moment> {
        self.next_beat
    }

    /// The loop goes round.
    pub(super) fn beat(&mut self, now: Moment) {
        self.next_beat = self.beat.map(|beat| now.after(beat));
        self.tell("WATCHDOG=1\n");
    }

    fn tell(&mut self, what: &str) {
        let Some(address) = &self.address else { return };
        if let Err(error) = send(address, what)
            && !self.is_lost
        {
            self.is_lost = true;
            let (what, errno) = (what.trim_end(), error.raw_os_error());
            tracing::warn!(
                event = "service-manager",
                errno,
                "The service manager cannot be told {what}: {error}"
            );
        }
    }
}

fn send(address: &SocketAddr, what: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(what.as_bytes(), address).map(drop)
}

/// A path, or behind `@` the name of an abstract socket.
fn address(socket: &OsStr) -> io::Result<SocketAddr> {
    match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(socket),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("NOTIFY_SOCKET is neither a path nor an abstract socket: {}", socket.display()),
        )),
    }
}

/// Half of the microseconds that the manager waits for; `None` when it watches nobody, or another process.
fn beat(microseconds: Option<&str>, pid: Option<&str>) -> Option<Duration> {
    let is_meant = pid.is_none_or(|pid| pid == std::process::id().to_string());
    let limit = Duration::from_micros(microseconds?.parse().ok()?);
    (is_meant && !limit.is_zero()).then(|| (limit / 2).max(SHORTEST_BEAT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_comes_at_half_of_what_the_manager_waits_for() {
        let own = std::process::id().to_string();
        let second = Some(Duration::from_secs(1));
        assert_eq!(beat(Some("2000000"), Some(&own)), second);
        assert_eq!(beat(Some("2000000"), None), second);
        assert_eq!(beat(Some("2000000"), Some("1")), None, "another process is watched");
        for nothing in [None, Some(""), Some("0"), Some("-5"), Some("soon")] {
            assert_eq!(beat(nothing, None), None, "{nothing:?}");
        }
        assert_eq!(beat(Some("1"), None), Some(SHORTEST_BEAT));
    }

    #[test]
    fn the_manager_is_told_by_a_path_or_an_abstract_name_and_never_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("@ldirectord-test-{}", std::process::id());
        for socket in [path.as_os_str(), OsStr::new(&name)] {
            let address = address(socket).unwrap();
            let manager = UnixDatagram::bind_addr(&address).unwrap();
            let mut told = ServiceManager { address: Some(address), ..ServiceManager::default() };
            told.reloading();
            told.reloaded();
            told.ready(Moment::START);
            told.stopping();
            let mut heard = [0; 64];
            for expected in ["READY=1\n", "STOPPING=1\n"] {
                let length = manager.recv(&mut heard).unwrap();
                assert_eq!(&heard[..length], expected.as_bytes());
            }
            // Nobody reads these, and there is room for few.
            for _ in 0..100_000 {
                told.beat(Moment::START);
                if told.is_lost {
                    break;
                }
            }
            assert!(told.is_lost, "what has no room is given up");
        }
        assert!(address(OsStr::new("")).is_err());
        assert!(address(OsStr::new("vsock:2:1234")).is_err());
    }
}
