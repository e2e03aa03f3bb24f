//! `go test`: packages, tests with `-v`, and events with `-json`.

use crate::{
    form::{Effect::*, Kind, Sighting, Table, inner, row},
    json,
    unit::{Stage, Tool},
};

const TEST: &str = "Go 1.19 src/cmd/go/internal/test/test.go";
const TESTING: &str = "Go 1.19 src/testing/testing.go";
const JSON: &str = "Go 1.19 src/cmd/internal/test2json/test2json.go";

pub(super) static TABLE: Table = Table {
    tool: Tool::GoTest,
    within: &[Tool::Go],
    rows: &[
        row("=== RUN   {item}", Begins(Stage::Test), TESTING),
        inner("--- PASS: {item} ({any}s)", Passed, TESTING),
        inner("--- FAIL: {item} ({any}s)", TestFailed, TESTING),
        inner("--- SKIP: {item} ({any}s)", Skipped, TESTING),
        row("ok  \t{package}\t{any}s", Built, TEST),
        row("ok  \t{package}\t(cached)", Built, TEST),
        row("FAIL\t{package}\t{any}", Fails, TEST),
        row("?   \t{package}\t[no test files]", Built, TEST),
        row("{{\"Time\":\"{any}", Custom(event), JSON),
    ],
};

fn event(line: &str) -> Option<Sighting<'_>> {
    let kind = match json::text(line, "Action")? {
        "run" => Kind::Begins,
        "pass" => Kind::Passed,
        "fail" => Kind::TestFailed,
        "skip" => Kind::Skipped,
        _ => return None,
    };
    let mut sighting = Sighting::new(kind, Stage::Test);
    sighting.package = json::text(line, "Package");
    // The package's own result has no test.
    sighting.item = Some(json::text(line, "Test")?);
    Some(sighting)
}
