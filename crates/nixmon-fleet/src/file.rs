//! Files of a run that a hub gets.

use std::fmt;
use std::str::FromStr;

use nixmon_runs::GUARDS;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A file in the directory of a run. Its name is one of a fixed set, so that no message can name another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RunFile {
    /// `facts.json`: the command, its directory and machine. Written whole.
    Facts,
    /// `status.json`: phase and counts. Written whole, every few seconds.
    Status,
    /// `exit.json`: the end of the command. Written whole.
    Exit,
    /// `summary.json`: the summary record. Written whole.
    Summary,
    /// `input.zst`: the recording of the monitor. It grows.
    Input,
    /// `rest.zst`, `rest-2.zst` and so on: recordings of guards, from 1. They grow.
    Rest(u32),
    /// `lines.txt`: the condensed lines. It grows.
    Lines,
    /// `changes.jsonl.zst`: the changes. It grows.
    Changes,
}

/// A name that no file of a run has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no file of a run has this name")]
pub struct UnknownFile;

impl RunFile {
    /// All files, in the order in which a reader wants them.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Facts, Self::Status, Self::Lines, Self::Input]
            .into_iter()
            .chain((1..=GUARDS).map(Self::Rest))
            .chain([Self::Changes, Self::Exit, Self::Summary])
    }

    /// Returns whether it grows at its end, and is sent piece by piece.
    pub fn grows(self) -> bool {
        matches!(self, Self::Input | Self::Rest(_) | Self::Lines | Self::Changes)
    }
}

impl fmt::Display for RunFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Facts => f.write_str("facts"),
            Self::Status => f.write_str("status"),
            Self::Exit => f.write_str("exit"),
            Self::Summary => f.write_str("summary"),
            Self::Input => f.write_str("input"),
            Self::Rest(guard) => write!(f, "rest-{guard}"),
            Self::Lines => f.write_str("lines"),
            Self::Changes => f.write_str("changes"),
        }
    }
}

impl FromStr for RunFile {
    type Err = UnknownFile;

    fn from_str(name: &str) -> Result<Self, UnknownFile> {
        Self::all().find(|file| file.to_string() == name).ok_or(UnknownFile)
    }
}

impl From<RunFile> for String {
    fn from(file: RunFile) -> Self {
        file.to_string()
    }
}

impl TryFrom<String> for RunFile {
    type Error = UnknownFile;

    fn try_from(name: String) -> Result<Self, UnknownFile> {
        name.parse()
    }
}

impl JsonSchema for RunFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RunFile".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<String> = Self::all().map(String::from).collect();
        schemars::json_schema!({ "type": "string", "enum": names })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_a_fixed_set() {
        for file in RunFile::all() {
            assert_eq!(file.to_string().parse(), Ok(file));
        }
        for name in ["", "rest-0", "rest-9", "rest-01", "../facts", "facts.json", "Input", "rest"] {
            assert_eq!(name.parse::<RunFile>(), Err(UnknownFile), "{name}");
        }
    }
}
