//! What the records of the internal-json format do to the state.

use super::activity::{Activity, Kind};
use super::change::{BuildEnd, Change, Effects, Phase};
use super::derivation::DerivationState;
use super::ids::{DerivationId, PathId};
use super::process::{Counter, Credit, Pid, push_bounded};
use super::transfer::PathState;
use super::{LogTail, State};
use crate::nix::log::{ActivityType, Fields, LogMessage, ResultType, Text};
use crate::nix::store_path;
use crate::text::sanitize;

/// A phase's name longer than this is cut; stdenv's have twenty characters.
const MAX_PHASE: usize = 64;
/// Buffers that are kept for the next builds: about as many as run at once.
const MAX_SPARE_BUFFERS: usize = 16;
/// What is kept with every derivation, such as an address of a machine, is cut after so many bytes.
const MAX_SHORT: usize = 1 << 10;

impl State {
    pub(super) fn record(&mut self, message: &LogMessage<'_>, effects: &mut Effects) {
        match *message {
            LogMessage::Result { id, kind, ref fields, payload } => {
                self.result(id, kind, fields, payload, effects)
            }
            LogMessage::Start { id, level, parent, kind, text, ref fields } => {
                self.announced(effects);
                self.went_on(Some(Pid::of(id)));
                self.errors.last_text = None;
                let kind = self.start(id, level, parent, kind, text, fields, effects);
                if !self.builds.activities.has_room(id) {
                    self.dropped.activities += 1;
                } else if let Some(lost) = self.builds.activities.insert(id, Activity { kind, parent }) {
                    // Its end was lost with a torn line.
                    self.stop(id, lost, effects);
                }
            }
            LogMessage::Stop { id } => {
                if let Some(activity) = self.builds.activities.remove(id) {
                    self.stop(id, activity, effects);
                }
            }
            LogMessage::Msg { level, msg, raw_msg, position, trace } => {
                self.message(level, msg, raw_msg, position, trace, effects);
            }
            LogMessage::SetPhase { .. } | LogMessage::Other { .. } => {}
        }
    }

    #[expect(clippy::too_many_arguments, reason = "they are a record's keys")]
    fn start(
        &mut self,
        id: u64,
        level: u64,
        parent: u64,
        kind: ActivityType,
        text: Text<'_>,
        fields: &Fields<'_>,
        effects: &mut Effects,
    ) -> Kind {
        let pid = Pid::of(id);
        self.dropped.processes += u64::from(self.is_further(pid));
        self.process(pid).realised_last = false;
        match kind {
            ActivityType::Build => {
                let Some(path) = fields.str(0) else { return Kind::Other };
                // Lix lets a builder start activities of any type below its own build. A remote machine's report of a
                // build is below a request instead.
                if self.builds.activities.has_ancestor(parent, |kind| matches!(kind, Kind::Build(_))) {
                    return Kind::Other;
                }
                let machine = fields.str(1).filter(|machine| !machine.is_empty());
                let machine = machine.map(short);
                Kind::Build(self.build_started(&path.decode(), machine.as_deref(), false, effects))
            }
            ActivityType::Substitute => {
                let Some(path) = fields.str(0) else { return Kind::Other };
                // What a build machine fetches for itself does not arrive here.
                if self.in_request(parent) {
                    return Kind::MachineCopy;
                }
                let from = fields.str(1).map(short);
                Kind::Substitute(self.fetch_started(&path.decode(), from.as_deref(), effects))
            }
            ActivityType::CopyPath => self.copy_started(pid, parent, fields, effects),
            ActivityType::FileTransfer => self.download_started(pid, parent, fields),
            ActivityType::Realise => {
                self.process(pid).realising += 1;
                Kind::Realise
            }
            ActivityType::Builds => Kind::Builds(Counter::default()),
            ActivityType::CopyPaths if self.in_request(parent) || self.is_for_machine(pid, text) => {
                Kind::MachineCopy
            }
            ActivityType::CopyPaths => Kind::CopyPaths(Counter::default()),
            ActivityType::PostBuildHook => match fields.str(0) {
                Some(path) => {
                    let id = self.builds.derivations.get_or_insert(&path.decode());
                    self.builds.last_hook = Some(id);
                    self.builds.hook_log = LogTail::default();
                    Kind::Hook
                }
                None => Kind::Other,
            },
            ActivityType::BuildWaiting => self.waiting(text, fields),
            ActivityType::Unknown if text.may_begin_with(b"w") && self.note_waiting(&text.decode()) => {
                Kind::Other
            }
            ActivityType::Unknown | ActivityType::FetchTree
                if level <= 4 && self.clock.phase == Phase::Evaluating =>
            {
                let text = short(text);
                if text.starts_with("querying") || text.is_empty() {
                    return Kind::Other;
                }
                self.text.evaluating = Some(text);
                Kind::Evaluation
            }
            _ => Kind::Other,
        }
    }

    /// Whether an activity is part of what a request does on another machine: a worker's own activities have no parent.
    fn in_request(&self, parent: u64) -> bool {
        parent != 0 && self.builds.activities.has_ancestor(parent, |kind| matches!(kind, Kind::Realise))
    }

    /// Before 2.18 there are no parents; but only copies have a text, and `nix copy` begins after its request has ended.
    fn is_for_machine(&mut self, pid: Pid, text: Text<'_>) -> bool {
        !text.is_empty() && self.process(pid).realising > 0
    }

    /// A build has begun, here or elsewhere, by a record or by a line of text.
    pub(super) fn build_started(
        &mut self,
        path: &str,
        machine: Option<&str>,
        human: bool,
        effects: &mut Effects,
    ) -> DerivationId {
        let id = self.builds.derivations.get_or_insert(path);
        let now = self.clock.now;
        let derivation = self.builds.derivations.get_mut(id);
        if derivation.human && !human && derivation.state() == DerivationState::Building {
            // Its record comes after its text, and will tell its end.
            self.builds.endless = self.builds.endless.saturating_sub(1);
        }
        derivation.human = human;
        if machine.is_some() {
            derivation.machine = machine.map(Into::into);
        }
        if !human {
            derivation.activities += 1;
        }
        if derivation.state() != DerivationState::Building {
            self.builds.endless += usize::from(human);
            derivation.ended = None;
            derivation.phase = None;
            derivation.phase_started = None;
            derivation.waiting_for = None;
            derivation.has_printed = false;
            derivation.log = None;
            self.builds.derivations.start(id, now);
            // Nix puts the name without the version before log lines.
            let name = store_path::without_version(self.builds.derivations.get(id).name());
            if !name.is_empty() {
                match self.builds.by_log_name.get_mut(name) {
                    Some(last) => *last = id,
                    None => drop(self.builds.by_log_name.insert(name.into(), id)),
                }
            }
            if !human {
                let name = self.builds.derivations.get(id).name();
                self.activation.built(name, &mut self.activation_changes);
            }
            self.builds.derivations.set(id, DerivationState::Building);
            self.enter(Phase::Building, effects);
            effects.changes.push(Change::BuildStarted(id));
            self.tell_activation(effects);
        }
        self.ask(id, effects);
        id
    }

    fn fetch_started(&mut self, path: &str, from: Option<&str>, effects: &mut Effects) -> PathId {
        let id = self.transfers.get_or_insert(path);
        self.transfers.restart(id, from, self.clock.now);
        self.transfers.set(id, PathState::Fetching);
        let counts = self.builds.derivations.counts();
        self.enter(if counts.wanted() > 0 { Phase::Building } else { Phase::Fetching }, effects);
        effects.changes.push(Change::FetchStarted(id));
        id
    }

    /// A line of text says that a path arrives; when it has is never said.
    pub(super) fn fetched_by_text(&mut self, path: &str, from: Option<&str>, effects: &mut Effects) {
        let id = self.fetch_started(path, from, effects);
        self.transfers.set(id, PathState::Ended);
    }

    fn copy_started(&mut self, pid: Pid, parent: u64, fields: &Fields<'_>, effects: &mut Effects) -> Kind {
        let Some(path) = fields.str(0) else { return Kind::Other };
        let path = path.decode();
        if let Some(Activity { kind: Kind::Substitute(id), .. }) = self.builds.activities.get(parent) {
            self.dropped.ends += push_bounded(&mut self.process(pid).copies, id);
            return Kind::SubstituteCopy(id);
        }
        if matches!(self.builds.activities.get(parent), Some(Activity { kind: Kind::MachineCopy, .. }))
            || self.in_request(parent)
        {
            return Kind::MachineCopy;
        }
        if parent == 0
            && let Some(id) = self.transfers.find(&path)
            && self.transfers.get(id).state() == PathState::Fetching
        {
            self.dropped.ends += push_bounded(&mut self.process(pid).copies, id);
            return Kind::SubstituteCopy(id);
        }
        if self.process(pid).realising > 0 {
            return Kind::MachineCopy;
        }
        let to = fields.str(2).map(|to| to.decode().into_owned()).unwrap_or_default();
        let here = to.is_empty()
            || ["local", "daemon", "auto", "unix:", "/"].iter().any(|here| to.starts_with(here));
        if here {
            let from = fields.str(1).map(short);
            Kind::Fetch(self.fetch_started(&path, from.as_deref(), effects))
        } else {
            let id = self.transfers.get_or_insert(&path);
            self.transfers.set(id, PathState::Uploading);
            self.enter(Phase::Fetching, effects);
            Kind::Upload(id)
        }
    }

    fn download_started(&mut self, pid: Pid, parent: u64, fields: &Fields<'_>) -> Kind {
        match self.builds.activities.get(parent) {
            Some(Activity { kind: Kind::SubstituteCopy(id) | Kind::Fetch(id), .. }) => Kind::Download(id),
            _ if parent != 0 => Kind::Other,
            // Before 2.18 there are no parents; the download of a path begins soon after its copy.
            _ if fields.str(0).is_some_and(|url| url.decode().contains("/nar/")) => {
                self.process(pid).copies.pop_front().map_or(Kind::Other, Kind::Download)
            }
            _ => Kind::Other,
        }
    }

    fn waiting(&mut self, text: Text<'_>, fields: &Fields<'_>) -> Kind {
        if let (Some(from), Some(to)) = (fields.str(0), fields.str(1)) {
            self.builds.derivations.resolve(&from.decode(), &to.decode());
            return Kind::Other;
        }
        let text = text.decode();
        let text = sanitize(&text);
        let Some(path) = text.split('\'').nth(1) else { return Kind::Other };
        let id = if path.ends_with(".drv") {
            self.builds.derivations.get_or_insert(path)
        } else {
            let Some(id) = self.builds.derivations.find_by_output(path) else { return Kind::Other };
            id
        };
        let now = self.clock.now;
        let derivation = self.builds.derivations.get_mut(id);
        if matches!(derivation.state(), DerivationState::Unknown | DerivationState::Planned) {
            derivation.waiting_since = Some(now);
            let what = text.split('\'').next().unwrap_or_default().trim_end();
            let what =
                what.trim_start_matches("waiting for ").trim_end_matches(" to build").trim_end_matches(" on");
            let what = what.trim_end_matches(" for");
            derivation.waiting_for = Some(what[..what.floor_char_boundary(MAX_SHORT)].into());
            self.builds.derivations.set(id, DerivationState::Waiting);
            return Kind::Waiting(id);
        }
        Kind::Other
    }

    fn result(
        &mut self,
        id: u64,
        kind: ResultType,
        fields: &Fields<'_>,
        payload: Option<&str>,
        effects: &mut Effects,
    ) {
        if let (ResultType::BuildResult, Some(payload)) = (kind, payload) {
            // Determinate Nix reports these on any activity, and on none.
            return self.build_result(payload, effects);
        }
        let Some(activity) = self.builds.activities.get_mut(id) else { return };
        match (kind, &mut activity.kind) {
            (ResultType::BuildLogLine, Kind::Build(derivation)) => {
                if let Some(line) = fields.str(0) {
                    let id = *derivation;
                    let derivation = self.builds.derivations.get_mut(id);
                    derivation.has_printed = true;
                    let log = derivation.log.get_or_insert_with(|| {
                        Box::new(LogTail::new(self.builds.spare_buffers.pop().unwrap_or_default()))
                    });
                    log.push(line);
                    log.last_at = self.clock.now;
                    log.count_dropped(&mut self.dropped);
                    if self.options.log_lines {
                        let line = log.last().unwrap_or_default().to_owned();
                        effects.changes.push(Change::LogLine(id, line));
                    }
                }
            }
            (ResultType::Progress, Kind::Download(path)) => {
                let path = *path;
                let (done, expected) = (fields.int(0).unwrap_or(0), fields.int(1).unwrap_or(0));
                self.transfers.progress(path, done, expected, true, self.clock.now);
            }
            (ResultType::Progress, Kind::SubstituteCopy(path) | Kind::Fetch(path)) => {
                let path = *path;
                let (done, expected) = (fields.int(0).unwrap_or(0), fields.int(1).unwrap_or(0));
                self.transfers.progress(path, done, expected, false, self.clock.now);
            }
            (ResultType::Progress, Kind::Builds(counter)) => {
                let mut new = *counter;
                let process = self.process(Pid::of(id));
                process.counts_builds = true;
                let dropped = process.builds.update(
                    &mut new,
                    fields.int(0).unwrap_or(0),
                    fields.int(2).unwrap_or(0),
                    fields.int(3).unwrap_or(0),
                );
                self.dropped.ends += dropped;
                self.set_kind(id, Kind::Builds(new));
            }
            (ResultType::Progress, Kind::CopyPaths(counter)) => {
                let mut new = *counter;
                let process = self.process(Pid::of(id));
                process.counts_paths = true;
                let dropped = process.paths.update(
                    &mut new,
                    fields.int(0).unwrap_or(0),
                    fields.int(2).unwrap_or(0),
                    fields.int(3).unwrap_or(0),
                );
                self.dropped.ends += dropped;
                self.set_kind(id, Kind::CopyPaths(new));
                self.decide_paths(Pid::of(id), effects);
            }
            (ResultType::SetPhase, Kind::Build(derivation)) => {
                let id = *derivation;
                if let Some(phase) = fields.str(0) {
                    let phase = phase.decode();
                    self.set_phase(id, &phase, effects);
                }
            }
            (ResultType::PostBuildLogLine, Kind::Hook) => {
                if let Some(line) = fields.str(0) {
                    self.builds.hook_log.push(line);
                    self.builds.hook_log.count_dropped(&mut self.dropped);
                }
            }
            _ => {}
        }
    }

    fn set_kind(&mut self, id: u64, kind: Kind) {
        if let Some(activity) = self.builds.activities.get_mut(id) {
            activity.kind = kind;
        }
    }

    pub(super) fn set_phase(&mut self, id: DerivationId, phase: &str, effects: &mut Effects) {
        let phase = sanitize(&phase[..phase.floor_char_boundary(MAX_PHASE)]);
        let derivation = self.builds.derivations.get_mut(id);
        if derivation.phase.as_deref() != Some(&phase) {
            derivation.phase = Some((&*phase).into());
            derivation.phase_started = Some(self.clock.now);
            effects.changes.push(Change::BuildPhase(id));
        }
    }

    /// Determinate Nix says how a build ended. Its errors say why, so a failure is left to them.
    fn build_result(&mut self, payload: &str, effects: &mut Effects) {
        let Ok(payload) = serde_json::from_str::<serde_json::Value>(payload) else { return };
        let success = payload.get("success").and_then(serde_json::Value::as_bool) == Some(true);
        let status = payload.get("status").and_then(serde_json::Value::as_str).unwrap_or_default();
        let path = payload.get("path").and_then(|path| path.get("drvPath").or(Some(path)));
        let Some(path) = path.and_then(serde_json::Value::as_str) else { return };
        if success
            && status == "Built"
            && let Some(id) = self.builds.derivations.find(path)
            && matches!(
                self.builds.derivations.get(id).state(),
                DerivationState::Ended | DerivationState::Cancelled
            )
        {
            self.build_ended(id, BuildEnd::Built, effects);
        }
    }

    fn stop(&mut self, id: u64, activity: Activity, effects: &mut Effects) {
        let pid = Pid::of(id);
        match activity.kind {
            Kind::Build(derivation) => self.build_stopped(pid, derivation, effects),
            Kind::Substitute(path) | Kind::Fetch(path) | Kind::Upload(path) => {
                if self.process(pid).counts_paths || !matches!(activity.kind, Kind::Substitute(_)) {
                    if let Kind::Substitute(_) = activity.kind {
                        self.transfers.set(path, PathState::Ended);
                    }
                    self.dropped.ends += push_bounded(&mut self.process(pid).undecided, path);
                    self.decide_paths(pid, effects);
                } else {
                    self.path_ended(path, true, effects);
                }
            }
            Kind::SubstituteCopy(path) => self.process(pid).copies.retain(|other| *other != path),
            Kind::Realise => {
                let process = self.process(pid);
                process.realising = process.realising.saturating_sub(1);
                process.realised_last = process.realising == 0;
            }
            Kind::CopyPaths(_) => {
                // What this counter was to decide and has not is not here.
                while let Some(path) = self.process(pid).undecided.pop_front() {
                    let uncounted = !self.process(pid).counts_paths;
                    self.path_ended(path, uncounted, effects);
                }
            }
            Kind::Waiting(derivation)
                if self.builds.derivations.get(derivation).state() == DerivationState::Waiting =>
            {
                self.builds.derivations.get_mut(derivation).waiting_for = None;
                self.builds.derivations.set(derivation, DerivationState::Planned);
            }
            Kind::Evaluation => self.text.evaluating = None,
            _ => {}
        }
    }

    fn build_stopped(&mut self, pid: Pid, id: DerivationId, effects: &mut Effects) {
        let derivation = self.builds.derivations.get_mut(id);
        derivation.activities = derivation.activities.saturating_sub(1);
        if derivation.activities > 0 {
            // A remote machine is done; the outputs are still to come.
            self.process(pid).builds.take();
            return;
        }
        derivation.ended = Some(self.clock.now);
        if derivation.state() == DerivationState::Failed {
            return;
        }
        let process = self.process(pid);
        let counted = process.counts_builds;
        match process.builds.take() {
            Some(Credit::Done) => self.build_ended(id, BuildEnd::Built, effects),
            Some(Credit::Failed) => {
                self.dropped.ends += push_bounded(&mut process.unnamed, id);
                self.builds.derivations.set(id, DerivationState::Ended);
                self.own(effects);
            }
            None if counted => self.build_ended(id, BuildEnd::Cancelled, effects),
            None => self.build_ended(id, BuildEnd::Built, effects),
        }
    }

    /// A build is over, and how is known.
    pub(super) fn build_ended(&mut self, id: DerivationId, end: BuildEnd, effects: &mut Effects) {
        let now = self.clock.now;
        let state = match end {
            BuildEnd::Built => DerivationState::Built,
            BuildEnd::Failed => DerivationState::Failed,
            BuildEnd::Cancelled => DerivationState::Cancelled,
        };
        let derivation = self.builds.derivations.get_mut(id);
        derivation.ended.get_or_insert(now);
        if end == BuildEnd::Built {
            // Nobody asks for the log of a good build. Of the others the failure takes what it needs.
            if let Some(log) = derivation.log.take()
                && self.builds.spare_buffers.len() < MAX_SPARE_BUFFERS
            {
                self.builds.spare_buffers.push(log.into_buffer());
            }
            if let Some(failure) = derivation.failure.take() {
                self.errors.failures[failure.0].retracted = true;
                effects.changes.push(Change::Retracted(failure));
            }
        }
        self.builds.derivations.set(id, state);
        effects.changes.push(Change::BuildEnded(id, end));
    }

    /// Gives counted ends to the paths whose activity has ended, whichever came first.
    fn decide_paths(&mut self, pid: Pid, effects: &mut Effects) {
        loop {
            let process = self.process(pid);
            if process.undecided.is_empty() {
                return;
            }
            let Some(credit) = process.paths.take() else { return };
            let Some(path) = process.undecided.pop_front() else { return };
            self.path_ended(path, credit == Credit::Done, effects);
        }
    }

    fn path_ended(&mut self, path: PathId, arrived: bool, effects: &mut Effects) {
        let state = match (self.transfers.get(path).state(), arrived) {
            (PathState::Uploading, true) => PathState::Uploaded,
            (PathState::Fetched, _) => return,
            (_, true) => PathState::Fetched,
            (_, false) => PathState::Failed,
        };
        self.transfers.set(path, state);
        effects.changes.push(Change::FetchEnded(path, arrived));
    }
}

/// A text that is to be kept: safe to show, and not long.
fn short(text: Text<'_>) -> String {
    let text = text.decode();
    let text = sanitize(&text);
    text[..text.floor_char_boundary(MAX_SHORT)].to_owned()
}
