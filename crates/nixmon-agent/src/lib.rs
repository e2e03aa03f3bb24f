//! The agent of a host: mirrors its runs to a hub, beats while it works, and starts the commands that the hub asks for and the
//! configuration of the host names.
//!
//! [`serve`] does that until the hub refuses it for good, [`report`] for one run. What the agent needs of the program around it
//! is in [`Program`].

mod backoff;
pub mod commands;
mod connect;
mod enroll;
pub mod load;
pub mod mirror;
mod session;
mod state;
mod store;
mod worker;

use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use nixmon_fleet::{CommandId, HostName};
use nixmon_runs::query::Runs;
use nixmon_runs::{Environment, RunId, StoreError};
use tokio::sync::oneshot;
use tokio::time::Instant;

pub use commands::Action;
pub use connect::{ConnectError, HubAddress, InvalidAddress};
pub use enroll::{EnrollError, enroll};
use state::StateDir;
use worker::{Event, Standing, Worker};

/// The program around the agent: it knows where the runs are, and starts them.
pub trait Program: Send + Sync + 'static {
    /// Opens the store of runs.
    ///
    /// # Errors
    ///
    /// If no place for it is known.
    fn runs(&self) -> Result<Runs<'_>, StoreError>;

    /// Starts an action in the background, as a run with [`nixmon_runs::Facts::request`] set to `id`, which outlives this process.
    ///
    /// # Errors
    ///
    /// The reason why it cannot be started, for a person.
    fn start(&self, action: &Action, id: CommandId) -> Result<RunId, String>;

    /// Tells the user something.
    fn tell(&self, notice: &Notice);
}

/// Something that a user may want to know of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The hub has accepted the connection.
    Connected,
    /// There is no connection.
    Disconnected {
        /// The reason.
        reason: String,
        /// Time until the next try.
        retry_in: Duration,
    },
    /// The state of the agent cannot be written; commands are refused until it can.
    StateNotKept {
        /// The reason.
        reason: String,
    },
}

/// The runs that are mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mirrored {
    /// All of the store.
    #[default]
    All,
    /// Those that the hub has asked for.
    Commands,
    /// One.
    Run(RunId),
}

/// The configuration of an agent.
#[derive(Clone, Debug)]
pub struct Config {
    /// The hub.
    pub hub: HubAddress,
    /// The token of the host.
    pub token: String,
    /// The name of the host, which is that of the token.
    pub host: HostName,
    /// A file with certificates of authorities to trust instead of those of the system.
    pub ca: Option<PathBuf>,
    /// The directory for the state of the agent; nothing for one that leaves none.
    pub state: Option<PathBuf>,
    /// The runs that are mirrored.
    pub mirrored: Mirrored,
    /// Limit for the bytes of runs that wait for the hub; beyond it the oldest that are over are skipped.
    pub spool: u64,
    /// Actions that the hub may ask for.
    pub actions: Vec<Action>,
    /// The machine and its versions.
    pub environment: Environment,
}

/// The reason why an agent ends.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The store or the state cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another agent serves this store.
    #[error("another agent has {}", directory.display())]
    Busy {
        /// The directory with its state.
        directory: PathBuf,
    },
    /// The hub refuses this agent, and trying again does not help.
    #[error("the hub refuses this host: {0}")]
    Refused(String),
    /// The certificates cannot be read.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A thread cannot be started, or has ended.
    #[error("the thread that reads the runs has ended")]
    Worker,
}

/// Connections shorter than this do not count as a success.
const LASTING: Duration = Duration::from_secs(30);

/// Serves a hub until it refuses this host for good. A connection that breaks is made again.
///
/// # Errors
///
/// If the store or the state cannot be used, another agent runs, or the hub refuses.
pub async fn serve<P: Program>(program: Arc<P>, config: Config) -> Result<(), AgentError> {
    let config = Arc::new(config);
    let agent = Agent::start(&program, &config)?;
    agent.run(&*program).await
}

/// Mirrors one run until the hub has all of it, or until `end` has come and so much time has passed after it. Tells whether
/// the hub has all of it.
///
/// # Errors
///
/// If the store cannot be used, or the hub refuses.
pub async fn report<P: Program>(
    program: Arc<P>,
    config: Config,
    end: impl Future<Output = ()>,
    patience: Duration,
) -> Result<bool, AgentError> {
    let config = Arc::new(config);
    let agent = Agent::start(&program, &config)?;
    let (sender, complete) = oneshot::channel();
    agent.events.send(Event::WhenComplete(sender)).map_err(|_| AgentError::Worker)?;
    let late = async {
        end.await;
        tokio::time::sleep(patience).await;
    };
    tokio::select! {
        served = agent.run(&*program) => served.map(|()| false),
        complete = complete => Ok(complete.is_ok()),
        () = late => Ok(false),
    }
}

/// An agent whose worker runs.
struct Agent {
    config: Arc<Config>,
    tls: connect::Tls,
    events: mpsc::Sender<Event>,
    standing: Standing,
}

impl Agent {
    fn start<P: Program>(program: &Arc<P>, config: &Arc<Config>) -> Result<Self, AgentError> {
        let tls = connect::Tls::new(&config.hub, config.ca.as_deref())?;
        let state_dir = match &config.state {
            Some(directory) => Some(
                StateDir::open(directory)?
                    .ok_or_else(|| AgentError::Busy { directory: directory.clone() })?,
            ),
            None => None,
        };
        // Without a store nothing works, which is better said at once.
        program.runs()?;
        let (events, received) = mpsc::channel();
        let standing = Standing::default();
        let (program, config_of_worker) = (Arc::clone(program), Arc::clone(config));
        let (own, shown) = (events.clone(), standing.clone());
        let work = move || {
            let Ok(runs) = program.runs() else { return };
            Worker::new(Arc::clone(&program), runs, &config_of_worker, shown, own, state_dir).work(&received);
        };
        let spawned = std::thread::Builder::new().name("store".to_owned()).spawn(work);
        spawned.map_err(|_| AgentError::Worker)?;
        Ok(Self { config: Arc::clone(config), tls, events, standing })
    }

    async fn run(&self, program: &impl Program) -> Result<(), AgentError> {
        let mut failures = 0;
        let mut beats = session::Beats::new(self.standing.clone());
        loop {
            let begun = Instant::now();
            let mut is_welcome = false;
            let ended = session::session(&self.config, &self.tls, &self.events, &mut beats, || {
                is_welcome = true;
                program.tell(&Notice::Connected);
            })
            .await;
            self.events.send(Event::Disconnected).map_err(|_| AgentError::Worker)?;
            if let session::Ended::Refused(message) = ended {
                return Err(AgentError::Refused(message));
            }
            failures = match begun.elapsed() >= LASTING {
                true => 0,
                // The hub is there, so it is the way that breaks.
                false if is_welcome => 2.min(failures + 1),
                false => failures + 1,
            };
            let retry_in = backoff::pause(failures, backoff::random());
            program.tell(&Notice::Disconnected { reason: ended.to_string(), retry_in });
            tokio::time::sleep(retry_in).await;
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.events.send(Event::End);
    }
}
