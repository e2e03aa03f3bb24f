//! The inside of builds in words: a percent, counts, the file of the moment, and a bar.

use nixmon_progress::{Stage, Unit};

use super::Style;
use crate::state::{Derivation, DerivationId};
use crate::text::{Line, Role, count, thousands};
use crate::view::View;

/// Parts of a path that are shown of the file of the moment: its name and two directories.
const PARTS: usize = 3;
/// Cells of a bar.
pub(super) const BAR: usize = 12;

/// Returns the work of a build in progress, unless its builder has gone on to a phase that prints none.
pub(super) fn of_build<'a>(view: &View<'a>, id: DerivationId, derivation: &Derivation) -> Option<&'a Unit> {
    let scope = view.state.scope(id)?;
    let is_current = scope.last_progress() >= derivation.phase_started;
    scope.unit().filter(|_| is_current)
}

/// Returns `61 % (2,310/3,790)`, `2,310/3,790`, `120/213 tests, 3 failed` or `12 done`: what is known.
///
/// A percent of which no total is known comes from an earlier run alone, and is marked `~`.
pub(super) fn progress(unit: &Unit) -> Option<String> {
    let is_test = unit.stage == Stage::Test || unit.tool.runs_tests();
    let failed = if unit.failed > 0 { format!(", {} failed", thousands(unit.failed)) } else { String::new() };
    let counts = match unit.total.filter(|total| unit.done <= *total) {
        Some(total) if is_test => Some(format!("{}/{} tests", thousands(unit.done), thousands(total))),
        Some(total) => Some(format!("{}/{}", thousands(unit.done), thousands(total))),
        // What a configuration checks is no measure of anything.
        None if unit.done == 0 || unit.stage == Stage::Configure => None,
        None if is_test => Some(count(unit.done, "test", "tests")),
        None => Some(format!("{} done", thousands(unit.done))),
    };
    // Rounded down: 100 % is the end.
    let percent = unit.percent.map(|percent| {
        let mark = if unit.estimated && unit.total.is_none() { "~" } else { "" };
        format!("{mark}{} %", percent.clamp(0.0, 100.0) as u64)
    });
    match (percent, counts) {
        (Some(percent), Some(counts)) => Some(format!("{percent} ({counts}{failed})")),
        (Some(percent), None) => Some(format!("{percent}{failed}")),
        (None, Some(counts)) => Some(format!("{counts}{failed}")),
        (None, None) => None,
    }
}

/// Returns whether it is known how much there is to do, so that progress says more than the last line of the log.
pub(super) fn is_measured(unit: &Unit) -> bool {
    unit.percent.is_some() || unit.total.is_some_and(|total| unit.done <= total)
}

/// Returns the file or test of the moment, as the end of its path.
pub(super) fn current(unit: &Unit) -> Option<&str> {
    let current = unit.current.as_deref().map(str::trim).filter(|current| !current.is_empty())?;
    Some(end_of_path(current, PARTS))
}

/// Returns the last parts of a path.
pub(super) fn end_of_path(path: &str, parts: usize) -> &str {
    let from = path.rmatch_indices('/').nth(parts.saturating_sub(1)).map_or(0, |(at, _)| at + 1);
    path.get(from..).unwrap_or(path)
}

/// Returns `compiling 61 % (1,204/1,980) · src/main.c` for a command that is not Nix.
pub(super) fn of_command(view: &View<'_>, style: &Style) -> Option<String> {
    let unit = view.state.plain_scope()?.unit()?;
    let mut text = verb(unit.stage).to_owned();
    if let Some(progress) = progress(unit) {
        text.push_str(&format!(" {progress}"));
    }
    if let Some(current) = current(unit) {
        text.push_str(&format!(" {} {current}", style.symbols.bullet));
    }
    Some(text)
}

/// Returns what a tool does at a stage.
pub(super) fn verb(stage: Stage) -> &'static str {
    match stage {
        Stage::Download => "downloading",
        Stage::Configure => "configuring",
        Stage::Compile => "compiling",
        Stage::Link => "linking",
        Stage::Test => "testing",
        Stage::Install => "installing",
    }
}

/// Draws a bar of [`BAR`] cells for a percent.
pub(super) fn bar(percent: f64, style: &Style) -> Line {
    let full = ((percent.clamp(0.0, 100.0) / 100.0) * BAR as f64) as usize;
    let symbols = &style.symbols;
    Line::new()
        .with(Role::Running, symbols.bar_done.repeat(full))
        .with(Role::Muted, symbols.bar_left.repeat(BAR.saturating_sub(full)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nixmon_progress::Tool;

    fn unit(done: u64, total: Option<u64>, percent: Option<f64>) -> Unit {
        Unit {
            tool: Tool::Ninja,
            stage: Stage::Compile,
            done,
            total,
            percent,
            estimated: true,
            current: None,
            package: None,
            failed: 0,
            tests: None,
        }
    }

    #[test]
    fn what_is_known_is_told() {
        let tests =
            Unit { tool: Tool::CTest, stage: Stage::Test, failed: 3, ..unit(120, Some(213), Some(56.9)) };
        for (unit, expected) in [
            (unit(2310, Some(3790), Some(61.4)), Some("61 % (2,310/3,790)")),
            (unit(2310, None, Some(61.4)), Some("~61 % (2,310 done)")),
            (Unit { estimated: false, ..unit(5, None, Some(99.99)) }, Some("99 % (5 done)")),
            (unit(12, None, None), Some("12 done")),
            (unit(12, Some(7), None), Some("12 done")),
            (unit(0, None, None), None),
            (Unit { stage: Stage::Configure, ..unit(12, None, None) }, None),
            (Unit { tool: Tool::Pytest, ..unit(1, None, None) }, Some("1 test")),
            (tests.clone(), Some("56 % (120/213 tests, 3 failed)")),
            (Unit { total: None, percent: None, ..tests }, Some("120 tests, 3 failed")),
        ] {
            assert_eq!(progress(&unit).as_deref(), expected, "{unit:?}");
        }
    }

    #[test]
    fn paths_are_shown_from_their_ends() {
        for (path, expected) in [
            ("main.c", Some("main.c")),
            ("dom/base/Document.cpp", Some("dom/base/Document.cpp")),
            ("/home/demo/x/dom/base/Document.cpp", Some("dom/base/Document.cpp")),
            (" ", None),
            ("a b/c", Some("a b/c")),
        ] {
            let unit = Unit { current: Some(path.to_owned()), ..unit(1, None, None) };
            assert_eq!(current(&unit), expected);
        }
    }

    #[test]
    fn bars_are_full_at_the_end_only() {
        let style = Style::default();
        let full = |percent| bar(percent, &style).plain().matches(style.symbols.bar_done).count();
        assert_eq!([0.0, 50.0, 99.9, 100.0, 250.0, f64::NAN].map(full), [0, 6, 11, 12, 12, 0]);
        assert_eq!(bar(30.0, &style).width(), BAR);
    }
}
