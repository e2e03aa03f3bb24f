//! The choice of builds that are told: states of engagement, and bursts as one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::{BuildEvent, Verdict};

/// Builds of one kind that follow each other within this time are a burst.
pub const BURST: Duration = Duration::from_secs(30);
/// A burst that goes on is told so often.
pub const BURST_TOLD: Duration = Duration::from_secs(10 * 60);
/// Kinds of builds whose last result is remembered.
const MAX_KINDS: usize = 1000;

/// The builds of a directory that are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engagement {
    /// None. They are not in the journal either.
    Off,
    /// Those that fail.
    Failures,
    /// The first that fails, the first that passes after a failure, and those that take long.
    #[default]
    Transitions,
    /// All of them.
    All,
}

/// The user's wishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// For directories without a wish of their own.
    pub default: Engagement,
    /// For a directory and those below it; the longest path decides.
    pub directories: BTreeMap<PathBuf, Engagement>,
    /// A build takes long from this duration on.
    pub long: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { default: Engagement::default(), directories: BTreeMap::new(), long: Duration::from_secs(60) }
    }
}

impl Policy {
    /// Returns the state for builds in a directory.
    pub fn of(&self, directory: Option<&str>) -> Engagement {
        let own = directory.and_then(|directory| {
            Path::new(directory).ancestors().find_map(|path| self.directories.get(path).copied())
        });
        own.unwrap_or(self.default)
    }
}

/// Builds of the same program in the same place.
type Kind = (Option<u32>, Option<String>, String);

#[derive(Debug, Default)]
struct Past {
    /// The last result that says something.
    failed: Option<bool>,
    /// The last build that was to be told: its end and its result.
    told: Option<(Duration, Option<Verdict>)>,
    /// Builds after that which were not told yet: the newest, and since when.
    held: Option<(BuildEvent, Duration)>,
    /// The time of the last build, by which the oldest kind is forgotten.
    at: Duration,
}

/// Chooses the builds that are told.
#[derive(Debug, Default)]
pub struct Teller {
    policy: Policy,
    past: BTreeMap<Kind, Past>,
}

impl Teller {
    /// Makes a teller for these wishes.
    pub fn new(policy: Policy) -> Self {
        Self { policy, past: BTreeMap::new() }
    }

    /// Returns the wishes.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Changes the wishes. What is known of the past stays.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Takes a build that ended at `at` of any steady clock. Returns what is to be told now.
    pub fn ended(&mut self, build: BuildEvent, at: Duration) -> Vec<BuildEvent> {
        let engagement = self.policy.of(build.directory.as_deref());
        let kind = (build.user, build.directory.clone(), build.label.clone());
        if self.past.len() >= MAX_KINDS && !self.past.contains_key(&kind) {
            let oldest =
                self.past.iter().filter(|(_, past)| past.held.is_none()).min_by_key(|(_, past)| past.at);
            if let Some(oldest) = oldest.map(|(kind, _)| kind.clone()) {
                self.past.remove(&oldest);
            }
        }
        let past = self.past.entry(kind).or_default();
        past.at = at;
        let failed = failed(&build);
        let before = past.failed;
        past.failed = failed.or(before);
        let is_long = build.elapsed_ms.is_some_and(|ms| Duration::from_millis(ms) >= self.policy.long);
        let is_wanted = match engagement {
            Engagement::Off => false,
            Engagement::Failures => failed == Some(true),
            Engagement::Transitions => {
                is_long
                    || (failed == Some(true) && before != Some(true))
                    || (failed == Some(false) && before == Some(true))
            }
            Engagement::All => true,
        };
        if !is_wanted {
            return Vec::new();
        }
        let follows =
            past.told.is_some_and(|(last, result)| at.saturating_sub(last) < BURST && result == build.result);
        if follows && !is_long {
            past.told = Some((at, build.result));
            let (count, since) = past.held.take().map_or((0, at), |(held, since)| (held.count, since));
            past.held = Some((BuildEvent { count: count + build.count, ..build }, since));
            return self.due(at);
        }
        let mut told: Vec<BuildEvent> = past.held.take().map(|(held, _)| held).into_iter().collect();
        past.told = Some((at, build.result));
        told.push(build);
        told
    }

    /// Returns what is to be told at this time.
    pub fn due(&mut self, at: Duration) -> Vec<BuildEvent> {
        self.take(|past, since| at.saturating_sub(past.at) >= BURST || at.saturating_sub(since) >= BURST_TOLD)
    }

    /// Returns what was held back, at the end.
    pub fn rest(&mut self) -> Vec<BuildEvent> {
        self.take(|_, _| true)
    }

    fn take(&mut self, is_due: impl Fn(&Past, Duration) -> bool) -> Vec<BuildEvent> {
        let mut told = Vec::new();
        for past in self.past.values_mut() {
            if let Some((build, since)) = past.held.take() {
                if is_due(past, since) {
                    told.push(build);
                } else {
                    past.held = Some((build, since));
                }
            }
        }
        told.sort_by(|a, b| (a.ended_ms, &a.id).cmp(&(b.ended_ms, &b.id)));
        told
    }
}

/// Returns whether a build failed, as far as it says so: one that the user ended says nothing.
fn failed(build: &BuildEvent) -> Option<bool> {
    match build.result? {
        Verdict::Pass => Some(false),
        Verdict::Fail | Verdict::Signal => (!build.was_interrupted()).then_some(true),
        Verdict::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::Backend;
    use super::*;

    /// A build of a word: `P` passes, `F` fails, `S` is killed, `I` interrupted, `T` interrupted and says so by its status, `U` unknown, `L` passes after long.
    fn build(word: &str, directory: &str) -> BuildEvent {
        let (letter, label) = word.split_at(1);
        let (result, exit_status, signal) = match letter {
            "P" | "L" => (Verdict::Pass, Some(0), None),
            "F" => (Verdict::Fail, Some(1), None),
            "T" => (Verdict::Fail, Some(130), None),
            "S" => (Verdict::Signal, None, Some(9)),
            "I" => (Verdict::Signal, None, Some(2)),
            _ => (Verdict::Unknown, None, None),
        };
        BuildEvent {
            label: format!("make {label}"),
            directory: Some(directory.to_owned()),
            result: Some(result),
            exit_status,
            signal,
            elapsed_ms: Some(if letter == "L" { 90_000 } else { 900 }),
            ..BuildEvent::new(word.to_owned(), "make", Backend::Connector)
        }
    }

    /// Builds at their seconds, and what is told at which second: `12 F 3` for three of which the newest failed.
    #[track_caller]
    fn check(engagement: Engagement, builds: &[(u64, &str)], expected: &[&str]) {
        let mut teller = Teller::new(Policy { default: engagement, ..Policy::default() });
        let mut told = Vec::new();
        let mut tell = |at: u64, builds: Vec<BuildEvent>| {
            told.extend(builds.into_iter().map(|build| format!("{at} {} {}", build.id, build.count)));
        };
        let end = builds.last().map_or(0, |(at, _)| *at) + 1000;
        for at in 0..end {
            for (_, word) in builds.iter().filter(|(then, _)| *then == at) {
                tell(at, teller.ended(build(word, "/a/b"), Duration::from_secs(at)));
            }
            tell(at, teller.due(Duration::from_secs(at)));
        }
        tell(end, teller.rest());
        assert_eq!(told, expected, "{engagement:?} {builds:?}");
    }

    #[test]
    fn states() {
        use Engagement::{All, Failures, Off, Transitions};
        let builds = [
            (1, "P"),
            (100, "F"),
            (200, "F"),
            (300, "I"),
            (350, "T"),
            (400, "P"),
            (500, "P"),
            (600, "U"),
            (700, "L"),
            (800, "S"),
        ];
        check(Off, &builds, &[]);
        check(Failures, &builds, &["100 F 1", "200 F 1", "800 S 1"]);
        check(Transitions, &builds, &["100 F 1", "400 P 1", "700 L 1", "800 S 1"]);
        let all = [
            "1 P 1", "100 F 1", "200 F 1", "300 I 1", "350 T 1", "400 P 1", "500 P 1", "600 U 1", "700 L 1",
            "800 S 1",
        ];
        check(All, &builds, &all);
    }

    #[test]
    fn bursts_are_told_once() {
        use Engagement::All;
        // The first at once, the others together when it is over.
        check(All, &[(1, "P"), (5, "P"), (9, "P")], &["1 P 1", "39 P 2"]);
        // A change of the result is told at once.
        check(All, &[(1, "P"), (5, "P"), (9, "P"), (12, "F")], &["1 P 1", "12 P 2", "12 F 1"]);
        // Those of other kinds are no part of it.
        check(All, &[(1, "Pa"), (2, "Pb"), (3, "Pa")], &["1 Pa 1", "2 Pb 1", "33 Pa 1"]);
        // Of an endless one something is told now and then.
        let endless: Vec<(u64, &str)> = (0..200).map(|n| (n * 10, "P")).collect();
        check(All, &endless, &["0 P 1", "610 P 61", "1220 P 61", "1830 P 61", "2020 P 16"]);
    }

    #[test]
    fn the_longest_directory_decides() {
        let directories = [("/a", Engagement::Off), ("/a/b", Engagement::All)];
        let directories = directories.map(|(path, state)| (PathBuf::from(path), state)).into();
        let policy = Policy { directories, ..Policy::default() };
        for (directory, expected) in [
            (Some("/a/b/c"), Engagement::All),
            (Some("/a/b"), Engagement::All),
            (Some("/a/bc"), Engagement::Off),
            (Some("/c"), Engagement::Transitions),
            (None, Engagement::Transitions),
        ] {
            assert_eq!(policy.of(directory), expected, "{directory:?}");
        }
    }

    #[test]
    fn kinds_are_limited() {
        let mut teller = Teller::new(Policy { default: Engagement::All, ..Policy::default() });
        for n in 0..3 * MAX_KINDS as u64 {
            teller.ended(build(&format!("P{n}"), "/a"), Duration::from_secs(n));
        }
        assert!(teller.past.len() <= MAX_KINDS, "{}", teller.past.len());
    }
}
