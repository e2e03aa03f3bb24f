//! CTest: each test with its number, and the counts at the end.

use crate::{
    form::{Effect::*, Kind, Sighting, Table, inner, number, row},
    unit::{Stage, Tool},
};

const RUN: &str = "CMake 3.25 Source/CTest/cmCTestRunTest.cxx";
const HANDLER: &str = "CMake 3.25 Source/CTest/cmCTestTestHandler.cxx";

pub(super) static TABLE: Table = Table {
    tool: Tool::CTest,
    within: &[],
    rows: &[
        row("Test project {item}", Opens(Stage::Test), "CMake 3.25 Source/cmCTest.cxx"),
        inner("Start {n}: {item}", Begins(Stage::Test), RUN),
        inner("{done}/{total} Test {any}#{n}: {item} .{any}", Custom(result), RUN),
        inner("{percent}% tests passed, {failed} tests failed out of {total}", Tally, HANDLER),
    ],
};

/// Reads `12/34 Test  #5: name .....   Passed    0.01 sec`.
fn result(line: &str) -> Option<Sighting<'_>> {
    let (done, rest) = line.split_once('/')?;
    let (total, rest) = rest.split_once(" Test")?;
    let (_, rest) = rest.split_once(": ")?;
    let (name, rest) = rest.split_once(' ')?;
    let outcome = rest.trim_start_matches(['.', ' ', '*']);
    let kind = if outcome.starts_with("Passed") {
        Kind::Passed
    } else if outcome.starts_with("Not Run") || outcome.starts_with("Skipped") {
        Kind::Skipped
    } else if outcome.starts_with(['F', 'E', 'T']) {
        Kind::TestFailed
    } else {
        return None;
    };
    let mut sighting = Sighting::new(kind, Stage::Test).item(name);
    sighting.done = Some(number(done)?);
    sighting.total = Some(number(total)?);
    Some(sighting)
}
