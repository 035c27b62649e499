//! [`Checker`]: runs one attempt of any kind of check.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until, timeout};

use super::{
    Question, agent, connect,
    external::Programs,
    external_perl::Perls,
    failure,
    kept::Kept,
    link::{Link, Security},
    ping::Pinger,
    protocol,
    recorder::Recorder,
    tls::{self, Tls},
};
use crate::model::{
    AgentAnswer, Attempted, Carrier, CheckKind, CheckSpec, Negotiate, Pass, Phase, Reason, Stage,
    TlsSettings, Trace, Verdict,
};

/// How long after its deadline an attempt may still be busy before it is cut off, for protocols that wait elsewhere
/// than in their link.
const SLACK: Duration = Duration::from_millis(25);

/// The longest time that an attempt is given, so that no clock overflows.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Runs checks. Cheap to clone; clones share what is worth sharing: TLS settings, the sockets of ping, limits.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    tls: Tls,
    kept: Kept,
    pinger: Pinger,
    programs: Programs,
    perls: Perls,
}

impl Checker {
    /// Makes ready to check. Opens nothing yet.
    pub fn new() -> Checker {
        Checker::default()
    }

    /// Opens the sockets of ping, which may take a right that is given up later.
    pub fn open_ping_sockets(&self) {
        self.shared.pinger.open();
    }

    /// These are the checks of the configuration from now on. Connections of theirs may be kept between attempts, as
    /// many as this; those of others are closed. Until this is said none is kept.
    pub fn follow(&self, checks: &[Arc<CheckSpec>], connections: usize) {
        self.shared.kept.follow(checks, connections);
    }

    /// Runs one attempt, in a tokio runtime. Dropping the future cancels it.
    pub async fn run(&self, spec: &CheckSpec, stage: Stage) -> Attempted {
        let begin = Instant::now();
        let (phase, verdict) = match (&spec.kind, stage) {
            (CheckKind::Connect, _) => (Phase::Connect, connect(spec, spec.timeout).await),
            (CheckKind::Combined { connect_timeout, .. }, Stage::Connect) => {
                (Phase::Connect, connect(spec, *connect_timeout).await)
            }
            (CheckKind::Ping { attempts }, _) => {
                let pinging = self.shared.pinger.ping(spec.target, *attempts, spec.timeout);
                (Phase::Receive, pinging.await)
            }
            (CheckKind::External { program, arguments }, _) => {
                let running = self.shared.programs.run(program, arguments, spec.timeout);
                (Phase::Receive, running.await)
            }
            (CheckKind::ExternalPerl { program, arguments }, _) => {
                let running = self.shared.perls.run(program, arguments, spec.timeout);
                (Phase::Receive, running.await)
            }
            (CheckKind::Negotiate(negotiate) | CheckKind::Combined { negotiate, .. }, _) => {
                let recorder = Recorder::new(Some(negotiate));
                let verdict = self.negotiate(spec, negotiate, &recorder).await;
                let trace = recorder.finish(&verdict);
                return Attempted { verdict, trace, report: None };
            }
            (CheckKind::Agent { send }, _) => {
                let recorder = Recorder::new(None);
                let answer = self.ask_agent(spec, send, &recorder).await;
                let report = answer.as_ref().ok().cloned();
                let verdict = answer.map(|report| Pass { detail: report.to_string() });
                let trace = recorder.finish(&verdict);
                return Attempted { verdict, trace, report };
            }
        };
        Attempted { verdict, trace: Trace::of(phase, begin.elapsed()), report: None }
    }

    async fn ask_agent(&self, check: &CheckSpec, send: &[u8], recorder: &Recorder) -> AgentAnswer {
        let end = Instant::now() + check.timeout.min(LONGEST);
        let deadline = std::pin::pin!(sleep_until(end));
        let (tls, settings) = (&self.shared.tls, TlsSettings::default());
        let (peer, plain) = (check.target, Security::Plain);
        let mut link = Link::new(tls, &settings, deadline, check.timeout, peer, plain, recorder);
        agent::ask(&mut link, send).await
    }

    async fn negotiate(
        &self,
        check: &CheckSpec,
        negotiate: &Negotiate,
        recorder: &Recorder,
    ) -> Verdict {
        let Some(protocol) = protocol(negotiate.protocol) else {
            return Err(failure(
                Reason::Internal,
                format!("the protocol {} is not known", negotiate.protocol),
            ));
        };
        let security = match protocol.info.carrier {
            Carrier::Tls => Security::Tls(tls::name(negotiate)),
            Carrier::Tcp | Carrier::StartTls | Carrier::Udp | Carrier::AsService | Carrier::Own => {
                Security::Plain
            }
        };
        let end = Instant::now() + check.timeout.min(LONGEST);
        let deadline = std::pin::pin!(sleep_until(end));
        let mut link = Link::new(
            &self.shared.tls,
            &negotiate.tls,
            deadline,
            check.timeout,
            check.target,
            security,
            recorder,
        );
        if let Some((connection, sessions)) = self.shared.kept.take(check) {
            link.keep(connection, sessions);
        }
        let question = Question { check, negotiate };
        let talking = (protocol.talk)(&question, &mut link);
        let verdict = match tokio::time::timeout_at(end + SLACK, talking).await {
            Ok(verdict) => verdict,
            Err(_elapsed) => Err(link.timeout()),
        };
        if let Some(connection) = link.left(&verdict) {
            self.shared.kept.put(check, connection);
        }
        verdict
    }
}

async fn connect(spec: &CheckSpec, allowed: Duration) -> Verdict {
    match timeout(allowed, connect::attempt(spec.target)).await {
        Ok(verdict) => verdict,
        Err(_elapsed) => Err(failure(
            Reason::Timeout,
            format!("no connection to {} within {allowed:?}", spec.target),
        )),
    }
}
