//! The command to run: one after `--`, or a target of the configuration.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::CommandFactory;

use super::source::{self, Resolver, Set, SettingValue};
use crate::cli::{Cli, RunArgs};
use nixmon_core::text::nearest;

/// The subcommands of Nix that have a shorthand.
pub(super) const SHORTHANDS: [&str; 4] = ["build", "shell", "develop", "flake"];

/// A target: `[target.NAME]` of the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TargetFile {
    /// The line of the table.
    pub(super) line: usize,
    /// The program and its arguments.
    pub(super) command: Option<Set<Vec<String>>>,
    /// Its working directory; may begin with `~/`.
    pub(super) directory: Option<Set<String>>,
    /// Its usual duration.
    pub(super) expected: Option<Set<Duration>>,
    /// Time after which it is reported what hangs.
    pub(super) timeout: Option<Set<Duration>>,
    /// Patterns for its services' logs, which precede those of `[services]`.
    pub(super) log: Option<Set<Vec<String>>>,
    /// The same for single services.
    pub(super) logs: BTreeMap<String, Set<Vec<String>>>,
}

/// The command to run, with its options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunTask {
    /// The name of the run.
    pub name: Option<String>,
    /// It is a target of the configuration.
    pub is_target: bool,
    /// The program and its arguments; not empty.
    pub command: Vec<OsString>,
    /// Its working directory, if it is not the current one.
    pub directory: Option<PathBuf>,
    /// The build directory of what is built, if the user names it.
    pub project: Option<PathBuf>,
    /// Its usual duration.
    pub expected: Option<Duration>,
    /// Time after which it is reported what hangs; the default depends on the command.
    pub timeout: Option<Duration>,
    /// Start even if a run with this name is in progress.
    pub allow_concurrent: bool,
    /// Notify the user of the end.
    pub notify: bool,
    /// A command for the end.
    pub on_end: Option<String>,
    /// The hub that the run is reported to.
    pub hub: Option<String>,
    /// The number of the command of a hub that asks for the run.
    pub request: Option<u64>,
}

/// Why a command line names nothing that can be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// No target of this name.
    #[error("no target `{name}` in the configuration{}; put a command after --: nixmon run -- {name} …", meant(.suggestion.as_deref()))]
    UnknownTarget {
        /// The name.
        name: String,
        /// A similar name.
        suggestion: Option<String>,
    },
    /// A word that is no command of ours.
    #[error("unknown command `{name}`{}", meant(.suggestion.as_deref()))]
    UnknownCommand {
        /// The word.
        name: String,
        /// A similar name.
        suggestion: Option<String>,
    },
    /// A target's directory begins with `~/`, and there is no home directory.
    #[error("target `{0}` runs below ~/, and there is no home directory")]
    NoHome(String),
}

fn meant(name: Option<&str>) -> String {
    name.map_or(String::new(), |name| format!("; did you mean `{name}`?"))
}

/// Puts arguments and targets together.
pub(super) fn task(
    args: RunArgs,
    targets: &BTreeMap<String, TargetFile>,
    home: Option<&str>,
) -> Result<RunTask, RunError> {
    #[cfg(feature = "agent")]
    let hub = args.hub;
    #[cfg(not(feature = "agent"))]
    let hub = None;
    let RunArgs { target, command, project, name, timeout, allow_concurrent, notify, on_end, .. } = args;
    let mut task = RunTask {
        name,
        command,
        project,
        timeout,
        allow_concurrent,
        notify,
        on_end,
        hub,
        ..RunTask::default()
    };
    let Some(target_name) = target else { return Ok(task) };
    let command = |target: &TargetFile| Some(target.command.as_ref()?.value.clone());
    let Some((target, command)) =
        targets.get(&target_name).and_then(|target| Some((target, command(target)?)))
    else {
        let names: Vec<&str> = targets.keys().map(String::as_str).collect();
        let suggestion = nearest(&target_name, &names).map(str::to_owned);
        return Err(RunError::UnknownTarget { name: target_name, suggestion });
    };
    task.command = command.into_iter().map(Into::into).collect();
    task.directory = match &target.directory {
        Some(set) => match in_home(&set.value, home) {
            None => return Err(RunError::NoHome(target_name)),
            directory => directory,
        },
        None => None,
    };
    task.expected = target.expected.as_ref().map(|set| set.value);
    task.timeout = task.timeout.or(target.timeout.as_ref().map(|set| set.value));
    task.name.get_or_insert(target_name);
    task.is_target = true;
    Ok(task)
}

/// Returns a path that may begin with `~/`; `None` if it does and there is no home directory.
pub(super) fn in_home(path: &str, home: Option<&str>) -> Option<PathBuf> {
    match path.strip_prefix('~') {
        Some(rest) => Some(PathBuf::from(format!("{}{rest}", home?.trim_end_matches('/')))),
        None => Some(PathBuf::from(path)),
    }
}

/// Returns what arguments would ask for that name a target.
pub(super) fn of_target(
    name: &str,
    targets: &BTreeMap<String, TargetFile>,
    home: Option<&str>,
) -> Result<RunTask, RunError> {
    let args = RunArgs {
        target: Some(name.to_owned()),
        command: Vec::new(),
        project: None,
        name: None,
        timeout: None,
        allow_concurrent: false,
        notify: false,
        on_end: None,
        #[cfg(feature = "agent")]
        hub: None,
    };
    task(args, targets, home)
}

/// The command that a shorthand stands for: the words behind `nixmon`.
pub(super) fn shorthand(words: Vec<OsString>) -> Result<RunTask, RunError> {
    let name = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    if !SHORTHANDS.contains(&name.as_str()) {
        let program = Cli::command();
        let subcommands = program.get_subcommands().filter(|command| !command.is_hide_set());
        let known: Vec<&str> =
            SHORTHANDS.iter().copied().chain(subcommands.map(clap::Command::get_name)).collect();
        let suggestion = nearest(&name, &known).map(str::to_owned);
        return Err(RunError::UnknownCommand { name, suggestion });
    }
    let command = std::iter::once(OsString::from("nix")).chain(words).collect();
    Ok(RunTask { command, ..RunTask::default() })
}

/// Shows targets among the settings in force.
pub(super) fn show(targets: BTreeMap<String, TargetFile>, resolver: &mut Resolver) {
    let words = |words: &Vec<String>| SettingValue::List(words.clone());
    let text = |text: &String| SettingValue::Text(text.clone());
    let seconds = |duration: &Duration| SettingValue::Number(duration.as_secs());
    for (name, target) in targets {
        let key = |last: &str| format!("target.{}.{last}", source::key(&name));
        let TargetFile { command, directory, expected, timeout, log, logs, .. } = target;
        resolver.shown(&key("command"), command, words);
        resolver.shown(&key("directory"), directory, text);
        resolver.shown(&key("expected"), expected, seconds);
        resolver.shown(&key("timeout"), timeout, seconds);
        resolver.shown(&key("services.log"), log, words);
        for (service, patterns) in logs {
            let key = key(&format!("services.{}.log", source::key(&service)));
            resolver.shown(&key, Some(patterns), words);
        }
    }
}
