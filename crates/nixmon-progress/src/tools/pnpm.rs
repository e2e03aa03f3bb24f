//! pnpm: one line of counts that it repeats.

use crate::{
    form::{Effect::*, Table, row},
    unit::{Stage, Tool},
};

const REPORTER: &str = "pnpm 9 cli/default-reporter/src/reporterForClient/reportProgress.ts";

pub(super) static TABLE: Table = Table {
    tool: Tool::Pnpm,
    within: &[],
    rows: &[
        row(
            "Progress: resolved {total}, reused {n}, downloaded {n}, added {done}, done",
            Counts(Stage::Download),
            REPORTER,
        ),
        row(
            "Progress: resolved {total}, reused {n}, downloaded {n}, added {done}",
            Counts(Stage::Download),
            REPORTER,
        ),
    ],
};
