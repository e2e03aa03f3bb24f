//! Names, beats and states of hosts.

use std::fmt;
use std::time::Duration;

use nixmon_runs::RunPhase;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BEAT, OFFLINE_BEATS, RESTART_BEATS, STALE_BEATS};

/// The name of a host: up to 253 ASCII letters, digits, `-`, `_` and `.`, of which the first is a letter or a digit. So it can be
/// a part of a path and of an address as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

/// A text that is no name of a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the name of a host has up to 253 letters, digits, `-`, `_` and `.`, and begins with a letter or a digit"
)]
pub struct InvalidName;

impl HostName {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        let name = name.into();
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if begins && name.len() <= 253 && name.bytes().all(is_part) {
            Ok(Self(name))
        } else {
            Err(InvalidName)
        }
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for HostName {
    type Error = InvalidName;

    fn try_from(name: String) -> Result<Self, InvalidName> {
        Self::new(name)
    }
}

impl From<HostName> for String {
    fn from(name: HostName) -> Self {
        name.0
    }
}

/// A sign of life of an agent. It comes every [`BEAT`], also while a command runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Beat {
    /// Counts the beats of an agent's process.
    pub seq: u64,
    /// The clock of the host, in milliseconds since 1970. Only differences to other times of the host mean anything: the states
    /// of hosts come from the hub's clock.
    pub at: u64,
    /// Load of the machine.
    pub load: Load,
    /// The run that is in progress; of several the newest that a hub asked for, else the newest.
    pub busy: Option<BusyRun>,
    /// Number of runs in progress.
    pub running: u32,
    /// A command that changes the system is in progress: the host may go away for a while.
    pub is_switching: bool,
    /// The generation that the system runs, as `142`.
    pub generation: Option<String>,
    /// Bytes that wait for the hub.
    pub spooled_bytes: u64,
}

/// A run in progress, in a beat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BusyRun {
    /// The number of the run on its host.
    pub run: u64,
    /// Its phase.
    pub phase: RunPhase,
    /// One line that describes its status.
    pub line: String,
    /// Derivations or other units that are done.
    pub done: u64,
    /// All of them, as far as they are known; null if they are not.
    pub total: Option<u64>,
    /// Time left, in milliseconds; null if it is not known.
    pub remaining_ms: Option<u64>,
    /// Time for which it has printed nothing, in milliseconds.
    pub silent_ms: u64,
    /// It hangs: it prints nothing and its processes do nothing.
    pub is_stuck: bool,
}

/// Load of a machine. A figure that cannot be had is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Load {
    /// Share of the processors' time that was used since the last beat, in percent of all of them.
    pub cpu_percent: Option<f64>,
    /// Average number of waiting and running processes in the last minute.
    pub load_1m: Option<f64>,
    /// Memory in use, in bytes.
    pub memory_used: Option<u64>,
    /// All memory, in bytes.
    pub memory_total: Option<u64>,
    /// Free bytes of the file system with the Nix store, else of the root.
    pub disk_free: Option<u64>,
    /// Bytes read from and written to disks per second.
    pub disk_bytes_per_s: Option<u64>,
    /// Bytes received and sent over the network per second, without the loopback.
    pub network_bytes_per_s: Option<u64>,
}

/// The state of a host, as a hub sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HostState {
    /// A run is in progress whose processes do nothing.
    Stuck,
    /// The last beats are missing, and no switch is in progress.
    Stale,
    /// It went away during a switch, and is expected back.
    Restarting,
    /// A run is in progress that has printed nothing for a while.
    Quiet,
    /// A run is in progress.
    Busy,
    /// No run is in progress.
    Idle,
    /// No beat has come for so long that nothing is known any more.
    Offline,
}

/// Time for which a busy run prints nothing until its host counts as quiet.
const QUIET: Duration = Duration::from_secs(60);

/// Returns the state of a host whose last beat came `silent` ago by the clock of the hub. An agent beats while it works, so a
/// host that works is never stale.
pub fn host_state(beat: &Beat, silent: Duration) -> HostState {
    let missed = |beats: u32| silent >= BEAT * beats;
    if beat.is_switching && missed(STALE_BEATS) && !missed(RESTART_BEATS) {
        return HostState::Restarting;
    }
    if missed(OFFLINE_BEATS) {
        return HostState::Offline;
    }
    if missed(STALE_BEATS) {
        return HostState::Stale;
    }
    match &beat.busy {
        None => HostState::Idle,
        Some(run) if run.is_stuck => HostState::Stuck,
        Some(run) if Duration::from_millis(run.silent_ms) >= QUIET => HostState::Quiet,
        Some(_) => HostState::Busy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_paths_and_addresses() {
        for name in ["a", "web-1.example.org", "0", "a_b", &"x".repeat(253)] {
            assert_eq!(HostName::new(name).map(String::from), Ok(name.to_owned()));
        }
        for name in ["", ".", "..", "-x", "_x", "a/b", "a b", "ä", "a%2f", "a\n", "a:1", &"x".repeat(254)] {
            assert_eq!(HostName::new(name), Err(InvalidName), "{name}");
            assert!(serde_json::from_value::<HostName>(name.into()).is_err());
        }
    }

    #[test]
    fn states_follow_from_beats() {
        use HostState::*;
        let busy = |silent_ms, is_stuck| Beat {
            busy: Some(BusyRun { run: 1, silent_ms, is_stuck, ..BusyRun::default() }),
            ..Beat::default()
        };
        let switching = Beat { is_switching: true, ..busy(0, false) };
        for (beat, silent_s, expected) in [
            (Beat::default(), 0, Idle),
            (Beat::default(), 29, Idle),
            (Beat::default(), 30, Stale),
            (Beat::default(), 100, Offline),
            (busy(0, false), 29, Busy),
            (busy(59_999, false), 0, Busy),
            (busy(60_000, false), 0, Quiet),
            (busy(60_000, true), 0, Stuck),
            (busy(0, false), 30, Stale),
            (switching.clone(), 29, Busy),
            (switching.clone(), 30, Restarting),
            (switching.clone(), 599, Restarting),
            (switching, 600, Offline),
        ] {
            assert_eq!(host_state(&beat, Duration::from_secs(silent_s)), expected, "{beat:?} {silent_s}");
        }
    }
}
