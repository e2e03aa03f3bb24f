//! The sensor: chooses a way to see processes, feeds the tracker, and says what happened.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::model::build::{Build, Moment};
use crate::model::event::Backend;
use crate::model::programs::Rules;

/// A backend that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Which.
    pub backend: Backend,
    /// Why it cannot be used; `Ok` if it can.
    pub result: Result<(), String>,
}

/// No backend works.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", trials.iter().map(|trial| format!("{}: {}", trial.backend.name(), trial.result.as_ref().err().map_or("", |why| why.as_str()))).collect::<Vec<_>>().join("; "))]
pub struct NoBackend {
    /// Those that were tried.
    pub trials: Vec<Trial>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A build is going on for more than ten seconds.
    Started(Build),
    /// A build ended.
    Ended(Build),
    /// Events were lost, or processes that could have been builds had ended before they were looked at.
    Lost(Losses),
}

/// Losses of a sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Number of times that events were lost. Lists of all processes made up for them.
    pub overruns: u64,
    /// Number of processes that lived long enough for a build and were not looked at in time.
    pub missed: u64,
}

/// A sensor of the processes of this machine.
#[derive(Debug)]
pub struct Sensor {
    inner: crate::linux::Watch,
    backend: Backend,
    trials: Vec<Trial>,
}

/// The backends that see processes, the best first.
const WAYS: [Backend; 3] = [Backend::Connector, Backend::Pidfd, Backend::Proc];

impl Sensor {
    /// Tries what this machine can do, or only the `forced` backend, and starts.
    ///
    /// # Errors
    ///
    /// If no backend works. It says what was tried and why it cannot be used.
    pub fn start(rules: Rules, forced: Option<Backend>) -> Result<Self, NoBackend> {
        let mut trials = Vec::new();
        for backend in WAYS.into_iter().filter(|backend| forced.is_none_or(|forced| forced == *backend)) {
            match crate::linux::Watch::start(&rules, backend) {
                Ok(inner) => {
                    trials.push(Trial { backend, result: Ok(()) });
                    return Ok(Self { inner, backend, trials });
                }
                Err(why) => trials.push(Trial { backend, result: Err(why) }),
            }
        }
        Err(NoBackend { trials })
    }

    /// Returns the present, on the clocks of the builds.
    pub fn now(&self) -> Moment {
        self.inner.now()
    }

    /// Returns the backend in use.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Returns the backends that were tried, the last of which is in use.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Returns what escaped so far.
    pub fn losses(&self) -> Losses {
        self.inner.losses()
    }

    /// Returns whether a process is known: of a build, or below something that has none.
    pub fn knows(&self, pid: i32) -> bool {
        self.inner.is_settled(pid)
    }

    /// Returns builds that are going on.
    pub fn running(&self) -> Vec<Build> {
        self.inner.running()
    }

    /// Waits for something to happen, for `limit` at most, or until `wake` can be read. Returns it in the order of its time.
    ///
    /// # Errors
    ///
    /// If the system refuses to tell more.
    pub fn next(&mut self, limit: Duration, wake: Option<BorrowedFd<'_>>) -> std::io::Result<Vec<Happened>> {
        self.inner.next(limit, wake)
    }
}
