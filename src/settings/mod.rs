//! Settings in force, resolved once from arguments, configuration file, environment and defaults, in this order. Nothing
//! below asks again.
//!
//! The environment comes last: `NO_COLOR` and the locale are wishes for every program, and no-color.org wants a
//! program's own configuration to overrule it.

mod file;
mod notify;
mod run;
mod services;
mod source;
mod suggest;

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use file::Mistake;
pub use notify::{NotifyWays, TerminalNotice};
pub use run::{Retention, RunError, RunTask};
pub use services::ServiceLogs;
pub use source::{Setting, SettingValue, Source};
pub(crate) use suggest::nearest;

use crate::cli::{
    Cli, Command, ConfigCommand, ListArgs, LogArgs, LogsArg, OutputArgs, OutputForm, PassthroughArg,
    ReplayArgs, RunsCommand, StartArgs, StatusArgs, StatusFromWriter, StopArgs, WaitArgs, When,
};
use file::{ConfigFile, Set};
use source::Resolver;

/// A larger file is no configuration.
const MAX_FILE: u64 = 1 << 20;

/// What the surroundings are like.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// Standard error is a terminal.
    pub stderr_is_terminal: bool,
    /// Standard output and standard error are the same file, so that what goes to one stands among what goes to the other.
    pub stdout_is_stderr: bool,
    /// Standard input is a terminal.
    pub stdin_is_terminal: bool,
    /// `NO_COLOR` is set and not empty (no-color.org).
    pub no_color: bool,
    /// `CLICOLOR_FORCE` is set and neither empty nor 0 (bixense.com/clicolors).
    pub clicolor_force: bool,
    /// `TERM` is `dumb`.
    pub dumb_terminal: bool,
    /// The terminal can move its cursor: `TERM` names one that is not known for the opposite.
    pub moves_cursor: bool,
    /// The terminal takes a window title.
    pub takes_title: bool,
    /// The terminal takes progress by OSC 9;4.
    pub takes_progress: bool,
    /// The locale's characters are UTF-8.
    pub utf8: bool,
    /// The user's home directory.
    pub home: Option<String>,
    /// Where the user's configuration files are: `XDG_CONFIG_HOME`, else `.config` in the home directory.
    pub config_home: Option<PathBuf>,
    /// Where the user's programs keep what they know: `XDG_STATE_HOME`, else `.local/state` in the home directory.
    pub state_home: Option<PathBuf>,
    /// Where the sockets of the user's programs can be: `XDG_RUNTIME_DIR` and the directory for temporary files.
    pub socket_dirs: Vec<PathBuf>,
    /// `NIX_CONFIG`: settings of Nix.
    pub nix_config: Option<OsString>,
    /// Nix's log directory.
    pub nix_log_dir: Option<String>,
    /// How the user can be told of the end of a run.
    pub notify: NotifyWays,
}

impl Environment {
    /// Asks the process's environment.
    #[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
    pub fn read() -> Self {
        use std::io::IsTerminal;
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let value = |name: &str| std::env::var(name).unwrap_or_default();
        let home = std::env::var("HOME").ok().filter(|home| home.starts_with('/'));
        // Relative paths are to be ignored (XDG Base Directory Specification).
        let xdg = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let in_home = |path| home.as_ref().map(|home| Path::new(home).join(path));
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().map(value).find(|value| !value.is_empty());
        Self {
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            stdout_is_stderr: is_same_file(&std::io::stdout(), &std::io::stderr()),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            no_color: set("NO_COLOR"),
            clicolor_force: set("CLICOLOR_FORCE") && value("CLICOLOR_FORCE") != "0",
            dumb_terminal: value("TERM") == "dumb",
            moves_cursor: moves_cursor(&value("TERM")),
            takes_title: takes_title(&value("TERM")),
            takes_progress: takes_progress(&value("TERM_PROGRAM"), set("WT_SESSION"), &value("ConEmuANSI")),
            notify: NotifyWays::read(value, std::io::stderr().is_terminal()),
            utf8: locale.is_some_and(|locale| is_utf8(&locale)),
            config_home: xdg("XDG_CONFIG_HOME").or_else(|| in_home(".config")),
            nix_config: std::env::var_os("NIX_CONFIG"),
            state_home: xdg("XDG_STATE_HOME").or_else(|| in_home(".local/state")),
            socket_dirs: xdg("XDG_RUNTIME_DIR").into_iter().chain([std::env::temp_dir()]).collect(),
            nix_log_dir: std::env::var("NIX_LOG_DIR").ok().or_else(|| {
                let state = std::env::var("NIX_STATE_DIR").ok()?;
                Some(std::path::Path::new(&state).parent()?.join("log/nix").to_string_lossy().into_owned())
            }),
            home,
        }
    }
}

fn is_same_file(a: &impl std::os::fd::AsFd, b: &impl std::os::fd::AsFd) -> bool {
    let identity = |file: &dyn std::os::fd::AsFd| {
        let stat = rustix::fs::fstat(file.as_fd()).ok()?;
        Some((stat.st_dev, stat.st_ino))
    };
    identity(a).is_some_and(|a| Some(a) == identity(b))
}

/// Whether a terminal of this name can move its cursor. Editors' shells and consoles of CI systems cannot.
fn moves_cursor(term: &str) -> bool {
    !matches!(term, "" | "dumb" | "unknown" | "emacs" | "network" | "dialup")
}

/// Whether a terminal of this name takes a title and keeps the old one; others would print it or ignore it.
fn takes_title(term: &str) -> bool {
    const FAMILIES: [&str; 10] =
        ["xterm", "rxvt", "tmux", "screen", "alacritty", "foot", "ghostty", "wezterm", "vte", "st-"];
    FAMILIES.iter().any(|family| term.starts_with(family))
}

/// Whether the terminal is one of those that take OSC 9;4 for progress. Others show it as a notification.
fn takes_progress(program: &str, windows_terminal: bool, con_emu: &str) -> bool {
    windows_terminal || con_emu == "ON" || matches!(program, "ghostty" | "WezTerm")
}

fn is_utf8(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A live view.
    #[cfg(feature = "live")]
    Live,
    /// Condensed lines.
    Lines,
    /// JSON lines.
    Json,
    /// Results only.
    Quiet,
}

/// How it is said.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// What is written.
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
        output(&OutputArgs::default(), &ConfigFile::default(), &environment, &mut Resolver::new(None))
    }
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Task {
    /// Read standard input.
    Filter {
        /// Where to keep it.
        record: Option<PathBuf>,
    },
    /// Read files.
    Replay {
        /// Which.
        files: Vec<PathBuf>,
        /// How fast, if time is to pass at all.
        speed: Option<f64>,
        /// The command's exit status.
        exit_status: Option<i32>,
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
    /// Be the guard of a command.
    Guard,
    /// Be the monitor of a run in the background.
    Monitor(PathBuf),
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

/// When something takes so long that it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// A build is named once it has run for so long.
    pub slow: Duration,
    /// A builder that has printed nothing for so long is said to be quiet.
    pub quiet: Duration,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { slow: Duration::from_secs(10), quiet: Duration::from_secs(180) }
    }
}

/// All settings in force.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is to be done.
    pub task: Task,
    /// How it is said.
    pub output: Output,
    /// What the arguments say of that, for another nixmon.
    pub output_args: OutputArgs,
    /// When something takes long.
    pub thresholds: Thresholds,
    /// Where services log to.
    pub service_logs: ServiceLogs,
    /// The user's home directory.
    pub home: Option<String>,
    /// Nix's log directory.
    pub log_dir: String,
    /// Where the user's programs keep what they know.
    pub state_home: Option<PathBuf>,
    /// Where the sockets of the user's programs can be.
    pub socket_dirs: Vec<PathBuf>,
    /// Settings of Nix in the environment.
    pub nix_config: Option<OsString>,
    /// What is kept of runs.
    pub retention: Retention,
    /// How the user can be told of the end of a run.
    pub notify: NotifyWays,
    /// The exit status of what writes into standard input is looked for.
    pub asks_writer: bool,
    /// Standard input is a terminal.
    pub stdin_is_terminal: bool,
    /// Standard output and standard error are the same file.
    pub stdout_is_stderr: bool,
    /// The configuration file that was read, or would be if it existed.
    pub config_file: Option<PathBuf>,
    /// Whether it exists.
    pub config_exists: bool,
    /// Every setting that a file can set, with its source, in the order of `nixmon config show`.
    pub origins: Vec<Setting>,
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

/// A configuration file that was looked for.
#[derive(Debug, Default)]
struct Loaded {
    path: Option<PathBuf>,
    exists: bool,
    file: ConfigFile,
}

impl Settings {
    /// Reads the configuration file and puts everything together. A file that was not named need not exist.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or has a mistake.
    pub fn load(cli: Cli, environment: &Environment) -> Result<Self, ConfigError> {
        if cli.record.is_some() && cli.command.is_some() {
            return Err(ConfigError::RecordWithCommand);
        }
        if cli.status_from_writer.is_some() && cli.command.is_some() {
            return Err(ConfigError::WriterWithCommand);
        }
        let named = match &cli.command {
            Some(Command::Config(ConfigCommand::Check { file: Some(file) })) => Some(file),
            _ => cli.config.as_ref(),
        };
        let loaded = match (&cli.command, named, &environment.config_home) {
            // They do not depend on it, and packagers call them.
            (Some(Command::Completions { .. } | Command::Man { .. } | Command::Guard), ..) => {
                Loaded::default()
            }
            (_, Some(path), _) => {
                Loaded { path: Some(path.clone()), exists: true, file: parse(path, read(path)?)? }
            }
            (_, None, Some(home)) => {
                let path = home.join("nixmon/config.toml");
                match read(&path) {
                    Ok(bytes) => Loaded { file: parse(&path, bytes)?, exists: true, path: Some(path) },
                    Err(ConfigError::Read { source, .. }) if is_missing(&source) => {
                        Loaded { path: Some(path), ..Loaded::default() }
                    }
                    Err(error) => return Err(error),
                }
            }
            (_, None, None) => Loaded::default(),
        };
        Self::resolve(cli, environment, loaded)
    }

    fn resolve(cli: Cli, environment: &Environment, loaded: Loaded) -> Result<Self, ConfigError> {
        let Loaded { path, exists, file } = loaded;
        let args = cli.output;
        // For commands with a `--json` of their own.
        let json_wanted = args.output == Some(OutputForm::Json);
        let mut retention = Kept::default();
        let mut target = None;
        let task = match cli.command {
            None => Task::Filter { record: cli.record },
            Some(Command::Replay(ReplayArgs { files, speed, exit_status })) => {
                Task::Replay { files, speed, exit_status }
            }
            Some(Command::Config(ConfigCommand::Check { .. })) => Task::ConfigCheck,
            Some(Command::Config(ConfigCommand::Show { json })) => Task::ConfigShow { json },
            Some(Command::Completions { shell }) => Task::Completions(shell),
            Some(Command::Man { directory }) => Task::Man { directory },
            Some(Command::Run(args)) => {
                target.clone_from(&args.target);
                Task::Run(run::task(args, &file.targets, environment.home.as_deref())?)
            }
            Some(Command::Start(StartArgs { run: args, after })) => {
                target.clone_from(&args.target);
                let run = run::task(args, &file.targets, environment.home.as_deref())?;
                Task::Start { run, after }
            }
            Some(Command::Nix(words)) => Task::Run(run::shorthand(words)?),
            Some(Command::Status(args)) => {
                Task::Status(StatusArgs { json: args.json || json_wanted, ..args })
            }
            Some(Command::Wait(args)) => Task::Wait(WaitArgs { json: args.json || json_wanted, ..args }),
            Some(Command::Log(args)) => Task::Log(args),
            Some(Command::Stop(args)) => Task::Stop(args),
            Some(Command::List(args)) => Task::List(ListArgs { json: args.json || json_wanted, ..args }),
            Some(Command::Runs(RunsCommand::Prune { keep_days, keep_runs, keep_mib, dry_run })) => {
                retention = Kept { days: keep_days, runs: keep_runs, mib: keep_mib };
                Task::Prune { dry_run }
            }
            Some(Command::Guard) => Task::Guard,
            Some(Command::Monitor { directory }) => Task::Monitor(directory),
        };
        let service_logs = file.service_logs(target.as_deref());
        let mut resolver = Resolver::new(path.clone());
        // What a command prints on its standard output is its own; of JSON there is one place to be looked for.
        let is_run = matches!(task, Task::Run(_));
        let json = args.output.or(file.output.as_ref().map(|set| set.value)) == Some(OutputForm::Json);
        let report_environment = Environment {
            stdout_is_terminal: if is_run && !json {
                environment.stderr_is_terminal
            } else {
                environment.stdout_is_terminal
            },
            ..environment.clone()
        };
        let output = output(&args, &file, &report_environment, &mut resolver);
        let seconds = |n| SettingValue::Number(n);
        let usual = Thresholds::default();
        let thresholds = Thresholds {
            slow: Duration::from_secs(resolver.pick(
                "thresholds.slow",
                None,
                file.slow,
                usual.slow.as_secs(),
                |n| seconds(*n),
            )),
            quiet: Duration::from_secs(resolver.pick(
                "thresholds.quiet",
                None,
                file.quiet,
                usual.quiet.as_secs(),
                |n| seconds(*n),
            )),
        };
        let usual = Retention::default();
        let mut number =
            |key, argument, set, usual| resolver.pick(key, argument, set, usual, |n| seconds(*n));
        let retention = Retention {
            days: number("runs.keep-days", retention.days, file.keep_days, usual.days),
            runs: number("runs.keep-runs", retention.runs, file.keep_runs, usual.runs),
            mib: number("runs.keep-mib", retention.mib, file.keep_mib, usual.mib),
        };
        let asks_writer = resolver.pick(
            "status-from-writer",
            cli.status_from_writer,
            file.status_from_writer,
            StatusFromWriter::Auto,
            source::name,
        ) == StatusFromWriter::Auto;
        let list = |patterns: &Vec<String>| SettingValue::List(patterns.clone());
        resolver.pick("services.log", None, file.log, Vec::new(), list);
        for (name, patterns) in file.logs {
            let key = format!("services.{}.log", source::key(&name));
            resolver.pick(&key, None, Some(patterns), Vec::new(), list);
        }
        run::show(file.targets, &mut resolver);
        Ok(Self {
            task,
            output,
            output_args: args,
            thresholds,
            service_logs,
            state_home: environment.state_home.clone(),
            socket_dirs: environment.socket_dirs.clone(),
            nix_config: environment.nix_config.clone(),
            retention,
            stdout_is_stderr: environment.stdout_is_stderr,
            home: environment.home.clone(),
            log_dir: environment.nix_log_dir.clone().unwrap_or_else(|| "/nix/var/log/nix".to_owned()),
            notify: environment.notify,
            asks_writer,
            stdin_is_terminal: environment.stdin_is_terminal,
            config_file: path,
            config_exists: exists,
            origins: resolver.into_settings(),
        })
    }
}

/// What arguments say of [`Retention`].
#[derive(Debug, Default)]
struct Kept {
    days: Option<u64>,
    runs: Option<u64>,
    mib: Option<u64>,
}

#[expect(clippy::disallowed_methods, reason = "this is where the configuration is read")]
fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let unreadable = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(ConfigError::TooLong { path: path.to_owned() });
    }
    Ok(bytes)
}

fn is_missing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn parse(path: &Path, bytes: Vec<u8>) -> Result<ConfigFile, ConfigError> {
    let mistakes = match String::from_utf8(bytes) {
        Ok(text) => match file::parse(&text) {
            Ok(file) => return Ok(file),
            Err(mistakes) => mistakes,
        },
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let before = error.as_bytes().get(..valid).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            vec![Mistake { line, column: 1, message: "not UTF-8".to_owned() }]
        }
    };
    Err(ConfigError::Mistakes { path: path.to_owned(), mistakes })
}

fn output(
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
            #[cfg(feature = "live")]
            OutputForm::Auto if environment.stdout_is_terminal && environment.moves_cursor => Form::Live,
            // Without a terminal there is nothing to draw on.
            #[cfg(feature = "live")]
            OutputForm::Live if environment.stdout_is_terminal => Form::Live,
            #[cfg(feature = "live")]
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

/// Of a setting that has no default.
fn optional(set: &Option<Set<u64>>) -> Option<Set<Option<u64>>> {
    set.as_ref().map(|set| Set { value: Some(set.value), line: set.line })
}

fn number_if_any(number: &Option<u64>) -> SettingValue {
    number.map_or(SettingValue::Unset, SettingValue::Number)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test with files of its own")]
mod tests {
    use clap::Parser;

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

    #[cfg(feature = "live")]
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
                "status-from-writer = \"auto\"  # default",
                "services.log = []  # default",
                "services.\"a b\".log = [\"/x\"]  # /c.toml:8",
            ]
        );
        // What is shown can be kept as a file.
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
