//! Effects of lines of text on the state: Nix's human-readable output, activations, other programs.

use super::State;
use super::change::{BuildEnd, Change, Effects, Phase, TextKind};
use super::derivation::DerivationState;
use super::errors::unwritten_lock;
use super::loose::RawErrors;
use super::transfer::PathState;
use crate::activation::{ActivationChange, LineContext, Recognised, is_of_make};
use nixmon_log::escapes::sanitize;
use nixmon_log::input::Line;
use nixmon_log::input::human::{self, HumanLine, List};
use nixmon_log::nix::closing::{CLOSING_STARTS, is_closing};
use nixmon_log::nix::error::{ends_in_failure, ends_with_crash, fails_step, is_crash, is_exception};
use nixmon_log::nix::store_path;

/// So much is kept of what is waited for: a store path and some words.
const MAX_WAITING: usize = 300;
/// Longest part of a line that is kept as the last one, in bytes.
const MAX_LAST: usize = 4 << 10;
/// More derivations or paths than this are not taken from a list.
const MAX_LISTED: usize = 1 << 20;

/// Indentation of a server's answer (`libutil/error.cc`).
const RESPONSE_INDENT: &str = "       ";

impl State {
    pub(super) fn line(&mut self, line: Line<'_>, effects: &mut Effects) {
        let is_entry = matches!(line.human, HumanLine::ListEntry(_) | HumanLine::ListHeader(_));
        if !is_entry {
            self.announced(effects);
        }
        if std::mem::take(&mut self.text.response_body)
            && (line.text.trim().is_empty() || line.text.starts_with(RESPONSE_INDENT))
        {
            self.text.response_body = true;
            return;
        }
        let consumed = self.activation_line(
            line.text,
            line.label,
            matches!(line.human, HumanLine::BuildLog { .. }),
            effects,
        );
        self.note_last(line.text);
        self.note_closing(line.text);
        if std::mem::take(&mut self.text.unwritten_lock) && is_lock_change(line.text) {
            self.text.unwritten_lock = true;
            return;
        }
        self.note_waiting(line.text);
        let unlabelled = self.activation.text_of(line.text);
        if !consumed && unlabelled.len() < line.text.len() && human::parse(unlabelled) == HumanLine::Error {
            let unlabelled = unlabelled.to_owned();
            return self.labelled_error(&unlabelled, effects);
        }
        match line.human {
            HumanLine::Building { derivation, machine } => {
                self.went_on(None);
                self.settle_raw_errors(RawErrors::CommandGoesOn);
                self.text.raw_log.build_began();
                self.builds.answered = false;
                let id = self.build_started(derivation, machine, true, effects);
                self.builds.writer = self.builds_alone(id).then_some(id);
            }
            HumanLine::Copying { path, from, to } => {
                self.went_on(None);
                match to {
                    Some(_) => {
                        // When it has arrived is never said.
                        let id = self.upload_started(path, effects);
                        self.transfers.set(id, PathState::Uploaded);
                        self.text.last_upload = Some(id);
                    }
                    None => self.fetched_by_text(path, from, effects),
                }
            }
            HumanLine::ListHeader(_) | HumanLine::ListEntry(_) => {
                if !self.list_line(line.text, effects) {
                    if !consumed {
                        self.other(line.text, effects);
                    }
                } else if matches!(line.human, HumanLine::ListHeader(_)) {
                    self.settle_raw_errors(RawErrors::CommandBegins);
                    let words = self.text.raw_log.command_began();
                    self.keep_others(words);
                }
            }
            HumanLine::BuildLog { name, line: log_line } => {
                if self.log_line(name, log_line, effects) {
                    if self.text.raw_log.is_open() {
                        let words = self.text.raw_log.builders_are_elsewhere();
                        self.keep_others(words);
                    }
                } else if !consumed {
                    self.other(line.text, effects);
                }
            }
            HumanLine::Chatter => self.chatter(line.text),
            _ if consumed => {}
            _ if self.survives_error(line.text, effects) => {}
            _ if self.flake_inputs.line(line.text) => effects.changes.push(Change::FlakeInputs),
            // Builders crash as well.
            _ if is_crash(line.text) && (line.text.contains("nix") || !self.may_be_a_builders()) => {
                self.crashed(line.text, effects);
            }
            HumanLine::Warning(text) if unwritten_lock(text).is_some() => {
                self.text.unwritten_lock = true;
                self.show(TextKind::Warning, &sanitize(text.trim_end_matches(':')), effects);
            }
            HumanLine::Warning(text) => {
                self.text.response_body =
                    text.contains("unable to download '") && !text.contains("; retrying in ");
                self.show(TextKind::Warning, &sanitize(text), effects);
            }
            HumanLine::Trace(text) => self.show(TextKind::Trace, &sanitize(text), effects),
            HumanLine::StorePath(path) => {
                self.builders_are_done();
                self.builds.answered = true;
                effects.changes.push(Change::Text(TextKind::Result, sanitize(path).into_owned()));
            }
            HumanLine::Error | HumanLine::Other => {
                // Cut off in the middle: it has begun, though nothing says what.
                self.builds.begun |= ["building '/", "copying path '/"]
                    .iter()
                    .any(|start| line.text.strip_prefix(start).is_some_and(|rest| !rest.contains('\'')));
                self.other(line.text, effects);
            }
        }
    }

    /// Keeps a text that says what Nix waits for: in text the builds' waits, in any form those of a whole process
    /// (`libstore/gc.cc`, `local-store.cc`, `profiles.cc`, `build-remote.cc`). Returns whether it is one.
    pub(super) fn note_waiting(&mut self, text: &str) -> bool {
        const WAITS: [&str; 7] = [
            "lock on ",
            "locks",
            "a machine to build ",
            "a free build user ID",
            "the upload lock to ",
            "the big garbage collector lock",
            "exclusive access to the Nix store",
        ];
        let what = text.strip_prefix("waiting for ");
        let known = what.filter(|what| WAITS.iter().any(|start| what.starts_with(start)));
        if let Some(what) = known {
            let what = what.trim_end().trim_end_matches('.');
            self.text.waiting = Some(sanitize(&what[..what.floor_char_boundary(MAX_WAITING)]).into_owned());
        }
        known.is_some()
    }

    /// Keeps a command's own last words.
    pub(super) fn note_closing(&mut self, text: &str) {
        if text.as_bytes().first().is_some_and(|first| CLOSING_STARTS.contains(first)) && is_closing(text) {
            self.text.closing = Some(sanitize(text.trim()).into_owned());
        }
    }

    /// A line in which Nix says what it does.
    fn chatter(&mut self, text: &str) {
        self.text.checks_flake |= is_flake_check(text);
        let mut quoted = text.split('\'').skip(1).step_by(2);
        if text.starts_with("resolved derivation: '") {
            if let (Some(from), Some(to)) = (quoted.next(), quoted.next()) {
                self.builds.derivations.resolve(from, to);
            }
        } else if text.starts_with("waiting for lock on '")
            && let Some(path) = quoted.next()
        {
            self.built_elsewhere(path);
        }
    }

    /// Another process builds the derivation with this output, and no line tells when it is there.
    fn built_elsewhere(&mut self, output: &str) {
        let Some(name) = store_path::path_name(output) else { return };
        let planned = self.builds.derivations.iter().find(|(_, derivation)| {
            derivation.state() == DerivationState::Planned && derivation.name() == name
        });
        if let Some(id) = planned.map(|(id, _)| id) {
            self.builds.derivations.get_mut(id).waiting_for = Some("lock".into());
            self.builds.derivations.get_mut(id).waiting_since = Some(self.clock.now);
            self.builds.derivations.set(id, DerivationState::Waiting);
        }
    }

    /// A line of another program.
    pub(super) fn other(&mut self, text: &str, effects: &mut Effects) {
        let clean = sanitize(text);
        let clean = clean.trim_end();
        if self.may_be_a_builders() {
            // Text after an error may come from the program that runs Nix. make only says that there was one.
            if !clean.is_empty() && !is_of_make(clean) {
                self.doubt_raw_errors();
            }
            self.unnamed(clean, effects);
            return;
        }
        if clean.is_empty() {
            return;
        }
        self.keep_others([clean]);
        let kind = if self.is_of_tool() && self.is_plain() { TextKind::Tool } else { TextKind::Other };
        effects.changes.push(Change::Text(kind, clean.to_owned()));
    }

    /// Returns whether a line without a name may be a builder's: bare `nix-build` prints those as they are.
    pub(super) fn may_be_a_builders(&self) -> bool {
        self.text.raw_log.is_open() && self.clock.phase < Phase::Activating
    }

    /// A line that may be a builder's or another program's.
    pub(super) fn unnamed(&mut self, clean: &str, effects: &mut Effects) {
        self.text.raw_log.push(clean, &mut self.dropped);
        self.writers_line(clean);
        if self.options.unnamed_lines && !clean.is_empty() {
            effects.changes.push(Change::Text(TextKind::Unnamed, clean.to_owned()));
        }
    }

    /// Keeps lines for a failure that nothing else explains.
    pub(super) fn keep_others(&mut self, lines: impl IntoIterator<Item = impl AsRef<str>>) {
        for line in lines {
            self.text.of_others.push_str(line.as_ref());
        }
        self.text.of_others.count_dropped_of_others(&mut self.dropped);
    }

    /// A result, or what is done with it, follows: no builder writes any more, and what was read since they began is
    /// theirs.
    fn builders_are_done(&mut self) {
        self.settle_raw_errors(RawErrors::CommandGoesOn);
        self.text.raw_log.are_builders();
        self.text.raw_log.close();
    }

    /// A builder's line with its name before it. Returns whether there is such a build.
    fn log_line(&mut self, name: &str, line: &str, effects: &mut Effects) -> bool {
        let Some(id) = self.builds.by_log_name.get(name).copied() else { return false };
        if self.options.log_lines {
            effects.changes.push(Change::LogLine(id, line.to_owned()));
        }
        let now = self.clock.now;
        let derivation = self.builds.derivations.get_mut(id);
        if derivation.state() == DerivationState::Building {
            let log = derivation.log.get_or_insert_default();
            let kept = log.push_str(line);
            let place = (id, derivation.started, &mut derivation.inside);
            self.insides.build_line(place, kept, now, &mut self.dropped);
            log.last_at = now;
            log.count_dropped(&mut self.dropped);
            if let Some(phase) = line.strip_prefix("Running phase: ") {
                self.set_phase(id, phase.trim(), effects);
            }
        }
        true
    }

    /// A line of an announced list, or the header of one. Returns whether it is.
    pub(super) fn list_line(&mut self, text: &str, effects: &mut Effects) -> bool {
        if !["th", "  /", "don't know"].iter().any(|start| text.starts_with(start)) {
            return false;
        }
        match human::parse(text) {
            HumanLine::ListHeader(list) => {
                if !self.text.announcing {
                    self.forget_unanswered(list);
                    self.builds.begun = false;
                    self.builds.answered = false;
                    self.builds.keeps_going = false;
                    self.builds.failures_before = self.errors.failures.len();
                }
                self.text.list = Some(list);
                self.text.announcing = true;
                self.text.missing = match list {
                    List::Build(n) => n.unwrap_or(0),
                    List::Fetch { paths, .. } => paths.unwrap_or(0),
                    List::Unknown => 0,
                };
                self.builds.announced |= matches!(list, List::Build(_));
                if let List::Fetch { paths, download, unpacked } = list {
                    let announced = &mut self.transfers.announced;
                    announced.paths = announced.paths.saturating_add(paths.unwrap_or(0));
                    announced.download = announced.download.saturating_add(download);
                    announced.unpacked = announced.unpacked.saturating_add(unpacked);
                }
                true
            }
            HumanLine::ListEntry(path) => {
                self.text.missing = self.text.missing.saturating_sub(1);
                match self.text.list {
                    Some(List::Build(_)) if path.ends_with(".drv") => self.plan(path, effects),
                    Some(List::Fetch { .. }) => {
                        let id = self.transfers.get_or_insert(path);
                        if matches!(self.transfers.get(id).state(), PathState::Unknown | PathState::Failed) {
                            self.transfers.set(id, PathState::Planned);
                        }
                    }
                    Some(List::Unknown) => self.unobtainable(path),
                    Some(List::Build(_)) => {}
                    None => return false,
                }
                true
            }
            _ => false,
        }
    }

    /// Another list of its kind begins although nothing of the last one was begun: that was the answer to a dry run.
    fn forget_unanswered(&mut self, next: List) {
        if self.builds.begun || self.builds.requested {
            return;
        }
        match next {
            List::Build(_) => self.builds.derivations.forget_planned(),
            List::Fetch { .. } => self.transfers.forget_planned(),
            List::Unknown => {}
        }
    }

    fn plan(&mut self, path: &str, effects: &mut Effects) {
        let counts = self.builds.derivations.counts();
        if counts.wanted() >= MAX_LISTED {
            self.dropped.derivations += 1;
            return;
        }
        let id = self.builds.derivations.get_or_insert(path);
        // A second command wants again what the first could not have.
        if matches!(
            self.builds.derivations.get(id).state(),
            DerivationState::Unknown
                | DerivationState::Failed
                | DerivationState::Cancelled
                | DerivationState::Skipped
        ) && self.builds.derivations.get(id).activities == 0
        {
            self.builds.derivations.set(id, DerivationState::Planned);
        }
        self.ask(id, effects);
    }

    /// Something other than a list follows: what was announced is whole.
    pub(super) fn announced(&mut self, effects: &mut Effects) {
        if !std::mem::take(&mut self.text.announcing) {
            return;
        }
        self.text.list = None;
        if self.builds.derivations.counts().get(DerivationState::Planned) > 0 {
            self.enter(Phase::Building, effects);
        } else if self.transfers.count(PathState::Planned) > 0 {
            self.enter(Phase::Fetching, effects);
        }
    }

    /// Feeds a line to the activation. Returns whether it is one of its lines.
    pub(super) fn activation_line(
        &mut self,
        text: &str,
        label: Option<&str>,
        build_log: bool,
        effects: &mut Effects,
    ) -> bool {
        let context = LineContext {
            at: self.clock.now,
            builds_running: self.text.records_seen && !self.builds.activities.is_empty(),
            build_log,
        };
        let recognised = self.activation.labelled_line(label, text, &context, &mut self.activation_changes);
        let any = self.tell_activation(effects);
        match recognised {
            Recognised::Consumed => true,
            Recognised::Relevant => {
                let clean = sanitize(text);
                let clean = clean.trim_end();
                // Nix at work inside a step: its error, if there is one, is what counts.
                let chatter = matches!(
                    human::parse(text),
                    HumanLine::Building { .. } | HumanLine::Copying { .. } | HumanLine::Chatter
                );
                if !any && !chatter && !clean.is_empty() {
                    effects.changes.push(Change::Text(TextKind::Activation, clean.to_owned()));
                }
                true
            }
            Recognised::No => false,
        }
    }

    /// Ends all builds: an activation begins, so they succeeded, though no line of text says when.
    fn all_built(&mut self, effects: &mut Effects) {
        let ids = self.builds.derivations.iter().filter(|(_, derivation)| derivation.is_endless());
        let ids = ids.filter(|(_, derivation)| derivation.state() == DerivationState::Building);
        for id in ids.map(|(id, _)| id).collect::<Vec<_>>() {
            self.build_ended(id, BuildEnd::Built, effects);
        }
        self.builds.endless = 0;
    }

    /// Passes on what the activation has accepted. Returns whether there was anything.
    pub(super) fn tell_activation(&mut self, effects: &mut Effects) -> bool {
        let any = !self.activation_changes.is_empty();
        for change in std::mem::take(&mut self.activation_changes) {
            if matches!(change, ActivationChange::Began { .. }) {
                self.builders_are_done();
                self.all_built(effects);
                self.enter(Phase::Activating, effects);
            }
            effects.changes.push(Change::Activation(change));
        }
        any
    }

    /// Keeps the last line, which may report an error, and the one in which a build server says that a step failed.
    fn note_last(&mut self, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if fails_step(text) {
            self.errors.failed_step = Some(sanitize(text).into_owned());
        }
        self.errors.last_line.clear();
        self.errors.last_line.push_str(&text[..text.floor_char_boundary(MAX_LAST)]);
    }

    /// Returns the last line if it reports an error.
    pub(super) fn last_error(&self) -> Option<&str> {
        let text = self.errors.last_line.as_str();
        let is_error = text.starts_with("error:")
            || text.contains("ERROR")
            || text.starts_with("fatal: ")
            || text.contains("command not found")
            || text.ends_with(": not found") && text.contains("sh: ")
            || text.starts_with("##[error]")
            || ends_in_failure(text)
            || ends_with_crash(text)
            // Builders, whose last words these may be, complain about much that is well.
            || !self.may_be_a_builders() && is_exception(text);
        is_error.then_some(text).or(self.errors.failed_step.as_deref())
    }
}

/// Returns whether a line tells of a change of a lock file, or of a flake input in such a change.
fn is_lock_change(line: &str) -> bool {
    ["• ", "  → ", "    "].iter().any(|start| line.starts_with(start))
}

/// Returns whether an activity copies a `path:` flake. Until 2.18 it has this text, and a Git tree has none; later versions name
/// every directory that they copy `to the store`, but say themselves that a file is not tracked.
pub(super) fn is_flake_copy(text: &str) -> bool {
    text.strip_prefix("copying '/").is_some_and(|rest| rest.find('\'') == Some(rest.len() - 1))
}

/// Returns whether Nix says that it checks a flake.
pub(super) fn is_flake_check(text: &str) -> bool {
    ["evaluating flake", "checking flake output '", "checking derivation "]
        .iter()
        .any(|start| text.starts_with(start))
}
