//! How a link gets its connection: a new one, one that an earlier attempt has left, with TLS from its first byte or
//! from the middle of a conversation.

use std::{net::SocketAddr, sync::Arc};

use socket2::SockRef;
use tokio::time::Instant;

use super::{Agree, Keeping, Link, Security, Wait, within};
use crate::{
    checks::{
        connect, failure,
        kept::Connection,
        tls::{self, Basis, Sessions},
    },
    model::{Failure, Negotiate, Reason, Verdict},
};

impl Link<'_> {
    /// Connects now, to this server; what there was of an earlier conversation is dropped.
    pub(in crate::checks) async fn connect_to(
        &mut self,
        peer: SocketAddr,
        security: Security,
    ) -> Result<(), Failure> {
        (self.peer, self.security) = (peer, security);
        self.forget();
        let before = self.keeping.before.take();
        if let Some(mut before) = before
            && before.is_usable(peer, &self.security)
            && self.is_current(before.basis.as_ref()).await
        {
            self.progress.recorder.go_on();
            (self.stream, self.local) = (Some(before.stream), before.local);
            (self.keeping.since, self.keeping.is_old) = (Some(before.since), true);
            self.keeping.basis = before.basis;
            return Ok(());
        }
        self.open().await
    }

    /// Whether TLS would be spoken with the same files as when it was spoken on this basis.
    async fn is_current(&mut self, basis: Option<&Basis>) -> bool {
        let Some(basis) = basis else { return true };
        let looking = self.tls.is_current(self.settings, basis);
        within(self.deadline.as_mut(), looking).await.unwrap_or(false)
    }

    /// Goes on with what an earlier attempt of the same check has left, and leaves its own.
    pub(in crate::checks) fn keep(&mut self, before: Option<Connection>, sessions: Arc<Sessions>) {
        let sessions = Some((self.peer, sessions));
        self.keeping = Keeping { is_wanted: true, before, sessions, ..Keeping::default() };
    }

    /// Whether the connection was left by an earlier attempt, and there is time for another one.
    pub(in crate::checks) fn may_be_stale(&self) -> bool {
        self.keeping.is_old && Instant::now() < self.deadline.deadline()
    }

    /// Says that nothing more will come over the connection until something is asked.
    pub(in crate::checks) fn has_ended(&mut self) {
        self.keeping.has_ended = true;
    }

    /// The connection for the next attempt, if this one, which has ended so, leaves it.
    pub(in crate::checks) fn left(&mut self, verdict: &Verdict) -> Option<Connection> {
        let keeping = &self.keeping;
        let has_ended = keeping.has_ended && self.buffered().is_empty();
        let is_left = keeping.is_wanted && has_ended && verdict.is_ok();
        let (since, stream) = keeping.since.filter(|_| is_left).zip(self.stream.take())?;
        let (peer, security, local) = (self.peer, self.security.clone(), self.local);
        let basis = self.keeping.basis.take();
        Some(Connection { stream, peer, security, basis, local, since })
    }

    /// Drops what there is of a conversation.
    pub(super) fn forget(&mut self) {
        (self.stream, self.datagrams, self.local) = (None, None, None);
        (self.keeping.since, self.keeping.basis) = (None, None);
        (self.keeping.is_old, self.keeping.has_ended) = (false, false);
        self.buffer.clear();
        self.start = 0;
    }

    /// Offers this protocol in TLS (ALPN, RFC 7301) from now on.
    pub(in crate::checks) fn offer(&mut self, protocol: &'static [u8]) {
        self.alpn = Some(protocol);
    }

    /// Connects now, if that has not been done.
    pub(in crate::checks) async fn ready(&mut self) -> Result<(), Failure> {
        match self.stream {
            Some(_) => Ok(()),
            None => self.open().await,
        }
    }

    pub(super) async fn open(&mut self) -> Result<(), Failure> {
        match self.security.clone() {
            Security::Plain => self.open_in_clear().await,
            #[cfg(any(test, fuzzing))]
            Security::Tls(_) if self.script.is_next() => self.open_in_clear().await,
            Security::Tls(name) => self.open_with_tls(name.as_deref(), None).await,
        }
    }

    async fn open_in_clear(&mut self) -> Result<(), Failure> {
        self.progress.begin(Wait::Connect);
        self.keeping.since = Some(Instant::now());
        #[cfg(any(test, fuzzing))]
        if let Some(stream) = self.script.next(self.peer, &self.security) {
            (self.stream, self.local) = (Some(stream), Some(crate::checks::script::LOCAL));
            return Ok(());
        }
        let opened = within(self.deadline.as_mut(), connect::open(self.peer)).await;
        let tcp = opened.ok_or_else(|| self.timeout())??;
        self.local = tcp.local_addr().ok();
        if self.keeping.is_wanted {
            // A server that does not even take what we send, when the connection is used again, has forgotten it; so
            // half of the time is left to ask anew. Where this cannot be set, only that is lost.
            let _unset = SockRef::from(&tcp).set_tcp_user_timeout(Some(self.allowed / 2));
        }
        self.stream = Some(Box::new(tcp));
        Ok(())
    }

    /// Connects anew, agrees with the server on TLS in the clear, and goes on with TLS (STARTTLS). With a server that may
    /// be old all of it is done twice. Every connection from now on is one with TLS.
    pub(in crate::checks) async fn start_tls(
        &mut self,
        negotiate: &Negotiate,
        agree: Agree,
    ) -> Result<(), Failure> {
        let name = tls::name(negotiate);
        self.security = Security::Tls(name.clone());
        self.open_with_tls(name.as_deref(), Some((negotiate, agree))).await
    }

    /// That the server does not go over to TLS, and why.
    pub(in crate::checks) fn no_tls(&self, why: &str) -> Failure {
        let peer = self.peer;
        failure(Reason::Tls, format!("{peer} {why}; enable TLS there, or write starttls=no"))
    }

    /// Opens a connection that waits for the handshake.
    async fn open_for_tls(
        &mut self,
        agreement: Option<(&Negotiate, Agree)>,
    ) -> Result<(), Failure> {
        self.open_in_clear().await?;
        let Some((negotiate, agree)) = agreement else { return Ok(()) };
        agree(negotiate, self).await?;
        if self.buffered().is_empty() {
            return Ok(());
        }
        // Somebody in between may have put it there, to be taken for what comes over TLS (RFC 3207, section 6).
        let peer = self.peer;
        let detail = format!("{peer} said more in the clear after it had agreed to begin TLS");
        Err(failure(Reason::Protocol, detail))
    }

    /// Opens a connection and does the handshake over it; for an old server, twice.
    async fn open_with_tls(
        &mut self,
        name: Option<&str>,
        agreement: Option<(&Negotiate, Agree)>,
    ) -> Result<(), Failure> {
        self.progress.begin(Wait::Connect);
        let (tls, settings) = (self.tls, self.settings);
        let preparing = tls.prepare(self.peer, name, settings);
        let prepared = within(self.deadline.as_mut(), preparing).await;
        let mut handshake = prepared.ok_or_else(|| self.timeout())??;
        handshake.offer(self.alpn);
        let sessions = self.keeping.sessions.as_ref().filter(|(server, _)| *server == self.peer);
        handshake.resume(sessions.map(|(_, sessions)| Arc::clone(sessions)));
        loop {
            self.forget();
            let connected = self.open_for_tls(agreement).await;
            connected.map_err(|failure| handshake.without_connection(failure))?;
            self.progress.begin(Wait::Handshake);
            let Some(stream) = self.stream.take() else { return Err(self.closed()) };
            let attempted = within(self.deadline.as_mut(), handshake.attempt(stream)).await;
            // Where a redirection leads there may be somebody else.
            if let Some(end) = handshake.certificate_end()
                && self.peer.ip() == self.server
            {
                self.progress.recorder.certificate(end);
            }
            self.stream = attempted.ok_or_else(|| self.timeout())??;
            if self.stream.is_some() {
                self.keeping.basis = Some(handshake.basis());
                return Ok(());
            }
        }
    }
}
