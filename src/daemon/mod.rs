//! The shell around the director: the only place with a clock, tasks, threads and signals.
//!
//! In goes a configuration that has been read, out comes the end of the process. [`run`] starts what there is to start,
//! then waits for whatever happens first, tells the [`Director`], and does what the director asks for. It decides nothing.
//!
//! One thread runs the loop and the checks, one owns the kernel's table ([`reconciler`]), one writes the log.

pub mod attempts;
pub mod children;
pub mod clock;
pub mod detach;
pub mod instance;
pub mod load;
pub mod names;
pub mod pidfile;
pub mod privileges;
pub mod reconciler;
pub mod watch;

mod files;
mod hooks;
mod maintenance;
mod outlets;
mod questions;
mod reloading;
mod runner;
mod service_manager;
mod signals;

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use self::{
    attempts::{Attempts, Record},
    children::{Caller, Children},
    clock::Clock,
    hooks::Hooks,
    load::Reading,
    maintenance::{Known, MaintenanceWatch},
    outlets::Outlets,
    pidfile::PidFile,
    privileges::Settled,
    reconciler::{Answer, KernelThread},
    reloading::Reload,
    runner::{Ended, Runner},
    service_manager::ServiceManager,
    signals::{Request, Signals},
    watch::{Seen, Watch},
};
use crate::{
    checks::Checker,
    control::server::{self as control, Asked},
    director::{Action, Alert, Director, Event, Message, News, Notice},
    ipvs::{KernelError, Report, Table},
    model::{Attempted, CheckKind, Desired, Maintenance, ProcessSettings, Trace, Way},
    sinks::{
        self,
        log::Log,
        mail::{Letter, Sender},
        message::{LastCheck, World},
        outbox::{Outbox, Parcel},
        webhook::Call,
    },
    status::DaemonState,
    time::Moment,
};

/// How long the end may take before it is given up, so that a kernel that does not answer keeps nobody from leaving.
const STOP_LIMIT: Duration = Duration::from_secs(8);

/// How long the end waits for the daemons of `execute` before it goes on.
const CHILDREN_LIMIT: Duration = Duration::from_secs(4);

/// How long the end waits for programs that run, such as the last fallback commands.
const HOOKS_LIMIT: Duration = Duration::from_secs(5);

/// How long the end waits for the last mails and webhooks.
const ALERT_LIMIT: Duration = Duration::from_secs(5);

/// How long the end may take with all of that: who stops a daemon waits 10 s to see it gone.
const END_LIMIT: Duration = Duration::from_secs(9);

/// How long each part of the end has, however late it is.
const SHORTEST_WAIT: Duration = Duration::from_millis(500);

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
    /// How this program is called for other configurations; among that, whose table is directed.
    pub caller: Caller,
    /// The pid file, if there is one.
    pub pid_file: Option<PidFile>,
    /// Whether this is the second of two processes, of which the first waits; else a service manager may.
    pub is_second: bool,
    /// Where it is asked how things stand.
    pub socket: PathBuf,
    /// The log.
    pub log: Log,
}

/// Directs until a signal says to end.
pub fn run(settings: Settings) -> io::Result<()> {
    let log = settings.log.clone();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!(event = "panic", "This is a fault of ldirectord: {panic}");
        log.flush();
    }));
    let checker = Checker::new();
    // Mails come from who started the daemon, whoever that goes on as.
    let outbox = Outbox::new(Sender::here(), clock::wall);
    // Its folder is root's.
    let listener = questions::listen(&settings.socket);
    let settled = privileges::settle(&settings, &checker)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let mut daemon = Daemon::start(settings, checker, outbox, listener, settled).await?;
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
    Known(Box<Known>),
    Maintenance(Maintenance),
    Timeout,
    Look,
    HookEnded,
    Asked(Asked),
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
    children: Children,
    outlets: Outlets,
    maintenance: MaintenanceWatch,
    outbox: Outbox,
    watch: Watch,
    look_at: Moment,
    process: ProcessSettings,
    reload: Reload,
    reload_again: bool,
    /// Whether what is being read is to be what the watch saw.
    reload_seen: bool,
    callback_due: bool,
    config: PathBuf,
    log: Log,
    pid_file: Option<PidFile>,
    manager: ServiceManager,
    control: Option<control::Server>,
    about: DaemonState,
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
    begun: Moment,
    /// How it goes on when the daemons of `execute` have gone, or at that moment.
    after_children: Option<(Moment, Ending)>,
    give_up: Moment,
}

/// The two ways to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Services leave the kernel.
    Stop,
    /// The kernel's table stays for the next daemon.
    Leave,
}

impl Daemon {
    async fn start(
        settings: Settings,
        checker: Checker,
        outbox: Outbox,
        listener: Option<control::Listener>,
        settled: Settled,
    ) -> io::Result<Daemon> {
        let Settings { config, seen, desired, caller, pid_file, is_second, log, .. } = settings;
        let signals = Signals::listen()?;
        let clock = Clock::start();
        let runner = Runner::new(checker, raise_file_limit());
        let mut kernel = KernelThread::start(caller.table, settled.rights)?;
        settled.rights.give_up()?;
        kernel.ask_for_table();
        let (observed, told) = match kernel.next_table().await {
            Ok(observed) => (observed, None),
            Err(error) => {
                // As ldirectord does, we go on; the director tries again.
                sinks::notice::log_fault(&error);
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
        let known = Known::find_out(maintenance::Place::of(&desired), BTreeMap::new()).await;
        let process = desired.process.clone();
        let (waiting, manager) = match is_second {
            true => (Waiting::FirstProcess, ServiceManager::default()),
            false => (Waiting::ServiceManager, ServiceManager::here()),
        };
        let (now, wall) = (clock.now(), clock::wall());
        let about = DaemonState {
            configuration: config.display().to_string(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            phase: String::new(),
            started: wall,
            loaded: wall,
            now: wall,
        };
        let maintenance = MaintenanceWatch::new(known, now);
        Ok(Daemon {
            control: listener.and_then(questions::serve),
            about,
            director: Director::with_maintenance(
                desired,
                maintenance.maintenance(),
                &observed,
                now,
            ),
            maintenance,
            look_at: now.after(process.interval.max(SHORTEST_LOOK)),
            watch: Watch::new(seen),
            hooks: Hooks::default(),
            children: Children::new(caller, process.execute.clone()),
            reload: Reload::None,
            reload_again: false,
            reload_seen: false,
            callback_due: false,
            stopping: None,
            clock,
            signals,
            kernel,
            runner,
            attempts,
            outlets,
            outbox,
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
            if self.stopping.is_some() {
                self.go_on_ending();
            } else if self.director.has_started() {
                self.children.start(&mut self.hooks);
            }
            while let Some(action) = self.director.poll_action() {
                if self.act(action) {
                    return self.end().await;
                }
            }
            match self.wait().await {
                Wake::Signal(request) => self.obey(request),
                Wake::Answer(Answer::Report(report)) => self.take_report(report)?,
                Wake::Answer(Answer::Table(table)) => self.finish_reload(table),
                Wake::Ended(ended) => self.take_verdicts(ended),
                Wake::Loaded(loaded) => self.take_reading(loaded),
                Wake::Known(known) => self.take_known(*known),
                Wake::Maintenance(maintenance) => {
                    self.director.handle(Event::Maintenance(maintenance), self.clock.now());
                }
                Wake::Timeout => match self.stopping {
                    Some(Stopping { after_children: Some(_), .. }) => {}
                    Some(_) => {
                        tracing::error!(
                            event = "kernel-silent",
                            "The kernel does not answer, its table is left as it is"
                        );
                        return self.end().await;
                    }
                    None => self.director.handle_timeout(self.clock.now()),
                },
                Wake::Look => self.look(),
                Wake::HookEnded => {}
                Wake::Asked(asked) => self.answer(asked),
                Wake::Beat => self.manager.beat(self.clock.now()),
            }
        }
    }

    async fn wait(&mut self) -> Wake {
        let (timeout, look) = match self.stopping {
            Some(Stopping { after_children: Some((at, _)), .. }) => (Some(at), None),
            Some(stopping) => (Some(stopping.give_up), None),
            None => (self.director.poll_timeout(), Some(self.look_at)),
        };
        tokio::select! {
            // Verdicts last: when many come, everything else is still looked at.
            biased;
            request = self.signals.next() => Wake::Signal(request),
            () = self.clock.sleep_until(self.manager.next_beat()) => Wake::Beat,
            answer = self.kernel.next() => Wake::Answer(answer),
            loaded = self.reload.next() => loaded,
            maintenance = self.maintenance.next(&self.clock) => Wake::Maintenance(maintenance),
            () = self.clock.sleep_until(timeout) => Wake::Timeout,
            () = self.clock.sleep_until(look) => Wake::Look,
            () = self.hooks.next() => Wake::HookEnded,
            asked = questions::next(&mut self.control) => Wake::Asked(asked),
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
            Action::Send(message) => self.send(&message),
            Action::Finish => return true,
        }
        false
    }

    fn publish(&mut self, notice: &Notice) {
        match &notice.news {
            // It was told at the start already.
            News::KernelFault(error) if self.told.take().as_ref() == Some(error) => return,
            News::FallbackNeeded(service, needed) => {
                if let Some(command) = self.outlets.fallback_command(*service) {
                    self.hooks.fallback(command, *service, *needed);
                }
            }
            News::Checked(place, verdict) => self.outlets.monitor(place, verdict),
            News::InMaintenance(place) => self.outlets.monitor_maintenance(place, false),
            News::Maintenance(place, true) => self.outlets.monitor_maintenance(place, true),
            _ => {}
        }
        sinks::notice::log(notice, self.attempt_behind(notice));
    }

    fn send(&mut self, message: &Message) {
        let id = self.outbox.next_number();
        let world = World {
            host: self.outbox.host(),
            configuration: &self.config,
            now: self.clock.now(),
            wall: clock::wall(),
        };
        let last_check = |alert: &Alert| {
            // Of what is in maintenance no check is why.
            alert.down_since.filter(|_| !alert.in_maintenance)?;
            let place = alert.notice.news.place()?;
            let checks = self.director.checks_of(place.service, place.server);
            let mut failed = checks.filter_map(|check| {
                self.attempts.of(check).find(|record| record.failure.is_some())
            });
            let Record { at, failure, trace } = failed.next()?;
            Some(LastCheck { failure: failure.as_deref()?, trace, at: *at })
        };
        let parcel = match &message.recipient.way {
            Way::Mail(post) => {
                Parcel::Letter(Arc::clone(post), Letter::write(message, &world, last_check))
            }
            Way::Webhook(webhook) => {
                let call = Call::write(id, message, webhook, &world, last_check);
                Parcel::Call(Arc::clone(webhook), call)
            }
        };
        self.outbox.send(parcel);
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
            Request::Stop(signal) => self.begin_end(signal, Ending::Stop),
            Request::Leave(signal) => self.begin_end(signal, Ending::Leave),
            Request::Reload if self.stopping.is_none() => {
                tracing::info!(
                    event = "reload",
                    signal = "HUP",
                    "Reloading Linux Director Daemon config on signal"
                );
                self.reload_seen = false;
                self.begin_reload();
            }
            Request::Reload => {}
        }
    }

    fn begin_end(&mut self, signal: &'static str, ending: Ending) {
        if self.stopping.is_some() {
            return;
        }
        self.manager.stopping();
        let now = self.clock.now();
        let after_children = Some((now.after(CHILDREN_LIMIT), ending));
        self.stopping =
            Some(Stopping { signal, begun: now, after_children, give_up: now.after(STOP_LIMIT) });
        self.reload = Reload::None;
        self.children.end(ending == Ending::Leave, &mut self.hooks);
    }

    /// Our own end comes when the daemons of `execute` have gone, as with ldirectord.
    fn go_on_ending(&mut self) {
        let now = self.clock.now();
        if let Some(stopping) = &mut self.stopping
            && let Some((at, ending)) = stopping.after_children
            && (at <= now || !self.hooks.are_busy_with_instances())
        {
            stopping.after_children = None;
            self.director.handle(
                match ending {
                    Ending::Stop => Event::Stop,
                    Ending::Leave => Event::Leave,
                },
                now,
            );
        }
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

    /// How long this part of the end may take, which may take so long by itself.
    fn time_for(&self, limit: Duration) -> Duration {
        let Some(stopping) = self.stopping else { return limit };
        let left = stopping.begun.after(END_LIMIT).since(self.clock.now());
        limit.min(left.max(SHORTEST_WAIT))
    }

    async fn end(&mut self) -> io::Result<()> {
        self.hooks.finish(self.time_for(HOOKS_LIMIT)).await;
        self.outbox.finish(self.time_for(ALERT_LIMIT));
        if let Some(stopping) = self.stopping {
            let signal = stopping.signal;
            tracing::info!(
                event = "stop",
                signal,
                "Linux Director Daemon terminated on signal: {signal}"
            );
        }
        let removed = self.pid_file.take().map_or(Ok(()), PidFile::remove);
        if let Err(error) = &removed {
            let errno = error.raw_os_error();
            tracing::error!(event = "pid-file", errno, "cannot remove the pid file: {error}");
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
