//! The command line. Types only; `settings` decides what they mean together.

mod agent;
mod packages;
mod serve;
mod watch;

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};

use nixmon_log::escapes::escape;
use nixmon_runs::query::LineRange;

pub use agent::MirroredArg;
#[cfg(feature = "agent")]
pub use agent::{AgentArgs, AgentCommand, HubClientArgs};
pub use packages::{PackageHistoryArgs, PackagesArgs};
#[cfg(feature = "mcp")]
pub use serve::McpArgs;
pub use serve::ProfileArg;
#[cfg(feature = "hub")]
pub use serve::{EngineArgs, HubArgs, HubHost, HubHostArgs, HubManage};
pub use watch::{BackendArg, EngagementArg, ShellArg, WatchArgs, WatchCommand};

/// Smallest value of `--every`, in seconds.
pub const MIN_EVERY: u64 = 5;
/// Smallest value of `--max-lines`: a verdict and a few lines of why.
pub const MIN_LINES: u64 = 6;
/// Smallest value of `--max-bytes`.
pub const MIN_BYTES: u64 = 512;
/// Smallest value of `--snapshots`, in seconds.
pub const MIN_SNAPSHOTS: u64 = 1;

const AFTER_HELP: &str = "\
nixmon build|shell|develop|flake ARGUMENTS is short for `nixmon run -- nix …`; all arguments after the name are passed to Nix.

Exit status: 0 success, 1 something failed, 130 interrupted; `run` and `wait` exit with the command's status (128+N if killed by \
signal N), `wait` exits 124 on timeout. If nixmon itself fails: 2 wrong usage or configuration, 65 damaged data, 66 no such run \
or file, 71 refused by the system, 74 input or output failed, 75 a run with this name is in progress.\n\nkill -USR1 (on macOS also ^T) makes nixmon print its status.";

/// Watches a Nix build and reports what matters in a few lines.
///
/// Reads what Nix and the tools around it print, and writes a condensed, truthful summary: phases, counts, failures with
/// their causes, and where to read more: `nix build --log-format internal-json |& nixmon`.
#[derive(Debug, Parser)]
#[command(name = "nixmon", version, max_term_width = 100)]
#[command(after_help = AFTER_HELP)]
pub struct Cli {
    /// The subcommand; without one, standard input is read.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options for the output.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Record the raw input with its times in FILE, for `nixmon replay` and for bug reports; compressed if FILE ends in .zst
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub record: Option<PathBuf>,
    /// The build directory of what is built, for its packages and files: with CMake's file API, build.ninja or Makefiles
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub project: Option<PathBuf>,
    /// End with the exit status of the program that writes into the pipe, on Linux 6.15 and later [default: auto]
    #[arg(long, value_enum, value_name = "WHEN")]
    pub status_from_writer: Option<StatusFromWriter>,
    /// Read this configuration file [default: ~/.config/nixmon/config.toml]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Neither use nor fill the history of builds, so that no end of the run is foreseen
    #[arg(long, global = true)]
    pub no_history: bool,
    /// Print diagnostics of nixmon itself to standard error; of `start` to nixmon.log in the run's directory
    #[arg(long, short, global = true)]
    pub verbose: bool,
}

/// Subcommands with a form of output of their own: most options for output, which clap gives to all, are of no use to them.
const CLIENTS: [&str; 15] = [
    "status",
    "wait",
    "log",
    "stop",
    "list",
    "runs",
    "history",
    "jobs",
    "packages",
    "watch",
    "mcp",
    "agent",
    "hub",
    "completions",
    "man",
];
/// Options for output that are of no use to [`CLIENTS`].
const NOT_FOR_CLIENTS: [&str; 10] = [
    "no_history",
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
                // Parsed again, since only the help needs the options in place.
                let _ = with_options_in_place(Self::command()).get_matches();
            }
            if let Some(message) = missing_separator(&error, std::env::args()) {
                clap::Error::raw(ErrorKind::UnknownArgument, escape(&message)).exit()
            }
            let plain = error.to_string();
            match escape(&plain) {
                Cow::Borrowed(_) => error.exit(),
                // Arguments are quoted in it, and these have control characters.
                Cow::Owned(text) => {
                    let text = text.strip_prefix("error: ").unwrap_or(&text);
                    clap::Error::raw(error.kind(), text).exit()
                }
            }
        })
    }
}

/// Returns the message on a command that was given to `run` or `start` without `--`.
fn missing_separator(error: &clap::Error, args: impl Iterator<Item = String>) -> Option<String> {
    let is_unknown = error.kind() == ErrorKind::UnknownArgument;
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else { return None };
    // A misspelt option is another thing.
    if !is_unknown || error.get(ContextKind::SuggestedArg).is_some() {
        return None;
    }
    let args: Vec<String> = args.collect();
    let verb = args.iter().position(|arg| arg == "run" || arg == "start")?;
    let unknown = args.iter().skip(verb).position(|arg| arg.starts_with(unknown.as_str()))? + verb;
    let (before, after) = args.split_at_checked(unknown)?;
    // Words of the command before it: at least the program, which was taken for a target.
    let program = before.iter().rposition(|arg| !arg.starts_with('-')).filter(|at| *at > verb)?;
    let (options, command) = before.split_at_checked(program)?;
    let own = options.get(1..)?.join(" ");
    let command = command.iter().chain(after).map(String::as_str).collect::<Vec<_>>().join(" ");
    Some(format!("a command goes behind --: nixmon {own} -- {command}\n"))
}

/// Hides options from the help of subcommands that have no use for them.
pub fn with_options_in_place(mut command: clap::Command) -> clap::Command {
    // Only now do subcommands get the global options.
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

/// Examples of the subcommands, for the end of their help.
mod examples {
    pub(super) const RUN: &str = "\
Examples:
  nixmon run -- make home                   # any command
  nixmon run --name web -- nix build .#web  # with a name
  nixmon run home                           # [target.home] of the configuration";
    pub(super) const START: &str = "\
Examples:
  nixmon start home                                # prints its number
  nixmon start --after 12 --notify -- make deploy  # after run 12 has succeeded";
    pub(super) const STATUS: &str = "\
Examples:
  nixmon status              # the newest run
  nixmon status home --json  # the newest run named home
  nixmon status --packages   # each of its packages";
    pub(super) const WAIT: &str = "\
Examples:
  nixmon wait 12                                    # until run 12 ends
  nixmon wait --for change --since 4 --timeout 50s  # lines after cursor 4";
    pub(super) const LOG: &str = "\
Examples:
  nixmon log --lines -20:                          # the last 20 lines
  nixmon log 12 --derivation firefox --grep error  # matching lines of one build
  nixmon log home --unit nginx.service             # one unit of a switch";
    pub(super) const STOP: &str = "\
Examples:
  nixmon stop                 # the only run in progress
  nixmon stop 12 --grace 60s  # SIGKILL a minute later";
    pub(super) const LIST: &str = "\
Examples:
  nixmon list --all   # all runs
  nixmon list --json  # for programs";
    pub(super) const PACKAGES: &str = "\
Examples:
  nixmon packages                  # of this directory or its build/
  nixmon packages build --sources  # with the files of each
  nixmon packages .#hello          # the derivations that hello needs";
    pub(super) const RUNS: &str = "\
Examples:
  nixmon runs prune --dry-run       # what would be removed
  nixmon runs prune --keep-days 7   # keep a week";
    #[cfg(feature = "hub")]
    pub(super) const HUB: &str = "\
Examples:
  nixmon hub                           # at http://127.0.0.1:7766
  nixmon hub --listen 127.0.0.1:8080   # elsewhere";
    pub(super) const CONFIG: &str = "\
Examples:
  nixmon config check  # after a change of the file
  nixmon config show   # each setting and where it comes from";
    pub(super) const COMPLETIONS: &str = "\
Examples:
  nixmon completions bash  # to be sourced by ~/.bashrc
  nixmon completions fish  # for ~/.config/fish/completions/";
    pub(super) const MAN: &str = "\
Examples:
  nixmon man                   # this program's page, for man -l -
  nixmon man --directory man1  # with those of the subcommands";
    pub(super) const REPLAY: &str = "\
Examples:
  nixmon replay build.log                    # a log, at once
  nixmon replay 12 --speed 10 --output live  # run 12, ten times as fast";
}

/// A subcommand.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a command and watch it; ends with its exit status
    #[command(after_help = examples::RUN)]
    Run(RunArgs),
    /// Run a command in the background: prints the number of the run and returns at once
    #[command(after_help = examples::START)]
    Start(StartArgs),
    /// Print the status of a run
    #[command(after_help = examples::STATUS)]
    Status(StatusArgs),
    /// Wait until a run ends or has news, and print its new lines
    #[command(after_help = examples::WAIT)]
    Wait(WaitArgs),
    /// Print the output of a run and its builds
    #[command(after_help = examples::LOG)]
    Log(LogArgs),
    /// End a run: SIGTERM to its process group, later SIGKILL
    #[command(after_help = examples::STOP)]
    Stop(StopArgs),
    /// List runs, the newest first
    #[command(after_help = examples::LIST)]
    List(ListArgs),
    /// Manage recorded runs
    #[command(subcommand, after_help = examples::RUNS)]
    Runs(RunsCommand),
    /// Look into the history of builds, or fill it
    #[command(subcommand)]
    History(HistoryCommand),
    /// Print how many jobs are best for a target, from its past runs
    Jobs(JobsArgs),
    /// Print the packages of a project, what each needs, and the chain that takes longest
    #[command(after_help = examples::PACKAGES)]
    Packages(PackagesArgs),
    /// Read logs or recordings from files, as if they came now
    #[command(after_help = examples::REPLAY)]
    Replay(ReplayArgs),
    /// Report builds that others start: one line when each ends
    #[command(after_help = watch::EXAMPLES)]
    Watch(WatchArgs),
    /// Serve builds to an agent: the Model Context Protocol, on standard input and output
    #[cfg(feature = "mcp")]
    Mcp(McpArgs),
    /// Report the runs of this machine to a hub, and start the commands that it asks for
    #[cfg(feature = "agent")]
    #[command(after_help = agent::EXAMPLES)]
    Agent(AgentArgs),
    /// Show the runs of this machine in a browser, live, and serve them to programs
    #[cfg(feature = "hub")]
    #[command(after_help = examples::HUB)]
    Hub(HubArgs),
    /// Check the configuration file, or show the settings in force
    #[command(subcommand, after_help = examples::CONFIG)]
    Config(ConfigCommand),
    /// Print shell completions
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = examples::MAN)]
    Man {
        /// Write this page and those of all subcommands into DIR instead
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        directory: Option<PathBuf>,
    },
    /// Keeps a command's output if its monitor dies. For nixmon itself.
    #[command(hide = true)]
    Guard,
    /// Watches a run of `start`. For nixmon itself.
    #[command(hide = true)]
    Monitor {
        /// The directory of the run.
        directory: PathBuf,
    },
    /// A shorthand for a command of Nix, with its arguments as they are.
    #[command(external_subcommand)]
    Nix(Vec<OsString>),
}

/// The command to run.
#[derive(Clone, Debug, Args)]
#[command(override_usage = "nixmon run [OPTIONS] <TARGET>\n       nixmon run [OPTIONS] -- <COMMAND>...")]
pub struct RunArgs {
    /// A target of the configuration: [target.NAME]
    #[arg(value_name = "TARGET", required_unless_present = "command", conflicts_with = "command")]
    pub target: Option<String>,
    /// The command and its arguments, after --
    #[arg(last = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
    /// The build directory of what is built, for its packages and files [default: that of cmake --build, ninja -C or make -C]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub project: Option<PathBuf>,
    /// Name the run [default: the target's name]
    #[arg(long, value_name = "NAME", value_parser = run_name)]
    pub name: Option<String>,
    /// Report once what hangs if the run takes longer than this; it is not stopped [default: 15m for a switch; 0: never]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Start even if a run with this name is in progress
    #[arg(long)]
    pub allow_concurrent: bool,
    /// Notify you when the run has ended, through the terminal or the desktop
    #[arg(long)]
    pub notify: bool,
    /// When the run has ended, run this with sh, for up to 60 s: the summary record is its standard input, and NIXMON_RUN,
    /// NIXMON_NAME, NIXMON_OUTCOME and NIXMON_EXIT_CODE describe the run
    #[arg(long, value_name = "COMMAND", value_hint = ValueHint::CommandString)]
    pub on_end: Option<String>,
    /// Report the run to this hub while it runs, with the token of this host
    #[cfg(feature = "agent")]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub hub: Option<String>,
}

/// The command to run in the background.
#[derive(Clone, Debug, Args)]
#[command(override_usage = "nixmon start [OPTIONS] <TARGET>\n       nixmon start [OPTIONS] -- <COMMAND>...")]
pub struct StartArgs {
    /// The command to run.
    #[command(flatten)]
    pub run: RunArgs,
    /// Start after RUN succeeds; cancel if it fails
    #[arg(long, value_name = "RUN")]
    pub after: Option<String>,
}

/// The run whose status is printed.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// The number of a run, or a name for its newest run [default: the newest run]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Print the packages of the run and how each does: CMake targets, crates or directories, of a Nix build its derivations
    #[arg(long)]
    pub packages: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// An event to wait for.
#[derive(Clone, Debug, Args)]
pub struct WaitArgs {
    /// The number of a run, or a name for its newest run [default: the newest run]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// The event to wait for
    #[arg(long = "for", value_name = "WHAT", value_enum, default_value_t = WaitFor::End)]
    pub what: WaitFor,
    /// Print the lines after this cursor, as `wait` and `status` print it [default: new lines only, or how it ended]
    #[arg(long, value_name = "CURSOR")]
    pub since: Option<u64>,
    /// Give up after this time, with exit status 124
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Print JSON lines: the condensed lines with their cursors, and the status last
    #[arg(long)]
    pub json: bool,
}

/// An event to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WaitFor {
    /// The end of the run
    End,
    /// A new line, or the end
    Change,
}

/// The part of a run's log to print.
#[derive(Clone, Debug, Args)]
pub struct LogArgs {
    /// The number of a run, or a name for its newest run [default: the newest run]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Continue until the run ends
    #[arg(long, short)]
    pub follow: bool,
    /// Only the log of a derivation: its name or path, the beginning of either, or an output's path
    #[arg(long, value_name = "DERIVATION", conflicts_with = "unit")]
    pub derivation: Option<String>,
    /// Only lines about a unit or service, and the end of its own log
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<String>,
    /// Only lines that match this regular expression
    #[arg(long, value_name = "REGEX")]
    pub grep: Option<String>,
    /// Only lines A to B of the output, counted from 1, or from the end if negative; either may be left out
    #[arg(long, value_name = "A:B", allow_hyphen_values = true, value_parser = line_range)]
    pub lines: Option<LineRange>,
    /// Print the input as it came, records and all
    #[arg(long, conflicts_with_all = ["derivation", "unit"])]
    pub raw: bool,
}

/// The run to end.
#[derive(Clone, Debug, Args)]
pub struct StopArgs {
    /// The number of a run, or a name for its newest run [default: the only run in progress]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Time between SIGTERM and SIGKILL
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10s")]
    pub grace: Duration,
}

/// The runs to list.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// All runs, not only the newest 20
    #[arg(long, short)]
    pub all: bool,
    /// Print JSON lines
    #[arg(long)]
    pub json: bool,
}

/// An action on recorded runs.
#[derive(Clone, Debug, Subcommand)]
pub enum RunsCommand {
    /// Remove runs that are too old, too many or too large; never one in progress
    Prune {
        /// Remove runs older than DAYS [default: 30]
        #[arg(long, value_name = "DAYS")]
        keep_days: Option<u64>,
        /// Remove all but the newest N [default: 100]
        #[arg(long, value_name = "N")]
        keep_runs: Option<u64>,
        /// Remove the oldest until the rest takes at most MIB mebibytes [default: 1024]
        #[arg(long, value_name = "MIB")]
        keep_mib: Option<u64>,
        /// Only print what would be removed
        #[arg(long)]
        dry_run: bool,
    },
}

/// An action on the history of builds.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum HistoryCommand {
    /// Read exported histories, build reports of nix-output-monitor and rom, or recorded runs into the history
    Import {
        /// Files [default: the reports of nix-output-monitor and rom, and all recorded runs]
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
    },
    /// Print the history as JSON lines
    Export {
        /// Only runs of this target
        #[arg(value_name = "TARGET")]
        target: Option<String>,
    },
    /// Remove runs that are too old or take too much room
    Prune {
        /// Remove runs older than DAYS [default: 365]
        #[arg(long, value_name = "DAYS")]
        keep_days: Option<u64>,
        /// Remove the oldest until the rest takes at most MIB mebibytes [default: 512]
        #[arg(long, value_name = "MIB")]
        keep_mib: Option<u64>,
    },
    /// Print how good past predictions were, and how good simple ones would have been
    Accuracy(PastArgs),
    /// Print the packages on which most time was spent
    Slowest(PastArgs),
    /// Print what took longer in one run than in another, and what was rebuilt
    Diff {
        /// The earlier run: its number, or a target for its newest run
        #[arg(value_name = "RUN")]
        before: String,
        /// The later run
        #[arg(value_name = "RUN")]
        after: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print how the times of a target or a package develop
    Trends {
        /// A target, or the name of a package without its version
        #[arg(value_name = "TARGET")]
        target: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print how long packages take with how many jobs, which files hold them up, and which gain from more jobs: of derivations
    /// and of the parts of projects
    Packages(PackageHistoryArgs),
    /// Print the chain of builds that decided how long a run took
    CriticalPath {
        /// The number of a run, or a target for its newest run [default: the newest run]
        #[arg(value_name = "RUN")]
        run: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// The part of the history to look into.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct PastArgs {
    /// Only runs of this target
    #[arg(value_name = "TARGET")]
    pub target: Option<String>,
    /// The newest N runs
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub runs: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The target whose jobs are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct JobsArgs {
    /// A target of the configuration, or the name or command of past runs
    #[arg(value_name = "TARGET")]
    pub target: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// An action on the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check the file: exit status 0 if it is valid, else 2 and each mistake with its place
    Check {
        /// The file, instead of the default one
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
    },
    /// Print all settings in force and their sources
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// The files to replay.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Logs or recordings, one after the other, .zst too; - is standard input; or the number or name of a run
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Replay N times as fast as recorded, instead of at once
    #[arg(long, value_name = "N", value_parser = positive)]
    pub speed: Option<f64>,
    /// The build directory of what was built, for its packages and files [default: as it was recorded]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub project: Option<PathBuf>,
    /// The exit status of the command, which a log does not contain
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(i32).range(0..=255))]
    pub exit_status: Option<i32>,
}

/// Options for the output.
#[derive(Clone, Debug, Default, Args)]
pub struct OutputArgs {
    /// Form of the output [default: auto]
    #[arg(global = true, long, short, value_enum, value_name = "FORM")]
    pub output: Option<OutputForm>,
    /// When to use colours [default: auto]
    #[arg(global = true, long, value_enum, value_name = "WHEN")]
    pub color: Option<When>,
    /// Print ASCII only; the default if the locale is not UTF-8
    #[arg(global = true, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub ascii: Option<bool>,
    /// Seconds between two progress lines, at least 5 [default: 30]
    #[arg(global = true, long, value_name = "SECONDS", value_parser = at_least::<MIN_EVERY>)]
    pub every: Option<u64>,
    /// Print at most N lines, however long the build takes; at least 6 [default: 60]
    #[arg(global = true, long, value_name = "N", value_parser = at_least::<MIN_LINES>)]
    pub max_lines: Option<u64>,
    /// Print at most N bytes, however long the build takes; at least 512 [default: 8192]
    #[arg(global = true, long, value_name = "N", value_parser = at_least::<MIN_BYTES>)]
    pub max_bytes: Option<u64>,
    /// Treatment of other programs' text [default: auto]
    #[arg(global = true, long, value_enum, value_name = "HOW")]
    pub passthrough: Option<PassthroughArg>,
    /// Which logs of builds to show [default: failed]
    #[arg(global = true, long, value_enum, value_name = "WHICH")]
    pub logs: Option<LogsArg>,
    /// Show at most N lines of each build's log [default: 8 if it fails]
    #[arg(global = true, long, value_name = "N")]
    pub log_lines: Option<u64>,
    /// Do not set the window title or the terminal's progress indicator
    #[arg(global = true, long)]
    pub no_title: bool,
    /// With --output json: print a snapshot every SECONDS, and one as soon as the end is foreseen
    #[arg(global = true, long, value_name = "SECONDS", value_parser = at_least::<MIN_SNAPSHOTS>)]
    pub snapshots: Option<u64>,
}

/// Sources of a filter's exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatusFromWriter {
    /// `nix build |& nixmon` ends as `nix build` does; if the system does not tell how that ended, the stream decides
    Auto,
    /// The stream alone decides
    Never,
}

/// Forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputForm {
    /// Live in a terminal, lines elsewhere
    Auto,
    /// A live view at the bottom of the terminal
    Live,
    /// Condensed lines
    Lines,
    /// JSON lines; the last one is the summary
    Json,
    /// Only the command's results and an exit status
    Quiet,
}

/// A condition for colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// If the output is a terminal; if set, NO_COLOR, CLICOLOR_FORCE or TERM=dumb decides, in this order
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Treatment of other programs' text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PassthroughArg {
    /// Show it while the budget lasts, then only count lines
    Auto,
    /// Show all of it, regardless of the limits
    All,
    /// Show only results
    None,
}

/// Logs of builds to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogsArg {
    /// The lines that tell why a build failed
    Failed,
    /// None
    None,
    /// All lines of all builds, each with the build's name, regardless of the limits
    All,
}

fn at_least<const MIN: u64>(text: &str) -> Result<u64, String> {
    match text.parse::<u64>() {
        Ok(number) if number >= MIN => Ok(number),
        _ => Err(format!("not a number of at least {MIN}")),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("not a positive number".to_owned()),
    }
}

/// Parses `50s`, `15m`, `1h 30m`, or a number of seconds.
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

/// Parses the name of a run or a target, which must be neither a number nor a path.
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
        return Err("a number is reserved for the numbers of runs".to_owned());
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
    fn examples_of_help_are_valid() {
        let mut n_examples = 0;
        for command in Cli::command().get_subcommands() {
            let Some(help) = command.get_after_help() else { continue };
            for line in help.to_string().lines().filter(|line| line.starts_with("  ")) {
                let (example, comment) = line.split_once(" # ").unwrap();
                assert!(!comment.is_empty() && line.len() <= 80, "{line}");
                Cli::try_parse_from(example.split_whitespace()).unwrap();
                assert_eq!(example.split_whitespace().nth(1), Some(command.get_name()));
                n_examples += 1;
            }
        }
        assert!(n_examples >= 16, "{n_examples}");
    }

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
