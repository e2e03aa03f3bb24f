//! The command line. Types only; what they mean together is for `settings` to say.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

/// Watches a Nix build and says in few lines what matters.
///
/// Reads what Nix and the tools around it print, and writes a condensed, truthful summary: phases, counts, failures with
/// their cause, and where to read on: `nix build --log-format internal-json |& nixmon`.
#[derive(Debug, Parser)]
#[command(name = "nixmon", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
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
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read logs or recordings from files, as if they came now
    Replay(ReplayArgs),
    /// Print shell completions
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
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
    /// How to say it.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// How to say it.
#[derive(Clone, Debug, Default, Args)]
pub struct OutputArgs {
    /// Form of the output [default: auto]
    #[arg(long, short, value_enum, value_name = "FORM")]
    pub output: Option<OutputForm>,
    /// When to use colours [default: auto]
    #[arg(long, value_enum, value_name = "WHEN")]
    pub color: Option<When>,
    /// Print ASCII only; the default where the locale has no UTF-8
    #[arg(long)]
    pub ascii: bool,
    /// Least seconds between two signs of life, not under 5 [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(5..))]
    pub every: Option<u64>,
    /// Print at most N lines, however long the build takes [default: 60]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(6..))]
    pub max_lines: Option<u64>,
    /// Print at most N bytes, however long the build takes [default: 8192]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(512..))]
    pub max_bytes: Option<u64>,
    /// What becomes of the text of other programs [default: auto]
    #[arg(long, value_enum, value_name = "HOW")]
    pub passthrough: Option<PassthroughArg>,
    /// With --output json: a snapshot every so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub snapshots: Option<u64>,
}

/// Forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputForm {
    /// What fits where the output goes
    Auto,
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

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("not a positive number".to_owned()),
    }
}
