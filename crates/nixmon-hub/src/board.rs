//! The board: all runs as they are at the moment, failures first, then those in progress.
//!
//! A thread looks at the store and publishes what has changed. Readers never look themselves, so that a thousand of them cost
//! no more than one, and nothing is published under a lock that a slow reader could hold.

#![expect(
    clippy::disallowed_methods,
    reason = "the thread that looks at the store paces itself by the clock"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nixmon_log::escapes::sanitize;
use nixmon_runs::clock::unix_ms;
use nixmon_runs::query::Runs;
use nixmon_runs::{Activity, QueryError, RunId, RunOutcome, RunState, Status};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;

use crate::program::Program;

/// Number of runs on the board, the newest.
pub(crate) const MAX_RUNS: usize = 1000;
/// Time between two looks at the store.
const POLL: Duration = Duration::from_millis(400);
/// Number of removed runs that are remembered for readers that come back.
const MAX_REMOVED: usize = 1000;

/// The place of a run on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Group {
    /// The newest run of its name, or of its command and directory, that ended, and it failed.
    Failed,
    /// It is in progress or queued.
    InProgress,
    /// It has ended, and a failure of it was followed by another run.
    Ended,
}

/// A run on the board.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Entry {
    /// Number of the run.
    pub(crate) run: u64,
    /// Its place on the board.
    pub(crate) group: Group,
    /// Its status; null if it cannot be read.
    pub(crate) status: Option<Status>,
    /// Its working directory; empty if it is unknown.
    pub(crate) directory: String,
    /// Why it cannot be read.
    pub(crate) error: Option<String>,
}

/// A version of the board.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board {
    /// Counts changes.
    pub(crate) version: u64,
    /// All runs in the order in which they are shown.
    pub(crate) entries: Vec<Arc<Entry>>,
    /// The version in which each run changed last.
    pub(crate) changed: BTreeMap<u64, u64>,
    /// Runs that are gone, and the version in which they went.
    pub(crate) removed: Vec<(u64, u64)>,
    /// Number of older runs, which are not on the board.
    pub(crate) n_older: usize,
    /// When the store was looked at, in milliseconds since 1970.
    pub(crate) looked_at: u64,
    /// Why the store cannot be read.
    pub(crate) error: Option<String>,
    /// The last look that was asked for.
    answered: u64,
}

/// Looks at the store until it is dropped.
#[derive(Debug)]
pub(crate) struct Poller {
    board: watch::Receiver<Arc<Board>>,
    /// Distinguishes versions of this process from those of another.
    pub(crate) epoch: u64,
    asked: Arc<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    number: AtomicU64,
    is_over: Mutex<bool>,
    wake: Condvar,
}

impl Drop for Poller {
    fn drop(&mut self) {
        *self.asked.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.asked.wake.notify_all();
    }
}

impl Poller {
    /// Looks at the store once, and then again and again on a thread of its own.
    ///
    /// # Errors
    ///
    /// If there is no thread.
    pub(crate) fn start(program: Arc<dyn Program>) -> std::io::Result<Self> {
        let mut looker = Looker::default();
        let first = looker.look(&*program, &Board::default(), 0);
        let (sender, board) = watch::channel(Arc::new(first));
        let asked = Arc::new(Asked::default());
        let of_thread = Arc::clone(&asked);
        std::thread::Builder::new().name("board".to_owned()).spawn(move || {
            loop {
                {
                    let is_over = of_thread.is_over.lock().unwrap_or_else(PoisonError::into_inner);
                    let waited = of_thread.wake.wait_timeout_while(is_over, POLL, |is_over| !*is_over);
                    if *waited.unwrap_or_else(PoisonError::into_inner).0 {
                        return;
                    }
                }
                let before = Arc::clone(&sender.borrow());
                let answered = of_thread.number.load(Ordering::Relaxed);
                let next = looker.look(&*program, &before, answered);
                sender.send_if_modified(|board| {
                    let is_news = next.version != board.version || next.error != board.error;
                    let is_answer = next.answered != board.answered;
                    *board = Arc::new(next);
                    is_news || is_answer
                });
            }
        })?;
        Ok(Self { board, epoch: unix_ms(), asked })
    }

    /// Returns the board at the moment.
    pub(crate) fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board.borrow())
    }

    /// Returns a receiver of boards.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Board>> {
        self.board.clone()
    }

    /// Asks for a look at the store, and waits for its result on the way that all news takes.
    pub(crate) async fn fresh(&self, limit: Duration) -> Option<Arc<Board>> {
        let number = self.asked.number.fetch_add(1, Ordering::Relaxed) + 1;
        let mut board = self.board.clone();
        let fresh = board.wait_for(|board| board.answered >= number);
        let board = tokio::time::timeout(limit, fresh).await.ok()?.ok()?;
        Some(Arc::clone(&board))
    }
}

/// Looks at the store, and remembers runs that have ended: they change no more.
#[derive(Debug, Default)]
struct Looker {
    ended: BTreeMap<RunId, (Status, String)>,
    warned: Option<Instant>,
}

impl Looker {
    fn look(&mut self, program: &dyn Program, before: &Board, answered: u64) -> Board {
        let now = unix_ms();
        match self.entries(program, now) {
            Ok((entries, n_older)) => next(before, arrange(entries), n_older, now, answered),
            Err(error) => {
                if self.warned.is_none_or(|at| at.elapsed() > Duration::from_secs(60)) {
                    tracing::warn!(%error, "the store of runs cannot be read");
                    self.warned = Some(Instant::now());
                }
                Board { error: Some(sanitize(&error.to_string()).into_owned()), answered, ..before.clone() }
            }
        }
    }

    fn entries(&mut self, program: &dyn Program, now: u64) -> Result<(Vec<Entry>, usize), QueryError> {
        let runs: Runs<'_> = program.runs()?;
        let (ids, n_older) = runs.list(Some(MAX_RUNS))?;
        let ids: BTreeSet<RunId> = ids.collect();
        self.ended.retain(|id, _| ids.contains(id));
        let mut entries = Vec::with_capacity(ids.len());
        for id in ids.into_iter().rev() {
            let entry =
                |status, directory, error| Entry { run: id.0, group: Group::Ended, status, directory, error };
            if let Some((status, directory)) = self.ended.get(&id) {
                entries.push(entry(Some(status.clone()), directory.clone(), None));
                continue;
            }
            match runs.listed(id, now).look {
                Ok(look) => {
                    let directory = look.facts.map(|facts| facts.directory).unwrap_or_default();
                    let directory = sanitize(&directory).into_owned();
                    let status = clean(look.status);
                    if status.has_ended() {
                        self.ended.insert(id, (status.clone(), directory.clone()));
                    }
                    entries.push(entry(Some(status), directory, None));
                }
                Err(error) => {
                    entries.push(entry(None, String::new(), Some(sanitize(&error.to_string()).into_owned())));
                }
            }
        }
        Ok((entries, n_older))
    }
}

/// Removes control characters and what else deceives a reader from all texts of a status.
pub(crate) fn clean(mut status: Status) -> Status {
    let text = |text: &mut String| {
        if let std::borrow::Cow::Owned(cleaned) = sanitize(text) {
            *text = cleaned;
        }
    };
    let Status { name, command, line, slow, waits_for, parallel_opportunities, incomplete, .. } = &mut status;
    [command, slow, waits_for, parallel_opportunities].into_iter().flatten().for_each(text);
    name.iter_mut().chain(incomplete).for_each(text);
    text(line);
    for cause in [&mut status.first_failure, &mut status.last_failure].into_iter().flatten() {
        text(&mut cause.message);
        cause.name.iter_mut().for_each(text);
    }
    status
}

/// Puts runs, the newest first, into their groups and in order.
fn arrange(mut entries: Vec<Entry>) -> Vec<Entry> {
    let mut followed: BTreeSet<(String, String)> = BTreeSet::new();
    for entry in &mut entries {
        let Some(status) = &entry.status else { continue };
        if !status.has_ended() {
            entry.group = Group::InProgress;
            continue;
        }
        let key = match &status.name {
            Some(name) => (name.clone(), String::new()),
            None => (status.command.join(" "), entry.directory.clone()),
        };
        // An interrupted run says nothing about its target.
        let decides = !matches!(status.outcome, Some(RunOutcome::Interrupted | RunOutcome::NotStarted));
        let has_failed = !status.has_succeeded();
        if decides && followed.insert(key) && has_failed {
            entry.group = Group::Failed;
        }
    }
    // Within a group the order stays: the newest first.
    entries.sort_by_key(|entry| (entry.group, trouble(entry)));
    entries
}

/// The rank of a run in progress: those with trouble come first, queued ones last.
fn trouble(entry: &Entry) -> u8 {
    match &entry.status {
        Some(status) if entry.group == Group::InProgress => match status.state {
            _ if status.first_failure.is_some() || status.failed > 0 => 0,
            RunState::Lost => 1,
            RunState::Queued => 4,
            _ if status.activity == Some(Activity::Stuck) || status.overdue => 2,
            _ => 3,
        },
        _ => 0,
    }
}

/// Makes the next version of a board.
fn next(before: &Board, entries: Vec<Entry>, n_older: usize, now: u64, answered: u64) -> Board {
    let known: BTreeMap<u64, &Arc<Entry>> = before.entries.iter().map(|entry| (entry.run, entry)).collect();
    let version = before.version + 1;
    let mut changed = BTreeMap::new();
    let entries: Vec<Arc<Entry>> = entries
        .into_iter()
        .map(|entry| match known.get(&entry.run) {
            Some(old) if ***old == entry => {
                changed.insert(entry.run, before.changed.get(&entry.run).copied().unwrap_or(version));
                Arc::clone(old)
            }
            _ => {
                changed.insert(entry.run, version);
                Arc::new(entry)
            }
        })
        .collect();
    let mut removed: Vec<(u64, u64)> = before.removed.clone();
    removed.extend(known.keys().filter(|run| !changed.contains_key(run)).map(|run| (*run, version)));
    let too_many = removed.len().saturating_sub(MAX_REMOVED);
    removed.drain(..too_many);
    let is_news = changed.values().any(|at| *at == version) || removed.iter().any(|(_, at)| *at == version);
    let version = if is_news { version } else { before.version };
    Board { version, entries, changed, removed, n_older, looked_at: now, error: None, answered }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(run: u64, name: &str, outcome: Option<RunOutcome>) -> Entry {
        let status = Status {
            id: RunId(run),
            name: (!name.is_empty()).then(|| name.to_owned()),
            command: vec!["nix".to_owned(), "build".to_owned()],
            state: if outcome.is_some() { RunState::Ended } else { RunState::Running },
            outcome,
            exit_code: outcome.map(|outcome| i32::from(outcome != RunOutcome::Success)),
            ..Status::default()
        };
        Entry { run, group: Group::Ended, status: Some(status), directory: "/d".to_owned(), error: None }
    }

    fn check(entries: Vec<Entry>, expected: &[(u64, Group)]) {
        let arranged: Vec<(u64, Group)> =
            arrange(entries).iter().map(|entry| (entry.run, entry.group)).collect();
        assert_eq!(arranged, expected);
    }

    #[test]
    fn failures_come_first_until_they_are_mended() {
        use Group::{Ended, Failed, InProgress};
        use RunOutcome::{Failure, Incomplete, Interrupted, Success};
        check(
            vec![
                entry(4, "a", None),
                entry(3, "a", Some(Failure)),
                entry(2, "b", Some(Success)),
                entry(1, "a", Some(Failure)),
            ],
            &[(3, Failed), (4, InProgress), (2, Ended), (1, Ended)],
        );
        check(vec![entry(2, "a", Some(Success)), entry(1, "a", Some(Failure))], &[(2, Ended), (1, Ended)]);
        check(
            vec![entry(2, "a", Some(Interrupted)), entry(1, "a", Some(Failure))],
            &[(1, Failed), (2, Ended)],
        );
        check(vec![entry(2, "", Some(Success)), entry(1, "", Some(Incomplete))], &[(2, Ended), (1, Ended)]);
        let mut elsewhere = entry(2, "", Some(Success));
        elsewhere.directory = "/e".to_owned();
        check(vec![elsewhere, entry(1, "", Some(Incomplete))], &[(1, Failed), (2, Ended)]);
        let mut failing = entry(1, "x", None);
        failing.status.as_mut().unwrap().failed = 1;
        check(vec![entry(2, "y", None), failing], &[(1, InProgress), (2, InProgress)]);
        // The end was seen to be well by nothing.
        let mut unseen = entry(1, "z", Some(Success));
        unseen.status.as_mut().unwrap().exit_code = None;
        check(vec![unseen], &[(1, Failed)]);
    }

    #[test]
    fn versions_say_what_changed() {
        let first = next(&Board::default(), vec![entry(2, "a", None), entry(1, "b", None)], 0, 1, 0);
        assert_eq!((first.version, first.changed.len()), (1, 2));
        let same = next(&first, vec![entry(2, "a", None), entry(1, "b", None)], 0, 2, 0);
        assert_eq!(same.version, 1);
        let changed =
            next(&same, vec![entry(2, "a", Some(RunOutcome::Success)), entry(1, "b", None)], 0, 3, 0);
        assert_eq!((changed.version, changed.changed[&2], changed.changed[&1]), (2, 2, 1));
        let removed = next(&changed, vec![entry(2, "a", Some(RunOutcome::Success))], 0, 4, 0);
        assert_eq!((removed.version, removed.removed.as_slice()), (3, &[(1, 3)][..]));
    }

    #[test]
    fn foreign_text_is_cleaned() {
        let status = Status {
            name: Some("a\u{1b}]0;x\u{7}b".to_owned()),
            command: vec!["\u{202e}c".to_owned()],
            line: "\u{1b}[31mred".to_owned(),
            ..Status::default()
        };
        let status = clean(status);
        assert_eq!(
            (status.name.as_deref(), status.command[0].as_str(), status.line.as_str()),
            (Some("ab"), "c", "red")
        );
    }
}
