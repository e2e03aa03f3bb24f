//! Commands that nixmon starts: in front of it, or in the background.
//!
//! Three processes: the *monitor* reads what the command prints and says how it goes, the *guard* is the command's parent
//! and keeps its output should the monitor die, the *command* leads a process group of its own. `run` is the monitor
//! itself; `start` makes one that belongs to no terminal.

#![expect(clippy::disallowed_methods, reason = "the clock, files and processes are this module's business")]

mod child;
mod foreground;
mod guard;
mod kept;
pub(crate) mod notify;
mod order;
mod pulse;
mod readers;
mod reaper;
mod start;
mod watch;

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::drive::background::{Background, Stream};
use crate::drive::signals::survive;
use crate::drive::{complain, history_file, options, pipeline, plain_lines, silent_pipeline};
use crate::exit_status::{ExitStatus, Failed};
use crate::history::{self, Beside, Identity};
use crate::nix_commands as nix;
use crate::nix_commands::{NixVersion, Plan};
use crate::packages;
use crate::settings::{Form, RunTask, Settings};
use child::Spawn;
use kept::Kept;
use nixmon_core::frontend::Json;
use nixmon_core::wire::millis;
use nixmon_runs::clock::unix_ms;
use nixmon_runs::{
    Created, Environment, Facts, Lock, ProcessId, Reading, RunDir, StdoutUse, Store, StoreError,
};
use watch::{Ended, Job, Started};

#[cfg(any(feature = "agent", feature = "mcp"))]
pub(crate) use start::{NotStarted, start_in_background};
pub(crate) use start::{monitor, start};

/// Runs a command in the foreground.
pub(crate) fn run(settings: &Settings, task: &RunTask) -> Result<ExitStatus> {
    check_open_files()?;
    check_directory(task)?;
    check_processes()?;
    survive()?;
    let planned = plan(settings.nix_config.as_deref(), &task.command);
    if planned.plan.asks_help {
        return Ok(replace_by(&task.command, task));
    }
    // Without a terminal there is nobody to talk to: what comes from standard input is a script.
    if settings.stdin_is_terminal
        && let Some(interactive) = &planned.plan.interactive
    {
        return run_interactive(settings, task, &planned, interactive);
    }
    let ended = run_planned(settings, task, &planned, Report::Terminal)?;
    Ok(ended.status())
}

/// Fails if the limit of open files is too low for a run.
fn check_open_files() -> Result<()> {
    /// Files of the monitor and the guard: streams, sockets, files of the run, and a connection of Nix.
    const NEEDED: u64 = 24;
    match rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        Some(limit) if limit < NEEDED => {
            let message = format!("only {limit} files may be open (ulimit -n), and a run needs {NEEDED}");
            Err(Failed::error(ExitStatus::System, message))
        }
        _ => Ok(()),
    }
}

/// Fails if the directory to run in is not there: a command that cannot be started is another thing.
fn check_directory(task: &RunTask) -> Result<()> {
    match &task.directory {
        Some(directory) if !directory.is_dir() => {
            let message = format!("the directory {} is not there", directory.display());
            Err(Failed::error(ExitStatus::NotFound, message))
        }
        _ => Ok(()),
    }
}

/// Fails if the system does not allow as many processes as a run needs (`ulimit -u`, or the limit of a container). Threads
/// count as such, so some are made for a moment.
fn check_processes() -> Result<()> {
    /// Threads of the monitor and the guard, the guard, the command, and a few for what the command starts.
    const NEEDED: usize = 16;
    let (open, closed) = std::sync::mpsc::channel::<()>();
    let closed = std::sync::Arc::new(std::sync::Mutex::new(closed));
    let mut threads = Vec::new();
    let mut failed = None;
    for _ in 0..NEEDED {
        let closed = std::sync::Arc::clone(&closed);
        let wait = move || {
            // Until the sender is dropped.
            let _ = closed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
        };
        match std::thread::Builder::new().stack_size(16 << 10).spawn(wait) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    drop(open);
    let n_made = threads.len();
    for thread in threads {
        let _ = thread.join();
    }
    match failed {
        Some(error) => {
            let message = format!(
                "the system allows only {n_made} more processes (ulimit -u), and a run needs {NEEDED}: {error}"
            );
            Err(Failed::error(ExitStatus::System, message))
        }
        None => Ok(()),
    }
}

/// The plan of a command, and the Nix for it.
struct Planned {
    plan: Plan,
    nix: Option<NixVersion>,
}

fn plan(nix_config: Option<&OsStr>, command: &[OsString]) -> Planned {
    let version = nix::detect(command);
    let known = nix::Known {
        nix: version,
        socket: nix::nix_config(nix_config, Path::new("/")).is_some(),
        takes_log_format: &nix::program_takes_log_format,
    };
    Planned { plan: nix::plan(command, known), nix: version }
}

/// Derives from a command how its recording is to be read.
fn reading(command: &[OsString]) -> Reading {
    let plan = nix::plan(command, nix::Known { nix: None, socket: false, takes_log_format: &|_| false });
    let stdout = match (plan.interactive.is_some(), plan.stdout_is_result) {
        (true, _) => StdoutUse::Passed,
        (false, true) => StdoutUse::Results,
        (false, false) => StdoutUse::Text,
    };
    Reading { stdout, any_program: !plan.is_known }
}

/// Runs a command that needs the terminal for itself: its builds are run and monitored first, then it replaces nixmon.
fn run_interactive(
    settings: &Settings,
    task: &RunTask,
    planned: &Planned,
    interactive: &nix::Interactive,
) -> Result<ExitStatus> {
    if let Some(prepare) = &interactive.prepare {
        let plan = Plan { command: prepare.clone(), interactive: None, ..planned.plan.clone() };
        let ended = run_planned(settings, task, &Planned { plan, nix: planned.nix }, Report::Preparation)?;
        if ended.status() != ExitStatus::Command(0) {
            return Ok(ended.status());
        }
    }
    Ok(replace_by(&interactive.then, task))
}

/// Makes way for a command, which takes our place. Returns only where that cannot be.
fn replace_by(words: &[OsString], task: &RunTask) -> ExitStatus {
    let mut words = words.iter();
    let program = words.next().map_or("nix".as_ref(), OsString::as_os_str);
    let mut command = Command::new(program);
    if let Some(directory) = &task.directory {
        command.current_dir(directory);
    }
    let error = command.args(words).exec();
    complain(&anyhow::anyhow!("{}: {}", program.to_string_lossy(), reason(&error)));
    ExitStatus::Command(u8::try_from(not_started_status(&error)).unwrap_or(126))
}

fn run_planned(settings: &Settings, task: &RunTask, planned: &Planned, report: Report) -> Result<Ended> {
    let facts = facts(task, planned.nix, false);
    let (facts, run) = match settings.store() {
        Ok(store) => match create(&store, facts.clone(), task) {
            Ok(Created { dir, facts, lock }) => (facts, Some((dir, lock))),
            Err(error @ StoreError::Busy { .. }) => return Err(error.into()),
            Err(error) => {
                complain(&anyhow::Error::new(error).context("this run is not kept"));
                (facts, None)
            }
        },
        Err(error) => {
            complain(&anyhow::Error::new(error).context("this run is not kept"));
            (facts, None)
        }
    };
    let reporter = reporter(settings, task, &facts, run.is_some());
    let ended = execute(settings, task, planned, facts, run, report, None);
    finish(reporter);
    ended
}

#[cfg(feature = "agent")]
use crate::fleet::Reporter;

/// Stands where no hub can be reached.
#[cfg(not(feature = "agent"))]
struct Reporter;

/// Begins to report a run to the hub that the user has named, if it is kept.
#[cfg(feature = "agent")]
fn reporter(settings: &Settings, task: &RunTask, facts: &Facts, is_kept: bool) -> Option<Reporter> {
    let hub = task.hub.as_ref()?;
    if !is_kept {
        complain(&anyhow::anyhow!("a run that is not kept cannot be reported"));
        return None;
    }
    Reporter::begin(settings, hub, facts.id, facts.environment.clone())
}

#[cfg(not(feature = "agent"))]
fn reporter(_: &Settings, _: &RunTask, _: &Facts, _: bool) -> Option<Reporter> {
    None
}

/// Gives the hub a short time to get the rest of the run.
fn finish(reporter: Option<Reporter>) {
    #[cfg(feature = "agent")]
    if let Some(reporter) = reporter {
        reporter.finish();
    }
    #[cfg(not(feature = "agent"))]
    drop(reporter);
}

/// The destination of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    /// The terminal or pipe of the user.
    Terminal,
    /// The same, but the command's standard output is the environment of a shell and is not shown.
    Preparation,
    /// The files of the run alone.
    Files,
}

/// Runs a command to its end.
fn execute(
    settings: &Settings,
    task: &RunTask,
    planned: &Planned,
    facts: Facts,
    run: Option<(RunDir, Lock)>,
    report: Report,
    started: Option<Started>,
) -> Result<Ended> {
    let Planned { plan, nix: version } = planned;
    let _span =
        tracing::info_span!("run", id = run.as_ref().map(|(run, _)| tracing::field::display(run.id())))
            .entered();
    tracing::debug!(
        command = ?plan.command,
        nix = version.map(tracing::field::display),
        socket = plan.socket,
        known = plan.is_known,
        "planned"
    );
    // Before the command starts: a configure answers while it runs.
    if let Some(build_dir) = packages::place(&plan.command, task.directory.as_deref()) {
        tracing::debug!(directory = %build_dir.display(), "CMake is asked for its targets");
    }
    // Until the end no message waits for the reader of standard error.
    let _messages = Background::spawn(Stream::Stderr);
    // Held until the end: the lock shows other processes that this monitor lives.
    let (run, _lock) = run.unzip();
    let circumstances = history::Context::of_machine().of_run(&facts);
    let kept = run.as_ref().and_then(|run| {
        Kept::create(run, &circumstances.machine())
            .inspect_err(|error| complain(&anyhow::anyhow!("this run is not kept: {error:#}")))
            .ok()
    });
    let socket = plan.socket.then(|| Socket::bind(&settings.socket_dirs, run.as_ref(), &facts)).flatten();
    let mut environment = Vec::new();
    if let Some(socket) = &socket
        && let Some(config) = nix::nix_config(settings.nix_config.as_deref(), &socket.path)
    {
        environment.push((OsString::from("NIX_CONFIG"), config));
    }
    let json = settings.output.form == Form::Json;
    // If both go to the same place, results are shown among the lines of the report.
    let copy_stdout = report == Report::Terminal && !json && !settings.stdout_is_stderr;
    let stream = if json { Stream::Stdout } else { Stream::Stderr };
    let (mut pipeline, screen) = match report {
        Report::Terminal | Report::Preparation => {
            let writer = || {
                let background = Background::spawn(stream);
                let backlog = background.backlog();
                (background, backlog)
            };
            pipeline(writer, stream, &settings.output, settings.thresholds)
        }
        Report::Files => silent_pipeline(),
    };
    if copy_stdout || report == Report::Preparation {
        pipeline.pass_stdout(true);
    } else {
        pipeline.stdout_is_result(plan.stdout_is_result);
    }
    if !plan.is_known {
        pipeline.expect_any_command();
    }
    if socket.is_some() {
        pipeline.expect_logs();
    }
    if let Some(kept) = &kept {
        pipeline.keep(plain_lines(kept.lines(), &settings.output, settings.thresholds));
        pipeline.keep(Json::new(kept.changes(), None));
    }
    let history_file = history_file(settings);
    let context = history::Context::here(&history_file).map(|context| context.of_run(&facts));
    let insights = history::Insights::beside(context.as_ref(), history::Builder::of_run(&facts));
    let beside = context.map(|context| {
        let cores = facts.environment.cores;
        let ask = version.map(|version| -> history::AskJobs {
            Box::new(move || history::number_of_jobs(nix::max_jobs(version).as_deref(), cores))
        });
        let identity = Identity {
            id: facts.id.to_string(),
            started_at: facts.created_at,
            nix: facts.environment.nix.clone(),
            always: true,
        };
        Beside::begin(&history_file, &mut pipeline, context, identity, ask)
    });
    if kept.is_some() {
        pipeline.of_run(facts.id.0);
    }
    if insights.is_some() {
        pipeline.expect_insights();
    }
    let job = Job {
        beside,
        insights,
        places: &settings.places,
        style: options(&settings.output, settings.thresholds).style,
        spawn: Spawn {
            command: plan.command.clone(),
            directory: task.directory.clone(),
            environment,
            run: run.as_ref().map(|run| run.path().to_owned()),
            listener: socket.as_ref().and_then(Socket::listener),
            background: facts.background,
            one_pipe: !copy_stdout && !plan.stdout_is_result && report != Report::Preparation,
            copy_stdout: copy_stdout
                .then(|| std::io::stdout().as_fd().try_clone_to_owned())
                .transpose()?
                .map(Into::into),
        },
        facts,
        run: run.clone(),
        kept,
        nix: *version,
        is_switch: plan.is_switch,
        prepares: report == Report::Preparation,
        started,
    };
    let ended = watch::watch(job, pipeline, screen)?;
    drop(socket);
    if let Some(error) = &ended.not_started {
        let program =
            task.command.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
        // A report for people has told so.
        let is_told = matches!(settings.output.form, Form::Live | Form::Lines);
        if report != Report::Files && !is_told {
            complain(&anyhow::anyhow!("{}: {}", program, reason(error)));
        }
    }
    tell(settings, task, &ended);
    if run.is_some()
        && let Ok(store) = settings.store()
    {
        // The next run tries again to remove what could not be removed.
        let _ = store.with_patience(LOCKED).prune_after_run(&settings.retention, unix_ms());
    }
    Ok(ended)
}

/// Notifies the user of the end, if they asked for it.
fn tell(settings: &Settings, task: &RunTask, ended: &Ended) {
    if !task.notify && task.on_end.is_none() {
        return;
    }
    let name = ended.facts.name.clone().unwrap_or_else(|| ended.facts.command.join(" "));
    let summary = ended.summary.to_string();
    let end = notify::End {
        id: ended.facts.id,
        name: &name,
        outcome: ended.outcome,
        exit_code: ended.exit_code(),
        line: &ended.line,
        summary: &summary,
    };
    if task.notify
        && let Err(error) = notify::notify(&settings.notify, &end)
    {
        complain(&error.into());
    }
    if let Some(command) = &task.on_end
        && let Err(error) = notify::on_end(command, &end)
    {
        complain(&error.into());
    }
}

impl Ended {
    /// Returns the exit status of nixmon.
    fn status(&self) -> ExitStatus {
        ExitStatus::Command(u8::try_from(self.exit_code()).unwrap_or(1))
    }

    /// The same, as a number.
    fn exit_code(&self) -> i32 {
        match (&self.exit, &self.not_started) {
            (Some(exit), _) => exit.status(),
            (None, Some(error)) => not_started_status(error),
            // Unknown.
            (None, None) => 1,
        }
    }
}

/// Returns the exit status that a shell would give: 127 for a program that is missing, 126 for one that cannot be run.
fn not_started_status(error: &std::io::Error) -> i32 {
    if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 }
}

/// Returns the reason in a shell's words.
pub(crate) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "command not found".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ if error.raw_os_error() == Some(0) => "its guard died before it could start it".to_owned(),
        _ => error.to_string(),
    }
}

/// The socket that Nix writes its log to.
#[derive(Debug)]
struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Removed with it.
    directory: Option<PathBuf>,
}

impl Socket {
    /// Makes one in the directory of the run, or elsewhere if its path would be too long there.
    fn bind(elsewhere: &[PathBuf], run: Option<&RunDir>, facts: &Facts) -> Option<Self> {
        let path = match &facts.socket {
            Some(path) => PathBuf::from(path),
            None => nixmon_runs::socket_elsewhere(elsewhere)?,
        };
        let directory = path.parent().filter(|parent| run.is_none_or(|run| run.path() != *parent));
        let directory = directory.map(Path::to_owned);
        Some(Self { listener: UnixListener::bind(&path).ok()?, path, directory })
    }

    fn listener(&self) -> Option<(UnixListener, PathBuf)> {
        Some((self.listener.try_clone().ok()?, self.path.clone()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        if let Some(directory) = &self.directory {
            let _ = std::fs::remove_dir(directory);
        }
    }
}

/// Longest silent wait for the lock of the store.
const LOCKED: Duration = Duration::from_secs(1);
/// Longest wait after that. A command in front is run all the same, and not kept.
const STAYS_LOCKED: Duration = Duration::from_secs(4);

/// Gives the run a number and a place.
fn create(store: &Store, mut facts: Facts, task: &RunTask) -> Result<Created, StoreError> {
    facts.is_first = match &facts.name {
        Some(name) => store.latest_ok(name)?.is_none(),
        None => false,
    };
    let quick = store.clone().with_patience(LOCKED);
    match quick.create(facts.clone(), task.allow_concurrent) {
        Err(error @ StoreError::Locked { .. }) => complain(&anyhow::Error::new(error).context("waiting")),
        created => return created,
    }
    store.clone().with_patience(STAYS_LOCKED).create(facts, task.allow_concurrent)
}

fn facts(task: &RunTask, version: Option<NixVersion>, background: bool) -> Facts {
    let directory = task.directory.clone().or_else(|| std::env::current_dir().ok()).unwrap_or_default();
    Facts {
        format: nixmon_runs::FORMAT,
        name: task.name.clone(),
        is_target: task.is_target,
        command: task.command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        directory: directory.to_string_lossy().into_owned(),
        reading: Some(reading(&task.command)),
        background,
        request: task.request,
        created_at: unix_ms(),
        expected_ms: task.expected.map(millis),
        timeout_ms: task.timeout.map(millis),
        project: task.project.as_ref().map(|project| {
            let absolute = std::path::absolute(project).unwrap_or_else(|_| project.clone());
            absolute.to_string_lossy().into_owned()
        }),
        tool_jobs: history::tool_jobs(
            &task.command.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>(),
        ),
        environment: environment(version),
        monitor: (!background).then(|| ProcessId::of(std::process::id().cast_signed())).flatten(),
        ..Facts::default()
    }
}

fn environment(version: Option<NixVersion>) -> Environment {
    Environment { nix: version.map(|version| version.to_string()), ..history::machine() }
}

/// Does what the order on standard input says.
pub(crate) fn guard() -> Result<ExitStatus> {
    guard::guard().map(|()| ExitStatus::Success)
}

/// This program, also after an update has replaced its file.
fn own_program() -> Result<PathBuf> {
    let program = std::env::current_exe().context("cannot find this program")?;
    if program.exists() { Ok(program) } else { Ok(Path::new("/proc/self/exe").to_owned()) }
}
