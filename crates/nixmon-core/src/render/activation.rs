//! Activations: actions on units, reasons for failures, and logs.

use super::Style;
use super::room::{Block, Worth};
use crate::activation::{Run, RunStage, Scope, Tool, Unit, Units};
use crate::excerpt::excerpt;
use crate::state::State;
use crate::text::{Line, Role, count, thousands};
use crate::view::Evidence;

/// Longer lists of names are shown as a count.
const NAMED: usize = 4;
/// Largest number of lines with reasons for each activation.
const REASONS: usize = 8;
/// Largest number of lines of a unit's log.
const UNIT_LINES: usize = 4;
/// Largest number of conflicting files.
const FILES: usize = 6;
/// Longer lines, in bytes, lose the digests of their store paths.
const LONG: usize = 120;
/// Largest number of activations that have a line each.
const RUNS: usize = 8;

/// Lists the names of a few units, or counts many.
pub(crate) fn unit_names(units: &[Unit]) -> String {
    if units.len() > NAMED {
        return format!("{} units", thousands(units.len() as u64));
    }
    units.iter().map(|unit| unit.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Lists what was done to units: each verb with its units, without those that have none. Failures are not among them.
pub(crate) fn unit_actions(units: &Units) -> impl Iterator<Item = (&'static str, &[Unit])> {
    let Units { started, restarted, stopped, reloaded, failed: _ } = units;
    [("started", started), ("restarted", restarted), ("stopped", stopped), ("reloaded", reloaded)]
        .into_iter()
        .map(|(verb, units)| (verb, units.as_slice()))
        .filter(|(_, units)| !units.is_empty())
}

/// Lists the failed units of all activations.
pub(super) fn failed_units(state: &State) -> Vec<Unit> {
    state.activation().summary().map(|summary| summary.units.failed).unwrap_or_default()
}

/// Lists the failed activations.
pub(super) fn failed_runs(state: &State) -> impl Iterator<Item = &Run> {
    state.activation().runs().filter(|run| is_bad(run))
}

fn is_bad(run: &Run) -> bool {
    matches!(run.stage, RunStage::Failed | RunStage::Refused | RunStage::RolledBack)
}

/// Makes a line for each of several activations; a single one is part of the verdict.
pub(super) fn runs(state: &State, style: &Style) -> Vec<Line> {
    let runs: Vec<&Run> = state.activation().runs().collect();
    if runs.len() < 2 {
        return Vec::new();
    }
    // Failed activations are never left out in favour of others.
    let (bad, good): (Vec<&Run>, Vec<&Run>) = runs.iter().partition(|run| run.stage != RunStage::Done);
    let room = if runs.len() > RUNS { RUNS.saturating_sub(1) } else { RUNS };
    let n_bad = bad.len().min(room);
    let n_good = good.len().min(room - n_bad);
    let shown = |run: &Run| {
        let among = |list: &[&Run], n: usize| list.iter().take(n).any(|other| other.id == run.id);
        among(&bad, n_bad) || among(&good, n_good)
    };
    let mut lines: Vec<Line> = runs.iter().filter(|run| shown(run)).map(|run| run_line(run, style)).collect();
    let more = runs.len() - lines.len();
    if more > 0 {
        let well = if bad.len() == n_bad { " applied" } else { "" };
        lines.push(Line::new().with(Role::Muted, format!("  and {more} more{well}")));
    }
    lines
}

/// `  ✓ web: restarted nginx.service`, `  ✗ db: failed in bootloader`.
fn run_line(run: &Run, style: &Style) -> Line {
    let symbols = &style.symbols;
    let within = run.failed_step.as_ref().map(|step| format!(" in {step}")).unwrap_or_default();
    let units = run.units();
    let (role, symbol, mut what) = match run.stage {
        RunStage::Done if units.failed.is_empty() => (Role::Success, symbols.success, String::new()),
        RunStage::Done => (Role::Warning, symbols.success, format!("{} failed", unit_names(&units.failed))),
        RunStage::Refused => (Role::Failure, symbols.failure, "refused".to_owned()),
        RunStage::RolledBack => (Role::Failure, symbols.failure, "rolled back".to_owned()),
        RunStage::Interrupted => (Role::Warning, symbols.failure, format!("interrupted{within}")),
        _ => (Role::Failure, symbols.failure, format!("failed{within}")),
    };
    if run.stage == RunStage::Done
        && let Some(done) = done(&units, style)
    {
        what = if what.is_empty() { done } else { format!("{what} {} {done}", symbols.bullet) };
    }
    let mut line = Line::new().with(role, format!("  {symbol} ")).with(Role::Name, name(run));
    if !what.is_empty() {
        line.push(Role::Plain, format!(": {what}"));
    }
    line
}

/// Returns the machine of an activation, else the tool.
fn name(run: &Run) -> String {
    match &run.node {
        Some(node) => node.clone(),
        None if run.tool == Tool::Unknown => "switch".to_owned(),
        None => run.tool.name().to_owned(),
    }
}

/// `started a.service · restarted b.service`.
fn done(units: &Units, style: &Style) -> Option<String> {
    let parts: Vec<String> =
        unit_actions(units).map(|(verb, list)| format!("{verb} {}", unit_names(list))).collect();
    (!parts.is_empty()).then(|| parts.join(&format!(" {} ", style.symbols.bullet)))
}

/// Describes the actions of a successful switch.
pub(super) fn success(state: &State, style: &Style) -> Option<Line> {
    let mut runs = state.activation().runs();
    let (run, None) = (runs.next()?, runs.next()) else { return None };
    done(&run.units(), style).map(|done| Line::new().with(Role::Muted, format!("  {done}")))
}

/// Makes a block for each unit that failed in an otherwise successful switch.
pub(super) fn failed_in_success(state: &State, evidence: &Evidence, style: &Style) -> Vec<Block> {
    let mut blocks = Vec::new();
    for run in state.activation().runs().filter(|run| !is_bad(run)) {
        blocks.extend(run.units().failed.iter().map(|unit| failed_unit(run, unit, evidence, style)));
    }
    blocks
}

/// Lists the logs to read after a successful switch.
pub(super) fn after_success(state: &State, evidence: &Evidence) -> Vec<Line> {
    let mut lines: Vec<Line> = state.activation().runs().flat_map(|run| affected(run, evidence)).collect();
    if state.activation().runs().any(|run| run.reboot_needed) {
        lines.push(Line::new().with(Role::Warning, "  takes effect only after a reboot"));
    }
    lines
}

/// Lists the logs of units that were started: one command for all units of the same manager.
fn affected(run: &Run, evidence: &Evidence) -> Vec<Line> {
    let units = run.units();
    let running: Vec<&Unit> = [&units.restarted, &units.started, &units.reloaded]
        .into_iter()
        .flatten()
        .filter(|unit| !units.failed.contains(unit))
        .collect();
    if running.is_empty() || running.len() > NAMED || run.dry_run {
        return Vec::new();
    }
    let mut commands: Vec<String> =
        running.iter().filter_map(|unit| evidence.of_unit(unit).next()).map(|log| log.file.clone()).collect();
    for (user, of) in [("", false), ("--user ", true)] {
        let named: Vec<String> = running
            .iter()
            .filter(|unit| match unit.scope {
                Scope::System => !of,
                Scope::User(_) => of,
                Scope::Launchd { .. } => false,
            })
            .filter(|unit| evidence.of_unit(unit).next().is_none())
            .map(|unit| format!("-u {}", unit.name))
            .collect();
        if !named.is_empty() {
            commands.push(format!("journalctl {user}{} -b{}", named.join(" "), since(run, evidence)));
        }
    }
    commands
        .into_iter()
        .map(|command| Line::new().with(Role::Muted, format!("  log{}: ", on(run))).with(Role::Path, command))
        .collect()
}

/// Formats ` on web` for an activation on another machine.
fn on(run: &Run) -> String {
    run.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default()
}

fn since(run: &Run, evidence: &Evidence) -> String {
    // The clock and the time zone of another machine may differ.
    let began = evidence.switch_began.as_ref().filter(|_| run.node.is_none());
    began.map(|time| format!(" --since \"{time}\"")).unwrap_or_default()
}

/// Returns the command that shows the log of a unit for this switch.
fn command(run: &Run, unit: &Unit, evidence: &Evidence) -> String {
    match unit.scope {
        Scope::Launchd { .. } => unit.log_hint(),
        Scope::System | Scope::User(_) => format!("{} -b{}", unit.log_hint(), since(run, evidence)),
    }
}

/// Makes a block for a failed unit: the last lines of its log, and the places of the rest, the best first.
fn failed_unit(run: &Run, unit: &Unit, evidence: &Evidence, style: &Style) -> Block {
    let title = Line::new().with(Role::Failure, format!("  {} failed{}", unit.name, on(run)));
    let mut block = Block::titled(title);
    let quoted = run.excerpts.iter().find(|excerpt| excerpt.unit == unit.name);
    let logs: Vec<_> = evidence.of_unit(unit).collect();
    let said: Vec<&str> = match logs.iter().find(|log| !log.lines.is_empty()) {
        Some(log) => log.lines.iter().map(String::as_str).collect(),
        None => quoted.iter().flat_map(|excerpt| excerpt.lines.iter().map(String::as_str)).collect(),
    };
    // The unit may be an activation itself (home-manager's module for NixOS): all of its steps but the last succeeded.
    let said: Vec<&str> = said
        .into_iter()
        .filter(|line| !line.starts_with("Activating ") && !line.starts_with("Starting Home Manager"))
        .collect();
    for line in excerpt(&said, UNIT_LINES) {
        if line.follows_gap {
            block.push(Worth::Gap, Line::new().with(Role::Muted, format!("    {}", style.symbols.ellipsis)));
        }
        block.push(Worth::Evidence, Line::new().with(Role::Plain, format!("    {}", line.line.trim_end())));
    }
    let mut hints: Vec<String> = logs.iter().take(2).map(|log| log.file.clone()).collect();
    hints.push(command(run, unit, evidence));
    let line = Line::new().with(Role::Muted, "    log: ").with(Role::Path, hints.join("   "));
    block.push(Worth::Pointer, line);
    if let [best] = excerpt(&said, 1).as_slice() {
        block.set_cause(best.line.trim());
    }
    block
}

/// Makes blocks for a failed activation: its reasons and logs, then its failed units. `kept` is the number of the recorded run,
/// whose log serves if no other is known.
pub(super) fn blocks(run: &Run, evidence: &Evidence, kept: Option<u64>, style: &Style) -> Vec<Block> {
    let units = run.units();
    let reasons: Vec<&str> = run.reasons().collect();
    // The block of a unit names its machine.
    let by_itself = reasons.is_empty() && run.files.is_empty() && !units.failed.is_empty();
    let mut why = Block::new();
    if run.reboot_needed {
        let text =
            "    its init is incompatible with the running system: it takes effect only after a reboot";
        why.push(Worth::Cause, Line::new().with(Role::Plain, text));
        return vec![why];
    }
    if let Some(node) = run.node.as_ref().filter(|_| !by_itself) {
        why = Block::titled(Line::new().with(Role::Plain, format!("  on {node}:")));
    }
    let shown = excerpt_of_reasons(&reasons);
    for line in &shown {
        why.push(Worth::Evidence, Line::new().with(Role::Plain, format!("    {}", short(line))));
    }
    let unsaid: Vec<&String> =
        run.files.iter().filter(|file| !reasons.iter().any(|line| line.contains(file.as_str()))).collect();
    for file in unsaid.iter().take(FILES) {
        why.push(Worth::Evidence, Line::new().with(Role::Path, format!("    {file}")));
    }
    if unsaid.len() > FILES {
        let more = count((unsaid.len() - FILES) as u64, "more file", "more files");
        let text = format!("    {} {more}", style.symbols.ellipsis);
        why.push(Worth::Evidence, Line::new().with(Role::Muted, text));
    }
    if let Some(advice) = advice(run) {
        let text = format!("    {} {advice}", style.symbols.arrow);
        why.push(Worth::Evidence, Line::new().with(Role::Muted, text));
    }
    if units.failed.is_empty() {
        let is_shown = |log: &str| shown.iter().any(|line| line.contains(log));
        for (label, log) in step_logs(run, evidence, kept).into_iter().filter(|(_, log)| !is_shown(log)) {
            let line = Line::new().with(Role::Muted, format!("    {label}: ")).with(Role::Path, log);
            why.push(Worth::Pointer, line);
        }
    }
    if let Some(message) = run.message() {
        why.set_cause(&short(message));
    }
    let units = units.failed.iter().map(|unit| failed_unit(run, unit, evidence, style));
    let why = why.has_lines().then_some(why);
    why.into_iter().chain(units).collect()
}

/// Lists the places to read more about a failure outside units: those that the step names and those that are configured, else
/// the logs of units, else the record of the run.
fn step_logs(run: &Run, evidence: &Evidence, kept: Option<u64>) -> Vec<(String, String)> {
    let label = format!("log{}", on(run));
    let named: Vec<_> = run.named_logs().into_iter().chain(evidence.of_step(run.id)).collect();
    if !named.is_empty() {
        return named.into_iter().map(|log| (label.clone(), log.to_owned())).collect();
    }
    let of_units = run.unit_log_hints().into_iter().map(|hint| {
        let is_journal = hint.starts_with("journalctl ");
        if is_journal { format!("{hint} -b{}", since(run, evidence)) } else { hint }
    });
    let logs: Vec<_> = of_units.map(|log| (label.clone(), log)).collect();
    match kept.filter(|_| logs.is_empty() && run.stage != RunStage::Refused) {
        // It is on this machine, whichever the activation was on.
        Some(id) => vec![("full log".to_owned(), format!("nixmon log {id}"))],
        None => logs,
    }
}

/// Shortens a long line by the directory and the digest of store paths, since its end matters most.
fn short(line: &str) -> String {
    const DIR: &str = "/nix/store/";
    const DIGEST: usize = 33;
    if line.len() <= LONG {
        return line.to_owned();
    }
    let mut parts = line.split(DIR);
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_at_checked(DIGEST) {
            Some((digest, rest)) if digest.ends_with('-') => short.push_str(rest),
            _ => short.extend([DIR, part]),
        }
    }
    short
}

/// Chooses the reasons to show.
fn excerpt_of_reasons<'a>(reasons: &[&'a str]) -> Vec<&'a str> {
    if reasons.len() <= REASONS {
        return reasons.to_vec();
    }
    excerpt(reasons, REASONS).into_iter().map(|line| line.line).collect()
}

/// Returns advice on common failures.
fn advice(run: &Run) -> Option<&'static str> {
    let says = |text: &str| run.evidence().any(|line| line.contains(text));
    match run.failed_step.as_deref() {
        Some("checkLinkTargets") if !run.files.is_empty() => {
            Some("move them away, or let home-manager do so: home-manager switch -b backup")
        }
        // ND:modules/system/etc.nix
        _ if says("Unexpected files in /etc") => {
            Some("rename each to NAME.before-nix-darwin if it is not needed, and switch again")
        }
        _ if says("must now be run as root") => Some("run it with sudo"),
        Some("set-profile") if says("Permission denied") && run.tool != Tool::HomeManager => {
            Some("run it with sudo, or as root")
        }
        Some("sudo") => Some("run it where sudo can ask for a password, or as root"),
        _ => None,
    }
}
