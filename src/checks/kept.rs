//! [`Kept`]: what is kept of a check from one attempt to the next, its connection and its TLS sessions
//! (`httpkeepalive`).
//!
//! Only checks of the configuration in force have a place here, each its own: no two share a connection, and that of a
//! check that has left the configuration is closed at once. A connection is given to one attempt at a time, and comes back
//! only when that attempt says that its conversation has ended in order.

use std::{
    collections::HashMap,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use tokio::{
    io::{AsyncRead as _, ReadBuf},
    time::Instant,
};

use super::{
    link::{Security, Stream},
    tls::{Basis, Sessions},
};
use crate::model::{CheckKind, CheckSpec};

/// For how long a connection is used, so that whoever accepts new ones is asked again and again, too.
const AGE: Duration = Duration::from_secs(5 * 60);

/// A connection that may be used again.
pub(super) struct Connection {
    pub(super) stream: Box<dyn Stream>,
    pub(super) peer: SocketAddr,
    pub(super) security: Security,
    /// What its TLS was begun with.
    pub(super) basis: Option<Basis>,
    pub(super) local: Option<SocketAddr>,
    /// When it was opened.
    pub(super) since: Instant,
}

impl Connection {
    /// Whether it leads there, is not too old, and nothing has come meanwhile: neither its end nor what nobody asked for.
    pub(super) fn is_usable(&mut self, peer: SocketAddr, security: &Security) -> bool {
        let is_it = self.peer == peer && self.security == *security;
        let mut bytes = [0];
        let mut unasked = ReadBuf::new(&mut bytes);
        let mut context = Context::from_waker(Waker::noop());
        is_it
            && self.since.elapsed() < AGE
            && Pin::new(&mut self.stream).poll_read(&mut context, &mut unasked).is_pending()
    }
}

/// What is kept of checks.
#[derive(Default)]
pub(super) struct Kept {
    #[expect(
        clippy::disallowed_types,
        reason = "held for one look into a map, never while anything waits"
    )]
    places: std::sync::Mutex<Places>,
}

#[derive(Default)]
struct Places {
    /// The most connections that are kept.
    most: usize,
    connections: usize,
    of: HashMap<Arc<CheckSpec>, Place>,
}

/// What is kept of one check.
#[derive(Default)]
struct Place {
    connection: Option<Connection>,
    sessions: Arc<Sessions>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

impl Kept {
    /// These are the checks from now on, and so many of their connections may be kept. What is kept of those that stay
    /// stays, all else is closed.
    pub(super) fn follow(&self, checks: &[Arc<CheckSpec>], most: usize) {
        let _closed_unlocked = self.with(|places| {
            let mut before = std::mem::take(&mut places.of);
            let keeping = checks.iter().filter(|check| keeps(check));
            places.of = keeping
                .map(|check| (Arc::clone(check), before.remove(check).unwrap_or_default()))
                .collect();
            let kept = places.of.values().filter(|place| place.connection.is_some());
            (places.connections, places.most) = (kept.count(), most);
            before
        });
    }

    /// What there is for an attempt of this check; nothing if none is kept of it.
    pub(super) fn take(&self, check: &CheckSpec) -> Option<(Option<Connection>, Arc<Sessions>)> {
        if !keeps(check) {
            return None;
        }
        self.with(|places| {
            let place = places.of.get_mut(check)?;
            let connection = place.connection.take();
            if connection.is_some() {
                places.connections = places.connections.saturating_sub(1);
            }
            Some((connection, Arc::clone(&place.sessions)))
        })
    }

    /// Keeps the connection of this check, if it has a place and there is room.
    pub(super) fn put(&self, check: &CheckSpec, connection: Connection) {
        let _closed_unlocked = self.with(|places| {
            let has_room = places.connections < places.most;
            match places.of.get_mut(check) {
                Some(place) if has_room || place.connection.is_some() => {
                    let before = place.connection.replace(connection);
                    if before.is_none() {
                        places.connections = places.connections.saturating_add(1);
                    }
                    before
                }
                _ => Some(connection),
            }
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut Places) -> T) -> T {
        // Each change is whole before anything can panic.
        work(&mut self.places.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// Whether anything is kept of this check.
fn keeps(check: &CheckSpec) -> bool {
    match &check.kind {
        CheckKind::Negotiate(negotiate) | CheckKind::Combined { negotiate, .. } => {
            negotiate.http.keep_alive
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::{
        checks::script::{TARGET, spec, unconfigured},
        model::Negotiate,
    };

    fn check(path: &str) -> Arc<CheckSpec> {
        let mut asked = Negotiate { request: path.as_bytes().to_vec(), ..unconfigured("http") };
        asked.http.keep_alive = true;
        Arc::new(spec(asked))
    }

    fn connection() -> (Connection, DuplexStream) {
        let (ours, theirs) = duplex(100);
        let connection = Connection {
            stream: Box::new(ours),
            peer: TARGET.parse().unwrap(),
            security: Security::Plain,
            basis: None,
            local: None,
            since: Instant::now(),
        };
        (connection, theirs)
    }

    fn has(kept: &Kept, check: &CheckSpec) -> bool {
        kept.take(check).and_then(|(connection, _)| connection).is_some()
    }

    #[tokio::test]
    async fn a_connection_is_kept_for_its_check_alone() {
        let (kept, one, other) = (Kept::default(), check("/one"), check("/other"));
        kept.put(&one, connection().0);
        assert!(!has(&kept, &one), "of checks that are not followed nothing is kept");
        kept.follow(&[Arc::clone(&one), Arc::clone(&other)], 10);
        kept.put(&one, connection().0);
        assert!(!has(&kept, &other));
        assert!(has(&kept, &one));
        assert!(!has(&kept, &one), "nobody else has it meanwhile");
        let mut without = (*one).clone();
        let CheckKind::Negotiate(negotiate) = &mut without.kind else { panic!() };
        negotiate.http.keep_alive = false;
        kept.follow(&[Arc::new(without.clone())], 10);
        kept.put(&without, connection().0);
        assert!(kept.take(&without).is_none());
    }

    #[tokio::test]
    async fn a_check_that_leaves_takes_its_connection_along() {
        let (kept, one, other) = (Kept::default(), check("/one"), check("/other"));
        kept.follow(&[Arc::clone(&one), Arc::clone(&other)], 10);
        let ((ours, mut theirs), (stays, _open)) = (connection(), connection());
        kept.put(&one, ours);
        kept.put(&other, stays);
        kept.follow(&[Arc::clone(&other)], 10);
        assert!(theirs.write_all(b"x").await.is_err(), "it is closed");
        assert!(has(&kept, &other));
        kept.put(&one, connection().0);
        assert!(kept.take(&one).is_none(), "an attempt that ends late brings nothing back");
    }

    #[tokio::test]
    async fn no_more_are_kept_than_there_is_room_for() {
        let (kept, one, other) = (Kept::default(), check("/one"), check("/other"));
        kept.follow(&[Arc::clone(&one), Arc::clone(&other)], 1);
        kept.put(&one, connection().0);
        kept.put(&other, connection().0);
        assert!(!has(&kept, &other));
        kept.put(&one, connection().0);
        assert!(has(&kept, &one));
        kept.put(&other, connection().0);
        assert!(has(&kept, &other));
        kept.follow(&[Arc::clone(&one), Arc::clone(&other)], 0);
        kept.put(&one, connection().0);
        assert!(!has(&kept, &one));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_or_not_asked_for_or_old_is_not_used() {
        let (peer, plain) = (TARGET.parse().unwrap(), Security::Plain);
        let (mut good, _open) = connection();
        assert!(good.is_usable(peer, &plain));
        assert!(!good.is_usable("192.0.2.1:81".parse().unwrap(), &plain));
        assert!(!good.is_usable(peer, &Security::Tls(None)));
        let (mut closed, theirs) = connection();
        drop(theirs);
        assert!(!closed.is_usable(peer, &plain));
        let (mut talks, mut theirs) = connection();
        theirs.write_all(b"x").await.unwrap();
        assert!(!talks.is_usable(peer, &plain));
        tokio::time::advance(AGE).await;
        assert!(!good.is_usable(peer, &plain));
    }
}
