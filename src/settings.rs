//! Settings in force, resolved once from arguments and environment. Nothing below asks again.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::{Cli, Command, OutputArgs, OutputForm, PassthroughArg, When};

/// What the surroundings are like.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// Standard input is a terminal.
    pub stdin_is_terminal: bool,
    /// `NO_COLOR` is set and not empty (no-color.org).
    pub no_color: bool,
    /// `CLICOLOR_FORCE` is set and neither empty nor 0 (bixense.com/clicolors).
    pub clicolor_force: bool,
    /// `TERM` is `dumb`.
    pub dumb_terminal: bool,
    /// The locale's characters are UTF-8.
    pub utf8: bool,
    /// Nix's log directory.
    pub nix_log_dir: Option<String>,
}

impl Environment {
    /// Asks the process's environment.
    #[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
    pub fn read() -> Self {
        use std::io::IsTerminal;
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let value = |name| std::env::var(name).unwrap_or_default();
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().map(value).find(|value| !value.is_empty());
        Self {
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            no_color: set("NO_COLOR"),
            clicolor_force: set("CLICOLOR_FORCE") && value("CLICOLOR_FORCE") != "0",
            dumb_terminal: value("TERM") == "dumb",
            utf8: locale.is_some_and(|locale| is_utf8(&locale)),
            nix_log_dir: std::env::var("NIX_LOG_DIR").ok().or_else(|| {
                let state = std::env::var("NIX_STATE_DIR").ok()?;
                Some(std::path::Path::new(&state).parent()?.join("log/nix").to_string_lossy().into_owned())
            }),
        }
    }
}

fn is_utf8(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
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
    /// Time between two snapshots.
    pub snapshots: Option<Duration>,
}

impl Default for Output {
    /// As if nothing had been asked for, on something that is no terminal and shows UTF-8.
    fn default() -> Self {
        output(&OutputArgs::default(), &Environment { utf8: true, ..Environment::default() })
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
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
    /// Print completions.
    Completions(clap_complete::Shell),
    /// Print the manual page.
    Man,
}

/// All settings in force.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is to be done.
    pub task: Task,
    /// How it is said.
    pub output: Output,
    /// Nix's log directory.
    pub log_dir: String,
    /// Standard input is a terminal.
    pub stdin_is_terminal: bool,
}

impl Settings {
    /// Puts arguments and environment together.
    pub fn resolve(cli: Cli, environment: &Environment) -> Self {
        let (task, args) = match cli.command {
            None => (Task::Filter { record: cli.record }, cli.output),
            Some(Command::Replay(replay)) => (
                Task::Replay { files: replay.files, speed: replay.speed, exit_status: replay.exit_status },
                replay.output,
            ),
            Some(Command::Completions { shell }) => (Task::Completions(shell), cli.output),
            Some(Command::Man) => (Task::Man, cli.output),
        };
        Self {
            task,
            output: output(&args, environment),
            log_dir: environment.nix_log_dir.clone().unwrap_or_else(|| "/nix/var/log/nix".to_owned()),
            stdin_is_terminal: environment.stdin_is_terminal,
        }
    }
}

fn output(args: &OutputArgs, environment: &Environment) -> Output {
    let color = match args.color.unwrap_or(When::Auto) {
        When::Always => true,
        When::Never => false,
        When::Auto if environment.no_color => false,
        When::Auto if environment.clicolor_force => true,
        When::Auto => environment.stdout_is_terminal && !environment.dumb_terminal,
    };
    let number =
        |value: Option<u64>, default| value.map_or(default, |n| usize::try_from(n).unwrap_or(usize::MAX));
    Output {
        form: match args.output.unwrap_or(OutputForm::Auto) {
            OutputForm::Auto | OutputForm::Lines => Form::Lines,
            OutputForm::Json => Form::Json,
            OutputForm::Quiet => Form::Quiet,
        },
        color,
        ascii: args.ascii || !environment.utf8,
        every: Duration::from_secs(args.every.unwrap_or(30)),
        max_lines: number(args.max_lines, 60),
        max_bytes: number(args.max_bytes, 8192),
        passthrough: args.passthrough.unwrap_or(PassthroughArg::Auto),
        snapshots: args.snapshots.map(Duration::from_secs),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn resolve(args: &[&str], environment: &Environment) -> Output {
        let cli = Cli::try_parse_from(std::iter::once(&"nixmon").chain(args)).unwrap();
        Settings::resolve(cli, environment).output
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
