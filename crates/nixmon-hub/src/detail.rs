//! The parts of a run that its status does not tell: builds as a tree, phases, activations, failures.

use std::collections::{BTreeMap, BTreeSet};

use nixmon_core::activation;
use nixmon_core::state::{DerivationId, DerivationState, Moment, State};
use nixmon_core::view::Evidence;
use nixmon_core::wire::{self, ActivationResult, SummaryFailure, SummaryUnits, millis};
use nixmon_log::escapes::sanitize;
use nixmon_log::input::InputCounts;
use schemars::JsonSchema;
use serde::Serialize;

/// Largest number of builds that are listed.
const MAX_BUILDS: usize = 400;
/// Largest depth of the tree; deeper builds are listed at this depth.
const MAX_DEPTH: usize = 12;
/// Largest number of steps of activations.
pub(crate) const MAX_STEPS: usize = 400;
/// Largest number of failures.
const MAX_FAILURES: usize = 50;

/// The parts of a run that its recording tells. Times are in milliseconds since the run began.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Detail {
    /// The recording was read to the end of the run.
    pub(crate) is_complete: bool,
    /// Time of the last thing that was read.
    pub(crate) elapsed_ms: u64,
    /// Phases in the order in which they began.
    pub(crate) phases: Vec<Span>,
    /// Builds as a tree, each after the one that needs it: failures first, then builds in progress.
    pub(crate) builds: Vec<Build>,
    /// Number of derivations that are known to be wanted and are not listed.
    pub(crate) builds_left_out: usize,
    /// Activations of a configuration.
    pub(crate) activations: Vec<Activation>,
    /// Root causes so far. Those of a run that has ended are in its summary, with more about their logs.
    pub(crate) failures: Vec<SummaryFailure>,
}

/// A named stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Span {
    /// The name of the phase or step.
    pub(crate) name: String,
    /// Its beginning.
    pub(crate) from_ms: u64,
    /// Its end; null while it lasts.
    pub(crate) to_ms: Option<u64>,
}

/// A build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Build {
    /// Path of the `.drv` file.
    pub(crate) derivation: String,
    /// Name of the derivation.
    pub(crate) name: String,
    /// `planned`, `waiting`, `building`, `ended` (Nix has not said how), `built`, `failed`, `cancelled` or `skipped`.
    pub(crate) state: String,
    /// Depth in the tree, 0 for builds that no listed build needs.
    pub(crate) depth: usize,
    /// The current or last build phase.
    pub(crate) phase: Option<String>,
    /// The build machine; null for a local build.
    pub(crate) machine: Option<String>,
    /// Its beginning.
    pub(crate) from_ms: Option<u64>,
    /// Its end; null while it lasts or if the output does not tell.
    pub(crate) to_ms: Option<u64>,
    /// Number of lines of its log.
    pub(crate) log_lines: u64,
}

impl Build {
    /// Returns whether it has ended, so that Nix may have kept its log.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state.as_str(), "built" | "failed" | "ended")
    }
}

/// An activation of a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Activation {
    /// The tool that activates.
    pub(crate) tool: String,
    /// The machine, if the tool handles several.
    pub(crate) node: Option<String>,
    /// The result; null while it lasts.
    pub(crate) result: Option<ActivationResult>,
    /// Its steps.
    pub(crate) steps: Vec<Span>,
    /// Names of units by what happened to them.
    pub(crate) units: SummaryUnits,
    /// Warnings, one line each.
    pub(crate) warnings: Vec<String>,
    /// The new configuration takes effect only after a reboot.
    pub(crate) reboot_needed: bool,
}

/// Notes of the times at which phases and steps began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times {
    pub(crate) phases: Vec<(String, u64)>,
    /// The activation, the step and the time.
    pub(crate) steps: Vec<(activation::SwitchId, String, u64)>,
}

/// Makes the detail of a run from the state at a moment. `log_lines` has the numbers of lines of logs.
pub(crate) fn detail(
    state: &State,
    times: &Times,
    log_lines: &BTreeMap<DerivationId, u64>,
    now: Moment,
    is_complete: bool,
) -> Detail {
    let elapsed_ms = millis(now);
    let end = is_complete.then_some(elapsed_ms);
    let summary = wire::summary(state, &Evidence::default(), InputCounts::default(), 0);
    let (builds, builds_left_out) = builds(state, log_lines, now);
    let mut failures = summary.failures;
    failures.truncate(MAX_FAILURES);
    Detail {
        is_complete,
        elapsed_ms,
        phases: spans(phases(times), end),
        builds,
        builds_left_out,
        activations: activations(state, times, end),
        failures,
    }
}

/// Returns the phases with their beginnings. Evaluation is what a run begins with and is not announced.
fn phases(times: &Times) -> impl Iterator<Item = (&str, u64)> {
    let is_announced = times.phases.first().is_none_or(|(name, _)| name == "evaluating" || name == "done");
    let begun = times.phases.iter().map(|(name, at)| (name.as_str(), *at));
    (!is_announced).then_some(("evaluating", 0)).into_iter().chain(begun)
}

/// Makes stretches of time of beginnings: each ends where the next one begins.
fn spans<'a>(begun: impl Iterator<Item = (&'a str, u64)>, end: Option<u64>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for (name, from_ms) in begun {
        if let Some(last) = spans.last_mut() {
            last.to_ms = Some(from_ms);
        }
        spans.push(Span { name: sanitize(name).into_owned(), from_ms, to_ms: None });
    }
    if let Some(last) = spans.last_mut() {
        last.to_ms = end.map(|end| end.max(last.from_ms));
    }
    spans
}

/// The rank of a build in the choice of those to list, and among those that the same build needs.
fn rank(state: DerivationState) -> u8 {
    match state {
        DerivationState::Failed => 0,
        DerivationState::Building => 1,
        DerivationState::Waiting => 2,
        DerivationState::Cancelled | DerivationState::Skipped => 3,
        DerivationState::Built | DerivationState::Ended => 4,
        DerivationState::Planned | DerivationState::Unknown => 5,
    }
}

fn builds(state: &State, log_lines: &BTreeMap<DerivationId, u64>, now: Moment) -> (Vec<Build>, usize) {
    let derivations = state.derivations();
    let mut known: Vec<DerivationId> = derivations
        .iter()
        .filter(|(_, derivation)| derivation.state() != DerivationState::Unknown)
        .map(|(id, _)| id)
        .collect();
    let order = |id: &DerivationId| {
        let derivation = derivations.get(*id);
        (rank(derivation.state()), std::cmp::Reverse(derivation.elapsed(now)), *id)
    };
    let left_out = known.len().saturating_sub(MAX_BUILDS);
    if left_out > 0 {
        known.select_nth_unstable_by_key(MAX_BUILDS, order);
        known.truncate(MAX_BUILDS);
    }
    // In a tree the order is that of beginnings, so that rows keep their places.
    let place = |id: &DerivationId| {
        let derivation = derivations.get(*id);
        (rank(derivation.state()), derivation.started.is_none(), derivation.started, *id)
    };
    known.sort_by_key(place);
    let chosen: BTreeSet<DerivationId> = known.iter().copied().collect();
    let mut below: BTreeMap<Option<DerivationId>, Vec<DerivationId>> = BTreeMap::new();
    for id in &known {
        let parent = derivations.dependents(*id).filter(|parent| chosen.contains(parent)).min();
        below.entry(parent).or_default().push(*id);
    }
    let mut listed = Vec::with_capacity(known.len());
    let mut seen = BTreeSet::new();
    let mut todo: Vec<(DerivationId, usize)> =
        below.get(&None).into_iter().flatten().rev().map(|id| (*id, 0)).collect();
    while let Some((id, depth)) = todo.pop() {
        // The graph has no circles by Nix's rules, but its edges come from the stream.
        if !seen.insert(id) {
            continue;
        }
        listed.push(build(state, id, depth, log_lines, now));
        let children = below.get(&Some(id)).into_iter().flatten().rev();
        todo.extend(children.map(|child| (*child, (depth + 1).min(MAX_DEPTH))));
    }
    let in_circles = known.iter().filter(|id| !seen.contains(id));
    listed.extend(in_circles.map(|id| build(state, *id, 0, log_lines, now)));
    (listed, left_out)
}

fn build(
    state: &State,
    id: DerivationId,
    depth: usize,
    log_lines: &BTreeMap<DerivationId, u64>,
    now: Moment,
) -> Build {
    let derivation = state.derivations().get(id);
    let clean = |text: &str| sanitize(text).into_owned();
    let ended = derivation.ended.filter(|_| derivation.known_elapsed(now).is_some());
    Build {
        derivation: clean(&derivation.path),
        name: clean(derivation.name()),
        state: derivation.state().as_str().to_owned(),
        depth,
        phase: derivation.phase.as_deref().map(clean),
        machine: derivation.machine.as_deref().map(clean),
        from_ms: derivation.started.map(millis),
        to_ms: ended.map(millis),
        log_lines: log_lines.get(&id).copied().unwrap_or(0),
    }
}

fn activations(state: &State, times: &Times, end: Option<u64>) -> Vec<Activation> {
    let runs = state.activation().runs();
    runs.map(|run| {
        let steps = times.steps.iter().filter(|(id, ..)| *id == run.id);
        let is_over = run.stage != activation::RunStage::Activating;
        let over_at = if is_over { Some(millis(run.last_at)) } else { end };
        let units = run.units();
        let names = |units: &[activation::Unit]| -> Vec<String> {
            units.iter().map(|unit| sanitize(&unit.name).into_owned()).collect()
        };
        Activation {
            tool: run.tool.name().to_owned(),
            node: run.node.as_deref().map(|node| sanitize(node).into_owned()),
            result: is_over.then(|| run.stage.into()),
            steps: spans(steps.map(|(_, name, at)| (name.as_str(), *at)), over_at),
            units: SummaryUnits {
                started: names(&units.started),
                restarted: names(&units.restarted),
                stopped: names(&units.stopped),
                reloaded: names(&units.reloaded),
                failed: names(&units.failed),
            },
            warnings: run.warnings.iter().map(|text| sanitize(text).into_owned()).collect(),
            reboot_needed: run.reboot_needed,
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use nixmon_core::frontend::{LogLines, Results};
    use nixmon_core::pipeline::Pipeline;

    use super::*;

    fn path(n: usize) -> String {
        format!("/nix/store/{n:032}-p{n}-1.0.drv")
    }

    fn at_end(input: &str) -> Detail {
        let sink = Rc::new(RefCell::new(Results::new(Vec::new())));
        let mut pipeline = Pipeline::new(sink, LogLines::None);
        pipeline.feed(input.as_bytes(), Moment::from_secs(1));
        pipeline.end(Some(1), Moment::from_secs(9), |_| Default::default());
        detail(pipeline.state(), &Times::default(), &BTreeMap::new(), Moment::from_secs(9), true)
    }

    #[test]
    fn many_builds_are_cut_and_failures_are_kept() {
        let mut input = "these 1000 derivations will be built:\n".to_owned();
        (0..1000).for_each(|n| input.push_str(&format!("  {}\n", path(n))));
        // The last one to be named.
        let failed = path(999);
        input.push_str(&format!(
            "building '{failed}'...\nerror: builder for '{failed}' failed with exit code 1\n"
        ));
        let detail = at_end(&input);
        assert_eq!((detail.builds.len(), detail.builds_left_out), (MAX_BUILDS, 1000 - MAX_BUILDS));
        let first = &detail.builds[0];
        assert_eq!((first.name.as_str(), first.state.as_str()), ("p999-1.0", "failed"));
        assert_eq!(detail.failures.len(), 1);
    }

    #[test]
    fn stretches_end_where_the_next_begins() {
        let check = |begun: &[(&str, u64)], end, expected: &[(u64, Option<u64>)]| {
            let spans = spans(begun.iter().copied(), end);
            let spans: Vec<_> = spans.iter().map(|span| (span.from_ms, span.to_ms)).collect();
            assert_eq!(spans, expected, "{begun:?}");
        };
        check(&[], Some(9), &[]);
        check(&[("a", 1), ("b", 5)], None, &[(1, Some(5)), (5, None)]);
        check(&[("a", 1), ("b", 5)], Some(9), &[(1, Some(5)), (5, Some(9))]);
        // A step that began after the last line.
        check(&[("a", 10)], Some(9), &[(10, Some(10))]);
    }

    #[test]
    fn evaluation_is_what_builds_follow() {
        let check = |begun: &[(&str, u64)], expected: &[&str]| {
            let times = Times {
                phases: begun.iter().map(|(name, at)| ((*name).to_owned(), *at)).collect(),
                ..Times::default()
            };
            assert_eq!(phases(&times).map(|(name, _)| name).collect::<Vec<_>>(), expected);
        };
        check(&[], &[]);
        check(&[("building", 500), ("done", 900)], &["evaluating", "building", "done"]);
        check(&[("evaluating", 5), ("building", 500)], &["evaluating", "building"]);
        // A command that is no Nix.
        check(&[("done", 900)], &["done"]);
    }
}
