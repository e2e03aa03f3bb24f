//! pytest: a line for each test with `-v`, a line of letters for each file without.

use crate::{
    form::{Effect::*, Kind, Sighting, Table, inner, number, row},
    unit::{Stage, Tool},
};

const TERMINAL: &str = "pytest 8 src/_pytest/terminal.py";
const XDIST: &str = "pytest-xdist 3 src/xdist/dsession.py";

pub(super) static TABLE: Table = Table {
    tool: Tool::Pytest,
    within: &[],
    rows: &[
        row("={any} test session starts ={any}", Opens(Stage::Test), TERMINAL),
        inner("collected {total} items{any}", Totals(Stage::Test), TERMINAL),
        inner("collecting ... collected {total} item{any}", Totals(Stage::Test), TERMINAL),
        inner("collected {total} item{any}", Totals(Stage::Test), TERMINAL),
        inner("{n} workers [{total} items]{any}", Totals(Stage::Test), XDIST),
        inner("[gw{n}] [{percent}%] PASSED {item}", Passed, XDIST),
        inner("[gw{n}] [{percent}%] XFAIL {item}", Passed, XDIST),
        inner("[gw{n}] [{percent}%] FAILED {item}", TestFailed, XDIST),
        inner("[gw{n}] [{percent}%] ERROR {item}", TestFailed, XDIST),
        inner("[gw{n}] [{percent}%] XPASS {item}", TestFailed, XDIST),
        inner("[gw{n}] [{percent}%] SKIPPED {item}", Skipped, XDIST),
        inner("{any}%]", Custom(line), TERMINAL),
    ],
};

const OUTCOMES: [(&str, Kind); 6] = [
    (" PASSED", Kind::Passed),
    (" XFAIL", Kind::Passed),
    (" FAILED", Kind::TestFailed),
    (" ERROR", Kind::TestFailed),
    (" XPASS", Kind::TestFailed),
    (" SKIPPED", Kind::Skipped),
];

/// Reads `test_a.py ..F. [ 50%]` and `test_a.py::test PASSED [ 50%]`.
fn line(line: &str) -> Option<Sighting<'_>> {
    let (text, percent) = line.strip_suffix("%]")?.rsplit_once('[')?;
    let percent = number(percent).filter(|percent| *percent <= 100)?;
    let text = text.trim_end();
    // A reason follows the outcome: `SKIPPED (unconditional skip)`.
    let named = OUTCOMES.iter().find_map(|(outcome, kind)| Some((text.split_once(outcome)?, *kind)));
    if let Some(((name, _), kind)) = named.filter(|((name, _), _)| name.contains("::")) {
        let mut sighting = Sighting::new(kind, Stage::Test).item(name.trim_end());
        sighting.percent = Some(percent);
        return Some(sighting);
    }
    // Letters of one file: `.` passed, `F` failed, `E` error, `s` skipped, `x` and `X` expected to fail.
    let (file, letters) = text.rsplit_once(' ').unwrap_or(("", text));
    if letters.is_empty() || !letters.bytes().all(|byte| b".FEsxX".contains(&byte)) {
        return None;
    }
    let count = |of: &[u8]| letters.bytes().filter(|byte| of.contains(byte)).count() as u64;
    let mut sighting = Sighting::new(Kind::Counts, Stage::Test);
    sighting.item = Some(file.trim()).filter(|file| !file.is_empty());
    sighting.percent = Some(percent);
    sighting.passed = Some(count(b".x"));
    sighting.failed = Some(count(b"FEX"));
    sighting.skipped = Some(count(b"s"));
    Some(sighting)
}
