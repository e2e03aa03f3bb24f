//! Failures and log lines, as the live view and the condensed lines both count them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::LogLines;
use crate::state::{DerivationId, FailureId, Moment, State};
use crate::text::{Line, Role};
use nixmon_log::escapes::last_carriage;

/// Time for which a failure waits to be shown. If the run ends within it, only the report shows the failure.
const FAILURE_DELAY: Duration = Duration::from_millis(700);

/// Failures that have not been shown yet.
#[derive(Debug, Default)]
pub(super) struct PendingFailures(Vec<(FailureId, Moment)>);

impl PendingFailures {
    pub(super) fn add(&mut self, id: FailureId, at: Moment) {
        self.0.push((id, at));
    }

    pub(super) fn retract(&mut self, id: FailureId) {
        self.0.retain(|(other, _)| *other != id);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the failures that have waited long enough, each with the time at which it happened.
    pub(super) fn take_due(&mut self, now: Moment) -> Vec<(FailureId, Moment)> {
        let due = self.0.iter().filter(|(_, at)| now.saturating_sub(*at) >= FAILURE_DELAY).count();
        self.0.drain(..due).collect()
    }
}

/// The number of log lines that were shown of each build.
#[derive(Debug, Default)]
pub(super) struct LogCounts(BTreeMap<DerivationId, usize>);

impl LogCounts {
    /// Makes a line of a build log, if it is to be shown. An ellipsis stands for the lines over the limit.
    pub(super) fn line(
        &mut self,
        state: &State,
        id: DerivationId,
        line: &str,
        logs: LogLines,
        ellipsis: &str,
    ) -> Option<Line> {
        let LogLines::All(most) = logs else { return None };
        let shown = self.0.entry(id).or_default();
        *shown = shown.saturating_add(1);
        let text = match most {
            Some(most) if *shown == most.saturating_add(1) => ellipsis,
            Some(most) if *shown > most => return None,
            _ => last_carriage(line).trim_end(),
        };
        let name = state.derivations().get(id).name();
        Some(Line::new().with(Role::Muted, format!("{name}> ")).with(Role::Plain, text))
    }

    pub(super) fn forget(&mut self, id: DerivationId) {
        self.0.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Effects, Input};
    use nixmon_log::input::Reader;

    #[test]
    fn an_ellipsis_stands_for_the_lines_over_the_limit() {
        let path = "/nix/store/r8y95xadk9qzggyyfjq0xf5z88knam70-a-1.drv";
        let record = format!(
            r#"@nix {{"action":"start","id":1,"level":3,"type":105,"text":"","fields":["{path}","",1,1]}}"#
        );
        let (mut state, mut effects) = (State::new(), Effects::default());
        let mut reader = Reader::default();
        let mut apply = |event: nixmon_log::input::Event<'_>| {
            state.apply(Input::Event(event), Duration::ZERO, &mut effects);
        };
        reader.feed(record.as_bytes(), &mut apply);
        reader.finish(&mut apply);
        let id = state.derivations().find(path).unwrap();
        for (most, expected) in [
            (None, ["a-1> 1", "a-1> 2", "a-1> 3", "a-1> 4"].as_slice()),
            (Some(2), &["a-1> 1", "a-1> 2", "a-1> …"]),
            (Some(0), &["a-1> …"]),
        ] {
            let mut counts = LogCounts::default();
            let lines = ["1", "2", "3", "x\r4 "];
            let shown =
                lines.iter().filter_map(|line| counts.line(&state, id, line, LogLines::All(most), "…"));
            assert_eq!(shown.map(|line| line.plain()).collect::<Vec<_>>(), expected, "{most:?}");
        }
    }
}
