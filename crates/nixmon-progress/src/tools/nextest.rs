//! cargo-nextest.

use crate::{
    form::{Effect::*, Table, inner, row},
    unit::{Stage, Tool},
};

const DISPLAY: &str = "cargo-nextest 0.9 nextest-runner/src/reporter/displayer/imp.rs";

pub(super) static TABLE: Table = Table {
    tool: Tool::Nextest,
    within: &[],
    rows: &[
        row("Nextest run ID {any}", Opens(Stage::Test), DISPLAY),
        row("Starting {total} tests across {n} binar{any}", Totals(Stage::Test), DISPLAY),
        row("Starting {total} test across {n} binar{any}", Totals(Stage::Test), DISPLAY),
        inner("PASS [{any}] {item}", Passed, DISPLAY),
        inner("FLAKY {any} [{any}] {item}", Passed, DISPLAY),
        inner("LEAK [{any}] {item}", Passed, DISPLAY),
        inner("FAIL [{any}] {item}", TestFailed, DISPLAY),
        inner("TIMEOUT [{any}] {item}", TestFailed, DISPLAY),
        inner("SIGABRT [{any}] {item}", TestFailed, DISPLAY),
        inner("SIGSEGV [{any}] {item}", TestFailed, DISPLAY),
        inner("Summary [{any}", Closes, DISPLAY),
    ],
};
