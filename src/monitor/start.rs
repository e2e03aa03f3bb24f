//! Runs in the background: a monitor that belongs to no terminal and outlives the process that started it.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::watch::{Ended, HEARTBEAT, Started};
use super::{Report, execute, facts, not_started_status, reason};
use crate::cli::OutputArgs;
use crate::drive::signals::survive;
use crate::drive::{self, complain, diagnostics};
use crate::exit_status::{ExitStatus, Failed};
use crate::settings::{MCP_TOKEN, RunTask, Settings};
use nixmon_core::state::Moment;
use nixmon_core::view::Evidence;
use nixmon_runs::clock::unix_ms;
use nixmon_runs::{
    Created, ErrorKind, Facts, ProcessId, RunDir, RunId, RunOutcome, RunState, Status, StoreError,
};

/// Time between two checks of a queued run for its turn.
const QUEUE: Duration = Duration::from_millis(500);

/// The command that the monitor is to run, as bytes, since arguments need not be text.
#[derive(Debug, Serialize, Deserialize)]
struct Task {
    command: Vec<Vec<u8>>,
    directory: Option<Vec<u8>>,
    notify: bool,
    on_end: Option<String>,
    #[serde(default)]
    hub: Option<String>,
}

/// The monitor's reply to the process that started it.
#[derive(Debug, Serialize, Deserialize)]
enum StartReply {
    /// It waits for another run.
    Queued,
    /// The command runs.
    Started,
    /// It could not be started, for the reason with this `errno`.
    NotStarted(i32),
    /// Something else went wrong.
    Failed(String),
}

/// A failure to start a run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotStarted {
    /// The command does not exist or cannot be executed.
    #[error("{program}: {}", reason(error))]
    Command {
        /// The program.
        program: String,
        /// The system's reason.
        error: std::io::Error,
    },
    /// Something else went wrong.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// Starts a run and prints its number.
pub(crate) fn start(settings: &Settings, task: &RunTask, after: Option<&str>) -> Result<ExitStatus> {
    match start_run(settings, task, after) {
        Ok((run, _)) => {
            tell_number(run)?;
            Ok(ExitStatus::Success)
        }
        Err(NotStarted::Command { program, error }) => {
            complain(&anyhow::anyhow!("{program}: {}", reason(&error)));
            Ok(ExitStatus::Command(u8::try_from(not_started_status(&error)).unwrap_or(126)))
        }
        Err(NotStarted::Other(error)) => Err(error),
    }
}

/// Starts a run from a process that goes on.
#[cfg(any(feature = "agent", feature = "mcp"))]
pub(crate) fn start_in_background(
    settings: &Settings,
    task: &RunTask,
    after: Option<&str>,
) -> Result<RunId, NotStarted> {
    let (run, mut monitor) = start_run(settings, task, after)?;
    // A child that has ended stays in the table of processes until its parent has asked for its status.
    std::thread::spawn(move || monitor.wait());
    Ok(run)
}

fn start_run(settings: &Settings, task: &RunTask, after: Option<&str>) -> Result<(RunId, Child), NotStarted> {
    super::check_open_files()?;
    super::check_directory(task)?;
    super::check_processes()?;
    let store = settings.store().context("a run in the background must be kept")?;
    let mut facts = facts(task, None, true);
    let before = after.map(|reference| store.find(Some(reference)).map(|run| run.id()));
    facts.after = before.transpose().map_err(anyhow::Error::from)?;
    // The monitor takes the lock itself: until then the run is said to be starting.
    let Created { dir: run, .. } = super::create(&store, facts, task).map_err(anyhow::Error::from)?;
    match spawn_monitor(settings, task, &run) {
        Ok((StartReply::Queued | StartReply::Started, monitor)) => Ok((run.id(), monitor)),
        Ok((StartReply::NotStarted(why), _)) => {
            let error = std::io::Error::from_raw_os_error(why);
            let program = task.command.first().map(|word| word.to_string_lossy()).unwrap_or_default();
            Err(NotStarted::Command { program: program.into_owned(), error })
        }
        Ok((StartReply::Failed(error), _)) => Err(anyhow::anyhow!(error).into()),
        Err(error) => Err(error.context(format!("run {} has no monitor", run.id())).into()),
    }
}

/// Prints the number of a run that has been started. A reader that has gone can ask `list`.
fn tell_number(run: RunId) -> Result<()> {
    match writeln!(std::io::stdout(), "{run}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failed::unwritten(&error).context(format!("run {run} has been started")))
        }
        _ => Ok(()),
    }
}

fn spawn_monitor(settings: &Settings, task: &RunTask, run: &RunDir) -> Result<(StartReply, Child)> {
    let mut command = Command::new(super::own_program()?);
    if let Some(file) = settings.config_file.as_ref().filter(|_| settings.config_exists) {
        command.arg("--config").arg(file);
    }
    if settings.verbose {
        command.arg("--verbose");
    }
    if !settings.history.enabled {
        command.arg("--no-history");
    }
    let mut monitor = command
        .args(output_args(&settings.output_args))
        .arg("monitor")
        .arg(run.path())
        .env_remove(MCP_TOKEN)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start a monitor")?;
    let words = Task {
        command: task.command.iter().map(|word| word.as_bytes().to_vec()).collect(),
        directory: task.directory.as_ref().map(|directory| directory.as_os_str().as_bytes().to_vec()),
        notify: task.notify,
        on_end: task.on_end.clone(),
        hub: task.hub.clone(),
    };
    if let Some(mut stdin) = monitor.stdin.take() {
        serde_json::to_writer(&mut stdin, &words)?;
    }
    let mut line = String::new();
    if let Some(stdout) = monitor.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    let reply = serde_json::from_str(&line).context("it died at once")?;
    Ok((reply, monitor))
}

/// The arguments that limit the lines that are kept. Arguments for their looks are left out: kept lines are plain.
fn output_args(args: &OutputArgs) -> Vec<String> {
    fn name<T: ValueEnum>(choice: T) -> Option<String> {
        Some(choice.to_possible_value()?.get_name().to_owned())
    }
    let choices = [
        ("--every", args.every.map(|n| n.to_string())),
        ("--max-lines", args.max_lines.map(|n| n.to_string())),
        ("--max-bytes", args.max_bytes.map(|n| n.to_string())),
        ("--passthrough", args.passthrough.and_then(name)),
        ("--logs", args.logs.and_then(name)),
        ("--log-lines", args.log_lines.map(|n| n.to_string())),
    ];
    let given = choices.into_iter().filter_map(|(option, value)| Some((option, value?)));
    given.flat_map(|(option, value)| [option.to_owned(), value]).collect()
}

/// Monitors a run, whose task comes on standard input.
pub(crate) fn monitor(settings: &Settings, directory: &Path) -> Result<ExitStatus> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    let Task { command, directory: below, notify, on_end, hub } =
        serde_json::from_slice(&bytes).context("`nixmon monitor` is for nixmon itself; see nixmon start")?;
    survive()?;
    // In a session of its own, so that the end of the starter's session does not end this process.
    let _ = rustix::process::setsid();
    // The process that made the run has checked whose it is.
    let run = RunDir::at(directory).context("not the directory of a run")?.allow_others(true);
    if let Err(error) = diagnostics::start_in_file(
        &run.path().join("nixmon.log"),
        settings.log_level.as_deref(),
        settings.verbose,
    ) {
        send_reply(&StartReply::Failed(format!("{error:#}")));
        return Err(error);
    }
    let ended = monitor_run(
        settings,
        &run,
        RunTask {
            command: command.into_iter().map(OsString::from_vec).collect(),
            directory: below.map(|path| PathBuf::from(OsString::from_vec(path))),
            notify,
            on_end,
            hub,
            ..RunTask::default()
        },
    );
    if let Err(error) = &ended {
        send_reply(&StartReply::Failed(format!("{error:#}")));
    }
    ended
}

fn monitor_run(settings: &Settings, run: &RunDir, mut task: RunTask) -> Result<ExitStatus> {
    let mut facts = run.facts()?;
    task.name.clone_from(&facts.name);
    task.is_target = facts.is_target;
    let lock = run.lock_monitor()?.context("this run has a monitor")?;
    facts.monitor = ProcessId::of(std::process::id().cast_signed());
    // The disk may be full just now; the facts are written again once the command runs.
    if let Err(error) = run.write_facts(&facts) {
        tracing::warn!(%error, "the facts cannot be written");
    }
    if let Some(before) = facts.after
        && let Some(status) = wait_for(settings, run, before)?
    {
        super::tell(settings, &task, &never_begun(&facts, &status));
        return Ok(ExitStatus::Failure);
    }
    let planned = super::plan(settings.nix_config.as_deref(), &task.command);
    facts.environment.nix = planned.nix.map(|version| version.to_string());
    let queued = facts.after.is_some();
    let started: Started = Box::new(move |started| {
        if !queued {
            send_reply(&match started {
                Ok(()) => StartReply::Started,
                Err(error) => StartReply::NotStarted(error.raw_os_error().unwrap_or(0)),
            });
        }
    });
    let reporter = super::reporter(settings, &task, &facts, true);
    let ended =
        execute(settings, &task, &planned, facts, Some((run.clone(), lock)), Report::Files, Some(started));
    super::finish(reporter);
    Ok(ended?.status())
}

/// Waits for a run to end. Returns nothing if this run's turn has come; if that run failed or a signal asks to stop, this
/// run ends, with the status that is returned.
fn wait_for(settings: &Settings, run: &RunDir, before: RunId) -> Result<Option<Status>> {
    let runs = drive::runs(settings)?;
    let mut status = run.status().ok().flatten().unwrap_or_default();
    status.state = RunState::Queued;
    status.heartbeat_at = unix_ms();
    write_if_possible(run, &status);
    send_reply(&StartReply::Queued);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let went_well = runtime.block_on(async {
        let mut terminations = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let mut written = std::time::Instant::now();
        loop {
            tokio::select! {
                _ = terminations.recv() => return anyhow::Ok(None),
                () = tokio::time::sleep(QUEUE) => {}
            }
            if written.elapsed() >= HEARTBEAT {
                written = std::time::Instant::now();
                status.heartbeat_at = unix_ms();
                write_if_possible(run, &status);
            }
            let before = match runs.store().run(before) {
                Ok(before) => before,
                Err(StoreError::UnknownNumber { .. } | StoreError::Empty) => return Ok(Some(false)),
                // For the moment, as if too many files are open.
                Err(_) => continue,
            };
            match runs.look(&before, unix_ms()) {
                Ok(look) if look.status.state == RunState::Ended => {
                    return Ok(Some(look.status.has_succeeded()));
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Io => {
                    tracing::warn!(%error, "the run before cannot be read");
                }
                Err(error) => return Err(error.into()),
            }
        }
    })?;
    if went_well == Some(true) {
        return Ok(None);
    }
    status.state = RunState::Ended;
    status.ended_at = Some(unix_ms());
    status.heartbeat_at = unix_ms();
    status.outcome = Some(RunOutcome::NotStarted);
    status.line = match went_well {
        Some(_) => format!("run {before} failed"),
        None => "stopped before its turn".to_owned(),
    };
    // Without it whoever looks finds out that the command never began.
    write_if_possible(run, &status);
    Ok(Some(status))
}

/// Writes the status of a queued run. A disk that is full for a moment does not keep its command from beginning later.
fn write_if_possible(run: &RunDir, status: &Status) {
    if let Err(error) = run.write_status(status) {
        tracing::warn!(%error, "the status cannot be written");
    }
}

/// Makes the end of a run whose command never began.
fn never_begun(facts: &Facts, status: &Status) -> Ended {
    let (mut pipeline, _) = drive::silent_pipeline();
    let mut summary = pipeline.end_of_command(None, Moment::ZERO, |_| Evidence::default()).summary;
    if let Some(fields) = summary.as_object_mut() {
        fields.insert("outcome".to_owned(), RunOutcome::NotStarted.as_str().into());
        fields.insert("exit_code".to_owned(), 1.into());
    }
    Ended {
        exit: None,
        not_started: None,
        facts: facts.clone(),
        summary,
        outcome: RunOutcome::NotStarted.as_str(),
        line: status.line.clone(),
    }
}

/// Sends a reply to the process that started this one, which reads the first only.
fn send_reply(reply: &StartReply) {
    if let Ok(json) = serde_json::to_string(reply) {
        let mut stdout = std::io::stdout();
        // The other process may have gone.
        let _ = writeln!(stdout, "{json}").and_then(|()| stdout.flush());
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn arguments_reach_the_monitor() {
        let parse = |args: &[String]| {
            Cli::try_parse_from(["nixmon"].map(str::to_owned).iter().chain(args)).unwrap().output
        };
        assert_eq!(output_args(&OutputArgs::default()), [""; 0]);
        let words = "--every 7 --max-lines 99 --max-bytes 4096 --passthrough all --logs none --log-lines 3";
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        assert_eq!(output_args(&parse(&words)), words);
    }
}
