//! ninja: `[done/total] description` when a step ends, and failed steps. Another `NINJA_STATUS` is read by
//! [`crate::status`].

use crate::{
    form::{Effect::*, Table, inner, row},
    unit::{Stage, Tool},
};

const STATUS: &str = "ninja 1.11.1 src/status.cc";
const MAIN: &str = "ninja 1.11.1 src/ninja.cc";

pub(super) static TABLE: Table = Table {
    tool: Tool::Ninja,
    within: &[],
    rows: &[
        row("ninja: Entering directory `{any}'", Opens(Stage::Compile), MAIN),
        row("[{done}/{total}] {item}", Counts(Stage::Compile), STATUS),
        row(
            "[{percent}% {done}/{total}] {item}",
            Counts(Stage::Compile),
            "Android build/soong/ui/build/ninja.go, NINJA_STATUS",
        ),
        inner("FAILED: [code={n}] {item}", Fails, "ninja 1.13 src/status_printer.cc"),
        inner("FAILED: {item}", Fails, STATUS),
        row("ninja: no work to do.", Closes, MAIN),
        row("ninja: build stopped: {any}", Closes, MAIN),
        row("ninja: error: {any}", Closes, MAIN),
    ],
};
