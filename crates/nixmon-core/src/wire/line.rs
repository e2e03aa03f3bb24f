//! Any JSON line, for readers.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{Event, Record, RunLine, Snapshot, Summary, UnreadableRun};

/// Any line of the types in this module.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Line {
    /// A change of a run.
    Change(Record),
    /// The state of a run in progress.
    Snapshot(Box<Snapshot>),
    /// The summary of a run.
    Summary(Box<Summary>),
    /// A condensed line of a recorded run.
    RunLine(RunLine),
    /// A run whose files cannot be read.
    UnreadableRun(UnreadableRun),
    /// A line of another type: the status of a run, or a type that this version does not know.
    Unknown(Value),
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let Some(kind) = value.get("type").and_then(Value::as_str) else {
            return Err(serde::de::Error::missing_field("type"));
        };
        let line = match kind {
            "snapshot" => serde_json::from_value(value).map(|snapshot| Self::Snapshot(Box::new(snapshot))),
            "summary" => serde_json::from_value(value).map(|summary| Self::Summary(Box::new(summary))),
            "line" => serde_json::from_value(value).map(Self::RunLine),
            "unreadable-run" => serde_json::from_value(value).map(Self::UnreadableRun),
            _ => match Event::deserialize(&value) {
                Ok(Event::Unknown) => return Ok(Self::Unknown(value)),
                _ => serde_json::from_value(value).map(Self::Change),
            },
        };
        line.map_err(serde::de::Error::custom)
    }
}

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// Returns an error if the text is not JSON, has no type, or lacks a field of its type.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Phase, SCHEMA};

    #[test]
    fn lines_of_other_versions_are_read() {
        let later = r#"{"type":"phase","phase":"testing","mood":"good","schema":1,"at_ms":5}"#;
        let phase = Phase::Unlisted("testing".to_owned());
        assert_eq!(
            Line::read(later).unwrap(),
            Line::Change(Record { event: Event::Phase { phase }, schema: SCHEMA, at_ms: 5 })
        );
        let unknown = r#"{"schema":1,"type":"weather"}"#;
        let line = Line::read(unknown).unwrap();
        assert!(matches!(line, Line::Unknown(_)), "{line:?}");
        assert_eq!(serde_json::to_string(&line).unwrap(), unknown);
    }

    #[test]
    fn broken_lines_are_errors() {
        for text in
            ["", "{}", "[1]", r#"{"type":"phase","schema":1,"at_ms":5}"#, r#"{"type":"summary","schema":1}"#]
        {
            assert!(Line::read(text).is_err(), "{text}");
        }
    }
}
