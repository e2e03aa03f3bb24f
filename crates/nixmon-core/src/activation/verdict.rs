//! The outcome of each run, and of all of them together.

use super::{
    Activation, ActivationChange, MachinePhase, Reported, SwitchOutcome, Tool, Units,
    line::{AT_THE_END, PendingSudo},
    run::{Run, RunStage, Standing, Weight},
    tools::home_manager,
};

/// Lines of something else after which a last line still counts as the end of the stream.
const NEAR_THE_END: u32 = 40;

/// All activations of a stream in one, as the summary record tells them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchSummary {
    /// The tool whose run failed, else of the last run.
    pub tool: Tool,
    /// Their common outcome.
    pub outcome: SwitchOutcome,
    /// The step that failed or was interrupted; `None` if all went well but for units.
    pub failed_step: Option<String>,
    /// Units of all runs.
    pub units: Units,
    /// Commands and files with more information, best first.
    pub log_hints: Vec<String>,
}

impl Activation {
    /// Ends the stream, with this exit status if it is known.
    pub fn finish(&mut self, exit_status: Option<i32>, out: &mut Vec<ActivationChange>) {
        self.closing.finish();
        self.settle_beginnings(exit_status, out);
        self.settle_sudo(exit_status, out);
        self.runs.settle();
        let blamed = self.runs.iter().any(says_it_failed);
        let elsewhere = self.reported().stage.is_some();
        for at in 0..self.runs.len() {
            let reported = self.reported().clone();
            let Some(run) = self.runs.get_mut(at) else { continue };
            let told = run.stage;
            run.stage = stage(run, exit_status, !blamed && !elsewhere, &reported);
            run.failed_step = failed_step(run);
            if run.exit_status.is_none() && matches!(run.stage, RunStage::Failed | RunStage::Refused) {
                run.exit_status = reported
                    .exit_status
                    .or(exit_status)
                    .filter(|_| run.tool == Tool::HomeManager)
                    .or(exit_status
                        .filter(|code| run.tool == Tool::NixosRebuild && matches!(code, 2 | 3 | 4 | 100)));
                run.reboot_needed |= run.exit_status == Some(100) && run.tool == Tool::NixosRebuild;
            }
            if run.stage != told {
                out.push(ActivationChange::Ended { run: run.id, stage: run.stage });
                if let Some(node) = run.node.clone() {
                    self.reach(&node, MachinePhase::Done, out);
                }
            }
        }
        self.outcome = self.started().then(|| {
            let is = |wanted: fn(RunStage) -> bool| self.runs.iter().any(|run| wanted(run.stage));
            if is(|stage| stage == RunStage::Interrupted) {
                SwitchOutcome::Interrupted
            } else if is(|stage| matches!(stage, RunStage::Failed | RunStage::Refused | RunStage::RolledBack))
            {
                SwitchOutcome::Failure
            } else {
                SwitchOutcome::Success
            }
        });
    }

    /// Reports the runs that are over while the stream goes on.
    pub(super) fn tell_ends(&mut self, out: &mut Vec<ActivationChange>) {
        for id in self.runs.take_ending() {
            let Some(run) = self.runs.iter_mut().find(|run| run.id == id && run.standing == Standing::Sure)
            else {
                continue;
            };
            run.stage = stage(run, None, false, &Reported::default());
            run.failed_step = failed_step(run);
            out.push(ActivationChange::Ended { run: id, stage: run.stage });
            if let Some(node) = run.node.clone() {
                self.reach(&node, MachinePhase::Done, out);
            }
        }
    }

    /// Returns whether the stream breaks off in an activation: in a step of home-manager's that others follow, or before the
    /// script of disko has removed its scratch directory.
    pub fn stops_early(&self) -> bool {
        self.runs().last().is_some_and(|run| {
            if run.tool == Tool::Disko {
                return run.stage == RunStage::Done && !run.is_over() && run.makes_partitions;
            }
            run.tool == Tool::HomeManager
                && run.stage == RunStage::Done
                && !run.is_over()
                && !run.dry_run
                && !run.linked
                && !run.headless
                && run.step.as_deref().is_some_and(home_manager::is_before_link)
        })
    }

    /// Returns how the activations ended; `None` before the end and if there were none.
    pub fn outcome(&self) -> Option<SwitchOutcome> {
        self.outcome
    }

    /// Returns all runs in one, after the end.
    pub fn summary(&self) -> Option<SwitchSummary> {
        let outcome = self.outcome?;
        let ended_badly = |run: &&Run| !matches!(run.stage, RunStage::Done | RunStage::Activating);
        // Prefer one that failed by itself: others were rolled back with it.
        let by_itself = |run: &&Run| ended_badly(run) && (run.failure.is_some() || run.fails);
        let told =
            self.runs.iter().find(by_itself).or(self.runs.iter().find(ended_badly)).or(self.runs.last())?;
        let mut units = Units::default();
        let mut log_hints = Vec::new();
        for run in self.runs.iter() {
            let of_run = run.units();
            for (all, one) in [
                (&mut units.started, of_run.started),
                (&mut units.restarted, of_run.restarted),
                (&mut units.stopped, of_run.stopped),
                (&mut units.reloaded, of_run.reloaded),
                (&mut units.failed, of_run.failed),
            ] {
                for unit in one {
                    // The record lists names: the same unit on two machines is one name.
                    if !all.iter().any(|known| known.name == unit.name) {
                        all.push(unit);
                    }
                }
            }
            for hint in run.log_hints() {
                if !log_hints.contains(&hint) {
                    log_hints.push(hint);
                }
            }
        }
        Some(SwitchSummary {
            tool: told.tool,
            outcome,
            failed_step: told.failed_step.clone(),
            units,
            log_hints,
        })
    }

    /// Decides about the beginnings that are not believed yet.
    fn settle_beginnings(&mut self, exit_status: Option<i32>, out: &mut Vec<ActivationChange>) {
        let unsure: Vec<usize> = (0..self.runs.len())
            .filter(|at| self.runs.get(*at).is_some_and(|run| run.standing != Standing::Sure))
            .collect();
        for at in unsure {
            if self.runs.get(at).is_some_and(|run| is_believed_at_the_end(run, exit_status)) {
                self.believe(at, out);
            } else if self.runs.current_at() == Some(at) {
                self.runs.forget_current();
            }
        }
    }

    /// Decides about a `sudo` that refused and was followed by nothing.
    fn settle_sudo(&mut self, exit_status: Option<i32>, out: &mut Vec<ActivationChange>) {
        let Some(PendingSudo { tool, credible, line, at, unrelated }) = self.sudo.take() else { return };
        // On its own it was most likely a switch: sudo has no other business in our input.
        let alone = !self.other_text;
        if exit_status == Some(0) || unrelated > AT_THE_END || !(credible || alone) {
            return;
        }
        let follows = self.runs.last().is_some_and(|run| run.refused && !run.closed);
        if !follows {
            if let Some(at) = self.runs.current_at() {
                self.runs.close(at);
            }
            let tool = tool.unwrap_or(Tool::Unknown);
            let at = self.runs.add(tool, None, None, at, Standing::Sure);
            let Some(id) = self.runs.get(at).map(|run| run.id) else { return };
            out.push(ActivationChange::Began { run: id, tool, node: None });
        }
        if let Some(run) = self.runs.last_mut() {
            run.refused = true;
            run.keep(Weight::Cause, &line);
            run.fail(Some("sudo"), false);
            out.push(ActivationChange::Problem { run: run.id, text: line });
        }
    }
}

/// Returns whether a beginning is believed now that nothing follows.
fn is_believed_at_the_end(run: &Run, exit_status: Option<i32>) -> bool {
    match run.standing {
        Standing::Sure => true,
        // One line and nothing bad after it: no activation that goes well prints so little.
        Standing::Tentative => {
            let badly = match exit_status {
                Some(code) => code != 0,
                None => says_it_failed(run) || run.ends_in_error,
            };
            // In a language we have no rule for, one step may as well be prose, and so may one from the middle.
            let is_prose = run.step_form.is_some() || run.headless;
            run.has_more_lines() || (badly && run.unrelated <= NEAR_THE_END && !is_prose)
        }
        // A build that fails says so; what fails without that was no build.
        Standing::Doubtful => {
            run.has_more_lines()
                && (run.unrelated <= AT_THE_END
                    || says_it_failed(run)
                    || exit_status.is_some_and(|code| code != 0))
        }
    }
}

/// Returns whether the run itself, or its tool, says that it failed.
fn says_it_failed(run: &Run) -> bool {
    run.failure.is_some() || run.fails || run.rolled_back || run.refused
}

/// Returns a run's stage at the end. Runs still open are to blame for a failure that nothing else explains.
fn stage(run: &Run, exit_status: Option<i32>, to_blame: bool, reported: &Reported) -> RunStage {
    let failed = |run: &Run| {
        if run.rolled_back || run.rolling_back {
            RunStage::RolledBack
        } else if run.refused {
            RunStage::Refused
        } else {
            RunStage::Failed
        }
    };
    match exit_status {
        Some(0) => RunStage::Done,
        // 128 and the number of SIGINT, SIGKILL, SIGTERM.
        Some(130 | 137 | 143) if !run.is_over() => RunStage::Interrupted,
        _ if run.interrupted || (to_blame && !run.is_over() && reported.interrupted) => RunStage::Interrupted,
        _ if says_it_failed(run) => failed(run),
        Some(_) if to_blame && !run.is_over() => failed(run),
        None if run.is_over() => RunStage::Done,
        None if run.ends_in_error => failed(run),
        None if to_blame && reported.failed => failed(run),
        _ => RunStage::Done,
    }
}

/// Returns the step's name for the summary.
fn failed_step(run: &Run) -> Option<String> {
    if matches!(run.stage, RunStage::Done | RunStage::Activating) {
        return None;
    }
    if let Some(step) = run.failure.as_ref().and_then(|failure| failure.step.clone()) {
        return Some(step);
    }
    // The tool itself handles the units, so their failure is not the step's.
    let by_units = run.fails && !run.failed.is_empty();
    let stage = run.reached.and_then(super::rule::Stage::step);
    match (&run.step, stage) {
        (Some(step), _) => Some(step.clone()),
        (None, Some(stage)) if !by_units => Some(stage.to_owned()),
        // Every check of home-manager that fails before its first step is one of who and where.
        (None, None) if run.tool == Tool::HomeManager && run.failure.is_some() => Some("checks".to_owned()),
        _ => None,
    }
}
