//! What errors do to the state: root causes, what follows from them, and errors that Nix survives.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::change::{BuildEnd, Change, Effects, Phase, TextKind};
use super::derivation::{DerivationId, DerivationState};
use super::failure::{Failure, FailureId, other_command};
use super::log_tail::excerpt_of;
use super::process::Pid;
use super::{LogTail, State};
use crate::nix::error::{
    ErrorText, FailureKind, NixError, Stage, TraceFrame, is_error, kind_of_log_line, parse_error,
};
use crate::nix::log::{Position, Text};
use crate::nix::store_path;
use crate::text::{sanitize, strip_escapes};

/// How many lines of a log explain a failure.
pub(super) const EXCERPT_LINES: usize = 8;
/// How many lines of a log's end are kept with a failure.
const TAIL_LINES: usize = 10;
/// More root causes than this are counted and not kept; nobody reads so many.
pub(super) const MAX_FAILURES: usize = 10_000;
/// Texts beyond this are not remembered, and so shown again.
pub(super) const MAX_SEEN: usize = 1 << 16;
/// More errors than this without a derivation are not kept.
pub(super) const MAX_LOOSE: usize = 100;

/// What a remark of Nix's says of a build that failed.
static DISK_FULL: LazyLock<Finder<'_>> =
    LazyLock::new(|| Finder::new("may have been caused by lack of free disk space"));
/// Where the page begins that a server sends with an error.
static RESPONSE_BODY: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(" response body:"));

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
}

/// How an error came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// In a record: it is Nix's.
    Record,
    /// In text.
    Text,
    /// In text that may be a builder's.
    Raw,
}

/// What tells whose the errors are that a builder may have printed.
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
    /// Whether it ended its command, as far as the stream tells.
    pub(super) fn is_fatal(&self) -> bool {
        !self.survived && (self.top_level || !self.failure.kind.is_survivable())
    }

    /// Whether other words came later that may say more. Without an exit status it is all there is that tells of a
    /// failure.
    pub(super) fn is_doubted(&self, exit_status: Option<i32>) -> bool {
        self.doubted && exit_status.is_some()
    }
}

impl State {
    pub(super) fn message(
        &mut self,
        level: u64,
        msg: Text<'_>,
        raw_msg: Option<Text<'_>>,
        position: Position<'_>,
        trace: Option<&str>,
        effects: &mut Effects,
    ) {
        if level >= 3 {
            // Of what Nix says by default and with -v, only the lists matter; the rest is told by activities.
            let listed = msg.may_begin_with(b"t d");
            let text = if listed { msg.decode() } else { Cow::Borrowed("") };
            if text.starts_with("th") || text.starts_with("  /") || text.starts_with("don't know") {
                self.list_line(&text, effects);
            } else {
                self.announced(effects);
            }
            return;
        }
        let text = msg.decode();
        if raw_msg.is_some() || is_error(&text) {
            self.announced(effects);
            let raw = raw_msg.map(|raw| raw.decode());
            let file = position.file.map(|file| file.decode());
            let value = trace.and_then(|trace| serde_json::from_str::<serde_json::Value>(trace).ok());
            let frames: Vec<_> =
                value.iter().filter_map(|v| v.as_array()).flatten().filter_map(trace_frame).collect();
            let error = ErrorText {
                msg: &text,
                raw_msg: raw.as_deref(),
                file: file.as_deref(),
                line: position.line,
                column: position.column,
                trace: &frames,
            };
            // Structured warnings have a position and a raw message too.
            if is_error(&text) || level == 0 && !is_remark(&text) {
                self.error(parse_error(&error), raw_msg.is_some(), Origin::Record, effects);
                return;
            }
        }
        if self.list_line(&text, effects) {
            return;
        }
        self.announced(effects);
        self.remark(&text, effects);
    }

    /// A text of level 0 to 2 that is no error.
    fn remark(&mut self, text: &str, effects: &mut Effects) {
        let plain = strip_escapes(text);
        if self.flake_inputs.message(&plain) {
            effects.changes.push(Change::FlakeInputs);
            return;
        }
        let clean = sanitize(&plain);
        let clean = clean.trim();
        self.note_waiting(clean);
        if self.survives_error(clean, effects) {
            return;
        }
        if DISK_FULL.find(clean.as_bytes()).is_some() {
            self.disk_was_full();
            return;
        }
        // What it advises is in the report.
        if clean.is_empty() || clean.starts_with("(use '--show-trace'") || clean.starts_with("Try 'nix") {
            return;
        }
        // The page that a server sends with an error is nobody's reading.
        let body = RESPONSE_BODY.find(clean.as_bytes());
        let clean = body.and_then(|at| clean.get(..at)).map_or(clean, str::trim_end);
        let (kind, clean) = match clean.split_once(": ") {
            Some(("warning" | "evaluation warning", rest)) => {
                (TextKind::Warning, rest.strip_prefix("error: ").unwrap_or(rest))
            }
            Some(("trace", rest)) => {
                match rest.strip_prefix("warning: ").or(rest.strip_prefix("evaluation warning: ")) {
                    Some(rest) => (TextKind::Warning, rest),
                    None => (TextKind::Trace, rest),
                }
            }
            _ => (TextKind::Notice, clean),
        };
        self.show(kind, clean, effects);
    }

    /// Shows a text that was not shown before.
    pub(super) fn show(&mut self, kind: TextKind, text: &str, effects: &mut Effects) {
        use std::hash::BuildHasher;
        // One cache that cannot be reached makes a warning for each path and each try.
        // In text the warning holds the whole message of the error that Nix survives.
        let text =
            if kind == TextKind::Warning { text.strip_prefix("error: ").unwrap_or(text) } else { text };
        let seen = if text.starts_with("unable to download '") { host(text).unwrap_or(text) } else { text };
        let hash = self.seen_texts.hasher().hash_one(seen);
        if self.seen_texts.contains(&hash) {
            return;
        }
        if self.seen_texts.len() < MAX_SEEN {
            self.seen_texts.insert(hash);
        } else {
            self.dropped.texts += 1;
        }
        effects.changes.push(Change::Text(kind, text.to_owned()));
    }

    /// An error behind a label such as colmena's.
    pub(super) fn labelled_error(&mut self, text: &str, effects: &mut Effects) {
        self.error(
            parse_error(&ErrorText { msg: text, ..ErrorText::default() }),
            true,
            Origin::Text,
            effects,
        );
    }

    /// A path that Nix knows no way to obtain.
    pub(super) fn unobtainable(&mut self, path: &str) {
        let message = format!("error: don't know how to build these paths: {path}");
        let error = parse_error(&ErrorText { msg: &message, ..ErrorText::default() });
        self.loose_error(error, false, Origin::Text);
    }

    /// An error in human-readable form.
    pub(super) fn error_text(&mut self, text: &str, effects: &mut Effects) {
        self.announced(effects);
        let first = text.lines().next().unwrap_or_default();
        if self.activation_line(first, false, effects) {
            // The rest of it explains the activation's failure.
            for line in text.lines().skip(1) {
                self.activation_line(line, false, effects);
            }
            return;
        }
        let top_level = first.trim_start().starts_with("error:");
        let error = parse_error(&ErrorText { msg: text, ..ErrorText::default() });
        // Builders have errors too. Nix's own about a build says which.
        let raw = self.may_be_a_builders() && is_about_nothing(&error);
        if raw {
            for line in text.lines() {
                self.unnamed(sanitize(line).trim_end(), effects);
            }
        }
        self.error(error, top_level, if raw { Origin::Raw } else { Origin::Text }, effects);
    }

    /// Forgets the errors of builders among those that may have ended a command.
    pub(super) fn settle_raw_errors(&mut self, by: RawErrors) {
        self.loose_errors.retain_mut(|error| match by {
            _ if !error.raw => true,
            RawErrors::BuildFailed => false,
            // What Nix has words for is most likely its own.
            RawErrors::CommandGoesOn if error.failure.kind == FailureKind::Unknown => false,
            RawErrors::CommandGoesOn | RawErrors::CommandBegins => {
                error.raw = false;
                true
            }
        });
    }

    /// A line follows that may be of whoever runs Nix.
    pub(super) fn doubt_raw_errors(&mut self) {
        for error in self.loose_errors.iter_mut().filter(|error| error.raw) {
            error.doubted |= error.failure.kind == FailureKind::Unknown;
        }
    }

    /// Whether Nix says that the error before did not end it. It is told then, and nothing comes of it.
    pub(super) fn survives_error(&mut self, text: &str, effects: &mut Effects) -> bool {
        /// nix-shell asks for a bash of nixpkgs and does without (`src/nix-build/nix-build.cc`).
        const SURVIVES: &str = "will use bash from your environment";
        if text.trim() != SURVIVES {
            return false;
        }
        if let Some(error) = self.loose_errors.pop_if(|error| error.last) {
            self.show(TextKind::Notice, &format!("error: {}", error.failure.message), effects);
        }
        self.show(TextKind::Notice, SURVIVES, effects);
        true
    }

    fn error(&mut self, mut error: NixError, top_level: bool, origin: Origin, effects: &mut Effects) {
        self.last_text_is_error = None;
        if self.phase == Phase::Activating && self.activation.nix_error(&error.message) {
            effects.changes.push(Change::Text(TextKind::Activation, format!("error: {}", error.message)));
            return;
        }
        if error.kind == FailureKind::Interrupted {
            self.interrupt();
            return;
        }
        if error.is_cascade() {
            self.cascade(error, top_level, origin, effects);
            return;
        }
        let owner = self.owner(&error);
        match owner {
            Some(id) => self.build_failed(id, error, effects),
            None if self.may_be_the_next(&error) => self.ownerless = Some(error),
            None => {
                if error.name.is_none() {
                    error.name =
                        error.output_path.as_deref().and_then(store_path::path_name).map(str::to_owned);
                }
                self.loose_error(error, top_level, origin);
            }
        }
    }

    /// A failure that follows from others.
    fn cascade(&mut self, error: NixError, top_level: bool, origin: Origin, effects: &mut Effects) {
        if error.kind == FailureKind::DependencyFailed
            && let Some(path) = &error.derivation
        {
            let id = self.derivations.get_or_insert(path);
            self.ask(id, effects);
            if self.derivations.get(id).failure.is_none() {
                self.cascades.insert(id);
                let state = self.derivations.get(id).state();
                if !matches!(
                    state,
                    DerivationState::Built | DerivationState::Failed | DerivationState::Cancelled
                ) {
                    self.derivations.set(id, DerivationState::Skipped);
                }
            }
            if let [failure] = self.failures.as_mut_slice() {
                failure.named_blocked = self.cascades.len();
            }
        }
        // With --quiet, 2.3 says no more than this.
        let known = self.failures.iter().any(|failure| !failure.retracted) || self.ownerless.is_some();
        if !known {
            self.loose_error(error, top_level, origin);
        }
    }

    /// The derivation that an error is about.
    fn owner(&mut self, error: &NixError) -> Option<DerivationId> {
        if error.kind == FailureKind::PostBuildHook {
            return error
                .derivation
                .as_deref()
                .map(|path| self.derivations.get_or_insert(path))
                .or(self.last_hook);
        }
        if let Some(path) = &error.derivation {
            return Some(self.derivations.get_or_insert(path));
        }
        if let Some(path) = &error.output_path
            && let Some(id) = self.derivations.find_by_output(path)
        {
            return Some(id);
        }
        if let Some(name) = &error.name
            && let Some(id) = self.started_with_name(name)
        {
            return Some(id);
        }
        if error.kind.stage() == Some(Stage::Build)
            && error.output_path.is_none()
            && is_of_a_build(error.kind)
        {
            return self.latest_unnamed();
        }
        None
    }

    /// A build that was started and whose output could have this name: the derivation's own, and that of an output.
    fn started_with_name(&mut self, name: &str) -> Option<DerivationId> {
        let fits = |id: DerivationId| {
            let rest = name.strip_prefix(self.derivations.get(id).name());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let ended = self
            .processes
            .values()
            .flat_map(|process| &process.unnamed)
            .copied()
            .filter(|id| fits(*id))
            .max();
        ended.or_else(|| self.derivations.started_with_name(name))
    }

    /// The build that was last counted as failed without being named.
    fn latest_unnamed(&self) -> Option<DerivationId> {
        let ids = self.processes.values().filter_map(|process| process.unnamed.back()).copied();
        ids.max_by_key(|id| (self.derivations.get(*id).ended, *id))
    }

    /// Whether an error is about a build that has not ended yet.
    fn may_be_the_next(&self, error: &NixError) -> bool {
        is_of_a_build(error.kind)
            && error.name.is_none()
            && error.output_path.is_none()
            && self.derivations.counts().get(DerivationState::Building) > 0
    }

    /// A build was counted as failed: an error without a name may be its own.
    pub(super) fn own(&mut self, effects: &mut Effects) {
        if let Some(error) = self.ownerless.take() {
            match self.latest_unnamed() {
                Some(id) => self.build_failed(id, error, effects),
                None => self.ownerless = Some(error),
            }
        }
    }

    /// A derivation failed by itself.
    pub(super) fn build_failed(&mut self, id: DerivationId, error: NixError, effects: &mut Effects) {
        self.forget_unnamed(id, effects);
        self.cascades.remove(&id);
        if let Some(known) = self.derivations.get(id).failure {
            self.complete(known, error);
            return;
        }
        if self.failures.len() >= MAX_FAILURES {
            self.dropped.failures += 1;
            return;
        }
        self.ask(id, effects);
        let stage = error.kind.stage().or(Some(Stage::Build));
        let failure = FailureId(self.failures.len());
        let mut record = Failure::from_error(error, stage, self.now);
        let hook = record.kind == FailureKind::PostBuildHook;
        if record.kind == FailureKind::SubstitutionFailed
            && let Some(cause) =
                self.loose_errors.iter().rev().find(|cause| cause.failure.kind.stage() == Some(Stage::Fetch))
        {
            // Nix says before why it could not fetch, and then only that it could not.
            record.details.push(cause.failure.message.clone());
        }
        let derivation = self.derivations.get_mut(id);
        record.derivation = Some(id);
        record.name = Some(derivation.name().to_owned());
        record.phase = derivation.phase.as_deref().map(str::to_owned);
        record.machine = record.machine.take().or(derivation.machine.as_deref().map(readable_machine));
        record.after =
            derivation.started.map(|from| derivation.ended.unwrap_or(self.now).saturating_sub(from));
        let (log, path) = (derivation.log.take(), derivation.path.clone());
        // The log of a build that was taken for a good one is gone.
        let printed = derivation.has_printed;
        let started = derivation.started.is_some();
        // A build that a record began has its log in records; the lines without a name are another command's.
        let has_records = started && !derivation.human;
        let in_text = started && derivation.human && log.is_none() && !hook;
        let is_quoted = !record.log_tail.is_empty();
        derivation.failure = (!hook).then_some(failure);
        if hook {
            record.phase = None;
            take_log(&mut record, std::mem::take(&mut self.hook_log), self.tail_lines);
        } else if let Some(log) = log {
            take_log(&mut record, *log, self.tail_lines);
        } else if in_text && !is_quoted && self.builds_alone(id) {
            take_log(&mut record, self.raw_log.take(), self.tail_lines);
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
        // What a hook prints is in no log.
        if started && !hook {
            record.log_hints.push(format!("nix log {path}"));
        }
        self.failures.push(record);
        if hook {
            self.build_ended(id, BuildEnd::Built, effects);
        } else if stage == Some(Stage::Build) {
            self.build_ended(id, BuildEnd::Failed, effects);
        } else if !started {
            self.derivations.set(id, DerivationState::Skipped);
        }
        effects.changes.push(Change::Failed(failure));
    }

    /// Whether no other build was running that may have written to the stream: of several, nothing says which line is
    /// whose.
    fn builds_alone(&self, id: DerivationId) -> bool {
        /// More are not looked at.
        const MOST: usize = 64;
        let mut others = self
            .derivations
            .building()
            .filter(|(other, derivation)| *other != id && derivation.is_endless())
            .map(|(other, _)| other);
        // What another was built upon had ended before.
        let has_ended = |other: DerivationId| {
            self.derivations.dependents(other).any(|id| self.derivations.get(id).started.is_some())
        };
        others.by_ref().take(MOST).all(has_ended) && others.next().is_none()
    }

    /// A build that a line of text began has failed. `quoted` is what the error tells of its log, which Nix does
    /// where it did not print it, and where a daemon speaks.
    fn settle_raw_log(&mut self, id: DerivationId, quoted: &[String]) {
        if !quoted.is_empty() && !self.raw_log.has_any(quoted) {
            let words = self.raw_log.builders_are_elsewhere();
            self.keep_others(words);
        } else {
            self.settle_raw_errors(RawErrors::BuildFailed);
            self.raw_log.are_builders();
            if self.builds_alone(id) {
                self.raw_log.close();
            }
        }
    }

    /// A second message about a failure adds what the first did not say: the machine's exit status comes first, the log
    /// with the last.
    fn complete(&mut self, known: FailureId, error: NixError) {
        let Some(failure) = self.failures.get_mut(known.0) else { return };
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
            explain(failure);
        }
    }

    /// A named failure settles which of the builds that ended was meant.
    fn forget_unnamed(&mut self, id: DerivationId, effects: &mut Effects) {
        let ended = self.derivations.get(id).state();
        let mut mistaken = None;
        for process in self.processes.values_mut() {
            if let Some(at) = process.unnamed.iter().position(|other| *other == id) {
                process.unnamed.remove(at);
                return;
            }
        }
        match ended {
            // The message comes before the end of the activity.
            DerivationState::Building => {
                let mut processes: Vec<_> = self.processes.values_mut().collect();
                processes.sort_unstable_by_key(|process| process.number);
                let _ = processes.into_iter().rev().any(|process| process.builds.forget_failure());
            }
            // Another build ended first and was taken for it.
            DerivationState::Cancelled => {
                let mut processes: Vec<_> = self.processes.values_mut().collect();
                processes.sort_unstable_by_key(|process| process.number);
                mistaken = processes.into_iter().rev().find_map(|process| process.unnamed.pop_back());
            }
            _ => {}
        }
        if let Some(other) = mistaken {
            self.build_ended(other, BuildEnd::Cancelled, effects);
        }
    }

    /// An error that names no derivation.
    fn loose_error(&mut self, error: NixError, top_level: bool, origin: Origin) {
        let stage = self.loose_stage(&error, origin);
        let raw = origin == Origin::Raw;
        let known = self.loose_errors.iter_mut().find(|known| known.failure.message == error.message);
        if let Some(known) = known {
            known.processes = self.processes.len();
            known.survived = false;
            known.last = true;
            known.top_level |= top_level;
            known.raw = raw;
            known.doubted = false;
            return;
        }
        if self.loose_errors.len() >= MAX_LOOSE {
            self.loose_errors.remove(0);
            self.dropped.errors += 1;
        }
        let mut failure = Failure::from_error(error, stage, self.now);
        explain(&mut failure);
        let processes = self.processes.len();
        let error =
            LooseError { failure, top_level, processes, survived: false, last: true, raw, doubted: false };
        self.loose_errors.push(error);
    }

    /// Where the run was when such an error came.
    fn loose_stage(&self, error: &NixError, origin: Origin) -> Option<Stage> {
        if error.kind == FailureKind::Usage {
            return None;
        }
        // An error without a position that ends a request is about what was to be built, whatever it says.
        let realised = self.processes.values().any(|process| process.realised_last);
        if realised && error.location.is_none() {
            return Some(
                error.kind.stage().filter(|stage| *stage != Stage::Evaluation).unwrap_or(Stage::Build),
            );
        }
        // What nobody knows in text after a build or a download has begun may be any program's.
        let is_somebodys = origin != Origin::Record && error.kind == FailureKind::Unknown;
        if is_somebodys && matches!(self.phase, Phase::Fetching | Phase::Building) {
            return None;
        }
        error.kind.stage().or(Some(match self.phase {
            Phase::Evaluating => Stage::Evaluation,
            Phase::Fetching => Stage::Fetch,
            Phase::Building | Phase::Done => Stage::Build,
            Phase::Activating => Stage::Activation,
        }))
    }

    /// Nix has begun something: errors of the same process have not ended it.
    pub(super) fn went_on(&mut self, pid: Option<Pid>) {
        if !self.loose_errors.iter().any(|error| error.last) {
            return;
        }
        let number = pid.and_then(|pid| self.processes.get(&pid)).map(|process| process.number);
        for error in &mut self.loose_errors {
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

    pub(super) fn interrupt(&mut self) {
        self.interrupted.get_or_insert(self.phase);
    }

    fn disk_was_full(&mut self) {
        let failed =
            self.failures.iter_mut().rev().find(|failure| failure.kind == FailureKind::BuilderFailed);
        if let Some(failure) = failed {
            failure.kind = FailureKind::DiskFull;
            failure.advice = FailureKind::DiskFull.advice();
        }
    }
}

/// An error of the evaluation ends its command, whatever other requests of the process still do.
fn may_be_survived(failure: &Failure) -> bool {
    failure.kind.stage() != Some(Stage::Evaluation) || failure.location.is_none()
}

/// Kinds whose messages may lack the derivation, which is then the one that ended.
fn is_of_a_build(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::Timeout
            | FailureKind::SilentTimeout
            | FailureKind::LogTooLong
            | FailureKind::BuilderFailed
            | FailureKind::KilledBySignal
            | FailureKind::BuildFailed
            | FailureKind::BadBuilder
            | FailureKind::OutputRejected
            | FailureKind::OutputCycle
            | FailureKind::ForbiddenReference
            | FailureKind::NoOutput
    )
}

/// Whether an error does not say what it is about.
fn is_about_nothing(error: &NixError) -> bool {
    error.derivation.is_none()
        && error.output_path.is_none()
        && error.name.is_none()
        && error.attribute.is_none()
        && error.failed_derivations.is_empty()
        && !error.is_cascade()
        && error.kind != FailureKind::Interrupted
}

/// Level 0 holds more than errors.
fn is_remark(text: &str) -> bool {
    let text = sanitize(text);
    let text = text.trim_start();
    ["trace:", "warning:", "evaluation warning:", "note:", "(use '--show-trace'", "error (ignored)"]
        .iter()
        .any(|start| text.starts_with(start))
}

fn trace_frame(value: &serde_json::Value) -> Option<TraceFrame<'_>> {
    Some(TraceFrame {
        raw_msg: value.get("raw_msg")?.as_str()?,
        file: value.get("file").and_then(serde_json::Value::as_str),
        line: value.get("line").and_then(serde_json::Value::as_u64),
        column: value.get("column").and_then(serde_json::Value::as_u64),
    })
}

/// The scheme and host of the first URL in a text.
fn host(text: &str) -> Option<&str> {
    let at = text.find("://")?;
    let from = text[..at].rfind(|c: char| !c.is_ascii_alphanumeric()).map_or(0, |at| at + 1);
    let host = &text[at + 3..];
    let end = host.find(['/', '\'']).unwrap_or(host.len());
    text.get(from..at + 3 + end)
}

/// `ssh://root@host?remote-program=…` without what only Nix needs to know.
fn readable_machine(machine: &str) -> String {
    machine.split('?').next().unwrap_or(machine).to_owned()
}

/// Takes from a log what a report needs.
fn take_log(failure: &mut Failure, log: LogTail, lines: usize) {
    if log.is_empty() || is_told_by_message(failure.kind) {
        explain(failure);
        return;
    }
    failure.log_tail = log.tail(lines.max(TAIL_LINES));
    failure.excerpt = log.excerpt(EXCERPT_LINES);
}

/// Kinds of failure that happen after the builder is done, or before it: its log does not say why.
fn is_told_by_message(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::HashMismatch
            | FailureKind::NotDeterministic
            | FailureKind::ForbiddenReference
            | FailureKind::OutputCycle
            | FailureKind::OutputRejected
            | FailureKind::PlatformMismatch
            | FailureKind::MissingFeature
    )
}

/// The same from the lines that Nix quotes in its error.
fn explain(failure: &mut Failure) {
    let lines: &[String] = if is_told_by_message(failure.kind) { &[] } else { &failure.log_tail };
    failure.excerpt = excerpt_of(lines, 0, EXCERPT_LINES);
    let from = failure.log_tail.len().saturating_sub(TAIL_LINES);
    failure.log_tail.drain(..from);
}
