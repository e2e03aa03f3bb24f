//! Steps of a recording, whatever file or memory they come from.

use crate::state::DerivationFacts;
use nixmon_log::input::Source;

/// One step of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The steps that follow are of several streams of a command.
    SeveralStreams,
    /// Input.
    Bytes(Source, Vec<u8>),
    /// A stream has ended.
    Closed(Source),
    /// A derivation was read.
    Derivation(DerivationFacts),
    /// The machine on which the recording was made.
    Machine(Machine),
    /// Facts about what is built became known.
    Inside {
        /// Path of the derivation; `None` is the command.
        derivation: Option<String>,
        /// The facts, as [`nixmon_progress::Hints::to_json`] writes them.
        hints: serde_json::Value,
    },
    /// The command ended.
    ExitStatus(i32),
    /// A note that this version does not know.
    Unknown,
}

/// The machine on which a recording was made, as far as it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Its name.
    pub host: Option<String>,
    /// Its system, as `x86_64-linux`.
    pub system: Option<String>,
    /// Nix's setting `max-jobs`.
    pub max_jobs: Option<u32>,
    /// The cores that a build may use.
    pub cores: Option<u32>,
}
