//! The command line. Types only; what they mean together is for `settings` to say.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

/// Least value of `--every`, in seconds.
pub const MIN_EVERY: u64 = 5;
/// Least value of `--max-lines`: a verdict and a few lines of why.
pub const MIN_LINES: u64 = 6;
/// Least value of `--max-bytes`.
pub const MIN_BYTES: u64 = 512;
/// Least value of `--snapshots`, in seconds.
pub const MIN_SNAPSHOTS: u64 = 1;

/// Watches a Nix build and says in few lines what matters.
///
/// Reads what Nix and the tools around it print, and writes a condensed, truthful summary: phases, counts, failures with
/// their cause, and where to read on: `nix build --log-format internal-json |& nixmon`.
#[derive(Debug, Parser)]
#[command(name = "nixmon", version, max_term_width = 100)]
#[command(after_help = "Exit status: 0 success, 1 something failed, 2 wrong usage, 130 interrupted.")]
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
    /// Read this configuration file [default: ~/.config/nixmon/config.toml]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
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
    Man,
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
    /// Logs or recordings, one after the other; .zst too; - is standard input
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
    #[arg(global = true, long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(MIN_EVERY..))]
    pub every: Option<u64>,
    /// Print at most N lines, however long the build takes [default: 60]
    #[arg(global = true, long, value_name = "N", value_parser = clap::value_parser!(u64).range(MIN_LINES..))]
    pub max_lines: Option<u64>,
    /// Print at most N bytes, however long the build takes [default: 8192]
    #[arg(global = true, long, value_name = "N", value_parser = clap::value_parser!(u64).range(MIN_BYTES..))]
    pub max_bytes: Option<u64>,
    /// What becomes of the text of other programs [default: auto]
    #[arg(global = true, long, value_enum, value_name = "HOW")]
    pub passthrough: Option<PassthroughArg>,
    /// What is shown of builds' logs [default: failed]
    #[arg(global = true, long, value_enum, value_name = "WHICH")]
    pub logs: Option<LogsArg>,
    /// Show at most N lines of each build's log [default: 8 of one that fails]
    #[arg(global = true, long, value_name = "N")]
    pub log_lines: Option<usize>,
    /// Leave the window title and the terminal's progress sign alone
    #[arg(global = true, long)]
    pub no_title: bool,
    /// With --output json: a snapshot every so many seconds
    #[arg(global = true, long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(MIN_SNAPSHOTS..))]
    pub snapshots: Option<u64>,
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
    /// If the output goes to a terminal, and NO_COLOR, CLICOLOR_FORCE and TERM agree
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
    /// All lines of all builds, each with the build's name
    All,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("not a positive number".to_owned()),
    }
}
