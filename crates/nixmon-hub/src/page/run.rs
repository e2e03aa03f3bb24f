//! A run as a page.

use axum::response::Response;
use maud::{Markup, html};
use nixmon_core::text::{bytes, count};
use nixmon_core::wire::{Location, SummaryFailure, SummaryUnits};
use nixmon_runs::{RunPhase, RunState, Status};

use super::{Page, render, tree, words};
use crate::answers::RunAnswer;
use crate::detail::{Activation, Detail};
use crate::source::Paths;

/// Failures that are described in full.
const MAX_FAILURES: usize = 20;
/// Lines of a log below a failure.
const EXCERPT: usize = 40;

/// Renders a run.
pub(super) fn page(answer: &RunAnswer) -> Response {
    let RunAnswer { host, run, status, detail, summary, .. } = answer;
    let mark = words::of_run(status);
    let at = Paths::of(host.as_deref()).run(run);
    let name = words::name(status);
    let failures = match summary {
        Some(summary) if !summary.failures.is_empty() => &summary.failures,
        _ => &detail.failures,
    };
    let content = html! {
        div id="run" data-live {
            div.head.(mark.class) {
                h1 { span.sign aria-hidden="true" { (mark.sign) } (name) }
                span.badge { (mark.word) }
            }
            p.command { code { (status.command.join(" ")) } }
            (phases(status, Some(detail)))
            (progress(status))
            (facts(answer))
            @if let Some(incomplete) = &status.incomplete { p.alert.note { (incomplete) "." } }
            @if !status.has_ended() {
                @for slow in status.slow.iter().take(5) { p.alert.note { (slow) } }
            }
            p.actions {
                a.button href={ (at) "/log" } { "Log" }
                a.button.plain href={ "/api/v1" (at) "/log/raw" } { "Download" }
                span.hint { (count(answer.log_lines, "line", "lines")) }
            }
        }
        div id="failures" data-live {
            @if !failures.is_empty() {
                section aria-labelledby="failures-title" {
                    h2 id="failures-title" { (if failures.len() == 1 { "Failure" } else { "Failures" }) }
                    @for failure in failures.iter().take(MAX_FAILURES) { (self::failure(&at, failure)) }
                    @if failures.len() > MAX_FAILURES {
                        p.hint { "and " (failures.len() - MAX_FAILURES) " more, in the log" }
                    }
                }
            }
        }
        div id="builds" data-live { (tree::builds(&at, detail)) }
        div id="activations" data-live {
            @for (n, activation) in (1..).zip(&detail.activations) { (self::activation(&at, n, activation, detail)) }
        }
        div id="timeline" data-live { (tree::timeline(detail)) }
        div id="report" data-live {
            @if !answer.lines.is_empty() {
                section aria-labelledby="report-title" {
                    h2 id="report-title" { "Report" }
                    pre.lines tabindex="0" role="region" aria-label="Lines of the report" {
                        @for line in &answer.lines { (line) "\n" }
                    }
                }
            }
        }
    };
    let events = match status.has_ended() {
        true => String::new(),
        false => format!("/api/v1{at}/events"),
    };
    let trail = [(at, format!("run {run}"))];
    let title = format!("{} {name} · run {run}", mark.sign);
    render(&Page { title: &title, events: &events, trail: &trail, content, script: None })
}

/// The steps of a run: `Evaluating → Building 3/7 → Activating → Done`.
pub(super) fn phases(status: &Status, detail: Option<&Detail>) -> Markup {
    let reached =
        |name: &str| detail.is_some_and(|detail| detail.phases.iter().any(|phase| phase.name == name));
    let at = match status.phase {
        _ if status.state == RunState::Queued => 0,
        // A command that is not known to evaluate anything.
        RunPhase::Unknown => 0,
        RunPhase::Evaluating => 1,
        RunPhase::Fetching | RunPhase::Building => 2,
        RunPhase::Activating => 3,
        RunPhase::Done => 4,
    };
    let is_over = status.has_ended();
    let building = match (status.phase, status.wanted) {
        (RunPhase::Fetching, _) => format!("Fetching {}/{}", status.fetched, status.to_fetch),
        (_, 0) => "Building".to_owned(),
        (_, wanted) => format!("Building {}/{wanted}", status.built),
    };
    let mark = words::of_run(status);
    let end = match is_over {
        true if mark.class == "done" => "Done".to_owned(),
        true => capital(mark.word),
        false => "Done".to_owned(),
    };
    let has_built = status.wanted > 0 || status.to_fetch > 0 || reached("building") || reached("fetching");
    let has_activated = reached("activating") || detail.is_some_and(|detail| !detail.activations.is_empty());
    let has_evaluated = reached("evaluating") || has_built || has_activated;
    let steps = [
        (1, "Evaluating".to_owned(), has_evaluated),
        (2, building, has_built),
        (3, "Activating".to_owned(), has_activated),
    ];
    // A run that failed did so in the last phase that it reached.
    let last = steps.iter().filter(|(_, _, was_there)| *was_there).map(|(n, ..)| *n).max();
    let class = |n: usize, was_there: bool| match () {
        () if is_over && mark.class != "done" && Some(n) == last => mark.class,
        () if is_over && was_there => "done",
        () if is_over => "left-out",
        () if n < at => "done",
        () if n == at => "current",
        () => "coming",
    };
    html! {
        ol.phases aria-label="Phases" {
            @for (n, name, was_there) in steps {
                li.(class(n, was_there)) aria-current=[(!is_over && n == at).then_some("step")] { (name) }
            }
            li.(if is_over { mark.class } else { "coming" }) { (end) }
        }
    }
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// The bar of a run in progress.
pub(super) fn progress(status: &Status) -> Markup {
    let (done, wanted, what) = match status.phase {
        RunPhase::Building if status.wanted > 0 => (status.built, status.wanted, "builds"),
        RunPhase::Fetching if status.to_fetch > 0 => (status.fetched, status.to_fetch, "downloads"),
        _ => return html! {},
    };
    html! {
        @if !status.has_ended() {
            progress.bar max=(wanted) value=(done) aria-label={ "Progress of " (what) } { (done) " of " (wanted) }
        }
    }
}

fn facts(answer: &RunAnswer) -> Markup {
    let RunAnswer { status, summary, .. } = answer;
    let mut facts: Vec<(&str, String)> = Vec::new();
    facts.extend(
        words::elapsed(status).map(|elapsed| (if status.has_ended() { "Took" } else { "For" }, elapsed)),
    );
    facts.extend(words::eta(status).map(|eta| ("Left", eta)));
    if let Some(expected) = status.expected_ms {
        facts.push(("Usually", words::millis(expected)));
    }
    if status.wanted > 0 {
        facts.push(("Builds", format!("{} of {}", status.built, status.wanted)));
    }
    if status.running > 0 {
        facts.push(("Running", status.running.to_string()));
    }
    if status.failed > 0 {
        facts.push(("Failed", status.failed.to_string()));
    }
    if status.to_fetch > 0 {
        facts.push(("Downloads", format!("{} of {}", status.fetched, status.to_fetch)));
    }
    if let Some(summary) = summary.as_ref().filter(|summary| summary.counts.fetched_bytes > 0) {
        facts.push(("Downloaded", bytes(summary.counts.fetched_bytes)));
    }
    if let Some(cpu) = status.cpu_ms.filter(|cpu| *cpu > 0) {
        facts.push(("Processor", words::millis(cpu)));
    }
    if let Some(code) = status.exit_code {
        facts.push(("Exit status", code.to_string()));
    }
    facts.push((if status.has_ended() { "Ended" } else { "Began" }, words::clock(status)));
    if !answer.directory.is_empty() {
        facts.push(("Directory", answer.directory.clone()));
    }
    if !status.waits_for.is_empty() && !status.has_ended() {
        facts.push(("Waits for", status.waits_for.join(" → ")));
    }
    html! {
        dl.facts-list { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } }
    }
}

fn place(location: &Location) -> String {
    match (location.line, location.column) {
        (Some(line), Some(column)) => format!("{}:{line}:{column}", location.file),
        (Some(line), None) => format!("{}:{line}", location.file),
        _ => location.file.clone(),
    }
}

/// Returns the message of a failure. That of a builder names its `.drv` file and exit status once more, which are shown beside it.
fn message(failure: &SummaryFailure) -> String {
    match failure.kind.as_str() {
        "builder-failed" if failure.name.is_some() => "failed".to_owned(),
        _ => nixmon_log::escapes::sanitize(&failure.message).into_owned(),
    }
}

fn failure(at: &str, failure: &SummaryFailure) -> Markup {
    let clean = |text: &str| nixmon_log::escapes::sanitize(text).into_owned();
    let name = failure.name.as_deref().or(failure.unit.as_deref()).or(failure.step.as_deref());
    let log = if failure.log_excerpt.is_empty() { &failure.log_tail } else { &failure.log_excerpt };
    let log = log.get(log.len().saturating_sub(EXCERPT)..).unwrap_or_default();
    let location = failure.user_location.as_ref().or(failure.location.as_ref());
    html! {
        article.fault {
            h3 {
                span.sign aria-hidden="true" { "✗" }
                @if let Some(name) = name { (clean(name)) " " }
                span.message { (message(failure)) }
            }
            p.facts {
                @if let Some(stage) = &failure.stage { span { (stage) } }
                @if let Some(phase) = &failure.phase { span { "in " (clean(phase)) } }
                @if let Some(code) = failure.exit_status { span { "exit status " (code) } }
                @if let Some(signal) = failure.signal { span { "signal " (signal) } }
                @if let Some(machine) = &failure.machine { span { "on " (clean(machine)) } }
                @if let Some(after) = failure.after_ms { span { "after " (words::millis(after)) } }
                @if failure.blocks > 0 {
                    span { (count(failure.blocks as u64, "other build needs it", "other builds need it")) }
                }
            }
            @if let Some(location) = location { p { "at " code { (clean(&place(location))) } } }
            @if let Some(hashes) = &failure.hashes {
                dl.facts-list {
                    div { dt { "Specified" } dd { code { (clean(&hashes.specified)) } } }
                    div { dt { "Got" } dd { code { (clean(&hashes.got)) } } }
                }
            }
            @if !failure.details.is_empty() {
                pre.lines tabindex="0" role="region" aria-label="Details" {
                    @for line in failure.details.iter().take(EXCERPT) { (clean(line)) "\n" }
                }
            }
            @if !log.is_empty() {
                pre.lines tabindex="0" role="region" aria-label={ "Log of " (name.unwrap_or("the failure")) } {
                    @for line in log { (clean(line)) "\n" }
                }
            }
            @if let Some(advice) = &failure.advice { p.advice { "→ " (clean(advice)) } }
            p.facts {
                @if let (Some(path), Some(_)) = (&failure.derivation, &failure.name) {
                    a href={ (at) "/log?derivation=" (words::encode(path)) } { "Whole log" }
                }
                @if let Some(unit) = &failure.unit {
                    a href={ (at) "/units/" (words::encode(unit)) } { "Log of the unit" }
                }
                @for hint in failure.log_hints.iter().take(3) { code { (clean(hint)) } }
            }
        }
    }
}

fn activation(at: &str, n: usize, activation: &Activation, detail: &Detail) -> Markup {
    let result = activation.result.as_ref().map_or("in progress", |result| result.as_str()).replace('-', " ");
    let SummaryUnits { started, restarted, stopped, reloaded, failed } = &activation.units;
    let lists = [
        ("Failed", failed),
        ("Restarted", restarted),
        ("Started", started),
        ("Reloaded", reloaded),
        ("Stopped", stopped),
    ];
    html! {
        section aria-labelledby={ "activation-" (n) } {
            h2 id={ "activation-" (n) } {
                "Activation by " (activation.tool)
                @if let Some(node) = &activation.node { " of " (node) }
                " " span.badge.plain { (result) }
            }
            @if activation.reboot_needed { p.alert.note { "It takes effect only after a reboot." } }
            @for warning in &activation.warnings { p.alert.note { (warning) } }
            @if !activation.steps.is_empty() { (tree::spans("Steps", &activation.steps, detail.elapsed_ms)) }
            @for (title, units) in lists {
                @if !units.is_empty() {
                    h3.small { (title) " " span.n { (units.len()) } }
                    ul.units {
                        @for unit in units {
                            li.failed[title == "Failed"] {
                                a href={ (at) "/units/" (words::encode(unit)) } { (unit) }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nixmon_runs::RunOutcome;

    use super::*;
    use crate::detail::Span;

    /// Checks the steps as `class:text`.
    fn check(status: &Status, reached: &[&str], expected: &str) {
        let phase = |name: &&str| Span { name: (*name).to_owned(), ..Span::default() };
        let detail = Detail { phases: reached.iter().map(phase).collect(), ..Detail::default() };
        let html = phases(status, Some(&detail)).into_string();
        let steps = html.split("<li class=\"").skip(1).map(|step| {
            let class = step.split('"').next().unwrap();
            let text = step.split('>').nth(1).unwrap().split('<').next().unwrap();
            format!("{class}:{text}")
        });
        assert_eq!(steps.collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn steps_of_a_run() {
        let status = Status { wanted: 7, built: 3, phase: RunPhase::Building, ..Status::default() };
        check(
            &status,
            &["evaluating", "building"],
            "done:Evaluating current:Building 3/7 coming:Activating coming:Done",
        );
        let unknown = Status { phase: RunPhase::Unknown, ..Status::default() };
        check(&unknown, &[], "coming:Evaluating coming:Building coming:Activating coming:Done");
        let ended = Status { state: RunState::Ended, phase: RunPhase::Done, exit_code: Some(1), ..status };
        let failed = Status { outcome: Some(RunOutcome::Failure), ..ended.clone() };
        let reached = ["evaluating", "building", "done"];
        check(&failed, &reached, "done:Evaluating failed:Building 3/7 left-out:Activating failed:Failed");
        let good = Status { outcome: Some(RunOutcome::Success), exit_code: Some(0), built: 7, ..ended };
        check(&good, &reached, "done:Evaluating done:Building 7/7 left-out:Activating done:Done");
        // A success that nothing has seen is none.
        let unseen = Status { exit_code: None, ..good };
        check(
            &unseen,
            &reached,
            "done:Evaluating warning:Building 7/7 left-out:Activating warning:End not seen",
        );
    }
}
