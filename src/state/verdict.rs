//! How a run ended.

use super::State;
use super::change::{BuildEnd, Change, Effects, Phase};
use super::derivation::{DerivationId, DerivationState};
use super::errors::{EXCERPT_LINES, LooseError};
use super::failure::{Failure, FailureId};
use super::log_tail::excerpt_of;
use super::transfer::PathState;
use crate::activation::{self, EarlyStage};
use crate::nix::error::{ErrorText, FailureKind, Stage, parse_error};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything that was wanted is there.
    Success,
    /// Something failed.
    Failure,
    /// The user, or a signal, ended it.
    Interrupted,
    /// The stream ended in the middle without saying why.
    Incomplete,
}

impl Outcome {
    /// The name in the summary record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Interrupted => "interrupted",
            Self::Incomplete => "incomplete",
        }
    }
}

/// What became of what was wanted. A derivation is in one of the first four at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Derivations whose outputs became valid by a build.
    pub built: usize,
    /// Derivations that failed by themselves.
    pub failed: usize,
    /// Derivations that were started and neither built nor failed.
    pub cancelled: usize,
    /// Derivations that are known to be wanted and were never started.
    pub not_started: usize,
    /// Store paths that arrived.
    pub fetched: usize,
    /// Bytes that arrived for them.
    pub fetched_bytes: u64,
    /// Store paths that were sent elsewhere.
    pub uploaded: usize,
}

impl State {
    pub(super) fn end(&mut self, exit_status: Option<i32>, effects: &mut Effects) {
        if self.outcome.is_some() {
            return;
        }
        // What was announced last is not begun any more.
        self.announcing = false;
        self.exit_status = exit_status;
        self.activation.finish(exit_status, &mut self.activation_changes);
        self.tell_activation(effects);
        let outcome = self.judge(exit_status);
        // Nothing tells any more whose the last lines are.
        let words = self.raw_log.are_others();
        self.keep_others(words);
        self.settle_builds(outcome, effects);
        if matches!(outcome, Outcome::Failure | Outcome::Interrupted | Outcome::Incomplete) {
            self.accept_loose_errors(outcome, effects);
        }
        self.outcome = Some(outcome);
        self.phase_at_end = self.phase;
        self.phase = Phase::Done;
        effects.changes.push(Change::Ended(outcome));
    }

    /// What the stream alone says, were it to end now.
    pub fn outcome_so_far(&self) -> Outcome {
        self.judge(None)
    }

    fn judge(&self, exit_status: Option<i32>) -> Outcome {
        use activation::Outcome as Activated;
        let switched = self.activation.outcome();
        let interrupted = self.interrupted.is_some()
            || switched == Some(Activated::Interrupted)
            || self.activation.reported().interrupted;
        match exit_status {
            Some(0) => Outcome::Success,
            // SIGHUP, SIGINT, SIGTERM.
            Some(129 | 130 | 143) => Outcome::Interrupted,
            Some(137) if interrupted => Outcome::Interrupted,
            Some(137) => Outcome::Incomplete,
            Some(_) if interrupted => Outcome::Interrupted,
            Some(_) => Outcome::Failure,
            None if interrupted => Outcome::Interrupted,
            None => {
                let failed = self.failures.iter().any(|failure| !failure.retracted)
                    || self.ownerless.is_some()
                    || self.loose_errors.iter().any(LooseError::is_fatal)
                    || switched == Some(Activated::Failure)
                    || self.activation.reported().failed
                    || self.last_text_is_error.is_some() && switched.is_none();
                if failed {
                    Outcome::Failure
                } else if !self.activities.is_empty() {
                    Outcome::Incomplete
                } else {
                    Outcome::Success
                }
            }
        }
    }

    /// Gives every build that was started its end.
    fn settle_builds(&mut self, outcome: Outcome, effects: &mut Effects) {
        let open: Vec<(DerivationId, DerivationState, bool)> = self
            .derivations
            .iter()
            .filter(|(_, derivation)| {
                matches!(
                    derivation.state(),
                    DerivationState::Building | DerivationState::Ended | DerivationState::Cancelled
                )
            })
            .map(|(id, derivation)| (id, derivation.state(), derivation.human))
            .collect();
        for (id, state, human) in open {
            // Lines of text do not say when a build ends. Nix ends when all of them have.
            let built = match outcome {
                Outcome::Success => state != DerivationState::Cancelled || !self.derivations.get(id).human,
                _ => {
                    human
                        && self.derivations.dependents(id).any(|d| self.derivations.get(d).started.is_some())
                }
            };
            if built {
                self.build_ended(id, BuildEnd::Built, effects);
            } else if state != DerivationState::Cancelled {
                self.build_ended(id, BuildEnd::Cancelled, effects);
            }
        }
        for (id, state) in self.transfers.iter().map(|(id, path)| (id, path.state())).collect::<Vec<_>>() {
            if state == PathState::Ended {
                self.transfers.set(id, PathState::Fetched);
            }
        }
    }

    /// Errors that named no derivation are causes where nothing else is.
    fn accept_loose_errors(&mut self, outcome: Outcome, effects: &mut Effects) {
        if let Some(error) = self.ownerless.take() {
            self.push_failure(Failure::from_error(error, Some(Stage::Build), self.now), effects);
        }
        let mut loose: Vec<Failure> = self
            .loose_errors
            .iter()
            .filter(|error| {
                !error.survived
                    && !error.is_doubted(self.exit_status)
                    && (outcome == Outcome::Failure || !error.failure.kind.is_survivable())
            })
            .map(|error| error.failure.clone())
            .collect();
        if loose.iter().all(|failure| vagueness(failure.kind) == 2) {
            // What repeats others points at one that seemed to be survived.
            let survived = self.loose_errors.iter().filter(|error| vagueness(error.failure.kind) == 1);
            let survived = survived.filter(|error| !error.is_doubted(self.exit_status));
            loose.extend(survived.map(|error| error.failure.clone()));
        }
        // That a dependency failed is no cause; a summary of failed builds may be all that is said of one.
        if loose.iter().any(|failure| failure.kind == FailureKind::BuildsFailed) {
            loose.retain(|failure| failure.kind != FailureKind::DependencyFailed);
        }
        for failure in loose.iter_mut().filter(|failure| failure.kind == FailureKind::DependencyFailed) {
            failure.name = None;
        }
        let named = self.failures.iter().any(|failure| !failure.retracted);
        if named {
            // A failure with a name explains a vague one after it.
            loose.retain(|failure| vagueness(failure.kind) == 0 && failure.stage != Some(Stage::Activation));
        } else if let Some(least) = loose.iter().map(|failure| vagueness(failure.kind)).min() {
            loose.retain(|failure| vagueness(failure.kind) == least);
            // What only repeats others has a cause, and other work may have gone on after it: a download that failed
            // while more were running.
            let cause = self.loose_errors.iter().rev().find(|error| vagueness(error.failure.kind) < 2);
            if least == 2
                && let Some(cause) = cause
            {
                loose = vec![cause.failure.clone()];
            }
        }
        if loose.is_empty() && !named && outcome == Outcome::Failure && self.activation_failed().is_none() {
            // All that is left: what make says, an error that seemed to be survived, or the last line.
            let survived = self.loose_errors.iter().rfind(|error| !error.is_doubted(self.exit_status));
            if let Some(line) = self.activation.reported().make.clone() {
                loose.push(self.failure_of_make(&line));
            } else if let Some(error) = survived {
                loose.push(error.failure.clone());
            } else if let Some(line) = self.last_text_is_error.take() {
                let error = parse_error(&ErrorText { msg: &line, ..ErrorText::default() });
                let stage = error.kind.stage().or(self.stage_under_way());
                loose.push(Failure::from_error(error, stage, self.now));
            }
        }
        for failure in loose {
            self.push_failure(failure, effects);
        }
    }

    /// What make says of itself where nothing else tells, with the lines that other programs printed before.
    fn failure_of_make(&self, line: &str) -> Failure {
        let error = parse_error(&ErrorText { msg: line, ..ErrorText::default() });
        let mut failure = Failure::from_error(error, None, self.now);
        failure.kind = FailureKind::Unknown;
        failure.message = line.to_owned();
        failure.exit_status = self.activation.reported().exit_status;
        let (early, lines) = self.other_text.lines();
        let is_of_others = |line: &&String| !activation::is_of_make(line);
        let early = lines.iter().take(early).filter(is_of_others).count();
        let before: Vec<String> = lines.iter().filter(is_of_others).cloned().collect();
        failure.excerpt = excerpt_of(&before, early, EXCERPT_LINES);
        failure
    }

    fn push_failure(&mut self, failure: Failure, effects: &mut Effects) {
        let id = FailureId(self.failures.len());
        self.failures.push(failure);
        effects.changes.push(Change::Failed(id));
    }

    /// The activation that failed, if one did.
    pub fn activation_failed(&self) -> Option<&activation::Run> {
        use activation::RunStage;
        let bad = |run: &&activation::Run| {
            matches!(run.stage, RunStage::Failed | RunStage::Refused | RunStage::RolledBack)
        };
        self.activation.runs().find(bad)
    }

    /// Where something of Nix's was under way when the stream ended.
    fn stage_under_way(&self) -> Option<Stage> {
        let phase = if self.outcome.is_some() { self.phase_at_end } else { self.phase };
        (!self.activities.is_empty()).then(|| self.stage_of_phase(phase)).flatten()
    }

    fn stage_of_phase(&self, phase: Phase) -> Option<Stage> {
        Some(match phase {
            Phase::Evaluating => Stage::Evaluation,
            Phase::Fetching => Stage::Fetch,
            Phase::Building | Phase::Done => Stage::Build,
            Phase::Activating => Stage::Activation,
        })
    }

    /// Where the failure or the interruption happened; `None` on success and for a wrong command line.
    pub fn failed_stage(&self) -> Option<Stage> {
        let outcome = self.outcome?;
        if outcome == Outcome::Success {
            return None;
        }
        let stage = self.stage_of_outcome(outcome);
        stage.filter(|stage| *stage != Stage::Evaluation || !self.is_other_command())
    }

    fn stage_of_outcome(&self, outcome: Outcome) -> Option<Stage> {
        use activation::Outcome as Activated;
        let switched = self.activation.outcome();
        let early = self.activation.reported().stage.map(|stage| match stage {
            EarlyStage::Evaluation => Stage::Evaluation,
            EarlyStage::Build => Stage::Build,
            EarlyStage::Copy => Stage::Fetch,
        });
        match outcome {
            Outcome::Failure if switched == Some(Activated::Failure) => Some(Stage::Activation),
            Outcome::Failure => match self.failures().next() {
                // What a tool says of the stage is more than a line that nothing explains.
                Some((_, failure)) if early.is_none() || vagueness(failure.kind) == 0 => failure.stage,
                // Nobody has said what failed.
                _ => early.or(self.stage_under_way()),
            },
            _ if switched == Some(Activated::Interrupted) => Some(Stage::Activation),
            _ => self.stage_of_phase(self.interrupted.unwrap_or(self.phase_at_end)),
        }
    }

    /// The exit status with which a filter ends: 0 on success, 130 when interrupted, else 1.
    pub fn exit_code(&self) -> i32 {
        match self.outcome {
            Some(Outcome::Success) | None => 0,
            Some(Outcome::Interrupted) => 130,
            Some(Outcome::Failure | Outcome::Incomplete) => 1,
        }
    }

    /// The exit status of the command, where it is known.
    pub fn exit_status(&self) -> Option<i32> {
        self.exit_status
    }

    /// What became of what was wanted, so far.
    pub fn counts(&self) -> Counts {
        let states = self.derivations.counts();
        let failed = self.failures().filter(|(_, failure)| {
            failure.stage == Some(Stage::Build)
                && failure.name.is_some()
                && failure.kind != FailureKind::PostBuildHook
        });
        Counts {
            built: states.get(DerivationState::Built),
            failed: failed.count(),
            cancelled: states.get(DerivationState::Cancelled),
            not_started: states.get(DerivationState::Planned)
                + states.get(DerivationState::Waiting)
                + states.get(DerivationState::Skipped),
            fetched: self.transfers.count(PathState::Fetched),
            fetched_bytes: self.transfers.bytes(),
            uploaded: self.transfers.count(PathState::Uploaded),
        }
    }
}

/// How little a kind says: 0 for a cause, 1 for what need not have been fatal, 2 for what repeats others.
fn vagueness(kind: FailureKind) -> u8 {
    match kind {
        FailureKind::BuildsFailed | FailureKind::DependencyFailed => 2,
        FailureKind::Unknown => 1,
        kind if kind.is_survivable() => 1,
        _ => 0,
    }
}
