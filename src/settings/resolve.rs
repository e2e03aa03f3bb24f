//! The configuration file found and read, and everything put together.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::{self, ConfigFile};
use super::source::{self, Resolver, SettingValue};
use super::{ConfigError, Environment, HistorySettings, Mistake, Settings, Task, run};
use crate::cli::{
    Cli, Command, ConfigCommand, HistoryCommand, JobsArgs, ListArgs, OutputForm, PackagesArgs, ReplayArgs,
    RunsCommand, StartArgs, StatusArgs, StatusFromWriter, WaitArgs, WatchArgs,
};
use nixmon_core::render::Thresholds;
use nixmon_runs::{Places, Retention};

/// Size limit of a configuration file; a larger file is not one.
const MAX_FILE: u64 = 1 << 20;

/// A configuration file that was looked for.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) path: Option<PathBuf>,
    pub(super) exists: bool,
    pub(super) file: ConfigFile,
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
        if cli.project.is_some() && cli.command.is_some() {
            return Err(ConfigError::ProjectBeforeCommand);
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

    pub(super) fn resolve(cli: Cli, environment: &Environment, loaded: Loaded) -> Result<Self, ConfigError> {
        let Loaded { path, exists, file } = loaded;
        let args = cli.output;
        // For commands with a `--json` of their own.
        let json_wanted = args.output == Some(OutputForm::Json);
        let mut retention = Kept::default();
        let mut history = Kept::default();
        let mut target = None;
        let task = match cli.command {
            None => Task::Filter { record: cli.record, project: cli.project },
            Some(Command::Replay(ReplayArgs { files, speed, project, exit_status })) => {
                Task::Replay { files, speed, exit_status, project }
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
            #[cfg(feature = "mcp")]
            Some(Command::Mcp(args)) => Task::Mcp(args),
            #[cfg(feature = "agent")]
            Some(Command::Agent(args)) => Task::Agent(args),
            #[cfg(feature = "hub")]
            Some(Command::Hub(args)) => Task::Hub(args),
            Some(Command::History(command)) => {
                if let HistoryCommand::Prune { keep_days, keep_mib } = command {
                    history = Kept { days: keep_days, mib: keep_mib, ..Kept::default() };
                }
                Task::History(command)
            }
            Some(Command::Jobs(args)) => Task::Jobs(JobsArgs { json: args.json || json_wanted, ..args }),
            Some(Command::Packages(args)) => {
                Task::Packages(PackagesArgs { json: args.json || json_wanted, ..args })
            }
            Some(Command::Watch(args)) => Task::Watch(WatchArgs { json: args.json || json_wanted, ..args }),
            Some(Command::Guard) => Task::Guard,
            Some(Command::Monitor { directory }) => Task::Monitor(directory),
        };
        let service_logs = file.service_logs(target.as_deref());
        let mut resolver = Resolver::new(path.clone());
        // A command owns its standard output, and JSON must be in one place.
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
        let output = super::output::resolve(&args, &file, &report_environment, &mut resolver);
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
        let enabled = resolver.pick(
            "history.enabled",
            cli.no_history.then_some(false),
            file.history,
            true,
            |enabled| SettingValue::Switch(*enabled),
        );
        let mut number =
            |key, argument, set, usual| resolver.pick(key, argument, set, usual, |n| seconds(*n));
        let history = HistorySettings {
            enabled,
            days: number("history.keep-days", history.days, file.history_days, 365),
            mib: number("history.keep-mib", history.mib, file.history_mib, 512),
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
        let mcp = super::mcp::resolve(file.mcp, &file.targets, environment, &mut resolver);
        let watch = super::watch::resolve(file.watch, environment, &mut resolver);
        let agent = super::agent::resolve(file.agent, environment, &mut resolver);
        run::show(file.targets, &mut resolver);
        Ok(Self {
            task,
            log_level: environment.nixmon_log.clone(),
            verbose: cli.verbose,
            output,
            output_args: args,
            thresholds,
            places: Places {
                service_logs,
                switches: super::switches::switches(&mcp.targets),
                home: environment.home.clone(),
                log_dir: environment.nix_log_dir.clone().unwrap_or_else(|| "/nix/var/log/nix".to_owned()),
                is_elsewhere: false,
            },
            state_home: environment.state_home.clone(),
            socket_dirs: environment.socket_dirs.clone(),
            allow_other_owner: environment.allow_other_owner,
            nix_config: environment.nix_config.clone(),
            mcp,
            watch,
            agent,
            hub_token: environment.hub_token.clone(),
            retention,
            history,
            stdout_is_stderr: environment.stdout_is_stderr,
            notify: environment.notify,
            asks_writer,
            stdin_is_terminal: environment.stdin_is_terminal,
            config_file: path,
            config_exists: exists,
            origins: resolver.into_settings(),
        })
    }
}

/// The [`Retention`] given by arguments.
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
