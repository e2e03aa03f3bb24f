//! `nixmon watch`: one event per build, whoever started it.

mod aside;
mod engaged;
mod install;
mod lines;
mod past;
mod source;

use std::collections::VecDeque;
use std::io::{PipeReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{print, print_json, print_lines, symbols};
use crate::cli::{BackendArg, ShellArg, WatchArgs, WatchCommand};
use crate::drive;
use crate::drive::signals::Endings;
use crate::exit_status::{ExitStatus, Failed};
use crate::settings::Settings;
use aside::Aside;
use engaged::Engaged;
use nixmon_core::text::{Line, Role};
use nixmon_runs::clock::unix_ms;
use nixmon_sensor::model::engage::{Engagement, Teller};
use nixmon_sensor::model::event::{Backend, BuildEvent, LossEvent, Record};
use nixmon_sensor::{Journal, Report, Shell, Spool};
use past::WatchHistory;
use rustix::process::Signal;
use source::Sources;

pub(super) use lines::line;

/// Time between two looks at marker files, active builds and reports of shells.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// Longest time without a look at the clock, for what is due.
const LONGEST: Duration = Duration::from_secs(5);
/// Losses are told once in this time.
const BETWEEN_LOSSES: Duration = Duration::from_secs(60);

/// Watches until a signal, or does what the arguments ask for instead.
pub(super) fn watch(settings: &Settings, args: &WatchArgs) -> Result<ExitStatus> {
    if let Some(WatchCommand::Engage { directory, state }) = &args.command {
        return engaged::engage(settings, directory.as_deref(), *state);
    }
    if let Some(shell) = args.shell_hook {
        let shell = match shell {
            ShellArg::Bash => Shell::Bash,
            ShellArg::Zsh => Shell::Zsh,
            ShellArg::Fish => Shell::Fish,
        };
        print(shell.hook(&settings.watch.rules).as_bytes())?;
        return Ok(ExitStatus::Success);
    }
    if let (Some(status), Some(line)) = (args.report, &args.line) {
        return report(settings, status, args.elapsed_ms, line);
    }
    if args.install {
        return install::install(settings, args);
    }
    if args.uninstall {
        return install::uninstall(settings);
    }
    let forced = args.backend.or(settings.watch.backend);
    let sources = Sources::start(settings, forced);
    if args.explain {
        print_lines(settings, &sources.explained(settings))?;
        return Ok(if sources.is_empty() { ExitStatus::System } else { ExitStatus::Success });
    }
    if sources.is_empty() {
        let why = sources.explained(settings).iter().map(Line::plain).collect::<Vec<_>>().join("; ");
        return Err(Failed::error(ExitStatus::System, why));
    }
    Watch::new(settings, args, sources)?.run()
}

/// Takes the report of a shell.
fn report(settings: &Settings, status: i32, elapsed_ms: u64, line: &str) -> Result<ExitStatus> {
    let Some(journal) = settings.journal() else { return Ok(ExitStatus::Success) };
    let report = Report {
        line: line.to_owned(),
        status,
        elapsed: Duration::from_millis(elapsed_ms),
        directory: std::env::current_dir().ok().map(|path| path.to_string_lossy().into_owned()),
        user: Some(rustix::process::getuid().as_raw()),
    };
    let Some(event) = report.read(&settings.watch.rules, unix_ms()) else { return Ok(ExitStatus::Success) };
    match journal.sensor() {
        // It has seen the build itself, with its result.
        Some(Backend::Connector | Backend::Pidfd) => {}
        Some(_) => Spool::beside(&journal).put(&event).context("cannot leave a report for the sensor")?,
        None => {
            let policy = Engaged::read(settings).policy(settings, None);
            if policy.of(event.directory.as_deref()) != Engagement::Off {
                journal
                    .append([Record::Completed(event)])
                    .context("cannot write the journal of the sensor")?;
            }
        }
    }
    Ok(ExitStatus::Success)
}

/// The loop of a sensor.
struct Watch<'s> {
    settings: &'s Settings,
    args: &'s WatchArgs,
    sources: Sources,
    journal: Option<Journal>,
    /// Keeps other sensors from the journal.
    _held: Option<nixmon_sensor::Held>,
    engaged: Engaged,
    teller: Teller,
    aside: Aside,
    past: WatchHistory,
    began: Instant,
    last_loss: Option<Instant>,
    has_lost: bool,
    has_reader: bool,
    complained: VecDeque<String>,
}

impl<'s> Watch<'s> {
    fn new(settings: &'s Settings, args: &'s WatchArgs, sources: Sources) -> Result<Self> {
        let mut journal = settings.journal();
        let mut held = None;
        if let Some(own) = &journal {
            match own.hold(sources.backend()) {
                Ok(Some(lock)) => held = Some(lock),
                Ok(None) => {
                    drive::complain(&anyhow::anyhow!("another sensor is running, and keeps the journal"));
                    journal = None;
                }
                Err(error) => {
                    drive::complain(&anyhow::Error::from(error).context("no journal of events is kept"));
                    journal = None;
                }
            }
        }
        let engaged = Engaged::read(settings);
        let teller = Teller::new(engaged.policy(settings, args.engage));
        let aside = Aside::start(settings, args)?;
        // Another sensor would teach the history the same.
        let past = WatchHistory::new(settings, held.is_some());
        Ok(Self {
            settings,
            args,
            sources,
            journal,
            _held: held,
            engaged,
            teller,
            aside,
            past,
            began: Instant::now(),
            last_loss: None,
            has_lost: false,
            has_reader: true,
            complained: VecDeque::new(),
        })
    }

    fn run(mut self) -> Result<ExitStatus> {
        let mut signals = Signals::listen()?;
        let mut next_look = Instant::now();
        let signal = loop {
            let limit = if self.sources.needs_looks() {
                next_look.saturating_duration_since(Instant::now()).min(LONGEST)
            } else {
                LONGEST
            };
            let mut records = self.sources.next(limit, signals.as_fd())?;
            if Instant::now() >= next_look {
                records.extend(self.sources.look(unix_ms()));
                next_look = Instant::now() + BETWEEN_LOOKS;
            }
            self.take(records)?;
            if !self.has_reader {
                return Ok(ExitStatus::Success);
            }
            if let Some(signal) = signals.take() {
                break signal;
            }
        };
        let rest = self.sources.rest();
        self.take(rest)?;
        for build in self.teller.rest() {
            self.tell(&Record::Completed(build))?;
        }
        self.aside.finish();
        Ok(if signal == Signal::INT { ExitStatus::Interrupted } else { ExitStatus::Success })
    }

    /// Keeps records, and tells those that are wanted.
    fn take(&mut self, records: Vec<Record>) -> Result<()> {
        if self.engaged.has_changed() {
            self.engaged = Engaged::read(self.settings);
            self.teller.set_policy(self.engaged.policy(self.settings, self.args.engage));
        }
        let now = self.began.elapsed();
        for record in records {
            match record {
                Record::Completed(mut build) => {
                    build.quiet = self.is_quiet(&build);
                    if self.engagement(&build) != Engagement::Off {
                        self.keep(Record::Completed(build.clone()));
                        self.past.learn(&build);
                    }
                    for build in self.teller.ended(build, now) {
                        self.tell(&Record::Completed(build))?;
                    }
                }
                Record::Started(build) => {
                    let engagement = self.engagement(&build);
                    let record = Record::Started(build);
                    if engagement != Engagement::Off {
                        self.keep(record.clone());
                    }
                    if engagement == Engagement::All {
                        self.tell(&record)?;
                    }
                }
                Record::Loss(_) => self.has_lost = true,
            }
        }
        for build in self.teller.due(now) {
            self.tell(&Record::Completed(build))?;
        }
        for message in self.aside.complaints() {
            self.complain(message);
        }
        self.tell_losses()
    }

    fn tell_losses(&mut self) -> Result<()> {
        if !self.has_lost || self.last_loss.is_some_and(|last| last.elapsed() < BETWEEN_LOSSES) {
            return Ok(());
        }
        (self.has_lost, self.last_loss) = (false, Some(Instant::now()));
        let losses = self.sources.losses();
        let (overruns, missed) = (losses.overruns, losses.missed);
        let record = Record::Loss(LossEvent { at_ms: unix_ms(), overruns, missed });
        self.keep(record.clone());
        self.print(&record)
    }

    fn engagement(&self, build: &BuildEvent) -> Engagement {
        self.teller.policy().of(build.directory.as_deref())
    }

    fn is_quiet(&self, build: &BuildEvent) -> bool {
        let Some(hours) = self.settings.watch.quiet else { return false };
        let ended = build.ended_ms.unwrap_or_else(unix_ms);
        lines::minute_of_day(ended).is_some_and(|minute| hours.contains(minute))
    }

    /// Adds a record to the journal.
    fn keep(&mut self, record: Record) {
        if let Some(journal) = &self.journal
            && let Err(error) = journal.append([record])
        {
            self.complain(format!("cannot write the journal of events: {error}"));
        }
    }

    /// Complains of something once, and again if other things came in between.
    fn complain(&mut self, message: String) {
        const MOST: usize = 8;
        if self.complained.contains(&message) {
            return;
        }
        drive::complain(&anyhow::anyhow!("{message}"));
        self.complained.push_back(message);
        if self.complained.len() > MOST {
            self.complained.pop_front();
        }
    }

    fn tell(&mut self, record: &Record) -> Result<()> {
        self.print(record)?;
        let line = line(record, &symbols(self.settings), self.settings.watch.home.as_deref()).plain();
        self.aside.tell(record, line);
        Ok(())
    }

    fn print(&mut self, record: &Record) -> Result<()> {
        if self.args.json {
            self.has_reader &= print_json(record)?;
            return Ok(());
        }
        let line = line(record, &symbols(self.settings), self.settings.watch.home.as_deref());
        self.has_reader &= print(super::written(self.settings, &line).as_bytes())?;
        Ok(())
    }
}

/// Signals that end the sensor, as something to wait for.
struct Signals {
    reader: PipeReader,
}

impl Signals {
    fn listen() -> Result<Self> {
        let (reader, mut writer) = std::io::pipe()?;
        rustix::io::ioctl_fionbio(&reader, true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Here, so that none is lost before the thread runs.
        let mut endings = runtime.block_on(async { Endings::listen() })?;
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async move {
                loop {
                    let signal = endings.recv().await;
                    let number = u8::try_from(signal.as_raw()).unwrap_or(u8::MAX);
                    // The reader lives as long as the loop.
                    let _ = writer.write_all(&[number]);
                }
            });
        })?;
        Ok(Self { reader })
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    fn take(&mut self) -> Option<Signal> {
        let mut number = [0];
        let n = self.reader.read(&mut number).ok()?;
        (n == 1).then(|| Signal::from_named_raw(i32::from(number[0])).unwrap_or(Signal::TERM))
    }
}

/// Returns the backend of an argument.
fn backend(arg: BackendArg) -> Backend {
    match arg {
        BackendArg::Connector => Backend::Connector,
        BackendArg::Pidfd => Backend::Pidfd,
        BackendArg::Proc => Backend::Proc,
        BackendArg::ActiveBuilds => Backend::ActiveBuilds,
        BackendArg::Marker => Backend::Marker,
        BackendArg::Shell => Backend::Shell,
    }
}

/// Makes a line of muted text.
fn muted(text: impl AsRef<str>) -> Line {
    Line::new().with(Role::Muted, text)
}
