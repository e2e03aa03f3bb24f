//! The condensed lines of a run in progress.

use std::time::Duration;

use super::Style;
use crate::state::{Failure, PathState, Phase, State, TextKind};
use crate::text::{Line, Role, bytes, bytes_of, duration, rate, thousands};
use crate::view::View;
use nixmon_log::nix::error::FailureKind;

/// A download is shown as stalled after this time without data.
const STALLED: Duration = Duration::from_secs(20);

/// `Building… 42 to build, 128 to fetch (1.9 GiB)`: the line at the beginning of a phase.
pub fn phase(view: &View<'_>, phase: Phase, style: &Style) -> Line {
    let mut line =
        Line::new().with(Role::Heading, format!("{}{}", verb(view.state, phase), style.symbols.ellipsis));
    let announced = announcement(view);
    // During evaluation the list may be incomplete.
    if !announced.is_empty() && matches!(phase, Phase::Fetching | Phase::Building) {
        line.push(Role::Plain, format!(" {announced}"));
    }
    line
}

/// Makes a line of a text for people, with a prefix that tells warnings and traces from other texts.
pub fn text(kind: TextKind, text: &str) -> Line {
    let (role, prefix) = match kind {
        TextKind::Warning => (Role::Warning, "warning: "),
        TextKind::Trace => (Role::Muted, "trace: "),
        TextKind::Notice
        | TextKind::Other
        | TextKind::Tool
        | TextKind::Unnamed
        | TextKind::Activation
        | TextKind::Result => (Role::Plain, ""),
    };
    Line::new().with(role, prefix).with(Role::Plain, text)
}

pub(super) fn verb(state: &State, phase: Phase) -> &'static str {
    let sent = || {
        let count = |path| state.transfers().count(path);
        count(PathState::Uploading) + count(PathState::Uploaded) > 0
            && count(PathState::Fetching) + count(PathState::Fetched) + count(PathState::Ended) == 0
    };
    match phase {
        Phase::Evaluating if state.is_other_command() || state.plain_scope().is_some() => "Running",
        Phase::Evaluating => "Evaluating",
        Phase::Fetching if sent() => "Uploading",
        Phase::Fetching => "Fetching",
        Phase::Building => "Building",
        Phase::Activating => "Activating",
        Phase::Done => "Done",
    }
}

/// Describes the work that Nix has announced: `42 to build, 128 to fetch (1.9 GiB)`.
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
/// `still`: nothing in the line has changed since the last one.
pub fn heartbeat(view: &View<'_>, still: bool, style: &Style) -> Line {
    let state = view.state;
    let symbols = &style.symbols;
    let mut line =
        Line::new().with(Role::Heading, format!("{}{}", verb(state, state.phase()), symbols.ellipsis));
    let mut parts: Vec<(Role, String)> = Vec::new();
    match state.phase() {
        Phase::Evaluating => {
            if let Some(text) = super::inside::of_command(view, style) {
                parts.push((Role::Name, text));
            } else if let Some(text) = state.evaluating() {
                parts.push((Role::Muted, text.to_owned()));
            }
        }
        Phase::Activating => {
            if let Some(step) = state.activation().runs().last().and_then(|run| run.step.clone()) {
                parts.push((Role::Name, step));
            }
        }
        _ => parts.extend(progress(view, style)),
    }
    if state.phase() != Phase::Done
        && let Some(eta) = super::eta::eta(view, style)
    {
        parts.push((Role::Emphasis, eta));
        parts.extend(super::eta::never_seen(view).map(|text| (Role::Muted, text)));
    }
    let mut note = None;
    if still {
        let since = view.now.saturating_sub(state.last_input());
        // A build that is named with its duration makes the note redundant.
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

fn progress(view: &View<'_>, style: &Style) -> Vec<(Role, String)> {
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
    parts.extend(running(view, style));
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
            text.push_str(&format!(", {} stalled for {}", path.name(), duration(since)));
        }
    }
    Some(text)
}

/// Names the build that has run longest, once it is slow, and counts the others.
fn running(view: &View<'_>, style: &Style) -> Vec<(Role, String)> {
    let thresholds = &style.thresholds;
    let running = view.running();
    let Some((id, first)) = running.first() else { return Vec::new() };
    let elapsed = first.elapsed(view.now);
    // A build announced by a line of text may have ended long ago.
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
    text.push_str(&format!(" {}", super::eta::elapsed(view, *id, first)));
    let quiet = view.now.saturating_sub(first.last_heard().unwrap_or(view.now));
    if quiet >= thresholds.quiet {
        text.push_str(&format!(" (quiet for {})", duration(quiet)));
    }
    if let Some(unit) = super::inside::of_build(view, *id, first)
        && let Some(progress) = super::inside::progress(unit)
    {
        text.push_str(&format!(", {progress}"));
        if let Some(current) = super::inside::current(unit) {
            text.push_str(&format!(" {} {current}", style.symbols.bullet));
        }
    }
    if running.len() > 1 {
        text.push_str(&format!(", +{} running", running.len() - 1));
    }
    vec![(Role::Name, text)]
}

/// Returns the host of a store URI such as `ssh-ng://root@builder?…`.
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
pub(crate) fn build_failed(state: &State, failure: &Failure, style: &Style) -> Line {
    let mut line = Line::new().with(Role::Failure, format!("{} ", style.symbols.failure));
    let name = failure.name.as_deref().unwrap_or("build");
    line.push(Role::Name, name);
    line.push(Role::Plain, format!(" {}", facts(failure)));
    if let Some(blocks) = blocks_text(state, failure) {
        line.push(Role::Muted, format!(" {} {blocks}", style.symbols.bullet));
    }
    line
}

/// Formats `blocks 4`, or `blocks at least 4` if the graph is unknown and the number comes from Nix's messages.
pub(super) fn blocks_text(state: &State, failure: &Failure) -> Option<String> {
    let blocked = state.blocked_by(failure);
    let known = failure.derivation.is_some_and(|id| state.derivations().dependents(id).next().is_some());
    let least = if known { "" } else { "at least " };
    (blocked > 1).then(|| format!("blocks {least}{}", thousands(blocked as u64)))
}

/// `failed in buildPhase, exit 2, after 12s, on builder`.
pub(super) fn facts(failure: &Failure) -> String {
    let exact = match failure.kind {
        FailureKind::KilledBySignal => failure.signal.map(|signal| match signal {
            9 => "was killed by signal 9 (SIGKILL)".to_owned(),
            signal => format!("was killed by signal {signal}"),
        }),
        FailureKind::SilentTimeout => limit(failure, " seconds of silence")
            .map(|seconds| format!("was silent for {}", duration(Duration::from_secs(seconds)))),
        FailureKind::LogTooLong => {
            limit(failure, " bytes").map(|n_bytes| format!("printed more than {}", bytes(n_bytes)))
        }
        _ => None,
    };
    let mut facts = exact.unwrap_or_else(|| failure.kind.phrase().to_owned());
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

/// Returns whether a builder failed without output, so that there is no log to read.
pub(super) fn is_silent(failure: &Failure) -> bool {
    let of_builder = matches!(
        failure.kind,
        FailureKind::BuilderFailed | FailureKind::KilledBySignal | FailureKind::NoOutput
    );
    of_builder && failure.printed_nothing
}

/// Returns the number before `unit` in the message: the limit that a build has exceeded.
fn limit(failure: &Failure, unit: &str) -> Option<u64> {
    let before = &failure.message[..failure.message.find(unit)?];
    before.rsplit(' ').next()?.parse().ok()
}
