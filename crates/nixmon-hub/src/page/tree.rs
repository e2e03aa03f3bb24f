//! Builds as a tree, and stretches of time as bars.

use maud::{Markup, html};
use nixmon_core::text::count;

use super::words;
use crate::detail::{Build, Detail, Span};

/// Rows of the timeline.
const MAX_ROWS: usize = 60;
/// Builds that are shown without asking; the others are folded.
const OPEN: usize = 60;
/// Units of width of a bar.
const WIDTH: u64 = 1000;

/// Renders the tree of builds.
pub(super) fn builds(at: &str, detail: &Detail) -> Markup {
    if detail.builds.is_empty() {
        return html! {};
    }
    let (open, folded) = detail.builds.split_at(detail.builds.len().min(OPEN));
    html! {
        section aria-labelledby="builds-title" {
            h2 id="builds-title" { "Builds " span.n { (detail.builds.len() + detail.builds_left_out) } }
            ul.tree { @for build in open { (row(at, build, detail)) } }
            @if !folded.is_empty() {
                details id="more-builds" {
                    summary { (count(folded.len() as u64, "more build", "more builds")) }
                    ul.tree { @for build in folded { (row(at, build, detail)) } }
                }
            }
            @if detail.builds_left_out > 0 {
                p.hint { (count(detail.builds_left_out as u64, "further build is", "further builds are")) " not shown." }
            }
        }
    }
}

fn row(at: &str, build: &Build, detail: &Detail) -> Markup {
    let (now, mark) = (detail.elapsed_ms, words::of_build(&build.state, detail.is_complete));
    let took = build.from_ms.and_then(|from| {
        let to = build.to_ms.or((build.state == "building").then_some(now))?;
        Some(words::millis(to.saturating_sub(from)))
    });
    html! {
        li.build.(mark.class).{ "d" (build.depth) } {
            span.sign aria-hidden="true" { (mark.sign) }
            span.name {
                @if build.log_lines > 0 || build.has_ended() {
                    a href={ (at) "/log?derivation=" (words::encode(&build.derivation)) } { (build.name) }
                } @else { (build.name) }
            }
            span.state { (mark.word) }
            @if let Some(phase) = build.phase.as_ref().filter(|_| matches!(build.state.as_str(), "building" | "failed")) {
                span.phase { (phase) }
            }
            @if let Some(machine) = &build.machine { span.phase { "on " (machine) } }
            @if let Some(took) = took { span.took { (took) } }
        }
    }
}

/// Renders the timeline: phases, then the builds that took longest, in the order in which they began.
pub(super) fn timeline(detail: &Detail) -> Markup {
    let ended =
        |build: &&Build| build.from_ms.is_some() && (build.to_ms.is_some() || build.state == "building");
    let mut builds: Vec<&Build> = detail.builds.iter().filter(ended).collect();
    if builds.is_empty() && detail.phases.len() < 2 {
        return html! {};
    }
    let took =
        |build: &Build| build.to_ms.unwrap_or(detail.elapsed_ms).saturating_sub(build.from_ms.unwrap_or(0));
    builds.sort_by_key(|build| std::cmp::Reverse(took(build)));
    let left_out = builds.len().saturating_sub(MAX_ROWS);
    builds.truncate(MAX_ROWS);
    builds.sort_by_key(|build| (build.from_ms, &build.name));
    let end = detail.elapsed_ms.max(1);
    html! {
        section aria-labelledby="timeline-title" {
            h2 id="timeline-title" { "Timeline " span.n { (words::millis(detail.elapsed_ms)) } }
            ul.timeline {
                @for phase in detail.phases.iter().filter(|phase| phase.name != "done") {
                    (bar("phase-row", &phase.name, phase.from_ms, phase.to_ms.unwrap_or(detail.elapsed_ms), end))
                }
                @for build in builds {
                    (bar(words::of_build(&build.state, detail.is_complete).class, &build.name, build.from_ms.unwrap_or(0), build.to_ms.unwrap_or(detail.elapsed_ms), end))
                }
            }
            @if left_out > 0 { p.hint { (count(left_out as u64, "shorter build is", "shorter builds are")) " not shown." } }
        }
    }
}

/// Renders stretches of time one below the other.
pub(super) fn spans(title: &str, spans: &[Span], now: u64) -> Markup {
    let begin = spans.first().map_or(0, |span| span.from_ms);
    let end = spans.iter().map(|span| span.to_ms.unwrap_or(now)).max().unwrap_or(now).max(begin + 1);
    html! {
        ul.timeline aria-label=(title) {
            @for span in spans.iter().take(MAX_ROWS) {
                (bar("phase-row", &span.name, span.from_ms - begin.min(span.from_ms), span.to_ms.unwrap_or(now).saturating_sub(begin), end - begin))
            }
        }
    }
}

fn bar(class: &str, name: &str, from: u64, to: u64, end: u64) -> Markup {
    let scale = |ms: u64| {
        u64::try_from(u128::from(ms.min(end)) * u128::from(WIDTH) / u128::from(end)).unwrap_or(WIDTH)
    };
    let x = scale(from);
    // Short ones are still to be seen.
    let width = scale(to).saturating_sub(x).max(4);
    html! {
        li.(class) {
            span.name { (name) }
            svg.bar viewBox={ "0 0 " (WIDTH) " 10" } preserveAspectRatio="none" aria-hidden="true" focusable="false" {
                rect x=(x.min(WIDTH - 4)) y="0" width=(width) height="10" {}
            }
            span.took { (words::millis(to.saturating_sub(from))) }
        }
    }
}
