//! End of a run.

use super::State;
use super::causes::EXCERPT_LINES;
use super::change::{BuildEnd, Change, Effects, Outcome, Phase};
use super::derivation::DerivationState;
use super::failure::Failure;
use super::ids::{DerivationId, FailureId};
use super::log_tail::excerpt_of;
use super::loose::LooseError;
use super::transfer::PathState;
use crate::activation::{self, EarlyStage, SwitchOutcome};
use nixmon_log::escapes::sanitize;
use nixmon_log::nix::error::{ErrorText, FailureKind, Stage, ends_in_failure, ends_with_crash, parse_error};

/// Counts of what became of everything wanted. A derivation is in one of the first four at most.
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
        if self.end.outcome.is_some() {
            return;
        }
        self.end.exit_status = exit_status;
        self.activation.finish(exit_status, &mut self.activation_changes);
        self.tell_activation(effects);
        let outcome = self.judge(exit_status);
        self.command_ended(outcome == Outcome::Success, effects);
        // The last announcement will not begin any more.
        self.text.announcing = false;
        // Nothing tells any more whose the last lines are.
        let words = self.text.raw_log.are_others();
        self.keep_others(words);
        self.settle_builds(outcome, effects);
        if matches!(outcome, Outcome::Failure | Outcome::Interrupted | Outcome::Incomplete) {
            self.accept_loose_errors(outcome, effects);
        }
        self.end.outcome = Some(outcome);
        self.clock.phase_at_end = self.clock.phase;
        self.clock.phase = Phase::Done;
        effects.changes.push(Change::Ended(outcome));
    }

    /// Returns the outcome by the stream alone, were it to end now.
    pub fn outcome_so_far(&self) -> Outcome {
        self.judge(None)
    }

    fn judge(&self, exit_status: Option<i32>) -> Outcome {
        let switched = self.activation.outcome();
        let interrupted = self.end.interrupted.is_some()
            || switched == Some(SwitchOutcome::Interrupted)
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
                let failed = self.errors.failures.iter().any(|failure| !failure.retracted)
                    || self.errors.ownerless.is_some()
                    || self.errors.loose.iter().any(LooseError::is_fatal)
                    || switched == Some(SwitchOutcome::Failure)
                    || self.activation.reported().failed
                    || self.last_error().is_some_and(|line| {
                        // After a switch programs still complain; a tool that logs an error, or a shell, gives up.
                        switched.is_none() || line.contains("[ERROR]") || ends_in_failure(line)
                    });
                if failed {
                    Outcome::Failure
                } else if self.end.unseen
                    || !self.builds.activities.is_empty()
                    || self.stops_early()
                    || self.activation.stops_early()
                {
                    Outcome::Incomplete
                } else {
                    Outcome::Success
                }
            }
        }
    }

    /// Returns whether the stream ends before all that was announced has begun, though some of it has, or in the middle
    /// of a list. A list with nothing after it is the answer to a dry run.
    fn stops_early(&self) -> bool {
        if self.text.records_seen || self.activation.started() || self.builds.answered {
            return false;
        }
        let counts = self.builds.derivations.counts();
        // Paths that only a build machine needs are listed as well: downloads count where nothing is to be built.
        let is_open = counts.get(DerivationState::Planned) > 0
            || counts.wanted() == 0 && self.transfers.count(PathState::Planned) > 0;
        is_open && self.builds.begun || self.text.missing > 0
    }

    /// Returns whether the run was the answer to a dry run: what would be built and fetched.
    pub fn is_dry_run(&self) -> bool {
        let is_open = self.counts().not_started + self.transfers.count(PathState::Planned) > 0;
        self.end.outcome == Some(Outcome::Success) && is_open && !self.builds.begun && !self.builds.requested
    }

    /// Returns whether more may have been wanted than is known: no list was read.
    pub fn wanted_is_least(&self) -> bool {
        !self.builds.announced
    }

    /// Gives every build that was started its end.
    fn settle_builds(&mut self, outcome: Outcome, effects: &mut Effects) {
        let open: Vec<(DerivationId, DerivationState, bool)> = self
            .builds
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
        let of_text = open.iter().filter(|(_, state, human)| *human && *state == DerivationState::Building);
        let last =
            of_text.map(|(id, ..)| *id).max_by_key(|id| (self.builds.derivations.get(*id).started, *id));
        for (id, state, human) in open {
            // Lines of text do not say when a build ends. Nix ends when all of them have.
            let built = match outcome {
                Outcome::Success => {
                    state != DerivationState::Cancelled || !self.builds.derivations.get(id).human
                }
                _ => {
                    let has_ended = || {
                        let mut dependents = self.builds.derivations.dependents(id);
                        dependents.any(|d| self.builds.derivations.get(d).started.is_some())
                    };
                    human && (outcome == Outcome::Failure && self.builds.keeps_going || has_ended())
                }
            };
            if built {
                self.build_ended(id, BuildEnd::Built, effects);
            } else if outcome == Outcome::Interrupted && human && last != Some(id) {
                // The last one was stopped; those before may have ended long ago.
                self.builds.derivations.set(id, DerivationState::Ended);
            } else if state != DerivationState::Cancelled {
                self.build_ended(id, BuildEnd::Cancelled, effects);
            }
        }
        if outcome == Outcome::Success && (self.builds.begun || self.builds.requested) {
            // Another process has built it, or it turned out not to be needed.
            self.builds.derivations.forget_planned();
            self.transfers.forget_planned();
        }
        for (id, state) in self.transfers.iter().map(|(id, path)| (id, path.state())).collect::<Vec<_>>() {
            if state == PathState::Ended {
                self.transfers.set(id, PathState::Fetched);
            }
        }
        if let Some(id) = self.text.last_upload.filter(|_| outcome != Outcome::Success) {
            self.transfers.set(id, PathState::Failed);
        }
    }

    /// Errors that named no derivation are causes where nothing else is.
    fn accept_loose_errors(&mut self, outcome: Outcome, effects: &mut Effects) {
        if let Some(error) = self.errors.ownerless.take() {
            self.push_failure(Failure::from_error(error, Some(Stage::Build), self.clock.now), effects);
        }
        let mut loose: Vec<Failure> = self
            .errors
            .loose
            .iter()
            .filter(|error| {
                !error.survived
                    && !error.deferred
                    && !error.is_doubted(self.end.exit_status)
                    && (outcome == Outcome::Failure || !error.failure.kind.is_survivable())
            })
            .map(|error| error.failure.clone())
            .collect();
        let deferred = self.errors.loose.iter().filter(|error| error.deferred);
        let deferred: Vec<Failure> = deferred.map(|error| error.failure.clone()).collect();
        if !deferred.is_empty() {
            loose.retain(|failure| failure.kind.vagueness() == 0);
        }
        if deferred.is_empty() && loose.iter().all(|failure| failure.kind.vagueness() == 2) {
            // An error that repeats others points at one that seemed to be survived.
            let survived = self.errors.loose.iter().filter(|error| error.failure.kind.vagueness() == 1);
            let survived = survived.filter(|error| !error.is_doubted(self.end.exit_status));
            loose.extend(survived.map(|error| error.failure.clone()));
        }
        // That a dependency failed is no cause; a summary of failed builds may be all that is said of one.
        if loose.iter().any(|failure| failure.kind == FailureKind::BuildsFailed) {
            loose.retain(|failure| failure.kind != FailureKind::DependencyFailed);
        }
        for failure in loose.iter_mut().filter(|failure| failure.kind == FailureKind::DependencyFailed) {
            failure.name = None;
        }
        let named = self.errors.failures.iter().any(|failure| !failure.retracted);
        if named {
            // A failure with a name explains a vague one after it.
            loose.retain(|failure| failure.kind.vagueness() == 0 && failure.stage != Some(Stage::Activation));
        } else if let Some(least) = loose.iter().map(|failure| failure.kind.vagueness()).min() {
            loose.retain(|failure| failure.kind.vagueness() == least);
            // An error that only repeats others has a cause, and other work may have gone on after it: a download that
            // failed while more were running.
            let cause = self.errors.loose.iter().rev().find(|error| error.failure.kind.vagueness() < 2);
            if least == 2
                && let Some(cause) = cause
            {
                loose = vec![cause.failure.clone()];
            }
        }
        loose.extend(deferred);
        if outcome == Outcome::Failure && !named && self.activation_failed().is_none() {
            // Of a command that is not Nix, compilers say more than what looks like an error of Nix's.
            let is_vague = loose.iter().all(|failure| failure.kind.vagueness() > 0);
            if is_vague || self.is_plain() {
                let causes = self.tool_failures();
                loose = if causes.is_empty() { loose } else { causes };
            }
        }
        if loose.is_empty() && !named && outcome == Outcome::Failure && self.activation_failed().is_none() {
            // All that is left: what make says, an error that seemed to be survived, or the last line.
            let survived = self.errors.loose.iter().rfind(|error| !error.is_doubted(self.end.exit_status));
            let reported = self.activation.reported();
            if let Some(line) = reported.make.clone().or_else(|| reported.killed.clone()) {
                loose.push(self.failure_of_make(&line));
            } else if let Some(error) = survived {
                loose.push(error.failure.clone());
            } else if let Some(line) = self.last_error().map(|line| sanitize(line).into_owned()) {
                let error = parse_error(&ErrorText { msg: &line, ..ErrorText::default() });
                let stage = error.kind.stage().or(self.stage_under_way());
                let mut failure = Failure::from_error(error, stage, self.clock.now);
                if ends_with_crash(&line) {
                    failure.kind = FailureKind::NixAborted;
                    failure.message = line;
                }
                loose.push(failure);
            }
        }
        for mut failure in loose {
            if failure.kind == FailureKind::RemoteMachine {
                failure.details.extend(self.words_of_ssh());
            }
            self.push_failure(failure, effects);
        }
    }

    /// Returns the last line in which ssh says why it could not connect. Nix only says that it could not.
    fn words_of_ssh(&self) -> Option<String> {
        /// Lines that are looked at.
        const LAST: usize = 10;
        let is_reason = |line: &String| {
            line.starts_with("ssh: ")
                || line.contains("Permission denied (")
                || line.starts_with("Host key verification failed")
                || line.starts_with("kex_exchange_identification: ")
        };
        self.text.of_others.tail(LAST).into_iter().rev().find(is_reason)
    }

    /// Makes a failure of make's own words, with the lines that other programs printed before.
    fn failure_of_make(&self, line: &str) -> Failure {
        let error = parse_error(&ErrorText { msg: line, ..ErrorText::default() });
        let mut failure = Failure::from_error(error, None, self.clock.now);
        failure.kind = FailureKind::Unknown;
        failure.message = line.to_owned();
        failure.exit_status = self.activation.reported().exit_status;
        let (early, lines) = self.text.of_others.lines();
        let is_of_others = |line: &&String| !activation::is_of_make(line);
        let early = lines.iter().take(early).filter(is_of_others).count();
        let before: Vec<String> = lines.iter().filter(is_of_others).cloned().collect();
        failure.excerpt = excerpt_of(&before, early, EXCERPT_LINES);
        failure
    }

    fn push_failure(&mut self, mut failure: Failure, effects: &mut Effects) {
        // The advice is to add the file to Git, of which Nix knows better where it says so itself.
        if failure.kind == FailureKind::EvalMissingFile
            && self.text.copies_flake
            && !failure.message.contains("not tracked by Git")
        {
            failure.advice = None;
        }
        let id = FailureId(self.errors.failures.len());
        self.errors.failures.push(failure);
        effects.changes.push(Change::Failed(id));
    }

    /// The activation that failed, if one did.
    pub fn activation_failed(&self) -> Option<&activation::Run> {
        self.activations_failed().next()
    }

    /// The activations that failed.
    pub fn activations_failed(&self) -> impl Iterator<Item = &activation::Run> {
        use activation::RunStage;
        let bad = |run: &&activation::Run| {
            matches!(run.stage, RunStage::Failed | RunStage::Refused | RunStage::RolledBack)
        };
        self.activation.runs().filter(bad)
    }

    /// Returns the stage in which something of Nix's was under way when the stream ended.
    fn stage_under_way(&self) -> Option<Stage> {
        let phase = if self.end.outcome.is_some() { self.clock.phase_at_end } else { self.clock.phase };
        (!self.builds.activities.is_empty()).then(|| self.stage_of_phase(phase)).flatten()
    }

    fn stage_of_phase(&self, phase: Phase) -> Option<Stage> {
        Some(match phase {
            Phase::Evaluating => Stage::Evaluation,
            Phase::Fetching => Stage::Fetch,
            Phase::Building | Phase::Done => Stage::Build,
            Phase::Activating => Stage::Activation,
        })
    }

    /// Returns the stage of the failure or interruption; `None` on success and for a wrong command line.
    pub fn failed_stage(&self) -> Option<Stage> {
        let outcome = self.end.outcome?;
        if outcome == Outcome::Success {
            return None;
        }
        let stage = self.stage_of_outcome(outcome);
        stage.filter(|stage| *stage != Stage::Evaluation || !self.is_other_command())
    }

    fn stage_of_outcome(&self, outcome: Outcome) -> Option<Stage> {
        let switched = self.activation.outcome();
        let early = self.activation.reported().stage.map(|stage| match stage {
            EarlyStage::Evaluation => Stage::Evaluation,
            EarlyStage::Build => Stage::Build,
            EarlyStage::Copy => Stage::Fetch,
        });
        match outcome {
            Outcome::Failure if switched == Some(SwitchOutcome::Failure) => Some(Stage::Activation),
            Outcome::Failure => match self.failures().next() {
                // The stage that a tool names says more than a line that nothing explains.
                Some((_, failure)) if early.is_none() || failure.kind.vagueness() == 0 => failure.stage,
                // Nothing says what failed.
                _ => early.or(self.stage_under_way()),
            },
            _ if switched == Some(SwitchOutcome::Interrupted) => Some(Stage::Activation),
            _ => self.stage_of_phase(self.end.interrupted.unwrap_or(self.clock.phase_at_end)),
        }
    }

    /// The exit status with which a filter ends: 0 on success, 130 when interrupted, else 1.
    pub fn exit_code(&self) -> i32 {
        match self.end.outcome {
            Some(Outcome::Success) | None => 0,
            Some(Outcome::Interrupted) => 130,
            Some(Outcome::Failure | Outcome::Incomplete) => 1,
        }
    }

    /// The exit status of the command, where it is known.
    pub fn exit_status(&self) -> Option<i32> {
        self.end.exit_status
    }

    /// Counts what became of everything wanted, so far.
    pub fn counts(&self) -> Counts {
        let states = self.builds.derivations.counts();
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
