//! `nixmon agent`: reports the runs of this machine to a hub, and starts the commands that it asks for.

mod actions;
mod install;

use std::sync::Arc;

use anyhow::{Context, Result};
use nixmon_agent::{Action, Config, HubAddress, Mirrored, Notice, Program};
use nixmon_fleet::CommandId;
use nixmon_log::escapes::escape;
use nixmon_runs::query::Runs;
use nixmon_runs::{RunId, StoreError};

use super::print;
use crate::cli::{AgentArgs, AgentCommand, HubClientArgs, MirroredArg};
use crate::exit_status::{ExitStatus, Failed};
use crate::fleet::{self, Client};
use crate::monitor::{self, NotStarted};
use crate::settings::{RunTask, Settings};
use crate::{drive, history};

/// Serves a hub until the process is ended, or does what else the arguments say.
pub(super) fn agent(settings: &Settings, args: &AgentArgs) -> Result<ExitStatus> {
    if let Some(AgentCommand::Enroll { hub, code }) = &args.command {
        return enroll(settings, hub, code);
    }
    let client = Client::new(settings, &args.hub)?;
    if args.install {
        return install::install(settings, args, &client);
    }
    // Without a store nothing works, which is better said at once.
    settings.store()?;
    let mirrored = match args.runs.or(settings.agent.runs) {
        Some(MirroredArg::Commands) => Mirrored::Commands,
        Some(MirroredArg::All) | None => Mirrored::All,
    };
    let actions = actions::actions(&settings.agent, rustix::process::geteuid().is_root());
    let mut environment = history::machine();
    environment.nix = crate::nix_commands::detect(&["nix".into()]).map(|version| version.to_string());
    let config = Config {
        state: Some(fleet::directory(settings)?),
        spool: settings.agent.spool_mib.saturating_mul(1 << 20),
        actions: actions.map_err(|message| Failed::error(ExitStatus::Usage, message))?,
        ..client.config(mirrored, environment)?
    };
    let served = Arc::new(Served { settings: settings.clone(), hub: config.hub.clone() });
    let runtime = fleet::runtime()?;
    let ended = runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            served = nixmon_agent::serve(served, config) => served.map_err(fleet::failure),
            _ = tokio::signal::ctrl_c() => Ok(()),
            _ = terminate.recv() => Ok(()),
        }
    });
    // Commands that it has started have processes of their own.
    runtime.shutdown_background();
    ended.map(|()| ExitStatus::Success)
}

/// Exchanges a code for the token of this host, and keeps that.
fn enroll(settings: &Settings, args: &HubClientArgs, code: &str) -> Result<ExitStatus> {
    let client = Client::new(settings, args)?;
    let Client { hub, host, token_file, ca } = &client;
    if let Some(parent) = token_file.parent() {
        nixmon_runs::make_dir(parent)?;
    }
    let exchange = nixmon_agent::enroll(hub, ca.as_deref(), code, host);
    let token = fleet::runtime()?.block_on(exchange).with_context(|| format!("cannot enroll at {hub}"))?;
    nixmon_runs::replace_file(token_file, format!("{token}\n").as_bytes())?;
    let said = format!("enrolled as {host} at {hub}; the token is in {}", token_file.display());
    print(format!("{}\n", escape(&said)).as_bytes())?;
    Ok(ExitStatus::Success)
}

/// This program, as the agent sees it.
#[derive(Debug)]
struct Served {
    settings: Settings,
    hub: HubAddress,
}

impl Program for Served {
    fn runs(&self) -> Result<Runs<'_>, StoreError> {
        drive::runs(&self.settings)
    }

    fn start(&self, action: &Action, id: CommandId) -> Result<RunId, String> {
        let task = RunTask {
            // A user who runs the same under this name keeps it from beginning, and the other way round.
            name: Some(action.name.clone()),
            command: action.command.iter().map(Into::into).collect(),
            directory: self.settings.agent.home.clone().filter(|home| home.is_dir()),
            request: Some(id.0),
            ..RunTask::default()
        };
        monitor::start_in_background(&self.settings, &task, None).map_err(|error| match error {
            NotStarted::Command { program, error } => format!("{program}: {}", monitor::reason(&error)),
            NotStarted::Other(error) => format!("{error:#}"),
        })
    }

    fn tell(&self, notice: &Notice) {
        fleet::tell(&self.hub, notice);
    }
}
