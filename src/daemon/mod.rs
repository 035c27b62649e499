//! The shell around the director: the only place with a clock, tasks, threads and signals.
//!
//! In goes a configuration that has been read, out comes the end of the process. [`run`] starts what there is to start,
//! then waits for whatever happens first, tells the [`Director`], and does what the director asks for. It decides nothing.
//!
//! One thread runs the loop and the checks, one owns the kernel's table ([`reconciler`]), one writes the log.

pub mod attempts;
pub mod clock;
pub mod detach;
pub mod load;
pub mod names;
pub mod pidfile;
pub mod privileges;
pub mod reconciler;
pub mod watch;

mod files;
mod hooks;
mod outlets;
mod reloading;
mod runner;
mod service_manager;
mod signals;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use self::{
    attempts::{Attempts, Record},
    clock::Clock,
    hooks::Hooks,
    load::Reading,
    outlets::Outlets,
    pidfile::PidFile,
    privileges::Settled,
    reconciler::{Answer, KernelThread, TableChoice},
    reloading::Reload,
    runner::{Ended, Runner},
    service_manager::ServiceManager,
    signals::{Request, Signals},
    watch::{Seen, Watch},
};
use crate::{
    checks::Checker,
    director::{Action, Director, Event, Mail, News, Notice},
    ipvs::{KernelError, Report, Table},
    model::{Attempted, CheckKind, Desired, ProcessSettings, Trace},
    sinks::{
        self,
        log::Log,
        mail::{LastCheck, Letter, Mailer, Sender, World},
    },
    time::Moment,
};

/// How long the end may take before it is given up, so that a kernel that does not answer keeps nobody from leaving.
const STOP_LIMIT: Duration = Duration::from_secs(8);

/// How long the end waits for the last mails.
const MAIL_LIMIT: Duration = Duration::from_secs(5);

/// How many file descriptors we ask for, at most: what 2,000 checks at a time take, twice over.
const FILES: u64 = 8_192;

/// The shortest time between two looks at the configuration file.
const SHORTEST_LOOK: Duration = Duration::from_secs(1);

/// How many verdicts are taken before anything else is looked at.
const VERDICTS_AT_ONCE: usize = 256;

/// What a daemon needs to know at its start.
#[derive(Debug)]
pub struct Settings {
    /// The configuration file, absolute.
    pub config: PathBuf,
    /// What the file was when it was read.
    pub seen: Seen,
    /// What it asks for.
    pub desired: Desired,
    /// Whose table is directed.
    pub table: TableChoice,
    /// The pid file, if there is one.
    pub pid_file: Option<PidFile>,
    /// Whether this is the second of two processes, of which the first waits; else a service manager may.
    pub is_second: bool,
    /// The log.
    pub log: Log,
}

/// Directs until a signal says to end.
pub fn run(settings: Settings) -> io::Result<()> {
    let log = settings.log.clone();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!("This is a fault of ldirectord: {panic}");
        log.flush();
    }));
    let checker = Checker::new();
    // Mails come from who started the daemon, whoever that goes on as.
    let mailer = Mailer::new(Sender::here());
    let settled = privileges::settle(&settings, &checker)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let mut daemon = Daemon::start(settings, checker, mailer, settled).await?;
        daemon.serve().await
    });
    // A resolver that does not answer must not hold up the end.
    runtime.shutdown_background();
    ended
}

/// Everything that can wake the loop.
enum Wake {
    Signal(Request),
    Answer(Answer),
    Ended(Ended),
    Loaded(io::Result<Reading>),
    Timeout,
    Look,
    HookEnded,
    Beat,
}

/// The daemon at work.
struct Daemon {
    clock: Clock,
    director: Director,
    signals: Signals,
    kernel: KernelThread,
    runner: Runner,
    attempts: Attempts,
    hooks: Hooks,
    outlets: Outlets,
    mailer: Mailer,
    watch: Watch,
    look_at: Moment,
    process: ProcessSettings,
    reload: Reload,
    reload_again: bool,
    callback_due: bool,
    config: PathBuf,
    log: Log,
    pid_file: Option<PidFile>,
    manager: ServiceManager,
    settled: Settled,
    waiting: Option<Waiting>,
    told: Option<KernelError>,
    stopping: Option<Stopping>,
}

/// Who waits to hear that the daemon serves.
#[derive(Clone, Copy)]
enum Waiting {
    /// The first of two processes.
    FirstProcess,
    /// A service manager, if there is one.
    ServiceManager,
}

/// The signal that ends the daemon, and when the end is given up.
#[derive(Clone, Copy)]
struct Stopping {
    signal: &'static str,
    give_up: Moment,
}

impl Daemon {
    async fn start(
        settings: Settings,
        checker: Checker,
        mailer: Mailer,
        settled: Settled,
    ) -> io::Result<Daemon> {
        let Settings { config, seen, desired, table, pid_file, is_second, log } = settings;
        let signals = Signals::listen()?;
        let clock = Clock::start();
        let runner = Runner::new(checker, raise_file_limit());
        let mut kernel = KernelThread::start(table, settled.rights)?;
        settled.rights.give_up()?;
        kernel.ask_for_table();
        let (observed, told) = match kernel.next_table().await {
            Ok(observed) => (observed, None),
            Err(error) => {
                // As ldirectord does, we go on; the director tries again.
                tracing::error!("{error}");
                if pid_file.is_some() {
                    writeln!(io::stderr(), "{error}").unwrap_or_default();
                }
                (Table::default(), Some(error))
            }
        };
        let mut outlets = Outlets::start()?;
        outlets.follow(&desired);
        let mut attempts = Attempts::default();
        attempts.follow(&desired.checks);
        runner.follow(&desired.checks);
        let process = desired.process.clone();
        let (waiting, manager) = match is_second {
            true => (Waiting::FirstProcess, ServiceManager::default()),
            false => (Waiting::ServiceManager, ServiceManager::here()),
        };
        let now = clock.now();
        Ok(Daemon {
            director: Director::new(desired, &observed, now),
            look_at: now.after(process.interval.max(SHORTEST_LOOK)),
            watch: Watch::new(seen),
            hooks: Hooks::default(),
            reload: Reload::None,
            reload_again: false,
            callback_due: false,
            stopping: None,
            clock,
            signals,
            kernel,
            runner,
            attempts,
            outlets,
            mailer,
            process,
            config,
            log,
            pid_file,
            manager,
            settled,
            waiting: Some(waiting),
            told,
        })
    }

    /// One thing that happened in, what follows from it out, until the end.
    async fn serve(&mut self) -> io::Result<()> {
        loop {
            while let Some(action) = self.director.poll_action() {
                if self.act(action) {
                    return self.end();
                }
            }
            match self.wait().await {
                Wake::Signal(request) => self.obey(request),
                Wake::Answer(Answer::Report(report)) => self.take_report(report)?,
                Wake::Answer(Answer::Table(table)) => self.finish_reload(table),
                Wake::Ended(ended) => self.take_verdicts(ended),
                Wake::Loaded(loaded) => self.take_reading(loaded),
                Wake::Timeout => match self.stopping {
                    Some(_) => {
                        tracing::error!("The kernel does not answer, its table is left as it is");
                        return self.end();
                    }
                    None => self.director.handle_timeout(self.clock.now()),
                },
                Wake::Look => self.look(),
                Wake::HookEnded => {}
                Wake::Beat => self.manager.beat(self.clock.now()),
            }
        }
    }

    async fn wait(&mut self) -> Wake {
        let (timeout, look) = match self.stopping {
            Some(stopping) => (Some(stopping.give_up), None),
            None => (self.director.poll_timeout(), Some(self.look_at)),
        };
        tokio::select! {
            // Verdicts last: when many come, everything else is still looked at.
            biased;
            request = self.signals.next() => Wake::Signal(request),
            () = self.clock.sleep_until(self.manager.next_beat()) => Wake::Beat,
            answer = self.kernel.next() => Wake::Answer(answer),
            loaded = self.reload.next() => Wake::Loaded(loaded),
            () = self.clock.sleep_until(timeout) => Wake::Timeout,
            () = self.clock.sleep_until(look) => Wake::Look,
            () = self.hooks.next() => Wake::HookEnded,
            ended = self.runner.next() => Wake::Ended(ended),
        }
    }

    /// Does what the director asks for; whether that was to end.
    fn act(&mut self, action: Action) -> bool {
        match action {
            Action::StartCheck { attempt, check, stage } => {
                self.runner.start(attempt, check, stage)
            }
            Action::CancelCheck(attempt) => self.runner.cancel(attempt),
            Action::Reconcile(job) => self.kernel.run(job),
            Action::Publish(notice) => self.publish(&notice),
            Action::Send(mail) => self.send(&mail),
            Action::Finish => return true,
        }
        false
    }

    fn publish(&mut self, notice: &Notice) {
        match &notice.news {
            // It was told at the start already.
            News::KernelFault(error) if self.told.take().as_ref() == Some(error) => return,
            News::FallbackNeeded(service, needed) if self.stopping.is_none() => {
                if let Some(command) = self.outlets.fallback_command(*service) {
                    self.hooks.fallback(command, *service, *needed);
                }
            }
            News::Checked(place, verdict) => self.outlets.monitor(place, verdict),
            _ => {}
        }
        sinks::notice::log(notice, self.attempt_behind(notice));
    }

    fn send(&mut self, mail: &Mail) {
        let world = World { host: self.mailer.host(), now: self.clock.now(), wall: clock::wall() };
        let letter = Letter::write(mail, &world, |alert| {
            alert.down_since?;
            let place = alert.notice.news.place()?;
            let checks = self.director.checks_of(place.service, place.server);
            let mut failed = checks.filter_map(|check| {
                self.attempts.of(check).find(|record| record.failure.is_some())
            });
            let Record { at, failure, trace } = failed.next()?;
            Some(LastCheck { failure: failure.as_deref()?, trace, at: *at })
        });
        self.mailer.send(Arc::clone(&mail.post), letter);
    }

    /// How the attempt went that took a server out of service.
    fn attempt_behind(&self, notice: &Notice) -> Option<&Trace> {
        let News::Down(place, failure) = &notice.news else { return None };
        self.director
            .checks_of(place.service, place.server)
            .filter_map(|check| self.attempts.of(check).next())
            .find(|last| last.failure.as_deref() == Some(failure))
            .map(|last| &last.trace)
    }

    fn obey(&mut self, request: Request) {
        match request {
            Request::Stop(signal) => self.begin_end(signal, Event::Stop),
            Request::Leave(signal) => self.begin_end(signal, Event::Leave),
            Request::Reload if self.stopping.is_none() => {
                tracing::info!("Reloading Linux Director Daemon config on signal");
                self.begin_reload();
            }
            Request::Reload => {}
        }
    }

    fn begin_end(&mut self, signal: &'static str, event: Event) {
        if self.stopping.is_some() {
            return;
        }
        self.manager.stopping();
        let now = self.clock.now();
        self.stopping = Some(Stopping { signal, give_up: now.after(STOP_LIMIT) });
        self.reload = Reload::None;
        self.director.handle(event, now);
    }

    fn take_verdicts(&mut self, first: Ended) {
        let now = self.clock.now();
        self.take_verdict(first, now);
        for _ in 1..VERDICTS_AT_ONCE {
            let Some(ended) = self.runner.try_next() else { break };
            self.take_verdict(ended, now);
        }
    }

    fn take_verdict(&mut self, ended: Ended, now: Moment) {
        let Ended { attempt, check, attempted: Attempted { verdict, trace, report } } = ended;
        if let Some(end) = trace.certificate_end {
            let shown = Event::CertificateShown { attempt, end, now: clock::wall() };
            self.director.handle(shown, now);
        }
        self.attempts.record(&check, now, &verdict, trace);
        let event = match check.kind {
            CheckKind::Agent { .. } => Event::AgentAnswered {
                attempt,
                answer: verdict.map(|_| report.unwrap_or_default()),
            },
            _ => Event::CheckFinished { attempt, verdict },
        };
        self.director.handle(event, now);
    }

    fn take_report(&mut self, report: Report) -> io::Result<()> {
        self.director.handle(Event::Reconciled(report), self.clock.now());
        match self.waiting.take() {
            Some(Waiting::FirstProcess) => {
                // Before the terminal is gone: what cannot be written to the log goes there.
                self.log.flush();
                detach::say_ready()
            }
            Some(Waiting::ServiceManager) => {
                self.manager.ready(self.clock.now());
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        self.mailer.finish(MAIL_LIMIT);
        if let Some(stopping) = self.stopping {
            tracing::info!("Linux Director Daemon terminated on signal: {}", stopping.signal);
        }
        let removed = self.pid_file.take().map_or(Ok(()), PidFile::remove);
        if let Err(error) = &removed {
            tracing::error!("cannot remove the pid file: {error}");
        }
        self.log.flush();
        Ok(())
    }
}

/// Raises the limit of open files as far as we may and use it; what it is then.
///
/// Programs that we start inherit it: lowering it for them would need code between fork and exec.
fn raise_file_limit() -> usize {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1_024, 1_024));
    let wanted = hard.min(FILES).max(soft);
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) {
        Ok(()) => wanted,
        Err(_) => soft,
    };
    usize::try_from(limit).unwrap_or(usize::MAX)
}
