//! Errors that name no derivation. Whether such an error ended its command shows only by what follows.

use super::State;
use super::causes::explain;
use super::change::{Effects, Phase, TextKind};
use super::derivation::DerivationState;
use super::failure::Failure;
use super::process::Pid;
use nixmon_log::nix::error::{ErrorText, FailureKind, IGNORED, NixError, Stage, parse_error};

/// More errors than this without a derivation are not kept.
pub(super) const MAX_LOOSE: usize = 100;

/// An error that names no derivation. Whether it ended its command shows only afterwards.
#[derive(Debug)]
pub(super) struct LooseError {
    pub(super) failure: Failure,
    /// It is the command's own last word, not one of a part of it: in a record it has a raw message, in text `error:`.
    top_level: bool,
    /// Processes that were seen before it; if one of them goes on, it was survived.
    processes: usize,
    /// Nix went on.
    pub(super) survived: bool,
    /// Nothing has been heard of Nix since.
    last: bool,
    /// A builder may have printed it.
    raw: bool,
    /// Lines have followed it that may be of whoever runs Nix.
    doubted: bool,
    /// Nix goes on after it and fails in the end: `nix flake check --keep-going`.
    pub(super) deferred: bool,
}

/// Form in which an error came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// In a record: it is Nix's.
    Record,
    /// In text.
    Text,
    /// In text that may be a builder's.
    Raw,
}

/// Event that tells whose the errors are that a builder may have printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RawErrors {
    /// A command that goes on was not ended by an error.
    CommandGoesOn,
    /// A command may have ended before another begins.
    CommandBegins,
    /// A build has failed, and the errors are in its log.
    BuildFailed,
}

impl LooseError {
    /// Returns whether it ended its command, as far as the stream tells.
    pub(super) fn is_fatal(&self) -> bool {
        !self.survived && !self.deferred && (self.top_level || !self.failure.kind.is_survivable())
    }

    /// Returns whether other words came later that may say more. Without an exit status it is all there is that tells
    /// of a failure.
    pub(super) fn is_doubted(&self, exit_status: Option<i32>) -> bool {
        self.doubted && exit_status.is_some()
    }
}

impl State {
    /// Forgets the errors of builders among those that may have ended a command.
    pub(super) fn settle_raw_errors(&mut self, by: RawErrors) {
        self.errors.loose.retain_mut(|error| match by {
            _ if !error.raw => true,
            RawErrors::BuildFailed => false,
            // A message that Nix has words for is most likely its own.
            RawErrors::CommandGoesOn if error.failure.kind == FailureKind::Unknown => false,
            RawErrors::CommandGoesOn | RawErrors::CommandBegins => {
                error.raw = false;
                true
            }
        });
    }

    /// A line follows that may be of whoever runs Nix.
    pub(super) fn doubt_raw_errors(&mut self) {
        for error in self.errors.loose.iter_mut().filter(|error| error.raw) {
            error.doubted |= error.failure.kind == FailureKind::Unknown;
        }
    }

    /// Returns whether Nix says that the error before did not end it. It is told then, and nothing comes of it.
    pub(super) fn survives_error(&mut self, text: &str, effects: &mut Effects) -> bool {
        /// nix-shell asks for a bash of nixpkgs and does without (`src/nix-build/nix-build.cc`).
        const SURVIVES: [&str; 2] =
            ["will use bash from your environment", "uses bash from your environment"];
        let Some(survives) = SURVIVES.into_iter().find(|words| text.trim() == *words) else { return false };
        if let Some(error) = self.errors.loose.pop_if(|error| error.last) {
            self.show(TextKind::Notice, &format!("error: {}", error.failure.message), effects);
        }
        self.show(TextKind::Notice, survives, effects);
        true
    }

    /// An error that names no derivation.
    pub(super) fn loose_error(&mut self, error: NixError, top_level: bool, origin: Origin) {
        let stage = self.loose_stage(&error, origin);
        let raw = origin == Origin::Raw;
        let known = self.errors.loose.iter_mut().find(|known| known.failure.message == error.message);
        if let Some(known) = known {
            known.processes = self.builds.processes.len();
            known.survived = false;
            known.last = true;
            known.top_level |= top_level;
            known.raw = raw;
            known.doubted = false;
            return;
        }
        if self.errors.loose.len() >= MAX_LOOSE {
            self.errors.loose.remove(0);
            self.dropped.errors += 1;
        }
        let mut failure = Failure::from_error(error, stage, self.clock.now);
        explain(&mut failure);
        let processes = self.builds.processes.len();
        let error = LooseError {
            failure,
            top_level,
            processes,
            survived: false,
            last: true,
            raw,
            doubted: false,
            deferred: false,
        };
        self.errors.loose.push(error);
    }

    /// An error that Nix ignores for now: `error (ignored): …`. Those of the evaluation make `nix flake check` fail in
    /// the end; others come from cleaning up. Returns whether it is one of the former.
    pub(super) fn ignored_error(&mut self, text: &str) -> bool {
        let Some(rest) = text.trim_start().strip_prefix(IGNORED) else { return false };
        let error = parse_error(&ErrorText { msg: rest.trim_start(), ..ErrorText::default() });
        let is_evaluation = error.kind.stage() == Some(Stage::Evaluation)
            || error.kind == FailureKind::Unknown
                && self.text.checks_flake
                && self.clock.phase == Phase::Evaluating;
        if is_evaluation && !error.is_cascade() {
            self.loose_error(error, false, Origin::Record);
            if let Some(last) = self.errors.loose.last_mut() {
                last.deferred = true;
                last.last = false;
            }
        }
        is_evaluation
    }

    /// Returns the stage of the run when such an error came.
    fn loose_stage(&self, error: &NixError, origin: Origin) -> Option<Stage> {
        if error.kind == FailureKind::Usage {
            return None;
        }
        let realised = self.builds.processes.values().any(|process| process.realised_last);
        // Without anything to build or to fetch, a command has failed that does neither.
        let is_commands = matches!(
            error.kind,
            FailureKind::StoreError | FailureKind::DaemonConnection | FailureKind::RemoteMachine
        ) || realised && error.kind.stage().is_none();
        if is_commands && error.location.is_none() && !self.has_begun() {
            return Some(Stage::Command);
        }
        // An error without a position that ends a request is about what was to be built, whatever it says.
        if realised && error.location.is_none() {
            return Some(
                error.kind.stage().filter(|stage| *stage != Stage::Evaluation).unwrap_or(Stage::Build),
            );
        }
        // An unknown error in text after a build or a download has begun may be any program's.
        let is_somebodys = origin != Origin::Record && error.kind == FailureKind::Unknown;
        if is_somebodys && matches!(self.clock.phase, Phase::Fetching | Phase::Building) {
            return None;
        }
        error.kind.stage().or(Some(match self.clock.phase {
            Phase::Evaluating => Stage::Evaluation,
            Phase::Fetching => Stage::Fetch,
            Phase::Building | Phase::Done => Stage::Build,
            Phase::Activating => Stage::Activation,
        }))
    }

    /// Returns whether a build or a transfer has begun.
    fn has_begun(&self) -> bool {
        let counts = self.builds.derivations.counts();
        let idle = [DerivationState::Planned, DerivationState::Waiting, DerivationState::Skipped];
        let n_idle: usize = idle.into_iter().map(|state| counts.get(state)).sum();
        counts.wanted() > n_idle || self.transfers.has_begun()
    }

    /// Nix has begun something: errors of the same process have not ended it.
    pub(super) fn went_on(&mut self, pid: Option<Pid>) {
        if !self.errors.loose.iter().any(|error| error.last) {
            return;
        }
        let number = pid.and_then(|pid| self.builds.processes.get(&pid)).map(|process| process.number);
        for error in &mut self.errors.loose {
            if std::mem::replace(&mut error.last, false) {
                error.survived |= match (pid, number) {
                    // A process that was there before the error goes on.
                    (Some(_), Some(number)) => number < error.processes && may_be_survived(&error.failure),
                    // A new process: the error ended the one before.
                    (Some(_), None) => false,
                    // A line of text does not say whose it is.
                    (None, _) => error.failure.kind.is_survivable(),
                };
            }
        }
    }
}

/// An error of the evaluation ends its command, whatever other requests of the process still do.
fn may_be_survived(failure: &Failure) -> bool {
    failure.kind.stage() != Some(Stage::Evaluation) || failure.location.is_none()
}
