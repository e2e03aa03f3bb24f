//! Runs in the background: a monitor that belongs to no terminal and outlives whoever started it.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::watch::{HEARTBEAT, Started};
use super::{Report, execute, facts, not_started_status, reason};
use crate::cli::OutputArgs;
use crate::run::{ExitStatus, clients, complain, unix_ms};
use crate::runs::{Created, ProcessId, RunDir, RunId, RunState};
use crate::settings::{RunTask, Settings};

/// How often a queued run looks whether its turn has come.
const QUEUE: Duration = Duration::from_millis(500);

/// What the monitor is to run; what is no text is kept as bytes.
#[derive(Debug, Serialize, Deserialize)]
struct Task {
    command: Vec<Vec<u8>>,
    directory: Option<Vec<u8>>,
    notify: bool,
    on_end: Option<String>,
}

/// What the monitor says to whoever started it.
#[derive(Debug, Serialize, Deserialize)]
enum Word {
    /// It waits for another run.
    Queued,
    /// The command runs.
    Started,
    /// It could not be started, with this number of the system's for why.
    NotStarted(i32),
    /// Something else went wrong.
    Failed(String),
}

/// Starts a run and prints its number.
pub(in crate::run) fn start(settings: &Settings, task: &RunTask, after: Option<&str>) -> Result<ExitStatus> {
    super::check_open_files()?;
    super::check_directory(task)?;
    let store = clients::store(settings).context("a run in the background must be kept")?;
    let mut facts = facts(task, None, true);
    facts.after = after.map(|reference| store.find(Some(reference)).map(|run| run.id())).transpose()?;
    // The monitor takes the lock itself: until then the run is said to be starting.
    let Created { dir: run, .. } = super::create(&store, facts, task)?;
    match spawn_monitor(settings, task, &run) {
        Ok(Word::Queued | Word::Started) => {
            let mut stdout = std::io::stdout();
            // A reader who has gone can ask `list`.
            let _ = writeln!(stdout, "{}", run.id());
            Ok(ExitStatus::Success)
        }
        Ok(Word::NotStarted(why)) => {
            let error = std::io::Error::from_raw_os_error(why);
            let program = task.command.first().map(|word| word.to_string_lossy()).unwrap_or_default();
            complain(&anyhow::anyhow!("{program}: {}", reason(&error)));
            Ok(ExitStatus::Command(u8::try_from(not_started_status(&error)).unwrap_or(126)))
        }
        Ok(Word::Failed(error)) => bail!(error),
        Err(error) => Err(error.context(format!("run {} has no monitor", run.id()))),
    }
}

fn spawn_monitor(settings: &Settings, task: &RunTask, run: &RunDir) -> Result<Word> {
    let mut command = Command::new(super::own_program()?);
    if let Some(file) = settings.config_file.as_ref().filter(|_| settings.config_exists) {
        command.arg("--config").arg(file);
    }
    let mut monitor = command
        .args(output_args(&settings.output_args))
        .arg("monitor")
        .arg(run.path())
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
    };
    if let Some(mut stdin) = monitor.stdin.take() {
        serde_json::to_writer(&mut stdin, &words)?;
    }
    let mut line = String::new();
    if let Some(stdout) = monitor.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    serde_json::from_str(&line).context("it died at once")
}

/// The arguments that say how much is kept of a run in lines; what they look like is nobody's choice there.
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

/// Is the monitor of a run, whose task comes on standard input.
pub(in crate::run) fn monitor(settings: &Settings, directory: &Path) -> Result<ExitStatus> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    let Task { command, directory: below, notify, on_end } =
        serde_json::from_slice(&bytes).context("`nixmon monitor` is for nixmon itself; see nixmon start")?;
    // Out of the session of whoever started us: its end is not ours.
    let _ = rustix::process::setsid();
    let run = RunDir::at(directory).context("not the directory of a run")?;
    let told = tell(
        settings,
        &run,
        RunTask {
            command: command.into_iter().map(OsString::from_vec).collect(),
            directory: below.map(|path| PathBuf::from(OsString::from_vec(path))),
            notify,
            on_end,
            ..RunTask::default()
        },
    );
    if let Err(error) = &told {
        say(&Word::Failed(format!("{error:#}")));
    }
    told
}

fn tell(settings: &Settings, run: &RunDir, mut task: RunTask) -> Result<ExitStatus> {
    let mut facts = run.facts()?;
    task.name.clone_from(&facts.name);
    task.is_target = facts.is_target;
    let lock = run.lock_monitor()?.context("this run has a monitor")?;
    facts.monitor = ProcessId::of(std::process::id().cast_signed());
    run.write_facts(&facts)?;
    if let Some(before) = facts.after
        && !wait_for(settings, run, before)?
    {
        return Ok(ExitStatus::Failure);
    }
    let planned = super::plan(settings, &task.command);
    facts.environment.nix = planned.nix.map(|version| version.to_string());
    let queued = facts.after.is_some();
    let started: Started = Box::new(move |started| {
        if !queued {
            say(&match started {
                Ok(()) => Word::Started,
                Err(error) => Word::NotStarted(error.raw_os_error().unwrap_or(0)),
            });
        }
    });
    let ended =
        execute(settings, &task, &planned, facts, Some((run.clone(), lock)), Report::Files, Some(started))?;
    Ok(ended.status())
}

/// Waits for a run to end; false, and the end of this one, if it failed or we are told to stop.
fn wait_for(settings: &Settings, run: &RunDir, before: RunId) -> Result<bool> {
    let store = clients::store(settings)?;
    let mut status = run.status()?.unwrap_or_default();
    status.state = RunState::Queued;
    status.heartbeat_at = unix_ms();
    run.write_status(&status)?;
    say(&Word::Queued);
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
                run.write_status(&status)?;
            }
            let Ok(before) = store.open(before) else { return Ok(Some(false)) };
            let now = clients::current(settings, &before)?;
            if now.state == RunState::Ended {
                return Ok(Some(now.outcome.as_deref() == Some("success")));
            }
        }
    })?;
    if went_well == Some(true) {
        return Ok(true);
    }
    status.state = RunState::Ended;
    status.ended_at = Some(unix_ms());
    status.heartbeat_at = unix_ms();
    status.outcome = Some("not-started".to_owned());
    status.line = match went_well {
        Some(_) => format!("run {before} failed"),
        None => "stopped before its turn".to_owned(),
    };
    run.write_status(&status)?;
    Ok(false)
}

/// Tells whoever started us; only the first word is heard.
fn say(word: &Word) {
    if let Ok(json) = serde_json::to_string(word) {
        let mut stdout = std::io::stdout();
        // Whoever started us may have gone.
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
