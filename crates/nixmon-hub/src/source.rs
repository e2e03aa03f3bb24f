//! The runs of one machine, and what is read of them: of this machine, or copies of those of a host.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nixmon_fleet::HostName;
use nixmon_runs::clock::unix_ms;
use nixmon_runs::query::{Look, Runs};
use nixmon_runs::{QueryError, RunDir};

use crate::failure::Failure;
use crate::kept::KeptLogs;
use crate::mirror::{Hold, Mirror};
use crate::play::{Play, Plays};
use crate::program::Program;

/// Longest wait for a look at a store.
const LOOK: Duration = Duration::from_secs(20);

/// The runs of one machine.
pub(crate) struct Source {
    /// The host whose runs these are; `None` for this machine.
    pub(crate) host: Option<HostName>,
    pub(crate) program: Arc<dyn Program>,
    pub(crate) plays: Plays,
    pub(crate) kept: Arc<KeptLogs>,
    /// Copies the runs of a host before they are read.
    mirror: Option<Arc<Mirror>>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Source {
    /// Reads the runs of `program`, and keeps copies of logs in `directory`.
    pub(crate) fn new(host: Option<HostName>, program: Arc<dyn Program>, directory: PathBuf) -> Self {
        let plays = Plays::new(Arc::clone(&program), directory.clone());
        Self { host, program, plays, kept: Arc::new(KeptLogs::new(directory)), mirror: None }
    }

    /// Reads copies of the runs of a host.
    pub(crate) fn mirror(host: HostName, mirror: Arc<Mirror>, directory: PathBuf) -> Self {
        let program = Arc::clone(&mirror);
        Self { mirror: Some(mirror), ..Self::new(Some(host), program, directory) }
    }

    /// Returns the name of the host, for an answer; `None` for this machine.
    pub(crate) fn host_name(&self) -> Option<String> {
        self.host.as_ref().map(HostName::to_string)
    }

    /// Does work with the store of runs that blocks.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Program, &Runs<'_>) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, Failure> {
        let program = Arc::clone(&self.program);
        let work = tokio::task::spawn_blocking(move || {
            let runs = program.runs()?;
            work(&*program, &runs)
        });
        match tokio::time::timeout(LOOK, work).await {
            Ok(Ok(result)) => result.map_err(Failure::from),
            Ok(Err(_)) => Err(Failure::unavailable("the request could not be carried out")),
            Err(_) => Err(Failure::unavailable("the store of runs does not answer")),
        }
    }

    /// Finds a run by its number or name, and looks at it.
    pub(crate) async fn look(&self, reference: &str) -> Result<(RunDir, Look), Failure> {
        if let Some(mirror) = &self.mirror {
            mirror.follow(reference).await?;
        }
        let reference = reference.to_owned();
        self.blocking(move |_, runs| {
            let dir = runs.find(Some(&reference))?;
            let look = runs.look(&dir, unix_ms())?;
            Ok((dir, look))
        })
        .await
    }

    /// Keeps a copy of a run followed as long as the result is held; a run of this machine needs none.
    pub(crate) fn hold(&self, dir: &RunDir) -> Option<Hold> {
        self.mirror.as_ref()?.hold(dir.id().0)
    }

    /// Finds a run, and begins to read its recording.
    pub(crate) async fn play(&self, reference: &str) -> Result<(RunDir, Look, Play), Failure> {
        let (dir, look) = self.look(reference).await?;
        let play = self.plays.get(dir.id())?;
        Ok((dir, look, play))
    }
}

/// Paths of pages and of the API about the runs of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paths<'a>(Option<&'a str>);

impl<'a> Paths<'a> {
    /// Returns the paths of a host, or of this machine.
    pub(crate) fn of(host: Option<&'a str>) -> Self {
        Self(host)
    }

    /// Returns the path of the page of a run.
    pub(crate) fn run(self, run: impl std::fmt::Display) -> String {
        match self.0 {
            // Names of hosts are letters, digits and signs that an address has as they are.
            Some(host) => format!("/hosts/{host}/runs/{run}"),
            None => format!("/runs/{run}"),
        }
    }
}
