//! Actions of activations that have not been shown yet.

use std::time::Duration;

use crate::activation::{ActivationChange, Run, RunStage, SwitchId, Tool, Unit, Units, Verb};
use crate::render::{Style, unit_actions, unit_names};
use crate::state::{Moment, Outcome, State};
use crate::text::{Line, Role};

/// Time for which units and steps are gathered.
const DELAY: Duration = Duration::from_millis(300);
/// Time after which stopped units are shown. Most are started again at once, which makes a restart.
const STOP_DELAY: Duration = Duration::from_secs(3);
/// Largest number of units in each list: a longer list is shown as a count anyway.
const MAX_UNITS: usize = 1024;

/// Gathers the actions of activations, so that each activation takes one line instead of a flood.
#[derive(Debug, Default)]
pub(super) struct ActivationNews {
    /// Activations in the order of their first unshown action.
    runs: Vec<RunNews>,
    /// Time of the first unshown action, without stopped units.
    since: Option<Moment>,
    stopped_since: Option<Moment>,
}

#[derive(Debug)]
struct RunNews {
    run: SwitchId,
    began: bool,
    units: Units,
}

impl ActivationNews {
    /// Notes an action. The caller shows warnings and the like at once.
    pub(super) fn note(&mut self, change: &ActivationChange, at: Moment) {
        match change {
            ActivationChange::Began { run, .. } => self.of(*run).began = true,
            ActivationChange::Units { run, verb: Verb::Stopped, units } => {
                add(&mut self.of(*run).units.stopped, units.iter().cloned());
                self.stopped_since.get_or_insert(at);
                return;
            }
            ActivationChange::Units { run, verb, units } => self.of(*run).acted(*verb, units),
            ActivationChange::UnitsFailed { run, units } => {
                add(&mut self.of(*run).units.failed, units.iter().cloned());
            }
            _ => return,
        }
        self.since.get_or_insert(at);
    }

    /// Returns whether it is time to show the actions.
    pub(super) fn is_due(&self, now: Moment) -> bool {
        let for_long =
            |since: Option<Moment>, delay| since.is_some_and(|since| now.saturating_sub(since) >= delay);
        for_long(self.since, DELAY) || for_long(self.stopped_since, STOP_DELAY)
    }

    /// Returns whether there are unshown actions.
    pub(super) fn is_pending(&self) -> bool {
        self.since.is_some() || self.stopped_since.is_some()
    }

    /// Makes a line for each activation with unshown actions: `Activating home-manager… (linkGeneration)`,
    /// `Activating… restarted nginx.service; rclone.service failed`. All of them count as shown.
    ///
    /// `at_end`: leaves out the actions that the report will show.
    pub(super) fn tell(&mut self, state: &State, style: &Style, at_end: bool) -> Vec<Line> {
        let news = std::mem::take(self);
        news.runs.into_iter().filter_map(|news| news.line(state, style, at_end)).collect()
    }

    fn of(&mut self, run: SwitchId) -> &mut RunNews {
        let at = self.runs.iter().position(|news| news.run == run).unwrap_or_else(|| {
            self.runs.push(RunNews::new(run));
            self.runs.len() - 1
        });
        &mut self.runs[at]
    }
}

impl RunNews {
    fn new(run: SwitchId) -> Self {
        Self { run, began: false, units: Units::default() }
    }

    fn acted(&mut self, verb: Verb, units: &[Unit]) {
        let (again, new): (Vec<Unit>, Vec<Unit>) =
            units.iter().cloned().partition(|unit| self.units.stopped.contains(unit));
        self.units.stopped.retain(|unit| !again.contains(unit));
        add(&mut self.units.restarted, again);
        let list = match verb {
            Verb::Started => &mut self.units.started,
            Verb::Reloaded => &mut self.units.reloaded,
            Verb::Restarted | Verb::Stopped => &mut self.units.restarted,
        };
        add(list, new);
    }

    fn line(mut self, state: &State, style: &Style, at_end: bool) -> Option<Line> {
        let run = state.activation().run(self.run)?;
        let refused = run.stage == RunStage::Refused && run.step.is_none();
        self.began &= !refused;
        if at_end {
            self.units.failed.clear();
            if state.outcome() == Some(Outcome::Success) {
                self.units = Units::default();
            }
        }
        let mut line = Line::new().with(Role::Heading, format!("Activating{}", self.what(run)));
        line.push(Role::Heading, style.symbols.ellipsis);
        if let Some(step) = run.step.as_deref().filter(|_| self.began) {
            line.push(Role::Muted, format!(" ({step})"));
        }
        let mut parts: Vec<(Role, String)> = unit_actions(&self.units)
            .map(|(verb, units)| (Role::Plain, format!("{verb} {}", unit_names(units))))
            .collect();
        if !self.units.failed.is_empty() {
            parts.push((Role::Failure, format!("{} failed", unit_names(&self.units.failed))));
        }
        if !self.began && parts.is_empty() {
            return None;
        }
        for (i, (role, text)) in parts.into_iter().enumerate() {
            line.push(Role::Plain, if i == 0 { " " } else { "; " });
            line.push(role, text);
        }
        Some(line)
    }

    /// Names the machine, or the tool at the beginning.
    fn what(&self, run: &Run) -> String {
        match (&run.node, run.tool) {
            (Some(node), _) => format!(" {node}"),
            (None, tool) if self.began && tool != Tool::Unknown => format!(" {}", tool.name()),
            _ => String::new(),
        }
    }
}

fn add(list: &mut Vec<Unit>, units: impl IntoIterator<Item = Unit>) {
    for unit in units {
        if list.len() < MAX_UNITS && !list.contains(&unit) {
            list.push(unit);
        }
    }
}
