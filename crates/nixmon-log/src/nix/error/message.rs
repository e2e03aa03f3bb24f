//! One line for people, and some more that say why.

use std::borrow::Cow;

use super::layout::{Layout, clean_lines};
use super::limits::{LINE_BYTES, clip, cut};
use super::location::{self, Location};
use super::{FailureKind, HashMismatch, NixError, Stage};
use crate::escapes::sanitize;

const MAX_DETAILS: usize = 12;
/// Paths that a message of one line names.
const PATHS_IN_MESSAGE: usize = 3;

/// Joins the lines of a message to what the rules look at.
pub(super) fn subject(lines: &[String], limit: usize) -> String {
    let mut subject = String::new();
    for line in lines {
        let line = if subject.is_empty() { without_prefix(line) } else { line };
        if !subject.is_empty() {
            subject.push('\n');
        }
        subject.push_str(line.trim_end());
        if subject.len() > limit {
            break;
        }
    }
    subject.truncate(cut(&subject, limit).len());
    subject
}

/// Cuts off what says no more than that it is an error, as the message of a nested error begins.
fn without_prefix(line: &str) -> &str {
    const PREFIXES: &[&str] = &["error:", "error (ignored):", "warning: error:"];
    let mut line = line.trim_start();
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| line.strip_prefix(prefix)) {
        line = rest.trim_start();
    }
    line
}

/// Cuts the position off that Nix 2.3 puts into a message: `syntax error, …, at FILE:LINE:COLUMN`.
pub(super) fn take_position(lines: &mut [String]) -> Option<Location> {
    let line = lines.iter_mut().find(|line| !line.trim().is_empty())?;
    let (rest, position) = location::split_trailing_position(line).map(|(rest, at)| (rest.to_owned(), at))?;
    *line = rest;
    Some(position)
}

/// Returns the rest of the line that begins with a label such as `Reason:`.
pub(super) fn labelled<'t>(text: &'t str, label: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.trim_start().strip_prefix(label)).map(str::trim)
}

/// Returns what stands in single quotes.
pub(super) fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('\'').skip(1).step_by(2)
}

/// Returns the path of a derivation without the outputs that may follow it: `DRV^out` (2.11 and later), `DRV!out`.
pub(super) fn derivation_path(path: &str) -> Option<String> {
    let path = path.trim();
    let path = path.split(['^', '!']).next().unwrap_or(path);
    let is_path = path.starts_with('/') && path.ends_with(".drv") && path.len() <= LINE_BYTES;
    is_path.then(|| sanitize(path).into_owned())
}

/// Returns the name in a store path: what follows the digest of 32 characters. `build-remote` prints it without a
/// directory.
pub(super) fn store_name(path: &str) -> Option<&str> {
    const DIGEST: usize = 32;
    let base = path.rsplit('/').next().unwrap_or(path);
    let (digest, name) = base.split_at_checked(DIGEST)?;
    let name = name.strip_prefix('-')?;
    (digest.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !name.is_empty()).then(|| clip(name))
}

/// Finds the hashes of a mismatch in any of the layouts: `specified:` or, in 2.3, `wanted:` and `got:` on lines of
/// their own; `expected 'A' but got 'B'` in one line for flake inputs.
pub(super) fn hashes(subject: &str) -> Option<HashMismatch> {
    let clean = |hash: &str| sanitize(clip(hash)).into_owned();
    let specified = labelled(subject, "specified:").or_else(|| labelled(subject, "wanted:"));
    if let (Some(specified), Some(got)) = (specified, labelled(subject, "got:")) {
        let likely_url = labelled(subject, "likely URL:").filter(|url| *url != "(unknown)").map(clean);
        return Some(HashMismatch { specified: clean(specified), got: clean(got), likely_url });
    }
    let after = |words: &str| {
        let rest = &subject[subject.find(words)? + words.len()..];
        rest.split('\'').next().map(clean)
    };
    Some(HashMismatch { specified: after("expected '")?, got: after("got '")?, likely_url: None })
}

/// Returns the first line with something to see in it, for errors that say nothing else.
pub(super) fn any_visible_line(msg: &str, raw_msg: Option<&str>) -> String {
    let lines = clean_lines(msg).chain(clean_lines(raw_msg.unwrap_or_default()));
    let mut lines = lines.map(|line| sanitize(clip(line.trim())).trim().to_owned());
    lines.find(|line| !line.is_empty()).unwrap_or_default()
}

/// Sets message and details.
pub(super) fn describe(error: &mut NixError, layout: &Layout, subject: &str) {
    let mut lines = subject.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let mut rest: Vec<&str> = lines.collect();

    let message = if let Some((message, used)) = join(first, &rest) {
        rest.drain(..used.min(rest.len()));
        message
    } else {
        one_line(error, first, &mut rest, layout)
    };
    let message = match &error.attribute {
        Some(attribute) => format!("{attribute}: {message}"),
        None => message,
    };
    error.message = finish(&message, layout.suggestion.as_deref());

    let body = rest.iter().position(|line| line.starts_with(BODY)).unwrap_or(rest.len());
    let answer = answer_lines(rest.get(body..).unwrap_or_default());
    let rest = rest.into_iter().take(body).filter(|line| !is_empty_talk(line));
    let suggestion = layout.suggestion.as_deref();
    // Code of nixpkgs helps only where there is nothing of the user's.
    let code = error.user_location.as_ref().or(error.location.as_ref()).and_then(|at| layout.code_at(at));
    error.details = skip_output_paths(rest)
        .chain(answer.iter().map(String::as_str))
        .chain(suggestion)
        .chain(code.into_iter().flatten().map(String::as_str))
        .map(|line| sanitize(clip(line)).trim_end().to_owned())
        .filter(|line| !line.is_empty())
        .take(MAX_DETAILS)
        .collect();
}

/// Returns what `nix flake check` was looking at: `while checking the derivation 'checks.x86_64-linux.a'`.
pub(super) fn checked_output(layout: &Layout) -> Option<String> {
    let starts = ["while checking the ", "while checking flake output '"];
    let frames = || layout.frames.iter().map(|frame| frame.message.trim());
    let found = starts
        .iter()
        .find_map(|start| frames().find(|text| text.starts_with(start) && quoted(text).next().is_some()))?;
    Some(sanitize(clip(found)).into_owned())
}

/// Line before the answer that a server sends with an error.
const BODY: &str = "response body:";
/// Lines of such an answer that are kept.
const ANSWER_LINES: usize = 3;

/// Returns the beginning of a server's answer, which may say why; of JSON the message. A page in HTML repeats the status.
fn answer_lines(lines: &[&str]) -> Vec<String> {
    let Some((head, rest)) = lines.split_first() else { return Vec::new() };
    let first = head.strip_prefix(BODY).map(str::trim).filter(|text| !text.is_empty());
    let lines: Vec<&str> =
        first.into_iter().chain(rest.iter().copied()).filter(|line| !line.is_empty()).collect();
    if lines.first().is_none_or(|line| line.starts_with('<')) {
        return Vec::new();
    }
    if let Ok(answer) = serde_json::from_str::<serde_json::Value>(&lines.join("\n")) {
        let message =
            ["message", "error", "detail", "title"].iter().find_map(|key| answer.get(key)?.as_str());
        if let Some(message) = message {
            return vec![message.to_owned()];
        }
    }
    lines.into_iter().take(ANSWER_LINES).map(str::to_owned).collect()
}

/// Makes one line of `Cannot build 'DRV'.` and `Reason: …`, and says how many lines after the first are in it.
fn join(first: &str, rest: &[&str]) -> Option<(String, usize)> {
    /// The lines that may follow the reason and belong to it.
    const LABELS: &[&str] = &["Required system", "Required features", "Current system", "Available features"];
    if !first.starts_with("Cannot build '") {
        return None;
    }
    let reason = rest.first()?.strip_prefix("Reason:")?.trim().trim_end_matches('.');
    let mut message = format!("{}: {reason}", first.trim_end_matches('.'));
    let is_labelled = |line: &&&str| LABELS.iter().any(|label| line.starts_with(label));
    for line in rest.iter().skip(1).take_while(is_labelled) {
        message.push_str("; ");
        message.push_str(line);
    }
    Some((message, 1))
}

fn one_line(error: &NixError, first: &str, rest: &mut Vec<&str>, layout: &Layout) -> String {
    if let Some(hashes) = &error.hashes
        && first.ends_with([':', ';'])
    {
        let first = first.trim_end_matches([':', ';']);
        return format!("{first}: specified {}, got {}", hashes.specified, hashes.got);
    }
    match error.kind {
        FailureKind::EvalModuleOption => {
            if first.ends_with("Failed assertions:") && !rest.is_empty() {
                return rest.remove(0).trim_start_matches("- ").to_owned();
            }
            let definitions = ["Definition values:", "Definition value:"];
            for label in definitions {
                if let Some(message) = first.strip_suffix(label) {
                    return message.trim().trim_end_matches('.').to_owned();
                }
            }
            return first.trim_end_matches(':').to_owned();
        }
        FailureKind::EvalAssertion if !first.starts_with("assertion") => {
            let condition = layout.frames.iter().find_map(|frame| {
                frame.message.trim().strip_prefix("while evaluating the condition of the ")
            });
            if let Some(condition) = condition {
                return format!("{} failed: {first}", condition.trim_end_matches(':'));
            }
        }
        _ => {}
    }
    let mut message = Cow::Borrowed(first);
    if error.kind.stage() == Some(Stage::Build)
        && let Some((before, after)) = first.split_once(": error: ")
    {
        message = Cow::Owned(format!("{before}: {after}"));
    }
    if first.ends_with(':') && rest.first().is_some_and(|line| line.starts_with('/')) {
        // A list of paths.
        let count = rest.iter().take_while(|line| line.starts_with('/')).count();
        let shown = rest.get(..count.min(PATHS_IN_MESSAGE)).unwrap_or_default().join(", ");
        let more = if count > PATHS_IN_MESSAGE {
            format!(" and {} more", count - PATHS_IN_MESSAGE)
        } else {
            rest.drain(..count);
            String::new()
        };
        return format!("{first} {shown}{more}");
    }
    // A sentence that goes on.
    while message.len() < LINE_BYTES && message.ends_with([':', ',', ';']) && !rest.is_empty() {
        message = Cow::Owned(format!("{message} {}", rest.remove(0)));
    }
    let message = message.trim_end_matches([':', ',', ';']);
    message.to_owned()
}

fn finish(message: &str, suggestion: Option<&str>) -> String {
    let message = sanitize(clip(message.trim())).trim().to_owned();
    match suggestion {
        Some(suggestion) if !message.is_empty() && !message.contains("Did you mean") => {
            let suggestion = sanitize(clip(suggestion));
            clip(&format!("{}. {suggestion}", message.trim_end_matches('.'))).to_owned()
        }
        _ => message,
    }
}

/// Returns whether a line tells nothing about the error.
fn is_empty_talk(line: &str) -> bool {
    line.starts_with("For more information run 'man nix.conf'") || line.starts_with("Try 'nix")
}

/// Leaves out `Output paths:` and the paths after it.
fn skip_output_paths<'l>(lines: impl Iterator<Item = &'l str>) -> impl Iterator<Item = &'l str> {
    let mut in_list = false;
    lines.filter(move |line| {
        in_list = *line == "Output paths:" || in_list && line.starts_with('/');
        !in_list
    })
}
