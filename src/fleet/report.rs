//! The report of one run to a hub, beside its monitor.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use nixmon_agent::{Action, HubAddress, Mirrored, Notice, Program};
use nixmon_fleet::CommandId;
use nixmon_log::escapes::escape;
use nixmon_runs::query::Runs;
use nixmon_runs::{Environment, RunId, StoreError};
use tokio::sync::oneshot;

use super::Client;
use crate::cli::HubClientArgs;
use crate::drive;
use crate::settings::Settings;

/// Time after the end of a run in which the hub may get the rest.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reports one run on a thread of its own. Whatever happens to it, the command and its exit status are the same.
pub(crate) struct Reporter {
    end: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Reporter {
    /// Begins to report a run, or says why that cannot be.
    pub(crate) fn begin(
        settings: &Settings,
        hub: &str,
        run: RunId,
        environment: Environment,
    ) -> Option<Self> {
        let args = HubClientArgs { hub: Some(hub.to_owned()), ..HubClientArgs::default() };
        let client = Client::new(settings, &args);
        let config = client.and_then(|client| client.config(Mirrored::Run(run), environment));
        let config = config.inspect_err(complain).ok()?;
        let (end, ended) = oneshot::channel::<()>();
        let reporting = Arc::new(Reporting { settings: settings.clone(), hub: config.hub.clone() });
        let work = move || {
            let report = async {
                // Dropped as well as sent, it has ended.
                let ended = async { drop(ended.await) };
                nixmon_agent::report(reporting, config, ended, PATIENCE).await
            };
            match super::runtime().map(|runtime| runtime.block_on(report)) {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => complain(&anyhow::anyhow!("the hub does not have all of run {run}")),
                Ok(Err(error)) => complain(&error.into()),
                Err(error) => complain(&error.into()),
            }
        };
        let thread = std::thread::Builder::new().name("report".to_owned()).spawn(work);
        let thread = thread.inspect_err(|error| complain(&anyhow::anyhow!("{error}"))).ok()?;
        Some(Self { end, thread })
    }

    /// Waits a short time until the hub has the end of the run.
    pub(crate) fn finish(self) {
        drop(self.end);
        // A panic there has been printed, and is no concern of the command.
        let _ = self.thread.join();
    }
}

fn complain(error: &anyhow::Error) {
    drive::complain(&anyhow::anyhow!("the run is not reported: {}", escape(&format!("{error:#}"))));
}

struct Reporting {
    settings: Settings,
    hub: HubAddress,
}

impl Program for Reporting {
    fn runs(&self) -> Result<Runs<'_>, StoreError> {
        drive::runs(&self.settings)
    }

    fn start(&self, _: &Action, _: CommandId) -> Result<RunId, String> {
        Err("a run that is reported starts nothing".to_owned())
    }

    fn tell(&self, notice: &Notice) {
        // The report of the command is in the same terminal.
        tracing::info!("{}", super::words(&self.hub, notice));
    }
}
