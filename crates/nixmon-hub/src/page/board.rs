//! The board as a page.

use axum::response::Response;
use maud::{Markup, html};
use nixmon_core::text::count;
use nixmon_runs::{RunState, Status};

use super::{Page, hosts, render, run, words};
use crate::answers::RunsAnswer;
use crate::board::{Entry, Group};
use crate::hosts::BoardAnswer;

/// Renders the board.
pub(super) fn page(board: &BoardAnswer) -> Response {
    let answer = &board.own;
    let of = |group| answer.runs.iter().filter(move |entry| entry.group == group);
    let groups = [
        (Group::Failed, "failed", "Failed"),
        (Group::InProgress, "in-progress", "In progress"),
        (Group::Ended, "ended", "Ended"),
    ];
    let content = html! {
        h1.quiet { (if board.hosts.is_empty() { "Runs on this machine" } else { "Hosts and runs" }) }
        div id="hosts" data-live { (hosts::section(&board.hosts)) }
        div id="board" data-live {
            @if !board.hosts.is_empty() { h2 { "This machine" } }
            @if let Some(error) = &answer.error { p.alert role="alert" { (error) } }
            p.sum { (sum(answer)) }
            @if answer.runs.is_empty() {
                div.empty {
                    p { "No runs yet." }
                    p { "Start one with " code { "nixmon run -- nix build" } "; it appears here by itself." }
                }
            }
            @for (group, id, title) in groups {
                @if of(group).next().is_some() {
                    section aria-labelledby={ "group-" (id) } {
                        h2 id={ "group-" (id) } { (title) " " span.n { (of(group).count()) } }
                        ul.cards.compact[group == Group::Ended] {
                            @for entry in of(group) { (card(entry)) }
                        }
                    }
                }
            }
            @if answer.older > 0 {
                p.hint { (count(answer.older as u64, "older run is not shown", "older runs are not shown")) "." }
            }
        }
    };
    render(&Page {
        title: "Runs",
        events: if board.hosts.is_empty() { "/api/v1/events" } else { "/api/v1/events /api/v1/events/hosts" },
        trail: &[],
        content,
        script: None,
    })
}

fn sum(answer: &RunsAnswer) -> String {
    let n = |group| answer.runs.iter().filter(|entry| entry.group == group).count() as u64;
    match (n(Group::Failed), n(Group::InProgress)) {
        (0, 0) => "Nothing is in progress, and nothing is broken.".to_owned(),
        (0, busy) => format!("{} in progress, and nothing is broken.", count(busy, "run", "runs")),
        (failed, 0) => format!("{}. Nothing is in progress.", count(failed, "failure", "failures")),
        (failed, busy) => {
            format!("{}, {} in progress.", count(failed, "failure", "failures"), count(busy, "run", "runs"))
        }
    }
}

fn card(entry: &Entry) -> Markup {
    let address = format!("/runs/{}", entry.run);
    let Some(status) = &entry.status else {
        return html! {
            li.card.warning id={ "run-" (entry.run) } {
                h3 { a href=(address) { "run " (entry.run) } }
                p { (entry.error.as_deref().unwrap_or("It cannot be read.")) }
            }
        };
    };
    let mark = words::of_run(status);
    html! {
        li.card.(mark.class) id={ "run-" (entry.run) } {
            div.head {
                h3 { span.sign aria-hidden="true" { (mark.sign) } a href=(address) { (words::name(status)) } }
                span.badge { (mark.word) }
            }
            @if status.name.is_some() && entry.group != Group::Ended { p.command { code { (status.command.join(" ")) } } }
            @if !status.has_ended() {
                (run::phases(status, None))
                (run::progress(status))
            }
            (failure(status))
            p.facts {
                span { "run " (entry.run) }
                @if let Some(elapsed) = words::elapsed(status) { span { (elapsed) } }
                @if let Some(eta) = words::eta(status) { span { (eta) } }
                @if status.has_ended() {
                    @if status.built > 0 { span { (status.built) " built" } }
                    @if status.fetched > 0 { span { (status.fetched) " fetched" } }
                    span { (words::clock(status)) }
                } @else if status.state == RunState::Queued {
                    @if let Some(after) = status.after { span { "behind run " (after) } }
                }
            }
        }
    }
}

/// The first failure of a run, and its condition if nothing was recognised as one.
fn failure(status: &Status) -> Markup {
    let shown = words::of_run(status).class;
    html! {
        @if let Some(cause) = &status.first_failure {
            p.cause {
                @if let Some(name) = &cause.name { strong { (name) } " " }
                (cause.message)
            }
        } @else if shown == "failed" || shown == "warning" {
            p.cause { (status.incomplete.as_deref().unwrap_or(&status.line)) }
        } @else if !status.has_ended() && !status.line.is_empty() {
            p.line { (status.line) }
        }
    }
}
