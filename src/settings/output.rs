//! Settings of the output, and how they are chosen.

use std::time::Duration;

use super::Environment;
use super::file::ConfigFile;
use super::source::{self, Resolver, Set, SettingValue};
use crate::cli::{LogsArg, OutputArgs, OutputForm, PassthroughArg, When};

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A live view.
    Live,
    /// Condensed lines.
    Lines,
    /// JSON lines.
    Json,
    /// Results only.
    Quiet,
}

/// Settings of the output.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The form of the output.
    pub form: Form,
    /// With colours.
    pub color: bool,
    /// In ASCII.
    pub ascii: bool,
    /// Least time between two signs of life.
    pub every: Duration,
    /// Most lines.
    pub max_lines: usize,
    /// Most bytes.
    pub max_bytes: usize,
    /// Other programs' text.
    pub passthrough: PassthroughArg,
    /// Builds' logs.
    pub logs: LogsArg,
    /// Most lines of each log.
    pub log_lines: Option<usize>,
    /// Set a window title.
    pub title: bool,
    /// Tell the terminal how far the run is.
    pub progress: bool,
    /// Time between two snapshots.
    pub snapshots: Option<Duration>,
}

impl Default for Output {
    /// As if nothing had been asked for, on something that is no terminal and shows UTF-8.
    fn default() -> Self {
        let environment = Environment { utf8: true, ..Environment::default() };
        resolve(&OutputArgs::default(), &ConfigFile::default(), &environment, &mut Resolver::new(None))
    }
}

/// Chooses the output settings from arguments, file, environment and defaults.
pub(super) fn resolve(
    args: &OutputArgs,
    file: &ConfigFile,
    environment: &Environment,
    resolver: &mut Resolver,
) -> Output {
    let number = |n: &u64| SettingValue::Number(*n);
    let as_usize = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let form = resolver.pick("output", args.output, file.output.clone(), OutputForm::Auto, source::name);
    let mut color = resolver.pick("color", args.color, file.color.clone(), When::Auto, source::name);
    if color == When::Auto {
        let decided = if environment.no_color {
            Some((When::Never, "NO_COLOR"))
        } else if environment.clicolor_force {
            Some((When::Always, "CLICOLOR_FORCE"))
        } else if environment.dumb_terminal {
            Some((When::Never, "TERM"))
        } else {
            None
        };
        if let Some((when, variable)) = decided {
            color = when;
            resolver.environment(source::name(&when), variable);
        }
    }
    let ascii = args.ascii.is_some() || file.ascii.is_some();
    let mut in_ascii =
        resolver.pick("ascii", args.ascii, file.ascii.clone(), false, |ascii| SettingValue::Switch(*ascii));
    if !ascii && !environment.utf8 {
        in_ascii = true;
        resolver.environment(SettingValue::Switch(true), "LC_ALL, LC_CTYPE, LANG");
    }
    let no_title =
        resolver.pick("no-title", args.no_title.then_some(true), file.no_title.clone(), false, |no_title| {
            SettingValue::Switch(*no_title)
        });
    Output {
        form: match form {
            OutputForm::Auto if environment.stdout_is_terminal && environment.moves_cursor => Form::Live,
            // Without a terminal there is nothing to draw on.
            OutputForm::Live if environment.stdout_is_terminal => Form::Live,
            OutputForm::Live => Form::Lines,
            OutputForm::Auto | OutputForm::Lines => Form::Lines,
            OutputForm::Json => Form::Json,
            OutputForm::Quiet => Form::Quiet,
        },
        color: match color {
            When::Always => true,
            When::Never => false,
            When::Auto => environment.stdout_is_terminal,
        },
        ascii: in_ascii,
        passthrough: resolver.pick(
            "passthrough",
            args.passthrough,
            file.passthrough.clone(),
            PassthroughArg::Auto,
            source::name,
        ),
        logs: resolver.pick("logs", args.logs, file.logs_shown.clone(), LogsArg::Failed, source::name),
        log_lines: resolver
            .pick("log-lines", args.log_lines.map(Some), optional(&file.log_lines), None, number_if_any)
            .map(as_usize),
        title: environment.takes_title && !no_title,
        progress: environment.takes_progress && !no_title,
        every: Duration::from_secs(resolver.pick("every", args.every, file.every.clone(), 30, number)),
        max_lines: as_usize(resolver.pick("max-lines", args.max_lines, file.max_lines.clone(), 60, number)),
        max_bytes: as_usize(resolver.pick("max-bytes", args.max_bytes, file.max_bytes.clone(), 8192, number)),
        snapshots: resolver
            .pick("snapshots", args.snapshots.map(Some), optional(&file.snapshots), None, number_if_any)
            .map(Duration::from_secs),
    }
}

/// Wraps a setting that has no default.
fn optional(set: &Option<Set<u64>>) -> Option<Set<Option<u64>>> {
    set.as_ref().map(|set| Set { value: Some(set.value), line: set.line })
}

fn number_if_any(number: &Option<u64>) -> SettingValue {
    number.map_or(SettingValue::Unset, SettingValue::Number)
}
