//! This program as a client of a hub: the address, the name and the token of this host, and the report of one run.

mod report;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nixmon_agent::{AgentError, Config, HubAddress, Mirrored, Notice};
use nixmon_fleet::HostName;
use nixmon_log::escapes::escape;
use nixmon_runs::{Environment, StoreError};

pub(crate) use report::Reporter;

use crate::cli::HubClientArgs;
use crate::drive;
use crate::exit_status::{ExitStatus, Failed};
use crate::history;
use crate::settings::Settings;

/// The hub, and this host there.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// The address of the hub.
    pub(crate) hub: HubAddress,
    /// The name of this host.
    pub(crate) host: HostName,
    /// The file with its token.
    pub(crate) token_file: PathBuf,
    /// A file with certificates to trust.
    pub(crate) ca: Option<PathBuf>,
}

impl Client {
    /// Puts arguments and settings together.
    ///
    /// # Errors
    ///
    /// If no hub is named, a name is none, or what is sent could be read on the way.
    pub(crate) fn new(settings: &Settings, args: &HubClientArgs) -> Result<Self> {
        let usage = |message: String| Failed::error(ExitStatus::Usage, escape(&message));
        let text = args.hub.as_ref().or(settings.agent.hub.as_ref());
        let text = text.ok_or_else(|| usage("which hub? name it with --hub URL".to_owned()))?;
        let hub: HubAddress = text.parse().map_err(|error| usage(format!("{text}: {error}")))?;
        if !hub.is_private() && !args.insecure {
            return Err(usage(format!(
                "{hub} is on another machine and has no TLS, so that anyone on the network path could read the token; use \
                 https://, or --insecure all the same"
            )));
        }
        let machine = || history::machine().host;
        let host = args.host.clone().or_else(|| settings.agent.host.clone()).unwrap_or_else(machine);
        let host = HostName::new(host.clone()).map_err(|error| usage(format!("{host}: {error}")))?;
        let token_file = args.token_file.clone().or_else(|| settings.agent.token_file.clone());
        let token_file = match token_file {
            Some(file) => file,
            None => directory(settings)?.join("token"),
        };
        let ca = args.ca.clone().or_else(|| settings.agent.ca.clone());
        Ok(Self { hub, host, token_file, ca })
    }

    /// Makes the configuration of an agent that leaves no state and starts nothing.
    ///
    /// # Errors
    ///
    /// If the token cannot be read.
    pub(crate) fn config(&self, mirrored: Mirrored, environment: Environment) -> Result<Config> {
        Ok(Config {
            hub: self.hub.clone(),
            token: read_token(&self.token_file)?,
            host: self.host.clone(),
            ca: self.ca.clone(),
            state: None,
            mirrored,
            spool: u64::MAX,
            actions: Vec::new(),
            environment,
        })
    }
}

/// Returns the directory with the state of the agent.
///
/// # Errors
///
/// If there is no home directory.
pub(crate) fn directory(settings: &Settings) -> Result<PathBuf, StoreError> {
    Ok(settings.state_home.as_ref().ok_or(StoreError::NoHome)?.join("nixmon/agent"))
}

/// Reads the token in a file.
///
/// # Errors
///
/// If it cannot be read, or is empty.
#[expect(clippy::disallowed_methods, reason = "a token is in a file")]
fn read_token(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| {
        format!("cannot read the token of this host in {}; `nixmon agent enroll` gets one", file.display())
    })?;
    let token = text.trim();
    anyhow::ensure!(!token.is_empty(), "{} has no token", file.display());
    Ok(token.to_owned())
}

/// Makes a runtime for one connection.
///
/// # Errors
///
/// If the system does not allow it.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Words a notice of an agent.
pub(crate) fn words(hub: &HubAddress, notice: &Notice) -> String {
    match notice {
        Notice::Connected => format!("connected to {hub}"),
        Notice::Disconnected { reason, retry_in } => {
            format!("not connected to {hub}: {reason}; trying again in {}", seconds(*retry_in))
        }
        Notice::StateNotKept { reason } => format!("the state of the agent is not kept: {reason}"),
        notice => format!("{notice:?}"),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1}s", time.as_secs_f64())
}

/// Tells the user a notice.
pub(crate) fn tell(hub: &HubAddress, notice: &Notice) {
    drive::complain(&anyhow::anyhow!(escape(&words(hub, notice)).into_owned()));
}

/// Makes an error of this program of one of an agent.
pub(crate) fn failure(error: AgentError) -> anyhow::Error {
    match error {
        AgentError::Store(error) => error.into(),
        AgentError::Busy { .. } => Failed::error(ExitStatus::Busy, error.to_string()),
        error => error.into(),
    }
}
