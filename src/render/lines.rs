//! The condensed lines of a run that goes on.

use std::time::Duration;

use super::{Style, Thresholds};
use crate::nix::error::FailureKind;
use crate::state::{Failure, PathState, Phase, State};
use crate::text::{Line, Role, bytes, bytes_of, duration, rate, thousands};
use crate::view::View;

/// A download without bytes for this long is said to stand still.
const STALLED: Duration = Duration::from_secs(20);

/// `Building… 42 to build, 128 to fetch (1.9 GiB)`: said once, when a phase begins.
pub fn phase(view: &View<'_>, phase: Phase, style: &Style) -> Line {
    let mut line =
        Line::new().with(Role::Heading, format!("{}{}", verb(view.state, phase), style.symbols.ellipsis));
    let announced = announcement(view);
    // While it evaluates, a list may have come half.
    if !announced.is_empty() && matches!(phase, Phase::Fetching | Phase::Building) {
        line.push(Role::Plain, format!(" {announced}"));
    }
    line
}

fn verb(state: &State, phase: Phase) -> &'static str {
    let sent = || {
        let count = |path| state.transfers().count(path);
        count(PathState::Uploading) + count(PathState::Uploaded) > 0
            && count(PathState::Fetching) + count(PathState::Fetched) + count(PathState::Ended) == 0
    };
    match phase {
        Phase::Evaluating if state.is_other_command() => "Running",
        Phase::Evaluating => "Evaluating",
        Phase::Fetching if sent() => "Uploading",
        Phase::Fetching => "Fetching",
        Phase::Building => "Building",
        Phase::Activating => "Activating",
        Phase::Done => "Done",
    }
}

/// `42 to build, 128 to fetch (1.9 GiB)`, as far as it is announced.
pub fn announcement(view: &View<'_>) -> String {
    let mut parts = Vec::new();
    if let Some(total) = view.builds().total {
        parts.push(format!("{} to build", thousands(total as u64)));
    }
    let fetches = view.fetches();
    if let Some(total) = fetches.total {
        let size = if fetches.total_bytes > 0 {
            format!(" ({})", bytes(fetches.total_bytes))
        } else {
            String::new()
        };
        parts.push(format!("{} to fetch{size}", thousands(total as u64)));
    }
    parts.join(", ")
}

/// `Building… 7/42 built · 61/128 fetched, 0.9/1.9 GiB, 31 MiB/s · firefox-130.0 buildPhase 28s, +3 running`.
///
/// `still` says that nothing in it has changed since the last one.
pub fn heartbeat(view: &View<'_>, still: bool, style: &Style) -> Line {
    let state = view.state;
    let symbols = &style.symbols;
    let mut line =
        Line::new().with(Role::Heading, format!("{}{}", verb(state, state.phase()), symbols.ellipsis));
    let mut parts: Vec<(Role, String)> = Vec::new();
    match state.phase() {
        Phase::Evaluating => {
            if let Some(text) = state.evaluating() {
                parts.push((Role::Muted, text.to_owned()));
            }
        }
        Phase::Activating => {
            if let Some(step) = state.activation().runs().last().and_then(|run| run.step.clone()) {
                parts.push((Role::Name, step));
            }
        }
        _ => parts.extend(progress(view, &style.thresholds)),
    }
    let mut note = None;
    if still {
        let since = view.now.saturating_sub(state.last_input());
        // A build that is named with its time says it already.
        let named = state.phase() <= Phase::Building && parts.iter().any(|(role, _)| *role == Role::Name);
        if since >= style.thresholds.quiet && !named {
            note = Some(format!(" (quiet for {})", duration(since)));
        }
    }
    for (i, (role, text)) in parts.into_iter().enumerate() {
        line.push(Role::Muted, if i == 0 { " ".to_owned() } else { format!(" {} ", symbols.bullet) });
        line.push(role, text);
    }
    line.push(Role::Muted, note.unwrap_or_default());
    line
}

fn progress(view: &View<'_>, thresholds: &Thresholds) -> Vec<(Role, String)> {
    let mut parts = Vec::new();
    let builds = view.builds();
    let text = match builds.total {
        _ if builds.endless > 0 => {
            let of = builds.total.map(|total| format!("/{}", thousands(total as u64))).unwrap_or_default();
            Some(format!("{}{of} started", thousands(builds.endless as u64)))
        }
        Some(total) if total > 0 => {
            Some(format!("{}/{} built", thousands(builds.built as u64), thousands(total as u64)))
        }
        _ if builds.built + builds.running > 0 => Some(format!("{} built", thousands(builds.built as u64))),
        _ => None,
    };
    parts.extend(text.map(|text| (Role::Plain, text)));
    if builds.failed > 0 {
        parts.push((Role::Failure, format!("{} failed", thousands(builds.failed as u64))));
    }
    parts.extend(fetch_progress(view).map(|text| (Role::Plain, text)));
    let uploaded = view.state.transfers().count(PathState::Uploaded);
    if uploaded > 0 {
        parts.push((Role::Plain, format!("{} uploaded", thousands(uploaded as u64))));
    }
    parts.extend(running(view, thresholds));
    if builds.waiting > 0 {
        parts.push((Role::Muted, waiting(view.state, builds.waiting)));
    }
    parts
}

fn fetch_progress(view: &View<'_>) -> Option<String> {
    let fetches = view.fetches();
    if fetches.done + fetches.running == 0 && fetches.total.is_none_or(|total| total == 0) {
        return None;
    }
    let mut text = match fetches.total {
        Some(total) => format!("{}/{} fetched", thousands(fetches.done as u64), thousands(total as u64)),
        None => format!("{} fetched", thousands(fetches.done as u64)),
    };
    let all = fetches.total.is_some_and(|total| fetches.done >= total);
    if all && fetches.running == 0 {
        return Some(text);
    }
    if fetches.total_bytes >= fetches.bytes && fetches.total_bytes > 0 {
        text.push_str(&format!(", {}", bytes_of(fetches.bytes, fetches.total_bytes)));
    } else if fetches.bytes > 0 {
        text.push_str(&format!(", {}", bytes(fetches.bytes)));
    }
    if fetches.rate > 0 {
        text.push_str(&format!(", {}", rate(fetches.rate)));
    } else if let Some(path) = view.fetching().first() {
        let since = view.now.saturating_sub(path.last_bytes.or(path.started).unwrap_or(view.now));
        if since >= STALLED {
            text.push_str(&format!(", {} stands still for {}", path.name(), duration(since)));
        }
    }
    Some(text)
}

/// The build that has run longest, once it is slow, and how many others run.
fn running(view: &View<'_>, thresholds: &Thresholds) -> Vec<(Role, String)> {
    let running = view.running();
    let Some((_, first)) = running.first() else { return Vec::new() };
    let elapsed = first.elapsed(view.now);
    // A build known from a line of text may have ended long ago.
    if elapsed < thresholds.slow || first.is_endless() {
        let known = running.iter().filter(|(_, derivation)| !derivation.is_endless()).count();
        return if known > 0 { vec![(Role::Muted, format!("{known} running"))] } else { Vec::new() };
    }
    let mut text = first.name().to_owned();
    if let Some(phase) = &first.phase {
        text.push_str(&format!(" {phase}"));
    }
    if let Some(machine) = &first.machine {
        text.push_str(&format!(" on {}", machine_name(machine)));
    }
    text.push_str(&format!(" {}", duration(elapsed)));
    let quiet = view.now.saturating_sub(first.last_heard().unwrap_or(view.now));
    if quiet >= thresholds.quiet {
        text.push_str(&format!(" (quiet for {})", duration(quiet)));
    }
    if running.len() > 1 {
        text.push_str(&format!(", +{} running", running.len() - 1));
    }
    vec![(Role::Name, text)]
}

/// `ssh-ng://root@builder?…` as people say it.
pub(super) fn machine_name(uri: &str) -> &str {
    let uri = uri.split('?').next().unwrap_or(uri);
    uri.split_once("://").map_or(uri, |(_, host)| host.rsplit_once('@').map_or(host, |(_, host)| host))
}

fn waiting(state: &State, n: usize) -> String {
    let what = state.derivations().iter().find_map(|(_, derivation)| derivation.waiting_for.as_deref());
    let what = what.map(|what| format!(" for {what}")).unwrap_or_default();
    format!("{} waiting{what}", thousands(n as u64))
}

/// `✗ badlib-0.9 failed in buildPhase, exit 2, after 12s · blocks 4`.
pub fn build_failed(state: &State, failure: &Failure, style: &Style) -> Line {
    let mut line = Line::new().with(Role::Failure, format!("{} ", style.symbols.failure));
    let name = failure.name.as_deref().unwrap_or("build");
    line.push(Role::Name, name);
    line.push(Role::Plain, format!(" {}", facts(failure)));
    if let Some(blocks) = blocks_text(state, failure) {
        line.push(Role::Muted, format!(" {} {blocks}", style.symbols.bullet));
    }
    line
}

/// `blocks 4`, of which a single one says no more than the counts; `at least` where the graph is not known and only Nix's messages tell.
pub(super) fn blocks_text(state: &State, failure: &Failure) -> Option<String> {
    let blocked = state.blocked_by(failure);
    let known = failure.derivation.is_some_and(|id| state.derivations().dependents(id).next().is_some());
    let least = if known { "" } else { "at least " };
    (blocked > 1).then(|| format!("blocks {least}{}", thousands(blocked as u64)))
}

/// `failed in buildPhase, exit 2, after 12s, on builder`.
pub(super) fn facts(failure: &Failure) -> String {
    let what = match failure.kind {
        FailureKind::KilledBySignal => match failure.signal {
            Some(9) => "was killed by signal 9 (SIGKILL)".to_owned(),
            Some(signal) => format!("was killed by signal {signal}"),
            None => "was killed".to_owned(),
        },
        FailureKind::HashMismatch => "has another hash than specified".to_owned(),
        FailureKind::Timeout => "timed out".to_owned(),
        FailureKind::SilentTimeout => match limit(failure, " seconds of silence") {
            Some(seconds) => format!("was silent for {}", duration(Duration::from_secs(seconds))),
            None => "was silent for too long".to_owned(),
        },
        FailureKind::LogTooLong => match limit(failure, " bytes") {
            Some(n_bytes) => format!("printed more than {}", bytes(n_bytes)),
            None => "printed too much".to_owned(),
        },
        FailureKind::NoOutput => "did not make its output".to_owned(),
        FailureKind::NotDeterministic => "is not deterministic".to_owned(),
        FailureKind::PlatformMismatch => "is for another system".to_owned(),
        FailureKind::MissingFeature => "requires a feature that is missing".to_owned(),
        FailureKind::DiskFull => "failed: the disk is full".to_owned(),
        FailureKind::SubstitutionFailed => "could not be fetched".to_owned(),
        FailureKind::PostBuildHook => "was built, but its post-build hook failed".to_owned(),
        FailureKind::ForbiddenReference => "refers to a path that it must not refer to".to_owned(),
        FailureKind::OutputCycle => "has outputs that refer to each other".to_owned(),
        FailureKind::BadBuilder => "has a builder that cannot be run".to_owned(),
        FailureKind::LocalBuildsDisabled | FailureKind::NoMachine => {
            "finds no machine to build it".to_owned()
        }
        _ => "failed".to_owned(),
    };
    let mut facts = what;
    if let Some(phase) = &failure.phase {
        facts.push_str(&format!(" in {phase}"));
    }
    if let Some(status) = failure.exit_status {
        facts.push_str(&format!(", exit {status}"));
    }
    let limit = || limit(failure, " seconds").filter(|_| failure.kind == FailureKind::Timeout);
    if let Some(after) =
        limit().map(Duration::from_secs).or(failure.after).filter(|after| after.as_secs() > 0)
    {
        facts.push_str(&format!(", after {}", duration(after)));
    }
    if let Some(machine) = &failure.machine {
        facts.push_str(&format!(", on {}", machine_name(machine)));
    }
    if is_silent(failure) {
        facts.push_str(", printed nothing");
    }
    facts
}

/// Whether a builder failed without a word: there is nothing to read on.
pub(super) fn is_silent(failure: &Failure) -> bool {
    let of_builder = matches!(
        failure.kind,
        FailureKind::BuilderFailed | FailureKind::KilledBySignal | FailureKind::NoOutput
    );
    of_builder && failure.printed_nothing
}

/// The number before `unit` in the message: the limit that a build has passed.
fn limit(failure: &Failure, unit: &str) -> Option<u64> {
    let before = &failure.message[..failure.message.find(unit)?];
    before.rsplit(' ').next()?.parse().ok()
}
