//! Builds and their results.

use std::time::Duration;

use super::programs::Class;

/// A moment, in the two clocks of a machine that can be suspended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Time since the machine's start without that for which it was suspended (`CLOCK_MONOTONIC`).
    pub awake: Duration,
    /// Time for which it was suspended since then.
    pub suspended: Duration,
}

impl Moment {
    /// Returns the time since the machine's start (`CLOCK_BOOTTIME`), in which the system notes when processes began.
    pub fn since_boot(self) -> Duration {
        self.awake + self.suspended
    }
}

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It ended itself with this status.
    Status(i32),
    /// The signal of this number ended it.
    Signal(i32),
}

impl From<pidfd_info::Exit> for End {
    fn from(exit: pidfd_info::Exit) -> Self {
        match exit {
            pidfd_info::Exit::Status(status) => Self::Status(status),
            pidfd_info::Exit::Signal(signal) => Self::Signal(signal),
        }
    }
}

/// A program that a process executes, as far as the sensor wants to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The part that it plays.
    pub class: Class,
    /// Name in the list of programs.
    pub program: String,
    /// Short name for builds of this kind, as `cargo check`.
    pub label: String,
    /// The command line without secrets and control characters.
    pub command: String,
    /// The working directory, if the system shows it.
    pub directory: Option<String>,
    /// The number of the user.
    pub user: Option<u32>,
    /// The environment says that a build tool has started it, however far above.
    pub is_nested: bool,
}

/// The number of a build within a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildId(pub u64);

/// A build: the root of a family of processes, from its exec to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// Its number within this sensor.
    pub id: BuildId,
    /// The number of the root.
    pub pid: i32,
    /// The beginning of the root, in time since the machine's start; with its number it names the process.
    pub process_began: Option<Duration>,
    /// The program of the root.
    pub image: Image,
    /// The moment of the exec; `None` if the sensor was not there.
    pub since: Option<Moment>,
    /// The moment at which the sensor saw it first.
    pub seen: Moment,
    /// The moment of the end, or the present.
    pub until: Moment,
    /// The end of the root; `None` if it is not known, or is still to come.
    pub end: Option<End>,
    /// Number of processes, if all forks were seen.
    pub n_processes: Option<u64>,
    /// Processor time of all its processes when they were last measured.
    pub cpu: Option<Duration>,
    /// Most memory that its processes had together, in bytes, with pages that they share counted for each.
    pub peak: Option<u64>,
    /// Events were lost while it ran: processes may be missing in its numbers, and a build beside it.
    pub is_lossy: bool,
}

impl Build {
    /// Returns its duration, without time for which the machine was suspended; `None` if its beginning is not known.
    pub fn elapsed(&self) -> Option<Duration> {
        Some(self.until.awake.saturating_sub(self.since?.awake))
    }

    /// Returns the part of its duration for which it was seen.
    pub fn seen_for(&self) -> Duration {
        self.until.awake.saturating_sub(self.seen.awake)
    }

    /// Returns the time for which the machine was suspended meanwhile.
    pub fn suspended(&self) -> Duration {
        self.until.suspended.saturating_sub(self.since.unwrap_or(self.seen).suspended)
    }
}
