//! Facts about a build that its lines do not say.

use crate::{packages::Project, past::Past, unit::Tool};

/// Facts about a build that its lines do not say. All may be missing.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// Jobs that may run at a time, see [`jobs`](crate::jobs::jobs).
    pub jobs: Option<u32>,
    /// The environment's `NINJA_STATUS`.
    pub ninja_status: Option<String>,
    /// Tools that the command line names, see [`Tool::of_program`].
    pub tools: Vec<Tool>,
    /// The project's targets.
    pub project: Option<Project>,
    /// An earlier run of the same build.
    pub past: Option<Past>,
    /// Units of cargo: exact from `--unit-graph`, an upper bound from `Cargo.lock`.
    pub cargo_units: Option<u64>,
}

impl Hints {
    /// Returns the steps there are, where a hint says so for the tool.
    pub(super) fn total_of(&self, tool: Tool) -> Option<u64> {
        self.cargo_units.filter(|_| tool == Tool::Cargo)
    }
}
