//! Stalls: parts of a run that make no progress or have long been silent.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::View;
use crate::activation::{Run, RunStage};
use crate::state::{Derivation, DerivationState, PathState, Phase, StorePathInfo};
use nixmon_log::escapes::sanitize;

/// A part of a run that has made no progress for a while.
#[derive(Clone, Debug)]
pub struct Stall<'a> {
    /// The stalled part.
    pub what: Stalled<'a>,
    /// Time since its last sign of life.
    pub silent: Duration,
}

/// The part of a run that has stalled.
#[derive(Clone, Debug)]
pub enum Stalled<'a> {
    /// An unanswered question.
    Prompt {
        /// The question, safe to show.
        text: String,
        /// The kind of question.
        kind: Prompt,
    },
    /// A program of the run whose only purpose is to ask for something.
    Asking {
        /// Name of the program.
        program: &'a str,
    },
    /// A lock that a Nix process waits for, in Nix's words without `waiting for`.
    Lock(&'a str),
    /// Builds that wait for a lock, a machine or a build user.
    Waiting {
        /// The build that has waited longest.
        derivation: &'a Derivation,
        /// The reason, in Nix's words.
        what: &'a str,
        /// Number of other builds that wait for the same.
        others: usize,
    },
    /// Downloads from one host without data.
    Download {
        /// The path without data for the longest time.
        path: &'a StorePathInfo,
        /// Number of other stalled downloads from there.
        others: usize,
    },
    /// Uploads that make no progress.
    Upload {
        /// One of the paths.
        path: &'a StorePathInfo,
        /// Number of other uploads.
        others: usize,
    },
    /// A builder that prints nothing.
    Build(&'a Derivation),
    /// An activation that prints nothing.
    Activation(&'a Run),
    /// An evaluation that prints nothing, with its last message.
    Evaluation(Option<&'a str>),
}

/// The kind of question that a program asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// A password.
    Password,
    /// The passphrase of a key.
    Passphrase,
    /// A user name.
    Username,
    /// The fingerprint of an unknown host.
    HostKey,
    /// A question to be answered with yes or no.
    YesNo,
}

/// Facts that are not in the state, and the threshold for silence.
#[derive(Clone, Copy, Debug)]
pub struct StallOptions<'a> {
    /// A builder is reported once it has printed nothing for this long.
    pub quiet: Duration,
    /// An unfinished line, if one has been there for a while.
    pub partial: Option<&'a str>,
    /// Name of a program of the run whose only purpose is to ask for something.
    pub asking: Option<&'a str>,
}

/// A download is reported after this time without data. Servers pause, but not this long.
const DOWNLOAD: Duration = Duration::from_secs(60);
/// A wait for a lock or a machine is reported after this time; shorter waits are normal.
const WAITING: Duration = Duration::from_secs(60);
/// A question is reported after this time: a user at the terminal has answered by then.
const PROMPT: Duration = Duration::from_secs(20);
/// Longest unfinished line, in bytes, that can be a question.
const MAX_PROMPT: usize = 400;

/// Lists the stalled parts of a run: questions first, since the user can answer them, then by length of silence.
pub fn stalls<'a>(view: &View<'a>, options: &StallOptions<'a>) -> Vec<Stall<'a>> {
    if view.state.outcome().is_some() {
        return Vec::new();
    }
    let mut stalls = Vec::new();
    stalls.extend(question(view, options));
    stalls.extend(lock(view, options));
    stalls.extend(waiting(view, options));
    stalls.extend(downloads(view, options));
    stalls.extend(uploads(view, options));
    stalls.extend(builds(view, options));
    stalls.extend(activation(view, options));
    if stalls.is_empty() {
        stalls.extend(evaluation(view, options));
    }
    stalls.sort_by_key(|stall| (!stall.what.is_question(), Reverse(stall.silent)));
    stalls
}

impl Stalled<'_> {
    fn is_question(&self) -> bool {
        matches!(self, Self::Prompt { .. } | Self::Asking { .. })
    }
}

/// Returns the host that a path comes from, or the name of the store if it has none.
pub fn source_host(path: &StorePathInfo) -> Option<&str> {
    let from = path.from.as_deref()?;
    let uri = from.split(['?', '#']).next().unwrap_or(from);
    let Some((_, rest)) = uri.split_once("://") else { return Some(uri) };
    let host = rest.split('/').next().unwrap_or(rest);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    Some(if host.is_empty() { uri } else { host })
}

/// Returns the time since the last input.
fn silence(view: &View<'_>) -> Duration {
    view.now.saturating_sub(view.state.last_input())
}

fn question<'a>(view: &View<'a>, options: &StallOptions<'a>) -> Option<Stall<'a>> {
    let silent = silence(view);
    if silent < PROMPT.min(options.quiet) {
        return None;
    }
    let asked = options.partial.filter(|partial| partial.len() <= MAX_PROMPT).and_then(|partial| {
        let text = sanitize(partial).trim().to_owned();
        Some(Stalled::Prompt { kind: prompt(&text)?, text })
    });
    let asking = options.asking.map(|program| Stalled::Asking { program });
    Some(Stall { what: asked.or(asking)?, silent })
}

/// Returns the kind of question in an unfinished line, by the words of sudo, su, ssh, git and `read -p`.
fn prompt(text: &str) -> Option<Prompt> {
    let lower = text.to_ascii_lowercase();
    let asks = lower.ends_with(':');
    if lower.contains("continue connecting (yes/no") {
        Some(Prompt::HostKey)
    } else if asks && (lower.contains("passphrase") || lower.starts_with("enter pin")) {
        Some(Prompt::Passphrase)
    } else if asks && lower.contains("password") {
        Some(Prompt::Password)
    } else if asks && lower.starts_with("username for ") {
        Some(Prompt::Username)
    } else if ["[y/n]", "(y/n)", "(yes/no)", "[yes/no]"]
        .iter()
        .any(|end| lower.trim_end_matches(['?', ':', ' ']).ends_with(end))
    {
        Some(Prompt::YesNo)
    } else {
        None
    }
}

fn lock<'a>(view: &View<'a>, options: &StallOptions<'a>) -> Option<Stall<'a>> {
    let silent = silence(view);
    let what = view.state.waits_for().filter(|_| silent >= WAITING.min(options.quiet))?;
    Some(Stall { what: Stalled::Lock(what), silent })
}

/// Lists waiting builds, one entry per lock, machine or build user.
fn waiting<'a>(view: &View<'a>, options: &StallOptions<'a>) -> Vec<Stall<'a>> {
    let derivations = view.state.derivations();
    if derivations.counts().get(DerivationState::Waiting) == 0 {
        return Vec::new();
    }
    let mut groups = BTreeMap::<&str, (Duration, &Derivation, usize)>::new();
    for (_, derivation) in derivations.iter() {
        let Some(what) = derivation.waiting_for.as_deref() else { continue };
        let silent = view.now.saturating_sub(derivation.waiting_since.unwrap_or(view.now));
        if derivation.state() == DerivationState::Waiting && silent >= WAITING.min(options.quiet) {
            add(&mut groups, what, silent, derivation);
        }
    }
    groups
        .into_iter()
        .map(|(what, (silent, derivation, others))| Stall {
            what: Stalled::Waiting { derivation, what, others },
            silent,
        })
        .collect()
}

/// Lists downloads without data, one entry per host.
fn downloads<'a>(view: &View<'a>, options: &StallOptions<'a>) -> Vec<Stall<'a>> {
    let mut groups = BTreeMap::<&str, (Duration, &StorePathInfo, usize)>::new();
    for path in view.fetching() {
        let silent = view.now.saturating_sub(path.last_bytes.max(path.started).unwrap_or(view.now));
        // All bytes have arrived; the path is being unpacked.
        let whole = path.expected > 0 && path.done >= path.expected;
        if silent >= DOWNLOAD.min(options.quiet) && !whole {
            add(&mut groups, source_host(path).unwrap_or_default(), silent, path);
        }
    }
    groups
        .into_values()
        .map(|(silent, path, others)| Stall { what: Stalled::Download { path, others }, silent })
        .collect()
}

/// Finds a stalled upload. Nix does not report the bytes of an upload, so only silence of the whole stream counts.
fn uploads<'a>(view: &View<'a>, options: &StallOptions<'a>) -> Option<Stall<'a>> {
    let silent = silence(view);
    if silent < options.quiet {
        return None;
    }
    let mut sent = view
        .state
        .transfers()
        .moving()
        .map(|(_, path)| path)
        .filter(|path| path.state() == PathState::Uploading);
    let path = sent.next()?;
    Some(Stall { what: Stalled::Upload { path, others: sent.count() }, silent })
}

fn builds<'a>(view: &View<'a>, options: &StallOptions<'a>) -> Vec<Stall<'a>> {
    let silence =
        |derivation: &Derivation| view.now.saturating_sub(derivation.last_heard().unwrap_or(view.now));
    view.running()
        .into_iter()
        // A build announced by a line of text may have ended long ago.
        .filter(|(_, derivation)| !derivation.is_endless())
        .map(|(_, derivation)| Stall { what: Stalled::Build(derivation), silent: silence(derivation) })
        .filter(|stall| stall.silent >= options.quiet)
        .collect()
}

fn activation<'a>(view: &View<'a>, options: &StallOptions<'a>) -> Vec<Stall<'a>> {
    let runs = view.state.activation().runs().filter(|run| run.stage == RunStage::Activating);
    runs.map(|run| Stall { what: Stalled::Activation(run), silent: view.now.saturating_sub(run.last_at) })
        .filter(|stall| stall.silent >= options.quiet && silence(view) >= options.quiet)
        .collect()
}

fn evaluation<'a>(view: &View<'a>, options: &StallOptions<'a>) -> Option<Stall<'a>> {
    let silent = silence(view);
    (view.state.phase() == Phase::Evaluating && silent >= options.quiet)
        .then(|| Stall { what: Stalled::Evaluation(view.state.evaluating()), silent })
}

/// Adds an item to its group and keeps the one with the longest silence.
fn add<'a, T>(
    groups: &mut BTreeMap<&'a str, (Duration, &'a T, usize)>,
    key: &'a str,
    silent: Duration,
    item: &'a T,
) {
    match groups.get_mut(key) {
        Some((longest, first, others)) => {
            *others += 1;
            if silent > *longest {
                (*longest, *first) = (silent, item);
            }
        }
        None => {
            groups.insert(key, (silent, item, 0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_told_from_other_unfinished_lines() {
        for (text, expected) in [
            ("[sudo] password for alice:", Some(Prompt::Password)),
            ("Password:", Some(Prompt::Password)),
            ("alice@builder's password:", Some(Prompt::Password)),
            ("Enter passphrase for key '/root/.ssh/id_ed25519':", Some(Prompt::Passphrase)),
            ("Enter PIN for ED25519-SK key:", Some(Prompt::Passphrase)),
            ("Username for 'https://github.com':", Some(Prompt::Username)),
            ("Are you sure you want to continue connecting (yes/no/[fingerprint])?", Some(Prompt::HostKey)),
            ("Overwrite? [y/N]", Some(Prompt::YesNo)),
            ("do you want to allow this configuration setting to be set (y/N)?", Some(Prompt::YesNo)),
            ("checking whether a password is set...", None),
            ("Fetching: 42 %", None),
            ("", None),
        ] {
            assert_eq!(prompt(text), expected, "{text}");
        }
    }
}
