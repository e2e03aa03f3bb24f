//! Stalled parts of a run, with advice.

use std::time::Duration;

use super::lines::machine_name;
use super::{Style, unit_names};
use crate::activation::Run;
use crate::state::Derivation;
use crate::text::{Line, Role, count, duration, truncate, width};
use crate::view::{Prompt, Stall, Stalled, source_host};
use nixmon_log::escapes::last_carriage;

/// Largest number of stalls that have a line each.
const MAX_STALLS: usize = 4;
/// Largest width of a name, a question or a log line, so that the advice is not cut off.
const MAX_PART: usize = 60;
/// Indentation of continuation lines.
const INDENT: &str = "  ";

/// Largest number of rows for a text that is wider than the terminal.
const MAX_ROWS: usize = 3;

/// Makes a line for each of the first four stalls with advice, and `and N more`. A line that is wider than `columns`
/// continues below. The same advice is given once.
///
/// `background`: the run has no terminal.
pub fn stalls(stalls: &[Stall<'_>], background: bool, columns: usize, style: &Style) -> Vec<Line> {
    let ellipsis = style.symbols.ellipsis;
    let mut lines = Vec::new();
    let mut advised = Vec::new();
    for stall in stalls.iter().take(MAX_STALLS) {
        let what = what(stall, ellipsis);
        let advice = advice(&stall.what, background, ellipsis);
        let mut line = Line::new().with(Role::Warning, &what);
        if advice.is_empty() || advised.contains(&advice) {
            lines.extend(rows(&what, "", columns, Role::Warning));
            continue;
        }
        line.push(Role::Muted, format!("; {advice}"));
        if line.width() <= columns {
            lines.push(line);
        } else {
            lines.extend(rows(&what, "", columns, Role::Warning));
            lines.extend(rows(&advice, INDENT, columns, Role::Muted));
        }
        advised.push(advice);
    }
    if stalls.len() > MAX_STALLS {
        lines.push(Line::new().with(Role::Muted, format!("and {} more", stalls.len() - MAX_STALLS)));
    }
    for line in &mut lines {
        line.truncate(columns, ellipsis);
    }
    lines
}

/// Breaks a text between words and indents the rows below the first. The last row holds the rest.
fn rows(text: &str, indent: &str, columns: usize, role: Role) -> Vec<Line> {
    let mut rows = vec![indent.to_owned()];
    for word in text.split(' ') {
        let n_rows = rows.len();
        let Some(row) = rows.last_mut() else { break };
        let is_first = row.trim().is_empty();
        if !is_first && n_rows < MAX_ROWS && width(row) + 1 + width(word) > columns {
            rows.push(format!("{INDENT}{word}"));
            continue;
        }
        if !is_first {
            row.push(' ');
        }
        row.push_str(word);
    }
    rows.into_iter().map(|row| Line::new().with(role, row)).collect()
}

/// Formats a duration, from two minutes on in whole minutes: `40s`, `1m20s`, `6m`, `2h`, `2h05m`.
pub fn rough(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    match (minutes / 60, minutes % 60) {
        (0, minutes) if time.as_secs().is_multiple_of(60) && minutes > 0 => format!("{minutes}m"),
        (0, minutes) if minutes >= 2 => format!("{minutes}m"),
        (hours @ 1..24, 0) => format!("{hours}h"),
        _ => duration(time),
    }
}

fn what(stall: &Stall<'_>, ellipsis: &str) -> String {
    let time = rough(stall.silent);
    let cut = |text| truncate(text, MAX_PART, ellipsis).into_owned();
    let and = |others: usize| if others > 0 { format!(" and {others} more") } else { String::new() };
    match &stall.what {
        Stalled::Prompt { text, .. } => {
            format!("\"{}\" has been waiting for an answer for {time}", cut(text))
        }
        Stalled::Asking { program } => {
            format!("{} seems to have been waiting for a password for {time}", cut(program))
        }
        Stalled::Lock(what) => {
            let article = if what.starts_with("lock ") { "a " } else { "" };
            format!("Nix has been waiting for {article}{} for {time}", cut(what))
        }
        Stalled::Waiting { derivation, what, others } => {
            let verb = if *others > 0 { "have" } else { "has" };
            let what = if *what == "lock" { "a lock" } else { what };
            format!(
                "{}{} {verb} been waiting for {} for {time}",
                cut(derivation.name()),
                and(*others),
                cut(what)
            )
        }
        Stalled::Download { path, others } => {
            let verb = if *others > 0 { "have" } else { "has" };
            let from = source_host(path).map(|host| format!(" from {}", cut(host))).unwrap_or_default();
            format!("download of {}{}{from} {verb} had no data for {time}", cut(path.name()), and(*others))
        }
        Stalled::Upload { path, others } => {
            let verb = if *others > 0 { "have" } else { "has" };
            format!("upload of {}{} {verb} made no progress for {time}", cut(path.name()), and(*others))
        }
        Stalled::Build(derivation) => {
            format!("{}{} has printed nothing for {time}", cut(derivation.name()), place(derivation))
        }
        Stalled::Activation(run) => format!("{} has printed nothing for {time}", activation(run, ellipsis)),
        Stalled::Evaluation(None) => format!("evaluation has printed nothing for {time}"),
        Stalled::Evaluation(Some(text)) => {
            format!("evaluation has printed nothing for {time}, last: {}", cut(text))
        }
    }
}

/// ` (checkPhase, on builder)`.
fn place(derivation: &Derivation) -> String {
    let machine = derivation.machine.as_deref().map(|machine| format!("on {}", machine_name(machine)));
    let parts: Vec<String> =
        derivation.phase.as_deref().map(str::to_owned).into_iter().chain(machine).collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

fn activation(run: &Run, ellipsis: &str) -> String {
    let tool = match run.tool {
        crate::activation::Tool::Unknown => "activation",
        tool => tool.name(),
    };
    let step = run.step.as_deref().map(|step| format!(" ({})", truncate(step, MAX_PART, ellipsis)));
    let node = run.node.as_deref().map(|node| format!(" on {}", truncate(node, MAX_PART, ellipsis)));
    format!("{tool}{}{}", node.unwrap_or_default(), step.unwrap_or_default())
}

/// Returns advice on a stall; empty if none is certain.
///
/// The daemon accepts `connect-timeout`, `builders` (empty) and `max-silent-time` from all users, but
/// `stalled-download-timeout` from trusted users only (`libstore/daemon.cc`, `ClientSettings::apply`). The log of a running
/// build is compressed in large blocks, so `nix log` shows little of it: its last line is shown instead.
fn advice(stalled: &Stalled<'_>, background: bool, ellipsis: &str) -> String {
    let fixed = match stalled {
        Stalled::Prompt { kind, .. } if background => match kind {
            Prompt::Password => "a background run cannot take an answer: stop it and run it in a terminal",
            Prompt::Passphrase => {
                "a background run cannot take an answer: stop it and load the key with ssh-add"
            }
            Prompt::Username => {
                "a background run cannot take an answer: stop it and set up access-tokens or netrc-file"
            }
            Prompt::HostKey => {
                "a background run cannot take an answer: stop it and connect to the host once by hand"
            }
            Prompt::YesNo => "a background run cannot take an answer: stop it and run it in a terminal",
        },
        Stalled::Asking { .. } if background => {
            "a background run cannot take an answer: stop it and run it in a terminal"
        }
        Stalled::Prompt { .. } | Stalled::Asking { .. } => "answer in the terminal",
        Stalled::Lock(what) if what.contains("garbage collector") => {
            "a garbage collection is running; this continues when it finishes"
        }
        Stalled::Lock(what) if what.contains("exclusive access") => {
            "other Nix processes are using the store; this continues when they finish"
        }
        Stalled::Lock(what) if what.contains("profile") => {
            "another command is changing the profile; this continues when it finishes"
        }
        Stalled::Lock(what) if what.contains("upload lock") => {
            "another build is copying to that machine; this continues when it finishes"
        }
        Stalled::Lock(what) | Stalled::Waiting { what, .. } if what.contains("a machine") => {
            "no build machine is free or reachable; --option builders '' builds locally if this system can"
        }
        Stalled::Lock(what) | Stalled::Waiting { what, .. } if what.contains("build user") => {
            "other builds are using all build users; a lower --max-jobs needs fewer"
        }
        Stalled::Lock(_) | Stalled::Waiting { .. } => {
            "another Nix process is building or fetching the same; this continues when it finishes"
        }
        Stalled::Download { path, .. } if path.done == 0 => {
            "check the network, or --option connect-timeout 10 / --option substitute false"
        }
        Stalled::Download { .. } => {
            "check the network, or --option stalled-download-timeout 30 / --option substitute false"
        }
        Stalled::Upload { .. } => "check the network",
        Stalled::Build(derivation) => {
            let last = derivation.log.as_ref().and_then(|log| log.last()).map(last_carriage);
            let last = last.map(nixmon_log::escapes::sanitize).unwrap_or_default();
            if !last.trim().is_empty() {
                return format!("last line: {}", truncate(last.trim(), MAX_PART, ellipsis));
            }
            "--option max-silent-time SECONDS ends such builds"
        }
        Stalled::Activation(run) => {
            let Some(unit) = run.last_units().last() else { return String::new() };
            let units = run.last_units();
            let which =
                if units.len() > 4 { count(units.len() as u64, "unit", "units") } else { unit_names(units) };
            return format!("it last acted on {which}: {}", unit.log_hint());
        }
        Stalled::Evaluation(_) => "",
    };
    fixed.to_owned()
}
