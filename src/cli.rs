//! The command line. Types only; what they mean together is for `settings` to say.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};

/// Least value of `--every`, in seconds.
pub const MIN_EVERY: u64 = 5;
/// Least value of `--max-lines`: a verdict and a few lines of why.
pub const MIN_LINES: u64 = 6;
/// Least value of `--max-bytes`.
pub const MIN_BYTES: u64 = 512;
/// Least value of `--snapshots`, in seconds.
pub const MIN_SNAPSHOTS: u64 = 1;

const AFTER_HELP: &str = "\
nixmon build|shell|develop|flake ARGUMENTS are `nixmon run -- nix …`; all arguments behind the name are Nix's.

Exit status: 0 success, 1 something failed, 2 it could not begin, 130 interrupted; of `run` and `wait` that of the command, or \
128 and the number of the signal that ended it; 124 of `wait` at its timeout.\n\nkill -USR1 (on macOS also ^T) makes nixmon say how it stands.";

/// Watches a Nix build and says in few lines what matters.
///
/// Reads what Nix and the tools around it print, and writes a condensed, truthful summary: phases, counts, failures with
/// their cause, and where to read on: `nix build --log-format internal-json |& nixmon`.
#[derive(Debug, Parser)]
#[command(name = "nixmon", version, max_term_width = 100)]
#[command(after_help = AFTER_HELP)]
pub struct Cli {
    /// What to do instead of reading standard input.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to say it.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Keep the raw input with its times in FILE, for `nixmon replay` and for bug reports; compressed if FILE ends in .zst
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub record: Option<PathBuf>,
    /// Whether the exit status of what writes into the pipe is looked for (Linux 6.15 and later) [default: auto]
    #[arg(long, value_enum, value_name = "WHEN")]
    pub status_from_writer: Option<StatusFromWriter>,
    /// Read this configuration file [default: ~/.config/nixmon/config.toml]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

/// Subcommands that say things in their own form: of the options for output they take few, though clap gives them all.
const CLIENTS: [&str; 8] = ["status", "wait", "log", "stop", "list", "runs", "completions", "man"];
/// Options for output that are of no use to those.
const NOT_FOR_CLIENTS: [&str; 9] = [
    "output",
    "every",
    "max_lines",
    "max_bytes",
    "passthrough",
    "logs",
    "log_lines",
    "no_title",
    "snapshots",
];

impl Cli {
    /// Reads the arguments of this process; ends it with help, the version or a mistake.
    pub fn read() -> Self {
        Self::try_parse().unwrap_or_else(|error| {
            if error.kind() == ErrorKind::DisplayHelp {
                // The same once more, for help that is made at leisure.
                let _ = with_options_in_place(Self::command()).get_matches();
            }
            error.exit()
        })
    }
}

/// Hides options where they are of no use.
pub fn with_options_in_place(mut command: clap::Command) -> clap::Command {
    // Subcommands get the options that are for all of them only now.
    command.build();
    hide_options(command, false)
}

fn hide_options(command: clap::Command, is_client: bool) -> clap::Command {
    let is_client = is_client || CLIENTS.contains(&command.get_name());
    let command = command.mut_args(|arg| {
        let is_hidden = is_client && NOT_FOR_CLIENTS.contains(&arg.get_id().as_str());
        if is_hidden { arg.hide(true) } else { arg }
    });
    command.mut_subcommands(|command| hide_options(command, is_client))
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a command and watch it; ends with its exit status
    Run(RunArgs),
    /// Run a command in the background: prints the number of the run and returns at once
    Start(StartArgs),
    /// Say how a run stands
    Status(StatusArgs),
    /// Wait until a run ends, or there is something new, and print what is new
    Wait(WaitArgs),
    /// Print what a run and its builds printed
    Log(LogArgs),
    /// End a run: SIGTERM to its process group, later SIGKILL
    Stop(StopArgs),
    /// List runs, the latest first
    List(ListArgs),
    /// Look after the runs that are kept
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Read logs or recordings from files, as if they came now
    Replay(ReplayArgs),
    /// Check the configuration file, or show what is in force
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print shell completions
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man {
        /// Write this page and those of all subcommands into DIR instead
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        directory: Option<PathBuf>,
    },
    /// Holds on to a command if its monitor dies. For nixmon itself.
    #[command(hide = true)]
    Guard,
    /// Watches a run of `start`. For nixmon itself.
    #[command(hide = true)]
    Monitor {
        /// Where the run is kept.
        directory: PathBuf,
    },
    /// A shorthand for a command of Nix, with its arguments as they are.
    #[command(external_subcommand)]
    Nix(Vec<OsString>),
}

/// What to run.
#[derive(Clone, Debug, Args)]
#[command(override_usage = "nixmon run [OPTIONS] <TARGET>\n       nixmon run [OPTIONS] -- <COMMAND>...")]
pub struct RunArgs {
    /// A target of the configuration: [target.NAME]
    #[arg(value_name = "TARGET", required_unless_present = "command", conflicts_with = "command")]
    pub target: Option<String>,
    /// The command and its arguments, behind --
    #[arg(last = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
    /// Name the run [default: the target's name]
    #[arg(long, value_name = "NAME", value_parser = run_name)]
    pub name: Option<String>,
    /// Say once what hangs if the run takes longer than this; it is not stopped [default: 15m for a switch; 0: never]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Run also if a run of this name goes on
    #[arg(long)]
    pub allow_concurrent: bool,
    /// Tell you how the run ended, by the terminal or the desktop
    #[arg(long)]
    pub notify: bool,
    /// When the run has ended, run this with sh for up to 60 s: the summary record is its standard input, and NIXMON_RUN,
    /// NIXMON_NAME, NIXMON_OUTCOME and NIXMON_EXIT_CODE say which run it was
    #[arg(long, value_name = "COMMAND", value_hint = ValueHint::CommandString)]
    pub on_end: Option<String>,
}

/// What to run in the background.
#[derive(Clone, Debug, Args)]
#[command(override_usage = "nixmon start [OPTIONS] <TARGET>\n       nixmon start [OPTIONS] -- <COMMAND>...")]
pub struct StartArgs {
    /// What to run.
    #[command(flatten)]
    pub run: RunArgs,
    /// Begin when this run has ended well; if it fails do not begin
    #[arg(long, value_name = "RUN")]
    pub after: Option<String>,
}

/// Which run to tell of.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// The number of a run, or a name for the latest run of it [default: the latest run]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What to wait for.
#[derive(Clone, Debug, Args)]
pub struct WaitArgs {
    /// The number of a run, or a name for the latest run of it [default: the latest run]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// What to wait for
    #[arg(long = "for", value_name = "WHAT", value_enum, default_value_t = WaitFor::End)]
    pub what: WaitFor,
    /// Print what came after this: a number of condensed lines, which `wait` and `status` print [default: from now on, or how it ended]
    #[arg(long, value_name = "CURSOR")]
    pub since: Option<u64>,
    /// Give up after this time, with exit status 124
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Print JSON lines: the condensed lines with their cursors, and last how the run stands
    #[arg(long)]
    pub json: bool,
}

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WaitFor {
    /// The end of the run
    End,
    /// Anything worth a line, or the end
    Change,
}

/// What to print of a run.
#[derive(Clone, Debug, Args)]
pub struct LogArgs {
    /// The number of a run, or a name for the latest run of it [default: the latest run]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Go on until the run ends
    #[arg(long, short)]
    pub follow: bool,
    /// Only the log of a derivation: its name or path, the beginning of either, or an output's path
    #[arg(long, value_name = "DERIVATION", conflicts_with = "unit")]
    pub derivation: Option<String>,
    /// Only what is said of a unit or service, and the end of its own log
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<String>,
    /// Only lines that match this regular expression
    #[arg(long, value_name = "REGEX")]
    pub grep: Option<String>,
    /// Only lines A to B of what would be printed, from 1; from the end if negative; either may be left out
    #[arg(long, value_name = "A:B", allow_hyphen_values = true, value_parser = line_range)]
    pub lines: Option<LineRange>,
    /// Print the input as it came, records and all
    #[arg(long, conflicts_with_all = ["derivation", "unit"])]
    pub raw: bool,
}

/// A range of lines, both ends included and from 1; negative ones count from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineRange {
    /// The first.
    pub first: Option<i64>,
    /// The last.
    pub last: Option<i64>,
}

/// Which run to end.
#[derive(Clone, Debug, Args)]
pub struct StopArgs {
    /// The number of a run, or a name for the latest run of it [default: the only run that goes on]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Time between SIGTERM and SIGKILL
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10s")]
    pub grace: Duration,
}

/// Which runs to list.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// All that are kept, not the latest 20
    #[arg(long, short)]
    pub all: bool,
    /// Print JSON lines
    #[arg(long)]
    pub json: bool,
}

/// What to do with the runs that are kept.
#[derive(Clone, Debug, Subcommand)]
pub enum RunsCommand {
    /// Remove runs that are old, many or large; never one that goes on
    Prune {
        /// Older than so many days [default: 30]
        #[arg(long, value_name = "DAYS")]
        keep_days: Option<u64>,
        /// All but the latest N [default: 100]
        #[arg(long, value_name = "N")]
        keep_runs: Option<u64>,
        /// The oldest, until the rest takes at most so many MiB [default: 1024]
        #[arg(long, value_name = "MIB")]
        keep_mib: Option<u64>,
        /// Only say what would be removed
        #[arg(long)]
        dry_run: bool,
    },
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check the file: exit status 0 if it can be used, else 2, with each mistake and its place
    Check {
        /// The file, instead of the one that would be read
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
    },
    /// Print every setting in force and where it comes from
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What to replay, and how.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Logs or recordings, one after the other; .zst too; - is standard input; a number or name that is no file is a run's
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Let time pass N times as fast as it was recorded, instead of not at all
    #[arg(long, value_name = "N", value_parser = positive)]
    pub speed: Option<f64>,
    /// The exit status of the command, which a log does not tell
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(i32).range(0..=255))]
    pub exit_status: Option<i32>,
}

/// How to say it.
#[derive(Clone, Debug, Default, Args)]
pub struct OutputArgs {
    /// Form of the output [default: auto]
    #[arg(global = true, long, short, value_enum, value_name = "FORM")]
    pub output: Option<OutputForm>,
    /// When to use colours [default: auto]
    #[arg(global = true, long, value_enum, value_name = "WHEN")]
    pub color: Option<When>,
    /// Print ASCII only; the default where the locale has no UTF-8
    #[arg(global = true, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub ascii: Option<bool>,
    /// Least seconds between two signs of life, not under 5 [default: 30]
    #[arg(global = true, long, value_name = "SECONDS", value_parser = at_least::<MIN_EVERY>)]
    pub every: Option<u64>,
    /// Print at most N lines, however long the build takes, not under 6 [default: 60]
    #[arg(global = true, long, value_name = "N", value_parser = at_least::<MIN_LINES>)]
    pub max_lines: Option<u64>,
    /// Print at most N bytes, however long the build takes, not under 512 [default: 8192]
    #[arg(global = true, long, value_name = "N", value_parser = at_least::<MIN_BYTES>)]
    pub max_bytes: Option<u64>,
    /// What becomes of the text of other programs [default: auto]
    #[arg(global = true, long, value_enum, value_name = "HOW")]
    pub passthrough: Option<PassthroughArg>,
    /// What is shown of builds' logs [default: failed]
    #[arg(global = true, long, value_enum, value_name = "WHICH")]
    pub logs: Option<LogsArg>,
    /// Show at most N lines of each build's log [default: 8 of one that fails]
    #[arg(global = true, long, value_name = "N")]
    pub log_lines: Option<u64>,
    /// Leave the window title and the terminal's progress sign alone
    #[arg(global = true, long)]
    pub no_title: bool,
    /// With --output json: a snapshot every so many seconds
    #[arg(global = true, long, value_name = "SECONDS", value_parser = at_least::<MIN_SNAPSHOTS>)]
    pub snapshots: Option<u64>,
}

/// Whether a filter ends as what writes into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatusFromWriter {
    /// Where the system can tell its exit status, `nix build |& nixmon` ends as `nix build` does; else the stream decides
    Auto,
    /// The stream alone decides
    Never,
}

/// Forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputForm {
    /// What fits where the output goes
    Auto,
    /// A live view at the bottom of the terminal
    #[cfg(feature = "live")]
    Live,
    /// Condensed lines
    Lines,
    /// JSON lines, of which the last is the summary
    Json,
    /// Nothing but a command's results; the exit status tells
    Quiet,
}

/// When to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// If the output goes to a terminal; of NO_COLOR, CLICOLOR_FORCE and TERM=dumb the first that is set decides instead
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What becomes of other programs' text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PassthroughArg {
    /// It passes as far as there is room; a flood becomes a count
    Auto,
    /// All of it passes, beside the limits
    All,
    /// Only results pass
    None,
}

/// What is shown of builds' logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogsArg {
    /// Of builds that fail, the lines that say why
    Failed,
    /// Nothing
    None,
    /// All lines of all builds, each with the build's name, beside the limits
    All,
}

fn at_least<const MIN: u64>(text: &str) -> Result<u64, String> {
    match text.parse::<u64>() {
        Ok(number) if number >= MIN => Ok(number),
        _ => Err(format!("not a number from {MIN} on")),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("not a positive number".to_owned()),
    }
}

/// `50s`, `15m`, `1h 30m`, or a number of seconds.
///
/// # Errors
///
/// If it is none of these.
pub fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| duration.try_into().ok())
        .ok_or_else(|| "not a duration like 50s, 15m or 1h30m".to_owned())
}

/// The name of a run or a target: it must not be taken for a number, nor be a file's path.
///
/// # Errors
///
/// If it could be.
pub fn run_name(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '+' | ':');
    if text.is_empty() || text.len() > 64 || !text.chars().all(good) || text.starts_with(['-', '.']) {
        return Err(
            "a name has letters, digits and - _ . @ + :, at most 64 bytes, and begins with neither - nor ."
                .to_owned(),
        );
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a number would be taken for that of a run".to_owned());
    }
    Ok(text.to_owned())
}

fn line_range(text: &str) -> Result<LineRange, String> {
    let number = |text: &str| match text {
        "" => Ok(None),
        _ => match text.parse::<i64>() {
            Ok(0) | Err(_) => Err("lines are counted from 1, as in 10:20, :50 or -20:".to_owned()),
            Ok(n) => Ok(Some(n)),
        },
    };
    match text.split_once(':') {
        Some((first, last)) => Ok(LineRange { first: number(first)?, last: number(last)? }),
        None => number(text).map(|line| LineRange { first: line, last: line }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let seconds = |text| duration(text).ok().map(|duration| duration.as_secs());
        assert_eq!(["50s", "15m", "1h30m", "1h 30m", "7"].map(seconds), [50, 900, 5400, 5400, 7].map(Some));
        assert_eq!(["", "-5s", "soon", "5 x", "1.5.2"].map(seconds), [None; 5]);
    }

    #[test]
    fn ranges_of_lines() {
        let range = |text| line_range(text).ok().map(|range| (range.first, range.last));
        assert_eq!(range("3:7"), Some((Some(3), Some(7))));
        assert_eq!(range("-20:"), Some((Some(-20), None)));
        assert_eq!(range(":5"), Some((None, Some(5))));
        assert_eq!(range("4"), Some((Some(4), Some(4))));
        assert_eq!(["0:3", "a:b", "1:2:3", "3:0"].map(range), [None; 4]);
    }

    #[test]
    fn names() {
        assert!(["home", "a.b@c", "7up"].iter().all(|name| run_name(name).is_ok()));
        assert!(["", "12", "../x", "a b", "-x", ".x", "a\nb"].iter().all(|name| run_name(name).is_err()));
    }
}
