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
    /// The command ended.
    ExitStatus(i32),
}
