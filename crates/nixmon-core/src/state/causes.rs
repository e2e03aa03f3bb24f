//! Root causes: builds that failed by themselves, and the logs that say why.

use super::change::{BuildEnd, Change, Effects};
use super::derivation::DerivationState;
use super::failure::{Failure, other_command};
use super::ids::{DerivationId, FailureId};
use super::log_tail::excerpt_of;
use super::loose::RawErrors;
use super::tool_errors::cause_of;
use super::{LogTail, State};
use nixmon_log::nix::error::{FailureKind, NixError, Stage, kind_of_log_line};

/// Number of lines of a log that explain a failure.
pub(super) const EXCERPT_LINES: usize = 8;
/// Number of lines of a log's end that are kept with a failure.
const TAIL_LINES: usize = 10;
/// More root causes than this are counted and not kept.
pub(super) const MAX_FAILURES: usize = 10_000;

impl State {
    /// A derivation failed by itself.
    pub(super) fn build_failed(&mut self, id: DerivationId, error: NixError, effects: &mut Effects) {
        if error.kind != FailureKind::PostBuildHook {
            self.forget_unnamed(id, effects);
        }
        self.errors.cascades.remove(&id);
        if let Some(known) = self.builds.derivations.get(id).failure {
            self.complete(known, error);
            return;
        }
        if self.errors.failures.len() >= MAX_FAILURES {
            self.dropped.failures += 1;
            return;
        }
        self.ask(id, effects);
        let stage = error.kind.stage().or(Some(Stage::Build));
        let failure = FailureId(self.errors.failures.len());
        let mut record = Failure::from_error(error, stage, self.clock.now);
        let hook = record.kind == FailureKind::PostBuildHook;
        let reasons = self.earlier_reasons(record.kind);
        record.details.extend(reasons);
        let derivation = self.builds.derivations.get_mut(id);
        record.derivation = Some(id);
        record.name = Some(derivation.name().to_owned());
        record.phase = derivation.phase.as_deref().map(str::to_owned);
        record.machine = record.machine.take().or(derivation.machine.as_deref().map(readable_machine));
        record.after =
            derivation.started.map(|from| derivation.ended.unwrap_or(self.clock.now).saturating_sub(from));
        let (log, path) = (derivation.log.take(), derivation.path.clone());
        // The log of a build that was taken for a good one is gone.
        let printed = derivation.has_printed;
        let started = derivation.started.is_some();
        // A build that a record began has its log in records; the lines without a name are another command's.
        let has_records = started && !derivation.human;
        let in_text = started && derivation.human && log.is_none() && !hook;
        let is_quoted = !record.log_tail.is_empty();
        derivation.failure = (!hook).then_some(failure);
        if !hook && !record.kind.is_told_by_message() {
            let lines = log.as_ref().map_or_else(|| record.log_tail.clone(), |log| log.lines().1);
            record.cause = cause_of(derivation.inside.as_deref_mut(), &lines);
        }
        if hook {
            record.phase = None;
            take_log(&mut record, self.builds.hooks.remove(&id).unwrap_or_default(), self.options.tail_lines);
        } else if let Some(log) = log {
            take_log(&mut record, *log, self.options.tail_lines);
        } else if in_text && !is_quoted && self.builds_alone(id) {
            take_log(&mut record, self.text.raw_log.take(), self.options.tail_lines);
        } else {
            explain(&mut record);
        }
        if in_text {
            self.settle_raw_log(id, if is_quoted { &record.log_tail } else { &[] });
        }
        if record.kind == FailureKind::BuilderFailed
            && let Some(kind) = record.log_tail.iter().rev().take(4).find_map(|line| kind_of_log_line(line))
        {
            record.kind = kind;
            record.advice = kind.advice();
            for line in record.excerpt.iter_mut().flatten() {
                // 2.8 puts the error into the log in the binary form in which the child hands it over.
                if let Some(at) =
                    line.find("executing '").filter(|at| *at > 0 && !line.starts_with("error: "))
                {
                    line.drain(..at);
                }
            }
        }
        record.printed_nothing =
            has_records && !printed && record.machine.is_none() && record.log_tail.is_empty();
        // The output of a hook is in no log.
        if (started || record.names_log) && !hook {
            record.log_hints.push(format!("nix log {path}"));
        }
        self.errors.failures.push(record);
        if hook {
            self.build_ended(id, BuildEnd::Built, effects);
        } else if stage == Some(Stage::Build) {
            self.build_ended(id, BuildEnd::Failed, effects);
        } else if !started {
            self.builds.derivations.set(id, DerivationState::Skipped);
        }
        effects.changes.push(Change::Failed(failure));
    }

    /// Returns what Nix has said before of why it could not fetch, or why it could not use another machine. The failure
    /// itself only says that it could not.
    fn earlier_reasons(&mut self, kind: FailureKind) -> Vec<String> {
        /// More machines than this are not named.
        const MACHINES: usize = 3;
        let loose = || self.errors.loose.iter().rev().map(|error| &error.failure);
        match kind {
            FailureKind::SubstitutionFailed => {
                let mut causes = loose().filter(|cause| cause.kind.stage() == Some(Stage::Fetch));
                let last = causes.next();
                let told = |cause: &&Failure| cause.kind == FailureKind::NoSubstituter;
                // That a path cannot be had repeats what was said before it.
                let cause = last.filter(told).and_then(|_| causes.find(|cause| !told(cause))).or(last);
                let Some(reason) = cause.map(|cause| cause.message.clone()) else { return Vec::new() };
                // It is told with this failure, and no other one.
                let known = self.errors.loose.iter_mut().find(|error| error.failure.message == reason);
                if let Some(known) = known {
                    known.survived = true;
                }
                vec![reason]
            }
            FailureKind::LocalBuildsDisabled
            | FailureKind::NoMachine
            | FailureKind::PlatformMismatch
            | FailureKind::MissingFeature => loose()
                .filter(|cause| cause.kind == FailureKind::RemoteMachine)
                .take(MACHINES)
                .map(|cause| cause.message.clone())
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Returns whether no other build was running that may have written to the stream: of several, nothing says which
    /// line is whose.
    pub(super) fn builds_alone(&self, id: DerivationId) -> bool {
        /// More are not looked at.
        const MOST: usize = 64;
        let mut others = self
            .builds
            .derivations
            .building()
            .filter(|(other, derivation)| *other != id && derivation.is_endless())
            .map(|(other, _)| other);
        // The inputs of another build had ended before it began.
        let has_ended = |other: DerivationId| {
            self.builds
                .derivations
                .dependents(other)
                .any(|id| self.builds.derivations.get(id).started.is_some())
        };
        others.by_ref().take(MOST).all(has_ended) && others.next().is_none()
    }

    /// A build that a line of text began has failed. `quoted` is what the error tells of its log, which Nix does
    /// where it did not print it, and where a daemon speaks.
    fn settle_raw_log(&mut self, id: DerivationId, quoted: &[String]) {
        if !quoted.is_empty() && !self.text.raw_log.has_any(quoted) {
            let words = self.text.raw_log.builders_are_elsewhere();
            self.keep_others(words);
        } else {
            self.settle_raw_errors(RawErrors::BuildFailed);
            self.text.raw_log.are_builders();
            if self.builds_alone(id) {
                self.text.raw_log.close();
            }
        }
    }

    /// A second message about a failure adds what the first did not say: the machine's exit status comes first, the log
    /// with the last.
    fn complete(&mut self, known: FailureId, error: NixError) {
        let Some(failure) = self.errors.failures.get_mut(known.0) else { return };
        failure.exit_status = failure.exit_status.or(error.exit_status);
        failure.signal = failure.signal.or(error.signal);
        failure.machine = failure.machine.take().or(error.machine);
        failure.hashes = failure.hashes.take().or(error.hashes);
        failure.location = failure.location.take().or(error.location);
        failure.user_location = failure.user_location.take().or(error.user_location);
        failure.full_log = failure.full_log.take().or(other_command(error.full_log));
        if failure.log_tail.is_empty() && !error.log_tail.is_empty() {
            failure.printed_nothing = false;
            failure.log_tail = error.log_tail;
            failure.cause = failure.cause.take().or_else(|| cause_of(None, &failure.log_tail));
            explain(failure);
        }
    }

    /// A named failure settles which of the builds that ended was meant.
    fn forget_unnamed(&mut self, id: DerivationId, effects: &mut Effects) {
        let ended = self.builds.derivations.get(id).state();
        let mut mistaken = None;
        for process in self.builds.processes.values_mut() {
            if let Some(at) = process.unnamed.iter().position(|other| *other == id) {
                process.unnamed.remove(at);
                return;
            }
        }
        match ended {
            // The message comes before the end of the activity.
            DerivationState::Building => self.name_open_failure(id),
            // Another build ended first and was taken for it: each gets what the other had.
            DerivationState::Cancelled | DerivationState::Built => {
                let mut processes: Vec<_> = self.builds.processes.values_mut().collect();
                processes.sort_unstable_by_key(|process| process.number);
                mistaken = processes.into_iter().rev().find_map(|process| process.unnamed.pop_back());
            }
            _ => {}
        }
        if let Some(other) = mistaken {
            let end = if ended == DerivationState::Built { BuildEnd::Built } else { BuildEnd::Cancelled };
            self.build_ended(other, end, effects);
        }
    }
}

/// `ssh://root@host?remote-program=…` without what only Nix needs to know.
fn readable_machine(machine: &str) -> String {
    machine.split('?').next().unwrap_or(machine).to_owned()
}

/// Takes from a log what a report needs.
fn take_log(failure: &mut Failure, log: LogTail, lines: usize) {
    if log.is_empty() || failure.kind.is_told_by_message() {
        explain(failure);
        return;
    }
    failure.log_tail = log.tail(lines.max(TAIL_LINES));
    failure.excerpt = log.excerpt(EXCERPT_LINES);
}

/// The same from the lines that Nix quotes in its error.
pub(super) fn explain(failure: &mut Failure) {
    let lines: &[String] = if failure.kind.is_told_by_message() { &[] } else { &failure.log_tail };
    failure.excerpt = excerpt_of(lines, 0, EXCERPT_LINES);
    let from = failure.log_tail.len().saturating_sub(TAIL_LINES);
    failure.log_tail.drain(..from);
}
