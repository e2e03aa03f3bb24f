//! `meson test`: each test with its number, and the counts at the end.

use crate::{
    form::{Effect::*, Kind, Sighting, Table, inner, number},
    unit::{Stage, Tool},
};

const MTEST: &str = "Meson 1.0.1 mesonbuild/mtest.py";

pub(super) static TABLE: Table = Table {
    tool: Tool::MesonTest,
    within: &[Tool::Ninja, Tool::Meson],
    rows: &[inner("{done}/{total} {any}", Custom(result), MTEST)],
};

/// Reads `3/5 suite:name   OK   0.03s`.
fn result(line: &str) -> Option<Sighting<'_>> {
    let (done, rest) = line.split_once('/')?;
    let (total, rest) = rest.split_once(' ')?;
    let (done, total) = (number(done)?, number(total)?);
    let (rest, time) = rest.trim_end().rsplit_once(' ')?;
    // Failures add `exit status 1` or `killed by signal 6` behind the time.
    let (rest, time) = if time.ends_with('s') && time.starts_with(|c: char| c.is_ascii_digit()) {
        (rest, time)
    } else {
        let at = rest.rfind("s ")?;
        let (rest, _) = rest.split_at(at + 1);
        rest.rsplit_once(' ')?
    };
    time.strip_suffix('s')?.parse::<f64>().ok()?;
    let (name, outcome) = rest.trim_end().rsplit_once("  ").or_else(|| rest.trim_end().rsplit_once(' '))?;
    let kind = match outcome.trim() {
        "OK" | "EXPECTEDFAIL" => Kind::Passed,
        "FAIL" | "TIMEOUT" | "ERROR" | "UNEXPECTEDPASS" | "INTERRUPT" => Kind::TestFailed,
        "SKIP" => Kind::Skipped,
        _ => return None,
    };
    if done == 0 || done > total {
        return None;
    }
    let mut sighting = Sighting::new(kind, Stage::Test).item(name.trim());
    sighting.done = Some(done);
    sighting.total = Some(total);
    Some(sighting)
}
