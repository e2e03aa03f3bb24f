//! Effects of internal-json records on the state.

use std::time::Duration;

use super::activity::{Activity, Kind};
use super::change::{BuildEnd, Change, Effects, Phase};
use super::derivation::DerivationState;
use super::ids::{DerivationId, PathId};
use super::process::{Counter, Credit, Pid, push_bounded};
use super::texts::{is_flake_check, is_flake_copy};
use super::transfer::PathState;
use super::{LogTail, State};
use nixmon_log::escapes::sanitize;
use nixmon_log::nix::log::{ActivityType, Fields, LogMessage, ResultType, Text};
use nixmon_log::nix::store_path;

/// Paths that may be meant by one count, and activities among which those of a build are searched.
const LOOKED_AT: usize = 4096;
/// Hooks that are followed at once, with the lines that they print.
pub(super) const MAX_HOOKS: usize = 256;
/// A phase's name longer than this is cut; stdenv's have twenty characters.
const MAX_PHASE: usize = 64;
/// Buffers that are kept for the next builds: about as many as run at once.
const MAX_SPARE_BUFFERS: usize = 16;
/// Longest text kept with every derivation, such as the address of a machine, in bytes.
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
                self.errors.last_line.clear();
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
                if self
                    .builds
                    .activities
                    .has_ancestor(parent, |kind| matches!(kind, Kind::Build(_) | Kind::InnerBuild(_)))
                {
                    return Kind::Other;
                }
                let machine = fields.str(1).filter(|machine| !machine.is_empty());
                let machine = machine.map(short);
                let is_inner = self.in_request(parent);
                let id = self.build_started(&path.decode(), machine.as_deref(), false, effects);
                if is_inner { Kind::InnerBuild(id) } else { Kind::Build(id) }
            }
            ActivityType::Substitute => {
                let Some(path) = fields.str(0) else { return Kind::Other };
                // Paths that a build machine fetches for itself do not arrive here.
                if self.in_request(parent) {
                    return Kind::MachineCopy;
                }
                let from = fields.str(1).map(short);
                Kind::Substitute(self.fetch_started(&path.decode(), from.as_deref(), effects))
            }
            ActivityType::CopyPath => self.copy_started(pid, parent, text, fields, effects),
            ActivityType::FileTransfer => self.download_started(pid, parent, fields),
            ActivityType::Realise => {
                self.process(pid).realising += 1;
                self.builds.requested = true;
                Kind::Realise
            }
            ActivityType::Builds if self.in_request(parent) => Kind::InnerBuilds(Counter::default()),
            ActivityType::Builds => Kind::Builds(Counter::default()),
            ActivityType::CopyPaths if self.in_request(parent) || self.is_for_machine(pid, text) => {
                Kind::MachineCopy
            }
            ActivityType::CopyPaths => {
                self.process(pid).open_counters += 1;
                Kind::CopyPaths(Counter::default())
            }
            ActivityType::PostBuildHook => match fields.str(0) {
                Some(path) => {
                    let id = self.builds.derivations.get_or_insert(&path.decode());
                    self.builds.last_hook = Some(id);
                    if self.builds.hooks.len() >= MAX_HOOKS {
                        self.builds.hooks.pop_first();
                    }
                    self.builds.hooks.insert(id, LogTail::default());
                    Kind::Hook(id)
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
                self.text.checks_flake |= is_flake_check(&text);
                self.text.copies_flake |= is_flake_copy(&text);
                if text.starts_with("querying") || text.is_empty() {
                    return Kind::Other;
                }
                self.text.evaluating = Some(text);
                Kind::Evaluation
            }
            _ => Kind::Other,
        }
    }

    /// Returns whether an activity is part of what a request does on another machine: a worker's own activities have no
    /// parent.
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
        self.builds.begun = true;
        self.builds.keeps_going |= human && self.errors.failures.len() > self.builds.failures_before;
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
            derivation.log_bytes = 0;
            derivation.cpu = None;
            derivation.log = None;
            if let Some(mut scope) = derivation.inside.take() {
                self.insides.forget(&mut scope);
            }
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
        self.builds.begun = true;
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

    fn copy_started(
        &mut self,
        pid: Pid,
        parent: u64,
        text: Text<'_>,
        fields: &Fields<'_>,
        effects: &mut Effects,
    ) -> Kind {
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
        if is_upload(text, fields) {
            Kind::Upload(self.upload_started(&path, effects))
        } else {
            let from = fields.str(1).map(short);
            Kind::Fetch(self.fetch_started(&path, from.as_deref(), effects))
        }
    }

    /// A path is on its way to another store.
    pub(super) fn upload_started(&mut self, path: &str, effects: &mut Effects) -> PathId {
        self.builds.begun = true;
        let id = self.transfers.upload(path);
        self.transfers.set(id, PathState::Uploading);
        self.enter(Phase::Fetching, effects);
        id
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
            (ResultType::BuildLogLine, Kind::Build(derivation) | Kind::InnerBuild(derivation)) => {
                if let Some(line) = fields.str(0) {
                    let id = *derivation;
                    let derivation = self.builds.derivations.get_mut(id);
                    derivation.has_printed = true;
                    let log = derivation.log.get_or_insert_with(|| {
                        Box::new(LogTail::new(self.builds.spare_buffers.pop().unwrap_or_default()))
                    });
                    let (line, n_bytes) = log.push(line);
                    derivation.log_bytes = derivation.log_bytes.saturating_add(n_bytes as u64 + 1);
                    let place = (id, derivation.started, &mut derivation.inside);
                    self.insides.build_line(place, line, self.clock.now, &mut self.dropped);
                    if self.options.log_lines {
                        effects.changes.push(Change::LogLine(id, line.to_owned()));
                    }
                    log.last_at = self.clock.now;
                    log.count_dropped(&mut self.dropped);
                }
            }
            (ResultType::Progress, Kind::Download(path)) => {
                let path = *path;
                let (done, expected) = (fields.int(0).unwrap_or(0), fields.int(1).unwrap_or(0));
                self.transfers.progress(path, done, expected, true, self.clock.now);
            }
            (ResultType::Progress, Kind::Upload(path)) => {
                let path = *path;
                self.transfers.copied(path, fields.int(0).unwrap_or(0), fields.int(1).unwrap_or(0));
            }
            (ResultType::Progress, Kind::SubstituteCopy(path) | Kind::Fetch(path)) => {
                let path = *path;
                let (done, expected) = (fields.int(0).unwrap_or(0), fields.int(1).unwrap_or(0));
                self.transfers.copied(path, done, expected);
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
            (ResultType::Progress, Kind::InnerBuilds(counter)) => {
                let mut new = *counter;
                let [done, running, failed] = [0, 2, 3].map(|at| fields.int(at).unwrap_or(0));
                let dropped = self.process(Pid::of(id)).inner_builds.update(&mut new, done, running, failed);
                self.dropped.ends += dropped;
                self.set_kind(id, Kind::InnerBuilds(new));
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
            (ResultType::SetPhase, Kind::Build(derivation) | Kind::InnerBuild(derivation)) => {
                let id = *derivation;
                if let Some(phase) = fields.str(0) {
                    let phase = phase.decode();
                    self.set_phase(id, &phase, effects);
                }
            }
            (ResultType::PostBuildLogLine, Kind::Hook(derivation)) => {
                if let (Some(line), Some(log)) = (fields.str(0), self.builds.hooks.get_mut(derivation)) {
                    log.push(line);
                    log.count_dropped(&mut self.dropped);
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
        // `BuildResult` in `build-result.hh`: microseconds.
        let micros = |field| payload.get(field).and_then(serde_json::Value::as_u64);
        if let (Some(user), Some(system)) = (micros("cpuUser"), micros("cpuSystem"))
            && let Some(id) = self.builds.derivations.find(path)
        {
            let cpu = Duration::from_micros(user.saturating_add(system));
            self.builds.derivations.get_mut(id).cpu = Some(cpu);
        }
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
            Kind::Build(derivation) => self.build_stopped(pid, derivation, false, effects),
            Kind::InnerBuild(derivation) => self.build_stopped(pid, derivation, true, effects),
            Kind::Builds(_) => self.settle_uncounted(pid, effects),
            Kind::Substitute(path) => {
                if self.process(pid).counts_paths {
                    self.transfers.set(path, PathState::Ended);
                    self.dropped.ends += push_bounded(&mut self.process(pid).undecided, path);
                    self.decide_paths(pid, effects);
                } else {
                    self.path_ended(path, true, effects);
                }
            }
            Kind::Fetch(path) | Kind::Upload(path) => {
                if self.process(pid).open_counters > 0 {
                    self.dropped.ends += push_bounded(&mut self.process(pid).undecided, path);
                    self.decide_paths(pid, effects);
                } else {
                    let arrived = self.transfers.get(path).is_whole != Some(false);
                    self.path_ended(path, arrived, effects);
                }
            }
            Kind::SubstituteCopy(path) => self.process(pid).copies.retain(|other| *other != path),
            Kind::Realise => {
                let process = self.process(pid);
                process.realising = process.realising.saturating_sub(1);
                process.realised_last = process.realising == 0;
                self.builds.answered = true;
            }
            Kind::CopyPaths(_) => {
                let process = self.process(pid);
                process.open_counters = process.open_counters.saturating_sub(1);
                // A copy to another store may end without a count, and after a failure a path under way still arrives.
                while let Some(path) = self.process(pid).undecided.pop_front() {
                    let uncounted = !self.process(pid).counts_paths;
                    let is_whole = self.transfers.get(path).is_whole;
                    self.path_ended(path, is_whole.unwrap_or(uncounted), effects);
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

    fn build_stopped(&mut self, pid: Pid, id: DerivationId, inner: bool, effects: &mut Effects) {
        let derivation = self.builds.derivations.get_mut(id);
        derivation.activities = derivation.activities.saturating_sub(1);
        let is_last = derivation.activities == 0;
        if is_last {
            derivation.ended = Some(self.clock.now);
        }
        let is_named = derivation.named > 0;
        derivation.named = derivation.named.saturating_sub(1);
        let depends = self.errors.cascades.contains(&id);
        let process = self.process(pid);
        if is_named {
            // A message has named the failure, and its count is settled.
            process.named_open = process.named_open.saturating_sub(1);
            process.builds.expect_at_most(process.named_open);
            if is_last && depends {
                self.build_ended(id, BuildEnd::Cancelled, effects);
            }
            return;
        }
        let counted = process.counts_builds;
        let credits = if inner { &mut process.inner_builds } else { &mut process.builds };
        if !is_last {
            // A remote machine is done; the outputs are still to come.
            credits.take();
            return;
        }
        if self.builds.derivations.get(id).state() == DerivationState::Failed {
            return;
        }
        let credits = {
            let process = self.process(pid);
            if inner { &mut process.inner_builds } else { &mut process.builds }
        };
        let credit = credits.take();
        let has_hook = self.builds.hooks.contains_key(&id);
        match credit {
            Some(Credit::Done) => {
                self.builds.hooks.remove(&id);
                self.build_ended(id, BuildEnd::Built, effects);
            }
            Some(Credit::Failed) => {
                let process = self.process(pid);
                self.dropped.ends += push_bounded(&mut process.unnamed, id);
                self.builds.derivations.set(id, DerivationState::Ended);
                self.own(effects);
            }
            // A hook begins when the outputs are valid, and Nix does not count a build whose hook has failed.
            None if counted && has_hook => {
                self.builds.failed_hook.get_or_insert(id);
                self.build_ended(id, BuildEnd::Built, effects);
            }
            None if counted => {
                self.dropped.ends += push_bounded(&mut self.process(pid).uncounted, id);
                self.build_ended(id, BuildEnd::Cancelled, effects);
            }
            None if depends => self.build_ended(id, BuildEnd::Cancelled, effects),
            None => self.build_ended(id, BuildEnd::Built, effects),
        }
    }

    /// The counter of a request's builds ends: successes that it has counted and that no build has taken belong to builds
    /// that seemed to end without a count.
    fn settle_uncounted(&mut self, pid: Pid, effects: &mut Effects) {
        while let Some(id) = self.process(pid).uncounted.pop_front() {
            let is_open = self.builds.derivations.get(id).state() == DerivationState::Cancelled;
            if is_open && !self.errors.cascades.contains(&id) && self.process(pid).builds.take_success() {
                self.build_ended(id, BuildEnd::Built, effects);
            }
        }
    }

    /// A message names a derivation as failed while it is being built. Nix counts such failures, before or afterwards.
    pub(super) fn name_open_failure(&mut self, id: DerivationId) {
        if self.builds.activities.len() > LOOKED_AT {
            return;
        }
        let open: Vec<(Pid, bool)> = self
            .builds
            .activities
            .iter()
            .filter_map(|(activity, kind)| match kind {
                Kind::Build(build) if build == id => Some((Pid::of(activity), false)),
                Kind::InnerBuild(build) if build == id => Some((Pid::of(activity), true)),
                _ => None,
            })
            .collect();
        for (pid, inner) in open {
            let process = self.process(pid);
            process.named_open += 1;
            if inner {
                process.inner_builds.name_failure();
            } else {
                process.builds.name_failure();
            }
            self.builds.derivations.get_mut(id).named += 1;
        }
    }

    /// A build is over, and how is known.
    pub(super) fn build_ended(&mut self, id: DerivationId, end: BuildEnd, effects: &mut Effects) {
        self.catch_up(id, end);
        let now = self.clock.now;
        let state = match end {
            BuildEnd::Built => DerivationState::Built,
            BuildEnd::Failed => DerivationState::Failed,
            BuildEnd::Cancelled => DerivationState::Cancelled,
        };
        let derivation = self.builds.derivations.get_mut(id);
        derivation.ended.get_or_insert(now);
        if end == BuildEnd::Built {
            // The log of a good build is never shown. For the others, the failure takes what it needs.
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
        self.inside_ended(id, end == BuildEnd::Built, effects);
    }

    /// Gives counted ends to the paths whose activity has ended, whichever came first.
    fn decide_paths(&mut self, pid: Pid, effects: &mut Effects) {
        loop {
            let process = self.process(pid);
            if process.undecided.is_empty() {
                return;
            }
            let Some(credit) = process.paths.take() else { return };
            let arrived = credit == Credit::Done;
            // Among several, the count belongs to a path that looks like it.
            let undecided: Vec<PathId> = process.undecided.iter().take(LOOKED_AT).copied().collect();
            let fits = |path: &PathId| {
                let path = self.transfers.get(*path);
                arrived == (path.is_whole == Some(true) && !path.is_refused)
            };
            let at = undecided.iter().position(fits).unwrap_or(0);
            let Some(path) = self.process(pid).undecided.remove(at) else { return };
            self.path_ended(path, arrived, effects);
        }
    }

    fn path_ended(&mut self, path: PathId, arrived: bool, effects: &mut Effects) {
        let info = self.transfers.get(path);
        let arrived = arrived && !info.is_refused;
        let state = match (info.state(), arrived) {
            (PathState::Fetched | PathState::Uploaded, _) => return,
            (_, true) if info.is_upload => PathState::Uploaded,
            (_, true) => PathState::Fetched,
            (_, false) => PathState::Failed,
        };
        self.transfers.set(path, state);
        effects.changes.push(Change::FetchEnded(path, arrived));
    }

    /// An error says that a path was not accepted: it has not arrived, whatever was copied.
    pub(super) fn refuse_path(&mut self, path: &str) {
        if let Some(id) = self.transfers.find(path) {
            self.transfers.refuse(id);
        }
    }
}

/// Returns whether a copy goes from this machine to another store. Nix says so in the text of the copy, which names the
/// source only where that is another store (`copyStorePath` in `libstore/store-api.cc`).
fn is_upload(text: Text<'_>, fields: &Fields<'_>) -> bool {
    let text = text.decode();
    let after = text.strip_prefix("copying path '").and_then(|rest| rest.split_once("' "));
    if let Some((_, direction)) = after {
        return direction.starts_with("to ") || direction.contains("' to '");
    }
    let is_here = |store: &str| {
        store.is_empty()
            || ["local", "daemon", "auto", "unix:", "/"].iter().any(|here| store.starts_with(here))
    };
    let field = |at| fields.str(at).map(|text| text.decode().into_owned()).unwrap_or_default();
    !is_here(&field(2)) || !field(1).is_empty() && is_here(&field(1))
}

/// A text that is to be kept: safe to show, and not long.
fn short(text: Text<'_>) -> String {
    let text = text.decode();
    let text = sanitize(&text);
    text[..text.floor_char_boundary(MAX_SHORT)].to_owned()
}
