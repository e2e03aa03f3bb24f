//! `nixmon mcp`: builds for agents.

mod events;
mod kind;
mod packages;
mod past;
mod plan;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use nixmon_mcp::{
    Access, CommandKind, Events, History, Order, Packages, PlanCheck, Profile, Program, Server, StartError,
};
use nixmon_runs::query::Runs;
use nixmon_runs::{Places, RunId, StoreError};

use crate::cli::{McpArgs, ProfileArg, run_name};
use crate::drive;
use crate::exit_status::ExitStatus;
use crate::monitor::{self, NotStarted};
use crate::settings::{RunTask, Settings};
use past::Past;

/// Serves clients until they have gone.
pub(super) fn mcp(settings: &Settings, args: &McpArgs) -> Result<ExitStatus> {
    // Without a store nothing works, which is better said at once.
    settings.store()?;
    #[cfg(feature = "mcp-http")]
    let http = args.http;
    #[cfg(not(feature = "mcp-http"))]
    let http: Option<std::net::SocketAddr> = None;
    let access = access(settings, args.profile, http.is_some());
    let server = Server::new(Arc::new(Served::new(settings)), access);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = match http {
        None => runtime.block_on(nixmon_mcp::serve_stdio(server)).context("the client does not speak MCP"),
        #[cfg(feature = "mcp-http")]
        Some(address) => runtime.block_on(serve_http(settings, server, address)),
        #[cfg(not(feature = "mcp-http"))]
        Some(_) => Ok(()),
    };
    // Waits that no client waits for any more need not end first.
    runtime.shutdown_background();
    served.map(|()| ExitStatus::Success)
}

fn access(settings: &Settings, profile: Option<ProfileArg>, is_http: bool) -> Access {
    let default = if is_http { Access::of_http() } else { Access::of_stdio() };
    // Commands that the configuration names may run over HTTP, too.
    let unset =
        if settings.mcp.allow.is_some() { default.profile.max(Profile::Build) } else { default.profile };
    let profile = profile.or(settings.mcp.profile).map_or(unset, |profile| match profile {
        ProfileArg::ReadOnly => Profile::ReadOnly,
        ProfileArg::Build => Profile::Build,
        ProfileArg::Switch => Profile::Switch,
        ProfileArg::All => Profile::All,
    });
    let directories = settings.mcp.directories.iter();
    // Links are followed, as they are in the directories of commands.
    let directories = directories.map(|path| path.canonicalize().unwrap_or_else(|_| path.clone()));
    Access { profile, allow: settings.mcp.allow.clone(), directories: directories.collect() }
}

#[cfg(feature = "mcp-http")]
async fn serve_http(settings: &Settings, server: Server, address: std::net::SocketAddr) -> Result<()> {
    use crate::exit_status::Failed;
    use nixmon_mcp::http::{Http, HttpError, serve};
    let token = match (&settings.mcp.token, &settings.mcp.token_file) {
        (Some(token), _) => Some(token.clone()),
        (None, Some(file)) => Some(super::token::read_token(file)?),
        (None, None) => None,
    };
    let http = Http { address, token, hosts: settings.mcp.hosts.clone() };
    let ready = |address| drive::complain(&anyhow::anyhow!("serving MCP at http://{address}/mcp"));
    serve(server, http, ready).await.map_err(|error| match error {
        HttpError::NoToken(_) => Failed::error(ExitStatus::Usage, error.to_string()),
        error => error.into(),
    })
}

/// This program, as the server sees it.
#[derive(Debug)]
struct Served {
    settings: Settings,
    past: Past,
    packages: packages::PackagesPast,
    events: events::Journaled,
}

impl Served {
    fn new(settings: &Settings) -> Self {
        Self {
            settings: settings.clone(),
            past: Past::new(settings),
            packages: packages::PackagesPast::new(settings),
            events: events::Journaled::new(settings),
        }
    }

    fn home(&self) -> Option<&Path> {
        self.settings.mcp.home.as_deref()
    }
}

impl Program for Served {
    fn runs(&self) -> Result<Runs<'_>, StoreError> {
        drive::runs(&self.settings)
    }

    fn places(&self) -> &Places {
        &self.settings.places
    }

    fn targets(&self) -> Vec<String> {
        self.settings.mcp.targets.keys().cloned().collect()
    }

    fn target(&self, name: &str) -> Option<Order> {
        let task = self.settings.mcp.targets.get(name)?;
        let command: Option<Vec<String>> =
            task.command.iter().map(|word| word.to_str().map(str::to_owned)).collect();
        Some(Order {
            command: command?,
            directory: task.directory.clone(),
            name: task.name.clone(),
            is_target: true,
            after: None,
        })
    }

    fn kind(&self, command: &[String]) -> CommandKind {
        kind::kind(command)
    }

    fn checked_name(&self, name: &str) -> Result<String, String> {
        run_name(name)
    }

    fn directory(&self) -> PathBuf {
        std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))
    }

    fn start(&self, order: &Order) -> Result<RunId, StartError> {
        // A target has an expected duration and a time-out as well.
        let target = order
            .name
            .as_ref()
            .filter(|_| order.is_target)
            .and_then(|name| self.settings.mcp.targets.get(name));
        let task = RunTask {
            name: order.name.clone(),
            is_target: order.is_target,
            command: order.command.iter().map(Into::into).collect(),
            directory: order.directory.clone(),
            ..target.cloned().unwrap_or_default()
        };
        monitor::start_in_background(&self.settings, &task, order.after.as_deref()).map_err(|error| {
            match error {
                NotStarted::Command { program, error } => {
                    StartError::NotStarted { program, reason: monitor::reason(&error) }
                }
                NotStarted::Other(error) => match error.downcast::<StoreError>() {
                    Ok(error) => StartError::Store(error),
                    Err(error) => StartError::Monitor(format!("{error:#}")),
                },
            }
        })
    }

    fn plan(&self, order: &Order) -> Result<PlanCheck, String> {
        plan::plan(order, self.home())
    }

    fn history(&self) -> &dyn History {
        &self.past
    }

    fn packages(&self) -> &dyn Packages {
        &self.packages
    }

    fn events(&self) -> &dyn Events {
        &self.events
    }
}
