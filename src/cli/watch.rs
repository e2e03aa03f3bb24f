//! The arguments of `nixmon watch`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

pub(super) const EXAMPLES: &str = "\
Examples:
  nixmon watch                           # in this terminal, until ^C
  nixmon watch --engage all --json       # every build, for programs
  nixmon watch --explain                 # how it sees builds here, and why
  nixmon watch --install                 # in the background, from login on
  nixmon watch --shell-hook bash         # to be sourced by ~/.bashrc
  nixmon watch engage ~/src/linux all    # every build below a directory";

/// The way to see builds, and what to tell of them.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct WatchArgs {
    /// An action on the wishes of the user.
    #[command(subcommand)]
    pub command: Option<WatchCommand>,
    /// Which builds to report, where no directory has a choice of its own [default: transitions]
    #[arg(long, value_enum, value_name = "WHICH")]
    pub engage: Option<EngagementArg>,
    /// See builds in this way, or fail [default: the best that works here]
    #[arg(long, value_enum, value_name = "NAME")]
    pub backend: Option<BackendArg>,
    /// Print which ways work here and which one is used, and exit
    #[arg(long)]
    pub explain: bool,
    /// Print JSON lines: build.started, build.completed, sensor.loss
    #[arg(long)]
    pub json: bool,
    /// Run this with sh for each report, for up to 60 s: the record is its standard input, and NIXMON_RESULT, NIXMON_COMMAND,
    /// NIXMON_DIRECTORY and NIXMON_EXIT_STATUS describe the build
    #[arg(long, value_name = "COMMAND", value_hint = ValueHint::CommandString)]
    pub hook: Option<String>,
    /// Notify you of each report, through the terminal or the desktop
    #[arg(long)]
    pub notify: bool,
    /// Watch in the background from login on: writes a systemd user unit, or a launchd agent, and says how to start it
    #[arg(long, conflicts_with_all = ["explain", "json", "shell_hook"])]
    pub install: bool,
    /// Remove what --install has written
    #[arg(long, conflicts_with_all = ["install", "explain", "json", "shell_hook", "engage", "backend", "hook", "notify"])]
    pub uninstall: bool,
    /// Print a hook that makes an interactive shell report its builds
    #[arg(long, value_enum, value_name = "SHELL", conflicts_with_all = ["explain", "json"])]
    pub shell_hook: Option<ShellArg>,
    /// Report a command line that ended with this status. For the hook of a shell.
    #[arg(long, hide = true, value_name = "STATUS", requires = "line")]
    pub report: Option<i32>,
    /// Its duration in milliseconds.
    #[arg(long, hide = true, value_name = "MS", default_value_t = 0)]
    pub elapsed_ms: u64,
    /// The command line.
    #[arg(last = true, hide = true)]
    pub line: Option<String>,
}

/// An action on the wishes of the user.
#[derive(Clone, Debug, Subcommand)]
pub enum WatchCommand {
    /// Choose which builds below a directory are reported, or list the choices
    Engage {
        /// The directory
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath, requires = "state")]
        directory: Option<PathBuf>,
        /// Which builds to report; default forgets the choice
        #[arg(value_enum, value_name = "WHICH")]
        state: Option<EngagementArg>,
    },
}

/// Builds that are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngagementArg {
    /// None
    Off,
    /// Those that fail
    Failures,
    /// The first failure, the first pass after a failure, and whatever took long
    Transitions,
    /// All
    All,
    /// As if it had not been chosen
    Default,
}

/// Ways to see builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BackendArg {
    /// Linux' process connector: every fork, exec and exit, with results
    Connector,
    /// Lists of processes, and a descriptor of each build for its result (Linux 6.15 and later)
    Pidfd,
    /// Lists of processes alone, mostly without results
    Proc,
    /// Builds that a Nix daemon lists (Determinate Nix), without results
    ActiveBuilds,
    /// Marker files of the configuration
    Marker,
    /// Reports of the hooks of shells
    Shell,
}

/// Shells with a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShellArg {
    /// bash 5.0 or later
    Bash,
    /// zsh
    Zsh,
    /// fish 3.0 or later
    Fish,
}
