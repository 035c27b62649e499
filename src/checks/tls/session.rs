//! TLS sessions that go on (RFC 8446 section 2.2, RFC 5077): the server sends no certificate and signs nothing.
//!
//! Each check has its own, with one server. They begin anew when a file of TLS changes, and now and then, because a
//! server that goes on with a session shows no certificate: what is verified then is the one that it showed first.
//! rustls alone does it; what OpenSSL speaks with, few are, and each handshake with them is whole.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::context::Context;

/// After how long a server must show its certificate again.
const WHOLE_EVERY: Duration = Duration::from_secs(10 * 60);

/// The sessions of one check.
#[derive(Default)]
pub(in crate::checks) struct Sessions {
    #[expect(
        clippy::disallowed_types,
        reason = "held for a few assignments, never while anything waits"
    )]
    remembered: std::sync::Mutex<Option<Remembered>>,
}

struct Remembered {
    /// What they were begun with.
    context: Arc<Context>,
    /// It has the sessions.
    connector: TlsConnector,
    since: Instant,
    /// Whether a handshake has succeeded.
    is_begun: bool,
}

impl Sessions {
    /// What goes on with sessions that were begun in this context, and whether there may be one.
    pub(super) fn connector(&self, context: &Arc<Context>) -> (TlsConnector, bool) {
        self.with(|remembered| {
            let now = Instant::now();
            let is_good = |known: &Remembered| {
                Arc::ptr_eq(&known.context, context) && now < known.since + WHOLE_EVERY
            };
            if let Some(known) = remembered.as_ref().filter(|known| is_good(known)) {
                return (known.connector.clone(), known.is_begun);
            }
            let connector = context.with_sessions();
            *remembered = Some(Remembered {
                context: Arc::clone(context),
                connector: connector.clone(),
                since: now,
                is_begun: false,
            });
            (connector, false)
        })
    }

    /// A handshake has succeeded.
    pub(super) fn begin(&self) {
        self.with(|remembered| {
            if let Some(known) = remembered {
                known.is_begun = true;
            }
        });
    }

    /// The next handshake is a whole one.
    pub(super) fn forget(&self) {
        self.with(|remembered| *remembered = None);
    }

    fn with<T>(&self, work: impl FnOnce(&mut Option<Remembered>) -> T) -> T {
        work(&mut self.remembered.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TlsSettings;

    fn context() -> Arc<Context> {
        Arc::new(Context::read(&TlsSettings::default()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_begin_anew_with_another_context_and_now_and_then() {
        let (sessions, one, other) = (Sessions::default(), context(), context());
        let goes_on = |context| sessions.connector(context).1;
        assert!(!goes_on(&one));
        assert!(!goes_on(&one), "no handshake has succeeded");
        sessions.begin();
        assert!(goes_on(&one));
        assert!(!goes_on(&other), "the files are others");
        sessions.begin();
        assert!(goes_on(&other));
        sessions.forget();
        assert!(!goes_on(&other));
        sessions.begin();
        tokio::time::advance(WHOLE_EVERY - Duration::from_secs(1)).await;
        assert!(goes_on(&other));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!goes_on(&other), "it must show its certificate again");
    }
}
