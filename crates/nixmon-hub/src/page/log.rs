//! A log as a page. The script replaces the lines by a viewer; without it, the page has a part of the log and links to others.

use axum::response::Response;
use maud::{Markup, html};
use nixmon_core::text::{count, thousands};
use nixmon_runs::Status;

use super::{Page, render, words};
use crate::answers::{LogAnswer, LogLine};
use crate::source::Paths;

/// Renders lines of a log.
pub(super) fn page(answer: &LogAnswer, status: &Status) -> Response {
    let LogAnswer { host, run, derivation, total, lines, .. } = answer;
    let of = derivation.as_deref().map(|path| format!("derivation={}", words::encode(path)));
    let with = |rest: &str| match &of {
        Some(of) if rest.is_empty() => format!("?{of}"),
        Some(of) => format!("?{of}&{rest}"),
        None if rest.is_empty() => String::new(),
        None => format!("?{rest}"),
    };
    let title = match derivation {
        Some(path) => nixmon_log::nix::store_path::derivation_name(path).unwrap_or(path).to_owned(),
        None => "Log".to_owned(),
    };
    let at = Paths::of(host.as_deref()).run(run);
    let first = lines.first().map_or(1, |line| line.n);
    let page = 500;
    let content = html! {
        div.log-head {
            h1 { (title) " " span.n id="log-total" { (count(*total, "line", "lines")) } }
            @if let Some(error) = &answer.error { p.alert role="alert" { "The log cannot be read to its end: " (error) } }
        }
        div.viewer id="log" data-log={ "/api/v1" (at) "/log" } data-query=(of.as_deref().unwrap_or_default()) data-total=(total) {
            div.lines.plain-log role="region" aria-label="Log" tabindex="0" {
                @if lines.is_empty() { p.hint { "No lines so far." } }
                @for line in lines { (self::line(line, derivation.is_none())) }
            }
            nav.pages aria-label="Parts of the log" {
                @if first > 1 {
                    a href={ (at) "/log" (with("")) } { "First lines" }
                    a href={ (at) "/log" (with(&format!("from={}", first.saturating_sub(page).max(1)))) } { "Earlier lines" }
                }
                @if let Some(next) = answer.next {
                    a href={ (at) "/log" (with(&format!("from={next}"))) } { "Later lines" }
                    a href={ (at) "/log" (with(&format!("from=-{page}"))) } { "Last lines" }
                }
                a href={ "/api/v1" (at) "/log/raw" (with("")) } { "Download" }
                span.hint { (thousands(first)) " to " (thousands(lines.last().map_or(0, |line| line.n))) " of " (thousands(*total)) }
            }
        }
    };
    let trail = [
        (at.clone(), format!("{} run {run}", words::of_run(status).sign)),
        (format!("{at}/log"), "log".to_owned()),
    ];
    let title = format!("{title} · {}", words::name(status));
    render(&Page { title: &title, events: "", trail: &trail, content, script: Some("log.js") })
}

fn line(line: &LogLine, has_names: bool) -> Markup {
    let is_failure = line.kind == crate::log::Kind::Failure;
    html! {
        div.row.failure[is_failure] {
            a.ln id={ "L" (line.n) } href={ "#L" (line.n) } aria-label={ "Line " (line.n) } { (line.n) }
            span.text {
                @if let Some(name) = line.derivation.as_ref().filter(|_| has_names && !is_failure) { span.of { (name) "> " } }
                @if line.parts.is_empty() { (line.text) }
                @for part in &line.parts {
                    @if part.style.is_empty() { (part.text) } @else { span class=(part.style) { (part.text) } }
                }
                @if line.is_cut { span.of { "… cut" } }
            }
            "\n"
        }
    }
}
