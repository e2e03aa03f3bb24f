//! Lines about recorded runs, from `list --json` and `wait --json`.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SCHEMA;

/// One of the condensed lines of a run, from `wait --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunLine {
    /// Type of the line.
    #[schemars(extend("const" = "line"))]
    pub r#type: Cow<'static, str>,
    /// Version of the schema: raised when a name or a meaning changes.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// Number of the run.
    #[schemars(range(min = 1))]
    pub run: u64,
    /// The cursor after this line.
    #[schemars(range(min = 1))]
    pub cursor: u64,
    /// The line.
    pub text: String,
}

/// A run whose files cannot be read, from `list --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnreadableRun {
    /// Type of the line.
    #[schemars(extend("const" = "unreadable-run"))]
    pub r#type: Cow<'static, str>,
    /// Version of the schema: raised when a name or a meaning changes.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// Number of the run.
    #[schemars(range(min = 1))]
    pub run: u64,
    /// The error.
    pub error: String,
}
