//! Settings in force, resolved once from arguments, configuration file, environment and defaults, in this order.
//!
//! The environment comes last: `NO_COLOR` and the locale are wishes for every program, and no-color.org wants a
//! program's own configuration to overrule it.

mod agent;
mod environment;
mod file;
mod mcp;
mod notify;
mod output;
mod resolve;
mod run;
mod source;
mod switches;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;

pub use agent::AgentSettings;
pub use environment::Environment;
pub(crate) use environment::MCP_TOKEN;
pub use file::Mistake;
pub use mcp::McpSettings;
pub use notify::{NotifyWays, TerminalNotice};
pub use output::{Form, Output};
pub use run::{RunError, RunTask};
pub use source::{Setting, SettingValue, Source};
pub use watch::{QuietHours, WatchSettings};

use crate::cli::{
    HistoryCommand, JobsArgs, ListArgs, LogArgs, OutputArgs, PackagesArgs, StatusArgs, StopArgs, WaitArgs,
    WatchArgs,
};
use nixmon_core::render::Thresholds;
use nixmon_runs::{Places, Retention, Store, StoreError};

/// The task of the program.
#[derive(Clone, Debug)]
pub enum Task {
    /// Read standard input.
    Filter {
        /// The file to record it in.
        record: Option<PathBuf>,
        /// The build directory of what is built.
        project: Option<PathBuf>,
    },
    /// Read files.
    Replay {
        /// Which.
        files: Vec<PathBuf>,
        /// The factor of time, if time is to pass at all.
        speed: Option<f64>,
        /// The command's exit status.
        exit_status: Option<i32>,
        /// The build directory of what was built.
        project: Option<PathBuf>,
    },
    /// Run a command.
    Run(RunTask),
    /// Run a command in the background.
    Start {
        /// Which.
        run: RunTask,
        /// When this run has ended well.
        after: Option<String>,
    },
    /// Say how a run stands.
    Status(StatusArgs),
    /// Wait for a run.
    Wait(WaitArgs),
    /// Print what a run printed.
    Log(LogArgs),
    /// End a run.
    Stop(StopArgs),
    /// List runs.
    List(ListArgs),
    /// Remove runs.
    Prune {
        /// Only say which.
        dry_run: bool,
    },
    /// Look into the history, or fill it.
    History(HistoryCommand),
    /// Say how many jobs are best.
    Jobs(JobsArgs),
    /// Print the packages of a project.
    Packages(PackagesArgs),
    /// Be the guard of a command.
    Guard,
    /// Be the monitor of a run in the background.
    Monitor(PathBuf),
    /// Serve agents.
    #[cfg(feature = "mcp")]
    Mcp(crate::cli::McpArgs),
    /// See builds that others start.
    Watch(WatchArgs),
    /// Serve a hub.
    #[cfg(feature = "agent")]
    Agent(crate::cli::AgentArgs),
    /// Serve pages about runs.
    #[cfg(feature = "hub")]
    Hub(crate::cli::HubArgs),
    /// Say that the configuration can be used: whether it can is found out in reading it.
    ConfigCheck,
    /// Say what is in force.
    ConfigShow {
        /// As JSON.
        json: bool,
    },
    /// Print completions.
    Completions(clap_complete::Shell),
    /// Print the manual page.
    Man {
        /// Write all of them into this directory instead.
        directory: Option<PathBuf>,
    },
}

/// All settings in force.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The task of the program.
    pub task: Task,
    /// Settings of the output.
    pub output: Output,
    /// The arguments for the output, for another nixmon.
    pub output_args: OutputArgs,
    /// When something takes long.
    pub thresholds: Thresholds,
    /// Places where logs of builds and services are looked for.
    pub places: Places,
    /// The directory for state of the user's programs.
    pub state_home: Option<PathBuf>,
    /// Directories for the sockets of the user's programs.
    pub socket_dirs: Vec<PathBuf>,
    /// The store of runs is written even if it belongs to another user.
    pub allow_other_owner: bool,
    /// Settings of Nix in the environment.
    pub nix_config: Option<OsString>,
    /// The level of diagnostics that the environment asks for.
    pub log_level: Option<String>,
    /// Diagnostics are asked for by an argument.
    pub verbose: bool,
    /// Settings of `nixmon mcp`.
    pub mcp: McpSettings,
    /// Settings of `nixmon watch`.
    pub watch: WatchSettings,
    /// Settings of `nixmon agent`.
    pub agent: AgentSettings,
    /// The token of the hub's clients in the environment.
    pub hub_token: Option<String>,
    /// Limits for finished runs.
    pub retention: Retention,
    /// The use of the history of builds.
    pub history: HistorySettings,
    /// The ways to notify the user of the end of a run.
    pub notify: NotifyWays,
    /// The exit status of what writes into standard input is looked for.
    pub asks_writer: bool,
    /// Standard input is a terminal.
    pub stdin_is_terminal: bool,
    /// Standard output and standard error are the same file.
    pub stdout_is_stderr: bool,
    /// The configuration file that was read, or would be if it existed.
    pub config_file: Option<PathBuf>,
    /// It exists.
    pub config_exists: bool,
    /// Every setting that a file can set, with its source, in the order of `nixmon config show`.
    pub origins: Vec<Setting>,
}

/// The use of the history of builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistorySettings {
    /// It is used and filled.
    pub enabled: bool,
    /// Runs older than so many days leave it.
    pub days: u64,
    /// While it is larger than so many mebibytes the oldest runs leave it.
    pub mib: u64,
}

impl Settings {
    /// Returns the place of the history, whether it is used or not; `None` if there is no home directory.
    pub fn history_path(&self) -> Option<PathBuf> {
        Some(self.state_home.as_ref()?.join("nixmon/history.db"))
    }

    /// Returns the journal of the sensor; `None` if there is no home directory.
    pub fn journal(&self) -> Option<nixmon_sensor::Journal> {
        Some(nixmon_sensor::Journal::new(self.state_home.as_ref()?.join("nixmon/watch")))
    }

    /// Returns the store of runs.
    ///
    /// # Errors
    ///
    /// If there is no home directory, so that no place for it is known.
    pub fn store(&self) -> Result<Store, StoreError> {
        let home = self.state_home.as_ref().ok_or(StoreError::NoHome)?;
        let store = Store::open(home.join("nixmon/runs")).with_socket_dirs(self.socket_dirs.clone());
        Ok(store.allow_others(self.allow_other_owner))
    }
}

/// Why arguments or a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is too long.
    #[error("{} is too long for a configuration", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// There is nothing to run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Only what is read from standard input can be recorded.
    #[error("--record goes with standard input, not with a command")]
    RecordWithCommand,
    /// The options of a command come behind its name.
    #[error("--project goes behind `run`, `start` or `replay`")]
    ProjectBeforeCommand,
    /// A command's exit status needs no search.
    #[error("--status-from-writer goes with standard input, not with a command")]
    WriterWithCommand,
    /// It is no text, or has mistakes.
    #[error("{}", mistakes.iter().map(|mistake| format!("{}:{mistake}", path.display())).collect::<Vec<_>>().join("\n"))]
    Mistakes {
        /// The file.
        path: PathBuf,
        /// In the order of the file.
        mistakes: Vec<Mistake>,
    },
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test with files of its own")]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::environment::{is_utf8, moves_cursor, takes_progress, takes_title};
    use super::resolve::Loaded;
    use crate::cli::Cli;

    use super::*;

    fn settings(args: &[&str], environment: &Environment, file: &str) -> Settings {
        let cli = Cli::try_parse_from(std::iter::once(&"nixmon").chain(args)).unwrap();
        let file = file::parse(file).unwrap();
        Settings::resolve(cli, environment, Loaded { path: Some("/c.toml".into()), exists: true, file })
            .unwrap()
    }

    fn resolve(args: &[&str], environment: &Environment) -> Output {
        settings(args, environment, "").output
    }

    #[test]
    fn a_live_view_where_the_cursor_moves() {
        let terminal = Environment { stdout_is_terminal: true, moves_cursor: true, ..Environment::default() };
        let dumb = Environment { moves_cursor: moves_cursor("dumb"), ..terminal.clone() };
        for (args, environment, form) in [
            (&[][..], &terminal, Form::Live),
            (&["--output=auto"], &terminal, Form::Live),
            (&["--output=lines"], &terminal, Form::Lines),
            (&[], &dumb, Form::Lines),
            (&["--output=live"], &dumb, Form::Live),
            (&[], &Environment::default(), Form::Lines),
            (&["--output=live"], &Environment::default(), Form::Lines),
        ] {
            assert_eq!(resolve(args, environment).form, form, "{args:?} {environment:?}");
        }
        for (term, moves, title) in [
            ("xterm-256color", true, true),
            ("tmux-256color", true, true),
            ("linux", true, false),
            ("", false, false),
        ] {
            assert_eq!((moves_cursor(term), takes_title(term)), (moves, title), "{term}");
        }
        for (program, windows, con_emu, takes) in [
            ("ghostty", false, "", true),
            ("tmux", false, "", false),
            ("", true, "", true),
            ("", false, "ON", true),
        ] {
            assert_eq!(takes_progress(program, windows, con_emu), takes, "{program}");
        }
    }

    #[test]
    fn arguments_overrule_the_file_and_the_file_the_environment() {
        let text = "color = \"always\"\nascii = false\nevery = 7\nsnapshots = 3\n[thresholds]\nslow = 60\n\
            [services.\"a b\"]\nlog = [\"/x\"]\n";
        let environment = Environment { no_color: true, ..Environment::default() };
        let Settings { output, thresholds, origins, .. } = settings(&["--every", "9"], &environment, text);
        assert!(output.color && !output.ascii);
        assert_eq!((output.every.as_secs(), output.snapshots), (9, Some(Duration::from_secs(3))));
        assert_eq!((thresholds.slow.as_secs(), thresholds.quiet.as_secs()), (60, 180));
        let shown: Vec<String> = origins.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "output = \"auto\"  # default",
                "color = \"always\"  # /c.toml:1",
                "ascii = false  # /c.toml:2",
                "no-title = false  # default",
                "passthrough = \"auto\"  # default",
                "logs = \"failed\"  # default",
                "# log-lines is not set  # default",
                "every = 9  # argument",
                "max-lines = 60  # default",
                "max-bytes = 8192  # default",
                "snapshots = 3  # /c.toml:4",
                "thresholds.slow = 60  # /c.toml:6",
                "thresholds.quiet = 180  # default",
                "runs.keep-days = 30  # default",
                "runs.keep-runs = 100  # default",
                "runs.keep-mib = 1024  # default",
                "history.enabled = true  # default",
                "history.keep-days = 365  # default",
                "history.keep-mib = 512  # default",
                "status-from-writer = \"auto\"  # default",
                "services.log = []  # default",
                "services.\"a b\".log = [\"/x\"]  # /c.toml:8",
            ]
        );
        // The output of `config show` is a valid file.
        assert!(file::parse(&shown.join("\n")).is_ok());
        let shown: Vec<String> =
            settings(&[], &environment, "").origins.iter().map(ToString::to_string).collect();
        assert_eq!(shown[1], "color = \"never\"  # environment: NO_COLOR");
        assert_eq!(shown[2], "ascii = true  # environment: LC_ALL, LC_CTYPE, LANG");
        assert_eq!(shown[10], "# snapshots is not set  # default");
    }

    #[test]
    fn only_a_named_file_must_exist() {
        let dir = tempfile::tempdir().unwrap();
        let environment = Environment { config_home: Some(dir.path().to_owned()), ..Environment::default() };
        let load = |args: &[&str]| {
            Settings::load(Cli::try_parse_from(std::iter::once(&"nixmon").chain(args)).unwrap(), &environment)
        };
        let missing = dir.path().join("no.toml").display().to_string();
        let settings = load(&[]).unwrap();
        assert!(!settings.config_exists);
        let path = dir.path().join("nixmon/config.toml");
        assert_eq!(settings.config_file.as_ref(), Some(&path));
        for args in [
            &["--config", &missing][..],
            &["config", "check", &missing],
            &["replay", "x", "--config", &missing],
        ] {
            assert!(matches!(load(args), Err(ConfigError::Read { .. })), "{args:?}");
        }
        std::fs::create_dir(dir.path().join("nixmon")).unwrap();
        std::fs::write(&path, "").unwrap();
        assert!(load(&["config", "check"]).unwrap().config_exists);
        for (bytes, expected) in [(&b"evry = 9\ncolor = 1"[..], 2), (b"a = \"\xff\"", 1)] {
            std::fs::write(&path, bytes).unwrap();
            let error = load(&[]).unwrap_err();
            assert_eq!(error.to_string().lines().count(), expected, "{error}");
            assert!(error.to_string().starts_with(&format!("{}:1:", path.display())), "{error}");
            // These work whatever the file holds.
            load(&["man"]).unwrap();
        }
    }

    #[test]
    fn colour_follows_arguments_then_environment_then_terminal() {
        let terminal = Environment { stdout_is_terminal: true, utf8: true, ..Environment::default() };
        let cases: &[(&[&str], Environment, bool)] = &[
            (&[], Environment::default(), false),
            (&[], terminal.clone(), true),
            (&[], Environment { no_color: true, ..terminal.clone() }, false),
            (&[], Environment { dumb_terminal: true, ..terminal.clone() }, false),
            (&[], Environment { clicolor_force: true, ..Environment::default() }, true),
            (&[], Environment { clicolor_force: true, no_color: true, ..terminal.clone() }, false),
            (&["--color", "always"], Environment { no_color: true, ..Environment::default() }, true),
            (&["--color=never"], terminal.clone(), false),
            (&["replay", "--color=always", "x"], Environment::default(), true),
        ];
        for (args, environment, color) in cases {
            assert_eq!(resolve(args, environment).color, *color, "{args:?} {environment:?}");
        }
    }

    #[test]
    fn ascii_where_the_locale_is_no_utf8() {
        for (locale, utf8) in
            [("C", false), ("", false), ("de_DE.UTF-8", true), ("C.utf8", true), ("POSIX", false)]
        {
            assert_eq!(is_utf8(locale), utf8, "{locale}");
        }
        let utf8 = Environment { utf8: true, ..Environment::default() };
        assert!(!resolve(&[], &utf8).ascii);
        assert!(resolve(&["--ascii"], &utf8).ascii);
        assert!(resolve(&[], &Environment::default()).ascii);
    }

    #[test]
    fn wrong_values_are_usage_errors() {
        for args in
            [["--every", "4"], ["--max-lines", "5"], ["--output", "x"], ["--speed", "0"], ["--nope", ""]]
        {
            assert!(Cli::try_parse_from(std::iter::once("nixmon").chain(args)).is_err(), "{args:?}");
        }
    }
}
