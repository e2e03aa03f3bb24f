//! prove: a line for each test file, and the counts at the end.

use crate::{
    form::{Effect::*, Kind, Sighting, Table, inner, row},
    unit::{Stage, Tool},
};

const FORMATTER: &str = "Test-Harness 3.42 lib/TAP/Formatter/Base.pm";

pub(super) static TABLE: Table = Table {
    tool: Tool::Prove,
    within: &[],
    rows: &[
        row("t/{any}", Custom(file), FORMATTER),
        inner("Dubious, test returned {any}", TestFailed, FORMATTER),
        inner("Failed {n}/{n} subtests{any}", Opens(Stage::Test), FORMATTER),
        inner("All tests successful.", Opens(Stage::Test), FORMATTER),
        row("Files={done}, Tests={n}, {any}", Tally, FORMATTER),
    ],
};

/// Reads `t/01-x.t .. ok`. With `-v` the result comes on a later line.
fn file(line: &str) -> Option<Sighting<'_>> {
    let (name, rest) = line.split_once(".t ")?;
    let dots = rest.len() - rest.trim_start_matches('.').len();
    if dots < 2 || name.contains(' ') {
        return None;
    }
    let name = line.get(..name.len() + 2)?;
    let outcome = rest.get(dots..)?.trim();
    let kind = match outcome {
        "ok" => Kind::Passed,
        "" => Kind::Begins,
        _ if outcome.starts_with("skipped") => Kind::Skipped,
        _ if outcome.starts_with("ok ") => Kind::Passed,
        _ if outcome.starts_with("Failed") => Kind::TestFailed,
        _ => return None,
    };
    Some(Sighting::new(kind, Stage::Test).item(name))
}
