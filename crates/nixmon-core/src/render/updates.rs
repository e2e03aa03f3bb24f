//! Changes of a lock file.

use super::Style;
use crate::activation::FlakeInput;
use crate::state::{Phase, State};
use crate::text::{Line, Role, pad, width};
use crate::view::Evidence;

/// Largest number of inputs that have a line each; the others are named in the verdict.
const MAX_DATED: usize = 12;
/// Largest number of inputs that are named in the verdict.
const MAX_NAMED: usize = 8;

/// Largest number of targets that are named as the next step.
const MAX_SWITCHES: usize = 3;

/// Names the changed inputs: `Updated: nixpkgs, home-manager · added: systems`.
pub(super) fn verdict(state: &State, style: &Style) -> Option<String> {
    let text = changes(state, style)?;
    let (first, rest) = text.split_at_checked(1)?;
    Some(format!("{}{rest}", first.to_uppercase()))
}

fn changes(state: &State, style: &Style) -> Option<String> {
    let inputs = state.flake_inputs();
    let mut text = String::new();
    for (what, list) in [("updated", &inputs.updated), ("added", &inputs.added), ("removed", &inputs.removed)]
    {
        if list.is_empty() {
            continue;
        }
        let mut names: Vec<&str> = list.iter().take(MAX_NAMED).map(|input| input.name.as_str()).collect();
        let more = list.len().saturating_sub(MAX_NAMED);
        let more = (more > 0).then(|| format!("{more} more"));
        names.extend(more.as_deref());
        let names = names.join(", ");
        if !text.is_empty() {
            text.push_str(&format!(" {} ", style.symbols.bullet));
        }
        text.push_str(&format!("{what}: {names}"));
    }
    (!text.is_empty()).then_some(text)
}

/// Lists the old and new dates of the inputs and the next step, if the run did nothing but update; else names the inputs.
pub(super) fn lines(state: &State, evidence: &Evidence, style: &Style) -> Vec<Line> {
    let inputs = state.flake_inputs();
    if inputs.is_empty() {
        return Vec::new();
    }
    if state.phase_reached() > Phase::Evaluating {
        return changes(state, style)
            .map(|text| Line::new().with(Role::Muted, format!("  {text}")))
            .into_iter()
            .collect();
    }
    let dated: Vec<(&str, String)> = inputs
        .updated
        .iter()
        .chain(&inputs.added)
        .filter_map(|input| Some((input.name.as_str(), dates(input, style)?)))
        .take(MAX_DATED)
        .collect();
    let column = dated.iter().map(|(name, _)| width(name)).max().unwrap_or_default();
    let mut lines: Vec<Line> = dated
        .iter()
        .map(|(name, dates)| {
            Line::new()
                .with(Role::Name, format!("  {}", pad(name, column)))
                .with(Role::Plain, format!("  {dates}"))
        })
        .collect();
    let switch = match evidence.switches.split_last() {
        Some((last, [])) => format!("nixmon run {last}"),
        Some((last, others)) if others.len() < MAX_SWITCHES => {
            format!("nixmon run {} or {last}", others.join(", "))
        }
        _ => "switch to the new inputs".to_owned(),
    };
    lines.push(Line::new().with(Role::Muted, format!("  next: {switch}, then commit flake.lock")));
    lines
}

fn dates(input: &FlakeInput, style: &Style) -> Option<String> {
    match (input.old_date.as_deref(), input.new_date.as_deref()?) {
        (Some(old), new) if old != new => Some(format!("{old} {} {new}", style.symbols.arrow)),
        (_, new) => Some(new.to_owned()),
    }
}
