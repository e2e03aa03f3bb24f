//! Bazel: `[done / total]` of actions, and its tests.

use crate::{
    form::{Effect::*, Table, inner, row},
    unit::{Stage, Tool},
};

const UI: &str = "Bazel 4.2 src/main/java/com/google/devtools/build/lib/runtime/UiStateTracker.java";
const EVENTS: &str = "Bazel 4.2 src/main/java/com/google/devtools/build/lib/buildtool/BuildTool.java";
const TESTS: &str = "Bazel 4.2 src/main/java/com/google/devtools/build/lib/runtime/TestSummaryPrinter.java";

pub(super) static TABLE: Table = Table {
    tool: Tool::Bazel,
    within: &[],
    rows: &[
        row(
            "Starting local Bazel server and connecting to it...",
            Opens(Stage::Configure),
            "Bazel 4.2 src/main/cpp",
        ),
        row("INFO: Analyzed {any} ({n} packages loaded, {any}", Opens(Stage::Compile), EVENTS),
        row("INFO: Analyzed target {any}", Opens(Stage::Compile), EVENTS),
        row("[{done} / {total}] {item}", Counts(Stage::Compile), UI),
        inner("Loading: {any}", Opens(Stage::Configure), UI),
        inner("Analyzing: {any}", Opens(Stage::Configure), UI),
        inner("INFO: From {item}:", Begins(Stage::Compile), UI),
        inner("//{any} PASSED in {any}", Passed, TESTS),
        inner("//{any} FAILED in {any}", TestFailed, TESTS),
        inner("INFO: Elapsed time: {any}", Closes, EVENTS),
    ],
};
