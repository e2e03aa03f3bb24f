//! Errors and remarks of Nix: the derivation that an error is about, failures that only follow from others, warnings.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::State;
use super::change::{Change, Effects, Phase, TextKind};
use super::derivation::DerivationState;
use super::ids::DerivationId;
use super::loose::Origin;
use nixmon_log::escapes::{sanitize, strip_escapes};
use nixmon_log::label::split_label;
use nixmon_log::nix::closing::CLOSING_STARTS;
use nixmon_log::nix::error::{
    ErrorText, FailureKind, IGNORED, NixError, Stage, TraceFrame, is_error, parse_error,
};
use nixmon_log::nix::log::{Position, Text};
use nixmon_log::nix::store_path;

/// Texts beyond this are not remembered, and so shown again.
pub(super) const MAX_SEEN: usize = 1 << 16;

/// Words of a remark about a build that failed.
static DISK_FULL: LazyLock<Finder<'_>> =
    LazyLock::new(|| Finder::new("may have been caused by lack of free disk space"));
/// Label of the page that a server sends with an error.
static RESPONSE_BODY: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(" response body:"));

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
            // Among the messages that Nix prints by default and with -v, only the lists matter; activities tell the rest.
            let listed = msg.may_begin_with(b"t d") || level == 3 && msg.may_begin_with(CLOSING_STARTS);
            let text = if listed { msg.decode() } else { Cow::Borrowed("") };
            self.note_closing(&text);
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
        if plain.trim_start().starts_with(IGNORED) && self.ignored_error(&plain) {
            return;
        }
        let end = memchr::memchr(b'\n', plain.as_bytes()).unwrap_or(plain.len());
        let first = plain.get(..end).unwrap_or(&plain);
        if let Some(unwritten) = unwritten_lock(first) {
            self.show(TextKind::Warning, &sanitize(unwritten), effects);
            return;
        }
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
        // Its advice is in the report.
        if clean.is_empty() || clean.starts_with("(use '--show-trace'") || clean.starts_with("Try 'nix") {
            return;
        }
        // A page that a server sends with an error is not worth showing.
        let body = RESPONSE_BODY.find(clean.as_bytes());
        let clean = body.and_then(|at| clean.get(..at)).map_or(clean, str::trim_end);
        let (kind, clean) = match split_label(clean) {
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
        let hash = self.text.seen.hasher().hash_one(seen);
        if self.text.seen.contains(&hash) {
            return;
        }
        if self.text.seen.len() < MAX_SEEN {
            self.text.seen.insert(hash);
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

    /// Nix says that it crashes; of several lines the first says why.
    pub(super) fn crashed(&mut self, text: &str, effects: &mut Effects) {
        let known = self.errors.loose.iter().any(|error| error.failure.kind == FailureKind::NixAborted);
        if !known {
            self.labelled_error(text, effects);
        }
    }

    /// A path that Nix knows no way to obtain.
    pub(super) fn unobtainable(&mut self, path: &str) {
        let message = format!("error: don't know how to build these paths: {path}");
        let error = parse_error(&ErrorText { msg: &message, ..ErrorText::default() });
        self.loose_error(error, false, Origin::Text);
        // Nix says so before it builds from another store, too, and of paths that are to be deleted.
        if let Some(last) = self.errors.loose.last_mut() {
            last.survived = true;
        }
    }

    /// An error in human-readable form.
    pub(super) fn error_text(&mut self, text: &str, effects: &mut Effects) {
        self.announced(effects);
        let first = text.lines().next().unwrap_or_default();
        if self.activation_line(first, None, false, effects) {
            // The rest of it explains the activation's failure.
            for line in text.lines().skip(1) {
                self.activation_line(line, None, false, effects);
            }
            return;
        }
        if first.trim_start().starts_with(IGNORED) {
            if !self.ignored_error(text) {
                for line in text.lines() {
                    self.other(line, effects);
                }
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

    fn error(&mut self, mut error: NixError, top_level: bool, origin: Origin, effects: &mut Effects) {
        self.errors.last_line.clear();
        if self.clock.phase == Phase::Activating && self.activation.nix_error(&error.message) {
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
        if let Some(path) = error.output_path.as_deref().filter(|_| error.kind.refuses_path()) {
            self.refuse_path(path);
        }
        let owner = self.owner(&error);
        match owner {
            Some(id) => self.build_failed(id, error, effects),
            None if self.may_be_the_next(&error) => self.errors.ownerless = Some(error),
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
            let id = self.builds.derivations.get_or_insert(path);
            self.ask(id, effects);
            if self.builds.derivations.get(id).failure.is_none() {
                self.errors.cascades.insert(id);
                match self.builds.derivations.get(id).state() {
                    DerivationState::Built | DerivationState::Failed | DerivationState::Cancelled => {}
                    // Lix begins a goal before its inputs are built.
                    DerivationState::Building => self.name_open_failure(id),
                    _ => self.builds.derivations.set(id, DerivationState::Skipped),
                }
            }
            if let [failure] = self.errors.failures.as_mut_slice() {
                failure.named_blocked = self.errors.cascades.len();
            }
        }
        // With --quiet, 2.3 says no more than this.
        let known =
            self.errors.failures.iter().any(|failure| !failure.retracted) || self.errors.ownerless.is_some();
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
                .map(|path| self.builds.derivations.get_or_insert(path))
                .or(self.builds.failed_hook.take())
                .or(self.builds.last_hook);
        }
        if let Some(path) = &error.derivation {
            return Some(self.builds.derivations.get_or_insert(path));
        }
        if let Some(path) = &error.output_path
            && let Some(id) = self.builds.derivations.find_by_output(path)
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
            && error.kind.may_lack_name()
        {
            return self.latest_unnamed();
        }
        None
    }

    /// A build that was started and whose output could have this name: the derivation's own, and that of an output.
    fn started_with_name(&mut self, name: &str) -> Option<DerivationId> {
        let fits = |id: DerivationId| {
            let rest = name.strip_prefix(self.builds.derivations.get(id).name());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let ended = self
            .builds
            .processes
            .values()
            .flat_map(|process| &process.unnamed)
            .copied()
            .filter(|id| fits(*id))
            .max();
        ended.or_else(|| self.builds.derivations.started_with_name(name))
    }

    /// The build that was last counted as failed without being named.
    fn latest_unnamed(&self) -> Option<DerivationId> {
        let ids = self.builds.processes.values().filter_map(|process| process.unnamed.back()).copied();
        ids.max_by_key(|id| (self.builds.derivations.get(*id).ended, *id))
    }

    /// Returns whether an error is about a build that has not ended yet.
    fn may_be_the_next(&self, error: &NixError) -> bool {
        error.kind.may_lack_name()
            && error.name.is_none()
            && error.output_path.is_none()
            && self.builds.derivations.counts().get(DerivationState::Building) > 0
    }

    /// A build was counted as failed: an error without a name may be its own.
    pub(super) fn own(&mut self, effects: &mut Effects) {
        if let Some(error) = self.errors.ownerless.take() {
            match self.latest_unnamed() {
                Some(id) => self.build_failed(id, error, effects),
                None => self.errors.ownerless = Some(error),
            }
        }
    }

    pub(super) fn interrupt(&mut self) {
        self.end.interrupted.get_or_insert(self.clock.phase);
    }

    fn disk_was_full(&mut self) {
        let failed =
            self.errors.failures.iter_mut().rev().find(|failure| failure.kind == FailureKind::BuilderFailed);
        if let Some(failure) = failed {
            failure.kind = FailureKind::DiskFull;
            failure.advice = FailureKind::DiskFull.advice();
        }
    }
}

/// Returns what Nix says of a lock file that it does not write, without the changes. They were not made.
pub(super) fn unwritten_lock(line: &str) -> Option<&str> {
    let text = line.trim();
    let text = text.strip_prefix("warning: ").unwrap_or(text);
    let rest = text.strip_prefix("will not write ").or_else(|| text.strip_prefix("not writing "))?;
    (rest.starts_with("lock file") || rest.starts_with("modified lock file"))
        .then(|| text.trim_end_matches(':'))
}

/// Returns whether an error does not say what it is about.
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
