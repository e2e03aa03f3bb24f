//! The harness of `cargo test`: one run for each test binary, with totals of its own.

use crate::{
    form::{Effect::*, Table, inner, row},
    unit::{Stage, Tool},
};

const CARGO: &str = "cargo 1.95 src/cargo/ops/cargo_test.rs";
const HARNESS: &str = "rustc 1.95 library/test/src/formatters/pretty.rs";

pub(super) static TABLE: Table = Table {
    tool: Tool::CargoTest,
    within: &[Tool::Cargo],
    rows: &[
        row("Running unittests {item} ({any})", Opens(Stage::Test), CARGO),
        row("Running tests/{item} ({any})", Opens(Stage::Test), CARGO),
        row("Doc-tests {package}", Opens(Stage::Test), CARGO),
        inner("running {total} tests", Totals(Stage::Test), HARNESS),
        inner("running {total} test", Totals(Stage::Test), HARNESS),
        inner("test {item} ... ok", Passed, HARNESS),
        inner("test {item} ... ok <{any}>", Passed, HARNESS),
        inner("test {item} ... FAILED", TestFailed, HARNESS),
        inner("test {item} ... ignored{any}", Skipped, HARNESS),
    ],
};
