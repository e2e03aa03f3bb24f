//! curl's progress meter: a header of two lines, then rows of twelve columns.

use crate::{
    form::{Effect::*, Kind, Sighting, Table, inner, row},
    unit::{Stage, Tool},
};

const METER: &str = "curl 7.88 src/tool_progress.c and lib/progress.c";

pub(super) static TABLE: Table = Table {
    tool: Tool::Curl,
    within: &[],
    rows: &[
        row("% Total    % Received % Xferd  Average Speed{any}", Opens(Stage::Download), METER),
        inner("{n} {any}", Custom(meter), METER),
    ],
};

/// Reads ` 45 28.6M   45 12.9M    0     0  8192k      0  0:00:03  0:00:01  0:00:02 8191k`.
fn meter(line: &str) -> Option<Sighting<'_>> {
    let mut words = line.split_ascii_whitespace();
    let percent: u64 = words.next()?.parse().ok()?;
    let rest: Vec<&str> = words.take(12).collect();
    let is_time = |word: &str| word.len() == 7 && word.bytes().filter(|b| *b == b':').count() == 2;
    let times = rest.get(7..10)?;
    if rest.len() != 11 || percent > 100 || !times.iter().all(|word| is_time(word)) {
        return None;
    }
    let mut sighting = Sighting::new(Kind::Counts, Stage::Download);
    sighting.percent = Some(percent);
    Some(sighting)
}
