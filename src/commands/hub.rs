//! `nixmon hub`: pages about the runs of this machine.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use nixmon_hub::engine::Kept;
use nixmon_hub::{Config, HubError, Program, serve};
use nixmon_runs::query::Runs;
use nixmon_runs::{Places, StoreError};

use super::hub_hosts;
use super::token::read_token;
use crate::cli::HubArgs;
use crate::drive;
use crate::exit_status::{ExitStatus, Failed};
use crate::settings::Settings;

/// Serves until the process is ended.
pub(super) fn hub(settings: &Settings, args: &HubArgs) -> Result<ExitStatus> {
    // Without a store nothing works, which is better said at once.
    settings.store()?;
    let home = settings.state_home.as_ref().ok_or(StoreError::NoHome)?;
    let directory = home.join("nixmon/hub");
    create(&directory)?;
    let token = match (&args.token_file, &settings.hub_token) {
        (Some(file), _) => Some(read_token(file)?),
        (None, token) => token.clone(),
    };
    if let Some(manage) = &args.manage {
        return hub_hosts::manage(settings, manage, &directory);
    }
    let config = Config {
        address: args.listen,
        token,
        hosts: args.hosts.clone(),
        insecure: args.insecure,
        directory,
        engine: args.engine.engine.clone(),
        kept: Kept::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let program = Arc::new(Served { settings: settings.clone() });
    let ready = |address| drive::complain(&anyhow::anyhow!("serving runs at http://{address}/"));
    let served = runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            served = serve(program, config, ready) => served,
            _ = tokio::signal::ctrl_c() => Ok(()),
            _ = terminate.recv() => Ok(()),
        }
    });
    // Streams need not end first: their clients come back to where they were.
    runtime.shutdown_background();
    served.map(|()| ExitStatus::Success).map_err(|error| match error {
        HubError::NoToken(_) | HubError::NoTls(_) | HubError::ShortToken => {
            Failed::error(ExitStatus::Usage, error.to_string())
        }
        error => error.into(),
    })
}

/// Makes a directory that only this user can look into.
fn create(directory: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.with_context(|| format!("cannot make {}", directory.display()))
}

/// This program, as the hub sees it.
#[derive(Debug)]
struct Served {
    settings: Settings,
}

impl Program for Served {
    fn runs(&self) -> Result<Runs<'_>, StoreError> {
        drive::runs(&self.settings)
    }

    fn places(&self) -> &Places {
        &self.settings.places
    }
}
