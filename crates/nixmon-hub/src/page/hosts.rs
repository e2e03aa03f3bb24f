//! Hosts on the board, and the page of a host.

use axum::response::Response;
use maud::{Markup, html};
use nixmon_core::text::{bytes, count};
use nixmon_fleet::{CommandState, HostState};
use nixmon_runs::clock::{local_clock, unix_ms};

use super::words::{self, Mark};
use super::{Page, render, run};
use crate::engine::Command;
use crate::hosts::{HostAnswer, HostCard, HostPageAnswer, HostRunAnswer};
use crate::source::Paths;

/// Runs on the page of a host.
pub(crate) const RUNS: usize = 50;
/// Commands on the page of a host.
pub(crate) const COMMANDS: usize = 20;

/// Returns the mark of a host.
pub(super) fn mark(state: HostState) -> Mark {
    let (class, sign, word) = match state {
        HostState::Stuck => ("warning", "!", "stuck"),
        HostState::Stale => ("warning", "?", "stale"),
        HostState::Restarting => ("running", "↻", "restarting"),
        HostState::Quiet => ("running", "▶", "quiet"),
        HostState::Busy => ("running", "▶", "busy"),
        HostState::Idle => ("done", "●", "idle"),
        HostState::Offline => ("cancelled", "○", "offline"),
    };
    Mark { class, sign, word }
}

/// Returns how much a host is doing: `building 3/7, about 4m left`.
pub(super) fn doing(host: &HostAnswer) -> Option<String> {
    let busy = host.beat.busy.as_ref()?;
    let mut text = match busy.total {
        _ if !busy.line.is_empty() => busy.line.clone(),
        Some(total) => format!("{} of {total}", busy.done),
        None => format!("run {}", busy.run),
    };
    if let Some(left) = busy.remaining_ms {
        let left = nixmon_core::render::rough(std::time::Duration::from_millis(left));
        text.push_str(&format!(" · about {left} left"));
    }
    Some(text)
}

/// Returns when a host was heard of last.
pub(super) fn seen(host: &HostAnswer) -> String {
    match host.seen_at {
        None => "not heard of yet".to_owned(),
        Some(at) => {
            let now = unix_ms();
            match now.saturating_sub(at) {
                0..=15_000 => "now".to_owned(),
                silent => format!("{} ago, at {}", words::millis(silent), local_clock(at, now)),
            }
        }
    }
}

/// Renders the hosts of the board.
pub(super) fn section(hosts: &[HostCard]) -> Markup {
    let n = |class: &str| hosts.iter().filter(|card| card_mark(card).class == class).count();
    html! {
        @if !hosts.is_empty() {
            section aria-labelledby="group-hosts" {
                h2 id="group-hosts" { "Hosts " span.n { (hosts.len()) } }
                p.sum {
                    (count(hosts.len() as u64, "host", "hosts")) ": "
                    (n("failed")) " failed, " (n("warning")) " in trouble, " (n("running")) " busy."
                }
                ul.cards { @for host in hosts { (card(host)) } }
            }
        }
    }
}

/// Returns the mark of a host on the board: a failed run counts as long as none has followed it.
fn card_mark(card: &HostCard) -> Mark {
    let mark = mark(card.host.state);
    match card.has_failed() && matches!(card.host.state, HostState::Idle | HostState::Offline) {
        true => Mark { class: "failed", sign: "✗", ..mark },
        false => mark,
    }
}

fn card(card: &HostCard) -> Markup {
    let HostCard { host, last } = card;
    let mark = card_mark(card);
    let last = last.as_ref().and_then(|last| Some((last.run, last.status.as_ref()?)));
    let is_working = host.beat.busy.is_some() && host.state != HostState::Offline;
    html! {
        li.card.(mark.class) id={ "host-" (host.host) } {
            div.head {
                h3 { span.sign aria-hidden="true" { (mark.sign) } a href={ "/hosts/" (host.host) } { (host.host) } }
                span.badge { (mark.word) }
            }
            @if is_working {
                @if let Some((_, status)) = last.filter(|(_, status)| !status.has_ended()) { (run::phases(status, None)) (run::progress(status)) }
                @if let Some(doing) = doing(host) { p.line { (doing) } }
            }
            @if let Some((number, status)) = last.filter(|(_, status)| status.has_ended()) {
                p.(if card.has_failed() { "cause" } else { "line" }) {
                    (words::of_run(status).sign) " " (words::name(status)) ": " (words::of_run(status).word)
                    @if let Some(cause) = &status.first_failure { ", " (cause.message) }
                    span.hint { " · run " (number) }
                }
            }
            p.facts {
                @if let Some(generation) = &host.beat.generation { span { "generation " (generation) } }
                @if !host.environment.system.is_empty() { span { (host.environment.system) } }
                span { "seen " (seen(host)) }
            }
        }
    }
}

/// Renders a host.
pub(super) fn page(answer: &HostPageAnswer) -> Response {
    let HostPageAnswer { host, runs, commands } = answer;
    let mark = mark(host.state);
    let at = format!("/hosts/{}", host.host);
    let content = html! {
        div id="host" data-live {
            div.head.(mark.class) {
                h1 { span.sign aria-hidden="true" { (mark.sign) } (host.host) }
                span.badge { (mark.word) }
            }
            @if let Some(doing) = doing(host) { p.line { (doing) } }
            (facts(host))
        }
        @if !host.actions.is_empty() {
            section aria-labelledby="actions-title" {
                h2 id="actions-title" { "Commands" }
                form.actions method="post" action={ (at) "/command" } {
                    @for action in &host.actions {
                        button type="submit" name="action" value=(action) { (action) }
                    }
                }
            }
        }
        div id="commands" data-live {
            @if !commands.is_empty() {
                ul.cards.compact { @for command in commands { (self::command(&at, host, command)) } }
            }
        }
        div id="runs" data-live {
            section aria-labelledby="runs-title" {
                h2 id="runs-title" { "Runs " span.n { (runs.len()) } }
                @if runs.is_empty() { p.hint { "No runs yet." } }
                ul.cards.compact { @for run in runs { (run_card(host, run)) } }
            }
        }
    };
    let trail = [(at.clone(), host.host.to_string())];
    let title = format!("{} {}", mark.sign, host.host);
    render(&Page { title: &title, events: "/api/v1/events/hosts", trail: &trail, content, script: None })
}

fn facts(host: &HostAnswer) -> Markup {
    let load = &host.beat.load;
    let mut facts: Vec<(&str, String)> = vec![("Seen", seen(host))];
    if let Some(generation) = &host.beat.generation {
        facts.push(("Generation", generation.clone()));
    }
    if let Some(percent) = load.cpu_percent {
        facts.push(("Processors", format!("{percent:.0} %")));
    }
    if let (Some(used), Some(total)) = (load.memory_used, load.memory_total) {
        facts.push(("Memory", format!("{} of {}", bytes(used), bytes(total))));
    }
    if let Some(free) = load.disk_free {
        facts.push(("Disk free", bytes(free)));
    }
    if let Some(rate) = load.disk_bytes_per_s {
        facts.push(("Disk", format!("{}/s", bytes(rate))));
    }
    if let Some(rate) = load.network_bytes_per_s {
        facts.push(("Network", format!("{}/s", bytes(rate))));
    }
    if host.beat.spooled_bytes > 0 {
        facts.push(("To be sent", bytes(host.beat.spooled_bytes)));
    }
    for (name, value) in [("System", &host.environment.system), ("nixmon", &host.environment.nixmon)] {
        if !value.is_empty() {
            facts.push((name, value.clone()));
        }
    }
    if let Some(nix) = &host.environment.nix {
        facts.push(("Nix", nix.clone()));
    }
    html! {
        dl.facts-list { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } }
    }
}

/// Returns the mark of a command.
fn of_command(state: CommandState) -> Mark {
    let (class, sign) = match state {
        CommandState::Pending | CommandState::Validating => ("waiting", "◷"),
        CommandState::Executing => ("running", "▶"),
        CommandState::Succeeded => ("done", "✓"),
        CommandState::Failed | CommandState::TimedOut => ("failed", "✗"),
        CommandState::Stopped => ("cancelled", "■"),
        CommandState::Orphaned => ("warning", "!"),
    };
    Mark { class, sign, word: state.as_str() }
}

fn command(at: &str, host: &HostAnswer, command: &Command) -> Markup {
    let mark = of_command(command.state);
    html! {
        li.card.(mark.class) id={ "command-" (command.id) } {
            div.head {
                h3 {
                    span.sign aria-hidden="true" { (mark.sign) }
                    @match command.run {
                        Some(run) => a href=(Paths::of(Some(host.host.as_str())).run(run)) { (command.action) },
                        None => (command.action),
                    }
                }
                span.badge { (mark.word) }
            }
            @if let Some(message) = &command.message { p.cause { (message) } }
            p.facts {
                span { "command " (command.id) }
                span { "by " (command.asked_by) }
                span { (local_clock(command.asked_at, unix_ms())) }
                @if let Some(code) = command.exit_code { span { "exit status " (code) } }
            }
            @if !command.state.has_ended() && !command.is_stop_asked {
                form.actions method="post" action={ (at) "/stop" } {
                    button type="submit" name="command" value=(command.id) { "Stop" }
                }
            }
        }
    }
}

fn run_card(host: &HostAnswer, run: &HostRunAnswer) -> Markup {
    let address = Paths::of(Some(host.host.as_str())).run(run.run);
    let Some(status) = &run.status else {
        return html! { li.card.waiting { h3 { a href=(address) { "run " (run.run) } } } };
    };
    let mark = words::of_run(status);
    html! {
        li.card.(mark.class) id={ "run-" (run.run) } {
            div.head {
                h3 { span.sign aria-hidden="true" { (mark.sign) } a href=(address) { (words::name(status)) } }
                span.badge { (mark.word) }
            }
            @if let Some(cause) = &status.first_failure {
                p.cause { @if let Some(name) = &cause.name { strong { (name) } " " } (cause.message) }
            }
            @if let Some(missing) = &run.missing { p.hint { (missing) } }
            p.facts {
                span { "run " (run.run) }
                @if let Some(elapsed) = words::elapsed(status) { span { (elapsed) } }
                span { (words::clock(status)) }
            }
        }
    }
}

/// Writes the hosts of the board as Markdown.
pub(super) fn markdown(out: &mut String, hosts: &[HostCard]) {
    use std::fmt::Write;
    if hosts.is_empty() {
        return;
    }
    out.push_str("\n## Hosts\n\n");
    for card in hosts {
        let name = &card.host.host;
        let _ = write!(out, "- [{name}](/hosts/{name}): {}", mark(card.host.state).word);
        if let Some(doing) = doing(&card.host) {
            let _ = write!(out, "; {}", super::markdown::inline(&doing));
        }
        if let Some((run, status)) =
            card.last.as_ref().and_then(|last| Some((last.run, last.status.as_ref()?)))
        {
            let _ = write!(out, "; run {run} {}", crate::events::condition(status));
        }
        out.push('\n');
    }
}

/// Writes a host as Markdown.
pub(super) fn page_markdown(answer: &HostPageAnswer) -> String {
    use std::fmt::Write;
    let HostPageAnswer { host, runs, commands } = answer;
    let mut out = format!("# {}: {}\n\n", host.host, mark(host.state).word);
    let _ = writeln!(out, "- seen: {}", seen(host));
    if let Some(doing) = doing(host) {
        let _ = writeln!(out, "- doing: {}", super::markdown::inline(&doing));
    }
    if let Some(generation) = &host.beat.generation {
        let _ = writeln!(out, "- generation: {}", super::markdown::inline(generation));
    }
    if !host.actions.is_empty() {
        let _ = writeln!(out, "- commands: {}", super::markdown::inline(&host.actions.join(", ")));
    }
    if !commands.is_empty() {
        out.push_str("\n## Commands\n\n");
        for command in commands {
            let message =
                command.message.as_deref().map(|text| format!("; {}", super::markdown::inline(text)));
            let _ = writeln!(
                out,
                "- command {}: {} {}{}",
                command.id,
                super::markdown::inline(&command.action),
                command.state.as_str(),
                message.unwrap_or_default()
            );
        }
    }
    out.push_str("\n## Runs\n\n");
    for run in runs {
        let condition = run.status.as_ref().map(|status| {
            format!(
                " {}: {}",
                super::markdown::inline(&words::name(status)),
                crate::events::condition(status)
            )
        });
        let address = Paths::of(Some(host.host.as_str())).run(run.run);
        let _ = writeln!(out, "- [run {}]({address}){}", run.run, condition.unwrap_or_default());
    }
    out
}
